/* epio_copy: what is copied and what becomes of the file that was there; onto itself; between
 * VFSes; cancels and failures leave nothing. EPIO_TEST_WITHOUT_LOOP: epio_perform copies, too. */
#include "op_faults.h"
#include "tree.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned char *pattern(size_t len, uint64_t seed)
{
    unsigned char *data = malloc(len + 1);
    check(data != NULL);
    pattern_fill(data, len, seed);
    return data;
}

static void put_pattern(fixture *f, const char *name, size_t len, uint64_t seed)
{
    unsigned char *data = pattern(len, seed);
    fixture_put(f, name, data, len);
    free(data);
}

static void check_pattern(fixture *f, const char *name, size_t len, uint64_t seed)
{
    unsigned char *data = pattern(len, seed);
    check_content(f, name, data, len);
    free(data);
}

static int64_t copy_to(fixture *f, const char *from, const char *to, uint32_t flags)
{
    epio_op op = {0};
    epio_copy_options options = {.size = sizeof options, .flags = flags};
    return fixture_result(
        f, epio_copy(&op, f->vfs, fixture_path(f, from), fixture_path(f, to), &options));
}

/* How many names are in a directory of the test's. */
static size_t names_in(fixture *f, const char *name)
{
    uint64_t buffer[512];
    epio_op op = {0};
    size_t count = 0;
    int64_t len;
    epio_file *directory = tree_open_directory(f, name);
    while ((len = fixture_result(f, epio_list(&op, directory, buffer, sizeof buffer, 0))) > 0) {
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
            count++;
        }
    }
    check_result(len, 0);
    fixture_close(f, directory);
    return count;
}

/* ---- What is copied ---- */

static void files_of_all_sizes_are_copied(fixture *f)
{
    static const size_t sizes[] = {0,      1,          4096, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1,
                                   300000, 9 * MIB + 5};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        epio_op op = {0};
        put_pattern(f, "from", sizes[i], i);
        check_op(f, epio_copy(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "to"), NULL),
                 sizes[i]);
        check_result(op.os_error, 0);
        check_pattern(f, "to", sizes[i], i);
        check_pattern(f, "from", sizes[i], i);
        check_result(tree_delete(f, "to"), 0);
    }
    check_result(names_in(f, ""), 1);
}

static void a_file_that_is_there_is_replaced(fixture *f)
{
    put_pattern(f, "from", 100000, 1);
    put_pattern(f, "to", 200000, 2);
    epio_info before = tree_stat(f, "to", 0);
    check_result(copy_to(f, "from", "to", EPIO_COPY_NO_REPLACE), EPIO_EEXIST);
    check_pattern(f, "to", 200000, 2);
    check_result(copy_to(f, "from", "to", 0), 100000);
    check_pattern(f, "to", 100000, 1);
    epio_info after = tree_stat(f, "to", 0);
    if ((after.known & EPIO_INFO_ID) != 0 && IS_POSIX_TREE(f)) {
        check(before.id[0] != after.id[0]); /* never written over */
    }
    check_result(names_in(f, ""), 2);
    check_result(copy_to(f, "from", "new", EPIO_COPY_NO_REPLACE), 100000);
}

static void durable_copies_are_copies(fixture *f)
{
    put_pattern(f, "from", 100000, 1);
    check_result(copy_to(f, "from", "to", EPIO_COPY_DURABLE), 100000);
    check_result(copy_to(f, "from", "to", EPIO_COPY_DURABLE), 100000);
    check_pattern(f, "to", 100000, 1);
    check_result(names_in(f, ""), 2);
}

