/* cancel: how long a query that would go on for minutes goes on after its cancel, or its deadline;
 * and that the next query runs. */
#include "sqlite.h"
#include "system.h"

#include <epio/vfs.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define DATABASE "cancel"
#define ROWS 20000u
#define LONG_QUERY "SELECT sum(a.n + b.n) FROM t AS a, t AS b WHERE a.text < b.text"

/* A query runs for 1 to 3 ms, a different time each. */
static uint64_t delay_of(uint64_t i)
{
    return 1000000 + i * 7919 % 2000 * 1000;
}

/* ---- epio's ----------------------------------------------------------------- */

struct cancels {
    epio_op query;
    epio_op timer;
    epio_rows *rows;
    int64_t result;
    uint64_t asked;
    uint64_t ended;
};

static void on_free(epio_op *op)
{
    struct cancels *cancels = op->user;

    cancels->ended = epio_clock_monotonic();
}

/* The statement has ended when the end of its query has: its connection is free. */
static void on_end(epio_op *op)
{
    struct cancels *cancels = op->user;

    cancels->result = op->result;
    op->done = on_free;
    op->timeout_ns = 0;
    epio_submit(epio_db_end(op, cancels->rows));
}

static void on_time(epio_op *op)
{
    struct cancels *cancels = op->user;

    cancels->asked = epio_clock_monotonic();
    epio_cancel(&cancels->query);
}

/* One query, that is cancelled by a timer of the loop, or by its own. */
static int64_t cancel_once(const bench_sqlite_db *opened, struct cancels *cancels, uint64_t delay,
                           bool deadline)
{
    epio_op op = {0};
    int64_t result = epio_wait(epio_db_query(&op, opened->db, &cancels->rows, LONG_QUERY, NULL));

    if (result < 0) {
        return result;
    }
    cancels->query.done = on_end;
    cancels->query.user = cancels;
    cancels->query.timeout_ns = deadline ? delay : 0;
    cancels->asked = epio_clock_monotonic() + delay; /* of a deadline */
    epio_submit(epio_db_next(&cancels->query, cancels->rows, 1));
    if (!deadline) {
        cancels->timer.done = on_time;
        cancels->timer.user = cancels;
        epio_submit(epio_sleep(&cancels->timer, epio_loop_vfs(opened->loop), delay));
    }
    epio_loop_run(opened->loop);
    return cancels->result == (deadline ? EPIO_ETIMEDOUT : EPIO_ECANCELED) ? 0 : EPIO_EUNKNOWN;
}

/* The connection is as it was. */
static int64_t query_once(const bench_sqlite_db *opened)
{
    epio_rows *rows;
    epio_op op = {0};
    int64_t result = epio_wait(epio_db_query(&op, opened->db, &rows, "SELECT 1", NULL)), found;

    if (result < 0) {
        return result;
    }
    found = epio_wait(epio_db_next(&op, rows, 1));
    epio_wait(epio_db_end(&op, rows));
    return found == 1 ? 0 : found;
}

static int run_cancels(const bench_sqlite *bench, int deadline, bench_sqlite_turn *turn)
{
    bench_sqlite_db opened = {0};
    struct cancels cancels = {.asked = 0};
    int64_t result = bench_sqlite_open(bench, DATABASE, NULL, &opened);
    uint64_t i;

    for (i = 0; i < bench->options->cancels && result == 0; i++) {
        result = cancel_once(&opened, &cancels, delay_of(i), deadline != 0);
        bench_histogram_record(turn->latencies,
                               cancels.ended > cancels.asked ? cancels.ended - cancels.asked : 0);
        if (result == 0) {
            result = query_once(&opened);
        }
        if (bench_interrupted()) {
            result = EPIO_ECANCELED;
        }
    }
    return bench_sqlite_close(&opened, (int)result);
}

/* ---- By hand -------------------------------------------------------------------- */

struct interrupts {
    bench_thread thread;
    sqlite3 *connection;
    sqlite3_stmt *query;
    atomic_bool stopped;
    uint64_t ended;
    int code;
};

static void step_by_thread(void *argument)
{
    struct interrupts *interrupts = argument;

    interrupts->code = sqlite3_step(interrupts->query);
    interrupts->ended = epio_clock_monotonic();
    atomic_store(&interrupts->stopped, true);
}

static void sleep_for(uint64_t nanoseconds)
{
    epio_op op = {0};

    epio_perform(epio_sleep(&op, epio_os_vfs(), nanoseconds));
}

static int interrupt_once(struct interrupts *interrupts, uint64_t delay, bench_histogram *latencies)
{
    uint64_t asked;

    atomic_store(&interrupts->stopped, false);
    interrupts->thread.function = step_by_thread;
    interrupts->thread.argument = interrupts;
    if (!bench_thread_start(&interrupts->thread)) {
        return EPIO_ENOMEM;
    }
    sleep_for(delay);
    asked = epio_clock_monotonic();
    sqlite3_interrupt(interrupts->connection);
    while (!atomic_load(&interrupts->stopped)) { /* it may have come before the query */
        sleep_for(1000000);
        sqlite3_interrupt(interrupts->connection);
    }
    bench_thread_join(&interrupts->thread);
    bench_histogram_record(latencies, interrupts->ended > asked ? interrupts->ended - asked : 0);
    sqlite3_reset(interrupts->query);
    return interrupts->code == SQLITE_INTERRUPT
               ? 0
               : bench_sqlite_check(interrupts->connection, interrupts->code);
}

static int run_interrupts(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    struct interrupts interrupts = {.code = 0};
    int error = bench_sqlite_connect(bench, DATABASE, NULL, &interrupts.connection);
    uint64_t i;

    (void)kind;
    atomic_init(&interrupts.stopped, false);
    if (error == 0) {
        error = bench_sqlite_check(
            interrupts.connection,
            sqlite3_prepare_v2(interrupts.connection, LONG_QUERY, -1, &interrupts.query, NULL));
    }
    for (i = 0; i < bench->options->cancels && error == 0; i++) {
        error = bench_interrupted() ? EPIO_ECANCELED
                                    : interrupt_once(&interrupts, delay_of(i), turn->latencies);
    }
    sqlite3_finalize(interrupts.query);
    sqlite3_close(interrupts.connection);
    return error;
}

int bench_sqlite_cancel(const bench_sqlite *bench)
{
    static const bench_sqlite_engine engines[] = {
        {"sqlite3_interrupt, a thread", 0, run_interrupts},
        {"epio_cancel", 0, run_cancels},
        {"timeout_ns", 1, run_cancels},
    };
    char what[80];
    int error = bench_sqlite_make_rows(bench, DATABASE, ROWS);

    snprintf(what, sizeof what, "from the cancel to the end of a query, %llu times in a round",
             (unsigned long long)bench->options->cancels);
    if (error == 0) {
        error = bench_sqlite_compare(bench, "cancel", 1, what, engines,
                                     sizeof engines / sizeof engines[0]);
    }
    bench_sqlite_delete(bench, DATABASE);
    return error;
}
