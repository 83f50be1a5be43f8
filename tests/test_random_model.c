/* Random sequences of operations, compared with a simple model in memory. Many ops are in flight at
 * once, on disjoint ranges; between such batches files are resized, renamed, deleted and opened. A
 * failure prints its seed: EPIO_TEST_SEED repeats the sequence, EPIO_TEST_STEPS makes it longer.
 * Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

enum { NAMES = 3, NODES = 8, ROOM = 200000, BATCH = 24, PARTS = 6 };

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* The expected state of a file, with a name or only an open handle. */
typedef struct model_node {
    unsigned char *data; /* ROOM bytes, zeros from `size` on */
    size_t size;
    epio_file *file; /* NULL: not open */
    int name;        /* -1: none */
} model_node;

typedef struct model_state {
    fixture *f;
    random_source random;
    uint64_t seed;
    unsigned step;
    const char *doing;
    model_node nodes[NODES];
} model_state;

/* ---- Failures ---------------------------------------------------------- */

static void expect_at(const model_state *w, bool holds, const char *what, int line)
{
    if (!holds) {
        print_error("%s, at step %u (%s); repeat it with EPIO_TEST_SEED=%llu\n", what, w->step,
                    w->doing, (unsigned long long)w->seed);
        _fail(__FILE__, line);
    }
}

#define expect(w, condition) expect_at(w, condition, #condition, __LINE__)

static void expect_result_at(const model_state *w, int64_t actual, int64_t expected, int line)
{
    if (actual != expected) {
        print_error("is %lld (%s), wanted %lld (%s)\n", (long long)actual, epio_error_name(actual),
                    (long long)expected, epio_error_name(expected));
        expect_at(w, false, "the result differs", line);
    }
}

#define expect_result(w, actual, expected)                                                         \
    expect_result_at(w, actual, (int64_t)(expected), __LINE__)

/* ---- The model --------------------------------------------------------- */

static uint64_t pick(model_state *w, uint64_t low, uint64_t high)
{
    return random_between(&w->random, low, high);
}

static bool chance(model_state *w, unsigned percent)
{
    return pick(w, 0, 100) < percent;
}

static const char *path_of(model_state *w, int name)
{
    static char paths[2][600];
    static size_t next_path;
    char *path = paths[next_path++ % 2];
    (void)snprintf(path, sizeof paths[0], "%s/file%d", w->f->directory, name);
    return path;
}

static model_node *node_named(model_state *w, int name)
{
    for (size_t i = 0; i < NODES; i++) {
        if (w->nodes[i].name == name) {
            return &w->nodes[i];
        }
    }
    return NULL;
}

static model_node *unused_node(model_state *w)
{
    for (size_t i = 0; i < NODES; i++) {
        if (w->nodes[i].name < 0 && w->nodes[i].file == NULL) {
            return &w->nodes[i];
        }
    }
    return NULL;
}

static model_node *some_open_node(model_state *w)
{
    size_t start = (size_t)pick(w, 0, NODES);
    for (size_t i = 0; i < NODES; i++) {
        model_node *node = &w->nodes[(start + i) % NODES];
        if (node->file != NULL) {
            return node;
        }
    }
    return NULL;
}

static void node_clear(model_node *node)
{
    memset(node->data, 0, ROOM);
    node->size = 0;
}

static void node_resize(model_node *node, size_t size)
{
    if (size < node->size) {
        memset(node->data + size, 0, node->size - size);
    }
    node->size = size;
}

static void node_write(model_node *node, const unsigned char *data, size_t len, size_t offset)
{
    memcpy(node->data + offset, data, len);
    if (len > 0 && offset + len > node->size) {
        node->size = offset + len;
    }
}

/* ---- Batches ----------------------------------------------------------- */

typedef struct transfer {
    epio_op op;
    uint8_t what; /* one of the following */
    bool cancelled;
    size_t offset;
    size_t len;
    unsigned char *buffer;
    epio_iovec parts[PARTS];
    size_t count;
} transfer;

enum { READS, WRITES, SIZES, SYNCS };

typedef struct batch {
    model_node *node;
    transfer transfers[BATCH];
    size_t count;
    size_t size_after;
    unsigned char *memory; /* the buffers, ROOM bytes and a guard between any two */
} batch;

/* Splits the transfer's buffer into parts, some of them empty. */
static void cut(model_state *w, transfer *t)
{
    size_t at = 0;
    t->count = (size_t)pick(w, 1, PARTS + 1);
    for (size_t i = 0; i < t->count; i++) {
        size_t left = t->len - at;
        size_t len = i + 1 == t->count ? left : (size_t)pick(w, 0, left + 1);
        t->parts[i] = (epio_iovec){t->buffer + at, len};
        at += len;
    }
}

