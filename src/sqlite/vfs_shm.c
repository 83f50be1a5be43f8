/* The index of the write-ahead log: shared memory and its locks, in the file and the bytes of stock
 * SQLite's. Each connection has the file open for itself, since epio's range locks exclude the
 * files of one process, too. What the index contains is SQLite's. */
#include "sqlite/vfs.h"

#include <stdatomic.h>
#include <string.h>

/* https://www.sqlite.org/walformat.html, 2.3: eight locks, behind them the "dead man's switch",
 * which every connection holds SHARED while it uses the index. */
#define FIRST_LOCK 120
#define ALIVE (FIRST_LOCK + SQLITE_SHM_NLOCK)
#define FIRST_READ_LOCK 3

/* What the first connection leaves of an index that nobody uses: less than a header. */
#define RESET_LEN 3

/* The file grows in pages of this size. */
#define PAGE 4096u

struct epio__sqlite_shm {
    epio__sqlite_shm *next;
    const epio_vfs *vfs;
    epio_file *file;
    char *path;
    sqlite3_mutex *mutex; /* of VFSes: to ask for it takes longer than to have it */
    epio_mapping **regions;
    int region_count;
    atomic_uint held; /* a bit for each of the eight locks; other connections look at it */
    bool read_only;
    bool is_alive; /* holds the dead man's switch */
};

/* The connections of this process that have an index, guarded by that mutex. */
static epio__sqlite_shm *all;

static epio__sqlite_file *file_of(sqlite3_file *file)
{
    return (epio__sqlite_file *)(void *)file;
}

static int fail(epio__sqlite_file *file, int code)
{
    return epio__sqlite_code(file, &file->op, code);
}

static int fail_and_log(epio__sqlite_file *file, int code)
{
    code = fail(file, code);
    return epio__sqlite_log(file->owner, &file->op, code, file->shm->path);
}

/* ---- The dead man's switch ---- */

static int64_t hold_alive(epio__sqlite_file *file, uint32_t mode)
{
    return epio_perform(epio_lock_range(&file->op, file->shm->file, ALIVE, 1, mode, 0));
}

static int64_t others_are_alive(epio__sqlite_file *file)
{
    (void)epio_test_range(&file->op, file->shm->file, ALIVE, 1, EPIO_RANGE_EXCLUSIVE);
    return epio_perform(&file->op);
}

static void release_alive(epio__sqlite_file *file)
{
    (void)epio_perform(epio_unlock_range(&file->op, file->shm->file, ALIVE, 1));
}

/* Nobody else uses the index: what is in it may be from before a crash of the system. */
static int begin_anew(epio__sqlite_file *file)
{
    int code = SQLITE_OK;
    if (epio_perform(epio_truncate(&file->op, file->shm->file, RESET_LEN)) < 0) {
        code = fail_and_log(file, SQLITE_IOERR_SHMOPEN);
    } else if (hold_alive(file, EPIO_RANGE_SHARED) < 0) {
        code = fail(file, SQLITE_IOERR_LOCK);
    }
    if (code != SQLITE_OK) {
        release_alive(file);
    }
    return code;
}

/* Others use it. One that was about to begin anew may have died meanwhile: so there must be another
 * beside this one. Windows cannot tell. */
static int join_others(epio__sqlite_file *file)
{
    if (hold_alive(file, EPIO_RANGE_SHARED) < 0) {
        return fail(file, SQLITE_IOERR_LOCK);
    }
    int64_t others = others_are_alive(file);
    if (others > 0 || others == EPIO_ENOTSUP) {
        return SQLITE_OK;
    }
    int code = others < 0 ? fail(file, SQLITE_IOERR_LOCK) : SQLITE_BUSY; /* SQLite tries again */
    release_alive(file);
    return code;
}

static int begin_to_live(epio__sqlite_file *file)
{
    epio__sqlite_shm *shm = file->shm;
    int code;
    if (shm->read_only) {
        int64_t others = others_are_alive(file);
        code = others < 0    ? fail(file, SQLITE_IOERR_LOCK)
               : others == 0 ? SQLITE_READONLY_CANTINIT
                             : join_others(file);
    } else if (hold_alive(file, EPIO_RANGE_EXCLUSIVE) == 0) {
        code = begin_anew(file);
    } else if (file->op.result == EPIO_EBUSY) {
        code = join_others(file);
    } else {
        code = fail(file, SQLITE_IOERR_LOCK);
    }
    shm->is_alive = code == SQLITE_OK;
    return code;
}

