/* The fixture, the checks and the small helpers of support.h. */
#include "support.h"

#include <stdatomic.h>

/* A test that takes longer has hung; valgrind and sanitizers are slow. */
#define HANG_GUARD_SECONDS (fixture_is_slow() ? 600u : 100u)

typedef struct setting {
    uint32_t on;
    const char *name;
    uint32_t permits; /* of the limit; 0: none */
} setting;

static const setting settings[] = {
    {ON_OS_PERFORM, "os, performed", 0},
    {ON_MEMORY_PERFORM, "memory, performed", 0},
    {ON_TRACE_OS_PERFORM, "trace over os, performed", 0},
#if EPIO_ASYNC
    {ON_OS, "os", 0},
    {ON_OS_SUBMIT, "os, submitted", 0},
    {ON_OS_LOOP_PERFORM, "os of a loop, performed", 0},
    {ON_MEMORY, "memory", 0},
    {ON_LIMIT_OS, "limit of 1 over os", 1},
    {ON_LIMIT_OS_3, "limit of 3 over os", 3},
    {ON_LIMIT_MEMORY, "limit of 1 over memory", 1},
    {ON_LIMIT_MEMORY_3, "limit of 3 over memory", 3},
    {ON_LIMIT_OS_PERFORM, "limit of 1 over os, performed", 1},
    {ON_TRACE_OS, "trace over os", 0},
    {ON_TRACE_MEMORY, "trace over memory", 0},
#endif
};

/* Those that have no loop. */
#define WITHOUT_LOOP (ON_OS_PERFORM | ON_MEMORY_PERFORM | ON_TRACE_OS_PERFORM)
#define ON_TRACES (ON_TRACE_OS | ON_TRACE_MEMORY | ON_TRACE_OS_PERFORM)

#define SETTINGS (sizeof settings / sizeof settings[0])

/* One test in one setting, as CMocka's initial state. */
typedef struct fixture_case {
    const fixture_test *test;
    const setting *setting;
    fixture *fixture;
    char name[160];
} fixture_case;

/* ---- Failing ----------------------------------------------------------- */

static bool is_child;

static void fail_at(const char *source, int line)
{
    if (is_child) {
        (void)fprintf(stderr, "%s:%d: failed in a child process\n", source, line);
        (void)fflush(stderr);
        _Exit(255);
    }
    _fail(source, line);
}

void checks_end_the_process(void)
{
    is_child = true;
    hang_guard(HANG_GUARD_SECONDS, "in a child process");
}

void check_at(bool holds, const char *what, const char *source, int line)
{
    if (!holds) {
        print_error("%s\n", what);
        fail_at(source, line);
    }
}

void require_at(bool holds, const char *what, const char *source, int line)
{
    if (!holds) {
        (void)fprintf(stderr, "%s:%d: %s\n", source, line, what);
        abort();
    }
}

/* ---- The fixture ------------------------------------------------------- */

static int open_setting(fixture *f, const setting *chosen)
{
    f->setting = chosen->name;
    f->on = chosen->on;
    f->memory = (chosen->on & ON_ANY_MEMORY) != 0;
    f->performs = (chosen->on & ON_ANY_PERFORM) != 0;
    f->vfs = epio_os_vfs();
#if EPIO_ASYNC
    if ((chosen->on & WITHOUT_LOOP) == 0) {
        /* No budget: a poll must not depend on the load of the machine. */
        epio_loop_options options = {.size = sizeof options, .poll_budget_ns = EPIO_FOREVER};
        if (epio_loop_create(&f->loop, &options) != 0) {
            return -1;
        }
        f->vfs = epio_loop_vfs(f->loop);
    }
    if (f->memory && memory_vfs_make(&f->memory_vfs, f->loop, f->directory) != 0) {
        return -1;
    }
#else
    if (f->memory && memory_vfs_make(&f->memory_vfs, NULL, f->directory) != 0) {
        return -1;
    }
#endif
    if (f->memory) {
        f->vfs = f->memory_vfs;
    }
#if EPIO_ASYNC
    if (chosen->permits > 0) {
        f->permits = chosen->permits;
        if (epio_semaphore_create(&f->semaphore, chosen->permits) != 0 ||
            epio_limit_vfs_create(&f->layer, f->vfs, f->semaphore) != 0) {
            return -1;
        }
    }
#endif
    if ((chosen->on & ON_TRACES) != 0 && epio_trace_vfs_create(&f->layer, f->vfs) != 0) {
        return -1;
    }
    if (f->layer != NULL) {
        f->vfs = f->layer;
    }
    return 0;
}

