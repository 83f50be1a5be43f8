/* Tables and JSON lines on standard output, a progress bar and errors on standard error. The
 * callers define the columns. */
#include "report.h"
#include "system.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BAR_WIDTH 30
#define LINE_WIDTH 78

/* ---- Cells --------------------------------------------------------------- */

bench_cell bench_text(const char *text)
{
    return (bench_cell){.text = text, .known = true};
}

bench_cell bench_number(double number)
{
    return (bench_cell){.number = {number, number, number}, .known = true};
}

bench_cell bench_time(double microseconds)
{
    return microseconds > 0 ? bench_number(microseconds) : (bench_cell){0};
}

bench_cell bench_range(bench_quartiles quartiles)
{
    return (bench_cell){.number = quartiles, .known = true};
}

void bench_head_fill(bench_cell *cells, const char *bench, const char *workload,
                     const bench_candidate *candidate)
{
    cells[0] = bench_text(bench);
    cells[1] = bench_text(workload);
    cells[2] = bench_number((double)candidate->depth);
    cells[3] = bench_text(candidate->name);
    cells[4] = bench_text(candidate->backend != NULL ? candidate->backend : "");
    cells[5] = bench_text(bench_mode_name(candidate->mode));
}

void bench_candidate_label(const bench_candidate *candidate, char *label, size_t size)
{
    if (candidate->backend == NULL) {
        snprintf(label, size, "%s", candidate->name);
    } else {
        snprintf(label, size, "%s (%s, %s)", candidate->name, candidate->backend,
                 bench_mode_name(candidate->mode));
    }
}

/* ---- JSON ---------------------------------------------------------------- */

static void print_json_cell(const bench_column *column, const bench_cell *cell)
{
    const bench_quartiles *number = &cell->number;

    if (!cell->known) {
        printf("\"%s\":null", column->key);
    } else if (cell->text != NULL) {
        printf("\"%s\":\"%s\"", column->key, cell->text);
    } else {
        printf("\"%s\":%.*f", column->key, column->digits, number->median);
    }
    if (cell->known && (column->flags & BENCH_QUARTILES) != 0) {
        printf(",\"%s_low\":%.*f,\"%s_high\":%.*f", column->key, column->digits, number->low,
               column->key, column->digits, number->high);
    }
}

static void print_json(const bench_column *columns, size_t count, const bench_cell *cells)
{
    const char *separator = "{";
    size_t i;

    for (i = 0; i < count; i++) {
        if (columns[i].key != NULL &&
            (cells[i].known || (columns[i].flags & BENCH_REQUIRED) != 0)) {
            fputs(separator, stdout);
            print_json_cell(&columns[i], &cells[i]);
            separator = ",";
        }
    }
    printf("}\n");
}

/* ---- Tables -------------------------------------------------------------- */

/* Small numbers have more digits, where the first would be zeros. */
static void print_table_cell(const bench_column *column, const bench_cell *cell)
{
    const bench_quartiles *number = &cell->number;
    int digits = column->table_digits;
    char text[64];

    if (!cell->known) {
        snprintf(text, sizeof text, "-");
    } else if (cell->text != NULL) {
        snprintf(text, sizeof text, "%s", cell->text);
    } else if ((column->flags & BENCH_QUARTILES) != 0) {
        digits += number->median < 0.1;
        snprintf(text, sizeof text, "%.*f (%.*f-%.*f)", digits, number->median, digits, number->low,
                 digits, number->high);
    } else {
        snprintf(text, sizeof text, "%.*f", digits, number->median);
    }
    printf("%*s", column->width, text);
}

static bool is_shown(const bench_column *columns, size_t column, size_t count,
                     const bench_cell *cells, size_t rows)
{
    size_t row;

    for (row = 0; row < rows; row++) {
        if (cells[row * count + column].known) {
            return columns[column].title != NULL;
        }
    }
    return false;
}

static void print_table(const bench_column *columns, size_t count, const bench_cell *cells,
                        size_t rows)
{
    size_t row, i;

    for (row = 0; row <= rows; row++) {
        const char *separator = "";

        for (i = 0; i < count; i++) {
            if (!is_shown(columns, i, count, cells, rows)) {
                continue;
            }
            fputs(separator, stdout);
            separator = "  ";
            if (row == 0) {
                printf("%*s", columns[i].width, columns[i].title);
            } else {
                print_table_cell(&columns[i], &cells[(row - 1) * count + i]);
            }
        }
        putchar('\n');
    }
    putchar('\n');
}

void bench_report(const bench_options *options, const bench_column *columns, size_t column_count,
                  const bench_cell *cells, size_t row_count)
{
    size_t row;

    for (row = 0; row < row_count && options->json; row++) {
        print_json(columns, column_count, &cells[row * column_count]);
    }
    if (!options->json) {
        print_table(columns, column_count, cells, row_count);
    }
    fflush(stdout);
}

void bench_say(const bench_options *options, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (!options->json) {
        vprintf(format, arguments);
    }
    va_end(arguments);
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
