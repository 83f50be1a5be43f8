/* The index of the write-ahead log: shared memory and its locks, in the file and the bytes of stock
 * SQLite's. The connections of this process share one open file, its mappings, and what they hold
 * of its locks: what one has SHARED another gets without a call of the system. What the index
 * contains is SQLite's. */
#include "sqlite/vfs.h"

#include <stdatomic.h>
#include <string.h>

/* https://www.sqlite.org/walformat.html, 2.3: eight locks, behind them the "dead man's switch",
 * which every process holds SHARED while it uses the index. */
#define LOCKS SQLITE_SHM_NLOCK
#define FIRST_LOCK 120
#define ALIVE (FIRST_LOCK + LOCKS)
#define FIRST_READ_LOCK 3

/* What the first process leaves of an index that nobody uses: less than a header. */
#define RESET_LEN 3

/* The file grows in pages of this size. */
#define PAGE 4096u

/* An index that connections of this process use. */
typedef struct wal_index {
    struct wal_index *next;
    int connections; /* with `next`, guarded by the mutex of VFSes */

    /* Whose it is; these stay the same. */
    const epio_vfs *vfs;
    epio_info database;
    bool read_only; /* connections that may write have one of their own */
    char *path;

    sqlite3_mutex *mutex; /* guards the rest */
    epio_file *file;
    epio_mapping **regions;
    int region_count;
    bool is_alive;    /* holds the dead man's switch */
    int users[LOCKS]; /* connections that have a lock SHARED; -1: one has it EXCLUSIVE */
} wal_index;

struct epio__sqlite_shm {
    wal_index *index;
    unsigned shared; /* a bit for each lock that this connection has */
    unsigned exclusive;
};

static wal_index *all;

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
    return epio__sqlite_log(file->owner, &file->op, code, file->shm->index->path);
}

/* ---- The dead man's switch ---- */

static int64_t hold_alive(epio__sqlite_file *file, uint32_t mode)
{
    return epio_perform(epio_lock_range(&file->op, file->shm->index->file, ALIVE, 1, mode, 0));
}

static int64_t others_are_alive(epio__sqlite_file *file)
{
    (void)epio_test_range(&file->op, file->shm->index->file, ALIVE, 1, EPIO_RANGE_EXCLUSIVE);
    return epio_perform(&file->op);
}

static void release_alive(epio__sqlite_file *file)
{
    (void)epio_perform(epio_unlock_range(&file->op, file->shm->index->file, ALIVE, 1));
}

/* Nobody uses the index: what is in it may be from before a crash of the system. */
static int begin_anew(epio__sqlite_file *file)
{
    int code = SQLITE_OK;
    if (epio_perform(epio_truncate(&file->op, file->shm->index->file, RESET_LEN)) < 0) {
        code = fail_and_log(file, SQLITE_IOERR_SHMOPEN);
    } else if (hold_alive(file, EPIO_RANGE_SHARED) < 0) {
        code = fail(file, SQLITE_IOERR_LOCK);
    }
    if (code != SQLITE_OK) {
        release_alive(file);
    }
    return code;
}

/* Other processes use it. One that was about to begin anew may have died meanwhile: so there must
 * be another beside this one. Windows cannot tell. */
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
    wal_index *index = file->shm->index;
    int code;
    if (index->read_only) {
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
    index->is_alive = code == SQLITE_OK;
    return code;
}

/* ---- The file ---- */

static int open_file(epio__sqlite_file *file)
{
    wal_index *index = file->shm->index;
    epio__sqlite_model database;
    epio__sqlite_take_model(&database, &index->database);
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW;
    epio_vfs *vfs = file->owner->vfs;
    int64_t result = EPIO_EACCES;
    if (!index->read_only) {
        uint32_t writable = flags | EPIO_OPEN_WRITE | epio__sqlite_creation_flags(&database);
        result = epio_perform(epio_open(&file->op, vfs, index->path, writable));
    }
    if (result < 0) {
        index->read_only = true;
        result = epio_perform(epio_open(&file->op, vfs, index->path, flags));
    }
    if (result < 0) {
        return fail_and_log(file, SQLITE_CANTOPEN);
    }
    index->file = file->op.file;
    epio__sqlite_apply_model(file, index->file, &database, true);
    return begin_to_live(file);
}

