/* See scene.h. */
#include "scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#if defined(__GLIBC__) || defined(__linux__)
#include <sys/sysmacros.h>
#define HAS_DEVICES true
#define NULL_DEVICE makedev(1, 3)
#define NO_DEVICE makedev(7, 251)
#else
#define HAS_DEVICES false
#define NULL_DEVICE 0
#define NO_DEVICE 0
#endif

#define PATH_ROOM 4096

const char *const node_names[NODE_TYPES] = {
    "a file",          "a directory", "a full directory", "a link",   "a link to a directory",
    "a dangling link", "a loop",      "a FIFO",           "a socket", "a character device",
    "a block device",  "nothing",
};

bool scene_is_privileged(void)
{
    return getuid() == 0;
}

bool scene_can_make(node_type type, const permission *one)
{
    bool device = type == A_CHARACTER_DEVICE || type == A_BLOCK_DEVICE;
    return (!device || HAS_DEVICES) &&
           (scene_is_privileged() || (!device && one->is_ours && one->parent_is_ours));
}

void scene_act_as(uid_t user)
{
    if (!scene_is_privileged() || geteuid() == user) {
        return;
    }
    if (geteuid() != 0) {
        check(seteuid(0) == 0);
    }
    check(setegid(user) == 0 && (user == 0 || seteuid(user) == 0));
}

static const char *join(char *path, const char *at, const char *name)
{
    check(snprintf(path, PATH_ROOM, "%s/%s", at, name) < PATH_ROOM);
    return path;
}

