/* What `epio-bench walk` compares: each walker goes through a tree, asks what every entry is, and
 * counts. */
#ifndef BENCH_WALKER_H
#define BENCH_WALKER_H

#include "bench.h"

/* What a walk has found. */
typedef struct bench_found {
    uint64_t entries;
    uint64_t bytes;
} bench_found;

typedef struct bench_walker {
    const char *name;
    /* 0 or an error. */
    int (*walk)(const bench_options *options, const char *tree, bench_found *found);
} bench_walker;

/* uv_fs_scandir of each directory and uv_fs_lstat of each entry, all in flight at once. */
int bench_walk_libuv(const bench_options *options, const char *tree, bench_found *found);

#endif
