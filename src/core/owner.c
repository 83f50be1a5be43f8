/* Ownership of a loop: one thread of one process. Also detects that this thread has ended, that the
 * process is a fork, or that a `done` never returned to its loop. */
#include "core/loop.h"
#include "fatal.h"

#include <stdlib.h>

/* Nested iterations, wherever their stack is: far more than any program intends. */
#define MOST_NESTED 10000u

/* Stack that must be left for a nested iteration and its `done`. */
#define STACK_RESERVE ((size_t)32 * 1024)

/* ---- Who may use it ---- */

static _Noreturn void refuse(uintptr_t owner, const char *function)
{
    switch (owner) {
    case EPIO__OWNER_PARENT:
        epio__fatal(function, "the loop belongs to the process from which this one was forked; "
                              "make a new loop, after the fork");
    case EPIO__OWNER_ENDED:
        epio__fatal(function, "the thread that owned the loop has ended, without "
                              "epio_loop_detach");
    default:
        epio__fatal(function, "the loop belongs to another thread, which must call "
                              "epio_loop_detach first");
    }
}

void epio__loop_check_lives(const epio_loop *loop, const char *function)
{
    uintptr_t owner = epio__load_pointer(&loop->owner);
    if (owner == EPIO__OWNER_PARENT || owner == EPIO__OWNER_ENDED) {
        refuse(owner, function);
    }
}

static void watch_end_of_thread(void)
{
    epio__mutex_lock(epio__process_mutex());
    epio__thread_watch_end();
    epio__mutex_unlock(epio__process_mutex());
}

void epio__loop_enter(epio_loop *loop, const char *function, uintptr_t here)
{
    if (loop == NULL) {
        epio__fatal(function, "the loop is NULL");
    }
    uintptr_t self = epio__thread_self();
    uintptr_t owner = epio__load_pointer(&loop->owner);
    if (owner == EPIO__OWNER_NONE && epio__compare_exchange_pointer(&loop->owner, &owner, self)) {
        epio__store_relaxed_pointer(&loop->fast_owner, loop->uses_slow_path ? 0 : self);
        watch_end_of_thread();
        return;
    }
    if (owner != self) {
        refuse(owner, function);
    }
    if (loop->depth != 0) {
        epio__loop_check_nested(loop, function, here);
    }
}

/* ---- Nested iterations ---- */

/* A call from inside a `done` lies below the iteration that called that; an iteration that was left
 * by longjmp or an exception lies below a later call, or its mark is overwritten. Checked only if
 * both are on the thread's own stack: those of coroutines have no order. */
void epio__loop_check_nested(const epio_loop *loop, const char *function, uintptr_t here)
{
    uintptr_t low;
    uintptr_t high;
    if (loop->depth >= MOST_NESTED) {
        epio__fatal(function, "too many calls are nested, each in a `done` of the one before");
    }
    if (!epio__thread_stack(&low, &high) || here < low || here >= high) {
        return;
    }
    uintptr_t mark = loop->iteration_at;
    bool comparable = mark >= low && mark < high;
    if (comparable && (mark <= here || *(const uintptr_t *)mark != epio__iteration_mark(loop))) {
        epio__fatal(function, "a `done` was left by longjmp or an exception, and so was the "
                              "loop that called it");
    }
    if (here - low < STACK_RESERVE) {
        epio__fatal(function, "the stack is used up by nested calls, each in a `done` of the "
                              "one before");
    }
}

/* ---- In the registry ---- */

static epio_loop *loop_of(epio__entry *entry)
{
    return EPIO_CONTAINER(entry, epio_loop, entry);
}

/* The child's copy of the loop is dead: what was to be delivered is the parent's, and no thread is
 * to be woken. */
