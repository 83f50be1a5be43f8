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
/* After it. */
#include <winioctl.h>
#include <winternl.h>

/* Missing from some headers. */
#ifndef ERROR_DIRECTORY_NOT_SUPPORTED
#define ERROR_DIRECTORY_NOT_SUPPORTED 336L
#endif
#ifndef ERROR_STOPPED_ON_SYMLINK
#define ERROR_STOPPED_ON_SYMLINK 681L
#endif
#ifndef ERROR_CANT_ACCESS_FILE
#define ERROR_CANT_ACCESS_FILE 1920L
#endif

/* ---- nt.c ---- */

/* One call of NtCreateFile, in its terms. */
typedef struct epio__nt_creation {
    HANDLE root; /* a directory that `name` is relative to */
    const WCHAR *name;
    ACCESS_MASK access;
    ULONG attributes;
    ULONG disposition;
    ULONG options;
    bool pins; /* it is not moved or deleted while the handle is open */
} epio__nt_creation;

/* 0 and a handle; or an error. */
DWORD epio__nt_create(const epio__nt_creation *wanted, HANDLE *handle, bool *created);

/* Of FILE_INFORMATION_CLASS. */
enum {
    EPIO__NT_RENAME = 10,
    EPIO__NT_LINK = 11,
    EPIO__NT_RENAME_EX = 65, /* Windows 10, version 1607 */
    EPIO__NT_LINK_EX = 72    /* Windows 10, version 1809 */
};

/* 0 or an error. */
DWORD epio__nt_set_information(HANDLE handle, int which, void *information, ULONG size);
/* FILE_FS_FULL_SIZE_INFORMATION, which only drivers' headers have:
 * https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddk/ns-ntddk-_file_fs_full_size_information
 */
typedef struct epio__nt_full_size {
    LARGE_INTEGER total; /* units of allocation */
    LARGE_INTEGER available;
    LARGE_INTEGER free;
    ULONG sectors_per_unit;
    ULONG bytes_per_sector;
} epio__nt_full_size;

/* Of the volume of a file: 0 or an error. */
DWORD epio__nt_full_size_of(HANDLE handle, epio__nt_full_size *size);
/* See epio__win32_calls. */
DWORD epio__nt_flush_data(HANDLE handle);
bool epio__nt_notification_modes_of(HANDLE handle, ULONG *modes);
/* The access of a handle, and the mode in which it was opened; false if unknown. */
bool epio__nt_access_of(HANDLE handle, ACCESS_MASK *access);
bool epio__nt_mode_of(HANDLE handle, ULONG *mode);
#define EPIO__NT_SYNCHRONOUS 0x30u /* each call on it waits */
#define EPIO__NT_UNBUFFERED 0x08u

/* ---- calls.c ---- */

/* FILE_STAT_BASIC_INFORMATION, which older headers lack:
 * https://learn.microsoft.com/windows-hardware/drivers/ddi/ntifs/ns-ntifs-file_stat_basic_information
 */
