/* What the system knows of a file beside its bytes: stat, and setting times, permissions and owner,
 * of a path or of an open file. */
#include "posix/place.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/sysmacros.h>
#endif

static bool has_path(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_ON_PATH);
}

static int descriptor_of(const epio_op *op)
{
    return (int)epio__os_file_of(op)->handle;
}

static int64_t end_with(epio_op *op, int outcome)
{
    return outcome == 0 ? 0 : epio__op_fail(op);
}

/* ---- Stat ---- */

uint32_t epio__type_of_mode(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return EPIO_TYPE_FILE;
    case S_IFDIR:
        return EPIO_TYPE_DIRECTORY;
    case S_IFLNK:
        return EPIO_TYPE_LINK;
    case S_IFIFO:
        return EPIO_TYPE_FIFO;
    case S_IFSOCK:
        return EPIO_TYPE_SOCKET;
    case S_IFCHR:
        return EPIO_TYPE_CHARACTER_DEVICE;
    case S_IFBLK:
        return EPIO_TYPE_BLOCK_DEVICE;
    default:
        return EPIO_TYPE_UNKNOWN;
    }
}

#define SECOND INT64_C(1000000000)

/* A time beyond the years 1677 to 2262, which file systems can keep, is not known. */
static void take_time(epio_info *info, uint32_t which, int64_t *to, int64_t seconds, int64_t rest)
{
    if (seconds < 0) { /* both parts have one sign then */
        seconds++;
        rest -= SECOND;
    }
    bool fits = seconds >= 0 ? seconds < INT64_MAX / SECOND ||
                                   (seconds == INT64_MAX / SECOND && rest < INT64_MAX % SECOND)
                             : seconds > INT64_MIN / SECOND ||
                                   (seconds == INT64_MIN / SECOND && rest > INT64_MIN % SECOND);
    if (fits) {
        info->known |= which;
        *to = seconds * SECOND + rest;
    }
}

#define KNOWN_EVERYWHERE                                                                           \
    (EPIO_INFO_MODE | EPIO_INFO_OWNER | EPIO_INFO_LINKS | EPIO_INFO_ID | EPIO_INFO_BYTES |         \
     EPIO_INFO_ALLOCATED | EPIO_INFO_BLOCK_SIZE)

/* In units of 512 bytes, on every system. */
#define ALLOCATION_UNIT 512u

#if defined(__APPLE__)
#define MODIFIED st_mtimespec
#define CHANGED st_ctimespec
#define ACCESSED st_atimespec
#else
#define MODIFIED st_mtim
#define CHANGED st_ctim
#define ACCESSED st_atim
#endif

static void take_spec(epio_info *info, uint32_t which, int64_t *to, struct timespec time)
{
    take_time(info, which, to, time.tv_sec, time.tv_nsec);
}

static void describe(const struct stat *status, epio_info *info)
{
    memset(info, 0, sizeof *info);
    info->known = KNOWN_EVERYWHERE;
    info->type = epio__type_of_mode(status->st_mode);
    info->mode = (uint32_t)status->st_mode & 07777u;
    info->user = (uint32_t)status->st_uid;
    info->group = (uint32_t)status->st_gid;
    info->block_size = (uint32_t)status->st_blksize;
    info->links = (uint64_t)status->st_nlink;
    info->device = (uint64_t)status->st_dev;
    info->id[0] = (uint64_t)status->st_ino;
    info->bytes = (uint64_t)status->st_size;
    info->allocated = (uint64_t)status->st_blocks * ALLOCATION_UNIT;
    take_spec(info, EPIO_INFO_MODIFIED, &info->modified, status->MODIFIED);
    take_spec(info, EPIO_INFO_CHANGED, &info->changed, status->CHANGED);
    take_spec(info, EPIO_INFO_ACCESSED, &info->accessed, status->ACCESSED);
#if defined(__APPLE__)
    take_spec(info, EPIO_INFO_BORN, &info->born, status->st_birthtimespec);
#elif defined(__FreeBSD__)
    take_spec(info, EPIO_INFO_BORN, &info->born, status->st_birthtim);
#endif
}

static bool stat_follows(const epio_op *op)
{
    return (op->flags & EPIO_STAT_NOFOLLOW) == 0;
}

/* An op on an open file has no place. */
static int stat_flag(const epio_op *op)
{
    return has_path(op) ? epio__place_flag(op, stat_follows(op)) : 0;
}

/* `path` "": of `at` itself. */
static int ask_stat(const epio_op *op, int at, const char *path, epio_info *info)
{
    struct stat status;
    int outcome = path[0] != '\0' ? fstatat(at, path, &status, stat_flag(op)) : fstat(at, &status);
    if (outcome == 0) {
        describe(&status, info);
    }
    return outcome;
}

#if defined(STATX_BASIC_STATS)

static uint32_t known_of(uint32_t mask)
{
    static const struct {
        uint32_t statx;
        uint32_t known;
    } bits[] = {
        {STATX_MODE, EPIO_INFO_MODE},   {STATX_UID | STATX_GID, EPIO_INFO_OWNER},
        {STATX_NLINK, EPIO_INFO_LINKS}, {STATX_INO, EPIO_INFO_ID},
        {STATX_SIZE, EPIO_INFO_BYTES},  {STATX_BLOCKS, EPIO_INFO_ALLOCATED},
    };
    uint32_t known = EPIO_INFO_BLOCK_SIZE;
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        known |= (mask & bits[i].statx) == bits[i].statx ? bits[i].known : 0;
    }
    return known;
}

