/* Locks between processes: epio's and the system SQLite's agree on every pair of levels, end with
 * their holder, and lose no update among many processes of both that are killed at random.
 * EPIO_TEST_SEED repeats the kills, EPIO_TEST_KILLS adds more. EPIO_TEST_ONCE; both kinds of
 * byte-range locks: EPIO_TEST_RANGE_LOCKS. */
#include "op_fixture.h"
#include "partner.h"

#include <stdatomic.h>

#ifdef EPIO_TEST_SQLITE
#include <sqlite3.h>
#endif

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define WAIT EPIO_LOCK_WAIT

static const char *make_file(fixture *f)
{
    const char *path = fixture_path(f, "locked");
    partner_make_file(path);
    return path;
}

/* ---- The table ------------------------------------------------------------------- */

/* One holds, one requests, and a reader makes PENDING possible. */
typedef struct meeting {
    partner holder;
    partner other;
    partner reader;
} meeting;

static void hold(meeting *all, uint32_t level)
{
    uint32_t goal = level == EPIO_LOCK_PENDING ? EPIO_LOCK_EXCLUSIVE : level;
    if (level == EPIO_LOCK_PENDING) {
        check_result(partner_raise_to(&all->reader, EPIO_LOCK_SHARED), EPIO_LOCK_SHARED);
    }
    check_result(partner_raise_to(&all->holder, goal), level);
    partner_unlock_all(&all->reader);
}

static uint32_t outcome(meeting *all, uint32_t held, uint32_t wanted)
{
    bool pending = wanted == EPIO_LOCK_PENDING;
    hold(all, held);
    if (pending && held <= EPIO_LOCK_RESERVED) {
        check_result(partner_raise_to(&all->reader, EPIO_LOCK_SHARED), EPIO_LOCK_SHARED);
    }
    check_result(partner_sees_reserved(&all->other), held >= EPIO_LOCK_RESERVED ? 1 : 0);
    uint32_t reached = partner_raise_to(&all->other, pending ? EPIO_LOCK_EXCLUSIVE : wanted);
    check_result(partner_sees_reserved(&all->holder),
                 held >= EPIO_LOCK_RESERVED || reached >= EPIO_LOCK_RESERVED ? 1 : 0);
    partner_unlock_all(&all->other);
    partner_unlock_all(&all->holder);
    partner_unlock_all(&all->reader);
    return reached;
}

static void print_table(const char *title, uint32_t reached[5][5])
{
    print_message("%s\n  %-10s", title, "");
    for (size_t wanted = 0; wanted < 5; wanted++) {
        print_message(" %-10s", lock_names[wanted]);
    }
    for (size_t held = 0; held < 5; held++) {
        print_message("\n  %-10s", lock_names[held]);
        for (size_t wanted = 0; wanted < 5; wanted++) {
            print_message(" %-10s", lock_names[reached[held][wanted]]);
        }
    }
    print_message("\n");
}

static void check_table(fixture *f, partner_kind holder, partner_kind other, const char *title)
{
    meeting all;
    uint32_t reached[5][5];
    const char *path = make_file(f);
    if (!partner_is_available(holder) || !partner_is_available(other)) {
        fixture_skip(f, "built without SQLite");
    }
    partner_start(&all.holder, holder, path);
    partner_start(&all.other, other, path);
    partner_start(&all.reader, BY_EPIO, path);
    for (uint32_t held = 0; held < 5; held++) {
        for (uint32_t wanted = 0; wanted < 5; wanted++) {
            reached[held][wanted] = outcome(&all, held, wanted);
        }
    }
    partner_end(&all.holder);
    partner_end(&all.other);
    partner_end(&all.reader);
    print_table(title, reached);
    for (uint32_t held = 0; held < 5; held++) {
        for (uint32_t wanted = 0; wanted < 5; wanted++) {
            check_result(reached[held][wanted], lock_outcomes[held][wanted]);
        }
    }
}

/* The first of these checks the table itself against SQLite. */
static void sqlite_and_sqlite(fixture *f)
{
    check_table(f, BY_SQLITE, BY_SQLITE, "SQLite holds (rows), SQLite wants (columns), and gets:");
}

