/* See tree.h. */
#include "tree/tree.h"

#include "core/struct_size.h"
#include "list.h"

#include <stdlib.h>
#include <string.h>

typedef epio__tree_node node;
typedef epio__tree_thread thread;

#define MOST_OPEN 48u

/* ---- Stopping ---- */

bool epio__tree_stopped(const epio__tree *tree)
{
    return epio__load_u32(&tree->stop) != 0 ||
           (!tree->must && epio__procedure_stopped(tree->procedure));
}

static void stop(epio__tree *tree, int64_t error, const epio__failure *failure)
{
    epio__mutex_lock(&tree->mutex);
    if (tree->error == 0) {
        tree->error = error;
        tree->failure = *failure;
    }
    epio__store_u32(&tree->stop, 1);
    epio__condition_broadcast(&tree->changed);
    epio__mutex_unlock(&tree->mutex);
    if (tree->must) {
        return;
    }
    if (error == EPIO_ECANCELED) {
        (void)epio__procedure_error(tree->procedure); /* a deadline is the reason, if it was one */
    }
    epio__procedure_fail(tree->procedure, error, failure->os_error);
}

int64_t epio__tree_perform(thread *one, epio_op *op)
{
    if (!one->tree->must) {
        return epio__copier_perform(&one->copier, op);
    }
    int64_t result = epio__procedure_undo(one->tree->procedure, op);
    if (result < 0) {
        one->copier.failure = (epio__failure){op->kind, op->os_error, op->reason};
    }
    return result;
}

int64_t epio__tree_stat_file(thread *one, epio_file *file, epio_info *info)
{
    epio_op op = EPIO_OP_INIT;
    return epio__tree_perform(one, epio__prepare_stat_file(&op, file, info));
}

/* ---- Paths ---- */

char *epio__tree_path(const node *in, const char *name)
{
    size_t len = name != NULL ? strlen(name) + 1 : 0;
    for (const node *one = in; one->parent != NULL; one = one->parent) {
        len += one->name_len + 1;
    }
    char *path = malloc(len + 1);
    if (path == NULL) {
        return NULL;
    }
    char *end = path + (len != 0 ? len - 1 : 0);
    *end = '\0';
    if (name != NULL) {
        end -= strlen(name);
        memcpy(end, name, strlen(name));
    }
    for (const node *one = in; one->parent != NULL; one = one->parent) {
        if (end[0] != '\0') {
            *--end = '/';
        }
        end -= one->name_len;
        memcpy(end, one->name, one->name_len);
    }
    return path;
}

/* Writes the end of the directory's path, with a slash behind it. */
static void prepare_to_show(thread *one, const node *in)
{
    size_t room = sizeof one->shown / 2;
    char *end = one->shown + room;
    for (; in->parent != NULL && end > one->shown; in = in->parent) {
        size_t len = in->name_len + 1;
        size_t some = len < (size_t)(end - one->shown) ? len : (size_t)(end - one->shown);
        end -= some;
        memcpy(end, in->name + (len - some), some - 1);
        end[some - 1] = '/';
    }
    one->shown_len = room - (size_t)(end - one->shown);
    memmove(one->shown, end, one->shown_len);
}

static void show(thread *one, const node *in, const char *name)
{
    size_t len = strlen(name);
    size_t room = sizeof one->shown - 1 - one->shown_len;
    if (one->shown_node != in) {
        prepare_to_show(one, in);
        one->shown_node = in;
        room = sizeof one->shown - 1 - one->shown_len;
    }
    if (len > room) {
        name += len - room;
        len = room;
    }
    memcpy(one->shown + one->shown_len, name, len);
    one->shown[one->shown_len + len] = '\0';
    epio__procedure_show(one->tree->procedure, one->shown);
}

/* ---- Errors ---- */

typedef struct question {
    const epio__tree *tree;
    epio_tree_error error;
    uint32_t answer;
} question;

static void ask(epio__procedure *procedure, void *argument)
{
    question *one = argument;
    one->answer = one->tree->decide(epio__procedure_op(procedure), &one->error);
}

/* *answered: false: the tree was stopped meanwhile. */
static uint32_t ask_owner(thread *one, const node *in, const char *name, int64_t error,
                          bool *answered)
{
    epio__tree *tree = one->tree;
    char *path = epio__tree_path(in, name);
    question asked = {.tree = tree, .answer = EPIO_ON_ERROR_STOP};
    if (path != NULL) {
        asked.error.path = path;
        asked.error.verb = epio_kind_name(one->copier.failure.kind);
        asked.error.error = (int32_t)error;
        asked.error.os_error = one->copier.failure.os_error;
        asked.error.reason = epio__reason_text(one->copier.failure.reason);
        *answered = epio__procedure_ask(tree->procedure, ask, &asked);
    }
    free(path);
    return asked.answer;
}

