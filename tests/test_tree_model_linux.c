/* Random sequences of verbs on trees, carried out in a directory of the system and in the memory
 * VFS: results and trees must be the same after each op. EPIO_MODEL_SEEDS sets how many sequences;
 * a failure prints its seed and ops: EPIO_TEST_SEED repeats it. Owners keep all permissions, as
 * the tests may run as a user whom permissions do not concern. EPIO_TEST_ONCE. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "tree_model.h"

#include <fcntl.h>
#include <unistd.h>

/* ---- Choosing an op ---------------------------------------------------- */

static uint64_t pick(world *w, uint64_t below)
{
    return random_between(&w->random, 0, below);
}

static bool chance(world *w, unsigned percent)
{
    return pick(w, 100) < percent;
}

static void choose_path(world *w, char *path)
{
    static const char *const names[] = {"a", "b", "c", "dd", "...", "a", "b", "c"};
    size_t parts = chance(w, 50) ? 1 : 2 + (size_t)pick(w, 4) / 3;
    size_t len = 0;
    path[0] = '\0';
    if (chance(w, 5)) {
        len = (size_t)snprintf(path, PATH_ROOM, "%s/", w->absolute);
    }
    for (size_t i = 0; i < parts; i++) {
        const char *name = names[pick(w, 8)];
        if (chance(w, 8)) {
            name = chance(w, 50) ? "." : "..";
        }
        len += (size_t)snprintf(path + len, PATH_ROOM - len, "%s%s", name,
                                i + 1 < parts ? (chance(w, 5) ? "//" : "/") : "");
    }
    if (chance(w, 1)) {
        len += (size_t)snprintf(path + len, PATH_ROOM - len, "/%0300d", 0);
    }
    if (chance(w, 6)) {
        (void)snprintf(path + len, PATH_ROOM - len, "/");
    }
}

static bool is_open(const world *w, size_t handle, bool directory)
{
    const epio_file *file = w->sides[0].handles[handle];
    return file != NULL && ((file->attributes & EPIO_FILE_DIRECTORY) != 0) == directory;
}

static int64_t choose_time(world *w)
{
    switch (pick(w, 5)) {
    case 0:
        return EPIO_TIME_KEEP;
    case 1:
        return EPIO_TIME_NOW;
    default:
        return (int64_t)pick(w, (uint64_t)EARLIER) - (chance(w, 10) ? EARLIER / 16 : 0);
    }
}

/* Permissions that their owner keeps. Not the sticky bit: what others own in such a directory is
 * protected in ways that depend on the system's settings. */
static uint32_t choose_mode(world *w)
{
    return 0700u | (uint32_t)pick(w, 0100) | (w->privileged ? (uint32_t)pick(w, 4) << 10 : 0u);
}

static uint32_t choose_open_flags(world *w)
{
    static const uint32_t directions[] = {READ_WRITE, READ_WRITE, EPIO_OPEN_READ, EPIO_OPEN_WRITE};
    uint32_t flags = directions[pick(w, 4)];
    bool directory = chance(w, 35);
    uint32_t beneath = chance(w, directory ? 40 : 15) ? EPIO_OPEN_BENEATH : 0u;
    if (directory) {
        return EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | beneath |
               (chance(w, 20) ? EPIO_OPEN_NOFOLLOW : 0u);
    }
    flags |= beneath;
    if (w->nameless && chance(w, 10)) {
        return flags | EPIO_OPEN_TEMPORARY;
    }
    if (chance(w, 70)) {
        flags |= EPIO_OPEN_CREATE | EPIO_OPEN_PERMISSIONS(0700u | (uint32_t)pick(w, 0100));
        flags |= chance(w, 20) ? EPIO_OPEN_EXCLUSIVE : 0;
        flags |= chance(w, 20) ? EPIO_OPEN_EXACT : 0;
        flags |= chance(w, 2) ? EPIO_OPEN_SYNC_DIR : 0;
    }
    flags |= (flags & EPIO_OPEN_WRITE) != 0 && chance(w, 20) ? EPIO_OPEN_TRUNCATE : 0;
    flags |= (flags & EPIO_OPEN_WRITE) != 0 && chance(w, 20) ? EPIO_OPEN_APPEND : 0;
    flags |= chance(w, 10) ? EPIO_OPEN_NOFOLLOW : 0;
    flags |= chance(w, 10) ? EPIO_OPEN_DELETE_ON_CLOSE : 0;
    flags |= chance(w, 5) ? EPIO_OPEN_SEQUENTIAL : 0;
    flags |= chance(w, 5) ? EPIO_OPEN_RANDOM : 0;
    return flags;
}