static void holes_stay_holes(fixture *f)
{
    static const size_t at[] = {0, 3 * MIB, 17 * MIB};
    epio_op op = {0};
    epio_file *file = fixture_create(f, "from");
    unsigned char *data = pattern(4096, 7);
    for (size_t i = 0; i < COUNT(at); i++) {
        fixture_write(f, file, data, 4096, at[i]);
    }
    check_op(f, epio_truncate(&op, file, 40 * MIB), 0);
    epio_info from = tree_file_stat(f, file);
    bool punches = fixture_result(f, epio_punch_hole(&op, file, MIB, MIB)) == 0;
    fixture_close(f, file);
    check_result(copy_to(f, "from", "to", 0), 40 * MIB);
    file = fixture_open(f, "to", EPIO_OPEN_READ);
    epio_info to = tree_file_stat(f, file);
    check_result(to.bytes, 40 * MIB);
    if (punches && IS_POSIX_TREE(f) && from.allocated < MIB) {
        check(to.allocated < 2 * MIB);
    }
    for (size_t i = 0; i < COUNT(at); i++) {
        unsigned char read[8192];
        size_t len = i == 1 ? 8192 : 4096;
        fixture_read(f, file, read, len, at[i]);
        check(memcmp(read, data, 4096) == 0);
        check_bytes(read + 4096, 0, len - 4096);
    }
    free(data);
    fixture_close(f, file);
}

static void permissions_are_copied(fixture *f)
{
    static const uint32_t modes[] = {0644, 0600, 0444, 0755, 0400};
    for (size_t i = 0; i < COUNT(modes); i++) {
        put_pattern(f, "from", 5000, 1);
        check_result(tree_set_mode(f, "from", modes[i]), 0);
        check_result(copy_to(f, "from", "to", 0), 5000);
        check_result(tree_stat(f, "to", 0).mode, modes[i]);
        check_result(copy_to(f, "from", "to", 0), 5000);
        check_result(tree_stat(f, "to", 0).mode, modes[i]);
        check_result(copy_to(f, "from", "all", EPIO_COPY_METADATA), 5000);
        check_result(tree_stat(f, "all", 0).mode, modes[i]);
        check_result(tree_set_mode(f, "from", 0600), 0);
        check_result(tree_delete(f, "from"), 0);
        check_result(tree_delete(f, "to"), 0);
        check_result(tree_delete(f, "all"), 0);
    }
}

static void metadata_is_kept_on_request(fixture *f)
{
    const int64_t then = INT64_C(1000000000) * 1000000000;
    epio_times times = EPIO_TIMES_INIT;
    epio_op op = {0};
    char value[16];
    put_pattern(f, "from", 5000, 1);
    int64_t has_xattrs = fixture_result(
        f, epio_set_xattr(&op, f->vfs, fixture_path(f, "from"), "user.colour", "blue", 4, 0));
    times.modified = then;
    times.accessed = then + 2000000000;
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "from"), &times, 0), 0);
    for (int i = 0; i < 2; i++) { /* a new file; one that is replaced */
        check_result(copy_to(f, "from", "to", EPIO_COPY_METADATA), 5000);
        epio_info info = tree_stat(f, "to", 0);
        check(info.modified == then);
        if (has_xattrs == 0) {
            check_op(f,
                     epio_get_xattr(&op, f->vfs, fixture_path(f, "to"), "user.colour", value,
                                    sizeof value, 0),
                     4);
            check(memcmp(value, "blue", 4) == 0);
        }
    }
    check_result(copy_to(f, "from", "plain", 0), 5000);
    check(tree_stat(f, "plain", 0).modified != then);
}

/* ---- Links ---- */