/* ---- The file ---- */

/* Of a VFS that knows nothing of files but their bytes nothing is taken. */
static int ask_database(epio__sqlite_file *file, epio__sqlite_model *database)
{
    epio_info info = {.size = sizeof info};
    int64_t result = epio_perform(epio_file_stat(&file->op, file->file, &info));
    epio__sqlite_take_model(database, &info);
    return result == 0 || result == EPIO_ENOTSUP ? SQLITE_OK : fail(file, SQLITE_IOERR_FSTAT);
}

static int open_index(epio__sqlite_file *file)
{
    epio__sqlite_shm *shm = file->shm;
    epio__sqlite_model database;
    int code = ask_database(file, &database);
    if (code != SQLITE_OK) {
        return code;
    }
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW;
    epio_vfs *vfs = file->owner->vfs;
    int64_t result = EPIO_EACCES;
    if (sqlite3_uri_boolean(file->path, "readonly_shm", 0) == 0) {
        uint32_t writable = flags | EPIO_OPEN_WRITE | epio__sqlite_creation_flags(&database);
        result = epio_perform(epio_open(&file->op, vfs, shm->path, writable));
    }
    if (result < 0) {
        shm->read_only = true;
        result = epio_perform(epio_open(&file->op, vfs, shm->path, flags));
    }
    if (result < 0) {
        return fail_and_log(file, SQLITE_CANTOPEN);
    }
    shm->file = file->op.file;
    epio__sqlite_apply_model(file, shm->file, &database, true);
    return SQLITE_OK;
}

/* ---- Connections ---- */

static epio__sqlite_shm *make_shm(const epio__sqlite_file *file)
{
    static const char suffix[] = "-shm";
    size_t len = strlen(file->path);
    epio__sqlite_shm *shm = sqlite3_malloc64(sizeof *shm + len + sizeof suffix);
    if (shm != NULL) {
        memset(shm, 0, sizeof *shm);
        atomic_init(&shm->held, 0);
        shm->mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_VFS1);
        shm->vfs = file->owner->vfs;
        shm->path = (char *)(shm + 1);
        memcpy(shm->path, file->path, len);
        memcpy(shm->path + len, suffix, sizeof suffix);
    }
    return shm;
}

static void list_shm(epio__sqlite_shm *shm)
{
    sqlite3_mutex_enter(shm->mutex);
    shm->next = all;
    all = shm;
    sqlite3_mutex_leave(shm->mutex);
}

static void unlist_shm(const epio__sqlite_shm *shm)
{
    sqlite3_mutex_enter(shm->mutex);
    epio__sqlite_shm **at = &all;
    while (*at != shm) {
        at = &(*at)->next;
    }
    *at = shm->next;
    sqlite3_mutex_leave(shm->mutex);
}

static int open_shm(epio__sqlite_file *file)
{
    if (file->path == NULL) {
        return SQLITE_IOERR_SHMOPEN;
    }
    file->shm = make_shm(file);
    if (file->shm == NULL) {
        return SQLITE_NOMEM;
    }
    list_shm(file->shm);
    int code = open_index(file);
    if (code == SQLITE_OK) {
        code = begin_to_live(file);
    }
    if (code != SQLITE_OK && code != SQLITE_READONLY_CANTINIT) {
        (void)epio__sqlite_shm_unmap(&file->base, 0);
    }
    return code;
}

/* The switch is released last, by the close. Without another connection SQLite deletes the index,
 * and holds the database EXCLUSIVE then. */
