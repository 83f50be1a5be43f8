/* What each verb does with each kind of thing on Windows: one table, in the manner of pjdfstest.
 * EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "tree_win32.h"

#include "win32/win32.h"

typedef enum thing {
    A_FILE,
    READ_ONLY,
    EMPTY,     /* a directory */
    FULL,      /* one with a file in it */
    OPEN,      /* a file that another handle has, and shares */
    HELD,      /* the same, not shared */
    MISSING,   /* in a directory that is there */
    NO_PARENT, /* in one that is not */
    BELOW,     /* "below" a file */
    TOO_LONG,
    DEVICE, /* its name */
    WRONG,  /* a name that the system does not take */
    ROOT,   /* of the drive */
    THINGS
} thing;

static const char *const thing_names[THINGS] = {
    "file",    "read-only",    "empty",      "full",     "open", "held", "missing",
    "none/of", "file/missing", "a long one", "COM1.txt", "a*b",  "C:/"};

/* For the paths of one cell. */
typedef struct cell {
    fixture *f;
    char directory[24];
    char path[600];
    HANDLE handle; /* of OPEN and HELD */
    bool waits;    /* for what is held */
} cell;

static const char *path_in(const cell *one, const char *name)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", one->directory, name);
    return fixture_path(one->f, path);
}

static void make_thing(cell *one, thing which)
{
    epio_op op = {0};
    char name[300];
    const char *path = path_in(one, thing_names[which]);
    file_make(path_in(one, "file"));
    file_make(path_in(one, "source"));
    check(directory_make(path_in(one, "source-directory")));
    switch (which) {
    case READ_ONLY:
        file_make(path);
        check_result(epio_perform(epio_set_mode(&op, epio_os_vfs(), path, 0444, 0)), 0);
        break;
    case EMPTY:
    case FULL:
        check(directory_make(path));
        if (which == FULL) {
            file_make(path_in(one, "full/in"));
        }
        break;
    case OPEN:
    case HELD:
        file_make(path);
        one->handle = (HANDLE)handle_open(path, EPIO_OPEN_READ);
        check(one->handle != INVALID_HANDLE_VALUE);
        break;
    case TOO_LONG:
        memset(name, 'n', 256);
        name[256] = '\0';
        path = path_in(one, name);
        break;
    case ROOT:
        path = thing_names[which];
        break;
    default:
        break;
    }
    (void)snprintf(one->path, sizeof one->path, "%s", path);
    if (which == HELD) {
        WCHAR wide[600];
        (void)CloseHandle(one->handle);
        check(MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, 600) > 0);
        one->handle = CreateFileW(wide, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
        check(one->handle != INVALID_HANDLE_VALUE);
    }
}

/* ---- Verbs ---------------------------------------------------------------------- */

/* What is held is tried again until then; it never comes free. */
#define PATIENCE_NS UINT64_C(1000000)

static int64_t run(cell *one, epio_op *op)
{
    op->timeout_ns = one->waits ? PATIENCE_NS : 0;
    int64_t result = fixture_result(one->f, op);
    if (op->kind == EPIO_KIND_OPEN && result == 0) {
        fixture_close(one->f, op->file);
    }
    return result;
}

static int64_t stat_it(cell *one)
{
    epio_op op = {0};
    epio_info info = {.size = sizeof info};
    return run(one, epio_stat(&op, one->f->vfs, one->path, &info, 0));
}

static int64_t open_it(cell *one, uint32_t flags)
{
    epio_op op = {0};
    return run(one, epio_open(&op, one->f->vfs, one->path, flags));
}

static int64_t open_to_read(cell *one)
{
    return open_it(one, EPIO_OPEN_READ);
}

static int64_t open_to_write(cell *one)
{
    return open_it(one, READ_WRITE);
}

static int64_t open_or_create(cell *one)
{
    return open_it(one, READ_WRITE | EPIO_OPEN_CREATE);
}

static int64_t create(cell *one)
{
    return open_it(one, READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE);
}

