/* Programming errors, which no completion can report: each aborts the process with a one-line
 * message. Independent of the backend: EPIO_TEST_ONCE. */
#include "op_fixture.h"

#include "core/phase.h"

#include <epio/bench.h>
#include <epio/layer.h>
#include <epio/locks.h>

/* ---- A child that must abort --------------------------------------------- */

/* What the child has. */
typedef struct misuse_fixture {
    epio_loop *loop;
    epio_vfs *vfs;
    epio_file *file;
    epio_op op;
    epio_op other;
    char byte;

    /* For the table of NULLs. */
    epio_semaphore *semaphore;
    epio_vfs *trace;
    epio_vfs *created;
    epio_file memory;
    epio_frame frame;
    epio_loop_stats statistics;
    epio_info info;
    epio_times times;
    epio_file_system file_system;
    epio_trace_counts counts;
    epio_bench_result result;
} misuse_fixture;

typedef struct misuse {
    const char *name;
    void (*run)(misuse_fixture *c);
    const char *function; /* named in the message */
    const char *message;  /* part of the message */
} misuse;

static void misuse_fixture_setup(misuse_fixture *c)
{
    memset(c, 0, sizeof *c);
    check_result(epio_loop_create(&c->loop, NULL), 0);
    c->vfs = epio_loop_vfs(c->loop);
    check_result(epio_wait(epio_open(&c->op, c->vfs, NULL, EPIO_OPEN_TEMPORARY)), 0);
    c->file = c->op.file;
    memset(&c->op, 0, sizeof c->op);
    check_result(epio_semaphore_create(&c->semaphore, 1), 0);
    c->statistics.size = sizeof c->statistics;
    c->info.size = sizeof c->info;
    c->times.size = sizeof c->times;
    c->file_system.size = sizeof c->file_system;
}

static const misuse *find_misuse(const char *name);

static void commit_misuse(const char *name)
{
    misuse_fixture c;
    misuse_fixture_setup(&c);
    find_misuse(name)->run(&c);
}

