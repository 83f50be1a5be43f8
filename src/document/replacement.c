/* See replacement.h.
 *
 * The new file's name is one of a few slots that follow from the target's name, so that what a
 * killed process has left is found without listing the directory. Who lives holds a lock on the
 * last byte that a file can have. A slot is removed by the one who has got its lock, and knows by
 * device and id that it is still the slot's file; who makes a slot looks, once it is locked,
 * whether it was removed just before. */
#include "document/replacement.h"

#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As many can replace one file at the same time; each looks at all of them. */
#define SLOTS 4u

/* Links that are followed, as on Linux. */
#define MOST_LINKS 40

/* How long a slot is waited for, how long at once, and how often one may be lost to another. */
#define LONGEST_WAIT_NS UINT64_C(30000000000)
#define WAIT_NS UINT64_C(2000000)
#define MOST_ATTEMPTS 100

/* A name of so many bytes fits with what a slot adds to it. */
#define LONGEST_NAME 240u
#define ROOM_FOR_SLOT 48u

#define LOCKED_BYTE ((uint64_t)INT64_MAX - 1)

/* ---- What is made of a procedure's ops ---- */

int64_t epio__document_perform(epio__procedure *procedure, epio_op *op)
{
    int64_t result = epio__procedure_perform(procedure, op);
    if (result < 0) {
        epio__procedure_note(procedure, op->os_error);
    }
    return result;
}

int64_t epio__document_fail(epio__procedure *procedure, int64_t error)
{
    epio__procedure_note(procedure, 0);
    return error;
}

bool epio__same_file(const epio_info *one, const epio_info *other)
{
    return (one->known & other->known & EPIO_INFO_ID) != 0 && one->device == other->device &&
           one->id[0] == other->id[0] && one->id[1] == other->id[1];
}

size_t epio__directory_len(const char *path)
{
    size_t len = strlen(path);
    while (len > 0 && !epio__is_separator(path[len - 1])) {
        len--;
    }
    return len;
}

static int64_t stat_name(epio__procedure *procedure, epio_vfs *vfs, const char *path,
                         epio_info *info, uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    return epio__document_perform(procedure, epio_stat(&op, vfs, path, info, flags));
}

static int64_t stat_file(epio__procedure *procedure, epio_file *file, epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    return epio__document_perform(procedure, epio_file_stat(&op, file, info));
}

static void remove_name(epio__procedure *procedure, epio_vfs *vfs, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    (void)epio__procedure_undo(procedure, epio_delete(&op, vfs, path, 0));
}

static int64_t close_file(epio__procedure *procedure, epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    return epio__procedure_undo(procedure, epio_close(&op, file));
}

/* ---- The target ---- */

/* `first_len` bytes of `first` and all of `second`; NULL: no memory. */
static char *join(const char *first, size_t first_len, const char *second)
{
    size_t second_len = strlen(second);
    char *path = malloc(first_len + second_len + 1);
    if (path != NULL) {
        memcpy(path, first, first_len);
        memcpy(path + first_len, second, second_len + 1);
    }
    return path;
}

static bool is_absolute(const char *path)
{
    bool has_drive = path[0] != '\0' && path[1] == ':' && epio__is_separator(':');
    return epio__is_separator(path[0]) || has_drive;
}

/* Where the link that the target is by now leads to becomes the target. */
static int64_t follow_link(epio__procedure *procedure, epio__replacement *one)
{
    epio_op op = EPIO_OP_INIT;
    size_t room = 512;
    int64_t result = EPIO_ERANGE;
    char *text = NULL;
    while (result == EPIO_ERANGE && room <= ((size_t)1 << 17)) {
        free(text);
        room *= 2;
        text = malloc(room);
        result = text == NULL
                     ? EPIO_ENOMEM
                     : epio__document_perform(
                           procedure, epio_read_link(&op, one->vfs, one->target, text, room));
    }
    if (result >= 0) {
        size_t base = is_absolute(text) ? 0 : epio__directory_len(one->target);
        char *target = join(one->target, base, text);
        free(one->target);
        one->target = target;
        result = target != NULL ? 0 : EPIO_ENOMEM;
    }
    free(text);
    return result;
}

