/* A layer under SQLite's testfixture that counts and fails what SQLite's tests want counted and
 * failed. Stock's VFSes have the same hooks (SimulateIOError and the like), where SQLite is
 * compiled with SQLITE_TEST; the variables are SQLite's. */
#include "glue.h"

#include <epio/layer.h>

#include <stdbool.h>
#include <string.h>

extern int sqlite3_io_error_hit;     /* errors so far */
extern int sqlite3_io_error_hardhit; /* those of them that are not benign */
extern int sqlite3_io_error_pending; /* counts down to the one that fails */
extern int sqlite3_io_error_persist; /* those after it fail, too */
extern int sqlite3_io_error_benign;
extern int sqlite3_diskfull_pending;
extern int sqlite3_diskfull;
extern int sqlite3_open_file_count;
extern int sqlite3_sync_count;
extern int sqlite3_fullsync_count;
extern int sqlite3_current_time; /* in seconds since 1970; 0: the system's */

typedef struct file_state {
    bool counted; /* in sqlite3_open_file_count, which leaves out the index of the log */
} file_state;

static bool ends_in(const char *path, const char *end)
{
    size_t len = strlen(path);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(path + len - end_len, end) == 0;
}

static void hit(void)
{
    sqlite3_io_error_hit++;
    if (!sqlite3_io_error_benign) {
        sqlite3_io_error_hardhit++;
    }
}

static bool fails(void)
{
    if (!(sqlite3_io_error_persist && sqlite3_io_error_hit) && sqlite3_io_error_pending-- != 1) {
        return false;
    }
    hit();
    return true;
}

static bool is_full(void)
{
    if (sqlite3_diskfull_pending == 0) {
        return false;
    }
    if (sqlite3_diskfull_pending > 1) {
        sqlite3_diskfull_pending--;
        return false;
    }
    hit();
    sqlite3_diskfull = 1;
    sqlite3_io_error_hit = 1;
    return true;
}

/* The kinds that stock's hooks fail. */
static int before(void *user, epio_op *op, void *state)
{
    (void)user;
    (void)state;
    switch (op->kind) {
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        if (fails()) {
            return EPIO_EIO;
        }
        return is_full() ? EPIO_ENOSPC : 0;
    case EPIO_KIND_SYNC:
        sqlite3_sync_count++;
        sqlite3_fullsync_count += (op->flags & 0xF) == EPIO_SYNC_FULL;
        if (fails()) {
            return EPIO_EIO;
        }
        return is_full() ? EPIO_ENOSPC : 0;
    case EPIO_KIND_SYNC_DIRECTORY:
        sqlite3_sync_count++;
        return 0;
    case EPIO_KIND_DELETE:
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
    case EPIO_KIND_ACCESS:
    case EPIO_KIND_TRUNCATE:
    case EPIO_KIND_SIZE:
    case EPIO_KIND_CHECK_RESERVED_LOCK:
        return fails() ? EPIO_EIO : 0;
    default:
        return 0;
    }
}

static void after(void *user, epio_op *op, void *state)
{
    (void)user;
    (void)state;
    switch (op->kind) {
    case EPIO_KIND_OPEN:
        if (op->result == 0 &&
            (op->arguments.path.path == NULL || !ends_in(op->arguments.path.path, "-shm"))) {
            ((file_state *)epio_layer_file_state(op->file))->counted = true;
            sqlite3_open_file_count++;
        }
        break;
    case EPIO_KIND_CLOSE:
        sqlite3_open_file_count -= ((file_state *)epio_layer_file_state(op->file))->counted;
        break;
    case EPIO_KIND_DELETE:
        sqlite3_sync_count += op->result == 0 && (op->flags & EPIO_DELETE_SYNC_DIR) != 0;
        break;
    case EPIO_KIND_CURRENT_TIME:
        if (sqlite3_current_time != 0) {
            op->result = (int64_t)sqlite3_current_time * 1000000000;
        }
        break;
    case EPIO_KIND_RANDOMNESS:
        memset(op->arguments.io.base, 0, op->arguments.io.len);
        break;
    default:
        break;
    }
}

epio_vfs *epio_sqlite_tests_vfs(void)
{
    static const epio_layer_methods methods = {
        .size = sizeof methods,
        .name = "hooks",
        .file_state = sizeof(file_state),
        .before = before,
        .after = after,
    };
    static epio_vfs *made;
    if (made == NULL && epio_layer_vfs_create(&made, epio_os_vfs(), &methods, NULL) != 0) {
        return NULL;
    }
    return made;
}
