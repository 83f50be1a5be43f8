/* A VFS whose files live in memory, for tests without a disk and for data that needs none. It
 * behaves like a POSIX file system, as Linux's do: a file that was deleted or replaced stays until
 * its last close, and holes cost nothing.
 *
 * Owns the VFS's methods, its open files and its mutex: what each op does, and on which thread. The
 * verbs about names are memory_names.c's, those about what a path leads to memory_lookup.c's, about
 * metadata memory_metadata.c's and memory_xattr.c's, the bytes of a file memory_contents.c's; which
 * watch sees a change is memory_watch.c's. Arguments, the order of syncs, deadlines and worker
 * threads are the core's. */
#include "core/generic_ops.h"
#include "core/registry.h"
#include "fatal.h"
#include "layers/memory_lookup.h"
#include "layers/memory_mapping.h"
#include "layers/memory_metadata.h"
#include "layers/memory_names.h"
#include "layers/memory_space.h"
#include "layers/memory_watch.h"
#include "layers/memory_xattr.h"
#include "platform.h"
#include "reason.h"
#if EPIO_ASYNC
#include "core/loop.h"
#endif

#include <stdlib.h>
#include <string.h>

/* A long copy lets others in between its slices, and above the limit it is offloaded to a worker:
 * the loop's owner never waits for one. The entries of a list are looked up, too, which takes as
 * long as copying many times their bytes: above one slice it is a worker's. */
#define SLICE_SIZE ((size_t)64 * 1024)
#define INLINE_LIMIT EPIO__MEMORY_WHOLE_COPY

#define DEFAULT_MODE 0666u

typedef struct memory_file {
    epio_file base;
    epio__memory_node *node;
    epio__lock_holder lock;

    bool confines;  /* a directory: paths that begin there stay beneath it */
    bool unnoticed; /* reads do not change the time of access */
    bool appends;   /* its writes go to the end */

    /* Behind the file, else NULL: */
    epio__memory_cursor *cursor; /* of a directory */
    const char *delete_path;     /* the name that its close removes */
} memory_file;

typedef struct memory_vfs {
    epio_vfs base;
    epio__entry entry;
    epio__memory_lock lock; /* guards the rest, nodes and their contents included */
    epio__memory_tree tree;
    uint64_t open_files;
    uint64_t mappings;
    bool inherited; /* this process was forked from the one that made it */
} memory_vfs;

static epio__memory_node *node_of(const epio_op *op)
{
    return ((const memory_file *)op->file)->node;
}

static epio__lock_holder *holder_of(const epio_op *op)
{
    return &((memory_file *)(void *)op->file)->lock;
}

static epio__memory_start root_of(memory_vfs *memory)
{
    return (epio__memory_start){&memory->tree, memory->tree.root, false};
}

/* Where the op's paths begin. */
static epio__memory_start start_of(memory_vfs *memory, const epio_op *op)
{
    const epio_file *directory = op->arguments.path.directory;
    epio__memory_start from = root_of(memory);
    if (directory != NULL) {
        const memory_file *file = (const memory_file *)(const void *)directory;
        bool beneath = op->kind == EPIO_KIND_OPEN && (op->flags & EPIO_OPEN_BENEATH) != 0;
        from.directory = file->node;
        from.confines = file->confines || beneath;
    }
    return from;
}

/* ---- Open and close ---- */

/* May the node be opened so? */
static int check_open(const epio__memory_node *node, uint32_t flags)
{
    bool directory = epio__memory_is_directory(node);
    if ((flags & EPIO_OPEN_EXCLUSIVE) != 0) {
        return EPIO_EEXIST;
    }
    if (node->type == EPIO_TYPE_LINK) {
        return EPIO_ELOOP;
    }
    if (directory && (flags & (EPIO_OPEN_CREATE | EPIO_OPEN_WRITE)) != 0) {
        return EPIO_EISDIR;
    }
    uint32_t wanted = (flags & EPIO_OPEN_READ) != 0 ? EPIO__MEMORY_READ : 0;
    wanted |= (flags & EPIO_OPEN_WRITE) != 0 ? EPIO__MEMORY_WRITE : 0;
    if (!epio__memory_permits(node, wanted)) {
        return EPIO_EACCES;
    }
    return directory && (flags & EPIO_OPEN_DIRECTORY) == 0 ? EPIO_EISDIR : 0;
}