/* ---- Connections: with the mutex of VFSes ---- */

static sqlite3_mutex *vfs_mutex(void)
{
    return sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_VFS1);
}

static wal_index *make_index(const epio__sqlite_file *file, const epio_info *database,
                             bool readonly)
{
    static const char suffix[] = "-shm";
    size_t len = strlen(file->path);
    wal_index *index = sqlite3_malloc64(sizeof *index + len + sizeof suffix);
    if (index == NULL) {
        return NULL;
    }
    memset(index, 0, sizeof *index);
    index->vfs = file->owner->vfs;
    index->database = *database;
    index->read_only = readonly;
    index->path = (char *)(index + 1);
    memcpy(index->path, file->path, len);
    memcpy(index->path + len, suffix, sizeof suffix);
    index->mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST); /* NULL also without threads */
    index->next = all;
    all = index;
    return index;
}

/* Where files have no ids, by its path. */
static bool is_of(const wal_index *index, const epio__sqlite_file *file, const epio_info *database)
{
    const epio_info *own = &index->database;
    if ((own->known & database->known & EPIO_INFO_ID) == 0) {
        size_t len = strlen(file->path);
        return strncmp(index->path, file->path, len) == 0 && strcmp(index->path + len, "-shm") == 0;
    }
    return own->device == database->device && own->id[0] == database->id[0] &&
           own->id[1] == database->id[1];
}

static wal_index *find_or_make(const epio__sqlite_file *file, const epio_info *database)
{
    bool readonly = sqlite3_uri_boolean(file->path, "readonly_shm", 0) != 0;
    wal_index *index = all;
    while (index != NULL && !(index->vfs == file->owner->vfs && index->read_only == readonly &&
                              is_of(index, file, database))) {
        index = index->next;
    }
    return index != NULL ? index : make_index(file, database, readonly);
}

/* The last connection of this process, like each that leaves, has unlocked all. The switch is
 * released last, by the close. Without another process SQLite deletes the index, and holds the
 * database EXCLUSIVE then. */
static void free_index(epio__sqlite_file *file, wal_index *index, bool delete_it)
{
    wal_index **at = &all;
    while (*at != index) {
        at = &(*at)->next;
    }
    *at = index->next;
    for (int i = 0; i < index->region_count; i++) {
        (void)epio_perform(epio_unmap(&file->op, index->regions[i]));
    }
    if (index->file != NULL) {
        (void)epio_perform(epio_close(&file->op, index->file));
    }
    if (delete_it) {
        (void)epio_perform(epio_delete(&file->op, file->owner->vfs, index->path, 0));
    }
    sqlite3_mutex_free(index->mutex);
    sqlite3_free(index->regions);
    sqlite3_free(index);
}

static void leave_index(epio__sqlite_file *file, bool delete_it)
{
    wal_index *index = file->shm->index;
    sqlite3_free(file->shm);
    file->shm = NULL;
    if (--index->connections == 0) {
        free_index(file, index, delete_it);
    }
}

static int join_index(epio__sqlite_file *file, const epio_info *database)
{
    epio__sqlite_shm *shm = sqlite3_malloc64(sizeof *shm);
    wal_index *index = shm != NULL ? find_or_make(file, database) : NULL;
    if (index == NULL) {
        sqlite3_free(shm);
        return SQLITE_NOMEM;
    }
    memset(shm, 0, sizeof *shm);
    shm->index = index;
    file->shm = shm;
    index->connections++;
    int code = index->file == NULL ? open_file(file) : SQLITE_OK;
    if (code != SQLITE_OK && code != SQLITE_READONLY_CANTINIT) {
        leave_index(file, false);
    }
    return code;
}

/* A VFS that knows nothing of files but their bytes has an index, too. */
static int open_shm(epio__sqlite_file *file)
{
    epio_info database = {.size = sizeof database};
    if (file->path == NULL) {
        return SQLITE_IOERR_SHMOPEN;
    }
    int64_t result = epio_perform(epio_file_stat(&file->op, file->file, &database));
    if (result != 0 && result != EPIO_ENOTSUP) {
        return fail(file, SQLITE_IOERR_FSTAT);
    }
    sqlite3_mutex_enter(vfs_mutex());
    int code = join_index(file, &database);
    sqlite3_mutex_leave(vfs_mutex());
    return code;
}