static const uint32_t kinds[] = {
    EPIO_KIND_OPEN,
    EPIO_KIND_OPEN,
    EPIO_KIND_OPEN,
    EPIO_KIND_OPEN,
    EPIO_KIND_CLOSE,
    EPIO_KIND_CLOSE,
    EPIO_KIND_READ,
    EPIO_KIND_WRITE,
    EPIO_KIND_WRITE,
    EPIO_KIND_TRUNCATE,
    EPIO_KIND_DELETE,
    EPIO_KIND_RENAME,
    EPIO_KIND_RENAME,
    EPIO_KIND_RENAME,
    EPIO_KIND_ACCESS,
    EPIO_KIND_FULL_PATHNAME,
    EPIO_KIND_STAT,
    EPIO_KIND_FILE_STAT,
    EPIO_KIND_SET_TIMES,
    EPIO_KIND_SET_TIMES,
    EPIO_KIND_FILE_SET_TIMES,
    EPIO_KIND_SET_MODE,
    EPIO_KIND_FILE_SET_MODE,
    EPIO_KIND_SET_OWNER,
    EPIO_KIND_FILE_SET_OWNER,
    EPIO_KIND_MKDIR,
    EPIO_KIND_MKDIR,
    EPIO_KIND_MKDIR,
    EPIO_KIND_RMDIR,
    EPIO_KIND_LIST,
    EPIO_KIND_LINK_FILE,
    EPIO_KIND_SYMLINK,
    EPIO_KIND_SYMLINK,
    EPIO_KIND_READ_LINK,
    EPIO_KIND_EXCHANGE,
    EPIO_KIND_EXCHANGE,
    EPIO_KIND_GET_XATTR,
    EPIO_KIND_SET_XATTR,
    EPIO_KIND_SET_XATTR,
    EPIO_KIND_LIST_XATTRS,
    EPIO_KIND_REMOVE_XATTR,
    EPIO_KIND_FILE_GET_XATTR,
    EPIO_KIND_FILE_SET_XATTR,
    EPIO_KIND_FILE_LIST_XATTRS,
    EPIO_KIND_FILE_REMOVE_XATTR,
    EPIO_KIND_FILE_SYSTEM_INFO,
    EPIO_KIND_NAME_TEMPORARY,
    EPIO_KIND_TEMPORARY_DIRECTORY,
    EPIO_KIND_SYNC_DIRECTORY,
    EPIO_KIND_SIZE,
    EPIO_KIND_APPEND,
    EPIO_KIND_APPEND,
    EPIO_KIND_ALLOCATE,
    EPIO_KIND_PUNCH_HOLE,
    EPIO_KIND_ZERO_RANGE,
    EPIO_KIND_SEEK_DATA,
    EPIO_KIND_SEEK_HOLE,
    EPIO_KIND_ADVISE,
    EPIO_KIND_COPY_RANGE,
    EPIO_KIND_COPY_RANGE,
};

static uint32_t choose_xattr_flags(world *w, uint32_t kind)
{
    uint32_t flags = 0;
    if (kind == EPIO_KIND_SET_XATTR || kind == EPIO_KIND_FILE_SET_XATTR) {
        flags = chance(w, 20) ? EPIO_XATTR_CREATE : chance(w, 20) ? EPIO_XATTR_REPLACE : 0u;
    }
    if (kind != EPIO_KIND_FILE_SET_XATTR && chance(w, 20)) {
        flags |= EPIO_XATTR_NOFOLLOW;
    }
    return flags;
}

