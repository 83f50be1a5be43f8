/* Extended attributes, of a path or of an open file: alternate data streams, by their names. */
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define LONGEST_NAME 255
#define OF_DATA L":$DATA" /* the type of streams that have bytes */
#define FIRST_LIST_SIZE 1024u
#define MOST_LIST_SIZE (1024u * 1024u)

static bool follows(const epio_op *op)
{
    return (op->flags & EPIO_XATTR_NOFOLLOW) == 0;
}

/* ---- One stream ---- */

/* A stream's name from an attribute's; the caller frees it. NULL and *result. */
static WCHAR *stream_name(epio_op *op, int64_t *result)
{
    int error;
    WCHAR *name = epio__widen(op->arguments.path.to, &error);
    if (name == NULL) {
        *result = epio__op_fail_name(op, error);
        return NULL;
    }
    size_t len = wcslen(name);
    size_t room = len + wcslen(OF_DATA) + 2;
    WCHAR *stream = malloc(room * sizeof *stream);
    if (len > LONGEST_NAME) {
        *result = epio__op_fail_with(op, ERROR_FILENAME_EXCED_RANGE);
    } else if (wcspbrk(name, L":/\\") != NULL) {
        *result = epio__op_fail_with(op, ERROR_INVALID_NAME);
    } else {
        *result = stream != NULL ? 0 : EPIO_ENOMEM;
    }
    if (*result == 0) {
        stream[0] = L':';
        wcscpy(stream + 1, name);
        wcscat(stream, OF_DATA);
    } else {
        free(stream);
        stream = NULL;
    }
    free(name);
    return stream;
}

/* Opens the attribute of a file by the file's handle, so that it is that file's whatever its path
 * leads to by now: 0 or an error. */
static int64_t open_stream(epio_op *op, HANDLE file, ACCESS_MASK access, ULONG disposition,
                           HANDLE *stream, bool *created)
{
    int64_t result;
    WCHAR *name = stream_name(op, &result);
    if (name == NULL) {
        return result;
    }
    epio__nt_creation wanted = {.root = file,
                                .name = name,
                                .access = access | SYNCHRONIZE,
                                .attributes = FILE_ATTRIBUTE_NORMAL,
                                .disposition = disposition,
                                .options = FILE_NON_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT};
    wanted.options |= follows(op) ? 0 : FILE_OPEN_REPARSE_POINT;
    DWORD error = epio__win32.nt_create(&wanted, stream, created);
    free(name);
    if (error == ERROR_FILE_NOT_FOUND) { /* the file itself is open */
        op->os_error = (int32_t)error;
        return EPIO_ENODATA;
    }
    return error == 0 ? 0 : epio__op_fail_with(op, error);
}

static bool size_of(HANDLE stream, uint64_t *size)
{
    FILE_STANDARD_INFO information;
    if (!epio__win32.get_information(stream, FileStandardInfo, &information, sizeof information)) {
        return false;
    }
    *size = (uint64_t)information.EndOfFile.QuadPart;
    return true;
}

static bool set_size(HANDLE stream, uint64_t size)
{
    FILE_END_OF_FILE_INFO end = {.EndOfFile = {.QuadPart = (int64_t)size}};
    return epio__win32.set_information(stream, FileEndOfFileInfo, &end, sizeof end) != FALSE;
}

static int64_t read_value(epio_op *op, HANDLE stream)
{
    uint64_t size;
    uint64_t room = op->arguments.path.len;
    DWORD len = 0;
    if (!size_of(stream, &size)) {
        return epio__op_fail(op);
    }
    if (room == 0 || size == 0) {
        return (int64_t)size;
    }
    if (size > room || size > MAXDWORD) {
        return EPIO_ERANGE;
    }
    return epio__win32.read_file(stream, op->arguments.path.buffer, (DWORD)size, &len, NULL)
               ? (int64_t)len
               : epio__op_fail(op);
}

/* Room is made before the old value is touched, and all is written by one call: what fails for lack
 * of room leaves the old value. */
static bool write_value(const epio_op *op, HANDLE stream, DWORD *error)
{
    DWORD len = (DWORD)op->arguments.path.len;
    DWORD written = 0;
    uint64_t old = 0;
    bool done = size_of(stream, &old) && (len <= old || set_size(stream, len));
    if (done && len != 0) {
        done = epio__win32.write_file(stream, op->arguments.path.buffer, len, &written, NULL) !=
                   FALSE &&
               written == len;
        *error = done ? 0 : GetLastError();
        if (!done) {
            (void)set_size(stream, old);
            return false;
        }
    }
    done = done && (len >= old || set_size(stream, len));
    *error = done ? 0 : GetLastError();
    return done;
}

static int64_t set(epio_op *op, HANDLE file)
{
    HANDLE stream;
    bool created;
    DWORD error;
    ULONG disposition = (op->flags & EPIO_XATTR_CREATE) != 0    ? FILE_CREATE
                        : (op->flags & EPIO_XATTR_REPLACE) != 0 ? FILE_OPEN
                                                                : FILE_OPEN_IF;
    if (op->arguments.path.len > MAXDWORD) {
        return EPIO_ERANGE;
    }
    int64_t result = open_stream(op, file, FILE_WRITE_DATA | FILE_READ_ATTRIBUTES | DELETE,
                                 disposition, &stream, &created);
    if (result != 0) {
        return result;
    }
    if (!write_value(op, stream, &error)) {
        result = epio__op_fail_with(op, error);
        if (created) {
            (void)epio__dispose(stream);
        }
    }
    (void)CloseHandle(stream);
    return result;
}

