/* VFSes as a user would write them, with epio/vfs.h alone: what happens to an op on its way through
 * layers that count, change, repeat, delay and split, and what the core guarantees to them. The
 * layers come from one struct with switches. */
#include "support.h"

#include <epio/vfs.h>

#include <stdatomic.h>

#define SECOND (1000 * MILLISECOND)

/* ---- A layer ------------------------------------------------------------ */

#define FRAMES 64

typedef struct layer layer;

/* The bytes of a write are the caller's and constant: the inner VFS gets a copy. */
typedef struct flipped {
    void *original;
    unsigned char copy[16];
} flipped;

typedef struct layer_frame {
    epio_frame base;
    layer *owner;
    uint32_t repeats;
    bool used;
    flipped flipped;
} layer_frame;

typedef struct layer_file {
    epio_file base;
    epio_file *inner;
} layer_file;

struct layer {
    epio_vfs base;
    epio_vfs *inner;
    layer_frame frames[FRAMES];
    uint32_t arrived[EPIO_KIND_COUNT];
    uint32_t returned[EPIO_KIND_COUNT];
    uint32_t cancels; /* calls of its cancel */
    uint32_t frames_used;
    int64_t seen; /* the last result that returned */

    /* Switches. */
    uint8_t mask;          /* data of reads and writes is xor-ed with it on its way */
    uint32_t repeat;       /* ops are sent this many times more when they return */
    int64_t changes_to;    /* if not 0: the result for the layer above */
    void (*between)(void); /* called before an op is sent again */

    void (*hooks[EPIO_KIND_COUNT])(layer *layer, epio_op *op);
};

static layer *layer_of(epio_vfs *vfs)
{
    return (layer *)(void *)vfs;
}

static layer_file *layer_file_of(epio_file *file)
{
    return (layer_file *)(void *)file;
}

static epio_file *inner_of(const epio_op *op)
{
    return op->file != NULL ? layer_file_of(op->file)->inner : NULL;
}

static bool opens(const epio_op *op)
{
    return op->kind == EPIO_KIND_OPEN || op->kind == EPIO_KIND_ADOPT;
}

static void flip(const layer *one, unsigned char *to, const unsigned char *from, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        to[i] = (unsigned char)(from[i] ^ one->mask);
    }
}

static void flip_on_the_way_down(const layer *one, epio_op *op, flipped *state)
{
    if (one->mask != 0 && op->kind == EPIO_KIND_WRITE) {
        check(op->arguments.io.len <= sizeof state->copy);
        flip(one, state->copy, op->arguments.io.base, op->arguments.io.len);
        state->original = op->arguments.io.base;
        op->arguments.io.base = state->copy;
    }
}

static void flip_on_the_way_up(const layer *one, epio_op *op, const flipped *state)
{
    if (one->mask != 0 && op->kind == EPIO_KIND_WRITE) {
        op->arguments.io.base = state->original;
    } else if (one->mask != 0 && op->kind == EPIO_KIND_READ && op->result > 0) {
        flip(one, op->arguments.io.base, op->arguments.io.base, (uint64_t)op->result);
    }
}

/* The file is freed by its close. */
static void wrap_or_free(layer *one, epio_op *op)
{
    if (opens(op) && op->result >= 0) {
        layer_file *file = calloc(1, sizeof *file);
        check(file != NULL);
        file->inner = op->file;
        epio_file_init(&file->base, &one->base, op->file->flags, op->file->attributes);
        op->file = &file->base;
    } else if (op->kind == EPIO_KIND_CLOSE) {
        epio_file_release(op->file);
        free(layer_file_of(op->file));
    }
}

static bool layer_returned(epio_frame *base, epio_op *op);

static layer_frame *take_frame(layer *one)
{
    for (size_t i = 0; i < FRAMES; i++) {
        if (!one->frames[i].used) {
            one->frames[i] = (layer_frame){.used = true, .owner = one, .repeats = one->repeat};
            one->frames[i].base.returned = layer_returned;
            one->frames_used++;
            return &one->frames[i];
        }
    }
    check(false); /* no frame is free */
    return NULL;
}

static bool layer_returned(epio_frame *base, epio_op *op)
{
    layer_frame *frame = (layer_frame *)(void *)base;
    layer *one = frame->owner;
    check(op->vfs == &one->base); /* as it was when the frame was pushed */
    one->seen = op->result;
    if (frame->repeats > 0 && !opens(op) && op->kind != EPIO_KIND_CLOSE) {
        frame->repeats--;
        if (one->between != NULL) {
            one->between();
        }
        epio_frame_push(op, base);
        epio_forward(op, one->inner, inner_of(op));
        return false;
    }
    frame->used = false;
    one->frames_used--;
    one->returned[op->kind]++;
    flip_on_the_way_up(one, op, &frame->flipped);
    if (one->changes_to != 0 && !opens(op) && op->kind != EPIO_KIND_CLOSE) {
        op->result = one->changes_to;
    }
    wrap_or_free(one, op);
    return true;
}

static void pass_on(layer *one, epio_op *op)
{
    layer_frame *frame = take_frame(one);
    flip_on_the_way_down(one, op, &frame->flipped);
    epio_frame_push(op, &frame->base);
    epio_forward(op, one->inner, inner_of(op));
}

static void layer_submit(epio_vfs *vfs, epio_op *op)
{
    layer *one = layer_of(vfs);
    check(op->vfs == vfs);
    check(epio_op_in_flight(op));
    one->arrived[op->kind]++;
    if (one->hooks[op->kind] != NULL) {
        one->hooks[op->kind](one, op);
    } else {
        pass_on(one, op);
    }
}

