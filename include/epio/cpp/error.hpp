/* Errors as std::error_code, and epio::result, what every operation gives. Part of epio/epio.hpp.
 */
#ifndef EPIO_CPP_ERROR_HPP
#define EPIO_CPP_ERROR_HPP

#include <epio/cpp/shared.hpp>

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
    std::int32_t code = 0;         /* EPIO_E... */
    std::int32_t os_error = 0;     /* errno or GetLastError behind it */
    const char *reason = nullptr;  /* as epio_op_invalid_reason says it; a static string */
    const char *verb = nullptr;    /* C's name without epio_: "open"; a static string */
    detail::shared_text path = {}; /* that the verb was given, if it takes one */
};

namespace detail
{

// "open first.txt (os_error 2)", as far as it is known.
inline std::string text_of(const failure &why)
{
    std::string text = why.verb != nullptr ? why.verb : "epio";
    const char *path = why.path.c_str();
    if (path != nullptr && path[0] != '\0') {
        text += std::string(" ") + path;
    }
    if (why.reason != nullptr) {
        text += std::string(": ") + why.reason;
    } else if (why.os_error != 0) {
        text += " (os_error " + std::to_string(why.os_error) + ")";
    }
    return text;
}

[[noreturn]] inline void end_for_failure(const failure &why)
{
    std::string text = text_of(why) + ": " + epio_error_name(why.code) + ", " +
                       epio_error_message(why.code) + "; look before the value is taken";
    epio_fatal("epio::result", text.c_str());
}

[[noreturn]] EPIO_CPP_COLD inline void throw_failure(const failure &why)
{
#if EPIO_CPP_EXCEPTIONS
    throw std::system_error(std::error_code(why.code, category()), text_of(why));
#else
    end_for_failure(why);
#endif
}

// Of a function that is no op's; `invalid` is the reason of an EPIO_EINVAL.
inline failure failure_to(const char *verb, int error, const char *invalid = nullptr) noexcept
{
    return {error, 0, error == EPIO_EINVAL ? invalid : nullptr, verb, shared_text()};
}

// Of an op that is done, with an error. Its path is still what it was given.
EPIO_CPP_COLD inline failure failure_of(const epio_op *op) noexcept
{
    return {static_cast<std::int32_t>(op->result), op->os_error, epio_op_invalid_reason(op),
            epio_kind_name(op->kind), shared_text(epio_op_path(op))};
}

/* What results of all kinds have. The failure is made only if there is one, as most results are
 * values. */
class result_base
{
  public:
    bool has_value() const noexcept
    {
        return code_ == 0;
    }

    explicit operator bool() const noexcept
    {
        return has_value();
    }

    /* The error; none if it has a value. */
    std::error_code error() const noexcept
    {
        return {code_, category()};
    }

    std::int32_t os_error() const noexcept
    {
        return code_ != 0 ? failure_.os_error : 0;
    }

    const char *reason() const noexcept
    {
        return code_ != 0 ? failure_.reason : nullptr;
    }

    /* The verb, and the path that it was given; NULL: it has none, or there is a value. */
    const char *verb() const noexcept
    {
        return code_ != 0 ? failure_.verb : nullptr;
    }

    const char *path() const noexcept
    {
        return code_ != 0 ? failure_.path.c_str() : nullptr;
    }

    /* All of these; its code is 0 if there is a value. */
    failure why() const noexcept
    {
        return code_ != 0 ? failure_ : failure();
    }

  protected:
    result_base() noexcept : code_(0)
    {
    }

    result_base(failure why) noexcept : code_(why.code)
    {
        if (code_ != 0) {
            new (&failure_) failure(std::move(why));
        }
    }

    result_base(const result_base &other) noexcept : code_(other.code_)
    {
        if (code_ != 0) {
            new (&failure_) failure(other.failure_);
        }
    }

    result_base(result_base &&other) noexcept : code_(other.code_)
    {
        if (code_ != 0) {
            new (&failure_) failure(std::move(other.failure_));
        }
    }

    result_base &operator=(const result_base &other) noexcept
    {
        if (code_ != 0 || other.code_ != 0) {
            set(other.why());
        }
        return *this;
    }

    result_base &operator=(result_base &&other) noexcept
    {
        if (code_ != 0 || other.code_ != 0) {
            set(other.code_ != 0 ? std::move(other.failure_) : failure());
        }
        return *this;
    }

    ~result_base()
    {
        if (code_ != 0) {
            failure_.~failure();
        }
    }

    void require_value() const noexcept
    {
        if (code_ != 0) {
            end_for_failure(failure_);
        }
    }

    void throw_unless_value() const
    {
        if (code_ != 0) {
            throw_failure(failure_);
        }
    }

  private:
    EPIO_CPP_COLD void set(failure why) noexcept
    {
        if (code_ != 0) {
            failure_.~failure();
        }
        code_ = why.code;
        if (code_ != 0) {
            new (&failure_) failure(std::move(why));
        }
    }

    std::int32_t code_;
    union {
        failure failure_;
    };
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

    result(failure why) noexcept : result_base(std::move(why)), value_()
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

    result(failure why) noexcept : result_base(std::move(why))
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
