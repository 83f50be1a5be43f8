/* Links: chains of any length, what follows a failure, and what a chain means
 * for deadlines, syncs and closes. */
#include "op_fixture.h"

#include "fault_vfs.h"

#define LONGEST 1000

static tracked chain[LONGEST];

/* The order of deliveries, as indexes into the chain. */
static int order[LONGEST];
static int delivered;

static void note(tracked *one)
{
    order[delivered++] = (int)(one - chain);
}

static epio_op *member(int number)
{
    track(&chain[number]);
    chain[number].then = note;
    return &chain[number].op;
}

static void link_all(int count, uint32_t flags)
{
    for (int i = 1; i < count; i++) {
        check(epio_link(&chain[i - 1].op, &chain[i].op, flags) == &chain[i - 1].op);
    }
    delivered = 0;
}

static void run_chain(op_fixture *fx, int count)
{
    for (int i = 0; i < count; i++) {
        op_fixture_run_until_done(fx, &chain[i]);
    }
    op_fixture_run_for(fx, MICROSECOND);
    check_result(delivered, count);
    for (int i = 0; i < count; i++) {
        check_result(chain[i].calls, 1);
    }
}

/* ---- Chains -------------------------------------------------------------- */

static void chains_of_all_lengths(fixture *f)
{
    static const int lengths[] = {1, 2, 3, 4, 7, 64, LONGEST};
    static unsigned char bytes[LONGEST];
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int count = lengths[i];
        unsigned char last = (unsigned char)i;
        for (int j = 0; j < count; j++) {
            bytes[j] = (unsigned char)(last + j);
            (void)epio_write(member(j), fx.file, &bytes[j], 1, 0); /* at one offset */
        }
        link_all(count, 0);
        epio_submit(&chain[0].op);
        for (int j = 0; j < count; j++) {
            check(epio_op_pending(&chain[j].op));
            check_result(chain[j].op.result, EPIO_EPENDING);
        }
        check_result(epio_loop_pending(fx.loop), count);
        run_chain(&fx, count);
        for (int j = 0; j < count; j++) {
            check_result(order[j], j);
            check_result(chain[j].result, 1);
        }
        epio_op op = {0};
        check_result(epio_wait(epio_read(&op, fx.file, &last, 1, 0)), 1);
        check_result(last, bytes[count - 1]);
    }
    op_fixture_teardown(&fx);
}

/* A member starts only after the delivery of the one before it. */
static void one_at_a_time(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    uint64_t started = system_monotonic_ns();
    for (int i = 0; i < 5; i++) {
        (void)epio_sleep(member(i), fx.os, 10 * MILLISECOND);
    }
    link_all(5, 0);
    epio_submit(&chain[0].op);
    run_chain(&fx, 5);
    check(system_monotonic_ns() - started >= 50 * MILLISECOND);
    op_fixture_teardown(&fx);
}

static void from_another_thread(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int i = 0; i < 20; i++) {
        (void)epio_read(member(i), fx.file, fx.buffer, 10, 0);
    }
    link_all(20, 0);
    submit_elsewhere(&chain[0].op);
    for (int i = 0; i < 20; i++) {
        check(epio_op_pending(&chain[i].op));
    }
    check_result(epio_loop_pending(fx.loop), 20);
    run_chain(&fx, 20);
    check_result(chain[19].result, 10);
    op_fixture_teardown(&fx);
}

static void a_wait_for_any_member(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int waited = 0; waited < 3; waited++) {
        epio_op ops[3] = {{0}};
        for (int i = 0; i < 3; i++) {
            (void)epio_sleep(&ops[i], fx.os, MILLISECOND);
        }
        (void)epio_link(&ops[0], &ops[1], 0);
        (void)epio_link(&ops[1], &ops[2], 0);
        if (waited != 0) {
            epio_submit(&ops[0]);
        }
        check_result(epio_wait(&ops[waited]), MILLISECOND);
        for (int i = 0; i < 3; i++) {
            check(epio_op_pending(&ops[i]) == (i > waited));
        }
        check_result(epio_wait(&ops[2]), MILLISECOND);
    }
    op_fixture_teardown(&fx);
}

