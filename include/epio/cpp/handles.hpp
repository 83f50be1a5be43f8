/* Owners of what C gives as pointers: files, loops, semaphores and their permits, VFSes, mappings,
 * saves, buffers. Part of epio/epio.hpp.
 *
 * All can be moved, not copied, and are empty by default and once moved from. What a destructor
 * ends does not block the thread, and loses no operation: a file is closed by an op of its own,
 * which waits for all that was submitted to the file before. Whoever wants to know whether that
 * succeeds uses the verb instead: `co_await file.close()`. */
#ifndef EPIO_CPP_HANDLES_HPP
#define EPIO_CPP_HANDLES_HPP

#include <epio/cpp/error.hpp>
#include <epio/cpp/shared.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace epio
{

namespace detail
{

/* ---- Disposal ---------------------------------------------------------- */

// The end of what an owner has: epio_close and the like.
template <class T> using ending = epio_op *(*)(epio_op *, T *);

#if EPIO_ASYNC

// The op of an end that nobody waits for.
template <class T, ending<T> End> struct disposal : epio_op {
    disposal(epio_vfs *on, T *what, reference keeping) noexcept
        : epio_op(), retry_on(on), pointer(what), keep(std::move(keeping))
    {
        done = delivered;
    }

    static void delivered(epio_op *op) noexcept
    {
        auto *self = static_cast<disposal *>(op);
        if (self->sleeps) {
            self->sleeps = false;
            epio_submit(End(op, self->pointer));
        } else if (is_refused(op->result)) {
            self->sleeps = true;
            epio_submit(epio_sleep(op, self->retry_on, 1000000));
        } else {
            delete self;
        }
    }

    // A file is gone whatever the result; a save waits for nothing, and stays.
    static bool is_refused(std::int64_t result) noexcept
    {
        return std::is_same_v<T, epio_saving> && (result == EPIO_EBUSY || result == EPIO_ENOMEM);
    }

    epio_vfs *retry_on;
    T *pointer;
    reference keep;
    bool sleeps = false;
};

#endif

/* Carries out the end: on the loop of `vfs`, by an op of its own, or if there is none on this
 * thread. `keep` lives until then. */
template <class T, ending<T> End> void dispose(epio_vfs *vfs, T *pointer, reference keep) noexcept
{
#if EPIO_ASYNC
    if (vfs->loop != nullptr) {
        auto *op = new (std::nothrow) disposal<T, End>(vfs, pointer, std::move(keep));
        if (op != nullptr) {
            epio_submit(End(op, pointer));
        } else {
            epio_op here = epio_op();
            (void)epio_wait(End(&here, pointer));
        }
        return;
    }
#endif
    (void)vfs;
    (void)keep;
    epio_op op = epio_op();
    (void)epio_perform(End(&op, pointer));
}

// A pointer that is moved, and given to Traits::dispose in the end.
template <class T, class Traits> class owner
{
  public:
    owner() noexcept = default;

    explicit owner(T *pointer, reference keep = reference()) noexcept
        : pointer_(pointer), keep_(std::move(keep))
    {
    }

    owner(owner &&other) noexcept
        : pointer_(std::exchange(other.pointer_, nullptr)), keep_(std::move(other.keep_))
    {
    }

    owner &operator=(owner &&other) noexcept
    {
        owner taken(std::move(other));
        std::swap(pointer_, taken.pointer_);
        std::swap(keep_, taken.keep_);
        return *this;
    }

    ~owner()
    {
        if (pointer_ != nullptr) {
            Traits::dispose(pointer_, std::move(keep_));
        }
    }

    /* NULL if it is empty. Stays the owner's. */
    T *get() const noexcept
    {
        return pointer_;
    }

    /* The same, which is the caller's from here on. */
    T *release() noexcept
    {
        keep_ = reference();
        return std::exchange(pointer_, nullptr);
    }

    explicit operator bool() const noexcept
    {
        return pointer_ != nullptr;
    }

  protected:
    T *pointer_ = nullptr;
    reference keep_;
};

inline std::uint64_t timeout_of(std::chrono::nanoseconds timeout) noexcept
{
    if (timeout == (std::chrono::nanoseconds::max)()) {
        return EPIO_FOREVER;
    }
    return timeout.count() > 0 ? static_cast<std::uint64_t>(timeout.count()) : EPIO_NOW;
}

} // namespace detail

/* No limit, where a timeout is given. */
inline constexpr std::chrono::nanoseconds no_timeout = (std::chrono::nanoseconds::max)();

/* ---- Files ------------------------------------------------------------- */

namespace detail
{
struct closes {
    static void dispose(epio_file *file, reference keep) noexcept
    {
        detail::dispose<epio_file, epio_close>(file->vfs, file, std::move(keep));
    }
};
} // namespace detail

/* An open file. Verbs take one, or an epio_file, as their argument. Destroyed, it is closed: on its
 * loop, after all that was submitted to it, and an error is lost; without a loop at once. Any
 * thread. Like all files it must be gone before its loop is, which waits for its close. */
class file : public detail::owner<epio_file, detail::closes>
{
  public:
    using owner::owner;

    operator epio_file *() const &noexcept
    {
        return get();
    }

    operator epio_file *() && = delete; // the file would be closed before it is used

    explicit operator bool() const noexcept
    {
        return get() != nullptr;
    }

    /* Its close as a verb: result<void>. The file is empty from here on. */
    [[nodiscard]] auto close() noexcept;

    /* See epio_directory_vfs. */
    epio_vfs *directory_vfs() const noexcept
    {
        return epio_directory_vfs(get());
    }

    std::intptr_t os_handle() const noexcept
    {
        return epio_file_os_handle(get());
    }
};

/* ---- Mappings ---------------------------------------------------------- */

namespace detail
{
struct unmaps {
    static void dispose(epio_mapping *mapping, reference keep) noexcept
    {
        detail::dispose<epio_mapping, epio_unmap>(mapping->vfs, mapping, std::move(keep));
    }
};
} // namespace detail

/* A file in memory. Destroyed, it is unmapped as a file is closed. */
class mapping : public detail::owner<epio_mapping, detail::unmaps>
{
  public:
    using owner::owner;

    void *data() const noexcept
    {
        return epio_mapping_address(get());
    }

    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(epio_mapping_len(get()));
    }
};

