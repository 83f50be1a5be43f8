/* The ways in which a Win32 call can end, of which a machine may never show some: at once, with or
 * without a packet; at once with an error; later, with success or an error; cancelled, with a
 * packet that says so or one that says success. The calls are behind a table; the scripted ones
 * here do the transfer separately and then end in the chosen way. EPIO_TEST_ONCE */
#include "support.h"

#include "win32/win32.h"

#define SECOND UINT64_C(1000000000)
#define SIZE ((size_t)64 * 1024)

#define STATUS_OF_SUCCESS ((ULONG_PTR)0)
#define STATUS_OF_MORE ((ULONG_PTR)0x80000005)
#define STATUS_OF_CONFLICT ((ULONG_PTR)0xC0000055)
#define STATUS_OF_END ((ULONG_PTR)0xC0000011)
#define STATUS_OF_CANCEL ((ULONG_PTR)0xC0000120)
#define STATUS_OF_IO_ERROR ((ULONG_PTR)0xC0000185)

typedef enum ending {
    AT_ONCE,             /* TRUE, and no packet */
    AT_ONCE_WITH_PACKET, /* TRUE, and a packet nevertheless */
    ERROR_AT_ONCE,
    LATER,
    ERROR_LATER,
    SHORT_LATER, /* half of the bytes */
    ENDINGS,
    NEVER = ENDINGS, /* until it is cancelled */
    NEVER_BUT_DONE,  /* the same, but the transfer is already done */
    SHORT_ON_CANCEL  /* half is done, and the cancel finds nothing */
} ending;

static epio_loop *loop;
static HANDLE port;
static ending next_ending;
static bool mixed;
static bool may_skip; /* calls that end at once send no packet */
static uint64_t random_state = 1;
static int calls;
static OVERLAPPED *waiting; /* of the call that ends with NEVER */
static ending waiting_ending;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- Scripted calls --------------------------------------------------------------- */

static epio__win32_calls real;

