/* Backs a directory up into another, with a checksum of each file, and verifies what is there.
 *
 *     backup SOURCE DESTINATION
 *     backup --verify DESTINATION
 *
 * Files are copied by a few jobs at once, each of which reads, hashes and saves one file on a
 * worker thread; the loop's own thread decides, and draws the bar. A file of the copy is whole or
 * not there, and a list in the destination names those that are there, with their checksums: a
 * backup that was killed goes on where it was. */
#if !defined(_WIN32) && !defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif

#include <epio/epio.h>

#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#define JOBS 8
#define PIECE ((size_t)512 << 10)
#define LIST ".epio-backup"    /* of a backup that is complete */
#define LOG ".epio-backup.log" /* what was added since */
#define HASH_SIZE 32
#define BAR_WIDTH 30

/* Exit statuses. */
#define FAILED 1
#define USAGE 2
#define INTERRUPTED 130

/* A file of the source, or of the list. */
struct entry {
    char *path;
    uint32_t type;
    uint64_t bytes;
    int64_t modified;
    unsigned char hash[HASH_SIZE];
    size_t line; /* of the list and the log */
};

struct entries {
    struct entry *list;
    size_t count;
    size_t room;
};

struct job {
    epio_op op; /* epio_work, then the write of the log's line */
    struct backup *backup;
    struct entry *entry;
    unsigned char hash[HASH_SIZE];
    unsigned char *buffer;
    char *line;
};

struct backup {
    epio_loop *loop;
    epio_file *source; /* NULL: it is verified */
    epio_file *destination;
    epio_file *log;
    uint64_t log_len;
    uint64_t own_device; /* the destination is no part of its own source */
    uint64_t own_id[2];
    struct entries known; /* sorted by path */
    struct entries found;
    size_t next; /* of `found` to be worked on */
    struct job jobs[JOBS];
    size_t running;
    epio_op timer;
    uint64_t bytes; /* worked on; of the loop's thread */
    uint64_t total;
    uint64_t copied;
    uint64_t unchanged;
    uint64_t errors;
    uint32_t flags; /* of each save */
    bool starts;    /* start_jobs is running */
    bool shows;
    bool deletes;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1; /* looked at whenever a job ends, or the timer comes */
}

/* ---- Small things --------------------------------------------------------- */

static void complain(struct backup *backup, const char *path, int64_t error)
{
    fprintf(stderr, "%sbackup: %s: %s\n", backup->shows ? "\r\033[K" : "", path,
            epio_error_message(error));
    backup->errors++;
}

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("backup: out of memory\n", stderr);
        exit(FAILED);
    }
    return memory;
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(must(malloc(size)), text, size);
}

static struct entry *add_entry(struct entries *entries)
{
    if (entries->count == entries->room) {
        entries->room = entries->room != 0 ? entries->room * 2 : 256;
        entries->list = must(realloc(entries->list, entries->room * sizeof *entries->list));
    }
    struct entry *entry = &entries->list[entries->count++];
    memset(entry, 0, sizeof *entry);
    return entry;
}

static void free_entries(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        free(entries->list[i].path);
    }
    free(entries->list);
}

static int by_path(const void *one, const void *other)
{
    return strcmp(((const struct entry *)one)->path, ((const struct entry *)other)->path);
}

static struct entry *find(const struct entries *entries, const char *path)
{
    struct entry key = {.path = (char *)(uintptr_t)path};
    if (entries->count == 0) {
        return NULL;
    }
    return bsearch(&key, entries->list, entries->count, sizeof key, by_path);
}

/* ---- The list: HASH SIZE TIME PATH, one line each ------------------------- */

/* A name may have any byte: those that end a line, and "%" itself, as %XX. */
static char *escape(const char *path)
{
    char *text = must(malloc(strlen(path) * 3 + 1));
    char *to = text;
    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;
        if (c < ' ' || c == '%') {
            to += sprintf(to, "%%%02X", c);
        } else {
            *to++ = (char)c;
        }
    }
    *to = '\0';
    return text;
}

static void unescape(char *path)
{
    char *to = path;
    while (*path != '\0') {
        unsigned c = 0;
        if (*path == '%' && sscanf(path + 1, "%2X", &c) == 1 && c != 0) {
            *to++ = (char)c;
            path += 3;
        } else {
            *to++ = *path++;
        }
    }
    *to = '\0';
}

