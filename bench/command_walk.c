/* epio-bench walk: going through a tree of directories, with a stat of each entry. Makes the tree,
 * lets walkers take turns, and removes it. */
#include "comparison.h"
#include "report.h"
#include "system.h"
#include "walker.h"

#include <epio/vfs.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_OF_DIRECTORY 100u
#define DIRECTORIES_OF_PARENT 50u
#define PATH_SIZE 4096

/* ---- The tree ------------------------------------------------------------ */

struct tree {
    const bench_options *options;
    char path[PATH_SIZE - 128]; /* room for the names below it */
    uint64_t directories;       /* with files */
    uint64_t parents;
};

/* The names of the tree, by numbers. */
static const char *name_of(char *path, const struct tree *tree, uint64_t parent, uint64_t directory,
                           uint64_t file)
{
    int len = snprintf(path, PATH_SIZE, "%s/%" PRIu64, tree->path, parent);

    if (directory != UINT64_MAX) {
        len += snprintf(path + len, PATH_SIZE - (size_t)len, "/%" PRIu64, directory);
    }
    if (file != UINT64_MAX) {
        snprintf(path + len, PATH_SIZE - (size_t)len, "/file-%" PRIu64, file);
    }
    return path;
}

static int make_file(const char *path, size_t bytes)
{
    static const char text[FILES_OF_DIRECTORY];
    epio_op op = {0};
    int64_t result =
        epio_perform(epio_open(&op, epio_os_vfs(), path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE));

    if (result == 0) {
        epio_file *file = op.file;

        result = epio_perform(epio_write(&op, file, text, bytes, 0));
        bench_file_close(file);
    }
    return result < 0 ? (int)result : 0;
}

static int remove_file(const char *path)
{
    epio_op op = {0};

    return (int)epio_perform(epio_delete(&op, epio_os_vfs(), path, 0));
}

static int make_directory(const char *path)
{
    epio_op op = {0};

    return (int)epio_perform(epio_mkdir(&op, epio_os_vfs(), path, 0));
}

static int remove_directory(const char *path)
{
    epio_op op = {0};

    return (int)epio_perform(epio_rmdir(&op, epio_os_vfs(), path, 0));
}

static int make_directory_of_files(const struct tree *tree, uint64_t directory)
{
    char path[PATH_SIZE];
    uint64_t parent = directory / DIRECTORIES_OF_PARENT, i;
    int error = 0;

    if (directory % DIRECTORIES_OF_PARENT == 0) {
        error = make_directory(name_of(path, tree, parent, UINT64_MAX, UINT64_MAX));
    }
    if (error == 0) {
        error = make_directory(name_of(path, tree, parent, directory, UINT64_MAX));
    }
    for (i = 0; i < FILES_OF_DIRECTORY && error == 0; i++) {
        error = make_file(name_of(path, tree, parent, directory, i), (size_t)i);
    }
    return error;
}

static int make_tree(struct tree *tree)
{
    epio_op op = {0};
    uint64_t i;
    int64_t result = epio_perform(epio_temporary_directory(&op, epio_os_vfs(), tree->options->path,
                                                           tree->path, sizeof tree->path));
    int error = result < 0 ? (int)result : 0;

    for (i = 0; i < tree->directories && error == 0; i++) {
        bench_progress("making the tree", i, tree->directories);
        error = bench_interrupted() ? EPIO_ECANCELED : make_directory_of_files(tree, i);
    }
    bench_progress("making the tree", 1, 1);
    return error;
}

/* All that was made, also if that was ended early. */
static void remove_tree(const struct tree *tree)
{
    char path[PATH_SIZE];
    uint64_t i, file;

    if (tree->path[0] == '\0') {
        return;
    }
    for (i = 0; i < tree->directories; i++) {
        uint64_t parent = i / DIRECTORIES_OF_PARENT;

        bench_progress("removing the tree", i, tree->directories);
        for (file = 0; file < FILES_OF_DIRECTORY; file++) {
            if (remove_file(name_of(path, tree, parent, i, file)) < 0) {
                break;
            }
        }
        remove_directory(name_of(path, tree, parent, i, UINT64_MAX));
    }
    for (i = 0; i < tree->parents; i++) {
        remove_directory(name_of(path, tree, i, UINT64_MAX, UINT64_MAX));
    }
    remove_directory(tree->path);
    bench_progress("removing the tree", 1, 1);
}

