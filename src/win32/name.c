/* Names: UTF-8 outside, and inside the form that is taken literally by the system, with
 * no limit of 260 letters: \\?\C:\folder\file or \\?\UNC\server\share\file. In it there
 * are no relative parts, so they are resolved here. */
#include "core/reason.h"
#include "win32/win32.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define LONGEST_NAME 32767
#define LONGEST_PART 255

/* Scanners and indexers hold files open for a moment: what fails for that is tried again,
 * for a second in all if the op has no deadline. */
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

/* The present folder, of a drive if `drive` names one ("X:."); to be freed. */
static WCHAR *present_folder(const WCHAR *drive)
{
    DWORD size;
    DWORD len = GetFullPathNameW(drive, 0, NULL, NULL);
    WCHAR *folder = NULL;
    do { /* another thread may change it in between */
        free(folder);
        size = len;
        folder = malloc(((size_t)size + 1) * sizeof *folder);
        len = folder != NULL ? GetFullPathNameW(drive, size, folder, NULL) : 0;
    } while (len >= size && size != 0);
    if (len == 0) {
        free(folder);
        return NULL;
    }
    return folder;
}

static bool has_drive(const WCHAR *name)
{
    return ((name[0] >= L'A' && name[0] <= L'Z') || (name[0] >= L'a' && name[0] <= L'z')) &&
           name[1] == L':';
}

/* Where a share ends, "server\share\folder" being given. */
static size_t share_len(const WCHAR *name)
{
    const WCHAR *share = wcschr(name, L'\\');
    const WCHAR *folder = share != NULL ? wcschr(share + 1, L'\\') : NULL;
    return folder != NULL ? (size_t)(folder - name) : wcslen(name);
}

/* How much of a folder is its drive or share. */
static size_t root_of(const WCHAR *folder)
{
    return has_drive(folder) ? wcslen(L"X:") : wcslen(L"\\\\") + share_len(folder + 2);
}

/* What has to stand in front of the name to make it absolute; to be freed. *rest is what
 * is left of the name. */
static WCHAR *find_base(const WCHAR *name, const WCHAR **rest)
{
    WCHAR drive[] = L"X:.";
    *rest = name;
    if (starts_with(name, L"\\\\") || (has_drive(name) && name[2] == L'\\')) {
        return calloc(1, sizeof(WCHAR));
    }
    if (has_drive(name)) {
        drive[0] = name[0];
        *rest = name + 2;
        return present_folder(drive);
    }
    WCHAR *base = present_folder(L".");
    if (base != NULL && name[0] == L'\\') {
        base[root_of(base)] = L'\0';
    }
    return base;
}

/* ---- Parts ---- */

/* Names that lead to devices wherever they stand, up to their first dot. */
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

/* Where the parts that can be left by ".." begin. */
static size_t root_len(const WCHAR *name)
{
    const WCHAR *unc = L"\\\\?\\UNC\\";
    if (!starts_with(name, unc)) {
        return wcslen(L"\\\\?\\X:");
    }
    return wcslen(unc) + share_len(name + wcslen(unc));
}

/* Resolves the relative parts, in place: 0, EPIO_EINVAL, EPIO_ENAMETOOLONG. */
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
            if (len > LONGEST_PART) {
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
        *to++ = L'\\'; /* the root folder itself */
    }
    *to = L'\0';
    return to - name < LONGEST_NAME ? 0 : EPIO_ENAMETOOLONG;
}

static WCHAR *make_absolute(const WCHAR *name, int *error)
{
    const WCHAR *rest;
    WCHAR *base = find_base(name, &rest);
    const WCHAR *first = base != NULL && base[0] != L'\0' ? base : rest;
    bool unc = starts_with(first, L"\\\\");
    size_t room = wcslen(L"\\\\?\\UNC") + (base != NULL ? wcslen(base) : 0) + wcslen(rest) + 3;
    WCHAR *absolute = base != NULL ? malloc(room * sizeof *absolute) : NULL;
    if (absolute == NULL) {
        free(base);
        *error = EPIO_ENOMEM;
        return NULL;
    }
    wcscpy(absolute, unc ? L"\\\\?\\UNC" : L"\\\\?\\");
    wcscat(absolute, base[0] != L'\0' ? base + (unc ? 1 : 0) : L"");
    wcscat(absolute, base[0] != L'\0' ? L"\\" : L"");
    wcscat(absolute, base[0] != L'\0' ? rest : rest + (unc ? 1 : 0));
    free(base);
    *error = resolve(absolute);
    if (*error != 0) {
        free(absolute);
        return NULL;
    }
    return absolute;
}

WCHAR *epio__wide_name(const char *path, int *error)
{
    WCHAR *name = widen(path, error);
    /* Already in the form that is taken literally, or a device such as a pipe. */
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

/* ---- What has the name ---- */

int64_t epio__check_folder_mark(epio_op *op, const char *path, const WCHAR *name)
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

bool epio__is_folder(const WCHAR *name)
{
    return (epio__attributes_of(name) & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

/* Is a part of it, but the last, no folder? */
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
    if (error == ERROR_ACCESS_DENIED && epio__is_folder(name)) {
        error = ERROR_DIRECTORY_NOT_SUPPORTED;
    } else if ((error == ERROR_PATH_NOT_FOUND || error == ERROR_FILE_NOT_FOUND) &&
               leads_through_file(name)) {
        error = ERROR_DIRECTORY; /* it is not a valid folder */
    }
    return epio__op_fail_with(op, error);
}

/* op->arguments.path.len, of no other use to the ops that are tried again, is how long
 * it was patient. */
int64_t epio__op_fail_or_retry(epio_op *op, const WCHAR *name, DWORD error, bool denied)
{
    bool in_use = error == ERROR_SHARING_VIOLATION ||
                  (denied && error == ERROR_ACCESS_DENIED && !epio__is_folder(name) &&
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

char *epio__narrow_name(const WCHAR *name)
{
    bool unc = starts_with(name, L"\\\\?\\UNC\\");
    if (unc) {
        name += wcslen(L"\\\\?\\UNC") - 1;
    } else if (starts_with(name, L"\\\\?\\")) {
        name += wcslen(L"\\\\?\\");
    }
    int len = WideCharToMultiByte(CP_UTF8, 0, name, -1, NULL, 0, NULL, NULL);
    char *path = len > 0 ? malloc((size_t)len) : NULL;
    if (path != NULL) {
        (void)WideCharToMultiByte(CP_UTF8, 0, name, -1, path, len, NULL, NULL);
        if (unc) {
            path[0] = '\\'; /* where the C of UNC stood */
        }
    }
    return path;
}
