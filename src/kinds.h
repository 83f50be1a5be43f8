/* The table of op kinds and their attributes. */
#ifndef EPIO_KINDS_H
#define EPIO_KINDS_H

#include <epio/vfs.h>

enum {
    EPIO__KIND_ON_FILE = 0x01, /* works on an open file, which stays open until the op's delivery */
    EPIO__KIND_ON_PATH = 0x02, /* its only objects are one or two paths */
    EPIO__KIND_OPENS = 0x04,   /* its result is a file */
    EPIO__KIND_READS = 0x08,   /* bytes of a file */
    EPIO__KIND_WRITES = 0x10,  /* likewise */
    EPIO__KIND_VECTORED = 0x20, /* io.base is an array of parts */
    EPIO__KIND_ORDERED = 0x40,  /* a sync must not overtake it, or it is one */
    EPIO__KIND_LOCKS = 0x80,
    EPIO__KIND_MUST_RUN = 0x100, /* despite cancel, deadline or lack of a thread */
    EPIO__KIND_CLOSES = 0x200,
    EPIO__KIND_TAKES = 0x400,        /* path.len bytes at path.buffer are its input */
    EPIO__KIND_FILLS = 0x800,        /* result bytes at path.buffer are its output */
    EPIO__KIND_DESCRIBES = 0x1000,   /* path.buffer is a struct of path.len bytes, its output */
    EPIO__KIND_TEXT = 0x2000,        /* what it fills is a path, with a NUL behind it */
    EPIO__KIND_SECOND = 0x4000,      /* path.to is another path, a target or a name */
    EPIO__KIND_COPIES = 0x8000,      /* copy.from is another open file */
    EPIO__KIND_WAITS = 0x10000,      /* for others, perhaps for ever */
    EPIO__KIND_MAPS = 0x20000,       /* its result is a mapping */
    EPIO__KIND_UNMAPS = 0x40000,     /* it is the end of a mapping */
    EPIO__KIND_ON_MAPPING = 0x80000, /* makes one, or works on it: see core/mapping.h */
    EPIO__KIND_CHANGES = 0x100000    /* the bytes of a file: not after a failed flush */
};

