/* The picture of a comparison: one group of bars for each workload, which begin at
 * the blocking loop's rate and go up where an engine is faster, down where it is
 * slower. gnuplot draws it. */
#include "report.h"
#include "system.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_SIZE 64

struct bar {
    size_t group;
    size_t place; /* in the group */
    char label[LABEL_SIZE];
    const char *backend; /* NULL: not epio */
    bench_mode mode;
    bench_quartiles ratio;
};

/* One workload at one depth. */
struct group {
    char title[96];
    size_t bars;
};

static struct bar *bars;
static size_t bar_count;
static struct group *groups;
static size_t group_count;

/* ---- Noting -------------------------------------------------------------- */

static void *grow(void *array, size_t count, size_t size)
{
    return realloc(array, count * size);
}

/* The title stands below the bars, in two lines. */
static int add_group(const bench_comparison *comparison)
{
    struct group *more = grow(groups, group_count + 1, sizeof *groups);

    if (more == NULL) {
        return EPIO_ENOMEM;
    }
    groups = more;
    snprintf(groups[group_count].title, sizeof groups->title, "%s\\ndepth %" PRIu64,
             comparison->workload, comparison->candidates[0].depth);
    groups[group_count].bars = 0;
    group_count++;
    return 0;
}

static int add_bar(const bench_candidate *candidate, const bench_quartiles *ratio)
{
    struct bar *more = grow(bars, bar_count + 1, sizeof *bars);
    struct bar *bar;

    if (more == NULL) {
        return EPIO_ENOMEM;
    }
    bars = more;
    bar = &bars[bar_count++];
    bar->group = group_count - 1;
    bar->place = groups[bar->group].bars++;
    bar->backend = candidate->backend;
    bar->mode = candidate->mode;
    bar->ratio = *ratio;
    bench_candidate_label(candidate, bar->label, sizeof bar->label);
    return 0;
}

int bench_plot_add(const bench_comparison *comparison)
{
    bench_quartiles ratio;
    int error;
    size_t i;

    if (!bench_comparison_ratio(comparison, 0, BENCH_ROLE_BLOCKING, BENCH_RATE, &ratio)) {
        return 0;
    }
    error = add_group(comparison);
    for (i = 0; i < comparison->count && error == 0; i++) {
        if ((comparison->candidates[i].roles & BENCH_ROLE_BLOCKING) == 0) {
            bench_comparison_ratio(comparison, i, BENCH_ROLE_BLOCKING, BENCH_RATE, &ratio);
            error = add_bar(&comparison->candidates[i], &ratio);
        }
    }
    return error;
}

static void forget_all(void)
{
    free(bars);
    free(groups);
    bars = NULL;
    groups = NULL;
    bar_count = 0;
    group_count = 0;
}

/* ---- Drawing ------------------------------------------------------------- */

/* Of epio: a colour for each back end, a shade for each mode; the others' are
 * greys and warm ones, so that the two are told apart at a glance. */
#define SHADES 3u
static const char *const epio_colours[][SHADES] = {{"#0b3c8c", "#2f7de1", "#8ec1ff"},
                                                   {"#00665e", "#16a394", "#8fdcd2"},
                                                   {"#3f2a78", "#7a5bd0", "#bda9f2"}};
static const char *const other_colours[] = {"#4d4d4d", "#9a9a9a", "#b5470b", "#f0862c",
                                            "#c9a400", "#8e4a9e", "#c26aa0"};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool is_first_of_label(size_t index)
{
    size_t i;

    for (i = 0; i < index; i++) {
        if (strcmp(bars[i].label, bars[index].label) == 0) {
            return false;
        }
    }
    return true;
}

/* How many back ends come before this bar's. */
static size_t rank_of_backend(const struct bar *bar)
{
    const char *seen[BENCH_MOST_BACKENDS];
    size_t count = 0, i, known;

    for (i = 0; i < bar_count; i++) {
        if (bars[i].backend == NULL) {
            continue;
        }
        for (known = 0; known < count && strcmp(seen[known], bars[i].backend) != 0; known++) {
        }
        if (known == count && count < BENCH_MOST_BACKENDS) {
            seen[count++] = bars[i].backend;
        }
        if (strcmp(bars[i].backend, bar->backend) == 0) {
            return known;
        }
    }
    return 0;
}

static const char *colour_of(const struct bar *bar, size_t others_before)
{
    if (bar->backend == NULL) {
        return other_colours[others_before % COUNT_OF(other_colours)];
    }
    return epio_colours[rank_of_backend(bar) % COUNT_OF(epio_colours)]
                       [(size_t)(bar->mode - BENCH_ALONE) % SHADES];
}

/* x, y, and the box's edges, then the quartiles. */
static void print_bar(FILE *gnuplot, const struct bar *bar)
{
    double width = 0.84 / (double)groups[bar->group].bars;
    double left = (double)bar->group - 0.42 + width * (double)bar->place;
    double ratio = bar->ratio.median;

    fprintf(gnuplot, "%.4f %.4f %.4f %.4f %.4f %.4f %.4f %.4f\n", left + width / 2, ratio, left,
            left + width * 0.92, ratio < 1 ? ratio : 1, ratio < 1 ? 1 : ratio, bar->ratio.low,
            bar->ratio.high);
}

