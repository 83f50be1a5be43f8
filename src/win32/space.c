/* The space of files: appending, allocation, holes, advice. */
#include "win32/win32.h"

/* More would take several writes, and other writers could get between them. */
#define LARGEST_APPEND (UINT64_C(1) << 30)

#define RANGES_AT_ONCE 32

static HANDLE handle_of(const epio_op *op)
{
    return epio__handle_of(&epio__win32_file_of(op)->base);
}

/* ---- Appending ---- */

void epio__append_close(epio__win32_file *file)
{
    if (file->append_handle != NULL) {
        (void)CloseHandle(file->append_handle);
        file->append_handle = NULL;
    }
}

/* The system keeps a position for a handle that is not overlapped: behind what it wrote last. To
 * set it, as here, FILE_APPEND_DATA is too little by the documentation. */
static bool open_to_append(epio__win32_file *file)
{
    bool only_appends = file->appends && file->base.opened_as == 0;
    if (file->append_handle == NULL) {
        HANDLE handle = epio__win32.reopen(epio__handle_of(&file->base),
                                           only_appends ? FILE_APPEND_DATA : FILE_WRITE_DATA,
                                           FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                           file->base.direct ? FILE_FLAG_NO_BUFFERING : 0);
        file->append_handle = handle != INVALID_HANDLE_VALUE ? handle : NULL;
    }
    return file->append_handle != NULL;
}

static bool move_to(HANDLE handle, DWORD origin, LARGE_INTEGER *position)
{
    LARGE_INTEGER distance = {.QuadPart = 0};
    return SetFilePointerEx(handle, distance, position, origin) != FALSE;
}

/* With append_lock. */
static int64_t append(epio_op *op, epio__win32_file *file)
{
    OVERLAPPED end = {.Offset = 0xFFFFFFFFu, .OffsetHigh = 0xFFFFFFFFu};
    DWORD len = (DWORD)op->arguments.io.len;
    LARGE_INTEGER position;
    DWORD bytes = 0;
    if (!open_to_append(file)) {
        return epio__op_fail(op);
    }
    /* From its beginning, so that a position that does not follow the write is recognized. */
    if (!move_to(file->append_handle, FILE_BEGIN, &position) ||
        !epio__win32.write_file(file->append_handle, op->arguments.io.base, len, &bytes, &end)) {
        return epio__op_fail(op);
    }
    if (bytes != len) {
        return epio__op_fail_with(op, ERROR_WRITE_FAULT);
    }
    if (!move_to(file->append_handle, FILE_CURRENT, &position)) {
        return epio__op_fail(op);
    }
    return position.QuadPart >= (LONGLONG)len ? position.QuadPart - (LONGLONG)len
                                              : epio__op_fail_with(op, ERROR_SEEK);
}

int64_t epio__os_append(epio_op *op)
{
    epio__win32_file *file = epio__win32_file_of(op);
    int64_t result = epio__check_transfer(op);
    if (result != 0) {
        return result;
    }
    if (op->arguments.io.len == 0) {
        return epio__os_size(op);
    }
    /* Each client of a server has its own belief of where a file ends. */
    if (file->base.locks_are_remote || op->arguments.io.len > LARGEST_APPEND) {
        return EPIO_ENOTSUP;
    }
    AcquireSRWLockExclusive(&file->append_lock);
    result = append(op, file);
    ReleaseSRWLockExclusive(&file->append_lock);
    return result;
}

/* ---- Control codes ---- */

DWORD epio__control(HANDLE handle, DWORD code, void *in, DWORD in_len, void *out, DWORD out_len,
                    DWORD *bytes)
{
    HANDLE event = epio__event_take();
    if (event == NULL) {
        return GetLastError();
    }
    OVERLAPPED overlapped = {.hEvent = epio__event_without_packet(event)};
    BOOL done =
        epio__win32.control(handle, code, in, in_len, out, out_len, bytes, &overlapped) != FALSE;
    DWORD error = done ? 0 : GetLastError();
    if (error == ERROR_IO_PENDING) {
        done = epio__win32.get_overlapped_result(handle, &overlapped, bytes, TRUE);
        error = done ? 0 : GetLastError();
    }
    /* DeviceIoControl returns none with a warning. */
    *bytes = (DWORD)overlapped.InternalHigh;
    epio__event_return(event);
    return error;
}

