/* See fork.h. */
#include "fork.h"

#include <sys/wait.h>
#include <unistd.h>

pid_t start_fork(void (*run)(void *argument), void *argument)
{
    (void)fflush(NULL);
    pid_t process = fork();
    check(process >= 0);
    if (process == 0) {
        checks_end_the_process();
        run(argument);
        _exit(0);
    }
    return process;
}

int end_of_fork(pid_t process)
{
    int status = 0;
    check(waitpid(process, &status, 0) == process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int run_in_fork(void (*run)(void *argument), void *argument)
{
    return end_of_fork(start_fork(run, argument));
}
