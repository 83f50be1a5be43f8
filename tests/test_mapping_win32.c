/* Files in memory on Windows: a mapped file cannot become shorter; the calls, and how they end when
 * the system refuses. EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_OS_SUBMIT | ON_LIMIT_OS)
#define SHARED (EPIO_MAP_READ | EPIO_MAP_WRITE)
#define LEN 100000u

static epio__win32_calls real; /* as they were at first: a test that fails leaves its own */

static epio_file *create_full(fixture *f)
{
    static unsigned char data[LEN];
    epio__win32 = real;
    epio_file *file = fixture_create(f, "file");
    pattern_fill(data, sizeof data, 0);
    fixture_write(f, file, data, sizeof data, 0);
    return file;
}

/* ---- The end of the file -------------------------------------------------------------- */

static void a_mapped_file_does_not_shrink(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
    check_op(f, epio_truncate(&op, file, 1), EPIO_ESHARING);
    check(op.os_error == ERROR_USER_MAPPED_FILE);
    check(epio_op_invalid_reason(&op) == NULL);
    check_op(f, epio_truncate(&op, file, 2 * LEN), 0);
    epio_mapping *longer = fixture_map(f, file, LEN, LEN, SHARED);
    check_bytes(mapped_bytes(longer), 0, LEN);
    fixture_close(f, file);
    file = fixture_open(f, "file", READ_WRITE);
    check_op(f, epio_truncate(&op, file, LEN), EPIO_ESHARING);
    fixture_unmap(f, longer);
    fixture_unmap(f, mapping);
    check_op(f, epio_truncate(&op, file, 1), 0);
    fixture_close(f, file);
    check_result(file_size(fixture_path(f, "file")), 1);
}

/* ---- The calls ------------------------------------------------------------------------ */

static DWORD protection;
static DWORD view_access;
static uint64_t view_start;
static SIZE_T view_len;
static DWORD refusal; /* of the next call */

static HANDLE WINAPI noted_create(HANDLE file, LPSECURITY_ATTRIBUTES security, DWORD access,
                                  DWORD high, DWORD low, LPCWSTR name)
{
    check(high == 0 && low == 0 && name == NULL); /* it must not make the file longer */
    protection = access;
    return real.create_mapping(file, security, access, high, low, name);
}

static LPVOID WINAPI noted_view(HANDLE section, DWORD access, DWORD high, DWORD low, SIZE_T len)
{
    view_access = access;
    view_start = (uint64_t)high << 32 | low;
    view_len = len;
    return real.map_view(section, access, high, low, len);
}

static void views_are_as_asked_for(fixture *f)
{
    static const struct {
        uint32_t access;
        DWORD protection;
        DWORD view;
    } cases[] = {{EPIO_MAP_READ, PAGE_READONLY, FILE_MAP_READ},
                 {EPIO_MAP_READ | EPIO_MAP_PRIVATE, PAGE_READONLY, FILE_MAP_READ},
                 {SHARED, PAGE_READWRITE, FILE_MAP_WRITE},
                 {SHARED | EPIO_MAP_PRIVATE, PAGE_WRITECOPY, FILE_MAP_COPY}};
    epio_file *file = create_full(f);
    epio__win32.create_mapping = noted_create;
    epio__win32.map_view = noted_view;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        epio_mapping *mapping = fixture_map(f, file, 70000, 30, cases[i].access);
        check(protection == cases[i].protection && view_access == cases[i].view);
        check(view_start == 65536 && view_len == 70000 - 65536 + 30);
        fixture_unmap(f, mapping);
    }
    epio__win32 = real;
    fixture_close(f, file);
}

static HANDLE WINAPI refused_create(HANDLE file, LPSECURITY_ATTRIBUTES security, DWORD access,
                                    DWORD high, DWORD low, LPCWSTR name)
{
    (void)file;
    (void)security;
    (void)access;
    (void)high;
    (void)low;
    (void)name;
    SetLastError(refusal);
    return NULL;
}

static LPVOID WINAPI refused_view(HANDLE section, DWORD access, DWORD high, DWORD low, SIZE_T len)
{
    (void)section;
    (void)access;
    (void)high;
    (void)low;
    (void)len;
    SetLastError(refusal);
    return NULL;
}

static void refusals_are_reported(fixture *f)
{
    static const struct {
        DWORD error;
        int result;
    } cases[] = {{ERROR_ACCESS_DENIED, EPIO_EACCES},    {ERROR_NOT_ENOUGH_MEMORY, EPIO_ENOMEM},
                 {ERROR_COMMITMENT_LIMIT, EPIO_ENOMEM}, {ERROR_INVALID_ADDRESS, EPIO_ENOMEM},
                 {ERROR_FILE_INVALID, EPIO_EINVAL},     {ERROR_INVALID_FUNCTION, EPIO_ENOTSUP}};
    epio_op op = {0};
    epio_file *file = create_full(f);
    fixture_unmap(f, fixture_map(f, file, 0, 1, SHARED));
    int handles = count_descriptors();
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        refusal = cases[i / 2].error;
        if (i % 2 == 0) {
            epio__win32.create_mapping = refused_create;
        } else {
            epio__win32.map_view = refused_view;
        }
        int64_t result = fixture_result(f, epio_map(&op, file, 0, LEN, SHARED));
        epio__win32 = real;
        check_result(result, cases[i / 2].result);
        check(op.os_error == (int32_t)refusal && epio_op_mapping(&op) == NULL);
    }
    check_result(count_descriptors(), handles);
    fixture_close(f, file);
}

