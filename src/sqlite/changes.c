/* What commits have changed, kept for those who ask. SQLite's update hook says what, before it is
 * committed, its two others whether it was; the changes of a transaction are kept apart until then.
 * A change that a savepoint has undone is given as well, unless epio__changes_rewind was called. */
#include "sqlite/db.h"

#include <stdlib.h>
#include <string.h>

#define KEPT 65536u

/* The names of tables live as long as the database. */
typedef struct table_name {
    struct table_name *next;
    char text[];
} table_name;

typedef struct list {
    epio_change *items;
    size_t count;
    size_t capacity;
    bool many; /* there were more: the items before are dropped */
} list;

typedef struct changes {
    atomic_bool wanted; /* somebody has asked for changes, once */

    /* The database's mutex. */
    list kept;
    size_t given; /* of `kept` */

    /* The writer's thread. */
    list pending;    /* of the transaction */
    bool unseen;     /* it has changed something before changes were wanted */
    bool committing; /* SQLite has begun to, and did not say that it has failed */
    table_name *names;
} changes;

/* The mutex is held. NULL: no memory. */
static changes *changes_of(epio__database *root)
{
    if (root->changes_kept == NULL) {
        root->changes_kept = calloc(1, sizeof(changes));
    }
    return root->changes_kept;
}

/* ---- Lists ---- */

static void make_many(list *one)
{
    free(one->items);
    *one = (list){.many = true};
}

static void clear(list *one)
{
    one->count = 0;
    one->many = false;
    if (one->capacity > KEPT / 16) { /* a large transaction's */
        free(one->items);
        one->items = NULL;
        one->capacity = 0;
    }
}

/* False: more than are kept, or no memory. */
static bool reserve(list *one, size_t more)
{
    size_t needed = one->count + more;
    if (one->many || needed > KEPT) {
        return false;
    }
    if (needed <= one->capacity) {
        return true;
    }
    size_t capacity = one->capacity * 2 > needed ? one->capacity * 2 : needed + 15;
    epio_change *items = realloc(one->items, capacity * sizeof *items);
    if (items == NULL) {
        return false;
    }
    one->items = items;
    one->capacity = capacity;
    return true;
}

/* ---- Hooks ---- */

/* The name that programs see, found again where it was the last time; NULL: no memory. */
static const char *intern(changes *one, const char *schema, const char *table)
{
    char *text = strcmp(schema, "main") == 0 ? NULL : sqlite3_mprintf("%s.%s", schema, table);
    const char *wanted = text != NULL ? text : table;
    table_name **at = &one->names;
    while (*at != NULL && strcmp((*at)->text, wanted) != 0) {
        at = &(*at)->next;
    }
    table_name *found = *at;
    if (found != NULL) {
        *at = found->next;
    } else {
        size_t len = strlen(wanted) + 1;
        found = malloc(sizeof *found + len);
        if (found != NULL) {
            memcpy(found->text, wanted, len);
        }
    }
    sqlite3_free(text);
    if (found == NULL) {
        return NULL;
    }
    found->next = one->names;
    one->names = found;
    return found->text;
}

void epio__changes_note(epio__db_connection *connection, uint32_t kind, const char *schema,
                        const char *table, int64_t row_id)
{
    changes *one = connection->root->changes_kept;
    if (strcmp(schema, "temp") == 0) {
        return; /* the connection's own, not the database's */
    }
    if (!atomic_load_explicit(&one->wanted, memory_order_relaxed)) {
        one->unseen = true;
        return;
    }
    list *pending = &one->pending;
    if (pending->many) {
        return;
    }
    const char *name = reserve(pending, 1) ? intern(one, schema, table) : NULL;
    if (name == NULL) {
        make_many(pending);
        return;
    }
    pending->items[pending->count++] = (epio_change){.kind = kind, .table = name, .row_id = row_id};
}

static void updated(void *user, int operation, const char *schema, const char *table,
                    sqlite3_int64 row_id)
{
    uint32_t kind = operation == SQLITE_INSERT   ? EPIO_CHANGE_INSERT
                    : operation == SQLITE_DELETE ? EPIO_CHANGE_DELETE
                                                 : EPIO_CHANGE_UPDATE;
    epio__changes_note(user, kind, schema, table, row_id);
}

static int committing(void *user)
{
    const epio__db_connection *connection = user;
    changes *one = connection->root->changes_kept;
    one->committing = true;
    return 0;
}

static void forget(changes *one)
{
    clear(&one->pending);
    one->unseen = false;
    one->committing = false;
}

