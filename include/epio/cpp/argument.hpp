/* What verbs take beside files and VFSes: paths and buffers. Part of epio/epio.hpp. */
#ifndef EPIO_CPP_ARGUMENT_HPP
#define EPIO_CPP_ARGUMENT_HPP

#include <epio/cpp/config.hpp>

#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace epio
{

namespace detail
{

template <class T, class = void> struct is_file_system_path : std::false_type {
};
// std::filesystem::path, without its header.
template <class T>
struct is_file_system_path<T, std::void_t<decltype(std::declval<const T &>().u8string()),
                                          decltype(std::declval<const T &>().root_name())>>
    : std::true_type {
};

} // namespace detail

/* A path, or another string that ends with a zero byte. Of a literal and of a std::string that has
 * a name only the address is kept, and the characters must stay as they are until the result is
 * there, which names them if it is an error; all else is kept by the verb: temporary strings,
 * string_views, std::filesystem::path. A string with a zero byte inside is EPIO_EINVAL, as an empty
 * one. */
class path_argument
{
  public:
    path_argument(const char *text) noexcept : borrowed_(text)
    {
    }

    path_argument(const std::string &text) noexcept : borrowed_(is_whole(text) ? text.c_str() : "")
    {
    }

    path_argument(std::string &&text) : owned_(std::move(text)), is_owned_(true)
    {
        if (!is_whole(owned_)) {
            owned_.clear();
        }
    }

    path_argument(std::string_view text) : path_argument(std::string(text))
    {
    }

    template <class T, class = std::enable_if_t<detail::is_file_system_path<T>::value>>
    path_argument(const T &path) : path_argument(utf8(path.u8string()))
    {
    }

    /* Valid as long as this object is where it is. NULL if that was given. */
    const char *c_str() const noexcept
    {
        return is_owned_ ? owned_.c_str() : borrowed_;
    }

  private:
    static bool is_whole(const std::string &text) noexcept
    {
        return std::strlen(text.c_str()) == text.size();
    }

    template <class U8> static std::string utf8(const U8 &text)
    {
        return std::string(text.begin(), text.end()); // char8_t from C++20 on
    }

    const char *borrowed_ = nullptr;
    std::string owned_;
    bool is_owned_ = false;
};

namespace detail
{

template <class T> using data_of = decltype(std::data(std::declval<T &>()));

// Contiguous elements that may be copied as bytes.
template <class T, class Pointer, class = void> struct is_bytes : std::false_type {
};
template <class T, class Pointer>
struct is_bytes<T, Pointer, std::void_t<data_of<T>, decltype(std::size(std::declval<T &>()))>>
    : std::bool_constant<std::is_convertible_v<data_of<T>, Pointer> &&
                         std::is_trivially_copyable_v<std::remove_pointer_t<data_of<T>>>> {
};

template <class T> std::size_t bytes_of(T &elements) noexcept
{
    return static_cast<std::size_t>(std::size(elements)) * sizeof(*std::data(elements));
}

} // namespace detail

/* Memory to read into: a pointer and a length in bytes, or anything contiguous: std::array,
 * std::vector, std::string, std::span, arrays. */
class mutable_buffer
{
  public:
    mutable_buffer(void *data, std::size_t len) noexcept : data_(data), len_(len)
    {
    }

    template <class T,
              class = std::enable_if_t<detail::is_bytes<std::remove_reference_t<T>, void *>::value>>
    mutable_buffer(T &&elements) noexcept
        : data_(std::data(elements)), len_(detail::bytes_of(elements))
    {
    }

    void *data() const noexcept
    {
        return data_;
    }

    std::size_t size() const noexcept
    {
        return len_;
    }

  private:
    void *data_;
    std::size_t len_;
};

/* Bytes to be written: the same, and std::string_view; of an array of char all of it. Not of a
 * literal, as its zero byte might be meant or not: "text"sv. */
class const_buffer
{
  public:
    const_buffer(const void *data, std::size_t len) noexcept : data_(data), len_(len)
    {
    }

    template <std::size_t N> const_buffer(const char (&literal)[N]) = delete;

    template <class T, class = std::enable_if_t<
                           detail::is_bytes<std::remove_reference_t<T>, const void *>::value>>
    const_buffer(T &&elements) noexcept
        : data_(std::data(elements)), len_(detail::bytes_of(elements))
    {
    }

    const void *data() const noexcept
    {
        return data_;
    }

    std::size_t size() const noexcept
    {
        return len_;
    }

  private:
    const void *data_;
    std::size_t len_;
};

} // namespace epio

#endif