static void across_files_and_vfses(fixture *f)
{
    op_fixture fx;
    epio_vfs *memory;
    char into[4];
    op_fixture_setup(&fx, f);
    check_result(memory_vfs_make(&memory, fx.loop, f->directory), 0);
    epio_file *file = op_fixture_open(&fx, memory, "in memory");
    (void)epio_write(member(0), fx.file, "one", 3, 0);
    (void)epio_write(member(1), file, "two", 3, 0);
    (void)epio_write(member(2), fx.other[0], "three", 5, 0);
    (void)epio_sync(member(3), fx.file, EPIO_SYNC_FULL);
    (void)epio_sync(member(4), file, EPIO_SYNC_FULL);
    (void)epio_read(member(5), file, into, 3, 0);
    (void)epio_close(member(6), file);
    (void)epio_size(member(7), fx.other[0]);
    link_all(8, 0);
    epio_submit(&chain[0].op);
    run_chain(&fx, 8);
    check_result(chain[5].result, 3);
    check(memcmp(into, "two", 3) == 0);
    check_result(chain[6].result, 0);
    check_result(chain[7].result, 5);
    epio_vfs_destroy(memory);
    op_fixture_teardown(&fx);
}

/* ---- Failing ------------------------------------------------------------- */

static void a_failure_ends_what_follows(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int bad = 0; bad < 6; bad++) {
        for (int i = 0; i < 6; i++) {
            (void)epio_write(member(i), fx.file, i == bad ? NULL : "x", 1, (uint64_t)i);
        }
        link_all(6, 0);
        epio_submit(&chain[0].op);
        run_chain(&fx, 6);
        for (int i = 0; i < 6; i++) {
            check_result(chain[i].result, i < bad ? 1 : i == bad ? EPIO_EINVAL : EPIO_ECANCELED);
        }
    }
    op_fixture_teardown(&fx);
}

static void always_follows_a_failure(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int bad = 0; bad < 6; bad++) {
        for (int i = 0; i < 6; i++) {
            (void)epio_write(member(i), fx.file, i == bad ? NULL : "x", 1, (uint64_t)i);
        }
        link_all(6, EPIO_LINK_ALWAYS);
        epio_submit(&chain[0].op);
        run_chain(&fx, 6);
        for (int i = 0; i < 6; i++) {
            check_result(order[i], i);
            check_result(chain[i].result, i == bad ? EPIO_EINVAL : 1);
        }
    }
    op_fixture_teardown(&fx);
}

/* An ALWAYS link continues even after members that a failure ended; an ordinary link after it does
 * not. */
static void always_in_the_middle(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int i = 0; i < 5; i++) {
        (void)epio_write(member(i), fx.file, i == 1 ? NULL : "x", 1, (uint64_t)i);
    }
    link_all(3, 0);
    (void)epio_link(&chain[2].op, &chain[3].op, EPIO_LINK_ALWAYS);
    (void)epio_link(&chain[3].op, &chain[4].op, 0);
    epio_submit(&chain[0].op);
    run_chain(&fx, 5);
    static const int64_t expected[] = {1, EPIO_EINVAL, EPIO_ECANCELED, 1, EPIO_ECANCELED};
    for (int i = 0; i < 5; i++) {
        check_result(chain[i].result, expected[i]);
    }
    op_fixture_teardown(&fx);
}

/* Every chain of five: which members fail if they start, and which links are ALWAYS. */
static void a_failure_is_kept_down_the_chain(fixture *f)
{
    enum { COUNT = 5 };
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (unsigned bad = 0; bad < 1u << COUNT; bad++) {
        for (unsigned always = 0; always < 1u << (COUNT - 1); always++) {
            for (unsigned i = 0; i < COUNT; i++) {
                bool fails = (bad >> i & 1u) != 0;
                (void)epio_randomness(member((int)i), fx.os, fails ? NULL : fx.buffer, 1);
            }
            for (unsigned i = 1; i < COUNT; i++) {
                (void)epio_link(&chain[i - 1].op, &chain[i].op,
                                (always >> (i - 1) & 1u) != 0 ? EPIO_LINK_ALWAYS : 0);
            }
            delivered = 0;
            epio_submit(&chain[0].op);
            run_chain(&fx, COUNT);
            bool failed = false;
            for (unsigned i = 0; i < COUNT; i++) {
                bool begins = i == 0 || !failed || (always >> (i - 1) & 1u) != 0;
                bool fails = (bad >> i & 1u) != 0;
                check_result(order[i], i);
                check_result(chain[i].result, !begins ? EPIO_ECANCELED : fails ? EPIO_EINVAL : 1);
                failed = failed || !begins || fails;
            }
        }
    }
    op_fixture_teardown(&fx);
}

/* A chain of this op, an ALWAYS link and one more op: does the last start? */
static void check_breaks(op_fixture *fx, int64_t result, bool breaks)
{
    (void)epio_size(member(1), fx->file);
    (void)epio_size(member(2), fx->file);
    (void)epio_link(&chain[0].op, &chain[1].op, EPIO_LINK_ALWAYS);
    (void)epio_link(&chain[1].op, &chain[2].op, 0);
    delivered = 0;
    epio_submit(&chain[0].op);
    if (result == EPIO_ECANCELED) {
        epio_cancel(&chain[0].op);
    }
    run_chain(fx, 3);
    check_result(chain[0].result, result);
    check(chain[1].result > 0);
    check(breaks ? chain[2].result == EPIO_ECANCELED : chain[2].result > 0);
}

