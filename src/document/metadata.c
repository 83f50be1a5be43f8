/* See metadata.h. */
#include "document/metadata.h"

#include "document/replacement.h"

#include <stdlib.h>
#include <string.h>

/* ---- Owner ---- */

static bool owner_differs(const epio_info *old, const epio_info *made)
{
    return (old->known & made->known & EPIO_INFO_OWNER) != 0 && old->user != made->user;
}

static bool group_differs(const epio_info *old, const epio_info *made)
{
    return (old->known & made->known & EPIO_INFO_OWNER) != 0 && old->group != made->group;
}

int64_t epio__take_owner(epio__procedure *procedure, const epio_info *old, epio_file *file,
                         epio_info *made)
{
    epio_op op = EPIO_OP_INIT;
    if (owner_differs(old, made) &&
        epio__document_perform(procedure, epio_file_set_owner(&op, file, old->user, old->group)) ==
            0) {
        made->user = old->user;
        made->group = old->group;
    }
    if (group_differs(old, made) &&
        epio__document_perform(procedure,
                               epio_file_set_owner(&op, file, EPIO_OWNER_KEEP, old->group)) == 0) {
        made->group = old->group;
    }
    bool lost = owner_differs(old, made) || group_differs(old, made);
    return lost && epio__procedure_stopped(procedure) ? EPIO_ECANCELED
           : lost                                     ? EPIO_SAVED_OWNER_LOST
                                                      : 0;
}

/* ---- Permissions ---- */

/* Others become what every user is who was, or is now, the owner or of the group. */
static uint32_t mode_for(const epio_info *old, const epio_info *made, bool acl_lost)
{
    uint32_t mode = old->mode;
    uint32_t owner = mode >> 6 & 7u;
    uint32_t group = mode >> 3 & 7u;
    uint32_t others = mode & 7u;
    bool user_lost = owner_differs(old, made);
    bool group_lost = group_differs(old, made);
    if (acl_lost) { /* the group's bits were a mask, and more than those of some */
        group = 0;
        others = 0;
    }
    if (user_lost) {
        group &= owner;
        others &= owner;
    }
    if (group_lost) {
        others &= group;
        group = others;
    }
    mode = user_lost || group_lost || acl_lost ? mode & 01000u : mode & 07000u;
    return mode | owner << 6 | group << 3 | others;
}

/* ---- Extended attributes ---- */

/* Names, each with its NUL; or a value. */
typedef struct text {
    char *bytes;
    size_t len;
    size_t room;
} text;

static bool make_room(text *one, size_t room)
{
    if (room <= one->room) {
        return true;
    }
    char *bytes = realloc(one->bytes, room);
    if (bytes != NULL) {
        one->bytes = bytes;
        one->room = room;
    }
    return bytes != NULL;
}

/* Of the file, or of the path if that is NULL; `name` NULL: the list of names. */
static epio_op *prepare(epio_op *op, epio_vfs *vfs, const char *path, epio_file *file,
                        const char *name, const text *into)
{
    if (file != NULL) {
        return name == NULL ? epio_file_list_xattrs(op, file, into->bytes, into->room)
                            : epio_file_get_xattr(op, file, name, into->bytes, into->room);
    }
    return name == NULL
               ? epio_list_xattrs(op, vfs, path, into->bytes, into->room, EPIO_XATTR_NOFOLLOW)
               : epio_get_xattr(op, vfs, path, name, into->bytes, into->room, EPIO_XATTR_NOFOLLOW);
}

/* Others may make it longer meanwhile. */
static int64_t fetch(epio__procedure *procedure, epio_vfs *vfs, const char *path, epio_file *file,
                     const char *name, text *into)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = EPIO_ERANGE;
    into->len = 0;
    for (size_t room = 1024; result == EPIO_ERANGE && room <= ((size_t)1 << 24); room *= 4) {
        result = EPIO_ENOMEM;
        if (make_room(into, room)) {
            result = epio__document_perform(procedure, prepare(&op, vfs, path, file, name, into));
        }
    }
    into->len = result > 0 ? (size_t)result : 0;
    return result == EPIO_ENOTSUP && name == NULL ? 0 : result;
}

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool is_acl(const char *name)
{
    return strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.nfs4_acl") == 0 ||
           strcmp(name, "system.richacl") == 0;
}

/* What the kernel keeps for itself about the bytes is not the new file's: capabilities are lost by
 * a write, too. */
static bool is_taken(const char *name)
{
    return !begins_with(name, "security.") || strcmp(name, "security.selinux") == 0 ||
           begins_with(name, "security.SMACK64");
}

