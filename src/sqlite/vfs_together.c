/* Writes in flight together, on a loop that the threads of SQLite run: one of them at a time,
 * inside its own call, until its own writes have ended; then the next that waits. Between calls the
 * loop has no owner. */
#include "sqlite/vfs_overlap.h"

#include <epio/vfs.h>

#include <string.h>

#if EPIO_ASYNC

/* One call's writes. All but the ops is guarded by the mutex. */
typedef struct batch {
    struct batch *next; /* among those whose threads wait for the one that runs the loop */
    epio__sqlite_together *together;
    epio_semaphore *woken;
    bool sleeps; /* and was not woken yet */
    int left;
} batch;

struct epio__sqlite_together {
    epio_loop *loop;
    sqlite3_mutex *mutex;
    batch *waiting;
    bool is_run; /* a thread runs the loop */
};

epio__sqlite_together *epio__sqlite_together_create(epio_vfs *vfs)
{
    if (vfs->loop == NULL) {
        return NULL;
    }
    epio__sqlite_together *together = sqlite3_malloc64(sizeof *together);
    if (together != NULL) {
        memset(together, 0, sizeof *together);
        together->loop = vfs->loop;
        together->mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
    }
    return together;
}

void epio__sqlite_together_destroy(epio__sqlite_together *together)
{
    if (together != NULL) {
        sqlite3_mutex_free(together->mutex);
        sqlite3_free(together);
    }
}

/* ---- Waiting ---- */

static void wake(batch *one)
{
    if (one->sleeps) {
        one->sleeps = false;
        epio_semaphore_release(one->woken, 1);
    }
}

static void take_out(epio__sqlite_together *together, const batch *one)
{
    batch **at = &together->waiting;
    while (*at != NULL && *at != one) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = one->next;
    }
}

/* A batch is its thread's again once nothing of it is left and the mutex is free. */
static void ended(epio_op *op)
{
    batch *one = op->user;
    epio__sqlite_together *together = one->together;
    sqlite3_mutex_enter(together->mutex);
    if (--one->left == 0) {
        take_out(together, one);
        wake(one);
    }
    sqlite3_mutex_leave(together->mutex);
}

/* Until another thread has ended the batch, or leaves the loop to this one. The mutex is held on
 * entry and return. */
static void sleep_until_woken(batch *one)
{
    epio__sqlite_together *together = one->together;
    epio_op op = EPIO_OP_INIT;
    if (epio_semaphore_create(&one->woken, 1) == 0) {
        (void)epio_semaphore_try_acquire(one->woken, 1);
        one->sleeps = true;
        one->next = together->waiting;
        together->waiting = one;
        sqlite3_mutex_leave(together->mutex);
        (void)epio_perform(epio_acquire(&op, epio_os_vfs(), one->woken, 1));
    } else { /* no memory: it looks again and again */
        one->woken = NULL;
        sqlite3_mutex_leave(together->mutex);
        (void)epio_perform(epio_sleep(&op, epio_os_vfs(), UINT64_C(100000)));
    }
    sqlite3_mutex_enter(together->mutex);
    take_out(together, one);
    epio_semaphore_destroy(one->woken);
    one->woken = NULL;
}

/* The mutex is held on entry and return. */
static void run(epio__sqlite_together *together, const batch *one)
{
    together->is_run = true;
    while (one->left > 0) {
        sqlite3_mutex_leave(together->mutex);
        (void)epio_loop_poll(together->loop, EPIO_FOREVER, 0);
        sqlite3_mutex_enter(together->mutex);
    }
    sqlite3_mutex_leave(together->mutex);
    epio_loop_detach(together->loop);
    sqlite3_mutex_enter(together->mutex);
    together->is_run = false;
    if (together->waiting != NULL) {
        batch *next = together->waiting;
        together->waiting = next->next;
        wake(next);
    }
}

static void wait_for(batch *one)
{
    epio__sqlite_together *together = one->together;
    sqlite3_mutex_enter(together->mutex);
    while (one->left > 0) {
        if (together->is_run) {
            sleep_until_woken(one);
        } else {
            run(together, one);
        }
    }
    sqlite3_mutex_leave(together->mutex);
}

/* ---- Writing ---- */

static int write_one_by_one(epio__sqlite_overlap *overlap, const epio__sqlite_extent *extents,
                            int count)
{
    int code = SQLITE_OK;
    for (int i = 0; i < count && code == SQLITE_OK; i++) {
        code =
            overlap->methods->xWrite(&overlap->file->base, overlap->delayed.bytes + extents[i].at,
                                     extents[i].len, extents[i].offset);
    }
    return code;
}

int epio__sqlite_write_together(epio__sqlite_overlap *overlap, const epio__sqlite_extent *extents,
                                int count)
{
    epio__sqlite_file *file = overlap->file;
    if ((file->marks & EPIO__SQLITE_SYNC_FAILED) != 0) {
        int code = epio__sqlite_reopen(file);
        if (code != SQLITE_OK) {
            return code;
        }
    }
    epio_op *ops = sqlite3_malloc64((sqlite3_uint64)count * sizeof *ops);
    if (ops == NULL) {
        return write_one_by_one(overlap, extents, count);
    }
    batch one = {.together = file->owner->together, .left = count};
    memset(ops, 0, (size_t)count * sizeof *ops);
    for (int i = 0; i < count; i++) {
        ops[i].done = ended;
        ops[i].user = &one;
        epio_submit(epio_write(&ops[i], file->file, overlap->delayed.bytes + extents[i].at,
                               (size_t)extents[i].len, (uint64_t)extents[i].offset));
    }
    wait_for(&one);
    int code = SQLITE_OK;
    for (int i = 0; i < count && code == SQLITE_OK; i++) {
        if (ops[i].result != extents[i].len) {
            code = epio__sqlite_code(file, &ops[i], SQLITE_IOERR_WRITE);
        }
    }
    sqlite3_free(ops);
    return code;
}

#else

epio__sqlite_together *epio__sqlite_together_create(epio_vfs *vfs)
{
    (void)vfs;
    return NULL;
}

void epio__sqlite_together_destroy(epio__sqlite_together *together)
{
    (void)together;
}

int epio__sqlite_write_together(epio__sqlite_overlap *overlap, const epio__sqlite_extent *extents,
                                int count)
{
    (void)overlap, (void)extents, (void)count;
    return SQLITE_IOERR_WRITE; /* not called: nothing can be together */
}

#endif
