/* A file is loaded, and saved, in the message loop of a Windows program, whose timer goes on
 * meanwhile.
 *
 *     win32_load [--create MIB] FILE [COPY]
 *
 * Prints the longest gap between two ticks of the timer. The program waits for messages and for the
 * loop's handle at the same time; win32_window has a window, and the other form, by messages, which
 * works in any message loop, including those of the system. */
#include "load.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* The input and the timers that wait go before the poll. False: the program ends. */
static bool dispatch_messages(struct load *load, UINT_PTR timer)
{
    MSG message;
    bool goes_on = true;

    while (PeekMessageW(&message, NULL, 0, 0, PM_REMOVE)) {
        if (message.message == WM_QUIT) {
            return false;
        }
        if (message.message == WM_TIMER && message.wParam == timer) {
            goes_on = load_frame(load) && goes_on;
        }
        TranslateMessage(&message);
        DispatchMessageW(&message);
    }
    return goes_on;
}

static int64_t run(struct load *load)
{
    intptr_t handle = epio_loop_handle(load->loop);
    UINT_PTR timer;
    HANDLE waited;

    if (handle < 0) {
        return handle;
    }
    waited = (HANDLE)handle;
    timer = SetTimer(NULL, 0, LOAD_FRAME_MS, NULL);
    while (dispatch_messages(load, timer)) {
        /* If two are ready only the first is reported: the poll is for both. */
        DWORD woken =
            MsgWaitForMultipleObjectsEx(1, &waited, INFINITE, QS_ALLINPUT, MWMO_INPUTAVAILABLE);

        if (woken == WAIT_FAILED) {
            return epio_error_from_os((int32_t)GetLastError());
        }
        (void)epio_loop_poll(load->loop, EPIO_NOW, 0);
    }
    (void)KillTimer(NULL, timer);
    return 0;
}

int main(int argc, char **argv)
{
    static struct load load;
    int status = load_start(&load, argc, argv);
    int64_t error;

    if (status != 0) {
        return status;
    }
    error = run(&load);
    if (error < 0) {
        return load_fail(&load, epio_error_message(error));
    }
    return load_finish(&load);
}
