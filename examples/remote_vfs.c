/* A VFS whose results come from another thread: here a server with one object of fixed size,
 * behind a slow connection. A library for a real server would send requests and complete ops as
 * the replies arrive.
 *
 *     remote_vfs    writes and reads the object, several ops at a time, and cancels one
 *
 * Threads are those of system.h, beside this file. */
#if !defined(_WIN32) && !defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif

#include "system.h"

#include <epio/vfs.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECT_SIZE = 65536, LATENCY_NS = 2000000, OPS = 8 };

/* ---- The server: a thread that answers in the order of asking ------------- */

/* The VFS may use op->queue of an op that it holds: here, as the link of a list. */
struct remote {
    epio_vfs base;
    struct mutex mutex; /* protects the rest */
    epio_node *first;
    epio_node *last;
    bool stopping;
    struct thread thread;
    unsigned char object[OBJECT_SIZE];
};

static struct remote *remote_of(epio_vfs *vfs)
{
    return (struct remote *)(void *)vfs;
}

static epio_op *op_of(epio_node *node)
{
    return (epio_op *)(void *)((char *)node - offsetof(epio_op, queue));
}

static epio_op *take_first(struct remote *remote)
{
    epio_node *node = remote->first;
    if (node == NULL) {
        return NULL;
    }
    remote->first = node->next;
    node->next = NULL;
    return op_of(node);
}

static void serve(void *argument)
{
    struct remote *remote = argument;
    bool stopping = false;
    while (!stopping) {
        epio_op wire = EPIO_OP_INIT;
        (void)epio_perform(epio_sleep(&wire, epio_os_vfs(), LATENCY_NS));
        for (;;) {
            mutex_lock(&remote->mutex);
            epio_op *op = take_first(remote);
            stopping = remote->stopping;
            mutex_unlock(&remote->mutex);
            if (op == NULL) {
                break;
            }
            epio_complete(op, remote->base.methods->perform(&remote->base, op));
        }
    }
}

/* ---- The VFS -------------------------------------------------------------- */

static int64_t transfer(struct remote *remote, epio_op *op)
{
    uint64_t offset = op->arguments.io.offset;
    if (offset >= OBJECT_SIZE) {
        return op->kind == EPIO_KIND_READ ? 0 : EPIO_ENOSPC;
    }
    uint64_t len =
        op->arguments.io.len < OBJECT_SIZE - offset ? op->arguments.io.len : OBJECT_SIZE - offset;
    if (op->kind == EPIO_KIND_READ) {
        memcpy(op->arguments.io.base, remote->object + offset, (size_t)len);
    } else if (len == op->arguments.io.len) {
        memcpy(remote->object + offset, op->arguments.io.base, (size_t)len);
    } else {
        return EPIO_ENOSPC;
    }
    return (int64_t)len;
}

static int64_t open_object(struct remote *remote, epio_op *op)
{
    if ((op->flags & (EPIO_OPEN_APPEND | EPIO_OPEN_DIRECTORY)) != 0) {
        return EPIO_ENOTSUP; /* they change what later ops mean */
    }
    op->file = calloc(1, sizeof *op->file);
    if (op->file == NULL) {
        return EPIO_ENOMEM;
    }
    epio_file_init(op->file, &remote->base, op->flags, 0);
    return 0;
}

/* Carries out the ops that it supports, on any thread. */
static int64_t perform(epio_vfs *vfs, epio_op *op)
{
    op->os_error = 0;
    switch (op->kind) {
    case EPIO_KIND_OPEN:
        return open_object(remote_of(vfs), op);
    case EPIO_KIND_CLOSE:
        epio_file_release(op->file);
        free(op->file);
        return 0;
    case EPIO_KIND_READ:
    case EPIO_KIND_WRITE:
        return transfer(remote_of(vfs), op);
    case EPIO_KIND_SIZE:
        return OBJECT_SIZE;
    case EPIO_KIND_SYNC:
        return 0;
    default:
        return EPIO_ENOTSUP;
    }
}

/* Sends the request; the reply completes the op. The loop's thread. */
static void submit(epio_vfs *vfs, epio_op *op)
{
    struct remote *remote = remote_of(vfs);
    op->queue.next = NULL;
    mutex_lock(&remote->mutex);
    if (remote->first == NULL) {
        remote->first = &op->queue;
    } else {
        remote->last->next = &op->queue;
    }
    remote->last = &op->queue;
    mutex_unlock(&remote->mutex);
}

/* An op that was not sent yet ends now; others end when the server replies. The loop's thread. */
static void cancel(epio_vfs *vfs, epio_op *op)
{
    struct remote *remote = remote_of(vfs);
    epio_node *before = NULL;
    mutex_lock(&remote->mutex);
    epio_node *node = remote->first;
    while (node != NULL && node != &op->queue) {
        before = node;
        node = node->next;
    }
    if (node != NULL && before == NULL) {
        remote->first = node->next;
    } else if (node != NULL) {
        before->next = node->next;
        remote->last = remote->last == node ? before : remote->last;
    }
    mutex_unlock(&remote->mutex);
    if (node != NULL) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

static const epio_vfs_methods remote_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "remote",
    .submit = submit,
    .perform = perform,
    .cancel = cancel,
};

/* ---- A program that uses it ----------------------------------------------- */

static int fail(const char *what, int64_t result)
{
    fprintf(stderr, "remote_vfs: %s: %s\n", what, epio_error_message(result));
    return 1;
}

static int use(epio_loop *loop, epio_vfs *vfs)
{
    static char texts[OPS][16];
    static char found[OPS][16];
    epio_op ops[OPS] = {EPIO_OP_INIT};
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_wait(epio_open(&op, vfs, "object", EPIO_OPEN_READ | EPIO_OPEN_WRITE));
    if (result != 0) {
        return fail("open", result);
    }
    epio_file *file = op.file;
    for (size_t i = 0; i < OPS; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "part %u", (unsigned)i);
        epio_submit(epio_write(&ops[i], file, texts[i], sizeof texts[i], i * 16));
    }
    (void)epio_loop_run(loop); /* all of them in the time of one */
    for (size_t i = 0; i < OPS; i++) {
        epio_submit(epio_read(&ops[i], file, found[i], sizeof found[i], i * 16));
    }
    epio_cancel(&ops[OPS - 1]);
    (void)epio_loop_run(loop);
    for (size_t i = 0; i < OPS; i++) {
        printf("%s%s\n", ops[i].result >= 0 ? found[i] : epio_error_message(ops[i].result),
               i == OPS - 1 ? " (the one that was cancelled)" : "");
    }
    result = epio_wait(epio_close(&op, file));
    return result == 0 ? 0 : fail("close", result);
}

int main(int argc, char **argv)
{
    static struct remote remote;
    epio_loop *loop;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf(
            "usage: remote_vfs\n\n"
            "Writes and reads eight parts of an object by a VFS whose ops a thread answers later,\n"
            "and cancels the last read. Touches no file.\n");
        return 0;
    }
    int64_t result = epio_loop_create(&loop, NULL);
    if (result != 0) {
        return fail("loop", result);
    }
    remote.base = (epio_vfs){.methods = &remote_methods, .loop = loop};
    mutex_init(&remote.mutex);
    if (!thread_start(&remote.thread, serve, &remote)) {
        return fail("thread", EPIO_ENOMEM);
    }
    int status = use(loop, &remote.base);
    mutex_lock(&remote.mutex);
    remote.stopping = true;
    mutex_unlock(&remote.mutex);
    thread_join(&remote.thread);
    mutex_destroy(&remote.mutex);
    epio_loop_destroy(loop);
    return status;
}
