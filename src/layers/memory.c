/* A VFS whose files live in memory, for tests without a disk and for data that needs none. It
 * behaves like a POSIX file system: a file that was deleted or replaced stays until its last close,
 * and holes cost nothing.
 *
 * Owns the names, their nodes and their blocks. Arguments, the order of syncs, deadlines and worker
 * threads are the core's. */
#include "core/generic_ops.h"
#include "core/registry.h"
#include "fatal.h"
#include "locks/lock.h"
#include "platform.h"
#include "reason.h"
#if EPIO_ASYNC
#include "core/loop.h"
#endif

#include <stdlib.h>
#include <string.h>

/* A file's blocks are in a tree, as high as its last block needs; missing parts are holes; 9 levels
 * reach INT64_MAX. */
#define BLOCK_BITS 14
#define BLOCK_SIZE ((size_t)1 << BLOCK_BITS)
#define FANOUT_BITS 6
#define FANOUT ((size_t)1 << FANOUT_BITS)

/* A long copy lets others in between its slices, and above the limit it is offloaded to a worker:
 * the loop's owner never waits for one. */
#define SLICE_SIZE ((size_t)64 * 1024)
#define INLINE_LIMIT ((uint64_t)1024 * 1024)

/* The usual limits: a path with its NUL, a part of it without. */
#define PATH_SIZE 4096
#define PART_LIMIT 255

#define OWNER_READ 0400u
#define OWNER_WRITE 0200u
#define DEFAULT_MODE 0666u
#define TEMPORARY_MODE 0600u

typedef struct branch {
    void *below[FANOUT]; /* branches, or blocks at the lowest level; NULL: a hole */
} branch;

/* A file, which a name refers to. */
typedef struct memory_node {
    char *name;          /* as in struct place; NULL: it was removed */
    void *root;          /* a branch, or the only block where the height is 0 */
    uint32_t height;     /* levels of branches */
    uint32_t mode;       /* POSIX mode bits */
    uint64_t references; /* open files, and one for the name */
    uint64_t size;       /* blocks hold zeros beyond it */
    epio__lock_node lock;
} memory_node;

typedef struct memory_file {
    epio_file base;
    memory_node *node;
    epio__lock_holder lock;
    const char *delete_path; /* behind the file; NULL: nothing is deleted at close */
} memory_file;

typedef struct memory_vfs {
    epio_vfs base;
    epio__entry entry;
    epio__mutex turn;    /* held by the next thread that gets `mutex` */
    epio__mutex mutex;   /* guards the rest, nodes and blocks included */
    memory_node **named; /* sorted by name */
    size_t named_count;
    size_t named_room;
    uint64_t open_files;
} memory_vfs;

/* A resolved path. */
typedef struct place {
    char name[PATH_SIZE + 2]; /* "/part/part", the root is ""; with room for one more slash */
    size_t len;
    size_t index;   /* among the names: where the file is or would be */
    bool directory; /* written as a directory's, with a slash or dots at its end */
    bool vacant;    /* nothing is there, and a file could be */
} place;

static memory_node *node_of(const epio_op *op)
{
    return ((const memory_file *)op->file)->node;
}

static epio__lock_holder *holder_of(const epio_op *op)
{
    return &((memory_file *)(void *)op->file)->lock;
}

/* First come, first served. With one mutex a long copy would get it back, slice after slice, before
 * a waiter has woken up. */
static void memory_lock(memory_vfs *memory)
{
    epio__mutex_lock(&memory->turn);
    epio__mutex_lock(&memory->mutex);
    epio__mutex_unlock(&memory->turn);
}

static size_t smaller(size_t one, uint64_t other)
{
    return other < one ? (size_t)other : one;
}

static bool tree_reaches(const memory_node *node, uint64_t number)
{
    return number >> (FANOUT_BITS * node->height) == 0;
}

static void **slot_of(void *at, uint32_t level, uint64_t number)
{
    return &((branch *)at)->below[(number >> (FANOUT_BITS * level)) & (FANOUT - 1)];
}

/* The block, or NULL for a hole. */
static unsigned char *block_find(const memory_node *node, uint64_t number)
{
    void *at = tree_reaches(node, number) ? node->root : NULL;
    for (uint32_t level = node->height; at != NULL && level-- > 0;) {
        at = *slot_of(at, level, number);
    }
    return at;
}

