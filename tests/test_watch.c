/* What a watch reports: for each kind of change a case with its events, on every VFS, from the
 * system's own source where it has one, and by comparing; and that a copy which follows the events
 * is the same in the end. How ops wait for events is test_watch_wait.c's, many changes at once
 * test_watch_replay.c's. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "replay.h"
#include "tree.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ON_WATCHES                                                                                 \
    (ON_OS_PERFORM | ON_OS | ON_LIMIT_OS | ON_TRACE_OS | ON_MEMORY_PERFORM | ON_MEMORY |           \
     ON_LIMIT_MEMORY | ON_TRACE_MEMORY)

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* ---- Actions -------------------------------------------------------------- */

/* What a case needs of the VFS. */
enum {
    POSIX_TREE = 1, /* links and modes */
    EXCHANGE = 2,
    XATTRS = 4,
    SPACE = 8,
    TEMPORARY = 16,
    ONE_NAME = 64, /* the system reports a change under one name of several */
    MEMORY = 32 /* of the system only the copy is checked: others may be quicker than its source */
};

static int64_t write_to(fixture *f, const char *name, uint32_t flags, const char *text)
{
    epio_op op = {0};
    epio_file *file = fixture_open(f, name, READ_WRITE | flags);
    int64_t result = fixture_result(f, epio_write(&op, file, text, strlen(text), 0));
    fixture_close(f, file);
    return result;
}

static int64_t change_file(fixture *f, const char *verb, const char *name)
{
    epio_op op = {0};
    epio_file *file = fixture_open(f, name, READ_WRITE);
    if (strcmp(verb, "append") == 0) {
        (void)epio_write(&op, file, "more", 4, 7);
    } else if (strcmp(verb, "truncate") == 0) {
        (void)epio_truncate(&op, file, 1);
    } else if (strcmp(verb, "allocate") == 0) {
        (void)epio_allocate(&op, file, 0, 100000, 0);
    } else if (strcmp(verb, "chmod-open") == 0) {
        (void)epio_file_set_mode(&op, file, 0600);
    } else {
        (void)epio_file_set_xattr(&op, file, "user.x", "y", 1, 0);
    }
    int64_t result = fixture_result(f, &op);
    fixture_close(f, file);
    return result;
}

static int64_t name_temporary(fixture *f, const char *name)
{
    epio_op op = {0};
    if (fixture_result(f, epio_open(&op, f->vfs, f->directory, READ_WRITE | EPIO_OPEN_TEMPORARY)) <
        0) {
        return op.result;
    }
    epio_file *file = op.file;
    int64_t result = fixture_result(f, epio_name_temporary(&op, file, fixture_path(f, name), 0));
    fixture_close(f, file);
    return result;
}

static int64_t set_old_times(fixture *f, const char *name)
{
    epio_times times = EPIO_TIMES_INIT;
    epio_op op = {0};
    times.modified = 1000000000;
    times.accessed = 1000000000;
    return fixture_result(f, epio_set_times(&op, f->vfs, fixture_path(f, name), &times, 0));
}

static int64_t act(fixture *f, const char *verb, const char *name, const char *to)
{
    if (strcmp(verb, "new") == 0) {
        return tree_open(f, name, READ_WRITE | EPIO_OPEN_CREATE);
    } else if (strcmp(verb, "put") == 0) {
        return write_to(f, name, EPIO_OPEN_CREATE, "content");
    } else if (strcmp(verb, "write") == 0) {
        return write_to(f, name, 0, "CONTENT");
    } else if (strcmp(verb, "empty") == 0) {
        return tree_open(f, name, READ_WRITE | EPIO_OPEN_TRUNCATE);
    } else if (strcmp(verb, "read") == 0) {
        return tree_open(f, name, EPIO_OPEN_READ);
    } else if (strcmp(verb, "mkdir") == 0) {
        return tree_mkdir(f, name, 0);
    } else if (strcmp(verb, "mkdirs") == 0) {
        return tree_mkdir(f, name, EPIO_MKDIR_PARENTS);
    } else if (strcmp(verb, "rmdir") == 0) {
        return tree_rmdir(f, name);
    } else if (strcmp(verb, "rm") == 0) {
        return tree_delete(f, name);
    } else if (strcmp(verb, "mv") == 0) {
        return tree_rename(f, name, to, 0);
    } else if (strcmp(verb, "ln") == 0) {
        return tree_link(f, name, to);
    } else if (strcmp(verb, "symlink") == 0) {
        return tree_symlink(f, "anywhere", name);
    } else if (strcmp(verb, "swap") == 0) {
        return tree_exchange(f, name, to);
    } else if (strcmp(verb, "chmod") == 0) {
        return tree_set_mode(f, name, 0700);
    } else if (strcmp(verb, "touch") == 0) {
        return set_old_times(f, name);
    } else if (strcmp(verb, "temporary") == 0) {
        return name_temporary(f, name);
    }
    return change_file(f, verb, name);
}

