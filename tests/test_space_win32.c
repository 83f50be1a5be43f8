/* The space of files on Windows: appends, and the calls that Wine lacks, scripted. What Wine has of
 * them is used, too: there an append is not atomic, so its writes are made one by one.
 * EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT | ON_LIMIT_OS)
#define APPEND (READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_APPEND)
#define KEEP_SIZE EPIO_SPACE_KEEP_SIZE

static epio__win32_calls real; /* as they were at first: a test that fails leaves its own */

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

/* ---- Appending ----------------------------------------------------------------------- */

static unsigned writes;
static unsigned writes_at_end;

static BOOL WINAPI counted_write(HANDLE handle, LPCVOID data, DWORD len, LPDWORD bytes,
                                 LPOVERLAPPED overlapped)
{
    writes++;
    writes_at_end += overlapped->Offset == 0xFFFFFFFFu && overlapped->OffsetHigh == 0xFFFFFFFFu;
    return real.write_file(handle, data, len, bytes, overlapped);
}

static void count_writes(void)
{
    epio__win32 = real;
    writes = 0;
    writes_at_end = 0;
    epio__win32.write_file = counted_write;
}

static void appends_return_where_they_are(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    epio_file *other = fixture_open(f, "file", READ_WRITE);
    fixture_write(f, file, "abc", 3, 0);
    count_writes();
    check_op(f, epio_append(&op, file, "de", 2), 3);
    check_op(f, epio_append(&op, other, "f", 1), 5);
    check_op(f, epio_append(&op, file, "gh", 2), 6);
    epio__win32 = real;
    check(writes == 3 && writes_at_end == 3);
    check_op(f, epio_append(&op, file, NULL, 0), 8);
    check_op(f, epio_truncate(&op, other, 1), 0);
    check_op(f, epio_append(&op, file, "xy", 2), 1);
    check_op(f, epio_sync(&op, file, 0), 0);
    fixture_close(f, other);
    fixture_close(f, file);
    check_content(f, "file", "axy", 3);
}

static HANDLE reopened;

static HANDLE WINAPI noted_reopen(HANDLE handle, DWORD access, DWORD share, DWORD flags)
{
    reopened = real.reopen(handle, access, share, flags);
    return reopened;
}

/* The handle of the appends does not keep a file that is to go. */
static void appends_to_files_that_go(fixture *f)
{
    DWORD flags;
    epio_op op = {0};
    epio__win32 = real;
    epio__win32.reopen = noted_reopen;
    epio_file *file =
        fixture_open(f, "file", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE);
    check_op(f, epio_append(&op, file, "abc", 3), 0);
    epio__win32 = real;
    check(GetHandleInformation(reopened, &flags));
    fixture_close(f, file);
    /* Another thread would be free to use its number again. */
    check(!f->performs || !GetHandleInformation(reopened, &flags));
    check_result(fixture_exists(f, "file"), 0);
    check_op(f, epio_open(&op, f->vfs, f->directory, READ_WRITE | EPIO_OPEN_TEMPORARY), 0);
    file = op.file;
    check_op(f, epio_append(&op, file, "abc", 3), 0);
    check_op(f, epio_append(&op, file, "abc", 3), 3);
    fixture_close(f, file);
}

static void writes_go_to_the_end(fixture *f)
{
    static char cd[] = "cd";
    static char e[] = "e";
    static char ghi[] = "ghi";
    epio_iovec parts[] = {{cd, 2}, {NULL, 0}, {e, 1}, {ghi, 3}};
    char data[16];
    epio_op op = {0};
    fixture_put(f, "file", "ab", 2);
    epio_file *file = fixture_open(f, "file", APPEND);
    count_writes();
    fixture_write(f, file, "xy", 2, 0);
    fixture_write(f, file, "z", 1, INT64_MAX - 10);
    check_op(f, epio_writev(&op, file, parts, 4, 1), 6);
    check_op(f, epio_writev(&op, file, parts, 2, 1), 2);
    check_op(f, epio_append(&op, file, "!", 1), 13);
    epio__win32 = real;
    check(writes == 5 && writes_at_end == 5);
    fixture_read(f, file, data, 4, 1);
    check(memcmp(data, "bxyz", 4) == 0);
    check_op(f, epio_truncate(&op, file, 3), 0);
    fixture_write(f, file, "-", 1, 0);
    check_op(f, epio_truncate(&op, file, 6), 0);
    fixture_write(f, file, "+", 1, 0);
    fixture_close(f, file);
    check_content(f, "file", "abx-\0\0+", 7);
}

