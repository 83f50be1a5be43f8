/* A window that stays responsive while it reads a file.
 *
 *     win32_window [--post] [FILE]
 *
 * Reads FILE, or a file dropped on the window, with several reads in flight and counts its lines;
 * the title shows the progress. The window's thread is the only one, and its message loop drives
 * epio in one of two forms:
 *
 *   default    waits for messages and for the loop's handle at the same time. No
 *              other thread is needed, but the message loop must be the program's own:
 *              while the system runs another (the user drags the window, a menu or
 *              a message box is open) epio pauses
 *   --post     epio posts a message to the window when it has work. Works in any
 *              message loop, including those of the system and of frameworks */
#define UNICODE
#define WIN32_LEAN_AND_MEAN

#include <epio/epio.h>

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>

#include <shellapi.h>

#define SLOTS 8
#define SLOT_SIZE ((size_t)256 * 1024)
/* The longest path of Windows, in UTF-16 and in UTF-8. */
#define WIDE_SIZE 32768
#define PATH_SIZE (3 * WIDE_SIZE)
#define TEXT_SIZE 512

/* Completions delivered before user input is handled again. */
#define DELIVERIES 64

/* Posted to the window: epio has work. */
#define WM_EPIO_READY (WM_APP + 1)
/* A poll that was put off. */
#define EPIO_TIMER 1

#define TITLE "epio"

/* A buffer and the read that fills it. */
struct slot {
    epio_op op;
    unsigned char *buffer;
};

struct viewer {
    HWND window;
    epio_loop *loop;
    char text[TEXT_SIZE];   /* what the window shows */
    char path[PATH_SIZE];   /* of the file being read */
    char wanted[PATH_SIZE]; /* the next file; "": none */
    bool active;            /* from opening to closing */
    bool given_up;          /* another file is wanted, or the program ends */
    epio_op op;             /* opens, gets the size, closes */
    epio_file *file;
    uint64_t size;
    uint64_t next;     /* where the next read starts */
    uint64_t finished; /* bytes read */
    uint64_t lines;
    unsigned shown; /* per cent, in the title */
    unsigned busy;  /* slots in flight */
    int64_t error;  /* the first */
    struct slot slots[SLOTS];
};

static struct viewer viewer;
static unsigned char buffers[SLOTS][SLOT_SIZE];

/* ---- Texts: UTF-8 here, UTF-16 in Windows ------------------------------- */

static void to_wide(const char *text, wchar_t *wide, int size)
{
    if (MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, size) == 0) {
        wide[0] = L'\0';
    }
}

static bool from_wide(const wchar_t *wide, char *text, int size)
{
    return WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, wide, -1, text, size, NULL, NULL) > 0;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *backslash = strrchr(path, '\\');
    const char *last =
        slash == NULL || (backslash != NULL && backslash > slash) ? backslash : slash;

    return last == NULL ? path : last + 1;
}

static void set_title(const char *name, const char *what)
{
    char title[TEXT_SIZE];
    wchar_t wide[TEXT_SIZE];

    snprintf(title, sizeof title, "%.300s: %s - " TITLE, name, what);
    to_wide(title, wide, TEXT_SIZE);
    SetWindowTextW(viewer.window, wide);
}

static void set_text(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(viewer.text, sizeof viewer.text, format, arguments);
    va_end(arguments);
    InvalidateRect(viewer.window, NULL, TRUE);
}

/* Drawing is slow compared with reading: draws only changes. */
static void show_progress(void)
{
    double part = viewer.size == 0 ? 1 : (double)viewer.finished / (double)viewer.size;
    unsigned now = part < 1 ? (unsigned)(part * 100) : 100;
    char text[32];

    if (now == viewer.shown) {
        return;
    }
    viewer.shown = now;
    snprintf(text, sizeof text, "%u %%", now);
    set_title(name_of(viewer.path), text);
}

static void show_result(void)
{
    const char *name = name_of(viewer.path);

    if (viewer.error != 0) {
        set_title(name, epio_error_name(viewer.error));
        set_text("%.300s: %s.", name, epio_error_message(viewer.error));
    } else {
        set_title(name, "100 %");
        set_text("%.300s: %" PRIu64 " bytes, %" PRIu64 " line feeds.\nDrop another file here.",
                 name, viewer.finished, viewer.lines);
    }
}

/* ---- Reading: one operation leads to the next --------------------------- */

static void start_wanted(void);

static void fail(int64_t error)
{
    if (viewer.error == 0) {
        viewer.error = error;
    }
}

static void file_closed(epio_op *op)
{
    if (op->result < 0) {
        fail(op->result);
    }
    viewer.file = NULL;
    viewer.active = false;
    if (!viewer.given_up) {
        show_result();
    }
    start_wanted();
}

static void close_file(void)
{
    viewer.op.done = file_closed;
    epio_submit(epio_close(&viewer.op, viewer.file));
}

static bool has_more(void)
{
    return viewer.error == 0 && !viewer.given_up && viewer.next < viewer.size;
}

