/* A log that several threads append to. `log_append` returns when its record, and every record
 * before it, is on the medium; threads that append at the same time share one flush.
 *
 *     log [--path FILE] [--threads N] [--records N] [--acknowledge]
 *     log --verify FILE
 *
 * A record is one line: a sequence number, a checksum, the text. Reopening a log drops what a
 * crash left incomplete at its end and continues after the last good record. */
#if !defined(_WIN32) && !defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif

#include "system.h"

#include <epio/epio.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 256
/* "<16 digits> <8 hexadecimal digits> <text>\n" */
#define HEAD_SIZE 26
#define RECORD_SIZE (HEAD_SIZE + TEXT_SIZE + 1)

#define MOST_THREADS 1000
#define USAGE 2

/* ---- Records ------------------------------------------------------------ */

/* FNV-1a: enough to detect a torn record. */
static uint32_t checksum(uint64_t sequence, const char *text, size_t len)
{
    uint32_t hash = 2166136261u;
    size_t i;

    for (i = 0; i < 8; i++) {
        hash = (hash ^ (uint32_t)(sequence >> (8 * i) & 0xff)) * 16777619u;
    }
    for (i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    }
    return hash;
}

/* Returns the record's length. `text` has no line feed and is not longer than
 * TEXT_SIZE. */
static size_t format_record(char *record, uint64_t sequence, const char *text)
{
    size_t len = strlen(text);
    int n = snprintf(record, RECORD_SIZE + 1, "%016" PRIu64 " %08" PRIx32 " %s\n", sequence,
                     checksum(sequence, text, len), text);

    return (size_t)n;
}

/* The length of the complete, undamaged record at the start of `data`, if it has this sequence
 * number; else 0. */
static size_t match_record(const char *data, size_t len, uint64_t sequence)
{
    char text[TEXT_SIZE + 1], expected[RECORD_SIZE + 1];
    const char *end = memchr(data, '\n', len < RECORD_SIZE ? len : RECORD_SIZE);
    size_t size;

    if (end == NULL || end - data < HEAD_SIZE) {
        return 0;
    }
    size = (size_t)(end - data) + 1;
    memcpy(text, data + HEAD_SIZE, size - HEAD_SIZE - 1);
    text[size - HEAD_SIZE - 1] = '\0';
    if (format_record(expected, sequence, text) != size || memcmp(expected, data, size) != 0) {
        return 0;
    }
    return size;
}

/* ---- The log ------------------------------------------------------------ */

struct log {
    epio_file *file;
    struct mutex mutex; /* protects all below */
    uint64_t sequence;  /* of the next record */
    uint64_t end;       /* its offset */
    int64_t error;      /* of the first write or sync that failed; permanent */
};

static void log_fail(struct log *log, int64_t error)
{
    mutex_lock(&log->mutex);
    if (log->error == 0) {
        log->error = error;
    }
    mutex_unlock(&log->mutex);
}

/* Runs on the loop's thread, and before the sync that covers this write is delivered: so the
 * thread that waits for that sync sees the error. */
static void write_done(epio_op *op)
{
    if (op->result < 0) {
        log_fail(op->user, op->result);
    }
}

/* Appends a record and returns when it is durable: 0 and its sequence number, or an error; after
 * an error the log accepts no more records. Any thread but the loop's. */
static int64_t log_append(struct log *log, const char *text, uint64_t *sequence)
{
    char record[RECORD_SIZE + 1];
    epio_op write = {0}, sync = {0};
    int64_t error;
    size_t len;

    write.done = write_done;
    write.user = log;

    /* Space is reserved and both ops are submitted under one lock. So the syncs are in the order
     * of the records, and as a sync covers every write submitted before it, no record is durable
     * before its predecessors. Submitting does not block: the lock is held only for a moment. */
    mutex_lock(&log->mutex);
    error = log->error;
    if (error == 0) {
        *sequence = log->sequence++;
        len = format_record(record, *sequence, text);
        epio_submit(epio_write(&write, log->file, record, len, log->end));
        epio_submit(epio_sync(&sync, log->file, EPIO_SYNC_DATA_ONLY));
        log->end += len;
    }
    mutex_unlock(&log->mutex);
    if (error != 0) {
        return error;
    }

    /* The write ends before the sync does: both ops and the record may be freed when this
     * returns. */
    if (epio_wait(&sync) < 0) {
        log_fail(log, sync.result);
    }
    mutex_lock(&log->mutex);
    error = log->error;
    mutex_unlock(&log->mutex);
    return error;
}

