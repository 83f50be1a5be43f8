/* Backs a directory up into another, with a checksum of each file, and verifies what is there.
 *
 *     backup SOURCE DESTINATION
 *     backup --verify [SOURCE] DESTINATION
 *
 * Both directories are walked first, and then compared name by name. Files are copied by a few jobs
 * at once, each of which copies one file and hashes the copy on a worker thread; the loop's own
 * thread decides, does all the rest, and draws the bar. A file of the copy is whole or not there,
 * and a list in the destination names those that are there, with their checksums: a backup that was
 * killed goes on where it was. What is no longer in the source is removed last, and only if all of
 * the source was backed up. */
#if !defined(_WIN32) && !defined(__APPLE__)
#define _XOPEN_SOURCE 700 /* for realpath */
#endif

#include "nested.h"

#include <epio/epio.h>

#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <io.h>
#define SEPARATORS "/\\"
#else
#include <unistd.h>
#define SEPARATORS "/"
#endif

#define JOBS 8
#define PIECE ((size_t)512 << 10)
#define LIST ".epio-backup"    /* of a backup that is complete */
#define LOG ".epio-backup.log" /* what was added since */
#define NEW ".epio-backup.new" /* a file whose place a directory still has */
#define LIST_FORMAT "epio-backup list 1"
#define LOG_FORMAT "epio-backup log 1"
#define HASH_SIZE 32
#define BAR_WIDTH 30

/* Exit statuses. */
#define FAILED 1
#define USAGE 2
#define INTERRUPTED 130

/* Of the source, of the destination, or of the list. */
struct entry {
    char *path;
    epio_info info; /* in the list: size and time of the source's file */
    unsigned char hash[HASH_SIZE];
    size_t line; /* of the list and the log */
    bool gone;   /* removed, or replaced by something else */
    bool unread; /* a directory that could not be read: its backup stays as it is */
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
    const struct entry *known; /* the copy is compared with this first; NULL: there is none */
    const char *to;            /* its path, or that of `place` */
    char place[sizeof NEW + 2];
    bool same; /* nothing had to be copied */
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
    epio_info top;        /* the source itself */
    char *name;           /* the source's full path */
    char *listed;         /* that of the list */
    bool has_list;        /* the last backup came to its end */
    bool has_log;         /* and one after it did not */
    bool unseen;          /* there is more in the destination than `there` */
    bool keeps;           /* not all of the source was backed up: nothing is removed */
    bool leftovers;       /* of a backup that was killed */
    struct entries known; /* these are sorted by path */
    struct entries found; /* in the source, */
    struct entries there; /* in the destination */
    struct entries unread;
    size_t next;          /* of `found` to be worked on */
    const char *left_out; /* a directory that could not be made: all in it goes with it */
    struct job jobs[JOBS];
    size_t running;
    epio_op timer;
    uint64_t bytes; /* worked on; of the loop's thread */
    uint64_t total;
    uint64_t copied;
    uint64_t unchanged;
    uint64_t removed;
    uint64_t errors;
    epio_copy_options copying;
    bool starts; /* start_jobs is running */
    bool shows;
    bool fast;
    bool deletes;
    bool verifies;
    bool renews;
};

/* The destination takes "a" and "A" for the same. */
static bool folds;

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1; /* looked at whenever a job ends, or the timer comes */
}

/* ---- Small things --------------------------------------------------------- */

static void say(struct backup *backup, const char *path, const char *text)
{
    fprintf(stderr, "%sbackup: %s: %s\n", backup->shows ? "\r\033[K" : "", path, text);
}

static void complain(struct backup *backup, const char *path, int64_t error)
{
    say(backup, path, epio_error_message(error));
    backup->errors++;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
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

static int rank(char c)
{
    c = folds && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    return c == '\0' ? 0 : c == '/' ? 1 : (unsigned char)c + 1;
}

/* A directory, then all that is in it, then what comes behind it. */
static int compare(const char *one, const char *other)
{
    for (; *one != '\0' && rank(*one) == rank(*other); one++, other++) {
    }
    return rank(*one) - rank(*other);
}

static int by_path(const void *one, const void *other)
{
    return compare(((const struct entry *)one)->path, ((const struct entry *)other)->path);
}

static bool is_in(const char *path, const char *top)
{
    for (; *top != '\0' && rank(*path) == rank(*top); path++, top++) {
    }
    return *top == '\0' && *path == '/';
}

static struct entry *find(const struct entries *entries, const char *path)
{
    struct entry key = {.path = (char *)(uintptr_t)path};
    if (entries->count == 0) {
        return NULL;
    }
    struct entry *entry = bsearch(&key, entries->list, entries->count, sizeof key, by_path);
    return entry != NULL && !entry->gone ? entry : NULL;
}

static void mark_gone(struct entries *entries, const char *path)
{
    for (size_t i = 0; i < entries->count; i++) {
        const char *other = entries->list[i].path;
        entries->list[i].gone |= compare(other, path) == 0 || is_in(other, path);
    }
}

static epio_vfs *vfs_of(epio_file *directory)
{
    return epio_directory_vfs(directory);
}

static char *full_path(const char *path)
{
#ifdef _WIN32
    char *full = _fullpath(NULL, path, 0);
#else
    char *full = realpath(path, NULL);
#endif
    return full != NULL ? full : copy_text(path);
}

/* What this program makes, at the top of a destination. */
static bool is_ours(const char *path)
{
    return strcmp(path, LIST) == 0 || strcmp(path, LOG) == 0 ||
           (strncmp(path, NEW, sizeof NEW - 1) == 0 && strchr(path, '/') == NULL);
}

/* ---- The list ---------------------------------------------------------------
 *
 *     epio-backup list 1           or "log": without the last line
 *     source PATH
 *     HASH SIZE TIME PATH          of each file
 *     end COUNT HASH               of all that is before it */

/* A name may have any byte: those that end a line, "%" itself, and a space at the beginning are
 * written as %XX. */
static char *escape(const char *path)
{
    char *text = must(malloc(strlen(path) * 3 + 1));
    char *to = text;
    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;
        if (c < ' ' || c == '%' || (c == ' ' && to == text)) {
            to += sprintf(to, "%%%02X", c);
        } else {
            *to++ = (char)c;
        }
    }
    *to = '\0';
    return text;
}

