/* Names that go or move: delete, rename; and changes of names that are durable. */
#include "reason.h"
#include "win32/win32.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Windows 10, version 1607: by number, as older headers lack the name. */
#define DISPOSITION_INFO_EX ((FILE_INFO_BY_HANDLE_CLASS)21)
#define DELETE_POSIX 0x3u /* delete, with POSIX semantics */
#define RENAME_REPLACE 0x1u
#define RENAME_POSIX 0x2u

/* Windows 10, version 1809: deletes without checking the read-only attribute. */
#define DELETE_READ_ONLY 0x10u
#define RENAME_OVER_READ_ONLY 0x40u

/* What a write-through handle does to a name is on the medium when the call returns, unless the
 * device ignores the flag: see begin_durable. */
static HANDLE open_for(const epio__place *place, DWORD access, bool durable)
{
    DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    return epio__open_at(place, access, OPEN_EXISTING,
                         flags | (durable ? FILE_FLAG_WRITE_THROUGH : 0));
}

/* Keeps the error of the call before. */
static void close_handle(HANDLE handle)
{
    DWORD error = GetLastError();
    (void)CloseHandle(handle);
    SetLastError(error);
}

static void drop(epio__place *place)
{
    DWORD error = GetLastError();
    epio__place_drop(place);
    SetLastError(error);
}

epio__place epio__place_beside(const epio__place *place, const WCHAR *last)
{
    size_t directory_len = epio__place_parent_len(place);
    size_t room = directory_len + 64;
    uint64_t random;
    epio__place other = {.root = place->root,
                         .name = malloc(room * sizeof *other.name),
                         .confined = place->confined};
    if (other.name != NULL) {
        epio__random_bytes(&random, sizeof random);
        wmemcpy(other.name, place->name, directory_len);
        (void)swprintf(other.name + directory_len, room - directory_len, last,
                       (unsigned long)(random >> 32), (unsigned long)(random & 0xFFFFFFFFu));
    }
    return other;
}

/* A name that begins or ends in an open directory is known to no other call. */
bool epio__move_once(const epio__place *from, const epio__place *to, bool replace, bool durable)
{
    if (from->root == NULL && to->root == NULL) {
        return MoveFileExW(from->name, to->name,
                           (replace ? MOVEFILE_REPLACE_EXISTING : 0) |
                               (durable ? MOVEFILE_WRITE_THROUGH : 0)) != FALSE;
    }
    HANDLE handle = open_for(from, DELETE | SYNCHRONIZE, durable);
    if (handle == INVALID_HANDLE_VALUE) {
        return false;
    }
    bool done = epio__set_name(handle, EPIO__NT_RENAME, replace ? RENAME_REPLACE : 0, to);
    close_handle(handle);
    return done;
}

/* ---- Durable names ---- */

/* A volume logs changes of names. Flushing any of its files writes the log and empties the
 * device's cache, which FILE_FLAG_WRITE_THROUGH alone may not do. A handle for that, opened
 * before anything is changed: of the file itself (NULL: there will be none), if it can be
 * written, else of a new file beside `place`. INVALID_HANDLE_VALUE and GetLastError. */
static HANDLE begin_durable(const epio__place *file, const epio__place *place)
{
    HANDLE handle = INVALID_HANDLE_VALUE;
    if (file != NULL) {
        handle = epio__open_at(file, GENERIC_WRITE, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT);
    }
    if (handle != INVALID_HANDLE_VALUE) {
        return handle;
    }
    epio__place other = epio__place_beside(place, L".epio-sync-%08lx%08lx");
    if (other.name == NULL) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return handle;
    }
    handle = epio__open_at(&other, GENERIC_WRITE | DELETE, CREATE_NEW,
                           FILE_FLAG_DELETE_ON_CLOSE | FILE_ATTRIBUTE_HIDDEN);
    drop(&other);
    return handle;
}

static DWORD end_durable(HANDLE handle)
{
    DWORD error = epio__win32.flush(handle) ? 0 : GetLastError();
    (void)CloseHandle(handle);
    return error;
}

DWORD epio__make_name_durable(const epio__place *place)
{
    HANDLE handle = begin_durable(place, place);
    return handle != INVALID_HANDLE_VALUE ? end_durable(handle) : GetLastError();
}

