/* Operations on paths alone: delete, rename, access, full_pathname. */
#include "reason.h"
#include "win32/win32.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Windows 10, version 1607: by number, as older headers lack the names. */
#define DISPOSITION_INFO_EX ((FILE_INFO_BY_HANDLE_CLASS)21)
#define RENAME_INFO_EX ((FILE_INFO_BY_HANDLE_CLASS)22)
#define DELETE_POSIX 0x3u /* delete, with POSIX semantics */
#define RENAME_REPLACE 0x1u
#define RENAME_POSIX 0x2u

/* Windows 10, version 1809: deletes without checking the read-only attribute. */
#define DELETE_READ_ONLY 0x10u
#define RENAME_OVER_READ_ONLY 0x40u

/* What a write-through handle does to a name is on the medium when the call returns, unless the
 * device ignores the flag: see begin_durable. */
static HANDLE open_for(const WCHAR *name, DWORD access, bool durable)
{
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    return CreateFileW(name, access, share, NULL, OPEN_EXISTING,
                       flags | (durable ? FILE_FLAG_WRITE_THROUGH : 0), NULL);
}

/* `tail`, a format of two numbers, in the directory of a name; the caller frees it. NULL: no
 * memory. */
static WCHAR *beside(const WCHAR *name, const WCHAR *tail)
{
    size_t directory_len = (size_t)(wcsrchr(name, L'\\') - name);
    size_t room = directory_len + 64;
    uint64_t random;
    WCHAR *other = malloc(room * sizeof *other);
    if (other != NULL) {
        epio__random_bytes(&random, sizeof random);
        wmemcpy(other, name, directory_len);
        (void)swprintf(other + directory_len, room - directory_len, tail,
                       (unsigned long)(random >> 32), (unsigned long)(random & 0xFFFFFFFFu));
    }
    return other;
}

/* ---- Durable names ---- */

/* A volume logs changes of names. Flushing any of its files writes the log and empties the
 * device's cache, which FILE_FLAG_WRITE_THROUGH alone may not do. A handle for that, opened
 * before anything is changed: of the file itself (NULL: there will be none), if it can be
 * written, else of a new file beside `name`. INVALID_HANDLE_VALUE and GetLastError. */
static HANDLE begin_durable(const WCHAR *file, const WCHAR *name)
{
    const DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE handle = INVALID_HANDLE_VALUE;
    if (file != NULL) {
        handle = CreateFileW(file, GENERIC_WRITE, share, NULL, OPEN_EXISTING,
                             FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    }
    if (handle != INVALID_HANDLE_VALUE) {
        return handle;
    }
    WCHAR *other = beside(name, L"\\.epio-sync-%08lx%08lx");
    if (other == NULL) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return handle;
    }
    handle = CreateFileW(other, GENERIC_WRITE | DELETE, share, NULL, CREATE_NEW,
                         FILE_FLAG_DELETE_ON_CLOSE | FILE_ATTRIBUTE_HIDDEN, NULL);
    DWORD error = GetLastError();
    free(other);
    SetLastError(error);
    return handle;
}

static DWORD end_durable(HANDLE handle)
{
    DWORD error = epio__win32.flush(handle) ? 0 : GetLastError();
    (void)CloseHandle(handle);
    return error;
}

DWORD epio__make_name_durable(const WCHAR *name)
{
    HANDLE handle = begin_durable(name, name);
    return handle != INVALID_HANDLE_VALUE ? end_durable(handle) : GetLastError();
}

int64_t epio__op_fail_to_be_durable(epio_op *op, DWORD error)
{
    op->os_error = (int32_t)error;
    return EPIO_EIO;
}

/* `file` as in begin_durable. */
static int64_t change_durably(epio_op *op, const WCHAR *file, const WCHAR *from, const WCHAR *to,
                              int64_t (*change)(epio_op *op, const WCHAR *from, const WCHAR *to))
{
    HANDLE handle = begin_durable(file, to);
    if (handle == INVALID_HANDLE_VALUE) {
        return epio__op_fail_for(op, to, GetLastError());
    }
    int64_t result = change(op, from, to);
    if (result != 0) {
        (void)CloseHandle(handle);
        return result;
    }
    DWORD error = end_durable(handle);
    return error == 0 ? 0 : epio__op_fail_to_be_durable(op, error);
}

/* ---- Read-only files ---- */

/* In POSIX the permissions of the directory decide who may delete or replace a name. Where the
 * system has no such flag, the read-only attribute is removed for the moment; if the file has
 * other names, for good. False: it was not read-only, or the attribute stays. */