static void whatever_fails_breaks_a_chain(fixture *f)
{
    op_fixture fx;
    epio_op op = {0};
    char byte;
    op_fixture_setup(&fx, f);
    (void)epio_write(member(0), fx.file, NULL, 1, 0);
    check_breaks(&fx, EPIO_EINVAL, true);
    (void)epio_delete(member(0), fx.os, fixture_path(fx.f, "no such file"), 0);
    check_breaks(&fx, EPIO_ENOENT, true);
    (void)epio_sleep(member(0), fx.os, HOUR);
    check_breaks(&fx, EPIO_ECANCELED, true);
    (void)epio_sleep(member(0), fx.os, HOUR);
    chain[0].op.timeout_ns = MILLISECOND;
    check_breaks(&fx, EPIO_ETIMEDOUT, true);
    epio_file *one = op_fixture_open(&fx, fx.os, "locked");
    epio_file *two = op_fixture_open(&fx, fx.os, "locked");
    check_result(epio_wait(epio_lock(&op, one, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_wait(epio_lock(&op, one, EPIO_LOCK_EXCLUSIVE, 0)), 0);
    (void)epio_lock(member(0), two, EPIO_LOCK_SHARED, 0);
    check_breaks(&fx, EPIO_EBUSY, true);

    /* A result of 0 bytes or "no" is no error. */
    (void)epio_read(member(0), one, &byte, 1, 1000);
    check_breaks(&fx, 0, false);
    (void)epio_access(member(0), fx.os, fixture_path(fx.f, "no such file"), EPIO_ACCESS_EXISTS);
    check_breaks(&fx, 0, false);
    check_result(epio_wait(epio_unlock(&op, one, EPIO_LOCK_NONE)), 0);
    (void)epio_check_reserved_lock(member(0), two);
    check_breaks(&fx, 0, false);
    op_fixture_close(one);
    op_fixture_close(two);
    op_fixture_teardown(&fx);
}

/* A safe save: the new file replaces the old one only if it was written, flushed and closed without
 * an error. */
static void a_failed_save_replaces_nothing(fixture *f)
{
    static const uint8_t fails[] = {EPIO_KIND_NONE, EPIO_KIND_WRITE, EPIO_KIND_SYNC,
                                    EPIO_KIND_CLOSE};
    for (size_t i = 0; i < sizeof fails; i++) {
        epio_vfs *fault;
        epio_op op = {0};
        epio_op write = {0};
        epio_op sync = {0};
        epio_op close = {0};
        epio_op rename = {0};
        bool good = fails[i] == EPIO_KIND_NONE;
        fixture_put(f, "file", "old", 3);
        check_result(fault_vfs_create(&fault, f->vfs), 0);
        check_result(epio_wait(epio_open(&op, fault, fixture_path(f, "new"),
                                         EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE)),
                     0);
        fault_vfs_fail_after(fault, fails[i], 0, 1, EPIO_ENOSPC, 77);
        (void)epio_write(&write, op.file, "newer", 5, 0);
        (void)epio_sync(&sync, op.file, EPIO_SYNC_FULL);
        (void)epio_close(&close, op.file);
        (void)epio_rename(&rename, fault, fixture_path(f, "new"), fixture_path(f, "file"), 0);
        (void)epio_link(&write, &sync, 0);
        (void)epio_link(&sync, &close, EPIO_LINK_ALWAYS);
        (void)epio_link(&close, &rename, 0);
        epio_submit(&write);
        check_result(epio_wait(&rename), good ? 0 : EPIO_ECANCELED);
        check_result(write.result, fails[i] == EPIO_KIND_WRITE ? EPIO_ENOSPC : 5);
        check_result(sync.result, fails[i] == EPIO_KIND_WRITE  ? EPIO_ECANCELED
                                  : fails[i] == EPIO_KIND_SYNC ? EPIO_ENOSPC
                                                               : 0);
        check_result(close.result, fails[i] == EPIO_KIND_CLOSE ? EPIO_ENOSPC : 0);
        check_content(f, "file", good ? "newer" : "old", good ? 5 : 3);
        check_result(fixture_exists(f, "new"), good ? 0 : 1);
        epio_vfs_destroy(fault);
    }
}

/* A failure of the system, not of the arguments. */
static void an_error_of_the_system_breaks_the_chain(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    (void)epio_delete(member(0), fx.os, fixture_path(fx.f, "no such file"), 0);
    (void)epio_delete(member(1), fx.os, fixture_path(fx.f, "file"), 0);
    link_all(2, 0);
    epio_submit(&chain[0].op);
    run_chain(&fx, 2);
    check_result(chain[0].result, EPIO_ENOENT);
    check(chain[0].op.os_error != 0);
    check_result(chain[1].result, EPIO_ECANCELED);
    check_result(chain[1].op.os_error, 0);
    check_result(fixture_exists(f, "file"), 1);
    op_fixture_teardown(&fx);
}

/* ---- Cancels and deadlines ----------------------------------------------- */

/* The first is blocked at the gate. */
static void prepare_at_gate(op_fixture *fx, int count)
{
    gate_shut(fx);
    (void)epio_size(member(0), fx->file);
    for (int i = 1; i < count; i++) {
        (void)epio_sleep(member(i), fx->os, MICROSECOND);
    }
}

static void a_cancel_of_each_member(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int by = 0; by < CANCEL_ORIGINS; by++) {
        for (int victim = 0; victim < 5; victim++) {
            prepare_at_gate(&fx, 5);
            if (victim == 0) {
                (void)epio_sleep(&chain[0].op, fx.os, HOUR);
            }
            link_all(5, 0);
            epio_submit(&chain[0].op);
            op_fixture_cancel(&fx, (cancel_origin)by, &chain[victim].op);
            /* Promptly, before the members ahead of it. */
            op_fixture_run_until_done(&fx, &chain[victim]);
            check_result(chain[0].calls, victim == 0 ? 1 : 0);
            gate_open(&fx);
            run_chain(&fx, 5);
            for (int i = 0; i < 5; i++) {
                check_result(chain[i].result < 0 ? chain[i].result : 0,
                             i < victim ? 0 : EPIO_ECANCELED);
            }
        }
    }
    op_fixture_teardown(&fx);
}

/* The successor of a cancelled member continues from there, with the failure noted. */
static void a_cancelled_member_is_a_failure(fixture *f)
{
    enum { BY_DEADLINE = CANCEL_ORIGINS };
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int by = 0; by <= BY_DEADLINE; by++) {
        for (int last_always = 0; last_always < 2; last_always++) {
            prepare_at_gate(&fx, 4);
            chain[1].op.timeout_ns = by == BY_DEADLINE ? MILLISECOND : 0;
            (void)epio_link(&chain[0].op, &chain[1].op, 0);
            (void)epio_link(&chain[1].op, &chain[2].op, EPIO_LINK_ALWAYS);
            (void)epio_link(&chain[2].op, &chain[3].op, last_always != 0 ? EPIO_LINK_ALWAYS : 0);
            delivered = 0;
            epio_submit(&chain[0].op);
            if (by != BY_DEADLINE) {
                op_fixture_cancel(&fx, (cancel_origin)by, &chain[1].op);
            }
            op_fixture_run_until_done(&fx, &chain[3]);
            check_result(chain[0].calls, 0);
            check_result(chain[1].result, by == BY_DEADLINE ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
            check_result(chain[2].result, MICROSECOND);
            check_result(chain[3].result, last_always != 0 ? (int64_t)MICROSECOND : EPIO_ECANCELED);
            gate_open(&fx);
            run_chain(&fx, 4);
        }
    }
    op_fixture_teardown(&fx);
}

/* Every member but the first is cancelled, in any order. */
static void a_cancel_of_all_members(fixture *f)
{
    op_fixture fx;
    random_source random = {.state = 3};
    op_fixture_setup(&fx, f);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 12; i++) {
            (void)epio_sleep(member(i), fx.os, HOUR);
        }
        link_all(12, round % 2 == 0 ? 0 : EPIO_LINK_ALWAYS);
        epio_submit(&chain[0].op);
        for (int i = 0; i < 60; i++) {
            epio_cancel(&chain[random_between(&random, 0, 12)].op);
            if (random_between(&random, 0, 4) == 0) {
                (void)epio_loop_poll(fx.loop, 0, 1);
            }
        }
        for (int i = 0; i < 12; i++) {
            epio_cancel(&chain[i].op);
        }
        run_chain(&fx, 12);
        for (int i = 0; i < 12; i++) {
            check_result(chain[i].result, EPIO_ECANCELED);
        }
    }
    op_fixture_teardown(&fx);
}