/* What is behind the end stays as it is. 0 or an error. */
static int64_t zero(epio_op *op, uint64_t end)
{
    FILE_ZERO_DATA_INFORMATION range = {
        .FileOffset = {.QuadPart = (LONGLONG)op->arguments.io.offset},
        .BeyondFinalZero = {.QuadPart = (LONGLONG)end}};
    DWORD none;
    if (op->arguments.io.offset >= end) {
        return 0;
    }
    DWORD error =
        epio__control(handle_of(op), FSCTL_SET_ZERO_DATA, &range, sizeof range, NULL, 0, &none);
    return error == 0 ? 0 : epio__op_fail_with(op, error);
}

/* ---- Changing the space ---- */

static bool get_attributes(HANDLE handle, DWORD *attributes)
{
    FILE_BASIC_INFO information;
    bool known =
        epio__win32.get_information(handle, FileBasicInfo, &information, sizeof information);
    *attributes = known ? information.FileAttributes : 0;
    return known;
}

static int64_t fail_to_grow(epio_op *op, uint64_t end)
{
    return epio__op_fail_with(op, end > EPIO__LARGEST_FILE ? ERROR_FILE_TOO_LARGE : GetLastError());
}

/* With append_lock: makes the file at least so long. 0 or an error. */
static int64_t grow(epio_op *op, const FILE_STANDARD_INFO *now, uint64_t end)
{
    FILE_END_OF_FILE_INFO wanted = {.EndOfFile = {.QuadPart = (LONGLONG)end}};
    if (now->EndOfFile.QuadPart >= wanted.EndOfFile.QuadPart) {
        return 0;
    }
    if (!epio__win32.set_information(handle_of(op), FileEndOfFileInfo, &wanted, sizeof wanted)) {
        return fail_to_grow(op, end);
    }
    epio__store_relaxed_u32(&epio__win32_file_of(op)->has_grown, 1);
    return 0;
}

/* With append_lock: the file has space at least up to there. 0 or an error. */
static int64_t reserve(epio_op *op, const FILE_STANDARD_INFO *now, uint64_t end)
{
    FILE_ALLOCATION_INFO wanted = {.AllocationSize = {.QuadPart = (LONGLONG)end}};
    DWORD attributes;
    if (!get_attributes(handle_of(op), &attributes)) {
        return epio__op_fail(op);
    }
    /* No call fills holes; and what another form of the data takes is not known before a write. */
    LONGLONG most =
        now->EndOfFile.QuadPart < (LONGLONG)end ? now->EndOfFile.QuadPart : (LONGLONG)end;
    if ((attributes & (FILE_ATTRIBUTE_SPARSE_FILE | FILE_ATTRIBUTE_COMPRESSED)) != 0 ||
        now->AllocationSize.QuadPart < most) {
        return EPIO_ENOTSUP;
    }
    /* Less than there is would take the rest away. */
    if (now->AllocationSize.QuadPart >= (LONGLONG)end) {
        return 0;
    }
    return epio__win32.set_information(handle_of(op), FileAllocationInfo, &wanted, sizeof wanted)
               ? 0
               : fail_to_grow(op, end);
}

/* The system has no call that only ever makes a file longer: what another handle appends between
 * the query and the call is cut off. Appends to this file wait. */
int64_t epio__extend(epio_op *op, uint64_t end)
{
    epio__win32_file *file = epio__win32_file_of(op);
    FILE_STANDARD_INFO now;
    int64_t result = 0;
    AcquireSRWLockExclusive(&file->append_lock);
    if (!epio__win32.get_information(handle_of(op), FileStandardInfo, &now, sizeof now)) {
        result = epio__op_fail(op);
    }
    if (result == 0 && op->kind == EPIO_KIND_ALLOCATE) {
        result = reserve(op, &now, end);
    }
    if (result == 0 && (op->flags & EPIO_SPACE_KEEP_SIZE) == 0) {
        result = grow(op, &now, end);
    }
    ReleaseSRWLockExclusive(&file->append_lock);
    return result;
}