static int64_t remove_stream(epio_op *op, HANDLE stream)
{
    return epio__dispose(stream) ? 0 : epio__op_fail(op);
}

/* Of a stream that is there. */
static int64_t act(epio_op *op, HANDLE file, ACCESS_MASK access,
                   int64_t (*action)(epio_op *op, HANDLE stream))
{
    HANDLE stream;
    bool created;
    int64_t result =
        open_stream(op, file, access | FILE_READ_ATTRIBUTES, FILE_OPEN, &stream, &created);
    if (result == 0) {
        result = action(op, stream);
        (void)CloseHandle(stream);
    }
    return result;
}

static int64_t get(epio_op *op, HANDLE file)
{
    return act(op, file, FILE_READ_DATA, read_value);
}

static int64_t remove_it(epio_op *op, HANDLE file)
{
    return act(op, file, DELETE, remove_stream);
}

/* ---- All streams ---- */

/* FILE_STREAM_INFO of all streams, one after another; the caller frees it. *none: there are none,
 * as of a directory. NULL and an error. */
static FILE_STREAM_INFO *ask_for_streams(HANDLE file, bool *none, DWORD *error)
{
    FILE_STREAM_INFO *all = NULL;
    *none = false;
    for (DWORD size = FIRST_LIST_SIZE; size <= MOST_LIST_SIZE; size *= 2) {
        free(all);
        all = malloc(size);
        *error = ERROR_NOT_ENOUGH_MEMORY;
        if (all == NULL) {
            return NULL;
        }
        if (epio__win32.get_information(file, FileStreamInfo, all, size)) {
            return all;
        }
        *error = GetLastError();
        if (*error == ERROR_HANDLE_EOF) {
            *none = true;
            return all;
        }
        if (*error != ERROR_MORE_DATA && *error != ERROR_INSUFFICIENT_BUFFER) {
            break;
        }
    }
    free(all);
    return NULL;
}

/* Adds the stream's name to those in the buffer, of which `filled` bytes are in use: its length
 * with a NUL. 0: the file's own bytes, or no bytes at all. */
static size_t add_name(const epio_op *op, const FILE_STREAM_INFO *stream, size_t filled)
{
    size_t units = stream->StreamNameLength / sizeof(WCHAR);
    size_t type = wcslen(OF_DATA);
    if (units < type + 2 || stream->StreamName[0] != L':' ||
        wcsncmp(stream->StreamName + units - type, OF_DATA, type) != 0) {
        return 0;
    }
    const WCHAR *name = stream->StreamName + 1;
    size_t len = epio__narrow(name, units - type - 1, NULL) + 1;
    if (filled + len <= op->arguments.path.len) {
        (void)epio__narrow(name, units - type - 1, op->arguments.path.buffer + filled);
    }
    return len;
}

static int64_t list(epio_op *op, HANDLE file)
{
    bool none;
    DWORD error;
    size_t filled = 0;
    FILE_STREAM_INFO *all = ask_for_streams(file, &none, &error);
    if (all == NULL) {
        return epio__op_fail_with(op, error);
    }
    for (const FILE_STREAM_INFO *one = all; !none;) {
        filled += add_name(op, one, filled);
        none = one->NextEntryOffset == 0;
        one = (const FILE_STREAM_INFO *)(const void *)((const char *)one + one->NextEntryOffset);
    }
    free(all);
    uint64_t room = op->arguments.path.len;
    return room != 0 && filled > room ? EPIO_ERANGE : (int64_t)filled;
}

/* ---- Ops ---- */

/* Elsewhere a colon would be part of a file's name. */
static bool has_streams(HANDLE file)
{
    DWORD flags = 0;
    return epio__win32.get_volume_information(file, NULL, 0, NULL, NULL, &flags, NULL, 0) &&
           (flags & FILE_NAMED_STREAMS) != 0;
}

static int64_t carry_out(epio_op *op, HANDLE file)
{
    if (!has_streams(file)) {
        return epio__op_fail_with(op, ERROR_NOT_SUPPORTED);
    }
    switch (op->kind) {
    case EPIO_KIND_GET_XATTR:
    case EPIO_KIND_FILE_GET_XATTR:
        return get(op, file);
    case EPIO_KIND_SET_XATTR:
    case EPIO_KIND_FILE_SET_XATTR:
        return set(op, file);
    case EPIO_KIND_LIST_XATTRS:
    case EPIO_KIND_FILE_LIST_XATTRS:
        return list(op, file);
    default:
        return remove_it(op, file);
    }
}

int64_t epio__os_xattr(epio_op *op)
{
    HANDLE file;
    if (!epio__op_is(op, EPIO__KIND_ON_PATH)) {
        return carry_out(op, epio__handle_of(&epio__win32_file_of(op)->base));
    }
    int64_t result = epio__op_open_metadata(op, FILE_READ_ATTRIBUTES, follows(op), &file);
    if (result == 0) {
        result = carry_out(op, file);
        (void)CloseHandle(file);
    }
    return result;
}
