/* What the system's reports of changes become, scripted: Wine has neither the extended records nor
 * whole trees. A call of the system is under way on the test's directory for something that does
 * not happen there; the test ends it, and the answer is the script's.
 * EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "replay.h"
#include "tree_win32.h"

#include "win32/win32.h"

#include <wchar.h>

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_LIMIT_OS)
#define ROOM ((size_t)65536)

#define DIRECTORY_BIT FILE_ATTRIBUTE_DIRECTORY
#define LINK_BITS (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT)

static epio__win32_calls real; /* as they were at first: a test that fails leaves its own */

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

/* ---- The script ----------------------------------------------------------------------- */

/* How a call begins. */
typedef struct form {
    bool extended;
    DWORD filter;
    DWORD error;
} form;

static struct {
    bool plain;        /* the extended call is not there */
    DWORD start_error; /* of the calls from now on */
    form forms[8];     /* the calls that there were */
    unsigned calls;
    HANDLE started; /* an event */
    HANDLE taken;   /* another: the answer was */
    HANDLE handle;
    OVERLAPPED *overlapped;
    void *buffer;
    DWORD len;
    BOOL tree;

    bool answers;
    DWORD error;
    size_t used;
    size_t last; /* where the latest record begins */
    size_t step; /* records begin at multiples of it */
    unsigned char records[ROOM];
} script;

static BOOL scripted_changes(HANDLE handle, LPVOID buffer, DWORD len, BOOL tree, DWORD filter,
                             LPOVERLAPPED overlapped, bool extended)
{
    DWORD error = script.plain && extended ? ERROR_CALL_NOT_IMPLEMENTED : script.start_error;
    script.forms[script.calls++ % 8] = (form){extended, filter, error};
    script.handle = handle;
    script.overlapped = overlapped;
    script.buffer = buffer;
    script.len = len;
    script.tree = tree;
    if (error != 0) {
        return end_with(error);
    }
    BOOL done = real.read_changes(handle, buffer, len, FALSE, FILE_NOTIFY_CHANGE_SECURITY,
                                  overlapped, false);
    require(done);
    require(SetEvent(script.started));
    return end_with(ERROR_IO_PENDING);
}

static BOOL WINAPI scripted_result(HANDLE handle, LPOVERLAPPED overlapped, LPDWORD bytes, BOOL wait)
{
    if (overlapped != script.overlapped || !script.answers) {
        return real.get_overlapped_result(handle, overlapped, bytes, wait);
    }
    script.answers = false;
    memcpy(script.buffer, script.records, script.used);
    *bytes = (DWORD)script.used;
    require(SetEvent(script.taken));
    return end_with(script.error);
}

static bool yes(void)
{
    return true;
}

static bool no(void)
{
    return false;
}

static void begin_script(bool plain)
{
    check(ResetEvent(script.started) && ResetEvent(script.taken));
    epio__win32 = real;
    epio__win32.read_changes = scripted_changes;
    epio__win32.get_overlapped_result = scripted_result;
    epio__win32.watches_trees = yes;
    script.plain = plain;
    script.start_error = 0;
    script.calls = 0;
    script.answers = false;
    script.used = 0;
    script.step = plain ? 4 : 8;
}

/* A record of the next answer. */
static void record(DWORD action, DWORD attributes, const WCHAR *name)
{
    size_t name_len_at = script.plain ? 8 : 80;
    DWORD bytes = (DWORD)(wcslen(name) * sizeof *name);
    size_t at = (script.used + script.step - 1) / script.step * script.step;
    check(at + name_len_at + 4 + bytes <= ROOM);
    if (script.used != 0) {
        DWORD next = (DWORD)(at - script.last);
        memcpy(script.records + script.last, &next, sizeof next);
    }
    memset(script.records + at, 0, name_len_at);
    memcpy(script.records + at + 4, &action, sizeof action);
    if (!script.plain) {
        DWORD tag = IO_REPARSE_TAG_SYMLINK; /* of a file without one, another number */
        memcpy(script.records + at + 56, &attributes, sizeof attributes);
        memcpy(script.records + at + 60, &tag, sizeof tag);
    }
    memcpy(script.records + at + name_len_at, &bytes, sizeof bytes);
    memcpy(script.records + at + name_len_at + 4, name, bytes);
    script.last = at;
    script.used = at + name_len_at + 4 + bytes;
}

/* The call that is under way, or soon will be, ends with the records, and this error. */
static void answer(DWORD error)
{
    check(WaitForSingleObject(script.started, INFINITE) == WAIT_OBJECT_0);
    script.error = error;
    script.answers = true;
    check(CancelIoEx(script.handle, script.overlapped));
    check(WaitForSingleObject(script.taken, INFINITE) == WAIT_OBJECT_0);
}

static void forget_records(void)
{
    script.used = 0;
}

/* ---- The watch ------------------------------------------------------------------------ */

static epio_file *begin_watch(fixture *f, const char *name, uint32_t flags)
{
    epio_op op = {0};
    check_op(f, epio_watch(&op, f->vfs, fixture_path(f, name), flags), 0);
    return op.file;
}