/* What becomes of it: EPIO_ON_ERROR_... */
static uint32_t decide(thread *one, const node *in, const char *name, int64_t error)
{
    epio__tree *tree = one->tree;
    epio__failure failure = one->copier.failure;
    if (tree->must) {
        return EPIO_ON_ERROR_SKIP;
    }
    bool stopped = epio__tree_stopped(tree);
    uint32_t answer = EPIO_ON_ERROR_STOP;
    if (tree->decide != NULL && !stopped) {
        bool answered = true;
        answer = ask_owner(one, in, name, error, &answered);
        stopped = (!answered || answer != EPIO_ON_ERROR_STOP) && epio__tree_stopped(tree);
    }
    if (!stopped && (answer == EPIO_ON_ERROR_AGAIN || answer == EPIO_ON_ERROR_SKIP)) {
        return answer;
    }
    stop(tree, stopped ? EPIO_ECANCELED : error, &failure);
    return EPIO_ON_ERROR_STOP;
}

void epio__tree_skip(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    epio__mutex_lock(&tree->mutex);
    tree->skipped++;
    in->left = true;
    epio__mutex_unlock(&tree->mutex);
    epio__procedure_skip(tree->procedure);
}

void epio__tree_count(thread *one)
{
    one->done++;
    epio__procedure_count(one->tree->procedure, 0, 1);
}

/* ---- Directories that wait ---- */

/* With the mutex. */
static void push(epio__tree *tree, node *one)
{
    one->waits = true;
    one->refs++;
    one->next = tree->stack;
    tree->stack = one;
    if (tree->waiting != 0) {
        epio__condition_broadcast(&tree->changed);
    }
}

static node *new_node(epio__tree *tree, node *parent, const char *name)
{
    size_t len = strlen(name);
    node *one = calloc(1, sizeof *one + len + 1);
    if (one == NULL) {
        return NULL;
    }
    one->refs = 1;
    one->parent = parent;
    one->name_len = len;
    memcpy(one->name, name, len + 1);
    epio__mutex_lock(&tree->mutex);
    if (parent != NULL) {
        one->depth = parent->depth + 1;
        parent->refs++;
    }
    epio_list_append(&tree->all, &one->all);
    tree->alive++;
    epio__mutex_unlock(&tree->mutex);
    return one;
}

int64_t epio__tree_found(thread *one, node *parent, const char *name, bool by_link)
{
    epio__tree *tree = one->tree;
    node *child = new_node(tree, parent, name);
    if (child == NULL) {
        one->copier.failure = (epio__failure){EPIO_KIND_OPEN, 0, EPIO__REASON_NONE};
        return EPIO_ENOMEM;
    }
    child->by_link = by_link;
    epio__mutex_lock(&tree->mutex);
    push(tree, child);
    epio__mutex_unlock(&tree->mutex);
    return 0;
}

/* The next directory, which the thread is in from then on, instead of the stack; NULL: there is
 * none any more. */
static node *take(epio__tree *tree)
{
    node *one = NULL;
    epio__mutex_lock(&tree->mutex);
    while (tree->stack == NULL && tree->alive != 0 && epio__load_u32(&tree->stop) == 0) {
        tree->waiting++;
        epio__condition_wait(&tree->changed, &tree->mutex);
        tree->waiting--;
    }
    if (tree->stack != NULL && epio__load_u32(&tree->stop) == 0) {
        one = tree->stack;
        tree->stack = one->next;
        one->waits = false;
    }
    epio__mutex_unlock(&tree->mutex);
    return one;
}

static void forget(node *one)
{
    while (one->names != NULL) {
        epio__tree_names *names = one->names;
        one->names = names->next;
        free(names);
    }
}

/* ---- In a directory ---- */

/* Its list is over, as far as it goes. */
static void end_list(epio__tree *tree, node *one)
{
    epio__mutex_lock(&tree->mutex);
    if (!one->listed) {
        one->listed = true;
        one->refs--; /* the thread that is in it has another */
    }
    epio__mutex_unlock(&tree->mutex);
}

/* Others take the next part of the list meanwhile. */
static void share_list(epio__tree *tree, node *one)
{
    epio__mutex_lock(&tree->mutex);
    if (!one->waits && !one->listed) {
        push(tree, one);
    }
    epio__mutex_unlock(&tree->mutex);
}

