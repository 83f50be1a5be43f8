/* Byte-range locks, by LockFileEx. On Windows they are mandatory: no other handle, even of this
 * process, reads or writes the bytes. They belong to the handle. The system never waits for one,
 * since a wait cancelled there may still be granted. */
#include "win32/win32.h"

#define LOOKS 3

static DWORD low(uint64_t value)
{
    return (DWORD)(value & 0xFFFFFFFFu);
}

static DWORD high(uint64_t value)
{
    return (DWORD)(value >> 32);
}

/* Waits for the call if it is pending: 0 or its error. */
static DWORD outcome_of(const epio__os_file *file, BOOL done, OVERLAPPED *overlapped)
{
    DWORD bytes;
    if (!done && GetLastError() == ERROR_IO_PENDING) {
        done = epio__win32.get_overlapped_result(epio__handle_of(file), overlapped, &bytes, TRUE);
    }
    return done ? 0 : GetLastError();
}

static DWORD lock_range(const epio__os_file *file, uint64_t start, uint64_t len, bool exclusive)
{
    HANDLE event = epio__event_take();
    if (event == NULL) {
        return GetLastError();
    }
    OVERLAPPED overlapped = {.hEvent = epio__event_without_packet(event)};
    overlapped.Offset = low(start);
    overlapped.OffsetHigh = high(start);
    DWORD flags = LOCKFILE_FAIL_IMMEDIATELY | (exclusive ? LOCKFILE_EXCLUSIVE_LOCK : 0);
    BOOL done =
        epio__win32.lock_file(epio__handle_of(file), flags, 0, low(len), high(len), &overlapped);
    DWORD error = outcome_of(file, done, &overlapped);
    epio__event_return(event);
    return error;
}

/* On Windows a reader of SQLite holds PENDING exclusively for a moment, and so does who tests a
 * range. So a test retries before it reports a holder. */
static DWORD try_range(const epio__os_file *file, uint64_t start, uint64_t len, bool exclusive)
{
    DWORD error = lock_range(file, start, len, exclusive);
    for (int looks = 1; error == ERROR_LOCK_VIOLATION && looks < LOOKS; looks++) {
        epio__thread_yield();
        error = lock_range(file, start, len, exclusive);
    }
    return error;
}

static DWORD unlock_range(const epio__os_file *file, uint64_t start, uint64_t len)
{
    OVERLAPPED overlapped = {0};
    overlapped.Offset = low(start);
    overlapped.OffsetHigh = high(start);
    BOOL done = epio__win32.unlock_file(epio__handle_of(file), 0, low(len), high(len), &overlapped);
    DWORD error = outcome_of(file, done, &overlapped);
    return error == ERROR_NOT_LOCKED ? 0 : error;
}

/* ---- What the file holds for its level ---- */

static epio__held_range *find_held(epio__win32_file *file, uint64_t start, uint64_t len)
{
    for (size_t i = 0; i < EPIO__MOST_RANGES; i++) {
        epio__held_range *range = &file->held[i];
        if (range->mode != EPIO__RANGE_FREE && range->start == start && range->len == len) {
            return range;
        }
    }
    return NULL;
}

static epio__held_range *free_note(epio__win32_file *file)
{
    for (size_t i = 0; i < EPIO__MOST_RANGES; i++) {
        if (file->held[i].mode == EPIO__RANGE_FREE) {
            return &file->held[i];
        }
    }
    return NULL;
}

/* Unlocks all ranges inside: returns the first error, but goes on to the end. */
static DWORD release(epio__win32_file *file, uint64_t start, uint64_t len)
{
    DWORD first = 0;
    for (size_t i = 0; i < EPIO__MOST_RANGES; i++) {
        epio__held_range *range = &file->held[i];
        bool inside = range->start >= start && range->start + range->len <= start + len;
        if (range->mode != EPIO__RANGE_FREE && inside) {
            DWORD error = unlock_range(&file->base, range->start, range->len);
            first = first != 0 ? first : error;
            range->mode = EPIO__RANGE_FREE;
        }
    }
    return first;
}

