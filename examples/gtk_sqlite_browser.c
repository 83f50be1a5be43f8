/* A GTK 4 window with a table of ten million rows, which is scrolled and searched while a writer
 * inserts.
 *
 *     gtk_sqlite_browser [--rows N] [--seconds S] FILE
 *
 * Makes the database FILE if it is missing, with N rows (10,000,000). With --seconds it scrolls and
 * searches by itself, and ends after so long. Reports how many frames were drawn, and the longest
 * gap between two of them. Without a screen: GSK_RENDERER=cairo xvfb-run gtk_sqlite_browser FILE.
 *
 * The window's thread never waits for SQLite. The rows that were looked at last are kept in pages;
 * a row that is not there is drawn empty until the query of its page has completed. What is no
 * longer wanted, a page that was scrolled over or a search whose text has changed, is cancelled.
 *
 * The table draws its text itself: GtkColumnView keeps 200 rows of widgets, which take it longer
 * than a frame to fill after a leap. */
#include <epio/db.h>

#include <glib-unix.h>
#include <gtk/gtk.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 256
#define PAGES 32         /* that are kept */
#define CHUNK 100000     /* rows that are made by one statement */
#define MOST_FOUND 10000 /* rows that a search shows */
#define BATCH 200        /* of them */
#define ROW_HEIGHT 20
#define FRAMES_BEFORE 30 /* a new window needs some until its rate is steady */
#define STATUS_US 100000 /* between two texts about how many rows there are */
#define POLL_NS 2000000  /* how much a frame may be delayed by a poll */
#define AFTER_REDRAW (GDK_PRIORITY_REDRAW + 10)

/* The table's rows are numbered from 1 on, without gaps. */
#define COLUMNS "SELECT id, title, year FROM item "
#define WORD(factor)                                                                               \
    "substr('amberbirchcedardeltaemberflintgroveheronivoryjetty', 1 + i * " factor " % 10 * 5, 5)"
#define TITLE WORD("7") " || ' ' || " WORD("31 / 10") " || ', volume ' || i"
#define MAKE                                                                                       \
    "INSERT INTO item WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE "      \
    "i < ?2) SELECT i, " TITLE ", 1500 + i * 7919 % 500 FROM n"

/* ---- What the program has ------------------------------------------------ */

struct browser;

struct row {
    int64_t id;
    int64_t year;
    char title[48];
};

struct page {
    struct browser *browser;
    guint number;
    guint64 used;
    bool busy;
    bool dropped; /* freed when its query has ended */
    uint32_t count;
    struct row rows[PAGE_ROWS];
    epio_op op;
    epio_rows *query;
    epio_value first; /* the query's parameter */
    epio_parameters parameters;
};

struct search {
    epio_op op;
    epio_rows *query;
    char pattern[64];
    bool busy;
    bool wanted;  /* begins when the one that runs has ended */
    bool current; /* the one that runs is for the text as it is */
    bool shown;   /* the table shows what was found, not all */
    guint count;
    struct row found[MOST_FOUND];
    epio_value value;
    epio_parameters parameters;
};

struct frames {
    int drawn;
    gint64 latest;
    gint64 longest;
};

struct browser {
    epio_loop *loop;
    epio_db *db;
    uint64_t wanted; /* rows, of a new table */
    double seconds;  /* 0: until the window is closed */
    int64_t error;
    bool ready; /* the table is made */
    bool quits;
    guint count; /* rows that were committed */
    guint64 written;
    struct page *pages[PAGES];
    guint64 uses;
    struct search search;
    epio_op op; /* of making, then of the writer */
    epio_value values[2];
    epio_parameters parameters;
    guint64 searches;
    guint64 cancelled;
    struct frames frames;
    gint64 began; /* measuring */
    gint64 longest_poll;
    gint64 status_shown;
    int step;
    GtkWidget *entry;
    GtkWidget *status;
    GtkWidget *area;
    GtkAdjustment *scroll; /* in rows */
    GMainLoop *main;
};