/* Ascending ranges, so that none overlap. A batch that grows the file reads only what was there
 * before: otherwise the result depends on the order. */
static void plan_transfers(model_state *w, batch *b)
{
    size_t limit = ROOM;
    size_t at = (size_t)pick(w, 0, 3000);
    size_t used = 0;
    bool grows = chance(w, 50);
    b->size_after = b->node->size;
    while (b->count < BATCH && at < limit) {
        transfer *t = &b->transfers[b->count];
        size_t most = chance(w, 10) ? 40000 : chance(w, 40) ? 9000 : 200;
        size_t len = (size_t)pick(w, 0, most);
        bool writes = chance(w, 50);
        len = len > limit - at ? limit - at : len;
        if (!grows && writes && at + len > b->node->size) {
            len = b->node->size > at ? b->node->size - at : 0;
        }
        if (grows && !writes && at + len > b->node->size) {
            writes = true;
        }
        memset(t, 0, sizeof *t);
        t->what = writes ? WRITES : READS;
        t->offset = at;
        t->len = len;
        t->buffer = b->memory + used + 1;
        used += len + 1;
        if (writes) {
            random_fill(&w->random, t->buffer, len);
            if (len > 0 && at + len > b->size_after) {
                b->size_after = at + len;
            }
        } else {
            memset(t->buffer, 'g', len);
        }
        if (chance(w, 30)) {
            cut(w, t);
        }
        at += len + (chance(w, 50) ? 0 : (size_t)pick(w, 0, 5000));
        b->count++;
    }
    b->memory[used] = 'g';
}

static void add_others(model_state *w, batch *b)
{
    while (b->count < BATCH && chance(w, 25)) {
        transfer *t = &b->transfers[b->count++];
        memset(t, 0, sizeof *t);
        t->what = chance(w, 50) ? SIZES : SYNCS;
    }
}

static void shuffle(model_state *w, batch *b, transfer *order[BATCH])
{
    for (size_t i = 0; i < b->count; i++) {
        size_t j = (size_t)pick(w, 0, i + 1);
        order[i] = order[j];
        order[j] = &b->transfers[i];
    }
}

static epio_op *prepare(model_state *w, batch *b, transfer *t)
{
    epio_file *file = b->node->file;
    switch (t->what) {
    case READS:
        return t->count > 0 ? epio_readv(&t->op, file, t->parts, t->count, t->offset)
                            : epio_read(&t->op, file, t->buffer, t->len, t->offset);
    case WRITES:
        return t->count > 0 ? epio_writev(&t->op, file, t->parts, t->count, t->offset)
                            : epio_write(&t->op, file, t->buffer, t->len, t->offset);
    case SIZES:
        return epio_size(&t->op, file);
    default:
        return epio_sync(&t->op, file, (uint32_t)pick(w, 0, 3));
    }
}

static void run_performed(model_state *w, batch *b, transfer *const order[BATCH])
{
    for (size_t i = 0; i < b->count; i++) {
        (void)fixture_result(w->f, prepare(w, b, order[i]));
    }
}

#if EPIO_ASYNC

/* A sync ends after the delivery of every write before it. */
static void expect_covered(const model_state *w, const batch *b, transfer *const order[BATCH])
{
    for (size_t i = 0; i < b->count; i++) {
        if (order[i]->what != SYNCS || epio_op_pending(&order[i]->op)) {
            continue;
        }
        for (size_t j = 0; j < i && !order[i]->cancelled; j++) {
            expect(w, order[j]->what != WRITES || !epio_op_pending(&order[j]->op));
        }
    }
}

static void run_submitted(model_state *w, batch *b, transfer *const order[BATCH])
{
    bool cancels = chance(w, 20);
    for (size_t i = 0; i < b->count; i++) {
        epio_op *op = prepare(w, b, order[i]);
        order[i]->cancelled = cancels && chance(w, 20);
        if (order[i]->cancelled && chance(w, 30)) {
            op->timeout_ns = pick(w, 1, 200000);
        }
        epio_submit(op);
        if (chance(w, 10)) {
            (void)epio_loop_poll(w->f->loop, 0, (uint32_t)pick(w, 0, 3));
        }
    }
    for (size_t i = 0; i < b->count; i++) {
        if (order[i]->cancelled && order[i]->op.timeout_ns == 0) {
            epio_cancel(&order[i]->op);
        }
    }
    size_t first = (size_t)pick(w, 0, b->count);
    for (size_t i = 0; i < b->count; i++) {
        (void)epio_wait(&order[(first + i) % b->count]->op);
        expect_covered(w, b, order);
    }
}

#endif