static void a_deadline_counts_from_the_first(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int timed = 1; timed < 4; timed++) {
        prepare_at_gate(&fx, 4);
        chain[timed].op.timeout_ns = 20 * MILLISECOND;
        link_all(4, 0);
        uint64_t started = system_monotonic_ns();
        epio_submit(&chain[0].op);
        op_fixture_run_until_done(&fx, &chain[timed]);
        check(system_monotonic_ns() - started >= 20 * MILLISECOND);
        check_result(chain[0].calls, 0);
        gate_open(&fx);
        run_chain(&fx, 4);
        for (int i = 0; i < 4; i++) {
            check_result(chain[i].result < 0 ? chain[i].result : 0, i < timed    ? 0
                                                                    : i == timed ? EPIO_ETIMEDOUT
                                                                                 : EPIO_ECANCELED);
            check_result(chain[i].op.timeout_ns, 0);
        }
    }
    op_fixture_teardown(&fx);
}

/* The deadline still counts while the member runs. */
static void a_deadline_of_a_member_that_runs(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    (void)epio_sleep(member(0), fx.os, 10 * MILLISECOND);
    (void)epio_sleep(member(1), fx.os, HOUR);
    (void)epio_current_time(member(2), fx.os);
    chain[1].op.timeout_ns = 30 * MILLISECOND;
    link_all(2, 0);
    (void)epio_link(&chain[1].op, &chain[2].op, EPIO_LINK_ALWAYS);
    uint64_t started = system_monotonic_ns();
    epio_submit(&chain[0].op);
    run_chain(&fx, 3);
    check(system_monotonic_ns() - started >= 30 * MILLISECOND);
    check(system_monotonic_ns() - started < 20 * SECOND);
    check_result(chain[0].result, 10 * MILLISECOND);
    check_result(chain[1].result, EPIO_ETIMEDOUT);
    check(chain[2].result > 0);
    op_fixture_teardown(&fx);
}