static void take_times(const struct statx *status, epio_info *info)
{
    const struct {
        uint32_t statx;
        uint32_t which;
        int64_t *to;
        struct statx_timestamp time;
    } times[] = {
        {STATX_BTIME, EPIO_INFO_BORN, &info->born, status->stx_btime},
        {STATX_MTIME, EPIO_INFO_MODIFIED, &info->modified, status->stx_mtime},
        {STATX_CTIME, EPIO_INFO_CHANGED, &info->changed, status->stx_ctime},
        {STATX_ATIME, EPIO_INFO_ACCESSED, &info->accessed, status->stx_atime},
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if ((status->stx_mask & times[i].statx) != 0) {
            take_time(info, times[i].which, times[i].to, times[i].time.tv_sec,
                      times[i].time.tv_nsec);
        }
    }
}

static int ask(const epio_op *op, int at, const char *path, epio_info *info)
{
    struct statx status;
    int flags = stat_flag(op);
    flags |= path[0] != '\0' ? 0 : AT_EMPTY_PATH;
    if (statx(at, path, flags, STATX_BASIC_STATS | STATX_BTIME, &status) != 0) {
        /* An old kernel, or a filter of system calls. */
        return errno == ENOSYS || errno == EPERM ? ask_stat(op, at, path, info) : -1;
    }
    memset(info, 0, sizeof *info);
    info->known = known_of(status.stx_mask);
    info->type = epio__type_of_mode(status.stx_mode);
    info->mode = status.stx_mode & 07777u;
    info->user = status.stx_uid;
    info->group = status.stx_gid;
    info->block_size = status.stx_blksize;
    info->links = status.stx_nlink;
    info->device = makedev(status.stx_dev_major, status.stx_dev_minor);
    info->id[0] = status.stx_ino;
    info->bytes = status.stx_size;
    info->allocated = status.stx_blocks * ALLOCATION_UNIT;
    take_times(&status, info);
    return 0;
}

#else

static int ask(const epio_op *op, int at, const char *path, epio_info *info)
{
    return ask_stat(op, at, path, info);
}

#endif

static int64_t stat_path(epio_op *op, int at, const char *path, void *with)
{
    return ask(op, at, path, with);
}

/* Most paths begin at no directory, and need no place. */
int64_t epio__os_stat(epio_op *op, epio_info *info)
{
    if (has_path(op) && op->arguments.path.directory == NULL) {
        return end_with(op, ask(op, AT_FDCWD, op->arguments.path.path, info));
    }
    return has_path(op) ? epio__op_on_file(op, stat_follows(op), stat_path, info)
                        : end_with(op, ask(op, descriptor_of(op), "", info));
}

/* ---- Times ---- */

static struct timespec time_to_set(int64_t time)
{
    struct timespec spec = {0, UTIME_OMIT};
    if (time == EPIO_TIME_NOW) {
        spec.tv_nsec = UTIME_NOW;
    } else if (time != EPIO_TIME_KEEP) {
        int64_t seconds = time / INT64_C(1000000000);
        int64_t rest = time % INT64_C(1000000000);
        seconds -= rest < 0 ? 1 : 0;
        rest += rest < 0 ? INT64_C(1000000000) : 0;
        spec.tv_sec = (time_t)seconds;
        spec.tv_nsec = (long)rest;
    }
    return spec;
}

static bool set_follows(const epio_op *op)
{
    return (op->flags & EPIO_SET_NOFOLLOW) == 0;
}

static int follow_flag(const epio_op *op)
{
    return epio__place_flag(op, set_follows(op));
}

/* Where nothing is to be set, Linux does not look for the file. */
static int64_t set_times_of_path(epio_op *op, int at, const char *path, void *with)
{
    const struct timespec *times = with;
    struct stat status;
    if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT) {
        return fstatat(at, path, &status, follow_flag(op));
    }
    return utimensat(at, path, times, follow_flag(op));
}

int64_t epio__os_set_times(epio_op *op, const epio_times *times)
{
    if (times->born != EPIO_TIME_KEEP) {
        return EPIO_ENOTSUP;
    }
    struct timespec both[2] = {time_to_set(times->accessed), time_to_set(times->modified)};
    return has_path(op) ? epio__op_on_file(op, set_follows(op), set_times_of_path, both)
                        : end_with(op, futimens(descriptor_of(op), both));
}

/* ---- Permissions and owner ---- */

static int64_t set_mode_of_path(epio_op *op, int at, const char *path, void *with)
{
    (void)with;
    return fchmodat(at, path, (mode_t)op->arguments.path.len, follow_flag(op));
}

int64_t epio__os_set_mode(epio_op *op)
{
    return has_path(op) ? epio__op_on_file(op, set_follows(op), set_mode_of_path, NULL)
                        : end_with(op, fchmod(descriptor_of(op), (mode_t)op->arguments.path.len));
}

/* All bits set means the same to the system: it stays. */
static uid_t user_of(const epio_op *op)
{
    return (uid_t)(op->arguments.path.len >> 32);
}

static gid_t group_of(const epio_op *op)
{
    return (gid_t)(op->arguments.path.len & UINT32_MAX);
}

static int64_t set_owner_of_path(epio_op *op, int at, const char *path, void *with)
{
    (void)with;
    return fchownat(at, path, user_of(op), group_of(op), follow_flag(op));
}

int64_t epio__os_set_owner(epio_op *op)
{
    return has_path(op) ? epio__op_on_file(op, set_follows(op), set_owner_of_path, NULL)
                        : end_with(op, fchown(descriptor_of(op), user_of(op), group_of(op)));
}
