/* See memory_watch.h. A watch is in a list of its directory; a change goes up from the directory
 * where it is, as far as there are directories. */
#include "layers/memory_watch.h"

#include "kinds.h"
#include "list.h"

#include <stdlib.h>
#include <string.h>

/* The source of a watch. */
typedef struct memory_watch {
    epio_node node; /* in directory->watches */
    epio__memory_node *directory;
    epio__watch *watch;
} memory_watch;

static memory_watch *watch_of(epio_node *node)
{
    return EPIO_CONTAINER(node, memory_watch, node);
}

/* ---- Open and close ---- */

int64_t epio__memory_watch_open(const epio__memory_start *from, epio_vfs *vfs, epio_op *op)
{
    epio__memory_walk walk;
    if ((op->flags & EPIO_WATCH_COMPARE) != 0) {
        return EPIO_ENOTSUP;
    }
    int result = epio__memory_walk_path(&walk, from, op->arguments.path.path,
                                        EPIO__MEMORY_FOLLOW | EPIO__MEMORY_DIRECTORY);
    if (result < 0) {
        return result;
    }
    if (!epio__memory_permits(walk.node, EPIO__MEMORY_READ)) {
        return EPIO_EACCES;
    }
    epio__watch *watch = epio__watch_create(vfs, op->flags);
    memory_watch *source = calloc(1, sizeof *source);
    if (watch == NULL || source == NULL) {
        if (watch != NULL) {
            epio__watch_free(watch);
        }
        free(source);
        return EPIO_ENOMEM;
    }
    *source = (memory_watch){.directory = walk.node, .watch = watch};
    epio_list_append(&walk.node->watches, &source->node);
    walk.node->references++;
    from->tree->watches++;
    watch->source = source;
    op->file = &watch->base;
    return 0;
}

void epio__memory_watch_end(epio__memory_tree *tree, epio__watch *watch)
{
    memory_watch *source = watch->source;
    epio_list_remove(&source->node);
    epio__memory_node_release(source->directory);
    tree->watches--;
    free(source);
}

/* ---- Names ---- */

/* The name of an entry, relative to a watched directory. */
typedef struct relative_name {
    char *text; /* NULL: no memory */
    char room[512];
} relative_name;

static size_t length_of(const epio__memory_node *watched, const epio__memory_entry *entry)
{
    size_t len = entry->len;
    for (; entry->directory != watched; len += entry->len + 1) {
        entry = entry->directory->name;
    }
    return len;
}

static void make_name(relative_name *name, const epio__memory_node *watched,
                      const epio__memory_entry *entry)
{
    size_t at = length_of(watched, entry);
    name->text = at < sizeof name->room ? name->room : malloc(at + 1);
    if (name->text == NULL) {
        return;
    }
    name->text[at] = '\0';
    for (;;) {
        at -= entry->len;
        memcpy(name->text + at, entry->name, entry->len);
        if (entry->directory == watched) {
            return;
        }
        name->text[--at] = '/';
        entry = entry->directory->name;
    }
}

static void drop_name(relative_name *name)
{
    if (name->text != name->room) {
        free(name->text);
    }
}

/* ---- Reports ---- */

static void report(const memory_watch *to, uint32_t kind, const epio__memory_node *node,
                   const epio__memory_entry *entry, const epio__memory_entry *from)
{
    relative_name name, old;
    make_name(&name, to->directory, entry);
    make_name(&old, to->directory, from != NULL ? from : entry);
    if (name.text == NULL || old.text == NULL) {
        epio__watch_report(to->watch, EPIO_EVENT_OVERFLOW, EPIO_TYPE_UNKNOWN, "", NULL);
    } else {
        epio__watch_report(to->watch, kind, node->type, name.text, from != NULL ? old.text : NULL);
    }
    drop_name(&name);
    drop_name(&old);
}

