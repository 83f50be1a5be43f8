/* Directories as only Windows has them: names of half a character, what older systems lack, lists
 * that end in any way; and paths in an open directory by every verb. EPIO_TEST_WITHOUT_LOOP: also
 * without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

static epio__win32_calls real;

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

/* ---- Making and removing directories -------------------------------------------- */

static DWORD flush_error;
static int flushes;

static BOOL WINAPI scripted_flush(HANDLE handle)
{
    flushes++;
    return flush_error != 0 ? end_with(flush_error) : real.flush(handle);
}

static void directories_are_made_and_removed(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "", 0);
    make_directory(f, "a");
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "a"), 0), EPIO_EEXIST);
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "a/"), EPIO_MKDIR_PARENTS), 0);
    check_result(op.os_error, 0);
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "x/y"), 0), EPIO_ENOENT);
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "file/y"), 0), EPIO_ENOTDIR);
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "file/y/z"), EPIO_MKDIR_PARENTS),
             EPIO_ENOTDIR);
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "file"), EPIO_MKDIR_PARENTS), EPIO_EEXIST);
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "a/b/c\xc3\xa9/d"), EPIO_MKDIR_PARENTS), 0);
    check_op(f, epio_mkdir(&op, f->vfs, "C:/", 0), EPIO_EEXIST);
    check_op(f, epio_mkdir(&op, f->vfs, "C:/", EPIO_MKDIR_PARENTS), 0);
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "AUX"), 0), EPIO_EINVAL);

    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/b"), 0), EPIO_ENOTEMPTY);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "file"), 0), EPIO_ENOTDIR);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "none"), 0), EPIO_ENOENT);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/."), 0), EPIO_EINVAL);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "a"), 0), EPIO_EISDIR);
    check_op(f, epio_set_mode(&op, f->vfs, fixture_path(f, "a/b/c\xc3\xa9/d"), 0555, 0), 0);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/b/c\xc3\xa9/d"), 0), 0);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/b/c\xc3\xa9"), 0), 0);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/b/"), 0), 0);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a"), 0), 0);
    check_result(count_entries(f->directory), 1);
}

static void durable_directories_are_flushed(fixture *f)
{
    epio_op op = {0};
    const uint32_t make = EPIO_MKDIR_SYNC_DIR;
    real = epio__win32;
    epio__win32.flush = scripted_flush;
    flush_error = 0;
    flushes = 0;
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "a"), make), 0);
    check_result(flushes, 1);
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "a/b/c"), make | EPIO_MKDIR_PARENTS), 0);
    check_result(flushes, 3);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/b/c"), EPIO_RMDIR_SYNC_DIR), 0);
    check_result(flushes, 4);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/none"), EPIO_RMDIR_SYNC_DIR),
             EPIO_ENOENT);
    check_result(flushes, 4);
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, "a"), DIRECTORY), 0);
    epio_file *directory = op.file;
    check_op(f, epio_sync(&op, directory, 0), 0);
    check_result(flushes, 5);
    flush_error = ERROR_DISK_FULL;
    check_op_fails(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/b"), EPIO_RMDIR_SYNC_DIR),
                   EPIO_EIO, ERROR_DISK_FULL);
    check_op_fails(f, epio_mkdir(&op, f->vfs, fixture_path(f, "a/new"), make), EPIO_EIO,
                   ERROR_DISK_FULL);
    check_op_fails(f, epio_sync(&op, directory, 0), EPIO_ENOSPC, ERROR_DISK_FULL);
    epio__win32 = real;
    fixture_close(f, directory);
    check_result(fixture_exists(f, "a/b"), 0);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "a/new"), 0), 0);
    check_result(count_entries(fixture_path(f, "a")), 0);
}

/* ---- Listing -------------------------------------------------------------------- */

