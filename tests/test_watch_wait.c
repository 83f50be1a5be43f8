/* How ops wait for the events of a watch: in their order, on a loop and by epio_perform; and how
 * they end without any. What the events are is test_watch.c's. In the memory VFS, and through
 * layers over it, whose changes come at once; a few on the system's files. */
#include "op_fixture.h"
#include "replay.h"
#include "tree.h"

#include <epio/layer.h>

#include <stdatomic.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ON_LOOPS (ON_MEMORY | ON_LIMIT_MEMORY | ON_TRACE_MEMORY)
#define ON_ALL (ON_LOOPS | ON_MEMORY_PERFORM | ON_OS | ON_OS_PERFORM | ON_LIMIT_OS | ON_TRACE_OS)
/* A comparison takes its time. */
#define ON_MOST (ON_LOOPS | ON_MEMORY_PERFORM | ON_OS_ONCE)
#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define ROOM 64 /* words: a few events */

static epio_file *watch_in(fixture *f, epio_vfs *vfs, const char *path, uint32_t flags)
{
    epio_op op = {0};
    check(fixture_result(f, epio_watch(&op, vfs, path, flags)) >= 0);
    check((op.file->attributes & EPIO_FILE_WATCH) != 0);
    return op.file;
}

static epio_file *watch_directory(fixture *f)
{
    return watch_in(f, f->vfs, f->directory, 0);
}

static void make(fixture *f, const char *name)
{
    check_result(tree_open(f, name, READ_WRITE | EPIO_OPEN_CREATE), 0);
}

/* Exactly these, of files that were made: "a b c". */
static void check_made(const void *buffer, int64_t len, const char *names)
{
    char found[256] = "";
    size_t end = 0;
    const epio_event *event = NULL;
    check(len >= 0);
    while ((event = epio_event_next(buffer, (size_t)len, event)) != NULL) {
        check(event->kind == EPIO_EVENT_MADE && event->type == EPIO_TYPE_FILE);
        end += (size_t)snprintf(found + end, sizeof found - end, "%s%s", end != 0 ? " " : "",
                                epio_event_name(event));
    }
    assert_string_equal(found, names);
}

static void check_next(fixture *f, epio_file *watch, const char *names)
{
    uint64_t buffer[ROOM];
    epio_op op = {0};
    int64_t len = fixture_result(f, epio_read_events(&op, watch, buffer, sizeof buffer));
    check_made(buffer, len, names);
}

/* ---- Arguments ------------------------------------------------------------- */

static void wrong_arguments_are_refused(fixture *f)
{
    uint64_t buffer[ROOM];
    epio_op op = {0};
    epio_file *watch = watch_directory(f);
    epio_file *file = fixture_create(f, "file");
    epio_file *directory = tree_open_directory(f, ".");
    const char *path = fixture_path(f, "file");
    check_op_fails(f, epio_watch(&op, f->vfs, NULL, 0), EPIO_EINVAL, 0);
    check_op_fails(f, epio_watch(&op, f->vfs, "", 0), EPIO_EINVAL, 0);
    check_op_fails(f, epio_watch(&op, NULL, path, 0), EPIO_EINVAL, 0);
    check_op_fails(f, epio_watch(&op, f->vfs, f->directory, 4), EPIO_EINVAL, 0);
    check(op.file == NULL);
    check_op(f, epio_watch(&op, f->vfs, path, 0), EPIO_ENOTDIR);
    check_op(f, epio_watch(&op, f->vfs, path, EPIO_WATCH_RECURSIVE), EPIO_ENOTDIR);
    check_op(f, epio_watch(&op, f->vfs, fixture_path(f, "missing"), 0), EPIO_ENOENT);
    check(op.file == NULL);
    check_op_fails(f, epio_read_events(&op, NULL, buffer, sizeof buffer), EPIO_EINVAL, 0);
    check_op_fails(f, epio_read_events(&op, watch, NULL, sizeof buffer), EPIO_EINVAL, 0);
    check_op_fails(f, epio_read_events(&op, watch, (char *)buffer + 4, 64), EPIO_EINVAL, 0);
    check_op_fails(f, epio_read_events(&op, file, buffer, sizeof buffer), EPIO_EBADF, 0);
    check_op_fails(f, epio_read_events(&op, directory, buffer, sizeof buffer), EPIO_EBADF, 0);
    fixture_close(f, directory);
    fixture_close(f, file);
    fixture_close(f, watch);
}

static void check_refused(fixture *f, epio_op *op)
{
    check_op(f, op, EPIO_EBADF);
    const char *reason = epio_op_invalid_reason(op);
    check(reason != NULL && strcmp(reason, "a watch has events alone") == 0);
}

