/* Copies files with a queue of reads and writes in flight.
 *
 *     copy SOURCE... TARGET
 *
 * Each copy is written under another name beside its target, made durable, and then renamed: the
 * target's name never has half a file, and Ctrl-C leaves what was there before. Everything runs
 * on one thread, in the callbacks of one loop. */
#if !defined(_WIN32) && !defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif

#include <epio/epio.h>

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#define SLOTS 16
#define SLOT_SIZE ((size_t)256 * 1024)
#define PATH_SIZE 4096
#define BAR_WIDTH 30

/* Exit statuses. */
#define USAGE 2
#define INTERRUPTED 130

/* An error of this program, distinct from epio's. */
#define SOURCE_CHANGED (EPIO_ERROR_LAST - 1)

/* ---- What differs between systems ---------------------------------------- */

#ifdef _WIN32

/* The name of a stream. */
#define STREAM_EXAMPLE "\\\\.\\pipe\\NAME"

static bool is_terminal(FILE *stream)
{
    return _isatty(_fileno(stream)) != 0;
}

static bool is_separator(char c)
{
    return c == '/' || c == '\\';
}

/* Do both names mean the same file of one directory? */
static bool same_name(const char *one, const char *other)
{
    return _stricmp(one, other) == 0;
}

#else

#define STREAM_EXAMPLE "/dev/stdin"

static bool is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

static bool is_separator(char c)
{
    return c == '/';
}

static bool same_name(const char *one, const char *other)
{
    return strcmp(one, other) == 0;
}

#endif

/* ---- What is there ------------------------------------------------------- */

/* EPIO_TYPE_UNKNOWN: nothing, or nothing that can be looked at. */
static uint32_t type_of_path(const char *path)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    int64_t result = epio_perform(epio_stat(&op, epio_os_vfs(), path, &info, 0));

    return result == 0 ? info.type : EPIO_TYPE_UNKNOWN;
}

/* Neither a file nor a directory: what it is must not be replaced. */
static bool is_something_else(const char *path)
{
    uint32_t type = type_of_path(path);

    return type != EPIO_TYPE_UNKNOWN && type != EPIO_TYPE_FILE && type != EPIO_TYPE_DIRECTORY;
}

static uint32_t permissions_of(epio_file *file)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    int64_t result = epio_perform(epio_file_stat(&op, file, &info));

    return result == 0 && info.type == EPIO_TYPE_FILE ? info.mode & 0777 : 0666;
}

/* ---- Ctrl-C ------------------------------------------------------------- */

static epio_loop *loop;
static volatile sig_atomic_t interrupted;

/* Only sets a flag and wakes the loop, which does the rest. */
static void interrupt(int number)
{
    signal(number, interrupt);
    interrupted = 1;
    epio_loop_wake(loop);
}

static void catch_signals(void (*handler)(int number))
{
    signal(SIGINT, handler);
    signal(SIGTERM, handler);
}

/* Like epio_wait, but Ctrl-C cancels the operation. */
static int64_t wait_or_cancel(epio_op *op)
{
    epio_submit(op);
    while (epio_op_pending(op)) {
        if (interrupted) {
            epio_cancel(op);
        }
        epio_loop_poll(loop, EPIO_FOREVER, 0);
    }
    return op->result;
}

/* ---- One copy ----------------------------------------------------------- */

/* A buffer in use: filled by a read, then emptied by a write. */
struct slot {
    epio_op op;
    struct copy *copy;
    unsigned char *buffer;
    uint64_t offset;
    enum { IDLE, READING, WRITING } state;
};

struct copy {
    const char *name; /* for the progress bar */
    epio_file *source;
    epio_file *target;
    bool stream;     /* the source has no offsets: it is read piece by piece */
    uint64_t size;   /* expected, for the progress bar; 0: unknown */
    uint64_t next;   /* where the next read starts */
    uint64_t end;    /* where the source ended; UINT64_MAX: not known yet */
    uint64_t copied; /* bytes written */
    uint64_t shown;  /* by the progress bar; UINT64_MAX: nothing yet */
    int64_t error;   /* the first, 0 if there is none */
    unsigned busy;   /* slots that are not idle */
    struct slot slots[SLOTS];
};

static void draw_bar(const struct copy *copy, uint64_t percent)
{
    char bar[BAR_WIDTH + 1];

    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)(percent * BAR_WIDTH / 100));
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%-24.24s [%s] %3" PRIu64 " %%", copy->name, bar, percent);
}

