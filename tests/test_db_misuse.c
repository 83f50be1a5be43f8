/* What the functions of epio/db.h do with NULL and with what was not ended: an abort that names the
 * function, where no result can say it. Independent of the backend: EPIO_TEST_ONCE.
 * tests/check_symbols.sh looks for each function of the header in these tables. */
#include "support.h"

#include <epio/db.h>
#include <stdlib.h>
#include <string.h>

/* What a child has. */
typedef struct context {
    epio_op op;
    epio_vfs *vfs;
    epio_db *db;
} context;

static void destroy_open(context *c)
{
    (void)epio_perform(epio_db_open(&c->op, c->db));
    epio_db_destroy(c->db);
}

#define NULL_ABORTS(X)                                                                             \
    X("epio_db_open", (void)epio_db_open(NULL, c->db))                                             \
    X("epio_db_close", (void)epio_db_close(NULL, c->db, 0))                                        \
    X("epio_db_execute", (void)epio_db_execute(NULL, c->db, "x", NULL))                            \
    X("epio_db_query", (void)epio_db_query(NULL, c->db, NULL, "x", NULL))                          \
    X("epio_db_next", (void)epio_db_next(NULL, NULL, 1))                                           \
    X("epio_db_end", (void)epio_db_end(NULL, NULL))                                                \
    X("epio_db_begin", (void)epio_db_begin(NULL, c->db, NULL, 0))                                  \
    X("epio_db_commit", (void)epio_db_commit(NULL, c->db))                                         \
    X("epio_db_rollback", (void)epio_db_rollback(NULL, c->db))                                     \
    X("epio_db_transaction", (void)epio_db_transaction(NULL, c->db, NULL, 0))                      \
    X("epio_db_checkpoint", (void)epio_db_checkpoint(NULL, c->db, 0))                              \
    X("epio_db_backup", (void)epio_db_backup(NULL, c->db, "x", 0))                                 \
    X("epio_db_open_blob", (void)epio_db_open_blob(NULL, c->db, "x", "x", 1, 0))                   \
    X("epio_db_changes", (void)epio_db_changes(NULL, c->db, NULL, 0))                              \
    X("epio_db_report", (void)epio_db_report(NULL, NULL))                                          \
    X("epio_db_report", (void)epio_db_report(epio_db_open(&c->op, c->db), &(epio_db_error){0}))    \
    X("epio_db_error_code", (void)epio_db_error_code(NULL))                                        \
    X("epio_rows_count", (void)epio_rows_count(NULL))                                              \
    X("epio_rows_columns", (void)epio_rows_columns(NULL))                                          \
    X("epio_rows_name", (void)epio_rows_name(NULL, 0))                                             \
    X("epio_rows_value", (void)epio_rows_value(NULL, 0, 0))                                        \
    X("epio_db_destroy", destroy_open(c))

