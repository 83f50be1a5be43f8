/* See watch_tree.h: from a node to its directory, which is opened, watched and listed.
 *
 * No descriptor is kept: one of a directory would keep its file system mounted, and the kernel from
 * saying that it is removed. So a directory is opened by its path, and is the one only if it is the
 * inode that was attached. Below that, names are opened without following links. A mount point is
 * not entered: what is mounted may be a server that does not answer. */
#include "posix/watch_tree.h"

#include "list.h"
#include "posix/descriptor.h"
#include "posix/place.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHANGES                                                                                    \
    (IN_MASK_ADD | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB |   \
     IN_MOVE_SELF | IN_EXCL_UNLINK | IN_ONLYDIR)

#define TO_LIST (O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOFOLLOW)

static int fail(int error)
{
    errno = error;
    return -1;
}

static int close_and_fail(int descriptor, int error)
{
    (void)close(descriptor);
    return fail(error);
}

/* ---- Finding the root ---- */

static bool is_same(int descriptor, uint64_t device, uint64_t number)
{
    struct stat status;
    return fstat(descriptor, &status) == 0 && (uint64_t)status.st_dev == device &&
           (uint64_t)status.st_ino == number;
}

/* Where what was opened is; NULL: unknown. */
static char *path_of(int descriptor)
{
    char link[64];
    char path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len <= 0 || path[0] != '/') {
        return NULL;
    }
    path[len] = '\0';
    return strdup(path);
}

