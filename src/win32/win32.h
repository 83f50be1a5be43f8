/* What the Windows files share among themselves; the only one that includes the
 * system's own headers. */
#ifndef EPIO_WIN32_H
#define EPIO_WIN32_H

#include "platform.h"

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

/* Not in every header. */
#ifndef ERROR_DIRECTORY_NOT_SUPPORTED
#define ERROR_DIRECTORY_NOT_SUPPORTED 336L
#endif
#ifndef ERROR_STOPPED_ON_SYMLINK
#define ERROR_STOPPED_ON_SYMLINK 681L
#endif

/* ---- calls.c ---- */

/* The calls whose ways to end Windows has more of than any one machine shows. Tests put
 * their own in their place. */
typedef struct epio__win32_calls {
    BOOL(WINAPI *read_file)(HANDLE, LPVOID, DWORD, LPDWORD, LPOVERLAPPED);
    BOOL(WINAPI *write_file)(HANDLE, LPCVOID, DWORD, LPDWORD, LPOVERLAPPED);
    BOOL(WINAPI *get_overlapped_result)(HANDLE, LPOVERLAPPED, LPDWORD, BOOL);
    BOOL(WINAPI *get_completions)(HANDLE, LPOVERLAPPED_ENTRY, ULONG, PULONG, DWORD, BOOL);
    BOOL(WINAPI *cancel)(HANDLE, LPOVERLAPPED);
    /* Ends what a thread waits for in a call on a handle that is not overlapped. */
    BOOL (*cancel_synchronous)(DWORD thread);
    BOOL(WINAPI *set_notification_modes)(HANDLE, UCHAR);
    /* What was set, by whomever; false if that cannot be told. */
    bool (*get_notification_modes)(HANDLE, ULONG *modes);
    BOOL(WINAPI *lock_file)(HANDLE, DWORD, DWORD, DWORD, DWORD, LPOVERLAPPED);
    BOOL(WINAPI *unlock_file)(HANDLE, DWORD, DWORD, DWORD, LPOVERLAPPED);
    BOOL(WINAPI *set_information)(HANDLE, FILE_INFO_BY_HANDLE_CLASS, LPVOID, DWORD);
    BOOL(WINAPI *get_information)(HANDLE, FILE_INFO_BY_HANDLE_CLASS, LPVOID, DWORD);
    BOOL(WINAPI *delete_file)(LPCWSTR);
    DWORD(WINAPI *get_full_path)(LPCWSTR, DWORD, LPWSTR, LPWSTR *);
    BOOL(WINAPI *flush)(HANDLE);
    /* 0 or an error; ERROR_NOT_SUPPORTED where only the whole file can be flushed. */
    DWORD (*flush_data)(HANDLE);
    bool (*is_on_ntfs)(HANDLE);
} epio__win32_calls;

extern epio__win32_calls epio__win32;

/* Of ntdll: the access with which a handle was opened, and how it was; false if that
 * cannot be told. */
bool epio__nt_access_of(HANDLE handle, ACCESS_MASK *access);
bool epio__nt_mode_of(HANDLE handle, ULONG *mode);
#define EPIO__NT_SYNCHRONOUS 0x30u /* each call on it waits */
#define EPIO__NT_UNBUFFERED 0x08u

/* ---- blocking.c ---- */

/* An event for one call to be waited for: the system resets it when the call begins.
 * NULL and GetLastError. */
HANDLE epio__event_take(void);
void epio__event_give_back(HANDLE event);
/* Those that are kept for the next call. */
void epio__events_close(void);

/* As OVERLAPPED wants it for a call that sends no packet to the port of its handle. */
static inline HANDLE epio__event_without_packet(HANDLE event)
{
    return (HANDLE)((ULONG_PTR)event | 1);
}

/* A transfer on a stream while a thread carries it out. */
typedef struct epio__blocking_call {
    struct epio__blocking_call *next;
    epio_op *op;
    HANDLE handle;
    OVERLAPPED *overlapped; /* of all its pieces; NULL: the handle is not overlapped */
    DWORD thread;
    bool under_way;
    bool interrupted;
    PTP_TIMER timer; /* asks for its end; NULL: not yet */
} epio__blocking_call;

/* `call` stays where it is until the end; both by the thread that carries the op out.
 * `deadline`: when it is interrupted in any case, by the monotonic clock; 0: never. */
void epio__blocking_begin(epio__blocking_call *call, epio_op *op, HANDLE handle,
                          OVERLAPPED *overlapped, uint64_t deadline);
void epio__blocking_end(epio__blocking_call *call);
/* True if it is to end. By the thread that carries it out, before and after it has started
 * a piece: what is asked for in between finds nothing to cancel yet. */
bool epio__blocking_is_interrupted(epio__blocking_call *call);
/* Asks for the op's call to end, now or as soon as a thread begins it. Any thread. */
void epio__blocking_interrupt(epio_op *op);

/* ---- error.c ---- */

/* Notes GetLastError in the op and returns what it means. */
int64_t epio__op_fail(epio_op *op);
/* The same for an error that is at hand. */
int64_t epio__op_fail_with(epio_op *op, DWORD error);

/* ---- clock.c ---- */