static char *make_line(const struct entry *entry)
{
    char hex[HASH_SIZE * 2 + 1];
    char *path = escape(entry->path);
    size_t room = sizeof hex + 48 + strlen(path);
    char *line = must(malloc(room));
    sodium_bin2hex(hex, sizeof hex, entry->hash, HASH_SIZE);
    snprintf(line, room, "%s %" PRIu64 " %" PRId64 " %s\n", hex, entry->bytes, entry->modified,
             path);
    free(path);
    return line;
}

/* Where there is a later line of the same path, that counts. */
static void take_line(struct entries *entries, char *line)
{
    struct entry entry = {.type = EPIO_TYPE_FILE};
    int path = 0;
    size_t len = 0;
    if (sscanf(line, "%*64[0-9a-f] %" SCNu64 " %" SCNd64 " %n", &entry.bytes, &entry.modified,
               &path) != 2 ||
        path == 0 || line[path] == '\0' ||
        sodium_hex2bin(entry.hash, HASH_SIZE, line, HASH_SIZE * 2, NULL, &len, NULL) != 0 ||
        len != HASH_SIZE) {
        return; /* damaged: the file is copied again */
    }
    entry.path = copy_text(line + path);
    unescape(entry.path);
    *add_entry(entries) = entry;
}

static int64_t load_list(struct backup *backup, const char *name)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    epio_vfs *vfs = epio_directory_vfs(backup->destination);
    int64_t result = epio_wait(epio_load(&op, vfs, name, &buffer, NULL));
    char *line = buffer.data;
    char *end;
    /* A killed backup may have left half a line. */
    while (result > 0 && (end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        take_line(&backup->known, line);
        line = end + 1;
    }
    epio_buffer_free(&buffer);
    return result == EPIO_ENOENT ? 0 : result;
}

static void sort(struct entries *entries)
{
    if (entries->count != 0) { /* qsort takes no NULL */
        qsort(entries->list, entries->count, sizeof *entries->list, by_path);
    }
}

static void sort_known(struct entries *known)
{
    size_t kept = 0;
    /* The log's lines come behind the list's: of equal paths the last in the order of reading. */
    for (size_t i = 0; i < known->count; i++) {
        known->list[i].line = i;
    }
    sort(known);
    for (size_t i = 0; i < known->count; i++) {
        struct entry *last = kept != 0 ? &known->list[kept - 1] : NULL;
        if (last == NULL || strcmp(last->path, known->list[i].path) != 0) {
            known->list[kept++] = known->list[i];
        } else if (last->line < known->list[i].line) {
            free(last->path);
            *last = known->list[i];
        } else {
            free(known->list[i].path);
        }
    }
    known->count = kept;
}

static int64_t save_list(struct backup *backup)
{
    epio_op op = EPIO_OP_INIT;
    epio_vfs *vfs = epio_directory_vfs(backup->destination);
    char *text = copy_text("");
    size_t len = 0;
    size_t room = 1;
    for (size_t i = 0; i < backup->found.count; i++) {
        if (backup->found.list[i].type != EPIO_TYPE_FILE) {
            continue;
        }
        char *line = make_line(&backup->found.list[i]);
        size_t line_len = strlen(line);
        while (len + line_len + 1 > room) {
            room *= 2;
            text = must(realloc(text, room));
        }
        memcpy(text + len, line, line_len + 1);
        len += line_len;
        free(line);
    }
    int64_t result = epio_wait(epio_save(&op, vfs, LIST, text, len, NULL));
    if (result >= 0) {
        result = epio_wait(epio_delete(&op, vfs, LOG, 0));
        result = result == EPIO_ENOENT ? 0 : result;
    }
    free(text);
    return result;
}

/* ---- One file, on a worker thread ----------------------------------------- */

/* Reads a file to its end, hashes it, and writes it to `to`, if that is not NULL. */
static int64_t pass_on(struct job *job, epio_file *from, epio_file *to)
{
    crypto_generichash_state state;
    epio_op op = EPIO_OP_INIT;
    uint64_t at = 0;
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    for (;;) {
        int64_t len = epio_perform(epio_read(&op, from, job->buffer, PIECE, at));
        if (len < 0) {
            return len;
        }
        if (len == 0) {
            crypto_generichash_final(&state, job->hash, HASH_SIZE);
            return (int64_t)at;
        }
        crypto_generichash_update(&state, job->buffer, (size_t)len);
        if (to != NULL &&
            (len = epio_perform(epio_write(&op, to, job->buffer, (size_t)len, at))) < 0) {
            return len;
        }
        at += (uint64_t)len;
    }
}

