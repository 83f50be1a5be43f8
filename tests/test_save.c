/* Saving: what is at the path afterwards, which result says what, and that nothing else is left,
 * in every setting. What only POSIX has is in test_save_posix.c. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* ---- Looking at the directory -------------------------------------------- */

/* Its entries. */
static int entries(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    uint64_t buffer[512];
    int count = 0;
    int64_t len;
    check_op(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *directory = op.file;
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

static int64_t save(fixture *f, const char *name, const char *text,
                    const epio_save_options *options)
{
    epio_op op = EPIO_OP_INIT;
    return fixture_result(
        f, epio_save(&op, f->vfs, fixture_path(f, name), text, strlen(text), options));
}

static int64_t save_with(fixture *f, const char *name, const char *text, uint32_t flags)
{
    epio_save_options options = {.size = sizeof options, .flags = flags};
    return save(f, name, text, &options);
}

static void check_text_at(fixture *f, const char *name, const char *text, int line)
{
    check_content_at(f, name, text, strlen(text), __FILE__, line);
}

#define check_text(f, name, text) check_text_at(f, name, text, __LINE__)

static void put_text(fixture *f, const char *name, const char *text)
{
    fixture_put(f, name, text, strlen(text));
}

static void describe(fixture *f, const char *name, epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    info->size = sizeof *info;
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, name), info, EPIO_STAT_NOFOLLOW), 0);
}

/* ---- The whole file -------------------------------------------------------- */

static void a_new_file_is_made(fixture *f)
{
    check_result(save(f, "file", "new", NULL), 0);
    check_text(f, "file", "new");
    check_result(entries(f), 1);
}

static void an_old_file_is_replaced(fixture *f)
{
    put_text(f, "file", "old and longer");
    check_result(save(f, "file", "new", NULL), 0);
    check_text(f, "file", "new");
    check_result(save(f, "file", "", NULL), 0);
    check_text(f, "file", "");
    check_result(save_with(f, "file", "not synced", EPIO_SAVE_NO_DURABLE), 0);
    check_text(f, "file", "not synced");
    check_result(entries(f), 1);
}

static void who_has_the_old_one_open_keeps_it(fixture *f)
{
    char bytes[8];
    put_text(f, "file", "old");
    epio_file *file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_result(save(f, "file", "new", NULL), 0);
    fixture_read(f, file, bytes, 3, 0);
    assert_memory_equal(bytes, "old", 3);
    fixture_close(f, file);
    check_text(f, "file", "new");
}

static void parts_come_in_order(fixture *f)
{
    enum { PARTS = 300 };
    static char bytes[PARTS * 7];
    epio_iovec parts[PARTS];
    epio_op op = EPIO_OP_INIT;
    pattern_fill(bytes, sizeof bytes, 0);
    size_t used = 0;
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = (epio_iovec){i % 5 == 0 ? NULL : bytes + used, i % 5 == 0 ? 0 : 7};
        used += parts[i].len;
    }
    check_op(f, epio_savev(&op, f->vfs, fixture_path(f, "file"), parts, PARTS, NULL), 0);
    check_content(f, "file", bytes, used);
    check_op(f, epio_savev(&op, f->vfs, fixture_path(f, "file"), NULL, 0, NULL), 0);
    check_text(f, "file", "");
    check_result(entries(f), 1);
}

static void large_files_are_written_in_pieces(fixture *f)
{
    const size_t len = ((size_t)9 << 20) + 123;
    char *bytes = malloc(len);
    epio_op op = EPIO_OP_INIT;
    epio_iovec parts[3] = {{bytes, 1}, {bytes + 1, len - 3}, {bytes + len - 2, 2}};
    pattern_fill(bytes, len, 0);
    check_op(f, epio_save(&op, f->vfs, fixture_path(f, "one"), bytes, len, NULL), 0);
    check_content(f, "one", bytes, len);
    check_op(f, epio_savev(&op, f->vfs, fixture_path(f, "two"), parts, 3, NULL), 0);
    check_content(f, "two", bytes, len);
    free(bytes);
}

