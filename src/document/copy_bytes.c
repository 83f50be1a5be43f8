/* See copy_bytes.h.
 *
 * A small file is read and written at once: that takes fewer calls than to ask for anything better.
 * A larger one is for its VFS to copy, by large pieces; what that cannot is read and written, by
 * several threads if they can be had. */
#include "document/copy_bytes.h"

#include "copy/copy.h"

/* Of reads and writes; and of what the system copies, which takes a pause by itself. */
#define PIECE (UINT64_C(4) << 20)
#define LARGE_PIECE (UINT64_C(1) << 30)

static int64_t count(const epio__copier *copier, int64_t result)
{
    if (result > 0) {
        epio__procedure_count(copier->procedure, (uint64_t)result, 0);
    }
    return result;
}

/* Also what says only to a read how much it has, as files of the kernel's own. Of another one no
 * more is read than it was said to have: that there is no more takes a call of its own. */
static int64_t read_and_write(epio__copier *copier, epio_file *source, epio_file *target)
{
    epio_op op = EPIO_OP_INIT;
    const uint64_t bytes = copier->info.bytes;
    size_t most = bytes != 0 ? (size_t)bytes : EPIO__COPY_BUFFER;
    uint64_t at = 0;
    int64_t result;
    do {
        result = epio__copier_perform(copier, epio_read(&op, source, copier->buffer, most, at));
        if (result <= 0) {
            break;
        }
        result = epio__copier_perform(copier,
                                      epio_write(&op, target, copier->buffer, (size_t)result, at));
        at += result > 0 ? (uint64_t)result : 0;
    } while (result == (int64_t)most && bytes == 0);
    epio__procedure_copied(copier->procedure, bytes, at);
    return result < 0 ? result : (int64_t)at;
}

/* ---- Several reads and writes ---- */

typedef struct pieces {
    epio__copier *copier;
    epio_file *source;
    epio_file *target;
    uint64_t end;

    epio__mutex mutex;
    uint64_t next;
    uint64_t reached; /* the end of the last piece that had bytes */
    int64_t error;
    epio__failure failure;
} pieces;

static bool next_piece(pieces *all, uint64_t *at, uint64_t *len)
{
    epio__mutex_lock(&all->mutex);
    *at = all->next;
    *len = all->end - *at < PIECE ? all->end - *at : PIECE;
    bool more = all->error == 0 && *len != 0;
    all->next += more ? *len : 0;
    epio__mutex_unlock(&all->mutex);
    return more;
}

static void piece_ended(pieces *all, const epio__copier *copier, uint64_t at, int64_t result)
{
    epio__mutex_lock(&all->mutex);
    if (result < 0 && all->error == 0) {
        all->error = result;
        all->failure = copier->failure;
    }
    if (result > 0 && at + (uint64_t)result > all->reached) {
        all->reached = at + (uint64_t)result;
    }
    epio__mutex_unlock(&all->mutex);
}

static void copy_pieces(epio__procedure *procedure, void *argument)
{
    pieces *all = argument;
    epio__copier copier = {.procedure = procedure};
    epio_op op = EPIO_OP_INIT;
    uint64_t at;
    uint64_t len;
    while (next_piece(all, &at, &len)) {
        int64_t result = epio__copier_perform(
            &copier, epio__copy_now(&op, all->source, at, all->target, at, len));
        piece_ended(all, &copier, at, count(&copier, result));
    }
}

static int64_t copy_in_pieces(epio__copier *copier, epio_file *source, epio_file *target,
                              uint64_t begin, uint64_t end)
{
    pieces all = {.copier = copier,
                  .source = source,
                  .target = target,
                  .end = end,
                  .next = begin,
                  .reached = begin};
    uint64_t count = (end - begin + PIECE - 1) / PIECE;
    uint32_t threads = count < copier->in_flight ? (uint32_t)count : copier->in_flight;
    epio__mutex_init(&all.mutex);
    if (threads > 1) {
        epio__procedure_share(copier->procedure, copy_pieces, &all, threads);
    } else {
        copy_pieces(copier->procedure, &all);
    }
    epio__mutex_destroy(&all.mutex);
    if (all.error < 0) {
        copier->failure = all.failure;
        return all.error;
    }
    return (int64_t)all.reached;
}

/* What others append to it meanwhile. */
static int64_t copy_tail(epio__copier *copier, epio_file *source, epio_file *target, uint64_t at)
{
    epio_op op = EPIO_OP_INIT;
    int64_t result;
    do {
        result =
            count(copier,
                  epio__copier_perform(copier, epio__copy_now(&op, source, at, target, at, PIECE)));
        at += result > 0 ? (uint64_t)result : 0;
    } while (result == (int64_t)PIECE);
    return result < 0 ? result : (int64_t)at;
}

/* ---- The whole ---- */

static bool is_small(const epio_info *info)
{
    bool holes = (info->known & EPIO_INFO_ALLOCATED) != 0 && info->allocated < info->bytes;
    return info->bytes == 0 || (info->bytes <= EPIO__COPY_BUFFER && !holes);
}

int64_t epio__copy_bytes(epio__copier *copier, epio_file *source, epio_file *target)
{
    const epio_info *info = &copier->info;
    epio_op op = EPIO_OP_INIT;
    uint64_t at = 0;
    int64_t result = EPIO_ENOTSUP;
    if (is_small(info)) {
        return read_and_write(copier, source, target);
    }
    epio__procedure_expect(copier->procedure, info->bytes, 0);
    if (source->vfs == target->vfs) {
        do {
            result = count(copier,
                           epio__copier_perform(copier, epio__copy_within(&op, source, at, target,
                                                                          at, LARGE_PIECE)));
            at += result > 0 ? (uint64_t)result : 0;
        } while (result > 0);
    }
    if (result == EPIO_ENOTSUP) {
        result = at < info->bytes ? copy_in_pieces(copier, source, target, at, info->bytes)
                                  : (int64_t)at;
        if (result == (int64_t)info->bytes) {
            result = copy_tail(copier, source, target, info->bytes);
        }
        return result;
    }
    return result < 0 ? result : (int64_t)at;
}