static void a_watch_has_events_alone(fixture *f)
{
    uint64_t buffer[ROOM];
    epio_times times = EPIO_TIMES_INIT;
    epio_info info = {.size = sizeof info};
    const epio_iovec part = {buffer, 8};
    epio_op op = {0};
    epio_file *watch = watch_directory(f);
    check_refused(f, epio_read(&op, watch, buffer, 8, 0));
    check_refused(f, epio_readv(&op, watch, &part, 1, 0));
    check_refused(f, epio_write(&op, watch, buffer, 8, 0));
    check_refused(f, epio_append(&op, watch, buffer, 8));
    check_refused(f, epio_truncate(&op, watch, 0));
    check_refused(f, epio_allocate(&op, watch, 0, 8, 0));
    check_refused(f, epio_seek_data(&op, watch, 0));
    check_refused(f, epio_size(&op, watch));
    check_refused(f, epio_sync(&op, watch, EPIO_SYNC_FULL));
    check_refused(f, epio_lock(&op, watch, EPIO_LOCK_SHARED, 0));
    check_refused(f, epio_unlock(&op, watch, EPIO_LOCK_NONE));
    check_refused(f, epio_check_reserved_lock(&op, watch));
    check_refused(f, epio_file_stat(&op, watch, &info));
    check_refused(f, epio_file_set_mode(&op, watch, 0600));
    check_refused(f, epio_file_set_owner(&op, watch, 0, 0));
    check_refused(f, epio_file_set_times(&op, watch, &times));
    check_refused(f, epio_file_list_xattrs(&op, watch, (char *)buffer, 64));
    check_op(f, epio_list(&op, watch, buffer, sizeof buffer, 0), EPIO_EBADF);
    check_refused(f, epio_name_temporary(&op, watch, fixture_path(f, "x"), 0));
    check_result(epio_file_os_handle(watch), -1);
    check_result(epio_file_lock_level(watch), EPIO_LOCK_NONE);
    fixture_close(f, watch);
    fixture_works(f);
}

static void an_unreadable_directory_is_not_watched(fixture *f)
{
    epio_op op = {0};
    check_result(tree_mkdir(f, "secret", 0), 0);
    check_result(tree_set_mode(f, "secret", 0300), 0);
    check_op(f, epio_watch(&op, f->vfs, fixture_path(f, "secret"), 0), EPIO_EACCES);
    check(op.file == NULL);
}

static void memory_compares_nothing(fixture *f)
{
    epio_op op = {0};
    check_op(f, epio_watch(&op, f->vfs, f->directory, EPIO_WATCH_COMPARE), EPIO_ENOTSUP);
}

/* ---- Buffers --------------------------------------------------------------- */

static void an_event_that_does_not_fit_is_kept(fixture *f)
{
    uint64_t buffer[ROOM];
    epio_op op = {0};
    epio_file *watch = watch_directory(f);
    make(f, "a");
    make(f, "a-name-of-forty-bytes-that-takes-more-of");
    check_op_fails(f, epio_read_events(&op, watch, buffer, 0), EPIO_EINVAL, 0);
    check_op_fails(f, epio_read_events(&op, watch, buffer, 23), EPIO_EINVAL, 0);
    check(epio_op_invalid_reason(&op) != NULL);
    check_made(buffer, fixture_result(f, epio_read_events(&op, watch, buffer, 31)), "a");
    check_op(f, epio_read_events(&op, watch, buffer, 56), EPIO_ERANGE);
    check_op(f, epio_read_events(&op, watch, buffer, 64), 64);
    check_made(buffer, 64, "a-name-of-forty-bytes-that-takes-more-of");
    fixture_close(f, watch);
}

static void events_of_the_same_bytes_are_one(fixture *f)
{
    uint64_t buffer[ROOM];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "a");
    epio_file *watch = watch_directory(f);
    for (uint64_t i = 0; i < 1000; i++) {
        fixture_write(f, file, "x", 1, i);
    }
    int64_t len = fixture_result(f, epio_read_events(&op, watch, buffer, sizeof buffer));
    const epio_event *event = epio_event_next(buffer, (size_t)len, NULL);
    check(event->kind == EPIO_EVENT_CHANGED && strcmp(epio_event_name(event), "a") == 0);
    check(epio_event_next(buffer, (size_t)len, event) == NULL);
    fixture_write(f, file, "x", 1, 0); /* after it was read, it is another */
    check_op(f, epio_read_events(&op, watch, buffer, sizeof buffer), len);
    fixture_close(f, file);
    fixture_close(f, watch);
}

/* Reading and changing in a random order: each event comes once, in its order, whatever the queue
 * had to do to make room. */