static void long_names_have_room(fixture *f)
{
    char name[256];
    for (size_t len = 236; len <= 255; len++) {
        memset(name, 'n', len);
        name[len] = '\0';
        if (save(f, name, "text", NULL) == EPIO_ENAMETOOLONG) {
            break; /* the file system has shorter ones */
        }
        check_text(f, name, "text");
        check_result(save(f, name, "again", NULL), 0);
        check_text(f, name, "again");
        check_result(entries(f), 1);
        epio_op op = EPIO_OP_INIT;
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, name), 0), 0);
    }
}

static void names_of_an_open_directory(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    check_op(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *directory = op.file;
    epio_vfs *vfs = epio_directory_vfs(directory);
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_BACKUP};
    check_op(f, epio_save(&op, vfs, "file", "old", 3, NULL), 0);
    check_op(f, epio_save(&op, vfs, "file", "new", 3, &options), 0);
    fixture_close(f, directory);
    check_text(f, "file", "new");
    check_text(f, "file~", "old");
    check_result(entries(f), 2);
}

static void directories_are_refused(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    fixture_make_directory(f, "directory");
    check_result(save(f, "directory", "x", NULL), EPIO_EISDIR);
    check_result(save(f, "new/", "x", NULL), EPIO_EISDIR);
    check_result(save_with(f, "directory", "x", EPIO_SAVE_IN_PLACE_FALLBACK), EPIO_EISDIR);
    check_result(save(f, "none/file", "x", NULL), EPIO_ENOENT);
    put_text(f, "file", "old");
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_BACKUP};
    options.backup = fixture_path(f, "directory");
    check_op(f, epio_save(&op, f->vfs, fixture_path(f, "file"), "new", 3, &options), EPIO_EISDIR);
    check_text(f, "file", "old");
    check_result(entries(f), 2);
}

/* ---- What is left ----------------------------------------------------------- */

static void leftovers_are_removed(fixture *f)
{
    put_text(f, ".file.saving", "half");
    put_text(f, ".file.saving1", "half");
    put_text(f, ".file.saving3", "half");
    put_text(f, ".other.saving", "of another");
    check_result(save(f, "file", "new", NULL), 0);
    check_text(f, "file", "new");
    check_result(entries(f), 2);
    put_text(f, ".file.saving2", "half");
    check_result(save(f, "file", "newer", NULL), 0);
    check_result(entries(f), 2);
    check_text(f, ".other.saving", "of another");
}

static void all_slots_may_be_left(fixture *f)
{
    put_text(f, ".file.saving", "half");
    put_text(f, ".file.saving1", "half");
    put_text(f, ".file.saving2", "half");
    put_text(f, ".file.saving3", "half");
    check_result(save(f, "file", "new", NULL), 0);
    check_text(f, "file", "new");
    check_result(entries(f), 1);
}

static void what_is_no_file_is_left_alone(fixture *f)
{
    fixture_make_directory(f, ".file.saving");
    check_result(save(f, "file", "new", NULL), 0);
    check_text(f, "file", "new");
    check_result(fixture_exists(f, ".file.saving"), 1);
    check_result(entries(f), 2);
    fixture_make_directory(f, ".file.saving1");
    fixture_make_directory(f, ".file.saving2");
    fixture_make_directory(f, ".file.saving3");
    check_result(save(f, "file", "newer", NULL), 0);
    check_text(f, "file", "newer");
    check_result(entries(f), 5);
}

/* ---- Backups ----------------------------------------------------------------- */

static void the_old_file_is_kept(fixture *f)
{
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_BACKUP};
    check_result(save(f, "file", "1", &options), 0);
    check_result(entries(f), 1); /* there was nothing to keep */
    check_result(save(f, "file", "2", &options), 0);
    check_text(f, "file~", "1");
    check_result(save(f, "file", "3", &options), 0);
    check_text(f, "file~", "2");
    check_text(f, "file", "3");
    check_result(entries(f), 2);
    fixture_make_directory(f, "backups");
    options.backup = fixture_path(f, "backups/kept");
    check_result(save(f, "file", "4", &options), 0);
    check_result(save(f, "file", "5", &options), 0);
    check_text(f, "backups/kept", "4");
    check_text(f, "file~", "2");
    check_result(entries(f), 3);
}

