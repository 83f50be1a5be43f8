/* Reads, writes, and operations on the file as a whole. A transfer goes piece by piece: one part
 * of a vectored op, or as much as one call takes. */
#include "atomics.h"
#include "reason.h"
#include "win32/win32.h"

#include <string.h>

#define LARGEST_PIECE ((uint64_t)1 << 30)

/* As an offset of WriteFile: the end of the file, found and written in one step. */
#define END_OF_FILE UINT64_MAX

/* ---- Pieces ---- */

epio__piece epio__next_piece(const epio_op *op)
{
    uint64_t done = op->progress;
    epio_iovec whole = {op->arguments.io.base, (size_t)op->arguments.io.len};
    const epio_iovec *parts = epio__op_is(op, EPIO__KIND_VECTORED) ? op->arguments.io.base : &whole;
    uint64_t count = epio__op_is(op, EPIO__KIND_VECTORED) ? op->arguments.io.len : 1;
    for (uint64_t i = 0; i < count; i++) {
        if (done < parts[i].len) {
            uint64_t left = parts[i].len - done;
            return (epio__piece){.base = (unsigned char *)parts[i].base + done,
                                 .len = (DWORD)(left < LARGEST_PIECE ? left : LARGEST_PIECE),
                                 .offset = op->arguments.io.offset + op->progress};
        }
        done -= parts[i].len;
    }
    return (epio__piece){0};
}

static bool appends(const epio_op *op)
{
    return epio__win32_file_of(op)->appends && !epio__op_is(op, EPIO__KIND_READS);
}

/* A write of more than one part: each takes a call of its own. */
static bool is_write_in_parts(const epio_op *op)
{
    uint64_t filled = 0;
    if (op->kind != EPIO_KIND_WRITEV) {
        return false;
    }
    const epio_iovec *parts = op->arguments.io.base;
    for (uint64_t i = 0; i < op->arguments.io.len; i++) {
        filled += parts[i].len != 0 ? 1 : 0;
    }
    return filled > 1;
}

int epio__check_transfer(epio_op *op)
{
    uint32_t sector = epio__win32_file_of(op)->sector;
    if (sector == 0) {
        /* A write to a message pipe is one message, and no call takes a message in parts. */
        bool refused = epio__win32_file_of(op)->messages && is_write_in_parts(op);
        return refused ? epio__op_refuse(op, EPIO__REASON_MESSAGE_PARTS) : 0;
    }
    /* Not every system checks alignment, and some would read into adjacent memory. */
    uint64_t bits = appends(op) ? 0 : op->arguments.io.offset;
    uint64_t count = epio__op_is(op, EPIO__KIND_VECTORED) ? op->arguments.io.len : 1;
    epio_iovec whole = {op->arguments.io.base, (size_t)op->arguments.io.len};
    const epio_iovec *parts = epio__op_is(op, EPIO__KIND_VECTORED) ? op->arguments.io.base : &whole;
    for (uint64_t i = 0; i < count; i++) {
        bits |= parts[i].len | (uintptr_t)parts[i].base;
    }
    return bits % sector == 0 ? 0 : epio__op_refuse(op, EPIO__REASON_UNALIGNED);
}

BOOL epio__start_piece(epio_op *op, OVERLAPPED *overlapped)
{
    HANDLE handle = (HANDLE)epio__win32_file_of(op)->base.transfer_handle;
    epio__piece piece = epio__next_piece(op);
    uint64_t offset = epio__op_is_on_stream(op) ? 0 : appends(op) ? END_OF_FILE : piece.offset;
    overlapped->Internal = 0;
    overlapped->InternalHigh = 0;
    overlapped->Offset = (DWORD)(offset & 0xFFFFFFFFu);
    overlapped->OffsetHigh = (DWORD)(offset >> 32);
    return epio__op_is(op, EPIO__KIND_READS)
               ? epio__win32.read_file(handle, piece.base, piece.len, NULL, overlapped)
               : epio__win32.write_file(handle, piece.base, piece.len, NULL, overlapped);
}

static bool finish(int64_t *result, int64_t value)
{
    *result = value;
    return true;
}

