/* The names that new files have until they take another's place, and what killed processes have
 * left of them.
 *
 * A name is one of a few slots that follow from the target's name, so that what was left is found
 * without listing the directory. Who lives holds a lock on the last byte that a file can have. A
 * slot is removed by the one who has got its lock, and knows by device and id that it is still the
 * slot's file; who makes a slot looks, once it is locked, whether it was removed just before. */
#include "document/replacement.h"

#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As many can replace one file at the same time; each looks at all of them. */
#define SLOTS 4u

/* How long a slot is waited for, how long at once, and how often one may be lost to another. */
#define LONGEST_WAIT_NS UINT64_C(30000000000)
#define WAIT_NS UINT64_C(2000000)
#define MOST_ATTEMPTS 100

/* A name of so many bytes fits with what a slot adds to it. */
#define LONGEST_NAME 240u
#define ROOM_FOR_SLOT 48u

#define LOCKED_BYTE ((uint64_t)INT64_MAX - 1)

/* ---- Making one ---- */

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
    return epio__join(one->target, base, part);
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
    return epio__stat_name(procedure, vfs, path, &now, EPIO_STAT_NOFOLLOW) == 0 &&
           epio__same_file(&now, info);
}

bool epio__slot_is_own(epio__procedure *procedure, const epio__replacement *one)
{
    epio_op op = EPIO_OP_INIT;
    epio_info now = {.size = sizeof now};
    if ((one->made.known & EPIO_INFO_ID) == 0) {
        return true;
    }
    int64_t result = epio__procedure_undo(
        procedure, epio_stat(&op, one->vfs, one->slot, &now, EPIO_STAT_NOFOLLOW));
    return result == 0 ? epio__same_file(&now, &one->made) : result != EPIO_ENOENT;
}

/* The system counts names as they go, except where a removal waits for the file's close. */
static bool was_removed(epio__procedure *procedure, const epio__replacement *one)
{
    epio_op op = EPIO_OP_INIT;
    epio_info now = {.size = sizeof now};
    if ((one->made.known & (EPIO_INFO_LINKS | EPIO_INFO_ATTRIBUTES)) == EPIO_INFO_LINKS) {
        return one->made.links == 0;
    }
    int64_t result = epio__procedure_undo(
        procedure, epio_stat(&op, one->vfs, one->slot, &now, EPIO_STAT_NOFOLLOW));
    return result < 0 || !epio__same_file(&now, &one->made);
}

/* Gives up what was just made. */
static void give_up(epio__procedure *procedure, epio__replacement *one, bool removes)
{
    if (removes) {
        epio__delete_name(procedure, one->vfs, one->slot);
    }
    (void)epio__close_file(procedure, one->file);
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
        result = epio__stat_file(procedure, one->file, &one->made);
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
    result = epio__stat_file(procedure, file, &opened);
    if (result == 0 && !epio__same_file(&opened, info)) {
        result = EPIO_EACCES;
    }
    if (result == 0) {
        result = epio__document_perform(procedure, epio_file_set_mode(&op, file, 0600));
    }
    (void)epio__close_file(procedure, file);
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

/* A file of this user, or of the one to whom the old file belongs. */
static bool may_be_left(const epio__replacement *one, const epio_info *info, const epio_info *mine)
{
    if (info->type != EPIO_TYPE_FILE) {
        return false;
    }
    bool ours = (info->known & EPIO_INFO_OWNER) == 0 || is_of_user(info, mine) ||
                (one->exists && is_of_user(info, &one->old));
    return ours;
}

/* Its holder lives, but could not keep it open: see epio__slot_step_aside. */
static bool is_guarded(epio__procedure *procedure, epio_vfs *vfs, const char *slot,
                       const epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    if ((info->known & EPIO_INFO_ATTRIBUTES) == 0) {
        return false;
    }
    char *name = epio__join(slot, strlen(slot), EPIO__SLOT_LINK);
    if (name == NULL) {
        return true;
    }
    int64_t result = epio__document_perform(
        procedure,
        epio_open(&op, vfs, name, EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_NOFOLLOW));
    free(name);
    if (result < 0) {
        return result != EPIO_ENOENT;
    }
    epio_file *file = op.file;
    result = lock_file(procedure, file);
    (void)epio__close_file(procedure, file);
    return result < 0;
}

/* First the second name of the old file, which its holder may have been about to rename: without
 * the slot no one would look for it. */
static void remove_slot(epio__procedure *procedure, epio_vfs *vfs, const char *slot)
{
    epio_op op = EPIO_OP_INIT;
    char *link = epio__join(slot, strlen(slot), EPIO__SLOT_LINK);
    int64_t result = link == NULL ? EPIO_ENOMEM
                                  : epio__procedure_undo(procedure, epio_delete(&op, vfs, link, 0));
    free(link);
    if (result == 0 || result == EPIO_ENOENT) {
        epio__delete_name(procedure, vfs, slot);
    }
}

/* `mine`: a file that this process has made there. */
static leftover sweep_slot(epio__procedure *procedure, epio__replacement *one, const char *slot,
                           const epio_info *mine)
{
    epio_info info;
    epio_file *file = NULL;
    int64_t result = epio__stat_name(procedure, one->vfs, slot, &info, EPIO_STAT_NOFOLLOW);
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
    } else if (result == 0 && epio__stat_file(procedure, file, &info) == 0) {
        bool guarded = is_guarded(procedure, one->vfs, slot, &info);
        if (!guarded && is_still_at(procedure, one->vfs, slot, &info)) {
            remove_slot(procedure, one->vfs, slot);
        }
        found = guarded ? ALIVE : REMOVED;
    }
    (void)epio__close_file(procedure, file);
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
    char *directory = epio__join(base > 0 ? one->target : ".", base > 0 ? base : 1, "");
    mine->known = 0;
    if (directory != NULL &&
        epio__document_perform(procedure,
                               epio_open(&op, one->vfs, directory, EPIO_OPEN_TEMPORARY)) == 0) {
        epio_file *file = op.file;
        if (epio__stat_file(procedure, file, mine) < 0) {
            mine->known = 0;
        }
        (void)epio__close_file(procedure, file);
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
        one->others = sweep_slots(procedure, one, &one->made).alive > 0;
    }
    return result;
}

