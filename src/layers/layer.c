/* See layer.h. */
#include "layers/layer.h"

#include "core/directory.h"
#include "fatal.h"

#include <stdlib.h>

static epio__layer_file *file_of(epio_file *file)
{
    return (epio__layer_file *)(void *)file;
}

/* ---- Files ---- */

/* The frame of its close is behind it, since a close must not need memory. */
static epio__layer_file *make_file(const epio__layer *layer)
{
    return calloc(1, EPIO__ALIGNED_SIZE(sizeof(epio__layer_file)) +
                         EPIO__ALIGNED_SIZE(layer->frame_size) + layer->file_state);
}

/* Replaces the file of an open that succeeded by the layer's; frees that if it failed. */
static void wrap_opened(epio__layer *layer, epio__layer_file *file, epio_op *op, int64_t result)
{
    if (result < 0) {
        free(file);
        return;
    }
    file->inner = op->file;
    epio_file_init(&file->base, &layer->base, op->file->flags, op->file->attributes);
    epio__add_size(&layer->open_files, 1);
    op->file = &file->base;
}

/* ---- Mappings ---- */

/* The layer is between the mapping and the inner VFS from here on. */
static void wrap_mapping(epio__layer *layer, const epio_op *op, int64_t result)
{
    epio_mapping *mapping = op->arguments.map.mapping;
    if (result >= 0 && mapping != NULL && mapping->vfs != &layer->base) {
        mapping->vfs = &layer->base;
        epio__add_size(&layer->mappings, 1);
    }
}

/* ---- Closing ---- */

void epio__layer_free_file(epio__layer *layer, epio_file *file)
{
    epio__subtract_size(&layer->open_files, 1);
    epio_file_release(file);
    epio__file_free(file);
}

/* ---- epio_perform ---- */

static int64_t perform_open(epio__layer *layer, epio_op *op)
{
    epio__layer_file *file = make_file(layer);
    if (file == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = epio_perform_on(op, layer->inner, NULL);
    wrap_opened(layer, file, op, result);
    return result;
}

static int64_t perform_close(epio__layer *layer, epio_op *op)
{
    epio__layer_file *file = file_of(op->file);
    int64_t result = epio_perform_on(op, layer->inner, file->inner);
    epio__layer_free_file(layer, &file->base);
    return result;
}

static epio_file *inner_of(epio_file *file)
{
    return file != NULL ? file_of(file)->inner : NULL;
}

/* Where the op has a file beside its own; NULL: nowhere. */
static epio_file **second_of(epio_op *op)
{
    if (epio__op_is(op, EPIO__KIND_ON_PATH)) {
        return &op->arguments.path.directory;
    }
    return epio__op_is(op, EPIO__KIND_COPIES) ? &op->arguments.copy.from : NULL;
}

static bool copies_from_elsewhere(const epio__layer *layer, const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_COPIES) && op->arguments.copy.from->vfs != &layer->base;
}

static int64_t perform_below(epio__layer *layer, epio_op *op)
{
    int64_t result;
    if (epio__op_is(op, EPIO__KIND_OPENS)) {
        return perform_open(layer, op);
    }
    switch (op->kind) {
    case EPIO_KIND_CLOSE:
        return perform_close(layer, op);
    case EPIO_KIND_MAP:
        result = epio_perform_on(op, layer->inner, epio__layer_inner_file(op));
        wrap_mapping(layer, op, result);
        return result;
    case EPIO_KIND_UNMAP:
        result = epio_perform_on(op, layer->inner, NULL);
        epio__subtract_size(&layer->mappings, 1);
        return result;
    default:
        return epio_perform_on(op, layer->inner, epio__layer_inner_file(op));
    }
}

int64_t epio__layer_perform(epio__layer *layer, epio_op *op)
{
    epio_file **second = second_of(op);
    if (second == NULL) {
        return perform_below(layer, op);
    }
    if (copies_from_elsewhere(layer, op)) {
        return EPIO_ENOTSUP;
    }
    epio_file *own = *second;
    *second = inner_of(own);
    int64_t result = perform_below(layer, op);
    *second = own;
    return result;
}

#if EPIO_ASYNC

/* ---- On a loop ---- */

static epio__layer_frame *frame_of_close(const epio_op *op)
{
    char *file = (char *)op->file;
    return (epio__layer_frame *)(void *)(file + EPIO__ALIGNED_SIZE(sizeof(epio__layer_file)));
}

static epio__layer_frame *take_frame(epio__layer *layer)
{
    epio__layer_frame *frame = layer->free_frames;
    if (frame != NULL) {
        layer->free_frames = frame->next_free;
        return frame;
    }
    frame = calloc(1, layer->frame_size);
    layer->frames += frame != NULL ? 1 : 0;
    return frame;
}

static void put_frame(epio__layer *layer, epio__layer_frame *frame)
{
    frame->next_free = layer->free_frames;
    layer->free_frames = frame;
}

epio__layer_frame *epio__layer_make_frame(epio__layer *layer, epio_op *op)
{
    bool closes = op->kind == EPIO_KIND_CLOSE;
    epio__layer_frame *frame = closes ? frame_of_close(op) : take_frame(layer);
    if (frame == NULL) {
        return NULL;
    }
    frame->base.returned = layer->returned;
    epio_file **second = second_of(op);
    frame->second = second != NULL ? *second : NULL;
    if (epio__op_is(op, EPIO__KIND_OPENS)) {
        frame->opened = make_file(layer);
        if (frame->opened == NULL) {
            put_frame(layer, frame);
            return NULL;
        }
    }
    return frame;
}

