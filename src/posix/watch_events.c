/* See watch_tree.h: what the events of inotify say, in their order, to each tree. */
#include "posix/watch_tree.h"

#include "list.h"
#include "posix/place.h"

#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* Those that say that a name is there, or not. */
#define OF_NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

static uint32_t type_of(const epio__watch_event *event)
{
    return (event->mask & IN_ISDIR) != 0 ? EPIO_TYPE_DIRECTORY : EPIO_TYPE_UNKNOWN;
}

static bool counts_for(const epio__watch_node *node, const epio__watch_event *event)
{
    return event->position >= node->from && !node->tree->ended;
}

static void drop_child(const epio__watch_node *node, const char *name)
{
    epio__watch_node *child = epio__watch_node_find(node, name);
    if (child != NULL) {
        (void)epio__watch_node_drop(child, SIZE_MAX);
    }
}

/* What has the name now, which is mostly what was made: the system says only whether that is a
 * directory. */
static uint32_t type_now(const epio__watch_node *node, const epio__watch_event *event)
{
    epio__watch_source *source = node->tree->source;
    char prefix[PATH_MAX + 1];
    struct stat status;
    if ((event->mask & IN_ISDIR) != 0 || !node->tree->live) {
        return type_of(event);
    }
    (void)snprintf(prefix, sizeof prefix, "%s/", node->tree->path);
    bool is =
        epio__watch_node_path(node, prefix, event->name, &source->path, &source->path_capacity) &&
        lstat(source->path, &status) == 0 && !S_ISDIR(status.st_mode);
    return is ? epio__type_of_mode(status.st_mode) : EPIO_TYPE_UNKNOWN;
}

/* ---- One name ---- */

static void note_removed(epio__watch_node *node, const epio__watch_event *event)
{
    const char *name = event->name;
    if (epio__watch_node_is_blind(node, event->position) && !epio__watch_node_knows(node, name)) {
        return; /* nobody has heard of it */
    }
    drop_child(node, name);
    epio__watch_node_unnote(node, name);
    epio__watch_tree_report(node, EPIO_EVENT_REMOVED, type_of(event), name, NULL, NULL);
}

/* What is made in a window was listed, or it was something else of that name, whose removal
 * follows. What is moved there may replace what was listed. */
static void note_made(epio__watch_node *node, const epio__watch_event *event)
{
    const char *name = event->name;
    bool known =
        epio__watch_node_is_blind(node, event->position) && epio__watch_node_knows(node, name);
    if (known && (event->mask & IN_MOVED_TO) == 0) {
        return;
    }
    if (known || epio__watch_node_find(node, name) != NULL) {
        drop_child(node, name);
        epio__watch_tree_report(node, EPIO_EVENT_REMOVED, EPIO_TYPE_UNKNOWN, name, NULL, NULL);
    }
    epio__watch_node_note(node, name);
    epio__watch_tree_report(node, EPIO_EVENT_MADE, type_now(node, event), name, NULL, NULL);
    if ((event->mask & IN_ISDIR) != 0) {
        epio__watch_tree_add_directory(node, name);
    }
}

/* ---- Changes of what a name names ---- */

/* A change under a name that a rename has just given may be queued before the rename, by so much at
 * most, but for a process that was stopped just there. */
#define LATE_RENAME_NS UINT64_C(10000000)

static void remember_change(epio__watch_source *source, const epio__watch_event *event)
{
    size_t slot = source->next_recent++ % EPIO__WATCH_RECENT;
    source->recent[slot].hash = epio__hash_name((uint64_t)event->wd, event->name);
    source->recent[slot].mask = event->mask;
    source->recent[slot].time = epio__monotonic_time();
}

static void report_change(epio__watch_node *node, uint32_t mask, uint32_t type, const char *name)
{
    if ((mask & IN_MODIFY) != 0) {
        epio__watch_tree_report(node, EPIO_EVENT_CHANGED, type, name, NULL, NULL);
    }
    if ((mask & IN_ATTRIB) != 0) {
        epio__watch_tree_report(node, EPIO_EVENT_ATTRIBUTES, type, name, NULL, NULL);
    }
}

static void repeat_changes(epio__watch_node *node, const epio__watch_event *target)
{
    const epio__watch_source *source = node->tree->source;
    uint64_t hash = epio__hash_name((uint64_t)target->wd, target->name);
    uint64_t now = epio__monotonic_time();
    uint32_t mask = 0;
    for (size_t i = 0; i < EPIO__WATCH_RECENT; i++) {
        if (source->recent[i].hash == hash && now - source->recent[i].time < LATE_RENAME_NS) {
            mask |= source->recent[i].mask;
        }
    }
    report_change(node, mask, type_of(target), target->name);
}

