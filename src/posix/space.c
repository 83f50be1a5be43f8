/* The space of files: allocation, holes, zeros; and advice about their use. append.c has the rest
 * of epio/space.h. */
#include "posix/posix.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/falloc.h>
#endif

/* ---- Allocation ---- */

#if defined(__linux__)

/* One call: 0, or -1 and errno. */
static int change(const epio_op *op, int mode, uint64_t offset, uint64_t len)
{
    int outcome;
    do {
        outcome = fallocate(epio__descriptor_of(op), mode, (off_t)offset, (off_t)len);
    } while (outcome != 0 && errno == EINTR);
    return outcome;
}

static int punch(const epio_op *op)
{
    return change(op, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->arguments.io.offset,
                  op->arguments.io.len);
}

/* What is punched reads as zeros, too. Then the file becomes longer, by a call that never makes it
 * shorter, whatever others do; first, there might be no space for that. */
static int zero(const epio_op *op, int keep)
{
    uint64_t offset = op->arguments.io.offset;
    uint64_t len = op->arguments.io.len;
    int outcome = change(op, FALLOC_FL_ZERO_RANGE | keep, offset, len);
    if (outcome == 0 || errno != EOPNOTSUPP) {
        return outcome;
    }
    struct stat status;
    outcome = punch(op);
    if (outcome != 0 || keep != 0) {
        return outcome;
    }
    bool grows =
        fstat(epio__descriptor_of(op), &status) != 0 || (uint64_t)status.st_size < offset + len;
    return grows ? change(op, 0, offset + len - 1, 1) : 0;
}

static int change_space(const epio_op *op)
{
    int keep = (op->flags & EPIO_SPACE_KEEP_SIZE) != 0 ? FALLOC_FL_KEEP_SIZE : 0;
    switch (op->kind) {
    case EPIO_KIND_ALLOCATE:
        return change(op, keep, op->arguments.io.offset, op->arguments.io.len);
    case EPIO_KIND_PUNCH_HOLE:
        return punch(op);
    default:
        return zero(op, keep);
    }
}

#elif defined(__FreeBSD__)

/* Elsewhere posix_fallocate may write, beside those who write at the same time. */
static int change_space(const epio_op *op)
{
    int error = EOPNOTSUPP;
    while (op->kind == EPIO_KIND_ALLOCATE && op->flags == 0 &&
           (error = posix_fallocate(epio__descriptor_of(op), (off_t)op->arguments.io.offset,
                                    (off_t)op->arguments.io.len)) == EINTR) {
    }
    errno = error == EINVAL ? EOPNOTSUPP : error; /* as ZFS says it */
    return error == 0 ? 0 : -1;
}

#elif defined(F_PREALLOCATE)

/* Space is counted from the end of what the file has. */
static int change_space(const epio_op *op)
{
    struct stat status;
    int descriptor = epio__descriptor_of(op);
    uint64_t range_end = op->arguments.io.offset + op->arguments.io.len;
    if (op->kind != EPIO_KIND_ALLOCATE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (fstat(descriptor, &status) != 0) {
        return -1;
    }
    uint64_t allocated = (uint64_t)status.st_blocks * 512;
    if (allocated < range_end) {
        fstore_t store = {.fst_flags = F_ALLOCATEALL,
                          .fst_posmode = F_PEOFPOSMODE,
                          .fst_length = (off_t)(range_end - allocated)};
        if (fcntl(descriptor, F_PREALLOCATE, &store) != 0) {
            return -1;
        }
    }
    bool grows = (op->flags & EPIO_SPACE_KEEP_SIZE) == 0 && (uint64_t)status.st_size < range_end;
    return grows ? ftruncate(descriptor, (off_t)range_end) : 0;
}

#else

static int change_space(const epio_op *op)
{
    (void)op;
    errno = EOPNOTSUPP;
    return -1;
}

#endif

int64_t epio__os_change_space(epio_op *op)
{
    epio__signal_guard guard;
    uint64_t range_end = op->arguments.io.offset + op->arguments.io.len;
    bool grows = op->kind != EPIO_KIND_PUNCH_HOLE && (op->flags & EPIO_SPACE_KEEP_SIZE) == 0;
    if (grows && epio__room_for_write(epio__descriptor_of(op), 0) < range_end) {
        errno = EFBIG;
        return epio__op_fail(op);
    }
    epio__signal_guard_begin(&guard, SIGXFSZ);
    int outcome = change_space(op);
    epio__signal_guard_end(&guard, outcome != 0);
    if (outcome == 0) {
        return 0;
    }
    int64_t error = epio__op_fail(op);
    return op->os_error == ENODEV ? EPIO_ENOTSUP : error; /* a device without blocks */
}

/* ---- Advice ---- */

#if defined(POSIX_FADV_NORMAL)

static int advise(const epio_op *op)
{
    static const int advices[] = {POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                  POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED};
    return posix_fadvise(epio__descriptor_of(op), (off_t)op->arguments.io.offset,
                         (off_t)op->arguments.io.len, advices[op->flags]);
}

#elif defined(F_RDADVISE) && defined(F_RDAHEAD)

static int advise(const epio_op *op)
{
    struct radvisory range = {.ra_offset = (off_t)op->arguments.io.offset, .ra_count = INT_MAX};
    int descriptor = epio__descriptor_of(op);
    int outcome = 0;
    if (op->flags == EPIO_ADVICE_DONT_NEED) {
        return EOPNOTSUPP;
    }
    if (op->flags == EPIO_ADVICE_WILL_NEED) {
        if (op->arguments.io.len != 0 && op->arguments.io.len < INT_MAX) {
            range.ra_count = (int)op->arguments.io.len;
        }
        outcome = fcntl(descriptor, F_RDADVISE, &range);
    } else {
        outcome = fcntl(descriptor, F_RDAHEAD, op->flags == EPIO_ADVICE_RANDOM ? 0 : 1);
    }
    return outcome < 0 ? errno : 0;
}

#else

static int advise(const epio_op *op)
{
    (void)op;
    return EOPNOTSUPP;
}

#endif

int64_t epio__os_advise(epio_op *op)
{
    int error = advise(op);
    if (error == 0) {
        return 0;
    }
    errno = error;
    return epio__op_fail(op);
}