static void print_event(char *text, size_t size, const epio_event *event)
{
    static const char kinds[] = "?+~->@!";
    static const char types[] = {[EPIO_TYPE_UNKNOWN] = '?',
                                 [EPIO_TYPE_FILE] = 'f',
                                 [EPIO_TYPE_DIRECTORY] = 'd',
                                 [EPIO_TYPE_LINK] = 'l'};
    size_t len = strlen(text);
    (void)snprintf(text + len, size - len, "%c%c %s%s%s\n", kinds[event->kind], types[event->type],
                   event->from_len != 0 ? epio_event_from(event) : "",
                   event->from_len != 0 ? " " : "", epio_event_name(event));
}

/* Reads events until there are as many as expected: a line for each, of its kind, type and names.
 */
static void expect(fixture *f, epio_file *watch, const char *expected)
{
    static uint64_t buffer[ROOM / 8];
    char text[4096] = "";
    while (strlen(text) < strlen(expected)) {
        epio_op op = {.timeout_ns = UINT64_C(60000000000)};
        int64_t len = fixture_result(f, epio_read_events(&op, watch, buffer, sizeof buffer));
        if (len <= 0) {
            print_error("only: %s", text);
        }
        check(len > 0);
        const epio_event *event = NULL;
        while ((event = epio_event_next(buffer, (size_t)len, event)) != NULL) {
            print_event(text, sizeof text, event);
        }
    }
    assert_string_equal(text, expected);
}

static void end_watch(fixture *f, epio_file *watch)
{
    fixture_close(f, watch);
    epio__win32 = real;
}

/* ---- Records -------------------------------------------------------------------------- */

static void records_become_events(fixture *f)
{
    begin_script(false);
    epio_file *watch = begin_watch(f, ".", 0);
    check(!script.tree && script.forms[0].extended);
    record(FILE_ACTION_ADDED, FILE_ATTRIBUTE_ARCHIVE, L"file");
    record(FILE_ACTION_MODIFIED, FILE_ATTRIBUTE_ARCHIVE, L"file");
    record(FILE_ACTION_ADDED, DIRECTORY_BIT, L"directory");
    record(FILE_ACTION_MODIFIED, DIRECTORY_BIT, L"directory");
    record(FILE_ACTION_ADDED, LINK_BITS, L"link");
    record(FILE_ACTION_RENAMED_OLD_NAME, FILE_ATTRIBUTE_ARCHIVE, L"file");
    record(FILE_ACTION_RENAMED_NEW_NAME, FILE_ATTRIBUTE_ARCHIVE, L"other");
    record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_ARCHIVE, L"other");
    record(6, FILE_ATTRIBUTE_ARCHIVE, L"new:attribute");
    record(7, FILE_ATTRIBUTE_ARCHIVE, L"old:attribute");
    record(8, FILE_ATTRIBUTE_ARCHIVE, L"other:attribute");
    record(9, FILE_ATTRIBUTE_ARCHIVE, L"of no matter");
    record(FILE_ACTION_MODIFIED, DIRECTORY_BIT, L"");
    record(8, DIRECTORY_BIT, L":attribute");
    record(FILE_ACTION_REMOVED, 0, L"gone");
    answer(0);
    expect(f, watch,
           "+f file\n~f file\n+d directory\n@d directory\n+l link\n>f file other\n-f other\n"
           "@f new\n@f old\n@f other\n-? gone\n");
    end_watch(f, watch);
}

/* At any distance of each other, with any name. */
static void records_lie_anywhere(fixture *f)
{
    static const WCHAR half[] = {L'h', 0xD83D, 0};
    for (int plain = 0; plain < 2; plain++) {
        for (size_t step = 1; step < 12; step++) {
            char expected[1200] = "+f a\\-? b\n";
            WCHAR name[512];
            begin_script(plain != 0);
            epio_file *watch = begin_watch(f, ".", 0);
            script.step = step;
            (void)strcpy(expected,
                         "-f b/c\n-f \xe2\x82\xac\xf0\x9f\x98\x80\n-f h\xed\xa0\xbd\n-f ");
            for (size_t i = 0; i < 511; i++) {
                name[i] = i % 100 == 99 ? L'\\' : L'n';
            }
            name[511] = L'\0';
            record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"b\\c");
            record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"\x20ac\xd83d\xde00");
            record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, half);
            record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, name);
            answer(0);
            for (size_t i = 0; i < 511; i++) {
                (void)strcat(expected, name[i] == L'\\' ? "/" : "n");
            }
            (void)strcat(expected, "\n");
            for (char *at = expected; plain != 0 && (at = strstr(at, "-f")) != NULL;) {
                at[1] = '?';
            }
            expect(f, watch, expected);
            end_watch(f, watch);
        }
    }
}

