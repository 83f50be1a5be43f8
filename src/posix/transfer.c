/* Reads and writes at an offset, and operations on the file as a whole: truncate, sync, size. */
#include "atomics.h"
#include "posix/posix.h"
#include "posix/system_call.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Buffers ---- */

static epio_iovec part_at(const epio_op *op, uint64_t index)
{
    if (epio__op_is(op, EPIO__KIND_VECTORED)) {
        return ((const epio_iovec *)op->arguments.io.base)[index];
    }
    epio_iovec part = {.base = op->arguments.io.base, .len = (size_t)op->arguments.io.len};
    return part;
}

static uint64_t part_count(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_VECTORED) ? op->arguments.io.len : 1;
}

void epio__cursor_advance(const epio_op *op, epio__cursor *cursor, uint64_t bytes)
{
    uint64_t count = part_count(op);
    while (cursor->part < count) {
        uint64_t left = part_at(op, cursor->part).len - cursor->done_of_part;
        if (bytes < left) {
            cursor->done_of_part += bytes;
            return;
        }
        bytes -= left;
        cursor->part++;
        cursor->done_of_part = 0;
    }
}

epio__cursor epio__cursor_at(const epio_op *op, uint64_t done)
{
    epio__cursor cursor = {0, 0};
    if (done != 0) {
        epio__cursor_advance(op, &cursor, done);
    }
    return cursor;
}

int epio__cursor_parts(const epio_op *op, epio__cursor cursor, uint64_t limit, struct iovec *parts)
{
    uint64_t count = part_count(op);
    int listed = 0;
    while (cursor.part < count && listed < EPIO__PARTS_AT_ONCE && limit > 0) {
        epio_iovec part = part_at(op, cursor.part);
        uint64_t left = part.len - cursor.done_of_part;
        if (left > limit) {
            left = limit;
        }
        if (left > 0) {
            parts[listed].iov_base = (char *)part.base + cursor.done_of_part;
            parts[listed].iov_len = (size_t)left;
            listed++;
        }
        limit -= left;
        cursor.part++;
        cursor.done_of_part = 0;
    }
    return listed;
}

/* ---- Transfers ---- */

/* Linux transfers no more per call; macOS rejects INT_MAX and above. */
#define LARGEST_CALL UINT64_C(0x7ffff000)

/* IOV_MAX of most systems. */
#define MOST_PARTS 1024u

_Static_assert(sizeof(struct iovec) == sizeof(epio_iovec) &&
                   offsetof(struct iovec, iov_base) == offsetof(epio_iovec, base) &&
                   offsetof(struct iovec, iov_len) == offsetof(epio_iovec, len),
               "the system takes the caller's list");

/* The next bytes of a write to the end of a file: by one call, if the system can, so that nothing
 * gets in between. Only Linux looks for the end whatever the offset. */
static int64_t append_some(const epio_op *op, epio__cursor cursor, uint64_t most)
{
    int descriptor = epio__descriptor_of(op);
    struct iovec parts[EPIO__PARTS_AT_ONCE];
    const struct iovec *list = parts;
    int count;
    if (op->kind == EPIO_KIND_WRITEV && op->progress == 0 && op->arguments.io.len <= MOST_PARTS &&
        epio_op_bytes(op) <= most) {
        list = op->arguments.io.base;
        count = (int)op->arguments.io.len;
    } else {
        count = epio__cursor_parts(op, cursor, most, parts);
    }
#if defined(__linux__)
    return pwritev(descriptor, list, count, 0);
#else
    bool opened = (op->file->flags & EPIO_OPEN_APPEND) != 0;
    return opened
               ? writev(descriptor, list, count)
               : pwritev(descriptor, list, count, (off_t)(op->arguments.io.offset + op->progress));
#endif
}

/* How many of the next bytes the system takes without a signal to the process. */
static uint64_t room_for(const epio_op *op)
{
    uint64_t position = op->arguments.io.offset + op->progress;
#if !defined(__linux__)
    struct stat status;
    if ((op->file->flags & EPIO_OPEN_APPEND) != 0 && fstat(epio__descriptor_of(op), &status) == 0) {
        position = (uint64_t)status.st_size;
    }
#endif
    return epio__room_for_write(epio__descriptor_of(op), position);
}

