/* The ways in which a Win32 call can end, of which a machine may never show some: at once,
 * with or without a packet; at once with an error; later, with success or an error;
 * cancelled, with a packet that says so or one that says success. The calls stand behind
 * a table; here they do the real work on the side and then end as they are told to.
 * EPIO_TEST_ONCE */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "win32/win32.h"

#define SECOND UINT64_C(1000000000)
#define SIZE ((size_t)64 * 1024)

#define STATUS_OF_SUCCESS ((ULONG_PTR)0)
#define STATUS_OF_END ((ULONG_PTR)0xC0000011)
#define STATUS_OF_CANCEL ((ULONG_PTR)0xC0000120)
#define STATUS_OF_IO_ERROR ((ULONG_PTR)0xC0000185)

typedef enum ending {
    AT_ONCE,             /* TRUE, and no packet */
    AT_ONCE_WITH_PACKET, /* TRUE, and a packet all the same */
    ERROR_AT_ONCE,
    LATER,
    ERROR_LATER,
    SHORT_LATER, /* half of what was asked for */
    ENDINGS,
    NEVER = ENDINGS, /* until it is cancelled */
    NEVER_BUT_DONE   /* likewise, but it had been done already */
} ending;

static epio_loop *loop;
static HANDLE port;
static ending next_ending;
static bool mixed;
static bool may_skip; /* calls that end at once send no packet */
static uint64_t random_state = 1;
static int calls;
static OVERLAPPED *waiting; /* of the call that is to end NEVER */
static ending waiting_ending;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- Calls that end as they are told to ------------------------------------------- */

static epio__win32_calls real;

/* The transfer itself, whose packet is kept off the port: bytes, or the error. */
static DWORD transfer(HANDLE handle, void *buffer, DWORD len, const OVERLAPPED *asked, bool reads,
                      DWORD *bytes)
{
    OVERLAPPED own = {.Offset = asked->Offset, .OffsetHigh = asked->OffsetHigh};
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    assert_non_null(event);
    own.hEvent = (HANDLE)((ULONG_PTR)event | 1);
    *bytes = 0;
    BOOL done = reads ? real.read_file(handle, buffer, len, NULL, &own)
                      : real.write_file(handle, buffer, len, NULL, &own);
    DWORD error = done ? 0 : GetLastError();
    if (done || error == ERROR_IO_PENDING) {
        error = GetOverlappedResult(handle, &own, bytes, TRUE) ? 0 : GetLastError();
    }
    assert_true(CloseHandle(event));
    return error;
}

static void fill(OVERLAPPED *overlapped, ULONG_PTR status, DWORD bytes)
{
    overlapped->Internal = status;
    overlapped->InternalHigh = bytes;
}

static void post(OVERLAPPED *overlapped)
{
    assert_true(PostQueuedCompletionStatus(port, (DWORD)overlapped->InternalHigh, 1, overlapped));
}

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return FALSE;
}

/* One that does not end the op, and that the handle could have. */
static ending some_ending(void)
{
    ending how = (ending)(next_random() % ENDINGS);
    if (how == AT_ONCE || how == AT_ONCE_WITH_PACKET) {
        return may_skip ? AT_ONCE : AT_ONCE_WITH_PACKET;
    }
    return how == ERROR_AT_ONCE || how == ERROR_LATER ? LATER : how;
}

static BOOL act(HANDLE handle, void *buffer, DWORD len, OVERLAPPED *overlapped, bool reads)
{
    ending how = mixed ? some_ending() : next_ending;
    DWORD bytes;
    calls++;
    if (how == ERROR_AT_ONCE) {
        return end_with(ERROR_IO_DEVICE);
    }
    if (how == NEVER || how == NEVER_BUT_DONE || how == ERROR_LATER) {
        fill(overlapped, how == ERROR_LATER ? STATUS_OF_IO_ERROR : 0x103, 0);
        if (how == ERROR_LATER) {
            post(overlapped);
        } else {
            waiting = overlapped;
            waiting_ending = how;
        }
        return end_with(ERROR_IO_PENDING);
    }
    if (how == SHORT_LATER && len > 1) {
        len /= 2;
    }
    DWORD error = transfer(handle, buffer, len, overlapped, reads, &bytes);
    if (error == ERROR_HANDLE_EOF) {
        fill(overlapped, STATUS_OF_END, 0);
        if (how == AT_ONCE || how == AT_ONCE_WITH_PACKET) {
            return end_with(error); /* at once, and without a packet */
        }
    } else {
        assert_int_equal(error, 0);
        fill(overlapped, STATUS_OF_SUCCESS, bytes);
    }
    if (how != AT_ONCE) {
        post(overlapped);
    }
    if (how == AT_ONCE || how == AT_ONCE_WITH_PACKET) {
        return TRUE;
    }
    return end_with(ERROR_IO_PENDING);
}