/* ---- Saves ------------------------------------------------------------- */

namespace detail
{
struct abandons {
    static void dispose(epio_saving *saving, reference keep) noexcept
    {
        detail::dispose<epio_saving, epio_save_abandon>(epio_saving_file(saving)->vfs, saving,
                                                        std::move(keep));
    }
};
} // namespace detail

/* A save in steps. Destroyed without a commit that succeeded, it is abandoned, once no op of its
 * file is in flight: the old file stays. */
class saving : public detail::owner<epio_saving, detail::abandons>
{
  public:
    using owner::owner;

    /* The new file, for all verbs but close. */
    epio_file *file() const noexcept
    {
        return epio_saving_file(get());
    }
};

/* ---- Buffers ----------------------------------------------------------- */

/* Memory that epio::load fills, a zero byte behind it. */
class buffer
{
  public:
    buffer() noexcept : buffer_()
    {
        buffer_.size = sizeof buffer_;
    }

    buffer(buffer &&other) noexcept : buffer_(std::exchange(other.buffer_, buffer().buffer_))
    {
    }

    buffer &operator=(buffer &&other) noexcept
    {
        std::swap(buffer_, other.buffer_);
        return *this;
    }

    ~buffer()
    {
        epio_buffer_free(&buffer_);
    }

    char *data() const noexcept
    {
        return static_cast<char *>(buffer_.data);
    }

    std::size_t size() const noexcept
    {
        return buffer_.len;
    }

    bool empty() const noexcept
    {
        return buffer_.len == 0;
    }

    char *begin() const noexcept
    {
        return data();
    }

    char *end() const noexcept
    {
        return data() + size();
    }

    epio_buffer *get() noexcept
    {
        return &buffer_;
    }

  private:
    epio_buffer buffer_;
};

#if EPIO_ASYNC

/* ---- Loops ------------------------------------------------------------- */

/* Where completions arrive; see epio_loop_create for what threads may do. Destroyed by its owner,
 * it cancels all that is in flight and delivers it: coroutines get EPIO_ECANCELED and run on, to
 * their ends if they heed it. Files that they own are closed. Operations stuck in a mount that does
 * not answer are waited for: close() with a timeout comes before that. */
class loop
{
  public:
    loop() noexcept = default;

    /* Takes over a loop of C. */
    explicit loop(epio_loop *of_c) noexcept : loop_(of_c)
    {
    }

    loop(loop &&other) noexcept : loop_(other.release())
    {
    }

    loop &operator=(loop &&other) noexcept
    {
        loop taken(std::move(other));
        std::swap(loop_, taken.loop_);
        return *this;
    }

    ~loop()
    {
        epio_loop_destroy(loop_);
    }

    /* NULL: the defaults. */
    static result<loop> create(const epio_loop_options *options = nullptr) noexcept
    {
        epio_loop *created = nullptr;
        int error = epio_loop_create(&created, options);
        if (error < 0) {
            return detail::failure_to("loop_create", error,
                                      "an option or EPIO_BACKEND: epio_loop_invalid_reason says");
        }
        return loop(created);
    }

    epio_loop *get() const noexcept
    {
        return loop_;
    }

    epio_loop *release() noexcept
    {
        return std::exchange(loop_, nullptr);
    }

    explicit operator bool() const noexcept
    {
        return loop_ != nullptr;
    }