/* The block, made if it is a hole; NULL if there is no memory. Branches made on the way stay: the
 * tree is valid, with a hole there. */
static unsigned char *block_make(memory_node *node, uint64_t number)
{
    while (!tree_reaches(node, number)) {
        branch *above = calloc(1, sizeof *above);
        if (above == NULL) {
            return NULL;
        }
        above->below[0] = node->root;
        node->root = above;
        node->height++;
    }
    void **slot = &node->root;
    for (uint32_t level = node->height; level-- > 0;) {
        if (*slot == NULL && (*slot = calloc(1, sizeof(branch))) == NULL) {
            return NULL;
        }
        slot = slot_of(*slot, level, number);
    }
    if (*slot == NULL) {
        *slot = calloc(1, BLOCK_SIZE);
    }
    return *slot;
}

/* Frees the blocks from `first` on of a tree of that height. Returns what is left: the tree, or
 * NULL. */
static void *tree_trim(void *at, uint32_t height, uint64_t first)
{
    if (at == NULL) {
        return NULL;
    }
    if (height > 0) {
        uint32_t bits = FANOUT_BITS * (height - 1);
        uint64_t inside = first & (((uint64_t)1 << bits) - 1);
        for (size_t i = (size_t)(first >> bits); i < FANOUT; i++) {
            void **slot = &((branch *)at)->below[i];
            *slot = tree_trim(*slot, height - 1, inside);
            inside = 0;
        }
    }
    if (first > 0) {
        return at;
    }
    free(at);
    return NULL;
}

static void node_resize(memory_node *node, uint64_t size)
{
    size_t within = (size_t)(size & (BLOCK_SIZE - 1));
    uint64_t first_gone = (size >> BLOCK_BITS) + (within > 0);
    unsigned char *last = within > 0 ? block_find(node, first_gone - 1) : NULL;
    if (last != NULL) {
        memset(last + within, 0, BLOCK_SIZE - within);
    }
    if (tree_reaches(node, first_gone)) {
        node->root = tree_trim(node->root, node->height, first_gone);
    }
    node->size = size;
}

static memory_node *node_create(uint32_t mode)
{
    memory_node *node = calloc(1, sizeof *node);
    if (node != NULL) {
        node->mode = mode;
        node->references = 1;
        epio__lock_node_init(&node->lock);
    }
    return node;
}

static void node_release(memory_node *node)
{
    if (--node->references == 0) {
        (void)tree_trim(node->root, node->height, 0);
        epio__lock_node_destroy(&node->lock);
        free(node->name);
        free(node);
    }
}

/* `directions`: EPIO_OPEN_READ and EPIO_OPEN_WRITE; other flags are ignored. */
static bool node_permits(const memory_node *node, uint32_t directions)
{
    return ((directions & EPIO_OPEN_READ) == 0 || (node->mode & OWNER_READ) != 0) &&
           ((directions & EPIO_OPEN_WRITE) == 0 || (node->mode & OWNER_WRITE) != 0);
}

static int64_t node_read(memory_node *node, unsigned char *to, size_t len, uint64_t offset)
{
    len = offset < node->size ? smaller(len, node->size - offset) : 0;
    for (size_t done = 0; done < len;) {
        size_t within = (size_t)(offset & (BLOCK_SIZE - 1));
        size_t count = smaller(BLOCK_SIZE - within, len - done);
        const unsigned char *block = block_find(node, offset >> BLOCK_BITS);
        if (block != NULL) {
            memcpy(to + done, block + within, count);
        } else {
            memset(to + done, 0, count);
        }
        done += count;
        offset += count;
    }
    return (int64_t)len;
}

/* The file grows with every block, so that what was written before memory ran out is not beyond its
 * end. */
static int64_t node_write(memory_node *node, unsigned char *from, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        size_t within = (size_t)(offset & (BLOCK_SIZE - 1));
        size_t count = smaller(BLOCK_SIZE - within, len - done);
        unsigned char *block = block_make(node, offset >> BLOCK_BITS);
        if (block == NULL) {
            return EPIO_ENOSPC;
        }
        memcpy(block + within, from + done, count);
        done += count;
        offset += count;
        if (node->size < offset) {
            node->size = offset;
        }
    }
    return (int64_t)len;
}

