/* The VFS beside SQLite's own of the same system: the same SQL and file controls have the same
 * results, journals have their database's permissions and owner, and a limit of file sizes ends no
 * process. EPIO_TEST_ONCE, and without loops: EPIO_TEST_WITHOUT_LOOP; delayed writes:
 * EPIO_TEST_OVERLAP. */
#include "database.h"

#include <epio/sqlite.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void start(fixture *f)
{
    (void)epio_sqlite_unregister("tested");
    check_result(epio_sqlite_register("tested", f->vfs, databases_flags()), 0);
}

static void end(void)
{
    check_result(epio_sqlite_unregister("tested"), 0);
}

/* ---- Permissions ------------------------------------------------------------------ */

static mode_t mode_of(const char *path)
{
    struct stat status;
    check_result(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static void a_new_database_has_the_modes_of_stock(fixture *f)
{
    start(f);
    static const mode_t masks[] = {022, 077, 0};
    for (size_t i = 0; i < 3; i++) {
        char name[16];
        mode_t before = umask(masks[i]);
        (void)snprintf(name, sizeof name, "ours%u", (unsigned)i);
        const char *ours = fixture_path(f, name);
        (void)snprintf(name, sizeof name, "stock%u", (unsigned)i);
        const char *stock = fixture_path(f, name);
        sqlite3 *one = database_open("tested", ours);
        sqlite3 *two = database_open(NULL, stock);
        (void)umask(before);
        check_result(mode_of(ours), mode_of(stock));
        database_close(one);
        database_close(two);
    }
    end();
}

static void a_journal_has_its_database_s_permissions(fixture *f)
{
    static const mode_t modes[] = {0664, 0600, 0644, 0666};
    start(f);
    mode_t before = umask(077);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "db-%u", (unsigned)i);
        const char *path = fixture_path(f, name);
        sqlite3 *db = database_open("tested", path);
        database_run(db, "CREATE TABLE t(a)");
        check_result(chmod(path, modes[i]), 0);
        database_run(db, "PRAGMA journal_mode=PERSIST; INSERT INTO t VALUES(1)");
        (void)snprintf(name, sizeof name, "db-%u-journal", (unsigned)i);
        check_result(mode_of(fixture_path(f, name)), modes[i]);
        database_close(db);
    }
    (void)umask(before);
    end();
}

static void a_journal_has_its_database_s_owner(fixture *f)
{
    struct stat status;
    if (geteuid() != 0) {
        fixture_skip(f, "only root gives files away");
    }
    start(f);
    const char *path = fixture_path(f, "db");
    sqlite3 *db = database_open("tested", path);
    database_run(db, "CREATE TABLE t(a)");
    check_result(chown(path, 1234, 2345), 0);
    database_run(db, "PRAGMA journal_mode=PERSIST; INSERT INTO t VALUES(1)");
    check_result(stat(fixture_path(f, "db-journal"), &status), 0);
    check_result(status.st_uid, 1234);
    check_result(status.st_gid, 2345);
    database_close(db);
    end();
}

static void modeof_names_the_model(fixture *f)
{
    char uri[1400];
    start(f);
    fixture_put(f, "model", "x", 1);
    check_result(chmod(fixture_path(f, "model"), 0606), 0);
    (void)snprintf(uri, sizeof uri, "file:%s?modeof=%s", fixture_path(f, "db"),
                   fixture_path(f, "model"));
    sqlite3 *db = database_open("tested", uri);
    database_run(db, "CREATE TABLE t(a)");
    check_result(mode_of(fixture_path(f, "db")), 0606);
    database_close(db);
    end();
}

/* ---- Side by side -------------------------------------------------------------------- */

typedef struct pair {
    sqlite3 *ours;
    sqlite3 *stock;
} pair;

static void open_pair(fixture *f, pair *both, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s.ours", name);
    both->ours = database_open("tested", fixture_path(f, path));
    (void)snprintf(path, sizeof path, "%s.stock", name);
    both->stock = database_open(NULL, fixture_path(f, path));
}

static void close_pair(pair *both)
{
    database_close(both->ours);
    database_close(both->stock);
}

static int append_row(void *text, int columns, char **values, char **names)
{
    char *at = text;
    (void)names;
    for (int i = 0; i < columns; i++) {
        size_t used = strlen(at);
        (void)snprintf(at + used, 20000 - used, "%s|", values[i] != NULL ? values[i] : "NULL");
    }
    return 0;
}

/* Both have the same code and the same rows. */
static void same_sql(pair *both, const char *statements)
{
    static char ours[20000];
    static char stock[20000];
    ours[0] = '\0';
    stock[0] = '\0';
    int code = sqlite3_exec(both->stock, statements, append_row, stock, NULL);
    check_result(sqlite3_exec(both->ours, statements, append_row, ours, NULL), code);
    if (strcmp(ours, stock) != 0) {
        print_error("%s:\n%s\n%s\n", statements, ours, stock);
    }
    check(strcmp(ours, stock) == 0);
}

