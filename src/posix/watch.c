/* What changes in directories, by inotify: one instance and one thread for all watches of the
 * process, from the first to the last. The thread sleeps until the kernel has an event. What is
 * watched, and what events mean, is in watch_tree.h; here is who may use it when. Elsewhere nothing
 * reports changes. */
#include "posix/posix.h"

#if defined(__linux__)

#include "list.h"
#include "posix/descriptor.h"
#include "posix/place.h"
#include "posix/watch_tree.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Between tries to attach what the system had no room for. */
#define RETRY_NS UINT64_C(1000000000)

/* Steps of the thread, or nodes that are freed, while others wait. */
#define STEPS_AT_ONCE 32
#define NODES_AT_ONCE 256

/* Guards the instance's life. Taken before the others. */
static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;
static size_t watches;
static epio__thread thread;
static int stopper = -1; /* an eventfd: the thread is to end */

/* Guards all of `source`, and the trees. Whoever waits for it has `door`, so that each gets it in
 * turn, also beside a thread that lets go of it for a moment only. */
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t inner = PTHREAD_MUTEX_INITIALIZER;
static epio__watch_source *source;

static void lock_source(void)
{
    pthread_mutex_lock(&door);
    pthread_mutex_lock(&inner);
    pthread_mutex_unlock(&door);
}

static void unlock_source(void)
{
    pthread_mutex_unlock(&inner);
}

/* ---- The thread ---- */

static epio__watch_tree *tree_of(epio_node *node)
{
    return EPIO_CONTAINER(node, epio__watch_tree, in_source);
}

/* False: nothing is left to do. */
static bool step_tree(epio__watch_tree *tree)
{
    if (!tree->ended && epio__watch_tree_step(tree)) {
        return true;
    }
    epio_list_remove(&tree->in_due);
    if (!tree->ended && tree->lost) {
        tree->lost = false;
        epio__watch_report(tree->watch, EPIO_EVENT_OVERFLOW, EPIO_TYPE_UNKNOWN, "", NULL);
    }
    return false;
}

/* What events led to is done before the next event. */
static bool step(void)
{
    epio_node *next;
    for (epio_node *at = source->due.next; at != &source->due; at = next) {
        epio__watch_tree *tree = EPIO_CONTAINER(at, epio__watch_tree, in_due);
        next = at->next;
        if (tree->live && step_tree(tree)) { /* others are stepped by those that begin them */
            return true;
        }
    }
    return epio__watch_source_step(source);
}

static bool any_is_starved(void)
{
    bool any = false;
    epio_node *at = source->is_starved ? source->trees.next : &source->trees;
    for (; at != &source->trees && !any; at = at->next) {
        any = epio__watch_tree_is_starved(tree_of(at));
    }
    source->is_starved = any;
    return any;
}

static void retry_starved(void)
{
    for (epio_node *at = source->trees.next; at != &source->trees; at = at->next) {
        epio__watch_tree *tree = tree_of(at);
        if (tree->live && epio__watch_tree_is_starved(tree)) {
            epio__watch_tree_retry(tree);
        }
    }
}

/* Carries out what there is to do; when to try again, EPIO_FOREVER if that is not needed. */
static uint64_t work(uint64_t retry)
{
    lock_source();
    if (epio__monotonic_time() >= retry) {
        retry_starved();
        retry = EPIO_FOREVER;
    }
    for (size_t count = 1; step(); count++) {
        if (count % STEPS_AT_ONCE == 0) {
            unlock_source();
            lock_source();
        }
    }
    if (retry == EPIO_FOREVER && any_is_starved()) {
        retry = epio__monotonic_time() + RETRY_NS;
    }
    unlock_source();
    return retry;
}

static void run(void *argument)
{
    struct pollfd polled[2] = {{.fd = source->queue.descriptor, .events = POLLIN},
                               {.fd = stopper, .events = POLLIN}};
    uint64_t retry = EPIO_FOREVER;
    (void)argument;
    while (polled[1].revents == 0) {
        (void)poll(polled, 2, epio__milliseconds_until(retry));
        retry = work(retry);
    }
}

/* ---- The instance's life ---- */

static void free_source(void)
{
    epio__watch_queue_close(&source->queue);
    epio__table_free(&source->inodes);
    epio__table_free(&source->nodes);
    free(source->path);
    free(source->from);
    free(source);
    source = NULL;
    if (stopper >= 0) {
        (void)close(stopper);
        stopper = -1;
    }
}