static void note_change(epio__watch_node *node, const epio__watch_event *event)
{
    if (epio__watch_node_is_blind(node, event->position) &&
        !epio__watch_node_knows(node, event->name)) {
        return;
    }
    report_change(node, event->mask, type_of(event), event->name);
}

/* ---- Renames ---- */

typedef enum presence { GONE, THERE, NOT_KNOWN } presence;

/* Is there something of that name now? NOT_KNOWN, and errno, if the directory cannot be asked. What
 * is GONE has its event in the queue: a list waits for that (watch_attach.c). */
static presence look_at(epio__watch_node *node, const char *name, uint32_t *type)
{
    _Alignas(uint64_t) char first[512];
    struct stat status;
    int directory = epio__watch_node_open(node);
    if (directory < 0) {
        return errno == EACCES || errno == EPERM ? GONE : NOT_KNOWN;
    }
    bool is = fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    *type = is && S_ISDIR(status.st_mode) ? EPIO_TYPE_DIRECTORY : EPIO_TYPE_FILE;
    if (!is) {
        (void)epio_list_entries(directory, first, sizeof first);
    }
    (void)close(directory);
    return is ? THERE : GONE;
}

/* It is not known what is in the directory, as it is not where the tree has it: so an event of its
 * own removes it, or one of those above it moves it. Then all that is in it is reported again. */
static void doubt(epio__watch_node *node, int error)
{
    if (error != ESTALE || node->parent == NULL) {
        epio__watch_tree_break(node->tree, error);
    } else if (node->waiting.next == NULL) {
        epio_list_append(&node->tree->doubtful, &node->waiting);
    }
}

static void make_again(epio__watch_node *node)
{
    epio__watch_event event = {.position = UINT64_MAX, .mask = IN_MOVED_TO | IN_ISDIR};
    (void)snprintf(event.name, sizeof event.name, "%s", node->name);
    note_made(node->parent, &event);
}

/* Directories were moved: those that were not found may be. */
static void look_again(epio__watch_tree *tree)
{
    epio__watch_tree_free_stranded(tree);
    while (!epio_list_empty(&tree->doubtful)) {
        make_again(EPIO_CONTAINER(tree->doubtful.next, epio__watch_node, waiting));
    }
}

/* An exchange is queued as two renames, the second the reverse of the first. After a rename, in
 * contrast, the old name is gone. If it is gone after an exchange, too, then all of this is queued.
 */
static void note_exchange(epio__watch_node *node, const epio__watch_event *event,
                          const epio__watch_event *target)
{
    epio__watch_exchange *exchange = &node->tree->exchange;
    epio__watch_queue *queue = &node->tree->source->queue;
    uint32_t type;
    presence old = look_at(node, event->name, &type);
    (void)epio__watch_queue_fill(queue);
    if (old != GONE || epio__watch_queue_has_move(queue, target->wd, target->name)) {
        exchange->from_wd = event->wd;
        exchange->to_wd = target->wd;
        memcpy(exchange->from, event->name, sizeof exchange->from);
        memcpy(exchange->to, target->name, sizeof exchange->to);
    }
}

static bool ends_exchange(const epio__watch_tree *tree, const epio__watch_event *event,
                          const epio__watch_event *target)
{
    const epio__watch_exchange *exchange = &tree->exchange;
    return exchange->from_wd != 0 && exchange->from_wd == target->wd &&
           exchange->to_wd == event->wd && strcmp(exchange->from, target->name) == 0 &&
           strcmp(exchange->to, event->name) == 0;
}

/* Something of the old name was made, or removed: that is why it is there. */
static void end_exchange(epio__watch_tree *tree, const epio__watch_event *event)
{
    epio__watch_exchange *exchange = &tree->exchange;
    if (exchange->from_wd == event->wd && strcmp(exchange->from, event->name) == 0) {
        exchange->from_wd = 0;
    }
}

/* The name was removed since nothing has it now. If what had it was moved on, that is queued. */
static void loosen(const epio__watch_node *node, const epio__watch_event *event)
{
    epio__watch_tree *tree = node->tree;
    epio__watch_loose *slot = &tree->loose[tree->next_loose++ % EPIO__WATCH_LOOSE];
    if (slot->until > tree->loose_until) {
        tree->loose_until = slot->until;
    }
    slot->hash = epio__hash_name((uint64_t)event->wd, event->name);
    slot->until = epio__watch_queue_end(&tree->source->queue);
}

