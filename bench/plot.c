/* The plot of a command: a panel for each comparison with blocking calls, and in it a bar for
 * each engine, which starts at the rate of those calls and extends to the right where the engine
 * is faster, to the left where it is slower. gnuplot draws it. */
#include "report.h"
#include "system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bar {
    char name[64];
    char value[64]; /* the text beside it */
    bool epio;
    bench_quartiles ratio;
};

/* One workload at one depth. */
struct panel {
    char title[96];
    size_t count;
    struct bar bars[BENCH_MOST_CANDIDATES];
};

static struct panel *panels;
static size_t panel_count;
static const char *bench;
static size_t most_bars;
static size_t longest_name;
static double lowest = 0.5, highest = 2; /* of all quartiles and these */
static double others = -1; /* the most that other programs used of the processors, in percent */

/* ---- Recording ----------------------------------------------------------- */

static void fill_bar(struct bar *bar, const bench_comparison *comparison, size_t index)
{
    const bench_candidate *candidate = &comparison->candidates[index];
    double rate = bench_rounds_quartiles(&comparison->rounds, index, BENCH_RATE).median;

    bench_candidate_label(candidate, bar->name, sizeof bar->name);
    bench_comparison_ratio(comparison, index, BENCH_ROLE_BLOCKING, BENCH_RATE, &bar->ratio);
    bar->epio = candidate->backend != NULL;
    longest_name = strlen(bar->name) > longest_name ? strlen(bar->name) : longest_name;
    lowest = bar->ratio.low < lowest ? bar->ratio.low : lowest;
    highest = bar->ratio.high > highest ? bar->ratio.high : highest;
    if ((candidate->roles & BENCH_ROLE_BLOCKING) != 0) {
        snprintf(bar->value, sizeof bar->value, "1 = %.0f operations/s", rate);
    } else {
        snprintf(bar->value, sizeof bar->value, "%.*f", bar->ratio.median < 0.1 ? 3 : 2,
                 bar->ratio.median);
    }
}

int bench_plot_add(const bench_comparison *comparison)
{
    bench_quartiles ratio;
    struct panel *more, *panel;
    size_t i;

    if (!bench_comparison_ratio(comparison, 0, BENCH_ROLE_BLOCKING, BENCH_RATE, &ratio)) {
        return 0;
    }
    more = realloc(panels, (panel_count + 1) * sizeof *panels);
    if (more == NULL) {
        return EPIO_ENOMEM;
    }
    panels = more;
    panel = &panels[panel_count++];
    panel->count = comparison->count;
    snprintf(panel->title, sizeof panel->title, "%s, %u in flight",
             comparison->plan->workload->name, (unsigned int)comparison->candidates[0].depth);
    for (i = 0; i < comparison->count; i++) {
        fill_bar(&panel->bars[i], comparison, i);
    }
    most_bars = panel->count > most_bars ? panel->count : most_bars;
    bench = comparison->plan->bench;
    others = comparison->rounds.others > others ? comparison->rounds.others : others;
    return 0;
}

/* ---- Drawing ------------------------------------------------------------- */

/* Of a panel and of the margins, in pixels. */
#define MOST_COLUMNS 3u
#define LETTER 7.5 /* width of a letter in a name */
#define AREA 300u
#define TITLE 50u
#define AXIS 55u
#define BAR 17u
#define HEADER 50u
#define FOOTER 105u
#define MARGIN 30u

/* Names identify the engines; colours only show at a glance which are epio's. */
#define EPIO_COLOUR 0x2f7de1
#define OTHER_COLOUR 0xb4b4b4

/* In gnuplot's single quotes only the quotes themselves are special. */
static void print_quoted(FILE *gnuplot, const char *text)
{
    fputc('\'', gnuplot);
    for (; *text != '\0'; text++) {
        fputs(*text == '\'' ? "''" : (const char[]){*text, '\0'}, gnuplot);
    }
    fputc('\'', gnuplot);
}

/* The terminal, and the positions of the panels: gnuplot counts in parts of the picture. */
static void print_layout(FILE *gnuplot, const char *file)
{
    unsigned int columns = panel_count < MOST_COLUMNS ? (unsigned int)panel_count : MOST_COLUMNS;
    unsigned int rows = ((unsigned int)panel_count + columns - 1) / columns;
    double names = MARGIN + LETTER * (double)longest_name;
    double width = columns * (names + AREA) + MARGIN;
    double height = HEADER + rows * (TITLE + BAR * (double)most_bars + AXIS) + FOOTER;

    /* A single panel is wide enough for the text below it. */
    width = width < 1000 ? 1000 : width;
    fprintf(gnuplot,
            "set terminal svg size %.0f,%.0f dynamic noenhanced"
            " font \"Helvetica,Arial,sans-serif,13\" background \"#ffffff\"\n"
            "set encoding utf8\nset output ",
            width, height);
    print_quoted(gnuplot, file);
    fprintf(gnuplot, "\nset multiplot layout %u,%u margins %f,%f,%f,%f spacing %f,%f\n", rows,
            columns, names / width, 1 - MARGIN / width, (FOOTER + AXIS) / height,
            1 - (HEADER + TITLE) / height, names / width, (TITLE + AXIS) / height);
    fprintf(gnuplot,
            "set label 1 \"epio-bench %s: operations per second, as a multiple of one thread's"
            " blocking calls\" at screen 0.5, screen %f center font \",19\"\n",
            bench, 1 - 28 / height);
    fprintf(gnuplot, "footer(line) = (%u - 22 * line) / %f\n", FOOTER - 25, height);
}