static bool lift_read_only(const WCHAR *name, DWORD *attributes)
{
    *attributes = epio__attributes_of(name);
    DWORD others = *attributes & ~(DWORD)FILE_ATTRIBUTE_READONLY;
    return (*attributes & FILE_ATTRIBUTE_READONLY) != 0 &&
           SetFileAttributesW(name, others != 0 ? others : FILE_ATTRIBUTE_NORMAL);
}

/* ---- Two steps, where there are no POSIX semantics ---- */

/* Renames the file first: its own name would stay in use until the last handle is closed. The
 * caller frees it; NULL: it still has the old name. */
static WCHAR *put_aside(const WCHAR *name, bool durable)
{
    WCHAR *aside = beside(name, L"\\.epio-%08lx%08lx");
    if (aside != NULL && !MoveFileExW(name, aside, durable ? MOVEFILE_WRITE_THROUGH : 0)) {
        free(aside);
        return NULL;
    }
    return aside;
}

/* Deletes the files that earlier calls left in this directory, except those still in use. */
static void sweep(const WCHAR *name)
{
    size_t directory_len = (size_t)(wcsrchr(name, L'\\') - name) + 1;
    size_t room = directory_len + MAX_PATH + 1;
    WIN32_FIND_DATAW found;
    WCHAR *path = malloc(room * sizeof *path);
    if (path == NULL) {
        return;
    }
    wmemcpy(path, name, directory_len);
    wcscpy(path + directory_len, L".epio-old-*");
    HANDLE list = FindFirstFileW(path, &found);
    if (list != INVALID_HANDLE_VALUE) {
        do {
            wcscpy(path + directory_len, found.cFileName);
            (void)epio__win32.delete_file(path);
        } while (FindNextFileW(list, &found));
        (void)FindClose(list);
    }
    free(path);
}

/* Deletes a replaced file. A running program or a mapped file cannot be deleted: it is hidden
 * until the next sweep or, if the user has the right to request that, the next start. */
static void discard(const WCHAR *aside)
{
    if (epio__win32.delete_file(aside)) {
        return;
    }
    WCHAR *old = beside(aside, L"\\.epio-old-%08lx%08lx");
    const WCHAR *kept = old != NULL && MoveFileExW(aside, old, 0) ? old : aside;
    DWORD attributes = epio__attributes_of(kept);
    (void)SetFileAttributesW(kept, attributes | FILE_ATTRIBUTE_HIDDEN);
    (void)MoveFileExW(kept, NULL, MOVEFILE_DELAY_UNTIL_REBOOT);
    free(old);
}

/* ---- Delete ---- */

/* The name is gone at once, even if the file is open; only newer systems and file systems can do
 * it. */
static bool delete_as_posix(const WCHAR *name, bool durable)
{
    DWORD flags = DELETE_POSIX | DELETE_READ_ONLY;
    HANDLE handle = open_for(name, DELETE, durable);
    if (handle == INVALID_HANDLE_VALUE) {
        return false;
    }
    BOOL done = epio__win32.set_information(handle, DISPOSITION_INFO_EX, &flags, sizeof flags);
    if (!done) {
        flags = DELETE_POSIX;
        done = epio__win32.set_information(handle, DISPOSITION_INFO_EX, &flags, sizeof flags);
    }
    (void)CloseHandle(handle);
    return done != FALSE;
}

static bool delete_in_two_steps(const WCHAR *name, bool durable)
{
    WCHAR *aside = put_aside(name, durable);
    bool done = aside != NULL && epio__win32.delete_file(aside);
    DWORD error = GetLastError();
    if (aside != NULL && !done) {
        (void)MoveFileExW(aside, name, 0);
    }
    free(aside);
    SetLastError(error);
    return done;
}

static bool delete_somehow(const WCHAR *name, bool durable)
{
    return delete_as_posix(name, durable) || delete_in_two_steps(name, durable) ||
           epio__win32.delete_file(name);
}

bool epio__remove_name(const WCHAR *name, bool durable)
{
    DWORD attributes;
    if (delete_as_posix(name, durable)) {
        return true;
    }
    bool lifted = lift_read_only(name, &attributes);
    bool done = delete_somehow(name, durable);
    DWORD error = GetLastError();
    if (lifted && !done) {
        (void)SetFileAttributesW(name, attributes);
    }
    SetLastError(error);
    return done;
}

static int64_t remove_it(epio_op *op, const WCHAR *name, const WCHAR *same)
{
    (void)same;
    return epio__remove_name(name, (op->flags & EPIO_DELETE_SYNC_DIR) != 0)
               ? 0
               : epio__op_fail_or_retry(op, name, GetLastError(), true);
}

