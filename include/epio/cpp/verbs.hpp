/* The verbs, in the order of C's headers, which say what each does; what differs is said here.
 * Flags are the EPIO_... of C. Part of epio/epio.hpp. */
#ifndef EPIO_CPP_VERBS_HPP
#define EPIO_CPP_VERBS_HPP

#include <epio/cpp/argument.hpp>
#include <epio/cpp/verb.hpp>

#include <exception>
#include <iterator>

namespace epio
{

namespace detail
{

// What an open, an adopt or a watch has opened, which keeps its VFS.
struct opened {
    result<file> operator()(epio_op *op, vfs_argument &on) const noexcept
    {
        if (op->result < 0) {
            return failure_of(op);
        }
        return file(op->file, on.block());
    }
};

template <class Prepare> auto make_opening(vfs_argument on, Prepare prepare)
{
    return make_verb(
        std::move(on),
        [prepare = std::move(prepare)](epio_op *op, vfs_argument &vfs) mutable {
            return prepare(op, vfs.get());
        },
        opened());
}

// Ends what an owner has: it stays the owner's where the library left it alone.
struct ended {
    template <class Owner> result<void> operator()(epio_op *op, Owner &owner) const noexcept
    {
        bool is_save = std::is_same_v<Owner, saving>;
        if (op->result != EPIO_EBUSY && (op->result != EPIO_ENOMEM || !is_save)) {
            (void)owner.release();
        }
        return number<void>()(op, owner);
    }
};

// A struct of C that begins with its size, and is a result.
template <class T, class Prepare> auto make_filling(Prepare prepare)
{
    return make_verb(
        T(),
        [prepare = std::move(prepare)](epio_op *op, T &value) mutable {
            value.size = sizeof value;
            return prepare(op, &value);
        },
        filled());
}

} // namespace detail

/* ---- Files ------------------------------------------------------------- */

/* result<file>. */
[[nodiscard]] inline auto open(vfs_argument vfs, path_argument path, std::uint32_t flags)
{
    return detail::make_opening(std::move(vfs),
                                [path = std::move(path), flags](epio_op *op, epio_vfs *on) {
                                    return epio_open(op, on, path.c_str(), flags);
                                });
}

/* result<file>. */
[[nodiscard]] inline auto adopt(vfs_argument vfs, std::intptr_t os_handle, std::uint32_t flags)
{
    return detail::make_opening(std::move(vfs), [os_handle, flags](epio_op *op, epio_vfs *on) {
        return epio_adopt(op, on, os_handle, flags);
    });
}

/* result<void>. The verb owns the file, and closes it even if it is not run. */
[[nodiscard]] inline auto close(file file) noexcept
{
    return detail::make_verb(
        std::move(file),
        [](epio_op *op, epio::file &closed) { return epio_close(op, closed.get()); },
        detail::ended());
}

inline auto file::close() noexcept
{
    return epio::close(std::move(*this));
}

/* result<std::size_t>. */
[[nodiscard]] inline auto read(epio_file *file, void *data, std::size_t len, std::uint64_t offset)
{
    return detail::make_verb<std::size_t>(
        [file, data, len, offset](epio_op *op) { return epio_read(op, file, data, len, offset); });
}

/* Into what a mutable_buffer can be made of. */
template <class Buffer,
          class = std::enable_if_t<std::is_constructible_v<mutable_buffer, Buffer &&>>>
[[nodiscard]] auto read(epio_file *file, Buffer &&buffer, std::uint64_t offset)
{
    mutable_buffer bytes(std::forward<Buffer>(buffer)); // here, not in the frame of a coroutine
    return epio::read(file, bytes.data(), bytes.size(), offset);
}

[[nodiscard]] inline auto readv(epio_file *file, const epio_iovec *parts, std::size_t count,
                                std::uint64_t offset)
{
    return detail::make_verb<std::size_t>([file, parts, count, offset](epio_op *op) {
        return epio_readv(op, file, parts, count, offset);
    });
}

[[nodiscard]] inline auto write(epio_file *file, const void *data, std::size_t len,
                                std::uint64_t offset)
{
    return detail::make_verb<std::size_t>(
        [file, data, len, offset](epio_op *op) { return epio_write(op, file, data, len, offset); });
}

/* From what a const_buffer can be made of. */
template <class Buffer, class = std::enable_if_t<std::is_constructible_v<const_buffer, Buffer &&>>>
[[nodiscard]] auto write(epio_file *file, Buffer &&buffer, std::uint64_t offset)
{
    const_buffer bytes(std::forward<Buffer>(buffer)); // here, not in the frame of a coroutine
    return epio::write(file, bytes.data(), bytes.size(), offset);
}

[[nodiscard]] inline auto writev(epio_file *file, const epio_iovec *parts, std::size_t count,
                                 std::uint64_t offset)
{
    return detail::make_verb<std::size_t>([file, parts, count, offset](epio_op *op) {
        return epio_writev(op, file, parts, count, offset);
    });
}

[[nodiscard]] inline auto truncate(epio_file *file, std::uint64_t size)
{
    return detail::make_verb<void>(
        [file, size](epio_op *op) { return epio_truncate(op, file, size); });
}

[[nodiscard]] inline auto sync(epio_file *file, std::uint32_t mode = EPIO_SYNC_FULL)
{
    return detail::make_verb<void>([file, mode](epio_op *op) { return epio_sync(op, file, mode); });
}

[[nodiscard]] inline auto size(epio_file *file)
{
    return detail::make_verb<std::uint64_t>([file](epio_op *op) { return epio_size(op, file); });
}

/* ---- Locks ------------------------------------------------------------- */

[[nodiscard]] inline auto lock(epio_file *file, std::uint32_t level, std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [file, level, flags](epio_op *op) { return epio_lock(op, file, level, flags); });
}