static void place_enter(place *to, const char *part, size_t len)
{
    bool up = len == 2 && part[0] == '.' && part[1] == '.';
    if (up || len == 0 || (len == 1 && part[0] == '.')) {
        while (up && to->len > 0 && to->name[--to->len] != '/') {
        }
        to->directory = true;
        return;
    }
    to->name[to->len] = '/';
    memcpy(to->name + to->len + 1, part, len);
    to->len += 1 + len;
    to->directory = false;
}

/* 0 or EPIO_ENAMETOOLONG. */
static int place_init(place *to, const char *path)
{
    size_t len = strlen(path);
    to->len = 0;
    to->vacant = false;
    if (len >= PATH_SIZE) {
        return EPIO_ENAMETOOLONG;
    }
    for (; *path != '\0'; path += len + (path[len] == '/')) {
        len = strcspn(path, "/");
        if (len > PART_LIMIT) {
            return EPIO_ENAMETOOLONG;
        }
        place_enter(to, path, len);
        to->directory = to->directory || path[len] == '/';
    }
    to->name[to->len] = '\0';
    return 0;
}

/* Does a name begin with these characters? *index is the first, or where it
 * would be. */
static bool names_begin(const memory_vfs *memory, const char *name, size_t len, size_t *index)
{
    size_t low = 0;
    size_t high = memory->named_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strncmp(memory->named[middle]->name, name, len) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *index = low;
    return low < memory->named_count && strncmp(memory->named[low]->name, name, len) == 0;
}

/* The whole name sorts before longer names that begin with it. */
static bool names_have(const memory_vfs *memory, const char *name, size_t len, size_t *index)
{
    return names_begin(memory, name, len, index) && memory->named[*index]->name[len] == '\0';
}

/* Is it a directory, because other names are below it? */
static bool names_have_below(const memory_vfs *memory, place *at)
{
    size_t index;
    at->name[at->len] = '/';
    bool found = names_begin(memory, at->name, at->len + 1, &index);
    at->name[at->len] = '\0';
    return found;
}

/* False if there is no memory. After names_take there always is room. */
static bool names_insert(memory_vfs *memory, size_t index, memory_node *node)
{
    if (memory->named_count == memory->named_room) {
        size_t room = memory->named_room > 0 ? 2 * memory->named_room : 16;
        memory_node **named = realloc(memory->named, room * sizeof(memory_node *));
        if (named == NULL) {
            return false;
        }
        memory->named = named;
        memory->named_room = room;
    }
    memory_node **at = memory->named + index;
    memmove(at + 1, at, (memory->named_count - index) * sizeof(memory_node *));
    memory->named_count++;
    *at = node;
    return true;
}

static memory_node *names_take(memory_vfs *memory, size_t index)
{
    memory_node **at = memory->named + index;
    memory_node *node = *at;
    memory->named_count--;
    memmove(at, at + 1, (memory->named_count - index) * sizeof(memory_node *));
    return node;
}

static void names_remove(memory_vfs *memory, size_t index)
{
    memory_node *node = names_take(memory, index);
    free(node->name);
    node->name = NULL;
    node_release(node);
}

/* 0 if the path leads to a file; EPIO_ENOENT; EPIO_EISDIR for a directory;
 * EPIO_ENOTDIR if it needs a directory where a file is; EPIO_ENAMETOOLONG. */
static int find(const memory_vfs *memory, const char *path, place *at)
{
    int result = place_init(at, path);
    if (result < 0) {
        return result;
    }
    for (size_t i = 1; i < at->len; i++) {
        if (at->name[i] == '/' && names_have(memory, at->name, i, &at->index)) {
            return EPIO_ENOTDIR;
        }
    }
    if (at->len == 0 || names_have_below(memory, at)) {
        return EPIO_EISDIR;
    }
    if (names_have(memory, at->name, at->len, &at->index)) {
        return at->directory ? EPIO_ENOTDIR : 0;
    }
    at->vacant = true;
    return EPIO_ENOENT;
}

