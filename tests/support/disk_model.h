/* A layer for tests that knows what is on the disk: it records writes, truncates, syncs and
 * deletions in their order, and builds the files as they are after a part of them, when the process
 * is killed or the power fails; and it can be as slow as a disk. For one thread at a time. */
#ifndef EPIO_TEST_DISK_MODEL_H
#define EPIO_TEST_DISK_MODEL_H

#include "support.h"

#include <epio/vfs.h>

typedef struct disk_model disk_model;

/* Files whose names begin with `prefix`, which must live as long; the -shm is none of them. The
 * model ends with the VFS. */
epio_vfs *disk_model_create(disk_model **disk, epio_vfs *inner, const char *prefix);

/* How long each write, and each read and sync, of these files takes; submitted ones at the same
 * time.
 */
void disk_set_delays(disk_model *disk, uint64_t writes_ns, uint64_t others_ns);

/* Records from now on; `mark` goes with what is recorded later. */
void disk_record(disk_model *disk, bool records);
void disk_mark(disk_model *disk, uint64_t mark);

size_t disk_records(const disk_model *disk);
uint64_t disk_mark_at(const disk_model *disk, size_t records);

/* Reads, writes and syncs that began so far; the most that were in flight; syncs that began while
 * writes of the same file were in flight. */
uint64_t disk_count(const disk_model *disk, uint32_t kind);
uint32_t disk_most_in_flight(const disk_model *disk);
uint32_t disk_early_syncs(const disk_model *disk);

/* Builds the files in another VFS, by epio_perform, after the first `records`. `random` is NULL:
 * the process was killed, and all that it wrote is there. Else the power failed: what was synced is
 * there, and of the rest any sectors, also of shorter or longer files. */
void disk_build(disk_model *disk, size_t records, random_source *random, epio_vfs *vfs);

#endif
