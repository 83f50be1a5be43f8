/* How epio-bench shows what it found: a table or JSON lines on standard output,
 * a progress bar and errors on standard error. */
#include "contest.h"
#include "system.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BAR_WIDTH 30
#define LINE_WIDTH 78

/* What a contender may be measured by. */
typedef struct ratio {
    const char *key;   /* in JSON */
    const char *title; /* of a column */
    uint32_t roles;
    bench_field field;
} ratio;

static const ratio ratios[] = {
    {"vs_blocking", "of blocking", BENCH_ROLE_BLOCKING, BENCH_RATE},
    {"vs_nowait", "of NOWAIT loop", BENCH_ROLE_NOWAIT, BENCH_RATE},
    {"vs_threads", "of threads", BENCH_ROLE_THREADS, BENCH_RATE},
    {"vs_best_peer", "of best peer", BENCH_ROLE_PEER, BENCH_RATE},
    {"vs_ideal", "of ideal", BENCH_ROLE_IDEAL, BENCH_RATE},
    {"vs_without_layers", "of none", BENCH_ROLE_PLAIN, BENCH_RATE},
    {"vs_depth_1", "of one", BENCH_ROLE_SINGLE, BENCH_RATE},
    {"p99_vs_alone", "p99, of alone", BENCH_ROLE_UNDISTURBED, BENCH_P99},
};

#define RATIO_COUNT (sizeof ratios / sizeof ratios[0])

void bench_contender_label(const bench_contender *contender, char *label, size_t size)
{
    if (contender->backend == NULL) {
        snprintf(label, size, "%s", contender->name);
    } else {
        snprintf(label, size, "%s (%s, %s)", contender->name, contender->backend,
                 bench_mode_name(contender->mode));
    }
}

/* ---- Table --------------------------------------------------------------- */

/* The ideal of appends is also what blocks there: one column is enough. */
static bool is_column(const bench_contest *contest, const ratio *which)
{
    bench_spread spread, ideal;

    if (!bench_contest_ratio(contest, 0, which->roles, which->field, &spread)) {
        return false;
    }
    return which->roles != BENCH_ROLE_BLOCKING ||
           !bench_contest_ratio(contest, 0, BENCH_ROLE_IDEAL, BENCH_RATE, &ideal);
}

static void print_table_head(const bench_contest *contest)
{
    size_t i;

    printf("%s (%zu rounds, turns of %.0f ms)\n", contest->workload, contest->rounds,
           contest->seconds * 1e3);
    printf("%7s  %-35s %11s %8s %9s %9s", "depth", "engine", "ops/s", "CPU us", "p50 us", "p99 us");
    for (i = 0; i < RATIO_COUNT; i++) {
        if (is_column(contest, &ratios[i])) {
            printf("  %-19s", ratios[i].title);
        }
    }
    putchar('\n');
}

/* Where the first digits would be zeros there are more of them. */
static void print_spread(const bench_spread *spread)
{
    int digits = spread->median < 0.1 ? 3 : 2;
    char text[64];

    snprintf(text, sizeof text, "%.*f (%.*f-%.*f)", digits, spread->median, digits, spread->low,
             digits, spread->high);
    printf("  %-19s", text);
}

static void print_table_ratios(const bench_contest *contest, size_t contender)
{
    size_t i;

    for (i = 0; i < RATIO_COUNT; i++) {
        const ratio *which = &ratios[i];
        bench_spread spread;

        if (is_column(contest, which) &&
            bench_contest_ratio(contest, contender, which->roles, which->field, &spread)) {
            print_spread(&spread);
        }
    }
}

