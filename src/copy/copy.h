/* Two further forms of epio_copy_range, for what performs it alone: nothing is submitted, so the
 * files may complete on different loops. */
#ifndef EPIO_COPY_H
#define EPIO_COPY_H

#include "core/verb.h"

epio_op *epio__copy_now(epio_op *op, epio_file *from, uint64_t offset, epio_file *to,
                        uint64_t to_offset, uint64_t len);

/* By the VFS of both alone, without reads and writes: how many bytes, fewer than `len` also where
 * it takes a pause, 0 at the end of `from`; EPIO_ENOTSUP: it cannot, and nothing was done. */
epio_op *epio__copy_within(epio_op *op, epio_file *from, uint64_t offset, epio_file *to,
                           uint64_t to_offset, uint64_t len);

#endif