static void parts_are_one_write(fixture *f)
{
    enum { PARTS = 100 };
    static unsigned char data[PARTS * 7];
    epio_iovec parts[PARTS];
    epio_op op = {0};
    epio_file *file = fixture_open(f, "file", APPEND);
    pattern_fill(data, sizeof data, 0);
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = (epio_iovec){data + 7 * i, 7};
    }
    count_writes();
    check_op(f, epio_writev(&op, file, parts, PARTS, 0), sizeof data);
    epio__win32 = real;
    check(writes == 1);
    fixture_close(f, file);
    check_content(f, "file", data, sizeof data);
}

static void direct_appends(fixture *f)
{
    enum { PAGE = 4096 };
    unsigned char *data = VirtualAlloc(NULL, (SIZE_T)4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    epio_op op = {0};
    check(data != NULL);
    pattern_fill(data, (size_t)4 * PAGE, 0);
    fixture_put(f, "file", data, PAGE);
    epio_file *file = fixture_open_direct(f, "file", APPEND);
    epio_iovec parts[] = {{data + 2 * PAGE, PAGE}, {data + 3 * PAGE, PAGE}};
    fixture_write(f, file, data + PAGE, PAGE, 1); /* the offset is of no matter */
    count_writes();
    check_op(f, epio_writev(&op, file, parts, 2, 0), 2 * PAGE);
    epio__win32 = real;
    check(writes == 1 && writes_at_end == 1);
    check_op(f, epio_write(&op, file, data, 100, 0), EPIO_EINVAL);
    check_op(f, epio_append(&op, file, data, 100), EPIO_EINVAL);
    check_op(f, epio_append(&op, file, data, PAGE), 4 * PAGE);
    check_op(f, epio_truncate(&op, file, 4 * PAGE), 0);
    fixture_close(f, file);
    check_content(f, "file", data, (size_t)4 * PAGE);
    check(VirtualFree(data, 0, MEM_RELEASE));
}

/* Overlapped or not. */
static void appends_by_adopted_handles(fixture *f)
{
    static const DWORD modes[] = {FILE_FLAG_OVERLAPPED, 0};
    epio_op op = {0};
    for (size_t i = 0; i < 2; i++) {
        HANDLE handle = CreateFileA(
            fixture_path(f, "file"), FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE,
            FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, CREATE_ALWAYS, modes[i], NULL);
        check(handle != INVALID_HANDLE_VALUE);
        epio_file *file = fixture_adopt(f, (intptr_t)handle, 0);
        fixture_write(f, file, "abc", 3, 0);
        int64_t where = fixture_result(f, epio_append(&op, file, "de", 2));
        if (where == EPIO_EACCES && !system_is_wine()) { /* see docs/windows.md */
            fixture_write(f, file, "de", 2, 0);
        } else {
            check_result(where, 3);
        }
        fixture_write(f, file, "f", 1, 1);
        fixture_close(f, file);
        check_content(f, "file", "abcdef", 6);
    }
}

static HANDLE WINAPI refused_reopen(HANDLE handle, DWORD access, DWORD share, DWORD flags)
{
    (void)handle;
    check(access == FILE_WRITE_DATA && share == 7 && flags == 0);
    (void)end_with(ERROR_SHARING_VIOLATION);
    return INVALID_HANDLE_VALUE;
}

static DWORD written;

/* Says that it has written. */
static BOOL WINAPI empty_write(HANDLE handle, LPCVOID data, DWORD len, LPDWORD bytes,
                               LPOVERLAPPED overlapped)
{
    (void)handle;
    (void)data;
    (void)len;
    check(overlapped != NULL);
    *bytes = written;
    return end_with(written == 0 ? ERROR_DISK_FULL : 0);
}

static BOOL WINAPI remote_get(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data, DWORD size)
{
    return class == FileRemoteProtocolInfo ? end_with(0)
                                           : real.get_information(file, class, data, size);
}

static void appends_may_fail(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_append(&op, file, "abc", ((size_t)1 << 30) + 1), EPIO_ENOTSUP);
    epio__win32 = real;
    epio__win32.reopen = refused_reopen;
    check_op_fails(f, epio_append(&op, file, "abc", 3), EPIO_ESHARING, ERROR_SHARING_VIOLATION);
    epio__win32 = real;
    check_op(f, epio_append(&op, file, "abc", 3), 0);
    epio__win32.write_file = empty_write;
    written = 3; /* and a position that does not follow */
    check_op_fails(f, epio_append(&op, file, "abc", 3), EPIO_EIO, ERROR_SEEK);
    written = 2;
    check_op_fails(f, epio_append(&op, file, "abc", 3), EPIO_EIO, ERROR_WRITE_FAULT);
    written = 0;
    check_op_fails(f, epio_append(&op, file, "abc", 3), EPIO_ENOSPC, ERROR_DISK_FULL);
    epio__win32 = real;
    check_op(f, epio_append(&op, file, "def", 3), 3);
    fixture_close(f, file);
    epio__win32.get_information = remote_get;
    file = fixture_open(f, "file", READ_WRITE);
    epio__win32 = real;
    check_op(f, epio_append(&op, file, "ghi", 3), EPIO_ENOTSUP);
    fixture_close(f, file);
    check_content(f, "file", "abcdef", 6);
}

