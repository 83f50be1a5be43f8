/* What every host of an embedded loop has to do: see host.h. */
#include "host.h"

#include "support.h"

#if EPIO_ASYNC

#define PATIENCE_MS 20000
/* In which nothing may happen. */
#define SILENCE_MS 50
#define HOUR (UINT64_C(3600000) * MILLISECOND)

static const host *tested;
static uint64_t polls;

uint64_t host_poll(epio_loop *loop, uint64_t timeout_ns, uint32_t max)
{
    polls++;
    return epio_loop_poll(loop, timeout_ns, max);
}

void host_require(bool holds, const char *what)
{
    require_at(holds, what, tested != NULL ? tested->name : "a host", 0);
}

/* ---- Running the host ----------------------------------------------------- */

static void run_until(const int *count, int wanted)
{
    uint64_t late_at = system_monotonic_ns() + PATIENCE_MS * MILLISECOND;
    while (*count < wanted) {
        check(system_monotonic_ns() < late_at);
        tested->iterate(PATIENCE_MS);
    }
}

static void run_for(int milliseconds)
{
    uint64_t end = system_monotonic_ns() + (uint64_t)milliseconds * MILLISECOND;
    uint64_t now;
    while ((now = system_monotonic_ns()) < end) {
        tested->iterate((int)((end - now) / MILLISECOND) + 1);
    }
}

/* After the last delivery the handle may still be ready, once or twice. */
static void check_silence(void)
{
    run_for(SILENCE_MS);
    uint64_t before = polls;
    run_for(SILENCE_MS);
    check_result(polls - before, 0);
}

static void begin(fixture *f)
{
    (void)f;
    polls = 0;
    tested->start();
}

static void add_one(void *user)
{
    int *count = user;
    ++*count;
}

/* The host still works, without epio. */
static void end(void)
{
    int calls = 0;
    tested->post(add_one, &calls);
    run_until(&calls, 1);
    tested->stop();
}

/* ---- Ops -------------------------------------------------------------------- */

#define WRITES 20

typedef struct chain {
    fixture *f;
    epio_op ops[WRITES + 2];
    epio_file *file;
    char data[64];
    int delivered;
    int all; /* submitted */
    int closed;
} chain;

static epio_op *chain_op(chain *one, void (*done)(epio_op *op))
{
    epio_op *op = &one->ops[one->all++];
    op->done = done;
    op->user = one;
    return op;
}

static void chain_closed(epio_op *op)
{
    chain *one = op->user;
    check_result(op->result, 0);
    one->closed = 1;
}

static void chain_step(epio_op *op)
{
    chain *one = op->user;
    check(op->result >= 0);
    if (++one->delivered == one->all) {
        op->done = chain_closed;
        epio_submit(epio_close(op, one->file));
    }
}

static void chain_opened(epio_op *op)
{
    chain *one = op->user;
    check_result(op->result, 0);
    one->file = op->file;
    one->all = 0;
    for (uint64_t i = 0; i < WRITES; i++) {
        epio_submit(epio_write(chain_op(one, chain_step), one->file, one->data, 64, 64 * i));
    }
    epio_submit(epio_sync(chain_op(one, chain_step), one->file, 0));
    epio_submit(epio_sleep(chain_op(one, chain_step), one->f->vfs, 5 * MILLISECOND));
}

static void run_chain(fixture *f)
{
    chain one = {.f = f};
    epio_submit(epio_open(chain_op(&one, chain_opened), f->vfs, fixture_path(f, "data"),
                          EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE));
    run_until(&one.closed, 1);
    check_result(one.delivered, WRITES + 2);
}

static void ops_complete(fixture *f)
{
    begin(f);
    tested->attach(f->loop);
    run_chain(f);
    run_chain(f);
    tested->detach();
    end();
}

static void ops_that_were_ready_complete(fixture *f)
{
    epio_op ops[4] = {{0}, {0}, {0}, {0}};
    int calls = 0;
    begin(f);
    for (int i = 0; i < 4; i++) {
        epio_submit(epio_sleep(count_delivery(&ops[i], &calls), f->vfs, 1));
    }
    tested->attach(f->loop);
    run_until(&calls, 4);
    tested->detach();
    end();
}

typedef struct submitter {
    fixture *f;
    epio_op *op;
} submitter;

static void *submit_one(void *argument)
{
    submitter *one = argument;
    epio_submit(epio_access(one->op, one->f->vfs, one->f->directory, EPIO_ACCESS_EXISTS));
    return NULL;
}

