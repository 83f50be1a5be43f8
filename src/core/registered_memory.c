/* See registered_memory.h. */
#include "core/loop.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BUFFERS 1024u

void epio__registered_free(epio__registered *registered)
{
    free(registered->parts);
}

static bool overlap(const epio_iovec *one, const epio_iovec *other)
{
    uintptr_t first = (uintptr_t)one->base;
    uintptr_t second = (uintptr_t)other->base;
    return first < second ? second - first < one->len : first - second < other->len;
}

static bool are_valid(const epio_iovec *buffers, size_t count)
{
    if (count > MOST_BUFFERS || (buffers == NULL && count != 0)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (buffers[i].base == NULL || buffers[i].len == 0 ||
            buffers[i].len > UINTPTR_MAX - (uintptr_t)buffers[i].base) {
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

int epio_loop_register_buffers(epio_loop *loop, const epio_iovec *buffers, size_t count)
{
    epio__loop_enter(loop, "epio_loop_register_buffers", EPIO__STACK_ADDRESS());
    epio__registered next = {.count = count};
    if (!are_valid(buffers, count)) {
        return EPIO_EINVAL;
    }
    if (loop->backend->register_buffers == NULL) {
        return 0;
    }
    if (count != 0) {
        next.parts = malloc(count * sizeof *next.parts);
        if (next.parts == NULL) {
            return EPIO_ENOMEM;
        }
        memcpy(next.parts, buffers, count * sizeof *buffers);
        qsort(next.parts, count, sizeof *next.parts, by_address);
    }
    int result = loop->backend->register_buffers(loop->backend_state, next.parts, count);
    epio_iovec *unused = next.parts;
    if (result >= 0) {
        unused = loop->registered.parts;
        loop->registered = next;
    }
    free(unused);
    return result;
}