/* 0, or -1 and errno. */
static int start(void)
{
    source = calloc(1, sizeof *source);
    if (source == NULL) {
        return -1;
    }
    epio_list_init(&source->trees);
    epio_list_init(&source->due);
    epio_list_init(&source->windows);
    int error = 0;
    if (epio__watch_queue_open(&source->queue) != 0) {
        error = errno;
    } else {
        stopper = epio__descriptor_move(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        error = stopper < 0 ? errno : 0;
    }
    if (error == 0 && epio__thread_start(&thread, run, NULL) != 0) {
        error = ENOMEM;
    }
    if (error != 0) {
        free_source();
        errno = error;
        return -1;
    }
    return 0;
}

static void stop(void)
{
    uint64_t one = 1;
    (void)!write(stopper, &one, sizeof one);
    epio__thread_join(&thread);
    free_source();
}

static int join_source(void)
{
    pthread_mutex_lock(&life);
    int outcome = watches == 0 ? start() : 0;
    watches += outcome == 0 ? 1 : 0;
    pthread_mutex_unlock(&life);
    return outcome;
}

static void leave_source(void)
{
    pthread_mutex_lock(&life);
    if (--watches == 0) {
        stop();
    }
    pthread_mutex_unlock(&life);
}

/* The instance, its thread and all trees are the parent's. What they have is not freed: at the fork
 * it may have been half done. */
void epio__watches_in_child(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    life = fresh;
    door = fresh;
    inner = fresh;
    if (source != NULL && source->queue.descriptor >= 0) {
        (void)close(source->queue.descriptor);
    }
    if (stopper >= 0) {
        (void)close(stopper);
    }
    source = NULL;
    stopper = -1;
    watches = 0;
}

/* ---- Watches ---- */

/* Of these nobody reports what the kernel, or another machine, changes. */
static bool reports_changes(int descriptor)
{
    static const uint32_t silent[] = {0x9FA0 /* proc */,        0x62656572 /* sysfs */,
                                      0x27E0EB /* cgroup */,    0x63677270 /* cgroup2 */,
                                      0x64626720 /* debugfs */, 0x74726163 /* tracefs */};
    struct statfs status;
    epio__medium medium;
    if (fstatfs(descriptor, &status) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        if ((uint32_t)status.f_type == silent[i]) {
            return false;
        }
    }
    (void)epio__medium_of_type((uint32_t)status.f_type, &medium);
    return medium != EPIO__MEDIUM_REMOTE;
}

static int64_t open_directory(epio_op *op, int at, const char *path, void *with)
{
    int *descriptor = with;
    (void)op;
    *descriptor = epio__descriptor_open(at, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
    return *descriptor >= 0 ? 0 : -1;
}

static void free_tree(epio__watch_tree *tree)
{
    free(tree->path);
    free(tree);
}

static epio__watch_tree *create_tree(epio__watch *watch)
{
    epio__watch_tree *tree = calloc(1, sizeof *tree);
    if (tree != NULL) {
        tree->watch = watch;
        epio_list_init(&tree->pending);
        epio_list_init(&tree->stranded);
        epio_list_init(&tree->doubtful);
        epio_list_init(&tree->starved);
    }
    return tree;
}

/* No event is reported any more. */
static void end_tree(epio__watch_tree *tree)
{
    lock_source();
    tree->ended = true;
    while (tree->root != NULL && !epio__watch_node_drop(tree->root, NODES_AT_ONCE)) {
        unlock_source();
        lock_source();
    }
    epio_list_remove(&tree->in_source);
    epio_list_remove(&tree->in_due);
    unlock_source();
}

/* Attaches all that is there: 0, or -1 and errno. */
static int begin_tree(epio__watch_tree *tree, int descriptor)
{
    lock_source();
    tree->source = source;
    epio_list_append(&source->trees, &tree->in_source);
    int outcome = epio__watch_tree_begin(tree, descriptor);
    int error = errno;
    size_t count = 1;
    while (outcome == 0 && tree->error == 0 && epio__watch_tree_step(tree)) {
        if (count++ % STEPS_AT_ONCE == 0) {
            unlock_source();
            lock_source();
        }
    }
    if (outcome == 0 && tree->error != 0) {
        outcome = -1;
        error = tree->error;
    }
    tree->live = outcome == 0;
    tree->lost = false;
    unlock_source();
    errno = error;
    return outcome;
}

static int64_t begin_at(epio_op *op, epio__watch *watch, int descriptor)
{
    if (!reports_changes(descriptor)) {
        return EPIO_ENOTSUP;
    }
    epio__watch_tree *tree = create_tree(watch);
    if (tree == NULL || join_source() != 0) {
        int64_t result = epio__op_fail(op);
        free(tree);
        return result;
    }
    if (begin_tree(tree, descriptor) != 0) {
        int64_t result = epio__op_fail(op);
        end_tree(tree);
        leave_source();
        free_tree(tree);
        return result;
    }
    watch->source = tree;
    return 0;
}

int64_t epio__os_watch_begin(epio_op *op, epio__watch *watch)
{
    int descriptor = -1;
    int64_t result = epio__op_on_place(op, true, open_directory, &descriptor);
    if (result == 0) {
        result = begin_at(op, watch, descriptor);
    }
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return result;
}

void epio__os_watch_end(epio__watch *watch)
{
    epio__watch_tree *tree = watch->source;
    end_tree(tree);
    leave_source();
    free_tree(tree);
}

#else

int64_t epio__os_watch_begin(epio_op *op, epio__watch *watch)
{
    (void)op;
    (void)watch;
    return EPIO_ENOTSUP;
}

void epio__os_watch_end(epio__watch *watch)
{
    (void)watch;
}

#endif