static void visit_entry(thread *one, node *in, const epio_entry *entry)
{
    const char *name = epio_entry_name(entry);
    show(one, in, name);
    for (;;) {
        int64_t result = one->tree->type->visit(one, in, entry);
        if (result == EPIO_EMFILE && epio__tree_shrink(one)) {
            continue;
        }
        uint32_t answer = result < 0 ? decide(one, in, name, result) : (uint32_t)EPIO_ON_ERROR_STOP;
        if (result < 0 && answer == EPIO_ON_ERROR_SKIP) {
            epio__tree_skip(one, in);
        }
        if (result >= 0 || answer != EPIO_ON_ERROR_AGAIN) {
            return;
        }
    }
}

static void visit_entries(thread *one, node *in, size_t len)
{
    const epio_entry *entry = NULL;
    size_t count = 0;
    while ((entry = epio_entry_next(one->list, len, entry)) != NULL) {
        count++;
    }
    epio__procedure_expect(one->tree->procedure, 0, count);
    while (!epio__tree_stopped(one->tree) &&
           (entry = epio_entry_next(one->list, len, entry)) != NULL) {
        visit_entry(one, in, entry);
    }
}

/* Its files are open. */
static void visit_all(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    bool shared = false;
    while (!shared && !epio__tree_stopped(tree)) {
        int64_t len = epio__tree_list(one, in);
        if (len < 0) {
            uint32_t answer = decide(one, in, NULL, len);
            if (answer == EPIO_ON_ERROR_AGAIN) {
                continue;
            }
            if (answer == EPIO_ON_ERROR_SKIP) {
                epio__tree_skip(one, in);
            }
        }
        if (len <= 0) {
            end_list(tree, in);
            return;
        }
        if ((size_t)len > EPIO__TREE_LIST / 2) {
            share_list(tree, in);
            shared = true;
        }
        visit_entries(one, in, (size_t)len);
    }
}

/* True: it is entered, and held. */
static bool enter_or_hold(thread *one, node *in)
{
    for (;;) {
        int64_t result = in->entered ? 0 : epio__tree_enter(one, in);
        if (result == 0) {
            result = epio__tree_hold(one, in);
        }
        if (result >= 0) {
            return result == 0;
        }
        uint32_t answer = decide(one, in, NULL, result);
        if (answer == EPIO_ON_ERROR_SKIP) {
            epio__tree_skip(one, in);
        }
        if (answer != EPIO_ON_ERROR_AGAIN) {
            return false;
        }
    }
}

/* ---- The end of a directory ---- */

/* It is closed. */
static void enter_again(epio__tree *tree, node *in)
{
    forget(in);
    epio__mutex_lock(&tree->mutex);
    in->refs = 1;
    in->entered = false;
    in->listed = false;
    in->names_are_all = false;
    in->list_error = 0;
    in->identified[0] = false;
    push(tree, in);
    epio__mutex_unlock(&tree->mutex);
}

/* False: it is not over, or the tree was stopped before. */
static bool leave(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    while (in->entered) {
        if (epio__tree_stopped(tree)) {
            return false;
        }
        int64_t result = tree->type->leave(one, in);
        if (result == 1) {
            enter_again(tree, in);
            return false;
        }
        uint32_t answer = result < 0 ? decide(one, in, NULL, result) : (uint32_t)EPIO_ON_ERROR_STOP;
        if (result < 0 && answer == EPIO_ON_ERROR_SKIP) {
            epio__tree_skip(one, in);
        }
        if (result >= 0 || answer == EPIO_ON_ERROR_SKIP) {
            return true;
        }
    }
    return true;
}

/* A thread leaves it; the last that does so ends it, and those above that have ended by that. */
static void unref(thread *one, node *in)
{
    epio__tree *tree = one->tree;
    while (in != NULL) {
        epio__mutex_lock(&tree->mutex);
        bool last = --in->refs == 0;
        epio__mutex_unlock(&tree->mutex);
        if (!last || !leave(one, in)) {
            return;
        }
        epio__tree_close(one, in);
        node *parent = in->parent;
        epio__mutex_lock(&tree->mutex);
        if (parent != NULL) {
            parent->left = parent->left || in->left;
        }
        epio_list_remove(&in->all);
        tree->alive--;
        if (tree->alive == 0) {
            epio__condition_broadcast(&tree->changed);
        }
        epio__mutex_unlock(&tree->mutex);
        one->shown_node = NULL;
        forget(in);
        free(in);
        in = parent;
    }
}

static void visit_directory(thread *one, node *in)
{
    if (enter_or_hold(one, in)) {
        visit_all(one, in);
        epio__tree_release(one, in);
    } else {
        end_list(one->tree, in);
    }
    unref(one, in);
}

/* ---- The whole ---- */