static void epio_and_epio(fixture *f)
{
    check_table(f, BY_EPIO, BY_EPIO, "epio holds, epio in another process wants:");
}

static void epio_and_sqlite(fixture *f)
{
    check_table(f, BY_EPIO, BY_SQLITE, "epio holds, SQLite wants:");
}

static void sqlite_and_epio(fixture *f)
{
    check_table(f, BY_SQLITE, BY_EPIO, "SQLite holds, epio wants:");
}

/* A file that goes from SHARED to EXCLUSIVE directly does not hold RESERVED's byte, neither at
 * PENDING nor at EXCLUSIVE; the journal that it rolls back must look hot to others. */
static void check_direct_writer(fixture *f, partner_kind holder, partner_kind other)
{
    meeting all;
    const char *path = make_file(f);
    partner_start(&all.holder, holder, path);
    partner_start(&all.other, other, path);
    partner_start(&all.reader, BY_EPIO, path);
    /* The partners have started: SQLite reads the file when it opens it. */
    check_result(partner_sees_reserved(&all.other), 0);
    check_result(partner_sees_reserved(&all.reader), 0);
    check_result(partner_raise_directly(&all.holder), EPIO_LOCK_EXCLUSIVE);
    check_result(partner_sees_reserved(&all.other), 0);
    partner_unlock_all(&all.holder);
    check_result(partner_raise_to(&all.reader, EPIO_LOCK_SHARED), EPIO_LOCK_SHARED);
    check_result(partner_raise_directly(&all.holder), EPIO_LOCK_PENDING);
    check_result(partner_sees_reserved(&all.other), 0);
    partner_unlock_all(&all.holder);
    check_result(partner_raise_to(&all.holder, EPIO_LOCK_RESERVED), EPIO_LOCK_RESERVED);
    check_result(partner_sees_reserved(&all.other), 1);
    partner_end(&all.holder);
    partner_end(&all.other);
    partner_end(&all.reader);
}

/* With every pair of holder and observer: SQLite is the reference. */
static void a_direct_writer_holds_no_reserved(fixture *f)
{
    static const partner_kind kinds[] = {BY_EPIO, BY_SQLITE};
    for (size_t holder = 0; holder < 2; holder++) {
        for (size_t other = 0; other < 2; other++) {
            if (partner_is_available(kinds[holder]) && partner_is_available(kinds[other])) {
                check_direct_writer(f, kinds[holder], kinds[other]);
                check(file_remove(fixture_path(f, "locked")));
            }
        }
    }
}

/* Observed from this process, in every setting. */
static void a_direct_writer_elsewhere_is_not_reserved(fixture *f)
{
    partner other;
    epio_op op = {0};
    const char *path = make_file(f);
    partner_start(&other, BY_EPIO, path);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_result(partner_raise_directly(&other), EPIO_LOCK_EXCLUSIVE);
    check_op(f, epio_check_reserved_lock(&op, file), 0);
    partner_unlock_all(&other);
    check_result(partner_raise_to(&other, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    check_op(f, epio_check_reserved_lock(&op, file), 1);
    partner_end(&other);
    fixture_close(f, file);
}

/* Two files of this process; test_lock.c does that in every setting. */
static void one_process(fixture *f)
{
    uint32_t reached[5][5];
    for (uint32_t held = 0; held < 5; held++) {
        for (uint32_t wanted = 0; wanted < 5; wanted++) {
            epio_file *files[3];
            for (size_t i = 0; i < 3; i++) {
                files[i] = fixture_open(f, "locked", READ_WRITE | EPIO_OPEN_CREATE);
            }
            if (held == EPIO_LOCK_PENDING) {
                (void)lock_raise_to(files[2], EPIO_LOCK_SHARED);
            }
            (void)lock_raise_to(files[0], held == EPIO_LOCK_PENDING ? EPIO_LOCK_EXCLUSIVE : held);
            fixture_close(f, files[2]);
            files[2] = fixture_open(f, "locked", READ_WRITE);
            if (wanted == EPIO_LOCK_PENDING) {
                (void)lock_raise_to(files[2], EPIO_LOCK_SHARED);
            }
            check_result(epio_file_lock_level(files[0]), held);
            reached[held][wanted] =
                lock_raise_to(files[1], wanted == EPIO_LOCK_PENDING ? EPIO_LOCK_EXCLUSIVE : wanted);
            check_result(reached[held][wanted], lock_outcomes[held][wanted]);
            for (size_t i = 0; i < 3; i++) {
                fixture_close(f, files[i]);
            }
        }
    }
    print_table("One file of a process holds, another of the same process wants:", reached);
}

/* ---- Waiting for another process ---------------------------------------------------- */

/* The wait ends when the other process unlocks. */
static void check_unlock_grants(fixture *f, partner_kind kind)
{
    partner other;
    epio_op op = {0};
    const char *path = make_file(f);
    partner_start(&other, kind, path);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_result(partner_raise_to(&other, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    op.timeout_ns = 10 * MILLISECOND;
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, WAIT), EPIO_ETIMEDOUT);
    partner_unlock_all_after(&other, 20 * MILLISECOND);
    op.timeout_ns = 20 * SECOND;
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, WAIT), 0);
    check_result(op.os_error, 0);
    check_result(partner_result(&other), 0);
    fixture_close(f, file);
    partner_end(&other);
}

