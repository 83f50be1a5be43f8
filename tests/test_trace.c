/* Tracing: every op is counted once and under its kind, times are true, and reading from other
 * threads disturbs nothing. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <epio/vfs.h>

#include <stdatomic.h>

/* ---- Helpers ---------------------------------------------------------------- */

static epio_vfs *trace_make(epio_vfs *inner)
{
    epio_vfs *trace = NULL;
    check_result(epio_trace_vfs_create(&trace, inner), 0);
    return trace;
}

static epio_trace_counts counts_of(const epio_vfs *trace, uint32_t kind)
{
    epio_trace_counts counts = {.size = sizeof counts};
    check_result(epio_trace_read(trace, kind, &counts), 0);
    return counts;
}

static epio_file *open_through(fixture *f, epio_vfs *vfs, const char *name)
{
    epio_op op = {0};
    check_op(f,
             epio_open(&op, vfs, fixture_path(f, name),
                       EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE),
             0);
    check(op.file->vfs == vfs);
    return op.file;
}

static uint64_t sum_of_buckets(const epio_trace_counts *counts)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < EPIO_TRACE_BUCKETS; i++) {
        sum += counts->buckets[i];
    }
    return sum;
}

/* The numbers are consistent with each other. */
static void check_consistent(const epio_trace_counts *counts)
{
    check(counts->failed + counts->cancelled <= counts->count);
    check(counts->timed <= counts->count);
    check_result(sum_of_buckets(counts), counts->timed);
    check(counts->shortest_ns <= counts->longest_ns);
    check(counts->total_ns >= counts->timed * counts->shortest_ns);
    check(counts->total_ns <= counts->timed * counts->longest_ns);
}

static void check_counts(const epio_vfs *trace, uint32_t kind, uint64_t count, uint64_t failed,
                         uint64_t cancelled, uint64_t bytes)
{
    epio_trace_counts counts = counts_of(trace, kind);
    bool fits = counts.count == count && counts.failed == failed && counts.cancelled == cancelled &&
                counts.bytes == bytes;
    if (!fits) {
        print_error("%s: %llu, %llu failed, %llu cancelled, %llu bytes\n", epio_kind_name(kind),
                    (unsigned long long)counts.count, (unsigned long long)counts.failed,
                    (unsigned long long)counts.cancelled, (unsigned long long)counts.bytes);
    }
    check(fits);
    check_result(counts.in_flight, 0);
    check_consistent(&counts);
}

/* ---- What is counted ---------------------------------------------------------- */

static int64_t answer(epio_op *op)
{
    (void)op;
    return 42;
}

/* Each kind of space once, whatever becomes of it: which of them failed. */
static void use_kinds_of_space(fixture *f, epio_file *file, uint64_t failed[EPIO_KIND_COUNT])
{
    epio_op ops[7] = {{0}};
    epio_op *at = ops;
    fixture_result(f, epio_append(at++, file, "12345678", 8));
    fixture_result(f, epio_allocate(at++, file, 0, 4096, 0));
    fixture_result(f, epio_punch_hole(at++, file, 0, 4096));
    fixture_result(f, epio_zero_range(at++, file, 0, 4096, 0));
    fixture_result(f, epio_seek_data(at++, file, 0));
    fixture_result(f, epio_seek_hole(at++, file, 0));
    fixture_result(f, epio_advise(at++, file, 0, 0, EPIO_ADVICE_NORMAL));
    while (at-- != ops) {
        failed[at->kind] = at->result < 0 ? 1 : 0;
    }
}

static void use_every_kind(fixture *f, epio_vfs *vfs, uint64_t failed[EPIO_KIND_COUNT])
{
    char buffer[1024];
    char data[16] = "fifteen letters";
    epio_iovec parts[2] = {{data, 8}, {data + 8, 8}};
    epio_op op = {0};
    epio_file *file = open_through(f, vfs, "data");
    check_op(f, epio_write(&op, file, data, 16, 0), 16);
    check_op(f, epio_writev(&op, file, parts, 2, 16), 16);
    check_op(f, epio_read(&op, file, buffer, 100, 0), 32); /* at the end of the file */
    check_op(f, epio_readv(&op, file, parts, 2, 20), 12);
    check_op(f, epio_truncate(&op, file, 2 << 20), 0);
    check_op(f, epio_sync(&op, file, 0), 0);
    check_op(f, epio_size(&op, file), 2 << 20);
    use_kinds_of_space(f, file, failed);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), 0);
    check_op(f, epio_check_reserved_lock(&op, file), 0);
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
    check_op(f, epio_close(&op, file), 0);
    check_op(f, epio_access(&op, vfs, fixture_path(f, "data"), EPIO_ACCESS_EXISTS), 1);
    check_op(f, epio_rename(&op, vfs, fixture_path(f, "data"), fixture_path(f, "other"), 0), 0);
    check_op(f, epio_delete(&op, vfs, fixture_path(f, "other"), 0), 0);
    check(fixture_result(
              f, epio_full_pathname(&op, vfs, fixture_path(f, "x"), buffer, sizeof buffer)) > 0);
    check_op(f, epio_sleep(&op, vfs, 1), 1);
    check(fixture_result(f, epio_current_time(&op, vfs)) > 0);
    check_op(f, epio_randomness(&op, vfs, buffer, 8), 8);
    check_op(f, epio_work(&op, vfs, answer), 42);
}

