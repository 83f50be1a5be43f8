/* commits: tasks that each commit one row after another, durably: threads with connections of their
 * own, databases of epio's, and one thread that commits for all. */
#include "sqlite.h"
#include "system.h"

#include <epio/vfs.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define DATABASE "commits"

/* Before the clock starts; every commit is durable. */
#define SETTINGS "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"

static int begin_empty(const bench_sqlite *bench)
{
    sqlite3 *connection = NULL;
    int error;

    bench_sqlite_delete(bench, DATABASE);
    error = bench_sqlite_connect(bench, DATABASE, NULL, &connection);
    if (error == 0) {
        error = bench_sqlite_run(connection, SETTINGS "; " BENCH_SQLITE_TABLE);
    }
    sqlite3_close(connection);
    return error;
}

/* Every commit that was acknowledged is one row. */
static int check_rows(const bench_sqlite *bench, uint64_t commits)
{
    int64_t rows = bench_sqlite_ask(bench, DATABASE, "SELECT count(*) FROM written");

    if (rows == (int64_t)commits) {
        return 0;
    }
    fprintf(stderr, "epio-bench sqlite: %lld rows of %llu commits\n", (long long)rows,
            (unsigned long long)commits);
    return EXIT_FAILURE;
}

static uint64_t end_of_turn(const bench_sqlite *bench)
{
    return epio_clock_monotonic() + (uint64_t)(bench->options->seconds * 1e9);
}

struct clocks {
    uint64_t began;
    uint64_t cpu;
};

static struct clocks start_clocks(void)
{
    return (struct clocks){epio_clock_monotonic(), bench_cpu_time()};
}

static void stop_clocks(const struct clocks *clocks, uint64_t commits, bench_sqlite_turn *turn)
{
    turn->cpu_us = (double)(bench_cpu_time() - clocks->cpu) / 1e3 / (double)commits;
    turn->rate = (double)commits * 1e9 / (double)(epio_clock_monotonic() - clocks->began);
}

/* ---- Threads with stock connections ------------------------------------------ */

struct committer {
    bench_thread thread;
    sqlite3 *connection;
    sqlite3_stmt *insert;
    uint64_t number;
    uint64_t end;
    uint64_t commits;
    int error;
    bench_histogram latencies;
};

static int committer_open(const bench_sqlite *bench, struct committer *committer)
{
    int error = bench_sqlite_connect(bench, DATABASE, NULL, &committer->connection);

    if (error == 0) {
        error = bench_sqlite_run(committer->connection, SETTINGS);
    }
    if (error == 0) {
        error = bench_sqlite_check(committer->connection,
                                   sqlite3_prepare_v2(committer->connection, BENCH_SQLITE_INSERT,
                                                      -1, &committer->insert, NULL));
    }
    return error;
}

static int insert_one(sqlite3 *connection, sqlite3_stmt *insert, uint64_t task, uint64_t number)
{
    int code;

    sqlite3_bind_int64(insert, 1, (int64_t)task);
    sqlite3_bind_int64(insert, 2, (int64_t)number);
    sqlite3_step(insert);
    code = sqlite3_reset(insert);
    return bench_sqlite_check(connection, code);
}

static void commit_by_thread(void *argument)
{
    struct committer *committer = argument;
    uint64_t began = epio_clock_monotonic(), now;

    while (committer->error == 0 && began < committer->end) {
        committer->error = insert_one(committer->connection, committer->insert, committer->number,
                                      committer->commits);
        now = epio_clock_monotonic();
        bench_histogram_record(&committer->latencies, now - began);
        began = now;
        committer->commits += committer->error == 0;
    }
}

static int run_committers(const bench_sqlite *bench, struct committer *committers, uint64_t count,
                          bench_sqlite_turn *turn)
{
    struct clocks clocks = start_clocks();
    uint64_t end = end_of_turn(bench), started = 0, commits = 0, i;
    int error = 0;

    for (; started < count && error == 0; started++) {
        struct committer *one = &committers[started];

        one->thread.function = commit_by_thread;
        one->thread.argument = one;
        one->number = started;
        one->end = end;
        if (!bench_thread_start(&one->thread)) {
            error = EPIO_ENOMEM;
            break;
        }
    }
    for (i = 0; i < started; i++) {
        bench_thread_join(&committers[i].thread);
        commits += committers[i].commits;
        error = error != 0 ? error : committers[i].error;
        bench_histogram_add(turn->latencies, &committers[i].latencies);
    }
    stop_clocks(&clocks, commits, turn);
    return error != 0 ? error : check_rows(bench, commits);
}

static int run_threads(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    uint64_t count = bench->options->writers, i;
    struct committer *committers = calloc((size_t)count, sizeof *committers);
    int error = committers != NULL ? begin_empty(bench) : EPIO_ENOMEM;

    (void)kind;
    for (i = 0; i < count && error == 0; i++) {
        error = committer_open(bench, &committers[i]);
    }
    if (error == 0) {
        error = run_committers(bench, committers, count, turn);
    }
    for (i = 0; i < count && committers != NULL; i++) {
        sqlite3_finalize(committers[i].insert);
        sqlite3_close(committers[i].connection);
    }
    free(committers);
    return error;
}

/* ---- One thread that commits for all tasks ------------------------------------ */