static void the_queue_keeps_its_order(fixture *f)
{
    enum { MOST = 4000 };
    static uint64_t buffer[256];
    static unsigned queue[MOST]; /* numbers of files that were made; 0: the one file was changed */
    random_source random = {11};
    size_t first = 0, end = 0;
    unsigned made = 0;
    char name[128];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "x");
    epio_file *watch = watch_directory(f);
    memset(name, 'n', sizeof name);
    while (end < MOST || first < end) {
        uint64_t choice = random_between(&random, 0, 10);
        if (end < MOST && choice < 4) {
            char path[640];
            made++;
            (void)snprintf(path, sizeof path, "%s/%.*s%u", f->directory, (int)(made % 90), name,
                           made);
            check_op(f, epio_open(&op, f->vfs, path, READ_WRITE | EPIO_OPEN_CREATE), 0);
            fixture_close(f, op.file);
            queue[end++] = made;
        } else if (end < MOST && choice < 8) {
            fixture_write(f, file, "x", 1, 0);
            if (first == end || queue[end - 1] != 0) {
                queue[end++] = 0;
            }
        } else if (first < end && (end == MOST || random_between(&random, 0, 40) < 30)) {
            size_t room = (size_t)random_between(&random, 160, sizeof buffer);
            int64_t len = fixture_result(f, epio_read_events(&op, watch, buffer, room));
            check(len > 0 && (size_t)len <= room);
            const epio_event *event = NULL;
            while ((event = epio_event_next(buffer, (size_t)len, event)) != NULL) {
                check(first < end);
                unsigned number = queue[first++];
                const char *found = epio_event_name(event);
                check(event->kind == (number != 0 ? EPIO_EVENT_MADE : EPIO_EVENT_CHANGED));
                check(number == 0 || strtoul(found + strspn(found, "n"), NULL, 10) == number);
            }
        }
    }
    fixture_close(f, file);
    fixture_close(f, watch);
}

static void skip_where_memory_is_dear(fixture *f)
{
    if (getenv("EPIO_TEST_HEAP") != NULL) {
        fixture_skip(f, "the guarded heap has no room for so much");
    }
}

/* More than the queue has room for: those of before, then OVERFLOW, then those of after. */
static void lost_events_are_an_overflow(fixture *f)
{
    static uint64_t buffer[1 << 17];
    enum { MADE = (4 << 20) / 200 }; /* each event has some bytes more */
    char path[1024];
    epio_op op = {0};
    skip_where_memory_is_dear(f);
    epio_file *watch = watch_directory(f);
    (void)snprintf(path, sizeof path, "%s/", f->directory);
    char *name = path + strlen(path);
    memset(name, 'n', 200);
    for (unsigned i = 0; i < MADE; i++) {
        (void)snprintf(name + 200, 10, "%u", i);
        check_op(f, epio_open(&op, f->vfs, path, READ_WRITE | EPIO_OPEN_CREATE), 0);
        fixture_close(f, op.file);
    }
    make(f, "s"); /* there is room for it, but it comes after what is lost */
    unsigned read = 0;
    bool overflowed = false;
    while (!overflowed) {
        int64_t len = fixture_result(f, epio_read_events(&op, watch, buffer, sizeof buffer));
        check(len > 0);
        const epio_event *event = NULL;
        while ((event = epio_event_next(buffer, (size_t)len, event)) != NULL) {
            check(!overflowed);
            overflowed = event->kind == EPIO_EVENT_OVERFLOW;
            (void)snprintf(name + 200, 10, "%u", read);
            assert_string_equal(epio_event_name(event), overflowed ? "" : name);
            read++;
        }
    }
    check(read > (3u << 20) / 224 && read < MADE);
    make(f, "after");
    check_next(f, watch, "after");
    fixture_close(f, watch);
}

/* ---- The end --------------------------------------------------------------- */

static void the_end_of_the_directory_is_the_last_event(fixture *f)
{
    uint64_t buffer[ROOM];
    epio_op op = {0};
    if (!f->memory && system_is_wine()) {
        fixture_skip(f, "Wine lists a removed directory");
    }
    check_result(tree_mkdir(f, "d", 0), 0);
    epio_file *watch = watch_in(f, f->vfs, fixture_path(f, "d"), EPIO_WATCH_RECURSIVE);
    check_result(tree_rmdir(f, "d"), 0);
    int64_t len = fixture_result(f, epio_read_events(&op, watch, buffer, sizeof buffer));
    const epio_event *event = epio_event_next(buffer, (size_t)len, NULL);
    check(event != NULL && event->kind == EPIO_EVENT_REMOVED);
    check(event->name_len == 0 && event->type == EPIO_TYPE_DIRECTORY);
    check(epio_event_next(buffer, (size_t)len, event) == NULL);
    check_op(f, epio_read_events(&op, watch, buffer, sizeof buffer), 0);
    check_op(f, epio_read_events(&op, watch, buffer, sizeof buffer), 0);
    check_result(tree_mkdir(f, "d", 0), 0); /* another */
    make(f, "d/a");
    check_op(f, epio_read_events(&op, watch, buffer, sizeof buffer), 0);
    fixture_close(f, watch);
}

