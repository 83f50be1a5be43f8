/* epio_loop_create_pool: which buffers there are, in which order they are taken, and that transfers
 * to and from them are the same as with other memory, whatever the program registers beside them.
 */
#include "support.h"

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define BLOCK ((size_t)4096)
#define BLOCKS 32u

/* More than a ring takes as one buffer. */
#define TOO_MUCH (((size_t)1 << 30) + BLOCK)

static bool has_ring(const fixture *f)
{
    return strcmp(epio_loop_backend(f->loop), "uring") == 0;
}

/* 1 on a ring, where the system has room for locked memory. */
static bool check_registered(const fixture *f, int result)
{
    check(result == 0 || (result == 1 && has_ring(f)));
    return result == 1;
}

/* Memory of this process that a ring has locked, in KiB; -1: the system does not say. */
static long locked_memory(void)
{
    char line[128];
    long locked = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        (void)sscanf(line, "VmPin: %ld", &locked);
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return locked;
}

/* The system closes the rings of earlier tests a little later. */
static void wait_for_earlier_rings(fixture *f)
{
    epio_op op = {0};
    for (unsigned i = 0; locked_memory() > 0; i++) {
        check(i < 10000);
        (void)epio_wait(epio_sleep(&op, f->vfs, 1000000));
    }
}

/* Aligned. */
static unsigned char *make_blocks(void **allocated, size_t count)
{
    *allocated = malloc((count + 1) * BLOCK);
    check(*allocated != NULL);
    unsigned char *memory = *allocated;
    return memory + BLOCK - (uintptr_t)memory % BLOCK;
}

static void take_all(fixture *f, unsigned char **buffers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffers[i] = epio_loop_take_buffer(f->loop);
        check(buffers[i] != NULL);
    }
    check(epio_loop_take_buffer(f->loop) == NULL);
}

static void return_all(fixture *f, unsigned char **buffers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        epio_loop_return_buffer(f->loop, buffers[i]);
    }
}

/* ---- The buffers ----------------------------------------------------------- */

static void bad_arguments_are_refused(fixture *f)
{
    check_result(epio_loop_create_pool(f->loop, 0, 1), EPIO_EINVAL);
    check_result(epio_loop_create_pool(f->loop, 1, 0), EPIO_EINVAL);
    check_result(epio_loop_create_pool(f->loop, SIZE_MAX, 1), EPIO_EINVAL);
    check_result(epio_loop_create_pool(f->loop, SIZE_MAX - BLOCK + 1, 1), EPIO_EINVAL);
    check_result(epio_loop_create_pool(f->loop, SIZE_MAX - BLOCK, 1), EPIO_EINVAL);
    check_result(epio_loop_create_pool(f->loop, 1, SIZE_MAX), EPIO_EINVAL);
    check_result(epio_loop_create_pool(f->loop, SIZE_MAX / 8, 8), EPIO_EINVAL);
    if (!fixture_is_watched()) { /* sanitizers abort */
        check_result(epio_loop_create_pool(f->loop, SIZE_MAX - 16 * BLOCK, 1), EPIO_ENOMEM);
    }
    check(epio_loop_take_buffer(f->loop) == NULL);
    epio_loop_return_buffer(f->loop, NULL);
    (void)check_registered(f, epio_loop_create_pool(f->loop, BLOCK, 1));
    check_result(epio_loop_create_pool(f->loop, BLOCK, 1), EPIO_EBUSY);
    unsigned char *buffer;
    take_all(f, &buffer, 1);
    check_result(epio_loop_create_pool(f->loop, BLOCK, 1), EPIO_EBUSY);
}

/* Destroying the loop needs no buffer back. */
static void each_buffer_is_aligned_and_apart(fixture *f)
{
    static const size_t sizes[] = {1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        fixture own = *f;
        unsigned char *buffers[5];
        check_result(epio_loop_create(&own.loop, NULL), 0);
        (void)check_registered(&own, epio_loop_create_pool(own.loop, sizes[k], 5));
        take_all(&own, buffers, 5);
        for (unsigned i = 0; i < 5; i++) {
            check((uintptr_t)buffers[i] % BLOCK == 0);
            memset(buffers[i], 'a' + (int)i, sizes[k]);
        }
        for (unsigned i = 0; i < 5; i++) {
            check_bytes(buffers[i], (unsigned char)('a' + i), sizes[k]);
        }
        epio_loop_destroy(own.loop);
    }
}

