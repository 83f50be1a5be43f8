/* Programming errors, which no completion could report: each ends the process
 * with one line that says what was wrong. */
#include "life.h"

/* ---- A child that is to abort -------------------------------------------- */

/* What it has at hand. */
typedef struct hand {
    epio_loop *loop;
    epio_vfs *vfs;
    epio_file *file;
    epio_op op;
    epio_op other;
    char byte;
} hand;

typedef struct mistake {
    const char *name;
    void (*make)(hand *c);
    const char *function; /* the line names it */
    const char *words;    /* and says this */
} mistake;

static void set_up_hand(hand *c)
{
    memset(c, 0, sizeof *c);
    check_result(epio_loop_create(&c->loop, NULL), 0);
    c->vfs = epio_loop_vfs(c->loop);
    check_result(epio_wait(epio_open(&c->op, c->vfs, NULL, EPIO_OPEN_TEMPORARY)), 0);
    c->file = c->op.file;
    memset(&c->op, 0, sizeof c->op);
}

static const mistake *find_mistake(const char *name);

static void make_mistake(const char *name)
{
    hand c;
    set_up_hand(&c);
    find_mistake(name)->make(&c);
}

static void read_all(intptr_t handle, char *text, size_t size)
{
    size_t len = 0;
    int64_t got;
    while (len < size - 1 && (got = pipe_read(handle, text + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    text[len] = '\0';
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++) {
        lines += *text == '\n' ? 1 : 0;
    }
    return lines;
}

/* The status of the child, and what it said. */
static int result_of(const mistake *one, char *text, size_t size)
{
    child process;
    child_start(&process, make_mistake, one->name, CHILD_SAID);
    read_all(process.said, text, size);
    return child_end(&process);
}

static void check_mistake(const mistake *one)
{
    char text[4096];
    int status = result_of(one, text, sizeof text);
    const char *line = strstr(text, "epio: ");
    bool said =
        line != NULL && strstr(line, one->function) != NULL && strstr(line, one->words) != NULL;
    if (status != ENDED_BY_ABORT || !said) {
        print_error("%s: status %x, said: %s\n", one->name, (unsigned)status, text);
    }
    check_result(status, ENDED_BY_ABORT);
    check(said);
    if (!fixture_is_watched()) { /* valgrind and sanitizers have much to say about an abort */
        check(line == text);
        check_result(count_lines(text), 1);
    }
}

static void *run_in_thread(void *(*run)(void *), void *argument)
{
    test_thread thread;
    thread_start(&thread, run, argument);
    return thread_join(thread);
}

/* ---- Ops ----------------------------------------------------------------- */

static void submit_null(hand *c)
{
    (void)c;
    epio_submit(NULL);
}

static void wait_null(hand *c)
{
    (void)c;
    (void)epio_wait(NULL);
}

static void perform_null(hand *c)
{
    (void)c;
    (void)epio_perform(NULL);
}

static void cancel_null(hand *c)
{
    (void)c;
    epio_cancel(NULL);
}

static void pending_null(hand *c)
{
    (void)c;
    (void)epio_pending(NULL);
}

static void verb_of_null(hand *c)
{
    (void)epio_read(NULL, c->file, &c->byte, 1, 0);
}

static void verb_not_zeroed(hand *c)
{
    memset(&c->op, 0xa5, sizeof c->op);
    (void)epio_read(&c->op, c->file, &c->byte, 1, 0);
}

static void submit_not_zeroed(hand *c)
{
    memset(&c->op, 0xa5, sizeof c->op);
    epio_submit(&c->op);
}

static void submit_without_verb(hand *c)
{
    epio_submit(&c->op);
}

static void submit_without_fresh_verb(hand *c)
{
    (void)epio_wait(epio_read(&c->op, c->file, &c->byte, 1, 0));
    epio_submit(&c->op);
}

static void wait_without_verb(hand *c)
{
    (void)epio_wait(&c->op);
}

static void perform_without_verb(hand *c)
{
    (void)epio_perform(&c->op);
}

static void perform_without_fresh_verb(hand *c)
{
    (void)epio_perform(epio_read(&c->op, c->file, &c->byte, 1, 0));
    (void)epio_perform(&c->op);
}

static void submit_twice(hand *c)
{
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    epio_submit(&c->op);
}

static void perform_in_flight(hand *c)
{
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    (void)epio_perform(&c->op);
}

static void verb_in_flight(hand *c)
{
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    (void)epio_read(&c->op, c->file, &c->byte, 1, 0);
}

static void submit_without_loop(hand *c)
{
    epio_submit(epio_sleep(&c->op, epio_os_vfs(), 1));
}

static void wait_without_loop(hand *c)
{
    (void)epio_wait(epio_sleep(&c->op, epio_os_vfs(), 1));
}

static void submit_without_vfs(hand *c)
{
    epio_submit(epio_sleep(&c->op, NULL, 1));
}

static void submit_without_file(hand *c)
{
    epio_submit(epio_read(&c->op, NULL, &c->byte, 1, 0));
}

static void ignore(epio_op *op)
{
    (void)op;
}

static void wait_with_done(hand *c)
{
    c->op.done = ignore;
    (void)epio_wait(epio_read(&c->op, c->file, &c->byte, 1, 0));
}

static void wait_with_done_in_flight(hand *c)
{
    c->op.done = ignore;
    epio_submit(epio_sleep(&c->op, c->vfs, 1));
    (void)epio_wait(&c->op);
}

static void *wait_for_op(void *op)
{
    (void)epio_wait(op);
    return NULL;
}

static void wait_twice(hand *c)
{
    test_thread threads[2];
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    thread_start(&threads[0], wait_for_op, &c->op);
    thread_start(&threads[1], wait_for_op, &c->op);
    (void)epio_loop_run(c->loop);
}

/* ---- Links --------------------------------------------------------------- */

static void link_twice(hand *c)
{
    epio_op third = {0};
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_sleep(&third, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
    (void)epio_link(&c->op, &third, 0);
}

static void link_behind_two(hand *c)
{
    epio_op third = {0};
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_sleep(&third, c->vfs, 0);
    (void)epio_link(&c->op, &third, 0);
    (void)epio_link(&c->other, &third, 0);
}

static void link_itself(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_link(&c->op, &c->op, 0);
}

static void link_without_verb(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
}

static void link_null(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_link(&c->op, NULL, 0);
}

static void link_null_first(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_link(NULL, &c->op, 0);
}

static void link_with_unknown_flags(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 2);
}

static void link_in_flight(hand *c)
{
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
}

static void submit_second(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
    epio_submit(&c->other);
}

static void submit_ring(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
    (void)epio_link(&c->other, &c->op, 0);
    epio_submit(&c->op);
}

static void verb_on_second(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
}

static void perform_chain(hand *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_perform(epio_link(&c->op, &c->other, 0));
}

static void link_across_loops(hand *c)
{
    epio_loop *loop;
    check_result(epio_loop_create(&loop, NULL), 0);
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, epio_loop_vfs(loop), 0);
    epio_submit(epio_link(&c->op, &c->other, 0));
}

static void link_behind_close(hand *c)
{
    epio_op third = {0};
    (void)epio_close(&c->op, c->file);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_read(&third, c->file, &c->byte, 1, 0);
    (void)epio_link(&c->op, &c->other, 0);
    (void)epio_link(&c->other, &third, 0);
    epio_submit(&c->op);
}

static void close_twice_in_chain(hand *c)
{
    (void)epio_close(&c->op, c->file);
    (void)epio_close(&c->other, c->file);
    epio_submit(epio_link(&c->op, &c->other, EPIO_LINK_ALWAYS));
}

/* ---- Files --------------------------------------------------------------- */

static void submit_after_close(hand *c)
{
    epio_submit(epio_close(&c->op, c->file));
    epio_submit(epio_read(&c->other, c->file, &c->byte, 1, 0));
}

static void wait_after_close(hand *c)
{
    epio_submit(epio_close(&c->op, c->file));
    (void)epio_wait(epio_read(&c->other, c->file, &c->byte, 1, 0));
}

static void sync_after_close(hand *c)
{
    epio_submit(epio_close(&c->op, c->file));
    epio_submit(epio_sync(&c->other, c->file, EPIO_SYNC_FULL));
}

static void close_twice(hand *c)
{
    epio_submit(epio_close(&c->op, c->file));
    epio_submit(epio_close(&c->other, c->file));
}

/* The owner finds it in its inbox. */
static void submit_elsewhere_after_close(hand *c)
{
    epio_submit(epio_close(&c->op, c->file));
    submit_elsewhere(epio_read(&c->other, c->file, &c->byte, 1, 0));
    (void)epio_loop_run(c->loop);
}

static void handle_of_null(hand *c)
{
    (void)c;
    (void)epio_os_handle(NULL);
}

static void level_of_null(hand *c)
{
    (void)c;
    (void)epio_lock_level(NULL);
}

/* ---- Loops --------------------------------------------------------------- */

static void *run_loop(void *loop)
{
    (void)epio_loop_run(loop);
    return NULL;
}

static void *poll_loop(void *loop)
{
    (void)epio_loop_poll(loop, 0, 0);
    return NULL;
}

static void *close_loop(void *loop)
{
    (void)epio_loop_close(loop, 0);
    return NULL;
}

static void *destroy_loop(void *loop)
{
    epio_loop_destroy(loop);
    return NULL;
}

static void *detach_loop(void *loop)
{
    epio_loop_detach(loop);
    return NULL;
}

static void run_elsewhere(hand *c)
{
    (void)run_in_thread(run_loop, c->loop);
}

static void poll_elsewhere(hand *c)
{
    (void)run_in_thread(poll_loop, c->loop);
}

static void close_elsewhere(hand *c)
{
    (void)run_in_thread(close_loop, c->loop);
}

static void destroy_elsewhere(hand *c)
{
    (void)run_in_thread(destroy_loop, c->loop);
}

static void detach_elsewhere(hand *c)
{
    (void)run_in_thread(detach_loop, c->loop);
}

static void *read_stats(void *loop)
{
    epio_loop_statistics now = {.size = sizeof now};
    (void)epio_loop_stats(loop, &now);
    return NULL;
}

static void stats_elsewhere(hand *c)
{
    (void)run_in_thread(read_stats, c->loop);
}

static void stats_of_a_detached_loop(hand *c)
{
    epio_loop_detach(c->loop);
    (void)read_stats(c->loop);
}

/* Detached, it became the other thread's. */
static void run_after_detach(hand *c)
{
    epio_loop_detach(c->loop);
    (void)run_in_thread(poll_loop, c->loop);
    (void)epio_loop_run(c->loop);
}

static void run_null(hand *c)
{
    (void)c;
    (void)epio_loop_run(NULL);
}

static void poll_null(hand *c)
{
    (void)c;
    (void)epio_loop_poll(NULL, 0, 0);
}

static void destroy_with_open_file(hand *c)
{
    epio_loop_destroy(c->loop);
}

static void destroy_with_open_memory_file(hand *c)
{
    epio_vfs *memory;
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    check_result(epio_wait(epio_open(&c->op, memory, "name", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_loop_destroy(c->loop);
}

/* The open that was in flight came through, and nobody closed its file. */
static void destroy_with_open_in_flight(hand *c)
{
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    epio_submit(epio_open(&c->op, c->vfs, NULL, EPIO_OPEN_TEMPORARY));
    (void)epio_loop_poll(c->loop, EPIO_FOREVER, 0);
    epio_loop_destroy(c->loop);
}

static void destroy_in_done(epio_op *op)
{
    epio_loop_destroy(op->loop);
}

static void destroy_inside(hand *c)
{
    c->op.done = destroy_in_done;
    epio_submit(epio_current_time(&c->op, c->vfs));
    (void)epio_loop_run(c->loop);
}

static void detach_in_done(epio_op *op)
{
    epio_loop_detach(op->loop);
}

static void detach_inside(hand *c)
{
    c->op.done = detach_in_done;
    epio_submit(epio_current_time(&c->op, c->vfs));
    (void)epio_loop_run(c->loop);
}

/* ---- Semaphores and VFSes ------------------------------------------------ */

static void release_too_much(hand *c)
{
    epio_semaphore *semaphore;
    (void)c;
    check_result(epio_semaphore_create(&semaphore, 2), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_semaphore_release(semaphore, 2);
}

static void release_never_taken(hand *c)
{
    epio_semaphore *semaphore;
    (void)c;
    check_result(epio_semaphore_create(&semaphore, 2), 0);
    epio_semaphore_release(semaphore, 1);
}

static void destroy_semaphore_with_waiters(hand *c)
{
    epio_semaphore *semaphore;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_submit(epio_acquire(&c->op, semaphore, c->vfs, 1));
    (void)epio_loop_poll(c->loop, 0, 0);
    epio_semaphore_destroy(semaphore);
}

static void limit_bytes_in_use(hand *c)
{
    epio_semaphore *semaphore;
    (void)c;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_semaphore_limit_bytes(semaphore, 100);
}

static void destroy_os_vfs(hand *c)
{
    (void)c;
    epio_vfs_destroy(epio_os_vfs());
}

static void destroy_loop_vfs(hand *c)
{
    epio_vfs_destroy(c->vfs);
}

static void destroy_limit_with_file(hand *c)
{
    epio_semaphore *semaphore;
    epio_vfs *limit;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, c->vfs, semaphore), 0);
    check_result(epio_wait(epio_open(&c->op, limit, NULL, EPIO_OPEN_TEMPORARY)), 0);
    epio_vfs_destroy(limit);
}

static void destroy_trace_with_file(hand *c)
{
    epio_vfs *trace;
    check_result(epio_trace_vfs_create(&trace, c->vfs), 0);
    check_result(epio_wait(epio_open(&c->op, trace, NULL, EPIO_OPEN_TEMPORARY)), 0);
    epio_vfs_destroy(trace);
}

static void destroy_memory_with_file(hand *c)
{
    epio_vfs *memory;
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    check_result(epio_wait(epio_open(&c->op, memory, "name", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_vfs_destroy(memory);
}

/* ---- All of them --------------------------------------------------------- */

#define MISTAKE(make, function, words)                                                             \
    {                                                                                              \
#make, make, function, words                                                               \
    }

static const mistake mistakes_of_ops[] = {
    MISTAKE(submit_null, "epio_submit", "NULL"),
    MISTAKE(wait_null, "epio_wait", "NULL"),
    MISTAKE(perform_null, "epio_perform", "NULL"),
    MISTAKE(cancel_null, "epio_cancel", "NULL"),
    MISTAKE(pending_null, "epio_pending", "NULL"),
    MISTAKE(verb_of_null, "epio_read", "NULL"),
    MISTAKE(verb_not_zeroed, "epio_read", "zeroed"),
    MISTAKE(submit_not_zeroed, "epio_submit", "zeroed"),
    MISTAKE(submit_without_verb, "epio_submit", "verb"),
    MISTAKE(submit_without_fresh_verb, "epio_submit", "verb"),
    MISTAKE(wait_without_verb, "epio_wait", "verb"),
    MISTAKE(perform_without_verb, "epio_perform", "verb"),
    MISTAKE(perform_without_fresh_verb, "epio_perform", "verb"),
    MISTAKE(submit_twice, "epio_submit", "in flight"),
    MISTAKE(perform_in_flight, "epio_perform", "in flight"),
    MISTAKE(verb_in_flight, "epio_read", "in flight"),
    MISTAKE(submit_without_loop, "epio_submit", "loop"),
    MISTAKE(wait_without_loop, "epio_wait", "loop"),
    MISTAKE(submit_without_vfs, "epio_submit", "VFS"),
    MISTAKE(submit_without_file, "epio_submit", "file"),
    MISTAKE(wait_with_done, "epio_wait", "done"),
    MISTAKE(wait_with_done_in_flight, "epio_wait", "done"),
    MISTAKE(wait_twice, "epio_wait", "another thread"),
};

static const mistake mistakes_of_links[] = {
    MISTAKE(link_twice, "epio_link", "successor"),
    MISTAKE(link_behind_two, "epio_link", "linked"),
    MISTAKE(link_itself, "epio_link", "itself"),
    MISTAKE(link_without_verb, "epio_link", "verb"),
    MISTAKE(link_null, "epio_link", "NULL"),
    MISTAKE(link_null_first, "epio_link", "NULL"),
    MISTAKE(link_with_unknown_flags, "epio_link", "flags"),
    MISTAKE(link_in_flight, "epio_link", "in flight"),
    MISTAKE(submit_second, "epio_submit", "first"),
    MISTAKE(submit_ring, "epio_submit", "linked"),
    MISTAKE(verb_on_second, "epio_sleep", "linked"),
    MISTAKE(perform_chain, "epio_perform", "link"),
    MISTAKE(link_across_loops, "epio_submit", "loops"),
    MISTAKE(link_behind_close, "epio_submit", "close"),
    MISTAKE(close_twice_in_chain, "epio_submit", "close"),
};

static const mistake mistakes_of_files[] = {
    MISTAKE(submit_after_close, "epio_submit", "close"),
    MISTAKE(wait_after_close, "epio_", "close"),
    MISTAKE(sync_after_close, "epio_submit", "close"),
    MISTAKE(close_twice, "epio_submit", "close"),
    MISTAKE(submit_elsewhere_after_close, "epio_submit", "close"),
    MISTAKE(handle_of_null, "epio_os_handle", "NULL"),
    MISTAKE(level_of_null, "epio_lock_level", "NULL"),
};

static const mistake mistakes_of_loops[] = {
    MISTAKE(run_elsewhere, "epio_loop_run", "thread"),
    MISTAKE(poll_elsewhere, "epio_loop_poll", "thread"),
    MISTAKE(close_elsewhere, "epio_loop_close", "thread"),
    MISTAKE(destroy_elsewhere, "epio_loop_destroy", "thread"),
    MISTAKE(detach_elsewhere, "epio_loop_detach", "thread"),
    MISTAKE(stats_elsewhere, "epio_loop_stats", "thread"),
    MISTAKE(stats_of_a_detached_loop, "epio_loop_stats", "none"),
    MISTAKE(run_after_detach, "epio_loop_run", "thread"),
    MISTAKE(run_null, "epio_loop_run", "NULL"),
    MISTAKE(poll_null, "epio_loop_poll", "NULL"),
    MISTAKE(destroy_with_open_file, "epio_loop_destroy", "open"),
    MISTAKE(destroy_with_open_memory_file, "epio_loop_destroy", "open"),
    MISTAKE(destroy_with_open_in_flight, "epio_loop_destroy", "open"),
    MISTAKE(destroy_inside, "epio_loop_destroy", "done"),
    MISTAKE(detach_inside, "epio_loop_detach", "done"),
};

static const mistake mistakes_of_others[] = {
    MISTAKE(release_too_much, "epio_semaphore_release", "permits"),
    MISTAKE(release_never_taken, "epio_semaphore_release", "permits"),
    MISTAKE(destroy_semaphore_with_waiters, "epio_semaphore_destroy", "wait"),
    MISTAKE(limit_bytes_in_use, "epio_semaphore_limit_bytes", "in use"),
    MISTAKE(destroy_os_vfs, "epio_vfs_destroy", "destroy"),
    MISTAKE(destroy_loop_vfs, "epio_vfs_destroy", "destroy"),
    MISTAKE(destroy_limit_with_file, "epio_vfs_destroy", "open"),
    MISTAKE(destroy_trace_with_file, "epio_vfs_destroy", "open"),
    MISTAKE(destroy_memory_with_file, "epio_vfs_destroy", "open"),
};

#define CHECK_MISTAKES(list)                                                                       \
    for (size_t i = 0; i < sizeof(list) / sizeof((list)[0]); i++) {                                \
        check_mistake(&(list)[i]);                                                                 \
    }

static void of_ops(fixture *f)
{
    (void)f;
    CHECK_MISTAKES(mistakes_of_ops)
}

static void of_links(fixture *f)
{
    (void)f;
    CHECK_MISTAKES(mistakes_of_links)
}

static void of_files(fixture *f)
{
    (void)f;
    CHECK_MISTAKES(mistakes_of_files)
}

static void of_loops(fixture *f)
{
    (void)f;
    CHECK_MISTAKES(mistakes_of_loops)
}

static void of_semaphores_and_vfses(fixture *f)
{
    (void)f;
    CHECK_MISTAKES(mistakes_of_others)
}

/* ---- What looks like a mistake and is none ------------------------------- */

static void nothing_wrong(hand *c)
{
    /* An op may be reused as it is, and a prepared one be forgotten or changed. */
    (void)epio_sleep(&c->op, c->vfs, HOUR);
    check_result(epio_wait(epio_read(&c->op, c->file, &c->byte, 1, 0)), 0);
    check_result(epio_wait(&c->op), 0); /* the owner was faster */
    (void)epio_cancel(&c->op);
    (void)epio_perform(epio_sleep(&c->other, epio_os_vfs(), 0));
    check_result(epio_perform(epio_sleep(&c->other, NULL, 0)), EPIO_EINVAL);
    check_result(epio_perform(epio_read(&c->other, NULL, &c->byte, 1, 0)), EPIO_EINVAL);
    epio_vfs_destroy(NULL);
    epio_loop_destroy(NULL);
    epio_semaphore_destroy(NULL);
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    epio_loop_destroy(c->loop);
}

static const mistake none[] = {MISTAKE(nothing_wrong, "", "")};

/* In a child: the one that it is to make. */
static const mistake *find_mistake(const char *name)
{
#define LIST(list)                                                                                 \
    {                                                                                              \
        list, sizeof(list) / sizeof((list)[0])                                                     \
    }
    static const struct {
        const mistake *list;
        size_t count;
    } lists[] = {LIST(mistakes_of_ops),   LIST(mistakes_of_links),  LIST(mistakes_of_files),
                 LIST(mistakes_of_loops), LIST(mistakes_of_others), LIST(none)};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t j = 0; j < lists[i].count; j++) {
            if (strcmp(lists[i].list[j].name, name) == 0) {
                return &lists[i].list[j];
            }
        }
    }
    check(false);
    return NULL;
}

static void is_no_mistake(fixture *f)
{
    char text[4096];
    (void)f;
    int status = result_of(none, text, sizeof text);
    if (status != 0) {
        print_error("status %x, said: %s\n", (unsigned)status, text);
    }
    check_result(status, 0);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(make_mistake)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(of_ops, ON_OS_PERFORM),
        FIXTURE_TEST(of_links, ON_OS_PERFORM),
        FIXTURE_TEST(of_files, ON_OS_PERFORM),
        FIXTURE_TEST(of_loops, ON_OS_PERFORM),
        FIXTURE_TEST(of_semaphores_and_vfses, ON_OS_PERFORM),
        FIXTURE_TEST(is_no_mistake, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("misuse", tests);
}