/* Kind, name, attributes. */
#define EPIO__KINDS(X)                                                                             \
    X(NONE, "none", 0)                                                                             \
    X(OPEN, "open", EPIO__KIND_ON_PATH | EPIO__KIND_OPENS)                                         \
    X(ADOPT, "adopt", EPIO__KIND_OPENS)                                                            \
    X(CLOSE, "close", EPIO__KIND_ON_FILE | EPIO__KIND_CLOSES | EPIO__KIND_MUST_RUN)                \
    X(READ, "read", EPIO__KIND_ON_FILE | EPIO__KIND_READS)                                         \
    X(READV, "readv", EPIO__KIND_ON_FILE | EPIO__KIND_READS | EPIO__KIND_VECTORED)                 \
    X(WRITE, "write",                                                                              \
      EPIO__KIND_ON_FILE | EPIO__KIND_CHANGES | EPIO__KIND_WRITES | EPIO__KIND_ORDERED)            \
    X(WRITEV, "writev",                                                                            \
      EPIO__KIND_ON_FILE | EPIO__KIND_CHANGES | EPIO__KIND_WRITES | EPIO__KIND_VECTORED |          \
          EPIO__KIND_ORDERED)                                                                      \
    X(TRUNCATE, "truncate", EPIO__KIND_ON_FILE | EPIO__KIND_ORDERED)                               \
    X(SYNC, "sync", EPIO__KIND_ON_FILE | EPIO__KIND_ORDERED)                                       \
    X(SIZE, "size", EPIO__KIND_ON_FILE)                                                            \
    X(LOCK, "lock", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS | EPIO__KIND_WAITS)                      \
    X(UNLOCK, "unlock", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS | EPIO__KIND_MUST_RUN)               \
    X(CHECK_RESERVED_LOCK, "check_reserved_lock", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS)           \
    X(DELETE, "delete", EPIO__KIND_ON_PATH)                                                        \
    X(RENAME, "rename", EPIO__KIND_ON_PATH | EPIO__KIND_SECOND)                                    \
    X(ACCESS, "access", EPIO__KIND_ON_PATH)                                                        \
    X(FULL_PATHNAME, "full_pathname", EPIO__KIND_ON_PATH | EPIO__KIND_FILLS | EPIO__KIND_TEXT)     \
    X(SLEEP, "sleep", 0)                                                                           \
    X(CURRENT_TIME, "current_time", 0)                                                             \
    X(RANDOMNESS, "randomness", 0)                                                                 \
    X(ACQUIRE, "acquire", 0)                                                                       \
    X(WORK, "work", 0)                                                                             \
    X(STAT, "stat", EPIO__KIND_ON_PATH | EPIO__KIND_DESCRIBES)                                     \
    X(FILE_STAT, "file_stat", EPIO__KIND_ON_FILE | EPIO__KIND_DESCRIBES)                           \
    X(SET_TIMES, "set_times", EPIO__KIND_ON_PATH | EPIO__KIND_TAKES)                               \
    X(FILE_SET_TIMES, "file_set_times", EPIO__KIND_ON_FILE | EPIO__KIND_TAKES)                     \
    X(SET_MODE, "set_mode", EPIO__KIND_ON_PATH)                                                    \
    X(FILE_SET_MODE, "file_set_mode", EPIO__KIND_ON_FILE)                                          \
    X(SET_OWNER, "set_owner", EPIO__KIND_ON_PATH)                                                  \
    X(FILE_SET_OWNER, "file_set_owner", EPIO__KIND_ON_FILE)                                        \
    X(MKDIR, "mkdir", EPIO__KIND_ON_PATH)                                                          \
    X(RMDIR, "rmdir", EPIO__KIND_ON_PATH)                                                          \
    X(LIST, "list", EPIO__KIND_ON_FILE)                                                            \
    X(LINK_FILE, "link_file", EPIO__KIND_ON_PATH | EPIO__KIND_SECOND)                              \
    X(SYMLINK, "symlink", EPIO__KIND_ON_PATH | EPIO__KIND_SECOND)                                  \
    X(READ_LINK, "read_link", EPIO__KIND_ON_PATH | EPIO__KIND_FILLS | EPIO__KIND_TEXT)             \
    X(EXCHANGE, "exchange", EPIO__KIND_ON_PATH | EPIO__KIND_SECOND)                                \
    X(GET_XATTR, "get_xattr", EPIO__KIND_ON_PATH | EPIO__KIND_FILLS | EPIO__KIND_SECOND)           \
    X(FILE_GET_XATTR, "file_get_xattr", EPIO__KIND_ON_FILE | EPIO__KIND_FILLS | EPIO__KIND_SECOND) \
    X(SET_XATTR, "set_xattr", EPIO__KIND_ON_PATH | EPIO__KIND_TAKES | EPIO__KIND_SECOND)           \
    X(FILE_SET_XATTR, "file_set_xattr", EPIO__KIND_ON_FILE | EPIO__KIND_TAKES | EPIO__KIND_SECOND) \
    X(LIST_XATTRS, "list_xattrs", EPIO__KIND_ON_PATH | EPIO__KIND_FILLS)                           \
    X(FILE_LIST_XATTRS, "file_list_xattrs", EPIO__KIND_ON_FILE | EPIO__KIND_FILLS)                 \
    X(REMOVE_XATTR, "remove_xattr", EPIO__KIND_ON_PATH | EPIO__KIND_SECOND)                        \
    X(FILE_REMOVE_XATTR, "file_remove_xattr", EPIO__KIND_ON_FILE | EPIO__KIND_SECOND)              \
    X(FILE_SYSTEM_INFO, "file_system_info", EPIO__KIND_ON_PATH | EPIO__KIND_DESCRIBES)             \
    X(NAME_TEMPORARY, "name_temporary", EPIO__KIND_ON_FILE)                                        \
    X(TEMPORARY_DIRECTORY, "temporary_directory",                                                  \
      EPIO__KIND_ON_PATH | EPIO__KIND_FILLS | EPIO__KIND_TEXT)                                     \
    X(SYNC_DIRECTORY, "sync_directory", EPIO__KIND_ON_PATH)                                        \
    X(WALK, "walk", EPIO__KIND_ON_PATH)                                                            \
    X(APPEND, "append", EPIO__KIND_ON_FILE | EPIO__KIND_CHANGES | EPIO__KIND_ORDERED)              \
    X(ALLOCATE, "allocate", EPIO__KIND_ON_FILE | EPIO__KIND_CHANGES | EPIO__KIND_ORDERED)          \
    X(PUNCH_HOLE, "punch_hole", EPIO__KIND_ON_FILE | EPIO__KIND_CHANGES | EPIO__KIND_ORDERED)      \
    X(ZERO_RANGE, "zero_range", EPIO__KIND_ON_FILE | EPIO__KIND_CHANGES | EPIO__KIND_ORDERED)      \
    X(SEEK_DATA, "seek_data", EPIO__KIND_ON_FILE)                                                  \
    X(SEEK_HOLE, "seek_hole", EPIO__KIND_ON_FILE)                                                  \
    X(ADVISE, "advise", EPIO__KIND_ON_FILE)                                                        \
    X(COPY_RANGE, "copy_range",                                                                    \
      EPIO__KIND_ON_FILE | EPIO__KIND_CHANGES | EPIO__KIND_ORDERED | EPIO__KIND_COPIES)            \
    X(LOCK_RANGE, "lock_range", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS | EPIO__KIND_WAITS)          \
    X(UNLOCK_RANGE, "unlock_range", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS | EPIO__KIND_MUST_RUN)   \
    X(TEST_RANGE, "test_range", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS)                             \
    X(MAP, "map", EPIO__KIND_ON_FILE | EPIO__KIND_ON_MAPPING | EPIO__KIND_MAPS)                    \
    X(UNMAP, "unmap", EPIO__KIND_MUST_RUN | EPIO__KIND_ON_MAPPING | EPIO__KIND_UNMAPS)             \
    X(SYNC_MAPPING, "sync_mapping", EPIO__KIND_ON_MAPPING)                                         \
    X(WATCH, "watch", EPIO__KIND_ON_PATH | EPIO__KIND_OPENS)                                       \
    X(READ_EVENTS, "read_events", EPIO__KIND_ON_FILE | EPIO__KIND_WAITS)                           \
    X(TRASH, "trash", EPIO__KIND_ON_PATH)                                                          \
    X(LOAD, "load", EPIO__KIND_ON_PATH)                                                            \
    X(SAVE, "save", EPIO__KIND_ON_PATH)                                                            \
    X(SAVE_BEGIN, "save_begin", EPIO__KIND_ON_PATH)                                                \
    X(SAVE_COMMIT, "save_commit", EPIO__KIND_ON_PATH)                                              \
    X(SAVE_ABANDON, "save_abandon", EPIO__KIND_ON_PATH | EPIO__KIND_MUST_RUN)                      \
    X(COPY, "copy", EPIO__KIND_ON_PATH)                                                            \
    X(COPY_TREE, "copy_tree", EPIO__KIND_ON_PATH)                                                  \
    X(REMOVE_TREE, "remove_tree", EPIO__KIND_ON_PATH)                                              \
    X(MOVE, "move", EPIO__KIND_ON_PATH)

