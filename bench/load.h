/* How busy other programs keep the machine. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench.h"

/* From where on it is measured. */
typedef struct bench_load {
    uint64_t others;
    uint64_t all;
    bool known;
} bench_load;

void bench_load_begin(bench_load *load);

/* How much of the processors other programs used since then, in percent; negative: not
 * known. */
double bench_load_end(const bench_load *load);

/* Where that is not known: how much rates differ from round to round, in percent. */
void bench_load_note_unsteady(double percent);

/* Before the first measurement of a command, and after all: says on standard error
 * if the machine is too busy to judge. */
void bench_load_before(void);
void bench_load_after(void);

#endif