static void a_deadline_of_the_first_breaks_the_chain(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    (void)epio_sleep(member(0), fx.os, HOUR);
    (void)epio_sleep(member(1), fx.os, 0);
    chain[0].op.timeout_ns = 5 * MILLISECOND;
    link_all(2, 0);
    epio_submit(&chain[0].op);
    run_chain(&fx, 2);
    check_result(chain[0].result, EPIO_ETIMEDOUT);
    check_result(chain[1].result, EPIO_ECANCELED);
    op_fixture_teardown(&fx);
}

/* ---- Syncs and closes ---------------------------------------------------- */

static void write_sync_close(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    for (int bad = 0; bad < 2; bad++) {
        epio_file *file = op_fixture_open(&fx, fx.os, "closed");
        (void)epio_write(member(0), file, bad != 0 ? NULL : "x", 1, 0);
        (void)epio_sync(member(1), file, EPIO_SYNC_FULL);
        (void)epio_close(member(2), file);
        link_all(3, EPIO_LINK_ALWAYS);
        epio_submit(&chain[0].op);
        run_chain(&fx, 3);
        check_result(chain[0].result, bad != 0 ? EPIO_EINVAL : 1);
        check_result(chain[1].result, bad != 0 ? EPIO_EINVAL : 0); /* it reports the write */
        check_result(chain[2].result, 0);
    }
    op_fixture_teardown(&fx);
}

/* Without ALWAYS the close did not start, and the file is still open. */
static void a_close_after_a_failure(fixture *f)
{
    op_fixture fx;
    char byte;
    epio_op op = {0};
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.os, "closed");
    (void)epio_write(member(0), file, NULL, 1, 0);
    (void)epio_close(member(1), file);
    link_all(2, 0);
    epio_submit(&chain[0].op);
    run_chain(&fx, 2);
    check_result(chain[1].result, EPIO_ECANCELED);
    check_result(epio_wait(epio_read(&op, file, &byte, 1, 0)), 0);
    op_fixture_close(file);
    op_fixture_teardown(&fx);
}

/* A sync covers the write of a chain that was submitted before it, though it has not started. */
static void a_sync_covers_by_the_order_of_the_chain(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    gate_shut(&fx);
    (void)epio_sleep(member(0), fx.os, 10 * MILLISECOND);
    (void)epio_write(member(1), fx.file, "x", 1, 0);
    link_all(2, 0);
    epio_submit(&chain[0].op);
    /* Submitted after the chain: this sync covers its write. */
    (void)epio_sync(member(2), fx.file, EPIO_SYNC_FULL);
    epio_submit(&chain[2].op);
    op_fixture_run_until_waiting(&fx, 1);
    check_result(chain[0].calls, 1);
    op_fixture_run_for(&fx, 5 * MILLISECOND);
    check_result(chain[2].calls, 0);
    check_result(gate_waiting(&fx), 1); /* only the write */
    gate_open(&fx);
    delivered = 1;
    run_chain(&fx, 3);
    check_result(order[1], 1);
    check_result(order[2], 2);
    op_fixture_teardown(&fx);
}

/* The write behind a sync in a chain waits for it, and the sync not for the
 * write. */
