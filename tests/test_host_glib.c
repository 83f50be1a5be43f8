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
    return host_run(&glib);
}