/* How often each of the names "0" to "count - 1" is in the rest of the list. */
static int list_names(fixture *f, epio_file *directory, size_t room, int *seen, int count)
{
    uint64_t buffer[512];
    epio_op op = {0};
    int entries = 0;
    for (;;) {
        int64_t len = fixture_result(f, epio_list(&op, directory, buffer, room, 0));
        check(len >= 0 && len <= (int64_t)room);
        if (len == 0) {
            return entries;
        }
        const epio_entry *entry = NULL;
        while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
            int number = atoi(epio_entry_name(entry));
            check_result(entry->name_len, strlen(epio_entry_name(entry)));
            check(number >= 0 && number < count);
            seen[number]++;
            entries++;
        }
    }
}

static void lists_lose_nothing(fixture *f)
{
    enum { COUNT = 60 };
    uint64_t buffer[512];
    epio_op op = {0};
    make_directory(f, "directory");
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "directory/%d", i);
        fixture_put(f, name, "", 0);
    }
    epio_file *directory = open_directory(f, "directory");
    for (size_t room = 144; room <= 4096; room *= 3) {
        int seen[COUNT] = {0};
        check_op(f, epio_list(&op, directory, buffer, 143, EPIO_LIST_REWIND), EPIO_ERANGE);
        check_op(f, epio_list(&op, directory, buffer, 0, 0), EPIO_ERANGE);
        check(fixture_result(f, epio_list(&op, directory, buffer, room, 0)) > 0);
        check_op(f, epio_list(&op, directory, buffer, 143, EPIO_LIST_REWIND), EPIO_ERANGE);
        check_result(list_names(f, directory, room, seen, COUNT), COUNT);
        for (int i = 0; i < COUNT; i++) {
            check_result(seen[i], 1);
        }
        check_op(f, epio_list(&op, directory, buffer, sizeof buffer, 0), 0);
    }
    fixture_close(f, directory);
}

static void entries_say_what_they_are(fixture *f)
{
    uint64_t buffer[512];
    epio_op op = {0};
    make_directory(f, "d");
    make_directory(f, "d/\xf0\x9f\x98\x80");
    fixture_put(f, "d/.\xe2\x82\xac", "", 0);
    epio_file *directory = open_directory(f, "d");
    int64_t len = fixture_result(f, epio_list(&op, directory, buffer, sizeof buffer, 0));
    int found = 0;
    const epio_entry *entry = NULL;
    while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
        const char *name = epio_entry_name(entry);
        epio_info info = stat_of(f, epio_directory_vfs(directory), name, 0);
        check_result(entry->type, name[0] == '.' ? EPIO_TYPE_FILE : EPIO_TYPE_DIRECTORY);
        check_result(info.type, entry->type);
        check(info.id[0] == entry->id);
        check_result(entry->size % 8, 0);
        found += strcmp(name, ".\xe2\x82\xac") == 0      ? 1
                 : strcmp(name, "\xf0\x9f\x98\x80") == 0 ? 2
                                                         : 4;
    }
    check_result(found, 3);
    fixture_close(f, directory);
}

/* A raw answer of one call. */
static const WCHAR *const *raw_names;
static DWORD raw_tag;
static DWORD list_error;
static int list_calls;
static int restarts;

#define TIME_OF_1970 INT64_C(116444736000000000)

static bool is_deleted;

static void add_raw(unsigned char *at, const WCHAR *name, bool last)
{
    FILE_ID_BOTH_DIR_INFO entry = {.FileAttributes = FILE_ATTRIBUTE_NORMAL, .EaSize = raw_tag};
    size_t bytes = wcslen(name) * sizeof *name;
    entry.FileAttributes = raw_tag != 0 ? FILE_ATTRIBUTE_REPARSE_POINT : FILE_ATTRIBUTE_NORMAL;
    entry.FileNameLength = (DWORD)bytes;
    entry.FileId.QuadPart = 99;
    entry.EndOfFile.QuadPart = 7;
    entry.AllocationSize.QuadPart = 4096;
    entry.LastWriteTime.QuadPart = TIME_OF_1970 + 5;
    entry.NextEntryOffset = last ? 0 : 160;
    memcpy(at, &entry, sizeof entry);
    memcpy(at + offsetof(FILE_ID_BOTH_DIR_INFO, FileName), name, bytes);
}

