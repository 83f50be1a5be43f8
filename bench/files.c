/* The files and loops that epio-bench works on. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

int bench_loop_create(const bench_options *options, epio_loop **loop)
{
    epio_loop_options loop_options = {0};

    loop_options.size = sizeof loop_options;
    loop_options.backend = options->backend;
    return epio_loop_create(loop, &loop_options);
}

/* On the loop's own thread, or without one: both know how to run an op here. */
int bench_file_open(const bench_options *options, epio_vfs *vfs, epio_file **file)
{
    epio_op op = {0};
    int64_t result = epio_perform(
        epio_open(&op, vfs, options->path, EPIO_OPEN_TEMPORARY | EPIO_OPEN_READ | EPIO_OPEN_WRITE));

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

/* Blocks differ in their first bytes only; what follows is of no interest. */
static void make_block(unsigned char *block, uint64_t number)
{
    memcpy(block, &number, sizeof number);
}

bool bench_block_is(const void *block, uint64_t number)
{
    return memcmp(block, &number, sizeof number) == 0;
}

static int write_blocks(epio_file *file, unsigned char *block, uint64_t blocks)
{
    epio_op op = {0};
    uint64_t number;
    int64_t result;

    memset(block, 'e', BENCH_BLOCK);
    for (number = 0; number < blocks; number++) {
        make_block(block, number);
        result = epio_perform(epio_write(&op, file, block, BENCH_BLOCK, number * BENCH_BLOCK));
        if (result < 0) {
            return (int)result;
        }
    }
    result = epio_perform(epio_sync(&op, file, EPIO_SYNC_FULL));
    return result < 0 ? (int)result : 0;
}

static int read_blocks(epio_file *file, unsigned char *block, uint64_t blocks)
{
    epio_op op = {0};
    uint64_t number;

    for (number = 0; number < blocks; number++) {
        int64_t result =
            epio_perform(epio_read(&op, file, block, BENCH_BLOCK, number * BENCH_BLOCK));

        if (result < 0) {
            return (int)result;
        }
        if (result != BENCH_BLOCK || !bench_block_is(block, number)) {
            return EPIO_EIO;
        }
    }
    return 0;
}

int bench_file_fill(epio_file *file, uint64_t blocks)
{
    unsigned char block[BENCH_BLOCK];
    int error = write_blocks(file, block, blocks);

    return error != 0 ? error : read_blocks(file, block, blocks);
}

uint64_t bench_block_next(uint64_t *state, uint64_t blocks)
{
    /* Knuth's MMIX generator; its high bits are the random ones. */
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) & (blocks - 1);
}
