/* Links in paths that must stay beneath a directory. Wine has no links: here each file whose name
 * begins with "link" is one to src/win32, by the calls of src/win32/calls.c.
 * EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

#include <wchar.h>

#define ON_SOME (ON_OS_PERFORM | ON_OS | ON_TRACE_OS)
#define CONFINING (DIRECTORY | EPIO_OPEN_BENEATH)

static epio__win32_calls real;

static BOOL end_with(DWORD error)
{
    SetLastError(error);
    return error == 0;
}

/* ---- Links ---------------------------------------------------------------------- */

typedef struct fake_link {
    const WCHAR *name;
    const WCHAR *target;
    ULONG tag;
} fake_link;

static const fake_link links[] = {
    {L"link_in", L"a\\b", IO_REPARSE_TAG_SYMLINK},
    {L"link_slash", L"a/b", IO_REPARSE_TAG_SYMLINK},
    {L"link_file", L"link_in\\..\\file", IO_REPARSE_TAG_SYMLINK},
    {L"link_new", L"a\\new", IO_REPARSE_TAG_SYMLINK},
    {L"link_up", L"..", IO_REPARSE_TAG_SYMLINK},
    {L"link_out", L"..\\out", IO_REPARSE_TAG_SYMLINK},
    {L"link_around", L"a\\..\\..", IO_REPARSE_TAG_SYMLINK},
    {L"link_drive", L"\\??\\C:\\", IO_REPARSE_TAG_SYMLINK},
    {L"link_root", L"\\windows", IO_REPARSE_TAG_SYMLINK},
    {L"link_volume", L"\\??\\Volume{1}\\", IO_REPARSE_TAG_MOUNT_POINT},
    {L"link_loop", L"link_loop", IO_REPARSE_TAG_SYMLINK},
    {L"link_wsl", L"a", 0xA000001D},
    {L"link_cloud", L"", 0x9000001A},
    {L"link_directory", L"a", IO_REPARSE_TAG_SYMLINK},
    {L"link_late", L"..\\out", IO_REPARSE_TAG_SYMLINK},
};
#define LINKS (sizeof links / sizeof links[0])

/* Open ones. */
static struct {
    HANDLE handle;
    const fake_link *link;
} open_links[16];
static int opens_of_late; /* of link_late, which is none at first */
static int followed;      /* by the system */

static const fake_link *link_of(HANDLE handle)
{
    for (size_t i = 0; i < 16; i++) {
        if (open_links[i].handle == handle) {
            return open_links[i].link;
        }
    }
    return NULL;
}

static void note_open(HANDLE handle, const fake_link *link)
{
    size_t free_one = 16;
    for (size_t i = 16; i > 0; i--) {
        if (open_links[i - 1].handle == handle || open_links[i - 1].handle == NULL) {
            free_one = i - 1;
        }
        if (open_links[i - 1].handle == handle) {
            open_links[i - 1].handle = NULL; /* of a closed one */
        }
    }
    if (link != NULL) {
        free_one = free_one == 16 ? 0 : free_one;
        open_links[free_one].handle = handle;
        open_links[free_one].link = link;
    }
}

static DWORD create(const epio__nt_creation *wanted, HANDLE *handle, bool *created)
{
    const fake_link *link = NULL;
    for (size_t i = 0; i < LINKS; i++) {
        link = wcscmp(wanted->name, links[i].name) == 0 ? &links[i] : link;
    }
    if (link != NULL && wcscmp(link->name, L"link_late") == 0 && opens_of_late++ == 0) {
        link = NULL;
    }
    if (link != NULL && (wanted->options & FILE_OPEN_REPARSE_POINT) == 0 &&
        link->tag != 0x9000001A) {
        followed++;
    }
    DWORD error = real.nt_create(wanted, handle, created);
    if (error == 0) {
        note_open(*handle, (wanted->options & FILE_OPEN_REPARSE_POINT) != 0 ? link : NULL);
    }
    return error;
}

static BOOL WINAPI get(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data, DWORD size)
{
    const fake_link *link = link_of(handle);
    BOOL done = real.get_information(handle, class, data, size);
    if (link != NULL && class == FileAttributeTagInfo) {
        FILE_ATTRIBUTE_TAG_INFO tag = {FILE_ATTRIBUTE_REPARSE_POINT, link->tag};
        memcpy(data, &tag, sizeof tag);
        return TRUE;
    }
    if (link != NULL && class == FileBasicInfo) {
        ((FILE_BASIC_INFO *)data)->FileAttributes |= FILE_ATTRIBUTE_REPARSE_POINT;
    }
    return done;
}