typedef struct epio__win32_stat {
    LARGE_INTEGER short_id;
    LARGE_INTEGER born;
    LARGE_INTEGER accessed;
    LARGE_INTEGER modified;
    LARGE_INTEGER changed;
    LARGE_INTEGER allocated;
    LARGE_INTEGER bytes;
    ULONG attributes;
    ULONG tag;
    ULONG links;
    ULONG device_type;
    ULONG device_characteristics;
    ULONG unused;
    uint64_t volume;
    uint64_t id[2];
} epio__win32_stat;

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
    /* GetFileInformationByName for an epio__win32_stat; ERROR_CALL_NOT_IMPLEMENTED: not there. */
    BOOL (*get_information_by_name)(LPCWSTR, LPVOID, DWORD);
    DWORD (*nt_create)(const epio__nt_creation *wanted, HANDLE *handle, bool *created);
    DWORD (*nt_set_information)(HANDLE, int which, void *information, ULONG size);
    BOOLEAN(WINAPI *create_symbolic_link)(LPCWSTR, LPCWSTR, DWORD);
    BOOL(WINAPI *control)(HANDLE, DWORD, LPVOID, DWORD, LPVOID, DWORD, LPDWORD, LPOVERLAPPED);
    BOOL(WINAPI *delete_file)(LPCWSTR);
    int32_t (*shell_operation)(void **operation);
    int32_t (*shell_item)(const WCHAR *name, void **item);
    BOOL(WINAPI *replace_file)(LPCWSTR, LPCWSTR, LPCWSTR, DWORD, LPVOID, LPVOID);
    DWORD(WINAPI *get_full_path)(LPCWSTR, DWORD, LPWSTR, LPWSTR *);
    BOOL(WINAPI *flush)(HANDLE);
    /* 0 or an error; ERROR_NOT_SUPPORTED where only the whole file can be flushed. */
    DWORD (*flush_data)(HANDLE);
    bool (*is_on_ntfs)(HANDLE);
    BOOL(WINAPI *get_volume_information)
    (HANDLE, LPWSTR, DWORD, LPDWORD, LPDWORD, LPDWORD, LPWSTR, DWORD);
    DWORD (*nt_full_size)(HANDLE, epio__nt_full_size *size);
    HANDLE(WINAPI *reopen)(HANDLE, DWORD, DWORD, DWORD);
    HANDLE(WINAPI *create_mapping)
    (HANDLE, LPSECURITY_ATTRIBUTES, DWORD, DWORD, DWORD, LPCWSTR);
    LPVOID(WINAPI *map_view)(HANDLE, DWORD, DWORD, DWORD, SIZE_T);
    BOOL(WINAPI *flush_view)(LPCVOID, SIZE_T);
    /* Its answers are FILE_NOTIFY_EXTENDED_INFORMATION, or FILE_NOTIFY_INFORMATION;
     * ERROR_CALL_NOT_IMPLEMENTED: only the latter are there. */
    BOOL(*read_changes)
    (HANDLE, LPVOID, DWORD len, BOOL tree, DWORD filter, LPOVERLAPPED, bool extended);
    /* Does it report what happens in subdirectories? */
    bool (*watches_trees)(void);
} epio__win32_calls;

extern epio__win32_calls epio__win32;

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
    bool nameless;       /* a temporary file that was given no name yet */
    bool appends;        /* all writes go to the end */
    uint32_t data_flush; /* atomic; DATA_FLUSH_... of transfer.c */
    bool skips_packets;  /* a call that succeeds at once sends no packet */
    /* Atomic. A truncate made it longer: a write may have to fill the gap before it with zeros. */
    uint32_t has_grown;
    SRWLOCK append_lock;  /* of the next, and held while the file is made longer */
    HANDLE append_handle; /* of epio_append; NULL: none yet */
    WCHAR *delete_name;   /* to be removed at close, owned; NULL: nothing */
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

/* The file or directory of an op that is on one. */
static inline bool epio__op_is_on_directory(const epio_op *op)
{
    return (op->file->attributes & EPIO_FILE_DIRECTORY) != 0;
}

/* The volume and the 128 bits that a file has on it: false and GetLastError if unknown. */
bool epio__id_of(HANDLE handle, uint64_t *volume, uint64_t id[2]);
/* A server has the file, not this machine. */
bool epio__is_remote(HANDLE handle);
/* Identifies the file of a handle: false and GetLastError if unknown. */
bool epio__identity_of(HANDLE handle, uint64_t *device, uint64_t *inode);
/* Are both known to be of one file? */
bool epio__are_the_same(HANDLE one, HANDLE other);

/* ---- directory.c ---- */

/* How far the list of a directory was read, for epio__os_file.listing. NULL: no memory. */
void *epio__listing_create(void);
/* NULL is ignored. */
void epio__listing_destroy(void *listing);
/* The next entry of a directory, but "." and "..", until the next call; NULL at the end, or with an
 * error. One thread at a time. */