/* Each kind of metadata and directories once, whatever becomes of it: which of them failed. */
static void use_kinds_of_trees(fixture *f, epio_vfs *vfs, uint64_t failed[EPIO_KIND_COUNT])
{
    uint64_t buffer[256];
    char *text = (char *)buffer;
    epio_info info = {.size = sizeof info};
    epio_file_system system = {.size = sizeof system};
    epio_times times = {sizeof times, EPIO_TIME_NOW, EPIO_TIME_KEEP, EPIO_TIME_KEEP};
    const char *path = fixture_path(f, "tree");
    const char *other = fixture_path(f, "other");
    epio_op ops[EPIO_KIND_COUNT] = {{0}};
    epio_op *at = ops;
    epio_op open = {0};
    fixture_result(f, epio_mkdir(at++, vfs, path, 0));
    fixture_result(f, epio_open(&open, vfs, path, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY));
    epio_file *file = open.file;
    check(file != NULL);
    fixture_result(f, epio_stat(at++, vfs, path, &info, 0));
    fixture_result(f, epio_file_stat(at++, file, &info));
    fixture_result(f, epio_set_times(at++, vfs, path, &times, 0));
    fixture_result(f, epio_file_set_times(at++, file, &times));
    fixture_result(f, epio_set_mode(at++, vfs, path, 0755, 0));
    fixture_result(f, epio_file_set_mode(at++, file, 0755));
    fixture_result(f, epio_set_owner(at++, vfs, path, EPIO_OWNER_KEEP, EPIO_OWNER_KEEP, 0));
    fixture_result(f, epio_file_set_owner(at++, file, EPIO_OWNER_KEEP, EPIO_OWNER_KEEP));
    fixture_result(f, epio_list(at++, file, buffer, sizeof buffer, 0));
    fixture_result(f, epio_link_file(at++, vfs, path, other, 0));
    fixture_result(f, epio_symlink(at++, vfs, "target", other, 0));
    fixture_result(f, epio_read_link(at++, vfs, other, text, sizeof buffer));
    fixture_result(f, epio_exchange(at++, vfs, path, other, 0));
    fixture_result(f, epio_get_xattr(at++, vfs, path, "user.x", buffer, 8, 0));
    fixture_result(f, epio_file_get_xattr(at++, file, "user.x", buffer, 8));
    fixture_result(f, epio_set_xattr(at++, vfs, path, "user.x", "1", 1, 0));
    fixture_result(f, epio_file_set_xattr(at++, file, "user.x", "1", 1, 0));
    fixture_result(f, epio_list_xattrs(at++, vfs, path, text, sizeof buffer, 0));
    fixture_result(f, epio_file_list_xattrs(at++, file, text, sizeof buffer));
    fixture_result(f, epio_remove_xattr(at++, vfs, path, "user.x", 0));
    fixture_result(f, epio_file_remove_xattr(at++, file, "user.x"));
    fixture_result(f, epio_file_system_info(at++, vfs, path, &system));
    fixture_result(f, epio_name_temporary(at++, file, other, EPIO_NAME_NO_REPLACE));
    fixture_result(f, epio_temporary_directory(at++, vfs, f->directory, text, 1));
    fixture_result(f, epio_sync_directory(at++, vfs, f->directory));
    fixture_result(f, epio_close(&open, file));
    fixture_result(f, epio_rmdir(at++, vfs, path, 0));
    while (at-- != ops) {
        failed[at->kind] = at->result < 0 ? 1 : 0;
    }
    (void)fixture_result(f, epio_rmdir(&open, f->vfs, other, 0));
    (void)fixture_result(f, epio_delete(&open, f->vfs, other, 0));
    (void)fixture_result(f, epio_delete(&open, f->vfs, path, 0));
}

static uint64_t bytes_of_every_kind(uint32_t kind)
{
    switch (kind) {
    case EPIO_KIND_READ:
        return 32;
    case EPIO_KIND_READV:
        return 12;
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        return 16;
    case EPIO_KIND_APPEND:
        return 8; /* its result is 2 MiB */
    default:
        return 0;
    }
}