static void fail(struct browser *browser, int64_t error)
{
    if (error < 0 && !browser->quits) {
        browser->error = error;
        g_main_loop_quit(browser->main);
    }
}

/* Values are valid only until the next batch. */
static void copy_row(struct row *row, const epio_rows *query, uint32_t number)
{
    row->id = epio_rows_value(query, number, 0)->is.integer;
    row->year = epio_rows_value(query, number, 2)->is.integer;
    (void)snprintf(row->title, sizeof row->title, "%s", epio_rows_value(query, number, 1)->is.text);
}

/* ---- Pages ---------------------------------------------------------------- */

static void on_page_ended(epio_op *op)
{
    struct page *page = op->user;

    page->busy = false;
    if (page->dropped) {
        g_free(page);
    }
}

static void on_page_read(epio_op *op)
{
    struct page *page = op->user;
    uint32_t i;

    for (i = 0; op->result > 0 && i < epio_rows_count(page->query); i++) {
        copy_row(&page->rows[page->count++], page->query, i);
    }
    if (!page->dropped) {
        fail(page->browser, op->result);
    }
    op->done = on_page_ended;
    epio_submit(epio_db_end(op, page->query));
}

static void on_page_begun(epio_op *op)
{
    struct page *page = op->user;

    if (op->result < 0) {
        if (!page->dropped) {
            fail(page->browser, op->result);
        }
        on_page_ended(op);
        return;
    }
    op->done = on_page_read;
    epio_submit(epio_db_next(op, page->query, PAGE_ROWS));
}

static struct page *make_page(struct browser *browser, guint number)
{
    struct page *page = g_new0(struct page, 1);

    page->browser = browser;
    page->number = number;
    page->busy = true;
    page->first.type = EPIO_VALUE_INTEGER;
    page->first.is.integer = (int64_t)number * PAGE_ROWS;
    page->parameters.size = sizeof page->parameters;
    page->parameters.values = &page->first;
    page->parameters.count = 1;
    page->op.done = on_page_begun;
    page->op.user = page;
    epio_submit(epio_db_query(&page->op, browser->db, &page->query,
                              COLUMNS "WHERE id > ? ORDER BY id LIMIT 256", &page->parameters));
    return page;
}

static void drop_page(struct page **place)
{
    struct page *page = *place;

    *place = NULL;
    if (page != NULL && page->busy) {
        page->dropped = true;
        epio_cancel(&page->op);
    } else if (page != NULL) {
        g_free(page);
    }
}

/* The page, in the place of the one that was used the longest time ago if it has to be made. */
static struct page *find_page(struct browser *browser, guint number)
{
    int i, oldest = 0;

    for (i = 0; i < PAGES; i++) {
        struct page *page = browser->pages[i];

        if (page != NULL && page->number == number) {
            page->used = ++browser->uses;
            return page;
        }
        if (page == NULL ||
            (browser->pages[oldest] != NULL && page->used < browser->pages[oldest]->used)) {
            oldest = i;
        }
    }
    drop_page(&browser->pages[oldest]);
    browser->pages[oldest] = make_page(browser, number);
    browser->pages[oldest]->used = ++browser->uses;
    return browser->pages[oldest];
}

/* NULL: it is not there yet, and its page is asked for. */
static const struct row *find_row(struct browser *browser, guint position)
{
    struct page *page;

    if (browser->search.shown) {
        return &browser->search.found[position];
    }
    page = find_page(browser, position / PAGE_ROWS);
    if (position % PAGE_ROWS < page->count) {
        return &page->rows[position % PAGE_ROWS];
    }
    if (!page->busy) { /* rows were added behind its last one */
        page->number = G_MAXUINT;
        page->used = 0;
        (void)find_page(browser, position / PAGE_ROWS);
    }
    return NULL;
}

static guint rows_shown(const struct browser *browser)
{
    guint all = browser->ready ? browser->count : 0;

    return browser->search.shown ? browser->search.count : all;
}

/* ---- Searching ------------------------------------------------------------- */

static void begin_search(struct browser *browser);

