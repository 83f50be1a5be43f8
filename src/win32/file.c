/* Makes an epio_file from a path or a handle, and closes it. */
#include "list.h"
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define TEMPORARY_TRIES 100
#define OWNER_WRITE 0200u
#define ID_INFO ((FILE_INFO_BY_HANDLE_CLASS)18)

/* A file in a cloud; missing from some headers. */
#define RECALL_ON_OPEN 0x00040000u
#define RECALL_ON_DATA_ACCESS 0x00400000u

/* ---- A file around a handle ---- */

static epio__win32_file *create_file(epio_vfs *vfs, uint32_t flags)
{
    epio__win32_file *file = calloc(1, sizeof *file);
    if (file != NULL) {
        epio_file_init(&file->base.base, vfs, flags, 0);
        file->base.handle = -1;
        file->base.cached_reads =
            EPIO__CACHED_READS_NEVER; /* the system cannot report what is cached */
        epio_list_init(&file->base.readers);
        epio_list_init(&file->base.writers);
    }
    return file;
}

static void set_handle(epio__win32_file *file, HANDLE handle)
{
    file->base.handle = (intptr_t)handle;
    file->base.transfer_handle = file->base.handle;
    file->base.lock_handle = file->base.handle;
}

static void note_appends(epio__win32_file *file, bool appends)
{
    file->appends = appends;
    file->base.base.attributes |= appends ? EPIO_FILE_APPENDS : 0;
}

static uint32_t sector_of(HANDLE handle)
{
    FILE_STORAGE_INFO information;
    bool known = GetFileInformationByHandleEx(handle, FileStorageInfo, &information,
                                              sizeof information) != FALSE;
    return known && information.LogicalBytesPerSector != 0 ? information.LogicalBytesPerSector
                                                           : 512;
}

bool epio__id_of(HANDLE handle, uint64_t *volume, uint64_t id[2])
{
    /* Windows 8: ReFS has file IDs of 128 bits. By number and with a layout of our own: older
     * headers lack both. */
    struct {
        uint64_t volume;
        uint64_t file[2];
    } full;
    BY_HANDLE_FILE_INFORMATION information;
    if (epio__win32.get_information(handle, ID_INFO, &full, sizeof full)) {
        *volume = full.volume;
        id[0] = full.file[0];
        id[1] = full.file[1];
        return true;
    }
    if (!GetFileInformationByHandle(handle, &information)) {
        return false;
    }
    *volume = information.dwVolumeSerialNumber;
    id[0] = (uint64_t)information.nFileIndexHigh << 32 | information.nFileIndexLow;
    id[1] = 0;
    return true;
}

bool epio__identity_of(HANDLE handle, uint64_t *device, uint64_t *inode)
{
    uint64_t id[2];
    if (!epio__id_of(handle, device, id)) {
        return false;
    }
    *device ^= id[1];
    *inode = id[0];
    return true;
}

bool epio__are_the_same(HANDLE one, HANDLE other)
{
    uint64_t devices[2];
    uint64_t inodes[2];
    return epio__identity_of(one, &devices[0], &inodes[0]) &&
           epio__identity_of(other, &devices[1], &inodes[1]) && devices[0] == devices[1] &&
           inodes[0] == inodes[1];
}

/* Calls on it do not wait, and the system does not report when they could proceed. */
static bool is_polled_pipe(HANDLE handle)
{
    DWORD state;
    return GetNamedPipeHandleStateW(handle, &state, NULL, NULL, NULL, NULL, 0) &&
           (state & PIPE_NOWAIT) != 0;
}

/* 0, or an error with *os_error. */
static int fill_stream(epio__win32_file *file, int32_t *os_error)
{
    HANDLE handle = epio__handle_of(&file->base);
    if (is_polled_pipe(handle)) {
        *os_error = ERROR_NOT_SUPPORTED;
        return EPIO_ENOTSUP;
    }
    DWORD pipe_flags = 0;
    file->pipe = GetNamedPipeInfo(handle, &pipe_flags, NULL, NULL, NULL) != FALSE;
    file->messages = (pipe_flags & PIPE_TYPE_MESSAGE) != 0;
    file->base.base.attributes = EPIO_FILE_STREAM;
    return 0;
}

/* Attributes that send transfers to workers: within each call the system transforms the data, or
 * fetches it from elsewhere. */
#define TRANSFORMED (FILE_ATTRIBUTE_COMPRESSED | FILE_ATTRIBUTE_ENCRYPTED)
#define FETCHED (FILE_ATTRIBUTE_OFFLINE | RECALL_ON_OPEN | RECALL_ON_DATA_ACCESS)