static void a_backup_that_is_the_file_already(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    put_text(f, "file", "old");
    if (fixture_result(f, epio_link_file(&op, f->vfs, fixture_path(f, "file"),
                                         fixture_path(f, "file~"), 0)) == EPIO_ENOTSUP) {
        return;
    }
    check_result(save_with(f, "file", "new", EPIO_SAVE_BACKUP), EPIO_SAVED_LINKS_LOST);
    check_text(f, "file", "new");
    check_text(f, "file~", "old");
    check_result(entries(f), 2);
}

/* ---- Only what was loaded ---------------------------------------------------- */

static void only_what_was_loaded_is_replaced(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_info known = {.size = sizeof known};
    epio_buffer buffer = {.size = sizeof buffer};
    epio_load_options load = {.size = sizeof load, .loaded = &known};
    epio_save_options options = {.size = sizeof options,
                                 .flags = EPIO_SAVE_IF_UNCHANGED,
                                 .expected = &known,
                                 .saved = &known};
    put_text(f, "file", "old");
    check_op(f, epio_load(&op, f->vfs, fixture_path(f, "file"), &buffer, &load), 3);
    assert_string_equal(buffer.data, "old");
    epio_buffer_free(&buffer);
    check_result(save(f, "file", "first", &options), 0);
    check_result(save(f, "file", "second", &options), 0);
    check_text(f, "file", "second");
    put_text(f, "file", "of another"); /* longer */
    check_result(save(f, "file", "third", &options), EPIO_ECHANGED);
    check_text(f, "file", "of another");
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    check_result(save(f, "file", "third", &options), EPIO_ECHANGED);
    check_result(entries(f), 0);
}

static void the_time_alone_tells(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_info known = {.size = sizeof known};
    epio_times times = EPIO_TIMES_INIT;
    epio_save_options options = {
        .size = sizeof options, .flags = EPIO_SAVE_IF_UNCHANGED, .expected = &known};
    put_text(f, "file", "old");
    describe(f, "file", &known);
    times.modified = known.modified - 1000000000;
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "file"), &times, 0), 0);
    check_result(save(f, "file", "new", &options), EPIO_ECHANGED);
    times.modified = known.modified;
    check_op(f, epio_set_times(&op, f->vfs, fixture_path(f, "file"), &times, 0), 0);
    check_result(save(f, "file", "new", &options), 0);
}

static void what_was_not_there_is_not_replaced(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_info known = {.size = sizeof known, .known = EPIO_INFO_ID};
    epio_buffer buffer = {.size = sizeof buffer};
    epio_load_options load = {.size = sizeof load, .loaded = &known};
    epio_save_options options = {
        .size = sizeof options, .flags = EPIO_SAVE_IF_UNCHANGED, .expected = &known};
    check_op(f, epio_load(&op, f->vfs, fixture_path(f, "file"), &buffer, &load), EPIO_ENOENT);
    check_result(known.known, 0);
    check_result(save(f, "file", "new", &options), 0);
    check_result(save(f, "file", "newer", &options), EPIO_ECHANGED);
    check_text(f, "file", "new");
    check_result(entries(f), 1);
    epio_buffer_free(&buffer);
}

/* ---- In steps ---------------------------------------------------------------- */

static epio_saving *begin(fixture *f, const char *name, const epio_save_options *options)
{
    epio_op op = EPIO_OP_INIT;
    epio_saving *saving = NULL;
    check_op(f, epio_save_begin(&op, f->vfs, fixture_path(f, name), options, &saving), 0);
    assert_non_null(saving);
    return saving;
}

static void write_text(fixture *f, const epio_saving *saving, const char *text)
{
    fixture_write(f, epio_saving_file(saving), text, strlen(text), 0);
}

static void steps_are_one_save(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_info saved = {.size = sizeof saved};
    epio_info now;
    epio_save_options options = {.size = sizeof options, .saved = &saved};
    char bytes[3];
    put_text(f, "file", "old");
    epio_saving *saving = begin(f, "file", &options);
    write_text(f, saving, "new");
    check_text(f, "file", "old");
    fixture_read(f, epio_saving_file(saving), bytes, 3, 0);
    assert_memory_equal(bytes, "new", 3);
    check_op(f, epio_save_commit(&op, saving), 0);
    check_text(f, "file", "new");
    describe(f, "file", &now);
    check_result(saved.id[0], now.id[0]);
    check_result(saved.bytes, 3);
    check_result(saved.modified, now.modified);
    check_result(entries(f), 1);
}

