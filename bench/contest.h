/* How engines are compared: they take turns, round after round, and are measured
 * against what ran beside them in the same round, since machines speed up and slow
 * down by themselves. */
#ifndef BENCH_CONTEST_H
#define BENCH_CONTEST_H

#include "engine.h"

/* What is measured of one turn. */
typedef enum bench_field {
    BENCH_RATE, /* operations per second */
    BENCH_CPU,  /* microseconds of all threads' CPU time per operation */
    BENCH_P50,  /* microseconds; 0: operations were not timed one by one */
    BENCH_P99,
    BENCH_FIELDS
} bench_field;

/* One of those that are compared. */
typedef struct bench_contender {
    const char *name;
    const char *backend; /* NULL: not epio */
    bench_mode mode;
    uint64_t depth;
    uint32_t roles; /* BENCH_ROLE_... */
    bool timed;     /* as in bench_engine */
    int (*run)(void *context, uint64_t nanoseconds, bench_sample *sample);
    void *context;
    const bench_target *target; /* emptied before each turn of appends; may be NULL */
} bench_contender;

typedef struct bench_contest {
    const char *bench;
    const char *workload;
    const bench_contender *contenders;
    size_t count;
    size_t rounds;
    double seconds;   /* of one turn, of which the last fifth is for latencies */
    double *measured; /* see bench_contest_value */
    double *values;   /* of one contender's rounds, for sorting */
} bench_contest;

/* A median of the rounds, and their quartiles. */
typedef struct bench_spread {
    double median;
    double low;
    double high;
} bench_spread;

/* Lets the contenders take turns, in an order that changes from round to round,
 * after a short turn each that does not count. 0, EPIO_ECANCELED after Ctrl-C,
 * EPIO_ENOMEM, or EXIT_FAILURE: which engine failed was told. Freeing works after
 * all of them. */
int bench_contest_run(bench_contest *contest);
void bench_contest_free(bench_contest *contest);

bench_spread bench_contest_spread(const bench_contest *contest, size_t contender,
                                  bench_field field);

/* The contender's value over that of the best with one of the roles in the same
 * round. False: nobody has one. */
bool bench_contest_ratio(const bench_contest *contest, size_t contender, uint32_t roles,
                         bench_field field, bench_spread *ratio);

/* Sorts the values. count > 0. */
bench_spread bench_spread_of(double *values, size_t count);

/* ---- Engines in a contest ------------------------------------------------ */

/* Time that is shared out evenly among the turns that are left. */
typedef struct bench_budget {
    uint64_t deadline;
    uint64_t entries; /* of all contests that are left */
} bench_budget;

typedef struct bench_entry {
    const bench_engine *engine;
    const char *name; /* NULL: the engine's */
    const char *backend;
    bench_mode mode;
    bool layers;
    bool together;
    uint32_t roles; /* besides the engine's */
} bench_entry;

/* Makes the target, opens the engines that can do the workload, lets them compete
 * and reports. The turns are as long as the options say, or else the budget, from
 * which these entries are taken. What bench_contest_run returns. */
int bench_entries_compete(const bench_options *options, const char *bench,
                          const bench_workload *workload, const bench_entry *entries, size_t count,
                          bench_budget *budget);

/* ---- Reports ------------------------------------------------------------- */

/* Shows what came out: a table or JSON lines on standard output, and a share of the
 * picture, if there is to be one. 0 or EPIO_ENOMEM. */
int bench_report_contest(const bench_options *options, const bench_contest *contest);

/* Where nothing can be compared, says so; nothing with --json. */
void bench_report_absent(const bench_options *options, const bench_workload *workload);

/* "epio (uring, alone)" */
void bench_contender_label(const bench_contender *contender, char *label, size_t size);

/* ---- The picture --------------------------------------------------------- */

/* Before anything is measured for a picture: 0, or EXIT_FAILURE if it cannot be
 * drawn here, which was told. */
int bench_plot_check(const bench_options *options);

/* Notes the contest for the picture: 0 or EPIO_ENOMEM. */
int bench_plot_add(const bench_contest *contest);

/* Draws all that was noted into the file of the options; does nothing without
 * one. 0, or EXIT_FAILURE: what went wrong was told. */
int bench_plot_draw(const bench_options *options);

#endif
