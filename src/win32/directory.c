/* Directories: making, removing and listing them. */
#include "packed_entry.h"
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* ---- Copies ---- */

int epio__os_directory_copy(const epio_file *directory, epio_file **copy, int32_t *os_error)
{
    const epio__os_file *from = (const epio__os_file *)(const void *)directory;
    epio__os_file *to = calloc(1, sizeof *to);
    HANDLE handle;
    if (to == NULL) {
        return EPIO_ENOMEM;
    }
    if (!DuplicateHandle(GetCurrentProcess(), epio__handle_of(from), GetCurrentProcess(), &handle,
                         0, FALSE, DUPLICATE_SAME_ACCESS)) {
        *os_error = (int32_t)GetLastError();
        free(to);
        return epio__error_from_os(*os_error);
    }
    /* All that a path's beginning is asked for; the rest belongs to other threads. */
    to->base.vfs = directory->vfs;
    to->confines = from->confines;
    to->handle = (intptr_t)handle;
    *copy = &to->base;
    return 0;
}

void epio__os_directory_drop(epio_file *copy)
{
    if (copy != NULL) {
        (void)CloseHandle(epio__handle_of((const epio__os_file *)(const void *)copy));
        free(copy);
    }
}

/* ---- Making ---- */

static int64_t make(epio_op *op, const epio__place *place, const epio__place *same)
{
    (void)same;
    if (epio__make_directory_at(place)) {
        return 0;
    }
    DWORD error = GetLastError();
    bool there = error == ERROR_ACCESS_DENIED && epio__attributes_at(place) != 0;
    return epio__op_fail_with(op, there ? ERROR_ALREADY_EXISTS : error);
}

static int64_t make_one(epio_op *op, const epio__place *place)
{
    if ((op->flags & EPIO_MKDIR_SYNC_DIR) == 0) {
        return make(op, place, place);
    }
    /* What is there needs no flush, for which its directory might not be writable. */
    return epio__attributes_at(place) != 0 ? epio__op_fail_with(op, ERROR_ALREADY_EXISTS)
                                           : epio__change_durably(op, NULL, place, place, make);
}

/* The length of the name without its last part, at most `len`; 0: nothing is above. */
static size_t parent_len(const epio__place *place, size_t len)
{
    size_t root = place->root == NULL ? epio__root_len(place->name) : 0;
    while (len > root && place->name[len] != L'\\') {
        len--;
    }
    return len > root ? len : 0;
}

static bool is_made(const epio__place *place, int64_t result)
{
    return result == 0 || (result == EPIO_EEXIST && epio__is_directory_at(place));
}

/* Upwards to the first directory that is there or can be made, then down again. */
static int64_t make_all(epio_op *op, const epio__place *place)
{
    size_t whole = wcslen(place->name);
    size_t len = whole;
    int64_t result = make_one(op, place);
    while (result == EPIO_ENOENT) {
        size_t above = parent_len(place, len);
        if (above == 0) {
            break;
        }
        len = above;
        place->name[len] = L'\0';
        result = make_one(op, place);
    }
    while (len < whole && is_made(place, result)) {
        place->name[len] = L'\\';
        len = wcslen(place->name);
        result = make_one(op, place);
    }
    if (len < whole && result == EPIO_EEXIST) {
        return epio__op_fail_with(op, ERROR_DIRECTORY); /* a part of the path is a file */
    }
    return is_made(place, result) ? 0 : result;
}

/* Where the path is confined a place is that of one part: downwards, each by its own path. */
static int64_t make_all_beneath(epio_op *op)
{
    char *path = _strdup(op->arguments.path.path);
    int64_t result = path != NULL ? 0 : EPIO_ENOMEM;
    for (size_t at = 0; result == 0 && path[at] != '\0';) {
        epio__place place;
        at += strspn(path + at, "/\\");
        at += strcspn(path + at, "/\\");
        char end = path[at];
        path[at] = '\0';
        result = epio__op_place(op, path, false, &place);
        if (result == 0 && place.name[0] != L'\0') {
            result = make_one(op, &place);
            /* What is not the last may be a link, and if it is a file the next fails. */
            bool last = end == '\0';
            result = result == EPIO_EEXIST && (!last || epio__is_directory_at(&place)) ? 0 : result;
        }
        epio__place_drop(&place);
        path[at] = end;
    }
    free(path);
    op->os_error = result == 0 ? 0 : op->os_error;
    return result;
}

int64_t epio__os_mkdir(epio_op *op)
{
    bool parents = (op->flags & EPIO_MKDIR_PARENTS) != 0;
    epio__place place;
    if (parents && epio__op_is_confined(op)) {
        return make_all_beneath(op);
    }
    int64_t result = epio__op_place(op, op->arguments.path.path, false, &place);
    if (result == 0) {
        result = parents ? make_all(op, &place) : make_one(op, &place);
    }
    if (result == 0) {
        op->os_error = 0; /* of what was there */
    } else if (result == EPIO_ENOENT && place.name != NULL) {
        result = epio__op_fail_on_path(op, &place, (DWORD)op->os_error);
    }
    epio__place_drop(&place);
    return result;
}

