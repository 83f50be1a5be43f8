/* Mirrors a directory into another, and then each change of it, until it is interrupted.
 *
 *     sync [OPTION]... SOURCE TARGET
 *
 * Events say where to look, not what to do: what is pending is a list of paths, and each is made in
 * TARGET what it is in SOURCE by then. So it does not matter how old an event is; what was renamed
 * is one path to be removed and one to be copied; and a full pass is the change of the path "". A
 * path is taken up once it has been quiet for a moment and no copy in or above it is in flight;
 * files are copied by a few ops at once, each whole or not at all. The loop's own thread does all
 * the rest. */
#if !defined(_WIN32) && !defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif

#include "nested.h"

#include <epio/epio.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <io.h>
#include <windows.h>
#else
#include <unistd.h>
#endif

#define JOBS 8
#define MILLISECOND UINT64_C(1000000)
#define QUIET (100 * MILLISECOND)    /* without a change before a path is taken up */
#define LONGEST (1000 * MILLISECOND) /* after the first change, if it is never quiet */
#define SLACK INT64_C(2000000000)    /* of a file system's clock */

/* Exit statuses. */
#define FAILURE 1
#define USAGE 2

/* What is to be done about a path. None of these: look, and make size, time and mode the same. */
#define COPY 1u  /* copy it, even if size and time are the same */
#define DEEP 2u  /* with all that is in it */
#define EXACT 4u /* remove what is not in the source */

struct change {
    char *path; /* relative to both directories; "" is these themselves */
    uint32_t what;
    uint64_t first; /* when it was reported; 0: at once */
    uint64_t last;
    uint64_t bytes; /* of a file to be copied */
};

struct changes {
    struct change *list;
    size_t count;
    size_t room;
};

struct job {
    epio_op op;
    struct sync *sync;
    char *path; /* NULL: idle */
    uint64_t bytes;
};

/* What was done since the last summary; in a dry run, what would be. */
struct totals {
    uint64_t copied;
    uint64_t bytes;
    uint64_t made;
    uint64_t removed;
    uint64_t attributes;
    uint64_t errors;
};

struct sync {
    epio_loop *loop;
    const char *name; /* of the source */
    epio_file *source;
    epio_file *target; /* NULL: it is not there yet, in a dry run */
    epio_file *watch;
    epio_op reads;
    int64_t lost;           /* why the watch has ended; 0: it has not */
    struct changes pending; /* in any order */
    struct changes queue;   /* files to be copied */
    size_t next;            /* of `queue` */
    struct job jobs[JOBS];
    size_t running;
    epio_copy_options copying;
    char *prepared; /* a directory of the target that is there */
    epio_op timer;
    uint64_t due; /* when a pending path has been quiet */
    epio_op bar;
    uint64_t found;
    uint64_t files; /* copied, */
    uint64_t bytes;
    uint64_t total_files; /* and to be copied */
    uint64_t total_bytes;
    int64_t rested; /* the time when all was last the same */
    int64_t since;  /* a full pass copies what was changed since then, whatever it looks like */
    uint64_t errors;
    struct totals totals;
    bool summarized; /* before */
    bool once, deletes, quiet, verbose, dry_run, shows;
    bool plans; /* the queue is being made */
    bool rests;
    uint64_t events[8192]; /* aligned as a uint64_t */
};

static volatile sig_atomic_t interrupted;
static epio_loop *interrupted_loop;

/* ---- Small things --------------------------------------------------------- */

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("sync: out of memory\n", stderr);
        exit(FAILURE);
    }
    return memory;
}

static void say(struct sync *sync, const char *verb, const char *path)
{
    if (sync->verbose) {
        fputs(sync->shows ? "\r\033[K" : "", stderr);
        printf("%s %s\n", verb, *path != '\0' ? path : ".");
    }
}

static void complain(struct sync *sync, const char *path, const char *text)
{
    fprintf(stderr, "%ssync: %s: %s\n", sync->shows ? "\r\033[K" : "", *path != '\0' ? path : ".",
            text);
    sync->errors++;
    sync->totals.errors++;
}

static void print_total(uint64_t count, const char *what)
{
    if (count != 0) {
        printf(", %" PRIu64 " %s", count, what);
    }
}

/* Of what was done; that nothing was, only the first time, and not beside names. */
static void summarize(struct sync *sync)
{
    const struct totals *done = &sync->totals;
    bool any = done->copied != 0 || done->made != 0 || done->removed != 0 ||
               done->attributes != 0 || done->errors != 0;
    if (!sync->quiet && (any || !(sync->verbose || sync->summarized))) {
        printf("%s%" PRIu64 " files copied, %" PRIu64 " bytes", sync->dry_run ? "would be: " : "",
               done->copied, done->bytes);
        print_total(done->made, "directories made");
        print_total(done->removed, "removed");
        print_total(done->attributes, "with other permissions");
        print_total(done->errors, "errors");
        putchar('\n');
    }
    sync->totals = (struct totals){0};
    sync->summarized = true;
}

static void check(struct sync *sync, const char *path, int64_t result)
{
    if (result < 0) {
        complain(sync, path, epio_error_message(result));
    }
}

