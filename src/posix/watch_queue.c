/* See watch_queue.h. */
#include "posix/watch_queue.h"

#include "posix/descriptor.h"
#include "posix/posix.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 << 10)

/* Beyond this the kernel's own limit counts, at which it drops events and says so. */
#define MOST_BYTES ((size_t)64 << 20)

#define LONGEST_EVENT (sizeof(struct inotify_event) + NAME_MAX + 1)

/* How many events are looked at for the other half of a rename. The kernel queues both within one
 * call: only those of other processors get in between. */
#define LOOK_AHEAD 64

/* How long it is waited for, if there are no events. */
#define PATIENCE_NS UINT64_C(1000000)

int epio__watch_queue_open(epio__watch_queue *queue)
{
    memset(queue, 0, sizeof *queue);
    queue->descriptor = epio__descriptor_move(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    return queue->descriptor >= 0 ? 0 : -1;
}

void epio__watch_queue_close(epio__watch_queue *queue)
{
    if (queue->descriptor >= 0) {
        (void)close(queue->descriptor);
    }
    free(queue->bytes);
    memset(queue, 0, sizeof *queue);
    queue->descriptor = -1;
}

/* ---- Reading ---- */

static bool make_room(epio__watch_queue *queue)
{
    if (queue->capacity - queue->first - queue->len >= READ_BYTES) {
        return true;
    }
    if (queue->first >= queue->len && queue->capacity - queue->len >= READ_BYTES) {
        memmove(queue->bytes, queue->bytes + queue->first, queue->len);
        queue->first = 0;
        return true;
    }
    if (queue->capacity >= MOST_BYTES) {
        return false;
    }
    size_t capacity = (queue->len + READ_BYTES) * 2;
    char *bytes = malloc(capacity);
    if (bytes == NULL) {
        return false;
    }
    if (queue->len != 0) {
        memcpy(bytes, queue->bytes + queue->first, queue->len);
    }
    free(queue->bytes);
    queue->bytes = bytes;
    queue->capacity = capacity;
    queue->first = 0;
    return true;
}

bool epio__watch_queue_fill(epio__watch_queue *queue)
{
    bool any = false;
    while (make_room(queue)) {
        size_t end = queue->first + queue->len;
        size_t room = queue->capacity - end;
        ssize_t got = read(queue->descriptor, queue->bytes + end, room);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        queue->len += (size_t)got;
        queue->read += (uint64_t)got;
        any = true;
        if (room - (size_t)got >= LONGEST_EVENT) {
            break; /* another would have fit */
        }
    }
    return any;
}

uint64_t epio__watch_queue_end(epio__watch_queue *queue)
{
    int bytes = 0;
    (void)epio__watch_queue_fill(queue); /* the kernel counts event by event */
    (void)ioctl(queue->descriptor, FIONREAD, &bytes);
    return queue->read + (uint64_t)(bytes > 0 ? bytes : 0);
}

uint64_t epio__watch_queue_position(const epio__watch_queue *queue)
{
    return queue->read - queue->len;
}

/* ---- Taking ---- */

static size_t size_of(const struct inotify_event *head)
{
    return sizeof *head + head->len;
}

/* Copies the head of the event at that offset. */
static struct inotify_event head_at(const epio__watch_queue *queue, size_t offset)
{
    struct inotify_event head;
    memcpy(&head, queue->bytes + queue->first + offset, sizeof head);
    return head;
}

static void copy(const epio__watch_queue *queue, size_t offset, const struct inotify_event *head,
                 epio__watch_event *event)
{
    event->position = epio__watch_queue_position(queue) + offset;
    event->wd = head->wd;
    event->mask = head->mask;
    event->cookie = head->cookie;
    event->name[0] = '\0';
    if (head->len != 0) { /* it ends with a NUL at least */
        const char *name = queue->bytes + queue->first + offset + sizeof *head;
        size_t len = head->len < sizeof event->name ? head->len : sizeof event->name;
        memcpy(event->name, name, len);
        event->name[sizeof event->name - 1] = '\0';
    }
}

/* What was taken out of order. The kernel's begin at 1, and are never given out again. */
#define TAKEN 0

bool epio__watch_queue_take(epio__watch_queue *queue, epio__watch_event *event)
{
    do {
        if (queue->len == 0 && !epio__watch_queue_fill(queue)) {
            return false;
        }
        struct inotify_event head = head_at(queue, 0);
        copy(queue, 0, &head, event);
        queue->first += size_of(&head);
        queue->len -= size_of(&head);
        queue->first = queue->len != 0 ? queue->first : 0;
    } while (event->wd == TAKEN);
    return true;
}

/* *offset and *count: where the search begins, and how many events it has seen. */
static bool find_target(epio__watch_queue *queue, uint32_t cookie, size_t *offset, size_t *count,
                        epio__watch_event *event)
{
    while (*offset < queue->len && *count < LOOK_AHEAD) {
        struct inotify_event head = head_at(queue, *offset);
        if ((head.mask & IN_MOVED_TO) != 0 && head.cookie == cookie && head.wd != TAKEN) {
            copy(queue, *offset, &head, event);
            head.wd = TAKEN;
            memcpy(queue->bytes + queue->first + *offset, &head, sizeof head);
            return true;
        }
        *offset += size_of(&head);
        (*count)++;
    }
    return false;
}

bool epio__watch_queue_take_target(epio__watch_queue *queue, uint32_t cookie,
                                   epio__watch_event *event)
{
    size_t offset = 0;
    size_t count = 0;
    uint64_t deadline = 0;
    while (!find_target(queue, cookie, &offset, &count, event)) {
        if (count >= LOOK_AHEAD) {
            return false;
        }
        if (epio__watch_queue_fill(queue)) {
            continue;
        }
        uint64_t now = epio__monotonic_time();
        deadline = deadline != 0 ? deadline : now + PATIENCE_NS;
        if (now >= deadline) {
            return false;
        }
        struct pollfd polled = {.fd = queue->descriptor, .events = POLLIN};
        (void)poll(&polled, 1, epio__milliseconds_until(deadline));
    }
    return true;
}

bool epio__watch_queue_has_move(const epio__watch_queue *queue, int wd, const char *name)
{
    size_t offset = 0;
    for (size_t i = 0; i < LOOK_AHEAD && offset < queue->len; i++) {
        struct inotify_event head = head_at(queue, offset);
        const char *found = queue->bytes + queue->first + offset + sizeof head;
        if (head.wd == wd && (head.mask & IN_MOVED_FROM) != 0 && head.len != 0 &&
            strcmp(found, name) == 0) {
            return true;
        }
        offset += size_of(&head);
    }
    return false;
}
