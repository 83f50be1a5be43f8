/* epio as an external ioengine of fio, so that the field's own tool can measure and verify it: one
 * loop a job, all completions by `done` and epio_loop_poll. Owns nothing that fio has of its own:
 * files are opened by fio and adopted (a duplicate), buffers and patterns are fio's.
 *
 * fio gives a job its own thread or process after `setup`, so the loop is made in `init`. */
#include <epio/epio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fio.h"
#include "optgroup.h"

struct engine_options {
    void *pad; /* fio takes an option at offset 0 for none */
    char *backend;
    unsigned int inline_writes;
    unsigned int workers;
    unsigned int fixedbufs;
};

static struct fio_option options[] = {
    {
        .name = "backend",
        .lname = "epio's backend",
        .type = FIO_OPT_STR_STORE,
        .off1 = offsetof(struct engine_options, backend),
        .help = "uring, epoll or poll; the best by default",
        .category = FIO_OPT_C_ENGINE,
        .group = FIO_OPT_G_INVALID,
    },
    {
        .name = "inline_writes",
        .lname = "epio's inline writes",
        .type = FIO_OPT_BOOL,
        .off1 = offsetof(struct engine_options, inline_writes),
        .help = "buffered writes run on the job's own thread",
        .def = "0",
        .category = FIO_OPT_C_ENGINE,
        .group = FIO_OPT_G_INVALID,
    },
    {
        .name = "workers",
        .lname = "epio's workers",
        .type = FIO_OPT_INT,
        .off1 = offsetof(struct engine_options, workers),
        .help = "limit of worker threads; 0: epio's default",
        .def = "0",
        .category = FIO_OPT_C_ENGINE,
        .group = FIO_OPT_G_INVALID,
    },
    {
        .name = "fixedbufs",
        .lname = "epio's registered buffers",
        .type = FIO_OPT_STR_SET,
        .off1 = offsetof(struct engine_options, fixedbufs),
        .help = "the job's memory is registered with its loop",
        .category = FIO_OPT_C_ENGINE,
        .group = FIO_OPT_G_INVALID,
    },
    {.name = NULL},
};

/* In io_u->engine_data. */
struct engine_op {
    epio_op op; /* its `user` is the io_u */
    struct engine *engine;
};

struct engine {
    epio_loop *loop;
    struct io_u **ended; /* delivered, in order */
    unsigned int ended_count;
    unsigned int fetched; /* those of them that fio has */
    unsigned int first;   /* of those of the last getevents */
};

/* ---- One op ---- */

static void ended(epio_op *op)
{
    struct engine_op *one = (struct engine_op *)op;
    struct io_u *io_u = op->user;
    int64_t result = op->result;
    io_u->error = 0;
    io_u->resid = 0;
    if (result < 0) {
        int error = op->os_error != 0 ? op->os_error : epio_error_to_os(result);
        io_u->error = (unsigned int)error;
    } else if (ddir_rw(io_u->ddir)) {
        io_u->resid = io_u->xfer_buflen - (unsigned long long)result;
    }
    one->engine->ended[one->engine->ended_count++] = io_u;
}

static enum fio_q_status at_once(struct io_u *io_u, int result)
{
    if (result < 0) {
        io_u->error = (unsigned int)errno;
    }
    return FIO_Q_COMPLETED;
}

static enum fio_q_status queue(struct thread_data *td, struct io_u *io_u)
{
    struct engine_op *one = io_u->engine_data;
    epio_op *op = &one->op;
    epio_file *file = FILE_ENG_DATA(io_u->file);
    fio_ro_check(td, io_u);
    switch (io_u->ddir) {
    case DDIR_READ:
        (void)epio_read(op, file, io_u->xfer_buf, io_u->xfer_buflen, io_u->offset);
        break;
    case DDIR_WRITE:
        (void)epio_write(op, file, io_u->xfer_buf, io_u->xfer_buflen, io_u->offset);
        break;
    case DDIR_SYNC:
        (void)epio_sync(op, file, EPIO_SYNC_FULL);
        break;
    case DDIR_DATASYNC:
        (void)epio_sync(op, file, EPIO_SYNC_DATA_ONLY);
        break;
    case DDIR_TRIM:
        return at_once(io_u, do_io_u_trim(td, io_u)); /* epio has no verb for it */
    default:
        return at_once(io_u, do_io_u_sync(td, io_u));
    }
    op->done = ended;
    op->user = io_u;
    epio_submit(op);
    return FIO_Q_QUEUED;
}

/* A poll delivers all that has ended; fio, which often asks for one, takes the rest before the next
 * poll. */