static bool unescape(char *path)
{
    static const char digits[] = "0123456789ABCDEF";
    char *to = path;
    while (*path != '\0') {
        if (*path != '%') {
            *to++ = *path++;
            continue;
        }
        const char *high = path[1] != '\0' ? strchr(digits, path[1]) : NULL;
        const char *low = high != NULL && path[2] != '\0' ? strchr(digits, path[2]) : NULL;
        if (low == NULL) {
            return false;
        }
        *to++ = (char)((high - digits) * 16 + (low - digits));
        path += 3;
    }
    *to = '\0';
    return true;
}

/* It names what is in directories that may be closed to others. */
static const epio_save_options list_options = {.size = sizeof list_options, .permissions = 0600};

struct text {
    char *data;
    size_t len;
    size_t room;
};

static void append(struct text *text, const char *more)
{
    size_t len = strlen(more);
    while (text->len + len + 1 > text->room) {
        text->room = text->room != 0 ? text->room * 2 : 4096;
        text->data = must(realloc(text->data, text->room));
    }
    memcpy(text->data + text->len, more, len + 1);
    text->len += len;
}

static char *make_line(const struct entry *entry)
{
    char hex[HASH_SIZE * 2 + 1];
    char *path = escape(entry->path);
    size_t room = sizeof hex + 48 + strlen(path);
    char *line = must(malloc(room));
    sodium_bin2hex(hex, sizeof hex, entry->hash, HASH_SIZE);
    snprintf(line, room, "%s %" PRIu64 " %" PRId64 " %s\n", hex, entry->info.bytes,
             entry->info.modified, path);
    free(path);
    return line;
}

static bool take_line(struct entries *entries, char *line)
{
    struct entry entry = {.info = {.type = EPIO_TYPE_FILE}};
    int path = 0;
    size_t len = 0;
    if (sscanf(line, "%*64[0-9a-f] %" SCNu64 " %" SCNd64 " %n", &entry.info.bytes,
               &entry.info.modified, &path) != 2 ||
        path == 0 || line[path] == '\0' ||
        sodium_hex2bin(entry.hash, HASH_SIZE, line, HASH_SIZE * 2, NULL, &len, NULL) != 0 ||
        len != HASH_SIZE || !unescape(line + path)) {
        return false;
    }
    entry.path = copy_text(line + path);
    *add_entry(entries) = entry;
    return true;
}

static void hash_text(char *hex, const char *text, size_t len)
{
    unsigned char hash[HASH_SIZE];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, len, NULL, 0);
    sodium_bin2hex(hex, HASH_SIZE * 2 + 1, hash, sizeof hash);
}

/* The beginning of the lines; NULL: it is none of ours. */
static char *take_header(struct backup *backup, char *text, const char *format)
{
    size_t len = strlen(format);
    char *source = text + len + 1;
    char *end;
    if (strncmp(text, format, len) != 0 || text[len] != '\n' ||
        strncmp(source, "source ", 7) != 0 || (end = strchr(source, '\n')) == NULL) {
        return NULL;
    }
    *end = '\0';
    free(backup->listed);
    backup->listed = copy_text(source + 7);
    return unescape(backup->listed) ? end + 1 : NULL;
}

/* All of it is as it was written, or it is damaged. */
static bool take_list(struct backup *backup, char *text, size_t len)
{
    char hex[HASH_SIZE * 2 + 1];
    char expected[128];
    char *last = text + len;
    char *line = NULL;
    char *end;
    if (len == 0 || memchr(text, '\0', len) != NULL || last[-1] != '\n') {
        return false;
    }
    for (last--; last > text && last[-1] != '\n'; last--) {
    }
    hash_text(hex, text, (size_t)(last - text));
    if ((line = take_header(backup, text, LIST_FORMAT)) == NULL || line > last) {
        return false;
    }
    for (; line < last; line = end + 1) {
        end = strchr(line, '\n');
        *end = '\0';
        if (!take_line(&backup->known, line)) {
            return false;
        }
    }
    snprintf(expected, sizeof expected, "end %" PRIu64 " %s\n", (uint64_t)backup->known.count, hex);
    return strcmp(last, expected) == 0;
}

/* A killed backup has left lines that are not there, and half a one at the end. */
static bool take_log(struct backup *backup, char *text, size_t len)
{
    char *line = len != 0 ? take_header(backup, text, LOG_FORMAT) : NULL;
    char *end;
    if (line == NULL) {
        return false;
    }
    while ((end = memchr(line, '\n', len - (size_t)(line - text))) != NULL) {
        for (; *line == '\0'; line++) {
        }
        *end = '\0';
        if (strlen(line) == (size_t)(end - line)) {
            (void)take_line(&backup->known, line); /* or the file is copied again */
        }
        line = end + 1;
    }
    return true;
}