static const char fill[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
    "INSERT INTO t SELECT i, printf('%0200d', i) FROM n";

static void the_same_sql_has_the_same_results(fixture *f)
{
    static const char *const statements[] = {
        "PRAGMA journal_mode",
        "PRAGMA page_size; PRAGMA auto_vacuum; PRAGMA synchronous; PRAGMA locking_mode",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b)",
        fill,
        "PRAGMA page_count; PRAGMA freelist_count",
        "BEGIN; DELETE FROM t WHERE a % 3; SAVEPOINT s; UPDATE t SET b = 1; ROLLBACK TO s; COMMIT",
        "SELECT count(*), sum(a), max(b) FROM t",
        "PRAGMA mmap_size=1000000",
        "SELECT sum(length(b)) FROM t",
        "PRAGMA mmap_size=99999999999999",
        "PRAGMA mmap_size=-1; PRAGMA mmap_size",
        "PRAGMA mmap_size=0",
        "PRAGMA journal_mode=TRUNCATE; UPDATE t SET b = a",
        "PRAGMA journal_mode=PERSIST; UPDATE t SET b = -a",
        "PRAGMA journal_size_limit=1000; UPDATE t SET b = 2 * a",
        "PRAGMA journal_mode=MEMORY; UPDATE t SET b = 3 * a",
        "PRAGMA journal_mode=DELETE; VACUUM; PRAGMA page_count",
        "PRAGMA auto_vacuum=1; VACUUM; DELETE FROM t WHERE a < 2000; PRAGMA page_count",
        "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(1, 1); SELECT count(*) FROM t",
        "PRAGMA locking_mode=NORMAL; SELECT count(*) FROM t",
        "INSERT INTO t VALUES(1, 1)",
        "SELECT * FROM missing",
        "PRAGMA integrity_check",
    };
    pair both;
    start(f);
    open_pair(f, &both, "db");
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        same_sql(&both, statements[i]);
    }
    close_pair(&both);
    end();
}

static void same_control(pair *both, int code, int64_t value)
{
    int64_t ours = value;
    int64_t stock = value;
    int expected = sqlite3_file_control(both->stock, "main", code, &stock);
    check_result(sqlite3_file_control(both->ours, "main", code, &ours), expected);
    check_result(ours, stock);
}

static void the_same_controls_have_the_same_results(fixture *f)
{
    static const struct {
        int code;
        int64_t value;
    } controls[] = {
        {SQLITE_FCNTL_LOCKSTATE, 0},
        {SQLITE_FCNTL_LAST_ERRNO, 0},
        {SQLITE_FCNTL_HAS_MOVED, 0},
        {SQLITE_FCNTL_PERSIST_WAL, 0xFFFFFFFF},
        {SQLITE_FCNTL_PERSIST_WAL, 1},
        {SQLITE_FCNTL_PERSIST_WAL, 0xFFFFFFFF},
        {SQLITE_FCNTL_PERSIST_WAL, 0},
        {SQLITE_FCNTL_POWERSAFE_OVERWRITE, 0xFFFFFFFF},
        {SQLITE_FCNTL_POWERSAFE_OVERWRITE, 0},
        {SQLITE_FCNTL_POWERSAFE_OVERWRITE, 0xFFFFFFFF},
        {SQLITE_FCNTL_CHUNK_SIZE, 32768},
        {SQLITE_FCNTL_SIZE_HINT, 100000},
        {SQLITE_FCNTL_MMAP_SIZE, 1000000},
        {SQLITE_FCNTL_SIZE_HINT, 300000},
        {SQLITE_FCNTL_MMAP_SIZE, -1},
        {SQLITE_FCNTL_WIN32_GET_HANDLE, 0},
        {SQLITE_FCNTL_WIN32_AV_RETRY, 0},
        {SQLITE_FCNTL_SYNC_OMITTED, 0},
        {SQLITE_FCNTL_CKPT_DONE, 0},
        {SQLITE_FCNTL_BEGIN_ATOMIC_WRITE, 0},
        {SQLITE_FCNTL_ROLLBACK_ATOMIC_WRITE, 0},
        {9999, 0},
    };
    static const char *const states[] = {"SELECT 1", "BEGIN; SELECT * FROM t",
                                         "COMMIT; BEGIN IMMEDIATE",
                                         "INSERT INTO t VALUES(1); COMMIT; BEGIN EXCLUSIVE"};
    pair both;
    sqlite3_int64 ours = 0;
    sqlite3_int64 stock = 0;
    start(f);
    open_pair(f, &both, "db");
    same_sql(&both, "CREATE TABLE t(a)");
    for (size_t state = 0; state < sizeof states / sizeof states[0]; state++) {
        same_sql(&both, states[state]);
        for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++) {
            same_control(&both, controls[i].code, controls[i].value);
        }
    }
    same_sql(&both, "COMMIT");
    sqlite3_file *one = database_file(both.ours);
    sqlite3_file *two = database_file(both.stock);
    check_result(one->pMethods->xFileSize(one, &ours), SQLITE_OK);
    check_result(two->pMethods->xFileSize(two, &stock), SQLITE_OK);
    check_result(ours, stock);
    check_result(one->pMethods->xSectorSize(one), two->pMethods->xSectorSize(two));
    close_pair(&both);
    end();
}

