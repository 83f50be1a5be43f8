/* The header behind macros that others define: Qt its keywords, Windows min, max, names of types
 * and the functions of its debug heap, <complex.h> its I, and those of X11. EPIO_TEST_CXX_ALL: also
 * in C++17, and without exceptions and type information. EPIO_TEST_ONCE. EPIO_TEST_WITHOUT_LOOP */
/* The headers of the system are there already: few of them bear these macros. */
#include <epio/epio.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L
#include <version>
#endif
#ifdef __cpp_lib_coroutine
#include <coroutine>
#endif
#ifdef __cpp_lib_jthread
#include <stop_token>
#endif
#if __has_include(<pthread.h>) || defined(_MSC_VER)
#include <future>
#include <mutex>
#include <thread>
#endif

#define signals public
#define slots
#define emit
#define foreach for
#define forever for (;;)
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define small char
#define near
#define far
#define interface struct
#define None 0L
#define Bool int
#define True 1
#define False 0
#define Success 0
#define Always 2
#define I 1.0fi
#define malloc(size) _malloc_dbg(size, 1, __FILE__, __LINE__)
#define free(memory) _free_dbg(memory, 1)

#include <epio/epio.hpp>

int main()
{
    auto stat = epio::perform(epio::stat(epio_os_vfs(), "."));
    if (!stat) {
        std::printf("%s\n", stat.error().message().c_str());
        return 1;
    }
    return 0;
}
