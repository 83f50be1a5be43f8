/* Ranges between processes: epio's and plain locks of the system (fcntl, LockFileEx) exclude each
 * other, in many processes on many ranges, of which some are killed; and what the files of one
 * process hold, levels included, is what another process sees, byte by byte. EPIO_TEST_SEED repeats
 * the kills, EPIO_TEST_CROWD and EPIO_TEST_KILLS say how many processes and kills. EPIO_TEST_ONCE;
 * both kinds of byte-range locks: EPIO_TEST_RANGE_LOCKS. */
#include "op_fixture.h"

#include <stdatomic.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define WAIT EPIO_LOCK_WAIT
#define SHARED EPIO_RANGE_SHARED
#define EXCLUSIVE EPIO_RANGE_EXCLUSIVE
#define PENDING_BYTE UINT64_C(0x40000000)

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *value = getenv(variable);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

/* ---- A crowd --------------------------------------------------------------------- */

#define RANGES 1000u
#define MOST_MEMBERS 64u
#define TOGETHER 4u /* ranges that one lock covers at most */

typedef struct shared_state {
    atomic_bool stop;
    atomic_uint errors; /* ranges that two held which exclude each other */
    atomic_bool dying[MOST_MEMBERS];
    atomic_ullong done[MOST_MEMBERS];
    atomic_uchar held[RANGES][MOST_MEMBERS]; /* the mode in which each has each */
} shared_state;

typedef struct member {
    size_t number;
    shared_state *shared;
    random_source random;
    /* One of both: */
    epio_file *file;
    intptr_t handle;
    epio_loop *loop; /* may be NULL */
} member;

/* Half of them know nothing of epio. */
static bool is_plain(size_t number)
{
    return number % 2 != 0;
}

/* Does another have the range, too, who must not? One that is being killed has lost its locks, or
 * will at once; when it is done with, its entries are removed first. */
static bool is_held_by(const shared_state *shared, size_t range, size_t other, uint32_t mode)
{
    uint32_t held = atomic_load(&shared->held[range][other]);
    bool conflict = held != 0 && (held == EXCLUSIVE || mode == EXCLUSIVE);
    return conflict && !atomic_load(&shared->dying[other]) &&
           atomic_load(&shared->held[range][other]) == held;
}

/* While the range is locked. Of two the later sees the earlier. */
static void enter(member *one, size_t range, uint32_t mode)
{
    shared_state *shared = one->shared;
    atomic_store(&shared->held[range][one->number], (unsigned char)mode);
    for (size_t i = 0; i < MOST_MEMBERS; i++) {
        if (i != one->number && is_held_by(shared, range, i, mode)) {
            atomic_fetch_add(&shared->errors, 1);
        }
    }
}

static void leave(const member *one, size_t range)
{
    atomic_store(&one->shared->held[range][one->number], 0);
}

static bool lock_by_epio(member *one, uint64_t start, uint64_t len, uint32_t mode, bool waits)
{
    epio_op op = {.timeout_ns = waits ? 200 * MILLISECOND : 0};
    (void)epio_lock_range(&op, one->file, start, len, mode, waits ? WAIT : 0);
    int64_t result = one->loop != NULL ? epio_wait(&op) : epio_perform(&op);
    check(result == 0 || result == EPIO_EBUSY || result == EPIO_ETIMEDOUT);
    return result == 0;
}

/* Of the plain ones, half have locks of the open file, half of the process. */
static bool set_plain(const member *one, uint64_t start, uint64_t len, handle_lock mode)
{
    return one->number % 4 == 1 ? handle_lock_range(one->handle, start, len, mode)
                                : handle_lock_range_of_process(one->handle, start, len, mode);
}

static void unlock(const member *one, uint64_t start, uint64_t len)
{
    if (is_plain(one->number)) {
        check(set_plain(one, start, len, HANDLE_UNLOCK));
    } else {
        epio_op op = {0};
        check_result(epio_perform(epio_unlock_range(&op, one->file, start, len)), 0);
    }
}

static bool lock(member *one, uint64_t start, uint64_t len, uint32_t mode)
{
    if (is_plain(one->number)) {
        return set_plain(one, start, len,
                         mode == SHARED ? HANDLE_LOCK_SHARED : HANDLE_LOCK_EXCLUSIVE);
    }
    return lock_by_epio(one, start, len, mode, random_between(&one->random, 0, 4) != 0);
}