static int64_t layer_perform(epio_vfs *vfs, epio_op *op)
{
    layer *one = layer_of(vfs);
    flipped state = {0};
    one->arrived[op->kind]++;
    check(!epio_op_in_flight(op));
    flip_on_the_way_down(one, op, &state);
    op->result = epio_perform_on(op, one->inner, inner_of(op));
    flip_on_the_way_up(one, op, &state);
    one->returned[op->kind]++;
    wrap_or_free(one, op);
    return op->result;
}

static void layer_cancel(epio_vfs *vfs, epio_op *op)
{
    check(op->vfs == vfs);
    layer_of(vfs)->cancels++;
}

static const epio_vfs_methods layer_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "layer",
    .submit = layer_submit,
    .perform = layer_perform,
    .cancel = layer_cancel,
    .resumed = layer_submit, /* handled like a new op */
};

static void layer_init(layer *one, epio_vfs *inner)
{
    memset(one, 0, sizeof *one);
    one->base.methods = &layer_methods;
    one->base.loop = inner->loop;
    one->inner = inner;
}

/* ---- Helpers ------------------------------------------------------------- */

static epio_file *open_on(fixture *f, epio_vfs *vfs, const char *name)
{
    epio_op op = {0};
    check_op(f,
             epio_open(&op, vfs, fixture_path(f, name),
                       EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE),
             0);
    check(op.file->vfs == vfs);
    return op.file;
}

/* ---- Alarms -------------------------------------------------------------- */

/* Completes each op when its alarm is due, or does something else at once. */
typedef struct sleepy_vfs {
    epio_vfs base;
    epio_vfs *inner;
    enum { COMPLETES, FORWARDS, SETS_TWICE, WAITS } also;
    uint32_t rings;
} sleepy_vfs;

static sleepy_vfs *sleepy_of(epio_vfs *vfs)
{
    return (sleepy_vfs *)(void *)vfs;
}

static void sleepy_submit(epio_vfs *vfs, epio_op *op)
{
    sleepy_vfs *one = sleepy_of(vfs);
    epio_alarm(op, epio_clock_monotonic() + 5 * MILLISECOND);
    switch (one->also) {
    case COMPLETES:
        epio_complete(op, 1);
        return;
    case FORWARDS:
        epio_forward(op, one->inner, NULL);
        return;
    case SETS_TWICE:
        epio_alarm(op, epio_clock_monotonic() + 20 * MILLISECOND);
        return;
    default:
        return;
    }
}

static void sleepy_alarm(epio_vfs *vfs, epio_op *op)
{
    check(op->vfs == vfs);
    sleepy_of(vfs)->rings++;
    epio_complete(op, 7);
}

static void sleepy_cancel(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_complete(op, EPIO_ECANCELED);
}

static const epio_vfs_methods sleepy_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "sleepy",
    .submit = sleepy_submit,
    .cancel = sleepy_cancel,
    .alarm = sleepy_alarm,
};

static int64_t sleepy_result(fixture *f, sleepy_vfs *one, uint64_t timeout_ns, uint64_t at_least)
{
    epio_op op = {.timeout_ns = timeout_ns};
    uint64_t started = epio_clock_monotonic();
    (void)epio_wait(epio_sleep(&op, &one->base, 30 * MILLISECOND));
    check(epio_clock_monotonic() - started >= at_least);
    while (epio_clock_monotonic() - started < 10 * MILLISECOND) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0); /* a late alarm would be due now */
    }
    return op.result;
}

static void alarms_ring_once_and_only_while_they_are_wanted(fixture *f)
{
    sleepy_vfs one = {.inner = f->vfs, .also = WAITS};
    one.base.methods = &sleepy_methods;
    one.base.loop = f->loop;
    check_result(sleepy_result(f, &one, 0, 5 * MILLISECOND), 7);
    check_result(sleepy_result(f, &one, SECOND, 5 * MILLISECOND), 7);
    check_result(one.rings, 2);
    check_result(sleepy_result(f, &one, MILLISECOND, MILLISECOND), EPIO_ETIMEDOUT);
    check_result(one.rings, 2);
    one.also = COMPLETES;
    check_result(sleepy_result(f, &one, 0, 0), 1);
    check_result(sleepy_result(f, &one, SECOND, 0), 1);
    one.also = FORWARDS;
    check_result(sleepy_result(f, &one, 0, 30 * MILLISECOND), 30 * MILLISECOND);
    check_result(sleepy_result(f, &one, 15 * MILLISECOND, 15 * MILLISECOND), EPIO_ETIMEDOUT);
    check_result(one.rings, 2);
    one.also = SETS_TWICE;
    check_result(sleepy_result(f, &one, 0, 20 * MILLISECOND), 7);
    check_result(one.rings, 3);
}

/* ---- Stacks -------------------------------------------------------------- */

/* Every kind passes all layers in both directions. */
static void check_balance(const layer *one)
{
    check(one->frames_used == 0);
    for (size_t i = 0; i < EPIO_KIND_COUNT; i++) {
        if (one->arrived[i] != one->returned[i]) {
            print_error("kind %u: %u came, %u returned\n", (unsigned)i, one->arrived[i],
                        one->returned[i]);
        }
        check(one->arrived[i] == one->returned[i]);
    }
}

