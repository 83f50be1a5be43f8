/* Law 7: ops of a loop that belongs to another thread. Submitting, cancelling, waiting and waking
 * from another thread, the order between threads, detaching a loop, and its end in races with all
 * of these. */
#include "support.h"

#include "fault_vfs.h"

#include <stdatomic.h>

static test_thread start(void *(*run)(void *), void *argument)
{
    test_thread thread;
    thread_start(&thread, run, argument);
    return thread;
}

static void join(test_thread thread)
{
    (void)thread_join(thread);
}

/* ---- A loop that runs in a thread of its own ---------------------------- */

typedef struct runner {
    epio_loop *loop;
    test_thread thread;
    epio_op forever; /* keeps epio_loop_run from returning */
} runner;

static void *run_loop(void *argument)
{
    runner *one = argument;
    (void)epio_loop_run(one->loop);
    epio_loop_detach(one->loop);
    return NULL;
}

/* The fixture's loop, run by another thread from now on. */
static void runner_start(runner *one, epio_loop *loop)
{
    memset(one, 0, sizeof *one);
    one->loop = loop;
    epio_submit(epio_sleep(&one->forever, epio_loop_vfs(loop), 3600000 * MILLISECOND));
    epio_loop_detach(loop);
    one->thread = start(run_loop, one);
}

/* The calling thread owns the loop again. */
static void runner_stop(runner *one)
{
    epio_cancel(&one->forever);
    join(one->thread);
    check_result(epio_wait(&one->forever), EPIO_ECANCELED);
    check_result(epio_loop_poll(one->loop, 0, 0), 0);
}

/* ---- Submitting from several threads ----------------------------------- */

#define THREADS 4
#define AT_ONCE 16

typedef struct submitter {
    epio_vfs *vfs;
    epio_file *file;
    unsigned index;
    unsigned count;
    uint64_t seed;
    atomic_uint calls;
    atomic_uint cancelled;
} submitter;

static void count_call(epio_op *op)
{
    submitter *one = op->user;
    (void)atomic_fetch_add(&one->calls, 1);
}

/* Writes its own page and reads it back, waiting for each op. */
static void *write_and_read(void *argument)
{
    submitter *one = argument;
    unsigned char page[512], found[512];
    uint64_t offset = (uint64_t)one->index * sizeof page;
    for (unsigned i = 0; i < one->count; i++) {
        epio_op op = {0};
        memset(page, (int)(i & 0xff), sizeof page);
        require(epio_wait(epio_write(&op, one->file, page, sizeof page, offset)) == 512);
        epio_submit(epio_read(&op, one->file, found, sizeof found, offset));
        require(epio_wait(&op) == 512);
        require(epio_wait(&op) == 512); /* already done */
        require(memcmp(page, found, sizeof page) == 0);
    }
    return NULL;
}

