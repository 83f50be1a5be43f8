/* What is done with paths alone: delete, rename, access, full_pathname. */
#include "win32/win32.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Windows 10, version 1607: by number, as older headers do not name them. */
#define DISPOSITION_INFO_EX ((FILE_INFO_BY_HANDLE_CLASS)21)
#define RENAME_INFO_EX ((FILE_INFO_BY_HANDLE_CLASS)22)
#define DELETE_POSIX 0x3u         /* delete, with POSIX semantics */
#define RENAME_REPLACE_POSIX 0x3u /* likewise */
#define RENAME_POSIX 0x2u

/* What is done to the name by a handle that writes through is on the medium then. */
static HANDLE open_for(const WCHAR *name, DWORD access, bool durable)
{
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    return CreateFileW(name, access, share, NULL, OPEN_EXISTING,
                       flags | (durable ? FILE_FLAG_WRITE_THROUGH : 0), NULL);
}

static bool is_read_only(const WCHAR *name)
{
    return (epio__attributes_of(name) & FILE_ATTRIBUTE_READONLY) != 0;
}

/* ---- Delete ---- */

/* The name goes at once, even if somebody has the file open; only newer systems and file
 * systems can. */
static bool delete_as_posix(const WCHAR *name, bool durable)
{
    DWORD flags = DELETE_POSIX;
    HANDLE handle = open_for(name, DELETE, durable);
    if (handle == INVALID_HANDLE_VALUE) {
        return false;
    }
    BOOL done = SetFileInformationByHandle(handle, DISPOSITION_INFO_EX, &flags, sizeof flags);
    (void)CloseHandle(handle);
    return done != FALSE;
}

/* Elsewhere it first gets another name, since its own would be taken until whoever has
 * it open has closed it. To be freed; NULL: it still has the old one. */
static WCHAR *put_aside(const WCHAR *name, bool durable)
{
    const WCHAR *last = wcsrchr(name, L'\\');
    size_t folder_len = (size_t)(last - name);
    size_t room = folder_len + 64;
    uint64_t random;
    WCHAR *aside = malloc(room * sizeof *aside);
    if (aside == NULL) {
        return NULL;
    }
    epio__random_bytes(&random, sizeof random);
    (void)swprintf(aside, room, L"%.*ls\\.epio-%08lx%08lx", (int)folder_len, name,
                   (unsigned long)(random >> 32), (unsigned long)(random & 0xFFFFFFFFu));
    if (!MoveFileExW(name, aside, durable ? MOVEFILE_WRITE_THROUGH : 0)) {
        free(aside);
        return NULL;
    }
    return aside;
}

static bool delete_in_two_steps(const WCHAR *name, bool durable)
{
    WCHAR *aside = put_aside(name, durable);
    bool done = aside != NULL && DeleteFileW(aside);
    DWORD error = GetLastError();
    if (aside != NULL && !done) {
        (void)MoveFileExW(aside, name, 0);
    }
    free(aside);
    SetLastError(error);
    return done;
}

bool epio__remove_name(const WCHAR *name, bool durable)
{
    return delete_as_posix(name, durable) || delete_in_two_steps(name, durable) ||
           DeleteFileW(name);
}

static int64_t delete_name(epio_op *op, const WCHAR *name)
{
    if (epio__is_folder(name)) {
        return epio__op_fail_with(op, ERROR_DIRECTORY_NOT_SUPPORTED);
    }
    if (is_read_only(name)) {
        return epio__op_fail_with(op, ERROR_ACCESS_DENIED);
    }
    if (epio__remove_name(name, (op->flags & EPIO_DELETE_SYNC_DIR) != 0)) {
        return 0;
    }
    return epio__op_fail_or_retry(op, name, GetLastError(), true);
}

/* ---- Rename ---- */

typedef struct rename_information {
    DWORD flags;
    HANDLE root;
    DWORD bytes;
    WCHAR name[1];
} rename_information;

