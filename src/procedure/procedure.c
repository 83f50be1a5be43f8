/* See procedure.h.
 *
 * On a loop a procedure is held by a small VFS of its own, as a walk is, and its threads are ops of
 * epio_work beneath it: the first runs `run`, the others what it shares. What a thread wants of the
 * owner, an answer or more threads, comes by epio_resume. */
#include "procedure/procedure.h"

#include "core/patience.h"
#include "core/struct_size.h"

#include <stdlib.h>
#include <string.h>

typedef struct thread {
    epio_op op; /* epio_work */
    epio__procedure *procedure;
    bool busy;
} thread;

enum { NOT_ASKED, ASKED, ANSWERING, ANSWERED };

struct epio__procedure {
    epio_op *op;
    const epio__procedure_type *type;
    epio_progress_source progress;
    bool on_loop;
    bool has_run; /* of the first thread, before its op ends */
    uint64_t patience;
    uint64_t deadline; /* of an epio_perform; 0: none */
    uint32_t stop;     /* atomic */
    int64_t result;

    epio__mutex mutex;
    epio__condition changed;

    /* The rest of these is guarded. */
    int64_t error;
    int32_t os_error;
    epio_progress_info info;
    void (*part)(epio__procedure *procedure, void *argument); /* NULL: nothing is shared */
    void *part_argument;
    uint32_t wanted; /* threads more */
    uint32_t inside; /* threads that are in `part`, but for the first */
    void (*ask)(epio__procedure *procedure, void *argument);
    void *ask_argument;
    uint8_t asking;
    bool resuming;

    /* The owner's. */
    thread *threads[EPIO__PROCEDURE_MOST_THREADS];
    size_t thread_count;
    size_t running;
};

epio_op *epio__procedure_op(const epio__procedure *procedure)
{
    return procedure->op;
}

/* ---- Stopping ---- */

bool epio__procedure_stopped(const epio__procedure *procedure)
{
    if (epio__load_u32(&procedure->stop) != 0) {
        return true;
    }
    return procedure->deadline != 0 && epio__monotonic_time() >= procedure->deadline;
}

void epio__procedure_fail(epio__procedure *procedure, int64_t error, int32_t os_error)
{
    epio__mutex_lock(&procedure->mutex);
    if (procedure->error == 0) {
        procedure->error = error;
        procedure->os_error = os_error;
    }
    epio__store_u32(&procedure->stop, 1);
    epio__condition_broadcast(&procedure->changed);
    epio__mutex_unlock(&procedure->mutex);
}

int64_t epio__procedure_error(epio__procedure *procedure)
{
    if (!epio__procedure_stopped(procedure)) {
        return 0;
    }
    epio__procedure_fail(procedure, EPIO_ETIMEDOUT, 0); /* unless it was stopped otherwise */
    epio__mutex_lock(&procedure->mutex);
    int64_t error = procedure->error;
    epio__mutex_unlock(&procedure->mutex);
    return error;
}

/* ---- Ops of its own ---- */

/* A read, a write or an open may be of a pipe. */
static uint64_t patience_for(const epio__procedure *procedure, const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_READS | EPIO__KIND_WRITES | EPIO__KIND_OPENS)
               ? EPIO__PATIENCE_NS
               : procedure->patience;
}

static bool is_stopped(void *procedure)
{
    return epio__procedure_stopped(procedure);
}

int64_t epio__procedure_perform(epio__procedure *procedure, epio_op *op)
{
    if (epio__procedure_stopped(procedure)) {
        op->result = EPIO_ECANCELED;
        op->os_error = 0;
        return op->result;
    }
    uint64_t patience = patience_for(procedure, op);
    int64_t result = epio__perform_patiently(op, patience, is_stopped, procedure);
    if (result == EPIO_ETIMEDOUT && op->os_error == 0) {
        op->result = EPIO_ECANCELED;
    }
    return op->result;
}

int64_t epio__procedure_undo(epio__procedure *procedure, epio_op *op)
{
    (void)procedure;
    op->timeout_ns = 0;
    op->undoes = true;
    return epio_perform(op);
}

void epio__procedure_note(epio__procedure *procedure, int32_t os_error)
{
    epio__mutex_lock(&procedure->mutex);
    procedure->op->os_error = os_error;
    epio__mutex_unlock(&procedure->mutex);
}