static int64_t save_copy(struct job *job, epio_file *from, epio_vfs *to)
{
    epio_op op = EPIO_OP_INIT;
    epio_saving *saving;
    epio_save_options options = {.size = sizeof options, .flags = job->backup->flags};
    epio_times times = EPIO_TIMES_INIT;
    int64_t result = epio_perform(epio_save_begin(&op, to, job->entry->path, &options, &saving));
    if (result < 0) {
        return result;
    }
    result = pass_on(job, from, epio_saving_file(saving));
    times.modified = job->entry->modified;
    if (result >= 0) {
        (void)epio_perform(epio_file_set_times(&op, epio_saving_file(saving), &times));
    }
    if (result < 0) {
        (void)epio_perform(epio_save_abandon(&op, saving));
        return result;
    }
    int64_t saved = epio_perform(epio_save_commit(&op, saving));
    return saved < 0 ? saved : result;
}

static int64_t work_on(epio_op *outer)
{
    struct job *job = outer->user;
    struct backup *backup = job->backup;
    epio_op op = EPIO_OP_INIT;
    epio_vfs *to = epio_directory_vfs(backup->destination);
    epio_vfs *from = backup->source != NULL ? epio_directory_vfs(backup->source) : to;
    int64_t result = epio_perform(epio_open(
        &op, from, job->entry->path, EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW | EPIO_OPEN_SEQUENTIAL));
    if (result < 0) {
        return result;
    }
    epio_file *file = op.file;
    result = backup->source != NULL ? save_copy(job, file, to) : pass_on(job, file, NULL);
    (void)epio_perform(epio_close(&op, file));
    return result;
}

/* ---- The jobs, on the loop's thread ---------------------------------------- */

static void start_jobs(struct backup *backup);

static void job_ended(struct job *job)
{
    free(job->line);
    job->line = NULL;
    job->entry = NULL;
    job->backup->running--;
    start_jobs(job->backup);
}

static void on_logged(epio_op *op)
{
    struct job *job = op->user;
    if (op->result < 0) {
        complain(job->backup, LOG, op->result);
    }
    job_ended(job);
}

/* The file is in its place: its line may follow. */
static void log_copy(struct job *job)
{
    struct backup *backup = job->backup;
    job->line = make_line(job->entry);
    size_t len = strlen(job->line);
    job->op.done = on_logged;
    epio_submit(epio_write(&job->op, backup->log, job->line, len, backup->log_len));
    backup->log_len += len;
}

static void on_worked(epio_op *op)
{
    struct job *job = op->user;
    struct backup *backup = job->backup;
    struct entry *entry = job->entry;
    backup->bytes += entry->bytes;
    if (op->result < 0) {
        complain(backup, entry->path, op->result);
        entry->type = EPIO_TYPE_UNKNOWN; /* not in the list */
    } else if (backup->source != NULL) {
        entry->bytes = (uint64_t)op->result;
        memcpy(entry->hash, job->hash, HASH_SIZE);
        backup->copied++;
        log_copy(job);
        return;
    } else if ((uint64_t)op->result != entry->bytes ||
               memcmp(entry->hash, job->hash, HASH_SIZE) != 0) {
        fprintf(stderr, "%sbackup: %s: differs from what was backed up\n",
                backup->shows ? "\r\033[K" : "", entry->path);
        backup->errors++;
    } else {
        backup->unchanged++;
    }
    job_ended(job);
}

/* As the last backup has left it. */
static bool is_unchanged(struct backup *backup, struct entry *entry)
{
    const struct entry *known = find(&backup->known, entry->path);
    epio_info info = {.size = sizeof info};
    epio_op op = EPIO_OP_INIT;
    epio_vfs *vfs = epio_directory_vfs(backup->destination);
    if (known == NULL || known->bytes != entry->bytes || known->modified != entry->modified ||
        epio_wait(epio_stat(&op, vfs, entry->path, &info, EPIO_STAT_NOFOLLOW)) < 0 ||
        info.type != EPIO_TYPE_FILE || info.bytes != entry->bytes) {
        return false;
    }
    memcpy(entry->hash, known->hash, HASH_SIZE);
    return true;
}