[[nodiscard]] inline auto unlock(epio_file *file, std::uint32_t level = EPIO_LOCK_NONE)
{
    return detail::make_verb<void>(
        [file, level](epio_op *op) { return epio_unlock(op, file, level); });
}

[[nodiscard]] inline auto check_reserved_lock(epio_file *file)
{
    return detail::make_verb<bool>(
        [file](epio_op *op) { return epio_check_reserved_lock(op, file); });
}

[[nodiscard]] inline auto lock_range(epio_file *file, std::uint64_t start, std::uint64_t len,
                                     std::uint32_t mode, std::uint32_t flags = 0)
{
    return detail::make_verb<void>([file, start, len, mode, flags](epio_op *op) {
        return epio_lock_range(op, file, start, len, mode, flags);
    });
}

[[nodiscard]] inline auto unlock_range(epio_file *file, std::uint64_t start, std::uint64_t len)
{
    return detail::make_verb<void>(
        [file, start, len](epio_op *op) { return epio_unlock_range(op, file, start, len); });
}

/* result<bool>: another has it. */
[[nodiscard]] inline auto test_range(epio_file *file, std::uint64_t start, std::uint64_t len,
                                     std::uint32_t mode)
{
    return detail::make_verb<bool>([file, start, len, mode](epio_op *op) {
        return epio_test_range(op, file, start, len, mode);
    });
}

/* ---- A VFS ------------------------------------------------------------- */

/* epio_delete, whose name is a keyword. */
[[nodiscard]] inline auto remove(vfs_argument vfs, path_argument path, std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), path = std::move(path), flags](epio_op *op) {
            return epio_delete(op, vfs.get(), path.c_str(), flags);
        });
}

[[nodiscard]] inline auto rename(vfs_argument vfs, path_argument from, path_argument to,
                                 std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), from = std::move(from), to = std::move(to), flags](epio_op *op) {
            return epio_rename(op, vfs.get(), from.c_str(), to.c_str(), flags);
        });
}

[[nodiscard]] inline auto access(vfs_argument vfs, path_argument path,
                                 std::uint32_t mode = EPIO_ACCESS_EXISTS)
{
    return detail::make_verb<bool>(
        [vfs = std::move(vfs), path = std::move(path), mode](epio_op *op) {
            return epio_access(op, vfs.get(), path.c_str(), mode);
        });
}

[[nodiscard]] inline auto full_pathname(vfs_argument vfs, path_argument path, mutable_buffer buffer)
{
    return detail::make_verb<std::size_t>(
        [vfs = std::move(vfs), path = std::move(path), buffer](epio_op *op) {
            return epio_full_pathname(op, vfs.get(), path.c_str(),
                                      static_cast<char *>(buffer.data()), buffer.size());
        });
}

/* result<void>. */
[[nodiscard]] inline auto sleep(vfs_argument vfs, std::chrono::nanoseconds time)
{
    auto nanoseconds = static_cast<std::uint64_t>(time.count() > 0 ? time.count() : 0);
    return detail::make_verb<void>([vfs = std::move(vfs), nanoseconds](epio_op *op) {
        return epio_sleep(op, vfs.get(), nanoseconds);
    });
}

/* result<std::chrono::nanoseconds> since 1970. */
[[nodiscard]] inline auto current_time(vfs_argument vfs)
{
    return detail::make_verb<std::chrono::nanoseconds>(
        [vfs = std::move(vfs)](epio_op *op) { return epio_current_time(op, vfs.get()); });
}