static void truncate_node(epio__memory_node *node, uint64_t size)
{
    epio__memory_resize(&node->contents, size);
    epio__memory_note_modified(node);
}

/* Opens what the path leads to, or makes it: 0 and a reference to the node. */
static int open_path(const epio__memory_start *from, const epio_op *op, epio__memory_node **node)
{
    epio__memory_walk walk;
    uint32_t no_follow = EPIO_OPEN_NOFOLLOW | EPIO_OPEN_EXCLUSIVE;
    uint32_t flags = (op->flags & no_follow) == 0 ? EPIO__MEMORY_FOLLOW : 0;
    flags |= (op->flags & EPIO_OPEN_DIRECTORY) != 0 ? EPIO__MEMORY_DIRECTORY : 0;
    flags |= (op->flags & EPIO_OPEN_CREATE) != 0 ? EPIO__MEMORY_CREATE : 0;
    int result = epio__memory_walk_path(&walk, from, op->arguments.path.path, flags);
    *node = walk.node;
    if (result == 0) {
        result = check_open(*node, op->flags);
        if (result == 0 && (op->flags & EPIO_OPEN_TRUNCATE) != 0) {
            truncate_node(*node, 0);
            epio__memory_watch_changed(from->tree, op, 0, *node);
        }
    } else if (walk.vacant && (op->flags & EPIO_OPEN_CREATE) != 0) {
        bool given = (op->flags & EPIO_OPEN_PERMISSIONS(0)) != 0;
        uint32_t mode = given ? (op->flags >> 16) & 0777u : DEFAULT_MODE;
        result = epio__memory_make(&walk, EPIO_TYPE_FILE, mode, NULL, node);
    }
    if (result == 0) {
        (*node)->references++;
    }
    return result;
}

static int64_t open_file(memory_vfs *memory, const epio__memory_start *from, epio_op *op)
{
    char delete_path[EPIO__MEMORY_PATH_SIZE];
    uint32_t deletion = op->flags & (EPIO_OPEN_DELETE_ON_CLOSE | EPIO_OPEN_TEMPORARY);
    if (from->confines && deletion != 0) {
        return EPIO_ENOTSUP;
    }
    bool directory = (op->flags & EPIO_OPEN_DIRECTORY) != 0;
    size_t room = directory ? sizeof(epio__memory_cursor) : 0;
    if (deletion == EPIO_OPEN_DELETE_ON_CLOSE) {
        bool followed;
        int64_t len = epio__memory_full_path(from, op->arguments.path.path, delete_path, &followed);
        if (len < 0) {
            return len;
        }
        room = (size_t)len + 1;
    }
    memory_file *file = calloc(1, sizeof *file + room);
    if (file == NULL) {
        return EPIO_ENOMEM;
    }
    int result = (op->flags & EPIO_OPEN_TEMPORARY) != 0
                     ? epio__memory_make_temporary(from, op->arguments.path.path, &file->node)
                     : open_path(from, op, &file->node);
    if (result < 0) {
        free(file);
        return result;
    }
    if (directory) {
        file->confines = from->confines || (op->flags & EPIO_OPEN_BENEATH) != 0;
        file->cursor = (epio__memory_cursor *)(file + 1);
    } else if (room > 0) {
        file->delete_path = memcpy(file + 1, delete_path, room);
    }
    file->unnoticed = (op->flags & EPIO_OPEN_NOATIME) != 0;
    file->appends = (op->flags & EPIO_OPEN_APPEND) != 0;
    epio_file_init(&file->base, &memory->base, op->flags,
                   (directory ? EPIO_FILE_DIRECTORY : 0) | (file->appends ? EPIO_FILE_APPENDS : 0));
    epio__lock_holder_init(&file->lock, &file->node->lock, &file->base, NULL);
    memory->open_files++;
    op->file = &file->base;
    return 0;
}

