/* Names: UTF-8 outside; inside, the form that the system takes literally, without the limit of
 * 260 characters: \\?\C:\directory\file or \\?\UNC\server\share\file. It has no relative parts,
 * so they are resolved here. */
#include "reason.h"
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define LONGEST_NAME 32767
#define LONGEST_PART 255

static bool starts_with(const WCHAR *name, const WCHAR *prefix)
{
    return wcsncmp(name, prefix, wcslen(prefix)) == 0;
}

bool epio__is_separator(char c)
{
    return c == '/' || c == '\\' || c == ':';
}

/* ---- Absolute names ---- */

/* The current directory, of a drive if `drive` names one ("X:."); the caller frees it. */
static WCHAR *present_directory(const WCHAR *drive)
{
    DWORD size;
    DWORD len = epio__win32.get_full_path(drive, 0, NULL, NULL);
    WCHAR *directory = NULL;
    do { /* another thread may change the directory in between */
        free(directory);
        size = len;
        directory = malloc(((size_t)size + 1) * sizeof *directory);
        len = directory != NULL ? epio__win32.get_full_path(drive, size, directory, NULL) : 0;
    } while (len >= size && size != 0);
    if (len == 0) {
        free(directory);
        return NULL;
    }
    return directory;
}

static bool has_drive(const WCHAR *name)
{
    return ((name[0] >= L'A' && name[0] <= L'Z') || (name[0] >= L'a' && name[0] <= L'z')) &&
           name[1] == L':';
}

/* The length of the share in "server\share\directory". */
static size_t share_len(const WCHAR *name)
{
    const WCHAR *share = wcschr(name, L'\\');
    const WCHAR *directory = share != NULL ? wcschr(share + 1, L'\\') : NULL;
    return directory != NULL ? (size_t)(directory - name) : wcslen(name);
}

/* ---- Parts ---- */

/* Names that denote devices in any directory, up to their first dot. */
static bool is_device(const WCHAR *part, size_t len)
{
    static const WCHAR *const devices[] = {L"CON", L"PRN", L"AUX", L"NUL", L"CONIN$", L"CONOUT$"};
    size_t stem = 0;
    while (stem < len && part[stem] != L'.' && part[stem] != L':') {
        stem++;
    }
    while (stem > 0 && part[stem - 1] == L' ') {
        stem--;
    }
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (wcslen(devices[i]) == stem && _wcsnicmp(part, devices[i], stem) == 0) {
            return true;
        }
    }
    bool numbered = stem == 4 && ((part[3] >= L'1' && part[3] <= L'9') || part[3] == 0x00B9 ||
                                  part[3] == 0x00B2 || part[3] == 0x00B3); /* ¹, ² and ³ too */
    return numbered && (_wcsnicmp(part, L"COM", 3) == 0 || _wcsnicmp(part, L"LPT", 3) == 0);
}

/* The length of the root, which ".." cannot leave: a drive, a share or a volume. */
size_t epio__root_len(const WCHAR *name)
{
    const WCHAR *unc = L"\\\\?\\UNC\\";
    const WCHAR *literal = L"\\\\?\\";
    if (starts_with(name, unc)) {
        return wcslen(unc) + share_len(name + wcslen(unc));
    }
    return wcslen(literal) + wcscspn(name + wcslen(literal), L"\\");
}

/* Without the name of a stream after a colon, which has a limit of its own. */
static size_t len_of_file(const WCHAR *part, size_t len)
{
    const WCHAR *colon = wmemchr(part, L':', len);
    return colon != NULL ? (size_t)(colon - part) : len;
}

int epio__check_part(const WCHAR *part, size_t len)
{
    if (len_of_file(part, len) > LONGEST_PART) {
        return EPIO_ENAMETOOLONG;
    }
    return is_device(part, len) ? EPIO_EINVAL : 0;
}

/* Resolves relative parts behind the root, whose end is a backslash or that of the name, in place:
 * 0, EPIO_EINVAL, EPIO_ENAMETOOLONG. *rises: ".." would leave the root; NULL: it stays there. */
static int resolve(WCHAR *name, size_t root, bool *rises)
{
    WCHAR *to = name + root;
    const WCHAR *from = to;
    while (*from != L'\0') {
        from += wcsspn(from, L"\\");
        size_t len = wcscspn(from, L"\\");
        if (len == 2 && from[0] == L'.' && from[1] == L'.') {
            if (to == name + root && rises != NULL) {
                *rises = true;
            }
            while (to > name + root && *--to != L'\\') {
            }
        } else if (len > 0 && !(len == 1 && from[0] == L'.')) {
            int error = epio__check_part(from, len);
            if (error != 0) {
                return error;
            }
            *to++ = L'\\';
            memmove(to, from, len * sizeof *to);
            to += len;
        }
        from += len;
    }
    if (to == name + root) {
        *to++ = L'\\'; /* the root directory itself */
    }
    *to = L'\0';
    return to - name < LONGEST_NAME ? 0 : EPIO_ENAMETOOLONG;
}

/* Joins both with a backslash, in literal form; the caller frees it. `first` is absolute, and may
 * be in that form already: so is the current directory of a process started by a program that
 * makes all its names canonical. */
static WCHAR *join(const WCHAR *first, const WCHAR *second)
{
    bool literal = starts_with(first, L"\\\\?\\");
    bool unc = !literal && starts_with(first, L"\\\\");
    const WCHAR *prefix = literal ? L"" : unc ? L"\\\\?\\UNC" : L"\\\\?\\";
    size_t room = wcslen(prefix) + wcslen(first) + wcslen(second) + 2;
    WCHAR *whole = malloc(room * sizeof *whole);
    if (whole != NULL) {
        wcscpy(whole, prefix);
        wcscat(whole, first + (unc ? 1 : 0));
        wcscat(whole, L"\\");
        wcscat(whole, second);
    }
    return whole;
}

