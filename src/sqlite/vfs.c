/* Registers epio VFSes with SQLite, and carries out what SQLite asks of paths, time and chance. */
#include "sqlite/vfs_overlap.h"

#include <string.h>

/* 1970-01-01 in Julian days, in milliseconds. */
#define JULIAN_EPOCH_MS INT64_C(210866760000000)

static epio__sqlite_vfs *own(sqlite3_vfs *base)
{
    return (epio__sqlite_vfs *)base;
}

/* ---- Paths --------------------------------------------------------------- */

bool epio__sqlite_stat(epio__sqlite_vfs *vfs, epio_op *op, const char *path, epio_info *info)
{
    info->size = sizeof *info; /* the rest is filled in, if it succeeds */
    return epio_perform(epio_stat(op, vfs->vfs, path, info, 0)) == 0;
}

/* The name goes also where its directory cannot be synced, as by stock. */
static int delete_path(sqlite3_vfs *base, const char *path, int sync_directory)
{
    epio__sqlite_vfs *vfs = own(base);
    epio_op op = EPIO_OP_INIT;
    uint32_t flags = (sync_directory & 1) != 0 ? EPIO_DELETE_SYNC_DIR : 0;
    int64_t result = epio_perform(epio_delete(&op, vfs->vfs, path, flags));
    if (result != 0 && result != EPIO_ENOENT && result != EPIO_EIO && flags != 0) {
        flags = 0;
        result = epio_perform(epio_delete(&op, vfs->vfs, path, 0));
    }
    if (result == 0) {
        return SQLITE_OK;
    }
    if (result == EPIO_ENOENT) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    return epio__sqlite_log(
        vfs, &op, result == EPIO_EIO && flags != 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_IOERR_DELETE,
        path);
}

/* An empty file does not exist for SQLite: a journal without bytes is not hot. */
static int64_t exists(epio__sqlite_vfs *vfs, epio_op *op, const char *path)
{
    epio_info info;
    if (epio__sqlite_stat(vfs, op, path, &info)) {
        return info.type != EPIO_TYPE_FILE || info.bytes > 0;
    }
    if (op->result == EPIO_ENOTSUP) {
        return epio_perform(epio_access(op, vfs->vfs, path, EPIO_ACCESS_EXISTS));
    }
    return 0;
}

static int access_path(sqlite3_vfs *base, const char *path, int flags, int *result)
{
    epio__sqlite_vfs *vfs = own(base);
    epio_op op = EPIO_OP_INIT;
    if (flags == SQLITE_ACCESS_EXISTS) {
        *result = exists(vfs, &op, path) == 1;
        return SQLITE_OK;
    }
    uint32_t mode = flags == SQLITE_ACCESS_READ ? EPIO_ACCESS_READ : EPIO_ACCESS_READWRITE;
    *result = epio_perform(epio_access(&op, vfs->vfs, path, mode)) == 1;
    return SQLITE_OK;
}

/* In a URI a path has a slash before its drive letter. */
static const char *skip_slash(const epio__sqlite_vfs *vfs, const char *path)
{
    bool letter = path[0] == '/' &&
                  ((path[1] >= 'a' && path[1] <= 'z') || (path[1] >= 'A' && path[1] <= 'Z'));
    return vfs->windows && letter && path[2] == ':' ? path + 1 : path;
}

static int full_pathname(sqlite3_vfs *base, const char *path, int len, char *out)
{
    epio__sqlite_vfs *vfs = own(base);
    epio_op op = EPIO_OP_INIT;
    path = skip_slash(vfs, path);
    int64_t result = epio_perform(epio_full_pathname(&op, vfs->vfs, path, out, (size_t)len));
    if (result == EPIO_ENOTSUP && strlen(path) < (size_t)len) {
        memcpy(out, path, strlen(path) + 1);
        return SQLITE_OK;
    }
    if (result < 0) {
        return epio__sqlite_log(vfs, &op, SQLITE_CANTOPEN, path);
    }
    return epio_op_followed_link(&op) ? SQLITE_OK_SYMLINK : SQLITE_OK;
}

/* ---- Extensions, which the system loads --------------------------------- */

static void *load(sqlite3_vfs *base, const char *path)
{
    sqlite3_vfs *system = own(base)->system;
    return system->xDlOpen(system, path);
}

static void load_error(sqlite3_vfs *base, int len, char *message)
{
    sqlite3_vfs *system = own(base)->system;
    system->xDlError(system, len, message);
}

static void (*find_symbol(sqlite3_vfs *base, void *library, const char *name))(void)
{
    sqlite3_vfs *system = own(base)->system;
    return system->xDlSym(system, library, name);
}

static void unload(sqlite3_vfs *base, void *library)
{
    sqlite3_vfs *system = own(base)->system;
    system->xDlClose(system, library);
}

/* ---- Time and chance ------------------------------------------------------ */

static int randomness(sqlite3_vfs *base, int len, char *out)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_perform(epio_randomness(&op, own(base)->vfs, out, (size_t)len));
    return result > 0 ? (int)result : 0;
}

static int sleep_for(sqlite3_vfs *base, int microseconds)
{
    epio_op op = EPIO_OP_INIT;
    if (microseconds > 0) {
        (void)epio_perform(epio_sleep(&op, own(base)->vfs, (uint64_t)microseconds * 1000u));
    }
    return microseconds;
}