/* 0 if the name is already gone, or now belongs to another file. */
static int64_t remove_name(memory_vfs *memory, const memory_file *file)
{
    const epio__memory_start root = root_of(memory);
    epio__memory_walk walk;
    int result = epio__memory_walk_path(&walk, &root, file->delete_path, 0);
    if (result < 0) {
        return result == EPIO_ENOENT || result == EPIO_ENOTDIR ? 0 : result;
    }
    return walk.node == file->node ? epio__memory_delete(&root, file->delete_path) : 0;
}

static int64_t close_file(memory_vfs *memory, memory_file *file)
{
    int64_t result = file->delete_path != NULL ? remove_name(memory, file) : 0;
    epio__memory_node_release(file->node);
    memory->open_files--;
    epio_file_release(&file->base);
    epio__file_free(file);
    return result;
}

/* ---- Watches ---- */

static int64_t open_watch(memory_vfs *memory, const epio__memory_start *from, epio_op *op)
{
    int64_t result = epio__memory_watch_open(from, &memory->base, op);
    memory->open_files += result == 0 ? 1 : 0;
    return result;
}

static bool is_on_watch(const epio_op *op)
{
    return epio__op_has_file(op) && epio__file_is_watch(op->file);
}

static int64_t perform_on_watch(memory_vfs *memory, epio_op *op)
{
    epio__watch *watch = epio__watch_of(op->file);
    if (op->kind == EPIO_KIND_READ_EVENTS) {
        return epio__watch_perform(watch, op);
    }
    if (op->kind != EPIO_KIND_CLOSE) {
        return EPIO_EBADF;
    }
    epio__memory_lock_acquire(&memory->lock);
    epio__memory_watch_end(&memory->tree, watch);
    memory->open_files--;
    epio__memory_lock_release(&memory->lock);
    epio__watch_free(watch);
    return 0;
}

/* ---- Reads and writes ---- */

static size_t smaller(size_t one, size_t other)
{
    return other < one ? other : one;
}

static int64_t copy(memory_vfs *memory, const epio_op *op, bool writes)
{
    bool vectored = op->kind == EPIO_KIND_READV || op->kind == EPIO_KIND_WRITEV;
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
                epio__memory_let_others_in(&memory->lock);
                slice = SLICE_SIZE;
            }
        }
    }
    return total;
}

static int64_t transfer(memory_vfs *memory, const epio_op *op)
{
    bool writes = op->kind == EPIO_KIND_WRITE || op->kind == EPIO_KIND_WRITEV;
    if (writes && ((const memory_file *)op->file)->appends) {
        return epio__memory_append_op(&memory->lock, node_of(op), op);
    }
    int64_t result = copy(memory, op, writes);
    if (writes && result != 0) {
        epio__memory_note_modified(node_of(op)); /* a failure has perhaps written a part */
    } else if (epio_op_bytes(op) != 0 && !((const memory_file *)op->file)->unnoticed) {
        epio__memory_note_accessed(node_of(op));
    }
    return result;
}

/* From a file of another VFS it is read and written. */
static int64_t copy_range(memory_vfs *memory, epio_op *op)
{
    const memory_file *from = (const memory_file *)(const void *)op->arguments.copy.from;
    if (from->base.vfs != &memory->base) {
        return EPIO_ENOTSUP;
    }
    int64_t result = epio__memory_copy_op(&memory->lock, from->node, node_of(op), op);
    if (result > 0 && !from->unnoticed) {
        epio__memory_note_accessed(from->node);
    }
    return result;
}

