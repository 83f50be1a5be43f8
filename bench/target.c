/* The files that engines work on. */
#include "engine.h"
#include "system.h"

#include <stdlib.h>
#include <string.h>

/* Files are filled and checked in pieces of this many bytes, a multiple of every block size, or
 * else in pieces of one block. */
#define PIECE (1u << 20)

int bench_file_open(const bench_options *options, epio_vfs *vfs, uint32_t flags, epio_file **file)
{
    epio_op op = {0};
    /* On the loop's own thread, or without a loop: both can run an op here. */
    int64_t result = epio_perform(epio_open(
        &op, vfs, options->path, EPIO_OPEN_TEMPORARY | EPIO_OPEN_READ | EPIO_OPEN_WRITE | flags));

    *file = op.file;
    return result < 0 ? (int)result : 0;
}

void bench_file_close(epio_file *file)
{
    epio_op op = {0};

    if (file != NULL) {
        epio_perform(epio_close(&op, file));
    }
}

intptr_t bench_target_handle(const bench_target *target)
{
    return epio_file_os_handle(target->files[0]);
}

int bench_file_adopt(const bench_target *target, size_t index, epio_vfs *vfs, epio_file **file)
{
    epio_op op = {0};
    intptr_t handle;
    int64_t result;
    int error = bench_handle_duplicate(epio_file_os_handle(target->files[index]), BENCH_FOR_EPIO,
                                       target->workload->direct, &handle);

    if (error != 0) {
        return error;
    }
    result = epio_perform(epio_adopt(&op, vfs, handle, EPIO_OPEN_READ | EPIO_OPEN_WRITE));
    if (result < 0) {
        bench_handle_close(handle);
        return (int)result;
    }
    *file = op.file;
    return 0;
}

/* ---- Blocks -------------------------------------------------------------- */

uint64_t bench_block_next(uint64_t *state, uint64_t blocks)
{
    /* Knuth's MMIX generator; its high bits are the random ones. */
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) & (blocks - 1);
}

void *bench_aligned_memory(size_t bytes, unsigned char **aligned)
{
    enum { ALIGNMENT = 4096 };
    unsigned char *memory = malloc(bytes + ALIGNMENT);

    if (memory == NULL) {
        return NULL;
    }
    *aligned = memory + (ALIGNMENT - (uintptr_t)memory % ALIGNMENT) % ALIGNMENT;
    memset(*aligned, 'e', bytes);
    return memory;
}

/* ---- Filling and checking ------------------------------------------------ */

/* Consecutive blocks of one file, to be written or checked. */
struct piece {
    size_t file;
    uint64_t first; /* block of the file */
    uint64_t blocks;
    unsigned char *buffer;
    bool writes;
};

static int64_t transfer_piece(const bench_target *target, const struct piece *piece)
{
    uint32_t size = target->workload->size;
    size_t bytes = (size_t)(piece->blocks * size);
    epio_file *file = target->files[piece->file];
    epio_op op = {0};
    int64_t result = 0;
    uint64_t i;

    if (!piece->writes) {
        result = epio_perform(epio_read(&op, file, piece->buffer, bytes, piece->first * size));
    }
    for (i = 0; i < piece->blocks && result >= 0; i++) {
        unsigned char *block = piece->buffer + i * size;
        uint64_t number = (piece->first + i) * target->count + piece->file;

        if (piece->writes) {
            bench_block_mark(block, number);
        } else if (!bench_block_is(block, number)) {
            result = EPIO_EIO;
        }
    }
    if (piece->writes) {
        result = epio_perform(epio_write(&op, file, piece->buffer, bytes, piece->first * size));
    }
    return result < 0 || result == (int64_t)bytes ? result : EPIO_EIO;
}

/* All blocks of all files, piece by piece. */
static int transfer_all(const bench_target *target, bool writes)
{
    uint32_t size = target->workload->size;
    uint64_t most = PIECE % size == 0 ? PIECE / size : 1, blocks = target->workload->blocks;
    struct piece piece = {.writes = writes};
    int64_t result = 0;
    void *memory = bench_aligned_memory((size_t)(most * size), &piece.buffer);

    if (memory == NULL) {
        return EPIO_ENOMEM;
    }
    for (; piece.file < target->count && result >= 0; piece.file++) {
        uint64_t all = blocks / target->count + (piece.file < blocks % target->count ? 1 : 0);

        for (piece.first = 0; piece.first < all && result >= 0; piece.first += most) {
            piece.blocks = all - piece.first < most ? all - piece.first : most;
            result = transfer_piece(target, &piece);
        }
    }
    free(memory);
    return result < 0 ? (int)result : 0;
}

static int sync_files(const bench_target *target)
{
    int64_t result = 0;
    size_t i;

    for (i = 0; i < target->count && result >= 0; i++) {
        epio_op op = {0};

        result = epio_perform(epio_sync(&op, target->files[i], EPIO_SYNC_FULL));
    }
    return result < 0 ? (int)result : 0;
}

int bench_target_check(const bench_target *target)
{
    return transfer_all(target, false);
}

int bench_target_empty(const bench_target *target)
{
    int64_t result = 0;
    size_t i;

    if (target->workload->kind != BENCH_APPEND) {
        return 0;
    }
    for (i = 0; i < target->count && result >= 0; i++) {
        epio_op op = {0};

        result = epio_perform(epio_truncate(&op, target->files[i], 0));
    }
    return result < 0 ? (int)result : sync_files(target);
}

/* ---- Targets ------------------------------------------------------------- */

int bench_target_open(bench_target *target, const bench_options *options,
                      const bench_workload *workload, size_t count)
{
    uint32_t flags = workload->direct ? EPIO_OPEN_DIRECT : 0;
    int error = 0;
    size_t i;

    target->workload = workload;
    target->count = 0;
    target->files = calloc(count, sizeof(epio_file *));
    if (target->files == NULL) {
        return EPIO_ENOMEM;
    }
    for (i = 0; i < count && error == 0; i++) {
        error = bench_file_open(options, epio_os_vfs(), flags, &target->files[i]);
        target->count += error == 0;
    }
    if (error == 0) {
        error = transfer_all(target, true);
    }
    if (error == 0) {
        error = sync_files(target);
    }
    return error != 0 ? error : bench_target_check(target);
}

void bench_target_close(bench_target *target)
{
    size_t i;

    for (i = 0; i < target->count; i++) {
        bench_file_close(target->files[i]);
    }
    free(target->files);
}