/* Milliseconds from now, rounded up; INFINITE for EPIO_FOREVER. */
DWORD epio__milliseconds_until(uint64_t deadline);
/* From now, as the system's timers want it: negative, in 100 ns. */
LARGE_INTEGER epio__time_until(uint64_t deadline);
/* A timer to be waited for, as exact as the system has; NULL: none. */
HANDLE epio__timer_create(void);
bool epio__timer_set(HANDLE timer, uint64_t deadline);

/* ---- file.c ---- */

/* A range that a file holds: UnlockFileEx wants it back as it was locked. */
typedef struct epio__held_range {
    uint64_t start;
    uint64_t len;
    uint32_t mode;
} epio__held_range;

#define EPIO__MOST_RANGES 4

typedef struct epio__win32_file {
    epio__os_file base;
    uint32_t sector;  /* what NO_BUFFERING wants transfers to be aligned to; 0: nothing */
    bool synchronous; /* each call on the handle waits */
    bool pipe;
    bool messages; /* a pipe on which each write is a message of its own */
    bool bound;    /* to the loop's port */
    bool cannot_bind;
    bool appends;        /* the handle writes at the end alone */
    uint32_t data_flush; /* atomic; DATA_FLUSH_... of transfer.c */
    bool skips_packets;  /* a call that succeeds at once sends no packet */
    /* Atomic. A truncate made it longer: a write may have to fill what lies before. */
    uint32_t has_grown;
    WCHAR *delete_name; /* to be removed at close, owned; NULL: nothing */
    epio__held_range held[EPIO__MOST_RANGES];
} epio__win32_file;

static inline epio__win32_file *epio__win32_file_of(const epio_op *op)
{
    return (epio__win32_file *)(void *)op->file;
}

static inline HANDLE epio__handle_of(const epio__os_file *file)
{
    return (HANDLE)file->handle;
}

/* Which file a handle leads to: false and GetLastError if that cannot be told. */
bool epio__identity_of(HANDLE handle, uint64_t *device, uint64_t *inode);

/* ---- name.c ---- */

/* The UTF-16 name for the system, absolute and beyond its limits on length and letters;
 * to be freed. NULL: EPIO_EINVAL, EPIO_ENAMETOOLONG or EPIO_ENOMEM in *error. */
WCHAR *epio__wide_name(const char *path, int *error);
/* The same of a name of UTF-16, which it frees; NULL is passed on. */
WCHAR *epio__literal_name(WCHAR *name, int *error);
/* Is it one of pipes, rather than of files? As epio__wide_name has it. */
bool epio__may_be_pipe(const WCHAR *name);
/* epio__wide_name for an op, whose os_error tells of a failure. */
WCHAR *epio__op_wide_name(epio_op *op, const char *path, int *error);
/* A name that was written as a directory's, with a separator at its end, leads to a file:
 * the error, and else 0. */
int64_t epio__check_directory_mark(epio_op *op, const char *path, const WCHAR *name);

/* The attributes of what has the name; 0: nothing has. */
DWORD epio__attributes_of(const WCHAR *name);
bool epio__is_directory(const WCHAR *name);
/* An op failed for the name: notes the error and returns what it means. The system says
 * that a path is not found where a part of it is a file, and that access is denied where
 * a directory is no file. */
int64_t epio__op_fail_for(epio_op *op, const WCHAR *name, DWORD error);
/* The same, but what fails because somebody has the file open for a moment is tried again
 * later: EPIO_RETRY. `denied`: so is what access is denied to. */
int64_t epio__op_fail_or_retry(epio_op *op, const WCHAR *name, DWORD error, bool denied);

/* As UTF-8, to be freed; the prefix for long names is left out. NULL: EPIO_ENOMEM, or
 * EPIO_EINVAL for one with half a character, which Windows allows, in *error. */
char *epio__narrow_name(const WCHAR *name, int *error);

/* ---- path.c ---- */

/* Takes the name from a file, whoever has it open, and though it is read-only; `durable`:
 * written through. False and GetLastError if it cannot. */
bool epio__remove_name(const WCHAR *name, bool durable);
/* Makes durable what was done to the name: 0 or an error. */
DWORD epio__make_name_durable(const WCHAR *name);
/* What could not be made durable though it was done: notes the error and returns EPIO_EIO. */
int64_t epio__op_fail_to_be_durable(epio_op *op, DWORD error);
/* What a handle is called, links resolved, to be freed; NULL if the system does not say. */
WCHAR *epio__final_name(HANDLE handle);

/* ---- transfer.c ---- */

/* The part of a read or write that comes next, op->progress bytes being done. */
typedef struct epio__piece {
    unsigned char *base;
    DWORD len;
    uint64_t offset;
} epio__piece;

epio__piece epio__next_piece(const epio_op *op);
/* What is wrong with it before the system sees it: 0 or an error. */
int epio__check_transfer(epio_op *op);
/* Starts the next piece: TRUE or FALSE and GetLastError, as ReadFile and WriteFile. */
BOOL epio__start_piece(epio_op *op, OVERLAPPED *overlapped);
/* The outcome of a piece: true if the op is finished, with *result; else it goes on.
 * ERROR_CANCELLED: somebody wants it to end, and the system has given it up. */
bool epio__piece_ended(epio_op *op, DWORD error, DWORD bytes, int64_t *result);

#endif