/* The entry that follows in a tree, a directory before what is in it; NULL: none. */
static const epio__memory_entry *next_below(const epio__memory_node *top,
                                            const epio__memory_entry *at)
{
    if (at->node->entries != NULL) {
        return epio__memory_entry_after(at->node, "", 0);
    }
    for (;;) {
        const epio__memory_entry *next = epio__memory_entry_after(at->directory, at->name, at->len);
        if (next != NULL || at->directory == top) {
            return next;
        }
        at = at->directory->name;
    }
}

static void report_with_contents(const memory_watch *to, const epio__memory_entry *entry)
{
    const epio__memory_node *top = entry->node;
    report(to, EPIO_EVENT_MADE, entry->node, entry, NULL);
    if (!to->watch->recursive || top->entries == NULL) {
        return;
    }
    const epio__memory_entry *at = epio__memory_entry_after(top, "", 0);
    for (; at != NULL; at = next_below(top, at)) {
        report(to, EPIO_EVENT_MADE, at->node, at, NULL);
    }
}

/* ---- Which watches see a change ---- */

static bool sees(const memory_watch *one, const epio__memory_entry *entry)
{
    const epio__memory_node *directory = entry->directory;
    while (one->watch->recursive && directory != one->directory && directory->name != NULL) {
        directory = directory->parent;
    }
    return directory == one->directory;
}

/* The next watch that sees an entry, after `at` in the list of *directory; NULL: none. */
static memory_watch *next_seeing(const epio__memory_entry *entry, epio__memory_node **directory,
                                 epio_node *at)
{
    for (;;) {
        for (at = at->next; at != &(*directory)->watches; at = at->next) {
            if (*directory == entry->directory || watch_of(at)->watch->recursive) {
                return watch_of(at);
            }
        }
        if ((*directory)->name == NULL) {
            return NULL;
        }
        *directory = (*directory)->parent;
        at = &(*directory)->watches;
    }
}

/* What one entry's change means for a watch that sees it, `other` being a second entry. */
typedef void change(const memory_watch *to, const epio__memory_entry *entry,
                    const epio__memory_entry *other);

static void for_each_seeing(const epio__memory_entry *entry, const epio__memory_entry *other,
                            change *each)
{
    epio__memory_node *directory = entry->directory;
    memory_watch *one = next_seeing(entry, &directory, &directory->watches);
    while (one != NULL) {
        each(one, entry, other);
        one = next_seeing(entry, &directory, &one->node);
    }
}

static void report_changed(const memory_watch *to, const epio__memory_entry *entry,
                           const epio__memory_entry *other)
{
    (void)other;
    report(to, EPIO_EVENT_CHANGED, entry->node, entry, NULL);
}

static void report_attributes(const memory_watch *to, const epio__memory_entry *entry,
                              const epio__memory_entry *other)
{
    (void)other;
    report(to, EPIO_EVENT_ATTRIBUTES, entry->node, entry, NULL);
}

static void report_made(const memory_watch *to, const epio__memory_entry *entry,
                        const epio__memory_entry *other)
{
    (void)other;
    report_with_contents(to, entry);
}

static void report_removed(const memory_watch *to, const epio__memory_entry *entry,
                           const epio__memory_entry *other)
{
    (void)other;
    report(to, EPIO_EVENT_REMOVED, entry->node, entry, NULL);
}

/* Of the old name. */
static void report_moved_from(const memory_watch *to, const epio__memory_entry *entry,
                              const epio__memory_entry *other)
{
    if (sees(to, other)) {
        report(to, EPIO_EVENT_RENAMED, other->node, other, entry);
    } else {
        report(to, EPIO_EVENT_REMOVED, entry->node, entry, NULL);
    }
}

static void report_moved_to(const memory_watch *to, const epio__memory_entry *entry,
                            const epio__memory_entry *other)
{
    if (!sees(to, other)) {
        report_with_contents(to, entry);
    }
}

