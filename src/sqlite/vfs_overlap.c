/* EPIO_SQLITE_OVERLAP: writes are delayed, so that many are merged or in flight together, and scans
 * are read ahead. What other connections and processes see, what is left when this process is
 * killed, and what is durable after a sync is what it would be without:
 *
 *   when                                  what the files have by then
 *   xSync, xTruncate, xClose of a file    what was written to it
 *   a write of the database's bytes       its journal's and its log's, all of them
 *   FCNTL_SYNC, COMMIT_PHASETWO           the same and the database's
 *   the journal is made invalid           the same, before; and that it is invalid, after
 *     (its first bytes, its size)
 *   a frame that commits was written      the log's: the index publishes it next, without a call
 *   xShmBarrier, the writers' lock is     the log's
 *     released, xShmUnmap
 *   CKPT_DONE, a truncate of the log      the database's
 *   a lower level of locks                all; what cannot be written is forgotten, since others
 *                                         may change the files from then on
 *
 * The database's bytes are delayed only where nobody else reads them: under EXCLUSIVE. Without it
 * they are a checkpoint's, which SQLite publishes without asking whether all were written, unless
 * the checkpoint was of the whole log: then an xTruncate comes first, and fails. So only such a
 * checkpoint is delayed, and it holds the lock of those who write to the log meanwhile, if that is
 * free: nobody makes the log longer. A write that failed stays delayed, as SQLite may go on after
 * it with the rest of the transaction.
 *
 * What was read ahead is forgotten when a transaction may begin: when a lock is taken of the
 * database, or of the index. In a transaction others change the database only by a checkpoint, and
 * of that only pages which this transaction reads from the log: frames behind the part of the log
 * that was checkpointed when it began, and up to its own end. The log's frames up to there stay.
 *
 * Super-journals, and the files of a VFS between SQLite and this one whose names are its own, are
 * left alone. */
#include "sqlite/vfs_overlap.h"

#include <string.h>

/* In the log (https://www.sqlite.org/walformat.html): a frame's header, in it the size of the
 * database after the transaction, which is not 0 in a commit's last. */
#define FRAME_HEADER 24
#define FRAME_SIZE_AT 4

/* In the index: its locks; a region; in it the size of pages, the number of frames, how many are in
 * the database, and how many the checkpoint in progress will have put there. */
#define WRITERS_LOCK 0
#define REGION (32 * 1024)
#define PAGE_AT 14
#define FRAMES_AT 16
#define DONE_AT 96
#define ATTEMPTED_AT 128

#define LOG_HEADER 32

static epio__sqlite_overlap *of(sqlite3_file *file)
{
    return ((epio__sqlite_file *)(void *)file)->overlap;
}

/* ---- What is delayed is written -------------------------------------------- */

static bool is_dirty(const epio__sqlite_overlap *overlap)
{
    return overlap != NULL && overlap->delayed.count > 0;
}

static int settle_one(epio__sqlite_overlap *overlap)
{
    return is_dirty(overlap) ? epio__sqlite_write_delayed(overlap) : SQLITE_OK;
}

/* A database follows its journal and its log. */
static int settle(epio__sqlite_overlap *overlap)
{
    int code = settle_one(overlap->journal);
    if (code == SQLITE_OK) {
        code = settle_one(overlap->log);
    }
    return code == SQLITE_OK ? settle_one(overlap) : code;
}

static void forget_one(epio__sqlite_overlap *overlap)
{
    if (overlap != NULL) {
        epio__sqlite_cut_delayed(overlap, 0);
        epio__sqlite_forget_ahead(overlap);
    }
}

static void forget_all_ahead(epio__sqlite_overlap *database)
{
    epio__sqlite_overlap *all[] = {database, database->journal, database->log};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] != NULL) {
            epio__sqlite_forget_ahead(all[i]);
        }
    }
}

/* Before the others may change the files. */
static int settle_and_forget(epio__sqlite_overlap *database)
{
    int code = settle(database);
    forget_one(database->journal);
    forget_one(database->log);
    forget_one(database);
    return code;
}

/* ---- Bytes ------------------------------------------------------------------ */

