/* Circular doubly-linked lists through nodes embedded in the linked objects. A list is a node of
 * its own; an empty one, and a node in no list, links to itself or is all zero. */
#ifndef EPIO_LIST_H
#define EPIO_LIST_H

#include "fatal.h"

#include <epio/epio.h>

#define EPIO__CONTAINER(pointer, type, member)                                                     \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void epio__list_init(epio_node *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool epio__list_empty(const epio_node *list)
{
    return list->next == list || list->next == NULL;
}

static inline void epio__list_append(epio_node *list, epio_node *node)
{
    EPIO__ASSERT(list->previous != NULL && list->previous->next == list);
    node->next = list;
    node->previous = list->previous;
    list->previous->next = node;
    list->previous = node;
}

/* A node in no list is left alone. */
static inline void epio__list_remove(epio_node *node)
{
    if (node->next == NULL) {
        return;
    }
    EPIO__ASSERT(node->next->previous == node && node->previous->next == node);
    node->next->previous = node->previous;
    node->previous->next = node->next;
    node->next = NULL;
    node->previous = NULL;
}

/* Moves all of `from` to the end of `to`. */
static inline void epio__list_move_all(epio_node *to, epio_node *from)
{
    if (epio__list_empty(from)) {
        return;
    }
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    epio__list_init(from);
}

#endif
