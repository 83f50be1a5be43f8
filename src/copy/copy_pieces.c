/* See copy_pieces.h.
 *
 * First the VFS of both files is asked to copy, a part at a time. What it cannot do is read and
 * written, where `from` has data. Where it has a hole, `to` gets one, if its file system knows how.
 * A hole at the end is made by a zero in its last byte, which is punched out again: a truncate
 * could cut off what others append meanwhile. */
#include "copy/copy_pieces.h"

#include "reason.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of a read and a write: short enough for the owner's thread, if they need not wait. */
#define BUFFER_SIZE ((size_t)512 << 10)

/* Fits any DIRECT file. */
#define ALIGNMENT ((size_t)4096)

/* Of one hole at a time, so that a cancel is soon seen. */
#define LARGEST_HOLE (UINT64_C(4) << 30)

/* At least the largest block of a file system: what a zero at the end allocates. */
#define LARGEST_BLOCK (UINT64_C(1) << 20)

enum {
    COPY,          /* by the VFS of both */
    STAT_FROM,     /* are the two one file? */
    STAT_TO,       /* likewise */
    FIND_DATA,     /* in `from` */
    FIND_HOLE,     /* likewise */
    READ,          /* what is data */
    WRITE,         /* that */
    MEASURE,       /* does `to` have what a hole must replace? */
    PUNCH,         /* a hole in `to` */
    WRITE_ZEROS,   /* instead */
    MEASURE_END,   /* is `to` as long as the range needs? */
    GROW,          /* it is not */
    GROW_BY_WRITE, /* instead */
    PUNCH_END      /* what that has allocated */
};

static uint64_t least(uint64_t one, uint64_t other)
{
    return other < one ? other : one;
}

static uint64_t left(const epio__copy *copy)
{
    return copy->len - copy->done;
}

/* Where in the files the copy is. */
static uint64_t from_at(const epio__copy *copy)
{
    return copy->from_offset + copy->done;
}

static uint64_t to_at(const epio__copy *copy)
{
    return copy->to_offset + copy->done;
}

/* From here on it is read and written. Of two opens of one file, ranges must not overlap: what is
 * read would be what was written. */
static uint8_t first_of_reading(const epio_op *op)
{
    return epio__op_copies_over_itself(op) ? STAT_FROM : FIND_DATA;
}

static void read_progress(epio_progress_source *source, epio_progress_info *info)
{
    epio__copy *copy = EPIO_CONTAINER(source, epio__copy, progress);
    info->bytes = (uint64_t)epio__load_size(&copy->shown) << 10;
    info->total_bytes = copy->len != UINT64_MAX ? copy->len : 0;
}

epio__copy *epio__copy_create(const epio_op *op)
{
    epio__copy *copy = calloc(1, sizeof *copy);
    if (copy == NULL) {
        return NULL;
    }
    copy->from = op->arguments.copy.from;
    copy->to = op->file;
    copy->from_offset = op->arguments.copy.from_offset;
    copy->to_offset = op->arguments.copy.offset;
    copy->len = op->arguments.copy.len;
    copy->step = copy->from->vfs == copy->to->vfs ? COPY : first_of_reading(op);
    epio_progress_publish(&copy->progress, op, read_progress);
    return copy;
}

void epio__copy_destroy(epio__copy *copy)
{
    epio_progress_withdraw(&copy->progress);
    free(copy->memory);
    free(copy);
}

/* ---- The next piece ---- */

static void prepare_io(epio_op *op, uint8_t kind, void *base, uint64_t len, uint64_t offset)
{
    op->kind = kind;
    op->arguments.io.base = base;
    op->arguments.io.len = len;
    op->arguments.io.offset = offset;
}

static void prepare_stat(epio_op *op, epio_info *info)
{
    info->size = sizeof *info;
    op->kind = EPIO_KIND_FILE_STAT;
    op->arguments.path.buffer = (char *)info;
    op->arguments.path.len = sizeof *info;
}

static void prepare_copy(const epio__copy *copy, epio_op *op)
{
    op->kind = EPIO_KIND_COPY_RANGE;
    op->arguments.copy.from = copy->from;
    op->arguments.copy.len = left(copy);
    op->arguments.copy.offset = to_at(copy);
    op->arguments.copy.from_offset = from_at(copy);
    op->arguments.copy.state = NULL;
}

static uint64_t hole_left(const epio__copy *copy)
{
    return least(copy->hole_end - copy->done, LARGEST_HOLE);
}

static uint64_t zeros_left(const epio__copy *copy)
{
    return least(least(copy->hole_end - copy->done, copy->to_size - to_at(copy)), copy->room);
}

static void *zeros(epio__copy *copy)
{
    if (!copy->buffer_is_clean) {
        memset(copy->buffer, 0, copy->room);
        copy->buffer_is_clean = true;
    }
    return copy->buffer;
}

