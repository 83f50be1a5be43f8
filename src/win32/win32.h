/* Shared by the Windows files; the only file that includes the system's headers. */
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

/* Missing from some headers. */
#ifndef ERROR_DIRECTORY_NOT_SUPPORTED
#define ERROR_DIRECTORY_NOT_SUPPORTED 336L
#endif
#ifndef ERROR_STOPPED_ON_SYMLINK
#define ERROR_STOPPED_ON_SYMLINK 681L
#endif

/* ---- calls.c ---- */

/* Calls that can end in more ways than any one machine shows. Tests replace them. */
typedef struct epio__win32_calls {
    BOOL(WINAPI *read_file)(HANDLE, LPVOID, DWORD, LPDWORD, LPOVERLAPPED);
    BOOL(WINAPI *write_file)(HANDLE, LPCVOID, DWORD, LPDWORD, LPOVERLAPPED);
    BOOL(WINAPI *get_overlapped_result)(HANDLE, LPOVERLAPPED, LPDWORD, BOOL);
    BOOL(WINAPI *get_completions)(HANDLE, LPOVERLAPPED_ENTRY, ULONG, PULONG, DWORD, BOOL);
    BOOL(WINAPI *cancel)(HANDLE, LPOVERLAPPED);
    /* Interrupts what a thread waits for in a call on a handle that is not overlapped. */
    BOOL (*cancel_synchronous)(DWORD thread);
    BOOL(WINAPI *set_notification_modes)(HANDLE, UCHAR);
    /* What was set, by this program or another; false if unknown. */
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

/* From ntdll: the access of a handle, and the mode in which it was opened; false if unknown. */
bool epio__nt_access_of(HANDLE handle, ACCESS_MASK *access);
bool epio__nt_mode_of(HANDLE handle, ULONG *mode);
#define EPIO__NT_SYNCHRONOUS 0x30u /* each call on it waits */
#define EPIO__NT_UNBUFFERED 0x08u

/* ---- blocking.c ---- */

/* An event for one call: the system resets it when the call begins. NULL and GetLastError. */
HANDLE epio__event_take(void);
void epio__event_return(HANDLE event);
/* Closes the events that are kept for the next call. */
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
    PTP_TIMER timer; /* interrupts it; NULL: not needed yet */
} epio__blocking_call;

/* `call` stays where it is until the end; both by the thread that carries out the op. `deadline`:
 * when it is interrupted in any case, by the monotonic clock; 0: never. */
void epio__blocking_begin(epio__blocking_call *call, epio_op *op, HANDLE handle,
                          OVERLAPPED *overlapped, uint64_t deadline);
void epio__blocking_end(epio__blocking_call *call);
/* True if it is to end. By the thread that carries it out, before and after it has started a
 * piece: an interrupt in between finds nothing to cancel yet. */
bool epio__blocking_is_interrupted(epio__blocking_call *call);
/* Interrupts the op's call, now or as soon as a thread begins it. Any thread. */
void epio__blocking_interrupt(epio_op *op);

/* ---- error.c ---- */

/* Stores GetLastError in the op and returns its EPIO_E... code. */
int64_t epio__op_fail(epio_op *op);
/* The same for a known error. */
int64_t epio__op_fail_with(epio_op *op, DWORD error);

/* ---- clock.c ---- */

/* Milliseconds from now, rounded up; INFINITE for EPIO_FOREVER. */
DWORD epio__milliseconds_until(uint64_t deadline);
/* From now, in the form of the system's timers: negative, in 100 ns. */
LARGE_INTEGER epio__time_until(uint64_t deadline);
/* A timer to wait for, as exact as the system has; NULL: none. */
HANDLE epio__timer_create(void);
bool epio__timer_set(HANDLE timer, uint64_t deadline);

/* ---- file.c ---- */

/* A range that a file holds: UnlockFileEx requires the same range as was locked. */
typedef struct epio__held_range {
    uint64_t start;
    uint64_t len;
    uint32_t mode;
} epio__held_range;

#define EPIO__MOST_RANGES 4