static int64_t make_link(struct backup *backup, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    char target[4096];
    char there[4096];
    epio_vfs *to = epio_directory_vfs(backup->destination);
    int64_t result = epio_wait(
        epio_read_link(&op, epio_directory_vfs(backup->source), path, target, sizeof target));
    if (result >= 0 && epio_wait(epio_read_link(&op, to, path, there, sizeof there)) >= 0) {
        if (strcmp(target, there) == 0) {
            return 0;
        }
        result = epio_wait(epio_delete(&op, to, path, 0));
    }
    return result < 0 ? result : epio_wait(epio_symlink(&op, to, target, path, 0));
}

/* What is no file is made at once. True: it is a file, for a job. */
static bool needs_job(struct backup *backup, struct entry *entry)
{
    epio_op op = EPIO_OP_INIT;
    epio_vfs *to = epio_directory_vfs(backup->destination);
    int64_t result = 0;
    if (backup->source == NULL) {
        return true;
    }
    switch (entry->type) {
    case EPIO_TYPE_FILE:
        if (!is_unchanged(backup, entry)) {
            return true;
        }
        backup->unchanged++;
        backup->bytes += entry->bytes;
        return false;
    case EPIO_TYPE_DIRECTORY:
        result = epio_wait(epio_mkdir(&op, to, entry->path, EPIO_MKDIR_PARENTS));
        break;
    case EPIO_TYPE_LINK:
        result = make_link(backup, entry->path);
        break;
    default:
        fprintf(stderr, "backup: %s: neither file, directory nor link; left out\n", entry->path);
        break;
    }
    if (result < 0) {
        complain(backup, entry->path, result);
    }
    return false;
}

static struct job *idle_job(struct backup *backup)
{
    for (size_t i = 0; i < JOBS; i++) {
        if (backup->jobs[i].entry == NULL) {
            return &backup->jobs[i];
        }
    }
    return NULL;
}

static void start_jobs(struct backup *backup)
{
    struct job *job;
    if (backup->starts) {
        return; /* a job ended while the one that starts them waits, as for a directory */
    }
    backup->starts = true;
    while (interrupted == 0 && backup->next < backup->found.count &&
           (job = idle_job(backup)) != NULL) {
        struct entry *entry = &backup->found.list[backup->next++];
        job->entry = entry; /* it is taken, whatever runs meanwhile */
        if (!needs_job(backup, entry)) {
            job->entry = NULL;
            continue;
        }
        backup->running++;
        job->op.user = job;
        job->op.done = on_worked;
        epio_submit(epio_work(&job->op, epio_loop_vfs(backup->loop), work_on));
    }
    backup->starts = false;
}

/* ---- The bar ---------------------------------------------------------------- */

static void show(struct backup *backup)
{
    char bar[BAR_WIDTH + 1];
    uint64_t percent = backup->total != 0 ? backup->bytes * 100 / backup->total : 100;
    percent = percent < 100 ? percent : 100;
    for (unsigned i = 0; i < BAR_WIDTH; i++) {
        bar[i] = i * 100 < percent * BAR_WIDTH ? '#' : '-';
    }
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%s %3u %% %" PRIu64 " of %" PRIu64 " MiB", bar, (unsigned)percent,
            backup->bytes >> 20, backup->total >> 20);
    fflush(stderr);
}

static void on_timer(epio_op *op)
{
    struct backup *backup = op->user;
    if (op->result < 0) {
        return;
    }
    show(backup);
    epio_submit(epio_op_unref(epio_sleep(op, epio_loop_vfs(backup->loop), 100000000)));
}

/* ---- The whole --------------------------------------------------------------- */

static bool is_ours(const char *path)
{
    return strcmp(path, LIST) == 0 || strcmp(path, LOG) == 0;
}

static bool on_entries(epio_op *op, epio_walk_entry *entries, size_t count)
{
    struct backup *backup = op->user;
    for (size_t i = 0; i < count; i++) {
        const epio_info *info = entries[i].info;
        if (entries[i].error != 0) {
            complain(backup, entries[i].path, entries[i].error);
            continue;
        }
        if (info != NULL && info->device == backup->own_device &&
            info->id[0] == backup->own_id[0] && info->id[1] == backup->own_id[1]) {
            entries[i].enter = false;
            continue;
        }
        if (is_ours(entries[i].path)) {
            continue;
        }
        struct entry *entry = add_entry(&backup->found);
        entry->path = copy_text(entries[i].path);
        entry->type = entries[i].type;
        entry->bytes = info != NULL && entries[i].type == EPIO_TYPE_FILE ? info->bytes : 0;
        entry->modified = info != NULL ? info->modified : 0;
        backup->total += entry->bytes;
    }
    return interrupted == 0;
}

