/* Appends of several processes to one file, by every means: each record is whole, and where it was
 * said to be. What limits and full disks do to appends and to allocation. Forks, limits and mounts
 * are of POSIX. Also without loops: EPIO_TEST_WITHOUT_LOOP, and EPIO_TEST_RANGE_LOCKS. */
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define IN_FLIGHT 64u
#define THREADS 16u
#define WRITERS 8u
#define MOST_RECORDS 10000u

/* Only Linux opens a descriptor once more. */
#if defined(__linux__)
#define NEEDS_APPEND 0u
#else
#define NEEDS_APPEND EPIO_OPEN_APPEND
#endif

static unsigned record_count(void)
{
    return fixture_is_slow() || fixture_is_watched() ? 1000u : MOST_RECORDS;
}

/* ---- Records ------------------------------------------------------------- */

/* A head of which every byte is checked by the rest. */
typedef struct record_head {
    uint32_t magic;
    uint32_t writer;
    uint32_t number;
    uint32_t len; /* of all */
} record_head;

#define MAGIC 0x5ec04du
#define LONGEST 300u

typedef struct record {
    record_head head;
    unsigned char rest[LONGEST];
} record;

static void record_make(record *one, unsigned writer, unsigned number)
{
    uint32_t more = 1 + (writer * 7919u + number * 104729u) % (LONGEST - 1);
    one->head.magic = MAGIC;
    one->head.writer = writer;
    one->head.number = number;
    one->head.len = (uint32_t)sizeof one->head + more;
    pattern_fill(one->rest, more, (uint64_t)writer << 32 | number);
}

/* Where a writer was told that a record is; shared by all processes. */
typedef struct reports {
    int64_t at[WRITERS][MOST_RECORDS]; /* of the offset, 1 more; 0: not reported */
} reports;

/* Returns how many there are; all are whole, none is twice, and each is where it was reported. */
static unsigned check_records(const char *path, const reports *told)
{
    static unsigned char seen[WRITERS][MOST_RECORDS];
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    check(descriptor >= 0 && fstat(descriptor, &status) == 0);
    size_t len = (size_t)status.st_size;
    unsigned char *all = malloc(len + 1);
    check(all != NULL);
    for (size_t done = 0; done < len;) {
        ssize_t got = read(descriptor, all + done, len - done);
        check(got > 0);
        done += (size_t)got;
    }
    (void)close(descriptor);
    memset(seen, 0, sizeof seen);
    unsigned count = 0;
    for (size_t at = 0; at < len; count++) {
        record_head head;
        record wanted;
        check(len - at >= sizeof head);
        memcpy(&head, all + at, sizeof head);
        check(head.magic == MAGIC && head.writer < WRITERS && head.number < MOST_RECORDS);
        record_make(&wanted, head.writer, head.number);
        check(head.len == wanted.head.len && len - at >= head.len);
        check(memcmp(all + at, &wanted, head.len) == 0);
        check(seen[head.writer][head.number]++ == 0);
        int64_t said = told->at[head.writer][head.number];
        check(said == 0 || said == (int64_t)at + 1);
        at += head.len;
    }
    free(all);
    return count;
}

/* ---- Writers ------------------------------------------------------------- */

typedef struct writer {
    const char *path;
    reports *told;
    unsigned number;
    unsigned records;
    epio_file *inherited;
} writer;

