/* epio-bench tree: copying a tree of small files, and removing the copies. Makes the tree, lets
 * workers take turns, and removes all.
 *
 * No copy is removed before the last is made: for minutes ext4 looks at each inode that was freed
 * before it gives out another, which would be most of what is measured. */
#include "comparison.h"
#include "report.h"
#include "system.h"
#include "tree_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_OF_DIRECTORY 100u
#define DIRECTORIES_OF_PARENT 50u
#define LARGEST_FILE 8192u
#define PATH_SIZE 4096

/* ---- The tree ------------------------------------------------------------ */

struct context {
    const bench_options *options;
    char path[PATH_SIZE - 128];
    char from[PATH_SIZE - 64];
    char to[PATH_SIZE - 64]; /* of the copy that is made or removed */
    uint64_t files;
    uint64_t names; /* with directories */
    size_t series[8];
    size_t count;
    size_t turns[8]; /* copies of each series that were made, or removed */
};

static int64_t make_directory(const char *path)
{
    epio_op op = {0};

    return epio_perform(epio_mkdir(&op, epio_os_vfs(), path, 0));
}

static int64_t make_file(const char *path, size_t bytes)
{
    static const char text[LARGEST_FILE];
    epio_op op = {0};
    int64_t result =
        epio_perform(epio_open(&op, epio_os_vfs(), path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE));

    if (result == 0) {
        epio_file *file = op.file;

        result = epio_perform(epio_write(&op, file, text, bytes, 0));
        bench_file_close(file);
    }
    return result;
}

static int64_t make_files(struct context *context)
{
    char path[PATH_SIZE];
    uint64_t i;
    int64_t result = make_directory(context->from);

    context->names = 1;
    for (i = 0; i < context->files && result >= 0; i++) {
        uint64_t directory = i / FILES_OF_DIRECTORY, parent = directory / DIRECTORIES_OF_PARENT;

        bench_progress("making the tree", i, context->files);
        if (directory % DIRECTORIES_OF_PARENT == 0 && i % FILES_OF_DIRECTORY == 0) {
            snprintf(path, sizeof path, "%s/%" PRIu64, context->from, parent);
            result = make_directory(path);
            context->names++;
        }
        if (i % FILES_OF_DIRECTORY == 0 && result >= 0) {
            snprintf(path, sizeof path, "%s/%" PRIu64 "/%" PRIu64, context->from, parent,
                     directory);
            result = make_directory(path);
            context->names++;
        }
        if (result >= 0) {
            snprintf(path, sizeof path, "%s/%" PRIu64 "/%" PRIu64 "/file-%" PRIu64, context->from,
                     parent, directory, i);
            result = make_file(path, (size_t)(i * 97 % LARGEST_FILE));
            context->names++;
        }
        result = bench_interrupted() ? EPIO_ECANCELED : result;
    }
    bench_progress("making the tree", 1, 1);
    return result;
}

static int make_tree(struct context *context)
{
    epio_op op = {0};
    int64_t result = epio_perform(epio_temporary_directory(
        &op, epio_os_vfs(), context->options->path, context->path, sizeof context->path));

    if (result >= 0) {
        snprintf(context->from, sizeof context->from, "%s/from", context->path);
        snprintf(context->to, sizeof context->to, "%s/to", context->path);
        result = make_files(context);
    }
    return result < 0 ? (int)result : 0;
}

static void remove_all(const struct context *context)
{
    epio_op op = {0};

    if (context->path[0] != '\0') {
        (void)epio_perform(epio_remove_tree(&op, epio_os_vfs(), context->path, NULL));
    }
}

/* ---- Workers ------------------------------------------------------------- */

static int run_on_loop(const bench_options *options, const char *from, const char *to)
{
    epio_loop *loop;
    epio_op op = {0};
    int64_t result = bench_loop_create(options->backend, BENCH_ALONE, &loop);

    if (result == 0) {
        epio_vfs *vfs = epio_loop_vfs(loop);

        result = epio_wait(to != NULL ? epio_copy_tree(&op, vfs, from, to, NULL)
                                      : epio_remove_tree(&op, vfs, from, NULL));
        epio_loop_destroy(loop);
    }
    return result < 0 ? (int)result : 0;
}

