/* How epio-bench shows what it found: a table or JSON lines on standard output,
 * a progress bar and errors on standard error. */
#include "bench.h"
#include "system.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BAR_WIDTH 30
#define LINE_WIDTH 72

void bench_report_head(const bench_options *options, const char *title, const char *ratio)
{
    if (options->json) {
        return;
    }
    printf("%s\n", title);
    printf("%" PRIu64 " rounds of %g s, medians; of the ratios the quartiles too\n\n",
           options->rounds, options->seconds);
    printf("%8s  %-26s %12s %12s %10s  %s\n", "depth", "engine", "operations/s", "us/operation",
           "CPU us/op", ratio);
}

static void print_table_row(const bench_row *row)
{
    const bench_score *score = row->score;

    printf("%8" PRIu64 "  %-26s %12.0f %12.3f %10.3f  %6.3f  (%.3f to %.3f)\n", row->depth,
           row->engine->name, score->rate.median, 1e6 / score->rate.median, score->cpu.median,
           score->ratio.median, score->ratio.low, score->ratio.high);
}

/* Every string here is one of the program's own and needs no escaping. */
static void print_json_row(const bench_row *row)
{
    const bench_score *score = row->score;

    printf("{\"bench\":\"%s\",\"workload\":\"%s\",\"depth\":%" PRIu64 ",\"engine\":\"%s\"",
           row->bench, row->workload, row->depth, row->engine->name);
    if (row->engine->backend != NULL) {
        printf(",\"backend\":\"%s\"", row->engine->backend);
    }
    printf(",\"ops_per_s\":%.1f,\"us_per_op\":%.4f,\"cpu_us_per_op\":%.4f", score->rate.median,
           1e6 / score->rate.median, score->cpu.median);
    printf(",\"%s\":%.4f,\"%s_low\":%.4f,\"%s_high\":%.4f}\n", row->ratio_name, score->ratio.median,
           row->ratio_name, score->ratio.low, row->ratio_name, score->ratio.high);
}

void bench_report_row(const bench_options *options, const bench_row *row)
{
    if (options->json) {
        print_json_row(row);
    } else {
        print_table_row(row);
    }
    fflush(stdout);
}

void bench_progress(const char *label, uint64_t done, uint64_t total)
{
    char bar[BAR_WIDTH + 1];

    if (!bench_is_terminal(stderr)) {
        return;
    }
    if (done >= total) {
        fprintf(stderr, "\r%*s\r", LINE_WIDTH, "");
        return;
    }
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)(done * BAR_WIDTH / total));
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%-32.32s [%s] %3" PRIu64 " %%", label, bar, done * 100 / total);
    fflush(stderr);
}

void bench_report_error(const char *what, int64_t error)
{
    fprintf(stderr, "epio-bench %s: %s: %s\n", what, epio_error_name(error),
            epio_error_message(error));
}
