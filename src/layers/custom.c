/* Layers of programs: epio/layer.h. */
#include <epio/layer.h>

#include "core/struct_size.h"
#include "layers/layer.h"

#include <stdlib.h>
#include <string.h>

typedef struct custom_vfs {
    epio__layer base;
    const epio_layer_methods *methods;
    void *user;
} custom_vfs;

static custom_vfs *vfs_of(epio_vfs *base)
{
    return (custom_vfs *)(void *)base;
}

/* ---- On a loop and by epio_perform ---- */

/* The original of what `before` may change. */
typedef struct arguments {
    void *base;
    uint64_t len;
    uint64_t offset;
    uint64_t from_offset;
} arguments;

static arguments arguments_of(const epio_op *op)
{
    if (op->kind == EPIO_KIND_COPY_RANGE) {
        return (arguments){.len = op->arguments.copy.len,
                           .offset = op->arguments.copy.offset,
                           .from_offset = op->arguments.copy.from_offset};
    }
    return (arguments){op->arguments.io.base, op->arguments.io.len, op->arguments.io.offset, 0};
}

static void restore(epio_op *op, const arguments *before)
{
    if (epio__op_transfers(op) || op->kind == EPIO_KIND_APPEND) {
        op->arguments.io.base = before->base;
        op->arguments.io.len = before->len;
        op->arguments.io.offset = before->offset;
    } else if (op->kind == EPIO_KIND_COPY_RANGE) {
        op->arguments.copy.len = before->len;
        op->arguments.copy.offset = before->offset;
        op->arguments.copy.from_offset = before->from_offset;
    }
}

static int before(const custom_vfs *vfs, epio_op *op, void *state)
{
    int error = vfs->methods->before != NULL ? vfs->methods->before(vfs->user, op, state) : 0;
    return epio__op_is(op, EPIO__KIND_MUST_RUN) ? 0 : error;
}

static void after(const custom_vfs *vfs, epio_op *op, void *state)
{
    if (vfs->methods->after != NULL) {
        vfs->methods->after(vfs->user, op, state);
    }
}

/* ---- On a loop ---- */

#if EPIO_ASYNC

typedef struct custom_frame {
    epio__layer_frame base;
    arguments before;
    /* Behind it: the op's state. */
} custom_frame;

#define FRAME_SIZE EPIO__ALIGNED_SIZE(sizeof(custom_frame))

static void *state_of(custom_frame *frame)
{
    return (char *)frame + FRAME_SIZE;
}

static bool returned(epio_frame *base, epio_op *op)
{
    custom_frame *frame = (custom_frame *)(void *)base;
    custom_vfs *vfs = vfs_of(base->vfs);
    restore(op, &frame->before);
    epio__layer_wrap(&vfs->base, &frame->base, op);
    after(vfs, op, state_of(frame));
    epio__layer_end(&vfs->base, &frame->base, op);
    return true;
}

static void submit(epio_vfs *base, epio_op *op)
{
    custom_vfs *vfs = vfs_of(base);
    custom_frame *frame = (custom_frame *)(void *)epio__layer_begin(&vfs->base, op);
    if (frame == NULL) {
        epio_complete(op, epio__layer_do_without(&vfs->base, op));
        return;
    }
    frame->before = arguments_of(op);
    memset(state_of(frame), 0, vfs->methods->op_state);
    int error = before(vfs, op, state_of(frame));
    if (error == 0) {
        epio__layer_forward(&vfs->base, op);
        return;
    }
    restore(op, &frame->before);
    epio__layer_give_up(&vfs->base, op);
    epio_complete(op, error);
}

#else

#define FRAME_SIZE 0

#endif

/* ---- epio_perform ---- */

static int64_t perform_below(custom_vfs *vfs, epio_op *op, void *state)
{
    arguments given = arguments_of(op);
    int error = before(vfs, op, state);
    if (error != 0) {
        restore(op, &given);
        return error;
    }
    if (!epio__op_is(op, EPIO__KIND_CLOSES)) {
        op->result = epio__layer_perform(&vfs->base, op);
        restore(op, &given);
        after(vfs, op, state);
        return op->result;
    }
    op->result = epio_perform_on(op, vfs->base.inner, epio__layer_inner_file(op));
    after(vfs, op, state);
    epio__layer_free_file(&vfs->base, op->file);
    return op->result;
}

/* A close needs no memory: it uses the frame that its file has for it. */
static void *state_of_close(const epio_op *op)
{
    return (char *)op->file + EPIO__ALIGNED_SIZE(sizeof(epio__layer_file)) + FRAME_SIZE;
}

static int64_t perform(epio_vfs *base, epio_op *op)
{
    custom_vfs *vfs = vfs_of(base);
    union {
        uint64_t words[16];
        long double aligned;
    } few = {{0}};
    if (epio__op_is(op, EPIO__KIND_CLOSES)) {
        return perform_below(vfs, op, state_of_close(op));
    }
    if (vfs->methods->op_state <= sizeof few) {
        return perform_below(vfs, op, &few);
    }
    void *state = calloc(1, vfs->methods->op_state);
    if (state == NULL) {
        return epio__op_is(op, EPIO__KIND_MUST_RUN) ? epio__layer_perform(&vfs->base, op)
                                                    : EPIO_ENOMEM;
    }
    int64_t result = perform_below(vfs, op, state);
    free(state);
    return result;
}

/* ---- The VFS ---- */

static void destroy(epio_vfs *base)
{
    custom_vfs *vfs = vfs_of(base);
    const epio_layer_methods *methods = vfs->methods;
    void *user = vfs->user;
    epio__layer_check_unused(&vfs->base);
    epio__layer_destroy(&vfs->base);
    if (methods->destroy != NULL) {
        methods->destroy(user);
    }
}

static const epio_vfs_methods custom_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "layer",
#if EPIO_ASYNC
    .submit = submit,
#endif
    .perform = perform,
    .destroy = destroy,
    .os_handle = epio__layer_os_handle,
    .lock_level = epio__layer_lock_level,
};

int epio_layer_vfs_create(epio_vfs **created, epio_vfs *inner, const epio_layer_methods *methods,
                          void *user)
{
    if (created == NULL || !epio__layer_may_lie_over(inner) || methods == NULL ||
        methods->size < EPIO__SIZE_UP_TO(epio_layer_methods, destroy)) {
        return EPIO_EINVAL;
    }
    custom_vfs *vfs = calloc(1, sizeof *vfs);
    if (vfs == NULL) {
        return EPIO_ENOMEM;
    }
    vfs->methods = methods;
    vfs->user = user;
    vfs->base.file_state = methods->file_state;
#if EPIO_ASYNC
    epio__layer_init(&vfs->base, &custom_methods, inner, returned, FRAME_SIZE + methods->op_state);
#else
    epio__layer_init(&vfs->base, &custom_methods, inner, NULL, methods->op_state);
#endif
    *created = &vfs->base.base;
    return 0;
}

void *epio_layer_file_state(epio_file *file)
{
    epio__file_check(file, "epio_layer_file_state");
    return epio__layer_state_of((const epio__layer *)(void *)file->vfs,
                                (epio__layer_file *)(void *)file);
}