static void use_every_kind(fixture *f, epio_vfs *vfs)
{
    char buffer[1024];
    char data[16] = "fifteen letters";
    epio_iovec part = {data, 8};
    epio_op op = {0};
    epio_file *file = open_on(f, vfs, "data");
    check_op(f, epio_write(&op, file, data, 16, 0), 16);
    check(strcmp(data, "fifteen letters") == 0);
    check_op(f, epio_writev(&op, file, &part, 1, 16), 8);
    check_op(f, epio_read(&op, file, buffer, 16, 0), 16);
    check(memcmp(buffer, data, 16) == 0);
    check_op(f, epio_readv(&op, file, &part, 1, 0), 8);
    check_op(f, epio_truncate(&op, file, 20), 0);
    check_op(f, epio_sync(&op, file, 0), 0);
    check_op(f, epio_size(&op, file), 20);
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), 0);
    check_op(f, epio_check_reserved_lock(&op, file), 0);
    check_op(f, epio_unlock(&op, file, EPIO_LOCK_NONE), 0);
    check_op(f, epio_close(&op, file), 0);
    check_op(f, epio_access(&op, vfs, fixture_path(f, "data"), EPIO_ACCESS_EXISTS), 1);
    check_op(f, epio_rename(&op, vfs, fixture_path(f, "data"), fixture_path(f, "other"), 0), 0);
    check_op(f, epio_delete(&op, vfs, fixture_path(f, "other"), 0), 0);
    check(fixture_result(
              f, epio_full_pathname(&op, vfs, fixture_path(f, "x"), buffer, sizeof buffer)) > 0);
    check_op(f, epio_sleep(&op, vfs, 1), 1);
    check(fixture_result(f, epio_current_time(&op, vfs)) > 0);
    check_op(f, epio_randomness(&op, vfs, buffer, 8), 8);
}

static void every_kind_passes_three_layers(fixture *f)
{
    static layer layers[3];
    epio_vfs *vfs = f->vfs;
    for (size_t i = 0; i < 3; i++) {
        layer_init(&layers[i], vfs);
        vfs = &layers[i].base;
    }
    use_every_kind(f, vfs);
    for (size_t i = 0; i < 3; i++) {
        check_balance(&layers[i]);
        for (uint8_t kind = EPIO_KIND_OPEN; kind < EPIO_KIND_WORK; kind++) {
            bool once = kind != EPIO_KIND_ADOPT && kind != EPIO_KIND_ACQUIRE;
            check(layers[i].arrived[kind] == (once ? 1u : 0u));
        }
    }
}

static epio_file *blocker;

static void unlock_blocker(void)
{
    epio_op op = {0};
    check_result(epio_perform(epio_unlock(&op, blocker, EPIO_LOCK_NONE)), 0);
}

