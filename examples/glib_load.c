/* A file is loaded, and saved, in GLib's main loop, whose timer goes on meanwhile.
 *
 *     glib_load [--create MIB] FILE [COPY]
 *
 * Prints the longest gap between two ticks of the timer. All that embedding needs is in
 * epio/glib.h. */
#include "load.h"

#include <epio/glib.h>

static GMainLoop *main_loop;

static gboolean on_frame(gpointer user)
{
    if (!load_frame(user)) {
        g_main_loop_quit(main_loop);
    }
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    static struct load load;
    int status = load_start(&load, argc, argv);
    guint source, timer;

    if (status != 0) {
        return status;
    }
    source = epio_glib_attach(load.loop, NULL);
    if (source == 0) {
        return load_fail(&load, "glib_load: no handle");
    }
    timer = g_timeout_add(LOAD_FRAME_MS, on_frame, &load);
    main_loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(main_loop);
    g_main_loop_unref(main_loop);
    (void)g_source_remove(timer);
    (void)g_source_remove(source);
    return load_finish(&load);
}