int64_t epio__make_sparse(epio_op *op)
{
    DWORD none;
    DWORD error = epio__control(handle_of(op), FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &none);
    return error == 0 ? 0 : epio__op_fail_with(op, error);
}

int64_t epio__os_change_space(epio_op *op)
{
    uint64_t end = op->arguments.io.offset + op->arguments.io.len;
    LARGE_INTEGER size;
    if (op->kind == EPIO_KIND_ALLOCATE) {
        return epio__extend(op, end);
    }
    if (!GetFileSizeEx(handle_of(op), &size)) {
        return epio__op_fail(op);
    }
    bool punches = op->kind == EPIO_KIND_PUNCH_HOLE; /* sparse even if it is beyond the end */
    int64_t result = punches ? epio__make_sparse(op) : 0;
    if (result == 0) {
        result = zero(op, end < (uint64_t)size.QuadPart ? end : (uint64_t)size.QuadPart);
    }
    return result == 0 && !punches ? epio__extend(op, end) : result;
}

/* ---- Sparse files ---- */

/* Where the file system does not know of holes. */
static int64_t seek_in_data(const epio_op *op, uint64_t size)
{
    return (int64_t)(op->kind == EPIO_KIND_SEEK_DATA ? op->arguments.io.offset : size);
}

/* In a sparse file. Ranges beyond what one call reports are queried from where it stopped. */
static int64_t search(epio_op *op, uint64_t size)
{
    FILE_ALLOCATED_RANGE_BUFFER ranges[RANGES_AT_ONCE];
    uint64_t at = op->arguments.io.offset;
    uint64_t from;
    DWORD error;
    do {
        DWORD bytes;
        FILE_ALLOCATED_RANGE_BUFFER wanted = {.FileOffset = {.QuadPart = (LONGLONG)at},
                                              .Length = {.QuadPart = (LONGLONG)(size - at)}};
        from = at;
        error = epio__control(handle_of(op), FSCTL_QUERY_ALLOCATED_RANGES, &wanted, sizeof wanted,
                              ranges, sizeof ranges, &bytes);
        if (error != 0 && error != ERROR_MORE_DATA) {
            bool unknown = epio__error_from_os((int32_t)error) == EPIO_ENOTSUP;
            return unknown ? seek_in_data(op, size) : epio__op_fail_with(op, error);
        }
        for (DWORD i = 0; i < bytes / sizeof ranges[0]; i++) {
            uint64_t start = (uint64_t)ranges[i].FileOffset.QuadPart;
            uint64_t end = start + (uint64_t)ranges[i].Length.QuadPart;
            if (op->kind == EPIO_KIND_SEEK_DATA && end > at) {
                at = start > at ? start : at;
                return (int64_t)(at < size ? at : size);
            }
            if (start > at) {
                return (int64_t)at;
            }
            at = end > at ? end : at;
        }
    } while (error == ERROR_MORE_DATA && at > from && at < size);
    return (int64_t)(op->kind == EPIO_KIND_SEEK_HOLE && at < size ? at : size);
}

int64_t epio__os_seek(epio_op *op)
{
    LARGE_INTEGER size;
    DWORD attributes;
    if (!GetFileSizeEx(handle_of(op), &size) || !get_attributes(handle_of(op), &attributes)) {
        return epio__op_fail(op);
    }
    if (op->arguments.io.offset >= (uint64_t)size.QuadPart) {
        return size.QuadPart;
    }
    return (attributes & FILE_ATTRIBUTE_SPARSE_FILE) != 0
               ? search(op, (uint64_t)size.QuadPart)
               : seek_in_data(op, (uint64_t)size.QuadPart);
}

/* ---- Advice ---- */

/* The cache takes hints only from an open. */
int64_t epio__os_advise(epio_op *op)
{
    return op->flags == EPIO_ADVICE_NORMAL ? 0 : EPIO_ENOTSUP;
}