static void on_search_ended(epio_op *op)
{
    struct browser *browser = op->user;

    browser->search.busy = false;
    if (browser->search.wanted && !browser->quits) {
        begin_search(browser);
    }
}

static void on_found(epio_op *op)
{
    struct browser *browser = op->user;
    struct search *search = &browser->search;
    uint32_t i;

    if (op->result > 0 && search->current && !browser->quits) {
        for (i = 0; i < epio_rows_count(search->query) && search->count < MOST_FOUND; i++) {
            copy_row(&search->found[search->count++], search->query, i);
        }
        epio_submit(epio_db_next(op, search->query, BATCH));
        return;
    }
    if (op->result == EPIO_ECANCELED) {
        browser->cancelled++;
    } else {
        fail(browser, op->result);
    }
    op->done = on_search_ended;
    epio_submit(epio_db_end(op, search->query));
}

static void on_search_begun(epio_op *op)
{
    struct browser *browser = op->user;

    if (op->result == 0) {
        op->done = on_found;
        epio_submit(epio_db_next(op, browser->search.query, BATCH));
        return;
    }
    if (op->result == EPIO_ECANCELED) {
        browser->cancelled++;
    } else {
        fail(browser, op->result);
    }
    on_search_ended(op);
}

static void begin_search(struct browser *browser)
{
    struct search *search = &browser->search;

    search->busy = true;
    search->wanted = false;
    search->current = true;
    browser->searches++;
    search->value.type = EPIO_VALUE_TEXT;
    search->value.len = (uint32_t)snprintf(search->pattern, sizeof search->pattern, "%%%.50s%%",
                                           gtk_editable_get_text(GTK_EDITABLE(browser->entry)));
    search->value.is.text = search->pattern;
    search->parameters.size = sizeof search->parameters;
    search->parameters.values = &search->value;
    search->parameters.count = 1;
    search->op.done = on_search_begun;
    search->op.user = browser;
    epio_submit(epio_db_query(&search->op, browser->db, &search->query,
                              COLUMNS "WHERE title LIKE ? LIMIT 10000", &search->parameters));
}

/* The text has changed: what was found for the last one is no longer wanted, nor what would be. */
static void on_text(GtkEditable *entry, gpointer user)
{
    struct browser *browser = user;
    struct search *search = &browser->search;

    search->shown = gtk_editable_get_text(entry)[0] != '\0';
    search->wanted = search->shown;
    search->current = false;
    search->count = 0;
    if (search->busy) {
        epio_cancel(&search->op);
    } else if (search->wanted) {
        begin_search(browser);
    }
}

/* ---- Making the table, and writing to it -------------------------------------- */

static void write_next(struct browser *browser);

static void on_written(epio_op *op)
{
    struct browser *browser = op->user;

    if (op->result < 0) {
        fail(browser, op->result);
    } else {
        browser->written++;
        browser->count++;
        write_next(browser);
    }
}

/* Each row is committed, and durable, before the next. */
static void write_next(struct browser *browser)
{
    if (!browser->quits) {
        browser->op.done = on_written;
        browser->op.user = browser;
        epio_submit(epio_db_execute(
            &browser->op, browser->db,
            "INSERT INTO item(title, year) VALUES('written meanwhile', 2000)", NULL));
    }
}

static void make_next(struct browser *browser);

static void on_made(epio_op *op)
{
    struct browser *browser = op->user;

    if (op->result < 0) {
        fail(browser, op->result);
    } else {
        browser->count = (guint)browser->values[1].is.integer;
        make_next(browser);
    }
}