int epio__sqlite_shm_unmap(sqlite3_file *base, int delete_it)
{
    epio__sqlite_file *file = file_of(base);
    if (file->shm != NULL) {
        sqlite3_mutex_enter(vfs_mutex());
        leave_index(file, delete_it != 0);
        sqlite3_mutex_leave(vfs_mutex());
    }
    return SQLITE_OK;
}

/* ---- Regions ---- */

/* By a write to each page, so that a full disk is an error here, and no fault when the memory is
 * used. Only the connection that holds the lock of writers makes the file longer. */
static int grow(epio__sqlite_file *file, uint64_t from, uint64_t to)
{
    for (uint64_t page = from / PAGE; page < to / PAGE; page++) {
        uint64_t last = page * PAGE + PAGE - 1;
        if (epio_perform(epio_write(&file->op, file->shm->index->file, "", 1, last)) < 0) {
            return fail_and_log(file, SQLITE_IOERR_SHMSIZE);
        }
    }
    return SQLITE_OK;
}

static int map_next_region(epio__sqlite_file *file, uint64_t size)
{
    wal_index *index = file->shm->index;
    uint64_t offset = (uint64_t)index->region_count * size;
    uint32_t access = EPIO_MAP_READ | (index->read_only ? 0 : EPIO_MAP_WRITE);
    sqlite3_uint64 bytes = ((sqlite3_uint64)index->region_count + 1) * sizeof(epio_mapping *);
    epio_mapping **regions = sqlite3_realloc64(index->regions, bytes);
    if (regions == NULL) {
        return SQLITE_IOERR_NOMEM;
    }
    index->regions = regions;
    if (epio_perform(epio_map(&file->op, index->file, offset, size, access)) < 0) {
        return fail_and_log(file, SQLITE_IOERR_SHMMAP);
    }
    regions[index->region_count++] = epio_op_mapping(&file->op);
    return SQLITE_OK;
}

/* Maps the regions up to this one, if the file has them or may get them. */
static int map_up_to(epio__sqlite_file *file, int region, uint64_t size, bool extend)
{
    wal_index *index = file->shm->index;
    uint64_t needed = ((uint64_t)region + 1) * size;
    int64_t present = epio_perform(epio_size(&file->op, index->file));
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
    while (code == SQLITE_OK && index->region_count <= region) {
        code = map_next_region(file, size);
    }
    return code;
}

static int find_region(epio__sqlite_file *file, int region, uint64_t size, bool extend,
                       void volatile **address)
{
    const wal_index *index = file->shm->index;
    int code = index->is_alive ? SQLITE_OK : begin_to_live(file);
    if (code == SQLITE_OK && index->region_count <= region) {
        code = map_up_to(file, region, size, extend);
    }
    if (index->is_alive && index->region_count > region) {
        *address = epio_mapping_address(index->regions[region]);
    }
    return code == SQLITE_OK && index->read_only ? SQLITE_READONLY : code;
}

int epio__sqlite_shm_map(sqlite3_file *base, int region, int size, int extend,
                         void volatile **address)
{
    epio__sqlite_file *file = file_of(base);
    int code = file->shm == NULL ? open_shm(file) : SQLITE_OK;
    *address = NULL;
    if (code == SQLITE_OK) {
        sqlite3_mutex_enter(file->shm->index->mutex);
        code = find_region(file, region, (uint64_t)size, extend != 0, address);
        sqlite3_mutex_leave(file->shm->index->mutex);
    }
    return code;
}

/* ---- Locks ---- */

static int ask_system(epio__sqlite_file *file, int offset, int count, uint32_t mode)
{
    const wal_index *index = file->shm->index;
    uint64_t start = FIRST_LOCK + (uint64_t)offset;
    uint64_t len = (uint64_t)count;
    (void)(mode == 0 ? epio_unlock_range(&file->op, index->file, start, len)
                     : epio_lock_range(&file->op, index->file, start, len, mode, 0));
    return epio_perform(&file->op) < 0 ? fail(file, SQLITE_IOERR_SHMLOCK) : SQLITE_OK;
}