static void print_footer(FILE *gnuplot)
{
    char machine[256], date[32] = "", busy[80] = "";
    time_t now = time(NULL);
    const struct tm *local = localtime(&now);

    bench_machine_name(machine, sizeof machine);
    if (local != NULL) {
        strftime(date, sizeof date, ", %Y-%m-%d %H:%M", local);
    }
    if (others >= 0) {
        snprintf(busy, sizeof busy, "; other programs used up to %.0f %% of its processors",
                 others);
    }
    fprintf(gnuplot,
            "set label 2 \"How to read it: each bar begins at 1, which is one thread with one"
            " blocking call after another (of appends: that flushes once for all tasks).\""
            " at screen 0.02, screen footer(0)\n"
            "set label 3 \"A bar to the right is faster, to the left slower; the number is the"
            " median of the rounds, half of which lie within the thin line. Compare within a"
            " panel.\" at screen 0.02, screen footer(1)\nset label 4 ");
    print_quoted(gnuplot, machine);
    fprintf(gnuplot, ".\"%s%s\" at screen 0.02, screen footer(2)\n", date, busy);
}

/* From a little below the lowest bar to where the number of the highest fits. */
static void print_axes(FILE *gnuplot)
{
    fprintf(gnuplot,
            "unset key\n"
            "set style fill solid 1.0 noborder\n"
            "set logscale x\n"
            "set format x \"%%g\"\n"
            "set xrange [%g:%g]\n"
            "set xlabel \"times as many operations per second (logarithmic)\" offset 0,0.4\n"
            "set label 5 \"engine\" at graph 0, graph 1 right offset -1.3,0.9\n"
            "set grid xtics lc rgb \"#e3e3e3\" lt 1 lw 1\n"
            "set border 1 lc rgb \"#808080\"\n"
            "set xtics (0.001, 0.01, 0.1, 0.5, 1, 2, 10, 100) nomirror scale 0.4"
            " textcolor rgb \"#303030\"\n"
            "set ytics nomirror scale 0 textcolor rgb \"#303030\"\n"
            "set arrow 1 from 1, graph 0 to 1, graph 1 nohead lc rgb \"#303030\" lw 1.5 front\n",
            lowest * 0.8, highest * (highest / lowest > 50 ? 8 : 4));
}

/* Position, ratio, both ends of the bar, quartiles, position of the number, colour, number and
 * name. */
static void print_data(FILE *gnuplot, const struct panel *panel)
{
    size_t i;

    fprintf(gnuplot, "$bars << END\n");
    for (i = 0; i < panel->count; i++) {
        const struct bar *bar = &panel->bars[i];
        double ratio = bar->ratio.median, high = bar->ratio.high > 1 ? bar->ratio.high : 1;

        fprintf(gnuplot, "%u %.4f %.4f %.4f %.4f %.4f %.4f %d \"%s\" \"%s\"\n", (unsigned int)i,
                ratio, ratio < 1 ? ratio : 1, ratio < 1 ? 1 : ratio, bar->ratio.low,
                bar->ratio.high, high, bar->epio ? EPIO_COLOUR : OTHER_COLOUR, bar->value,
                bar->name);
    }
    fprintf(gnuplot, "END\n");
}

static void print_panel(FILE *gnuplot, const struct panel *panel)
{
    print_data(gnuplot, panel);
    fprintf(gnuplot,
            "set title \"%s\" font \",14\" offset 0,-0.4\n"
            "set yrange [%u.6:-0.6]\n"
            "plot $bars using 2:1:3:4:($1-0.38):($1+0.38):8:yticlabels(10) with boxxyerror"
            " lc rgb variable, $bars using 2:1:5:6 with xerrorbars pt 0 lc rgb \"#202020\","
            " $bars using 7:1:9 with labels left offset 0.8,0 font \",12\"\n"
            "unset label 1; unset label 2; unset label 3; unset label 4\n",
            panel->title, (unsigned int)panel->count - 1);
}

static void print_script(FILE *gnuplot, const char *file)
{
    size_t i;

    print_layout(gnuplot, file);
    print_footer(gnuplot);
    print_axes(gnuplot);
    for (i = 0; i < panel_count; i++) {
        print_panel(gnuplot, &panels[i]);
    }
    fprintf(gnuplot, "unset multiplot\n");
}

static int report_failure(const char *what)
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
    /* With an empty input it succeeds at once. */
    gnuplot = bench_command_open("gnuplot");
    if (gnuplot == NULL || bench_command_close(gnuplot) != 0) {
        return report_failure("needs gnuplot, which cannot be started");
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
    if (panel_count == 0) {
        return report_failure("nothing was compared with blocking calls");
    }
    gnuplot = bench_command_open("gnuplot");
    if (gnuplot == NULL) {
        return report_failure("gnuplot cannot be started");
    }
    print_script(gnuplot, options->plot);
    status = bench_command_close(gnuplot);
    free(panels);
    panels = NULL;
    panel_count = 0;
    return status != 0 ? report_failure("gnuplot failed") : 0;
}
