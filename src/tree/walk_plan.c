/* Which directories a walk reads next, and what becomes of what a step has found. All on one
 * thread, the loop's owner or that of epio_perform.
 *
 * Directories that wait are in a stack: what was found last is read first, and an unfinished
 * directory lies below those that were found in it. So as many wait as the tree is deep, times a
 * batch. */
#include "tree/walk.h"

#include "list.h"

#include <stdlib.h>
#include <string.h>

typedef epio__walk_directory directory;
typedef epio__walk_step walk_step;

void epio__walk_end(epio__walk *walk, int64_t error, int32_t os_error)
{
    if (!walk->over && !walk->ended) {
        walk->over = true;
        walk->error = error;
        walk->os_error = os_error;
        epio__store_u32(&walk->terms.stop, 1);
    }
}

/* ---- Open directories ---- */

/* Where no memory is left it is closed here. */
static void close_later(epio__walk *walk, epio_file *file)
{
    if (walk->to_close_count == walk->to_close_size) {
        size_t size = walk->to_close_size * 2 + 16;
        epio_file **larger = realloc(walk->to_close, size * sizeof(epio_file *));
        if (larger == NULL) {
            epio__walk_close_file(file);
            return;
        }
        walk->to_close = larger;
        walk->to_close_size = size;
    }
    walk->to_close[walk->to_close_count++] = file;
}

static bool is_listed(const directory *one)
{
    return one->open.next != NULL;
}

static void list_open(epio__walk *walk, directory *one)
{
    if (one->file != NULL && one->parent != NULL && !is_listed(one)) {
        epio_list_append(&walk->open, &one->open);
        walk->open_count++;
    }
}

static void unlist_open(epio__walk *walk, directory *one)
{
    if (is_listed(one)) {
        epio_list_remove(&one->open);
        walk->open_count--;
    }
}

/* Its file is needed as long as there are names to be listed or directories to be opened. */
static void settle(epio__walk *walk, directory *one)
{
    bool needed = !one->was_read || one->waiting != 0 || one->pins != 0 || one->busy;
    if (one->file != NULL && one->parent != NULL && !needed) {
        unlist_open(walk, one);
        close_later(walk, one->file);
        one->file = NULL;
    }
}

static void release(epio__walk *walk, directory *one)
{
    while (one != NULL && --one->refs == 0) {
        directory *parent = one->parent;
        unlist_open(walk, one);
        if (one->file != NULL) {
            close_later(walk, one->file);
        }
        epio__walk_forget_names(one);
        free(one);
        one = parent;
    }
}

/* ---- Directories that wait ---- */

void epio__walk_push(epio__walk *walk, directory *one)
{
    one->next = walk->stack;
    walk->stack = one;
    walk->stack_count++;
}

static directory *pop(epio__walk *walk)
{
    directory *one = walk->stack;
    walk->stack = one->next;
    walk->stack_count--;
    return one;
}

directory *epio__walk_new_directory(directory *parent, const epio_walk_entry *entry)
{
    size_t name_len = entry != NULL ? strlen(entry->name) : 0;
    directory *one = calloc(1, sizeof *one + name_len + 1);
    if (one == NULL) {
        return NULL;
    }
    one->refs = 1;
    one->waits = true;
    if (parent != NULL) {
        one->parent = parent;
        one->depth = entry->depth;
        one->path_len = strlen(entry->path);
        one->name_len = name_len;
        memcpy(one->name, entry->name, name_len);
        parent->refs++;
        parent->waiting++;
    }
    return one;
}

/* ---- What a step does ---- */

/* The open directory at which the way to `target` begins; NULL: another step is about to change
 * that. */
static directory *find_base(directory *target)
{
    directory *base = target;
    while (!base->busy && base->file == NULL) {
        base = base->parent;
    }
    return base->busy ? NULL : base;
}

/* Notes what stays open on the way to a directory that is opened again: what will be needed. */
static void open_again(epio__walk *walk, walk_step *step, directory *target)
{
    size_t most = walk->terms.share - 1;
    step->again = target;
    for (directory *one = target; one != step->base && step->again_count < most;
         one = one->parent) {
        if (one == target || one->waiting != 0 || !one->was_read) {
            one->busy = true;
            one->refs++;
            step->opened[step->again_count++] = one;
        }
    }
    for (size_t i = 0; i < step->again_count / 2; i++) {
        directory *deeper = step->opened[i];
        step->opened[i] = step->opened[step->again_count - 1 - i];
        step->opened[step->again_count - 1 - i] = deeper;
    }
}