static void a_directory_may_be_replaced(fixture *f)
{
    uint64_t buffer[ROOM];
    epio_op op = {0};
    check_result(tree_mkdir(f, "d", 0), 0);
    check_result(tree_mkdir(f, "e", 0), 0);
    epio_file *watch = watch_in(f, f->vfs, fixture_path(f, "d"), 0);
    check_result(tree_rename(f, "e", "d", 0), 0);
    check(fixture_result(f, epio_read_events(&op, watch, buffer, sizeof buffer)) > 0);
    check_op(f, epio_read_events(&op, watch, buffer, sizeof buffer), 0);
    fixture_close(f, watch);
}

/* ---- Directories as VFSes, and layers ---------------------------------------- */

static void paths_begin_at_an_open_directory(fixture *f)
{
    epio_op op = {0};
    check_result(tree_mkdir(f, "d", 0), 0);
    check_result(tree_mkdir(f, "d/e", 0), 0);
    epio_file *directory = tree_open_directory(f, "d");
    epio_file *watch = watch_in(f, epio_directory_vfs(directory), "e", 0);
    epio_file *itself = watch_in(f, epio_directory_vfs(directory), ".", EPIO_WATCH_RECURSIVE);
    fixture_close(f, directory);
    directory = tree_open_confining(f, "d");
    check_op(f, epio_watch(&op, epio_directory_vfs(directory), "..", 0), EPIO_EACCES);
    check_op(f, epio_watch(&op, epio_directory_vfs(directory), f->directory, 0), EPIO_EACCES);
    fixture_close(f, directory);
    make(f, "d/e/a");
    check_next(f, watch, "a");
    check_next(f, itself, "e/a");
    fixture_close(f, watch);
    fixture_close(f, itself);
}

static void many_watches_see_the_same_change(fixture *f)
{
    epio_file *watches[20];
    tree_make_all(f, "a/b/c");
    const char *paths[] = {fixture_path(f, "a"), fixture_path(f, "a/b"), fixture_path(f, "a/b/c"),
                           f->directory};
    const char *names[] = {"b/c/x", "c/x", "x", "a/b/c/x"};
    for (size_t i = 0; i < COUNT(watches); i++) {
        watches[i] = watch_in(f, f->vfs, paths[i % 4], EPIO_WATCH_RECURSIVE);
    }
    make(f, "a/b/c/x");
    for (size_t i = 0; i < COUNT(watches); i++) {
        check_next(f, watches[i], names[i % 4]);
        fixture_close(f, watches[i]);
    }
}

/* ---- Waiting on a loop ------------------------------------------------------- */

static void poll_now(fixture *f)
{
    (void)epio_loop_poll(f->loop, 0, 0);
}

