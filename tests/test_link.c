/* Links: chains of any length, what follows a failure, and what a chain means
 * for deadlines, syncs and closes. */
#include "life.h"

#include "fault_vfs.h"

#define LONGEST 1000

static tracked chain[LONGEST];

/* The order of deliveries, as numbers of the chain. */
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

static void run_chain(life *l, int count)
{
    for (int i = 0; i < count; i++) {
        life_run_until_done(l, &chain[i]);
    }
    life_run_for(l, MICROSECOND);
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
    life l;
    life_begin(&l, f);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int count = lengths[i];
        unsigned char last = (unsigned char)i;
        for (int j = 0; j < count; j++) {
            bytes[j] = (unsigned char)(last + j);
            (void)epio_write(member(j), l.file, &bytes[j], 1, 0); /* all in one place */
        }
        link_all(count, 0);
        epio_submit(&chain[0].op);
        for (int j = 0; j < count; j++) {
            check(epio_op_pending(&chain[j].op));
            check_result(chain[j].op.result, EPIO_EPENDING);
        }
        check_result(epio_loop_pending(l.loop), count);
        run_chain(&l, count);
        for (int j = 0; j < count; j++) {
            check_result(order[j], j);
            check_result(chain[j].result, 1);
        }
        epio_op op = {0};
        check_result(epio_wait(epio_read(&op, l.file, &last, 1, 0)), 1);
        check_result(last, bytes[count - 1]);
    }
    life_end(&l);
}

/* Each member begins only when the one before it was delivered. */
static void one_at_a_time(fixture *f)
{
    life l;
    life_begin(&l, f);
    uint64_t begun = now_ns();
    for (int i = 0; i < 5; i++) {
        (void)epio_sleep(member(i), l.os, 10 * MILLISECOND);
    }
    link_all(5, 0);
    epio_submit(&chain[0].op);
    run_chain(&l, 5);
    check(now_ns() - begun >= 50 * MILLISECOND);
    life_end(&l);
}

static void from_another_thread(fixture *f)
{
    life l;
    life_begin(&l, f);
    for (int i = 0; i < 20; i++) {
        (void)epio_read(member(i), l.file, l.buffer, 10, 0);
    }
    link_all(20, 0);
    submit_elsewhere(&chain[0].op);
    for (int i = 0; i < 20; i++) {
        check(epio_op_pending(&chain[i].op));
    }
    check_result(epio_loop_pending(l.loop), 20);
    run_chain(&l, 20);
    check_result(chain[19].result, 10);
    life_end(&l);
}

