/* Another process that takes locks on a file when it is told to: by epio, or by
 * the system's SQLite in a real transaction. It goes when its test does. */
#ifndef EPIO_TEST_PARTNER_H
#define EPIO_TEST_PARTNER_H

#include "support.h"

typedef enum partner_kind { BY_EPIO, BY_SQLITE } partner_kind;

typedef struct partner {
    child process;
} partner;

/* For the CHILDREN_ARE of a test that has partners or asks locks_on. */
#define PARTNER_CHILDREN CHILD(partner_child), CHILD(lock_observer)

child_run partner_child;
child_run lock_observer;

/* False without SQLite. */
bool partner_is_available(partner_kind kind);

/* Makes the file: a small SQLite database where there is SQLite, so that either
 * kind can be asked about it. */
void partner_make_file(const char *path);

void partner_start(partner *one, partner_kind kind, const char *path);

/* Releases all, and is gone. */
void partner_end(partner *one);

/* Ends it at once, wherever it is. */
void partner_kill(partner *one);

/* Goes up, step by step and without waiting, as far as it can; returns the level
 * that it has then. */
uint32_t partner_raise_to(partner *one, uint32_t level);

/* The same from NONE to EXCLUSIVE by way of SHARED alone, as a hot journal is rolled
 * back. */
uint32_t partner_raise_directly(partner *one);

/* Back to NONE. */
void partner_unlock_all(partner *one);
/* The same after a while, for what is to wait meanwhile: then partner_result is 0. */
void partner_unlock_all_after(partner *one, uint64_t after_ns);

/* Its epio_check_reserved_lock, or xCheckReservedLock. */
int partner_sees_reserved(partner *one);

/* Of BY_EPIO alone: epio_lock and epio_unlock, and what they gave. */
int64_t partner_lock(partner *one, uint32_t level, uint32_t flags, uint64_t timeout_ns);
int64_t partner_unlock(partner *one, uint32_t level);

/* partner_lock in two steps, for what is to wait meanwhile. */
void partner_send_lock(partner *one, uint32_t level, uint32_t flags, uint64_t timeout_ns);
int64_t partner_result(partner *one);

/* The locks on a file's bytes as another process sees them. */
#define LOCKS_PENDING 0x01u /* exclusive */
#define LOCKS_RESERVED 0x02u
#define LOCKS_EXCLUSIVE 0x04u /* on the bytes of SHARED */
#define LOCKS_SHARED 0x08u
#define LOCKS_OTHER 0x10u /* what should not be */

uint32_t locks_on(const char *path);
/* Before the first of them, in main: from then on that process is there. */
void lock_observer_start(void);

/* What they are while one file holds this level, having gone step by step. */
extern const uint32_t locks_of_level[5];

/* What a file holds that goes for `wanted` step by step, without waiting, while
 * another holds `held`: SQLite's rules. */
extern const uint32_t lock_outcomes[5][5];
extern const char *const lock_names[5];

/* Goes up as far as it can, without waiting: the level that it has then. */
uint32_t lock_raise_to(epio_file *file, uint32_t level);

#endif