static int64_t load_list(struct backup *backup, const char *name,
                         bool (*take)(struct backup *, char *, size_t), bool *there)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    int64_t result = epio_wait(epio_load(&op, vfs_of(backup->destination), name, &buffer, NULL));
    *there = result != EPIO_ENOENT;
    if (result >= 0 && !backup->renews && !take(backup, buffer.data, (size_t)result)) {
        result = EPIO_ECORRUPT;
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
        if (last == NULL || compare(last->path, known->list[i].path) != 0) {
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

static void append_header(struct text *text, const struct backup *backup, const char *format)
{
    char *name = escape(backup->name);
    append(text, format);
    append(text, "\nsource ");
    append(text, name);
    append(text, "\n");
    free(name);
}

static void append_entry(struct text *text, const struct entry *entry)
{
    char *line = make_line(entry);
    append(text, line);
    free(line);
}

/* What was backed up before, and is still there: a file that could not be read this time, or is no
 * longer in the source. */
static bool is_kept(struct backup *backup, const struct entry *known)
{
    const struct entry *found = find(&backup->found, known->path);
    const struct entry *there = find(&backup->there, known->path);
    bool is_listed = found != NULL && found->info.type == EPIO_TYPE_FILE;
    return !known->gone && !is_listed &&
           (there != NULL ? there->info.type == EPIO_TYPE_FILE : backup->unseen);
}

static int64_t save_list(struct backup *backup)
{
    epio_op op = EPIO_OP_INIT;
    epio_vfs *vfs = vfs_of(backup->destination);
    struct text text = {0};
    char hex[HASH_SIZE * 2 + 1];
    char end[32];
    uint64_t count = 0;
    append_header(&text, backup, LIST_FORMAT);
    for (size_t i = 0; i < backup->found.count; i++) {
        if (backup->found.list[i].info.type == EPIO_TYPE_FILE) {
            append_entry(&text, &backup->found.list[i]);
            count++;
        }
    }
    for (size_t i = 0; i < backup->known.count; i++) {
        if (is_kept(backup, &backup->known.list[i])) {
            append_entry(&text, &backup->known.list[i]);
            count++;
        }
    }
    hash_text(hex, text.data, text.len);
    snprintf(end, sizeof end, "end %" PRIu64 " ", count);
    append(&text, end);
    append(&text, hex);
    append(&text, "\n");
    int64_t result = epio_wait(epio_save(&op, vfs, LIST, text.data, text.len, &list_options));
    if (result >= 0) {
        result = epio_wait(epio_delete(&op, vfs, LOG, 0));
        result = result == EPIO_ENOENT ? 0 : result;
    }
    free(text.data);
    return result;
}

/* Begins the log, with what is known from one that a killed backup has left. */
static int64_t open_log(struct backup *backup)
{
    epio_op op = EPIO_OP_INIT;
    epio_vfs *vfs = vfs_of(backup->destination);
    epio_info info = {.size = sizeof info};
    struct text text = {0};
    append_header(&text, backup, LOG_FORMAT);
    for (size_t i = 0; backup->has_log && i < backup->known.count; i++) {
        append_entry(&text, &backup->known.list[i]);
    }
    backup->log_len = text.len;
    int64_t result = epio_wait(epio_save(&op, vfs, LOG, text.data, text.len, &list_options));
    free(text.data);
    if (result >= 0 && backup->renews) {
        result = epio_wait(epio_delete(&op, vfs, LIST, 0));
        result = result == EPIO_ENOENT ? 0 : result;
    }
    if (result >= 0) {
        result = epio_wait(epio_open(&op, vfs, LOG, EPIO_OPEN_READ | EPIO_OPEN_WRITE));
        backup->log = op.file;
    }
    folds = result >= 0 &&
            epio_wait(epio_stat(&op, vfs, ".EPIO-BACKUP.LOG", &info, EPIO_STAT_NOFOLLOW)) >= 0;
    return result;
}

/* ---- One file, on a worker thread ----------------------------------------- */

/* Reads a file of the destination to its end, and hashes it. */
static int64_t hash_file(struct job *job, const char *path)
{
    crypto_generichash_state state;
    epio_op op = EPIO_OP_INIT;
    uint64_t at = 0;
    int64_t len =
        epio_perform(epio_open(&op, vfs_of(job->backup->destination), path,
                               EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW | EPIO_OPEN_SEQUENTIAL));
    if (len < 0) {
        return len;
    }
    epio_file *file = op.file;
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    while ((len = epio_perform(epio_read(&op, file, job->buffer, PIECE, at))) > 0) {
        crypto_generichash_update(&state, job->buffer, (size_t)len);
        at += (uint64_t)len;
    }
    crypto_generichash_final(&state, job->hash, HASH_SIZE);
    (void)epio_perform(epio_close(&op, file));
    return len < 0 ? len : (int64_t)at;
}

static int64_t work_on(epio_op *outer)
{
    struct job *job = outer->user;
    struct backup *backup = job->backup;
    epio_op op = EPIO_OP_INIT;
    int64_t result = 0;
    job->same = false;
    if (job->known != NULL) {
        result = hash_file(job, job->to);
        job->same = result >= 0 && (uint64_t)result == job->known->info.bytes &&
                    memcmp(job->known->hash, job->hash, HASH_SIZE) == 0;
    }
    if (job->same || backup->source == NULL) {
        return result;
    }
    /* It keeps the metadata, and is never open to more than the source's file is. */
    result = epio_perform(
        epio_copy(&op, vfs_of(backup->source), job->entry->path, job->to, &backup->copying));
    return result < 0 ? result : hash_file(job, job->to);
}

/* ---- Permissions and owners -------------------------------------------------- */

static bool same_owner(const epio_info *source, const epio_info *there)
{
    return (source->known & there->known & EPIO_INFO_OWNER) == 0 ||
           (source->user == there->user && source->group == there->group);
}

/* Without the owner or group that it had, nobody gets more than he had: as epio_copy has it. */
static uint32_t mode_for(const epio_info *source, const epio_info *there)
{
    uint32_t owner = source->mode >> 6 & 7u;
    uint32_t group = source->mode >> 3 & 7u;
    uint32_t others = source->mode & 7u;
    if ((source->known & there->known & EPIO_INFO_MODE) == 0) {
        return there->mode;
    }
    if (same_owner(source, there)) {
        return source->mode;
    }
    if (source->user != there->user) {
        group &= owner;
        others &= owner;
    }
    if (source->group != there->group) {
        others &= group;
        group = others;
    }
    return (source->mode & 01000u) | owner << 6 | group << 3 | others;
}

/* Of what is there as it should be, but for these. */
static void set_permissions(struct backup *backup, const char *path, const epio_info *source,
                            const epio_info *there)
{
    epio_op op = EPIO_OP_INIT;
    epio_info now = *there;
    epio_vfs *vfs = vfs_of(backup->destination);
    int64_t result = 0;
    if (!same_owner(source, there) &&
        epio_wait(epio_set_owner(&op, vfs, path, source->user, source->group, EPIO_SET_NOFOLLOW)) ==
            0) {
        now.user = source->user;
        now.group = source->group;
        /* It may have cost some of the mode. */
        result = epio_wait(epio_set_mode(&op, vfs, path, mode_for(source, &now), 0));
    } else if (mode_for(source, there) != there->mode) {
        result = epio_wait(epio_set_mode(&op, vfs, path, mode_for(source, there), 0));
    }
    if (result < 0) {
        complain(backup, path, result);
    }
}

/* Before there is anything new in a directory it is open to no more than the source's; its owner
 * can work in it until the end. */
static void narrow(struct backup *backup, const char *path, const epio_info *source,
                   const epio_info *there)
{
    epio_op op = EPIO_OP_INIT;
    uint32_t mode = (there->mode & source->mode) | 0700u;
    if ((source->known & there->known & EPIO_INFO_MODE) != 0 && mode != there->mode &&
        ((there->mode & ~source->mode) != 0 || (there->mode & 0700u) != 0700u)) {
        int64_t result = epio_wait(epio_set_mode(&op, vfs_of(backup->destination), path, mode, 0));
        if (result < 0) {
            complain(backup, path, result);
        }
    }
}

/* When all that is in it is there. */
static void finish_directory(struct backup *backup, const char *path, const epio_info *source)
{
    epio_op op = EPIO_OP_INIT;
    epio_info there = {.size = sizeof there};
    epio_info wanted = *source;
    if (epio_wait(epio_stat(&op, vfs_of(backup->destination), path, &there, EPIO_STAT_NOFOLLOW)) <
            0 ||
        there.type != EPIO_TYPE_DIRECTORY) {
        return; /* which has been said */
    }
    if (epio_wait(epio_get_xattr(&op, vfs_of(backup->source), path, "system.posix_acl_access", NULL,
                                 0, 0)) > 0) {
        wanted.mode &= ~070u; /* with an ACL these are not the group's */
    }
    set_permissions(backup, path, &wanted, &there);
}

static void finish_directories(struct backup *backup)
{
    for (size_t i = backup->found.count; i-- > 0;) {
        struct entry *entry = &backup->found.list[i];
        if (entry->info.type == EPIO_TYPE_DIRECTORY && i < backup->next && !entry->unread) {
            finish_directory(backup, entry->path, &entry->info);
        }
    }
    finish_directory(backup, ".", &backup->top);
}

/* ---- Removing ------------------------------------------------------------------ */

static bool is_to_go(struct backup *backup, const struct entry *there, const char *top)
{
    if (there->gone) {
        return false;
    }
    if (top != NULL) {
        return compare(there->path, top) == 0 || is_in(there->path, top);
    }
    return find(&backup->found, there->path) == NULL;
}

/* What is at this path, with all that is in it; NULL: all that is not in the source. Its own list
 * of what is there says what that is: what others have made meanwhile stays. */
static int64_t remove_all(struct backup *backup, const char *top)
{
    epio_op op = EPIO_OP_INIT;
    epio_vfs *vfs = vfs_of(backup->destination);
    int64_t failed = 0;
    for (size_t i = 0; i < backup->there.count; i++) {
        const struct entry *there = &backup->there.list[i];
        if (there->info.type == EPIO_TYPE_DIRECTORY && (there->info.mode & 0700u) != 0700u &&
            (there->info.known & EPIO_INFO_MODE) != 0 && is_to_go(backup, there, top)) {
            (void)epio_wait(epio_set_mode(&op, vfs, there->path, there->info.mode | 0700u, 0));
        }
    }
    for (size_t i = backup->there.count; i-- > 0;) {
        struct entry *there = &backup->there.list[i];
        if (!is_to_go(backup, there, top)) {
            continue;
        }
        int64_t result = there->info.type == EPIO_TYPE_DIRECTORY
                             ? epio_wait(epio_rmdir(&op, vfs, there->path, 0))
                             : epio_wait(epio_delete(&op, vfs, there->path, 0));
        if (result < 0 && result != EPIO_ENOENT) {
            if (result != EPIO_ENOTEMPTY || failed == 0) {
                complain(backup, there->path, result);
            }
            failed = result;
            continue;
        }
        backup->removed += result >= 0 ? 1 : 0;
        there->gone = true;
        struct entry *known = find(&backup->known, there->path);
        if (known != NULL) {
            known->gone = true;
        }
    }
    return failed;
}

/* ---- The jobs, on the loop's thread ---------------------------------------- */

static void start_jobs(struct backup *backup);

static void fail(struct backup *backup, struct entry *entry, const char *text)
{
    say(backup, entry->path, text);
    if (entry->info.type == EPIO_TYPE_DIRECTORY) {
        backup->left_out = entry->path;
    }
    entry->info.type = EPIO_TYPE_UNKNOWN; /* not in the list */
    backup->errors++;
}

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

/* The copy is whole: only now the directory goes whose place it takes. */
static int64_t take_place(struct job *job)
{
    epio_op op = EPIO_OP_INIT;
    struct backup *backup = job->backup;
    epio_vfs *vfs = vfs_of(backup->destination);
    int64_t result = remove_all(backup, job->entry->path);
    if (result >= 0) {
        result = epio_wait(epio_rename(&op, vfs, job->to, job->entry->path, 0));
    }
    if (result < 0) {
        (void)epio_wait(epio_delete(&op, vfs, job->to, 0));
    }
    return result;
}

static void on_worked(epio_op *op)
{
    struct job *job = op->user;
    struct backup *backup = job->backup;
    struct entry *entry = job->entry;
    int64_t result = op->result;
    backup->bytes += entry->info.bytes;
    if (result >= 0 && job->to == job->place) {
        int64_t placed = take_place(job);
        result = placed < 0 ? placed : result;
    }
    if (result < 0) {
        fail(backup, entry, epio_error_message(result));
        backup->keeps = true;
    } else if (job->same) {
        memcpy(entry->hash, job->hash, HASH_SIZE);
        backup->unchanged++;
    } else if (backup->source == NULL) {
        say(backup, entry->path, "differs from what was backed up");
        backup->errors++;
    } else {
        if (job->known != NULL) {
            say(backup, entry->path, "differed from what was backed up; copied again");
        }
        entry->info.bytes = (uint64_t)result;
        memcpy(entry->hash, job->hash, HASH_SIZE);
        backup->copied++;
        log_copy(job);
        return;
    }
    job_ended(job);
}

/* The destination's file system may keep less of a time: hundreds of nanoseconds, or seconds. */
static bool same_time(int64_t source, int64_t there)
{
    static const int64_t units[] = {1, 100, 1000000000, 2000000000};
    int64_t less = source - there;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (less >= 0 && less < units[i] && there % units[i] == 0) {
            return true;
        }
    }
    return false;
}

/* The list's entry, if all is as the last backup has left it. */
static const struct entry *unchanged(struct backup *backup, const struct entry *entry,
                                     const struct entry *there)
{
    const struct entry *known = find(&backup->known, entry->path);
    bool same = known != NULL && there != NULL && there->info.type == EPIO_TYPE_FILE &&
                known->info.bytes == entry->info.bytes && known->info.bytes == there->info.bytes &&
                known->info.modified == entry->info.modified &&
                same_time(known->info.modified, there->info.modified);
    return same ? known : NULL;
}

/* True: there is nothing in its place, or what a file or link can replace by itself. */
static bool clear_place(struct backup *backup, struct entry *entry, const struct entry *there)
{
    epio_op op = EPIO_OP_INIT;
    bool is_directory = entry->info.type == EPIO_TYPE_DIRECTORY;
    if (there == NULL || there->info.type == entry->info.type) {
        return true;
    }
    if (there->info.type == EPIO_TYPE_DIRECTORY && !backup->deletes) {
        fail(backup, entry, "there is a directory in its place; --delete removes it");
        return false;
    }
    if ((there->info.type == EPIO_TYPE_DIRECTORY || is_directory) && backup->keeps) {
        fail(backup, entry, "something else is in its place, and stays after these errors");
        return false;
    }
    if (there->info.type == EPIO_TYPE_DIRECTORY) {
        return entry->info.type == EPIO_TYPE_FILE || remove_all(backup, entry->path) >= 0;
    }
    if (entry->info.type == EPIO_TYPE_FILE &&
        (there->info.type == EPIO_TYPE_FILE || there->info.type == EPIO_TYPE_LINK)) {
        return true;
    }
    int64_t result = epio_wait(epio_delete(&op, vfs_of(backup->destination), there->path, 0));
    if (result < 0 && result != EPIO_ENOENT) {
        fail(backup, entry, epio_error_message(result));
        return false;
    }
    mark_gone(&backup->there, there->path);
    mark_gone(&backup->known, entry->path);
    return true;
}

static int64_t make_link(struct backup *backup, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    char target[4096];
    char there[4096];
    epio_vfs *to = vfs_of(backup->destination);
    int64_t result =
        epio_wait(epio_read_link(&op, vfs_of(backup->source), path, target, sizeof target));
    if (result >= 0 && epio_wait(epio_read_link(&op, to, path, there, sizeof there)) >= 0) {
        if (strcmp(target, there) == 0) {
            return 0;
        }
        result = epio_wait(epio_delete(&op, to, path, 0));
    }
    return result < 0 ? result : epio_wait(epio_symlink(&op, to, target, path, 0));
}

static int64_t make_directory(struct backup *backup, const struct entry *entry,
                              const struct entry *there)
{
    epio_op op = EPIO_OP_INIT;
    if (entry->unread) {
        return 0;
    }
    if (there != NULL && !there->gone) {
        narrow(backup, entry->path, &entry->info, &there->info);
        return 0;
    }
    return epio_wait(epio_mkdir(&op, vfs_of(backup->destination), entry->path,
                                EPIO_MKDIR_PARENTS | EPIO_OPEN_PERMISSIONS(0700)));
}

/* True: it is a file to be copied. */
static bool needs_copy(struct backup *backup, struct job *job, const struct entry *there)
{
    struct entry *entry = job->entry;
    const struct entry *known = unchanged(backup, entry, there);
    bool has_place = there == NULL || there->info.type != EPIO_TYPE_DIRECTORY;
    job->to = entry->path;
    job->known = backup->verifies ? known : NULL;
    if (!has_place) {
        snprintf(job->place, sizeof job->place, "%s%u", NEW, (unsigned)(job - backup->jobs));
        job->to = job->place;
    }
    if (known == NULL) {
        return true;
    }
    set_permissions(backup, entry->path, &entry->info, &there->info);
    if (backup->verifies) {
        return true;
    }
    memcpy(entry->hash, known->hash, HASH_SIZE);
    backup->unchanged++;
    backup->bytes += entry->info.bytes;
    return false;
}

/* What is no file is made at once. True: it is a file, for a job. */
static bool needs_job(struct backup *backup, struct job *job)
{
    struct entry *entry = job->entry;
    int64_t result = 0;
    if (backup->source == NULL) {
        job->to = entry->path;
        job->known = entry;
        return true;
    }
    const struct entry *there = find(&backup->there, entry->path);
    uint32_t type = entry->info.type;
    if (type != EPIO_TYPE_FILE && type != EPIO_TYPE_DIRECTORY && type != EPIO_TYPE_LINK) {
        say(backup, entry->path, "neither file, directory nor link; left out");
        return false;
    }
    if (backup->left_out != NULL && is_in(entry->path, backup->left_out)) {
        entry->info.type = EPIO_TYPE_UNKNOWN;
        return false;
    }
    if (!clear_place(backup, entry, there)) {
        return false;
    }
    if (type == EPIO_TYPE_FILE) {
        return needs_copy(backup, job, there);
    }
    result = type == EPIO_TYPE_DIRECTORY ? make_directory(backup, entry, there)
                                         : make_link(backup, entry->path);
    if (result < 0) {
        fail(backup, entry, epio_error_message(result));
        backup->keeps = true;
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
        if (!needs_job(backup, job)) {
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

/* ---- The two directories --------------------------------------------------------- */

static bool on_found(epio_op *op, epio_walk_entry *entries, size_t count)
{
    struct backup *backup = op->user;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].error != 0 || entries[i].info == NULL) {
            complain(backup, entries[i].path, entries[i].error);
            add_entry(&backup->unread)->path = copy_text(entries[i].path);
            backup->keeps = true;
        } else if (!is_ours(entries[i].path)) {
            struct entry *entry = add_entry(&backup->found);
            entry->path = copy_text(entries[i].path);
            entry->info = *entries[i].info;
            entry->info.bytes = entries[i].type == EPIO_TYPE_FILE ? entry->info.bytes : 0;
            backup->total += entry->info.bytes;
        }
    }
    return interrupted == 0;
}

static bool on_there(epio_op *op, epio_walk_entry *entries, size_t count)
{
    struct backup *backup = op->user;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].error != 0 || entries[i].info == NULL) {
            backup->unseen = true;
            if (backup->deletes) {
                complain(backup, entries[i].path, entries[i].error);
            }
        } else if (is_ours(entries[i].path)) {
            backup->leftovers |= strncmp(entries[i].path, NEW, sizeof NEW - 1) == 0;
        } else {
            struct entry *entry = add_entry(&backup->there);
            entry->path = copy_text(entries[i].path);
            entry->info = *entries[i].info;
        }
    }
    return interrupted == 0;
}

