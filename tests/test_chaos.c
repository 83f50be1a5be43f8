/* Everything at once, by a seed: loops in several threads, shared files of the system and in memory
 * with and without a limit, one file that all lock, every kind of op, with cancels, deadlines,
 * links, nested polls, another thread's ops and loops that close with ops in flight. Checked: each
 * op completes once and with a legal result, no sync completes before its writes, what was written
 * is there, an exclusive lock excludes all others, all permits are released. EPIO_TEST_SEED repeats
 * a run, EPIO_TEST_SECONDS makes it longer. Both kinds of byte-range locks:
 * EPIO_TEST_RANGE_LOCKS. */
#include "support.h"

#include <stdatomic.h>

#define OWNERS 3
#define FILES 4
#define LOCKED 2
#define SLOTS 24
#define REGION 512
#define GUEST_REGION SLOTS /* behind those of the slots */
#define FILE_SIZE ((SLOTS + 1) * REGION)
#define PERMITS 3
#define LEAST_STEPS 200

static uint64_t chaos_seed;

/* `require`, with the seed to reproduce it. */
#define require_seeded(condition) require_seeded_at(condition, #condition, __LINE__)

static void require_seeded_at(bool holds, const char *what, int line)
{
    if (!holds) {
        (void)fprintf(stderr, "%s:%d: %s\nrepeat it with EPIO_TEST_SEED=%llu\n", __FILE__, line,
                      what, (unsigned long long)chaos_seed);
        abort();
    }
}

/* ---- Shared state ------------------------------------------------------------ */

typedef enum action {
    ACT_READ,
    ACT_WRITE,
    ACT_WRITEV,
    ACT_TRUNCATE,
    ACT_SYNC,
    ACT_SIZE,
    ACT_SLEEP,
    ACT_WORK,
    ACT_ACQUIRE,
    ACT_OPEN,
    ACT_ACCESS,
    ACT_RANDOM,
    ACT_LOCK,
    ACT_UNLOCK,
    ACT_CHECK_RESERVED,
    ACT_COUNT
} action;

typedef struct owner owner;

typedef struct slot {
    epio_op op;
    owner *owner;
    action what;
    size_t file;
    size_t index;
    uint64_t sequence; /* of its submission */
    bool busy;
    bool timed;
    unsigned char byte; /* what it writes */
    epio_iovec parts[2];
    unsigned char data[REGION];
} slot;

struct owner {
    const char *directory;
    epio_semaphore *semaphore;
    random_source random;
    uint64_t deadline;
    size_t index;
    bool ends_early; /* closes its loop with ops in flight */

    epio_loop *loop;
    epio_vfs *vfs[FILES];
    epio_file *file[FILES];
    epio_file *locked[LOCKED]; /* of one path for all owners */
    char paths[FILES][600];
    slot slots[SLOTS];
    uint64_t sequence;
    uint64_t completed;
    uint32_t depth;
    int written[FILES][SLOTS]; /* the byte that fills a region; -1: unknown */

    atomic_int open; /* the guest thread may use it */
    atomic_int guests_left;
};

static uint64_t pick(owner *one, uint64_t below)
{
    return random_between(&one->random, 0, below);
}

static epio_file *locked_by(const slot *s)
{
    return s->owner->locked[s->file % LOCKED];
}

/* Wine lengthens a file by a byte before it truncates it to its own size or more. */
static bool is_legal_size(int64_t size)
{
    return size == FILE_SIZE || (size == FILE_SIZE + 1 && system_is_wine());
}

/* ---- Completion ---------------------------------------------------------------- */

static int64_t expected(const slot *s)
{
    switch (s->what) {
    case ACT_READ:
    case ACT_WRITE:
    case ACT_WRITEV:
    case ACT_RANDOM:
        return REGION;
    case ACT_SIZE:
        return FILE_SIZE;
    case ACT_SLEEP:
        return (int64_t)s->byte * 1000;
    case ACT_WORK:
        return 7;
    case ACT_ACCESS:
        return 1;
    default:
        return 0;
    }
}