static int64_t open_as_directory(cell *one)
{
    return open_it(one, DIRECTORY);
}

static int64_t mkdir_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_mkdir(&op, one->f->vfs, one->path, 0));
}

static int64_t rmdir_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_rmdir(&op, one->f->vfs, one->path, 0));
}

static int64_t delete_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_delete(&op, one->f->vfs, one->path, 0));
}

static int64_t rename_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_rename(&op, one->f->vfs, one->path, path_in(one, "new"), 0));
}

static int64_t file_over_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_rename(&op, one->f->vfs, path_in(one, "source"), one->path, 0));
}

static int64_t file_beside_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_rename(&op, one->f->vfs, path_in(one, "source"), one->path,
                                EPIO_RENAME_NO_REPLACE));
}

static int64_t directory_over_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_rename(&op, one->f->vfs, path_in(one, "source-directory"), one->path, 0));
}

static int64_t link_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_link_file(&op, one->f->vfs, one->path, path_in(one, "new"), 0));
}

static int64_t link_to_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_link_file(&op, one->f->vfs, path_in(one, "source"), one->path, 0));
}

static int64_t read_link_it(cell *one)
{
    epio_op op = {0};
    char target[64];
    return run(one, epio_read_link(&op, one->f->vfs, one->path, target, sizeof target));
}

static int64_t access_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_access(&op, one->f->vfs, one->path, EPIO_ACCESS_EXISTS));
}

static int64_t may_write_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_access(&op, one->f->vfs, one->path, EPIO_ACCESS_READWRITE));
}

static int64_t set_mode_of_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_set_mode(&op, one->f->vfs, one->path, 0666, 0));
}

static int64_t sync_it(cell *one)
{
    epio_op op = {0};
    return run(one, epio_sync_directory(&op, one->f->vfs, one->path));
}

static int64_t describe_volume_of_it(cell *one)
{
    epio_op op = {0};
    epio_file_system info = {.size = sizeof info};
    return run(one, epio_file_system_info(&op, one->f->vfs, one->path, &info));
}

/* ---- The table ------------------------------------------------------------------ */

typedef struct row {
    const char *verb;
    int64_t (*run)(cell *one);
    int64_t results[THINGS];
} row;

#define OK 0
#define YES 1
#define NO 0
#define NOENT EPIO_ENOENT
#define NOTDIR EPIO_ENOTDIR
#define ISDIR EPIO_EISDIR
#define EXIST EPIO_EEXIST
#define ACCES EPIO_EACCES
#define INVAL EPIO_EINVAL
#define LONG EPIO_ENAMETOOLONG
#define NOTEMPTY EPIO_ENOTEMPTY
#define PERM EPIO_EPERM
#define LATE EPIO_ETIMEDOUT
#define ANY INT64_MIN /* not tried, or different from system to system */

