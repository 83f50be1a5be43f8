/* Databases: making and freeing them, what they are as a VFS, and whether an op was given what it
 * needs. */
#include "sqlite/db_queue.h"
#include "sqlite/vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- As a VFS ---- */

static const epio_vfs_methods methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "db",
    .submit = epio__db_submit,
    .perform = epio__db_perform,
    .cancel = epio__db_cancel,
};

/* ---- What an op was given ---- */

static const char *check_execute(const epio_op *op)
{
    return epio__db_word_pointer(op, EPIO__WORD_FIRST) == NULL ? "the SQL is NULL" : NULL;
}

static const char *check_mode(const epio_op *op, const epio_db *db)
{
    uint64_t mode = op->arguments.words[EPIO__WORD_FIRST + 1];
    if (mode > EPIO_DB_SNAPSHOT) {
        return "unknown mode";
    }
    bool reads = db->outer != NULL && db->mode == EPIO_DB_SNAPSHOT;
    return reads && mode == EPIO_DB_WRITE ? "a WRITE cannot begin in a SNAPSHOT" : NULL;
}

static const char *check_parts(const epio_op *op, const epio_db *db)
{
    const void *first = epio__db_word_pointer(op, EPIO__WORD_FIRST);
    switch (op->kind) {
    case EPIO__DB_EXECUTE:
        return check_execute(op);
    case EPIO__DB_QUERY:
        return epio__db_word_pointer(op, EPIO__WORD_FIRST + 2) == NULL ? "the rows are NULL"
                                                                       : check_execute(op);
    case EPIO__DB_NEXT:
        return first == NULL ? "a batch of no rows" : NULL;
    case EPIO__DB_BEGIN:
    case EPIO__DB_TRANSACTION:
        return first == NULL ? "the transaction, or its function, is NULL" : check_mode(op, db);
    case EPIO__DB_CHECKPOINT:
        return op->arguments.words[EPIO__WORD_FIRST] > EPIO_DB_TRUNCATE ? "unknown mode" : NULL;
    case EPIO__DB_BACKUP:
        return first == NULL || *(const char *)first == '\0' ? "the path is NULL or empty"
               : (op->flags & ~EPIO_DB_COMPACT) != 0         ? "unknown flags"
                                                             : NULL;
    case EPIO__DB_OPEN_BLOB:
        return first == NULL || epio__db_word_pointer(op, EPIO__WORD_FIRST + 1) == NULL
                   ? "the table or the column is NULL"
               : (op->flags & EPIO_OPEN_READ) == 0 ||
                       (op->flags & ~(EPIO_OPEN_READ | EPIO_OPEN_WRITE)) != 0
                   ? "READ, or READ and WRITE, are the flags of a blob"
                   : NULL;
    case EPIO__DB_CHANGES:
        return first == NULL || op->arguments.words[EPIO__WORD_FIRST + 1] == 0
                   ? "no room for changes"
                   : NULL;
    case EPIO__DB_CLOSE:
        return (op->flags & ~EPIO_DB_CANCEL) != 0 ? "unknown flags" : NULL;
    default:
        return NULL;
    }
}

/* Some verbs are about a database, some about a transaction. */
static const char *check_object(const epio_op *op, const epio_db *db)
{
    switch (op->kind) {
    case EPIO__DB_OPEN:
    case EPIO__DB_CLOSE:
    case EPIO__DB_TRANSACTION:
    case EPIO__DB_CHECKPOINT:
    case EPIO__DB_BACKUP:
    case EPIO__DB_CHANGES:
        return db->outer != NULL ? "that is done to a database, not to a transaction" : NULL;
    case EPIO__DB_COMMIT:
    case EPIO__DB_ROLLBACK:
        return db->outer == NULL ? "that is done to a transaction, not to a database" : NULL;
    default:
        return NULL;
    }
}

int64_t epio__db_check(epio_op *op)
{
    if (op->kind < EPIO__DB_OPEN) {
        return 0; /* of a blob's file, which the core has checked */
    }
    if (!epio__db_is_verb(op)) {
        return EPIO_ENOTSUP;
    }
    epio_db_error *error = epio__db_word_pointer(op, EPIO__WORD_REPORT);
    if (error != NULL) {
        error->code = SQLITE_OK;
        error->offset = -1;
        error->message[0] = '\0';
    }
    const char *reason = NULL;
    if (op->kind == EPIO__DB_NEXT || op->kind == EPIO__DB_END) {
        reason = check_parts(op, NULL);
    } else {
        const epio_db *db = epio__db_word_pointer(op, EPIO__WORD_OBJECT);
        epio__db_lock(db->root); /* a savepoint may be ended by what it is in */
        reason = check_object(op, db);
        reason = reason != NULL ? reason : check_parts(op, db);
        epio__db_unlock(db->root);
    }
    return reason != NULL ? epio__db_refuse(op, reason) : 0;
}