static void every_kind_is_counted(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    uint64_t failed[EPIO_KIND_COUNT] = {0};
    use_every_kind(f, trace, failed);
    use_kinds_of_trees(f, trace, failed);
    for (uint32_t kind = EPIO_KIND_NONE; kind < EPIO_KIND_COUNT; kind++) {
        /* A walk comes as the ops that it is made of. Copies, ranges, mappings and watches have
         * tests of their own. */
        bool comes = kind != EPIO_KIND_NONE && kind != EPIO_KIND_ADOPT &&
                     kind != EPIO_KIND_ACQUIRE && kind != EPIO_KIND_WALK &&
                     kind < EPIO_KIND_COPY_RANGE;
        uint64_t count = comes ? 1 : 0;
        count += kind == EPIO_KIND_OPEN || kind == EPIO_KIND_CLOSE ? 1 : 0; /* of the directory */
        uint64_t bytes = failed[kind] == 0 ? bytes_of_every_kind(kind) : 0;
        check_counts(trace, kind, count, failed[kind], 0, bytes);
        check_result(counts_of(trace, kind).timed, count); /* slow enough to be timed */
    }
    epio_vfs_destroy(trace);
}

static void an_adopted_file_is_counted(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    intptr_t ends[2];
    char found[2];
    pipe_make(ends);
    check_op(f, epio_adopt(&op, trace, ends[0], 0), 0);
    epio_file *reader = op.file;
    check_result(pipe_write(ends[1], "ab", 2), 2);
    check_op(f, epio_read(&op, reader, found, 2, 0), 2);
    check_op(f, epio_close(&op, reader), 0);
    check(handle_close(ends[1]));
    check_op(f, epio_adopt(&op, trace, NO_HANDLE, 0), EPIO_EBADF);
    check(op.file == NULL);
    check_counts(trace, EPIO_KIND_ADOPT, 2, 1, 0, 0);
    check_counts(trace, EPIO_KIND_READ, 1, 0, 0, 2);
    check_counts(trace, EPIO_KIND_CLOSE, 1, 0, 0, 0);
    epio_vfs_destroy(trace);
}

static void failures_are_counted(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    char byte = 0;
    for (int i = 0; i < 3; i++) {
        check_op(f, epio_open(&op, trace, fixture_path(f, "missing"), EPIO_OPEN_READ), EPIO_ENOENT);
        check(op.file == NULL);
    }
    epio_file *file = open_through(f, trace, "data");
    check_op(f, epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0), EPIO_EINVAL); /* skips a step */
    check_op(f, epio_read(&op, file, &byte, 1, 0), 0);
    check_op(f, epio_read(&op, file, NULL, 1, 0), EPIO_EINVAL); /* refused before */
    check_op(f, epio_close(&op, file), 0);
    check_op(f, epio_delete(&op, trace, fixture_path(f, "missing"), 0), EPIO_ENOENT);
    check_counts(trace, EPIO_KIND_OPEN, 4, 3, 0, 0);
    check_counts(trace, EPIO_KIND_LOCK, 1, 1, 0, 0);
    check_counts(trace, EPIO_KIND_READ, 1, 0, 0, 0);
    check_counts(trace, EPIO_KIND_DELETE, 1, 1, 0, 0);
    epio_vfs_destroy(trace);
}

static void a_deadline_counts_as_cancelled(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {.timeout_ns = 2 * MILLISECOND};
    check_op(f, epio_sleep(&op, trace, 3600000 * MILLISECOND), EPIO_ETIMEDOUT);
    check_counts(trace, EPIO_KIND_SLEEP, 1, 0, 1, 0);
    check(counts_of(trace, EPIO_KIND_SLEEP).timed == 1);
    epio_vfs_destroy(trace);
}

/* Bytes of large ops are summed separately. */
static void large_transfers_are_counted(fixture *f)
{
    const size_t len = (1 << 20) + 1;
    char *data = calloc(1, len);
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    check(data != NULL);
    epio_iovec parts[2] = {{data, len}, {data, len}};
    epio_file *file = open_through(f, trace, "data");
    for (size_t i = 0; i < 80; i++) { /* more than are timed in succession */
        check_op(f, epio_write(&op, file, data, i % 2 == 0 ? len : 1, 0),
                 i % 2 == 0 ? (int64_t)len : 1);
    }
    check_op(f, epio_writev(&op, file, parts, 2, 0), 2 * (int64_t)len);
    check_op(f, epio_close(&op, file), 0);
    check_counts(trace, EPIO_KIND_WRITE, 80, 0, 0, 40 * (uint64_t)len + 40);
    check_counts(trace, EPIO_KIND_WRITEV, 1, 0, 0, 2 * (uint64_t)len);
    epio_vfs_destroy(trace);
    free(data);
}

