/* A tour of epio in four parts: files, the VFS around them, backpressure, and what an
 * asynchronous loop gains on this machine.
 *
 *     async_io [DIRECTORY]
 *
 * Works on two small files in DIRECTORY (default: the current one) and deletes them. Portable:
 * C11 and epio alone. */
#include <epio/bench.h>
#include <epio/epio.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 4096

/* Shared by the parts. */
struct tour {
    epio_loop *loop;
    epio_vfs *vfs; /* the operating system, completing on that loop */
    char path[PATH_SIZE];
    char renamed[PATH_SIZE];
};

/* Prints the result of an operation. False if that is an error. */
static bool show(const char *what, const epio_op *op)
{
    if (op->result < 0) {
        printf("  %-22s %s: %s\n", what, epio_error_name(op->result),
               epio_error_message(op->result));
    } else {
        printf("  %-22s %" PRId64 "\n", what, op->result);
    }
    return op->result >= 0;
}

/* ---- Part 1: files ------------------------------------------------------ */

/* The loop calls this when an operation has ended. op->user has what the callback needs. */
static void count_done(epio_op *op)
{
    int *done = op->user;

    if (op->result >= 0) {
        ++*done;
    }
}

/* Two writes in flight, and a sync that covers both. epio_submit returns immediately;
 * epio_loop_run calls `done` as each operation ends. */
static int64_t write_two_lines(struct tour *tour, epio_file *file)
{
    static const char first[] = "the first line\n", second[] = "the second line\n";
    epio_op ops[3] = {{0}};
    int done = 0;
    int i;

    for (i = 0; i < 3; i++) {
        ops[i].done = count_done;
        ops[i].user = &done;
    }
    epio_submit(epio_write(&ops[0], file, first, strlen(first), 0));
    epio_submit(epio_write(&ops[1], file, second, strlen(second), strlen(first)));
    epio_submit(epio_sync(&ops[2], file, EPIO_SYNC_FULL));
    epio_loop_run(tour->loop);

    printf("  %d of 3 operations succeeded\n", done);
    for (i = 0; i < 3; i++) {
        if (ops[i].result < 0) {
            return ops[i].result;
        }
    }
    return 0;
}

/* epio_wait submits the op and returns when it is done; meanwhile the loop delivers its other
 * operations. */
static int64_t read_back(epio_file *file)
{
    char text[64];
    epio_op op = {0};

    epio_wait(epio_size(&op, file));
    if (!show("size in bytes", &op)) {
        return op.result;
    }
    epio_wait(epio_read(&op, file, text, sizeof text - 1, 0));
    if (!show("bytes read", &op)) {
        return op.result;
    }
    text[op.result] = '\0';
    printf("%s", text);
    return 0;
}

