/* A loop of the operating system: puts core, os and platform together. Checks the options and
 * chooses the backend. */
#include "core/loop.h"
#include "core/struct_size.h"
#include "os/os_vfs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The loop and its resident live and end together: the core frees the loop. */
typedef struct os_loop {
    epio_loop loop;
    epio__os_vfs vfs;
} os_loop;

/* ---- Options ---- */

/* NULL: the best. */
static const char *name_of_backend(const epio_loop_options *options)
{
    const char *name = options->backend != NULL ? options->backend : getenv("EPIO_BACKEND");
    return name == NULL || name[0] == '\0' ? NULL : name;
}

/* The backend of this name and those after it, to fall back on if the system refuses it. NULL: the
 * name is unknown. */
static const epio__backend *const *backends_from(const char *name)
{
    const epio__backend *const *backends = epio__backends;
    while (name != NULL && *backends != NULL && strcmp((*backends)->name, name) != 0) {
        backends++;
    }
    return *backends != NULL ? backends : NULL;
}

static const epio_loop_options default_options = {.size = sizeof default_options};

/* The size in version 0.1, which had fewer fields. */
#define SIZE_OF_OPTIONS_0_1 offsetof(epio_loop_options, poll_budget_ns)

/* A window shows a frame every 16 ms, and needs a part of that to draw it. */
#define DEFAULT_POLL_BUDGET_NS UINT64_C(4000000)

/* Of nice(1), everywhere. */
#define MOST_NICE 19u

/* What is wrong with the options. */
typedef enum options_fault {
    NO_FAULT,
    FAULT_IN_SIZE,
    FAULT_IN_BACKEND,
    FAULT_IN_INLINE_WRITES,
    FAULT_IN_WORKER_NICE,
    FAULT_IN_RESERVED
} options_fault;

/* Copies and checks the given options; NULL: the defaults. */
static options_fault take(epio_loop_options *options, const epio_loop_options *given)
{
    if (!epio_options_take(options, sizeof *options, SIZE_OF_OPTIONS_0_1,
                           given != NULL ? given : &default_options)) {
        return FAULT_IN_SIZE;
    }
    if (options->inline_writes > 1) {
        return FAULT_IN_INLINE_WRITES;
    }
    if (options->worker_nice > MOST_NICE) {
        return FAULT_IN_WORKER_NICE;
    }
    if (options->reserved != 0) {
        return FAULT_IN_RESERVED;
    }
    return backends_from(name_of_backend(options)) == NULL ? FAULT_IN_BACKEND : NO_FAULT;
}

static void list_backends(char *text, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; epio__backends[i] != NULL && len < size; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s%s", i != 0 ? ", " : "",
                                epio__backends[i]->name);
    }
}

static int64_t print_size_fault(const epio_loop_options *given, char *buffer, size_t len)
{
    if (given->size < SIZE_OF_OPTIONS_0_1) {
        return snprintf(buffer, len, "size is %" PRIu64 ", not sizeof(epio_loop_options): %" PRIu64,
                        (uint64_t)given->size, (uint64_t)sizeof *given);
    }
    return snprintf(buffer, len,
                    "options are set that this version does not know: it has %" PRIu64
                    " bytes of them, not %" PRIu64,
                    (uint64_t)sizeof *given, (uint64_t)given->size);
}

int64_t epio_loop_invalid_reason(const epio_loop_options *given, char *buffer, size_t len)
{
    char there_are[64];
    epio_loop_options options;
    if (buffer == NULL && len != 0) {
        return EPIO_EINVAL;
    }
    switch (take(&options, given)) {
    case FAULT_IN_SIZE:
        return print_size_fault(given, buffer, len);
    case FAULT_IN_INLINE_WRITES:
        return snprintf(buffer, len, "inline_writes is neither 0 nor 1");
    case FAULT_IN_WORKER_NICE:
        return snprintf(buffer, len, "worker_nice is %" PRIu32 ", not 0 to %u", options.worker_nice,
                        MOST_NICE);
    case FAULT_IN_RESERVED:
        return snprintf(buffer, len, "reserved is not 0");
    case FAULT_IN_BACKEND:
        list_backends(there_are, sizeof there_are);
        return snprintf(buffer, len, "unknown backend '%s'%s; there are %s",
                        name_of_backend(&options),
                        options.backend == NULL ? " in EPIO_BACKEND" : "", there_are);
    default:
        return snprintf(buffer, len, "%s", "");
    }
}

/* ---- Creating ---- */

/* Opens the first of these that the system allows: a container, for instance, may forbid one and
 * allow the next. */
static int open_best_backend(os_loop *one, const epio__backend *const *backends)
{
    epio_loop *loop = &one->loop;
    int error = EPIO_ENOTSUP;
    for (size_t i = 0; backends[i] != NULL && error != 0; i++) {
        loop->backend = backends[i];
        error = loop->backend->open(&loop->pending_events, &loop->backend_state);
    }
    one->vfs.backend = loop->backend;
    one->vfs.backend_state = loop->backend_state;
    return error;
}

int epio_loop_create(epio_loop **created, const epio_loop_options *given)
{
    epio_loop_options options;
    if (created == NULL || take(&options, given) != NO_FAULT) {
        return EPIO_EINVAL;
    }
    os_loop *one = calloc(1, sizeof *one);
    if (one == NULL) {
        return EPIO_ENOMEM;
    }
    epio_loop *loop = &one->loop;
    one->vfs.base.methods = &epio__os_vfs_methods;
    one->vfs.base.loop = loop;
    epio__loop_init(loop, &one->vfs.base, &epio__os_vfs_hooks);
    loop->inline_writes = options.inline_writes != 0;
    loop->worker_nice = options.worker_nice;
    loop->poll_budget =
        options.poll_budget_ns != 0 ? options.poll_budget_ns : DEFAULT_POLL_BUDGET_NS;
    int error = open_best_backend(one, backends_from(name_of_backend(&options)));
    if (error != 0) {
        free(one);
        return error;
    }
    bool default_workers = options.workers == 0 || options.workers > EPIO__LANE_THREADS;
    epio__loop_begin(loop, default_workers ? EPIO__LANE_THREADS : options.workers);
    *created = loop;
    return 0;
}