/* ---- Times -------------------------------------------------------------------- */

static void times_are_true(fixture *f)
{
    static const uint64_t lengths[] = {3, 6, 12}; /* milliseconds, a power of two apart */
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    uint64_t started = epio_clock_monotonic();
    for (size_t i = 0; i < 3; i++) {
        int64_t nanoseconds = (int64_t)(lengths[i] * MILLISECOND);
        check_op(f, epio_sleep(&op, trace, (uint64_t)nanoseconds), nanoseconds);
    }
    uint64_t gone = epio_clock_monotonic() - started;
    epio_trace_counts counts = counts_of(trace, EPIO_KIND_SLEEP);
    check_consistent(&counts);
    check_result(counts.timed, 3);
    check(counts.shortest_ns >= 3 * MILLISECOND);
    check(counts.longest_ns >= 12 * MILLISECOND);
    check(counts.total_ns >= 21 * MILLISECOND && counts.total_ns <= gone);
    for (size_t i = 0; i < 21; i++) { /* 2^21 is 2.1 ms */
        check(counts.buckets[i] == 0);
    }
    for (size_t i = 0; i < EPIO_TRACE_BUCKETS; i++) {
        if (counts.buckets[i] != 0) {
            check(counts.longest_ns >= UINT64_C(1) << i);
            check(counts.shortest_ns < UINT64_C(2) << i);
        }
    }
    epio_vfs_destroy(trace);
}

#define QUICK fixture_rounds(20000)

/* Not all are timed, but all are counted, and enough of them are timed. */
static void fast_ops_are_sampled(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    char byte = 0;
    epio_file *file = open_through(f, trace, "data");
    check_op(f, epio_write(&op, file, "x", 1, 0), 1);
    for (size_t i = 0; i < QUICK; i++) {
        check_op(f, epio_read(&op, file, &byte, 1, i % 2), i % 2 == 0 ? 1 : 0);
    }
    check_counts(trace, EPIO_KIND_READ, QUICK, 0, 0, QUICK / 2);
    check(counts_of(trace, EPIO_KIND_READ).timed >= QUICK / 31);
    check_op(f, epio_close(&op, file), 0);
    epio_vfs_destroy(trace);
}

/* Slow ops are timed, whatever the others do. */
static void slow_ones_are_all_timed(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    for (size_t i = 0; i < 200; i++) {
        check(fixture_result(f, epio_current_time(&op, trace)) > 0);
        if (i % 2 == 0) {
            check_op(f, epio_sleep(&op, trace, 50000), 50000);
        }
    }
    check_result(counts_of(trace, EPIO_KIND_SLEEP).timed, 100);
    epio_vfs_destroy(trace);
}

/* ---- An op that is retried ------------------------------------------------------ */

/* A VFS whose ops succeed at the third try. */
typedef struct patient_vfs {
    epio_vfs base;
    unsigned tries;
} patient_vfs;

static int64_t patient_perform(epio_vfs *vfs, epio_op *op)
{
    patient_vfs *one = (patient_vfs *)(void *)vfs;
    one->tries++;
    op->due = epio_clock_monotonic() + MILLISECOND;
    return one->tries % 3 == 0 ? 7 : EPIO_RETRY;
}

#if EPIO_ASYNC
static void patient_submit(epio_vfs *vfs, epio_op *op)
{
    epio_complete(op, patient_perform(vfs, op));
}
#endif

static void tries_count_once(fixture *f)
{
    static const epio_vfs_methods methods = {
        .size = sizeof(epio_vfs_methods),
        .name = "patient",
#if EPIO_ASYNC
        .submit = patient_submit,
#endif
        .perform = patient_perform,
    };
    patient_vfs patient = {.base = {.methods = &methods, .loop = f->vfs->loop}};
    epio_vfs *trace = trace_make(&patient.base);
    epio_op op = {0};
    for (int i = 0; i < 3; i++) {
        check_op(f, epio_current_time(&op, trace), 7);
    }
    check_result(patient.tries, 9);
    check_counts(trace, EPIO_KIND_CURRENT_TIME, 3, 0, 0, 0);
    epio_vfs_destroy(trace);
}

/* ---- Files ---------------------------------------------------------------------- */

static void a_file_is_that_of_the_inner_vfs(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    epio_file *file = open_through(f, trace, "data");
    check((epio_file_os_handle(file) == -1) == f->memory);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), 0);
    check_result(epio_file_lock_level(file), EPIO_LOCK_SHARED);
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
    check_result(epio_file_lock_level(file), EPIO_LOCK_NONE);
    check_op(f, epio_close(&op, file), 0);
    epio_vfs_destroy(trace);
}

