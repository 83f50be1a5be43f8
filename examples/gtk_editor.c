/* A text editor in GTK 4, whose window never waits for the disk.
 *
 *     gtk_editor [--script STEPS | --screenshot FILE.png] FILE
 *
 * It loads with a bar that says how far it is, and saves so that no crash loses the file. Both can
 * be cancelled. What another program does to the file is shown at once, and never overwritten
 * unasked. A window that is closed during a save waits until that has ended. Each load and save
 * prints how many frames were drawn meanwhile, and the longest gap between two of them.
 *
 * GtkTextView lays out every line, which takes it a quarter of a second for each MiB. So what is
 * longer than MOST_EDITED, or no text, or has a line longer than MOST_LINE, is shown in part and
 * read only; all of its bytes stay in memory, and are saved.
 *
 * What keeps the window drawing: bytes are read, looked through and freed on threads of the loop,
 * and text comes to the view in pieces. On the window's thread a save copies the text, and no more:
 * 8 ms for 4 MiB. */
#include "gtk_script.h"

#include <epio/glib.h>

#include <gtk/gtk.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)
#define MOST_EDITED (4 * MIB)
#define MOST_SHOWN MIB /* of what is longer */
#define MOST_LINE 1000 /* bytes; a line is laid out in one go */
/* What comes to the view at once. It lays out 2,000 pixels of lines in one go, if it has them:
 * of 1,000 bytes each that would be 30 ms. */
#define PIECE ((size_t)16 << 10)
#define POLL_NS 2000000 /* how much a frame may be delayed by a poll */

enum busy { IDLE, LOADING, FILLING, SAVING };

/* What the bar above the text says, and offers. */
enum bar { NO_BAR, BAR_NOTE, BAR_NOT_LOADED, BAR_CHANGED, BAR_UNSAVED, BAR_CLOSING };
enum action { NOTHING, DISMISS, LOAD, SAVE, SAVE_AND_CLOSE, OVERWRITE, DISCARD, CANCEL };

static const struct {
    const char *label;
    enum action action;
} bars[][2] = {
    [NO_BAR] = {{NULL, NOTHING}, {NULL, NOTHING}},
    [BAR_NOTE] = {{"Dismiss", DISMISS}, {NULL, NOTHING}},
    [BAR_NOT_LOADED] = {{"Try again", LOAD}, {NULL, NOTHING}},
    [BAR_CHANGED] = {{"Reload", LOAD}, {"Overwrite", OVERWRITE}},
    [BAR_UNSAVED] = {{"Save and close", SAVE_AND_CLOSE}, {"Close without saving", DISCARD}},
    [BAR_CLOSING] = {{"Cancel the save", CANCEL}, {NULL, NOTHING}},
};

/* A file's bytes, and what of them is shown. */
struct document {
    epio_buffer bytes;
    epio_info known; /* as it was loaded or saved */
    bool editable;
    char *part; /* what is shown if not */
    size_t part_len;
};

struct editor {
    epio_loop *loop;
    epio_vfs *vfs;
    const char *path;
    char *name; /* the last part of it */
    GMainLoop *main;

    epio_op op; /* of the load or the save */
    enum busy busy;
    bool cancelled; /* also between two steps of a load, when there is no op to be cancelled */
    bool closing;   /* when it has ended */
    struct document document;
    bool loaded; /* there is a document: without one nothing is saved */
    struct document incoming;
    size_t filled; /* bytes of it that are in the view */
    GtkTextBuffer *buffer;
    uint64_t changes; /* of the text, counted */
    uint64_t saved;   /* how many of them are in the file */
    uint64_t saving;
    char *text;     /* that is being saved; NULL: the document's bytes are */
    epio_info info; /* of what was saved */
    epio_load_options load_options;
    epio_save_options save_options;

    epio_file *watch; /* of the directory */
    epio_op events_op;
    uint64_t events[512];
    char real[4096]; /* the file's path, without symbolic links: */
    char *directory; /* where it is, */
    char *entry;     /* and as what */
    epio_op look_op;
    epio_info look;
    bool looking;
    bool look_again;