/* ---- Walkers ------------------------------------------------------------- */

static bool count_entries(epio_op *op, epio_walk_entry *entries, size_t count)
{
    bench_found *found = op->user;
    size_t i;

    for (i = 0; i < count; i++) {
        found->entries++;
        found->bytes += entries[i].info != NULL && entries[i].type == EPIO_TYPE_FILE
                            ? entries[i].info->bytes
                            : 0;
    }
    return true;
}

static const epio_walk_options walk_options = {
    .size = sizeof walk_options, .flags = EPIO_WALK_STAT, .entries = count_entries};

static int walk_on_loop(const bench_options *options, const char *tree, bench_found *found)
{
    epio_loop *loop;
    epio_op op = {.user = found};
    int64_t result = bench_loop_create(options->backend, BENCH_ALONE, &loop);

    if (result == 0) {
        result = epio_wait(epio_walk(&op, epio_loop_vfs(loop), tree, &walk_options));
        epio_loop_destroy(loop);
    }
    return result < 0 ? (int)result : 0;
}

static int walk_here(const bench_options *options, const char *tree, bench_found *found)
{
    epio_op op = {.user = found};
    int64_t result = epio_perform(epio_walk(&op, epio_os_vfs(), tree, &walk_options));

    (void)options;
    return result < 0 ? (int)result : 0;
}

/* find(1), which prints size and path, and is not counted here. */
static int walk_by_find(const bench_options *options, const char *tree, bench_found *found)
{
    char command[PATH_SIZE + 64];
    FILE *stream;

    (void)options;
    (void)found;
    if (!bench_find_command(tree, command, sizeof command)) {
        return EPIO_ENOTSUP;
    }
    stream = bench_command_open(command);
    return stream != NULL && bench_command_close(stream) == 0 ? 0 : EPIO_ENOTSUP;
}

static const bench_walker walkers[] = {
    {"epio_walk", walk_on_loop},
    {"epio_walk, epio_perform", walk_here},
#if defined(BENCH_HAS_LIBUV)
    {"libuv, scandir and lstat", bench_walk_libuv},
#endif
    {"find -printf", walk_by_find},
};

#define WALKERS (sizeof walkers / sizeof walkers[0])

/* ---- Measuring ----------------------------------------------------------- */

enum { SECONDS, CPU_SECONDS, FIELDS };

struct context {
    const bench_options *options;
    struct tree tree;
    size_t series[WALKERS]; /* those that this system has */
    size_t count;
};

static bool has_found_all(const struct context *context, const bench_found *found)
{
    const struct tree *tree = &context->tree;
    uint64_t of_directory = FILES_OF_DIRECTORY * (FILES_OF_DIRECTORY - 1) / 2;

    return found->entries == tree->directories * (FILES_OF_DIRECTORY + 1) + tree->parents &&
           found->bytes == tree->directories * of_directory;
}

static int measure(void *argument, size_t series, double *fields)
{
    struct context *context = argument;
    const bench_walker *walker = &walkers[context->series[series]];
    bench_found found = {0};
    uint64_t began, cpu;
    int error = context->options->cold ? bench_empty_caches() : 0;

    if (error != 0) {
        return error;
    }
    began = epio_clock_monotonic();
    cpu = bench_cpu_time();
    error = walker->walk(context->options, context->tree.path, &found);
    fields[SECONDS] = (double)(epio_clock_monotonic() - began) / 1e9;
    fields[CPU_SECONDS] = (double)(bench_cpu_time() - cpu) / 1e9;
    if (error == 0 && walker->walk != walk_by_find && !has_found_all(context, &found)) {
        fprintf(stderr, "epio-bench walk: %s: not all was found\n", walker->name);
        error = EXIT_FAILURE;
    }
    return error;
}

