/* Files in memory, of POSIX systems alone: SIGBUS beyond the end, forked children, a msync that
 * fails or takes long. This program's own msync stands in for the system's.
 * EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "fork.h"
#include "op_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)
#define SHARED (EPIO_MAP_READ | EPIO_MAP_WRITE)
#define LEN 100000u
#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT | ON_LIMIT_OS | ON_TRACE_OS)

/* ---- The system's calls --------------------------------------------------- */

#if !defined(__APPLE__) /* which has no call for what is below the library */

static atomic_int msync_error;
static atomic_int interruptions; /* of the next calls */
static atomic_int msyncs;
static atomic_bool shut; /* a msync waits */
static atomic_int waiting;
static uintptr_t synced_from;
static size_t synced_len;

int msync(void *from, size_t len, int flags)
{
    atomic_fetch_add(&waiting, 1);
    while (atomic_load(&shut)) {
        sleep_us(100);
    }
    atomic_fetch_sub(&waiting, 1);
    atomic_fetch_add(&msyncs, 1);
    synced_from = (uintptr_t)from;
    synced_len = len;
    int error = atomic_load(&msync_error);
    if (atomic_load(&interruptions) > 0) {
        atomic_fetch_sub(&interruptions, 1);
        error = EINTR;
    }
    if (error != 0) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_msync, from, len, flags);
}

#endif

static epio_file *create_full(fixture *f)
{
    static unsigned char data[LEN];
    epio_file *file = fixture_create(f, "file");
    memset(data, 'd', sizeof data);
    fixture_write(f, file, data, sizeof data, 0);
    return file;
}

/* ---- Beyond the end ------------------------------------------------------- */

static void load_from(void *address)
{
    (void)signal(SIGBUS, SIG_DFL);
    const volatile unsigned char *byte = address;
    check(*byte == 0);
}

static void beyond_the_end_is_a_signal(fixture *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    check_op(f, epio_truncate(&op, file, 1), 0);
    check(mapped_bytes(mapping)[0] == 'd');
    check_bytes(mapped_bytes(mapping) + 1, 0, page - 1);
    check_result(run_in_fork(load_from, mapped_bytes(mapping) + page), 256 + SIGBUS);
    check_result(run_in_fork(load_from, mapped_bytes(mapping) + LEN - 1), 256 + SIGBUS);
    mapped_bytes(mapping)[5] = 'x'; /* no longer the file's */
    check_op(f, epio_sync_mapping(&op, mapping, 0, 0), 0);
    check_op(f, epio_truncate(&op, file, LEN), 0);
    check_result(run_in_fork(load_from, mapped_bytes(mapping) + LEN - 1), 0);
    check(mapped_bytes(mapping)[5] == 0);
    mapped_bytes(mapping)[LEN - 1] = 'y'; /* the file's again */
    unsigned char found;
    fixture_read(f, file, &found, 1, LEN - 1);
    check(found == 'y');
    fixture_unmap(f, mapping);
    fixture_close(f, file);
}

static void store_to(void *address)
{
    (void)signal(SIGBUS, SIG_DFL);
    (void)signal(SIGSEGV, SIG_DFL);
    *(volatile unsigned char *)address = 'x';
}

static void a_mapping_for_reading_is_not_stored_to(fixture *f)
{
    static const uint32_t accesses[] = {EPIO_MAP_READ, EPIO_MAP_READ | EPIO_MAP_PRIVATE};
    epio_file *file = create_full(f);
    for (size_t i = 0; i < 2; i++) {
        epio_mapping *mapping = fixture_map(f, file, 1, LEN - 1, accesses[i]);
        int status = run_in_fork(store_to, mapped_bytes(mapping));
        check(status == 256 + SIGSEGV || status == 256 + SIGBUS);
        fixture_unmap(f, mapping);
    }
    fixture_close(f, file);
}

