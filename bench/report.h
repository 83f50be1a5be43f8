/* Shows results: one description of columns for tables and JSON lines. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "comparison.h"

typedef struct bench_column {
    const char *key;   /* in JSON; NULL: only in tables */
    const char *title; /* in tables; NULL: only in JSON */
    int width;         /* in tables; negative: flush left */
    int digits;        /* of a number in JSON, and in tables */
    int table_digits;
    uint32_t flags;
} bench_column;

#define BENCH_QUARTILES 0x1u /* shown beside the median */
#define BENCH_REQUIRED 0x2u  /* null in JSON if unknown, not left out */

/* All zero: unknown. */
typedef struct bench_cell {
    const char *text; /* NULL: a number */
    bench_quartiles number;
    bool known;
} bench_cell;

bench_cell bench_text(const char *text);
bench_cell bench_number(double number);
bench_cell bench_time(double microseconds); /* 0: unknown */
bench_cell bench_range(bench_quartiles quartiles);

/* The beginning of every JSON line, in the order of bench_head_fill. */
#define BENCH_HEAD_COLUMNS                                                                         \
    {"bench", NULL, 0, 0, 0, 0}, {"workload", NULL, 0, 0, 0, 0}, {"depth", NULL, 0, 0, 0, 0},      \
        {"engine", NULL, 0, 0, 0, 0}, {"backend", NULL, 0, 0, 0, 0},                               \
    {                                                                                              \
        "mode", NULL, 0, 0, 0, 0                                                                   \
    }
#define BENCH_HEAD_COUNT 6

/* Fills the head's cells. The backend may be NULL. */
void bench_head_fill(bench_cell *cells, const char *bench, const char *workload,
                     const bench_candidate *candidate);

/* Prints rows with one cell per column. A table omits a column without any known value. Strings
 * are the program's own, and need no escaping. */
void bench_report(const bench_options *options, const bench_column *columns, size_t column_count,
                  const bench_cell *cells, size_t row_count);

/* "epio (uring, alone)" */
void bench_candidate_label(const bench_candidate *candidate, char *label, size_t size);

#endif