/* "a" and "b" are "a/b"; either may be empty. */
static char *join(const char *directory, const char *name)
{
    size_t room = strlen(directory) + strlen(name) + 2;
    char *path = must(malloc(room));
    bool both = *directory != '\0' && *name != '\0';
    snprintf(path, room, "%s%s%s", directory, both ? "/" : "", name);
    return path;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = join(path, "");
    parent[slash != NULL ? slash - path : 0] = '\0';
    return parent;
}

static bool is_in(const char *path, const char *top)
{
    size_t len = strlen(top);
    return len == 0 || (strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

/* A directory, then all that is in it, then what comes behind it. */
static int compare(const char *one, const char *other)
{
    for (; *one != '\0' && *one == *other; one++, other++) {
    }
    int a = *one == '/' ? 1 : *one == '\0' ? 0 : (unsigned char)*one + 1;
    int b = *other == '/' ? 1 : *other == '\0' ? 0 : (unsigned char)*other + 1;
    return a - b;
}

/* ".NAME.saving": epio's own names, of files that are not whole yet. */
static bool is_temporary(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t len = strlen(name);
    len -= len > 0 && name[len - 1] >= '1' && name[len - 1] <= '3' ? 1 : 0;
    return len > 8 && name[0] == '.' && strncmp(name + len - 7, ".saving", 7) == 0;
}

/* ---- Lists of changes ------------------------------------------------------ */

static int by_path(const void *one, const void *other)
{
    return compare(((const struct change *)one)->path, ((const struct change *)other)->path);
}

/* Sorts them, and makes one of all with the same path. */
static void tidy(struct changes *changes)
{
    size_t kept = 0;
    if (changes->count == 0) {
        return; /* qsort takes no NULL */
    }
    qsort(changes->list, changes->count, sizeof *changes->list, by_path);
    for (size_t i = 1; i < changes->count; i++) {
        struct change *last = &changes->list[kept];
        struct change *change = &changes->list[i];
        if (strcmp(last->path, change->path) != 0) {
            changes->list[++kept] = *change;
            continue;
        }
        last->what |= change->what;
        last->first = change->first < last->first ? change->first : last->first;
        last->last = change->last > last->last ? change->last : last->last;
        free(change->path);
    }
    changes->count = kept + 1;
}

static struct change *add(struct changes *changes, char *path, uint32_t what, uint64_t when)
{
    if (changes->count == changes->room) {
        tidy(changes); /* a file that is written all the time is here many times */
    }
    if (changes->count >= changes->room / 2) {
        changes->room = changes->room != 0 ? changes->room * 2 : 256;
        changes->list = must(realloc(changes->list, changes->room * sizeof *changes->list));
    }
    struct change *change = &changes->list[changes->count++];
    *change = (struct change){.path = path, .what = what, .first = when, .last = when};
    return change;
}

static void report(struct sync *sync, const char *path, uint32_t what, uint64_t when)
{
    (void)add(&sync->pending, join(path, ""), what, when);
}

/* What was made or removed in a directory has changed its time. */
static void touch_parent(struct sync *sync, const char *path)
{
    if (*path != '\0' && !sync->dry_run) {
        (void)add(&sync->pending, parent_of(path), 0, 0);
    }
}

static bool is_busy(const struct sync *sync, const char *path)
{
    for (size_t i = 0; i < JOBS; i++) {
        const char *busy = sync->jobs[i].path;
        if (busy != NULL && (is_in(busy, path) || is_in(path, busy))) {
            return true;
        }
    }
    return false;
}

/* ---- Looking --------------------------------------------------------------- */

static const char *at(const char *path)
{
    return *path != '\0' ? path : ".";
}

/* What is at the path: 1; nothing: 0. */
static int64_t look(struct sync *sync, epio_file *in, const char *path, epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = EPIO_ENOENT;
    *info = (epio_info){.size = sizeof *info};
    if (in != NULL) {
        result =
            epio_wait(epio_stat(&op, epio_directory_vfs(in), at(path), info, EPIO_STAT_NOFOLLOW));
    }
    if (result == EPIO_ENOENT || result == EPIO_ENOTDIR) {
        return 0;
    }
    check(sync, path, result);
    return result < 0 ? result : 1;
}

/* The target's file system may keep less of a time: hundreds of nanoseconds, or seconds. */
static bool same_time(const epio_info *source, const epio_info *target)
{
    static const int64_t units[] = {1, 100, 1000000000};
    int64_t less = source->modified - target->modified;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (less >= 0 && less < units[i] && target->modified % units[i] == 0) {
            return true;
        }
    }
    return false;
}

static bool same_owner(const epio_info *source, const epio_info *target)
{
    return (source->known & target->known & EPIO_INFO_OWNER) == 0 ||
           (source->user == target->user && source->group == target->group);
}

/* Without the owner or group that it had, nobody gets more than he had: as epio_copy has it. */
static uint32_t mode_for(const epio_info *source, const epio_info *target)
{
    uint32_t owner = source->mode >> 6 & 7u;
    uint32_t group = source->mode >> 3 & 7u;
    uint32_t others = source->mode & 7u;
    if ((source->known & target->known & EPIO_INFO_MODE) == 0) {
        return target->mode;
    }
    if (same_owner(source, target)) {
        return source->mode;
    }
    if (source->user != target->user) {
        group &= owner;
        others &= owner;
    }
    if (source->group != target->group) {
        others &= group;
        group = others;
    }
    return (source->mode & 01000u) | owner << 6 | group << 3 | others;
}

struct found {
    char *path;
    epio_info info;
};

struct walk {
    struct sync *sync;
    const char *top;
    struct found *list;
    size_t count;
    size_t room;
    bool failed; /* some of it could not be read */
};

static int by_found_path(const void *one, const void *other)
{
    return compare(((const struct found *)one)->path, ((const struct found *)other)->path);
}

static bool on_entries(epio_op *op, epio_walk_entry *entries, size_t count)
{
    struct walk *walk = op->user;
    for (size_t i = 0; i < count; i++) {
        char *path = join(walk->top, entries[i].path);
        if (entries[i].error != 0 || entries[i].info == NULL) {
            check(walk->sync, path, entries[i].error);
            walk->failed = true;
            free(path);
            continue;
        }
        if (walk->count == walk->room) {
            walk->room = walk->room != 0 ? walk->room * 2 : 256;
            walk->list = must(realloc(walk->list, walk->room * sizeof *walk->list));
        }
        walk->list[walk->count++] = (struct found){path, *entries[i].info};
        walk->sync->found++;
    }
    return interrupted == 0;
}

static void find_all(struct walk *walk, epio_file *in)
{
    epio_op op = {.user = walk};
    epio_walk_options options = {
        .size = sizeof options, .flags = EPIO_WALK_STAT, .entries = on_entries};
    int64_t result = epio_wait(epio_walk(&op, epio_directory_vfs(in), at(walk->top), &options));
    bool gone = result == EPIO_ENOENT || result == EPIO_ENOTDIR; /* by now; there are events */
    if (result < 0 && interrupted == 0 && !gone) {
        check(walk->sync, walk->top, result);
    }
    walk->failed = walk->failed || result < 0;
    if (walk->count != 0) {
        qsort(walk->list, walk->count, sizeof *walk->list, by_found_path);
    }
}

static void free_walk(struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++) {
        free(walk->list[i].path);
    }
    free(walk->list);
}