/* Without the extended records the types are those of what is there. */
static void types_are_asked_for(fixture *f)
{
    fixture_put(f, "file", "", 0);
    make_directory(f, "directory");
    begin_script(true);
    epio_file *watch = begin_watch(f, ".", 0);
    check(script.calls == 3 && !script.forms[2].extended);
    record(FILE_ACTION_ADDED, 0, L"file");
    record(FILE_ACTION_ADDED, 0, L"directory");
    record(FILE_ACTION_MODIFIED, 0, L"directory");
    record(FILE_ACTION_MODIFIED, 0, L"file");
    record(FILE_ACTION_ADDED, 0, L"none");
    record(FILE_ACTION_MODIFIED, 0, L"none");
    record(FILE_ACTION_RENAMED_OLD_NAME, 0, L"x");
    record(FILE_ACTION_RENAMED_NEW_NAME, 0, L"directory");
    record(FILE_ACTION_REMOVED, 0, L"file");
    answer(0);
    expect(f, watch,
           "+f file\n+d directory\n@d directory\n~f file\n+? none\n~? none\n>d x directory\n"
           "-? file\n");
    end_watch(f, watch);
}

static void renames_may_be_split(fixture *f)
{
    const DWORD file = FILE_ATTRIBUTE_ARCHIVE;
    begin_script(false);
    epio_file *watch = begin_watch(f, ".", 0);
    record(FILE_ACTION_ADDED, file, L"a");
    record(FILE_ACTION_RENAMED_OLD_NAME, file, L"a");
    answer(0);
    forget_records();
    record(FILE_ACTION_RENAMED_NEW_NAME, file, L"b");
    record(FILE_ACTION_RENAMED_OLD_NAME, file, L"b");
    record(FILE_ACTION_ADDED, file, L"c");
    record(FILE_ACTION_RENAMED_NEW_NAME, file, L"d");
    record(FILE_ACTION_RENAMED_OLD_NAME, file, L"e");
    record(FILE_ACTION_RENAMED_OLD_NAME, file, L"f");
    answer(0);
    expect(f, watch, "+f a\n>f a b\n-f b\n+f c\n+f d\n-f e\n");
    forget_records();
    answer(0);
    expect(f, watch, "!? \n");
    record(FILE_ACTION_RENAMED_NEW_NAME, file, L"g");
    record(FILE_ACTION_RENAMED_OLD_NAME, file, L"h");
    answer(0);
    expect(f, watch, "+f g\n");
    end_watch(f, watch);
}

/* ---- Losses and ends ------------------------------------------------------------------ */

static void losses_are_reported(fixture *f)
{
    for (int plain = 0; plain < 2; plain++) {
        begin_script(plain != 0);
        epio_file *watch = begin_watch(f, ".", 0);
        record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"a");
        answer(0);
        expect(f, watch, plain != 0 ? "-? a\n" : "-f a\n");
        forget_records();
        answer(0);
        expect(f, watch, "!? \n");
        answer(ERROR_NOTIFY_ENUM_DIR);
        expect(f, watch, "!? \n");
        /* Records that are none. */
        for (int i = 0; i < 5; i++) {
            const DWORD wrong = i == 4 ? 1 : 0x7FFFFFFF;
            forget_records();
            record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"b");
            size_t at = i == 0 || i == 4 ? 0 : (size_t)(plain != 0 ? 8 : 80);
            memcpy(script.records + at, &wrong, sizeof wrong);
            script.used = i == 2 ? 5 : i == 3 ? 13 : script.used;
            answer(0);
            expect(f, watch, i != 4 ? "!? \n" : plain != 0 ? "-? b\n!? \n" : "-f b\n!? \n");
        }
        forget_records();
        record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"c");
        answer(0);
        expect(f, watch, plain != 0 ? "-? c\n" : "-f c\n");
        end_watch(f, watch);
    }
}

static BOOL WINAPI removed_directory(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS which, LPVOID to,
                                     DWORD size)
{
    if (handle == script.handle && which == FileStandardInfo) {
        *(FILE_STANDARD_INFO *)to = (FILE_STANDARD_INFO){.DeletePending = TRUE};
        return TRUE;
    }
    return real.get_information(handle, which, to, size);
}

static void check_end(fixture *f, epio_file *watch)
{
    uint64_t buffer[8];
    epio_op op = {0};
    DWORD flags;
    check_op(f, epio_read_events(&op, watch, buffer, sizeof buffer), 0);
    check_op(f, epio_read_events(&op, watch, buffer, sizeof buffer), 0);
    check(!f->performs || !GetHandleInformation(script.handle, &flags));
    end_watch(f, watch);
}

static void a_removed_directory_ends_its_watch(fixture *f)
{
    begin_script(false);
    epio__win32.get_information = removed_directory;
    epio_file *watch = begin_watch(f, ".", 0);
    record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"a");
    answer(0);
    forget_records();
    answer(ERROR_ACCESS_DENIED);
    expect(f, watch, "-f a\n-d \n");
    check_end(f, watch);
}

static void a_lost_directory_ends_its_watch(fixture *f)
{
    static const DWORD errors[] = {ERROR_NETNAME_DELETED, ERROR_ACCESS_DENIED, ERROR_DEVICE_REMOVED,
                                   ERROR_NOT_SUPPORTED};
    for (size_t i = 0; i < 4; i++) {
        begin_script(false);
        epio_file *watch = begin_watch(f, ".", 0);
        record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"a");
        answer(0);
        forget_records();
        answer(errors[i]);
        expect(f, watch, "-f a\n!? \n-d \n");
        check_end(f, watch);
        /* Or with the next call. */
        begin_script(true);
        watch = begin_watch(f, ".", 0);
        script.start_error = errors[i];
        record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"a");
        answer(0);
        expect(f, watch, "-? a\n!? \n-d \n");
        check_end(f, watch);
    }
}

