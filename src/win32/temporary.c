/* Where temporary files and directories are, names for them, and a name for such a file to stay
 * under. */
#include "reason.h"
#include "win32/win32.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define MOST_TRIES 100

/* Flags of names, as of FILE_RENAME_INFO and FILE_LINK_INFORMATION. */
#define REPLACE 0x1u
#define POSIX 0x2u
#define OVER_READ_ONLY 0x40u

/* Windows 10, version 1709: by number, as older headers lack them. */
#define DISPOSITION_INFO_EX ((FILE_INFO_BY_HANDLE_CLASS)21)
#define DISPOSITION_DELETE 0x1u
#define DISPOSITION_ON_CLOSE 0x8u

/* ---- Where they are ---- */

/* The directory that the system has for them; the caller frees it. NULL: it has none. */
static WCHAR *usual_directory(void)
{
    WCHAR name[MAX_PATH + 2];
    DWORD len = GetTempPathW(MAX_PATH + 1, name);
    return len != 0 && len <= MAX_PATH ? _wcsdup(name) : NULL;
}

int64_t epio__temporary_directory(epio_op *op, epio__place *directory)
{
    epio__place file;
    int error = EPIO_ENOENT;
    const char *path = op->arguments.path.path;
    *directory = (epio__place){.root = NULL, .name = NULL};
    if (path == NULL) {
        directory->name = epio__literal_name(usual_directory(), &error);
        return directory->name != NULL ? 0 : EPIO_ENOENT;
    }
    int64_t result = epio__op_place(op, path, true, directory);
    if (result == 0 && !epio__is_directory_at(directory)) {
        file = *directory; /* or beside that file */
        result = epio__place_parent(&file, directory) ? 0 : EPIO_ENOMEM;
        epio__place_drop(&file);
    }
    return result;
}

bool epio__temporary_place(const epio__place *directory, epio__place *place)
{
    char name[EPIO__RANDOM_NAME_LEN];
    size_t len = wcslen(directory->name);
    bool bare = len == 0 || directory->name[len - 1] == L'\\';
    *place = (epio__place){.root = directory->root,
                           .name = malloc((len + EPIO__RANDOM_NAME_LEN + 1) * sizeof *place->name)};
    if (place->name == NULL) {
        return false;
    }
    epio__random_part(name);
    wcscpy(place->name, directory->name);
    len += bare ? 0 : 1;
    place->name[len - (bare ? 0 : 1)] = L'\\';
    for (size_t i = 0; i <= strlen(name); i++) {
        place->name[len + i] = (WCHAR)(unsigned char)name[i];
    }
    return true;
}

/* ---- Directories ---- */

/* As the caller writes it; the caller frees it. */
static char *parent_path(const epio_op *op)
{
    WCHAR *usual = NULL;
    if (op->arguments.path.path != NULL) {
        return _strdup(op->arguments.path.path);
    }
    usual = usual_directory();
    char *path = usual != NULL ? epio__narrow_name(usual) : NULL;
    free(usual);
    return path;
}

/* Makes one by this path: 0, EPIO_EEXIST, or another error. */
static int64_t make(epio_op *op, const char *path)
{
    epio__place place;
    int64_t result = epio__op_place(op, path, false, &place);
    if (result == 0 && !epio__make_directory_at(&place)) {
        result = epio__op_fail_on_path(op, &place, GetLastError());
    }
    epio__place_drop(&place);
    return result;
}

int64_t epio__os_temporary_directory(epio_op *op)
{
    if (epio__op_is_confined(op) && op->arguments.path.path == NULL) {
        return epio__op_fail_with(op, ERROR_ACCESS_DENIED); /* it is elsewhere */
    }
    char name[EPIO__RANDOM_NAME_LEN];
    char *parent = parent_path(op);
    size_t len = parent != NULL ? strlen(parent) : 0;
    char *path = len != 0 ? malloc(len + EPIO__RANDOM_NAME_LEN + 1) : NULL;
    int64_t result = parent == NULL ? EPIO_ENOENT : path == NULL ? EPIO_ENOMEM : EPIO_EEXIST;
    for (int i = 0; i < MOST_TRIES && result == EPIO_EEXIST; i++) {
        bool bare = strchr("/\\:", parent[len - 1]) != NULL;
        epio__random_part(name);
        (void)sprintf(path, "%s%s%s", parent, bare ? "" : "/", name);
        result = strlen(path) < op->arguments.path.len ? make(op, path) : EPIO_ERANGE;
    }
    if (result == 0) {
        result = (int64_t)strlen(path);
        memcpy(op->arguments.path.buffer, path, (size_t)result + 1);
    }
    free(path);
    free(parent);
    return result;
}

