/* Journals that killed processes leave: stock SQLite's are rolled back by the VFS, and the VFS's by
 * stock SQLite; and who excludes whom. EPIO_TEST_ONCE, and without loops: EPIO_TEST_WITHOUT_LOOP;
 * delayed writes: EPIO_TEST_OVERLAP. */
#include "database.h"

#include <epio/layer.h>
#include <epio/sqlite.h>

#define ROWS 400

/* Of a child: the VFS of its connection, and when it ends. The argument begins with these. */
#define BY_STOCK 's'
#define BY_EPIO 'e'

static const char *vfs_of(char who)
{
    return who == BY_EPIO ? "tested" : NULL;
}

static void register_tested(epio_vfs *vfs)
{
    (void)epio_sqlite_unregister("tested");
    check_result(epio_sqlite_register("tested", vfs, databases_flags()), 0);
}

/* ---- A transaction that ends with its process ------------------------------------ */

/* Argument: who, the number of the journal mode, the path. It changes pages in the file, more than
 * the cache has space for, and waits to be killed. */
static const char *const modes[] = {"DELETE", "TRUNCATE", "PERSIST"};

static void change_and_wait(const char *argument)
{
    char byte;
    char pragma[64];
    register_tested(epio_os_vfs());
    sqlite3 *db = database_open(vfs_of(argument[0]), argument + 2);
    (void)snprintf(pragma, sizeof pragma, "PRAGMA journal_mode=%s", modes[argument[1] - '0']);
    database_run(db, pragma);
    database_run(
        db, "PRAGMA cache_size=5; BEGIN; UPDATE t SET b = 'new' || b; DELETE FROM t WHERE a=3");
    check(pipe_write(process_output(), "r", 1) == 1);
    (void)pipe_read(process_input(), &byte, 1);
}

static void make_database(const char *path)
{
    char statement[200];
    sqlite3 *db = database_open(NULL, path);
    (void)snprintf(statement, sizeof statement,
                   "CREATE TABLE t(a INTEGER PRIMARY KEY, b); WITH RECURSIVE n(i) AS (SELECT 1 "
                   "UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t SELECT i, "
                   "hex(zeroblob(300)) FROM n",
                   ROWS);
    database_run(db, statement);
    database_close(db);
}

static void check_rolled_back(const char *path, char who)
{
    sqlite3 *db = database_open(vfs_of(who), path);
    check_result(database_number(db, "SELECT count(*) FROM t WHERE b NOT LIKE 'new%'"), ROWS);
    check_text(db, "PRAGMA integrity_check", "ok");
    database_run(db, "INSERT INTO t VALUES(1000, 'later')");
    database_close(db);
}

static void roll_back(fixture *f, char dying, char recovering, unsigned mode)
{
    child one;
    char byte;
    char name[16];
    char argument[700];
    epio_info journal = {.size = sizeof journal};
    epio_op op = EPIO_OP_INIT;
    (void)snprintf(name, sizeof name, "%c%c%u", dying, recovering, mode);
    const char *path = fixture_path(f, name);
    make_database(path);
    (void)snprintf(argument, sizeof argument, "%c%u%s", dying, mode, path);
    child_start(&one, change_and_wait, argument, CHILD_PIPES);
    check(pipe_read(one.from, &byte, 1) == 1);
    /* It is in the way as long as it lives. */
    register_tested(f->vfs);
    sqlite3 *db = database_open(vfs_of(recovering), path);
    check_result(database_try(db, "SELECT * FROM t"), SQLITE_BUSY);
    child_kill(&one);
    (void)snprintf(argument, sizeof argument, "%s-journal", path);
    check_op(f, epio_stat(&op, f->vfs, argument, &journal, 0), 0);
    check(journal.bytes > 512); /* there is something to roll back */
    check_result(database_number(db, "SELECT count(*) FROM t WHERE b NOT LIKE 'new%'"), ROWS);
    database_close(db);
    check_rolled_back(path, recovering);
    check_result(epio_sqlite_unregister("tested"), 0);
}

static void rolls_back_what_stock_left(fixture *f)
{
    for (unsigned mode = 0; mode < 3; mode++) {
        roll_back(f, BY_STOCK, BY_EPIO, mode);
    }
}