static bool is_loose(const epio__watch_node *node, const epio__watch_event *event)
{
    const epio__watch_tree *tree = node->tree;
    uint64_t hash = epio__hash_name((uint64_t)event->wd, event->name);
    bool is = event->position < tree->loose_until;
    for (size_t i = 0; i < EPIO__WATCH_LOOSE; i++) {
        is = is || (tree->loose[i].hash == hash && event->position < tree->loose[i].until);
    }
    return is;
}

/* A name from which something was moved, it is not known whereto. After an exchange there is
 * something else; if that is a later one, it is only made twice. */
static void note_moved_away(epio__watch_node *node, const epio__watch_event *event)
{
    uint32_t type;
    note_removed(node, event);
    presence now = look_at(node, event->name, &type);
    if (now == THERE) {
        epio__watch_event made = *event;
        made.mask = IN_MOVED_TO | (type == EPIO_TYPE_DIRECTORY ? IN_ISDIR : 0);
        note_made(node, &made);
    } else if (now == NOT_KNOWN) {
        doubt(node, errno);
    } else {
        loosen(node, event);
    }
}

/* The second half of an exchange: what the first has moved stays, if it is there. Else this may be
 * a rename, back to the old name; or it was moved once more, by an event that is queued. */
static void note_exchanged(epio__watch_node *node, const epio__watch_event *event,
                           const epio__watch_event *target)
{
    epio__watch_tree *tree = node->tree;
    uint32_t type;
    presence now = look_at(node, event->name, &type);
    if (now == GONE) {
        note_removed(node, event);
        loosen(node, event);
    } else if (now == NOT_KNOWN) {
        doubt(node, errno);
    }
    epio__watch_node *to = epio__watch_node_of_wd(tree, target->wd);
    if (to != NULL) {
        note_made(to, target);
    }
}

/* Does the rename lead from what the tree has to where it may go, for certain? */
static bool is_exact(const epio__watch_node *node, const epio__watch_event *event,
                     const epio__watch_node *to, const epio__watch_event *target)
{
    if (is_loose(node, event) || epio__watch_node_is_blind(node, event->position) ||
        epio__watch_node_is_blind(to, target->position)) {
        return false;
    }
    const epio__watch_node *child = epio__watch_node_find(node, event->name);
    if (!node->tree->watch->recursive || (event->mask & IN_ISDIR) == 0) {
        return child == NULL;
    }
    return child != NULL && child->inode != NULL && child->waiting.next == NULL &&
           !epio__watch_node_is_blind(child, event->position) &&
           !epio__watch_node_is_below(to, child);
}

static void report_renamed(epio__watch_node *node, const epio__watch_event *event,
                           epio__watch_node *to, const epio__watch_event *target)
{
    epio__watch_tree *tree = node->tree;
    epio__watch_node *child = epio__watch_node_find(node, event->name);
    epio__watch_node *replaced = epio__watch_node_find(to, target->name);
    if (replaced != NULL && replaced != child) {
        (void)epio__watch_node_drop(replaced, SIZE_MAX);
    }
    epio__watch_node_unnote(node, event->name);
    epio__watch_node_note(to, target->name);
    epio__watch_tree_report(to, EPIO_EVENT_RENAMED, type_of(event), target->name, node,
                            event->name);
    repeat_changes(to, target);
    if (child != NULL) {
        if (!epio__watch_node_move(child, to, target->name)) {
            epio__watch_tree_break(tree, ENOMEM);
        }
        look_again(tree);
    }
}

static void note_removed_and_made(epio__watch_node *node, const epio__watch_event *event,
                                  const epio__watch_event *target)
{
    epio__watch_tree *tree = node->tree;
    note_moved_away(node, event);
    /* What was removed may have been above the place where it goes. */
    epio__watch_node *to = epio__watch_node_of_wd(tree, target->wd);
    if (to != NULL) {
        note_made(to, target);
    }
    look_again(tree);
}

static void note_renamed(epio__watch_node *node, const epio__watch_event *event,
                         epio__watch_node *to, const epio__watch_event *target)
{
    epio__watch_tree *tree = node->tree;
    tree->event_count = tree->source->event_count;
    if (ends_exchange(tree, event, target)) {
        tree->exchange.from_wd = 0;
        note_exchanged(node, event, target);
        return;
    }
    end_exchange(tree, event);
    end_exchange(tree, target);
    if (is_exact(node, event, to, target)) {
        report_renamed(node, event, to, target);
    } else {
        note_removed_and_made(node, event, target);
    }
    node = epio__watch_node_of_wd(tree, event->wd);
    if (node != NULL) {
        note_exchange(node, event, target);
    }
}

