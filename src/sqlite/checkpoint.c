/* The write-ahead log: when it is written back, on a connection of its own. No commit does that:
 * with a loop, a worker does it when the log is long, or nobody has added to it for a while;
 * without one, the thread whose op made it long, once that has its result. */
#include "sqlite/db.h"

#include <string.h>

/* Without a commit, so many nanoseconds after the last one. */
#define IDLE UINT64_C(1000000000)

/* Before a log that could not be written back, or not all of it, is tried again. */
#define FIRST_PAUSE UINT64_C(100000000)
#define LAST_PAUSE UINT64_C(60000000000)
#define READER_PAUSE UINT64_C(10000000) /* as a reader has ended that may have held it */

/* So many times as long as it should be, it is made to begin anew. */
#define LONG 4u

/* While that waits for readers, no commit is possible. */
#define RESTART_WAIT UINT64_C(50000000)
#define STEP_WAIT UINT64_C(5000000) /* of one attempt of an op, which tries again */

/* ---- When ---- */

static bool does_that_by_itself(const epio__database *root)
{
    return root->opened && root->state == EPIO__DB_IS_OPEN &&
           root->options.checkpoint_bytes != UINT64_MAX;
}

static uint64_t bytes_left(const epio__db_log *log)
{
    uint64_t left = log->frames > log->written_back ? log->frames - log->written_back : 0;
    return left * log->page_len;
}

uint64_t epio__checkpoint_due(const epio__database *root)
{
    const epio__db_log *log = &root->log;
    uint64_t left = bytes_left(log);
    if (left == 0 || !does_that_by_itself(root)) {
        return EPIO_FOREVER;
    }
    uint64_t due = log->committed + IDLE;
    if (log->hurry || left >= root->options.checkpoint_bytes) {
        due = 0;
    }
    return due > log->not_before ? due : log->not_before;
}

bool epio__checkpoint_wanted(const epio__database *root)
{
    uint64_t due = epio__checkpoint_due(root);
    return due != EPIO_FOREVER && due <= epio_clock_monotonic();
}

/* Also if the loop has not run for long. */
bool epio__checkpoint_overdue(const epio__database *root)
{
    uint64_t limit = root->options.checkpoint_bytes;
    uint64_t left = bytes_left(&root->log);
    return left >= limit && (!root->loop_runs || left / 2 >= limit) &&
           epio__checkpoint_wanted(root);
}

void epio__checkpoint_reader_left(epio__database *root)
{
    epio__db_log *log = &root->log;
    if (root->stats.log_held == 0 || log->hurry) {
        return;
    }
    uint64_t soon = epio_clock_monotonic() + READER_PAUSE;
    log->hurry = true;
    log->not_before = log->not_before < soon ? log->not_before : soon;
}

int epio__checkpoint_hook(void *user, sqlite3 *handle, const char *schema, int frames)
{
    (void)handle;
    epio__db_connection *connection = user;
    epio__database *root = connection->root;
    if (strcmp(schema, "main") != 0) {
        return SQLITE_OK;
    }
    epio__db_lock(root);
    epio__db_log *log = &root->log;
    if ((uint64_t)frames <= log->frames) {
        log->written_back = 0; /* it has begun anew */
    }
    log->frames = (uint64_t)frames;
    log->commits++;
    log->committed = epio_clock_monotonic();
    root->stats.log_frames = log->frames;
    const epio__db_connection *one = root->checkpointer;
    bool starts = (one == NULL || (!one->running && !one->run_pending)) && root->workers != NULL &&
                  epio__checkpoint_wanted(root);
    epio__db_unlock(root);
    if (starts) {
        epio__db_dispatch(root);
    }
    return SQLITE_OK;
}

static int take_number(void *number, int columns, char **values, char **names)
{
    (void)names;
    sqlite3_int64 *taken = number;
    for (const char *digit = columns > 0 && values[0] != NULL ? values[0] : ""; *digit != '\0';
         digit++) {
        *taken = *taken * 10 + (*digit - '0');
    }
    return 0;
}

int epio__checkpoint_begin(epio__db_connection *connection)
{
    sqlite3_int64 page_len = 0;
    int code =
        sqlite3_exec(connection->handle, "PRAGMA main.page_size", take_number, &page_len, NULL);
    epio__db_lock(connection->root);
    connection->root->log.page_len = (uint64_t)page_len;
    epio__db_unlock(connection->root);
    return code;
}

/* ---- How ---- */

/* `frames` and `done` are SQLite's; -1: there is no log. `before` is what was known when this
 * began. The mutex is held. */
