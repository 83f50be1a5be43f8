/* The layer of fault_vfs.h: a record for each op in flight, and a file around each inner one. */
#include "fault_vfs.h"

#if EPIO_ASYNC

#include <stdio.h>
#include <stdlib.h>

/* The next ops of one kind that fail. */
typedef struct fault {
    uint32_t skip;
    uint32_t times;
    int result;
    int32_t os_error;
} fault;

/* The rules for one kind of ops, and its counts. */
typedef struct rules {
    fault before;
    fault after;
    uint32_t repeats;
    bool holds;
    uint32_t held;
    uint32_t arrived;
    uint32_t reached;
    uint32_t in_flight;
} rules;

/* An op that is held, or was forwarded. */
typedef struct record {
    epio_frame frame;
    epio_op *op;         /* while it is held */
    struct record *next; /* among those that are held */
    epio_file *inner;
    uint32_t repeats;
} record;

typedef struct fault_vfs {
    epio_vfs base;
    epio_vfs *inner;
    record *held; /* in the order of arrival */
    uint32_t sync_flags;
    uint32_t writes_at_sync;
    fault_judge *judge;
    rules rules[EPIO_KIND_COUNT];
} fault_vfs;

typedef struct fault_file {
    epio_file base;
    epio_file *inner;
} fault_file;

/* ---- Records and files ------------------------------------------------- */

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        (void)fputs("fault_vfs: out of memory\n", stderr);
        abort();
    }
    return memory;
}

static bool opens(const epio_op *op)
{
    return op->kind == EPIO_KIND_OPEN || op->kind == EPIO_KIND_ADOPT;
}

static epio_file *inner_file(const epio_op *op)
{
    return op->file != NULL ? ((fault_file *)(void *)op->file)->inner : NULL;
}

static void wrap_file(fault_vfs *vfs, epio_op *op)
{
    fault_file *file = allocate(sizeof *file);
    file->inner = op->file;
    epio_file_init(&file->base, &vfs->base, op->file->flags, op->file->attributes);
    op->file = &file->base;
}

static void wrap_mapping(fault_vfs *vfs, epio_op *op, int64_t result)
{
    if (op->kind == EPIO_KIND_MAP && result >= 0) {
        op->arguments.map.mapping->vfs = &vfs->base;
    }
}

static void free_file(epio_file *file)
{
    epio_file_release(file);
    free(file);
}

/* ---- The rules --------------------------------------------------------- */

/* True if this op fails; `result` and op->os_error are set. */
static bool next_fails(fault *next, epio_op *op, int64_t *result)
{
    if (next->times == 0) {
        return false;
    }
    if (next->skip > 0) {
        next->skip--;
        return false;
    }
    next->times--;
    op->os_error = next->os_error;
    *result = next->result;
    return true;
}

static void judge(const fault_vfs *vfs, epio_op *op)
{
    int32_t os_error = 0;
    int result = vfs->judge != NULL && op->result >= 0 ? vfs->judge(op, &os_error) : 0;
    if (result != 0) {
        op->result = result;
        op->os_error = os_error;
    }
}

static void note_arrival(fault_vfs *vfs, const epio_op *op)
{
    rules *now = &vfs->rules[op->kind];
    now->arrived++;
    now->in_flight++;
    if (op->kind == EPIO_KIND_SYNC) {
        vfs->sync_flags = op->flags;
        vfs->writes_at_sync = vfs->rules[EPIO_KIND_WRITE].in_flight +
                              vfs->rules[EPIO_KIND_WRITEV].in_flight +
                              vfs->rules[EPIO_KIND_TRUNCATE].in_flight;
    }
}

/* ---- Submitted --------------------------------------------------------- */

static bool op_returned(epio_frame *frame, epio_op *op)
{
    record *one = (record *)(void *)frame;
    fault_vfs *vfs = (fault_vfs *)(void *)op->vfs;
    rules *now = &vfs->rules[op->kind];
    if (one->repeats > 0 && op->result >= 0) {
        one->repeats--;
        now->reached++;
        epio_frame_push(op, frame);
        epio_forward(op, vfs->inner, one->inner);
        return false;
    }
    now->in_flight--;
    wrap_mapping(vfs, op, op->result);
    (void)next_fails(&now->after, op, &op->result);
    judge(vfs, op);
    if (opens(op) && op->result >= 0) {
        wrap_file(vfs, op);
    } else if (op->kind == EPIO_KIND_CLOSE) {
        free_file(op->file);
    }
    free(one);
    return true;
}

static void send_on(fault_vfs *vfs, record *one, epio_op *op)
{
    vfs->rules[op->kind].reached++;
    one->inner = inner_file(op);
    epio_frame_push(op, &one->frame);
    epio_forward(op, vfs->inner, one->inner);
}

static void hold(fault_vfs *vfs, record *one, epio_op *op)
{
    record **end = &vfs->held;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    one->op = op;
    *end = one;
    vfs->rules[op->kind].held++;
}

/* Removes the record from the held ones. */
static epio_op *take(fault_vfs *vfs, record **slot)
{
    record *one = *slot;
    *slot = one->next;
    one->next = NULL;
    vfs->rules[one->op->kind].held--;
    return one->op;
}

