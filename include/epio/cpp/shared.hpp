/* What lives as long as something refers to it. Part of epio/epio.hpp. */
#ifndef EPIO_CPP_SHARED_HPP
#define EPIO_CPP_SHARED_HPP

#include <epio/cpp/config.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace epio
{

namespace detail
{

// Something that lives as long as anything refers to it.
struct shared {
    std::atomic<std::uint32_t> references{1};
    void (*destroy)(shared *self) noexcept = nullptr;
};

class reference
{
  public:
    reference() noexcept = default;

    // Takes over the reference that a new object has.
    explicit reference(shared *to) noexcept : to_(to)
    {
    }

    reference(const reference &other) noexcept : to_(other.to_)
    {
        if (to_ != nullptr) {
            to_->references.fetch_add(1, std::memory_order_relaxed);
        }
    }

    reference(reference &&other) noexcept : to_(std::exchange(other.to_, nullptr))
    {
    }

    reference &operator=(reference other) noexcept
    {
        std::swap(to_, other.to_);
        return *this;
    }

    ~reference()
    {
        if (to_ != nullptr && to_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            to_->destroy(to_);
        }
    }

    shared *get() const noexcept
    {
        return to_;
    }

  private:
    shared *to_ = nullptr;
};

// A copy of a string, which its own copies share. Empty of NULL, and without memory for it. In
// parentheses as the debug heap of Windows has macros of these names.
class shared_text
{
  public:
    shared_text() noexcept = default;

    explicit shared_text(const char *text) noexcept
    {
        std::size_t size = text != nullptr ? std::strlen(text) + 1 : 0;
        void *memory = size != 0 ? (std::malloc)(sizeof(block) + size) : nullptr;
        if (memory != nullptr) {
            auto *copy = new (memory) block();
            copy->destroy = end;
            std::memcpy(static_cast<void *>(copy + 1), text, size);
            of_ = reference(copy);
        }
    }

    /* NULL if it is empty. */
    const char *c_str() const noexcept
    {
        auto *of = static_cast<block *>(of_.get());
        return of != nullptr ? reinterpret_cast<const char *>(of + 1) : nullptr;
    }

  private:
    struct block : shared {
    };

    static void end(shared *self) noexcept
    {
        auto *of = static_cast<block *>(self);
        of->~block();
        (std::free)(of);
    }

    reference of_;
};

} // namespace detail

} // namespace epio

#endif
