/* Which directories of a tree are open. Those nearest to the root are needed last: where too many
 * are open they are closed, what is left of their list is kept in memory, and they are opened again
 * by the names from the nearest open one above them. It is by device and id that one is known to be
 * the same, so whoever exchanges directories meanwhile leads nowhere. */
#include "tree/tree.h"

#include "list.h"

#include <stdlib.h>
#include <string.h>

typedef epio__tree_node node;
typedef epio__tree_thread thread;

#define WAY_SIZE 3072u /* of a path of several names; systems take 4096 */

/* Directories above one that is opened again, which are open as well then: they are needed next. */
#define MOST_KEPT 12u

/* Where there are no more descriptors; each thread needs some. */
#define FEWEST_OPEN 2u

epio_vfs *epio__tree_vfs(const epio__tree *tree, const node *in, uint32_t which)
{
    if (in != NULL) {
        return epio_directory_vfs(in->files[which]);
    }
    return which == 0 ? tree->vfs : tree->to_vfs;
}

static void close_file(epio__tree *tree, epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    (void)epio__procedure_undo(tree->procedure, epio_close(&op, file));
}

static bool is_open(const node *one)
{
    return one->files[0] != NULL;
}

/* With the mutex. */
static void list_open(epio__tree *tree, node *one)
{
    if (one->parent != NULL && one->open.next == NULL) {
        epio_list_append(&tree->open, &one->open);
        tree->open_count++;
    }
}

static void unlist_open(epio__tree *tree, node *one)
{
    if (one->open.next != NULL) {
        epio_list_remove(&one->open);
        tree->open_count--;
    }
}

/* ---- Identity ---- */

static void identify(thread *one, node *in, uint32_t which)
{
    epio_info info;
    if (!in->identified[which] && epio__tree_stat_file(one, in->files[which], &info) == 0 &&
        (info.known & EPIO_INFO_ID) != 0) {
        in->identified[which] = true;
        in->device[which] = info.device;
        in->id[which][0] = info.id[0];
        in->id[which][1] = info.id[1];
    }
}

static int64_t check_identity(thread *one, const node *in, uint32_t which, epio_file *file)
{
    epio_info info;
    int64_t result = epio__tree_stat_file(one, file, &info);
    bool same = result == 0 && in->identified[which] && info.device == in->device[which] &&
                info.id[0] == in->id[which][0] && info.id[1] == in->id[which][1];
    if (result == 0 && !same) {
        one->copier.failure = (epio__failure){EPIO_KIND_OPEN, 0, EPIO__REASON_NONE};
        result = EPIO_ENOENT; /* it was moved or removed */
    }
    return result;
}

/* ---- Lists ---- */

int64_t epio__tree_list(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    epio_op op = EPIO_OP_INIT;
    epio__mutex_lock(&tree->mutex);
    epio__tree_names *names = in->names;
    bool listed = in->listed || in->names_are_all;
    int64_t error = 0;
    if (names != NULL) {
        in->names = names->next;
    } else {
        error = in->list_error;
        in->list_error = 0;
    }
    epio__mutex_unlock(&tree->mutex);
    if (names != NULL) {
        int64_t len = (int64_t)names->len;
        memcpy(one->list, names->data, names->len);
        free(names);
        return len;
    }
    if (error != 0 || listed) {
        one->copier.failure = (epio__failure){EPIO_KIND_LIST, 0, EPIO__REASON_NONE};
        return error;
    }
    int64_t result =
        epio__tree_perform(one, epio_list(&op, in->files[0], one->list, EPIO__TREE_LIST, 0));
    return result == EPIO_ENOENT ? 0 : result; /* it was removed */
}

/* Before it is closed: nobody else is in it. */
static void keep_names(thread *one, node *in)
{
    int64_t len = 1;
    epio__tree_names **end = &in->names;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    if (in->list_error != 0 || in->listed || in->names_are_all) {
        return;
    }
    while (len > 0) {
        epio_op op = EPIO_OP_INIT;
        epio__tree_names *names = malloc(sizeof *names);
        len = names == NULL ? EPIO_ENOMEM
                            : epio__tree_perform(one, epio_list(&op, in->files[0], names->data,
                                                                sizeof names->data, 0));
        if (len <= 0) {
            free(names);
            break;
        }
        names->next = NULL;
        names->len = (size_t)len;
        *end = names;
        end = &names->next;
    }
    in->names_are_all = true;
    in->list_error = len == EPIO_ENOENT ? 0 : (int32_t)len;
}