/* Of what was moved out of a tree, or into it, that tree has only one half. */
static void note_moved(epio__watch_source *source, const epio__watch_event *event)
{
    epio__watch_event target;
    bool paired = epio__watch_queue_take_target(&source->queue, event->cookie, &target);
    epio__watch_inode *inode = epio__watch_inode_find(source, event->wd);
    epio__watch_node *next = NULL;
    for (epio__watch_node *node = inode->nodes; node != NULL; node = next) {
        next = node->next_of_inode;
        epio__watch_node *to = paired ? epio__watch_node_of_wd(node->tree, target.wd) : NULL;
        if (!counts_for(node, event)) {
            continue;
        }
        if (to != NULL && counts_for(to, &target)) {
            note_renamed(node, event, to, &target);
        } else {
            end_exchange(node->tree, event);
            note_moved_away(node, event);
        }
    }
    inode = paired ? epio__watch_inode_find(source, target.wd) : NULL;
    for (epio__watch_node *to = inode != NULL ? inode->nodes : NULL; to != NULL; to = next) {
        next = to->next_of_inode;
        if (counts_for(to, &target) && to->tree->event_count != source->event_count) {
            end_exchange(to->tree, &target);
            note_made(to, &target);
        }
    }
}

/* ---- All events ---- */

static void note_for(epio__watch_node *node, const epio__watch_event *event)
{
    if ((event->mask & OF_NAMES) != 0) {
        end_exchange(node->tree, event);
    }
    if ((event->mask & IN_DELETE) != 0) {
        note_removed(node, event);
    } else if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
        note_made(node, event);
    } else {
        note_change(node, event);
    }
}

/* The kernel has ceased to watch it: it is removed, or its file system unmounted. */
static void note_gone(epio__watch_source *source, epio__watch_inode *inode)
{
    for (epio__watch_node *node = inode->nodes; node != NULL; node = node->next_of_inode) {
        if (node->parent == NULL && !node->tree->ended) {
            node->tree->ended = true;
            if (node->tree->live) {
                epio__watch_report_end(node->tree->watch);
            }
        }
    }
    epio__watch_inode_forget(source, inode);
}

/* Of the watched directory itself. */
static void note_self(const epio__watch_inode *inode, const epio__watch_event *event)
{
    for (epio__watch_node *node = inode->nodes; node != NULL; node = node->next_of_inode) {
        if ((event->mask & IN_MOVE_SELF) != 0 && node->parent == NULL) {
            epio__watch_tree_locate(node->tree);
        }
    }
}

static void note_overflow(epio__watch_source *source)
{
    for (epio_node *at = source->trees.next; at != &source->trees; at = at->next) {
        epio__watch_tree *tree = EPIO_CONTAINER(at, epio__watch_tree, in_source);
        if (!tree->ended) {
            epio__watch_tree_rebuild(tree);
        }
    }
}

static void note(epio__watch_source *source, const epio__watch_event *event)
{
    epio__watch_inode *inode = epio__watch_inode_find(source, event->wd);
    epio__watch_node *next = NULL;
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        note_overflow(source);
    } else if (inode == NULL) {
        return; /* of what is not watched any more */
    } else if ((event->mask & IN_IGNORED) != 0) {
        note_gone(source, inode);
    } else if (event->name[0] == '\0') {
        note_self(inode, event);
    } else if ((event->mask & IN_MOVED_FROM) != 0) {
        note_moved(source, event);
    } else {
        for (epio__watch_node *node = inode->nodes; node != NULL; node = next) {
            next = node->next_of_inode;
            if (counts_for(node, event)) {
                note_for(node, event);
            }
        }
        if ((event->mask & (IN_MODIFY | IN_ATTRIB)) != 0) {
            remember_change(source, event);
        }
    }
}

static void end_windows(epio__watch_source *source)
{
    uint64_t position = epio__watch_queue_position(&source->queue);
    while (!epio_list_empty(&source->windows)) {
        epio__watch_node *node = EPIO_CONTAINER(source->windows.next, epio__watch_node, in_window);
        if (node->window_end > position) {
            return;
        }
        epio__watch_node_settle(node);
    }
}

bool epio__watch_source_step(epio__watch_source *source)
{
    epio__watch_event event;
    if (!epio__watch_queue_take(&source->queue, &event)) {
        return false;
    }
    source->event_count++;
    note(source, &event);
    end_windows(source);
    return true;
}