static int64_t walk(struct backup *backup, epio_file *directory,
                    bool (*entries)(epio_op *, epio_walk_entry *, size_t))
{
    epio_op op = {.user = backup};
    epio_walk_options options = {
        .size = sizeof options, .flags = EPIO_WALK_STAT, .entries = entries};
    int64_t result = epio_wait(epio_walk(&op, vfs_of(directory), ".", &options));
    return interrupted != 0 ? 0 : result;
}

/* The nearest directory above the path, or the path itself, that is there. */
static char *existing(struct backup *backup, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    char *text = copy_text(path);
    while (epio_wait(epio_stat(&op, epio_loop_vfs(backup->loop), text, &info, 0)) < 0) {
        size_t len = strlen(text);
        for (; len > 0 && strchr(SEPARATORS, text[len - 1]) == NULL; len--) {
        }
        for (; len > 1 && strchr(SEPARATORS, text[len - 1]) != NULL; len--) {
        }
        if (len == 0 || len == strlen(text)) {
            free(text);
            return copy_text(".");
        }
        text[len] = '\0';
    }
    return text;
}

static int64_t open_directory(struct backup *backup, const char *path, epio_file **directory,
                              epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_wait(epio_open(&op, epio_loop_vfs(backup->loop), path,
                                         EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH));
    *directory = op.file;
    *info = (epio_info){.size = sizeof *info};
    return result < 0 ? result : epio_wait(epio_file_stat(&op, *directory, info));
}