static BOOL WINAPI control(HANDLE handle, DWORD code, LPVOID in, DWORD in_size, LPVOID out,
                           DWORD out_size, LPDWORD len, LPOVERLAPPED overlapped)
{
    const fake_link *link = link_of(handle);
    check(code == FSCTL_GET_REPARSE_POINT && in == NULL && in_size == 0 && overlapped == NULL);
    if (link == NULL) {
        return end_with(ERROR_NOT_A_REPARSE_POINT);
    }
    USHORT bytes = (USHORT)(wcslen(link->target) * sizeof(WCHAR));
    size_t head = link->tag == IO_REPARSE_TAG_SYMLINK ? 20 : 16;
    USHORT names[4] = {0, bytes, bytes, 0};
    check(head + bytes <= out_size);
    memset(out, 0, head);
    memcpy(out, &link->tag, sizeof link->tag);
    memcpy((char *)out + 8, names, sizeof names);
    memcpy((char *)out + head, link->target, bytes);
    *len = (DWORD)(head + bytes);
    return TRUE;
}

static epio_file *begin(fixture *f)
{
    epio_op op = {0};
    make_directory(f, "in");
    make_directory(f, "out");
    fixture_put(f, "out/secret", "secret", 6);
    epio_file *directory = fixture_open(f, "in", CONFINING);
    epio_vfs *vfs = epio_directory_vfs(directory);
    check_op(f, epio_mkdir(&op, vfs, "a/b", EPIO_MKDIR_PARENTS), 0);
    put_in(f, vfs, "a/file", "file");
    for (size_t i = 0; i < LINKS; i++) {
        char name[32];
        (void)epio__narrow(links[i].name, wcslen(links[i].name), name);
        if (strcmp(name, "link_directory") == 0) {
            check_op(f, epio_mkdir(&op, vfs, name, 0), 0);
        } else {
            put_in(f, vfs, name, "a link");
        }
    }
    memset(open_links, 0, sizeof open_links);
    opens_of_late = 0;
    followed = 0;
    real = epio__win32;
    epio__win32.nt_create = create;
    epio__win32.get_information = get;
    epio__win32.control = control;
    return directory;
}

static void end(fixture *f, epio_file *directory)
{
    epio__win32 = real;
    check_result(followed, 0);
    fixture_close(f, directory);
    check_in(f, f->vfs, fixture_path(f, "out/secret"), "secret");
}

/* ---- Where they lead ------------------------------------------------------------ */

static void links_lead_to_what_is_beneath(fixture *f)
{
    epio_op op = {0};
    epio_file *directory = begin(f);
    epio_vfs *vfs = epio_directory_vfs(directory);
    check_in(f, vfs, "link_in/../file", "file");
    check_in(f, vfs, "link_slash/../file", "file");
    check_in(f, vfs, "link_file", "file");
    check_result(stat_of(f, vfs, "link_file", 0).bytes, 4);
    check_result(stat_of(f, vfs, "link_in/.", 0).type, EPIO_TYPE_DIRECTORY);
    check_result(stat_of(f, vfs, "link_in", EPIO_STAT_NOFOLLOW).type, EPIO_TYPE_LINK);
    put_in(f, vfs, "link_new", "new"); /* it dangles */
    check_in(f, vfs, "a/new", "new");
    check_op(f, epio_mkdir(&op, vfs, "link_in/new/newer", EPIO_MKDIR_PARENTS), 0);
    check_op(f, epio_rmdir(&op, vfs, "a/b/new/newer", 0), 0);
    check_op(f, epio_rename(&op, vfs, "link_in/new", "link_slash/renamed", 0), 0);
    check_op(f, epio_rmdir(&op, vfs, "a/b/renamed/", 0), 0);
    check_op(f, epio_open(&op, vfs, "link_file", EPIO_OPEN_READ | EPIO_OPEN_NOFOLLOW), EPIO_ELOOP);
    check_op(
        f,
        epio_open(&op, vfs, "link_new", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE),
        EPIO_EEXIST);
    /* A file in a cloud is no link, whatever its name. */
    check_in(f, vfs, "link_cloud", "a link");
    check_op(f, epio_delete(&op, vfs, "link_out", 0), 0); /* the link itself */
    end(f, directory);
}

