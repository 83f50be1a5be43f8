/* A GTK 4 window with a table of ten million rows, which is scrolled and searched while a writer
 * inserts.
 *
 *     gtk_sqlite_browser [--rows N] [--seconds S] FILE
 *
 * Makes the database FILE if it is missing, with N rows (10,000,000). With --seconds it scrolls and
 * searches by itself, and ends after so long. Reports how many frames were drawn, and the longest
 * gap between two of them. Without a screen: GSK_RENDERER=cairo xvfb-run gtk_sqlite_browser FILE.
 *
 * The window's thread never waits for SQLite. The model has the pages that were looked at last; a
 * row that is not there yet is empty until the query of its page has completed. What is no longer
 * wanted, a page that was scrolled over or a search whose text has changed, is cancelled. */
#include <epio/db.h>

#include <glib-unix.h>
#include <gtk/gtk.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 256
#define PAGES 32         /* that the model keeps */
#define CHUNK 100000     /* rows that are made by one statement */
#define MOST_FOUND 10000 /* rows that a search shows */
#define BATCH 200        /* of them */
#define FRAMES_BEFORE 30 /* a new window needs some until its rate is steady */
#define GROWTH_US 100000 /* between two looks at how many rows were written */
#define POLL_NS 2000000  /* how much a frame may be delayed by a poll */
#define AFTER_REDRAW (GDK_PRIORITY_REDRAW + 10)

/* Of the table's rows, numbered from 1 on without gaps. */
#define COLUMNS "SELECT id, title, year FROM item "
#define WORD(factor)                                                                               \
    "substr('amberbirchcedardeltaemberflintgroveheronivoryjetty', 1 + i * " factor " % 10 * 5, 5)"
#define TITLE WORD("7") " || ' ' || " WORD("31 / 10") " || ', volume ' || i"
#define MAKE                                                                                       \
    "INSERT INTO item WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE "      \
    "i < ?2) SELECT i, " TITLE ", 1500 + i * 7919 % 500 FROM n"

/* ---- A row, as the table's cells see it ---------------------------------- */

G_DECLARE_FINAL_TYPE(Item, item, BROWSER, ITEM, GObject)

struct _Item {
    GObject parent_instance;
    gint64 values[2]; /* id and year; 0: not known yet */
    char *title;
};

G_DEFINE_TYPE(Item, item, G_TYPE_OBJECT)

enum { ITEM_ID = 1, ITEM_TITLE, ITEM_YEAR, ITEM_PROPERTIES };

static const char *const property_names[] = {NULL, "id", "title", "year"};
static GParamSpec *properties[ITEM_PROPERTIES];

static void item_get_property(GObject *object, guint property, GValue *value, GParamSpec *spec)
{
    const Item *item = BROWSER_ITEM(object);
    gint64 number = item->values[property == ITEM_YEAR];

    (void)spec;
    if (property == ITEM_TITLE) {
        g_value_set_string(value, item->title);
    } else if (number != 0) {
        g_value_take_string(value, g_strdup_printf("%" G_GINT64_FORMAT, number));
    }
}

static void item_finalize(GObject *object)
{
    g_free(BROWSER_ITEM(object)->title);
    G_OBJECT_CLASS(item_parent_class)->finalize(object);
}