bool epio__is_remote(HANDLE handle)
{
    FILE_REMOTE_PROTOCOL_INFO information;
    return epio__win32.get_information(handle, FileRemoteProtocolInfo, &information,
                                       sizeof information) != FALSE;
}

/* For a file that is one, or ought to be: 0, or an error with *os_error. */
static int fill_directory(epio__win32_file *file, bool is_one, uint32_t flags, int32_t *os_error)
{
    if (!is_one || (flags & EPIO_OPEN_DIRECTORY) == 0) {
        *os_error = is_one ? ERROR_DIRECTORY_NOT_SUPPORTED : ERROR_DIRECTORY;
        return is_one ? EPIO_EISDIR : EPIO_ENOTDIR;
    }
    file->base.listing = epio__listing_create();
    if (file->base.listing == NULL) {
        return EPIO_ENOMEM;
    }
    bool far_away = epio__is_remote(epio__handle_of(&file->base));
    file->base.base.medium = file->base.device;
    file->base.base.attributes = EPIO_FILE_DIRECTORY | (far_away ? 0u : EPIO_FILE_LOCAL);
    return 0;
}

/* 0, or an error with *os_error. */
static int fill_file(epio__win32_file *file, uint32_t flags, int32_t *os_error)
{
    HANDLE handle = epio__handle_of(&file->base);
    FILE_BASIC_INFO information;
    DWORD type = GetFileType(handle);
    if (type != FILE_TYPE_DISK) {
        if (type == FILE_TYPE_UNKNOWN && GetLastError() != NO_ERROR) {
            *os_error = (int32_t)GetLastError();
            return epio__error_from_os(*os_error);
        }
        return fill_stream(file, os_error);
    }
    if (!epio__win32.get_information(handle, FileBasicInfo, &information, sizeof information) ||
        !epio__identity_of(handle, &file->base.device, &file->base.inode)) {
        *os_error = (int32_t)GetLastError();
        return epio__error_from_os(*os_error);
    }
    bool directory = (information.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    if (directory || (flags & EPIO_OPEN_DIRECTORY) != 0) {
        return fill_directory(file, directory, flags, os_error);
    }
    /* Files on a server go to workers too: a call may ask the server, and takes as long as that
     * does. */
    file->base.locks_are_remote = epio__is_remote(handle);
    bool is_far = file->base.locks_are_remote || (information.FileAttributes & FETCHED) != 0;
    file->cannot_bind = is_far || (information.FileAttributes & TRANSFORMED) != 0;
    file->base.base.attributes = is_far ? 0 : EPIO_FILE_LOCAL;
    file->base.base.medium = file->base.device;
    file->base.direct = (flags & EPIO_OPEN_DIRECT) != 0;
    file->sector = file->base.direct ? sector_of(handle) : 0;
    return 0;
}

int epio__os_file_dispose(epio__os_file *file, int32_t *os_error)
{
    int result = 0;
    epio__append_close((epio__win32_file *)(void *)file);
    if (file->handle != -1 && !CloseHandle(epio__handle_of(file))) {
        *os_error = (int32_t)GetLastError();
        result = epio__error_from_os(*os_error);
    }
    free(((epio__win32_file *)(void *)file)->delete_name);
    epio__listing_destroy(file->listing);
    epio__file_free(file);
    return result;
}

static void discard_file(epio__win32_file *file)
{
    int32_t os_error;
    epio_file_release(&file->base.base);
    (void)epio__os_file_close(&file->base, &os_error);
}

/* ---- Opening ---- */

static DWORD access_for(uint32_t flags)
{
    DWORD access = 0;
    if ((flags & EPIO_OPEN_DIRECTORY) != 0) {
        /* Not FILE_TRAVERSE, which a user who may list it may lack, and does not need: passing
         * through directories is a privilege of all (SeChangeNotifyPrivilege). */
        return FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES | SYNCHRONIZE;
    }
    access |= (flags & EPIO_OPEN_READ) != 0 ? GENERIC_READ : 0;
    access |= (flags & EPIO_OPEN_WRITE) != 0 ? GENERIC_WRITE : 0;
    access |= (flags & EPIO_OPEN_DELETE_ON_CLOSE) != 0 ? DELETE : 0;
    access |= (flags & EPIO_OPEN_NOATIME) != 0 ? FILE_WRITE_ATTRIBUTES : 0;
    return access;
}

/* The system takes one hint at most. */
static DWORD hint_for(uint32_t flags)
{
    switch (flags & (EPIO_OPEN_SEQUENTIAL | EPIO_OPEN_RANDOM)) {
    case EPIO_OPEN_SEQUENTIAL:
        return FILE_FLAG_SEQUENTIAL_SCAN;
    case EPIO_OPEN_RANDOM:
        return FILE_FLAG_RANDOM_ACCESS;
    default:
        return 0;
    }
}

/* An existing file is truncated afterwards: CREATE_ALWAYS would also change its attributes. */
static DWORD disposition_for(uint32_t flags)
{
    if ((flags & EPIO_OPEN_CREATE) == 0) {
        return OPEN_EXISTING;
    }
    return (flags & EPIO_OPEN_EXCLUSIVE) != 0 ? CREATE_NEW : OPEN_ALWAYS;
}

static DWORD attributes_for(const epio__place *place, uint32_t flags)
{
    if ((flags & EPIO_OPEN_DIRECTORY) != 0) {
        /* Not overlapped: the calls that list it have no such form. */
        return FILE_FLAG_BACKUP_SEMANTICS |
               ((flags & EPIO_OPEN_NOFOLLOW) != 0 ? FILE_FLAG_OPEN_REPARSE_POINT : 0);
    }
    uint32_t given = flags >> 16;
    bool read_only = (given & 01000u) != 0 && (given & OWNER_WRITE) == 0;
    DWORD attributes = FILE_FLAG_OVERLAPPED | hint_for(flags);
    attributes |= read_only ? FILE_ATTRIBUTE_READONLY : FILE_ATTRIBUTE_NORMAL;
    attributes |= (flags & EPIO_OPEN_DIRECT) != 0 ? FILE_FLAG_NO_BUFFERING : 0;
    attributes |= (flags & EPIO_OPEN_NOFOLLOW) != 0 ? FILE_FLAG_OPEN_REPARSE_POINT : 0;
    /* Not for DELETE_ON_CLOSE: it would also delete an existing file if the open fails, the
     * target of a link, and a file that has another name by then. */
    attributes |= (flags & EPIO_OPEN_TEMPORARY) != 0
                      ? FILE_FLAG_DELETE_ON_CLOSE | FILE_ATTRIBUTE_TEMPORARY
                      : 0;
    /* Otherwise the server of a pipe could impersonate the program. On a file the first of these
     * bits is FILE_FLAG_OPEN_NO_RECALL. */
    bool pipe = place->root == NULL && epio__may_be_pipe(place->name);
    attributes |= pipe ? SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION : 0;
    return attributes;
}

/* *created, if it is opened: the file was not there before. */
static HANDLE open_name(const epio__place *place, uint32_t flags, bool *created)
{
    DWORD disposition = disposition_for(flags);
    DWORD access = access_for(flags);
    DWORD attributes = attributes_for(place, flags);
    HANDLE handle = (flags & EPIO_OPEN_NOFOLLOW) != 0
                        ? epio__open_no_link_at(place, access, disposition, attributes)
                        : epio__open_at(place, access, disposition, attributes);
    *created = disposition == CREATE_NEW ||
               (disposition == OPEN_ALWAYS && GetLastError() != ERROR_ALREADY_EXISTS);
    return handle;
}

static bool truncate_to_nothing(HANDLE handle)
{
    FILE_END_OF_FILE_INFO end = {.EndOfFile = {.QuadPart = 0}};
    return SetFileInformationByHandle(handle, FileEndOfFileInfo, &end, sizeof end) != FALSE;
}

/* -1: what is done by this handle does not change the time (FILE_BASIC_INFORMATION). */
static void keep_access_time(HANDLE handle)
{
    FILE_BASIC_INFO information = {.LastAccessTime = {.QuadPart = -1}};
    (void)epio__win32.set_information(handle, FileBasicInfo, &information, sizeof information);
}

/* Prepares the new handle before the caller gets it: 0 or an error. */
static int64_t finish_open(epio_op *op, HANDLE handle, const epio__place *place, bool created)
{
    if ((op->flags & (EPIO_OPEN_NOATIME | EPIO_OPEN_DIRECTORY)) == EPIO_OPEN_NOATIME) {
        keep_access_time(handle);
    }
    if ((op->flags & EPIO_OPEN_TRUNCATE) != 0 && !truncate_to_nothing(handle)) {
        return epio__op_fail(op);
    }
    if (!created || (op->flags & EPIO_OPEN_SYNC_DIR) == 0) {
        return 0;
    }
    /* A flush of the file includes its metadata, on NTFS its name too. */
    DWORD error = 0;
    if ((op->flags & EPIO_OPEN_WRITE) == 0) {
        error = epio__make_name_durable(place);
    } else if (!epio__win32.flush(handle)) {
        error = GetLastError();
    }
    return error == 0 ? 0 : epio__op_fail_to_be_durable(op, error);
}

/* Does the name still belong to the file? False and GetLastError if nothing is found under it. */
static bool has_name(HANDLE file, const epio__place *place)
{
    HANDLE handle = epio__open_at(place, 0, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT);
    if (handle == INVALID_HANDLE_VALUE) {
        return false;
    }
    bool same = epio__are_the_same(file, handle);
    (void)CloseHandle(handle);
    SetLastError(0);
    return same;
}

/* A failed open leaves no file that it created, unless another handle has written to it. */
static void undo_create(HANDLE handle, const epio__place *place)
{
    LARGE_INTEGER size;
    if (GetFileSizeEx(handle, &size) && size.QuadPart == 0 && has_name(handle, place)) {
        (void)epio__remove_name(place, false);
    }
}

static int64_t fail_to_open(epio_op *op, const epio__place *place, DWORD error)
{
    bool exclusive = (op->flags & EPIO_OPEN_EXCLUSIVE) != 0;
    if (exclusive && error == ERROR_ACCESS_DENIED && epio__is_directory_at(place)) {
        error = ERROR_FILE_EXISTS;
    }
    if ((op->flags & EPIO_OPEN_DIRECTORY) != 0 && error == ERROR_ACCESS_DENIED) {
        return epio__op_fail_with(op, error); /* it is to be a directory */
    }
    return epio__op_fail_or_retry(op, place, error, false);
}

static int64_t open_file(epio_op *op, epio__win32_file *file, const epio__place *place)
{
    bool created;
    HANDLE handle = open_name(place, op->flags, &created);
    if (handle == INVALID_HANDLE_VALUE) {
        return fail_to_open(op, place, GetLastError());
    }
    set_handle(file, handle);
    file->base.opened_as = op->flags & (EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_DIRECT);
    int64_t result = fill_file(file, op->flags, &op->os_error);
    bool stream = (file->base.base.attributes & EPIO_FILE_STREAM) != 0;
    note_appends(file, (op->flags & EPIO_OPEN_APPEND) != 0 && !stream);
    if (result == 0) {
        result = finish_open(op, handle, place, created);
    }
    if (result != 0 && created) {
        undo_create(handle, place);
    }
    return result;
}

/* ---- Temporary files ---- */

static int64_t open_temporary(epio_op *op, epio__win32_file *file)
{
    epio__place directory;
    int64_t result = epio__temporary_directory(op, &directory);
    for (int i = 0; result == 0 && i < TEMPORARY_TRIES; i++) {
        epio__place place;
        result =
            epio__temporary_place(&directory, &place) ? open_file(op, file, &place) : EPIO_ENOMEM;
        epio__place_drop(&place);
        if (result != EPIO_EEXIST) {
            break;
        }
        result = i + 1 < TEMPORARY_TRIES ? 0 : result;
    }
    file->nameless = result == 0;
    epio__place_drop(&directory);
    return result;
}

/* The path of the file itself, for its close, by which the op's directory may be closed; the links
 * that lead to it stay. 0 or an error. */
static int64_t note_name(epio_op *op, epio__win32_file *file, const epio__place *place)
{
    WCHAR *final = epio__final_name(epio__handle_of(&file->base));
    file->delete_name = final != NULL ? final : epio__place_name(place);
    return file->delete_name != NULL ? 0 : epio__op_fail(op);
}

static int64_t open_path(epio_op *op, epio__win32_file *file)
{
    const uint32_t new_file = EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE;
    const char *path = op->arguments.path.path;
    epio__place place;
    bool follows = (op->flags & EPIO_OPEN_NOFOLLOW) == 0 && (op->flags & new_file) != new_file;
    int64_t result = epio__op_place(op, path, follows, &place);
    result = result == 0 ? epio__check_directory_mark(op, path, &place) : result;
    if (result == 0) {
        result = open_file(op, file, &place);
    }
    if (result == 0 && (op->flags & EPIO_OPEN_DELETE_ON_CLOSE) != 0) {
        result = note_name(op, file, &place);
    }
    epio__place_drop(&place);
    return result;
}

int64_t epio__os_open(epio_vfs *vfs, epio_op *op)
{
    const uint32_t removed = EPIO_OPEN_TEMPORARY | EPIO_OPEN_DELETE_ON_CLOSE;
    bool confined = epio__op_is_confined(op);
    if (confined && (op->flags & removed) != 0) {
        return EPIO_ENOTSUP;
    }
    epio__win32_file *file = create_file(vfs, op->flags);
    if (file == NULL) {
        return EPIO_ENOMEM;
    }
    bool temporary = (op->flags & EPIO_OPEN_TEMPORARY) != 0;
    int64_t result = temporary ? open_temporary(op, file) : open_path(op, file);
    if (result != 0) {
        discard_file(file);
        return result;
    }
    file->base.confines = confined || (op->flags & EPIO_OPEN_BENEATH) != 0;
    op->file = &file->base.base;
    return 0;
}

/* ---- Adopting ---- */

/* *appends: the handle may write, but only at the end of the file. (For a pipe that bit is
 * another right.) */
static int64_t check_handle(epio_op *op, HANDLE handle, uint32_t *flags, bool *appends)
{
    DWORD information;
    ACCESS_MASK access;
    *appends = false;
    if (handle == INVALID_HANDLE_VALUE || !GetHandleInformation(handle, &information)) {
        op->os_error = ERROR_INVALID_HANDLE;
        return EPIO_EBADF;
    }
    uint32_t allowed = EPIO_OPEN_READ | EPIO_OPEN_WRITE;
    if (epio__nt_access_of(handle, &access)) {
        *appends = (access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) == FILE_APPEND_DATA &&
                   GetFileType(handle) == FILE_TYPE_DISK;
        allowed = ((access & FILE_READ_DATA) != 0 ? EPIO_OPEN_READ : 0) |
                  ((access & FILE_WRITE_DATA) != 0 || *appends ? EPIO_OPEN_WRITE : 0);
    }
    *flags = op->flags != 0 ? op->flags : allowed;
    return (*flags & ~allowed) != 0 ? EPIO_EBADF : 0;
}

int64_t epio__os_adopt(epio_vfs *vfs, epio_op *op)
{
    HANDLE handle = (HANDLE)op->arguments.adopt.os_handle;
    uint32_t flags;
    bool appends;
    int64_t result = check_handle(op, handle, &flags, &appends);
    if (result != 0) {
        return result;
    }
    epio__win32_file *file = create_file(vfs, flags);
    if (file == NULL) {
        return EPIO_ENOMEM;
    }
    set_handle(file, handle);
    note_appends(file, appends);
    ULONG mode = EPIO__NT_SYNCHRONOUS; /* if it cannot be queried: right for either kind */
    (void)epio__nt_mode_of(handle, &mode);
    file->synchronous = (mode & EPIO__NT_SYNCHRONOUS) != 0;
    bool direct = (mode & EPIO__NT_UNBUFFERED) != 0;
    result = fill_file(file, flags | (direct ? EPIO_OPEN_DIRECT : 0), &op->os_error);
    if (result != 0) {
        file->base.handle = -1; /* the caller keeps the handle */
        discard_file(file);
        return result;
    }
    op->file = &file->base.base;
    return 0;
}

/* 0 or an error. */
static DWORD delete_at_close(const epio__win32_file *file)
{
    HANDLE handle = epio__handle_of(&file->base);
    const epio__place place = {.root = NULL, .name = file->delete_name};
    if (!has_name(handle, &place)) {
        DWORD error = GetLastError();
        return error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND ? 0 : error;
    }
    if (epio__remove_name(&place, false)) {
        return 0;
    }
    DWORD error = GetLastError();
    /* Deleted with its last handle, if another handle prevents it now. */
    FILE_DISPOSITION_INFO disposition = {.DeleteFile = TRUE};
    return epio__win32.set_information(handle, FileDispositionInfo, &disposition,
                                       sizeof disposition)
               ? 0
               : error;
}

int64_t epio__os_close(epio_op *op)
{
    epio__win32_file *file = epio__win32_file_of(op);
    epio__append_close(file); /* it would keep the name in use */
    DWORD error = file->delete_name != NULL ? delete_at_close(file) : 0;
    epio_file_release(&file->base.base);
    int64_t result = epio__os_file_close(&file->base, &op->os_error);
    return result == 0 && error != 0 ? epio__op_fail_with(op, error) : result;
}