/* A call that something else has ended is made again. */
static void calls_are_repeated(fixture *f)
{
    begin_script(false);
    epio_file *watch = begin_watch(f, ".", 0);
    for (int i = 0; i < 3; i++) {
        answer(ERROR_OPERATION_ABORTED);
    }
    record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"a");
    answer(0);
    expect(f, watch, "-f a\n");
    end_watch(f, watch);
}

/* ---- Beginning ------------------------------------------------------------------------ */

static DWORD start_errors[4];

static BOOL refused_changes(HANDLE handle, LPVOID buffer, DWORD len, BOOL tree, DWORD filter,
                            LPOVERLAPPED overlapped, bool extended)
{
    unsigned call = script.calls;
    script.start_error = call < 4 ? start_errors[call] : 0;
    return scripted_changes(handle, buffer, len, tree, filter, overlapped, extended);
}

/* From the most that a file system may report to the least. */
static void what_is_reported_is_found(fixture *f)
{
    static const DWORD not_understood[] = {ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED,
                                           ERROR_INVALID_PARAMETER, ERROR_INVALID_LEVEL};
    for (unsigned refused = 0; refused <= 4; refused++) {
        epio_op op = {0};
        begin_script(false);
        epio__win32.read_changes = refused_changes;
        for (unsigned i = 0; i < 4; i++) {
            start_errors[i] = i < refused ? not_understood[(i + refused) % 4] : 0;
        }
        check_op(f, epio_watch(&op, f->vfs, fixture_path(f, "."), 0),
                 refused < 4 ? 0 : EPIO_WATCH_COMPARES);
        check_result(script.calls, refused < 4 ? refused + 1 : 4);
        for (unsigned i = 0; i < script.calls; i++) {
            const DWORD base = FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME |
                               FILE_NOTIFY_CHANGE_ATTRIBUTES | FILE_NOTIFY_CHANGE_SIZE |
                               FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_CREATION |
                               FILE_NOTIFY_CHANGE_SECURITY;
            check(script.forms[i].extended == (i < 2));
            check(script.forms[i].filter == (i % 2 == 0 ? base | 0xE00 : base));
        }
        epio__win32.read_changes = real.read_changes;
        end_watch(f, op.file);
    }
}

static DWORD refusals;

static BOOL WINAPI remote_directory(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS which, LPVOID to,
                                    DWORD size)
{
    return which == FileRemoteProtocolInfo || real.get_information(handle, which, to, size);
}

/* As a server does, whose answer comes later. */
static BOOL late_refusal(HANDLE handle, LPVOID buffer, DWORD len, BOOL tree, DWORD filter,
                         LPOVERLAPPED overlapped, bool extended)
{
    (void)scripted_changes(handle, buffer, len, tree, filter, overlapped, extended);
    if (script.calls <= refusals) {
        script.error = ERROR_NOT_SUPPORTED;
        script.answers = true;
        require(CancelIoEx(handle, overlapped));
    }
    return end_with(ERROR_IO_PENDING);
}

static void servers_may_refuse_late(fixture *f)
{
    for (refusals = 0; refusals <= 4; refusals++) {
        epio_op op = {0};
        begin_script(false);
        epio__win32.get_information = remote_directory;
        epio__win32.read_changes = late_refusal;
        int64_t result = fixture_result(f, epio_watch(&op, f->vfs, fixture_path(f, "."), 0));
        check_result(result, refusals < 4 ? 0 : EPIO_WATCH_COMPARES);
        check_result(script.calls, refusals < 4 ? refusals + 1 : 4);
        if (refusals < 4) {
            script.plain = refusals >= 2;
            record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"a");
            answer(0);
            expect(f, op.file, refusals >= 2 ? "-? a\n" : "-f a\n");
        }
        end_watch(f, op.file);
    }
}

static void beginning_may_fail(fixture *f)
{
    static const struct {
        DWORD error;
        int result;
    } failures[] = {{ERROR_ACCESS_DENIED, EPIO_EACCES},
                    {ERROR_NO_SYSTEM_RESOURCES, EPIO_ENOMEM},
                    {ERROR_NETNAME_DELETED, EPIO_EIO}};
    epio_op op = {0};
    fixture_put(f, "file", "", 0);
    for (size_t i = 0; i < 3; i++) {
        begin_script(false);
        script.start_error = failures[i].error;
        check_op_fails(f, epio_watch(&op, f->vfs, fixture_path(f, "."), 0), failures[i].result,
                       (int32_t)failures[i].error);
        check_result(script.calls, 1);
        check(op.file == NULL);
        epio__win32 = real;
    }
    check_op_fails(f, epio_watch(&op, f->vfs, fixture_path(f, "none"), 0), EPIO_ENOENT,
                   ERROR_FILE_NOT_FOUND);
    check_op(f, epio_watch(&op, f->vfs, fixture_path(f, "file/none"), 0), EPIO_ENOTDIR);
    check_op_fails(f, epio_watch(&op, f->vfs, fixture_path(f, "file"), 0), EPIO_ENOTDIR,
                   ERROR_DIRECTORY);
    check_op(f, epio_watch(&op, f->vfs, fixture_path(f, "AUX"), 0), EPIO_EINVAL);
}