static void a_wait_for_any_member(fixture *f)
{
    life l;
    life_begin(&l, f);
    for (int waited = 0; waited < 3; waited++) {
        epio_op ops[3] = {{0}};
        for (int i = 0; i < 3; i++) {
            (void)epio_sleep(&ops[i], l.os, MILLISECOND);
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
    life_end(&l);
}

static void across_files_and_vfses(fixture *f)
{
    life l;
    epio_vfs *memory;
    char into[4];
    life_begin(&l, f);
    check_result(epio_memory_vfs_create(&memory, l.loop), 0);
    epio_file *file = life_open(&l, memory, "in memory");
    (void)epio_write(member(0), l.file, "one", 3, 0);
    (void)epio_write(member(1), file, "two", 3, 0);
    (void)epio_write(member(2), l.other[0], "three", 5, 0);
    (void)epio_sync(member(3), l.file, EPIO_SYNC_FULL);
    (void)epio_sync(member(4), file, EPIO_SYNC_FULL);
    (void)epio_read(member(5), file, into, 3, 0);
    (void)epio_close(member(6), file);
    (void)epio_size(member(7), l.other[0]);
    link_all(8, 0);
    epio_submit(&chain[0].op);
    run_chain(&l, 8);
    check_result(chain[5].result, 3);
    check(memcmp(into, "two", 3) == 0);
    check_result(chain[6].result, 0);
    check_result(chain[7].result, 5);
    epio_vfs_destroy(memory);
    life_end(&l);
}

/* ---- Failing ------------------------------------------------------------- */

static void a_failure_ends_what_follows(fixture *f)
{
    life l;
    life_begin(&l, f);
    for (int bad = 0; bad < 6; bad++) {
        for (int i = 0; i < 6; i++) {
            (void)epio_write(member(i), l.file, i == bad ? NULL : "x", 1, (uint64_t)i);
        }
        link_all(6, 0);
        epio_submit(&chain[0].op);
        run_chain(&l, 6);
        for (int i = 0; i < 6; i++) {
            check_result(chain[i].result, i < bad ? 1 : i == bad ? EPIO_EINVAL : EPIO_ECANCELED);
        }
    }
    life_end(&l);
}

static void always_follows_a_failure(fixture *f)
{
    life l;
    life_begin(&l, f);
    for (int bad = 0; bad < 6; bad++) {
        for (int i = 0; i < 6; i++) {
            (void)epio_write(member(i), l.file, i == bad ? NULL : "x", 1, (uint64_t)i);
        }
        link_all(6, EPIO_LINK_ALWAYS);
        epio_submit(&chain[0].op);
        run_chain(&l, 6);
        for (int i = 0; i < 6; i++) {
            check_result(order[i], i);
            check_result(chain[i].result, i == bad ? EPIO_EINVAL : 1);
        }
    }
    life_end(&l);
}

/* A link that is ALWAYS goes on even behind those that a failure ended; what follows by
 * one that is not ends all the same. */
static void always_in_the_middle(fixture *f)
{
    life l;
    life_begin(&l, f);
    for (int i = 0; i < 5; i++) {
        (void)epio_write(member(i), l.file, i == 1 ? NULL : "x", 1, (uint64_t)i);
    }
    link_all(3, 0);
    (void)epio_link(&chain[2].op, &chain[3].op, EPIO_LINK_ALWAYS);
    (void)epio_link(&chain[3].op, &chain[4].op, 0);
    epio_submit(&chain[0].op);
    run_chain(&l, 5);
    static const int64_t expected[] = {1, EPIO_EINVAL, EPIO_ECANCELED, 1, EPIO_ECANCELED};
    for (int i = 0; i < 5; i++) {
        check_result(chain[i].result, expected[i]);
    }
    life_end(&l);
}

/* Every chain of five: which of them fail if they begin, and which links are ALWAYS. */
static void a_failure_is_remembered_down_the_chain(fixture *f)
{
    enum { COUNT = 5 };
    life l;
    life_begin(&l, f);
    for (unsigned bad = 0; bad < 1u << COUNT; bad++) {
        for (unsigned always = 0; always < 1u << (COUNT - 1); always++) {
            for (unsigned i = 0; i < COUNT; i++) {
                bool fails = (bad >> i & 1u) != 0;
                (void)epio_randomness(member((int)i), l.os, fails ? NULL : l.buffer, 1);
            }
            for (unsigned i = 1; i < COUNT; i++) {
                (void)epio_link(&chain[i - 1].op, &chain[i].op,
                                (always >> (i - 1) & 1u) != 0 ? EPIO_LINK_ALWAYS : 0);
            }
            delivered = 0;
            epio_submit(&chain[0].op);
            run_chain(&l, COUNT);
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
    life_end(&l);
}

/* A chain of this op, an ALWAYS and one more: does the last begin? */
static void check_breaks(life *l, int64_t result, bool breaks)
{
    (void)epio_size(member(1), l->file);
    (void)epio_size(member(2), l->file);
    (void)epio_link(&chain[0].op, &chain[1].op, EPIO_LINK_ALWAYS);
    (void)epio_link(&chain[1].op, &chain[2].op, 0);
    delivered = 0;
    epio_submit(&chain[0].op);
    if (result == EPIO_ECANCELED) {
        epio_cancel(&chain[0].op);
    }
    run_chain(l, 3);
    check_result(chain[0].result, result);
    check(chain[1].result > 0);
    check(breaks ? chain[2].result == EPIO_ECANCELED : chain[2].result > 0);
}

static void whatever_fails_breaks_a_chain(fixture *f)
{
    life l;
    epio_op op = {0};
    char byte;
    life_begin(&l, f);
    (void)epio_write(member(0), l.file, NULL, 1, 0);
    check_breaks(&l, EPIO_EINVAL, true);
    (void)epio_delete(member(0), l.os, life_path(&l, "no such file"), 0);
    check_breaks(&l, EPIO_ENOENT, true);
    (void)epio_sleep(member(0), l.os, HOUR);
    check_breaks(&l, EPIO_ECANCELED, true);
    (void)epio_sleep(member(0), l.os, HOUR);
    chain[0].op.timeout_ns = MILLISECOND;
    check_breaks(&l, EPIO_ETIMEDOUT, true);
    epio_file *one = life_open(&l, l.os, "locked");
    epio_file *two = life_open(&l, l.os, "locked");
    check_result(epio_wait(epio_lock(&op, one, EPIO_LOCK_SHARED, 0)), 0);
    check_result(epio_wait(epio_lock(&op, one, EPIO_LOCK_EXCLUSIVE, 0)), 0);
    (void)epio_lock(member(0), two, EPIO_LOCK_SHARED, 0);
    check_breaks(&l, EPIO_EBUSY, true);

    /* What is no error is none, be it nothing or no. */
    (void)epio_read(member(0), one, &byte, 1, 1000);
    check_breaks(&l, 0, false);
    (void)epio_access(member(0), l.os, life_path(&l, "no such file"), EPIO_ACCESS_EXISTS);
    check_breaks(&l, 0, false);
    check_result(epio_wait(epio_unlock(&op, one, EPIO_LOCK_NONE)), 0);
    (void)epio_check_reserved_lock(member(0), two);
    check_breaks(&l, 0, false);
    life_close(one);
    life_close(two);
    life_end(&l);
}

/* How files are written safely: the new one takes the place of the old one only if it
 * was written, is on the medium, and was closed without an error. */
static void a_save_replaces_nothing_unless_all_went_well(fixture *f)
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

/* What an ordinary failure is: of the system, not of the arguments. */
static void an_error_of_the_system_breaks_the_chain(fixture *f)
{
    life l;
    life_begin(&l, f);
    (void)epio_delete(member(0), l.os, life_path(&l, "no such file"), 0);
    (void)epio_delete(member(1), l.os, life_path(&l, "file"), 0);
    link_all(2, 0);
    epio_submit(&chain[0].op);
    run_chain(&l, 2);
    check_result(chain[0].result, EPIO_ENOENT);
    check(chain[0].op.os_error != 0);
    check_result(chain[1].result, EPIO_ECANCELED);
    check_result(chain[1].op.os_error, 0);
    check_result(fixture_exists(f, "file"), 1);
    life_end(&l);
}

/* ---- Cancels and deadlines ----------------------------------------------- */

/* The first stays at the gate until that is opened. */
static void prepare_behind_gate(life *l, int count)
{
    gate_shut(l);
    (void)epio_size(member(0), l->file);
    for (int i = 1; i < count; i++) {
        (void)epio_sleep(member(i), l->os, MICROSECOND);
    }
}

static void a_cancel_of_each_member(fixture *f)
{
    life l;
    life_begin(&l, f);
    for (int by = 0; by < WHO_COUNT; by++) {
        for (int victim = 0; victim < 5; victim++) {
            prepare_behind_gate(&l, 5);
            if (victim == 0) {
                (void)epio_sleep(&chain[0].op, l.os, HOUR);
            }
            link_all(5, 0);
            epio_submit(&chain[0].op);
            life_cancel(&l, (who)by, &chain[victim].op);
            /* Promptly, and not only when its turn has come. */
            life_run_until_done(&l, &chain[victim]);
            check_result(chain[0].calls, victim == 0 ? 1 : 0);
            gate_open(&l);
            run_chain(&l, 5);
            for (int i = 0; i < 5; i++) {
                check_result(chain[i].result < 0 ? chain[i].result : 0,
                             i < victim ? 0 : EPIO_ECANCELED);
            }
        }
    }
    life_end(&l);
}

/* What is linked behind a member that was cancelled goes on from there, and knows that it
 * failed. */
static void a_cancelled_member_is_a_failure(fixture *f)
{
    enum { BY_DEADLINE = WHO_COUNT };
    life l;
    life_begin(&l, f);
    for (int by = 0; by <= BY_DEADLINE; by++) {
        for (int last_always = 0; last_always < 2; last_always++) {
            prepare_behind_gate(&l, 4);
            chain[1].op.timeout_ns = by == BY_DEADLINE ? MILLISECOND : 0;
            (void)epio_link(&chain[0].op, &chain[1].op, 0);
            (void)epio_link(&chain[1].op, &chain[2].op, EPIO_LINK_ALWAYS);
            (void)epio_link(&chain[2].op, &chain[3].op, last_always != 0 ? EPIO_LINK_ALWAYS : 0);
            delivered = 0;
            epio_submit(&chain[0].op);
            if (by != BY_DEADLINE) {
                life_cancel(&l, (who)by, &chain[1].op);
            }
            life_run_until_done(&l, &chain[3]);
            check_result(chain[0].calls, 0);
            check_result(chain[1].result, by == BY_DEADLINE ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
            check_result(chain[2].result, MICROSECOND);
            check_result(chain[3].result, last_always != 0 ? (int64_t)MICROSECOND : EPIO_ECANCELED);
            gate_open(&l);
            run_chain(&l, 4);
        }
    }
    life_end(&l);
}

/* Every member but the first was cancelled in any order. */
static void a_cancel_of_all_members(fixture *f)
{
    life l;
    random_source random = {.state = 3};
    life_begin(&l, f);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 12; i++) {
            (void)epio_sleep(member(i), l.os, HOUR);
        }
        link_all(12, round % 2 == 0 ? 0 : EPIO_LINK_ALWAYS);
        epio_submit(&chain[0].op);
        for (int i = 0; i < 60; i++) {
            epio_cancel(&chain[random_between(&random, 0, 12)].op);
            if (random_between(&random, 0, 4) == 0) {
                (void)epio_loop_poll(l.loop, 0, 1);
            }
        }
        for (int i = 0; i < 12; i++) {
            epio_cancel(&chain[i].op);
        }
        run_chain(&l, 12);
        for (int i = 0; i < 12; i++) {
            check_result(chain[i].result, EPIO_ECANCELED);
        }
    }
    life_end(&l);
}

static void a_deadline_counts_from_the_first(fixture *f)
{
    life l;
    life_begin(&l, f);
    for (int timed = 1; timed < 4; timed++) {
        prepare_behind_gate(&l, 4);
        chain[timed].op.timeout_ns = 20 * MILLISECOND;
        link_all(4, 0);
        uint64_t begun = now_ns();
        epio_submit(&chain[0].op);
        life_run_until_done(&l, &chain[timed]);
        check(now_ns() - begun >= 20 * MILLISECOND);
        check_result(chain[0].calls, 0);
        gate_open(&l);
        run_chain(&l, 4);
        for (int i = 0; i < 4; i++) {
            check_result(chain[i].result < 0 ? chain[i].result : 0, i < timed    ? 0
                                                                    : i == timed ? EPIO_ETIMEDOUT
                                                                                 : EPIO_ECANCELED);
            check_result(chain[i].op.timeout_ns, 0);
        }
    }
    life_end(&l);
}

/* The deadline goes on while the member itself runs. */
static void a_deadline_of_a_member_that_runs(fixture *f)
{
    life l;
    life_begin(&l, f);
    (void)epio_sleep(member(0), l.os, 10 * MILLISECOND);
    (void)epio_sleep(member(1), l.os, HOUR);
    (void)epio_current_time(member(2), l.os);
    chain[1].op.timeout_ns = 30 * MILLISECOND;
    link_all(2, 0);
    (void)epio_link(&chain[1].op, &chain[2].op, EPIO_LINK_ALWAYS);
    uint64_t begun = now_ns();
    epio_submit(&chain[0].op);
    run_chain(&l, 3);
    check(now_ns() - begun >= 30 * MILLISECOND);
    check(now_ns() - begun < 20 * SECOND);
    check_result(chain[0].result, 10 * MILLISECOND);
    check_result(chain[1].result, EPIO_ETIMEDOUT);
    check(chain[2].result > 0);
    life_end(&l);
}

static void a_deadline_of_the_first_breaks_the_chain(fixture *f)
{
    life l;
    life_begin(&l, f);
    (void)epio_sleep(member(0), l.os, HOUR);
    (void)epio_sleep(member(1), l.os, 0);
    chain[0].op.timeout_ns = 5 * MILLISECOND;
    link_all(2, 0);
    epio_submit(&chain[0].op);
    run_chain(&l, 2);
    check_result(chain[0].result, EPIO_ETIMEDOUT);
    check_result(chain[1].result, EPIO_ECANCELED);
    life_end(&l);
}

/* ---- Syncs and closes ---------------------------------------------------- */

static void write_sync_close(fixture *f)
{
    life l;
    life_begin(&l, f);
    for (int bad = 0; bad < 2; bad++) {
        epio_file *file = life_open(&l, l.os, "closed");
        (void)epio_write(member(0), file, bad != 0 ? NULL : "x", 1, 0);
        (void)epio_sync(member(1), file, EPIO_SYNC_FULL);
        (void)epio_close(member(2), file);
        link_all(3, EPIO_LINK_ALWAYS);
        epio_submit(&chain[0].op);
        run_chain(&l, 3);
        check_result(chain[0].result, bad != 0 ? EPIO_EINVAL : 1);
        check_result(chain[1].result, bad != 0 ? EPIO_EINVAL : 0); /* it tells of the write */
        check_result(chain[2].result, 0);
    }
    life_end(&l);
}

/* Without ALWAYS the close was never begun, and the file is still there. */
static void a_close_behind_a_failure(fixture *f)
{
    life l;
    char byte;
    epio_op op = {0};
    life_begin(&l, f);
    epio_file *file = life_open(&l, l.os, "closed");
    (void)epio_write(member(0), file, NULL, 1, 0);
    (void)epio_close(member(1), file);
    link_all(2, 0);
    epio_submit(&chain[0].op);
    run_chain(&l, 2);
    check_result(chain[1].result, EPIO_ECANCELED);
    check_result(epio_wait(epio_read(&op, file, &byte, 1, 0)), 0);
    life_close(file);
    life_end(&l);
}

/* The sync is the chain's second, but covers the third's write no less than
 * that of the fourth covers it: by their order. */
static void a_sync_covers_by_the_order_of_the_chain(fixture *f)
{
    life l;
    life_begin(&l, f);
    gate_shut(&l);
    (void)epio_sleep(member(0), l.os, 10 * MILLISECOND);
    (void)epio_write(member(1), l.file, "x", 1, 0);
    link_all(2, 0);
    epio_submit(&chain[0].op);
    /* Submitted after the chain: its write counts as before this sync. */
    (void)epio_sync(member(2), l.file, EPIO_SYNC_FULL);
    epio_submit(&chain[2].op);
    life_run_until_waiting(&l, 1);
    check_result(chain[0].calls, 1);
    life_run_for(&l, 5 * MILLISECOND);
    check_result(chain[2].calls, 0);
    check_result(gate_waiting(&l), 1); /* the write alone */
    gate_open(&l);
    delivered = 1;
    run_chain(&l, 3);
    check_result(order[1], 1);
    check_result(order[2], 2);
    life_end(&l);
}

/* The write behind a sync in a chain waits for it, and the sync not for the
 * write. */
static void a_write_behind_its_sync(fixture *f)
{
    life l;
    life_begin(&l, f);
    (void)epio_write(member(0), l.file, "x", 1, 0);
    (void)epio_sync(member(1), l.file, EPIO_SYNC_DATA_ONLY);
    (void)epio_write(member(2), l.file, "y", 1, 0);
    (void)epio_sync(member(3), l.file, EPIO_SYNC_DATA_ONLY);
    link_all(4, 0);
    epio_submit(&chain[0].op);
    /* And one that covers them all. */
    (void)epio_sync(member(4), l.file, EPIO_SYNC_DATA_ONLY);
    epio_submit(&chain[4].op);
    run_chain(&l, 5);
    int place[5] = {0};
    for (int i = 0; i < 5; i++) {
        check(chain[i].result >= 0);
        place[order[i]] = i;
    }
    check(place[0] < place[1] && place[1] < place[2] && place[2] < place[3]);
    check(place[2] < place[4]);
    life_end(&l);
}

/* A failed write early in the chain is told by the sync of another submitter,
 * and those that the failure ended are no failures of their own. */
static void an_ended_write_is_no_failure(fixture *f)
{
    life l;
    life_begin(&l, f);
    (void)epio_sleep(member(0), l.os, HOUR);
    (void)epio_write(member(1), l.file, "x", 1, 0);
    (void)epio_truncate(member(2), l.file, 10);
    link_all(3, 0);
    epio_submit(&chain[0].op);
    (void)epio_sync(member(3), l.file, EPIO_SYNC_FULL);
    epio_submit(&chain[3].op);
    life_run_for(&l, 5 * MILLISECOND);
    check_result(chain[3].calls, 0);
    epio_cancel(&chain[0].op);
    run_chain(&l, 4);
    check_result(chain[1].result, EPIO_ECANCELED);
    check_result(chain[2].result, EPIO_ECANCELED);
    check_result(chain[3].result, 0);
    life_end(&l);
}

/* A close waits for what comes later in a chain submitted before it. */
static void a_close_waits_for_a_chain(fixture *f)
{
    life l;
    life_begin(&l, f);
    epio_file *file = life_open(&l, l.os, "closed");
    (void)epio_sleep(member(0), l.os, 10 * MILLISECOND);
    (void)epio_write(member(1), file, "x", 1, 0);
    link_all(2, 0);
    epio_submit(&chain[0].op);
    (void)epio_close(member(2), file);
    epio_submit(&chain[2].op);
    run_chain(&l, 3);
    check_result(order[2], 2);
    check_result(chain[1].result, 1);
    check_result(chain[2].result, 0);
    life_end(&l);
}

/* ---- Long chains --------------------------------------------------------- */

/* So many that what takes a look at all others for each would take minutes. */
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
    /* A heap that guards each allocation has no room for so many files. */
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

/* Syncs behind an op that waits, and what ends them. */
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

/* ---- Preparing anew ------------------------------------------------------ */

static void preparing_the_first_drops_the_link(fixture *f)
{
    life l;
    life_begin(&l, f);
    (void)epio_write(member(0), l.file, NULL, 1, 0);
    (void)epio_size(member(1), l.file);
    (void)epio_size(member(2), l.file);
    link_all(3, EPIO_LINK_ALWAYS);
    (void)epio_size(&chain[0].op, l.file);
    epio_submit(&chain[0].op);
    life_run_until_done(&l, &chain[0]);
    life_run_for(&l, MILLISECOND);
    check_result(delivered, 1);
    check(!epio_op_pending(&chain[1].op));
    /* The rest is a chain of its own, and the second is its first. */
    epio_submit(&chain[1].op);
    check(epio_op_pending(&chain[2].op));
    run_chain(&l, 3);
    /* An op that was in a chain is an op like any other. */
    delivered = 0;
    for (int i = 0; i < 3; i++) {
        chain[i].calls = 0;
        epio_submit(epio_size(&chain[i].op, l.file));
    }
    run_chain(&l, 3);
    /* Nor does a flag of the dropped link stay. */
    (void)epio_write(member(0), l.file, NULL, 1, 0);
    (void)epio_size(member(1), l.file);
    link_all(2, EPIO_LINK_ALWAYS);
    (void)epio_write(&chain[0].op, l.file, NULL, 1, 0);
    (void)epio_link(&chain[0].op, &chain[1].op, 0);
    epio_submit(&chain[0].op);
    run_chain(&l, 2);
    check_result(chain[1].result, EPIO_ECANCELED);
    life_end(&l);
}

/* Its `done` makes a chain of the next round from ops that are free again. */
static void make_next_round(tracked *one)
{
    life *l = one->user;
    note(one);
    if (chain[0].calls < 50) {
        (void)epio_read(&chain[0].op, l->file, l->buffer, 10, 0);
        (void)epio_write(&chain[1].op, l->file, l->buffer, 10, 0);
        epio_submit(epio_link(&chain[0].op, &chain[1].op, 0));
    }
}

static void a_chain_from_its_own_done(fixture *f)
{
    life l;
    life_begin(&l, f);
    (void)epio_read(member(0), l.file, l.buffer, 10, 0);
    (void)epio_write(member(1), l.file, l.buffer, 10, 0);
    chain[1].then = make_next_round;
    chain[1].user = &l;
    link_all(2, 0);
    epio_submit(&chain[0].op);
    life_run_out(&l);
    check_result(chain[0].calls, 50);
    check_result(chain[1].calls, 50);
    check_result(chain[1].result, 10);
    life_end(&l);
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
        FIXTURE_TEST(a_failure_is_remembered_down_the_chain, ON_OS_PERFORM),
        FIXTURE_TEST(whatever_fails_breaks_a_chain, ON_OS_PERFORM),
        FIXTURE_TEST(a_save_replaces_nothing_unless_all_went_well, ON_ANY_LOOP),
        FIXTURE_TEST(an_error_of_the_system_breaks_the_chain, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancel_of_each_member, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancelled_member_is_a_failure, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancel_of_all_members, ON_OS_PERFORM),
        FIXTURE_TEST(a_deadline_counts_from_the_first, ON_OS_PERFORM),
        FIXTURE_TEST(a_deadline_of_a_member_that_runs, ON_OS_PERFORM),
        FIXTURE_TEST(a_deadline_of_the_first_breaks_the_chain, ON_OS_PERFORM),
        FIXTURE_TEST(write_sync_close, ON_OS_PERFORM),
        FIXTURE_TEST(a_close_behind_a_failure, ON_OS_PERFORM),
        FIXTURE_TEST(a_sync_covers_by_the_order_of_the_chain, ON_OS_PERFORM),
        FIXTURE_TEST(a_write_behind_its_sync, ON_OS_PERFORM),
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