/* Reads the log from its start to the first incomplete record, and sets `sequence` and `end` for
 * the next one. */
static int64_t log_scan(struct log *log)
{
    static char data[64 * 1024];
    epio_op op = {0};
    size_t used, size;
    int64_t n;

    log->sequence = 0;
    log->end = 0;
    do {
        n = epio_perform(epio_read(&op, log->file, data, sizeof data, log->end));
        if (n < 0) {
            return n;
        }
        used = 0;
        while ((size = match_record(data + used, (size_t)n - used, log->sequence)) > 0) {
            used += size;
            log->sequence++;
        }
        log->end += used;
        /* The last record of a full buffer is read again, completely. */
    } while (used > 0 && (size_t)n == sizeof data);
    return 0;
}

static int64_t log_open(struct log *log, epio_vfs *vfs, const char *path)
{
    epio_op op = {0};
    int64_t result = epio_wait(epio_open(
        &op, vfs, path, EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR));

    if (result < 0) {
        return result;
    }
    log->file = op.file;
    log->error = 0;
    result = log_scan(log);
    if (result >= 0) {
        result = epio_wait(epio_truncate(&op, log->file, log->end));
    }
    if (result >= 0) {
        result = epio_wait(epio_sync(&op, log->file, EPIO_SYNC_FULL));
    }
    if (result < 0) {
        epio_wait(epio_close(&op, log->file));
        return result;
    }
    mutex_init(&log->mutex);
    return 0;
}

/* No thread appends any more. The loop's thread. */
static int64_t log_close(struct log *log)
{
    epio_op op = {0};

    mutex_destroy(&log->mutex);
    return epio_wait(epio_close(&op, log->file));
}

/* ---- Producers ---------------------------------------------------------- */

struct options {
    const char *path;
    uint64_t threads;
    uint64_t records; /* of each thread */
    bool acknowledge;
    bool verify;
};

struct program {
    struct options options;
    struct log log;
    epio_loop *loop;
    struct mutex mutex; /* protects the next */
    uint64_t working;   /* producers that are not done */
};

struct producer {
    struct thread thread;
    struct program *program;
    uint64_t number;
    uint64_t appended;
    int64_t error;
};

static void acknowledge(uint64_t sequence, const char *text)
{
    char record[RECORD_SIZE + 1];

    fwrite(record, 1, format_record(record, sequence, text), stdout);
    fflush(stdout);
}

static int64_t append_one(struct producer *producer, uint64_t record)
{
    char text[TEXT_SIZE + 1];
    uint64_t sequence;
    int64_t error;
    /* Records of different lengths, as in practice. */
    int n =
        snprintf(text, sizeof text, "thread %" PRIu64 " record %" PRIu64 " %.*s", producer->number,
                 record, (int)(record % 40), "........................................");

    (void)n;
    error = log_append(&producer->program->log, text, &sequence);
    if (error == 0 && producer->program->options.acknowledge) {
        acknowledge(sequence, text);
    }
    return error;
}

static void leave(struct program *program)
{
    mutex_lock(&program->mutex);
    program->working--;
    mutex_unlock(&program->mutex);
    epio_loop_wake(program->loop);
}

static bool anybody_works(struct program *program)
{
    uint64_t working;

    mutex_lock(&program->mutex);
    working = program->working;
    mutex_unlock(&program->mutex);
    return working > 0;
}

static void produce(void *argument)
{
    struct producer *producer = argument;
    uint64_t records = producer->program->options.records;

    while (producer->appended < records && producer->error == 0) {
        producer->error = append_one(producer, producer->appended);
        if (producer->error == 0) {
            producer->appended++;
        }
    }
    leave(producer->program);
}

/* Starts the producers and runs the loop, on this thread, until they are done. */
static int64_t run_producers(struct program *program, struct producer *producers,
                             uint64_t *appended)
{
    uint64_t started, i;
    int64_t error = 0;

    program->working = program->options.threads;
    for (started = 0; started < program->options.threads; started++) {
        producers[started].program = program;
        producers[started].number = started;
        if (!thread_start(&producers[started].thread, produce, &producers[started])) {
            error = EPIO_ENOMEM;
            break;
        }
    }
    for (i = started; i < program->options.threads; i++) {
        leave(program);
    }
    while (anybody_works(program)) {
        epio_loop_poll(program->loop, EPIO_FOREVER, 0);
    }
    for (i = 0; i < started; i++) {
        thread_join(&producers[i].thread);
        *appended += producers[i].appended;
        if (error == 0) {
            error = producers[i].error;
        }
    }
    return error;
}