int32_t epio__procedure_noted(epio__procedure *procedure)
{
    epio__mutex_lock(&procedure->mutex);
    int32_t os_error = procedure->op->os_error;
    epio__mutex_unlock(&procedure->mutex);
    return os_error;
}

/* ---- Progress ---- */

static void read_progress(epio_progress_source *source, epio_progress_info *info)
{
    epio__procedure *procedure = EPIO_CONTAINER(source, epio__procedure, progress);
    epio__mutex_lock(&procedure->mutex);
    *info = procedure->info;
    epio__mutex_unlock(&procedure->mutex);
}

void epio__procedure_expect(epio__procedure *procedure, uint64_t bytes, uint64_t files)
{
    epio__mutex_lock(&procedure->mutex);
    procedure->info.total_bytes += bytes;
    procedure->info.total_files += files;
    epio__mutex_unlock(&procedure->mutex);
}

void epio__procedure_count(epio__procedure *procedure, uint64_t bytes, uint64_t files)
{
    epio__mutex_lock(&procedure->mutex);
    procedure->info.bytes += bytes;
    procedure->info.files += files;
    epio__mutex_unlock(&procedure->mutex);
}

void epio__procedure_copied(epio__procedure *procedure, uint64_t expected, uint64_t bytes)
{
    epio__mutex_lock(&procedure->mutex);
    procedure->info.total_bytes += expected;
    procedure->info.bytes += bytes;
    epio__mutex_unlock(&procedure->mutex);
}

void epio__procedure_skip(epio__procedure *procedure)
{
    epio__mutex_lock(&procedure->mutex);
    procedure->info.files++;
    procedure->info.skipped++;
    epio__mutex_unlock(&procedure->mutex);
}

void epio__procedure_show(epio__procedure *procedure, const char *path)
{
    size_t len = strlen(path);
    const size_t room = sizeof procedure->info.path - 1;
    const char *from = len > room ? path + len - room : path;
    while (len > room && ((unsigned char)*from & 0xC0) == 0x80) {
        from++; /* no part of a character */
    }
    epio__mutex_lock(&procedure->mutex);
    memcpy(procedure->info.path, from, strlen(from) + 1);
    epio__mutex_unlock(&procedure->mutex);
}

/* ---- Beginning and end ---- */

static epio__procedure *create(epio_op *op, bool on_loop)
{
    epio__procedure *procedure = calloc(1, sizeof *procedure);
    if (procedure == NULL) {
        return NULL;
    }
    procedure->op = op;
    procedure->type = op->arguments.procedure.type;
    procedure->on_loop = on_loop;
    procedure->patience = epio__patience_with(op, op->arguments.procedure.vfs);
    procedure->deadline = on_loop || procedure->type->must_run ? 0 : op->timeout_ns;
    procedure->info.size = sizeof procedure->info;
    epio__mutex_init(&procedure->mutex);
    epio__condition_init(&procedure->changed);
    epio_progress_publish(&procedure->progress, op, read_progress);
    return procedure;
}

void epio__procedure_also_on(epio__procedure *procedure, const epio_vfs *vfs)
{
    uint64_t patience = epio__patience_with(procedure->op, vfs);
    procedure->patience = patience != 0 ? patience : procedure->patience;
}

static void destroy(epio__procedure *procedure)
{
    epio_progress_withdraw(&procedure->progress);
    for (size_t i = 0; i < procedure->thread_count; i++) {
        free(procedure->threads[i]);
    }
    epio__condition_destroy(&procedure->changed);
    epio__mutex_destroy(&procedure->mutex);
    free(procedure);
}

/* What an op of its own said when it was stopped is not why it was. */
static int64_t result_of(epio__procedure *procedure, int64_t result)
{
    if (result != EPIO_ECANCELED || epio__procedure_error(procedure) == 0) {
        return result;
    }
    procedure->op->os_error = procedure->os_error;
    return procedure->error;
}

/* ---- epio_perform ---- */