/* A lock that is sent again is tried again. */
static void a_resubmitted_lock_is_tried_anew(fixture *f)
{
    static layer one;
    epio_op op = {0};
    layer_init(&one, f->vfs);
    epio_file *file = open_on(f, &one.base, "data");
    blocker = open_on(f, f->vfs, "data");
    check_result(epio_perform(epio_lock(&op, blocker, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_perform(epio_lock(&op, blocker, EPIO_LOCK_EXCLUSIVE, 0)), 0);
    one.repeat = 1;
    one.between = unlock_blocker;
    check_op(f, epio_lock(&op, file, EPIO_LOCK_SHARED, 0), 0);
    one.repeat = 0;
    check_op(f, epio_close(&op, blocker), 0);
    blocker = open_on(f, f->vfs, "data");
    check_result(epio_perform(epio_lock(&op, blocker, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_perform(epio_lock(&op, blocker, EPIO_LOCK_EXCLUSIVE, 0)), EPIO_EBUSY);
    check_op(f, epio_close(&op, blocker), 0);
    check_op(f, epio_close(&op, file), 0);
    check_balance(&one);
}

static void transformed_data_is_not_what_lies_below(fixture *f)
{
    static layer layers[2];
    static const char data[] = "secret"; /* to write to it would end the process */
    char found[6];
    const char hidden[] = {'s' ^ 0x5a, 'e' ^ 0x5a, 'c' ^ 0x5a, 'r' ^ 0x5a, 'e' ^ 0x5a, 't' ^ 0x5a};
    epio_op op = {0};
    layer_init(&layers[0], f->vfs);
    layer_init(&layers[1], &layers[0].base);
    layers[0].mask = 0x0f;
    layers[1].mask = 0x55;
    epio_file *file = open_on(f, &layers[1].base, "data");
    check_op(f, epio_write(&op, file, data, 6, 0), 6);
    check(op.arguments.io.base == (const void *)data);
    check_op(f, epio_read(&op, file, found, 6, 0), 6);
    check(memcmp(found, data, 6) == 0);
    check_op(f, epio_close(&op, file), 0);
    check_content(f, "data", hidden, 6);
}

/* ---- What `returned` may do ---------------------------------------------- */

static void returned_changes_a_result(fixture *f)
{
    static layer layers[2];
    char byte = 'x';
    epio_op op = {0};
    layer_init(&layers[0], f->vfs);
    layer_init(&layers[1], &layers[0].base);
    epio_file *file = open_on(f, &layers[1].base, "data");
    layers[0].changes_to = EPIO_ENOSPC;
    check_op(f, epio_write(&op, file, &byte, 1, 0), EPIO_ENOSPC);
    check_result(layers[0].seen, 1);
    check_result(layers[1].seen, EPIO_ENOSPC);
    layers[1].changes_to = 1; /* an error that the upper layer ignores */
    check_op(f, epio_write(&op, file, &byte, 1, 0), 1);
    check(op.os_error == 0);
    layers[0].changes_to = 0;
    layers[1].changes_to = 0;
    /* The sync reports the first failed write; the second is a success. */
    check_op(f, epio_sync(&op, file, 0), EPIO_ENOSPC);
    check_op(f, epio_sync(&op, file, 0), 0);
    check_op(f, epio_close(&op, file), 0);
}

static void returned_sends_again(fixture *f)
{
    static layer layers[3];
    char byte = 'x';
    epio_op op = {0};
    epio_vfs *vfs = f->vfs;
    for (size_t i = 0; i < 3; i++) {
        layer_init(&layers[i], vfs);
        vfs = &layers[i].base;
    }
    epio_file *file = open_on(f, vfs, "data");
    layers[0].repeat = 1;
    layers[2].repeat = 2;
    check_op(f, epio_write(&op, file, &byte, 1, 7), 1);
    check(layers[2].arrived[EPIO_KIND_WRITE] == 1);
    check(layers[1].arrived[EPIO_KIND_WRITE] == 3);
    check(layers[0].arrived[EPIO_KIND_WRITE] == 3);
    check_op(f, epio_sync(&op, file, 0), 0);
    check_op(f, epio_size(&op, file), 8);
    check_op(f, epio_close(&op, file), 0);
    for (size_t i = 0; i < 3; i++) {
        check_balance(&layers[i]);
    }
}

/* The op as seen from outside while it is held below. */
static epio_op *kept;

static void keep(layer *one, epio_op *op)
{
    (void)one;
    kept = op;
}

static void result_is_pending_while_sent_again(fixture *f)
{
    static layer layers[2];
    char byte;
    epio_op op = {0};
    layer_init(&layers[0], f->vfs);
    layer_init(&layers[1], &layers[0].base);
    epio_file *file = open_on(f, &layers[1].base, "data");
    layers[0].hooks[EPIO_KIND_READ] = keep;
    layers[1].repeat = 1;
    epio_submit(epio_read(&op, file, &byte, 1, 0));
    check(kept == &op);
    check_result(op.result, EPIO_EPENDING);
    epio_complete(kept, EPIO_EIO);
    kept = NULL;
    fixture_settle(f);
    check(kept == &op && layers[0].arrived[EPIO_KIND_READ] == 2);
    check_result(layers[1].seen, EPIO_EIO);
    check_result(op.result, EPIO_EPENDING);
    pass_on(&layers[0], kept);
    check_result(epio_wait(&op), 0);
    layers[1].repeat = 0;
    check_op(f, epio_close(&op, file), 0);
}

/* ---- Cancels -------------------------------------------------------------- */

/* Holds ops of two kinds, and ends them when they are cancelled. */
static void give_up(epio_vfs *vfs, epio_op *op)
{
    layer_of(vfs)->cancels++;
    if (op == kept) {
        kept = NULL;
        epio_complete(op, EPIO_ECANCELED);
    }
}

static const epio_vfs_methods keeping_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "keeper",
    .submit = layer_submit,
    .perform = layer_perform,
    .cancel = give_up,
};

static void cancel_reaches_the_current_holder(fixture *f)
{
    static layer layers[3];
    char byte;
    epio_op op = {0};
    epio_vfs *vfs = f->vfs;
    for (size_t i = 0; i < 3; i++) {
        layer_init(&layers[i], vfs);
        layers[i].base.methods = &keeping_methods;
        vfs = &layers[i].base;
    }
    epio_file *file = open_on(f, vfs, "data");
    for (size_t holder = 0; holder < 3; holder++) {
        layers[holder].hooks[EPIO_KIND_READ] = keep;
        epio_submit(epio_read(&op, file, &byte, 1, 0));
        fixture_settle(f);
        check(kept == &op && op.vfs == &layers[holder].base);
        epio_cancel(&op);
        epio_cancel(&op);
        check(kept == NULL);
        fixture_settle(f);
        check_result(op.result, EPIO_ECANCELED);
        for (size_t i = 0; i < 3; i++) {
            check(layers[i].cancels == (i == holder ? 1u : 0u));
            check(layers[i].frames_used == 0);
            layers[i].cancels = 0;
        }
        layers[holder].hooks[EPIO_KIND_READ] = NULL;
    }
    /* A deadline cancels, too. */
    layers[1].hooks[EPIO_KIND_READ] = keep;
    op.timeout_ns = MILLISECOND;
    check_op(f, epio_read(&op, file, &byte, 1, 0), EPIO_ETIMEDOUT);
    check(layers[1].cancels == 1);
    check_op(f, epio_close(&op, file), 0);
}

/* A cancel that the holder ignored ends the op when it is forwarded. */
static void forward_ends_what_was_cancelled(fixture *f)
{
    static layer layers[2];
    char byte;
    epio_op op = {0};
    layer_init(&layers[0], f->vfs);
    layer_init(&layers[1], &layers[0].base);
    layers[1].hooks[EPIO_KIND_READ] = keep;
    epio_file *file = open_on(f, &layers[1].base, "data");
    epio_submit(epio_read(&op, file, &byte, 1, 0));
    fixture_settle(f);
    epio_cancel(&op);
    fixture_settle(f);
    check(epio_op_pending(&op) && layers[1].cancels == 1);
    pass_on(&layers[1], kept);
    check_result(epio_wait(&op), EPIO_ECANCELED);
    check(layers[0].arrived[EPIO_KIND_READ] == 0);
    check(layers[1].frames_used == 0);
    check_op(f, epio_close(&op, file), 0);
}

/* ---- What a VFS may do with an op ----------------------------------------- */

static void retry_twice(layer *one, epio_op *op)
{
    if (one->arrived[op->kind] <= 2) {
        op->due = epio_clock_monotonic() + 5 * MILLISECOND;
        epio_complete(op, EPIO_RETRY);
    } else {
        pass_on(one, op);
    }
}

static void retry_always(layer *one, epio_op *op)
{
    (void)one;
    op->due = epio_clock_monotonic() + MILLISECOND;
    epio_complete(op, EPIO_RETRY);
}

static void op_is_tried_again(fixture *f)
{
    static layer layers[2];
    char byte = 'x';
    epio_op op = {0};
    layer_init(&layers[0], f->vfs);
    layer_init(&layers[1], &layers[0].base);
    epio_file *file = open_on(f, &layers[1].base, "data");
    layers[0].hooks[EPIO_KIND_WRITE] = retry_twice;
    uint64_t started = epio_clock_monotonic();
    check_op(f, epio_write(&op, file, &byte, 1, 0), 1);
    check(epio_clock_monotonic() - started >= 10 * MILLISECOND);
    check(layers[1].arrived[EPIO_KIND_WRITE] == 3); /* from the top */
    check(layers[0].arrived[EPIO_KIND_WRITE] == 3);

    layers[0].hooks[EPIO_KIND_WRITE] = retry_always;
    op.timeout_ns = 10 * MILLISECOND;
    check_op(f, epio_write(&op, file, &byte, 1, 0), EPIO_ETIMEDOUT);
    epio_submit(epio_write(&op, file, &byte, 1, 0));
    fixture_settle(f);
    check(epio_op_pending(&op));
    check_result(op.result, EPIO_EPENDING);
    epio_cancel(&op);
    check_result(epio_wait(&op), EPIO_ECANCELED);
    check(layers[0].frames_used == 0 && layers[1].frames_used == 0);
    check_op(f, epio_close(&op, file), 0);
}

static void sync_is_tried_again(fixture *f)
{
    static layer one;
    epio_op op = {0};
    layer_init(&one, f->vfs);
    epio_file *file = open_on(f, &one.base, "data");
    one.hooks[EPIO_KIND_SYNC] = retry_twice;
    op.timeout_ns = 2000 * MILLISECOND; /* must not end it */
    check_op(f, epio_sync(&op, file, 0), 0);
    check(one.arrived[EPIO_KIND_SYNC] == 3);
    check_op(f, epio_close(&op, file), 0);
}

static void defer_three_times(layer *one, epio_op *op)
{
    if (one->arrived[op->kind] <= 3) {
        epio_defer(op);
    } else {
        pass_on(one, op);
    }
}

static void defer_always(layer *one, epio_op *op)
{
    (void)one;
    epio_defer(op);
}

static void take_back(epio_vfs *vfs, epio_op *op)
{
    (void)op; /* deferred ops are cancelled by the core */
    layer_of(vfs)->cancels++;
}

static const epio_vfs_methods deferring_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "deferrer",
    .submit = layer_submit,
    .perform = layer_perform,
    .cancel = take_back,
};

static void deferred_op_returns_in_the_next_iteration(fixture *f)
{
    static layer one;
    char byte = 'x';
    epio_op op = {0}, other = {0};
    layer_init(&one, f->vfs);
    one.base.methods = &deferring_methods;
    epio_file *file = open_on(f, &one.base, "data");
    one.hooks[EPIO_KIND_WRITE] = defer_three_times;
    check_op(f, epio_write(&op, file, &byte, 1, 0), 1);
    check(one.arrived[EPIO_KIND_WRITE] == 4);

    /* One iteration each, and no other op starves. */
    one.hooks[EPIO_KIND_READ] = defer_always;
    epio_submit(epio_read(&op, file, &byte, 1, 0));
    uint32_t before = one.arrived[EPIO_KIND_READ];
    (void)epio_loop_poll(f->loop, 0, 0);
    (void)epio_loop_poll(f->loop, 0, 0);
    check(one.arrived[EPIO_KIND_READ] == before + 2);
    check_op(f, epio_sleep(&other, f->vfs, MILLISECOND), (int64_t)MILLISECOND);
    check(fixture_result(
              f, epio_access(&other, f->vfs, fixture_path(f, "data"), EPIO_ACCESS_EXISTS)) == 1);
    epio_cancel(&op);
    check_result(epio_wait(&op), EPIO_ECANCELED);
    check_op(f, epio_close(&op, file), 0);
}

static uint64_t delay_ns;

static void delay_then_7(layer *one, epio_op *op)
{
    (void)one;
    epio_complete_at(op, epio_clock_monotonic() + delay_ns, 7);
}

static void op_completes_at_its_time(fixture *f)
{
    static layer one;
    char byte;
    epio_op op = {0};
    layer_init(&one, f->vfs);
    one.hooks[EPIO_KIND_READ] = delay_then_7;
    epio_file *file = open_on(f, &one.base, "data");
    delay_ns = 10 * MILLISECOND;
    uint64_t started = epio_clock_monotonic();
    check_op(f, epio_read(&op, file, &byte, 1, 0), 7);
    check(epio_clock_monotonic() - started >= delay_ns);
    delay_ns = 3600000 * MILLISECOND;
    op.timeout_ns = 10 * MILLISECOND;
    check_op(f, epio_read(&op, file, &byte, 1, 0), EPIO_ETIMEDOUT);
    epio_submit(epio_read(&op, file, &byte, 1, 0));
    fixture_settle(f);
    epio_cancel(&op);
    check_result(epio_wait(&op), EPIO_ECANCELED);
    check(one.cancels == 0); /* the core cancels it alone */
    delay_ns = 0;
    check_op(f, epio_read(&op, file, &byte, 1, 0), 7);
    check_op(f, epio_close(&op, file), 0);
}

/* The VFS ignores the cancel, and delays the op later. */
static void delay_after_a_cancel_ends_at_once(fixture *f)
{
    static layer one;
    char byte;
    layer_init(&one, f->vfs);
    one.hooks[EPIO_KIND_READ] = keep;
    epio_file *file = open_on(f, &one.base, "data");
    for (int i = 0; i < 2; i++) {
        epio_op op = {0};
        if (i == 1) {
            op.timeout_ns = 1;
        }
        epio_submit(epio_read(&op, file, &byte, 1, 0));
        fixture_settle(f);
        if (i == 0) {
            epio_cancel(&op);
        }
        check(one.cancels == (uint32_t)i + 1);
        epio_complete_at(kept, epio_clock_monotonic() + 50 * MILLISECOND, 7);
        for (int j = 0; j < 100 && epio_op_pending(&op); j++) {
            (void)epio_loop_poll(f->loop, MILLISECOND, 0);
        }
        check(!epio_op_pending(&op));
        check_result(op.result, i == 0 ? EPIO_ECANCELED : EPIO_ETIMEDOUT);
    }
    epio_op close = {0};
    check_op(f, epio_close(&close, file), 0);
}

/* A close has no deadline, even if one was set. */
static void delay_close(layer *one, epio_op *op)
{
    (void)one;
    wrap_or_free(one, op);
    epio_complete_at(op, epio_clock_monotonic() + 20 * MILLISECOND, 0);
}

static void open_nothing(layer *one, epio_op *op)
{
    layer_file *file = calloc(1, sizeof *file);
    check(file != NULL);
    epio_file_init(&file->base, &one->base, op->flags, 0);
    op->file = &file->base;
    epio_complete(op, 0);
}

static void delayed_close_has_no_deadline(fixture *f)
{
    static layer one;
    epio_op op = {0};
    layer_init(&one, f->vfs);
    one.hooks[EPIO_KIND_OPEN] = open_nothing;
    one.hooks[EPIO_KIND_CLOSE] = delay_close;
    epio_file *file = open_on(f, &one.base, "data");
    op.timeout_ns = MILLISECOND;
    epio_submit(epio_close(&op, file));
    for (int i = 0; i < 200 && epio_op_pending(&op); i++) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
        epio_cancel(&op);
    }
    check(!epio_op_pending(&op));
    check_result(op.result, 0);
}

static void delay_then_0(layer *one, epio_op *op)
{
    (void)one;
    epio_complete_at(op, epio_clock_monotonic() + delay_ns, 0);
}

/* A slow flush: completed by a timer, for all syncs that share it. */
static void sync_completes_at_its_time(fixture *f)
{
    static layer one;
    epio_op syncs[3] = {{0}, {0}, {0}};
    epio_op op = {0};
    layer_init(&one, f->vfs);
    one.hooks[EPIO_KIND_SYNC] = delay_then_0;
    epio_file *file = open_on(f, &one.base, "data");
    delay_ns = 20 * MILLISECOND;
    uint64_t started = epio_clock_monotonic();
    for (int i = 0; i < 3; i++) {
        epio_submit(epio_sync(&syncs[i], file, 0));
    }
    epio_cancel(&syncs[1]);
    for (int i = 0; i < 200 && epio_loop_pending(f->loop) > 0; i++) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    check(epio_loop_pending(f->loop) == 0);
    check_result(syncs[0].result, 0);
    check_result(syncs[1].result, EPIO_ECANCELED);
    check_result(syncs[2].result, 0);
    check(epio_clock_monotonic() - started >= delay_ns);
    check(one.arrived[EPIO_KIND_SYNC] == 1);
    check_op(f, epio_close(&op, file), 0);
}

static void resumed_op_is_submitted_again(fixture *f)
{
    static layer one;
    char byte = 'x';
    epio_op op = {0};
    layer_init(&one, f->vfs);
    one.hooks[EPIO_KIND_WRITE] = keep;
    epio_file *file = open_on(f, &one.base, "data");
    epio_submit(epio_write(&op, file, &byte, 1, 0));
    fixture_settle(f);
    check(kept == &op && one.arrived[EPIO_KIND_WRITE] == 1);
    one.hooks[EPIO_KIND_WRITE] = NULL;
    epio_resume(kept);
    check_result(epio_wait(&op), 1);
    check(one.arrived[EPIO_KIND_WRITE] == 2);
    check_op(f, epio_close(&op, file), 0);
}

/* ---- A VFS with threads of its own ---------------------------------------- */

typedef struct device {
    epio_vfs base;
    test_mutex mutex;
    test_condition changed;
    epio_op *queue[256];
    unsigned count;
    bool stopping;
    bool resumes; /* lets the owner complete it */
    epio_op *resumed;
} device;

static device *device_of(epio_vfs *vfs)
{
    return (device *)(void *)vfs;
}

static void device_submit(epio_vfs *vfs, epio_op *op)
{
    device *one = device_of(vfs);
    mutex_lock(&one->mutex);
    one->queue[one->count++] = op;
    condition_signal(&one->changed);
    mutex_unlock(&one->mutex);
}

static void device_resumed(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_complete(op, 42);
}

static int64_t device_perform(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    (void)op;
    return 42;
}

static void device_cancel(epio_vfs *vfs, epio_op *op)
{
    device *one = device_of(vfs);
    bool found = false;
    mutex_lock(&one->mutex);
    for (unsigned i = 0; i < one->count && !found; i++) {
        found = one->queue[i] == op;
        if (found) {
            one->queue[i] = one->queue[--one->count];
        }
    }
    mutex_unlock(&one->mutex);
    if (found) {
        epio_complete(op, EPIO_ECANCELED);
    }
}

static const epio_vfs_methods device_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "device",
    .submit = device_submit,
    .perform = device_perform,
    .cancel = device_cancel,
    .resumed = device_resumed,
};