static BOOL WINAPI scripted_list(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                 DWORD size)
{
    (void)handle;
    if (class == FileStandardInfo && is_deleted) {
        FILE_STANDARD_INFO standard = {.DeletePending = TRUE};
        memcpy(data, &standard, sizeof standard);
        return TRUE;
    }
    if (class != FileIdBothDirectoryInfo && class != FileIdBothDirectoryRestartInfo) {
        return real.get_information(handle, class, data, size);
    }
    list_calls++;
    restarts += class == FileIdBothDirectoryRestartInfo ? 1 : 0;
    if (raw_names == NULL) {
        return end_with(list_error);
    }
    unsigned char *at = data;
    for (; *raw_names != NULL; raw_names++, at += 160) {
        add_raw(at, *raw_names, raw_names[1] == NULL);
    }
    raw_names = NULL;
    return TRUE;
}

static void half_characters_are_listed(fixture *f)
{
    static const WCHAR half[] = {'a', 0xD800, 0};
    static const WCHAR *const names[] = {L".", L"..", half, L"...", NULL};
    enum { SIZE = sizeof(epio_entry) + sizeof(epio_info) + 8 }; /* of an entry with a short name */
    uint64_t buffer[64];
    epio_op op = {0};
    make_directory(f, "d");
    epio_file *directory = open_directory(f, "d");
    real = epio__win32;
    epio__win32.get_information = scripted_list;
    raw_names = names;
    raw_tag = 0;
    list_calls = 0;
    restarts = 0;
    is_deleted = false;
    list_error = ERROR_NO_MORE_FILES;
    check_op(f, epio_list(&op, directory, buffer, sizeof buffer, EPIO_LIST_REWIND), 2 * SIZE);
    const epio_entry *entry = epio_entry_next(buffer, 2 * SIZE, NULL);
    check(strcmp(epio_entry_name(entry), "a\xed\xa0\x80") == 0);
    check(entry->id == 99 && entry->name_len == 4);
    /* The system gives more than the name; what it has as 0 it does not know. */
    const epio_info *info = epio_entry_info(entry);
    check(info->bytes == 7 && info->allocated == 4096 && info->modified == 500);
    check_result(info->known, EPIO_INFO_MODE | EPIO_INFO_ATTRIBUTES | EPIO_INFO_BYTES |
                                  EPIO_INFO_ALLOCATED | EPIO_INFO_MODIFIED);
    entry = epio_entry_next(buffer, 2 * SIZE, entry);
    check(strcmp(epio_entry_name(entry), "...") == 0);
    check(epio_entry_next(buffer, 2 * SIZE, entry) == NULL);
    check(list_calls == 2 && restarts == 1);

    /* The tag of a reparse point says what it is. */
    static const WCHAR *const link[] = {L"link", NULL};
    raw_names = link;
    raw_tag = IO_REPARSE_TAG_SYMLINK;
    check_op(f, epio_list(&op, directory, buffer, sizeof buffer, 0), SIZE);
    entry = epio_entry_next(buffer, SIZE, NULL);
    check_result(entry->type, EPIO_TYPE_LINK);
    check_result(epio_entry_info(entry)->known & EPIO_INFO_BYTES, 0); /* it has no size there */

    /* What was listed before an error is not lost, nor is the error. */
    raw_names = names;
    raw_tag = 0;
    list_error = ERROR_CRC;
    check_op(f, epio_list(&op, directory, buffer, sizeof buffer, 0), 2 * SIZE);
    check_op_fails(f, epio_list(&op, directory, buffer, sizeof buffer, 0), EPIO_EIO, ERROR_CRC);
    list_error = ERROR_FILE_NOT_FOUND; /* an empty root */
    check_op(f, epio_list(&op, directory, buffer, sizeof buffer, 0), 0);
    list_error = ERROR_ACCESS_DENIED;
    check_op(f, epio_list(&op, directory, buffer, sizeof buffer, 0), EPIO_EACCES);
    is_deleted = true;
    check_op(f, epio_list(&op, directory, buffer, sizeof buffer, 0), EPIO_ENOENT);
    epio__win32 = real;
    fixture_close(f, directory);
}