static void read_all(intptr_t call_with_handler, char *text, size_t size)
{
    size_t len = 0;
    int64_t got;
    while (len < size - 1 && (got = pipe_read(call_with_handler, text + len, size - 1 - len)) > 0) {
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

/* The status of the child, and its standard error. */
static int run_misuse(const misuse *one, char *text, size_t size)
{
    child process;
    child_start(&process, commit_misuse, one->name, CHILD_STDERR);
    read_all(process.errors, text, size);
    return child_end(&process);
}

static void check_misuse(const misuse *one)
{
    char text[4096];
    int status = run_misuse(one, text, sizeof text);
    const char *line = strstr(text, "epio: ");
    bool matches =
        line != NULL && strstr(line, one->function) != NULL && strstr(line, one->message) != NULL;
    if (status != ENDED_BY_ABORT || !matches) {
        print_error("%s: status %x, said: %s\n", one->name, (unsigned)status, text);
    }
    check_result(status, ENDED_BY_ABORT);
    check(matches);
    if (!fixture_is_watched()) { /* valgrind and sanitizers print more on an abort */
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

static void submit_null(misuse_fixture *c)
{
    (void)c;
    epio_submit(NULL);
}

static void wait_null(misuse_fixture *c)
{
    (void)c;
    (void)epio_wait(NULL);
}

static void perform_null(misuse_fixture *c)
{
    (void)c;
    (void)epio_perform(NULL);
}

static void cancel_null(misuse_fixture *c)
{
    (void)c;
    epio_cancel(NULL);
}

static void pending_null(misuse_fixture *c)
{
    (void)c;
    (void)epio_op_pending(NULL);
}

static void verb_of_null(misuse_fixture *c)
{
    (void)epio_read(NULL, c->file, &c->byte, 1, 0);
}

static void verb_not_zeroed(misuse_fixture *c)
{
    memset(&c->op, 0xa5, sizeof c->op);
    (void)epio_read(&c->op, c->file, &c->byte, 1, 0);
}

static void submit_not_zeroed(misuse_fixture *c)
{
    memset(&c->op, 0xa5, sizeof c->op);
    epio_submit(&c->op);
}

static void submit_without_verb(misuse_fixture *c)
{
    epio_submit(&c->op);
}

static void submit_without_fresh_verb(misuse_fixture *c)
{
    (void)epio_wait(epio_read(&c->op, c->file, &c->byte, 1, 0));
    epio_submit(&c->op);
}

static void wait_without_verb(misuse_fixture *c)
{
    (void)epio_wait(&c->op);
}

static void perform_without_verb(misuse_fixture *c)
{
    (void)epio_perform(&c->op);
}

static void perform_without_fresh_verb(misuse_fixture *c)
{
    (void)epio_perform(epio_read(&c->op, c->file, &c->byte, 1, 0));
    (void)epio_perform(&c->op);
}

static void submit_twice(misuse_fixture *c)
{
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    epio_submit(&c->op);
}

static void perform_in_flight(misuse_fixture *c)
{
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    (void)epio_perform(&c->op);
}

static void verb_in_flight(misuse_fixture *c)
{
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    (void)epio_read(&c->op, c->file, &c->byte, 1, 0);
}

static void submit_without_loop(misuse_fixture *c)
{
    epio_submit(epio_sleep(&c->op, epio_os_vfs(), 1));
}

static void wait_without_loop(misuse_fixture *c)
{
    (void)epio_wait(epio_sleep(&c->op, epio_os_vfs(), 1));
}

static void submit_without_vfs(misuse_fixture *c)
{
    epio_submit(epio_sleep(&c->op, NULL, 1));
}

static void submit_chain_without_anything(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, NULL, 1);
    (void)epio_read(&c->other, NULL, &c->byte, 1, 0);
    epio_submit(epio_link(&c->op, &c->other, 0));
}

static void submit_without_file(misuse_fixture *c)
{
    epio_submit(epio_read(&c->op, NULL, &c->byte, 1, 0));
}

static void ignore(epio_op *op)
{
    (void)op;
}

static void wait_with_done(misuse_fixture *c)
{
    c->op.done = ignore;
    (void)epio_wait(epio_read(&c->op, c->file, &c->byte, 1, 0));
}

static void wait_with_done_in_flight(misuse_fixture *c)
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

static void wait_twice(misuse_fixture *c)
{
    test_thread threads[2];
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    thread_start(&threads[0], wait_for_op, &c->op);
    thread_start(&threads[1], wait_for_op, &c->op);
    (void)epio_loop_run(c->loop);
}

/* ---- Links --------------------------------------------------------------- */

static void link_twice(misuse_fixture *c)
{
    epio_op third = {0};
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_sleep(&third, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
    (void)epio_link(&c->op, &third, 0);
}

static void link_behind_two(misuse_fixture *c)
{
    epio_op third = {0};
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_sleep(&third, c->vfs, 0);
    (void)epio_link(&c->op, &third, 0);
    (void)epio_link(&c->other, &third, 0);
}

static void link_itself(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_link(&c->op, &c->op, 0);
}

static void link_without_verb(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
}

static void link_null(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_link(&c->op, NULL, 0);
}

static void link_null_first(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_link(NULL, &c->op, 0);
}

static void link_with_unknown_flags(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 2);
}

static void link_in_flight(misuse_fixture *c)
{
    epio_submit(epio_sleep(&c->op, c->vfs, HOUR));
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
}

static void submit_second(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
    epio_submit(&c->other);
}

static void submit_ring(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
    (void)epio_link(&c->other, &c->op, 0);
    epio_submit(&c->op);
}

static void verb_on_second(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_link(&c->op, &c->other, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
}

static void perform_chain(misuse_fixture *c)
{
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_perform(epio_link(&c->op, &c->other, 0));
}

static void link_across_loops(misuse_fixture *c)
{
    epio_loop *loop;
    check_result(epio_loop_create(&loop, NULL), 0);
    (void)epio_sleep(&c->op, c->vfs, 0);
    (void)epio_sleep(&c->other, epio_loop_vfs(loop), 0);
    epio_submit(epio_link(&c->op, &c->other, 0));
}

static void link_behind_close(misuse_fixture *c)
{
    epio_op third = {0};
    (void)epio_close(&c->op, c->file);
    (void)epio_sleep(&c->other, c->vfs, 0);
    (void)epio_read(&third, c->file, &c->byte, 1, 0);
    (void)epio_link(&c->op, &c->other, 0);
    (void)epio_link(&c->other, &third, 0);
    epio_submit(&c->op);
}

static void close_twice_in_chain(misuse_fixture *c)
{
    (void)epio_close(&c->op, c->file);
    (void)epio_close(&c->other, c->file);
    epio_submit(epio_link(&c->op, &c->other, EPIO_LINK_ALWAYS));
}

/* ---- Files --------------------------------------------------------------- */

static void submit_after_close(misuse_fixture *c)
{
    epio_submit(epio_close(&c->op, c->file));
    epio_submit(epio_read(&c->other, c->file, &c->byte, 1, 0));
}

static void wait_after_close(misuse_fixture *c)
{
    epio_submit(epio_close(&c->op, c->file));
    (void)epio_wait(epio_read(&c->other, c->file, &c->byte, 1, 0));
}

static void sync_after_close(misuse_fixture *c)
{
    epio_submit(epio_close(&c->op, c->file));
    epio_submit(epio_sync(&c->other, c->file, EPIO_SYNC_FULL));
}

static void close_twice(misuse_fixture *c)
{
    epio_submit(epio_close(&c->op, c->file));
    epio_submit(epio_close(&c->other, c->file));
}

/* ---- Closed files, whose memory is kept for a while --------------------- */

static void close_closed(misuse_fixture *c)
{
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    (void)epio_close(&c->op, c->file);
}

static void close_performed(misuse_fixture *c)
{
    check_result(epio_perform(epio_close(&c->op, c->file)), 0);
    (void)epio_perform(epio_close(&c->op, c->file));
}

static void close_closed_of_layer(misuse_fixture *c)
{
    epio_vfs *trace;
    epio_vfs *memory;
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    check_result(epio_trace_vfs_create(&trace, memory), 0);
    check_result(epio_wait(epio_open(&c->op, trace, "name", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = c->op.file;
    check_result(epio_wait(epio_close(&c->op, file)), 0);
    (void)epio_close(&c->op, file);
}

static void close_closed_of_memory(misuse_fixture *c)
{
    epio_vfs *memory;
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    check_result(epio_wait(epio_open(&c->op, memory, "name", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = c->op.file;
    check_result(epio_wait(epio_close(&c->op, file)), 0);
    (void)epio_close(&c->op, file);
}

/* After other files were opened and closed, and the loop was destroyed. */
static void close_closed_much_later(misuse_fixture *c)
{
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    for (int i = 0; i < 30; i++) {
        check_result(epio_wait(epio_open(&c->op, c->vfs, NULL, EPIO_OPEN_TEMPORARY)), 0);
        check_result(epio_wait(epio_close(&c->op, c->op.file)), 0);
    }
    epio_loop_destroy(c->loop);
    (void)epio_close(&c->op, c->file);
}

/* A reused op takes the fast path. */
static void read_closed(misuse_fixture *c)
{
    check_result(epio_wait(epio_read(&c->other, c->file, &c->byte, 1, 0)), 0);
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    (void)epio_read(&c->other, c->file, &c->byte, 1, 0);
}

static void submit_prepared_before_close(misuse_fixture *c)
{
    check_result(epio_wait(epio_read(&c->other, c->file, &c->byte, 1, 0)), 0);
    (void)epio_read(&c->other, c->file, &c->byte, 1, 0);
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    epio_submit(&c->other);
}

static void wait_prepared_before_close(misuse_fixture *c)
{
    check_result(epio_wait(epio_read(&c->other, c->file, &c->byte, 1, 0)), 0);
    (void)epio_read(&c->other, c->file, &c->byte, 1, 0);
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    (void)epio_wait(&c->other);
}

static void perform_prepared_before_close(misuse_fixture *c)
{
    (void)epio_read(&c->other, c->file, &c->byte, 1, 0);
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    (void)epio_perform(&c->other);
}

static void handle_of_closed(misuse_fixture *c)
{
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    (void)epio_file_os_handle(c->file);
}

static void level_of_closed(misuse_fixture *c)
{
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    (void)epio_file_lock_level(c->file);
}

/* The owner finds it in its inbox. */
static void submit_elsewhere_after_close(misuse_fixture *c)
{
    epio_submit(epio_close(&c->op, c->file));
    submit_elsewhere(epio_read(&c->other, c->file, &c->byte, 1, 0));
    (void)epio_loop_run(c->loop);
}

static void handle_of_null(misuse_fixture *c)
{
    (void)c;
    (void)epio_file_os_handle(NULL);
}

static void level_of_null(misuse_fixture *c)
{
    (void)c;
    (void)epio_file_lock_level(NULL);
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

static void run_elsewhere(misuse_fixture *c)
{
    (void)run_in_thread(run_loop, c->loop);
}

static void poll_elsewhere(misuse_fixture *c)
{
    (void)run_in_thread(poll_loop, c->loop);
}

static void close_elsewhere(misuse_fixture *c)
{
    (void)run_in_thread(close_loop, c->loop);
}

static void destroy_elsewhere(misuse_fixture *c)
{
    (void)run_in_thread(destroy_loop, c->loop);
}

static void detach_elsewhere(misuse_fixture *c)
{
    (void)run_in_thread(detach_loop, c->loop);
}

static void *read_stats(void *loop)
{
    epio_loop_stats now = {.size = sizeof now};
    (void)epio_loop_get_stats(loop, &now);
    return NULL;
}

static void stats_elsewhere(misuse_fixture *c)
{
    (void)run_in_thread(read_stats, c->loop);
}

static void stats_of_a_detached_loop(misuse_fixture *c)
{
    epio_loop_detach(c->loop);
    (void)read_stats(c->loop);
}

static void *create_pool(void *loop)
{
    (void)epio_loop_create_pool(loop, 1, 1);
    return NULL;
}

static void create_pool_elsewhere(misuse_fixture *c)
{
    (void)run_in_thread(create_pool, c->loop);
}

static void *take_buffer(void *loop)
{
    return epio_loop_take_buffer(loop);
}

static void take_buffer_elsewhere(misuse_fixture *c)
{
    (void)create_pool(c->loop);
    (void)run_in_thread(take_buffer, c->loop);
}

static void *return_nothing(void *loop)
{
    epio_loop_return_buffer(loop, NULL);
    return NULL;
}

static void return_buffer_elsewhere(misuse_fixture *c)
{
    (void)run_in_thread(return_nothing, c->loop);
}

static void return_buffer_without_pool(misuse_fixture *c)
{
    epio_loop_return_buffer(c->loop, &c->byte);
}

static void return_another_buffer(misuse_fixture *c)
{
    (void)create_pool(c->loop);
    epio_loop_return_buffer(c->loop, &c->byte);
}

static void return_inside_of_a_buffer(misuse_fixture *c)
{
    (void)create_pool(c->loop);
    epio_loop_return_buffer(c->loop, (char *)take_buffer(c->loop) + 1);
}

static void return_what_follows_the_pool(misuse_fixture *c)
{
    (void)create_pool(c->loop);
    epio_loop_return_buffer(c->loop, (char *)take_buffer(c->loop) + 4096);
}

static void return_buffer_twice(misuse_fixture *c)
{
    (void)create_pool(c->loop);
    void *buffer = take_buffer(c->loop);
    epio_loop_return_buffer(c->loop, buffer);
    epio_loop_return_buffer(c->loop, buffer);
}

/* After the detach the other thread owned it. */
static void run_after_detach(misuse_fixture *c)
{
    epio_loop_detach(c->loop);
    (void)run_in_thread(poll_loop, c->loop);
    (void)epio_loop_run(c->loop);
}

static void *make_loop_and_end(void *made)
{
    check_result(epio_loop_create(made, NULL), 0);
    return NULL;
}

static void *take_loop_and_end(void *loop)
{
    (void)epio_loop_poll(loop, 0, 0);
    return NULL;
}

/* A later thread, perhaps with the number of the one that ended. */
static void *run_after_the_end(void *unused)
{
    epio_loop *loop;
    (void)unused;
    (void)run_in_thread(make_loop_and_end, &loop);
    (void)run_in_thread(run_loop, loop);
    return NULL;
}

static void owner_ended(misuse_fixture *c)
{
    (void)c;
    (void)run_in_thread(run_after_the_end, NULL);
}

static void second_owner_ended(misuse_fixture *c)
{
    epio_loop_detach(c->loop);
    (void)run_in_thread(take_loop_and_end, c->loop);
    (void)run_in_thread(poll_loop, c->loop);
}

static void submit_after_the_end(misuse_fixture *c)
{
    epio_loop *loop;
    (void)run_in_thread(make_loop_and_end, &loop);
    epio_submit(epio_sleep(&c->op, epio_loop_vfs(loop), 1));
    (void)epio_loop_run(loop); /* on systems that do not report the end of a thread */
}

static jmp_buf out;

static void leave_done(epio_op *op)
{
    (void)op;
    longjmp(out, 1);
}

static void submit_and_leave(misuse_fixture *c)
{
    c->op.done = leave_done;
    epio_submit(epio_current_time(&c->op, c->vfs));
    if (setjmp(out) == 0) {
        (void)epio_loop_run(c->loop);
    }
}

static void run_after_longjmp(misuse_fixture *c)
{
    submit_and_leave(c);
    (void)epio_loop_run(c->loop);
}

static void poll_after_longjmp(misuse_fixture *c)
{
    c->op.done = leave_done;
    epio_submit(epio_current_time(&c->op, c->vfs));
    if (setjmp(out) == 0) {
        (void)epio_loop_poll(c->loop, 0, 0);
    }
    (void)epio_loop_poll(c->loop, 0, 0);
}

static void wait_after_longjmp(misuse_fixture *c)
{
    submit_and_leave(c);
    (void)epio_wait(epio_sleep(&c->other, c->vfs, 1));
}

static void destroy_after_longjmp(misuse_fixture *c)
{
    submit_and_leave(c);
    epio_loop_destroy(c->loop);
}

/* Overwrites the stack of the iteration that was left. */
static uint64_t use_stack(epio_loop *loop, int depth)
{
    volatile char bytes[512];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)depth; /* a memset may be left out */
    }
    uint64_t delivered = depth > 0 ? use_stack(loop, depth - 1) : epio_loop_poll(loop, 0, 0);
    return delivered + (uint64_t)bytes[0];
}

static void poll_deeper_after_longjmp(misuse_fixture *c)
{
    submit_and_leave(c);
    (void)use_stack(c->loop, 20);
}

static void wait_in_done(epio_op *op)
{
    epio_op next = {.done = wait_in_done};
    epio_op last = {0};
    epio_submit(epio_current_time(&next, op->vfs));
    (void)epio_wait(epio_sleep(&last, op->vfs, 0));
}

static void wait_without_end(misuse_fixture *c)
{
    wait_in_done(epio_current_time(&c->op, c->vfs));
}

static void run_null(misuse_fixture *c)
{
    (void)c;
    (void)epio_loop_run(NULL);
}

static void poll_null(misuse_fixture *c)
{
    (void)c;
    (void)epio_loop_poll(NULL, 0, 0);
}

static void destroy_with_open_file(misuse_fixture *c)
{
    epio_loop_destroy(c->loop);
}

static void destroy_with_open_memory_file(misuse_fixture *c)
{
    epio_vfs *memory;
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    check_result(epio_wait(epio_open(&c->op, memory, "name", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_loop_destroy(c->loop);
}

/* The open in flight succeeded, and its file was not closed. */
static void destroy_with_open_in_flight(misuse_fixture *c)
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

static void destroy_inside(misuse_fixture *c)
{
    c->op.done = destroy_in_done;
    epio_submit(epio_current_time(&c->op, c->vfs));
    (void)epio_loop_run(c->loop);
}

static void detach_in_done(epio_op *op)
{
    epio_loop_detach(op->loop);
}

static void detach_inside(misuse_fixture *c)
{
    c->op.done = detach_in_done;
    epio_submit(epio_current_time(&c->op, c->vfs));
    (void)epio_loop_run(c->loop);
}

/* ---- Mappings ------------------------------------------------------------ */

static epio_mapping *map_file(epio_file *file)
{
    epio_op op = {0};
    check_result(epio_wait(epio_truncate(&op, file, 10)), 0);
    check_result(epio_wait(epio_map(&op, file, 0, 10, EPIO_MAP_READ | EPIO_MAP_WRITE)), 0);
    return epio_op_mapping(&op);
}

static epio_mapping *map_file_of(misuse_fixture *c, epio_vfs *vfs)
{
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_TEMPORARY;
    check_result(epio_wait(epio_open(&c->op, vfs, NULL, flags)), 0);
    epio_file *file = c->op.file;
    epio_mapping *mapping = map_file(file);
    check_result(epio_wait(epio_close(&c->op, file)), 0);
    return mapping;
}

static void unmap_again(misuse_fixture *c)
{
    epio_mapping *mapping = map_file(c->file);
    check_result(epio_wait(epio_unmap(&c->op, mapping)), 0);
    (void)epio_unmap(&c->op, mapping);
}

static void unmap_again_by_perform(misuse_fixture *c)
{
    epio_mapping *mapping = map_file(c->file);
    check_result(epio_perform(epio_unmap(&c->op, mapping)), 0);
    (void)epio_unmap(&c->op, mapping);
}

static void submit_unmap_again(misuse_fixture *c)
{
    epio_mapping *mapping = map_file(c->file);
    (void)epio_unmap(&c->other, mapping);
    epio_submit(epio_unmap(&c->op, mapping));
    epio_submit(&c->other);
}

static void perform_unmap_again(misuse_fixture *c)
{
    epio_mapping *mapping = map_file(c->file);
    (void)epio_unmap(&c->other, mapping);
    epio_submit(epio_unmap(&c->op, mapping));
    (void)epio_perform(&c->other);
}

static void sync_unmapped(misuse_fixture *c)
{
    epio_mapping *mapping = map_file(c->file);
    (void)epio_sync_mapping(&c->other, mapping, 0, 0);
    epio_submit(epio_unmap(&c->op, mapping));
    epio_submit(&c->other);
}

static void link_sync_behind_unmap(misuse_fixture *c)
{
    epio_mapping *mapping = map_file(c->file);
    (void)epio_sync_mapping(&c->other, mapping, 0, 0);
    epio_submit(epio_link(epio_unmap(&c->op, mapping), &c->other, 0));
}

static void destroy_loop_with_mapping(misuse_fixture *c)
{
    (void)map_file(c->file);
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    epio_loop_destroy(c->loop);
}

static void destroy_memory_with_mapping(misuse_fixture *c)
{
    epio_vfs *memory;
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    (void)map_file_of(c, memory);
    epio_vfs_destroy(memory);
}

static void destroy_layer_with_mapping(misuse_fixture *c)
{
    epio_vfs *trace;
    check_result(epio_trace_vfs_create(&trace, c->vfs), 0);
    (void)map_file_of(c, trace);
    epio_vfs_destroy(trace);
}

/* ---- Semaphores and VFSes ------------------------------------------------ */

static void release_too_much(misuse_fixture *c)
{
    epio_semaphore *semaphore;
    (void)c;
    check_result(epio_semaphore_create(&semaphore, 2), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_semaphore_release(semaphore, 2);
}

static void release_never_taken(misuse_fixture *c)
{
    epio_semaphore *semaphore;
    (void)c;
    check_result(epio_semaphore_create(&semaphore, 2), 0);
    epio_semaphore_release(semaphore, 1);
}

static void destroy_semaphore_with_waiters(misuse_fixture *c)
{
    epio_semaphore *semaphore;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_submit(epio_acquire(&c->op, c->vfs, semaphore, 1));
    (void)epio_loop_poll(c->loop, 0, 0);
    epio_semaphore_destroy(semaphore);
}

static void destroy_semaphore_under_limit(misuse_fixture *c)
{
    epio_semaphore *semaphore;
    epio_vfs *limit;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, c->vfs, semaphore), 0);
    epio_semaphore_destroy(semaphore);
}

/* Granted, but not delivered. */
static void destroy_semaphore_with_acquire(misuse_fixture *c)
{
    epio_semaphore *semaphore;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    epio_submit(epio_acquire(&c->op, c->vfs, semaphore, 1));
    epio_semaphore_destroy(semaphore);
}

static void destroy_semaphore_with_linked_acquire(misuse_fixture *c)
{
    epio_semaphore *semaphore;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    (void)epio_sleep(&c->op, c->vfs, HOUR);
    epio_submit(epio_link(&c->op, epio_acquire(&c->other, c->vfs, semaphore, 1), 0));
    epio_semaphore_destroy(semaphore);
}

static void destroy_inner(misuse_fixture *c)
{
    epio_vfs *memory;
    epio_vfs *trace;
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    check_result(epio_trace_vfs_create(&trace, memory), 0);
    epio_vfs_destroy(memory);
}

static epio_vfs *layer_over_memory(misuse_fixture *c)
{
    epio_vfs *memory;
    epio_vfs *trace;
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    check_result(epio_trace_vfs_create(&trace, memory), 0);
    return trace;
}

static void destroy_layer_with_op(misuse_fixture *c)
{
    epio_vfs *trace = layer_over_memory(c);
    epio_submit(epio_sleep(&c->op, trace, HOUR));
    epio_vfs_destroy(trace);
}

/* Completed, but not delivered. */
static void destroy_layer_with_ready_op(misuse_fixture *c)
{
    epio_vfs *trace = layer_over_memory(c);
    epio_submit(epio_current_time(&c->op, trace));
    epio_vfs_destroy(trace);
}

static void destroy_layer_with_linked_op(misuse_fixture *c)
{
    epio_vfs *trace = layer_over_memory(c);
    (void)epio_sleep(&c->op, c->vfs, HOUR);
    epio_submit(epio_link(&c->op, epio_current_time(&c->other, trace), 0));
    epio_vfs_destroy(trace);
}

static void destroy_layer_with_op_in_inbox(misuse_fixture *c)
{
    epio_vfs *trace = layer_over_memory(c);
    submit_elsewhere(epio_current_time(&c->op, trace));
    epio_vfs_destroy(trace);
}

static void destroy_layer_of_detached_loop_with_op(misuse_fixture *c)
{
    epio_vfs *trace = layer_over_memory(c);
    epio_submit(epio_sleep(&c->op, trace, HOUR));
    epio_loop_detach(c->loop);
    epio_vfs_destroy(trace);
}

static void destroy_memory_with_op(misuse_fixture *c)
{
    epio_vfs *memory;
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    epio_submit(epio_access(&c->op, memory, "name", EPIO_ACCESS_EXISTS));
    epio_vfs_destroy(memory);
}

static void limit_bytes_in_use(misuse_fixture *c)
{
    epio_semaphore *semaphore;
    (void)c;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_semaphore_limit_bytes(semaphore, 100);
}

static void destroy_os_vfs(misuse_fixture *c)
{
    (void)c;
    epio_vfs_destroy(epio_os_vfs());
}

static void destroy_loop_vfs(misuse_fixture *c)
{
    epio_vfs_destroy(c->vfs);
}

static void destroy_limit_with_file(misuse_fixture *c)
{
    epio_semaphore *semaphore;
    epio_vfs *limit;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, c->vfs, semaphore), 0);
    check_result(epio_wait(epio_open(&c->op, limit, NULL, EPIO_OPEN_TEMPORARY)), 0);
    epio_vfs_destroy(limit);
}

static void destroy_trace_with_file(misuse_fixture *c)
{
    epio_vfs *trace;
    check_result(epio_trace_vfs_create(&trace, c->vfs), 0);
    check_result(epio_wait(epio_open(&c->op, trace, NULL, EPIO_OPEN_TEMPORARY)), 0);
    epio_vfs_destroy(trace);
}

static void destroy_memory_with_file(misuse_fixture *c)
{
    epio_vfs *memory;
    check_result(epio_memory_vfs_create(&memory, c->loop), 0);
    check_result(epio_wait(epio_open(&c->op, memory, "name", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_vfs_destroy(memory);
}

/* ---- A VFS that uses an op after its completion --------------------------- */

typedef struct ending_vfs {
    epio_vfs base;
    void (*then)(epio_op *op);
} ending_vfs;

static void submit_and_go_on(epio_vfs *vfs, epio_op *op)
{
    epio_complete(op, 0);
    ((ending_vfs *)(void *)vfs)->then(op);
}

static int64_t perform_nothing(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    (void)op;
    return 0;
}

static void cancel_nothing(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    (void)op;
}

static const epio_vfs_methods ending_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "ending",
    .submit = submit_and_go_on,
    .perform = perform_nothing,
    .cancel = cancel_nothing,
};

static ending_vfs make_ending_vfs(misuse_fixture *c, void (*then)(epio_op *op))
{
    return (ending_vfs){.base = {.methods = &ending_methods, .loop = c->loop}, .then = then};
}

static void sleep_and_then(misuse_fixture *c, void (*then)(epio_op *op))
{
    ending_vfs vfs = make_ending_vfs(c, then);
    epio_submit(epio_sleep(&c->op, &vfs.base, HOUR));
}

static void complete(epio_op *op)
{
    epio_complete(op, 0);
}

static void complete_again(misuse_fixture *c)
{
    sleep_and_then(c, complete);
}

static void nothing_more(epio_op *op)
{
    (void)op;
}

/* The second use of an op takes the fast path. */
static void complete_a_read_again(misuse_fixture *c)
{
    ending_vfs vfs = make_ending_vfs(c, nothing_more);
    epio_file_init(&c->memory, &vfs.base, EPIO_OPEN_READ, 0);
    check_result(epio_wait(epio_read(&c->op, &c->memory, &c->byte, 1, 0)), 0);
    vfs.then = complete;
    epio_submit(epio_read(&c->op, &c->memory, &c->byte, 1, 0));
}

static void sleep_by(misuse_fixture *c, const epio_vfs_methods *methods)
{
    epio_vfs vfs = {.methods = methods, .loop = c->loop};
    (void)epio_sleep(&c->op, &vfs, HOUR);
}

static void use_vfs_without_methods(misuse_fixture *c)
{
    sleep_by(c, NULL);
}

static void use_methods_without_size(misuse_fixture *c)
{
    epio_vfs_methods methods = ending_methods;
    methods.size = 0;
    sleep_by(c, &methods);
}

static void use_methods_that_are_too_short(misuse_fixture *c)
{
    epio_vfs_methods methods = ending_methods;
    methods.size -= 1;
    epio_vfs vfs = {.methods = &methods, .loop = c->loop};
    epio_file_init(&c->memory, &vfs, EPIO_OPEN_READ, 0);
}

static void resume_without_method(misuse_fixture *c)
{
    ending_vfs vfs = make_ending_vfs(c, nothing_more);
    epio_resume(epio_sleep(&c->op, &vfs.base, HOUR));
}

static void offload_what_ended(misuse_fixture *c)
{
    sleep_and_then(c, epio_offload);
}

static void defer_what_ended(misuse_fixture *c)
{
    sleep_and_then(c, epio_defer);
}

static void park(epio_op *op)
{
    epio_complete_at(op, 1, 0);
}

static void park_what_ended(misuse_fixture *c)
{
    sleep_and_then(c, park);
}

static void set_alarm(epio_op *op)
{
    epio_alarm(op, 1);
}

static void expect(epio_op *op)
{
    epio_expect(op, 1);
}

static void expect_what_ended(misuse_fixture *c)
{
    sleep_and_then(c, expect);
}

static void alarm_what_ended(misuse_fixture *c)
{
    sleep_and_then(c, set_alarm);
}

static void hand_over(epio_vfs *vfs, epio_op *op)
{
    ((ending_vfs *)(void *)vfs)->then(op);
}

static void hold_and(misuse_fixture *c, void (*then)(epio_op *op))
{
    epio_vfs_methods methods = ending_methods;
    methods.submit = hand_over;
    ending_vfs vfs = {.base = {.methods = &methods, .loop = c->loop}, .then = then};
    epio_submit(epio_sleep(&c->op, &vfs.base, HOUR));
}

static void offload_twice(epio_op *op)
{
    epio_offload(op);
    epio_offload(op);
}

static void offload_what_is_offloaded(misuse_fixture *c)
{
    hold_and(c, offload_twice);
}

static void park_and_offload(epio_op *op)
{
    epio_complete_at(op, UINT64_MAX, 0);
    epio_offload(op);
}

static void offload_what_is_parked(misuse_fixture *c)
{
    hold_and(c, park_and_offload);
}

static void offload_and_complete(epio_op *op)
{
    epio_offload(op);
    epio_complete(op, 0);
}

static void complete_what_is_offloaded(misuse_fixture *c)
{
    hold_and(c, offload_and_complete);
}

/* The second use of an op takes the fast path. */
static void complete_a_read_that_is_offloaded(misuse_fixture *c)
{
    epio_vfs_methods methods = ending_methods;
    ending_vfs vfs = {.base = {.methods = &methods, .loop = c->loop}, .then = nothing_more};
    epio_file_init(&c->memory, &vfs.base, EPIO_OPEN_READ, 0);
    check_result(epio_wait(epio_read(&c->op, &c->memory, &c->byte, 1, 0)), 0);
    methods.submit = hand_over;
    vfs.then = offload_and_complete;
    epio_submit(epio_read(&c->op, &c->memory, &c->byte, 1, 0));
}

#if EPIO_ASSERTIONS

/* Not a public call: a transition that the table does not have. */
static void enter_a_forbidden_phase(misuse_fixture *c)
{
    epio__op_enter(epio_sleep(&c->op, c->vfs, HOUR), EPIO__PHASE_CLOSING);
}

#endif

/* ---- A handler of the program ---------------------------------------------- */

static void print_in_other_words(const char *function, const char *message)
{
    (void)fprintf(stderr, "epio: in other words, %s: %s\n", function, message);
}

static void call_with_handler(misuse_fixture *c)
{
    check(epio_set_fatal_handler(print_in_other_words) == NULL);
    epio_submit(&c->op);
}

static void call_after_removing_the_handler(misuse_fixture *c)
{
    (void)epio_set_fatal_handler(print_in_other_words);
    check(epio_set_fatal_handler(NULL) == print_in_other_words);
    epio_submit(&c->op);
}

/* ---- All of them --------------------------------------------------------- */

#define MISUSE(run, function, message)                                                             \
    {                                                                                              \
#run, run, function, message                                                               \
    }

/* ---- Every function, every pointer, NULL ---------------------------------- */

/* check_symbols.sh checks that no public function is missing here: in one of the three tables, or
 * in that of the functions without pointers. What no result can report aborts. */
#define NULL_ABORTS(X)                                                                             \
    X(invalid_reason, "epio_op_invalid_reason", epio_op_invalid_reason(NULL))                      \
    X(path_of_op, "epio_op_path", epio_op_path(NULL))                                              \
    X(options_take, "epio_options_take", epio_options_take(NULL, 8, 8, NULL))                      \
    X(result_give, "epio_result_give", epio_result_give(NULL, 8, 8, NULL))                         \
    X(fatal, "epio_fatal", (epio_fatal(NULL, "x"), 0))                                             \
    X(fatal_message, "epio_fatal", (epio_fatal("x", NULL), 0))                                     \
    X(perform, "epio_perform", epio_perform(NULL))                                                 \
    X(submit, "epio_submit", epio_submit(NULL))                                                    \
    X(wait, "epio_wait", epio_wait(NULL))                                                          \
    X(cancel, "epio_cancel", epio_cancel(NULL))                                                    \
    X(pending, "epio_op_pending", epio_op_pending(NULL))                                           \
    X(link_first, "epio_link", epio_link(NULL, epio_sleep(&c->op, c->vfs, 0), 0))                  \
    X(link_second, "epio_link", epio_link(epio_sleep(&c->op, c->vfs, 0), NULL, 0))                 \
    X(open, "epio_open", epio_open(NULL, c->vfs, "x", EPIO_OPEN_READ))                             \
    X(adopt, "epio_adopt", epio_adopt(NULL, c->vfs, 0, 0))                                         \
    X(close, "epio_close", epio_close(NULL, c->file))                                              \
    X(read, "epio_read", epio_read(NULL, c->file, &c->byte, 1, 0))                                 \
    X(readv, "epio_readv", epio_readv(NULL, c->file, NULL, 0, 0))                                  \
    X(write, "epio_write", epio_write(NULL, c->file, &c->byte, 1, 0))                              \
    X(writev, "epio_writev", epio_writev(NULL, c->file, NULL, 0, 0))                               \
    X(truncate, "epio_truncate", epio_truncate(NULL, c->file, 0))                                  \
    X(sync, "epio_sync", epio_sync(NULL, c->file, 0))                                              \
    X(size, "epio_size", epio_size(NULL, c->file))                                                 \
    X(lock, "epio_lock", epio_lock(NULL, c->file, EPIO_LOCK_SHARED, 0))                            \
    X(unlock, "epio_unlock", epio_unlock(NULL, c->file, EPIO_LOCK_NONE))                           \
    X(check_lock, "epio_check_reserved_lock", epio_check_reserved_lock(NULL, c->file))             \
    X(delete, "epio_delete", epio_delete(NULL, c->vfs, "x", 0))                                    \
    X(rename, "epio_rename", epio_rename(NULL, c->vfs, "x", "y", 0))                               \
    X(access, "epio_access", epio_access(NULL, c->vfs, "x", 0))                                    \
    X(pathname, "epio_full_pathname", epio_full_pathname(NULL, c->vfs, "x", &c->byte, 1))          \
    X(followed_link, "epio_op_followed_link", (void)epio_op_followed_link(NULL))                   \
    X(sleep, "epio_sleep", epio_sleep(NULL, c->vfs, 0))                                            \
    X(current_time, "epio_current_time", epio_current_time(NULL, c->vfs))                          \
    X(randomness, "epio_randomness", epio_randomness(NULL, c->vfs, &c->byte, 1))                   \
    X(work, "epio_work", epio_work(NULL, c->vfs, do_nothing))                                      \
    X(acquire, "epio_acquire", epio_acquire(NULL, c->vfs, c->semaphore, 1))                        \
    X(stat, "epio_stat", epio_stat(NULL, c->vfs, "x", &c->info, 0))                                \
    X(file_stat, "epio_file_stat", epio_file_stat(NULL, c->file, &c->info))                        \
    X(set_times, "epio_set_times", epio_set_times(NULL, c->vfs, "x", &c->times, 0))                \
    X(file_set_times, "epio_file_set_times", epio_file_set_times(NULL, c->file, &c->times))        \
    X(set_mode, "epio_set_mode", epio_set_mode(NULL, c->vfs, "x", 0600, 0))                        \
    X(file_set_mode, "epio_file_set_mode", epio_file_set_mode(NULL, c->file, 0600))                \
    X(set_owner, "epio_set_owner", epio_set_owner(NULL, c->vfs, "x", 0, 0, 0))                     \
    X(file_set_owner, "epio_file_set_owner", epio_file_set_owner(NULL, c->file, 0, 0))             \
    X(get_xattr, "epio_get_xattr", epio_get_xattr(NULL, c->vfs, "x", "n", &c->byte, 1, 0))         \
    X(file_get_xattr, "epio_file_get_xattr", epio_file_get_xattr(NULL, c->file, "n", &c->byte, 1)) \
    X(set_xattr, "epio_set_xattr", epio_set_xattr(NULL, c->vfs, "x", "n", &c->byte, 1, 0))         \
    X(file_set_xattr, "epio_file_set_xattr",                                                       \
      epio_file_set_xattr(NULL, c->file, "n", &c->byte, 1, 0))                                     \
    X(list_xattrs, "epio_list_xattrs", epio_list_xattrs(NULL, c->vfs, "x", &c->byte, 1, 0))        \
    X(file_list_xattrs, "epio_file_list_xattrs",                                                   \
      epio_file_list_xattrs(NULL, c->file, &c->byte, 1))                                           \
    X(remove_xattr, "epio_remove_xattr", epio_remove_xattr(NULL, c->vfs, "x", "n", 0))             \
    X(file_remove_xattr, "epio_file_remove_xattr", epio_file_remove_xattr(NULL, c->file, "n"))     \
    X(mkdir, "epio_mkdir", epio_mkdir(NULL, c->vfs, "x", 0))                                       \
    X(rmdir, "epio_rmdir", epio_rmdir(NULL, c->vfs, "x", 0))                                       \
    X(load, "epio_load", epio_load(NULL, c->vfs, "x", NULL, NULL))                                 \
    X(save, "epio_save", epio_save(NULL, c->vfs, "x", NULL, 0, NULL))                              \
    X(savev, "epio_savev", epio_savev(NULL, c->vfs, "x", NULL, 0, NULL))                           \
    X(save_begin, "epio_save_begin", epio_save_begin(NULL, c->vfs, "x", NULL, NULL))               \
    X(save_commit, "epio_save_commit", epio_save_commit(NULL, NULL))                               \
    X(save_abandon, "epio_save_abandon", epio_save_abandon(NULL, NULL))                            \
    X(copy, "epio_copy", epio_copy(NULL, c->vfs, "x", "y", NULL))                                  \
    X(copy_tree, "epio_copy_tree", epio_copy_tree(NULL, c->vfs, "x", "y", NULL))                   \
    X(remove_tree, "epio_remove_tree", epio_remove_tree(NULL, c->vfs, "x", NULL))                  \
    X(move, "epio_move", epio_move(NULL, c->vfs, "x", "y", NULL))                                  \
    X(progress_publish, "epio_progress_publish", epio_progress_publish(NULL, &c->op, NULL))        \
    X(progress_withdraw, "epio_progress_withdraw", epio_progress_withdraw(NULL))                   \
    X(walk, "epio_walk", epio_walk(NULL, c->vfs, "x", NULL))                                       \
    X(sync_directory, "epio_sync_directory", epio_sync_directory(NULL, c->vfs, "x"))               \
    X(list, "epio_list", epio_list(NULL, c->file, &c->op, 1, 0))                                   \
    X(file_system, "epio_file_system_info",                                                        \
      epio_file_system_info(NULL, c->vfs, "x", &c->file_system))                                   \
    X(name_temporary, "epio_name_temporary", epio_name_temporary(NULL, c->file, "x", 0))           \
    X(temporary, "epio_temporary_directory",                                                       \
      epio_temporary_directory(NULL, c->vfs, NULL, &c->byte, 1))                                   \
    X(link_file, "epio_link_file", epio_link_file(NULL, c->vfs, "x", "y", 0))                      \
    X(symlink, "epio_symlink", epio_symlink(NULL, c->vfs, "x", "y", 0))                            \
    X(read_link, "epio_read_link", epio_read_link(NULL, c->vfs, "x", &c->byte, 1))                 \
    X(exchange, "epio_exchange", epio_exchange(NULL, c->vfs, "x", "y", 0))                         \
    X(trash, "epio_trash", epio_trash(NULL, c->vfs, "x", 0))                                       \
    X(directory_vfs, "epio_directory_vfs", epio_directory_vfs(NULL))                               \
    X(append, "epio_append", epio_append(NULL, c->file, &c->byte, 1))                              \
    X(allocate, "epio_allocate", epio_allocate(NULL, c->file, 0, 1, 0))                            \
    X(punch_hole, "epio_punch_hole", epio_punch_hole(NULL, c->file, 0, 1))                         \
    X(zero_range, "epio_zero_range", epio_zero_range(NULL, c->file, 0, 1, 0))                      \
    X(seek_data, "epio_seek_data", epio_seek_data(NULL, c->file, 0))                               \
    X(seek_hole, "epio_seek_hole", epio_seek_hole(NULL, c->file, 0))                               \
    X(advise, "epio_advise", epio_advise(NULL, c->file, 0, 1, 0))                                  \
    X(copy_range, "epio_copy_range", epio_copy_range(NULL, c->file, 0, c->file, 1, 1))             \
    X(lock_range, "epio_lock_range", epio_lock_range(NULL, c->file, 0, 1, EPIO_RANGE_SHARED, 0))   \
    X(unlock_range, "epio_unlock_range", epio_unlock_range(NULL, c->file, 0, 1))                   \
    X(test_range, "epio_test_range", epio_test_range(NULL, c->file, 0, 1, EPIO_RANGE_SHARED))      \
    X(map, "epio_map", epio_map(NULL, c->file, 0, 1, EPIO_MAP_READ))                               \
    X(op_mapping, "epio_op_mapping", (void)epio_op_mapping(NULL))                                  \
    X(mapping_address, "epio_mapping_address", (void)epio_mapping_address(NULL))                   \
    X(mapping_len, "epio_mapping_len", (void)epio_mapping_len(NULL))                               \
    X(unmap, "epio_unmap", epio_unmap(NULL, NULL))                                                 \
    X(sync_mapping, "epio_sync_mapping", epio_sync_mapping(NULL, NULL, 0, 1))                      \
    X(watch, "epio_watch", epio_watch(NULL, c->vfs, "x", 0))                                       \
    X(read_events, "epio_read_events", epio_read_events(NULL, c->file, &c->op, 1))                 \
    X(event_name, "epio_event_name", (void)epio_event_name(NULL))                                  \
    X(event_from, "epio_event_from", (void)epio_event_from(NULL))                                  \
    X(entry_name, "epio_entry_name", epio_entry_name(NULL))                                        \
    X(entry_info, "epio_entry_info", (void)epio_entry_info(NULL))                                  \
    X(lock_level, "epio_file_lock_level", epio_file_lock_level(NULL))                              \
    X(os_handle, "epio_file_os_handle", epio_file_os_handle(NULL))                                 \
    X(loop_run, "epio_loop_run", epio_loop_run(NULL))                                              \
    X(loop_poll, "epio_loop_poll", epio_loop_poll(NULL, 0, 0))                                     \
    X(loop_stop, "epio_loop_stop", epio_loop_stop(NULL))                                           \
    X(loop_wake, "epio_loop_wake", epio_loop_wake(NULL))                                           \
    X(loop_register, "epio_loop_register_buffers", epio_loop_register_buffers(NULL, NULL, 0))      \
    X(create_pool, "epio_loop_create_pool", epio_loop_create_pool(NULL, 1, 1))                     \
    X(take_buffer, "epio_loop_take_buffer", epio_loop_take_buffer(NULL))                           \
    X(return_buffer, "epio_loop_return_buffer", epio_loop_return_buffer(NULL, NULL))               \
    X(loop_detach, "epio_loop_detach", epio_loop_detach(NULL))                                     \
    X(loop_pending, "epio_loop_pending", epio_loop_pending(NULL))                                  \
    X(loop_close, "epio_loop_close", epio_loop_close(NULL, 0))                                     \
    X(loop_backend, "epio_loop_backend", epio_loop_backend(NULL))                                  \
    X(loop_vfs, "epio_loop_vfs", epio_loop_vfs(NULL))                                              \
    X(loop_handle, "epio_loop_handle", epio_loop_handle(NULL))                                     \
    X(loop_on_ready, "epio_loop_on_ready", epio_loop_on_ready(NULL, NULL, NULL))                   \
    X(limit_bytes, "epio_semaphore_limit_bytes", epio_semaphore_limit_bytes(NULL, 1))              \
    X(try_acquire, "epio_semaphore_try_acquire", epio_semaphore_try_acquire(NULL, 1))              \
    X(release, "epio_semaphore_release", epio_semaphore_release(NULL, 1))                          \
    X(available, "epio_semaphore_available", epio_semaphore_available(NULL))                       \
    X(close_semaphore, "epio_semaphore_close", epio_semaphore_close(NULL))                         \
    X(file_init, "epio_file_init", epio_file_init(NULL, c->vfs, 0, 0))                             \
    X(file_init_vfs, "epio_file_init", epio_file_init(&c->memory, NULL, 0, 0))                     \
    X(file_release, "epio_file_release", epio_file_release(NULL))                                  \
    X(op_bytes, "epio_op_bytes", epio_op_bytes(NULL))                                              \
    X(in_flight, "epio_op_in_flight", epio_op_in_flight(NULL))                                     \
    X(perform_on, "epio_perform_on", epio_perform_on(NULL, c->vfs, c->file))                       \
    X(perform_on_vfs, "epio_perform_on", epio_perform_on(&c->op, NULL, c->file))                   \
    X(complete, "epio_complete", epio_complete(NULL, 0))                                           \
    X(complete_at, "epio_complete_at", epio_complete_at(NULL, 0, 0))                               \
    X(alarm, "epio_alarm", epio_alarm(NULL, 0))                                                    \
    X(expect, "epio_expect", epio_expect(NULL, 0))                                                 \
    X(offload, "epio_offload", epio_offload(NULL))                                                 \
    X(defer, "epio_defer", epio_defer(NULL))                                                       \
    X(holder_level, "epio_lock_holder_level", epio_lock_holder_level(NULL))                        \
    X(holder_perform, "epio_lock_holder_perform", epio_lock_holder_perform(NULL, &c->op))          \
    X(holder_submit, "epio_lock_holder_submit", epio_lock_holder_submit(NULL, &c->op))             \
    X(holder_cancel, "epio_lock_holder_cancel", epio_lock_holder_cancel(NULL))                     \
    X(holder_resumed, "epio_lock_holder_resumed", epio_lock_holder_resumed(NULL))                  \
    X(holder_alarm, "epio_lock_holder_alarm", epio_lock_holder_alarm(NULL))                        \
    X(layer_file, "epio_layer_file_state", epio_layer_file_state(NULL))                            \
    X(op_unref, "epio_op_unref", epio_op_unref(NULL))                                              \
    X(cancel_all, "epio_cancel_all", epio_cancel_all(NULL))                                        \
    X(op_prepare, "epio_op_prepare", epio_op_prepare(NULL, c->vfs, NULL, EPIO_KIND_USER))          \
    X(resume, "epio_resume", epio_resume(NULL))                                                    \
    X(frame_push, "epio_frame_push", epio_frame_push(NULL, &c->frame))                             \
    X(frame_push_frame, "epio_frame_push", epio_frame_push(&c->op, NULL))                          \
    X(forward, "epio_forward", epio_forward(NULL, c->vfs, NULL))                                   \
    X(forward_vfs, "epio_forward", epio_forward(&c->op, NULL, NULL))

/* What a result can report is EPIO_EINVAL. */
#define NULL_REFUSED(X)                                                                            \
    X(epio_perform(epio_open(&c->op, NULL, "x", EPIO_OPEN_READ)))                                  \
    X(epio_perform(epio_open(&c->op, c->vfs, NULL, EPIO_OPEN_READ)))                               \
    X(epio_perform(epio_adopt(&c->op, NULL, 0, 0)))                                                \
    X(epio_perform(epio_close(&c->op, NULL)))                                                      \
    X(epio_perform(epio_read(&c->op, NULL, &c->byte, 1, 0)))                                       \
    X(epio_perform(epio_read(&c->op, c->file, NULL, 1, 0)))                                        \
    X(epio_perform(epio_readv(&c->op, NULL, NULL, 0, 0)))                                          \
    X(epio_perform(epio_readv(&c->op, c->file, NULL, 1, 0)))                                       \
    X(epio_perform(epio_write(&c->op, NULL, &c->byte, 1, 0)))                                      \
    X(epio_perform(epio_write(&c->op, c->file, NULL, 1, 0)))                                       \
    X(epio_perform(epio_writev(&c->op, NULL, NULL, 0, 0)))                                         \
    X(epio_perform(epio_writev(&c->op, c->file, NULL, 1, 0)))                                      \
    X(epio_perform(epio_truncate(&c->op, NULL, 0)))                                                \
    X(epio_perform(epio_sync(&c->op, NULL, 0)))                                                    \
    X(epio_perform(epio_size(&c->op, NULL)))                                                       \
    X(epio_perform(epio_lock(&c->op, NULL, EPIO_LOCK_SHARED, 0)))                                  \
    X(epio_perform(epio_unlock(&c->op, NULL, EPIO_LOCK_NONE)))                                     \
    X(epio_perform(epio_check_reserved_lock(&c->op, NULL)))                                        \
    X(epio_perform(epio_delete(&c->op, NULL, "x", 0)))                                             \
    X(epio_perform(epio_delete(&c->op, c->vfs, NULL, 0)))                                          \
    X(epio_perform(epio_rename(&c->op, NULL, "x", "y", 0)))                                        \
    X(epio_perform(epio_rename(&c->op, c->vfs, NULL, "y", 0)))                                     \
    X(epio_perform(epio_rename(&c->op, c->vfs, "x", NULL, 0)))                                     \
    X(epio_perform(epio_access(&c->op, NULL, "x", 0)))                                             \
    X(epio_perform(epio_access(&c->op, c->vfs, NULL, 0)))                                          \
    X(epio_perform(epio_full_pathname(&c->op, NULL, "x", &c->byte, 1)))                            \
    X(epio_perform(epio_full_pathname(&c->op, c->vfs, NULL, &c->byte, 1)))                         \
    X(epio_perform(epio_full_pathname(&c->op, c->vfs, "x", NULL, 1)))                              \
    X(epio_perform(epio_stat(&c->op, NULL, "x", &c->info, 0)))                                     \
    X(epio_perform(epio_stat(&c->op, c->vfs, NULL, &c->info, 0)))                                  \
    X(epio_perform(epio_stat(&c->op, c->vfs, "x", NULL, 0)))                                       \
    X(epio_perform(epio_file_stat(&c->op, NULL, &c->info)))                                        \
    X(epio_perform(epio_file_stat(&c->op, c->file, NULL)))                                         \
    X(epio_perform(epio_set_times(&c->op, c->vfs, NULL, &c->times, 0)))                            \
    X(epio_perform(epio_set_times(&c->op, c->vfs, "x", NULL, 0)))                                  \
    X(epio_perform(epio_file_set_times(&c->op, NULL, &c->times)))                                  \
    X(epio_perform(epio_file_set_times(&c->op, c->file, NULL)))                                    \
    X(epio_perform(epio_set_mode(&c->op, c->vfs, NULL, 0600, 0)))                                  \
    X(epio_perform(epio_file_set_mode(&c->op, NULL, 0600)))                                        \
    X(epio_perform(epio_set_owner(&c->op, c->vfs, NULL, 0, 0, 0)))                                 \
    X(epio_perform(epio_file_set_owner(&c->op, NULL, 0, 0)))                                       \
    X(epio_perform(epio_get_xattr(&c->op, c->vfs, NULL, "n", &c->byte, 1, 0)))                     \
    X(epio_perform(epio_get_xattr(&c->op, c->vfs, "x", NULL, &c->byte, 1, 0)))                     \
    X(epio_perform(epio_get_xattr(&c->op, c->vfs, "x", "n", NULL, 1, 0)))                          \
    X(epio_perform(epio_file_get_xattr(&c->op, NULL, "n", &c->byte, 1)))                           \
    X(epio_perform(epio_set_xattr(&c->op, c->vfs, "x", NULL, &c->byte, 1, 0)))                     \
    X(epio_perform(epio_file_set_xattr(&c->op, NULL, "n", &c->byte, 1, 0)))                        \
    X(epio_perform(epio_list_xattrs(&c->op, c->vfs, NULL, &c->byte, 1, 0)))                        \
    X(epio_perform(epio_file_list_xattrs(&c->op, NULL, &c->byte, 1)))                              \
    X(epio_perform(epio_remove_xattr(&c->op, c->vfs, "x", NULL, 0)))                               \
    X(epio_perform(epio_file_remove_xattr(&c->op, NULL, "n")))                                     \
    X(epio_perform(epio_mkdir(&c->op, c->vfs, NULL, 0)))                                           \
    X(epio_perform(epio_rmdir(&c->op, c->vfs, NULL, 0)))                                           \
    X(epio_perform(epio_sync_directory(&c->op, c->vfs, NULL)))                                     \
    X(epio_perform(epio_load(&c->op, c->vfs, "x", NULL, NULL)))                                    \
    X(epio_perform(epio_load(&c->op, NULL, "x", NULL, NULL)))                                      \
    X(epio_perform(epio_save(&c->op, c->vfs, NULL, "", 0, NULL)))                                  \
    X(epio_perform(epio_save(&c->op, c->vfs, "x", NULL, 1, NULL)))                                 \
    X(epio_perform(epio_savev(&c->op, c->vfs, "x", NULL, 1, NULL)))                                \
    X(epio_perform(epio_save_begin(&c->op, c->vfs, "x", NULL, NULL)))                              \
    X(epio_perform(epio_save_commit(&c->op, NULL)))                                                \
    X(epio_perform(epio_save_abandon(&c->op, NULL)))                                               \
    X(epio_perform(epio_copy(&c->op, c->vfs, NULL, "y", NULL)))                                    \
    X(epio_perform(epio_copy(&c->op, c->vfs, "x", NULL, NULL)))                                    \
    X(epio_perform(epio_copy_tree(&c->op, c->vfs, "x", NULL, NULL)))                               \
    X(epio_perform(epio_remove_tree(&c->op, c->vfs, NULL, NULL)))                                  \
    X(epio_perform(epio_move(&c->op, c->vfs, "x", NULL, NULL)))                                    \
    X(epio_progress(NULL, NULL))                                                                   \
    X(epio_perform(epio_walk(&c->op, NULL, "x", NULL)))                                            \
    X(epio_perform(epio_walk(&c->op, c->vfs, NULL, NULL)))                                         \
    X(epio_perform(epio_copy(&c->op, NULL, "x", "y", NULL)))                                       \
    X(epio_perform(epio_copy_tree(&c->op, c->vfs, NULL, "y", NULL)))                               \
    X(epio_perform(epio_remove_tree(&c->op, NULL, "x", NULL)))                                     \
    X(epio_perform(epio_move(&c->op, c->vfs, NULL, "y", NULL)))                                    \
    X(epio_perform(epio_file_system_info(&c->op, c->vfs, NULL, &c->file_system)))                  \
    X(epio_perform(epio_file_system_info(&c->op, c->vfs, "x", NULL)))                              \
    X(epio_perform(epio_name_temporary(&c->op, NULL, "x", 0)))                                     \
    X(epio_perform(epio_name_temporary(&c->op, c->file, NULL, 0)))                                 \
    X(epio_perform(epio_temporary_directory(&c->op, NULL, "x", &c->byte, 1)))                      \
    X(epio_perform(epio_temporary_directory(&c->op, c->vfs, "x", NULL, 1)))                        \
    X(epio_perform(epio_list(&c->op, NULL, &c->op, 1, 0)))                                         \
    X(epio_perform(epio_link_file(&c->op, c->vfs, "x", NULL, 0)))                                  \
    X(epio_perform(epio_symlink(&c->op, c->vfs, NULL, "x", 0)))                                    \
    X(epio_perform(epio_symlink(&c->op, c->vfs, "x", NULL, 0)))                                    \
    X(epio_perform(epio_read_link(&c->op, c->vfs, NULL, &c->byte, 1)))                             \
    X(epio_perform(epio_exchange(&c->op, c->vfs, "x", NULL, 0)))                                   \
    X(epio_perform(epio_trash(&c->op, NULL, "x", 0)))                                              \
    X(epio_perform(epio_trash(&c->op, c->vfs, NULL, 0)))                                           \
    X(epio_perform(epio_sleep(&c->op, NULL, 0)))                                                   \
    X(epio_perform(epio_current_time(&c->op, NULL)))                                               \
    X(epio_perform(epio_randomness(&c->op, NULL, &c->byte, 1)))                                    \
    X(epio_perform(epio_randomness(&c->op, c->vfs, NULL, 1)))                                      \
    X(epio_perform(epio_work(&c->op, NULL, do_nothing)))                                           \
    X(epio_perform(epio_work(&c->op, c->vfs, NULL)))                                               \
    X(epio_perform(epio_acquire(&c->op, c->vfs, NULL, 1)))                                         \
    X(epio_perform(epio_acquire(&c->op, NULL, c->semaphore, 1)))                                   \
    X(epio_wait(epio_read(&c->op, NULL, &c->byte, 1, 0)))                                          \
    X(epio_wait(epio_sleep(&c->op, NULL, 0)))                                                      \
    X(epio_wait(epio_open(&c->op, c->vfs, NULL, EPIO_OPEN_READ)))                                  \
    X(epio_loop_create(NULL, NULL))                                                                \
    X(epio_loop_invalid_reason(NULL, NULL, 1))                                                     \
    X(epio_loop_get_stats(NULL, &c->statistics))                                                   \
    X(epio_loop_get_stats(c->loop, NULL))                                                          \
    X(epio_memory_vfs_create(NULL, c->loop))                                                       \
    X(epio_semaphore_create(NULL, 1))                                                              \
    X(epio_limit_vfs_create(NULL, c->vfs, c->semaphore))                                           \
    X(epio_limit_vfs_create(&c->created, NULL, c->semaphore))                                      \
    X(epio_limit_vfs_create(&c->created, c->vfs, NULL))                                            \
    X(epio_lock_node_create(NULL))                                                                 \
    X(epio_lock_holder_create(NULL, NULL, NULL))                                                   \
    X(epio_layer_vfs_create(NULL, c->vfs, NULL, NULL))                                             \
    X(epio_trace_vfs_create(NULL, c->vfs))                                                         \
    X(epio_trace_vfs_create(&c->created, NULL))                                                    \
    X(epio_trace_read(NULL, EPIO_KIND_READ, &c->counts))                                           \
    X(epio_trace_read(c->trace, EPIO_KIND_READ, NULL))                                             \
    X(epio_trace_reset(NULL))                                                                      \
    X(epio_trace_summary(NULL, &c->byte, 1))                                                       \
    X(epio_trace_summary(c->trace, NULL, 1))                                                       \
    X(epio_bench_summary(NULL, &c->byte, 1))                                                       \
    X(epio_bench_summary(&c->result, NULL, 1))                                                     \
    X(epio_bench_compare_write(NULL, NULL))                                                        \
    X(epio_bench_compare_read(NULL, NULL))                                                         \
    X(epio_bench_invalid_reason(NULL, true, NULL, 1))

/* NULL is allowed and means nothing, or the defaults: 0 or more. */
#define NULL_ALLOWED(X)                                                                            \
    X(epio_perform(epio_read(&c->op, c->file, NULL, 0, 0)))                                        \
    X(epio_perform(epio_randomness(&c->op, c->vfs, NULL, 0)))                                      \
    X(epio_loop_invalid_reason(NULL, NULL, 0))                                                     \
    X(epio_bench_invalid_reason(NULL, false, NULL, 0))                                             \
    X(epio_trace_summary(c->trace, NULL, 0))                                                       \
    X(epio_loop_on_ready(c->loop, NULL, NULL))                                                     \
    X((epio_loop_return_buffer(c->loop, NULL), 0))                                                 \
    X((epio_lock_node_destroy(NULL), 0))                                                           \
    X((epio_lock_holder_destroy(NULL), 0))                                                         \
    X((epio_entry_next(NULL, 0, NULL), 0))                                                         \
    X((epio_event_next(NULL, 0, NULL), 0))                                                         \
    X((epio_buffer_free(NULL), 0))                                                                 \
    X((epio_saving_file(NULL), 0))                                                                 \
    X((epio_vfs_destroy(NULL), 0))                                                                 \
    X((epio_loop_destroy(NULL), 0))                                                                \
    X((epio_semaphore_destroy(NULL), 0))                                                           \
    X((epio_set_fatal_handler(NULL), 0))

#define NO_POINTERS(X)                                                                             \
    X(epio_version() == NULL)                                                                      \
    X(epio_error_name(0) == NULL)                                                                  \
    X(epio_error_message(0) == NULL)                                                               \
    X(epio_error_to_os(0))                                                                         \
    X(epio_error_from_os(0))                                                                       \
    X(epio_os_vfs() == NULL)                                                                       \
    X(epio_kind_name(0) == NULL)                                                                   \
    X(epio_clock_monotonic() == 0)

static int64_t do_nothing(epio_op *op)
{
    (void)op;
    return 0;
}

#define MAKE_NULL_FUNCTION(id, name, call)                                                         \
    static void null_##id(misuse_fixture *c)                                                       \
    {                                                                                              \
        (void)c;                                                                                   \
        (void)(call);                                                                              \
    }
NULL_ABORTS(MAKE_NULL_FUNCTION)

#define MAKE_NULL_MISUSE(id, name, call) MISUSE(null_##id, name, "NULL"),
static const misuse misuses_of_null[] = {NULL_ABORTS(MAKE_NULL_MISUSE)};

static const misuse misuses_of_ops[] = {
    MISUSE(submit_null, "epio_submit", "NULL"),
    MISUSE(wait_null, "epio_wait", "NULL"),
    MISUSE(perform_null, "epio_perform", "NULL"),
    MISUSE(cancel_null, "epio_cancel", "NULL"),
    MISUSE(pending_null, "epio_op_pending", "NULL"),
    MISUSE(verb_of_null, "epio_read", "NULL"),
    MISUSE(verb_not_zeroed, "epio_read", "zeroed"),
    MISUSE(submit_not_zeroed, "epio_submit", "zeroed"),
    MISUSE(submit_without_verb, "epio_submit", "verb"),
    MISUSE(submit_without_fresh_verb, "epio_submit", "verb"),
    MISUSE(wait_without_verb, "epio_wait", "verb"),
    MISUSE(perform_without_verb, "epio_perform", "verb"),
    MISUSE(perform_without_fresh_verb, "epio_perform", "verb"),
    MISUSE(submit_twice, "epio_submit", "in flight"),
    MISUSE(perform_in_flight, "epio_perform", "in flight"),
    MISUSE(verb_in_flight, "epio_read", "in flight"),
    MISUSE(submit_without_loop, "epio_submit", "loop"),
    MISUSE(wait_without_loop, "epio_wait", "loop"),
    MISUSE(submit_without_vfs, "epio_submit", "VFS"),
    MISUSE(submit_without_file, "epio_submit", "file"),
    MISUSE(submit_chain_without_anything, "epio_submit", "file or VFS"),
    MISUSE(wait_with_done, "epio_wait", "done"),
    MISUSE(wait_with_done_in_flight, "epio_wait", "done"),
    MISUSE(wait_twice, "epio_wait", "another thread"),
};

static const misuse misuses_of_links[] = {
    MISUSE(link_twice, "epio_link", "successor"),
    MISUSE(link_behind_two, "epio_link", "linked"),
    MISUSE(link_itself, "epio_link", "itself"),
    MISUSE(link_without_verb, "epio_link", "verb"),
    MISUSE(link_null, "epio_link", "NULL"),
    MISUSE(link_null_first, "epio_link", "NULL"),
    MISUSE(link_with_unknown_flags, "epio_link", "flags"),
    MISUSE(link_in_flight, "epio_link", "in flight"),
    MISUSE(submit_second, "epio_submit", "first"),
    MISUSE(submit_ring, "epio_submit", "linked"),
    MISUSE(verb_on_second, "epio_sleep", "linked"),
    MISUSE(perform_chain, "epio_perform", "link"),
    MISUSE(link_across_loops, "epio_submit", "loops"),
    MISUSE(link_behind_close, "epio_submit", "close"),
    MISUSE(close_twice_in_chain, "epio_submit", "close"),
};

static const misuse misuses_of_files[] = {
    MISUSE(submit_after_close, "epio_submit", "close"),
    MISUSE(wait_after_close, "epio_", "close"),
    MISUSE(sync_after_close, "epio_submit", "close"),
    MISUSE(close_twice, "epio_submit", "close"),
    MISUSE(close_closed, "epio_close", "closed already"),
    MISUSE(close_performed, "epio_close", "closed already"),
    MISUSE(close_closed_of_layer, "epio_close", "closed already"),
    MISUSE(close_closed_of_memory, "epio_close", "closed already"),
    MISUSE(close_closed_much_later, "epio_close", "closed already"),
    MISUSE(read_closed, "epio_read", "closed already"),
    MISUSE(submit_prepared_before_close, "epio_submit", "closed already"),
    MISUSE(wait_prepared_before_close, "epio_submit", "closed already"),
    MISUSE(perform_prepared_before_close, "epio_perform", "closed already"),
    MISUSE(handle_of_closed, "epio_file_os_handle", "closed already"),
    MISUSE(level_of_closed, "epio_file_lock_level", "closed already"),
    MISUSE(submit_elsewhere_after_close, "epio_submit", "close"),
    MISUSE(handle_of_null, "epio_file_os_handle", "NULL"),
    MISUSE(level_of_null, "epio_file_lock_level", "NULL"),
};

static const misuse misuses_of_loops[] = {
    MISUSE(run_elsewhere, "epio_loop_run", "thread"),
    MISUSE(poll_elsewhere, "epio_loop_poll", "thread"),
    MISUSE(close_elsewhere, "epio_loop_close", "thread"),
    MISUSE(destroy_elsewhere, "epio_loop_destroy", "thread"),
    MISUSE(detach_elsewhere, "epio_loop_detach", "thread"),
    MISUSE(stats_elsewhere, "epio_loop_get_stats", "thread"),
    MISUSE(stats_of_a_detached_loop, "epio_loop_get_stats", "none"),
    MISUSE(create_pool_elsewhere, "epio_loop_create_pool", "thread"),
    MISUSE(take_buffer_elsewhere, "epio_loop_take_buffer", "thread"),
    MISUSE(return_buffer_elsewhere, "epio_loop_return_buffer", "thread"),
    MISUSE(return_buffer_without_pool, "epio_loop_return_buffer", "epio_loop_create_pool"),
    MISUSE(return_another_buffer, "epio_loop_return_buffer", "not a buffer"),
    MISUSE(return_inside_of_a_buffer, "epio_loop_return_buffer", "not a buffer"),
    MISUSE(return_what_follows_the_pool, "epio_loop_return_buffer", "not a buffer"),
    MISUSE(return_buffer_twice, "epio_loop_return_buffer", "returned already"),
    MISUSE(run_after_detach, "epio_loop_run", "thread"),
    MISUSE(owner_ended, "epio_loop_run", "epio_loop_detach"),
    MISUSE(second_owner_ended, "epio_loop_poll", "epio_loop_detach"),
    MISUSE(submit_after_the_end, "epio_", "epio_loop_detach"),
    MISUSE(run_null, "epio_loop_run", "NULL"),
    MISUSE(poll_null, "epio_loop_poll", "NULL"),
    MISUSE(destroy_with_open_file, "epio_loop_destroy", "open"),
    MISUSE(destroy_with_open_memory_file, "epio_loop_destroy", "open"),
    MISUSE(destroy_with_open_in_flight, "epio_loop_destroy", "open"),
    MISUSE(destroy_inside, "epio_loop_destroy", "done"),
    MISUSE(detach_inside, "epio_loop_detach", "done"),
};

static const misuse misuses_of_mappings[] = {
    MISUSE(unmap_again, "epio_unmap", "unmapped already"),
    MISUSE(unmap_again_by_perform, "epio_unmap", "unmapped already"),
    MISUSE(submit_unmap_again, "epio_submit", "unmapped already"),
    MISUSE(perform_unmap_again, "epio_perform", "unmapped already"),
    MISUSE(sync_unmapped, "epio_submit", "unmapped already"),
    MISUSE(link_sync_behind_unmap, "epio_submit", "behind the unmap"),
    MISUSE(destroy_loop_with_mapping, "epio_loop_destroy", "mapping"),
    MISUSE(destroy_memory_with_mapping, "epio_vfs_destroy", "mapping"),
    MISUSE(destroy_layer_with_mapping, "epio_vfs_destroy", "mapping"),
};

static const misuse misuses_of_stacks[] = {
    MISUSE(run_after_longjmp, "epio_loop_run", "longjmp"),
    MISUSE(poll_after_longjmp, "epio_loop_poll", "longjmp"),
    MISUSE(wait_after_longjmp, "epio_wait", "longjmp"),
    MISUSE(destroy_after_longjmp, "epio_loop_destroy", "longjmp"),
    MISUSE(poll_deeper_after_longjmp, "epio_loop_poll", "longjmp"),
};

/* A sanitizer's stack may overflow first. */
static const misuse endless_misuses[] = {
    MISUSE(wait_without_end, "epio_wait", "nested"),
};

static const misuse misuses_of_vfses[] = {
    MISUSE(complete_again, "epio_complete", "completed already"),
    MISUSE(use_vfs_without_methods, "epio_sleep", "size"),
    MISUSE(use_methods_without_size, "epio_sleep", "size"),
    MISUSE(use_methods_that_are_too_short, "epio_file_init", "size"),
    MISUSE(resume_without_method, "epio_resume", "`resumed`"),
    MISUSE(complete_a_read_again, "epio_complete", "completed already"),
    MISUSE(offload_what_ended, "epio_offload", "completed already"),
    MISUSE(defer_what_ended, "epio_defer", "completed already"),
    MISUSE(park_what_ended, "epio_complete_at", "completed already"),
    MISUSE(alarm_what_ended, "epio_alarm", "completed already"),
    MISUSE(expect_what_ended, "epio_expect", "completed already"),
    MISUSE(offload_what_is_offloaded, "epio_offload", "offloaded"),
    MISUSE(offload_what_is_parked, "epio_offload", "epio_complete_at"),
    MISUSE(complete_what_is_offloaded, "epio_complete", "offloaded"),
    MISUSE(complete_a_read_that_is_offloaded, "epio_complete", "offloaded"),
#if EPIO_ASSERTIONS
    MISUSE(enter_a_forbidden_phase, "sleep", "from NONE to CLOSING"),
#endif
};

static const misuse misuses_of_handlers[] = {
    MISUSE(call_with_handler, "in other words, epio_submit", "not prepared"),
    MISUSE(call_after_removing_the_handler, "epio: epio_submit", "not prepared"),
};

static const misuse misuses_of_others[] = {
    MISUSE(release_too_much, "epio_semaphore_release", "permits"),
    MISUSE(release_never_taken, "epio_semaphore_release", "permits"),
    MISUSE(destroy_semaphore_with_waiters, "epio_semaphore_destroy", "wait"),
    MISUSE(destroy_semaphore_under_limit, "epio_semaphore_destroy", "limit"),
    MISUSE(destroy_semaphore_with_acquire, "epio_semaphore_destroy", "in flight"),
    MISUSE(destroy_semaphore_with_linked_acquire, "epio_semaphore_destroy", "in flight"),
    MISUSE(destroy_inner, "epio_vfs_destroy", "destroy that first"),
    MISUSE(destroy_layer_with_op, "epio_vfs_destroy", "in flight"),
    MISUSE(destroy_layer_with_ready_op, "epio_vfs_destroy", "in flight"),
    MISUSE(destroy_layer_with_linked_op, "epio_vfs_destroy", "in flight"),
    MISUSE(destroy_layer_with_op_in_inbox, "epio_vfs_destroy", "in flight"),
    MISUSE(destroy_layer_of_detached_loop_with_op, "epio_vfs_destroy", "in flight"),
    MISUSE(destroy_memory_with_op, "epio_vfs_destroy", "in flight"),
    MISUSE(limit_bytes_in_use, "epio_semaphore_limit_bytes", "in use"),
    MISUSE(destroy_os_vfs, "epio_vfs_destroy", "destroy"),
    MISUSE(destroy_loop_vfs, "epio_vfs_destroy", "destroy"),
    MISUSE(destroy_limit_with_file, "epio_vfs_destroy", "open"),
    MISUSE(destroy_trace_with_file, "epio_vfs_destroy", "open"),
    MISUSE(destroy_memory_with_file, "epio_vfs_destroy", "open"),
};

#define CHECK_MISUSES(list)                                                                        \
    for (size_t i = 0; i < sizeof(list) / sizeof((list)[0]); i++) {                                \
        check_misuse(&(list)[i]);                                                                  \
    }

static void of_ops(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_ops)
}

static void of_links(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_links)
}

static void of_files(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_files)
}

static void of_mappings(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_mappings)
}

static void of_loops(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_loops)
}

/* AddressSanitizer moves variables to a stack of its own, whose addresses do not show the nesting
 * of calls. */
static bool variables_are_on_another_stack(void)
{
#if defined(__GNUC__)
    volatile char variable = 0;
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    uintptr_t at = (uintptr_t)&variable;
    return (at < frame ? frame - at : at - frame) > 65536;
#else
    return false;
#endif
}

static void of_stacks(fixture *f)
{
    if (!SYSTEM_HAS_STACK_BOUNDS) {
        fixture_skip(f, "the bounds of a thread's stack are unknown here");
    }
    if (variables_are_on_another_stack()) {
        fixture_skip(f, "the sanitizer keeps variables elsewhere");
    }
    CHECK_MISUSES(misuses_of_stacks)
}

static void of_calls_without_end(fixture *f)
{
    if (fixture_is_watched() || !SYSTEM_HAS_STACK_BOUNDS) {
        fixture_skip(f, "the stack may overflow first");
    }
    CHECK_MISUSES(endless_misuses)
}

static void of_null(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_null)
}

static void of_null_that_a_result_can_say(fixture *f)
{
    misuse_fixture one;
    misuse_fixture *c = &one;
    (void)f;
    misuse_fixture_setup(c);
    check_result(epio_trace_vfs_create(&c->trace, c->vfs), 0);
#define CHECK_REFUSED(call) check_result(call, EPIO_EINVAL);
    NULL_REFUSED(CHECK_REFUSED)
#define CHECK_ALLOWED(call) check((call) >= 0);
    NULL_ALLOWED(CHECK_ALLOWED)
#define CHECK_ZERO(call) check_result(call, 0);
    NO_POINTERS(CHECK_ZERO)
    epio_vfs_destroy(c->trace);
    epio_semaphore_destroy(c->semaphore);
    check_result(epio_wait(epio_close(&c->op, c->file)), 0);
    epio_loop_destroy(c->loop);
}

static void of_operations_that_ended(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_vfses)
}

static void that_a_handler_sees(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_handlers)
}

static void of_semaphores_and_vfses(fixture *f)
{
    (void)f;
    CHECK_MISUSES(misuses_of_others)
}

/* ---- Legal use ----------------------------------------------------------- */

/* A call nested in the `done` of another, a thousand times. */
static void wait_deep(epio_op *op)
{
    int *depth = op->user;
    if (--*depth > 0) {
        epio_op next = {.done = wait_deep, .user = depth};
        epio_op last = {0};
        epio_submit(epio_current_time(&next, op->vfs));
        check_result(epio_wait(epio_sleep(&last, op->vfs, 0)), 0);
    }
}

/* Left by longjmp, but not across the loop. */
static void leave_own_frames(epio_op *op)
{
    jmp_buf here;
    epio_op next = {0};
    if (setjmp(here) == 0) {
        longjmp(here, 1);
    }
    check_result(epio_wait(epio_current_time(&next, op->vfs)) > 0, 1);
}

static void legal_use(misuse_fixture *c)
{
    int depth = fixture_is_slow() ? 100 : 1000;
    c->other.done = wait_deep;
    c->other.user = &depth;
    epio_submit(epio_current_time(&c->other, c->vfs));
    (void)epio_loop_run(c->loop);
    check_result(depth, 0);
    c->other.done = leave_own_frames;
    epio_submit(epio_current_time(&c->other, c->vfs));
    (void)epio_loop_run(c->loop);
    c->other.done = NULL;

    /* Permits held by the caller end with their semaphore. */
    check_result(epio_semaphore_try_acquire(c->semaphore, 1), 0);
    epio_semaphore_destroy(c->semaphore);

    /* An op may be reused as it is, and a prepared one may be dropped or prepared again. */
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

static const misuse legal_uses[] = {MISUSE(legal_use, "", "")};

/* In a child: by its argument. */
static const misuse *find_misuse(const char *name)
{
#define LIST(list)                                                                                 \
    {                                                                                              \
        list, sizeof(list) / sizeof((list)[0])                                                     \
    }
    static const struct {
        const misuse *list;
        size_t count;
    } lists[] = {LIST(misuses_of_ops),      LIST(misuses_of_links),    LIST(misuses_of_files),
                 LIST(misuses_of_loops),    LIST(misuses_of_stacks),   LIST(misuses_of_others),
                 LIST(misuses_of_null),     LIST(endless_misuses),     LIST(misuses_of_vfses),
                 LIST(misuses_of_handlers), LIST(misuses_of_mappings), LIST(legal_uses)};
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

static void legal_use_does_not_abort(fixture *f)
{
    char text[4096];
    (void)f;
    int status = run_misuse(legal_uses, text, sizeof text);
    if (status != 0) {
        print_error("status %x, said: %s\n", (unsigned)status, text);
    }
    check_result(status, 0);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(commit_misuse)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(of_ops, ON_OS_PERFORM),
        FIXTURE_TEST(of_links, ON_OS_PERFORM),
        FIXTURE_TEST(of_files, ON_OS_PERFORM),
        FIXTURE_TEST(of_mappings, ON_OS_PERFORM),
        FIXTURE_TEST(of_loops, ON_OS_PERFORM),
        FIXTURE_TEST(of_stacks, ON_OS_PERFORM),
        FIXTURE_TEST(of_operations_that_ended, ON_OS_PERFORM),
        FIXTURE_TEST(that_a_handler_sees, ON_OS_PERFORM),
        FIXTURE_TEST(of_semaphores_and_vfses, ON_OS_PERFORM),
        FIXTURE_TEST(of_calls_without_end, ON_OS_PERFORM),
        FIXTURE_TEST(of_null, ON_OS_PERFORM),
        FIXTURE_TEST(of_null_that_a_result_can_say, ON_OS_PERFORM),
        FIXTURE_TEST(legal_use_does_not_abort, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("misuse", tests);
}
