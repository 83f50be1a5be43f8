/* A tree walked by libuv, as its users do it: a callback for each directory and each entry. */
#include "walker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct context {
    uv_loop_t loop;
    bench_found *found;
    int error;
};

static void scan(struct context *context, const char *path);

static void fail(struct context *context, ssize_t error)
{
    context->error = context->error == 0 ? epio_error_from_os((int32_t)-error) : context->error;
}

static void stat_done(uv_fs_t *request)
{
    struct context *context = request->data;

    if (request->result < 0) {
        fail(context, request->result);
    } else {
        context->found->entries++;
        context->found->bytes += S_ISREG(request->statbuf.st_mode) ? request->statbuf.st_size : 0;
    }
    uv_fs_req_cleanup(request);
    free(request);
}

/* A request for the path, which libuv copies; NULL: there is no memory. */
static uv_fs_t *new_request(struct context *context)
{
    uv_fs_t *request = malloc(sizeof *request);

    if (request == NULL) {
        fail(context, UV_ENOMEM);
    } else {
        request->data = context;
    }
    return request;
}

static void take_entry(struct context *context, const char *directory, const uv_dirent_t *entry)
{
    size_t room = strlen(directory) + strlen(entry->name) + 2;
    char *path = malloc(room);
    uv_fs_t *request = new_request(context);

    if (path == NULL || request == NULL) {
        fail(context, UV_ENOMEM);
        free(request);
    } else {
        snprintf(path, room, "%s/%s", directory, entry->name);
        if (uv_fs_lstat(&context->loop, request, path, stat_done) < 0) {
            fail(context, UV_ENOMEM);
            free(request);
        }
        if (entry->type == UV_DIRENT_DIR) {
            scan(context, path);
        }
    }
    free(path);
}

static void scan_done(uv_fs_t *request)
{
    struct context *context = request->data;
    uv_dirent_t entry;

    if (request->result < 0) {
        fail(context, request->result);
    }
    while (context->error == 0 && uv_fs_scandir_next(request, &entry) != UV_EOF) {
        take_entry(context, request->path, &entry);
    }
    uv_fs_req_cleanup(request);
    free(request);
}

static void scan(struct context *context, const char *path)
{
    uv_fs_t *request = new_request(context);

    if (request != NULL && uv_fs_scandir(&context->loop, request, path, 0, scan_done) < 0) {
        fail(context, UV_ENOMEM);
        free(request);
    }
}

int bench_walk_libuv(const bench_options *options, const char *tree, bench_found *found)
{
    struct context context = {.found = found};

    (void)options;
    if (uv_loop_init(&context.loop) != 0) {
        return EPIO_ENOMEM;
    }
    scan(&context, tree);
    uv_run(&context.loop, UV_RUN_DEFAULT);
    uv_loop_close(&context.loop);
    return context.error;
}