#if EPIO_ASYNC

static void lists_in_flight_share_the_entries(fixture *f)
{
    enum { COUNT = 200, LISTS = 4 };
    static uint64_t buffers[LISTS][32];
    int seen[COUNT] = {0};
    int entries = 0;
    make_directory(f, "directory");
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "directory/%d", i);
        fixture_put(f, name, "", 0);
    }
    epio_file *directory = open_directory(f, "directory");
    for (bool ended = false; !ended;) {
        epio_op ops[LISTS] = {{0}};
        ended = true;
        for (int i = 0; i < LISTS; i++) {
            epio_submit(epio_list(&ops[i], directory, buffers[i], sizeof buffers[i], 0));
        }
        for (int i = 0; i < LISTS; i++) {
            int64_t len = epio_wait(&ops[i]);
            check(len >= 0);
            ended = ended && len == 0;
            const epio_entry *entry = NULL;
            while ((entry = epio_entry_next(buffers[i], (size_t)len, entry)) != NULL) {
                seen[atoi(epio_entry_name(entry))]++;
                entries++;
            }
        }
    }
    check_result(entries, COUNT);
    for (int i = 0; i < COUNT; i++) {
        check_result(seen[i], 1);
    }
    fixture_close(f, directory);
}

#endif

static void directories_are_opened_as_such(fixture *f)
{
    epio_op op = {0};
    char bytes[4];
    fixture_put(f, "file", "data", 4);
    make_directory(f, "d");
    check_op_fails(f, epio_open(&op, f->vfs, fixture_path(f, "file"), DIRECTORY), EPIO_ENOTDIR,
                   ERROR_DIRECTORY);
    check_op_fails(f, epio_open(&op, f->vfs, fixture_path(f, "d"), EPIO_OPEN_READ), EPIO_EISDIR,
                   ERROR_DIRECTORY_NOT_SUPPORTED);
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, "none"), DIRECTORY), EPIO_ENOENT);
    epio_file *directory = open_directory(f, "d");
    epio_info info = stat_of_file(f, directory);
    epio_info same = stat_of(f, f->vfs, fixture_path(f, "d"), 0);
    check(is_same_file(&info, &same));
    check_result(info.type, EPIO_TYPE_DIRECTORY);
    check_op(f, epio_read(&op, directory, bytes, sizeof bytes, 0), EPIO_EISDIR);
    const epio_times times = {.size = sizeof times,
                              .modified = BILLION_SECONDS,
                              .accessed = EPIO_TIME_KEEP,
                              .born = EPIO_TIME_KEEP};
    check_op(f, epio_file_set_times(&op, directory, &times), 0);
    check_result(stat_of_file(f, directory).modified, BILLION_SECONDS);
    /* It is shared: others may move and remove it. */
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "d"), fixture_path(f, "e"), 0), 0);
    fixture_close(f, directory);
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "e"), 0), 0);
}

/* ---- Paths in a directory ------------------------------------------------------- */

