/* epio-bench peers: epio on each backend, and what a program would use without it. */
#include "comparison.h"

#include <epio/vfs.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Wall-clock seconds, including the time to create files. On a busy machine everything takes
 * longer: --quick then has fewer rounds, so that it ends in 40 s. */
#define QUICK_BUDGET 32
#define QUICK_END 37
#define USUAL_BUDGET 200
#define SECOND UINT64_C(1000000000)

#define KIB 1024u
#define SMALL (4 * KIB)
#define LARGE (64 * KIB)
#define CACHED (8u << 20)  /* bytes of a file that stays in the page cache */
#define DIRECT (64u << 20) /* bytes of a file past the page cache */

struct plan {
    bench_workload workload;
    uint32_t comparison;
};

/* Workloads that wait for the medium, and so may take longer than planned, come first: the others
 * share the rest of the time. */
static const struct plan plans[] = {
    {{"cached read 4 KiB, 64 MiB written beside", BENCH_READ, false, SMALL, 1, CACHED / SMALL},
     BENCH_BESIDE},
    {{"append 4 KiB and sync", BENCH_APPEND, false, SMALL, 1, 0}, BENCH_PEERS},
    {{"append 4 KiB and sync", BENCH_APPEND, false, SMALL, 8, 0}, BENCH_PEERS},
    {{"append 4 KiB and sync", BENCH_APPEND, false, SMALL, 32, 0}, BENCH_PEERS},
    {{"cached read 4 KiB", BENCH_READ, false, SMALL, 1, CACHED / SMALL}, BENCH_PEERS},
    {{"cached read 4 KiB", BENCH_READ, false, SMALL, 32, CACHED / SMALL}, BENCH_PEERS},
    {{"cached read 64 KiB", BENCH_READ, false, LARGE, 1, CACHED / LARGE}, BENCH_PEERS},
    {{"cached read 64 KiB", BENCH_READ, false, LARGE, 32, CACHED / LARGE}, BENCH_PEERS},
    {{"cached overwrite 4 KiB", BENCH_OVERWRITE, false, SMALL, 1, CACHED / SMALL}, BENCH_PEERS},
    {{"cached overwrite 4 KiB", BENCH_OVERWRITE, false, SMALL, 32, CACHED / SMALL}, BENCH_PEERS},
    {{"direct read 4 KiB", BENCH_READ, true, SMALL, 1, DIRECT / SMALL}, BENCH_PEERS},
    {{"direct read 4 KiB", BENCH_READ, true, SMALL, 32, DIRECT / SMALL}, BENCH_PEERS},
    {{"direct write 4 KiB", BENCH_OVERWRITE, true, SMALL, 1, DIRECT / SMALL}, BENCH_PEERS},
    {{"direct write 4 KiB", BENCH_OVERWRITE, true, SMALL, 32, DIRECT / SMALL}, BENCH_PEERS},
    {{"direct mix 4 KiB", BENCH_MIX, true, SMALL, 32, DIRECT / SMALL}, BENCH_PEERS},
    {{"cached read 4 KiB, two layers", BENCH_READ, false, SMALL, 1, CACHED / SMALL}, BENCH_LAYERS},
    {{"cached read 4 KiB, two layers", BENCH_READ, false, SMALL, 32, CACHED / SMALL}, BENCH_LAYERS},
};

#define PLAN_COUNT (sizeof plans / sizeof plans[0])

static bool is_wanted(const bench_options *options, const struct plan *plan)
{
    return options->workload == NULL || strstr(plan->workload.name, options->workload) != NULL;
}

/* One comparison, or one for each backend where epio is compared with itself; if `measures` is
 * false it is only added to the budget. */
static int visit_plan(const bench_options *options, const struct plan *plan, bench_budget *budget,
                      bool measures)
{
    const bench_plan of_engines = {.bench = "peers", .workload = &plan->workload, .budget = budget};
    const char *backends[BENCH_MOST_BACKENDS] = {NULL};
    size_t comparisons = plan->comparison == BENCH_PEERS ? 1 : bench_backends(options, backends);
    size_t i;
    int error = 0;

    for (i = 0; i < comparisons && error == 0; i++) {
        bench_setup setups[BENCH_MOST_CANDIDATES];
        size_t count =
            bench_engines_choose(options, &plan->workload, plan->comparison, backends[i], setups);

        if (measures) {
            error = bench_compare_engines(options, &of_engines, setups, count);
        } else {
            budget->candidates += count;
        }
    }
    return error;
}

static int visit_plans(const bench_options *options, bench_budget *budget, bool measures)
{
    size_t i;
    int error = 0;

    for (i = 0; i < PLAN_COUNT && error == 0; i++) {
        if (is_wanted(options, &plans[i])) {
            error = visit_plan(options, &plans[i], budget, measures);
        }
    }
    return error;
}

static int report_unknown(const bench_options *options)
{
    size_t i;

    fprintf(stderr, "epio-bench peers: no workload has '%s' in its name:\n", options->workload);
    for (i = 0; i < PLAN_COUNT; i++) {
        if (i == 0 || strcmp(plans[i].workload.name, plans[i - 1].workload.name) != 0) {
            fprintf(stderr, "  %s\n", plans[i].workload.name);
        }
    }
    return BENCH_USAGE;
}

static int run_peers(const bench_options *options)
{
    uint64_t now = epio_clock_monotonic();
    bench_budget budget = {.deadline =
                               now + (options->quick ? QUICK_BUDGET : USUAL_BUDGET) * SECOND,
                           .end = options->quick ? now + QUICK_END * SECOND : 0};

    visit_plans(options, &budget, false);
    return budget.candidates == 0 ? report_unknown(options) : visit_plans(options, &budget, true);
}

const bench_command bench_peers_command = {
    .name = "peers",
    .summary = "epio beside blocking calls, threads, liburing, libuv and POSIX AIO",
    .help =
        "Compares epio, on each backend, with those that do the same work without it and\n"
        "were found when this was built. Engines take turns within each round; ratios are\n"
        "taken within a round, and printed with their quartiles: to one thread's blocking\n"
        "calls, to the same by a call that reads only what is cached (NOWAIT), to blocking\n"
        "threads, and to the best peer, the fastest engine that one thread drives (liburing,\n"
        "libuv, POSIX AIO). Of appends the ideal is one thread that writes for all tasks and\n"
        "flushes once.\n"
        "\n"
        "Modes: 'alone' is a loop that only waits, and carries out itself what it would hand\n"
        "over; 'handed over' one that a second thread has used once, so that workers write\n"
        "and flush; 'inline' one with inline_writes. By poll: epio_loop_poll delivers each\n"
        "result. Of a mix, three of ten operations are writes. Blocks that were read are checked.\n"
        "Latencies come from the last fifth of each turn, which does not count for the rate,\n"
        "as reading the clock takes a while. --workload takes a part of a name.",
    .options =
        BENCH_BUSY | BENCH_ROUNDS | BENCH_SECONDS | BENCH_WORKLOAD | BENCH_QUICK | BENCH_PLOT,
    .defaults = {.rounds = 15, .path = "."},
    .run = run_peers,
};
