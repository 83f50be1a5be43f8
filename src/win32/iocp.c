/* The completion port, which receives the completions of overlapped handles. A call ends in one
 * of three ways: at once, at once with an error, or later by a packet; unless the handle could be
 * set to skip it, a call that succeeds at once sends a packet too. The system uses an op's memory
 * until its packet arrives, cancelled or not. */
#include "atomics.h"
#include "list.h"
#include "win32/backends.h"
#include "win32/watcher.h"
#include "win32/win32.h"

#include <stdlib.h>

#define PACKETS_AT_ONCE 64

/* Only one thread at a time polls. But a thread that has polled counts for the port until it
 * waits elsewhere, and would keep packets from the next owner of a detached loop. */
#define MANY_THREADS 0x7FFFFFFF

/* In a longer wait one tick too many does not matter. */
#define FINE_MILLISECONDS 100

/* After an error of the port. */
#define PAUSE_MILLISECONDS 10

#define LONG_COPY (UINT64_C(1) << 20)
#define MANY_PARTS 64

enum { KEY_WAKE, KEY_FILE };

typedef struct iocp_state {
    HANDLE port;
    uint64_t *pending_events; /* calls whose packets have not arrived */
    uint32_t wake_posted;     /* atomic; a wake packet is in the port */
    epio__watcher *watcher;   /* once embedded by callback */
    HANDLE wait_timer;        /* once poll had to end at a precise time */
    PTP_TIMER timer;          /* once embedded: wakes at the loop's next deadline */
} iocp_state;

_Static_assert(sizeof(OVERLAPPED) <= sizeof(((epio_op *)0)->arguments.io.system),
               "an op carries its OVERLAPPED");

static OVERLAPPED *overlapped_of(epio_op *op)
{
    return (OVERLAPPED *)(void *)op->arguments.io.system;
}

static epio_op *op_of(OVERLAPPED *overlapped)
{
    return EPIO_CONTAINER(overlapped, epio_op, arguments.io.system);
}

/* ---- Creating and closing ---- */

static void iocp_close(void *opaque)
{
    iocp_state *state = opaque;
    epio__watcher_destroy(state->watcher);
    if (state->timer != NULL) {
        SetThreadpoolTimer(state->timer, NULL, 0, 0);
        WaitForThreadpoolTimerCallbacks(state->timer, TRUE);
        CloseThreadpoolTimer(state->timer);
    }
    if (state->wait_timer != NULL) {
        (void)CloseHandle(state->wait_timer);
    }
    (void)CloseHandle(state->port);
    free(state);
}

static int iocp_open(uint64_t *pending_events, void **opened)
{
    iocp_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return EPIO_ENOMEM;
    }
    state->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, MANY_THREADS);
    if (state->port == NULL) {
        int error = epio__error_from_os((int32_t)GetLastError());
        free(state);
        return error;
    }
    state->pending_events = pending_events;
    *opened = state;
    return 0;
}

/* ---- Submitting ---- */

/* Determines whether a call that succeeds at once sends a packet; false: unknown. On an adopted
 * handle the previous owner may have set it, which is permanent. Streams keep their mode: their
 * warnings may or may not count as successes. */
static bool settle_packets(epio__win32_file *file, HANDLE handle)
{
    ULONG set_before = 0;
    UCHAR modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
    bool stream = (file->base.base.attributes & EPIO_FILE_STREAM) != 0;
    bool is_new = file->base.opened_as != 0;
    if (!stream && epio__win32.set_notification_modes(handle, modes)) {
        file->skips_packets = true;
        return true;
    }
    if (is_new) {
        return true;
    }
    if (epio__win32.get_notification_modes(handle, &set_before)) {
        file->skips_packets = (set_before & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) != 0;
        return true;
    }
    file->skips_packets = epio__win32.set_notification_modes(handle, modes) != FALSE;
    return file->skips_packets;
}

/* Binds the file to the port with its first op: a handle can be bound once, so an adopted one may
 * belong to another port already. */
static bool bind_file(iocp_state *state, epio__win32_file *file)
{
    if (file->bound || file->cannot_bind || file->synchronous) {
        return file->bound;
    }
    HANDLE handle = epio__handle_of(&file->base);
    file->bound = CreateIoCompletionPort(handle, state->port, KEY_FILE, 0) != NULL &&
                  settle_packets(file, handle);
    file->cannot_bind = !file->bound;
    return file->bound;
}

/* Is it a read that may end at once with part of a message, with or without a packet? Whether
 * such a warning counts as a success is undocumented. */
static bool may_skip_or_not(const epio_op *op)
{
    DWORD state;
    const epio__win32_file *file = epio__win32_file_of(op);
    return file->skips_packets && file->messages && epio__op_is(op, EPIO__KIND_READS) &&
           (!GetNamedPipeHandleStateW(epio__handle_of(&file->base), &state, NULL, NULL, NULL, NULL,
                                      0) ||
            (state & PIPE_READMODE_MESSAGE) != 0);
}

