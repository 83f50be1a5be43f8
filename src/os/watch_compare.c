/* See watch_compare.h. One thread of the process compares for all watches, one after the other;
 * it exists while there are any. */
#include "os/watch_compare.h"

#include "core/op.h"
#include "list.h"
#include "os/snapshot.h"

#include <stdlib.h>

/* From the beginning of one round to the next, which is also no sooner than after as long as the
 * last one took. */
#define INTERVAL_NS UINT64_C(1000000000)

typedef struct comparer {
    epio__mutex mutex; /* guards the rest but `count` */
    epio__condition changed;
    epio__thread thread;
    epio_node watches;
    bool stopping;
    size_t count; /* of watches, those that are about to be added, too */
    uint32_t generation;
    struct comparer *inherited; /* its parent's, in a forked child */
} comparer;

/* The source of a watch. */
typedef struct compared {
    epio_node node;
    comparer *by;
    epio__watch *watch;
    epio_file *directory; /* without a loop */
    epio__snapshot last;
    bool failed;   /* the latest comparison */
    bool busy;     /* its directory is compared */
    uint32_t ends; /* atomic; the comparison is not wanted any more */
} compared;

/* Guarded by the process's mutex, as its count. */
static comparer *current;

/* ---- One watch ---- */

static void compare(compared *one)
{
    epio__snapshot now;
    int32_t os_error;
    int64_t result = epio__snapshot_take(&now, one->directory, one->watch->recursive, &one->last,
                                         &one->ends, &os_error);
    if (epio__load_u32(&one->ends) != 0) {
        epio__snapshot_free(&now);
        return;
    }
    if (result < 0 && result != EPIO_ENOENT) {
        /* What was seen before stays, as the next that succeeds is with that. Meanwhile it is not
         * silent, and says so once. */
        if (!one->failed) {
            epio__watch_report(one->watch, EPIO_EVENT_OVERFLOW, EPIO_TYPE_UNKNOWN, "", NULL);
        }
        one->failed = true;
        return;
    }
    one->failed = false;
    epio__snapshot_compare(one->watch, &one->last, &now);
    epio__snapshot_free(&one->last);
    one->last = now;
    if (result == EPIO_ENOENT) {
        epio__watch_report_end(one->watch);
    }
}

static void close_directory(epio_file *directory)
{
    epio_op op = {0};
    (void)epio_perform(epio_close(&op, directory));
}

/* Of the op's path, but without a loop, which the thread has not. */
static int64_t open_directory(epio_op *op, epio_file **directory)
{
    epio_vfs *vfs = epio_os_vfs();
    epio_op open = {0};
    (void)epio_open(&open, vfs, op->arguments.path.path, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
    open.arguments.path.directory = op->arguments.path.directory;
    open.timeout_ns = op->timeout_ns;
    int64_t result = vfs->methods->perform(vfs, &open);
    op->os_error = open.os_error;
    op->reason = open.reason;
    *directory = open.file;
    return result;
}

/* ---- The thread ---- */

static void compare_all(comparer *all)
{
    for (epio_node *at = all->watches.next; at != &all->watches; at = at->next) {
        compared *one = EPIO_CONTAINER(at, compared, node);
        one->busy = true;
        epio__mutex_unlock(&all->mutex);
        compare(one);
        epio__mutex_lock(&all->mutex);
        one->busy = false;
        epio__condition_broadcast(&all->changed);
    }
}

static void run(void *argument)
{
    comparer *all = argument;
    uint64_t next = epio__monotonic_time() + INTERVAL_NS;
    epio__mutex_lock(&all->mutex);
    while (!all->stopping) {
        if (epio__monotonic_time() < next) {
            (void)epio__condition_wait_until(&all->changed, &all->mutex, next);
            continue;
        }
        uint64_t begun = epio__monotonic_time();
        compare_all(all);
        uint64_t ended = epio__monotonic_time();
        uint64_t rest = ended - begun;
        next = begun + INTERVAL_NS > ended + rest ? begun + INTERVAL_NS : ended + rest;
    }
    epio__mutex_unlock(&all->mutex);
}

static void destroy(comparer *all)
{
    epio__condition_destroy(&all->changed);
    epio__mutex_destroy(&all->mutex);
    free(all);
}

static comparer *create(void)
{
    comparer *all = calloc(1, sizeof *all);
    if (all == NULL) {
        return NULL;
    }
    epio__mutex_init(&all->mutex);
    epio__condition_init(&all->changed);
    epio_list_init(&all->watches);
    all->generation = epio__process_generation();
    all->inherited = current;
    if (epio__thread_start(&all->thread, run, all) != 0) {
        destroy(all);
        return NULL;
    }
    return all;
}

/* The process's own, for one more watch; NULL: no memory, or no thread. */
static comparer *join(void)
{
    uint32_t generation = epio__process_generation();
    epio__mutex_lock(epio__process_mutex());
    comparer *all = current != NULL && current->generation == generation ? current : create();
    if (all != NULL) {
        current = all;
        all->count++;
    }
    epio__mutex_unlock(epio__process_mutex());
    return all;
}

/* The last one ends the thread. */
static void leave(comparer *all)
{
    epio__mutex_lock(epio__process_mutex());
    bool last = --all->count == 0;
    if (last) {
        current = all->inherited;
    }
    epio__mutex_unlock(epio__process_mutex());
    if (!last) {
        return;
    }
    epio__mutex_lock(&all->mutex);
    all->stopping = true;
    epio__condition_broadcast(&all->changed);
    epio__mutex_unlock(&all->mutex);
    epio__thread_join(&all->thread);
    destroy(all);
}

/* ---- For the OS VFS ---- */

int64_t epio__compare_begin(epio_op *op, epio__watch *watch)
{
    compared *one = calloc(1, sizeof *one);
    if (one == NULL) {
        return EPIO_ENOMEM;
    }
    const epio__snapshot nothing = {0};
    int64_t result = open_directory(op, &one->directory);
    if (result < 0) {
        free(one);
        return result;
    }
    result = epio__snapshot_take(&one->last, one->directory, watch->recursive, &nothing, &one->ends,
                                 &op->os_error);
    one->by = result == 0 ? join() : NULL;
    if (one->by == NULL) {
        epio__snapshot_free(&one->last);
        close_directory(one->directory);
        free(one);
        return result == 0 ? EPIO_ENOMEM : result;
    }
    one->watch = watch;
    watch->source = one;
    watch->compares = true;
    epio__mutex_lock(&one->by->mutex);
    epio_list_append(&one->by->watches, &one->node);
    epio__mutex_unlock(&one->by->mutex);
    return 0;
}

void epio__compare_end(epio__watch *watch)
{
    compared *one = watch->source;
    comparer *all = one->by;
    epio__store_u32(&one->ends, 1);
    epio__mutex_lock(&all->mutex);
    while (one->busy) {
        epio__condition_wait(&all->changed, &all->mutex);
    }
    epio_list_remove(&one->node);
    epio__mutex_unlock(&all->mutex);
    leave(all);
    epio__snapshot_free(&one->last);
    close_directory(one->directory);
    free(one);
}

/* The rest may be in the middle of a change. */
void epio__compare_disinherit(epio__watch *watch)
{
    const compared *one = watch->source;
    close_directory(one->directory);
}