typedef struct epio__win32_file {
    epio__os_file base;
    uint32_t sector;  /* alignment that NO_BUFFERING requires of transfers; 0: none */
    bool synchronous; /* each call on the handle waits */
    bool pipe;
    bool messages; /* a pipe on which each write is one message */
    bool bound;    /* to the loop's port */
    bool cannot_bind;
    bool appends;        /* the handle writes only at the end */
    uint32_t data_flush; /* atomic; DATA_FLUSH_... of transfer.c */
    bool skips_packets;  /* a call that succeeds at once sends no packet */
    /* Atomic. A truncate made it longer: a write may have to fill the gap before it with zeros. */
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

/* Identifies the file of a handle: false and GetLastError if unknown. */
bool epio__identity_of(HANDLE handle, uint64_t *device, uint64_t *inode);

/* ---- name.c ---- */

/* The UTF-16 name for the system, absolute and free of its limits on length and characters; the
 * caller frees it. NULL: EPIO_EINVAL, EPIO_ENAMETOOLONG or EPIO_ENOMEM in *error. */
WCHAR *epio__wide_name(const char *path, int *error);
/* The same for a UTF-16 name, which it frees; NULL is passed on. */
WCHAR *epio__literal_name(WCHAR *name, int *error);
/* Is it the name of a pipe, not a file? In the form of epio__wide_name. */
bool epio__may_be_pipe(const WCHAR *name);
/* epio__wide_name for an op, whose os_error has the reason of a failure. */
WCHAR *epio__op_wide_name(epio_op *op, const char *path, int *error);
/* A name written as a directory's, with a trailing separator, that refers to a file: the error,
 * else 0. */
int64_t epio__check_directory_mark(epio_op *op, const char *path, const WCHAR *name);

/* The attributes of the file with the name; 0: there is none. */
DWORD epio__attributes_of(const WCHAR *name);
bool epio__is_directory(const WCHAR *name);
/* An op failed because of the name: stores the error and returns its EPIO_E... code. The system
 * reports that a path is not found where a part of it is a file, and that access is denied where
 * a directory is not a file. */
int64_t epio__op_fail_for(epio_op *op, const WCHAR *name, DWORD error);
/* The same, but what fails because another handle has the file open for a moment is retried:
 * EPIO_RETRY. `denied`: so is a denied access. */
int64_t epio__op_fail_or_retry(epio_op *op, const WCHAR *name, DWORD error, bool denied);

/* As UTF-8, without the prefix for long names; the caller frees it. NULL: EPIO_ENOMEM, or
 * EPIO_EINVAL for a name with an unpaired surrogate, which Windows allows, in *error. */
char *epio__narrow_name(const WCHAR *name, int *error);

/* ---- path.c ---- */

/* Removes the name of a file, even if it is open or read-only; `durable`: written through. False
 * and GetLastError if it cannot. */
bool epio__remove_name(const WCHAR *name, bool durable);
/* Makes changes of the name durable: 0 or an error. */
DWORD epio__make_name_durable(const WCHAR *name);
/* The change was made, but could not be made durable: stores the error and returns EPIO_EIO. */
int64_t epio__op_fail_to_be_durable(epio_op *op, DWORD error);
/* The final path of a handle, links resolved; the caller frees it. NULL if the system does not
 * report it. */
WCHAR *epio__final_name(HANDLE handle);

/* ---- transfer.c ---- */

/* The next part of a read or write, after op->progress bytes. */
typedef struct epio__piece {
    unsigned char *base;
    DWORD len;
    uint64_t offset;
} epio__piece;

epio__piece epio__next_piece(const epio_op *op);
/* Checks it before the system sees it: 0 or an error. */
int epio__check_transfer(epio_op *op);
/* Starts the next piece: TRUE or FALSE and GetLastError, as ReadFile and WriteFile. */
BOOL epio__start_piece(epio_op *op, OVERLAPPED *overlapped);
/* The outcome of a piece: true if the op is finished, with *result; else it goes on.
 * ERROR_CANCELLED: the op is to end, and the system has cancelled it. */
bool epio__piece_ended(epio_op *op, DWORD error, DWORD bytes, int64_t *result);

#endif
