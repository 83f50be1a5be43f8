/* A program that knows epio as installed: it writes a file and reads it back,
 * by epio_perform and, where there is one, through a loop. The argument is the
 * file, which is removed. Uses nothing else of this tree. */
#include <epio/bench.h>
#include <epio/epio.h>
#include <epio/vfs.h>

#include <stdio.h>
#include <string.h>

static const char text[] = "written and read back";

/* Prints what failed; true if `result` is an error. */
static bool failed(const char *what, int64_t result)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s: %s\n", what, epio_error_name(result), epio_error_message(result));
    }
    return result < 0;
}

/* Carries the op out in the one way or the other. */
static int64_t finish(epio_op *op, bool by_loop)
{
#if EPIO_ASYNC
    if (by_loop) {
        return epio_wait(op);
    }
#else
    (void)by_loop;
#endif
    return epio_perform(op);
}

static bool exchange(epio_vfs *vfs, const char *path, bool by_loop)
{
    epio_op op = {0};
    char read_back[sizeof text] = {0};
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE |
                     EPIO_OPEN_DELETE_ON_CLOSE;

    if (failed("open", finish(epio_open(&op, vfs, path, flags), by_loop))) {
        return false;
    }
    epio_file *file = op.file;
    bool good = !failed("write", finish(epio_write(&op, file, text, sizeof text, 0), by_loop)) &&
                !failed("sync", finish(epio_sync(&op, file, EPIO_SYNC_FULL), by_loop)) &&
                !failed("read", finish(epio_read(&op, file, read_back, sizeof text, 0), by_loop)) &&
                memcmp(text, read_back, sizeof text) == 0;
    return !failed("close", finish(epio_close(&op, file), by_loop)) && good;
}

#if EPIO_ASYNC
static bool exchange_by_loop(const char *path)
{
    epio_loop *loop = NULL;
    if (failed("loop", epio_loop_create(&loop, NULL))) {
        return false;
    }
    bool good = exchange(epio_loop_vfs(loop), path, true);
    printf("loop on %s, ", epio_loop_backend(loop));
    epio_loop_destroy(loop);
    return good;
}
#endif

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: consumer FILE\n");
        return 2;
    }
    char version[64];
    snprintf(version, sizeof version, "%d.%d.%d", EPIO_VERSION_MAJOR, EPIO_VERSION_MINOR,
             EPIO_VERSION_PATCH);
    if (strcmp(version, epio_version()) != 0) {
        fprintf(stderr, "built for %s, linked with %s\n", version, epio_version());
        return 1;
    }
    bool good = exchange(epio_os_vfs(), arguments[1], false);
#if EPIO_ASYNC
    good = good && exchange_by_loop(arguments[1]);
#endif
    printf("epio %s: %s\n", epio_version(), good ? "good" : "failed");
    return good ? 0 : 1;
}