static void *device_run(void *argument)
{
    device *one = argument;
    mutex_lock(&one->mutex);
    while (!one->stopping) {
        if (one->count == 0) {
            condition_wait(&one->changed, &one->mutex);
            continue;
        }
        epio_op *op = one->queue[--one->count];
        mutex_unlock(&one->mutex);
        if (one->resumes) {
            epio_resume(op);
        } else {
            epio_complete(op, 42);
        }
        mutex_lock(&one->mutex);
    }
    mutex_unlock(&one->mutex);
    return NULL;
}

/* Completes held ops in its own thread, or resumes them for the owner to complete. */
static void drive_device(fixture *f, bool resumes)
{
    static device one;
    static epio_op ops[200];
    test_thread thread;
    memset(&one, 0, sizeof one);
    memset(ops, 0, sizeof ops);
    one.base.methods = &device_methods;
    one.base.loop = f->loop;
    one.resumes = resumes;
    mutex_init(&one.mutex);
    condition_init(&one.changed);
    thread_start(&thread, device_run, &one);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 200; i++) {
            epio_submit(epio_current_time(&ops[i], &one.base));
        }
        for (size_t i = 0; i < 200; i += 3) {
            epio_cancel(&ops[i]);
        }
        check_result(epio_loop_run(f->loop), 200);
        for (size_t i = 0; i < 200; i++) {
            check(ops[i].result == 42 || (i % 3 == 0 && ops[i].result == EPIO_ECANCELED));
        }
    }
    mutex_lock(&one.mutex);
    one.stopping = true;
    condition_signal(&one.changed);
    mutex_unlock(&one.mutex);
    (void)thread_join(thread);
    condition_destroy(&one.changed);
    mutex_destroy(&one.mutex);
}