static int64_t fail_piece(epio_op *op, DWORD error)
{
    if (error == ERROR_CANCELLED) {
        return EPIO_ECANCELED; /* no failure of the system */
    }
    if (error == ERROR_OPERATION_ABORTED) {
        op->os_error = ERROR_OPERATION_ABORTED;
        return EPIO_EIO; /* not cancelled by this library: a server or a driver aborted it */
    }
    uint64_t end = op->arguments.io.offset + epio_op_bytes(op);
    if (!epio__op_is(op, EPIO__KIND_READS) && !epio__op_is_on_stream(op) && !appends(op) &&
        end > EPIO__LARGEST_FILE) {
        error = ERROR_FILE_TOO_LARGE;
    }
    return epio__op_fail_with(op, error);
}

static bool read_ended(epio_op *op, DWORD error, DWORD bytes, int64_t *result)
{
    op->progress += bytes;
    bool nothing = error == 0 && bytes == 0;
    if (nothing && epio__win32_file_of(op)->pipe) {
        return false; /* a write of 0 bytes to the pipe, not its end */
    }
    bool end = error == ERROR_HANDLE_EOF || nothing ||
               (epio__op_is_on_stream(op) &&
                (error == ERROR_BROKEN_PIPE || error == ERROR_PIPE_NOT_CONNECTED));
    if (end || (epio__op_is_on_stream(op) && (error == 0 || error == ERROR_MORE_DATA))) {
        return finish(result, (int64_t)op->progress);
    }
    if (error != 0) {
        return finish(result, fail_piece(op, error));
    }
    uint32_t sector = epio__win32_file_of(op)->sector;
    if (sector != 0 && bytes % sector != 0) {
        return finish(result, (int64_t)op->progress); /* the end, and no more can be requested */
    }
    /* A short read of a file is not its end: it goes on. */
    return op->progress == epio_op_bytes(op) ? finish(result, (int64_t)op->progress) : false;
}

bool epio__piece_ended(epio_op *op, DWORD error, DWORD bytes, int64_t *result)
{
    if (epio__op_is(op, EPIO__KIND_READS)) {
        return read_ended(op, error, bytes, result);
    }
    op->progress += bytes;
    if (error == 0 && bytes == 0) {
        error = ERROR_WRITE_FAULT; /* a device that accepts nothing would be retried without end */
    }
    if (error != 0) {
        return finish(result, fail_piece(op, error));
    }
    return op->progress >= epio_op_bytes(op) ? finish(result, (int64_t)op->progress) : false;
}

/* ---- On this thread ---- */

/* Waits for a call that is pending: 0 or its error. */
static DWORD wait_for_piece(epio_op *op, HANDLE event, OVERLAPPED *overlapped, DWORD *bytes)
{
    HANDLE handle = (HANDLE)epio__win32_file_of(op)->base.transfer_handle;
    DWORD milliseconds = INFINITE;
    if (epio__op_is_on_stream(op) && op->timeout_ns != 0) {
        milliseconds = epio__milliseconds_until(op->timeout_ns);
    }
    bool late = WaitForSingleObject(event, milliseconds) == WAIT_TIMEOUT;
    if (late) {
        (void)epio__win32.cancel(handle, overlapped);
    }
    if (epio__win32.get_overlapped_result(handle, overlapped, bytes, TRUE)) {
        return 0;
    }
    DWORD error = GetLastError();
    return late && error == ERROR_OPERATION_ABORTED ? ERROR_TIMEOUT : error;
}

/* `call`: NULL for a file. */
static DWORD transfer_piece(epio_op *op, epio__blocking_call *call, HANDLE event,
                            OVERLAPPED *overlapped, DWORD *bytes)
{
    HANDLE handle = (HANDLE)epio__win32_file_of(op)->base.transfer_handle;
    *bytes = 0;
    BOOL done = epio__start_piece(op, overlapped);
    DWORD error = done ? 0 : GetLastError();
    if (done || error == ERROR_MORE_DATA) {
        return epio__win32.get_overlapped_result(handle, overlapped, bytes, TRUE) ? 0
                                                                                  : GetLastError();
    }
    if (error != ERROR_IO_PENDING) {
        return error;
    }
    if (call != NULL) {
        (void)epio__blocking_is_interrupted(call); /* if so, that cancels the piece */
    }
    return wait_for_piece(op, event, overlapped, bytes);
}

