/* Processes that save the same file, and that are killed while they do: who looks finds a whole
 * file, and the next save leaves nothing beside it. EPIO_TEST_KILLS says how many. Each process
 * has its own loop or none; also without loops: EPIO_TEST_WITHOUT_LOOP, EPIO_TEST_ONCE. */
#include "support.h"

#include <epio/vfs.h>

/* ---- Contents ------------------------------------------------------------- */

#define LARGEST 60000u

/* Bytes of one generation, which their length and each of them tells. */
static size_t make_bytes(unsigned char *bytes, uint32_t generation)
{
    size_t len = 4 + (size_t)(generation * 7919u % (LARGEST - 4));
    memcpy(bytes, &generation, 4);
    memset(bytes + 4, (int)(generation * 31u & 0xFFu), len - 4);
    return len;
}

static bool is_whole(const unsigned char *bytes, size_t len)
{
    static unsigned char wanted[LARGEST];
    uint32_t generation;
    if (len < 4) {
        return false;
    }
    memcpy(&generation, bytes, 4);
    return make_bytes(wanted, generation) == len && memcmp(wanted, bytes, len) == 0;
}

static void check_whole(const char *path, bool may_be_missing)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    int64_t len = epio_perform(epio_load(&op, epio_os_vfs(), path, &buffer, NULL));
    check((len == EPIO_ENOENT && may_be_missing) || len >= 0);
    check(len < 0 || is_whole(buffer.data, (size_t)len));
    epio_buffer_free(&buffer);
}

/* ---- The process that saves -------------------------------------------------- */

typedef struct saver {
    const char *path;
    epio_vfs *vfs;
#if EPIO_ASYNC
    epio_loop *loop;
#endif
    uint32_t flags;
    uint32_t generation;
    unsigned char bytes[LARGEST];
} saver;

static int64_t run_op(saver *one, epio_op *op)
{
    int64_t result;
#if EPIO_ASYNC
    result = one->loop != NULL ? epio_wait(op) : epio_perform(op);
#else
    (void)one;
    result = epio_perform(op);
#endif
    if (result < 0) {
        print_error("%s: os_error %d\n", epio_kind_name(op->kind), (int)op->os_error);
    }
    return result;
}

static int64_t save_next(saver *one)
{
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options, .flags = one->flags};
    size_t len = make_bytes(one->bytes, ++one->generation);
    if (one->generation % 4 != 0) {
        return run_op(one, epio_save(&op, one->vfs, one->path, one->bytes, len, &options));
    }
    epio_saving *saving;
    int64_t result = run_op(one, epio_save_begin(&op, one->vfs, one->path, &options, &saving));
    if (result < 0) {
        return result;
    }
    check_result(run_op(one, epio_write(&op, epio_saving_file(saving), one->bytes, len, 0)), len);
    result = run_op(one, epio_save_commit(&op, saving));
    if (result < 0) {
        check_result(run_op(one, epio_save_abandon(&op, saving)), 0);
    }
    return result;
}

/* "FLAGS FIRST COUNT PATH"; a count of 0: until it is killed. */
static void begin_saver(saver *one, const char *argument, unsigned *count)
{
    unsigned flags;
    unsigned first;
    int used = 0;
    check(sscanf(argument, "%u %u %u %n", &flags, &first, count, &used) == 3);
    memset(one, 0, sizeof *one);
    one->path = argument + used;
    one->vfs = epio_os_vfs();
    one->flags = flags;
    one->generation = first;
#if EPIO_ASYNC
    if (first % 2 == 1) {
        check_result(epio_loop_create(&one->loop, NULL), 0);
        one->vfs = epio_loop_vfs(one->loop);
    }
#endif
}

static void save_in_child(const char *argument)
{
    static saver one;
    unsigned count;
    begin_saver(&one, argument, &count);
    check_result(pipe_write(process_output(), "b", 1), 1);
    for (unsigned i = 0; count == 0 || i < count; i++) {
        int64_t result = save_next(&one);
        check_result(result < 0 ? result : 0, 0);
    }
#if EPIO_ASYNC
    epio_loop_destroy(one.loop);
#endif
}

static void start_saver(child *one, const char *path, uint32_t flags, unsigned first,
                        unsigned count)
{
    char argument[2048];
    char ready;
    (void)snprintf(argument, sizeof argument, "%u %u %u %s", flags, first, count, path);
    child_start(one, save_in_child, argument, CHILD_PIPES);
    check_result(pipe_read(one->from, &ready, 1), 1);
}

/* ---- Tests -------------------------------------------------------------------- */

