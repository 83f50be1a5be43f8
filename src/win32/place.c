/* Places: what a path names, absolute or in an open directory, and what is done by either. An
 * absolute name goes to Win32's functions. One in a directory goes to NtCreateFile with the
 * directory's handle, wherever that has been moved, and has no limit on the length of the whole. */
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define RENAME_INFO_EX ((FILE_INFO_BY_HANDLE_CLASS)22) /* by number: older headers lack it */

/* Scanners and indexers hold files open for a moment: what fails because of that is retried, for
 * a second in all if the op has no deadline. */
#define FIRST_DELAY_NS UINT64_C(1000000)
#define LAST_DELAY_NS UINT64_C(64000000)
#define MOST_PATIENCE_NS UINT64_C(1000000000)

/* ---- From a path ---- */

static HANDLE directory_of(const epio_op *op)
{
    const epio_file *directory = op->arguments.path.directory;
    return directory != NULL ? epio__handle_of((const epio__os_file *)(const void *)directory)
                             : NULL;
}

/* ".." above the directory: by where that is now. */
static int64_t place_above(epio_op *op, HANDLE directory, const WCHAR *name, epio__place *place)
{
    int error;
    WCHAR *final = epio__final_name(directory);
    if (final == NULL) {
        return epio__op_fail(op);
    }
    place->name = epio__join_names(final, name, &error);
    free(final);
    return place->name != NULL ? 0 : epio__op_fail_name(op, error);
}

int64_t epio__op_place(epio_op *op, const char *path, bool follows, epio__place *place)
{
    HANDLE directory = directory_of(op);
    bool rises;
    int error;
    int64_t result = 0;
    *place = (epio__place){.name = epio__widen(path, &error)};
    if (place->name == NULL) {
        return epio__op_fail_name(op, error);
    }
    if (epio__op_is_confined(op)) {
        WCHAR *name = place->name;
        place->name = NULL;
        return epio__op_place_beneath(op, directory, name, follows, place);
    }
    if (directory == NULL || !epio__is_relative_name(place->name)) {
        place->name = epio__literal_name(place->name, &error);
        return place->name != NULL ? 0 : epio__op_fail_name(op, error);
    }
    WCHAR *given = place->name;
    place->name = epio__name_within(given, &rises, &error);
    if (place->name == NULL) {
        result = epio__op_fail_name(op, error);
    } else if (rises) {
        free(place->name);
        place->name = NULL;
        result = place_above(op, directory, given, place);
    } else {
        place->root = directory;
    }
    free(given);
    return result;
}

void epio__place_drop(epio__place *place)
{
    free(place->name);
    place->name = NULL;
    if (place->opened != NULL) {
        (void)CloseHandle(place->opened);
        place->opened = NULL;
    }
}

WCHAR *epio__place_name(const epio__place *place)
{
    int error;
    if (place->root == NULL) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return _wcsdup(place->name);
    }
    WCHAR *directory = epio__final_name(place->root);
    WCHAR *name = directory != NULL ? epio__join_names(directory, place->name, &error) : NULL;
    if (directory != NULL && name == NULL) {
        SetLastError(error == EPIO_ENOMEM ? ERROR_NOT_ENOUGH_MEMORY : ERROR_FILENAME_EXCED_RANGE);
    }
    free(directory);
    return name;
}

size_t epio__place_parent_len(const epio__place *place)
{
    const WCHAR *last = wcsrchr(place->name, L'\\');
    return last != NULL ? (size_t)(last - place->name) + 1 : 0;
}

bool epio__place_parent(const epio__place *place, epio__place *parent)
{
    size_t len = epio__place_parent_len(place);
    bool in_root = place->root == NULL && len == epio__root_len(place->name) + 1;
    *parent = *place;
    parent->opened = NULL; /* stays open with the place */
    parent->name = _wcsdup(place->name);
    if (parent->name != NULL) {
        /* A root keeps its backslash. */
        parent->name[len > 0 && !in_root ? len - 1 : len] = L'\0';
    }
    return parent->name != NULL;
}

/* ---- Open ---- */

/* What of CreateFileW's flags NtCreateFile calls otherwise; a handle that is not for overlapped
 * calls is one whose calls wait. */