static void other_threads_submit(fixture *f)
{
    begin(f);
    tested->attach(f->loop);
    check_silence();
    for (int i = 0; i < 20; i++) {
        epio_op op = {0};
        int calls = 0;
        submitter one = {f, count_delivery(&op, &calls)};
        test_thread thread;
        thread_start(&thread, submit_one, &one);
        run_until(&calls, 1);
        check_result(op.result, 1);
        (void)thread_join(thread);
    }
    tested->detach();
    end();
}

/* ---- Silence ------------------------------------------------------------------ */

static void nothing_wakes_while_nothing_happens(fixture *f)
{
    epio_op op = {0};
    int calls = 0;
    begin(f);
    tested->attach(f->loop);
    check_silence();
    epio_submit(epio_sleep(count_delivery(&op, &calls), f->vfs, HOUR));
    check_silence();
    epio_cancel(&op);
    run_until(&calls, 1);
    run_chain(f);
    check_silence();
    tested->detach();
    end();
}

/* ---- Cancelling ----------------------------------------------------------------- */

static void cancel_it(void *user)
{
    epio_cancel(user);
}

static void the_host_cancels(fixture *f)
{
    epio_op op = {0};
    int calls = 0;
    begin(f);
    tested->attach(f->loop);
    epio_submit(epio_sleep(count_delivery(&op, &calls), f->vfs, HOUR));
    tested->post(cancel_it, &op);
    run_until(&calls, 1);
    check_result(op.result, EPIO_ECANCELED);
    op.timeout_ns = 5 * MILLISECOND;
    epio_submit(epio_sleep(&op, f->vfs, HOUR));
    run_until(&calls, 2);
    check_result(op.result, EPIO_ETIMEDOUT);
    tested->detach();
    end();
}

/* ---- The end ------------------------------------------------------------------------ */

typedef struct closing {
    epio_loop *loop;
    int closed;
} closing;

static void close_loop(void *user)
{
    closing *one = user;
    check_result(epio_loop_close(one->loop, EPIO_FOREVER), 0);
    one->closed = 1;
}

static void the_loop_is_closed_while_the_host_runs(fixture *f)
{
    closing one = {0};
    epio_op ops[2] = {{0}, {0}};
    int calls = 0;
    begin(f);
    check_result(epio_loop_create(&one.loop, NULL), 0);
    tested->attach(one.loop);
    epio_submit(epio_sleep(count_delivery(&ops[0], &calls), epio_loop_vfs(one.loop), HOUR));
    epio_submit(epio_sleep(count_delivery(&ops[1], &calls), epio_loop_vfs(one.loop), 1));
    tested->post(close_loop, &one);
    run_until(&one.closed, 1);
    check_result(calls, 2);
    check_result(ops[0].result, EPIO_ECANCELED);
    check_silence();
    tested->detach();
    epio_loop_destroy(one.loop);
    end();
}

static void detach_in_done(epio_op *op)
{
    int *calls = op->user;
    ++*calls;
    tested->detach();
}

static void a_done_detaches(fixture *f)
{
    epio_op ops[5] = {{0}, {0}, {0}, {0}, {0}};
    int first = 0;
    int others = 0;
    begin(f);
    tested->attach(f->loop);
    ops[0].done = detach_in_done;
    ops[0].user = &first;
    epio_submit(epio_sleep(&ops[0], f->vfs, MILLISECOND));
    for (int i = 1; i < 5; i++) {
        epio_submit(epio_sleep(count_delivery(&ops[i], &others), f->vfs, 20 * MILLISECOND));
    }
    run_until(&first, 1);
    uint64_t before = polls;
    run_for(SILENCE_MS);
    check_result(polls - before, 0);
    while (others < 4) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    end();
}

/* What is in flight at the detach is delivered by the loop itself; another attach goes on. */
static void detached_and_attached_again(fixture *f)
{
    epio_op ops[2] = {{0}, {0}};
    int calls = 0;
    begin(f);
    for (int i = 0; i < 3; i++) {
        tested->attach(f->loop);
        epio_submit(epio_sleep(count_delivery(&ops[0], &calls), f->vfs, MILLISECOND));
        run_until(&calls, 2 * i + 1);
        epio_submit(epio_sleep(count_delivery(&ops[1], &calls), f->vfs, MILLISECOND));
        tested->detach();
        (void)epio_loop_run(f->loop);
        check_result(calls, 2 * i + 2);
    }
    end();
}

/* Ready and not polled at the detach: no event that the host still has may touch the loop. */
static void detached_and_destroyed_with_events_in_the_host(fixture *f)
{
    begin(f);
    for (int i = 0; i < 20; i++) {
        epio_loop *loop;
        epio_op op = {0};
        int calls = 0;
        check_result(epio_loop_create(&loop, NULL), 0);
        tested->attach(loop);
        epio_submit(epio_access(count_delivery(&op, &calls), epio_loop_vfs(loop), f->directory,
                                EPIO_ACCESS_EXISTS));
        if (i % 2 != 0) {
            thread_yield();
        }
        tested->detach();
        epio_loop_destroy(loop);
        check_result(calls, 1);
    }
    run_for(SILENCE_MS);
    end();
}

