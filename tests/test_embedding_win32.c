/* A loop embedded in the message loop of a Windows program: its handle in
 * MsgWaitForMultipleObjectsEx, and a posted message for each on_ready call. The rest is in
 * test_embedding.c. */
#include "support.h"

#include "win32/win32.h"

#define PATIENCE_MS 20000
#define READS 200
#define MESSAGE_OF_OURS (WM_APP + 1)
#define MESSAGE_OF_READY (WM_APP + 2)

typedef struct host {
    fixture *f;
    epio_file *file;
    DWORD thread;
    int reads;    /* delivered */
    int messages; /* of its own, received */
    int ready_messages;
    char found[16];
} host;

static void read_on(epio_op *op)
{
    host *one = op->user;
    check_result(op->result, sizeof one->found);
    one->reads++;
    if (one->reads < READS) {
        epio_submit(epio_read(op, one->file, one->found, sizeof one->found, 0));
        if (one->reads % 10 == 0) {
            check(PostThreadMessageW(one->thread, MESSAGE_OF_OURS, 0, 0) != FALSE);
        }
    }
}

static void begin(host *one, fixture *f, epio_op *op)
{
    *one = (host){.f = f, .thread = GetCurrentThreadId()};
    one->file = fixture_create(f, "file");
    fixture_write(f, one->file, one->found, sizeof one->found, 0);
    op->done = read_on;
    op->user = one;
    epio_submit(epio_read(op, one->file, one->found, sizeof one->found, 0));
}

static void dispatch_messages(host *one)
{
    MSG message;
    while (PeekMessageW(&message, NULL, 0, 0, PM_REMOVE)) {
        one->messages += message.message == MESSAGE_OF_OURS ? 1 : 0;
        if (message.message == MESSAGE_OF_READY) {
            one->ready_messages++;
            (void)epio_loop_poll(one->f->loop, 0, 0);
        }
    }
}

static void the_handle_waits_beside_messages(fixture *f)
{
    epio_op op = {0};
    host one;
    HANDLE handle = (HANDLE)epio_loop_handle(f->loop);
    begin(&one, f, &op);
    while (one.reads < READS || one.messages < READS / 10 - 1) {
        DWORD which =
            MsgWaitForMultipleObjectsEx(1, &handle, PATIENCE_MS, QS_ALLINPUT, MWMO_INPUTAVAILABLE);
        check(which == WAIT_OBJECT_0 || which == WAIT_OBJECT_0 + 1);
        if (which == WAIT_OBJECT_0) {
            (void)epio_loop_poll(f->loop, 0, 0);
        }
        dispatch_messages(&one);
    }
    check_result(one.messages, READS / 10 - 1);
    fixture_close(f, one.file);
}

static void post_ready(void *user)
{
    const host *one = user;
    check(PostThreadMessageW(one->thread, MESSAGE_OF_READY, 0, 0) != FALSE);
}

static void a_message_signals_readiness(fixture *f)
{
    epio_op op = {0};
    host one;
    begin(&one, f, &op);
    check_result(epio_loop_on_ready(f->loop, post_ready, &one), 0);
    while (one.reads < READS) {
        DWORD which =
            MsgWaitForMultipleObjectsEx(0, NULL, PATIENCE_MS, QS_ALLINPUT, MWMO_INPUTAVAILABLE);
        check(which == WAIT_OBJECT_0);
        dispatch_messages(&one);
    }
    check_result(epio_loop_on_ready(f->loop, NULL, NULL), 0);
    dispatch_messages(&one);
    check(one.ready_messages > 0 && one.ready_messages <= 2 * READS + 2);
    check_result(one.messages, READS / 10 - 1);
    fixture_close(f, one.file);
}

static int64_t own_priority(epio_op *op)
{
    (void)op;
    return GetThreadPriority(GetCurrentThread()) + 100;
}

static void workers_give_way(fixture *f)
{
    static const struct {
        uint32_t nice;
        int priority;
    } steps[] = {{1, THREAD_PRIORITY_BELOW_NORMAL},
                 {9, THREAD_PRIORITY_BELOW_NORMAL},
                 {10, THREAD_PRIORITY_LOWEST},
                 {19, THREAD_PRIORITY_LOWEST}};
    epio_op op = {0};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        epio_loop_options options = {.size = sizeof options, .worker_nice = steps[i].nice};
        epio_loop *loop;
        check_result(epio_loop_create(&loop, &options), 0);
        check_result(epio_wait(epio_work(&op, epio_loop_vfs(loop), own_priority)),
                     steps[i].priority + 100);
        epio_loop_destroy(loop);
    }
    check_op(f, epio_work(&op, f->vfs, own_priority), THREAD_PRIORITY_NORMAL + 100);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(workers_give_way, ON_OS),
        FIXTURE_TEST(the_handle_waits_beside_messages, ON_OS | ON_LIMIT_OS),
        FIXTURE_TEST(a_message_signals_readiness, ON_OS | ON_LIMIT_OS),
    };
    /* The first call makes the thread's message queue, which keeps a handle. */
    (void)MsgWaitForMultipleObjectsEx(0, NULL, 0, QS_ALLINPUT, 0);
    return FIXTURE_RUN("in a message loop", tests);
}
