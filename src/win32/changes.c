/* From records of the system to events of a watch. Records say what happened to one name. Of a
 * directory that was moved into a watched tree they say only that; what is in it is found by
 * listing it, and reported as made.
 *
 * A listing is later than its record, so what it finds may be in later records, too, which does no
 * harm; and by then its name may be another directory's, or nothing's. So what was listed is noted
 * with its identity until the system has answered twice more, after which no record is older than
 * the listing. Until then a rename that does not fit is reported by what is there now. */
#include "win32/changes.h"

#include "atomics.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Of streams of a file other than its data, which are its extended attributes; only drivers'
 * headers have them:
 * https://learn.microsoft.com/windows-hardware/drivers/ddi/ntifs/ns-ntifs-_file_notify_information
 */
#define ADDED_STREAM 6u
#define REMOVED_STREAM 7u
#define MODIFIED_STREAM 8u

/* Of FILE_NOTIFY_EXTENDED_INFORMATION, which older headers lack:
 * https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-file_notify_extended_information */
#define EXTENDED_ATTRIBUTES 56u
#define EXTENDED_TAG 60u
#define EXTENDED_NAME_LEN 80u
#define PLAIN_NAME_LEN 8u

#define LONGEST_NAME 32767u

typedef struct change_record {
    DWORD action;
    DWORD attributes; /* 0: not known */
    DWORD tag;
    WCHAR *name; /* owned */
} change_record;

/* What is behind a name. */
typedef struct identity {
    bool known;
    uint64_t volume;
    uint64_t id[2];
} identity;

typedef struct epio__announced {
    struct epio__announced *next;
    uint32_t until; /* the last answer that may be older */
    uint32_t type;  /* as it seemed: if it is a file, it was not listed */
    identity listed;
    WCHAR name[];
} epio__announced;

/* ---- Reporting ---- */

/* A name as UTF-8, with "/"; the caller frees it. NULL: no memory. */
static char *path_of(const WCHAR *name)
{
    size_t len = wcslen(name);
    char *path = malloc(len * EPIO__NARROW_MOST + 1);
    if (path != NULL) {
        (void)epio__narrow(name, len, path);
        for (char *at = strchr(path, '\\'); at != NULL; at = strchr(at, '\\')) {
            *at = '/';
        }
    }
    return path;
}

void epio__changes_report_loss(epio__changes *changes)
{
    free(changes->old_name);
    changes->old_name = NULL;
    epio__watch_report(changes->watch, EPIO_EVENT_OVERFLOW, EPIO_TYPE_UNKNOWN, "", NULL);
}

static void report_rename(epio__changes *changes, uint32_t type, const WCHAR *name,
                          const WCHAR *from)
{
    char *path = path_of(name);
    char *old_path = path_of(from);
    if (path != NULL && old_path != NULL) {
        epio__watch_report(changes->watch, EPIO_EVENT_RENAMED, type, path, old_path);
    } else {
        epio__changes_report_loss(changes);
    }
    free(path);
    free(old_path);
}

static void report(epio__changes *changes, uint32_t kind, uint32_t type, const WCHAR *name)
{
    char *path = path_of(name);
    if (path != NULL) {
        epio__watch_report(changes->watch, kind, type, path, NULL);
    } else {
        epio__changes_report_loss(changes);
    }
    free(path);
}

/* ---- What has a name now ---- */

static uint32_t type_of(HANDLE handle)
{
    FILE_ATTRIBUTE_TAG_INFO information;
    return epio__win32.get_information(handle, FileAttributeTagInfo, &information,
                                       sizeof information)
               ? epio__type_of(information.FileAttributes, information.ReparseTag)
               : EPIO_TYPE_UNKNOWN;
}

static identity identity_of(HANDLE handle)
{
    identity found = {.known = false};
    found.known = epio__id_of(handle, &found.volume, found.id);
    return found;
}

static bool are_the_same(const identity *one, const identity *other)
{
    return one->known && other->known && one->volume == other->volume &&
           one->id[0] == other->id[0] && one->id[1] == other->id[1];
}

