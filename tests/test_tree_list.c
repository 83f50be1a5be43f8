/* Lists of directories, and paths that begin at open ones, the same on the system and in memory.
 * Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "tree.h"

#include <epio/layer.h>
#include <epio/vfs.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define CREATE (READ_WRITE | EPIO_OPEN_CREATE)
#define DIRECTORY (EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)

enum { NAMES = 500, MANY = 100000 };

/* ---- Lists ---- */

typedef struct listing {
    _Alignas(uint64_t) char buffer[524288];
    size_t room;          /* of the buffer, for each call */
    int met[2 * NAMES];   /* how often "name-<i>" was listed */
    size_t others, total; /* other names; all */
} listing;

static void start(listing *list, size_t room)
{
    memset(list, 0, sizeof *list);
    list->room = room;
}

static void note_entry(listing *list, const epio_entry *entry)
{
    const char *name = epio_entry_name(entry);
    check(strlen(name) == entry->name_len);
    check(entry->size >= sizeof *entry + entry->name_len + 1 && entry->size % 8 == 0);
    check(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    unsigned long number = strncmp(name, "name-", 5) == 0 ? strtoul(name + 5, NULL, 10) : 2 * NAMES;
    if (number < 2 * NAMES) {
        list->met[number]++;
    } else {
        list->others++;
    }
    list->total++;
}

/* One call: its result. */
static int64_t list_some(fixture *f, epio_file *directory, listing *list, uint32_t flags)
{
    epio_op op = {0};
    memset(list->buffer, 'g', sizeof list->buffer);
    int64_t len = fixture_result(f, epio_list(&op, directory, list->buffer, list->room, flags));
    check(len <= (int64_t)list->room);
    for (const epio_entry *one = epio_entry_next(list->buffer, (size_t)(len > 0 ? len : 0), NULL);
         one != NULL; one = epio_entry_next(list->buffer, (size_t)len, one)) {
        note_entry(list, one);
    }
    return len;
}

/* From the beginning to the end: how many calls had entries. */
static size_t list_all(fixture *f, epio_file *directory, listing *list)
{
    uint32_t flags = EPIO_LIST_REWIND;
    size_t calls = 0;
    int64_t len;
    start(list, list->room);
    while ((len = list_some(f, directory, list, flags)) > 0) {
        flags = 0;
        calls++;
    }
    check_result(len, 0);
    check_result(list_some(f, directory, list, 0), 0);
    return calls;
}

static void put_name(fixture *f, epio_vfs *directory, unsigned number)
{
    char name[32];
    epio_op op = {0};
    (void)snprintf(name, sizeof name, "name-%u", number);
    check_op(f, epio_open(&op, directory, name, CREATE), 0);
    fixture_close(f, op.file);
}

static void delete_name(fixture *f, epio_vfs *directory, unsigned number)
{
    char name[32];
    epio_op op = {0};
    (void)snprintf(name, sizeof name, "name-%u", number);
    check_op(f, epio_delete(&op, directory, name, 0), 0);
}

static void lists_have_each_name_once(fixture *f)
{
    static listing list;
    check_result(tree_mkdir(f, "d", 0), 0);
    epio_file *directory = tree_open_directory(f, "d");
    list.room = 1024;
    check_result((int64_t)list_all(f, directory, &list), 0);
    if (system_is_wine()) { /* what a handle has listed once stays so */
        fixture_close(f, directory);
        directory = tree_open_directory(f, "d");
    }
    for (unsigned i = 0; i < NAMES; i++) {
        put_name(f, epio_directory_vfs(directory), i);
    }
    static const size_t rooms[] = {1024, 8192, sizeof list.buffer};
    for (size_t k = 0; k < sizeof rooms / sizeof rooms[0]; k++) {
        list.room = rooms[k];
        size_t calls = list_all(f, directory, &list);
        /* A kernel gives a part of what fits when it has a signal to look at: getdents(2). */
        check(list.room == sizeof list.buffer ? calls == 1 || !f->memory : calls > 1);
        check(list.total == NAMES && list.others == 0);
        for (size_t i = 0; i < NAMES; i++) {
            check_result(list.met[i], 1);
        }
    }
    fixture_close(f, directory);
}

/* What an entry says beside its name is what a stat says. */
static void check_known(const epio_info *listed, const epio_info *info)
{
    if (listed == NULL) {
        return;
    }
    check(listed->size == sizeof *listed && (listed->known & ~info->known) == 0);
    check(listed->type == info->type && listed->mode == info->mode);
    check((listed->known & EPIO_INFO_BYTES) == 0 || listed->bytes == info->bytes);
    check((listed->known & EPIO_INFO_MODIFIED) == 0 || listed->modified == info->modified);
    check((listed->known & EPIO_INFO_BORN) == 0 || listed->born == info->born);
    check((listed->known & EPIO_INFO_ID) == 0 || listed->id[0] == info->id[0]);
    check((listed->known & EPIO_INFO_LINKS) == 0 || listed->links == info->links);
}

static void lists_tell_types_and_ids(fixture *f)
{
    static listing list;
    char name[300];
    fixture_put(f, "file", "x", 1);
    check_result(tree_mkdir(f, "directory", 0), 0);
    bool linked = tree_try_symlink(f, "file", "link");
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    fixture_put(f, name, "", 0);
    epio_file *directory = tree_open_directory(f, ".");
    start(&list, sizeof list.buffer);
    int64_t len = list_some(f, directory, &list, 0);
    check_result((int64_t)list.total, linked ? 4 : 3);
    for (const epio_entry *one = epio_entry_next(list.buffer, (size_t)len, NULL); one != NULL;
         one = epio_entry_next(list.buffer, (size_t)len, one)) {
        epio_info info = tree_stat(f, epio_entry_name(one), EPIO_STAT_NOFOLLOW);
        check(one->id == info.id[0]);
        check(one->type == info.type || one->type == EPIO_TYPE_UNKNOWN);
        check_known(epio_entry_info(one), &info);
        check(one->has_info || !f->memory);
    }
    fixture_close(f, directory);
}

static void lists_are_refused(fixture *f)
{
    static listing list;
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    epio_file *directory = tree_open_directory(f, ".");
    check_op(f, epio_list(&op, file, list.buffer, 1024, 0), EPIO_EBADF);
    check_op(f, epio_list(&op, directory, NULL, 1024, 0), EPIO_EINVAL);
    check_op(f, epio_list(&op, directory, list.buffer + 4, 1024, 0), EPIO_EINVAL);
    check_op(f, epio_list(&op, directory, list.buffer, 1024, 2), EPIO_EINVAL);
    check_op(f, epio_list(&op, directory, list.buffer, 16, 0), EPIO_ERANGE);
    start(&list, 1024); /* nothing was lost */
    check(list_some(f, directory, &list, 0) > 0);
    check_result((int64_t)list.total, 1);
    check_op(f, epio_size(&op, directory), EPIO_EISDIR);
    check_op(f, epio_read(&op, directory, list.buffer, 1, 0), EPIO_EISDIR);
    check_op(f, epio_sync(&op, directory, EPIO_SYNC_FULL), 0);
    check_result(tree_open(f, "file", DIRECTORY), EPIO_ENOTDIR);
    check_result(tree_open(f, "missing", DIRECTORY), EPIO_ENOENT);
    check_result(tree_open(f, ".", EPIO_OPEN_READ), EPIO_EISDIR);
    fixture_close(f, directory);
    fixture_close(f, file);
}

/* The system's dots, which are no entries, need room, too. */
static void an_empty_list_needs_no_room(fixture *f)
{
    static listing list;
    epio_op op = {0};
    check_result(tree_mkdir(f, "d", 0), 0);
    epio_file *directory = tree_open_directory(f, "d");
    for (size_t room = 0; room <= 64; room += 8) {
        check_op(f, epio_list(&op, directory, list.buffer, room, EPIO_LIST_REWIND), 0);
    }
    fixture_put(f, "d/file", "", 0);
    for (size_t room = 0; room < sizeof(epio_entry) + 5; room += 4) {
        check_op(f, epio_list(&op, directory, list.buffer, room, EPIO_LIST_REWIND), EPIO_ERANGE);
    }
    start(&list, 256);
    check(list_some(f, directory, &list, 0) > 0); /* nothing was lost */
    check_op(f, epio_list(&op, directory, list.buffer, 0, 0), 0);
    check_op(f, epio_list(&op, directory, list.buffer, 0, EPIO_LIST_REWIND), EPIO_ERANGE);
    check_result(tree_delete(f, "d/file"), 0);
    check_op(f, epio_list(&op, directory, list.buffer, 0, EPIO_LIST_REWIND), 0);
    check_result(tree_rmdir(f, "d"), 0);
    check_op(f, epio_list(&op, directory, list.buffer, 0, 0), EPIO_ENOENT);
    fixture_close(f, directory);
}

/* Half of the names stay, the others come and go between the calls. */
static void a_list_goes_on_while_names_change(fixture *f)
{
    static listing list;
    random_source random = {11};
    check_result(tree_mkdir(f, "d", 0), 0);
    epio_file *directory = tree_open_directory(f, "d");
    epio_vfs *within = epio_directory_vfs(directory);
    bool there[2 * NAMES] = {false};
    for (unsigned i = 0; i < NAMES; i++) {
        put_name(f, within, i);
    }
    start(&list, 1024);
    uint32_t flags = EPIO_LIST_REWIND; /* the names are made after the open */
    while (list_some(f, directory, &list, flags) > 0) {
        flags = 0;
        for (int i = 0; i < 10; i++) {
            unsigned number = (unsigned)random_between(&random, NAMES, 2 * NAMES);
            if (there[number]) {
                delete_name(f, within, number);
            } else {
                put_name(f, within, number);
            }
            there[number] = !there[number];
        }
    }
    for (size_t i = 0; i < NAMES; i++) {
        check_result(list.met[i], 1);
    }
    fixture_close(f, directory);
}

/* What was listed is removed: the usual way to empty a directory. */
static void what_is_listed_can_be_removed(fixture *f)
{
    static listing list;
    check_result(tree_mkdir(f, "d", 0), 0);
    epio_file *directory = tree_open_directory(f, "d");
    epio_vfs *within = epio_directory_vfs(directory);
    for (unsigned i = 0; i < NAMES; i++) {
        put_name(f, within, i);
    }
    start(&list, 2048);
    uint32_t flags = EPIO_LIST_REWIND; /* the names are made after the open */
    for (;;) {
        int64_t len = list_some(f, directory, &list, flags);
        if (len == 0) {
            break;
        }
        flags = 0;
        for (const epio_entry *one = epio_entry_next(list.buffer, (size_t)len, NULL); one != NULL;
             one = epio_entry_next(list.buffer, (size_t)len, one)) {
            epio_op op = {0};
            check_op(f, epio_delete(&op, within, epio_entry_name(one), 0), 0);
        }
    }
    check_result((int64_t)list.total, NAMES);
    check_result(tree_rmdir(f, "d"), 0);
    int64_t removed = f->memory || !system_is_wine() ? EPIO_ENOENT : 0;
    check_result(list_some(f, directory, &list, 0), removed);
    check_result(list_some(f, directory, &list, EPIO_LIST_REWIND), removed);
    fixture_close(f, directory);
}

/* However large the buffer is, and however much of the list is on the way through it. */
static void a_list_fills_its_buffer(fixture *f)
{
    enum { MOST = 20000, ROOM = 4 * 1024 * 1024 };
    const int count = fixture_is_slow() ? MOST / 10 : MOST; /* a guarded heap has less room */
    epio_op op = {0};
    char name[32];
    char *buffer = malloc(ROOM);
    check(buffer != NULL);
    check_result(tree_mkdir(f, "d", 0), 0);
    epio_file *directory = tree_open_directory(f, "d");
    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "name-%06d", i);
        check_op(f, epio_symlink(&op, epio_directory_vfs(directory), "x", name, 0), 0);
    }
    size_t size = (sizeof(epio_entry) + sizeof(epio_info) + 12 + 7) & ~(size_t)7;
    check_op(f, epio_list(&op, directory, buffer, ROOM, 0), (int64_t)((size_t)count * size));
    check_op(f, epio_list(&op, directory, buffer, ROOM, 0), 0);
    size_t room = (fixture_is_slow() ? 100 : 300) * 1024 + 8;
    check_op(f, epio_list(&op, directory, buffer, room, EPIO_LIST_REWIND), room / size * size);
    fixture_close(f, directory);
    free(buffer);
}

