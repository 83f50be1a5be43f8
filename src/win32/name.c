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

/* Scanners and indexers hold files open for a moment: what fails because of that is retried, for
 * a second in all if the op has no deadline. */
#define FIRST_DELAY_NS UINT64_C(1000000)
#define LAST_DELAY_NS UINT64_C(64000000)
#define MOST_PATIENCE_NS UINT64_C(1000000000)

static bool starts_with(const WCHAR *name, const WCHAR *prefix)
{
    return wcsncmp(name, prefix, wcslen(prefix)) == 0;
}

/* ---- From UTF-8 ---- */

static WCHAR *widen(const char *path, int *error)
{
    int len = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
    if (len <= 1) {
        *error = len == 1 ? EPIO_ENOENT : EPIO_EINVAL; /* empty, or not UTF-8 */
        return NULL;
    }
    WCHAR *name = malloc((size_t)len * sizeof *name);
    if (name == NULL) {
        *error = EPIO_ENOMEM;
        return NULL;
    }
    (void)MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, name, len);
    return name;
}

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
static size_t root_len(const WCHAR *name)
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

/* Resolves relative parts, in place: 0, EPIO_EINVAL, EPIO_ENAMETOOLONG. */
static int resolve(WCHAR *name)
{
    size_t root = root_len(name);
    WCHAR *to = name + root;
    const WCHAR *from = to;
    while (*from != L'\0') {
        from += wcsspn(from, L"\\");
        size_t len = wcscspn(from, L"\\");
        if (len == 2 && from[0] == L'.' && from[1] == L'.') {
            while (to > name + root && *--to != L'\\') {
            }
        } else if (len > 0 && !(len == 1 && from[0] == L'.')) {
            if (len_of_file(from, len) > LONGEST_PART) {
                return EPIO_ENAMETOOLONG;
            }
            if (is_device(from, len)) {
                return EPIO_EINVAL;
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
        base[root_len(base)] = L'\0';
    }
    WCHAR *absolute = base != NULL ? join(base, name) : NULL;
    free(base);
    free(directory);
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
    *error = resolve(absolute);
    if (*error != 0) {
        free(absolute);
        return NULL;
    }
    return absolute;
}

WCHAR *epio__wide_name(const char *path, int *error)
{
    return epio__literal_name(widen(path, error), error);
}

WCHAR *epio__literal_name(WCHAR *name, int *error)
{
    /* Already in literal form, or a device such as a pipe. */
    if (name == NULL || starts_with(name, L"\\\\?\\") || starts_with(name, L"\\\\.\\")) {
        return name;
    }
    for (WCHAR *at = name; *at != L'\0'; at++) {
        if (*at == L'/') {
            *at = L'\\';
        }
    }
    if (starts_with(name, L"\\\\?\\") || starts_with(name, L"\\\\.\\")) {
        return name;
    }
    WCHAR *absolute = make_absolute(name, error);
    free(name);
    return absolute;
}

WCHAR *epio__op_wide_name(epio_op *op, const char *path, int *error)
{
    WCHAR *name = epio__wide_name(path, error);
    if (name == NULL && *error == EPIO_EINVAL) {
        *error = epio__op_refuse(op, EPIO__REASON_PATH_INVALID);
    } else if (name == NULL) {
        op->os_error = *error == EPIO_ENAMETOOLONG ? ERROR_FILENAME_EXCED_RANGE
                       : *error == EPIO_ENOENT     ? ERROR_PATH_NOT_FOUND
                                                   : ERROR_NOT_ENOUGH_MEMORY;
    }
    return name;
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

/* ---- What a name refers to ---- */

int64_t epio__check_directory_mark(epio_op *op, const char *path, const WCHAR *name)
{
    char last = path[strlen(path) - 1];
    DWORD attributes = last == '/' || last == '\\' ? epio__attributes_of(name) : 0;
    if (attributes != 0 && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
        return epio__op_fail_with(op, ERROR_DIRECTORY);
    }
    return 0;
}

DWORD epio__attributes_of(const WCHAR *name)
{
    DWORD attributes = GetFileAttributesW(name);
    return attributes != INVALID_FILE_ATTRIBUTES ? attributes : 0;
}

bool epio__is_directory(const WCHAR *name)
{
    return (epio__attributes_of(name) & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

/* Is a part of it, other than the last, not a directory? */
static bool leads_through_file(const WCHAR *name)
{
    WCHAR *part = _wcsdup(name);
    bool found = false;
    for (size_t end = wcslen(name); part != NULL && !found && end > root_len(name); end--) {
        if (part[end] == L'\\') {
            part[end] = L'\0';
            DWORD attributes = epio__attributes_of(part);
            found = attributes != 0 && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
        }
    }
    free(part);
    return found;
}

int64_t epio__op_fail_for(epio_op *op, const WCHAR *name, DWORD error)
{
    if (error == ERROR_ACCESS_DENIED && epio__is_directory(name)) {
        error = ERROR_DIRECTORY_NOT_SUPPORTED;
    } else if ((error == ERROR_PATH_NOT_FOUND || error == ERROR_FILE_NOT_FOUND) &&
               leads_through_file(name)) {
        error = ERROR_DIRECTORY; /* it is not a valid directory */
    }
    return epio__op_fail_with(op, error);
}

/* op->arguments.path.len, unused by the ops that are retried, counts the time spent retrying. */
int64_t epio__op_fail_or_retry(epio_op *op, const WCHAR *name, DWORD error, bool denied)
{
    bool in_use = error == ERROR_SHARING_VIOLATION ||
                  (denied && error == ERROR_ACCESS_DENIED && !epio__is_directory(name) &&
                   (epio__attributes_of(name) & FILE_ATTRIBUTE_READONLY) == 0);
    uint64_t waited = op->arguments.path.len;
    bool patient = op->timeout_ns != 0 || waited < MOST_PATIENCE_NS;
    if (!in_use || !patient) {
        return epio__op_fail_for(op, name, error);
    }
    uint64_t delay = waited < FIRST_DELAY_NS ? FIRST_DELAY_NS : waited;
    delay = delay > LAST_DELAY_NS ? LAST_DELAY_NS : delay;
    op->arguments.path.len = waited + delay;
    op->due = epio__monotonic_time() + delay;
    return EPIO_RETRY;
}

/* ---- To UTF-8 ---- */

char *epio__narrow_name(const WCHAR *name, int *error)
{
    bool unc = starts_with(name, L"\\\\?\\UNC\\");
    if (unc) {
        name += wcslen(L"\\\\?\\UNC") - 1;
    } else if (starts_with(name, L"\\\\?\\")) {
        name += wcslen(L"\\\\?\\");
    }
    int len = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, name, -1, NULL, 0, NULL, NULL);
    if (len <= 0) {
        *error = EPIO_EINVAL;
        return NULL;
    }
    char *path = malloc((size_t)len);
    *error = EPIO_ENOMEM;
    if (path != NULL) {
        (void)WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, name, -1, path, len, NULL, NULL);
        if (unc) {
            path[0] = '\\'; /* in place of the C of UNC */
        }
    }
    return path;
}