static void print_data(FILE *gnuplot)
{
    size_t i, other;

    for (i = 0; i < bar_count; i++) {
        if (!is_first_of_label(i)) {
            continue;
        }
        fprintf(gnuplot, "$bars%u << END\n", (unsigned int)i);
        for (other = i; other < bar_count; other++) {
            if (strcmp(bars[other].label, bars[i].label) == 0) {
                print_bar(gnuplot, &bars[other]);
            }
        }
        fprintf(gnuplot, "END\n");
    }
}

/* From a little below the lowest bar to a little above the highest. */
static void print_range(FILE *gnuplot)
{
    double low = 0.5, high = 2;
    size_t i;

    for (i = 0; i < bar_count; i++) {
        low = bars[i].ratio.low < low ? bars[i].ratio.low : low;
        high = bars[i].ratio.high > high ? bars[i].ratio.high : high;
    }
    fprintf(gnuplot, "set yrange [%g:%g]\n", low * 0.8, high * 1.25);
}

static void print_axes(FILE *gnuplot)
{
    size_t i;

    fprintf(gnuplot,
            "set title \"Operations per second, as a multiple of one thread's blocking calls"
            " (of appends: of one flush for all)\" font \",19\"\n"
            "set key tmargin center horizontal Left reverse samplen 1.2 spacing 1.4 width 2\n"
            "set bmargin 4\n"
            "set style fill solid 1.0 noborder\n"
            "set logscale y\n"
            "set format y \"%%g\"\n"
            "set ytics (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) nomirror\n"
            "set grid ytics lc rgb \"#e3e3e3\" lt 1 lw 1\n"
            "set border 2 lc rgb \"#808080\"\n"
            "set tics scale 0.4 textcolor rgb \"#303030\"\n"
            "set xrange [-0.5:%u.5]\n"
            "set xtics scale 0 (",
            (unsigned int)(group_count - 1));
    for (i = 0; i < group_count; i++) {
        fprintf(gnuplot, "%s\"%s\" %u", i == 0 ? "" : ", ", groups[i].title, (unsigned int)i);
    }
    fprintf(gnuplot, ")\n");
    for (i = 1; i < group_count; i++) {
        fprintf(gnuplot,
                "set arrow from %u.5, graph 0 to %u.5, graph 1 nohead lc rgb \"#eeeeee\"\n",
                (unsigned int)(i - 1), (unsigned int)(i - 1));
    }
}

static void print_plot(FILE *gnuplot)
{
    size_t others = 0, i;

    fprintf(gnuplot, "plot 1 with lines lc rgb \"#303030\" lw 1.5 title"
                     " \"blocking calls, one flush for all\"");
    for (i = 0; i < bar_count; i++) {
        if (!is_first_of_label(i)) {
            continue;
        }
        fprintf(gnuplot,
                ", $bars%u using 1:2:3:4:5:6 with boxxyerror lc rgb \"%s\" title \"%s\""
                ", $bars%u using 1:2:7:8 with yerrorbars pt 0 lc rgb \"#202020\" notitle",
                (unsigned int)i, colour_of(&bars[i], others), bars[i].label, (unsigned int)i);
        others += bars[i].backend == NULL;
    }
    fprintf(gnuplot, "\n");
}

/* In gnuplot's single quotes only they themselves are special. */
static void print_quoted(FILE *gnuplot, const char *text)
{
    fputc('\'', gnuplot);
    for (; *text != '\0'; text++) {
        fputs(*text == '\'' ? "''" : (const char[]){*text, '\0'}, gnuplot);
    }
    fputc('\'', gnuplot);
}

static void print_script(FILE *gnuplot, const char *file)
{
    unsigned int width = 260 + 150 * (unsigned int)group_count;

    fprintf(gnuplot,
            "set terminal svg size %u,760 dynamic font \"Helvetica,Arial,sans-serif,14\""
            " background \"#ffffff\"\nset output ",
            width < 900 ? 900 : width);
    print_quoted(gnuplot, file);
    fprintf(gnuplot, "\n");
    print_axes(gnuplot);
    print_range(gnuplot);
    print_data(gnuplot);
    print_plot(gnuplot);
}

static int tell_failure(const char *what)
{
    fprintf(stderr, "epio-bench: --plot: %s\n", what);
    return EXIT_FAILURE;
}

int bench_plot_check(const bench_options *options)
{
    FILE *gnuplot;

    if (options->plot == NULL) {
        return 0;
    }
    /* At the end of its input, which comes at once, it succeeds. */
    gnuplot = bench_command_open("gnuplot");
    if (gnuplot == NULL || bench_command_close(gnuplot) != 0) {
        return tell_failure("needs gnuplot, which cannot be started");
    }
    return 0;
}

int bench_plot_draw(const bench_options *options)
{
    FILE *gnuplot;
    int status;

    if (options->plot == NULL) {
        return 0;
    }
    if (group_count == 0) {
        return tell_failure("nothing was compared with blocking calls");
    }
    gnuplot = bench_command_open("gnuplot");
    if (gnuplot == NULL) {
        return tell_failure("gnuplot cannot be started");
    }
    print_script(gnuplot, options->plot);
    status = bench_command_close(gnuplot);
    forget_all();
    return status != 0 ? tell_failure("gnuplot failed") : 0;
}
