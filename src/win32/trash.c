/* The recycle bin, by the shell's IFileOperation. That deletes what it cannot recycle, unless a
 * sink that it asks before stops it. COM and the shell are loaded when something is recycled: few
 * programs need them. */
#define CINTERFACE
#define COBJMACROS
#include "reason.h"
#include "win32/win32.h"

/* After it. */
#include <shellapi.h>
#include <sherrors.h>
#include <shobjidl.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Missing from some headers, or from a library to link with. */
#define RECYCLE_ON_DELETE 0x00080000u /* FOFX_RECYCLEONDELETE: Windows 8 */
#define EARLY_FAILURE 0x00100000u     /* FOFX_EARLYFAILURE */
#define CAN_BE_RECYCLED 0x80u         /* TSF_DELETE_RECYCLE_IF_POSSIBLE */

static const GUID class_of_operations = {
    0x3ad05575, 0x8857, 0x4850, {0x92, 0x77, 0x11, 0xb8, 0x5b, 0xdb, 0x8e, 0x09}};
static const GUID id_of_operation = {
    0x947aab5f, 0x0a5c, 0x4c13, {0xb4, 0xd6, 0x4b, 0xf7, 0x83, 0x6f, 0xc9, 0xf8}};
static const GUID id_of_item = {
    0x43826d1e, 0xe718, 0x42ee, {0xbc, 0x55, 0xa1, 0xe2, 0x61, 0xc3, 0x7b, 0xfe}};
static const GUID id_of_sink = {
    0x04b0f1a7, 0x9490, 0x44bc, {0x96, 0xe1, 0x42, 0x96, 0xa3, 0x12, 0x52, 0xe2}};
static const GUID id_of_unknown = {
    0x00000000, 0x0000, 0x0000, {0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46}};

/* ---- The sink ---- */

typedef struct sink {
    IFileOperationProgressSink base;
    HRESULT outcome; /* of the item; S_FALSE: none yet */
    bool refused;    /* it cannot be recycled */
} sink;

typedef IFileOperationProgressSink self_type;

/* A sink is on the stack for longer than its operation: nothing counts. */
static ULONG STDMETHODCALLTYPE count_nothing(self_type *self)
{
    (void)self;
    return 1;
}

static HRESULT STDMETHODCALLTYPE query(self_type *self, REFIID id, void **object)
{
    bool known = memcmp(id, &id_of_sink, sizeof id_of_sink) == 0 ||
                 memcmp(id, &id_of_unknown, sizeof id_of_unknown) == 0;
    *object = known ? self : NULL;
    return known ? S_OK : E_NOINTERFACE;
}

