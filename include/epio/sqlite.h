/* epio under SQLite: any epio VFS as a VFS of SQLite's (https://www.sqlite.org/vfs.html). Part of
 * the library epio-sqlite, beside epio; includes neither sqlite3.h nor what opens databases
 * asynchronously, which is epio/db.h. docs/sqlite.md says what is durable when, and what not to
 * mix. */
#ifndef EPIO_SQLITE_H
#define EPIO_SQLITE_H

#include <epio/epio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EPIO_SQLITE_DEFAULT 1u /* connections that name no VFS use it */
#define EPIO_SQLITE_OVERLAP 2u /* for slow disks: writes go together, scans are read ahead */

/* Registers `vfs` with SQLite as `name`: 0. Every connection of this process may then be opened
 * over it, by sqlite3_open_v2, a URI's vfs=, or EPIO_SQLITE_DEFAULT. SQLite's threads perform its
 * operations: no loop is run, and none is needed. All that stock SQLite's own VFS of the same
 * system does it does, with the same files and the same locks, so that stock processes share the
 * databases. The name is copied; `vfs` must outlive the registration. A name that is registered
 * already is EPIO_EEXIST. Errors: EPIO_EINVAL (NULL or empty name, NULL VFS, unknown flags),
 * EPIO_ENOMEM, EPIO_ENOTSUP (the SQLite that is linked is older than 3.37). Any thread.
 *
 * With EPIO_SQLITE_OVERLAP what SQLite writes is kept, up to 1 MiB for each file, until a sync, a
 * lock, or the index of the log would let others see it: by then writes that follow one another in
 * the file are one, and all others are in flight together, if `vfs` has a loop. Scans are read
 * ahead. What is durable when, and what other processes see and a kill leaves, is as without; but a
 * full disk may be reported by a later statement of the transaction, at last by its COMMIT. It pays
 * where a read or a write takes longer than some 20 us. docs/sqlite.md has the figures.
 *
 * A loop is the registration's alone: no other thread runs it or submits to it until
 * epio_sqlite_unregister, and who made it calls epio_loop_detach before it registers. SQLite's
 * threads run it inside their own calls, and leave it detached. Layers over its VFS may be used. */
EPIO_SQLITE_API int epio_sqlite_register(const char *name, epio_vfs *vfs, uint32_t flags);

/* Takes a registration back: 0; EPIO_ENOENT (no such name, or it is not epio's), EPIO_EINVAL
 * (NULL), EPIO_EBUSY (connections are open over it). Any thread. */
EPIO_SQLITE_API int epio_sqlite_unregister(const char *name);

/* The EPIO_E... that an SQLite result code stands for, extended or not; 0 for SQLITE_OK, SQLITE_ROW
 * and SQLITE_DONE. What concerns the SQL alone is EPIO_ESQL, a damaged file EPIO_ECORRUPT. Any
 * thread. */
EPIO_SQLITE_API int epio_sqlite_error(int code);

#ifdef __cplusplus
}
#endif

#endif
