/* A GTK 4 window that keeps drawing while it loads a file.
 *
 *     gtk_load [--create MIB] FILE
 *
 * Reads FILE into memory with several reads in flight, and reports how many frames were drawn
 * meanwhile and the longest gap between two of them. --create makes the file first. Without a
 * screen: GSK_RENDERER=cairo xvfb-run gtk_load FILE.
 *
 * Two things keep the window responsive. The loop's handle is polled at a priority after redraw,
 * so that a frame that is due goes first. And a poll returns after a limited time, whatever is
 * left to do (epio_loop_options.poll_budget_ns). */
#include <epio/epio.h>

#include <glib-unix.h>
#include <gtk/gtk.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define BLOCK (MIB / 8)
#define IN_FLIGHT 16

/* How much a frame may be delayed if it becomes due during a poll. */
#define POLL_BUDGET_NS 2000000

/* GDK draws at this priority; g_unix_fd_add, by default, runs before it. */
#define AFTER_REDRAW (GDK_PRIORITY_REDRAW + 10)

/* Drawn before and after the load: a new window needs some frames until its rate is steady. */
#define FRAMES_AROUND 30

struct frames {
    int drawn;
    int at_begin; /* drawn before the load */
    int at_end;   /* and at its end; 0: not yet */
    gint64 latest;
    gint64 longest;
};

struct load {
    epio_loop *loop;
    epio_file *file;
    char *memory;
    uint64_t size;
    uint64_t submitted;
    uint64_t loaded;
    int64_t error;
    gint64 begun;
    gint64 ended;
    epio_op ops[IN_FLIGHT];
    struct frames frames;
    GtkWidget *area;
    GMainLoop *main;
};

/* ---- The file ----------------------------------------------------------- */

static int64_t create_file(const char *path, uint64_t size)
{
    epio_op op = {0};
    char *block = malloc((size_t)BLOCK);
    int64_t result = EPIO_ENOMEM;
    epio_file *file;
    uint64_t at;

    if (block == NULL) {
        return result;
    }
    result = epio_perform(epio_open(&op, epio_os_vfs(), path,
                                    EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE));
    file = op.file;
    for (at = 0; result >= 0 && at < size; at += BLOCK) {
        memset(block, (int)(at / BLOCK), (size_t)BLOCK);
        result = epio_perform(epio_write(&op, file, block, (size_t)BLOCK, at));
    }
    if (file != NULL) {
        int64_t closed = epio_perform(epio_close(&op, file));
        result = result < 0 ? result : closed;
    }
    free(block);
    return result;
}

/* Opens it and allocates memory for it. */
static int64_t open_file(struct load *load, const char *path)
{
    epio_op op = {0};
    int64_t result = epio_wait(epio_open(&op, epio_loop_vfs(load->loop), path, EPIO_OPEN_READ));

    if (result < 0) {
        return result;
    }
    load->file = op.file;
    result = epio_wait(epio_size(&op, load->file));
    if (result < 0) {
        return result;
    }
    load->size = (uint64_t)result;
    load->memory = malloc((size_t)(load->size + 1));
    return load->memory != NULL ? 0 : EPIO_ENOMEM;
}

/* ---- Loading ------------------------------------------------------------ */

static void read_next(struct load *load, epio_op *op);

static void on_read(epio_op *op)
{
    struct load *load = op->user;

    if (op->result < 0) {
        load->error = op->result;
    } else {
        load->loaded += (uint64_t)op->result;
    }
    if (load->loaded == load->size || load->error < 0) {
        load->ended = g_get_monotonic_time();
        load->frames.at_end = load->frames.drawn;
    } else {
        read_next(load, op);
    }
}

static void read_next(struct load *load, epio_op *op)
{
    uint64_t at = load->submitted;
    uint64_t len = load->size - at < BLOCK ? load->size - at : BLOCK;

    if (len > 0) {
        load->submitted += len;
        op->done = on_read;
        op->user = load;
        epio_submit(epio_read(op, load->file, load->memory + at, (size_t)len, at));
    }
}

static void begin_load(struct load *load)
{
    int i;

    load->begun = g_get_monotonic_time();
    load->frames.at_begin = load->frames.drawn;
    if (load->size == 0) {
        load->ended = load->begun;
        load->frames.at_end = load->frames.drawn;
    }
    for (i = 0; i < IN_FLIGHT; i++) {
        read_next(load, &load->ops[i]);
    }
}

static gboolean on_readable(gint descriptor, GIOCondition condition, gpointer user)
{
    (void)descriptor;
    (void)condition;
    epio_loop_poll(user, 0, 0);
    return G_SOURCE_CONTINUE;
}

/* ---- The window --------------------------------------------------------- */