    /* The operating system, completing on this loop. Verbs that take a VFS take the loop, too. */
    epio_vfs *vfs() const noexcept
    {
        return epio_loop_vfs(loop_);
    }

    std::uint64_t run() noexcept
    {
        return epio_loop_run(loop_);
    }

    /* Waits for the first completion for `timeout` at most; not at all without. */
    std::uint64_t poll(std::chrono::nanoseconds timeout = std::chrono::nanoseconds::zero(),
                       std::uint32_t max = 0) noexcept
    {
        return epio_loop_poll(loop_, detail::timeout_of(timeout), max);
    }

    void stop() noexcept
    {
        epio_loop_stop(loop_);
    }

    void wake() noexcept
    {
        epio_loop_wake(loop_);
    }

    void detach() noexcept
    {
        epio_loop_detach(loop_);
    }

    std::uint64_t pending() const noexcept
    {
        return epio_loop_pending(loop_);
    }

    /* See epio_loop_close: an EPIO_ETIMEDOUT says that something is left. */
    result<void> close(std::chrono::nanoseconds timeout = no_timeout) noexcept
    {
        int error = epio_loop_close(loop_, detail::timeout_of(timeout));
        return error < 0 ? result<void>(detail::failure_to("loop_close", error)) : result<void>();
    }

    const char *backend() const noexcept
    {
        return epio_loop_backend(loop_);
    }

  private:
    epio_loop *loop_ = nullptr;
};

/* ---- Semaphores -------------------------------------------------------- */

namespace detail
{
struct semaphore_block : shared {
    explicit semaphore_block(epio_semaphore *owned) noexcept : semaphore(owned)
    {
        destroy = end;
    }

    static void end(shared *self) noexcept
    {
        auto *block = static_cast<semaphore_block *>(self);
        epio_semaphore_destroy(block->semaphore);
        delete block;
    }

    epio_semaphore *semaphore;
};
} // namespace detail

/* Permits of a semaphore, released with it. Any thread. */
class permit
{
  public:
    permit() noexcept = default;

    /* Takes over permits that were acquired. */
    permit(detail::reference of, std::uint32_t permits) noexcept
        : of_(std::move(of)), permits_(permits)
    {
    }

    permit(permit &&other) noexcept
        : of_(std::move(other.of_)), permits_(std::exchange(other.permits_, 0u))
    {
    }

    permit &operator=(permit &&other) noexcept
    {
        permit taken(std::move(other));
        std::swap(of_, taken.of_);
        std::swap(permits_, taken.permits_);
        return *this;
    }

    ~permit()
    {
        release();
    }

    /* Before its end. */
    void release() noexcept
    {
        if (permits_ != 0) {
            auto *block = static_cast<detail::semaphore_block *>(of_.get());
            epio_semaphore_release(block->semaphore, std::exchange(permits_, 0u));
        }
        of_ = detail::reference();
    }

    std::uint32_t count() const noexcept
    {
        return permits_;
    }

    explicit operator bool() const noexcept
    {
        return permits_ != 0;
    }

  private:
    detail::reference of_;
    std::uint32_t permits_ = 0;
};

/* Counted permits; epio::acquire waits for some. Destroyed, it is closed, so that all who wait get
 * EPIO_ECLOSED; its memory lives until they, its permits and the VFSes over it are gone. Any
 * thread. */
class semaphore
{
  public:
    semaphore() noexcept = default;
    semaphore(semaphore &&) noexcept = default;

    semaphore &operator=(semaphore &&other) noexcept
    {
        semaphore taken(std::move(other));
        std::swap(block_, taken.block_);
        return *this;
    }

    ~semaphore()
    {
        close();
    }

    static result<semaphore> create(std::uint32_t permits) noexcept
    {
        epio_semaphore *created = nullptr;
        int error = epio_semaphore_create(&created, permits);
        if (error < 0) {
            return detail::failure_to("semaphore_create", error);
        }
        auto *block = new (std::nothrow) detail::semaphore_block(created);
        if (block == nullptr) {
            epio_semaphore_destroy(created);
            return detail::failure_to("semaphore_create", EPIO_ENOMEM);
        }
        return semaphore(detail::reference(block));
    }

    epio_semaphore *get() const noexcept
    {
        auto *block = static_cast<detail::semaphore_block *>(block_.get());
        return block != nullptr ? block->semaphore : nullptr;
    }

    explicit operator bool() const noexcept
    {
        return get() != nullptr;
    }

    /* See epio_semaphore_limit_bytes. */
    void limit_bytes(std::uint64_t bytes) noexcept
    {
        epio_semaphore_limit_bytes(get(), bytes);
    }

    result<permit> try_acquire(std::uint32_t permits = 1) noexcept
    {
        int error = epio_semaphore_try_acquire(get(), permits);
        if (error < 0) {
            return detail::failure_to("semaphore_try_acquire", error);
        }
        return permit(block_, permits);
    }