/* "verb name [to]; ...", names in a directory of the fixture's. */
static void act_all(fixture *f, const char *directory, const char *script)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%s", script);
    for (char *at = text, *next; at != NULL && *at != '\0'; at = next) {
        char verb[32], name[64], to[64] = "";
        char path[160], path_to[160];
        next = strchr(at, ';');
        if (next != NULL) {
            *next = '\0';
            next += 2;
        }
        check(sscanf(at, "%31s %63s %63s", verb, name, to) >= 2);
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        (void)snprintf(path_to, sizeof path_to, "%s/%s", directory, to);
        int64_t result = act(f, verb, path, path_to);
        if (result < 0) {
            print_error("%s: %s\n", at, epio_error_name((int)result));
        }
        check(result >= 0);
    }
}

/* ---- The table ------------------------------------------------------------ */

typedef struct watch_case {
    uint32_t flags;
    uint32_t needs;
    const char *before;   /* the watch; "w" is what it watches */
    const char *actions;  /* see act_all */
    const char *events;   /* these come, in this order; changed bytes and attributes may come more
                             often */
    const char *compared; /* those of a comparison; NULL: it depends on when that was */
    const char *moved;    /* where "w" is at the end; NULL: there */
} watch_case;

#define R EPIO_WATCH_RECURSIVE