static bool init_thread(thread *one, epio__tree *tree)
{
    memset(one, 0, sizeof *one);
    one->tree = tree;
    one->copier.procedure = tree->procedure;
    one->copier.flags = tree->flags;
    one->copier.in_flight = 1;
    one->copier.user = one;
    one->copier.buffer = tree->type->files == 2 ? malloc(EPIO__COPY_BUFFER) : NULL;
    one->list = malloc(EPIO__TREE_LIST);
    return one->list != NULL && (one->copier.buffer != NULL || tree->type->files == 1);
}

static void destroy_thread(thread *one)
{
    free(one->copier.buffer);
    free(one->list);
}

static void work(epio__procedure *procedure, void *argument)
{
    const epio__failure none = {0};
    epio__tree *tree = argument;
    thread one;
    (void)procedure;
    if (init_thread(&one, tree)) {
        node *in;
        while (!epio__tree_stopped(tree) && (in = take(tree)) != NULL) {
            visit_directory(&one, in);
        }
        epio__mutex_lock(&tree->mutex);
        tree->done += one.done;
        bool over = tree->alive == 0;
        epio__mutex_unlock(&tree->mutex);
        if (!over && epio__tree_stopped(tree)) {
            stop(tree, EPIO_ECANCELED, &none);
        }
    } else {
        stop(tree, EPIO_ENOMEM, &none);
    }
    destroy_thread(&one);
}

/* What is left when it was stopped. No thread is in it. */
static void release_all(epio__tree *tree)
{
    thread one = {.tree = tree};
    for (epio_node *at = tree->all.next, *next; at != &tree->all; at = next) {
        node *in = EPIO_CONTAINER(at, node, all);
        next = at->next;
        epio__tree_close(&one, in);
        forget(in);
        free(in);
    }
}

static uint32_t choose_threads(const epio__tree *tree)
{
    uint32_t threads = tree->threads;
    if (threads == 0) {
        threads = epio__processor_count();
        threads = threads < 4 ? 4 : threads;
    }
    return threads < EPIO__PROCEDURE_MOST_THREADS ? threads : EPIO__PROCEDURE_MOST_THREADS;
}

int64_t epio__tree_run(epio__tree *tree)
{
    epio__mutex_init(&tree->mutex);
    epio__condition_init(&tree->changed);
    epio_list_init(&tree->all);
    epio_list_init(&tree->open);
    tree->most_open = MOST_OPEN / tree->type->files;
    tree->root = new_node(tree, NULL, "");
    if (tree->root != NULL) {
        epio__mutex_lock(&tree->mutex);
        push(tree, tree->root);
        epio__mutex_unlock(&tree->mutex);
        epio__procedure_expect(tree->procedure, 0, 1);
        if (tree->must) {
            work(tree->procedure, tree);
        } else {
            epio__procedure_share(tree->procedure, work, tree, choose_threads(tree));
        }
        release_all(tree);
    } else {
        tree->error = EPIO_ENOMEM;
    }
    epio__condition_destroy(&tree->changed);
    epio__mutex_destroy(&tree->mutex);
    return tree->error != 0 ? tree->error : (int64_t)tree->done;
}

/* ---- For verbs ---- */

void epio__tree_take_terms(epio__tree *tree, epio__procedure *procedure)
{
    const epio_op *op = epio__procedure_op(procedure);
    epio_tree_options options = {.size = sizeof options};
    if (op->arguments.procedure.options != NULL) {
        (void)epio_options_take(&options, sizeof options, 0, op->arguments.procedure.options);
    }
    memset(tree, 0, sizeof *tree);
    tree->procedure = procedure;
    tree->vfs = op->arguments.procedure.vfs;
    tree->to_vfs = options.to_vfs != NULL ? options.to_vfs : tree->vfs;
    tree->path = op->arguments.procedure.path;
    memcpy(&tree->to, &op->arguments.procedure.second, sizeof tree->to);
    tree->flags = options.flags;
    tree->threads = options.in_flight;
    tree->decide = options.error;
    epio__procedure_also_on(procedure, tree->to_vfs);
}

void epio__tree_require(epio_op *op, const epio_tree_options *options, uint32_t known)
{
    epio_tree_options taken = {0};
    (void)epio__procedure_take_options(op, &taken, sizeof taken,
                                       EPIO__SIZE_UP_TO(epio_tree_options, error), options);
    epio__verb_require(op, (taken.flags & ~known) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require(
        op, taken.to_vfs == NULL || taken.to_vfs->loop == NULL || taken.to_vfs->loop == op->loop,
        EPIO__REASON_TWO_LOOPS);
}

void epio__tree_explain(const epio__tree *tree, int64_t result)
{
    epio_op *op = epio__procedure_op(tree->procedure);
    op->os_error = result < 0 ? tree->failure.os_error : 0;
    if (result < 0 && tree->failure.reason != EPIO__REASON_NONE) {
        op->reason = tree->failure.reason;
    }
}
