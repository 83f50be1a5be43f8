/* A loop in GLib's: a GSource that polls it. For GTK and all else that runs a GMainContext. Needs
 * GLib 2.36 or newer, and nothing of the library beside epio/epio.h; all of it is in this header.
 *
 *     epio_loop_create(&loop, NULL);
 *     guint source = epio_glib_attach(loop, NULL);
 *     g_main_loop_run(main_loop);
 *     g_source_remove(source);
 *     epio_loop_destroy(loop);
 *
 * The source does not own the loop: it is destroyed first, which is allowed in a `done`, too. Ops
 * that are in flight then stay so until the loop is run, polled or closed. The loop belongs to the
 * thread that runs the context; one that was made on another thread is detached there
 * (epio_loop_detach) once the source is made.
 *
 * While nothing happens, nothing wakes. A `done` that runs the context itself, as a modal dialog
 * does, finds the loop polled there as well. */
#ifndef EPIO_GLIB_H
#define EPIO_GLIB_H

#include <epio/epio.h>

#include <glib.h>

#if EPIO_ASYNC

#ifdef __cplusplus
extern "C" {
#endif

/* After GTK's events (0), its layout (110) and its drawing (120), before what is idle (200): a
 * frame that is due goes first. Beside a GtkTextView, which lays out its lines at this one
 * (GTK_TEXT_VIEW_PRIORITY_VALIDATE): a long text takes it a second, in which nothing below is
 * dispatched. A loop that is always busy holds up all that is below, too. Another priority is set
 * by g_source_set_priority. */
#define EPIO_GLIB_PRIORITY (G_PRIORITY_HIGH_IDLE + 25)

typedef struct epio_glib_source {
    GSource base;
    epio_loop *loop;
    GPollFD handle;
} epio_glib_source;

/* In C++ what compilers do not warn about there. */
#ifdef __cplusplus
#define EPIO_GLIB_NULL nullptr
#define EPIO_GLIB_SOURCE(source) reinterpret_cast<epio_glib_source *>(source)
#define EPIO_GLIB_AS(type, value) static_cast<type>(value)
#else
#define EPIO_GLIB_NULL NULL
#define EPIO_GLIB_SOURCE(source) ((epio_glib_source *)(void *)(source))
#define EPIO_GLIB_AS(type, value) ((type)(value))
#endif

static inline gboolean epio_glib_check(GSource *source)
{
    return (EPIO_GLIB_SOURCE(source)->handle.revents & G_IO_IN) != 0;
}

/* Never longer than epio_loop_options.poll_budget_ns: what is left keeps the handle ready. The
 * source may be destroyed when the poll returns. */
static inline gboolean epio_glib_dispatch(GSource *source, GSourceFunc function, gpointer user)
{
    (void)function;
    (void)user;
    (void)epio_loop_poll(EPIO_GLIB_SOURCE(source)->loop, EPIO_NOW, 0);
    return G_SOURCE_CONTINUE;
}

/* Makes a source for the loop, to be attached to a context and released by g_source_unref. NULL if
 * there is no handle: epio_loop_handle says why. The owner of the loop. */
static inline GSource *epio_glib_source_new(epio_loop *loop)
{
    static GSourceFuncs functions = {EPIO_GLIB_NULL, epio_glib_check, epio_glib_dispatch,
                                     EPIO_GLIB_NULL, EPIO_GLIB_NULL,  EPIO_GLIB_NULL};
    intptr_t handle = epio_loop_handle(loop);
    GSource *source;

    if (handle < 0) {
        return EPIO_GLIB_NULL;
    }
    source = g_source_new(&functions, EPIO_GLIB_AS(guint, sizeof(epio_glib_source)));
    EPIO_GLIB_SOURCE(source)->loop = loop;
#ifdef G_OS_WIN32
    EPIO_GLIB_SOURCE(source)->handle.fd = handle;
#else
    EPIO_GLIB_SOURCE(source)->handle.fd = EPIO_GLIB_AS(gint, handle);
#endif
    EPIO_GLIB_SOURCE(source)->handle.events = G_IO_IN;
    g_source_add_poll(source, &EPIO_GLIB_SOURCE(source)->handle);
    g_source_set_priority(source, EPIO_GLIB_PRIORITY);
    g_source_set_can_recurse(source, TRUE);
    g_source_set_name(source, "epio");
    return source;
}

/* Makes a source and attaches it to the context (NULL: the default one), which owns it: its number
 * there, for g_source_remove (which is for the default context). 0: there is no handle. The owner
 * of the loop. */
static inline guint epio_glib_attach(epio_loop *loop, GMainContext *context)
{
    GSource *source = epio_glib_source_new(loop);
    guint id = 0;

    if (source != EPIO_GLIB_NULL) {
        id = g_source_attach(source, context);
        g_source_unref(source);
    }
    return id;
}

#ifdef __cplusplus
}
#endif

#endif

#endif