static void traces_stack(fixture *f)
{
    epio_vfs *below = trace_make(f->vfs);
    epio_vfs *above = trace_make(below);
    uint64_t failed[EPIO_KIND_COUNT] = {0};
    use_every_kind(f, above, failed);
    for (uint32_t kind = EPIO_KIND_NONE; kind < EPIO_KIND_COUNT; kind++) {
        epio_trace_counts inner = counts_of(below, kind), outer = counts_of(above, kind);
        check_counts(below, kind, outer.count, failed[kind], 0, outer.bytes);
        check(outer.total_ns >= inner.total_ns); /* once each, and timed */
    }
    epio_vfs_destroy(above);
    epio_vfs_destroy(below);
}

/* ---- Threads -------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 1500

typedef struct performer {
    epio_vfs *vfs;
    epio_file *file;
    uint64_t offset;
} performer;

static void *perform_rounds(void *argument)
{
    const performer *one = argument;
    epio_op op = {0};
    char byte = 'x';
    for (unsigned i = 0; i < ROUNDS; i++) {
        require(epio_perform(epio_write(&op, one->file, &byte, 1, one->offset)) == 1);
        require(epio_perform(epio_read(&op, one->file, &byte, 1, one->offset)) == 1);
        require(epio_perform(epio_sleep(&op, one->vfs, 0)) == 0);
    }
    return NULL;
}

static void performs_of_many_threads(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_file *file = open_through(f, trace, "data");
    performer all[THREADS];
    test_thread threads[THREADS];
    epio_op op = {0};
    uint64_t seen = 0;
    for (size_t i = 0; i < THREADS; i++) {
        all[i] = (performer){trace, file, i};
        thread_start(&threads[i], perform_rounds, &all[i]);
    }
    for (unsigned i = 0; i < 200; i++) { /* reading is harmless */
        epio_trace_counts counts = counts_of(trace, EPIO_KIND_WRITE);
        check(counts.count >= seen && counts.in_flight <= THREADS);
        check_consistent(&counts);
        seen = counts.count;
        thread_yield();
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)thread_join(threads[i]);
    }
    check_op(f, epio_close(&op, file), 0);
    check_counts(trace, EPIO_KIND_READ, THREADS * ROUNDS, 0, 0, THREADS * ROUNDS);
    check_counts(trace, EPIO_KIND_WRITE, THREADS * ROUNDS, 0, 0, THREADS * ROUNDS);
    check_counts(trace, EPIO_KIND_SLEEP, THREADS * ROUNDS, 0, 0, 0);
    epio_vfs_destroy(trace);
}

/* ---- The summary ---------------------------------------------------------------- */

/* The line that starts with this word; NULL: none. */
static const char *line_of(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, word, len) == 0 && line[len] == ' ') {
            return line;
        }
    }
    return NULL;
}

static void check_line(const char *text, const char *word, const char *numbers)
{
    const char *line = line_of(text, word);
    char expected[200];
    (void)snprintf(expected, sizeof expected, "%-19s %s", word, numbers);
    if (line == NULL || strncmp(line, expected, strlen(expected)) != 0) {
        print_error("%s\nwanted: %s\n", text, expected);
    }
    check(line != NULL && strncmp(line, expected, strlen(expected)) == 0);
}

static void the_summary_is_a_table(fixture *f)
{
    char text[8192];
    static char data[3 << 10];
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    check(epio_trace_summary(trace, text, sizeof text) > 0);
    check_line(text, "kind", "     count  failed cancelled in flight      bytes      timed");
    check_line(text, "total", "         0       0         0         0        0 B\n");
    check(line_of(text, "read") == NULL);
    epio_file *file = open_through(f, trace, "data");
    check_op(f, epio_write(&op, file, data, sizeof data, 0), sizeof data);
    check_op(f, epio_read(&op, file, data, 600, 0), 600);
    check_op(f, epio_read(&op, file, data, 300, 0), 300);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0), EPIO_EINVAL);
    check_op(f, epio_close(&op, file), 0);
    op.timeout_ns = MILLISECOND;
    check_op(f, epio_sleep(&op, trace, 3600000 * MILLISECOND), EPIO_ETIMEDOUT);
    check_op(f, epio_sleep(&op, trace, 5 * MILLISECOND), 5 * (int64_t)MILLISECOND);
    int64_t len = epio_trace_summary(trace, text, sizeof text);
    check_result(len, strlen(text));
    check_line(text, "open", "         1       0         0         0        0 B          1 ");
    check_line(text, "write", "         1       0         0         0    3.0 KiB          1 ");
    check_line(text, "read", "         2       0         0         0      900 B          2 ");
    check_line(text, "lock", "         1       1         0         0        0 B          1 ");
    check_line(text, "sleep", "         2       0         1         0        0 B          2 ");
    check_line(text, "total", "         8       1         1         0    3.8 KiB\n");
    check(line_of(text, "sync") == NULL && line_of(text, "none") == NULL);
    check(strstr(line_of(text, "sleep"), " ms") != NULL);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        check(strchr(line, '\n') - line < 120);
    }
    epio_vfs_destroy(trace);
}

