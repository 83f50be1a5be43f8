/* A copy of a watched directory, in a memory VFS of its own, that follows the directory by the
 * events of the watch alone; and the comparison of both at the end. For directories of any VFS,
 * from any thread, by epio_perform. A failure aborts the program, so child processes may use it,
 * too. */
#ifndef EPIO_TEST_REPLAY_H
#define EPIO_TEST_REPLAY_H

#include "support.h"

typedef struct replay replay;

/* Copies the directory as it is. Nothing may change in it between the watch and the end of this. */
replay *replay_begin(epio_vfs *vfs, const char *directory);
void replay_free(replay *one);

/* What epio_read_events has filled with `len` bytes. Checks that they are well formed. */
void replay_apply(replay *one, const void *buffer, size_t len);

/* Events so far; and whether OVERFLOW, or the end of the directory, was among them. */
size_t replay_count(const replay *one);
bool replay_overflowed(const replay *one);
bool replay_ended(const replay *one);

/* RENAMED so far of names that the copy did not have: their new names were made instead. */
size_t replay_missed(const replay *one);

/* Fetches the bytes of what was made or changed, and compares names, types, bytes and targets of
 * links with the directory, in which nothing changes any more: the number of differences, each of
 * which is printed. After an OVERFLOW nothing is compared: 0. */
size_t replay_differences(replay *one);

/* ---- Reading ------------------------------------------------------------- */

/* Events in the order in which they were read. */
typedef struct event_log {
    uint64_t *events; /* NULL: none */
    size_t len;
    size_t capacity;
} event_log;

void event_log_append(event_log *log, const void *buffer, size_t len);
void event_log_free(event_log *log);

/* Is `name` among the events, as MADE? */
bool events_have_made(const void *buffer, size_t len, const char *name);

/* Reads events by epio_perform until `last`, a name in the directory, was MADE, which is the sign
 * that no more follow, or the directory has ended. After an OVERFLOW the name is looked for. */
void event_log_read(event_log *log, epio_file *watch, epio_vfs *vfs, const char *directory,
                    const char *last);

/* One event in words: "+ name", "* name" (CHANGED), "- name", "> from name", "@ name"
 * (ATTRIBUTES), "!". */
void event_describe(const epio_event *event, char *text, size_t size);

#endif