    enum bar bar;
    GtkWidget *window, *view, *save, *progress, *cancel, *bar_box, *bar_text, *bar_buttons[2],
        *status_text;

    struct script script;
};

static void begin_look(struct editor *editor);

/* ---- What is shown ---------------------------------------------------------- */

static bool is_modified(const struct editor *editor)
{
    return editor->changes != editor->saved;
}

/* What can be used, as it is now. */
static void update(struct editor *editor)
{
    bool idle = editor->busy == IDLE;
    char *title = g_strdup_printf("%s%s", is_modified(editor) ? "* " : "", editor->name);
    int i;

    gtk_window_set_title(GTK_WINDOW(editor->window), title);
    g_free(title);
    gtk_text_view_set_editable(GTK_TEXT_VIEW(editor->view),
                               editor->loaded && editor->document.editable && !editor->closing &&
                                   (idle || editor->busy == SAVING));
    gtk_widget_set_sensitive(editor->save, editor->loaded && idle);
    gtk_widget_set_sensitive(editor->cancel, editor->busy == LOADING || editor->busy == SAVING);
    gtk_widget_set_visible(editor->bar_box, editor->bar != NO_BAR);
    for (i = 0; i < 2; i++) {
        enum action action = bars[editor->bar][i].action;

        gtk_widget_set_visible(editor->bar_buttons[i], action != NOTHING);
        gtk_widget_set_sensitive(editor->bar_buttons[i],
                                 idle || action == DISMISS || action == CANCEL);
    }
}