/* NTFS extends a file inside the call, which then waits for the disk; the same when it fills the
 * gap before a write with zeros. */
static bool waits_inside(const epio_op *op)
{
    LARGE_INTEGER size;
    if (epio__op_is(op, EPIO__KIND_READS) || epio__op_is_on_stream(op)) {
        return false;
    }
    const epio__win32_file *file = epio__win32_file_of(op);
    return file->appends || epio__load_relaxed_u32(&file->has_grown) != 0 ||
           !GetFileSizeEx(epio__handle_of(&file->base), &size) ||
           op->arguments.io.offset + epio_op_bytes(op) > (uint64_t)size.QuadPart;
}

/* A long copy, if the data is cached, and an op of many calls go to a worker. */
static bool is_long(const epio_op *op)
{
    bool vectored = epio__op_is(op, EPIO__KIND_VECTORED);
    bool stream = epio__op_is_on_stream(op);
    bool direct = epio__win32_file_of(op)->sector != 0; /* nothing of it is cached */
    return !stream && !direct &&
           (epio_op_bytes(op) > LONG_COPY || (vectored && op->arguments.io.len > MANY_PARTS));
}

/* Starts pieces until one is pending, or the op is finished: then true, and *result. Pieces that
 * ended at once were copied on this thread. */
static bool advance(iocp_state *state, epio_op *op, int64_t *result)
{
    epio__win32_file *file = epio__win32_file_of(op);
    OVERLAPPED *overlapped = overlapped_of(op);
    DWORD error;
    DWORD bytes;
    do {
        overlapped->hEvent = NULL;
        BOOL done = epio__start_piece(op, overlapped);
        error = done ? 0 : GetLastError();
        /* To the system, part of a message is no failure. */
        bool succeeded = done || error == ERROR_MORE_DATA;
        if (succeeded) {
            epio__os_spend(op, overlapped->InternalHigh);
        }
        if ((succeeded && !file->skips_packets) || error == ERROR_IO_PENDING) {
            ++*state->pending_events;
            return false;
        }
        bytes = succeeded ? (DWORD)overlapped->InternalHigh : 0;
    } while (!epio__piece_ended(op, error, bytes, result));
    return true;
}

static bool iocp_submit(void *opaque, epio_op *op)
{
    iocp_state *state = opaque;
    bool transfer = epio__op_transfers(op);
    if (!transfer || epio_op_bytes(op) == 0 || epio__check_transfer(op) != 0 || is_long(op) ||
        !bind_file(state, epio__win32_file_of(op)) || waits_inside(op) || may_skip_or_not(op)) {
        return false;
    }
    int64_t result;
    op->progress = 0;
    if (advance(state, op, &result)) {
        epio_complete(op, result);
    }
    return true;
}

static bool iocp_cancel(void *opaque, epio_op *op)
{
    (void)opaque;
    bool transfer = epio__op_transfers(op);
    if (transfer) {
        HANDLE handle = (HANDLE)epio__win32_file_of(op)->base.transfer_handle;
        op->notes |= EPIO__NOTE_GIVEN_UP;
        (void)epio__win32.cancel(handle, overlapped_of(op));
    }
    return false; /* its packet follows, with the outcome */
}

static void iocp_interrupt(void *opaque, epio_op *op)
{
    (void)opaque;
    epio__blocking_interrupt(op);
}

static void iocp_forget(void *opaque, epio__os_file *file)
{
    (void)opaque;
    (void)file; /* the port has nothing of it any more */
}

/* ---- Waiting ---- */

static void take_packet(iocp_state *state, const OVERLAPPED_ENTRY *packet)
{
    if (packet->lpCompletionKey == KEY_WAKE) {
        epio__store_u32(&state->wake_posted, 0);
        return;
    }
    epio_op *op = op_of(packet->lpOverlapped);
    HANDLE handle = (HANDLE)epio__win32_file_of(op)->base.transfer_handle;
    DWORD bytes = 0;
    BOOL done = epio__win32.get_overlapped_result(handle, packet->lpOverlapped, &bytes, FALSE);
    DWORD error = done ? 0 : GetLastError();
    int64_t result;
    EPIO__ASSERT(*state->pending_events != 0);
    --*state->pending_events;
    if (error == ERROR_OPERATION_ABORTED && (op->notes & EPIO__NOTE_GIVEN_UP) != 0) {
        error = ERROR_CANCELLED;
    }
    if (epio__piece_ended(op, error, done || error == ERROR_MORE_DATA ? bytes : 0, &result)) {
        epio_complete(op, result);
    } else if ((op->notes & EPIO__NOTE_GIVEN_UP) != 0) {
        epio_complete(op, EPIO_ECANCELED);
    } else if (advance(state, op, &result)) {
        epio_complete(op, result);
    }
}