static void check_nothing_was_overtaken(const slot *sync)
{
    for (size_t i = 0; i < SLOTS; i++) {
        const slot *s = &sync->owner->slots[i];
        bool writes = s->what == ACT_WRITE || s->what == ACT_WRITEV || s->what == ACT_TRUNCATE;
        require_seeded(!s->busy || !writes || s->file != sync->file ||
                       s->sequence > sync->sequence);
    }
}

static void open_ended(slot *s)
{
    epio_op close = {0};
    require_seeded((s->op.result == 0) == (s->op.file != NULL));
    if (s->op.result == 0) {
        require_seeded(epio_perform(epio_close(&close, s->op.file)) == 0);
    }
}

/* Only this thread changes the level of this file, and no such op is in flight. */
static void check_alone(const slot *s)
{
    static atomic_int readers;
    static atomic_int writers;
    uint32_t level = epio_file_lock_level(locked_by(s));
    atomic_int *mine = level == EPIO_LOCK_EXCLUSIVE ? &writers : &readers;
    if (level == EPIO_LOCK_NONE) {
        return;
    }
    atomic_fetch_add(mine, 1);
    int others = level == EPIO_LOCK_EXCLUSIVE ? atomic_load(&readers) + atomic_load(&writers) - 1
                                              : atomic_load(&writers);
    require_seeded(others == 0);
    atomic_fetch_sub(mine, 1);
}

/* Independent of what the other owners do. */
static bool is_legal_of_a_lock(const slot *s, int64_t result)
{
    switch (s->what) {
    case ACT_LOCK:
        return result == EPIO_EBUSY || result == EPIO_EDEADLK || result == EPIO_EINVAL;
    case ACT_CHECK_RESERVED:
        return result == 1;
    default:
        return false;
    }
}

static void op_done(epio_op *op)
{
    slot *s = op->user;
    owner *one = s->owner;
    int64_t result = op->result;
    require_seeded(s->busy);
    s->busy = false;
    one->completed++;
    bool legal = result == expected(s) || result == EPIO_ECANCELED ||
                 (result == EPIO_ETIMEDOUT && s->timed) || is_legal_of_a_lock(s, result) ||
                 (s->what == ACT_SIZE && is_legal_size(result));
    if (!legal) {
        (void)fprintf(stderr, "action %d on file %zu gave %lld (system: %ld)\n", (int)s->what,
                      s->file, (long long)result, (long)op->os_error);
    }
    require_seeded(legal);
    switch (s->what) {
    case ACT_WRITE:
    case ACT_WRITEV:
        one->written[s->file][s->index] = result == REGION ? s->byte : -1;
        break;
    case ACT_SYNC:
        if (result == 0) {
            check_nothing_was_overtaken(s);
        }
        break;
    case ACT_ACQUIRE:
        if (result == 0) {
            epio_semaphore_release(one->semaphore, 1);
        }
        break;
    case ACT_OPEN:
        open_ended(s);
        break;
    case ACT_LOCK:
        check_alone(s);
        break;
    default:
        break;
    }
    if (one->depth < 3 && pick(one, 8) == 0) {
        one->depth++;
        (void)epio_loop_poll(one->loop, pick(one, 2) * 1000, (uint32_t)pick(one, 3));
        one->depth--;
    }
}

/* ---- Submission ------------------------------------------------------------------ */

static int64_t return_7(epio_op *op)
{
    (void)op;
    return 7;
}

static void prepare_transfer(slot *s)
{
    owner *one = s->owner;
    uint64_t offset = s->index * REGION;
    epio_file *file = one->file[s->file];
    if (s->what == ACT_READ) {
        (void)epio_read(&s->op, file, s->data, REGION, offset);
        return;
    }
    one->written[s->file][s->index] = -1;
    memset(s->data, s->byte, REGION);
    if (s->what == ACT_WRITE) {
        (void)epio_write(&s->op, file, s->data, REGION, offset);
        return;
    }
    s->parts[0] = (epio_iovec){s->data, 100};
    s->parts[1] = (epio_iovec){s->data + 100, REGION - 100};
    (void)epio_writev(&s->op, file, s->parts, 2, offset);
}