static void epio_unlock_grants(fixture *f)
{
    check_unlock_grants(f, BY_EPIO);
}

static void sqlite_unlock_grants(fixture *f)
{
    if (!partner_is_available(BY_SQLITE)) {
        fixture_skip(f, "built without SQLite");
    }
    check_unlock_grants(f, BY_SQLITE);
}

static void a_killed_holder_loses_its_locks(fixture *f)
{
    const char *path = make_file(f);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    for (uint32_t level = EPIO_LOCK_SHARED; level <= EPIO_LOCK_EXCLUSIVE; level++) {
        partner other;
        epio_op op = {0};
        if (level == EPIO_LOCK_PENDING) {
            continue;
        }
        partner_start(&other, BY_EPIO, path);
        check_result(partner_raise_to(&other, level), level);
        partner_kill(&other);
        check_result(locks_on(path), 0);
        check_result(lock_raise_to(file, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
        check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
    }
    fixture_close(f, file);
}

/* The other process waits for EXCLUSIVE while readers here lock and unlock. */
static void a_writer_is_not_starved_between_processes(fixture *f)
{
    partner writer;
    const char *path = make_file(f);
    partner_start(&writer, BY_EPIO, path);
    epio_file *files[3];
    for (size_t i = 0; i < 3; i++) {
        files[i] = fixture_open(f, "locked", READ_WRITE);
        check_result(lock_raise_to(files[i], EPIO_LOCK_SHARED), EPIO_LOCK_SHARED);
    }
    check_result(partner_raise_to(&writer, EPIO_LOCK_RESERVED), EPIO_LOCK_RESERVED);
    partner_send_lock(&writer, EPIO_LOCK_EXCLUSIVE, WAIT, 20 * SECOND);
    /* The readers unlock and lock in turn, so that without PENDING there would always be one. */
    uint64_t deadline = system_monotonic_ns() + 20 * SECOND;
    size_t readers = 3;
    for (size_t round = 0; readers > 0; round++) {
        epio_op op = {0};
        check(system_monotonic_ns() < deadline);
        sleep_us(1000);
        epio_file *file = files[round % 3];
        if (epio_file_lock_level(file) == EPIO_LOCK_NONE) {
            continue;
        }
        check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
        readers -= lock_raise_to(file, EPIO_LOCK_SHARED) == EPIO_LOCK_NONE ? 1 : 0;
    }
    check_result(partner_result(&writer), 0);
    check_result(locks_on(path), locks_of_level[EPIO_LOCK_EXCLUSIVE]);
    partner_end(&writer);
    for (size_t i = 0; i < 3; i++) {
        fixture_close(f, files[i]);
    }
}

/* ---- What could never end -------------------------------------------------------------- */

/* A reader here that requests an upgrade while a reader elsewhere does, too: refused without a
 * deadline. */
static void a_reader_meets_a_writer_elsewhere(fixture *f)
{
    static const uint32_t wishes[] = {EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    partner other;
    const char *path = make_file(f);
    partner_start(&other, BY_EPIO, path);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    for (uint32_t held = EPIO_LOCK_RESERVED; held <= EPIO_LOCK_PENDING; held++) {
        for (size_t i = 0; i < 2; i++) {
            epio_op op = {0};
            check_result(lock_raise_to(file, EPIO_LOCK_SHARED), EPIO_LOCK_SHARED);
            check_result(partner_raise_to(&other, held == EPIO_LOCK_PENDING ? EPIO_LOCK_EXCLUSIVE
                                                                            : EPIO_LOCK_RESERVED),
                         held);
            check_op(f, epio_lock(&op, file, wishes[i], WAIT), EPIO_EBUSY);
            check_result(epio_file_lock_level(file), EPIO_LOCK_SHARED);
            check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
            check_result(partner_lock(&other, EPIO_LOCK_EXCLUSIVE, WAIT, 0), 0);
            partner_unlock_all(&other);
        }
    }
    fixture_close(f, file);
    partner_end(&other);
}

/* Where the system has no query an observer locks for a moment: as a reader, for which a writer
 * waits. */
static void wait_for_pending(const char *path)
{
    const uint64_t pending = 0x40000000;
    intptr_t handle = handle_open(path, READ_WRITE);
    check(handle != NO_HANDLE);
    while (handle_lock_range(handle, pending, 1, HANDLE_LOCK_SHARED)) {
        check(handle_lock_range(handle, pending, 1, HANDLE_UNLOCK));
        sleep_us(1000);
    }
    check(handle_close(handle));
}

/* Both read and request EXCLUSIVE: one is refused, then the other gets it. */
static void two_upgrades_to_exclusive(fixture *f)
{
    for (uint32_t from = EPIO_LOCK_SHARED; from <= EPIO_LOCK_RESERVED; from++) {
        partner one;
        partner other;
        const char *path = make_file(f);
        partner_start(&one, BY_EPIO, path);
        partner_start(&other, BY_EPIO, path);
        check_result(partner_raise_to(&other, EPIO_LOCK_SHARED), EPIO_LOCK_SHARED);
        check_result(partner_raise_to(&one, from), from);
        partner_send_lock(&one, EPIO_LOCK_EXCLUSIVE, WAIT, 0);
        wait_for_pending(path);
        check_result(partner_lock(&other, EPIO_LOCK_EXCLUSIVE, WAIT, 0), EPIO_EBUSY);
        check_result(partner_lock(&other, EPIO_LOCK_RESERVED, WAIT, 0), EPIO_EBUSY);
        check_result(partner_unlock(&other, EPIO_LOCK_NONE), 0);
        check_result(partner_result(&one), 0);
        partner_end(&one);
        partner_end(&other);
        check(file_remove(path));
    }
}

static void hold_the_byte_of_pending(const char *path)
{
    intptr_t handle = handle_open(path, READ_WRITE);
    check(handle != NO_HANDLE);
    check(handle_lock_range(handle, 0x40000000, 1, HANDLE_LOCK_EXCLUSIVE));
    check(pipe_write(process_output(), "x", 1) == 1);
    sleep_ns(HOUR);
}

/* One holds RESERVED, the other reached PENDING without it (possible only with old versions of
 * SQLite and with programs that lock both bytes at once). */
static void reserved_here_and_pending_elsewhere(fixture *f)
{
    partner other;
    epio_op op = {0};
    const char *path = make_file(f);
    partner_start(&other, BY_EPIO, path);
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    check_result(lock_raise_to(file, EPIO_LOCK_RESERVED), EPIO_LOCK_RESERVED);
    /* Locks PENDING's byte as such a program would. */
    child foreign;
    char byte = 0;
    child_start(&foreign, hold_the_byte_of_pending, path, CHILD_PIPES);
    check(pipe_read(foreign.from, &byte, 1) == 1);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, WAIT), EPIO_EBUSY);
    check_result(epio_file_lock_level(file), EPIO_LOCK_RESERVED);
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_SHARED), 0);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_RESERVED, WAIT), EPIO_EBUSY);
    check_result(epio_file_lock_level(file), EPIO_LOCK_SHARED);
    check_result(locks_on(path), LOCKS_SHARED | LOCKS_PENDING);
    check_result(partner_sees_reserved(&other), 0); /* a hot journal must look hot */
    child_kill(&foreign);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_RESERVED, WAIT), 0);
    check_result(lock_raise_to(file, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    fixture_close(f, file);
    partner_end(&other);
}

/* Another process retries a lock that it never gets, and blocks no one. */
static void try_repeatedly(const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, READ_WRITE)), 0);
    epio_file *file = op.file;
    for (;;) {
        (void)epio_perform(epio_lock(&op, file, EPIO_LOCK_SHARED, 0));
        (void)epio_perform(epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0));
        (void)epio_perform(epio_lock(&op, file, EPIO_LOCK_RESERVED, 0));
        (void)epio_perform(epio_unlock(&op, file, EPIO_LOCK_NONE));
    }
}

