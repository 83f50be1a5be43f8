/* What `epio-bench tree` compares: each worker copies a tree, and removes the copy. */
#ifndef BENCH_TREE_WORK_H
#define BENCH_TREE_WORK_H

#include "bench.h"

typedef struct bench_tree_worker {
    const char *name;
    /* Each 0 or an error. */
    int (*copy)(const bench_options *options, const char *from, const char *to);
    int (*remove)(const bench_options *options, const char *path);
} bench_tree_worker;

/* uv_fs_scandir and uv_fs_copyfile, or uv_fs_unlink, of each name, all in flight at once. */
int bench_copy_tree_libuv(const bench_options *options, const char *from, const char *to);
int bench_remove_tree_libuv(const bench_options *options, const char *path);

/* The same, but each call is awaited before the next, as programs with async and await do it. */
int bench_copy_tree_libuv_awaited(const bench_options *options, const char *from, const char *to);
int bench_remove_tree_libuv_awaited(const bench_options *options, const char *path);

#endif