static void item_class_init(ItemClass *class)
{
    guint i;

    G_OBJECT_CLASS(class)->get_property = item_get_property;
    G_OBJECT_CLASS(class)->finalize = item_finalize;
    for (i = ITEM_ID; i < ITEM_PROPERTIES; i++) {
        properties[i] = g_param_spec_string(property_names[i], NULL, NULL, NULL,
                                            G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
    }
    g_object_class_install_properties(G_OBJECT_CLASS(class), ITEM_PROPERTIES, properties);
}

static void item_init(Item *item)
{
    (void)item;
}

/* Cells that show it already change. */
static void item_fill(Item *item, const epio_rows *rows, uint32_t row)
{
    guint i;

    item->values[0] = epio_rows_value(rows, row, 0)->is.integer;
    item->values[1] = epio_rows_value(rows, row, 2)->is.integer;
    g_free(item->title);
    item->title = g_strdup(epio_rows_value(rows, row, 1)->is.text);
    for (i = ITEM_ID; i < ITEM_PROPERTIES; i++) {
        g_object_notify_by_pspec(G_OBJECT(item), properties[i]);
    }
}

/* ---- What the program has ------------------------------------------------ */

struct browser;

struct page {
    struct browser *browser;
    guint number;
    guint64 used;
    bool busy;
    bool dropped; /* freed when its query has ended */
    Item *items[PAGE_ROWS];
    epio_op op;
    epio_rows *rows;
    epio_value first; /* the query's parameter */
    epio_parameters parameters;
};

struct search {
    epio_op op;
    epio_rows *rows;
    char pattern[64];
    bool busy;
    bool wanted; /* begins when the one that runs has ended */
    bool shown;  /* the table shows what was found, not all */
    GPtrArray *found;
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
    guint count; /* rows that the model has */
    guint64 written;
    struct page *pages[PAGES];
    guint64 uses;
    struct search search;
    epio_op op; /* of making, then of the writer */
    epio_value values[2];
    epio_parameters parameters;
    epio_rows *rows;
    guint64 searches;
    guint64 cancelled;
    struct frames frames;
    gint64 began; /* measuring */
    gint64 longest_poll;
    gint64 grown;
    double target; /* where the table is scrolled to */
    int step;
    GListModel *model;
    GtkWidget *entry;
    GtkWidget *status;
    GtkAdjustment *scroll;
    GMainLoop *main;
};

static void fail(struct browser *browser, int64_t error)
{
    if (error < 0 && !browser->quits) {
        browser->error = error;
        g_main_loop_quit(browser->main);
    }
}

/* ---- Pages ---------------------------------------------------------------- */

static void free_page(struct page *page)
{
    int i;

    for (i = 0; i < PAGE_ROWS; i++) {
        g_object_unref(page->items[i]);
    }
    g_free(page);
}

static void on_page_ended(epio_op *op)
{
    struct page *page = op->user;

    page->busy = false;
    if (page->dropped) {
        free_page(page);
    }
}

static void on_page_read(epio_op *op)
{
    struct page *page = op->user;
    uint32_t i;

    for (i = 0; op->result > 0 && i < epio_rows_count(page->rows); i++) {
        item_fill(page->items[i], page->rows, i);
    }
    if (!page->dropped) {
        fail(page->browser, op->result);
    }
    op->done = on_page_ended;
    epio_submit(epio_db_end(op, page->rows));
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
    epio_submit(epio_db_next(op, page->rows, PAGE_ROWS));
}

static struct page *make_page(struct browser *browser, guint number)
{
    struct page *page = g_new0(struct page, 1);
    int i;

    for (i = 0; i < PAGE_ROWS; i++) {
        page->items[i] = g_object_new(item_get_type(), NULL);
    }
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
    epio_submit(epio_db_query(&page->op, browser->db, &page->rows,
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
        free_page(page);
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

/* Rows were added behind its last one. */
static void drop_last_page(struct browser *browser)
{
    int i;

    for (i = 0; i < PAGES; i++) {
        if (browser->pages[i] != NULL && browser->pages[i]->number == browser->count / PAGE_ROWS) {
            drop_page(&browser->pages[i]);
        }
    }
}

/* ---- The model, of all rows or of those that were found -------------------- */

G_DECLARE_FINAL_TYPE(Table, table, BROWSER, TABLE, GObject)

struct _Table {
    GObject parent_instance;
    struct browser *browser;
};

static void table_model_init(GListModelInterface *interface);

G_DEFINE_TYPE_WITH_CODE(Table, table, G_TYPE_OBJECT,
                        G_IMPLEMENT_INTERFACE(G_TYPE_LIST_MODEL, table_model_init))

static GType table_item_type(GListModel *model)
{
    (void)model;
    return item_get_type();
}

static guint rows_shown(const struct browser *browser)
{
    return browser->search.shown ? browser->search.found->len : browser->count;
}

static guint table_n_items(GListModel *model)
{
    return rows_shown(BROWSER_TABLE(model)->browser);
}

static gpointer table_item(GListModel *model, guint position)
{
    struct browser *browser = BROWSER_TABLE(model)->browser;

    if (position >= rows_shown(browser)) {
        return NULL;
    }
    if (browser->search.shown) {
        return g_object_ref(g_ptr_array_index(browser->search.found, position));
    }
    return g_object_ref(find_page(browser, position / PAGE_ROWS)->items[position % PAGE_ROWS]);
}

static void table_model_init(GListModelInterface *interface)
{
    interface->get_item_type = table_item_type;
    interface->get_n_items = table_n_items;
    interface->get_item = table_item;
}

static void table_class_init(TableClass *class)
{
    (void)class;
}

static void table_init(Table *table)
{
    (void)table;
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
    guint before = search->found->len;
    uint32_t i;

    if (op->result > 0 && !search->wanted && search->shown && !browser->quits) {
        for (i = 0; i < epio_rows_count(search->rows); i++) {
            Item *item = g_object_new(item_get_type(), NULL);

            item_fill(item, search->rows, i);
            g_ptr_array_add(search->found, item);
        }
        g_list_model_items_changed(browser->model, before, 0, search->found->len - before);
        epio_submit(epio_db_next(op, search->rows, BATCH));
        return;
    }
    if (op->result == EPIO_ECANCELED) {
        browser->cancelled++;
    } else {
        fail(browser, op->result);
    }
    op->done = on_search_ended;
    epio_submit(epio_db_end(op, search->rows));
}

static void on_search_begun(epio_op *op)
{
    struct browser *browser = op->user;

    if (op->result < 0) {
        browser->cancelled += op->result == EPIO_ECANCELED;
        if (op->result != EPIO_ECANCELED) {
            fail(browser, op->result);
        }
        on_search_ended(op);
        return;
    }
    op->done = on_found;
    epio_submit(epio_db_next(op, browser->search.rows, BATCH));
}

static void begin_search(struct browser *browser)
{
    struct search *search = &browser->search;

    search->busy = true;
    search->wanted = false;
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
    epio_submit(epio_db_query(&search->op, browser->db, &search->rows,
                              COLUMNS "WHERE title LIKE ? LIMIT 10000", &search->parameters));
}

/* The text has changed: what was found for the last one is no longer wanted, nor what would be. */
static void on_text(GtkEditable *entry, gpointer user)
{
    struct browser *browser = user;
    struct search *search = &browser->search;
    bool searches = gtk_editable_get_text(entry)[0] != '\0';
    guint before = rows_shown(browser);

    g_ptr_array_set_size(search->found, 0);
    search->shown = searches;
    search->wanted = searches;
    g_list_model_items_changed(browser->model, 0, before, rows_shown(browser));
    if (search->busy) {
        epio_cancel(&search->op);
    } else if (searches) {
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
        write_next(browser);
    }
}

/* Each row is committed, and durable, before the next. */
static void write_next(struct browser *browser)
{
    if (!browser->quits) {
        browser->op.done = on_written;
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
        browser->frames.drawn = 0;
        g_list_model_items_changed(browser->model, 0, 0, browser->count);
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
    int64_t result =
        epio_wait(epio_db_execute(&op, browser->db,
                                  "CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY,"
                                  " title TEXT, year INTEGER)",
                                  NULL));

    if (result >= 0) {
        result = epio_wait(
            epio_db_query(&op, browser->db, &browser->rows, "SELECT max(id) FROM item", NULL));
    }
    if (result < 0) {
        return result;
    }
    result = epio_wait(epio_db_next(&op, browser->rows, 1));
    if (result == 1) {
        browser->count = (guint)epio_rows_value(browser->rows, 0, 0)->is.integer;
    }
    epio_wait(epio_db_end(&op, browser->rows));
    return result;
}

/* ---- Frames ----------------------------------------------------------------- */

/* Rows that were written are shown now and then. */
static void grow(struct browser *browser, gint64 now)
{
    static guint64 shown;
    guint added = (guint)(browser->written - shown);
    char text[80];

    if (now - browser->grown < GROWTH_US) {
        return;
    }
    browser->grown = now;
    shown = browser->written;
    if (added > 0) {
        guint before = browser->count;

        drop_last_page(browser);
        browser->count += added;
        if (!browser->search.shown) {
            g_list_model_items_changed(browser->model, before, 0, added);
        }
    }
    (void)snprintf(text, sizeof text, "%u rows, %u shown", browser->count, rows_shown(browser));
    gtk_label_set_text(GTK_LABEL(browser->status), text);
}

/* What a user would do: ten steps of a third of a second, most of them scrolling, with a leap, and
 * then a word that is typed. */
static void act(struct browser *browser, gint64 now)
{
    static const char *const words[10] = {"", "", "", "", "", "he", "heron", "heron j", "", ""};
    int step = (int)((now - browser->began) / 330000);
    double highest =
        gtk_adjustment_get_upper(browser->scroll) - gtk_adjustment_get_page_size(browser->scroll);

    if (step != browser->step) {
        browser->step = step;
        gtk_editable_set_text(GTK_EDITABLE(browser->entry), words[step % 10]);
        browser->target = step % 3 == 0 ? g_random_double() * highest : browser->target;
    }
    browser->target += 50;
    browser->target = browser->target < highest ? browser->target : 0;
    gtk_adjustment_set_value(browser->scroll, browser->target);
}

static gboolean on_frame(GtkWidget *window, GdkFrameClock *clock, gpointer user)
{
    struct browser *browser = user;
    struct frames *frames = &browser->frames;
    gint64 now = g_get_monotonic_time();

    (void)clock;
    if (browser->ready && ++frames->drawn == FRAMES_BEFORE) {
        browser->began = now;
        frames->longest = 0;
    } else if (browser->began != 0 && now - frames->latest > frames->longest) {
        frames->longest = now - frames->latest;
    }
    frames->latest = now;
    if (browser->ready) {
        grow(browser, now);
    }
    if (browser->began != 0 && browser->seconds > 0) {
        act(browser, now);
        if ((double)(now - browser->began) > browser->seconds * 1e6) {
            g_main_loop_quit(browser->main);
        }
    }
    gtk_widget_queue_draw(window);
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

static void set_up_cell(GtkListItemFactory *factory, GtkListItem *cell, gpointer user)
{
    GtkWidget *label = gtk_label_new(NULL);

    (void)factory;
    (void)user;
    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_list_item_set_child(cell, label);
}

static void bind_cell(GtkListItemFactory *factory, GtkListItem *cell, gpointer property)
{
    GBinding *binding =
        g_object_bind_property(gtk_list_item_get_item(cell), property,
                               gtk_list_item_get_child(cell), "label", G_BINDING_SYNC_CREATE);

    (void)factory;
    g_object_set_data(G_OBJECT(cell), "binding", binding);
}

static void unbind_cell(GtkListItemFactory *factory, GtkListItem *cell, gpointer property)
{
    (void)factory;
    (void)property;
    g_binding_unbind(g_object_get_data(G_OBJECT(cell), "binding"));
}

static void add_column(GtkColumnView *view, guint property, int width)
{
    GtkListItemFactory *factory = gtk_signal_list_item_factory_new();
    gpointer name = (gpointer)(guintptr)property_names[property];
    GtkColumnViewColumn *column;

    (void)g_signal_connect(factory, "setup", G_CALLBACK(set_up_cell), NULL);
    (void)g_signal_connect(factory, "bind", G_CALLBACK(bind_cell), name);
    (void)g_signal_connect(factory, "unbind", G_CALLBACK(unbind_cell), name);
    column = gtk_column_view_column_new(property_names[property], factory);
    gtk_column_view_column_set_fixed_width(column, width);
    gtk_column_view_append_column(view, column);
    g_object_unref(column);
}

static gboolean on_close(GtkWindow *window, gpointer user)
{
    struct browser *browser = user;

    (void)window;
    g_main_loop_quit(browser->main);
    return TRUE; /* it is closed at the end */
}

static GtkWidget *make_window(struct browser *browser)
{
    GtkWidget *window = gtk_window_new(), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 4);
    GtkWidget *view, *scrolled = gtk_scrolled_window_new();
    Table *table = g_object_new(table_get_type(), NULL);
    guint i;

    table->browser = browser;
    browser->model = G_LIST_MODEL(table);
    view = gtk_column_view_new(GTK_SELECTION_MODEL(gtk_no_selection_new(browser->model)));
    for (i = ITEM_ID; i < ITEM_PROPERTIES; i++) {
        add_column(GTK_COLUMN_VIEW(view), i, i == ITEM_TITLE ? 320 : 120);
    }
    gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scrolled), view);
    gtk_widget_set_vexpand(scrolled, TRUE);
    browser->scroll = gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(scrolled));
    browser->entry = gtk_search_entry_new();
    browser->status = gtk_label_new("opening");
    (void)g_signal_connect(browser->entry, "changed", G_CALLBACK(on_text), browser);
    gtk_box_append(GTK_BOX(box), browser->entry);
    gtk_box_append(GTK_BOX(box), browser->status);
    gtk_box_append(GTK_BOX(box), scrolled);
    gtk_window_set_title(GTK_WINDOW(window), "epio");
    gtk_window_set_default_size(GTK_WINDOW(window), 600, 500);
    gtk_window_set_child(GTK_WINDOW(window), box);
    (void)gtk_widget_add_tick_callback(window, on_frame, browser, NULL);
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
    browser.search.found = g_ptr_array_new_with_free_func(g_object_unref);
    result = epio_loop_create(&browser.loop, &options);
    if (result >= 0) {
        result = run(&browser, argv[argc - 1]);
        epio_loop_destroy(browser.loop);
    }
    g_ptr_array_unref(browser.search.found);
    if (result < 0) {
        fprintf(stderr, "gtk_sqlite_browser: %s: %s\n", argv[argc - 1], epio_error_message(result));
        return 1;
    }
    tell(&browser);
    return 0;
}