static void a_summary_that_does_not_fit(fixture *f)
{
    char whole[4096], text[4096];
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    check(fixture_result(f, epio_current_time(&op, trace)) > 0);
    int64_t len = epio_trace_summary(trace, whole, sizeof whole);
    check(len > 0 && (size_t)len < sizeof whole);
    check_result(epio_trace_summary(trace, NULL, 0), len);
    for (size_t room = 0; room <= (size_t)len + 2; room++) {
        size_t kept = room > (size_t)len ? (size_t)len : room - (room > 0 ? 1 : 0);
        memset(text, '#', sizeof text);
        check_result(epio_trace_summary(trace, text, room), len);
        check(memcmp(text, whole, kept) == 0);
        check(room == 0 || text[kept] == '\0');
        check(text[room > kept ? kept + 1 : room] == '#');
    }
    epio_vfs_destroy(trace);
}

/* ---- Resets and misuse ----------------------------------------------------------- */

static void a_reset_starts_from_zero(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op op = {0};
    char byte = 0;
    epio_file *file = open_through(f, trace, "data");
    check_op(f, epio_write(&op, file, "x", 1, 0), 1);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < 1000 + round; i++) {
            check_op(f, epio_read(&op, file, &byte, 1, 0), 1);
        }
        check_op(f, epio_delete(&op, trace, fixture_path(f, "missing"), 0), EPIO_ENOENT);
        check_counts(trace, EPIO_KIND_READ, 1000 + round, 0, 0, 1000 + round);
        check_counts(trace, EPIO_KIND_DELETE, 1, 1, 0, 0);
        check_result(epio_trace_reset(trace), 0);
        for (uint32_t kind = EPIO_KIND_NONE; kind < EPIO_KIND_COUNT; kind++) {
            check_counts(trace, kind, 0, 0, 0, 0);
            check_result(counts_of(trace, kind).longest_ns, 0);
        }
    }
    check_op(f, epio_close(&op, file), 0);
    epio_vfs_destroy(trace);
}

static void bad_arguments_are_refused(fixture *f)
{
    epio_vfs *trace = NULL;
    epio_trace_counts counts = {.size = sizeof counts};
    char text[10];
    check_result(epio_trace_vfs_create(NULL, f->vfs), EPIO_EINVAL);
    check_result(epio_trace_vfs_create(&trace, NULL), EPIO_EINVAL);
    trace = trace_make(f->vfs);
    check_result(epio_trace_read(NULL, EPIO_KIND_READ, &counts), EPIO_EINVAL);
    check_result(epio_trace_read(epio_os_vfs(), EPIO_KIND_READ, &counts), EPIO_EINVAL);
    check_result(epio_trace_read(trace, EPIO_KIND_COUNT, &counts), EPIO_EINVAL);
    check_result(epio_trace_read(trace, EPIO_KIND_READ, NULL), EPIO_EINVAL);
    check_result(epio_trace_reset(NULL), EPIO_EINVAL);
    check_result(epio_trace_reset(epio_os_vfs()), EPIO_EINVAL);
    check_result(epio_trace_summary(NULL, text, sizeof text), EPIO_EINVAL);
    check_result(epio_trace_summary(epio_os_vfs(), text, sizeof text), EPIO_EINVAL);
    check_result(epio_trace_summary(trace, NULL, 1), EPIO_EINVAL);
    epio_vfs_destroy(trace);
}

