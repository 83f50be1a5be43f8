/* Errors as std::error_code, and epio::result, what every operation gives. Part of epio/epio.hpp.
 */
#ifndef EPIO_CPP_ERROR_HPP
#define EPIO_CPP_ERROR_HPP

#include <epio/cpp/config.hpp>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace epio
{

/* ---- The category ------------------------------------------------------ */

/* EPIO_E... as an enumeration that is a std::error_code: `error == epio::error::EPIO_ESHARING`. For
 * what std::errc has a name for, `error == std::errc::no_such_file_or_directory` does, too. */
#define EPIO_CPP_DECLARE_ERROR(name, value, message) name = value,
enum class error : int { EPIO_ERRORS(EPIO_CPP_DECLARE_ERROR) };
#undef EPIO_CPP_DECLARE_ERROR

namespace detail
{

// The errno of POSIX that means the same; 0: none does.
inline int generic_errno(int value) noexcept
{
    switch (value) {
    case EPIO_EPENDING:
        return EINPROGRESS;
    case EPIO_EINVAL:
        return EINVAL;
    case EPIO_ECANCELED:
        return ECANCELED;
    case EPIO_ETIMEDOUT:
        return ETIMEDOUT;
    case EPIO_ENOMEM:
        return ENOMEM;
    case EPIO_EIO:
        return EIO;
    case EPIO_ENOENT:
        return ENOENT;
    case EPIO_EEXIST:
        return EEXIST;
    case EPIO_EACCES:
        return EACCES;
    case EPIO_EPERM:
        return EPERM;
    case EPIO_EISDIR:
        return EISDIR;
    case EPIO_ENOTDIR:
        return ENOTDIR;
    case EPIO_ELOOP:
        return ELOOP;
    case EPIO_ENAMETOOLONG:
        return ENAMETOOLONG;
    case EPIO_ENOSPC:
        return ENOSPC;
    case EPIO_EFBIG:
        return EFBIG;
    case EPIO_EMFILE:
        return EMFILE;
    case EPIO_EBADF:
        return EBADF;
    case EPIO_EBUSY:
        return EBUSY;
    case EPIO_ESHARING:
        return ETXTBSY;
    case EPIO_EDEADLK:
        return EDEADLK;
    case EPIO_EPIPE:
        return EPIPE;
    case EPIO_ESPIPE:
        return ESPIPE;
    case EPIO_EROFS:
        return EROFS;
    case EPIO_EXDEV:
        return EXDEV;
    case EPIO_ENOTEMPTY:
        return ENOTEMPTY;
    case EPIO_ERANGE:
        return ERANGE;
    case EPIO_ENOTSUP:
        return ENOTSUP;
    case EPIO_ENODEV:
        return ENODEV;
    case EPIO_ECORRUPT:
        return EBADMSG;
#ifdef ENODATA
    case EPIO_ENODATA:
        return ENODATA;
#endif
    default:
        return 0;
    }
}

class error_category final : public std::error_category
{
  public:
    const char *name() const noexcept override
    {
        return "epio";
    }

    std::string message(int value) const override
    {
        return epio_error_message(value);
    }

    std::error_condition default_error_condition(int value) const noexcept override
    {
        int generic = generic_errno(value);
        return generic != 0 ? std::error_condition(generic, std::generic_category())
                            : std::error_condition(value, *this);
    }

    bool equivalent(int value, const std::error_condition &condition) const noexcept override
    {
        // Two names of one error on Linux, of two elsewhere.
        return default_error_condition(value) == condition ||
               (value == EPIO_ENOTSUP && condition == std::errc::operation_not_supported);
    }
};

} // namespace detail

/* Of the error_codes of all results: "epio". Any thread. */
inline const std::error_category &category() noexcept
{
    static const detail::error_category instance;
    return instance;
}

inline std::error_code make_error_code(error value) noexcept
{
    return {static_cast<int>(value), category()};
}

/* ---- Results ----------------------------------------------------------- */

/* Why an operation failed. */
struct failure {
    std::int32_t code = 0;        /* EPIO_E... */
    std::int32_t os_error = 0;    /* errno or GetLastError behind it */
    const char *reason = nullptr; /* as epio_op_invalid_reason says it; a static string */
};

namespace detail
{

[[noreturn]] inline void end_for_failure(const failure &why)
{
    std::string text = std::string(epio_error_name(why.code)) + ", " +
                       epio_error_message(why.code) + "; look before the value is taken";
    epio_fatal("epio::result", text.c_str());
}

[[noreturn]] inline void throw_failure(const failure &why)
{
#if EPIO_CPP_EXCEPTIONS
    std::error_code code(why.code, category());
    if (why.reason != nullptr) {
        throw std::system_error(code, why.reason);
    }
    if (why.os_error != 0) {
        throw std::system_error(code, "os_error " + std::to_string(why.os_error));
    }
    throw std::system_error(code);
#else
    end_for_failure(why);
#endif
}

// Of an op that is done, with an error.
inline failure failure_of(const epio_op *op) noexcept
{
    auto code = static_cast<std::int32_t>(op->result);
    bool explains =
        code == EPIO_EINVAL || code == EPIO_EBADF || code == EPIO_ESPIPE || code == EPIO_EDEADLK;
    return {code, op->os_error, explains ? epio_op_invalid_reason(op) : nullptr};
}

// What results of all kinds have.
class result_base
{
  public:
    bool has_value() const noexcept
    {
        return failure_.code == 0;
    }

    explicit operator bool() const noexcept
    {
        return has_value();
    }

    /* The error; none if it has a value. */
    std::error_code error() const noexcept
    {
        return {failure_.code, category()};
    }

    std::int32_t os_error() const noexcept
    {
        return failure_.os_error;
    }

    const char *reason() const noexcept
    {
        return failure_.reason;
    }

    const failure &why() const noexcept
    {
        return failure_;
    }

  protected:
    result_base() noexcept = default;

    result_base(const failure &why) noexcept : failure_(why)
    {
    }

    void require_value() const noexcept
    {
        if (failure_.code != 0) {
            end_for_failure(failure_);
        }
    }

    void throw_unless_value() const
    {
        if (failure_.code != 0) {
            throw_failure(failure_);
        }
    }

    failure failure_;
};

} // namespace detail

/* A value, or why there is none; used as std::expected. value() throws std::system_error if there
 * is none, and ends the process where exceptions are off; so do * and -> in any case. */
template <class T> class [[nodiscard]] result : public detail::result_base
{
    static constexpr bool is_plain = std::is_default_constructible_v<T>;
    using storage = std::conditional_t<is_plain, T, std::optional<T>>;

  public:
    using value_type = T;
    using error_type = std::error_code;

    result(T value) noexcept(std::is_nothrow_move_constructible_v<T>) : value_(std::move(value))
    {
    }

    result(const failure &why) noexcept : result_base(why), value_()
    {
    }

    T &value() &
    {
        throw_unless_value();
        return get();
    }

    const T &value() const &
    {
        throw_unless_value();
        return get();
    }

    T value() &&
    {
        throw_unless_value();
        return std::move(get());
    }

    T &operator*() &noexcept
    {
        require_value();
        return get();
    }

    const T &operator*() const &noexcept
    {
        require_value();
        return get();
    }

    T operator*() &&noexcept
    {
        require_value();
        return std::move(get());
    }

    T *operator->() noexcept
    {
        require_value();
        return &get();
    }

    const T *operator->() const noexcept
    {
        require_value();
        return &get();
    }

    template <class U> T value_or(U &&other) const &
    {
        return has_value() ? get() : static_cast<T>(std::forward<U>(other));
    }

    template <class U> T value_or(U &&other) &&
    {
        return has_value() ? std::move(get()) : static_cast<T>(std::forward<U>(other));
    }

  private:
    T &get() noexcept
    {
        if constexpr (is_plain) {
            return value_;
        } else {
            return *value_;
        }
    }

    const T &get() const noexcept
    {
        if constexpr (is_plain) {
            return value_;
        } else {
            return *value_;
        }
    }

    storage value_;
};

template <> class [[nodiscard]] result<void> : public detail::result_base
{
  public:
    using value_type = void;
    using error_type = std::error_code;

    result() noexcept = default;

    result(const failure &why) noexcept : result_base(why)
    {
    }

    void value() const
    {
        throw_unless_value();
    }

    void operator*() const noexcept
    {
        require_value();
    }
};

} // namespace epio

namespace std
{
template <> struct is_error_code_enum<epio::error> : true_type {
};
} // namespace std

#endif
