/* Renames that keep the metadata of what they replace: attributes, ACL, streams, the time of
 * creation, by ReplaceFileW. Other renames are in path.c, which calls this before its own. */
#include "win32/win32.h"

#include <stdlib.h>
#include <wchar.h>

/* How long the old file is moved back to its name, before the new one takes it instead. */
#define RESTORES 20
#define RESTORE_DELAY_MS 10

/* A name in both forms. */
typedef struct named {
    epio__place place;
    WCHAR *name; /* absolute, as ReplaceFileW wants it */
    HANDLE pin;  /* keeps the name valid; NULL: it needs none */
} named;

static void drop_named(named *one)
{
    DWORD error = GetLastError();
    free(one->name);
    epio__place_drop(&one->place);
    if (one->pin != NULL) {
        (void)CloseHandle(one->pin);
    }
    SetLastError(error);
}

/* Of a place that stays the caller's; false and GetLastError. */
static bool name_it(named *one, const epio__place *place)
{
    *one = (named){.place = *place};
    one->place.name = _wcsdup(place->name);
    one->place.opened = NULL;
    if (one->place.name == NULL) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return false;
    }
    one->name =
        place->confined ? epio__pinned_name(place, &one->pin) : epio__place_name(&one->place);
    return one->name != NULL;
}

/* A new name beside a place. */
static bool name_beside(named *one, const epio__place *place, const WCHAR *format)
{
    epio__place other = epio__place_beside(place, format);
    if (other.name == NULL) {
        *one = (named){.name = NULL};
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return false;
    }
    bool done = name_it(one, &other);
    epio__place_drop(&other);
    return done;
}

/* What ReplaceFileW is given. */
typedef struct names {
    named replaced;
    named replacement;
    named backup; /* what is replaced gets this name */
} names;

static void drop_names(names *all)
{
    drop_named(&all->replaced);
    drop_named(&all->replacement);
    drop_named(&all->backup);
}

static bool call(const names *all, DWORD flags)
{
    return epio__win32.replace_file(all->replaced.name, all->replacement.name, all->backup.name,
                                    flags, NULL, NULL) != FALSE;
}

/* False and GetLastError. *lost: some of the metadata could not be kept. */
static bool replace_once(const names *all, bool *lost)
{
    *lost = false;
    if (call(all, 0)) {
        return true;
    }
    DWORD error = GetLastError();
    if (epio__is_sharing_violation(error)) {
        return false; /* no flags help, and the names may be others by now */
    }
    *lost = true;
    if (call(all, REPLACEFILE_IGNORE_MERGE_ERRORS | REPLACEFILE_IGNORE_ACL_ERRORS)) {
        return true;
    }
    if (!epio__is_sharing_violation(GetLastError())) {
        SetLastError(error); /* older systems do not know the flags */
    }
    return false;
}

/* A read-only file is not replaced: the caller gives the attribute back. */
static bool replace(const names *all, bool *lost)
{
    DWORD attributes;
    return replace_once(all, lost) ||
           (GetLastError() == ERROR_ACCESS_DENIED &&
            epio__lift_read_only(&all->replaced.place, &attributes) && replace_once(all, lost));
}

/* ---- By further names ---- */

static bool link_at(const epio__place *file, const epio__place *name)
{
    HANDLE handle = epio__open_name_at(file, FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES);
    bool done = handle != INVALID_HANDLE_VALUE && epio__set_name(handle, EPIO__NT_LINK, 0, name);
    if (handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(handle);
    }
    return done;
}

/* Other renames may sweep these names away at any time: each file has its own besides. */
static bool begin_links(names *all, const epio__place *from, const epio__place *to)
{
    *all = (names){.replaced = {.name = NULL}};
    return name_beside(&all->replaced, from, EPIO__SWEPT_NAME) &&
           name_beside(&all->replacement, from, EPIO__SWEPT_NAME) &&
           name_beside(&all->backup, from, EPIO__SWEPT_NAME) && link_at(to, &all->replaced.place) &&
           link_at(from, &all->replacement.place);
}

static void remove_name(const named *one)
{
    if (one->place.name != NULL) {
        (void)epio__remove_name(&one->place, false);
    }
}

