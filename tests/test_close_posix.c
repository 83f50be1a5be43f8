/* A close returns when no descriptor of the file is left: a program that was just written can be
 * executed, which POSIX systems refuse while a descriptor is open for writing. The rest is in
 * test_close.c. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 4096u
#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define EXECUTABLE (EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE | EPIO_OPEN_PERMISSIONS(0755))
#define MOST_BLOCKS 1024u
#define SPARE_BLOCKS 16u

enum { DIRECT_WRITES, COLD_READS, WORKLOADS };

static epio_op ops[MOST_BLOCKS];

/* A program that does nothing, padded to whole blocks. */
typedef struct program {
    unsigned char *bytes;
    uint64_t blocks;
} program;

static program load(void)
{
    program loaded = {NULL, 0};
    int64_t size = file_size("/bin/true");
    check(size > 0);
    loaded.blocks = ((uint64_t)size + BLOCK - 1) / BLOCK + SPARE_BLOCKS;
    check(loaded.blocks <= MOST_BLOCKS);
    check(posix_memalign((void **)&loaded.bytes, BLOCK, loaded.blocks * BLOCK) == 0);
    memset(loaded.bytes, 0, loaded.blocks * BLOCK);
    int descriptor = open("/bin/true", O_RDONLY | O_CLOEXEC);
    check(read(descriptor, loaded.bytes, (size_t)size) == size);
    check(close(descriptor) == 0);
    return loaded;
}

/* Leaves them in flight, except in a setting that performs. */
static void submit_blocks(fixture *f, epio_file *file, const program *one, bool writes,
                          unsigned char *room)
{
    for (uint64_t i = 0; i < one->blocks; i++) {
        uint64_t at = i * BLOCK;
        (void)(writes ? epio_write(&ops[i], file, one->bytes + at, BLOCK, at)
                      : epio_read(&ops[i], file, room + at, BLOCK, at));
        if (f->performs) {
            check_result(epio_perform(&ops[i]), BLOCK);
        } else {
            epio_submit(&ops[i]);
        }
    }
}

static void wait_for_blocks(fixture *f, const program *one)
{
    for (uint64_t i = 0; !f->performs && i < one->blocks; i++) {
        check_result(epio_wait(&ops[i]), BLOCK);
    }
}

static bool has_direct(fixture *f)
{
    epio_op op = {0};
    bool direct = fixture_result(f, epio_open(&op, f->vfs, fixture_path(f, "direct"),
                                              READ_WRITE | EXECUTABLE | EPIO_OPEN_DIRECT)) == 0;
    if (direct) {
        fixture_close(f, op.file);
    }
    return direct;
}

/* Writes the program; what was last submitted is in flight when it is closed, unless
 * the close is performed. */
static void make_program(fixture *f, const char *path, const program *one, unsigned workload,
                         bool performs, unsigned char *room)
{
    epio_op op = {0};
    uint32_t direct = workload == DIRECT_WRITES ? EPIO_OPEN_DIRECT : 0;
    check_op(f, epio_open(&op, f->vfs, path, READ_WRITE | EXECUTABLE | direct), 0);
    epio_file *file = op.file;
    submit_blocks(f, file, one, true, NULL);
    if (workload != DIRECT_WRITES) {
        wait_for_blocks(f, one);
    }
    if (workload == COLD_READS) {
        check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
        handle_drop_cache(epio_file_os_handle(file));
        submit_blocks(f, file, one, false, room);
    }
    if (!performs) {
        fixture_close(f, file);
    } else {
        wait_for_blocks(f, one);
        check_result(epio_perform(epio_close(&op, file)), 0);
    }
}

/* 0, or errno. */
static int execute(const char *path)
{
    char *const words[] = {"true", NULL};
    int status = 0;
    pid_t process;
    int error = posix_spawn(&process, path, NULL, NULL, words, NULL);
    if (error == 0) {
        check(waitpid(process, &status, 0) == process);
        check(status == 0);
    }
    return error;
}

static void what_was_written_can_be_executed(fixture *f)
{
    unsigned rounds = fixture_rounds(12);
    const char *path = fixture_path(f, "program");
    program one = load();
    unsigned char *room;
    check(posix_memalign((void **)&room, BLOCK, one.blocks * BLOCK) == 0);
    unsigned first = has_direct(f) ? DIRECT_WRITES : COLD_READS;
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned workload = first; workload < WORKLOADS; workload++) {
            make_program(f, path, &one, workload, i % 2 != 0, room);
            int error = execute(path);
            if (error != 0) {
                print_error("round %u, workload %u: %s\n", i, workload, strerror(error));
            }
            check_result(error, 0);
        }
    }
    free(room);
    free(one.bytes);
}

/* ---- Written in one go, and closed ------------------------------------------------- */

#define WRITES 16u

#if defined(F_SETLEASE)

/* The system grants a lease for reading only while nobody has the file open for writing. */
static bool has_no_writer(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bool granted = fcntl(descriptor, F_SETLEASE, F_RDLCK) == 0;
    check(granted || errno == EAGAIN);
    check(close(descriptor) == 0);
    return granted;
}

