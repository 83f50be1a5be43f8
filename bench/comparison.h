/* How candidates are compared: they take turns, round after round, and are compared with the
 * baseline of the same round, since the speed of a machine varies. */
#ifndef BENCH_COMPARISON_H
#define BENCH_COMPARISON_H

#include "engine.h"

/* ---- Rounds -------------------------------------------------------------- */

/* A median, and the quartiles around it. */
typedef struct bench_quartiles {
    double median;
    double low;
    double high;
} bench_quartiles;

/* Several series of measurements, each with one turn per round. */
typedef struct bench_rounds {
    const char *label; /* of the progress bar */
    size_t planned;    /* rounds */
    uint64_t deadline; /* a round that would end later is not started, except the first; 0: none */
    size_t series;
    size_t fields; /* numbers per measurement */

    /* 0; any other value ends all rounds. */
    int (*measure)(void *context, size_t series, double *fields);
    void *context;

    size_t count;  /* rounds taken */
    double others; /* processor time of other programs, as bench_load_end */
    double *measured;
    double *sorted; /* one field of one series */
} bench_rounds;

/* "time for 7 of 15 rounds, other programs used 12 % of the processors" */
void bench_rounds_describe(const bench_rounds *rounds, char *text, size_t size);

/* Takes turns, in an order that changes from round to round. 0, EPIO_ENOMEM, EPIO_ECANCELED after
 * Ctrl-C, or what `measure` returned. Freeing works after all of them. */
int bench_rounds_take(bench_rounds *rounds);
void bench_rounds_free(bench_rounds *rounds);

double *bench_rounds_at(const bench_rounds *rounds, size_t series, size_t round);
bench_quartiles bench_rounds_quartiles(const bench_rounds *rounds, size_t series, size_t field);

/* How fast the first series was beside another, in the same round each: of a field of seconds. */
bench_quartiles bench_rounds_speed_of_first(const bench_rounds *rounds, size_t series,
                                            size_t field);

/* Sorts the values. count > 0. */
bench_quartiles bench_quartiles_of(double *values, size_t count);

/* ---- Comparisons --------------------------------------------------------- */

/* The measurements of one turn. */
typedef enum bench_measure {
    BENCH_RATE, /* operations per second */
    BENCH_CPU,  /* microseconds of all threads' CPU time per operation */
    BENCH_MIN,  /* microseconds; 0: operations were not timed one by one */
    BENCH_P50,
    BENCH_P90,
    BENCH_P99,
    BENCH_P999,
    BENCH_MAX,
    BENCH_MEASURES
} bench_measure;

/* A member of a comparison. */
typedef struct bench_candidate {
    const char *name;
    const char *backend; /* NULL: not epio */
    bench_mode mode;
    uint64_t depth;
    uint32_t roles; /* BENCH_ROLE_... */
    bool timed;     /* each operation, including those that count for the rate */
    bench_instance *instance;
} bench_candidate;

/* Time divided evenly among the remaining turns. */
typedef struct bench_budget {
    uint64_t deadline;
    uint64_t end; /* no comparison starts later, and rounds beyond a comparison's share are dropped;
                     0: all are taken */
    uint64_t candidates; /* of all remaining comparisons */
} bench_budget;

/* A comparison to be made. */
typedef struct bench_plan {
    const char *bench;
    const bench_workload *workload;
    size_t files;         /* of the target; 0: one */
    bool detailed;        /* each operation is timed, and more latencies are shown */
    bench_budget *budget; /* the candidates share it; NULL: the options give the length of a turn */
} bench_plan;

/* A comparison in progress. */
typedef struct bench_comparison {
    const bench_plan *plan;
    bench_target target;
    bench_instance instances[BENCH_MOST_CANDIDATES];
    size_t instance_count;
    bench_candidate candidates[BENCH_MOST_CANDIDATES]; /* those that can do the workload */
    size_t count;
    double seconds;    /* of one turn, of which the last fifth is for latencies */
    uint64_t deadline; /* as of the rounds */
    bench_rounds rounds;
} bench_comparison;

/* Creates the target, opens the engines, lets those that can do the workload take turns, after a
 * short warm-up turn each, and shows the results: in a table or JSON lines, and in the plot, if
 * requested. If a setup has slots, its engine is opened once for all. 0, EPIO_ECANCELED after
 * Ctrl-C, another error, or EXIT_FAILURE: the candidate that failed was reported. */
int bench_compare_engines(const bench_options *options, const bench_plan *plan, bench_setup *setups,
                          size_t count);

/* The second half of it, with given candidates. */
int bench_compare(const bench_options *options, bench_comparison *comparison);

/* The candidate's values divided by those of the best candidate with one of the roles in the same
 * round. False: there is none. */
bool bench_comparison_ratio(const bench_comparison *comparison, size_t candidate, uint32_t roles,
                            bench_measure measure, bench_quartiles *ratio);

/* ---- The plot ------------------------------------------------------------ */

/* Records the comparison for the plot: 0 or EPIO_ENOMEM. */
int bench_plot_add(const bench_comparison *comparison);

#endif