[[nodiscard]] inline auto randomness(vfs_argument vfs, mutable_buffer buffer)
{
    return detail::make_verb<std::size_t>([vfs = std::move(vfs), buffer](epio_op *op) {
        return epio_randomness(op, vfs.get(), buffer.data(), buffer.size());
    });
}

namespace detail
{

// The result of epio::work for a function that returns R.
template <class R> struct work_result {
    using type = result<R>;
};
template <class T> struct work_result<result<T>> {
    using type = result<T>;
};

template <class Function> class working : public verb_base
{
    using returned = std::invoke_result_t<Function &>;

  public:
    using result_type = typename work_result<returned>::type;
    using value_type = typename result_type::value_type;

    working(vfs_argument vfs, Function function)
        : vfs_(std::move(vfs)), function_(std::move(function))
    {
    }

    epio_op *prepare(epio_op *op) noexcept
    {
        op->user = this;
        return epio_work(op, vfs_.get(), call);
    }

    result_type finish(epio_op *op)
    {
        if (op->result < 0) {
            return failure_of(op);
        }
#if EPIO_CPP_EXCEPTIONS
        if (exception_ != nullptr) {
            std::rethrow_exception(exception_);
        }
#endif
        return std::move(*returned_);
    }

  private:
    static std::int64_t call(epio_op *op) noexcept
    {
        static_cast<working *>(op->user)->call();
        return 0;
    }

    void call() noexcept
    {
#if EPIO_CPP_EXCEPTIONS
        try {
            call_function();
        } catch (...) {
            exception_ = std::current_exception();
        }
#else
        call_function();
#endif
    }

    void call_function()
    {
        if constexpr (std::is_void_v<returned>) {
            function_();
            returned_.emplace();
        } else {
            returned_.emplace(function_());
        }
    }

    vfs_argument vfs_;
    Function function_;
    std::optional<result_type> returned_;
#if EPIO_CPP_EXCEPTIONS
    std::exception_ptr exception_;
#endif
};

} // namespace detail

/* Calls `function()` on a worker thread: result of what it returns, or that itself if it is a
 * result. What it throws is thrown on by whoever takes the result: co_await, perform, wait, the
 * future. */
template <class Function>
[[nodiscard]] detail::working<Function> work(vfs_argument vfs, Function function)
{
    return detail::working<Function>(std::move(vfs), std::move(function));
}

#if EPIO_ASYNC

/* result<permit>, which completes on the loop of `vfs`. */
[[nodiscard]] inline auto acquire(vfs_argument vfs, const semaphore &semaphore,
                                  std::uint32_t permits = 1)
{
    return detail::make_verb(
        semaphore.block(),
        [vfs = std::move(vfs), permits](epio_op *op, detail::reference &block) {
            auto *of = static_cast<detail::semaphore_block *>(block.get());
            return epio_acquire(op, vfs.get(), of != nullptr ? of->semaphore : nullptr, permits);
        },
        [permits](epio_op *op, detail::reference &block) -> result<permit> {
            if (op->result < 0) {
                return detail::failure_of(op);
            }
            return permit(std::move(block), permits);
        });
}

#endif

/* ---- Directories ------------------------------------------------------- */

[[nodiscard]] inline auto mkdir(vfs_argument vfs, path_argument path, std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), path = std::move(path), flags](epio_op *op) {
            return epio_mkdir(op, vfs.get(), path.c_str(), flags);
        });
}

[[nodiscard]] inline auto rmdir(vfs_argument vfs, path_argument path, std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), path = std::move(path), flags](epio_op *op) {
            return epio_rmdir(op, vfs.get(), path.c_str(), flags);
        });
}

[[nodiscard]] inline auto sync_directory(vfs_argument vfs, path_argument path)
{
    return detail::make_verb<void>([vfs = std::move(vfs), path = std::move(path)](epio_op *op) {
        return epio_sync_directory(op, vfs.get(), path.c_str());
    });
}

/* The length of the entries: see epio::entries. */
[[nodiscard]] inline auto list(epio_file *file, mutable_buffer buffer, std::uint32_t flags = 0)
{
    return detail::make_verb<std::size_t>([file, buffer, flags](epio_op *op) {
        return epio_list(op, file, buffer.data(), buffer.size(), flags);
    });
}