/* clang-format off */
static const row table[] = {
    /*  A_FILE READ_ONLY EMPTY FULL OPEN HELD MISSING NO_PARENT BELOW TOO_LONG DEVICE WRONG ROOT */
    {"stat", stat_it,
     {OK, OK, OK, OK, OK, OK, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, OK}},
    {"open READ", open_to_read,
     {OK, OK, ISDIR, ISDIR, OK, LATE, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, ISDIR}},
    {"open WRITE", open_to_write,
     {OK, ACCES, ISDIR, ISDIR, OK, LATE, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, ISDIR}},
    {"open CREATE", open_or_create,
     {OK, ACCES, ISDIR, ISDIR, OK, LATE, OK, NOENT, NOTDIR, LONG, INVAL, INVAL, ISDIR}},
    {"open EXCLUSIVE", create,
     {EXIST, EXIST, EXIST, EXIST, EXIST, EXIST, OK, NOENT, NOTDIR, LONG, INVAL, INVAL, EXIST}},
    {"open DIRECTORY", open_as_directory,
     {NOTDIR, NOTDIR, OK, OK, NOTDIR, LATE, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, OK}},
    {"mkdir", mkdir_it,
     {EXIST, EXIST, EXIST, EXIST, EXIST, EXIST, OK, NOENT, NOTDIR, LONG, INVAL, INVAL, EXIST}},
    {"rmdir", rmdir_it,
     {NOTDIR, NOTDIR, OK, NOTEMPTY, NOTDIR, LATE, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, ANY}},
    {"delete", delete_it,
     {OK, OK, ISDIR, ISDIR, OK, LATE, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, ISDIR}},
    {"rename", rename_it,
     {OK, OK, OK, OK, OK, LATE, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, ANY}},
    {"rename a file over", file_over_it,
     {OK, OK, ISDIR, ISDIR, OK, LATE, OK, NOENT, NOTDIR, LONG, INVAL, INVAL, ISDIR}},
    {"rename NO_REPLACE", file_beside_it,
     {EXIST, EXIST, EXIST, EXIST, EXIST, EXIST, OK, NOENT, NOTDIR, LONG, INVAL, INVAL, EXIST}},
    {"rename a directory over", directory_over_it,
     {NOTDIR, NOTDIR, OK, NOTEMPTY, NOTDIR, NOTDIR, OK, NOENT, NOTDIR, LONG, INVAL, INVAL, ANY}},
    {"link", link_it,
     {OK, OK, PERM, PERM, OK, OK, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, PERM}},
    {"link to", link_to_it,
     {EXIST, EXIST, EXIST, EXIST, EXIST, EXIST, OK, NOENT, NOTDIR, LONG, INVAL, INVAL, EXIST}},
    {"read_link", read_link_it,
     {INVAL, INVAL, INVAL, INVAL, INVAL, INVAL, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, INVAL}},
    {"access EXISTS", access_it,
     {YES, YES, YES, YES, YES, YES, NO, NO, NO, LONG, INVAL, INVAL, YES}},
    {"access READWRITE", may_write_it,
     {YES, NO, YES, YES, YES, YES, NO, NO, NO, LONG, INVAL, INVAL, YES}},
    {"set_mode", set_mode_of_it,
     {OK, OK, OK, OK, OK, OK, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, ANY}},
    {"sync_directory", sync_it,
     {NOTDIR, NOTDIR, OK, OK, NOTDIR, NOTDIR, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, ANY}},
    {"file_system_info", describe_volume_of_it,
     {OK, OK, OK, OK, OK, OK, NOENT, NOENT, NOTDIR, LONG, INVAL, INVAL, OK}},
};
/* clang-format on */

static unsigned wrong;

static void check_cell(fixture *f, const row *one, thing which)
{
    static unsigned made;
    cell at = {.f = f, .handle = INVALID_HANDLE_VALUE};
    bool writes =
        one->run == open_to_write || one->run == open_or_create || one->run == may_write_it;
    bool may = system_is_wine() && which == READ_ONLY && writes; /* to root nothing is read-only */
    if (one->results[which] == ANY || may) {
        return;
    }
    at.waits = one->results[which] == LATE;
    (void)snprintf(at.directory, sizeof at.directory, "cell-%u", made++);
    check(directory_make(fixture_path(f, at.directory)));
    f->names_used = 0; /* of the cells before */
    make_thing(&at, which);
    int64_t result = one->run(&at);
    if (at.handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(at.handle);
    }
    if (result != one->results[which]) {
        print_error("%s of \"%s\": %s, not %s\n", one->verb, thing_names[which],
                    epio_error_name((int)result), epio_error_name((int)one->results[which]));
        wrong++;
    }
}

static void verbs_and_things(fixture *f)
{
    wrong = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (thing which = A_FILE; which < THINGS; which++) {
            check_cell(f, &table[i], which);
        }
    }
    check_result(wrong, 0);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(verbs_and_things, ON_OS_PERFORM | ON_OS),
    };
    return FIXTURE_RUN("table of paths", tests);
}