/* Each costs the flush of a directory. */
static bool lasts(world *w)
{
    return chance(w, 2);
}

static uint32_t choose_flags(world *w, uint32_t kind)
{
    switch (kind) {
    case EPIO_KIND_OPEN:
        return choose_open_flags(w);
    case EPIO_KIND_MKDIR:
        return EPIO_OPEN_PERMISSIONS(0700u | (uint32_t)pick(w, 0100)) |
               (chance(w, 25) ? EPIO_MKDIR_PARENTS : 0) | (lasts(w) ? EPIO_MKDIR_SYNC_DIR : 0);
    case EPIO_KIND_RENAME:
        return (chance(w, 25) ? EPIO_RENAME_NO_REPLACE : 0) | (lasts(w) ? EPIO_RENAME_SYNC_DIR : 0);
    case EPIO_KIND_DELETE:
        return lasts(w) ? EPIO_DELETE_SYNC_DIR : 0;
    case EPIO_KIND_RMDIR:
        return lasts(w) ? EPIO_RMDIR_SYNC_DIR : 0;
    case EPIO_KIND_NAME_TEMPORARY:
        return (chance(w, 40) ? EPIO_NAME_NO_REPLACE : 0) | (lasts(w) ? EPIO_NAME_SYNC_DIR : 0);
    case EPIO_KIND_GET_XATTR:
    case EPIO_KIND_SET_XATTR:
    case EPIO_KIND_LIST_XATTRS:
    case EPIO_KIND_REMOVE_XATTR:
    case EPIO_KIND_FILE_SET_XATTR:
        return choose_xattr_flags(w, kind);
    case EPIO_KIND_ACCESS:
        return (uint32_t)pick(w, 3);
    case EPIO_KIND_LIST:
        return EPIO_LIST_REWIND; /* else what was made meanwhile may be there or not */
    case EPIO_KIND_ALLOCATE:
    case EPIO_KIND_ZERO_RANGE:
        return chance(w, 40) ? EPIO_SPACE_KEEP_SIZE : 0;
    case EPIO_KIND_ADVISE:
        return (uint32_t)pick(w, 5);
    case EPIO_KIND_STAT:
    case EPIO_KIND_SET_TIMES:
    case EPIO_KIND_SET_MODE:
    case EPIO_KIND_SET_OWNER:
        return chance(w, 40) ? EPIO_SET_NOFOLLOW : 0;
    default:
        return 0;
    }
}

/* The handle at which paths begin: any open directory, or BASE. */
static size_t choose_start(world *w)
{
    size_t first = (size_t)pick(w, HANDLES);
    for (size_t i = 0; i < HANDLES && !chance(w, 30); i++) {
        if (is_open(w, (first + i) % HANDLES, true)) {
            return (first + i) % HANDLES;
        }
    }
    return BASE;
}

/* A handle; where files without names are wanted rather one of these. */
static size_t choose_handle(world *w, uint32_t kind)
{
    size_t first = (size_t)pick(w, HANDLES);
    for (size_t i = 0; i < HANDLES && kind == EPIO_KIND_NAME_TEMPORARY && chance(w, 90); i++) {
        if (w->temporary[(first + i) % HANDLES]) {
            return (first + i) % HANDLES;
        }
    }
    return first;
}

static bool is_xattr(uint32_t kind)
{
    return kind >= EPIO_KIND_GET_XATTR && kind <= EPIO_KIND_FILE_REMOVE_XATTR;
}

/* What does not depend on where the op begins. */
static void choose_names(world *w, action *one)
{
    static const char *const names[] = {"user.a", "user.b", "user.c", "user.", "nonsense"};
    static const size_t rooms[] = {16, 300, LIST_ROOM};
    choose_path(w, one->path);
    choose_path(w, one->to);
    if (is_xattr(one->kind)) {
        (void)snprintf(one->to, sizeof one->to, "%s", names[pick(w, chance(w, 10) ? 5 : 3)]);
    }
    if (one->kind == EPIO_KIND_LIST) {
        one->len = rooms[pick(w, 3)];
    }
    if (one->kind == EPIO_KIND_NAME_TEMPORARY && one->path[0] != '/') {
        /* It does not begin at a directory. */
        size_t len = strlen(w->absolute);
        memmove(one->path + len + 1, one->path, sizeof one->path - len - 1);
        memcpy(one->path, w->absolute, len);
        one->path[len] = '/';
        one->path[sizeof one->path - 1] = '\0';
    }
}

