/* A ring's file table keeps a closed file open in the system; only as long as the loop runs. */
#include "support.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define READS 16
#define ROUNDS 60

static epio_op reads[READS];
static char data[READS];
static epio_file *file;
static int left;

static void read_again(epio_op *op)
{
    int index = (int)(op - reads);
    check_result(op->result, 1);
    if (left > 0) {
        left--;
        epio_submit(epio_read(op, file, &data[index], 1, (uint64_t)index));
    }
}

static void read_again_or_close(epio_op *op)
{
    static epio_op close;
    read_again(op);
    if (left == 0) {
        for (int i = 0; i < READS; i++) {
            if (epio_op_pending(&reads[i])) {
                return;
            }
        }
        check_result(epio_perform(epio_close(&close, file)), 0);
    }
}

static void run_reads(fixture *f, void (*done)(epio_op *op))
{
    left = READS * ROUNDS;
    memset(reads, 0, sizeof reads);
    for (int i = 0; i < READS; i++) {
        reads[i].done = done;
        epio_submit(epio_read(&reads[i], file, &data[i], 1, (uint64_t)i));
    }
    (void)epio_loop_run(f->loop);
}

/* The lock belongs to the open file description, and ends with it. */
static int open_locked(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    check(descriptor >= 0);
    check(flock(descriptor, LOCK_EX | LOCK_NB) == 0);
    return descriptor;
}

static bool is_still_open(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    check(descriptor >= 0);
    bool locked = flock(descriptor, LOCK_EX | LOCK_NB) != 0;
    check(close(descriptor) == 0);
    return locked;
}

static void adopt(fixture *f, const char *path)
{
    epio_op op = {0};
    check_op(f, epio_adopt(&op, f->vfs, open_locked(path), EPIO_OPEN_READ), 0);
    file = op.file;
}

static void a_closed_file_does_not_stay_open(fixture *f)
{
    epio_op op = {0};
    char path[1024];
    fixture_put(f, "file", "0123456789abcdef", 16);
    (void)snprintf(path, sizeof path, "%s", fixture_path(f, "file"));
    adopt(f, path);
    run_reads(f, read_again);
    check(is_still_open(path));
    check_result(epio_perform(epio_close(&op, file)), 0);
    check(!is_still_open(path)); /* although the loop did nothing more */

    adopt(f, path);
    run_reads(f, read_again);
    check_op(f, epio_close(&op, file), 0);
    check(!is_still_open(path));

    adopt(f, path);
    run_reads(f, read_again_or_close);
    check(!is_still_open(path));
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_closed_file_does_not_stay_open, ON_OS | ON_LIMIT_OS),
    };
    return FIXTURE_RUN("read_batch_linux", tests);
}