/* ---- Appending beside others ----------------------------------------------------------- */

#define WRITERS 4
#define RECORDS 60
#define RECORD 40
#define PROCESSES 2

/* `where`: by epio_append; UINT64_MAX: by a write. */
typedef struct writer {
    test_thread thread;
    epio_file *file;    /* of the process */
    epio_file *appends; /* the same, opened with APPEND */
    char name;
    uint64_t where[RECORDS];
} writer;

static HANDLE write_mutex;

static BOOL WINAPI exclusive_write(HANDLE handle, LPCVOID data, DWORD len, LPDWORD bytes,
                                   LPOVERLAPPED overlapped)
{
    require(WaitForSingleObject(write_mutex, INFINITE) == WAIT_OBJECT_0);
    BOOL done = real.write_file(handle, data, len, bytes, overlapped);
    DWORD error = GetLastError();
    require(ReleaseMutex(write_mutex));
    SetLastError(error);
    return done;
}

static void make_record(char *record, char name, unsigned number)
{
    memset(record, name, RECORD);
    (void)snprintf(record, RECORD, "%c%04u", name, number);
    record[5] = name;
    record[RECORD - 1] = '\n';
}

static void *write_records(void *argument)
{
    writer *one = argument;
    char record[RECORD];
    for (unsigned i = 0; i < RECORDS; i++) {
        epio_op op = {0};
        epio_iovec parts[] = {{record, 9}, {record + 9, RECORD - 9}};
        make_record(record, one->name, i);
        one->where[i] = UINT64_MAX;
        if (i % 3 == 0) {
            int64_t result = epio_perform(epio_append(&op, one->file, record, RECORD));
            require(result >= 0);
            one->where[i] = (uint64_t)result;
        } else if (i % 3 == 1) {
            require(epio_perform(epio_write(&op, one->appends, record, RECORD, i)) == RECORD);
        } else {
            require(epio_perform(epio_writev(&op, one->appends, parts, 2, 0)) == RECORD);
        }
    }
    return NULL;
}

static epio_file *open_here(const char *path, uint32_t flags)
{
    epio_op op = {0};
    check_result(epio_perform(epio_open(&op, epio_os_vfs(), path, flags)), 0);
    return op.file;
}

static void close_here(epio_file *file)
{
    epio_op op = {0};
    check_result(epio_perform(epio_close(&op, file)), 0);
}

static void check_records_of(const writer *one)
{
    char expected[RECORD];
    char found[RECORD];
    for (unsigned i = 0; i < RECORDS; i++) {
        epio_op op = {0};
        make_record(expected, one->name, i);
        if (one->where[i] != UINT64_MAX) {
            check_result(epio_perform(epio_read(&op, one->file, found, RECORD, one->where[i])),
                         RECORD);
            check(memcmp(found, expected, RECORD) == 0);
        }
    }
}