static char *copy_name(const place *at)
{
    char *name = malloc(at->len + 1);
    if (name != NULL) {
        memcpy(name, at->name, at->len + 1);
    }
    return name;
}

static int create_at(memory_vfs *memory, const place *at, uint32_t flags)
{
    uint32_t mode = flags >> 16;
    memory_node *node = node_create(mode != 0 ? mode & 0777u : DEFAULT_MODE);
    if (node == NULL) {
        return EPIO_ENOMEM;
    }
    node->name = copy_name(at);
    if (node->name == NULL || !names_insert(memory, at->index, node)) {
        node_release(node);
        return EPIO_ENOMEM;
    }
    return 0;
}

/* Returns a reference to the node. A temporary one has no name, so that no other open finds it. */
static int open_node(memory_vfs *memory, const char *path, uint32_t flags, memory_node **node)
{
    if ((flags & EPIO_OPEN_TEMPORARY) != 0) {
        *node = node_create(TEMPORARY_MODE);
        return *node != NULL ? 0 : EPIO_ENOMEM;
    }
    place at;
    int result = find(memory, path, &at);
    if (at.vacant && (flags & EPIO_OPEN_CREATE) != 0) {
        result = at.directory ? EPIO_EISDIR : create_at(memory, &at, flags);
    } else if ((result == 0 || result == EPIO_EISDIR) && (flags & EPIO_OPEN_EXCLUSIVE) != 0) {
        result = EPIO_EEXIST;
    } else if (result == 0 && !node_permits(memory->named[at.index], flags)) {
        result = EPIO_EACCES;
    }
    if (result < 0) {
        return result;
    }
    *node = memory->named[at.index];
    (*node)->references++;
    if ((flags & EPIO_OPEN_TRUNCATE) != 0) {
        node_resize(*node, 0);
    }
    return 0;
}

static int64_t open_file(memory_vfs *memory, epio_op *op)
{
    const char *path = op->arguments.path.path;
    uint32_t deletion = op->flags & (EPIO_OPEN_DELETE_ON_CLOSE | EPIO_OPEN_TEMPORARY);
    size_t path_size = deletion == EPIO_OPEN_DELETE_ON_CLOSE ? strlen(path) + 1 : 0;
    memory_file *file = calloc(1, sizeof *file + path_size);
    if (file == NULL) {
        return EPIO_ENOMEM;
    }
    int result = open_node(memory, path, op->flags, &file->node);
    if (result < 0) {
        free(file);
        return result;
    }
    if (path_size > 0) {
        file->delete_path = memcpy(file + 1, path, path_size);
    }
    epio_file_init(&file->base, &memory->base, op->flags, 0);
    epio__lock_holder_init(&file->lock, &file->node->lock, &file->base, NULL);
    memory->open_files++;
    op->file = &file->base;
    return 0;
}

static int64_t close_file(memory_vfs *memory, memory_file *file)
{
    place at;
    if (file->delete_path != NULL && find(memory, file->delete_path, &at) == 0 &&
        memory->named[at.index] == file->node) {
        names_remove(memory, at.index);
    }
    node_release(file->node);
    memory->open_files--;
    epio_file_release(&file->base);
    epio__file_free(file);
    return 0;
}

static int64_t transfer(memory_vfs *memory, const epio_op *op)
{
    bool vectored = op->kind == EPIO_KIND_READV || op->kind == EPIO_KIND_WRITEV;
    bool writes = op->kind == EPIO_KIND_WRITE || op->kind == EPIO_KIND_WRITEV;
    memory_node *node = node_of(op);
    const epio_iovec whole = {op->arguments.io.base, (size_t)op->arguments.io.len};
    const epio_iovec *parts = vectored ? op->arguments.io.base : &whole;
    uint64_t count_of_parts = vectored ? op->arguments.io.len : 1;
    int64_t total = 0;
    size_t slice = SLICE_SIZE;

    for (uint64_t i = 0; i < count_of_parts; i++) {
        for (size_t done = 0; done < parts[i].len;) {
            unsigned char *base = (unsigned char *)parts[i].base + done;
            size_t count = smaller(slice, parts[i].len - done);
            uint64_t offset = op->arguments.io.offset + (uint64_t)total;
            int64_t moved = (writes ? node_write : node_read)(node, base, count, offset);
            if (moved < 0) {
                return moved;
            }
            total += moved;
            if ((size_t)moved < count) {
                return total;
            }
            done += count;
            slice -= count;
            if (slice == 0) {
                epio__mutex_unlock(&memory->mutex);
                memory_lock(memory);
                slice = SLICE_SIZE;
            }
        }
    }
    return total;
}

