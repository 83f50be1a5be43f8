/* The recycle bin: what the shell is asked to do, and that nothing is removed where there is none.
 * Wine has no IFileOperation; here a made-up one recycles. EPIO_TEST_WITHOUT_LOOP: also without
 * loops. */
#define CINTERFACE
#define COBJMACROS
#include "tree_win32.h"

#include "win32/win32.h"

#include <shellapi.h>
#include <sherrors.h>
#include <shobjidl.h>
#include <wchar.h>

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS)
#define CAN_BE_RECYCLED 0x80u

static epio__win32_calls real;

/* ---- A shell ------------------------------------------------------------- */

static struct {
    IFileOperation operation;
    IShellItem item;
    int references; /* to both */
    IFileOperationProgressSink *sink;
    WCHAR name[40000];
    DWORD flags;
    bool has_bin;
    HRESULT outcome; /* of the item */
    int failures;    /* so often, then S_OK */
    BOOL aborted;
    bool only_says_so;
    int operations;
} shell;

static ULONG STDMETHODCALLTYPE operation_release(IFileOperation *self)
{
    (void)self;
    return (ULONG)--shell.references;
}

static HRESULT STDMETHODCALLTYPE operation_flags(IFileOperation *self, DWORD flags)
{
    (void)self;
    shell.flags = flags;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE operation_delete(IFileOperation *self, IShellItem *item,
                                                  IFileOperationProgressSink *sink)
{
    (void)self;
    check(item == &shell.item && sink != NULL);
    shell.sink = sink;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE operation_perform(IFileOperation *self)
{
    WCHAR to[40010];
    IFileOperationProgressSink *sink = shell.sink;
    (void)self;
    shell.operations++;
    check(sink->lpVtbl->StartOperations(sink) == S_OK);
    HRESULT allowed =
        sink->lpVtbl->PreDeleteItem(sink, shell.has_bin ? CAN_BE_RECYCLED : 0, &shell.item);
    HRESULT outcome = S_OK;
    if (SUCCEEDED(allowed) && shell.failures > 0) {
        shell.failures--;
        outcome = shell.outcome;
    } else if (SUCCEEDED(allowed) && !shell.has_bin) {
        check(DeleteFileW(shell.name)); /* which nobody gets back */
    } else if (SUCCEEDED(allowed) && !shell.only_says_so) {
        check(swprintf(to, 40010, L"%ls.recycled", shell.name) > 0);
        check(MoveFileW(shell.name, to));
    }
    if (SUCCEEDED(allowed)) {
        check(sink->lpVtbl->PostDeleteItem(sink, 0, &shell.item, outcome, NULL) == S_OK);
    }
    check(sink->lpVtbl->FinishOperations(sink, S_OK) == S_OK);
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE operation_aborted(IFileOperation *self, BOOL *aborted)
{
    (void)self;
    *aborted = shell.aborted;
    return S_OK;
}

static ULONG STDMETHODCALLTYPE item_release(IShellItem *self)
{
    (void)self;
    return (ULONG)--shell.references;
}

static IFileOperationVtbl operation_methods = {
    .Release = operation_release,
    .SetOperationFlags = operation_flags,
    .DeleteItem = operation_delete,
    .PerformOperations = operation_perform,
    .GetAnyOperationsAborted = operation_aborted,
};
static IShellItemVtbl item_methods = {.Release = item_release};

static int32_t made_up_operation(void **operation)
{
    shell.references++;
    *operation = &shell.operation;
    return S_OK;
}

static int32_t made_up_item(const WCHAR *name, void **item)
{
    check(wcslen(name) < sizeof shell.name / sizeof *shell.name);
    wcscpy(shell.name, name);
    shell.references++;
    *item = &shell.item;
    return S_OK;
}

static void begin_shell(bool has_bin)
{
    memset(&shell, 0, sizeof shell);
    shell.operation.lpVtbl = &operation_methods;
    shell.item.lpVtbl = &item_methods;
    shell.has_bin = has_bin;
    real = epio__win32;
    epio__win32.shell_operation = made_up_operation;
    epio__win32.shell_item = made_up_item;
}

static void end_shell(void)
{
    epio__win32 = real;
    check_result(shell.references, 0);
}

static epio_op *trash(fixture *f, epio_op *op, const char *name)
{
    return epio_trash(op, f->vfs, fixture_path(f, name), 0);
}

/* ---- Tests -------------------------------------------------------------------- */

static void what_is_recycled_is_gone(fixture *f)
{
    static const char *const names[] = {"file", "with space", "\xc3\xa9t\xc3\xa9.txt"};
    begin_shell(true);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        epio_op op = {0};
        char to[64];
        (void)snprintf(to, sizeof to, "%s.recycled", names[i]);
        fixture_put(f, names[i], "data", 4);
        check_op(f, trash(f, &op, names[i]), 0);
        check(shell.name[1] == L':');
        const DWORD wanted = FOF_ALLOWUNDO | FOF_NO_UI;
        check_result(shell.flags & wanted, wanted);
        check_result(fixture_exists(f, names[i]), 0);
        check_content(f, to, "data", 4);
    }
    end_shell();
}

static void without_a_bin_nothing_is_removed(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "data", 4);
    begin_shell(false);
    check_op_fails(f, trash(f, &op, "file"), EPIO_ENOTSUP, ERROR_NOT_SUPPORTED);
    end_shell();
    check_result(shell.operations, 1);
    check_content(f, "file", "data", 4);
}

static void failures_are_errors(fixture *f)
{
    static const struct {
        HRESULT outcome;
        int64_t result;
    } cases[] = {
        {COPYENGINE_E_ACCESS_DENIED_SRC, EPIO_EACCES},
        {COPYENGINE_E_RECYCLE_SIZE_TOO_BIG, EPIO_ENOTSUP},
        {COPYENGINE_E_RECYCLE_PATH_TOO_LONG, EPIO_ENAMETOOLONG},
        {HRESULT_FROM_WIN32(ERROR_DISK_FULL), EPIO_ENOSPC},
        {E_OUTOFMEMORY, EPIO_ENOMEM},
        {E_FAIL, EPIO_EIO},
    };
    fixture_put(f, "file", "data", 4);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        epio_op op = {0};
        begin_shell(true);
        shell.outcome = cases[i].outcome;
        shell.failures = INT32_MAX;
        check_op(f, trash(f, &op, "file"), cases[i].result);
        end_shell();
        check_result(shell.operations, 1);
    }
    epio_op op = {0};
    begin_shell(true);
    shell.failures = 3;
    shell.outcome = COPYENGINE_E_SHARING_VIOLATION_SRC; /* passes */
    check_op(f, trash(f, &op, "file"), 0);
    end_shell();
    check_result(shell.operations, 4);
}