/* Draws only changes, as terminals are slower than files. */
static void show_progress(struct copy *copy)
{
    uint64_t now;

    if (!is_terminal(stderr)) {
        return;
    }
    if (copy->size != 0 && copy->copied <= copy->size) {
        now = (uint64_t)((double)copy->copied * 100.0 / (double)copy->size);
    } else {
        now = copy->copied >> 20;
    }
    if (now == copy->shown) {
        return;
    }
    copy->shown = now;
    if (copy->size != 0 && copy->copied <= copy->size) {
        draw_bar(copy, now);
    } else {
        fprintf(stderr, "\r%-24.24s %" PRIu64 " MiB", copy->name, now);
    }
    fflush(stderr);
}

static void fail(struct copy *copy, int64_t error)
{
    if (copy->error == 0) {
        copy->error = error;
    }
}

/* Starts reads in the idle slots. A stream returns its pieces in the order of the reads, and the
 * length of a piece is known only afterwards: one read at a time. */
static void start_reads(struct copy *copy)
{
    int i;

    for (i = 0; i < SLOTS; i++) {
        if (copy->stream && copy->slots[i].state == READING) {
            return;
        }
    }
    for (i = 0; i < SLOTS; i++) {
        struct slot *slot = &copy->slots[i];

        if (slot->state != IDLE) {
            continue;
        }
        if (copy->error != 0 || copy->next >= copy->end) {
            return;
        }
        slot->state = READING;
        slot->offset = copy->next;
        copy->busy++;
        epio_submit(epio_read(&slot->op, copy->source, slot->buffer, SLOT_SIZE, slot->offset));
        if (copy->stream) {
            return;
        }
        copy->next += SLOT_SIZE;
    }
}

/* For a file, fewer bytes than requested mean the end; for a stream, none. */
static void note_end(struct copy *copy, const struct slot *slot, uint64_t n)
{
    uint64_t after = slot->offset + n;

    if (copy->stream) {
        copy->next = after;
    }
    if (n < (copy->stream ? 1 : SLOT_SIZE) && after < copy->end) {
        copy->end = after;
    }
}

static void slot_done(epio_op *op)
{
    struct slot *slot = op->user;
    struct copy *copy = slot->copy;
    bool was_read = slot->state == READING;

    slot->state = IDLE;
    copy->busy--;
    if (op->result < 0) {
        fail(copy, op->result);
    } else if (was_read) {
        size_t n = (size_t)op->result;

        note_end(copy, slot, n);
        if (n > 0 && copy->error == 0) {
            slot->state = WRITING;
            copy->busy++;
            epio_submit(epio_write(&slot->op, copy->target, slot->buffer, n, slot->offset));
        }
    } else {
        copy->copied += (uint64_t)op->result;
        show_progress(copy);
    }
    start_reads(copy);
}

static void cancel_all(struct copy *copy)
{
    int i;

    fail(copy, EPIO_ECANCELED);
    for (i = 0; i < SLOTS; i++) {
        epio_cancel(&copy->slots[i].op);
    }
}

/* Transfers the contents. The order in which pieces complete does not matter, as each is written
 * at the offset where it was read. */
static int64_t transfer(struct copy *copy)
{
    int i;

    for (i = 0; i < SLOTS; i++) {
        struct slot *slot = &copy->slots[i];

        slot->op.done = slot_done;
        slot->op.user = slot;
        slot->copy = copy;
        slot->buffer = epio_loop_take_buffer(loop); /* the pool has as many as there are slots */
    }
    show_progress(copy);
    start_reads(copy);
    while (copy->busy > 0) {
        if (interrupted) {
            cancel_all(copy);
        }
        epio_loop_poll(loop, EPIO_FOREVER, 0);
    }
    for (i = 0; i < SLOTS; i++) {
        epio_loop_return_buffer(loop, copy->slots[i].buffer);
    }
    /* Another program changed the length of the file meanwhile: this copy matches no state that
     * it ever had. */
    if (copy->error == 0 && copy->copied != copy->end) {
        fail(copy, SOURCE_CHANGED);
    }
    if (copy->shown != UINT64_MAX) {
        fputc('\n', stderr);
    }
    return copy->error;
}