/* In order, as for a tree that is not kept balanced: with a search through all of them this would
 * take minutes. */
static void large_directories_are_quick(fixture *f)
{
    epio_op op = {0};
    char name[32];
    int count = fixture_is_slow() ? MANY / 10 : MANY;
    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "/name-%06d", i);
        check_result(epio_perform(epio_symlink(&op, f->vfs, "x", name, 0)), 0);
    }
    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "/name-%06d", i);
        check_result(epio_perform(epio_delete(&op, f->vfs, name, 0)), 0);
    }
}

/* ---- Paths that begin at an open directory ---- */

static void check_text(fixture *f, epio_vfs *vfs, const char *path, const char *text)
{
    char found[64];
    epio_op op = {0};
    check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_READ), 0);
    epio_file *file = op.file;
    check_op(f, epio_read(&op, file, found, sizeof found, 0), strlen(text));
    assert_memory_equal(found, text, strlen(text));
    fixture_close(f, file);
}

static void put_text(fixture *f, epio_vfs *vfs, const char *path, const char *text)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, vfs, path, CREATE | EPIO_OPEN_TRUNCATE), 0);
    epio_file *file = op.file;
    fixture_write(f, file, text, strlen(text), 0);
    fixture_close(f, file);
}

static void paths_begin_at_the_directory(fixture *f)
{
    epio_op op = {0};
    char found[1024];
    epio_info info = {.size = sizeof info};
    fixture_put(f, "outside", "outside", 7);
    check_result(tree_mkdir(f, "a/b", EPIO_MKDIR_PARENTS), 0);
    epio_file *directory = tree_open_directory(f, "a/b");
    epio_vfs *within = epio_directory_vfs(directory);
    put_text(f, within, "one", "one");
    check_content(f, "a/b/one", "one", 3);
    check_text(f, within, "../../outside", "outside");
    check_text(f, within, fixture_path(f, "outside"), "outside");
    check_op(f, epio_rename(&op, within, "one", "../two", 0), 0);
    check_content(f, "a/two", "one", 3);
    check_op(f, epio_link_file(&op, within, "../two", "three", 0), 0);
    check_op(f, epio_symlink(&op, within, "three", "link", 0), 0);
    check_text(f, within, "link", "one");
    check_op(f, epio_read_link(&op, within, "link", found, sizeof found), 5);
    check_op(f, epio_stat(&op, within, "link", &info, EPIO_STAT_NOFOLLOW), 0);
    check_result(info.type, EPIO_TYPE_LINK);
    check_op(f, epio_mkdir(&op, within, "c/d", EPIO_MKDIR_PARENTS), 0);
    check_op(f, epio_rmdir(&op, within, "c/d", 0), 0);
    check_op(f, epio_set_mode(&op, within, "three", 0600, 0), 0);
    check_op(f, epio_access(&op, within, "three", EPIO_ACCESS_READWRITE), 1);
    const char *whole = fixture_path(f, "a/b/three");
    check_op(f, epio_full_pathname(&op, within, "c/../link", found, sizeof found), strlen(whole));
    assert_string_equal(found, whole);
    check_op(f, epio_open(&op, within, "c/../three", EPIO_OPEN_READ | EPIO_OPEN_DELETE_ON_CLOSE),
             0);
    fixture_close(f, op.file);
    check_result(fixture_exists(f, "a/b/three"), 0);
    check_op(f, epio_delete(&op, within, "link", 0), 0);
    check_op(f, epio_open(&op, within, ".", DIRECTORY), 0);
    check(tree_file_stat(f, op.file).id[0] == tree_file_stat(f, directory).id[0]);
    fixture_close(f, op.file);
    fixture_close(f, directory);
}

