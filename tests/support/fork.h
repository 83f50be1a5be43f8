/* A forked process that runs a function: for tests of what only POSIX has. Other tests start a new
 * process, see child_start. */
#ifndef EPIO_TEST_FORK_H
#define EPIO_TEST_FORK_H

#include "support.h"

#include <sys/types.h>

/* Runs `run(argument)` in a forked process and returns its exit status; one that a
 * signal killed gives 256 and the signal's number. A check that fails there makes
 * the status 255. */
int run_in_fork(void (*run)(void *argument), void *argument);

/* The same in two steps, with the test running meanwhile. */
pid_t start_fork(void (*run)(void *argument), void *argument);
int end_of_fork(pid_t process);

#endif