static void visit(member *one)
{
    size_t first = (size_t)random_between(&one->random, 0, RANGES - TOGETHER);
    size_t end;
    if (random_between(&one->random, 0, 2) == 0) {
        first %= 16; /* where they meet often */
    }
    end = first + (size_t)random_between(&one->random, 1, TOGETHER + 1);
    uint32_t mode = (uint32_t)random_between(&one->random, SHARED, EXCLUSIVE + 1);
    if (!lock(one, first * 10, (end - first) * 10, mode)) {
        return;
    }
    for (size_t i = first; i < end; i++) {
        enter(one, i, mode);
    }
    if (random_between(&one->random, 0, 8) == 0) {
        sleep_us(200);
    }
    for (size_t i = first; i < end; i++) {
        leave(one, i);
    }
    unlock(one, first * 10, (end - first) * 10);
    atomic_fetch_add(&one->shared->done[one->number], 1);
}

static void open_member(member *one, const char *path)
{
    epio_op op = {0};
    epio_vfs *vfs = epio_os_vfs();
    if (is_plain(one->number)) {
        one->handle = handle_open(path, READ_WRITE);
        check(one->handle != NO_HANDLE);
        return;
    }
    if (one->number % 4 == 0) {
        check_result(epio_loop_create(&one->loop, NULL), 0);
        vfs = epio_loop_vfs(one->loop);
    }
    check_result(epio_perform(epio_open(&op, vfs, path, READ_WRITE)), 0);
    one->file = op.file;
}

/* The argument: its number, then the path. */
static void run_member(const char *argument)
{
    char shared_path[700];
    char *path;
    member one = {.number = (size_t)strtoul(argument, &path, 10)};
    path++;
    (void)snprintf(shared_path, sizeof shared_path, "%s-shared", path);
    one.shared = shared_memory_map(shared_path, sizeof *one.shared);
    one.random.state = system_monotonic_ns() * (one.number + 1);
    open_member(&one, path);
    while (!atomic_load(&one.shared->stop)) {
        visit(&one);
    }
    if (is_plain(one.number)) {
        check(handle_close(one.handle));
        return;
    }
    epio_op op = {0};
    check_result(epio_perform(epio_close(&op, one.file)), 0);
    epio_loop_destroy(one.loop);
}

static void start_member(child *one, size_t number, const char *path)
{
    char argument[700];
    (void)snprintf(argument, sizeof argument, "%u %s", (unsigned)number, path);
    child_start(one, run_member, argument, 0);
}

static void kill_member(child *one, size_t number, shared_state *shared)
{
    atomic_store(&shared->dying[number], true);
    child_kill(one);
    for (size_t range = 0; range < RANGES; range++) {
        atomic_store(&shared->held[range][number], 0);
    }
    atomic_store(&shared->dying[number], false);
}

/* Every process makes progress. */
static void wait_for_progress(shared_state *shared, size_t members, uint64_t rounds)
{
    uint64_t goals[MOST_MEMBERS];
    uint64_t deadline = system_monotonic_ns() + (fixture_is_slow() ? 300 : 60) * SECOND;
    for (size_t i = 0; i < members; i++) {
        goals[i] = atomic_load(&shared->done[i]) + rounds;
    }
    for (size_t i = 0; i < members; i++) {
        while (atomic_load(&shared->done[i]) < goals[i]) {
            check(system_monotonic_ns() < deadline);
            sleep_us(1000);
        }
    }
}

static void many_processes_share_many_ranges(fixture *f)
{
    child processes[MOST_MEMBERS];
    uint64_t seed = number_from("EPIO_TEST_SEED", system_monotonic_ns());
    uint64_t kills = number_from("EPIO_TEST_KILLS", fixture_rounds(20));
    size_t members = (size_t)number_from("EPIO_TEST_CROWD", 8);
    random_source random = {.state = seed};
    uint64_t visits = 0;
    epio_op op = {.timeout_ns = 10 * SECOND};
    epio_file *file = fixture_create(f, "locked");
    const char *path = fixture_path(f, "locked");
    shared_state *shared = shared_memory_map(fixture_path(f, "locked-shared"), sizeof *shared);
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)seed);
    members = members < MOST_MEMBERS ? members : MOST_MEMBERS;
    for (size_t i = 0; i < members; i++) {
        start_member(&processes[i], i, path);
    }
    wait_for_progress(shared, members, 10);
    for (uint64_t i = 0; i < kills; i++) {
        size_t victim = (size_t)random_between(&random, 0, members);
        sleep_us(random_between(&random, 0, 5000));
        kill_member(&processes[victim], victim, shared);
        start_member(&processes[victim], victim, path);
    }
    wait_for_progress(shared, members, 10);
    atomic_store(&shared->stop, true);
    for (size_t i = 0; i < members; i++) {
        check_result(child_end(&processes[i]), 0);
        visits += atomic_load(&shared->done[i]);
    }
    print_message("%u processes, %llu kills, %llu times locked\n", (unsigned)members,
                  (unsigned long long)kills, (unsigned long long)visits);
    check_result(atomic_load(&shared->errors), 0);
    /* Nothing is left; where a killed process may take a moment to end, after that. */
    check_op(f, epio_lock_range(&op, file, 0, 0, EXCLUSIVE, SYSTEM_IS_POSIX ? 0 : WAIT), 0);
    fixture_close(f, file);
    shared_memory_unmap(shared, sizeof *shared);
}

