/* epio_loop_register_buffers: transfers inside, outside and across the borders of registered memory
 * give the same bytes, through every change of what is registered. Which of them the system
 * serves from it is not visible. */
#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define BLOCK ((size_t)4096)
#define BLOCKS 64u

/* `BLOCKS` blocks, aligned. */
static unsigned char *make_memory(void **allocated)
{
    *allocated = malloc((BLOCKS + 1) * BLOCK);
    check(*allocated != NULL);
    unsigned char *memory = *allocated;
    return memory + BLOCK - (uintptr_t)memory % BLOCK;
}

/* 1 on a ring, where the system has room for locked memory. */
static void check_registered(fixture *f, int result)
{
    bool has_ring = strcmp(epio_loop_backend(f->loop), "uring") == 0;
    check(result == 0 || (result == 1 && has_ring));
}

static void check_refused(fixture *f, const epio_iovec *parts, size_t count)
{
    check_result(epio_loop_register_buffers(f->loop, parts, count), EPIO_EINVAL);
}

static void bad_arguments_are_refused(fixture *f)
{
    static char memory[100];
    epio_iovec parts[] = {{memory, 50}, {memory + 50, 50}};
    epio_iovec null_part = {NULL, 10}, empty_part = {memory, 0}, endless = {memory, SIZE_MAX};
    static epio_iovec many[1025];
    check_refused(f, NULL, 1);
    check_refused(f, &null_part, 1);
    check_refused(f, &empty_part, 1);
    check_refused(f, &endless, 1);
    for (size_t i = 0; i < 1025; i++) {
        many[i] = parts[0];
    }
    check_refused(f, many, 1025);
    check_registered(f, epio_loop_register_buffers(f->loop, parts, 2));
    parts[1].base = memory + 49;
    check_refused(f, parts, 2);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
}

/* Writes patterns from the memory at this distance, and reads them back to it, many at once. */
static void write_and_read(fixture *f, epio_file *file, unsigned char *memory, size_t distance)
{
    static tracked ops[BLOCKS];
    for (int reads = 0; reads < 2; reads++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            unsigned char *at = memory + i * distance;
            if (reads == 0) {
                pattern_fill(at, BLOCK, i * BLOCK + distance);
                epio_submit(epio_write(track(&ops[i]), file, at, BLOCK, i * BLOCK));
            } else {
                memset(at, 0, BLOCK);
                epio_submit(epio_read(track(&ops[i]), file, at, BLOCK, i * BLOCK));
            }
        }
        (void)epio_loop_run(f->loop);
        for (unsigned i = 0; i < BLOCKS; i++) {
            check_result(ops[i].result, BLOCK);
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        unsigned char expected[BLOCK];
        pattern_fill(expected, BLOCK, i * BLOCK + distance);
        check(memcmp(memory + i * distance, expected, BLOCK) == 0);
    }
}

static void transfers_are_the_same(fixture *f, epio_file *file)
{
    void *allocated;
    unsigned char *memory = make_memory(&allocated);
    epio_iovec all = {memory, BLOCKS * BLOCK};
    /* In reverse order, with a gap of a block and one of half a block between them. */
    epio_iovec some[] = {{memory + 30 * BLOCK + BLOCK / 2, 20 * BLOCK},
                         {memory + 20 * BLOCK, 10 * BLOCK},
                         {memory + BLOCK, 18 * BLOCK}};
    for (int round = 0; round < 3; round++) {
        check_registered(f, epio_loop_register_buffers(f->loop, &all, 1));
        write_and_read(f, file, memory, BLOCK);
        check_registered(f, epio_loop_register_buffers(f->loop, some, 3));
        write_and_read(f, file, memory, BLOCK);
        check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
        write_and_read(f, file, memory, BLOCK);
    }
    /* A ring of another thread is another ring. */
    check_registered(f, epio_loop_register_buffers(f->loop, &all, 1));
    write_and_read(f, file, memory, BLOCK);
    epio_loop_detach(f->loop);
    write_and_read(f, file, memory, BLOCK);
    /* It is the same whether the ring is there already or not. */
    int result = epio_loop_register_buffers(f->loop, &all, 1);
    epio_loop_detach(f->loop);
    check_result(epio_loop_register_buffers(f->loop, &all, 1), result);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    free(allocated);
}

