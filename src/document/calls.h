/* What all procedures on whole files share: their calls by name, and paths. On the thread of a
 * procedure. */
#ifndef EPIO_DOCUMENT_CALLS_H
#define EPIO_DOCUMENT_CALLS_H

#include "procedure/procedure.h"

/* epio__procedure_perform; what fails leaves its os_error in the procedure's op. */
int64_t epio__document_perform(epio__procedure *procedure, epio_op *op);

/* An error of epio's own. */
int64_t epio__document_fail(epio__procedure *procedure, int64_t error);
/* One that has a reason, which the procedure's op gets: the error. */
int64_t epio__document_refuse(epio__procedure *procedure, uint8_t reason);

/* epio_stat and epio_file_stat, prepared; `info` is cleared, but for its size. */
epio_op *epio__prepare_stat_name(epio_op *op, epio_vfs *vfs, const char *path, epio_info *info,
                                 uint32_t flags);
epio_op *epio__prepare_stat_file(epio_op *op, epio_file *file, epio_info *info);

/* The same, performed. */
int64_t epio__stat_name(epio__procedure *procedure, epio_vfs *vfs, const char *path,
                        epio_info *info, uint32_t flags);
int64_t epio__stat_file(epio__procedure *procedure, epio_file *file, epio_info *info);

/* epio_delete and epio_close, also if it was stopped. */
void epio__delete_name(epio__procedure *procedure, epio_vfs *vfs, const char *path);
int64_t epio__close_file(epio__procedure *procedure, epio_file *file);

/* The same file, by device and id? */
bool epio__same_file(const epio_info *one, const epio_info *other);

/* How much of a path is its directory, with the separator; 0: it begins where paths begin. */
size_t epio__directory_len(const char *path);

/* `first_len` bytes of `first` and all of `second`; NULL: no memory. */
char *epio__join(const char *first, size_t first_len, const char *second);

#endif