static bool changes_space(uint32_t kind)
{
    return kind == EPIO_KIND_ALLOCATE || kind == EPIO_KIND_PUNCH_HOLE ||
           kind == EPIO_KIND_ZERO_RANGE || kind == EPIO_KIND_COPY_RANGE;
}

static bool is_possible(const world *w, const action *one)
{
    bool file = is_open(w, one->handle, false);
    bool directory = is_open(w, one->handle, true);
    uint32_t directions = file ? w->sides[0].handles[one->handle]->flags : 0;
    if ((is_xattr(one->kind) && !w->attributes) || w->lacks[one->kind]) {
        return false;
    }
    switch (one->kind) {
    case EPIO_KIND_OPEN:
        return !file && !directory;
    case EPIO_KIND_READ:
        return (directions & EPIO_OPEN_READ) != 0;
    case EPIO_KIND_WRITE:
    case EPIO_KIND_TRUNCATE:
    case EPIO_KIND_APPEND:
    case EPIO_KIND_ALLOCATE:
    case EPIO_KIND_PUNCH_HOLE:
    case EPIO_KIND_ZERO_RANGE:
        return (directions & EPIO_OPEN_WRITE) != 0;
    case EPIO_KIND_COPY_RANGE:
        return (directions & EPIO_OPEN_WRITE) != 0 && is_open(w, one->second, false) &&
               (w->sides[0].handles[one->second]->flags & EPIO_OPEN_READ) != 0;
    case EPIO_KIND_SIZE:
    case EPIO_KIND_SEEK_DATA:
    case EPIO_KIND_SEEK_HOLE:
    case EPIO_KIND_ADVISE:
        return file;
    case EPIO_KIND_LIST:
        return directory;
    case EPIO_KIND_SET_OWNER:
        return w->privileged;
    case EPIO_KIND_FILE_SET_OWNER:
        return w->privileged && (file || directory);
    case EPIO_KIND_NAME_TEMPORARY:
        return w->nameless && (file || directory);
    case EPIO_KIND_CLOSE:
    case EPIO_KIND_FILE_STAT:
    case EPIO_KIND_FILE_SET_TIMES:
    case EPIO_KIND_FILE_SET_MODE:
    case EPIO_KIND_FILE_GET_XATTR:
    case EPIO_KIND_FILE_SET_XATTR:
    case EPIO_KIND_FILE_LIST_XATTRS:
    case EPIO_KIND_FILE_REMOVE_XATTR:
        return file || directory;
    default:
        return true;
    }
}

/* False if the op has no file of its kind; another is to be chosen. */
static bool choose(world *w, action *one)
{
    memset(one, 0, sizeof *one);
    one->kind = kinds[pick(w, sizeof kinds / sizeof kinds[0])];
    if (one->kind == EPIO_KIND_EXCHANGE && !w->exchanges) {
        one->kind = EPIO_KIND_RENAME;
    }
    one->handle = choose_handle(w, one->kind);
    one->second = (size_t)pick(w, HANDLES);
    one->at = choose_start(w);
    one->flags = choose_flags(w, one->kind);
    one->offset = pick(w, 3) * 4000 + pick(w, 10);
    one->from_offset = pick(w, 3) * 4000 + pick(w, 10);
    one->len = (size_t)pick(w, 3) * 500 + (size_t)pick(w, 3);
    one->len += changes_space(one->kind) ? (size_t)pick(w, 6) * 4096 : 0; /* whole blocks, too */
    choose_names(w, one);
    one->modified = choose_time(w);
    one->accessed = choose_time(w);
    one->mode = choose_mode(w);
    one->user = chance(w, 30) ? EPIO_OWNER_KEEP : (uint32_t)pick(w, 3);
    one->group = chance(w, 30) ? EPIO_OWNER_KEEP : (uint32_t)pick(w, 3);
    return is_possible(w, one);
}

