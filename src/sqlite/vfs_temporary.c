/* Where SQLite's temporary files are: the directories that stock SQLite considers, in its order. */
#include "sqlite/vfs.h"

#include <stdlib.h>
#include <string.h>

static bool serves(epio__sqlite_vfs *vfs, const char *directory)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info;
    return directory != NULL && directory[0] != '\0' &&
           epio__sqlite_stat(vfs, &op, directory, &info) && info.type == EPIO_TYPE_DIRECTORY &&
           epio_perform(epio_access(&op, vfs->vfs, directory, EPIO_ACCESS_READWRITE)) == 1;
}

static bool use(epio__sqlite_vfs *vfs, const char *directory, char *buffer, int len)
{
    if (!serves(vfs, directory) || strlen(directory) >= (size_t)len) {
        return false;
    }
    memcpy(buffer, directory, strlen(directory) + 1);
    return true;
}

/* The variable belongs to the program, which sets it under this mutex. */
static bool use_variable(epio__sqlite_vfs *vfs, char *buffer, int len)
{
    sqlite3_mutex *mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_VFS1);
    sqlite3_mutex_enter(mutex);
    bool found = use(vfs, sqlite3_temp_directory, buffer, len);
    sqlite3_mutex_leave(mutex);
    return found;
}

bool epio__sqlite_temporary_directory(epio__sqlite_vfs *vfs, char *buffer, int len)
{
    if (use_variable(vfs, buffer, len)) {
        return true;
    }
    if (vfs->windows) {
        return false;
    }
    const char *const candidates[] = {
        getenv("SQLITE_TMPDIR"), getenv("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp", ".",
    };
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        if (use(vfs, candidates[i], buffer, len)) {
            return true;
        }
    }
    return false;
}

char *epio__sqlite_temporary_name(epio__sqlite_vfs *vfs)
{
    char directory[EPIO__SQLITE_PATH_SIZE];
    uint64_t number = 0;
    sqlite3_randomness((int)sizeof number, &number);
    if (!epio__sqlite_temporary_directory(vfs, directory, (int)sizeof directory)) {
        directory[0] = '\0';
    }
    return sqlite3_mprintf("%s/etilqs_%llx", directory, (unsigned long long)number);
}
