/* A window of GTK 4 that does without hands what a user would do, for tests and pictures of
 * examples; and how long its frames are apart. The steps are separated by ';'. The program says
 * what happens, line by line; a step waits for that. */
#ifndef EXAMPLES_GTK_SCRIPT_H
#define EXAMPLES_GTK_SCRIPT_H

#include <gtk/gtk.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SCRIPT_HELP                                                                                \
    "  --script STEPS         does these steps, which are separated by ';':\n"                     \
    "                           wait TEXT        until a line is printed that begins so\n"         \
    "                           press BUTTON     by what is written on it\n"                       \
    "                           type TEXT        where the cursor is\n"                            \
    "                           escape           the key\n"                                        \
    "                           close            the window\n"                                     \
    "                           screenshot FILE  draws the window into FILE, a PNG\n"

/* Frames before a screenshot, until what was changed is drawn for sure. */
#define SCRIPT_FRAMES 3

/* Frames that are still measured when the work has ended. */
#define SCRIPT_FRAMES_AFTER 30

/* Frames of a window that are not measured: see script_on_measured. */
#define SCRIPT_FIRST_FRAMES 2

struct script_frames {
    const char *verb; /* what was done, once it was; else "" */
    double mib;
    gint64 began; /* 0: nothing is measured. In microseconds, as all of these */
    gint64 ended;
    gint64 latest;
    gint64 longest;
    unsigned drawn;
    unsigned after;
};

struct script {
    GtkWidget *window;
    GMainLoop *main;
    char **steps; /* NULL: there are none */
    size_t at;
    guint source;    /* that goes on with them; 0: none is needed */
    unsigned frames; /* until the screenshot; 0: none is due */
    bool failed;
    GQueue said; /* what no `wait` has seen yet */
    struct script_frames measured;
};

/* What became of a step. */
enum script_step { SCRIPT_DONE, SCRIPT_WAITS, SCRIPT_FAILED };

static void script_go_on(struct script *script);

/* ---- Finding widgets ------------------------------------------------------- */

static inline bool script_is_button(GtkWidget *widget, const char *label)
{
    return GTK_IS_BUTTON(widget) && g_strcmp0(gtk_button_get_label(GTK_BUTTON(widget)), label) == 0;
}

static inline bool script_is_text(GtkWidget *widget, const char *unused)
{
    (void)unused;
    return GTK_IS_TEXT_VIEW(widget) && gtk_text_view_get_editable(GTK_TEXT_VIEW(widget));
}

/* The first that a user could use; NULL: there is none. */
static inline GtkWidget *script_find(GtkWidget *within,
                                     bool (*is_wanted)(GtkWidget *widget, const char *label),
                                     const char *label)
{
    GtkWidget *child, *found = NULL;

    if (!gtk_widget_is_visible(within) || !gtk_widget_is_sensitive(within)) {
        return NULL;
    }
    if (is_wanted(within, label)) {
        return within;
    }
    for (child = gtk_widget_get_first_child(within); child != NULL && found == NULL;
         child = gtk_widget_get_next_sibling(child)) {
        found = script_find(child, is_wanted, label);
    }
    return found;
}

/* ---- Steps ----------------------------------------------------------------- */

static inline enum script_step script_wait(struct script *script, const char *start)
{
    bool found = false;

    while (!found && !g_queue_is_empty(&script->said)) {
        char *line = (char *)g_queue_pop_head(&script->said);

        found = g_str_has_prefix(line, start);
        g_free(line);
    }
    return found ? SCRIPT_DONE : SCRIPT_WAITS;
}

static inline enum script_step script_press(struct script *script, const char *label)
{
    GtkWidget *button = script_find(script->window, script_is_button, label);

    if (button == NULL) {
        return SCRIPT_FAILED;
    }
    g_signal_emit_by_name(button, "clicked");
    return SCRIPT_DONE;
}

static inline enum script_step script_type(struct script *script, const char *text)
{
    GtkWidget *view = script_find(script->window, script_is_text, NULL);

    if (view == NULL) {
        return SCRIPT_FAILED;
    }
    gtk_text_buffer_insert_at_cursor(gtk_text_view_get_buffer(GTK_TEXT_VIEW(view)), text, -1);
    return SCRIPT_DONE;
}

/* To what listens to the window's keys. */
static inline enum script_step script_escape(struct script *script)
{
    GListModel *controllers = gtk_widget_observe_controllers(script->window);
    gboolean handled = FALSE;
    guint i;

    for (i = 0; i < g_list_model_get_n_items(controllers) && !handled; i++) {
        gpointer controller = g_list_model_get_item(controllers, i);

        if (GTK_IS_EVENT_CONTROLLER_KEY(controller)) {
            g_signal_emit_by_name(controller, "key-pressed", GDK_KEY_Escape, 0, 0, &handled);
        }
        g_object_unref(controller);
    }
    g_object_unref(controllers);
    return handled ? SCRIPT_DONE : SCRIPT_FAILED;
}

/* ---- Pictures -------------------------------------------------------------- */

static inline bool script_draw(GtkWidget *window, const char *path)
{
    int width = gtk_widget_get_width(window), height = gtk_widget_get_height(window);
    graphene_rect_t all = GRAPHENE_RECT_INIT(0, 0, (float)width, (float)height);
    GdkPaintable *paintable = gtk_widget_paintable_new(window);
    GtkSnapshot *snapshot = gtk_snapshot_new();
    GskRenderNode *node;
    GdkTexture *texture;
    bool saved;

    gdk_paintable_snapshot(paintable, snapshot, width, height);
    node = gtk_snapshot_free_to_node(snapshot);
    texture = gsk_renderer_render_texture(gtk_native_get_renderer(GTK_NATIVE(window)), node, &all);
    saved = gdk_texture_save_to_png(texture, path);
    g_object_unref(texture);
    gsk_render_node_unref(node);
    g_object_unref(paintable);
    return saved;
}