/* SQLite's locks: from no lock to the exclusive one. */
static int64_t lock_for_writing(epio_file *file)
{
    static const uint32_t levels[] = {EPIO_LOCK_SHARED, EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    epio_op op = {0};
    int i;

    for (i = 0; i < 3; i++) {
        epio_wait(epio_lock(&op, file, levels[i], EPIO_LOCK_WAIT));
        if (op.result < 0) {
            break;
        }
    }
    show("lock EXCLUSIVE", &op);
    return op.result;
}

/* Two open files exclude each other, here as in two processes, one of which may be SQLite. A
 * waiting op blocks no thread, and gets the lock as soon as it is free. */
static int64_t take_turns(epio_file *file, epio_file *other)
{
    epio_op waiting = {0}, op = {0};
    int64_t result = lock_for_writing(file);

    if (result < 0) {
        return result;
    }
    epio_wait(epio_lock(&op, other, EPIO_LOCK_SHARED, 0));
    show("another file's lock", &op); /* EPIO_EBUSY, as it does not wait */

    waiting.timeout_ns = UINT64_C(5000000000);
    epio_submit(epio_lock(&waiting, other, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT));
    epio_wait(epio_unlock(&op, file, EPIO_LOCK_NONE));
    if (!show("unlock", &op)) {
        return op.result;
    }
    epio_wait(&waiting);
    show("the other one's turn", &waiting);
    return waiting.result;
}

static int64_t use_locks(struct tour *tour, epio_file *file)
{
    epio_op op = {0};
    int64_t result;

    epio_wait(epio_open(&op, tour->vfs, tour->path, EPIO_OPEN_READ));
    if (op.result < 0) {
        return op.result;
    }
    result = take_turns(file, op.file);
    epio_wait(epio_close(&op, op.file)); /* releases its lock */
    return result;
}

static int64_t part_files(struct tour *tour)
{
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE;
    epio_op op = {0};
    epio_file *file;
    int64_t result;

    printf("\n1. Files\n");
    epio_wait(epio_open(&op, tour->vfs, tour->path, flags));
    if (!show("open", &op)) {
        return op.result;
    }
    file = op.file;
    result = write_two_lines(tour, file);
    if (result >= 0) {
        result = read_back(file);
    }
    if (result >= 0) {
        result = use_locks(tour, file);
    }
    /* The file is closed in any case; of two errors the first is returned. */
    epio_wait(epio_close(&op, file));
    if (!show("close", &op) && result >= 0) {
        result = op.result;
    }
    return result;
}

/* ---- Part 2: the VFS ---------------------------------------------------- */

static int64_t look_at_paths(struct tour *tour)
{
    char full[PATH_SIZE];
    epio_op op = {0};

    epio_wait(epio_access(&op, tour->vfs, tour->path, EPIO_ACCESS_READWRITE));
    if (!show("may be written", &op)) {
        return op.result;
    }
    epio_wait(epio_full_pathname(&op, tour->vfs, tour->path, full, sizeof full));
    if (!show("length of full path", &op)) {
        return op.result;
    }
    printf("  %s\n", full);
    return 0;
}

static int64_t rename_and_delete(struct tour *tour)
{
    epio_op op = {0};

    epio_wait(epio_rename(&op, tour->vfs, tour->path, tour->renamed, EPIO_RENAME_NO_REPLACE));
    if (!show("rename", &op)) {
        return op.result;
    }
    epio_wait(epio_access(&op, tour->vfs, tour->path, EPIO_ACCESS_EXISTS));
    if (!show("the old name exists", &op)) {
        return op.result;
    }
    /* With SYNC_DIR the removal is durable when this is done. */
    epio_wait(epio_delete(&op, tour->vfs, tour->renamed, EPIO_DELETE_SYNC_DIR));
    show("delete", &op);
    return op.result;
}

static int64_t ask_for_time_and_chance(struct tour *tour)
{
    unsigned char bytes[8];
    epio_op op = {0};
    int i;

    epio_wait(epio_sleep(&op, tour->vfs, 10 * 1000 * 1000));
    if (!show("nanoseconds slept", &op)) {
        return op.result;
    }
    epio_wait(epio_current_time(&op, tour->vfs));
    if (!show("nanoseconds since 1970", &op)) {
        return op.result;
    }
    epio_wait(epio_randomness(&op, tour->vfs, bytes, sizeof bytes));
    if (!show("random bytes", &op)) {
        return op.result;
    }
    printf("  ");
    for (i = 0; i < 8; i++) {
        printf("%02x ", bytes[i]);
    }
    printf("\n");
    return 0;
}

static int64_t part_vfs(struct tour *tour)
{
    int64_t result;

    printf("\n2. VFS\n");
    result = look_at_paths(tour);
    if (result >= 0) {
        result = rename_and_delete(tour);
    }
    if (result >= 0) {
        result = ask_for_time_and_chance(tour);
    }
    return result;
}

/* ---- Part 3: backpressure ----------------------------------------------- */

#define JOBS 100
#define LIMIT 10

/* The number of running jobs, counted by the jobs themselves on worker threads. */
static atomic_int running;
static atomic_int most;

static int64_t job(epio_op *op)
{
    epio_op pause = {0};
    int now = atomic_fetch_add(&running, 1) + 1;
    int seen = atomic_load(&most);

    (void)op;
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
        ;
    }
    /* Something slow. epio_perform needs no loop: it works on any thread. */
    epio_perform(epio_sleep(&pause, epio_os_vfs(), 2 * 1000 * 1000));
    atomic_fetch_sub(&running, 1);
    return pause.result < 0 ? pause.result : 0;
}

/* All jobs are submitted at once. The limit passes ten on, and another whenever one ends: no
 * queue to write, and no thread blocked. */
static int64_t run_jobs(struct tour *tour, epio_vfs *limited)
{
    static epio_op ops[JOBS];
    int done = 0;
    int i;

    for (i = 0; i < JOBS; i++) {
        memset(&ops[i], 0, sizeof ops[i]);
        ops[i].done = count_done;
        ops[i].user = &done;
        epio_submit(epio_work(&ops[i], limited, job));
    }
    printf("  %" PRIu64 " operations in flight\n", epio_loop_pending(tour->loop));
    epio_loop_run(tour->loop);
    printf("  %d done, at most %d at the same time\n", done, atomic_load(&most));
    return done == JOBS && atomic_load(&most) <= LIMIT ? 0 : EPIO_EUNKNOWN;
}

