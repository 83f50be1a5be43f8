/* A VFS whose files live in memory, for tests without a disk and for data that needs none. It
 * behaves like a POSIX file system: a file that was deleted or replaced stays until its last close,
 * and holes cost nothing.
 *
 * Owns the VFS's methods, its open files and its mutex: what each op does, and on which thread. The
 * bytes of a file are memory_contents.c's, the names memory_names.c's. Arguments, the order of
 * syncs, deadlines and worker threads are the core's. */
#include "core/generic_ops.h"
#include "core/registry.h"
#include "fatal.h"
#include "layers/memory_names.h"
#include "platform.h"
#include "reason.h"
#if EPIO_ASYNC
#include "core/loop.h"
#endif

#include <stdlib.h>
#include <string.h>

/* A long copy lets others in between its slices, and above the limit it is offloaded to a worker:
 * the loop's owner never waits for one. */
#define SLICE_SIZE ((size_t)64 * 1024)
#define INLINE_LIMIT ((uint64_t)1024 * 1024)

#define DEFAULT_MODE 0666u
#define TEMPORARY_MODE 0600u

typedef struct memory_file {
    epio_file base;
    epio__memory_node *node;
    epio__lock_holder lock;
    const char *delete_path; /* behind the file; NULL: nothing is deleted at close */
} memory_file;

typedef struct memory_vfs {
    epio_vfs base;
    epio__entry entry;
    epio__mutex turnstile; /* held by the next thread that gets `mutex` */
    epio__mutex mutex;     /* guards the rest, nodes and their contents included */
    epio__memory_names names;
    uint64_t open_files;
} memory_vfs;

static epio__memory_node *node_of(const epio_op *op)
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
    epio__mutex_lock(&memory->turnstile);
    epio__mutex_lock(&memory->mutex);
    epio__mutex_unlock(&memory->turnstile);
}

/* ---- Open and close ---- */

static int create_file(memory_vfs *memory, const epio__memory_path *vacant, uint32_t flags)
{
    uint32_t mode = flags >> 16;
    epio__memory_node *node = epio__memory_node_create(mode != 0 ? mode & 0777u : DEFAULT_MODE);
    if (node == NULL) {
        return EPIO_ENOMEM;
    }
    int result = epio__memory_names_add(&memory->names, vacant, node);
    if (result < 0) {
        epio__memory_node_release(node);
    }
    return result;
}

