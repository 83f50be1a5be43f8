/* A coroutine type for programs that have none, and what runs it. Part of epio/epio.hpp; from C++20
 * on. Verbs can be awaited in any other coroutine as well. */
#ifndef EPIO_CPP_TASK_HPP
#define EPIO_CPP_TASK_HPP

#include <epio/cpp/coroutine.hpp>
#include <epio/cpp/verbs.hpp>

#if EPIO_CPP_COROUTINES

#include <exception>
#include <vector>

namespace epio
{

template <class T> class task;

namespace detail
{

#if EPIO_CPP_STOP_TOKEN
using token_type = std::stop_token;
#else
struct token_type {
};
#endif

// What a coroutine has thrown, where there are exceptions.
class thrown
{
  public:
#if EPIO_CPP_EXCEPTIONS
    void set_exception() noexcept
    {
        exception_ = std::current_exception();
    }

  protected:
    void rethrow()
    {
        if (exception_ != nullptr) {
            std::rethrow_exception(exception_);
        }
    }

  private:
    std::exception_ptr exception_;
#else
  protected:
    void rethrow() noexcept
    {
    }
#endif
};

// What a coroutine came to: a value, an exception, or nothing yet.
template <class T> class outcome : public thrown
{
  public:
    template <class U> void set(U &&value)
    {
        value_.emplace(std::forward<U>(value));
    }

    T take()
    {
        rethrow();
        return std::move(*value_);
    }

  private:
    std::optional<T> value_;
};

template <class T> class outcome<T &> : public thrown
{
  public:
    void set(T &value) noexcept
    {
        value_ = &value;
    }

    T &take()
    {
        rethrow();
        return *value_;
    }

  private:
    T *value_ = nullptr;
};

template <> class outcome<void> : public thrown
{
  public:
    void take()
    {
        rethrow();
    }
};

struct promise_base {
    // To whoever awaits, without using more of the stack.
    struct final_awaiter {
        bool await_ready() const noexcept
        {
            return false;
        }

        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept
        {
            return ended.promise().continuation;
        }

        void await_resume() const noexcept
        {
        }
    };

    std::suspend_always initial_suspend() const noexcept
    {
        return {};
    }

    final_awaiter final_suspend() const noexcept
    {
        return {};
    }

    token_type get_stop_token() const noexcept
    {
        return token;
    }

    std::coroutine_handle<> continuation = std::noop_coroutine();
    token_type token;
};

template <class T> struct promise : promise_base {
    task<T> get_return_object() noexcept;

    template <class U = T> void return_value(U &&value)
    {
        result.set(std::forward<U>(value));
    }

    void unhandled_exception() noexcept
    {
#if EPIO_CPP_EXCEPTIONS
        result.set_exception();
#else
        std::terminate();
#endif
    }

    outcome<T> result;
};

template <> struct promise<void> : promise_base {
    task<void> get_return_object() noexcept;

    void return_void() const noexcept
    {
    }

    void unhandled_exception() noexcept
    {
#if EPIO_CPP_EXCEPTIONS
        result.set_exception();
#else
        std::terminate();
#endif
    }

    outcome<void> result;
};

template <class P, class = void> struct has_token : std::false_type {
};
template <class P>
struct has_token<P, std::void_t<decltype(token_type(std::declval<P &>().get_stop_token()))>>
    : std::true_type {
};

} // namespace detail

/* A coroutine that begins when it is awaited, by one who then continues with what it returns or
 * throws; or is run by epio::run or epio::spawn. Destroyed before that, it never begins. Its stop
 * token is that of the coroutine which awaits it. */
template <class T = void> class [[nodiscard]] task
{
  public:
    using promise_type = detail::promise<T>;
    using value_type = T;

    task() noexcept = default;

    explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine)
    {
    }