/* The transfer itself, whose packet does not go to the port: bytes, or the error. */
static DWORD transfer(HANDLE handle, void *buffer, DWORD len, const OVERLAPPED *position,
                      bool reads, DWORD *bytes)
{
    OVERLAPPED own = {.Offset = position->Offset, .OffsetHigh = position->OffsetHigh};
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

/* A random ending without an error, as the modes of the handle allow. */
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
    if (how == NEVER || how == NEVER_BUT_DONE || how == SHORT_ON_CANCEL || how == ERROR_LATER) {
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

static BOOL WINAPI scripted_read(HANDLE handle, LPVOID buffer, DWORD len, LPDWORD bytes,
                                 LPOVERLAPPED overlapped)
{
    (void)bytes;
    return act(handle, buffer, len, overlapped, true);
}

static BOOL WINAPI scripted_write(HANDLE handle, LPCVOID buffer, DWORD len, LPDWORD bytes,
                                  LPOVERLAPPED overlapped)
{
    (void)bytes;
    return act(handle, (void *)(uintptr_t)buffer, len, overlapped, false);
}

static BOOL WINAPI scripted_modes(HANDLE handle, UCHAR modes)
{
    (void)handle;
    (void)modes;
    return may_skip;
}

static BOOL WINAPI scripted_cancel(HANDLE handle, LPOVERLAPPED overlapped)
{
    (void)handle;
    if (overlapped != waiting) {
        return end_with(ERROR_NOT_FOUND);
    }
    waiting = NULL;
    if (waiting_ending == NEVER) {
        fill(overlapped, STATUS_OF_CANCEL, 0);
    } else {
        fill(overlapped, STATUS_OF_SUCCESS, waiting_ending == NEVER_BUT_DONE ? 100 : 50);
    }
    post(overlapped);
    if (waiting_ending == SHORT_ON_CANCEL) {
        next_ending = NEVER;
        return end_with(ERROR_NOT_FOUND);
    }
    return TRUE;
}

/* ---- The fixture --------------------------------------------------------------------- */

static epio_file *file;

static void endings_setup(fixture *f, bool skip)
{
    epio_op op = {0};
    unsigned char *content = malloc(SIZE);
    assert_non_null(content);
    assert_int_equal(epio_loop_create(&loop, NULL), 0);
    port = (HANDLE)epio_loop_handle(loop);
    assert_int_equal(epio_wait(epio_open(&op, epio_loop_vfs(loop), fixture_path(f, "file"),
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
    epio__win32.read_file = scripted_read;
    epio__win32.write_file = scripted_write;
    epio__win32.set_notification_modes = scripted_modes;
    epio__win32.cancel = scripted_cancel;
}

static void endings_teardown(void)
{
    epio_op op = {0};
    epio__win32 = real;
    mixed = false;
    assert_int_equal(epio_wait(epio_close(&op, file)), 0);
    epio_loop_destroy(loop);
}

/* Submits the op, so that it takes the port; returns the result. */
static int64_t result_of(epio_op *op)
{
    int delivered = 0;
    epio_submit(count_delivery(op, &delivered));
    assert_int_equal(delivered, 0);
    while (epio_op_pending(op)) {
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
    assert_true(calls > 0); /* it took the port */
    for (size_t i = 0; !fails && i < ASKED; i++) {
        assert_int_equal(buffer[i], (5000 + i) % 251);
    }
}

static void every_verb_with_every_ending(fixture *f)
{
    for (int skip = 0; skip < 2; skip++) {
        endings_setup(f, skip == 1);
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
            for (ending how = AT_ONCE; how < ENDINGS; how++) {
                /* The modes of a file are set once. */
                if (how != (skip == 1 ? AT_ONCE_WITH_PACKET : AT_ONCE)) {
                    check_ending(&verbs[i], how);
                }
            }
        }
        endings_teardown();
    }
}

static void a_read_beyond_the_end(fixture *f)
{
    for (int skip = 0; skip < 2; skip++) {
        endings_setup(f, skip == 1);
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
        endings_teardown();
    }
}

/* ---- Cancelled ------------------------------------------------------------------------ */

static void a_cancel_and_its_two_packets(fixture *f)
{
    endings_setup(f, false);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
            epio_op op = {0};
            int delivered = 0;
            next_ending = NEVER;
            op.timeout_ns = by_deadline ? SECOND / 100 : 0;
            (void)verbs[i].prepare(&op, 0);
            epio_submit(count_delivery(&op, &delivered));
            assert_non_null(waiting);
            if (!by_deadline) {
                epio_cancel(&op);
                assert_true(epio_op_pending(&op)); /* the system uses the memory until its packet */
            }
            while (epio_op_pending(&op)) {
                (void)epio_loop_poll(loop, SECOND, 0);
            }
            assert_int_equal(delivered, 1);
            assert_int_equal(op.result, by_deadline ? EPIO_ETIMEDOUT : EPIO_ECANCELED);
        }
    }
    endings_teardown();
}

static int64_t result_of_cancelled_read(ending how)
{
    epio_op op = {0};
    int delivered = 0;
    next_ending = how;
    epio_submit(epio_read(count_delivery(&op, &delivered), file, buffer, 100, 0));
    epio_cancel(&op);
    while (epio_op_pending(&op)) {
        (void)epio_loop_poll(loop, SECOND, 0);
    }
    return op.result;
}

static void a_cancel_that_comes_too_late(fixture *f)
{
    endings_setup(f, false);
    /* Completed before the cancel: the true result. */
    check_result(result_of_cancelled_read(NEVER_BUT_DONE), 100);
    /* Half was done when the cancel came: the other half, which would never end, is not started. */
    check_result(result_of_cancelled_read(SHORT_ON_CANCEL), EPIO_ECANCELED);
    endings_teardown();
}

/* ---- Within one iteration -------------------------------------------------------------- */

static void ops_that_end_at_once_share_an_iteration(fixture *f)
{
    enum { MANY_READS = 5000 };
    static epio_op ops[MANY_READS];
    static unsigned char found[MANY_READS];
    int delivered = 0;
    endings_setup(f, true);
    next_ending = AT_ONCE;
    calls = 0;
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < MANY_READS; i++) {
        epio_submit(epio_read(count_delivery(&ops[i], &delivered), file, &found[i], 1, i));
    }
    check(calls > 0 && calls <= 1000);
    while (delivered < MANY_READS) {
        int before = calls;
        (void)epio_loop_poll(loop, SECOND, 0);
        check(calls - before <= 1000);
    }
    for (size_t i = 0; i < MANY_READS; i++) {
        check_result(ops[i].result, 1);
        check_result(found[i], i % 251);
    }
    endings_teardown();
}

/* ---- Past the page cache ----------------------------------------------------------------- */

/* Wine accepts unaligned transfers; Windows does not. */
static BOOL WINAPI read_aligned(HANDLE handle, LPVOID into, DWORD len, LPDWORD bytes,
                                LPOVERLAPPED overlapped)
{
    if (len % 512 != 0 || overlapped->Offset % 512 != 0 || (uintptr_t)into % 512 != 0) {
        return end_with(ERROR_INVALID_PARAMETER);
    }
    calls++;
    return real.read_file(handle, into, len, bytes, overlapped);
}

static void a_direct_file_may_end_anywhere(fixture *f)
{
    static unsigned char room[3 * 4096];
    unsigned char *aligned = room + (4096 - (uintptr_t)room % 4096);
    static const size_t sizes[] = {0, 1, 512, 5000, 8191, 8192};
    real = epio__win32;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        epio_op op = {0};
        fixture_put(f, "file", room, sizes[i]);
        check_result(epio_loop_create(&loop, NULL), 0);
        check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), fixture_path(f, "file"),
                                         EPIO_OPEN_READ | EPIO_OPEN_DIRECT)),
                     0);
        file = op.file;
        calls = 0;
        epio__win32.read_file = read_aligned;
        check_result(result_of(epio_read(&op, file, aligned, 8192, 0)), sizes[i]);
        check_result(epio_perform(epio_read(&op, file, aligned, 8192, 0)), sizes[i]);
        check(calls >= 2);
        epio__win32 = real;
        check_result(epio_wait(epio_close(&op, file)), 0);
        epio_loop_destroy(loop);
    }
}

