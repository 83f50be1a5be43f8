/* See churn.h. */
#include "churn.h"

#define PATH_SIZE 1024
#define RECENT 64

typedef struct run {
    const churn *of;
    random_source random;
    char path[PATH_SIZE];
    char to[PATH_SIZE];
    char made[PATH_SIZE];            /* the latest */
    char renamed[RECENT][PATH_SIZE]; /* some of the last, to be removed in time */
} run;

static uint64_t below(run *one, uint64_t end)
{
    return random_between(&one->random, 0, end);
}

/* Of few directories, three deep at most, and some hundred names in each. */
static void choose(run *one, char *path, char kind)
{
    size_t len = (size_t)snprintf(path, PATH_SIZE, "%s", one->of->directory);
    uint64_t depth = below(one, 4);
    for (uint64_t i = 0; i < depth; i++) {
        len += (size_t)snprintf(path + len, PATH_SIZE - len, "/d%u", (unsigned)below(one, 4));
    }
    (void)snprintf(path + len, PATH_SIZE - len, "/%c%u", kind,
                   (unsigned)below(one, kind == 'd' ? 4 : 200));
}

static void done(const epio_op *op)
{
    switch (op->result) {
    case EPIO_ENOENT:
    case EPIO_EEXIST:
    case EPIO_ENOTDIR:
    case EPIO_EISDIR:
    case EPIO_ENOTEMPTY:
    case EPIO_EINVAL: /* a directory would get into itself */
    case EPIO_EBUSY:
    case EPIO_EPERM:  /* a link to a directory */
    case EPIO_EACCES: /* on Windows of a directory in which a file is open */
    case EPIO_ESHARING:
    case EPIO_ELOOP:
        return;
    default:
        break;
    }
    if (op->result < 0) {
        print_error("churn: %s\n", epio_error_name((int)op->result));
        abort();
    }
}

static bool write_file(run *one, const char *path, uint32_t flags)
{
    epio_op op = {0};
    (void)epio_perform(epio_open(&op, one->of->vfs, path, EPIO_OPEN_WRITE | flags));
    done(&op);
    if (op.result < 0) {
        return false;
    }
    char bytes[64];
    epio_file *file = op.file;
    size_t len = (size_t)below(one, sizeof bytes) + 1;
    random_fill(&one->random, bytes, len);
    (void)epio_perform(epio_write(&op, file, bytes, len, below(one, 100)));
    done(&op);
    if (below(one, 4) == 0) {
        (void)epio_perform(epio_truncate(&op, file, below(one, 100)));
        done(&op);
    }
    (void)epio_perform(epio_close(&op, file));
    done(&op);
    return true;
}

static bool make_file(run *one)
{
    choose(one, one->made, 'f');
    return write_file(one, one->made, EPIO_OPEN_CREATE);
}

/* The latest, or what has its name now. */
static void rename_file(run *one)
{
    epio_op op = {0};
    char *to = one->renamed[below(one, RECENT)];
    if (to[0] != '\0') {
        (void)epio_perform(epio_delete(&op, one->of->vfs, to, 0));
        done(&op);
    }
    choose(one, to, 'f');
    (void)epio_perform(epio_rename(&op, one->of->vfs, one->made, to, 0));
    done(&op);
}

static void change_names(run *one)
{
    epio_vfs *vfs = one->of->vfs;
    epio_op op = {0};
    char kind = below(one, 10) == 0 ? 'd' : 'f';
    choose(one, one->path, kind);
    choose(one, one->to, kind);
    uint64_t choice = below(one, 20);
    if (choice == 0 && (one->of->flags & CHURN_LINKS) != 0) {
        (void)epio_link_file(&op, vfs, one->path, one->to, 0);
    } else if (choice == 1 && (one->of->flags & CHURN_EXCHANGES) != 0) {
        (void)epio_exchange(&op, vfs, one->path, one->to, 0);
    } else if (choice == 2 && (one->of->flags & CHURN_SYMLINKS) != 0) {
        (void)epio_symlink(&op, vfs, "f1", one->path, 0);
    } else {
        (void)epio_rename(&op, vfs, one->path, one->to, 0);
    }
    (void)epio_perform(&op);
    done(&op);
}

static void change_directories(run *one)
{
    epio_op op = {0};
    choose(one, one->path, 'd');
    if (below(one, 3) != 0) {
        (void)epio_mkdir(&op, one->of->vfs, one->path, 0);
    } else {
        (void)epio_rmdir(&op, one->of->vfs, one->path, 0);
    }
    (void)epio_perform(&op);
    done(&op);
}

void churn_run(const churn *of)
{
    run one = {.of = of, .random = {of->seed}};
    for (unsigned made = 0; made < of->files;) {
        made += make_file(&one) ? 1 : 0;
        (void)write_file(&one, one.made, 0);
        rename_file(&one);
        if (below(&one, 4) == 0) {
            change_names(&one);
        }
        if (below(&one, 4) == 0) {
            change_directories(&one);
        }
    }
}

void *churn_thread(void *argument)
{
    churn_run(argument);
    return NULL;
}
