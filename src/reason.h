/* Why the library refuses an op: the sentences of epio_op_invalid_reason. */
#ifndef EPIO_REASON_H
#define EPIO_REASON_H

#include <epio/vfs.h>

/* Name, the result that it explains, the sentence. */
#define EPIO__REASONS(X)                                                                           \
    X(FILE_IS_NULL, EPIO_EINVAL, "the file is NULL")                                               \
    X(FILE_OF_ANOTHER_VFS, EPIO_EINVAL, "the file is of another VFS")                              \
    X(VFS_IS_NULL, EPIO_EINVAL, "the VFS is NULL")                                                 \
    X(PATH_IS_NULL, EPIO_EINVAL, "the path is NULL")                                               \
    X(NEW_PATH_IS_NULL, EPIO_EINVAL, "the new path is NULL")                                       \
    X(PATH_IS_EMPTY, EPIO_EINVAL, "the path is empty")                                             \
    X(INTO_ITSELF, EPIO_EINVAL, "a directory cannot be moved into itself")                         \
    X(BUFFER_IS_NULL, EPIO_EINVAL, "the buffer is NULL")                                           \
    X(PARTS_ARE_NULL, EPIO_EINVAL, "the array of parts is NULL")                                   \
    X(PART_IS_NULL, EPIO_EINVAL, "the buffer of a part is NULL")                                   \
    X(FUNCTION_IS_NULL, EPIO_EINVAL, "the function is NULL")                                       \
    X(SEMAPHORE_IS_NULL, EPIO_EINVAL, "the semaphore is NULL")                                     \
    X(KIND_IS_EPIOS, EPIO_EINVAL, "kinds of VFSes outside begin at EPIO_KIND_USER")                \
    X(KIND_OPENS, EPIO_EINVAL, "a kind that opens a file has none before")                         \
    X(UNKNOWN_FLAGS, EPIO_EINVAL, "unknown flags")                                                 \
    X(BARE_PERMISSIONS, EPIO_EINVAL, "permissions are given by EPIO_OPEN_PERMISSIONS")             \
    X(UNKNOWN_MODE, EPIO_EINVAL, "unknown mode")                                                   \
    X(NO_DIRECTION, EPIO_EINVAL, "neither READ nor WRITE")                                         \
    X(CREATE_ALONE, EPIO_EINVAL, "CREATE needs READ or WRITE")                                     \
    X(TRUNCATE_ALONE, EPIO_EINVAL, "TRUNCATE needs WRITE")                                         \
    X(APPEND_ALONE, EPIO_EINVAL, "APPEND needs WRITE")                                             \
    X(EXCLUSIVE_ALONE, EPIO_EINVAL, "EXCLUSIVE needs CREATE")                                      \
    X(TOO_LONG, EPIO_EINVAL, "the length is above INT64_MAX")                                      \
    X(BEYOND_LIMIT, EPIO_EINVAL, "offset + len is beyond INT64_MAX")                               \
    X(SIZE_BEYOND_LIMIT, EPIO_EINVAL, "the size is above INT64_MAX")                               \
    X(TIME_BEYOND_LIMIT, EPIO_EINVAL, "the time is above INT64_MAX nanoseconds")                   \
    X(UNKNOWN_LEVEL, EPIO_EINVAL, "unknown lock level")                                            \
    X(LOCK_TO_NONE, EPIO_EINVAL, "a lock cannot be raised to NONE; epio_unlock lowers it")         \
    X(LOCK_TO_PENDING, EPIO_EINVAL, "PENDING cannot be asked for; EXCLUSIVE passes through it")    \
    X(UNLOCK_LEVEL, EPIO_EINVAL, "a lock can be lowered to SHARED or NONE alone")                  \
    X(LOCK_DOWN, EPIO_EINVAL, "the file holds a higher level; epio_unlock lowers it")              \
    X(LOCK_SKIPS, EPIO_EINVAL, "RESERVED and EXCLUSIVE need SHARED first")                         \
    X(RANGE_LOCKS, EPIO_EINVAL,                                                                    \
      "EPIO_RANGE_LOCKS in the environment names locks that this system does not have")            \
    X(NO_PERMITS, EPIO_EINVAL, "0 permits")                                                        \
    X(TOO_MANY_PERMITS, EPIO_EINVAL, "the semaphore never has so many permits")                    \
    X(UNALIGNED, EPIO_EINVAL, "DIRECT needs buffer, length and offset in whole sectors")           \
    X(MESSAGE_PARTS, EPIO_EINVAL, "the system takes no message in so many parts")                  \
    X(STREAM_SIZE, EPIO_EINVAL, "a stream cannot be truncated")                                    \
    X(STREAM_SPACE, EPIO_EINVAL, "a stream has no end, no space and no holes")                     \
    X(NO_RANGE, EPIO_EINVAL, "the length is 0")                                                    \
    X(UNKNOWN_ADVICE, EPIO_EINVAL, "unknown advice")                                               \
    X(STREAM_SYNC, EPIO_EINVAL, "a stream cannot be synced")                                       \
    X(PATH_INVALID, EPIO_EINVAL, "the path is not UTF-8, or names a device")                       \
    X(NOT_READABLE, EPIO_EBADF, "the file is not open for reading")                                \
    X(NOT_WRITABLE, EPIO_EBADF, "the file is not open for writing")                                \
    X(IS_DIRECTORY, EPIO_EISDIR, "a directory has no bytes, no size and no locks")                 \
    X(NOT_DIRECTORY, EPIO_EBADF, "the file is not a directory")                                    \
    X(DIRECTORY_FLAGS, EPIO_EINVAL, "DIRECTORY goes with READ, NOFOLLOW and BENEATH alone")        \
    X(BENEATH_NOTHING, EPIO_EINVAL, "BENEATH needs the VFS of a directory, or DIRECTORY")          \
    X(EXACT_ALONE, EPIO_EINVAL, "EXACT needs CREATE and EPIO_OPEN_PERMISSIONS")                    \
    X(HAS_NAME, EPIO_EINVAL, "the file has a name")                                                \
    X(UNALIGNED_LIST, EPIO_EINVAL, "the buffer of a list must be aligned as a uint64_t")           \
    X(INFO_IS_NULL, EPIO_EINVAL, "the struct for the result is NULL")                              \
    X(EXPECTED_IS_NULL, EPIO_EINVAL, "IF_UNCHANGED needs `expected`: what a load has described")   \
    X(TIMES_ARE_NULL, EPIO_EINVAL, "the epio_times are NULL")                                      \
    X(STRUCT_SIZE, EPIO_EINVAL, "the struct does not begin with its size")                         \
    X(STRUCT_FIELD, EPIO_EINVAL, "a field of the struct is set that this version does not know")   \
    X(TARGET_IS_NULL, EPIO_EINVAL, "the target is NULL")                                           \
    X(NAME_IS_NULL, EPIO_EINVAL, "the name is NULL or empty")                                      \
    X(CREATE_AND_REPLACE, EPIO_EINVAL, "an attribute cannot be both CREATE and REPLACE")           \
    X(KEEPS_NOTHING, EPIO_EINVAL,                                                                  \
      "KEEP_METADATA is of what is replaced, NO_REPLACE replaces none")                            \
    X(NO_NAME_TO_TRASH, EPIO_EINVAL, "neither a root nor \".\" or \"..\" goes to the trash")       \
    X(NO_HOME, EPIO_ENOTSUP, "HOME is not set, and the file system has no trash of its own")       \
    X(MODE_BITS, EPIO_EINVAL, "the mode is above 07777")                                           \
    X(IS_WATCH, EPIO_EBADF, "a watch has events alone")                                            \
    X(NOT_WATCH, EPIO_EBADF, "the file is not a watch")                                            \
    X(UNALIGNED_EVENTS, EPIO_EINVAL, "the buffer of events must be aligned as a uint64_t")         \
    X(SHORT_EVENTS, EPIO_EINVAL, "the buffer has no room for any event")                           \
    X(OWN_LOOP, EPIO_EDEADLK,                                                                      \
      "a file in the way is of this thread's loop, which does not run meanwhile; use epio_wait")   \
    X(TWO_LOOPS, EPIO_EINVAL, "the files complete on two loops")                                   \
    X(RANGES_OVERLAP, EPIO_EINVAL, "the ranges overlap")                                           \
    X(COPY_TO_ITSELF, EPIO_EINVAL, "both paths lead to the same file")                             \
    X(COPY_INTO_ITSELF, EPIO_EINVAL, "a directory cannot be copied or moved into itself")          \
    X(NO_REGULAR_FILE, EPIO_EINVAL, "it is neither a regular file nor a symbolic link")            \
    X(NOT_REPLACEABLE, EPIO_EINVAL,                                                                \
      "what is there is no regular file with a name; IN_PLACE_FALLBACK writes into it")            \
    X(REMOVE_ROOT, EPIO_EINVAL, "neither a root nor \".\" or \"..\" is removed")                   \
    X(COPY_APPENDS, EPIO_EINVAL, "nothing is copied to a file that was opened to append")          \
    X(HELD_OTHERWISE, EPIO_EINVAL,                                                                 \
      "the file holds a range that is partly in this one, or around it")                           \
    X(RANGE_OF_LEVELS, EPIO_EINVAL, "the file cannot hold a level and a range with its bytes")     \
    X(MAP_WITHOUT_READ, EPIO_EINVAL, "a mapping needs READ")                                       \
    X(BEYOND_END, EPIO_EINVAL,                                                                     \
      "the range is beyond the end of the file; epio_truncate makes it longer")                    \
    X(BEYOND_MAPPING, EPIO_EINVAL, "the range is beyond the mapping")                              \
    X(SAVING_IS_NULL, EPIO_EINVAL, "the saving is NULL")                                           \
    X(MAPPING_IS_NULL, EPIO_EINVAL, "the mapping is NULL")                                         \
    X(STREAM_LOCKS, EPIO_ESPIPE, "a stream has no locks")

#define EPIO__REASON_NAME(name, error, text) EPIO__REASON_##name,
enum { EPIO__REASON_NONE, EPIO__REASONS(EPIO__REASON_NAME) EPIO__REASON_COUNT };
#undef EPIO__REASON_NAME

_Static_assert(EPIO__REASON_COUNT <= UINT8_MAX, "op->reason is a byte");

/* The result that the reason explains. */
int epio__reason_error(uint32_t reason);
/* NULL of EPIO__REASON_NONE. */
const char *epio__reason_text(uint32_t reason);

/* Records why the op is refused and returns the error. Called by the op's present holder. */
static inline int epio__op_refuse(epio_op *op, uint8_t reason)
{
    op->reason = reason;
    op->os_error = 0;
    return epio__reason_error(reason);
}

#endif