/* ---- Changing the target ---------------------------------------------------- */

/* A directory may be one in which even its owner can change nothing: true if it was. Its mode is
 * set again in the end. */
static bool make_writable(struct sync *sync, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    epio_vfs *vfs = epio_directory_vfs(sync->target);
    if (epio_perform(epio_stat(&op, vfs, at(path), &info, EPIO_STAT_NOFOLLOW)) < 0 ||
        info.type != EPIO_TYPE_DIRECTORY || (info.known & EPIO_INFO_MODE) == 0 ||
        (info.mode & 0700u) == 0700u) {
        return false;
    }
    report(sync, path, 0, 0);
    return epio_perform(epio_set_mode(&op, vfs, at(path), info.mode | 0700u, 0)) == 0;
}

static void make_directory(struct sync *sync, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    say(sync, "mkdir", path);
    int64_t result = 0;
    if (!sync->dry_run) {
        result = epio_wait(
            epio_mkdir(&op, epio_directory_vfs(sync->target), path, EPIO_OPEN_PERMISSIONS(0700)));
        check(sync, path, result);
        report(sync, path, 0, 0); /* mode and time follow when it is full */
    }
    sync->totals.made += result >= 0;
}

/* The directory that the path is in, and those above it, are there, and none is a link. False: in
 * the source they are not, either, of which there is another event. */
static bool prepare(struct sync *sync, const char *path)
{
    epio_info source;
    epio_info target;
    char *parent = parent_of(path);
    bool ready = *path == '\0' || sync->dry_run ||
                 (sync->prepared != NULL && strcmp(parent, sync->prepared) == 0);
    if (!ready && prepare(sync, parent) && look(sync, sync->target, parent, &target) >= 0) {
        ready = target.type == EPIO_TYPE_DIRECTORY;
        if (!ready && target.type == EPIO_TYPE_UNKNOWN &&
            look(sync, sync->source, parent, &source) > 0 && source.type == EPIO_TYPE_DIRECTORY) {
            make_directory(sync, parent);
            touch_parent(sync, parent);
            ready = true;
        }
        if (ready) {
            (void)make_writable(sync, parent);
            free(sync->prepared);
            sync->prepared = parent;
            return true;
        }
    }
    free(parent);
    return ready;
}

static uint32_t on_remove_error(epio_op *op, const epio_tree_error *error)
{
    const struct walk *tree = op->user;
    char *path = join(tree->top, error->path);
    char *parent = parent_of(path);
    bool refused = error->error == EPIO_EACCES || error->error == EPIO_EPERM;
    bool again = refused && (make_writable(tree->sync, path) || make_writable(tree->sync, parent));
    if (!again && error->error != EPIO_ENOENT) {
        check(tree->sync, path, error->error);
    }
    free(parent);
    free(path);
    return again ? EPIO_ON_ERROR_AGAIN : EPIO_ON_ERROR_SKIP;
}