static void the_holder_of_reserved_gets_exclusive(fixture *f)
{
    unsigned rounds = fixture_rounds(500);
    unsigned reached = 0;
    const char *path = make_file(f);
    child other;
    epio_file *file = fixture_open(f, "locked", READ_WRITE);
    child_start(&other, try_repeatedly, path, 0);
    while (reached < rounds) {
        epio_op op = {.timeout_ns = 20 * SECOND};
        check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, WAIT), 0);
        if (fixture_result(f, epio_lock(&op, file, EPIO_LOCK_RESERVED, 0)) == 0) {
            op.timeout_ns = 20 * SECOND;
            check_op(f, epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, WAIT), 0);
            reached++;
        }
        check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
    }
    child_kill(&other);
    fixture_close(f, file);
}

/* Two files, each of which one process has and the other waits for. */
static void a_deadlock_over_two_files_ends_at_the_deadline(fixture *f)
{
    partner one;
    partner other;
    const char *first = make_file(f);
    const char *second = fixture_path(f, "second");
    partner_make_file(second);
    partner_start(&one, BY_EPIO, first);
    partner_start(&other, BY_EPIO, second);
    epio_file *here[2] = {fixture_open(f, "locked", READ_WRITE),
                          fixture_open(f, "second", READ_WRITE)};
    check_result(partner_raise_to(&one, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    check_result(partner_raise_to(&other, EPIO_LOCK_EXCLUSIVE), EPIO_LOCK_EXCLUSIVE);
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {.timeout_ns = 30 * MILLISECOND};
        uint64_t started = system_monotonic_ns();
        check_op(f, epio_lock(&op, here[i], EPIO_LOCK_SHARED, WAIT), EPIO_ETIMEDOUT);
        uint64_t took = system_monotonic_ns() - started;
        check(took >= 30 * MILLISECOND);
        check(took < (fixture_is_slow() ? 20 * SECOND : 2 * SECOND));
        fixture_close(f, here[i]);
    }
    partner_end(&one);
    partner_end(&other);
}

/* ---- Many processes, and SIGKILL ----------------------------------------------------------------
 */

/* The database has two pages, written by one write; the blob has a counter for each process.
 * Without SQLite all processes are epio's, and only pages are written. */
#define CROWD 8
#define PAGE 512
#define MARKER "epio counts here"
#define BLOB (16 + CROWD * 8)

/* Shared by all processes. A process counts its completed updates: a kill may come in between. */
typedef struct shared_state {
    atomic_bool stop;
    atomic_ullong done[CROWD];
} shared_state;

typedef struct member {
    shared_state *shared;
    const char *path;
    char journal[700];
    size_t number;
} member;

static bool is_by_sqlite(size_t number)
{
    return number % 2 == 1 && partner_is_available(BY_SQLITE);
}

static uint64_t counter_in(const unsigned char *blob, size_t number)
{
    uint64_t count;
    memcpy(&count, blob + 16 + number * 8, 8);
    return count;
}

static void count_in(unsigned char *blob, size_t number)
{
    uint64_t count = counter_in(blob, number) + 1;
    memcpy(blob + 16 + number * 8, &count, 8);
}

static unsigned char *find_blob(unsigned char *pages)
{
    unsigned char *blob = NULL;
    for (size_t i = PAGE; i + BLOB <= 2 * PAGE; i++) {
        if (memcmp(pages + i, MARKER, 16) == 0) {
            blob = pages + i;
        }
    }
    check(blob != NULL);
    return blob;
}

#ifdef EPIO_TEST_SQLITE

static void make_database(const char *path)
{
    sqlite3 *database;
    sqlite3_stmt *insert;
    unsigned char blob[BLOB] = MARKER;
    check(sqlite3_open(path, &database) == SQLITE_OK);
    check(sqlite3_exec(database, "PRAGMA page_size = 512; CREATE TABLE counters (b BLOB)", NULL,
                       NULL, NULL) == SQLITE_OK);
    check(sqlite3_prepare_v2(database, "INSERT INTO counters VALUES (?)", -1, &insert, NULL) ==
          SQLITE_OK);
    check(sqlite3_bind_blob(insert, 1, blob, BLOB, SQLITE_STATIC) == SQLITE_OK);
    check(sqlite3_step(insert) == SQLITE_DONE);
    check(sqlite3_finalize(insert) == SQLITE_OK);
    check(sqlite3_close(database) == SQLITE_OK);
}

static void read_counters(sqlite3 *database, unsigned char *blob)
{
    sqlite3_stmt *select;
    check(sqlite3_prepare_v2(database, "SELECT b FROM counters", -1, &select, NULL) == SQLITE_OK);
    check(sqlite3_step(select) == SQLITE_ROW);
    check(sqlite3_column_bytes(select, 0) == BLOB);
    memcpy(blob, sqlite3_column_blob(select, 0), BLOB);
    check(sqlite3_finalize(select) == SQLITE_OK);
}

/* A real transaction. */
static bool count_by_sqlite(sqlite3 *database, size_t number)
{
    unsigned char blob[BLOB];
    sqlite3_stmt *update;
    if (sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return false;
    }
    read_counters(database, blob);
    count_in(blob, number);
    check(sqlite3_prepare_v2(database, "UPDATE counters SET b = ?", -1, &update, NULL) ==
          SQLITE_OK);
    check(sqlite3_bind_blob(update, 1, blob, BLOB, SQLITE_STATIC) == SQLITE_OK);
    check(sqlite3_step(update) == SQLITE_DONE);
    check(sqlite3_finalize(update) == SQLITE_OK);
    while (sqlite3_exec(database, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        check(sqlite3_errcode(database) == SQLITE_BUSY);
    }
    return true;
}

static void run_sqlite_member(member *one)
{
    sqlite3 *database;
    check(sqlite3_open(one->path, &database) == SQLITE_OK);
    check(sqlite3_busy_timeout(database, 1000) == SQLITE_OK);
    /* It reads the file, which the others may have locked for longer than that. */
    while (sqlite3_exec(database, "PRAGMA synchronous = OFF", NULL, NULL, NULL) != SQLITE_OK) {
        check(sqlite3_errcode(database) == SQLITE_BUSY);
    }
    while (!atomic_load(&one->shared->stop)) {
        if (count_by_sqlite(database, one->number)) {
            atomic_fetch_add(&one->shared->done[one->number], 1);
        }
    }
    check(sqlite3_close(database) == SQLITE_OK);
}

/* The counters of a whole database. */
static void read_at_the_end(const char *path, unsigned char *blob)
{
    sqlite3 *database;
    sqlite3_stmt *check_all;
    check(sqlite3_open(path, &database) == SQLITE_OK);
    read_counters(database, blob);
    check(sqlite3_prepare_v2(database, "PRAGMA integrity_check", -1, &check_all, NULL) ==
          SQLITE_OK);
    check(sqlite3_step(check_all) == SQLITE_ROW);
    check(strcmp((const char *)sqlite3_column_text(check_all, 0), "ok") == 0);
    check(sqlite3_finalize(check_all) == SQLITE_OK);
    check(sqlite3_close(database) == SQLITE_OK);
}

#else

static void make_database(const char *path)
{
    unsigned char pages[2 * PAGE] = {0};
    memcpy(pages + PAGE, MARKER, 16);
    intptr_t handle = handle_open(path, READ_WRITE | EPIO_OPEN_CREATE);
    check(handle != NO_HANDLE);
    check(handle_write_at(handle, pages, sizeof pages, 0) == sizeof pages);
    check(handle_close(handle));
}

static void run_sqlite_member(member *one)
{
    (void)one;
}

static void read_at_the_end(const char *path, unsigned char *blob)
{
    unsigned char pages[2 * PAGE];
    intptr_t handle = handle_open(path, EPIO_OPEN_READ);
    check(handle != NO_HANDLE);
    check(handle_read_at(handle, pages, sizeof pages, 0) == sizeof pages);
    check(handle_close(handle));
    memcpy(blob, find_blob(pages), BLOB);
}

#endif

static void add_to_big_endian(unsigned char *at)
{
    uint32_t value = ((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
    value++;
    for (int i = 0; i < 4; i++) {
        at[i] = (unsigned char)(value >> (24 - 8 * i));
    }
}

/* As SQLite's file format requires: with the change counter and its valid-for number, in one write,
 * which no kill can split. */
static void count_in_pages(member *one, epio_file *file)
{
    unsigned char pages[2 * PAGE];
    epio_op op = {0};
    check_result(epio_perform(epio_read(&op, file, pages, sizeof pages, 0)), sizeof pages);
    count_in(find_blob(pages), one->number);
    add_to_big_endian(pages + 24);
    memcpy(pages + 92, pages + 24, 4);
    check_result(epio_perform(epio_write(&op, file, pages, sizeof pages, 0)), sizeof pages);
}

static bool has_journal(const member *one)
{
    return file_exists(one->journal);
}

static bool raise_lock(epio_file *file, uint32_t level, epio_loop *loop)
{
    epio_op op = {.timeout_ns = 500 * MILLISECOND};
    (void)epio_lock(&op, file, level, WAIT);
    int64_t result = loop != NULL ? epio_wait(&op) : epio_perform(&op);
    check(result == 0 || result == EPIO_ETIMEDOUT || result == EPIO_EBUSY);
    return result == 0;
}

/* A stale journal was left by a killed SQLite: only SQLite can roll it back, and the pages are not
 * valid before that. */
static bool count_by_epio(member *one, epio_file *file, epio_loop *loop)
{
    epio_op op = {0};
    bool counted = false;
    if (raise_lock(file, EPIO_LOCK_SHARED, loop) && raise_lock(file, EPIO_LOCK_RESERVED, loop) &&
        !has_journal(one) && raise_lock(file, EPIO_LOCK_EXCLUSIVE, loop)) {
        count_in_pages(one, file);
        counted = true;
    }
    check_result(epio_perform(epio_unlock(&op, file, EPIO_LOCK_NONE)), 0);
    if (!counted) {
        sleep_us(2000); /* lets the lock's holder continue */
    }
    return counted;
}

/* Half of them by epio_perform, half on a loop. */
static void run_epio_member(member *one)
{
    epio_loop *loop = NULL;
    epio_op op = {0};
    epio_vfs *vfs = epio_os_vfs();
    if (one->number % 4 == 0) {
        check_result(epio_loop_create(&loop, NULL), 0);
        vfs = epio_loop_vfs(loop);
    }
    check_result(epio_perform(epio_open(&op, vfs, one->path, READ_WRITE)), 0);
    epio_file *file = op.file;
    while (!atomic_load(&one->shared->stop)) {
        if (count_by_epio(one, file, loop)) {
            atomic_fetch_add(&one->shared->done[one->number], 1);
        }
    }
    check_result(epio_perform(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
}

/* The argument: its number, then the path. */
static void run_member(const char *argument)
{
    char shared_path[700];
    member one = {.path = argument + 1, .number = (size_t)(argument[0] - '0')};
    (void)snprintf(shared_path, sizeof shared_path, "%s-shared", one.path);
    (void)snprintf(one.journal, sizeof one.journal, "%s-journal", one.path);
    one.shared = shared_memory_map(shared_path, sizeof *one.shared);
    if (is_by_sqlite(one.number)) {
        run_sqlite_member(&one);
    } else {
        run_epio_member(&one);
    }
}

static void start_member(child *one, size_t number, const char *path)
{
    char argument[700];
    (void)snprintf(argument, sizeof argument, "%c%s", '0' + (int)number, path);
    child_start(one, run_member, argument, 0);
}

/* Every process makes progress: none is stuck. */
static void wait_for_progress(shared_state *shared, uint64_t rounds)
{
    uint64_t goals[CROWD];
    uint64_t deadline = system_monotonic_ns() + (fixture_is_slow() ? 300 : 60) * SECOND;
    for (size_t i = 0; i < CROWD; i++) {
        goals[i] = atomic_load(&shared->done[i]) + rounds;
    }
    for (size_t i = 0; i < CROWD; i++) {
        while (atomic_load(&shared->done[i]) < goals[i]) {
            if (system_monotonic_ns() >= deadline) {
                print_error("process %u (%s) is stuck\n", (unsigned)i,
                            is_by_sqlite(i) ? "SQLite" : "epio");
            }
            check(system_monotonic_ns() < deadline);
            sleep_us(1000);
        }
    }
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *value = getenv(variable);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static void check_counters(const char *path, shared_state *shared, const uint64_t *kills)
{
    unsigned char blob[BLOB];
    read_at_the_end(path, blob);
    for (size_t i = 0; i < CROWD; i++) {
        uint64_t done = atomic_load(&shared->done[i]);
        uint64_t counted = counter_in(blob, i);
        print_message("process %u, %-6s: %llu counted, %llu known to it, killed %llu times\n",
                      (unsigned)i, is_by_sqlite(i) ? "SQLite" : "epio", (unsigned long long)counted,
                      (unsigned long long)done, (unsigned long long)kills[i]);
        check(counted >= done);
        check(counted <= done + kills[i]);
    }
}

static void many_processes_lose_no_update(fixture *f)
{
    uint64_t seed = number_from("EPIO_TEST_SEED", system_monotonic_ns());
    uint64_t rounds = number_from("EPIO_TEST_KILLS", fixture_rounds(10));
    random_source random = {.state = seed};
    child processes[CROWD];
    uint64_t kills[CROWD] = {0};
    const char *path = fixture_path(f, "counters");
    shared_state *shared = shared_memory_map(fixture_path(f, "counters-shared"), sizeof *shared);
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)seed);
    make_database(path);
    for (size_t i = 0; i < CROWD; i++) {
        start_member(&processes[i], i, path);
    }
    wait_for_progress(shared, 1);
    for (uint64_t i = 0; i < rounds; i++) {
        size_t victim = (size_t)random_between(&random, 0, CROWD);
        sleep_us(random_between(&random, 0, 20000));
        child_kill(&processes[victim]);
        kills[victim]++;
        start_member(&processes[victim], victim, path);
    }
    wait_for_progress(shared, 3);
    atomic_store(&shared->stop, true);
    for (size_t i = 0; i < CROWD; i++) {
        check_result(child_end(&processes[i]), 0);
    }
    check_counters(path, shared, kills);
    check_result(locks_on(path), 0);
    shared_memory_unmap(shared, sizeof *shared);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(try_repeatedly),
                                              CHILD(hold_the_byte_of_pending), CHILD(run_member),
                                              PARTNER_CHILDREN};
    static const fixture_test tests[] = {
        FIXTURE_TEST(sqlite_and_sqlite, ON_OS_PERFORM),
        FIXTURE_TEST(epio_and_epio, ON_OS_PERFORM),
        FIXTURE_TEST(epio_and_sqlite, ON_OS_PERFORM),
        FIXTURE_TEST(sqlite_and_epio, ON_OS_PERFORM),
        FIXTURE_TEST(a_direct_writer_holds_no_reserved, ON_OS_PERFORM),
        FIXTURE_TEST(a_direct_writer_elsewhere_is_not_reserved, ON_ANY_OS),
        FIXTURE_TEST(one_process, ON_OS_PERFORM),
        FIXTURE_TEST(epio_unlock_grants, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(sqlite_unlock_grants, ON_OS_PERFORM | ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_killed_holder_loses_its_locks, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_writer_is_not_starved_between_processes, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_reader_meets_a_writer_elsewhere, ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT),
        FIXTURE_TEST(two_upgrades_to_exclusive, ON_OS_PERFORM),
        FIXTURE_TEST(reserved_here_and_pending_elsewhere, ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT),
        FIXTURE_TEST(the_holder_of_reserved_gets_exclusive, ON_OS_PERFORM | ON_OS),
        FIXTURE_TEST(a_deadlock_over_two_files_ends_at_the_deadline,
                     ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT),
        FIXTURE_TEST(many_processes_lose_no_update, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    lock_observer_start();
    return FIXTURE_RUN("locks between processes", tests);
}