static void completes_from_a_thread_of_its_own(fixture *f)
{
    drive_device(f, false);
}

static void resumes_from_a_thread_of_its_own(fixture *f)
{
    drive_device(f, true);
}

static void offload(layer *one, epio_op *op)
{
    (void)one;
    epio_offload(op);
}

static const epio_vfs_methods device_like_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "offloader",
    .submit = layer_submit,
    .perform = device_perform,
    .cancel = layer_cancel,
};

static void offloads_to_workers(fixture *f)
{
    static layer one;
    epio_op ops[50];
    memset(ops, 0, sizeof ops);
    layer_init(&one, f->vfs);
    one.base.methods = &device_like_methods;
    one.hooks[EPIO_KIND_ACCESS] = offload;
    for (size_t i = 0; i < 50; i++) {
        epio_submit(epio_access(&ops[i], &one.base, "x", EPIO_ACCESS_EXISTS));
    }
    check_result(epio_loop_run(f->loop), 50);
    for (size_t i = 0; i < 50; i++) {
        check_result(ops[i].result, 42);
    }
}

/* ---- Order above the layers ------------------------------------------------ */

/* Delays each write by a timer, then forwards it. */
typedef struct late_write {
    epio_op timer;
    epio_op *write;
    layer *owner;
} late_write;