/* The caller frees it; NULL if there is no memory. */
static WCHAR *join_to_present(const WCHAR *name)
{
    WCHAR of_drive[] = L"X:.";
    const WCHAR *which = L".";
    if (has_drive(name)) {
        of_drive[0] = name[0];
        which = of_drive;
        name += 2;
    }
    bool rooted = name[0] == L'\\';
    WCHAR *directory = present_directory(which);
    WCHAR *base = directory != NULL ? join(directory, L"") : NULL;
    if (base != NULL && rooted) {
        base[epio__root_len(base)] = L'\0';
    }
    WCHAR *absolute = base != NULL ? join(base, name) : NULL;
    free(base);
    free(directory);
    return absolute;
}

/* NULL and *error: it cannot be resolved, and is freed. */
static WCHAR *resolved(WCHAR *absolute, int *error)
{
    *error = resolve(absolute, epio__root_len(absolute), NULL);
    if (*error != 0) {
        free(absolute);
        return NULL;
    }
    return absolute;
}

static WCHAR *make_absolute(const WCHAR *name, int *error)
{
    bool is_absolute = starts_with(name, L"\\\\") || (has_drive(name) && name[2] == L'\\');
    WCHAR *absolute = is_absolute ? join(name, L"") : join_to_present(name);
    if (absolute == NULL) {
        *error = EPIO_ENOMEM;
        return NULL;
    }
    return resolved(absolute, error);
}

WCHAR *epio__wide_name(const char *path, int *error)
{
    return epio__literal_name(epio__widen(path, error), error);
}

/* Already in literal form, or a device such as a pipe. */
static bool is_literal(const WCHAR *name)
{
    return starts_with(name, L"\\\\?\\") || starts_with(name, L"\\\\.\\");
}

void epio__turn_slashes(WCHAR *name)
{
    for (; *name != L'\0'; name++) {
        if (*name == L'/') {
            *name = L'\\';
        }
    }
}

WCHAR *epio__literal_name(WCHAR *name, int *error)
{
    if (name == NULL || is_literal(name)) {
        return name;
    }
    epio__turn_slashes(name);
    if (is_literal(name)) {
        return name;
    }
    WCHAR *absolute = make_absolute(name, error);
    free(name);
    return absolute;
}

bool epio__is_relative_name(const WCHAR *name)
{
    return name[0] != L'\\' && name[0] != L'/' && !has_drive(name);
}

WCHAR *epio__name_within(const WCHAR *name, bool *rises, int *error)
{
    size_t len = wcslen(name);
    WCHAR *within = malloc((len + 3) * sizeof *within);
    *error = EPIO_ENOMEM;
    *rises = false;
    if (within == NULL) {
        return NULL;
    }
    within[0] = L'\\'; /* an empty root */
    wcscpy(within + 1, name);
    epio__turn_slashes(within);
    *error = resolve(within, 0, rises);
    if (*error != 0) {
        free(within);
        return NULL;
    }
    wmemmove(within, within + 1, wcslen(within));
    return within;
}

WCHAR *epio__join_names(const WCHAR *directory, const WCHAR *name, int *error)
{
    WCHAR *whole = join(directory, name);
    *error = EPIO_ENOMEM;
    if (whole == NULL) {
        return NULL;
    }
    epio__turn_slashes(whole + wcslen(whole) - wcslen(name));
    return resolved(whole, error);
}

int64_t epio__op_fail_name(epio_op *op, int error)
{
    if (error == EPIO_EINVAL) {
        return epio__op_refuse(op, EPIO__REASON_PATH_INVALID);
    }
    op->os_error =
        error == EPIO_ENAMETOOLONG ? ERROR_FILENAME_EXCED_RANGE : ERROR_NOT_ENOUGH_MEMORY;
    return error;
}

/* Does a part with this name begin here? With either slash, which a device's name may have. */
static bool is_part(const WCHAR *at, const WCHAR *part)
{
    size_t len = wcslen(part);
    return _wcsnicmp(at, part, len) == 0 && (at[len] == L'\\' || at[len] == L'/');
}

bool epio__may_be_pipe(const WCHAR *name)
{
    const WCHAR *at = name + wcslen(L"\\\\.\\");
    bool literal = starts_with(name, L"\\\\?\\");
    if (!literal && !starts_with(name, L"\\\\.\\")) {
        return false;
    }
    if (is_part(at, L"UNC")) {
        at += wcslen(L"UNC\\");
        return is_part(at + wcscspn(at, L"\\/") + 1, L"pipe");
    }
    if (has_drive(at)) {
        return false;
    }
    /* \\.\pipe, \\.\Global\pipe, \\?\GLOBALROOT\Device\NamedPipe and the like. */
    for (; *at != L'\0'; at += wcscspn(at, L"\\/"), at += *at != L'\0' ? 1 : 0) {
        if (is_part(at, L"pipe") || is_part(at, L"NamedPipe")) {
            return true;
        }
    }
    return false;
}

/* ---- To UTF-8 ---- */

char *epio__narrow_name(const WCHAR *name)
{
    bool unc = starts_with(name, L"\\\\?\\UNC\\");
    if (unc) {
        name += wcslen(L"\\\\?\\UNC") - 1;
    } else if (starts_with(name, L"\\\\?\\")) {
        name += wcslen(L"\\\\?\\");
    }
    size_t len = wcslen(name);
    char *path = malloc(len * EPIO__NARROW_MOST + 1);
    if (path != NULL) {
        (void)epio__narrow(name, len, path);
        if (unc) {
            path[0] = '\\'; /* in place of the C of UNC */
        }
    }
    return path;
}