static void make_next(struct browser *browser)
{
    char text[80];
    uint64_t last = browser->count + (uint64_t)CHUNK;

    if (browser->quits) {
        return;
    }
    if (browser->count >= browser->wanted) {
        browser->ready = true;
        write_next(browser);
        return;
    }
    (void)snprintf(text, sizeof text, "making rows: %u of %" PRIu64, browser->count,
                   browser->wanted);
    gtk_label_set_text(GTK_LABEL(browser->status), text);
    browser->values[0] =
        (epio_value){.type = EPIO_VALUE_INTEGER, .is.integer = (int64_t)browser->count + 1};
    browser->values[1] =
        (epio_value){.type = EPIO_VALUE_INTEGER,
                     .is.integer = (int64_t)(last < browser->wanted ? last : browser->wanted)};
    browser->parameters.size = sizeof browser->parameters;
    browser->parameters.values = browser->values;
    browser->parameters.count = 2;
    browser->op.done = on_made;
    browser->op.user = browser;
    epio_submit(epio_db_execute(&browser->op, browser->db, MAKE, &browser->parameters));
}

/* The rows that are there already. */
static int64_t count_rows(struct browser *browser)
{
    epio_op op = EPIO_OP_INIT;
    epio_rows *rows;
    int64_t result =
        epio_wait(epio_db_execute(&op, browser->db,
                                  "CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY,"
                                  " title TEXT, year INTEGER)",
                                  NULL));

    if (result >= 0) {
        result =
            epio_wait(epio_db_query(&op, browser->db, &rows, "SELECT max(id) FROM item", NULL));
    }
    if (result < 0) {
        return result;
    }
    result = epio_wait(epio_db_next(&op, rows, 1));
    if (result == 1) {
        browser->count = (guint)epio_rows_value(rows, 0, 0)->is.integer;
    }
    epio_wait(epio_db_end(&op, rows));
    return result;
}

/* ---- Drawing ----------------------------------------------------------------- */

static void draw_text(cairo_t *cairo, double x, double y, const char *text)
{
    cairo_move_to(cairo, x, y);
    cairo_show_text(cairo, text);
}

static void draw_row(cairo_t *cairo, double y, const struct row *row)
{
    char number[24];

    (void)snprintf(number, sizeof number, "%" PRId64, row->id);
    draw_text(cairo, 10, y, number);
    draw_text(cairo, 110, y, row->title);
    (void)snprintf(number, sizeof number, "%" PRId64, row->year);
    draw_text(cairo, 450, y, number);
}

/* Only what is seen, and what is there. */
static void draw(GtkDrawingArea *area, cairo_t *cairo, int width, int height, gpointer user)
{
    struct browser *browser = user;
    double value = gtk_adjustment_get_value(browser->scroll), part = value - (guint)value;
    guint rows = rows_shown(browser), seen = (guint)(height / ROW_HEIGHT) + 2, i;

    (void)area;
    (void)width;
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    cairo_set_source_rgb(cairo, 0, 0, 0);
    cairo_set_font_size(cairo, ROW_HEIGHT * 0.7);
    for (i = 0; i < seen && (guint)value + i < rows; i++) {
        const struct row *row = find_row(browser, (guint)value + i);

        if (row != NULL) {
            draw_row(cairo, (i - part + 0.75) * ROW_HEIGHT, row);
        }
    }
}

/* ---- Frames ------------------------------------------------------------------ */

static void show_status(struct browser *browser, gint64 now)
{
    char text[80];

    if (browser->ready && now - browser->status_shown > STATUS_US) {
        browser->status_shown = now;
        (void)snprintf(text, sizeof text, "%u rows, %u shown", browser->count, rows_shown(browser));
        gtk_label_set_text(GTK_LABEL(browser->status), text);
    }
}

/* The scroll bar goes with the rows. */
static void set_scroll(struct browser *browser)
{
    double rows = rows_shown(browser);
    double page = (double)gtk_widget_get_height(browser->area) / ROW_HEIGHT;

    gtk_adjustment_configure(browser->scroll, gtk_adjustment_get_value(browser->scroll), 0, rows, 3,
                             page, page < rows ? page : rows);
}

/* What a user would do, in steps of a third of a second: most of them scroll, some after a leap;
 * then a word is typed. */