static int read_bytes(sqlite3_file *base, void *bytes, int len, sqlite3_int64 offset)
{
    epio__sqlite_overlap *overlap = of(base);
    if (!is_dirty(overlap)) {
        return epio__sqlite_read_ahead(overlap, bytes, len, offset);
    }
    if (epio__sqlite_read_delayed(overlap, bytes, len, offset)) {
        return SQLITE_OK;
    }
    int code = epio__sqlite_read_ahead(overlap, bytes, len, offset);
    if (code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ) {
        (void)epio__sqlite_read_delayed(overlap, bytes, len, offset);
        if (offset + len <= epio__sqlite_delayed_end(overlap)) {
            return SQLITE_OK;
        }
    }
    return code;
}

static bool may_delay(const epio__sqlite_overlap *overlap)
{
    const epio__sqlite_file *file = overlap->file;
    return overlap->part != EPIO__SQLITE_DATABASE ||
           (file->map_limit == 0 &&
            (file->lock_level == SQLITE_LOCK_EXCLUSIVE || overlap->has_checkpoint));
}

static int write_or_delay(epio__sqlite_overlap *overlap, const void *bytes, int len,
                          sqlite3_int64 offset)
{
    bool delays = may_delay(overlap);
    epio__sqlite_forget_range(overlap, len, offset);
    if (delays && epio__sqlite_delay(overlap, bytes, len, offset)) {
        return SQLITE_OK;
    }
    int code = settle(overlap);
    if (code != SQLITE_OK || (delays && epio__sqlite_delay(overlap, bytes, len, offset))) {
        return code;
    }
    return overlap->methods->xWrite(&overlap->file->base, bytes, len, offset);
}

/* The first bytes of a journal decide whether it is valid. */
static int write_journal(epio__sqlite_overlap *journal, const unsigned char *bytes, int len,
                         sqlite3_int64 offset)
{
    int code = SQLITE_OK;
    if (offset == 0 && is_dirty(journal->database)) {
        code = settle(journal->database);
    }
    if (code == SQLITE_OK) {
        code = write_or_delay(journal, bytes, len, offset);
    }
    return code == SQLITE_OK && offset == 0 && bytes[0] == 0 ? settle_one(journal) : code;
}

/* A commit is complete with its frame's page, which follows the header; or with a header that is
 * written again, since the checksums of a transaction whose frames were changed are put right at
 * its end. */
static int write_log(epio__sqlite_overlap *log, const unsigned char *bytes, int len,
                     sqlite3_int64 offset)
{
    static const unsigned char no_commit[4] = {0};
    bool is_header = len == FRAME_HEADER;
    int code = write_or_delay(log, bytes, len, offset);
    if (code != SQLITE_OK) {
        return code;
    }
    if (offset == 0) { /* it begins anew */
        log->written_to = 0;
        log->commits = false;
    }
    if (is_header) {
        log->commits = memcmp(bytes + FRAME_SIZE_AT, no_commit, sizeof no_commit) != 0;
    }
    bool is_complete = log->commits && (!is_header || offset + len < log->written_to);
    if (offset + len > log->written_to) {
        log->written_to = offset + len;
    }
    return is_complete ? settle_one(log) : SQLITE_OK;
}

static int write_bytes(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    epio__sqlite_overlap *overlap = of(base);
    switch (overlap->part) {
    case EPIO__SQLITE_JOURNAL:
        return write_journal(overlap, bytes, len, offset);
    case EPIO__SQLITE_LOG:
        return write_log(overlap, bytes, len, offset);
    default:
        return write_or_delay(overlap, bytes, len, offset);
    }
}

/* A journal or a log that becomes shorter may be needed until its database has everything. */
static int truncate_it(sqlite3_file *base, sqlite3_int64 size)
{
    epio__sqlite_overlap *overlap = of(base);
    int code = SQLITE_OK;
    if (is_dirty(overlap->database)) {
        code = settle(overlap->database);
    }
    if (code == SQLITE_OK) {
        epio__sqlite_cut_delayed(overlap, size);
        epio__sqlite_forget_ahead(overlap);
        code = settle(overlap);
    }
    return code == SQLITE_OK ? overlap->methods->xTruncate(base, size) : code;
}

