/* Prints what changes in a directory, until it is interrupted or the directory is removed.
 *
 *     watch [--recursive] [--count N] [DIRECTORY]
 *
 * One op waits for the next events without a thread of this program; each buffer that it fills is
 * printed by its `done`, which submits it again. */
#include <epio/epio.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE 2

struct watch {
    epio_op op;
    epio_file *file;
    uint64_t left; /* events to print; 0: no limit */
    int64_t error;
    uint64_t buffer[2048]; /* aligned as a uint64_t */
};

static void print(const epio_event *event)
{
    static const char *const verbs[] = {"?",       "made",       "changed", "removed",
                                        "renamed", "attributes", "overflow"};
    const char *verb = event->kind < sizeof verbs / sizeof verbs[0] ? verbs[event->kind] : "?";
    if (event->kind == EPIO_EVENT_OVERFLOW) {
        puts("overflow: look at the whole directory again");
    } else if (event->kind == EPIO_EVENT_RENAMED) {
        printf("%s %s to %s\n", verb, epio_event_from(event), epio_event_name(event));
    } else {
        printf("%s %s\n", verb, event->name_len != 0 ? epio_event_name(event) : ".");
    }
}

static void on_events(epio_op *op)
{
    struct watch *watch = op->user;
    const epio_event *event = NULL;
    if (op->result <= 0) {
        watch->error = op->result; /* 0: the directory is gone */
        return;
    }
    while ((event = epio_event_next(watch->buffer, (size_t)op->result, event)) != NULL) {
        print(event);
        if (watch->left != 0 && --watch->left == 0) {
            fflush(stdout);
            return;
        }
    }
    fflush(stdout);
    epio_submit(epio_read_events(op, watch->file, watch->buffer, sizeof watch->buffer));
}

static int failed(const char *what, int64_t error)
{
    fprintf(stderr, "watch: %s: %s\n", what, epio_error_message(error));
    return 1;
}

static int run(struct watch *watch, epio_loop *loop, const char *directory, uint32_t flags)
{
    epio_op *op = &watch->op;
    int64_t result = epio_wait(epio_watch(op, epio_loop_vfs(loop), directory, flags));
    if (result < 0) {
        return failed(directory, result);
    }
    watch->file = op->file;
    fprintf(stderr, "watching %s%s\n", directory,
            result == EPIO_WATCH_COMPARES ? " by comparing, once a second" : "");
    op->done = on_events;
    op->user = watch;
    epio_submit(epio_read_events(op, watch->file, watch->buffer, sizeof watch->buffer));
    (void)epio_loop_run(loop);
    op->done = NULL;
    (void)epio_wait(epio_close(op, watch->file));
    return watch->error < 0 ? failed(directory, watch->error) : 0;
}

static int print_help(void)
{
    puts("Usage: watch [OPTION]... [DIRECTORY]\n"
         "\n"
         "Prints what is made, changed, removed or renamed in the directory (.).\n"
         "\n"
         "  --recursive  and in all directories below it\n"
         "  --count N    end after N events\n"
         "  --help       this text");
    return 0;
}

static int refuse(const char *what, const char *argument)
{
    fprintf(stderr, "watch: %s %s; see watch --help\n", what, argument);
    return USAGE;
}

int main(int argc, char **argv)
{
    static struct watch watch;
    const char *directory = NULL;
    uint32_t flags = 0;
    epio_loop *loop;
    for (int i = 1; i < argc; i++) {
        char *end = argv[i];
        if (strcmp(argv[i], "--help") == 0) {
            return print_help();
        }
        if (strcmp(argv[i], "--recursive") == 0) {
            flags |= EPIO_WATCH_RECURSIVE;
        } else if (strcmp(argv[i], "--count") == 0) {
            watch.left = ++i < argc ? strtoull(argv[i], &end, 10) : 0;
            if (watch.left == 0 || *end != '\0') {
                return refuse("a number above 0 is missing behind", "--count");
            }
        } else if (argv[i][0] == '-') {
            return refuse("unknown option", argv[i]);
        } else if (directory != NULL) {
            return refuse("one directory is enough; what is", argv[i]);
        } else {
            directory = argv[i];
        }
    }
    int error = epio_loop_create(&loop, NULL);
    if (error != 0) {
        return failed("no loop", error);
    }
    int status = run(&watch, loop, directory != NULL ? directory : ".", flags);
    epio_loop_destroy(loop);
    return status;
}