/* Mostly the next level, as others are often refused. */
static void prepare_lock(slot *s)
{
    static const uint32_t next[] = {EPIO_LOCK_SHARED, EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE,
                                    EPIO_LOCK_EXCLUSIVE, EPIO_LOCK_EXCLUSIVE};
    uint32_t level = next[epio_file_lock_level(locked_by(s))];
    if (pick(s->owner, 4) == 0) {
        level = (uint32_t)pick(s->owner, 5);
    }
    (void)epio_lock(&s->op, locked_by(s), level, pick(s->owner, 3) == 0 ? 0 : EPIO_LOCK_WAIT);
}

static void prepare(slot *s)
{
    owner *one = s->owner;
    epio_vfs *vfs = one->vfs[s->file];
    switch (s->what) {
    case ACT_LOCK:
        prepare_lock(s);
        return;
    case ACT_UNLOCK:
        (void)epio_unlock(&s->op, locked_by(s), (uint32_t)pick(one, 2));
        return;
    case ACT_CHECK_RESERVED:
        (void)epio_check_reserved_lock(&s->op, locked_by(s));
        return;
    case ACT_TRUNCATE:
        (void)epio_truncate(&s->op, one->file[s->file], FILE_SIZE);
        return;
    case ACT_SYNC:
        (void)epio_sync(&s->op, one->file[s->file], (uint32_t)pick(one, 3));
        return;
    case ACT_SIZE:
        (void)epio_size(&s->op, one->file[s->file]);
        return;
    case ACT_SLEEP:
        (void)epio_sleep(&s->op, vfs, (uint64_t)s->byte * 1000);
        return;
    case ACT_WORK:
        (void)epio_work(&s->op, vfs, return_7);
        return;
    case ACT_ACQUIRE:
        (void)epio_acquire(&s->op, vfs, one->semaphore, 1);
        return;
    case ACT_OPEN:
        (void)epio_open(&s->op, vfs, one->paths[s->file], EPIO_OPEN_READ);
        return;
    case ACT_ACCESS:
        (void)epio_access(&s->op, vfs, one->paths[s->file], EPIO_ACCESS_EXISTS);
        return;
    case ACT_RANDOM:
        (void)epio_randomness(&s->op, vfs, s->data, REGION);
        return;
    default:
        prepare_transfer(s);
        return;
    }
}

static slot *claim_slot(owner *one)
{
    size_t first = (size_t)pick(one, SLOTS);
    for (size_t i = 0; i < SLOTS; i++) {
        slot *s = &one->slots[(first + i) % SLOTS];
        if (!s->busy) {
            s->busy = true;
            s->index = (size_t)(s - one->slots);
            s->owner = one;
            s->what = (action)pick(one, ACT_COUNT);
            s->file = (size_t)pick(one, FILES);
            s->byte = (unsigned char)(1 + pick(one, 250));
            s->timed = pick(one, 6) == 0;
            s->op.timeout_ns = s->timed ? 1 + pick(one, 300000) : 0;
            s->op.done = op_done;
            s->op.user = s;
            s->sequence = ++one->sequence;
            prepare(s);
            return s;
        }
    }
    return NULL;
}

static void submit_something(owner *one)
{
    slot *first = claim_slot(one);
    if (first == NULL) {
        return;
    }
    slot *last = first;
    while (pick(one, 4) == 0) {
        slot *next = claim_slot(one);
        if (next == NULL) {
            break;
        }
        (void)epio_link(&last->op, &next->op, pick(one, 2) == 0 ? EPIO_LINK_ALWAYS : 0);
        last = next;
    }
    epio_submit(&first->op);
}

static void step(owner *one)
{
    switch (pick(one, 6)) {
    case 0:
        epio_cancel(&one->slots[pick(one, SLOTS)].op);
        break;
    case 1:
        (void)epio_loop_poll(one->loop, pick(one, 3) * 20000, (uint32_t)pick(one, 5));
        break;
    default:
        submit_something(one);
        break;
    }
}

/* ---- One owner ---------------------------------------------------------------------- */

