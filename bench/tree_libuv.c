/* A tree copied and removed by libuv, as its users do it: a callback for each name, with all of
 * them in flight; or one call awaited after the other. */
#include "tree_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct context {
    uv_loop_t loop;
    bool removes;
    int error;
};

/* Ends when all that is in it has. */
struct directory {
    struct context *context;
    struct directory *parent;
    size_t waits;
    char *to; /* of a copy */
    char path[];
};

static void fail(struct context *context, ssize_t error)
{
    context->error = context->error == 0 ? epio_error_from_os((int32_t)-error) : context->error;
}

static uv_fs_t *new_request(struct directory *directory)
{
    uv_fs_t *request = malloc(sizeof *request);

    if (request == NULL) {
        fail(directory->context, UV_ENOMEM);
    } else {
        request->data = directory;
    }
    return request;
}

static void end_directory(struct directory *directory);

static void removed(uv_fs_t *request)
{
    struct directory *directory = request->data, *parent = directory->parent;

    if (request->result < 0) {
        fail(directory->context, request->result);
    }
    uv_fs_req_cleanup(request);
    free(request);
    free(directory->to);
    free(directory);
    if (parent != NULL) {
        end_directory(parent);
    }
}

static void end_directory(struct directory *directory)
{
    while (directory != NULL && --directory->waits == 0) {
        struct directory *parent = directory->parent;
        uv_fs_t *request = directory->context->removes ? new_request(directory) : NULL;

        if (request != NULL) {
            uv_fs_rmdir(&directory->context->loop, request, directory->path, removed);
            return;
        }
        free(directory->to);
        free(directory);
        directory = parent;
    }
}

static void file_done(uv_fs_t *request)
{
    struct directory *directory = request->data;

    if (request->result < 0) {
        fail(directory->context, request->result);
    }
    uv_fs_req_cleanup(request);
    free(request);
    end_directory(directory);
}

static char *join(const char *directory, const char *name)
{
    size_t room = strlen(directory) + strlen(name) + 2;
    char *path = malloc(room);

    if (path != NULL) {
        snprintf(path, room, "%s/%s", directory, name);
    }
    return path;
}

static void enter(struct context *context, struct directory *parent, const char *path,
                  const char *to);

static void take_entry(struct directory *directory, const uv_dirent_t *entry)
{
    struct context *context = directory->context;
    char *path = join(directory->path, entry->name);
    char *to = directory->to != NULL ? join(directory->to, entry->name) : NULL;

    directory->waits++;
    if (path == NULL || (to == NULL && !context->removes)) {
        fail(context, UV_ENOMEM);
        directory->waits--;
    } else if (entry->type == UV_DIRENT_DIR) {
        enter(context, directory, path, to);
    } else {
        uv_fs_t *request = new_request(directory);

        if (request == NULL) {
            directory->waits--;
        } else if (context->removes) {
            uv_fs_unlink(&context->loop, request, path, file_done);
        } else {
            uv_fs_copyfile(&context->loop, request, path, to, UV_FS_COPYFILE_EXCL, file_done);
        }
    }
    free(path);
    free(to);
}

static void scan_done(uv_fs_t *request)
{
    struct directory *directory = request->data;
    uv_dirent_t entry;

    if (request->result < 0) {
        fail(directory->context, request->result);
    }
    while (directory->context->error == 0 && uv_fs_scandir_next(request, &entry) != UV_EOF) {
        take_entry(directory, &entry);
    }
    uv_fs_req_cleanup(request);
    free(request);
    end_directory(directory);
}

static void scan(struct directory *directory)
{
    uv_fs_t *request = new_request(directory);

    if (request != NULL) {
        uv_fs_scandir(&directory->context->loop, request, directory->path, 0, scan_done);
    }
}

static void made(uv_fs_t *request)
{
    struct directory *directory = request->data;

    if (request->result < 0) {
        fail(directory->context, request->result);
    }
    uv_fs_req_cleanup(request);
    free(request);
    scan(directory);
}