static int64_t find_all(struct backup *backup)
{
    epio_op op = EPIO_OP_INIT;
    epio_walk_options options = {
        .size = sizeof options, .flags = EPIO_WALK_STAT, .entries = on_entries};
    op.user = backup;
    int64_t result = epio_wait(epio_walk(&op, epio_directory_vfs(backup->source), ".", &options));
    /* A directory comes before what is in it: its path is the beginning of theirs. */
    sort(&backup->found);
    return result;
}

/* What is in the list, and no longer in the source. */
static void delete_others(struct backup *backup)
{
    epio_op op = EPIO_OP_INIT;
    for (size_t i = 0; i < backup->known.count; i++) {
        const char *path = backup->known.list[i].path;
        if (find(&backup->found, path) == NULL) {
            int64_t result =
                epio_wait(epio_delete(&op, epio_directory_vfs(backup->destination), path, 0));
            if (result < 0 && result != EPIO_ENOENT) {
                complain(backup, path, result);
            }
        }
    }
}

static int64_t open_directory(struct backup *backup, const char *path, epio_file **directory)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_wait(
        epio_open(&op, epio_loop_vfs(backup->loop), path, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY));
    *directory = op.file;
    return result;
}

static void close_file(epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    if (file != NULL) {
        (void)epio_wait(epio_close(&op, file));
    }
}

static int64_t open_log(struct backup *backup)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_wait(epio_open(&op, epio_directory_vfs(backup->destination), LOG,
                                         EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE));
    if (result < 0) {
        return result;
    }
    backup->log = op.file;
    result = epio_wait(epio_size(&op, backup->log));
    if (result > 0) {
        /* Half a line that a killed backup has left ends here. */
        backup->log_len = (uint64_t)result + 1;
        result = epio_wait(epio_write(&op, backup->log, "\n", 1, (uint64_t)result));
    }
    return result;
}

static int64_t prepare(struct backup *backup, const char *source, const char *destination)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    int64_t result = 0;
    if (source != NULL && (result = open_directory(backup, source, &backup->source)) < 0) {
        fprintf(stderr, "backup: %s: %s\n", source, epio_error_message(result));
        return result;
    }
    if (source != NULL) {
        result = epio_wait(
            epio_mkdir(&op, epio_loop_vfs(backup->loop), destination, EPIO_MKDIR_PARENTS));
    }
    if (result < 0 || (result = open_directory(backup, destination, &backup->destination)) < 0 ||
        (result = epio_wait(epio_file_stat(&op, backup->destination, &info))) < 0 ||
        (result = load_list(backup, LIST)) < 0 || (result = load_list(backup, LOG)) < 0 ||
        (source != NULL && (result = open_log(backup)) < 0)) {
        fprintf(stderr, "backup: %s: %s\n", destination, epio_error_message(result));
        return result;
    }
    sort_known(&backup->known);
    backup->own_device = info.device;
    backup->own_id[0] = info.id[0];
    backup->own_id[1] = info.id[1];
    return 0;
}

static void run_jobs(struct backup *backup)
{
    backup->timer.user = backup;
    backup->timer.done = on_timer;
    if (backup->shows) {
        epio_submit(
            epio_op_unref(epio_sleep(&backup->timer, epio_loop_vfs(backup->loop), 100000000)));
    }
    start_jobs(backup);
    while (backup->running != 0) {
        (void)epio_loop_poll(backup->loop, EPIO_FOREVER, 0);
    }
    epio_cancel(&backup->timer);
    while (epio_op_pending(&backup->timer)) {
        (void)epio_loop_poll(backup->loop, EPIO_FOREVER, 0);
    }
    if (backup->shows) {
        show(backup);
        fputc('\n', stderr);
    }
}