static void open_files(owner *one)
{
    static const char *const names[FILES] = {"os", "memory", "limited", "limited-memory"};
    static const unsigned char zeros[FILE_SIZE];
    require_seeded(epio_loop_create(&one->loop, NULL) == 0);
    one->vfs[0] = epio_loop_vfs(one->loop);
    require_seeded(memory_vfs_make(&one->vfs[1], one->loop, one->directory) == 0);
    require_seeded(epio_limit_vfs_create(&one->vfs[2], one->vfs[0], one->semaphore) == 0);
    require_seeded(epio_limit_vfs_create(&one->vfs[3], one->vfs[1], one->semaphore) == 0);
    for (size_t i = 0; i < FILES; i++) {
        epio_op op = {0};
        (void)snprintf(one->paths[i], sizeof one->paths[i], "%s/%s-%zu", one->directory, names[i],
                       one->index);
        require_seeded(epio_wait(epio_open(&op, one->vfs[i], one->paths[i],
                                           EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE |
                                               EPIO_OPEN_TRUNCATE)) == 0);
        one->file[i] = op.file;
        require_seeded(epio_wait(epio_write(&op, one->file[i], zeros, FILE_SIZE, 0)) == FILE_SIZE);
        memset(one->written[i], 0, sizeof one->written[i]);
    }
}

static void open_locked(owner *one)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/locked", one->directory);
    for (size_t i = 0; i < LOCKED; i++) {
        epio_op op = {0};
        require_seeded(epio_wait(epio_open(&op, one->vfs[2 * i], path,
                                           EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)) ==
                       0);
        one->locked[i] = op.file;
    }
}

static void check_content_of(owner *one, size_t index)
{
    unsigned char found[REGION], wanted[REGION];
    epio_op op = {0};
    for (size_t i = 0; i < SLOTS; i++) {
        if (one->written[index][i] < 0) {
            continue;
        }
        memset(wanted, one->written[index][i], REGION);
        require_seeded(epio_wait(epio_read(&op, one->file[index], found, REGION, i * REGION)) ==
                       REGION);
        require_seeded(memcmp(found, wanted, REGION) == 0);
    }
}

static void close_files(owner *one)
{
    epio_op closes[FILES + LOCKED];
    memset(closes, 0, sizeof closes);
    for (size_t i = 0; i < FILES + LOCKED; i++) {
        epio_file *file = i < FILES ? one->file[i] : one->locked[i - FILES];
        epio_submit(epio_close(&closes[i], file));
    }
    for (size_t i = 0; i < FILES + LOCKED; i++) {
        require_seeded(epio_wait(&closes[i]) == 0);
    }
    epio_vfs_destroy(one->vfs[3]);
    epio_vfs_destroy(one->vfs[2]);
    epio_vfs_destroy(one->vfs[1]);
    epio_loop_destroy(one->loop);
}

static void close_with_ops_in_flight(owner *one)
{
    require_seeded(epio_loop_close(one->loop, EPIO_FOREVER) == 0);
    for (size_t i = 0; i < SLOTS; i++) {
        require_seeded(!one->slots[i].busy);
    }
    close_files(one);
}

static void close_when_idle(owner *one)
{
    epio_op op = {0};
    /* Two owners may each have one of two files of one lock, and want the other. */
    for (size_t i = 0; i < LOCKED; i++) {
        require_seeded(epio_wait(epio_unlock(&op, one->locked[i], EPIO_LOCK_NONE)) == 0);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        epio_cancel(&one->slots[i].op);
    }
    (void)epio_loop_run(one->loop);
    for (size_t i = 0; i < SLOTS; i++) {
        require_seeded(!one->slots[i].busy);
    }
    for (size_t i = 0; i < FILES; i++) {
        require_seeded(epio_wait(epio_sync(&op, one->file[i], 0)) == 0);
        check_content_of(one, i);
    }
    close_files(one);
}

static void *run_owner(void *argument)
{
    owner *one = argument;
    open_files(one);
    open_locked(one);
    atomic_store(&one->open, 1);
    /* On a slow machine the opens may have taken all the time. */
    for (unsigned steps = 0; steps < LEAST_STEPS || system_monotonic_ns() < one->deadline;
         steps++) {
        step(one);
    }
    while (atomic_load(&one->guests_left) == 0) {
        (void)epio_loop_poll(one->loop, MILLISECOND, 0);
    }
    if (one->ends_early) {
        close_with_ops_in_flight(one);
    } else {
        close_when_idle(one);
    }
    require_seeded(one->completed > 0);
    return NULL;
}

