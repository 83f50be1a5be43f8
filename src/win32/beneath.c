/* Paths that stay beneath an open directory, whoever exchanges directories for links meanwhile:
 * they are resolved part by part. Each directory is opened by the handle of the one above, without
 * following links; links are read and resolved here; and ".." goes back to the directory from which
 * this one was reached, wherever it has been moved since. */
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Links followed per path, as on Linux. */
#define MOST_LINKS 40
/* Directories open at once. */
#define MOST_DEPTH 256

typedef struct walk {
    HANDLE stack[MOST_DEPTH]; /* the directory where it began, not owned, and those below it */
    int depth;                /* index of the present one */
    int links;
    WCHAR *text; /* owned; `part` and `rest` are in it */
    WCHAR *part; /* empty: nothing is left */
    WCHAR *rest; /* what is still to be resolved */
} walk;

bool epio__op_is_confined(const epio_op *op)
{
    const epio_file *directory = op->arguments.path.directory;
    bool alone = op->kind == EPIO_KIND_OPEN && (op->flags & EPIO_OPEN_BENEATH) != 0;
    return directory != NULL &&
           (alone || ((const epio__os_file *)(const void *)directory)->confines);
}

static void leave_all(walk *w)
{
    while (w->depth > 0) {
        (void)CloseHandle(w->stack[w->depth--]);
    }
    free(w->text);
}

/* Each of the next that returns a DWORD: 0 or an error. */

static DWORD take_part(walk *w)
{
    w->part = w->rest + wcsspn(w->rest, L"\\");
    WCHAR *end = w->part + wcscspn(w->part, L"\\");
    w->rest = *end == L'\\' ? end + 1 : end;
    *end = L'\0';
    switch (epio__check_part(w->part, (size_t)(end - w->part))) {
    case 0:
        return 0;
    case EPIO_ENAMETOOLONG:
        return ERROR_FILENAME_EXCED_RANGE;
    default:
        return ERROR_INVALID_NAME;
    }
}

static epio__place place_of_part(const walk *w)
{
    return (epio__place){.root = w->stack[w->depth], .name = w->part, .confined = true};
}

static DWORD read_target(HANDLE link, WCHAR **target)
{
    int error;
    DWORD failure;
    char *narrow = epio__link_target(link, &failure);
    if (narrow == NULL) {
        /* Of another kind of link only the system knows where it leads. */
        return failure == ERROR_NOT_A_REPARSE_POINT ? ERROR_ACCESS_DENIED : failure;
    }
    *target = epio__widen(narrow, &error);
    free(narrow);
    return *target != NULL ? 0 : ERROR_NOT_ENOUGH_MEMORY;
}

/* Puts the target of the link `part` before the rest. */
static DWORD take_link(walk *w)
{
    const epio__place place = place_of_part(w);
    WCHAR *target = NULL;
    HANDLE link = epio__open_name_at(&place, FILE_READ_ATTRIBUTES);
    if (link == INVALID_HANDLE_VALUE) {
        return GetLastError();
    }
    DWORD error = read_target(link, &target);
    (void)CloseHandle(link);
    if (error == 0 && !epio__is_relative_name(target)) {
        error = ERROR_ACCESS_DENIED;
    } else if (error == 0 && ++w->links > MOST_LINKS) {
        error = ERROR_CANT_RESOLVE_FILENAME;
    }
    WCHAR *text = error == 0 ? malloc((wcslen(target) + wcslen(w->rest) + 2) * sizeof *text) : NULL;
    if (text != NULL) {
        wcscpy(text, target);
        epio__turn_slashes(text);
        wcscat(text, L"\\");
        wcscat(text, w->rest);
        free(w->text);
        w->text = text;
        w->rest = text;
    }
    free(target);
    return error != 0 ? error : text != NULL ? 0 : ERROR_NOT_ENOUGH_MEMORY;
}

