/* The file of the write-ahead log's index on POSIX systems: its permissions and owner, links, and
 * what a connection does that finds its bytes locked by others. Also without loops:
 * EPIO_TEST_WITHOUT_LOOP; independent of the backend: EPIO_TEST_ONCE; delayed writes:
 * EPIO_TEST_OVERLAP. */
#include "database.h"

#include "op_faults.h"

#include <epio/sqlite.h>
#include <unistd.h>

static sqlite3 *open_table(fixture *f)
{
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "data"));
    check_text(database, "PRAGMA journal_mode=WAL", "wal");
    database_run(database, "CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES(1)");
    return database;
}

static void close_without_checkpoint(sqlite3 *database)
{
    int off = 0;
    check_result(sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &off), SQLITE_OK);
    database_close(database);
}

static epio_info info_of(fixture *f, const char *name)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, name), &info, 0), 0);
    return info;
}

static void set_mode(fixture *f, const char *name, uint32_t mode)
{
    epio_op op = {0};
    check_op(f, epio_set_mode(&op, f->vfs, fixture_path(f, name), mode, 0), 0);
}

/* ---- Permissions and owner ----------------------------------------------------- */

static void the_index_has_the_permissions_of_its_database(fixture *f)
{
    static const uint32_t wanted[] = {0600, 0640, 0664, 0666};
    databases_begin(f);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        fixture_put(f, "data", "", 0);
        set_mode(f, "data", wanted[i]);
        unsigned before = system_umask(077);
        sqlite3 *database = open_table(f);
        (void)system_umask(before);
        check_result(info_of(f, "data-shm").mode & 0777, wanted[i]);
        database_close(database);
    }
    databases_end(f);
}

static void the_index_has_the_owner_of_its_database(fixture *f)
{
    epio_op op = {0};
    if (geteuid() != 0) {
        fixture_skip(f, "only root gives files away");
    }
    databases_begin(f);
    fixture_put(f, "data", "", 0);
    check_op(f, epio_set_owner(&op, f->vfs, fixture_path(f, "data"), 12, 34, 0), 0);
    sqlite3 *database = open_table(f);
    check_result(info_of(f, "data-shm").user, 12);
    check_result(info_of(f, "data-shm").group, 34);
    database_close(database);
    databases_end(f);
}

/* Who may not write to the index can read by it, or without it while nobody keeps it. */
static void an_index_without_permission(fixture *f)
{
    if (!f->memory && geteuid() == 0) {
        fixture_skip(f, "root may do anything");
    }
    databases_begin(f);
    close_without_checkpoint(open_table(f));
    set_mode(f, "data-shm", 0444);
    sqlite3 *reader = database_open(TEST_VFS, fixture_path(f, "data"));
    check_result(database_number(reader, "SELECT count(*) FROM t"), 1);
    set_mode(f, "data-shm", 0644);
    sqlite3 *writer = open_table(f);
    check_result(database_number(reader, "SELECT count(*) FROM t"), 2);
    check_result(database_try(reader, "INSERT INTO t VALUES(1)") & 0xFF, SQLITE_READONLY);
    database_close(writer);
    database_close(reader);
    databases_end(f);
}

static void an_index_is_no_link(fixture *f)
{
    epio_op op = {0};
    databases_begin(f);
    database_close(open_table(f));
    fixture_put(f, "other", "secret", 6);
    check_op(f, epio_symlink(&op, f->vfs, fixture_path(f, "other"), fixture_path(f, "data-shm"), 0),
             0);
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "data"));
    check_result(database_try(database, "SELECT * FROM t") & 0xFF, SQLITE_CANTOPEN);
    database_close(database);
    check_content(f, "other", "secret", 6);
    databases_end(f);
}

/* ---- The dead man's switch -------------------------------------------------------- */

/* The first `times` locks on a range find another in the way, who is gone afterwards: the index is
 * begun anew nevertheless. */
static void find_in_the_way(fixture *f, uint32_t times)
{
    op_faults faults;
    epio_vfs *vfs = op_faults_create(f->vfs, &faults);
    check_result(epio_sqlite_register(TEST_VFS, vfs, databases_flags()), 0);
    sqlite3 *database = database_open(TEST_VFS, fixture_path(f, "data"));
    uint32_t before = faults.counts[EPIO_KIND_TRUNCATE];
    faults.kind = EPIO_KIND_LOCK_RANGE;
    faults.result = EPIO_EBUSY;
    faults.times = times;
    check_result(database_number(database, "SELECT count(*) FROM t"), 1);
    check_result(faults.times, 0);
    check_result(faults.counts[EPIO_KIND_TRUNCATE], before + 1);
    close_without_checkpoint(database);
    databases_end(f);
    epio_vfs_destroy(vfs);
}

static void one_that_dies_before_it_begins_anew(fixture *f)
{
    databases_begin(f);
    close_without_checkpoint(open_table(f));
    databases_end(f);
    for (uint32_t times = 1; times < 5; times++) {
        find_in_the_way(f, times);
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(the_index_has_the_permissions_of_its_database,
                     ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(the_index_has_the_owner_of_its_database, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(an_index_without_permission, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(an_index_is_no_link, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(one_that_dies_before_it_begins_anew, ON_OS_PERFORM | ON_MEMORY_PERFORM),
    };
    return FIXTURE_RUN("the index of the write-ahead log", tests);
}