/* Replaces a file that is open, too. */
static bool rename_as_posix(const WCHAR *from, const WCHAR *to, DWORD flags, bool durable)
{
    size_t bytes = wcslen(to) * sizeof *to;
    rename_information *information = calloc(1, sizeof *information + bytes);
    HANDLE handle = open_for(from, DELETE | SYNCHRONIZE, durable);
    BOOL done = FALSE;
    if (information != NULL && handle != INVALID_HANDLE_VALUE) {
        information->flags = flags;
        information->bytes = (DWORD)bytes;
        memcpy(information->name, to, bytes);
        done = SetFileInformationByHandle(handle, RENAME_INFO_EX, information,
                                          (DWORD)(sizeof *information + bytes));
    }
    if (handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(handle);
    }
    free(information);
    return done != FALSE;
}

/* Older systems and file systems do not let an open file be replaced: it gets another name
 * first, so that for a moment nothing has this one. */
static bool replace_in_two_steps(const WCHAR *from, const WCHAR *to, bool durable)
{
    WCHAR *aside = put_aside(to, durable);
    bool done = aside != NULL && MoveFileExW(from, to, durable ? MOVEFILE_WRITE_THROUGH : 0);
    if (aside != NULL && done) {
        (void)DeleteFileW(aside);
    } else if (aside != NULL) {
        (void)MoveFileExW(aside, to, 0);
    }
    free(aside);
    return done;
}

static int64_t rename_name(epio_op *op, const WCHAR *from, const WCHAR *to)
{
    bool replace = (op->flags & EPIO_RENAME_NO_REPLACE) == 0;
    if (!replace && epio__attributes_of(to) != 0 && epio__attributes_of(from) != 0) {
        return epio__op_fail_with(op, ERROR_ALREADY_EXISTS); /* the file itself counts too */
    }
    bool durable = (op->flags & EPIO_RENAME_SYNC_DIR) != 0;
    if (replace && epio__is_folder(to) && !epio__is_folder(from)) {
        return epio__op_fail_with(op, ERROR_DIRECTORY_NOT_SUPPORTED);
    }
    if (rename_as_posix(from, to, replace ? RENAME_REPLACE_POSIX : RENAME_POSIX, durable)) {
        return 0;
    }
    DWORD flags =
        (replace ? MOVEFILE_REPLACE_EXISTING : 0) | (durable ? MOVEFILE_WRITE_THROUGH : 0);
    if (MoveFileExW(from, to, flags)) {
        return 0;
    }
    DWORD error = GetLastError();
    bool in_the_way = replace && error == ERROR_ACCESS_DENIED && !is_read_only(to) &&
                      !epio__is_folder(to) && epio__attributes_of(from) != 0;
    if (in_the_way && replace_in_two_steps(from, to, durable)) {
        return 0;
    }
    if (epio__attributes_of(from) != 0 && error == ERROR_PATH_NOT_FOUND) {
        return epio__op_fail_for(op, to, error);
    }
    return epio__op_fail_or_retry(op, from, error, true);
}

static int64_t rename_path(epio_op *op, const WCHAR *from)
{
    int error;
    WCHAR *to = epio__op_wide_name(op, op->arguments.path.to, &error);
    int64_t result = to != NULL ? epio__check_folder_mark(op, op->arguments.path.to, to) : error;
    if (result == 0) {
        result = rename_name(op, from, to);
    }
    free(to);
    return result;
}

/* ---- Access ---- */

static bool means_not_there(DWORD error)
{
    int meaning = epio__error_from_os((int32_t)error);
    return meaning == EPIO_ENOENT || meaning == EPIO_ENOTDIR || meaning == EPIO_EACCES;
}

static int64_t access_name(epio_op *op, const WCHAR *name)
{
    DWORD attributes = GetFileAttributesW(name);
    if (attributes == INVALID_FILE_ATTRIBUTES) {
        return means_not_there(GetLastError()) ? 0 : epio__op_fail(op);
    }
    if (op->flags == EPIO_ACCESS_EXISTS) {
        return 1;
    }
    bool writes = op->flags == EPIO_ACCESS_READWRITE;
    bool folder = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    DWORD access = GENERIC_READ | (writes && !folder ? GENERIC_WRITE : 0);
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE handle =
        CreateFileW(name, access, share, NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(handle);
        return 1;
    }
    /* Somebody has it and does not share it: he would be let in at another time. */
    return GetLastError() == ERROR_SHARING_VIOLATION ? 1 : 0;
}