/* ---- Making ---- */

static char *copy(const char *text)
{
    size_t len = strlen(text) + 1;
    char *copied = malloc(len);
    if (copied != NULL) {
        memcpy(copied, text, len);
    }
    return copied;
}

/* False: no memory. NULL stays NULL. */
static bool own(const char **text, const char *otherwise)
{
    const char *given = *text != NULL ? *text : otherwise;
    *text = given != NULL ? copy(given) : NULL;
    return given == NULL || *text != NULL;
}

static void free_strings(epio__database *root)
{
    free((void *)(uintptr_t)root->options.journal_mode);
    free((void *)(uintptr_t)root->options.synchronous);
    free((void *)(uintptr_t)root->options.setup);
    free((void *)(uintptr_t)root->options.sqlite_vfs);
    free(root->path);
}

static bool own_strings(epio__database *root, const char *path)
{
    epio_db_options *options = &root->options;
    bool journal_mode = own(&options->journal_mode, "wal");
    bool synchronous = own(&options->synchronous, "full");
    bool setup = own(&options->setup, NULL);
    bool sqlite_vfs = own(&options->sqlite_vfs, root->sqlite_vfs);
    root->path = copy(path);
    return journal_mode && synchronous && setup && sqlite_vfs && root->path != NULL;
}

static void fill_in(epio_db_options *options)
{
    options->readers = options->readers != 0 ? options->readers : 4;
    options->cached_statements = options->cached_statements != 0 ? options->cached_statements : 32;
    if (options->checkpoint_bytes == 0) {
        options->checkpoint_bytes = UINT64_C(4) << 20;
    }
    if (options->reader_idle_ns == 0) {
        options->reader_idle_ns = UINT64_C(10000000000);
    }
    if (options->ahead_bytes == 0) {
        options->ahead_bytes = UINT64_C(1) << 20;
    }
}

static void init_lists(epio__database *root)
{
    epio_node *lists[] = {&root->connections, &root->waiters, &root->writes, &root->reads,
                          &root->checkpoints, &root->changes, &root->parked};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        epio_list_init(lists[i]);
    }
}

/* The VFS that SQLite finds the file by has a name that no other database has. */
static int register_inner(epio__database *root)
{
    if (root->options.sqlite_vfs != NULL) {
        return 0;
    }
    (void)snprintf(root->sqlite_vfs, sizeof root->sqlite_vfs, "epio-db-%p", (void *)root);
    bool overlaps = (root->options.flags & EPIO_DB_OVERLAP) != 0;
    return epio__sqlite_register(root->sqlite_vfs, root->inner,
                                 overlaps ? EPIO_SQLITE_OVERLAP | EPIO__SQLITE_NO_LOOP : 0);
}

void epio__db_free_root(epio__database *root)
{
    if (root->sqlite_vfs[0] != '\0') {
        (void)epio_sqlite_unregister(root->sqlite_vfs);
    }
    epio__db_changes_free(root);
    for (epio_node *node = root->connections.next; node != &root->connections;) {
        epio__db_connection *one = EPIO_CONTAINER(node, epio__db_connection, node);
        node = node->next;
        free(one);
    }
    for (size_t i = 0; i < EPIO__ENDED_HANDLES; i++) {
        free(root->ended[i]);
    }
    sqlite3_mutex_free(root->mutex);
    free_strings(root);
    free(root);
}

/* Structs of the first version end with these members. */
#define SIZE_UP_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

static bool is_one_of(const char *text, const char *const *words)
{
    while (*words != NULL && sqlite3_stricmp(text, *words) != 0) {
        words++;
    }
    return *words != NULL;
}

/* SQLite takes any other word for its default, which may be less durable than was meant. */
static bool modes_are_known(const epio_db_options *options)
{
    static const char *const journals[] = {"delete", "truncate", "persist", "memory",
                                           "wal",    "off",      NULL};
    static const char *const synchronous[] = {"off", "normal", "full", "extra", NULL};
    return (options->journal_mode == NULL || is_one_of(options->journal_mode, journals)) &&
           (options->synchronous == NULL || is_one_of(options->synchronous, synchronous));
}

