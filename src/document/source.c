/* See source.h. */
#include "document/source.h"

#include "document/replacement.h"

#include <stdlib.h>

/* Of one write: progress and a cancel come between two. */
#define PIECE ((size_t)4 << 20)

/* So many bytes go into a FIFO together on every system, so that a write may be tried again. */
#define FIFO_PIECE ((size_t)512)

/* Parts of one write. */
#define MOST_PARTS 64

typedef struct writing {
    epio__procedure *procedure;
    epio_file *to;
    uint32_t how;
    uint64_t offset;
} writing;

static int64_t write_parts(writing *one, const epio_iovec *parts, size_t count)
{
    epio_op op = EPIO_OP_INIT;
    (void)(count == 1 ? epio_write(&op, one->to, parts[0].base, parts[0].len, one->offset)
                      : epio_writev(&op, one->to, parts, count, one->offset));
    int64_t result;
    if ((one->how & EPIO__SOURCE_MUST) != 0) {
        result = epio__procedure_undo(one->procedure, &op);
        epio__procedure_op(one->procedure)->os_error = op.os_error;
    } else {
        result = epio__document_perform(one->procedure, &op);
    }
    if (result >= 0) {
        one->offset += (uint64_t)result;
        epio__procedure_count(one->procedure, (uint64_t)result, 0);
    }
    return result;
}

/* From a byte of a part on, as many as one write takes; both are moved behind them. */
static size_t gather(const epio__source *source, size_t *part, size_t *offset, size_t room,
                     epio_iovec pieces[MOST_PARTS])
{
    size_t count = 0;
    while (source->parts != NULL && *part < source->count && count < MOST_PARTS && room > 0) {
        const epio_iovec *from = &source->parts[*part];
        size_t left = from->len - *offset;
        size_t len = left < room ? left : room;
        if (len > 0) {
            pieces[count].base = (char *)from->base + *offset;
            pieces[count++].len = len;
        }
        room -= len;
        *offset += len;
        if (*offset == from->len) {
            *part += 1;
            *offset = 0;
        }
    }
    return count;
}

static size_t piece_of(const writing *one)
{
    return (one->how & EPIO__SOURCE_FIFO) != 0 ? FIFO_PIECE : PIECE;
}

static int64_t write_memory(writing *one, const epio__source *source)
{
    epio_iovec pieces[MOST_PARTS];
    size_t part = 0;
    size_t offset = 0;
    int64_t result = 0;
    size_t count;
    while (result >= 0 && (count = gather(source, &part, &offset, piece_of(one), pieces)) > 0) {
        result = write_parts(one, pieces, count);
    }
    return result < 0 ? result : 0;
}

static int64_t write_file(writing *one, const epio__source *source)
{
    epio_op op = EPIO_OP_INIT;
    const size_t room = piece_of(one);
    epio_iovec piece = {malloc(room), 0};
    int64_t result = piece.base != NULL ? 1 : EPIO_ENOMEM;
    while (result > 0) {
        result = epio__procedure_undo(one->procedure,
                                      epio_read(&op, source->file, piece.base, room, one->offset));
        if (result > 0) {
            piece.len = (size_t)result;
            result = write_parts(one, &piece, 1);
        }
    }
    free(piece.base);
    return result;
}

int64_t epio__source_write(epio__procedure *procedure, const epio__source *source, epio_file *to,
                           uint32_t how)
{
    writing one = {procedure, to, how, 0};
    return source->parts != NULL || source->file == NULL ? write_memory(&one, source)
                                                         : write_file(&one, source);
}
