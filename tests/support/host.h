/* The test cases that a loop embedded in any host has to pass. Each test_host_*.c describes one
 * host by a table of functions, and runs the cases on it. */
#ifndef EPIO_TEST_HOST_H
#define EPIO_TEST_HOST_H

#include <epio/epio.h>

#include <stdbool.h>

#if EPIO_ASYNC

#ifdef __cplusplus
extern "C" {
#endif

/* Called on the thread of the test; a failure aborts. */
typedef struct host {
    const char *name;
    /* Makes the host's loop, and ends it. */
    void (*start)(void);
    void (*stop)(void);
    /* From attach to detach the host polls the loop, by host_poll. */
    void (*attach)(epio_loop *loop);
    void (*detach)(void);
    /* Waits for an event of the host for so long at most, and handles what there is. */
    void (*iterate)(int milliseconds);
    /* Has the host call a function, as it calls the program for any event. */
    void (*post)(void (*function)(void *user), void *user);
    /* The same for drawing, which goes before a poll; NULL: the host does not have that. */
    void (*post_drawing)(void (*function)(void *user), void *user);
    /* A `done` may iterate the host. */
    bool nests;
} host;

/* The exit status of main. */
int host_run(const host *tested);

/* What is tested calls these instead of the functions of the library: they count. */
uint64_t host_poll(epio_loop *loop, uint64_t timeout_ns, uint32_t max);

/* Aborts with a line unless it holds. */
void host_require(bool holds, const char *what);

#ifdef __cplusplus
}
#endif

#endif

#endif
