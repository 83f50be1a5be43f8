/* The verbs of epio/watch.h, and the events of a buffer. */
#include "core/verb.h"
#include "fatal.h"
#include "packed_entry.h"

epio_op *epio_watch(epio_op *op, epio_vfs *vfs, const char *path, uint32_t flags)
{
    return epio__verb_on_path(op, "epio_watch", EPIO_KIND_WATCH, vfs, path, flags,
                              EPIO_WATCH_RECURSIVE | EPIO_WATCH_COMPARE);
}

epio_op *epio_read_events(epio_op *op, epio_file *watch, void *buffer, size_t len)
{
    epio__verb_on_file(op, "epio_read_events", EPIO_KIND_READ_EVENTS, watch);
    op->arguments.events.buffer = buffer;
    op->arguments.events.len = len;
    op->arguments.events.delay_ns = 0;
    epio__verb_require(op, buffer != NULL, EPIO__REASON_BUFFER_IS_NULL);
    epio__verb_require(op, (uintptr_t)buffer % sizeof(uint64_t) == 0,
                       EPIO__REASON_UNALIGNED_EVENTS);
    epio__verb_require(op, op->arguments.events.len <= INT64_MAX, EPIO__REASON_TOO_LONG);
    epio__verb_require(op, len >= epio__event_size(0, 0), EPIO__REASON_SHORT_EVENTS);
    epio__verb_require(op, watch == NULL || (watch->attributes & EPIO_FILE_WATCH) != 0,
                       EPIO__REASON_NOT_WATCH);
    return op;
}

const epio_event *epio_event_next(const void *buffer, size_t len, const epio_event *event)
{
    return epio__record_next(buffer, len, event);
}

const char *epio_event_name(const epio_event *event)
{
    epio__require(event, "epio_event_name", "the event is NULL");
    return (const char *)(event + 1);
}

const char *epio_event_from(const epio_event *event)
{
    epio__require(event, "epio_event_from", "the event is NULL");
    return (const char *)(event + 1) + event->name_len + 1;
}
