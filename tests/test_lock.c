/* Locks between files of one process: levels, steps, errors. Waiting is tested by test_lock_wait.c,
 * other processes by test_lock_processes.c. Also without loops: EPIO_TEST_WITHOUT_LOOP; with both
 * kinds of byte-range locks: EPIO_TEST_RANGE_LOCKS. */
#include "partner.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

static epio_file *open_locked(fixture *f)
{
    return fixture_open(f, "locked", READ_WRITE | EPIO_OPEN_CREATE);
}

static void lock(fixture *f, epio_file *file, uint32_t level)
{
    epio_op op = {0};
    check_op(f, epio_lock(&op, file, level, 0), 0);
    check_result(epio_file_lock_level(file), level);
}

static void unlock(fixture *f, epio_file *file, uint32_t level)
{
    epio_op op = {0};
    check_op(f, epio_unlock(&op, file, level), 0);
    check_result(op.os_error, 0);
}

/* Raises the lock as the setting says, as far as possible; returns the level reached. */
static uint32_t raise_to(fixture *f, epio_file *file, uint32_t level)
{
    static const uint32_t steps[] = {EPIO_LOCK_SHARED, EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    for (size_t i = 0; i < 3 && steps[i] <= level; i++) {
        epio_op op = {0};
        if (steps[i] > epio_file_lock_level(file) &&
            fixture_result(f, epio_lock(&op, file, steps[i], 0)) != 0) {
            check_result(op.result, EPIO_EBUSY);
            break;
        }
    }
    return epio_file_lock_level(file);
}

/* Other processes see what the file holds. */
static void check_bytes_of(fixture *f, uint32_t expected)
{
    if (!f->memory) {
        check_result(locks_on(fixture_path(f, "locked")), expected);
    }
}

/* A file that holds `level`; PENDING with the help of a reader, which is then closed. */
static epio_file *open_and_hold(fixture *f, uint32_t level)
{
    epio_file *file = open_locked(f);
    if (level == EPIO_LOCK_PENDING) {
        epio_file *reader = open_locked(f);
        lock(f, reader, EPIO_LOCK_SHARED);
        check_result(raise_to(f, file, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_PENDING);
        fixture_close(f, reader);
    } else {
        check_result(raise_to(f, file, level), level);
    }
    check_result(epio_file_lock_level(file), level);
    return file;
}

/* ---- The table ------------------------------------------------------------- */

static uint32_t outcome(fixture *f, uint32_t held, uint32_t wanted)
{
    epio_file *reader = NULL;
    if (wanted == EPIO_LOCK_PENDING && held < EPIO_LOCK_PENDING) {
        reader = open_and_hold(f, EPIO_LOCK_SHARED);
    }
    epio_file *holder = open_and_hold(f, held);
    epio_file *other = open_locked(f);
    uint32_t goal = wanted == EPIO_LOCK_PENDING ? EPIO_LOCK_EXCLUSIVE : wanted;
    epio_op op = {0};
    check_op(f, epio_check_reserved_lock(&op, other), held >= EPIO_LOCK_RESERVED ? 1 : 0);
    check_op(f, epio_check_reserved_lock(&op, holder), held >= EPIO_LOCK_RESERVED ? 1 : 0);
    uint32_t reached = raise_to(f, other, goal);
    check_result(epio_file_lock_level(holder), held);
    if (reader == NULL) {
        check_bytes_of(f, locks_of_level[held] | locks_of_level[reached]);
    }
    fixture_close(f, holder);
    fixture_close(f, other);
    if (reader != NULL) {
        fixture_close(f, reader);
    }
    return reached;
}

static void two_files_exclude_each_other_as_sqlite_says(fixture *f)
{
    for (uint32_t held = 0; held <= EPIO_LOCK_EXCLUSIVE; held++) {
        for (uint32_t wanted = 0; wanted <= EPIO_LOCK_EXCLUSIVE; wanted++) {
            uint32_t reached = outcome(f, held, wanted);
            if (reached != lock_outcomes[held][wanted]) {
                print_error("while one holds %s the other, who wants %s, gets %s\n",
                            lock_names[held], lock_names[wanted], lock_names[reached]);
            }
            check_result(reached, lock_outcomes[held][wanted]);
        }
    }
}

/* ---- Steps ------------------------------------------------------------------ */

/* The result of a request for `wanted` by a holder of `held`. */
static int64_t of_step(uint32_t held, uint32_t wanted)
{
    static const int allowed[5][5] = {
        {0, 1, 0, 0, 0}, {0, 1, 1, 0, 1}, {0, 0, 1, 0, 1}, {0, 0, 0, 0, 1}, {0, 0, 0, 0, 1}};
    return allowed[held][wanted] ? 0 : EPIO_EINVAL;
}

static void only_legal_steps_lead_up(fixture *f)
{
    for (uint32_t held = 0; held <= EPIO_LOCK_EXCLUSIVE; held++) {
        for (uint32_t wanted = 0; wanted <= EPIO_LOCK_EXCLUSIVE; wanted++) {
            epio_op op = {0};
            epio_file *file = open_and_hold(f, held);
            int64_t expected = of_step(held, wanted);
            check_bytes_of(f, locks_of_level[held]);
            for (uint32_t flags = 0; flags <= EPIO_LOCK_WAIT; flags++) {
                check_op(f, epio_lock(&op, file, wanted, flags), expected);
                check_result(op.os_error, 0);
                check_result(epio_file_lock_level(file), expected == 0 ? wanted : held);
            }
            fixture_close(f, file);
        }
    }
}

static void steps_lead_down_to_shared_and_none(fixture *f)
{
    for (uint32_t held = 0; held <= EPIO_LOCK_EXCLUSIVE; held++) {
        for (uint32_t to = 0; to <= EPIO_LOCK_EXCLUSIVE; to++) {
            epio_op op = {0};
            epio_file *file = open_and_hold(f, held);
            bool legal = to <= EPIO_LOCK_SHARED;
            uint32_t then = legal && to < held ? to : held;
            check_op(f, epio_unlock(&op, file, to), legal ? 0 : EPIO_EINVAL);
            check_result(epio_file_lock_level(file), then);
            check_bytes_of(f, locks_of_level[then]);
            /* Another file can get what it released. */
            epio_file *other = open_locked(f);
            for (uint32_t wanted = 0; legal && wanted <= EPIO_LOCK_EXCLUSIVE; wanted++) {
                uint32_t expected = lock_outcomes[then][wanted];
                if (wanted != EPIO_LOCK_PENDING) {
                    check_result(raise_to(f, other, wanted), expected);
                }
            }
            fixture_close(f, other);
            fixture_close(f, file);
        }
    }
}

static void shared_to_exclusive_takes_no_reserved(fixture *f)
{
    epio_op op = {0};
    epio_file *file = open_and_hold(f, EPIO_LOCK_SHARED);
    lock(f, file, EPIO_LOCK_EXCLUSIVE);
    check_bytes_of(f, LOCKS_EXCLUSIVE | LOCKS_PENDING);
    check_op(f, epio_check_reserved_lock(&op, file), 1);
    unlock(f, file, EPIO_LOCK_SHARED);
    check_bytes_of(f, LOCKS_SHARED);
    check_op(f, epio_check_reserved_lock(&op, file), 0);
    unlock(f, file, EPIO_LOCK_NONE);
    fixture_close(f, file);
}

static void a_refused_exclusive_keeps_new_readers_out(fixture *f)
{
    for (uint32_t from = EPIO_LOCK_SHARED; from <= EPIO_LOCK_RESERVED; from++) {
        epio_op op = {0};
        epio_file *reader = open_and_hold(f, EPIO_LOCK_SHARED);
        epio_file *newcomer = open_locked(f);
        epio_file *writer = open_and_hold(f, from);
        check_op(f, epio_lock(&op, writer, EPIO_LOCK_EXCLUSIVE, 0), EPIO_EBUSY);
        check_result(epio_file_lock_level(writer), EPIO_LOCK_PENDING);
        /* A file that came there directly rolls back a hot journal, which must look hot. */
        check_op(f, epio_check_reserved_lock(&op, reader), from == EPIO_LOCK_RESERVED ? 1 : 0);
        check_op(f, epio_lock(&op, newcomer, EPIO_LOCK_SHARED, 0), EPIO_EBUSY);
        check_result(epio_file_lock_level(newcomer), EPIO_LOCK_NONE);
        /* Retried until the reader has unlocked. */
        check_op(f, epio_lock(&op, writer, EPIO_LOCK_EXCLUSIVE, 0), EPIO_EBUSY);
        unlock(f, reader, EPIO_LOCK_NONE);
        lock(f, writer, EPIO_LOCK_EXCLUSIVE);
        unlock(f, writer, EPIO_LOCK_SHARED);
        check_bytes_of(f, LOCKS_SHARED);
        lock(f, newcomer, EPIO_LOCK_SHARED);
        fixture_close(f, reader);
        fixture_close(f, newcomer);
        fixture_close(f, writer);
    }
}

static void a_direct_exclusive_yields_to_reserved(fixture *f)
{
    epio_op op = {0};
    epio_file *writer = open_and_hold(f, EPIO_LOCK_RESERVED);
    epio_file *other = open_and_hold(f, EPIO_LOCK_SHARED);
    check_op(f, epio_lock(&op, other, EPIO_LOCK_EXCLUSIVE, 0), EPIO_EBUSY);
    check_result(epio_file_lock_level(other), EPIO_LOCK_SHARED); /* not PENDING: they would block */
    check_bytes_of(f, locks_of_level[EPIO_LOCK_RESERVED]);
    unlock(f, other, EPIO_LOCK_NONE);
    lock(f, writer, EPIO_LOCK_EXCLUSIVE);
    fixture_close(f, writer);
    fixture_close(f, other);
}

static void an_unlock_beside_readers_frees_what_is_its_own(fixture *f)
{
    for (uint32_t held = EPIO_LOCK_SHARED; held <= EPIO_LOCK_PENDING; held++) {
        epio_file *reader = open_and_hold(f, EPIO_LOCK_SHARED);
        epio_file *writer = open_locked(f);
        check_result(raise_to(f, writer, held == EPIO_LOCK_PENDING ? EPIO_LOCK_EXCLUSIVE : held),
                     held);
        unlock(f, writer, EPIO_LOCK_NONE);
        check_bytes_of(f, LOCKS_SHARED);
        unlock(f, reader, EPIO_LOCK_NONE);
        check_bytes_of(f, 0);
        fixture_close(f, reader);
        fixture_close(f, writer);
    }
}

/* ---- Lifetime ---------------------------------------------------------------- */

static void a_close_releases(fixture *f)
{
    for (uint32_t held = EPIO_LOCK_SHARED; held <= EPIO_LOCK_EXCLUSIVE; held++) {
        epio_file *file = open_and_hold(f, held);
        fixture_close(f, file);
        check_bytes_of(f, 0);
        file = open_and_hold(f, EPIO_LOCK_EXCLUSIVE);
        fixture_close(f, file);
    }
}

static void a_close_leaves_the_locks_of_others(fixture *f)
{
    static const uint32_t levels[] = {EPIO_LOCK_SHARED, EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    unsigned rounds = fixture_rounds(300);
    for (size_t i = 0; i < 3; i++) {
        epio_file *file = open_and_hold(f, levels[i]);
        int before = count_descriptors();
        for (unsigned round = 0; round < rounds; round++) {
            static const uint32_t ways[] = {0, EPIO_OPEN_NOFOLLOW, EPIO_OPEN_TRUNCATE};
            uint32_t flags = ways[round % 3];
            fixture_close(f, fixture_open(f, "locked", READ_WRITE | flags));
        }
        check(count_descriptors() <= before + 1);
        check_bytes_of(f, locks_of_level[levels[i]]);
        epio_file *other = open_locked(f);
        check_result(raise_to(f, other, EPIO_LOCK_EXCLUSIVE),
                     lock_outcomes[levels[i]][EPIO_LOCK_EXCLUSIVE]);
        check_result(epio_file_lock_level(file), levels[i]);
        fixture_close(f, other);
        fixture_close(f, file);
    }
}

static void locks_are_of_the_file_not_the_name(fixture *f)
{
    epio_op op = {0};
    epio_file *file = open_and_hold(f, EPIO_LOCK_EXCLUSIVE);
    const char *name = fixture_path(f, "locked");
    const char *renamed = fixture_path(f, "renamed");
    check_op(f, epio_rename(&op, f->vfs, name, renamed, 0), 0);
    epio_file *same = fixture_open(f, "renamed", READ_WRITE);
    epio_file *another = open_locked(f);
    check_op(f, epio_lock(&op, same, EPIO_LOCK_SHARED, 0), EPIO_EBUSY);
    lock(f, another, EPIO_LOCK_SHARED);
    fixture_close(f, file);
    lock(f, same, EPIO_LOCK_SHARED);
    fixture_close(f, same);
    fixture_close(f, another);
}

static void a_deleted_file_can_be_locked(fixture *f)
{
    epio_op op = {0};
    epio_file *file = open_and_hold(f, EPIO_LOCK_RESERVED);
    check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "locked"), 0), 0);
    epio_file *another = open_and_hold(f, EPIO_LOCK_EXCLUSIVE); /* a new file of that name */
    lock(f, file, EPIO_LOCK_EXCLUSIVE);
    fixture_close(f, file);
    fixture_close(f, another);
}