static void write_plainly(void *argument)
{
    const writer *one = argument;
    int descriptor = open(one->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    check(descriptor >= 0);
    for (unsigned i = 0; i < one->records; i++) {
        record data;
        record_make(&data, one->number, i);
        check(write(descriptor, &data, data.head.len) == (ssize_t)data.head.len);
    }
}

#if EPIO_ASYNC

typedef struct slot {
    epio_op op;
    record data;
    epio_iovec parts[sizeof(record)];
    const writer *owner;
    epio_file *file;
    unsigned *next;
    bool writes; /* epio_write and epio_writev, else epio_append */
} slot;

static void submit_next(slot *one);

static void slot_done(epio_op *op)
{
    slot *one = op->user;
    if (one->writes) {
        check_result(op->result, one->data.head.len);
    } else {
        check(op->result >= 0);
        one->owner->told->at[one->owner->number][one->data.head.number] = op->result + 1;
    }
    submit_next(one);
}

/* Every second of the writes in as many parts as it has bytes. */
static void submit_next(slot *one)
{
    if (*one->next == one->owner->records) {
        return;
    }
    record_make(&one->data, one->owner->number, (*one->next)++);
    uint32_t len = one->data.head.len;
    if (!one->writes) {
        epio_submit(epio_append(&one->op, one->file, &one->data, len));
    } else if (one->data.head.number % 2 == 0) {
        epio_submit(epio_write(&one->op, one->file, &one->data, len, one->data.head.number));
    } else {
        for (uint32_t i = 0; i < len; i++) {
            one->parts[i].base = (char *)&one->data + i;
            one->parts[i].len = 1;
        }
        epio_submit(epio_writev(&one->op, one->file, one->parts, len, 0));
    }
}

static void run_slots(const writer *owner, bool writes, uint32_t flags, uint32_t inline_writes)
{
    static slot slots[IN_FLIGHT];
    epio_loop_options options = {.size = sizeof options, .inline_writes = inline_writes};
    epio_loop *loop = NULL;
    epio_op op = {0};
    unsigned next = 0;
    check_result(epio_loop_create(&loop, &options), 0);
    check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), owner->path, flags)), 0);
    epio_file *file = op.file;
    memset(slots, 0, sizeof slots);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        slots[i].owner = owner;
        slots[i].file = file;
        slots[i].next = &next;
        slots[i].writes = writes;
        slots[i].op.done = slot_done;
        slots[i].op.user = &slots[i];
        submit_next(&slots[i]);
    }
    check_result(epio_loop_run(loop), owner->records);
    check_result(epio_wait(epio_sync(&op, file, EPIO_SYNC_FULL)), 0);
    check_result(epio_wait(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
}

static void append_by_ops(void *argument)
{
    run_slots(argument, false, EPIO_OPEN_WRITE | NEEDS_APPEND, 0);
}

static void append_inline(void *argument)
{
    run_slots(argument, false, EPIO_OPEN_WRITE | NEEDS_APPEND, 1);
}

static void write_by_ops(void *argument)
{
    run_slots(argument, true, READ_WRITE | EPIO_OPEN_APPEND, 0);
}

static void write_inline(void *argument)
{
    run_slots(argument, true, READ_WRITE | EPIO_OPEN_APPEND, 1);
}

#endif

static void append_each(const writer *one, epio_file *file, unsigned first, unsigned step)
{
    for (unsigned i = first; i < one->records; i += step) {
        record data;
        epio_op op = {0};
        record_make(&data, one->number, i);
        int64_t at = epio_perform(epio_append(&op, file, &data, data.head.len));
        require(at >= 0);
        one->told->at[one->number][i] = at + 1;
    }
}

typedef struct thread_writer {
    const writer *owner;
    epio_file *file;
    unsigned first;
} thread_writer;

static void *append_in_thread(void *argument)
{
    const thread_writer *one = argument;
    append_each(one->owner, one->file, one->first, THREADS);
    return NULL;
}

/* All of one file. */
static void append_by_threads(void *argument)
{
    test_thread threads[THREADS];
    thread_writer writers[THREADS];
    const writer *owner = argument;
    epio_op op = {0};
    check_result(
        epio_perform(epio_open(&op, epio_os_vfs(), owner->path, READ_WRITE | NEEDS_APPEND)), 0);
    epio_file *file = op.file;
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (thread_writer){owner, file, i};
        thread_start(&threads[i], append_in_thread, &writers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)thread_join(threads[i]);
    }
    check_result(epio_perform(epio_close(&op, file)), 0);
}

#if defined(__linux__)

/* The parent's file, and its position, which the parent's raw handle moves, too. */
static void append_to_inherited(void *argument)
{
    const writer *one = argument;
    for (unsigned i = 0; i < one->records; i++) {
        if (i % 16 == 0) {
            (void)lseek((int)epio_file_os_handle(one->inherited), (off_t)i, SEEK_SET);
        }
        append_each(one, one->inherited, i, one->records);
    }
}

#endif