/* False: none arrived in time. Another failure (no memory) counts as a short wait: the loop would
 * otherwise poll again at once. */
static bool take_some(iocp_state *state, OVERLAPPED_ENTRY *packets, ULONG *count,
                      DWORD milliseconds)
{
    if (epio__win32.get_completions(state->port, packets, PACKETS_AT_ONCE, count, milliseconds,
                                    FALSE)) {
        return true;
    }
    if (GetLastError() != WAIT_TIMEOUT && milliseconds != 0) {
        Sleep(milliseconds < PAUSE_MILLISECONDS ? milliseconds : PAUSE_MILLISECONDS);
    }
    return false;
}

/* Takes all packets, waiting for the first: false if none arrived. */
static bool take_packets(iocp_state *state, DWORD milliseconds)
{
    OVERLAPPED_ENTRY packets[PACKETS_AT_ONCE];
    ULONG count = 0;
    bool some = false;
    while (take_some(state, packets, &count, milliseconds)) {
        for (ULONG i = 0; i < count; i++) {
            take_packet(state, &packets[i]);
        }
        some = true;
        milliseconds = 0;
        if (count < PACKETS_AT_ONCE) {
            break;
        }
    }
    return some;
}

/* The port's own timeout has the 16 ms ticks of the clock; a timer beside it is exact. False:
 * there is none, and nothing was waited for. */
static bool wait_finely(iocp_state *state, uint64_t deadline)
{
    if (state->wait_timer == NULL) {
        state->wait_timer = epio__timer_create();
    }
    if (state->wait_timer == NULL || !epio__timer_set(state->wait_timer, deadline)) {
        return false;
    }
    HANDLE handles[] = {state->port, state->wait_timer};
    return WaitForMultipleObjects(2, handles, FALSE, INFINITE) != WAIT_FAILED;
}

static void iocp_poll(void *opaque, uint64_t deadline)
{
    iocp_state *state = opaque;
    if (state->watcher != NULL) {
        epio__watcher_disarm(state->watcher);
    }
    DWORD milliseconds = deadline == 0 ? 0 : epio__milliseconds_until(deadline);
    bool soon = milliseconds > 0 && milliseconds <= FINE_MILLISECONDS;
    if (soon) {
        if (take_packets(state, 0)) {
            return;
        }
        if (wait_finely(state, deadline)) {
            milliseconds = 0;
        }
    }
    (void)take_packets(state, milliseconds);
}

static void iocp_wake(void *opaque)
{
    iocp_state *state = opaque;
    if (epio__exchange_u32(&state->wake_posted, 1) == 0) {
        while (!PostQueuedCompletionStatus(state->port, 0, KEY_WAKE, NULL)) {
            Sleep(1); /* no memory for a packet: nothing else will wake the owner */
        }
    }
}

/* ---- Embedding ---- */

static VOID CALLBACK timer_is_due(PTP_CALLBACK_INSTANCE instance, PVOID state, PTP_TIMER timer)
{
    (void)instance;
    (void)timer;
    iocp_wake(state);
}

static bool make_timer(iocp_state *state)
{
    if (state->timer == NULL) {
        state->timer = CreateThreadpoolTimer(timer_is_due, state, NULL);
    }
    return state->timer != NULL;
}

/* The port itself is signalled while it has packets. */
static intptr_t iocp_handle(void *opaque)
{
    iocp_state *state = opaque;
    return make_timer(state) ? (intptr_t)state->port : EPIO_ENOMEM;
}

static void iocp_arm(void *opaque, uint64_t deadline)
{
    iocp_state *state = opaque;
    if (state->timer != NULL) {
        LARGE_INTEGER due = epio__time_until(deadline);
        FILETIME time;
        time.dwLowDateTime = due.LowPart;
        time.dwHighDateTime = (DWORD)due.HighPart;
        SetThreadpoolTimer(state->timer, deadline == EPIO_FOREVER ? NULL : &time, 0, 0);
    }
    if (state->watcher != NULL) {
        epio__watcher_arm(state->watcher);
    }
}

static int iocp_notify(void *opaque, void (*ready)(void *user), void *user)
{
    iocp_state *state = opaque;
    int error = 0;
    if (ready != NULL && state->watcher == NULL) {
        error =
            make_timer(state) ? epio__watcher_create(&state->watcher, state->port) : EPIO_ENOMEM;
    }
    if (error == 0 && state->watcher != NULL) {
        epio__watcher_notify(state->watcher, ready, user);
    }
    return error;
}

const epio__backend epio__backend_iocp = {
    .name = "iocp",
    .transfers_at_once = true,
    .open = iocp_open,
    .close = iocp_close,
    .submit = iocp_submit,
    .poll = iocp_poll,
    .cancel = iocp_cancel,
    .interrupt = iocp_interrupt,
    .forget = iocp_forget,
    .wake = iocp_wake,
    .handle = iocp_handle,
    .arm = iocp_arm,
    .notify = iocp_notify,
};