/* One system call for the next bytes; its result. */
static int64_t transfer_some(epio_op *op, epio__cursor cursor)
{
    int descriptor = epio__descriptor_of(op);
    off_t position = (off_t)(op->arguments.io.offset + op->progress);
    char *base = (char *)op->arguments.io.base + op->progress;
    uint64_t most = LARGEST_CALL;
    if (!epio__op_is(op, EPIO__KIND_READS)) {
        uint64_t room = room_for(op);
        if (room == 0) {
            errno = EFBIG;
            return -1;
        }
        most = room < most ? room : most;
        if (epio__os_file_of(op)->appends) {
            return append_some(op, cursor, most);
        }
    }
    uint64_t rest = op->arguments.io.len - op->progress;
    size_t left = (size_t)(rest < most ? rest : most);
    struct iovec parts[EPIO__PARTS_AT_ONCE];
    switch (op->kind) {
    case EPIO_KIND_READ:
        return pread(descriptor, base, left, position);
    case EPIO_KIND_WRITE:
        return pwrite(descriptor, base, left, position);
    case EPIO_KIND_READV:
        return preadv(descriptor, parts, epio__cursor_parts(op, cursor, most, parts), position);
    default:
        return pwritev(descriptor, parts, epio__cursor_parts(op, cursor, most, parts), position);
    }
}

static int64_t transfer_all(epio_op *op, uint64_t bytes)
{
    epio__cursor cursor = epio__cursor_at(op, op->progress);
    while (op->progress < bytes) {
        int64_t done = transfer_some(op, cursor);
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (epio__read_met_end(op, errno)) {
                break;
            }
            return epio__op_fail(op);
        }
        if (done == 0) {
            if (epio__op_is(op, EPIO__KIND_READS)) {
                break; /* the end of the file */
            }
            /* POSIX does not define a write that returns 0: never seen, and not to be retried
             * without end. */
            errno = EIO;
            return epio__op_fail(op);
        }
        op->progress += (uint64_t)done;
        if (op->progress < bytes) {
            epio__cursor_advance(op, &cursor, (uint64_t)done);
        }
    }
    return (int64_t)op->progress;
}

int64_t epio__os_transfer(epio_op *op)
{
    if (epio__op_is_on_stream(op)) {
        return epio__stream_perform(op);
    }
    uint64_t bytes = epio_op_bytes(op);
    if (epio__op_is(op, EPIO__KIND_READS)) {
        return transfer_all(op, bytes);
    }
    epio__signal_guard guard;
    epio__signal_guard_begin(&guard, SIGXFSZ);
    int64_t result = transfer_all(op, bytes);
    epio__signal_guard_end(&guard, result < 0);
    return result;
}

#if EPIO_ASYNC

#if defined(RWF_NOWAIT)

/* True if the file ends at op->progress. */
static bool is_at_end(const epio_op *op)
{
    struct stat status;
    if (fstat(epio__descriptor_of(op), &status) != 0) {
        return false;
    }
    return op->arguments.io.offset + op->progress >= (uint64_t)status.st_size;
}

static int flags_of_cached_read(const epio_op *op)
{
    const epio__os_file *file = epio__os_file_of(op);
    bool always = epio__load_relaxed_u32(&file->cached_reads) == EPIO__CACHED_READS_ALWAYS;
    return always ? 0 : RWF_NOWAIT;
}

static int64_t read_cached_some(const epio_op *op, epio__cursor cursor)
{
    struct iovec parts[EPIO__PARTS_AT_ONCE];
    int count = epio__cursor_parts(op, cursor, UINT64_MAX, parts);
    return epio__preadv2(epio__descriptor_of(op), parts, count,
                         op->arguments.io.offset + op->progress, flags_of_cached_read(op));
}