static void submit(epio_vfs *base, epio_op *op)
{
    fault_vfs *vfs = (fault_vfs *)(void *)base;
    rules *now = &vfs->rules[op->kind];
    int64_t result;
    note_arrival(vfs, op);
    if (next_fails(&now->before, op, &result)) {
        now->in_flight--;
        epio_complete(op, result);
        return;
    }
    record *one = allocate(sizeof *one);
    one->frame.returned = op_returned;
    one->repeats = now->repeats;
    if (now->holds) {
        hold(vfs, one, op);
    } else {
        send_on(vfs, one, op);
    }
}

static void cancel(epio_vfs *base, epio_op *op)
{
    fault_vfs *vfs = (fault_vfs *)(void *)base;
    for (record **slot = &vfs->held; *slot != NULL; slot = &(*slot)->next) {
        record *one = *slot;
        if (one->op == op) {
            (void)take(vfs, slot);
            vfs->rules[op->kind].in_flight--;
            free(one);
            epio_complete(op, EPIO_ECANCELED);
            return;
        }
    }
}

/* ---- Performed --------------------------------------------------------- */

static int64_t perform_inside(fault_vfs *vfs, epio_op *op)
{
    epio_file *file = op->file;
    int64_t result = epio_perform_on(op, vfs->inner, inner_file(op));
    wrap_mapping(vfs, op, result);
    if (opens(op) && result >= 0) {
        wrap_file(vfs, op);
    } else if (op->kind == EPIO_KIND_CLOSE) {
        free_file(file);
    }
    return result;
}

static int64_t perform(epio_vfs *base, epio_op *op)
{
    fault_vfs *vfs = (fault_vfs *)(void *)base;
    rules *now = &vfs->rules[op->kind];
    int64_t result;
    note_arrival(vfs, op);
    if (!next_fails(&now->before, op, &result)) {
        now->reached++;
        result = perform_inside(vfs, op);
        (void)next_fails(&now->after, op, &result);
    }
    now->in_flight--;
    return result;
}

/* ---- The VFS ----------------------------------------------------------- */

static void destroy(epio_vfs *vfs)
{
    free(vfs);
}

static intptr_t os_handle(const epio_file *file)
{
    return epio_file_os_handle(((const fault_file *)(const void *)file)->inner);
}

static const epio_vfs_methods methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "fault",
    .submit = submit,
    .perform = perform,
    .cancel = cancel,
    .destroy = destroy,
    .os_handle = os_handle,
};

int fault_vfs_create(epio_vfs **vfs, epio_vfs *inner)
{
    fault_vfs *made = allocate(sizeof *made);
    made->base.methods = &methods;
    made->base.loop = inner->loop;
    made->inner = inner;
    *vfs = &made->base;
    return 0;
}

/* ---- The functions of tests -------------------------------------------- */

static rules *rules_of(epio_vfs *vfs, uint8_t kind)
{
    return &((fault_vfs *)(void *)vfs)->rules[kind];
}

void fault_vfs_fail(epio_vfs *vfs, uint8_t kind, uint32_t skip, uint32_t times, int result,
                    int32_t os_error)
{
    rules_of(vfs, kind)->before = (fault){skip, times, result, os_error};
}

void fault_vfs_fail_after(epio_vfs *vfs, uint8_t kind, uint32_t skip, uint32_t times, int result,
                          int32_t os_error)
{
    rules_of(vfs, kind)->after = (fault){skip, times, result, os_error};
}

void fault_vfs_judge(epio_vfs *vfs, fault_judge *says)
{
    ((fault_vfs *)(void *)vfs)->judge = says;
}

void fault_vfs_repeat(epio_vfs *vfs, uint8_t kind, uint32_t times)
{
    rules_of(vfs, kind)->repeats = times;
}

void fault_vfs_hold(epio_vfs *vfs, uint8_t kind)
{
    rules_of(vfs, kind)->holds = true;
}

static record **find_held(fault_vfs *vfs, uint8_t kind)
{
    record **slot = &vfs->held;
    while (*slot != NULL && (*slot)->op->kind != kind) {
        slot = &(*slot)->next;
    }
    return slot;
}

void fault_vfs_release(epio_vfs *base, uint8_t kind, uint32_t count)
{
    fault_vfs *vfs = (fault_vfs *)(void *)base;
    while (count-- > 0) {
        record **slot = find_held(vfs, kind);
        record *one = *slot;
        if (one == NULL) {
            return;
        }
        send_on(vfs, one, take(vfs, slot));
    }
}

void fault_vfs_release_all(epio_vfs *vfs, uint8_t kind)
{
    rules_of(vfs, kind)->holds = false;
    fault_vfs_release(vfs, kind, UINT32_MAX);
}

uint32_t fault_vfs_held(const epio_vfs *vfs, uint8_t kind)
{
    return ((const fault_vfs *)(const void *)vfs)->rules[kind].held;
}

uint32_t fault_vfs_arrived(const epio_vfs *vfs, uint8_t kind)
{
    return ((const fault_vfs *)(const void *)vfs)->rules[kind].arrived;
}

uint32_t fault_vfs_reached(const epio_vfs *vfs, uint8_t kind)
{
    return ((const fault_vfs *)(const void *)vfs)->rules[kind].reached;
}

uint32_t fault_vfs_sync_flags(const epio_vfs *vfs)
{
    return ((const fault_vfs *)(const void *)vfs)->sync_flags;
}

uint32_t fault_vfs_writes_at_sync(const epio_vfs *vfs)
{
    return ((const fault_vfs *)(const void *)vfs)->writes_at_sync;
}

#endif
