/* See tree.h. */
#include "tree.h"

int64_t tree_mkdir(fixture *f, const char *name, uint32_t flags)
{
    epio_op op = {0};
    return fixture_result(f, epio_mkdir(&op, f->vfs, fixture_path(f, name), flags));
}

int64_t tree_rmdir(fixture *f, const char *name)
{
    epio_op op = {0};
    return fixture_result(f, epio_rmdir(&op, f->vfs, fixture_path(f, name), 0));
}

int64_t tree_delete(fixture *f, const char *name)
{
    epio_op op = {0};
    return fixture_result(f, epio_delete(&op, f->vfs, fixture_path(f, name), 0));
}

int64_t tree_rename(fixture *f, const char *from, const char *to, uint32_t flags)
{
    epio_op op = {0};
    return fixture_result(
        f, epio_rename(&op, f->vfs, fixture_path(f, from), fixture_path(f, to), flags));
}

int64_t tree_exchange(fixture *f, const char *name, const char *other)
{
    epio_op op = {0};
    return fixture_result(
        f, epio_exchange(&op, f->vfs, fixture_path(f, name), fixture_path(f, other), 0));
}

int64_t tree_link(fixture *f, const char *from, const char *to)
{
    epio_op op = {0};
    return fixture_result(
        f, epio_link_file(&op, f->vfs, fixture_path(f, from), fixture_path(f, to), 0));
}

int64_t tree_symlink(fixture *f, const char *target, const char *name)
{
    epio_op op = {0};
    return fixture_result(f, epio_symlink(&op, f->vfs, target, fixture_path(f, name), 0));
}

bool tree_try_symlink(fixture *f, const char *target, const char *name)
{
    int64_t result = tree_symlink(f, target, name);
    bool must = f->memory || SYSTEM_IS_POSIX;
    check(result == 0 || (!must && result == EPIO_EPERM));
    return must || tree_try_stat(f, name, EPIO_STAT_NOFOLLOW) == 0;
}

int64_t tree_open(fixture *f, const char *name, uint32_t flags)
{
    epio_op op = {0};
    int64_t result = fixture_result(f, epio_open(&op, f->vfs, fixture_path(f, name), flags));
    check((op.file != NULL) == (result == 0));
    if (op.file != NULL) {
        fixture_close(f, op.file);
    }
    return result;
}

int64_t tree_access(fixture *f, const char *name, uint32_t mode)
{
    epio_op op = {0};
    return fixture_result(f, epio_access(&op, f->vfs, fixture_path(f, name), mode));
}

int64_t tree_set_mode(fixture *f, const char *name, uint32_t mode)
{
    epio_op op = {0};
    return fixture_result(f, epio_set_mode(&op, f->vfs, fixture_path(f, name), mode, 0));
}

epio_info tree_stat(fixture *f, const char *name, uint32_t flags)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    check_op(f, epio_stat(&op, f->vfs, fixture_path(f, name), &info, flags), 0);
    return info;
}

int64_t tree_try_stat(fixture *f, const char *name, uint32_t flags)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    return fixture_result(f, epio_stat(&op, f->vfs, fixture_path(f, name), &info, flags));
}

epio_info tree_file_stat(fixture *f, epio_file *file)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    check_op(f, epio_file_stat(&op, file, &info), 0);
    return info;
}

epio_file *tree_open_directory(fixture *f, const char *name)
{
    return fixture_open(f, name, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY);
}

bool tree_is_same(fixture *f, const char *name, const char *other)
{
    epio_info one = tree_stat(f, name, EPIO_STAT_NOFOLLOW);
    epio_info two = tree_stat(f, other, EPIO_STAT_NOFOLLOW);
    return one.device == two.device && one.id[0] == two.id[0] && one.id[1] == two.id[1];
}

epio_file *tree_open_confining(fixture *f, const char *name)
{
    return fixture_open(f, name, TREE_CONFINING);
}

void tree_make_all(fixture *f, const char *name)
{
    check_result(tree_mkdir(f, name, EPIO_MKDIR_PARENTS), 0);
}