/* What a block at the end of `to` has of the last hole. */
static void prepare_end_of_hole(const epio__copy *copy, epio_op *op)
{
    uint64_t begin = copy->to_offset + copy->hole_begin;
    uint64_t block = (to_at(copy) - 1) & ~(LARGEST_BLOCK - 1);
    begin = block > begin ? block : begin;
    prepare_io(op, EPIO_KIND_PUNCH_HOLE, NULL, to_at(copy) - begin, begin);
}

static void prepare_step(epio__copy *copy, epio_op *op)
{
    static unsigned char zero;
    switch (copy->step) {
    case COPY:
        prepare_copy(copy, op);
        return;
    case STAT_FROM:
        prepare_stat(op, &copy->infos[0]);
        return;
    case STAT_TO:
        prepare_stat(op, &copy->infos[1]);
        return;
    case FIND_DATA:
        prepare_io(op, EPIO_KIND_SEEK_DATA, NULL, 0, from_at(copy));
        return;
    case FIND_HOLE:
        prepare_io(op, EPIO_KIND_SEEK_HOLE, NULL, 0, from_at(copy));
        return;
    case READ:
        copy->buffer_is_clean = false;
        prepare_io(op, EPIO_KIND_READ, copy->buffer,
                   least(least(left(copy), copy->data_end - copy->done), copy->room),
                   from_at(copy));
        return;
    case WRITE:
        prepare_io(op, EPIO_KIND_WRITE, copy->buffer, copy->in_buffer, to_at(copy));
        return;
    case PUNCH:
        prepare_io(op, EPIO_KIND_PUNCH_HOLE, NULL, hole_left(copy), to_at(copy));
        return;
    case WRITE_ZEROS:
        prepare_io(op, EPIO_KIND_WRITE, zeros(copy), zeros_left(copy), to_at(copy));
        return;
    case GROW:
        prepare_io(op, EPIO_KIND_ZERO_RANGE, NULL, 1, to_at(copy) - 1);
        return;
    case GROW_BY_WRITE:
        prepare_io(op, EPIO_KIND_WRITE, &zero, 1, to_at(copy) - 1);
        return;
    case PUNCH_END:
        prepare_end_of_hole(copy, op);
        return;
    default:
        op->kind = EPIO_KIND_SIZE;
        return;
    }
}

epio_file *epio__copy_prepare(epio__copy *copy, epio_op *op)
{
    epio__store_size(&copy->shown, (size_t)(copy->done >> 10));
    bool of_from = copy->step == STAT_FROM || copy->step == FIND_DATA || copy->step == FIND_HOLE ||
                   copy->step == READ;
    op->flags = 0;
    op->os_error = 0;
    op->reason = EPIO__REASON_NONE;
    prepare_step(copy, op);
    return of_from ? copy->from : copy->to;
}

void epio__copy_restore(epio__copy *copy, epio_op *op)
{
    op->kind = EPIO_KIND_COPY_RANGE;
    op->flags = 0;
    op->arguments.copy.from = copy->from;
    op->arguments.copy.len = copy->len;
    op->arguments.copy.offset = copy->to_offset;
    op->arguments.copy.from_offset = copy->from_offset;
    op->arguments.copy.state = copy;
}

/* ---- What follows ---- */

static bool over(epio__copy *copy, int64_t result)
{
    copy->result = result;
    return false;
}

static bool step(epio__copy *copy, uint8_t next)
{
    copy->step = next;
    return true;
}

/* All is copied, or `from` has no more. */
static bool end(epio__copy *copy)
{
    return copy->ends_with_hole ? step(copy, MEASURE_END) : over(copy, (int64_t)copy->done);
}