static void a_write_after_its_sync(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    (void)epio_write(member(0), fx.file, "x", 1, 0);
    (void)epio_sync(member(1), fx.file, EPIO_SYNC_DATA_ONLY);
    (void)epio_write(member(2), fx.file, "y", 1, 0);
    (void)epio_sync(member(3), fx.file, EPIO_SYNC_DATA_ONLY);
    link_all(4, 0);
    epio_submit(&chain[0].op);
    /* And a sync that covers them all. */
    (void)epio_sync(member(4), fx.file, EPIO_SYNC_DATA_ONLY);
    epio_submit(&chain[4].op);
    run_chain(&fx, 5);
    int position[5] = {0};
    for (int i = 0; i < 5; i++) {
        check(chain[i].result >= 0);
        position[order[i]] = i;
    }
    check(position[0] < position[1] && position[1] < position[2] && position[2] < position[3]);
    check(position[2] < position[4]);
    op_fixture_teardown(&fx);
}

/* A failed write early in the chain is reported by a sync outside it; the ops that the failure
 * ended are no failures of their own. */
static void an_ended_write_is_no_failure(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    (void)epio_sleep(member(0), fx.os, HOUR);
    (void)epio_write(member(1), fx.file, "x", 1, 0);
    (void)epio_truncate(member(2), fx.file, 10);
    link_all(3, 0);
    epio_submit(&chain[0].op);
    (void)epio_sync(member(3), fx.file, EPIO_SYNC_FULL);
    epio_submit(&chain[3].op);
    op_fixture_run_for(&fx, 5 * MILLISECOND);
    check_result(chain[3].calls, 0);
    epio_cancel(&chain[0].op);
    run_chain(&fx, 4);
    check_result(chain[1].result, EPIO_ECANCELED);
    check_result(chain[2].result, EPIO_ECANCELED);
    check_result(chain[3].result, 0);
    op_fixture_teardown(&fx);
}

/* A close waits for later members of a chain submitted before it. */
static void a_close_waits_for_a_chain(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    epio_file *file = op_fixture_open(&fx, fx.os, "closed");
    (void)epio_sleep(member(0), fx.os, 10 * MILLISECOND);
    (void)epio_write(member(1), file, "x", 1, 0);
    link_all(2, 0);
    epio_submit(&chain[0].op);
    (void)epio_close(member(2), file);
    epio_submit(&chain[2].op);
    run_chain(&fx, 3);
    check_result(order[2], 2);
    check_result(chain[1].result, 1);
    check_result(chain[2].result, 0);
    op_fixture_teardown(&fx);
}

/* ---- Long chains --------------------------------------------------------- */

/* So many that a search per member would take minutes. */
static epio_op *make_many(int *count)
{
    *count = fixture_is_slow() ? 20000 : 150000;
    epio_op *many = calloc((size_t)*count, sizeof *many);
    check(many != NULL);
    return many;
}

static void link_many(epio_op *many, int count, uint32_t flags)
{
    for (int i = 1; i < count; i++) {
        (void)epio_link(&many[i - 1], &many[i], flags);
    }
}

static epio_op *prepare_long(epio_op *op, uint8_t kind, fixture *f, epio_file *file, int number)
{
    static char byte;
    switch (kind) {
    case EPIO_KIND_READ:
        return epio_read(op, file, &byte, 1, 0);
    case EPIO_KIND_WRITE:
        return epio_write(op, file, "x", 1, 0);
    case EPIO_KIND_TRUNCATE:
        return epio_truncate(op, file, 1);
    case EPIO_KIND_SYNC:
        return epio_sync(op, file, EPIO_SYNC_FULL);
    case EPIO_KIND_SIZE:
        return epio_size(op, file);
    case EPIO_KIND_LOCK:
        return number % 2 == 0 ? epio_lock(op, file, EPIO_LOCK_SHARED, EPIO_LOCK_WAIT)
                               : epio_unlock(op, file, EPIO_LOCK_NONE);
    case EPIO_KIND_SLEEP:
        return epio_sleep(op, f->vfs, 0);
    default:
        return number % 2 == 0 ? epio_write(op, file, "x", 1, 0)
                               : epio_sync(op, file, EPIO_SYNC_FULL);
    }
}