static void read_on(struct slot *slot)
{
    uint64_t offset = viewer.next;

    viewer.next += SLOT_SIZE;
    viewer.busy++;
    epio_submit(epio_read(&slot->op, viewer.file, slot->buffer, SLOT_SIZE, offset));
}

static void count_lines(const unsigned char *data, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        viewer.lines += data[i] == '\n';
    }
}

static void slot_done(epio_op *op)
{
    struct slot *slot = op->user;

    viewer.busy--;
    if (op->result < 0) {
        fail(op->result);
    } else {
        viewer.finished += (uint64_t)op->result;
        count_lines(slot->buffer, (size_t)op->result);
        show_progress();
    }
    if (has_more()) {
        read_on(slot);
    } else if (viewer.busy == 0) {
        close_file();
    }
}

static void size_known(epio_op *op)
{
    int i;

    if (op->result < 0) {
        fail(op->result);
    } else {
        viewer.size = (uint64_t)op->result;
    }
    show_progress();
    for (i = 0; i < SLOTS && has_more(); i++) {
        read_on(&viewer.slots[i]);
    }
    if (viewer.busy == 0) {
        close_file();
    }
}

static void file_opened(epio_op *op)
{
    if (op->result < 0) {
        fail(op->result);
        viewer.active = false;
        if (!viewer.given_up) {
            show_result();
        }
        start_wanted();
        return;
    }
    viewer.file = op->file;
    op->done = size_known;
    epio_submit(epio_size(op, viewer.file));
}

/* Starts the wanted file, if there is one and no other is being read. */
static void start_wanted(void)
{
    if (viewer.active || viewer.wanted[0] == '\0') {
        return;
    }
    memcpy(viewer.path, viewer.wanted, sizeof viewer.path);
    viewer.wanted[0] = '\0';
    viewer.active = true;
    viewer.given_up = false;
    viewer.error = 0;
    viewer.size = viewer.next = viewer.finished = viewer.lines = 0;
    viewer.shown = UINT_MAX;
    set_text("Reading %.300s...", name_of(viewer.path));
    viewer.op.done = file_opened;
    epio_submit(epio_open(&viewer.op, epio_loop_vfs(viewer.loop), viewer.path, EPIO_OPEN_READ));
}

/* Ops in flight end soon; the last of them closes the file. Cancelling has no effect on idle ops,
 * nor on a close. */
static void give_up(void)
{
    int i;

    viewer.given_up = true;
    epio_cancel(&viewer.op);
    for (i = 0; i < SLOTS; i++) {
        epio_cancel(&viewer.slots[i].op);
    }
}

static void want(const wchar_t *path)
{
    if (!from_wide(path, viewer.wanted, sizeof viewer.wanted)) {
        viewer.wanted[0] = '\0';
        set_text("The file's name is not valid Unicode.");
        return;
    }
    if (viewer.active) {
        give_up();
    }
    start_wanted();
}

/* ---- The window --------------------------------------------------------- */

static void take_dropped(HDROP drop)
{
    static wchar_t path[WIDE_SIZE];

    if (DragQueryFileW(drop, 0, path, WIDE_SIZE) > 0) {
        want(path);
    }
    DragFinish(drop);
}

static void paint(HWND window)
{
    wchar_t wide[TEXT_SIZE];
    PAINTSTRUCT paint;
    RECT area;
    HDC context = BeginPaint(window, &paint);

    to_wide(viewer.text, wide, TEXT_SIZE);
    GetClientRect(window, &area);
    InflateRect(&area, -20, -20);
    DrawTextW(context, wide, -1, &area, DT_CENTER | DT_WORDBREAK | DT_NOPREFIX);
    EndPaint(window, &paint);
}

/* Posted messages come before the user's input and before painting, so a fast file would delay
 * those until its end. If some are waiting, epio lets them go first: it posts no more before it
 * is polled, and a timer's message comes last. */
static void epio_is_ready(HWND window)
{
    bool others_wait = HIWORD(GetQueueStatus(QS_INPUT | QS_PAINT)) != 0;

    if (!others_wait || SetTimer(window, EPIO_TIMER, USER_TIMER_MINIMUM, NULL) == 0) {
        /* If this leaves work, epio posts again. */
        epio_loop_poll(viewer.loop, 0, DELIVERIES);
    }
}

static void timer_is_due(HWND window)
{
    KillTimer(window, EPIO_TIMER);
    epio_loop_poll(viewer.loop, 0, DELIVERIES);
}

static LRESULT CALLBACK handle_message(HWND window, UINT message, WPARAM wparam, LPARAM lparam)
{
    switch (message) {
    case WM_EPIO_READY:
        epio_is_ready(window);
        return 0;
    case WM_TIMER:
        timer_is_due(window);
        return 0;
    case WM_DROPFILES:
        take_dropped((HDROP)wparam);
        return 0;
    case WM_PAINT:
        paint(window);
        return 0;
    case WM_DESTROY:
        PostQuitMessage(0);
        return 0;
    default:
        return DefWindowProcW(window, message, wparam, lparam);
    }
}