static void close_file(epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    if (file != NULL) {
        (void)epio_wait(epio_close(&op, file));
    }
}

static int open_both(struct backup *backup, const char *source, const char *destination)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    int64_t result = 0;
    if (source != NULL) {
        if ((result = open_directory(backup, source, &backup->source, &backup->top)) < 0) {
            complain(backup, source, result);
            return FAILED;
        }
        char *near = existing(backup, destination);
        bool inside = is_below(backup->loop, near, &backup->top);
        free(near);
        if (!inside) {
            result = epio_wait(epio_mkdir(&op, epio_loop_vfs(backup->loop), destination,
                                          EPIO_MKDIR_PARENTS | EPIO_OPEN_PERMISSIONS(0700)));
            result = result == EPIO_EEXIST ? 0 : result; /* the open says what it is */
        }
        if (inside ||
            (result >= 0 &&
             epio_wait(epio_stat(&op, epio_loop_vfs(backup->loop), destination, &info, 0)) >= 0 &&
             is_below(backup->loop, source, &info))) {
            fputs("backup: SOURCE and DESTINATION are the same, or one is in the other\n", stderr);
            return USAGE;
        }
        backup->name = full_path(source);
    }
    if (result < 0 ||
        (result = open_directory(backup, destination, &backup->destination, &info)) < 0) {
        complain(backup, destination, result);
        return FAILED;
    }
    if (source != NULL) {
        narrow(backup, ".", &backup->top, &info);
    }
    return 0;
}