static void links_do_not_lead_out(fixture *f)
{
    static const char *const outside[] = {
        "link_up",  "link_up/out",  "link_out",  "link_out/secret",  "link_around/out",
        "link_wsl", "link_drive/x", "link_root", "link_volume/x",    "link_in/../../link_out",
        "C:x",      "c:/",          "\\x",       "link_in/../../..",
    };
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_file *directory = begin(f);
    epio_vfs *vfs = epio_directory_vfs(directory);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        check_op(f, epio_stat(&op, vfs, outside[i], &info, 0), EPIO_EACCES);
        check_op(f, epio_open(&op, vfs, outside[i], EPIO_OPEN_WRITE | EPIO_OPEN_CREATE),
                 EPIO_EACCES);
        check_op(f, epio_access(&op, vfs, outside[i], EPIO_ACCESS_EXISTS), 0);
        check_op(f, epio_sync_directory(&op, vfs, outside[i]), EPIO_EACCES);
    }
    check_op(f, epio_delete(&op, vfs, "link_out/secret", 0), EPIO_EACCES);
    check_op(f, epio_rename(&op, vfs, "link_out/secret", "stolen", 0), EPIO_EACCES);
    check_op(f, epio_rename(&op, vfs, "a/file", "link_out/file", 0), EPIO_EACCES);
    check_op(f, epio_mkdir(&op, vfs, "link_out/x/y", EPIO_MKDIR_PARENTS), EPIO_EACCES);
    check_op(f, epio_stat(&op, vfs, "link_loop", &info, 0), EPIO_ELOOP);
    check_op(f, epio_stat(&op, vfs, "link_loop/x", &info, 0), EPIO_ELOOP);
    check_op(f, epio_stat(&op, vfs, "NUL", &info, 0), EPIO_EINVAL);
    check_op(f, epio_stat(&op, vfs, "a/file/x", &info, 0), EPIO_ENOTDIR);
    check_op(f, epio_rename(&op, vfs, "a", "a/b/c", 0), EPIO_EINVAL);
    check_op(f, epio_open(&op, vfs, "a", EPIO_OPEN_TEMPORARY), EPIO_ENOTSUP);
    check_op(
        f, epio_open(&op, vfs, "x", EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_DELETE_ON_CLOSE),
        EPIO_ENOTSUP);
    char path[256];
    check(fixture_result(f, epio_temporary_directory(&op, vfs, "a", path, sizeof path)) > 2);
    check_op(f, epio_rmdir(&op, vfs, path, 0), 0);
    check_op(f, epio_temporary_directory(&op, vfs, NULL, path, sizeof path), EPIO_EACCES);
    end(f, directory);
}

/* Between the look at a file and its open another program exchanged it. */
static void a_late_link_is_not_followed(fixture *f)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    epio_file *directory = begin(f);
    epio_vfs *vfs = epio_directory_vfs(directory);
    check_op(f, epio_open(&op, vfs, "link_late", EPIO_OPEN_READ), EPIO_ELOOP);
    opens_of_late = 0;
    check_op(f, epio_stat(&op, vfs, "link_late", &info, 0), EPIO_ELOOP);
    end(f, directory);
}

/* A link to a directory is one to the system, but has a name like a file's. */
static void a_rename_replaces_the_link_itself(fixture *f)
{
    epio_op op = {0};
    epio_file *directory = begin(f);
    epio_vfs *vfs = epio_directory_vfs(directory);
    int before = count_entries(fixture_path(f, "in"));
    check_op(f, epio_rename(&op, vfs, "a", "link_directory", 0), EPIO_ENOTDIR);
    check_op(f, epio_rename(&op, vfs, "a/file", "link_directory", 0), 0);
    epio__win32 = real;
    check_in(f, vfs, "link_directory", "file");
    check_result(count_entries(fixture_path(f, "in")), before);
    fixture_close(f, directory);
}

/* ---- New links ------------------------------------------------------------------ */

static fixture *now;
static int made;

static BOOLEAN WINAPI make_link(LPCWSTR name, LPCWSTR target, DWORD flags)
{
    epio_op op = {0};
    (void)flags;
    made++;
    check(wcscmp(target, L"x") == 0);
    check(wcsncmp(name, L"\\\\?\\", 4) == 0 && wcscmp(name + wcslen(name) - 7, L"\\a\\link") == 0);
    /* The directory stays where it is. */
    check_result(epio_perform(epio_rename(&op, epio_os_vfs(), fixture_path(now, "in/a"),
                                          fixture_path(now, "in/moved"), 0)),
                 EPIO_ESHARING);
    return TRUE;
}

static void links_are_made_where_they_belong(fixture *f)
{
    epio_op op = {0};
    epio_file *directory = begin(f);
    epio__win32.create_symbolic_link = make_link;
    now = f;
    made = 0;
    check_op(f, epio_symlink(&op, epio_directory_vfs(directory), "x", "a/link", 0), 0);
    check_result(made, 1);
    check_op(f, epio_symlink(&op, epio_directory_vfs(directory), "x", "link_out/link", 0),
             EPIO_EACCES);
    check_result(made, 1);
    end(f, directory);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(links_lead_to_what_is_beneath, ON_SOME),
        FIXTURE_TEST(links_do_not_lead_out, ON_SOME),
        FIXTURE_TEST(a_late_link_is_not_followed, ON_SOME),
        FIXTURE_TEST(a_rename_replaces_the_link_itself, ON_SOME),
        FIXTURE_TEST(links_are_made_where_they_belong, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("beneath, on Windows", tests);
}