static void remove_all(struct sync *sync, const char *path)
{
    struct walk tree = {.sync = sync, .top = path};
    epio_op op = {.user = &tree};
    epio_tree_options options = {.size = sizeof options, .error = on_remove_error};
    say(sync, "remove", path);
    if (sync->dry_run || !prepare(sync, path)) {
        sync->totals.removed += sync->dry_run;
        return;
    }
    free(sync->prepared);
    sync->prepared = NULL;
    int64_t removed =
        epio_wait(epio_remove_tree(&op, epio_directory_vfs(sync->target), path, &options));
    sync->totals.removed += removed >= 0;
    touch_parent(sync, path);
}

/* What a copy of the bytes has not done: of directories, and of files with another mode alone. */
static void set_metadata(struct sync *sync, const char *path, const epio_info *source,
                         const epio_info *target)
{
    epio_op op = EPIO_OP_INIT;
    epio_info now = *target;
    epio_times times = EPIO_TIMES_INIT;
    epio_vfs *vfs = sync->dry_run ? NULL : epio_directory_vfs(sync->target);
    bool mode = source->type != EPIO_TYPE_LINK && mode_for(source, target) != target->mode;
    if (mode) {
        say(sync, "attributes", path);
        /* Directories get theirs once they are full. */
        sync->totals.attributes += source->type != EPIO_TYPE_DIRECTORY;
    }
    if (sync->dry_run) {
        return;
    }
    if (!same_owner(source, target) &&
        epio_wait(epio_set_owner(&op, vfs, at(path), source->user, source->group,
                                 EPIO_SET_NOFOLLOW)) == 0) {
        now.user = source->user;
        now.group = source->group;
        mode = source->type != EPIO_TYPE_LINK; /* it may have cost some of the mode */
    }
    if (mode) {
        check(sync, path, epio_wait(epio_set_mode(&op, vfs, at(path), mode_for(source, &now), 0)));
    }
    if (!same_time(source, target)) {
        times.modified = source->modified;
        check(sync, path, epio_wait(epio_set_times(&op, vfs, at(path), &times, EPIO_SET_NOFOLLOW)));
    }
}

/* ---- Copies ------------------------------------------------------------------ */

static void start_jobs(struct sync *sync);

static void on_copied(epio_op *op)
{
    struct job *job = op->user;
    struct sync *sync = job->sync;
    epio_op asks = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    if (op->result >= 0) {
        say(sync, "copy", job->path);
        sync->totals.copied++;
        sync->totals.bytes += job->bytes;
    } else if (epio_perform(epio_stat(&asks, epio_directory_vfs(sync->source), job->path, &info,
                                      EPIO_STAT_NOFOLLOW)) == 0 &&
               (info.type == EPIO_TYPE_FILE || info.type == EPIO_TYPE_LINK) &&
               (sync->once || op->result != EPIO_ENOENT)) {
        check(sync, job->path, op->result); /* else it was gone meanwhile, of which there are
                                               events, also if it is there again */
    }
    sync->files++;
    sync->bytes += job->bytes;
    touch_parent(sync, job->path);
    free(job->path);
    job->path = NULL;
    sync->running--;
    start_jobs(sync);
}

static void start_jobs(struct sync *sync)
{
    for (size_t i = 0; i < JOBS && !sync->plans && interrupted == 0; i++) {
        struct job *job = &sync->jobs[i];
        if (job->path != NULL || sync->next == sync->queue.count) {
            continue;
        }
        const struct change *change = &sync->queue.list[sync->next++];
        job->path = change->path;
        job->bytes = change->bytes;
        job->sync = sync;
        job->op.user = job;
        job->op.done = on_copied;
        sync->running++;
        epio_submit(epio_copy(&job->op, epio_directory_vfs(sync->source), job->path, job->path,
                              &sync->copying));
    }
}

static void queue_copy(struct sync *sync, const char *path, const epio_info *source)
{
    if (sync->dry_run) {
        say(sync, "copy", path);
        sync->totals.copied++;
        sync->totals.bytes += source->bytes;
    } else if (prepare(sync, path)) {
        add(&sync->queue, join(path, ""), COPY, 0)->bytes = source->bytes;
    }
}

/* ---- Making the target the same --------------------------------------------- */