/* ---- Another thread in every loop ----------------------------------------------------- */

typedef struct guest_thread {
    owner *owners;
    random_source random;
    uint64_t deadline;
} guest_thread;

/* Writes to a region of its own, reads it back, and sometimes cancels. */
static void use_guest_region(guest_thread *one, owner *host)
{
    unsigned char data[REGION], found[REGION];
    epio_op op = {0};
    epio_file *file = host->file[random_between(&one->random, 0, FILES)];
    memset(data, (int)random_between(&one->random, 1, 250), REGION);
    epio_submit(epio_write(&op, file, data, REGION, GUEST_REGION * REGION));
    bool cancels = random_between(&one->random, 0, 4) == 0;
    if (cancels) {
        epio_cancel(&op);
    }
    int64_t result = epio_wait(&op);
    require_seeded(result == REGION || (cancels && result == EPIO_ECANCELED));
    if (result == REGION) {
        require_seeded(epio_wait(epio_read(&op, file, found, REGION, GUEST_REGION * REGION)) ==
                       REGION);
        require_seeded(memcmp(data, found, REGION) == 0);
    }
    op.timeout_ns = random_between(&one->random, 1, 100000);
    result = epio_wait(epio_acquire(&op, host->vfs[0], host->semaphore, 2));
    require_seeded(result == 0 || result == EPIO_ETIMEDOUT);
    if (result == 0) {
        epio_semaphore_release(host->semaphore, 2);
    }
}

static void *advance(void *argument)
{
    guest_thread *one = argument;
    while (system_monotonic_ns() < one->deadline) {
        owner *host = &one->owners[random_between(&one->random, 0, OWNERS)];
        if (atomic_load(&host->open) != 0) {
            use_guest_region(one, host);
        }
    }
    for (size_t i = 0; i < OWNERS; i++) {
        atomic_store(&one->owners[i].guests_left, 1);
    }
    return NULL;
}

/* ---- The runs -------------------------------------------------------------------------- */

static void run_once(fixture *f, uint64_t seed, uint64_t duration)
{
    epio_semaphore *semaphore = NULL;
    owner *owners = calloc(OWNERS, sizeof *owners);
    test_thread threads[OWNERS], traveller;
    guest_thread visitor = {
        .owners = owners, .random = {seed}, .deadline = system_monotonic_ns() + duration};
    require_seeded(owners != NULL);
    require_seeded(epio_semaphore_create(&semaphore, PERMITS) == 0);
    epio_semaphore_limit_bytes(semaphore, 2 * REGION);
    for (size_t i = 0; i < OWNERS; i++) {
        owners[i].directory = f->directory;
        owners[i].semaphore = semaphore;
        owners[i].random.state = seed * 31 + i;
        owners[i].deadline = visitor.deadline;
        owners[i].index = i;
        owners[i].ends_early = (seed + i) % 3 == 0;
        thread_start(&threads[i], run_owner, &owners[i]);
    }
    thread_start(&traveller, advance, &visitor);
    (void)thread_join(traveller);
    for (size_t i = 0; i < OWNERS; i++) {
        (void)thread_join(threads[i]);
    }
    require_seeded(epio_semaphore_available(semaphore) == PERMITS);
    epio_semaphore_destroy(semaphore);
    free(owners);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void everything_at_once(fixture *f)
{
    uint64_t end = system_monotonic_ns() + number_of("EPIO_TEST_SECONDS", 1) * 1000 * MILLISECOND;
    chaos_seed = number_of("EPIO_TEST_SEED", system_monotonic_ns());
    print_message("EPIO_TEST_SEED=%llu\n", (unsigned long long)chaos_seed);
    do {
        run_once(f, chaos_seed, 300 * MILLISECOND);
        chaos_seed++;
    } while (system_monotonic_ns() < end);
}

static const fixture_test tests[] = {
    FIXTURE_TEST(everything_at_once, ON_OS_PERFORM),
};

int main(void)
{
    return FIXTURE_RUN("chaos", tests);
}
