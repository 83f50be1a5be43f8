/* What a path leads to: access, full_pathname. */
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* ---- Access ---- */

static bool means_not_there(DWORD error)
{
    int meaning = epio__error_from_os((int32_t)error);
    return meaning == EPIO_ENOENT || meaning == EPIO_ENOTDIR || meaning == EPIO_EACCES;
}

static int64_t access_file(epio_op *op, const epio__place *place)
{
    DWORD attributes = epio__attributes_at(place);
    if (attributes == 0) {
        return means_not_there(GetLastError()) ? 0 : epio__op_fail(op);
    }
    bool exists = op->flags == EPIO_ACCESS_EXISTS;
    if (exists && (attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) {
        return 1;
    }
    bool writes = op->flags == EPIO_ACCESS_READWRITE;
    bool directory = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    DWORD access = exists ? 0 : GENERIC_READ | (writes && !directory ? (DWORD)GENERIC_WRITE : 0);
    HANDLE handle = epio__open_at(place, access, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS);
    if (handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(handle);
        return 1;
    }
    /* Another handle does not share it now: the access is allowed at another time. */
    return GetLastError() == ERROR_SHARING_VIOLATION ? 1 : 0;
}

/* ---- Full pathname ---- */

WCHAR *epio__final_name(HANDLE handle)
{
    DWORD room = GetFinalPathNameByHandleW(handle, NULL, 0, FILE_NAME_NORMALIZED);
    if (room == 0) {
        return NULL;
    }
    WCHAR *final = malloc(((size_t)room + 1) * sizeof *final);
    DWORD len = 0;
    DWORD error = ERROR_NOT_ENOUGH_MEMORY;
    if (final != NULL) {
        len = GetFinalPathNameByHandleW(handle, final, room + 1, FILE_NAME_NORMALIZED);
        error = len == 0 ? GetLastError() : ERROR_BUSY; /* moved meanwhile, to a longer path */
    }
    if (len == 0 || len > room) {
        free(final);
        SetLastError(error);
        return NULL;
    }
    return final;
}

static WCHAR *final_name(const epio__place *place)
{
    HANDLE handle = epio__open_at(place, 0, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS);
    if (handle == INVALID_HANDLE_VALUE) {
        return NULL;
    }
    WCHAR *final = epio__final_name(handle);
    DWORD error = GetLastError();
    (void)CloseHandle(handle);
    SetLastError(error);
    return final;
}

/* Where the system does not report it (Wine, of a long path): as it was given. */
static WCHAR *final_or_given_name(const epio__place *place)
{
    WCHAR *final = final_name(place);
    return final != NULL ? final : epio__place_name(place);
}

/* For a missing file: its directory's final name and its own name. NULL and GetLastError: the
 * directory is missing too, or there is no memory. */
static WCHAR *final_name_of_missing(const epio__place *place)
{
    epio__place parent;
    WCHAR *joined = NULL;
    DWORD error = ERROR_NOT_ENOUGH_MEMORY;
    if (epio__place_parent(place, &parent)) {
        bool there = epio__is_directory_at(&parent);
        WCHAR *directory = there ? final_or_given_name(&parent) : NULL;
        error = !there ? ERROR_PATH_NOT_FOUND : directory == NULL ? GetLastError() : 0;
        if (directory != NULL) {
            int code;
            const WCHAR *last = place->name + epio__place_parent_len(place);
            joined = epio__join_names(directory, last, &code);
            error =
                code == EPIO_ENAMETOOLONG ? ERROR_FILENAME_EXCED_RANGE : ERROR_NOT_ENOUGH_MEMORY;
        }
        free(directory);
    }
    epio__place_drop(&parent);
    SetLastError(error);
    return joined;
}

/* Is a part of it a link? Those above it are looked at first: what is behind one does not count. */
static bool passes_link(const epio__place *place)
{
    epio__place part = {.root = place->root, .name = _wcsdup(place->name)};
    size_t len = part.name != NULL ? wcslen(part.name) : 0;
    size_t root = place->root == NULL ? epio__root_len(place->name) : 0;
    bool link = place->by_link;
    for (size_t end = root + 1; end <= len && !link; end++) {
        WCHAR kept = part.name[end];
        if (kept == L'\\' || kept == L'\0') {
            part.name[end] = L'\0';
            link = epio__is_link_at(&part);
            part.name[end] = kept;
        }
    }
    epio__place_drop(&part);
    return link;
}

static int64_t full_pathname(epio_op *op, const epio__place *place)
{
    bool there = epio__attributes_at(place) != 0;
    WCHAR *final = there ? final_or_given_name(place) : final_name_of_missing(place);
    if (final == NULL) {
        return epio__op_fail_at(op, place, GetLastError());
    }
    char *path = epio__narrow_name(final);
    free(final);
    if (path == NULL) {
        return EPIO_ENOMEM;
    }
    size_t len = strlen(path);
    int64_t result = EPIO_ERANGE;
    if (len < op->arguments.path.len) {
        memcpy(op->arguments.path.buffer, path, len + 1);
        result = (int64_t)len;
        op->notes |= passes_link(place) ? EPIO_NOTE_FOLLOWED_LINK : 0;
    }
    free(path);
    return result;
}

int64_t epio__os_access(epio_op *op)
{
    int64_t result = epio__op_on_place(op, false, access_file);
    bool none = result < 0 && means_not_there((DWORD)op->os_error);
    op->os_error = none ? 0 : op->os_error;
    return none ? 0 : result;
}

int64_t epio__os_full_pathname(epio_op *op)
{
    return epio__op_on_place(op, false, full_pathname);
}