static void destroy_with_open_file(const char *argument)
{
    epio_vfs *memory = NULL;
    epio_vfs *trace = NULL;
    epio_op op = {0};
    check_result(epio_memory_vfs_create(&memory, NULL), 0);
    check_result(epio_trace_vfs_create(&trace, memory), 0);
    check_result(epio_perform(epio_open(&op, trace, argument, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_vfs_destroy(trace);
}

static void destroying_it_with_an_open_file_aborts(fixture *f)
{
    (void)f;
    check_result(run_in_child(destroy_with_open_file, "name"), ENDED_BY_ABORT);
}

static void every_kind_has_its_name(fixture *f)
{
    (void)f;
    for (uint32_t kind = EPIO_KIND_NONE; kind < EPIO_KIND_COUNT; kind++) {
        check(epio_kind_name(kind) != NULL && strcmp(epio_kind_name(kind), "?") != 0);
        for (uint32_t other = EPIO_KIND_NONE; other < kind; other++) {
            check(strcmp(epio_kind_name(kind), epio_kind_name(other)) != 0);
        }
    }
    assert_string_equal(epio_kind_name(EPIO_KIND_NONE), "none");
    assert_string_equal(epio_kind_name(EPIO_KIND_READV), "readv");
    assert_string_equal(epio_kind_name(EPIO_KIND_WORK), "work");
    assert_string_equal(epio_kind_name(EPIO_KIND_COUNT), "?");
    assert_string_equal(epio_kind_name(UINT32_MAX), "?");
}

#if EPIO_ASYNC

/* ---- On a loop -------------------------------------------------------------------- */

static void what_is_in_flight_is_seen(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op ops[3];
    char text[4096];
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < 3; i++) {
        epio_submit(epio_sleep(&ops[i], trace, 3600000 * MILLISECOND));
        check_result(counts_of(trace, EPIO_KIND_SLEEP).in_flight, i + 1);
    }
    check_result(counts_of(trace, EPIO_KIND_SLEEP).count, 0);
    check(epio_trace_summary(trace, text, sizeof text) > 0);
    check_line(text, "sleep", "         0       0         0         3        0 B          0\n");
    check_result(epio_trace_reset(trace), 0);
    for (size_t i = 0; i < 3; i++) {
        epio_cancel(&ops[i]);
        check_result(epio_wait(&ops[i]), EPIO_ECANCELED);
        check_result(counts_of(trace, EPIO_KIND_SLEEP).in_flight, 2 - i);
    }
    check_counts(trace, EPIO_KIND_SLEEP, 3, 0, 3, 0);
    epio_vfs_destroy(trace);
}

/* Above a limit the time includes the wait for a permit, below it does not. */
static void above_and_below_a_limit(fixture *f)
{
    const uint64_t wait = 20 * MILLISECOND;
    epio_vfs *below = trace_make(f->vfs), *above = NULL, *limit = NULL;
    epio_semaphore *semaphore = NULL;
    epio_op ops[2], op = {0};
    memset(ops, 0, sizeof ops);
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&limit, below, semaphore), 0);
    above = trace_make(limit);
    epio_file *file = open_through(f, above, "data");
    check_result(epio_semaphore_try_acquire(semaphore, 1), 0);
    epio_submit(epio_write(&ops[0], file, "x", 1, 0));
    epio_submit(epio_write(&ops[1], file, "x", 1, 0));
    check_op(f, epio_sleep(&op, f->vfs, wait), (int64_t)wait);
    check_result(counts_of(above, EPIO_KIND_WRITE).in_flight, 2);
    check_result(counts_of(below, EPIO_KIND_WRITE).in_flight, 0);
    epio_cancel(&ops[0]);
    check_result(epio_wait(&ops[0]), EPIO_ECANCELED);
    epio_semaphore_release(semaphore, 1);
    check_result(epio_wait(&ops[1]), 1);
    check_op(f, epio_close(&op, file), 0);
    check_counts(above, EPIO_KIND_WRITE, 2, 0, 1, 1);
    check_counts(below, EPIO_KIND_WRITE, 1, 0, 0, 1);
    check(counts_of(above, EPIO_KIND_WRITE).shortest_ns >= wait);
    check(counts_of(above, EPIO_KIND_WRITE).longest_ns >=
          counts_of(below, EPIO_KIND_WRITE).longest_ns);
    check_counts(below, EPIO_KIND_OPEN, 1, 0, 0, 0);
    check_counts(below, EPIO_KIND_CLOSE, 1, 0, 0, 0);
    epio_vfs_destroy(above);
    epio_vfs_destroy(limit);
    epio_vfs_destroy(below);
    epio_semaphore_destroy(semaphore);
}

#define DEPTH 32

typedef struct queue {
    epio_file *file;
    epio_op ops[DEPTH];
    char bytes[DEPTH];
    unsigned left;
} queue;

static void read_again(epio_op *op)
{
    queue *one = op->user;
    check_result(op->result, 1);
    if (one->left > 0) {
        one->left--;
        epio_submit(epio_read(op, one->file, &one->bytes[op - one->ops], 1, 0));
    }
}

typedef struct observer {
    epio_vfs *trace;
    atomic_bool leave;
} observer;

static void *observe(void *argument)
{
    observer *one = argument;
    char text[4096];
    uint64_t seen = 0;
    while (!atomic_load(&one->leave)) {
        epio_trace_counts counts = {.size = sizeof counts};
        require(epio_trace_read(one->trace, EPIO_KIND_READ, &counts) == 0);
        require(counts.count >= seen && counts.bytes <= counts.count + DEPTH);
        seen = counts.count;
        require(epio_trace_summary(one->trace, text, sizeof text) > 0);
        require(epio_trace_reset(one->trace) == 0 && (seen = 0) == 0);
        sleep_us(50);
    }
    return NULL;
}

