/* Opens SQLite's files: the flags, what stock falls back to, and the permissions and owner that
 * journals have from their database. */
#include "sqlite/vfs.h"

#include <string.h>

#define JOURNALS (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL)

/* Of databases and logs whose owner said nothing else, less the umask. */
#define DEFAULT_MODE 0644u

/* ---- Permissions and owner ------------------------------------------------- */

/* Of a system without owners nothing is taken. */
void epio__sqlite_take_model(epio__sqlite_model *model, const epio_info *info)
{
    uint32_t needed = EPIO_INFO_MODE | EPIO_INFO_OWNER;
    model->known = (info->known & needed) == needed && (info->mode & 0777u) != 0;
    model->mode = info->mode & 0777u;
    model->user = info->user;
    model->group = info->group;
}

uint32_t epio__sqlite_creation_flags(const epio__sqlite_model *model)
{
    return EPIO_OPEN_CREATE | EPIO_OPEN_PERMISSIONS(model->known ? model->mode : DEFAULT_MODE);
}

static int ask_model(epio__sqlite_file *file, const char *path, epio__sqlite_model *from)
{
    epio_info info;
    if (!epio__sqlite_stat(file->owner, &file->op, path, &info)) {
        return file->op.result == EPIO_ENOTSUP ? SQLITE_OK : SQLITE_IOERR_FSTAT;
    }
    epio__sqlite_take_model(from, &info);
    return SQLITE_OK;
}

/* A journal's name is its database's, a hyphen, and no further hyphen or dot; one that is not is
 * made like any other file. */
static int ask_database(epio__sqlite_file *file, const char *path, epio__sqlite_model *from)
{
    char database[EPIO__SQLITE_PATH_SIZE];
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] != '-' && path[len - 1] != '.') {
        len--;
    }
    if (len <= 1 || path[len - 1] == '.' || len > sizeof database) {
        return SQLITE_OK;
    }
    memcpy(database, path, len - 1);
    database[len - 1] = '\0';
    return ask_model(file, database, from);
}