/* ---- Syncs ---------------------------------------------------------------------------- */

static LPCVOID flushed_from;
static SIZE_T flushed_len;
static unsigned views_flushed;
static unsigned files_flushed;
static unsigned violations; /* of the next calls */

static BOOL WINAPI counted_flush_view(LPCVOID from, SIZE_T len)
{
    flushed_from = from;
    flushed_len = len;
    views_flushed++;
    if (violations > 0) {
        violations--;
        SetLastError(ERROR_LOCK_VIOLATION);
        return FALSE;
    }
    if (refusal != 0) {
        SetLastError(refusal);
        return FALSE;
    }
    return real.flush_view(from, len);
}

static BOOL WINAPI counted_flush(HANDLE file)
{
    files_flushed++;
    return real.flush(file);
}

static BOOL WINAPI failing_flush(HANDLE file)
{
    (void)file;
    SetLastError(ERROR_IO_DEVICE);
    return FALSE;
}

static void syncs_flush_both(fixture *f)
{
    epio_op op = {0};
    epio_file *file = create_full(f);
    epio_mapping *mapping = fixture_map(f, file, 10, LEN - 10, SHARED);
    epio_mapping *reads = fixture_map(f, file, 10, 10, EPIO_MAP_READ);
    epio_mapping *private = fixture_map(f, file, 10, 10, SHARED | EPIO_MAP_PRIVATE);
    fixture_close(f, file);
    refusal = 0;
    violations = 3;
    views_flushed = files_flushed = 0;
    epio__win32.flush_view = counted_flush_view;
    epio__win32.flush = counted_flush;
    check_op(f, epio_sync_mapping(&op, mapping, 5, 20), 0);
    check(flushed_from == mapped_bytes(mapping) + 5 && flushed_len == 20);
    check(views_flushed == 4 && files_flushed == 1);
    check_op(f, epio_sync_mapping(&op, mapping, LEN - 10, 0), 0); /* of nothing */
    check_op(f, epio_sync_mapping(&op, reads, 0, 0), 0);
    check_op(f, epio_sync_mapping(&op, private, 0, 0), 0);
    check(views_flushed == 4 && files_flushed == 1);
    epio__win32 = real;
    fixture_unmap(f, private);
    fixture_unmap(f, reads);
    fixture_unmap(f, mapping);
}

static void a_failure_is_not_forgotten(fixture *f)
{
    for (int i = 0; i < 2; i++) {
        epio_op op = {0};
        epio_file *file = create_full(f);
        epio_mapping *mapping = fixture_map(f, file, 0, LEN, SHARED);
        if (i == 0) {
            epio__win32.flush = failing_flush;
        } else {
            refusal = ERROR_IO_DEVICE;
            epio__win32.flush_view = counted_flush_view;
        }
        int64_t result = fixture_result(f, epio_sync_mapping(&op, mapping, 0, 0));
        epio__win32 = real;
        check_result(result, EPIO_EIO);
        check_op_fails(f, epio_sync_mapping(&op, mapping, 0, 0), EPIO_EIO, ERROR_IO_DEVICE);
        check_op_fails(f, epio_sync(&op, file, EPIO_SYNC_FULL), EPIO_EIO, ERROR_IO_DEVICE);
        check_op_fails(f, epio_write(&op, file, "abc", 3, 0), EPIO_EIO, ERROR_IO_DEVICE);
        fixture_close(f, file);
        check_op_fails(f, epio_sync_mapping(&op, mapping, 0, 0), EPIO_EIO, ERROR_IO_DEVICE);
        fixture_unmap(f, mapping);
        check_op(f, epio_delete(&op, f->vfs, fixture_path(f, "file"), 0), 0);
    }
}

static void mappings_leave_nothing_open(fixture *f)
{
    epio_file *file = create_full(f);
    fixture_unmap(f, fixture_map(f, file, 0, 1, SHARED));
    int handles = count_descriptors();
    for (int i = 0; i < 10; i++) {
        fixture_unmap(f, fixture_map(f, file, 0, LEN, SHARED));
        fixture_unmap(f, fixture_map(f, file, 0, LEN, EPIO_MAP_READ));
    }
    check_result(count_descriptors(), handles);
    fixture_close(f, file);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_mapped_file_does_not_shrink, ON_SOME),
        FIXTURE_TEST(views_are_as_asked_for, ON_SOME),
        FIXTURE_TEST(refusals_are_reported, ON_SOME),
        FIXTURE_TEST(syncs_flush_both, ON_SOME),
        FIXTURE_TEST(a_failure_is_not_forgotten, ON_SOME),
        FIXTURE_TEST(mappings_leave_nothing_open, ON_SOME),
    };
    real = epio__win32;
    return FIXTURE_RUN("mapping, Windows", tests);
}
