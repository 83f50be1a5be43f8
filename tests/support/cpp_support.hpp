/* What the tests in C++ share: checks, a list of cases, a directory that is removed in the end, and
 * a count of what operator new was asked for. */
#ifndef EPIO_TEST_CPP_SUPPORT_HPP
#define EPIO_TEST_CPP_SUPPORT_HPP

#include <epio/epio.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>
#include <string>

#define CHECK(condition)                                                                           \
    ((condition) ? static_cast<void>(0) : cpp_test::fail(#condition, __FILE__, __LINE__))

namespace cpp_test
{

[[noreturn]] inline void fail(const char *condition, const char *file, int line)
{
    std::fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    std::abort();
}

// The value, or the failure in words.
template <class T> T expect(epio::result<T> result)
{
    if (!result) {
        std::fprintf(stderr, "unexpected: %s, os_error %d, %s\n",
                     epio_error_name(result.why().code), result.os_error(),
                     result.reason() != nullptr ? result.reason() : "");
        std::abort();
    }
    if constexpr (!std::is_void_v<T>) {
        return *std::move(result);
    }
}

struct test {
    const char *name;
    void (*run)();
};

inline std::atomic<std::size_t> allocations{0};

// Not seen through by the compiler, which takes it for a mismatch with operator new.
inline void (*volatile release)(void *) = std::free;

class directory
{
  public:
    directory()
    {
        std::array<char, 1024> made;
        expect(epio::perform(epio::temporary_directory(epio_os_vfs(), nullptr, made)));
        path_ = made.data();
    }

    directory(const directory &) = delete;
    directory &operator=(const directory &) = delete;

    ~directory()
    {
        std::array<std::uint64_t, 512> names;
        epio_vfs *os = epio_os_vfs();
        auto self =
            expect(epio::perform(epio::open(os, path_, EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)));
        std::size_t len = expect(epio::perform(epio::list(self, names, EPIO_LIST_REWIND)));
        for (const epio_entry &entry : epio::entries(names.data(), len)) {
            expect(epio::perform(epio::remove(os, *this / epio_entry_name(&entry))));
        }
        expect(epio::perform(self.close()));
        expect(epio::perform(epio::rmdir(os, path_)));
    }

    std::string operator/(const char *name) const
    {
        return path_ + "/" + name;
    }

    const std::string &path() const noexcept
    {
        return path_;
    }

  private:
    std::string path_;
};

template <std::size_t N> int run(const test (&tests)[N])
{
    const char *filter = std::getenv("EPIO_TEST_FILTER");
    for (const test &each : tests) {
        if (filter != nullptr && std::strstr(each.name, filter) == nullptr) {
            continue;
        }
        std::printf("%s\n", each.name);
        std::fflush(stdout);
        if (std::getenv("EPIO_TEST_LIST") == nullptr) {
            each.run();
        }
    }
    return 0;
}

} // namespace cpp_test

#define CPP_TEST(name)                                                                             \
    {                                                                                              \
#name, name                                                                                \
    }

// Calls that are not inlined are those that valgrind replaces: all of them, or none.
#if defined(__GNUC__)
#define CPP_TEST_NOINLINE __attribute__((noinline))
#else
#define CPP_TEST_NOINLINE
#endif

/* A requester and the destructor of std::stop_callback that meet may wait forever in libstdc++ 12
 * for Windows. */
#if defined(_WIN32) && defined(_GLIBCXX_RELEASE)
#define CPP_TEST_STOPS_MEET 0
#else
#define CPP_TEST_STOPS_MEET EPIO_CPP_STOP_TOKEN
#endif

// In one file of each program.
#define CPP_TEST_COUNTS_ALLOCATIONS                                                                \
    CPP_TEST_NOINLINE void *operator new(std::size_t size)                                         \
    {                                                                                              \
        cpp_test::allocations.fetch_add(1);                                                        \
        void *memory = std::malloc(size != 0 ? size : 1);                                          \
        return memory != nullptr ? memory : (std::abort(), nullptr);                               \
    }                                                                                              \
    CPP_TEST_NOINLINE void *operator new(std::size_t size, const std::nothrow_t &) noexcept        \
    {                                                                                              \
        cpp_test::allocations.fetch_add(1);                                                        \
        return std::malloc(size != 0 ? size : 1);                                                  \
    }                                                                                              \
    CPP_TEST_NOINLINE void operator delete(void *memory) noexcept                                  \
    {                                                                                              \
        cpp_test::release(memory);                                                                 \
    }                                                                                              \
    CPP_TEST_NOINLINE void operator delete(void *memory, std::size_t) noexcept                     \
    {                                                                                              \
        cpp_test::release(memory);                                                                 \
    }

#endif