static void an_abandoned_save_leaves_nothing(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    put_text(f, "file", "old");
    epio_saving *saving = begin(f, "file", NULL);
    write_text(f, saving, "new");
    check_op(f, epio_save_abandon(&op, saving), 0);
    check_text(f, "file", "old");
    check_result(entries(f), 1);
    saving = begin(f, "other", NULL);
    check_op(f, epio_save_abandon(&op, saving), 0);
    check_result(entries(f), 1);
}

static void several_save_one_file(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    put_text(f, "file", "old");
    epio_saving *one = begin(f, "file", NULL);
    epio_saving *two = begin(f, "file", NULL);
    write_text(f, one, "one");
    write_text(f, two, "two");
    check_result(save(f, "file", "three", NULL), 0);
    check_text(f, "file", "three");
    check_result(entries(f), 3); /* none took another's for a leftover */
    check_op(f, epio_save_commit(&op, two), 0);
    check_text(f, "file", "two");
    check_op(f, epio_save_commit(&op, one), 0);
    check_text(f, "file", "one");
    check_result(entries(f), 1);
}

static void a_commit_that_failed_can_be_repeated(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_info known = {.size = sizeof known};
    epio_save_options options = {
        .size = sizeof options, .flags = EPIO_SAVE_IF_UNCHANGED, .expected = &known};
    epio_saving *saving = begin(f, "file", &options);
    write_text(f, saving, "new");
    put_text(f, "file", "of another");
    check_op(f, epio_save_commit(&op, saving), EPIO_ECHANGED);
    check_text(f, "file", "of another");
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    check_op(f, epio_save_commit(&op, saving), 0);
    check_text(f, "file", "new");
    saving = begin(f, "other", &options);
    put_text(f, "other", "of another");
    check_op(f, epio_save_commit(&op, saving), EPIO_ECHANGED);
    check_op(f, epio_save_abandon(&op, saving), 0);
    check_text(f, "other", "of another");
    check_result(entries(f), 2);
}

static void a_directory_may_have_got_the_name(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_saving *saving = begin(f, "file", NULL);
    write_text(f, saving, "new");
    fixture_make_directory(f, "file");
    check_op(f, epio_save_commit(&op, saving), EPIO_EISDIR);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    check_op(f, epio_save_commit(&op, saving), 0);
    check_text(f, "file", "new");
}

static void what_is_given_is_copied(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_saving *saving;
    char path[1024];
    char backup[1024];
    epio_save_options options = {
        .size = sizeof options, .flags = EPIO_SAVE_BACKUP, .backup = backup};
    put_text(f, "file", "old");
    (void)snprintf(path, sizeof path, "%s", fixture_path(f, "file"));
    (void)snprintf(backup, sizeof backup, "%s", fixture_path(f, "kept"));
    check_op(f, epio_save_begin(&op, f->vfs, path, &options, &saving), 0);
    memset(path, 'x', sizeof path);
    memset(backup, 'x', sizeof backup);
    memset(&options, 0xFF, sizeof options);
    write_text(f, saving, "new");
    check_op(f, epio_save_commit(&op, saving), 0);
    check_text(f, "file", "new");
    check_text(f, "kept", "old");
    check_result(entries(f), 2);
}

/* ---- In place ------------------------------------------------------------------ */

/* False: there are no hard links here. */
static bool make_two_names(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    put_text(f, "file", "old and longer");
    return fixture_result(f, epio_link_file(&op, f->vfs, fixture_path(f, "file"),
                                            fixture_path(f, "twin"), 0)) == 0;
}

static void hard_links_are_lost_or_kept(fixture *f)
{
    epio_info before;
    epio_info now;
    if (!make_two_names(f)) {
        return;
    }
    describe(f, "file", &before);
    check_result(save_with(f, "file", "new", EPIO_SAVE_IN_PLACE_FALLBACK), EPIO_SAVED_IN_PLACE);
    describe(f, "file", &now);
    check_result(now.id[0], before.id[0]);
    check_text(f, "twin", "new");
    check_result(entries(f), 2);
    check_result(save_with(f, "file", "newer", EPIO_SAVE_IN_PLACE_FALLBACK | EPIO_SAVE_BACKUP),
                 EPIO_SAVED_IN_PLACE);
    check_text(f, "twin", "newer");
    check_text(f, "file~", "new");
    check_result(save(f, "file", "alone", NULL), EPIO_SAVED_LINKS_LOST);
    check_text(f, "file", "alone");
    check_text(f, "twin", "newer");
    check_result(entries(f), 3);
}

