/* See partner.h. */
#include "partner.h"

#ifdef EPIO_TEST_SQLITE
#include <sqlite3.h>
#endif

const uint32_t lock_outcomes[5][5] = {
    {0, 1, 2, 3, 4}, /* NONE */
    {0, 1, 2, 3, 3}, /* SHARED: EXCLUSIVE stops at PENDING while there is a reader */
    {0, 1, 1, 1, 1}, /* RESERVED */
    {0, 0, 0, 0, 0}, /* PENDING */
    {0, 0, 0, 0, 0}, /* EXCLUSIVE */
};

const char *const lock_names[5] = {"NONE", "SHARED", "RESERVED", "PENDING", "EXCLUSIVE"};

uint32_t lock_raise_to(epio_file *file, uint32_t level)
{
    static const uint32_t steps[] = {EPIO_LOCK_SHARED, EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    for (size_t i = 0; i < 3 && steps[i] <= level; i++) {
        epio_op op = {0};
        if (steps[i] > epio_file_lock_level(file) &&
            epio_perform(epio_lock(&op, file, steps[i], 0)) != 0) {
            check_result(op.result, EPIO_EBUSY);
            break;
        }
    }
    return epio_file_lock_level(file);
}

/* ---- The bytes ------------------------------------------------------------- */

const uint32_t locks_of_level[5] = {0, LOCKS_SHARED, LOCKS_SHARED | LOCKS_RESERVED,
                                    LOCKS_SHARED | LOCKS_RESERVED | LOCKS_PENDING,
                                    LOCKS_EXCLUSIVE | LOCKS_RESERVED | LOCKS_PENDING};

static uint32_t locks_seen(const char *path)
{
    intptr_t handle = handle_open(path, EPIO_OPEN_READ | EPIO_OPEN_WRITE);
    check(handle != NO_HANDLE);
    uint32_t seen = 0;
    handle_lock pending = handle_range_is_locked(handle, 0x40000000, 1);
    handle_lock reserved = handle_range_is_locked(handle, 0x40000001, 1);
    handle_lock shared = handle_range_is_locked(handle, 0x40000002, 510);
    seen |= pending == HANDLE_LOCK_EXCLUSIVE ? LOCKS_PENDING : 0;
    seen |= reserved == HANDLE_LOCK_EXCLUSIVE ? LOCKS_RESERVED : 0;
    seen |= shared == HANDLE_LOCK_EXCLUSIVE ? LOCKS_EXCLUSIVE : 0;
    seen |= shared == HANDLE_LOCK_SHARED ? LOCKS_SHARED : 0;
    seen |= pending == HANDLE_LOCK_SHARED || reserved == HANDLE_LOCK_SHARED ? LOCKS_OTHER : 0;
    seen |= handle_range_is_locked(handle, 0, 0x40000000) != HANDLE_UNLOCK ? LOCKS_OTHER : 0;
    seen |= handle_range_is_locked(handle, 0x40000000 + 512, LOCK_TO_THE_END) != HANDLE_UNLOCK
                ? LOCKS_OTHER
                : 0;
    check(handle_close(handle));
    return seen;
}

/* A path, as it is sent. */
typedef struct path_message {
    char path[1024];
} path_message;

/* One process for all queries: starting one takes longer than a query. */
static child observer;

/* A pipe may deliver it in pieces. */
static bool read_path(path_message *message)
{
    size_t have = 0;
    int64_t some = 1;
    while (some > 0 && have < sizeof *message) {
        some = pipe_read(process_input(), message->path + have, sizeof *message - have);
        have += some > 0 ? (size_t)some : 0;
    }
    return have == sizeof *message;
}

void lock_observer(const char *argument)
{
    path_message message;
    (void)argument;
    hang_guard(0, ""); /* it exits with its parent */
    while (read_path(&message)) {
        uint32_t seen = locks_seen(message.path);
        check(pipe_write(process_output(), &seen, sizeof seen) == sizeof seen);
    }
}

void lock_observer_start(void)
{
    child_start(&observer, lock_observer, "", CHILD_PIPES);
}

uint32_t locks_on(const char *path)
{
    path_message message = {{0}};
    uint32_t seen = 0;
    check(strlen(path) < sizeof message.path);
    memcpy(message.path, path, strlen(path));
    check(pipe_write(observer.to, &message, sizeof message) == sizeof message);
    check(pipe_read(observer.from, &seen, sizeof seen) == sizeof seen);
    return seen;
}

/* ---- Messages ------------------------------------------------------------ */

enum { RAISE_TO, RAISE_DIRECTLY, UNLOCK_ALL, SEES_RESERVED, LOCK, UNLOCK };

/* Without padding: all of its bytes are sent. */
typedef struct request {
    uint64_t timeout_ns;
    uint32_t what;
    uint32_t level;
    uint32_t flags;
    uint32_t unused;
} request;

static void send_request(partner *one, request message)
{
    check(pipe_write(one->process.to, &message, sizeof message) == sizeof message);
}

int64_t partner_result(partner *one)
{
    int64_t result = 0;
    check(pipe_read(one->process.from, &result, sizeof result) == sizeof result);
    return result;
}

static int64_t request_and_wait(partner *one, request message)
{
    send_request(one, message);
    return partner_result(one);
}

uint32_t partner_raise_to(partner *one, uint32_t level)
{
    return (uint32_t)request_and_wait(one, (request){.what = RAISE_TO, .level = level});
}

uint32_t partner_raise_directly(partner *one)
{
    return (uint32_t)request_and_wait(one, (request){.what = RAISE_DIRECTLY});
}

void partner_unlock_all(partner *one)
{
    check_result(request_and_wait(one, (request){.what = UNLOCK_ALL}), 0);
}

void partner_unlock_all_after(partner *one, uint64_t after_ns)
{
    send_request(one, (request){.what = UNLOCK_ALL, .timeout_ns = after_ns});
}

int partner_sees_reserved(partner *one)
{
    return (int)request_and_wait(one, (request){.what = SEES_RESERVED});
}

void partner_send_lock(partner *one, uint32_t level, uint32_t flags, uint64_t timeout_ns)
{
    send_request(one,
                 (request){.what = LOCK, .level = level, .flags = flags, .timeout_ns = timeout_ns});
}

int64_t partner_lock(partner *one, uint32_t level, uint32_t flags, uint64_t timeout_ns)
{
    partner_send_lock(one, level, flags, timeout_ns);
    return partner_result(one);
}

int64_t partner_unlock(partner *one, uint32_t level)
{
    return request_and_wait(one, (request){.what = UNLOCK, .level = level});
}

/* ---- By epio --------------------------------------------------------------- */

static int64_t answer_by_epio(epio_file *file, const request *message)
{
    epio_op op = {.timeout_ns = message->timeout_ns};
    switch (message->what) {
    case RAISE_TO:
        return lock_raise_to(file, message->level);
    case RAISE_DIRECTLY:
        (void)lock_raise_to(file, EPIO_LOCK_SHARED);
        (void)epio_perform(epio_lock(&op, file, EPIO_LOCK_EXCLUSIVE, 0));
        return epio_file_lock_level(file);
    case UNLOCK_ALL:
        sleep_ns(message->timeout_ns);
        op.timeout_ns = 0;
        return epio_perform(epio_unlock(&op, file, EPIO_LOCK_NONE));
    case SEES_RESERVED:
        return epio_perform(epio_check_reserved_lock(&op, file));
    case LOCK:
        return epio_perform(epio_lock(&op, file, message->level, message->flags));
    default:
        return epio_perform(epio_unlock(&op, file, message->level));
    }
}

static void serve_by_epio(const char *path)
{
    epio_op op = {0};
    request message;
    check_result(
        epio_perform(epio_open(&op, epio_os_vfs(), path, EPIO_OPEN_READ | EPIO_OPEN_WRITE)), 0);
    epio_file *file = op.file;
    while (pipe_read(process_input(), &message, sizeof message) == sizeof message) {
        int64_t result = answer_by_epio(file, &message);
        check(pipe_write(process_output(), &result, sizeof result) == sizeof result);
    }
    check_result(epio_perform(epio_close(&op, file)), 0);
}

/* ---- By SQLite -------------------------------------------------------------- */

#ifdef EPIO_TEST_SQLITE

bool partner_is_available(partner_kind kind)
{
    (void)kind;
    return true;
}

static sqlite3 *database;

/* The result is ignored: the state of the lock is queried. */
static void run_sql(const char *sql)
{
    (void)sqlite3_exec(database, sql, NULL, NULL, NULL);
}

static int lock_state(void)
{
    int state = -1;
    check(sqlite3_file_control(database, "main", SQLITE_FCNTL_LOCKSTATE, &state) == SQLITE_OK);
    return state;
}

static void open_database(const char *path)
{
    check(sqlite3_open(path, &database) == SQLITE_OK);
    run_sql("PRAGMA synchronous = OFF");
}

static void release_all(const char *path)
{
    check(sqlite3_close(database) == SQLITE_OK);
    open_database(path);
}

/* In exclusive mode the lock stays after a commit, so that it can be observed. */
static int raise_by_sqlite(uint32_t level)
{
    static const char *const steps[] = {"BEGIN; SELECT n FROM counter",
                                        "UPDATE counter SET n = n + 1",
                                        "PRAGMA locking_mode = EXCLUSIVE; COMMIT"};
    static const int reached[] = {EPIO_LOCK_SHARED, EPIO_LOCK_RESERVED, EPIO_LOCK_EXCLUSIVE};
    for (size_t i = 0; i < 3 && reached[i] <= (int)level; i++) {
        if (lock_state() < reached[i]) {
            run_sql(steps[i]);
        }
        if (lock_state() < reached[i]) {
            break;
        }
    }
    return lock_state();
}

static sqlite3_file *file_of_database(void)
{
    sqlite3_file *file = NULL;
    check(sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK);
    return file;
}

static int raise_directly_by_sqlite(void)
{
    sqlite3_file *file = file_of_database();
    (void)raise_by_sqlite(EPIO_LOCK_SHARED);
    (void)file->pMethods->xLock(file, SQLITE_LOCK_EXCLUSIVE);
    return lock_state();
}

static int sees_reserved_by_sqlite(void)
{
    int seen = -1;
    sqlite3_file *file = file_of_database();
    check(file->pMethods->xCheckReservedLock(file, &seen) == SQLITE_OK);
    return seen;
}

static void serve_by_sqlite(const char *path)
{
    request message;
    open_database(path);
    while (pipe_read(process_input(), &message, sizeof message) == sizeof message) {
        int64_t result = 0;
        if (message.what == RAISE_TO) {
            result = raise_by_sqlite(message.level);
        } else if (message.what == RAISE_DIRECTLY) {
            result = raise_directly_by_sqlite();
        } else if (message.what == SEES_RESERVED) {
            result = sees_reserved_by_sqlite();
        } else {
            sleep_ns(message.timeout_ns);
            release_all(path);
        }
        check(pipe_write(process_output(), &result, sizeof result) == sizeof result);
    }
    (void)sqlite3_close(database);
}

void partner_make_file(const char *path)
{
    check(sqlite3_open(path, &database) == SQLITE_OK);
    check(sqlite3_exec(database, "CREATE TABLE counter (n); INSERT INTO counter VALUES (0)", NULL,
                       NULL, NULL) == SQLITE_OK);
    check(sqlite3_close(database) == SQLITE_OK);
    database = NULL;
}

#else

bool partner_is_available(partner_kind kind)
{
    return kind == BY_EPIO;
}

static void serve_by_sqlite(const char *path)
{
    (void)path;
}

void partner_make_file(const char *path)
{
    file_make(path);
}

#endif

/* ---- The process ------------------------------------------------------------ */

/* Its argument: the kind, then the path. */
void partner_child(const char *argument)
{
    if (argument[0] == '0' + BY_EPIO) {
        serve_by_epio(argument + 1);
    } else {
        serve_by_sqlite(argument + 1);
    }
}

void partner_start(partner *one, partner_kind kind, const char *path)
{
    char argument[1024];
    check(partner_is_available(kind));
    check(snprintf(argument, sizeof argument, "%c%s", '0' + (int)kind, path) <
          (int)sizeof argument);
    child_start(&one->process, partner_child, argument, CHILD_PIPES);
}

void partner_end(partner *one)
{
    check_result(child_end(&one->process), 0);
}

void partner_kill(partner *one)
{
    child_kill(&one->process);
}