/* Files that the system makes up. */
static void some_files_cannot_be_mapped(fixture *f)
{
    static const char *const paths[] = {"/sys/kernel/mm/transparent_hugepage/enabled",
                                        "/sys/kernel/uevent_seqnum", "/dev/null"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        epio_op op = {0};
        if (fixture_result(f, epio_open(&op, f->vfs, paths[i], EPIO_OPEN_READ)) != 0) {
            continue;
        }
        epio_file *file = op.file;
        int64_t size = fixture_result(f, epio_size(&op, file));
        int64_t result = fixture_result(f, epio_map(&op, file, 0, 1, EPIO_MAP_READ));
        check(epio_op_mapping(&op) == NULL);
        check_result(result, size > 0 || size == EPIO_ESPIPE ? EPIO_ENOTSUP : EPIO_EINVAL);
        fixture_close(f, file);
    }
}

/* ---- Syncs ---------------------------------------------------------------- */

#if !defined(__APPLE__)

static void whole_pages_are_synced(fixture *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 10, LEN - 10, SHARED);
    epio_mapping *reads = fixture_map(f, file, 10, LEN - 10, EPIO_MAP_READ);
    epio_mapping *private = fixture_map(f, file, 10, LEN - 10, SHARED | EPIO_MAP_PRIVATE);
    uintptr_t start = (uintptr_t)mapped_bytes(mapping) - 10;
    atomic_store(&msyncs, 0);
    check_op(f, epio_sync_mapping(&op, mapping, 0, 1), 0);
    check(start % page == 0 && synced_from == start && synced_len == 11);
    check_op(f, epio_sync_mapping(&op, mapping, page, 20), 0);
    check(synced_from == start + page && synced_len == 30);
    check_op(f, epio_sync_mapping(&op, mapping, 5, 0), 0);
    check(synced_from == start && synced_len == LEN);
    check_result(atomic_load(&msyncs), 3);
    check_op(f, epio_sync_mapping(&op, reads, 0, 0), 0);
    check_op(f, epio_sync_mapping(&op, private, 0, 0), 0);
    check_result(atomic_load(&msyncs), 3);
    fixture_unmap(f, private);
    fixture_unmap(f, reads);
    fixture_unmap(f, mapping);
    fixture_close(f, file);
}

static void a_failure_is_not_forgotten(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_file *other = fixture_open(f, "file", READ_WRITE);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    epio_mapping *of_other = fixture_map(f, other, 0, LEN, SHARED);
    mapped_bytes(mapping)[0] = 'x';
    atomic_store(&msync_error, ENOSPC);
    int64_t result = fixture_result(f, epio_sync_mapping(&op, mapping, 0, 0));
    atomic_store(&msync_error, 0);
    check_result(result, EPIO_ENOSPC);
    check(op.os_error == ENOSPC);
    atomic_store(&msyncs, 0);
    check_op_fails(f, epio_sync_mapping(&op, mapping, 0, 0), EPIO_EIO, ENOSPC);
    check_result(atomic_load(&msyncs), 0);
    check_op_fails(f, epio_sync(&op, file, EPIO_SYNC_FULL), EPIO_EIO, ENOSPC);
    check_op_fails(f, epio_sync(&op, file, EPIO_SYNC_DATA_ONLY), EPIO_EIO, ENOSPC);
    check_op_fails(f, epio_write(&op, file, "abc", 3, 0), EPIO_EIO, ENOSPC);
    /* The other file's failures are its own. */
    check_op(f, epio_sync_mapping(&op, of_other, 0, 0), 0);
    check_op(f, epio_sync(&op, other, EPIO_SYNC_FULL), 0);
    fixture_close(f, file);
    check_op_fails(f, epio_sync_mapping(&op, mapping, 0, 0), EPIO_EIO, ENOSPC);
    fixture_unmap(f, mapping);
    file = fixture_open(f, "file", READ_WRITE);
    mapping = fixture_map(f, file, 0, LEN, SHARED);
    check_op(f, epio_sync_mapping(&op, mapping, 0, 0), 0);
    check_op(f, epio_sync(&op, file, EPIO_SYNC_FULL), 0);
    fixture_unmap(f, mapping);
    fixture_unmap(f, of_other);
    fixture_close(f, other);
    fixture_close(f, file);
}