static bool is_seen_by_users(const char *name)
{
    bool system = begins_with(name, "system.") && !is_acl(name);
    return !system && !begins_with(name, "security.") && !begins_with(name, "trusted.");
}

static const char *next_name(const text *names, const char *name)
{
    const char *next = name == NULL ? names->bytes : name + strlen(name) + 1;
    return names->len == 0 || next >= names->bytes + names->len ? NULL : next;
}

static bool has_name(const text *names, const char *wanted)
{
    const char *name = NULL;
    while ((name = next_name(names, name)) != NULL) {
        if (strcmp(name, wanted) == 0) {
            return true;
        }
    }
    return false;
}

typedef struct taking {
    epio__procedure *procedure;
    epio_file *source; /* the old one; NULL: what is at the path */
    epio_vfs *vfs;
    const char *path;
    epio_file *file;
    bool acl_is_valid; /* for owner and group as they are now */
    bool acl_lost;
    bool lost;
    bool changed_acl; /* and with it the permissions */
    text value;
} taking;

static void take_attribute(taking *one, const char *name)
{
    epio_op op = EPIO_OP_INIT;
    bool acl = is_acl(name);
    int64_t result = EPIO_EPERM;
    if (!is_taken(name)) {
        return;
    }
    if (!acl || one->acl_is_valid) {
        result = fetch(one->procedure, one->vfs, one->path, one->source, name, &one->value);
    }
    if (result >= 0) {
        result = epio__document_perform(
            one->procedure,
            epio_file_set_xattr(&op, one->file, name, one->value.bytes, one->value.len, 0));
    }
    if (result < 0 && result != EPIO_ENODATA) {
        one->lost = one->lost || is_seen_by_users(name);
        one->acl_lost = one->acl_lost || acl;
    }
    one->changed_acl = one->changed_acl || acl;
}

/* A directory may give its files an ACL, which the old one has not. */
static void drop_acl(taking *one, const text *old, const text *made)
{
    const char *name = NULL;
    while ((name = next_name(made, name)) != NULL) {
        if (is_acl(name) && (!has_name(old, name) || !one->acl_is_valid)) {
            epio_op op = EPIO_OP_INIT;
            int64_t result = epio__document_perform(one->procedure,
                                                    epio_file_remove_xattr(&op, one->file, name));
            one->acl_lost = one->acl_lost || result < 0;
            one->lost = one->lost || result < 0;
            one->changed_acl = true;
        }
    }
}

static void take_attributes(taking *one)
{
    text old = {0};
    text made = {0};
    const char *name = NULL;
    int64_t result = fetch(one->procedure, one->vfs, one->path, one->source, NULL, &old);
    one->lost = result < 0;
    (void)fetch(one->procedure, NULL, NULL, one->file, NULL, &made);
    drop_acl(one, &old, &made);
    while ((name = next_name(&old, name)) != NULL) {
        take_attribute(one, name);
    }
    free(old.bytes);
    free(made.bytes);
    free(one->value.bytes);
}

/* ---- The whole ---- */

static int64_t take(taking *one, const epio_info *old, epio_info *made)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result = 0;
    one->acl_is_valid = !owner_differs(old, made) && !group_differs(old, made);
    if (one->path != NULL || one->source != NULL) {
        take_attributes(one);
    }
    if ((old->known & EPIO_INFO_MODE) != 0) {
        uint32_t mode = mode_for(old, made, one->acl_lost);
        if (mode != made->mode || one->changed_acl) {
            result =
                epio__document_perform(one->procedure, epio_file_set_mode(&op, one->file, mode));
        }
        made->mode = result == 0 ? mode : made->mode;
    }
    if (result == 0 && epio__procedure_stopped(one->procedure)) {
        result = EPIO_ECANCELED;
    }
    return result < 0 ? result : one->lost ? EPIO_SAVED_METADATA_LOST : 0;
}

int64_t epio__take_metadata(epio__procedure *procedure, epio_vfs *vfs, const char *path,
                            const epio_info *old, epio_file *file, epio_info *made)
{
    taking one = {.procedure = procedure, .vfs = vfs, .path = path, .file = file};
    return take(&one, old, made);
}

int64_t epio__take_metadata_of(epio__procedure *procedure, epio_file *source, const epio_info *old,
                               epio_file *file, epio_info *made)
{
    taking one = {.procedure = procedure, .source = source, .file = file};
    return take(&one, old, made);
}
