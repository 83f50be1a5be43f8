/* Functions common to the files and ops of every VFS. */
#include "core/directory.h"
#include "core/mapping.h"
#include "core/op.h"
#include "core/registry.h"
#include "core/struct_size.h"
#include "fatal.h"
#if EPIO_ASYNC
#include "core/loop.h"
#endif

#include <stdlib.h>
#include <string.h>

void epio_file_init(epio_file *file, epio_vfs *vfs, uint32_t flags, uint32_t attributes)
{
    epio__require(file, "epio_file_init", "the file is NULL");
    memset(file, 0, sizeof *file);
    epio__require(vfs, "epio_file_init", "the VFS is NULL");
    epio__vfs_check(vfs, "epio_file_init");
    file->vfs = vfs;
    file->flags = flags & (EPIO_OPEN_READ | EPIO_OPEN_WRITE);
    file->attributes = attributes;
    epio_list_init(&file->ordered);
    epio_list_init(&file->ready);
    epio_list_init(&file->flushing);
    epio_list_init(&file->syncs);
    file->fast = file->flags;
#if EPIO_ASYNC
    if (vfs->loop != NULL) {
        epio__add_size(&vfs->loop->open_files, 1);
    }
#endif
    epio__directory_init(file);
}

void epio_file_release(epio_file *file)
{
    epio__file_check(file, "epio_file_release");
    file->fast = 0; /* the fast path checks only this */
    file->close = &epio__released;
    epio__flush_note_drop(epio__flush_note_of(file));
#if EPIO_ASYNC
    if (file->vfs->loop != NULL) {
        epio__subtract_size(&file->vfs->loop->open_files, 1);
    }
#endif
}

epio_op epio__released;

void epio__vfs_check(const epio_vfs *vfs, const char *function)
{
    if (vfs->methods == NULL || vfs->methods->size < EPIO__SIZE_UP_TO(epio_vfs_methods, resumed)) {
        epio__fatal(function, "the VFS has no methods, or they do not begin with their size");
    }
}

void epio__file_check(const epio_file *file, const char *function)
{
    epio__require(file, function, "the file is NULL");
    if (epio__file_is_released(file)) {
        epio__fatal(function, "the file is closed already");
    }
}

#define RELEASED_KEPT 64u

void epio__file_free(void *memory)
{
    static uintptr_t kept[RELEASED_KEPT];
    static uint32_t released;
    uint32_t at = epio__add_u32(&released, 1) % RELEASED_KEPT;
    free((void *)epio__exchange_pointer(&kept[at], (uintptr_t)memory));
}

uint64_t epio__bytes_of_parts(const epio_iovec *parts, uint64_t count)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; parts != NULL && i < count; i++) {
        /* A sum that overflows is above every limit too. */
        if (parts[i].len > UINT64_MAX - bytes) {
            return UINT64_MAX;
        }
        bytes += parts[i].len;
    }
    return bytes;
}

uint64_t epio_op_bytes(const epio_op *op)
{
    epio__require(op, "epio_op_bytes", "the op is NULL");
    switch (op->kind) {
    case EPIO_KIND_READ:
    case EPIO_KIND_WRITE:
    case EPIO_KIND_APPEND:
        return op->arguments.io.len;
    case EPIO_KIND_READV:
    case EPIO_KIND_WRITEV:
        return epio__bytes_of_parts(op->arguments.io.base, op->arguments.io.len);
    default:
        return 0;
    }
}

bool epio_op_in_flight(const epio_op *op)
{
    epio__require(op, "epio_op_in_flight", "the op is NULL");
    uint32_t state = epio__load_u32(&op->state);
    return (state & ~(uint32_t)EPIO__STATE_EXTRAS) == EPIO__STATE_IN_FLIGHT;
}

uint64_t epio_clock_monotonic(void)
{
    return epio__monotonic_time();
}

intptr_t epio_file_os_handle(const epio_file *file)
{
    epio__file_check(file, "epio_file_os_handle");
    return file->vfs->methods->os_handle != NULL ? file->vfs->methods->os_handle(file) : -1;
}

uint32_t epio_file_lock_level(const epio_file *file)
{
    epio__file_check(file, "epio_file_lock_level");
    const epio_vfs_methods *methods = file->vfs->methods;
    return methods->lock_level != NULL ? methods->lock_level(file) : EPIO_LOCK_NONE;
}

void epio_vfs_destroy(epio_vfs *vfs)
{
    if (vfs == NULL) {
        return;
    }
    if (vfs->methods->destroy == NULL) {
        epio__fatal("epio_vfs_destroy", "this VFS is not the caller's to destroy");
    }
    const char *needed = epio__registry_needs_vfs(vfs);
    if (needed != NULL) {
        epio__fatal("epio_vfs_destroy", needed);
    }
    vfs->methods->destroy(vfs);
}
