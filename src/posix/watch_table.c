/* See watch_table.h. */
#include "posix/watch_table.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64

static epio__table_link **bucket_of(const epio__table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->capacity - 1)];
}

static bool grow(epio__table *table)
{
    epio__table larger = {.capacity = table->capacity != 0 ? table->capacity * 2 : FIRST_CAPACITY};
    larger.buckets = calloc(larger.capacity, sizeof(epio__table_link *));
    if (larger.buckets == NULL) {
        return table->capacity != 0; /* the chains become longer */
    }
    for (size_t i = 0; i < table->capacity; i++) {
        epio__table_link *link = table->buckets[i];
        while (link != NULL) {
            epio__table_link *next = link->next;
            epio__table_link **bucket = bucket_of(&larger, link->hash);
            link->next = *bucket;
            *bucket = link;
            link = next;
        }
    }
    free(table->buckets);
    table->buckets = larger.buckets;
    table->capacity = larger.capacity;
    return true;
}

bool epio__table_add(epio__table *table, epio__table_link *link, uint64_t hash)
{
    if (table->count >= table->capacity && !grow(table)) {
        return false;
    }
    epio__table_link **bucket = bucket_of(table, hash);
    link->hash = hash;
    link->next = *bucket;
    *bucket = link;
    table->count++;
    return true;
}

void epio__table_remove(epio__table *table, const epio__table_link *link)
{
    epio__table_link **at = bucket_of(table, link->hash);
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    table->count--;
}

static epio__table_link *first_of(epio__table_link *link, uint64_t hash)
{
    while (link != NULL && link->hash != hash) {
        link = link->next;
    }
    return link;
}

epio__table_link *epio__table_first(const epio__table *table, uint64_t hash)
{
    return table->capacity != 0 ? first_of(*bucket_of(table, hash), hash) : NULL;
}

epio__table_link *epio__table_next(const epio__table_link *link)
{
    return first_of(link->next, link->hash);
}

void epio__table_free(epio__table *table)
{
    free(table->buckets);
    table->buckets = NULL;
    table->capacity = 0;
}

/* FNV-1a, with the high bits mixed into the low ones, which choose the bucket. */
uint64_t epio__hash_name(uint64_t seed, const char *name)
{
    uint64_t hash = (seed ^ UINT64_C(0xCBF29CE484222325)) * UINT64_C(0x100000001B3);
    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001B3);
    }
    return hash ^ (hash >> 32);
}