static void what_is_only_said_is_no_success(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "data", 4);
    begin_shell(true);
    shell.only_says_so = true;
    check_op(f, trash(f, &op, "file"), EPIO_ENOTSUP);
    end_shell();
    begin_shell(true);
    shell.aborted = TRUE;
    shell.only_says_so = true;
    check_op(f, trash(f, &op, "file"), EPIO_EIO);
    end_shell();
    check_content(f, "file", "data", 4);
}

static void paths_begin_at_an_open_directory(fixture *f)
{
    static const uint32_t flags[] = {DIRECTORY, DIRECTORY | EPIO_OPEN_BENEATH};
    make_directory(f, "d");
    for (size_t i = 0; i < 2; i++) {
        epio_op op = {0};
        epio_file *directory = fixture_open(f, "d", flags[i]);
        epio_vfs *vfs = epio_directory_vfs(directory);
        fixture_put(f, "d/file", "data", 4);
        begin_shell(true);
        check_op(f, epio_trash(&op, vfs, "file", 0), 0);
        check_op(f, epio_trash(&op, vfs, "file", 0), EPIO_ENOENT);
        check_op(f, epio_trash(&op, vfs, ".", 0), EPIO_EINVAL);
        end_shell();
        check_content(f, "d/file.recycled", "data", 4);
        check_op(f, epio_delete(&op, vfs, "file.recycled", 0), 0);
        fixture_close(f, directory);
    }
}