/* INVALID_HANDLE_VALUE: it is not there. */
static HANDLE open_name(const epio__changes *changes, WCHAR *name)
{
    const epio__place place = {.root = changes->directory, .name = name};
    return epio__open_name_at(&place, FILE_READ_ATTRIBUTES);
}

static uint32_t type_at(const epio__changes *changes, WCHAR *name)
{
    HANDLE handle = open_name(changes, name);
    uint32_t type = EPIO_TYPE_UNKNOWN;
    if (handle != INVALID_HANDLE_VALUE) {
        type = type_of(handle);
        (void)CloseHandle(handle);
    }
    return type;
}

static identity identity_at(const epio__changes *changes, WCHAR *name)
{
    HANDLE handle = open_name(changes, name);
    identity found = {.known = false};
    if (handle != INVALID_HANDLE_VALUE) {
        found = identity_of(handle);
        (void)CloseHandle(handle);
    }
    return found;
}

static uint32_t type_in(const epio__changes *changes, const change_record *record)
{
    bool gone =
        record->action == FILE_ACTION_REMOVED || record->action == FILE_ACTION_RENAMED_OLD_NAME;
    return record->attributes != 0 ? epio__type_of(record->attributes, record->tag)
           : gone                  ? EPIO_TYPE_UNKNOWN
                                   : type_at(changes, record->name);
}

/* ---- Announcing what is in a directory ---- */

/* Directories that are still to be listed. */
typedef struct name_list {
    struct name_list *next;
    WCHAR name[];
} name_list;

/* Puts "DIRECTORY\NAME" in front: false if there is no memory for it, or no such name. */
static bool push(name_list **names, const WCHAR *directory, const WCHAR *name, size_t len)
{
    size_t before = directory != NULL ? wcslen(directory) + 1 : 0;
    name_list *entry = before + len <= LONGEST_NAME
                           ? malloc(sizeof *entry + (before + len + 1) * sizeof *entry->name)
                           : NULL;
    if (entry == NULL) {
        return false;
    }
    if (before != 0) {
        wcscpy(entry->name, directory);
        entry->name[before - 1] = L'\\';
    }
    memcpy(entry->name + before, name, len * sizeof *name);
    entry->name[before + len] = L'\0';
    entry->next = *names;
    *names = entry;
    return true;
}

static name_list *pop(name_list **names)
{
    name_list *first = *names;
    if (first != NULL) {
        *names = first->next;
    }
    return first;
}

/* Reports an entry, which is put in front of `names` if it is a directory; false: it cannot. */
static bool announce_entry(epio__changes *changes, const WCHAR *directory,
                           const FILE_ID_BOTH_DIR_INFO *entry, name_list **names)
{
    uint32_t type = epio__type_of(entry->FileAttributes, entry->EaSize);
    if (!push(names, directory, entry->FileName, entry->FileNameLength / sizeof(WCHAR))) {
        return false;
    }
    report(changes, EPIO_EVENT_MADE, type, (*names)->name);
    if (type != EPIO_TYPE_DIRECTORY) {
        free(pop(names));
    }
    return true;
}

/* What is in the directory that was opened: 0 or an error. */
static DWORD announce_entries(epio__changes *changes, HANDLE handle, const WCHAR *name,
                              name_list **names)
{
    DWORD error = 0;
    void *listing = epio__listing_create();
    const FILE_ID_BOTH_DIR_INFO *entry;
    if (listing == NULL) {
        return ERROR_NOT_ENOUGH_MEMORY;
    }
    while (error == 0 && (entry = epio__listing_next(listing, handle, &error)) != NULL) {
        if (!announce_entry(changes, name, entry, names)) {
            error = ERROR_NOT_ENOUGH_MEMORY;
        }
    }
    epio__listing_destroy(listing);
    return error;
}

/* It is not there any more, or is to be removed, or is not for this user. */
static bool is_nothing_to_list(DWORD error)
{
    return error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND ||
           error == ERROR_ACCESS_DENIED || error == ERROR_DELETE_PENDING;
}