static void a_directory_may_be_moved(fixture *f)
{
    char found[1024];
    epio_op op = {0};
    check_result(tree_mkdir(f, "a/b", EPIO_MKDIR_PARENTS), 0);
    fixture_put(f, "beside", "beside", 6);
    epio_file *directory = tree_open_directory(f, "a/b");
    epio_vfs *within = epio_directory_vfs(directory);
    check_result(tree_rename(f, "a/b", "moved", 0), 0);
    put_text(f, within, "new", "new");
    check_content(f, "moved/new", "new", 3);
    check_text(f, within, "../beside", "beside");
    const char *whole = fixture_path(f, "moved/new");
    check_op(f, epio_full_pathname(&op, within, "new", found, sizeof found), strlen(whole));
    check(paths_agree(found, whole));
    fixture_close(f, directory);
}

static void a_directory_may_be_removed(fixture *f)
{
    char found[1024];
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    check_result(tree_mkdir(f, "a/b", EPIO_MKDIR_PARENTS), 0);
    fixture_put(f, "beside", "beside", 6);
    epio_file *directory = tree_open_directory(f, "a/b");
    epio_vfs *within = epio_directory_vfs(directory);
    check_result(tree_rmdir(f, "a/b"), 0);
    check_op(f, epio_open(&op, within, "new", CREATE), EPIO_ENOENT);
    check_op(f, epio_mkdir(&op, within, "new", 0), EPIO_ENOENT);
    memset(found, 'n', 256);
    found[256] = '\0';
    check_op(f, epio_mkdir(&op, within, found, 0), EPIO_ENOENT); /* before the name matters */
    check_op(f, epio_rename(&op, within, fixture_path(f, "a"), "new", 0), EPIO_ENOENT);
    check_op(f, epio_symlink(&op, within, "x", "new", 0), EPIO_ENOENT);
    check_op(f, epio_link_file(&op, within, fixture_path(f, "beside"), "new", 0), EPIO_ENOENT);
    check_op(f, epio_rename(&op, within, fixture_path(f, "beside"), "new", 0), EPIO_ENOENT);
    check_op(f, epio_stat(&op, within, "x", &info, 0), EPIO_ENOENT);
    check_op(f, epio_stat(&op, within, ".", &info, 0), 0);
    check_op(f, epio_stat(&op, within, "../../beside", &info, 0), 0);
    check_op(f, epio_full_pathname(&op, within, "x", found, sizeof found), EPIO_ENOENT);
    check_op(f, epio_full_pathname(&op, within, "..", found, sizeof found), EPIO_ENOENT);
    check_text(f, within, fixture_path(f, "beside"), "beside");
    check_result(tree_symlink(f, "made", "dangling"), 0);
    put_text(f, within, "../../dangling", "made");
    check_content(f, "made", "made", 4);
    check_result(tree_rmdir(f, "a"), 0);
    check_op(f, epio_stat(&op, within, "../x", &info, 0), EPIO_ENOENT);
    info = tree_file_stat(f, directory);
    check(info.links == 0 && info.type == EPIO_TYPE_DIRECTORY);
    check_result(tree_mkdir(f, "a", 0), 0);
    fixture_close(f, directory);
}