/* The open descriptors at the end of the previous case, if it leaked none: nothing is opened
 * between two cases, and counting takes long where handles are tried one by one. -1: unknown. */
static int descriptors_left = -1;

/* What it has left is opened and closed during others. */
static bool one_failed;

/* For leak checkers: it can be reached in a forked child, whatever its stack has. */
static fixture *volatile current;

/* The children that a case has started and that run; 0: none. */
static _Atomic intptr_t running[64];

static bool replace_running(intptr_t old, intptr_t now)
{
    for (size_t i = 0; i < sizeof running / sizeof running[0]; i++) {
        intptr_t expected = old;
        if (atomic_compare_exchange_strong(&running[i], &expected, now)) {
            return true;
        }
    }
    return false;
}

/* A failed case leaves its children; they would go on beside the next. */
static void kill_children(void)
{
    for (size_t i = 0; i < sizeof running / sizeof running[0]; i++) {
        test_process process = {.system = atomic_exchange(&running[i], 0)};
        if (process.system != 0) {
            process_kill(&process);
            (void)process_wait(&process);
        }
    }
}

static int set_up(void **state)
{
    fixture_case *now = *state;
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return -1;
    }
    now->fixture = f;
    current = f;
    hang_guard(HANG_GUARD_SECONDS, now->name);
    f->descriptors = descriptors_left >= 0 ? descriptors_left : count_descriptors();
    descriptors_left = -1;
    if (!test_directory_make(f->real_directory, sizeof f->real_directory)) {
        return -1;
    }
    /* The memory VFS has no drives. */
    f->directory = (now->setting->on & ON_ANY_MEMORY) != 0 ? strchr(f->real_directory, '/')
                                                           : f->real_directory;
    return open_setting(f, now->setting);
}

static int close_setting(fixture *f)
{
    int result = 0;
#if EPIO_ASYNC
    if (f->loop != NULL && epio_loop_pending(f->loop) != 0) {
        print_error("operations are still in flight\n");
        return -1;
    }
    if (f->semaphore != NULL && epio_semaphore_available(f->semaphore) != f->permits) {
        print_error("permits are missing\n");
        result = -1;
    }
#endif
    epio_vfs_destroy(f->layer);
#if EPIO_ASYNC
    epio_semaphore_destroy(f->semaphore);
#endif
    epio_vfs_destroy(f->memory_vfs);
#if EPIO_ASYNC
    epio_loop_destroy(f->loop);
#endif
    return result;
}

static int tear_down(void **state)
{
    fixture_case *now = *state;
    fixture *f = now->fixture;
    int result = 0;
    hang_guard(0, "");
    kill_children();
    test_directory_remove(f->real_directory);
    /* A failed test leaves ops in flight and files open; these are not cleaned up, as the loop
     * would abort. */
    if (!f->over) {
        one_failed = true;
        return 0;
    }
    result = close_setting(f);
    int descriptors = count_descriptors();
    if (descriptors == f->descriptors) {
        descriptors_left = descriptors;
    } else if (!one_failed) {
        print_error("%d descriptors before the test, %d after it\n", f->descriptors, descriptors);
        result = -1;
    }
    free(f);
    now->fixture = NULL;
    return result;
}

static void run_case(void **state)
{
    fixture_case *now = *state;
    now->test->run(now->fixture);
    now->fixture->over = true;
}

/* What needs no repetition. Without a loop there is no backend, and none carries out what the
 * memory VFS does, which has no file system either. A test that has no other setting may create
 * loops and files of its own. */