static ULONG options_for(DWORD flags)
{
    static const struct {
        DWORD flag;
        ULONG option;
    } options[] = {
        {FILE_FLAG_WRITE_THROUGH, FILE_WRITE_THROUGH},
        {FILE_FLAG_NO_BUFFERING, FILE_NO_INTERMEDIATE_BUFFERING},
        {FILE_FLAG_DELETE_ON_CLOSE, FILE_DELETE_ON_CLOSE},
        {FILE_FLAG_BACKUP_SEMANTICS, FILE_OPEN_FOR_BACKUP_INTENT},
        {FILE_FLAG_OPEN_REPARSE_POINT, FILE_OPEN_REPARSE_POINT},
        {FILE_FLAG_SEQUENTIAL_SCAN, FILE_SEQUENTIAL_ONLY},
        {FILE_FLAG_RANDOM_ACCESS, FILE_RANDOM_ACCESS},
    };
    ULONG all = (flags & FILE_FLAG_OVERLAPPED) == 0 ? FILE_SYNCHRONOUS_IO_NONALERT : 0;
    all |= (flags & FILE_FLAG_BACKUP_SEMANTICS) == 0 ? FILE_NON_DIRECTORY_FILE : 0;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        all |= (flags & options[i].flag) != 0 ? options[i].option : 0;
    }
    return all;
}

/* As CreateFileW, GetLastError included. */
static HANDLE create(const epio__nt_creation *wanted)
{
    HANDLE handle = INVALID_HANDLE_VALUE;
    bool created = false;
    DWORD error = epio__win32.nt_create(wanted, &handle, &created);
    if (error != 0) {
        SetLastError(error);
        return INVALID_HANDLE_VALUE;
    }
    SetLastError(created ? 0 : ERROR_ALREADY_EXISTS);
    return handle;
}

static HANDLE open_at(const epio__place *place, DWORD access, DWORD disposition, DWORD flags)
{
    if (place->root == NULL) {
        return CreateFileW(place->name, access,
                           FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                           disposition, flags, NULL);
    }
    bool deletes = (flags & FILE_FLAG_DELETE_ON_CLOSE) != 0;
    epio__nt_creation wanted = {.root = place->root, .name = place->name};
    wanted.access = access | SYNCHRONIZE | FILE_READ_ATTRIBUTES | (deletes ? DELETE : 0);
    wanted.attributes = flags & 0xFFFFu;
    wanted.disposition = disposition == OPEN_EXISTING ? FILE_OPEN
                         : disposition == CREATE_NEW  ? FILE_CREATE
                                                      : FILE_OPEN_IF;
    wanted.options = options_for(flags);
    return create(&wanted);
}

HANDLE epio__open_no_link_at(const epio__place *place, DWORD access, DWORD disposition, DWORD flags)
{
    HANDLE handle = open_at(place, access, disposition, flags | FILE_FLAG_OPEN_REPARSE_POINT);
    DWORD outcome = GetLastError(); /* tells of a new file, too */
    DWORD tag = handle != INVALID_HANDLE_VALUE ? epio__reparse_tag_of(handle) : 0;
    if (tag == 0) {
        SetLastError(outcome);
        return handle;
    }
    HANDLE whole =
        IsReparseTagNameSurrogate(tag)
            ? INVALID_HANDLE_VALUE
            : open_at(place, access, OPEN_EXISTING, flags & ~(DWORD)FILE_FLAG_OPEN_REPARSE_POINT);
    bool same = whole != INVALID_HANDLE_VALUE && epio__are_the_same(handle, whole);
    (void)CloseHandle(handle);
    if (whole != INVALID_HANDLE_VALUE && !same) {
        (void)CloseHandle(whole);
    }
    SetLastError(same ? outcome : ERROR_STOPPED_ON_SYMLINK);
    return same ? whole : INVALID_HANDLE_VALUE;
}

HANDLE epio__open_at(const epio__place *place, DWORD access, DWORD disposition, DWORD flags)
{
    bool through_links = !place->confined || (flags & FILE_FLAG_OPEN_REPARSE_POINT) != 0;
    return through_links ? open_at(place, access, disposition, flags)
                         : epio__open_no_link_at(place, access, disposition, flags);
}