static void show_bar(struct editor *editor, enum bar bar, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static void show_bar(struct editor *editor, enum bar bar, const char *format, ...)
{
    va_list arguments;
    char *text;
    int i;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    editor->bar = bar;
    gtk_label_set_text(GTK_LABEL(editor->bar_text), text);
    for (i = 0; i < 2; i++) {
        if (bars[bar][i].label != NULL) {
            gtk_button_set_label(GTK_BUTTON(editor->bar_buttons[i]), bars[bar][i].label);
        }
    }
    update(editor);
    script_say(&editor->script, "bar: %s", text);
    g_free(text);
}

static void hide_bar(struct editor *editor)
{
    editor->bar = NO_BAR;
    update(editor);
}

/* Which file, what was not done, and why. */
static void show_error(struct editor *editor, enum bar bar, const char *what, int64_t error)
{
    const char *reason = epio_op_invalid_reason(&editor->op);

    show_bar(editor, bar, "%s %s: %s (%s)", editor->path, what,
             reason != NULL ? reason : epio_error_message(error), epio_error_name(error));
}

/* While it loads or saves, for each frame. */
static gboolean show_progress(GtkWidget *widget, GdkFrameClock *clock, gpointer user)
{
    struct editor *editor = user;
    epio_progress_info info = {.size = sizeof info};
    double part = 0;

    (void)clock;
    if (editor->busy == FILLING) {
        part = 1;
    } else if (epio_progress(&editor->op, &info) == 0 && info.total_bytes != 0) {
        part = (double)info.bytes / (double)info.total_bytes;
    }
    gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(widget), MIN(part, 1));
    return editor->busy != IDLE ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* ---- Memory ------------------------------------------------------------------- */

struct garbage {
    epio_op op;
    epio_buffer bytes;
};

static int64_t free_garbage(epio_op *op)
{
    epio_buffer_free(&((struct garbage *)op->user)->bytes);
    return 0;
}

static void on_garbage_freed(epio_op *op)
{
    (void)free_garbage(op); /* if no thread has */
    g_free(op->user);
}

/* On a thread of the loop: the system takes 30 ms and more to unmap 500 MiB. */
static void drop(struct editor *editor, struct document *document)
{
    struct garbage *garbage = g_new0(struct garbage, 1);

    garbage->bytes = document->bytes;
    garbage->op.done = on_garbage_freed;
    garbage->op.user = garbage;
    g_free(document->part);
    memset(document, 0, sizeof *document);
    epio_submit(epio_work(&garbage->op, editor->vfs, free_garbage));
}

/* ---- Ends --------------------------------------------------------------------- */

static void begin_op(struct editor *editor, enum busy busy)
{
    editor->busy = busy;
    editor->cancelled = false;
    editor->bar = NO_BAR;
    editor->look_again = editor->looking; /* what is looked at now is old by then */
    editor->op.user = editor;
    script_measure(&editor->script);
    (void)gtk_widget_add_tick_callback(editor->progress, show_progress, editor, NULL);
    update(editor);
}

/* `verb` says what was done; NULL: nothing. */
static void end_op(struct editor *editor, const char *verb, size_t bytes)
{
    bool closes = editor->closing && (verb != NULL || editor->busy != SAVING);

    editor->busy = IDLE;
    editor->closing = false;
    script_measured(&editor->script, verb != NULL ? verb : "gave up", bytes);
    update(editor);
    if (closes) {
        gtk_window_close(GTK_WINDOW(editor->window));
    } else if (editor->look_again) {
        begin_look(editor);
    }
}

static void cancel(struct editor *editor)
{
    editor->cancelled = true;
    epio_cancel(&editor->op);
}

/* What was there before stays. */
static void end_load_in_vain(struct editor *editor)
{
    int64_t error = editor->cancelled ? EPIO_ECANCELED : editor->op.result;
    bool closing = editor->closing;

    drop(editor, &editor->incoming);
    end_op(editor, NULL, 0);
    if (!closing) {
        show_error(editor, editor->loaded ? BAR_CHANGED : BAR_NOT_LOADED, "was not loaded", error);
    }
}

/* ---- Loading -------------------------------------------------------------------- */

static void on_changed(GtkTextBuffer *buffer, gpointer user)
{
    struct editor *editor = user;

    (void)buffer;
    if (editor->busy != FILLING && editor->changes++ == editor->saved) {
        update(editor);
    }
}

static bool has_long_line(const char *text, size_t len)
{
    const char *end = text + len;

    while (text < end) {
        const char *next = memchr(text, '\n', (size_t)(end - text));

        next = next != NULL ? next + 1 : end;
        if (next - text > MOST_LINE) {
            return true;
        }
        text = next;
    }
    return false;
}

/* Replaces what is no text, and breaks long lines. */
static void make_part(struct document *document)
{
    size_t len = MIN(document->bytes.len, MOST_SHOWN), line = 0;
    char *valid = g_utf8_make_valid(document->bytes.data, (gssize)len), *at = valid;
    GString *part = g_string_sized_new(len + len / 8);

    while (*at != '\0') {
        char *next = g_utf8_next_char(at);

        (void)g_string_append_len(part, at, next - at);
        line = *at == '\n' ? 0 : line + (size_t)(next - at);
        if (line > MOST_LINE - 8) {
            (void)g_string_append_c(part, '\n');
            line = 0;
        }
        at = next;
    }
    g_free(valid);
    document->part_len = part->len;
    document->part = g_string_free(part, FALSE);
}

/* On a thread of the loop, as it looks at all bytes of what may be edited. */
static int64_t look_through(epio_op *op)
{
    struct document *document = &((struct editor *)op->user)->incoming;
    const epio_buffer *bytes = &document->bytes;

    document->editable = bytes->len <= MOST_EDITED && !has_long_line(bytes->data, bytes->len) &&
                         g_utf8_validate(bytes->data, (gssize)bytes->len, NULL);
    if (!document->editable) {
        make_part(document);
    }
    return 0;
}

static void end_load(struct editor *editor)
{
    struct document *document = &editor->document;
    size_t len = document->bytes.len;

    if (document->editable) {
        epio_buffer_free(&document->bytes); /* the text has them, and they are few */
    } else {
        char *text =
            g_strdup_printf("Read only: %.1f MiB of %.1f MiB are shown. All is saved.",
                            (double)MIN(len, MOST_SHOWN) / (double)MIB, (double)len / (double)MIB);

        gtk_label_set_text(GTK_LABEL(editor->status_text), text);
        g_free(text);
    }
    end_op(editor, "loaded", len);
}

/* A piece of whole lines, so that no character is cut, nor the two of a line's end. */
static size_t piece_of(const char *text, size_t len)
{
    size_t piece = MIN(len, PIECE);

    while (piece < len && text[piece - 1] != '\n') {
        piece--;
    }
    return piece;
}

static gboolean fill(gpointer user)
{
    struct editor *editor = user;
    const struct document *document = &editor->document;
    const char *text = document->editable ? document->bytes.data : document->part;
    size_t len = document->editable ? document->bytes.len : document->part_len;
    GtkTextIter end;

    gtk_text_buffer_begin_irreversible_action(editor->buffer); /* it is not undone */
    if (editor->filled < len) {
        size_t piece = piece_of(text + editor->filled, len - editor->filled);

        gtk_text_buffer_get_end_iter(editor->buffer, &end);
        gtk_text_buffer_insert(editor->buffer, &end, text + editor->filled, (int)piece);
        editor->filled += piece;
    }
    gtk_text_buffer_end_irreversible_action(editor->buffer);
    if (editor->filled < len && !editor->closing) {
        return G_SOURCE_CONTINUE;
    }
    gtk_text_buffer_get_start_iter(editor->buffer, &end);
    gtk_text_buffer_place_cursor(editor->buffer, &end);
    end_load(editor);
    return G_SOURCE_REMOVE;
}

/* The new document takes the place of the old one. A new buffer is made at once; to empty one of
 * 4 MiB would take a frame. */
static void begin_fill(struct editor *editor)
{
    drop(editor, &editor->document);
    editor->document = editor->incoming;
    memset(&editor->incoming, 0, sizeof editor->incoming);
    editor->loaded = true;
    editor->busy = FILLING;
    editor->filled = 0;
    editor->changes = editor->saved = 0;
    editor->buffer = gtk_text_buffer_new(NULL);
    gtk_text_view_set_buffer(GTK_TEXT_VIEW(editor->view), editor->buffer);
    g_object_unref(editor->buffer);
    (void)g_signal_connect(editor->buffer, "changed", G_CALLBACK(on_changed), editor);
    hide_bar(editor);
    (void)g_idle_add_full(GTK_TEXT_VIEW_PRIORITY_VALIDATE, fill, editor, NULL);
}

static void on_looked_through(epio_op *op)
{
    struct editor *editor = op->user;

    if (op->result < 0 || editor->cancelled) {
        end_load_in_vain(editor);
    } else {
        begin_fill(editor);
    }
}

static void on_loaded(epio_op *op)
{
    struct editor *editor = op->user;

    if (op->result == EPIO_ENOENT && !editor->loaded && editor->entry != NULL &&
        !editor->cancelled) {
        /* A new file: `known` says that there is none, which the first save makes sure of. */
        editor->incoming.editable = true;
        begin_fill(editor);
    } else if (op->result < 0) {
        end_load_in_vain(editor);
    } else {
        op->done = on_looked_through;
        epio_submit(epio_work(op, editor->vfs, look_through));
    }
}

/* ---- Watching -------------------------------------------------------------------- */

/* As epio_save does with IF_UNCHANGED. */
static bool is_known(const struct editor *editor)
{
    const epio_info *known = &editor->document.known, *now = &editor->look;

    if (editor->look_op.result < 0) {
        return known->known == 0;
    }
    return known->known != 0 && known->device == now->device && known->id[0] == now->id[0] &&
           known->id[1] == now->id[1] && known->bytes == now->bytes &&
           known->modified == now->modified;
}

static void show_changed(struct editor *editor, const char *how)
{
    show_bar(editor, BAR_CHANGED, "%s %s on disk%s", editor->name, how,
             is_modified(editor) ? ". Reloading loses what you have changed here" : "");
}

static void on_look(epio_op *op)
{
    struct editor *editor = op->user;

    editor->looking = false;
    if (editor->look_again || editor->busy != IDLE) {
        editor->look_again = true; /* it is older than what the editor knows */
        begin_look(editor);
    } else if (op->result != 0 && op->result != EPIO_ENOENT) {
        return; /* a save will say what is wrong */
    } else if (is_known(editor)) {
        if (editor->bar == BAR_CHANGED) {
            hide_bar(editor);
        }
    } else if (editor->bar != BAR_CHANGED) {
        show_changed(editor, op->result == 0 ? "has changed" : "was removed");
    }
}

/* Is the file still the one that is known? Not in the midst of a load or save, but after it. */
static void begin_look(struct editor *editor)
{
    editor->look_again = editor->looking || editor->busy != IDLE;
    if (!editor->look_again && editor->loaded) {
        editor->looking = true;
        editor->look = (epio_info){.size = sizeof editor->look};
        editor->look_op.done = on_look;
        editor->look_op.user = editor;
        epio_submit(epio_stat(&editor->look_op, editor->vfs, editor->path, &editor->look, 0));
    }
}

static void show_unwatched(struct editor *editor)
{
    gtk_label_set_text(GTK_LABEL(editor->status_text), "Changes on disk are not noticed.");
}

static void on_events(epio_op *op)
{
    struct editor *editor = op->user;
    const epio_event *event = NULL;
    bool concerned = false;

    if (editor->watch == NULL) { /* it ends */
        return;
    }
    if (op->result <= 0) { /* 0: the directory is gone */
        show_unwatched(editor);
        return;
    }
    while ((event = epio_event_next(editor->events, (size_t)op->result, event)) != NULL) {
        concerned = concerned || event->kind == EPIO_EVENT_OVERFLOW ||
                    strcmp(epio_event_name(event), editor->entry) == 0 ||
                    strcmp(epio_event_from(event), editor->entry) == 0;
    }
    epio_submit(epio_read_events(op, editor->watch, editor->events, sizeof editor->events));
    if (concerned) {
        begin_look(editor);
    }
}

/* ---- Beginning to load ------------------------------------------------------------ */

static void begin_reading(struct editor *editor)
{
    editor->op.done = on_loaded;
    memset(&editor->incoming, 0, sizeof editor->incoming);
    editor->incoming.bytes.size = sizeof editor->incoming.bytes;
    editor->incoming.known.size = sizeof editor->incoming.known;
    editor->load_options =
        (epio_load_options){.size = sizeof editor->load_options, .loaded = &editor->incoming.known};
    epio_submit(epio_load(&editor->op, editor->vfs, editor->path, &editor->incoming.bytes,
                          &editor->load_options));
}

/* The watch begins before the load: what changes later is noticed. */
static void on_watching(epio_op *op)
{
    struct editor *editor = op->user;

    if (op->result >= 0) {
        editor->watch = op->file;
        editor->events_op.done = on_events;
        editor->events_op.user = editor;
        epio_submit(epio_read_events(&editor->events_op, editor->watch, editor->events,
                                     sizeof editor->events));
    } else {
        show_unwatched(editor);
    }
    if (editor->cancelled) {
        end_load_in_vain(editor);
    } else {
        begin_reading(editor);
    }
}

static void on_resolved(epio_op *op)
{
    struct editor *editor = op->user;

    if (op->result < 0) {
        on_watching(op);
        return;
    }
    g_free(editor->directory);
    g_free(editor->entry);
    editor->directory = g_path_get_dirname(editor->real);
    editor->entry = g_path_get_basename(editor->real);
    op->done = on_watching;
    epio_submit(epio_watch(op, editor->vfs, editor->directory, 0));
}

static void begin_load(struct editor *editor)
{
    begin_op(editor, LOADING);
    if (editor->watch != NULL) {
        begin_reading(editor);
    } else {
        editor->op.done = on_resolved;
        epio_submit(epio_full_pathname(&editor->op, editor->vfs, editor->path, editor->real,
                                       sizeof editor->real));
    }
}

/* ---- Saving ------------------------------------------------------------------------ */

static void on_saved(epio_op *op)
{
    struct editor *editor = op->user;
    int64_t result = op->result;
    size_t len = editor->text != NULL ? strlen(editor->text) : editor->document.bytes.len;

    g_free(editor->text);
    editor->text = NULL;
    if (result >= 0) {
        editor->document.known = editor->info;
        editor->saved = editor->saving;
    }
    end_op(editor, result >= 0 ? "saved" : NULL, len);
    if (result == EPIO_ECHANGED) {
        show_changed(editor, "has changed");
    } else if (result < 0) {
        show_error(editor, BAR_NOTE, "was not saved", result);
    } else if ((result & EPIO_SAVED_LINKS_LOST) != 0) {
        show_bar(editor, BAR_NOTE, "Saved. Other names of %s keep the old text", editor->name);
    } else if (result != 0) {
        show_bar(editor, BAR_NOTE, "Saved, but %s has lost its owner or attributes", editor->name);
    }
}

/* The text as it is now: the user may go on editing. */
static void begin_save(struct editor *editor, bool overwrite)
{
    const void *bytes = editor->document.bytes.data;
    size_t len = editor->document.bytes.len;
    GtkTextIter start, end;

    begin_op(editor, SAVING);
    editor->saving = editor->changes;
    if (editor->document.editable) {
        gtk_text_buffer_get_bounds(editor->buffer, &start, &end);
        bytes = editor->text = gtk_text_buffer_get_text(editor->buffer, &start, &end, TRUE);
        len = strlen(editor->text);
    }
    editor->info = (epio_info){.size = sizeof editor->info};
    editor->save_options =
        (epio_save_options){.size = sizeof editor->save_options,
                            .flags = overwrite ? 0 : EPIO_SAVE_IF_UNCHANGED,
                            .expected = overwrite ? NULL : &editor->document.known,
                            .saved = &editor->info};
    editor->op.done = on_saved;
    epio_submit(
        epio_save(&editor->op, editor->vfs, editor->path, bytes, len, &editor->save_options));
}

/* ---- What the user does -------------------------------------------------------------- */

static void do_action(struct editor *editor, enum action action)
{
    switch (action) {
    case LOAD:
        begin_load(editor);
        break;
    case SAVE_AND_CLOSE:
        editor->closing = true; /* fallthrough */
    case SAVE:
        begin_save(editor, false);
        break;
    case OVERWRITE:
        begin_save(editor, true);
        break;
    case CANCEL:
        cancel(editor);
        break;
    case DISCARD:
        g_main_loop_quit(editor->main);
        break;
    case DISMISS:
        hide_bar(editor);
        break;
    case NOTHING:
        break;
    }
}

static void on_button(GtkButton *button, gpointer user)
{
    struct editor *editor = user;
    enum action action = CANCEL;
    int i;

    if (button == GTK_BUTTON(editor->save)) {
        action = SAVE;
    }
    for (i = 0; i < 2; i++) {
        if (button == GTK_BUTTON(editor->bar_buttons[i])) {
            action = bars[editor->bar][i].action;
        }
    }
    do_action(editor, action);
}

/* Before the text sees it. */
static gboolean on_key(GtkEventControllerKey *keys, guint key, guint code,
                       GdkModifierType modifiers, gpointer user)
{
    struct editor *editor = user;

    (void)keys;
    (void)code;
    if (key == GDK_KEY_Escape && gtk_widget_get_sensitive(editor->cancel)) {
        do_action(editor, CANCEL);
        return TRUE;
    }
    if (key == GDK_KEY_s && (modifiers & GDK_CONTROL_MASK) != 0 &&
        gtk_widget_get_sensitive(editor->save)) {
        do_action(editor, SAVE);
        return TRUE;
    }
    return FALSE;
}

/* The window stays until nothing of the document is in flight, and nothing in it is lost. */
static gboolean on_close(GtkWindow *window, gpointer user)
{
    struct editor *editor = user;

    (void)window;
    if (editor->busy != IDLE) {
        editor->closing = true;
    }
    if (editor->busy == SAVING) {
        show_bar(editor, BAR_CLOSING, "%s is being saved. Then the window closes", editor->name);
    } else if (editor->busy != IDLE) {
        cancel(editor);
    } else if (is_modified(editor)) {
        show_bar(editor, BAR_UNSAVED, "%s was changed, and is not saved", editor->name);
    } else {
        g_main_loop_quit(editor->main);
    }
    return TRUE; /* the window is closed at the end */
}

/* ---- The window ------------------------------------------------------------------------ */

static GtkWidget *make_button(struct editor *editor, GtkWidget *box, const char *label)
{
    GtkWidget *button = gtk_button_new_with_label(label);

    (void)g_signal_connect(button, "clicked", G_CALLBACK(on_button), editor);
    gtk_box_append(GTK_BOX(box), button);
    return button;
}

static GtkWidget *make_box(GtkOrientation orientation, GtkWidget *parent)
{
    GtkWidget *box = gtk_box_new(orientation, 6);

    if (parent != NULL) {
        gtk_widget_set_margin_start(box, 6);
        gtk_widget_set_margin_end(box, 6);
        gtk_box_append(GTK_BOX(parent), box);
    }
    return box;
}

static GtkWidget *make_label(GtkWidget *box)
{
    GtkWidget *label = gtk_label_new("");

    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_label_set_wrap(GTK_LABEL(label), TRUE);
    gtk_widget_set_hexpand(label, TRUE);
    gtk_box_append(GTK_BOX(box), label);
    return label;
}

static void make_window(struct editor *editor)
{
    GtkWidget *all = make_box(GTK_ORIENTATION_VERTICAL, NULL), *row, *scrolled;
    GtkEventController *keys;

    editor->window = gtk_window_new();
    row = make_box(GTK_ORIENTATION_HORIZONTAL, all);
    gtk_widget_set_margin_top(row, 6);
    editor->save = make_button(editor, row, "Save");
    editor->progress = gtk_progress_bar_new();
    gtk_widget_set_hexpand(editor->progress, TRUE);
    gtk_widget_set_valign(editor->progress, GTK_ALIGN_CENTER);
    gtk_box_append(GTK_BOX(row), editor->progress);
    editor->cancel = make_button(editor, row, "Cancel");
    editor->bar_box = make_box(GTK_ORIENTATION_HORIZONTAL, all);
    editor->bar_text = make_label(editor->bar_box);
    gtk_widget_add_css_class(editor->bar_text, "heading");
    editor->bar_buttons[0] = make_button(editor, editor->bar_box, "");
    editor->bar_buttons[1] = make_button(editor, editor->bar_box, "");
    scrolled = gtk_scrolled_window_new();
    editor->view = gtk_text_view_new();
    gtk_text_view_set_monospace(GTK_TEXT_VIEW(editor->view), TRUE);
    gtk_widget_set_vexpand(scrolled, TRUE);
    gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scrolled), editor->view);
    gtk_box_append(GTK_BOX(all), scrolled);
    row = make_box(GTK_ORIENTATION_HORIZONTAL, all);
    gtk_widget_set_margin_bottom(row, 6);
    editor->status_text = make_label(row);
    keys = gtk_event_controller_key_new();
    gtk_event_controller_set_propagation_phase(keys, GTK_PHASE_CAPTURE);
    (void)g_signal_connect(keys, "key-pressed", G_CALLBACK(on_key), editor);
    gtk_widget_add_controller(editor->window, keys);
    gtk_window_set_default_size(GTK_WINDOW(editor->window), 700, 400);
    gtk_window_set_child(GTK_WINDOW(editor->window), all);
    (void)g_signal_connect(editor->window, "close-request", G_CALLBACK(on_close), editor);
}