/* ---- Carrying it out --------------------------------------------------- */

/* Bytes that depend on the op. */
static const void *data_of(const action *one)
{
    static unsigned char data[2000];
    memset(data, (int)(one->offset + one->len) | 1, sizeof data);
    return data;
}

static epio_op *prepare_on_attributes(const action *one, epio_file *file, epio_vfs *vfs,
                                      epio_op *op, outcome *came)
{
    switch (one->kind) {
    case EPIO_KIND_GET_XATTR:
        return epio_get_xattr(op, vfs, one->path, one->to, came->buffer, one->len, one->flags);
    case EPIO_KIND_FILE_GET_XATTR:
        return epio_file_get_xattr(op, file, one->to, came->buffer, one->len);
    case EPIO_KIND_SET_XATTR:
        return epio_set_xattr(op, vfs, one->path, one->to, data_of(one), one->len, one->flags);
    case EPIO_KIND_FILE_SET_XATTR:
        return epio_file_set_xattr(op, file, one->to, data_of(one), one->len, one->flags);
    case EPIO_KIND_LIST_XATTRS:
        return epio_list_xattrs(op, vfs, one->path, came->buffer, one->len, one->flags);
    case EPIO_KIND_FILE_LIST_XATTRS:
        return epio_file_list_xattrs(op, file, came->buffer, one->len);
    case EPIO_KIND_REMOVE_XATTR:
        return epio_remove_xattr(op, vfs, one->path, one->to, one->flags);
    default:
        return epio_file_remove_xattr(op, file, one->to);
    }
}

static epio_op *prepare_on_space(const action *one, epio_file *file, epio_op *op)
{
    switch (one->kind) {
    case EPIO_KIND_APPEND:
        return epio_append(op, file, data_of(one), one->len);
    case EPIO_KIND_ALLOCATE:
        return epio_allocate(op, file, one->offset, one->len, one->flags);
    case EPIO_KIND_PUNCH_HOLE:
        return epio_punch_hole(op, file, one->offset, one->len);
    case EPIO_KIND_ZERO_RANGE:
        return epio_zero_range(op, file, one->offset, one->len, one->flags);
    case EPIO_KIND_SEEK_DATA:
        return epio_seek_data(op, file, one->offset);
    case EPIO_KIND_SEEK_HOLE:
        return epio_seek_hole(op, file, one->offset);
    default:
        return epio_advise(op, file, one->offset, one->len, one->flags);
    }
}

static epio_op *prepare_on_file(const action *one, const side *on, epio_op *op, outcome *came)
{
    static const epio_times none = {.size = sizeof none, .born = EPIO_TIME_KEEP};
    static epio_times times;
    epio_file *file = on->handles[one->handle];
    times = none;
    times.modified = one->modified;
    times.accessed = one->accessed;
    switch (one->kind) {
    case EPIO_KIND_CLOSE:
        return epio_close(op, file);
    case EPIO_KIND_READ:
        return epio_read(op, file, came->buffer, one->len, one->offset);
    case EPIO_KIND_WRITE:
        return epio_write(op, file, data_of(one), one->len, one->offset);
    case EPIO_KIND_TRUNCATE:
        return epio_truncate(op, file, one->offset);
    case EPIO_KIND_COPY_RANGE:
        return epio_copy_range(op, on->handles[one->second], one->from_offset, file, one->offset,
                               one->len);
    case EPIO_KIND_SIZE:
        return epio_size(op, file);
    case EPIO_KIND_NAME_TEMPORARY:
        return epio_name_temporary(op, file, one->path, one->flags);
    case EPIO_KIND_FILE_STAT:
        return epio_file_stat(op, file, &came->info);
    case EPIO_KIND_FILE_SET_TIMES:
        return epio_file_set_times(op, file, &times);
    case EPIO_KIND_FILE_SET_MODE:
        return epio_file_set_mode(op, file, one->mode);
    case EPIO_KIND_FILE_SET_OWNER:
        return epio_file_set_owner(op, file, one->user, one->group);
    case EPIO_KIND_LIST:
        return epio_list(op, file, came->buffer, one->len, one->flags);
    default:
        return prepare_on_space(one, file, op);
    }
}

