/* See kinds.h. */
#include "kinds.h"

#include "fatal.h"

#define ATTRIBUTES(kind, name, attributes) [EPIO_KIND_##kind] = (attributes),
#define USER(n)                                                                                    \
    [EPIO_KIND_USER + (n)] =                                                                       \
        EPIO_KIND_USER + (n) < EPIO_KIND_USER_OPENS ? EPIO__KIND_ON_FILE : EPIO__KIND_OPENS
#define USER4(n) USER(n), USER((n) + 1), USER((n) + 2), USER((n) + 3)
#define USER16(n) USER4(n), USER4((n) + 4), USER4((n) + 8), USER4((n) + 12)
#define USER64(n) USER16(n), USER16((n) + 16), USER16((n) + 32), USER16((n) + 48)

const uint32_t epio__kind_attributes[UINT8_MAX + 1] = {EPIO__KINDS(ATTRIBUTES) USER64(0),
                                                       USER64(64)};

_Static_assert(EPIO_KIND_USER == 128, "of 256 kinds half are for VFSes outside");

#define NAME(kind, name, attributes) [EPIO_KIND_##kind] = (name),

const char *epio_kind_name(uint32_t kind)
{
    static const char *const names[EPIO_KIND_COUNT] = {EPIO__KINDS(NAME)};
    if (kind >= EPIO_KIND_USER && kind <= UINT8_MAX) {
        return "user";
    }
    return kind < EPIO_KIND_COUNT ? names[kind] : "?";
}

const char *epio_op_path(const epio_op *op)
{
    epio__require(op, "epio_op_path", "the op is NULL");
    /* The ends of a save have a path that is no user's. */
    bool ends = op->kind == EPIO_KIND_SAVE_COMMIT || op->kind == EPIO_KIND_SAVE_ABANDON;
    bool has = epio__op_is(op, EPIO__KIND_ON_PATH) || op->kind == EPIO_KIND_NAME_TEMPORARY;
    return has && !ends ? op->arguments.path.path : NULL;
}