static void stock_rolls_back_what_it_left(fixture *f)
{
    for (unsigned mode = 0; mode < 3; mode++) {
        roll_back(f, BY_EPIO, BY_STOCK, mode);
    }
}

static void rolls_back_its_own(fixture *f)
{
    for (unsigned mode = 0; mode < 3; mode++) {
        roll_back(f, BY_EPIO, BY_EPIO, mode);
    }
}

/* ---- A commit of two files that ends in its middle ---------------------------------- */

/* Deletes that are let pass before the process ends: the first is of the super-journal. */
static int deletes_left;

static void count_delete(void)
{
    if (deletes_left-- == 0) {
        exit(7); /* without closing anything */
    }
}

static sqlite3_vfs mortal;

static int delete_or_die(sqlite3_vfs *vfs, const char *path, int sync_directory)
{
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    (void)vfs;
    count_delete();
    return system->xDelete(system, path, sync_directory);
}

static int before(void *user, epio_op *op, void *state)
{
    (void)user, (void)state;
    if (op->kind == EPIO_KIND_DELETE) {
        count_delete();
    }
    return 0;
}

/* Argument: who, how many deletes pass, the path of the first file. */
static void commit_and_die(const char *argument)
{
    static const epio_layer_methods methods = {
        .size = sizeof(epio_layer_methods), .name = "mortal", .before = before};
    char statement[800];
    epio_vfs *layer;
    deletes_left = INT32_MAX;
    check_result(epio_layer_vfs_create(&layer, epio_os_vfs(), &methods, NULL), 0);
    check_result(epio_sqlite_register("tested", layer, databases_flags()), 0);
    mortal = *sqlite3_vfs_find(NULL);
    mortal.zName = "mortal";
    mortal.xDelete = delete_or_die;
    check_result(sqlite3_vfs_register(&mortal, 0), SQLITE_OK);
    sqlite3 *db = database_open(argument[0] == BY_EPIO ? "tested" : "mortal", argument + 2);
    (void)snprintf(statement, sizeof statement, "ATTACH '%s2' AS two", argument + 2);
    database_run(db, statement);
    database_run(db, "BEGIN; UPDATE main.t SET b = 'new'; UPDATE two.t SET b = 'new'");
    deletes_left = argument[1] - '0';
    database_run(db, "COMMIT");
    exit(0);
}

static int64_t new_rows(const char *path, char who)
{
    sqlite3 *db = database_open(vfs_of(who), path);
    int64_t result = database_number(db, "SELECT count(*) FROM t WHERE b = 'new'");
    check_text(db, "PRAGMA integrity_check", "ok");
    database_close(db);
    return result;
}

/* Both files or none: it is committed once the super-journal is gone. */
static void recover_both(fixture *f, char dying, char recovering)
{
    for (unsigned passing = 0; passing < 3; passing++) {
        char name[16];
        char argument[700];
        (void)snprintf(name, sizeof name, "%c%c%u", dying, recovering, passing);
        const char *path = fixture_path(f, name);
        (void)snprintf(name, sizeof name, "%c%c%u2", dying, recovering, passing);
        const char *second = fixture_path(f, name);
        make_database(path);
        make_database(second);
        (void)snprintf(argument, sizeof argument, "%c%u%s", dying, passing, path);
        check_result(run_in_child(commit_and_die, argument), 7);
        register_tested(f->vfs);
        int64_t expected = passing == 0 ? 0 : ROWS;
        check_result(new_rows(path, recovering), expected);
        check_result(new_rows(second, recovering), expected);
        check_result(epio_sqlite_unregister("tested"), 0);
    }
}

static void recovers_two_files_of_stock(fixture *f)
{
    recover_both(f, BY_STOCK, BY_EPIO);
}

static void stock_recovers_its_two_files(fixture *f)
{
    recover_both(f, BY_EPIO, BY_STOCK);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(change_and_wait), CHILD(commit_and_die)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(rolls_back_what_stock_left, ON_OS_PERFORM),
        FIXTURE_TEST(stock_rolls_back_what_it_left, ON_OS_PERFORM),
        FIXTURE_TEST(rolls_back_its_own, ON_OS_PERFORM),
        FIXTURE_TEST(recovers_two_files_of_stock, ON_OS_PERFORM),
        FIXTURE_TEST(stock_recovers_its_two_files, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("sqlite-journal", tests);
}
