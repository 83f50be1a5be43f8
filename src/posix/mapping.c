/* Files in memory. What the system maps are whole pages: a mapping may begin within its first. */
#include "posix/append.h"
#include "posix/posix.h"
#include "reason.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* On macOS msync(2) leaves the data in the drive's cache, and what flushes that needs a descriptor,
 * which must outlive the file's. */
#if defined(__APPLE__)
#define FLUSHES_BY_FILE true
#else
#define FLUSHES_BY_FILE false
#endif

typedef struct os_mapping {
    epio_mapping base;
    char *pages;
    size_t size;         /* of the pages in use */
    bool shows_stores;   /* it is for writing, to the file */
    epio__os_file *file; /* the file once more, with a descriptor of its own; NULL: not needed */
} os_mapping;

static os_mapping *mapping_of(const epio_op *op)
{
    return (os_mapping *)(void *)op->arguments.map.mapping;
}

/* ---- The descriptor for flushes ---- */

/* Closed like a file, since a close may release the locks of others. NULL and errno. */
static epio__os_file *copy_file(const epio__os_file *from)
{
    epio__os_file *copy = calloc(1, sizeof *copy);
    int descriptor =
        copy != NULL ? fcntl((int)from->handle, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1;
    if (descriptor < 0) {
        free(copy);
        return NULL;
    }
    copy->base.vfs = from->base.vfs;
    copy->handle = descriptor;
    copy->transfer_handle = descriptor;
    copy->lock_handle = descriptor;
    copy->device = from->device;
    copy->inode = from->inode;
    copy->locks_are_remote = from->locks_are_remote;
    copy->generation = epio__process_generation();
    copy->lock_generation = copy->generation;
    epio__position_init(copy);
    return copy;
}

static void drop_file(epio__os_file *copy)
{
    int32_t os_error;
    if (copy != NULL) {
        (void)epio__os_file_close(copy, &os_error);
    }
}

/* ---- Mapping ---- */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* 0, or why the range cannot be mapped. */
static int64_t check_range(epio_op *op, size_t before)
{
    int64_t size = epio__os_size(op);
    if (size < 0) {
        return size;
    }
    if (op->arguments.map.offset + op->arguments.map.len > (uint64_t)size) {
        return epio__op_refuse(op, EPIO__REASON_BEYOND_END);
    }
    return op->arguments.map.len > SIZE_MAX - before ? EPIO_ENOMEM : 0;
}

/* The arguments are right, so it is the file that has no such form. */
static int64_t fail_to_map(epio_op *op)
{
    int64_t error = epio__op_fail(op);
    return op->os_error == ENODEV || op->os_error == EINVAL ? EPIO_ENOTSUP : error;
}

/* `before`: bytes of the first page that are not in the mapping. */
static int64_t map_pages(epio_op *op, os_mapping *mapping, size_t before)
{
    bool writes = (op->flags & EPIO_MAP_WRITE) != 0;
    bool private = (op->flags & EPIO_MAP_PRIVATE) != 0;
    mapping->size = before + (size_t)op->arguments.map.len;
    mapping->shows_stores = writes && !private;
    if (FLUSHES_BY_FILE && mapping->shows_stores) {
        mapping->file = copy_file(epio__os_file_of(op));
        if (mapping->file == NULL) {
            return epio__op_fail(op);
        }
    }
    void *pages = mmap(NULL, mapping->size, writes ? PROT_READ | PROT_WRITE : PROT_READ,
                       private ? MAP_PRIVATE : MAP_SHARED, (int)epio__os_file_of(op)->handle,
                       (off_t)(op->arguments.map.offset - before));
    if (pages == MAP_FAILED) {
        int64_t error = fail_to_map(op);
        drop_file(mapping->file);
        return error;
    }
    mapping->pages = pages;
    return 0;
}

int64_t epio__os_map(epio_op *op)
{
    size_t before = (size_t)(op->arguments.map.offset % page_size());
    if (epio__op_is_on_stream(op)) {
        return EPIO_ENOTSUP;
    }
    int64_t result = check_range(op, before);
    if (result != 0) {
        return result;
    }
    os_mapping *mapping = calloc(1, sizeof *mapping);
    if (mapping == NULL) {
        return EPIO_ENOMEM;
    }
    result = map_pages(op, mapping, before);
    if (result != 0) {
        free(mapping);
        return result;
    }
    epio__mapping_init(&mapping->base, op->vfs, mapping->pages + before, op->arguments.map.len);
    op->arguments.map.mapping = &mapping->base;
    return 0;
}

int64_t epio__os_unmap(epio_op *op)
{
    os_mapping *mapping = mapping_of(op);
    int64_t result = munmap(mapping->pages, mapping->size) == 0 ? 0 : epio__op_fail(op);
    drop_file(mapping->file);
    epio__mapping_free(&mapping->base);
    return result;
}

/* ---- Syncing ---- */

/* 0, or -1 and errno. */
static int flush(const os_mapping *mapping, char *from, size_t len)
{
    if (msync(from, len, MS_SYNC) != 0) {
        return -1;
    }
    return mapping->file != NULL ? epio__flush((int)mapping->file->handle, EPIO_SYNC_FULL) : 0;
}

int64_t epio__os_sync_mapping(epio_op *op)
{
    const os_mapping *mapping = mapping_of(op);
    char *from = (char *)mapping->base.address + op->arguments.map.offset;
    size_t before = (size_t)(from - mapping->pages) % page_size();
    size_t len = (size_t)op->arguments.map.len;
    int outcome;
    if (!mapping->shows_stores || len == 0) {
        return 0;
    }
    do {
        outcome = flush(mapping, from - before, before + len);
    } while (outcome != 0 && errno == EINTR);
    return outcome == 0 ? 0 : epio__op_fail(op);
}