static int getevents(struct thread_data *td, unsigned int min, unsigned int max,
                     const struct timespec *t)
{
    struct engine *engine = td->io_ops_data;
    uint64_t timeout = EPIO_FOREVER;
    if (t != NULL) {
        timeout = (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
    }
    if (engine->fetched == engine->ended_count) {
        engine->fetched = 0;
        engine->ended_count = 0;
    }
    while (engine->ended_count - engine->fetched < min || engine->ended_count == 0) {
        uint64_t delivered = epio_loop_poll(engine->loop, min != 0 ? timeout : EPIO_NOW, 0);
        if (min == 0 || (t != NULL && delivered == 0)) {
            break;
        }
    }
    unsigned int count = engine->ended_count - engine->fetched;
    count = count < max ? count : max;
    engine->first = engine->fetched;
    engine->fetched += count;
    return (int)count;
}

static struct io_u *event(struct thread_data *td, int number)
{
    struct engine *engine = td->io_ops_data;
    return engine->ended[engine->first + (unsigned int)number];
}

static int cancel(struct thread_data *td, struct io_u *io_u)
{
    struct engine_op *one = io_u->engine_data;
    (void)td;
    epio_cancel(&one->op);
    return 0;
}

static int io_u_init(struct thread_data *td, struct io_u *io_u)
{
    struct engine_op *one = calloc(1, sizeof *one);
    if (one == NULL) {
        return ENOMEM;
    }
    one->engine = td->io_ops_data;
    io_u->engine_data = one;
    return 0;
}

static void io_u_free(struct thread_data *td, struct io_u *io_u)
{
    (void)td;
    free(io_u->engine_data);
    io_u->engine_data = NULL;
}

/* ---- Files ---- */

/* A file of epio owns its descriptor, and fio uses its own for more than transfers: a duplicate. */
static int open_file(struct thread_data *td, struct fio_file *f)
{
    struct engine *engine = td->io_ops_data;
    epio_op op = {0};
    int error = generic_open_file(td, f);
    if (error != 0) {
        return error;
    }
    int duplicate = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
    int64_t result = epio_wait(epio_adopt(&op, epio_loop_vfs(engine->loop), duplicate, 0));
    if (result < 0) {
        (void)close(duplicate);
        log_err("fio: epio cannot adopt %s: %s\n", f->file_name, epio_error_message(result));
        td_verror(td, epio_error_to_os(result), "epio_adopt");
        error = generic_close_file(td, f);
        return error != 0 ? error : 1;
    }
    FILE_SET_ENG_DATA(f, op.file);
    return 0;
}

static int close_file(struct thread_data *td, struct fio_file *f)
{
    epio_file *file = FILE_ENG_DATA(f);
    epio_op op = {0};
    int64_t result = file != NULL ? epio_wait(epio_close(&op, file)) : 0;
    FILE_SET_ENG_DATA(f, NULL);
    int error = generic_close_file(td, f);
    return result < 0 ? epio_error_to_os(result) : error;
}

/* ---- A job ---- */

static int init(struct thread_data *td)
{
    struct engine_options *given = td->eo;
    epio_loop_options wanted = {.size = sizeof wanted};
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return 1;
    }
    /* Of one round and, at most, of the next. */
    engine->ended = calloc((size_t)td->o.iodepth * 2, sizeof *engine->ended);
    wanted.backend = given->backend;
    wanted.inline_writes = given->inline_writes;
    wanted.workers = given->workers;
    int error = engine->ended != NULL ? epio_loop_create(&engine->loop, &wanted) : EPIO_ENOMEM;
    if (error < 0) {
        char reason[200] = "";
        (void)epio_loop_invalid_reason(&wanted, reason, sizeof reason);
        log_err("fio: epio has no loop: %s\n",
                reason[0] != '\0' ? reason : epio_error_message(error));
        td_verror(td, epio_error_to_os(error), "epio_loop_create");
        free(engine->ended);
        free(engine);
        return 1;
    }
    td->io_ops_data = engine;
    return 0;
}

/* fio has allocated its buffers by now. */
static int post_init(struct thread_data *td)
{
    const struct engine_options *given = td->eo;
    struct engine *engine = td->io_ops_data;
    epio_iovec memory = {td->orig_buffer, td->orig_buffer_size};
    if (given->fixedbufs != 0 && memory.base != NULL &&
        epio_loop_register_buffers(engine->loop, &memory, 1) != 1) {
        log_info("fio: the system does not register the buffers (RLIMIT_MEMLOCK?)\n");
    }
    return 0;
}

static void cleanup(struct thread_data *td)
{
    struct engine *engine = td->io_ops_data;
    if (engine != NULL) {
        epio_loop_destroy(engine->loop);
        free(engine->ended);
        free(engine);
        td->io_ops_data = NULL;
    }
}

/* fio finds it by this name. */
struct ioengine_ops ioengine = {
    .name = "epio",
    .version = FIO_IOOPS_VERSION,
    .flags = FIO_ASYNCIO_SYNC_TRIM,
    .init = init,
    .post_init = post_init,
    .cleanup = cleanup,
    .queue = queue,
    .getevents = getevents,
    .event = event,
    .cancel = cancel,
    .io_u_init = io_u_init,
    .io_u_free = io_u_free,
    .open_file = open_file,
    .close_file = close_file,
    .get_file_size = generic_get_file_size,
    .options = options,
    .option_struct_size = sizeof(struct engine_options),
};