static late_write late[8];
static unsigned late_count;

static void forward_late_write(epio_op *op)
{
    late_write *one = op->user;
    pass_on(one->owner, one->write);
}

static void delay_write(layer *one, epio_op *op)
{
    late_write *entry = &late[late_count++];
    memset(entry, 0, sizeof *entry);
    entry->write = op;
    entry->owner = one;
    entry->timer.done = forward_late_write;
    entry->timer.user = entry;
    epio_submit(epio_sleep(&entry->timer, one->inner, (9 - late_count) * MILLISECOND));
}

static void check_no_write(layer *one, epio_op *op)
{
    check(one->arrived[EPIO_KIND_WRITE] == one->returned[EPIO_KIND_WRITE]);
    pass_on(one, op);
}

static void no_sync_overtakes_a_delayed_write(fixture *f)
{
    static layer one;
    epio_op writes[8], syncs[8];
    epio_op op = {0};
    char bytes[8] = "abcdefg";
    memset(writes, 0, sizeof writes);
    memset(syncs, 0, sizeof syncs);
    late_count = 0;
    layer_init(&one, f->vfs);
    epio_file *file = open_on(f, &one.base, "data");
    one.hooks[EPIO_KIND_WRITE] = delay_write;
    one.hooks[EPIO_KIND_SYNC] = check_no_write;
    for (size_t i = 0; i < 8; i++) {
        epio_submit(epio_write(&writes[i], file, &bytes[i], 1, i));
    }
    epio_submit(epio_sync(&syncs[0], file, 0));
    (void)epio_loop_run(f->loop);
    check(one.arrived[EPIO_KIND_SYNC] == 1);
    check_result(syncs[0].result, 0);
    check_op(f, epio_close(&op, file), 0);
    check_content(f, "data", bytes, 8);
}

/* Splits each write into child ops of the inner file, one per byte. */
typedef struct split {
    epio_op children[16];
    epio_op *parent;
    unsigned left;
    int64_t result;
} split;

static split splits[4];
static unsigned split_count;

static void child_done(epio_op *op)
{
    split *one = op->user;
    if (op->result < 0 && one->result >= 0) {
        one->result = op->result;
        one->parent->os_error = op->os_error;
    }
    if (--one->left == 0) {
        epio_complete(one->parent, one->result);
    }
}

static void split_write(layer *owner, epio_op *op)
{
    split *one = &splits[split_count++];
    (void)owner;
    memset(one, 0, sizeof *one);
    one->parent = op;
    one->result = (int64_t)op->arguments.io.len;
    one->left = (unsigned)op->arguments.io.len;
    check(one->left <= 16);
    for (unsigned i = 0; i < op->arguments.io.len; i++) {
        one->children[i].done = child_done;
        one->children[i].user = one;
        epio_submit(epio_write(&one->children[i], inner_of(op),
                               (const char *)op->arguments.io.base + i, 1,
                               op->arguments.io.offset + i));
    }
}

static void check_no_split(layer *one, epio_op *op)
{
    for (unsigned i = 0; i < split_count; i++) {
        check(splits[i].left == 0);
    }
    pass_on(one, op);
}

static void no_sync_overtakes_a_split_write(fixture *f)
{
    static layer one;
    epio_op writes[4], sync = {0}, close = {0};
    const char text[] = "it was split into as many pieces as it has letters, or so it is said";
    memset(writes, 0, sizeof writes);
    split_count = 0;
    layer_init(&one, f->vfs);
    epio_file *file = open_on(f, &one.base, "data");
    one.hooks[EPIO_KIND_WRITE] = split_write;
    one.hooks[EPIO_KIND_SYNC] = check_no_split;
    for (size_t i = 0; i < 4; i++) {
        epio_submit(epio_write(&writes[i], file, text + 16 * i, 16, 16 * i));
    }
    epio_submit(epio_sync(&sync, file, 0));
    epio_submit(epio_close(&close, file));
    (void)epio_loop_run(f->loop);
    for (size_t i = 0; i < 4; i++) {
        check_result(writes[i].result, 16);
    }
    check_result(sync.result, 0);
    check_result(close.result, 0);
    check(one.arrived[EPIO_KIND_SYNC] == 1);
    check_content(f, "data", text, 64);
}