static BOOL WINAPI read_as_told(HANDLE handle, LPVOID buffer, DWORD len, LPDWORD bytes,
                                LPOVERLAPPED overlapped)
{
    (void)bytes;
    return act(handle, buffer, len, overlapped, true);
}

static BOOL WINAPI write_as_told(HANDLE handle, LPCVOID buffer, DWORD len, LPDWORD bytes,
                                 LPOVERLAPPED overlapped)
{
    (void)bytes;
    return act(handle, (void *)(uintptr_t)buffer, len, overlapped, false);
}

static BOOL WINAPI modes_as_told(HANDLE handle, UCHAR modes)
{
    (void)handle;
    (void)modes;
    return may_skip;
}

static BOOL WINAPI cancel_as_told(HANDLE handle, LPOVERLAPPED overlapped)
{
    (void)handle;
    if (overlapped != waiting) {
        return end_with(ERROR_NOT_FOUND);
    }
    waiting = NULL;
    if (waiting_ending == NEVER) {
        fill(overlapped, STATUS_OF_CANCEL, 0);
    } else {
        fill(overlapped, STATUS_OF_SUCCESS, 100);
    }
    post(overlapped);
    return TRUE;
}

/* ---- The scene ----------------------------------------------------------------------- */

static epio_file *file;
static char path[MAX_PATH + 40];

static void open_scene(bool skip)
{
    epio_op op = {0};
    unsigned char *content = malloc(SIZE);
    char folder[MAX_PATH];
    assert_non_null(content);
    assert_true(GetTempPathA(MAX_PATH, folder) != 0);
    (void)snprintf(path, sizeof path, "%s\\epio-endings-%lu", folder, GetCurrentProcessId());
    assert_int_equal(epio_loop_create(&loop, NULL), 0);
    port = (HANDLE)epio_loop_handle(loop);
    assert_int_equal(epio_wait(epio_open(&op, epio_loop_vfs(loop), path,
                                         EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE |
                                             EPIO_OPEN_DELETE_ON_CLOSE)),
                     0);
    file = op.file;
    for (size_t i = 0; i < SIZE; i++) {
        content[i] = (unsigned char)(i % 251);
    }
    assert_int_equal(epio_perform(epio_write(&op, file, content, SIZE, 0)), SIZE);
    free(content);
    real = epio__win32;
    may_skip = skip;
    epio__win32.read_file = read_as_told;
    epio__win32.write_file = write_as_told;
    epio__win32.set_notification_modes = modes_as_told;
    epio__win32.cancel = cancel_as_told;
}

