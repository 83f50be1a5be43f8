/* How a temporary file gets a name on Windows: by a further link where there are such, else by a
 * rename, once it is not removed at its close any more. EPIO_TEST_WITHOUT_LOOP: also without
 * loops. */
#include "tree_win32.h"

#include "win32/win32.h"

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_LIMIT_OS)
#define DISPOSITION_EX 21
#define RENAME_EX 22

static epio__win32_calls real;
static char calls[32]; /* L, l: links; c, d: kept, deleted at the close; R, r: renames */
static DWORD link_error;
static DWORD disposition_error;
static DWORD rename_error;
static DWORD flush_error;

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

static void note(char call)
{
    size_t len = strlen(calls);
    check(len + 1 < sizeof calls);
    calls[len] = call;
}

static DWORD scripted_nt_set(HANDLE handle, int which, void *information, ULONG size)
{
    DWORD flags;
    memcpy(&flags, information, sizeof flags);
    if (which == EPIO__NT_LINK || which == EPIO__NT_LINK_EX) {
        note(which == EPIO__NT_LINK ? 'l' : 'L');
        /* Replacing one that is open, and read-only. */
        check(which != EPIO__NT_LINK_EX || flags == 0x43 || flags == 0x2);
        return link_error;
    }
    check(which == EPIO__NT_RENAME);
    note('r');
    return rename_error != 0 ? rename_error
                             : real.nt_set_information(handle, which, information, size);
}

static BOOL WINAPI scripted_set(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data,
                                DWORD size)
{
    DWORD flags;
    memcpy(&flags, data, sizeof flags);
    switch ((int)class) {
    case DISPOSITION_EX:
        check((flags & 8) != 0); /* of the close */
        note((flags & 1) != 0 ? 'd' : 'c');
        return end_with(disposition_error);
    case RENAME_EX:
        note('R');
        return end_with(ERROR_INVALID_PARAMETER);
    default:
        return real.set_information(handle, class, data, size);
    }
}

static BOOL WINAPI scripted_flush(HANDLE handle)
{
    return flush_error != 0 ? end_with(flush_error) : real.flush(handle);
}

static epio_file *begin(fixture *f)
{
    epio_file *file = fixture_open(f, ".", EPIO_OPEN_TEMPORARY);
    real = epio__win32;
    epio__win32.nt_set_information = scripted_nt_set;
    epio__win32.set_information = scripted_set;
    epio__win32.flush = scripted_flush;
    memset(calls, 0, sizeof calls);
    link_error = 0;
    disposition_error = 0;
    rename_error = 0;
    flush_error = 0;
    return file;
}

static void end(fixture *f, epio_file *file)
{
    epio__win32 = real;
    fixture_close(f, file);
}

static void check_calls(const char *wanted)
{
    if (strcmp(calls, wanted) != 0) {
        print_error("calls %s, not %s\n", calls, wanted);
        check(false);
    }
    memset(calls, 0, sizeof calls);
}

static void a_link_is_enough(fixture *f)
{
    epio_op op = {0};
    const char *path = fixture_path(f, "name");
    epio_file *file = begin(f);
    link_error = ERROR_ALREADY_EXISTS;
    check_op(f, epio_name_temporary(&op, file, path, EPIO_NAME_NO_REPLACE), EPIO_EEXIST);
    check_calls("Ll");
    link_error = 0;
    flush_error = ERROR_DISK_FULL;
    check_op_fails(f, epio_name_temporary(&op, file, path, EPIO_NAME_SYNC_DIR), EPIO_EIO,
                   ERROR_DISK_FULL);
    check_calls("L");
    check_op(f, epio_name_temporary(&op, file, path, 0), EPIO_EINVAL); /* it has one */
    end(f, file);
}

static void without_links_it_is_renamed(fixture *f)
{
    epio_op op = {0};
    const char *path = fixture_path(f, "name");
    epio_file *file = begin(f);
    link_error = ERROR_INVALID_FUNCTION;
    rename_error = ERROR_ALREADY_EXISTS;
    check_op(f, epio_name_temporary(&op, file, path, EPIO_NAME_NO_REPLACE), EPIO_EEXIST);
    check_calls("LlcRrd");
    rename_error = 0;
    check_op(f, epio_name_temporary(&op, file, path, 0), 0);
    check_calls("LlcRr");
    check(file_exists(path));
    end(f, file);

    /* Neither way is there. */
    file = begin(f);
    link_error = ERROR_NOT_SUPPORTED;
    disposition_error = ERROR_INVALID_PARAMETER;
    check_op(f, epio_name_temporary(&op, file, path, 0), EPIO_ENOTSUP);
    check_calls("Llc");
    link_error = ERROR_NOT_SAME_DEVICE;
    check_op(f, epio_name_temporary(&op, file, path, 0), EPIO_EXDEV);
    check_calls("Ll");
    end(f, file);
}

static void names_of_other_things(fixture *f)
{
    epio_op op = {0};
    fixture_put(f, "file", "", 0);
    make_directory(f, "directory");
    epio_file *file = fixture_open(f, ".", EPIO_OPEN_TEMPORARY);
    epio_info info = stat_of_file(f, file);
    check((info.attributes & FILE_ATTRIBUTE_TEMPORARY) != 0 || system_is_wine());
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "directory"), 0), EPIO_EISDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "file/x"), 0), EPIO_ENOTDIR);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "none/x"), 0), EPIO_ENOENT);
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "NUL"), 0), EPIO_EINVAL);
    check_op(f, epio_set_mode(&op, f->vfs, fixture_path(f, "file"), 0444, 0), 0);
    int64_t replaced =
        fixture_result(f, epio_name_temporary(&op, file, fixture_path(f, "file"), 0));
    check(replaced == 0 || (system_is_wine() && replaced == EPIO_EACCES));
    check_op(f, epio_set_mode(&op, f->vfs, fixture_path(f, "file"), 0666, 0), 0);
    if (replaced == 0) {
        info = stat_of_file(f, file);
        check_result(info.attributes & FILE_ATTRIBUTE_TEMPORARY, 0);
    }
    fixture_close(f, file);
    file = fixture_create(f, "ordinary");
    check_op(f, epio_name_temporary(&op, file, fixture_path(f, "name"), 0), EPIO_EINVAL);
    fixture_close(f, file);
    check_result(count_entries(f->directory), 3);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_link_is_enough, ON_SOME),
        FIXTURE_TEST(without_links_it_is_renamed, ON_SOME),
        FIXTURE_TEST(names_of_other_things, ON_SOME),
    };
    return FIXTURE_RUN("temporary files of Windows", tests);
}