static void every_verb_begins_at_the_directory(fixture *f)
{
    char path[600];
    char found[600];
    epio_op op = {0};
    make_directory(f, "a");
    make_directory(f, "a/b");
    epio_file *directory = open_directory(f, "a/b");
    epio_vfs *vfs = epio_directory_vfs(directory);
    put_in(f, vfs, "file", "data");
    check_content(f, "a/b/file", "data", 4);
    check_in(f, vfs, "../b/file", "data");
    check_in(f, vfs, "../../a/b/file", "data");
    check_op(f, epio_open(&op, vfs, "../file", EPIO_OPEN_READ), EPIO_ENOENT);
    int64_t len = fixture_result(f, epio_full_pathname(&op, vfs, "file", found, sizeof found));
    (void)snprintf(path, sizeof path, "%s/a/b/file", f->directory);
    check(len > 0 && paths_agree(found, path));
    len = fixture_result(f, epio_full_pathname(&op, vfs, "new", found, sizeof found));
    (void)snprintf(path, sizeof path, "%s/a/b/new", f->directory);
    check(len > 0 && paths_agree(found, path));
    check_in(f, vfs, "./file", "data");
    check_in(f, vfs, "x\\../file", "data");
    check_result(stat_of(f, vfs, "file", 0).bytes, 4);
    check_result(stat_of(f, vfs, ".", 0).type, EPIO_TYPE_DIRECTORY);
    check_op(f, epio_access(&op, vfs, "file", EPIO_ACCESS_READWRITE), 1);
    check_op(f, epio_access(&op, vfs, "none", EPIO_ACCESS_EXISTS), 0);
    check_op(f, epio_open(&op, vfs, "none", EPIO_OPEN_READ), EPIO_ENOENT);
    check_op(f, epio_open(&op, vfs, "file/x", EPIO_OPEN_READ), EPIO_ENOTDIR);
    check_op(f, epio_open(&op, vfs, "file/", EPIO_OPEN_READ), EPIO_ENOTDIR);
    check_op(f, epio_open(&op, vfs, ".", EPIO_OPEN_READ), EPIO_EISDIR);
    check_op(f, epio_open(&op, vfs, "NUL", READ_WRITE | EPIO_OPEN_CREATE), EPIO_EINVAL);
    check_op(f, epio_open(&op, vfs, "file", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE),
             EPIO_EEXIST);
    check_op(f, epio_mkdir(&op, vfs, "d/e", EPIO_MKDIR_PARENTS | EPIO_MKDIR_SYNC_DIR), 0);
    check_op(f, epio_mkdir(&op, vfs, "d", 0), EPIO_EEXIST);
    check_op(f, epio_mkdir(&op, vfs, ".", 0), EPIO_EEXIST);
    check_op(f, epio_mkdir(&op, vfs, "file/x", EPIO_MKDIR_PARENTS), EPIO_ENOTDIR);
    check_op(f, epio_rename(&op, vfs, "file", "d/e/moved", 0), 0);
    check_content(f, "a/b/d/e/moved", "data", 4);
    check_op(f, epio_rename(&op, vfs, "none", "d/e/moved", 0), EPIO_ENOENT);
    check_op(f, epio_rename(&op, vfs, "d", "d/e/d", 0), EPIO_EINVAL);
    check_op(f, epio_rename(&op, vfs, ".", "x", 0), EPIO_EBUSY);
    /* Absolute paths ignore it. */
    check_op(f, epio_rename(&op, vfs, "d/e/moved", fixture_path(f, "out"), 0), 0);
    check_content(f, "out", "data", 4);
    check_op(f, epio_rename(&op, vfs, fixture_path(f, "out"), "in", EPIO_RENAME_SYNC_DIR), 0);
    check_in(f, vfs, "in", "data");
    check_op(f, epio_set_mode(&op, vfs, "in", 0400, 0), 0);
    check_result(stat_of(f, vfs, "in", 0).mode, 0444);
    check_op(f, epio_full_pathname(&op, vfs, "x/new", found, sizeof found), EPIO_ENOENT);
    check_op(f, epio_read_link(&op, vfs, "in", found, sizeof found), EPIO_EINVAL);
    check_op(f, epio_exchange(&op, vfs, "in", "d", 0), EPIO_ENOTSUP);
    check_op(f, epio_delete(&op, vfs, "d", 0), EPIO_EISDIR);
    check_op(f, epio_delete(&op, vfs, "in", EPIO_DELETE_SYNC_DIR), 0); /* although read-only */
    check_op(f, epio_delete(&op, vfs, "in", 0), EPIO_ENOENT);
    check_op(f, epio_rmdir(&op, vfs, "d", 0), EPIO_ENOTEMPTY);
    check_op(f, epio_rmdir(&op, vfs, ".", 0), EPIO_EINVAL);
    check_op(f, epio_rmdir(&op, vfs, "d/e", EPIO_RMDIR_SYNC_DIR), 0);
    check_op(f, epio_rmdir(&op, vfs, "d", 0), 0);
    check_result(count_entries(fixture_path(f, "a/b")), 0);
    fixture_close(f, directory);
}