static void run_until_done(fixture *f, tracked *one)
{
    while (one->calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
}

typedef struct reading {
    tracked one;
    uint64_t buffer[ROOM];
} reading;

static void submit_reading(reading *one, epio_file *watch)
{
    epio_submit(epio_read_events(track(&one->one), watch, one->buffer, sizeof one->buffer));
}

static void check_read(fixture *f, reading *one, const char *names)
{
    run_until_done(f, &one->one);
    check_made(one->buffer, one->one.result, names);
}

static void readers_are_served_in_their_order(fixture *f)
{
    static reading readings[5];
    char name[8] = "a";
    epio_file *watch = watch_directory(f);
    for (size_t i = 0; i < COUNT(readings); i++) {
        submit_reading(&readings[i], watch);
    }
    poll_now(f);
    for (size_t i = 0; i < COUNT(readings); i++) {
        check_result(readings[i].one.calls, 0);
        name[0] = (char)('a' + (int)i);
        make(f, name);
        check_read(f, &readings[i], name);
    }
    make(f, "x");
    make(f, "y");
    check_next(f, watch, "x y");
    fixture_close(f, watch);
}

static void a_waiting_reader_can_be_cancelled(fixture *f)
{
    static reading first, second;
    epio_file *watch = watch_directory(f);
    submit_reading(&first, watch);
    submit_reading(&second, watch);
    poll_now(f);
    epio_cancel(&first.one.op);
    run_until_done(f, &first.one);
    check_result(first.one.result, EPIO_ECANCELED);
    check_result(second.one.calls, 0);
    make(f, "a");
    check_read(f, &second, "a");
    /* What another took is not taken back. */
    submit_reading(&first, watch);
    poll_now(f);
    make(f, "b");
    epio_cancel(&first.one.op);
    run_until_done(f, &first.one);
    if (first.one.result == EPIO_ECANCELED) {
        check_next(f, watch, "b");
    } else {
        check_made(first.buffer, first.one.result, "b");
    }
    fixture_close(f, watch);
}

static void a_waiting_reader_has_a_deadline(fixture *f)
{
    static reading one;
    epio_file *watch = watch_directory(f);
    (void)track(&one.one);
    one.one.op.timeout_ns = 2 * MILLISECOND;
    epio_submit(epio_read_events(&one.one.op, watch, one.buffer, sizeof one.buffer));
    run_until_done(f, &one.one);
    check_result(one.one.result, EPIO_ETIMEDOUT);
    make(f, "a");
    check_next(f, watch, "a");
    fixture_close(f, watch);
}

static void a_close_ends_waiting_readers(fixture *f)
{
    static reading readings[3];
    static tracked closing;
    epio_file *watch = watch_directory(f);
    for (size_t i = 0; i < COUNT(readings); i++) {
        submit_reading(&readings[i], watch);
    }
    poll_now(f);
    epio_submit(epio_close(track(&closing), watch));
    run_until_done(f, &closing);
    check_result(closing.result, 0);
    for (size_t i = 0; i < COUNT(readings); i++) {
        check_result(readings[i].one.calls, 1);
        check_result(readings[i].one.result, EPIO_ECANCELED);
    }
}

static void the_end_serves_all_readers(fixture *f)
{
    static reading readings[3];
    check_result(tree_mkdir(f, "d", 0), 0);
    epio_file *watch = watch_in(f, f->vfs, fixture_path(f, "d"), 0);
    for (size_t i = 0; i < COUNT(readings); i++) {
        submit_reading(&readings[i], watch);
    }
    poll_now(f);
    check_result(tree_rmdir(f, "d"), 0);
    for (size_t i = 0; i < COUNT(readings); i++) {
        run_until_done(f, &readings[i].one);
        check((readings[i].one.result > 0) == (i == 0));
        check(readings[i].one.result >= 0);
    }
    fixture_close(f, watch);
}

static void readers_can_be_linked(fixture *f)
{
    static reading first, second;
    static tracked opening;
    epio_file *watch = watch_directory(f);
    (void)epio_read_events(track(&first.one), watch, first.buffer, sizeof first.buffer);
    (void)epio_open(track(&opening), f->vfs, fixture_path(f, "b"), READ_WRITE | EPIO_OPEN_CREATE);
    (void)epio_read_events(track(&second.one), watch, second.buffer, sizeof second.buffer);
    (void)epio_link(&opening.op, &second.one.op, 0);
    epio_submit(epio_link(&first.one.op, &opening.op, 0));
    poll_now(f);
    check_result(opening.calls, 0);
    make(f, "a");
    check_read(f, &first, "a");
    check_read(f, &second, "b");
    check_result(opening.result, 0);
    fixture_close(f, opening.op.file);
    /* The failure of the first ends the second. */
    (void)epio_read_events(track(&first.one), watch, first.buffer, 24);
    (void)epio_read_events(track(&second.one), watch, second.buffer, sizeof second.buffer);
    make(f, "c-is-too-long");
    epio_submit(epio_link(&first.one.op, &second.one.op, 0));
    run_until_done(f, &second.one);
    check_result(first.one.result, EPIO_ERANGE);
    check_result(second.one.result, EPIO_ECANCELED);
    check_next(f, watch, "c-is-too-long");
    fixture_close(f, watch);
}

/* Of a limit. */
static void a_waiting_reader_holds_no_permit(fixture *f)
{
    static reading one;
    epio_file *watch = watch_directory(f);
    submit_reading(&one, watch);
    poll_now(f);
    fixture_works(f);
    make(f, "a");
    run_until_done(f, &one.one);
    check(one.one.result > 0);
    fixture_close(f, watch);
}

/* ---- Layers ------------------------------------------------------------------- */

static void watches_go_through_a_custom_layer(fixture *f)
{
    static const epio_layer_methods methods = {.size = sizeof methods, .name = "through"};
    epio_vfs *layer;
    check_result(epio_layer_vfs_create(&layer, f->vfs, &methods, NULL), 0);
    epio_file *watch = watch_in(f, layer, f->directory, EPIO_WATCH_RECURSIVE);
    check(watch->vfs == layer);
    make(f, "a");
    check_next(f, watch, "a");
    if (!f->performs) {
        static reading one;
        submit_reading(&one, watch);
        poll_now(f);
        make(f, "b");
        check_read(f, &one, "b");
        submit_reading(&one, watch);
        poll_now(f);
        epio_cancel(&one.one.op);
        run_until_done(f, &one.one);
        check_result(one.one.result, EPIO_ECANCELED);
    }
    fixture_close(f, watch);
    epio_vfs_destroy(layer);
}

/* A VFS that lets workers carry out all ops of the files of another. */
typedef struct worker_vfs {
    epio_vfs base;
    epio_vfs *inner;
} worker_vfs;

typedef struct worker_file {
    epio_file base;
    epio_file *inner;
} worker_file;

static int64_t perform_inside(epio_vfs *vfs, epio_op *op)
{
    worker_vfs *layer = (worker_vfs *)(void *)vfs;
    worker_file *file = (worker_file *)(void *)op->file;
    if (op->kind == EPIO_KIND_WATCH) {
        file = calloc(1, sizeof *file);
        require(file != NULL);
        int64_t result = epio_perform_on(op, layer->inner, NULL);
        require(result >= 0);
        file->inner = op->file;
        epio_file_init(&file->base, vfs, op->file->flags, op->file->attributes);
        op->file = &file->base;
        return result;
    }
    int64_t result = epio_perform_on(op, layer->inner, file->inner);
    if (op->kind == EPIO_KIND_CLOSE) {
        epio_file_release(&file->base);
        free(file);
    }
    return result;
}

static void submit_to_worker(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_offload(op);
}

static size_t count_ended(const reading *readings, size_t count)
{
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        ended += readings[i].one.calls != 0 ? 1 : 0;
    }
    return ended;
}