static inline gboolean script_on_frame(GtkWidget *window, GdkFrameClock *clock, gpointer user)
{
    struct script *script = (struct script *)user;

    (void)clock;
    gtk_widget_queue_draw(window);
    if (--script->frames > 1) {
        return G_SOURCE_CONTINUE;
    }
    script_go_on(script);
    return G_SOURCE_REMOVE;
}

static inline enum script_step script_screenshot(struct script *script, const char *path)
{
    if (script->frames == 0) {
        script->frames = SCRIPT_FRAMES + 1;
        (void)gtk_widget_add_tick_callback(script->window, script_on_frame, script, NULL);
    }
    if (script->frames > 1) {
        return SCRIPT_WAITS;
    }
    script->frames = 0;
    return script_draw(script->window, path) ? SCRIPT_DONE : SCRIPT_FAILED;
}

/* ---- The script ------------------------------------------------------------- */

static inline enum script_step script_do(struct script *script, const char *step)
{
    static const struct {
        const char *verb;
        enum script_step (*function)(struct script *script, const char *argument);
    } verbs[] = {{"wait ", script_wait},
                 {"press ", script_press},
                 {"type ", script_type},
                 {"screenshot ", script_screenshot}};
    size_t i;

    for (i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (g_str_has_prefix(step, verbs[i].verb)) {
            return verbs[i].function(script, step + strlen(verbs[i].verb));
        }
    }
    if (strcmp(step, "escape") == 0) {
        return script_escape(script);
    }
    if (strcmp(step, "close") == 0) {
        gtk_window_close(GTK_WINDOW(script->window));
        return SCRIPT_DONE;
    }
    return SCRIPT_FAILED;
}

static inline gboolean script_on_idle(gpointer user)
{
    struct script *script = (struct script *)user;
    enum script_step how = SCRIPT_DONE;

    script->source = 0;
    while (how == SCRIPT_DONE && script->steps[script->at] != NULL) {
        const char *step = g_strchug(script->steps[script->at]);

        how = script_do(script, step);
        if (how == SCRIPT_FAILED) {
            fprintf(stderr, "the step '%s' cannot be done\n", step);
            script->failed = true;
            g_main_loop_quit(script->main);
        }
        script->at += how == SCRIPT_DONE ? 1 : 0;
    }
    return G_SOURCE_REMOVE;
}

/* With the priority of input. Between steps that wait for nothing the program does nothing else. */
static inline void script_go_on(struct script *script)
{
    if (script->steps != NULL && script->source == 0 && !script->failed) {
        script->source = g_idle_add_full(G_PRIORITY_DEFAULT, script_on_idle, script, NULL);
    }
}

/* Prints a line. */
static void script_say(struct script *script, const char *format, ...) G_GNUC_PRINTF(2, 3);
static inline void script_say(struct script *script, const char *format, ...)
{
    va_list arguments;
    char *line;

    va_start(arguments, format);
    line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    printf("%s\n", line);
    (void)fflush(stdout);
    g_queue_push_tail(&script->said, line);
    script_go_on(script);
}

/* With the main loop that a step which cannot be done ends. */
static inline void script_start(struct script *script, GtkWidget *window, GMainLoop *main)
{
    script->window = window;
    script->main = main;
    script_go_on(script);
}

/* ---- Frames ----------------------------------------------------------------- */

static inline void script_tell_frames(struct script *script)
{
    struct script_frames frames = script->measured;

    script->measured.began = 0;
    script_say(script, "%s %.1f MiB in %.0f ms: %u frames, longest gap %.1f ms", frames.verb,
               frames.mib, (double)(frames.ended - frames.began) / 1000, frames.drawn,
               (double)frames.longest / 1000);
}

static inline gboolean script_on_measured(GtkWidget *window, GdkFrameClock *clock, gpointer user)
{
    struct script *script = (struct script *)user;
    struct script_frames *frames = &script->measured;
    gint64 now = g_get_monotonic_time();

    (void)window;
    /* A window's first frame takes 50 ms, whatever goes on: fonts and the renderer come with it. */
    if (gdk_frame_clock_get_frame_counter(clock) > SCRIPT_FIRST_FRAMES) {
        frames->longest = MAX(frames->longest, now - frames->latest);
    }
    frames->latest = now;
    if (frames->ended == 0) {
        frames->drawn++;
    } else if (frames->after++ == SCRIPT_FRAMES_AFTER) {
        script_tell_frames(script);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

/* Measures from now on. The frame clock runs only while something is measured, or drawn. */
static inline void script_measure(struct script *script)
{
    gint64 now = g_get_monotonic_time();

    if (script->measured.began != 0) { /* what has ended before */
        script_tell_frames(script);
    } else {
        (void)gtk_widget_add_tick_callback(script->window, script_on_measured, script, NULL);
    }
    memset(&script->measured, 0, sizeof script->measured);
    script->measured.verb = "";
    script->measured.began = script->measured.latest = now;
}

/* What is measured has ended: so many bytes were loaded, saved and the like. Said some frames
 * later.
 */
static inline void script_measured(struct script *script, const char *verb, size_t bytes)
{
    script->measured.ended = g_get_monotonic_time();
    script->measured.verb = verb;
    script->measured.mib = (double)bytes / (1 << 20);
}

/* Frees it, but not the window. True unless a step failed. */
static inline bool script_end(struct script *script)
{
    if (script->measured.began != 0 && script->measured.ended != 0) {
        script_tell_frames(script);
    }
    g_queue_clear_full(&script->said, g_free);
    g_strfreev(script->steps);
    script->steps = NULL;
    return !script->failed;
}

#endif