/* Those that fail now are left out. */
static void choose(struct context *context)
{
    size_t i;

    for (i = 0; i < WALKERS; i++) {
        bench_found found = {0};

        if (walkers[i].walk(context->options, context->tree.path, &found) == 0) {
            context->series[context->count++] = i;
        } else {
            bench_say(context->options, "%s: not on this system\n", walkers[i].name);
        }
    }
}

/* ---- Results ------------------------------------------------------------- */

enum { WALKER = BENCH_HEAD_COUNT, TIME, CPU, RATE, RATIO };

static const bench_column columns[] = {
    BENCH_HEAD_COLUMNS,
    {NULL, "walker", -24, 0, 0, 0},
    {"seconds", "seconds", -22, 4, 3, BENCH_QUARTILES},
    {"cpu_s", "CPU s", 6, 4, 2, 0},
    {"entries_per_s", "entries/s", 10, 0, 0, 0},
    {"speed_of_first", "of epio_walk's speed", -20, 4, 2, BENCH_QUARTILES},
};

#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

static void report(const struct context *context, const bench_rounds *rounds)
{
    const struct tree *tree = &context->tree;
    const char *workload = context->options->cold ? "walk, cold" : "walk";
    double entries = (double)(tree->directories * (FILES_OF_DIRECTORY + 1) + tree->parents);
    bench_cell cells[WALKERS * COLUMN_COUNT] = {{0}};
    char text[128];
    size_t i;

    bench_rounds_describe(rounds, text, sizeof text);
    bench_say(context->options, "%s: %.0f entries with a stat of each (%s)\n\n", workload, entries,
              text);
    for (i = 0; i < context->count; i++) {
        bench_cell *row = &cells[i * COLUMN_COUNT];
        const bench_walker *walker = &walkers[context->series[i]];
        const bench_candidate candidate = {.name = walker->name, .depth = 1};

        bench_head_fill(row, "walk", workload, &candidate);
        row[WALKER] = bench_text(walker->name);
        row[TIME] = bench_range(bench_rounds_quartiles(rounds, i, SECONDS));
        if (walker->walk != walk_by_find) {
            row[CPU] = bench_range(bench_rounds_quartiles(rounds, i, CPU_SECONDS));
        }
        row[RATE] = bench_number(entries / row[TIME].number.median);
        row[RATIO] = bench_range(bench_rounds_speed_of_first(rounds, i, SECONDS));
    }
    bench_report(context->options, columns, COLUMN_COUNT, cells, context->count);
}

static int compare_walkers(struct context *context)
{
    bench_rounds rounds = {.label = "walk",
                           .planned = (size_t)context->options->rounds,
                           .series = context->count,
                           .fields = FIELDS,
                           .measure = measure,
                           .context = context};
    int error = bench_rounds_take(&rounds);

    if (error == 0) {
        report(context, &rounds);
    }
    bench_rounds_free(&rounds);
    return error;
}

static int run_walk(const bench_options *options)
{
    static struct context context;
    uint64_t of_directory = FILES_OF_DIRECTORY + 1;
    int error;

    context.options = options;
    context.tree.options = options;
    context.tree.directories = (options->entries + of_directory - 1) / of_directory;
    context.tree.parents =
        (context.tree.directories + DIRECTORIES_OF_PARENT - 1) / DIRECTORIES_OF_PARENT;
    error = make_tree(&context.tree);
    if (error == 0) {
        choose(&context);
        bench_load_before();
        error = compare_walkers(&context);
    }
    remove_tree(&context.tree);
    return error;
}

const bench_command bench_walk_command = {
    .name = "walk",
    .summary = "going through a tree of directories, with a stat of each entry",
    .help =
        "Makes a tree of directories with 100 small files each, and goes through it: by one\n"
        "epio_walk on a loop, by epio_perform on this thread, by libuv's scandir and lstat with\n"
        "all of them in flight, and by find(1), which prints. With --cold the system's caches\n"
        "are emptied before each turn, which root may do on Linux. Speeds are compared in each\n"
        "round; the processor time of find(1), another program's, is not known.",
    .options = BENCH_ROUNDS | BENCH_TREE | BENCH_BUSY,
    .defaults = {.rounds = 7, .path = ".", .entries = 200000},
    .run = run_walk,
};