static void trees_are_not_watched_by_halves(fixture *f)
{
    epio_op op = {0};
    begin_script(false);
    epio__win32.watches_trees = no;
    check_op(f, epio_watch(&op, f->vfs, fixture_path(f, "."), EPIO_WATCH_RECURSIVE),
             EPIO_WATCH_COMPARES);
    check_result(script.calls, 0);
    end_watch(f, op.file);
    check(real.watches_trees() == !system_is_wine());
}

/* ---- Trees ---------------------------------------------------------------------------- */

#define DIRECTORY_IS(action, name) record(FILE_ACTION_##action, DIRECTORY_BIT, name)

static void put_empty(fixture *f, const char *name)
{
    fixture_put(f, name, "", 0);
}

static void move(fixture *f, const char *from, const char *to)
{
    epio_op op = {0};
    check_op(f, epio_rename(&op, f->vfs, fixture_path(f, from), fixture_path(f, to), 0), 0);
}

static epio_file *begin_tree(fixture *f, bool plain)
{
    begin_script(plain);
    epio_file *watch = begin_watch(f, ".", EPIO_WATCH_RECURSIVE);
    check(script.tree);
    return watch;
}

static void moved_directories_are_listed(fixture *f)
{
    for (int plain = 0; plain < 2; plain++) {
        const char *root = plain != 0 ? "p" : "e";
        char names[2][32];
        WCHAR wide[32];
        char expected[256];
        (void)snprintf(names[0], sizeof names[0], "%s/a", root);
        (void)snprintf(names[1], sizeof names[1], "%s/a/f", root);
        make_directory(f, root);
        make_directory(f, names[0]);
        put_empty(f, names[1]);
        epio_file *watch = begin_tree(f, plain != 0);
        (void)swprintf(wide, 32, L"%hs", root);
        DIRECTORY_IS(ADDED, wide);
        record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"x");
        answer(0);
        (void)snprintf(expected, sizeof expected, "+d %s\n+d %s/a\n+f %s/a/f\n-%c x\n", root, root,
                       root, plain != 0 ? '?' : 'f');
        expect(f, watch, expected);
        /* And one whose old name is not known. */
        forget_records();
        DIRECTORY_IS(RENAMED_NEW_NAME, wide);
        answer(0);
        (void)snprintf(expected, sizeof expected, "+d %s\n+d %s/a\n+f %s/a/f\n", root, root, root);
        expect(f, watch, expected);
        end_watch(f, watch);
    }
}

/* Without RECURSIVE it is one entry. */
static void what_is_below_is_not_watched(fixture *f)
{
    make_directory(f, "a");
    put_empty(f, "a/f");
    begin_script(false);
    epio_file *watch = begin_watch(f, ".", 0);
    DIRECTORY_IS(ADDED, L"a");
    DIRECTORY_IS(RENAMED_OLD_NAME, L"a");
    DIRECTORY_IS(RENAMED_NEW_NAME, L"b");
    answer(0);
    expect(f, watch, "+d a\n>d a b\n");
    end_watch(f, watch);
}

/* A directory has another name before it can be listed. */
static void directories_move_on(fixture *f)
{
    for (int plain = 0; plain < 2; plain++) {
        make_directory(f, "d");
        make_directory(f, "d/e");
        put_empty(f, "d/e/f");
        epio_file *watch = begin_tree(f, plain != 0);
        DIRECTORY_IS(ADDED, L"a");
        DIRECTORY_IS(RENAMED_OLD_NAME, L"a");
        DIRECTORY_IS(RENAMED_NEW_NAME, L"b");
        DIRECTORY_IS(RENAMED_OLD_NAME, L"b");
        DIRECTORY_IS(RENAMED_NEW_NAME, L"d");
        answer(0);
        expect(f, watch,
               plain != 0 ? "+? a\n-? a\n+? b\n-d b\n+d d\n+d d/e\n+f d/e/f\n"
                          : "+d a\n-d a\n+d b\n-d b\n+d d\n+d d/e\n+f d/e/f\n");
        /* What was listed keeps its rename. */
        move(f, "d", "g");
        forget_records();
        DIRECTORY_IS(RENAMED_OLD_NAME, L"d");
        DIRECTORY_IS(RENAMED_NEW_NAME, L"g");
        answer(0);
        expect(f, watch, ">d d g\n");
        /* And what is in it, too, by its new name. */
        move(f, "g/e", "g/h");
        forget_records();
        DIRECTORY_IS(RENAMED_OLD_NAME, L"g\\e");
        DIRECTORY_IS(RENAMED_NEW_NAME, L"g\\h");
        answer(0);
        expect(f, watch, ">d g/e g/h\n");
        end_watch(f, watch);
        move(f, "g", plain != 0 ? "q" : "r");
    }
}