/* Progress goes to standard error: standard output is for acknowledgements. */
static int64_t measure(struct program *program)
{
    struct producer *producers = calloc((size_t)program->options.threads, sizeof *producers);
    epio_op op = {0};
    uint64_t appended = 0;
    int64_t error, began, elapsed;

    if (producers == NULL) {
        return EPIO_ENOMEM;
    }
    began = epio_perform(epio_current_time(&op, epio_os_vfs()));
    error = run_producers(program, producers, &appended);
    elapsed = epio_perform(epio_current_time(&op, epio_os_vfs())) - began;
    free(producers);
    if (error == 0 && elapsed > 0) {
        fprintf(stderr, "%" PRIu64 " records by %" PRIu64 " threads: %.0f durable records/s\n",
                appended, program->options.threads, (double)appended * 1e9 / (double)elapsed);
    }
    return error;
}

static int64_t write_log(struct program *program)
{
    int64_t result = log_open(&program->log, epio_loop_vfs(program->loop), program->options.path);
    int64_t closed;

    if (result < 0) {
        return result;
    }
    if (program->log.sequence > 0) {
        fprintf(stderr, "going on after %" PRIu64 " records\n", program->log.sequence);
    }
    mutex_init(&program->mutex);
    result = measure(program);
    mutex_destroy(&program->mutex);
    closed = log_close(&program->log);
    return result < 0 ? result : closed;
}

/* ---- Verifying ---------------------------------------------------------- */

/* Needs no loop: one call after another. */
static int64_t verify_log(const char *path)
{
    struct log log = {0};
    epio_op op = {0};
    int64_t result = epio_perform(epio_open(&op, epio_os_vfs(), path, EPIO_OPEN_READ));

    if (result < 0) {
        return result;
    }
    log.file = op.file;
    result = log_scan(&log);
    if (result >= 0) {
        result = epio_perform(epio_size(&op, log.file));
    }
    epio_perform(epio_close(&op, log.file));
    if (result < 0) {
        return result;
    }
    printf("%" PRIu64 " records, %" PRIu64 " unfinished bytes after them\n", log.sequence,
           (uint64_t)result - log.end);
    return 0;
}

/* ---- The command line --------------------------------------------------- */

static void print_usage(FILE *stream)
{
    fprintf(stream, "usage: log [options]\n\n"
                    "  --path FILE    the log (epio.log); an existing one is continued\n"
                    "  --threads N    producers (8)\n"
                    "  --records N    records that each appends (1000)\n"
                    "  --acknowledge  print each record once it is durable\n"
                    "  --verify FILE  only say how many whole records a log has\n"
                    "  --help         this text\n");
}

static bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > most) {
        return false;
    }
    *number = value;
    return true;
}

static bool parse_value(const char *name, const char *value, struct options *options)
{
    if (strcmp(name, "--threads") == 0) {
        return parse_number(value, MOST_THREADS, &options->threads);
    }
    if (strcmp(name, "--records") == 0) {
        return parse_number(value, UINT64_MAX / 2, &options->records);
    }
    if (strcmp(name, "--path") != 0 && strcmp(name, "--verify") != 0) {
        return false;
    }
    options->verify = strcmp(name, "--verify") == 0;
    options->path = value;
    return true;
}

/* False: reported what is wrong. */
static bool parse_options(int count, char **arguments, struct options *options)
{
    int i;

    for (i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--acknowledge") == 0) {
            options->acknowledge = true;
            continue;
        }
        if (i + 1 == count || !parse_value(arguments[i], arguments[i + 1], options)) {
            fprintf(stderr, "log: cannot make sense of %s%s%s\n\n", arguments[i],
                    i + 1 < count ? " " : "", i + 1 < count ? arguments[i + 1] : "");
            print_usage(stderr);
            return false;
        }
        i++;
    }
    return true;
}

int main(int count, char **arguments)
{
    static struct program program = {
        .options = {.path = "epio.log", .threads = 8, .records = 1000}};
    int64_t error;

    if (count == 2 && strcmp(arguments[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (!parse_options(count, arguments, &program.options)) {
        return USAGE;
    }
    keep_line_feeds(stdout);
    if (program.options.verify) {
        error = verify_log(program.options.path);
    } else {
        error = epio_loop_create(&program.loop, NULL);
        if (error == 0) {
            error = write_log(&program);
        }
        epio_loop_destroy(program.loop);
    }
    if (error != 0) {
        fprintf(stderr, "log: %s: %s\n", program.options.path, epio_error_message(error));
    }
    return error != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