/* There are more ops than threads of their lane. */
static void a_worker_does_not_wait(fixture *f)
{
    static const epio_vfs_methods methods = {.size = sizeof methods,
                                             .name = "worker",
                                             .submit = submit_to_worker,
                                             .perform = perform_inside};
    static reading readings[100];
    worker_vfs layer = {.base = {.methods = &methods, .loop = f->loop}, .inner = f->vfs};
    epio_file *watch = watch_in(f, &layer.base, f->directory, 0);
    for (size_t i = 0; i < COUNT(readings); i++) {
        submit_reading(&readings[i], watch);
    }
    epio_cancel(&readings[0].one.op);
    run_until_done(f, &readings[0].one);
    check_result(readings[0].one.result, EPIO_ECANCELED);
    fixture_works(f);
    make(f, "a");
    while (count_ended(readings, COUNT(readings)) < 2) { /* the cancelled one, and another */
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 1);
    }
    for (size_t i = 1; i < COUNT(readings); i++) {
        epio_cancel(&readings[i].one.op);
    }
    for (size_t i = 1; i < COUNT(readings); i++) {
        run_until_done(f, &readings[i].one);
        check_result(readings[i].one.calls, 1);
        check(readings[i].one.result > 0 || readings[i].one.result == EPIO_ECANCELED);
    }
    fixture_close(f, watch);
}

/* ---- By epio_perform ---------------------------------------------------------- */

typedef struct performer {
    epio_file *watch;
    epio_op op;
    uint64_t buffer[ROOM];
    int64_t result;
} performer;

static void *read_by_thread(void *argument)
{
    performer *one = argument;
    one->result =
        epio_perform(epio_read_events(&one->op, one->watch, one->buffer, sizeof one->buffer));
    return NULL;
}

static void threads_wait_for_events(fixture *f)
{
    test_thread thread;
    performer one = {.watch = watch_directory(f)};
    thread_start(&thread, read_by_thread, &one);
    make(f, "a");
    (void)thread_join(thread);
    check_made(one.buffer, one.result, "a");
    one.op.timeout_ns = MILLISECOND;
    thread_start(&thread, read_by_thread, &one);
    (void)thread_join(thread);
    check_result(one.result, EPIO_ETIMEDOUT);
    make(f, "b");
    check_next(f, one.watch, "b");
    fixture_close(f, one.watch);
}

/* ---- Races -------------------------------------------------------------------- */

/* Threads make files while one loop reads, cancels and times out: each event comes once. */
typedef struct makers {
    epio_vfs *vfs;
    const char *directory;
    atomic_uint next;
    unsigned count;
} makers;