/* The range of a cancelled write is undefined; so it is written again. */
static void repeat_if_cancelled(model_state *w, batch *b, transfer *t)
{
    bool ended = t->op.result == EPIO_ECANCELED || t->op.result == EPIO_ETIMEDOUT;
    if (t->cancelled && ended) {
        t->op.timeout_ns = 0;
        (void)fixture_result(w->f, prepare(w, b, t));
    }
}

static void check_read(const model_state *w, const batch *b, const transfer *t)
{
    size_t size = b->node->size;
    size_t there = t->offset < size ? size - t->offset : 0;
    there = there < t->len ? there : t->len;
    expect_result(w, t->op.result, there);
    expect(w, memcmp(t->buffer, b->node->data + t->offset, there) == 0);
    for (size_t i = there; i < t->len; i++) {
        expect(w, t->buffer[i] == 'g');
    }
}

static void check_transfer(model_state *w, batch *b, transfer *t)
{
    int64_t size = t->op.result;
    switch (t->what) {
    case READS:
        check_read(w, b, t);
        break;
    case WRITES:
        expect_result(w, t->op.result, t->len);
        break;
    case SIZES:
        expect(w, size >= (int64_t)b->node->size && size <= (int64_t)b->size_after);
        break;
    default:
        expect_result(w, t->op.result, 0);
        break;
    }
}

static void run_batch(model_state *w)
{
    static batch b;
    static unsigned char memory[ROOM + BATCH + 1];
    transfer *order[BATCH] = {NULL};
    w->doing = "batch";
    b.node = some_open_node(w);
    b.count = 0;
    b.memory = memory;
    if (b.node == NULL) {
        return;
    }
    memset(memory, 'g', sizeof memory);
    plan_transfers(w, &b);
    add_others(w, &b);
    if (b.count == 0) {
        return;
    }
    shuffle(w, &b, order);
#if EPIO_ASYNC
    if (!w->f->performs && w->f->on != ON_OS_SUBMIT) {
        run_submitted(w, &b, order);
    } else {
        run_performed(w, &b, order);
    }
#else
    run_performed(w, &b, order);
#endif
    for (size_t i = 0; i < b.count; i++) {
        repeat_if_cancelled(w, &b, order[i]);
        check_transfer(w, &b, order[i]);
    }
    for (size_t i = 0; i < b.count; i++) {
        const transfer *t = order[i];
        if (t->what == WRITES) {
            node_write(b.node, t->buffer, t->len, t->offset);
        }
        if (t->what <= WRITES) {
            expect(w, t->buffer[-1] == 'g' && t->buffer[t->len] == 'g');
        }
    }
}

/* ---- One at a time ----------------------------------------------------- */

static void check_whole(model_state *w, epio_file *file, const model_node *node)
{
    static unsigned char found[ROOM + 1];
    epio_op op = {0};
    expect_result(w, fixture_result(w->f, epio_size(&op, file)), node->size);
    expect_result(w, fixture_result(w->f, epio_read(&op, file, found, sizeof found, 0)),
                  node->size);
    expect(w, memcmp(found, node->data, node->size) == 0);
}

static void open_node(model_state *w)
{
    int name = (int)pick(w, 0, NAMES);
    uint32_t flags = READ_WRITE;
    model_node *node = node_named(w, name);
    epio_op op = {0};
    w->doing = "open";
    flags |= chance(w, 70) ? EPIO_OPEN_CREATE : 0;
    flags |= (flags & EPIO_OPEN_CREATE) != 0 && chance(w, 20) ? EPIO_OPEN_EXCLUSIVE : 0;
    flags |= chance(w, 20) ? EPIO_OPEN_TRUNCATE : 0;
    flags |= chance(w, 10) ? EPIO_OPEN_SYNC_DIR : 0;
    int64_t expected = 0;
    if (node == NULL && ((flags & EPIO_OPEN_CREATE) == 0 || unused_node(w) == NULL)) {
        flags &= ~(EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE);
        expected = EPIO_ENOENT;
    } else if (node != NULL && (flags & EPIO_OPEN_EXCLUSIVE) != 0) {
        expected = EPIO_EEXIST;
    }
    expect_result(w, fixture_result(w->f, epio_open(&op, w->f->vfs, path_of(w, name), flags)),
                  expected);
    expect(w, (op.file != NULL) == (expected == 0));
    if (expected != 0) {
        return;
    }
    if (node == NULL) {
        node = unused_node(w);
        node_clear(node);
        node->name = name;
    } else if ((flags & EPIO_OPEN_TRUNCATE) != 0) {
        node_clear(node);
    }
    check_whole(w, op.file, node);
    if (node->file == NULL) {
        node->file = op.file;
    } else {
        expect_result(w, fixture_result(w->f, epio_close(&op, op.file)), 0);
    }
}