static void links_are_followed_or_copied(fixture *f)
{
    put_pattern(f, "file", 5000, 1);
    if (!tree_try_symlink(f, "file", "link")) {
        fixture_skip(f, "no symbolic links here");
    }
    check_result(copy_to(f, "link", "followed", 0), 5000);
    check_result(tree_stat(f, "followed", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_FILE);
    check_result(copy_to(f, "link", "same", EPIO_COPY_NOFOLLOW), 0);
    check_result(tree_stat(f, "same", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_LINK);
    check_pattern(f, "same", 5000, 1);
    put_pattern(f, "to", 10, 3);
    check_result(copy_to(f, "link", "to", EPIO_COPY_NOFOLLOW | EPIO_COPY_NO_REPLACE), EPIO_EEXIST);
    check_result(copy_to(f, "link", "to", EPIO_COPY_NOFOLLOW | EPIO_COPY_METADATA), 0);
    check_result(tree_stat(f, "to", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_LINK);
    check_result(copy_to(f, "link", "link", EPIO_COPY_NOFOLLOW), EPIO_EINVAL);
    check_result(copy_to(f, "link", "file", EPIO_COPY_NOFOLLOW), EPIO_EINVAL); /* it leads there */
    check_pattern(f, "file", 5000, 1);
    check_result(copy_to(f, "file", "other", EPIO_COPY_NOFOLLOW), 5000);
    check_result(names_in(f, ""), 6);
}

/* What it leads to is replaced, or made. */
static void a_link_at_the_target_stays(fixture *f)
{
    put_pattern(f, "from", 5000, 1);
    put_pattern(f, "old", 10, 2);
    if (!tree_try_symlink(f, "old", "link") || !tree_try_symlink(f, "missing", "dangling")) {
        fixture_skip(f, "no symbolic links here");
    }
    check_result(copy_to(f, "from", "link", 0), 5000);
    check_result(tree_stat(f, "link", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_LINK);
    check_pattern(f, "old", 5000, 1);
    check_result(copy_to(f, "from", "dangling", 0), 5000);
    check_result(tree_stat(f, "dangling", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_LINK);
    check_pattern(f, "missing", 5000, 1);
}

static void a_link_at_the_target_is_replaced_on_request(fixture *f)
{
    const uint32_t whole = EPIO_COPY_WHOLE;
    put_pattern(f, "from", 5000, 1);
    put_pattern(f, "old", 10, 2);
    for (uint32_t flags = 0; flags <= whole; flags += whole) {
        if (!tree_try_symlink(f, "old", "link") || !tree_try_symlink(f, "missing", "dangling")) {
            fixture_skip(f, "no symbolic links here");
        }
        check_result(copy_to(f, "from", "link", flags | EPIO_COPY_NO_REPLACE), EPIO_EEXIST);
        check_result(copy_to(f, "from", "dangling", flags | EPIO_COPY_NO_REPLACE), EPIO_EEXIST);
        check_result(copy_to(f, "from", "link", flags | EPIO_COPY_OVER_LINKS), 5000);
        check_result(copy_to(f, "from", "dangling", flags | EPIO_COPY_OVER_LINKS), 5000);
        check_result(tree_stat(f, "link", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_FILE);
        check_pattern(f, "link", 5000, 1);
        check_pattern(f, "dangling", 5000, 1);
        check_pattern(f, "old", 10, 2);
        check_result(fixture_exists(f, "missing"), false);
        check_result(tree_delete(f, "link"), 0);
        check_result(tree_delete(f, "dangling"), 0);
    }
    check_result(names_in(f, ""), 2);
}

/* It is the rename that gives it its name. */
static void a_new_file_is_named_once_it_is_whole(fixture *f)
{
    op_faults faults;
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    epio_op op = {0};
    epio_copy_options options = {.size = sizeof options, .flags = EPIO_COPY_WHOLE};
    put_pattern(f, "from", 70000, 1);
    faults.kind = EPIO_KIND_RENAME;
    faults.result = EPIO_EIO;
    faults.times = 1;
    for (int i = 0; i < 2; i++) {
        check_result(epio_perform(epio_copy(&op, vfs, fixture_path(f, "from"),
                                            fixture_path(f, "new"), &options)),
                     i == 0 ? EPIO_EIO : 70000);
        check_result(faults.counts[EPIO_KIND_RENAME], i + 1);
        check_result(names_in(f, ""), (size_t)i + 1);
    }
    check_pattern(f, "new", 70000, 1);
    check_result(copy_to(f, "from", "new", EPIO_COPY_WHOLE | EPIO_COPY_NO_REPLACE), EPIO_EEXIST);
    check_result(copy_to(f, "from", "other", EPIO_COPY_WHOLE | EPIO_COPY_NO_REPLACE), 70000);
    check_pattern(f, "other", 70000, 1);
    epio_vfs_destroy(vfs);
}

/* ---- What is refused ---- */

static void is_refused(fixture *f, const char *from, const char *to, const char *reason)
{
    epio_op op = {0};
    check_op(f, epio_copy(&op, f->vfs, fixture_path(f, from), fixture_path(f, to), NULL),
             EPIO_EINVAL);
    check(op.os_error == 0);
    const char *said = epio_op_invalid_reason(&op);
    check(said != NULL && strcmp(said, reason) == 0);
    check_pattern(f, from, 5000, 1);
}

static void a_file_is_not_copied_to_itself(fixture *f)
{
    static const char reason[] = "both paths lead to the same file";
    put_pattern(f, "file", 5000, 1);
    fixture_make_directory(f, "directory");
    is_refused(f, "file", "file", reason);
    is_refused(f, "file", "directory/../file", reason);
    if (tree_link(f, "file", "again") == 0) {
        is_refused(f, "file", "again", reason);
    }
    if (tree_try_symlink(f, "file", "link")) {
        is_refused(f, "file", "link", reason);
        is_refused(f, "link", "file", reason);
    }
}

static void bad_arguments_are_refused(fixture *f)
{
    epio_op op = {0};
    epio_copy_options options = {.size = sizeof options, .flags = 0x8000u};
    const char *path = fixture_path(f, "from");
    fixture_put(f, "from", "a", 1);
    fixture_make_directory(f, "directory");
    check_op(f, epio_copy(&op, f->vfs, path, NULL, NULL), EPIO_EINVAL);
    check_op(f, epio_copy(&op, f->vfs, NULL, path, NULL), EPIO_EINVAL);
    check_op(f, epio_copy(&op, f->vfs, path, "", NULL), EPIO_EINVAL);
    check_op(f, epio_copy(&op, f->vfs, path, path, &options), EPIO_EINVAL);
    options.flags = 0;
    options.size = 3;
    check_op(f, epio_copy(&op, f->vfs, path, path, &options), EPIO_EINVAL);
    check_result(copy_to(f, "none", "to", 0), EPIO_ENOENT);
    check_result(copy_to(f, "directory", "to", 0), EPIO_EISDIR);
    check_result(copy_to(f, "from", "directory", 0), EPIO_EISDIR);
    check_result(copy_to(f, "from", "none/to", 0), EPIO_ENOENT);
    check_result(names_in(f, ""), 2);
}

/* ---- Two VFSes ---- */

static void between_two_vfses(fixture *f)
{
    epio_op op = {0};
    epio_vfs *memory;
#if EPIO_ASYNC
    epio_loop *loop = f->loop;
#else
    epio_loop *loop = NULL;
#endif
    const size_t len = 9 * MIB + 17;
    epio_copy_options options = {.size = sizeof options, .in_flight = 3};
    for (int without = 0; without < 2; without++) {
        check_result(memory_vfs_make(&memory, without == 0 ? loop : NULL, f->directory), 0);
        put_pattern(f, "from", len, 1);
        options.to_vfs = memory;
        check_op(f,
                 epio_copy(&op, f->vfs, fixture_path(f, "from"), fixture_path(f, "to"), &options),
                 len);
        check_result(fixture_exists(f, "to"), 0);
        if (without == 0) {
            options.to_vfs = f->vfs;
            check_op(
                f, epio_copy(&op, memory, fixture_path(f, "to"), fixture_path(f, "back"), &options),
                len);
            check_pattern(f, "back", len, 1);
            check_result(tree_delete(f, "back"), 0);
        }
        epio_vfs_destroy(memory);
    }
}

/* ---- Failures ---- */

/* Every call fails in turn; then all is as before. */
static void fails_at(fixture *f, epio_vfs *vfs, op_faults *faults, uint32_t kind, uint32_t flags)
{
    epio_copy_options options = {.size = sizeof options, .flags = flags};
    const char *from = fixture_path(f, "from");
    const char *to = fixture_path(f, "to");
    const char *new = fixture_path(f, "new");
    for (uint32_t skip = 0;; skip++) {
        epio_op op = {0};
        faults->kind = kind;
        faults->skip = skip;
        faults->times = 1;
        faults->result = EPIO_EIO;
        faults->os_error = 5;
        bool over = false;
        for (int i = 0; i < 2; i++) {
            faults->skip = skip;
            faults->times = 1;
            memset(faults->counts, 0, sizeof faults->counts);
            int64_t result = epio_perform(epio_copy(&op, vfs, from, i == 0 ? to : new, &options));
            bool failed = faults->counts[kind] > skip;
            over = i == 0 ? !failed : over && !failed;
            faults->times = 0;
            check(result == EPIO_EIO || result == 70000);
            if (result < 0) {
                check(failed && op.os_error == 5);
            }
            check_result(fixture_exists(f, "new"), i == 1 && result >= 0);
            check_pattern(f, "to", result < 0 || i == 1 ? 300 : 70000,
                          result < 0 || i == 1 ? 2 : 1);
            if (result >= 0) {
                if (i == 1) {
                    check_result(tree_delete(f, "new"), 0);
                } else {
                    put_pattern(f, "to", 300, 2);
                }
            }
            check_result(names_in(f, ""), 2);
        }
        if (over) {
            return;
        }
    }
}

static void failures_leave_nothing(fixture *f)
{
    static const uint8_t kinds[] = {EPIO_KIND_OPEN,
                                    EPIO_KIND_READ,
                                    EPIO_KIND_WRITE,
                                    EPIO_KIND_FILE_STAT,
                                    EPIO_KIND_STAT,
                                    EPIO_KIND_COPY_RANGE,
                                    EPIO_KIND_RENAME,
                                    EPIO_KIND_SYNC,
                                    EPIO_KIND_FILE_SET_TIMES,
                                    EPIO_KIND_LOCK_RANGE,
                                    EPIO_KIND_SYNC_DIRECTORY,
                                    EPIO_KIND_FILE_SET_MODE,
                                    EPIO_KIND_FILE_LIST_XATTRS};
    op_faults faults;
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    put_pattern(f, "from", 70000, 1);
    put_pattern(f, "to", 300, 2);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        fails_at(f, vfs, &faults, kinds[i], 0);
        fails_at(f, vfs, &faults, kinds[i], EPIO_COPY_METADATA | EPIO_COPY_DURABLE);
        fails_at(f, vfs, &faults, kinds[i], EPIO_COPY_WHOLE | EPIO_COPY_DURABLE);
    }
    epio_vfs_destroy(vfs);
}

/* ---- Cancel and progress ---- */

#if EPIO_ASYNC

static void cancels_leave_nothing(fixture *f)
{
    epio_vfs *memory;
    epio_copy_options options = {.size = sizeof options};
    const char *from = fixture_path(f, "from");
    const char *to = fixture_path(f, "to");
    check_result(memory_vfs_make(&memory, f->loop, f->directory), 0);
    put_pattern(f, "from", 12 * MIB, 1);
    options.to_vfs = memory;
    epio_op op = {0};
    check_result(epio_wait(epio_copy(&op, f->vfs, from, from, &options)), 12 * MIB);
    options.to_vfs = f->vfs;
    unsigned cancelled = 0;
    for (unsigned i = 0; i < fixture_rounds(60); i++) {
        int64_t result;
        memset(&op, 0, sizeof op);
        if (i % 3 == 2) {
            op.timeout_ns = 1 + i * 40000;
            epio_submit(epio_copy(&op, memory, from, to, &options));
            result = epio_wait(&op);
            check(result == EPIO_ETIMEDOUT || result == 12 * (int64_t)MIB);
        } else {
            epio_submit(epio_copy(&op, i % 3 == 0 ? memory : f->vfs, from, to, &options));
            uint64_t until = epio_clock_monotonic() + i * 50000;
            while (epio_clock_monotonic() < until && epio_op_pending(&op)) {
                (void)epio_loop_poll(f->loop, 10000, 16);
            }
            epio_cancel(&op);
            result = epio_op_pending(&op) ? epio_wait(&op) : op.result;
            check(result == EPIO_ECANCELED || result == 12 * (int64_t)MIB);
        }
        cancelled += result < 0;
        if (result >= 0) {
            check_pattern(f, "to", 12 * MIB, 1);
            check_result(tree_delete(f, "to"), 0);
        }
        check_result(names_in(f, ""), 1);
    }
    check(cancelled != 0);
    epio_vfs_destroy(memory);
}

/* Copied again until it was seen in the middle. */
static void progress_is_seen(fixture *f)
{
    epio_vfs *memory;
    epio_op op = {0};
    epio_copy_options options = {.size = sizeof options, .in_flight = 1};
    epio_progress_info info = {.size = sizeof info};
    check_result(memory_vfs_make(&memory, f->loop, f->directory), 0);
    put_pattern(f, "from", 64 * MIB, 1);
    options.to_vfs = memory;
    const char *from = fixture_path(f, "from");
    const char *to = fixture_path(f, "to");
    for (bool seen = false; !seen;) {
        uint64_t last = 0;
        epio_submit(epio_copy(&op, f->vfs, from, to, &options));
        while (epio_op_pending(&op)) {
            if (epio_progress(&op, &info) == 0) {
                check(info.bytes >= last && info.bytes <= 64 * MIB && info.total_files <= 1);
                check(info.total_bytes == 0 || info.total_bytes == 64 * MIB);
                last = info.bytes;
            }
            (void)epio_loop_poll(f->loop, 1000000, 16);
        }
        check_result(op.result, 64 * MIB);
        seen = last != 0;
    }
    check_result(epio_progress(&op, &info), EPIO_ENOTSUP);
    epio_vfs_destroy(memory);
}

static void a_closing_loop_ends_a_copy(fixture *f)
{
    epio_loop *loop;
    epio_vfs *memory;
    epio_copy_options options = {.size = sizeof options};
    int delivered = 0;
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(memory_vfs_make(&memory, loop, f->directory), 0);
    put_pattern(f, "from", 32 * MIB, 1);
    options.to_vfs = epio_loop_vfs(loop);
    epio_op op = {0};
    options.to_vfs = memory;
    epio_submit(epio_copy(count_delivery(&op, &delivered), epio_loop_vfs(loop),
                          fixture_path(f, "from"), fixture_path(f, "to"), &options));
    (void)epio_loop_poll(loop, 0, 16);
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check(delivered == 1 && (op.result == EPIO_ECANCELED || op.result == 32 * (int64_t)MIB));
    epio_vfs_destroy(memory);
    epio_loop_destroy(loop);
}

#endif

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(files_of_all_sizes_are_copied, ON_ANY),
        FIXTURE_TEST(a_file_that_is_there_is_replaced, ON_ANY),
        FIXTURE_TEST(durable_copies_are_copies, ON_ANY),
        FIXTURE_TEST(holes_stay_holes, ON_ANY),
        FIXTURE_TEST_POSIX(permissions_are_copied, ON_ANY, "there are no POSIX modes"),
        FIXTURE_TEST(metadata_is_kept_on_request, ON_ANY),
        FIXTURE_TEST(links_are_followed_or_copied, ON_ANY),
        FIXTURE_TEST(a_link_at_the_target_stays, ON_ANY),
        FIXTURE_TEST(a_link_at_the_target_is_replaced_on_request, ON_ANY),
        FIXTURE_TEST(a_new_file_is_named_once_it_is_whole, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_file_is_not_copied_to_itself, ON_ANY),
        FIXTURE_TEST(bad_arguments_are_refused, ON_ANY),
        FIXTURE_TEST(between_two_vfses, ON_ANY),
        FIXTURE_TEST(failures_leave_nothing, ON_OS_PERFORM | ON_MEMORY_PERFORM),
#if EPIO_ASYNC
        FIXTURE_TEST(cancels_leave_nothing, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(progress_is_seen, ON_OS | ON_MEMORY),
        FIXTURE_TEST(a_closing_loop_ends_a_copy, ON_OS),
#endif
    };
    return FIXTURE_RUN("copy_file", tests);
}