static void *make_files(void *argument)
{
    makers *all = argument;
    unsigned number;
    while ((number = atomic_fetch_add(&all->next, 1)) < all->count) {
        char path[640];
        epio_op op = {0};
        (void)snprintf(path, sizeof path, "%s/%u", all->directory, number);
        require(epio_perform(epio_open(&op, all->vfs, path, READ_WRITE | EPIO_OPEN_CREATE)) == 0);
        require(epio_perform(epio_close(&op, op.file)) == 0);
    }
    return NULL;
}

static unsigned count_made(const void *buffer, int64_t len, bool *seen, unsigned most)
{
    unsigned count = 0;
    const epio_event *event = NULL;
    while ((event = epio_event_next(buffer, (size_t)len, event)) != NULL) {
        unsigned number = (unsigned)strtoul(epio_event_name(event), NULL, 10);
        check(event->kind == EPIO_EVENT_MADE && number < most && !seen[number]);
        seen[number] = true;
        count++;
    }
    return count;
}

static void events_race_with_cancels_and_deadlines(fixture *f)
{
    enum { THREADS = 3, READERS = 4 };
    static reading readings[READERS];
    test_thread threads[THREADS];
    random_source random = {7};
    makers all = {.vfs = f->vfs, .directory = f->directory, .count = fixture_rounds(6000)};
    bool *seen = calloc(all.count, sizeof *seen);
    unsigned found = 0;
    epio_file *watch = watch_directory(f);
    check(seen != NULL);
    for (size_t i = 0; i < THREADS; i++) {
        thread_start(&threads[i], make_files, &all);
    }
    for (size_t i = 0; i < READERS; i++) {
        submit_reading(&readings[i], watch);
    }
    while (found < all.count) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
        for (size_t i = 0; i < READERS; i++) {
            reading *one = &readings[i];
            if (one->one.calls == 0) {
                if (random_between(&random, 0, 4) == 0) {
                    epio_cancel(&one->one.op);
                }
                continue;
            }
            int64_t result = one->one.result;
            check(result > 0 || result == EPIO_ECANCELED || result == EPIO_ETIMEDOUT);
            found += result > 0 ? count_made(one->buffer, result, seen, all.count) : 0;
            (void)track(&one->one);
            one->one.op.timeout_ns = random_between(&random, 1, 100000);
            epio_submit(epio_read_events(&one->one.op, watch, one->buffer, sizeof one->buffer));
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)thread_join(threads[i]);
    }
    for (size_t i = 0; i < READERS; i++) {
        run_until_done(f, &readings[i].one);
        check(readings[i].one.result < 0);
    }
    check_result(found, all.count);
    free(seen);
    fixture_close(f, watch);
}

static void threads_race_for_events(fixture *f)
{
    enum { MAKERS = 2, READERS = 3 };
    test_thread threads[MAKERS];
    makers all = {.vfs = f->vfs, .directory = f->directory, .count = fixture_rounds(6000)};
    bool *seen = calloc(all.count, sizeof *seen);
    unsigned found = 0;
    epio_file *watch = watch_directory(f);
    check(seen != NULL);
    for (size_t i = 0; i < MAKERS; i++) {
        thread_start(&threads[i], make_files, &all);
    }
    while (found < all.count) {
        test_thread readers[READERS];
        static performer performers[READERS];
        for (size_t i = 0; i < READERS; i++) {
            performers[i] = (performer){.watch = watch};
            performers[i].op.timeout_ns = 100000;
            thread_start(&readers[i], read_by_thread, &performers[i]);
        }
        for (size_t i = 0; i < READERS; i++) {
            (void)thread_join(readers[i]);
            int64_t result = performers[i].result;
            check(result > 0 || result == EPIO_ETIMEDOUT);
            found += result > 0 ? count_made(performers[i].buffer, result, seen, all.count) : 0;
        }
    }
    for (size_t i = 0; i < MAKERS; i++) {
        (void)thread_join(threads[i]);
    }
    check_result(found, all.count);
    free(seen);
    fixture_close(f, watch);
}

/* ---- Loops and watches that end ------------------------------------------------- */

static void a_loop_is_closed_while_a_reader_waits(fixture *f)
{
    static reading one;
    epio_loop *loop;
    epio_vfs *vfs;
    epio_op op = {0};
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(memory_vfs_make(&vfs, loop, f->directory), 0);
    check_result(epio_perform(epio_watch(&op, vfs, f->directory, 0)), 0);
    epio_file *watch = op.file;
    submit_reading(&one, watch);
    (void)epio_loop_poll(loop, 0, 0);
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    check_result(one.one.calls, 1);
    check_result(one.one.result, EPIO_ECANCELED);
    check_result(epio_perform(epio_close(&op, watch)), 0);
    epio_vfs_destroy(vfs);
    epio_loop_destroy(loop);
}

