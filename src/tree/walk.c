/* epio_walk: its verb, and its steps by epio_perform or on a loop, several at once. What they do is
 * walk_plan.c's to say. */
#include "tree/walk.h"

#include "core/patience.h"
#include "core/struct_size.h"
#include "list.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_DIRECTORIES 32u
#define FEWEST_DIRECTORIES 4u
#define TEXT_SIZE ((size_t)128 << 10)
#define FEWEST_STEPS 8u /* those that wait for the disk need no processor */

typedef epio__walk_directory directory;
typedef epio__walk_step walk_step;

/* ---- Beginning and end ---- */

static int init_step(walk_step *step, epio__walk *walk)
{
    memset(step, 0, sizeof *step);
    step->walk = walk;
    step->entries = malloc(EPIO__WALK_BATCH * sizeof *step->entries);
    step->marks = malloc(EPIO__WALK_BATCH * sizeof *step->marks);
    step->infos = malloc(EPIO__WALK_BATCH * sizeof *step->infos);
    step->text = malloc(TEXT_SIZE);
    step->text_size = TEXT_SIZE;
    bool made =
        step->entries != NULL && step->marks != NULL && step->infos != NULL && step->text != NULL;
    return made ? 0 : EPIO_ENOMEM;
}

static void destroy_step(walk_step *step)
{
    free(step->entries);
    free(step->marks);
    free(step->infos);
    free(step->text);
    free(step->prefix);
    free(step->spare);
}

static void read_progress(epio_progress_source *source, epio_progress_info *info)
{
    epio__walk *walk = EPIO_CONTAINER(source, epio__walk, progress);
    info->files = epio__load_size(&walk->shown);
}

static void free_walk(epio__walk *walk)
{
    epio_progress_withdraw(&walk->progress);
    for (size_t i = 0; i < walk->step_count; i++) {
        destroy_step(walk->steps[i]);
        free(walk->steps[i]);
    }
    epio__visited_destroy(&walk->visited);
    free(walk->to_close);
    free(walk);
}

static walk_step *new_step(epio__walk *walk)
{
    walk_step *step = malloc(sizeof *step);
    if (step == NULL) {
        return NULL;
    }
    if (init_step(step, walk) < 0) {
        destroy_step(step);
        free(step);
        return NULL;
    }
    walk->steps[walk->step_count++] = step;
    return step;
}

static size_t choose_steps(const epio__walk *walk, uint32_t directories)
{
    size_t steps = epio__processor_count();
    size_t most = directories / 4;
    steps = steps < FEWEST_STEPS ? FEWEST_STEPS : steps;
    steps = steps < EPIO__WALK_MOST_STEPS ? steps : EPIO__WALK_MOST_STEPS;
    steps = steps < most ? steps : most;
    return walk->on_loop && (walk->terms.flags & EPIO_WALK_SORTED) == 0 ? steps : 1;
}

static epio__walk *new_walk(epio_op *op, bool on_loop)
{
    epio_walk_options options = {0};
    epio__walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return NULL;
    }
    if (op->arguments.walk.options != NULL) {
        (void)epio_options_take(&options, sizeof options, 0, op->arguments.walk.options);
    }
    uint32_t directories = options.directories != 0 ? options.directories : DEFAULT_DIRECTORIES;
    directories = directories > FEWEST_DIRECTORIES ? directories : FEWEST_DIRECTORIES;
    walk->op = op;
    walk->on_loop = on_loop;
    walk->entries = options.entries;
    walk->terms.vfs = op->arguments.walk.vfs;
    walk->terms.path = op->arguments.walk.path;
    walk->terms.flags = options.flags;
    walk->terms.patience = epio__patience_with(op, op->arguments.walk.vfs);
    walk->terms.deadline = on_loop ? 0 : op->timeout_ns;
    walk->terms.most_depth = options.most_depth != 0 ? options.most_depth : UINT32_MAX;
    walk->most_steps = choose_steps(walk, directories);
    walk->most_open = directories / 2;
    uint32_t share = (uint32_t)(directories / 2 / walk->most_steps);
    walk->terms.share = share < EPIO__WALK_OPENED ? share : EPIO__WALK_OPENED;
    walk->found_end = &walk->found;
    epio_list_init(&walk->open);
    directory *root = epio__walk_new_directory(NULL, NULL);
    if (root == NULL || new_step(walk) == NULL) {
        free(root);
        free_walk(walk);
        return NULL;
    }
    epio__walk_push(walk, root);
    walk->idle = walk->steps[0];
    epio_progress_publish(&walk->progress, op, read_progress);
    return walk;
}

static int64_t result_of(const epio__walk *walk)
{
    walk->op->os_error = walk->os_error;
    return walk->over ? walk->error : walk->reported;
}

/* ---- epio_perform ---- */

static void check_deadline(epio__walk *walk)
{
    uint64_t deadline = walk->terms.deadline;
    if (deadline != 0 && epio_clock_monotonic() >= deadline) {
        epio__walk_end(walk, EPIO_ETIMEDOUT, 0);
    }
}

