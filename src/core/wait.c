/* epio_wait, on the loop's own thread and on others. */
#include "core/event.h"
#include "core/loop.h"
#include "fatal.h"

typedef struct op_waiter {
    int64_t result;
    bool done;    /* for the owner, which runs the loop meanwhile */
    bool foreign; /* it waits on another thread than the owner */
    epio__event event;
} op_waiter;

void epio__waiter_notify(void *opaque, int64_t result)
{
    op_waiter *waiter = opaque;
    waiter->result = result;
    if (waiter->foreign) {
        epio__event_set(&waiter->event);
    } else {
        waiter->done = true;
    }
}

/* The owner may be awake, and soon done with the op. */
#define SPIN_NS UINT64_C(20000)

/* Of all threads of the process: the loop, which could have one, may be gone before they look. */
static epio__spin spin_of_threads;

static bool is_set(const void *of)
{
    const epio__event *event = of;
    return epio__load_u32(&event->set) != 0;
}

static void wait_for_owner(epio__event *event)
{
    if (epio__spin_pays(&spin_of_threads)) {
        uint64_t until = epio__deadline_after(SPIN_NS);
        (void)epio__spin_until(&spin_of_threads, until, is_set, event);
    }
    (void)epio__event_wait(event, EPIO_FOREVER);
}

/* False: the op was delivered meanwhile. */
static bool attach_waiter(epio_op *op, op_waiter *waiter)
{
    uint32_t state = epio__load_u32(&op->state);
    for (;;) {
        if ((state & EPIO__STATE_WAITED_FOR) != 0) {
            epio__fatal("epio_wait", "another thread waits for the op already");
        }
        if ((state & ~(uint32_t)EPIO__STATE_EXTRAS) != EPIO__STATE_IN_FLIGHT) {
            return false;
        }
        /* Read by the deliverer only after it has seen the mark. */
        op->waiter = waiter;
        if (epio__compare_exchange_u32(&op->state, &state, state | EPIO__STATE_WAITED_FOR)) {
            return true;
        }
    }
}

static void check_nested(const epio_loop *loop, uintptr_t here)
{
    if (loop->depth != 0) {
        epio__loop_check_nested(loop, "epio_wait", here);
    }
}

static int64_t submit_and_wait(epio_loop *loop, epio_op *op, uintptr_t here)
{
    op_waiter waiter = {.foreign = !epio__loop_is_owner(loop)};
    op->waiter = &waiter;
    if (!waiter.foreign) {
        check_nested(loop, here);
        epio__op_launch(loop, op, EPIO__STATE_WAITED_FOR, "epio_wait");
        epio__loop_run_until(loop, &waiter.done);
        return waiter.result;
    }
    epio__event_init(&waiter.event);
    epio__op_launch(loop, op, EPIO__STATE_WAITED_FOR, "epio_wait");
    wait_for_owner(&waiter.event);
    epio__event_destroy(&waiter.event);
    return waiter.result;
}

/* Another thread may deliver the op at any moment and then destroy the loop: the event's mutex,
 * which the delivery needs, blocks it until this thread has read the loop. */
static int64_t wait_in_flight(epio_op *op, uintptr_t here)
{
    op_waiter waiter = {.foreign = true};
    epio__event_init(&waiter.event);
    epio__mutex_lock(&waiter.event.mutex);
    bool attached = attach_waiter(op, &waiter);
    if (attached && epio__loop_is_owner(op->loop)) {
        waiter.foreign = false; /* only this thread can deliver it */
    } else if (attached) {
        epio__loop_check_lives(op->loop, "epio_wait");
    }
    epio__mutex_unlock(&waiter.event.mutex);
    if (!attached) {
        waiter.result = op->result;
    } else if (waiter.foreign) {
        wait_for_owner(&waiter.event);
    } else {
        check_nested(op->loop, here);
        epio__loop_run_until(op->loop, &waiter.done);
    }
    epio__event_destroy(&waiter.event);
    return waiter.result;
}

/* The owner reacts to nothing while it is in a read. A server, or a program that serves a file
 * system, may take any time, and another thread may use the loop for the first time meanwhile:
 * local files only. */
static bool owner_may_wait_in(const epio_loop *loop, const epio_op *read)
{
    return epio__loop_is_alone(loop) && (read->file->attributes & EPIO_FILE_LOCAL) != 0;
}

/* A read through layers. */
static bool wait_for_fast(epio_loop *loop, epio_op *op, uintptr_t here)
{
    if (!epio__op_is_fast(op, EPIO__STATE_FAST_READ)) {
        return false;
    }
    loop->bytes_left = EPIO__ITERATION_BYTES;
    loop->may_wait = owner_may_wait_in(loop, op);
    epio_submit(op);
    loop->may_wait = false;
    loop->hooks->read_collected(loop->resident);
    if (loop->ready.first == &op->queue) {
        epio__loop_deliver(loop, 1);
    }
    if (!epio__loop_is_quiet(loop)) {
        const bool done = true;
        epio__loop_run_until(loop, &done); /* starts what it brought about */
    }
    if (epio_op_in_flight(op)) {
        (void)wait_in_flight(op, here);
    }
    return true;
}

/* On a loop with nothing else to do a read is an iteration of its own, and never in flight for
 * other threads. If nothing can come up either, now or from another thread, the calling thread may
 * block in the read itself; else it only takes what the page cache has. */
static bool wait_for_read(epio_loop *loop, epio_op *op, uintptr_t here)
{
    if (!epio__op_is(op, EPIO__KIND_READS) || op->state_flags != 0 || op->link != NULL ||
        op->timeout_ns != 0 || op->file->close != NULL || !epio__loop_is_quiet(loop)) {
        return false;
    }
    if (op->vfs != loop->resident) {
        return wait_for_fast(loop, op, here);
    }
    /* Counted, so that no other thread closes the file during the read. */
    epio_file *file = op->file;
    size_t in_flight = epio__load_relaxed_size(&file->in_flight);
    epio__store_relaxed_size(&file->in_flight, in_flight + 1);
    bool ended = loop->hooks->try_now(op->vfs, op, owner_may_wait_in(loop, op), &op->result);
    epio__store_size(&file->in_flight, in_flight);
    if (!ended) {
        op->result = 0;
        return false;
    }
    epio__store_u32(&op->state, EPIO__STATE_DONE);
    loop->counters.in_place++;
    return true;
}

int64_t epio_wait(epio_op *op)
{
    if (op == NULL) {
        epio__fatal("epio_wait", "the op is NULL");
    }
    uintptr_t here = EPIO__STACK_ADDRESS();
    uint32_t state = epio__load_u32(&op->state) & ~(uint32_t)EPIO__STATE_EXTRAS;
    if (state == EPIO__STATE_DONE) {
        return op->result; /* the owner was faster */
    }
    if (op->done != NULL) {
        epio__fatal("epio_wait", "the op has a `done`; an op is either waited for or delivered");
    }
    if (state == EPIO__STATE_IN_FLIGHT) {
        return wait_in_flight(op, here);
    }
    if (epio__state_is_prepared(state) && op->loop != NULL && epio__loop_is_owner(op->loop) &&
        wait_for_read(op->loop, op, here)) {
        return op->result;
    }
    if (epio__state_is_prepared(state) && op->vfs == NULL && op->link == NULL) {
        return epio_perform(op); /* it has no loop: EPIO_EINVAL at once */
    }
    return submit_and_wait(epio__op_begin(op, "epio_wait"), op, here);
}
