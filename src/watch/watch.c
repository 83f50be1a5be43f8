/* See watch.h.
 *
 * Where ops wait there is nothing that the first could have: a report gives it what it has, before
 * it unlocks the mutex. That ends the op: it leaves the queue with its outcome, and its own thread
 * is notified. A cancel, a deadline or a close ends only what is still in the queue. So an op that
 * is notified always ends by that, and an event has one reader. */
#include "watch/watch.h"

#include "core/event.h"
#include "list.h"
#include "packed_entry.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of events that wait to be read. */
#define MOST_BYTES ((size_t)4 << 20)

/* Memory that an empty watch keeps, and the first that it takes. */
#define KEPT_BYTES ((size_t)64 << 10)
#define FIRST_BYTES ((size_t)1 << 10)

/* Between two tries of a worker, which must not wait. */
#define FIRST_DELAY_NS UINT32_C(1000000)
#define LAST_DELAY_NS UINT32_C(100000000)

#define NO_EVENT SIZE_MAX

bool epio__watch_is_inherited(const epio__watch *watch)
{
    return watch->generation != epio__process_generation();
}

epio__watch *epio__watch_create(epio_vfs *vfs, uint32_t flags)
{
    epio__watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    epio_file_init(&watch->base, vfs, 0, EPIO_FILE_WATCH);
    watch->recursive = (flags & EPIO_WATCH_RECURSIVE) != 0;
    watch->generation = epio__process_generation();
    watch->last = NO_EVENT;
    epio__mutex_init(&watch->mutex);
    epio_list_init(&watch->waiting);
    return watch;
}

/* ---- Packed events ---- */

static void put(unsigned char *to, const epio_event *event, const char *name, const char *from)
{
    memset(to, 0, event->size);
    memcpy(to, event, sizeof *event);
    to += sizeof *event;
    memcpy(to, name, event->name_len);
    memcpy(to + event->name_len + 1, from, event->from_len);
}

static void put_bare(unsigned char *to, uint8_t kind, uint8_t type)
{
    const epio_event event = {.size = (uint32_t)epio__event_size(0, 0), .kind = kind, .type = type};
    put(to, &event, "", "");
}

static const epio_event *event_at(const epio__watch *watch, size_t at)
{
    return (const epio_event *)(const void *)(watch->events + at);
}

/* ---- What is not read yet ---- */

static void forget_all(epio__watch *watch)
{
    watch->first = 0;
    watch->len = 0;
    watch->last = NO_EVENT;
    if (watch->capacity > KEPT_BYTES) {
        free(watch->events);
        watch->events = NULL;
        watch->capacity = 0;
    }
}

static void move_to_front(epio__watch *watch)
{
    memmove(watch->events, watch->events + watch->first, watch->len);
    watch->first = 0;
}

static bool grow(epio__watch *watch, size_t size)
{
    size_t capacity = watch->capacity != 0 ? watch->capacity * 2 : FIRST_BYTES;
    while (capacity < watch->len + size) {
        capacity *= 2;
    }
    unsigned char *events = malloc(capacity);
    if (events == NULL) {
        return false;
    }
    if (watch->len != 0) {
        memcpy(events, watch->events + watch->first, watch->len);
    }
    free(watch->events);
    watch->events = events;
    watch->first = 0;
    watch->capacity = capacity;
    return true;
}

/* Room for `size` bytes behind the others, of which one is the latest then. Moving what is less
 * than half costs no more than putting it there did. */
static bool make_room(epio__watch *watch, size_t size)
{
    if (size > MOST_BYTES - watch->len) {
        return false;
    }
    if (size <= watch->capacity - watch->first - watch->len) {
        return true;
    }
    bool fits = size <= watch->capacity - watch->len;
    if (!(fits && watch->first >= watch->len) && grow(watch, size)) {
        return true;
    }
    if (fits) {
        move_to_front(watch);
    }
    return fits;
}

/* Another change of the same bytes or attributes adds nothing. */
static bool repeats_last(const epio__watch *watch, const epio_event *event, const char *name)
{
    if (watch->last == NO_EVENT ||
        (event->kind != EPIO_EVENT_CHANGED && event->kind != EPIO_EVENT_ATTRIBUTES)) {
        return false;
    }
    const epio_event *last = event_at(watch, watch->last);
    return last->kind == event->kind && last->name_len == event->name_len &&
           memcmp(last + 1, name, event->name_len) == 0;
}

/* Until the reader knows that events are lost, all others are, too: it looks at the tree only
 * after that. */
