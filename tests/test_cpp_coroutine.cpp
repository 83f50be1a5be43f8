/* Coroutines: awaited verbs, tasks, what runs them, stop tokens, and what destructors do beneath
 * them. EPIO_TEST_CXX_ALL, EPIO_TEST_CXX20. */
#include "cpp_support.hpp"

#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>
#if EPIO_CPP_THREADS
#include <thread>
#endif

CPP_TEST_COUNTS_ALLOCATIONS

#if EPIO_CPP_COROUTINES

using cpp_test::directory;
using cpp_test::expect;
using namespace std::chrono_literals;

namespace
{

constexpr std::uint32_t for_both = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE;

/* ---- Awaiting ---------------------------------------------------------- */

epio::task<std::string> write_and_read(epio::loop &loop, std::string path)
{
    auto file = expect(co_await epio::open(loop, path, for_both));
    CHECK(expect(co_await epio::write(file, std::string_view("awaited"), 0)) == 7);
    expect(co_await epio::sync(file, EPIO_SYNC_DATA_ONLY));
    std::array<char, 64> buffer{};
    std::size_t len = expect(co_await epio::read(file, buffer, 0));
    CHECK(!co_await epio::open(loop, path + ".none", EPIO_OPEN_READ));
    expect(co_await file.close());
    co_return std::string(buffer.data(), len);
}

void verbs_are_awaited()
{
    directory directory;
    epio::loop loop = expect(epio::loop::create());
    CHECK(epio::run(loop, write_and_read(loop, directory / "file")) == "awaited");
    CHECK(loop.pending() == 0);
}

epio::task<> several_at_once(epio::loop &loop)
{
    auto memory = expect(epio::memory_vfs(loop));
    auto [a, b, slept] =
        co_await epio::when_all(epio::open(memory, "/a", for_both),
                                epio::open(memory, "/b", for_both), epio::sleep(loop, 1ns));
    CHECK(a && b && slept);
    auto [none, now] = co_await epio::when_all(epio::open(memory, "/none", EPIO_OPEN_READ),
                                               epio::current_time(loop));
    CHECK(none.error() == std::errc::no_such_file_or_directory && now);
}

void several_verbs_are_awaited_at_once()
{
    epio::loop loop = expect(epio::loop::create());
    epio::run(loop, several_at_once(loop));
}

epio::task<std::size_t> read_many(epio_file *file, std::size_t count)
{
    std::array<char, 8> buffer;
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; i++) {
        sum += expect(co_await epio::read(file, buffer, 0));
        auto [one, other] =
            co_await epio::when_all(epio::read(file, buffer, 0), epio::read(file, buffer, 1));
        sum += *one + *other;
    }
    co_return sum;
}

void awaiting_allocates_nothing()
{
    epio::loop loop = expect(epio::loop::create());
    auto memory = expect(epio::memory_vfs(loop));
    auto file = expect(epio::wait(epio::open(memory, "/a", for_both)));
    CHECK(expect(epio::wait(epio::write(file, std::string_view("12345678"), 0))) == 8);
    std::size_t before = cpp_test::allocations;
    CHECK(epio::run(loop, read_many(file, 1000)) == 23000);
    CHECK(cpp_test::allocations - before <= 2); // the frames of the task and of its run
}

/* ---- Tasks ------------------------------------------------------------- */

epio::task<std::unique_ptr<int>> make_number(epio_vfs *vfs, int value)
{
    (void)co_await epio::sleep(vfs, 1ns);
    co_return std::make_unique<int>(value);
}

epio::task<int &> refer_to(int &value)
{
    co_return value;
}

epio::task<int> add(epio_vfs *vfs)
{
    int five = 5;
    auto four = co_await make_number(vfs, 4);
    co_return *four + co_await refer_to(five);
}

void tasks_await_tasks()
{
    epio::loop loop = expect(epio::loop::create());
    CHECK(epio::run(loop, add(loop.vfs())) == 9);
    auto never = add(loop.vfs()); // never begun
    auto moved = std::move(never);
    CHECK(!never && moved);
}

epio::task<int> numbered(epio_vfs *vfs, int value)
{
    (void)co_await epio::sleep(vfs, std::chrono::microseconds(10 - value));
    co_return value;
}

epio::task<> all_numbers(epio_vfs *vfs)
{
    std::vector<epio::task<int>> tasks;
    for (int i = 0; i < 10; i++) {
        tasks.push_back(numbered(vfs, i));
    }
    std::vector<int> values = co_await epio::when_all(std::move(tasks));
    for (int i = 0; i < 10; i++) {
        CHECK(values[static_cast<std::size_t>(i)] == i);
    }
    auto [number, text] = co_await epio::when_all(numbered(vfs, 3), make_number(vfs, 4));
    CHECK(number == 3 && *text == 4);
    CHECK((co_await epio::when_all(std::vector<epio::task<int>>())).empty());
}