const FILE_ID_BOTH_DIR_INFO *epio__listing_next(void *listing, HANDLE handle, DWORD *error);
/* Is it removed, and remains because handles of it are open? */
bool epio__is_removed(HANDLE handle);
/* What was made, moved or removed in an open directory is durable: 0 or an error. */
int64_t epio__sync_directory(epio_op *op);

/* ---- metadata.c ---- */

/* EPIO_TYPE_... for a file's attributes and, if it is a reparse point, its tag. */
uint32_t epio__type_of(DWORD attributes, DWORD tag);
/* What a list says of an entry. */
void epio__describe_entry(const FILE_ID_BOTH_DIR_INFO *entry, epio_info *info);
/* Opens what the op's path leads to for its metadata, or a link itself: 0 or an error. */
int64_t epio__op_open_metadata(epio_op *op, DWORD access, bool follows, HANDLE *handle);

/* ---- link.c ---- */

/* Where a symbolic link or junction leads that was opened itself; the caller frees it. NULL and an
 * error: ERROR_NOT_A_REPARSE_POINT for a reparse point of another kind. */
char *epio__link_target(HANDLE handle, DWORD *error);

/* ---- wtf8.c ---- */

/* UTF-8 as UTF-16; the caller frees it. NULL: EPIO_EINVAL or EPIO_ENOMEM in *error. */
WCHAR *epio__widen(const char *path, int *error);
/* UTF-16 as UTF-8, ended by a NUL: its length without that. NULL: the length alone. */
size_t epio__narrow(const WCHAR *name, size_t len, char *to);
#define EPIO__NARROW_MOST 3u /* bytes for each unit of `name` */

/* ---- name.c ---- */

/* The UTF-16 name for the system, absolute and free of its limits on length and characters; the
 * caller frees it. NULL: EPIO_EINVAL, EPIO_ENAMETOOLONG or EPIO_ENOMEM in *error. */
WCHAR *epio__wide_name(const char *path, int *error);
/* The same for a UTF-16 name, which it frees; NULL is passed on. */
WCHAR *epio__literal_name(WCHAR *name, int *error);
void epio__turn_slashes(WCHAR *name);
/* Neither absolute nor of a drive or share. */
bool epio__is_relative_name(const WCHAR *name);
/* Such a name with its relative parts resolved, empty if nothing is left; *rises: it leads out of
 * the directory where it begins, and is of no use. Otherwise as epio__wide_name. */
WCHAR *epio__name_within(const WCHAR *name, bool *rises, int *error);
/* Such a name behind an absolute directory. Otherwise as epio__wide_name. */
WCHAR *epio__join_names(const WCHAR *directory, const WCHAR *name, int *error);
/* Can a part of a path have this name? 0, EPIO_EINVAL, EPIO_ENAMETOOLONG. */
int epio__check_part(const WCHAR *part, size_t len);
/* The length of the root of an absolute name. */
size_t epio__root_len(const WCHAR *name);
/* Is it the name of a pipe, not a file? In the form of epio__wide_name. */
bool epio__may_be_pipe(const WCHAR *name);
/* What an op returns that has no name because of this error. */
int64_t epio__op_fail_name(epio_op *op, int error);
/* As UTF-8, without the prefix for long names; the caller frees it. NULL: no memory. */
char *epio__narrow_name(const WCHAR *name);

/* ---- place.c ---- */

/* What a path names. */
typedef struct epio__place {
    HANDLE root;   /* the open directory where `name` begins; NULL: it is absolute */
    WCHAR *name;   /* in literal form, without relative parts; empty for the directory itself */
    HANDLE opened; /* is closed with the place; NULL: none */
    bool confined; /* `name` is one part, and no link that it is replaced by is followed */
    bool by_link;  /* and a link led to it */
} epio__place;