static unsigned kills(void)
{
    const char *text = getenv("EPIO_TEST_KILLS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : fixture_rounds(20);
}

static void save_last(const char *path, uint32_t flags)
{
    static saver one;
    memset(&one, 0, sizeof one);
    one.path = path;
    one.vfs = epio_os_vfs();
    one.flags = flags;
    check(save_next(&one) >= 0);
}

/* Its entries. Renames and removals of Windows that are killed, or where others have the file open
 * and the system cannot do without, may leave names of their own (docs/windows.md). */
static int count_names(fixture *f)
{
    uint64_t buffer[1024];
    epio_op op = EPIO_OP_INIT;
    const epio_entry *entry = NULL;
    int count = 0;
    check_op(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY), 0);
    epio_file *directory = op.file;
    int64_t len = fixture_result(f, epio_list(&op, directory, buffer, sizeof buffer, 0));
    while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
        bool systems = !SYSTEM_IS_POSIX && strncmp(epio_entry_name(entry), ".epio-", 6) == 0;
        count += systems ? 0 : 1;
    }
    fixture_close(f, directory);
    return count;
}

static void kill_at_random(fixture *f, random_source *random, unsigned round)
{
    static const uint32_t flags[] = {0, EPIO_SAVE_BACKUP, EPIO_SAVE_NO_DURABLE};
    const char *path = fixture_path(f, "file");
    uint32_t flag = flags[round % 3];
    child one;
    start_saver(&one, path, flag, (unsigned)random_between(random, 1, 1000), 0);
    sleep_us(random_between(random, 0, 8000));
    child_kill(&one);
    check_whole(path, round == 0);
    check_whole(fixture_path(f, "file~"), true);
    save_last(path, flag);
    check_whole(path, false);
    check_result(count_names(f), 1 + (file_exists(fixture_path(f, "file~")) ? 1 : 0));
}

static void a_killed_save_leaves_a_whole_file(fixture *f)
{
    random_source random = {0x5A7E};
    for (unsigned i = 0; i < kills(); i++) {
        size_t used = f->names_used;
        kill_at_random(f, &random, i);
        f->names_used = used;
    }
}

static void several_are_killed_together(fixture *f)
{
    random_source random = {0x5A7F};
    const char *path = fixture_path(f, "file");
    if (system_is_wine()) {
        fixture_skip(f, "a file that others have open is replaced in two steps there");
    }
    for (unsigned i = 0; i < kills() / 4 + 1; i++) {
        child them[3];
        for (unsigned j = 0; j < 3; j++) {
            start_saver(&them[j], path, j == 0 ? EPIO_SAVE_BACKUP : 0, 100 * j + i + 1, 0);
        }
        sleep_us(random_between(&random, 0, 8000));
        for (unsigned j = 0; j < 3; j++) {
            child_kill(&them[j]);
            check_whole(path, i == 0);
        }
        save_last(path, EPIO_SAVE_BACKUP);
        check_whole(path, false);
        check(count_names(f) <= 2);
    }
}

static void several_processes_save_one_file(fixture *f)
{
    const char *path = fixture_path(f, "file");
    enum { SAVERS = 6 }; /* more than can at the same time */
    const unsigned rounds = fixture_rounds(20);
    child them[SAVERS];
    for (unsigned i = 0; i < SAVERS; i++) {
        start_saver(&them[i], path, i % 2 == 0 ? 0 : EPIO_SAVE_NO_DURABLE, 1000 * i + i, rounds);
    }
    for (unsigned i = 0; i < 50; i++) {
        check_whole(path, true);
    }
    for (unsigned i = 0; i < SAVERS; i++) {
        check_result(child_end(&them[i]), 0);
    }
    check_whole(path, false);
    check_result(count_names(f), 1);
}

#if EPIO_ASYNC

static void many_saves_are_in_flight_together(fixture *f)
{
    enum { SAVES = 24 };
    static unsigned char bytes[SAVES][LARGEST];
    static tracked ops[SAVES];
    const char *path = fixture_path(f, "file");
    for (uint32_t i = 0; i < SAVES; i++) {
        size_t len = make_bytes(bytes[i], i + 1);
        epio_submit(epio_save(track(&ops[i]), f->vfs, path, bytes[i], len, NULL));
    }
    (void)epio_loop_run(f->loop);
    for (uint32_t i = 0; i < SAVES; i++) {
        check_result(ops[i].calls, 1);
        /* On Windows files get a second name for a moment, and one that others replace meanwhile
         * gives its metadata to none. */
        check_result(SYSTEM_IS_POSIX || ops[i].result < 0 ? ops[i].result : 0, 0);
    }
    check_whole(path, false);
    check_result(count_names(f), 1);
}

#endif

int main(int argc, char **argv)
{
    static const child_function functions[] = {CHILD(save_in_child)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_killed_save_leaves_a_whole_file, ON_OS_PERFORM),
        FIXTURE_TEST(several_are_killed_together, ON_OS_PERFORM),
        FIXTURE_TEST(several_processes_save_one_file, ON_OS_PERFORM),
#if EPIO_ASYNC
        FIXTURE_TEST(many_saves_are_in_flight_together, ON_OS),
#endif
    };
    CHILDREN_ARE(functions, argc, argv);
    return FIXTURE_RUN("save_processes", tests);
}
