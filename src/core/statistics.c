/* epio_loop_get_stats: what the loop's counters and lists say. They belong to the owner; what would
 * cost every cached read something is derived here. */
#include "core/loop.h"
#include "core/struct_size.h"
#include "fatal.h"

static uint64_t length_of(const epio_node *list)
{
    uint64_t count = 0;
    for (const epio_node *node = list->next; node != list; node = node->next) {
        count++;
    }
    return count;
}

static uint64_t length_of_queue(const epio__queue *queue)
{
    uint64_t count = 0;
    for (const epio_node *node = queue->first; node != NULL; node = node->next) {
        count++;
    }
    return count;
}

static void fill_routes(epio_loop_stats *statistics, const epio_loop *loop)
{
    const uint64_t *routes = loop->counters.routes;
    statistics->delivered = loop->delivered;
    statistics->by_backend = routes[EPIO__ROUTE_BACKEND];
    statistics->by_workers = routes[EPIO__ROUTE_WORKER];
    statistics->by_owner = routes[EPIO__ROUTE_OWNER];
    statistics->by_nobody = routes[EPIO__ROUTE_NONE];
    /* Fast-path reads from memory are counted nowhere else. */
    statistics->at_once = statistics->delivered - statistics->by_backend - statistics->by_workers -
                          statistics->by_owner - statistics->by_nobody;
}

static void fill_lengths(epio_loop_stats *statistics, const epio_loop *loop)
{
    statistics->in_flight = epio_loop_pending(loop);
    statistics->ready_now = length_of_queue(&loop->ready) + length_of_queue(&loop->due);
    statistics->deferred_now = length_of(&loop->deferred);
    statistics->to_read_now = loop->collected_count;
    statistics->to_offload_now = loop->to_offload_count;
    statistics->at_backend_now = loop->pending_events;
    statistics->at_workers_now = loop->at_workers;
    /* Only its mutexes change. */
    statistics->threads_now = epio__workers_count_threads((epio__workers *)&loop->workers);
}

/* Of the first version. */
#define FIRST_SIZE EPIO__SIZE_UP_TO(epio_loop_stats, threads_now)

int epio_loop_get_stats(const epio_loop *loop, epio_loop_stats *given)
{
    epio_loop_stats now = {0};
    if (loop == NULL || given == NULL || given->size < FIRST_SIZE) {
        return EPIO_EINVAL;
    }
    epio__loop_check_lives(loop, "epio_loop_get_stats");
    if (!epio__loop_is_owner(loop)) {
        epio__fatal("epio_loop_get_stats", "the loop belongs to another thread, or to none");
    }
    const epio__counters *counters = &loop->counters;
    fill_routes(&now, loop);
    now.in_place = counters->in_place;
    now.flushes = counters->flushes;
    now.syncs = counters->syncs;
    now.deferred = counters->deferred;
    now.batches = counters->batches;
    now.sleeps = counters->sleeps;
    now.wakes = epio__load_relaxed_size(&counters->wakes);
    fill_lengths(&now, loop);
    (void)epio_result_give(&now, sizeof now, FIRST_SIZE, given);
    return 0;
}
