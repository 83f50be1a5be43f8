/* See replacement.h. The new file's name meanwhile is in slot.c. */
#include "document/replacement.h"

#include "platform.h"

#include <stdlib.h>
#include <string.h>

/* Links that are followed, as on Linux. */
#define MOST_LINKS 40

/* How often a file may be replaced by others while it is linked. */
#define MOST_ATTEMPTS 100

/* ---- The target ---- */

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
        char *target = epio__join(one->target, base, text);
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
        result = epio__stat_name(procedure, one->vfs, one->target, &one->old, EPIO_STAT_NOFOLLOW);
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
    int64_t result = epio__stat_name(procedure, one->vfs, path, &reached, 0);
    if (result < 0 && result != EPIO_ENOENT) {
        return result;
    }
    bool leads = result == 0;
    result = find_target(procedure, one, true);
    if (leads && (result < 0 || !one->exists || !epio__same_file(&reached, &one->old))) {
        char *again = epio__join(path, strlen(path), "");
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
    one->target = epio__join(path, strlen(path), "");
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
    taken |= (flags & EPIO__REPLACE_KEEP) != 0 ? EPIO_RENAME_KEEP_METADATA : 0;
    return taken;
}

static int64_t rename_slot(epio__procedure *procedure, epio__replacement *one, uint32_t flags)
{
    epio_op op = EPIO_OP_INIT;
    if (!epio__slot_is_own(procedure, one)) {
        return epio__document_fail(procedure, EPIO_ENOENT);
    }
    int64_t result = epio__document_perform(
        procedure, epio_rename(&op, one->vfs, one->slot, one->target, rename_flags(flags)));
    if (result >= 0 || (result == EPIO_EIO && is_gone(procedure, one))) {
        free(one->slot);
        one->slot = NULL;
        epio__slot_sweep_again(procedure, one);
    }
    return result;
}

int64_t epio__replacement_name(epio__procedure *procedure, epio__replacement *one, uint32_t flags)
{
    epio_file *guard;
    if ((flags & EPIO__REPLACE_KEEP) == 0) {
        return rename_slot(procedure, one, flags);
    }
    if (epio__slot_step_aside(procedure, one, &guard) < 0) {
        return EPIO_ENOTSUP;
    }
    int64_t result = rename_slot(procedure, one, flags);
    epio__slot_step_back(procedure, one, guard);
    return result;
}

/* Where another process replaces the file just then, the system finds nothing that has a name. */
static int64_t link_target(epio__procedure *procedure, const epio__replacement *one,
                           const char *link)
{
    epio_op op = EPIO_OP_INIT;
    epio_info now;
    int64_t result = EPIO_ENOENT;
    for (int i = 0; i < MOST_ATTEMPTS && result == EPIO_ENOENT; i++) {
        result =
            epio__document_perform(procedure, epio_link_file(&op, one->vfs, one->target, link, 0));
        if (result == EPIO_ENOENT &&
            epio__stat_name(procedure, one->vfs, one->target, &now, EPIO_STAT_NOFOLLOW) != 0) {
            break;
        }
    }
    return result;
}

/* By a name that is this process's alone. */
static int64_t link_over(epio__procedure *procedure, epio__replacement *one, const char *to,
                         bool durable)
{
    epio_op op = EPIO_OP_INIT;
    char *link = epio__join(one->slot, strlen(one->slot), EPIO__SLOT_LINK);
    if (link == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = link_target(procedure, one, link);
    if (result == EPIO_EEXIST) {
        epio__delete_name(procedure, one->vfs, link);
        result = link_target(procedure, one, link);
    }
    if (result == 0) {
        result = epio__document_perform(
            procedure, epio_rename(&op, one->vfs, link, to, durable ? EPIO_RENAME_SYNC_DIR : 0));
    }
    /* Also if both were names of one file by then: the system renames nothing. */
    epio__delete_name(procedure, one->vfs, link);
    free(link);
    return result;
}

int64_t epio__replacement_keep_old(epio__procedure *procedure, epio__replacement *one,
                                   const char *to, bool durable)
{
    epio_info there;
    int64_t result = link_target(procedure, one, to);
    if (result != EPIO_EEXIST) {
        return result;
    }
    result = epio__stat_name(procedure, one->vfs, to, &there, EPIO_STAT_NOFOLLOW);
    if (result == 0 && epio__same_file(&there, &one->old)) {
        bool has_one_name = (there.known & EPIO_INFO_LINKS) != 0 && there.links == 1;
        return has_one_name ? epio__document_refuse(procedure, EPIO__REASON_COPY_TO_ITSELF) : 0;
    }
    if (result == 0 && there.type >= EPIO_TYPE_FIFO) {
        return epio__document_refuse(procedure, EPIO__REASON_NO_REGULAR_FILE);
    }
    return link_over(procedure, one, to, durable);
}

static int64_t drop_file(epio__procedure *procedure, epio__replacement *one)
{
    int64_t result = 0;
    if (one->slot != NULL && epio__slot_is_own(procedure, one)) {
        epio__delete_name(procedure, one->vfs, one->slot);
    }
    if (one->file != NULL) {
        result = epio__close_file(procedure, one->file);
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