static int commit_group(const bench_sqlite *bench, struct committer *committer)
{
    sqlite3 *connection = committer->connection;
    uint64_t i;
    int error = bench_sqlite_run(connection, "BEGIN IMMEDIATE");

    for (i = 0; i < bench->options->writers && error == 0; i++) {
        error = bench_sqlite_run(connection, "SAVEPOINT task");
        if (error == 0) {
            error = insert_one(connection, committer->insert, i, committer->commits);
        }
        if (error == 0) {
            error = bench_sqlite_run(connection, "RELEASE task");
        }
    }
    return error == 0 ? bench_sqlite_run(connection, "COMMIT") : error;
}

static int run_ideal(const bench_sqlite *bench, int kind, bench_sqlite_turn *turn)
{
    struct committer committer = {0};
    struct clocks clocks;
    uint64_t end, began, now;
    int error = begin_empty(bench);

    (void)kind;
    if (error == 0) {
        error = committer_open(bench, &committer);
    }
    clocks = start_clocks();
    end = end_of_turn(bench);
    began = clocks.began;
    while (error == 0 && began < end) {
        error = commit_group(bench, &committer);
        now = epio_clock_monotonic();
        bench_histogram_record(turn->latencies, now - began);
        began = now;
        committer.commits += bench->options->writers;
    }
    stop_clocks(&clocks, committer.commits, turn);
    sqlite3_finalize(committer.insert);
    sqlite3_close(committer.connection);
    return error != 0 ? error : check_rows(bench, committer.commits);
}

/* ---- epio's ---------------------------------------------------------------------- */

struct bench_sqlite_writer {
    epio_op op;
    bench_sqlite_writers *all;
    epio_value values[2];
    epio_parameters parameters;
    uint64_t began;
};

static void commit_next(struct bench_sqlite_writer *writer);

static void on_commit(epio_op *op)
{
    struct bench_sqlite_writer *writer = op->user;
    bench_sqlite_writers *all = writer->all;

    if (op->result < 0) {
        all->error = op->result;
        return;
    }
    all->commits++;
    if (all->latencies != NULL) {
        bench_histogram_record(all->latencies, epio_clock_monotonic() - writer->began);
    }
    if (all->error == 0) {
        commit_next(writer);
    }
}

static void commit_next(struct bench_sqlite_writer *writer)
{
    writer->began = epio_clock_monotonic();
    if (writer->began < writer->all->end) {
        writer->values[1].is.integer++;
        epio_submit(epio_db_execute(&writer->op, writer->all->db, BENCH_SQLITE_INSERT,
                                    &writer->parameters));
    }
}

int bench_sqlite_writers_start(bench_sqlite_writers *writers, uint64_t tasks)
{
    uint64_t i;

    writers->all = calloc((size_t)tasks, sizeof *writers->all);
    if (writers->all == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < tasks; i++) {
        struct bench_sqlite_writer *one = &writers->all[i];

        one->all = writers;
        one->op.done = on_commit;
        one->op.user = one;
        one->values[0].type = EPIO_VALUE_INTEGER;
        one->values[0].is.integer = (int64_t)i;
        one->values[1].type = EPIO_VALUE_INTEGER;
        one->parameters.size = sizeof one->parameters;
        one->parameters.values = one->values;
        one->parameters.count = 2;
        commit_next(one);
    }
    return 0;
}

void bench_sqlite_writers_free(bench_sqlite_writers *writers)
{
    free(writers->all);
}

/* `grouped`: transactions that wait at the same time share a commit. */
static int run_db(const bench_sqlite *bench, int grouped, bench_sqlite_turn *turn)
{
    epio_db_options options = {.size = sizeof options};
    bench_sqlite_db opened = {0};
    bench_sqlite_writers writers = {.latencies = turn->latencies};
    struct clocks clocks;
    int error = begin_empty(bench);

    options.group = grouped ? (uint32_t)bench->options->writers : 0;
    if (error == 0) {
        error = bench_sqlite_open(bench, DATABASE, &options, &opened);
    }
    if (error == 0) {
        clocks = start_clocks();
        writers.db = opened.db;
        writers.end = end_of_turn(bench);
        error = bench_sqlite_writers_start(&writers, bench->options->writers);
        epio_loop_run(opened.loop);
        stop_clocks(&clocks, writers.commits, turn);
        error = error != 0 ? error : (int)writers.error;
    }
    error = bench_sqlite_close(&opened, error);
    bench_sqlite_writers_free(&writers);
    return error != 0 ? error : check_rows(bench, writers.commits);
}

int bench_sqlite_commits(const bench_sqlite *bench)
{
    static const bench_sqlite_engine engines[] = {
        {"stock, a thread for each", 0, run_threads},
        {"epio_db", 0, run_db},
        {"epio_db, group commit", 1, run_db},
        {"one thread, savepoints", 0, run_ideal},
    };
    char what[80];
    int error;

    snprintf(what, sizeof what, "durable commits of %llu tasks",
             (unsigned long long)bench->options->writers);
    error = bench_sqlite_compare(bench, "commits", bench->options->writers, what, engines,
                                 sizeof engines / sizeof engines[0]);
    bench_sqlite_delete(bench, DATABASE);
    return error;
}