static void make_file(const char *at, const char *name)
{
    char path[PATH_ROOM];
    int file = open(join(path, at, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    check(file >= 0 && write(file, "content", 7) == 7 && close(file) == 0);
}

static void make_directory(const char *at, const char *name)
{
    char path[PATH_ROOM];
    check(mkdir(join(path, at, name), 0777) == 0);
}

static void make_link(const char *target, const char *at, const char *name)
{
    char path[PATH_ROOM];
    check(symlink(target, join(path, at, name)) == 0);
}

/* By a short name, as the path of a socket may be no longer than about 100 bytes. */
static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char before[PATH_ROOM];
    char directory[PATH_ROOM];
    const char *name = strrchr(path, '/');
    (void)snprintf(directory, sizeof directory, "%.*s", (int)(name - path), path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", name + 1);
    int bound = socket(AF_UNIX, SOCK_STREAM, 0);
    check(bound >= 0 && getcwd(before, sizeof before) != NULL && chdir(directory) == 0);
    check(bind(bound, (const struct sockaddr *)&address, sizeof address) == 0);
    check(chdir(before) == 0 && close(bound) == 0);
}

static void make_node(const char *path, node_type type)
{
    char above[PATH_ROOM];
    (void)snprintf(above, sizeof above, "%.*s", (int)(strrchr(path, '/') - path), path);
    switch (type) {
    case A_FILE:
        make_file(above, "x");
        break;
    case A_FULL_DIRECTORY:
        make_directory(above, "x");
        make_file(path, "in");
        break;
    case A_DIRECTORY:
        make_directory(above, "x");
        break;
    case A_LINK:
        make_link("../t", above, "x");
        break;
    case A_LINK_TO_DIRECTORY:
        make_link("../td", above, "x");
        break;
    case A_DANGLING_LINK:
        make_link("nowhere", above, "x");
        break;
    case A_LOOP:
        make_link("x", above, "x");
        break;
    case A_FIFO:
        check(mkfifo(path, 0666) == 0);
        break;
    case A_SOCKET:
        make_socket(path);
        break;
    case A_CHARACTER_DEVICE:
        check(mknod(path, S_IFCHR | 0666, NULL_DEVICE) == 0);
        break;
    case A_BLOCK_DEVICE:
        check(mknod(path, S_IFBLK | 0666, NO_DEVICE) == 0);
        break;
    default:
        break;
    }
}

static bool is_link(node_type type)
{
    return type == A_LINK || type == A_LINK_TO_DIRECTORY || type == A_DANGLING_LINK ||
           type == A_LOOP;
}

/* The node that has the permissions: of a link its target. */
static const char *carrier(char *path, const char *at, node_type type)
{
    const char *name = type == A_LINK ? "t" : type == A_LINK_TO_DIRECTORY ? "td" : "d/x";
    return join(path, at, name);
}

void scene_make(const char *at, node_type type, const permission *one, uid_t user)
{
    char path[PATH_ROOM];
    uid_t other = user == 0 ? 65534 : 0;
    uid_t owner = one->is_ours ? user : other;
    scene_act_as(getuid());
    check(mkdir(at, 0777) == 0);
    make_file(at, "t");
    make_directory(at, "td");
    make_file(join(path, at, "td"), "in");
    make_directory(at, "d");
    make_file(at, "d/other");
    make_directory(at, "d/od");
    make_link("loop", at, "loop");
    make_link("nowhere", at, "dangling");
    make_link("t", at, "link");
    make_link("td", at, "linkd");
    make_node(join(path, at, "d/x"), type);
    if (scene_is_privileged()) {
        check(type == NOTHING || lchown(path, owner, owner) == 0);
        check(lchown(join(path, at, "d/other"), owner, owner) == 0);
        check(lchown(join(path, at, "d/od"), owner, owner) == 0);
        check(type == NOTHING || type == A_DANGLING_LINK || type == A_LOOP ||
              lchown(carrier(path, at, type), owner, owner) == 0);
    }
    if (type != NOTHING && (!is_link(type) || type == A_LINK || type == A_LINK_TO_DIRECTORY)) {
        check(chmod(carrier(path, at, type), one->mode) == 0);
    }
    check(chmod(join(path, at, "d"), one->parent) == 0);
    if (scene_is_privileged()) {
        uid_t holder = one->parent_is_ours ? user : other;
        check(lchown(path, holder, holder) == 0);
        check(chmod(path, one->parent) == 0);
    }
    scene_act_as(user);
}

/* ---- Looking, and removing ---------------------------------------------------------- */

/* Without any right to what it meets an unprivileged process gives itself some. */
static int list(const char *at, struct dirent ***entries)
{
    int count = scandir(at, entries, NULL, alphasort);
    if (count < 0) {
        check(chmod(at, 0700) == 0);
        count = scandir(at, entries, NULL, alphasort);
    }
    check(count >= 0);
    return count;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void describe_in(const char *at, char *text, size_t len)
{
    struct dirent **entries;
    struct stat status;
    mode_t before = 0;
    check(lstat(at, &status) == 0);
    before = status.st_mode & 07777;
    if (!scene_is_privileged()) {
        check(chmod(at, 0700) == 0);
    }
    int count = list(at, &entries);
    for (int i = 0; i < count; i++) {
        char path[PATH_ROOM];
        char target[256] = "";
        const char *name = entries[i]->d_name;
        size_t used = strlen(text);
        if (!is_dots(name)) {
            bool random = strncmp(name, "epio-", 5) == 0;
            check(lstat(join(path, at, name), &status) == 0);
            bool counts = S_ISREG(status.st_mode) || S_ISLNK(status.st_mode);
            (void)!readlink(path, target, sizeof target - 1);
            (void)snprintf(text + used, len - used, "%s %o %u.%u %ld %s\n", random ? "*" : name,
                           (unsigned)status.st_mode, (unsigned)status.st_uid,
                           (unsigned)status.st_gid, counts ? (long)status.st_size : -1L, target);
            if (S_ISDIR(status.st_mode)) {
                describe_in(path, text, len);
            }
        }
        free(entries[i]);
    }
    free(entries);
    if (!scene_is_privileged()) {
        check(chmod(at, before) == 0);
    }
}

void scene_describe(const char *at, char *text, size_t len)
{
    uid_t user = geteuid();
    text[0] = '\0';
    scene_act_as(getuid());
    describe_in(at, text, len);
    scene_act_as(user);
}

static void remove_in(const char *at)
{
    struct dirent **entries;
    struct stat status;
    if (!scene_is_privileged()) {
        check(chmod(at, 0700) == 0);
    }
    int count = list(at, &entries);
    for (int i = 0; i < count; i++) {
        char path[PATH_ROOM];
        if (!is_dots(entries[i]->d_name)) {
            check(lstat(join(path, at, entries[i]->d_name), &status) == 0);
            if (S_ISDIR(status.st_mode)) {
                remove_in(path);
            } else {
                check(unlink(path) == 0);
            }
        }
        free(entries[i]);
    }
    free(entries);
    check(rmdir(at) == 0);
}

void scene_remove(const char *at)
{
    uid_t user = geteuid();
    scene_act_as(getuid());
    remove_in(at);
    scene_act_as(user);
}
