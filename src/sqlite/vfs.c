/* Registers epio VFSes with SQLite, and carries out what SQLite asks of paths. */
#include "sqlite/vfs.h"

int epio_sqlite_register(const char *name, epio_vfs *vfs, uint32_t flags)
{
    (void)flags;
    return name == NULL || vfs == NULL ? EPIO_EINVAL : EPIO_ENOTSUP;
}

int epio_sqlite_unregister(const char *name)
{
    return name == NULL ? EPIO_EINVAL : EPIO_ENOENT;
}