int epio__sqlite_shm_unmap(sqlite3_file *base, int delete_it)
{
    epio__sqlite_file *file = file_of(base);
    epio__sqlite_shm *shm = file->shm;
    if (shm == NULL) {
        return SQLITE_OK;
    }
    for (int i = 0; i < shm->region_count; i++) {
        (void)epio_perform(epio_unmap(&file->op, shm->regions[i]));
    }
    if (shm->file != NULL) {
        (void)epio_perform(epio_close(&file->op, shm->file));
    }
    if (delete_it != 0) {
        (void)epio_perform(epio_delete(&file->op, file->owner->vfs, shm->path, 0));
    }
    unlist_shm(shm);
    sqlite3_free(shm->regions);
    sqlite3_free(shm);
    file->shm = NULL;
    return SQLITE_OK;
}

/* ---- Regions ---- */

/* By a write to each page, so that a full disk is an error here, and no fault when the memory is
 * used. Only the connection that holds the lock of writers makes the file longer. */
static int grow(epio__sqlite_file *file, uint64_t from, uint64_t to)
{
    for (uint64_t page = from / PAGE; page < to / PAGE; page++) {
        uint64_t last = page * PAGE + PAGE - 1;
        if (epio_perform(epio_write(&file->op, file->shm->file, "", 1, last)) < 0) {
            return fail_and_log(file, SQLITE_IOERR_SHMSIZE);
        }
    }
    return SQLITE_OK;
}

static int map_next_region(epio__sqlite_file *file, uint64_t size)
{
    epio__sqlite_shm *shm = file->shm;
    uint64_t offset = (uint64_t)shm->region_count * size;
    uint32_t access = EPIO_MAP_READ | (shm->read_only ? 0 : EPIO_MAP_WRITE);
    sqlite3_uint64 bytes = ((sqlite3_uint64)shm->region_count + 1) * sizeof(epio_mapping *);
    epio_mapping **regions = sqlite3_realloc64(shm->regions, bytes);
    if (regions == NULL) {
        return SQLITE_IOERR_NOMEM;
    }
    shm->regions = regions;
    if (epio_perform(epio_map(&file->op, shm->file, offset, size, access)) < 0) {
        return fail_and_log(file, SQLITE_IOERR_SHMMAP);
    }
    regions[shm->region_count++] = epio_op_mapping(&file->op);
    return SQLITE_OK;
}

/* Maps the regions up to this one, if the file has them or may get them. */
static int map_up_to(epio__sqlite_file *file, int region, uint64_t size, bool extend)
{
    epio__sqlite_shm *shm = file->shm;
    uint64_t needed = ((uint64_t)region + 1) * size;
    int64_t present = epio_perform(epio_size(&file->op, shm->file));
    int code = SQLITE_OK;
    if (present < 0) {
        return fail(file, SQLITE_IOERR_SHMSIZE);
    }
    if ((uint64_t)present < needed) {
        if (!extend) {
            return SQLITE_OK;
        }
        code = grow(file, (uint64_t)present, needed);
    }
    while (code == SQLITE_OK && shm->region_count <= region) {
        code = map_next_region(file, size);
    }
    return code;
}

int epio__sqlite_shm_map(sqlite3_file *base, int region, int size, int extend,
                         void volatile **address)
{
    epio__sqlite_file *file = file_of(base);
    int code = SQLITE_OK;
    *address = NULL;
    if (file->shm == NULL) {
        code = open_shm(file);
    } else if (!file->shm->is_alive) {
        code = begin_to_live(file);
    }
    if (code != SQLITE_OK) {
        return code;
    }
    const epio__sqlite_shm *shm = file->shm;
    if (shm->region_count <= region) {
        code = map_up_to(file, region, (uint64_t)size, extend != 0);
    }
    if (shm->region_count > region) {
        *address = epio_mapping_address(shm->regions[region]);
    }
    return code == SQLITE_OK && shm->read_only ? SQLITE_READONLY : code;
}

/* ---- Locks ---- */

