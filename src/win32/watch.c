/* What changes in directories, as the system reports it: one call of ReadDirectoryChanges is always
 * under way for each watch, and its answer comes to the thread pool, which sleeps until then. What
 * the answers mean is in changes.c.
 *
 * The system remembers changes between two calls, as many as the first one's buffer holds. So an
 * answer is copied and the next call made at once; what takes longer (asking for the type of a
 * file, listing a directory) follows. */
#include "atomics.h"
#include "win32/changes.h"

#include <stdlib.h>
#include <string.h>

/* The system keeps such a buffer for each watch, too. Servers take no larger one than the first. */
#define SIZE_FOR_TREE 65536u
#define SIZE_FOR_DIRECTORY 16384u

/* A server that reports nothing says so in its first answer. How long an epio_watch waits for that.
 */
#define REFUSAL_NS UINT64_C(200000000)

/* When so many answers wait here, they wait in the system. */
#define MOST_WAITING ((size_t)4 << 20)

#define WANTED                                                                                     \
    (FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME | FILE_NOTIFY_CHANGE_ATTRIBUTES |  \
     FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_CREATION |       \
     FILE_NOTIFY_CHANGE_SECURITY)
/* FILE_NOTIFY_CHANGE_STREAM_NAME, _SIZE and _WRITE, which only drivers' headers have. */
#define WANTED_OF_STREAMS 0xE00u

typedef struct answer {
    struct answer *next;
    uint32_t number;
    bool lost_after; /* what followed was lost */
    size_t len;
    unsigned char records[];
} answer;

typedef struct watch_source {
    epio__changes changes; /* the reporter's */
    HANDLE directory;      /* INVALID_HANDLE_VALUE once it is gone */
    PTP_IO io;
    bool extended; /* not changed after the first call, like the next two */
    DWORD filter;
    DWORD size;
    OVERLAPPED overlapped;
    uint32_t gathered; /* atomic; the number of the latest answer */

    epio__mutex mutex; /* guards the rest, and starting a call */
    epio__condition changed;
    bool in_flight; /* a call, or its answer, which was not gathered yet */
    bool reporting; /* a thread reports, which one at a time does */
    bool ending;
    bool gone;   /* no call follows, and the end is to be reported */
    DWORD error; /* why */
    bool paused; /* the next call waits until answers were reported */
    bool lost;   /* what followed the latest answer was lost */
    answer *first;
    answer *last;
    size_t waiting; /* bytes of answers */
    ULONG_PTR buffer[];
} watch_source;

/* ---- Calls ---- */

/* 0, and an answer follows; or an error. With the mutex. */
static DWORD start(watch_source *source)
{
    memset(&source->overlapped, 0, sizeof source->overlapped);
    StartThreadpoolIo(source->io);
    BOOL done = epio__win32.read_changes(source->directory, source->buffer, source->size,
                                         source->changes.watch->recursive, source->filter,
                                         &source->overlapped, source->extended);
    DWORD error = done ? 0 : GetLastError();
    source->in_flight = error == 0 || error == ERROR_IO_PENDING;
    if (!source->in_flight) {
        CancelThreadpoolIo(source->io);
    }
    return source->in_flight ? 0 : error;
}

static void note_loss(watch_source *source)
{
    if (source->last != NULL) {
        source->last->lost_after = true;
    } else {
        source->lost = true;
    }
}

/* No call can follow. If the directory is not gone, changes are lost. */
static void stop(watch_source *source, DWORD error)
{
    bool removed = (error == ERROR_ACCESS_DENIED || error == ERROR_DELETE_PENDING) &&
                   epio__is_removed(source->directory);
    if (!removed) {
        note_loss(source);
    }
    source->gone = true;
    source->error = error;
}

static void start_next(watch_source *source)
{
    source->paused = source->waiting > MOST_WAITING;
    DWORD error = source->paused || source->ending ? 0 : start(source);
    if (error != 0) {
        stop(source, error);
    }
}

static void keep_answer(watch_source *source, DWORD len)
{
    answer *kept = malloc(sizeof *kept + len);
    uint32_t number = source->gathered + 1;
    epio__store_u32(&source->gathered, number);
    if (kept == NULL) {
        note_loss(source);
        return;
    }
    *kept = (answer){.number = number, .len = len};
    memcpy(kept->records, source->buffer, len);
    if (source->last != NULL) {
        source->last->next = kept;
    } else {
        source->first = kept;
    }
    source->last = kept;
    source->waiting += len;
}