/* True: it may go on with the list that is there. */
static bool check_list(struct backup *backup, const char *destination)
{
    bool is_backup = backup->has_list || backup->has_log;
    if (backup->source == NULL && !backup->has_list) {
        say(backup, destination,
            is_backup ? "the backup was interrupted; run it again to go on" : "no backup here");
        return false;
    }
    if (backup->source == NULL && backup->has_log) {
        say(backup, destination, "the last backup was interrupted; run it again to go on");
    }
    if (backup->source != NULL && !backup->renews && is_backup &&
        strcmp(backup->listed, backup->name) != 0) {
        fprintf(stderr,
                "backup: %s: this is the backup of %s, not of %s; --renew makes it one of that\n",
                destination, backup->listed, backup->name);
        return false;
    }
    if (backup->deletes && !is_backup && backup->there.count != 0) {
        say(backup, destination,
            "no backup here, and not empty: all in it would be removed; run it without --delete "
            "first");
        return false;
    }
    return true;
}

static int prepare(struct backup *backup, const char *source, const char *destination)
{
    int status = open_both(backup, source, destination);
    if (status != 0) {
        return status;
    }
    int64_t result = load_list(backup, LIST, take_list, &backup->has_list);
    if (result >= 0) {
        result = load_list(backup, LOG, take_log, &backup->has_log);
    }
    if (result == EPIO_ECORRUPT) {
        say(backup, destination,
            "the list of the backup is damaged; backup --renew SOURCE DESTINATION makes a new one, "
            "and copies all again");
        return FAILED;
    }
    if (result >= 0 && source != NULL) {
        result = walk(backup, backup->destination, on_there);
    }
    if (result >= 0 && !check_list(backup, destination)) {
        return FAILED;
    }
    if (result >= 0 && source != NULL) {
        result = open_log(backup);
    }
    if (result < 0) {
        complain(backup, destination, result);
        return FAILED;
    }
    sort_known(&backup->known);
    sort(&backup->there);
    if (source != NULL && (result = walk(backup, backup->source, on_found)) < 0) {
        complain(backup, source, result);
        return FAILED;
    }
    sort(&backup->found);
    for (size_t i = 0; i < backup->unread.count; i++) {
        const char *path = backup->unread.list[i].path;
        struct entry *entry = find(&backup->found, path);
        if (entry != NULL && find(&backup->there, path) != NULL) {
            entry->unread = true;
        }
    }
    return 0;
}