static void note(epio__changes *changes, const WCHAR *name, uint32_t type, identity listed)
{
    size_t size = (wcslen(name) + 1) * sizeof *name;
    epio__announced *entry = malloc(sizeof *entry + size);
    if (entry == NULL) {
        epio__changes_report_loss(changes);
        return;
    }
    entry->until = epio__load_u32(changes->gathered) + 2;
    entry->type = type;
    entry->listed = listed;
    memcpy(entry->name, name, size);
    entry->next = changes->announced;
    changes->announced = entry;
}

static bool may_be_directory(uint32_t type)
{
    return type == EPIO_TYPE_DIRECTORY || type == EPIO_TYPE_UNKNOWN;
}

/* 0 or an error; subdirectories are put in front of `names`. */
static DWORD announce_directory(epio__changes *changes, WCHAR *name, name_list **names)
{
    const epio__place place = {.root = changes->directory, .name = name};
    HANDLE handle = epio__open_at(&place, FILE_LIST_DIRECTORY, OPEN_EXISTING,
                                  FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
    DWORD error = handle == INVALID_HANDLE_VALUE ? GetLastError() : 0;
    uint32_t type = EPIO_TYPE_UNKNOWN;
    identity listed = {.known = false};
    if (error == 0) {
        type = type_of(handle);
        listed = identity_of(handle);
        error = type == EPIO_TYPE_DIRECTORY ? announce_entries(changes, handle, name, names) : 0;
        (void)CloseHandle(handle);
    }
    note(changes, name, may_be_directory(type) ? type : EPIO_TYPE_UNKNOWN, listed);
    return is_nothing_to_list(error) ? 0 : error;
}

/* Reports all that is below a directory. */
static void announce_contents(epio__changes *changes, const WCHAR *name)
{
    name_list *names = NULL;
    name_list *directory;
    bool complete = push(&names, NULL, name, wcslen(name));
    while ((directory = pop(&names)) != NULL) {
        complete = announce_directory(changes, directory->name, &names) == 0 && complete;
        free(directory);
    }
    if (!complete) {
        epio__changes_report_loss(changes);
    }
}

/* After the MADE of a name. */
static void announce_below(epio__changes *changes, uint32_t type, const WCHAR *name)
{
    if (changes->watch->recursive && may_be_directory(type)) {
        announce_contents(changes, name);
    } else if (!changes->extended) {
        /* The type is that of what has the name now: something else may have had it. */
        note(changes, name, type, (identity){.known = false});
    }
}

/* ---- Renames of what was announced ---- */

/* The rest of a name in that directory, with its backslash, or empty for itself; NULL: it is not
 * there. */
static const WCHAR *rest_in(const WCHAR *name, const WCHAR *directory)
{
    size_t len = wcslen(directory);
    bool within = wcsncmp(name, directory, len) == 0 && (name[len] == L'\\' || name[len] == L'\0');
    return within ? name + len : NULL;
}

/* It was announced, or may have been. */
static bool is_announced(const epio__changes *changes, const WCHAR *name)
{
    for (const epio__announced *entry = changes->announced; entry != NULL; entry = entry->next) {
        if (may_be_directory(entry->type) && rest_in(name, entry->name) != NULL) {
            return true;
        }
    }
    return false;
}

/* The latest note of the name itself; NULL: none. */
static const epio__announced *note_of(const epio__changes *changes, const WCHAR *name)
{
    const epio__announced *entry = changes->announced;
    while (entry != NULL && wcscmp(entry->name, name) != 0) {
        entry = entry->next;
    }
    return entry;
}

/* What has the name now is reported, whatever was known. */
static void announce_anew(epio__changes *changes, WCHAR *name)
{
    uint32_t type = type_at(changes, name);
    report(changes, EPIO_EVENT_REMOVED, EPIO_TYPE_UNKNOWN, name);
    if (type != EPIO_TYPE_UNKNOWN) {
        report(changes, EPIO_EVENT_MADE, type, name);
    }
    announce_below(changes, type, name);
}

/* "TO" or "TO\REST"; NULL: no memory. */
static name_list *renamed(const WCHAR *to, const WCHAR *rest)
{
    name_list *name = NULL;
    (void)(*rest == L'\0' ? push(&name, NULL, to, wcslen(to))
                          : push(&name, to, rest + 1, wcslen(rest + 1)));
    return name;
}

/* Notes under the new name what was noted under the old one, and of the type that it has now. What
 * is not what was listed is returned, to be announced. */
static name_list *rename_notes(epio__changes *changes, uint32_t type, const WCHAR *from,
                               const WCHAR *to)
{
    name_list *others = NULL;
    for (const epio__announced *entry = changes->announced; entry != NULL; entry = entry->next) {
        const WCHAR *rest = rest_in(entry->name, from);
        name_list *name = rest != NULL ? renamed(to, rest) : NULL;
        identity now = {.known = false};
        if (rest != NULL && name == NULL) {
            epio__changes_report_loss(changes);
        }
        if (name == NULL) {
            continue;
        }
        if (changes->watch->recursive && may_be_directory(entry->type)) {
            now = identity_at(changes, name->name);
            if (!are_the_same(&now, &entry->listed)) {
                name->next = others;
                others = name;
                continue;
            }
        }
        note(changes, name->name, *rest == L'\0' ? type : entry->type, now);
        free(name);
    }
    return others;
}

/* True if a rename of what was announced as another directory, or not at all, was reported by what
 * is there. */
static bool rename_anew(epio__changes *changes, uint32_t type, const WCHAR *from, WCHAR *to)
{
    const epio__announced *noted = note_of(changes, from);
    bool announced = noted != NULL || is_announced(changes, from);
    if (!changes->watch->recursive || !may_be_directory(type) || !announced) {
        return false;
    }
    identity now = identity_at(changes, to);
    if (noted != NULL && are_the_same(&now, &noted->listed)) {
        return false;
    }
    report(changes, EPIO_EVENT_REMOVED, type, from);
    report(changes, EPIO_EVENT_MADE, type, to);
    announce_below(changes, type, to);
    return true;
}

static void report_noted_rename(epio__changes *changes, uint32_t type, const WCHAR *from, WCHAR *to)
{
    if (rename_anew(changes, type, from, to)) {
        return;
    }
    const epio__announced *noted = note_of(changes, from);
    bool seemed_other = noted != NULL ? noted->type != type : is_announced(changes, from);
    /* Before the report: who reads it may change names at once. */
    name_list *others = rename_notes(changes, type, from, to);
    report_rename(changes, type, to, from);
    if (seemed_other) {
        report(changes, EPIO_EVENT_MADE, type, to);
    }
    while (others != NULL) {
        name_list *other = pop(&others);
        announce_anew(changes, other->name);
        free(other);
    }
}

static void forget_announced(epio__changes *changes, uint32_t number)
{
    for (epio__announced **at = &changes->announced; *at != NULL;) {
        epio__announced *entry = *at;
        if ((int32_t)(number - entry->until) > 0) {
            *at = entry->next;
            free(entry);
        } else {
            at = &entry->next;
        }
    }
}

/* ---- Records ---- */

static DWORD word_at(const unsigned char *records, size_t at)
{
    DWORD word;
    memcpy(&word, records + at, sizeof word);
    return word;
}

/* One record of at most `len` bytes, and the distance of the next, 0 if there is none: false if it
 * is none, or there is no memory. */
static bool take_record(const epio__changes *changes, const unsigned char *at, size_t len,
                        change_record *record, size_t *next)
{
    size_t name_len_at = changes->extended ? EXTENDED_NAME_LEN : PLAIN_NAME_LEN;
    size_t name_at = name_len_at + sizeof(DWORD);
    if (len < name_at || word_at(at, name_len_at) > len - name_at || word_at(at, 0) >= len) {
        return false;
    }
    size_t bytes = word_at(at, name_len_at) / sizeof(WCHAR) * sizeof(WCHAR);
    *next = word_at(at, 0);
    record->action = word_at(at, sizeof(DWORD));
    record->attributes = changes->extended ? word_at(at, EXTENDED_ATTRIBUTES) : 0;
    record->tag = changes->extended ? word_at(at, EXTENDED_TAG) : 0;
    record->name = malloc(bytes + sizeof(WCHAR));
    if (record->name != NULL) {
        memcpy(record->name, at + name_at, bytes);
        record->name[bytes / sizeof(WCHAR)] = L'\0';
    }
    return record->name != NULL;
}

/* A rename without its second half. */
static void settle_rename(epio__changes *changes)
{
    if (changes->old_name != NULL) {
        report(changes, EPIO_EVENT_REMOVED, changes->old_type, changes->old_name);
        free(changes->old_name);
        changes->old_name = NULL;
    }
}

static void finish_rename(epio__changes *changes, uint32_t type, WCHAR *name)
{
    WCHAR *from = changes->old_name;
    if (from == NULL) {
        report(changes, EPIO_EVENT_MADE, type, name);
        announce_below(changes, type, name);
        return;
    }
    changes->old_name = NULL;
    if (changes->announced != NULL) {
        report_noted_rename(changes, type, from, name);
    } else {
        report_rename(changes, type, name, from);
    }
    free(from);
}

/* What changed are a file's bytes, or its attributes, of which the system does not say which: its
 * times do not show it either, as programs set them. */
static void report_modified(epio__changes *changes, uint32_t type, const WCHAR *name)
{
    bool directory = type == EPIO_TYPE_DIRECTORY;
    report(changes, directory ? EPIO_EVENT_ATTRIBUTES : EPIO_EVENT_CHANGED, type, name);
}

/* The name is "FILE:STREAM". */
static void report_stream(epio__changes *changes, uint32_t type, WCHAR *name)
{
    WCHAR *colon = wcschr(name, L':');
    if (colon != NULL) {
        *colon = L'\0';
    }
    report(changes, EPIO_EVENT_ATTRIBUTES, type, name);
}

static void report_record(epio__changes *changes, change_record *record)
{
    if (record->name[0] == L'\0' || record->name[0] == L':') {
        free(record->name); /* of the watched directory itself */
        return;
    }
    uint32_t type = type_in(changes, record);
    if (record->action != FILE_ACTION_RENAMED_NEW_NAME) {
        settle_rename(changes);
    }
    switch (record->action) {
    case FILE_ACTION_ADDED:
        report(changes, EPIO_EVENT_MADE, type, record->name);
        announce_below(changes, type, record->name);
        break;
    case FILE_ACTION_REMOVED:
        report(changes, EPIO_EVENT_REMOVED, type, record->name);
        break;
    case FILE_ACTION_MODIFIED:
        report_modified(changes, type, record->name);
        break;
    case FILE_ACTION_RENAMED_OLD_NAME:
        changes->old_name = record->name;
        changes->old_type = type;
        record->name = NULL;
        break;
    case FILE_ACTION_RENAMED_NEW_NAME:
        finish_rename(changes, type, record->name);
        break;
    case ADDED_STREAM:
    case REMOVED_STREAM:
    case MODIFIED_STREAM:
        report_stream(changes, type, record->name);
        break;
    default:
        break; /* nothing that was asked for */
    }
    free(record->name);
}

void epio__changes_report(epio__changes *changes, uint32_t number, const unsigned char *records,
                          size_t len)
{
    size_t at = 0;
    size_t next;
    forget_announced(changes, number);
    do {
        change_record record;
        if (!take_record(changes, records + at, len - at, &record, &next)) {
            epio__changes_report_loss(changes);
            return;
        }
        report_record(changes, &record);
        at += next;
    } while (next != 0);
}

void epio__changes_drop(epio__changes *changes)
{
    free(changes->old_name);
    while (changes->announced != NULL) {
        epio__announced *entry = changes->announced;
        changes->announced = entry->next;
        free(entry);
    }
}