static void act(struct browser *browser, gint64 now)
{
    static const char *const words[10] = {"", "", "", "", "", "he", "heron", "heron z", "", ""};
    int step = (int)((now - browser->began) / 330000);
    double place = gtk_adjustment_get_value(browser->scroll) + 2.3;

    if (step != browser->step) {
        browser->step = step;
        gtk_editable_set_text(GTK_EDITABLE(browser->entry), words[step % 10]);
        place = step % 3 == 0 ? g_random_double_range(0, browser->count) : place;
    }
    gtk_adjustment_set_value(browser->scroll, place);
}

static gboolean on_frame(GtkWidget *area, GdkFrameClock *clock, gpointer user)
{
    struct browser *browser = user;
    struct frames *frames = &browser->frames;
    gint64 now = g_get_monotonic_time();

    (void)clock;
    if (browser->ready && browser->began == 0) {
        browser->began = ++frames->drawn == FRAMES_BEFORE ? now : 0;
    } else if (browser->began != 0) {
        frames->drawn++;
        frames->longest =
            now - frames->latest > frames->longest ? now - frames->latest : frames->longest;
    }
    frames->latest = now;
    show_status(browser, now);
    set_scroll(browser);
    if (browser->began != 0 && browser->seconds > 0) {
        act(browser, now);
        if ((double)(now - browser->began) > browser->seconds * 1e6) {
            g_main_loop_quit(browser->main);
        }
    }
    gtk_widget_queue_draw(area);
    return G_SOURCE_CONTINUE;
}

static gboolean on_readable(gint descriptor, GIOCondition condition, gpointer user)
{
    struct browser *browser = user;
    gint64 began = g_get_monotonic_time(), took;

    (void)descriptor;
    (void)condition;
    epio_loop_poll(browser->loop, 0, 0);
    took = g_get_monotonic_time() - began;
    if (browser->began != 0 && took > browser->longest_poll) {
        browser->longest_poll = took;
    }
    return G_SOURCE_CONTINUE;
}

/* ---- The window -------------------------------------------------------------- */

static gboolean on_wheel(GtkEventControllerScroll *wheel, double x, double y, gpointer user)
{
    struct browser *browser = user;

    (void)wheel;
    (void)x;
    gtk_adjustment_set_value(browser->scroll, gtk_adjustment_get_value(browser->scroll) + 3 * y);
    return TRUE;
}

static gboolean on_close(GtkWindow *window, gpointer user)
{
    struct browser *browser = user;

    (void)window;
    g_main_loop_quit(browser->main);
    return TRUE; /* it is closed at the end */
}

static GtkWidget *make_table(struct browser *browser)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0);
    GtkEventController *wheel =
        gtk_event_controller_scroll_new(GTK_EVENT_CONTROLLER_SCROLL_VERTICAL);

    browser->scroll = gtk_adjustment_new(0, 0, 0, 0, 0, 0);
    browser->area = gtk_drawing_area_new();
    gtk_drawing_area_set_draw_func(GTK_DRAWING_AREA(browser->area), draw, browser, NULL);
    gtk_widget_set_hexpand(browser->area, TRUE);
    gtk_widget_set_vexpand(browser->area, TRUE);
    (void)g_signal_connect(wheel, "scroll", G_CALLBACK(on_wheel), browser);
    gtk_widget_add_controller(browser->area, wheel);
    (void)gtk_widget_add_tick_callback(browser->area, on_frame, browser, NULL);
    gtk_box_append(GTK_BOX(box), browser->area);
    gtk_box_append(GTK_BOX(box), gtk_scrollbar_new(GTK_ORIENTATION_VERTICAL, browser->scroll));
    return box;
}

static GtkWidget *make_window(struct browser *browser)
{
    GtkWidget *window = gtk_window_new(), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 4);

    browser->entry = gtk_search_entry_new();
    browser->status = gtk_label_new("");
    (void)g_signal_connect(browser->entry, "changed", G_CALLBACK(on_text), browser);
    gtk_box_append(GTK_BOX(box), browser->entry);
    gtk_box_append(GTK_BOX(box), browser->status);
    gtk_box_append(GTK_BOX(box), make_table(browser));
    gtk_window_set_title(GTK_WINDOW(window), "epio");
    gtk_window_set_default_size(GTK_WINDOW(window), 600, 500);
    gtk_window_set_child(GTK_WINDOW(window), box);
    (void)g_signal_connect(window, "close-request", G_CALLBACK(on_close), browser);
    return window;
}