static const watch_case cases[] = {
    {0, 0, "", "new w/a", "+ a", "+ a", NULL},
    {0, 0, "", "put w/a", "+ a; * a", "+ a", NULL},
    {0, 0, "put w/a", "append w/a", "* a", "* a", NULL},
    {0, 0, "put w/a", "write w/a", "* a", NULL, NULL},
    {0, 0, "put w/a", "truncate w/a", "* a", "* a", NULL},
    {0, 0, "put w/a", "empty w/a", "* a", "* a", NULL},
    {0, SPACE, "put w/a", "allocate w/a", "* a", "* a", NULL},
    {0, 0, "put w/a", "read w/a", "", "", NULL},
    {0, 0, "put w/a", "rm w/a", "- a", "- a", NULL},
    {0, 0, "", "mkdir w/d", "+ d", "+ d", NULL},
    {0, 0, "mkdir w/d", "rmdir w/d", "- d", "- d", NULL},
    {0, 0, "put w/a", "mv w/a w/b", "> a b", "- a; + b", NULL},
    {0, 0, "put w/a; put w/b", "mv w/a w/b", "> a b", "- b; - a; + b", NULL},
    {0, 0, "put o/a", "mv o/a w/a", "+ a", "+ a", NULL},
    {0, 0, "put w/a", "mv w/a o/a", "- a", "- a", NULL},
    {0, 0, "put w/a; put o/a", "mv o/a w/a", "+ a", "- a; + a", NULL},
    {0, 0, "mkdir w/d", "put w/d/a; append w/d/a; rm w/d/a", "", "", NULL},
    {0, 0, "mkdir w/d; put w/d/a", "mv w/d/a w/a", "+ a", "+ a", NULL},
    {0, 0, "mkdir w/d; put w/a", "mv w/a w/d/a", "- a", "- a", NULL},
    {0, 0, "mkdir w/d; put w/d/a", "mv w/d w/e", "> d e", "- d; + e", NULL},
    {0, 0, "mkdirs o/d/e", "mv o/d w/d", "+ d", "+ d", NULL},
    {0, POSIX_TREE, "put w/a", "chmod w/a", "@ a", "@ a", NULL},
    {0, POSIX_TREE, "put w/a", "chmod-open w/a", "@ a", "@ a", NULL},
    {0, 0, "put w/a", "touch w/a", "", NULL, NULL},
    {0, POSIX_TREE, "put w/a", "touch w/a", "@ a", NULL, NULL},
    {0, XATTRS, "put w/a", "xattr w/a", "@ a", NULL, NULL},
    {0, POSIX_TREE, "", "symlink w/l", "+ l", "+ l", NULL},
    {0, 0, "put w/a", "ln w/a w/b", "+ b", "+ b", NULL},
    {0, TEMPORARY, "", "temporary w/a", "+ a", "+ a", NULL},
    {0, TEMPORARY | MEMORY, "put w/a", "temporary w/a", "+ a", NULL, NULL},
    {0, 0, "put w/a", "mv w v; append v/a; put v/b", "* a; + b", NULL, "v"},
    {R, 0, "", "new w/a", "+ a", "+ a", NULL},
    {R, 0, "", "mkdirs w/d/e/f; put w/d/e/a", "+ d; + d/e; + d/e/f; + d/e/a", NULL, NULL},
    {R, 0, "mkdir w/d", "put w/d/a; append w/d/a", "+ d/a; * d/a", "+ d/a", NULL},
    {R, 0, "mkdir w/d", "put w/d/a; mv w/d/a w/d/b; rm w/d/b", "+ d/a; > d/a d/b; - d/b", NULL,
     NULL},
    {R, 0, "mkdir w/d; put w/d/a", "rm w/d/a; rmdir w/d", "- d/a; - d", "- d/a; - d", NULL},
    {R, 0, "mkdir w/d; put w/d/a", "mv w/d/a w/a", "> d/a a", "- d/a; + a", NULL},
    {R, 0, "mkdirs w/d/e; put w/d/e/a", "mv w/d w/f; append w/f/e/a", "> d f; * f/e/a", NULL, NULL},
    {R, 0, "mkdirs w/d/e; put w/d/e/a", "mv w/d w/f", "> d f",
     "- d/e/a; - d/e; - d; + f; + f/e; + f/e/a", NULL},
    {R, 0, "mkdirs w/d/e; put w/d/e/a; mkdir w/f", "mv w/d w/f", "> d f", NULL, NULL},
    {R, 0, "mkdirs w/d/e; put w/d/e/a", "mv w/d o/d", "- d", "- d/e/a; - d/e; - d", NULL},
    {R, 0, "mkdirs o/d/e; put o/d/e/a", "mv o/d w/d", "+ d; + d/e; + d/e/a", "+ d; + d/e; + d/e/a",
     NULL},
    {R, MEMORY, "mkdirs o/d/e; put o/d/e/a", "mv o/d w/d; append w/d/e/a; mv w/d o/d",
     "+ d; + d/e; + d/e/a; * d/e/a; - d", NULL, NULL},
    {R, MEMORY, "", "mkdirs w/d/e; put w/d/e/a; mv w/d w/f; append w/f/e/a; mkdir w/d; put w/d/a",
     "+ d; + d/e; + d/e/a; > d f; * f/e/a; + d; + d/a", NULL, NULL},
    {R, EXCHANGE | MEMORY, "mkdir w/d; mkdir w/e; put w/d/a; put w/e/b", "swap w/d w/e",
     "> d e; + d; + d/b", NULL, NULL},
    {R, EXCHANGE | MEMORY, "mkdir w/d; put w/d/a; put o/b", "swap w/d o/b", "- d; + d", NULL, NULL},
    {R, EXCHANGE | MEMORY, "mkdir o/d; put o/d/a; put w/b", "swap o/d w/b", "- b; + b; + b/a", NULL,
     NULL},
    {R, 0, "mkdir w/d; put w/d/a; mkdir o/d", "mv w/d/a o/a; rmdir w/d; mv o/d w/d; mv o/a w/d/a",
     "- d/a; - d; + d; + d/a", NULL, NULL},
    {R, 0, "mkdir w/d; put w/d/a; mkdir w/d-x; mkdir o/d; mkdir o/d-x",
     "mv w/d/a o/a; rmdir w/d; mv o/d w/d; mv o/a w/d/a; rmdir w/d-x; mv o/d-x w/d-x",
     "- d/a; - d; + d; + d/a; - d-x; + d-x", NULL, NULL},
    {R, 0, "mkdir w/d; put w/d/a", "mv w/d o/d; put w/d", "- d; + d", NULL, NULL},
    {R, 0, "put w/d", "rm w/d; mkdirs w/d/e", "- d; + d; + d/e", NULL, NULL},
    {R, POSIX_TREE, "mkdir w/d", "chmod w/d", "@ d", "@ d", NULL},
    {R, POSIX_TREE, "mkdir w/d", "symlink w/d/l; rm w/d/l", "+ d/l; - d/l", NULL, NULL},
    {R, MEMORY | ONE_NAME, "mkdir w/d; put w/a; ln w/a w/d/b", "append w/a", "* a; * d/b", NULL,
     NULL},
};