/* On a stream whose handle is not overlapped: the system waits inside the call. */
static DWORD transfer_piece_inside(epio_op *op, DWORD *bytes)
{
    HANDLE handle = (HANDLE)epio__win32_file_of(op)->base.transfer_handle;
    epio__piece piece = epio__next_piece(op);
    *bytes = 0;
    SetLastError(0);
    BOOL done = epio__op_is(op, EPIO__KIND_READS)
                    ? epio__win32.read_file(handle, piece.base, piece.len, bytes, NULL)
                    : epio__win32.write_file(handle, piece.base, piece.len, bytes, NULL);
    DWORD error = GetLastError();
    if (done) {
        /* Ctrl-C at a console ends a read like this, for the application's handler: not the end
         * of the stream. */
        return *bytes == 0 && error == ERROR_OPERATION_ABORTED ? ERROR_RETRY : 0;
    }
    return error;
}

static DWORD transfer_piece_of_stream(epio_op *op, epio__blocking_call *call, HANDLE event,
                                      DWORD *bytes)
{
    DWORD error;
    do {
        if (epio__blocking_is_interrupted(call)) {
            return ERROR_CANCELLED;
        }
        error = call->overlapped != NULL ? transfer_piece(op, call, event, call->overlapped, bytes)
                                         : transfer_piece_inside(op, bytes);
    } while (error == ERROR_RETRY);
    bool given_up = error == ERROR_OPERATION_ABORTED && epio__blocking_is_interrupted(call);
    return given_up ? ERROR_CANCELLED : error;
}

static int64_t perform_on_stream(epio_op *op, HANDLE event, OVERLAPPED *overlapped)
{
    HANDLE handle = (HANDLE)epio__win32_file_of(op)->base.transfer_handle;
    bool waits_inside = epio__win32_file_of(op)->synchronous;
    epio__blocking_call call;
    int64_t result;
    DWORD error;
    DWORD bytes;
    epio__blocking_begin(&call, op, handle, waits_inside ? NULL : overlapped,
                         waits_inside ? op->timeout_ns : 0);
    do {
        error = transfer_piece_of_stream(op, &call, event, &bytes);
    } while (error != ERROR_TIMEOUT && !epio__piece_ended(op, error, bytes, &result));
    epio__blocking_end(&call);
    bool late = error == ERROR_TIMEOUT || (error == ERROR_CANCELLED && op->timeout_ns != 0 &&
                                           op->timeout_ns <= epio__monotonic_time());
    return late ? EPIO_ETIMEDOUT : result;
}

static int64_t perform_on_file(epio_op *op, HANDLE event, OVERLAPPED *overlapped)
{
    int64_t result;
    DWORD error;
    DWORD bytes;
    do {
        error = transfer_piece(op, NULL, event, overlapped, &bytes);
    } while (!epio__piece_ended(op, error, bytes, &result));
    return result;
}

/* An append of several parts is one write, of a copy: other writers would get between them. */
static int64_t perform_joined(epio_op *op, HANDLE event, OVERLAPPED *overlapped)
{
    const epio_iovec *parts = op->arguments.io.base;
    uint64_t len = epio_op_bytes(op);
    /* By pages: DIRECT wants it aligned. */
    unsigned char *copy =
        len <= SIZE_MAX ? VirtualAlloc(NULL, (SIZE_T)len, MEM_COMMIT, PAGE_READWRITE) : NULL;
    if (copy == NULL) {
        return EPIO_ENOMEM;
    }
    epio_op whole = *op;
    whole.kind = EPIO_KIND_WRITE;
    whole.arguments.io.base = copy;
    whole.arguments.io.len = len;
    for (uint64_t i = 0, at = 0; i < op->arguments.io.len; at += parts[i++].len) {
        if (parts[i].len != 0) {
            memcpy(copy + at, parts[i].base, parts[i].len);
        }
    }
    int64_t result = perform_on_file(&whole, event, overlapped);
    (void)VirtualFree(copy, 0, MEM_RELEASE);
    op->progress = whole.progress;
    op->os_error = whole.os_error;
    return result;
}