/* ---- The kernel's view -------------------------------------------------------------- */

/* Another process, which looks at single bytes. */
static child observer;

static void run_observer(const char *argument)
{
    uint64_t byte;
    intptr_t handle = handle_open(argument, READ_WRITE);
    check(handle != NO_HANDLE);
    while (pipe_read(process_input(), &byte, sizeof byte) == sizeof byte) {
        uint32_t seen = (uint32_t)handle_range_is_locked(handle, byte, 1);
        check(pipe_write(process_output(), &seen, sizeof seen) == sizeof seen);
    }
}

static uint32_t seen_from_outside(uint64_t byte)
{
    uint32_t seen = 0;
    check(pipe_write(observer.to, &byte, sizeof byte) == sizeof byte);
    check(pipe_read(observer.from, &seen, sizeof seen) == sizeof seen);
    return seen; /* HANDLE_LOCK_... have the numbers of EPIO_RANGE_... */
}

#define FILES 4u
#define CELLS 12u

/* Single bytes and the rest of SHARED; a range begins and ends between two. */
static const uint64_t borders[CELLS + 1] = {
    PENDING_BYTE - 2,   PENDING_BYTE - 1,   PENDING_BYTE,       PENDING_BYTE + 1,
    PENDING_BYTE + 2,   PENDING_BYTE + 3,   PENDING_BYTE + 100, PENDING_BYTE + 510,
    PENDING_BYTE + 511, PENDING_BYTE + 512, PENDING_BYTE + 513, PENDING_BYTE + 600,
    PENDING_BYTE + 700,
};
#define FIRST_OF_LEVELS 2u
#define FIRST_OF_SHARED 4u
#define BEHIND_LEVELS 9u

typedef struct model_file {
    epio_file *file;
    bool reserved;
    uint8_t ranges[CELLS]; /* the mode */
    uint8_t begins[CELLS]; /* the first cell of the range that has it, plus 1; 0: none */
} model_file;

typedef struct model {
    random_source random;
    model_file files[FILES];
} model;

/* What a file has of a cell. */
static uint32_t mode_of(const model_file *one, size_t cell)
{
    uint32_t level = epio_file_lock_level(one->file);
    if (cell == FIRST_OF_LEVELS && level >= EPIO_LOCK_PENDING) {
        return EXCLUSIVE;
    }
    if (cell == FIRST_OF_LEVELS + 1 && level >= EPIO_LOCK_RESERVED && one->reserved) {
        return EXCLUSIVE;
    }
    if (cell >= FIRST_OF_SHARED && cell < BEHIND_LEVELS && level != EPIO_LOCK_NONE) {
        return level == EPIO_LOCK_EXCLUSIVE ? EXCLUSIVE : SHARED;
    }
    return one->ranges[cell];
}

static void check_view(const model *all)
{
    for (size_t cell = 0; cell < CELLS; cell++) {
        uint32_t most = 0;
        unsigned holders = 0;
        for (size_t i = 0; i < FILES; i++) {
            uint32_t mode = mode_of(&all->files[i], cell);
            most = mode > most ? mode : most;
            holders += mode != 0 ? 1 : 0;
        }
        check(most != EXCLUSIVE || holders == 1);
        check_result(seen_from_outside(borders[cell]), most);
        check_result(seen_from_outside(borders[cell + 1] - 1), most);
    }
}

static bool others_block(const model *all, const model_file *one, size_t first, size_t end,
                         uint32_t mode)
{
    for (size_t i = 0; i < FILES; i++) {
        for (size_t cell = first; cell < end; cell++) {
            uint32_t other = &all->files[i] != one ? mode_of(&all->files[i], cell) : 0;
            if (other != 0 && (other == EXCLUSIVE || mode == EXCLUSIVE)) {
                return true;
            }
        }
    }
    return false;
}

/* The result of a lock that does not wait. */
static int64_t foretold(const model *all, const model_file *one, size_t first, size_t end,
                        uint32_t mode)
{
    bool same = one->begins[first] == first + 1 && (end == CELLS || one->begins[end] != first + 1);
    bool any = false;
    for (size_t cell = first; cell < end; cell++) {
        any = any || one->begins[cell] != 0;
        same = same && one->begins[cell] == first + 1;
    }
    bool of_levels = first < BEHIND_LEVELS && end > FIRST_OF_LEVELS;
    if ((any && !same) || (of_levels && epio_file_lock_level(one->file) != EPIO_LOCK_NONE)) {
        return EPIO_EINVAL;
    }
    if (same && one->ranges[first] == SHARED && mode == EXCLUSIVE && !SYSTEM_IS_POSIX) {
        return EPIO_ENOTSUP;
    }
    return others_block(all, one, first, end, mode) ? EPIO_EBUSY : 0;
}