static bool is_repetition(const fixture_test *test, const setting *one)
{
    bool backend = getenv("EPIO_TEST_OTHER_BACKEND") != NULL;
    bool files = getenv("EPIO_TEST_OTHER_FILE_SYSTEM") != NULL;
    uint32_t repeated = (backend ? WITHOUT_LOOP : 0) | (backend || files ? ON_ANY_MEMORY : 0);
    if (backend && !files && (test->on & ON_ONE_BACKEND) != 0) {
        return true;
    }
    return (one->on & repeated) != 0 && (test->on & ~(repeated | ON_ONE_BACKEND)) != 0;
}

static size_t add_cases(fixture_case *cases, struct CMUnitTest *units, const fixture_test *test)
{
    size_t added = 0;
    for (size_t i = 0; i < SETTINGS; i++) {
        if ((test->on & settings[i].on) == 0 || is_repetition(test, &settings[i])) {
            continue;
        }
        fixture_case *one = &cases[added];
        one->test = test;
        one->setting = &settings[i];
        (void)snprintf(one->name, sizeof one->name, "%s (%s)", test->name, settings[i].name);
        units[added].name = one->name;
        units[added].test_func = run_case;
        units[added].setup_func = set_up;
        units[added].teardown_func = tear_down;
        units[added].initial_state = one;
        added++;
    }
    return added;
}

static int list_cases(const fixture_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)printf("%s\n", cases[i].name);
    }
    return 0;
}

int fixture_run(const char *group, const fixture_test *tests, size_t count)
{
    fixture_case *cases = calloc(count * SETTINGS, sizeof *cases);
    struct CMUnitTest *units = calloc(count * SETTINGS, sizeof *units);
    size_t added = 0;
    int failed = 1;
    if (getenv("EPIO_TEST_FILTER") != NULL) {
        cmocka_set_test_filter(getenv("EPIO_TEST_FILTER"));
    }
    if (cases != NULL && units != NULL) {
        for (size_t i = 0; i < count; i++) {
            added += add_cases(cases + added, units + added, &tests[i]);
        }
        failed = getenv("EPIO_TEST_LIST") != NULL
                     ? list_cases(cases, added)
                     : _cmocka_run_group_tests(group, units, added, NULL, NULL);
    }
    free(units);
    free(cases);
    return failed;
}