/* ---- The program ----------------------------------------------------------------------------- */

/* What is in flight ends, by its callbacks, before what it uses does. */
static void end(struct editor *editor)
{
    epio_file *watch;
    epio_op op = EPIO_OP_INIT;

    cancel(editor);
    epio_cancel(&editor->look_op);
    while (epio_op_pending(&editor->op)) {
        (void)epio_loop_poll(editor->loop, EPIO_FOREVER, 0);
    }
    watch = editor->watch;
    editor->watch = NULL; /* no more events are asked for */
    if (watch != NULL) {
        (void)epio_wait(epio_close(&op, watch));
    }
    (void)epio_loop_run(editor->loop);
}

static void run(struct editor *editor, guint source)
{
    editor->name = g_path_get_basename(editor->path);
    editor->main = g_main_loop_new(NULL, FALSE);
    make_window(editor);
    gtk_window_present(GTK_WINDOW(editor->window));
    script_start(&editor->script, editor->window, editor->main);
    begin_load(editor);
    g_main_loop_run(editor->main);
    (void)g_source_remove(source);
    end(editor);
    gtk_window_destroy(GTK_WINDOW(editor->window));
    epio_buffer_free(&editor->document.bytes);
    g_free(editor->document.part);
    g_free(editor->directory);
    g_free(editor->entry);
    g_free(editor->name);
    g_main_loop_unref(editor->main);
}

