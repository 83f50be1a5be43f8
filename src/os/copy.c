/* Which copies the platform may carry out: between two files of the operating system, but not where
 * it would read what it has written, in a file that is open twice. */
#include "os/os_vfs.h"
#include "reason.h"

int64_t epio__os_vfs_copy(epio_op *op)
{
    const epio_file *from = op->arguments.copy.from;
    const epio__os_file *one = (const epio__os_file *)(const void *)from;
    const epio__os_file *other = (const epio__os_file *)(const void *)op->file;
    if (from->vfs->methods != &epio__os_vfs_methods) {
        return EPIO_ENOTSUP;
    }
    bool same = one->device == other->device && one->inode == other->inode;
    if (same && epio__op_copies_over_itself(op)) {
        return epio__op_refuse(op, EPIO__REASON_RANGES_OVERLAP);
    }
    return epio__os_copy_range(op);
}
