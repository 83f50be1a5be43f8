/* epio for C++17, and for coroutines from C++20 on: everything of epio/epio.h in namespace epio,
 * header only. docs/cpp.md is a tour, examples/cpp_tour.cpp a program.
 *
 * A verb (`epio::read`, `epio::open`, ...) has the name of C's without the prefix, and returns a
 * small value that says what is to be done. Nothing begins before it is run, by one of these:
 *
 *     co_await verb                  resumed by the owner of the loop; no allocation
 *     epio::perform(verb)            on this thread, blocking; needs no loop
 *     epio::wait(verb)               on the loop, returns when it is done
 *     epio::submit(verb, callback)   the loop calls `callback(result)`; one allocation
 *     epio::use_future(verb)         std::future of the result
 *
 * Each gives an epio::result: a value, or a std::error_code that compares with std::errc. Nothing
 * but result::value() throws, and it ends the process where exceptions are off.
 *
 * What is said of a verb in C holds here: buffers, options and what else it points at stay as they
 * are until the completion. Only strings that are temporaries are kept by the verb itself. */
#ifndef EPIO_EPIO_HPP
#define EPIO_EPIO_HPP

#include <epio/cpp/argument.hpp>
#include <epio/cpp/coroutine.hpp>
#include <epio/cpp/error.hpp>
#include <epio/cpp/handles.hpp>
#include <epio/cpp/run.hpp>
#include <epio/cpp/task.hpp>
#include <epio/cpp/verb.hpp>
#include <epio/cpp/verbs.hpp>

#endif