static void cached_transfers_are_the_same(fixture *f)
{
    epio_file *file = fixture_create(f, "file");
    transfers_are_the_same(f, file);
    fixture_close(f, file);
}

static void direct_transfers_are_the_same(fixture *f)
{
    fixture_put(f, "file", "", 0);
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE);
    transfers_are_the_same(f, file);
    fixture_close(f, file);
}

/* A wrong buffer of the ring would be refused, and a worker would read instead. */
static void the_ring_carries_out_direct_reads(fixture *f)
{
    static tracked ops[BLOCKS];
    void *allocated;
    unsigned char *memory = make_memory(&allocated);
    epio_iovec parts[] = {{memory + 40 * BLOCK, 24 * BLOCK}, {memory, 40 * BLOCK}};
    memset(memory, 'x', BLOCKS * BLOCK);
    fixture_put(f, "file", memory, BLOCKS * BLOCK);
    epio_file *file = fixture_open_direct(f, "file", EPIO_OPEN_READ);
    check_registered(f, epio_loop_register_buffers(f->loop, parts, 2));
    memset(memory, 0, BLOCKS * BLOCK);
    epio_loop_stats before = {.size = sizeof before}, now = before;
    check_result(epio_loop_get_stats(f->loop, &before), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        epio_submit(epio_read(track(&ops[i]), file, memory + i * BLOCK, BLOCK, i * BLOCK));
    }
    (void)epio_loop_run(f->loop);
    check_bytes(memory, 'x', BLOCKS * BLOCK);
    check_result(epio_loop_get_stats(f->loop, &now), 0);
    bool has_ring = strcmp(epio_loop_backend(f->loop), "uring") == 0;
    check(!has_ring || now.by_backend - before.by_backend == BLOCKS);
    fixture_close(f, file);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    free(allocated);
}

/* While transfers are in flight, and some wait to be submitted. */
static void what_is_registered_may_change_at_any_time(fixture *f)
{
    static tracked ops[BLOCKS];
    void *allocated;
    unsigned char *memory = make_memory(&allocated);
    epio_iovec all = {memory, BLOCKS * BLOCK};
    char *content = calloc(BLOCKS, BLOCK);
    check(content != NULL);
    fixture_put(f, "file", content, BLOCKS * BLOCK);
    epio_file *file = fixture_open_direct(f, "file", READ_WRITE);
    for (unsigned i = 0; i < BLOCKS; i++) {
        memset(memory + i * BLOCK, (int)i, BLOCK);
        epio_submit(epio_write(track(&ops[i]), file, memory + i * BLOCK, BLOCK, i * BLOCK));
        if (i % 8 == 3) {
            (void)epio_loop_poll(f->loop, 0, 1);
        }
        if (i % 8 == 5) {
            check_registered(f, epio_loop_register_buffers(f->loop, &all, i % 16 == 5 ? 1 : 0));
        }
    }
    (void)epio_loop_run(f->loop);
    for (unsigned i = 0; i < BLOCKS; i++) {
        check_result(ops[i].result, BLOCK);
    }
    fixture_read(f, file, memory, BLOCKS * BLOCK, 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        check_bytes(memory + i * BLOCK, (unsigned char)i, BLOCK);
    }
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    free(content);
    free(allocated);
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(bad_arguments_are_refused, ON_OS),
        FIXTURE_TEST(cached_transfers_are_the_same, ON_OS | ON_TRACE_OS | ON_LIMIT_OS_3),
        FIXTURE_TEST(direct_transfers_are_the_same, ON_OS | ON_TRACE_OS),
        FIXTURE_TEST(the_ring_carries_out_direct_reads, ON_OS),
        FIXTURE_TEST(what_is_registered_may_change_at_any_time, ON_OS),
    };
    return FIXTURE_RUN("registered buffers", tests);
}