    task(task &&other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr))
    {
    }

    task &operator=(task &&other) noexcept
    {
        task taken(std::move(other));
        std::swap(coroutine_, taken.coroutine_);
        return *this;
    }

    ~task()
    {
        if (coroutine_) {
            coroutine_.destroy();
        }
    }

    explicit operator bool() const noexcept
    {
        return static_cast<bool>(coroutine_);
    }

    auto operator co_await() &&noexcept
    {
        struct awaiter : ended_awaiter {
            T await_resume()
            {
                return this->coroutine.promise().result.take();
            }
        };
        return awaiter{{coroutine_}};
    }

    /* co_await waits for its end without taking what it came to. */
    auto when_ready() noexcept
    {
        return ended_awaiter{coroutine_};
    }

    /* What it came to, once it has ended. */
    T take()
    {
        return coroutine_.promise().result.take();
    }

    void set_stop_token(detail::token_type token) noexcept
    {
        coroutine_.promise().token = std::move(token);
    }

  private:
    struct ended_awaiter {
        std::coroutine_handle<promise_type> coroutine;

        bool await_ready() const noexcept
        {
            return false;
        }

        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept
        {
            promise_type &promise = coroutine.promise();
            promise.continuation = awaiting;
            if constexpr (detail::has_token<P>::value) {
                promise.token = awaiting.promise().get_stop_token();
            }
            return coroutine;
        }

        void await_resume() const noexcept
        {
        }
    };

    std::coroutine_handle<promise_type> coroutine_;
};

template <class T> task<T> detail::promise<T>::get_return_object() noexcept
{
    return task<T>(std::coroutine_handle<promise>::from_promise(*this));
}

inline task<void> detail::promise<void>::get_return_object() noexcept
{
    return task<void>(std::coroutine_handle<promise>::from_promise(*this));
}

/* ---- Stop tokens ------------------------------------------------------- */

#if EPIO_CPP_STOP_TOKEN

namespace detail
{

struct token_awaiter {
    std::stop_token token;

    bool await_ready() const noexcept
    {
        return false;
    }

    template <class P> bool await_suspend(std::coroutine_handle<P> awaiting) noexcept
    {
        token = awaiting.promise().get_stop_token();
        return false;
    }

    std::stop_token await_resume() noexcept
    {
        return std::move(token);
    }
};

} // namespace detail

/* co_await gives the stop token of the task that awaits, for epio::with_stop: that of epio::run or
 * epio::spawn, or else one that never stops. */
[[nodiscard]] inline detail::token_awaiter get_stop_token() noexcept
{
    return {};
}

#endif

/* ---- Running ----------------------------------------------------------- */

namespace detail
{

// A coroutine that belongs to nobody and frees itself at its end.
struct driver {
    struct promise_type {
        driver get_return_object() const noexcept
        {
            return {};
        }

        std::suspend_never initial_suspend() const noexcept
        {
            return {};
        }

        std::suspend_never final_suspend() const noexcept
        {
            return {};
        }

        void return_void() const noexcept
        {
        }

        void unhandled_exception() const noexcept
        {
            std::terminate();
        }
    };
};

template <class T> driver drive_spawned(epio_vfs *vfs, task<T> task)
{
    // Even if the loop is being closed: the task is to see that.
    (void)co_await epio::current_time(vfs);
    (void)co_await task.when_ready();
    (void)task.take();
}

struct running {
    epio_loop *loop;
    bool in_run = false;
    bool ended = false;
};

template <class T> driver drive_run(task<T> &task, running &state)
{
    co_await task.when_ready();
    // Another thread may have resumed it last: back to the loop, which is to notice the end.
    (void)co_await epio::current_time(epio_loop_vfs(state.loop));
    state.ended = true;
    if (state.in_run) {
        epio_loop_stop(state.loop);
    }
}

} // namespace detail

/* Runs the task on the loop, and lets it go: its first part, too, is run by the loop's owner. The
 * loop counts what it awaits as in flight. What it returns is lost; an exception that leaves it
 * ends the process. Any thread. */
template <class T> void spawn(const loop &loop, task<T> task)
{
    (void)detail::drive_spawned(loop.vfs(), std::move(task));
}