/* The place of a path of the op, absolute or in its directory: 0 or an error. The caller drops it
 * in both cases. `follows`: where the path is confined, the last part leads through links. */
int64_t epio__op_place(epio_op *op, const char *path, bool follows, epio__place *place);
void epio__place_drop(epio__place *place);
/* The absolute name; the caller frees it. NULL and GetLastError if the system does not report where
 * the directory is. */
WCHAR *epio__place_name(const epio__place *place);
/* The first part of a name that is not a directory's: its length with the backslash. */
size_t epio__place_parent_len(const epio__place *place);
/* The directory of a place: false if there is no memory. */
bool epio__place_parent(const epio__place *place, epio__place *parent);

/* As CreateFileW, shared with all others. After FILE_FLAG_BACKUP_SEMANTICS it may be a directory.
 */
HANDLE epio__open_at(const epio__place *place, DWORD access, DWORD disposition, DWORD flags);
/* The same, but not through links (ERROR_STOPPED_ON_SYMLINK), only through other reparse points
 * that provide a file's content (deduplication, compression by file, clouds). */
HANDLE epio__open_no_link_at(const epio__place *place, DWORD access, DWORD disposition,
                             DWORD flags);
/* For the file's name or metadata, of a symbolic link itself. */
HANDLE epio__open_name_at(const epio__place *place, DWORD access);
/* Each of the next: false and GetLastError if it fails. */
bool epio__make_directory_at(const epio__place *place);
bool epio__delete_at(const epio__place *place);
bool epio__set_attributes_at(const epio__place *place, DWORD attributes);
/* Gives a file that is open for DELETE another name: EPIO__NT_..., with its flags. */
bool epio__set_name(HANDLE handle, int which, DWORD flags, const epio__place *to);

/* The tag of what was opened without following; 0: it is no reparse point. */
DWORD epio__reparse_tag_of(HANDLE handle);
/* The attributes of the file in the place; 0 and GetLastError: there is none. */
DWORD epio__attributes_at(const epio__place *place);
bool epio__is_link_at(const epio__place *place);
bool epio__is_directory_at(const epio__place *place);
/* A path written as a directory's, with a trailing separator, that refers to a file: the error,
 * else 0. */
int64_t epio__check_directory_mark(epio_op *op, const char *path, const epio__place *place);
/* The same for the name that a file is to get, which is not written as a directory's. */
int64_t epio__check_new_name(epio_op *op, const char *path, const epio__place *place);
/* Carries out the op in the place of its path; `moves`: it is one of the name itself. */
int64_t epio__op_on_place(epio_op *op, bool moves,
                          int64_t (*action)(epio_op *op, const epio__place *place));
/* An op failed in the place: stores the error and returns its EPIO_E... code. The system reports
 * that a path is not found where a part of it is a file. */
int64_t epio__op_fail_on_path(epio_op *op, const epio__place *place, DWORD error);
/* The same for an op that wants a file: the system reports that access is denied where it finds a
 * directory. */
int64_t epio__op_fail_at(epio_op *op, const epio__place *place, DWORD error);
/* Another handle has the file open, also as ReplaceFileW reports it. */
bool epio__is_sharing_violation(DWORD error);
/* The op, whose result is EPIO_RETRY then, is to be tried again soon; false: often enough. */
bool epio__op_retries(epio_op *op, DWORD error);
/* epio__op_fail_at, but what fails because another handle has the file open for a moment is
 * retried: EPIO_RETRY. `denied`: so is a denied access. */
int64_t epio__op_fail_or_retry(epio_op *op, const epio__place *place, DWORD error, bool denied);

/* ---- beneath.c ---- */

/* Do the op's paths stay beneath its directory? */
bool epio__op_is_confined(const epio_op *op);
/* epio__op_place of such a path, whose name it frees. */
int64_t epio__op_place_beneath(epio_op *op, HANDLE directory, WCHAR *name, bool follows,
                               epio__place *place);
/* epio__place_name of such a place, to which the name leads until the caller closes *pin (unless
 * NULL). */