static void add(epio__watch *watch, uint32_t kind, uint32_t type, const char *name,
                const char *from)
{
    size_t name_len = strlen(name);
    size_t from_len = strlen(from);
    if (watch->overflowed || watch->ended) {
        return;
    }
    if (kind == EPIO_EVENT_OVERFLOW || name_len > MOST_BYTES || from_len > MOST_BYTES) {
        watch->overflowed = true;
        return;
    }
    const epio_event event = {.size = (uint32_t)epio__event_size(name_len, from_len),
                              .name_len = (uint32_t)name_len,
                              .from_len = (uint32_t)from_len,
                              .kind = (uint8_t)kind,
                              .type = (uint8_t)type};
    if (repeats_last(watch, &event, name)) {
        return;
    }
    if (!make_room(watch, event.size)) {
        watch->overflowed = true;
        return;
    }
    watch->last = watch->first + watch->len;
    put(watch->events + watch->last, &event, name, from);
    watch->len += event.size;
}

/* The length of the events that wait and fit. */
static size_t fitting(const epio__watch *watch, uint64_t room)
{
    size_t len = 0;
    while (len < watch->len && event_at(watch, watch->first + len)->size <= room - len) {
        len += event_at(watch, watch->first + len)->size;
    }
    return len;
}

/* Fills an op's buffer: its result, EPIO_EPENDING if there is nothing. Overflow and end need no
 * memory until then. */
static int64_t take(epio__watch *watch, const epio_op *op)
{
    unsigned char *buffer = op->arguments.events.buffer;
    uint64_t room = op->arguments.events.len;
    size_t filled = fitting(watch, room);
    bool all = filled == watch->len;
    if (filled != 0) {
        memcpy(buffer, watch->events + watch->first, filled);
        watch->first += filled;
        watch->len -= filled;
        if (watch->len == 0) {
            forget_all(watch);
        }
    }
    if (all && watch->overflowed && room - filled >= epio__event_size(0, 0)) {
        put_bare(buffer + filled, EPIO_EVENT_OVERFLOW, EPIO_TYPE_UNKNOWN);
        filled += epio__event_size(0, 0);
        watch->overflowed = false;
    }
    all = all && !watch->overflowed;
    if (all && watch->ended && !watch->end_is_read && room - filled >= epio__event_size(0, 0)) {
        put_bare(buffer + filled, EPIO_EVENT_REMOVED, EPIO_TYPE_DIRECTORY);
        filled += epio__event_size(0, 0);
        watch->end_is_read = true;
    }
    if (filled != 0) {
        return (int64_t)filled;
    }
    if (!all || (watch->ended && !watch->end_is_read)) {
        return EPIO_ERANGE;
    }
    return watch->ended ? 0 : EPIO_EPENDING;
}

/* ---- The ops that wait ---- */

static epio_op *op_of_waiting(epio_node *node)
{
    return EPIO_CONTAINER(node, epio_op, arguments.events.node);
}

/* Takes an op out of the queue, to be notified once the mutex is free. */
static void end(epio_op *op, int64_t outcome, epio_node *notifications)
{
    epio_list_remove(&op->arguments.events.node);
    op->outcome = outcome;
    epio_list_append(notifications, &op->queue);
}

/* Each op may be gone when its call returns. */
static void notify_all(epio_node *notifications)
{
    while (!epio_list_empty(notifications)) {
        epio_op *op = EPIO_CONTAINER(notifications->next, epio_op, queue);
        epio_list_remove(&op->queue);
        op->arguments.events.notify(op);
    }
}

static void serve(epio__watch *watch, epio_node *notifications)
{
    while (!epio_list_empty(&watch->waiting)) {
        epio_op *op = op_of_waiting(watch->waiting.next);
        int64_t outcome = take(watch, op);
        if (outcome == EPIO_EPENDING) {
            return;
        }
        end(op, outcome, notifications);
    }
}

void epio__watch_report(epio__watch *watch, uint32_t kind, uint32_t type, const char *name,
                        const char *from)
{
    epio_node notifications;
    if (epio__watch_is_inherited(watch)) {
        return;
    }
    epio_list_init(&notifications);
    epio__mutex_lock(&watch->mutex);
    add(watch, kind, type, name, from != NULL ? from : "");
    serve(watch, &notifications);
    epio__mutex_unlock(&watch->mutex);
    notify_all(&notifications);
}

void epio__watch_report_end(epio__watch *watch)
{
    epio_node notifications;
    if (epio__watch_is_inherited(watch)) {
        return;
    }
    epio_list_init(&notifications);
    epio__mutex_lock(&watch->mutex);
    watch->ended = true;
    serve(watch, &notifications);
    epio__mutex_unlock(&watch->mutex);
    notify_all(&notifications);
}