void several_tasks_are_awaited_at_once()
{
    epio::loop loop = expect(epio::loop::create());
    epio::run(loop, all_numbers(loop.vfs()));
}

#if EPIO_CPP_EXCEPTIONS

epio::task<int> fails(epio_vfs *vfs)
{
    (void)co_await epio::sleep(vfs, 1ns);
    (void)(co_await epio::open(vfs, "", EPIO_OPEN_READ)).value();
    co_return 1;
}

epio::task<> catches(epio_vfs *vfs)
{
    bool caught = false;
    try {
        (void)co_await fails(vfs);
    } catch (const std::system_error &error) {
        caught = error.code() == std::errc::invalid_argument;
    }
    CHECK(caught);
    caught = false;
    try {
        (void)co_await epio::work(vfs, []() -> int { throw std::runtime_error("of work"); });
    } catch (const std::runtime_error &) {
        caught = true;
    }
    CHECK(caught);
}

void exceptions_go_to_who_awaits()
{
    epio::loop loop = expect(epio::loop::create());
    epio::run(loop, catches(loop.vfs()));
    try {
        (void)epio::run(loop, fails(loop.vfs()));
        CHECK(false);
    } catch (const std::system_error &) {
    }
}

#endif

/* ---- Spawning, and the loop's end -------------------------------------- */

struct counted {
    int begun = 0;
    int opened = 0;
    int ended = 0;
    std::error_code error;
};

epio::task<> sleeper(epio::loop &loop, counted &count, std::string path)
{
    count.begun++;
    auto file = expect(co_await epio::open(loop, path, for_both));
    count.opened++;
    auto slept = co_await epio::sleep(loop, 1h);
    count.error = slept.error();
    count.ended++;
} // the file is closed while the loop ends

epio::task<> counts(epio_vfs *vfs, counted &count)
{
    count.begun++;
    (void)co_await epio::sleep(vfs, 1ns);
    count.ended++;
}

void spawned_tasks_run_by_the_loop()
{
    epio::loop loop = expect(epio::loop::create());
    counted count;
    for (int i = 0; i < 3; i++) {
        epio::spawn(loop, counts(loop.vfs(), count));
    }
    CHECK(count.begun == 0);
    (void)loop.run();
    CHECK(count.begun == 3 && count.ended == 3);
}

void the_end_of_the_loop_ends_its_tasks()
{
    directory directory;
    counted count;
    {
        epio::loop loop = expect(epio::loop::create());
        epio::spawn(loop, sleeper(loop, count, directory / "a"));
        epio::spawn(loop, sleeper(loop, count, directory / "b"));
        while (count.opened != 2) {
            (void)loop.poll(epio::no_timeout);
        }
    }
    CHECK(count.ended == 2 && count.error == std::errc::operation_canceled);
}

epio::task<> waits_for(epio::loop &loop, epio::semaphore &semaphore, std::error_code &error)
{
    auto permit = co_await epio::acquire(loop, semaphore);
    error = permit.error();
}

void the_end_of_a_semaphore_ends_who_waits()
{
    epio::loop loop = expect(epio::loop::create());
    std::error_code error;
    epio::permit one; // outlives its semaphore, or it would be granted to who waits
    {
        epio::semaphore semaphore = expect(epio::semaphore::create(1));
        one = expect(semaphore.try_acquire());
        epio::spawn(loop, waits_for(loop, semaphore, error));
        (void)loop.poll(epio::no_timeout);
    }
    (void)loop.run();
    CHECK(error == epio::error::EPIO_ECLOSED);
}

/* ---- Stop tokens ------------------------------------------------------- */

#if EPIO_CPP_STOP_TOKEN

epio::task<std::error_code> inner(epio_vfs *vfs)
{
    auto token = co_await epio::get_stop_token();
    auto slept = co_await epio::with_stop(epio::sleep(vfs, 1h), std::move(token));
    co_return slept.error();
}

epio::task<std::error_code> outer(epio_vfs *vfs)
{
    co_return co_await inner(vfs);
}

epio::task<> stops(epio_vfs *vfs, std::stop_source &source)
{
    (void)co_await epio::sleep(vfs, 1ms);
    CHECK(source.request_stop());
}

