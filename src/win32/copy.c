/* Copying between files without their bytes passing through the program: blocks that both share, on
 * file systems that count who has them (ReFS). Whatever is wrong with it, reads and writes say. */
#include "win32/win32.h"

/* By number, as older headers lack the names. */
#define DUPLICATE_EXTENTS 0x00098344u /* FSCTL_DUPLICATE_EXTENTS_TO_FILE */
#define SUPPORTS_BLOCK_REFCOUNTING 0x08000000u

/* The call takes less than 4 GiB. */
#define MOST_SHARED (UINT64_C(1) << 30)

/* DUPLICATE_EXTENTS_DATA. */
typedef struct duplicate_extents {
    HANDLE from;
    LARGE_INTEGER from_offset;
    LARGE_INTEGER to_offset;
    LARGE_INTEGER len;
} duplicate_extents;

/* The unit in which files of the volume share blocks; 0: they do not. */
static uint64_t unit_of_sharing(HANDLE handle)
{
    WCHAR type[MAX_PATH + 1];
    DWORD longest;
    DWORD flags = 0;
    epio__nt_full_size size;
    if (!epio__win32.get_volume_information(handle, NULL, 0, NULL, &longest, &flags, type,
                                            MAX_PATH + 1) ||
        (flags & SUPPORTS_BLOCK_REFCOUNTING) == 0 || epio__win32.nt_full_size(handle, &size) != 0) {
        return 0;
    }
    return (uint64_t)size.sectors_per_unit * size.bytes_per_sector;
}

static bool is_on_one_volume(HANDLE from, HANDLE to)
{
    uint64_t volumes[2];
    uint64_t id[2];
    return epio__id_of(from, &volumes[0], id) && epio__id_of(to, &volumes[1], id) &&
           volumes[0] == volumes[1];
}

/* What shares the blocks of a sparse file must be sparse, too. */
static bool match_sparse(epio_op *op, HANDLE from, HANDLE to)
{
    FILE_BASIC_INFO infos[2];
    if (!epio__win32.get_information(from, FileBasicInfo, &infos[0], sizeof infos[0]) ||
        !epio__win32.get_information(to, FileBasicInfo, &infos[1], sizeof infos[1])) {
        return false;
    }
    bool sparse = (infos[0].FileAttributes & FILE_ATTRIBUTE_SPARSE_FILE) != 0;
    bool is = (infos[1].FileAttributes & FILE_ATTRIBUTE_SPARSE_FILE) != 0;
    return !sparse || is || epio__make_sparse(op) == 0;
}

/* Whole units: what is left at the end is read and written. The file must be long enough before. */
static int64_t share(epio_op *op, HANDLE from, HANDLE to, uint64_t len)
{
    DWORD none;
    duplicate_extents range = {
        .from = from,
        .from_offset = {.QuadPart = (LONGLONG)op->arguments.copy.from_offset},
        .to_offset = {.QuadPart = (LONGLONG)op->arguments.copy.offset},
        .len = {.QuadPart = (LONGLONG)len}};
    if (!match_sparse(op, from, to) || epio__extend(op, op->arguments.copy.offset + len) != 0) {
        return EPIO_ENOTSUP;
    }
    DWORD error = epio__control(to, DUPLICATE_EXTENTS, &range, sizeof range, NULL, 0, &none);
    return error == 0 ? (int64_t)len : EPIO_ENOTSUP;
}

int64_t epio__os_copy_range(epio_op *op)
{
    HANDLE from = epio__handle_of((const epio__os_file *)(const void *)op->arguments.copy.from);
    HANDLE to = epio__handle_of(&epio__win32_file_of(op)->base);
    uint64_t from_offset = op->arguments.copy.from_offset;
    LARGE_INTEGER size;
    uint64_t unit = unit_of_sharing(to);
    if (unit == 0 || from_offset % unit != 0 || op->arguments.copy.offset % unit != 0 ||
        !GetFileSizeEx(from, &size) || (uint64_t)size.QuadPart <= from_offset ||
        !is_on_one_volume(from, to)) {
        return EPIO_ENOTSUP;
    }
    uint64_t len = (uint64_t)size.QuadPart - from_offset;
    len = len < op->arguments.copy.len ? len : op->arguments.copy.len;
    len = len < MOST_SHARED ? len : MOST_SHARED;
    return len >= unit ? share(op, from, to, len - len % unit) : EPIO_ENOTSUP;
}
