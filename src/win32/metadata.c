/* What the system knows of a file beside its bytes: stat, and setting times and the read-only
 * attribute, of a path or of an open file. */
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>

#define OWNER_WRITE 0200u

/* Reparse points that stand for what POSIX has; missing from some headers. Documented in [MS-FSCC],
 * 2.1.2.1. */
#define TAG_SOCKET 0x80000023u
#define TAG_FIFO 0x80000024u
#define TAG_CHARACTER_DEVICE 0x80000025u
#define TAG_BLOCK_DEVICE 0x80000026u

static bool has_path(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_ON_PATH);
}

/* ---- Types and times ---- */

uint32_t epio__type_of(DWORD attributes, DWORD tag)
{
    tag = (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 ? tag : 0;
    if (IsReparseTagNameSurrogate(tag)) {
        return EPIO_TYPE_LINK;
    }
    switch (tag) {
    case TAG_SOCKET:
        return EPIO_TYPE_SOCKET;
    case TAG_FIFO:
        return EPIO_TYPE_FIFO;
    case TAG_CHARACTER_DEVICE:
        return EPIO_TYPE_CHARACTER_DEVICE;
    case TAG_BLOCK_DEVICE:
        return EPIO_TYPE_BLOCK_DEVICE;
    default:
        return (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? EPIO_TYPE_DIRECTORY : EPIO_TYPE_FILE;
    }
}

/* The system counts units of 100 ns since 1601, of which 1970 is this. */
#define TIME_OF_1970 INT64_C(116444736000000000)
#define TIME_UNIT_NS 100

/* 0 is a time that the file system does not keep. */
static void take_time(epio_info *info, uint32_t which, int64_t *to, LARGE_INTEGER time)
{
    int64_t since = time.QuadPart - TIME_OF_1970;
    if (time.QuadPart > 0 && since >= INT64_MIN / TIME_UNIT_NS &&
        since <= INT64_MAX / TIME_UNIT_NS) {
        info->known |= which;
        *to = since * TIME_UNIT_NS;
    }
}

/* In the system's units, rounded down; 0 leaves a time as it is (FILE_BASIC_INFORMATION). */
static LARGE_INTEGER time_to_set(int64_t time)
{
    LARGE_INTEGER units = {.QuadPart = 0};
    if (time == EPIO_TIME_NOW) {
        time = epio__current_time();
    }
    if (time != EPIO_TIME_KEEP) {
        int64_t rest = time % TIME_UNIT_NS;
        units.QuadPart = time / TIME_UNIT_NS - (rest < 0 ? 1 : 0) + TIME_OF_1970;
    }
    return units;
}

/* ---- Stat ---- */

static void take_attributes(epio_info *info, DWORD attributes, DWORD tag)
{
    bool read_only = (attributes & FILE_ATTRIBUTE_READONLY) != 0;
    bool directory = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    info->known |= EPIO_INFO_ATTRIBUTES | EPIO_INFO_MODE;
    info->attributes = attributes;
    info->type = epio__type_of(attributes, tag);
    info->mode = (directory ? 0777u : 0666u) & (read_only ? 0555u : 0777u);
}

static void take_sizes(epio_info *info, LARGE_INTEGER bytes, LARGE_INTEGER allocated)
{
    info->known |= EPIO_INFO_BYTES | EPIO_INFO_ALLOCATED;
    info->bytes = (uint64_t)bytes.QuadPart;
    info->allocated = (uint64_t)allocated.QuadPart;
}

static void take_links(epio_info *info, DWORD links)
{
    info->known |= EPIO_INFO_LINKS;
    info->links = links;
}

void epio__describe_entry(const FILE_ID_BOTH_DIR_INFO *entry, epio_info *info)
{
    *info = (epio_info){.size = sizeof *info};
    /* EaSize is the tag of a reparse point. */
    take_attributes(info, entry->FileAttributes, entry->EaSize);
    if (info->type != EPIO_TYPE_LINK) {
        take_sizes(info, entry->EndOfFile, entry->AllocationSize);
    }
    take_time(info, EPIO_INFO_BORN, &info->born, entry->CreationTime);
    take_time(info, EPIO_INFO_MODIFIED, &info->modified, entry->LastWriteTime);
    take_time(info, EPIO_INFO_CHANGED, &info->changed, entry->ChangeTime);
    take_time(info, EPIO_INFO_ACCESSED, &info->accessed, entry->LastAccessTime);
}

/* The length of the target, as on POSIX; the system has 0. */
static void take_link(epio_info *info, HANDLE handle)
{
    DWORD error;
    char *target = epio__link_target(handle, &error);
    if (target != NULL) {
        info->bytes = strlen(target);
    }
    free(target);
}

static bool describe_file(HANDLE handle, epio_info *info)
{
    FILE_BASIC_INFO basic;
    FILE_STANDARD_INFO standard;
    if (!epio__win32.get_information(handle, FileBasicInfo, &basic, sizeof basic) ||
        !epio__win32.get_information(handle, FileStandardInfo, &standard, sizeof standard)) {
        return false;
    }
    bool reparse = (basic.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
    take_attributes(info, basic.FileAttributes, reparse ? epio__reparse_tag_of(handle) : 0);
    take_sizes(info, standard.EndOfFile, standard.AllocationSize);
    take_links(info, standard.NumberOfLinks);
    take_time(info, EPIO_INFO_BORN, &info->born, basic.CreationTime);
    take_time(info, EPIO_INFO_MODIFIED, &info->modified, basic.LastWriteTime);
    take_time(info, EPIO_INFO_CHANGED, &info->changed, basic.ChangeTime);
    take_time(info, EPIO_INFO_ACCESSED, &info->accessed, basic.LastAccessTime);
    if (epio__id_of(handle, &info->device, info->id)) {
        info->known |= EPIO_INFO_ID;
    }
    if (info->type == EPIO_TYPE_LINK) {
        take_link(info, handle);
    }
    return true;
}

/* False and GetLastError. */
static bool describe(HANDLE handle, epio_info *info)
{
    switch (GetFileType(handle)) {
    case FILE_TYPE_DISK:
        return describe_file(handle, info);
    case FILE_TYPE_CHAR:
        info->type = EPIO_TYPE_CHARACTER_DEVICE;
        return true;
    case FILE_TYPE_PIPE:
        info->type =
            GetNamedPipeInfo(handle, NULL, NULL, NULL, NULL) ? EPIO_TYPE_FIFO : EPIO_TYPE_SOCKET;
        return true;
    default:
        return GetLastError() == NO_ERROR; /* of a type that the system does not name */
    }
}

/* One call, without opening the file. Not for reparse points, which it does not follow, and what is
 * no disk. */
static bool describe_by_name(const WCHAR *name, epio_info *info)
{
    epio__win32_stat stat;
    if (!epio__win32.get_information_by_name(name, &stat, sizeof stat)) {
        return false;
    }
    if ((stat.attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 ||
        stat.device_type != FILE_DEVICE_DISK) {
        SetLastError(ERROR_NOT_SUPPORTED);
        return false;
    }
    take_attributes(info, stat.attributes, 0);
    take_sizes(info, stat.bytes, stat.allocated);
    take_links(info, stat.links);
    take_time(info, EPIO_INFO_BORN, &info->born, stat.born);
    take_time(info, EPIO_INFO_MODIFIED, &info->modified, stat.modified);
    take_time(info, EPIO_INFO_CHANGED, &info->changed, stat.changed);
    take_time(info, EPIO_INFO_ACCESSED, &info->accessed, stat.accessed);
    info->known |= EPIO_INFO_ID;
    info->device = stat.volume;
    info->id[0] = stat.id[0];
    info->id[1] = stat.id[1];
    return true;
}

/* INVALID_HANDLE_VALUE and GetLastError. `follows`: through links. */
static HANDLE open_metadata(const epio__place *place, DWORD access, bool follows)
{
    HANDLE handle =
        epio__open_at(place, access, OPEN_EXISTING,
                      FILE_FLAG_BACKUP_SEMANTICS | (follows ? 0 : FILE_FLAG_OPEN_REPARSE_POINT));
    if (handle != INVALID_HANDLE_VALUE || !follows || GetLastError() != ERROR_CANT_ACCESS_FILE) {
        return handle;
    }
    /* A reparse point that is no link, and that nothing opens: a socket, for one. */
    handle = epio__open_name_at(place, access);
    if (handle != INVALID_HANDLE_VALUE && IsReparseTagNameSurrogate(epio__reparse_tag_of(handle))) {
        (void)CloseHandle(handle);
        handle = INVALID_HANDLE_VALUE;
        SetLastError(ERROR_CANT_ACCESS_FILE);
    }
    return handle;
}

int64_t epio__op_open_metadata(epio_op *op, DWORD access, bool follows, HANDLE *handle)
{
    const char *path = op->arguments.path.path;
    epio__place place;
    int64_t result = epio__op_place(op, path, follows, &place);
    result = result == 0 ? epio__check_directory_mark(op, path, &place) : result;
    if (result == 0) {
        *handle = open_metadata(&place, access, follows);
        if (*handle == INVALID_HANDLE_VALUE) {
            result = epio__op_fail_on_path(op, &place, GetLastError());
        }
    }
    epio__place_drop(&place);
    return result;
}

static int64_t stat_place(epio_op *op, const epio__place *place, epio_info *info)
{
    if (place->root == NULL && describe_by_name(place->name, info)) {
        return 0;
    }
    DWORD error = place->root == NULL ? GetLastError() : 0;
    if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND) {
        return epio__op_fail_on_path(op, place, error);
    }
    bool follows = (op->flags & EPIO_STAT_NOFOLLOW) == 0;
    HANDLE handle = open_metadata(place, FILE_READ_ATTRIBUTES, follows);
    if (handle == INVALID_HANDLE_VALUE) {
        return epio__op_fail_on_path(op, place, GetLastError());
    }
    int64_t result = describe(handle, info) ? 0 : epio__op_fail(op);
    (void)CloseHandle(handle);
    return result;
}

static int64_t stat_path(epio_op *op, epio_info *info)
{
    const char *path = op->arguments.path.path;
    epio__place place;
    bool follows = (op->flags & EPIO_STAT_NOFOLLOW) == 0;
    int64_t result = epio__op_place(op, path, follows, &place);
    result = result == 0 ? epio__check_directory_mark(op, path, &place) : result;
    if (result == 0) {
        result = stat_place(op, &place, info);
    }
    epio__place_drop(&place);
    return result;
}

int64_t epio__os_stat(epio_op *op, epio_info *info)
{
    memset(info, 0, sizeof *info);
    if (has_path(op)) {
        return stat_path(op, info);
    }
    HANDLE handle = epio__handle_of(&epio__win32_file_of(op)->base);
    return describe(handle, info) ? 0 : epio__op_fail(op);
}

/* ---- Changes ---- */

/* False and GetLastError. */
typedef bool change_function(HANDLE handle, const void *argument);

static int64_t change_path(epio_op *op, change_function *change, const void *argument)
{
    HANDLE handle;
    bool follows = (op->flags & EPIO_SET_NOFOLLOW) == 0;
    int64_t result =
        epio__op_open_metadata(op, FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES, follows, &handle);
    if (result == 0) {
        result = change(handle, argument) ? 0 : epio__op_fail(op);
        (void)CloseHandle(handle);
    }
    return result;
}

/* A handle that was opened for reading has no right to it, but the file may be opened again, as
 * ReOpenFile does it. */
static int64_t change_file(epio_op *op, change_function *change, const void *argument)
{
    WCHAR itself[] = L"";
    const epio__place place = {.root = epio__handle_of(&epio__win32_file_of(op)->base),
                               .name = itself};
    if (change(place.root, argument)) {
        return 0;
    }
    DWORD error = GetLastError();
    HANDLE handle = error == ERROR_ACCESS_DENIED
                        ? epio__open_name_at(&place, FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES)
                        : INVALID_HANDLE_VALUE;
    if (handle == INVALID_HANDLE_VALUE) {
        return epio__op_fail_with(op, error);
    }
    int64_t result = change(handle, argument) ? 0 : epio__op_fail(op);
    (void)CloseHandle(handle);
    return result;
}

static int64_t change_it(epio_op *op, change_function *change, const void *argument)
{
    return has_path(op) ? change_path(op, change, argument) : change_file(op, change, argument);
}

static bool set_times(HANDLE handle, const void *argument)
{
    const epio_times *times = argument;
    FILE_BASIC_INFO information = {.CreationTime = time_to_set(times->born),
                                   .LastWriteTime = time_to_set(times->modified),
                                   .LastAccessTime = time_to_set(times->accessed)};
    return epio__win32.set_information(handle, FileBasicInfo, &information, sizeof information) !=
           FALSE;
}

int64_t epio__os_set_times(epio_op *op, const epio_times *times)
{
    return change_it(op, set_times, times);
}

static bool set_read_only(HANDLE handle, const void *argument)
{
    FILE_BASIC_INFO information;
    if (!epio__win32.get_information(handle, FileBasicInfo, &information, sizeof information)) {
        return false;
    }
    DWORD attributes = information.FileAttributes & ~(DWORD)FILE_ATTRIBUTE_READONLY;
    attributes |= *(const bool *)argument ? FILE_ATTRIBUTE_READONLY : 0;
    memset(&information, 0, sizeof information); /* the times stay */
    information.FileAttributes = attributes != 0 ? attributes : FILE_ATTRIBUTE_NORMAL;
    return epio__win32.set_information(handle, FileBasicInfo, &information, sizeof information) !=
           FALSE;
}

int64_t epio__os_set_mode(epio_op *op)
{
    bool read_only = (op->arguments.path.len & OWNER_WRITE) == 0;
    return change_it(op, set_read_only, &read_only);
}

/* Owners are no numbers here. */
int64_t epio__os_set_owner(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}
