/* An op whose work is a function that performs other ops: what documents and trees are made of.
 * Performed, the function runs on the calling thread; submitted, on a worker thread of the loop,
 * and what it shares on several. It owns threads, cancel, deadline, progress and questions to the
 * loop's owner; what is done is the function's. */
#ifndef EPIO_PROCEDURE_H
#define EPIO_PROCEDURE_H

#include "core/verb.h"

#include <epio/document.h>

#define EPIO__PROCEDURE_MOST_THREADS 16u

typedef struct epio__procedure epio__procedure;

/* What is behind a procedure's op: its `options` of the verb hold no more than the function wants.
 * `run` returns the op's result; `must_run` is that of a close: no cancel and no deadline. */
typedef struct epio__procedure_type {
    int64_t (*run)(epio__procedure *procedure);
    bool must_run;
} epio__procedure_type;

/* Fills an op of one path of `vfs`, `kind` being a procedure's; see arguments.procedure. */
epio_op *epio__procedure_verb(epio_op *op, const char *function, uint8_t kind,
                              const epio__procedure_type *type, epio_vfs *vfs, const char *path);

/* Copies the verb's options, if there are any; false: they are refused. `first` is the size of the
 * first version. */
bool epio__procedure_take_options(epio_op *op, void *taken, size_t size, size_t first,
                                  const void *options);

/* ---- For `run` and what it calls: any thread of the procedure ---- */

epio_op *epio__procedure_op(const epio__procedure *procedure);

/* It was cancelled, its deadline has passed, or one of its threads has failed it: what runs ends
 * soon. */
bool epio__procedure_stopped(const epio__procedure *procedure);

/* EPIO_ECANCELED, EPIO_ETIMEDOUT, or what epio__procedure_fail was given; 0: it is not stopped. */
int64_t epio__procedure_error(epio__procedure *procedure);

/* Stops it with an error; the first call counts. */
void epio__procedure_fail(epio__procedure *procedure, int64_t error, int32_t os_error);

/* Carries out an op of its own on this thread: its result. What waits, for a permit or a pipe, ends
 * with EPIO_ECANCELED soon after the procedure was stopped; nothing else is begun then, except what
 * must be (`epio__procedure_undo`). */
int64_t epio__procedure_perform(epio__procedure *procedure, epio_op *op);

/* The same for what removes or closes, stopped or not; it waits for no permit. */
int64_t epio__procedure_undo(epio__procedure *procedure, epio_op *op);

/* What it performs is of this VFS, too, beside the one that it was given. Before anything is. */
void epio__procedure_also_on(epio__procedure *procedure, const epio_vfs *vfs);

/* Runs `ask(procedure, argument)` on the owner's thread, performed on this one, and returns when it
 * has; one at a time. False: it was not called, as the procedure was stopped before. */
bool epio__procedure_ask(epio__procedure *procedure,
                         void (*ask)(epio__procedure *procedure, void *argument), void *argument);

/* Runs `part(procedure, argument)` on this thread and, submitted, on up to `threads - 1` others,
 * which may come late or never, and returns when all that came have left it. Only from `run`. */
void epio__procedure_share(epio__procedure *procedure,
                           void (*part)(epio__procedure *procedure, void *argument), void *argument,
                           uint32_t threads);

/* Sets the os_error of the op, which is that of its result if that is an error. */
void epio__procedure_note(epio__procedure *procedure, int32_t os_error);
int32_t epio__procedure_noted(epio__procedure *procedure);

/* Progress. `path` is copied. */
void epio__procedure_expect(epio__procedure *procedure, uint64_t bytes, uint64_t files);
void epio__procedure_count(epio__procedure *procedure, uint64_t bytes, uint64_t files);
/* Both at once, of a small file that is copied. */
void epio__procedure_copied(epio__procedure *procedure, uint64_t expected, uint64_t bytes);
void epio__procedure_skip(epio__procedure *procedure);
void epio__procedure_show(epio__procedure *procedure, const char *path);

#endif