_Noreturn void fixture_skip(fixture *f, const char *reason)
{
    print_message("skipped: %s\n", reason);
    f->over = true;
    _skip(__FILE__, __LINE__);
    abort();
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

bool fixture_is_watched(void)
{
    return SANITIZED || getenv("EPIO_TEST_VALGRIND") != NULL || getenv("EPIO_TEST_HEAP") != NULL;
}

bool fixture_is_emulated(void)
{
    return getenv("EPIO_TEST_VALGRIND") != NULL;
}

bool fixture_is_slow(void)
{
    return fixture_is_watched() || system_is_wine();
}

unsigned fixture_rounds(unsigned rounds)
{
    const char *effort = getenv("EPIO_TEST_EFFORT");
    unsigned long times = effort != NULL ? strtoul(effort, NULL, 10) : 1;
    rounds *= times > 0 ? (unsigned)times : 1;
    if (!fixture_is_slow() || rounds <= 10) {
        return rounds;
    }
    return rounds > 100 ? rounds / 10 : 10;
}

/* ---- Deliveries -------------------------------------------------------- */

#if EPIO_ASYNC

static void count_done(epio_op *op)
{
    int *count = op->user;
    (*count)++;
}

epio_op *count_delivery(epio_op *op, int *count)
{
    op->done = count_done;
    op->user = count;
    return op;
}

static void tracked_done(epio_op *op)
{
    tracked *one = op->user;
    one->calls++;
    one->result = op->result;
    check(!epio_op_pending(op));
    check(op->result != EPIO_EPENDING);
    check(op->timeout_ns == 0);
    if (one->then != NULL) {
        one->then(one);
    }
}

epio_op *track(tracked *one)
{
    memset(one, 0, sizeof *one);
    one->op.done = tracked_done;
    one->op.user = one;
    return &one->op;
}

#endif

/* ---- Ops and files ----------------------------------------------------- */

#if EPIO_ASYNC

static int64_t submit_and_run(fixture *f, epio_op *op)
{
    int calls = 0;
    epio_submit(count_delivery(op, &calls));
    if (calls != 0) {
        print_error("done was called by epio_submit\n");
        fail_at(__FILE__, __LINE__);
    }
    while (epio_op_pending(op)) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    if (calls != 1) {
        print_error("done was called %d times\n", calls);
        fail_at(__FILE__, __LINE__);
    }
    op->done = NULL;
    op->user = NULL;
    return op->result;
}

#endif

int64_t fixture_result(fixture *f, epio_op *op)
{
    int64_t result;
#if EPIO_ASYNC
    if (f->performs) {
        result = epio_perform(op);
    } else if (f->on == ON_OS_SUBMIT) {
        result = submit_and_run(f, op);
    } else {
        result = epio_wait(op);
    }
#else
    (void)f;
    result = epio_perform(op);
#endif
    if (result != op->result) {
        print_error("returned %lld, but op->result is %lld\n", (long long)result,
                    (long long)op->result);
        fail_at(__FILE__, __LINE__);
    }
    return result;
}

const char *fixture_path(fixture *f, const char *name)
{
    size_t directory_len = strlen(f->directory) + 1;
    size_t len = directory_len + strlen(name) + 1;
    for (const char *at = f->names; at < f->names + f->names_used; at += strlen(at) + 1) {
        if (strcmp(at + directory_len, name) == 0) {
            return at;
        }
    }
    char *path = f->names + f->names_used;
    check(len <= sizeof f->names - f->names_used);
    (void)snprintf(path, len, "%s/%s", f->directory, name);
    f->names_used += len;
    return path;
}

epio_file *fixture_open(fixture *f, const char *name, uint32_t flags)
{
    epio_op op = {0};
    check_result(fixture_result(f, epio_open(&op, f->vfs, fixture_path(f, name), flags)), 0);
    check(op.file != NULL);
    return op.file;
}

epio_file *fixture_adopt(fixture *f, intptr_t handle, uint32_t flags)
{
    epio_op op = {0};
    check_op(f, epio_adopt(&op, f->vfs, handle, flags), 0);
    check(op.file != NULL);
    return op.file;
}

epio_file *fixture_open_direct(fixture *f, const char *name, uint32_t flags)
{
    epio_op op = {0};
    int64_t result =
        fixture_result(f, epio_open(&op, f->vfs, fixture_path(f, name), flags | EPIO_OPEN_DIRECT));
    if (result == EPIO_EINVAL || result == EPIO_ENOTSUP) {
        fixture_skip(f, "this file system offers no direct I/O");
    }
    check_result(result, 0);
    return op.file;
}

epio_file *fixture_create(fixture *f, const char *name)
{
    return fixture_open(f, name,
                        EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE);
}

void fixture_close(fixture *f, epio_file *file)
{
    epio_op op = {0};
    check_result(fixture_result(f, epio_close(&op, file)), 0);
}

void fixture_write(fixture *f, epio_file *file, const void *data, size_t len, uint64_t offset)
{
    epio_op op = {0};
    check_result(fixture_result(f, epio_write(&op, file, data, len, offset)), (int64_t)len);
}

void fixture_read(fixture *f, epio_file *file, void *data, size_t len, uint64_t offset)
{
    epio_op op = {0};
    check_result(fixture_result(f, epio_read(&op, file, data, len, offset)), (int64_t)len);
}

epio_mapping *fixture_map(fixture *f, epio_file *file, uint64_t offset, uint64_t len,
                          uint32_t access)
{
    epio_op op = {0};
    check_op(f, epio_map(&op, file, offset, len, access), 0);
    epio_mapping *mapping = epio_op_mapping(&op);
    check(mapping != NULL && epio_mapping_address(mapping) != NULL);
    check(epio_mapping_len(mapping) == len);
    return mapping;
}

void fixture_unmap(fixture *f, epio_mapping *mapping)
{
    epio_op op = {0};
    check_op(f, epio_unmap(&op, mapping), 0);
}

unsigned char *mapped_bytes(const epio_mapping *mapping)
{
    return epio_mapping_address(mapping);
}

void fixture_put(fixture *f, const char *name, const void *data, size_t len)
{
    epio_file *file =
        fixture_open(f, name, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE);
    fixture_write(f, file, data, len, 0);
    fixture_close(f, file);
}

void fixture_make_directory(fixture *f, const char *name)
{
    epio_op op = {0};
    const char *path = fixture_path(f, name);
    if (f->memory) {
        check_op(f, epio_mkdir(&op, f->vfs, path, 0), 0);
    } else {
        check(directory_make(path));
    }
}

int memory_vfs_make(epio_vfs **vfs, epio_loop *loop, const char *directory)
{
    epio_op op = {0};
    int result = epio_memory_vfs_create(vfs, loop);
    return result < 0 ? result
                      : (int)epio_perform(epio_mkdir(&op, *vfs, directory, EPIO_MKDIR_PARENTS));
}

int64_t fixture_exists(fixture *f, const char *name)
{
    epio_op op = {0};
    return fixture_result(f, epio_access(&op, f->vfs, fixture_path(f, name), EPIO_ACCESS_EXISTS));
}

void fixture_works(fixture *f)
{
    const uint64_t moment = 1000000;
    char found[4];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "works");
    fixture_write(f, file, "data", 4, 0);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_DATA_ONLY), 0);
    fixture_read(f, file, found, 4, 0);
    assert_memory_equal(found, "data", 4);
    check_result(op.os_error, 0);
    fixture_close(f, file);
    check_op(f, epio_sleep(&op, f->vfs, moment), (int64_t)moment);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "works"), 0), 0);
}