/* One name, without what is in it; NULL: it is not there. */
static void mirror_one(struct sync *sync, const char *path, uint32_t what, const epio_info *source,
                       const epio_info *target)
{
    uint32_t type = source != NULL ? source->type : EPIO_TYPE_UNKNOWN;
    if (type != EPIO_TYPE_FILE && type != EPIO_TYPE_DIRECTORY && type != EPIO_TYPE_LINK) {
        if (source != NULL) {
            fprintf(stderr, "%ssync: %s: neither file, directory nor link; skipped\n",
                    sync->shows ? "\r\033[K" : "", path);
        }
        if (target != NULL && (what & EXACT) != 0) {
            remove_all(sync, path);
        }
        return;
    }
    if (target != NULL && target->type != type &&
        (type == EPIO_TYPE_DIRECTORY || target->type == EPIO_TYPE_DIRECTORY)) {
        if (target->type == EPIO_TYPE_DIRECTORY && (what & EXACT) == 0) {
            complain(sync, path, "there is a directory in its place; --delete removes it");
            return;
        }
        remove_all(sync, path);
        target = NULL;
    }
    if (type == EPIO_TYPE_DIRECTORY && target == NULL) {
        if (prepare(sync, path)) {
            make_directory(sync, path);
            touch_parent(sync, path);
        }
    } else if (type == EPIO_TYPE_DIRECTORY && (what & DEEP) != 0) {
        if (!sync->dry_run && (!same_time(source, target) || !same_owner(source, target) ||
                               mode_for(source, target) != target->mode)) {
            report(sync, path, 0, 0); /* once all in it is the same */
        }
    } else if (type == EPIO_TYPE_DIRECTORY) {
        set_metadata(sync, path, source, target);
    } else if ((what & COPY) != 0 || target == NULL || target->type != type ||
               source->bytes != target->bytes || !same_time(source, target)) {
        queue_copy(sync, path, source);
    } else if (type == EPIO_TYPE_FILE) {
        set_metadata(sync, path, source, target);
    }
}

/* All that is in a directory: both are walked, and then compared name by name. */
static void mirror_tree(struct sync *sync, const char *path, uint32_t what, bool there)
{
    struct walk source = {.sync = sync, .top = path};
    struct walk target = {.sync = sync, .top = path};
    const char *removed = NULL;
    int64_t since = *path == '\0' ? sync->since : INT64_MAX;
    sync->since = *path == '\0' ? INT64_MAX : sync->since; /* the next overflow sets it again */
    find_all(&source, sync->source);
    if (there) {
        find_all(&target, sync->target);
    }
    what = source.failed ? what & ~EXACT : what; /* what was not seen may be there */
    for (size_t i = 0, j = 0; (i < source.count || j < target.count) && interrupted == 0;) {
        const struct found *one = i < source.count ? &source.list[i] : NULL;
        const struct found *other = j < target.count ? &target.list[j] : NULL;
        int order = one == NULL ? 1 : other == NULL ? -1 : compare(one->path, other->path);
        i += order <= 0;
        j += order >= 0;
        other = order >= 0 && (removed == NULL || !is_in(other->path, removed)) ? other : NULL;
        one = order <= 0 ? one : NULL;
        if (one != NULL && is_temporary(one->path) && one->info.type == EPIO_TYPE_FILE) {
            continue;
        }
        if (one != NULL) {
            bool changed = (one->info.known & EPIO_INFO_CHANGED) != 0 && one->info.changed >= since;
            bool moves = other != NULL && other->info.type == EPIO_TYPE_DIRECTORY &&
                         one->info.type != EPIO_TYPE_DIRECTORY;
            mirror_one(sync, one->path, what | (changed ? COPY : 0), &one->info,
                       other != NULL ? &other->info : NULL);
            removed = moves ? other->path : removed; /* or it stays as it is */
        } else if (other != NULL && ((what & EXACT) != 0 || (is_temporary(other->path) &&
                                                             other->info.type == EPIO_TYPE_FILE))) {
            remove_all(sync, other->path);
            removed = other->path;
        }
    }
    free_walk(&source);
    free_walk(&target);
}

static void mirror(struct sync *sync, const char *path, uint32_t what)
{
    epio_info source;
    epio_info target;
    int64_t in_source = 0;
    int64_t in_target = 0;
    if (!prepare(sync, path) || (in_source = look(sync, sync->source, path, &source)) < 0 ||
        (in_target = look(sync, sync->target, path, &target)) < 0) {
        return;
    }
    bool deep = in_source > 0 && source.type == EPIO_TYPE_DIRECTORY && (what & DEEP) != 0;
    mirror_one(sync, path, deep ? what : what & ~DEEP, in_source > 0 ? &source : NULL,
               in_target > 0 ? &target : NULL);
    if (deep) {
        mirror_tree(sync, path, what, in_target > 0 && target.type == EPIO_TYPE_DIRECTORY);
    }
    if (what != 0) {
        touch_parent(sync, path);
    }
}

/* ---- Rounds ------------------------------------------------------------------- */

