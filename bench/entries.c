/* Engines in a comparison: opened on one target, for turns that fit into the time. */
#include "comparison.h"

#include <epio/vfs.h>

#include <stdio.h>
#include <stdlib.h>

/* A shorter turn means nothing, a longer one says no more. */
#define LEAST_SECONDS 0.001
#define MOST_SECONDS 0.12

/* What a turn that does not count, before the first round, takes of one that does. */
#define ROUNDS_TO_WARM_UP 0.2

/* All of one comparison. */
struct field {
    const bench_options *options;
    bench_target target;
    bench_candidate *candidates; /* those that can do it */
    const bench_entry **entries; /* of each candidate */
    size_t count;
};

/* What another's library cannot do here, for want of room in the system or the
 * like, must not keep the others from being compared. */
static int try_rival(const bench_workload *workload, const bench_candidate *candidate)
{
    bench_sample sample = {0};
    int error = candidate->run(candidate->context, (uint64_t)(LEAST_SECONDS * 1e9), &sample);
    char text[128];

    if (error == 0) {
        return 0;
    }
    snprintf(text, sizeof text, "leaves out %s of '%s', depth %u", candidate->name, workload->name,
             (unsigned int)workload->depth);
    bench_report_error(text, error);
    return EPIO_ENOTSUP;
}

/* The engine itself, or a process apart for it: 0 and the candidate's way to run. */
static int open_engine(const bench_engine *engine, const bench_setup *setup,
                       bench_candidate *candidate)
{
    if (engine->leaves_threads) {
        candidate->run = bench_apart_run;
        return bench_apart_open(engine, setup, &candidate->context);
    }
    candidate->run = engine->run;
    return engine->open(setup, &candidate->context);
}

static void close_engine(const bench_engine *engine, void *context)
{
    if (engine->leaves_threads) {
        bench_apart_close(context);
    } else {
        engine->close(context);
    }
}

static int open_entry(struct field *field, const bench_entry *entry)
{
    const bench_engine *engine = entry->engine;
    bench_candidate *candidate = &field->candidates[field->count];
    bench_setup setup = {0};
    int error;

    setup.options = field->options;
    setup.target = &field->target;
    setup.backend = entry->backend;
    setup.mode = entry->mode;
    setup.layers = entry->layers;
    setup.together = entry->together;
    candidate->name = entry->name != NULL ? entry->name : engine->name;
    candidate->backend = entry->backend;
    candidate->mode = entry->mode;
    candidate->depth = field->target.workload->depth;
    candidate->roles = engine->roles | entry->roles;
    candidate->timed = engine->timed;
    error = open_engine(engine, &setup, candidate);
    if (error == 0 && entry->backend == NULL) {
        error = try_rival(field->target.workload, candidate);
    }
    if (error == 0) {
        field->entries[field->count++] = entry;
        return 0;
    }
    close_engine(engine, candidate->context);
    candidate->context = NULL;
    return error == EPIO_ENOTSUP ? 0 : error;
}

static int open_all(struct field *field, const bench_entry *entries, size_t count)
{
    int error = 0;
    size_t i;

    field->candidates = calloc(count, sizeof *field->candidates);
    field->entries = calloc(count, sizeof(const bench_entry *));
    if (field->candidates == NULL || field->entries == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < count && error == 0; i++) {
        error = open_entry(field, &entries[i]);
    }
    return error;
}

static void close_all(struct field *field)
{
    size_t i;

    for (i = 0; i < field->count; i++) {
        close_engine(field->entries[i]->engine, field->candidates[i].context);
    }
    free(field->entries);
    free(field->candidates);
}

static double seconds_of_turn(const bench_options *options, const bench_budget *budget)
{
    uint64_t now = epio_clock_monotonic();
    double left, turns, seconds;

    if (options->seconds > 0 || budget == NULL) {
        return options->seconds;
    }
    left = now < budget->deadline ? (double)(budget->deadline - now) / 1e9 : 0;
    turns = (double)budget->entries * ((double)options->rounds + ROUNDS_TO_WARM_UP);
    seconds = left / turns;
    if (seconds < LEAST_SECONDS) {
        return LEAST_SECONDS;
    }
    return seconds < MOST_SECONDS ? seconds : MOST_SECONDS;
}

static int compare(struct field *field, const char *bench, const bench_budget *budget)
{
    bench_comparison comparison = {0};

    comparison.bench = bench;
    comparison.workload = field->target.workload->name;
    comparison.candidates = field->candidates;
    comparison.count = field->count;
    comparison.target = &field->target;
    comparison.seconds = seconds_of_turn(field->options, budget);
    return bench_compare(field->options, &comparison);
}

/* File systems may refuse to go past the page cache. */
static bool is_refusal(const bench_workload *workload, int error)
{
    return workload->direct && (error == EPIO_EINVAL || error == EPIO_ENOTSUP);
}

int bench_entries_compete(const bench_options *options, const char *bench,
                          const bench_workload *workload, const bench_entry *entries, size_t count,
                          bench_budget *budget)
{
    struct field field = {0};
    int error;

    field.options = options;
    error = bench_target_open(&field.target, options, workload, 1);
    if (is_refusal(workload, error)) {
        if (!options->json) {
            printf("%s, depth %u: not offered by this file system\n\n", workload->name,
                   (unsigned int)workload->depth);
        }
        error = 0;
    } else if (error == 0) {
        error = open_all(&field, entries, count);
        if (error == 0 && field.count > 0) {
            error = compare(&field, bench, budget);
        }
        close_all(&field);
    }
    bench_target_close(&field.target);
    if (budget != NULL) {
        budget->entries -= count;
    }
    return error;
}
