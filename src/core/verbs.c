/* The verbs that concern open files, the names of files, and a VFS as such: each checks its
 * arguments and stores them in the op. The runners decide how and when it is carried out. */
#include "core/semaphore.h"
#include "core/verb.h"
#include "fatal.h"

#define OPEN_FLAGS                                                                                 \
    (EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE |                   \
     EPIO_OPEN_TRUNCATE | EPIO_OPEN_DELETE_ON_CLOSE | EPIO_OPEN_DIRECT | EPIO_OPEN_NOFOLLOW |      \
     EPIO_OPEN_SYNC_DIR | EPIO_OPEN_TEMPORARY | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH |          \
     EPIO_OPEN_SEQUENTIAL | EPIO_OPEN_RANDOM | EPIO_OPEN_NOATIME | EPIO_OPEN_EXACT |               \
     EPIO_OPEN_APPEND | EPIO_OPEN_PERMISSIONS(0777))
#define DIRECTORY_FLAGS                                                                            \
    (EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW | EPIO_OPEN_DIRECTORY | EPIO_OPEN_BENEATH)

static bool gives_permissions(uint32_t flags)
{
    return (flags & EPIO_OPEN_PERMISSIONS(0)) != 0 && (flags & EPIO_OPEN_CREATE) != 0;
}

