/* Prepared statements of one connection, kept for their next use. One that is taken is the taker's
 * alone: the same SQL is prepared once more for a second. */
#include "sqlite/db.h"

#include <stdlib.h>
#include <string.h>

struct epio__db_statement {
    epio__db_statement *next;
    sqlite3_stmt *prepared;
    uint64_t used; /* the count of uses when it was last taken */
    uint32_t hash; /* of its text */
    size_t len;
    bool taken;
    bool kept; /* for its next use */
};

/* FNV-1a. */
static uint32_t hash_of(const char *sql, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (uint8_t)sql[i]) * 16777619u;
    }
    return hash;
}

/* The one used longest ago, if there are too many that nobody has. */
static void drop_oldest(epio__db_connection *connection)
{
    epio__db_statement **oldest = NULL;
    uint32_t count = 0;
    for (epio__db_statement **at = &connection->statements; *at != NULL; at = &(*at)->next) {
        if (!(*at)->taken) {
            count++;
            oldest = oldest == NULL || (*at)->used < (*oldest)->used ? at : oldest;
        }
    }
    if (count > connection->root->options.cached_statements) {
        epio__db_statement *dropped = *oldest;
        *oldest = dropped->next;
        sqlite3_finalize(dropped->prepared);
        free(dropped);
    }
}

int epio__db_statement_take(epio__db_connection *connection, const char *sql,
                            sqlite3_stmt **statement, const char **tail)
{
    /* One of a script is seldom run again; to look for it would be to look at all of the script. */
    bool keep = epio__db_sql_is_one(sql);
    size_t len = keep ? strlen(sql) : 0;
    uint32_t hash = hash_of(sql, len);
    for (epio__db_statement *one = keep ? connection->statements : NULL; one != NULL;
         one = one->next) {
        if (!one->taken && one->hash == hash && one->len == len &&
            strcmp(sqlite3_sql(one->prepared), sql) == 0) {
            one->taken = true;
            one->used = ++connection->statement_uses;
            *statement = one->prepared;
            *tail = sql + len;
            connection->cache_hits++;
            return SQLITE_OK;
        }
    }
    *statement = NULL;
    int code =
        sqlite3_prepare_v3(connection->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, tail);
    if (code != SQLITE_OK || *statement == NULL) {
        return code;
    }
    epio__db_statement *one = calloc(1, sizeof *one);
    if (one == NULL) {
        sqlite3_finalize(*statement);
        *statement = NULL;
        return SQLITE_NOMEM;
    }
    *one = (epio__db_statement){.next = connection->statements,
                                .prepared = *statement,
                                .used = ++connection->statement_uses,
                                .hash = hash,
                                .len = len,
                                .taken = true,
                                .kept = keep};
    connection->statements = one;
    return SQLITE_OK;
}

void epio__db_statement_return(epio__db_connection *connection, sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    epio__db_statement **at = &connection->statements;
    while ((*at)->prepared != statement) {
        at = &(*at)->next;
    }
    epio__db_statement *one = *at;
    one->taken = false;
    if (!one->kept) {
        *at = one->next;
        sqlite3_finalize(one->prepared);
        free(one);
        return;
    }
    drop_oldest(connection);
}

void epio__db_statements_free(epio__db_connection *connection)
{
    while (connection->statements != NULL) {
        epio__db_statement *one = connection->statements;
        connection->statements = one->next;
        sqlite3_finalize(one->prepared);
        free(one);
    }
}
