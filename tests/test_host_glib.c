/* A loop in GLib's: epio/glib.h. The cases are in support/host_cases.c. */
#include "host.h"

/* The polls of the source are counted. */
#define epio_loop_poll host_poll
#include <epio/glib.h>

static GMainContext *context;
static GSource *source;

static void start(void)
{
    context = g_main_context_new();
}

static void stop(void)
{
    g_main_context_unref(context);
}

static void attach(epio_loop *loop)
{
    guint id = epio_glib_attach(loop, context);

    host_require(id != 0, "epio_glib_attach");
    source = g_main_context_find_source_by_id(context, id);
    host_require(g_source_get_priority(source) == EPIO_GLIB_PRIORITY, "the source's priority");
}

static void detach(void)
{
    g_source_destroy(source);
}

static gboolean nothing(gpointer user)
{
    (void)user;
    return G_SOURCE_CONTINUE;
}

static void iterate(int milliseconds)
{
    GSource *limit = g_timeout_source_new((guint)milliseconds);

    g_source_set_callback(limit, nothing, NULL, NULL);
    (void)g_source_attach(limit, context);
    (void)g_main_context_iteration(context, TRUE);
    g_source_destroy(limit);
    g_source_unref(limit);
}

struct call {
    void (*function)(void *user);
    void *user;
};

static gboolean carry_out(gpointer user)
{
    const struct call *call = user;

    call->function(call->user);
    return G_SOURCE_REMOVE;
}

static void post_at(int priority, void (*function)(void *user), void *user)
{
    GSource *idle = g_idle_source_new();
    struct call *call = g_new(struct call, 1);

    call->function = function;
    call->user = user;
    g_source_set_priority(idle, priority);
    g_source_set_callback(idle, carry_out, call, g_free);
    (void)g_source_attach(idle, context);
    g_source_unref(idle);
}

static void post(void (*function)(void *user), void *user)
{
    post_at(G_PRIORITY_DEFAULT, function, user);
}

/* As GDK does. */
static void post_drawing(void (*function)(void *user), void *user)
{
    post_at(G_PRIORITY_HIGH_IDLE + 20, function, user);
}

/* GTK's text view lays out lines in such a source, for as long as a second. */
static void goes_on_beside_a_text_view(void)
{
    uint64_t limit = epio_clock_monotonic() + UINT64_C(30000000000);
    GSource *layout = g_idle_source_new();
    epio_op op = EPIO_OP_INIT;
    epio_loop *loop;

    start();
    host_require(epio_loop_create(&loop, NULL) == 0, "epio_loop_create");
    attach(loop);
    g_source_set_priority(layout, G_PRIORITY_HIGH_IDLE + 25);
    g_source_set_callback(layout, nothing, NULL, NULL);
    (void)g_source_attach(layout, context);
    epio_submit(epio_sleep(&op, epio_loop_vfs(loop), 1000000));
    while (epio_op_pending(&op) && epio_clock_monotonic() < limit) {
        (void)g_main_context_iteration(context, TRUE);
    }
    host_require(!epio_op_pending(&op), "an op that completes beside a text view");
    g_source_destroy(layout);
    g_source_unref(layout);
    detach();
    epio_loop_destroy(loop);
    stop();
}

int main(void)
{
    static const host glib = {
        .name = "GLib",
        .start = start,
        .stop = stop,
        .attach = attach,
        .detach = detach,
        .iterate = iterate,
        .post = post,
        .post_drawing = post_drawing,
        .nests = true,
    };
    goes_on_beside_a_text_view();
    return host_run(&glib);
}
