/* See registered_memory.h. The pool is one part among those of the program: a ring has one table of
 * them. */
#include "core/loop.h"
#include "fatal.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BUFFERS 1024u

void epio__registered_free(epio__registered *registered)
{
    free(registered->parts);
    free(registered->pool);
}

/* ---- What the program registers ---- */

static bool overlap(const epio_iovec *one, const epio_iovec *other)
{
    uintptr_t first = (uintptr_t)one->base;
    uintptr_t second = (uintptr_t)other->base;
    return first < second ? second - first < one->len : first - second < other->len;
}

static bool are_valid(const epio_iovec *buffers, size_t count, const epio__buffer_pool *pool)
{
    if (count > MOST_BUFFERS || (buffers == NULL && count != 0)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (buffers[i].base == NULL || buffers[i].len == 0 ||
            buffers[i].len > UINTPTR_MAX - (uintptr_t)buffers[i].base ||
            (pool != NULL && overlap(&buffers[i], &pool->memory))) {
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (overlap(&buffers[i], &buffers[k])) {
                return false;
            }
        }
    }
    return true;
}

static int by_address(const void *one, const void *other)
{
    uintptr_t first = (uintptr_t)((const epio_iovec *)one)->base;
    uintptr_t second = (uintptr_t)((const epio_iovec *)other)->base;
    return (first > second) - (first < second);
}

/* ---- What the backend gets ---- */

/* The program's parts and the pool's, by address. */
static const epio_iovec *merge(const epio__registered *all)
{
    if (all->count == 0) {
        return &all->pool->memory;
    }
    epio_iovec *merged = all->parts + all->count;
    size_t at = 0;
    while (at < all->count && by_address(&all->parts[at], &all->pool->memory) < 0) {
        at++;
    }
    memcpy(merged, all->parts, at * sizeof *merged);
    merged[at] = all->pool->memory;
    memcpy(merged + at + 1, all->parts + at, (all->count - at) * sizeof *merged);
    EPIO__ASSERT(at == 0 || by_address(&merged[at - 1], &merged[at]) < 0);
    EPIO__ASSERT(at == all->count || by_address(&merged[at], &merged[at + 1]) < 0);
    return merged;
}

/* As epio__backend.register_buffers. What is too much for the system together with the pool does
 * without it, unless the system has taken the pool before. */
static int offer(const epio_loop *loop, epio__registered *all)
{
    int (*take)(void *state, const epio_iovec *parts, size_t count) =
        loop->backend->register_buffers;
    void *state = loop->backend_state;
    if (all->pool == NULL) {
        return take(state, all->parts, all->count);
    }
    int result = take(state, merge(all), all->count + 1);
    if (result == 0 && all->count != 0 && !all->pool_is_known) {
        return take(state, all->parts, all->count) == 1;
    }
    if (result == 0 && all->count != 0) {
        all->pool_is_known = take(state, &all->pool->memory, 1) == 1;
        return 0;
    }
    if (result >= 0) {
        all->pool_is_known = result == 1;
    }
    return result;
}

int epio_loop_register_buffers(epio_loop *loop, const epio_iovec *buffers, size_t count)
{
    epio__loop_enter(loop, "epio_loop_register_buffers", EPIO__STACK_ADDRESS());
    epio__registered next = {.pool = loop->registered.pool,
                             .pool_is_known = loop->registered.pool_is_known,
                             .count = count};
    if (!are_valid(buffers, count, next.pool)) {
        return EPIO_EINVAL;
    }
    if (loop->backend->register_buffers == NULL) {
        return 0;
    }
    if (count != 0) {
        next.parts = malloc((2 * count + 1) * sizeof *next.parts);
        if (next.parts == NULL) {
            return EPIO_ENOMEM;
        }
        memcpy(next.parts, buffers, count * sizeof *buffers);
        qsort(next.parts, count, sizeof *next.parts, by_address);
    }
    int result = offer(loop, &next);
    epio_iovec *unused = next.parts;
    if (result >= 0) {
        unused = loop->registered.parts;
        loop->registered = next;
    }
    free(unused);
    return count == 0 && result > 0 ? 0 : result;
}

/* ---- The pool ---- */

int epio_loop_create_pool(epio_loop *loop, size_t size, size_t count)
{
    epio__loop_enter(loop, "epio_loop_create_pool", EPIO__STACK_ADDRESS());
    epio__buffer_pool *pool;
    epio__registered *all = &loop->registered;
    if (all->pool != NULL) {
        return EPIO_EBUSY;
    }
    int error = epio__buffer_pool_create(&pool, size, count);
    if (error != 0) {
        return error;
    }
    all->pool = pool;
    if (loop->backend->register_buffers != NULL) {
        (void)offer(loop, all); /* a pool that the system does not take now is one, too */
    }
    return all->pool_is_known;
}

/* The owner, or any thread if the loop is detached, as elsewhere. But nothing is run: the call may
 * be nested as deep as a `done`. */
static inline void check_owner(epio_loop *loop, const char *function)
{
    if (loop == NULL || !epio__loop_is_owner(loop)) {
        epio__loop_enter(loop, function, EPIO__STACK_ADDRESS());
    }
}

void *epio_loop_take_buffer(epio_loop *loop)
{
    check_owner(loop, "epio_loop_take_buffer");
    epio__buffer_pool *pool = loop->registered.pool;
    return pool != NULL ? epio__buffer_pool_take(pool) : NULL;
}

void epio_loop_return_buffer(epio_loop *loop, void *buffer)
{
    const char *function = "epio_loop_return_buffer";
    check_owner(loop, function);
    if (buffer == NULL) {
        return;
    }
    if (loop->registered.pool == NULL) {
        epio__fatal(function, "the loop has no pool; see epio_loop_create_pool");
    }
    epio__buffer_pool_return(loop->registered.pool, buffer, function);
}
