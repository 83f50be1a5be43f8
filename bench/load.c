/* The load by other programs, which decides whether measurements are valid. */
#include "bench.h"
#include "system.h"

#include <math.h>
#include <stdio.h>

/* In percent of all processors: less disappears in the differences between rounds. */
#define TOO_BUSY 15.0

/* Distance of the quartiles, in percent of the median, used where the system does not report the
 * load. A workload that waits for the medium may vary so much, but not all of a command. */
#define TOO_UNSTEADY 50.0

/* Systems count in ticks of 10 ms: shorter times are unknown. */
#define LEAST_TIME 100000000u

static bench_load whole;
static bool has_begun;
static double least_scatter = HUGE_VAL;

void bench_load_begin(bench_load *load)
{
    load->known = bench_others_time(&load->others, &load->all);
}

double bench_load_end(const bench_load *load)
{
    uint64_t others, all;

    if (!load->known || !bench_others_time(&others, &all) || all - load->all < LEAST_TIME) {
        return -1;
    }
    /* The system's ticks and the exact time of this process may differ. */
    return others < load->others
               ? 0
               : 100.0 * (double)(others - load->others) / (double)(all - load->all);
}

void bench_load_note_scatter(double percent)
{
    least_scatter = percent < least_scatter ? percent : least_scatter;
}

/* ---- Other programs of our own --------------------------------------------- */

static FILE *busy[BENCH_MOST_BUSY];
static size_t busy_count;

int bench_load_make(uint64_t processors)
{
    const char *command = bench_busy_command();

    if (command == NULL && processors != 0) {
        return EPIO_ENOTSUP;
    }
    while (busy_count < processors) {
        busy[busy_count] = bench_command_open(command);
        if (busy[busy_count] == NULL) {
            return EPIO_ENOMEM;
        }
        busy_count++;
    }
    return 0;
}

void bench_load_stop(void)
{
    while (busy_count != 0) {
        (void)bench_command_close(busy[--busy_count]);
    }
}

/* ---- Warnings ---------------------------------------------------------------- */

static void warn(const char *verb, double percent)
{
    if (busy_count == 0 && percent >= TOO_BUSY) {
        fprintf(stderr,
                "epio-bench: this machine is too busy to judge: other programs %s %.0f %% of its"
                " processors\n",
                verb, percent);
    }
}

void bench_load_before(void)
{
    epio_op op = {0};

    if (has_begun) {
        return;
    }
    has_begun = true;
    bench_load_begin(&whole);
    if (whole.known) {
        epio_perform(epio_sleep(&op, epio_os_vfs(), LEAST_TIME));
        warn("use", bench_load_end(&whole));
    }
    bench_load_begin(&whole);
}

void bench_load_after(void)
{
    if (!has_begun) {
        return;
    }
    warn("used", bench_load_end(&whole));
    if (!whole.known && least_scatter >= TOO_UNSTEADY && least_scatter < HUGE_VAL) {
        fprintf(stderr,
                "epio-bench: this machine is too unsteady to judge: rates differ by %.0f %% from"
                " round to round\n",
                least_scatter);
    }
}