static epio_op *prepare(const action *one, const side *on, epio_op *op, outcome *came)
{
    static epio_times times;
    epio_vfs *vfs = epio_directory_vfs(one->at == BASE ? on->base : on->handles[one->at]);
    times = (epio_times){sizeof times, one->modified, one->accessed, EPIO_TIME_KEEP};
    switch (one->kind) {
    case EPIO_KIND_OPEN:
        return epio_open(op, vfs, one->path, one->flags);
    case EPIO_KIND_DELETE:
        return epio_delete(op, vfs, one->path, one->flags);
    case EPIO_KIND_RENAME:
        return epio_rename(op, vfs, one->path, one->to, one->flags);
    case EPIO_KIND_ACCESS:
        return epio_access(op, vfs, one->path, one->flags);
    case EPIO_KIND_FULL_PATHNAME:
        return epio_full_pathname(op, vfs, one->path, came->buffer, sizeof came->buffer);
    case EPIO_KIND_STAT:
        return epio_stat(op, vfs, one->path, &came->info, one->flags);
    case EPIO_KIND_SET_TIMES:
        return epio_set_times(op, vfs, one->path, &times, one->flags);
    case EPIO_KIND_SET_MODE:
        return epio_set_mode(op, vfs, one->path, one->mode, one->flags);
    case EPIO_KIND_SET_OWNER:
        return epio_set_owner(op, vfs, one->path, one->user, one->group, one->flags);
    case EPIO_KIND_MKDIR:
        return epio_mkdir(op, vfs, one->path, one->flags);
    case EPIO_KIND_RMDIR:
        return epio_rmdir(op, vfs, one->path, one->flags);
    case EPIO_KIND_SYNC_DIRECTORY:
        return epio_sync_directory(op, vfs, one->path);
    case EPIO_KIND_TEMPORARY_DIRECTORY:
        return epio_temporary_directory(op, vfs, one->path, came->buffer, one->len);
    case EPIO_KIND_FILE_SYSTEM_INFO:
        came->system.size = sizeof came->system;
        return epio_file_system_info(op, vfs, one->path, &came->system);
    case EPIO_KIND_LINK_FILE:
        return epio_link_file(op, vfs, one->path, one->to, 0);
    case EPIO_KIND_SYMLINK:
        return epio_symlink(op, vfs, one->to, one->path, 0);
    case EPIO_KIND_READ_LINK:
        return epio_read_link(op, vfs, one->path, came->buffer, one->len);
    case EPIO_KIND_EXCHANGE:
        return epio_exchange(op, vfs, one->path, one->to, 0);
    default:
        return is_xattr(one->kind)
                   ? prepare_on_attributes(one, on->handles[one->handle], vfs, op, came)
                   : prepare_on_file(one, on, op, came);
    }
}

/* Lists on, behind the first part, as far as it goes. */
static void list_the_rest(const action *one, side *on)
{
    outcome *came = &on->last;
    epio_op op = {0};
    int64_t more = came->result;
    while (more > 0 && (size_t)came->result + one->len <= LIST_ROOM) {
        more = epio_perform(
            epio_list(&op, on->handles[one->handle], came->buffer + came->result, one->len, 0));
        came->result = more >= 0 ? came->result + more : more;
    }
}

/* Its name is random, so it is moved to the other path; if that cannot be it goes. */
static void keep_or_remove(const action *one, side *on)
{
    epio_vfs *vfs = epio_directory_vfs(one->at == BASE ? on->base : on->handles[one->at]);
    outcome *came = &on->last;
    epio_op op = {0};
    check((size_t)came->result == strlen(came->buffer));
    check(strncmp(came->buffer, one->path, strlen(one->path)) == 0);
    if (epio_perform(epio_rename(&op, vfs, came->buffer, one->to, 0)) < 0) {
        check_result(epio_perform(epio_rmdir(&op, vfs, came->buffer, 0)), 0);
    }
}

