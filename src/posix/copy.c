/* Copying between files without their bytes passing through the program: reflinks, and copies
 * within the kernel. */
#include "posix/posix.h"

#include "posix/append.h"

#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#endif
#if defined(__FreeBSD__)
#include <sys/param.h>
#endif

#if defined(__linux__) && defined(SYS_copy_file_range)
#define HAS_COPY
static int64_t copy_some(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t len)
{
    int64_t in = (int64_t)from_offset;
    int64_t out = (int64_t)to_offset;
    return syscall(SYS_copy_file_range, from, &in, to, &out, (size_t)len, 0u);
}
#elif defined(__FreeBSD__) && __FreeBSD_version >= 1300037
#define HAS_COPY
static int64_t copy_some(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t len)
{
    off_t in = (off_t)from_offset;
    off_t out = (off_t)to_offset;
    return copy_file_range(from, &in, to, &out, (size_t)len, 0);
}
#endif

#if defined(HAS_COPY)

/* Of one op, so that a cancel is soon seen: data that is moved, and calls for it. */
#define MOST_BYTES (UINT64_C(16) << 20)
#define MOST_CALLS 256u

/* Blocks that are shared without another look. */
#define MOST_SHARED (UINT64_C(64) << 30)

/* A copy of `len` bytes, of which `done` are done. */
typedef struct copy {
    epio__os_file *from;
    int from_descriptor;
    int to_descriptor;
    uint64_t from_offset;
    uint64_t to_offset;
    uint64_t len;
    uint64_t from_size;
    uint64_t block;
    uint64_t done;
    uint64_t moved;
    bool is_dense;       /* `from` has no holes worth a search */
    uint64_t hole;       /* where the last one begins, if ends_with_hole */
    bool ends_with_hole; /* `to` may be too short */
} copy;

static uint64_t least(uint64_t one, uint64_t other)
{
    return other < one ? other : one;
}

/* Copies some bytes: 1; 0: there are none; -1 and errno. */
static int copy_data(copy *c, uint64_t len)
{
    int64_t copied;
    do {
        copied = copy_some(c->from_descriptor, c->from_offset + c->done, c->to_descriptor,
                           c->to_offset + c->done, len);
    } while (copied < 0 && errno == EINTR);
    if (copied <= 0) {
        return (int)copied;
    }
    c->done += (uint64_t)copied;
    c->moved += (uint64_t)copied;
    c->ends_with_hole = false;
    return 1;
}

#if defined(__linux__)

/* ---- Reflinks ---- */

/* In whole blocks, but for the end of the file. Whatever is wrong, the ordinary copy says. */
static bool share(copy *c)
{
#if defined(FICLONERANGE)
    uint64_t len = least(c->len, MOST_SHARED);
    if (c->from_offset % c->block != 0 || c->to_offset % c->block != 0) {
        return false;
    }
    if (c->from_offset + len < c->from_size) {
        len -= len % c->block;
    }
    struct file_clone_range range = {.src_fd = c->from_descriptor,
                                     .src_offset = c->from_offset,
                                     .src_length = len,
                                     .dest_offset = c->to_offset};
    int outcome;
    if (len == 0) {
        return false;
    }
    do {
        /* ioctl takes the request as unsigned long in one libc, as int in another. */
        outcome = (int)syscall(SYS_ioctl, c->to_descriptor, FICLONERANGE, &range);
    } while (outcome != 0 && errno == EINTR);
    c->done = outcome == 0 ? len : 0;
    return outcome == 0;
#else
    (void)c;
    return false;
#endif
}

/* ---- Holes ---- */

static int change(const copy *c, int mode, uint64_t offset, uint64_t len)
{
    int outcome;
    do {
        outcome = fallocate(c->to_descriptor, mode, (off_t)offset, (off_t)len);
    } while (outcome != 0 && errno == EINTR);
    return outcome;
}