    std::uint32_t available() const noexcept
    {
        return epio_semaphore_available(get());
    }

    /* All who wait, and ask later, get EPIO_ECLOSED. */
    void close() noexcept
    {
        if (get() != nullptr) {
            epio_semaphore_close(get());
        }
    }

    const detail::reference &block() const noexcept
    {
        return block_;
    }

  private:
    explicit semaphore(detail::reference block) noexcept : block_(std::move(block))
    {
    }

    detail::reference block_;
};

#endif // EPIO_ASYNC

/* ---- VFSes ------------------------------------------------------------- */

namespace detail
{
struct vfs_block : shared {
    vfs_block(epio_vfs *owned, reference inner, reference limiter) noexcept
        : vfs(owned), over(std::move(inner)), limit(std::move(limiter))
    {
        destroy = end;
    }

    static void end(shared *self) noexcept
    {
        auto *block = static_cast<vfs_block *>(self);
        epio_vfs_destroy(block->vfs);
        delete block;
    }

    epio_vfs *vfs;
    reference over;
    reference limit;
};
} // namespace detail

class vfs;

/* The VFS of a verb: an epio::vfs, an epio::loop (the system's), or one of C. The first lives until
 * the verb has ended and what it opened is closed. */
class vfs_argument
{
  public:
    vfs_argument(epio_vfs *of_c) noexcept : vfs_(of_c)
    {
    }

    vfs_argument(const vfs &of) noexcept;

#if EPIO_ASYNC
    vfs_argument(const loop &of) noexcept : vfs_(of.vfs())
    {
    }
#endif

    epio_vfs *get() const noexcept
    {
        return vfs_;
    }

    const detail::reference &block() const noexcept
    {
        return block_;
    }

  private:
    epio_vfs *vfs_;
    detail::reference block_;
};

/* A VFS of the program's own: memory_vfs, limit_vfs, trace_vfs, or one of C that it takes over. It
 * is destroyed with this object, or if later with the last verb and file that were given it, or the
 * last VFS over it. Its end, and theirs, are the loop's owner's. */
class vfs
{
  public:
    vfs() noexcept = default;

    /* Takes over one of C, which lies over `inner`. */
    static result<vfs> take(epio_vfs *owned, const vfs_argument &inner = nullptr,
                            detail::reference limiter = detail::reference()) noexcept
    {
        auto *block =
            new (std::nothrow) detail::vfs_block(owned, inner.block(), std::move(limiter));
        if (block == nullptr) {
            epio_vfs_destroy(owned);
            return detail::failure_to("vfs", EPIO_ENOMEM);
        }
        return vfs(detail::reference(block));
    }

    vfs(vfs &&) noexcept = default;
    vfs &operator=(vfs &&) noexcept = default;

    epio_vfs *get() const noexcept
    {
        auto *block = static_cast<detail::vfs_block *>(block_.get());
        return block != nullptr ? block->vfs : nullptr;
    }

    explicit operator bool() const noexcept
    {
        return get() != nullptr;
    }

    const detail::reference &block() const noexcept
    {
        return block_;
    }

  private:
    explicit vfs(detail::reference block) noexcept : block_(std::move(block))
    {
    }

    detail::reference block_;
};

inline vfs_argument::vfs_argument(const vfs &of) noexcept : vfs_(of.get()), block_(of.block())
{
}

/* See epio_memory_vfs_create. NULL, as by default: for epio::perform alone. */
inline result<vfs> memory_vfs(epio_loop *loop = nullptr) noexcept
{
    epio_vfs *created = nullptr;
    int error = epio_memory_vfs_create(&created, loop);
    if (error < 0) {
        return detail::failure_to("memory_vfs_create", error);
    }
    return vfs::take(created);
}

/* See epio_trace_vfs_create. */
inline result<vfs> trace_vfs(const vfs_argument &inner) noexcept
{
    epio_vfs *created = nullptr;
    int error = epio_trace_vfs_create(&created, inner.get());
    if (error < 0) {
        return detail::failure_to("trace_vfs_create", error);
    }
    return vfs::take(created, inner);
}

#if EPIO_ASYNC

inline result<vfs> memory_vfs(const loop &loop) noexcept
{
    return memory_vfs(loop.get());
}

/* See epio_limit_vfs_create. */
inline result<vfs> limit_vfs(const vfs_argument &inner, const semaphore &semaphore) noexcept
{
    epio_vfs *created = nullptr;
    int error = epio_limit_vfs_create(&created, inner.get(), semaphore.get());
    if (error < 0) {
        return detail::failure_to("limit_vfs_create", error);
    }
    return vfs::take(created, inner, semaphore.block());
}

#endif

} // namespace epio

#endif