static int current_time_ms(sqlite3_vfs *base, sqlite3_int64 *now)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_perform(epio_current_time(&op, own(base)->vfs));
    if (result < 0) {
        return SQLITE_ERROR;
    }
    *now = JULIAN_EPOCH_MS + result / 1000000;
    return SQLITE_OK;
}

static int current_time(sqlite3_vfs *base, double *now)
{
    sqlite3_int64 ms = 0;
    int code = current_time_ms(base, &ms);
    *now = (double)ms / 86400000.0;
    return code;
}

static int last_error(sqlite3_vfs *base, int len, char *message)
{
    int os_error = atomic_load_explicit(&own(base)->os_error, memory_order_relaxed);
    if (message != NULL && len > 0) {
        sqlite3_snprintf(len, message, "%s", epio_error_message(epio_error_from_os(os_error)));
    }
    return os_error;
}

/* ---- Registration --------------------------------------------------------- */

/* One at a time: what is registered is looked at before it is changed. */
static sqlite3_mutex *registrations(void)
{
    return sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_VFS3);
}

static bool is_own(const sqlite3_vfs *vfs)
{
    return vfs != NULL && vfs->xOpen == epio__sqlite_open;
}

/* The default VFS, if SQLite has one of its own. */
static sqlite3_vfs *find_system(void)
{
    sqlite3_vfs *found = sqlite3_vfs_find(NULL);
    return is_own(found) ? own(found)->system : found;
}

static void fill(epio__sqlite_vfs *made, const char *name, size_t len)
{
    memcpy(made->name, name, len + 1);
    made->base.iVersion = 3;
    made->base.szOsFile = (int)sizeof(epio__sqlite_file);
    made->base.mxPathname = EPIO__SQLITE_PATH_SIZE;
    made->base.zName = made->name;
    made->base.xOpen = epio__sqlite_open;
    made->base.xDelete = delete_path;
    made->base.xAccess = access_path;
    made->base.xFullPathname = full_pathname;
    if (made->system != NULL && made->system->xDlOpen != NULL) {
        made->base.xDlOpen = load;
        made->base.xDlError = load_error;
        made->base.xDlSym = find_symbol;
        made->base.xDlClose = unload;
    }
    made->base.xRandomness = randomness;
    made->base.xSleep = sleep_for;
    made->base.xCurrentTime = current_time;
    made->base.xGetLastError = last_error;
    made->base.xCurrentTimeInt64 = current_time_ms;
}

static int add(const char *name, epio_vfs *vfs, uint32_t flags)
{
    size_t len = strlen(name);
    if (sqlite3_vfs_find(name) != NULL) {
        return EPIO_EEXIST;
    }
    epio__sqlite_vfs *made = sqlite3_malloc64(sizeof *made + len + 1);
    if (made == NULL) {
        return EPIO_ENOMEM;
    }
    memset(made, 0, sizeof *made);
    made->vfs = vfs;
    made->flags = flags;
    made->system = find_system();
    made->windows = made->system != NULL && strncmp(made->system->zName, "win32", 5) == 0;
    fill(made, name, len);
    if ((flags & EPIO_SQLITE_OVERLAP) != 0) {
        epio__sqlite_overlap_register(made);
    }
    if (sqlite3_vfs_register(&made->base, (flags & EPIO_SQLITE_DEFAULT) != 0) != SQLITE_OK) {
        epio__sqlite_overlap_unregister(made);
        sqlite3_free(made);
        return EPIO_ENOMEM;
    }
    return 0;
}

int epio_sqlite_register(const char *name, epio_vfs *vfs, uint32_t flags)
{
    if (name == NULL || name[0] == '\0' || vfs == NULL ||
        (flags & ~(EPIO_SQLITE_DEFAULT | EPIO_SQLITE_OVERLAP)) != 0) {
        return EPIO_EINVAL;
    }
    return epio__sqlite_register(name, vfs, flags);
}

int epio__sqlite_register(const char *name, epio_vfs *vfs, uint32_t flags)
{
    if (sqlite3_libversion_number() < 3037000) {
        return EPIO_ENOTSUP;
    }
    if (sqlite3_initialize() != SQLITE_OK) {
        return EPIO_ENOMEM;
    }
    sqlite3_mutex_enter(registrations());
    int result = add(name, vfs, flags);
    sqlite3_mutex_leave(registrations());
    return result;
}

static int take_back(const char *name)
{
    sqlite3_vfs *found = sqlite3_vfs_find(name);
    if (!is_own(found)) {
        return EPIO_ENOENT;
    }
    if (atomic_load(&own(found)->open_files) != 0) {
        return EPIO_EBUSY;
    }
    sqlite3_vfs *system = own(found)->system;
    bool was_default = sqlite3_vfs_find(NULL) == found;
    (void)sqlite3_vfs_unregister(found);
    /* SQLite would make the next of its list the default, whichever that is. */
    if (was_default && system != NULL && sqlite3_vfs_find(system->zName) == system) {
        (void)sqlite3_vfs_register(system, 1);
    }
    epio__sqlite_overlap_unregister(own(found));
    sqlite3_free(found);
    return 0;
}

int epio_sqlite_unregister(const char *name)
{
    if (name == NULL) {
        return EPIO_EINVAL;
    }
    if (sqlite3_initialize() != SQLITE_OK) {
        return EPIO_ENOENT;
    }
    sqlite3_mutex_enter(registrations());
    int result = take_back(name);
    sqlite3_mutex_leave(registrations());
    return result;
}