/* "NAME-OF-MUTEX FIRST-LETTER PATH" */
static void append_records(const char *argument)
{
    static writer all[WRITERS];
    char mutex[64];
    char letter;
    int path;
    check(sscanf(argument, "%63s %c %n", mutex, &letter, &path) == 2);
    epio__win32 = real;
    if (system_is_wine()) {
        write_mutex = CreateMutexA(NULL, FALSE, mutex);
        check(write_mutex != NULL);
        epio__win32.write_file = exclusive_write;
    }
    epio_file *file = open_here(argument + path, READ_WRITE);
    epio_file *appends = open_here(argument + path, EPIO_OPEN_WRITE | EPIO_OPEN_APPEND);
    for (int i = 0; i < WRITERS; i++) {
        all[i] = (writer){.file = file, .appends = appends, .name = (char)(letter + i)};
        thread_start(&all[i].thread, write_records, &all[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        (void)thread_join(all[i].thread);
        check_records_of(&all[i]);
    }
    close_here(appends);
    close_here(file);
}

static void no_record_is_overwritten(fixture *f)
{
    enum { ALL = PROCESSES * WRITERS * RECORDS };
    static char content[(ALL + 1) * RECORD];
    unsigned next[PROCESSES * WRITERS] = {0};
    child children[PROCESSES];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    for (int i = 0; i < PROCESSES; i++) {
        char argument[1024];
        (void)snprintf(argument, sizeof argument, "epio-append-%lu %c %s", GetCurrentProcessId(),
                       'A' + i * WRITERS, fixture_path(f, "file"));
        child_start(&children[i], append_records, argument, 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        check_result(child_end(&children[i]), 0);
    }
    check_op(f, epio_read(&op, file, content, sizeof content, 0), ALL * RECORD);
    for (size_t i = 0; i < ALL; i++) {
        char expected[RECORD];
        const char *record = content + i * RECORD;
        check(*record >= 'A' && *record < 'A' + PROCESSES * WRITERS);
        make_record(expected, *record, next[*record - 'A']++); /* each writer's, in order */
        check(memcmp(record, expected, RECORD) == 0);
    }
    fixture_close(f, file);
}

/* ---- Allocation ------------------------------------------------------------------------ */

static LONGLONG allocated; /* what the file has, as scripted */
static DWORD attributes;   /* beside its own */
static DWORD error_of_length;
static DWORD error_of_allocation;
static DWORD error_of_query;
static unsigned allocations;

static BOOL WINAPI scripted_get(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                DWORD size)
{
    BOOL done = real.get_information(file, class, data, size);
    if (class == FileStandardInfo) {
        ((FILE_STANDARD_INFO *)data)->AllocationSize.QuadPart = allocated;
    } else if (class == FileBasicInfo) {
        ((FILE_BASIC_INFO *)data)->FileAttributes |= attributes;
    }
    return error_of_query == 0 ? done : end_with(error_of_query);
}

static BOOL WINAPI scripted_set(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                DWORD size)
{
    if (class == FileAllocationInfo) {
        check_result(size, sizeof(FILE_ALLOCATION_INFO));
        allocations++;
        if (error_of_allocation == 0) {
            LONGLONG wanted = ((FILE_ALLOCATION_INFO *)data)->AllocationSize.QuadPart;
            check(wanted > allocated); /* never less than there is */
            allocated = wanted;
        }
        return end_with(error_of_allocation);
    }
    check(class == FileEndOfFileInfo);
    return error_of_length == 0 ? real.set_information(file, class, data, size)
                                : end_with(error_of_length);
}

static void script_space(LONGLONG has)
{
    epio__win32 = real;
    epio__win32.get_information = scripted_get;
    epio__win32.set_information = scripted_set;
    allocated = has;
    attributes = 0;
    error_of_length = 0;
    error_of_allocation = 0;
    error_of_query = 0;
    allocations = 0;
}

static void space_is_allocated(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "abc", 3, 0);
    script_space(4096);
    check_op(f, epio_allocate(&op, file, 1, 2, 0), 0);
    check_op(f, epio_allocate(&op, file, 1, 4000, KEEP_SIZE), 0);
    check(allocations == 0);
    check_op(f, epio_size(&op, file), 3);
    check_op(f, epio_allocate(&op, file, 5000, 5000, KEEP_SIZE), 0);
    check(allocations == 1 && allocated == 10000);
    check_op(f, epio_size(&op, file), 3);
    check_op(f, epio_allocate(&op, file, 1, 9, 0), 0);
    check_op(f, epio_size(&op, file), 10);
    check(allocations == 1);
    check_op(f, epio_allocate(&op, file, 0, 20000, 0), 0);
    check_op(f, epio_size(&op, file), 20000);
    check(allocations == 2 && allocated == 20000);
    epio__win32 = real;
    check_op(f, epio_truncate(&op, file, 10), 0);
    fixture_close(f, file);
    check_content(f, "file", "abc\0\0\0\0\0\0", 10);
}

static void space_may_not_be_allocated(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "abc", 3, 0);
    script_space(4096);
    attributes = FILE_ATTRIBUTE_SPARSE_FILE;
    check_op(f, epio_allocate(&op, file, 0, 3, 0), EPIO_ENOTSUP);
    attributes = FILE_ATTRIBUTE_COMPRESSED;
    check_op(f, epio_allocate(&op, file, 0, 3, 0), EPIO_ENOTSUP);
    attributes = 0;
    allocated = 2; /* of the three bytes */
    check_op(f, epio_allocate(&op, file, 0, 3, 0), EPIO_ENOTSUP);
    check_op(f, epio_allocate(&op, file, 0, 2, 0), 0);
    check_op(f, epio_allocate(&op, file, 0, 5000, 0), EPIO_ENOTSUP);
    allocated = 4096;
    error_of_allocation = ERROR_DISK_FULL;
    check_op_fails(f, epio_allocate(&op, file, 0, 5000, 0), EPIO_ENOSPC, ERROR_DISK_FULL);
    check_op_fails(f, epio_allocate(&op, file, 0, INT64_MAX, 0), EPIO_EFBIG, ERROR_FILE_TOO_LARGE);
    error_of_allocation = 0;
    error_of_length = ERROR_HANDLE_DISK_FULL;
    check_op_fails(f, epio_allocate(&op, file, 0, 5000, 0), EPIO_ENOSPC, ERROR_HANDLE_DISK_FULL);
    error_of_query = ERROR_IO_DEVICE;
    check_op_fails(f, epio_allocate(&op, file, 0, 5000, 0), EPIO_EIO, ERROR_IO_DEVICE);
    epio__win32 = real;
    check_op(f, epio_size(&op, file), 3);
    fixture_close(f, file);
}

/* ---- Zeros ------------------------------------------------------------------------------- */

typedef struct request {
    DWORD code;
    LONGLONG from;
    LONGLONG to;
} request;

static request requests[4];
static unsigned request_count;
static DWORD error_of_control;
static DWORD fails_code;
static bool ends_later; /* the calls do */

static BOOL end_control(OVERLAPPED *overlapped, DWORD *bytes, DWORD filled, DWORD error)
{
    overlapped->Internal = 0;
    overlapped->InternalHigh = filled;
    if (error == 0 && ends_later) {
        check(SetEvent((HANDLE)((ULONG_PTR)overlapped->hEvent & ~(ULONG_PTR)1)));
        return end_with(ERROR_IO_PENDING);
    }
    if (error == 0) {
        *bytes = filled;
    }
    return end_with(error);
}

static BOOL WINAPI scripted_zero(HANDLE file, DWORD code, LPVOID in, DWORD in_len, LPVOID out,
                                 DWORD out_len, LPDWORD bytes, LPOVERLAPPED overlapped)
{
    request *one = &requests[request_count++];
    check(file != NULL && out == NULL && out_len == 0 && overlapped != NULL);
    check(((ULONG_PTR)overlapped->hEvent & 1) != 0); /* no packet for the port */
    *one = (request){.code = code};
    if (code == FSCTL_SET_ZERO_DATA) {
        const FILE_ZERO_DATA_INFORMATION *range = in;
        check_result(in_len, sizeof *range);
        one->from = range->FileOffset.QuadPart;
        one->to = range->BeyondFinalZero.QuadPart;
    } else {
        check(code == FSCTL_SET_SPARSE && in == NULL && in_len == 0);
    }
    return end_control(overlapped, bytes, 0, code == fails_code ? error_of_control : 0);
}

static void script_zeros(void)
{
    epio__win32 = real;
    epio__win32.control = scripted_zero;
    request_count = 0;
    fails_code = 0;
    ends_later = false;
}

static void check_zeroed(unsigned which, LONGLONG from, LONGLONG to)
{
    check(requests[which].code == FSCTL_SET_ZERO_DATA);
    check_result(requests[which].from, from);
    check_result(requests[which].to, to);
}

static void holes_are_punched(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "abcdef", 6, 0);
    for (int later = 0; later < 2; later++) {
        script_zeros();
        ends_later = later == 1;
        check_op(f, epio_punch_hole(&op, file, 1, 3), 0);
        check(request_count == 2 && requests[0].code == FSCTL_SET_SPARSE);
        check_zeroed(1, 1, 4);
        request_count = 0;
        check_op(f, epio_punch_hole(&op, file, 2, 1000), 0);
        check(request_count == 2);
        check_zeroed(1, 2, 6); /* not beyond the end */
        request_count = 0;
        check_op(f, epio_punch_hole(&op, file, 6, 1000), 0);
        check(request_count == 1); /* it becomes sparse, for what will be there */
        request_count = 0;
        fails_code = FSCTL_SET_SPARSE;
        error_of_control = ERROR_INVALID_FUNCTION;
        check_op_fails(f, epio_punch_hole(&op, file, 0, 1), EPIO_ENOTSUP, ERROR_INVALID_FUNCTION);
        check(request_count == 1);
        request_count = 0;
        fails_code = FSCTL_SET_ZERO_DATA;
        error_of_control = ERROR_LOCK_VIOLATION;
        check_op_fails(f, epio_punch_hole(&op, file, 0, 1), EPIO_EBUSY, ERROR_LOCK_VIOLATION);
        epio__win32 = real;
    }
    check_op(f, epio_size(&op, file), 6);
    fixture_close(f, file);
}