/* After a short read. */
static bool read_cached_rest(epio_op *op, uint64_t bytes, int64_t done)
{
    epio__cursor cursor = {0, 0};
    op->progress = 0;
    while (op->progress < bytes) {
        if (done > 0) {
            op->progress += (uint64_t)done;
            epio__cursor_advance(op, &cursor, (uint64_t)done);
        } else if (done == 0) {
            /* Kernels have returned 0 in the middle of a file, too. */
            return is_at_end(op);
        } else if (errno != EINTR) {
            if (errno != EAGAIN) {
                /* Not supported by this file; or an error, which the ordinary read reports. */
                epio__os_file_note_cached_reads(epio__os_file_of(op), EPIO__CACHED_READS_NEVER);
            }
            return false;
        }
        if (op->progress < bytes) {
            done = read_cached_some(op, cursor);
        }
    }
    return true;
}

bool epio__os_readv_cached(epio_op *op, uint64_t bytes)
{
    epio__cursor start = {0, 0};
    op->progress = 0;
    return read_cached_rest(op, bytes, bytes == 0 ? 0 : read_cached_some(op, start));
}

bool epio__os_read_cached(epio_op *op, uint64_t bytes)
{
    /* Most reads need only this first try. */
    struct iovec part = {.iov_base = op->arguments.io.base, .iov_len = (size_t)bytes};
    int64_t done = epio__preadv2(epio__descriptor_of(op), &part, 1, op->arguments.io.offset,
                                 flags_of_cached_read(op));
    op->progress = (uint64_t)done;
    return done == (int64_t)bytes || read_cached_rest(op, bytes, done);
}

#else

bool epio__os_read_cached(epio_op *op, uint64_t bytes)
{
    (void)bytes;
    op->progress = 0;
    epio__os_file_note_cached_reads(epio__os_file_of(op), EPIO__CACHED_READS_NEVER);
    return false;
}

bool epio__os_readv_cached(epio_op *op, uint64_t bytes)
{
    return epio__os_read_cached(op, bytes);
}

#endif

#endif

/* ---- The file as a whole ---- */

int64_t epio__os_truncate(epio_op *op)
{
    int outcome;
    epio__signal_guard guard;
    if (epio__room_for_write(epio__descriptor_of(op), 0) < op->arguments.io.offset) {
        errno = EFBIG;
        return epio__op_fail(op);
    }
    epio__signal_guard_begin(&guard, SIGXFSZ);
    do {
        outcome = ftruncate(epio__descriptor_of(op), (off_t)op->arguments.io.offset);
    } while (outcome != 0 && errno == EINTR);
    epio__signal_guard_end(&guard, outcome != 0);
    return outcome == 0 ? 0 : epio__op_fail(op);
}

int epio__flush(int descriptor, uint32_t strength)
{
#if defined(__APPLE__)
    /* There fsync leaves the data in the drive's cache. Not every file system supports the
     * stronger calls. */
    if (strength != EPIO_SYNC_DATA_ONLY) {
        int request = strength == EPIO_SYNC_FULL ? F_FULLFSYNC : F_BARRIERFSYNC;
        if (fcntl(descriptor, request, 0) == 0) {
            return 0;
        }
        if (errno != ENOTSUP && errno != ENOTTY && errno != EINVAL) {
            return -1;
        }
    }
    return fsync(descriptor);
#else
    return strength == EPIO_SYNC_DATA_ONLY ? fdatasync(descriptor) : fsync(descriptor);
#endif
}

int64_t epio__os_sync(epio_op *op)
{
    if (op->flags == EPIO_SYNC_NORMAL && (op->file->flags & EPIO_OPEN_WRITE) == 0) {
        return 0;
    }
    int outcome;
    do {
        outcome = epio__flush(epio__descriptor_of(op), op->flags);
    } while (outcome != 0 && errno == EINTR);
    return outcome == 0 ? 0 : epio__op_fail(op);
}

int64_t epio__os_size(epio_op *op)
{
    struct stat status;
    if (epio__op_is_on_stream(op)) {
        return EPIO_ESPIPE;
    }
    if (fstat(epio__descriptor_of(op), &status) != 0) {
        return epio__op_fail(op);
    }
    if (S_ISBLK(status.st_mode)) {
        off_t end = lseek(epio__descriptor_of(op), 0, SEEK_END);
        return end >= 0 ? (int64_t)end : epio__op_fail(op);
    }
    return (int64_t)status.st_size;
}
