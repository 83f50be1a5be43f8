/* The common part of layers, which wrap the files of an inner VFS: a file of their own around each
 * inner one, from its open to its close; frames for the ops in flight, from a pool that grows to
 * its high-water mark; and forwarding ops to the inner VFS. */
#ifndef EPIO_LAYERS_LAYER_H
#define EPIO_LAYERS_LAYER_H

#include "core/op.h"
#include "core/registry.h"

typedef struct epio__layer_file epio__layer_file;
typedef struct epio__layer_frame epio__layer_frame;

/* Embed it first in your own struct. The owner's, except the counts. */
typedef struct epio__layer {
    epio_vfs base;
    epio_vfs *inner;
    epio__entry entry;
    epio__mutex *mutex; /* the layer's own, which must be free in a forked child; NULL: none */
    bool inherited;     /* this process was forked from the one that made it */
    size_t open_files;  /* atomic, as the next */
    size_t mappings;
    bool (*returned)(epio_frame *frame, epio_op *op);
    size_t frame_size;
    size_t file_state; /* bytes of each file for the layer's user */
    size_t frames;     /* ever allocated, without those of closes */
    epio__layer_frame *free_frames;
} epio__layer;

/* A VFS that is not NULL, and not that of a directory, which is of its file. */
bool epio__layer_may_lie_over(const epio_vfs *inner);

/* Fills a zeroed layer. `returned` is called for every frame; frames are `frame_size` bytes: a
 * struct of the layer's own that begins with an epio__layer_frame. Without the asynchronous half:
 * NULL and 0. */
void epio__layer_init(epio__layer *layer, const epio_vfs_methods *methods, epio_vfs *inner,
                      bool (*returned)(epio_frame *frame, epio_op *op), size_t frame_size);

/* Aborts if the layer is still in use: a file of it is open, a mapping is there, or an op in flight
 * has a frame of it. */
void epio__layer_check_unused(epio__layer *layer);
/* Frees the layer and its frames. */
void epio__layer_destroy(epio__layer *layer);

/* Methods of a VFS, for a file of the layer. */
intptr_t epio__layer_os_handle(const epio_file *file);
uint32_t epio__layer_lock_level(const epio_file *file);

/* Lets the inner VFS perform the op, and returns the result. Wraps the file of an open, frees that
 * of a close. A copy from a file of another VFS is EPIO_ENOTSUP. Any thread. */
int64_t epio__layer_perform(epio__layer *layer, epio_op *op);

struct epio__layer_file {
    epio_file base;
    epio_file *inner;
    /* Behind it: the frame of its close, and the file's state. */
};

/* The size of a struct behind which another object of any type begins. */
#define EPIO__ALIGNED_SIZE(size) (((size) + 15u) & ~(size_t)15u)

static inline void *epio__layer_state_of(const epio__layer *layer, epio__layer_file *file)
{
    return (char *)file + EPIO__ALIGNED_SIZE(sizeof *file) + EPIO__ALIGNED_SIZE(layer->frame_size);
}

/* Frees a file whose inner file is closed. */
void epio__layer_free_file(epio__layer *layer, epio_file *file);

static inline epio_file *epio__layer_inner_file(const epio_op *op)
{
    return op->file != NULL ? ((epio__layer_file *)(void *)op->file)->inner : NULL;
}

#if EPIO_ASYNC

/* Embed it first in your own struct. What follows it is all zero in a new frame, else as the last
 * op left it. */
struct epio__layer_frame {
    epio_frame base;
    epio__layer_file *opened; /* for the result of an open */
    epio_file *second; /* where its paths begin, or what it copies from, as the layer's file; NULL:
                          no such */
    epio__layer_frame *next_free;
};

/* The op's paths begin at the inner directory, or it copies from the inner file, from here on.
 * False: it copies from a file of another VFS. */
bool epio__layer_enter_second(const epio__layer *layer, epio_op *op);

/* For an open that returned: op->file becomes the layer's file; so does a new mapping. Call it
 * before epio__layer_end if that is needed. */
void epio__layer_wrap(epio__layer *layer, epio__layer_frame *frame, epio_op *op);

/* The rare parts of the next two: opens, closes, paths, copies, mappings, and an empty pool. */
epio__layer_frame *epio__layer_make_frame(epio__layer *layer, epio_op *op);
void epio__layer_settle(epio__layer *layer, epio__layer_frame *frame, epio_op *op);

static inline bool epio__layer_is_ordinary(const epio_op *op)
{
    return !epio__op_is(op, EPIO__KIND_OPENS | EPIO__KIND_CLOSES | EPIO__KIND_ON_PATH |
                                EPIO__KIND_COPIES | EPIO__KIND_MAPS | EPIO__KIND_UNMAPS);
}

/* Pushes a frame for a new op. NULL: no memory, which a close does not need; see
 * epio__layer_do_without. */
static inline epio__layer_frame *epio__layer_begin(epio__layer *layer, epio_op *op)
{
    epio__layer_frame *frame = layer->free_frames;
    if (frame == NULL || !epio__layer_is_ordinary(op)) {
        frame = epio__layer_make_frame(layer, op);
        if (frame == NULL) {
            return NULL;
        }
    } else {
        layer->free_frames = frame->next_free;
    }
    epio__frame_push(op, &frame->base);
    return frame;
}

/* For `returned`, once: wraps the file or mapping that is new, frees that of a close, and returns
 * the frame to the pool: it must not be used any more. */
static inline void epio__layer_end(epio__layer *layer, epio__layer_frame *frame, epio_op *op)
{
    if (epio__layer_is_ordinary(op)) {
        frame->next_free = layer->free_frames;
        layer->free_frames = frame;
    } else {
        epio__layer_settle(layer, frame, op);
    }
}

/* Passes an op, with its frame, on to the inner VFS. */
static inline void epio__layer_forward(epio__layer *layer, epio_op *op)
{
    if (!epio__layer_is_ordinary(op) && !epio__layer_enter_second(layer, op)) {
        epio_complete(op, EPIO_ENOTSUP);
        return;
    }
    epio__forward(op, layer->inner, epio__layer_inner_file(op));
}

/* Removes and frees the frame of epio__layer_begin. Not for a close. */
void epio__layer_give_up(epio__layer *layer, epio_op *op);

/* The result of an op for which there was no memory for a frame. */
int64_t epio__layer_do_without(epio__layer *layer, epio_op *op);

#endif

#endif