/* Takes the answer of the call that has ended, and makes the next. With the mutex. */
static void gather(watch_source *source)
{
    DWORD len = 0;
    BOOL done =
        epio__win32.get_overlapped_result(source->directory, &source->overlapped, &len, FALSE);
    DWORD error = done ? 0 : GetLastError();
    source->in_flight = false;
    if (source->ending) {
        return;
    }
    if (error == 0 && len != 0 && len <= source->size) {
        keep_answer(source, len);
    } else if (error == 0 || error == ERROR_NOTIFY_ENUM_DIR) {
        note_loss(source); /* there was more than the system remembers */
    } else if (error != ERROR_OPERATION_ABORTED) {
        stop(source, error);
        return;
    }
    start_next(source);
}

/* ---- Reporting ---- */

static answer *take_answer(watch_source *source)
{
    answer *taken = source->first;
    if (taken != NULL) {
        source->first = taken->next;
        source->last = taken->next != NULL ? source->last : NULL;
        source->waiting -= taken->len;
    }
    return taken;
}

/* An open handle would keep the name of the removed directory in use. */
static void report_end(watch_source *source)
{
    (void)CloseHandle(source->directory);
    source->directory = INVALID_HANDLE_VALUE;
    source->changes.directory = NULL;
    source->gone = false;
    epio__watch_report_end(source->changes.watch);
}

/* Reports one thing: false if there is nothing. With the mutex, which it releases meanwhile. */
static bool report_next(watch_source *source)
{
    bool lost = source->lost;
    answer *taken = source->ending || lost ? NULL : take_answer(source);
    source->lost = false;
    if (source->ending || (taken == NULL && !lost && !source->gone)) {
        return false;
    }
    if (taken == NULL && !lost) {
        report_end(source);
        return true;
    }
    epio__mutex_unlock(&source->mutex);
    if (taken != NULL) {
        epio__changes_report(&source->changes, taken->number, taken->records, taken->len);
        lost = taken->lost_after;
        free(taken);
    }
    if (lost) {
        epio__changes_report_loss(&source->changes);
    }
    epio__mutex_lock(&source->mutex);
    if (source->paused && !source->in_flight) {
        start_next(source);
    }
    return true;
}

/* With the mutex, which it releases meanwhile. */
static void report_all(watch_source *source)
{
    if (source->reporting) {
        return;
    }
    source->reporting = true;
    while (report_next(source)) {
    }
    source->reporting = false;
}

static VOID CALLBACK answered(PTP_CALLBACK_INSTANCE instance, PVOID context, PVOID overlapped,
                              ULONG result, ULONG_PTR bytes, PTP_IO io)
{
    watch_source *source = context;
    (void)instance;
    (void)overlapped;
    (void)result;
    (void)bytes;
    (void)io;
    epio__mutex_lock(&source->mutex);
    gather(source);
    report_all(source);
    epio__condition_broadcast(&source->changed);
    epio__mutex_unlock(&source->mutex);
}

/* ---- Beginning and ending ---- */