static int remove_on_loop(const bench_options *options, const char *path)
{
    return run_on_loop(options, path, NULL);
}

static int copy_here(const bench_options *options, const char *from, const char *to)
{
    epio_op op = {0};
    int64_t result = epio_perform(epio_copy_tree(&op, epio_os_vfs(), from, to, NULL));

    (void)options;
    return result < 0 ? (int)result : 0;
}

static int remove_here(const bench_options *options, const char *path)
{
    epio_op op = {0};
    int64_t result = epio_perform(epio_remove_tree(&op, epio_os_vfs(), path, NULL));

    (void)options;
    return result < 0 ? (int)result : 0;
}

static int run_command(const char *what, const char *path, const char *to)
{
    char command[2 * PATH_SIZE];
    FILE *stream;

    if (!bench_tree_command(what, path, to, command, sizeof command)) {
        return EPIO_ENOTSUP;
    }
    stream = bench_command_open(command);
    return stream != NULL && bench_command_close(stream) == 0 ? 0 : EPIO_ENOTSUP;
}

static int copy_by_command(const bench_options *options, const char *from, const char *to)
{
    (void)options;
    return run_command("cp -r", from, to);
}

static int remove_by_command(const bench_options *options, const char *path)
{
    (void)options;
    return run_command("rm -r", path, NULL);
}

static const bench_tree_worker workers[] = {
    {"epio_copy_tree", run_on_loop, remove_on_loop},
    {"with epio_perform", copy_here, remove_here},
#if defined(BENCH_HAS_LIBUV)
    {"libuv, all names at once", bench_copy_tree_libuv, bench_remove_tree_libuv},
    {"libuv, each name awaited", bench_copy_tree_libuv_awaited, bench_remove_tree_libuv_awaited},
#endif
    {"cp -r, rm -r", copy_by_command, remove_by_command},
};

#define WORKERS (sizeof workers / sizeof workers[0])

/* ---- Measuring ----------------------------------------------------------- */

enum { SECONDS, FIELDS };

static int has_copied_all(const struct context *context)
{
    epio_op op = {0};
    int64_t found = epio_perform(epio_walk(&op, epio_os_vfs(), context->to, NULL));

    return found == (int64_t)context->names - 1;
}

static const bench_tree_worker *take_turn(struct context *context, size_t series)
{
    snprintf(context->to, sizeof context->to, "%s/to-%zu-%zu", context->path, series,
             context->turns[series]++);
    return &workers[context->series[series]];
}

static int measure_copy(void *argument, size_t series, double *fields)
{
    struct context *context = argument;
    const bench_tree_worker *worker = take_turn(context, series);
    uint64_t began = epio_clock_monotonic();
    int error = worker->copy(context->options, context->from, context->to);

    fields[SECONDS] = (double)(epio_clock_monotonic() - began) / 1e9;
    if (error == 0 && !has_copied_all(context)) {
        fprintf(stderr, "epio-bench tree: %s: not all was copied\n", worker->name);
        return EXIT_FAILURE;
    }
    return error;
}

static int measure_removal(void *argument, size_t series, double *fields)
{
    struct context *context = argument;
    const bench_tree_worker *worker = take_turn(context, series);
    uint64_t began = epio_clock_monotonic();
    int error = worker->remove(context->options, context->to);

    fields[SECONDS] = (double)(epio_clock_monotonic() - began) / 1e9;
    return error;
}

/* Those that fail with a directory of the tree are left out. */
static void choose(struct context *context)
{
    char from[PATH_SIZE];
    size_t i;

    snprintf(from, sizeof from, "%s/0/0", context->from);
    snprintf(context->to, sizeof context->to, "%s/try", context->path);
    for (i = 0; i < WORKERS; i++) {
        if (workers[i].copy(context->options, from, context->to) == 0 &&
            workers[i].remove(context->options, context->to) == 0) {
            context->series[context->count++] = i;
        } else {
            bench_say(context->options, "%s: not on this system\n", workers[i].name);
        }
    }
}

