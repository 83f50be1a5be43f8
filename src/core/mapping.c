/* See mapping.h. A mapping has no order but this: its unmap comes last. */
#include "core/mapping.h"

#include "fatal.h"
#if EPIO_ASYNC
#include "core/loop.h"
#endif

#include <stdlib.h>

/* ---- What flushes have come to ---- */

void epio__flush_note_drop(epio__flush_note *note)
{
    if (note != NULL && epio__subtract_u32(&note->references, 1) == 1) {
        free(note);
    }
}

/* Makes the file's note, unless it has one: false if there is no memory. A flush that fails at the
 * same time is recorded in the file, then in its note: one of the two sees the other. */
static bool make_note(epio_file *file)
{
    uintptr_t none = 0;
    if (epio__flush_note_of(file) != NULL) {
        return true;
    }
    epio__flush_note *note = calloc(1, sizeof *note);
    if (note == NULL) {
        return false;
    }
    note->references = 1;
    if (!epio__compare_exchange_pointer(&file->flush_note, &none, (uintptr_t)note)) {
        free(note);
    } else if (epio__load_u32(&file->flush_failed) == EPIO__FLUSH_FAILED) {
        (void)epio__flush_record(&note->failed, &note->os_error, file->flush_os_error);
    }
    return true;
}

/* What a mapping knows of its file. */
static void take_note(epio_mapping *mapping, const epio_file *file)
{
    epio__flush_note *note = epio__flush_note_of(file);
    epio__add_u32(&note->references, 1);
    mapping->flush_note = note;
    mapping->attributes = file->attributes;
}

static void drop_note(epio_mapping *mapping)
{
    epio__flush_note_drop(mapping->flush_note);
    mapping->flush_note = NULL;
}

/* ---- In every VFS ---- */

void epio__mapping_check(const epio_mapping *mapping, const char *function)
{
    if (mapping->unmap != NULL) {
        epio__fatal(function, "the mapping is unmapped already");
    }
}

/* 0, or the error with which it ends instead. */
static int64_t begin(epio_op *op)
{
    epio_mapping *mapping = op->arguments.map.mapping;
    switch (op->kind) {
    case EPIO_KIND_MAP:
        return make_note(op->file) ? 0 : EPIO_ENOMEM;
    case EPIO_KIND_UNMAP:
        drop_note(mapping); /* no sync follows */
        return 0;
    default:
        return epio__flush_note_has_failed(mapping->flush_note, &op->os_error) ? EPIO_EIO : 0;
    }
}

/* One that was cancelled, or refused, says nothing of flushes. */
static void end(epio_op *op)
{
    epio_mapping *mapping = op->arguments.map.mapping;
    if (op->kind == EPIO_KIND_MAP && op->result >= 0) {
        take_note(mapping, op->file);
    } else if (op->kind == EPIO_KIND_SYNC_MAPPING &&
               (op->result >= 0 || epio__flush_sticks(op->result))) {
        op->result = epio__flush_outcome_of_mapping(mapping->flush_note, op->result, &op->os_error);
    }
}

static bool is_busy(const epio_mapping *mapping)
{
#if EPIO_ASYNC
    /* What was in flight at a fork is the parent's. */
    return epio__load_size(&mapping->in_flight) != 0 &&
           !epio__loop_is_inherited(mapping->vfs->loop);
#else
    (void)mapping;
    return false;
#endif
}

int64_t epio__mapping_perform(epio_op *op)
{
    epio_mapping *mapping = op->arguments.map.mapping;
    if (op->kind != EPIO_KIND_MAP) {
        epio__mapping_check(mapping, "epio_perform");
    }
    if (op->kind == EPIO_KIND_UNMAP) {
        if (is_busy(mapping)) {
            return EPIO_EBUSY;
        }
        mapping->unmap = op;
    }
    op->result = begin(op);
    if (op->result == 0) {
        op->result = op->vfs->methods->perform(op->vfs, op);
        end(op);
    }
    return op->result;
}

/* ---- For VFSes ---- */

void epio__mapping_init(epio_mapping *mapping, epio_vfs *vfs, void *address, uint64_t len)
{
    mapping->vfs = vfs;
    mapping->address = address;
    mapping->len = len;
#if EPIO_ASYNC
    if (vfs->loop != NULL) {
        epio__add_size(&vfs->loop->mappings, 1);
    }
#endif
}

void epio__mapping_free(epio_mapping *mapping)
{
#if EPIO_ASYNC
    if (mapping->vfs->loop != NULL) {
        epio__subtract_size(&mapping->vfs->loop->mappings, 1);
    }
#endif
    epio__file_free(mapping);
}

/* ---- On a loop ---- */

#if EPIO_ASYNC

void epio__mapping_submitted(const epio_op *op, const char *function)
{
    epio_mapping *mapping = op->arguments.map.mapping;
    if (op->kind == EPIO_KIND_MAP || mapping == NULL) {
        return;
    }
    epio__mapping_check(mapping, function);
    if (op->kind == EPIO_KIND_SYNC_MAPPING) {
        epio__add_size(&mapping->in_flight, 1);
    }
}

/* NULL: no mapping that there is already. */
static epio_mapping *mapping_of(const epio_op *op)
{
    bool has_one = epio__op_maps(op) && op->kind != EPIO_KIND_MAP;
    return has_one ? op->arguments.map.mapping : NULL;
}

/* It would wait for itself. As in a chain with a close, the mark is where the ops meet. */
void epio__mapping_check_chain(epio_op *first)
{
    for (epio_op *op = first; op != NULL; op = op->link) {
        epio_mapping *mapping = mapping_of(op);
        if (mapping == NULL) {
            continue;
        }
        if (epio__load_relaxed_u32(&mapping->chain_unmaps) != 0) {
            epio__fatal("epio_submit", "an op is linked behind the unmap of its mapping");
        }
        if (op->kind == EPIO_KIND_UNMAP) {
            epio__store_relaxed_u32(&mapping->chain_unmaps, 1);
        }
    }
    for (epio_op *op = first; op != NULL; op = op->link) {
        epio_mapping *mapping = mapping_of(op);
        if (mapping != NULL && op->kind == EPIO_KIND_UNMAP) {
            epio__store_relaxed_u32(&mapping->chain_unmaps, 0);
        }
    }
}

static void start_unmap(epio_op *op)
{
    epio_mapping *mapping = op->arguments.map.mapping;
    epio__mapping_check(mapping, "epio_submit");
    mapping->unmap = op;
    if (epio__load_size(&mapping->in_flight) != 0) {
        epio__op_enter(op, EPIO__PHASE_CLOSING);
        return;
    }
    (void)begin(op);
    epio__op_hold(op);
}

void epio__mapping_start(epio_op *op)
{
    if (op->kind == EPIO_KIND_UNMAP) {
        start_unmap(op);
        return;
    }
    int64_t error = begin(op);
    if (error == 0) {
        epio__op_hold(op);
    } else {
        epio_complete(op, error);
    }
}

void epio__mapping_leave(epio_op *op)
{
    epio_mapping *mapping = op->arguments.map.mapping;
    if (op->kind == EPIO_KIND_UNMAP || (op->kind == EPIO_KIND_SYNC_MAPPING && mapping == NULL)) {
        return;
    }
    end(op);
    if (op->kind == EPIO_KIND_SYNC_MAPPING && epio__subtract_size(&mapping->in_flight, 1) == 1 &&
        mapping->unmap != NULL) {
        (void)begin(mapping->unmap);
        epio__op_hold(mapping->unmap);
    }
}

#endif