namespace detail
{

// What C gives one by one, as a range.
template <class T, const T *(*Next)(const void *, std::size_t, const T *)> class chain
{
  public:
    class iterator
    {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = const T *;
        using reference = const T &;

        iterator(const chain *of, const T *at) noexcept : of_(of), at_(at)
        {
        }

        const T &operator*() const noexcept
        {
            return *at_;
        }

        const T *operator->() const noexcept
        {
            return at_;
        }

        iterator &operator++() noexcept
        {
            at_ = Next(of_->buffer_, of_->len_, at_);
            return *this;
        }

        void operator++(int) noexcept
        {
            ++*this;
        }

        bool operator==(const iterator &other) const noexcept
        {
            return at_ == other.at_;
        }

        bool operator!=(const iterator &other) const noexcept
        {
            return at_ != other.at_;
        }

      private:
        const chain *of_;
        const T *at_;
    };

    chain(const void *buffer, std::size_t len) noexcept : buffer_(buffer), len_(len)
    {
    }

    iterator begin() const noexcept
    {
        return {this, Next(buffer_, len_, nullptr)};
    }

    iterator end() const noexcept
    {
        return {this, nullptr};
    }

  private:
    const void *buffer_;
    std::size_t len_;
};

} // namespace detail

/* The entries that a list has put into a buffer, for a `for`. */
using entries = detail::chain<epio_entry, epio_entry_next>;

namespace detail
{

template <class Visit> struct walking {
    vfs_argument vfs;
    path_argument path;
    epio_walk_options options;
    Visit visit;

    epio_op *prepare(epio_op *op) noexcept
    {
        op->user = this;
        options.entries = call;
        return epio_walk(op, vfs.get(), path.c_str(), &options);
    }

    static bool call(epio_op *op, epio_walk_entry *entries, std::size_t count) noexcept
    {
        return static_cast<walking *>(op->user)->visit(entries, count);
    }
};

template <class State> auto make_calling(State state)
{
    return make_verb(
        std::move(state), [](epio_op *op, State &calls) { return calls.prepare(op); },
        number<std::uint64_t>());
}

} // namespace detail

/* The number of entries, each of which was among those of a call `visit(entries, count)`: a pointer
 * to epio_walk_entry and how many; false ends the walk. What it throws ends the process. Of the
 * options `entries` is not used. */
template <class Visit>
[[nodiscard]] auto walk(vfs_argument vfs, path_argument path, Visit visit,
                        epio_walk_options options = epio_walk_options())
{
    options.size = sizeof options;
    return detail::make_calling(
        detail::walking<Visit>{std::move(vfs), std::move(path), options, std::move(visit)});
}

[[nodiscard]] inline auto name_temporary(epio_file *file, path_argument path,
                                         std::uint32_t flags = 0)
{
    return detail::make_verb<void>([file, path = std::move(path), flags](epio_op *op) {
        return epio_name_temporary(op, file, path.c_str(), flags);
    });
}

[[nodiscard]] inline auto temporary_directory(vfs_argument vfs, path_argument parent,
                                              mutable_buffer buffer)
{
    return detail::make_verb<std::size_t>(
        [vfs = std::move(vfs), parent = std::move(parent), buffer](epio_op *op) {
            return epio_temporary_directory(op, vfs.get(), parent.c_str(),
                                            static_cast<char *>(buffer.data()), buffer.size());
        });
}

[[nodiscard]] inline auto link_file(vfs_argument vfs, path_argument from, path_argument to,
                                    std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), from = std::move(from), to = std::move(to), flags](epio_op *op) {
            return epio_link_file(op, vfs.get(), from.c_str(), to.c_str(), flags);
        });
}

[[nodiscard]] inline auto symlink(vfs_argument vfs, path_argument target, path_argument path,
                                  std::uint32_t flags = 0)
{
    return detail::make_verb<void>([vfs = std::move(vfs), target = std::move(target),
                                    path = std::move(path), flags](epio_op *op) {
        return epio_symlink(op, vfs.get(), target.c_str(), path.c_str(), flags);
    });
}

[[nodiscard]] inline auto read_link(vfs_argument vfs, path_argument path, mutable_buffer buffer)
{
    return detail::make_verb<std::size_t>(
        [vfs = std::move(vfs), path = std::move(path), buffer](epio_op *op) {
            return epio_read_link(op, vfs.get(), path.c_str(), static_cast<char *>(buffer.data()),
                                  buffer.size());
        });
}

[[nodiscard]] inline auto exchange(vfs_argument vfs, path_argument path, path_argument other,
                                   std::uint32_t flags = 0)
{
    return detail::make_verb<void>([vfs = std::move(vfs), path = std::move(path),
                                    other = std::move(other), flags](epio_op *op) {
        return epio_exchange(op, vfs.get(), path.c_str(), other.c_str(), flags);
    });
}

/* ---- Metadata ---------------------------------------------------------- */