static void carry_out(const action *one, side *on)
{
    epio_op op = {0};
    outcome *came = &on->last;
    memset(&came->info, 0, sizeof came->info);
    came->info.size = sizeof came->info;
    came->result = epio_perform(prepare(one, on, &op, came));
    if (one->kind == EPIO_KIND_LIST) {
        list_the_rest(one, on);
    } else if (one->kind == EPIO_KIND_TEMPORARY_DIRECTORY && came->result > 0) {
        keep_or_remove(one, on);
    } else if (one->kind == EPIO_KIND_OPEN) {
        on->handles[one->handle] = op.file;
    } else if (one->kind == EPIO_KIND_CLOSE) {
        on->handles[one->handle] = NULL;
    }
}

/* Where a rename that does not replace is refused as invalid, the library tries it in two steps, as
 * the file system may have no such call: the new name was made and removed again. */
static void forget_attempt(world *w, const action *one)
{
    action times = {.kind = EPIO_KIND_SET_TIMES, .at = one->at, .modified = 1, .accessed = 1};
    char *end = times.path + snprintf(times.path, sizeof times.path, "%s", one->to);
    while (end > times.path && end[-1] == '/') {
        end--;
    }
    while (end > times.path && end[-1] != '/') {
        end--;
    }
    (void)snprintf(end, 2, ".");
    if (one->kind == EPIO_KIND_RENAME && (one->flags & EPIO_RENAME_NO_REPLACE) != 0 &&
        w->sides[0].last.result == EPIO_EINVAL) {
        carry_out(&times, &w->sides[0]);
        carry_out(&times, &w->sides[1]);
    }
}

/* In a directory that was removed, ext4 makes no file without a name (EPERM); tmpfs and memory do.
 */
static void forget_temporary(world *w, const action *one)
{
    side *memory = &w->sides[1];
    if (one->kind == EPIO_KIND_OPEN && (one->flags & EPIO_OPEN_TEMPORARY) != 0 &&
        w->sides[0].last.result == EPIO_EPERM && memory->last.result == 0) {
        epio_op op = {0};
        check_result(epio_perform(epio_close(&op, memory->handles[one->handle])), 0);
        memory->handles[one->handle] = NULL;
        memory->last.result = EPIO_EPERM;
    }
}

/* ---- Sequences --------------------------------------------------------- */

static void remove_all(epio_vfs *vfs, const char *path)
{
    name_list *list = calloc(1, sizeof *list);
    epio_op op = {0};
    check(list != NULL);
    check_result(epio_perform(epio_open(&op, vfs, path, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)), 0);
    epio_file *directory = op.file;
    epio_vfs *within = epio_directory_vfs(directory);
    int64_t len = epio_perform(epio_list(&op, directory, list->buffer, LIST_ROOM, 0));
    model_sort_entries(list, (size_t)len);
    for (size_t i = 0; i < list->count; i++) {
        const char *name = epio_entry_name(list->entries[i]);
        if (epio_perform(epio_delete(&op, within, name, 0)) == EPIO_EISDIR) {
            remove_all(within, name);
        }
    }
    check_result(epio_perform(epio_close(&op, directory)), 0);
    check_result(epio_perform(epio_rmdir(&op, vfs, path, 0)), 0);
    free(list);
}

static void begin(world *w, uint64_t seed)
{
    size_t len = (size_t)snprintf(w->top, sizeof w->top, "%s/s%llu", w->f->directory,
                                  (unsigned long long)seed);
    memcpy(w->absolute, w->top, len + 1);
    for (size_t i = 0; i < DEPTH; i++) {
        len += (size_t)snprintf(w->absolute + len, sizeof w->absolute - len, "/n");
    }
    memset(w->temporary, 0, sizeof w->temporary);
    w->seed = seed;
    w->random = (random_source){seed};
    w->done = 0;
    for (size_t i = 0; i < 2; i++) {
        side *one = &w->sides[i];
        epio_op op = {0};
        check_result(epio_perform(epio_mkdir(&op, one->vfs, w->absolute, EPIO_MKDIR_PARENTS)), 0);
        check_result(epio_perform(epio_open(&op, one->vfs, w->absolute,
                                            EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)),
                     0);
        one->base = op.file;
    }
}