/* Takes up what has been quiet: true if there was something. */
static bool take_round(struct sync *sync)
{
    uint64_t now = epio_clock_monotonic();
    struct changes taken = {0};
    size_t kept = 0;
    const char *waits = NULL;
    free(sync->prepared);
    sync->prepared = NULL;
    sync->plans = true;
    sync->due = EPIO_FOREVER;
    tidy(&sync->pending);
    for (size_t i = 0; i < sync->pending.count; i++) {
        struct change *change = &sync->pending.list[i];
        uint64_t due = change->last + QUIET;
        due = due < change->first + LONGEST ? due : change->first + LONGEST;
        due = change->first == 0 ? 0 : due;
        if (due > now) {
            sync->due = due < sync->due ? due : sync->due;
        }
        if (due > now || is_busy(sync, change->path) ||
            (waits != NULL && is_in(change->path, waits))) {
            waits = (change->what & DEEP) != 0 ? change->path : waits;
            sync->pending.list[kept++] = *change;
        } else {
            *add(&taken, change->path, 0, 0) = *change;
        }
    }
    sync->pending.count = kept;
    for (size_t i = 0; i < taken.count; i++) {
        if (interrupted == 0 || taken.list[i].what == 0) {
            mirror(sync, taken.list[i].path, taken.list[i].what);
        }
        free(taken.list[i].path);
    }
    free(taken.list);
    tidy(&sync->queue);
    for (size_t i = 0; i < sync->queue.count; i++) {
        sync->total_bytes += sync->queue.list[i].bytes;
    }
    sync->total_files += sync->queue.count;
    sync->plans = false;
    return taken.count != 0;
}

/* ---- Events -------------------------------------------------------------------- */

static void take_event(struct sync *sync, const epio_event *event, uint64_t now)
{
    static const uint32_t what[] = {[EPIO_EVENT_MADE] = COPY | EXACT,
                                    [EPIO_EVENT_CHANGED] = COPY,
                                    [EPIO_EVENT_REMOVED] = DEEP | EXACT,
                                    [EPIO_EVENT_RENAMED] = DEEP | EXACT | COPY,
                                    [EPIO_EVENT_ATTRIBUTES] = 0};
    const char *name = epio_event_name(event);
    const char *from = epio_event_from(event);
    if (event->kind == EPIO_EVENT_OVERFLOW) {
        say(sync, "overflow", "");
        sync->since = sync->rested - SLACK;
        report(sync, "", sync->deletes ? DEEP | EXACT : DEEP, 0);
        return;
    }
    if (event->kind == EPIO_EVENT_RENAMED && !is_temporary(from)) {
        report(sync, from, DEEP | EXACT, now);
    }
    if (*name != '\0' && !is_temporary(name)) { /* of the source itself the end is reported */
        report(sync, name, what[event->kind], now);
    }
}

static void on_events(epio_op *op)
{
    struct sync *sync = op->user;
    const epio_event *event = NULL;
    uint64_t now = epio_clock_monotonic();
    if (op->result <= 0) {
        sync->lost = op->result < 0 ? op->result : EPIO_ENOENT;
        return;
    }
    while ((event = epio_event_next(sync->events, (size_t)op->result, event)) != NULL) {
        take_event(sync, event, now);
    }
    epio_submit(epio_read_events(op, sync->watch, sync->events, sizeof sync->events));
}

static void close_file(epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    if (file != NULL) {
        (void)epio_wait(epio_close(&op, file));
    }
}

static void close_watch(struct sync *sync)
{
    close_file(sync->watch); /* which ends the op that waits for events */
    sync->watch = NULL;
    while (epio_op_pending(&sync->reads)) {
        (void)epio_loop_poll(sync->loop, EPIO_FOREVER, 0);
    }
}

/* Begins to watch, also again after an error, and looks at all there is. */
static bool begin(struct sync *sync)
{
    epio_op op = EPIO_OP_INIT;
    epio_vfs *vfs = epio_directory_vfs(sync->source);
    if (!sync->once) {
        int64_t result = epio_wait(epio_watch(&op, vfs, ".", EPIO_WATCH_RECURSIVE));
        if (result < 0) {
            check(sync, sync->name, result);
            return false;
        }
        sync->watch = op.file;
        say(sync, result == EPIO_WATCH_COMPARES ? "compare" : "watch", "");
        sync->lost = 0;
        sync->reads.user = sync;
        sync->reads.done = on_events;
        epio_submit(epio_read_events(&sync->reads, sync->watch, sync->events, sizeof sync->events));
    }
    report(sync, "", sync->deletes ? DEEP | EXACT : DEEP, 0);
    return true;
}

/* The watch has ended: false if there is nothing to watch any more. */
static bool begin_again(struct sync *sync)
{
    int64_t lost = sync->lost;
    close_watch(sync);
    sync->since = sync->rested - SLACK;
    check(sync, sync->name, lost);
    return lost != EPIO_ENOENT && begin(sync);
}

/* ---- The bar --------------------------------------------------------------------- */

static void show(struct sync *sync)
{
    uint64_t bytes = sync->bytes;
    epio_progress_info info = {.size = sizeof info};
    for (size_t i = 0; i < JOBS; i++) {
        if (sync->jobs[i].path != NULL && epio_progress(&sync->jobs[i].op, &info) == 0) {
            bytes += info.bytes;
        }
    }
    if (sync->total_files == 0) {
        fprintf(stderr, "\r\033[K%" PRIu64 " names", sync->found);
    } else {
        fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu64 " files, %" PRIu64 " of %" PRIu64 " MiB",
                sync->files, sync->total_files, bytes >> 20, sync->total_bytes >> 20);
    }
    fflush(stderr);
}