/* ---- Carrying them out ---------------------------------------------------- */

typedef struct running {
    const watch_case *is;
    char directory[16];
    char watched[32];
    epio_file *watch; /* NULL: left out */
    bool compares;
    replay *copy;
    event_log log;
} running;

static bool is_possible(fixture *f, uint32_t needs)
{
    epio_op op = {0};
    if (f->memory) {
        return true;
    }
    if (((needs & POSIX_TREE) != 0 && !SYSTEM_IS_POSIX) ||
        ((needs & SPACE) != 0 && SYSTEM_HAS_SPACE == 0)) {
        return false;
    }
    fixture_put(f, "try", "1", 1);
    fixture_put(f, "other", "2", 1);
    if ((needs & EXCHANGE) != 0 && tree_exchange(f, "try", "other") < 0) {
        return false;
    }
    if ((needs & XATTRS) != 0 &&
        fixture_result(
            f, epio_set_xattr(&op, f->vfs, fixture_path(f, "try"), "user.x", "y", 1, 0)) < 0) {
        return false;
    }
    return (needs & TEMPORARY) == 0 || name_temporary(f, "try") == 0;
}

static epio_file *watch_of(fixture *f, const char *name, uint32_t flags, bool *compares)
{
    epio_op op = {0};
    int64_t result = fixture_result(f, epio_watch(&op, f->vfs, fixture_path(f, name), flags));
    check(result == 0 || (result == EPIO_WATCH_COMPARES && !f->memory));
    *compares = result == EPIO_WATCH_COMPARES;
    return op.file;
}

static void begin_case(fixture *f, running *one, size_t number, uint32_t flags)
{
    char name[32];
    one->is = &cases[number];
    if (!is_possible(f, one->is->needs)) {
        return;
    }
    (void)snprintf(one->directory, sizeof one->directory, "case%u", (unsigned)number);
    (void)snprintf(one->watched, sizeof one->watched, "%s/w", one->directory);
    (void)snprintf(name, sizeof name, "%s/o", one->directory);
    check_result(tree_mkdir(f, one->watched, EPIO_MKDIR_PARENTS), 0);
    check_result(tree_mkdir(f, name, 0), 0);
    act_all(f, one->directory, one->is->before);
    one->watch = watch_of(f, one->watched, one->is->flags | flags, &one->compares);
    one->copy = replay_begin(f->vfs, fixture_path(f, one->watched));
}

static void make_in_case(fixture *f, const running *one, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%s", one->watched, name);
    check_result(tree_open(f, path, READ_WRITE | EPIO_OPEN_CREATE), 0);
}

static void act_on_case(fixture *f, running *one)
{
    act_all(f, one->directory, one->is->actions);
    if (one->is->moved != NULL) {
        (void)snprintf(one->watched, sizeof one->watched, "%s/%s", one->directory, one->is->moved);
    }
    make_in_case(f, one, "last");
}

static void read_until(fixture *f, running *one, const char *name)
{
    uint64_t buffer[512];
    for (;;) {
        epio_op op = {0};
        int64_t len = fixture_result(f, epio_read_events(&op, one->watch, buffer, sizeof buffer));
        check(len > 0);
        event_log_append(&one->log, buffer, (size_t)len);
        if (events_have_made(buffer, (size_t)len, name)) {
            return;
        }
    }
}

/* ---- Checking ------------------------------------------------------------- */

static void print_events(const running *one)
{
    char text[512];
    const epio_event *event = NULL;
    print_error("%s%s: %s\n", one->compares ? "compared: " : "", one->is->before, one->is->actions);
    while ((event = epio_event_next(one->log.events, one->log.len, event)) != NULL) {
        event_describe(event, text, sizeof text);
        print_error("    %s\n", text);
    }
}

/* "+ a; ...": the next at *at, if it is this. */
static bool is_next(const char **at, const char *text)
{
    size_t len = strlen(text);
    if (strncmp(*at, text, len) != 0 || ((*at)[len] != '\0' && (*at)[len] != ';')) {
        return false;
    }
    *at += len + ((*at)[len] == ';' ? 2 : 0);
    return true;
}