/* Copies from one open file to another, and makes it durable. */
static int64_t copy_contents(const char *name, epio_file *source, epio_file *target)
{
    static struct copy copy;
    epio_op op = {0};
    int64_t size = wait_or_cancel(epio_size(&op, source));
    int64_t result;

    if (size < 0 && size != EPIO_ESPIPE) {
        return size;
    }
    memset(&copy, 0, sizeof copy);
    copy.name = name;
    copy.source = source;
    copy.target = target;
    copy.stream = size == EPIO_ESPIPE;
    copy.size = size < 0 ? 0 : (uint64_t)size;
    copy.end = UINT64_MAX;
    copy.shown = UINT64_MAX;
    result = transfer(&copy);
    return result < 0 ? result : wait_or_cancel(epio_sync(&op, target, EPIO_SYNC_FULL));
}

/* ---- Paths -------------------------------------------------------------- */

/* The last part of a path. */
static const char *name_of(const char *path)
{
    const char *name = path;

    for (; *path != '\0'; path++) {
        if (is_separator(*path)) {
            name = path + 1;
        }
    }
    return name;
}

/* An unused name in the target's directory. */
static int64_t choose_temporary(const char *target, char *path)
{
    int directory = (int)(name_of(target) - target);
    uint64_t number;
    epio_op op = {0};
    int64_t result = epio_perform(epio_randomness(&op, epio_os_vfs(), &number, sizeof number));
    int needed = snprintf(path, PATH_SIZE, "%.*s.copy-%016" PRIx64 ".part", directory, target,
                          result < 0 ? 0 : number);

    if (result < 0) {
        return result;
    }
    return needed < 0 || needed >= PATH_SIZE ? EPIO_ENAMETOOLONG : 0;
}

static bool same_path(const char *source, const char *full_target)
{
    char full[PATH_SIZE];
    epio_op op = {0};

    return epio_perform(epio_full_pathname(&op, epio_os_vfs(), source, full, sizeof full)) >= 0 &&
           strcmp(full, full_target) == 0;
}

/* ---- One file ----------------------------------------------------------- */

static int tell_why(const char *path, const char *what)
{
    fprintf(stderr, "copy: %s: %s\n", path, what);
    return EXIT_FAILURE;
}

static int tell_error(const char *path, int64_t error)
{
    return tell_why(path, epio_error_message(error));
}

/* For errors that may concern either file. */
static int tell_both(const char *source, const char *target, int64_t error)
{
    fprintf(stderr, "copy: %s to %s: %s\n", source, target,
            error == SOURCE_CHANGED ? "the source changed while it was being copied"
                                    : epio_error_message(error));
    return EXIT_FAILURE;
}

/* Closing and deleting must not be cancelled halfway: epio_wait. */
static int64_t close_file(epio_file *file)
{
    epio_op op = {0};

    return epio_wait(epio_close(&op, file));
}

/* Writes all of the source to a new file, `temporary`. */
static int64_t write_temporary(const char *name, epio_file *source, const char *temporary)
{
    epio_op op = {0};
    uint32_t flags = EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE |
                     EPIO_OPEN_PERMISSIONS(permissions_of(source));
    int64_t result = epio_wait(epio_open(&op, epio_loop_vfs(loop), temporary, flags));
    int64_t closed;

    if (result < 0) {
        return result;
    }
    result = copy_contents(name, source, op.file);
    closed = close_file(op.file);
    return result < 0 ? result : closed;
}

/* `target` is a full path. */
static int64_t replace_target(const char *name, epio_file *source, const char *target)
{
    char temporary[PATH_SIZE];
    epio_op op = {0};
    int64_t result = choose_temporary(target, temporary);

    if (result < 0) {
        return result;
    }
    result = write_temporary(name, source, temporary);
    if (result >= 0 && interrupted) {
        result = EPIO_ECANCELED;
    }
    if (result >= 0) {
        result = epio_wait(
            epio_rename(&op, epio_loop_vfs(loop), temporary, target, EPIO_RENAME_SYNC_DIR));
    }
    /* A file that already existed is not this program's to delete. */
    if (result < 0 && result != EPIO_EEXIST) {
        epio_wait(epio_delete(&op, epio_loop_vfs(loop), temporary, 0));
    }
    return result;
}