static void long_chains_of_every_kind(fixture *f)
{
    static const uint8_t kinds[] = {EPIO_KIND_READ,  EPIO_KIND_WRITE, EPIO_KIND_TRUNCATE,
                                    EPIO_KIND_SYNC,  EPIO_KIND_SIZE,  EPIO_KIND_LOCK,
                                    EPIO_KIND_SLEEP, EPIO_KIND_NONE};
    int count;
    epio_op *many = make_many(&count);
    epio_file *file = fixture_create(f, "data");
    fixture_write(f, file, "x", 1, 0);
    for (size_t kind = 0; kind < sizeof kinds; kind++) {
        for (int i = 0; i < count; i++) {
            (void)prepare_long(&many[i], kinds[kind], f, file, i);
        }
        link_many(many, count, 0);
        epio_submit(&many[0]);
        (void)epio_loop_run(f->loop);
        for (int i = 0; i < count; i++) {
            check(many[i].result >= 0);
        }
    }
    fixture_close(f, file);
    free(many);
}

static void long_chains_of_closes(fixture *f)
{
    int count;
    epio_op *many = make_many(&count);
    const char *path = fixture_path(f, "data");
    /* A guarded heap has no memory for so many files. */
    count = fixture_is_watched() ? count / 4 : count;
    for (int i = 0; i < count; i++) {
        check_result(epio_wait(epio_open(&many[i], f->vfs, path,
                                         EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)),
                     0);
        (void)epio_close(&many[i], many[i].file);
    }
    link_many(many, count, EPIO_LINK_ALWAYS);
    epio_submit(&many[0]);
    (void)epio_loop_run(f->loop);
    for (int i = 0; i < count; i++) {
        check_result(many[i].result, 0);
    }
    free(many);
}

