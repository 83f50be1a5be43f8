/* A layer that refuses ops of one kind, also those of epio_perform and without loops; fault_vfs.h
 * does more, on loops. */
#ifndef EPIO_TEST_OP_FAULTS_H
#define EPIO_TEST_OP_FAULTS_H

#include <epio/vfs.h>

/* `times` of them, after `skip` that pass. */
typedef struct op_faults {
    uint32_t kind; /* WRITE: a WRITEV, too */
    uint32_t skip;
    uint32_t times;
    int result;
    int32_t os_error;
    uint32_t only_flags;              /* of those with all of these flags alone */
    uint32_t counts[EPIO_KIND_COUNT]; /* passed or refused */
} op_faults;

/* Clears `faults`, which must outlive the VFS. */
epio_vfs *op_faults_create(epio_vfs *inner, op_faults *faults);

#endif