int64_t epio__op_fail_to_be_durable(epio_op *op, DWORD error)
{
    op->os_error = (int32_t)error;
    return EPIO_EIO;
}

int64_t epio__change_durably(epio_op *op, const epio__place *file, const epio__place *from,
                             const epio__place *to,
                             int64_t (*change)(epio_op *op, const epio__place *from,
                                               const epio__place *to))
{
    HANDLE handle = begin_durable(file, to);
    if (handle == INVALID_HANDLE_VALUE) {
        return epio__op_fail_at(op, to, GetLastError());
    }
    int64_t result = change(op, from, to);
    if (result < 0) {
        (void)CloseHandle(handle);
        return result;
    }
    DWORD error = end_durable(handle);
    return error == 0 ? result : epio__op_fail_to_be_durable(op, error);
}

/* ---- Open files ---- */

/* The name is gone at once, even if the file is open elsewhere; only newer systems and file systems
 * can do it. */
static bool dispose_as_posix(HANDLE handle)
{
    DWORD flags = DELETE_POSIX | DELETE_READ_ONLY;
    BOOL done = epio__win32.set_information(handle, DISPOSITION_INFO_EX, &flags, sizeof flags);
    if (!done) {
        flags = DELETE_POSIX;
        done = epio__win32.set_information(handle, DISPOSITION_INFO_EX, &flags, sizeof flags);
    }
    return done != FALSE;
}

bool epio__dispose(HANDLE handle)
{
    FILE_DISPOSITION_INFO disposition = {.DeleteFile = TRUE};
    return dispose_as_posix(handle) ||
           epio__win32.set_information(handle, FileDispositionInfo, &disposition,
                                       sizeof disposition) != FALSE;
}

/* ---- Read-only files ---- */

/* In POSIX the permissions of the directory decide who may delete or replace a name. Where the
 * system has no such flag, the read-only attribute is removed for the moment; if the file has
 * other names, for good. */
bool epio__lift_read_only(const epio__place *place, DWORD *attributes)
{
    *attributes = epio__attributes_at(place);
    DWORD others = *attributes & ~(DWORD)FILE_ATTRIBUTE_READONLY;
    return (*attributes & FILE_ATTRIBUTE_READONLY) != 0 && epio__set_attributes_at(place, others);
}

/* ---- Two steps, where there are no POSIX semantics ---- */

/* Renames the file first: its own name would stay in use until the last handle is closed. The
 * caller drops it; without a name, the file still has the old one. */
static epio__place put_aside(const epio__place *place, bool durable)
{
    epio__place aside = epio__place_beside(place, EPIO__ASIDE_NAME);
    if (aside.name != NULL && !epio__move_once(place, &aside, false, durable)) {
        drop(&aside);
    }
    return aside;
}

void epio__sweep(const epio__place *place)
{
    /* By names, which may lead elsewhere by now. */
    WCHAR *name = !place->confined ? epio__place_name(place) : NULL;
    size_t directory_len = name != NULL ? (size_t)(wcsrchr(name, L'\\') - name) + 1 : 0;
    WCHAR *path = malloc((directory_len + MAX_PATH + 1) * sizeof *path);
    if (path != NULL && name != NULL) {
        WIN32_FIND_DATAW found;
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
    }
    free(path);
    free(name);
}

/* Deletes a replaced file. A running program or a mapped file cannot be deleted: it is hidden
 * until the next sweep or, if the user has the right to request that, the next start. */
static void discard(const epio__place *aside)
{
    DWORD attributes;
    if (epio__delete_at(aside) ||
        (epio__lift_read_only(aside, &attributes) && epio__delete_at(aside))) {
        return;
    }
    epio__place old = epio__place_beside(aside, EPIO__SWEPT_NAME);
    bool moved = old.name != NULL && epio__move_once(aside, &old, false, false);
    const epio__place *kept = moved ? &old : aside;
    (void)epio__set_attributes_at(kept, epio__attributes_at(kept) | FILE_ATTRIBUTE_HIDDEN);
    WCHAR *name = !kept->confined ? epio__place_name(kept) : NULL;
    if (name != NULL) {
        (void)MoveFileExW(name, NULL, MOVEFILE_DELAY_UNTIL_REBOOT);
    }
    free(name);
    epio__place_drop(&old);
}