/* Step by step, as the system names none on the way. */
static int64_t find_target(epio__procedure *procedure, epio__replacement *one, bool follow)
{
    int64_t result = 0;
    for (int links = 0; links <= MOST_LINKS; links++) {
        result = stat_name(procedure, one->vfs, one->target, &one->old, EPIO_STAT_NOFOLLOW);
        one->exists = result == 0;
        if (result == EPIO_ENOENT) {
            one->old.known = 0;
            return 0;
        }
        if (result < 0 || !follow || one->old.type != EPIO_TYPE_LINK) {
            return result;
        }
        if ((result = follow_link(procedure, one)) < 0) {
            return result;
        }
    }
    return epio__document_fail(procedure, EPIO_ELOOP);
}

/* The system is asked first: it may forbid to follow a link of another user, and those of /proc
 * lead to what has no path. */
static int64_t find_behind_link(epio__procedure *procedure, epio__replacement *one,
                                const char *path)
{
    epio_info reached;
    int64_t result = stat_name(procedure, one->vfs, path, &reached, 0);
    if (result < 0 && result != EPIO_ENOENT) {
        return result;
    }
    bool leads = result == 0;
    result = find_target(procedure, one, true);
    if (leads && (result < 0 || !one->exists || !epio__same_file(&reached, &one->old))) {
        char *again = join(path, strlen(path), "");
        free(one->target);
        one->target = again;
        one->exists = true;
        one->unnamed = true;
        one->old = reached;
        return again != NULL ? 0 : EPIO_ENOMEM;
    }
    return result;
}