static void steps_in_place(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options, .flags = EPIO_SAVE_IN_PLACE_FALLBACK};
    if (!make_two_names(f)) {
        return;
    }
    epio_saving *saving = begin(f, "file", &options);
    write_text(f, saving, "new");
    check_text(f, "file", "old and longer");
    check_op(f, epio_save_commit(&op, saving), EPIO_SAVED_IN_PLACE);
    check_text(f, "twin", "new");
    saving = begin(f, "file", &options);
    write_text(f, saving, "other");
    check_op(f, epio_save_abandon(&op, saving), 0);
    check_text(f, "twin", "new");
    check_result(entries(f), 2);
}

/* ---- Metadata -------------------------------------------------------------------- */

static void attributes_are_kept(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    char value[4096];
    static char large[2000];
    put_text(f, "file", "old");
    const char *path = fixture_path(f, "file");
    memset(large, 'v', sizeof large);
    if (fixture_result(f, epio_set_xattr(&op, f->vfs, path, "user.small", "s", 1, 0)) < 0) {
        return; /* the file system has none */
    }
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.large", large, sizeof large, 0), 0);
    check_op(f, epio_set_xattr(&op, f->vfs, path, "user.empty", NULL, 0, 0), 0);
    check_result(save(f, "file", "new", NULL), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.small", value, sizeof value, 0), 1);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.empty", value, sizeof value, 0), 0);
    check_op(f, epio_get_xattr(&op, f->vfs, path, "user.large", value, sizeof value, 0),
             sizeof large);
    assert_memory_equal(value, large, sizeof large);
}

static void permissions_are_kept(fixture *f)
{
    static const uint32_t modes[] = {0600, 0644, 0444, 0755, 0640, 0400, 01777};
    epio_op op = EPIO_OP_INIT;
    epio_info info;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        put_text(f, "file", "old");
        const char *path = fixture_path(f, "file");
        check_op(f, epio_set_mode(&op, f->vfs, path, modes[i], 0), 0);
        check_result(save(f, "file", "new", NULL), 0);
        describe(f, "file", &info);
        check_result(info.mode, modes[i]);
        check_op(f, epio_delete(&op, f->vfs, path, 0), 0);
        check_result(entries(f), 0);
    }
    epio_save_options options = {.size = sizeof options, .permissions = 0640};
    unsigned mask = system_umask(022);
    check_result(save(f, "file", "new", &options), 0);
    check_result(save(f, "usual", "new", NULL), 0);
    (void)system_umask(mask);
    describe(f, "file", &info);
    check_result(info.mode, 0640);
    describe(f, "usual", &info);
    check_result(info.mode, f->memory ? 0666 : 0644);
}

/* ---- Arguments -------------------------------------------------------------------- */

static void bad_arguments_are_refused(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    const char *path = fixture_path(f, "file");
    epio_save_options options = {.size = sizeof options, .flags = 16};
    epio_iovec part = {NULL, 1};
    epio_saving *saving = (epio_saving *)&op;
    check_op(f, epio_save(&op, f->vfs, path, "x", 1, &options), EPIO_EINVAL);
    options.flags = EPIO_SAVE_IF_UNCHANGED;
    check_op(f, epio_save(&op, f->vfs, path, "x", 1, &options), EPIO_EINVAL);
    options.flags = 0;
    options.permissions = 01000;
    check_op(f, epio_save(&op, f->vfs, path, "x", 1, &options), EPIO_EINVAL);
    options.permissions = 0;
    options.size = 4;
    check_op(f, epio_save(&op, f->vfs, path, "x", 1, &options), EPIO_EINVAL);
    check_op(f, epio_save(&op, f->vfs, path, NULL, 1, NULL), EPIO_EINVAL);
    check_op(f, epio_save(&op, f->vfs, "", "x", 1, NULL), EPIO_EINVAL);
    check_op(f, epio_savev(&op, f->vfs, path, &part, 1, NULL), EPIO_EINVAL);
    assert_string_equal(epio_op_invalid_reason(&op), "the buffer of a part is NULL");
    check_op(f, epio_save_begin(&op, f->vfs, path, &options, &saving), EPIO_EINVAL);
    assert_null(saving);
    check_op(f, epio_save_begin(&op, f->vfs, path, NULL, NULL), EPIO_EINVAL);
    assert_null(epio_saving_file(NULL));
    check_result(epio_perform(epio_save_commit(&op, NULL)), EPIO_EINVAL);
    assert_string_equal(epio_op_invalid_reason(&op), "the saving is NULL");
    check_result(epio_perform(epio_save_abandon(&op, NULL)), EPIO_EINVAL);
    check_result(entries(f), 0);
}

