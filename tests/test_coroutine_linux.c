/* Stacks of coroutines: a `done` may switch from its loop's stack to another and poll there,
 * wherever in memory that is. A nested iteration is not mistaken for one whose outer was left. */
#include "op_fixture.h"

#if !defined(__GLIBC__)

int main(void)
{
    puts("this C library has no contexts to switch between"); /* musl */
    return 77;
}

#else

#include <ucontext.h>

#define STACK_SIZE ((size_t)256 * 1024)

typedef struct routine {
    fixture *f;
    ucontext_t of_main;
    ucontext_t of_routine;
    bool ended;
} routine;

static routine *the_routine;

/* Back to the main stack, from inside the routine's loop. */
static void switch_to_main(epio_op *op)
{
    (void)op;
    check(swapcontext(&the_routine->of_routine, &the_routine->of_main) == 0);
}

static void run_routine(void)
{
    epio_op switching = {.done = switch_to_main};
    epio_op last = {0};
    epio_submit(epio_current_time(&switching, the_routine->f->vfs));
    check_result(epio_wait(epio_sleep(&last, the_routine->f->vfs, 1000)), 1000);
    the_routine->ended = true;
}

static void begin_routine(routine *one, fixture *f, void *stack)
{
    *one = (routine){.f = f};
    the_routine = one;
    check(getcontext(&one->of_routine) == 0);
    one->of_routine.uc_stack.ss_sp = stack;
    one->of_routine.uc_stack.ss_size = STACK_SIZE;
    one->of_routine.uc_link = &one->of_main;
    makecontext(&one->of_routine, run_routine, 0);
    check(swapcontext(&one->of_main, &one->of_routine) == 0); /* until its loop calls `done` */
    check(!one->ended);
}

static void end_routine(routine *one)
{
    check(swapcontext(&one->of_main, &one->of_routine) == 0);
    check(one->ended);
}

/* The main stack lies above all others. */
static void an_iteration_on_the_main_stack_inside_a_coroutine(fixture *f)
{
    routine one;
    epio_op op = {0};
    void *stack = malloc(STACK_SIZE);
    check(stack != NULL);
    begin_routine(&one, f, stack);
    check_result(epio_wait(epio_sleep(&op, f->vfs, 1)), 1);
    (void)epio_loop_poll(f->loop, 0, 0);
    end_routine(&one);
    check_result(epio_wait(epio_sleep(&op, f->vfs, 1)), 1);
    free(stack);
}

static void *stack_of_done;

static void run_routine_in_done(epio_op *op)
{
    routine one;
    (void)op;
    begin_routine(&one, the_routine->f, stack_of_done);
    end_routine(&one);
}

static void an_iteration_of_a_coroutine_inside_another(fixture *f)
{
    routine none = {.f = f};
    epio_op op = {.done = run_routine_in_done};
    stack_of_done = malloc(STACK_SIZE);
    check(stack_of_done != NULL);
    the_routine = &none;
    epio_submit(epio_current_time(&op, f->vfs));
    (void)epio_loop_run(f->loop);
    free(stack_of_done);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(an_iteration_on_the_main_stack_inside_a_coroutine, ON_OS | ON_MEMORY),
        FIXTURE_TEST(an_iteration_of_a_coroutine_inside_another, ON_OS | ON_MEMORY),
    };
    return FIXTURE_RUN("coroutines", tests);
}

#endif
