/* Engines as the candidates of a comparison: opened on one target, for turns that fit
 * into the time. */
#include "comparison.h"

#include <epio/vfs.h>

#include <stdio.h>

/* A shorter turn means nothing, a longer one says no more. */
#define LEAST_SECONDS 0.001
#define MOST_SECONDS 0.12

/* What a turn that does not count, before the first round, takes of one that does. */
#define ROUNDS_TO_WARM_UP 0.2

/* All of one comparison. */
struct field {
    bench_target target;
    bench_instance instances[BENCH_MOST_CANDIDATES];
    bench_candidate candidates[BENCH_MOST_CANDIDATES]; /* those that can do it */
    size_t count;
};

/* What another's library cannot do here, for want of room in the system or the
 * like, must not keep the others from being compared. */
static int try_peer(const bench_workload *workload, const bench_candidate *candidate)
{
    bench_turn turn = {.nanoseconds = (uint64_t)(LEAST_SECONDS * 1e9), .depth = workload->depth};
    int error = candidate->run(candidate->context, &turn);
    char text[128];

    if (error == 0 || error == EPIO_ENOTSUP) {
        return error;
    }
    snprintf(text, sizeof text, "leaves out %s of '%s', depth %u", candidate->name, workload->name,
             (unsigned int)workload->depth);
    bench_report_error(text, error);
    return EPIO_ENOTSUP;
}

static int open_candidate(struct field *field, const bench_setup *setup)
{
    const bench_engine *engine = setup->engine;
    bench_instance *instance = &field->instances[field->count];
    bench_candidate *candidate = &field->candidates[field->count];
    int error = bench_engine_open(instance, setup);

    *candidate = (bench_candidate){.name = engine->name,
                                   .backend = setup->backend,
                                   .mode = engine->mode,
                                   .depth = setup->target->workload->depth,
                                   .roles = engine->roles,
                                   .timed = (engine->with & BENCH_WITH_TIMES) != 0,
                                   .run = bench_engine_run,
                                   .context = instance};
    if (error == 0 && setup->backend == NULL) {
        error = try_peer(setup->target->workload, candidate);
    }
    if (error == 0) {
        field->count++;
        return 0;
    }
    bench_engine_close(instance);
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

/* Its share of the time until the end, or a tenth: some turns wait for the medium, however
 * short they are to be. */
static uint64_t deadline_of(const bench_budget *budget, size_t candidates)
{
    uint64_t now = epio_clock_monotonic(), left, share;

    if (budget == NULL || budget->end == 0) {
        return 0;
    }
    left = now < budget->end ? budget->end - now : 0;
    share = left * candidates / budget->candidates;
    return now + (share > left / 10 ? share : left / 10);
}

static int compare(const bench_options *options, const char *bench, struct field *field,
                   const bench_budget *budget)
{
    bench_comparison comparison = {.bench = bench,
                                   .workload = field->target.workload->name,
                                   .candidates = field->candidates,
                                   .count = field->count,
                                   .target = &field->target,
                                   .seconds = seconds_of_turn(options, budget),
                                   .deadline = deadline_of(budget, field->count)};

    return field->count > 0 ? bench_compare(options, &comparison) : 0;
}

/* File systems may refuse to go past the page cache. */
static bool is_refusal(const bench_workload *workload, int error)
{
    return workload->direct && (error == EPIO_EINVAL || error == EPIO_ENOTSUP);
}

static int open_and_compare(const bench_options *options, const char *bench,
                            const bench_workload *workload, bench_setup *setups, size_t count,
                            const bench_budget *budget)
{
    struct field field = {.count = 0};
    int error = bench_target_open(&field.target, options, workload, 1);
    size_t i;

    if (is_refusal(workload, error)) {
        bench_say(options, "%s, depth %u: not offered by this file system\n\n", workload->name,
                  (unsigned int)workload->depth);
        error = 0;
        count = 0;
    }
    for (i = 0; i < count && error == 0; i++) {
        setups[i].target = &field.target;
        error = open_candidate(&field, &setups[i]);
    }
    if (error == 0) {
        error = compare(options, bench, &field, budget);
    }
    for (i = 0; i < field.count; i++) {
        bench_engine_close(&field.instances[i]);
    }
    bench_target_close(&field.target);
    return error;
}

int bench_compare_engines(const bench_options *options, const char *bench,
                          const bench_workload *workload, uint32_t comparison, const char *backend,
                          bench_budget *budget)
{
    bench_setup setups[BENCH_MOST_CANDIDATES];
    size_t count = bench_engines_choose(options, workload, comparison, backend, setups);
    int error = 0;

    if (budget != NULL && budget->end != 0 && epio_clock_monotonic() >= budget->end) {
        fprintf(stderr, "epio-bench %s: leaves out '%s', depth %u, as time is over\n", bench,
                workload->name, (unsigned int)workload->depth);
    } else {
        error = open_and_compare(options, bench, workload, setups, count, budget);
    }
    if (budget != NULL) {
        budget->candidates -= count;
    }
    return error;
}