/* Of the first name: what had it has the other now. */
static void report_exchanged(const memory_watch *to, const epio__memory_entry *entry,
                             const epio__memory_entry *other)
{
    if (sees(to, other)) {
        report(to, EPIO_EVENT_RENAMED, other->node, other, entry);
    } else {
        report(to, EPIO_EVENT_REMOVED, other->node, entry, NULL);
    }
    report_with_contents(to, entry);
}

static void report_exchanged_other(const memory_watch *to, const epio__memory_entry *entry,
                                   const epio__memory_entry *other)
{
    if (!sees(to, other)) {
        report(to, EPIO_EVENT_REMOVED, other->node, entry, NULL);
        report_with_contents(to, entry);
    }
}

/* ---- Changes ---- */

static change *change_of(const epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_OPEN:
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
    case EPIO_KIND_APPEND:
    case EPIO_KIND_TRUNCATE:
    case EPIO_KIND_ALLOCATE:
    case EPIO_KIND_PUNCH_HOLE:
    case EPIO_KIND_ZERO_RANGE:
    case EPIO_KIND_COPY_RANGE:
        return report_changed;
    case EPIO_KIND_SET_TIMES:
    case EPIO_KIND_FILE_SET_TIMES:
    case EPIO_KIND_SET_MODE:
    case EPIO_KIND_FILE_SET_MODE:
    case EPIO_KIND_SET_OWNER:
    case EPIO_KIND_FILE_SET_OWNER:
    case EPIO_KIND_SET_XATTR:
    case EPIO_KIND_FILE_SET_XATTR:
    case EPIO_KIND_REMOVE_XATTR:
    case EPIO_KIND_FILE_REMOVE_XATTR:
        return report_attributes;
    default:
        return NULL;
    }
}

/* Has it changed anything? A transfer that failed has perhaps written a part. */
static bool has_changed(const epio_op *op, int64_t result)
{
    switch (op->kind) {
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
    case EPIO_KIND_APPEND:
        return epio_op_bytes(op) != 0;
    case EPIO_KIND_COPY_RANGE:
        return result > 0;
    default:
        return result >= 0;
    }
}

void epio__memory_watch_changed(const epio__memory_tree *tree, const epio_op *op, int64_t result,
                                epio__memory_node *node)
{
    change *each = tree->watches != 0 ? change_of(op) : NULL;
    if (each == NULL || !has_changed(op, result)) {
        return;
    }
    for (epio_node *at = node->names.next; at != &node->names; at = at->next) {
        for_each_seeing(EPIO_CONTAINER(at, epio__memory_entry, other), NULL, each);
    }
}

void epio__memory_watch_made(const epio__memory_tree *tree, const epio__memory_entry *entry)
{
    if (tree->watches != 0) {
        for_each_seeing(entry, NULL, report_made);
    }
}

void epio__memory_watch_replaced(const epio__memory_tree *tree, const epio__memory_node *node)
{
    if (tree->watches == 0) {
        return;
    }
    for (epio_node *at = node->watches.next; at != &node->watches; at = at->next) {
        epio__watch_report_end(watch_of(at)->watch);
    }
}

void epio__memory_watch_removed(const epio__memory_tree *tree, const epio__memory_entry *entry)
{
    if (tree->watches != 0) {
        for_each_seeing(entry, NULL, report_removed);
        epio__memory_watch_replaced(tree, entry->node);
    }
}

void epio__memory_watch_renamed(const epio__memory_tree *tree, const epio__memory_entry *from,
                                const epio__memory_entry *to)
{
    if (tree->watches != 0) {
        for_each_seeing(from, to, report_moved_from);
        for_each_seeing(to, from, report_moved_to);
    }
}

void epio__memory_watch_exchanged(const epio__memory_tree *tree, const epio__memory_entry *one,
                                  const epio__memory_entry *other)
{
    if (tree->watches != 0) {
        for_each_seeing(one, other, report_exchanged);
        for_each_seeing(other, one, report_exchanged_other);
    }
}
