/* Runners that need no coroutine: perform, wait, submit, use_future. Part of epio/epio.hpp. */
#ifndef EPIO_CPP_RUN_HPP
#define EPIO_CPP_RUN_HPP

#include <epio/cpp/verb.hpp>

#if EPIO_CPP_THREADS
#include <future>
#endif

namespace epio
{

/* Carries the verb out on this thread and returns its result; see epio_perform. An exception of the
 * function of epio::work goes on from here. */
template <class V, class = std::enable_if_t<detail::is_verb<V>>>
detail::result_of<V> perform(V verb)
{
    static_assert(!V::can_stop, "what is performed cannot be stopped: use epio::wait");
    epio_op op = epio_op();
    epio_op *prepared = verb.prepare(&op);
    if constexpr (V::hooked) {
        verb.starting(prepared);
    }
    (void)epio_perform(prepared);
    if constexpr (V::hooked) {
        verb.delivered();
    }
    return verb.finish(&op);
}

#if EPIO_ASYNC

namespace detail
{

/* Runs the op on its loop, with all that is around the verb. From here on both may be gone: another
 * thread may own the loop. */
template <class V> void submit(V &verb, epio_op *op) noexcept
{
    epio_op *prepared = verb.prepare(op);
    if constexpr (V::hooked) {
        verb.starting(prepared);
        epio_submit(prepared);
        verb.submitted(prepared);
    } else {
        epio_submit(prepared);
    }
}

template <class V> void note_delivery(V &verb) noexcept
{
    if constexpr (V::hooked) {
        verb.delivered();
    }
}

// In memory of its own until the completion.
template <class V, class Callback> struct submission : epio_op {
    submission(V &&which, Callback &&what)
        : epio_op(), verb(std::move(which)), callback(std::move(what))
    {
        done = delivered;
    }

    static void delivered(epio_op *op) noexcept
    {
        auto *self = static_cast<submission *>(op);
        note_delivery(self->verb);
        Callback callback = std::move(self->callback);
        auto result = self->verb.finish(self);
        delete self;
        callback(std::move(result));
    }

    V verb;
    Callback callback;
};

} // namespace detail

/* Runs the verb on its loop and returns its result; see epio_wait. On the thread of the loop it
 * delivers others meanwhile. */
template <class V, class = std::enable_if_t<detail::is_verb<V>>> detail::result_of<V> wait(V verb)
{
    epio_op op = epio_op();
    if constexpr (V::hooked) {
        detail::submit(verb, &op);
        (void)epio_wait(&op);
        verb.delivered();
    } else {
        (void)epio_wait(verb.prepare(&op));
    }
    return verb.finish(&op);
}

/* Runs the verb on its loop, which calls `callback(result)` when it is done. Any thread. One
 * allocation, for the op, the verb and the callback; what the callback throws ends the process. */
template <class V, class Callback, class = std::enable_if_t<detail::is_verb<V>>>
void submit(V verb, Callback callback)
{
    auto *submission = new detail::submission<V, Callback>(std::move(verb), std::move(callback));
    detail::submit(submission->verb, submission);
}

#if EPIO_CPP_THREADS

namespace detail
{

template <class V> struct promise_submission : epio_op {
    explicit promise_submission(V &&which) : epio_op(), verb(std::move(which))
    {
        done = delivered;
    }

    static void delivered(epio_op *op) noexcept
    {
        auto *self = static_cast<promise_submission *>(op);
        note_delivery(self->verb);
#if EPIO_CPP_EXCEPTIONS
        try {
            self->promise.set_value(self->verb.finish(self));
        } catch (...) {
            self->promise.set_exception(std::current_exception());
        }
#else
        self->promise.set_value(self->verb.finish(self));
#endif
        delete self;
    }

    V verb;
    std::promise<result_of<V>> promise;
};

} // namespace detail

/* Runs the verb on its loop; the future has its result. Whoever waits for it must not be the thread
 * of the loop, which then delivers nothing. An exception of the function of epio::work is the
 * future's, too. Any thread. Two allocations. */
template <class V, class = std::enable_if_t<detail::is_verb<V>>>
[[nodiscard]] std::future<detail::result_of<V>> use_future(V verb)
{
    auto *submission = new detail::promise_submission<V>(std::move(verb));
    auto future = submission->promise.get_future();
    detail::submit(submission->verb, submission);
    return future;
}

#endif
#endif // EPIO_ASYNC

} // namespace epio

#endif
