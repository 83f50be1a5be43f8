/* Turns of engines whose threads would stay, in a process of their own: in one with
 * threads every call on a file costs more, whoever makes it, as the kernel then counts
 * the file's users; and one engine must not slow down the others. */
#include "engine.h"
#include "system.h"

#include <stdlib.h>

/* What does not count, while the engine's threads start, in nanoseconds. */
#define WARM_UP 1000000u

/* What both processes see. */
struct account {
    uint64_t nanoseconds; /* of the turn to be done */
    bool timed;
    int error;
    bench_sample sample;
    bench_histogram latencies;
};

struct apart {
    const bench_engine *engine;
    bench_setup setup;
    struct account *account;
};

/* A turn of an engine that was just opened. */
static int run_opened(const struct apart *apart, void *context)
{
    struct account *account = apart->account;
    bench_sample warm_up = {0};
    uint64_t spent;
    int error = apart->engine->run(context, WARM_UP, &warm_up);

    if (error == 0) {
        error = bench_target_empty(apart->setup.target);
    }
    if (error != 0) {
        return error;
    }
    account->sample.latencies = account->timed ? &account->latencies : NULL;
    spent = bench_cpu_time();
    error = apart->engine->run(context, account->nanoseconds, &account->sample);
    account->sample.cpu_nanoseconds = bench_cpu_time() - spent;
    return error;
}

static void run_in_child(void *argument)
{
    const struct apart *apart = argument;
    void *context = NULL;
    int error = apart->engine->open(&apart->setup, &context);

    if (error == 0) {
        error = run_opened(apart, context);
    }
    apart->engine->close(context);
    apart->account->error = error;
}

int bench_apart_run(void *context, uint64_t nanoseconds, bench_sample *sample)
{
    struct apart *apart = context;
    struct account *account = apart->account;
    bench_histogram *latencies = sample->latencies;

    memset(account, 0, sizeof *account);
    account->nanoseconds = nanoseconds;
    account->timed = latencies != NULL;
    account->error = EPIO_EIO; /* if the child is lost on its way */
    if (!bench_child_run(run_in_child, apart)) {
        return EPIO_ENOMEM;
    }
    *sample = account->sample;
    sample->latencies = latencies;
    if (latencies != NULL) {
        bench_histogram_add(latencies, &account->latencies);
    }
    return account->error;
}

int bench_apart_open(const bench_engine *engine, const bench_setup *setup, void **result)
{
    struct apart *apart = calloc(1, sizeof *apart);
    bench_sample sample = {0};

    if (apart == NULL) {
        return EPIO_ENOMEM;
    }
    *result = apart;
    apart->engine = engine;
    apart->setup = *setup;
    apart->account = bench_shared_memory(sizeof *apart->account);
    if (apart->account == NULL) {
        return EPIO_ENOMEM;
    }
    return bench_apart_run(apart, WARM_UP, &sample);
}

void bench_apart_close(void *context)
{
    struct apart *apart = context;

    if (apart != NULL) {
        bench_shared_memory_free(apart->account, sizeof *apart->account);
        free(apart);
    }
}
