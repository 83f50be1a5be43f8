/* See directory.h; and the entries of a list. */
#include "core/directory.h"

#include "core/op.h"
#include "fatal.h"
#include "list.h"
#include "packed_entry.h"

#if EPIO_ASYNC

/* As the inner VFS of another. */
static void refuse_submit(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_complete(op, EPIO_ENOTSUP);
}

#endif

static int64_t refuse(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    (void)op;
    return EPIO_ENOTSUP;
}

static const epio_vfs_methods directory_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "directory",
#if EPIO_ASYNC
    .submit = refuse_submit,
#endif
    .perform = refuse,
};

epio_file *epio__directory_of_vfs(const epio_vfs *vfs)
{
    /* It is a part of the file. */
    return vfs->methods == &directory_methods ? EPIO_CONTAINER((uintptr_t)vfs, epio_file, directory)
                                              : NULL;
}

void epio__directory_init(epio_file *file)
{
    if ((file->attributes & EPIO_FILE_DIRECTORY) != 0) {
        file->directory.methods = &directory_methods;
        file->directory.loop = file->vfs->loop;
        file->fast = 0; /* the fast path is for bytes */
    }
}

epio_vfs *epio_directory_vfs(epio_file *directory)
{
    epio__file_check(directory, "epio_directory_vfs");
    if ((directory->attributes & EPIO_FILE_DIRECTORY) == 0) {
        epio__fatal("epio_directory_vfs", "the file is no directory; open one with "
                                          "EPIO_OPEN_DIRECTORY");
    }
    return &directory->directory;
}

/* ---- Entries ---- */

const epio_entry *epio_entry_next(const void *buffer, size_t len, const epio_entry *entry)
{
    return epio__record_next(buffer, len, entry);
}

const epio_info *epio_entry_info(const epio_entry *entry)
{
    epio__require(entry, "epio_entry_info", "the entry is NULL");
    return entry->has_info ? (const epio_info *)(const void *)(entry + 1) : NULL;
}

const char *epio_entry_name(const epio_entry *entry)
{
    epio__require(entry, "epio_entry_name", "the entry is NULL");
    return (const char *)(entry + 1) + (entry->has_info ? sizeof(epio_info) : 0);
}