/* ---- Lists ---- */

/* What is made or removed between two slices may be in the list or not, as between two calls. */
static int64_t list(memory_vfs *memory, const epio_op *op)
{
    const memory_file *file = (const memory_file *)(const void *)op->file;
    size_t len = (size_t)op->arguments.path.len;
    size_t filled = 0;
    if ((op->flags & EPIO_LIST_REWIND) != 0) {
        file->cursor->len = 0;
    }
    for (;;) {
        int64_t more = epio__memory_list(&memory->tree, file->node, file->cursor,
                                         op->arguments.path.buffer + filled,
                                         smaller(SLICE_SIZE, len - filled));
        if (more <= 0) {
            return filled != 0 ? (int64_t)filled : more;
        }
        filled += (size_t)more;
        epio__memory_let_others_in(&memory->lock);
    }
}

/* ---- Paths ---- */

static int64_t perform_path(memory_vfs *memory, epio_op *op)
{
    if (op->arguments.path.directory != NULL &&
        op->arguments.path.directory->vfs != &memory->base) {
        return EPIO_ENOTSUP;
    }
    const epio__memory_start from = start_of(memory, op);
    switch (op->kind) {
    case EPIO_KIND_OPEN:
        return open_file(memory, &from, op);
    case EPIO_KIND_WATCH:
        return open_watch(memory, &from, op);
    case EPIO_KIND_DELETE:
        return epio__memory_delete(&from, op->arguments.path.path);
    case EPIO_KIND_RENAME:
        return epio__memory_rename(&from, op);
    case EPIO_KIND_FULL_PATHNAME:
        return epio__memory_full_pathname(&from, op);
    case EPIO_KIND_ACCESS:
    case EPIO_KIND_STAT:
    case EPIO_KIND_SET_TIMES:
    case EPIO_KIND_SET_MODE:
    case EPIO_KIND_SET_OWNER:
    case EPIO_KIND_GET_XATTR:
    case EPIO_KIND_SET_XATTR:
    case EPIO_KIND_LIST_XATTRS:
    case EPIO_KIND_REMOVE_XATTR:
    case EPIO_KIND_FILE_SYSTEM_INFO:
        return epio__memory_perform_on_path(&from, op);
    case EPIO_KIND_MKDIR:
        return epio__memory_mkdir(&from, op);
    case EPIO_KIND_RMDIR:
        return epio__memory_rmdir(&from, op);
    case EPIO_KIND_SYNC_DIRECTORY:
        return epio__memory_sync_directory(&from, op);
    case EPIO_KIND_TEMPORARY_DIRECTORY:
        return epio__memory_temporary_directory(&from, op);
    case EPIO_KIND_LINK_FILE:
        return epio__memory_link_file(&from, op);
    case EPIO_KIND_SYMLINK:
        return epio__memory_symlink(&from, op);
    case EPIO_KIND_READ_LINK:
        return epio__memory_read_link(&from, op);
    case EPIO_KIND_EXCHANGE:
        return epio__memory_exchange(&from, op);
    default:
        return EPIO_ENOTSUP;
    }
}

/* ---- The VFS ---- */

