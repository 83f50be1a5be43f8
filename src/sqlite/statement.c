/* Running SQL: parameters in, results and errors out. Which thread does that, and between which
 * BEGIN and COMMIT, is for others. */
#include "sqlite/db.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- Errors ---- */

static void report(epio_op *op, int code, int offset, const char *message)
{
    op->arguments.words[EPIO__WORD_CODE] = (uint64_t)code;
    epio_db_error *error = epio__db_word_pointer(op, EPIO__WORD_REPORT);
    if (error != NULL) {
        error->code = code;
        error->offset = offset;
        (void)snprintf(error->message, sizeof error->message, "%s", message);
    }
}

int64_t epio__db_refuse(epio_op *op, const char *reason)
{
    report(op, SQLITE_MISUSE, -1, reason);
    return EPIO_EINVAL;
}

/* Later, as another program has the lock; or not at all, if that has lasted for long. */
static int64_t retry(epio_op *op)
{
    uint64_t now = epio_clock_monotonic();
    uint64_t *since = &op->arguments.words[EPIO__WORD_SINCE];
    if (*since == 0) {
        *since = now;
    }
    uint64_t waited = now - *since;
    if (op->timeout_ns == 0 && waited >= EPIO__DB_BUSY_LIMIT) {
        return EPIO_EBUSY;
    }
    uint64_t pause = waited / 4 + UINT64_C(500000);
    op->due = now + (pause < UINT64_C(20000000) ? pause : UINT64_C(20000000));
    return EPIO_RETRY;
}

static int offset_of(sqlite3 *handle)
{
#if SQLITE_VERSION_NUMBER >= 3038000
    return sqlite3_error_offset(handle);
#else
    (void)handle;
    return -1;
#endif
}

static void count(epio__db_connection *connection, int64_t result, bool busy)
{
    epio_db_stats *stats = &connection->root->stats;
    epio__db_lock(connection->root);
    stats->busy += busy && connection->role != EPIO__DB_CHECKPOINTER; /* there it may be a reader */
    stats->interrupted += result == EPIO_ECANCELED || result == EPIO_ETIMEDOUT;
    stats->failed += result == EPIO_ESQL || result == EPIO_ECORRUPT;
    epio__db_unlock(connection->root);
}

/* The extended code, if the handle is still at this error. */
static int extend(sqlite3 *handle, int code, bool *has_message)
{
    *has_message = handle != NULL && (sqlite3_errcode(handle) & 0xFF) == (code & 0xFF);
    return *has_message ? sqlite3_extended_errcode(handle) : code;
}

static int64_t translate(sqlite3 *handle, epio_op *op, int extended)
{
    int64_t result = epio_sqlite_error(extended);
    int primary = extended & 0xFF;
    if (handle != NULL && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN)) {
        op->os_error = sqlite3_system_errno(handle);
        int of_system = epio_error_from_os(op->os_error);
        result = of_system != 0 && of_system != EPIO_EUNKNOWN ? of_system : result;
    }
    return result;
}

int64_t epio__db_translate(epio__db_connection *connection, sqlite3 *handle, epio_op *op, int code)
{
    bool has_message;
    int64_t result = translate(handle, op, extend(handle, code, &has_message));
    count(connection, result, (code & 0xFF) == SQLITE_BUSY);
    return result;
}

int64_t epio__db_result(epio__db_connection *connection, epio_op *op, int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
        return 0;
    }
    sqlite3 *handle = connection->handle;
    bool has_message;
    int extended = extend(handle, code, &has_message);
    report(op, extended, has_message ? offset_of(handle) : -1,
           has_message ? sqlite3_errmsg(handle) : sqlite3_errstr(code));
    int64_t result = translate(handle, op, extended);
    if (result == EPIO_ECANCELED && connection->deadline != 0 &&
        epio_clock_monotonic() >= connection->deadline) {
        result = EPIO_ETIMEDOUT;
    }
    bool busy = (extended & 0xFF) == SQLITE_BUSY;
    if (busy && !connection->in_function) {
        result = atomic_load(&connection->interrupted) ? EPIO_ECANCELED : retry(op);
    }
    count(connection, result, busy);
    return result;
}

/* ---- Which statements there are ---- */

/* What SQLite takes for space, a byte order mark included, and ends of statements: the number of
 * bytes, 0 if there is none. */