/* ---- Closing for others ---- */

static node *find_victim(const epio__tree *tree)
{
    node *victim = NULL;
    for (epio_node *at = tree->open.next; at != &tree->open; at = at->next) {
        node *one = EPIO_CONTAINER(at, node, open);
        if (one->pins == 0 && !one->busy && (victim == NULL || one->depth < victim->depth)) {
            victim = one;
        }
    }
    return victim;
}

static void close_files(epio__tree *tree, node *in)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (in->files[i] != NULL) {
            close_file(tree, in->files[i]);
            in->files[i] = NULL;
        }
    }
}

/* Closes one that nobody is in. False: there is none. */
static bool evict(thread *one, size_t most)
{
    epio__tree *tree = one->tree;
    epio__mutex_lock(&tree->mutex);
    node *victim = tree->open_count > most ? find_victim(tree) : NULL;
    if (victim != NULL) {
        victim->busy = true;
        unlist_open(tree, victim);
    }
    epio__mutex_unlock(&tree->mutex);
    if (victim == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < tree->type->files; i++) {
        identify(one, victim, i);
    }
    keep_names(one, victim);
    epio_file *files[2] = {victim->files[0], victim->files[1]};
    epio__mutex_lock(&tree->mutex);
    victim->files[0] = NULL;
    victim->files[1] = NULL;
    epio__mutex_unlock(&tree->mutex);
    for (uint32_t i = 0; i < 2; i++) {
        if (files[i] != NULL) {
            close_file(tree, files[i]);
        }
    }
    epio__mutex_lock(&tree->mutex);
    victim->busy = false;
    epio__condition_broadcast(&tree->changed);
    epio__mutex_unlock(&tree->mutex);
    return true;
}

bool epio__tree_shrink(thread *one)
{
    epio__tree *tree = one->tree;
    epio__mutex_lock(&tree->mutex);
    size_t most = tree->open_count / 2;
    most = most > FEWEST_OPEN ? most : FEWEST_OPEN;
    tree->most_open = most < tree->most_open ? most : tree->most_open;
    epio__mutex_unlock(&tree->mutex);
    bool closed = false;
    while (evict(one, most)) {
        closed = true;
    }
    return closed;
}

static void make_room(thread *one)
{
    while (evict(one, one->tree->most_open)) {
    }
}

/* ---- Opening again ---- */

/* What a thread opens again: the last of these, from `base` on; the last few of the others stay
 * open as well. */
typedef struct way {
    node *base;
    node **nodes;
    size_t count;
    size_t first_kept;
    epio_file *opened[2][MOST_KEPT + 1];
} way;

/* The next directories as one path, which ends with one that is to be open, if there is room. */
static size_t join(const way *along, size_t at, char *path)
{
    size_t len = 0;
    size_t last = at < along->first_kept ? along->first_kept : at;
    size_t end = at;
    while (end <= last && len + along->nodes[end]->name_len + 2 <= WAY_SIZE) {
        memcpy(path + len, along->nodes[end]->name, along->nodes[end]->name_len);
        len += along->nodes[end]->name_len;
        path[len++] = '/';
        end++;
    }
    path[len != 0 ? len - 1 : 0] = '\0';
    return end;
}

static int64_t open_along(thread *one, way *along, uint32_t which)
{
    char path[WAY_SIZE];
    epio_file *from = along->base->files[which];
    bool ours = false;
    int64_t result = 0;
    for (size_t at = 0; at < along->count && result == 0;) {
        epio_op op = EPIO_OP_INIT;
        size_t end = join(along, at, path);
        const node *last = along->nodes[end > at ? end - 1 : at];
        uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY;
        flags |= which == 0 && last->by_link ? 0 : EPIO_OPEN_NOFOLLOW;
        result = epio__tree_perform(
            one, epio_open(&op, epio_directory_vfs(from), end > at ? path : last->name, flags));
        at = end > at ? end : at + 1;
        epio_file *file = op.file;
        if (result == 0 && (result = check_identity(one, last, which, file)) < 0) {
            close_file(one->tree, file);
        }
        if (ours) {
            close_file(one->tree, from);
        }
        from = file;
        ours = result == 0 && at <= along->first_kept;
        if (result == 0 && !ours) {
            along->opened[which][at - 1 - along->first_kept] = file;
        }
    }
    return result;
}

