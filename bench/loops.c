/* The loops of epio's engines: the backends available here, and how a loop is set to a mode. */
#include "engine.h"
#include "system.h"

#include <stdlib.h>

const char *bench_mode_name(bench_mode mode)
{
    switch (mode) {
    case BENCH_NO_MODE:
        return "";
    case BENCH_ALONE:
        return "alone";
    case BENCH_HANDED_OVER:
        return "handed over";
    case BENCH_INLINE:
        return "inline";
    }
    return "";
}

/* A thread that is not the loop's owner, and uses it once. */
struct visitor {
    bench_thread thread;
    epio_loop *loop;
    _Atomic(bool) left;
};

static void visit(void *argument)
{
    struct visitor *visitor = argument;
    epio_op op = {0};

    epio_wait(epio_current_time(&op, epio_loop_vfs(visitor->loop)));
    atomic_store(&visitor->left, true);
}

static int receive_visitor(epio_loop *loop)
{
    struct visitor visitor;

    visitor.thread.function = visit;
    visitor.thread.argument = &visitor;
    visitor.loop = loop;
    atomic_init(&visitor.left, false);
    if (!bench_thread_start(&visitor.thread)) {
        return EPIO_ENOMEM;
    }
    while (!atomic_load(&visitor.left)) {
        epio_loop_poll(loop, 1000000, 0);
    }
    bench_thread_join(&visitor.thread);
    return 0;
}

int bench_loop_create(const char *backend, bench_mode mode, epio_loop **loop)
{
    epio_loop_options options = {0};
    int error;

    options.size = sizeof options;
    options.backend = backend;
    options.inline_writes = mode == BENCH_INLINE;
    error = epio_loop_create(loop, &options);
    if (error == 0 && mode == BENCH_HANDED_OVER) {
        error = receive_visitor(*loop);
    }
    return error;
}

/* The name of this backend, or of the default if none is named; NULL: it does not work here. */
static const char *find_backend(const char *name)
{
    epio_loop *loop;

    if (bench_loop_create(name, BENCH_ALONE, &loop) != 0) {
        return NULL;
    }
    name = epio_loop_backend(loop); /* outlives the loop */
    epio_loop_destroy(loop);
    return name;
}

size_t bench_backends(const bench_options *options, const char *names[BENCH_MOST_BACKENDS])
{
    static const char *const preferred[] = {"uring", "epoll", "iocp"};
    const char *environment = getenv("EPIO_BACKEND");
    bool chosen = options->backend != NULL || (environment != NULL && environment[0] != '\0');
    size_t count = 0, i;

    for (i = 0; i < sizeof preferred / sizeof preferred[0] && !chosen; i++) {
        names[count] = find_backend(preferred[i]);
        count += names[count] != NULL;
    }
    if (count == 0) {
        names[count++] = find_backend(options->backend);
    }
    return count;
}