static void many_files_are_independent(fixture *f)
{
    enum { FILES = 300 };
    static epio_file *files[FILES];
    for (int i = 0; i < FILES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "locked%d", i % 150);
        files[i] = fixture_open(f, name, READ_WRITE | EPIO_OPEN_CREATE);
        check_result(raise_to(f, files[i], EPIO_LOCK_RESERVED),
                     i < 150 ? EPIO_LOCK_RESERVED : EPIO_LOCK_SHARED);
        f->names_used = 0;
    }
    for (int i = 0; i < FILES; i++) {
        fixture_close(f, files[i]);
    }
}

/* ---- Wrong use ----------------------------------------------------------------- */

static void bad_arguments_are_refused(fixture *f)
{
    epio_op op = {0};
    epio_file *file = open_locked(f);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_NONE, 0), EPIO_EINVAL);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_PENDING, 0), EPIO_EINVAL);
    check_op(f, epio_lock(&op, file, 5, 0), EPIO_EINVAL);
    check_op(f, epio_lock(&op, file, 257, 0), EPIO_EINVAL);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 2), EPIO_EINVAL);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_RESERVED, EPIO_LOCK_WAIT), EPIO_EINVAL);
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_RESERVED), EPIO_EINVAL);
    check_op(f, epio_unlock(&op, file, 256), EPIO_EINVAL);
    check_result(epio_file_lock_level(file), EPIO_LOCK_NONE);
    fixture_close(f, file);
    if (f->performs) {
        check_op(f, epio_lock(&op, NULL, EPIO_LOCK_SHARED, 0), EPIO_EINVAL);
        check_op(f, epio_unlock(&op, NULL, EPIO_LOCK_NONE), EPIO_EINVAL);
        check_op(f, epio_check_reserved_lock(&op, NULL), EPIO_EINVAL);
    }
}