static void ranges_are_zeroed(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    fixture_write(f, file, "abcdef", 6, 0);
    script_zeros();
    check_op(f, epio_zero_range(&op, file, 1, 3, 0), 0);
    check(request_count == 1);
    check_zeroed(0, 1, 4);
    check_op(f, epio_zero_range(&op, file, 4, 10, KEEP_SIZE), 0);
    check(request_count == 2);
    check_zeroed(1, 4, 6);
    check_op(f, epio_zero_range(&op, file, 6, 10, KEEP_SIZE), 0);
    check(request_count == 2);
    check_op(f, epio_size(&op, file), 6);
    check_op(f, epio_zero_range(&op, file, 5, 3, 0), 0);
    check(request_count == 3);
    check_zeroed(2, 5, 6);
    check_op(f, epio_size(&op, file), 8);
    check_op(f, epio_zero_range(&op, file, 8, 2, 0), 0);
    check(request_count == 3);
    fails_code = FSCTL_SET_ZERO_DATA;
    error_of_control = ERROR_NOT_SUPPORTED;
    check_op_fails(f, epio_zero_range(&op, file, 5, 100, 0), EPIO_ENOTSUP, ERROR_NOT_SUPPORTED);
    epio__win32 = real;
    check_op(f, epio_size(&op, file), 10);
    fixture_close(f, file);
    check_content(f, "file", "abcdef\0\0\0", 10);
}

