/* What the parts of the program epio-bench share: commands and their options,
 * interleaved rounds, and how results are shown.
 *
 * A workload is one file command_<name>.c that defines a bench_command, and its
 * line in main.c. What needs the operating system is in system.h. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <epio/epio.h>

/* ---- Commands ---------------------------------------------------------- */

/* What the command line says; a command's own values are the defaults. */
typedef struct bench_options {
    uint64_t rounds;
    double seconds;      /* of one engine's turn in a round */
    const char *backend; /* NULL: the default */
    const char *path;    /* folder for the files */
    bool json;
    uint64_t iterations;
    uint64_t size;
    uint64_t depth;
    uint64_t tasks;
} bench_options;

/* Options that not every command has. */
#define BENCH_SECONDS 0x01u
#define BENCH_ITERATIONS 0x02u
#define BENCH_SIZE 0x04u
#define BENCH_DEPTH 0x08u
#define BENCH_TASKS 0x10u

typedef struct bench_command {
    const char *name;
    const char *summary; /* one line */
    const char *help;    /* what is measured, in a few lines */
    uint32_t options;    /* BENCH_... */
    bench_options defaults;
    int (*run)(const bench_options *options); /* 0, or an error for main to tell */
} bench_command;

/* Exit statuses: of a bad command line, after Ctrl-C. */
#define BENCH_USAGE 2
#define BENCH_INTERRUPTED 130

/* Fills the options from what follows the command's name. False: an error or
 * the help was printed, and *status is the program's exit status. */
bool bench_options_parse(const bench_command *command, int count, char **arguments,
                         bench_options *options, int *status);

/* True once somebody pressed Ctrl-C: what runs should end soon. */
bool bench_interrupted(void);

/* ---- Rounds ------------------------------------------------------------ */

typedef struct bench_sample {
    uint64_t operations;
    uint64_t nanoseconds;
} bench_sample;

/* One of those that are compared. */
typedef struct bench_engine {
    const char *name;
    const char *backend; /* NULL: not epio */
    /* Works for about so long, and says how much it did: 0 or an error. */
    int (*run)(void *context, uint64_t nanoseconds, bench_sample *sample);
    void *context;
} bench_engine;

/* A median of the rounds, and their quartiles. */
typedef struct bench_spread {
    double median;
    double low;
    double high;
} bench_spread;

typedef struct bench_score {
    bench_spread rate;  /* operations per second */
    bench_spread cpu;   /* microseconds of all threads' CPU time per operation */
    bench_spread ratio; /* rate over the baseline's in the same round */
} bench_score;

/* Lets the engines take turns, in an order that changes from round to round,
 * after a short turn each that does not count. scores[i] is engine i's. 0,
 * EPIO_ECANCELED after Ctrl-C, or the first error of an engine. */
int bench_rounds_run(const bench_options *options, const char *label, const bench_engine *engines,
                     size_t count, size_t baseline, bench_score *scores);

/* Sorts the values. count > 0. */
bench_spread bench_spread_of(double *values, size_t count);

/* ---- Files ------------------------------------------------------------- */

/* Opens a file in the folder of the options that nobody else sees and that is
 * gone when it is closed; *file. 0 or an error. Without a loop: epio_perform. */
int bench_file_open(const bench_options *options, epio_vfs *vfs, epio_file **file);

/* Closes it; NULL is ignored. */
void bench_file_close(epio_file *file);

/* The file of the read workloads: blocks that begin with their number, on the
 * medium and in the page cache. */
#define BENCH_BLOCK 4096u
int bench_file_fill(epio_file *file, uint64_t blocks);

/* Checks a block that was read. */
bool bench_block_is(const void *block, uint64_t number);

/* The next block to read, in an order that is the same for all engines.
 * `blocks` is a power of two. */
uint64_t bench_block_next(uint64_t *state, uint64_t blocks);

/* A loop with the back end of the options. */
int bench_loop_create(const bench_options *options, epio_loop **loop);

/* ---- Reports ----------------------------------------------------------- */

/* One line of a result. */
typedef struct bench_row {
    const char *bench;
    const char *workload;
    uint64_t depth;
    const bench_engine *engine;
    const bench_score *score;
    const char *ratio_name; /* "vs_blocking": the ratio's key in JSON */
} bench_row;

/* The head of a table; nothing with --json. `ratio` is that column's title. */
void bench_report_head(const bench_options *options, const char *title, const char *ratio);
void bench_report_row(const bench_options *options, const bench_row *row);

/* A bar on standard error, if that is a terminal. `done` == `total` removes it. */
void bench_progress(const char *label, uint64_t done, uint64_t total);

/* "epio-bench: what: EPIO_EIO: an input or output error" on standard error. */
void bench_report_error(const char *what, int64_t error);

#endif