static void on_bar(epio_op *op)
{
    struct sync *sync = op->user;
    if (op->result >= 0 && sync->shows) {
        show(sync);
        epio_submit(epio_sleep(op, epio_loop_vfs(sync->loop), 100 * MILLISECOND));
    }
}

static void end_bar(struct sync *sync)
{
    if (sync->shows) {
        show(sync);
        fputc('\n', stderr);
        sync->shows = false;
    }
}

/* ---- The whole --------------------------------------------------------------------- */

static void end_op(struct sync *sync, epio_op *op)
{
    epio_cancel(op);
    while (epio_op_pending(op)) {
        (void)epio_loop_poll(sync->loop, EPIO_FOREVER, 0);
    }
}

static void rest(struct sync *sync)
{
    epio_op op = EPIO_OP_INIT;
    if (!sync->rests) {
        sync->rested = epio_perform(epio_current_time(&op, epio_loop_vfs(sync->loop)));
        sync->rests = true;
        end_bar(sync);
        summarize(sync);
        if (!sync->once && sync->verbose) {
            puts("idle");
        }
    }
}

/* Until something ends, or a path has been quiet; `took`: no longer than now. */
static void wait_for_more(struct sync *sync, bool took)
{
    uint64_t now = epio_clock_monotonic();
    if (sync->due != EPIO_FOREVER && !epio_op_pending(&sync->timer)) {
        epio_submit(epio_sleep(&sync->timer, epio_loop_vfs(sync->loop),
                               sync->due > now ? sync->due - now : 0));
    }
    fflush(stdout);
    (void)epio_loop_poll(sync->loop, took || interrupted != 0 ? EPIO_NOW : EPIO_FOREVER, 0);
}

static void run(struct sync *sync)
{
    bool watches = begin(sync);
    while (watches && interrupted == 0) {
        bool took = sync->next == sync->queue.count;
        if (sync->lost != 0 && !begin_again(sync)) {
            break;
        }
        if (took) {
            sync->next = 0;
            sync->queue.count = 0;
            took = take_round(sync);
        }
        start_jobs(sync);
        if (took || sync->running != 0 || sync->pending.count != 0) {
            sync->rests = false;
        } else {
            rest(sync);
            if (sync->once) {
                break;
            }
        }
        wait_for_more(sync, took);
    }
    while (sync->running != 0) { /* what is in flight ends as it should, */
        (void)epio_loop_poll(sync->loop, EPIO_FOREVER, 0);
    }
    interrupted = 1; /* and directories get their modes and times back */
    (void)take_round(sync);
    end_bar(sync);
    summarize(sync);
    close_watch(sync);
    end_op(sync, &sync->timer);
    end_op(sync, &sync->bar);
}

static void free_all(struct sync *sync)
{
    for (size_t i = 0; i < sync->pending.count; i++) {
        free(sync->pending.list[i].path);
    }
    for (size_t i = sync->next; i < sync->queue.count; i++) {
        free(sync->queue.list[i].path);
    }
    free(sync->pending.list);
    free(sync->queue.list);
    free(sync->prepared);
}

/* ---- Source and target ---------------------------------------------------------------- */

static int64_t open_directory(struct sync *sync, const char *path, epio_file **directory)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_wait(epio_open(&op, epio_loop_vfs(sync->loop), path,
                                         EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH));
    *directory = op.file;
    return result;
}

/* 0, or an exit status. */
static int open_both(struct sync *sync, const char *source, const char *target)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info[2] = {{.size = sizeof info[0]}, {.size = sizeof info[1]}};
    epio_vfs *vfs = epio_loop_vfs(sync->loop);
    int64_t result = open_directory(sync, source, &sync->source);
    if (result < 0 || (result = epio_wait(epio_file_stat(&op, sync->source, &info[0]))) < 0) {
        check(sync, source, result);
        return FAILURE;
    }
    int64_t made = sync->dry_run ? EPIO_EEXIST : epio_wait(epio_mkdir(&op, vfs, target, 0));
    result = made < 0 && made != EPIO_EEXIST ? made : open_directory(sync, target, &sync->target);
    if (result == EPIO_ENOENT && sync->dry_run) {
        return 0;
    }
    if (result < 0 || (result = epio_wait(epio_file_stat(&op, sync->target, &info[1]))) < 0) {
        check(sync, target, result);
        return FAILURE;
    }
    if (is_below(sync->loop, target, &info[0]) || is_below(sync->loop, source, &info[1])) {
        fputs("sync: SOURCE and TARGET are the same, or one is in the other\n", stderr);
        if (made == 0) {
            (void)epio_wait(epio_rmdir(&op, vfs, target, 0));
        }
        return USAGE;
    }
    return 0;
}

