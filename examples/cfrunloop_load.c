/* A file is loaded, and saved, in a CFRunLoop, whose timer goes on meanwhile: macOS, also under
 * Cocoa, whose run loop it is.
 *
 *     cfrunloop_load [--create MIB] FILE [COPY]
 *
 * Prints the longest gap between two ticks of the timer. */
#include "load.h"

#include <CoreFoundation/CoreFoundation.h>

/* Behind what the program has at 0. Drawing is an observer's, not a source's: it is called before
 * the run loop waits again. */
#define ORDER 100

struct host {
    CFFileDescriptorRef descriptor;
    CFRunLoopSourceRef source;
};

/* Callbacks of a descriptor are called once: it is enabled before the poll, in which a `done` may
 * run the loop. */
static void on_readable(CFFileDescriptorRef descriptor, CFOptionFlags types, void *loop)
{
    (void)types;
    CFFileDescriptorEnableCallBacks(descriptor, kCFFileDescriptorReadCallBack);
    (void)epio_loop_poll(loop, EPIO_NOW, 0);
}

static bool attach(struct host *host, epio_loop *loop)
{
    CFFileDescriptorContext context = {0, loop, NULL, NULL, NULL};
    intptr_t handle = epio_loop_handle(loop);

    if (handle < 0) {
        return false;
    }
    /* false: the descriptor stays the loop's. */
    host->descriptor =
        CFFileDescriptorCreate(kCFAllocatorDefault, (int)handle, false, on_readable, &context);
    if (host->descriptor == NULL) {
        return false;
    }
    host->source =
        CFFileDescriptorCreateRunLoopSource(kCFAllocatorDefault, host->descriptor, ORDER);
    if (host->source == NULL) {
        CFRelease(host->descriptor);
        return false;
    }
    CFFileDescriptorEnableCallBacks(host->descriptor, kCFFileDescriptorReadCallBack);
    /* The common modes: also while a menu is open or a window is resized. */
    CFRunLoopAddSource(CFRunLoopGetCurrent(), host->source, kCFRunLoopCommonModes);
    return true;
}

static void detach(struct host *host)
{
    CFRunLoopSourceInvalidate(host->source);
    CFFileDescriptorInvalidate(host->descriptor);
    CFRelease(host->source);
    CFRelease(host->descriptor);
}

static void on_frame(CFRunLoopTimerRef timer, void *load)
{
    (void)timer;
    if (!load_frame(load)) {
        CFRunLoopStop(CFRunLoopGetCurrent());
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    CFRunLoopTimerContext context = {0, &load, NULL, NULL, NULL};
    int status = load_start(&load, argc, argv);
    CFRunLoopTimerRef timer;
    struct host host;

    if (status != 0) {
        return status;
    }
    if (!attach(&host, load.loop)) {
        return load_fail(&load, "cfrunloop_load: the loop cannot be embedded");
    }
    timer = CFRunLoopTimerCreate(kCFAllocatorDefault, CFAbsoluteTimeGetCurrent(),
                                 LOAD_FRAME_MS / 1000.0, 0, 0, on_frame, &context);
    CFRunLoopAddTimer(CFRunLoopGetCurrent(), timer, kCFRunLoopCommonModes);
    CFRunLoopRun();
    CFRunLoopTimerInvalidate(timer);
    CFRelease(timer);
    detach(&host);
    return load_finish(&load);
}
