/* A loop in libuv's, by its handle and by on_ready, as docs/embedding.md has it. The cases are in
 * support/host_cases.c. */
#include "host.h"

#include <stdlib.h>
#include <uv.h>

static uv_loop_t uv;
static uv_timer_t limit;
static uv_poll_t *by_handle;
static uv_async_t *by_message;
static epio_loop *attached;

static void start(void)
{
    host_require(uv_loop_init(&uv) == 0, "uv_loop_init");
    host_require(uv_timer_init(&uv, &limit) == 0, "uv_timer_init");
}

static void stop(void)
{
    uv_close((uv_handle_t *)&limit, NULL);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    host_require(uv_loop_close(&uv) == 0, "uv_loop_close");
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* ---- By the handle --------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    (void)host_poll(poll->data, EPIO_NOW, 0);
}

static void attach_handle(epio_loop *loop)
{
    by_handle = malloc(sizeof *by_handle);
    host_require(by_handle != NULL, "memory");
    host_require(uv_poll_init(&uv, by_handle, (int)epio_loop_handle(loop)) == 0, "uv_poll_init");
    by_handle->data = loop;
    host_require(uv_poll_start(by_handle, UV_READABLE, on_readable) == 0, "uv_poll_start");
}

static void detach_handle(void)
{
    uv_close((uv_handle_t *)by_handle, free_handle);
}

/* ---- By messages ------------------------------------------------------------ */

static void on_message(uv_async_t *async)
{
    (void)host_poll(async->data, EPIO_NOW, 0);
}

static void send_message(void *user)
{
    (void)uv_async_send(user);
}

static void attach_messages(epio_loop *loop)
{
    by_message = malloc(sizeof *by_message);
    host_require(by_message != NULL, "memory");
    host_require(uv_async_init(&uv, by_message, on_message) == 0, "uv_async_init");
    by_message->data = loop;
    attached = loop;
    host_require(epio_loop_on_ready(loop, send_message, by_message) == 0, "epio_loop_on_ready");
}

static void detach_messages(void)
{
    host_require(epio_loop_on_ready(attached, NULL, NULL) == 0, "epio_loop_on_ready");
    uv_close((uv_handle_t *)by_message, free_handle);
}

/* ---- Running it ------------------------------------------------------------- */

static void nothing(uv_timer_t *timer)
{
    (void)timer;
}

static void iterate(int milliseconds)
{
    uv_update_time(&uv);
    (void)uv_timer_start(&limit, nothing, (uint64_t)milliseconds, 0);
    (void)uv_run(&uv, UV_RUN_ONCE);
    (void)uv_timer_stop(&limit);
}

struct call {
    uv_timer_t timer;
    void (*function)(void *user);
    void *user;
};

static void carry_out(uv_timer_t *timer)
{
    struct call *call = timer->data;

    call->function(call->user);
    uv_close((uv_handle_t *)timer, free_handle);
}

static void post(void (*function)(void *user), void *user)
{
    struct call *call = malloc(sizeof *call);

    host_require(call != NULL, "memory");
    call->function = function;
    call->user = user;
    (void)uv_timer_init(&uv, &call->timer);
    call->timer.data = call;
    (void)uv_timer_start(&call->timer, carry_out, 0, 0);
}

int main(void)
{
    static const host handle = {
        .name = "libuv",
        .start = start,
        .stop = stop,
        .attach = attach_handle,
        .detach = detach_handle,
        .iterate = iterate,
        .post = post,
    };
    static const host messages = {
        .name = "libuv, by messages",
        .start = start,
        .stop = stop,
        .attach = attach_messages,
        .detach = detach_messages,
        .iterate = iterate,
        .post = post,
    };
    int failed;

    /* The first loop of a process opens what all of them share. */
    start();
    stop();
    failed = host_run(&handle);
    return host_run(&messages) != 0 ? 1 : failed;
}