static void enter(struct context *context, struct directory *parent, const char *path,
                  const char *to)
{
    struct directory *directory = malloc(sizeof *directory + strlen(path) + 1);
    uv_fs_t *request;

    if (directory == NULL) {
        fail(context, UV_ENOMEM);
        return;
    }
    directory->context = context;
    directory->parent = parent;
    directory->waits = 1;
    directory->to = to != NULL ? strdup(to) : NULL;
    memcpy(directory->path, path, strlen(path) + 1);
    if (to == NULL) {
        scan(directory);
    } else if ((request = new_request(directory)) != NULL) {
        uv_fs_mkdir(&context->loop, request, to, 0777, made);
    }
}

static int run(bool removes, const char *path, const char *to)
{
    struct context context = {.removes = removes};

    if (uv_loop_init(&context.loop) != 0) {
        return EPIO_ENOMEM;
    }
    enter(&context, NULL, path, to);
    uv_run(&context.loop, UV_RUN_DEFAULT);
    uv_loop_close(&context.loop);
    return context.error;
}

int bench_copy_tree_libuv(const bench_options *options, const char *from, const char *to)
{
    (void)options;
    return run(false, from, to);
}

int bench_remove_tree_libuv(const bench_options *options, const char *path)
{
    (void)options;
    return run(true, path, NULL);
}

/* ---- One after the other --------------------------------------------------- */

static void awaited(uv_fs_t *request)
{
    (void)request;
}

/* The request that was begun alone. */
static int await(uv_loop_t *loop, int begun, const uv_fs_t *request)
{
    ssize_t result = begun;

    if (begun == 0) {
        uv_run(loop, UV_RUN_DEFAULT);
        result = request->result;
    }
    return result < 0 ? epio_error_from_os((int32_t)-result) : 0;
}

static int await_tree(uv_loop_t *loop, const char *path, const char *to);

static int await_entry(uv_loop_t *loop, const char *directory, const char *to_directory,
                       const uv_dirent_t *entry)
{
    uv_fs_t request;
    char *path = join(directory, entry->name);
    char *to = to_directory != NULL ? join(to_directory, entry->name) : NULL;
    int error = EPIO_ENOMEM;

    if (path == NULL || (to == NULL && to_directory != NULL)) {
        free(path);
        free(to);
        return error;
    }
    if (entry->type == UV_DIRENT_DIR) {
        error = await_tree(loop, path, to);
    } else {
        int begun = to != NULL
                        ? uv_fs_copyfile(loop, &request, path, to, UV_FS_COPYFILE_EXCL, awaited)
                        : uv_fs_unlink(loop, &request, path, awaited);

        error = await(loop, begun, &request);
        uv_fs_req_cleanup(&request);
    }
    free(path);
    free(to);
    return error;
}

/* `to` NULL: it is removed. */
static int await_tree(uv_loop_t *loop, const char *path, const char *to)
{
    uv_fs_t scan, request;
    uv_dirent_t entry;
    int error = 0;

    if (to != NULL) {
        error = await(loop, uv_fs_mkdir(loop, &request, to, 0777, awaited), &request);
        uv_fs_req_cleanup(&request);
    }
    if (error == 0) {
        error = await(loop, uv_fs_scandir(loop, &scan, path, 0, awaited), &scan);
        while (error == 0 && uv_fs_scandir_next(&scan, &entry) != UV_EOF) {
            error = await_entry(loop, path, to, &entry);
        }
        uv_fs_req_cleanup(&scan);
    }
    if (error == 0 && to == NULL) {
        error = await(loop, uv_fs_rmdir(loop, &request, path, awaited), &request);
        uv_fs_req_cleanup(&request);
    }
    return error;
}

static int run_awaited(const char *path, const char *to)
{
    uv_loop_t loop;
    int error;

    if (uv_loop_init(&loop) != 0) {
        return EPIO_ENOMEM;
    }
    error = await_tree(&loop, path, to);
    uv_loop_close(&loop);
    return error;
}

int bench_copy_tree_libuv_awaited(const bench_options *options, const char *from, const char *to)
{
    (void)options;
    return run_awaited(from, to);
}

int bench_remove_tree_libuv_awaited(const bench_options *options, const char *path)
{
    (void)options;
    return run_awaited(path, NULL);
}