static void run_writers(fixture *f, void (*const *runs)(void *argument), unsigned count,
                        epio_file *inherited)
{
    pid_t processes[WRITERS];
    writer writers[WRITERS];
    unsigned records = record_count();
    const char *path = fixture_path(f, "file");
    reports *told = shared_memory_map(fixture_path(f, "reports"), sizeof *told);
    for (unsigned i = 0; i < count; i++) {
        writers[i] = (writer){path, told, i, records, inherited};
        processes[i] = start_fork(runs[i], &writers[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        check_result(end_of_fork(processes[i]), 0);
    }
    check_result(check_records(path, told), count * records);
    shared_memory_unmap(told, sizeof *told);
}

static void processes_append_to_one_file(fixture *f)
{
    static void (*const runs[])(void *) = {
#if EPIO_ASYNC
        append_by_ops,
        write_by_ops,
        append_inline,
        write_inline,
#endif
        write_plainly,
        append_by_threads
    };
    fixture_put(f, "file", "", 0);
    run_writers(f, runs, sizeof runs / sizeof runs[0], NULL);
}

#if defined(__linux__)

/* The file, opened or adopted, is the same for all four processes. */
static void forked_children_append(fixture *f)
{
    static void (*const runs[])(void *) = {append_to_inherited, append_to_inherited,
                                           append_to_inherited, append_to_inherited};
    epio_op op = {0};
    for (int adopts = 0; adopts < 3; adopts++) {
        const char *path = fixture_path(f, "file");
        int descriptor =
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | (adopts == 2 ? O_APPEND : 0), 0600);
        check(descriptor >= 0);
        epio_op *opens = adopts != 0 ? epio_adopt(&op, epio_os_vfs(), descriptor, 0)
                                     : epio_open(&op, epio_os_vfs(), path, READ_WRITE);
        check_result(epio_perform(opens), 0);
        epio_file *file = op.file;
        check_result(epio_perform(epio_append(&op, file, "x", 1)), 0); /* before the forks, too */
        check_result(epio_perform(epio_truncate(&op, file, 0)), 0);
        run_writers(f, runs, 4, file);
        check_result(epio_perform(epio_close(&op, file)), 0);
        check(adopts != 0 || close(descriptor) == 0);
        check(unlink(path) == 0 && unlink(fixture_path(f, "reports")) == 0);
    }
}

/* A program that passed the descriptor finds its position as it was. */
static void the_position_of_others_stays(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "0123456789", 10);
    int descriptor = open(fixture_path(f, "file"), O_RDWR | O_CLOEXEC);
    check(descriptor >= 0 && lseek(descriptor, 3, SEEK_SET) == 3);
    epio_file *file = fixture_adopt(f, dup(descriptor), 0);
    check_op(f, epio_append(&op, file, "abc", 3), 10);
    check(lseek(descriptor, 0, SEEK_CUR) == 3);
    check_op(f, epio_seek_hole(&op, file, 0), 13);
    check_op(f, epio_seek_data(&op, file, 5), 5);
    check(lseek(descriptor, 0, SEEK_CUR) == 3);
    fixture_close(f, file);
    check(close(descriptor) == 0);
}

#endif

#if EPIO_ASYNC

/* Blocks of direct writes, all at offset 0. */
static void direct_writes_append(fixture *f)
{
    enum { BLOCK = 4096, ROUNDS = 4 };
    static _Alignas(BLOCK) unsigned char blocks[IN_FLIGHT][BLOCK];
    static _Alignas(BLOCK) unsigned char found[BLOCK];
    static epio_op ops[IN_FLIGHT];
    unsigned seen[IN_FLIGHT] = {0};
    fixture_put(f, "file", "", 0);
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE | EPIO_OPEN_APPEND);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < IN_FLIGHT; i++) {
            memset(blocks[i], (int)i + 1, BLOCK);
            epio_submit(epio_write(&ops[i], file, blocks[i], BLOCK, 0));
        }
        for (unsigned i = 0; i < IN_FLIGHT; i++) {
            check_result(epio_wait(&ops[i]), BLOCK);
        }
    }
    check_op(f, epio_size(&ops[0], file), ROUNDS * IN_FLIGHT * BLOCK);
    for (unsigned i = 0; i < ROUNDS * IN_FLIGHT; i++) {
        fixture_read(f, file, found, BLOCK, (uint64_t)i * BLOCK);
        check(found[0] != 0 && found[0] <= IN_FLIGHT);
        check_bytes(found, found[0], BLOCK);
        seen[found[0] - 1]++;
    }
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        check_result(seen[i], ROUNDS);
    }
    fixture_close(f, file);
}

#endif

/* ---- Space --------------------------------------------------------------- */

#if defined(__linux__)

static int64_t bytes_allocated(epio_file *file)
{
    struct stat status;
    check(fstat((int)epio_file_os_handle(file), &status) == 0);
    return (int64_t)status.st_blocks * 512;
}

static void allocation_takes_space(fixture *f)
{
    const int64_t len = 8 << 20;
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_result(bytes_allocated(file), 0);
    check_op(f, epio_allocate(&op, file, 0, (uint64_t)len, EPIO_SPACE_KEEP_SIZE), 0);
    check(bytes_allocated(file) >= len);
    check_op(f, epio_size(&op, file), 0);
    check_op(f, epio_allocate(&op, file, 0, (uint64_t)len, 0), 0);
    check_op(f, epio_size(&op, file), len);
    check_op(f, epio_punch_hole(&op, file, 0, (uint64_t)len), 0);
    check(bytes_allocated(file) < 65536);
    check_op(f, epio_size(&op, file), len);
    fixture_close(f, file);
}