static bool is_root_at(const epio__watch_tree *tree, int at, const char *path)
{
    int descriptor = epio__descriptor_open(at, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
    bool is = descriptor >= 0 && is_same(descriptor, tree->device, tree->number);
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return is;
}

/* The name of the root in its directory now; its number alone may be that of a mount point. */
static bool find_in(epio__watch_tree *tree, int directory, char *name, size_t size)
{
    char *listing = tree->source->listing;
    int64_t len;
    while ((len = epio_list_entries(directory, listing, sizeof tree->source->listing)) > 0) {
        for (int64_t at = 0; at < len;) {
            const epio_entry *entry = (const epio_entry *)(const void *)(listing + at);
            at += entry->size;
            if (entry->id == tree->number && is_root_at(tree, directory, epio_entry_name(entry))) {
                (void)snprintf(name, size, "%s", epio_entry_name(entry));
                return true;
            }
        }
    }
    return false;
}

/* It was given another name in the directory where it was. */
static bool find_renamed(epio__watch_tree *tree)
{
    char above[PATH_MAX];
    char name[NAME_MAX + 1];
    if (!epio__directory_of(tree->path, above, sizeof above)) {
        return false;
    }
    int directory = epio__descriptor_open(AT_FDCWD, above, TO_LIST, 0);
    bool found = directory >= 0 && find_in(tree, directory, name, sizeof name);
    if (directory >= 0) {
        (void)close(directory);
    }
    size_t size = strlen(above) + 1 + sizeof name;
    char *path = found ? malloc(size) : NULL;
    if (path != NULL) {
        (void)snprintf(path, size, "%s/%s", strcmp(above, "/") == 0 ? "" : above, name);
        free(tree->path);
        tree->path = path;
    }
    return path != NULL;
}

/* The nearest directory above the root's last path that is still there, and on its file system. */
static int open_above(const epio__watch_tree *tree)
{
    char path[PATH_MAX];
    char above[PATH_MAX];
    int descriptor = -1;
    (void)snprintf(path, sizeof path, "%s", tree->path);
    while (descriptor < 0 && strcmp(path, "/") != 0 &&
           epio__directory_of(path, above, sizeof above)) {
        struct stat status;
        memcpy(path, above, sizeof path);
        descriptor = epio__descriptor_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
        if (descriptor >= 0 &&
            (fstat(descriptor, &status) != 0 || (uint64_t)status.st_dev != tree->device)) {
            (void)close(descriptor);
            descriptor = -1;
        }
    }
    return descriptor;
}

static struct file_handle *handle_of(epio__watch_tree *tree)
{
    return (struct file_handle *)(void *)tree->handle;
}

/* Wherever it is on its file system: for this a process needs a privilege. */
static bool find_by_handle(epio__watch_tree *tree)
{
    int above = handle_of(tree)->handle_bytes != 0 ? open_above(tree) : -1;
    if (above < 0) {
        return false;
    }
    int found = epio__descriptor_move(
        open_by_handle_at(above, handle_of(tree), O_PATH | O_DIRECTORY | O_CLOEXEC));
    (void)close(above);
    if (found < 0) {
        return false;
    }
    char *path = path_of(found);
    (void)close(found);
    if (path != NULL && is_root_at(tree, AT_FDCWD, path)) {
        free(tree->path);
        tree->path = path;
        return true;
    }
    free(path);
    return false;
}

static bool find_root(epio__watch_tree *tree)
{
    return is_root_at(tree, AT_FDCWD, tree->path) || find_renamed(tree) || find_by_handle(tree);
}

void epio__watch_tree_locate(epio__watch_tree *tree)
{
    (void)find_root(tree);
}

/* ---- Opening ---- */

/* A path may be longer than the system takes at once. `path` is changed. */
static int open_path(char *path)
{
    int at = AT_FDCWD;
    while (strlen(path) >= PATH_MAX) {
        char *end = path + PATH_MAX - 1;
        while (end > path && *end != '/') {
            end--;
        }
        *end = '\0';
        int next = epio__descriptor_open(at, path, O_PATH | O_DIRECTORY, 0);
        int error = errno;
        if (at != AT_FDCWD) {
            (void)close(at);
        }
        if (next < 0) {
            return fail(error);
        }
        at = next;
        path = end + 1;
    }
    int descriptor = epio__descriptor_open(at, path, TO_LIST, 0);
    if (at != AT_FDCWD) {
        int error = errno;
        (void)close(at);
        errno = error;
    }
    return descriptor;
}

static bool leads_elsewhere(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ESTALE;
}

static int open_where_it_is(const epio__watch_node *node)
{
    epio__watch_tree *tree = node->tree;
    epio__watch_source *source = tree->source;
    char prefix[PATH_MAX + 1];
    (void)snprintf(prefix, sizeof prefix, "%s/", tree->path);
    if (node->inode == NULL) {
        return fail(ESTALE);
    }
    if (!epio__watch_node_path(node, prefix, "", &source->path, &source->path_capacity)) {
        return fail(ENOMEM);
    }
    source->path[strlen(source->path) - 1] = '\0'; /* with a slash a link would be followed */
    int descriptor = open_path(source->path);
    if (descriptor >= 0 && !is_same(descriptor, node->inode->device, node->inode->number)) {
        return close_and_fail(descriptor, ESTALE);
    }
    return descriptor;
}

int epio__watch_node_open(epio__watch_node *node)
{
    int descriptor = open_where_it_is(node);
    if (descriptor >= 0 || !leads_elsewhere(errno)) {
        return descriptor;
    }
    if (!is_root_at(node->tree, AT_FDCWD, node->tree->path)) {
        if (!find_root(node->tree)) {
            return fail(EXDEV);
        }
        descriptor = open_where_it_is(node);
    }
    return descriptor >= 0 || !leads_elsewhere(errno) ? descriptor : fail(ESTALE);
}

#if defined(SYS_openat2)

#define RESOLVE_NO_XDEV 0x01u

/* linux/openat2.h, which older systems do not have. */
struct how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

static int open_on_mount(int directory, const char *name)
{
    struct how how = {.flags = TO_LIST | O_CLOEXEC, .resolve = RESOLVE_NO_XDEV};
    int descriptor;
    do {
        descriptor = (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
    } while (descriptor < 0 && (errno == EINTR || errno == EAGAIN));
    return epio__descriptor_move(descriptor);
}

#else

static int open_on_mount(int directory, const char *name)
{
    (void)directory;
    (void)name;
    return fail(ENOSYS);
}

#endif

/* -1 and EXDEV for a mount point, which older systems only show by its device. */
static int open_in(epio__watch_tree *tree, int directory, const char *name)
{
    struct stat status;
    int descriptor = open_on_mount(directory, name);
    if (descriptor >= 0 || (errno != ENOSYS && errno != EPERM)) {
        return descriptor;
    }
    tree->source->sees_no_mounts = true;
    descriptor = epio__descriptor_open(directory, name, TO_LIST, 0);
    if (descriptor >= 0 &&
        (fstat(descriptor, &status) != 0 || (uint64_t)status.st_dev != tree->device)) {
        return close_and_fail(descriptor, EXDEV);
    }
    return descriptor;
}

/* ---- Attaching ---- */

/* The tree may have the directory under the name that it had before (watch_tree.h): then it is left
 * there without its inode, to which the caller adds a node. -1 and EEXIST: it cannot have lost that
 * name, so this is another, by a mount. */
static int take_from_other(const epio__watch_node *node, int wd)
{
    epio__watch_inode *inode = epio__watch_inode_find(node->tree->source, wd);
    epio__watch_node *other = inode != NULL ? epio__watch_node_of(inode, node->tree) : NULL;
    if (other == NULL) {
        return 0;
    }
    if (other->parent == NULL ||
        (node->tree->source->sees_no_mounts && epio__watch_node_is_below(node, other))) {
        return fail(EEXIST);
    }
    epio__watch_node **at = &inode->nodes;
    while (*at != other) {
        at = &(*at)->next_of_inode;
    }
    *at = other->next_of_inode;
    other->inode = NULL;
    epio__watch_node_settle(other);
    return 0;
}

static int attach(epio__watch_node *node, int descriptor)
{
    epio__watch_queue *queue = &node->tree->source->queue;
    char link[64];
    struct stat status;
    if (fstat(descriptor, &status) != 0) {
        return -1;
    }
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    node->from = epio__watch_queue_end(queue);
    int wd = inotify_add_watch(queue->descriptor, link, CHANGES);
    if (wd < 0) {
        epio__note_missing_proc(descriptor);
        return -1;
    }
    if (take_from_other(node, wd) != 0) {
        return -1;
    }
    return epio__watch_node_attach(node, wd, (uint64_t)status.st_dev, (uint64_t)status.st_ino)
               ? 0
               : fail(ENOMEM);
}

/* ---- Listing ---- */

static void add_entry(epio__watch_node *node, int descriptor, const epio_entry *entry)
{
    const char *name = epio_entry_name(entry);
    uint32_t type = entry->type;
    if (type == EPIO_TYPE_UNKNOWN && epio__is_directory(descriptor, name, false)) {
        type = EPIO_TYPE_DIRECTORY;
    }
    epio__watch_node_note(node, name);
    epio__watch_tree_report(node, EPIO_EVENT_MADE, type, name, NULL, NULL);
    if (type == EPIO_TYPE_DIRECTORY) {
        epio__watch_tree_add_directory(node, name);
    }
}

/* 0, or -1 and errno. Whoever changes a directory has its lock until the event is queued, and so
 * has a list. So behind a list nothing that it shows has an event to come. */
static int list(epio__watch_node *node, int descriptor)
{
    epio__watch_source *source = node->tree->source;
    int64_t len;
    while ((len = epio_list_entries(descriptor, source->listing, sizeof source->listing)) > 0) {
        for (int64_t at = 0; at < len;) {
            const epio_entry *entry = (const epio_entry *)(const void *)(source->listing + at);
            add_entry(node, descriptor, entry);
            at += entry->size;
        }
    }
    return len == 0 || errno == ENOENT ? 0 : -1; /* ENOENT: it was removed */
}

static void drop_children(epio__watch_node *node)
{
    while (!epio_list_empty(&node->children)) {
        epio_node *first = node->children.next;
        (void)epio__watch_node_drop(EPIO_CONTAINER(first, epio__watch_node, sibling), SIZE_MAX);
    }
}

/* Lists a node that is attached; it was found in `parent` (-1: it is the root). */
static int list_in_window(epio__watch_node *node, int descriptor, int parent)
{
    epio__watch_queue *queue = &node->tree->source->queue;
    _Alignas(uint64_t) char first[512];
    epio__watch_node_open_window(node);
    int outcome = list(node, descriptor);
    int error = errno;
    if (parent >= 0) {
        (void)epio_list_entries(parent, first, sizeof first); /* for its lock, as above */
    }
    node->window_end = epio__watch_queue_end(queue);
    if (epio__watch_queue_position(queue) >= node->window_end) {
        epio__watch_node_settle(node);
    }
    errno = error;
    return outcome;
}

/* 0, or -1 and errno: then it is not attached. */
static int attach_and_list(epio__watch_node *node, int descriptor, int parent)
{
    if (attach(node, descriptor) != 0) {
        return -1;
    }
    if (list_in_window(node, descriptor, parent) != 0) {
        int error = errno;
        drop_children(node);
        epio__watch_node_settle(node);
        epio__watch_node_detach(node);
        return fail(error);
    }
    return 0;
}

int epio__watch_tree_begin(epio__watch_tree *tree, int descriptor)
{
    struct stat status;
    int mount;
    tree->root = epio__watch_node_add(tree, NULL, "");
    tree->path = path_of(descriptor);
    if (tree->root == NULL || tree->path == NULL) {
        return fail(tree->root == NULL ? ENOMEM : EOPNOTSUPP);
    }
    if (fstat(descriptor, &status) != 0) {
        return -1;
    }
    tree->device = (uint64_t)status.st_dev;
    tree->number = (uint64_t)status.st_ino;
    handle_of(tree)->handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(descriptor, "", handle_of(tree), &mount, AT_EMPTY_PATH) != 0) {
        handle_of(tree)->handle_bytes = 0;
    }
    return tree->watch->recursive ? attach_and_list(tree->root, descriptor, -1)
                                  : attach(tree->root, descriptor);
}

void epio__watch_tree_add_directory(epio__watch_node *parent, const char *name)
{
    if (!parent->tree->watch->recursive) {
        return;
    }
    epio__watch_node *node = epio__watch_node_add(parent->tree, parent, name);
    if (node == NULL) {
        epio__watch_tree_break(parent->tree, ENOMEM);
        return;
    }
    epio_list_append(&parent->tree->pending, &node->waiting);
    epio__watch_tree_set_due(parent->tree);
}

/* The node has no directory to watch: what becomes of it. */
static void give_up(epio__watch_node *node, int error)
{
    epio__watch_tree *tree = node->tree;
    switch (error) {
    case ENOENT: /* an event that says so is still to come */
    case ENOTDIR:
    case ELOOP:
    case EXDEV: /* a mount point */
    case EEXIST:
    case EACCES: /* the user may not look into it */
    case EPERM:
        return;
    case ESTALE:
        epio_list_append(&tree->stranded, &node->waiting);
        return;
    default:
        epio_list_append(&tree->starved, &node->waiting);
        tree->source->is_starved = true;
        epio__watch_tree_lose(tree, error);
        return;
    }
}

/* 0, or -1 and errno for give_up. */
static int attach_pending(epio__watch_node *node)
{
    int parent = epio__watch_node_open(node->parent);
    if (parent < 0) {
        return fail(errno == EXDEV ? ENODEV : errno); /* the root was not found */
    }
    int descriptor = open_in(node->tree, parent, node->name);
    if (descriptor < 0) {
        return close_and_fail(parent, errno);
    }
    int outcome = attach_and_list(node, descriptor, parent);
    int error = errno;
    (void)close(descriptor);
    (void)close(parent);
    errno = error;
    return outcome;
}

bool epio__watch_tree_step(epio__watch_tree *tree)
{
    if (epio_list_empty(&tree->pending)) {
        return false;
    }
    epio__watch_node *node = EPIO_CONTAINER(tree->pending.next, epio__watch_node, waiting);
    epio_list_remove(&node->waiting);
    if (attach_pending(node) != 0) {
        give_up(node, errno);
    }
    return true;
}

void epio__watch_tree_free_stranded(epio__watch_tree *tree)
{
    epio_list_move_all(&tree->pending, &tree->stranded);
    epio__watch_tree_set_due(tree);
}

/* ---- After a loss ---- */

static bool list_root_again(epio__watch_tree *tree)
{
    int descriptor = epio__watch_node_open(tree->root);
    if (descriptor < 0) {
        return false;
    }
    int outcome = list_in_window(tree->root, descriptor, -1);
    int error = errno;
    (void)close(descriptor);
    errno = error;
    return outcome == 0;
}

void epio__watch_tree_rebuild(epio__watch_tree *tree)
{
    bool live = tree->live;
    epio__watch_tree_lose(tree, 0);
    tree->exchange.from_wd = 0;
    tree->broken = false;
    if (!tree->watch->recursive || tree->root->inode == NULL) {
        return;
    }
    tree->live = false;
    drop_children(tree->root);
    epio__watch_node_settle(tree->root);
    if (!list_root_again(tree)) {
        epio__watch_tree_break(tree, errno);
    }
    while (epio__watch_tree_step(tree)) {
    }
    tree->live = live;
}

bool epio__watch_tree_is_starved(const epio__watch_tree *tree)
{
    return !tree->ended && (tree->broken || !epio_list_empty(&tree->starved));
}

void epio__watch_tree_retry(epio__watch_tree *tree)
{
    if (tree->broken) {
        epio__watch_tree_rebuild(tree);
    } else {
        epio_list_move_all(&tree->pending, &tree->starved);
        epio__watch_tree_set_due(tree);
    }
}