/* Runs the task on this thread, the loop's, delivers completions until it has ended, and returns
 * what it returned, or throws. It goes on in spite of an epio_loop_stop. */
template <class T> T run(loop &loop, task<T> task)
{
    detail::running state{loop.get()};
    (void)detail::drive_run(task, state);
    while (!state.ended) {
        state.in_run = true;
        (void)loop.run();
        state.in_run = false;
        if (!state.ended) {
            (void)loop.poll(no_timeout); // another thread is to resume it
        }
    }
    return task.take();
}

#if EPIO_CPP_STOP_TOKEN

/* The same with a stop token, which the task finds by epio::get_stop_token. */
template <class T> void spawn(const loop &loop, task<T> task, std::stop_token token)
{
    task.set_stop_token(std::move(token));
    spawn(loop, std::move(task));
}

template <class T> T run(loop &loop, task<T> task, std::stop_token token)
{
    task.set_stop_token(std::move(token));
    return run(loop, std::move(task));
}

#endif

/* ---- Several at once --------------------------------------------------- */

namespace detail
{

// The drivers and who waits for them: the last of these resumes it.
struct tasks_left {
    explicit tasks_left(std::size_t tasks) noexcept : left(tasks + 1)
    {
    }

    bool one_less() noexcept
    {
        return left.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }

    std::atomic<std::size_t> left;
    std::coroutine_handle<> waiting;
};

template <class T> driver drive_one(task<T> &task, tasks_left &all)
{
    co_await task.when_ready();
    if (all.one_less()) {
        all.waiting.resume();
    }
}

template <class Start> struct tasks_awaiter {
    Start start;
    tasks_left all;

    bool await_ready() const noexcept
    {
        return false;
    }

    template <class P> bool await_suspend(std::coroutine_handle<P> awaiting)
    {
        all.waiting = awaiting;
        token_type token;
        if constexpr (has_token<P>::value) {
            token = awaiting.promise().get_stop_token();
        }
        start(all, token);
        return !all.one_less();
    }

    void await_resume() const noexcept
    {
    }
};

template <class T> void start_one(task<T> &task, tasks_left &all, const token_type &token)
{
    task.set_stop_token(token);
    (void)drive_one(task, all);
}

} // namespace detail

/* Runs all tasks at once, on this thread up to where each awaits: what they return, in their order.
 * An exception of one, the first in this order, is thrown once all have ended. */
template <class T> task<std::vector<T>> when_all(std::vector<task<T>> tasks)
{
    auto start = [&tasks](detail::tasks_left &all, const detail::token_type &token) {
        for (task<T> &each : tasks) {
            detail::start_one(each, all, token);
        }
    };
    co_await detail::tasks_awaiter<decltype(start)>{start, detail::tasks_left(tasks.size())};
    std::vector<T> results;
    results.reserve(tasks.size());
    for (task<T> &each : tasks) {
        results.push_back(each.take());
    }
    co_return results;
}

inline task<void> when_all(std::vector<task<void>> tasks)
{
    auto start = [&tasks](detail::tasks_left &all, const detail::token_type &token) {
        for (task<void> &each : tasks) {
            detail::start_one(each, all, token);
        }
    };
    co_await detail::tasks_awaiter<decltype(start)>{start, detail::tasks_left(tasks.size())};
    for (task<void> &each : tasks) {
        each.take();
    }
}

/* The same for tasks of several types: std::tuple. */
template <class... Ts> task<std::tuple<Ts...>> when_all(task<Ts>... tasks)
{
    auto start = [&tasks...](detail::tasks_left &all, const detail::token_type &token) {
        (detail::start_one(tasks, all, token), ...);
    };
    co_await detail::tasks_awaiter<decltype(start)>{start, detail::tasks_left(sizeof...(Ts))};
    co_return std::tuple<Ts...>{tasks.take()...};
}

} // namespace epio

#endif

#endif
