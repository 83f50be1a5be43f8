/* Shared by the commands of epio-bench: their options, and how they report errors.
 *
 * A command is one file command_<name>.c that defines a bench_command, and its line in main.c.
 * engine.h has what is compared, comparison.h how, system.h the operating system. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <epio/epio.h>

/* The command line; the defaults are the command's own values. */
typedef struct bench_options {
    uint64_t rounds;
    double seconds;      /* of one engine's turn in a round */
    const char *backend; /* NULL: the default */
    const char *path;    /* directory for the files */
    const char *workload;
    const char *plot; /* NULL, or the picture's file */
    bool json;
    bool quick;
    bool direct;
    bool inline_writes;
    uint64_t iterations;
    uint64_t size;
    uint64_t depth;
    uint64_t files;
    uint64_t tasks;
    uint64_t entries;    /* of a tree */
    bool cold;           /* the caches are empty */
    uint64_t rows;       /* of a table */
    uint64_t statements; /* of a mix: it inserts so many rows */
    uint64_t writers;    /* tasks that commit */
    uint64_t cancels;    /* in one turn */
    uint64_t busy;       /* processors that other programs keep busy meanwhile */
} bench_options;

/* Options that not every command has. */
#define BENCH_ROUNDS 0x001u
#define BENCH_SECONDS 0x002u
#define BENCH_ITERATIONS 0x004u
#define BENCH_SIZE 0x008u
#define BENCH_DEPTH 0x010u
#define BENCH_TASKS 0x020u
#define BENCH_WORKLOAD 0x040u
#define BENCH_FILES 0x080u
#define BENCH_ROUTES 0x100u /* --direct and --inline */
#define BENCH_QUICK 0x200u
#define BENCH_PLOT 0x400u
#define BENCH_BUSY 0x800u
#define BENCH_TREE 0x1000u    /* --entries and --cold */
#define BENCH_ENTRIES 0x4000u /* --entries */
#define BENCH_TABLE 0x2000u   /* --rows, --statements, --writers, --cancels */

typedef struct bench_command {
    const char *name;
    const char *summary; /* one line */
    const char *help;    /* what is measured, in a few lines */
    uint32_t options;    /* BENCH_... */
    bench_options defaults;
    const char *const *workloads; /* the values of --workload, NULL last; NULL: any text */

    /* 0; an error for main to report; or an exit status, if it was reported. */
    int (*run)(const bench_options *options);
} bench_command;

/* Exit statuses: after a wrong command line, after Ctrl-C. */
#define BENCH_USAGE 2
#define BENCH_INTERRUPTED 130

/* Parses the arguments after the command's name. False: an error or the help was printed, and
 * *status is the program's exit status. */
bool bench_options_parse(const bench_command *command, int count, char **arguments,
                         bench_options *options, int *status);

/* True after Ctrl-C: measurements should end soon. */
bool bench_interrupted(void);

/* A bar on standard error, if that is a terminal. `done` == `total` removes it. */
void bench_progress(const char *label, uint64_t done, uint64_t total);

/* Prints to standard output, beside a table; nothing with --json. */
void bench_say(const bench_options *options, const char *format, ...);

/* "epio-bench: what: EPIO_EIO: an input or output error" on standard error. */
void bench_report_error(const char *what, int64_t error);

/* Called before anything is measured for a plot: 0, or EXIT_FAILURE if it cannot be drawn here,
 * which was reported. */
int bench_plot_check(const bench_options *options);

/* Draws the recorded comparisons into the file of the options; does nothing without one. 0, or
 * EXIT_FAILURE: the error was reported. */
int bench_plot_draw(const bench_options *options);

/* ---- Load by other programs ------------------------------------------------ */

/* The start of a measurement. */
typedef struct bench_load {
    uint64_t others;
    uint64_t all;
    bool known;
} bench_load;

void bench_load_begin(bench_load *load);

/* The processor time that other programs used since then, in percent; negative: unknown. */
double bench_load_end(const bench_load *load);

/* Used where that is unknown: how much rates differ from round to round, in percent. */
void bench_load_note_scatter(double percent);

#define BENCH_MOST_BUSY 64u

/* Starts programs that keep so many processors busy, and ends them. 0, or an error. */
int bench_load_make(uint64_t processors);
void bench_load_stop(void);

/* Called before the first measurement of a command, and after the last: reports on standard error
 * if the machine is too busy for valid results. */
void bench_load_before(void);
void bench_load_after(void);

#endif