static int64_t perform_procedure(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__procedure *procedure = create(op, false);
    if (procedure == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = result_of(procedure, procedure->type->run(procedure));
    destroy(procedure);
    return result;
}

/* ---- On a loop ---- */

#if EPIO_ASYNC

/* With the mutex. */
static void resume(epio__procedure *procedure)
{
    if (!procedure->resuming) {
        procedure->resuming = true;
        epio_resume(procedure->op);
    }
}

static void run_part(epio__procedure *procedure)
{
    epio__mutex_lock(&procedure->mutex);
    void (*part)(epio__procedure *, void *) = procedure->part;
    void *argument = procedure->part_argument;
    procedure->inside += part != NULL ? 1 : 0;
    epio__mutex_unlock(&procedure->mutex);
    if (part == NULL) {
        return; /* it came too late */
    }
    part(procedure, argument);
    epio__mutex_lock(&procedure->mutex);
    procedure->inside--;
    epio__condition_broadcast(&procedure->changed);
    epio__mutex_unlock(&procedure->mutex);
}

static int64_t run_thread(epio_op *op)
{
    thread *one = op->user;
    epio__procedure *procedure = one->procedure;
    if (one == procedure->threads[0]) {
        procedure->has_run = true;
        procedure->result = procedure->type->run(procedure);
    } else {
        run_part(procedure);
    }
    return 0;
}

/* Ends the op, once no thread is in it and no message of one is on its way. */
static void end_if_over(epio__procedure *procedure)
{
    epio__mutex_lock(&procedure->mutex);
    bool over = procedure->running == 0 && !procedure->resuming;
    epio__mutex_unlock(&procedure->mutex);
    if (over) {
        epio_op *op = procedure->op;
        int64_t result = result_of(procedure, procedure->result);
        destroy(procedure);
        epio_complete(op, result);
    }
}

static void thread_ended(epio_op *op)
{
    thread *one = op->user;
    epio__procedure *procedure = one->procedure;
    one->busy = false;
    procedure->running--;
    if (one == procedure->threads[0] && !procedure->has_run) {
        procedure->result = op->result;
        if (procedure->type->must_run) {
            epio__procedure_fail(procedure, op->result, op->os_error);
            procedure->result = procedure->type->run(procedure);
        }
    }
    end_if_over(procedure);
}

/* By the loop's own VFS: a layer's `limit` would count the thread beside what it does. */
static void start_thread(epio__procedure *procedure, thread *one)
{
    memset(&one->op, 0, sizeof one->op);
    one->procedure = procedure;
    one->busy = true;
    one->op.user = one;
    one->op.done = thread_ended;
    (void)epio_work(&one->op, epio_loop_vfs(procedure->op->loop), run_thread);
    if ((procedure->op->state_flags & EPIO__FLAG_UNREFERENCED) != 0) {
        (void)epio_op_unref(&one->op);
    }
    procedure->running++;
    epio_submit(&one->op);
}

static thread *new_thread(epio__procedure *procedure)
{
    thread *one =
        procedure->thread_count < EPIO__PROCEDURE_MOST_THREADS ? calloc(1, sizeof *one) : NULL;
    if (one != NULL) {
        procedure->threads[procedure->thread_count++] = one;
    }
    return one;
}

static void submit_procedure(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__procedure *procedure = create(op, true);
    thread *first = procedure != NULL ? new_thread(procedure) : NULL;
    if (first == NULL) {
        if (procedure != NULL) {
            destroy(procedure);
        }
        epio_complete(op, EPIO_ENOMEM);
        return;
    }
    op->arguments.procedure.state = procedure;
    start_thread(procedure, first);
}

/* It ends when its threads do. */
static void cancel_procedure(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__procedure *procedure = op->arguments.procedure.state;
    epio__procedure_fail(procedure, EPIO_ECANCELED, 0);
    for (size_t i = 0; i < procedure->thread_count; i++) {
        if (procedure->threads[i]->busy) {
            epio_cancel(&procedure->threads[i]->op);
        }
    }
}

static void answer(epio__procedure *procedure)
{
    epio__mutex_lock(&procedure->mutex);
    bool asked = procedure->asking == ASKED;
    procedure->asking = asked ? (uint8_t)ANSWERING : procedure->asking;
    epio__mutex_unlock(&procedure->mutex);
    if (asked) {
        procedure->ask(procedure, procedure->ask_argument);
        epio__mutex_lock(&procedure->mutex);
        procedure->asking = ANSWERED;
        epio__condition_broadcast(&procedure->changed);
        epio__mutex_unlock(&procedure->mutex);
    }
}

static thread *idle_thread(epio__procedure *procedure)
{
    for (size_t i = 1; i < procedure->thread_count; i++) {
        if (!procedure->threads[i]->busy) {
            return procedure->threads[i];
        }
    }
    return new_thread(procedure);
}

static void procedure_resumed(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__procedure *procedure = op->arguments.procedure.state;
    epio__mutex_lock(&procedure->mutex);
    procedure->resuming = false;
    uint32_t wanted = procedure->wanted;
    procedure->wanted = 0;
    epio__mutex_unlock(&procedure->mutex);
    procedure->running++; /* it does not end while it is answered, whatever the callback polls */
    for (uint32_t i = 0; i < wanted; i++) {
        thread *one = idle_thread(procedure);
        if (one == NULL) {
            break; /* fewer do */
        }
        start_thread(procedure, one);
    }
    answer(procedure);
    procedure->running--;
    end_if_over(procedure);
}

#endif

/* ---- What threads want of the owner ---- */

bool epio__procedure_ask(epio__procedure *procedure,
                         void (*ask)(epio__procedure *procedure, void *argument), void *argument)
{
    if (!procedure->on_loop) {
        ask(procedure, argument);
        return true;
    }
    bool answered = false;
#if EPIO_ASYNC
    epio__mutex_lock(&procedure->mutex);
    while (procedure->asking != NOT_ASKED) {
        epio__condition_wait(&procedure->changed, &procedure->mutex);
    }
    procedure->ask = ask;
    procedure->ask_argument = argument;
    procedure->asking = ASKED;
    resume(procedure);
    while (procedure->asking == ANSWERING ||
           (procedure->asking == ASKED && epio__load_u32(&procedure->stop) == 0)) {
        epio__condition_wait(&procedure->changed, &procedure->mutex);
    }
    answered = procedure->asking == ANSWERED;
    procedure->asking = NOT_ASKED;
    epio__condition_broadcast(&procedure->changed);
    epio__mutex_unlock(&procedure->mutex);
#endif
    return answered;
}

void epio__procedure_share(epio__procedure *procedure,
                           void (*part)(epio__procedure *procedure, void *argument), void *argument,
                           uint32_t threads)
{
#if EPIO_ASYNC
    if (procedure->on_loop && threads > 1) {
        epio__mutex_lock(&procedure->mutex);
        procedure->part = part;
        procedure->part_argument = argument;
        procedure->wanted = threads - 1;
        resume(procedure);
        epio__mutex_unlock(&procedure->mutex);
    }
#else
    (void)threads;
#endif
    part(procedure, argument);
    epio__mutex_lock(&procedure->mutex);
    procedure->part = NULL;
    procedure->wanted = 0;
    while (procedure->inside != 0) {
        epio__condition_wait(&procedure->changed, &procedure->mutex);
    }
    epio__mutex_unlock(&procedure->mutex);
}

/* ---- Verbs ---- */

static const epio_vfs_methods procedure_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "procedure",
#if EPIO_ASYNC
    .submit = submit_procedure,
    .cancel = cancel_procedure,
    .resumed = procedure_resumed,
#endif
    .perform = perform_procedure,
};

/* Of each procedure; the loop is that of the VFS whose paths it has. */
static epio_vfs procedure_vfs = {&procedure_methods, NULL};

epio_op *epio__procedure_verb(epio_op *op, const char *function, uint8_t kind,
                              const epio__procedure_type *type, epio_vfs *vfs, const char *path)
{
    epio__verb_on_path(op, function, kind, vfs, path, 0, 0);
    op->arguments.procedure.vfs = vfs;
    op->arguments.procedure.options = NULL;
    op->arguments.procedure.second = NULL;
    op->arguments.procedure.type = type;
    if (op->state_flags == 0) {
        op->vfs = &procedure_vfs;
    }
    return op;
}

bool epio__procedure_take_options(epio_op *op, void *taken, size_t size, size_t first,
                                  const void *options)
{
    op->arguments.procedure.options = options;
    if (options == NULL) {
        return true;
    }
    size_t given;
    memcpy(&given, options, sizeof given);
    epio__verb_require(op, given >= first, EPIO__REASON_STRUCT_SIZE);
    bool valid = given >= first && epio_options_take(taken, size, first, options);
    epio__verb_require(op, given < first || valid, EPIO__REASON_STRUCT_FIELD);
    return valid;
}