static void a_level_needs_its_direction(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "locked", "x", 1);
    epio_file *reader = fixture_open(f, "locked", EPIO_OPEN_READ);
    epio_file *writer = fixture_open(f, "locked", EPIO_OPEN_WRITE);
    lock(f, reader, EPIO_LOCK_SHARED);
    check_op(f, epio_lock(&op, reader, EPIO_LOCK_RESERVED, 0), EPIO_EBADF);
    check_op(f, epio_lock(&op, reader, EPIO_LOCK_EXCLUSIVE, 0), EPIO_EBADF);
    check_op(f, epio_check_reserved_lock(&op, reader), 0);
    check_op(f, epio_lock(&op, writer, EPIO_LOCK_SHARED, 0), EPIO_EBADF);
    check_op(f, epio_check_reserved_lock(&op, writer), 0);
    check_op(f, epio_unlock(&op, writer, EPIO_LOCK_NONE), 0);
    fixture_close(f, reader);
    fixture_close(f, writer);
}

static void a_stream_has_no_locks(fixture *f)
{
    epio_op op = {0};
    intptr_t ends[2];
    epio_file *file;
    if (SYSTEM_HAS_FIFOS) {
        fifo_make(fixture_path(f, "fifo"));
        file = fixture_open(f, "fifo", READ_WRITE);
    } else {
        pipe_make_duplex(ends);
        check_op(f, epio_adopt(&op, f->vfs, ends[0], 0), 0);
        file = op.file;
    }
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), EPIO_ESPIPE);
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), EPIO_ESPIPE);
    check_op(f, epio_check_reserved_lock(&op, file), EPIO_ESPIPE);
    check_result(epio_file_lock_level(file), EPIO_LOCK_NONE);
    fixture_close(f, file);
    check(SYSTEM_HAS_FIFOS || handle_close(ends[1]));
}