static bool make_window(HINSTANCE instance, int show)
{
    WNDCLASSW class = {0};

    class.lpfnWndProc = handle_message;
    class.hInstance = instance;
    class.hCursor = LoadCursorW(NULL, (const wchar_t *)IDC_ARROW);
    class.hbrBackground = (HBRUSH)(COLOR_WINDOW + 1);
    class.lpszClassName = L"epio_window";
    if (RegisterClassW(&class) == 0) {
        return false;
    }
    viewer.window =
        CreateWindowExW(WS_EX_ACCEPTFILES, class.lpszClassName, L"" TITLE, WS_OVERLAPPEDWINDOW,
                        CW_USEDEFAULT, CW_USEDEFAULT, 480, 200, NULL, NULL, instance, NULL);
    if (viewer.window == NULL) {
        return false;
    }
    ShowWindow(viewer.window, show);
    return true;
}

/* ---- Two message loops -------------------------------------------------- */

/* False: the program has to end. */
static bool dispatch_messages(void)
{
    MSG message;

    while (PeekMessageW(&message, NULL, 0, 0, PM_REMOVE)) {
        if (message.message == WM_QUIT) {
            return false;
        }
        TranslateMessage(&message);
        DispatchMessageW(&message);
    }
    return true;
}

/* Waits for both and then handles both: if two are ready, only the first is reported. */
static int64_t run_on_handle(void)
{
    intptr_t handle = epio_loop_handle(viewer.loop);
    HANDLE waited;

    if (handle < 0) {
        return handle;
    }
    waited = (HANDLE)handle;
    while (dispatch_messages()) {
        DWORD woken =
            MsgWaitForMultipleObjectsEx(1, &waited, INFINITE, QS_ALLINPUT, MWMO_INPUTAVAILABLE);

        if (woken == WAIT_FAILED) {
            return epio_error_from_os((int32_t)GetLastError());
        }
        epio_loop_poll(viewer.loop, 0, DELIVERIES);
    }
    return 0;
}

/* Any thread. Only posts a message to the window. */
static void tell_window(void *user)
{
    PostMessageW(user, WM_EPIO_READY, 0, 0);
}

static int64_t run_on_messages(void)
{
    MSG message;
    int error = epio_loop_on_ready(viewer.loop, tell_window, viewer.window);

    if (error != 0) {
        return error;
    }
    while (GetMessageW(&message, NULL, 0, 0) > 0) {
        TranslateMessage(&message);
        DispatchMessageW(&message);
    }
    return epio_loop_on_ready(viewer.loop, NULL, NULL);
}

/* ---- The program -------------------------------------------------------- */

static void prepare_slots(void)
{
    int i;

    for (i = 0; i < SLOTS; i++) {
        struct slot *slot = &viewer.slots[i];

        slot->op.done = slot_done;
        slot->op.user = slot;
        slot->buffer = buffers[i];
    }
}

/* Starts the file of the command line. True: --post. */
static bool take_arguments(void)
{
    int count = 0, i = 1;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);
    bool post = false;

    if (arguments == NULL) {
        return false;
    }
    if (i < count && wcscmp(arguments[i], L"--post") == 0) {
        post = true;
        i++;
    }
    if (i < count) {
        want(arguments[i]);
    }
    LocalFree(arguments);
    return post;
}

static int tell_error(const char *what, int64_t error)
{
    char text[TEXT_SIZE];
    wchar_t wide[TEXT_SIZE];

    snprintf(text, sizeof text, "%s: %s", what, epio_error_message(error));
    to_wide(text, wide, TEXT_SIZE);
    MessageBoxW(NULL, wide, L"" TITLE, MB_ICONERROR);
    return 1;
}

/* Where its output goes, if that is anywhere: a program with a window has no console. */
static int print_help(void)
{
    static const char text[] =
        "usage: win32_window [--post] [FILE]\r\n\r\n"
        "Reads FILE, or one that is dropped on its window, and counts its "
        "lines. --post: epio posts\r\n"
        "a message when it has work; else the loop waits for its handle.\r\n";
    HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD written;
    if (!WriteFile(out, text, sizeof text - 1, &written, NULL)) {
        MessageBoxA(NULL, text, TITLE, MB_OK);
    }
    return 0;
}

int WINAPI wWinMain(HINSTANCE instance, HINSTANCE previous, PWSTR command_line, int show)
{
    int64_t error;

    (void)previous;
    if (wcscmp(command_line, L"--help") == 0) {
        return print_help();
    }
    error = epio_loop_create(&viewer.loop, NULL);
    if (error != 0) {
        return tell_error("cannot make a loop", error);
    }
    prepare_slots();
    if (!make_window(instance, show)) {
        error = epio_error_from_os((int32_t)GetLastError());
    } else {
        set_text("Drop a file here.");
        error = take_arguments() ? run_on_messages() : run_on_handle();
    }
    /* The file may still be open, with reads in flight. */
    viewer.wanted[0] = '\0';
    give_up();
    epio_loop_run(viewer.loop);
    epio_loop_destroy(viewer.loop);
    return error < 0 ? tell_error("the window has to close", error) : 0;
}
