/* What a copy between two files is made of: which op comes next, and what follows from its result.
 * How they are run, by epio_perform or on a loop, is copy_range.c's. */
#ifndef EPIO_COPY_PIECES_H
#define EPIO_COPY_PIECES_H

#include "core/op.h"

/* One copy in flight. The op of the copy is, one after the other, the op of each of its pieces. */
typedef struct epio__copy {
#if EPIO_ASYNC
    epio_frame frame; /* on the op while a piece is in flight */
    bool waits;       /* for the time at which a piece is to be tried again */
#endif

    /* The arguments of the copy. */
    epio_file *from;
    epio_file *to;
    uint64_t from_offset;
    uint64_t to_offset;
    uint64_t len;

    epio_progress_source progress;
    size_t shown; /* atomic; `done` in KiB, which 32 bits suffice for */
    uint64_t done;
    int64_t result; /* of the whole, once it is over */
    uint8_t step;   /* what the piece in flight is for */

    /* Of reads and writes; offsets are in the copy, as `done`. */
    bool all_is_data;     /* where the holes are is not known */
    bool has_punched;     /* a hole was punched, or tried to */
    bool cannot_punch;    /* zeros are written instead */
    bool ends_with_hole;  /* `to` may be too short */
    bool buffer_is_clean; /* all zeros */
    uint64_t data_end;
    uint64_t hole_begin;
    uint64_t hole_end;
    uint64_t to_size; /* of `to`, when the hole was met */
    size_t in_buffer; /* bytes that were read, to be written */
    size_t room;
    unsigned char *buffer; /* aligned, in `memory` */
    void *memory;
    epio_info infos[2]; /* of `from` and `to` */
} epio__copy;

/* Of the op of an epio_copy_range; NULL: no memory. */
epio__copy *epio__copy_create(const epio_op *op);
void epio__copy_destroy(epio__copy *copy);

/* Makes the op that of the next piece. Returns the file that it is for. */
epio_file *epio__copy_prepare(epio__copy *copy, epio_op *op);

/* Makes the op that of the copy again. */
void epio__copy_restore(epio__copy *copy, epio_op *op);

/* A piece has ended, and the op is restored. False: the copy is over, with copy->result. */
bool epio__copy_continue(epio__copy *copy, epio_op *op, int64_t result);

#endif