/* Those nearest to the root are needed last. */
static directory *find_victim(epio__walk *walk)
{
    directory *victim = NULL;
    for (epio_node *node = walk->open.next; node != &walk->open; node = node->next) {
        directory *one = EPIO_CONTAINER(node, directory, open);
        if (one->pins == 0 && !one->busy && (victim == NULL || one->depth < victim->depth)) {
            victim = one;
        }
    }
    return victim;
}

static void choose_victims(epio__walk *walk, walk_step *step)
{
    while (walk->open_count > walk->most_open && step->evicted_count < EPIO__WALK_OPENED) {
        directory *victim = find_victim(walk);
        if (victim == NULL) {
            return;
        }
        unlist_open(walk, victim);
        victim->busy = true;
        step->evicted[step->evicted_count++] = victim;
    }
}

void epio__walk_take_files_to_close(epio__walk *walk, walk_step *step)
{
    size_t most = sizeof step->to_close / sizeof step->to_close[0];
    while (walk->to_close_count != 0 && step->to_close_count < most) {
        step->to_close[step->to_close_count++] = walk->to_close[--walk->to_close_count];
    }
}

void epio__walk_clear(walk_step *step)
{
    step->to_close_count = 0;
    step->evicted_count = 0;
    step->base = NULL;
    step->again = NULL;
    step->again_count = 0;
    step->todo_count = 0;
    step->done = 0;
    step->opened_count = 0;
    step->left_open = 0;
    step->count = 0;
    step->text_len = 0;
    step->ran = false;
    step->full = false;
    step->found = false;
    step->error = 0;
    step->os_error = 0;
}

/* Gives a step what is to be read next. False: nothing, or not before another step has ended. */
bool epio__walk_prepare(epio__walk *walk, walk_step *step)
{
    directory *one = walk->stack;
    epio__walk_clear(step);
    if (one == NULL || one->busy) {
        return false;
    }
    directory *target = one->file != NULL ? NULL : one->waits ? one->parent : one;
    if (target != NULL) {
        step->base = find_base(target);
        if (step->base == NULL) {
            return false;
        }
        step->base->pins++;
        step->base->refs++;
        if (step->base != target) {
            open_again(walk, step, target);
        }
    }
    size_t most = (walk->stack_count + walk->most_steps - 1) / walk->most_steps;
    most = most < EPIO__WALK_DIRECTORIES ? most : EPIO__WALK_DIRECTORIES;
    unlist_open(walk, one);
    step->todo[step->todo_count++] = pop(walk);
    while (one->waits && step->todo_count < most && walk->stack != NULL && walk->stack->waits &&
           walk->stack->parent == one->parent) {
        step->todo[step->todo_count++] = pop(walk);
    }
    choose_victims(walk, step);
    epio__walk_take_files_to_close(walk, step);
    return true;
}

/* ---- What a step has done ---- */

/* Refuses directories that were entered before. */
static bool check_visited(epio__walk *walk, walk_step *step)
{
    for (size_t i = 0; i < step->count; i++) {
        epio_walk_entry *entry = &step->entries[i];
        const epio__walk_mark *mark = &step->marks[i];
        if (!entry->enter || !mark->identified) {
            continue;
        }
        int added = epio__visited_add(&walk->visited, mark->device, mark->id);
        if (added < 0) {
            epio__walk_end(walk, added, 0);
            return false;
        }
        if (added == 0) {
            entry->enter = false;
            entry->error = EPIO_ELOOP;
        }
    }
    return true;
}

/* A link that leads to the root is a loop. */
static void note_root(epio__walk *walk, const walk_step *step)
{
    const directory *one = step->todo_count != 0 ? step->todo[0] : NULL;
    if (one != NULL && one->parent == NULL && one->waits && one->identified &&
        epio__visited_add(&walk->visited, one->device, one->id) < 0) {
        epio__walk_end(walk, EPIO_ENOMEM, 0);
    }
}

/* `entries` may have brought them into another order, in which they keep the places that they had.
 * NULL: it has changed more than it may. */
static const epio__walk_mark *mark_of(const walk_step *step, const epio_walk_entry *entry)
{
    return entry->reserved[0] < step->count ? &step->marks[entry->reserved[0]] : NULL;
}