static DWORD take(epio__win32_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    bool passes = mode == EPIO__RANGE_SHARED && len == 1;
    DWORD error = passes ? try_range(&file->base, start, len, false)
                         : lock_range(&file->base, start, len, mode == EPIO__RANGE_EXCLUSIVE);
    epio__held_range *range = free_note(file);
    if (error != 0) {
        return error;
    }
    if (range == NULL) {
        (void)unlock_range(&file->base, start, len);
        return ERROR_NOT_ENOUGH_MEMORY;
    }
    *range = (epio__held_range){.start = start, .len = len, .mode = mode};
    return 0;
}

/* Both locks are held for a moment: the first unlock releases the exclusive one. */
static DWORD share_exclusive(const epio__os_file *file, uint64_t start, uint64_t len)
{
    DWORD error = lock_range(file, start, len, false);
    return error != 0 ? error : unlock_range(file, start, len);
}

static DWORD weaken(epio__win32_file *file, epio__held_range *range)
{
    DWORD error = share_exclusive(&file->base, range->start, range->len);
    if (error == 0) {
        range->mode = EPIO__RANGE_SHARED;
    }
    return error;
}

/* There is a gap without a lock: the caller excludes others in it by another range. */
static DWORD strengthen(epio__win32_file *file, epio__held_range *range)
{
    DWORD error = unlock_range(&file->base, range->start, range->len);
    if (error != 0) {
        return error;
    }
    error = lock_range(&file->base, range->start, range->len, true);
    if (error == 0) {
        range->mode = EPIO__RANGE_EXCLUSIVE;
    } else if (lock_range(&file->base, range->start, range->len, false) != 0) {
        range->mode = EPIO__RANGE_FREE;
        error = ERROR_LOCK_FAILED;
    }
    return error;
}

static DWORD set(epio__win32_file *file, uint64_t start, uint64_t len, uint32_t mode)
{
    if (mode == EPIO__RANGE_FREE) {
        return release(file, start, len);
    }
    epio__held_range *range = find_held(file, start, len);
    if (range == NULL) {
        return take(file, start, len, mode);
    }
    if (range->mode == mode) {
        return 0;
    }
    return mode == EPIO__RANGE_SHARED ? weaken(file, range) : strengthen(file, range);
}

static int meaning_of(DWORD error, int32_t *os_error)
{
    if (error == 0) {
        return 0;
    }
    *os_error = (int32_t)error;
    return epio__error_from_os((int32_t)error);
}

int epio__range_set(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t mode,
                    int32_t *os_error)
{
    /* The records of held ranges are not part of what the caller sees as constant. */
    epio__win32_file *noted = (epio__win32_file *)(uintptr_t)file;
    return meaning_of(set(noted, start, len, mode), os_error);
}

/* ---- Ranges that the caller knows ---- */

int epio__range_change(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t from,
                       uint32_t mode, int32_t *os_error)
{
    if (from == mode) {
        return 0;
    }
    if (mode == EPIO__RANGE_FREE) {
        return meaning_of(unlock_range(file, start, len), os_error);
    }
    if (from == EPIO__RANGE_FREE) {
        bool exclusive = mode == EPIO__RANGE_EXCLUSIVE;
        return meaning_of(lock_range(file, start, len, exclusive), os_error);
    }
    if (mode == EPIO__RANGE_EXCLUSIVE) {
        return EPIO_ENOTSUP;
    }
    return meaning_of(share_exclusive(file, start, len), os_error);
}

int epio__range_is_taken(const epio__os_file *file, uint64_t start, uint64_t len, uint32_t mode,
                         int32_t *os_error)
{
    DWORD error = try_range(file, start, len, mode == EPIO__RANGE_EXCLUSIVE);
    if (error == ERROR_LOCK_VIOLATION) {
        return 1;
    }
    if (error == 0) {
        error = unlock_range(file, start, len);
    }
    return meaning_of(error, os_error);
}

bool epio__range_locks_convert(void)
{
    return false;
}

bool epio__range_locks_are_common(void)
{
    return false;
}

void epio__range_locks_disinherit(epio__os_file *file)
{
    (void)file; /* Windows has no fork */
}

void epio__range_locks_prepare(epio__os_file *file)
{
    (void)file; /* whether it is remote was determined at open */
}