epio_op *epio_open(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags)
{
    epio__verb_on_vfs(op, "epio_open", EPIO_KIND_OPEN, vfs);
    if ((flags & EPIO_OPEN_TEMPORARY) != 0) {
        flags |= EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE |
                 EPIO_OPEN_DELETE_ON_CLOSE;
    }
    op->arguments.path.path = path;
    op->arguments.path.len = 0;
    op->flags = flags;
    bool reads_or_writes = (flags & (EPIO_OPEN_READ | EPIO_OPEN_WRITE)) != 0;
    if (path != NULL || (flags & EPIO_OPEN_TEMPORARY) == 0) {
        epio__verb_require_path(op, path, EPIO__REASON_PATH_IS_NULL);
    }
    epio__verb_require(op, (flags & ~OPEN_FLAGS) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require_permissions(op);
    epio__verb_require(op, (flags & EPIO_OPEN_TRUNCATE) == 0 || (flags & EPIO_OPEN_WRITE) != 0,
                       EPIO__REASON_TRUNCATE_ALONE);
    epio__verb_require(op, (flags & EPIO_OPEN_APPEND) == 0 || (flags & EPIO_OPEN_WRITE) != 0,
                       EPIO__REASON_APPEND_ALONE);
    epio__verb_require(op, (flags & EPIO_OPEN_EXCLUSIVE) == 0 || (flags & EPIO_OPEN_CREATE) != 0,
                       EPIO__REASON_EXCLUSIVE_ALONE);
    epio__verb_require(op, (flags & EPIO_OPEN_CREATE) == 0 || reads_or_writes,
                       EPIO__REASON_CREATE_ALONE);
    epio__verb_require(op, reads_or_writes,
                       (flags & EPIO_OPEN_DIRECTORY) != 0 ? EPIO__REASON_DIRECTORY_FLAGS
                                                          : EPIO__REASON_NO_DIRECTION);
    epio__verb_require(op, (flags & EPIO_OPEN_EXACT) == 0 || gives_permissions(flags),
                       EPIO__REASON_EXACT_ALONE);
    epio__verb_require(op, (flags & EPIO_OPEN_DIRECTORY) == 0 || (flags & ~DIRECTORY_FLAGS) == 0,
                       EPIO__REASON_DIRECTORY_FLAGS);
    epio__verb_require(op,
                       (flags & (EPIO_OPEN_BENEATH | EPIO_OPEN_DIRECTORY)) != EPIO_OPEN_BENEATH ||
                           op->arguments.path.directory != NULL,
                       EPIO__REASON_BENEATH_NOTHING);
    return op;
}

epio_op *epio_adopt(epio_op *op, epio_vfs *vfs, intptr_t os_handle, uint32_t flags)
{
    epio__verb_on_vfs(op, "epio_adopt", EPIO_KIND_ADOPT, vfs);
    op->arguments.adopt.os_handle = os_handle;
    op->flags = flags;
    epio__verb_require(op, (flags & ~(EPIO_OPEN_READ | EPIO_OPEN_WRITE)) == 0,
                       EPIO__REASON_UNKNOWN_FLAGS);
    return op;
}

epio_op *epio_close(epio_op *op, epio_file *file)
{
    return epio__verb_on_file(op, "epio_close", EPIO_KIND_CLOSE, file);
}

static bool no_part_is_null(const epio_iovec *parts, uint64_t count)
{
    for (uint64_t i = 0; parts != NULL && i < count; i++) {
        if (parts[i].base == NULL && parts[i].len != 0) {
            return false;
        }
    }
    return true;
}

/* A read or write of `bytes` in total; `len` is that, or the number of parts. */
static epio_op *prepare_transfer(epio_op *op, const char *function, uint8_t kind, epio_file *file,
                                 const void *base, uint64_t len, uint64_t bytes, uint64_t offset)
{
    epio__verb_on_file(op, function, kind, file);
    /* A write's buffer is only read; the op has one field for both. */
    op->arguments.io.base = (void *)(uintptr_t)base;
    op->arguments.io.len = len;
    op->arguments.io.offset = offset;
    if (file == NULL) {
        return op;
    }
    bool vectored = kind == EPIO_KIND_READV || kind == EPIO_KIND_WRITEV;
    bool stream = (file->attributes & EPIO_FILE_STREAM) != 0;
    epio__verb_require(op, base != NULL || len == 0,
                       vectored ? EPIO__REASON_PARTS_ARE_NULL : EPIO__REASON_BUFFER_IS_NULL);
    epio__verb_require(op, !vectored || no_part_is_null(base, len), EPIO__REASON_PART_IS_NULL);
    epio__verb_require(op, stream || (bytes <= INT64_MAX && offset <= INT64_MAX - bytes),
                       EPIO__REASON_BEYOND_LIMIT);
    epio__verb_require(op, bytes <= INT64_MAX, EPIO__REASON_TOO_LONG);
    bool writes = kind == EPIO_KIND_WRITE || kind == EPIO_KIND_WRITEV;
    epio__verb_require_direction(op, writes ? EPIO_OPEN_WRITE : EPIO_OPEN_READ);
    return op;
}

/* The short form for an op that is new, or was used before, and valid arguments, without any call.
 * False: nothing was done. */
static inline bool prepare_short(epio_op *op, uint8_t kind, epio_file *file, const void *base,
                                 size_t len, uint64_t offset, uint32_t direction)
{
    if (op == NULL || file == NULL || (file->fast & direction) == 0 || base == NULL) {
        return false;
    }
    uint32_t before = epio__load_u32(&op->state);
    if (before != EPIO__STATE_DONE && before != EPIO__STATE_ZEROED) {
        return false;
    }
    uint64_t end = offset + len; /* all are below 2^63 if none has the highest bit */
    if (((offset | len | end) >> 63) != 0) {
        return false;
    }
    bool reads = kind == EPIO_KIND_READ;
    epio_loop *loop = file->vfs->loop;
    uint32_t state = loop == NULL ? EPIO__STATE_PREPARED
                     : reads      ? EPIO__STATE_FAST_READ
                                  : EPIO__STATE_FAST_WRITE;
    uint8_t fast = state == EPIO__STATE_FAST_READ ? EPIO__FAST : EPIO__FAST_NOT;
    epio__verb_fill(op, kind, fast, file->vfs, loop);
    op->result = EPIO_EPENDING; /* here, so that submit need not set it */
    op->file = file;
    op->arguments.io.base = (void *)(uintptr_t)base;
    op->arguments.io.len = len;
    op->arguments.io.offset = offset;
    epio__store_relaxed_u32(&op->state, state);
    return true;
}

epio_op *epio_read(epio_op *op, epio_file *file, void *buffer, size_t len, uint64_t offset)
{
    if (prepare_short(op, EPIO_KIND_READ, file, buffer, len, offset, EPIO_OPEN_READ)) {
        return op;
    }
    return prepare_transfer(op, "epio_read", EPIO_KIND_READ, file, buffer, len, len, offset);
}

epio_op *epio_readv(epio_op *op, epio_file *file, const epio_iovec *parts, size_t count,
                    uint64_t offset)
{
    return prepare_transfer(op, "epio_readv", EPIO_KIND_READV, file, parts, count,
                            epio__bytes_of_parts(parts, count), offset);
}

epio_op *epio_write(epio_op *op, epio_file *file, const void *buffer, size_t len, uint64_t offset)
{
    if (prepare_short(op, EPIO_KIND_WRITE, file, buffer, len, offset, EPIO_OPEN_WRITE)) {
        return op;
    }
    return prepare_transfer(op, "epio_write", EPIO_KIND_WRITE, file, buffer, len, len, offset);
}

epio_op *epio_writev(epio_op *op, epio_file *file, const epio_iovec *parts, size_t count,
                     uint64_t offset)
{
    return prepare_transfer(op, "epio_writev", EPIO_KIND_WRITEV, file, parts, count,
                            epio__bytes_of_parts(parts, count), offset);
}

epio_op *epio_truncate(epio_op *op, epio_file *file, uint64_t size)
{
    epio__verb_on_file(op, "epio_truncate", EPIO_KIND_TRUNCATE, file);
    op->arguments.io.offset = size;
    epio__verb_require(op, size <= INT64_MAX, EPIO__REASON_SIZE_BEYOND_LIMIT);
    epio__verb_require_direction(op, EPIO_OPEN_WRITE);
    epio__verb_require(op, file == NULL || (file->attributes & EPIO_FILE_STREAM) == 0,
                       EPIO__REASON_STREAM_SIZE);
    return op;
}

epio_op *epio_sync(epio_op *op, epio_file *file, uint32_t mode)
{
    epio__verb_on_file(op, "epio_sync", EPIO_KIND_SYNC, file);
    op->flags = mode;
    epio__verb_require(op, mode <= EPIO_SYNC_DATA_ONLY, EPIO__REASON_UNKNOWN_MODE);
    epio__verb_require_no_watch(op);
    return op;
}

epio_op *epio_size(epio_op *op, epio_file *file)
{
    epio__verb_on_file(op, "epio_size", EPIO_KIND_SIZE, file);
    epio__verb_require_bytes(op);
    return op;
}

static epio_op *prepare_lock(epio_op *op, const char *function, uint8_t kind, epio_file *file,
                             uint32_t level)
{
    epio__verb_on_file(op, function, kind, file);
    op->arguments.lock.level = (uint8_t)level;
    op->arguments.lock.unlocks = 0;
    op->arguments.lock.delay_ns = 0;
    op->arguments.lock.conflicts = 0;
    epio__verb_require(op, level <= EPIO_LOCK_EXCLUSIVE, EPIO__REASON_UNKNOWN_LEVEL);
    epio__verb_require(op, file == NULL || (file->attributes & EPIO_FILE_STREAM) == 0,
                       EPIO__REASON_STREAM_LOCKS);
    epio__verb_require_bytes(op);
    return op;
}

epio_op *epio_lock(epio_op *op, epio_file *file, uint32_t level, uint32_t flags)
{
    prepare_lock(op, "epio_lock", EPIO_KIND_LOCK, file, level);
    op->flags = flags;
    epio__verb_require(op, level != EPIO_LOCK_NONE, EPIO__REASON_LOCK_TO_NONE);
    epio__verb_require(op, level != EPIO_LOCK_PENDING, EPIO__REASON_LOCK_TO_PENDING);
    epio__verb_require(op, (flags & ~EPIO_LOCK_WAIT) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require_direction(op, level == EPIO_LOCK_SHARED ? EPIO_OPEN_READ : EPIO_OPEN_WRITE);
    return op;
}

epio_op *epio_unlock(epio_op *op, epio_file *file, uint32_t level)
{
    prepare_lock(op, "epio_unlock", EPIO_KIND_UNLOCK, file, level);
    epio__verb_require(op, level <= EPIO_LOCK_SHARED, EPIO__REASON_UNLOCK_LEVEL);
    return op;
}

epio_op *epio_check_reserved_lock(epio_op *op, epio_file *file)
{
    return prepare_lock(op, "epio_check_reserved_lock", EPIO_KIND_CHECK_RESERVED_LOCK, file,
                        EPIO_LOCK_NONE);
}

epio_op *epio_delete(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags)
{
    return epio__verb_on_path(op, "epio_delete", EPIO_KIND_DELETE, vfs, path, flags,
                              EPIO_DELETE_SYNC_DIR);
}

epio_op *epio_rename(epio_op *op, epio_vfs *vfs, const char *from, const char *to, uint32_t flags)
{
    epio__verb_on_path(op, "epio_rename", EPIO_KIND_RENAME, vfs, from, flags,
                       EPIO_RENAME_SYNC_DIR | EPIO_RENAME_NO_REPLACE | EPIO_RENAME_KEEP_METADATA);
    const uint32_t exclusive = EPIO_RENAME_NO_REPLACE | EPIO_RENAME_KEEP_METADATA;
    epio__verb_require(op, (flags & exclusive) != exclusive, EPIO__REASON_KEEPS_NOTHING);
    return epio__verb_take_second(op, to, EPIO__REASON_NEW_PATH_IS_NULL);
}

epio_op *epio_access(epio_op *op, epio_vfs *vfs, const char *path, uint32_t mode)
{
    epio__verb_on_path(op, "epio_access", EPIO_KIND_ACCESS, vfs, path, mode, mode);
    epio__verb_require(op, mode <= EPIO_ACCESS_READWRITE, EPIO__REASON_UNKNOWN_MODE);
    return op;
}

epio_op *epio_full_pathname(epio_op *op, epio_vfs *vfs, const char *path, char *buffer, size_t len)
{
    epio__verb_on_path(op, "epio_full_pathname", EPIO_KIND_FULL_PATHNAME, vfs, path, 0, 0);
    op->arguments.path.buffer = buffer;
    op->arguments.path.len = len;
    epio__verb_require(op, buffer != NULL || len == 0, EPIO__REASON_BUFFER_IS_NULL);
    return op;
}

bool epio_op_followed_link(const epio_op *op)
{
    epio__require(op, "epio_op_followed_link", "the op is NULL");
    return op->kind == EPIO_KIND_FULL_PATHNAME && (op->notes & EPIO_NOTE_FOLLOWED_LINK) != 0;
}

epio_op *epio_sleep(epio_op *op, epio_vfs *vfs, uint64_t nanoseconds)
{
    epio__verb_on_vfs(op, "epio_sleep", EPIO_KIND_SLEEP, vfs);
    op->arguments.sleep.nanoseconds = nanoseconds;
    /* The result must be able to hold it. */
    epio__verb_require(op, nanoseconds <= INT64_MAX, EPIO__REASON_TIME_BEYOND_LIMIT);
    return op;
}

epio_op *epio_current_time(epio_op *op, epio_vfs *vfs)
{
    return epio__verb_on_vfs(op, "epio_current_time", EPIO_KIND_CURRENT_TIME, vfs);
}

epio_op *epio_randomness(epio_op *op, epio_vfs *vfs, void *buffer, size_t len)
{
    epio__verb_on_vfs(op, "epio_randomness", EPIO_KIND_RANDOMNESS, vfs);
    op->arguments.io.base = buffer;
    op->arguments.io.len = len;
    epio__verb_require(op, buffer != NULL || len == 0, EPIO__REASON_BUFFER_IS_NULL);
    epio__verb_require(op, op->arguments.io.len <= INT64_MAX, EPIO__REASON_TOO_LONG);
    return op;
}

epio_op *epio_work(epio_op *op, epio_vfs *vfs, epio_work_function *function)
{
    epio__verb_on_vfs(op, "epio_work", EPIO_KIND_WORK, vfs);
    op->arguments.work.function = function;
    epio__verb_require(op, function != NULL, EPIO__REASON_FUNCTION_IS_NULL);
    return op;
}

epio_op *epio_op_prepare(epio_op *op, epio_vfs *vfs, epio_file *file, uint32_t kind)
{
    bool known = kind >= EPIO_KIND_USER && kind <= UINT8_MAX;
    uint8_t prepared = (uint8_t)(known ? kind : EPIO_KIND_USER);
    if (file != NULL) {
        epio__verb_on_file(op, "epio_op_prepare", prepared, file);
        epio__verb_require(op, kind < EPIO_KIND_USER_OPENS, EPIO__REASON_KIND_OPENS);
        epio__verb_require(op, vfs == NULL || vfs == file->vfs, EPIO__REASON_FILE_OF_ANOTHER_VFS);
    } else {
        epio__verb_on_vfs(op, "epio_op_prepare", prepared, vfs);
    }
    epio__verb_require(op, known, EPIO__REASON_KIND_IS_EPIOS);
    return op;
}

#if EPIO_ASYNC

epio_op *epio_acquire(epio_op *op, epio_vfs *vfs, epio_semaphore *semaphore, uint32_t permits)
{
    epio__verb_on_vfs(op, "epio_acquire", EPIO_KIND_ACQUIRE, vfs);
    op->arguments.acquire.semaphore = semaphore;
    op->arguments.acquire.waiter.permits = permits;
    op->arguments.acquire.waiter.bytes = 0;
    epio__verb_require(op, semaphore != NULL, EPIO__REASON_SEMAPHORE_IS_NULL);
    epio__verb_require(op, permits != 0, EPIO__REASON_NO_PERMITS);
    if (op->state_flags == 0) {
        op->vfs = epio__semaphore_vfs(semaphore); /* the loop stays that of `vfs` */
    }
    return op;
}

epio_op *epio_op_unref(epio_op *op)
{
    epio__require(op, "epio_op_unref", "the op is NULL");
    if (epio__load_u32(&op->state) != EPIO__STATE_LINKED) {
        epio__op_check_prepared(op, "epio_op_unref");
        epio__store_relaxed_u32(&op->state, EPIO__STATE_PREPARED); /* not fast any more */
    }
    op->state_flags |= EPIO__FLAG_UNREFERENCED;
    return op;
}

epio_op *epio_link(epio_op *first, epio_op *second, uint32_t flags)
{
    epio__op_check_prepared(second, "epio_link");
    if (first == second) {
        epio__fatal("epio_link", "an op cannot follow itself");
    }
    /* `first` may be linked behind another: a chain grows at its end. */
    epio__require(first, "epio_link", "the op is NULL");
    if (epio__load_u32(&first->state) != EPIO__STATE_LINKED) {
        epio__op_check_prepared(first, "epio_link");
    }
    if (first->link != NULL) {
        epio__fatal("epio_link", "the first op has a successor already");
    }
    if ((flags & ~EPIO_LINK_ALWAYS) != 0) {
        epio__fatal("epio_link", "unknown flags");
    }
    first->link = second;
    if (epio__load_u32(&first->state) != EPIO__STATE_LINKED) {
        epio__store_relaxed_u32(&first->state, EPIO__STATE_PREPARED); /* not fast any more */
    }
    if ((flags & EPIO_LINK_ALWAYS) != 0) {
        first->state_flags |= EPIO__FLAG_LINK_ALWAYS;
    }
    epio__store_relaxed_u32(&second->state, EPIO__STATE_LINKED);
    return first;
}

#endif
