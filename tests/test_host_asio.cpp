/* A loop in an io_context of asio, as docs/embedding.md has it. The cases are in
 * support/host_cases.c. */
#include "host.h"

#include <asio.hpp>

#include <chrono>
#include <memory>

namespace
{

/* What waits for the handle, shared with the handler of the wait: that may have to run still when
 * the loop was detached. */
struct watch {
    watch(asio::io_context &context, epio_loop *of)
        : handle(context, static_cast<int>(epio_loop_handle(of))), loop(of)
    {
    }

    /* The descriptor is the loop's. */
    ~watch()
    {
        (void)handle.release();
    }

    asio::posix::stream_descriptor handle;
    epio_loop *loop; /* nullptr: detached */
};

void wait(const std::shared_ptr<watch> &one)
{
    one->handle.async_wait(asio::posix::stream_descriptor::wait_read,
                           [one](const std::error_code &error) {
                               if (one->loop != nullptr && !error) {
                                   (void)host_poll(one->loop, EPIO_NOW, 0);
                               }
                               if (one->loop != nullptr) {
                                   wait(one);
                               }
                           });
}

using work_guard = asio::executor_work_guard<asio::io_context::executor_type>;

std::unique_ptr<asio::io_context> context;
std::unique_ptr<work_guard> work;
std::shared_ptr<watch> attached;

void start()
{
    context = std::make_unique<asio::io_context>(1);
    work = std::make_unique<work_guard>(context->get_executor());
}

void stop()
{
    work.reset();
    context.reset();
}

void attach(epio_loop *loop)
{
    attached = std::make_shared<watch>(*context, loop);
    wait(attached);
}

void detach()
{
    attached->loop = nullptr;
    (void)attached->handle.release();
    attached.reset();
}

void iterate(int milliseconds)
{
    context->run_one_for(std::chrono::milliseconds(milliseconds));
}

void post(void (*function)(void *user), void *user)
{
    asio::post(*context, [=] { function(user); });
}

} // namespace

int main()
{
    host one = {};
    one.name = "asio";
    one.start = start;
    one.stop = stop;
    one.attach = attach;
    one.detach = detach;
    one.iterate = iterate;
    one.post = post;
    return host_run(&one);
}
