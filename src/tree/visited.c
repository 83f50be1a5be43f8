/* The directories that a walk has entered, by device and id: a table of lists. */
#include "tree/walk.h"

#include <stdlib.h>

typedef struct epio__visit {
    struct epio__visit *next;
    uint64_t device;
    uint64_t id[2];
} epio__visit;

static uint64_t hash(uint64_t device, const uint64_t id[2])
{
    uint64_t mixed = (id[0] ^ (id[1] << 1) ^ (device << 32)) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed ^ (mixed >> 29);
}

static epio__visit **find(const epio__visited *visited, uint64_t device, const uint64_t id[2])
{
    epio__visit **at = &visited->buckets[hash(device, id) & (visited->bucket_count - 1)];
    while (*at != NULL &&
           ((*at)->id[0] != id[0] || (*at)->id[1] != id[1] || (*at)->device != device)) {
        at = &(*at)->next;
    }
    return at;
}

static bool grow(epio__visited *visited)
{
    epio__visited larger = {.bucket_count = visited->bucket_count * 2 + 64};
    while ((larger.bucket_count & (larger.bucket_count - 1)) != 0) {
        larger.bucket_count &= larger.bucket_count - 1; /* to a power of two */
    }
    larger.buckets = calloc(larger.bucket_count, sizeof(void *));
    if (larger.buckets == NULL) {
        return false;
    }
    for (size_t i = 0; i < visited->bucket_count; i++) {
        for (epio__visit *one = visited->buckets[i], *next; one != NULL; one = next) {
            next = one->next;
            epio__visit **at = find(&larger, one->device, one->id);
            one->next = NULL;
            *at = one;
        }
    }
    free(visited->buckets);
    larger.count = visited->count;
    *visited = larger;
    return true;
}

int epio__visited_add(epio__visited *visited, uint64_t device, const uint64_t id[2])
{
    if (visited->count >= visited->bucket_count && !grow(visited)) {
        return EPIO_ENOMEM;
    }
    epio__visit **at = find(visited, device, id);
    if (*at != NULL) {
        return 0;
    }
    *at = malloc(sizeof **at);
    if (*at == NULL) {
        return EPIO_ENOMEM;
    }
    **at = (epio__visit){.device = device, .id = {id[0], id[1]}};
    visited->count++;
    return 1;
}

void epio__visited_remove(epio__visited *visited, uint64_t device, const uint64_t id[2])
{
    epio__visit **at = find(visited, device, id);
    epio__visit *gone = *at;
    if (gone == NULL) {
        return;
    }
    *at = gone->next;
    free(gone);
    visited->count--;
}

void epio__visited_destroy(epio__visited *visited)
{
    for (size_t i = 0; i < visited->bucket_count; i++) {
        for (epio__visit *one = visited->buckets[i], *next; one != NULL; one = next) {
            next = one->next;
            free(one);
        }
    }
    free(visited->buckets);
}