#endif

static void exceed_the_limit(void *argument)
{
    static const char data[6000];
    const struct rlimit limit = {10000, 10000};
    epio_op op = {0};
    check(signal(SIGXFSZ, SIG_DFL) != SIG_ERR); /* which kills the process */
    check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_APPEND;
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), argument, flags)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_append(&op, file, data, sizeof data)), 0);
    check_result(epio_perform(epio_append(&op, file, data, sizeof data)), EPIO_EFBIG);
    check_result(op.os_error, EFBIG);
    int64_t left = epio_perform(epio_size(&op, file));
    check(left == 10000 || left == (int64_t)sizeof data); /* what fits, or nothing */
    check_result(epio_perform(epio_write(&op, file, data, sizeof data, 0)), EPIO_EFBIG);
    check_result(epio_perform(epio_size(&op, file)), 10000);
    int64_t allocated = epio_perform(epio_allocate(&op, file, 0, 10001, 0));
    check(allocated == EPIO_EFBIG || allocated == EPIO_ENOTSUP);
    int64_t zeroed = epio_perform(epio_zero_range(&op, file, 5000, 6000, 0));
    check(zeroed == EPIO_EFBIG || zeroed == EPIO_ENOTSUP);
    check_result(epio_perform(epio_size(&op, file)), 10000);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static void nothing_exceeds_a_limit(fixture *f)
{
    check_result(run_in_fork(exceed_the_limit, (void *)(uintptr_t)fixture_path(f, "file")), 0);
}

#if defined(__linux__)

#define NO_MOUNT 77

static void fill_a_disk(void *argument)
{
    fixture *f = argument;
    const char *directory = fixture_path(f, "disk");
    static const char data[100000];
    char path[4096];
    epio_op op = {0};
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
        mount("none", directory, "tmpfs", 0, "size=1m") != 0) {
        _exit(NO_MOUNT);
    }
    (void)snprintf(path, sizeof path, "%s/file", directory);
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE | EPIO_OPEN_CREATE)),
                 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_allocate(&op, file, 0, 2 << 20, 0)), EPIO_ENOSPC);
    check_result(epio_perform(epio_size(&op, file)), 0);
    check_result(bytes_allocated(file), 0);
    check_result(epio_perform(epio_allocate(&op, file, 0, 200000, EPIO_SPACE_KEEP_SIZE)), 0);
    int64_t at = 0;
    int64_t result;
    while ((result = epio_perform(epio_append(&op, file, data, sizeof data))) >= 0) {
        check_result(result, at);
        at += (int64_t)sizeof data;
    }
    check_result(result, EPIO_ENOSPC);
    check_result(op.os_error, ENOSPC);
    check(at == 10 * (int64_t)sizeof data);
    int64_t size = epio_perform(epio_size(&op, file));
    check(size >= at && size < at + (int64_t)sizeof data);
    /* tmpfs has no call for it: a longer file, and a hole. */
    check_result(epio_perform(epio_zero_range(&op, file, 0, (1 << 20) + 8, 0)), 0);
    check_result(epio_perform(epio_size(&op, file)), (1 << 20) + 8);
    check(bytes_allocated(file) <= 4096);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static void a_disk_fills_up(fixture *f)
{
    fixture_make_directory(f, "disk");
    int status = run_in_fork(fill_a_disk, f);
    if (status == NO_MOUNT) {
        fixture_skip(f, "needs the right to mount");
    }
    check_result(status, 0);
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(processes_append_to_one_file, ON_OS_PERFORM),
#if EPIO_ASYNC
        FIXTURE_TEST(direct_writes_append, ON_OS | ON_LIMIT_OS_3),
#endif
        FIXTURE_TEST(nothing_exceeds_a_limit, ON_OS_PERFORM),
#if defined(__linux__)
        FIXTURE_TEST(forked_children_append, ON_OS_PERFORM),
        FIXTURE_TEST(the_position_of_others_stays, ON_OS_PERFORM | ON_OS | ON_TRACE_OS),
        FIXTURE_TEST(allocation_takes_space, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_disk_fills_up, ON_OS_PERFORM),
#endif
    };
    return FIXTURE_RUN("append, POSIX", tests);
}
