/* Engines as the candidates of a comparison: opened on one target, with turns that fit into the
 * time. */
#include "comparison.h"

#include <epio/vfs.h>

#include <stdio.h>

/* A shorter turn means nothing, a longer one adds nothing. */
#define LEAST_SECONDS 0.001
#define MOST_SECONDS 0.12

/* Length of the warm-up turn before the first round, as a part of one that counts. */
#define ROUNDS_TO_WARM_UP 0.2

/* If another library cannot run here, for lack of memory or the like, the others are compared all
 * the same. */
static int try_peer(const bench_workload *workload, const bench_candidate *candidate)
{
    bench_turn turn = {.nanoseconds = (uint64_t)(LEAST_SECONDS * 1e9), .depth = workload->depth};
    int error = bench_engine_run(candidate->instance, &turn);
    char text[128];

    if (error == 0 || error == EPIO_ENOTSUP) {
        return error;
    }
    snprintf(text, sizeof text, "leaves out %s of '%s', depth %u", candidate->name, workload->name,
             (unsigned int)workload->depth);
    bench_report_error(text, error);
    return EPIO_ENOTSUP;
}

static int open_candidate(bench_comparison *comparison, const bench_setup *setup)
{
    const bench_engine *engine = setup->engine;
    bool opened = setup->slots != 0 && comparison->count > 0;
    bench_instance *instance = &comparison->instances[opened ? 0 : comparison->instance_count++];
    int error = opened ? 0 : bench_engine_open(instance, setup);
    bench_candidate candidate = {.name = engine->name,
                                 .backend = setup->backend,
                                 .mode = engine->mode,
                                 .depth = setup->depth,
                                 .roles = engine->roles | setup->roles,
                                 .timed = comparison->plan->detailed ||
                                          (engine->with & BENCH_WITH_TIMES) != 0,
                                 .instance = instance};

    if (candidate.depth == 0) {
        candidate.depth = comparison->plan->workload->depth;
    }
    if (error == 0 && setup->backend == NULL) {
        error = try_peer(comparison->plan->workload, &candidate);
    }
    if (error == 0) {
        comparison->candidates[comparison->count++] = candidate;
    }
    return error == EPIO_ENOTSUP ? 0 : error;
}

static double seconds_of_turn(const bench_options *options, const bench_budget *budget)
{
    uint64_t now = epio_clock_monotonic();
    double left, turns, seconds;

    if (options->seconds > 0 || budget == NULL) {
        return options->seconds;
    }
    left = now < budget->deadline ? (double)(budget->deadline - now) / 1e9 : 0;
    turns = (double)budget->candidates * ((double)options->rounds + ROUNDS_TO_WARM_UP);
    seconds = left / turns;
    if (seconds < LEAST_SECONDS) {
        return LEAST_SECONDS;
    }
    return seconds < MOST_SECONDS ? seconds : MOST_SECONDS;
}

/* Its share of the time, and 20 % more for what precedes the turns; or 10 % of all the time, as
 * some turns wait for the medium, however short they are to be. */
static uint64_t deadline_of(const bench_budget *budget, size_t candidates)
{
    uint64_t now = epio_clock_monotonic(), left, share;

    if (budget == NULL || budget->end == 0) {
        return 0;
    }
    left = now < budget->deadline ? budget->deadline - now : 0;
    share = left * candidates / budget->candidates * 6 / 5;
    return now + (share > left / 10 ? share : left / 10);
}

static int open_and_compare(const bench_options *options, bench_comparison *comparison,
                            bench_setup *setups, size_t count)
{
    const bench_plan *plan = comparison->plan;
    int error = 0;
    size_t i;

    for (i = 0; i < count && error == 0; i++) {
        setups[i].target = &comparison->target;
        error = open_candidate(comparison, &setups[i]);
    }
    comparison->seconds = seconds_of_turn(options, plan->budget);
    comparison->deadline = deadline_of(plan->budget, comparison->count);
    return error == 0 && comparison->count > 0 ? bench_compare(options, comparison) : error;
}

/* File systems may refuse direct I/O, which does not concern the other comparisons. */
static bool is_refusal(const bench_plan *plan, int error)
{
    return plan->workload->direct && !plan->detailed &&
           (error == EPIO_EINVAL || error == EPIO_ENOTSUP);
}

static int compare_on_target(const bench_options *options, const bench_plan *plan,
                             bench_setup *setups, size_t count)
{
    bench_comparison comparison = {.plan = plan};
    int error = bench_target_open(&comparison.target, options, plan->workload,
                                  plan->files != 0 ? plan->files : 1);
    size_t i;

    if (error == 0) {
        error = open_and_compare(options, &comparison, setups, count);
    } else if (is_refusal(plan, error)) {
        bench_say(options, "%s, depth %u: not offered by this file system\n\n",
                  plan->workload->name, (unsigned int)plan->workload->depth);
        error = 0;
    }
    for (i = 0; i < comparison.instance_count; i++) {
        bench_engine_close(&comparison.instances[i]);
    }
    bench_target_close(&comparison.target);
    return error;
}

int bench_compare_engines(const bench_options *options, const bench_plan *plan, bench_setup *setups,
                          size_t count)
{
    bench_budget *budget = plan->budget;
    int error = 0;

    if (budget != NULL && budget->end != 0 && epio_clock_monotonic() >= budget->end) {
        fprintf(stderr, "epio-bench %s: leaves out '%s', depth %u, as time is over\n", plan->bench,
                plan->workload->name, (unsigned int)plan->workload->depth);
    } else {
        error = compare_on_target(options, plan, setups, count);
    }
    if (budget != NULL) {
        budget->candidates -= count;
    }
    return error;
}