/* ---- Sparse files -------------------------------------------------------------------------- */

#define BLOCK 65536
#define BLOCKS 200

static unsigned queries;
static DWORD error_of_ranges;

/* Data in each block whose number leaves 1 or 2 when divided by 4, from the queried offset on; no
 * more than fit. */
static BOOL WINAPI scripted_ranges(HANDLE file, DWORD code, LPVOID in, DWORD in_len, LPVOID out,
                                   DWORD out_len, LPDWORD bytes, LPOVERLAPPED overlapped)
{
    FILE_ALLOCATED_RANGE_BUFFER *ranges = out;
    const FILE_ALLOCATED_RANGE_BUFFER *wanted = in;
    DWORD count = 0;
    check(file != NULL && code == FSCTL_QUERY_ALLOCATED_RANGES);
    check_result(in_len, sizeof *wanted);
    LONGLONG from = wanted->FileOffset.QuadPart;
    LONGLONG end = from + wanted->Length.QuadPart;
    queries++;
    if (error_of_ranges != 0) {
        return end_control(overlapped, bytes, 0, error_of_ranges);
    }
    /* Each block by itself, as a system may: neighbours are one piece of data. */
    for (LONGLONG i = from / BLOCK; i * BLOCK < end; i++) {
        if (i % 4 != 1 && i % 4 != 2 && i < 100) {
            continue;
        }
        if ((count + 1) * sizeof *ranges > out_len) {
            return end_control(overlapped, bytes, count * (DWORD)sizeof *ranges, ERROR_MORE_DATA);
        }
        ranges[count].FileOffset.QuadPart = i * BLOCK;
        ranges[count++].Length.QuadPart = BLOCK;
    }
    return end_control(overlapped, bytes, count * (DWORD)sizeof *ranges, 0);
}

