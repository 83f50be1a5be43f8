/* `co_await verb`: an op in the coroutine's own frame. Part of epio/epio.hpp; from C++20 on. */
#ifndef EPIO_CPP_COROUTINE_HPP
#define EPIO_CPP_COROUTINE_HPP

#include <epio/cpp/run.hpp>

#if EPIO_CPP_COROUTINES

#include <coroutine>
#include <cstring>
#include <tuple>
#include <utility>

namespace epio
{

namespace detail
{

// The library would write into memory that is gone, and call what is not there any more.
[[noreturn]] inline void end_for_destroyed()
{
    epio_fatal("co_await", "a coroutine was destroyed while an operation that it awaits is in "
                           "flight; cancel it, and let it end");
}

// All bytes zero, by a few stores: compilers tend to make a slow loop of it, or a call.
struct zeroed_op : epio_op {
    zeroed_op() noexcept
    {
        zero(std::make_index_sequence<sizeof(epio_op) / part>());
    }

  private:
    static constexpr std::size_t part = 64;

    template <std::size_t... At> void zero(std::index_sequence<At...>) noexcept
    {
        static_assert(sizeof(epio_op) % part == 0, "it has no rest");
        auto *bytes = reinterpret_cast<unsigned char *>(static_cast<epio_op *>(this));
        (zero_part(bytes + At * part), ...);
    }

    static void zero_part(unsigned char *bytes) noexcept
    {
        std::memset(bytes, 0, part);
        std::atomic_signal_fence(std::memory_order_seq_cst); // not one memset of them all
    }
};

// The verb is the temporary that is awaited, which lives as long: not to be moved costs less.
template <class V> class awaiter : private zeroed_op
{
  public:
    explicit awaiter(V &&verb) noexcept : verb_(verb)
    {
        done = delivered;
    }

    awaiter(const awaiter &) = delete;
    awaiter &operator=(const awaiter &) = delete;

    ~awaiter()
    {
        if (result == EPIO_EPENDING) {
            end_for_destroyed();
        }
    }

    bool await_ready() const noexcept
    {
        return false;
    }

    void await_suspend(std::coroutine_handle<> waiting) noexcept
    {
        waiting_ = waiting;
        detail::submit(verb_, this);
    }

    result_of<V> await_resume()
    {
        return verb_.finish(this);
    }

  private:
    static void delivered(epio_op *op) noexcept
    {
        auto *self = static_cast<awaiter *>(op);
        note_delivery(self->verb_);
        self->waiting_.resume();
    }

    V &verb_;
    std::coroutine_handle<> waiting_;
};

} // namespace detail

/* Runs the verb on its loop. The coroutine is resumed by the loop's owner, from where that delivers
 * completions, whichever thread it awaits on; the op is in its frame, and nothing is allocated. A
 * coroutine that is destroyed meanwhile is a programming error, which ends the process. */
namespace detail
{
template <class V, class = std::enable_if_t<is_verb<V>>> awaiter<V> operator co_await(V &&verb)
{
    return awaiter<V>(std::move(verb));
}
} // namespace detail

/* ---- Several at once --------------------------------------------------- */

namespace detail
{

struct all_base {
    std::coroutine_handle<> waiting;
    std::atomic<std::size_t> left{0};

    void one_ended()
    {
        if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            std::exchange(waiting, nullptr).resume();
        }
    }
};

template <class V> struct all_slot : epio_op {
    explicit all_slot(V &&which) : epio_op(), verb(std::move(which))
    {
        done = delivered;
    }

    static void delivered(epio_op *op) noexcept
    {
        auto *self = static_cast<all_slot *>(op);
        note_delivery(self->verb);
        self->all->one_ended();
    }

    V verb;
    all_base *all = nullptr;
};

template <class... Vs> class all_awaiter : private all_base
{
  public:
    explicit all_awaiter(std::tuple<Vs...> &&verbs)
        : slots_(std::apply(
              [](Vs &...verb) { return std::tuple<all_slot<Vs>...>(std::move(verb)...); }, verbs))
    {
    }

    all_awaiter(const all_awaiter &) = delete;
    all_awaiter &operator=(const all_awaiter &) = delete;

    ~all_awaiter()
    {
        if (waiting) {
            end_for_destroyed();
        }
    }

    bool await_ready() const noexcept
    {
        return false;
    }

    // The last submit may end it all, on another thread: nothing of it is touched after that.
    void await_suspend(std::coroutine_handle<> by) noexcept
    {
        waiting = by;
        left.store(sizeof...(Vs), std::memory_order_relaxed);
        std::apply([this](all_slot<Vs> &...slot) { ((slot.all = this), ...); }, slots_);
        std::apply([](all_slot<Vs> &...slot) { (detail::submit(slot.verb, &slot), ...); }, slots_);
    }

    std::tuple<result_of<Vs>...> await_resume()
    {
        return std::apply(
            [](all_slot<Vs> &...slot) {
                return std::tuple<result_of<Vs>...>(slot.verb.finish(&slot)...);
            },
            slots_);
    }

  private:
    std::tuple<all_slot<Vs>...> slots_;
};

template <class... Vs> class all_of
{
  public:
    explicit all_of(Vs &&...verbs) : verbs_(std::move(verbs)...)
    {
    }

    all_awaiter<Vs...> operator co_await() &&
    {
        return all_awaiter<Vs...>(std::move(verbs_));
    }

  private:
    std::tuple<Vs...> verbs_;
};

} // namespace detail

/* co_await runs all of these verbs at once: std::tuple of their results, once all have ended.
 * Nothing is allocated. If their loops are several, the owner of the last resumes. */
template <class... Vs, class = std::enable_if_t<(detail::is_verb<Vs> && ...)>>
[[nodiscard]] auto when_all(Vs... verbs)
{
    static_assert(sizeof...(Vs) > 0, "there is nothing to wait for");
    return detail::all_of<Vs...>(std::move(verbs)...);
}

} // namespace epio

#endif

#endif