/* result<epio_info>. */
[[nodiscard]] inline auto stat(vfs_argument vfs, path_argument path, std::uint32_t flags = 0)
{
    return detail::make_filling<epio_info>(
        [vfs = std::move(vfs), path = std::move(path), flags](epio_op *op, epio_info *info) {
            return epio_stat(op, vfs.get(), path.c_str(), info, flags);
        });
}

[[nodiscard]] inline auto file_stat(epio_file *file)
{
    return detail::make_filling<epio_info>(
        [file](epio_op *op, epio_info *info) { return epio_file_stat(op, file, info); });
}

/* result<epio_file_system>. */
[[nodiscard]] inline auto file_system_info(vfs_argument vfs, path_argument path)
{
    return detail::make_filling<epio_file_system>(
        [vfs = std::move(vfs), path = std::move(path)](epio_op *op, epio_file_system *info) {
            return epio_file_system_info(op, vfs.get(), path.c_str(), info);
        });
}

namespace detail
{

template <class Prepare> auto make_setting_times(const epio_times &times, Prepare prepare)
{
    return make_verb(
        times,
        [prepare = std::move(prepare)](epio_op *op, epio_times &set) { return prepare(op, &set); },
        number<void>());
}

} // namespace detail

/* The times are kept by the verb; begin with EPIO_TIMES_INIT. */
[[nodiscard]] inline auto set_times(vfs_argument vfs, path_argument path, const epio_times &times,
                                    std::uint32_t flags = 0)
{
    return detail::make_setting_times(times, [vfs = std::move(vfs), path = std::move(path),
                                              flags](epio_op *op, const epio_times *set) {
        return epio_set_times(op, vfs.get(), path.c_str(), set, flags);
    });
}

[[nodiscard]] inline auto file_set_times(epio_file *file, const epio_times &times)
{
    return detail::make_setting_times(times, [file](epio_op *op, const epio_times *set) {
        return epio_file_set_times(op, file, set);
    });
}

[[nodiscard]] inline auto set_mode(vfs_argument vfs, path_argument path, std::uint32_t mode,
                                   std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), path = std::move(path), mode, flags](epio_op *op) {
            return epio_set_mode(op, vfs.get(), path.c_str(), mode, flags);
        });
}

[[nodiscard]] inline auto file_set_mode(epio_file *file, std::uint32_t mode)
{
    return detail::make_verb<void>(
        [file, mode](epio_op *op) { return epio_file_set_mode(op, file, mode); });
}

[[nodiscard]] inline auto set_owner(vfs_argument vfs, path_argument path, std::uint32_t user,
                                    std::uint32_t group, std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), path = std::move(path), user, group, flags](epio_op *op) {
            return epio_set_owner(op, vfs.get(), path.c_str(), user, group, flags);
        });
}

[[nodiscard]] inline auto file_set_owner(epio_file *file, std::uint32_t user, std::uint32_t group)
{
    return detail::make_verb<void>(
        [file, user, group](epio_op *op) { return epio_file_set_owner(op, file, user, group); });
}

[[nodiscard]] inline auto get_xattr(vfs_argument vfs, path_argument path, path_argument name,
                                    mutable_buffer buffer, std::uint32_t flags = 0)
{
    return detail::make_verb<std::size_t>([vfs = std::move(vfs), path = std::move(path),
                                           name = std::move(name), buffer, flags](epio_op *op) {
        return epio_get_xattr(op, vfs.get(), path.c_str(), name.c_str(), buffer.data(),
                              buffer.size(), flags);
    });
}

[[nodiscard]] inline auto file_get_xattr(epio_file *file, path_argument name, mutable_buffer buffer)
{
    return detail::make_verb<std::size_t>([file, name = std::move(name), buffer](epio_op *op) {
        return epio_file_get_xattr(op, file, name.c_str(), buffer.data(), buffer.size());
    });
}

[[nodiscard]] inline auto set_xattr(vfs_argument vfs, path_argument path, path_argument name,
                                    const_buffer value, std::uint32_t flags = 0)
{
    return detail::make_verb<void>([vfs = std::move(vfs), path = std::move(path),
                                    name = std::move(name), value, flags](epio_op *op) {
        return epio_set_xattr(op, vfs.get(), path.c_str(), name.c_str(), value.data(), value.size(),
                              flags);
    });
}

[[nodiscard]] inline auto file_set_xattr(epio_file *file, path_argument name, const_buffer value,
                                         std::uint32_t flags = 0)
{
    return detail::make_verb<void>([file, name = std::move(name), value, flags](epio_op *op) {
        return epio_file_set_xattr(op, file, name.c_str(), value.data(), value.size(), flags);
    });
}