static DWORD go_down(walk *w)
{
    const epio__place place = place_of_part(w);
    FILE_BASIC_INFO information;
    if (w->depth + 1 == MOST_DEPTH) {
        return ERROR_FILENAME_EXCED_RANGE;
    }
    HANDLE next =
        epio__open_at(&place, FILE_READ_ATTRIBUTES, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS);
    if (next == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError();
        return error == ERROR_STOPPED_ON_SYMLINK ? take_link(w) : error;
    }
    DWORD error = 0;
    if (!epio__win32.get_information(next, FileBasicInfo, &information, sizeof information)) {
        error = GetLastError();
    } else if ((information.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
        error = ERROR_DIRECTORY;
    }
    if (error != 0) {
        (void)CloseHandle(next);
        return error;
    }
    w->stack[++w->depth] = next;
    return 0;
}

static DWORD go_up(walk *w)
{
    if (w->depth == 0) {
        return ERROR_ACCESS_DENIED;
    }
    (void)CloseHandle(w->stack[w->depth--]);
    return 0;
}

static bool is_link(const walk *w)
{
    const epio__place place = place_of_part(w);
    return epio__is_link_at(&place);
}

/* Resolves all but the last part. With `follows` that is no link, as far as one can know. */
static DWORD resolve(walk *w, bool follows)
{
    for (;;) {
        DWORD error = take_part(w);
        if (error != 0 || w->part[0] == L'\0') {
            return error;
        }
        bool last = w->rest[wcsspn(w->rest, L"\\")] == L'\0';
        if (wcscmp(w->part, L"..") == 0) {
            error = go_up(w);
        } else if (wcscmp(w->part, L".") == 0) {
            error = 0;
        } else if (!last) {
            error = go_down(w);
        } else if (follows && is_link(w)) {
            error = take_link(w);
        } else {
            return 0;
        }
        if (error != 0) {
            return error;
        }
    }
}

int64_t epio__op_place_beneath(epio_op *op, HANDLE directory, WCHAR *name, bool follows,
                               epio__place *place)
{
    walk w = {.stack = {directory}, .text = name, .part = name, .rest = name};
    DWORD error = ERROR_ACCESS_DENIED;
    epio__turn_slashes(name);
    if (epio__is_relative_name(name)) {
        error = resolve(&w, follows);
    }
    if (error == 0) {
        place->name = _wcsdup(w.part);
        place->root = w.stack[w.depth];
        place->confined = true;
        place->by_link = w.links != 0;
        error = place->name != NULL ? 0 : ERROR_NOT_ENOUGH_MEMORY;
    }
    if (error == 0 && w.depth > 0) {
        place->opened = w.stack[w.depth--];
    }
    leave_all(&w);
    return error == 0 ? 0 : epio__op_fail_with(op, error);
}

/* An open file keeps the system from moving the directories above it, and if its deletion is not
 * shared, from moving itself; the right to attributes alone would not count as open. */
WCHAR *epio__pinned_name(const epio__place *place, HANDLE *pin)
{
    int error;
    bool created;
    const epio__nt_creation wanted = {.root = place->root,
                                      .name = L"",
                                      .access = FILE_LIST_DIRECTORY | SYNCHRONIZE,
                                      .disposition = FILE_OPEN,
                                      .options = FILE_SYNCHRONOUS_IO_NONALERT |
                                                 FILE_OPEN_FOR_BACKUP_INTENT |
                                                 FILE_OPEN_REPARSE_POINT,
                                      .pins = true};
    DWORD failure = epio__win32.nt_create(&wanted, pin, &created);
    if (failure != 0) {
        *pin = NULL;
        SetLastError(failure);
        return NULL;
    }
    WCHAR *directory = epio__final_name(*pin);
    WCHAR *name = directory != NULL ? epio__join_names(directory, place->name, &error) : NULL;
    if (directory != NULL && name == NULL) {
        SetLastError(error == EPIO_ENOMEM ? ERROR_NOT_ENOUGH_MEMORY : ERROR_FILENAME_EXCED_RANGE);
    }
    free(directory);
    return name;
}