/* ---- Results ------------------------------------------------------------- */

enum { WORKER = BENCH_HEAD_COUNT, COPY, COPY_RATIO, REMOVE, REMOVE_RATIO };

static const bench_column columns[] = {
    BENCH_HEAD_COLUMNS,
    {NULL, "worker", -27, 0, 0, 0},
    {"copy_s", "copying, s", -22, 4, 3, BENCH_QUARTILES},
    {"copy_of_first", "of epio's speed", -18, 4, 2, BENCH_QUARTILES},
    {"remove_s", "removing, s", -22, 4, 3, BENCH_QUARTILES},
    {"remove_of_first", "of epio's speed", -18, 4, 2, BENCH_QUARTILES},
};

#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

static void report(const struct context *context, const bench_rounds *copies,
                   const bench_rounds *removals)
{
    bench_cell cells[WORKERS * COLUMN_COUNT] = {{0}};
    char text[128];
    size_t i;

    bench_rounds_describe(copies, text, sizeof text);
    bench_say(context->options, "tree: %" PRIu64 " files, in all %" PRIu64 " names (%s)\n\n",
              context->files, context->names, text);
    for (i = 0; i < context->count; i++) {
        bench_cell *row = &cells[i * COLUMN_COUNT];
        const bench_tree_worker *worker = &workers[context->series[i]];
        const bench_candidate candidate = {.name = worker->name, .depth = 1};

        bench_head_fill(row, "tree", "tree", &candidate);
        row[WORKER] = bench_text(worker->name);
        row[COPY] = bench_range(bench_rounds_quartiles(copies, i, SECONDS));
        row[COPY_RATIO] = bench_range(bench_rounds_speed_of_first(copies, i, SECONDS));
        row[REMOVE] = bench_range(bench_rounds_quartiles(removals, i, SECONDS));
        row[REMOVE_RATIO] = bench_range(bench_rounds_speed_of_first(removals, i, SECONDS));
    }
    bench_report(context->options, columns, COLUMN_COUNT, cells, context->count);
}

static int compare_workers(struct context *context)
{
    bench_rounds copies = {.label = "copying",
                           .planned = (size_t)context->options->rounds,
                           .series = context->count,
                           .fields = FIELDS,
                           .measure = measure_copy,
                           .context = context};
    bench_rounds removals = copies;
    int error = bench_rounds_take(&copies);

    removals.label = "removing";
    removals.measure = measure_removal;
    memset(context->turns, 0, sizeof context->turns);
    if (error == 0) {
        error = bench_rounds_take(&removals);
    }
    if (error == 0) {
        report(context, &copies, &removals);
    }
    bench_rounds_free(&copies);
    bench_rounds_free(&removals);
    return error;
}

static int run_tree(const bench_options *options)
{
    static struct context context;
    int error;

    context.options = options;
    context.files = options->entries;
    error = make_tree(&context);
    if (error == 0) {
        choose(&context);
        bench_load_before();
        error = compare_workers(&context);
    }
    remove_all(&context);
    return error;
}

const bench_command bench_tree_command_line = {
    .name = "tree",
    .summary = "copying a tree of small files, and removing the copies",
    .help =
        "Makes a tree of --entries files of up to 8 KiB, 100 in each directory, copies it in "
        "each round,\n"
        "then removes the copies: by epio_copy_tree and epio_remove_tree on a loop, by\n"
        "epio_perform on this thread, by libuv with all names in flight and with one, and by\n"
        "cp -r and rm -r, whose start is counted. Speeds are compared in each round. All copies\n"
        "are there at once, five in each round: for 20,000 files that is 0.1 GB each, in blocks\n"
        "of 4 KiB.",
    .options = BENCH_ROUNDS | BENCH_ENTRIES | BENCH_BUSY,
    .defaults = {.rounds = 5, .path = ".", .entries = 20000},
    .run = run_tree,
};