/* One thread compares for all watches, and ends with the last. */
static void comparing_takes_one_thread(fixture *f)
{
    epio_file *watches[10];
    int threads = count_threads();
    for (size_t i = 0; i < COUNT(watches); i++) {
        watches[i] = watch_in(f, f->vfs, f->directory, EPIO_WATCH_COMPARE);
    }
    check_result(count_threads(), threads < 0 ? threads : threads + 1);
    for (size_t i = 0; i < COUNT(watches); i++) {
        fixture_close(f, watches[i]);
    }
    check_result(count_threads(), threads);
}

/* 10,000 watches of which nothing happens: the loop sleeps, and what is changed elsewhere does not
 * wake it. */
static void idle_watches_wake_nothing(fixture *f)
{
    size_t count = fixture_is_slow() ? 1000 : 10000;
    skip_where_memory_is_dear(f);
    epio_file **watches = calloc(count, sizeof *watches);
    reading *readings = calloc(count, sizeof *readings);
    epio_loop_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    check(watches != NULL && readings != NULL);
    int threads = count_threads();
    check_result(tree_mkdir(f, "idle", 0), 0);
    check_result(tree_mkdir(f, "busy", 0), 0);
    for (size_t i = 0; i < count; i++) {
        watches[i] = watch_in(f, f->vfs, fixture_path(f, "idle"), EPIO_WATCH_RECURSIVE);
        submit_reading(&readings[i], watches[i]);
    }
    poll_now(f);
    check_result(epio_loop_get_stats(f->loop, &before), 0);
    makers all = {.vfs = f->vfs, .directory = fixture_path(f, "busy"), .count = 2000};
    test_thread thread;
    thread_start(&thread, make_files, &all);
    (void)thread_join(thread);
    check_result(epio_loop_poll(f->loop, 2 * MILLISECOND, 0), 0);
    check_result(epio_loop_get_stats(f->loop, &after), 0);
    check_result(after.wakes - before.wakes, 0);
    check_result(after.delivered - before.delivered, 0);
    check_result(after.in_flight, count);
    check_result(count_threads(), threads);
    for (size_t i = 0; i < count; i++) {
        fixture_close(f, watches[i]);
        check_result(readings[i].one.result, EPIO_ECANCELED);
    }
    free(readings);
    free(watches);
}

int main(void)
{
    const fixture_test tests[] = {
        FIXTURE_TEST(wrong_arguments_are_refused, ON_ALL),
        FIXTURE_TEST(a_watch_has_events_alone, ON_ALL),
        FIXTURE_TEST(an_unreadable_directory_is_not_watched, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(memory_compares_nothing, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(an_event_that_does_not_fit_is_kept, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(events_of_the_same_bytes_are_one, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(the_queue_keeps_its_order, ON_MEMORY_PERFORM | ON_MEMORY),
        FIXTURE_TEST(lost_events_are_an_overflow, ON_MEMORY_PERFORM | ON_MEMORY),
        FIXTURE_TEST(the_end_of_the_directory_is_the_last_event, ON_MOST),
        FIXTURE_TEST(a_directory_may_be_replaced, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(paths_begin_at_an_open_directory, ON_MOST),
        FIXTURE_TEST(many_watches_see_the_same_change, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(readers_are_served_in_their_order, ON_LOOPS),
        FIXTURE_TEST(a_waiting_reader_can_be_cancelled, ON_LOOPS),
        FIXTURE_TEST(a_waiting_reader_has_a_deadline, ON_LOOPS | ON_OS),
        FIXTURE_TEST(a_close_ends_waiting_readers, ON_LOOPS | ON_OS | ON_LIMIT_OS | ON_TRACE_OS),
        FIXTURE_TEST(the_end_serves_all_readers, ON_LOOPS),
        FIXTURE_TEST(readers_can_be_linked, ON_LOOPS),
        FIXTURE_TEST(a_waiting_reader_holds_no_permit, ON_LOOPS | ON_LIMIT_OS),
        FIXTURE_TEST(watches_go_through_a_custom_layer, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_worker_does_not_wait, ON_LOOPS),
        FIXTURE_TEST(threads_wait_for_events, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(events_race_with_cancels_and_deadlines, ON_LOOPS),
        FIXTURE_TEST(threads_race_for_events, ON_LOOPS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(a_loop_is_closed_while_a_reader_waits, ON_MEMORY),
        FIXTURE_TEST_POSIX(comparing_takes_one_thread, ON_OS_PERFORM,
                           "threads of the system's pool come and go"),
        FIXTURE_TEST(idle_watches_wake_nothing, ON_LOOPS),
    };
    return FIXTURE_RUN("watch_wait", tests);
}