void a_stop_reaches_the_tasks_that_are_awaited()
{
    epio::loop loop = expect(epio::loop::create());
    std::stop_source source;
    epio::spawn(loop, stops(loop.vfs(), source));
    CHECK(epio::run(loop, outer(loop.vfs()), source.get_token()) == std::errc::operation_canceled);
    // It was requested by now.
    CHECK(epio::run(loop, outer(loop.vfs()), source.get_token()) == std::errc::operation_canceled);
}

epio::task<> stopped_soon(epio_vfs *vfs, int i)
{
    std::stop_source source;
    std::thread stopper([&source] { (void)source.request_stop(); });
    auto slept = co_await epio::with_timeout(
        epio::with_stop(epio::sleep(vfs, std::chrono::microseconds(i % 40)), source.get_token()),
        1h);
    CHECK(slept || slept.error() == std::errc::operation_canceled);
    stopper.join();
}

[[maybe_unused]] void stops_of_other_threads_meet_completions()
{
    epio::loop loop = expect(epio::loop::create());
    for (int i = 0; i < 200; i++) {
        epio::run(loop, stopped_soon(loop.vfs(), i));
    }
}

epio::task<> submits_from_another_thread(epio::loop &loop, std::thread::id owner,
                                         std::stop_token token, std::atomic<int> &left)
{
    for (int i = 0; i < 50; i++) {
        auto slept = co_await epio::with_stop(epio::sleep(loop, 1ns), token);
        CHECK(slept);
        CHECK(std::this_thread::get_id() == owner); // wherever it awaited
    }
    left--;
}

void resumed_by_the_owner_of_the_loop()
{
    epio::loop loop = expect(epio::loop::create());
    std::stop_source source;
    std::atomic<int> left{8};
    std::thread::id owner = std::this_thread::get_id();
    std::thread other([&] {
        for (int i = 0; i < 8; i++) {
            epio::spawn(loop, submits_from_another_thread(loop, owner, source.get_token(), left));
        }
    });
    while (left != 0) {
        (void)loop.poll(1ms);
    }
    other.join();
}

#endif

/* ---- Misuse ------------------------------------------------------------ */

#if EPIO_CPP_EXCEPTIONS

void throw_it(const char *function, const char *message)
{
    std::printf("    epio: %s: %s\n", function, message);
    std::fflush(stdout);
    std::_Exit(std::strstr(message, "destroyed while") != nullptr ? 0 : 1);
}

struct kept {
    struct promise_type {
        kept get_return_object() noexcept
        {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }

        std::suspend_never initial_suspend() const noexcept
        {
            return {};
        }

        std::suspend_always final_suspend() const noexcept
        {
            return {};
        }

        void return_void() const noexcept
        {
        }

        void unhandled_exception() const noexcept
        {
            std::abort();
        }
    };

    std::coroutine_handle<promise_type> coroutine;
};

kept sleeps(epio_vfs *vfs)
{
    (void)co_await epio::sleep(vfs, 1h);
}

// The process ends in it, so that it comes last.
void destroying_a_coroutine_with_an_op_in_flight_says_so()
{
    epio::loop loop = expect(epio::loop::create());
    (void)epio_set_fatal_handler(throw_it);
    kept coroutine = sleeps(loop.vfs());
    coroutine.coroutine.destroy();
    std::abort();
}

#endif

} // namespace

int main()
{
    static const cpp_test::test tests[] = {
        CPP_TEST(verbs_are_awaited),
        CPP_TEST(several_verbs_are_awaited_at_once),
        CPP_TEST(awaiting_allocates_nothing),
        CPP_TEST(tasks_await_tasks),
        CPP_TEST(several_tasks_are_awaited_at_once),
        CPP_TEST(spawned_tasks_run_by_the_loop),
        CPP_TEST(the_end_of_the_loop_ends_its_tasks),
        CPP_TEST(the_end_of_a_semaphore_ends_who_waits),
#if EPIO_CPP_STOP_TOKEN
        CPP_TEST(a_stop_reaches_the_tasks_that_are_awaited),
#if CPP_TEST_STOPS_MEET
        CPP_TEST(stops_of_other_threads_meet_completions),
#endif
        CPP_TEST(resumed_by_the_owner_of_the_loop),
#endif
#if EPIO_CPP_EXCEPTIONS
        CPP_TEST(exceptions_go_to_who_awaits),
        CPP_TEST(destroying_a_coroutine_with_an_op_in_flight_says_so),
#endif
    };
    return cpp_test::run(tests);
}

#else

int main()
{
    std::puts("this compiler has no coroutines");
    return 77;
}

#endif