/* ---- Full pathname ---- */

/* What a handle is called, links resolved; NULL if the system does not say. */
static WCHAR *final_name(const WCHAR *name)
{
    HANDLE handle = CreateFileW(name, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (handle == INVALID_HANDLE_VALUE) {
        return NULL;
    }
    DWORD room = GetFinalPathNameByHandleW(handle, NULL, 0, FILE_NAME_NORMALIZED);
    WCHAR *final = room > 0 ? malloc(((size_t)room + 1) * sizeof *final) : NULL;
    if (final != NULL) {
        DWORD len = GetFinalPathNameByHandleW(handle, final, room + 1, FILE_NAME_NORMALIZED);
        if (len == 0 || len > room) {
            free(final);
            final = NULL;
        }
    }
    (void)CloseHandle(handle);
    return final;
}

/* The file is not there: its folder's final name and its own. NULL: neither is its
 * folder, or there is no memory. */
static WCHAR *final_name_of_missing(WCHAR *name)
{
    WCHAR *last = wcsrchr(name, L'\\');
    last[0] = L'\0';
    bool drive = last == wcschr(name, L':') + 1; /* a drive needs its slash */
    WCHAR root[] = L"\\\\?\\X:\\";
    root[4] = name[4];
    const WCHAR *folder = drive ? root : name;
    WCHAR *resolved = epio__is_folder(folder) ? final_name(folder) : NULL;
    if (resolved == NULL && epio__is_folder(folder)) {
        resolved = _wcsdup(folder);
    }
    WCHAR *joined = NULL;
    if (resolved != NULL) {
        size_t len = wcslen(resolved);
        joined = malloc((len + wcslen(last + 1) + 2) * sizeof *joined);
        if (joined != NULL) {
            wcscpy(joined, resolved);
            wcscat(joined, len > 0 && resolved[len - 1] == L'\\' ? L"" : L"\\");
            wcscat(joined, last + 1);
        }
    }
    free(resolved);
    last[0] = L'\\';
    return joined;
}

static int64_t full_pathname(epio_op *op, WCHAR *name)
{
    bool there = GetFileAttributesW(name) != INVALID_FILE_ATTRIBUTES;
    WCHAR *final = there ? final_name(name) : final_name_of_missing(name);
    if (final == NULL && !there) {
        return epio__op_fail_for(op, name, ERROR_PATH_NOT_FOUND);
    }
    char *path = epio__narrow_name(final != NULL ? final : name);
    free(final);
    if (path == NULL) {
        return EPIO_ENOMEM;
    }
    size_t len = strlen(path);
    int64_t result = EPIO_ERANGE;
    if (len < op->arguments.path.len) {
        memcpy(op->arguments.path.buffer, path, len + 1);
        result = (int64_t)len;
    }
    free(path);
    return result;
}

int64_t epio__path_perform(epio_op *op)
{
    int error;
    int64_t result;
    WCHAR *name = epio__op_wide_name(op, op->arguments.path.path, &error);
    if (name == NULL) {
        return error;
    }
    bool moves = op->kind == EPIO_KIND_DELETE || op->kind == EPIO_KIND_RENAME;
    result = moves ? epio__check_folder_mark(op, op->arguments.path.path, name) : 0;
    if (result != 0) {
        free(name);
        return result;
    }
    switch (op->kind) {
    case EPIO_KIND_DELETE:
        result = delete_name(op, name);
        break;
    case EPIO_KIND_RENAME:
        result = rename_path(op, name);
        break;
    case EPIO_KIND_ACCESS:
        result = access_name(op, name);
        break;
    case EPIO_KIND_FULL_PATHNAME:
        result = full_pathname(op, name);
        break;
    default:
        result = EPIO_ENOTSUP;
        break;
    }
    free(name);
    return result;
}
