/* A file is loaded, and saved, in libuv's loop, whose timer goes on meanwhile.
 *
 *     libuv_load [--create MIB] FILE [COPY]
 *
 * Prints the longest gap between two ticks of the timer. libuv waits for the loop's descriptor; on
 * Windows, where it waits for sockets alone, epio sends it a message. */
#include "load.h"

#include <uv.h>

#ifdef _WIN32

struct host {
    uv_async_t async;
    epio_loop *loop;
};

static void on_message(uv_async_t *async)
{
    (void)epio_loop_poll(async->data, EPIO_NOW, 0);
}

/* Any thread. */
static void send_message(void *user)
{
    (void)uv_async_send(user);
}

static int attach(struct host *host, uv_loop_t *uv, epio_loop *loop)
{
    int error = uv_async_init(uv, &host->async, on_message);

    host->loop = loop;
    host->async.data = loop;
    return error != 0 ? error : epio_loop_on_ready(loop, send_message, &host->async);
}

/* The memory of a handle is libuv's until its close was called back. */
static void detach(struct host *host)
{
    (void)epio_loop_on_ready(host->loop, NULL, NULL);
    uv_close((uv_handle_t *)&host->async, NULL);
}

#else

struct host {
    uv_poll_t poll;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    (void)epio_loop_poll(poll->data, EPIO_NOW, 0);
}

static int attach(struct host *host, uv_loop_t *uv, epio_loop *loop)
{
    intptr_t handle = epio_loop_handle(loop);
    int error = handle < 0 ? (int)handle : uv_poll_init(uv, &host->poll, (int)handle);

    host->poll.data = loop;
    return error != 0 ? error : uv_poll_start(&host->poll, UV_READABLE, on_readable);
}

/* libuv does not touch the descriptor any more, but the memory until its close was called back. */
static void detach(struct host *host)
{
    uv_close((uv_handle_t *)&host->poll, NULL);
}

#endif

static void on_frame(uv_timer_t *timer)
{
    if (!load_frame(timer->data)) {
        uv_stop(timer->loop);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    static struct host host;
    uv_loop_t *uv = uv_default_loop();
    int status = load_start(&load, argc, argv);
    uv_timer_t timer;

    if (status != 0) {
        return status;
    }
    if (attach(&host, uv, load.loop) != 0) {
        return load_fail(&load, "libuv_load: the loop cannot be embedded");
    }
    (void)uv_timer_init(uv, &timer);
    timer.data = &load;
    (void)uv_timer_start(&timer, on_frame, 0, LOAD_FRAME_MS);
    (void)uv_run(uv, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    detach(&host);
    (void)uv_run(uv, UV_RUN_DEFAULT); /* calls the closes back */
    (void)uv_loop_close(uv);
    return load_finish(&load);
}
