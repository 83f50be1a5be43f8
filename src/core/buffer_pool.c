/* See buffer_pool.h. The list of free buffers is not in their memory: that is the program's, which
 * may still write to a buffer that it has returned, and the list shows which are taken. */
#include "core/buffer_pool.h"

#include <epio/epio.h>

#include "fatal.h"

#include <stdlib.h>

/* What direct transfers need on any disk. */
#define ALIGNMENT ((size_t)4096)

#define TAKEN SIZE_MAX

static void list_all(epio__buffer_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) {
        pool->next[i] = i + 1; /* of the last: none */
    }
    pool->first = 0;
}

int epio__buffer_pool_create(epio__buffer_pool **created, size_t size, size_t count)
{
    if (size == 0 || size > SIZE_MAX - ALIGNMENT || count == 0) {
        return EPIO_EINVAL;
    }
    size_t distance = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t fixed = sizeof(epio__buffer_pool) + ALIGNMENT;
    size_t each = sizeof(size_t) + distance;
    if (count > (SIZE_MAX - fixed) / each) {
        return EPIO_EINVAL;
    }
    epio__buffer_pool *pool = malloc(fixed + count * each);
    if (pool == NULL) {
        return EPIO_ENOMEM;
    }
    size_t *next = (size_t *)(pool + 1);
    unsigned char *after = (unsigned char *)(next + count);
    unsigned char *aligned = after + (ALIGNMENT - (uintptr_t)after % ALIGNMENT);
    *pool = (epio__buffer_pool){
        .memory = {aligned, count * distance}, .distance = distance, .count = count, .next = next};
    list_all(pool);
    *created = pool;
    return 0;
}

void *epio__buffer_pool_take(epio__buffer_pool *pool)
{
    size_t index = pool->first;
    if (index == pool->count) {
        return NULL;
    }
    pool->first = pool->next[index];
    pool->next[index] = TAKEN;
    return (unsigned char *)pool->memory.base + index * pool->distance;
}

void epio__buffer_pool_return(epio__buffer_pool *pool, const void *buffer, const char *function)
{
    /* Below the memory this wraps around, and is beyond it. */
    uintptr_t offset = (uintptr_t)buffer - (uintptr_t)pool->memory.base;
    if (offset >= pool->memory.len || offset % pool->distance != 0) {
        epio__fatal(function, "this is not a buffer of the loop's pool; return what "
                              "epio_loop_take_buffer returned");
    }
    size_t index = offset / pool->distance;
    if (pool->next[index] != TAKEN) {
        epio__fatal(function, "the buffer was returned already; return each once");
    }
    pool->next[index] = pool->first;
    pool->first = index;
}