[[nodiscard]] inline auto list_xattrs(vfs_argument vfs, path_argument path, mutable_buffer buffer,
                                      std::uint32_t flags = 0)
{
    return detail::make_verb<std::size_t>(
        [vfs = std::move(vfs), path = std::move(path), buffer, flags](epio_op *op) {
            return epio_list_xattrs(op, vfs.get(), path.c_str(), static_cast<char *>(buffer.data()),
                                    buffer.size(), flags);
        });
}

[[nodiscard]] inline auto file_list_xattrs(epio_file *file, mutable_buffer buffer)
{
    return detail::make_verb<std::size_t>([file, buffer](epio_op *op) {
        return epio_file_list_xattrs(op, file, static_cast<char *>(buffer.data()), buffer.size());
    });
}

[[nodiscard]] inline auto remove_xattr(vfs_argument vfs, path_argument path, path_argument name,
                                       std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), path = std::move(path), name = std::move(name), flags](epio_op *op) {
            return epio_remove_xattr(op, vfs.get(), path.c_str(), name.c_str(), flags);
        });
}

[[nodiscard]] inline auto file_remove_xattr(epio_file *file, path_argument name)
{
    return detail::make_verb<void>([file, name = std::move(name)](epio_op *op) {
        return epio_file_remove_xattr(op, file, name.c_str());
    });
}

/* ---- Space ------------------------------------------------------------- */

/* result<std::uint64_t>: where the bytes are. */
[[nodiscard]] inline auto append(epio_file *file, const_buffer buffer)
{
    return detail::make_verb<std::uint64_t>([file, buffer](epio_op *op) {
        return epio_append(op, file, buffer.data(), buffer.size());
    });
}

[[nodiscard]] inline auto allocate(epio_file *file, std::uint64_t offset, std::uint64_t len,
                                   std::uint32_t flags = 0)
{
    return detail::make_verb<void>([file, offset, len, flags](epio_op *op) {
        return epio_allocate(op, file, offset, len, flags);
    });
}

[[nodiscard]] inline auto punch_hole(epio_file *file, std::uint64_t offset, std::uint64_t len)
{
    return detail::make_verb<void>(
        [file, offset, len](epio_op *op) { return epio_punch_hole(op, file, offset, len); });
}

[[nodiscard]] inline auto zero_range(epio_file *file, std::uint64_t offset, std::uint64_t len,
                                     std::uint32_t flags = 0)
{
    return detail::make_verb<void>([file, offset, len, flags](epio_op *op) {
        return epio_zero_range(op, file, offset, len, flags);
    });
}

[[nodiscard]] inline auto seek_data(epio_file *file, std::uint64_t offset)
{
    return detail::make_verb<std::uint64_t>(
        [file, offset](epio_op *op) { return epio_seek_data(op, file, offset); });
}

[[nodiscard]] inline auto seek_hole(epio_file *file, std::uint64_t offset)
{
    return detail::make_verb<std::uint64_t>(
        [file, offset](epio_op *op) { return epio_seek_hole(op, file, offset); });
}

[[nodiscard]] inline auto copy_range(epio_file *from, std::uint64_t offset, epio_file *to,
                                     std::uint64_t to_offset, std::uint64_t len)
{
    return detail::make_verb<std::uint64_t>([from, offset, to, to_offset, len](epio_op *op) {
        return epio_copy_range(op, from, offset, to, to_offset, len);
    });
}

[[nodiscard]] inline auto advise(epio_file *file, std::uint64_t offset, std::uint64_t len,
                                 std::uint32_t advice)
{
    return detail::make_verb<void>([file, offset, len, advice](epio_op *op) {
        return epio_advise(op, file, offset, len, advice);
    });
}

/* ---- Mappings ---------------------------------------------------------- */

/* result<mapping>. */
[[nodiscard]] inline auto map(epio_file *file, std::uint64_t offset, std::uint64_t len,
                              std::uint32_t access)
{
    return detail::make_verb(
        detail::nothing(),
        [file, offset, len, access](epio_op *op, detail::nothing &) {
            return epio_map(op, file, offset, len, access);
        },
        [](epio_op *op, detail::nothing &) -> result<mapping> {
            if (op->result < 0) {
                return detail::failure_of(op);
            }
            return mapping(epio_op_mapping(op));
        });
}

/* result<void>. The verb owns the mapping. */
[[nodiscard]] inline auto unmap(mapping mapping) noexcept
{
    return detail::make_verb(
        std::move(mapping),
        [](epio_op *op, epio::mapping &unmapped) { return epio_unmap(op, unmapped.get()); },
        detail::ended());
}

