/* A hash table of structs that have a link of it. Equal hashes are for the caller to tell apart. */
#ifndef EPIO_WATCH_TABLE_H
#define EPIO_WATCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct epio__table_link {
    struct epio__table_link *next;
    uint64_t hash;
} epio__table_link;

/* All zero at first. */
typedef struct epio__table {
    epio__table_link **buckets;
    size_t capacity;
    size_t count;
} epio__table;

/* False: no memory. */
bool epio__table_add(epio__table *table, epio__table_link *link, uint64_t hash);
void epio__table_remove(epio__table *table, const epio__table_link *link);
/* The first and the next of this hash. */
epio__table_link *epio__table_first(const epio__table *table, uint64_t hash);
epio__table_link *epio__table_next(const epio__table_link *link);
/* Once it is empty. */
void epio__table_free(epio__table *table);

uint64_t epio__hash_name(uint64_t seed, const char *name);

#endif