/* The shell would take another file for them. */
static void names_that_the_shell_does_not_know(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "name.", "data", 4);
    fixture_put(f, "name", "other", 5);
    begin_shell(true);
    check_op(f, trash(f, &op, "name."), EPIO_ENOTSUP);
    check_result(shell.operations, 0);
    check_op(f, epio_trash(&op, f->vfs, "C:/", 0), EPIO_EINVAL);
    check_op(f, trash(f, &op, "none"), EPIO_ENOENT);
    check_op(f, trash(f, &op, "name/"), EPIO_ENOTDIR);
    check_op(f, trash(f, &op, "NUL"), EPIO_EINVAL);
    end_shell();
    check_content(f, "name.", "data", 4);
    check_content(f, "name", "other", 5);
}

static void trash_it(const char *path)
{
    epio_op op = {0};
    check_result(epio_perform(epio_trash(&op, epio_os_vfs(), path, 0)), EPIO_ENOTSUP);
    check_result(op.os_error, ERROR_NOT_SUPPORTED);
}

/* Only so far as Wine goes; Windows would fill its user's bin. In another process, as COM keeps
 * handles. */
static void wine_has_no_recycle_bin(fixture *f)
{
    if (!system_is_wine()) {
        fixture_skip(f, "it would go to the user's recycle bin");
    }
    fixture_put(f, "file", "data", 4);
    check_result(run_in_child(trash_it, fixture_path(f, "file")), 0);
    check_content(f, "file", "data", 4);
}

static void memory_has_no_trash(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "data", 4);
    check_op(f, trash(f, &op, "file"), EPIO_ENOTSUP);
    check_content(f, "file", "data", 4);
}

/* COM and the shell keep handles from their first use on. */
static void warm_up(void)
{
    typedef HRESULT(WINAPI * begin_function)(LPVOID, DWORD);
    typedef void(WINAPI * end_function)(void);
    typedef void (*any_function)(void);
    HMODULE ole = LoadLibraryW(L"ole32.dll");
    begin_function begin = (begin_function)(any_function)GetProcAddress(ole, "CoInitializeEx");
    end_function end = (end_function)(any_function)GetProcAddress(ole, "CoUninitialize");
    void *operation = NULL;
    void *item = NULL;
    (void)begin(NULL, COINIT_APARTMENTTHREADED);
    if (SUCCEEDED(epio__shell_item(L"C:\\", &item))) {
        (void)IShellItem_Release((IShellItem *)item);
    }
    if (SUCCEEDED(epio__shell_operation(&operation))) {
        (void)IFileOperation_Release((IFileOperation *)operation);
    }
    end();
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(trash_it)};
    CHILDREN_ARE(children, argc, argv);
    warm_up();
    static const fixture_test tests[] = {
        FIXTURE_TEST(what_is_recycled_is_gone, ON_ANY_OS),
        FIXTURE_TEST(without_a_bin_nothing_is_removed, ON_SOME),
        FIXTURE_TEST(failures_are_errors, ON_SOME),
        FIXTURE_TEST(what_is_only_said_is_no_success, ON_SOME),
        FIXTURE_TEST(paths_begin_at_an_open_directory, ON_SOME),
        FIXTURE_TEST(names_that_the_shell_does_not_know, ON_SOME),
        FIXTURE_TEST(wine_has_no_recycle_bin, ON_OS_PERFORM),
        FIXTURE_TEST(memory_has_no_trash, ON_ANY_MEMORY),
    };
    return FIXTURE_RUN("trash_win32", tests);
}