static void note(epio__database *root, const epio__db_log *before, int frames, int done,
                 bool emptied)
{
    epio__db_log *log = &root->log;
    if (frames < 0 || done < 0) {
        return;
    }
    /* SQLite counts none in a log that it has emptied. */
    root->stats.checkpoints +=
        (uint64_t)done > before->written_back || (emptied && before->frames > before->written_back);
    if (log->commits == before->commits) {
        log->frames = emptied ? 0 : (uint64_t)frames;
        log->written_back = emptied ? 0 : (uint64_t)done;
    } else if (log->frames >= (uint64_t)frames) {
        log->written_back = (uint64_t)done;
    } else {
        log->written_back = 0; /* a commit has begun it anew meanwhile */
    }
    root->stats.log_frames = log->frames;
    root->stats.log_held = (uint64_t)(frames - done);
    if (frames == done) {
        log->held_since = 0;
    } else if (log->held_since == 0 || log->held_at != (uint64_t)done) {
        log->held_since = epio_clock_monotonic(); /* another reader than before, or the first */
    }
    log->held_at = (uint64_t)done;
}

/* An SQLite code, and the frames that are left. */
static int write_back(epio__db_connection *connection, int mode, int64_t *left)
{
    epio__database *root = connection->root;
    epio__db_lock(root);
    epio__db_log before = root->log;
    epio__db_unlock(root);
    *left = 0;
    /* A connection finds the log when it reads. This also drops an interrupt that came too late for
     * the op before. */
    int code =
        sqlite3_exec(connection->handle, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        return code;
    }
    int frames = -1;
    int done = -1;
    code = sqlite3_wal_checkpoint_v2(connection->handle, "main", mode, &frames, &done);
    epio__db_lock(root);
    note(root, &before, frames, done, code == SQLITE_OK && mode != SQLITE_CHECKPOINT_PASSIVE);
    epio__db_unlock(root);
    *left = frames - done;
    return code;
}

int64_t epio__db_checkpoint(epio__db_connection *connection, epio_op *op)
{
    static const int modes[] = {
        [EPIO_DB_PASSIVE] = SQLITE_CHECKPOINT_PASSIVE,
        [EPIO_DB_RESTART] = SQLITE_CHECKPOINT_RESTART,
        [EPIO_DB_TRUNCATE] = SQLITE_CHECKPOINT_TRUNCATE,
    };
    uint64_t mode = op->arguments.words[EPIO__WORD_FIRST];
    int64_t left;
    if (mode != EPIO_DB_PASSIVE) { /* readers that come and go meet only one that stays a little */
        connection->may_wait_until = epio_clock_monotonic() + STEP_WAIT;
    }
    int code = write_back(connection, modes[mode], &left);
    connection->may_wait_until = 0;
    int64_t result = epio__db_result(connection, op, code);
    return result == 0 ? left : result;
}

static bool is_long(epio__database *root)
{
    epio__db_lock(root);
    uint64_t len = root->log.frames * root->log.page_len;
    epio__db_unlock(root);
    return len / LONG >= root->options.checkpoint_bytes;
}

/* After one that nobody has asked for. */
static void set_pause(epio__database *root, int code, int64_t left)
{
    epio__db_lock(root);
    epio__db_log *log = &root->log;
    log->hurry = false;
    log->not_before = 0;
    if (code == SQLITE_OK && left == 0) {
        log->pause = 0;
    } else {
        log->pause = log->pause == 0 ? FIRST_PAUSE : log->pause * 2;
        log->pause = log->pause < LAST_PAUSE ? log->pause : LAST_PAUSE;
        log->not_before = epio_clock_monotonic() + log->pause;
    }
    int primary = code & 0xFF;
    root->stats.checkpoints_failed +=
        code != SQLITE_OK && primary != SQLITE_BUSY && primary != SQLITE_INTERRUPT;
    epio__db_unlock(root);
}

void epio__checkpoint_work(epio__db_connection *connection)
{
    epio__database *root = connection->root;
    epio__connection_set_current(connection, NULL);
    int64_t left = 0;
    int code = SQLITE_OK;
    if (connection->handle == NULL) {
        code = epio__connection_open(connection, NULL);
        if (code != SQLITE_OK) {
            epio__connection_close(connection);
        }
    }
    if (code == SQLITE_OK) {
        code = write_back(connection, SQLITE_CHECKPOINT_PASSIVE, &left);
    }
    if (code == SQLITE_OK && left == 0 && is_long(root)) {
        connection->may_wait_until = epio_clock_monotonic() + RESTART_WAIT;
        code = write_back(connection, SQLITE_CHECKPOINT_RESTART, &left);
        connection->may_wait_until = 0;
    }
    set_pause(root, code, left);
}
