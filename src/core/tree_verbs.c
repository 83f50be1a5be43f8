/* The verbs of epio/metadata.h and epio/directory.h, and epio_trash: each checks its arguments and
 * stores them in the op. */
#include "core/struct_size.h"
#include "core/verb.h"

#define MOST_MODE 07777u

/* ---- Structs, and what both forms of a verb have ---- */

static void take_struct(epio_op *op, const void *base, size_t first, uint8_t reason_if_null)
{
    epio__verb_require(op, base != NULL, reason_if_null);
    /* It is only read, or only written; the op has one field for both. */
    op->arguments.path.buffer = (char *)(uintptr_t)base;
    op->arguments.path.len = base != NULL ? *(const size_t *)base : 0;
    epio__verb_require(op, base == NULL || op->arguments.path.len >= first,
                       EPIO__REASON_STRUCT_SIZE);
}

static epio_op *take_info(epio_op *op, epio_info *info)
{
    take_struct(op, info, EPIO__SIZE_UP_TO(epio_info, accessed), EPIO__REASON_INFO_IS_NULL);
    return op;
}

static epio_op *take_times(epio_op *op, const epio_times *times)
{
    take_struct(op, times, EPIO__SIZE_UP_TO(epio_times, born), EPIO__REASON_TIMES_ARE_NULL);
    return op;
}

static epio_op *take_mode(epio_op *op, uint32_t mode)
{
    op->arguments.path.len = mode;
    epio__verb_require(op, mode <= MOST_MODE, EPIO__REASON_MODE_BITS);
    return op;
}

static epio_op *take_owner(epio_op *op, uint32_t user, uint32_t group)
{
    op->arguments.path.len = (uint64_t)user << 32 | group;
    return op;
}

/* ---- Metadata ---- */

static epio_op *on_file(epio_op *op, const char *function, uint8_t kind, epio_file *file)
{
    epio__verb_on_file(op, function, kind, file);
    epio__verb_require_no_watch(op);
    return op;
}

epio_op *epio_stat(epio_op *op, epio_vfs *vfs, const char *path, epio_info *info, uint32_t flags)
{
    epio__verb_on_path(op, "epio_stat", EPIO_KIND_STAT, vfs, path, flags, EPIO_STAT_NOFOLLOW);
    return take_info(op, info);
}

epio_op *epio_file_stat(epio_op *op, epio_file *file, epio_info *info)
{
    on_file(op, "epio_file_stat", EPIO_KIND_FILE_STAT, file);
    return take_info(op, info);
}

epio_op *epio_set_times(epio_op *op, epio_vfs *vfs, const char *path, const epio_times *times,
                        uint32_t flags)
{
    epio__verb_on_path(op, "epio_set_times", EPIO_KIND_SET_TIMES, vfs, path, flags,
                       EPIO_SET_NOFOLLOW);
    return take_times(op, times);
}

epio_op *epio_file_set_times(epio_op *op, epio_file *file, const epio_times *times)
{
    on_file(op, "epio_file_set_times", EPIO_KIND_FILE_SET_TIMES, file);
    return take_times(op, times);
}

epio_op *epio_set_mode(epio_op *op, epio_vfs *vfs, const char *path, uint32_t mode, uint32_t flags)
{
    epio__verb_on_path(op, "epio_set_mode", EPIO_KIND_SET_MODE, vfs, path, flags,
                       EPIO_SET_NOFOLLOW);
    return take_mode(op, mode);
}

epio_op *epio_file_set_mode(epio_op *op, epio_file *file, uint32_t mode)
{
    on_file(op, "epio_file_set_mode", EPIO_KIND_FILE_SET_MODE, file);
    return take_mode(op, mode);
}

epio_op *epio_set_owner(epio_op *op, epio_vfs *vfs, const char *path, uint32_t user, uint32_t group,
                        uint32_t flags)
{
    epio__verb_on_path(op, "epio_set_owner", EPIO_KIND_SET_OWNER, vfs, path, flags,
                       EPIO_SET_NOFOLLOW);
    return take_owner(op, user, group);
}

epio_op *epio_file_set_owner(epio_op *op, epio_file *file, uint32_t user, uint32_t group)
{
    on_file(op, "epio_file_set_owner", EPIO_KIND_FILE_SET_OWNER, file);
    return take_owner(op, user, group);
}

epio_op *epio_file_system_info(epio_op *op, epio_vfs *vfs, const char *path, epio_file_system *info)
{
    epio__verb_on_path(op, "epio_file_system_info", EPIO_KIND_FILE_SYSTEM_INFO, vfs, path, 0, 0);
    take_struct(op, info, EPIO__SIZE_UP_TO(epio_file_system, type), EPIO__REASON_INFO_IS_NULL);
    return op;
}