/* Gives the op what there is, or lets it wait: EPIO_EPENDING. */
static int64_t begin(epio__watch *watch, epio_op *op)
{
    op->os_error = 0;
    epio__mutex_lock(&watch->mutex);
    int64_t outcome = take(watch, op);
    op->outcome = outcome;
    if (outcome == EPIO_EPENDING) {
        epio_list_append(&watch->waiting, &op->arguments.events.node);
    }
    epio__mutex_unlock(&watch->mutex);
    return outcome;
}

/* False: the op has ended, and is notified. */
static bool withdraw(epio__watch *watch, epio_op *op)
{
    epio__mutex_lock(&watch->mutex);
    bool waits = op->outcome == EPIO_EPENDING;
    if (waits) {
        epio_list_remove(&op->arguments.events.node);
    }
    epio__mutex_unlock(&watch->mutex);
    return waits;
}

/* ---- On this thread ---- */

static void wake_thread(epio_op *op)
{
    epio__event_set(op->waiter);
}

/* The op waits, until it has ended: its outcome. */
static int64_t wait_for(epio__watch *watch, epio_op *op, epio__event *event)
{
    uint64_t deadline = op->timeout_ns != 0 ? op->timeout_ns : EPIO_FOREVER;
    if (!epio__event_wait(event, deadline)) {
        if (withdraw(watch, op)) {
            return EPIO_ETIMEDOUT;
        }
        (void)epio__event_wait(event, EPIO_FOREVER);
    }
    return op->outcome;
}

static int64_t wait_here(epio__watch *watch, epio_op *op)
{
    epio__event event;
    epio__event_init(&event);
    op->waiter = &event;
    op->arguments.events.notify = wake_thread;
    int64_t outcome = begin(watch, op);
    if (outcome == EPIO_EPENDING) {
        outcome = wait_for(watch, op, &event);
    }
    op->waiter = NULL;
    epio__event_destroy(&event);
    return outcome;
}

static int64_t try_to_read(epio__watch *watch, epio_op *op)
{
    uint32_t delay = op->arguments.events.delay_ns;
    epio__mutex_lock(&watch->mutex);
    int64_t outcome = take(watch, op);
    epio__mutex_unlock(&watch->mutex);
    if (outcome != EPIO_EPENDING) {
        op->arguments.events.delay_ns = 0; /* a layer may send it again */
        return outcome;
    }
    delay = delay == 0 ? FIRST_DELAY_NS : delay * 2;
    op->arguments.events.delay_ns = delay > LAST_DELAY_NS ? LAST_DELAY_NS : delay;
    op->due = epio__monotonic_time() + op->arguments.events.delay_ns;
    return EPIO_RETRY;
}

int64_t epio__watch_perform(epio__watch *watch, epio_op *op)
{
    op->os_error = 0;
    if (epio__watch_is_inherited(watch)) {
        return EPIO_EIO;
    }
    if (epio_op_in_flight(op)) {
        return try_to_read(watch, op);
    }
    /* Counted, as an epio_close in another thread may end it and then free the watch. */
    epio__add_size(&watch->performers, 1);
    int64_t outcome = wait_here(watch, op);
    epio__subtract_size(&watch->performers, 1);
    return outcome;
}

static void end_all(epio__watch *watch)
{
    epio_node notifications;
    epio_list_init(&notifications);
    epio__mutex_lock(&watch->mutex);
    while (!epio_list_empty(&watch->waiting)) {
        end(op_of_waiting(watch->waiting.next), EPIO_ECANCELED, &notifications);
    }
    epio__mutex_unlock(&watch->mutex);
    notify_all(&notifications);
    while (epio__load_size(&watch->performers) != 0) {
        epio__thread_yield(); /* they were notified */
    }
}

void epio__watch_free(epio__watch *watch)
{
    if (!epio__watch_is_inherited(watch)) {
        end_all(watch);
        epio__mutex_destroy(&watch->mutex);
    }
    epio_file_release(&watch->base);
    free(watch->events);
    epio__file_free(watch);
}

/* ---- On a loop ---- */

#if EPIO_ASYNC

void epio__watch_submit(epio__watch *watch, epio_op *op)
{
    op->arguments.events.notify = epio_resume;
    int64_t outcome = begin(watch, op);
    if (outcome != EPIO_EPENDING) {
        epio_complete(op, outcome);
    }
}

void epio__watch_resumed(epio_op *op)
{
    epio_complete(op, op->outcome);
}

void epio__watch_cancel(epio_op *op)
{
    if (withdraw(epio__watch_of(op->file), op)) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

#endif