/* Reports the entries, and makes directories of those that are entered, in their order. */
static directory *report(epio__walk *walk, walk_step *step)
{
    bool follows = (walk->terms.flags & EPIO_WALK_FOLLOW) != 0;
    directory *first = NULL;
    if (step->count == 0 || walk->over || (follows && !check_visited(walk, step))) {
        return NULL;
    }
    for (size_t i = 0; i < step->count; i++) {
        step->marks[i].may_enter = step->entries[i].enter;
        step->entries[i].reserved[0] = i;
    }
    walk->reported += (int64_t)step->count;
    (void)epio__add_size(&walk->shown, step->count);
    if (walk->entries != NULL && !walk->entries(walk->op, step->entries, step->count)) {
        epio__walk_end(walk, EPIO_ECANCELED, 0);
    }
    for (size_t i = step->count; i-- > 0 && !walk->over;) {
        const epio_walk_entry *entry = &step->entries[i];
        const epio__walk_mark *mark = mark_of(step, entry);
        if (mark == NULL || !mark->may_enter) {
            continue;
        }
        if (!entry->enter) {
            if (follows && mark->identified) {
                epio__visited_remove(&walk->visited, mark->device, mark->id);
            }
            continue;
        }
        directory *one = epio__walk_new_directory(mark->in, entry);
        if (one == NULL) {
            epio__walk_end(walk, EPIO_ENOMEM, 0);
            break;
        }
        one->by_link = mark->by_link;
        one->next = first;
        first = one;
    }
    return first;
}

/* It was touched: it waits for the next step, or is left. */
static void put_back(epio__walk *walk, directory *one)
{
    one->was_read = one->finished;
    list_open(walk, one);
    if (one->waits && (one->file != NULL || one->finished)) {
        one->waits = false;
        if (one->parent != NULL) {
            one->parent->waiting--;
            settle(walk, one->parent);
        }
    }
    if (!one->finished) {
        epio__walk_push(walk, one);
        return;
    }
    settle(walk, one);
    release(walk, one);
}

/* The first of the list comes to lie on top. */
static void push_list(epio__walk *walk, directory *first)
{
    directory *reversed = NULL;
    while (first != NULL) {
        directory *next = first->next;
        first->next = reversed;
        reversed = first;
        first = next;
    }
    while (reversed != NULL) {
        directory *next = reversed->next;
        epio__walk_push(walk, reversed);
        reversed = next;
    }
}

static void put_back_all(epio__walk *walk, walk_step *step, directory *found)
{
    bool sorts = (walk->terms.flags & EPIO_WALK_SORTED) != 0;
    for (size_t i = step->todo_count; i-- > step->done;) {
        list_open(walk, step->todo[i]);
        epio__walk_push(walk, step->todo[i]);
    }
    bool finished = true;
    for (size_t i = 0; i < step->done; i++) {
        finished = step->todo[i]->finished;
        put_back(walk, step->todo[i]);
    }
    if (!sorts) {
        push_list(walk, found);
        return;
    }
    *walk->found_end = found;
    while (*walk->found_end != NULL) {
        walk->found_end = &(*walk->found_end)->next;
    }
    if (finished) {
        found = walk->found;
        walk->found = NULL;
        walk->found_end = &walk->found;
        push_list(walk, found);
    }
}

void epio__walk_deliver(epio__walk *walk, walk_step *step)
{
    for (size_t i = 0; i < step->to_close_count; i++) {
        close_later(walk, step->to_close[i]); /* it did not run */
    }
    for (size_t i = 0; i < step->evicted_count; i++) {
        step->evicted[i]->busy = false;
        list_open(walk, step->evicted[i]);
        settle(walk, step->evicted[i]);
    }
    for (size_t i = 0; i < step->again_count; i++) {
        step->opened[i]->busy = false;
        list_open(walk, step->opened[i]);
    }
    if (step->error != 0) {
        epio__walk_end(walk, step->error, step->os_error);
    }
    note_root(walk, step);
    directory *found = report(walk, step);
    if (step->base != NULL) {
        step->base->pins--;
    }
    put_back_all(walk, step, found);
    for (size_t i = 0; i < step->again_count; i++) {
        settle(walk, step->opened[i]);
        release(walk, step->opened[i]);
    }
    if (step->base != NULL) {
        settle(walk, step->base);
        release(walk, step->base);
    }
}

/* Releases all directories that are left. */
void epio__walk_leave(epio__walk *walk)
{
    while (walk->found != NULL) {
        directory *one = walk->found;
        walk->found = one->next;
        release(walk, one);
    }
    walk->found_end = &walk->found;
    while (walk->stack != NULL) {
        release(walk, pop(walk));
    }
}