static int64_t perform_walk(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__walk *walk = new_walk(op, false);
    if (walk == NULL) {
        return EPIO_ENOMEM;
    }
    walk_step *step = walk->idle;
    while (!walk->over && epio__walk_prepare(walk, step)) {
        epio__walk_step_run(step, &walk->terms);
        epio__walk_deliver(walk, step);
        check_deadline(walk);
    }
    epio__walk_leave(walk);
    while (walk->to_close_count != 0) {
        epio__walk_close_file(walk->to_close[--walk->to_close_count]);
    }
    int64_t result = result_of(walk);
    free_walk(walk);
    return result;
}

/* ---- On a loop ---- */

#if EPIO_ASYNC

static void advance(epio__walk *walk);

static int64_t run_step(epio_op *op)
{
    walk_step *step = op->user;
    epio__walk_step_run(step, &step->walk->terms);
    return 0;
}

static void step_ended(epio_op *op)
{
    walk_step *step = op->user;
    epio__walk *walk = step->walk;
    if (op->result < 0 && !step->ran) {
        epio__walk_end(walk, op->result, op->os_error);
        walk->close_here = true;
    }
    epio__walk_deliver(walk, step);
    step->next_idle = walk->idle;
    walk->idle = step;
    walk->running--;
    advance(walk);
}

/* By the loop's own VFS: a layer's `limit` would count the step beside what it does. */
static void submit_step(epio__walk *walk, walk_step *step)
{
    memset(&step->op, 0, sizeof step->op);
    step->op.user = step;
    step->op.done = step_ended;
    (void)epio_work(&step->op, epio_loop_vfs(walk->op->loop), run_step);
    if ((walk->op->state_flags & EPIO__FLAG_UNREFERENCED) != 0) {
        (void)epio_op_unref(&step->op);
    }
    walk->running++;
    epio_submit(&step->op);
}

static walk_step *take_idle(epio__walk *walk)
{
    walk_step *step = walk->idle;
    if (step == NULL && walk->step_count < walk->most_steps) {
        return new_step(walk);
    }
    walk->idle = step != NULL ? step->next_idle : NULL;
    return step;
}

/* Further steps close what is open; if they do not run, as the loop is closed, this thread does. */
static void end(epio__walk *walk)
{
    walk_step *step = walk->idle;
    epio__walk_leave(walk);
    walk->ended = true;
    while (walk->close_here && walk->to_close_count != 0) {
        epio__walk_close_file(walk->to_close[--walk->to_close_count]);
    }
    if (walk->to_close_count != 0) {
        walk->idle = step->next_idle;
        epio__walk_clear(step);
        epio__walk_take_files_to_close(walk, step);
        submit_step(walk, step);
        return;
    }
    epio_op *op = walk->op;
    int64_t result = result_of(walk);
    free_walk(walk);
    epio_complete(op, result);
}

static void advance(epio__walk *walk)
{
    while (!walk->over && walk->stack != NULL && walk->running < walk->most_steps) {
        walk_step *step = take_idle(walk);
        if (step == NULL) {
            break; /* fewer do */
        }
        if (!epio__walk_prepare(walk, step)) {
            step->next_idle = walk->idle;
            walk->idle = step;
            break;
        }
        submit_step(walk, step);
    }
    if (walk->running == 0) {
        end(walk);
    }
}

static void submit_walk(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__walk *walk = new_walk(op, true);
    if (walk == NULL) {
        epio_complete(op, EPIO_ENOMEM);
        return;
    }
    op->arguments.walk.state = walk;
    advance(walk);
}

/* It ends when the steps do. */
static void cancel_walk(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio__walk *walk = op->arguments.walk.state;
    if (walk->ended) {
        return;
    }
    epio__walk_end(walk, EPIO_ECANCELED, 0);
    for (size_t i = 0; i < walk->step_count; i++) {
        epio_cancel(&walk->steps[i]->op);
    }
}

#endif

static const epio_vfs_methods walk_methods = {
    .size = sizeof(epio_vfs_methods),
    .name = "walk",
#if EPIO_ASYNC
    .submit = submit_walk,
    .cancel = cancel_walk,
#endif
    .perform = perform_walk,
};

/* Of each epio_walk; the loop is that of the VFS that it walks. */
static epio_vfs walk_vfs = {&walk_methods, NULL};

epio_op *epio_walk(epio_op *op, epio_vfs *vfs, const char *path, const epio_walk_options *options)
{
    const uint32_t known =
        EPIO_WALK_STAT | EPIO_WALK_SORTED | EPIO_WALK_FOLLOW | EPIO_WALK_SAME_FILE_SYSTEM;
    epio_walk_options taken = {0};
    epio__verb_on_path(op, "epio_walk", EPIO_KIND_WALK, vfs, path, 0, 0);
    size_t size = options != NULL ? options->size : sizeof taken;
    bool sized = size >= EPIO__SIZE_UP_TO(epio_walk_options, entries);
    epio__verb_require(op, sized, EPIO__REASON_STRUCT_SIZE);
    bool valid = !sized || options == NULL || epio_options_take(&taken, sizeof taken, 0, options);
    epio__verb_require(op, valid, EPIO__REASON_STRUCT_FIELD);
    epio__verb_require(op, (taken.flags & ~known) == 0, EPIO__REASON_UNKNOWN_FLAGS);
    op->arguments.walk.options = options;
    op->arguments.walk.vfs = vfs;
    op->arguments.walk.state = NULL;
    if (op->state_flags == 0) {
        op->vfs = &walk_vfs; /* the loop stays that of `vfs` */
    }
    return op;
}
