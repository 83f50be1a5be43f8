/* See tree_win32.h. */
#include "tree_win32.h"

epio_info stat_of(fixture *f, epio_vfs *vfs, const char *path, uint32_t flags)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    check_op(f, epio_stat(&op, vfs, path, &info, flags), 0);
    check_result(info.size, sizeof info);
    return info;
}

epio_info stat_of_file(fixture *f, epio_file *file)
{
    epio_info info = {.size = sizeof info};
    epio_op op = {0};
    check_op(f, epio_file_stat(&op, file, &info), 0);
    return info;
}

bool is_same_file(const epio_info *one, const epio_info *other)
{
    return one->device == other->device && one->id[0] == other->id[0] && one->id[1] == other->id[1];
}

void make_directory(fixture *f, const char *name)
{
    epio_op op = {0};
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, name), 0), 0);
}

epio_file *open_directory(fixture *f, const char *name)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, name), DIRECTORY), 0);
    return op.file;
}

void put_in(fixture *f, epio_vfs *vfs, const char *path, const char *content)
{
    epio_op op = {0};
    check_op(f, epio_open(&op, vfs, path, READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE), 0);
    epio_file *file = op.file;
    fixture_write(f, file, content, strlen(content), 0);
    fixture_close(f, file);
}

void check_in(fixture *f, epio_vfs *vfs, const char *path, const char *content)
{
    char found[64];
    epio_op op = {0};
    check_op(f, epio_open(&op, vfs, path, EPIO_OPEN_READ), 0);
    epio_file *file = op.file;
    check_op(f, epio_read(&op, file, found, sizeof found, 0), strlen(content));
    assert_memory_equal(found, content, strlen(content));
    fixture_close(f, file);
}