static void no_writer_is_left(fixture *f, uint32_t flags)
{
    unsigned char *data;
    unsigned rounds = fixture_rounds(200);
    const char *path = fixture_path(f, "data");
    check(posix_memalign((void **)&data, BLOCK, BLOCK) == 0);
    memset(data, 1, BLOCK);
    for (unsigned i = 0; i < rounds; i++) {
        epio_op op = {0};
        check_op(f, epio_open(&op, f->vfs, path, READ_WRITE | EPIO_OPEN_CREATE | flags), 0);
        epio_file *file = op.file;
        for (uint64_t k = 0; k < WRITES; k++) {
            epio_submit(epio_write(&ops[k], file, data, BLOCK, k * BLOCK));
        }
        for (uint64_t k = 0; k < WRITES; k++) {
            check_result(epio_wait(&ops[k]), BLOCK);
        }
        check(!has_no_writer(path));
        if (i % 2 == 0) {
            fixture_close(f, file);
        } else {
            check_result(epio_perform(epio_close(&op, file)), 0);
        }
        check(has_no_writer(path));
    }
    free(data);
}

static void no_writer_is_left_after_a_close(fixture *f)
{
    no_writer_is_left(f, 0);
}

static void no_direct_writer_is_left_after_a_close(fixture *f)
{
    if (!has_direct(f)) {
        fixture_skip(f, "this file system offers no direct I/O");
    }
    no_writer_is_left(f, EPIO_OPEN_DIRECT);
}

#endif

/* ---- Closed between batched reads -------------------------------------------------- */

#define READS 32u
#define ROUNDS 200u

typedef struct reader {
    const char *path;
    epio_file *file;
    unsigned left; /* of this round */
    unsigned rounds;
    int error; /* of the program's start, within the last `done` */
} reader;

static void read_block(epio_op *op, const reader *one)
{
    static unsigned char data[READS][512];
    size_t slot = (size_t)(op - ops);
    epio_submit(epio_read(op, one->file, data[slot], sizeof data[slot], slot * sizeof data[slot]));
}

/* Rounds of as many reads as make a ring register the file. */
static void block_read(epio_op *op)
{
    epio_op close = {0};
    reader *one = op->user;
    check_result(op->result, 512);
    if (--one->left != 0) {
        return;
    }
    if (--one->rounds == 0) {
        check_result(epio_perform(epio_close(&close, one->file)), 0);
        one->error = execute(one->path);
        return;
    }
    one->left = READS;
    for (size_t i = 0; i < READS; i++) {
        read_block(&ops[i], one);
    }
}

static void a_close_between_batched_reads(fixture *f)
{
    const char *path = fixture_path(f, "program");
    program one = load();
    epio_op op = {0};
    for (unsigned rounds = 2; rounds < ROUNDS; rounds += 9) {
        check_op(f, epio_open(&op, f->vfs, path, READ_WRITE | EXECUTABLE), 0);
        reader reading = {.path = path, .file = op.file, .left = READS, .rounds = rounds};
        check_op(f, epio_write(&op, op.file, one.bytes, one.blocks * BLOCK, 0), one.blocks * BLOCK);
        for (size_t i = 0; i < READS; i++) {
            ops[i] = (epio_op){.done = block_read, .user = &reading};
            read_block(&ops[i], &reading);
        }
        (void)epio_loop_run(f->loop);
        check(reading.rounds == 0);
        check_result(reading.error, 0);
    }
    for (size_t i = 0; i < READS; i++) {
        ops[i] = (epio_op){0};
    }
    free(one.bytes);
}

/* ---- Threads of the kernel ---------------------------------------------------------- */

/* A kernel thread of a ring may hold the file for a moment after the op's completion. */
static unsigned count_threads_of_rings(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/task");
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char path[300];
        char name[32] = "";
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            (void)!fgets(name, sizeof name, file);
            (void)fclose(file);
        }
        count += strncmp(name, "iou-wrk", 7) == 0 ? 1 : 0;
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return count;
}

static void no_thread_of_the_kernel_has_the_file(fixture *f)
{
    program one = load();
    epio_op op = {0};
    if (!has_direct(f)) {
        free(one.bytes);
        fixture_skip(f, "this file system offers no direct I/O");
    }
    check_op(f,
             epio_open(&op, f->vfs, fixture_path(f, "program"),
                       READ_WRITE | EXECUTABLE | EPIO_OPEN_DIRECT),
             0);
    epio_file *file = op.file;
    submit_blocks(f, file, &one, true, NULL); /* which makes the file longer */
    wait_for_blocks(f, &one);
    check(count_threads_of_rings() == 0);
    fixture_close(f, file);
    free(one.bytes);
}

int main(void)
{
    static const fixture_test tests[] = {
        /* First: the threads that carry out the buffered writes of the others stay for a while. */
        FIXTURE_TEST(no_thread_of_the_kernel_has_the_file, ON_OS | ON_OS_SUBMIT),
        FIXTURE_TEST(what_was_written_can_be_executed, ON_OS | ON_OS_SUBMIT | ON_OS_LOOP_PERFORM |
                                                           ON_OS_PERFORM | ON_LIMIT_OS_3 |
                                                           ON_TRACE_OS),
#if defined(F_SETLEASE)
        FIXTURE_TEST(no_writer_is_left_after_a_close, ON_OS | ON_OS_SUBMIT),
        FIXTURE_TEST(no_direct_writer_is_left_after_a_close, ON_OS | ON_OS_SUBMIT),
#endif
        FIXTURE_TEST(a_close_between_batched_reads, ON_OS_SUBMIT),
    };
    return FIXTURE_RUN("close, POSIX", tests);
}