static int64_t part_limit(struct tour *tour)
{
    epio_semaphore *semaphore;
    epio_vfs *limited;
    int64_t result;

    printf("\n3. %d operations through a limit of %d\n", JOBS, LIMIT);
    result = epio_semaphore_create(&semaphore, LIMIT);
    if (result < 0) {
        return result;
    }
    result = epio_limit_vfs_create(&limited, tour->vfs, semaphore);
    if (result >= 0) {
        result = run_jobs(tour, limited);
        epio_vfs_destroy(limited);
    }
    epio_semaphore_destroy(semaphore);
    return result;
}

/* ---- Part 4: performance ------------------------------------------------ */

static int64_t compare(const char *directory, uint64_t iterations, uint32_t flags,
                       int (*run)(epio_bench_result *, const epio_bench_options *))
{
    epio_bench_options options = {0};
    epio_bench_result result = {.size = sizeof result};
    char summary[512];
    int error;

    options.size = sizeof options;
    options.path = directory;
    options.iterations = iterations;
    options.flags = flags;
    error = run(&result, &options);
    if (error == 0) {
        (void)epio_bench_summary(&result, summary, sizeof summary);
        fputs(summary, stdout);
    }
    return error;
}

/* An asynchronous loop gains where there is something to wait for. Cached data is fast either
 * way. */
static int64_t part_performance(const char *directory)
{
    int64_t result;

    printf("\n4. Performance\n");
    result = compare(directory, 500, EPIO_BENCH_DURABLE, epio_bench_compare_write);
    if (result >= 0) {
        result = compare(directory, 20000, 0, epio_bench_compare_read);
    }
    return result;
}

/* ---- The tour ----------------------------------------------------------- */

/* Unused names, so that no existing file is changed. */
static int64_t choose_names(struct tour *tour, const char *directory)
{
    uint32_t number;
    epio_op op = {0};
    int64_t result = epio_perform(epio_randomness(&op, epio_os_vfs(), &number, sizeof number));
    int needed;

    if (result < 0) {
        return result;
    }
    needed = snprintf(tour->path, PATH_SIZE, "%s/epio-%08" PRIx32 ".txt", directory, number);
    snprintf(tour->renamed, PATH_SIZE, "%s/epio-%08" PRIx32 ".old", directory, number);
    return needed < 0 || needed >= PATH_SIZE ? EPIO_ENAMETOOLONG : 0;
}

/* Leaves no file behind if a part fails. */
static void remove_files(struct tour *tour)
{
    epio_op op = {0};

    epio_wait(epio_delete(&op, tour->vfs, tour->path, 0));
    epio_wait(epio_delete(&op, tour->vfs, tour->renamed, 0));
}

static int64_t run_parts(struct tour *tour, const char *directory)
{
    int64_t result;

    printf("epio %s on %s\n", epio_version(), epio_loop_backend(tour->loop));
    result = part_files(tour);
    if (result >= 0) {
        result = part_vfs(tour);
    }
    if (result >= 0) {
        result = part_limit(tour);
    }
    if (result >= 0) {
        result = part_performance(directory);
    }
    if (result < 0) {
        remove_files(tour);
    }
    return result;
}

int main(int count, char **arguments)
{
    static struct tour tour;
    const char *directory = count > 1 ? arguments[1] : ".";
    int64_t result;

    if (strcmp(directory, "--help") == 0) {
        printf("usage: async_io [DIRECTORY]\n\n"
               "A tour of the library; its files are made in DIRECTORY (.) and removed.\n");
        return EXIT_SUCCESS;
    }
    if (count > 2 || directory[0] == '-') {
        fprintf(stderr, "usage: async_io [DIRECTORY]\n");
        return 2;
    }
    result = choose_names(&tour, directory);
    if (result >= 0) {
        result = epio_loop_create(&tour.loop, NULL);
    }
    if (result >= 0) {
        tour.vfs = epio_loop_vfs(tour.loop);
        result = run_parts(&tour, directory);
        epio_loop_destroy(tour.loop);
    }
    if (result < 0) {
        fprintf(stderr, "async_io: %s: %s: %s\n", directory, epio_error_name(result),
                epio_error_message(result));
        return EXIT_FAILURE;
    }
    printf("\nAll four parts are done.\n");
    return EXIT_SUCCESS;
}
