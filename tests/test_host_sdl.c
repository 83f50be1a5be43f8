/* A loop in SDL's, as docs/embedding.md has it: events, drawing, a poll. The cases are in
 * support/host_cases.c. */
#define SDL_MAIN_HANDLED
#include "host.h"

#include <SDL.h>

static Uint32 event_of_epio;
static Uint32 event_of_call;
static epio_loop *attached;
static bool is_ready;

/* Drawings that are due. */
static struct {
    void (*function)(void *user);
    void *user;
} drawings[64];
static int drawing_count;

struct call {
    void (*function)(void *user);
    void *user;
};

static void start(void)
{
    host_require(SDL_Init(SDL_INIT_EVENTS) == 0, "SDL_Init");
    event_of_epio = SDL_RegisterEvents(2);
    event_of_call = event_of_epio + 1;
}

static void stop(void)
{
    SDL_Quit();
}

static void push_event(void *user)
{
    SDL_Event event;

    (void)user;
    SDL_zero(event);
    event.type = event_of_epio;
    (void)SDL_PushEvent(&event);
}

static void attach(epio_loop *loop)
{
    attached = loop;
    host_require(epio_loop_on_ready(loop, push_event, NULL) == 0, "epio_loop_on_ready");
}

static void detach(void)
{
    host_require(epio_loop_on_ready(attached, NULL, NULL) == 0, "epio_loop_on_ready");
    SDL_FlushEvent(event_of_epio);
    is_ready = false;
}

static void handle(const SDL_Event *event)
{
    if (event->type == event_of_epio) {
        is_ready = true;
    } else if (event->type == event_of_call) {
        struct call call = *(struct call *)event->user.data1;

        SDL_free(event->user.data1);
        call.function(call.user);
    }
}

static void draw(void)
{
    int i;

    for (i = 0; i < drawing_count; i++) {
        drawings[i].function(drawings[i].user);
    }
    drawing_count = 0;
}

static void iterate(int milliseconds)
{
    SDL_Event event;

    if (SDL_WaitEventTimeout(&event, milliseconds)) {
        do {
            handle(&event);
        } while (SDL_PollEvent(&event));
    }
    draw();
    if (is_ready) {
        is_ready = false;
        (void)host_poll(attached, EPIO_NOW, 0);
    }
}

static void post(void (*function)(void *user), void *user)
{
    struct call *call = SDL_malloc(sizeof *call);
    SDL_Event event;

    host_require(call != NULL, "memory");
    call->function = function;
    call->user = user;
    SDL_zero(event);
    event.type = event_of_call;
    event.user.data1 = call;
    host_require(SDL_PushEvent(&event) == 1, "SDL_PushEvent");
}

static void post_drawing(void (*function)(void *user), void *user)
{
    host_require(drawing_count < 64, "room for drawings");
    drawings[drawing_count].function = function;
    drawings[drawing_count++].user = user;
}

int main(void)
{
    static const host sdl = {
        .name = "SDL",
        .start = start,
        .stop = stop,
        .attach = attach,
        .detach = detach,
        .iterate = iterate,
        .post = post,
        .post_drawing = post_drawing,
        .nests = true,
    };
    SDL_SetMainReady();
    return host_run(&sdl);
}