static void close_node(model_state *w)
{
    model_node *node = some_open_node(w);
    epio_op op = {0};
    w->doing = "close";
    if (node != NULL) {
        expect_result(w, fixture_result(w->f, epio_close(&op, node->file)), 0);
        node->file = NULL;
    }
}

static void truncate_node(model_state *w)
{
    model_node *node = some_open_node(w);
    size_t size = (size_t)pick(w, 0, chance(w, 50) ? ROOM : 5000);
    epio_op op = {0};
    w->doing = "truncate";
    if (node != NULL) {
        expect_result(w, fixture_result(w->f, epio_truncate(&op, node->file, size)), 0);
        node_resize(node, size);
        check_whole(w, node->file, node);
    }
}

static void delete_name(model_state *w)
{
    int name = (int)pick(w, 0, NAMES);
    model_node *node = node_named(w, name);
    epio_op op = {0};
    w->doing = "delete";
    expect_result(w,
                  fixture_result(
                      w->f, epio_delete(&op, w->f->vfs, path_of(w, name), (uint32_t)pick(w, 0, 2))),
                  node != NULL ? 0 : EPIO_ENOENT);
    if (node != NULL) {
        node->name = -1;
    }
}

static void rename_name(model_state *w)
{
    int from = (int)pick(w, 0, NAMES);
    int to = (int)pick(w, 0, NAMES);
    uint32_t flags = (uint32_t)pick(w, 0, 4);
    model_node *node = node_named(w, from);
    model_node *replaced = node_named(w, to);
    epio_op op = {0};
    int64_t expected = 0;
    w->doing = "rename";
    if (node == NULL) {
        expected = EPIO_ENOENT;
    } else if (replaced != NULL && (flags & EPIO_RENAME_NO_REPLACE) != 0) {
        expected = EPIO_EEXIST;
    }
    expect_result(
        w,
        fixture_result(w->f, epio_rename(&op, w->f->vfs, path_of(w, from), path_of(w, to), flags)),
        expected);
    if (expected == 0 && node != replaced) {
        if (replaced != NULL) {
            replaced->name = -1;
        }
        node->name = to;
    }
}

static void check_names(model_state *w)
{
    epio_op op = {0};
    w->doing = "access";
    for (int name = 0; name < NAMES; name++) {
        expect_result(w,
                      fixture_result(w->f, epio_access(&op, w->f->vfs, path_of(w, name),
                                                       (uint32_t)pick(w, 0, 3))),
                      node_named(w, name) != NULL ? 1 : 0);
    }
}

static void check_state(model_state *w)
{
    epio_op op = {0};
    w->doing = "last check";
    check_names(w);
    for (size_t i = 0; i < NODES; i++) {
        model_node *node = &w->nodes[i];
        if (node->file != NULL) {
            check_whole(w, node->file, node);
            expect_result(w, fixture_result(w->f, epio_close(&op, node->file)), 0);
        }
        if (node->name >= 0) {
            expect_result(w,
                          fixture_result(w->f, epio_open(&op, w->f->vfs, path_of(w, node->name),
                                                         EPIO_OPEN_READ)),
                          0);
            epio_file *file = op.file;
            check_whole(w, file, node);
            expect_result(w, fixture_result(w->f, epio_close(&op, file)), 0);
        }
    }
}

/* ---- The sequence ------------------------------------------------------ */

static void take_step(model_state *w)
{
    static const struct {
        void (*run)(model_state *w);
        unsigned weight;
    } kinds[] = {
        {run_batch, 60},  {open_node, 14},  {close_node, 6},  {truncate_node, 10},
        {delete_name, 4}, {rename_name, 4}, {check_names, 2},
    };
    unsigned chosen = (unsigned)pick(w, 0, 100);
    size_t i = 0;
    while (chosen >= kinds[i].weight) {
        chosen -= kinds[i].weight;
        i++;
    }
    kinds[i].run(w);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static void random_ops_match_the_model(fixture *f)
{
    static model_state w;
    unsigned steps = (unsigned)number_from("EPIO_TEST_STEPS", fixture_rounds(1000));
    uint64_t seed = (uint64_t)system_time_ns() / 1000 + f->on;
    memset(&w, 0, sizeof w);
    w.f = f;
    w.seed = number_from("EPIO_TEST_SEED", seed);
    w.random.state = w.seed;
    for (size_t i = 0; i < NODES; i++) {
        w.nodes[i].name = -1;
        w.nodes[i].data = calloc(1, ROOM);
        assert_non_null(w.nodes[i].data);
    }
    for (w.step = 0; w.step < steps; w.step++) {
        take_step(&w);
    }
    check_state(&w);
    for (size_t i = 0; i < NODES; i++) {
        free(w.nodes[i].data);
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(random_ops_match_the_model, ON_ANY),
    };
    return FIXTURE_RUN("random_model", tests);
}