WCHAR *epio__pinned_name(const epio__place *place, HANDLE *pin);

/* ---- path.c ---- */

/* Removes the name of a file, even if it is open or read-only; `durable`: written through. False
 * and GetLastError if it cannot. */
bool epio__remove_name(const epio__place *place, bool durable);
/* Removes the name of a file or directory that is open for DELETE, at once or with its last handle:
 * false and GetLastError if it cannot. */
bool epio__dispose(HANDLE handle);
/* `last`, a format of two numbers, in the directory of a place; its name is NULL if there is no
 * memory. */
epio__place epio__place_beside(const epio__place *place, const WCHAR *last);
#define EPIO__ASIDE_NAME L".epio-%08lx%08lx" /* the only name of a file, for a moment */
#define EPIO__SWEPT_NAME L".epio-old-%08lx%08lx"
/* Deletes what earlier calls left in the directory of a place under names of the second form,
 * except what is still in use. */
void epio__sweep(const epio__place *place);
/* As MoveFileExW. */
bool epio__move_once(const epio__place *from, const epio__place *to, bool replace, bool durable);
/* Removes the read-only attribute. False: it was not read-only, or the attribute stays. */
bool epio__lift_read_only(const epio__place *place, DWORD *attributes);
/* Makes changes of names durable in the directory of the place: 0 or an error. */
DWORD epio__make_name_durable(const epio__place *place);
/* Carries out a change of the name `to`, durably: what it returns, or an error. `file`: what is
 * renamed; NULL: there will be no file. */
int64_t epio__change_durably(epio_op *op, const epio__place *file, const epio__place *from,
                             const epio__place *to,
                             int64_t (*change)(epio_op *op, const epio__place *from,
                                               const epio__place *to));
/* The change was made, but could not be made durable: stores the error and returns EPIO_EIO. */
int64_t epio__op_fail_to_be_durable(epio_op *op, DWORD error);

/* ---- replace.c ---- */

/* EPIO_RENAME_KEEP_METADATA, of two files that exist: what `rename` returns, which replaces one by
 * the other, or an error. */
int64_t epio__rename_keeping(epio_op *op, const epio__place *from, const epio__place *to,
                             int64_t (*rename)(epio_op *op, const epio__place *from,
                                               const epio__place *to));

/* ---- trash.c ---- */

/* An IFileOperation, and the IShellItem of a path: an HRESULT. COM is initialized on the thread. */
int32_t epio__shell_operation(void **operation);
int32_t epio__shell_item(const WCHAR *name, void **item);

/* ---- lookup.c ---- */

/* The final path of a handle, links resolved; the caller frees it. NULL and GetLastError if the
 * system does not report it. */
WCHAR *epio__final_name(HANDLE handle);

/* ---- temporary.c ---- */

/* The directory for the op's temporary file: 0 or an error. The caller drops it in both cases. */
int64_t epio__temporary_directory(epio_op *op, epio__place *directory);
/* A random name there: false if there is no memory. The caller drops it in both cases. */
bool epio__temporary_place(const epio__place *directory, epio__place *place);

/* ---- space.c ---- */

/* Closes what appends have opened. */
void epio__append_close(epio__win32_file *file);
/* DeviceIoControl: 0 or an error; *bytes of `out` are filled, after ERROR_MORE_DATA too. */
DWORD epio__control(HANDLE handle, DWORD code, void *in, DWORD in_len, void *out, DWORD out_len,
                    DWORD *bytes);
/* Each of the op's file: 0 or an error. At least so long, and never shorter, but for what other
 * handles append meanwhile. */
int64_t epio__make_sparse(epio_op *op);
int64_t epio__extend(epio_op *op, uint64_t end);

/* ---- transfer.c ---- */

/* The maximum of NTFS. File systems have various errors for what is beyond their own. */
#define EPIO__LARGEST_FILE ((uint64_t)1 << 53)

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