static int64_t perform_file(memory_vfs *memory, epio_op *op)
{
    int64_t result;
    memory_file *file = (memory_file *)op->file;
    const epio__memory_start root = root_of(memory);
    switch (op->kind) {
    case EPIO_KIND_READ:
    case EPIO_KIND_READV:
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        return transfer(memory, op);
    case EPIO_KIND_TRUNCATE:
        truncate_node(file->node, op->arguments.io.offset);
        return 0;
    case EPIO_KIND_APPEND:
        return epio__memory_append_op(&memory->lock, file->node, op);
    case EPIO_KIND_ALLOCATE:
    case EPIO_KIND_PUNCH_HOLE:
    case EPIO_KIND_ZERO_RANGE:
        return epio__memory_change_space(&memory->lock, file->node, op);
    case EPIO_KIND_SEEK_DATA:
    case EPIO_KIND_SEEK_HOLE:
        return epio__memory_seek_op(file->node, op);
    case EPIO_KIND_COPY_RANGE:
        return copy_range(memory, op);
    case EPIO_KIND_ADVISE:
        return 0; /* there is no cache */
    case EPIO_KIND_SIZE:
        return (int64_t)file->node->contents.size;
    case EPIO_KIND_FILE_STAT:
        return epio__memory_stat(&memory->tree, file->node, op);
    case EPIO_KIND_FILE_SET_TIMES:
        return epio__memory_set_times(file->node, op);
    case EPIO_KIND_FILE_SET_MODE:
        return epio__memory_set_mode(file->node, op);
    case EPIO_KIND_FILE_SET_OWNER:
        return epio__memory_set_owner(file->node, op);
    case EPIO_KIND_FILE_GET_XATTR:
    case EPIO_KIND_FILE_SET_XATTR:
    case EPIO_KIND_FILE_LIST_XATTRS:
    case EPIO_KIND_FILE_REMOVE_XATTR:
        return epio__memory_xattr(file->node, op);
    case EPIO_KIND_LIST:
        return list(memory, op);
    case EPIO_KIND_NAME_TEMPORARY:
        return epio__memory_name_temporary(&root, file->node, op);
    case EPIO_KIND_MAP:
        result = epio__memory_map(&memory->lock, file->node, op);
        memory->mappings += result == 0;
        return result;
    default:
        return EPIO_ENOTSUP;
    }
}

/* An adopt is none of these: there are no descriptors here. */
static int64_t perform_locked(memory_vfs *memory, epio_op *op)
{
    if (epio__op_is(op, EPIO__KIND_ON_PATH)) {
        return perform_path(memory, op);
    }
    if (op->kind == EPIO_KIND_SYNC_MAPPING) {
        return epio__memory_sync_mapping(op);
    }
    if (op->kind == EPIO_KIND_UNMAP) {
        memory->mappings--;
        return epio__memory_unmap(op);
    }
    if (!epio__op_has_file(op)) {
        return EPIO_ENOTSUP;
    }
    if (op->kind == EPIO_KIND_CLOSE) {
        return close_file(memory, (memory_file *)op->file);
    }
    int64_t result = perform_file(memory, op);
    if (op->file != NULL) { /* kinds of the user's may have none */
        epio__memory_watch_changed(&memory->tree, op, result, node_of(op));
    }
    return result;
}

static int64_t memory_perform(epio_vfs *vfs, epio_op *op)
{
    memory_vfs *memory = (memory_vfs *)vfs;
    int64_t result;
    op->os_error = 0;
    if (is_on_watch(op)) {
        return perform_on_watch(memory, op);
    }
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
    epio__memory_lock_acquire(&memory->lock);
    result = perform_locked(memory, op);
    epio__memory_lock_release(&memory->lock);
    return result;
}

static void memory_destroy(epio_vfs *vfs)
{
    memory_vfs *memory = (memory_vfs *)vfs;
    if (memory->open_files > 0 && !memory->inherited) {
        epio__fatal("epio_vfs_destroy", "a file of this VFS is still open; close it first");
    }
    if (memory->mappings > 0 && !memory->inherited) {
        epio__fatal("epio_vfs_destroy", "a mapping of this VFS is still there; unmap it first");
    }
    epio__registry_remove(&memory->entry);
    epio__memory_tree_free(&memory->tree);
    epio__mutex_destroy(&memory->lock.mutex);
    epio__mutex_destroy(&memory->lock.turnstile);
    free(memory);
}

#if EPIO_ASYNC

