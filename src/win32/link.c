/* Links: further names of a file, symbolic links and junctions. */
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Missing from some headers. */
#define UNPRIVILEGED 0x2u /* SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE: version 1703 */

/* ---- Further names ---- */

static int64_t link_places(epio_op *op, const epio__place *from, const epio__place *to)
{
    FILE_BASIC_INFO information;
    HANDLE handle = epio__open_name_at(from, FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES);
    if (handle == INVALID_HANDLE_VALUE) {
        return epio__op_fail_on_path(op, from, GetLastError());
    }
    int64_t result = 0;
    if (!epio__win32.get_information(handle, FileBasicInfo, &information, sizeof information)) {
        result = epio__op_fail(op);
    } else if ((information.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        op->os_error = ERROR_ACCESS_DENIED; /* as the system has it */
        result = EPIO_EPERM;
    } else if (!epio__set_name(handle, EPIO__NT_LINK, 0, to)) {
        DWORD error = GetLastError();
        bool there = error == ERROR_ACCESS_DENIED && epio__attributes_at(to) != 0;
        result = epio__op_fail_on_path(op, to, there ? ERROR_ALREADY_EXISTS : error);
    }
    (void)CloseHandle(handle);
    return result;
}

int64_t epio__os_link_file(epio_op *op)
{
    epio__place from;
    epio__place to = {.root = NULL, .name = NULL};
    int64_t result = epio__op_place(op, op->arguments.path.path, false, &from);
    result = result == 0 ? epio__check_directory_mark(op, op->arguments.path.path, &from) : result;
    result = result == 0 ? epio__op_place(op, op->arguments.path.to, false, &to) : result;
    result = result == 0 ? epio__check_new_name(op, op->arguments.path.to, &to) : result;
    if (result == 0) {
        result = link_places(op, &from, &to);
    }
    epio__place_drop(&from);
    epio__place_drop(&to);
    return result;
}

/* ---- Reparse points ---- */

/* REPARSE_DATA_BUFFER, which only drivers' headers have:
 * https://learn.microsoft.com/windows-hardware/drivers/ddi/ntifs/ns-ntifs-_reparse_data_buffer.
 * Offsets and lengths of the names are in bytes, from the end of the struct; a symbolic link has
 * flags before that. */
typedef struct reparse_data {
    ULONG tag;
    USHORT len; /* of what follows `unused` */
    USHORT unused;
    USHORT target_offset;
    USHORT target_len;
    USHORT shown_offset;
    USHORT shown_len;
} reparse_data;

#define HEAD_LEN 8u /* of reparse_data, up to `unused` */

/* What the object manager's form of a name is in Win32: \??\C:\x, \??\UNC\server\share,
 * \??\Volume{...}\. */
static size_t turn_to_win32(WCHAR *name, size_t len)
{
    if (len < 4 || wcsncmp(name, L"\\??\\", 4) != 0) {
        return len;
    }
    size_t dropped = 0;
    if (len > 5 && name[5] == L':') {
        dropped = 4;
    } else if (len > 8 && wcsncmp(name + 4, L"UNC\\", 4) == 0) {
        dropped = 6;
        name[6] = L'\\';
    } else {
        name[1] = L'\\';
    }
    wmemmove(name, name + dropped, len - dropped);
    return len - dropped;
}

/* NULL and an error. */
static char *target_of(unsigned char *data, size_t len, DWORD *error)
{
    reparse_data head;
    *error = ERROR_NOT_A_REPARSE_POINT;
    if (len < sizeof head) {
        return NULL;
    }
    memcpy(&head, data, sizeof head);
    if (head.tag != IO_REPARSE_TAG_SYMLINK && head.tag != IO_REPARSE_TAG_MOUNT_POINT) {
        return NULL;
    }
    size_t names = sizeof head + (head.tag == IO_REPARSE_TAG_SYMLINK ? sizeof(ULONG) : 0);
    size_t units = head.target_len / sizeof(WCHAR);
    if (names + head.target_offset + head.target_len > len) {
        *error = ERROR_INVALID_DATA;
        return NULL;
    }
    *error = ERROR_NOT_ENOUGH_MEMORY;
    WCHAR *name = malloc((units + 1) * sizeof *name);
    char *target = malloc(units * EPIO__NARROW_MOST + 1);
    if (name != NULL && target != NULL) {
        memcpy(name, data + names + head.target_offset, units * sizeof *name);
        (void)epio__narrow(name, turn_to_win32(name, units), target);
    } else {
        free(target);
        target = NULL;
    }
    free(name);
    return target;
}

char *epio__link_target(HANDLE handle, DWORD *error)
{
    DWORD len = 0;
    char *target = NULL;
    unsigned char *data = malloc(MAXIMUM_REPARSE_DATA_BUFFER_SIZE);
    if (data == NULL) {
        *error = ERROR_NOT_ENOUGH_MEMORY;
    } else if (!epio__win32.control(handle, FSCTL_GET_REPARSE_POINT, NULL, 0, data,
                                    MAXIMUM_REPARSE_DATA_BUFFER_SIZE, &len, NULL)) {
        *error = GetLastError();
    } else {
        target = target_of(data, len, error);
    }
    free(data);
    return target;
}

/* ---- Reading a link ---- */

static int64_t give(epio_op *op, const char *target)
{
    size_t len = strlen(target);
    if (len >= op->arguments.path.len) {
        return EPIO_ERANGE;
    }
    memcpy(op->arguments.path.buffer, target, len + 1);
    return (int64_t)len;
}

static int64_t read_link_at(epio_op *op, const epio__place *place)
{
    FILE_BASIC_INFO information;
    HANDLE handle = epio__open_name_at(place, FILE_READ_ATTRIBUTES);
    if (handle == INVALID_HANDLE_VALUE) {
        return epio__op_fail_on_path(op, place, GetLastError());
    }
    char *target = NULL;
    DWORD error = ERROR_NOT_A_REPARSE_POINT;
    if (!epio__win32.get_information(handle, FileBasicInfo, &information, sizeof information)) {
        error = GetLastError();
    } else if ((information.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
        target = epio__link_target(handle, &error);
    }
    (void)CloseHandle(handle);
    int64_t result = target != NULL ? give(op, target) : epio__op_fail_with(op, error);
    free(target);
    return result;
}

int64_t epio__os_read_link(epio_op *op)
{
    epio__place place;
    int64_t result = epio__op_place(op, op->arguments.path.path, false, &place);
    result = result == 0 ? epio__check_directory_mark(op, op->arguments.path.path, &place) : result;
    if (result == 0) {
        result = read_link_at(op, &place);
    }
    epio__place_drop(&place);
    return result;
}

/* ---- Making a link ---- */

/* A link as it is to be made. */
typedef struct new_link {
    const epio__place *place;
    WCHAR *name;     /* of the link, absolute */
    WCHAR *target;   /* as given, with backslashes: the system follows no other */
    WCHAR *absolute; /* where that leads; NULL: unknown */
} new_link;

/* Leads the target to a directory? The system has two kinds of links. */
static bool leads_to_directory(const new_link *one)
{
    const epio__place place = {.root = NULL, .name = one->absolute};
    return one->absolute != NULL && epio__is_directory_at(&place);
}

/* 0 or an error. */
static DWORD make_symbolic(const new_link *one, bool directory)
{
    DWORD flags = directory ? SYMBOLIC_LINK_FLAG_DIRECTORY : 0;
    if (epio__win32.create_symbolic_link(one->name, one->target, flags | UNPRIVILEGED)) {
        return 0;
    }
    DWORD error = GetLastError();
    if (error != ERROR_INVALID_PARAMETER) {
        return error;
    }
    return epio__win32.create_symbolic_link(one->name, one->target, flags) ? 0 : GetLastError();
}

/* The reparse point of a junction: its target in both forms, each ended by a NUL. */
static unsigned char *junction_data(const WCHAR *target, DWORD *size)
{
    size_t len = wcslen(target) * sizeof *target; /* \\?\C:\x */
    size_t shown = len - 4 * sizeof *target;
    size_t all = sizeof(reparse_data) + len + shown + 2 * sizeof *target;
    unsigned char *data = all <= MAXIMUM_REPARSE_DATA_BUFFER_SIZE ? calloc(1, all) : NULL;
    if (data != NULL) {
        reparse_data head = {.tag = IO_REPARSE_TAG_MOUNT_POINT,
                             .len = (USHORT)(all - HEAD_LEN),
                             .target_len = (USHORT)len,
                             .shown_offset = (USHORT)(len + sizeof *target),
                             .shown_len = (USHORT)shown};
        const WCHAR mark = L'?';
        memcpy(data, &head, sizeof head);
        memcpy(data + sizeof head, target, len);
        memcpy(data + sizeof head + sizeof mark, &mark, sizeof mark); /* \??\C:\x */
        memcpy(data + sizeof head + head.shown_offset, target + 4, shown);
        *size = (DWORD)all;
    }
    return data;
}

/* A junction, which needs no permission, but leads to a directory by its absolute name alone: false
 * if it cannot be made. */
static bool make_junction(const new_link *one)
{
    DWORD size = 0;
    DWORD none;
    unsigned char *data = junction_data(one->absolute, &size);
    bool done = false;
    if (data != NULL && epio__make_directory_at(one->place)) {
        FILE_DISPOSITION_INFO disposition = {.DeleteFile = TRUE};
        HANDLE handle = epio__open_name_at(one->place, GENERIC_WRITE | DELETE);
        if (handle != INVALID_HANDLE_VALUE) {
            done = epio__win32.control(handle, FSCTL_SET_REPARSE_POINT, data, size, NULL, 0, &none,
                                       NULL) != FALSE;
            if (!done) {
                (void)epio__win32.set_information(handle, FileDispositionInfo, &disposition,
                                                  sizeof disposition);
            }
            (void)CloseHandle(handle);
        }
    }
    free(data);
    return done;
}

static bool begins_with_drive(const WCHAR *name)
{
    return name[0] != L'\0' && name[1] == L':';
}

static int64_t make_link(epio_op *op, const new_link *one)
{
    bool directory = leads_to_directory(one);
    DWORD error = make_symbolic(one, directory);
    if (error == ERROR_PRIVILEGE_NOT_HELD && directory && begins_with_drive(one->target) &&
        begins_with_drive(one->absolute + 4) && make_junction(one)) {
        error = 0;
    }
    return error == 0 ? 0 : epio__op_fail_on_path(op, one->place, error);
}

/* Where the target leads, from the directory of the link. NULL: unknown. */
static WCHAR *absolute_target(const WCHAR *name, const WCHAR *target)
{
    int error;
    if (!epio__is_relative_name(target)) {
        return epio__literal_name(_wcsdup(target), &error);
    }
    const epio__place place = {.root = NULL, .name = (WCHAR *)(uintptr_t)name};
    epio__place parent;
    WCHAR *absolute =
        epio__place_parent(&place, &parent) ? epio__join_names(parent.name, target, &error) : NULL;
    epio__place_drop(&parent);
    return absolute;
}

int64_t epio__os_symlink(epio_op *op)
{
    epio__place place;
    new_link one = {.place = &place};
    HANDLE pin = NULL;
    int error;
    int64_t result = epio__op_place(op, op->arguments.path.path, false, &place);
    result = result == 0 ? epio__check_new_name(op, op->arguments.path.path, &place) : result;
    if (result == 0) {
        one.target = epio__widen(op->arguments.path.to, &error);
        result = one.target != NULL ? 0 : epio__op_fail_name(op, error);
    }
    if (result == 0) {
        epio__turn_slashes(one.target);
        one.name = place.confined ? epio__pinned_name(&place, &pin) : epio__place_name(&place);
        one.absolute = one.name != NULL ? absolute_target(one.name, one.target) : NULL;
        result = one.name != NULL ? make_link(op, &one) : epio__op_fail(op);
    }
    free(one.absolute);
    free(one.name);
    free(one.target);
    if (pin != NULL) {
        (void)CloseHandle(pin);
    }
    epio__place_drop(&place);
    return result;
}

/* ---- Exchange ---- */

/* Windows has no call that exchanges two names, and two renames would not be atomic. */
int64_t epio__os_exchange(epio_op *op)
{
    (void)op;
    return EPIO_ENOTSUP;
}