#if EPIO_ASYNC

static void a_close_waits_for_paths(fixture *f)
{
    enum { COUNT = 30 };
    static tracked ops[COUNT];
    static tracked closing;
    static char names[COUNT][16];
    check_result(tree_mkdir(f, "d", 0), 0);
    epio_file *directory = tree_open_directory(f, "d");
    epio_vfs *within = epio_directory_vfs(directory);
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "name-%zu", i);
        epio_submit(epio_mkdir(track(&ops[i]), within, names[i], 0));
    }
    epio_submit(epio_close(track(&closing), directory));
    (void)epio_loop_run(f->loop);
    check(closing.calls == 1 && closing.result == 0);
    for (size_t i = 0; i < COUNT; i++) {
        check(ops[i].calls == 1 && ops[i].result == 0);
    }
    check_result(tree_try_stat(f, "d/name-29", 0), 0);
}

#endif

/* The directory of another VFS is none of this one's. */
static void a_directory_is_of_its_vfs(fixture *f)
{
    epio_op op = {0};
    epio_vfs *other;
    check_result(memory_vfs_make(&other, NULL, f->directory), 0);
    epio_file *directory = tree_open_directory(f, ".");
    (void)epio_mkdir(&op, epio_directory_vfs(directory), "new", 0);
    op.vfs = other;
    check_result(epio_perform(&op), EPIO_ENOTSUP);
    fixture_close(f, directory);
    epio_vfs_destroy(other);
}