static int64_t delete_name(epio_op *op, WCHAR *name)
{
    DWORD attributes = epio__attributes_of(name);
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        return epio__op_fail_with(op, ERROR_DIRECTORY_NOT_SUPPORTED);
    }
    bool durable = (op->flags & EPIO_DELETE_SYNC_DIR) != 0 && attributes != 0;
    return durable ? change_durably(op, NULL, name, name, remove_it) : remove_it(op, name, name);
}

/* ---- Rename ---- */

typedef struct rename_information {
    DWORD flags;
    HANDLE root;
    DWORD bytes;
    WCHAR name[1];
} rename_information;

/* Replaces an open file, too. */
static bool rename_as_posix(const WCHAR *from, const WCHAR *to, bool replace, bool durable)
{
    size_t bytes = wcslen(to) * sizeof *to;
    DWORD size = (DWORD)(sizeof(rename_information) + bytes);
    rename_information *information = calloc(1, size);
    HANDLE handle = open_for(from, DELETE | SYNCHRONIZE, durable);
    BOOL done = FALSE;
    if (information != NULL && handle != INVALID_HANDLE_VALUE) {
        information->flags = RENAME_POSIX | (replace ? RENAME_REPLACE | RENAME_OVER_READ_ONLY : 0);
        information->bytes = (DWORD)bytes;
        memcpy(information->name, to, bytes);
        done = epio__win32.set_information(handle, RENAME_INFO_EX, information, size);
        if (!done && replace) {
            information->flags = RENAME_POSIX | RENAME_REPLACE;
            done = epio__win32.set_information(handle, RENAME_INFO_EX, information, size);
        }
    }
    if (handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(handle);
    }
    free(information);
    return done != FALSE;
}

/* Older systems and file systems do not replace an open file: it is renamed first, so that for a
 * moment no file has the name. (ReplaceFileW has that moment too, and would mix the old file's
 * attributes, permissions and streams into the new one.) */
static bool replace_in_two_steps(const WCHAR *from, const WCHAR *to, bool durable)
{
    WCHAR *aside = put_aside(to, durable);
    bool done = aside != NULL && MoveFileExW(from, to, durable ? MOVEFILE_WRITE_THROUGH : 0);
    DWORD error = GetLastError();
    if (aside != NULL && done) {
        discard(aside);
        sweep(to);
    } else if (aside != NULL) {
        (void)MoveFileExW(aside, to, 0);
    }
    free(aside);
    SetLastError(error);
    return done;
}

/* By whichever call works: false and GetLastError. */
static bool move(const WCHAR *from, const WCHAR *to, bool replace, bool durable)
{
    DWORD flags =
        (replace ? MOVEFILE_REPLACE_EXISTING : 0) | (durable ? MOVEFILE_WRITE_THROUGH : 0);
    if (rename_as_posix(from, to, replace, durable) || MoveFileExW(from, to, flags)) {
        return true;
    }
    DWORD error = GetLastError();
    bool in_the_way = replace && error == ERROR_ACCESS_DENIED && epio__attributes_of(to) != 0 &&
                      !epio__is_directory(to) && epio__attributes_of(from) != 0;
    if (in_the_way && replace_in_two_steps(from, to, durable)) {
        return true;
    }
    SetLastError(error);
    return false;
}

static bool move_over_read_only(const WCHAR *from, const WCHAR *to, bool durable)
{
    DWORD attributes;
    DWORD error = GetLastError();
    if (error != ERROR_ACCESS_DENIED || epio__is_directory(to) ||
        !lift_read_only(to, &attributes)) {
        SetLastError(error);
        return false;
    }
    bool done = move(from, to, true, durable);
    error = GetLastError();
    if (!done) {
        (void)SetFileAttributesW(to, attributes);
    }
    SetLastError(error);
    return done;
}

/* A directory cannot move into itself; the system has several errors for it, some of which look
 * as if another process had caused them. */
static bool is_into_itself(const WCHAR *from, const WCHAR *to)
{
    size_t len = wcslen(from);
    return _wcsnicmp(from, to, len) == 0 && to[len] == L'\\' && epio__is_directory(from);
}

static int64_t rename_it(epio_op *op, const WCHAR *from, const WCHAR *to)
{
    bool replace = (op->flags & EPIO_RENAME_NO_REPLACE) == 0;
    bool durable = (op->flags & EPIO_RENAME_SYNC_DIR) != 0;
    if (move(from, to, replace, durable) || (replace && move_over_read_only(from, to, durable))) {
        return 0;
    }
    DWORD error = GetLastError();
    if (epio__attributes_of(from) != 0 && error == ERROR_PATH_NOT_FOUND) {
        return epio__op_fail_for(op, to, error);
    }
    return epio__op_fail_or_retry(op, from, error, true);
}