/* The listing finds what its own records, which follow, say once more, under names that have
 * changed. */
static void listings_are_late(fixture *f)
{
    make_directory(f, "d");
    make_directory(f, "d/x");
    make_directory(f, "d/y");
    put_empty(f, "d/x/3");
    put_empty(f, "d/y/1");
    put_empty(f, "d/new");
    epio_file *watch = begin_tree(f, false);
    DIRECTORY_IS(ADDED, L"d");
    /* d/x became d/y, and there is another d/x; d/old became d/new. */
    DIRECTORY_IS(RENAMED_OLD_NAME, L"d\\x");
    DIRECTORY_IS(RENAMED_NEW_NAME, L"d\\y");
    record(FILE_ACTION_RENAMED_OLD_NAME, FILE_ATTRIBUTE_NORMAL, L"d\\old");
    record(FILE_ACTION_RENAMED_NEW_NAME, FILE_ATTRIBUTE_NORMAL, L"d\\new");
    DIRECTORY_IS(ADDED, L"d\\x");
    answer(0);
    char text[256];
    (void)snprintf(text, sizeof text, "%s",
                   "-d d/x\n+d d/y\n+f d/y/1\n>f d/old d/new\n+f d/new\n+d d/x\n+f d/x/3\n");
    /* The listing itself has no order. */
    char found[4096] = "";
    static uint64_t buffer[ROOM / 8];
    while (strlen(found) < strlen(text) + strlen("+d d\n+d d/x\n+d d/y\n+f d/new\n+f d/x/3\n+f "
                                                 "d/y/1\n")) {
        epio_op op = {.timeout_ns = UINT64_C(60000000000)};
        int64_t len = fixture_result(f, epio_read_events(&op, watch, buffer, sizeof buffer));
        check(len > 0);
        const epio_event *event = NULL;
        while ((event = epio_event_next(buffer, (size_t)len, event)) != NULL) {
            print_event(found, sizeof found, event);
        }
    }
    check(strncmp(found, "+d d\n", 5) == 0);
    check(strstr(found, "+d d/x\n") != NULL && strstr(found, "+f d/y/1\n") != NULL);
    assert_string_equal(found + strlen(found) - strlen(text), text);
    /* So may records of the next answer be older. */
    forget_records();
    DIRECTORY_IS(RENAMED_OLD_NAME, L"d\\w");
    DIRECTORY_IS(RENAMED_NEW_NAME, L"d\\y");
    answer(0);
    expect(f, watch, "-d d/w\n+d d/y\n+f d/y/1\n");
    /* Two answers later none is. */
    forget_records();
    record(FILE_ACTION_REMOVED, FILE_ATTRIBUTE_NORMAL, L"z");
    for (int i = 0; i < 3; i++) {
        answer(0);
        expect(f, watch, "-f z\n");
    }
    forget_records();
    DIRECTORY_IS(RENAMED_OLD_NAME, L"d\\w");
    DIRECTORY_IS(RENAMED_NEW_NAME, L"d\\y");
    answer(0);
    expect(f, watch, ">d d/w d/y\n");
    end_watch(f, watch);
}

/* A directory above has another name before what was made in it can be listed. */
static void names_change_above(fixture *f)
{
    make_directory(f, "q");
    make_directory(f, "q/d");
    put_empty(f, "q/d/1");
    epio_file *watch = begin_tree(f, false);
    DIRECTORY_IS(ADDED, L"p\\d");
    DIRECTORY_IS(RENAMED_OLD_NAME, L"p");
    DIRECTORY_IS(RENAMED_NEW_NAME, L"q");
    answer(0);
    expect(f, watch, "+d p/d\n>d p q\n-? q/d\n+d q/d\n+f q/d/1\n");
    end_watch(f, watch);
}

/* By the time of its type something else has the name. */
static void another_has_the_name(fixture *f)
{
    make_directory(f, "b");
    put_empty(f, "b/1");
    put_empty(f, "a");
    put_empty(f, "d");
    epio_file *watch = begin_tree(f, true);
    record(FILE_ACTION_ADDED, 0, L"a");
    record(FILE_ACTION_RENAMED_OLD_NAME, 0, L"a");
    record(FILE_ACTION_RENAMED_NEW_NAME, 0, L"b");
    record(FILE_ACTION_ADDED, 0, L"a");
    record(FILE_ACTION_RENAMED_OLD_NAME, 0, L"a");
    record(FILE_ACTION_RENAMED_NEW_NAME, 0, L"d");
    answer(0);
    expect(f, watch, "+f a\n-d a\n+d b\n+f b/1\n+f a\n>f a d\n");
    end_watch(f, watch);
}

static DWORD refused_error;

static DWORD refused_creation(const epio__nt_creation *wanted, HANDLE *handle, bool *created)
{
    return (wanted->access & FILE_LIST_DIRECTORY) != 0 ? refused_error
                                                       : real.nt_create(wanted, handle, created);
}