#if EPIO_ASYNC

/* Where the name of one that was removed stays until it is closed, the rename waits for that. */
static void a_removed_directory_makes_room(fixture *f)
{
    epio_op op = {0}, moves = {0};
    make_directory(f, "gone");
    make_directory(f, "other");
    epio_file *open = open_directory(f, "gone");
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "gone"), 0), 0);
    epio_submit(epio_rename(&moves, f->vfs, fixture_path(f, "other"), fixture_path(f, "gone"), 0));
    fixture_settle(f);
    check_op(f, epio_close(&op, open), 0);
    check_result(epio_wait(&moves), 0);
    check_result(fixture_exists(f, "gone"), 1);
    check_result(fixture_exists(f, "other"), 0);
}

#endif

/* Wherever that has been moved. Wine knows no more than that for a directory that was. */
static void a_moved_directory_is_still_where_paths_begin(fixture *f)
{
    epio_op op = {0};
    make_directory(f, "a");
    epio_file *directory = open_directory(f, "a");
    epio_vfs *vfs = epio_directory_vfs(directory);
    put_in(f, vfs, "file", "data");
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, "a"), fixture_path(f, "b"), 0), 0);
    check_in(f, vfs, "file", "data");
    put_in(f, vfs, "other", "other");
    check_content(f, "b/other", "other", 5);
    check_op(f, epio_mkdir(&op, vfs, "d", 0), 0);
    check_op(f, epio_rmdir(&op, vfs, "d", 0), 0);
    check_op(f, epio_access(&op, vfs, "file", EPIO_ACCESS_READ), 1);
    check_result(stat_of(f, vfs, "file", 0).bytes, 4);
    if (!system_is_wine()) {
        check_in(f, vfs, "../b/file", "data");
        check_op(f, epio_rename(&op, vfs, "other", "moved", 0), 0);
        check_op(f, epio_delete(&op, vfs, "moved", 0), 0);
    }
    fixture_close(f, directory);
}

/* An open knows whether it has made the file, which then is made durable, or removed again. */
static void a_directory_says_what_was_made(fixture *f)
{
    const uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_SYNC_DIR;
    epio_op op = {0};
    epio_file *directory = open_directory(f, ".");
    epio_vfs *vfs = epio_directory_vfs(directory);
    real = epio__win32;
    epio__win32.flush = scripted_flush;
    flush_error = 0;
    flushes = 0;
    check_op(f, epio_open(&op, vfs, "file", flags), 0);
    fixture_close(f, op.file);
    check_result(flushes, 1);
    flush_error = ERROR_DISK_FULL;
    check_op(f, epio_open(&op, vfs, "file", flags), 0);
    fixture_close(f, op.file);
    check_result(flushes, 1);
    check_op_fails(f, epio_open(&op, vfs, "new", flags), EPIO_EIO, ERROR_DISK_FULL);
    check_result(flushes, 2);
    epio__win32 = real;
    fixture_close(f, directory);
    check_result(fixture_exists(f, "new"), 0);
    check_result(fixture_exists(f, "file"), 1);
}

static void files_of_a_directory_outlive_it(fixture *f)
{
    epio_op op = {0};
    make_directory(f, "d");
    epio_file *directory = open_directory(f, "d");
    epio_vfs *vfs = epio_directory_vfs(directory);
    const uint32_t flags = READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE;
    check_op(f, epio_open(&op, vfs, "file", flags), 0);
    epio_file *file = op.file;
    check_op(f, epio_open(&op, vfs, ".", EPIO_OPEN_TEMPORARY), 0);
    epio_file *temporary = op.file;
    check_result(count_entries(fixture_path(f, "d")), 2);
    fixture_close(f, directory);
    fixture_write(f, file, "data", 4, 0);
    fixture_write(f, temporary, "data", 4, 0);
    fixture_close(f, file);
    fixture_close(f, temporary);
    check_result(count_entries(fixture_path(f, "d")), 0);
}