/* ---- Extended attributes ---- */

#define XATTR_SET_FLAGS (EPIO_XATTR_CREATE | EPIO_XATTR_REPLACE)

static epio_op *take_xattr(epio_op *op, const char *name, const void *buffer, size_t len)
{
    op->arguments.path.to = name;
    /* It is only read, or only written; the op has one field for both. */
    op->arguments.path.buffer = (char *)(uintptr_t)buffer;
    op->arguments.path.len = len;
    epio__verb_require(op, name != NULL && name[0] != '\0', EPIO__REASON_NAME_IS_NULL);
    epio__verb_require(op, buffer != NULL || len == 0, EPIO__REASON_BUFFER_IS_NULL);
    epio__verb_require(op, op->arguments.path.len <= INT64_MAX, EPIO__REASON_TOO_LONG);
    return op;
}

static epio_op *take_value(epio_op *op, const char *name, const void *value, size_t len)
{
    take_xattr(op, name, value, len);
    epio__verb_require(op, (op->flags & XATTR_SET_FLAGS) != XATTR_SET_FLAGS,
                       EPIO__REASON_CREATE_AND_REPLACE);
    return op;
}

static epio_op *take_list(epio_op *op, char *buffer, size_t len)
{
    return take_xattr(op, "a list of all", buffer, len);
}

epio_op *epio_get_xattr(epio_op *op, epio_vfs *vfs, const char *path, const char *name,
                        void *buffer, size_t len, uint32_t flags)
{
    epio__verb_on_path(op, "epio_get_xattr", EPIO_KIND_GET_XATTR, vfs, path, flags,
                       EPIO_XATTR_NOFOLLOW);
    return take_xattr(op, name, buffer, len);
}

epio_op *epio_file_get_xattr(epio_op *op, epio_file *file, const char *name, void *buffer,
                             size_t len)
{
    on_file(op, "epio_file_get_xattr", EPIO_KIND_FILE_GET_XATTR, file);
    return take_xattr(op, name, buffer, len);
}

epio_op *epio_set_xattr(epio_op *op, epio_vfs *vfs, const char *path, const char *name,
                        const void *value, size_t len, uint32_t flags)
{
    epio__verb_on_path(op, "epio_set_xattr", EPIO_KIND_SET_XATTR, vfs, path, flags,
                       EPIO_XATTR_NOFOLLOW | XATTR_SET_FLAGS);
    return take_value(op, name, value, len);
}