int64_t epio__os_transfer(epio_op *op)
{
    int64_t result = epio__check_transfer(op);
    if (result != 0 || op->progress >= epio_op_bytes(op)) {
        return result != 0 ? result : (int64_t)op->progress;
    }
    HANDLE event = epio__event_take();
    if (event == NULL) {
        return epio__op_fail(op);
    }
    OVERLAPPED overlapped = {.hEvent = epio__event_without_packet(event)};
    if (epio__op_is_on_stream(op)) {
        result = perform_on_stream(op, event, &overlapped);
    } else if (appends(op) && is_write_in_parts(op)) {
        result = perform_joined(op, event, &overlapped);
    } else {
        result = perform_on_file(op, event, &overlapped);
    }
    epio__event_return(event);
    return result;
}

/* ---- The file as a whole ---- */

int64_t epio__os_truncate(epio_op *op)
{
    FILE_END_OF_FILE_INFO end = {.EndOfFile = {.QuadPart = (LONGLONG)op->arguments.io.offset}};
    HANDLE handle = epio__handle_of(&epio__win32_file_of(op)->base);
    LARGE_INTEGER size;
    bool grows = !GetFileSizeEx(handle, &size) || size.QuadPart < end.EndOfFile.QuadPart;
    if (SetFileInformationByHandle(handle, FileEndOfFileInfo, &end, sizeof end)) {
        if (grows) {
            epio__store_relaxed_u32(&epio__win32_file_of(op)->has_grown, 1);
        }
        return 0;
    }
    bool too_large = op->arguments.io.offset > EPIO__LARGEST_FILE;
    return epio__op_fail_with(op, too_large ? ERROR_FILE_TOO_LARGE : GetLastError());
}

enum { DATA_FLUSH_UNKNOWN, DATA_FLUSH_WORKS, DATA_FLUSH_NEVER };

/* Other file systems may accept the flag and do less, or nothing: its effect is documented only
 * for NTFS, and not for NTFS on a server. */
static bool can_flush_data(epio__win32_file *file)
{
    uint32_t known = epio__load_relaxed_u32(&file->data_flush);
    if (known == DATA_FLUSH_UNKNOWN) {
        bool works =
            !file->base.locks_are_remote && epio__win32.is_on_ntfs(epio__handle_of(&file->base));
        known = works ? DATA_FLUSH_WORKS : DATA_FLUSH_NEVER;
        epio__store_relaxed_u32(&file->data_flush, known);
    }
    return known == DATA_FLUSH_WORKS;
}

int64_t epio__os_sync(epio_op *op)
{
    HANDLE handle = epio__handle_of(&epio__win32_file_of(op)->base);
    if (epio__op_is_on_stream(op)) {
        /* The system would wait until the other end has read everything. */
        return epio__op_refuse(op, EPIO__REASON_STREAM_SYNC);
    }
    if (epio__op_is_on_directory(op)) {
        return epio__sync_directory(op);
    }
    if ((op->file->flags & EPIO_OPEN_WRITE) == 0) {
        return 0; /* such a handle cannot flush what others wrote */
    }
    if (op->flags == EPIO_SYNC_DATA_ONLY && can_flush_data(epio__win32_file_of(op))) {
        DWORD error = epio__win32.flush_data(handle);
        if (error != ERROR_NOT_SUPPORTED) {
            return error == 0 ? 0 : epio__op_fail_with(op, error);
        }
    }
    return epio__win32.flush(handle) ? 0 : epio__op_fail(op);
}

int64_t epio__os_size(epio_op *op)
{
    LARGE_INTEGER size;
    if (epio__op_is_on_stream(op)) {
        return EPIO_ESPIPE;
    }
    return GetFileSizeEx(epio__handle_of(&epio__win32_file_of(op)->base), &size)
               ? (int64_t)size.QuadPart
               : epio__op_fail(op);
}

bool epio__os_read_cached(epio_op *op, uint64_t bytes)
{
    (void)bytes;
    op->progress = 0;
    return false; /* the system does not report what is cached */
}

bool epio__os_readv_cached(epio_op *op, uint64_t bytes)
{
    return epio__os_read_cached(op, bytes);
}

/* Windows has no signals. */
bool epio__os_writes_begin(void)
{
    return false;
}

void epio__os_writes_end(void)
{
}