static void holes_are_found(fixture *f)
{
    const int64_t size = (int64_t)BLOCKS * BLOCK - 10;
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_truncate(&op, file, (uint64_t)size), 0);
    for (int later = 0; later < 2; later++) {
        script_space(0);
        epio__win32.control = scripted_ranges;
        attributes = FILE_ATTRIBUTE_SPARSE_FILE;
        error_of_ranges = 0;
        ends_later = later == 1;
        check_op(f, epio_seek_data(&op, file, 0), BLOCK);
        check_op(f, epio_seek_data(&op, file, BLOCK + 5), BLOCK + 5);
        check_op(f, epio_seek_data(&op, file, 3 * BLOCK), 5 * BLOCK);
        check_op(f, epio_seek_hole(&op, file, 0), 0);
        check_op(f, epio_seek_hole(&op, file, BLOCK), 3 * BLOCK);
        check_op(f, epio_seek_hole(&op, file, 2 * BLOCK + 9), 3 * BLOCK);
        queries = 0;
        check_op(f, epio_seek_hole(&op, file, 110 * BLOCK + 3), size); /* by several calls */
        check(queries == 3);
        check_op(f, epio_seek_hole(&op, file, 95 * BLOCK), 95 * BLOCK);
        check_op(f, epio_seek_data(&op, file, (uint64_t)size - 1), size - 1);
        queries = 0;
        check_op(f, epio_seek_data(&op, file, (uint64_t)size), size);
        check_op(f, epio_seek_hole(&op, file, INT64_MAX), size);
        check(queries == 0);
        error_of_ranges = ERROR_ACCESS_DENIED;
        check_op_fails(f, epio_seek_data(&op, file, 0), EPIO_EACCES, ERROR_ACCESS_DENIED);
        error_of_ranges = ERROR_INVALID_FUNCTION; /* then it is all data */
        check_op(f, epio_seek_data(&op, file, 7), 7);
        check_op(f, epio_seek_hole(&op, file, 7), size);
        epio__win32 = real;
    }
    fixture_close(f, file);
}

static void other_files_are_all_data(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_seek_data(&op, file, 0), 0);
    check_op(f, epio_seek_hole(&op, file, 0), 0);
    fixture_write(f, file, "abcdef", 6, 0);
    check_op(f, epio_seek_data(&op, file, 2), 2);
    check_op(f, epio_seek_hole(&op, file, 2), 6);
    check_op(f, epio_seek_data(&op, file, 6), 6);
    check_op(f, epio_seek_hole(&op, file, 7), 6);
    fixture_close(f, file);
}

/* ---- As the system is ------------------------------------------------------------------------ */

static bool is_done(int64_t result)
{
    check(result == 0 || (result == EPIO_ENOTSUP && system_is_wine()));
    return result == 0;
}

/* Wine has none of this yet; where there is some, it works. */
static void the_calls_of_the_system(fixture *f)
{
    enum { LEN = 4 * BLOCK };
    static unsigned char content[LEN];
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    memset(content, 'x', LEN);
    fixture_write(f, file, content, LEN, 0);
    if (is_done(fixture_result(f, epio_allocate(&op, file, 0, (uint64_t)2 * LEN, KEEP_SIZE)))) {
        check_op(f, epio_size(&op, file), LEN);
    }
    if (is_done(fixture_result(f, epio_zero_range(&op, file, 1, 100, 0)))) {
        memset(content + 1, 0, 100);
    }
    if (is_done(fixture_result(f, epio_punch_hole(&op, file, BLOCK, BLOCK)))) {
        memset(content + BLOCK, 0, BLOCK);
        int64_t hole = fixture_result(f, epio_seek_hole(&op, file, 0));
        check(hole == BLOCK || hole == LEN);
    }
    check_op(f, epio_size(&op, file), LEN);
    fixture_close(f, file);
    check_content(f, "file", content, LEN);
}