static int mirror_all(struct sync *sync, const char *source, const char *target)
{
    int status = open_both(sync, source, target);
    if (status == 0) {
        sync->name = source;
        sync->since = INT64_MAX;
        sync->rested = INT64_MIN + SLACK;
        sync->due = EPIO_FOREVER;
        sync->copying = (epio_copy_options){.size = sizeof sync->copying,
                                            .flags = EPIO_COPY_METADATA | EPIO_COPY_NOFOLLOW |
                                                     EPIO_COPY_WHOLE | EPIO_COPY_OVER_LINKS};
        if (sync->target != NULL) {
            sync->copying.to_vfs = epio_directory_vfs(sync->target);
        }
        sync->bar.user = sync;
        sync->bar.done = on_bar;
        if (sync->shows) {
            epio_submit(epio_sleep(&sync->bar, epio_loop_vfs(sync->loop), 100 * MILLISECOND));
        }
        run(sync);
        status = sync->errors == 0 ? 0 : FAILURE;
    }
    free_all(sync);
    close_file(sync->source);
    close_file(sync->target);
    return status;
}

/* ---- Signals ----------------------------------------------------------------------------- */

#ifdef _WIN32

static BOOL WINAPI on_console(DWORD event)
{
    if (interrupted != 0) {
        return FALSE; /* the second time it ends at once */
    }
    interrupted = 1;
    epio_loop_wake(interrupted_loop);
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) {
        Sleep(INFINITE); /* the process ends when this returns, or when main does */
    }
    return TRUE;
}

static void catch_signals(void)
{
    SetConsoleCtrlHandler(on_console, TRUE);
}

static bool is_terminal(void)
{
    return _isatty(_fileno(stderr)) != 0;
}

#else

static void on_signal(int number)
{
    interrupted = 1;
    epio_loop_wake(interrupted_loop);
    (void)signal(number, SIG_DFL); /* the second time it ends at once */
}

static void catch_signals(void)
{
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
}

static bool is_terminal(void)
{
    return isatty(fileno(stderr)) == 1;
}

#endif

/* ---- Arguments ---------------------------------------------------------------------------- */

static int print_help(void)
{
    puts("Usage: sync [OPTION]... SOURCE TARGET\n"
         "\n"
         "Makes the directory TARGET the same as SOURCE, and then mirrors each change of SOURCE\n"
         "until it is interrupted. TARGET is made if it is not there. A file there is always\n"
         "whole, the old one or the new. Times, permissions and, as far as they may be, owners,\n"
         "ACLs and extended attributes are kept; symbolic links are copied as links.\n"
         "\n"
         "  --once      ends when all is the same\n"
         "  --delete    removes from TARGET what was never in SOURCE, too, or went while nobody\n"
         "              watched; what is removed from SOURCE meanwhile goes in any case\n"
         "  --dry-run   prints what --once would do, and does nothing\n"
         "  --verbose   names what it does, and prints \"idle\" when all is the same\n"
         "  --quiet, -q prints what went wrong, and nothing else\n"
         "  --progress  shows how far the first pass is, as it does on a terminal\n"
         "  --help      this text\n"
         "\n"
         "It prints a summary when the first pass is done, and after each change.\n"
         "\n"
         "Files of the same size and time count as the same, unless they change while it\n"
         "watches. A file with several names becomes several files; what is written by one name\n"
         "is seen under that name alone. Changes of owner, ACL or attributes alone are mirrored\n"
         "when the file is. Files named .NAME.saving are epio's, which are not whole yet: they\n"
         "are not mirrored, and removed from TARGET.\n"
         "\n"
         "Exit status: 0; 1 if something could not be mirrored, which is named; 2: wrong usage.");
    return 0;
}

static int refuse(const char *what, const char *argument)
{
    fprintf(stderr, "sync: %s%s; see sync --help\n", what, argument);
    return USAGE;
}

static bool take_option(struct sync *sync, const char *option)
{
    const struct {
        const char *name;
        bool *is_set;
    } options[] = {{"--once", &sync->once},       {"--delete", &sync->deletes},
                   {"--dry-run", &sync->dry_run}, {"--quiet", &sync->quiet},
                   {"-q", &sync->quiet},          {"--verbose", &sync->verbose},
                   {"--progress", &sync->shows}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(option, options[i].name) == 0) {
            *options[i].is_set = true;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static struct sync sync;
    const char *paths[2];
    int count = 0;
    sync.shows = is_terminal();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return print_help();
        }
        if (argv[i][0] == '-') {
            if (!take_option(&sync, argv[i])) {
                return refuse("unknown option ", argv[i]);
            }
        } else if (count == 2) {
            return refuse("too many directories: ", argv[i]);
        } else {
            paths[count++] = argv[i];
        }
    }
    if (count != 2) {
        return refuse("two directories are needed", "");
    }
    sync.once = sync.once || sync.dry_run;
    sync.shows = sync.shows && !sync.quiet;
    sync.verbose = (sync.verbose || sync.dry_run) && !sync.quiet;
    int error = epio_loop_create(&sync.loop, NULL);
    if (error != 0) {
        fprintf(stderr, "sync: no loop: %s\n", epio_error_message(error));
        return FAILURE;
    }
    interrupted_loop = sync.loop;
    catch_signals();
    int status = mirror_all(&sync, paths[0], paths[1]);
#ifdef _WIN32
    SetConsoleCtrlHandler(on_console, FALSE);
#else
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
#endif
    epio_loop_destroy(sync.loop);
    return status;
}