/* ---- The program --------------------------------------------------------------- */

/* What is in flight ends, by its callbacks, before the window does. */
static void stop(struct browser *browser)
{
    int i;

    browser->quits = true;
    browser->search.wanted = false;
    epio_cancel(&browser->op);
    epio_cancel(&browser->search.op);
    for (i = 0; i < PAGES; i++) {
        drop_page(&browser->pages[i]);
    }
    (void)epio_loop_run(browser->loop);
}

static void run_window(struct browser *browser, gint handle)
{
    guint watch = g_unix_fd_add_full(AFTER_REDRAW, handle, G_IO_IN, on_readable, browser, NULL);
    GtkWidget *window = make_window(browser);

    browser->main = g_main_loop_new(NULL, FALSE);
    gtk_window_present(GTK_WINDOW(window));
    make_next(browser);
    g_main_loop_run(browser->main);
    g_source_remove(watch);
    stop(browser);
    gtk_window_destroy(GTK_WINDOW(window));
    g_main_loop_unref(browser->main);
}

static int64_t run(struct browser *browser, const char *path)
{
    epio_op op = EPIO_OP_INIT;
    intptr_t handle = epio_loop_handle(browser->loop);
    int64_t result = epio_db_create(&browser->db, epio_loop_vfs(browser->loop), path, NULL);

    if (result < 0) {
        return result;
    }
    result = epio_wait(epio_db_open(&op, browser->db));
    if (result >= 0) {
        result = count_rows(browser);
        if (result >= 0 && handle >= 0) {
            run_window(browser, (gint)handle);
            result = browser->error;
        }
        epio_wait(epio_db_close(&op, browser->db, EPIO_DB_CANCEL));
    }
    epio_db_destroy(browser->db);
    return result < 0 ? result : (handle < 0 ? handle : 0);
}

static void tell(const struct browser *browser)
{
    printf("%u rows: %d frames, longest gap %.1f ms, longest poll %.1f ms; %" PRIu64
           " rows written, %" PRIu64 " searches, %" PRIu64 " cancelled\n",
           browser->count, browser->frames.drawn, (double)browser->frames.longest / 1000,
           (double)browser->longest_poll / 1000, (uint64_t)browser->written,
           (uint64_t)browser->searches, (uint64_t)browser->cancelled);
}

static bool take_arguments(struct browser *browser, int argc, char **argv)
{
    int i;

    browser->wanted = 10000000;
    for (i = 1; i + 2 < argc; i += 2) {
        if (strcmp(argv[i], "--rows") == 0) {
            browser->wanted = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            browser->seconds = strtod(argv[i + 1], NULL);
        } else {
            return false;
        }
    }
    return i + 1 == argc && argv[i][0] != '-' && browser->wanted <= 1000000000;
}

int main(int argc, char **argv)
{
    static struct browser browser;
    static const char usage[] = "usage: gtk_sqlite_browser [--rows N] [--seconds S] FILE\n";
    epio_loop_options options = {.size = sizeof options, .poll_budget_ns = POLL_NS};
    int64_t result;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("%s", usage);
        return 0;
    }
    if (!take_arguments(&browser, argc, argv)) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    if (!gtk_init_check()) {
        fprintf(stderr, "gtk_sqlite_browser: there is no display\n");
        return 1;
    }
    result = epio_loop_create(&browser.loop, &options);
    if (result >= 0) {
        result = run(&browser, argv[argc - 1]);
        epio_loop_destroy(browser.loop);
    }
    if (result < 0) {
        fprintf(stderr, "gtk_sqlite_browser: %s: %s\n", argv[argc - 1], epio_error_message(result));
        return 1;
    }
    tell(&browser);
    return 0;
}