static int find_model(epio__sqlite_file *file, const char *path, int flags,
                      epio__sqlite_model *from)
{
    memset(from, 0, sizeof *from);
    if ((flags & SQLITE_OPEN_CREATE) == 0) {
        return SQLITE_OK;
    }
    if ((flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0) {
        return ask_database(file, path, from);
    }
    const char *named =
        (flags & SQLITE_OPEN_URI) != 0 ? sqlite3_uri_parameter(path, "modeof") : NULL;
    return named != NULL ? ask_model(file, named, from) : SQLITE_OK;
}

void epio__sqlite_apply_model(epio__sqlite_file *file, epio_file *made,
                              const epio__sqlite_model *model, bool gives)
{
    epio_info info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    if (!model->known || epio_perform(epio_file_stat(&file->op, made, &info)) != 0) {
        return;
    }
    if (info.bytes == 0 && (info.mode & 0777u) != model->mode) {
        (void)epio_perform(epio_file_set_mode(&file->op, made, model->mode));
    }
    if (gives && (info.user != model->user || (info.user == 0 && info.group != model->group))) {
        (void)epio_perform(epio_file_set_owner(&file->op, made, model->user, model->group));
    }
}

/* ---- Opening ---------------------------------------------------------------- */

static uint32_t translate(int flags, const epio__sqlite_model *from)
{
    uint32_t result = EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW;
    if ((flags & SQLITE_OPEN_READWRITE) != 0) {
        result |= EPIO_OPEN_WRITE;
    }
    if ((flags & SQLITE_OPEN_EXCLUSIVE) != 0) {
        result |= EPIO_OPEN_EXCLUSIVE;
    }
    bool passing = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    if (passing) {
        result |= EPIO_OPEN_DELETE_ON_CLOSE;
    }
    if ((flags & SQLITE_OPEN_CREATE) != 0) {
        result |= passing ? EPIO_OPEN_CREATE | EPIO_OPEN_PERMISSIONS(0600u)
                          : epio__sqlite_creation_flags(from);
    }
    return result;
}

static int64_t open_path(epio__sqlite_file *file, const char *path, int flags,
                         const epio__sqlite_model *from)
{
    return epio_perform(epio_open(&file->op, file->owner->vfs, path, translate(flags, from)));
}

/* SQLite asks for a reason to tell a journal that cannot be made from one that cannot be read. */
static bool is_missing(epio__sqlite_file *file, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    return epio_perform(epio_access(&op, file->owner->vfs, path, EPIO_ACCESS_EXISTS)) == 0;
}

static int refused(epio__sqlite_file *file, const char *path, int flags)
{
    int code = SQLITE_CANTOPEN;
    if (file->op.result == EPIO_ENOMEM) {
        code = SQLITE_IOERR_NOMEM;
    } else if (file->op.result == EPIO_EISDIR && (flags & SQLITE_OPEN_MAIN_DB) != 0) {
        code = SQLITE_CANTOPEN_ISDIR;
    }
    return epio__sqlite_log(file->owner, &file->op, code, path);
}

/* What cannot be opened to be written is opened to be read, as by stock. */
static int open_named(epio__sqlite_file *file, const char *path, int flags)
{
    epio__sqlite_model from;
    int code = find_model(file, path, flags, &from);
    if (code != SQLITE_OK) {
        return code;
    }
    int64_t result = open_path(file, path, flags, &from);
    if (result == EPIO_EACCES && (flags & SQLITE_OPEN_CREATE) != 0 && (flags & JOURNALS) != 0 &&
        is_missing(file, path)) {
        return epio__sqlite_log(file->owner, &file->op, SQLITE_READONLY_DIRECTORY, path);
    }
    if (result != 0 && result != EPIO_EISDIR && result != EPIO_ENOENT && result != EPIO_EMFILE &&
        (flags & SQLITE_OPEN_READWRITE) != 0 && (flags & SQLITE_OPEN_EXCLUSIVE) == 0) {
        int32_t os_error = file->op.os_error;
        int64_t first = result;
        flags &= ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
        flags |= SQLITE_OPEN_READONLY;
        result = open_path(file, path, flags, &from);
        if (result == EPIO_ENOENT) { /* it could not be made: that is why there is none */
            result = first;
            file->op.result = first;
            file->op.os_error = os_error;
        }
    }
    if (result != 0) {
        return refused(file, path, flags);
    }
    file->file = file->op.file;
    file->open_flags = flags;
    bool journal = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    epio__sqlite_apply_model(file, file->file, &from, journal);
    return SQLITE_OK;
}

/* Where a VFS has no temporary files they have names, for as long as they are open. */
static int open_unnamed(epio__sqlite_file *file, int flags)
{
    char directory[EPIO__SQLITE_PATH_SIZE];
    bool found = epio__sqlite_temporary_directory(file->owner, directory, (int)sizeof directory);
    file->open_flags = flags;
    int64_t result =
        epio_perform(epio_open(&file->op, file->owner->vfs, found ? directory : NULL,
                               EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_TEMPORARY));
    if (result == EPIO_ENOTSUP) {
        char *name = epio__sqlite_temporary_name(file->owner);
        if (name == NULL) {
            return SQLITE_IOERR_NOMEM;
        }
        epio__sqlite_model none = {0};
        result = open_path(file, name, flags | SQLITE_OPEN_EXCLUSIVE, &none);
        sqlite3_free(name);
    }
    if (result != 0) {
        return refused(file, found ? directory : NULL, flags);
    }
    file->file = file->op.file;
    return SQLITE_OK;
}

/* SQLite says psow=0 for a database alone. */
static uint32_t first_marks(const char *path, int flags)
{
    uint32_t marks = 0;
    if (sqlite3_uri_boolean((flags & SQLITE_OPEN_URI) != 0 ? path : NULL, "psow", 1)) {
        marks |= EPIO__SQLITE_POWER_SAFE;
    }
    if ((flags & SQLITE_OPEN_CREATE) != 0 && (flags & JOURNALS) != 0) {
        marks |= EPIO__SQLITE_SYNC_DIRECTORY;
    }
    return marks;
}

int epio__sqlite_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags,
                      int *out_flags)
{
    epio__sqlite_file *file = (epio__sqlite_file *)base;
    memset(file, 0, sizeof *file);
    file->owner = vfs->pAppData;
    atomic_fetch_add(&file->owner->open_files, 1);
    int code = path != NULL ? open_named(file, path, flags) : open_unnamed(file, flags);
    if (code != SQLITE_OK) {
        atomic_fetch_sub(&file->owner->open_files, 1);
        return code;
    }
    file->lock_file = file->file;
    file->path = path;
    file->marks = first_marks(path, file->open_flags);
    bool maps = (flags & SQLITE_OPEN_MAIN_DB) == 0 || epio__sqlite_shm_is_possible(file->owner);
    file->base.pMethods = maps ? &epio__sqlite_methods : &epio__sqlite_methods_unmapped;
    if ((file->owner->flags & EPIO_SQLITE_OVERLAP) != 0) {
        epio__sqlite_overlap_begin(file);
    } else {
        epio__sqlite_prefix_begin(file);
    }
    if (out_flags != NULL) {
        *out_flags = file->open_flags;
    }
    return SQLITE_OK;
}
