/* See write_routes.h. The time of a try includes what the program does meanwhile, which is the same
 * on either route. */
#include "os/write_routes.h"

#include <string.h>

/* Those of the other route that are in flight as a try begins hardly count. */
#define WRITES_OF_A_PART 32u
/* At the greatest rate some milliseconds, in which other programs have their turn, too. */
#define WRITES_OF_A_TRY (EPIO__PARTS_OF_A_TRY * WRITES_OF_A_PART)

/* How many follow: few after the first tries and after the answer has changed, more each time that
 * it has not. */
#define FEWEST_BETWEEN_TRIES (8u * WRITES_OF_A_TRY)
#define MOST_BETWEEN_TRIES (256u * WRITES_OF_A_TRY)

/* A part takes no longer than so many times the median: else the program has paused. */
#define PAUSE 4u

/* Above, the copy takes longer than all else. */
#define LARGE_WRITE (UINT64_C(16) << 10)

/* What a write costs beside its copy, in bytes of copying. */
#define WRITE_COST 4096u

/* Paces are nanoseconds per so much of an amount, so that the quotient has enough digits. */
#define PACE_UNIT 65536u

static epio__write_route *find(epio__write_routes *routes, const epio_op *op, bool many)
{
    bool large = epio_op_bytes(op) > LARGE_WRITE;
    for (uint32_t i = 0; i < EPIO__ROUTES_REMEMBERED; i++) {
        if (routes->file_systems[i].medium == op->file->medium) {
            return &routes->file_systems[i].routes[many][large];
        }
    }
    uint32_t at = routes->next++ % EPIO__ROUTES_REMEMBERED;
    memset(&routes->file_systems[at], 0, sizeof routes->file_systems[at]);
    routes->file_systems[at].medium = op->file->medium;
    return &routes->file_systems[at].routes[many][large];
}

/* Sorts. */
static void insert(uint64_t *paces, uint32_t count, uint64_t pace)
{
    uint32_t at = count;
    for (; at != 0 && paces[at - 1] > pace; at--) {
        paces[at] = paces[at - 1];
    }
    paces[at] = pace;
}

/* Not the best: writes come in bursts, whose best time says little. */
static uint64_t mean_without_pauses(const uint64_t *paces)
{
    uint64_t most = PAUSE * paces[EPIO__PARTS_OF_A_TRY / 2];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < EPIO__PARTS_OF_A_TRY; i++) {
        sum += paces[i] < most ? paces[i] : most;
    }
    return sum / EPIO__PARTS_OF_A_TRY;
}

static void note_pace(epio__write_route *route)
{
    uint64_t *pace = &route->pace[route->trying - 1];
    uint64_t latest = mean_without_pauses(route->paces);
    *pace = *pace != 0 ? (3 * *pace + latest) / 4 : latest;
}

/* What differs little is not worth leaving the likely route. */
static bool other_is_quicker(const epio__write_route *route)
{
    return route->pace[1] < route->pace[0] - route->pace[0] / 8;
}

static void settle(epio__write_route *route)
{
    route->by_other = other_is_quicker(route);
    bool same = route->by_other == route->was_by_other && route->between != 0;
    uint32_t more = route->between < MOST_BETWEEN_TRIES ? 4 * route->between : route->between;
    route->between = same ? more : FEWEST_BETWEEN_TRIES;
    route->was_by_other = route->by_other;
    route->left = route->between;
}

/* Both routes are tried in turn. */
static void decide(epio__write_route *route)
{
    uint64_t now = epio__monotonic_time();
    if (route->trying != 0) {
        insert(route->paces, route->part++, (now - route->begun) * PACE_UNIT / route->amount + 1);
    }
    route->begun = now;
    route->amount = 0;
    route->left = WRITES_OF_A_PART;
    if (route->trying != 0 && route->part != EPIO__PARTS_OF_A_TRY) {
        return;
    }
    if (route->trying != 0) {
        note_pace(route);
    }
    route->part = 0;
    route->trying = (route->trying + 1) % 3;
    route->by_other = route->trying == 2;
    if (route->trying == 0) {
        settle(route);
    }
}

bool epio__write_routes_behind(epio__write_routes *routes, const epio_op *op, bool many)
{
    epio__write_route *route = find(routes, op, many);
    if (route->left == 0) {
        decide(route);
    }
    route->left--;
    route->amount += epio_op_bytes(op) + WRITE_COST;
    return route->by_other != many;
}