static void waits_from_threads_that_do_not_own_it(fixture *f)
{
    runner owner;
    test_thread threads[THREADS];
    submitter submitters[THREADS];
    epio_file *file = fixture_create(f, "pages");
    runner_start(&owner, f->loop);
    for (unsigned i = 0; i < THREADS; i++) {
        submitters[i] =
            (submitter){.vfs = f->vfs, .file = file, .index = i, .count = fixture_rounds(500)};
        threads[i] = start(write_and_read, &submitters[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        join(threads[i]);
    }
    runner_stop(&owner);
    fixture_close(f, file);
}

static void submit_some(submitter *one, epio_op *ops, random_source *random)
{
    static unsigned char buffers[THREADS][AT_ONCE][64];
    for (unsigned i = 0; i < AT_ONCE; i++) {
        epio_op *op = &ops[i];
        op->done = count_call;
        op->user = one;
        switch (random_between(random, 0, 4)) {
        case 0:
            (void)epio_sleep(op, one->vfs, 3600000 * MILLISECOND);
            break;
        case 1:
            (void)epio_read(op, one->file, buffers[one->index][i], 64, 0);
            break;
        case 2:
            (void)epio_write(op, one->file, buffers[one->index][i], 64, 64 * (i + 1));
            break;
        default:
            (void)epio_sleep(op, one->vfs, 1);
            break;
        }
        epio_submit(op);
    }
}

/* Cancels twice, whether the ops are done or not. */
static void *submit_and_cancel(void *argument)
{
    submitter *one = argument;
    random_source random = {one->seed};
    epio_op ops[AT_ONCE];
    memset(ops, 0, sizeof ops);
    for (unsigned i = 0; i < one->count; i++) {
        submit_some(one, ops, &random);
        for (unsigned j = 0; j < 2 * AT_ONCE; j++) {
            epio_cancel(&ops[j % AT_ONCE]);
        }
        while (atomic_load(&one->calls) < (i + 1) * AT_ONCE) {
            thread_yield();
        }
        for (unsigned j = 0; j < AT_ONCE; j++) {
            require(ops[j].result >= 0 || ops[j].result == EPIO_ECANCELED);
            require(!epio_op_pending(&ops[j]));
            one->cancelled += ops[j].result == EPIO_ECANCELED ? 1 : 0;
        }
    }
    return NULL;
}

static void submits_and_cancels_from_several_threads(fixture *f)
{
    runner owner;
    test_thread threads[THREADS];
    submitter submitters[THREADS];
    epio_file *file = fixture_create(f, "data");
    runner_start(&owner, f->loop);
    for (unsigned i = 0; i < THREADS; i++) {
        submitters[i] = (submitter){
            .vfs = f->vfs, .file = file, .index = i, .count = fixture_rounds(300), .seed = i + 1};
        threads[i] = start(submit_and_cancel, &submitters[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        join(threads[i]);
        check(atomic_load(&submitters[i].calls) == submitters[i].count * AT_ONCE);
        check(atomic_load(&submitters[i].cancelled) > 0);
    }
    runner_stop(&owner);
    check(epio_loop_pending(f->loop) == 0);
    fixture_close(f, file);
}

/* Chains of three: cancelled, continued or ended by their links. */
static void *submit_chains(void *argument)
{
    submitter *one = argument;
    for (unsigned i = 0; i < one->count; i++) {
        epio_op first = {0}, second = {0}, third = {0};
        bool fails = (i & 1) != 0;
        (void)epio_sleep(&first, one->vfs, fails ? 3600000 * MILLISECOND : 1);
        (void)epio_sleep(&second, one->vfs, 1);
        (void)epio_sleep(&third, one->vfs, 1);
        (void)epio_link(&first, &second, 0);
        (void)epio_link(&second, &third, EPIO_LINK_ALWAYS);
        epio_submit(&first);
        if (fails) {
            epio_cancel(i % 4 == 1 ? &first : &second);
            epio_cancel(&first);
        }
        require(epio_wait(&third) == 1);
        require(epio_wait(&second) == (fails ? EPIO_ECANCELED : 1));
        require(epio_wait(&first) == (fails ? EPIO_ECANCELED : 1));
    }
    return NULL;
}

static void chains_from_several_threads(fixture *f)
{
    runner owner;
    test_thread threads[THREADS];
    submitter submitters[THREADS];
    runner_start(&owner, f->loop);
    for (unsigned i = 0; i < THREADS; i++) {
        submitters[i] = (submitter){.vfs = f->vfs, .count = fixture_rounds(300)};
        threads[i] = start(submit_chains, &submitters[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        join(threads[i]);
    }
    runner_stop(&owner);
}

static void *wait_for_op(void *argument)
{
    return (void *)(intptr_t)(epio_wait(argument) == EPIO_ECANCELED);
}

/* The waiter neither runs the loop nor returns before the owner did. */
static void waiter_sleeps_until_the_owner_delivers(fixture *f)
{
    epio_op op = {0};
    void *cancelled = NULL;
    epio_submit(epio_sleep(&op, f->vfs, 3600000 * MILLISECOND));
    test_thread waiter = start(wait_for_op, &op);
    sleep_ns(20 * MILLISECOND);
    epio_cancel(&op);
    check(epio_op_pending(&op)); /* delivery is the owner's */
    check_result(epio_loop_run(f->loop), 1);
    cancelled = thread_join(waiter);
    check(cancelled != NULL);
}

/* ---- Order between threads --------------------------------------------- */

typedef struct ordered {
    epio_file *file;
    epio_op write;
    epio_op sync;
    atomic_int written; /* deliveries of the write */
    atomic_int wrong;
    char byte;
} ordered;

static void write_delivered(epio_op *op)
{
    ordered *one = op->user;
    atomic_store(&one->written, 1);
}

static void sync_delivered(epio_op *op)
{
    ordered *one = op->user;
    if (atomic_load(&one->written) != 1 || op->result != 0) {
        atomic_store(&one->wrong, 1);
    }
}

static void prepare_ordered(ordered *one, epio_file *file)
{
    memset(one, 0, sizeof *one);
    one->file = file;
    one->write.done = write_delivered;
    one->write.user = one;
    one->sync.done = sync_delivered;
    one->sync.user = one;
}

static void *submit_write(void *argument)
{
    ordered *one = argument;
    epio_submit(epio_write(&one->write, one->file, &one->byte, 1, 0));
    return NULL;
}

static void *submit_sync(void *argument)
{
    ordered *one = argument;
    epio_submit(epio_sync(&one->sync, one->file, 0));
    return NULL;
}

/* One thread writes; then another one, or the owner, syncs. */
static void sync_covers_writes_of_other_threads(fixture *f)
{
    epio_vfs *fault = NULL;
    epio_op op = {0};
    ordered one;
    check_result(fault_vfs_create(&fault, f->vfs), 0);
    check_result(epio_wait(epio_open(&op, fault, fixture_path(f, "data"),
                                     EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    for (int by_owner = 0; by_owner < 2; by_owner++) {
        prepare_ordered(&one, file);
        fault_vfs_hold(fault, EPIO_KIND_WRITE);
        join(start(submit_write, &one));
        if (by_owner != 0) {
            (void)submit_sync(&one);
        } else {
            join(start(submit_sync, &one));
        }
        for (int i = 0; i < 5; i++) {
            (void)epio_loop_poll(f->loop, 2 * MILLISECOND, 0);
        }
        check(fault_vfs_held(fault, EPIO_KIND_WRITE) == 1);
        check(epio_op_pending(&one.sync) && epio_op_pending(&one.write));
        check(fault_vfs_arrived(fault, EPIO_KIND_SYNC) == (uint32_t)by_owner);
        fault_vfs_release_all(fault, EPIO_KIND_WRITE);
        check_result(epio_loop_run(f->loop), 2);
        check(atomic_load(&one.written) == 1 && atomic_load(&one.wrong) == 0);
    }
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_vfs_destroy(fault);
}

static void sync_covers_writes_while_the_owner_runs(fixture *f)
{
    runner owner;
    static ordered one;
    epio_file *file = fixture_create(f, "data");
    runner_start(&owner, f->loop);
    for (unsigned i = 0; i < fixture_rounds(100); i++) {
        prepare_ordered(&one, file);
        (void)submit_write(&one);
        join(start(submit_sync, &one));
        while (epio_op_pending(&one.sync)) {
            thread_yield();
        }
        /* The flag is set before `done` is called; an op after both is not. */
        epio_op last = {0};
        check_result(epio_wait(epio_current_time(&last, f->vfs)) > 0, 1);
        check(atomic_load(&one.written) == 1 && atomic_load(&one.wrong) == 0);
    }
    runner_stop(&owner);
    fixture_close(f, file);
}

/* The owner's close waits for what the other thread submitted before. */
static void close_covers_ops_of_other_threads(fixture *f)
{
    ordered one;
    epio_op op = {0};
    epio_file *file = fixture_create(f, "data");
    prepare_ordered(&one, file);
    join(start(submit_write, &one));
    check_result(epio_perform(epio_close(&op, file)), EPIO_EBUSY);
    check_result(epio_wait(epio_close(&op, file)), 0);
    check(atomic_load(&one.written) == 1);
    check_result(one.write.result, 1);
}

static void *submit_long_sleep(void *argument)
{
    submitter *one = argument;
    static epio_op op;
    memset(&op, 0, sizeof op);
    epio_submit(epio_sleep(&op, one->vfs, 3600000 * MILLISECOND));
    return &op;
}

/* The owner cancels an op that is still in the inbox. */
static void cancel_finds_an_op_in_the_inbox(fixture *f)
{
    submitter one = {.vfs = f->vfs};
    void *op = NULL;
    op = thread_join(start(submit_long_sleep, &one));
    check(epio_loop_pending(f->loop) == 1);
    epio_cancel(op);
    check_result(epio_loop_poll(f->loop, 0, 0), 1);
    check_result(((epio_op *)op)->result, EPIO_ECANCELED);
}

/* A cancel posted with its op, before the owner runs. */
static void *submit_and_cancel_sleep(void *argument)
{
    void *op = submit_long_sleep(argument);
    epio_cancel(op);
    epio_cancel(op);
    return op;
}

static void cancel_arrives_with_its_op(fixture *f)
{
    submitter one = {.vfs = f->vfs};
    void *op = NULL;
    op = thread_join(start(submit_and_cancel_sleep, &one));
    check_result(epio_loop_run(f->loop), 1);
    check_result(((epio_op *)op)->result, EPIO_ECANCELED);
}

/* ---- Detaching a loop --------------------------------------------------- */

typedef struct detached_loop {
    epio_loop *loop;
    epio_file *file;
} detached_loop;

static void *run_elsewhere(void *argument)
{
    const detached_loop *one = argument;
    char byte = 0;
    epio_op read = {0}, close = {0};
    require(epio_loop_run(one->loop) == 1);
    require(epio_wait(epio_read(&read, one->file, &byte, 1, 0)) == 1 && byte == 'x');
    require(epio_wait(epio_close(&close, one->file)) == 0);
    epio_loop_destroy(one->loop);
    return NULL;
}

/* Opened in this thread, run in another, which delivers what this one submitted. */
static void a_detached_loop_runs_elsewhere(fixture *f)
{
    detached_loop one;
    epio_op op = {0}, write = {0};
    fixture_put(f, "data", "x", 1);
    check_result(epio_loop_create(&one.loop, NULL), 0);
    check_result(epio_wait(epio_open(&op, epio_loop_vfs(one.loop), fixture_path(f, "data"),
                                     EPIO_OPEN_READ | EPIO_OPEN_WRITE)),
                 0);
    one.file = op.file;
    epio_submit(epio_write(&write, one.file, "x", 1, 0));
    epio_loop_detach(one.loop);
    join(start(run_elsewhere, &one));
    check_result(write.result, 1);
}

/* Polls it as its owner, and detaches it. */
static void *take_poll_and_detach(void *argument)
{
    detached_loop *one = argument;
    epio_op op = {0};
    char byte = 0;
    (void)epio_loop_poll(one->loop, 0, 0);
    require(epio_wait(epio_read(&op, one->file, &byte, 1, 0)) == 1);
    require(epio_wait(epio_write(&op, one->file, &byte, 1, 0)) == 1);
    epio_loop_detach(one->loop);
    return NULL;
}

static void loop_is_detached_many_times(fixture *f)
{
    detached_loop one = {.loop = f->loop};
    fixture_put(f, "data", "x", 1);
    one.file = fixture_open(f, "data", EPIO_OPEN_READ | EPIO_OPEN_WRITE);
    epio_loop_detach(f->loop);
    for (unsigned i = 0; i < fixture_rounds(200); i++) {
        join(start(take_poll_and_detach, &one));
    }
    (void)epio_loop_poll(f->loop, 0, 0);
    fixture_close(f, one.file);
}

static void *poll_a_foreign_loop(void *argument)
{
    (void)epio_loop_poll(argument, 0, 0);
    return NULL;
}

static void run_in_the_wrong_thread(const char *argument)
{
    epio_loop *loop;
    (void)argument;
    check_result(epio_loop_create(&loop, NULL), 0);
    join(start(poll_a_foreign_loop, loop));
}

static void running_a_foreign_loop_aborts(fixture *f)
{
    (void)f;
    check_result(run_in_child(run_in_the_wrong_thread, ""), ENDED_BY_ABORT);
}

/* ---- Several loops ------------------------------------------------------ */

typedef struct own_loop {
    const char *path;
    epio_semaphore *semaphore;
    unsigned count;
} own_loop;

static void *use_own_loop(void *argument)
{
    const own_loop *one = argument;
    epio_loop *loop = NULL;
    epio_op op = {0};
    unsigned char page[128], found[128];
    require(epio_loop_create(&loop, NULL) == 0);
    require(epio_wait(epio_open(&op, epio_loop_vfs(loop), one->path,
                                EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)) == 0);
    epio_file *file = op.file;
    for (unsigned i = 0; i < one->count; i++) {
        pattern_fill(page, sizeof page, i);
        require(epio_wait(epio_acquire(&op, epio_loop_vfs(loop), one->semaphore, 1)) == 0);
        require(epio_wait(epio_write(&op, file, page, sizeof page, i)) == sizeof page);
        require(epio_wait(epio_read(&op, file, found, sizeof found, i)) == sizeof found);
        require(memcmp(page, found, sizeof page) == 0);
        epio_semaphore_release(one->semaphore, 1);
    }
    require(epio_wait(epio_close(&op, file)) == 0);
    epio_loop_destroy(loop);
    return NULL;
}

static void several_loops_in_several_threads(fixture *f)
{
    static const char *const names[THREADS] = {"a", "b", "c", "d"};
    own_loop own_loops[THREADS];
    test_thread threads[THREADS];
    epio_semaphore *semaphore = NULL;
    check_result(epio_semaphore_create(&semaphore, 2), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        own_loops[i] = (own_loop){fixture_path(f, names[i]), semaphore, fixture_rounds(500)};
        threads[i] = start(use_own_loop, &own_loops[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        join(threads[i]);
    }
    check(epio_semaphore_available(semaphore) == 2);
    epio_semaphore_destroy(semaphore);
}

/* ---- Waking and stopping ------------------------------------------------ */

static void *wake_later(void *argument)
{
    sleep_ns(20 * MILLISECOND);
    epio_loop_wake(argument);
    return NULL;
}

static void *stop_later(void *argument)
{
    sleep_ns(20 * MILLISECOND);
    epio_loop_stop(argument);
    return NULL;
}

static void wake_and_stop_from_another_thread(fixture *f)
{
    epio_op op = {0};
    epio_submit(epio_sleep(&op, f->vfs, 3600000 * MILLISECOND));
    test_thread thread = start(wake_later, f->loop);
    check_result(epio_loop_poll(f->loop, EPIO_FOREVER, 0), 0);
    join(thread);
    thread = start(stop_later, f->loop);
    check_result(epio_loop_run(f->loop), 0);
    join(thread);
    epio_loop_wake(f->loop); /* before the poll: the poll does not wait either */
    check_result(epio_loop_poll(f->loop, EPIO_FOREVER, 0), 0);
    epio_loop_stop(f->loop);
    check_result(epio_loop_run(f->loop), 0);
    check(epio_op_pending(&op));
    epio_cancel(&op);
    check_result(epio_loop_run(f->loop), 1);
}

/* No wake is lost, however close to the start of the sleep. */
static void *wake_repeatedly(void *argument)
{
    runner *one = argument;
    while (epio_op_pending(&one->forever)) {
        epio_loop_wake(one->loop);
        thread_yield();
    }
    return NULL;
}

static void no_wake_is_lost(fixture *f)
{
    runner one = {.loop = f->loop};
    epio_submit(epio_sleep(&one.forever, f->vfs, 3600000 * MILLISECOND));
    test_thread thread = start(wake_repeatedly, &one);
    for (unsigned i = 0; i < fixture_rounds(1500); i++) {
        check_result(epio_loop_poll(f->loop, EPIO_FOREVER, 0), 0);
    }
    epio_cancel(&one.forever);
    while (epio_op_pending(&one.forever)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    join(thread);
    epio_loop_wake(f->loop);
    check_result(epio_loop_poll(f->loop, EPIO_FOREVER, 0), 0);
}

/* ---- Races with destroy ------------------------------------------------- */

/* The first thread makes a loop; the second uses it in one way and may not
 * touch it once the op was delivered, which lets the first destroy it. */
typedef struct meeting {
    void (*use)(struct meeting *meeting);
    atomic_uint round_started;  /* the round that the second thread may start */
    atomic_uint round_finished; /* the round that it has finished */
    unsigned rounds;
    epio_loop *loop;
    epio_op op;
    atomic_int delivered;
} meeting;

static void *meet(void *argument)
{
    meeting *one = argument;
    for (unsigned round = 1; round <= one->rounds; round++) {
        while (atomic_load(&one->round_started) != round) {
            thread_yield();
        }
        one->use(one);
        atomic_store(&one->round_finished, round);
    }
    return NULL;
}

static void note_delivery(epio_op *op)
{
    meeting *one = op->user;
    atomic_store(&one->delivered, 1);
}

static void submit_and_leave(meeting *one)
{
    one->op.done = note_delivery;
    one->op.user = one;
    epio_submit(epio_current_time(&one->op, epio_loop_vfs(one->loop)));
}

static void submit_and_wait(meeting *one)
{
    require(epio_wait(epio_current_time(&one->op, epio_loop_vfs(one->loop))) > 0);
    atomic_store(&one->delivered, 1);
}

static void cancel_it(meeting *one)
{
    epio_cancel(&one->op);
}

static void wait_for_it(meeting *one)
{
    require(epio_wait(&one->op) > 0);
}

/* The second thread submits; this one destroys as soon as it was delivered. */
static void destroy_after_a_submit(void (*use)(meeting *meeting))
{
    static meeting one;
    memset(&one, 0, sizeof one);
    one.use = use;
    one.rounds = 400; /* in every build: the sanitizers detect it */
    test_thread thread = start(meet, &one);
    for (unsigned round = 1; round <= one.rounds; round++) {
        check_result(epio_loop_create(&one.loop, NULL), 0);
        atomic_store(&one.delivered, 0);
        atomic_store(&one.round_started, round);
        uint64_t delivered = 0;
        for (unsigned polls = 0; delivered == 0; polls++) {
            delivered = epio_loop_poll(one.loop, (round & 1) != 0 ? EPIO_FOREVER : 0, 0);
            if (polls >= 1000) {
                thread_yield(); /* on a busy machine the other may need this processor */
            }
        }
        epio_loop_destroy(one.loop);
        while (atomic_load(&one.round_finished) != round) {
            thread_yield();
        }
        check(atomic_load(&one.delivered) == 1);
    }
    join(thread);
}

static void destroy_while_the_submitter_leaves(fixture *f)
{
    (void)f;
    destroy_after_a_submit(submit_and_leave);
}

static void destroy_while_the_waiter_leaves(fixture *f)
{
    (void)f;
    destroy_after_a_submit(submit_and_wait);
}

/* This thread submits; the second cancels it or waits for it at any moment. */
static void destroy_beside(void (*use)(meeting *meeting))
{
    static meeting one;
    memset(&one, 0, sizeof one);
    one.use = use;
    one.rounds = fixture_rounds(500);
    test_thread thread = start(meet, &one);
    for (unsigned round = 1; round <= one.rounds; round++) {
        check_result(epio_loop_create(&one.loop, NULL), 0);
        epio_submit(epio_current_time(&one.op, epio_loop_vfs(one.loop)));
        atomic_store(&one.round_started, round);
        for (unsigned i = 0; i < round % 64; i++) {
            (void)atomic_load(&one.round_finished);
        }
        check_result(epio_loop_run(one.loop), 1);
        epio_loop_destroy(one.loop);
        while (atomic_load(&one.round_finished) != round) {
            thread_yield();
        }
        check(one.op.result > 0 || one.op.result == EPIO_ECANCELED);
    }
    join(thread);
}

static void destroy_while_another_thread_cancels(fixture *f)
{
    (void)f;
    destroy_beside(cancel_it);
}

static void destroy_while_another_thread_waits(fixture *f)
{
    (void)f;
    destroy_beside(wait_for_it);
}

/* The loop closes while threads submit: everything is delivered. */
static void *submit_until_cancelled(void *argument)
{
    submitter *one = argument;
    for (;;) {
        epio_op op = {0};
        int64_t result = epio_wait(epio_sleep(&op, one->vfs, 1000));
        require(result == 1000 || result == EPIO_ECANCELED);
        if (result == EPIO_ECANCELED) {
            return NULL;
        }
        (void)atomic_fetch_add(&one->calls, 1);
    }
}

static void close_ends_what_threads_submit(fixture *f)
{
    (void)f;
    for (unsigned round = 0; round < fixture_rounds(100) + 1; round++) {
        epio_loop *loop = NULL;
        test_thread threads[THREADS];
        submitter one = {.vfs = NULL};
        check_result(epio_loop_create(&loop, NULL), 0);
        one.vfs = epio_loop_vfs(loop);
        for (unsigned i = 0; i < THREADS; i++) {
            threads[i] = start(submit_until_cancelled, &one);
        }
        while (atomic_load(&one.calls) < 20) {
            (void)epio_loop_poll(loop, MILLISECOND, 0);
        }
        check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
        /* Ops that were too late are cancelled by the next owner. */
        for (unsigned i = 0; i < THREADS; i++) {
            while (!thread_try_join(threads[i])) {
                (void)epio_loop_poll(loop, MILLISECOND / 10, 0);
            }
        }
        epio_loop_destroy(loop);
    }
}

static const fixture_test tests[] = {
    FIXTURE_TEST(waits_from_threads_that_do_not_own_it, ON_OS | ON_LIMIT_OS_3 | ON_MEMORY),
    FIXTURE_TEST(submits_and_cancels_from_several_threads, ON_OS | ON_LIMIT_OS_3 | ON_MEMORY),
    FIXTURE_TEST(chains_from_several_threads, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(waiter_sleeps_until_the_owner_delivers, ON_OS),
    FIXTURE_TEST(sync_covers_writes_of_other_threads, ON_OS | ON_MEMORY),
    FIXTURE_TEST(sync_covers_writes_while_the_owner_runs, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(close_covers_ops_of_other_threads, ON_OS | ON_LIMIT_OS | ON_MEMORY),
    FIXTURE_TEST(cancel_finds_an_op_in_the_inbox, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(cancel_arrives_with_its_op, ON_OS),
    FIXTURE_TEST(a_detached_loop_runs_elsewhere, ON_OS),
    FIXTURE_TEST(loop_is_detached_many_times, ON_OS | ON_LIMIT_OS),
    FIXTURE_TEST(running_a_foreign_loop_aborts, ON_OS),
    FIXTURE_TEST(several_loops_in_several_threads, ON_OS_PERFORM),
    FIXTURE_TEST(wake_and_stop_from_another_thread, ON_OS),
    FIXTURE_TEST(no_wake_is_lost, ON_OS),
    FIXTURE_TEST(destroy_while_the_submitter_leaves, ON_OS_PERFORM),
    FIXTURE_TEST(destroy_while_the_waiter_leaves, ON_OS_PERFORM),
    FIXTURE_TEST(destroy_while_another_thread_cancels, ON_OS_PERFORM),
    FIXTURE_TEST(destroy_while_another_thread_waits, ON_OS_PERFORM),
    FIXTURE_TEST(close_ends_what_threads_submit, ON_OS_PERFORM),
};

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(run_in_the_wrong_thread)};
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("threads", tests);
}