/* Open and read-only files are replaced as by absolute names. */
static void open_files_are_replaced_in_a_directory(fixture *f)
{
    epio_op op = {0};
    epio_file *directory = open_directory(f, ".");
    epio_vfs *vfs = epio_directory_vfs(directory);
    put_in(f, vfs, "file", "old");
    put_in(f, vfs, "new", "new");
    check_op(f, epio_rename(&op, vfs, "new", "file", EPIO_RENAME_NO_REPLACE), EPIO_EEXIST);
    check_op(f, epio_set_mode(&op, vfs, "file", 0400, 0), 0);
    epio_file *open = fixture_open(f, "file", EPIO_OPEN_READ);
    check_op(f, epio_rename(&op, vfs, "new", "file", 0), 0);
    check_in(f, vfs, "file", "new");
    check_op(f, epio_delete(&op, vfs, "file", 0), 0);
    check_result(fixture_exists(f, "file"), 0);
    fixture_close(f, open);
    check_result(count_entries(f->directory), 0);
    fixture_close(f, directory);
}

static int nt_renames;

static DWORD scripted_nt_set(HANDLE handle, int which, void *information, ULONG size)
{
    if (which != EPIO__NT_RENAME_EX) {
        return real.nt_set_information(handle, which, information, size);
    }
    nt_renames++;
    DWORD flags = *(DWORD *)information;
    check_result(flags & 0x2, 0x2);
    if ((flags & 0x40) != 0) {
        return ERROR_INVALID_PARAMETER; /* before version 1809 */
    }
    *(DWORD *)information = flags & 1;
    return real.nt_set_information(handle, EPIO__NT_RENAME, information, size);
}

static void posix_semantics_in_a_directory(fixture *f)
{
    epio_op op = {0};
    epio_file *directory = open_directory(f, ".");
    epio_vfs *vfs = epio_directory_vfs(directory);
    put_in(f, vfs, "file", "old");
    put_in(f, vfs, "new", "new");
    real = epio__win32;
    epio__win32.nt_set_information = scripted_nt_set;
    nt_renames = 0;
    check_op(f, epio_rename(&op, vfs, "new", "file", 0), 0);
    check_result(nt_renames, 2);
    check_op(f, epio_rename(&op, vfs, "file", "new", EPIO_RENAME_NO_REPLACE), 0);
    check_result(nt_renames, 3);
    epio__win32 = real;
    check_in(f, vfs, "new", "new");
    check_op(f, epio_delete(&op, vfs, "new", 0), 0);
    fixture_close(f, directory);
}

/* A path in a directory may be longer than any that the system takes at once. */
static void no_path_is_too_long_in_steps(fixture *f)
{
    enum { STEPS = 24 };
    static const char part[] = "a-directory-whose-name-has-more-than-two-hundred-letters-"
                               "a-directory-whose-name-has-more-than-two-hundred-letters-"
                               "a-directory-whose-name-has-more-than-two-hundred-letters-"
                               "a-directory-whose-name-has-more-than-two-hundred";
    const int steps = system_is_wine() ? 12 : STEPS; /* Wine's names end at 4,095 bytes */
    epio_file *directories[STEPS + 1];
    epio_op op = {0};
    directories[0] = open_directory(f, ".");
    for (int i = 0; i < steps; i++) {
        epio_vfs *vfs = epio_directory_vfs(directories[i]);
        check_op(f, epio_mkdir(&op, vfs, part, 0), 0);
        check_op(f, epio_open(&op, vfs, part, DIRECTORY), 0);
        directories[i + 1] = op.file;
    }
    put_in(f, epio_directory_vfs(directories[steps]), "file", "data");
    check_in(f, epio_directory_vfs(directories[steps]), "file", "data");
    check_op(f, epio_delete(&op, epio_directory_vfs(directories[steps]), "file", 0), 0);
    for (int i = steps; i > 0; i--) {
        fixture_close(f, directories[i]);
        check_op(f, epio_rmdir(&op, epio_directory_vfs(directories[i - 1]), part, 0), 0);
    }
    fixture_close(f, directories[0]);
}

