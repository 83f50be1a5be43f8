/* The layout of an operation. Users include epio/epio.h and need the first six fields; the rest is
 * the library's. epio/vfs.h says which fields a VFS may use. */
#ifndef EPIO_OP_H
#define EPIO_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct epio_file;
struct epio_frame;
struct epio_loop;
struct epio_semaphore;
struct epio_vfs;

typedef struct epio_op epio_op; /* one operation, owned by the caller */

/* One part of a vectored read or write. */
typedef struct epio_iovec {
    void *base;
    size_t len;
} epio_iovec;

/* The function of epio_work: its return value becomes the op's result. */
typedef int64_t epio_work_function(epio_op *op);

/* Links of the library's own lists. */
typedef struct epio_node {
    struct epio_node *next;
    struct epio_node *previous;
} epio_node;

/* A place in a semaphore's queue. */
typedef struct epio_waiter {
    epio_node node;
    void (*granted)(struct epio_waiter *waiter);
    uint64_t bytes;
    uint32_t permits;
    int32_t outcome;
} epio_waiter;

/* On every target. */
#define EPIO_OP_SIZE 320

/* Bytes of it that no version uses yet; the compiler checks both. */
#if UINTPTR_MAX > UINT32_MAX
#define EPIO_OP_RESERVE 48
#else
#define EPIO_OP_RESERVE 112
#endif

/* One operation. Start with all bytes zero (`epio_op op = EPIO_OP_INIT;`); after its
 * completion was delivered it may be reused as it is, or freed. It may not be
 * moved or copied while in flight. */
struct epio_op {
    /* The caller's; verbs leave the first three alone. */
    void (*done)(epio_op *op); /* called by the loop's owner; NULL: none */
    void *user;                /* anything */
    uint64_t timeout_ns;       /* 0: none; counts from submit, used up by one submission */

    /* Results, valid once the op is done. */
    int64_t result;         /* >= 0, or EPIO_E...; EPIO_EPENDING while in flight */
    struct epio_file *file; /* after an open or adopt: the file, NULL if it failed */
    int32_t os_error;       /* errno or GetLastError behind a failure, else 0 */

    /* The library's. */
    uint32_t state;
    struct epio_vfs *vfs;
    struct epio_loop *loop;
    struct epio_frame *frames;
    union {
        uint32_t flags; /* the verb's */
        uint32_t notes; /* of a read or write, which have none: set by the VFS that carries it out,
                           for that time; of a full_pathname: EPIO_NOTE_... */
    };
    uint8_t kind;
    uint8_t phase;
    uint8_t fast;
    uint8_t state_flags;
    union {
        uint64_t progress; /* bytes of a transfer that are done; */
        int64_t outcome;   /* once it has ended: the result to be delivered */
    };
    epio_node queue; /* a short op touches only what is up to here, and a few words more */
    union {
        struct {
            void *base; /* buffer, or the epio_iovec array when vectored */
            uint64_t len;
            uint64_t offset;
            uint64_t system[4]; /* what the system call needs until its end */
        } io;
        struct {
            const char *path;
            const char *to;
            char *buffer;
            uint64_t len;
            struct epio_file *directory; /* where relative paths begin; NULL: where the process's
                                            do */
            struct epio_file *kept;      /* the same as the op was submitted; the core's */
        } path;
        struct { /* as `path`, which it is for the core */
            const char *path;
            const void *options;
            struct epio_vfs *vfs;
            uint64_t len;
            struct epio_file *directory;
            struct epio_file *kept;
            void *state;
        } walk;
        struct { /* likewise */
            const char *path;
            const void *options;
            struct epio_vfs *vfs;
            uint64_t len;
            struct epio_file *directory;
            struct epio_file *kept;
            const void *second; /* another path, or a buffer */
            union {
                const void *type; /* until it is carried out */
                void *state;
            };
        } procedure;
        struct {
            intptr_t os_handle;
        } adopt;
        struct {
            epio_node node;
            uint8_t stage;
        } sync;
        struct {
            uint64_t nanoseconds;
        } sleep;
        struct {
            epio_work_function *function;
        } work;
        struct {
            struct epio_semaphore *semaphore;
            epio_waiter waiter;
        } acquire;
        struct {
            struct epio_file *from; /* as the op's holder knows it */
            uint64_t len;
            uint64_t offset; /* in op->file */
            uint64_t from_offset;
            void *state;
        } copy;
        struct {
            epio_node node;
            void *holder;
            void (*notify)(epio_op *op);
            uint64_t start; /* of the range, or of the bytes of all levels */
            uint64_t len;
            uint32_t delay_ns;
            int32_t outcome;
            uint32_t unlocks;
            uint8_t level; /* or mode */
            uint8_t initial_level;
            uint8_t conflicts;
            bool notified : 1;
            bool polling : 1;
            bool queued : 1;
        } lock;
        struct {
            struct epio_mapping *mapping;
            uint64_t len;
            uint64_t offset;
        } map;
        struct {
            epio_node node;
            void *buffer;
            uint64_t len;
            void (*notify)(epio_op *op);
            uint32_t delay_ns;
        } events;
        uint64_t words[8]; /* of kinds from EPIO_KIND_USER on */
    } arguments;
    uint32_t worker_state;
    uint32_t in_heap;
    int32_t carried_error;
    int32_t carried_os_error;
    uint64_t due;
    uint64_t offloaded_at;
    epio_node held;
    epio_op *timer_child;
    epio_op *timer_next;
    epio_op *timer_previous;
    epio_op *link;
    epio_op *cancel_next;
    void *waiter; /* the thread that waits, in epio_wait or in an epio_perform of a lock */
    uint8_t route;
    uint8_t chain;
    uint8_t due_for;
    uint8_t reason;
    uint8_t message;
    uint8_t expected;
    uint8_t undoes;
    uint8_t unused[1];
    uint64_t reserved[EPIO_OP_RESERVE / 8];
};

#ifdef __cplusplus
#define EPIO_OP_INIT                                                                               \
    {                                                                                              \
    }
static_assert(sizeof(epio_op) == EPIO_OP_SIZE, "an op has the same size on every target");
static_assert(EPIO_OP_RESERVE >= 40, "an op has room for what verbs to come need");
}
#else
#define EPIO_OP_INIT                                                                               \
    {                                                                                              \
        0                                                                                          \
    }
_Static_assert(sizeof(epio_op) == EPIO_OP_SIZE, "an op has the same size on every target");
_Static_assert(EPIO_OP_RESERVE >= 40, "an op has room for what verbs to come need");
#endif

#endif