/* To the end of the mapping without a length. */
[[nodiscard]] inline auto sync_mapping(const mapping &mapping, std::uint64_t offset = 0,
                                       std::uint64_t len = 0)
{
    return detail::make_verb<void>([synced = mapping.get(), offset, len](epio_op *op) {
        return epio_sync_mapping(op, synced, offset, len);
    });
}

/* ---- Watching ---------------------------------------------------------- */

/* What epio::watch gives. */
struct watching {
    epio::file file;       /* for read_events and close */
    bool compares = false; /* EPIO_WATCH_COMPARES */
};

/* result<watching>. */
[[nodiscard]] inline auto watch(vfs_argument vfs, path_argument path, std::uint32_t flags = 0)
{
    return detail::make_verb(
        std::move(vfs),
        [path = std::move(path), flags](epio_op *op, vfs_argument &on) {
            return epio_watch(op, on.get(), path.c_str(), flags);
        },
        [](epio_op *op, vfs_argument &on) -> result<watching> {
            if (op->result < 0) {
                return detail::failure_of(op);
            }
            return watching{file(op->file, on.block()), op->result == EPIO_WATCH_COMPARES};
        });
}

/* The length of the events: see epio::events. */
[[nodiscard]] inline auto read_events(epio_file *watch, mutable_buffer buffer)
{
    return detail::make_verb<std::size_t>([watch, buffer](epio_op *op) {
        return epio_read_events(op, watch, buffer.data(), buffer.size());
    });
}

/* The events that read_events has put into a buffer, for a `for`. */
using events = detail::chain<epio_event, epio_event_next>;

/* ---- Whole files ------------------------------------------------------- */

/* Options are given by their address, as in C, and stay until the completion; NULL: the defaults.
 */

/* result<buffer>, in memory of epio's own. */
[[nodiscard]] inline auto load(vfs_argument vfs, path_argument path,
                               const epio_load_options *options = nullptr)
{
    return detail::make_verb(
        buffer(),
        [vfs = std::move(vfs), path = std::move(path), options](epio_op *op, buffer &into) {
            return epio_load(op, vfs.get(), path.c_str(), into.get(), options);
        },
        detail::filled());
}

/* result<void>, in memory of the caller. */
[[nodiscard]] inline auto load_into(vfs_argument vfs, path_argument path, epio_buffer *buffer,
                                    const epio_load_options *options = nullptr)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), path = std::move(path), buffer, options](epio_op *op) {
            return epio_load(op, vfs.get(), path.c_str(), buffer, options);
        });
}

/* result<std::uint32_t>: EPIO_SAVED_... */
[[nodiscard]] inline auto save(vfs_argument vfs, path_argument path, const_buffer buffer,
                               const epio_save_options *options = nullptr)
{
    return detail::make_verb<std::uint32_t>(
        [vfs = std::move(vfs), path = std::move(path), buffer, options](epio_op *op) {
            return epio_save(op, vfs.get(), path.c_str(), buffer.data(), buffer.size(), options);
        });
}

[[nodiscard]] inline auto savev(vfs_argument vfs, path_argument path, const epio_iovec *parts,
                                std::size_t count, const epio_save_options *options = nullptr)
{
    return detail::make_verb<std::uint32_t>(
        [vfs = std::move(vfs), path = std::move(path), parts, count, options](epio_op *op) {
            return epio_savev(op, vfs.get(), path.c_str(), parts, count, options);
        });
}

/* result<saving>. */
[[nodiscard]] inline auto save_begin(vfs_argument vfs, path_argument path,
                                     const epio_save_options *options = nullptr)
{
    struct state {
        vfs_argument vfs;
        epio_saving *begun = nullptr;
    };
    return detail::make_verb(
        state{std::move(vfs)},
        [path = std::move(path), options](epio_op *op, state &of) {
            return epio_save_begin(op, of.vfs.get(), path.c_str(), options, &of.begun);
        },
        [](epio_op *op, state &of) -> result<saving> {
            if (op->result < 0) {
                return detail::failure_of(op);
            }
            return saving(of.begun, of.vfs.block());
        });
}

/* result<std::uint32_t>, as epio::save. `saving` is empty once it has succeeded; else it stays, to
 * be committed once more, or abandoned. */
[[nodiscard]] inline auto save_commit(saving &saving) noexcept
{
    return detail::make_verb(
        &saving, [](epio_op *op, epio::saving *of) { return epio_save_commit(op, of->get()); },
        [](epio_op *op, epio::saving *of) {
            if (op->result >= 0) {
                (void)of->release();
            }
            return detail::number<std::uint32_t>()(op, of);
        });
}