/* ---- A busy loop ------------------------------------------------------------------------ */

#define TICKS 200

typedef struct busy {
    epio_vfs *vfs;
    epio_op op;
    uint64_t delivered;
    int stopping;
    int ended;
    uint64_t polls_when_posted;
    int drawings;
    int ticks;
} busy;

static void draw(void *user)
{
    busy *one = user;
    check_result(polls, one->polls_when_posted);
    one->drawings++;
}

static void post_drawing(busy *one)
{
    if (tested->post_drawing != NULL) {
        one->polls_when_posted = polls;
        tested->post_drawing(draw, one);
    }
}

static void busy_again(epio_op *op)
{
    busy *one = op->user;
    one->delivered++;
    if (one->stopping) {
        one->ended = 1;
        return;
    }
    if (one->delivered % 7 == 0) {
        post_drawing(one);
    }
    epio_submit(epio_sleep(op, one->vfs, 1));
}

static void tick(void *user)
{
    busy *one = user;
    post_drawing(one);
    if (++one->ticks < TICKS) {
        tested->post(tick, one);
    }
}

/* The loop always has something to do; what the host has goes on, and drawing goes first. */
static void a_busy_loop_leaves_time(fixture *f)
{
    epio_loop_options options = {.size = sizeof options, .poll_budget_ns = 1};
    busy one = {0};
    epio_loop *loop;
    begin(f);
    check_result(epio_loop_create(&loop, &options), 0);
    one.vfs = epio_loop_vfs(loop);
    one.op.done = busy_again;
    one.op.user = &one;
    tested->attach(loop);
    epio_submit(epio_sleep(&one.op, one.vfs, 1));
    tested->post(tick, &one);
    run_until(&one.ticks, TICKS);
    if (tested->post_drawing != NULL) {
        run_until(&one.drawings, TICKS);
    }
    one.stopping = 1;
    run_until(&one.ended, 1);
    run_for(1);
    check(tested->post_drawing == NULL || one.drawings >= TICKS);
    tested->detach();
    epio_loop_destroy(loop);
    end();
}

/* ---- A `done` that runs the host ----------------------------------------------------------- */

typedef struct nested {
    epio_vfs *vfs;
    epio_op inner;
    int inner_calls;
    int outer_calls;
    bool detaches;
} nested;

static void run_host(epio_op *op)
{
    nested *one = op->user;
    epio_submit(epio_sleep(count_delivery(&one->inner, &one->inner_calls), one->vfs, MILLISECOND));
    run_until(&one->inner_calls, 1);
    if (one->detaches) {
        tested->detach();
    }
    one->outer_calls++;
}

static void run_nested(fixture *f, bool detaches)
{
    nested one = {.vfs = f->vfs, .detaches = detaches};
    epio_op op = {0};
    begin(f);
    tested->attach(f->loop);
    op.done = run_host;
    op.user = &one;
    epio_submit(epio_sleep(&op, f->vfs, MILLISECOND));
    run_until(&one.outer_calls, 1);
    if (!detaches) {
        check_silence();
        tested->detach();
    }
    end();
}

static void a_done_runs_the_host(fixture *f)
{
    if (!tested->nests) {
        fixture_skip(f, "it cannot be run in one of its callbacks");
    }
    run_nested(f, false);
}

static void a_done_runs_the_host_and_detaches(fixture *f)
{
    if (!tested->nests) {
        fixture_skip(f, "it cannot be run in one of its callbacks");
    }
    run_nested(f, true);
}

int host_run(const host *one)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(ops_complete, ON_OS | ON_MEMORY | ON_LIMIT_OS),
        FIXTURE_TEST(ops_that_were_ready_complete, ON_OS),
        FIXTURE_TEST(other_threads_submit, ON_OS),
        FIXTURE_TEST(nothing_wakes_while_nothing_happens, ON_OS),
        FIXTURE_TEST(the_host_cancels, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(the_loop_is_closed_while_the_host_runs, ON_OS),
        FIXTURE_TEST(a_done_detaches, ON_OS),
        FIXTURE_TEST(detached_and_attached_again, ON_OS),
        FIXTURE_TEST(detached_and_destroyed_with_events_in_the_host, ON_OS),
        FIXTURE_TEST(a_busy_loop_leaves_time, ON_OS),
        FIXTURE_TEST(a_done_runs_the_host, ON_OS),
        FIXTURE_TEST(a_done_runs_the_host_and_detaches, ON_OS),
    };
    tested = one;
    return FIXTURE_RUN(one->name, tests);
}

#endif