static int punch(const copy *c, uint64_t offset, uint64_t len)
{
    return change(c, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}

/* A hole of so many bytes, if `to` has anything there. False: it must be copied as zeros. */
static bool copy_hole(copy *c, uint64_t len)
{
    struct stat status;
    uint64_t offset = c->to_offset + c->done;
    bool covers = fstat(c->to_descriptor, &status) != 0 || (uint64_t)status.st_size > offset;
    if (covers && punch(c, offset, len) != 0) {
        return false;
    }
    c->hole = offset;
    c->ends_with_hole = true;
    c->done += len;
    return true;
}

/* Behind a hole: makes `to` long enough, by calls that never make it shorter, whatever others do,
 * and gives back what they allocate. 0, or -1 and errno. */
static int grow(const copy *c)
{
    struct stat status;
    uint64_t end = c->to_offset + c->done;
    if (fstat(c->to_descriptor, &status) != 0) {
        return -1;
    }
    if ((uint64_t)status.st_size >= end) {
        return 0;
    }
    if (change(c, 0, end - 1, 1) != 0) {
        int64_t written = -1;
        while (errno == EOPNOTSUPP &&
               (written = pwrite(c->to_descriptor, "", 1, (off_t)(end - 1))) < 0 &&
               errno == EINTR) {
            errno = EOPNOTSUPP;
        }
        if (written != 1) {
            return -1;
        }
    }
    uint64_t last = end - 1 - (end - 1) % c->block;
    uint64_t begin = last > c->hole ? last : c->hole;
    (void)punch(c, begin, end - begin); /* else a block more than needed is allocated */
    return 0;
}

/* ---- Parts ---- */

/* Where there is no data up to the end of `from`: that, or the end of the copy. `from` may have
 * become shorter, which the seek does not say. */
static uint64_t end_of_hole(const copy *c)
{
    struct stat status;
    uint64_t end = c->from_offset + c->len;
    return fstat(c->from_descriptor, &status) == 0 ? least((uint64_t)status.st_size, end) : end;
}

/* A hole, or some of the data up to the next. 1; 0: there is none; -1 and errno. */
static int copy_part(copy *c)
{
    uint64_t at = c->from_offset + c->done;
    uint64_t end = c->from_offset + c->len;
    uint64_t data_end = end;
    if (c->is_dense) {
        return copy_data(c, least(end - at, MOST_BYTES - c->moved));
    }
    int64_t data = epio__position_seek(c->from, at, false);
    uint64_t hole_end = at;
    if (data >= 0) {
        hole_end = least((uint64_t)data, end);
    } else if (errno == ENXIO) {
        hole_end = end_of_hole(c);
        if (hole_end <= at) {
            return 0;
        }
    }
    if (hole_end > at && copy_hole(c, hole_end - at)) {
        return 1;
    }
    if (hole_end > at) {
        data_end = hole_end;
    } else if (data >= 0) {
        int64_t hole = epio__position_seek(c->from, at, true);
        data_end = hole > data ? least((uint64_t)hole, end) : end;
    }
    return copy_data(c, least(data_end - at, MOST_BYTES - c->moved));
}

#else

/* The call knows holes itself. */
static bool share(copy *c)
{
    (void)c;
    return false;
}

static int copy_part(copy *c)
{
    return copy_data(c, least(c->len - c->done, MOST_BYTES - c->moved));
}

static int grow(const copy *c)
{
    (void)c;
    return 0;
}

#endif

static int copy_parts(copy *c)
{
    int outcome = 1;
    for (unsigned calls = 0; outcome > 0 && c->done < c->len && c->moved < MOST_BYTES; calls++) {
        outcome = calls < MOST_CALLS || c->ends_with_hole ? copy_part(c) : 0;
    }
    return outcome;
}

/* As many blocks as its length takes: a search for holes, which on tmpfs looks at each page up to
 * the end, every time, finds none. Many more may be beyond the end, and holes before it. */
static bool is_dense(const struct stat *status)
{
    uint64_t size = (uint64_t)status->st_size;
    uint64_t allocated = (uint64_t)status->st_blocks * 512;
    return allocated >= size && allocated - size <= 65536 + size / 1024;
}

/* The file systems have no such copy, or not of these files. */
static bool is_no_way(int error)
{
    return error == EXDEV || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP ||
           error == ETXTBSY || error == EPERM;
}

/* An error after a part is the next op's. */
static int64_t result_of(epio_op *op, copy *c, int outcome)
{
    if (c->done == 0) {
        if (outcome < 0) {
            return is_no_way(errno) ? EPIO_ENOTSUP : epio__op_fail(op);
        }
        return EPIO_ENOTSUP; /* `from` has, or had, bytes, says its length */
    }
    if (c->ends_with_hole && grow(c) != 0) {
        return epio__op_fail(op);
    }
    return (int64_t)c->done;
}

static int64_t copy_files(epio_op *op, copy *c)
{
    epio__signal_guard guard;
    uint64_t room = epio__room_for_write(c->to_descriptor, c->to_offset);
    if (room == 0) {
        errno = EFBIG;
        return epio__op_fail(op);
    }
    c->len = least(c->len, room);
    epio__signal_guard_begin(&guard, SIGXFSZ);
    int outcome = share(c) ? 1 : copy_parts(c);
    bool met_limit = outcome < 0 && errno == EFBIG; /* perhaps behind a part */
    int64_t result = result_of(op, c, outcome);
    errno = met_limit ? EFBIG : errno;
    epio__signal_guard_end(&guard, result < 0 || met_limit);
    return result;
}

/* What has no length, as the kernel's own files, says only to a read how much it has. */
int64_t epio__os_copy_range(epio_op *op)
{
    struct stat from;
    struct stat to;
    copy c = {.from = (epio__os_file *)(void *)op->arguments.copy.from,
              .from_offset = op->arguments.copy.from_offset,
              .to_offset = op->arguments.copy.offset};
    c.from_descriptor = (int)c.from->transfer_handle;
    c.to_descriptor = epio__descriptor_of(op);
    if (fstat(c.from_descriptor, &from) != 0 || fstat(c.to_descriptor, &to) != 0) {
        return epio__op_fail(op);
    }
    if (!S_ISREG(from.st_mode) || !S_ISREG(to.st_mode) || from.st_size == 0) {
        return EPIO_ENOTSUP;
    }
    c.from_size = (uint64_t)from.st_size;
    c.is_dense = is_dense(&from);
    if (c.from_offset >= c.from_size) {
        return 0;
    }
    c.len = least(op->arguments.copy.len, c.from_size - c.from_offset);
    c.block = from.st_blksize > 0 ? (uint64_t)from.st_blksize : 4096;
    return copy_files(op, &c);
}

#else

int64_t epio__os_copy_range(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}

#endif