/* Syncs linked behind an op that waits, and what ends them. */
static void long_chains_that_end_early(fixture *f)
{
    enum { FROM_FIRST, FROM_LAST, BY_DEADLINE, BY_FAILURE, WAYS };
    int count;
    epio_op *many = make_many(&count);
    epio_file *file = fixture_create(f, "data");
    for (int way = 0; way < WAYS; way++) {
        for (int i = 0; i < count; i++) {
            many[i].timeout_ns = way == BY_DEADLINE ? MILLISECOND : 0;
            (void)(i == 0 ? epio_sleep(&many[i], f->vfs, HOUR)
                          : epio_sync(&many[i], file, EPIO_SYNC_FULL));
        }
        link_many(many, count, way == BY_FAILURE ? 0 : EPIO_LINK_ALWAYS);
        epio_submit(&many[0]);
        for (int i = 0; i < count && way == FROM_FIRST; i++) {
            epio_cancel(&many[i]);
        }
        for (int i = count; i > 0 && way == FROM_LAST; i--) {
            epio_cancel(&many[i - 1]);
        }
        if (way == BY_FAILURE) {
            epio_cancel(&many[0]);
        }
        (void)epio_loop_run(f->loop);
        for (int i = 0; i < count; i++) {
            check_result(many[i].result, way == BY_DEADLINE ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
        }
    }
    fixture_close(f, file);
    free(many);
}

static void a_loop_closes_with_a_long_chain(fixture *f)
{
    epio_loop *loop;
    epio_vfs *memory;
    epio_op op = {0};
    int count;
    epio_op *many = make_many(&count);
    (void)f;
    check_result(epio_loop_create(&loop, NULL), 0);
    check_result(epio_memory_vfs_create(&memory, loop), 0);
    check_result(epio_wait(epio_open(&op, memory, "data", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)), 0);
    for (int i = 0; i < count; i++) {
        (void)(i == 0           ? epio_sleep(&many[i], memory, HOUR)
               : i == count - 1 ? epio_close(&many[i], op.file)
               : i % 2 == 0     ? epio_write(&many[i], op.file, "x", 1, 0)
                                : epio_sync(&many[i], op.file, EPIO_SYNC_FULL));
    }
    link_many(many, count, EPIO_LINK_ALWAYS);
    epio_submit(&many[0]);
    check_result(epio_loop_close(loop, EPIO_FOREVER), 0);
    for (int i = 0; i < count; i++) {
        check_result(many[i].result, i == count - 1 ? 0 : EPIO_ECANCELED);
    }
    epio_vfs_destroy(memory);
    epio_loop_destroy(loop);
    free(many);
}

/* ---- Preparing again ----------------------------------------------------- */

static void preparing_the_first_drops_the_link(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    (void)epio_write(member(0), fx.file, NULL, 1, 0);
    (void)epio_size(member(1), fx.file);
    (void)epio_size(member(2), fx.file);
    link_all(3, EPIO_LINK_ALWAYS);
    (void)epio_size(&chain[0].op, fx.file);
    epio_submit(&chain[0].op);
    op_fixture_run_until_done(&fx, &chain[0]);
    op_fixture_run_for(&fx, MILLISECOND);
    check_result(delivered, 1);
    check(!epio_op_pending(&chain[1].op));
    /* The rest is a chain, whose first is the second op. */
    epio_submit(&chain[1].op);
    check(epio_op_pending(&chain[2].op));
    run_chain(&fx, 3);
    /* An op that was in a chain is an op like any other. */
    delivered = 0;
    for (int i = 0; i < 3; i++) {
        chain[i].calls = 0;
        epio_submit(epio_size(&chain[i].op, fx.file));
    }
    run_chain(&fx, 3);
    /* Nor does a flag of the dropped link persist. */
    (void)epio_write(member(0), fx.file, NULL, 1, 0);
    (void)epio_size(member(1), fx.file);
    link_all(2, EPIO_LINK_ALWAYS);
    (void)epio_write(&chain[0].op, fx.file, NULL, 1, 0);
    (void)epio_link(&chain[0].op, &chain[1].op, 0);
    epio_submit(&chain[0].op);
    run_chain(&fx, 2);
    check_result(chain[1].result, EPIO_ECANCELED);
    op_fixture_teardown(&fx);
}

/* Its `done` links a new chain from the delivered ops. */
static void make_next_round(tracked *one)
{
    op_fixture *fx = one->user;
    note(one);
    if (chain[0].calls < 50) {
        (void)epio_read(&chain[0].op, fx->file, fx->buffer, 10, 0);
        (void)epio_write(&chain[1].op, fx->file, fx->buffer, 10, 0);
        epio_submit(epio_link(&chain[0].op, &chain[1].op, 0));
    }
}

static void a_chain_from_its_own_done(fixture *f)
{
    op_fixture fx;
    op_fixture_setup(&fx, f);
    (void)epio_read(member(0), fx.file, fx.buffer, 10, 0);
    (void)epio_write(member(1), fx.file, fx.buffer, 10, 0);
    chain[1].then = make_next_round;
    chain[1].user = &fx;
    link_all(2, 0);
    epio_submit(&chain[0].op);
    op_fixture_drain(&fx);
    check_result(chain[0].calls, 50);
    check_result(chain[1].calls, 50);
    check_result(chain[1].result, 10);
    op_fixture_teardown(&fx);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(chains_of_all_lengths, ON_OS_PERFORM),
        FIXTURE_TEST(one_at_a_time, ON_OS_PERFORM),
        FIXTURE_TEST(from_another_thread, ON_OS_PERFORM),
        FIXTURE_TEST(a_wait_for_any_member, ON_OS_PERFORM),
        FIXTURE_TEST(across_files_and_vfses, ON_OS_PERFORM),
        FIXTURE_TEST(a_failure_ends_what_follows, ON_OS_PERFORM),
        FIXTURE_TEST(always_follows_a_failure, ON_OS_PERFORM),
        FIXTURE_TEST(always_in_the_middle, ON_OS_PERFORM),
        FIXTURE_TEST(a_failure_is_kept_down_the_chain, ON_OS_PERFORM),
        FIXTURE_TEST(whatever_fails_breaks_a_chain, ON_OS_PERFORM),
        FIXTURE_TEST(a_failed_save_replaces_nothing, ON_ANY_LOOP),
        FIXTURE_TEST(an_error_of_the_system_breaks_the_chain, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancel_of_each_member, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancelled_member_is_a_failure, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancel_of_all_members, ON_OS_PERFORM),
        FIXTURE_TEST(a_deadline_counts_from_the_first, ON_OS_PERFORM),
        FIXTURE_TEST(a_deadline_of_a_member_that_runs, ON_OS_PERFORM),
        FIXTURE_TEST(a_deadline_of_the_first_breaks_the_chain, ON_OS_PERFORM),
        FIXTURE_TEST(write_sync_close, ON_OS_PERFORM),
        FIXTURE_TEST(a_close_after_a_failure, ON_OS_PERFORM),
        FIXTURE_TEST(a_sync_covers_by_the_order_of_the_chain, ON_OS_PERFORM),
        FIXTURE_TEST(a_write_after_its_sync, ON_OS_PERFORM),
        FIXTURE_TEST(an_ended_write_is_no_failure, ON_OS_PERFORM),
        FIXTURE_TEST(a_close_waits_for_a_chain, ON_OS_PERFORM),
        FIXTURE_TEST(long_chains_of_every_kind, ON_MEMORY),
        FIXTURE_TEST(long_chains_of_closes, ON_MEMORY | ON_TRACE_MEMORY),
        FIXTURE_TEST(long_chains_that_end_early, ON_MEMORY),
        FIXTURE_TEST(a_loop_closes_with_a_long_chain, ON_OS_PERFORM),
        FIXTURE_TEST(preparing_the_first_drops_the_link, ON_OS_PERFORM),
        FIXTURE_TEST(a_chain_from_its_own_done, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("link", tests);
}