static int64_t open_all(thread *one, way *along)
{
    int64_t result = 0;
    for (uint32_t i = 0; i < one->tree->type->files && result == 0; i++) {
        do {
            result = open_along(one, along, i);
        } while (result == EPIO_EMFILE && epio__tree_shrink(one));
    }
    return result;
}

/* With the mutex: which are opened again; they are busy until that is over. False: no memory. */
static bool plan(way *along, node *in, const epio__tree *tree)
{
    size_t count = 0;
    for (const node *one = in; !is_open(one) && !one->busy; one = one->parent) {
        count++;
    }
    along->nodes = malloc(count * sizeof(node *));
    if (along->nodes == NULL) {
        return false;
    }
    along->count = count;
    for (node *one = in; count != 0; one = one->parent) {
        along->nodes[--count] = one;
    }
    size_t most = tree->most_open / 4;
    size_t kept = most < MOST_KEPT ? most : MOST_KEPT;
    along->first_kept = along->count > kept + 1 ? along->count - kept - 1 : 0;
    along->base = along->nodes[0]->parent;
    along->base->pins++;
    for (size_t i = along->first_kept; i < along->count; i++) {
        along->nodes[i]->busy = true;
    }
    return true;
}

/* With the mutex. What could not be opened is as it was. */
static void take_files(epio__tree *tree, way *along, bool taken)
{
    along->base->pins--;
    for (size_t i = along->first_kept; i < along->count; i++) {
        node *one = along->nodes[i];
        one->busy = false;
        for (uint32_t k = 0; k < tree->type->files && taken; k++) {
            one->files[k] = along->opened[k][i - along->first_kept];
        }
        if (taken) {
            list_open(tree, one);
        }
    }
    epio__condition_broadcast(&tree->changed);
}

static bool is_ready(const node *in)
{
    const node *one = in;
    while (!one->busy && !is_open(one)) {
        one = one->parent;
    }
    return !one->busy;
}

static int64_t open_again(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    way along;
    memset(&along, 0, sizeof along);
    if (!plan(&along, in, tree)) {
        one->copier.failure = (epio__failure){EPIO_KIND_OPEN, 0, EPIO__REASON_NONE};
        return EPIO_ENOMEM;
    }
    epio__mutex_unlock(&tree->mutex);
    make_room(one);
    int64_t result = open_all(one, &along);
    for (uint32_t k = 0; k < 2 && result < 0; k++) {
        for (size_t i = 0; i < MOST_KEPT + 1; i++) {
            if (along.opened[k][i] != NULL) {
                close_file(tree, along.opened[k][i]);
            }
        }
    }
    epio__mutex_lock(&tree->mutex);
    take_files(tree, &along, result == 0);
    free(along.nodes);
    return result;
}

int64_t epio__tree_hold(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    int64_t result = 0;
    epio__mutex_lock(&tree->mutex);
    while (result == 0 && (in->busy || !is_open(in))) {
        if (is_ready(in)) {
            result = open_again(one, in);
        } else {
            epio__condition_wait(&tree->changed, &tree->mutex);
        }
    }
    in->pins += result == 0 ? 1 : 0;
    epio__mutex_unlock(&tree->mutex);
    return result;
}

void epio__tree_release(thread *one, node *in)
{
    epio__mutex_lock(&one->tree->mutex);
    in->pins--;
    epio__mutex_unlock(&one->tree->mutex);
}

/* ---- The first and the last time ---- */

int64_t epio__tree_enter(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    node *parent = in->parent;
    int64_t result;
    make_room(one);
    do {
        result = parent != NULL ? epio__tree_hold(one, parent) : 0;
        if (result < 0) {
            return result;
        }
        result = tree->type->enter(one, in);
        if (parent != NULL) {
            epio__tree_release(one, parent);
        }
        if (result != 0) {
            close_files(tree, in);
        }
    } while (result == EPIO_EMFILE && epio__tree_shrink(one));
    if (result == 0) {
        epio__mutex_lock(&tree->mutex);
        in->entered = true;
        list_open(tree, in);
        epio__mutex_unlock(&tree->mutex);
    }
    return result;
}

void epio__tree_close(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    epio__mutex_lock(&tree->mutex);
    while (in->busy) {
        epio__condition_wait(&tree->changed, &tree->mutex);
    }
    unlist_open(tree, in);
    epio__mutex_unlock(&tree->mutex);
    close_files(tree, in);
}