static int finish(struct backup *backup)
{
    int64_t result = 0;
    if (interrupted != 0) {
        fputs("backup: interrupted; run it again to go on\n", stderr);
        return INTERRUPTED;
    }
    if (backup->source == NULL) {
        printf("%" PRIu64 " files are as they were backed up, %" PRIu64 " are not\n",
               backup->unchanged, backup->errors);
        return backup->errors == 0 ? 0 : FAILED;
    }
    if (backup->deletes) {
        delete_others(backup);
    }
    result = save_list(backup);
    if (result < 0) {
        complain(backup, LIST, result);
    }
    printf("%" PRIu64 " files copied, %" PRIu64 " unchanged, %" PRIu64 " errors\n", backup->copied,
           backup->unchanged, backup->errors);
    return backup->errors == 0 ? 0 : FAILED;
}

static int run(struct backup *backup, const char *source, const char *destination)
{
    int status = FAILED;
    for (size_t i = 0; i < JOBS; i++) {
        backup->jobs[i].backup = backup;
        backup->jobs[i].buffer = must(malloc(PIECE));
    }
    if (prepare(backup, source, destination) == 0) {
        int64_t result = 0;
        if (source != NULL) {
            result = find_all(backup);
        } else {
            backup->found = backup->known;
            backup->known = (struct entries){0};
            for (size_t i = 0; i < backup->found.count; i++) {
                backup->total += backup->found.list[i].bytes;
            }
        }
        if (result < 0 && interrupted == 0) {
            complain(backup, source, result);
        } else {
            run_jobs(backup);
            status = finish(backup);
        }
    }
    close_file(backup->log);
    close_file(backup->source);
    close_file(backup->destination);
    for (size_t i = 0; i < JOBS; i++) {
        free(backup->jobs[i].buffer);
    }
    free_entries(&backup->known);
    free_entries(&backup->found);
    return status;
}

/* ---- Arguments ---------------------------------------------------------------- */

static int print_help(void)
{
    puts("Usage: backup [OPTION]... SOURCE DESTINATION\n"
         "       backup --verify DESTINATION\n"
         "\n"
         "Copies the directory SOURCE with all that is in it to DESTINATION, which is made if it\n"
         "is not there. What is there already and has not changed is not copied again; a backup\n"
         "that was interrupted or killed goes on where it was. The checksum of each file is in\n"
         "DESTINATION/" LIST ".\n"
         "\n"
         "  --verify    reads all files of DESTINATION and compares their checksums\n"
         "  --delete    removes from DESTINATION what is no longer in SOURCE\n"
         "  --fast      does not wait until each file is durable\n"
         "  --progress  shows a bar, as it does on a terminal\n"
         "  --help      this text");
    return 0;
}

static int refuse(const char *what, const char *argument)
{
    fprintf(stderr, "backup: %s%s; see backup --help\n", what, argument);
    return USAGE;
}

static bool is_terminal(void)
{
#ifdef _WIN32
    return _isatty(_fileno(stderr)) != 0;
#else
    return isatty(fileno(stderr)) == 1;
#endif
}

int main(int argc, char **argv)
{
    static struct backup backup;
    const char *paths[2];
    int count = 0;
    bool verifies = false;
    backup.shows = is_terminal();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return print_help();
        }
        if (strcmp(argv[i], "--verify") == 0) {
            verifies = true;
        } else if (strcmp(argv[i], "--delete") == 0) {
            backup.deletes = true;
        } else if (strcmp(argv[i], "--fast") == 0) {
            backup.flags = EPIO_SAVE_NO_DURABLE;
        } else if (strcmp(argv[i], "--progress") == 0) {
            backup.shows = true;
        } else if (argv[i][0] == '-') {
            return refuse("unknown option ", argv[i]);
        } else if (count == 2) {
            return refuse("too many directories: ", argv[i]);
        } else {
            paths[count++] = argv[i];
        }
    }
    if (count != (verifies ? 1 : 2)) {
        return refuse(verifies ? "--verify takes one directory" : "two directories are needed", "");
    }
    if (sodium_init() < 0) {
        fputs("backup: libsodium does not start\n", stderr);
        return FAILED;
    }
    int error = epio_loop_create(&backup.loop, NULL);
    if (error != 0) {
        fprintf(stderr, "backup: no loop: %s\n", epio_error_message(error));
        return FAILED;
    }
    (void)signal(SIGINT, on_signal);
    int status = run(&backup, verifies ? NULL : paths[0], verifies ? paths[0] : paths[1]);
    epio_loop_destroy(backup.loop);
    return status;
}