static void lock_cells(model *all, model_file *one)
{
    epio_op op = {0};
    size_t first = (size_t)random_between(&all->random, 0, CELLS);
    size_t end = (size_t)random_between(&all->random, first + 1, CELLS + 1);
    end = end > first + 4 && random_between(&all->random, 0, 4) != 0 ? first + 2 : end;
    uint32_t mode = (uint32_t)random_between(&all->random, SHARED, EXCLUSIVE + 1);
    uint64_t len = borders[end] - borders[first];
    int64_t expected = foretold(all, one, first, end, mode);
    int64_t tested = epio_perform(epio_test_range(&op, one->file, borders[first], len, mode));
    check(tested == (others_block(all, one, first, end, mode) ? 1 : 0) ||
          (tested == EPIO_ENOTSUP && !SYSTEM_IS_POSIX));
    check_result(epio_perform(epio_lock_range(&op, one->file, borders[first], len, mode, 0)),
                 expected);
    for (size_t cell = first; cell < end && expected == 0; cell++) {
        one->ranges[cell] = (uint8_t)mode;
        one->begins[cell] = (uint8_t)(first + 1);
    }
}

static void unlock_cells(model *all, model_file *one)
{
    epio_op op = {0};
    size_t first = (size_t)random_between(&all->random, 0, CELLS);
    size_t end = (size_t)random_between(&all->random, first + 1, CELLS + 1);
    uint8_t at_end = end < CELLS ? one->begins[end] : 0;
    bool cut =
        (one->begins[first] != 0 && one->begins[first] <= first) || (at_end != 0 && at_end <= end);
    (void)epio_unlock_range(&op, one->file, borders[first], borders[end] - borders[first]);
    check_result(epio_perform(&op), cut ? EPIO_EINVAL : 0);
    if (!cut) {
        memset(&one->ranges[first], 0, end - first);
        memset(&one->begins[first], 0, end - first);
    }
}

static void change_level(model *all, model_file *one)
{
    static const uint32_t wishes[] = {EPIO_LOCK_SHARED, EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    epio_op op = {0};
    if (random_between(&all->random, 0, 3) == 0) {
        check_result(
            epio_perform(epio_unlock(&op, one->file, (uint32_t)random_between(&all->random, 0, 2))),
            0);
    } else {
        uint32_t wanted = wishes[random_between(&all->random, 0, 3)];
        int64_t result = epio_perform(epio_lock(&op, one->file, wanted, 0));
        check(result == 0 || result == EPIO_EBUSY || result == EPIO_EINVAL);
        one->reserved = one->reserved || (result == 0 && wanted == EPIO_LOCK_RESERVED);
    }
    one->reserved = one->reserved && epio_file_lock_level(one->file) >= EPIO_LOCK_RESERVED;
}

static void reopen(fixture *f, model_file *one)
{
    fixture_close(f, one->file);
    *one = (model_file){.file = fixture_open(f, "locked", READ_WRITE)};
}

static void others_see_what_files_hold(fixture *f)
{
    model all = {.random = {.state = number_from("EPIO_TEST_SEED", system_monotonic_ns())}};
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)all.random.state);
    fixture_put(f, "locked", "", 0);
    child_start(&observer, run_observer, fixture_path(f, "locked"), CHILD_PIPES);
    for (size_t i = 0; i < FILES; i++) {
        all.files[i].file = fixture_open(f, "locked", READ_WRITE);
    }
    for (unsigned i = 0; i < fixture_rounds(1000); i++) {
        model_file *one = &all.files[random_between(&all.random, 0, FILES)];
        uint64_t choice = random_between(&all.random, 0, 16);
        if (choice == 0) {
            reopen(f, one);
        } else if (choice < 6) {
            unlock_cells(&all, one);
        } else if (choice < 11) {
            change_level(&all, one);
        } else {
            lock_cells(&all, one);
        }
        check_view(&all);
    }
    for (size_t i = 0; i < FILES; i++) {
        fixture_close(f, all.files[i].file);
    }
    for (size_t cell = 0; cell < CELLS; cell++) {
        check_result(seen_from_outside(borders[cell]), 0);
    }
    check_result(child_end(&observer), 0);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(run_member), CHILD(run_observer)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(many_processes_share_many_ranges, ON_OS_PERFORM),
        FIXTURE_TEST(others_see_what_files_hold, ON_OS_PERFORM | ON_OS_LOOP_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("ranges between processes", tests);
}