static bool has_buffer(epio__copy *copy)
{
    if (copy->memory == NULL) {
        uint64_t needed = (left(copy) + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
        copy->room = needed < BUFFER_SIZE ? (size_t)needed : BUFFER_SIZE;
        copy->memory = malloc(copy->room + ALIGNMENT - 1);
        uintptr_t unused = (uintptr_t)copy->memory & (ALIGNMENT - 1);
        copy->buffer =
            (unsigned char *)copy->memory + (unused != 0 ? ALIGNMENT - (size_t)unused : 0);
    }
    return copy->memory != NULL;
}

static bool step_with_buffer(epio__copy *copy, uint8_t next)
{
    return has_buffer(copy) ? step(copy, next) : over(copy, EPIO_ENOMEM);
}

/* Up to `data_end`, or until a read says that it is the end. */
static bool read_on(epio__copy *copy, uint64_t data_end)
{
    copy->data_end = data_end;
    return step_with_buffer(copy, READ);
}

static bool next_part(epio__copy *copy)
{
    if (left(copy) == 0) {
        return end(copy);
    }
    return copy->all_is_data ? read_on(copy, UINT64_MAX) : step(copy, FIND_DATA);
}

static bool after_copy(epio__copy *copy, const epio_op *op, int64_t result)
{
    if (result == EPIO_ENOTSUP) {
        return step(copy, first_of_reading(op));
    }
    if (result < 0) {
        return over(copy, result);
    }
    copy->done += least((uint64_t)result, left(copy));
    return result == 0 || left(copy) == 0 ? end(copy) : true;
}

/* Numbers of a memory VFS may be those of a device of the system, but no time of birth is. */
static bool are_one(const epio_info *one, const epio_info *other)
{
    return (one->known & other->known & EPIO_INFO_ID) != 0 && one->device == other->device &&
           one->id[0] == other->id[0] && one->id[1] == other->id[1] && one->type == other->type &&
           one->born == other->born;
}

static bool after_stat(epio__copy *copy, epio_op *op, int64_t result)
{
    if (result >= 0 && copy->step == STAT_FROM) {
        return step(copy, STAT_TO);
    }
    if (result >= 0 && are_one(&copy->infos[0], &copy->infos[1])) {
        return over(copy, epio__op_refuse(op, EPIO__REASON_RANGES_OVERLAP));
    }
    return next_part(copy);
}

static bool skip_hole(epio__copy *copy)
{
    copy->done = copy->hole_end;
    copy->ends_with_hole = true;
    return next_part(copy);
}

/* What is behind the end is a hole. A file without a length, as the kernel's own are, is read. */
static bool after_find_data(epio__copy *copy, int64_t result)
{
    if (result < 0) {
        copy->all_is_data = true;
        return next_part(copy);
    }
    if ((uint64_t)result < from_at(copy)) {
        return read_on(copy, UINT64_MAX);
    }
    if ((uint64_t)result == from_at(copy)) {
        return step(copy, FIND_HOLE);
    }
    copy->hole_begin = copy->done;
    copy->hole_end = least((uint64_t)result - copy->from_offset, copy->len);
    return step(copy, MEASURE);
}

static bool after_find_hole(epio__copy *copy, int64_t result)
{
    bool known = result >= 0 && (uint64_t)result > from_at(copy);
    copy->all_is_data = result < 0;
    return read_on(copy, known ? (uint64_t)result - copy->from_offset : UINT64_MAX);
}

static bool after_read(epio__copy *copy, int64_t result)
{
    copy->in_buffer = (size_t)result;
    return result == 0 ? end(copy) : step(copy, WRITE);
}

static bool after_write(epio__copy *copy, int64_t result)
{
    copy->done += least((uint64_t)result, copy->in_buffer);
    copy->ends_with_hole = false;
    if (result == 0) {
        return over(copy, EPIO_EIO);
    }
    bool more_data = left(copy) != 0 && copy->done < copy->data_end;
    return more_data ? step(copy, READ) : next_part(copy);
}

/* What `to` has where `from` has a hole. The first one is punched in any case: on Windows the file
 * becomes sparse by that. */
static bool go_on_in_hole(epio__copy *copy)
{
    bool covers = to_at(copy) < copy->to_size;
    if (copy->done == copy->hole_end || (!covers && copy->has_punched)) {
        return skip_hole(copy);
    }
    return copy->cannot_punch ? step_with_buffer(copy, WRITE_ZEROS) : step(copy, PUNCH);
}

static bool after_punch(epio__copy *copy, int64_t result)
{
    copy->has_punched = true;
    copy->cannot_punch = result == EPIO_ENOTSUP;
    copy->done += result >= 0 ? hole_left(copy) : 0;
    return result < 0 && !copy->cannot_punch ? over(copy, result) : go_on_in_hole(copy);
}

static bool after_zeros(epio__copy *copy, int64_t result)
{
    copy->done += least((uint64_t)result, zeros_left(copy));
    return result == 0 ? over(copy, EPIO_EIO) : go_on_in_hole(copy);
}

static bool after_measure(epio__copy *copy, int64_t result)
{
    copy->to_size = (uint64_t)result;
    if (copy->step == MEASURE) {
        return go_on_in_hole(copy);
    }
    return copy->to_size < to_at(copy) ? step(copy, GROW) : over(copy, (int64_t)copy->done);
}

static bool has_grown(epio__copy *copy)
{
    return copy->cannot_punch ? over(copy, (int64_t)copy->done) : step(copy, PUNCH_END);
}

bool epio__copy_continue(epio__copy *copy, epio_op *op, int64_t result)
{
    switch (copy->step) {
    case COPY:
        return after_copy(copy, op, result);
    case STAT_FROM:
    case STAT_TO:
        return after_stat(copy, op, result);
    case FIND_DATA:
        return after_find_data(copy, result);
    case FIND_HOLE:
        return after_find_hole(copy, result);
    case PUNCH:
        return after_punch(copy, result);
    case PUNCH_END:
        return over(copy, (int64_t)copy->done); /* else a block more than needed is allocated */
    default:
        break;
    }
    if (copy->step == GROW && result == EPIO_ENOTSUP) {
        return step(copy, GROW_BY_WRITE);
    }
    if (result < 0) {
        return over(copy, result);
    }
    switch (copy->step) {
    case READ:
        return after_read(copy, result);
    case WRITE:
        return after_write(copy, result);
    case WRITE_ZEROS:
        return after_zeros(copy, result);
    case GROW:
    case GROW_BY_WRITE:
        return has_grown(copy);
    default:
        return after_measure(copy, result);
    }
}