/* A connection unlocks the ranges that it locked, and has no others of their bytes meanwhile. */
int epio__sqlite_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    epio__sqlite_file *file = file_of(base);
    epio__sqlite_shm *shm = file->shm;
    if (shm == NULL) {
        return SQLITE_IOERR_SHMLOCK;
    }
    uint64_t start = FIRST_LOCK + (uint64_t)offset;
    uint64_t len = (uint64_t)count;
    unsigned mask = (1u << (offset + count)) - (1u << offset);
    unsigned held = atomic_load_explicit(&shm->held, memory_order_relaxed);
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
        (void)epio_unlock_range(&file->op, shm->file, start, len);
        held &= ~mask;
    } else {
        bool shared = (flags & SQLITE_SHM_SHARED) != 0;
        uint32_t mode = shared ? EPIO_RANGE_SHARED : EPIO_RANGE_EXCLUSIVE;
        (void)epio_lock_range(&file->op, shm->file, start, len, mode, 0);
        held |= mask;
    }
    if (epio_perform(&file->op) < 0) {
        return fail(file, SQLITE_IOERR_SHMLOCK);
    }
    atomic_store_explicit(&shm->held, held, memory_order_relaxed);
    return SQLITE_OK;
}

/* The mutex is for compilers and machines on which the fence alone would not do. */
void epio__sqlite_shm_barrier(sqlite3_file *base)
{
    const epio__sqlite_shm *shm = file_of(base)->shm;
    atomic_thread_fence(memory_order_seq_cst);
    if (shm != NULL) {
        sqlite3_mutex_enter(shm->mutex);
        sqlite3_mutex_leave(shm->mutex);
    }
}

/* ---- Readers of other processes ---- */

static unsigned held_by_others_here(const epio__sqlite_shm *shm)
{
    unsigned held = 0;
    sqlite3_mutex_enter(shm->mutex);
    for (const epio__sqlite_shm *at = all; at != NULL; at = at->next) {
        if (at != shm && at->vfs == shm->vfs && strcmp(at->path, shm->path) == 0) {
            held |= atomic_load_explicit(&at->held, memory_order_relaxed);
        }
    }
    sqlite3_mutex_leave(shm->mutex);
    return held;
}

int epio__sqlite_shm_external_reader(sqlite3_file *base, int *found)
{
    epio__sqlite_file *file = file_of(base);
    epio__sqlite_shm *shm = file->shm;
    *found = 0;
    unsigned here = shm != NULL ? held_by_others_here(shm) : 0;
    for (int lock = FIRST_READ_LOCK; shm != NULL && lock < SQLITE_SHM_NLOCK; lock++) {
        if ((here >> lock & 1u) != 0) {
            continue;
        }
        (void)epio_test_range(&file->op, shm->file, FIRST_LOCK + (uint64_t)lock, 1,
                              EPIO_RANGE_EXCLUSIVE);
        int64_t taken = epio_perform(&file->op);
        if (taken < 0 && taken != EPIO_ENOTSUP) {
            return fail(file, SQLITE_IOERR_LOCK);
        }
        *found = *found != 0 || taken == 1 ? 1 : 0;
    }
    return SQLITE_OK;
}

/* ---- VFSes that map nothing ---- */

/* Tries it with a file of its own. */
static bool try_to_map(epio_vfs *vfs)
{
    epio_op op = EPIO_OP_INIT;
    if (epio_perform(epio_open(&op, vfs, NULL, EPIO_OPEN_TEMPORARY)) < 0) {
        return true; /* not a reason to go without */
    }
    epio_file *file = op.file;
    bool possible = true;
    if (epio_perform(epio_truncate(&op, file, PAGE)) == 0) {
        int64_t result = epio_perform(epio_map(&op, file, 0, PAGE, EPIO_MAP_READ | EPIO_MAP_WRITE));
        possible = result != EPIO_ENOTSUP;
        if (result == 0) {
            (void)epio_perform(epio_unmap(&op, epio_op_mapping(&op)));
        }
    }
    (void)epio_perform(epio_close(&op, file));
    return possible;
}

bool epio__sqlite_shm_is_possible(epio__sqlite_vfs *vfs)
{
    enum { UNKNOWN, POSSIBLE, IMPOSSIBLE };
    int known = atomic_load_explicit(&vfs->shm_is_possible, memory_order_relaxed);
    if (known == UNKNOWN) {
        known = try_to_map(vfs->vfs) ? POSSIBLE : IMPOSSIBLE;
        atomic_store_explicit(&vfs->shm_is_possible, known, memory_order_relaxed);
    }
    return known == POSSIBLE;
}