/* ---- How files are opened ------------------------------------------------------- */

static epio__nt_creation last_creation;
static int64_t last_access_time;

static DWORD noting_create(const epio__nt_creation *wanted, HANDLE *handle, bool *created)
{
    last_creation = *wanted;
    return real.nt_create(wanted, handle, created);
}

static BOOL WINAPI noting_set(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                              DWORD size)
{
    (void)handle;
    check(class == FileBasicInfo && size == sizeof(FILE_BASIC_INFO));
    last_access_time = ((const FILE_BASIC_INFO *)data)->LastAccessTime.QuadPart;
    return TRUE;
}

static void hints_reach_the_system(fixture *f)
{
    static const struct {
        uint32_t flags;
        ULONG options;
        int64_t access_time;
    } cases[] = {
        {0, 0, 0},
        {EPIO_OPEN_SEQUENTIAL, FILE_SEQUENTIAL_ONLY, 0},
        {EPIO_OPEN_RANDOM, FILE_RANDOM_ACCESS, 0},
        {EPIO_OPEN_RANDOM | EPIO_OPEN_SEQUENTIAL, 0, 0},
        {EPIO_OPEN_NOATIME, 0, -1},
    };
    epio_op op = {0};
    fixture_put(f, "file", "", 0);
    epio_file *directory = open_directory(f, ".");
    real = epio__win32;
    epio__win32.nt_create = noting_create;
    epio__win32.set_information = noting_set;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        last_access_time = 0;
        check_op(
            f,
            epio_open(&op, epio_directory_vfs(directory), "file", EPIO_OPEN_READ | cases[i].flags),
            0);
        epio_file *file = op.file;
        const ULONG hints = FILE_SEQUENTIAL_ONLY | FILE_RANDOM_ACCESS;
        check_result(last_creation.options & hints, cases[i].options);
        check_result(last_access_time, cases[i].access_time);
        check(((last_creation.access & FILE_WRITE_ATTRIBUTES) != 0) == (last_access_time != 0));
        fixture_close(f, file);
    }
    epio__win32 = real;
    fixture_close(f, directory);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(directories_are_made_and_removed, ON_ANY_OS),
        FIXTURE_TEST(durable_directories_are_flushed, ON_ANY_OS),
        FIXTURE_TEST(lists_lose_nothing, ON_ANY_OS),
        FIXTURE_TEST(entries_say_what_they_are, ON_ANY_OS),
        FIXTURE_TEST(half_characters_are_listed, ON_ANY_OS),
#if EPIO_ASYNC
        FIXTURE_TEST(lists_in_flight_share_the_entries, ON_OS | ON_LIMIT_OS_3 | ON_TRACE_OS),
        FIXTURE_TEST(a_removed_directory_makes_room, ON_OS),
#endif
        FIXTURE_TEST(directories_are_opened_as_such, ON_ANY_OS),
        FIXTURE_TEST(every_verb_begins_at_the_directory, ON_ANY_OS),
        FIXTURE_TEST(a_moved_directory_is_still_where_paths_begin, ON_ANY_OS),
        FIXTURE_TEST(a_directory_says_what_was_made, ON_ANY_OS),
        FIXTURE_TEST(files_of_a_directory_outlive_it, ON_ANY_OS),
        FIXTURE_TEST(open_files_are_replaced_in_a_directory, ON_ANY_OS),
        FIXTURE_TEST(posix_semantics_in_a_directory, ON_ANY_OS),
        FIXTURE_TEST(no_path_is_too_long_in_steps, ON_ANY_OS),
        FIXTURE_TEST(hints_reach_the_system, ON_OS_PERFORM | ON_OS),
    };
    return FIXTURE_RUN("directories on Windows", tests);
}