void epio__slot_sweep_again(epio__procedure *procedure, epio__replacement *one)
{
    if (one->others) {
        one->others = false;
        (void)sweep_slots(procedure, one, &one->made);
    }
}

/* ---- Without the file ---- */

static int64_t open_guard(epio__procedure *procedure, const epio__replacement *one,
                          const char *name, epio_file **guard)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio__document_perform(
        procedure,
        epio_open(&op, one->vfs, name,
                  EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE |
                      EPIO_OPEN_DELETE_ON_CLOSE | EPIO_OPEN_PERMISSIONS(0600)));
    *guard = op.file;
    if (result == 0 && (result = lock_file(procedure, op.file)) < 0) {
        (void)epio__close_file(procedure, *guard);
        *guard = NULL;
    }
    return result;
}

/* That of who had the slot before is gone once those that look at it have closed it: without POSIX
 * semantics a name that is removed before that may take a new file's with it. */
static int64_t make_guard(epio__procedure *procedure, const epio__replacement *one,
                          const char *name, epio_file **guard)
{
    int64_t result = open_guard(procedure, one, name, guard);
    for (int i = 0; i < MOST_ATTEMPTS && result == EPIO_EEXIST; i++) {
        epio_op op = EPIO_OP_INIT;
        result = epio__document_perform(procedure, epio_sleep(&op, epio_os_vfs(), WAIT_NS));
        result = result < 0 ? result : open_guard(procedure, one, name, guard);
    }
    if (result == EPIO_EEXIST) { /* after a power failure */
        epio__delete_name(procedure, one->vfs, name);
        result = open_guard(procedure, one, name, guard);
    }
    return result;
}

int64_t epio__slot_step_aside(epio__procedure *procedure, epio__replacement *one, epio_file **guard)
{
    char *name = epio__join(one->slot, strlen(one->slot), EPIO__SLOT_LINK);
    if (name == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = make_guard(procedure, one, name, guard);
    free(name);
    if (result == 0) {
        result = epio__stat_file(procedure, one->file, &one->made);
    }
    if (result == 0) {
        (void)epio__close_file(procedure, one->file);
        one->file = NULL;
    } else if (*guard != NULL) {
        (void)epio__close_file(procedure, *guard);
        *guard = NULL;
    }
    return result;
}

void epio__slot_step_back(epio__procedure *procedure, epio__replacement *one, epio_file *guard)
{
    epio_op op = EPIO_OP_INIT;
    const uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_NOFOLLOW;
    if (one->slot != NULL &&
        epio__procedure_undo(procedure, epio_open(&op, one->vfs, one->slot, flags)) == 0) {
        epio_file *file = op.file;
        /* Who looks whether it is left has the lock for a moment. */
        (void)epio__procedure_undo(
            procedure,
            epio_lock_range(&op, file, LOCKED_BYTE, 1, EPIO_RANGE_EXCLUSIVE, EPIO_LOCK_WAIT));
        one->file = file;
    }
    (void)epio__close_file(procedure, guard);
}