static void an_adopted_file_can_be_locked(fixture *f)
{
    epio_op op = {0};
    epio_file *holder = open_and_hold(f, EPIO_LOCK_RESERVED);
    intptr_t handle = handle_open(fixture_path(f, "locked"), READ_WRITE);
    check(handle != NO_HANDLE);
    check_op(f, epio_adopt(&op, f->vfs, handle, 0), 0);
    epio_file *adopted = op.file;
    check_result(raise_to(f, adopted, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_SHARED);
    unlock(f, holder, EPIO_LOCK_NONE);
    check_result(raise_to(f, adopted, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    fixture_close(f, adopted);
    fixture_close(f, holder);
}

/* Two files around one open file description. */
static void files_of_one_description_are_independent(fixture *f)
{
    epio_op op = {0};
    epio_file *files[2];
    intptr_t first = handle_open(fixture_path(f, "locked"), READ_WRITE | EPIO_OPEN_CREATE);
    check(first != NO_HANDLE);
    intptr_t second = handle_duplicate(first);
    check_op(f, epio_adopt(&op, f->vfs, first, 0), 0);
    files[0] = op.file;
    check_op(f, epio_adopt(&op, f->vfs, second, 0), 0);
    files[1] = op.file;
    check_result(raise_to(f, files[0], EPIO_LOCK_RESERVED), EPIO_LOCK_RESERVED);
    check_result(raise_to(f, files[1], EPIO_LOCK_RESERVED), EPIO_LOCK_SHARED);
    fixture_close(f, files[1]);
    check_bytes_of(f, locks_of_level[EPIO_LOCK_RESERVED]);
    check_result(raise_to(f, files[0], EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    fixture_close(f, files[0]);
    check_bytes_of(f, 0);
}

/* Where a close is deferred for the locks of others, their last unlock carries it out: no
 * descriptor stays open until another file is closed. */
static void an_unlock_ends_deferred_closes(fixture *f)
{
    epio_file *holder = open_and_hold(f, EPIO_LOCK_SHARED);
    int before = count_descriptors();
    epio_file *other = open_locked(f);
    fixture_close(f, other);
    unlock(f, holder, EPIO_LOCK_NONE);
    check_result(count_descriptors(), before);
    fixture_close(f, holder);
}

/* An open that fails late does not release the locks of others. */
static void a_failed_open_releases_nothing(fixture *f)
{
    epio_op op = {0};
    epio_file *holder = open_and_hold(f, EPIO_LOCK_EXCLUSIVE);
    const char *name = fixture_path(f, "locked");
    check_op(f, epio_open(&op, f->vfs, name, READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE),
             EPIO_EEXIST);
    check_op(f, epio_open(&op, f->vfs, f->directory, EPIO_OPEN_READ), EPIO_EISDIR);
    check_bytes_of(f, locks_of_level[EPIO_LOCK_EXCLUSIVE]);
    epio_file *other = open_locked(f);
    check_op(f, epio_lock(&op, other, EPIO_LOCK_SHARED, 0), EPIO_EBUSY);
    fixture_close(f, other);
    fixture_close(f, holder);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {PARTNER_CHILDREN};
    static const fixture_test tests[] = {
        FIXTURE_TEST(two_files_exclude_each_other_as_sqlite_says, ON_ANY),
        FIXTURE_TEST(only_legal_steps_lead_up, ON_ANY),
        FIXTURE_TEST(steps_lead_down_to_shared_and_none, ON_ANY),
        FIXTURE_TEST(shared_to_exclusive_takes_no_reserved, ON_ANY),
        FIXTURE_TEST(a_refused_exclusive_keeps_new_readers_out, ON_ANY),
        FIXTURE_TEST(a_direct_exclusive_yields_to_reserved, ON_ANY),
        FIXTURE_TEST(an_unlock_beside_readers_frees_what_is_its_own, ON_ANY),
        FIXTURE_TEST(a_close_releases, ON_ANY),
        FIXTURE_TEST(a_close_leaves_the_locks_of_others, ON_ANY),
        FIXTURE_TEST(locks_are_of_the_file_not_the_name, ON_ANY),
        FIXTURE_TEST(a_deleted_file_can_be_locked, ON_ANY),
        FIXTURE_TEST(many_files_are_independent, ON_ANY),
        FIXTURE_TEST(bad_arguments_are_refused, ON_ANY),
        FIXTURE_TEST(a_level_needs_its_direction, ON_ANY),
        FIXTURE_TEST(a_stream_has_no_locks, ON_ANY_OS),
        FIXTURE_TEST(an_adopted_file_can_be_locked, ON_ANY_OS),
        FIXTURE_TEST(files_of_one_description_are_independent, ON_ANY_OS),
        FIXTURE_TEST(an_unlock_ends_deferred_closes, ON_ANY_OS),
        FIXTURE_TEST(a_failed_open_releases_nothing, ON_ANY),
    };
    CHILDREN_ARE(children, argc, argv);
    lock_observer_start();
    return FIXTURE_RUN("locks in one process", tests);
}