/* Copies one file and reports errors: 0 or the program's exit status. */
static int copy_file(const char *source, const char *target)
{
    char full[PATH_SIZE];
    epio_file *file;
    epio_op op = {0};
    int64_t result;

    /* Resolved, so that a link stays a link and its target is replaced. */
    result = epio_wait(epio_full_pathname(&op, epio_loop_vfs(loop), target, full, sizeof full));
    if (result < 0) {
        return tell_error(target, result);
    }
    if (same_path(source, full)) {
        return tell_why(source, "source and target are the same file");
    }
    if (is_something_else(full)) {
        return tell_why(target, "is no regular file and will not be replaced");
    }
    result = wait_or_cancel(epio_open(&op, epio_loop_vfs(loop), source, EPIO_OPEN_READ));
    if (result < 0) {
        return interrupted ? INTERRUPTED : tell_error(source, result);
    }
    file = op.file;
    result = replace_target(name_of(source), file, full);
    close_file(file);
    if (result < 0 && interrupted) {
        return INTERRUPTED;
    }
    if (result < 0) {
        return tell_both(source, full, result);
    }
    return EXIT_SUCCESS;
}

/* ---- The command line --------------------------------------------------- */

static int copy_into_directory(const char *source, const char *directory)
{
    char target[PATH_SIZE];
    const char *name = name_of(source);
    size_t len = strlen(directory);
    const char *separator = len > 0 && is_separator(directory[len - 1]) ? "" : "/";
    int needed = snprintf(target, sizeof target, "%s%s%s", directory, separator, name);

    if (name[0] == '\0') {
        return tell_why(source, epio_error_message(EPIO_EISDIR));
    }
    if (needed < 0 || (size_t)needed >= sizeof target) {
        return tell_why(source, epio_error_message(EPIO_ENAMETOOLONG));
    }
    return copy_file(source, target);
}

/* Two sources with one name would replace each other. */
static bool names_clash(char **sources, int count)
{
    int i, j;

    for (i = 0; i < count; i++) {
        for (j = 0; j < i; j++) {
            if (same_name(name_of(sources[i]), name_of(sources[j]))) {
                fprintf(stderr, "copy: %s and %s would both become %s\n", sources[j], sources[i],
                        name_of(sources[i]));
                return true;
            }
        }
    }
    return false;
}

static int copy_all(char **sources, int count, const char *target)
{
    int status = EXIT_SUCCESS;
    int i;

    if (type_of_path(target) != EPIO_TYPE_DIRECTORY) {
        if (count == 1 && name_of(target)[0] != '\0') {
            return copy_file(sources[0], target);
        }
        tell_why(target, "is no directory");
        return USAGE;
    }
    if (names_clash(sources, count)) {
        return USAGE;
    }
    for (i = 0; i < count && !interrupted; i++) {
        int one = copy_into_directory(sources[i], target);

        if (one != EXIT_SUCCESS) {
            status = one;
        }
    }
    return i < count ? INTERRUPTED : status;
}

static void print_usage(FILE *stream)
{
    fprintf(stream,
            "usage: copy SOURCE... TARGET\n\n"
            "Copies a file to TARGET, or files into the directory TARGET. What was there is\n"
            "replaced when the copy is complete and on the medium, not before. A source\n"
            "may be a stream, such as %s. Ctrl-C gives up and cleans up.\n",
            STREAM_EXAMPLE);
}

int main(int count, char **arguments)
{
    int first = 1;
    int error, status;

    if (count > 1 && strcmp(arguments[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (count > 1 && strcmp(arguments[1], "--") == 0) {
        first = 2;
    } else if (count > 1 && arguments[1][0] == '-') {
        fprintf(stderr, "copy: unknown option %s\n\n", arguments[1]);
        print_usage(stderr);
        return USAGE;
    }
    if (count - first < 2) {
        print_usage(stderr);
        return USAGE;
    }
    error = epio_loop_create(&loop, NULL);
    if (error != 0) {
        return tell_error("cannot make a loop", error);
    }
    error = epio_loop_create_pool(loop, SLOT_SIZE, SLOTS);
    if (error < 0) {
        epio_loop_destroy(loop);
        return tell_error("cannot make buffers", error);
    }
    catch_signals(interrupt);
    status = copy_all(arguments + first, count - first - 1, arguments[count - 1]);
    /* The handler must not wake a destroyed loop. */
    catch_signals(SIG_IGN);
    epio_loop_destroy(loop);
    return status;
}