HANDLE epio__open_name_at(const epio__place *place, DWORD access)
{
    return epio__open_at(place, access, OPEN_EXISTING,
                         FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
}

/* ---- Change ---- */

/* True if the call before succeeded; GetLastError stays that of this call. */
static bool close_after(HANDLE handle, BOOL done)
{
    DWORD error = GetLastError();
    (void)CloseHandle(handle);
    SetLastError(error);
    return done != FALSE;
}

bool epio__make_directory_at(const epio__place *place)
{
    if (place->root == NULL) {
        return CreateDirectoryW(place->name, NULL) != FALSE;
    }
    epio__nt_creation wanted = {.root = place->root,
                                .name = place->name,
                                .access = FILE_LIST_DIRECTORY | SYNCHRONIZE,
                                .attributes = FILE_ATTRIBUTE_NORMAL,
                                .disposition = FILE_CREATE,
                                .options = FILE_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT |
                                           FILE_OPEN_FOR_BACKUP_INTENT | FILE_OPEN_REPARSE_POINT};
    HANDLE handle = create(&wanted);
    return handle != INVALID_HANDLE_VALUE && close_after(handle, TRUE);
}

bool epio__delete_at(const epio__place *place)
{
    FILE_DISPOSITION_INFO disposition = {.DeleteFile = TRUE};
    if (place->root == NULL) {
        return epio__win32.delete_file(place->name) != FALSE;
    }
    HANDLE handle = epio__open_at(place, DELETE, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT);
    return handle != INVALID_HANDLE_VALUE &&
           close_after(handle, epio__win32.set_information(handle, FileDispositionInfo,
                                                           &disposition, sizeof disposition));
}

bool epio__set_attributes_at(const epio__place *place, DWORD attributes)
{
    /* 0 would leave them as they are, like a time of 0. */
    DWORD all = attributes != 0 ? attributes : FILE_ATTRIBUTE_NORMAL;
    FILE_BASIC_INFO information = {.FileAttributes = all};
    if (place->root == NULL) {
        return SetFileAttributesW(place->name, all) != FALSE;
    }
    HANDLE handle = epio__open_name_at(place, FILE_WRITE_ATTRIBUTES);
    return handle != INVALID_HANDLE_VALUE &&
           close_after(handle, epio__win32.set_information(handle, FileBasicInfo, &information,
                                                           sizeof information));
}

/* FILE_RENAME_INFO, which FILE_LINK_INFORMATION agrees with. */
typedef struct name_information {
    DWORD flags;
    HANDLE root;
    DWORD bytes;
    WCHAR name[1];
} name_information;

bool epio__set_name(HANDLE handle, int which, DWORD flags, const epio__place *to)
{
    size_t bytes = wcslen(to->name) * sizeof *to->name;
    DWORD size = (DWORD)(sizeof(name_information) + bytes);
    name_information *information = calloc(1, size);
    DWORD error = ERROR_NOT_ENOUGH_MEMORY;
    if (information != NULL) {
        information->flags = flags;
        information->root = to->root;
        information->bytes = (DWORD)bytes;
        memcpy(information->name, to->name, bytes);
        if (to->root == NULL && which == EPIO__NT_RENAME_EX) {
            BOOL done = epio__win32.set_information(handle, RENAME_INFO_EX, information, size);
            error = done ? 0 : GetLastError();
        } else {
            if (to->root == NULL) {
                information->name[1] = L'?'; /* \??\ in place of \\?\ and \\.\ */
            }
            error = epio__win32.nt_set_information(handle, which, information, size);
        }
    }
    free(information);
    SetLastError(error);
    return error == 0;
}

/* ---- What is there ---- */

DWORD epio__attributes_at(const epio__place *place)
{
    FILE_BASIC_INFO information = {.FileAttributes = 0};
    if (place->root == NULL) {
        DWORD attributes = GetFileAttributesW(place->name);
        return attributes != INVALID_FILE_ATTRIBUTES ? attributes : 0;
    }
    HANDLE handle = epio__open_name_at(place, FILE_READ_ATTRIBUTES);
    bool known = handle != INVALID_HANDLE_VALUE &&
                 close_after(handle, epio__win32.get_information(handle, FileBasicInfo,
                                                                 &information, sizeof information));
    return known ? information.FileAttributes : 0;
}

DWORD epio__reparse_tag_of(HANDLE handle)
{
    FILE_ATTRIBUTE_TAG_INFO information;
    bool known = epio__win32.get_information(handle, FileAttributeTagInfo, &information,
                                             sizeof information) != FALSE;
    return known && (information.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0
               ? information.ReparseTag
               : 0;
}

bool epio__is_link_at(const epio__place *place)
{
    HANDLE handle = epio__open_name_at(place, FILE_READ_ATTRIBUTES);
    return handle != INVALID_HANDLE_VALUE &&
           close_after(handle, IsReparseTagNameSurrogate(epio__reparse_tag_of(handle)));
}

bool epio__is_directory_at(const epio__place *place)
{
    return (epio__attributes_at(place) & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

int64_t epio__check_new_name(epio_op *op, const char *path, const epio__place *place)
{
    char last = path[strlen(path) - 1];
    bool marked = last == '/' || last == '\\';
    if (marked && epio__attributes_at(place) == 0) {
        return epio__op_fail_with(op, ERROR_FILE_NOT_FOUND);
    }
    return marked ? epio__check_directory_mark(op, path, place) : 0;
}

int64_t epio__check_directory_mark(epio_op *op, const char *path, const epio__place *place)
{
    char last = path[strlen(path) - 1];
    DWORD attributes = last == '/' || last == '\\' ? epio__attributes_at(place) : 0;
    if (attributes != 0 && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
        return epio__op_fail_with(op, ERROR_DIRECTORY);
    }
    return 0;
}

int64_t epio__op_on_place(epio_op *op, bool moves,
                          int64_t (*action)(epio_op *op, const epio__place *place))
{
    const char *path = op->arguments.path.path;
    epio__place place;
    int64_t result = epio__op_place(op, path, !moves, &place);
    result = result == 0 && moves ? epio__check_directory_mark(op, path, &place) : result;
    if (result == 0) {
        result = action(op, &place);
    }
    epio__place_drop(&place);
    return result;
}

/* Is a part of it, other than the last, not a directory? */
static bool leads_through_file(const epio__place *place)
{
    epio__place part = {.root = place->root, .name = _wcsdup(place->name)};
    size_t root = place->root == NULL ? epio__root_len(place->name) : 0;
    bool found = false;
    for (size_t end = wcslen(place->name); part.name != NULL && !found && end > root; end--) {
        if (part.name[end] == L'\\') {
            part.name[end] = L'\0';
            DWORD attributes = epio__attributes_at(&part);
            found = attributes != 0 && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
        }
    }
    epio__place_drop(&part);
    return found;
}

int64_t epio__op_fail_on_path(epio_op *op, const epio__place *place, DWORD error)
{
    if ((error == ERROR_PATH_NOT_FOUND || error == ERROR_FILE_NOT_FOUND) &&
        leads_through_file(place)) {
        error = ERROR_DIRECTORY; /* it is not a valid directory */
    }
    return epio__op_fail_with(op, error);
}

int64_t epio__op_fail_at(epio_op *op, const epio__place *place, DWORD error)
{
    if (error == ERROR_ACCESS_DENIED && epio__is_directory_at(place)) {
        error = ERROR_DIRECTORY_NOT_SUPPORTED;
    }
    return epio__op_fail_on_path(op, place, error);
}

bool epio__is_sharing_violation(DWORD error)
{
    return error == ERROR_SHARING_VIOLATION || error == ERROR_UNABLE_TO_REMOVE_REPLACED ||
           error == ERROR_UNABLE_TO_MOVE_REPLACEMENT || error == ERROR_UNABLE_TO_MOVE_REPLACEMENT_2;
}

/* op->arguments.path.len, unused by the ops that are retried, counts the time spent retrying. */
bool epio__op_retries(epio_op *op, DWORD error)
{
    uint64_t waited = op->arguments.path.len;
    if (op->timeout_ns == 0 && waited >= MOST_PATIENCE_NS) {
        return false;
    }
    uint64_t delay = waited < FIRST_DELAY_NS ? FIRST_DELAY_NS : waited;
    delay = delay > LAST_DELAY_NS ? LAST_DELAY_NS : delay;
    op->arguments.path.len = waited + delay;
    op->due = epio__monotonic_time() + delay;
    op->os_error = (int32_t)error; /* why it waits, if its deadline comes first */
    return true;
}

int64_t epio__op_fail_or_retry(epio_op *op, const epio__place *place, DWORD error, bool denied)
{
    bool in_use = epio__is_sharing_violation(error) ||
                  (denied && error == ERROR_ACCESS_DENIED && !epio__is_directory_at(place) &&
                   (epio__attributes_at(place) & FILE_ATTRIBUTE_READONLY) == 0);
    return in_use && epio__op_retries(op, error) ? EPIO_RETRY : epio__op_fail_at(op, place, error);
}
