/* Another process that locks a file on request: by epio, or by the system's SQLite in a real
 * transaction. It exits with its test. */
#ifndef EPIO_TEST_PARTNER_H
#define EPIO_TEST_PARTNER_H

#include "support.h"

typedef enum partner_kind { BY_EPIO, BY_SQLITE } partner_kind;

typedef struct partner {
    child process;
} partner;

/* For the CHILDREN_ARE of a test that uses partners or locks_on. */
#define PARTNER_CHILDREN CHILD(partner_child), CHILD(lock_observer)

child_run partner_child;
child_run lock_observer;

/* False without SQLite. */
bool partner_is_available(partner_kind kind);

/* Makes the file: a small SQLite database if SQLite is there, so that both kinds can open it. */
void partner_make_file(const char *path);

void partner_start(partner *one, partner_kind kind, const char *path);

/* Unlocks and exits. */
void partner_end(partner *one);

/* Kills it at once. */
void partner_kill(partner *one);

/* Raises its lock step by step, without waiting, as far as possible; returns the level reached. */
uint32_t partner_raise_to(partner *one, uint32_t level);

/* The same from SHARED to EXCLUSIVE directly, as for the rollback of a hot journal. */
uint32_t partner_raise_directly(partner *one);

/* Unlocks to NONE. */
void partner_unlock_all(partner *one);
/* The same after a delay, without waiting: partner_result is 0 then. */
void partner_unlock_all_after(partner *one, uint64_t after_ns);

/* Its epio_check_reserved_lock, or xCheckReservedLock. */
int partner_sees_reserved(partner *one);

/* Of BY_EPIO alone: epio_lock and epio_unlock, and their results. */
int64_t partner_lock(partner *one, uint32_t level, uint32_t flags, uint64_t timeout_ns);
int64_t partner_unlock(partner *one, uint32_t level);

/* partner_lock in two steps, with the test running meanwhile. */
void partner_send_lock(partner *one, uint32_t level, uint32_t flags, uint64_t timeout_ns);
int64_t partner_result(partner *one);

/* The locks on a file's bytes as another process sees them. */
#define LOCKS_PENDING 0x01u /* exclusive */
#define LOCKS_RESERVED 0x02u
#define LOCKS_EXCLUSIVE 0x04u /* on the bytes of SHARED */
#define LOCKS_SHARED 0x08u
#define LOCKS_OTHER 0x10u /* unexpected */

uint32_t locks_on(const char *path);
/* Starts the observer process; in main, before the first locks_on. */
void lock_observer_start(void);

/* The locks of one file that reached this level step by step. */
extern const uint32_t locks_of_level[5];

/* The level that a file reaches which is raised to `wanted` step by step, without waiting, while
 * another holds `held`: SQLite's rules. */
extern const uint32_t lock_outcomes[5][5];
extern const char *const lock_names[5];

/* Raises the lock as far as possible, without waiting; returns the level reached. */
uint32_t lock_raise_to(epio_file *file, uint32_t level);

#endif