/* ---- Removing ---- */

/* Without POSIX semantics, the read-only attribute is in the way. */
static bool dispose_read_only(HANDLE handle, const epio__place *place, DWORD attributes)
{
    DWORD error = GetLastError();
    DWORD others = attributes & ~(DWORD)FILE_ATTRIBUTE_READONLY;
    bool done = false;
    if (error == ERROR_ACCESS_DENIED && others != attributes &&
        epio__set_attributes_at(place, others)) {
        done = epio__dispose(handle);
        error = GetLastError();
        if (!done) {
            (void)epio__set_attributes_at(place, attributes);
        }
    }
    SetLastError(error);
    return done;
}

static int64_t fail_to_remove(epio_op *op, const epio__place *place, DWORD error)
{
    /* As an error for a directory this is not the same as for a file. */
    return error == ERROR_ACCESS_DENIED ? epio__op_fail_with(op, error)
                                        : epio__op_fail_or_retry(op, place, error, false);
}

static int64_t remove_directory(epio_op *op, const epio__place *place, const epio__place *same)
{
    (void)same;
    FILE_BASIC_INFO information;
    DWORD lasting = (op->flags & EPIO_RMDIR_SYNC_DIR) != 0 ? FILE_FLAG_WRITE_THROUGH : 0;
    HANDLE handle =
        epio__open_at(place, DELETE | FILE_READ_ATTRIBUTES, OPEN_EXISTING,
                      FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT | lasting);
    if (handle == INVALID_HANDLE_VALUE) {
        return fail_to_remove(op, place, GetLastError());
    }
    DWORD error = 0;
    if (!epio__win32.get_information(handle, FileBasicInfo, &information, sizeof information)) {
        error = GetLastError();
    } else if ((information.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0 ||
               IsReparseTagNameSurrogate(epio__reparse_tag_of(handle))) {
        error = ERROR_DIRECTORY;
    } else if (!epio__dispose(handle) &&
               !dispose_read_only(handle, place, information.FileAttributes)) {
        error = GetLastError();
    }
    (void)CloseHandle(handle);
    return error == 0 ? 0 : fail_to_remove(op, place, error);
}

/* "directory/.", too. */
static bool is_dot(const char *path)
{
    size_t len = strlen(path);
    while (len > 0 && (path[len - 1] == '/' || path[len - 1] == '\\')) {
        len--;
    }
    return len > 0 && path[len - 1] == '.' &&
           (len == 1 || path[len - 2] == '/' || path[len - 2] == '\\');
}

int64_t epio__os_rmdir(epio_op *op)
{
    bool lasting = (op->flags & EPIO_RMDIR_SYNC_DIR) != 0;
    epio__place place;
    int64_t result = epio__op_place(op, op->arguments.path.path, false, &place);
    if (result == 0 && is_dot(op->arguments.path.path)) {
        result = epio__op_fail_with(op, ERROR_INVALID_NAME);
    } else if (result == 0) {
        lasting = lasting && epio__attributes_at(&place) != 0;
        result = lasting ? epio__change_durably(op, NULL, &place, &place, remove_directory)
                         : remove_directory(op, &place, &place);
    }
    epio__place_drop(&place);
    return result;
}

/* By a handle of it. */
static DWORD make_names_durable(HANDLE directory)
{
    WCHAR itself[] = L"";
    const epio__place place = {.root = directory, .name = itself};
    return epio__make_name_durable(&place);
}

int64_t epio__sync_directory(epio_op *op)
{
    DWORD error = make_names_durable(epio__handle_of(&epio__win32_file_of(op)->base));
    return error == 0 ? 0 : epio__op_fail_with(op, error);
}

int64_t epio__os_sync_directory(epio_op *op)
{
    HANDLE handle;
    FILE_BASIC_INFO information;
    int64_t result = epio__op_open_metadata(op, FILE_READ_ATTRIBUTES, true, &handle);
    if (result != 0) {
        return result;
    }
    if (!epio__win32.get_information(handle, FileBasicInfo, &information, sizeof information)) {
        result = epio__op_fail(op);
    } else if ((information.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
        result = epio__op_fail_with(op, ERROR_DIRECTORY);
    } else {
        DWORD error = make_names_durable(handle);
        bool begun = error != ERROR_ACCESS_DENIED; /* what a flush of a file never is */
        result = error == 0 ? 0
                 : begun    ? epio__op_fail_to_be_durable(op, error)
                            : epio__op_fail_with(op, error);
    }
    (void)CloseHandle(handle);
    return result;
}

/* ---- Listing ---- */

/* What one call of the system returns; servers do not fill more than 64 KiB. */
#define LISTING_SIZE 32768u

/* Calls of one directory may come from several threads: one of them at a time takes what is left
 * of the last answer, and asks for the next. */
typedef struct listing {
    epio__mutex mutex;
    bool more;  /* an entry begins at `at` */
    bool taken; /* and was taken, by epio__listing_next */
    uint32_t at;
    uint64_t answer[LISTING_SIZE / sizeof(uint64_t)]; /* FILE_ID_BOTH_DIR_INFO, one after another */
} listing;

void *epio__listing_create(void)
{
    listing *list = malloc(sizeof *list);
    if (list != NULL) {
        epio__mutex_init(&list->mutex);
        list->more = false;
        list->taken = false;
        list->at = 0;
    }
    return list;
}

void epio__listing_destroy(void *of_directory)
{
    listing *list = of_directory;
    if (list != NULL) {
        epio__mutex_destroy(&list->mutex);
        free(list);
    }
}

static const FILE_ID_BOTH_DIR_INFO *entry_of(const listing *list)
{
    return (const FILE_ID_BOTH_DIR_INFO *)(const void *)((const char *)list->answer + list->at);
}

static void advance(listing *list)
{
    DWORD next = entry_of(list)->NextEntryOffset;
    list->more = next != 0;
    list->at += next;
}

/* 0 or an error; without `more`, the list is at its end. */
static DWORD ask(listing *list, HANDLE handle, bool rewind)
{
    list->at = 0;
    list->more = epio__win32.get_information(
                     handle, rewind ? FileIdBothDirectoryRestartInfo : FileIdBothDirectoryInfo,
                     list->answer, sizeof list->answer) != FALSE;
    DWORD error = list->more ? 0 : GetLastError();
    /* The second is that of a directory without any entry, such as an empty volume's root. */
    return error == ERROR_NO_MORE_FILES || error == ERROR_FILE_NOT_FOUND ? 0 : error;
}

static bool is_dots(const FILE_ID_BOTH_DIR_INFO *entry)
{
    size_t len = entry->FileNameLength / sizeof(WCHAR);
    return (len == 1 || (len == 2 && entry->FileName[1] == L'.')) && entry->FileName[0] == L'.';
}

const FILE_ID_BOTH_DIR_INFO *epio__listing_next(void *of_directory, HANDLE handle, DWORD *error)
{
    listing *list = of_directory;
    *error = 0;
    for (;;) {
        if (list->taken) {
            advance(list);
        }
        if (!list->more) {
            *error = ask(list, handle, false);
        }
        list->taken = list->more;
        if (!list->more || !is_dots(entry_of(list))) {
            return list->more ? entry_of(list) : NULL;
        }
    }
}

/* The bytes it takes; 0: it does not fit. */
static uint32_t convert(const FILE_ID_BOTH_DIR_INFO *from, char *to, size_t room)
{
    size_t units = from->FileNameLength / sizeof(WCHAR);
    size_t name_len = epio__narrow(from->FileName, units, NULL);
    uint32_t size = epio__entry_size(name_len, true);
    epio_info info;
    if (size > room) {
        return 0;
    }
    epio__describe_entry(from, &info);
    char *name = epio__entry_put(to, name_len, info.type, (uint64_t)from->FileId.QuadPart, &info);
    (void)epio__narrow(from->FileName, units, name);
    return size;
}

/* As many entries as fit: their length, and 0 or an error. */
static size_t fill(listing *list, epio_op *op, HANDLE handle, DWORD *error)
{
    bool rewind = (op->flags & EPIO_LIST_REWIND) != 0;
    char *buffer = op->arguments.path.buffer;
    size_t len = (size_t)op->arguments.path.len;
    size_t filled = 0;
    *error = 0;
    for (;;) {
        if (rewind || !list->more) {
            *error = ask(list, handle, rewind);
            rewind = false;
        }
        if (!list->more) {
            return filled;
        }
        if (!is_dots(entry_of(list))) {
            uint32_t taken = convert(entry_of(list), buffer + filled, len - filled);
            if (taken == 0) {
                *error = ERROR_MORE_DATA;
                return filled;
            }
            filled += taken;
        }
        advance(list);
    }
}

bool epio__is_removed(HANDLE handle)
{
    FILE_STANDARD_INFO information;
    return epio__win32.get_information(handle, FileStandardInfo, &information,
                                       sizeof information) &&
           information.DeletePending;
}

int64_t epio__os_list(epio_op *op)
{
    epio__os_file *file = &epio__win32_file_of(op)->base;
    HANDLE handle = epio__handle_of(file);
    listing *list = file->listing;
    DWORD error;
    epio__mutex_lock(&list->mutex);
    size_t filled = fill(list, op, handle, &error);
    epio__mutex_unlock(&list->mutex);
    if (filled != 0 || error == 0) {
        return (int64_t)filled;
    }
    if (error == ERROR_MORE_DATA) {
        return EPIO_ERANGE;
    }
    return epio__op_fail_with(op, error == ERROR_ACCESS_DENIED && epio__is_removed(handle)
                                      ? ERROR_FILE_NOT_FOUND
                                      : error);
}