static void the_last_returned_is_taken_first(fixture *f)
{
    unsigned char *buffers[3], *again[3];
    (void)check_registered(f, epio_loop_create_pool(f->loop, BLOCK, 3));
    take_all(f, buffers, 3);
    return_all(f, buffers, 3);
    take_all(f, again, 3);
    for (unsigned i = 0; i < 3; i++) {
        check(again[i] == buffers[2 - i]);
    }
    epio_loop_return_buffer(f->loop, buffers[1]);
    take_all(f, again, 1);
    check(again[0] == buffers[1]);
    return_all(f, buffers, 3);
}

/* A new owner takes the loop by its first call. */
static void *take_there(void *loop)
{
    void *buffer = epio_loop_take_buffer(loop);
    require(buffer != NULL);
    epio_loop_return_buffer(loop, buffer);
    epio_loop_detach(loop);
    return buffer;
}

static void a_detached_loop_keeps_its_pool(fixture *f)
{
    test_thread thread;
    (void)check_registered(f, epio_loop_create_pool(f->loop, BLOCK, 2));
    void *buffer = epio_loop_take_buffer(f->loop);
    epio_loop_detach(f->loop);
    thread_start(&thread, take_there, f->loop);
    void *other = thread_join(thread);
    check(other != buffer && epio_loop_take_buffer(f->loop) == other);
    epio_loop_return_buffer(f->loop, other);
    epio_loop_return_buffer(f->loop, buffer);
}

/* ---- Transfers ------------------------------------------------------------- */

static void write_all(fixture *f, epio_file *file, unsigned char **buffers)
{
    static tracked ops[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        pattern_fill(buffers[i], BLOCK, i * BLOCK);
        epio_submit(epio_write(track(&ops[i]), file, buffers[i], BLOCK, i * BLOCK));
    }
    (void)epio_loop_run(f->loop);
    for (unsigned i = 0; i < BLOCKS; i++) {
        check_result(ops[i].result, BLOCK);
    }
}

/* Reads it back, into the next buffer each: how many of these the backend carried out. */
static uint64_t read_all(fixture *f, epio_file *file, unsigned char **buffers)
{
    static tracked ops[BLOCKS];
    unsigned char expected[BLOCK];
    epio_loop_stats before = {.size = sizeof before}, now = before;
    check_result(epio_loop_get_stats(f->loop, &before), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        unsigned char *next = buffers[(i + 1) % BLOCKS];
        memset(next, 0, BLOCK);
        epio_submit(epio_read(track(&ops[i]), file, next, BLOCK, i * BLOCK));
    }
    (void)epio_loop_run(f->loop);
    for (unsigned i = 0; i < BLOCKS; i++) {
        check_result(ops[i].result, BLOCK);
        pattern_fill(expected, BLOCK, i * BLOCK);
        check(memcmp(buffers[(i + 1) % BLOCKS], expected, BLOCK) == 0);
    }
    check_result(epio_loop_get_stats(f->loop, &now), 0);
    return now.by_backend - before.by_backend;
}

/* Half of the buffers are the pool's, half the program's. `by_backend`: the reads that it carries
 * out. A wrong buffer of the ring would be refused, and a worker would read instead. */
static void transfers_are_the_same(fixture *f, epio_file *writer, epio_file *reader,
                                   uint64_t by_backend)
{
    unsigned char *buffers[BLOCKS];
    void *allocated[BLOCKS / 2];
    epio_iovec own[BLOCKS / 2];
    for (unsigned i = 0; i < BLOCKS / 2; i++) {
        buffers[BLOCKS / 2 + i] = make_blocks(&allocated[i], 1);
        own[i] = (epio_iovec){buffers[BLOCKS / 2 + i], BLOCK};
    }
    (void)check_registered(f, epio_loop_register_buffers(f->loop, own, 3));
    (void)check_registered(f, epio_loop_create_pool(f->loop, BLOCK, BLOCKS / 2));
    take_all(f, buffers, BLOCKS / 2);
    for (unsigned round = 0; round < 4; round++) {
        write_all(f, writer, buffers);
        uint64_t count = read_all(f, reader, buffers);
        check(by_backend == 0 || count == by_backend);
        if (round == 2) {
            epio_loop_detach(f->loop);
            (void)epio_loop_poll(f->loop, 0, 0); /* the next ring gets all of it, too */
        } else {
            size_t registered = round == 0 ? BLOCKS / 2 : round == 1 ? 2 : 0;
            (void)check_registered(f, epio_loop_register_buffers(f->loop, own, registered));
        }
    }
    for (unsigned i = 0; i < BLOCKS / 2; i++) {
        free(allocated[i]);
    }
    return_all(f, buffers, BLOCKS / 2);
}

