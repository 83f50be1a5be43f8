/* epio-bench peers: epio on each back end, beside what one would write without
 * it. */
#include "comparison.h"

#include <epio/vfs.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Wall-clock seconds, of which a part goes to making files. */
#define QUICK_BUDGET 32
#define USUAL_BUDGET 200

#define MOST_ENTRIES 32u

#define KIB 1024u
#define SMALL (4 * KIB)
#define LARGE (64 * KIB)
#define CACHED (8u << 20)  /* bytes of a file that stays in the page cache */
#define DIRECT (64u << 20) /* bytes of one that is read past it */

/* Whom epio is compared with. */
typedef enum rivalry {
    WITH_RIVALS,
    WITHOUT_LAYERS, /* epio itself, through two layers and not */
    WITHOUT_WRITE   /* epio itself, with a large write beside and not */
} rivalry;

struct plan {
    bench_workload workload;
    rivalry rivalry;
};

/* What waits for the medium, and so may take longer than it should, comes first: the
 * rest shares what is left of the time. */
static const struct plan plans[] = {
    {{"cached read 4 KiB, 64 MiB written beside", BENCH_READ, false, SMALL, 1, CACHED / SMALL},
     WITHOUT_WRITE},
    {{"append 4 KiB and sync", BENCH_APPEND, false, SMALL, 1, 0}, WITH_RIVALS},
    {{"append 4 KiB and sync", BENCH_APPEND, false, SMALL, 8, 0}, WITH_RIVALS},
    {{"append 4 KiB and sync", BENCH_APPEND, false, SMALL, 32, 0}, WITH_RIVALS},
    {{"cached read 4 KiB", BENCH_READ, false, SMALL, 1, CACHED / SMALL}, WITH_RIVALS},
    {{"cached read 4 KiB", BENCH_READ, false, SMALL, 32, CACHED / SMALL}, WITH_RIVALS},
    {{"cached read 64 KiB", BENCH_READ, false, LARGE, 1, CACHED / LARGE}, WITH_RIVALS},
    {{"cached read 64 KiB", BENCH_READ, false, LARGE, 32, CACHED / LARGE}, WITH_RIVALS},
    {{"cached overwrite 4 KiB", BENCH_OVERWRITE, false, SMALL, 1, CACHED / SMALL}, WITH_RIVALS},
    {{"cached overwrite 4 KiB", BENCH_OVERWRITE, false, SMALL, 32, CACHED / SMALL}, WITH_RIVALS},
    {{"direct read 4 KiB", BENCH_READ, true, SMALL, 1, DIRECT / SMALL}, WITH_RIVALS},
    {{"direct read 4 KiB", BENCH_READ, true, SMALL, 32, DIRECT / SMALL}, WITH_RIVALS},
    {{"cached read 4 KiB, two layers", BENCH_READ, false, SMALL, 1, CACHED / SMALL},
     WITHOUT_LAYERS},
    {{"cached read 4 KiB, two layers", BENCH_READ, false, SMALL, 32, CACHED / SMALL},
     WITHOUT_LAYERS},
};

#define PLAN_COUNT (sizeof plans / sizeof plans[0])

/* All that is to be compared. */
struct tournament {
    const bench_options *options;
    const char *backends[BENCH_MOST_BACKENDS];
    size_t backend_count;
    bench_budget budget;
};

struct list {
    bench_entry entries[MOST_ENTRIES];
    size_t count;
};

static bench_entry *add_entry(struct list *list, const bench_engine *engine)
{
    bench_entry *entry = &list->entries[list->count++];

    memset(entry, 0, sizeof *entry);
    entry->engine = engine;
    return entry;
}

static bench_entry *add_epio(struct list *list, const bench_engine *engine, const char *backend,
                             bench_mode mode)
{
    bench_entry *entry = add_entry(list, engine);

    entry->backend = backend;
    entry->mode = mode;
    return entry;
}

/* Reads are the same in all modes; a flush waits for the disk, which inline_writes
 * is not about. */
static void add_modes(struct list *list, const char *backend, bench_kind kind)
{
    add_epio(list, &bench_engine_epio, backend, BENCH_ALONE);
    if (kind != BENCH_READ) {
        add_epio(list, &bench_engine_epio, backend, BENCH_HANDED_OVER);
    }
    if (kind == BENCH_OVERWRITE) {
        add_epio(list, &bench_engine_epio, backend, BENCH_INLINE);
    }
}

static void list_with_rivals(struct list *list, const struct tournament *tournament,
                             bench_kind kind)
{
    size_t i;

    for (i = 0; bench_rivals[i] != NULL; i++) {
        add_entry(list, bench_rivals[i]);
    }
    for (i = 0; i < tournament->backend_count; i++) {
        add_modes(list, tournament->backends[i], kind);
    }
}

