/* What a verb is in C++, and what can be put around one: a timeout, a stop token, an observer.
 * Part of epio/epio.hpp. */
#ifndef EPIO_CPP_VERB_HPP
#define EPIO_CPP_VERB_HPP

#include <epio/cpp/error.hpp>
#include <epio/cpp/handles.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#if EPIO_CPP_STOP_TOKEN
#include <stop_token>
#endif
#if EPIO_CPP_THREADS
#include <mutex>
#include <thread>
#endif

namespace epio
{

namespace detail
{

/* A verb: a movable value with
 *
 *     value_type               what its result has
 *     epio_op *prepare(op)     fills the op by the verb of C
 *     result finish(op)        what its completion means
 *
 * From `prepare` to `finish` it stays where it is, beside its op. If `hooked` it also has starting,
 * submitted and delivered, which whoever submits the op calls before and after the submit, and in
 * its `done`. */
struct verb_base {
    static constexpr bool hooked = false;
    static constexpr bool can_stop = false;
};

template <class T> inline constexpr bool is_verb = std::is_base_of_v<verb_base, T>;

template <class V>
using result_of = decltype(std::declval<V &>().finish(static_cast<epio_op *>(nullptr)));

struct nothing {
};

// The op's result as it is.
template <class Value> struct number {
    template <class State> result<Value> operator()(epio_op *op, State &) const noexcept
    {
        if (op->result < 0) {
            return failure_of(op);
        }
        if constexpr (std::is_void_v<Value>) {
            return {};
        } else {
            return static_cast<Value>(op->result);
        }
    }
};

// What the library has filled.
struct filled {
    template <class State> result<State> operator()(epio_op *op, State &state) const
    {
        if (op->result < 0) {
            return failure_of(op);
        }
        return std::move(state);
    }
};

// Made of prepare(op, state) and finish(op, state).
template <class State, class Prepare, class Finish> class verb : public verb_base
{
  public:
    using result_type = decltype(std::declval<const Finish &>()(static_cast<epio_op *>(nullptr),
                                                                std::declval<State &>()));
    using value_type = typename result_type::value_type;

    verb(State state, Prepare prepare, Finish finish)
        : state_(std::move(state)), prepare_(std::move(prepare)), finish_(std::move(finish))
    {
    }

    epio_op *prepare(epio_op *op) noexcept
    {
        return prepare_(op, state_);
    }

    result_type finish(epio_op *op)
    {
        return finish_(op, state_);
    }

  private:
    State state_;
    Prepare prepare_;
    Finish finish_;
};

template <class State, class Prepare, class Finish>
auto make_verb(State state, Prepare prepare, Finish finish)
{
    return verb<State, Prepare, Finish>(std::move(state), std::move(prepare), std::move(finish));
}

// The same without a state, for a number.
template <class Value, class Prepare> auto make_verb(Prepare prepare)
{
    auto with_state = [prepare = std::move(prepare)](epio_op *op, nothing &) mutable {
        return prepare(op);
    };
    return make_verb(nothing(), std::move(with_state), number<Value>());
}

// A verb around another: passes all on.
template <class V> class wrapper : public verb_base
{
  public:
    static constexpr bool hooked = V::hooked;
    static constexpr bool can_stop = V::can_stop;
    using result_type = result_of<V>;
    using value_type = typename V::value_type;

    explicit wrapper(V &&verb) : verb_(std::move(verb))
    {
    }

    epio_op *prepare(epio_op *op) noexcept
    {
        return verb_.prepare(op);
    }

    result_type finish(epio_op *op)
    {
        return verb_.finish(op);
    }

    void starting(epio_op *op) noexcept
    {
        if constexpr (V::hooked) {
            verb_.starting(op);
        }
    }

    void submitted(epio_op *op) noexcept
    {
        if constexpr (V::hooked) {
            verb_.submitted(op);
        }
    }

    void delivered() noexcept
    {
        if constexpr (V::hooked) {
            verb_.delivered();
        }
    }

  private:
    V verb_;
};

/* ---- Timeouts ---------------------------------------------------------- */

template <class V> class timed : public wrapper<V>
{
  public:
    timed(V &&verb, std::chrono::nanoseconds timeout)
        : wrapper<V>(std::move(verb)), timeout_ns_(timeout_of(timeout))
    {
        if (timeout_ns_ == EPIO_NOW) {
            timeout_ns_ = 1; // in an op 0 is no limit
        }
    }

    epio_op *prepare(epio_op *op) noexcept
    {
        op->timeout_ns = timeout_ns_;
        return wrapper<V>::prepare(op);
    }

  private:
    std::uint64_t timeout_ns_;
};

} // namespace detail

/* The verb with a timeout: EPIO_ETIMEDOUT, as op->timeout_ns. It counts from when the verb is run;
 * epio::no_timeout is no limit. */
template <class V, class = std::enable_if_t<detail::is_verb<V>>>
[[nodiscard]] auto with_timeout(V verb, std::chrono::nanoseconds timeout)
{
    return detail::timed<V>(std::move(verb), timeout);
}

/* ---- Stop tokens ------------------------------------------------------- */

#if EPIO_CPP_STOP_TOKEN

namespace detail
{

/* The op may be submitted on one thread, delivered on another, and stopped on a third: a request
 * that comes before the op is submitted is carried out by whoever submits it, a later one by the
 * requester. The delivery waits for both, so that neither finds the op gone. */
template <class V> class stoppable : public wrapper<V>
{
  public:
    static constexpr bool hooked = true;
    static constexpr bool can_stop = true;

    stoppable(V &&verb, std::stop_token token)
        : wrapper<V>(std::move(verb)), token_(std::move(token))
    {
    }

    // Only before it is run.
    stoppable(stoppable &&other) noexcept
        : wrapper<V>(std::move(other)), token_(std::move(other.token_))
    {
    }

    void starting(epio_op *op) noexcept
    {
        wrapper<V>::starting(op);
        if (token_.stop_requested() && op->loop != nullptr) {
            // Nothing is begun: it becomes an op that only waits, to be cancelled. Not on its VFS,
            // which for some verbs is one of the library's own, without a loop.
            kind_ = op->kind;
            path_ = epio_op_path(op);
            op = epio_sleep(op, epio_loop_vfs(op->loop), static_cast<std::uint64_t>(INT64_MAX));
        }
        if (token_.stop_possible()) {
            callback_.emplace(std::move(token_), request{this, op});
        }
    }

    // What was not begun is what has failed.
    auto finish(epio_op *op)
    {
        if (kind_ != EPIO_KIND_NONE) {
            op->kind = kind_;
            op->arguments.path.path = path_;
        }
        return wrapper<V>::finish(op);
    }

    void submitted(epio_op *op) noexcept
    {
        wrapper<V>::submitted(op);
        std::uint32_t none = 0;
        if (!state_.compare_exchange_strong(none, submitted_bit, std::memory_order_acq_rel)) {
            epio_cancel(op);
            state_.store(submitted_bit | requested_bit, std::memory_order_release);
        } // from here on it may be gone
    }

    void delivered() noexcept
    {
        wrapper<V>::delivered();
        callback_.reset(); // waits for a request that is being carried out
        while ((state_.load(std::memory_order_acquire) & submitted_bit) == 0) {
            std::this_thread::yield();
        }
    }

  private:
    static constexpr std::uint32_t submitted_bit = 1;
    static constexpr std::uint32_t requested_bit = 2;

    struct request {
        stoppable *self;
        epio_op *op;

        void operator()() const noexcept
        {
            std::uint32_t before = self->state_.fetch_or(requested_bit, std::memory_order_acq_rel);
            if ((before & submitted_bit) != 0) {
                epio_cancel(op);
            }
        }
    };

    std::stop_token token_;
    std::optional<std::stop_callback<request>> callback_;
    std::atomic<std::uint32_t> state_{0};
    const char *path_ = nullptr;
    std::uint8_t kind_ = EPIO_KIND_NONE; // of what an op that only waits stands for
};

} // namespace detail

/* The verb, cancelled when a stop is requested: EPIO_ECANCELED, unless it has taken effect by then.
 * If that was before it is run, it is not begun. Stops may be requested by any thread. Not for what
 * cannot be cancelled, as a close, nor for epio::perform. */
template <class V, class = std::enable_if_t<detail::is_verb<V>>>
[[nodiscard]] auto with_stop(V verb, std::stop_token token)
{
    return detail::stoppable<V>(std::move(verb), std::move(token));
}

#endif

/* ---- Observers --------------------------------------------------------- */

#if EPIO_CPP_THREADS

namespace detail
{
template <class V> class observed;
}

/* Looks at a verb that is being carried out, from any thread, and cancels it: for progress bars.
 * It must outlive the verb. */
class observer
{
  public:
    observer() noexcept = default;
    observer(const observer &) = delete;
    observer &operator=(const observer &) = delete;