/* ---- Messages --------------------------------------------------------------------------- */

static const char *message;
static bool message_posts;

/* Of a pipe of messages: parts of a message, at once. */
static BOOL WINAPI read_message(HANDLE handle, LPVOID into, DWORD len, LPDWORD bytes,
                                LPOVERLAPPED overlapped)
{
    (void)handle;
    (void)bytes;
    size_t left = strlen(message);
    DWORD part = left < len ? (DWORD)left : len;
    bool all = part == left;
    memcpy(into, message, part);
    message += part;
    fill(overlapped, all ? STATUS_OF_SUCCESS : STATUS_OF_MORE, part);
    if (((ULONG_PTR)overlapped->hEvent & 1) != 0) {
        (void)SetEvent((HANDLE)((ULONG_PTR)overlapped->hEvent & ~(ULONG_PTR)1));
    } else {
        post(overlapped);
        message_posts = true;
    }
    return all ? TRUE : end_with(ERROR_MORE_DATA);
}

static void a_message_comes_in_parts(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0};
    (void)f;
    check_result(epio_loop_create(&loop, NULL), 0);
    port = (HANDLE)epio_loop_handle(loop);
    pipe_make(ends);
    check_result(epio_wait(epio_adopt(&op, epio_loop_vfs(loop), ends[0], 0)), 0);
    file = op.file;
    real = epio__win32;
    epio__win32.read_file = read_message;
    for (int performed = 0; performed < 2; performed++) {
        char found[4] = "";
        message = "abcde";
        (void)epio_read(&op, file, found, 3, 0);
        check_result(performed ? epio_perform(&op) : result_of(&op), 3);
        assert_memory_equal(found, "abc", 3);
        (void)epio_read(&op, file, found, 3, 0);
        check_result(performed ? epio_perform(&op) : result_of(&op), 2);
        assert_memory_equal(found, "de", 2);
    }
    check(message_posts);
    epio__win32 = real;
    check_result(epio_wait(epio_close(&op, file)), 0);
    check(handle_close(ends[1]));
    epio_loop_destroy(loop);
}

/* ---- Streams of others ------------------------------------------------------------------ */

static bool modes_are_known;
static bool modes_are_set;

static bool scripted_get_modes(HANDLE handle, ULONG *modes)
{
    (void)handle;
    *modes = modes_are_set ? FILE_SKIP_COMPLETION_PORT_ON_SUCCESS : 0;
    return modes_are_known;
}

/* Data is there: completes at once, with a packet unless the handle skips them. */
static BOOL WINAPI read_at_once(HANDLE handle, LPVOID into, DWORD len, LPDWORD bytes,
                                LPOVERLAPPED overlapped)
{
    (void)handle;
    (void)bytes;
    calls++;
    memset(into, 'x', len);
    fill(overlapped, STATUS_OF_SUCCESS, len);
    if (((ULONG_PTR)overlapped->hEvent & 1) != 0) {
        (void)SetEvent((HANDLE)((ULONG_PTR)overlapped->hEvent & ~(ULONG_PTR)1));
    } else if (!modes_are_set) {
        post(overlapped);
    }
    return TRUE;
}