int64_t epio__replacement_find(epio__procedure *procedure, epio__replacement *one, epio_vfs *vfs,
                               const char *path, bool follow)
{
    one->vfs = vfs;
    one->target = join(path, strlen(path), "");
    if (one->target == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = find_target(procedure, one, false);
    if (result == 0 && follow && one->exists && one->old.type == EPIO_TYPE_LINK) {
        result = find_behind_link(procedure, one, path);
    }
    if (result == 0 && !one->exists && one->target[epio__directory_len(one->target)] == '\0') {
        return epio__document_fail(procedure, EPIO_EISDIR); /* "name/" */
    }
    return result;
}

/* ---- Slots ---- */

static uint64_t hash_of(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* NULL: no memory. */
static char *slot_name(const epio__replacement *one, uint32_t number)
{
    size_t base = epio__directory_len(one->target);
    const char *name = one->target + base;
    size_t room = strlen(one->target) + ROOM_FOR_SLOT;
    char digit[2] = {number > 0 ? (char)('0' + number) : '\0', '\0'};
    char *slot = malloc(room);
    if (slot == NULL) {
        return NULL;
    }
    memcpy(slot, one->target, base);
    if (one->hashed || strlen(name) > LONGEST_NAME) {
        (void)snprintf(slot + base, room - base, ".%016llx.saving%s",
                       (unsigned long long)hash_of(name), digit);
    } else {
        (void)snprintf(slot + base, room - base, ".%s.saving%s", name, digit);
    }
    return slot;
}

static char *random_slot(const epio__replacement *one)
{
    size_t base = epio__directory_len(one->target);
    char part[EPIO__RANDOM_NAME_LEN + 1] = ".";
    epio__random_part(part + 1);
    return join(one->target, base, part);
}

static int64_t lock_file(epio__procedure *procedure, epio_file *file)
{
    epio_op op = EPIO_OP_INIT;
    return epio__document_perform(
        procedure, epio_lock_range(&op, file, LOCKED_BYTE, 1, EPIO_RANGE_EXCLUSIVE, 0));
}

/* Is this, which the file was by its name, still what has the name? */
static bool is_still_at(epio__procedure *procedure, epio_vfs *vfs, const char *path,
                        const epio_info *info)
{
    epio_info now;
    return stat_name(procedure, vfs, path, &now, EPIO_STAT_NOFOLLOW) == 0 &&
           epio__same_file(&now, info);
}

/* The system counts names as they go, except where a removal waits for the file's close. */
static bool was_removed(epio__procedure *procedure, const epio__replacement *one)
{
    bool counted = (one->made.known & (EPIO_INFO_LINKS | EPIO_INFO_ATTRIBUTES)) == EPIO_INFO_LINKS;
    return counted ? one->made.links == 0
                   : !is_still_at(procedure, one->vfs, one->slot, &one->made);
}

/* Gives up what was just made. */
static void give_up(epio__procedure *procedure, epio__replacement *one, bool removes)
{
    if (removes) {
        remove_name(procedure, one->vfs, one->slot);
    }
    (void)close_file(procedure, one->file);
    one->file = NULL;
}

/* Makes a file of the name in `one->slot`: 0; EPIO_EEXIST; EPIO_EBUSY: it is lost to another. */
static int64_t make_slot(epio__procedure *procedure, epio__replacement *one, uint32_t permissions,
                         bool locks)
{
    const uint32_t flags =
        EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE;
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__document_perform(
        procedure, epio_open(&op, one->vfs, one->slot, flags | EPIO_OPEN_PERMISSIONS(permissions)));
    if (result < 0) {
        return result;
    }
    one->file = op.file;
    result = locks ? lock_file(procedure, one->file) : 0;
    if (result == 0) {
        result = stat_file(procedure, one->file, &one->made);
        if (result == 0 && locks && was_removed(procedure, one)) {
            give_up(procedure, one, false);
            return EPIO_EBUSY;
        }
    }
    if (result < 0) {
        give_up(procedure, one, result != EPIO_EBUSY);
    }
    return result;
}

static int64_t make_in(epio__procedure *procedure, epio__replacement *one, char *slot,
                       uint32_t permissions, bool locks)
{
    if (slot == NULL) {
        return EPIO_ENOMEM;
    }
    one->slot = slot;
    int64_t result = make_slot(procedure, one, permissions, locks);
    if (result < 0) {
        free(slot);
        one->slot = NULL;
    }
    return result;
}

/* The first slot that is free: 0; EPIO_EEXIST: none. */
static int64_t make_in_first(epio__procedure *procedure, epio__replacement *one,
                             uint32_t permissions)
{
    int64_t result = EPIO_EEXIST;
    for (uint32_t i = 0; i < SLOTS && result == EPIO_EEXIST; i++) {
        result = make_in(procedure, one, slot_name(one, i), permissions, true);
        if (result == EPIO_ENAMETOOLONG && !one->hashed) {
            one->hashed = true;
            result = make_in(procedure, one, slot_name(one, i), permissions, true);
        }
    }
    return result;
}

/* ---- What is left ---- */

typedef enum leftover { REMOVED, ALIVE, NOT_OURS } leftover;

/* It has permissions of the old file by then, which may forbid to write. */
static int64_t make_writable(epio__procedure *procedure, epio_vfs *vfs, const char *slot,
                             const epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    epio_info opened;
    int64_t result = epio__document_perform(
        procedure, epio_open(&op, vfs, slot, EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW));
    if (result < 0) {
        return result;
    }
    epio_file *file = op.file;
    result = stat_file(procedure, file, &opened);
    if (result == 0 && !epio__same_file(&opened, info)) {
        result = EPIO_EACCES;
    }
    if (result == 0) {
        result = epio__document_perform(procedure, epio_file_set_mode(&op, file, 0600));
    }
    (void)close_file(procedure, file);
    return result;
}

static int64_t open_slot(epio__procedure *procedure, epio_vfs *vfs, const char *slot,
                         const epio_info *info, epio_file **file)
{
    const uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_NOFOLLOW;
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__document_perform(procedure, epio_open(&op, vfs, slot, flags));
    if (result == EPIO_EACCES && info->links == 1 &&
        make_writable(procedure, vfs, slot, info) == 0) {
        result = epio__document_perform(procedure, epio_open(&op, vfs, slot, flags));
    }
    *file = op.file;
    return result;
}

static bool is_of_user(const epio_info *info, const epio_info *who)
{
    return (who->known & EPIO_INFO_OWNER) != 0 && who->user == info->user;
}

/* A file of this user, or of the one to whom the old file belongs, with no other name but the
 * target's. */
static bool may_be_left(const epio__replacement *one, const epio_info *info, const epio_info *mine)
{
    if (info->type != EPIO_TYPE_FILE) {
        return false;
    }
    if (one->exists && epio__same_file(info, &one->old)) {
        return true; /* epio__replacement_keep_old was interrupted */
    }
    bool alone = (info->known & EPIO_INFO_LINKS) == 0 || info->links <= 1;
    bool ours = (info->known & EPIO_INFO_OWNER) == 0 || is_of_user(info, mine) ||
                (one->exists && is_of_user(info, &one->old));
    return alone && ours;
}

/* `mine`: a file that this process has made there. */
static leftover sweep_slot(epio__procedure *procedure, epio__replacement *one, const char *slot,
                           const epio_info *mine)
{
    epio_info info;
    epio_file *file = NULL;
    int64_t result = stat_name(procedure, one->vfs, slot, &info, EPIO_STAT_NOFOLLOW);
    if (result == EPIO_ENOENT) {
        return REMOVED;
    }
    if (result < 0 || !may_be_left(one, &info, mine)) {
        return NOT_OURS;
    }
    result = open_slot(procedure, one->vfs, slot, &info, &file);
    if (result < 0) {
        return result == EPIO_ENOENT ? REMOVED : NOT_OURS;
    }
    leftover found = NOT_OURS;
    result = lock_file(procedure, file);
    if (result == EPIO_EBUSY) {
        found = ALIVE;
    } else if (result == 0 && stat_file(procedure, file, &info) == 0) {
        if (is_still_at(procedure, one->vfs, slot, &info)) {
            remove_name(procedure, one->vfs, slot);
        }
        found = REMOVED;
    }
    (void)close_file(procedure, file);
    return found;
}

typedef struct sweep {
    uint32_t removed;
    uint32_t alive;
} sweep;

static sweep sweep_slots(epio__procedure *procedure, epio__replacement *one, const epio_info *mine)
{
    sweep found = {0, 0};
    for (uint32_t i = 0; i < SLOTS && !epio__procedure_stopped(procedure); i++) {
        char *slot = slot_name(one, i);
        if (slot != NULL && (one->slot == NULL || strcmp(slot, one->slot) != 0)) {
            leftover state = sweep_slot(procedure, one, slot, mine);
            found.removed += state == REMOVED ? 1 : 0;
            found.alive += state == ALIVE ? 1 : 0;
        }
        free(slot);
    }
    return found;
}

/* Whose files are those that this process makes? */
static void find_user(epio__procedure *procedure, const epio__replacement *one, epio_info *mine)
{
    epio_op op = EPIO_OP_INIT;
    size_t base = epio__directory_len(one->target);
    char *directory = join(base > 0 ? one->target : ".", base > 0 ? base : 1, "");
    mine->known = 0;
    if (directory != NULL &&
        epio__document_perform(procedure,
                               epio_open(&op, one->vfs, directory, EPIO_OPEN_TEMPORARY)) == 0) {
        epio_file *file = op.file;
        if (stat_file(procedure, file, mine) < 0) {
            mine->known = 0;
        }
        (void)close_file(procedure, file);
    }
    free(directory);
}

/* All slots are taken: 0: one may be free now; EPIO_EEXIST: none will be, as they are not ours. */
static int64_t clear_slots(epio__procedure *procedure, epio__replacement *one, uint64_t begun)
{
    epio_info mine = {.size = sizeof mine};
    epio_op op = EPIO_OP_INIT;
    find_user(procedure, one, &mine);
    sweep found = sweep_slots(procedure, one, &mine);
    if (found.removed > 0 || epio__procedure_stopped(procedure)) {
        return epio__procedure_error(procedure);
    }
    if (found.alive == 0) {
        return EPIO_EEXIST;
    }
    if (epio__monotonic_time() - begun > LONGEST_WAIT_NS) {
        return epio__document_fail(procedure, EPIO_EBUSY);
    }
    int64_t result = epio__document_perform(procedure, epio_sleep(&op, epio_os_vfs(), WAIT_NS));
    return result < 0 ? result : 0;
}

static bool is_refusal_of_locks(int64_t result)
{
    return result == EPIO_ENOTSUP || result == EPIO_EINVAL || result == EPIO_ENOMEM ||
           result == EPIO_EIO;
}

int64_t epio__replacement_make(epio__procedure *procedure, epio__replacement *one,
                               uint32_t permissions)
{
    uint64_t begun = epio__monotonic_time();
    int64_t result = EPIO_EBUSY;
    for (int i = 0; i < MOST_ATTEMPTS && result == EPIO_EBUSY; i++) {
        while ((result = make_in_first(procedure, one, permissions)) == EPIO_EEXIST) {
            if ((result = clear_slots(procedure, one, begun)) < 0) {
                break;
            }
        }
    }
    if (result == EPIO_EEXIST || is_refusal_of_locks(result)) {
        return make_in(procedure, one, random_slot(one), permissions, false);
    }
    if (result == 0) {
        (void)sweep_slots(procedure, one, &one->made);
    }
    return result;
}

/* ---- Its name ---- */

static bool is_gone(epio__procedure *procedure, const epio__replacement *one)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    return epio__procedure_undo(procedure, epio_stat(&op, one->vfs, one->slot, &info,
                                                     EPIO_STAT_NOFOLLOW)) == EPIO_ENOENT;
}

static uint32_t rename_flags(uint32_t flags)
{
    uint32_t taken = (flags & EPIO__REPLACE_DURABLE) != 0 ? EPIO_RENAME_SYNC_DIR : 0;
    taken |= (flags & EPIO__REPLACE_NO_REPLACE) != 0 ? EPIO_RENAME_NO_REPLACE : 0;
#ifdef EPIO_RENAME_KEEP_METADATA
    taken |= (flags & EPIO__REPLACE_KEEP) != 0 ? EPIO_RENAME_KEEP_METADATA : 0;
#endif
    return taken;
}

int64_t epio__replacement_name(epio__procedure *procedure, epio__replacement *one, uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
#ifndef EPIO_RENAME_KEEP_METADATA
    if ((flags & EPIO__REPLACE_KEEP) != 0) {
        return EPIO_ENOTSUP;
    }
#endif
    int64_t result = epio__document_perform(
        procedure, epio_rename(&op, one->vfs, one->slot, one->target, rename_flags(flags)));
    if (result == 0 || (result == EPIO_EIO && is_gone(procedure, one))) {
        free(one->slot);
        one->slot = NULL;
    }
    return result;
}

/* What was not renamed, also as both were names of one file by then: the system does nothing. */
static void remove_link(epio__procedure *procedure, const epio__replacement *one, const char *slot)
{
    epio_op op = EPIO_OP_INIT;
    epio_info now = {.size = sizeof now};
    if (epio__procedure_undo(procedure, epio_stat(&op, one->vfs, slot, &now, EPIO_STAT_NOFOLLOW)) ==
            0 &&
        epio__same_file(&now, &one->old)) {
        remove_name(procedure, one->vfs, slot);
    }
}

/* By a free slot, which a moment later is another's to remove: then once more. */
static int64_t link_over(epio__procedure *procedure, epio__replacement *one, const char *to,
                         bool durable)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = EPIO_EEXIST;
    for (uint32_t i = 0; i < SLOTS && result == EPIO_EEXIST; i++) {
        char *slot = slot_name(one, i);
        if (slot == NULL) {
            return EPIO_ENOMEM;
        }
        result =
            epio__document_perform(procedure, epio_link_file(&op, one->vfs, one->target, slot, 0));
        if (result == 0) {
            result =
                epio__document_perform(procedure, epio_rename(&op, one->vfs, slot, to,
                                                              durable ? EPIO_RENAME_SYNC_DIR : 0));
            remove_link(procedure, one, slot);
        }
        free(slot);
    }
    return result;
}

