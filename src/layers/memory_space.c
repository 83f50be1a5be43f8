/* See memory_space.h. Blocks are the memory that is allocated, and what is allocated is there: it
 * counts as data, as on a file system that knows no better. To zero a range is to punch a hole. */
#include "layers/memory_space.h"

#include "reason.h"

#include <epio/vfs.h>

/* ---- Appending ---- */

typedef struct parts {
    const epio_iovec *first;
    uint64_t count;
} parts;

static parts parts_of(const epio_op *op, epio_iovec *whole)
{
    if (op->kind == EPIO_KIND_WRITEV) {
        return (parts){op->arguments.io.base, op->arguments.io.len};
    }
    *whole = (epio_iovec){op->arguments.io.base, (size_t)op->arguments.io.len};
    return (parts){whole, 1};
}

static int64_t write_parts(epio__memory_contents *contents, const parts *from, uint64_t offset)
{
    int64_t total = 0;
    for (uint64_t i = 0; i < from->count; i++) {
        int64_t result = epio__memory_write(contents, from->first[i].base, from->first[i].len,
                                            offset + (uint64_t)total);
        if (result < 0) {
            return result;
        }
        total += result;
    }
    return total;
}

static int64_t check_room(const epio__memory_contents *contents, uint64_t len)
{
    return len > INT64_MAX - contents->size ? EPIO_EFBIG : 0;
}

static int64_t append_at_once(epio__memory_contents *contents, const parts *from, uint64_t len)
{
    int64_t result = check_room(contents, len);
    return result == 0 ? write_parts(contents, from, contents->size) : result;
}

/* How often a long append is copied before it keeps others waiting. */
#define MOST_TRIES 3

/* Copies to blocks of its own, for which no other op waits, then puts these in place: so a long
 * append is one piece for readers, too. It depends on where in a block the end is, which others may
 * change meanwhile. */
static int64_t append_staged(epio__memory_lock *lock, epio__memory_contents *contents,
                             const parts *from, uint64_t len)
{
    epio__memory_contents staged = {0};
    bool fits = false;
    int64_t result = check_room(contents, len);
    for (unsigned tries = 0; result >= 0 && !fits && tries < MOST_TRIES; tries++) {
        size_t within = epio__memory_end_in_block(contents);
        epio__memory_lock_release(lock);
        epio__memory_resize(&staged, 0);
        result = write_parts(&staged, from, within);
        epio__memory_lock_acquire(lock);
        fits = epio__memory_end_in_block(contents) == within;
    }
    if (result >= 0 && fits) {
        result = check_room(contents, len);
        result = result == 0 ? epio__memory_append(contents, &staged) : result;
        result = result == 0 ? (int64_t)len : result;
    } else if (result >= 0) {
        result = append_at_once(contents, from, len);
    }
    epio__memory_resize(&staged, 0);
    return result;
}

int64_t epio__memory_append_op(epio__memory_lock *lock, epio__memory_node *node, const epio_op *op)
{
    epio__memory_contents *contents = &node->contents;
    epio_iovec whole;
    const parts from = parts_of(op, &whole);
    uint64_t before = contents->size;
    uint64_t len = epio_op_bytes(op);
    int64_t result = len > EPIO__MEMORY_WHOLE_COPY ? append_staged(lock, contents, &from, len)
                                                   : append_at_once(contents, &from, len);
    if (result > 0 || contents->size != before) {
        epio__memory_note_modified(node); /* a failure has perhaps written a part */
    }
    if (result < 0 || op->kind != EPIO_KIND_APPEND) {
        return result;
    }
    return (int64_t)(contents->size - len);
}

/* ---- Ranges ---- */

/* Memory is taken for all that lacks before any of it is put in place, so that a failure gives it
 * back. Who punches holes there meanwhile has this look again. */
static int64_t allocate(epio__memory_lock *lock, epio__memory_contents *contents, uint64_t offset,
                        uint64_t end)
{
    epio__memory_spares spares = {0};
    int64_t result = 0;
    while (result == 0 && offset < end) {
        result = epio__memory_fill(contents, &offset, end, &spares);
        if (result == EPIO_ENOMEM) {
            uint64_t count = epio__memory_lacks(contents, offset, end);
            epio__memory_lock_release(lock);
            result = epio__memory_spares_make(&spares, count) ? 0 : EPIO_ENOSPC;
            epio__memory_lock_acquire(lock);
        } else if (offset < end) {
            epio__memory_let_others_in(lock);
        }
    }
    epio__memory_spares_free(&spares);
    return result;
}

static void clear(epio__memory_lock *lock, epio__memory_contents *contents, uint64_t offset,
                  uint64_t end)
{
    for (;;) {
        offset = epio__memory_clear(contents, offset, end);
        if (offset >= end) {
            return;
        }
        epio__memory_let_others_in(lock);
    }
}

int64_t epio__memory_change_space(epio__memory_lock *lock, epio__memory_node *node,
                                  const epio_op *op)
{
    epio__memory_contents *contents = &node->contents;
    uint64_t offset = op->arguments.io.offset;
    uint64_t end = offset + op->arguments.io.len;
    int64_t result = 0;
    if (op->kind == EPIO_KIND_ALLOCATE) {
        result = allocate(lock, contents, offset, end);
    } else {
        clear(lock, contents, offset, end);
    }
    bool keeps = op->kind == EPIO_KIND_PUNCH_HOLE || (op->flags & EPIO_SPACE_KEEP_SIZE) != 0;
    if (result == 0) {
        epio__memory_grow(contents, keeps ? 0 : end);
        epio__memory_note_modified(node);
    }
    return result;
}

/* ---- Copying ---- */

/* Steps, each at most of a block, until others are let in; and of one op, which is to end soon if
 * it is cancelled. */
#define STEPS_WITHOUT_OTHERS 4u
#define MOST_STEPS 1024u

/* What is cut off meanwhile is not copied. An error after a part is the next op's. */
int64_t epio__memory_copy_op(epio__memory_lock *lock, epio__memory_node *from,
                             epio__memory_node *to, epio_op *op)
{
    uint64_t done = 0;
    int64_t step = 0;
    if (from == to && epio__op_copies_over_itself(op)) {
        return epio__op_refuse(op, EPIO__REASON_RANGES_OVERLAP);
    }
    for (unsigned steps = 0; steps < MOST_STEPS && done < op->arguments.copy.len; steps++) {
        uint64_t offset = op->arguments.copy.from_offset + done;
        if (steps % STEPS_WITHOUT_OTHERS == STEPS_WITHOUT_OTHERS - 1) {
            epio__memory_let_others_in(lock);
        }
        step = epio__memory_copy(&from->contents, offset, &to->contents,
                                 op->arguments.copy.offset + done, op->arguments.copy.len - done);
        if (step <= 0) {
            break;
        }
        done += (uint64_t)step;
    }
    if (done != 0) {
        epio__memory_note_modified(to);
    }
    return done != 0 ? (int64_t)done : step;
}

int64_t epio__memory_seek_op(const epio__memory_node *node, const epio_op *op)
{
    bool hole = op->kind == EPIO_KIND_SEEK_HOLE;
    return (int64_t)epio__memory_seek(&node->contents, op->arguments.io.offset, hole);
}