static int sync_it(sqlite3_file *base, int flags)
{
    epio__sqlite_overlap *overlap = of(base);
    int code = settle(overlap);
    return code == SQLITE_OK ? overlap->methods->xSync(base, flags) : code;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    epio__sqlite_overlap *overlap = of(base);
    int code = overlap->methods->xFileSize(base, size);
    sqlite3_int64 end = epio__sqlite_delayed_end(overlap);
    if (code == SQLITE_OK && end > *size) {
        *size = end;
    }
    return code;
}

/* ---- Locks -------------------------------------------------------------------- */

static int lock(sqlite3_file *base, int level)
{
    epio__sqlite_overlap *overlap = of(base);
    if (overlap->file->lock_level == SQLITE_LOCK_NONE) {
        forget_all_ahead(overlap);
    }
    return overlap->methods->xLock(base, level);
}

static int unlock(sqlite3_file *base, int level)
{
    epio__sqlite_overlap *overlap = of(base);
    int settled = SQLITE_OK;
    if (level < overlap->file->lock_level) {
        settled = settle_and_forget(overlap);
    }
    int code = overlap->methods->xUnlock(base, level);
    return code != SQLITE_OK ? code : settled;
}

/* ---- The index of the log -------------------------------------------------------- */

static void settle_log(epio__sqlite_overlap *database)
{
    int code = settle_one(database->log);
    if (code != SQLITE_OK) {
        sqlite3_log(code, "epio: the log of %s was not written", database->file->path);
    }
}

static int set_writers_lock(epio__sqlite_overlap *database, int flags)
{
    return database->methods->xShmLock(&database->file->base, WRITERS_LOCK, 1,
                                       flags | SQLITE_SHM_EXCLUSIVE);
}

static void return_writers_lock(epio__sqlite_overlap *database)
{
    if (database->borrows_lock) {
        database->borrows_lock = false;
        (void)set_writers_lock(database, SQLITE_SHM_UNLOCK);
    }
}

/* What is left of the log when the writers' lock is released is a transaction's that did not
 * commit.
 */
