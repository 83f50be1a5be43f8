/* What db_queue.c, db_cancel.c and db_perform.c share: taking a turn with a connection, on a worker
 * or on a thread that performs an op. The database's mutex is held in all of these. */
#ifndef EPIO_SQLITE_DB_QUEUE_H
#define EPIO_SQLITE_DB_QUEUE_H

#include "sqlite/db.h"

/* A thread in epio_perform, on its stack, in root->waiters. */
struct epio__db_waiter {
    epio_node node;
    epio_op *op;
    int64_t result;
    bool done;
    bool expired;          /* its deadline has passed, and has cancelled it */
    epio_semaphore *woken; /* NULL: it does not sleep */
};

/* Puts the op where it waits; true if it has ended instead, with *result. */
bool epio__db_arrive(epio__database *root, epio_op *op, int64_t *result);

epio_op *epio__db_op_take_first(epio_node *list);

/* After a close arrived: ends those who wait for changes, and cancels, if it says so. Called
 * without the mutex. */
void epio__db_close_arrived(epio__database *root, const epio_op *op);

/* True if the connection has something to do for a thread that performs `op`: that, or what no
 * other thread brings itself. */
bool epio__db_has_turn_for(epio__db_connection *connection, const epio_op *op);

/* Ops of a list that were submitted: those that are performed bring their thread. */
size_t epio__db_submitted_in(const epio_node *list);

/* True if the connection has something to do that no thread comes for. */
bool epio__db_needs_worker(epio__db_connection *connection);

/* A connection that the thread which performs `op` can help it along with; NULL: others have to. */
epio__db_connection *epio__db_connection_with_turn(epio__database *root, const epio_op *op);

/* Carries out what there is for the connection, which is marked as running, without the mutex
 * meanwhile; until `waiter`, if that is not NULL, has its result. */
void epio__db_work(epio__db_connection *connection, const epio__db_waiter *waiter);

/* The connection that must, or may, carry the op out, if it has no thread; else NULL. */
epio__db_connection *epio__db_connection_for(epio__database *root, const epio_op *op);

/* The one connection that the op must have; NULL: any of its role. */
epio__db_connection *epio__db_connection_of(const epio_op *op);

/* Carries the op out: its connection's thread, without the mutex. */
int64_t epio__db_carry_out(epio__db_connection *connection, epio_op *op);

/* Ends what waits until no turn, timer or thread is at the database any more: a close, and the
 * memory of one that was destroyed. True if it did. The mutex is held, and released. */
bool epio__db_leave(epio__database *root);

/* Ends without being cancelled: what releases a connection must. */
bool epio__db_must_be_carried_out(const epio_op *op);

/* ---- db_park.c ---- */

/* Keeps an op in flight until op->due, and lets it arrive again. False: it was cancelled. */
bool epio__db_park(epio__database *root, epio_op *op);
bool epio__db_is_parked(const epio_op *op);

/* The op is the caller's to end instead. */
void epio__db_unpark(epio__database *root, epio_op *op);

/* The rows or the transaction end: so do those of their ops that are parked. */
void epio__db_park_end(epio__database *root, const void *object);

/* When the next op is to be tried again; EPIO_FOREVER: none waits. */
uint64_t epio__db_park_due(const epio__database *root);

/* Lets those arrive again whose time has come. */
void epio__db_park_look(epio__database *root);

/* An op that was parked takes its place anew; true if it has ended instead, with *result. */
bool epio__db_arrive_again(epio__database *root, epio_op *op, int64_t *result);

#endif