/* A bar in constant motion, one that grows, and a line of text. */
static void draw(GtkDrawingArea *area, cairo_t *cairo, int width, int height, gpointer user)
{
    const struct load *load = user;
    double part = load->size > 0 ? (double)load->loaded / (double)load->size : 1;
    double place = (double)(load->frames.drawn % 60) / 60;
    char text[64];

    (void)area;
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    cairo_set_source_rgb(cairo, 0.2, 0.4, 0.8);
    cairo_rectangle(cairo, place * width, 0, width / 10.0, height / 3.0);
    cairo_rectangle(cairo, 0, height / 3.0, part * width, height / 3.0);
    cairo_fill(cairo);
    cairo_set_source_rgb(cairo, 0, 0, 0);
    cairo_set_font_size(cairo, height / 6.0);
    cairo_move_to(cairo, width / 20.0, height * 0.9);
    (void)snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64 " MiB", load->loaded / MIB,
                   load->size / MIB);
    cairo_show_text(cairo, text);
}

/* Called for each frame. */
static gboolean on_frame(GtkWidget *area, GdkFrameClock *clock, gpointer user)
{
    struct load *load = user;
    struct frames *frames = &load->frames;
    gint64 now = g_get_monotonic_time();

    (void)clock;
    if (load->begun != 0 && now - frames->latest > frames->longest) {
        frames->longest = now - frames->latest;
    }
    frames->latest = now;
    frames->drawn++;
    if (load->begun == 0 && frames->drawn == FRAMES_AROUND) {
        begin_load(load);
    }
    if (load->ended != 0 && frames->drawn == frames->at_end + FRAMES_AROUND) {
        g_main_loop_quit(load->main);
    }
    gtk_widget_queue_draw(area);
    return G_SOURCE_CONTINUE;
}

static gboolean on_close(GtkWindow *window, gpointer user)
{
    struct load *load = user;

    (void)window;
    g_main_loop_quit(load->main);
    return TRUE; /* the window is closed at the end */
}

static void show_window(struct load *load)
{
    GtkWidget *window = gtk_window_new();

    load->area = gtk_drawing_area_new();
    gtk_drawing_area_set_draw_func(GTK_DRAWING_AREA(load->area), draw, load, NULL);
    (void)gtk_widget_add_tick_callback(load->area, on_frame, load, NULL);
    gtk_window_set_title(GTK_WINDOW(window), "epio");
    gtk_window_set_default_size(GTK_WINDOW(window), 600, 150);
    gtk_window_set_child(GTK_WINDOW(window), load->area);
    (void)g_signal_connect(window, "close-request", G_CALLBACK(on_close), load);
    gtk_window_present(GTK_WINDOW(window));
    g_main_loop_run(load->main);
    gtk_window_destroy(GTK_WINDOW(window));
}

/* ---- The program -------------------------------------------------------- */

static void tell(const struct load *load)
{
    const struct frames *frames = &load->frames;

    printf("%" PRIu64 " of %" PRIu64 " MiB in %.0f ms: %d frames, longest gap %.1f ms\n",
           load->loaded / MIB, load->size / MIB, (double)(load->ended - load->begun) / 1000,
           frames->at_end - frames->at_begin, (double)frames->longest / 1000);
}

static int64_t run(struct load *load, const char *path)
{
    epio_op op = {0};
    intptr_t handle;
    guint watch;
    int64_t result = open_file(load, path);

    handle = result < 0 ? result : epio_loop_handle(load->loop);
    if (handle >= 0) {
        watch =
            g_unix_fd_add_full(AFTER_REDRAW, (gint)handle, G_IO_IN, on_readable, load->loop, NULL);
        load->main = g_main_loop_new(NULL, FALSE);
        show_window(load);
        g_main_loop_unref(load->main);
        (void)g_source_remove(watch);
        (void)epio_loop_run(load->loop); /* the reads of a window that was closed early */
        result = load->error;
    } else {
        result = handle;
    }
    if (load->file != NULL) {
        (void)epio_wait(epio_close(&op, load->file));
    }
    if (result >= 0 && load->ended != 0) {
        tell(load);
    }
    free(load->memory);
    return result;
}

int main(int argc, char **argv)
{
    static struct load load;
    epio_loop_options options = {.size = sizeof options, .poll_budget_ns = POLL_BUDGET_NS};
    const char *path = argv[argc - 1];
    int64_t result = 0;

    if (argc == 2 && strcmp(path, "--help") == 0) {
        printf("usage: gtk_load [--create MIB] FILE\n");
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "--create") == 0) {
        result = create_file(path, strtoull(argv[2], NULL, 10) * MIB);
    } else if (argc != 2 || path[0] == '-') {
        fprintf(stderr, "usage: gtk_load [--create MIB] FILE\n");
        return 2;
    }
    if (result >= 0 && !gtk_init_check()) {
        fprintf(stderr, "gtk_load: there is no display\n");
        return 1;
    }
    if (result >= 0) {
        result = epio_loop_create(&load.loop, &options);
    }
    if (result >= 0) {
        result = run(&load, path);
        epio_loop_destroy(load.loop);
    }
    if (result < 0) {
        fprintf(stderr, "gtk_load: %s: %s\n", path, epio_error_message(result));
    }
    return result < 0 ? 1 : 0;
}