/* Indexed by op->kind, any value; those from EPIO_KIND_USER on are ON_FILE, the last of them OPENS.
 */
extern const uint32_t epio__kind_attributes[UINT8_MAX + 1];

static inline bool epio__op_is(const epio_op *op, uint32_t attributes)
{
    return (epio__kind_attributes[op->kind] & attributes) != 0;
}

static inline bool epio__op_transfers(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_READS | EPIO__KIND_WRITES);
}

/* The file, as its submitter knows it, that must stay open until the op is delivered: its own, or
 * the directory at which its paths begin; NULL: none. Not for an op that has frames on a file. */
static inline epio_file *epio__op_keeps(const epio_op *op)
{
    if (epio__op_is(op, EPIO__KIND_ON_FILE)) {
        return op->file;
    }
    return epio__op_is(op, EPIO__KIND_ON_PATH) ? op->arguments.path.kept : NULL;
}

/* The second file that must stay open, of a copy; NULL: none. Not for an op that has frames. */
static inline epio_file *epio__op_keeps_second(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_COPIES) ? op->arguments.copy.from : NULL;
}

/* Of a copy whose two files are one: is a part of it both read and written? */
static inline bool epio__op_copies_over_itself(const epio_op *op)
{
    uint64_t from = op->arguments.copy.from_offset;
    uint64_t to = op->arguments.copy.offset;
    return (from < to ? to - from : from - to) < op->arguments.copy.len;
}

static inline bool epio__op_has_file(const epio_op *op)
{
    return op->file != NULL && epio__op_is(op, EPIO__KIND_ON_FILE);
}

#endif
