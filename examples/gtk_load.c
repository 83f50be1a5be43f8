/* A GTK 4 window that keeps drawing while it loads a file, and saves it.
 *
 *     gtk_load [--create MIB] FILE [COPY]
 *
 * Prints how many frames were drawn meanwhile, and the longest gap between two of them. --create
 * makes the file first. Without a screen: GSK_RENDERER=cairo xvfb-run gtk_load FILE.
 *
 * Two things keep the window responsive. The loop is polled at a priority after redraw
 * (epio/glib.h), so that a frame that is due goes first. And a poll returns after a limited time,
 * whatever is left to do (epio_loop_options.poll_budget_ns). */
#include "load.h"

#include <epio/glib.h>

#include <gtk/gtk.h>

static GMainLoop *main_loop;

/* A bar in constant motion, one that grows, and a line of text. */
static void draw(GtkDrawingArea *area, cairo_t *cairo, int width, int height, gpointer user)
{
    static int count;
    const struct load *load = user;
    const char *text = load->phase == LOAD_SAVING ? "saving" : "loading";

    (void)area;
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    cairo_set_source_rgb(cairo, 0.2, 0.4, 0.8);
    cairo_rectangle(cairo, count++ % 60 * width / 60.0, 0, width / 10.0, height / 3.0);
    cairo_rectangle(cairo, 0, height / 3.0, load_part(load) * width, height / 3.0);
    cairo_fill(cairo);
    cairo_set_source_rgb(cairo, 0, 0, 0);
    cairo_set_font_size(cairo, height / 6.0);
    cairo_move_to(cairo, width / 20.0, height * 0.9);
    cairo_show_text(cairo, text);
}

static gboolean on_frame(GtkWidget *area, GdkFrameClock *clock, gpointer user)
{
    (void)clock;
    if (!load_frame(user)) {
        g_main_loop_quit(main_loop);
    }
    gtk_widget_queue_draw(area);
    return G_SOURCE_CONTINUE;
}

static gboolean on_close(GtkWindow *window, gpointer user)
{
    (void)window;
    (void)user;
    g_main_loop_quit(main_loop);
    return TRUE; /* the window is closed at the end */
}

static void run(struct load *load)
{
    GtkWidget *window = gtk_window_new(), *area = gtk_drawing_area_new();

    gtk_drawing_area_set_draw_func(GTK_DRAWING_AREA(area), draw, load, NULL);
    (void)gtk_widget_add_tick_callback(area, on_frame, load, NULL);
    gtk_window_set_title(GTK_WINDOW(window), "epio");
    gtk_window_set_default_size(GTK_WINDOW(window), 600, 150);
    gtk_window_set_child(GTK_WINDOW(window), area);
    (void)g_signal_connect(window, "close-request", G_CALLBACK(on_close), NULL);
    gtk_window_present(GTK_WINDOW(window));
    main_loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(main_loop);
    g_main_loop_unref(main_loop);
    gtk_window_destroy(GTK_WINDOW(window));
}

int main(int argc, char **argv)
{
    static struct load load;
    int status = load_start(&load, argc, argv);
    guint source;

    if (status != 0) {
        return status;
    }
    if (!gtk_init_check()) {
        return load_fail(&load, "gtk_load: there is no display");
    }
    source = epio_glib_attach(load.loop, NULL);
    if (source == 0) {
        return load_fail(&load, "gtk_load: no handle");
    }
    run(&load);
    (void)g_source_remove(source);
    return load_finish(&load);
}
