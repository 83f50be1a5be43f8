/* epio/locks.h: locks for the files of VFSes outside epio. Allocates their nodes and holders. */
#include <epio/locks.h>

#include "fatal.h"
#include "locks/lock.h"

#include <stdlib.h>

int epio_lock_node_create(epio_lock_node **node)
{
    if (node == NULL) {
        return EPIO_EINVAL;
    }
    epio_lock_node *created = calloc(1, sizeof *created);
    if (created == NULL) {
        return EPIO_ENOMEM;
    }
    epio__lock_node_init(created);
    *node = created;
    return 0;
}

void epio_lock_node_destroy(epio_lock_node *node)
{
    if (node != NULL) {
        epio__lock_node_destroy(node);
        free(node);
    }
}

int epio_lock_holder_create(epio_lock_holder **holder, epio_lock_node *node, const epio_file *file)
{
    if (holder == NULL || node == NULL || file == NULL) {
        return EPIO_EINVAL;
    }
    epio_lock_holder *created = calloc(1, sizeof *created);
    if (created == NULL) {
        return EPIO_ENOMEM;
    }
    epio__lock_holder_init(created, node, file, NULL);
    *holder = created;
    return 0;
}

void epio_lock_holder_destroy(epio_lock_holder *holder)
{
    if (holder != NULL) {
        epio__lock_release_all(holder);
        free(holder);
    }
}

uint32_t epio_lock_holder_level(const epio_lock_holder *holder)
{
    epio__require(holder, "epio_lock_holder_level", "the holder is NULL");
    return epio__lock_level_of(holder);
}

static void check(const epio_lock_holder *holder, const epio_op *op, const char *function)
{
    epio__require(holder, function, "the holder is NULL");
    epio__require(op, function, "the op is NULL");
}

int64_t epio_lock_holder_perform(epio_lock_holder *holder, epio_op *op)
{
    check(holder, op, "epio_lock_holder_perform");
    if (!epio__op_is(op, EPIO__KIND_LOCKS)) {
        epio__fatal("epio_lock_holder_perform", "the op is about no lock");
    }
    return epio__lock_perform(holder, op);
}

#if EPIO_ASYNC

static void check_lock(const epio_op *op, const char *function)
{
    epio__require(op, function, "the op is NULL");
    if (!epio__lock_is_request(op)) {
        epio__fatal(function, "the op is no EPIO_KIND_LOCK or EPIO_KIND_LOCK_RANGE");
    }
}

void epio_lock_holder_submit(epio_lock_holder *holder, epio_op *op)
{
    check(holder, op, "epio_lock_holder_submit");
    check_lock(op, "epio_lock_holder_submit");
    epio__lock_submit(holder, op);
}

void epio_lock_holder_cancel(epio_op *op)
{
    check_lock(op, "epio_lock_holder_cancel");
    epio__lock_cancel(op);
}

void epio_lock_holder_resumed(epio_op *op)
{
    check_lock(op, "epio_lock_holder_resumed");
    epio__lock_resumed(op);
}

void epio_lock_holder_alarm(epio_op *op)
{
    check_lock(op, "epio_lock_holder_alarm");
    epio__lock_alarm(op);
}

#endif