static int64_t rename_name(epio_op *op, const WCHAR *from, const WCHAR *to)
{
    bool replace = (op->flags & EPIO_RENAME_NO_REPLACE) == 0;
    if (is_into_itself(from, to)) {
        return epio__op_refuse(op, EPIO__REASON_INTO_ITSELF);
    }
    if (!replace && epio__attributes_of(to) != 0 && epio__attributes_of(from) != 0) {
        return epio__op_fail_with(op, ERROR_ALREADY_EXISTS); /* the file itself counts too */
    }
    if (replace && epio__is_directory(to) && !epio__is_directory(from)) {
        return epio__op_fail_with(op, ERROR_DIRECTORY_NOT_SUPPORTED);
    }
    bool durable = (op->flags & EPIO_RENAME_SYNC_DIR) != 0 && epio__attributes_of(from) != 0;
    return durable ? change_durably(op, from, from, to, rename_it) : rename_it(op, from, to);
}

static int64_t rename_path(epio_op *op, WCHAR *from)
{
    int error;
    WCHAR *to = epio__op_wide_name(op, op->arguments.path.to, &error);
    int64_t result = to != NULL ? epio__check_directory_mark(op, op->arguments.path.to, to) : error;
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

static int64_t access_name(epio_op *op, WCHAR *name)
{
    DWORD attributes = GetFileAttributesW(name);
    if (attributes == INVALID_FILE_ATTRIBUTES) {
        return means_not_there(GetLastError()) ? 0 : epio__op_fail(op);
    }
    if (op->flags == EPIO_ACCESS_EXISTS) {
        return 1;
    }
    bool writes = op->flags == EPIO_ACCESS_READWRITE;
    bool directory = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    DWORD access = GENERIC_READ | (writes && !directory ? GENERIC_WRITE : 0);
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE handle =
        CreateFileW(name, access, share, NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
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
    WCHAR *final = room > 0 ? malloc(((size_t)room + 1) * sizeof *final) : NULL;
    if (final != NULL) {
        DWORD len = GetFinalPathNameByHandleW(handle, final, room + 1, FILE_NAME_NORMALIZED);
        if (len == 0 || len > room) {
            free(final);
            final = NULL;
        }
    }
    return final;
}

static WCHAR *final_name(const WCHAR *name)
{
    HANDLE handle = CreateFileW(name, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (handle == INVALID_HANDLE_VALUE) {
        return NULL;
    }
    WCHAR *final = epio__final_name(handle);
    (void)CloseHandle(handle);
    return final;
}

/* For a missing file: its directory's final name and its own name. NULL: the directory is missing
 * too, or there is no memory. */
static WCHAR *final_name_of_missing(WCHAR *name)
{
    WCHAR *last = wcsrchr(name, L'\\');
    last[0] = L'\0';
    bool drive = last == wcschr(name, L':') + 1; /* a drive needs its slash */
    WCHAR root[] = L"\\\\?\\X:\\";
    root[4] = name[4];
    const WCHAR *directory = drive ? root : name;
    WCHAR *resolved = epio__is_directory(directory) ? final_name(directory) : NULL;
    if (resolved == NULL && epio__is_directory(directory)) {
        resolved = _wcsdup(directory);
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
    int error;
    char *path = epio__narrow_name(final != NULL ? final : name, &error);
    free(final);
    if (path == NULL) {
        op->os_error = error == EPIO_EINVAL ? ERROR_NO_UNICODE_TRANSLATION : 0;
        return error;
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

/* `moves`: the op removes the name itself. */
static int64_t act_on_name(epio_op *op, bool moves, int64_t (*act)(epio_op *op, WCHAR *name))
{
    int error;
    WCHAR *name = epio__op_wide_name(op, op->arguments.path.path, &error);
    if (name == NULL) {
        return error;
    }
    int64_t result = moves ? epio__check_directory_mark(op, op->arguments.path.path, name) : 0;
    if (result == 0) {
        result = act(op, name);
    }
    free(name);
    return result;
}

int64_t epio__os_delete(epio_op *op)
{
    return act_on_name(op, true, delete_name);
}

int64_t epio__os_rename(epio_op *op)
{
    return act_on_name(op, true, rename_path);
}

int64_t epio__os_access(epio_op *op)
{
    return act_on_name(op, false, access_name);
}

int64_t epio__os_full_pathname(epio_op *op)
{
    return act_on_name(op, false, full_pathname);
}
