/* Turns of engines whose threads would stay, each in a child process: in a process with
 * threads every call on a file costs more, whichever thread makes it, as the kernel then
 * counts the file's users; and one engine must not slow down the others. */
#include "engine.h"
#include "system.h"

/* What does not count, while the engine's threads start, in nanoseconds. */
#define WARM_UP 1000000u

/* What both processes see. */
struct bench_account {
    bench_turn turn;
    bench_histogram latencies;
    int error;
};

/* A turn of an engine that was just opened. */
static int run_opened(const bench_instance *instance, void *context)
{
    bench_turn warm_up = {.nanoseconds = WARM_UP, .depth = instance->account->turn.depth};
    bench_turn *turn = &instance->account->turn;
    uint64_t spent;
    int error = bench_context_run(context, &warm_up);

    if (error == 0) {
        error = bench_target_empty(instance->setup.target);
    }
    if (error != 0) {
        return error;
    }
    spent = bench_cpu_time();
    error = bench_context_run(context, turn);
    turn->cpu = bench_cpu_time() - spent;
    return error;
}

static void run_in_child(void *argument)
{
    const bench_instance *instance = argument;
    void *context = NULL;
    int error = bench_context_open(&context, &instance->setup);

    if (error == 0) {
        error = run_opened(instance, context);
    }
    bench_context_close(context);
    instance->account->error = error;
}

int bench_child_turn(bench_instance *instance, bench_turn *turn)
{
    struct bench_account *account = instance->account;
    bench_histogram *latencies = turn->latencies;

    account->turn = *turn;
    if (latencies != NULL) {
        memset(&account->latencies, 0, sizeof account->latencies);
        account->turn.latencies = &account->latencies; /* is there in the child too */
    }
    account->error = EPIO_EIO; /* if the child is lost on its way */
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

int bench_child_open(bench_instance *instance)
{
    instance->account = bench_shared_memory(sizeof *instance->account);
    return instance->account != NULL ? 0 : EPIO_ENOMEM;
}

void bench_child_close(bench_instance *instance)
{
    bench_shared_memory_free(instance->account, sizeof *instance->account);
}