#if EPIO_ASYNC

void fixture_settle(fixture *f)
{
    while (epio_loop_poll(f->loop, UINT64_C(20000000), 0) > 0) {
    }
}

#endif

/* ---- Checking ---------------------------------------------------------- */

static void print_result(const char *label, int64_t result)
{
    print_error("  %s %lld (%s)\n", label, (long long)result, epio_error_name(result));
}

void check_result_at(int64_t actual, int64_t expected, const char *what, const char *source,
                     int line)
{
    if (actual != expected) {
        print_error("%s\n", what);
        print_result("is:    ", actual);
        print_result("wanted:", expected);
        fail_at(source, line);
    }
}

void check_os_error_at(const epio_op *op, int32_t os_error, const char *what, const char *source,
                       int line)
{
    bool fits = os_error == OS_ERROR_THAT_FITS
                    ? op->os_error != 0 && epio_error_from_os(op->os_error) == op->result
                    : op->os_error == os_error;
    if (!fits) {
        print_error("%s\n  os_error is %d, wanted %d\n", what, (int)op->os_error, (int)os_error);
        fail_at(source, line);
    }
}

void check_failure_at(fixture *f, epio_op *op, int64_t expected, int32_t os_error, const char *what,
                      const char *source, int line)
{
    check_result_at(fixture_result(f, op), expected, what, source, line);
    check_os_error_at(op, os_error, what, source, line);
}

void check_content_at(fixture *f, const char *name, const void *data, size_t len,
                      const char *source, int line)
{
    unsigned char *found = malloc(len + 1);
    epio_file *file = fixture_open(f, name, EPIO_OPEN_READ);
    epio_op op = {0};
    check(found != NULL);
    int64_t result = fixture_result(f, epio_read(&op, file, found, len + 1, 0));
    check_result_at(result, (int64_t)len, name, source, line);
    check_at(len == 0 || memcmp(found, data, len) == 0, "the content differs", source, line);
    fixture_close(f, file);
    free(found);
}