static void advice_is_for_the_open(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_advise(&op, file, 0, 0, EPIO_ADVICE_NORMAL), 0);
    for (uint32_t advice = EPIO_ADVICE_SEQUENTIAL; advice <= EPIO_ADVICE_DONT_NEED; advice++) {
        check_op(f, epio_advise(&op, file, 0, 0, advice), EPIO_ENOTSUP);
    }
    check_op(f, epio_advise(&op, file, 0, 0, EPIO_ADVICE_DONT_NEED + 1), EPIO_EINVAL);
    fixture_close(f, file);
}

static void check_refused(fixture *f, epio_file *file, int64_t error)
{
    epio_op op = {0};
    check_op(f, epio_append(&op, file, "a", 1), error);
    check_op(f, epio_allocate(&op, file, 0, 1, 0), error);
    check_op(f, epio_punch_hole(&op, file, 0, 1), error);
    check_op(f, epio_zero_range(&op, file, 0, 1, 0), error);
}

static void bad_arguments(fixture *f)
{
    epio_op op = {0};
    epio_file *file = fixture_create(f, "file");
    check_op(f, epio_append(&op, file, NULL, 1), EPIO_EINVAL);
    check_op(f, epio_allocate(&op, file, 0, 0, 0), EPIO_EINVAL);
    check_op(f, epio_allocate(&op, file, INT64_MAX, 1, 0), EPIO_EINVAL);
    check_op(f, epio_allocate(&op, file, 0, 1, 2), EPIO_EINVAL);
    check_op(f, epio_punch_hole(&op, file, 0, 0), EPIO_EINVAL);
    check_op(f, epio_punch_hole(&op, file, UINT64_MAX, 1), EPIO_EINVAL);
    check_op(f, epio_zero_range(&op, file, 0, 0, 0), EPIO_EINVAL);
    check_op(f, epio_zero_range(&op, file, 0, 1, 2), EPIO_EINVAL);
    check_op(f, epio_seek_data(&op, file, UINT64_MAX), EPIO_EINVAL);
    check_op(f, epio_seek_hole(&op, file, UINT64_MAX), EPIO_EINVAL);
    check_op(f, epio_advise(&op, file, UINT64_MAX, 1, EPIO_ADVICE_NORMAL), EPIO_EINVAL);
    fixture_close(f, file);
    check_op(f, epio_open(&op, f->vfs, fixture_path(f, "file"), EPIO_OPEN_READ | EPIO_OPEN_APPEND),
             EPIO_EINVAL);
    file = fixture_open(f, "file", EPIO_OPEN_READ);
    check_refused(f, file, EPIO_EBADF);
    fixture_close(f, file);
    file = open_directory(f, ".");
    check_op(f, epio_append(&op, file, "a", 1), EPIO_EISDIR);
    check_op(f, epio_seek_data(&op, file, 0), EPIO_EISDIR);
    fixture_close(f, file);
    check_content(f, "file", "", 0);
}

int main(int argc, char **argv)
{
    static const child_function children[] = {CHILD(append_records)};
    static const fixture_test tests[] = {
        FIXTURE_TEST(appends_return_where_they_are, ON_ANY_OS),
        FIXTURE_TEST(appends_to_files_that_go, ON_SOME),
        FIXTURE_TEST(writes_go_to_the_end, ON_ANY_OS),
        FIXTURE_TEST(parts_are_one_write, ON_SOME),
        FIXTURE_TEST(direct_appends, ON_ANY_OS),
        FIXTURE_TEST(appends_by_adopted_handles, ON_SOME),
        FIXTURE_TEST(appends_may_fail, ON_SOME),
        FIXTURE_TEST(no_record_is_overwritten, ON_OS_PERFORM),
        FIXTURE_TEST(space_is_allocated, ON_SOME),
        FIXTURE_TEST(space_may_not_be_allocated, ON_SOME),
        FIXTURE_TEST(holes_are_punched, ON_SOME),
        FIXTURE_TEST(ranges_are_zeroed, ON_SOME),
        FIXTURE_TEST(holes_are_found, ON_SOME),
        FIXTURE_TEST(other_files_are_all_data, ON_SOME),
        FIXTURE_TEST(the_calls_of_the_system, ON_SOME),
        FIXTURE_TEST(advice_is_for_the_open, ON_SOME),
        FIXTURE_TEST(bad_arguments, ON_SOME),
    };
    real = epio__win32;
    CHILDREN_ARE(children, argc, argv);
    return FIXTURE_RUN("space on Windows", tests);
}