static void close_scene(void)
{
    epio_op op = {0};
    epio__win32 = real;
    mixed = false;
    assert_int_equal(epio_wait(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
}

static int delivered;

static void count(epio_op *op)
{
    (void)op;
    delivered++;
}

/* Submitted, so that the port is asked; returns the result. */
static int64_t result_of(epio_op *op)
{
    delivered = 0;
    op->done = count;
    epio_submit(op);
    assert_int_equal(delivered, 0);
    while (epio_pending(op)) {
        (void)epio_loop_poll(loop, SECOND, 0);
    }
    assert_int_equal(delivered, 1);
    op->done = NULL;
    return op->result;
}

/* ---- Alone --------------------------------------------------------------------------- */

#define ASKED 1000

typedef struct verb {
    const char *name;
    epio_op *(*prepare)(epio_op *op, uint64_t offset);
} verb;

static unsigned char buffer[ASKED];
static epio_iovec parts[] = {{buffer, 300}, {buffer + 300, 1}, {buffer + 301, ASKED - 301}};

static epio_op *prepare_read(epio_op *op, uint64_t offset)
{
    return epio_read(op, file, buffer, ASKED, offset);
}

static epio_op *prepare_readv(epio_op *op, uint64_t offset)
{
    return epio_readv(op, file, parts, 3, offset);
}

static epio_op *prepare_write(epio_op *op, uint64_t offset)
{
    return epio_write(op, file, buffer, ASKED, offset);
}

static epio_op *prepare_writev(epio_op *op, uint64_t offset)
{
    return epio_writev(op, file, parts, 3, offset);
}

static const verb verbs[] = {
    {"read", prepare_read},
    {"readv", prepare_readv},
    {"write", prepare_write},
    {"writev", prepare_writev},
};

static void check_ending(const verb *one, ending how)
{
    epio_op op = {0};
    bool fails = how == ERROR_AT_ONCE || how == ERROR_LATER;
    next_ending = how;
    calls = 0;
    int64_t result = result_of(one->prepare(&op, 5000));
    if (result != (fails ? EPIO_EIO : ASKED)) {
        print_error("%s, ending %d: %s\n", one->name, (int)how, epio_error_name(result));
    }
    assert_int_equal(result, fails ? EPIO_EIO : ASKED);
    assert_int_equal(op.os_error, fails ? ERROR_IO_DEVICE : 0);
    assert_true(calls > 0); /* it went by the port */
    for (size_t i = 0; !fails && i < ASKED; i++) {
        assert_int_equal(buffer[i], (5000 + i) % 251);
    }
}

static void every_verb_with_every_ending(void **state)
{
    (void)state;
    for (int skip = 0; skip < 2; skip++) {
        open_scene(skip == 1);
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
            for (ending how = AT_ONCE; how < ENDINGS; how++) {
                /* A file is told once whether its calls send packets. */
                if (how != (skip == 1 ? AT_ONCE_WITH_PACKET : AT_ONCE)) {
                    check_ending(&verbs[i], how);
                }
            }
        }
        close_scene();
    }
}

static void a_read_beyond_the_end(void **state)
{
    (void)state;
    for (int skip = 0; skip < 2; skip++) {
        open_scene(skip == 1);
        for (ending how = AT_ONCE; how < ENDINGS; how++) {
            epio_op op = {0};
            if (how == ERROR_AT_ONCE || how == ERROR_LATER ||
                how == (skip == 1 ? AT_ONCE_WITH_PACKET : AT_ONCE)) {
                continue;
            }
            next_ending = how;
            assert_int_equal(result_of(prepare_read(&op, SIZE)), 0);
            assert_int_equal(result_of(prepare_readv(&op, SIZE - 400)), 400);
            assert_int_equal(op.os_error, 0);
        }
        close_scene();
    }
}

/* ---- Cancelled ------------------------------------------------------------------------ */

static void a_cancel_and_its_two_packets(void **state)
{
    (void)state;
    open_scene(false);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
            epio_op op = {0};
            next_ending = NEVER;
            op.timeout_ns = by_deadline ? SECOND / 100 : 0;
            (void)verbs[i].prepare(&op, 0);
            op.done = count;
            delivered = 0;
            epio_submit(&op);
            assert_non_null(waiting);
            if (!by_deadline) {
                epio_cancel(&op);
                assert_true(epio_pending(&op)); /* the memory is the system's until its packet */
            }
            while (epio_pending(&op)) {
                (void)epio_loop_poll(loop, SECOND, 0);
            }
            assert_int_equal(delivered, 1);
            assert_int_equal(op.result, by_deadline ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
        }
    }
    /* Whole before the cancel came: that is what it says. */
    epio_op op = {0};
    next_ending = NEVER_BUT_DONE;
    op.done = count;
    epio_submit(epio_read(&op, file, buffer, 100, 0));
    epio_cancel(&op);
    while (epio_pending(&op)) {
        (void)epio_loop_poll(loop, SECOND, 0);
    }
    assert_int_equal(op.result, 100);
    close_scene();
}

/* ---- Mixed ----------------------------------------------------------------------------- */

#define MANY 64
#define REGION (SIZE / MANY)

static void mix(bool skip)
{
    static epio_op ops[MANY];
    static unsigned char data[MANY][REGION];
    static unsigned char found[SIZE];
    open_scene(skip);
    mixed = true;
    for (int round = 0; round < 50; round++) {
        delivered = 0;
        for (size_t i = 0; i < MANY; i++) {
            memset(data[i], (int)(i + (size_t)round), REGION);
            ops[i].done = count;
            epio_submit(epio_write(&ops[i], file, data[i], REGION, i * REGION));
        }
        while (delivered < MANY) {
            (void)epio_loop_poll(loop, SECOND, (uint32_t)(next_random() % 5));
        }
        delivered = 0;
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(ops[i].result, REGION);
            epio_submit(epio_read(&ops[i], file, found + i * REGION, REGION, i * REGION));
        }
        while (delivered < MANY) {
            (void)epio_loop_poll(loop, SECOND, 0);
        }
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(ops[i].result, REGION);
            assert_memory_equal(found + i * REGION, data[i], REGION);
        }
    }
    close_scene();
}

static void mixed_endings_lose_nothing(void **state)
{
    (void)state;
    mix(false);
    mix(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_with_every_ending),
        cmocka_unit_test(a_read_beyond_the_end),
        cmocka_unit_test(a_cancel_and_its_two_packets),
        cmocka_unit_test(mixed_endings_lose_nothing),
    };
    return cmocka_run_group_tests_name("endings of Win32 calls", tests, NULL, NULL);
}