static int lock_index(sqlite3_file *base, int offset, int count, int flags)
{
    epio__sqlite_overlap *overlap = of(base);
    bool locks = (flags & SQLITE_SHM_LOCK) != 0;
    bool writers = offset == WRITERS_LOCK && (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    return_writers_lock(overlap);
    if (locks) {
        forget_all_ahead(overlap);
    } else if (writers) {
        settle_log(overlap);
        forget_one(overlap->log);
    }
    int code = overlap->methods->xShmLock(base, offset, count, flags);
    if (writers && code == SQLITE_OK) {
        overlap->is_writer = locks;
        if (overlap->log != NULL && locks) {
            overlap->log->written_to = 0;
            overlap->log->commits = false;
        }
    }
    return code;
}

/* Before the second copy of the index's header, which makes a commit visible: there is nothing
 * left to write. */
static void barrier(sqlite3_file *base)
{
    settle_log(of(base));
    of(base)->methods->xShmBarrier(base);
}

static int unmap_index(sqlite3_file *base, int delete_it)
{
    settle_log(of(base));
    return of(base)->methods->xShmUnmap(base, delete_it);
}

static uint32_t number_at(const volatile unsigned char *index, int at)
{
    return *(const volatile uint32_t *)(const volatile void *)(index + at);
}

static int64_t page_size(const volatile unsigned char *index)
{
    uint32_t size = *(const volatile uint16_t *)(const volatile void *)(index + PAGE_AT);
    return size == 1 ? 65536 : size;
}

/* The frames of a checkpoint are read in the order of their pages: they are read ahead as a whole.
 */
static void read_frames_ahead(epio__sqlite_overlap *log, const volatile unsigned char *index)
{
    int64_t frame = page_size(index) + FRAME_HEADER;
    int64_t from = number_at(index, DONE_AT) * frame;
    int64_t to = number_at(index, ATTEMPTED_AT) * frame;
    if (log != NULL && !is_dirty(log) && to > from) {
        epio__sqlite_read_range_ahead(log, LOG_HEADER + from, to - from);
    }
}

/* Before a checkpoint's first write. */
static void begin_checkpoint(epio__sqlite_overlap *database)
{
    epio__sqlite_file *file = database->file;
    void volatile *region = NULL;
    if (file->shm == NULL ||
        database->methods->xShmMap(&file->base, 0, REGION, 0, &region) != SQLITE_OK ||
        region == NULL) {
        return;
    }
    const volatile unsigned char *index = region;
    read_frames_ahead(database->log, index);
    if (file->lock_level == SQLITE_LOCK_EXCLUSIVE) {
        return;
    }
    database->borrows_lock =
        !database->is_writer && set_writers_lock(database, SQLITE_SHM_LOCK) == SQLITE_OK;
    database->has_checkpoint = (database->is_writer || database->borrows_lock) &&
                               number_at(index, ATTEMPTED_AT) == number_at(index, FRAMES_AT);
    if (!database->has_checkpoint) {
        return_writers_lock(database);
    }
}

/* If not everything was written the lock stays until SQLite has seen that the log is no longer, and
 * the xTruncate has failed. */
static int end_checkpoint(epio__sqlite_overlap *database)
{
    int code = settle(database);
    database->has_checkpoint = false;
    if (code == SQLITE_OK) {
        return_writers_lock(database);
    }
    if (database->log != NULL) {
        epio__sqlite_free_ahead(database->log);
    }
    return code;
}

/* ---- File controls ------------------------------------------------------------------ */

static int control(sqlite3_file *base, int code, void *argument)
{
    epio__sqlite_overlap *overlap = of(base);
    int settled = SQLITE_OK;
    switch (code) {
    case SQLITE_FCNTL_CKPT_START:
        begin_checkpoint(overlap);
        break;
    case SQLITE_FCNTL_CKPT_DONE:
        settled = end_checkpoint(overlap);
        break;
    case SQLITE_FCNTL_MMAP_SIZE:
        forget_all_ahead(overlap);
        settled = settle(overlap);
        break;
    case SQLITE_FCNTL_SYNC:
    case SQLITE_FCNTL_COMMIT_PHASETWO:
        settled = settle(overlap);
        break;
    default:
        break;
    }
    return settled != SQLITE_OK ? settled : overlap->methods->xFileControl(base, code, argument);
}

/* ---- Opening and closing ------------------------------------------------------------ */

static void take_out(epio__sqlite_overlap *overlap)
{
    epio__sqlite_vfs *owner = overlap->file->owner;
    sqlite3_mutex_enter(owner->mutex);
    epio__sqlite_overlap **at = &owner->databases;
    while (*at != overlap) {
        at = &(*at)->next;
    }
    *at = overlap->next;
    sqlite3_mutex_leave(owner->mutex);
    if (overlap->journal != NULL) {
        overlap->journal->database = NULL;
    }
    if (overlap->log != NULL) {
        overlap->log->database = NULL;
    }
}

static void leave_database(epio__sqlite_overlap *overlap)
{
    epio__sqlite_overlap *database = overlap->database;
    if (database == NULL) {
        return;
    }
    if (database->journal == overlap) {
        database->journal = NULL;
    }
    if (database->log == overlap) {
        database->log = NULL;
    }
}

/* A temporary file's bytes end with it. Of the others nothing is left that matters and could not be
 * written. */
static int close_it(sqlite3_file *base)
{
    epio__sqlite_overlap *overlap = of(base);
    const sqlite3_io_methods *methods = overlap->methods;
    if (overlap->database != NULL) {
        (void)settle(overlap->database);
    }
    if (overlap->part != EPIO__SQLITE_TEMPORARY) {
        (void)settle(overlap);
    }
    if (overlap->part == EPIO__SQLITE_DATABASE) {
        take_out(overlap);
    } else {
        leave_database(overlap);
    }
    epio__sqlite_free_delayed(&overlap->delayed);
    epio__sqlite_free_ahead(overlap);
    sqlite3_free(overlap);
    return methods->xClose(base);
}

static epio__sqlite_part part_of(const epio__sqlite_file *file)
{
    int flags = file->open_flags;
    if ((flags & SQLITE_OPEN_DELETEONCLOSE) != 0) {
        return EPIO__SQLITE_TEMPORARY;
    }
    return (flags & SQLITE_OPEN_MAIN_DB) != 0        ? EPIO__SQLITE_DATABASE
           : (flags & SQLITE_OPEN_MAIN_JOURNAL) != 0 ? EPIO__SQLITE_JOURNAL
           : (flags & SQLITE_OPEN_WAL) != 0          ? EPIO__SQLITE_LOG
                                                     : EPIO__SQLITE_PARTS;
}

/* SQLite gives the journal a name that leads to that of the database, which is the one that the
 * database was opened by, not only of the same letters. */
static epio__sqlite_overlap *find_database(const epio__sqlite_file *file)
{
    const char *path = sqlite3_filename_database(file->path);
    sqlite3_mutex_enter(file->owner->mutex);
    epio__sqlite_overlap *found = file->owner->databases;
    while (found != NULL && found->file->path != path) {
        found = found->next;
    }
    sqlite3_mutex_leave(file->owner->mutex);
    return found;
}

static bool join(epio__sqlite_overlap *overlap)
{
    epio__sqlite_vfs *owner = overlap->file->owner;
    if (overlap->part == EPIO__SQLITE_DATABASE) {
        sqlite3_mutex_enter(owner->mutex);
        overlap->next = owner->databases;
        owner->databases = overlap;
        sqlite3_mutex_leave(owner->mutex);
    } else if (overlap->part != EPIO__SQLITE_TEMPORARY) {
        overlap->database = find_database(overlap->file);
        if (overlap->database == NULL) {
            return false;
        }
        if (overlap->part == EPIO__SQLITE_JOURNAL) {
            overlap->database->journal = overlap;
        } else {
            overlap->database->log = overlap;
        }
    }
    return true;
}

#define METHODS_OF_BYTES                                                                           \
    .xClose = close_it, .xRead = read_bytes, .xWrite = write_bytes, .xTruncate = truncate_it,      \
    .xSync = sync_it, .xFileSize = file_size, .xLock = lock, .xUnlock = unlock,                    \
    .xCheckReservedLock = epio__sqlite_check_reserved_lock, .xFileControl = control,               \
    .xSectorSize = epio__sqlite_sector_size,                                                       \
    .xDeviceCharacteristics = epio__sqlite_characteristics

static const sqlite3_io_methods overlap_methods = {
    .iVersion = 3,
    METHODS_OF_BYTES,
    .xShmMap = epio__sqlite_shm_map,
    .xShmLock = lock_index,
    .xShmBarrier = barrier,
    .xShmUnmap = unmap_index,
    .xFetch = epio__sqlite_fetch,
    .xUnfetch = epio__sqlite_unfetch,
};

static const sqlite3_io_methods overlap_methods_unmapped = {.iVersion = 1, METHODS_OF_BYTES};

void epio__sqlite_overlap_begin(epio__sqlite_file *file)
{
    epio__sqlite_part part = part_of(file);
    epio__sqlite_overlap *overlap =
        part != EPIO__SQLITE_PARTS ? sqlite3_malloc64(sizeof *overlap) : NULL;
    if (overlap == NULL) {
        return;
    }
    memset(overlap, 0, sizeof *overlap);
    overlap->file = file;
    overlap->part = part;
    overlap->methods = file->base.pMethods;
    if (!join(overlap)) {
        sqlite3_free(overlap);
        return;
    }
    file->overlap = overlap;
    file->base.pMethods =
        overlap->methods->iVersion > 1 ? &overlap_methods : &overlap_methods_unmapped;
}

/* ---- Registration --------------------------------------------------------------------- */

void epio__sqlite_overlap_register(epio__sqlite_vfs *vfs)
{
    vfs->mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
    if ((vfs->flags & EPIO__SQLITE_NO_LOOP) == 0) {
        vfs->together = epio__sqlite_together_create(vfs->vfs);
    }
}

void epio__sqlite_overlap_unregister(epio__sqlite_vfs *vfs)
{
    sqlite3_mutex_free(vfs->mutex);
    epio__sqlite_together_destroy(vfs->together);
}