/* A layer that cancels another op inside its submit: ops posted by other threads keep their
 * order. */
static epio_op unrelated;
static epio_op posted[3];
static epio_file *posted_file;

static void cancel_unrelated(layer *one, epio_op *op)
{
    epio_cancel(&unrelated);
    pass_on(one, op);
}

static void *post_read(void *argument)
{
    static char byte;
    (void)argument;
    epio_submit(epio_read(&posted[0], posted_file, &byte, 1, 0));
    epio_submit(epio_write(&posted[1], posted_file, "x", 1, 0));
    return NULL;
}

static void *post_sync(void *argument)
{
    (void)argument;
    epio_submit(epio_sync(&posted[2], posted_file, 0));
    return NULL;
}

/* Another thread submits a sync before the owner takes the write. */
static void post_in_between(layer *one, epio_op *op)
{
    test_thread thread;
    thread_start(&thread, post_sync, NULL);
    (void)thread_join(thread);
    cancel_unrelated(one, op);
}

static void cancel_in_submit_keeps_the_order(fixture *f)
{
    static layer one;
    epio_op op = {0};
    test_thread thread;
    memset(posted, 0, sizeof posted);
    memset(&unrelated, 0, sizeof unrelated);
    layer_init(&one, f->vfs);
    posted_file = open_on(f, &one.base, "data");
    one.hooks[EPIO_KIND_READ] = post_in_between;
    one.hooks[EPIO_KIND_WRITE] = delay_write;
    one.hooks[EPIO_KIND_SYNC] = check_no_write;
    late_count = 0;
    epio_submit(epio_sleep(&unrelated, f->vfs, 3600000 * MILLISECOND));
    thread_start(&thread, post_read, NULL);
    (void)thread_join(thread);
    (void)epio_loop_run(f->loop);
    check_result(posted[1].result, 1);
    check_result(posted[2].result, 0);
    check(one.arrived[EPIO_KIND_SYNC] == 1 && one.returned[EPIO_KIND_WRITE] == 1);
    check_op(f, epio_close(&op, posted_file), 0);
}

/* ---- Misuse ----------------------------------------------------------------- */

static void complete_twice(layer *one, epio_op *op)
{
    (void)one;
    epio_complete(op, 0);
    epio_complete(op, 0);
}

static void submit_to_a_wrong_layer(const char *argument)
{
    static layer one;
    epio_loop *loop;
    epio_op op = {0};
    (void)argument;
    check_result(epio_loop_create(&loop, NULL), 0);
    layer_init(&one, epio_loop_vfs(loop));
    one.hooks[EPIO_KIND_ACCESS] = complete_twice;
    epio_submit(epio_access(&op, &one.base, "x", EPIO_ACCESS_EXISTS));
}

static void completing_twice_aborts(fixture *f)
{
    (void)f;
    check_result(run_in_child(submit_to_a_wrong_layer, ""), ENDED_BY_ABORT);
}

#define ON_STACKS                                                                                  \
    (ON_OS | ON_OS_SUBMIT | ON_MEMORY | ON_LIMIT_OS | ON_LIMIT_MEMORY_3 | ON_TRACE_OS |            \
     ON_TRACE_MEMORY)

static const fixture_test tests[] = {
    FIXTURE_TEST(a_resubmitted_lock_is_tried_anew, ON_OS | ON_MEMORY),
    FIXTURE_TEST(alarms_ring_once_and_only_while_they_are_wanted, ON_OS),
    FIXTURE_TEST(every_kind_passes_three_layers, ON_ANY),
    FIXTURE_TEST(transformed_data_is_not_what_lies_below, ON_ANY),
    FIXTURE_TEST(returned_changes_a_result, ON_STACKS),
    FIXTURE_TEST(returned_sends_again, ON_STACKS),
    FIXTURE_TEST(result_is_pending_while_sent_again, ON_OS),
    FIXTURE_TEST(cancel_reaches_the_current_holder, ON_OS | ON_MEMORY | ON_LIMIT_OS),
    FIXTURE_TEST(forward_ends_what_was_cancelled, ON_OS | ON_MEMORY | ON_LIMIT_OS),
    FIXTURE_TEST(op_is_tried_again, ON_STACKS),
    FIXTURE_TEST(sync_is_tried_again, ON_STACKS),
    FIXTURE_TEST(deferred_op_returns_in_the_next_iteration, ON_STACKS),
    FIXTURE_TEST(op_completes_at_its_time, ON_STACKS),
    FIXTURE_TEST(delay_after_a_cancel_ends_at_once, ON_OS),
    FIXTURE_TEST(delayed_close_has_no_deadline, ON_OS),
    FIXTURE_TEST(sync_completes_at_its_time, ON_OS | ON_MEMORY | ON_LIMIT_OS),
    FIXTURE_TEST(resumed_op_is_submitted_again, ON_OS | ON_MEMORY | ON_LIMIT_OS),
    FIXTURE_TEST(completes_from_a_thread_of_its_own, ON_OS),
    FIXTURE_TEST(resumes_from_a_thread_of_its_own, ON_OS),
    FIXTURE_TEST(offloads_to_workers, ON_OS),
    FIXTURE_TEST(no_sync_overtakes_a_delayed_write, ON_OS | ON_MEMORY | ON_LIMIT_OS),
    FIXTURE_TEST(no_sync_overtakes_a_split_write, ON_OS | ON_MEMORY | ON_LIMIT_OS),
    FIXTURE_TEST(cancel_in_submit_keeps_the_order, ON_OS),
    FIXTURE_TEST(completing_twice_aborts, ON_OS),
};

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(submit_to_a_wrong_layer)};
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("layers", tests);
}