void check_bytes_at(const void *data, unsigned char byte, size_t len, const char *source, int line)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != byte) {
            print_error("byte %llu is %u, wanted %u\n", (unsigned long long)i, bytes[i], byte);
            fail_at(source, line);
        }
    }
}

/* ---- Helpers ----------------------------------------------------------- */

/* splitmix64: any seed will do. */
uint64_t random_next(random_source *random)
{
    uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t random_between(random_source *random, uint64_t low, uint64_t high)
{
    return low + random_next(random) % (high - low);
}

void random_fill(random_source *random, void *data, size_t len)
{
    unsigned char *bytes = data;
    for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
        uint64_t next = random_next(random);
        memcpy(bytes + i, &next, len - i < sizeof next ? len - i : sizeof next);
    }
}

void pattern_fill(void *data, size_t len, uint64_t offset)
{
    unsigned char *bytes = data;
    const size_t period = 251; /* a prime, so that adjacent pages differ */
    size_t filled = len < period ? len : period;
    for (size_t i = 0; i < filled; i++) {
        bytes[i] = (unsigned char)((offset + i) % period + 1);
    }
    while (filled < len) { /* whole periods: tools look at each byte that a loop stores */
        size_t more = len - filled < filled ? len - filled : filled;
        memcpy(bytes + filled, bytes, more);
        filled += more;
    }
}

/* ---- Other processes ----------------------------------------------------- */

#define CHILD_WORD "--child"

static const child_function *child_functions;
static size_t child_function_count;

void children_are(const child_function *functions, size_t count, int argc, char **argv)
{
    child_functions = functions;
    child_function_count = count;
    process_set_program(argv[0]);
    if (argc != 4 || strcmp(argv[1], CHILD_WORD) != 0) {
        return;
    }
    process_begin();
    checks_end_the_process();
    for (size_t i = 0; i < count; i++) {
        if (strcmp(functions[i].name, argv[2]) == 0) {
            functions[i].run(argv[3]);
            (void)fflush(NULL);
            _Exit(0);
        }
    }
    check_at(false, argv[2], __FILE__, __LINE__);
}

static const char *name_of_child(child_run *run)
{
    for (size_t i = 0; i < child_function_count; i++) {
        if (child_functions[i].run == run) {
            return child_functions[i].name;
        }
    }
    check_at(false, "a function that CHILDREN_ARE does not name", __FILE__, __LINE__);
    return NULL;
}

void child_start(child *one, child_run *run, const char *argument, uint32_t streams)
{
    const char *words[] = {CHILD_WORD, name_of_child(run), argument};
    intptr_t input[2] = {NO_HANDLE, NO_HANDLE};
    intptr_t output[2] = {NO_HANDLE, NO_HANDLE};
    intptr_t errors[2] = {NO_HANDLE, NO_HANDLE};
    if ((streams & CHILD_PIPES) != 0) {
        pipe_make_plain(input);
        pipe_make_plain(output);
    }
    if ((streams & CHILD_STDERR) != 0) {
        pipe_make_plain(errors);
    }
    const intptr_t its[3] = {input[0], output[1], errors[1]};
    process_start(&one->process, words, 3, its);
    check(current == NULL || replace_running(0, one->process.system));
    for (size_t i = 0; i < 3; i++) {
        check(its[i] == NO_HANDLE || handle_close(its[i]));
    }
    one->to = input[1];
    one->from = output[0];
    one->errors = errors[0];
}

int child_end(child *one)
{
    const intptr_t ours[3] = {one->to, one->from, one->errors};
    check(ours[0] == NO_HANDLE || handle_close(ours[0]));
    (void)replace_running(one->process.system, 0);
    int status = process_wait(&one->process);
    for (size_t i = 1; i < 3; i++) {
        check(ours[i] == NO_HANDLE || handle_close(ours[i]));
    }
    return status;
}

void child_kill(child *one)
{
    process_kill(&one->process);
    check_result(child_end(one), ENDED_BY_KILL);
}

int run_in_child(child_run *run, const char *argument)
{
    child one;
    child_start(&one, run, argument, 0);
    return child_end(&one);
}
