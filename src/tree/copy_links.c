/* Files of a tree that have several names: each is copied once, and then gets further names. */
#include "tree/copy_tree.h"

#include "document/replacement.h"
#include "list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024u

/* One that was copied. */
typedef struct copied {
    struct copied *next;
    uint64_t device;
    uint64_t id[2];
    char path[]; /* relative to the target */
} copied;

typedef struct epio__tree_links {
    epio__mutex mutex;
    epio_file
        *root; /* the target's, which confines: no link on the way leads out; NULL: not open */
    copied *buckets[BUCKETS];
} links;

struct epio__tree_links *epio__copy_links_create(void)
{
    links *all = calloc(1, sizeof *all);
    if (all != NULL) {
        epio__mutex_init(&all->mutex);
    }
    return all;
}

void epio__copy_links_destroy(epio__tree *tree)
{
    links *all = tree->links;
    if (all->root != NULL) {
        epio_op op = EPIO_OP_INIT;
        (void)epio__procedure_undo(tree->procedure, epio_close(&op, all->root));
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        for (copied *one = all->buckets[i], *next; one != NULL; one = next) {
            next = one->next;
            free(one);
        }
    }
    epio__mutex_destroy(&all->mutex);
    free(all);
}

static copied **find(links *all, const epio_info *info)
{
    uint64_t mixed = (info->id[0] ^ info->device << 32) * UINT64_C(0x9e3779b97f4a7c15);
    copied **at = &all->buckets[mixed >> 32 & (BUCKETS - 1)];
    while (*at != NULL && ((*at)->device != info->device || (*at)->id[0] != info->id[0] ||
                           (*at)->id[1] != info->id[1])) {
        at = &(*at)->next;
    }
    return at;
}

static bool open_root(epio__tree_thread *one)
{
    epio__tree *tree = one->tree;
    epio_op op = EPIO_OP_INIT;
    if (tree->links->root == NULL &&
        epio__tree_perform(
            one, epio_open(&op, epio__tree_vfs(tree, tree->root, 1), ".",
                           EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH)) == 0) {
        tree->links->root = op.file;
    }
    return tree->links->root != NULL;
}

static bool is_same(epio__tree_thread *one, epio_vfs *vfs, const char *path, const char *other)
{
    epio_op op = EPIO_OP_INIT;
    epio_info infos[2] = {{.size = sizeof(epio_info)}, {.size = sizeof(epio_info)}};
    return epio__tree_perform(one, epio_stat(&op, vfs, path, &infos[0], EPIO_STAT_NOFOLLOW)) == 0 &&
           epio__tree_perform(one, epio_stat(&op, vfs, other, &infos[1], EPIO_STAT_NOFOLLOW)) ==
               0 &&
           epio__same_file(&infos[0], &infos[1]);
}

/* By a name of its own, which is then renamed over what is there. */
static int64_t link_over(epio__tree_thread *one, epio_vfs *vfs, const char *from, const char *to)
{
    epio_op op = EPIO_OP_INIT;
    uint64_t number;
    size_t len = epio__directory_len(to);
    const size_t room = len + 32;
    if (is_same(one, vfs, from, to)) {
        return 0;
    }
    char *name = malloc(room);
    if (name == NULL) {
        return EPIO_ENOMEM;
    }
    (void)epio__tree_perform(one, epio_randomness(&op, epio_os_vfs(), &number, sizeof number));
    memcpy(name, to, len);
    (void)snprintf(name + len, room - len, ".%016llx.saving", (unsigned long long)number);
    int64_t result = epio__tree_perform(one, epio_link_file(&op, vfs, from, name, 0));
    if (result == 0 && (result = epio__tree_perform(one, epio_rename(&op, vfs, name, to, 0))) < 0) {
        (void)epio__procedure_undo(one->tree->procedure, epio_delete(&op, vfs, name, 0));
    }
    free(name);
    return result;
}

/* Gives what was copied another name: true: *result is all that can be done. */
static bool make_name(epio__tree_thread *one, const copied *first, const char *name,
                      int64_t *result)
{
    epio_op op = EPIO_OP_INIT;
    char *path = open_root(one) ? epio__tree_path(one->in, name) : NULL;
    if (path == NULL) {
        return false;
    }
    epio_vfs *vfs = epio_directory_vfs(one->tree->links->root);
    *result = epio__tree_perform(one, epio_link_file(&op, vfs, first->path, path, 0));
    if (*result == EPIO_EEXIST && (one->copier.flags & EPIO_COPY_NO_REPLACE) == 0) {
        *result = link_over(one, vfs, first->path, path);
    }
    free(path);
    return *result == 0 || *result == EPIO_EEXIST || *result == EPIO_ECANCELED;
}

bool epio__copy_begin_linked(epio__copier *copier, const char *to, int64_t *result)
{
    epio__tree_thread *one = copier->user;
    links *all = one->tree->links;
    epio__mutex_lock(&all->mutex);
    const copied *first = *find(all, &copier->info);
    if (first != NULL && make_name(one, first, to, result)) {
        epio__mutex_unlock(&all->mutex);
        return true;
    }
    return false;
}

/* Without memory its further names are files of their own. */
void epio__copy_end_linked(epio__copier *copier, const char *to, int64_t result)
{
    const epio__tree_thread *one = copier->user;
    links *all = one->tree->links;
    copied **at = find(all, &copier->info);
    char *path = result >= 0 && *at == NULL ? epio__tree_path(one->in, to) : NULL;
    copied *made = path != NULL ? malloc(sizeof *made + strlen(path) + 1) : NULL;
    if (made != NULL) {
        *made =
            (copied){.device = copier->info.device, .id = {copier->info.id[0], copier->info.id[1]}};
        memcpy(made->path, path, strlen(path) + 1);
        *at = made;
    }
    free(path);
    epio__mutex_unlock(&all->mutex);
}
