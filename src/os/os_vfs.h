/* The operating system as a VFS, which may live in a loop. */
#ifndef EPIO_OS_VFS_H
#define EPIO_OS_VFS_H

#include "os/tuner.h"
#include "os/write_routes.h"
#include "platform.h"

#if EPIO_ASYNC
#include "core/loop_hooks.h"
#endif

/* From this many reads on, one call for all may be worth its cost. */
#define EPIO__READS_OF_A_BATCH 8u

typedef struct epio__os_vfs {
    epio_vfs base;
#if EPIO_ASYNC
    const epio__backend *backend; /* the loop's, as the next */
    void *backend_state;

    /* For collected reads. */
    epio__tuner tuner;    /* one by one or together */
    uint32_t closed_file; /* atomic; a file was closed since the latest were read together */
    bool read_together;   /* and the backend still keeps what that needed */

    epio__write_routes routes; /* of buffered writes */

    bool guards_writes; /* see epio__os_writes_begin */
#endif
} epio__os_vfs;

extern const epio_vfs_methods epio__os_vfs_methods;

/* COPY_RANGE to a file of the operating system. */
int64_t epio__os_vfs_copy(epio_op *op);

#if EPIO_ASYNC
extern const epio__loop_hooks epio__os_vfs_hooks;
#endif

#endif