static void list_with_layers(struct list *list, const char *backend)
{
    bench_entry *plain = add_epio(list, &bench_engine_epio, backend, BENCH_ALONE);
    bench_entry *layered = add_epio(list, &bench_engine_epio, backend, BENCH_ALONE);

    plain->roles = BENCH_ROLE_PLAIN;
    layered->layers = true;
    layered->name = "epio, two layers";
}

static void list_with_write(struct list *list, const char *backend)
{
    add_epio(list, &bench_engine_reads_alone, backend, BENCH_ALONE);
    add_epio(list, &bench_engine_reads_beside_write, backend, BENCH_ALONE);
    add_epio(list, &bench_engine_reads_beside_write, backend, BENCH_HANDED_OVER);
}

/* What epio is compared with itself for, it is on each back end apart. */
static size_t contests_of(const struct tournament *tournament, const struct plan *plan)
{
    return plan->rivalry == WITH_RIVALS ? 1 : tournament->backend_count;
}

static void list_entries(struct list *list, const struct tournament *tournament,
                         const struct plan *plan, size_t contest)
{
    list->count = 0;
    switch (plan->rivalry) {
    case WITH_RIVALS:
        list_with_rivals(list, tournament, plan->workload.kind);
        break;
    case WITHOUT_LAYERS:
        list_with_layers(list, tournament->backends[contest]);
        break;
    case WITHOUT_WRITE:
        list_with_write(list, tournament->backends[contest]);
        break;
    }
}

static bool is_wanted(const bench_options *options, const struct plan *plan)
{
    return options->workload == NULL || strstr(plan->workload.name, options->workload) != NULL;
}

/* Does something for each contest that is wanted, until an error. */
static int visit_contests(struct tournament *tournament,
                          int (*visit)(struct tournament *tournament, const struct plan *plan,
                                       const struct list *list))
{
    struct list list;
    size_t i, contest;
    int error = 0;

    for (i = 0; i < PLAN_COUNT && error == 0; i++) {
        if (!is_wanted(tournament->options, &plans[i])) {
            continue;
        }
        for (contest = 0; contest < contests_of(tournament, &plans[i]) && error == 0; contest++) {
            list_entries(&list, tournament, &plans[i], contest);
            error = visit(tournament, &plans[i], &list);
        }
    }
    return error;
}

static int count_entries(struct tournament *tournament, const struct plan *plan,
                         const struct list *list)
{
    (void)plan;
    tournament->budget.entries += list->count;
    return 0;
}

static int compare(struct tournament *tournament, const struct plan *plan, const struct list *list)
{
    return bench_entries_compete(tournament->options, "peers", &plan->workload, list->entries,
                                 list->count, &tournament->budget);
}

static int tell_unknown(const bench_options *options)
{
    size_t i;

    fprintf(stderr, "epio-bench peers: no workload has '%s' in its name:\n", options->workload);
    for (i = 0; i < PLAN_COUNT; i++) {
        if (i == 0 || strcmp(plans[i].workload.name, plans[i - 1].workload.name) != 0) {
            fprintf(stderr, "  %s\n", plans[i].workload.name);
        }
    }
    return BENCH_USAGE;
}

static int run_peers(const bench_options *options)
{
    struct tournament tournament = {0};
    uint64_t seconds = options->quick ? QUICK_BUDGET : USUAL_BUDGET;
    int error = bench_plot_check(options);

    tournament.options = options;
    tournament.backend_count = bench_backends(options, tournament.backends);
    tournament.budget.deadline = epio_clock_monotonic() + seconds * 1000000000u;
    visit_contests(&tournament, count_entries);
    if (tournament.budget.entries == 0) {
        return tell_unknown(options);
    }
    if (error == 0) {
        error = visit_contests(&tournament, compare);
    }
    return error != 0 ? error : bench_plot_draw(options);
}

const bench_command bench_peers_command = {
    .name = "peers",
    .summary = "epio beside blocking calls, threads, liburing, libuv and POSIX AIO",
    .help = "Compares epio, on each back end, with those that do the same work without it and\n"
            "were found when this was built. Engines take turns within each round; ratios are\n"
            "taken within a round, and printed with their quartiles: to one thread's blocking\n"
            "calls, to the same by a call that reads only what is cached (NOWAIT), to blocking\n"
            "threads, and to the best peer, the fastest engine that one thread drives (liburing,\n"
            "libuv, POSIX AIO). Of appends the ideal is one thread that writes for all tasks and\n"
            "flushes once.\n"
            "\n"
            "Modes: 'alone' is a loop that only waits, and carries out itself what it would hand\n"
            "over; 'handed over' one that a second thread has used once, so that workers write\n"
            "and flush; 'inline' one with inline_writes. Blocks that were read are checked.\n"
            "Latencies come from the last fifth of each turn, which does not count for the rate,\n"
            "as looking at the clock takes a while. --workload takes a part of a name.",
    .options = BENCH_ROUNDS | BENCH_SECONDS | BENCH_WORKLOAD | BENCH_QUICK | BENCH_PLOT,
    .defaults = {.rounds = 15, .path = "."},
    .run = run_peers,
};
