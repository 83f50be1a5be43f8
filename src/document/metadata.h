/* What a new file takes over from the one whose place it takes: owner, permissions, ACL, extended
 * attributes. On the thread of a procedure. */
#ifndef EPIO_DOCUMENT_METADATA_H
#define EPIO_DOCUMENT_METADATA_H

#include "procedure/procedure.h"

/* Owner and group: 0, or EPIO_SAVED_OWNER_LOST; an error: it was stopped. `made` is what the new
 * file is, and kept so. */
int64_t epio__take_owner(epio__procedure *procedure, const epio_info *old, epio_file *file,
                         epio_info *made);

/* All else but times, once the owner is as it will be, and the bytes are: 0, or
 * EPIO_SAVED_METADATA_LOST; an error: the permissions could not be set, or it was stopped. `path`,
 * no symbolic link, is the old one's; NULL: it is gone, and `old` is all that is known. Who is
 * another owner or group now, and who was the old one, get no more than they had. */
int64_t epio__take_metadata(epio__procedure *procedure, epio_vfs *vfs, const char *path,
                            const epio_info *old, epio_file *file, epio_info *made);

/* The same of an open file or directory. */
int64_t epio__take_metadata_of(epio__procedure *procedure, epio_file *source, const epio_info *old,
                               epio_file *file, epio_info *made);

#endif