static int print_help(void)
{
    puts("Usage: gtk_editor [OPTION]... FILE\n"
         "\n"
         "Edits a text file. Escape cancels what is being loaded or saved, Ctrl+S saves. Files of\n"
         "more than 4 MiB, with very long lines, or that are no text in UTF-8, are shown in part\n"
         "and read only; they are saved whole.\n"
         "\n" SCRIPT_HELP
         "  --screenshot FILE.png  the same when the file is loaded; then closes the window\n"
         "  --help                 this text");
    return 0;
}

static int refuse(const char *what, const char *argument)
{
    fprintf(stderr, "gtk_editor: %s %s; see gtk_editor --help\n", what, argument);
    return 2;
}

/* 0, or the exit status. */
static int take_arguments(struct editor *editor, int argc, char **argv)
{
    static const char shot[] = "wait loaded;screenshot %s;close";
    char **steps = NULL;
    int i;

    for (i = 1; i < argc; i++) {
        bool is_script = strcmp(argv[i], "--script") == 0;

        if (is_script || strcmp(argv[i], "--screenshot") == 0) {
            char *text;

            if (++i == argc || steps != NULL) {
                return refuse("one script or screenshot is to follow", argv[i - 1]);
            }
            text = g_strdup_printf(is_script ? "%s" : shot, argv[i]);
            steps = editor->script.steps = g_strsplit(text, ";", -1);
            g_free(text);
        } else if (argv[i][0] == '-') {
            return refuse("unknown option", argv[i]);
        } else if (editor->path != NULL) {
            return refuse("one file is enough; what is", argv[i]);
        } else {
            editor->path = argv[i];
        }
    }
    return editor->path != NULL ? 0 : refuse("there is no", "FILE");
}

static int fail(const char *what, int64_t error)
{
    fprintf(stderr, "gtk_editor: %s: %s\n", what, epio_error_message(error));
    return 1;
}

static int start(struct editor *editor)
{
    epio_loop_options options = {
        .size = sizeof options, .poll_budget_ns = POLL_NS, .worker_nice = 10};
    int error = epio_loop_create(&editor->loop, &options);
    guint source;

    if (error < 0) {
        return fail("no loop", error);
    }
    editor->vfs = epio_loop_vfs(editor->loop);
    source = epio_glib_attach(editor->loop, NULL);
    if (source == 0) {
        error = fail("no handle", epio_loop_handle(editor->loop));
    } else {
        run(editor, source);
        error = 0;
    }
    epio_loop_destroy(editor->loop);
    return error;
}

int main(int argc, char **argv)
{
    static struct editor editor;
    int status;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return print_help();
    }
    status = take_arguments(&editor, argc, argv);
    if (status == 0 && !gtk_init_check()) {
        fprintf(stderr, "gtk_editor: there is no display\n");
        status = 1;
    }
    if (status == 0) {
        status = start(&editor);
    }
    return script_end(&editor.script) ? status : 1;
}