static void rolled_back(void *user)
{
    const epio__db_connection *connection = user;
    forget(connection->root->changes_kept);
}

bool epio__changes_watch(epio__db_connection *connection)
{
    epio__database *root = connection->root;
    epio__db_lock(root);
    changes *one = changes_of(root);
    epio__db_unlock(root);
    if (one == NULL) {
        return false;
    }
    forget(one);
    sqlite3_update_hook(connection->handle, updated, connection);
    sqlite3_commit_hook(connection->handle, committing, connection);
    sqlite3_rollback_hook(connection->handle, rolled_back, connection);
    return true;
}

size_t epio__changes_mark(const epio__db_connection *connection)
{
    const changes *one = connection->root->changes_kept;
    return one->pending.count;
}

void epio__changes_rewind(epio__db_connection *connection, size_t mark)
{
    changes *one = connection->root->changes_kept;
    if (one->pending.count > mark) {
        one->pending.count = mark;
    }
}

/* ---- Giving ---- */

static bool has_some(const changes *one)
{
    return one->kept.many || one->given < one->kept.count;
}

/* The mutex is held. */
static int64_t give(changes *one, const epio_op *op)
{
    epio_change *to = epio__word_pointer(op, EPIO__WORD_FIRST);
    uint64_t room = op->arguments.words[EPIO__WORD_FIRST + 1];
    if (one->kept.many) {
        to[0] = (epio_change){.kind = EPIO_CHANGE_MANY};
        clear(&one->kept);
        return 1;
    }
    uint64_t left = one->kept.count - one->given;
    uint64_t number = left < room ? left : room;
    memcpy(to, one->kept.items + one->given, (size_t)number * sizeof *to);
    one->given += (size_t)number;
    if (one->given == one->kept.count) {
        clear(&one->kept);
        one->given = 0;
    }
    return (int64_t)number;
}

bool epio__changes_take(epio__database *root, epio_op *op, int64_t *result)
{
    changes *one = changes_of(root);
    if (one == NULL) {
        *result = EPIO_ENOMEM;
        return true;
    }
    atomic_store(&one->wanted, true);
    if (has_some(one) && epio_list_empty(&root->changes)) {
        *result = give(one, op);
        return true;
    }
    epio__op_put(&root->changes, op);
    return false;
}

/* The mutex is held. */
static void keep(changes *one)
{
    list *kept = &one->kept;
    const list *pending = &one->pending;
    if (one->given > 0 && one->given >= kept->count / 2) {
        kept->count -= one->given;
        memmove(kept->items, kept->items + one->given, kept->count * sizeof *kept->items);
        one->given = 0;
    }
    if (pending->many || !reserve(kept, pending->count)) {
        make_many(kept); /* what it stands for, if nobody has seen it yet, includes the new ones */
        one->given = 0;
        return;
    }
    memcpy(kept->items + kept->count, pending->items, pending->count * sizeof *kept->items);
    kept->count += pending->count;
}

static void give_to_waiting(epio__database *root, changes *one)
{
    for (;;) {
        epio__db_lock(root);
        if (epio_list_empty(&root->changes) || !has_some(one)) {
            epio__db_unlock(root);
            return;
        }
        epio_op *op = EPIO_CONTAINER(root->changes.next, epio_op, queue);
        epio__op_take(op);
        int64_t given = give(one, op);
        epio__db_unlock(root);
        epio__db_finish(op, given);
    }
}

void epio__changes_publish(epio__db_connection *connection)
{
    epio__database *root = connection->root;
    changes *one = root->changes_kept;
    if (connection->handle == NULL || sqlite3_get_autocommit(connection->handle) == 0) {
        return;
    }
    if (!one->committing) {
        forget(one);
        return;
    }
    bool wanted = atomic_load(&one->wanted);
    if (one->unseen && wanted) {
        make_many(&one->pending);
    }
    bool some = one->pending.many || one->pending.count > 0;
    epio__db_lock(root);
    root->stats.commits++;
    root->stats.transactions++;
    if (some) {
        keep(one);
    }
    epio__db_unlock(root);
    forget(one);
    if (some) {
        give_to_waiting(root, one);
    }
}

void epio__changes_free(epio__database *root)
{
    changes *one = root->changes_kept;
    if (one == NULL) {
        return;
    }
    while (one->names != NULL) {
        table_name *name = one->names;
        one->names = name->next;
        free(name);
    }
    free(one->kept.items);
    free(one->pending.items);
    free(one);
    root->changes_kept = NULL;
}
