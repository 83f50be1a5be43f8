/* A save from its beginning to its end, in the steps that epio_save and the verbs of a save in
 * steps are made of. On the thread of a procedure. */
#ifndef EPIO_DOCUMENT_SAVING_H
#define EPIO_DOCUMENT_SAVING_H

#include "document/replacement.h"
#include "document/source.h"

struct epio_saving {
    epio_vfs *vfs;
    char *path;
    char *backup; /* NULL: none is wanted */
    uint32_t flags;
    uint32_t permissions;
    epio_info expected;
    epio_info *saved; /* NULL: it is not wanted */
    epio__replacement replacement;
    bool in_place;
    epio_file *temporary; /* in place, and in steps: where the bytes are until the commit */
    int64_t notes;        /* EPIO_SAVED_... */
};

/* Copies what it is given: 0 or EPIO_ENOMEM. epio__saving_free follows in any case. */
int64_t epio__saving_init(epio_saving *one, epio_vfs *vfs, const char *path,
                          const epio_save_options *options);

/* Decides where the bytes go, and makes that: 0. `in_steps`: in place, too. */
int64_t epio__saving_begin(epio__procedure *procedure, epio_saving *one, bool in_steps);

/* Where the bytes are written before the commit; NULL: nowhere. */
epio_file *epio__saving_file(const epio_saving *one);

/* Of a save in steps: looks what is at the target by now, before the commit: 0. */
int64_t epio__saving_renew(epio__procedure *procedure, epio_saving *one);

/* The new file takes the place of the old one; in place the source is written over it. The result
 * of the save; after an error it can be repeated. */
int64_t epio__saving_commit(epio__procedure *procedure, epio_saving *one,
                            const epio__source *source);

/* Removes what it has made, closes its files and frees what it has copied: the result of the
 * closes. */
int64_t epio__saving_end(epio__procedure *procedure, epio_saving *one);

/* ---- Of these the parts ---- */

/* EPIO_ECHANGED if it is another file than is expected; 0, also if anything is. */
int64_t epio__saving_check(epio__procedure *procedure, const epio_saving *one, bool exists,
                           const epio_info *info);

/* Keeps the old file under its second name: 0. `by_link`: it is to be replaced. */
int64_t epio__saving_keep_backup(epio__procedure *procedure, epio_saving *one, bool by_link);

/* Writes over the old file: 0. */
int64_t epio__saving_write_over(epio__procedure *procedure, epio_saving *one,
                                const epio__source *source);

#endif