epio_op *epio_file_set_xattr(epio_op *op, epio_file *file, const char *name, const void *value,
                             size_t len, uint32_t flags)
{
    on_file(op, "epio_file_set_xattr", EPIO_KIND_FILE_SET_XATTR, file);
    op->flags = flags;
    epio__verb_require(op, (flags & ~XATTR_SET_FLAGS) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    return take_value(op, name, value, len);
}

epio_op *epio_list_xattrs(epio_op *op, epio_vfs *vfs, const char *path, char *buffer, size_t len,
                          uint32_t flags)
{
    epio__verb_on_path(op, "epio_list_xattrs", EPIO_KIND_LIST_XATTRS, vfs, path, flags,
                       EPIO_XATTR_NOFOLLOW);
    return take_list(op, buffer, len);
}

epio_op *epio_file_list_xattrs(epio_op *op, epio_file *file, char *buffer, size_t len)
{
    on_file(op, "epio_file_list_xattrs", EPIO_KIND_FILE_LIST_XATTRS, file);
    return take_list(op, buffer, len);
}

epio_op *epio_remove_xattr(epio_op *op, epio_vfs *vfs, const char *path, const char *name,
                           uint32_t flags)
{
    epio__verb_on_path(op, "epio_remove_xattr", EPIO_KIND_REMOVE_XATTR, vfs, path, flags,
                       EPIO_XATTR_NOFOLLOW);
    return take_xattr(op, name, NULL, 0);
}

epio_op *epio_file_remove_xattr(epio_op *op, epio_file *file, const char *name)
{
    on_file(op, "epio_file_remove_xattr", EPIO_KIND_FILE_REMOVE_XATTR, file);
    return take_xattr(op, name, NULL, 0);
}

/* ---- Directories ---- */

epio_op *epio_mkdir(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags)
{
    epio__verb_on_path(op, "epio_mkdir", EPIO_KIND_MKDIR, vfs, path, flags,
                       EPIO_MKDIR_PARENTS | EPIO_MKDIR_SYNC_DIR | EPIO_OPEN_PERMISSIONS(0777));
    epio__verb_require_permissions(op);
    return op;
}

epio_op *epio_rmdir(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags)
{
    return epio__verb_on_path(op, "epio_rmdir", EPIO_KIND_RMDIR, vfs, path, flags,
                              EPIO_RMDIR_SYNC_DIR);
}

epio_op *epio_sync_directory(epio_op *op, epio_vfs *vfs, const char *path)
{
    return epio__verb_on_path(op, "epio_sync_directory", EPIO_KIND_SYNC_DIRECTORY, vfs, path, 0, 0);
}

epio_op *epio_list(epio_op *op, epio_file *directory, void *buffer, size_t len, uint32_t flags)
{
    epio__verb_on_file(op, "epio_list", EPIO_KIND_LIST, directory);
    op->arguments.path.buffer = buffer;
    op->arguments.path.len = len;
    op->flags = flags;
    epio__verb_require(op, buffer != NULL, EPIO__REASON_BUFFER_IS_NULL);
    epio__verb_require(op, (uintptr_t)buffer % sizeof(uint64_t) == 0, EPIO__REASON_UNALIGNED_LIST);
    epio__verb_require(op, op->arguments.path.len <= INT64_MAX, EPIO__REASON_TOO_LONG);
    epio__verb_require(op, (flags & ~EPIO_LIST_REWIND) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require(op, directory == NULL || (directory->attributes & EPIO_FILE_DIRECTORY) != 0,
                       EPIO__REASON_NOT_DIRECTORY);
    return op;
}

/* ---- Temporary files and directories ---- */

epio_op *epio_name_temporary(epio_op *op, epio_file *file, const char *path, uint32_t flags)
{
    on_file(op, "epio_name_temporary", EPIO_KIND_NAME_TEMPORARY, file);
    op->arguments.path.path = path;
    op->arguments.path.directory = NULL;
    op->flags = flags;
    epio__verb_require_path(op, path, EPIO__REASON_PATH_IS_NULL);
    epio__verb_require(op, (flags & ~(EPIO_NAME_SYNC_DIR | EPIO_NAME_NO_REPLACE)) == 0,
                       EPIO__REASON_UNKNOWN_FLAGS);
    return op;
}

epio_op *epio_temporary_directory(epio_op *op, epio_vfs *vfs, const char *parent, char *buffer,
                                  size_t len)
{
    epio__verb_on_vfs(op, "epio_temporary_directory", EPIO_KIND_TEMPORARY_DIRECTORY, vfs);
    op->arguments.path.path = parent;
    op->arguments.path.buffer = buffer;
    op->arguments.path.len = len;
    epio__verb_require(op, parent == NULL || parent[0] != '\0', EPIO__REASON_PATH_IS_EMPTY);
    epio__verb_require(op, buffer != NULL || len == 0, EPIO__REASON_BUFFER_IS_NULL);
    return op;
}

/* ---- Links ---- */

epio_op *epio_link_file(epio_op *op, epio_vfs *vfs, const char *from, const char *to,
                        uint32_t flags)
{
    epio__verb_on_path(op, "epio_link_file", EPIO_KIND_LINK_FILE, vfs, from, flags, 0);
    return epio__verb_take_second(op, to, EPIO__REASON_NEW_PATH_IS_NULL);
}

epio_op *epio_symlink(epio_op *op, epio_vfs *vfs, const char *target, const char *path,
                      uint32_t flags)
{
    epio__verb_on_path(op, "epio_symlink", EPIO_KIND_SYMLINK, vfs, path, flags, 0);
    return epio__verb_take_second(op, target, EPIO__REASON_TARGET_IS_NULL);
}

epio_op *epio_read_link(epio_op *op, epio_vfs *vfs, const char *path, char *buffer, size_t len)
{
    epio__verb_on_path(op, "epio_read_link", EPIO_KIND_READ_LINK, vfs, path, 0, 0);
    op->arguments.path.buffer = buffer;
    op->arguments.path.len = len;
    epio__verb_require(op, buffer != NULL || len == 0, EPIO__REASON_BUFFER_IS_NULL);
    return op;
}

epio_op *epio_exchange(epio_op *op, epio_vfs *vfs, const char *path, const char *other,
                       uint32_t flags)
{
    epio__verb_on_path(op, "epio_exchange", EPIO_KIND_EXCHANGE, vfs, path, flags, 0);
    return epio__verb_take_second(op, other, EPIO__REASON_NEW_PATH_IS_NULL);
}

epio_op *epio_trash(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags)
{
    return epio__verb_on_path(op, "epio_trash", EPIO_KIND_TRASH, vfs, path, flags, 0);
}