static int64_t delete_file(memory_vfs *memory, const epio_op *op)
{
    place at;
    int result = find(memory, op->arguments.path.path, &at);
    if (result == 0) {
        names_remove(memory, at.index);
    }
    return result;
}

/* Is the path one below this directory? */
static bool is_below(const place *directory, const char *path)
{
    place at;
    return place_init(&at, path) == 0 && at.len > directory->len &&
           strncmp(at.name, directory->name, directory->len) == 0 && at.name[directory->len] == '/';
}

static int64_t rename_file(memory_vfs *memory, epio_op *op)
{
    place from;
    place to;
    int result = find(memory, op->arguments.path.path, &from);
    if (result == EPIO_EISDIR && is_below(&from, op->arguments.path.to)) {
        return epio__op_refuse(op, EPIO__REASON_INTO_ITSELF);
    }
    if (result < 0) {
        return result;
    }
    result = find(memory, op->arguments.path.to, &to);
    if ((result == 0 || result == EPIO_EISDIR) && (op->flags & EPIO_RENAME_NO_REPLACE) != 0) {
        return EPIO_EEXIST;
    }
    if (to.vacant) {
        result = to.directory ? EPIO_ENOTDIR : 0;
    }
    if (result < 0 || (!to.vacant && to.index == from.index)) {
        return result;
    }
    char *name = copy_name(&to);
    if (name == NULL) {
        return EPIO_ENOMEM;
    }
    if (!to.vacant) {
        names_remove(memory, to.index);
        from.index -= to.index < from.index;
    }
    memory_node *node = names_take(memory, from.index);
    free(node->name);
    node->name = name;
    (void)names_have(memory, to.name, to.len, &to.index);
    (void)names_insert(memory, to.index, node);
    return 0;
}

static int64_t access_path(const memory_vfs *memory, const epio_op *op)
{
    static const uint32_t directions[] = {0, EPIO_OPEN_READ, EPIO_OPEN_READ | EPIO_OPEN_WRITE};
    place at;
    int result = find(memory, op->arguments.path.path, &at);
    if (result == 0) {
        return node_permits(memory->named[at.index], directions[op->flags]);
    }
    return result == EPIO_ENAMETOOLONG ? result : result == EPIO_EISDIR;
}

static int64_t full_pathname(const memory_vfs *memory, const epio_op *op)
{
    place at;
    int result = find(memory, op->arguments.path.path, &at);
    if (result < 0 && result != EPIO_EISDIR && !at.vacant) {
        return result;
    }
    const char *name = at.len > 0 ? at.name : "/";
    size_t len = at.len > 0 ? at.len : 1;
    if (op->arguments.path.len <= len) {
        return EPIO_ERANGE;
    }
    memcpy(op->arguments.path.buffer, name, len + 1);
    return (int64_t)len;
}

static int64_t perform_locked(memory_vfs *memory, epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_OPEN:
        return open_file(memory, op);
    case EPIO_KIND_CLOSE:
        return close_file(memory, (memory_file *)op->file);
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        return transfer(memory, op);
    case EPIO_KIND_TRUNCATE:
        node_resize(node_of(op), op->arguments.io.offset);
        return 0;
    case EPIO_KIND_SIZE:
        return (int64_t)node_of(op)->size;
    case EPIO_KIND_DELETE:
        return delete_file(memory, op);
    case EPIO_KIND_RENAME:
        return rename_file(memory, op);
    case EPIO_KIND_ACCESS:
        return access_path(memory, op);
    case EPIO_KIND_FULL_PATHNAME:
        return full_pathname(memory, op);
    default: /* an adopt too: there are no descriptors here */
        return EPIO_ENOTSUP;
    }
}

