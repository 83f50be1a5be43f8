/* Which route a buffered write takes: to a thread of the system, through the backend, or to a
 * worker or the owner, as the core decides. Tried and remembered, for each file system and for few
 * or many writes in flight, small or large: the answer depends on what else the machine does. */
#ifndef EPIO_WRITE_ROUTES_H
#define EPIO_WRITE_ROUTES_H

#include "platform.h"

/* From so many in flight on, threads take one after the other without sleeping in between. */
#define EPIO__MANY_WRITES 4u

#define EPIO__ROUTES_REMEMBERED 4u

/* Parts of a try that are timed apart. */
#define EPIO__PARTS_OF_A_TRY 32u

/* Writes of one sort. All zero: nothing is known yet. */
typedef struct epio__write_route {
    uint32_t left;     /* writes until the next decision */
    uint32_t trying;   /* their time is taken: 1 for the likely route, 2 for the other; 0: not */
    bool by_other;     /* they take the other route than the likely one */
    bool was_by_other; /* so did those after the tries before */
    uint32_t between;  /* writes from tries to tries */
    uint64_t pace[2];  /* time per amount of either route, moving average over tries; 0: none yet */

    /* The present try. */
    uint32_t part;
    uint64_t begun;  /* when the first write of the part was submitted */
    uint64_t amount; /* bytes of the part, and a cost for each write */
    uint64_t paces[EPIO__PARTS_OF_A_TRY];
} epio__write_route;

typedef struct epio__write_routes {
    struct {
        uint64_t medium;
        epio__write_route routes[2][2]; /* [many][large] */
    } file_systems[EPIO__ROUTES_REMEMBERED];
    uint32_t next; /* to be forgotten */
} epio__write_routes;

/* Should this write go to the backend? `many`: so many are in flight, and that is likely to be
 * quicker; if few are, the other. */
bool epio__write_routes_behind(epio__write_routes *routes, const epio_op *op, bool many);

#endif