static bool take_options(epio_db_options *options, const epio_db_options *given)
{
    if (given == NULL) {
        return true;
    }
    uint32_t known = EPIO_DB_READ_ONLY | EPIO_DB_MUST_EXIST | EPIO_DB_OVERLAP;
    return epio_options_take(options, sizeof *options, SIZE_UP_TO(epio_db_options, user), given) &&
           (options->flags & ~known) == 0 && modes_are_known(options) &&
           ((options->flags & EPIO_DB_OVERLAP) == 0 || options->sqlite_vfs == NULL);
}

int epio_db_create(epio_db **db, epio_vfs *vfs, const char *path, const epio_db_options *options)
{
    epio_db_options taken = {.size = sizeof taken};
    if (db == NULL || vfs == NULL || path == NULL || path[0] == '\0' ||
        strcmp(path, ":memory:") == 0 || !take_options(&taken, options)) {
        return EPIO_EINVAL;
    }
    epio__database *root = calloc(1, sizeof *root);
    if (root == NULL) {
        return EPIO_ENOMEM;
    }
    root->options = taken;
    root->handle.root = root;
    root->vfs = (epio_vfs){.methods = &methods, .loop = vfs->loop};
    root->inner = vfs;
    root->workers = vfs->loop != NULL ? epio_loop_vfs(vfs->loop) : NULL;
    init_lists(root);
    fill_in(&root->options);
    int error = register_inner(root);
    if (error != 0) {
        root->sqlite_vfs[0] = '\0';
    }
    bool owned = own_strings(root, path);
    root->mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
    if (error == 0 && (!owned || root->mutex == NULL)) {
        error = EPIO_ENOMEM;
    }
    if (error != 0) {
        epio__db_free_root(root);
        return error;
    }
    *db = &root->handle;
    return 0;
}

void epio_db_destroy(epio_db *db)
{
    if (db == NULL) {
        return;
    }
    epio__database *root = db->root;
    epio__db_lock(root);
    bool is_open = root->state != EPIO__DB_NEW;
    bool has_objects = root->objects != 0;
    bool pending = epio__db_has_turns_pending(root);
    root->destroyed = true;
    epio__db_unlock(root);
    if (db->outer != NULL) {
        epio_fatal("epio_db_destroy", "that is a transaction; commit it or roll it back");
    }
    if (is_open) {
        epio_fatal("epio_db_destroy", "the database is open; close it first");
    }
    if (has_objects) {
        epio_fatal("epio_db_destroy", "rows, transactions or blobs are left; end them first");
    }
    if (!pending) {
        epio__db_free_root(root);
    }
}

/* ---- Statistics ---- */

static uint64_t length_of(const epio_node *list)
{
    uint64_t length = 0;
    for (const epio_node *node = list->next; node != list; node = node->next) {
        length++;
    }
    return length;
}

static void fill_in_present(const epio__database *root, epio_db_stats *stats)
{
    stats->waiting_now = length_of(&root->writes) + length_of(&root->reads) +
                         length_of(&root->checkpoints) + length_of(&root->parked);
    for (const epio_node *node = root->connections.next; node != &root->connections;
         node = node->next) {
        const epio__db_connection *one = EPIO_CONTAINER(node, const epio__db_connection, node);
        stats->waiting_now += length_of(&one->ops);
        if (one->role == EPIO__DB_READER && one->handle != NULL) {
            stats->readers_now++;
            stats->readers_busy += one->holder != NULL || one->current != NULL;
        }
    }
    if (root->log.held_since != 0) {
        stats->log_held_ns = epio_clock_monotonic() - root->log.held_since;
    }
}

int epio_db_get_stats(const epio_db *db, epio_db_stats *statistics)
{
    if (db == NULL || statistics == NULL) {
        return EPIO_EINVAL;
    }
    epio__database *root = db->root;
    epio__db_lock(root);
    epio_db_stats now = root->stats;
    fill_in_present(root, &now);
    epio__db_unlock(root);
    size_t first = SIZE_UP_TO(epio_db_stats, waiting_now);
    return epio_result_give(&now, sizeof now, first, statistics) ? 0 : EPIO_EINVAL;
}