static void a_listing_that_fails_is_a_loss(fixture *f)
{
    make_directory(f, "d");
    put_empty(f, "d/1");
    epio_file *watch = begin_tree(f, false);
    epio__win32.nt_create = refused_creation;
    refused_error = ERROR_SHARING_VIOLATION;
    DIRECTORY_IS(ADDED, L"d");
    answer(0);
    expect(f, watch, "+d d\n!? \n");
    /* What is gone, or not for us, has nothing to list. */
    refused_error = ERROR_ACCESS_DENIED;
    answer(0);
    expect(f, watch, "+d d\n");
    refused_error = ERROR_PATH_NOT_FOUND;
    answer(0);
    expect(f, watch, "+d d\n");
    end_watch(f, watch);
}

/* ---- While it reports ----------------------------------------------------------------- */

static HANDLE gate;
static HANDLE at_gate;

static DWORD gated_creation(const epio__nt_creation *wanted, HANDLE *handle, bool *created)
{
    require(SetEvent(at_gate));
    require(WaitForSingleObject(gate, INFINITE) == WAIT_OBJECT_0);
    return real.nt_create(wanted, handle, created);
}

static void make_gate(void)
{
    gate = CreateEventW(NULL, TRUE, FALSE, NULL);
    at_gate = CreateEventW(NULL, FALSE, FALSE, NULL);
    check(gate != NULL && at_gate != NULL);
    epio__win32.nt_create = gated_creation;
}

static void remove_gate(void)
{
    check(CloseHandle(gate) && CloseHandle(at_gate));
}

/* The system is asked for more although a report takes long; the order stays. */
static void answers_wait_for_reports(fixture *f)
{
    begin_script(true);
    epio_file *watch = begin_watch(f, ".", 0);
    make_gate();
    record(FILE_ACTION_ADDED, 0, L"a");
    answer(0);
    check(WaitForSingleObject(at_gate, INFINITE) == WAIT_OBJECT_0);
    forget_records();
    record(FILE_ACTION_REMOVED, 0, L"b");
    answer(0);
    forget_records();
    answer(0);
    record(FILE_ACTION_REMOVED, 0, L"c");
    answer(0);
    check(WaitForSingleObject(script.started, INFINITE) == WAIT_OBJECT_0);
    check(SetEvent(gate));
    /* What follows a loss that was not read is part of it. */
    expect(f, watch, "+? a\n-? b\n!? \n");
    check(SetEvent(script.started));
    end_watch(f, watch);
    remove_gate();
}

static void *open_gate(void *unused)
{
    (void)unused;
    sleep_us(1000);
    require(SetEvent(gate));
    return NULL;
}

static void a_close_waits_for_reports(fixture *f)
{
    test_thread opener;
    begin_script(true);
    epio_file *watch = begin_watch(f, ".", 0);
    make_gate();
    record(FILE_ACTION_ADDED, 0, L"a");
    answer(0);
    check(WaitForSingleObject(at_gate, INFINITE) == WAIT_OBJECT_0);
    thread_start(&opener, open_gate, NULL);
    end_watch(f, watch);
    (void)thread_join(opener);
    remove_gate();
}

/* ---- The system's own ----------------------------------------------------------------- */

static void changes_of_the_system(fixture *f)
{
    epio_op op = {0};
    epio__win32 = real;
    make_directory(f, "w");
    epio_file *base = open_directory(f, ".");
    check_op(f, epio_watch(&op, epio_directory_vfs(base), "w", 0), 0);
    epio_file *watch = op.file;
    make_directory(f, "w/d");
    expect(f, watch, "+d d\n");
    move(f, "w/d", "w/\xe2\x82\xac");
    expect(f, watch, ">d d \xe2\x82\xac\n");
    move(f, "w/\xe2\x82\xac", "out");
    expect(f, watch, "-? \xe2\x82\xac\n");
    move(f, "out", "w/in");
    expect(f, watch, "+d in\n");
    check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "w/in"), 0), 0);
    expect(f, watch, "-? in\n");
    fixture_close(f, watch);
    fixture_close(f, base);
}

/* Closed while things happen. */
static void watches_end_at_any_time(fixture *f)
{
    unsigned rounds = fixture_rounds(50);
    make_directory(f, "w");
    epio__win32 = real;
    for (unsigned i = 0; i < rounds; i++) {
        epio_file *watches[4];
        for (int w = 0; w < 4; w++) {
            watches[w] = begin_watch(f, "w", 0);
        }
        make_directory(f, "w/d");
        for (int w = 0; w < 4; w++) {
            if ((i + (unsigned)w) % 3 == 0) {
                expect(f, watches[w], "+d d\n");
            }
            fixture_close(f, watches[w]);
        }
        epio_op op = {0};
        check_op(f, epio_rmdir(&op, f->vfs, fixture_path(f, "w/d"), 0), 0);
    }
}

#define WRITERS 4

typedef struct writer {
    epio_vfs *vfs;
    const char *directories[2]; /* that which is watched, and another */
    unsigned rounds;
    random_source random;
} writer;