/* May come unexpected: a change again, or of what was made; a MADE again; the
 * REMOVED of what is replaced. */
static bool is_tolerated(const char *events, const epio_event *event, const char *text)
{
    if (event->kind == EPIO_EVENT_CHANGED || event->kind == EPIO_EVENT_ATTRIBUTES) {
        return event->type != EPIO_TYPE_DIRECTORY || event->kind == EPIO_EVENT_ATTRIBUTES;
    }
    if (event->kind == EPIO_EVENT_MADE) {
        return strstr(events, text) != NULL;
    }
    const char *at = event->kind == EPIO_EVENT_REMOVED ? strpbrk(events, ">+") : NULL;
    return at != NULL && strcmp(strrchr(at, ' '), strrchr(text, ' ')) == 0;
}

/* Where the system may keep the name of a removed file (Windows before 10, version 1709, and Wine)
 * a delete gives it another one first. */
static bool is_removed_name(const char *name)
{
    return strstr(name, ".epio-") != NULL;
}

static void describe_simply(const epio_event *event, char *text, size_t size)
{
    if (event->kind == EPIO_EVENT_RENAMED && is_removed_name(epio_event_name(event))) {
        (void)snprintf(text, size, "- %s", epio_event_from(event));
    } else {
        event_describe(event, text, size);
    }
}

static bool events_are(const running *one, const char *expected)
{
    char text[512];
    const char *at = expected;
    const epio_event *event = NULL;
    while ((event = epio_event_next(one->log.events, one->log.len, event)) != NULL) {
        describe_simply(event, text, sizeof text);
        bool is_sign =
            strcmp(epio_event_name(event), "last") == 0 ||
            strcmp(epio_event_name(event), "end") == 0 ||
            (event->kind == EPIO_EVENT_REMOVED && is_removed_name(epio_event_name(event)));
        if (!is_sign && !is_next(&at, text) && !is_tolerated(expected, event, text)) {
            return false;
        }
    }
    return *at == '\0';
}

static void check_case(fixture *f, running *one)
{
    const char *expected = one->compares ? one->is->compared : one->is->events;
    bool checks = expected != NULL && (f->memory || (one->is->needs & MEMORY) == 0);
    replay_apply(one->copy, one->log.events, one->log.len);
    bool same = one->is->moved != NULL || (one->is->flags & R) == 0 ||
                (!f->memory && (one->is->needs & ONE_NAME) != 0) ||
                replay_differences(one->copy) == 0;
    if (!same || (checks && !events_are(one, expected))) {
        print_events(one);
    }
    check(same);
    check(!checks || events_are(one, expected));
}

static void end_case(fixture *f, running *one)
{
    if (one->compares) {
        read_until(f, one, "end");
    }
    check_case(f, one);
    fixture_close(f, one->watch);
    replay_free(one->copy);
    event_log_free(&one->log);
}

/* All at the same time, as a comparison takes up to a second. One that found the last may have
 * begun before the others; the one that finds the end has not. */
static void run_cases(fixture *f, uint32_t flags)
{
    static running all[COUNT(cases)];
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin_case(f, &all[i], i, flags);
    }
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (all[i].watch != NULL) {
            act_on_case(f, &all[i]);
        }
    }
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (all[i].watch != NULL) {
            read_until(f, &all[i], "last");
        }
    }
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (all[i].watch != NULL && all[i].compares) {
            make_in_case(f, &all[i], "end");
        }
    }
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (all[i].watch != NULL) {
            end_case(f, &all[i]);
        }
    }
}

static void changes_are_reported(fixture *f)
{
    bool compares = false;
    check_result(tree_mkdir(f, "try-it", 0), 0);
    fixture_close(f, watch_of(f, "try-it", 0, &compares));
    if (compares) {
        fixture_skip(f, "the system reports no changes of this file system");
    }
    run_cases(f, 0);
}

static void changes_are_compared(fixture *f)
{
    run_cases(f, EPIO_WATCH_COMPARE);
}

int main(void)
{
    const fixture_test tests[] = {
        FIXTURE_TEST(changes_are_reported, ON_WATCHES),
        FIXTURE_TEST(changes_are_compared, ON_OS_PERFORM | ON_OS),
    };
    return FIXTURE_RUN("watch", tests);
}