static void a_stream_that_skips_packets_or_not(fixture *f)
{
    (void)f;
    for (int combination = 0; combination < 8; combination++) {
        intptr_t ends[2];
        epio_op op = {0};
        char found[4] = "";
        check_result(epio_loop_create(&loop, NULL), 0);
        port = (HANDLE)epio_loop_handle(loop);
        pipe_make(ends);
        check_result(epio_wait(epio_adopt(&op, epio_loop_vfs(loop), ends[0], 0)), 0);
        file = op.file;
        real = epio__win32;
        modes_are_known = (combination & 1) != 0;
        may_skip = (combination & 2) != 0;
        modes_are_set = (combination & 4) != 0 || (may_skip && !modes_are_known);
        epio__win32.read_file = read_at_once;
        epio__win32.set_notification_modes = scripted_modes;
        epio__win32.get_notification_modes = scripted_get_modes;
        calls = 0;
        for (int i = 1; i <= 3; i++) {
            check_result(result_of(epio_read(&op, file, found, 3, 0)), 3);
            assert_memory_equal(found, "xxx", 3);
            check_result(calls, i);
        }
        epio__win32 = real;
        check_result(epio_wait(epio_close(&op, file)), 0);
        check(handle_close(ends[1]));
        epio_loop_destroy(loop);
    }
}

/* A server or a driver may abort an op that was not cancelled here. */
static BOOL WINAPI read_given_up(HANDLE handle, LPVOID into, DWORD len, LPDWORD bytes,
                                 LPOVERLAPPED overlapped)
{
    (void)handle;
    (void)into;
    (void)len;
    (void)bytes;
    fill(overlapped, STATUS_OF_CANCEL, 0);
    if (((ULONG_PTR)overlapped->hEvent & 1) != 0) {
        (void)SetEvent((HANDLE)((ULONG_PTR)overlapped->hEvent & ~(ULONG_PTR)1));
    } else {
        post(overlapped);
    }
    return end_with(ERROR_IO_PENDING);
}

static void an_abort_without_a_cancel_is_an_error(fixture *f)
{
    epio_op op = {0};
    endings_setup(f, false);
    epio__win32.read_file = read_given_up;
    check_result(result_of(prepare_read(&op, 0)), EPIO_EIO);
    check_result(op.os_error, ERROR_OPERATION_ABORTED);
    check_result(epio_perform(prepare_read(&op, 0)), EPIO_EIO);
    check_result(op.os_error, ERROR_OPERATION_ABORTED);
    endings_teardown();
}

/* On Ctrl-C a console's read ends with success, no bytes and this error. */
static BOOL WINAPI read_console(HANDLE handle, LPVOID into, DWORD len, LPDWORD bytes,
                                LPOVERLAPPED overlapped)
{
    (void)handle;
    check(overlapped == NULL && len >= 3);
    calls++;
    *bytes = calls < 3 ? 0 : 3;
    memcpy(into, "abc", *bytes);
    SetLastError(calls < 3 ? ERROR_OPERATION_ABORTED : 0);
    return TRUE;
}

static void control_c_at_a_console_is_no_end_of_file(fixture *f)
{
    intptr_t ends[2];
    epio_op op = {0};
    char found[4] = "";
    (void)f;
    pipe_make_plain(ends);
    check_result(epio_perform(epio_adopt(&op, epio_os_vfs(), ends[0], 0)), 0);
    file = op.file;
    real = epio__win32;
    epio__win32.read_file = read_console;
    calls = 0;
    check_result(epio_perform(epio_read(&op, file, found, 3, 0)), 3);
    assert_memory_equal(found, "abc", 3);
    check_result(calls, 3);
    epio__win32 = real;
    check_result(epio_perform(epio_close(&op, file)), 0);
    check(handle_close(ends[1]));
}

/* ---- Flushes ---------------------------------------------------------------------------- */

static DWORD flush_error;
static DWORD flush_data_error;
static int flushes;
static int data_flushes;
static bool on_ntfs = true;

static BOOL WINAPI scripted_flush(HANDLE handle)
{
    (void)handle;
    flushes++;
    return flush_error == 0 ? TRUE : end_with(flush_error);
}

static DWORD scripted_flush_data(HANDLE handle)
{
    (void)handle;
    data_flushes++;
    return flush_data_error;
}

static bool scripted_is_on_ntfs(HANDLE handle)
{
    (void)handle;
    return on_ntfs;
}