static const char *any_name(writer *one, char *name, size_t size)
{
    bool outside = random_between(&one->random, 0, 5) == 0;
    (void)snprintf(name, size, "%s/n%u", one->directories[outside ? 1 : 0],
                   (unsigned)random_between(&one->random, 0, 20));
    return name;
}

/* Makes, changes, renames and removes; what fails because of another thread, or of what is there,
 * is left out. */
static void *write_anything(void *argument)
{
    writer *one = argument;
    for (unsigned i = 0; i < one->rounds; i++) {
        char name[700], to[700];
        epio_op op = {0};
        (void)any_name(one, name, sizeof name);
        switch (random_between(&one->random, 0, 6)) {
        case 0:
            (void)epio_perform(epio_mkdir(&op, one->vfs, name, 0));
            break;
        case 1:
            (void)epio_perform(epio_rmdir(&op, one->vfs, name, 0));
            break;
        case 2:
            (void)epio_perform(epio_delete(&op, one->vfs, name, 0));
            break;
        case 3:
            (void)epio_perform(epio_rename(&op, one->vfs, name, any_name(one, to, sizeof to), 0));
            break;
        default:
            (void)epio_perform(epio_open(&op, one->vfs, name, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE));
            epio_file *file = op.file;
            if (file != NULL) {
                (void)epio_perform(epio_write(&op, file, name, 5 + i % 10, i % 3));
                (void)epio_perform(epio_close(&op, file));
            }
            break;
        }
    }
    return NULL;
}

/* A copy of a directory in which threads change everything at once. */
static void a_copy_follows_a_directory(fixture *f)
{
    test_thread threads[WRITERS];
    writer writers[WRITERS];
    event_log log = {0};
    epio_op op = {0};
    epio__win32 = real;
    make_directory(f, "w");
    make_directory(f, "o");
    epio_file *watch = begin_watch(f, "w", 0);
    replay *copy = replay_begin(f->vfs, fixture_path(f, "w"));
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (writer){
            f->vfs, {fixture_path(f, "w"), fixture_path(f, "o")}, fixture_rounds(500), {i + 1}};
        thread_start(&threads[i], write_anything, &writers[i]);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        (void)thread_join(threads[i]);
    }
    check_op(f, epio_mkdir(&op, f->vfs, fixture_path(f, "w/last"), 0), 0);
    event_log_read(&log, watch, f->vfs, fixture_path(f, "w"), "last");
    replay_apply(copy, log.events, log.len);
    if (replay_differences(copy) != 0) {
        const epio_event *event = NULL;
        while ((event = epio_event_next(log.events, log.len, event)) != NULL) {
            char text[512];
            event_describe(event, text, sizeof text);
            print_error("%s (type %u)\n", text, event->type);
        }
    }
    check_result(replay_differences(copy), 0);
    if (replay_overflowed(copy)) {
        print_message("an overflow was reported, after %u events\n", (unsigned)replay_count(copy));
    }
    replay_free(copy);
    event_log_free(&log);
    fixture_close(f, watch);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(records_become_events, ON_SOME),
        FIXTURE_TEST(records_lie_anywhere, ON_OS_PERFORM),
        FIXTURE_TEST(types_are_asked_for, ON_SOME),
        FIXTURE_TEST(renames_may_be_split, ON_SOME),
        FIXTURE_TEST(losses_are_reported, ON_SOME),
        FIXTURE_TEST(a_removed_directory_ends_its_watch, ON_SOME),
        FIXTURE_TEST(a_lost_directory_ends_its_watch, ON_SOME),
        FIXTURE_TEST(calls_are_repeated, ON_SOME),
        FIXTURE_TEST(what_is_reported_is_found, ON_SOME),
        FIXTURE_TEST(servers_may_refuse_late, ON_OS_PERFORM),
        FIXTURE_TEST(beginning_may_fail, ON_SOME),
        FIXTURE_TEST(trees_are_not_watched_by_halves, ON_SOME),
        FIXTURE_TEST(moved_directories_are_listed, ON_SOME),
        FIXTURE_TEST(what_is_below_is_not_watched, ON_SOME),
        FIXTURE_TEST(directories_move_on, ON_SOME),
        FIXTURE_TEST(listings_are_late, ON_SOME),
        FIXTURE_TEST(names_change_above, ON_SOME),
        FIXTURE_TEST(another_has_the_name, ON_SOME),
        FIXTURE_TEST(a_listing_that_fails_is_a_loss, ON_SOME),
        FIXTURE_TEST(answers_wait_for_reports, ON_SOME),
        FIXTURE_TEST(a_close_waits_for_reports, ON_SOME),
        FIXTURE_TEST(changes_of_the_system, ON_ANY_OS),
        FIXTURE_TEST(watches_end_at_any_time, ON_SOME),
        FIXTURE_TEST(a_copy_follows_a_directory, ON_OS_PERFORM),
    };
    real = epio__win32;
    script.started = CreateEventW(NULL, FALSE, FALSE, NULL);
    script.taken = CreateEventW(NULL, FALSE, FALSE, NULL);
    require(script.started != NULL && script.taken != NULL);
    return FIXTURE_RUN("watches on Windows", tests);
}
