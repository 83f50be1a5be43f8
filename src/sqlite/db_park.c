/* Ops that found another program's lock: they wait here, on no thread and in no queue, until it is
 * time to try again. Those that are performed are the core's meanwhile (EPIO_RETRY). */
#include "sqlite/db_queue.h"

static bool has(const epio_op *op, uint64_t state)
{
    return (op->arguments.words[EPIO__WORD_STATE] & state) != 0;
}

bool epio__db_park(epio__database *root, epio_op *op)
{
    if (has(op, EPIO__OP_CANCELLED)) {
        return false;
    }
    epio__db_op_put(&root->parked, op);
    op->arguments.words[EPIO__WORD_STATE] |= EPIO__OP_PARKED;
    epio__db_pool_set_timer(root);
    return true;
}

bool epio__db_is_parked(const epio_op *op)
{
    return has(op, EPIO__OP_PARKED);
}

static void take(epio_op *op)
{
    op->arguments.words[EPIO__WORD_STATE] &= ~(uint64_t)EPIO__OP_PARKED;
    epio__db_op_take(op);
}

void epio__db_unpark(epio__database *root, epio_op *op)
{
    take(op);
    if (op->kind == EPIO__DB_OPEN) {
        root->state = EPIO__DB_NEW;
    }
}

void epio__db_park_end(epio__database *root, const void *object)
{
    epio_node *next;
    for (epio_node *node = root->parked.next; node != &root->parked; node = next) {
        epio_op *op = EPIO_CONTAINER(node, epio_op, queue);
        next = node->next;
        if (epio__db_word_pointer(op, EPIO__WORD_OBJECT) == object) {
            epio__db_unpark(root, op);
            epio_complete(op, EPIO_ECANCELED);
        }
    }
}

uint64_t epio__db_park_due(const epio__database *root)
{
    uint64_t due = EPIO_FOREVER;
    for (const epio_node *node = root->parked.next; node != &root->parked; node = node->next) {
        const epio_op *op = EPIO_CONTAINER(node, const epio_op, queue);
        due = op->due < due ? op->due : due;
    }
    return due;
}

void epio__db_park_look(epio__database *root)
{
    uint64_t now = epio_clock_monotonic();
    epio_node *next;
    for (epio_node *node = root->parked.next; node != &root->parked; node = next) {
        epio_op *op = EPIO_CONTAINER(node, epio_op, queue);
        int64_t result = 0;
        next = node->next;
        if (op->due <= now) {
            take(op);
            if (epio__db_arrive_again(root, op, &result)) {
                epio_complete(op, result);
            }
        }
    }
}