bool epio__layer_enter_second(const epio__layer *layer, epio_op *op)
{
    epio_file **second = second_of(op);
    if (copies_from_elsewhere(layer, op)) {
        return false;
    }
    if (second != NULL) {
        *second = inner_of(*second);
    }
    return true;
}

void epio__layer_wrap(epio__layer *layer, epio__layer_frame *frame, epio_op *op)
{
    epio_file **second = second_of(op);
    if (second != NULL) {
        *second = frame->second;
    }
    if (epio__op_is(op, EPIO__KIND_MAPS)) {
        wrap_mapping(layer, op, op->result);
    }
    if (frame->opened != NULL) {
        wrap_opened(layer, frame->opened, op, op->result);
        frame->opened = NULL;
    }
}

void epio__layer_settle(epio__layer *layer, epio__layer_frame *frame, epio_op *op)
{
    if (op->kind == EPIO_KIND_CLOSE) {
        epio__layer_free_file(layer, op->file);
        return;
    }
    if (epio__op_is(op, EPIO__KIND_UNMAPS)) {
        epio__subtract_size(&layer->mappings, 1);
    }
    epio__layer_wrap(layer, frame, op);
    put_frame(layer, frame);
}

void epio__layer_give_up(epio__layer *layer, epio_op *op)
{
    epio__layer_frame *frame = (epio__layer_frame *)(void *)op->frames;
    op->frames = frame->base.below;
    free(frame->opened);
    frame->opened = NULL;
    put_frame(layer, frame);
}

int64_t epio__layer_do_without(epio__layer *layer, epio_op *op)
{
    /* What ends a lock or a mapping must not fail for lack of memory, and waits for nothing. */
    return epio__op_is(op, EPIO__KIND_MUST_RUN) ? epio__layer_perform(layer, op) : EPIO_ENOMEM;
}

/* Are some on ops in flight? */
static bool frames_are_missing(const epio__layer *layer)
{
    size_t frames = 0;
    for (const epio__layer_frame *at = layer->free_frames; at != NULL; at = at->next_free) {
        frames++;
    }
    return frames != layer->frames;
}

static void free_frames(epio__layer *layer)
{
    while (layer->free_frames != NULL) {
        epio__layer_frame *frame = layer->free_frames;
        layer->free_frames = frame->next_free;
        free(frame);
    }
}

#else

static bool frames_are_missing(const epio__layer *layer)
{
    (void)layer;
    return false;
}

static void free_frames(epio__layer *layer)
{
    (void)layer;
}

#endif

/* ---- The VFS ---- */

static epio__layer *layer_of_entry(epio__entry *entry)
{
    return EPIO_CONTAINER(entry, epio__layer, entry);
}

static void before_fork(epio__entry *entry)
{
    epio__mutex *mutex = layer_of_entry(entry)->mutex;
    if (mutex != NULL) {
        epio__mutex_lock(mutex);
    }
}

static void after_fork(epio__entry *entry, bool in_child)
{
    epio__layer *layer = layer_of_entry(entry);
    if (in_child) {
        layer->inherited = true; /* in the child alone: other threads of the parent read it */
    }
    if (layer->mutex != NULL) {
        epio__mutex_unlock(layer->mutex);
    }
}

static const char *needs_vfs(const epio__entry *entry, const epio_vfs *vfs)
{
    const epio__layer *layer = layer_of_entry((epio__entry *)(uintptr_t)entry);
    return layer->inner == vfs ? "a VFS lies over this one; destroy that first" : NULL;
}

static const epio__entry_methods layer_entry_methods = {
    .before_fork = before_fork,
    .after_fork = after_fork,
    .needs_vfs = needs_vfs,
};

bool epio__layer_may_lie_over(const epio_vfs *inner)
{
    return inner != NULL && epio__directory_of_vfs(inner) == NULL;
}

void epio__layer_init(epio__layer *layer, const epio_vfs_methods *methods, epio_vfs *inner,
                      bool (*returned)(epio_frame *frame, epio_op *op), size_t frame_size)
{
    layer->base.methods = methods;
    layer->base.loop = inner->loop;
    layer->inner = inner;
    layer->returned = returned;
    layer->frame_size = frame_size;
    epio__registry_add(&layer->entry, &layer_entry_methods);
}

void epio__layer_check_unused(epio__layer *layer)
{
    if (layer->inherited) {
        return; /* a file may be that of a save which goes on in the parent */
    }
    if (epio__load_size(&layer->open_files) != 0) {
        epio__fatal("epio_vfs_destroy", "a file of the VFS is still open; close it first");
    }
    if (epio__load_size(&layer->mappings) != 0) {
        epio__fatal("epio_vfs_destroy", "a mapping of the VFS is still there; unmap it first");
    }
    if (frames_are_missing(layer)) {
        epio__fatal("epio_vfs_destroy", "operations of the VFS are in flight; wait for their "
                                        "completion first");
    }
}

void epio__layer_destroy(epio__layer *layer)
{
    epio__registry_remove(&layer->entry);
    free_frames(layer);
    free(layer);
}

intptr_t epio__layer_os_handle(const epio_file *file)
{
    return epio_file_os_handle(((const epio__layer_file *)(const void *)file)->inner);
}

uint32_t epio__layer_lock_level(const epio_file *file)
{
    return epio_file_lock_level(((const epio__layer_file *)(const void *)file)->inner);
}