static void check_flush(fixture *f, DWORD error, DWORD data_error, uint32_t flags, int64_t expected)
{
    epio_op op = {0};
    endings_setup(f, false);
    next_ending = LATER;
    epio__win32.flush = scripted_flush;
    epio__win32.flush_data = scripted_flush_data;
    epio__win32.is_on_ntfs = scripted_is_on_ntfs;
    flush_error = error;
    flush_data_error = data_error;
    check_result(result_of(epio_sync(&op, file, flags)), expected);
    flush_error = 0;
    flush_data_error = 0;
    /* A failure is never forgotten. */
    check_result(result_of(epio_sync(&op, file, EPIO_SYNC_FULL)), expected);
    check_result(result_of(epio_write(&op, file, buffer, 1, 0)), expected == 0 ? 1 : expected);
    check_result(op.os_error, expected == 0 ? 0 : ERROR_IO_DEVICE);
    endings_teardown();
}

static void a_flush_that_fails(fixture *f)
{
    check_flush(f, 0, 0, EPIO_SYNC_FULL, 0);
    check_flush(f, ERROR_IO_DEVICE, 0, EPIO_SYNC_FULL, EPIO_EIO);
    check_flush(f, 0, 0, EPIO_SYNC_DATA_ONLY, 0);
    /* The failure of one call is not hidden by the success of the other. */
    check_flush(f, 0, ERROR_IO_DEVICE, EPIO_SYNC_DATA_ONLY, EPIO_EIO);
    flushes = 0;
    check_flush(f, 0, ERROR_NOT_SUPPORTED, EPIO_SYNC_DATA_ONLY, 0);
    check_result(flushes, 2); /* where the other is missing, it is called instead */
    check_flush(f, ERROR_IO_DEVICE, ERROR_NOT_SUPPORTED, EPIO_SYNC_DATA_ONLY, EPIO_EIO);
}

/* Other file systems may accept the flag and do nothing. */
static void data_alone_is_flushed_on_ntfs(fixture *f)
{
    for (int ntfs = 0; ntfs < 2; ntfs++) {
        on_ntfs = ntfs == 1;
        flushes = 0;
        data_flushes = 0;
        check_flush(f, 0, 0, EPIO_SYNC_DATA_ONLY, 0);
        check_result(data_flushes, ntfs);
        check_result(flushes, 2 - ntfs);
    }
}

/* ---- Files with slow calls --------------------------------------------------------------- */

static bool far_away;
static DWORD attribute;

static BOOL WINAPI scripted_information(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                        DWORD size)
{
    if (class == FileRemoteProtocolInfo) {
        return far_away ? TRUE : end_with(ERROR_INVALID_PARAMETER);
    }
    BOOL done = real.get_information(handle, class, data, size);
    if (done && class == FileBasicInfo) {
        ((FILE_BASIC_INFO *)data)->FileAttributes |= attribute;
    }
    return done;
}

/* On a server, offline, in a cloud: the owner makes no call on them. */
static void remote_files_go_to_workers(fixture *f)
{
    static const DWORD attributes[] = {0, FILE_ATTRIBUTE_OFFLINE, 0x00040000, 0x00400000,
                                       FILE_ATTRIBUTE_COMPRESSED};
    const uint64_t count = sizeof attributes / sizeof attributes[0];
    static unsigned char data[100];
    real = epio__win32;
    for (uint64_t i = 0; i <= count; i++) {
        epio_op op = {0};
        epio_loop_stats statistics = {.size = sizeof statistics};
        far_away = i == count;
        attribute = far_away ? 0 : attributes[i];
        fixture_put(f, "file", data, sizeof data);
        check_result(epio_loop_create(&loop, NULL), 0);
        epio__win32.get_information = scripted_information;
        check_result(epio_wait(epio_open(&op, epio_loop_vfs(loop), fixture_path(f, "file"),
                                         EPIO_OPEN_READ | EPIO_OPEN_WRITE)),
                     0);
        epio__win32 = real;
        file = op.file;
        check_result(result_of(epio_write(&op, file, data, 10, 0)), 10);
        check_result(result_of(epio_read(&op, file, data, 10, 0)), 10);
        check_result(epio_loop_get_stats(loop, &statistics), 0);
        check_result(statistics.by_backend + statistics.at_once, i == 0 ? 2 : 0);
        check_result(epio_wait(epio_close(&op, file)), 0);
        epio_loop_destroy(loop);
    }
}