/* Returns a reference to the node. A temporary one has no name, so that no other open finds it. */
static int open_node(memory_vfs *memory, const char *path, uint32_t flags, epio__memory_node **node)
{
    if ((flags & EPIO_OPEN_TEMPORARY) != 0) {
        *node = epio__memory_node_create(TEMPORARY_MODE);
        return *node != NULL ? 0 : EPIO_ENOMEM;
    }
    epio__memory_path at;
    int result = epio__memory_names_find(&memory->names, path, &at);
    if (at.vacant && (flags & EPIO_OPEN_CREATE) != 0) {
        result = at.directory ? EPIO_EISDIR : create_file(memory, &at, flags);
    } else if ((result == 0 || result == EPIO_EISDIR) && (flags & EPIO_OPEN_EXCLUSIVE) != 0) {
        result = EPIO_EEXIST;
    } else if (result == 0 &&
               !epio__memory_node_permits(epio__memory_names_node(&memory->names, &at), flags)) {
        result = EPIO_EACCES;
    }
    if (result < 0) {
        return result;
    }
    *node = epio__memory_names_node(&memory->names, &at);
    (*node)->references++;
    if ((flags & EPIO_OPEN_TRUNCATE) != 0) {
        epio__memory_resize(&(*node)->contents, 0);
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
    epio__memory_path at;
    if (file->delete_path != NULL &&
        epio__memory_names_find(&memory->names, file->delete_path, &at) == 0 &&
        epio__memory_names_node(&memory->names, &at) == file->node) {
        epio__memory_names_remove(&memory->names, &at);
    }
    epio__memory_node_release(file->node);
    memory->open_files--;
    epio_file_release(&file->base);
    epio__file_free(file);
    return 0;
}

/* ---- Reads and writes ---- */

static size_t smaller(size_t one, size_t other)
{
    return other < one ? other : one;
}

static int64_t transfer(memory_vfs *memory, const epio_op *op)
{
    bool vectored = op->kind == EPIO_KIND_READV || op->kind == EPIO_KIND_WRITEV;
    bool writes = op->kind == EPIO_KIND_WRITE || op->kind == EPIO_KIND_WRITEV;
    epio__memory_contents *contents = &node_of(op)->contents;
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
            int64_t moved = writes ? epio__memory_write(contents, base, count, offset)
                                   : epio__memory_read(contents, base, count, offset);
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

/* ---- Paths ---- */

static int64_t delete_file(memory_vfs *memory, const epio_op *op)
{
    epio__memory_path at;
    int result = epio__memory_names_find(&memory->names, op->arguments.path.path, &at);
    if (result == 0) {
        epio__memory_names_remove(&memory->names, &at);
    }
    return result;
}

static int64_t rename_file(memory_vfs *memory, epio_op *op)
{
    epio__memory_path from;
    epio__memory_path to;
    int result = epio__memory_names_find(&memory->names, op->arguments.path.path, &from);
    if (result == EPIO_EISDIR && epio__memory_path_is_below(&from, op->arguments.path.to)) {
        return epio__op_refuse(op, EPIO__REASON_INTO_ITSELF);
    }
    if (result < 0) {
        return result;
    }
    result = epio__memory_names_find(&memory->names, op->arguments.path.to, &to);
    if ((result == 0 || result == EPIO_EISDIR) && (op->flags & EPIO_RENAME_NO_REPLACE) != 0) {
        return EPIO_EEXIST;
    }
    if (to.vacant) {
        result = to.directory ? EPIO_ENOTDIR : 0;
    }
    if (result < 0 || (!to.vacant && to.index == from.index)) {
        return result;
    }
    return epio__memory_names_move(&memory->names, &from, &to);
}

static int64_t access_path(const memory_vfs *memory, const epio_op *op)
{
    static const uint32_t directions[] = {0, EPIO_OPEN_READ, EPIO_OPEN_READ | EPIO_OPEN_WRITE};
    epio__memory_path at;
    int result = epio__memory_names_find(&memory->names, op->arguments.path.path, &at);
    if (result == 0) {
        return epio__memory_node_permits(epio__memory_names_node(&memory->names, &at),
                                         directions[op->flags]);
    }
    return result == EPIO_ENAMETOOLONG ? result : result == EPIO_EISDIR;
}

static int64_t full_pathname(const memory_vfs *memory, const epio_op *op)
{
    epio__memory_path at;
    int result = epio__memory_names_find(&memory->names, op->arguments.path.path, &at);
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

/* ---- The VFS ---- */

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
        epio__memory_resize(&node_of(op)->contents, op->arguments.io.offset);
        return 0;
    case EPIO_KIND_SIZE:
        return (int64_t)node_of(op)->contents.size;
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
    if (op->kind == EPIO_KIND_SYNC || op->kind == EPIO_KIND_SYNC_DIRECTORY) {
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
    epio__memory_names_remove_all(&memory->names);
    epio__mutex_destroy(&memory->mutex);
    epio__mutex_destroy(&memory->turnstile);
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
    epio__mutex_lock(&memory->turnstile);
    epio__mutex_lock(&memory->mutex);
}

static void after_fork(epio__entry *entry, bool in_child)
{
    memory_vfs *memory = memory_of(entry);
    (void)in_child;
    epio__mutex_unlock(&memory->mutex);
    epio__mutex_unlock(&memory->turnstile);
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
    epio__mutex_init(&memory->turnstile);
    epio__mutex_init(&memory->mutex);
    epio__registry_add(&memory->entry, &memory_entry_methods);
    *vfs = &memory->base;
    return 0;
}