/* ---- The whole --------------------------------------------------------------- */

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

/* The list is first: it never names what is not there any more. */
static void finish_backup(struct backup *backup)
{
    epio_op op = EPIO_OP_INIT;
    bool removes = backup->deletes && !backup->keeps;
    for (size_t i = 0; removes && i < backup->known.count; i++) {
        struct entry *known = &backup->known.list[i];
        known->gone = known->gone || find(&backup->found, known->path) == NULL;
    }
    int64_t result = save_list(backup);
    if (result < 0) {
        complain(backup, LIST, result);
    } else if (removes) {
        (void)remove_all(backup, NULL);
    }
    if (backup->deletes && !removes) {
        fputs("backup: nothing is removed, as not all of SOURCE was backed up\n", stderr);
    }
    for (size_t i = 0; backup->leftovers && i < JOBS; i++) {
        char path[sizeof NEW + 2];
        snprintf(path, sizeof path, "%s%u", NEW, (unsigned)i);
        (void)epio_wait(epio_delete(&op, vfs_of(backup->destination), path, 0));
    }
}

static int finish(struct backup *backup)
{
    if (backup->source != NULL && interrupted == 0) {
        finish_backup(backup);
    }
    if (backup->source != NULL) {
        finish_directories(backup);
    }
    if (interrupted != 0) {
        fputs("backup: interrupted; run it again to go on\n", stderr);
        return INTERRUPTED;
    }
    if (backup->source == NULL) {
        printf("%" PRIu64 " file%s as backed up, %" PRIu64 " not\n", backup->unchanged,
               plural(backup->unchanged), backup->errors);
        if (backup->errors != 0) {
            fputs("backup: backup --verify SOURCE DESTINATION copies again what differs\n", stderr);
        }
    } else {
        printf("%" PRIu64 " file%s copied, %" PRIu64 " unchanged, %" PRIu64 " removed, %" PRIu64
               " error%s\n",
               backup->copied, plural(backup->copied), backup->unchanged, backup->removed,
               backup->errors, plural(backup->errors));
    }
    return backup->errors == 0 ? 0 : FAILED;
}

