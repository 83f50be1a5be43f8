/* What the examples of hosts share: a file that is loaded, and saved under another name if there is
 * one, while the host draws frames, whose gaps are measured. The host calls load_frame for each of
 * them, until it returns false. How epio is embedded is in the examples themselves. */
#ifndef EXAMPLES_LOAD_H
#define EXAMPLES_LOAD_H

#include <epio/epio.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_MIB ((uint64_t)1 << 20)

/* How much a frame may be delayed if it becomes due during a poll, in nanoseconds. */
#define LOAD_POLL_BUDGET 2000000

/* Workers that copy bytes give way to what draws, here and in the display server. */
#define LOAD_NICE 10

/* Between two frames, in milliseconds, where the host does not say it. */
#define LOAD_FRAME_MS 16

/* Drawn before and after: a new window needs some frames until its rate is steady. */
#define LOAD_FRAMES_AROUND 30

enum load_phase { LOAD_WAITING, LOAD_LOADING, LOAD_SAVING, LOAD_ENDED };

struct load_frames {
    unsigned drawn;
    uint64_t longest; /* nanoseconds, as all times here */
    uint64_t began;   /* the phase */
    uint64_t took;
};

struct load {
    epio_loop *loop;
    const char *path;
    const char *copy; /* NULL: it is not saved */
    epio_op op;
    epio_buffer buffer;
    int64_t error;
    enum load_phase phase;
    enum load_phase phase_of_frame; /* at the last frame */
    uint64_t latest_frame;
    struct load_frames frames[4]; /* in each phase */
};

static inline const char *load_usage(void)
{
    return "[--create MIB] FILE [COPY]";
}

/* ---- The file ----------------------------------------------------------- */

static inline int64_t load_create_file(const char *path, uint64_t size)
{
    static char block[LOAD_MIB / 8];
    epio_op op = EPIO_OP_INIT;
    int64_t result = epio_perform(epio_open(
        &op, epio_os_vfs(), path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE));
    epio_file *file = op.file;
    uint64_t at;

    for (at = 0; result >= 0 && at < size; at += sizeof block) {
        memset(block, (int)(at / sizeof block), sizeof block);
        result = epio_perform(epio_write(&op, file, block, sizeof block, at));
    }
    if (file != NULL) {
        int64_t closed = epio_perform(epio_close(&op, file));

        result = result < 0 ? result : closed;
    }
    return result;
}

/* ---- Loading and saving ---------------------------------------------------- */

static inline void load_enter(struct load *load, enum load_phase phase)
{
    uint64_t now = epio_clock_monotonic();

    load->frames[load->phase].took = now - load->frames[load->phase].began;
    load->frames[phase].began = now;
    load->phase = phase;
}

static inline void load_saved(epio_op *op)
{
    struct load *load = (struct load *)op->user;

    load->error = op->result < 0 ? op->result : 0;
    load_enter(load, LOAD_ENDED);
}

static inline void load_loaded(epio_op *op)
{
    struct load *load = (struct load *)op->user;

    if (op->result < 0 || load->copy == NULL) {
        load_saved(op);
        return;
    }
    load_enter(load, LOAD_SAVING);
    op->done = load_saved;
    epio_submit(epio_save(op, epio_loop_vfs(load->loop), load->copy, load->buffer.data,
                          load->buffer.len, NULL));
}

static inline void load_begin(struct load *load)
{
    load_enter(load, LOAD_LOADING);
    load->buffer.size = sizeof load->buffer;
    load->op.done = load_loaded;
    load->op.user = load;
    epio_submit(epio_load(&load->op, epio_loop_vfs(load->loop), load->path, &load->buffer, NULL));
}

/* How much of what is done now is done: from 0 to 1. */
static inline double load_part(const struct load *load)
{
    epio_progress_info info;

    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    if (epio_progress(&load->op, &info) != 0 || info.total_bytes == 0) {
        return load->phase == LOAD_ENDED ? 1 : 0;
    }
    return (double)info.bytes / (double)info.total_bytes;
}

/* ---- Frames --------------------------------------------------------------- */

/* For each frame that the host draws. False: the program ends. */
static inline bool load_frame(struct load *load)
{
    uint64_t now = epio_clock_monotonic();
    enum load_phase phase = load->phase_of_frame;
    struct load_frames *frames = &load->frames[phase];

    if (load->latest_frame != 0 && now - load->latest_frame > frames->longest) {
        frames->longest = now - load->latest_frame;
    }
    load->latest_frame = now;
    load->frames[load->phase].drawn++;
    if (load->phase == LOAD_WAITING && load->frames[LOAD_WAITING].drawn >= LOAD_FRAMES_AROUND) {
        load_begin(load);
    }
    load->phase_of_frame = load->phase;
    return load->frames[LOAD_ENDED].drawn < LOAD_FRAMES_AROUND;
}

/* ---- The program ------------------------------------------------------------ */

/* Ends the program if it is asked for help, to which the host may add a line. Before a host is
 * started that needs a screen. */
static inline void load_help(int argc, char **argv, const char *more)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf(
            "usage: %s %s\n\n"
            "Loads FILE, and saves it as COPY, while it draws frames, and prints the longest gap "
            "between\ntwo of them. --create MIB makes FILE first.\n%s",
            argv[0], load_usage(), more);
        exit(0);
    }
}

/* 0, or the exit status of main. */
static inline int load_start(struct load *load, int argc, char **argv)
{
    epio_loop_options options;
    int64_t result = 0;
    int at = 1;

    load_help(argc, argv, "");
    if (argc > 3 && strcmp(argv[1], "--create") == 0) {
        result = load_create_file(argv[3], strtoull(argv[2], NULL, 10) * LOAD_MIB);
        at = 3;
    }
    if (argc <= at || argc > at + 2 || argv[at][0] == '-') {
        fprintf(stderr, "usage: %s %s\n", argv[0], load_usage());
        return 2;
    }
    load->path = argv[at];
    load->copy = argv[at + 1]; /* NULL is behind the last argument */
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.poll_budget_ns = LOAD_POLL_BUDGET;
    options.worker_nice = LOAD_NICE;
    if (result >= 0) {
        result = epio_loop_create(&load->loop, &options);
    }
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", load->path, epio_error_message(result));
        return 1;
    }
    return 0;
}

static inline void load_tell(const struct load *load, enum load_phase phase, const char *what)
{
    const struct load_frames *frames = &load->frames[phase];

    printf("%" PRIu64 " MiB %s in %.0f ms: %u frames, longest gap %.1f ms\n",
           (uint64_t)load->buffer.len / LOAD_MIB, what, (double)frames->took / 1e6, frames->drawn,
           (double)frames->longest / 1e6);
}

/* The loop is detached from the host, which may have ended early. The exit status of main. */
static inline int load_finish(struct load *load)
{
    bool early = load->phase != LOAD_ENDED;

    (void)epio_loop_close(load->loop, EPIO_FOREVER);
    epio_loop_destroy(load->loop);
    if (load->error < 0 && !early) {
        fprintf(stderr, "%s: %s\n", load->path, epio_error_message(load->error));
    } else if (!early) {
        load_tell(load, LOAD_LOADING, "loaded");
        if (load->copy != NULL) {
            load_tell(load, LOAD_SAVING, "saved");
        }
    }
    epio_buffer_free(&load->buffer);
    return load->error < 0 && !early ? 1 : 0;
}

/* The host cannot be started, or the loop not be embedded. */
static inline int load_fail(struct load *load, const char *why)
{
    fprintf(stderr, "%s\n", why);
    epio_loop_destroy(load->loop);
    return 1;
}

#endif