static HRESULT STDMETHODCALLTYPE go_on(self_type *self)
{
    (void)self;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE finish(self_type *self, HRESULT result)
{
    (void)self;
    (void)result;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE pre_rename(self_type *self, DWORD flags, IShellItem *item,
                                            LPCWSTR name)
{
    (void)self;
    (void)flags;
    (void)item;
    (void)name;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE post_rename(self_type *self, DWORD flags, IShellItem *item,
                                             LPCWSTR name, HRESULT result, IShellItem *made)
{
    (void)result;
    (void)made;
    return pre_rename(self, flags, item, name);
}

/* Of moves and copies. */
static HRESULT STDMETHODCALLTYPE pre_move(self_type *self, DWORD flags, IShellItem *item,
                                          IShellItem *directory, LPCWSTR name)
{
    (void)directory;
    return pre_rename(self, flags, item, name);
}

static HRESULT STDMETHODCALLTYPE post_move(self_type *self, DWORD flags, IShellItem *item,
                                           IShellItem *directory, LPCWSTR name, HRESULT result,
                                           IShellItem *made)
{
    (void)result;
    (void)made;
    return pre_move(self, flags, item, directory, name);
}

static HRESULT STDMETHODCALLTYPE pre_delete(self_type *self, DWORD flags, IShellItem *item)
{
    sink *one = (sink *)(void *)self;
    (void)item;
    if ((flags & CAN_BE_RECYCLED) == 0) {
        one->refused = true;
        return E_ABORT;
    }
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE post_delete(self_type *self, DWORD flags, IShellItem *item,
                                             HRESULT result, IShellItem *recycled)
{
    sink *one = (sink *)(void *)self;
    (void)flags;
    (void)item;
    (void)recycled;
    /* Of a tree there are several: the first failure counts. */
    if (one->outcome == S_FALSE || SUCCEEDED(one->outcome)) {
        one->outcome = result;
    }
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE pre_new(self_type *self, DWORD flags, IShellItem *directory,
                                         LPCWSTR name)
{
    return pre_rename(self, flags, directory, name);
}

static HRESULT STDMETHODCALLTYPE post_new(self_type *self, DWORD flags, IShellItem *directory,
                                          LPCWSTR name, LPCWSTR template, DWORD attributes,
                                          HRESULT result, IShellItem *made)
{
    (void)template;
    (void)attributes;
    (void)result;
    (void)made;
    return pre_rename(self, flags, directory, name);
}

static HRESULT STDMETHODCALLTYPE progress(self_type *self, UINT total, UINT done)
{
    (void)total;
    (void)done;
    return go_on(self);
}

static const IFileOperationProgressSinkVtbl sink_methods = {
    .QueryInterface = query,
    .AddRef = count_nothing,
    .Release = count_nothing,
    .StartOperations = go_on,
    .FinishOperations = finish,
    .PreRenameItem = pre_rename,
    .PostRenameItem = post_rename,
    .PreMoveItem = pre_move,
    .PostMoveItem = post_move,
    .PreCopyItem = pre_move,
    .PostCopyItem = post_move,
    .PreDeleteItem = pre_delete,
    .PostDeleteItem = post_delete,
    .PreNewItem = pre_new,
    .PostNewItem = post_new,
    .UpdateProgress = progress,
    .ResetTimer = go_on,
    .PauseTimer = go_on,
    .ResumeTimer = go_on,
};

/* ---- Errors ---- */

/* As an error of the system: the shell has its own for what happens to files. */
static DWORD error_of(HRESULT result)
{
    if (HRESULT_FACILITY(result) == FACILITY_WIN32) {
        return (DWORD)HRESULT_CODE(result);
    }
    switch (result) {
    case E_OUTOFMEMORY:
        return ERROR_NOT_ENOUGH_MEMORY;
    case E_ACCESSDENIED:
    case COPYENGINE_E_ACCESS_DENIED_SRC:
    case COPYENGINE_E_ACCESS_DENIED_DEST:
    case COPYENGINE_E_REQUIRES_ELEVATION:
        return ERROR_ACCESS_DENIED;
    case COPYENGINE_E_SHARING_VIOLATION_SRC:
    case COPYENGINE_E_SHARING_VIOLATION_DEST:
        return ERROR_SHARING_VIOLATION;
    case COPYENGINE_E_PATH_NOT_FOUND_SRC:
    case COPYENGINE_E_PATH_NOT_FOUND_DEST:
        return ERROR_PATH_NOT_FOUND;
    case COPYENGINE_E_PATH_TOO_DEEP_SRC:
    case COPYENGINE_E_PATH_TOO_DEEP_DEST:
    case COPYENGINE_E_RECYCLE_PATH_TOO_LONG:
        return ERROR_FILENAME_EXCED_RANGE;
    case COPYENGINE_E_DISK_FULL:
    case COPYENGINE_E_DISK_FULL_CLEAN:
        return ERROR_DISK_FULL;
    case E_NOTIMPL: /* Wine */
    case COPYENGINE_E_RECYCLE_UNKNOWN_ERROR:
    case COPYENGINE_E_RECYCLE_FORCE_NUKE:
    case COPYENGINE_E_RECYCLE_SIZE_TOO_BIG:
    case COPYENGINE_E_RECYCLE_BIN_NOT_FOUND:
        return ERROR_NOT_SUPPORTED;
    default:
        return ERROR_GEN_FAILURE;
    }
}

/* ---- The shell ---- */

typedef void (*any_function)(void);

static any_function find_in(const WCHAR *library, const char *name)
{
    /* It stays loaded: what COM has begun goes on in it. */
    HMODULE module = LoadLibraryExW(library, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    return module != NULL ? (any_function)GetProcAddress(module, name) : NULL;
}

typedef HRESULT(WINAPI *initialize_function)(LPVOID, DWORD);
typedef void(WINAPI *uninitialize_function)(void);
typedef HRESULT(WINAPI *create_function)(REFCLSID, LPUNKNOWN, DWORD, REFIID, LPVOID *);
typedef HRESULT(WINAPI *item_function)(PCWSTR, IBindCtx *, REFIID, void **);

int32_t epio__shell_operation(void **operation)
{
    create_function create = (create_function)find_in(L"ole32.dll", "CoCreateInstance");
    return create != NULL ? create(&class_of_operations, NULL, CLSCTX_INPROC_SERVER,
                                   &id_of_operation, operation)
                          : E_NOTIMPL;
}

int32_t epio__shell_item(const WCHAR *name, void **item)
{
    item_function parse = (item_function)find_in(L"shell32.dll", "SHCreateItemFromParsingName");
    return parse != NULL ? parse(name, NULL, &id_of_item, item) : E_NOTIMPL;
}

static HRESULT recycle_by(IFileOperation *operation, IShellItem *item)
{
    sink one = {.base = {.lpVtbl = (IFileOperationProgressSinkVtbl *)(uintptr_t)&sink_methods},
                .outcome = S_FALSE};
    BOOL aborted = FALSE;
    HRESULT result = IFileOperation_SetOperationFlags(
        operation, FOF_NO_UI | FOF_ALLOWUNDO | RECYCLE_ON_DELETE | EARLY_FAILURE);
    if (result == E_INVALIDARG) { /* before Windows 8 */
        result =
            IFileOperation_SetOperationFlags(operation, FOF_NO_UI | FOF_ALLOWUNDO | EARLY_FAILURE);
    }
    if (SUCCEEDED(result)) {
        result = IFileOperation_DeleteItem(operation, item, &one.base);
    }
    if (SUCCEEDED(result)) {
        result = IFileOperation_PerformOperations(operation);
    }
    if (one.refused) {
        return COPYENGINE_E_RECYCLE_BIN_NOT_FOUND;
    }
    if (FAILED(result) || FAILED(one.outcome)) {
        return FAILED(one.outcome) ? one.outcome : result;
    }
    result = IFileOperation_GetAnyOperationsAborted(operation, &aborted);
    return FAILED(result) || !aborted ? result : E_FAIL;
}

static HRESULT recycle_named(const WCHAR *name)
{
    void *operation = NULL;
    void *item = NULL;
    HRESULT result = epio__win32.shell_operation(&operation);
    if (SUCCEEDED(result)) {
        result = epio__win32.shell_item(name, &item);
    }
    if (SUCCEEDED(result)) {
        result = recycle_by(operation, item);
    }
    if (item != NULL) {
        (void)IShellItem_Release((IShellItem *)item);
    }
    if (operation != NULL) {
        (void)IFileOperation_Release((IFileOperation *)operation);
    }
    return result;
}

/* With COM for this call alone; a thread that has it in another way keeps that. 0 or an error. */
static DWORD recycle(const WCHAR *name)
{
    initialize_function begin = (initialize_function)find_in(L"ole32.dll", "CoInitializeEx");
    uninitialize_function end = (uninitialize_function)find_in(L"ole32.dll", "CoUninitialize");
    if (begin == NULL || end == NULL) {
        return ERROR_NOT_SUPPORTED;
    }
    HRESULT begun = begin(NULL, COINIT_APARTMENTTHREADED | COINIT_DISABLE_OLE1DDE);
    if (FAILED(begun) && begun != RPC_E_CHANGED_MODE) {
        return error_of(begun);
    }
    HRESULT result = recycle_named(name);
    if (SUCCEEDED(begun)) {
        end();
    }
    return SUCCEEDED(result) ? 0 : error_of(result);
}

/* ---- The op ---- */

/* As the shell has it, without the prefix for long names; in place. */
static void drop_prefix(WCHAR *name)
{
    bool share = wcsncmp(name, L"\\\\?\\UNC\\", 8) == 0;
    wmemmove(name, name + (share ? 6 : 4), wcslen(name + (share ? 6 : 4)) + 1);
    if (share) {
        name[0] = L'\\';
    }
}

/* The shell takes names as Windows' own programs do, who drop dots and blanks at the end, and take
 * some for devices: it would recycle another file. */
static bool is_known_to_shell(const WCHAR *name)
{
    DWORD len = epio__win32.get_full_path(name, 0, NULL, NULL);
    WCHAR *full = len != 0 ? malloc(len * sizeof *full) : NULL;
    bool is = full != NULL && epio__win32.get_full_path(name, len, full, NULL) == len - 1 &&
              wcscmp(full, name) == 0;
    free(full);
    return is;
}

static int64_t trash_name(epio_op *op, const epio__place *place, WCHAR *name)
{
    if (wcslen(name) <= epio__root_len(name) + 1) {
        return epio__op_refuse(op, EPIO__REASON_NO_NAME_TO_TRASH);
    }
    drop_prefix(name);
    DWORD error = is_known_to_shell(name) ? recycle(name) : ERROR_NOT_SUPPORTED;
    if (error == 0 && epio__attributes_at(place) != 0) {
        error = ERROR_NOT_SUPPORTED; /* it says so, and has not done it */
    }
    return error == 0 ? 0 : epio__op_fail_or_retry(op, place, error, false);
}

static int64_t trash_place(epio_op *op, const epio__place *place)
{
    HANDLE pin = NULL;
    if (place->name[0] == L'\0') {
        return epio__op_refuse(op, EPIO__REASON_NO_NAME_TO_TRASH); /* the open directory itself */
    }
    if (epio__attributes_at(place) == 0) {
        return epio__op_fail_on_path(op, place, GetLastError());
    }
    WCHAR *name = place->confined ? epio__pinned_name(place, &pin) : epio__place_name(place);
    int64_t result = name != NULL ? trash_name(op, place, name) : epio__op_fail(op);
    free(name);
    if (pin != NULL) {
        (void)CloseHandle(pin);
    }
    return result;
}

int64_t epio__os_trash(epio_op *op)
{
    return epio__op_on_place(op, true, trash_place);
}
