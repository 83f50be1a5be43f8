/* A window of SDL 2 that keeps drawing while it loads a file, and saves it.
 *
 *     sdl_load [--create MIB] FILE [COPY]
 *
 * Prints how many frames were drawn meanwhile, and the longest gap between two of them. Without a
 * screen: SDL_VIDEODRIVER=dummy sdl_load FILE.
 *
 * epio pushes an event when it has work. The program's loop handles events, draws if a frame is
 * due, and then polls. */
#define SDL_MAIN_HANDLED
#include "load.h"

#include <SDL.h>

static Uint32 event_of_epio;

/* Any thread. */
static void push_event(void *user)
{
    SDL_Event event;

    (void)user;
    SDL_zero(event);
    event.type = event_of_epio;
    (void)SDL_PushEvent(&event);
}

/* A bar in constant motion, and one that grows. */
static void draw(SDL_Renderer *renderer, const struct load *load, int count)
{
    SDL_Rect moving = {count % 60 * 10, 0, 60, 50};
    SDL_Rect growing = {0, 50, (int)(load_part(load) * 600), 50};

    (void)SDL_SetRenderDrawColor(renderer, 255, 255, 255, 255);
    (void)SDL_RenderClear(renderer);
    (void)SDL_SetRenderDrawColor(renderer, 50, 100, 200, 255);
    (void)SDL_RenderFillRect(renderer, &moving);
    (void)SDL_RenderFillRect(renderer, &growing);
    SDL_RenderPresent(renderer);
}

/* Waits for an event, until the next frame at most, and handles all that there are: -1 for the end,
 * else how many are epio's. */
static int handle_events(int milliseconds)
{
    SDL_Event event;
    int ready = 0;

    if (!SDL_WaitEventTimeout(&event, milliseconds)) {
        return 0;
    }
    do {
        if (event.type == SDL_QUIT) {
            return -1;
        }
        ready += event.type == event_of_epio ? 1 : 0;
    } while (SDL_PollEvent(&event));
    return ready;
}

static void run(SDL_Renderer *renderer, struct load *load)
{
    uint64_t next = epio_clock_monotonic();
    bool goes_on = true;
    int ready = 0, count = 0;

    while (goes_on && ready >= 0) {
        uint64_t now = epio_clock_monotonic();

        ready = handle_events(next > now ? (int)((next - now + 999999) / 1000000) : 0);
        now = epio_clock_monotonic();
        if (now >= next) {
            draw(renderer, load, count++);
            goes_on = load_frame(load);
            next += LOAD_FRAME_MS * UINT64_C(1000000);
            next = next < now ? now : next;
            ready = ready < 0 ? ready : 1; /* an event that found the queue full is made up for */
        }
        if (ready > 0) {
            (void)epio_loop_poll(load->loop, EPIO_NOW, 0);
        }
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    SDL_Window *window = NULL;
    SDL_Renderer *renderer = NULL;
    int status = load_start(&load, argc, argv);

    if (status != 0) {
        return status;
    }
    SDL_SetMainReady();
    if (SDL_Init(SDL_INIT_VIDEO) != 0 ||
        SDL_CreateWindowAndRenderer(600, 100, 0, &window, &renderer) != 0) {
        return load_fail(&load, SDL_GetError());
    }
    event_of_epio = SDL_RegisterEvents(1);
    if (epio_loop_on_ready(load.loop, push_event, NULL) != 0) {
        return load_fail(&load, "sdl_load: the loop cannot be embedded");
    }
    run(renderer, &load);
    (void)epio_loop_on_ready(load.loop, NULL, NULL);
    status = load_finish(&load);
    SDL_DestroyRenderer(renderer);
    SDL_DestroyWindow(window);
    SDL_Quit();
    return status;
}
