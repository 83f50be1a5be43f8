/* The kernel's queue of one inotify instance, read ahead into memory. An event has a position: how
 * many bytes were queued before it. So it is known of each event whether it was queued before or
 * after something else that happened. */
#ifndef EPIO_WATCH_QUEUE_H
#define EPIO_WATCH_QUEUE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct epio__watch_queue {
    int descriptor;
    char *bytes; /* `len` of them from `first` on are read, and not taken */
    size_t capacity;
    size_t first;
    size_t len;
    uint64_t read; /* the position behind them */
} epio__watch_queue;

typedef struct epio__watch_event {
    uint64_t position;
    int wd;
    uint32_t mask;
    uint32_t cookie;
    char name[NAME_MAX + 1];
} epio__watch_event;

/* 0, or -1 and errno. */
int epio__watch_queue_open(epio__watch_queue *queue);
void epio__watch_queue_close(epio__watch_queue *queue);

/* Reads what the kernel has, without waiting: false if that is nothing. */
bool epio__watch_queue_fill(epio__watch_queue *queue);
/* The position of the next event that will be queued. */
uint64_t epio__watch_queue_end(epio__watch_queue *queue);
/* The position of the next event that will be taken. */
uint64_t epio__watch_queue_position(const epio__watch_queue *queue);
/* The next event, in order; false: there is none. */
bool epio__watch_queue_take(epio__watch_queue *queue, epio__watch_event *event);

/* Takes, out of order, the MOVED_TO of this cookie. It mostly follows its MOVED_FROM at once, and
 * is waited for a moment; false: it did not come. */
bool epio__watch_queue_take_target(epio__watch_queue *queue, uint32_t cookie,
                                   epio__watch_event *event);
/* Is there a MOVED_FROM of this name, soon? */
bool epio__watch_queue_has_move(const epio__watch_queue *queue, int wd, const char *name);

#endif