static uint64_t bytes_of(const epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_LIST:
        return op->arguments.path.len <= SLICE_SIZE ? op->arguments.path.len : INLINE_LIMIT + 1;
    case EPIO_KIND_ALLOCATE:
    case EPIO_KIND_PUNCH_HOLE:
    case EPIO_KIND_ZERO_RANGE:
        return op->arguments.io.len; /* how much of it is a hole is not known yet */
    case EPIO_KIND_COPY_RANGE:
        return op->arguments.copy.len;
    case EPIO_KIND_MAP:
        return op->arguments.map.len; /* which may have to be copied */
    default:
        break;
    }
    return op->kind == EPIO_KIND_RANDOMNESS ? op->arguments.io.len : epio_op_bytes(op);
}

static void memory_submit(epio_vfs *vfs, epio_op *op)
{
    uint64_t bytes = bytes_of(op);
    op->os_error = 0;
    if (op->kind == EPIO_KIND_SLEEP) {
        epio__generic_submit_sleep(op);
    } else if (is_on_watch(op) && op->kind == EPIO_KIND_READ_EVENTS) {
        epio__watch_submit(epio__watch_of(op->file), op);
    } else if (epio__lock_is_request(op) && !is_on_watch(op)) {
        epio__lock_submit(holder_of(op), op);
    } else if (op->kind == EPIO_KIND_WORK || bytes > INLINE_LIMIT) {
        epio_offload(op);
    } else if (bytes != 0 && !epio__loop_spend(vfs->loop, bytes)) {
        epio_defer(op);
    } else {
        epio_complete(op, memory_perform(vfs, op));
    }
}

/* Only locks and events are waited for: parked and offloaded ops the core ends itself. */
static void memory_cancel(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    if (epio__lock_is_request(op)) {
        epio__lock_cancel(op);
    } else if (op->kind == EPIO_KIND_READ_EVENTS) {
        epio__watch_cancel(op);
    }
}

/* Only those are resumed, and of those only locks set alarms: a level to which a range looks like
 * another process. */
static void memory_resumed(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    if (op->kind == EPIO_KIND_READ_EVENTS) {
        epio__watch_resumed(op);
    } else {
        epio__lock_resumed(op);
    }
}

static void memory_alarm(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__lock_alarm(op);
}

#endif

static uint32_t memory_lock_level(const epio_file *file)
{
    return epio__file_is_watch(file)
               ? EPIO_LOCK_NONE
               : epio__lock_level_of(&((const memory_file *)(const void *)file)->lock);
}

static const epio_vfs_methods memory_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "memory",
#if EPIO_ASYNC
    .submit = memory_submit,
    .cancel = memory_cancel,
    .alarm = memory_alarm,
    .resumed = memory_resumed,
#endif
    .perform = memory_perform,
    .destroy = memory_destroy,
    .lock_level = memory_lock_level,
};

static memory_vfs *memory_of(epio__entry *entry)
{
    return EPIO_CONTAINER(entry, memory_vfs, entry);
}

/* No other thread changes the files at the fork, so the child's copy is consistent. */
static void before_fork(epio__entry *entry)
{
    memory_vfs *memory = memory_of(entry);
    epio__mutex_lock(&memory->lock.turnstile);
    epio__mutex_lock(&memory->lock.mutex);
}

static void after_fork(epio__entry *entry, bool in_child)
{
    memory_vfs *memory = memory_of(entry);
    memory->inherited |= in_child;
    epio__mutex_unlock(&memory->lock.mutex);
    epio__mutex_unlock(&memory->lock.turnstile);
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
    if (memory == NULL || epio__memory_tree_init(&memory->tree) < 0) {
        free(memory);
        return EPIO_ENOMEM;
    }
    memory->base.methods = &memory_methods;
    memory->base.loop = loop;
    epio__mutex_init(&memory->lock.turnstile);
    epio__mutex_init(&memory->lock.mutex);
    epio__registry_add(&memory->entry, &memory_entry_methods);
    *vfs = &memory->base;
    return 0;
}