int64_t epio__replacement_keep_old(epio__procedure *procedure, epio__replacement *one,
                                   const char *to, bool durable)
{
    epio_op op = EPIO_OP_INIT;
    epio_info there;
    int64_t result =
        epio__document_perform(procedure, epio_link_file(&op, one->vfs, one->target, to, 0));
    if (result != EPIO_EEXIST) {
        return result;
    }
    result = stat_name(procedure, one->vfs, to, &there, EPIO_STAT_NOFOLLOW);
    if (result == 0 && epio__same_file(&there, &one->old)) {
        return 0;
    }
    for (int i = 0; i < MOST_ATTEMPTS; i++) {
        result = link_over(procedure, one, to, durable);
        if (result != EPIO_ENOENT) {
            break;
        }
    }
    return result;
}

static int64_t drop_file(epio__procedure *procedure, epio__replacement *one)
{
    int64_t result = 0;
    if (one->slot != NULL) {
        remove_name(procedure, one->vfs, one->slot);
    }
    if (one->file != NULL) {
        result = close_file(procedure, one->file);
    }
    free(one->slot);
    one->slot = NULL;
    one->file = NULL;
    return result;
}

void epio__replacement_discard(epio__procedure *procedure, epio__replacement *one)
{
    (void)drop_file(procedure, one);
}

int64_t epio__replacement_end(epio__procedure *procedure, epio__replacement *one)
{
    int64_t result = drop_file(procedure, one);
    free(one->target);
    memset(one, 0, sizeof *one);
    return result;
}
