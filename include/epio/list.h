/* For those who write a VFS: circular doubly-linked lists through epio_node fields, as an op has
 * one in `queue`. A list is a node of its own; an empty one, and a node in no list, links to itself
 * or is all zero. Nothing here locks. */
#ifndef EPIO_PUBLIC_LIST_H
#define EPIO_PUBLIC_LIST_H

#include <epio/op.h>

#ifndef EPIO_LIST_ASSERT
#define EPIO_LIST_ASSERT(condition) ((void)0)
#endif

/* The struct of which `pointer` is the member. */
#define EPIO_CONTAINER(pointer, type, member)                                                      \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void epio_list_init(epio_node *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool epio_list_empty(const epio_node *list)
{
    return list->next == list || list->next == NULL;
}

static inline void epio_list_append(epio_node *list, epio_node *node)
{
    EPIO_LIST_ASSERT(list->previous != NULL && list->previous->next == list);
    node->next = list;
    node->previous = list->previous;
    list->previous->next = node;
    list->previous = node;
}

/* A node in no list is left alone. */
static inline void epio_list_remove(epio_node *node)
{
    if (node->next == NULL) {
        return;
    }
    EPIO_LIST_ASSERT(node->next->previous == node && node->previous->next == node);
    node->next->previous = node->previous;
    node->previous->next = node->next;
    node->next = NULL;
    node->previous = NULL;
}

/* Moves all of `from` to the end of `to`. */
static inline void epio_list_move_all(epio_node *to, epio_node *from)
{
    if (epio_list_empty(from)) {
        return;
    }
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    epio_list_init(from);
}

#endif
