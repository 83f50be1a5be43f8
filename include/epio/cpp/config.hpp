/* What the compiler and its library have, for the rest of epio/cpp. Part of epio/epio.hpp. */
#ifndef EPIO_CPP_CONFIG_HPP
#define EPIO_CPP_CONFIG_HPP

#include <epio/epio.h>
#include <epio/vfs.h> // epio_fatal; what a file or mapping completes on

#include <cstddef> // a library says what it is in any header of its own

#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define EPIO_CPP_EXCEPTIONS 1
#else
#define EPIO_CPP_EXCEPTIONS 0
#endif

// Some builds of libstdc++ for Windows have neither <future> nor <mutex>.
#if defined(__GLIBCXX__) && !defined(_GLIBCXX_HAS_GTHREADS)
#define EPIO_CPP_THREADS 0
#else
#define EPIO_CPP_THREADS 1
#endif

// For what is done with failures: within a coroutine it would cost each success some registers.
#if defined(__GNUC__)
#define EPIO_CPP_COLD __attribute__((noinline, cold))
#elif defined(_MSC_VER)
#define EPIO_CPP_COLD __declspec(noinline)
#else
#define EPIO_CPP_COLD
#endif

#if EPIO_ASYNC && defined(__cpp_impl_coroutine) && defined(__cpp_lib_coroutine)
#define EPIO_CPP_COROUTINES 1
#else
#define EPIO_CPP_COROUTINES 0
#endif

#if EPIO_ASYNC && defined(__cpp_lib_jthread)
#define EPIO_CPP_STOP_TOKEN 1
#else
#define EPIO_CPP_STOP_TOKEN 0
#endif

#endif