/* The verbs on NULL, and with NULL. */
#define NULL_REFUSED(X)                                                                            \
    X(epio_perform(epio_db_open(&c->op, NULL)))                                                    \
    X(epio_perform(epio_db_close(&c->op, NULL, 0)))                                                \
    X(epio_perform(epio_db_execute(&c->op, NULL, "x", NULL)))                                      \
    X(epio_perform(epio_db_execute(&c->op, c->db, NULL, NULL)))                                    \
    X(epio_perform(epio_db_query(&c->op, NULL, NULL, "x", NULL)))                                  \
    X(epio_perform(epio_db_query(&c->op, c->db, NULL, "x", NULL)))                                 \
    X(epio_perform(epio_db_next(&c->op, NULL, 1)))                                                 \
    X(epio_perform(epio_db_end(&c->op, NULL)))                                                     \
    X(epio_perform(epio_db_begin(&c->op, NULL, NULL, 0)))                                          \
    X(epio_perform(epio_db_begin(&c->op, c->db, NULL, 0)))                                         \
    X(epio_perform(epio_db_commit(&c->op, NULL)))                                                  \
    X(epio_perform(epio_db_commit(&c->op, c->db)))                                                 \
    X(epio_perform(epio_db_rollback(&c->op, NULL)))                                                \
    X(epio_perform(epio_db_rollback(&c->op, c->db)))                                               \
    X(epio_perform(epio_db_transaction(&c->op, NULL, NULL, 0)))                                    \
    X(epio_perform(epio_db_transaction(&c->op, c->db, NULL, 0)))                                   \
    X(epio_perform(epio_db_checkpoint(&c->op, NULL, 0)))                                           \
    X(epio_perform(epio_db_checkpoint(&c->op, c->db, 3)))                                          \
    X(epio_perform(epio_db_backup(&c->op, NULL, "x", 0)))                                          \
    X(epio_perform(epio_db_backup(&c->op, c->db, NULL, 0)))                                        \
    X(epio_perform(epio_db_backup(&c->op, c->db, "x", 2)))                                         \
    X(epio_perform(epio_db_open_blob(&c->op, NULL, "x", "x", 1, 1)))                               \
    X(epio_perform(epio_db_open_blob(&c->op, c->db, NULL, "x", 1, 1)))                             \
    X(epio_perform(epio_db_open_blob(&c->op, c->db, "x", "x", 1, 0)))                              \
    X(epio_perform(epio_db_changes(&c->op, NULL, NULL, 1)))                                        \
    X(epio_perform(epio_db_changes(&c->op, c->db, NULL, 1)))                                       \
    X(epio_db_create(NULL, c->vfs, "x", NULL))                                                     \
    X(epio_db_get_stats(NULL, NULL))                                                               \
    X(epio_db_get_stats(c->db, NULL))

/* Nothing is to be done. */
#define NULL_ALLOWED(X) X(epio_db_destroy(NULL))

#define COUNT_ONE(...) +1
#define ABORT_COUNT (0 NULL_ABORTS(COUNT_ONE))

static const char *const names[] = {
#define NAME_OF(name, call) name,
    NULL_ABORTS(NAME_OF)};

static void make(context *c)
{
    memset(c, 0, sizeof *c);
    check_result(epio_memory_vfs_create(&c->vfs, NULL), 0);
    check_result(epio_db_create(&c->db, c->vfs, "db", NULL), 0);
}

static void misuse(const char *argument)
{
    context made;
    context *c = &made;
    make(c);
    int wanted = atoi(argument);
    int number = 0;
#define CALL(name, call)                                                                           \
    if (number++ == wanted) {                                                                      \
        call;                                                                                      \
    }
    NULL_ABORTS(CALL)
}

static void misuse_aborts(fixture *f)
{
    (void)f;
    for (int i = 0; i < ABORT_COUNT; i++) {
        char text[4096];
        char number[16];
        child process;
        size_t len = 0;
        int64_t got;
        (void)snprintf(number, sizeof number, "%d", i);
        child_start(&process, misuse, number, CHILD_STDERR);
        while (len < sizeof text - 1 &&
               (got = pipe_read(process.errors, text + len, sizeof text - 1 - len)) > 0) {
            len += (size_t)got;
        }
        text[len] = '\0';
        int status = child_end(&process);
        char start[100];
        (void)snprintf(start, sizeof start, "epio: %s: ", names[i]);
        if (status != ENDED_BY_ABORT || strstr(text, start) == NULL) {
            print_error("%s: status %x, said: %s\n", names[i], (unsigned)status, text);
        }
        check_result(status, ENDED_BY_ABORT);
        check(strstr(text, start) != NULL);
    }
}

static void null_is_refused(fixture *f)
{
    (void)f;
    context made;
    context *c = &made;
    make(c);
    check_result(epio_perform(epio_db_open(&c->op, c->db)), 0);
#define CHECK_REFUSED(call) check_result(call, EPIO_EINVAL);
    NULL_REFUSED(CHECK_REFUSED)
    check_result(epio_perform(epio_db_close(&c->op, c->db, 0)), 0);
    epio_db_destroy(c->db);
#define CALL_IT(call) call;
    NULL_ALLOWED(CALL_IT)
    epio_vfs_destroy(c->vfs);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(misuse)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(misuse_aborts, ON_OS_PERFORM),
        FIXTURE_TEST(null_is_refused, ON_OS_PERFORM),
    };
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("db_misuse", tests);
}
