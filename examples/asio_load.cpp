/* A file is loaded, and saved, in an io_context of asio, whose timer goes on meanwhile.
 *
 *     asio_load [--create MIB] FILE [COPY]
 *
 * Prints the longest gap between two ticks of the timer. */
#include "load.h"

#include <asio.hpp>

#include <chrono>
#include <memory>
#include <system_error>

#ifdef _WIN32
#include <windows.h>
#endif

namespace
{

#ifdef _WIN32

/* asio closes what it has, so it has a duplicate. */
struct waiter {
    waiter(asio::io_context &context, intptr_t of) : object(context)
    {
        HANDLE copy = nullptr;
        DuplicateHandle(GetCurrentProcess(), reinterpret_cast<HANDLE>(of), GetCurrentProcess(),
                        &copy, 0, FALSE, DUPLICATE_SAME_ACCESS);
        object.assign(copy);
    }

    template <typename handler> void wait(handler &&then)
    {
        object.async_wait(std::forward<handler>(then));
    }

    void close()
    {
        object.close();
    }

    asio::windows::object_handle object;
};

#else

/* The descriptor stays the loop's. */
struct waiter {
    waiter(asio::io_context &context, intptr_t of) : descriptor(context, static_cast<int>(of))
    {
    }

    ~waiter()
    {
        close();
    }

    template <typename handler> void wait(handler &&then)
    {
        descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                              std::forward<handler>(then));
    }

    void close()
    {
        (void)descriptor.release();
    }

    asio::posix::stream_descriptor descriptor;
};

#endif

/* Shared with the handler of a wait, which may be called once more after the detach. */
struct host {
    host(asio::io_context &context, epio_loop *of, intptr_t handle)
        : waits(context, handle), loop(of)
    {
    }

    waiter waits;
    epio_loop *loop; /* nullptr: detached */
};

void wait(const std::shared_ptr<host> &one)
{
    one->waits.wait([one](const std::error_code &error) {
        if (one->loop != nullptr && !error) {
            epio_loop_poll(one->loop, EPIO_NOW, 0);
        }
        if (one->loop != nullptr) {
            wait(one); /* a `done` may have detached it */
        }
    });
}

std::shared_ptr<host> attach(asio::io_context &context, epio_loop *loop)
{
    const intptr_t handle = epio_loop_handle(loop);
    if (handle < 0) {
        return nullptr;
    }
    auto one = std::make_shared<host>(context, loop, handle);
    wait(one);
    return one;
}

void detach(const std::shared_ptr<host> &one)
{
    one->loop = nullptr;
    one->waits.close();
}

void draw_frames(asio::steady_timer &timer, struct load &load, asio::io_context &context)
{
    timer.expires_after(std::chrono::milliseconds(LOAD_FRAME_MS));
    timer.async_wait([&](const std::error_code &) {
        if (load_frame(&load)) {
            draw_frames(timer, load, context);
        } else {
            context.stop();
        }
    });
}

} // namespace

int main(int argc, char **argv)
{
    static struct load load;
    const int status = load_start(&load, argc, argv);

    if (status != 0) {
        return status;
    }
    {
        asio::io_context context(1);
        asio::steady_timer timer(context);
        const auto host = attach(context, load.loop);
        if (host == nullptr) {
            return load_fail(&load, "asio_load: no handle");
        }
        draw_frames(timer, load, context);
        context.run();
        detach(host);
    }
    return load_finish(&load);
}