static void end(world *w)
{
    for (size_t i = 0; i < 2; i++) {
        side *one = &w->sides[i];
        epio_op op = {0};
        for (size_t j = 0; j < HANDLES; j++) {
            if (one->handles[j] != NULL) {
                (void)epio_perform(epio_close(&op, one->handles[j]));
                one->handles[j] = NULL;
            }
        }
        check_result(epio_perform(epio_close(&op, one->base)), 0);
        remove_all(one->vfs, w->top);
    }
}

static void run_sequence(world *w, uint64_t seed)
{
    begin(w, seed);
    for (w->done = 0; w->done < OPS; w->done++) {
        action *one = &w->log[w->done];
        while (!choose(w, one)) {
        }
        carry_out(one, &w->sides[0]);
        carry_out(one, &w->sides[1]);
        forget_temporary(w, one);
        if (one->kind == EPIO_KIND_OPEN || one->kind == EPIO_KIND_CLOSE) {
            w->temporary[one->handle] =
                w->sides[0].handles[one->handle] != NULL && (one->flags & EPIO_OPEN_TEMPORARY) != 0;
        }
        model_compare_outcomes(w, one);
        forget_attempt(w, one);
        model_compare_trees(w, w->done % 16 == 0 || w->done + 1 == OPS);
    }
    end(w);
}

/* Do links to directories count? Not on every file system. */
static void look_at_system(world *w)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    check_result(epio_perform(epio_stat(&op, w->sides[0].vfs, w->f->directory, &info, 0)), 0);
    w->counts = info.links >= 2;
    w->privileged = info.user == 0;
    const char *here = w->f->directory;
    w->attributes =
        epio_perform(epio_set_xattr(&op, w->sides[0].vfs, here, "user.x", "", 0, 0)) == 0;
    int handle = open(here, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    w->nameless = handle >= 0;
    if (handle >= 0) {
        (void)close(handle);
    }
    w->exchanges =
        epio_perform(epio_exchange(&op, epio_os_vfs(), w->f->directory, w->f->directory, 0)) == 0;
}

static void look_at_space(world *w)
{
    static const uint32_t verbs[] = {EPIO_KIND_APPEND, EPIO_KIND_ALLOCATE, EPIO_KIND_PUNCH_HOLE,
                                     EPIO_KIND_ZERO_RANGE};
    epio_op op = {0};
    epio_file *file = fixture_create(w->f, "space");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        action one = {.kind = verbs[i], .len = 1};
        w->lacks[verbs[i]] = epio_perform(prepare_on_space(&one, file, &op)) == EPIO_ENOTSUP;
    }
    fixture_close(w->f, file);
    check_op(w->f, epio_delete(&op, w->f->vfs, fixture_path(w->f, "space"), 0), 0);
}

static void memory_agrees_with_the_system(fixture *f)
{
    static world w;
    const char *seeds = getenv("EPIO_MODEL_SEEDS");
    const char *first = getenv("EPIO_TEST_SEED");
    uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : fixture_rounds(200);
    uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
    unsigned mask = system_umask(0);
    memset(&w, 0, sizeof w);
    w.f = f;
    w.sides[0].vfs = f->vfs;
    check_result(memory_vfs_make(&w.sides[1].vfs, NULL, f->directory), 0);
    look_at_system(&w);
    look_at_space(&w);
    if (first != NULL && seeds == NULL) {
        count = 1;
    }
    for (uint64_t i = 0; i < count; i++) {
        hang_guard(100, "a sequence"); /* all of them take as long as they are many */
        run_sequence(&w, seed + i);
    }
    (void)system_umask(mask);
    epio_vfs_destroy(w.sides[1].vfs);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST_POSIX(memory_agrees_with_the_system, ON_OS_PERFORM,
                           "memory behaves as POSIX file systems do"),
    };
    return FIXTURE_RUN("tree_model", tests);
}
