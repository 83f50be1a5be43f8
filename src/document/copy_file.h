/* Copying one file or symbolic link, for epio_copy and for trees. On the thread of a procedure. */
#ifndef EPIO_COPY_FILE_H
#define EPIO_COPY_FILE_H

#include "procedure/procedure.h"

/* Beside EPIO_COPY_...: who copies makes the target's name durable later. */
#define EPIO__COPY_NAME_LATER 0x80000000u

/* Of a read, and of a file that is copied by one. */
#define EPIO__COPY_BUFFER ((size_t)64 << 10)

/* The op that failed last. */
typedef struct epio__failure {
    uint32_t kind;
    int32_t os_error;
    uint8_t reason; /* EPIO__REASON_... */
} epio__failure;

/* One thread's. */
typedef struct epio__copier {
    epio__procedure *procedure;
    epio_vfs *from_vfs;
    epio_vfs *to_vfs;
    uint32_t flags;
    uint32_t in_flight; /* 1: on this thread alone */
    unsigned char *buffer;
    epio__failure failure;
    epio_info info; /* of what was copied last, as it was before */
    void *user;

    /* Of what has several names, before the target is made: true: *result is all that is done; and
     * after it was copied. NULL: each is copied. */
    bool (*begin_linked)(struct epio__copier *copier, const char *to, int64_t *result);
    void (*end_linked)(struct epio__copier *copier, const char *to, int64_t result);
} epio__copier;

/* epio__procedure_perform, and what fails is kept in `failure`. */
int64_t epio__copier_perform(epio__copier *copier, epio_op *op);

/* An error of epio's own. */
int64_t epio__copier_refuse(epio__copier *copier, uint8_t reason);

/* Copies a file, or with NOFOLLOW a symbolic link: its length, that of a link 0. What it begins and
 * does not end is removed. */
int64_t epio__copy_one(epio__copier *copier, const char *from, const char *to);

/* A symbolic link itself. */
int64_t epio__copy_link(epio__copier *copier, const char *from, const char *to);

/* With METADATA owner, attributes, permissions and times, from one open file or directory to the
 * other, as far as that is possible: 0, or it was stopped. */
int64_t epio__copy_metadata(epio__copier *copier, epio_file *source, const epio_info *info,
                            epio_file *target);

/* Do both describe one file? Numbers of a memory VFS may be those of a device of the system, but no
 * time of birth is. */
bool epio__is_one_file(const epio_info *one, const epio_info *other);

/* Makes the names in the directory of the path durable: 0. */
int64_t epio__copier_sync_directory(epio__copier *copier, const char *path);

/* Gives the op of the procedure what is known of the failure that is its result. */
void epio__copier_explain(const epio__copier *copier, int64_t result);

#endif