static void print_table_row(const bench_contest *contest, size_t contender)
{
    char label[64];

    bench_contender_label(&contest->contenders[contender], label, sizeof label);
    printf("%7" PRIu64 "  %-35s %11.0f %8.2f", contest->contenders[contender].depth, label,
           bench_contest_spread(contest, contender, BENCH_RATE).median,
           bench_contest_spread(contest, contender, BENCH_CPU).median);
    printf(" %9.2f %9.2f", bench_contest_spread(contest, contender, BENCH_P50).median,
           bench_contest_spread(contest, contender, BENCH_P99).median);
    print_table_ratios(contest, contender);
    putchar('\n');
}

static void print_table(const bench_contest *contest)
{
    size_t i;

    print_table_head(contest);
    for (i = 0; i < contest->count; i++) {
        print_table_row(contest, i);
    }
    putchar('\n');
}

/* ---- JSON ---------------------------------------------------------------- */

/* null: it was not measured. */
static void print_json_time(const bench_contest *contest, size_t contender, bench_field field,
                            const char *key)
{
    double median = bench_contest_spread(contest, contender, field).median;

    if (median > 0) {
        printf(",\"%s\":%.3f", key, median);
    } else {
        printf(",\"%s\":null", key);
    }
}

/* Two ratios are in every line, so that all have what people look for. */
static bool is_always_there(const ratio *which)
{
    return (which->roles & (BENCH_ROLE_BLOCKING | BENCH_ROLE_PEER)) != 0;
}

static void print_json_ratio(const bench_contest *contest, size_t contender, const ratio *which)
{
    bench_spread spread;

    if (bench_contest_ratio(contest, contender, which->roles, which->field, &spread)) {
        printf(",\"%s\":%.4f,\"%s_low\":%.4f,\"%s_high\":%.4f", which->key, spread.median,
               which->key, spread.low, which->key, spread.high);
    } else if (is_always_there(which)) {
        printf(",\"%s\":null", which->key);
    }
}

/* Every string here is one of the program's own and needs no escaping. */
static void print_json_row(const bench_contest *contest, size_t contender)
{
    const bench_contender *who = &contest->contenders[contender];
    double rate = bench_contest_spread(contest, contender, BENCH_RATE).median;
    size_t i;

    printf("{\"bench\":\"%s\",\"workload\":\"%s\",\"depth\":%" PRIu64
           ",\"engine\":\"%s\",\"backend\":\"%s\",\"mode\":\"%s\"",
           contest->bench, contest->workload, who->depth, who->name,
           who->backend != NULL ? who->backend : "", bench_mode_name(who->mode));
    printf(",\"ops_per_s\":%.1f,\"us_per_op\":%.4f,\"cpu_us_per_op\":%.4f", rate, 1e6 / rate,
           bench_contest_spread(contest, contender, BENCH_CPU).median);
    print_json_time(contest, contender, BENCH_P50, "p50_us");
    print_json_time(contest, contender, BENCH_P99, "p99_us");
    for (i = 0; i < RATIO_COUNT; i++) {
        print_json_ratio(contest, contender, &ratios[i]);
    }
    printf("}\n");
}

static void print_json(const bench_contest *contest)
{
    size_t i;

    for (i = 0; i < contest->count; i++) {
        print_json_row(contest, i);
    }
}

int bench_report_contest(const bench_options *options, const bench_contest *contest)
{
    if (options->json) {
        print_json(contest);
    } else {
        print_table(contest);
    }
    fflush(stdout);
    return options->plot != NULL ? bench_plot_add(contest) : 0;
}

void bench_report_absent(const bench_options *options, const bench_workload *workload)
{
    if (!options->json) {
        printf("%s, depth %" PRIu32 ": not offered by this file system\n\n", workload->name,
               workload->depth);
    }
}

/* ---- Standard error ------------------------------------------------------ */

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
    fprintf(stderr, "\r%-38.38s [%s] %3" PRIu64 " %%", label, bar, done * 100 / total);
    fflush(stderr);
}

void bench_report_error(const char *what, int64_t error)
{
    fprintf(stderr, "epio-bench %s: %s: %s\n", what, epio_error_name(error),
            epio_error_message(error));
}
