/* Open engines: in this process or, if their threads would stay, in a child process for each
 * turn. In a process with several threads each call on a file costs more, on any thread, as the
 * kernel then counts the users of the file; one engine must not slow down the others. */
#include "engine.h"
#include "system.h"

#include <stdlib.h>

/* Nanoseconds of a child that do not count, while the engine's threads start. */
#define WARM_UP 1000000u

/* Shared between a child process and this one. */
struct bench_account {
    bench_turn turn;
    bench_histogram latencies;
    int error;
};

/* ---- In this process ----------------------------------------------------- */

int bench_context_open(void **context, const bench_setup *setup)
{
    const bench_methods *methods = setup->engine->methods;
    bench_queue *queue = calloc(1, methods->size);
    int error;

    *context = queue;
    if (queue == NULL) {
        return EPIO_ENOMEM;
    }
    error = bench_queue_open(queue, setup);
    if (error == 0) {
        queue->methods = methods;
        error = methods->open(queue, setup);
    }
    return error;
}

int bench_context_run(void *context, bench_turn *turn)
{
    bench_queue *queue = context;

    return queue->methods->run != NULL ? queue->methods->run(queue, turn)
                                       : bench_queue_run(queue, turn);
}

void bench_context_close(void *context)
{
    bench_queue *queue = context;

    if (queue == NULL) {
        return;
    }
    if (queue->methods != NULL) {
        queue->methods->close(queue);
    }
    bench_queue_close(queue);
    free(queue);
}

/* ---- In a child process -------------------------------------------------- */

/* Runs a turn of an engine that was just opened. */
static int run_opened(const bench_instance *instance, void *context)
{
    bench_turn *turn = &instance->account->turn;
    bench_turn warm_up = {.nanoseconds = WARM_UP, .depth = turn->depth};
    uint64_t spent;
    int error = bench_context_run(context, &warm_up);

    if (error == 0) {
        error = bench_target_empty(instance->setup.target);
    }
    spent = bench_cpu_time();
    if (error == 0) {
        error = bench_context_run(context, turn);
    }
    turn->cpu = bench_cpu_time() - spent;
    return error;
}

static void run_in_child(void *argument)
{
    const bench_instance *instance = argument;
    void *context = NULL;
    int error = bench_context_open(&context, &instance->setup);

    instance->account->error = error != 0 ? error : run_opened(instance, context);
    bench_context_close(context);
}

static int run_child(bench_instance *instance, bench_turn *turn)
{
    struct bench_account *account = instance->account;
    bench_histogram *latencies = turn->latencies;

    account->turn = *turn;
    if (latencies != NULL) {
        memset(&account->latencies, 0, sizeof account->latencies);
        account->turn.latencies = &account->latencies; /* is there in the child too */
    }
    account->error = EPIO_EIO; /* if the child process dies */
    if (!bench_child_run(run_in_child, instance)) {
        return EPIO_ENOMEM;
    }
    *turn = account->turn;
    turn->latencies = latencies;
    if (latencies != NULL) {
        bench_histogram_add(latencies, &account->latencies);
    }
    return account->error;
}

/* ---- Both kinds ---------------------------------------------------------- */

int bench_engine_open(bench_instance *instance, const bench_setup *setup)
{
    *instance = (bench_instance){.setup = *setup};
    if (!setup->engine->methods->leaves_threads) {
        return bench_context_open(&instance->context, setup);
    }
    instance->account = bench_shared_memory(sizeof *instance->account);
    return instance->account != NULL ? 0 : EPIO_ENOMEM;
}

int bench_engine_run(bench_instance *instance, bench_turn *turn)
{
    return instance->account == NULL ? bench_context_run(instance->context, turn)
                                     : run_child(instance, turn);
}

void bench_engine_close(bench_instance *instance)
{
    bench_context_close(instance->context);
    bench_shared_memory_free(instance->account, sizeof *instance->account);
}