static void end_links(names *all, const epio__place *beside)
{
    DWORD error = GetLastError();
    remove_name(&all->replaced);
    remove_name(&all->replacement);
    remove_name(&all->backup);
    epio__sweep(beside);
    SetLastError(error);
    drop_names(all);
}

/* Gives the new file the metadata of the old one. ReplaceFileW is given further names of both, so
 * that whatever it does, and wherever it is stopped, both keep the names that others know; the
 * rename that follows replaces at once. *linked: it could be tried. */
static bool merge(const epio__place *from, const epio__place *to, bool *linked, bool *lost)
{
    names all;
    *linked = begin_links(&all, from, to);
    bool done = *linked && replace(&all, lost);
    end_links(&all, from);
    return done;
}

/* ---- By the names themselves ---- */

/* After a failure that may have moved the file away from `to`. True: the new one is there
 * instead. GetLastError stays that of the failure. */
static bool restore(const named *backup, const epio__place *from, const epio__place *to)
{
    DWORD error = GetLastError();
    bool gone = epio__attributes_at(to) == 0 && epio__attributes_at(from) != 0;
    for (int i = 0; i < RESTORES && gone; i++) {
        if (epio__move_once(&backup->place, to, false, false)) {
            gone = false;
        } else {
            Sleep(RESTORE_DELAY_MS); /* a scanner has it open */
        }
    }
    bool moved = gone && epio__move_once(from, to, false, false);
    SetLastError(error);
    return moved;
}

/* Where files have no further names. ReplaceFileW makes two renames, and in between no file has
 * the name. How it fails:
 * - ERROR_UNABLE_TO_REMOVE_REPLACED, ERROR_UNABLE_TO_MOVE_REPLACEMENT: both files have their names;
 *   without a backup's name the latter would have removed the old file.
 * - ERROR_UNABLE_TO_MOVE_REPLACEMENT_2: the old file has the backup's name, from which it is moved
 *   back here; if that fails, the new one, which has its metadata by then, takes the name. */
static bool replace_directly(const epio__place *from, const epio__place *to, bool *lost)
{
    names all = {.replaced = {.name = NULL}};
    bool done = name_it(&all.replaced, to) && name_it(&all.replacement, from) &&
                name_beside(&all.backup, to, EPIO__ASIDE_NAME);
    if (done) {
        done = replace(&all, lost) || restore(&all.backup, from, to);
    }
    if (done) {
        remove_name(&all.backup);
    }
    drop_names(&all);
    return done;
}

/* ---- Both ---- */

static void make_read_only(const epio__place *place)
{
    DWORD error = GetLastError();
    DWORD attributes = epio__attributes_at(place);
    if (attributes != 0 && (attributes & FILE_ATTRIBUTE_READONLY) == 0) {
        (void)epio__set_attributes_at(place, attributes | FILE_ATTRIBUTE_READONLY);
    }
    SetLastError(error);
}

static bool are_one_file(const epio__place *one, const epio__place *other)
{
    HANDLE handle = epio__open_name_at(one, FILE_READ_ATTRIBUTES);
    HANDLE second = epio__open_name_at(other, FILE_READ_ATTRIBUTES);
    bool same = handle != INVALID_HANDLE_VALUE && second != INVALID_HANDLE_VALUE &&
                epio__are_the_same(handle, second);
    if (handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(handle);
    }
    if (second != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(second);
    }
    return same;
}

int64_t epio__rename_keeping(epio_op *op, const epio__place *from, const epio__place *to,
                             int64_t (*rename)(epio_op *op, const epio__place *from,
                                               const epio__place *to))
{
    bool linked;
    bool lost = false;
    if (are_one_file(from, to)) {
        return rename(op, from, to);
    }
    bool read_only = (epio__attributes_at(to) & FILE_ATTRIBUTE_READONLY) != 0;
    bool merged = merge(from, to, &linked, &lost);
    bool done = merged || (!linked && replace_directly(from, to, &lost));
    if (read_only) {
        make_read_only(to);
    }
    if (!done) {
        DWORD error = GetLastError();
        return epio__op_fail_or_retry(op, epio__attributes_at(from) == 0 ? from : to, error, true);
    }
    if (merged && read_only) {
        make_read_only(from);
    }
    int64_t result = merged ? rename(op, from, to) : 0;
    return result == 0 && lost ? EPIO_RENAMED_METADATA_LOST : result;
}