static void after_fork(epio__entry *entry, bool in_child)
{
    epio_loop *loop = loop_of(entry);
    if (in_child) {
        if (loop->backend->forked != NULL) {
            loop->backend->forked(loop->backend_state);
        }
        epio__store_pointer(&loop->owner, EPIO__OWNER_PARENT);
        epio__store_relaxed_pointer(&loop->fast_owner, 0);
        epio__store_u32(&loop->sleeping, 0);
        epio__queue_init(&loop->ready);
        epio__queue_init(&loop->due);
    }
}

static void thread_ends(epio__entry *entry)
{
    epio_loop *loop = loop_of(entry);
    uintptr_t self = epio__thread_self();
    if (epio__compare_exchange_pointer(&loop->owner, &self, EPIO__OWNER_ENDED)) {
        epio__store_relaxed_pointer(&loop->fast_owner, 0);
    }
}

static bool passes(const epio_op *op, const epio_vfs *vfs)
{
    bool found = op->vfs == vfs;
    for (const epio_frame *frame = op->frames; frame != NULL && !found; frame = frame->below) {
        found = frame->vfs == vfs;
    }
    return found;
}

/* Also checks what is linked behind it, which may be in no other list. */
static bool chain_passes(const epio_op *op, const epio_vfs *vfs)
{
    while (op != NULL && !passes(op, vfs)) {
        op = op->link;
    }
    return op != NULL;
}

static bool queue_passes(const epio_node *node, const epio_vfs *vfs)
{
    while (node != NULL && !chain_passes(EPIO_CONTAINER(node, const epio_op, queue), vfs)) {
        node = node->next;
    }
    return node != NULL;
}

/* Is an op in flight that passes this VFS? Ops of open files are not searched. */
static bool is_in_use(const epio_loop *loop, const epio_vfs *vfs)
{
    const epio_op *posted = (const epio_op *)epio__load_pointer(&loop->inbox);
    for (const epio_node *node = loop->held.next; node != &loop->held; node = node->next) {
        if (passes(EPIO_CONTAINER(node, const epio_op, held), vfs)) {
            return true;
        }
    }
    return queue_passes(loop->ready.first, vfs) || queue_passes(loop->due.first, vfs) ||
           queue_passes(loop->arrivals.first, vfs) ||
           (posted != NULL && queue_passes(&posted->queue, vfs));
}

/* Only the owner can check; a detached loop is owned for the moment. */
static const char *needs_vfs(const epio__entry *entry, const epio_vfs *vfs)
{
    epio_loop *loop = loop_of((epio__entry *)(uintptr_t)entry);
    if (vfs->loop != loop) {
        return NULL;
    }
    uintptr_t self = epio__thread_self();
    uintptr_t owner = EPIO__OWNER_NONE;
    bool held = epio__compare_exchange_pointer(&loop->owner, &owner, self);
    bool in_use = (held || owner == self) && is_in_use(loop, vfs);
    if (held) {
        epio__store_pointer(&loop->owner, EPIO__OWNER_NONE);
    }
    return in_use ? "operations of the VFS are in flight; wait for their completion first" : NULL;
}

static const epio__entry_methods loop_methods = {
    .after_fork = after_fork,
    .thread_ends = thread_ends,
    .needs_vfs = needs_vfs,
};

/* ---- Beginning and end ---- */

/* Loops of this process; guarded by its mutex. */
static size_t loops;

void epio__loop_claim(epio_loop *loop)
{
    loop->owner = epio__thread_self();
    loop->fast_owner = loop->owner;
    epio__mutex_lock(epio__process_mutex());
    loops++;
    epio__thread_watch_end();
    epio__mutex_unlock(epio__process_mutex());
    epio__registry_add(&loop->entry, &loop_methods);
}

void epio__loop_disclaim(epio_loop *loop)
{
    epio__registry_remove(&loop->entry);
    epio__mutex_lock(epio__process_mutex());
    if (--loops == 0) {
        epio__thread_forget_ends();
    }
    epio__mutex_unlock(epio__process_mutex());
}