static int64_t memory_perform(epio_vfs *vfs, epio_op *op)
{
    memory_vfs *memory = (memory_vfs *)vfs;
    int64_t result;
    op->os_error = 0;
    if (op->kind == EPIO_KIND_SYNC) {
        return 0;
    }
    if (epio__op_is(op, EPIO__KIND_LOCKS)) {
        return epio__lock_perform(holder_of(op), op);
    }
    if (epio__generic_perform(op, &result)) {
        return result;
    }
    if (op->kind == EPIO_KIND_CLOSE) {
        epio__lock_release_all(holder_of(op));
    }
    memory_lock(memory);
    result = perform_locked(memory, op);
    epio__mutex_unlock(&memory->mutex);
    return result;
}

static void memory_destroy(epio_vfs *vfs)
{
    memory_vfs *memory = (memory_vfs *)vfs;
    if (memory->open_files > 0) {
        epio__fatal("epio_vfs_destroy", "a file of this VFS is still open; close it first");
    }
    epio__registry_remove(&memory->entry);
    while (memory->named_count > 0) {
        names_remove(memory, memory->named_count - 1);
    }
    free(memory->named);
    epio__mutex_destroy(&memory->mutex);
    epio__mutex_destroy(&memory->turn);
    free(memory);
}

#if EPIO_ASYNC

static uint64_t bytes_of(const epio_op *op)
{
    return op->kind == EPIO_KIND_RANDOMNESS ? op->arguments.io.len : epio_op_bytes(op);
}

static void memory_submit(epio_vfs *vfs, epio_op *op)
{
    uint64_t bytes = bytes_of(op);
    op->os_error = 0;
    if (op->kind == EPIO_KIND_SLEEP) {
        epio__generic_submit_sleep(op);
    } else if (op->kind == EPIO_KIND_LOCK) {
        epio__lock_submit(holder_of(op), op);
    } else if (op->kind == EPIO_KIND_WORK || bytes > INLINE_LIMIT) {
        epio_offload(op);
    } else if (bytes != 0 && !epio__loop_spend(vfs->loop, bytes)) {
        epio_defer(op);
    } else {
        epio_complete(op, memory_perform(vfs, op));
    }
}

/* Only locks wait in this VFS: parked and offloaded ops the core ends itself. */
static void memory_cancel(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    if (op->kind == EPIO_KIND_LOCK) {
        epio__lock_cancel(op);
    }
}

/* Only locks are resumed. */
static void memory_resumed(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__lock_resumed(op);
}

#endif

static uint32_t memory_lock_level(const epio_file *file)
{
    return epio__lock_level_of(&((const memory_file *)(const void *)file)->lock);
}

static const epio_vfs_methods memory_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "memory",
#if EPIO_ASYNC
    .submit = memory_submit,
    .cancel = memory_cancel,
    .resumed = memory_resumed,
#endif
    .perform = memory_perform,
    .destroy = memory_destroy,
    .lock_level = memory_lock_level,
};

static memory_vfs *memory_of(epio__entry *entry)
{
    return EPIO__CONTAINER(entry, memory_vfs, entry);
}

/* No other thread changes the files at the fork, so the child's copy is consistent. */
static void before_fork(epio__entry *entry)
{
    memory_vfs *memory = memory_of(entry);
    epio__mutex_lock(&memory->turn);
    epio__mutex_lock(&memory->mutex);
}

static void after_fork(epio__entry *entry, bool in_child)
{
    memory_vfs *memory = memory_of(entry);
    (void)in_child;
    epio__mutex_unlock(&memory->mutex);
    epio__mutex_unlock(&memory->turn);
}

static const epio__entry_methods memory_entry_methods = {
    .before_fork = before_fork,
    .after_fork = after_fork,
};

int epio_memory_vfs_create(epio_vfs **vfs, epio_loop *loop)
{
    if (vfs == NULL) {
        return EPIO_EINVAL;
    }
    memory_vfs *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        return EPIO_ENOMEM;
    }
    memory->base.methods = &memory_methods;
    memory->base.loop = loop;
    epio__mutex_init(&memory->turn);
    epio__mutex_init(&memory->mutex);
    epio__registry_add(&memory->entry, &memory_entry_methods);
    *vfs = &memory->base;
    return 0;
}