/* ---- Delete ---- */

static bool delete_as_posix(const epio__place *place, bool durable)
{
    HANDLE handle = open_for(place, DELETE, durable);
    if (handle == INVALID_HANDLE_VALUE) {
        return false;
    }
    bool done = dispose_as_posix(handle);
    (void)CloseHandle(handle);
    return done;
}

static bool delete_in_two_steps(const epio__place *place, bool durable)
{
    epio__place aside = put_aside(place, durable);
    bool done = aside.name != NULL && epio__delete_at(&aside);
    DWORD error = GetLastError();
    if (aside.name != NULL && !done) {
        (void)epio__move_once(&aside, place, false, false);
    }
    epio__place_drop(&aside);
    SetLastError(error);
    return done;
}

static bool delete_somehow(const epio__place *place, bool durable)
{
    return delete_as_posix(place, durable) || delete_in_two_steps(place, durable) ||
           epio__delete_at(place);
}

bool epio__remove_name(const epio__place *place, bool durable)
{
    DWORD attributes;
    if (delete_as_posix(place, durable)) {
        return true;
    }
    bool lifted = epio__lift_read_only(place, &attributes);
    bool done = delete_somehow(place, durable);
    DWORD error = GetLastError();
    if (lifted && !done) {
        (void)epio__set_attributes_at(place, attributes);
    }
    SetLastError(error);
    return done;
}

static int64_t remove_it(epio_op *op, const epio__place *place, const epio__place *same)
{
    (void)same;
    return epio__remove_name(place, (op->flags & EPIO_DELETE_SYNC_DIR) != 0)
               ? 0
               : epio__op_fail_or_retry(op, place, GetLastError(), true);
}

/* A link to a directory is one to the system, but has a name like a file's. */
static int64_t remove_link(epio_op *op, const epio__place *place, const epio__place *same)
{
    (void)same;
    DWORD error = ERROR_DIRECTORY_NOT_SUPPORTED;
    HANDLE handle = open_for(place, DELETE, (op->flags & EPIO_DELETE_SYNC_DIR) != 0);
    if (handle == INVALID_HANDLE_VALUE) {
        return epio__op_fail_or_retry(op, place, GetLastError(), false);
    }
    if (IsReparseTagNameSurrogate(epio__reparse_tag_of(handle))) {
        error = epio__dispose(handle) ? 0 : GetLastError();
    }
    (void)CloseHandle(handle);
    return error == 0 ? 0 : epio__op_fail_with(op, error);
}