static void cached_transfers_are_the_same(fixture *f)
{
    epio_file *file = fixture_create(f, "file");
    transfers_are_the_same(f, file, file, 0);
    fixture_close(f, file);
}

static void direct_transfers_are_the_same(fixture *f)
{
    fixture_put(f, "file", "", 0);
    epio_file *writer = fixture_open_direct(f, "file", READ_WRITE);
    epio_file *reader = fixture_open_direct(f, "file", EPIO_OPEN_READ);
    transfers_are_the_same(f, writer, reader, has_ring(f) ? BLOCKS : 0);
    fixture_close(f, writer);
    fixture_close(f, reader);
}

/* A `done` creates the pool while reads are in flight; another returns its buffer and takes it
 * again for the next read. */
typedef struct chain {
    fixture *f;
    epio_file *file;
    unsigned next;
    unsigned ended;
} chain;

static void start_read(tracked *one)
{
    chain *all = one->user;
    void *buffer = epio_loop_take_buffer(all->f->loop);
    check(buffer != NULL);
    void (*then)(tracked * next) = one->then;
    (void)track(one);
    one->user = all;
    one->then = then;
    epio_submit(epio_read(&one->op, all->file, buffer, BLOCK, all->next++ * BLOCK));
}

static void read_on(tracked *one)
{
    chain *all = one->user;
    unsigned char *buffer = one->op.arguments.io.base;
    check_result(one->result, BLOCK);
    check_bytes(buffer, (unsigned char)(one->op.arguments.io.offset / BLOCK), BLOCK);
    memset(buffer, 'x', BLOCK);
    epio_loop_return_buffer(all->f->loop, buffer);
    all->ended++;
    if (all->next < BLOCKS) {
        start_read(one);
    }
}

static void create_pool_and_read(tracked *one)
{
    static tracked reads[4];
    chain *all = one->user;
    check_result(one->result, BLOCK);
    (void)check_registered(all->f, epio_loop_create_pool(all->f->loop, BLOCK, 4));
    for (unsigned i = 0; i < 4; i++) {
        reads[i] = (tracked){.user = all, .then = read_on};
        start_read(&reads[i]);
    }
    check(epio_loop_take_buffer(all->f->loop) == NULL);
}

static void a_done_uses_the_pool(fixture *f)
{
    static tracked earlier[8];
    chain all = {.f = f};
    void *allocated;
    unsigned char *content = malloc(BLOCKS * BLOCK);
    check(content != NULL);
    for (unsigned i = 0; i < BLOCKS; i++) {
        memset(content + i * BLOCK, (int)i, BLOCK);
    }
    fixture_put(f, "file", content, BLOCKS * BLOCK);
    free(content);
    unsigned char *blocks = make_blocks(&allocated, 8);
    epio_iovec own = {blocks, 8 * BLOCK};
    (void)check_registered(f, epio_loop_register_buffers(f->loop, &own, 1));
    all.file = fixture_open_direct(f, "file", EPIO_OPEN_READ);
    for (unsigned i = 0; i < 8; i++) {
        (void)track(&earlier[i]);
        earlier[i].user = &all;
        earlier[i].then = i == 0 ? create_pool_and_read : NULL;
        epio_submit(epio_read(&earlier[i].op, all.file, blocks + i * BLOCK, BLOCK, 0));
    }
    (void)epio_loop_run(f->loop);
    for (unsigned i = 0; i < 8; i++) {
        check_result(earlier[i].result, BLOCK);
    }
    check_result(all.ended, BLOCKS);
    unsigned char *buffers[4];
    take_all(f, buffers, 4);
    return_all(f, buffers, 4);
    fixture_close(f, all.file);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    free(allocated);
}

/* ---- Beside what the program registers --------------------------------------- */