static int run(struct backup *backup, const char *source, const char *destination)
{
    int status = prepare(backup, source, destination);
    if (status == 0) {
        if (source == NULL) {
            backup->found = backup->known;
            backup->known = (struct entries){0};
        } else {
            backup->copying = (epio_copy_options){.size = sizeof backup->copying,
                                                  .flags = EPIO_COPY_METADATA | EPIO_COPY_NOFOLLOW |
                                                           EPIO_COPY_WHOLE | EPIO_COPY_OVER_LINKS |
                                                           (backup->fast ? 0 : EPIO_COPY_DURABLE),
                                                  .to_vfs = vfs_of(backup->destination)};
        }
        for (size_t i = 0; source == NULL && i < backup->found.count; i++) {
            backup->total += backup->found.list[i].info.bytes;
        }
        for (size_t i = 0; i < JOBS; i++) {
            backup->jobs[i].backup = backup;
            backup->jobs[i].buffer = must(malloc(PIECE));
        }
        run_jobs(backup);
        status = finish(backup);
    }
    close_file(backup->log);
    close_file(backup->source);
    close_file(backup->destination);
    for (size_t i = 0; i < JOBS; i++) {
        free(backup->jobs[i].buffer);
    }
    free_entries(&backup->known);
    free_entries(&backup->found);
    free_entries(&backup->there);
    free_entries(&backup->unread);
    free(backup->name);
    free(backup->listed);
    return status;
}

/* ---- Arguments ---------------------------------------------------------------- */

static int print_help(void)
{
    puts(
        "Usage: backup [OPTION]... SOURCE DESTINATION\n"
        "       backup --verify DESTINATION\n"
        "\n"
        "Copies the directory SOURCE with all that is in it to DESTINATION, which is made if it\n"
        "is not there. What is there already and has not changed is not copied again; a backup\n"
        "that was interrupted or killed goes on where it was. The checksum of each file is in\n"
        "DESTINATION/" LIST ", which also names SOURCE, and is its owner's alone.\n"
        "\n"
        "  --verify    reads all files of DESTINATION and compares their checksums; with SOURCE,\n"
        "              it copies those again that differ\n"
        "  --delete    removes from DESTINATION what is no longer in SOURCE, if all of SOURCE\n"
        "              could be backed up, and DESTINATION is a backup, or empty\n"
        "  --renew     begins the list anew, and copies all again: if the list is damaged, or\n"
        "              DESTINATION was the backup of another SOURCE\n"
        "  --fast      does not wait until each file is durable\n"
        "  --progress  shows a bar, as it does on a terminal\n"
        "  --help      this text\n"
        "\n"
        "Times and permissions of files are kept, and permissions of directories, with that of\n"
        "DESTINATION; owners as far as they may be, and else nobody gets more than he had. ACLs\n"
        "and extended attributes are kept of files alone. Symbolic links are copied as links, and\n"
        "not followed; the list has files alone. A file with several names becomes several\n"
        "files. Devices, sockets and FIFOs are left out, and so is a list that SOURCE itself has.\n"
        "Files of the same size and time count as unchanged. A file that became a directory, or\n"
        "the reverse, is replaced; a directory, only with --delete.\n"
        "\n"
        "Exit status: 0; 1 if something could not be backed up or is not as it was, which is\n"
        "named; 2: wrong usage; 130: interrupted, and to be run again.");
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
    const struct {
        const char *name;
        bool *is_set;
    } options[] = {{"--verify", &backup.verifies},
                   {"--delete", &backup.deletes},
                   {"--renew", &backup.renews},
                   {"--fast", &backup.fast},
                   {"--progress", &backup.shows}};
    backup.shows = is_terminal();
    for (int i = 1; i < argc; i++) {
        size_t option = 0;
        if (strcmp(argv[i], "--help") == 0) {
            return print_help();
        }
        while (option < sizeof options / sizeof options[0] &&
               strcmp(argv[i], options[option].name) != 0) {
            option++;
        }
        if (option < sizeof options / sizeof options[0]) {
            *options[option].is_set = true;
        } else if (argv[i][0] == '-') {
            return refuse("unknown option ", argv[i]);
        } else if (count == 2) {
            return refuse("too many directories: ", argv[i]);
        } else {
            paths[count++] = argv[i];
        }
    }
    bool only_verifies = backup.verifies && count == 1;
    if (count != 2 && !only_verifies) {
        return refuse(backup.verifies ? "--verify takes a directory" : "two directories are needed",
                      "");
    }
    if (only_verifies && (backup.deletes || backup.renews)) {
        return refuse("--delete and --renew need two directories", "");
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
    int status = run(&backup, only_verifies ? NULL : paths[0], paths[only_verifies ? 0 : 1]);
    epio_loop_destroy(backup.loop);
    return status;
}