static int64_t delete_file(epio_op *op, const epio__place *place)
{
    DWORD attributes = epio__attributes_at(place);
    bool directory = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    if (directory && (attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) {
        return epio__op_fail_with(op, ERROR_DIRECTORY_NOT_SUPPORTED);
    }
    bool durable = (op->flags & EPIO_DELETE_SYNC_DIR) != 0 && attributes != 0;
    int64_t (*remove)(epio_op *, const epio__place *, const epio__place *) =
        directory ? remove_link : remove_it;
    return durable ? epio__change_durably(op, NULL, place, place, remove)
                   : remove(op, place, place);
}

/* ---- Rename ---- */

/* Replaces an open file, too. */
static bool rename_as_posix(const epio__place *from, const epio__place *to, bool replace,
                            bool durable)
{
    HANDLE handle = open_for(from, DELETE | SYNCHRONIZE, durable);
    if (handle == INVALID_HANDLE_VALUE) {
        return false;
    }
    DWORD flags = RENAME_POSIX | (replace ? RENAME_REPLACE | RENAME_OVER_READ_ONLY : 0);
    bool done =
        epio__set_name(handle, EPIO__NT_RENAME_EX, flags, to) ||
        (replace && epio__set_name(handle, EPIO__NT_RENAME_EX, RENAME_POSIX | RENAME_REPLACE, to));
    close_handle(handle);
    return done;
}

/* Older systems and file systems do not replace an open file: it is renamed first, so that for a
 * moment no file has the name. (ReplaceFileW has that moment too, and would mix the old file's
 * attributes, permissions and streams into the new one.) */
static bool replace_in_two_steps(const epio__place *from, const epio__place *to, bool durable)
{
    epio__place aside = put_aside(to, durable);
    bool done = aside.name != NULL && epio__move_once(from, to, false, durable);
    DWORD error = GetLastError();
    if (aside.name != NULL && done) {
        discard(&aside);
        epio__sweep(to);
    } else if (aside.name != NULL) {
        (void)epio__move_once(&aside, to, false, false);
    }
    epio__place_drop(&aside);
    SetLastError(error);
    return done;
}

/* By whichever call works: false and GetLastError. */
static bool move(const epio__place *from, const epio__place *to, bool replace, bool durable)
{
    if (rename_as_posix(from, to, replace, durable) ||
        epio__move_once(from, to, replace, durable)) {
        return true;
    }
    DWORD error = GetLastError();
    bool in_the_way = replace && error == ERROR_ACCESS_DENIED && epio__attributes_at(to) != 0 &&
                      !epio__is_directory_at(to) && epio__attributes_at(from) != 0;
    if (in_the_way && replace_in_two_steps(from, to, durable)) {
        return true;
    }
    SetLastError(error);
    return false;
}

static bool move_over_read_only(const epio__place *from, const epio__place *to, bool durable)
{
    DWORD attributes;
    DWORD error = GetLastError();
    if (error != ERROR_ACCESS_DENIED || epio__is_directory_at(to) ||
        !epio__lift_read_only(to, &attributes)) {
        SetLastError(error);
        return false;
    }
    bool done = move(from, to, true, durable);
    error = GetLastError();
    if (!done) {
        (void)epio__set_attributes_at(to, attributes);
    }
    SetLastError(error);
    return done;
}

/* The system takes a link to a directory for one. */
static bool is_true_directory(const epio__place *place)
{
    DWORD attributes = epio__attributes_at(place);
    if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) {
        return (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    }
    HANDLE handle = epio__open_name_at(place, FILE_READ_ATTRIBUTES);
    bool link =
        handle != INVALID_HANDLE_VALUE && IsReparseTagNameSurrogate(epio__reparse_tag_of(handle));
    if (handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(handle);
    }
    return !link && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

static bool remove_directory_at(const epio__place *place)
{
    HANDLE handle = open_for(place, DELETE, false);
    bool done = handle != INVALID_HANDLE_VALUE && epio__dispose(handle);
    if (handle != INVALID_HANDLE_VALUE) {
        close_handle(handle);
    }
    return done;
}

/* Only with POSIX semantics does the system replace an empty directory, or a link to one. */
static bool replace_directory(const epio__place *from, const epio__place *to, bool durable)
{
    bool real = is_true_directory(to);
    epio__place aside = {.root = NULL, .name = NULL};
    bool gone = false;
    if (real) {
        gone = remove_directory_at(to);
    } else {
        aside = put_aside(to, durable);
        gone = aside.name != NULL;
    }
    bool done = gone && epio__move_once(from, to, false, durable);
    DWORD error = GetLastError();
    if (gone && !done && real) {
        (void)epio__make_directory_at(to);
    } else if (gone && !real) {
        (void)(done ? remove_directory_at(&aside) : epio__move_once(&aside, to, false, false));
    }
    epio__place_drop(&aside);
    SetLastError(error);
    return done;
}

/* A directory cannot move into itself; the system has several errors for it, some of which look
 * as if another process had caused them. */
static bool is_into_itself(const epio__place *from, const epio__place *to)
{
    const bool apart = from->root != to->root;
    WCHAR *outer = apart ? epio__place_name(from) : from->name;
    WCHAR *inner = apart ? epio__place_name(to) : to->name;
    size_t len = outer != NULL ? wcslen(outer) : 0;
    bool is = outer != NULL && inner != NULL && _wcsnicmp(outer, inner, len) == 0 &&
              inner[len] == L'\\' && epio__is_directory_at(from);
    if (apart) {
        free(outer);
        free(inner);
    }
    return is;
}

static int64_t rename_it(epio_op *op, const epio__place *from, const epio__place *to)
{
    bool replace = (op->flags & EPIO_RENAME_NO_REPLACE) == 0;
    bool durable = (op->flags & EPIO_RENAME_SYNC_DIR) != 0;
    if (move(from, to, replace, durable) || (replace && move_over_read_only(from, to, durable))) {
        return 0;
    }
    DWORD error = GetLastError();
    bool in_the_way = error == ERROR_ACCESS_DENIED || error == ERROR_ALREADY_EXISTS;
    if (replace && in_the_way && epio__is_directory_at(to) && epio__attributes_at(from) != 0) {
        if (replace_directory(from, to, durable)) {
            return 0;
        }
        error = GetLastError();
    }
    if (epio__attributes_at(from) != 0 && error == ERROR_PATH_NOT_FOUND) {
        return epio__op_fail_at(op, to, error);
    }
    bool removed = replace && error == ERROR_ALREADY_EXISTS;
    if ((error == ERROR_ACCESS_DENIED || removed) && epio__is_directory_at(from)) {
        /* Something in it is open, or a directory was removed at `to` that is open still. */
        return epio__op_retries(op, error) ? EPIO_RETRY : epio__op_fail_with(op, error);
    }
    return epio__op_fail_or_retry(op, from, error, true);
}

static int64_t keep_metadata(epio_op *op, const epio__place *from, const epio__place *to)
{
    return epio__rename_keeping(op, from, to, rename_it);
}

/* Is what a file replaces there, and a file whose metadata can be kept? 0 or an error. */
static int64_t check_kept(epio_op *op, const epio__place *from, const epio__place *to)
{
    if (epio__attributes_at(from) == 0 || epio__attributes_at(to) == 0) {
        DWORD error = GetLastError();
        return epio__op_fail_on_path(op, epio__attributes_at(from) == 0 ? from : to, error);
    }
    bool files = !epio__is_directory_at(to) && !epio__is_link_at(to) && !epio__is_link_at(from);
    return files ? 0 : epio__op_fail_with(op, ERROR_NOT_SUPPORTED);
}

static int64_t rename_file(epio_op *op, const epio__place *from, const epio__place *to)
{
    bool keeps = (op->flags & EPIO_RENAME_KEEP_METADATA) != 0;
    bool replace = (op->flags & EPIO_RENAME_NO_REPLACE) == 0;
    if (from->name[0] == L'\0' || to->name[0] == L'\0') {
        return epio__op_fail_with(op, ERROR_BUSY); /* the open directory itself */
    }
    if (is_into_itself(from, to)) {
        return epio__op_refuse(op, EPIO__REASON_INTO_ITSELF);
    }
    if (!replace && epio__attributes_at(to) != 0 && epio__attributes_at(from) != 0) {
        return epio__op_fail_with(op, ERROR_ALREADY_EXISTS); /* the file itself counts too */
    }
    bool directory = is_true_directory(from);
    bool over_directory = is_true_directory(to);
    if (replace && over_directory && !directory) {
        return epio__op_fail_with(op, ERROR_DIRECTORY_NOT_SUPPORTED);
    }
    if (replace && directory && !over_directory && epio__attributes_at(to) != 0) {
        return epio__op_fail_with(op, ERROR_DIRECTORY); /* which the system would replace */
    }
    bool durable = (op->flags & EPIO_RENAME_SYNC_DIR) != 0 && epio__attributes_at(from) != 0;
    if (keeps) {
        int64_t result = check_kept(op, from, to);
        /* The handle must be of another file: ReplaceFileW shares the new one with none. */
        return result != 0 ? result
               : durable   ? epio__change_durably(op, NULL, from, to, keep_metadata)
                           : keep_metadata(op, from, to);
    }
    return durable ? epio__change_durably(op, from, from, to, rename_it) : rename_it(op, from, to);
}

static int64_t rename_path(epio_op *op, const epio__place *from)
{
    epio__place to;
    int64_t result = epio__op_place(op, op->arguments.path.to, false, &to);
    if (result == 0) {
        result = epio__is_directory_at(from)
                     ? epio__check_directory_mark(op, op->arguments.path.to, &to)
                     : epio__check_new_name(op, op->arguments.path.to, &to);
    }
    if (result == 0) {
        result = rename_file(op, from, &to);
    }
    epio__place_drop(&to);
    return result;
}

int64_t epio__os_delete(epio_op *op)
{
    return epio__op_on_place(op, true, delete_file);
}

int64_t epio__os_rename(epio_op *op)
{
    return epio__op_on_place(op, true, rename_path);
}