/* ---- Locks ------------------------------------------------------------------------------ */

static bool lock_pends;
static DWORD lock_error;

/* Wine always completes at once. */
static BOOL WINAPI scripted_lock(HANDLE handle, DWORD flags, DWORD reserved, DWORD low, DWORD high,
                                 LPOVERLAPPED overlapped)
{
    check((flags & LOCKFILE_FAIL_IMMEDIATELY) != 0);
    check(((ULONG_PTR)overlapped->hEvent & 1) != 0); /* no packet */
    if (lock_error != 0 && !lock_pends) {
        return end_with(lock_error);
    }
    if (lock_error == 0 && !real.lock_file(handle, flags, reserved, low, high, overlapped)) {
        return FALSE;
    }
    fill(overlapped, lock_error == 0 ? STATUS_OF_SUCCESS : STATUS_OF_CONFLICT, 0);
    (void)SetEvent((HANDLE)((ULONG_PTR)overlapped->hEvent & ~(ULONG_PTR)1));
    return lock_pends ? end_with(ERROR_IO_PENDING) : TRUE;
}

static void a_lock_ends_in_each_way(fixture *f)
{
    endings_setup(f, false);
    epio__win32.lock_file = scripted_lock;
    for (int pends = 0; pends < 2; pends++) {
        epio_op op = {0};
        lock_pends = pends == 1;
        lock_error = ERROR_LOCK_VIOLATION;
        check_result(result_of(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), EPIO_EBUSY);
        lock_error = 0;
        check_result(result_of(epio_lock(&op, file, EPIO_LOCK_SHARED, 0)), 0);
        check_result(result_of(epio_lock(&op, file, EPIO_LOCK_RESERVED, 0)), 0);
        lock_error = ERROR_LOCK_VIOLATION;
        check_result(result_of(epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0)), EPIO_EBUSY);
        lock_error = 0;
        check_result(result_of(epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0)), 0);
        check_result(result_of(epio_unlock(&op, file, EPIO_LOCK_SHARED)), 0);
        check_result(result_of(epio_unlock(&op, file, EPIO_LOCK_NONE)), 0);
    }
    endings_teardown();
}

/* ---- Mixed ----------------------------------------------------------------------------- */

#define MANY 64
#define REGION (SIZE / MANY)

static void mix(fixture *f, bool skip)
{
    static epio_op ops[MANY];
    static unsigned char data[MANY][REGION];
    static unsigned char found[SIZE];
    endings_setup(f, skip);
    mixed = true;
    for (int round = 0; round < 50; round++) {
        int delivered = 0;
        for (size_t i = 0; i < MANY; i++) {
            epio_op *op = count_delivery(&ops[i], &delivered);
            memset(data[i], (int)(i + (size_t)round), REGION);
            epio_submit(epio_write(op, file, data[i], REGION, i * REGION));
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
    endings_teardown();
}

static void mixed_endings_lose_nothing(fixture *f)
{
    mix(f, false);
    mix(f, true);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(every_verb_with_every_ending, ON_OS_PERFORM),
        FIXTURE_TEST(a_read_beyond_the_end, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancel_and_its_two_packets, ON_OS_PERFORM),
        FIXTURE_TEST(a_cancel_that_comes_too_late, ON_OS_PERFORM),
        FIXTURE_TEST(ops_that_end_at_once_share_an_iteration, ON_OS_PERFORM),
        FIXTURE_TEST(a_direct_file_may_end_anywhere, ON_OS_PERFORM),
        FIXTURE_TEST(a_message_comes_in_parts, ON_OS_PERFORM),
        FIXTURE_TEST(a_stream_that_skips_packets_or_not, ON_OS_PERFORM),
        FIXTURE_TEST(an_abort_without_a_cancel_is_an_error, ON_OS_PERFORM),
        FIXTURE_TEST(control_c_at_a_console_is_no_end_of_file, ON_OS_PERFORM),
        FIXTURE_TEST(a_flush_that_fails, ON_OS_PERFORM),
        FIXTURE_TEST(data_alone_is_flushed_on_ntfs, ON_OS_PERFORM),
        FIXTURE_TEST(remote_files_go_to_workers, ON_OS_PERFORM),
        FIXTURE_TEST(a_lock_ends_in_each_way, ON_OS_PERFORM),
        FIXTURE_TEST(mixed_endings_lose_nothing, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("endings of Win32 calls", tests);
}