static void the_program_must_not_register_the_pool(fixture *f)
{
    (void)check_registered(f, epio_loop_create_pool(f->loop, BLOCK, 2));
    unsigned char *buffers[2];
    take_all(f, buffers, 2);
    void *allocated;
    epio_iovec parts[] = {{make_blocks(&allocated, 1), BLOCK}, {buffers[0] + 1, 1}};
    check_result(epio_loop_register_buffers(f->loop, parts, 2), EPIO_EINVAL);
    check_result(epio_loop_register_buffers(f->loop, &parts[1], 1), EPIO_EINVAL);
    parts[1] = (epio_iovec){buffers[0] - 1, 2};
    check_result(epio_loop_register_buffers(f->loop, &parts[1], 1), EPIO_EINVAL);
    (void)check_registered(f, epio_loop_register_buffers(f->loop, parts, 1));
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    return_all(f, buffers, 2);
    free(allocated);
}

static void the_system_knows_both(fixture *f)
{
    wait_for_earlier_rings(f);
    void *allocated[2];
    epio_iovec parts[] = {{make_blocks(&allocated[0], 1), BLOCK},
                          {make_blocks(&allocated[1], 1), BLOCK}};
    if (!check_registered(f, epio_loop_register_buffers(f->loop, parts, 1)) ||
        locked_memory() != 4) {
        free(allocated[0]);
        free(allocated[1]);
        fixture_skip(f, "the system registers nothing, or does not say how much");
    }
    check_result(epio_loop_create_pool(f->loop, 1, 8), 1);
    check_result(locked_memory(), 36);
    check_result(epio_loop_register_buffers(f->loop, parts, 2), 1);
    check_result(locked_memory(), 40);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    check_result(locked_memory(), 32);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    check_result(locked_memory(), 32);
    free(allocated[0]);
    free(allocated[1]);
}

static void skip_without_ring(fixture *f)
{
    if (!has_ring(f)) {
        fixture_skip(f, "there is no ring, which refuses what is too large");
    }
}

static void skip_without_memory(fixture *f, int result)
{
    if (result == EPIO_ENOMEM) {
        check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
        fixture_skip(f, "there is not enough memory");
    }
}

static void a_pool_that_is_too_large_is_plain_memory(fixture *f)
{
    skip_without_ring(f);
    wait_for_earlier_rings(f);
    static unsigned char memory[BLOCK];
    epio_iovec own = {memory, sizeof memory};
    int registered = epio_loop_register_buffers(f->loop, &own, 1);
    long before = locked_memory();
    int result = epio_loop_create_pool(f->loop, TOO_MUCH, 1);
    skip_without_memory(f, result);
    check_result(result, 0);
    check_result(locked_memory(), before);
    check_result(epio_loop_register_buffers(f->loop, &own, 1), registered);
    check_result(locked_memory(), before);
    unsigned char *buffer;
    take_all(f, &buffer, 1);
    buffer[0] = 1;
    epio_loop_return_buffer(f->loop, buffer);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
}

static void what_is_too_large_leaves_the_pool_registered(fixture *f)
{
    skip_without_ring(f);
    wait_for_earlier_rings(f);
    (void)check_registered(f, epio_loop_create_pool(f->loop, BLOCK, 4));
    long before = locked_memory();
    epio_iovec own = {malloc(TOO_MUCH), TOO_MUCH};
    skip_without_memory(f, own.base != NULL ? 0 : EPIO_ENOMEM);
    check_result(epio_loop_register_buffers(f->loop, &own, 1), 0);
    check_result(locked_memory(), before);
    check_result(epio_loop_register_buffers(f->loop, &own, 1), 0);
    check_result(locked_memory(), before);
    check_result(epio_loop_register_buffers(f->loop, NULL, 0), 0);
    check_result(locked_memory(), before);
    free(own.base);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(bad_arguments_are_refused, ON_OS),
        FIXTURE_TEST(each_buffer_is_aligned_and_apart, ON_OS),
        FIXTURE_TEST(the_last_returned_is_taken_first, ON_OS),
        FIXTURE_TEST(a_detached_loop_keeps_its_pool, ON_OS),
        FIXTURE_TEST(cached_transfers_are_the_same, ON_OS | ON_TRACE_OS | ON_LIMIT_OS_3),
        FIXTURE_TEST(direct_transfers_are_the_same, ON_OS | ON_TRACE_OS),
        FIXTURE_TEST(a_done_uses_the_pool, ON_OS),
        FIXTURE_TEST(the_program_must_not_register_the_pool, ON_OS),
        FIXTURE_TEST(the_system_knows_both, ON_OS),
        FIXTURE_TEST(a_pool_that_is_too_large_is_plain_memory, ON_OS),
        FIXTURE_TEST(what_is_too_large_leaves_the_pool_registered, ON_OS),
    };
    return FIXTURE_RUN("buffer pool", tests);
}