/* Somebody takes the name that the new file has meanwhile. */
static void what_is_not_its_own_is_left_alone(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_saving *saving;
    fixture_put(f, "file", "old", 3);
    check_result(
        fixture_result(f, epio_save_begin(&op, f->vfs, fixture_path(f, "file"), NULL, &saving)), 0);
    check_op(f, epio_write(&op, epio_saving_file(saving), "new", 3, 0), 3);
    fixture_put(f, "others", "others", 6);
    check_op(
        f, epio_rename(&op, f->vfs, fixture_path(f, "others"), fixture_path(f, ".file.saving"), 0),
        0);
    check_result(fixture_result(f, epio_save_commit(&op, saving)), EPIO_ENOENT);
    check_result(fixture_result(f, epio_save_abandon(&op, saving)), 0);
    check_text(f, "file", "old");
    check_text(f, ".file.saving", "others");
}

static void a_backup_is_another_file(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {
        .size = sizeof options, .flags = EPIO_SAVE_BACKUP, .backup = fixture_path(f, "file")};
    fixture_put(f, "file", "old", 3);
    check_result(
        fixture_result(f, epio_save(&op, f->vfs, fixture_path(f, "file"), "new", 3, &options)),
        EPIO_EINVAL);
    check_text(f, "file", "old");
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_new_file_is_made, ON_ANY),
        FIXTURE_TEST(an_old_file_is_replaced, ON_ANY),
        FIXTURE_TEST(who_has_the_old_one_open_keeps_it, ON_ANY),
        FIXTURE_TEST(parts_come_in_order, ON_ANY),
        FIXTURE_TEST(large_files_are_written_in_pieces, ON_OS_ONCE | ON_MEMORY_PERFORM),
        FIXTURE_TEST(long_names_have_room, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(names_of_an_open_directory, ON_ANY),
        FIXTURE_TEST(directories_are_refused, ON_ANY),
        FIXTURE_TEST(leftovers_are_removed, ON_ANY),
        FIXTURE_TEST(all_slots_may_be_left, ON_ANY),
        FIXTURE_TEST(what_is_no_file_is_left_alone, ON_ANY),
        FIXTURE_TEST(the_old_file_is_kept, ON_ANY),
        FIXTURE_TEST(a_backup_that_is_the_file_already, ON_ANY),
        FIXTURE_TEST(only_what_was_loaded_is_replaced, ON_ANY),
        FIXTURE_TEST(the_time_alone_tells, ON_ANY),
        FIXTURE_TEST(what_was_not_there_is_not_replaced, ON_ANY),
        FIXTURE_TEST(steps_are_one_save, ON_ANY),
        FIXTURE_TEST(an_abandoned_save_leaves_nothing, ON_ANY),
        FIXTURE_TEST(several_save_one_file, ON_ANY),
        FIXTURE_TEST(a_commit_that_failed_can_be_repeated, ON_ANY),
        FIXTURE_TEST(a_directory_may_have_got_the_name, ON_ANY),
        FIXTURE_TEST(what_is_given_is_copied, ON_ANY),
        FIXTURE_TEST(hard_links_are_lost_or_kept, ON_ANY),
        FIXTURE_TEST(steps_in_place, ON_ANY),
        FIXTURE_TEST(attributes_are_kept, ON_ANY),
        FIXTURE_TEST(what_is_not_its_own_is_left_alone, ON_ANY),
        FIXTURE_TEST(a_backup_is_another_file, ON_ANY),
        FIXTURE_TEST_POSIX(permissions_are_kept, ON_ANY, "Windows has no mode bits"),
        FIXTURE_TEST(bad_arguments_are_refused, ON_ANY),
    };
    return FIXTURE_RUN("save", tests);
}