static size_t space_len(const char *sql)
{
    size_t len = strspn(sql, " \t\n\f\r;");
    if (len != 0) {
        return len;
    }
    if (sql[0] == '-' && sql[1] == '-') {
        return strcspn(sql, "\n");
    }
    if (sql[0] == '/' && sql[1] == '*' && sql[2] != '\0') {
        const char *end = strstr(sql + 3, "*/");
        return end != NULL ? (size_t)(end + 2 - sql) : strlen(sql);
    }
    return strncmp(sql, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

static const char *skip_space(const char *sql)
{
    for (size_t len; (len = space_len(sql)) != 0; sql += len) {
    }
    return sql;
}

/* The first word of the SQL, comments left out, in capitals; "" if something else is there. */
static void first_word(const char *sql, char word[16])
{
    sql = skip_space(sql);
    size_t len = 0;
    while (len < 15 && isalpha((unsigned char)sql[len])) {
        word[len] = (char)toupper((unsigned char)sql[len]);
        len++;
    }
    word[len] = '\0';
}

static bool is_one_of(const char *sql, const char *const *words, size_t number)
{
    char word[16];
    first_word(sql, word);
    for (size_t i = 0; i < number; i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool epio__db_sql_is_transaction(const char *sql)
{
    static const char *const words[] = {"BEGIN",    "COMMIT",    "END",
                                        "ROLLBACK", "SAVEPOINT", "RELEASE"};
    return is_one_of(sql, words, sizeof words / sizeof words[0]);
}

bool epio__db_sql_is_pragma(const char *sql)
{
    static const char *const words[] = {"PRAGMA"};
    return is_one_of(sql, words, 1);
}

bool epio__db_sql_can_share(const char *sql)
{
    static const char *const words[] = {"INSERT", "REPLACE", "UPDATE", "DELETE",
                                        "WITH",   "CREATE",  "DROP",   "ALTER"};
    return is_one_of(sql, words, sizeof words / sizeof words[0]);
}

/* ---- Parameters ---- */

static int bind_one(sqlite3_stmt *statement, int index, const epio_value *value, bool copy)
{
    sqlite3_destructor_type life = copy ? SQLITE_TRANSIENT : SQLITE_STATIC;
    switch (value->type) {
    case EPIO_VALUE_NULL:
        return sqlite3_bind_null(statement, index);
    case EPIO_VALUE_INTEGER:
        return sqlite3_bind_int64(statement, index, value->is.integer);
    case EPIO_VALUE_REAL:
        return sqlite3_bind_double(statement, index, value->is.real);
    case EPIO_VALUE_TEXT: /* a NULL would be an SQL NULL */
        return sqlite3_bind_text64(statement, index,
                                   value->is.text != NULL || value->len != 0 ? value->is.text : "",
                                   value->len, life, SQLITE_UTF8);
    case EPIO_VALUE_BLOB:
        return value->len == 0
                   ? sqlite3_bind_zeroblob(statement, index, 0)
                   : sqlite3_bind_blob64(statement, index, value->is.blob, value->len, life);
    default:
        return SQLITE_MISUSE;
    }
}

int64_t epio__db_bind(epio__db_connection *connection, epio_op *op, sqlite3_stmt *statement,
                      const epio_parameters *parameters, bool copy)
{
    if (parameters == NULL) {
        return 0;
    }
    if (parameters->size < sizeof *parameters) {
        return epio__db_refuse(op, "the parameters' size is not sizeof(epio_parameters)");
    }
    for (size_t i = 0; i < parameters->count; i++) {
        int index = (int)i + 1;
        if (parameters->names != NULL) {
            index = sqlite3_bind_parameter_index(statement, parameters->names[i]);
        }
        if (index == 0 || index > sqlite3_bind_parameter_count(statement)) {
            return epio__db_refuse(op, parameters->names != NULL
                                           ? "the statement has no parameter of that name"
                                           : "more values than the statement has parameters");
        }
        const epio_value *value = &parameters->values[i];
        if (value->type > EPIO_VALUE_BLOB) {
            return epio__db_refuse(op, "unknown type of a value");
        }
        if (value->type >= EPIO_VALUE_TEXT && value->is.blob == NULL && value->len != 0) {
            return epio__db_refuse(op, "a text or blob is NULL, but has a length");
        }
        int code = bind_one(statement, index, value, copy);
        if (code != SQLITE_OK) {
            return epio__db_result(connection, op, code);
        }
    }
    return 0;
}

/* ---- Running ---- */

int epio__db_run(epio__db_connection *connection, const char *sql)
{
    sqlite3_stmt *statement;
    const char *tail;
    int code = epio__db_statement_take(connection, sql, &statement, &tail);
    if (code != SQLITE_OK || statement == NULL) {
        return code;
    }
    do {
        code = sqlite3_step(statement);
    } while (code == SQLITE_ROW);
    epio__db_statement_return(connection, statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* To its end, rows dropped: how many rows it changed, or the op's result. */
static int64_t step_to_end(epio__db_connection *connection, epio_op *op, sqlite3_stmt *statement)
{
    int64_t before = sqlite3_total_changes64(connection->handle);
    int code;
    do {
        code = sqlite3_step(statement);
    } while (code == SQLITE_ROW);
    connection->ran++;
    int64_t result = epio__db_result(connection, op, code);
    /* The count of changes stays at that of the last statement that made any. */
    bool changed = sqlite3_total_changes64(connection->handle) != before;
    return result == 0 && changed ? sqlite3_changes64(connection->handle) : result;
}

bool epio__db_sql_is_blank(const char *sql)
{
    return *skip_space(sql) == '\0';
}

bool epio__db_sql_is_one(const char *sql)
{
    const char *end = strchr(sql, ';');
    return end == NULL || epio__db_sql_is_blank(end);
}

/* One statement of several, or the only one; *sql is behind it afterwards. */
static int64_t run_one(epio__db_connection *connection, epio_op *op, const char **sql,
                       const epio_parameters *parameters)
{
    const char *begun = *sql;
    sqlite3_stmt *statement;
    const char *tail;
    if (epio__db_sql_is_transaction(begun)) {
        return epio__db_refuse(op, "transactions are begun by epio_db_begin");
    }
    int code = epio__db_statement_take(connection, *sql, &statement, &tail);
    if (code != SQLITE_OK) {
        return epio__db_result(connection, op, code);
    }
    *sql = tail;
    if (statement == NULL) {
        return 0;
    }
    int64_t result = epio__db_bind(connection, op, statement, parameters, false);
    if (result == 0) {
        result = step_to_end(connection, op, statement);
    }
    epio__db_statement_return(connection, statement);
    if (epio__db_sql_is_pragma(begun)) {
        epio__db_connection_set_hooks(connection);
    }
    return result;
}

/* SQLite counts from the beginning of the statement. */
static void move_offset(epio_op *op, size_t len)
{
    epio_db_error *error = epio__db_word_pointer(op, EPIO__WORD_REPORT);
    if (error != NULL && error->offset >= 0) {
        error->offset += (int32_t)len;
    }
}

int64_t epio__db_statements(epio__db_connection *connection, epio_op *op)
{
    const char *sql = epio__db_word_pointer(op, EPIO__WORD_FIRST);
    const epio_parameters *parameters = epio__db_word_pointer(op, EPIO__WORD_FIRST + 1);
    const char *all = sql;
    int64_t changed = 0;
    while (!epio__db_sql_is_blank(sql)) {
        const char *from = sql;
        int64_t result = run_one(connection, op, &sql, parameters);
        if (result < 0) {
            move_offset(op, (size_t)(from - all));
            return result;
        }
        changed += result;
        if (parameters != NULL && !epio__db_sql_is_blank(sql)) {
            return epio__db_refuse(op, "parameters are for one statement");
        }
    }
    return changed;
}

int64_t epio__db_execute(epio__db_connection *connection, epio_op *op)
{
    const char *sql = epio__db_word_pointer(op, EPIO__WORD_FIRST);
    if (epio__db_sql_is_blank(sql)) {
        return epio__db_refuse(op, "no statement");
    }
    bool alone = sqlite3_get_autocommit(connection->handle) == 0 || epio__db_sql_is_one(sql);
    int64_t result = alone ? epio__db_statements(connection, op)
                           : epio__db_in_transaction(connection, op, epio__db_statements);
    epio__db_changes_publish(connection);
    return result;
}