/* Locks are taken and given back in the same ranges; several at once are EXCLUSIVE. */
static int unlock(epio__sqlite_file *file, int offset, int count, unsigned mask)
{
    epio__sqlite_shm *shm = file->shm;
    int *users = shm->index->users;
    int code = SQLITE_OK;
    if (((shm->shared | shm->exclusive) & mask) == 0) {
        return SQLITE_OK;
    }
    if (users[offset] > 1) {
        users[offset]--;
    } else {
        code = ask_system(file, offset, count, 0);
        memset(users + offset, 0, (size_t)count * sizeof *users);
    }
    shm->shared &= ~mask;
    shm->exclusive &= ~mask;
    return code;
}

static int lock_shared(epio__sqlite_file *file, int offset, unsigned mask)
{
    epio__sqlite_shm *shm = file->shm;
    int *users = &shm->index->users[offset];
    if ((shm->shared & mask) != 0) {
        return SQLITE_OK;
    }
    if (*users < 0) {
        return SQLITE_BUSY;
    }
    int code = *users == 0 ? ask_system(file, offset, 1, EPIO_RANGE_SHARED) : SQLITE_OK;
    if (code == SQLITE_OK) {
        ++*users;
        shm->shared |= mask;
    }
    return code;
}

static int lock_exclusive(epio__sqlite_file *file, int offset, int count, unsigned mask)
{
    epio__sqlite_shm *shm = file->shm;
    int *users = shm->index->users;
    for (int i = offset; i < offset + count; i++) {
        if (users[i] != 0) {
            return SQLITE_BUSY;
        }
    }
    int code = ask_system(file, offset, count, EPIO_RANGE_EXCLUSIVE);
    if (code == SQLITE_OK) {
        for (int i = offset; i < offset + count; i++) {
            users[i] = -1;
        }
        shm->exclusive |= mask;
    }
    return code;
}

int epio__sqlite_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    epio__sqlite_file *file = file_of(base);
    const epio__sqlite_shm *shm = file->shm;
    if (shm == NULL) {
        return SQLITE_IOERR_SHMLOCK;
    }
    unsigned mask = (1u << (offset + count)) - (1u << offset);
    int code;
    sqlite3_mutex_enter(shm->index->mutex);
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
        code = unlock(file, offset, count, mask);
    } else if ((flags & SQLITE_SHM_SHARED) != 0) {
        code = lock_shared(file, offset, mask);
    } else {
        code = lock_exclusive(file, offset, count, mask);
    }
    sqlite3_mutex_leave(shm->index->mutex);
    return code;
}

/* The mutex is for compilers and machines on which the fence alone would not do. */
void epio__sqlite_shm_barrier(sqlite3_file *base)
{
    const epio__sqlite_shm *shm = file_of(base)->shm;
    atomic_thread_fence(memory_order_seq_cst);
    if (shm != NULL) {
        sqlite3_mutex_enter(shm->index->mutex);
        sqlite3_mutex_leave(shm->index->mutex);
    }
}

/* What the connections of this process have is the file's own, which does not count. Windows cannot
 * tell while they have any. */
int epio__sqlite_shm_external_reader(sqlite3_file *base, int *found)
{
    epio__sqlite_file *file = file_of(base);
    *found = 0;
    if (file->shm == NULL) {
        return SQLITE_OK;
    }
    const wal_index *index = file->shm->index;
    sqlite3_mutex_enter(index->mutex);
    (void)epio_test_range(&file->op, index->file, FIRST_LOCK + FIRST_READ_LOCK,
                          LOCKS - FIRST_READ_LOCK, EPIO_RANGE_EXCLUSIVE);
    int64_t taken = epio_perform(&file->op);
    sqlite3_mutex_leave(index->mutex);
    *found = taken == 1 ? 1 : 0;
    return taken < 0 && taken != EPIO_ENOTSUP ? fail(file, SQLITE_IOERR_LOCK) : SQLITE_OK;
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
