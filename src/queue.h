/* Queues of ops, singly linked: an op is in at most one, and leaves it at the front. */
#ifndef EPIO_QUEUE_H
#define EPIO_QUEUE_H

#include "list.h"

/* Ops in order of arrival, linked by op->queue.next. */
typedef struct epio__queue {
    epio_node *first;
    epio_node **end; /* where the address of the next op goes */
} epio__queue;

static inline epio_op *epio__op_of_queue(epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, queue);
}

static inline void epio__queue_init(epio__queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

static inline void epio__queue_push(epio__queue *queue, epio_op *op)
{
    op->queue.next = NULL;
    *queue->end = &op->queue;
    queue->end = &op->queue.next;
}

static inline void epio__queue_push_front(epio__queue *queue, epio_op *op)
{
    op->queue.next = queue->first;
    if (queue->first == NULL) {
        queue->end = &op->queue.next;
    }
    queue->first = &op->queue;
}

/* Moves all of `from` to the end of `to`. */
static inline void epio__queue_append(epio__queue *to, epio__queue *from)
{
    if (from->first != NULL) {
        *to->end = from->first;
        to->end = from->end;
        epio__queue_init(from);
    }
}

/* Moves all of `from` before the first of `to`. */
static inline void epio__queue_prepend(epio__queue *to, epio__queue *from)
{
    if (from->first != NULL) {
        *from->end = to->first;
        to->end = to->first != NULL ? to->end : from->end;
        to->first = from->first;
        epio__queue_init(from);
    }
}

/* Takes the first; there is one. */
static inline epio_op *epio__queue_pop(epio__queue *queue)
{
    epio_node *node = queue->first;
    queue->first = node->next;
    if (queue->first == NULL) {
        queue->end = &queue->first;
    }
    node->next = NULL;
    return epio__op_of_queue(node);
}

#endif