static void run_queue(fixture *f, queue *one)
{
    for (size_t i = 0; i < DEPTH; i++) {
        one->ops[i] = (epio_op){.done = read_again, .user = one};
        epio_submit(epio_read(&one->ops[i], one->file, &one->bytes[i], 1, 0));
    }
    check_result(epio_loop_run(f->loop), QUICK);
}

static void a_queue_is_counted_while_observed(fixture *f)
{
    static queue one;
    observer other = {.trace = trace_make(f->vfs)};
    test_thread thread;
    epio_op op = {0};
    one.file = open_through(f, other.trace, "data");
    check_op(f, epio_write(&op, one.file, "x", 1, 0), 1);
    one.left = QUICK - DEPTH;
    run_queue(f, &one);
    check_counts(other.trace, EPIO_KIND_READ, QUICK, 0, 0, QUICK);
    thread_start(&thread, observe, &other);
    one.left = QUICK - DEPTH;
    run_queue(f, &one);
    atomic_store(&other.leave, true);
    (void)thread_join(thread);
    check_result(epio_trace_reset(other.trace), 0);
    one.left = QUICK - DEPTH;
    run_queue(f, &one);
    check_counts(other.trace, EPIO_KIND_READ, QUICK, 0, 0, QUICK);
    check_op(f, epio_close(&op, one.file), 0);
    epio_vfs_destroy(other.trace);
}

/* Syncs share flushes, and the flushes are counted. */
static void flushes_are_counted(fixture *f)
{
    epio_vfs *trace = trace_make(f->vfs);
    epio_op syncs[5], op = {0};
    memset(syncs, 0, sizeof syncs);
    epio_file *file = open_through(f, trace, "data");
    for (size_t i = 0; i < 5; i++) {
        epio_submit(epio_sync(&syncs[i], file, 0));
    }
    for (size_t i = 0; i < 5; i++) {
        check_result(epio_wait(&syncs[i]), 0);
    }
    check_counts(trace, EPIO_KIND_SYNC, 1, 0, 0, 0);
    check_op(f, epio_close(&op, file), 0);
    epio_vfs_destroy(trace);
}

#endif

#define ON_PERFORMERS (ON_OS_PERFORM | ON_MEMORY_PERFORM)
#define ON_LOOPS (ON_OS | ON_OS_SUBMIT | ON_MEMORY)
#define ON_BOTH (ON_PERFORMERS | ON_LOOPS | ON_OS_LOOP_PERFORM | ON_LIMIT_OS)

static const fixture_test tests[] = {
    FIXTURE_TEST(every_kind_is_counted, ON_BOTH),
    FIXTURE_TEST(an_adopted_file_is_counted, ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT),
    FIXTURE_TEST(failures_are_counted, ON_BOTH),
    FIXTURE_TEST(a_deadline_counts_as_cancelled, ON_BOTH),
    FIXTURE_TEST(large_transfers_are_counted, ON_BOTH),
    FIXTURE_TEST(times_are_true, ON_PERFORMERS | ON_LOOPS),
    FIXTURE_TEST(fast_ops_are_sampled, ON_BOTH),
    FIXTURE_TEST(slow_ones_are_all_timed, ON_PERFORMERS | ON_LOOPS),
    FIXTURE_TEST(tries_count_once, ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT),
    FIXTURE_TEST(a_file_is_that_of_the_inner_vfs, ON_BOTH),
    FIXTURE_TEST(traces_stack, ON_BOTH),
    FIXTURE_TEST(performs_of_many_threads, ON_PERFORMERS | ON_OS_LOOP_PERFORM),
    FIXTURE_TEST(the_summary_is_a_table, ON_PERFORMERS | ON_LOOPS),
    FIXTURE_TEST(a_summary_that_does_not_fit, ON_OS_PERFORM | ON_OS),
    FIXTURE_TEST(a_reset_starts_from_zero, ON_BOTH),
    FIXTURE_TEST(bad_arguments_are_refused, ON_OS_PERFORM),
    FIXTURE_TEST(destroying_it_with_an_open_file_aborts, ON_OS_PERFORM),
    FIXTURE_TEST(every_kind_has_its_name, ON_OS_PERFORM),
#if EPIO_ASYNC
    FIXTURE_TEST(what_is_in_flight_is_seen, ON_LOOPS),
    FIXTURE_TEST(above_and_below_a_limit, ON_LOOPS),
    FIXTURE_TEST(a_queue_is_counted_while_observed, ON_OS | ON_MEMORY),
    FIXTURE_TEST(flushes_are_counted, ON_LOOPS),
#endif
};

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(destroy_with_open_file)};
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("trace", tests);
}