/* The same with a save of its own, which is abandoned if it fails. */
[[nodiscard]] inline auto save_commit(saving &&saving) noexcept
{
    return detail::make_verb(
        std::move(saving),
        [](epio_op *op, epio::saving &of) { return epio_save_commit(op, of.get()); },
        [](epio_op *op, epio::saving &of) {
            if (op->result >= 0) {
                (void)of.release();
            }
            return detail::number<std::uint32_t>()(op, of);
        });
}

/* result<void>. */
[[nodiscard]] inline auto save_abandon(saving saving) noexcept
{
    return detail::make_verb(
        std::move(saving),
        [](epio_op *op, epio::saving &of) { return epio_save_abandon(op, of.get()); },
        detail::ended());
}

[[nodiscard]] inline auto copy(vfs_argument vfs, path_argument from, path_argument to,
                               const epio_copy_options *options = nullptr)
{
    return detail::make_verb<std::uint64_t>(
        [vfs = std::move(vfs), from = std::move(from), to = std::move(to), options](epio_op *op) {
            return epio_copy(op, vfs.get(), from.c_str(), to.c_str(), options);
        });
}

/* ---- Trees ------------------------------------------------------------- */

namespace detail
{

// The error of epio_tree_options is `decide`, called with the epio_tree_error.
template <class Decide> struct tree_deciding {
    vfs_argument vfs;
    path_argument from;
    path_argument to;
    epio_tree_options options;
    Decide decide;

    void set_up(epio_op *op) noexcept
    {
        options.size = sizeof options;
        if constexpr (!std::is_same_v<Decide, nothing>) {
            op->user = this;
            options.error = call;
        }
    }

    static std::uint32_t call(epio_op *op, const epio_tree_error *error) noexcept
    {
        return static_cast<tree_deciding *>(op->user)->decide(*error);
    }
};

template <class Decide>
auto deciding(vfs_argument vfs, path_argument from, path_argument to,
              const epio_tree_options *options, Decide decide)
{
    return tree_deciding<Decide>{std::move(vfs), std::move(from), std::move(to),
                                 options != nullptr ? *options : epio_tree_options(),
                                 std::move(decide)};
}

template <class Value, class State, class Prepare> auto make_deciding(State state, Prepare prepare)
{
    return make_verb(
        std::move(state),
        [prepare](epio_op *op, State &of) {
            of.set_up(op);
            return prepare(op, of);
        },
        number<Value>());
}

} // namespace detail

/* These copy their options. `decide(const epio_tree_error &)`, if it is given, is called for each
 * part that fails and returns EPIO_ON_ERROR_...; what it throws ends the process. */

/* result<std::uint64_t>. */
template <class Decide = detail::nothing>
[[nodiscard]] auto copy_tree(vfs_argument vfs, path_argument from, path_argument to,
                             const epio_tree_options *options = nullptr, Decide decide = Decide())
{
    return detail::make_deciding<std::uint64_t>(
        detail::deciding(std::move(vfs), std::move(from), std::move(to), options,
                         std::move(decide)),
        [](epio_op *op, auto &of) {
            return epio_copy_tree(op, of.vfs.get(), of.from.c_str(), of.to.c_str(), &of.options);
        });
}

/* result<std::uint64_t>. */
template <class Decide = detail::nothing>
[[nodiscard]] auto remove_tree(vfs_argument vfs, path_argument path,
                               const epio_tree_options *options = nullptr, Decide decide = Decide())
{
    return detail::make_deciding<std::uint64_t>(
        detail::deciding(std::move(vfs), std::move(path), nullptr, options, std::move(decide)),
        [](epio_op *op, auto &of) {
            return epio_remove_tree(op, of.vfs.get(), of.from.c_str(), &of.options);
        });
}

/* result<bool>: it was copied and removed. */
template <class Decide = detail::nothing>
[[nodiscard]] auto move(vfs_argument vfs, path_argument from, path_argument to,
                        const epio_tree_options *options = nullptr, Decide decide = Decide())
{
    return detail::make_deciding<bool>(detail::deciding(std::move(vfs), std::move(from),
                                                        std::move(to), options, std::move(decide)),
                                       [](epio_op *op, auto &of) {
                                           return epio_move(op, of.vfs.get(), of.from.c_str(),
                                                            of.to.c_str(), &of.options);
                                       });
}

[[nodiscard]] inline auto trash(vfs_argument vfs, path_argument path, std::uint32_t flags = 0)
{
    return detail::make_verb<void>(
        [vfs = std::move(vfs), path = std::move(path), flags](epio_op *op) {
            return epio_trash(op, vfs.get(), path.c_str(), flags);
        });
}

} // namespace epio

#endif
