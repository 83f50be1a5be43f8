/* Files in memory. Views begin at multiples of the allocation granularity: a mapping may begin
 * within its view. */
#include "reason.h"
#include "win32/win32.h"

#include <stdlib.h>

/* The system's own writer may have locked a part for a moment:
 * https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-flushviewoffile names no
 * such error, but programs see it. */
#define FLUSH_TRIES 100
#define FLUSH_PAUSE_MS 5

typedef struct os_mapping {
    epio_mapping base;
    void *view;
    HANDLE file; /* the file once more, to flush what the system keeps of it; NULL: not for writing
                    to the file */
} os_mapping;

static os_mapping *mapping_of(const epio_op *op)
{
    return (os_mapping *)(void *)op->arguments.map.mapping;
}

/* ---- Mapping ---- */

static uint64_t granularity(void)
{
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    return system.dwAllocationGranularity;
}

/* The section may not be longer than the file, which it would make longer. */
static int64_t check_range(epio_op *op, uint64_t before)
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

/* NULL and GetLastError. */
static void *make_view(epio_op *op, uint64_t before)
{
    bool writes = (op->flags & EPIO_MAP_WRITE) != 0;
    bool private = writes && (op->flags & EPIO_MAP_PRIVATE) != 0;
    DWORD protection = private ? PAGE_WRITECOPY : writes ? PAGE_READWRITE : PAGE_READONLY;
    DWORD access = private ? FILE_MAP_COPY : writes ? FILE_MAP_WRITE : FILE_MAP_READ;
    uint64_t start = op->arguments.map.offset - before;
    HANDLE file = epio__handle_of(&epio__win32_file_of(op)->base);
    HANDLE section = epio__win32.create_mapping(file, NULL, protection, 0, 0, NULL);
    if (section == NULL) {
        return NULL;
    }
    void *view = epio__win32.map_view(section, access, (DWORD)(start >> 32), (DWORD)start,
                                      (SIZE_T)(before + op->arguments.map.len));
    DWORD error = view == NULL ? GetLastError() : 0;
    (void)CloseHandle(section); /* the view keeps it */
    SetLastError(error);
    return view;
}

/* The file became shorter since its size was checked; or it has no such form. */
static int64_t fail_to_map(epio_op *op)
{
    DWORD error = GetLastError();
    int64_t result = epio__op_fail_with(op, error);
    switch (error) {
    case ERROR_FILE_INVALID:
    case ERROR_MAPPED_ALIGNMENT:
        return EPIO_EINVAL;
    case ERROR_INVALID_ADDRESS:
        return EPIO_ENOMEM;
    case ERROR_BAD_EXE_FORMAT:
    case ERROR_INVALID_FUNCTION:
    case ERROR_NOT_SUPPORTED:
        return EPIO_ENOTSUP;
    default:
        return result;
    }
}

/* 0 or an error. */
static int64_t map(epio_op *op, os_mapping *mapping, uint64_t before)
{
    bool shows_stores = (op->flags & (EPIO_MAP_WRITE | EPIO_MAP_PRIVATE)) == EPIO_MAP_WRITE;
    HANDLE process = GetCurrentProcess();
    HANDLE file = epio__handle_of(&epio__win32_file_of(op)->base);
    if (shows_stores &&
        !DuplicateHandle(process, file, process, &mapping->file, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        return epio__op_fail(op);
    }
    mapping->view = make_view(op, before);
    if (mapping->view == NULL) {
        int64_t error = fail_to_map(op);
        if (mapping->file != NULL) {
            (void)CloseHandle(mapping->file);
        }
        return error;
    }
    return 0;
}

int64_t epio__os_map(epio_op *op)
{
    uint64_t before = op->arguments.map.offset % granularity();
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
    result = map(op, mapping, before);
    if (result != 0) {
        free(mapping);
        return result;
    }
    epio__mapping_init(&mapping->base, op->vfs, (char *)mapping->view + before,
                       op->arguments.map.len);
    op->arguments.map.mapping = &mapping->base;
    return 0;
}

int64_t epio__os_unmap(epio_op *op)
{
    os_mapping *mapping = mapping_of(op);
    int64_t result = UnmapViewOfFile(mapping->view) ? 0 : epio__op_fail(op);
    if (mapping->file != NULL) {
        (void)CloseHandle(mapping->file);
    }
    epio__mapping_free(&mapping->base);
    return result;
}

/* ---- Syncing ---- */

static DWORD flush_view(const void *from, SIZE_T len)
{
    for (int i = 0; i < FLUSH_TRIES; i++) {
        if (epio__win32.flush_view(from, len)) {
            return 0;
        }
        DWORD error = GetLastError();
        if (error != ERROR_LOCK_VIOLATION) {
            return error;
        }
        Sleep(FLUSH_PAUSE_MS);
    }
    return ERROR_LOCK_VIOLATION;
}

/* The first call hands the pages to the system, the second waits for the disk. */
int64_t epio__os_sync_mapping(epio_op *op)
{
    const os_mapping *mapping = mapping_of(op);
    const char *from = (const char *)mapping->base.address + op->arguments.map.offset;
    if (mapping->file == NULL || op->arguments.map.len == 0) {
        return 0;
    }
    DWORD error = flush_view(from, (SIZE_T)op->arguments.map.len);
    if (error != 0) {
        return epio__op_fail_with(op, error);
    }
    return epio__win32.flush(mapping->file) ? 0 : epio__op_fail(op);
}