/* The VFS of a directory is of its file, whose close no layer would notice. */
static void no_layer_lies_over_a_directory(fixture *f)
{
    static const epio_layer_methods nothing = {.size = sizeof nothing, .name = "nothing"};
    epio_vfs *layer;
    epio_file *directory = tree_open_directory(f, ".");
    epio_vfs *inner = epio_directory_vfs(directory);
    check_result(epio_trace_vfs_create(&layer, inner), EPIO_EINVAL);
    check_result(epio_layer_vfs_create(&layer, inner, &nothing, NULL), EPIO_EINVAL);
#if EPIO_ASYNC
    epio_semaphore *semaphore;
    check_result(epio_semaphore_create(&semaphore, 1), 0);
    check_result(epio_limit_vfs_create(&layer, inner, semaphore), EPIO_EINVAL);
    epio_semaphore_destroy(semaphore);
#endif
    fixture_close(f, directory);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(lists_have_each_name_once, ON_ANY),
        FIXTURE_TEST(lists_tell_types_and_ids, ON_ANY),
        FIXTURE_TEST(lists_are_refused, ON_ANY),
        FIXTURE_TEST(an_empty_list_needs_no_room, ON_TREES), /* Wine keeps what it has listed */
        FIXTURE_TEST(a_list_goes_on_while_names_change, ON_ANY),
        FIXTURE_TEST(what_is_listed_can_be_removed, ON_ANY),
        FIXTURE_TEST(a_list_fills_its_buffer, ON_MEMORY_PERFORM | ON_MEMORY | ON_TRACE_MEMORY),
        FIXTURE_TEST(large_directories_are_quick, ON_MEMORY_PERFORM),
        FIXTURE_TEST(paths_begin_at_the_directory, ON_TREES),
        FIXTURE_TEST(a_directory_may_be_moved, ON_TREES),
        FIXTURE_TEST(a_directory_may_be_removed, ON_TREES),
#if EPIO_ASYNC
        FIXTURE_TEST(a_close_waits_for_paths, ON_ANY_LOOP),
#endif
        FIXTURE_TEST(a_directory_is_of_its_vfs, ON_MEMORY_PERFORM),
        FIXTURE_TEST(no_layer_lies_over_a_directory, ON_MEMORY_PERFORM),
    };
    return FIXTURE_RUN("tree_list", tests);
}
