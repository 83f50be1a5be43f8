/* See write_roads.h. The time of a try includes what the program does meanwhile, which is the same
 * on either road. */
#include "os/write_roads.h"

#include <string.h>

/* Those of the other road that are in flight as a try begins hardly count. */
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

static epio__write_road *find(epio__write_roads *roads, const epio_op *op, bool many)
{
    bool large = epio_op_bytes(op) > LARGE_WRITE;
    for (uint32_t i = 0; i < EPIO__ROADS_REMEMBERED; i++) {
        if (roads->file_systems[i].medium == op->file->medium) {
            return &roads->file_systems[i].roads[many][large];
        }
    }
    uint32_t at = roads->next++ % EPIO__ROADS_REMEMBERED;
    memset(&roads->file_systems[at], 0, sizeof roads->file_systems[at]);
    roads->file_systems[at].medium = op->file->medium;
    return &roads->file_systems[at].roads[many][large];
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

static void note_pace(epio__write_road *road)
{
    uint64_t *pace = &road->pace[road->trying - 1];
    uint64_t latest = mean_without_pauses(road->paces);
    *pace = *pace != 0 ? (3 * *pace + latest) / 4 : latest;
}

/* What differs little is not worth leaving the likely road. */
static bool other_is_quicker(const epio__write_road *road)
{
    return road->pace[1] < road->pace[0] - road->pace[0] / 8;
}

static void settle(epio__write_road *road)
{
    road->by_other = other_is_quicker(road);
    bool same = road->by_other == road->was_by_other && road->between != 0;
    uint32_t more = road->between < MOST_BETWEEN_TRIES ? 4 * road->between : road->between;
    road->between = same ? more : FEWEST_BETWEEN_TRIES;
    road->was_by_other = road->by_other;
    road->left = road->between;
}

/* Both roads are tried in turn. */
static void decide(epio__write_road *road)
{
    uint64_t now = epio__monotonic_time();
    if (road->trying != 0) {
        insert(road->paces, road->part++, (now - road->begun) * PACE_UNIT / road->amount + 1);
    }
    road->begun = now;
    road->amount = 0;
    road->left = WRITES_OF_A_PART;
    if (road->trying != 0 && road->part != EPIO__PARTS_OF_A_TRY) {
        return;
    }
    if (road->trying != 0) {
        note_pace(road);
    }
    road->part = 0;
    road->trying = (road->trying + 1) % 3;
    road->by_other = road->trying == 2;
    if (road->trying == 0) {
        settle(road);
    }
}

bool epio__write_roads_behind(epio__write_roads *roads, const epio_op *op, bool many)
{
    epio__write_road *road = find(roads, op, many);
    if (road->left == 0) {
        decide(road);
    }
    road->left--;
    road->amount += epio_op_bytes(op) + WRITE_COST;
    return road->by_other != many;
}
