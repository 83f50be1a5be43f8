/* The life of a mapping above all VFSes: its end waits for the syncs that were submitted before, as
 * a file's close does, and its syncs share one record of failures with those of its file. Each
 * function is for the kinds of epio/mapping.h. */
#ifndef EPIO_CORE_MAPPING_H
#define EPIO_CORE_MAPPING_H

#include "core/flush_error.h"

static inline bool epio__op_maps(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_ON_MAPPING);
}

/* Aborts if the mapping is unmapped, or will be. */
void epio__mapping_check(const epio_mapping *mapping, const char *function);

/* epio_perform of one: its result. */
int64_t epio__mapping_perform(epio_op *op);

/* The file's reference to what its mappings know of its flushes. */
void epio__flush_note_drop(epio__flush_note *note);

#if EPIO_ASYNC

/* It is being submitted. Any thread. */
void epio__mapping_submitted(const epio_op *op, const char *function);

/* Aborts if an op of the chain follows the unmap of its mapping. */
void epio__mapping_check_chain(epio_op *first);

/* It starts: its VFS gets it, or later does. The owner, as the next. */
void epio__mapping_start(epio_op *op);

/* It ended, and is about to be delivered. */
void epio__mapping_leave(epio_op *op);

#endif

#endif
