/* A loop in the message loop of a Windows program, by its handle and by messages, as
 * docs/embedding.md has it. The cases are in support/host_cases.c. */
#include "host.h"

#include "win32/win32.h"

#define MESSAGE_OF_CALL (WM_APP + 1)
#define MESSAGE_OF_READY (WM_APP + 2)

static epio_loop *attached;
static HANDLE handle;
static DWORD thread;

static void start(void)
{
    MSG message;

    thread = GetCurrentThreadId();
    /* Makes the queue. */
    (void)PeekMessageW(&message, NULL, 0, 0, PM_NOREMOVE);
}

static void stop(void)
{
}

static void attach_handle(epio_loop *loop)
{
    intptr_t found = epio_loop_handle(loop);

    host_require(found >= 0, "epio_loop_handle");
    handle = (HANDLE)found;
    attached = loop;
}

static void detach_handle(void)
{
    handle = NULL;
    attached = NULL;
}

static void post_ready(void *user)
{
    (void)user;
    (void)PostThreadMessageW(thread, MESSAGE_OF_READY, 0, 0);
}

static void attach_messages(epio_loop *loop)
{
    attached = loop;
    host_require(epio_loop_on_ready(loop, post_ready, NULL) == 0, "epio_loop_on_ready");
}

/* A message that is still in the queue finds no loop. */
static void detach_messages(void)
{
    host_require(epio_loop_on_ready(attached, NULL, NULL) == 0, "epio_loop_on_ready");
    attached = NULL;
}

static void poll_attached(void)
{
    if (attached != NULL) {
        (void)host_poll(attached, EPIO_NOW, 0);
    }
}

/* Messages first, then what epio has. */
static void iterate(int milliseconds)
{
    DWORD count = handle != NULL ? 1 : 0;
    DWORD which = MsgWaitForMultipleObjectsEx(count, &handle, (DWORD)milliseconds, QS_ALLINPUT,
                                              MWMO_INPUTAVAILABLE);
    bool ready = false;
    MSG message;

    host_require(which != WAIT_FAILED, "MsgWaitForMultipleObjectsEx");
    ready = count == 1 && which == WAIT_OBJECT_0;
    while (PeekMessageW(&message, NULL, 0, 0, PM_REMOVE)) {
        if (message.message == MESSAGE_OF_READY) {
            ready = true;
        } else if (message.message == MESSAGE_OF_CALL) {
            ((void (*)(void *user))(uintptr_t)message.wParam)((void *)message.lParam);
        }
    }
    if (ready) {
        poll_attached();
    }
}

static void post(void (*function)(void *user), void *user)
{
    host_require(PostThreadMessageW(thread, MESSAGE_OF_CALL, (WPARAM)(uintptr_t)function,
                                    (LPARAM)user) != FALSE,
                 "PostThreadMessageW");
}

int main(void)
{
    static const host by_handle = {
        .name = "Windows messages",
        .start = start,
        .stop = stop,
        .attach = attach_handle,
        .detach = detach_handle,
        .iterate = iterate,
        .post = post,
        .post_drawing = post,
        .nests = true,
    };
    static const host by_message = {
        .name = "Windows messages, by on_ready",
        .start = start,
        .stop = stop,
        .attach = attach_messages,
        .detach = detach_messages,
        .iterate = iterate,
        .post = post,
        .post_drawing = post,
        .nests = true,
    };
    int failed;

    /* Makes the thread's message queue, which keeps a handle. */
    (void)MsgWaitForMultipleObjectsEx(0, NULL, 0, QS_ALLINPUT, 0);
    failed = host_run(&by_handle);
    return host_run(&by_message) != 0 ? 1 : failed;
}