/* ---- A name to stay under ---- */

/* A further name: that by which the file was opened is removed at its close, whatever happens, and
 * no moment has neither. False and GetLastError. */
static bool link_name(HANDLE handle, bool replace, const epio__place *to)
{
    DWORD flags = POSIX | (replace ? REPLACE | OVER_READ_ONLY : 0);
    return epio__set_name(handle, EPIO__NT_LINK_EX, flags, to) ||
           epio__set_name(handle, EPIO__NT_LINK, replace ? REPLACE : 0, to);
}

static bool set_disposition(HANDLE handle, DWORD flags)
{
    return epio__win32.set_information(handle, DISPOSITION_INFO_EX, &flags, sizeof flags) != FALSE;
}

/* Where files have one name each. What keeps it past its close goes first: an end of the process in
 * between leaves the file under its random name, and what had the new name as it was. */
static bool move_name(HANDLE handle, bool replace, const epio__place *to)
{
    if (!set_disposition(handle, DISPOSITION_ON_CLOSE)) {
        SetLastError(ERROR_NOT_SUPPORTED);
        return false;
    }
    DWORD flags = POSIX | (replace ? REPLACE | OVER_READ_ONLY : 0);
    if (epio__set_name(handle, EPIO__NT_RENAME_EX, flags, to) ||
        epio__set_name(handle, EPIO__NT_RENAME, replace ? REPLACE : 0, to)) {
        return true;
    }
    DWORD error = GetLastError();
    (void)set_disposition(handle, DISPOSITION_ON_CLOSE | DISPOSITION_DELETE);
    SetLastError(error);
    return false;
}

static bool has_no_links(DWORD error)
{
    return error == ERROR_NOT_SUPPORTED || error == ERROR_INVALID_FUNCTION ||
           error == ERROR_INVALID_PARAMETER || error == ERROR_CALL_NOT_IMPLEMENTED;
}

static bool give_name(HANDLE handle, bool replace, const epio__place *to)
{
    return link_name(handle, replace, to) ||
           (has_no_links(GetLastError()) && move_name(handle, replace, to));
}

/* The system may keep the bytes of such a file in memory longer than others. */
static void make_ordinary(HANDLE handle)
{
    FILE_BASIC_INFO information = {.FileAttributes = FILE_ATTRIBUTE_NORMAL};
    (void)epio__win32.set_information(handle, FileBasicInfo, &information, sizeof information);
}

static int64_t name_it(epio_op *op, const epio__place *to)
{
    epio__win32_file *file = epio__win32_file_of(op);
    HANDLE handle = epio__handle_of(&file->base);
    bool replace = (op->flags & EPIO_NAME_NO_REPLACE) == 0;
    bool is_directory = epio__is_directory_at(to);
    if (is_directory && replace) {
        return epio__op_fail_with(op, ERROR_DIRECTORY_NOT_SUPPORTED);
    }
    if (!give_name(handle, replace, to)) {
        DWORD error = GetLastError();
        bool there = !replace && error == ERROR_ACCESS_DENIED && epio__attributes_at(to) != 0;
        return there ? epio__op_fail_with(op, ERROR_ALREADY_EXISTS)
                     : epio__op_fail_or_retry(op, to, error, replace);
    }
    file->nameless = false;
    make_ordinary(handle);
    if ((op->flags & EPIO_NAME_SYNC_DIR) != 0 && !epio__win32.flush(handle)) {
        return epio__op_fail_to_be_durable(op, GetLastError());
    }
    return 0;
}

int64_t epio__os_name_temporary(epio_op *op)
{
    const char *path = op->arguments.path.path;
    epio__place to;
    if (!epio__win32_file_of(op)->nameless) {
        return epio__op_refuse(op, EPIO__REASON_HAS_NAME);
    }
    int64_t result = epio__op_place(op, path, false, &to);
    result = result == 0 ? epio__check_new_name(op, path, &to) : result;
    if (result == 0) {
        result = name_it(op, &to);
    }
    epio__place_drop(&to);
    return result;
}