static void interrupted_syncs_go_on(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    fixture_close(f, file);
    atomic_store(&interruptions, 3);
    check_op(f, epio_sync_mapping(&op, mapping, 0, 0), 0);
    check_result(atomic_load(&interruptions), 0);
    fixture_unmap(f, mapping);
}

#if EPIO_ASYNC

/* The pages stay until the sync has ended that was submitted before. */
static void unmapped_in_flight(fixture *f)
{
    tracked sync;
    tracked unmaps;
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    unsigned char *bytes = mapped_bytes(mapping);
    unsigned char resident[LEN / 4096 + 2];
    fixture_close(f, file);
    atomic_store(&shut, true);
    epio_submit(epio_sync_mapping(track(&sync), mapping, 0, 0));
    epio_submit(epio_unmap(track(&unmaps), mapping));
    while (atomic_load(&waiting) == 0) {
        (void)epio_loop_poll(f->loop, MILLISECOND, 0);
    }
    fixture_settle(f);
    check(sync.calls == 0 && unmaps.calls == 0);
    check(mincore(bytes, LEN, (void *)resident) == 0);
    bytes[0] = 'x';
    atomic_store(&shut, false);
    while (unmaps.calls == 0) {
        (void)epio_loop_poll(f->loop, EPIO_FOREVER, 0);
    }
    check(sync.calls == 1);
    check_result(sync.result, 0);
    check_result(unmaps.result, 0);
}

#endif

#endif

/* ---- Forked children ------------------------------------------------------ */

typedef struct in_child {
    fixture *f;
    epio_mapping *mapping;
    bool is_shared;
} in_child;

static void use_in_child(void *argument)
{
    in_child *one = argument;
    epio_op op = {0};
    check(mapped_bytes(one->mapping)[0] == 'd');
    mapped_bytes(one->mapping)[0] = 'c';
    check_result(epio_perform(epio_sync_mapping(&op, one->mapping, 0, 0)), 0);
    check_result(epio_perform(epio_unmap(&op, one->mapping)), 0);
}

static void a_child_has_it_too(fixture *f)
{
    epio_file *file = create_full(f);
    in_child one = {f, fixture_map(f, file, 0, LEN, SHARED), !f->memory};
    in_child two = {f, fixture_map(f, file, 0, LEN, SHARED | EPIO_MAP_PRIVATE), false};
    check_result(run_in_fork(use_in_child, &one), 0);
    check(mapped_bytes(one.mapping)[0] == (one.is_shared ? 'c' : 'd'));
    mapped_bytes(one.mapping)[0] = 'd';
    check_result(run_in_fork(use_in_child, &two), 0);
    check(mapped_bytes(two.mapping)[0] == 'd');
    fixture_unmap(f, two.mapping);
    fixture_unmap(f, one.mapping);
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(beyond_the_end_is_a_signal, ON_SOME),
        FIXTURE_TEST(a_mapping_for_reading_is_not_stored_to, ON_SOME),
        FIXTURE_TEST(some_files_cannot_be_mapped, ON_SOME),
        FIXTURE_TEST(a_child_has_it_too, ON_SOME | ON_MEMORY_PERFORM | ON_MEMORY | ON_LIMIT_MEMORY),
#if !defined(__APPLE__)
        FIXTURE_TEST(whole_pages_are_synced, ON_SOME),
        FIXTURE_TEST(a_failure_is_not_forgotten, ON_SOME),
        FIXTURE_TEST(interrupted_syncs_go_on, ON_SOME),
#endif
#if EPIO_ASYNC && !defined(__APPLE__)
        FIXTURE_TEST(unmapped_in_flight, ON_OS | ON_LIMIT_OS_3 | ON_TRACE_OS),
#endif
    };
    return FIXTURE_RUN("mapping, POSIX", tests);
}