/* As an epio_open with DIRECTORY, but for calls that overlap: 0 or an error. */
static int64_t open_directory(epio_op *op, HANDLE *handle)
{
    const char *path = op->arguments.path.path;
    FILE_BASIC_INFO information;
    epio__place place;
    *handle = INVALID_HANDLE_VALUE;
    int64_t result = epio__op_place(op, path, true, &place);
    if (result == 0) {
        *handle = epio__open_at(&place, FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES | SYNCHRONIZE,
                                OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED);
        DWORD error = *handle == INVALID_HANDLE_VALUE ? GetLastError() : 0;
        result = error == 0                     ? 0
                 : error == ERROR_ACCESS_DENIED ? epio__op_fail_with(op, error)
                                                : epio__op_fail_or_retry(op, &place, error, false);
    }
    epio__place_drop(&place);
    if (result == 0 &&
        !epio__win32.get_information(*handle, FileBasicInfo, &information, sizeof information)) {
        result = epio__op_fail(op);
    } else if (result == 0 && (information.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
        result = epio__op_fail_with(op, ERROR_DIRECTORY);
    }
    if (result != 0 && *handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(*handle);
    }
    return result;
}

/* The directory's handle is the source's, also if there is none: NULL and an error. */
static watch_source *create_source(epio__watch *watch, HANDLE directory, DWORD *error)
{
    DWORD size = watch->recursive ? SIZE_FOR_TREE : SIZE_FOR_DIRECTORY;
    watch_source *made = calloc(1, sizeof *made + size);
    *error = ERROR_NOT_ENOUGH_MEMORY;
    if (made != NULL) {
        made->io = CreateThreadpoolIo(directory, answered, made, NULL);
        *error = made->io != NULL ? 0 : GetLastError();
    }
    if (*error != 0) {
        free(made);
        (void)CloseHandle(directory);
        return NULL;
    }
    made->directory = directory;
    made->size = size;
    made->changes.watch = watch;
    made->changes.directory = directory;
    made->changes.gathered = &made->gathered;
    epio__mutex_init(&made->mutex);
    epio__condition_init(&made->changed);
    return made;
}

/* No call is in flight; an answer may still be reported. */
static void destroy_source(watch_source *source)
{
    WaitForThreadpoolIoCallbacks(source->io, FALSE);
    if (source->directory != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(source->directory);
    }
    CloseThreadpoolIo(source->io);
    while (source->first != NULL) {
        free(take_answer(source));
    }
    epio__changes_drop(&source->changes);
    epio__condition_destroy(&source->changed);
    epio__mutex_destroy(&source->mutex);
    free(source);
}

static bool is_not_understood(DWORD error)
{
    return error == ERROR_INVALID_FUNCTION || error == ERROR_NOT_SUPPORTED ||
           error == ERROR_CALL_NOT_IMPLEMENTED || error == ERROR_INVALID_PARAMETER ||
           error == ERROR_INVALID_LEVEL;
}

/* 0, or the error with which a server refuses the first call after it was made. With the mutex. */
static DWORD await_refusal(watch_source *source)
{
    uint64_t deadline = epio__monotonic_time() + REFUSAL_NS;
    while (source->gathered == 0 && !source->gone && !source->lost &&
           epio__condition_wait_until(&source->changed, &source->mutex, deadline)) {
    }
    bool refused = source->gone && is_not_understood(source->error);
    source->gone = source->gone && !refused;
    source->lost = source->lost && !refused;
    return refused ? source->error : 0;
}

/* The most that the file system reports: 0 or an error. With the mutex. */
static DWORD start_first(watch_source *source)
{
    static const struct {
        bool extended;
        DWORD filter;
    } forms[] = {{true, WANTED | WANTED_OF_STREAMS},
                 {true, WANTED},
                 {false, WANTED | WANTED_OF_STREAMS},
                 {false, WANTED}};
    bool remote = epio__is_remote(source->directory);
    DWORD error = 0;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        source->extended = forms[i].extended;
        source->changes.extended = forms[i].extended;
        source->filter = forms[i].filter;
        error = start(source);
        error = error == 0 && remote ? await_refusal(source) : error;
        if (error == 0 || !is_not_understood(error)) {
            break;
        }
    }
    return error;
}

/* 0, and changes are reported from now on; ERROR_NOT_SUPPORTED: nobody reports them; or another
 * error. */
static DWORD begin(watch_source *source)
{
    epio__mutex_lock(&source->mutex);
    source->reporting = true; /* nothing is reported of a watch that does not begin */
    DWORD error = start_first(source);
    source->reporting = false;
    if (error == 0) {
        report_all(source);
    }
    epio__mutex_unlock(&source->mutex);
    return is_not_understood(error) ? ERROR_NOT_SUPPORTED : error;
}

int64_t epio__os_watch_begin(epio_op *op, epio__watch *watch)
{
    HANDLE directory;
    DWORD error;
    if (watch->recursive && !epio__win32.watches_trees()) {
        return epio__op_fail_with(op, ERROR_NOT_SUPPORTED);
    }
    int64_t result = open_directory(op, &directory);
    if (result != 0) {
        return result;
    }
    watch_source *made = create_source(watch, directory, &error);
    if (made != NULL) {
        error = begin(made);
    }
    if (error != 0 && made != NULL) {
        destroy_source(made);
    }
    watch->source = error == 0 ? made : NULL;
    return error == 0 ? 0 : epio__op_fail_with(op, error);
}

void epio__os_watch_end(epio__watch *watch)
{
    watch_source *source = watch->source;
    if (source == NULL) {
        return;
    }
    watch->source = NULL;
    epio__mutex_lock(&source->mutex);
    source->ending = true;
    if (source->in_flight) {
        (void)epio__win32.cancel(source->directory, &source->overlapped);
    }
    while (source->in_flight) {
        epio__condition_wait(&source->changed, &source->mutex);
    }
    epio__mutex_unlock(&source->mutex);
    destroy_source(source);
}
