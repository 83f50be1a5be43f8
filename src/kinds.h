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
    EPIO__KIND_CLOSES = 0x200
};

/* Kind, name, attributes. */
#define EPIO__KINDS(X)                                                                             \
    X(NONE, "none", 0)                                                                             \
    X(OPEN, "open", EPIO__KIND_ON_PATH | EPIO__KIND_OPENS)                                         \
    X(ADOPT, "adopt", EPIO__KIND_OPENS)                                                            \
    X(CLOSE, "close", EPIO__KIND_ON_FILE | EPIO__KIND_CLOSES | EPIO__KIND_MUST_RUN)                \
    X(READ, "read", EPIO__KIND_ON_FILE | EPIO__KIND_READS)                                         \
    X(READV, "readv", EPIO__KIND_ON_FILE | EPIO__KIND_READS | EPIO__KIND_VECTORED)                 \
    X(WRITE, "write", EPIO__KIND_ON_FILE | EPIO__KIND_WRITES | EPIO__KIND_ORDERED)                 \
    X(WRITEV, "writev",                                                                            \
      EPIO__KIND_ON_FILE | EPIO__KIND_WRITES | EPIO__KIND_VECTORED | EPIO__KIND_ORDERED)           \
    X(TRUNCATE, "truncate", EPIO__KIND_ON_FILE | EPIO__KIND_ORDERED)                               \
    X(SYNC, "sync", EPIO__KIND_ON_FILE | EPIO__KIND_ORDERED)                                       \
    X(SIZE, "size", EPIO__KIND_ON_FILE)                                                            \
    X(LOCK, "lock", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS)                                         \
    X(UNLOCK, "unlock", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS | EPIO__KIND_MUST_RUN)               \
    X(CHECK_RESERVED_LOCK, "check_reserved_lock", EPIO__KIND_ON_FILE | EPIO__KIND_LOCKS)           \
    X(DELETE, "delete", EPIO__KIND_ON_PATH)                                                        \
    X(RENAME, "rename", EPIO__KIND_ON_PATH)                                                        \
    X(ACCESS, "access", EPIO__KIND_ON_PATH)                                                        \
    X(FULL_PATHNAME, "full_pathname", EPIO__KIND_ON_PATH)                                          \
    X(SLEEP, "sleep", 0)                                                                           \
    X(CURRENT_TIME, "current_time", 0)                                                             \
    X(RANDOMNESS, "randomness", 0)                                                                 \
    X(ACQUIRE, "acquire", 0)                                                                       \
    X(WORK, "work", 0)

/* Indexed by op->kind, any value; those from EPIO_KIND_USER on are ON_FILE. */
extern const uint16_t epio__kind_attributes[UINT8_MAX + 1];

static inline bool epio__op_is(const epio_op *op, uint32_t attributes)
{
    return (epio__kind_attributes[op->kind] & attributes) != 0;
}

static inline bool epio__op_transfers(const epio_op *op)
{
    return epio__op_is(op, EPIO__KIND_READS | EPIO__KIND_WRITES);
}

/* Must its file stay open until it is delivered? */
static inline bool epio__op_has_file(const epio_op *op)
{
    return op->file != NULL && epio__op_is(op, EPIO__KIND_ON_FILE);
}

#endif