/* ---- Paths and limits ------------------------------------------------------------------ */

static void paths_are_those_of_stock(fixture *f)
{
    static const char *const names[] = {"db", "link", "sub/../db", "sub/db", "./db", "dirlink/db"};
    char ours[4096];
    char stock[4096];
    start(f);
    sqlite3_vfs *one = sqlite3_vfs_find("tested");
    sqlite3_vfs *two = sqlite3_vfs_find(NULL);
    fixture_put(f, "db", "x", 1);
    fixture_make_directory(f, "sub");
    check_result(symlink("db", fixture_path(f, "link")), 0);
    check_result(symlink("sub", fixture_path(f, "dirlink")), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = fixture_path(f, names[i]);
        int code = two->xFullPathname(two, path, 512, stock);
        check_result(one->xFullPathname(one, path, 512, ours), code);
        check(strcmp(ours, stock) == 0);
    }
    end();
}

static void a_link_is_no_journal(fixture *f)
{
    start(f);
    sqlite3 *db = database_open("tested", fixture_path(f, "db"));
    check_result(symlink("victim", fixture_path(f, "db-journal")), 0);
    check(database_try(db, "CREATE TABLE t(a)") != SQLITE_OK);
    check_result(fixture_exists(f, "victim"), 0);
    database_close(db);
    end();
}

static void an_empty_journal_does_not_exist(fixture *f)
{
    int ours = 9;
    start(f);
    sqlite3_vfs *vfs = sqlite3_vfs_find("tested");
    fixture_put(f, "empty", "", 0);
    fixture_put(f, "full", "x", 1);
    check_result(vfs->xAccess(vfs, fixture_path(f, "empty"), SQLITE_ACCESS_EXISTS, &ours), 0);
    check_result(ours, 0);
    check_result(vfs->xAccess(vfs, fixture_path(f, "full"), SQLITE_ACCESS_EXISTS, &ours), 0);
    check_result(ours, 1);
    check_result(vfs->xAccess(vfs, f->directory, SQLITE_ACCESS_EXISTS, &ours), 0);
    check_result(ours, 1);
    check_result(vfs->xAccess(vfs, fixture_path(f, "full"), SQLITE_ACCESS_READWRITE, &ours), 0);
    check_result(ours, 1);
    check_result(vfs->xDelete(vfs, fixture_path(f, "none"), 1), SQLITE_IOERR_DELETE_NOENT);
    check_result(vfs->xDelete(vfs, fixture_path(f, "full"), 1), SQLITE_OK);
    check_result(fixture_exists(f, "full"), 0);
    end();
}

static void fill_up(const char *argument)
{
    struct rlimit limit = {60000, 60000};
    check_result(epio_sqlite_register("tested", epio_os_vfs(), databases_flags()), 0);
    sqlite3 *db = database_open("tested", argument);
    database_run(db, "CREATE TABLE t(a)");
    check_result(setrlimit(RLIMIT_FSIZE, &limit), 0);
    /* Stock would be ended by the signal. */
    check_result(database_try(db, "INSERT INTO t VALUES(randomblob(100000))"), SQLITE_IOERR_WRITE);
    database_run(db, "INSERT INTO t VALUES(randomblob(1000))");
    check_text(db, "SELECT count(*) FROM t", "1");
    check_text(db, "PRAGMA integrity_check", "ok");
    database_close(db);
}

static void a_limit_of_file_sizes_is_an_error(fixture *f)
{
    check_result(run_in_child(fill_up, fixture_path(f, "db")), 0);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(fill_up)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_new_database_has_the_modes_of_stock, ON_OS_PERFORM),
        FIXTURE_TEST(a_journal_has_its_database_s_permissions, ON_OS_PERFORM),
        FIXTURE_TEST(a_journal_has_its_database_s_owner, ON_OS_PERFORM),
        FIXTURE_TEST(modeof_names_the_model, ON_OS_PERFORM),
        FIXTURE_TEST(the_same_sql_has_the_same_results, ON_OS_PERFORM | ON_MEMORY_PERFORM),
        FIXTURE_TEST(the_same_controls_have_the_same_results, ON_OS_PERFORM),
        FIXTURE_TEST(paths_are_those_of_stock, ON_OS_PERFORM),
        FIXTURE_TEST(a_link_is_no_journal, ON_OS_PERFORM),
        FIXTURE_TEST(an_empty_journal_does_not_exist, ON_OS_PERFORM),
        FIXTURE_TEST(a_limit_of_file_sizes_is_an_error, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("sqlite-vfs-posix", tests);
}