    /* How far it is; see epio_progress. EPIO_ENOTSUP: it is not in flight, or does not say. */
    result<epio_progress_info> progress() const
    {
        std::lock_guard<std::mutex> locked(mutex_);
        epio_progress_info info = epio_progress_info();
        info.size = sizeof info;
        int error = op_ != nullptr ? epio_progress(op_, &info) : EPIO_ENOTSUP;
        if (error < 0) {
            return detail::failure_to("progress", error);
        }
        return info;
    }

#if EPIO_ASYNC
    /* Does nothing before the verb is run, and once it has ended. */
    void cancel()
    {
        std::lock_guard<std::mutex> locked(mutex_);
        if (op_ != nullptr) {
            epio_cancel(op_);
        }
    }
#endif

  private:
    template <class V> friend class detail::observed;

    void look_at(epio_op *op)
    {
        std::lock_guard<std::mutex> locked(mutex_);
        op_ = op;
    }

    mutable std::mutex mutex_;
    epio_op *op_ = nullptr;
};

namespace detail
{

template <class V> class observed : public wrapper<V>
{
  public:
    static constexpr bool hooked = true;

    observed(V &&verb, observer &by) : wrapper<V>(std::move(verb)), by_(&by)
    {
    }

    void starting(epio_op *op) noexcept
    {
        wrapper<V>::starting(op);
        by_->look_at(op);
    }

    void delivered() noexcept
    {
        by_->look_at(nullptr);
        wrapper<V>::delivered();
    }

  private:
    observer *by_;
};

} // namespace detail

/* The verb, seen by `by` from its submit to its completion. */
template <class V, class = std::enable_if_t<detail::is_verb<V>>>
[[nodiscard]] auto with_observer(V verb, observer &by)
{
    return detail::observed<V>(std::move(verb), by);
}

#endif

} // namespace epio

#endif
