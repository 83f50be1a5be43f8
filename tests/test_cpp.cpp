/* The header for C++ without coroutines: errors, results, owners, arguments, and the runners that
 * need none. EPIO_TEST_CXX_ALL, EPIO_TEST_WITHOUT_LOOP. */
#include "cpp_support.hpp"

#include <filesystem>
#include <string_view>
#include <vector>
#if EPIO_CPP_THREADS
#include <thread>
#endif

using cpp_test::directory;
using cpp_test::expect;

namespace
{

constexpr std::uint32_t for_both = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE;

/* ---- Errors and results ------------------------------------------------ */

void errors_compare_with_those_of_the_standard()
{
    using std::errc;
    std::error_code code = epio::error::EPIO_ENOENT;
    CHECK(code == errc::no_such_file_or_directory);
    CHECK(code != errc::file_exists);
    CHECK(code == epio::error::EPIO_ENOENT);
    CHECK(code.value() == EPIO_ENOENT);
    CHECK(code.category() == epio::category());
    CHECK(std::string("epio") == code.category().name());
    CHECK(code.message() == epio_error_message(EPIO_ENOENT));
    CHECK(make_error_code(epio::error::EPIO_ECANCELED) == errc::operation_canceled);
    CHECK(make_error_code(epio::error::EPIO_ETIMEDOUT) == errc::timed_out);
    CHECK(make_error_code(epio::error::EPIO_ENOSPC) == errc::no_space_on_device);
    CHECK(make_error_code(epio::error::EPIO_EACCES) == errc::permission_denied);
    CHECK(make_error_code(epio::error::EPIO_ENOTSUP) == errc::not_supported);
    CHECK(make_error_code(epio::error::EPIO_ENOTSUP) == errc::operation_not_supported);
    // What the standard has no name for is itself.
    std::error_code changed = epio::error::EPIO_ECHANGED;
    CHECK(changed.default_error_condition().category() == epio::category());
    CHECK(changed == epio::error::EPIO_ECHANGED);
}

void a_result_has_a_value_or_an_error()
{
    epio::result<int> good = 7;
    CHECK(good && good.has_value() && *good == 7 && good.value() == 7 && good.value_or(1) == 7);
    CHECK(!good.error());

    epio::result<int> bad = epio::failure{EPIO_EEXIST, 17};
    CHECK(!bad && bad.error() == std::errc::file_exists && bad.value_or(1) == 1);
    CHECK(bad.os_error() == 17 && bad.reason() == nullptr);
    CHECK(bad.verb() == nullptr && bad.path() == nullptr);

    epio::result<void> nothing;
    CHECK(nothing);
    nothing.value();

    struct no_default {
        explicit no_default(int of) : value(of)
        {
        }
        int value;
    };
    epio::result<no_default> other = no_default(3);
    CHECK(other->value == 3 && (*std::move(other)).value == 3);
}

void a_value_that_is_not_there_is_thrown()
{
#if EPIO_CPP_EXCEPTIONS
    try {
        (void)epio::perform(epio::open(epio_os_vfs(), "", EPIO_OPEN_READ)).value();
        CHECK(false);
    } catch (const std::system_error &error) {
        CHECK(error.code() == std::errc::invalid_argument);
        CHECK(std::strstr(error.what(), "open: the path is empty: ") == error.what());
    }
    try {
        std::string name = "no such directory/file";
        auto opened = epio::perform(epio::open(epio_os_vfs(), std::move(name), EPIO_OPEN_READ));
        auto copy = opened.error() ? epio::result<void>(opened.why()) : epio::result<void>();
        opened = epio::result<epio::file>(epio::failure{EPIO_EIO}); // the copy keeps the path
        copy.value();
        CHECK(false);
    } catch (const std::system_error &error) {
        std::string prefix = "open no such directory/file (os_error ";
        CHECK(std::strncmp(error.what(), prefix.c_str(), prefix.size()) == 0);
    }
    try {
        expect(epio::perform(epio::sleep(epio_os_vfs(), std::chrono::nanoseconds(1))));
        epio::result<void>(epio::failure{EPIO_EIO}).value();
        CHECK(false);
    } catch (const std::system_error &error) {
        CHECK(error.code() == std::errc::io_error);
    }
#endif
}

/* ---- Arguments --------------------------------------------------------- */

void paths_are_borrowed_or_kept()
{
    std::string named = "a name that is longer than what a string has room for in itself";
    CHECK(epio::path_argument(named).c_str() == named.c_str());
    epio::path_argument kept(std::string("temporary"));
    epio::path_argument moved(std::move(kept));
    CHECK(std::strcmp(moved.c_str(), "temporary") == 0);
    CHECK(std::strcmp(epio::path_argument(std::string_view("abcdef", 3)).c_str(), "abc") == 0);
    CHECK(std::strcmp(epio::path_argument(std::filesystem::path("a")).c_str(), "a") == 0);
    CHECK(epio::path_argument(nullptr).c_str() == nullptr);
    // A path that C would cut is none.
    std::string cut("a\0b", 3);
    CHECK(epio::path_argument(cut).c_str()[0] == '\0');
    CHECK(epio::path_argument(std::string(cut)).c_str()[0] == '\0');
    auto refused = epio::perform(epio::access(epio_os_vfs(), cut));
    CHECK(refused.error() == std::errc::invalid_argument);
}

void buffers_are_what_is_contiguous()
{
    std::array<std::uint32_t, 4> words{};
    CHECK(epio::mutable_buffer(words).size() == sizeof words);
    CHECK(epio::const_buffer(words).data() == words.data());
    char text[5] = "abcd";
    CHECK(epio::const_buffer(text).size() == 5 && epio::mutable_buffer(text).size() == 5);
    CHECK(epio::const_buffer(std::string_view("abc")).size() == 3);
    std::vector<char> bytes(9);
    CHECK(epio::mutable_buffer(bytes).size() == 9);
    static_assert(!std::is_constructible_v<epio::const_buffer, const char(&)[4]>);
    static_assert(!std::is_constructible_v<epio::mutable_buffer, const std::vector<char> &>);
    static_assert(!std::is_constructible_v<epio::mutable_buffer, std::vector<std::string> &>);
}

/* ---- Performing -------------------------------------------------------- */

void verbs_are_performed()
{
    directory directory;
    epio_vfs *os = epio_os_vfs();
    std::string path = directory / "file";
    epio::file file = expect(epio::perform(epio::open(os, path, for_both)));
    CHECK(expect(epio::perform(epio::write(file, std::string_view("hello"), 0))) == 5);
    epio::file log =
        expect(epio::perform(epio::open(os, path, EPIO_OPEN_WRITE | EPIO_OPEN_APPEND)));
    CHECK(expect(epio::perform(epio::append(log, std::string_view("!")))) == 5);
    expect(epio::perform(log.close()));
    expect(epio::perform(epio::sync(file)));
    CHECK(expect(epio::perform(epio::size(file))) == 6);
    std::array<char, 16> buffer{};
    CHECK(expect(epio::perform(epio::read(file, buffer, 0))) == 6);
    CHECK(std::string_view(buffer.data(), 6) == "hello!");
    CHECK(expect(epio::perform(epio::file_stat(file))).bytes == 6);
    expect(epio::perform(file.close()));
    CHECK(!file);

    CHECK(expect(epio::perform(epio::stat(os, path))).bytes == 6);
    CHECK(expect(epio::perform(epio::access(os, path))));
    std::size_t names = 0;
    CHECK(expect(epio::perform(
              epio::walk(os, directory.path(), [&names](epio_walk_entry *, std::size_t count) {
                  names += count;
                  return true;
              }))) == 1);
    CHECK(names == 1);
    CHECK(expect(epio::perform(epio::work(os, [] { return std::string("work"); }))) == "work");
    CHECK(epio::perform(epio::open(os, directory / "none", EPIO_OPEN_READ)).error() ==
          std::errc::no_such_file_or_directory);
    CHECK(expect(epio::perform(epio::current_time(os))).count() > 0);
}

void a_file_without_a_loop_is_closed_at_once()
{
    epio::vfs memory = expect(epio::memory_vfs());
    {
        epio::file file = expect(epio::perform(epio::open(memory, "/a", for_both)));
        epio::file other(std::move(file));
        CHECK(!file && other);
        other = expect(epio::perform(epio::open(memory, "/b", for_both)));
    }
    CHECK(expect(epio::perform(epio::access(memory, "/b"))));
    epio::vfs trace = expect(epio::trace_vfs(memory));
    epio::file last = expect(epio::perform(epio::open(trace, "/a", for_both)));
    trace = epio::vfs();
    memory = epio::vfs(); // both live until the file is closed
    CHECK(expect(epio::perform(epio::write(last, std::string_view("x"), 0))) == 1);
}

#if EPIO_ASYNC

/* ---- On a loop --------------------------------------------------------- */

void a_file_that_is_left_open_is_closed_by_the_loop()
{
    directory directory;
    epio::loop loop = expect(epio::loop::create());
    {
        epio::file file = expect(epio::wait(epio::open(loop, directory / "file", for_both)));
        // Its end waits for what was submitted.
        auto text = std::string(100000, 'a');
        std::size_t written = 0;
        epio::submit(epio::write(file, text, 0),
                     [&written](epio::result<std::size_t> n) { written = expect(n); });
        file = epio::file();
        CHECK(loop.pending() != 0);
        (void)loop.run();
        CHECK(written == text.size() && loop.pending() == 0);
        file = expect(epio::wait(epio::open(loop, directory / "file", for_both)));
    } // and the loop waits for this one
}

void a_vfs_lives_until_its_files_are_closed()
{
    epio::loop loop = expect(epio::loop::create());
    epio::semaphore semaphore = expect(epio::semaphore::create(2));
    epio::vfs memory = expect(epio::memory_vfs(loop));
    epio::vfs limit = expect(epio::limit_vfs(memory, semaphore));
    epio::file file = expect(epio::wait(epio::open(limit, "/a", for_both)));
    epio::file other = expect(epio::wait(epio::open(memory, "/b", for_both)));
    memory = epio::vfs();
    limit = epio::vfs();
    semaphore = epio::semaphore();
}

void a_close_that_is_not_run_closes_all_the_same()
{
    directory directory;
    epio::loop loop = expect(epio::loop::create());
    epio::file file = expect(epio::wait(epio::open(loop, directory / "file", for_both)));
    {
        auto close = file.close();
        CHECK(!file);
    }
    CHECK(loop.pending() == 1);
    (void)loop.run();
}

void a_close_that_is_refused_leaves_the_file_with_its_owner()
{
    epio::loop loop = expect(epio::loop::create());
    epio::vfs memory = expect(epio::memory_vfs(loop));
    epio::file file = expect(epio::wait(epio::open(memory, "/a", for_both)));
    std::array<char, 4> buffer{};
    bool done = false;
    epio::submit(epio::read(file, buffer, 0), [&done](auto n) { done = n.has_value(); });
    CHECK(epio::perform(file.close()).error() == std::errc::device_or_resource_busy);
    (void)loop.run(); // closed by the verb's end
    CHECK(done && loop.pending() == 0);
}

void permits_are_released_with_their_guard()
{
    epio::loop loop = expect(epio::loop::create());
    epio::semaphore semaphore = expect(epio::semaphore::create(3));
    {
        epio::permit two = expect(epio::wait(epio::acquire(loop, semaphore, 2)));
        CHECK(two.count() == 2 && semaphore.available() == 1);
        CHECK(semaphore.try_acquire(2).error() == std::errc::device_or_resource_busy);
        epio::permit one = expect(semaphore.try_acquire());
        CHECK(semaphore.available() == 0);
    }
    CHECK(semaphore.available() == 3);

    // Who waits when it goes away gets an error, and permits outlive it.
    epio::permit all = expect(semaphore.try_acquire(3));
    std::error_code error;
    epio::submit(epio::acquire(loop, semaphore),
                 [&error](epio::result<epio::permit> permit) { error = permit.error(); });
    (void)loop.poll();
    semaphore = epio::semaphore();
    (void)loop.run();
    CHECK(error == epio::error::EPIO_ECLOSED);
    all.release();
}

void a_timeout_ends_what_waits()
{
    using namespace std::chrono_literals;
    epio::loop loop = expect(epio::loop::create());
    CHECK(epio::wait(epio::with_timeout(epio::sleep(loop, 1h), 1ms)).error() ==
          std::errc::timed_out);
    CHECK(epio::wait(epio::with_timeout(epio::sleep(loop, 1h), 0ms)).error() ==
          std::errc::timed_out);
    expect(epio::wait(epio::with_timeout(epio::sleep(loop, 1ms), epio::no_timeout)));
    CHECK(epio::perform(epio::with_timeout(epio::sleep(epio_os_vfs(), 1h), 1ms)).error() ==
          std::errc::timed_out);
}

void a_loop_that_ends_cancels_and_delivers()
{
    std::error_code error;
    {
        epio::loop loop = expect(epio::loop::create());
        epio::submit(epio::sleep(loop, std::chrono::hours(1)),
                     [&error](epio::result<void> slept) { error = slept.error(); });
    }
    CHECK(error == std::errc::operation_canceled);
    CHECK(epio::loop::create(nullptr));
    epio_loop_options options = epio_loop_options();
    CHECK(epio::loop::create(&options).error() == std::errc::invalid_argument);
}

void a_mapping_is_unmapped_with_its_owner()
{
    directory directory;
    epio::loop loop = expect(epio::loop::create());
    epio::file file = expect(epio::wait(epio::open(loop, directory / "file", for_both)));
    CHECK(expect(epio::wait(epio::write(file, std::string_view("mapped"), 0))) == 6);
    epio::mapping mapping =
        expect(epio::wait(epio::map(file, 0, 6, EPIO_MAP_READ | EPIO_MAP_WRITE)));
    CHECK(mapping.size() == 6 && std::memcmp(mapping.data(), "mapped", 6) == 0);
    expect(epio::wait(epio::sync_mapping(mapping)));
    epio::mapping second = expect(epio::wait(epio::map(file, 0, 6, EPIO_MAP_READ)));
    expect(epio::wait(epio::unmap(std::move(second))));
}

void whole_files_are_loaded()
{
    directory directory;
    epio::loop loop = expect(epio::loop::create());
    std::string path = directory / "file";
    {
        epio::file file = expect(epio::wait(epio::open(loop, path, for_both)));
        CHECK(expect(epio::wait(epio::write(file, std::string_view("loaded"), 0))) == 6);
        expect(epio::wait(file.close()));
    }
    epio::buffer loaded = expect(epio::wait(epio::load(loop, path)));
    CHECK(std::string_view(loaded.data(), loaded.size()) == "loaded" && loaded.end()[0] == '\0');
    epio::buffer moved(std::move(loaded));
    CHECK(loaded.empty() && moved.size() == 6);
    epio_load_options options = epio_load_options();
    options.size = sizeof options;
    options.most = 3;
    CHECK(epio::wait(epio::load(loop, path, &options)).error() == std::errc::file_too_large);
}

std::string text_of(epio::loop &loop, const std::string &path)
{
    epio::buffer loaded = expect(epio::wait(epio::load(loop, path)));
    return std::string(loaded.begin(), loaded.end());
}

void whole_files_are_saved()
{
    directory directory;
    epio::loop loop = expect(epio::loop::create());
    std::string path = directory / "file";
    CHECK(expect(epio::wait(epio::save(loop, path, std::string_view("old")))) == 0);
    CHECK(text_of(loop, path) == "old");
    // Writes wait for a permit, so that they are in flight.
    epio::semaphore semaphore = expect(epio::semaphore::create(1));
    epio::vfs limit = expect(epio::limit_vfs(loop, semaphore));
    epio::saving saving = expect(epio::wait(epio::save_begin(limit, path)));
    epio::permit permit = expect(semaphore.try_acquire());
    epio::submit(epio::write(saving.file(), std::string_view("left"), 0),
                 [](epio::result<std::size_t> n) { CHECK(expect(n) == 4); });
    saving = epio::saving(); // abandoned once that has ended
    (void)loop.poll(std::chrono::milliseconds(1));
    permit.release();
    (void)loop.run();
    CHECK(loop.pending() == 0 && text_of(loop, path) == "old");

    saving = expect(epio::wait(epio::save_begin(limit, path)));
    permit = expect(semaphore.try_acquire());
    epio::submit(epio::write(saving.file(), std::string_view("longer"), 0),
                 [](epio::result<std::size_t> n) { CHECK(expect(n) == 6); });
    CHECK(epio::wait(epio::save_commit(saving)).error() == std::errc::device_or_resource_busy);
    CHECK(saving); // once more
    permit.release();
    (void)loop.run();
    expect(epio::wait(epio::truncate(saving.file(), 0)));
    CHECK(expect(epio::wait(epio::write(saving.file(), std::string_view("new"), 0))) == 3);
    CHECK(expect(epio::wait(epio::save_commit(saving))) == 0);
    CHECK(!saving && text_of(loop, path) == "new");

    saving = expect(epio::wait(epio::save_begin(loop, path)));
    expect(epio::wait(epio::save_abandon(std::move(saving))));
    CHECK(text_of(loop, path) == "new");
}

void changes_are_reported_as_events()
{
    directory directory;
    epio::loop loop = expect(epio::loop::create());
    epio::watching watching = expect(epio::wait(epio::watch(loop, directory.path())));
    {
        epio::file file = expect(epio::wait(epio::open(loop, directory / "made", for_both)));
    }
    std::array<std::uint64_t, 512> buffer;
    bool seen = false;
    while (!seen) {
        std::size_t len = expect(epio::wait(epio::read_events(watching.file, buffer)));
        for (const epio_event &event : epio::events(buffer.data(), len)) {
            seen = seen || std::strcmp(epio_event_name(&event), "made") == 0;
        }
    }
    expect(epio::wait(watching.file.close()));
}

/* ---- Threads ----------------------------------------------------------- */

#if EPIO_CPP_THREADS

void futures_have_the_results()
{
    epio::loop loop = expect(epio::loop::create());
    epio::vfs memory = expect(epio::memory_vfs(loop));
    std::atomic<bool> over{false};
    std::thread other([&loop, &memory, &over] {
        // The path is a temporary.
        epio::file file = expect(
            epio::use_future(epio::open(memory, "/" + std::string(40, 'f'), for_both)).get());
        CHECK(expect(epio::use_future(epio::write(file, std::string_view("abc"), 0)).get()) == 3);
        CHECK(expect(epio::use_future(epio::work(loop, [] { return 42; })).get()) == 42);
        CHECK(epio::use_future(epio::open(memory, "/none", EPIO_OPEN_READ)).get().error() ==
              std::errc::no_such_file_or_directory);
// ThreadSanitizer does not see how the library of C++ counts who has an exception.
#if EPIO_CPP_EXCEPTIONS && !defined(__SANITIZE_THREAD__)
        auto thrown = epio::use_future(epio::work(loop, []() -> int { throw 7; }));
        try {
            (void)thrown.get();
            CHECK(false);
        } catch (int value) {
            CHECK(value == 7);
        }
#endif
        // The file is closed by the loop, from this thread.
        file = epio::file();
        CHECK(expect(epio::use_future(epio::stat(memory, "/")).get()).type == EPIO_TYPE_DIRECTORY);
        over = true;
        loop.wake();
    });
    while (!over) {
        (void)loop.poll(epio::no_timeout);
    }
    other.join();
}

#if EPIO_CPP_STOP_TOKEN

void a_stop_cancels_and_one_before_begins_nothing()
{
    directory directory;
    epio::loop loop = expect(epio::loop::create());
    std::stop_source source;
    epio::submit(epio::sleep(loop, std::chrono::milliseconds(1)),
                 [&source](epio::result<void>) { CHECK(source.request_stop()); });
    CHECK(epio::wait(epio::with_stop(epio::sleep(loop, std::chrono::hours(1)), source.get_token()))
              .error() == std::errc::operation_canceled);
    std::string path = directory / "file";
    CHECK(
        epio::wait(epio::with_stop(epio::open(loop, path, for_both), source.get_token())).error() ==
        std::errc::operation_canceled);
    CHECK(!expect(epio::wait(epio::access(loop, path))));
    expect(epio::wait(
        epio::with_stop(epio::sleep(loop, std::chrono::nanoseconds(1)), std::stop_token())));

    // The VFS of these is not the one that they were given.
    epio::semaphore semaphore = expect(epio::semaphore::create(1));
    CHECK(epio::wait(epio::with_stop(epio::acquire(loop, semaphore), source.get_token())).error() ==
          std::errc::operation_canceled);
    CHECK(semaphore.available() == 1);
    CHECK(epio::wait(epio::with_stop(epio::load(loop, path), source.get_token())).error() ==
          std::errc::operation_canceled);
    auto stopped = epio::wait(epio::with_stop(epio::load(loop, path), source.get_token()));
    CHECK(std::string(stopped.verb()) == "load");
    CHECK(stopped.path() != nullptr && stopped.path() == path);
    CHECK(epio::wait(epio::with_stop(epio::work(loop, [] { return 1; }), source.get_token()))
              .error() == std::errc::operation_canceled);
    epio::vfs limited = expect(epio::limit_vfs(loop, semaphore));
    CHECK(epio::wait(epio::with_stop(epio::remove(limited, path), source.get_token())).error() ==
          std::errc::operation_canceled);
}

// The op ends, is submitted and stopped by three threads at the same time.
[[maybe_unused]] void stops_meet_completions()
{
    epio::loop loop = expect(epio::loop::create());
    std::atomic<bool> over{false};
    std::thread other([&loop, &over] {
        for (int i = 0; i < 300; i++) {
            std::stop_source source;
            std::thread stopper([&source] { (void)source.request_stop(); });
            auto slept = epio::use_future(epio::with_stop(
                epio::sleep(loop, std::chrono::microseconds(i % 50)), source.get_token()));
            auto result = slept.get();
            CHECK(result || result.error() == std::errc::operation_canceled);
            stopper.join();
        }
        over = true;
        loop.wake();
    });
    while (!over) {
        (void)loop.poll(epio::no_timeout);
    }
    other.join();
}

#endif

void an_observer_sees_an_op_in_flight()
{
    epio::loop loop = expect(epio::loop::create());
    epio::observer observer;
    CHECK(observer.progress().error() == std::errc::not_supported);
    observer.cancel();
    std::error_code error;
    epio::submit(epio::with_observer(epio::sleep(loop, std::chrono::hours(1)), observer),
                 [&error](epio::result<void> slept) { error = slept.error(); });
    CHECK(observer.progress().error() == std::errc::not_supported); // a sleep does not say
    observer.cancel();
    (void)loop.run();
    CHECK(error == std::errc::operation_canceled);
    CHECK(observer.progress().error() == std::errc::not_supported);
}

#endif // EPIO_CPP_THREADS
#endif // EPIO_ASYNC

} // namespace

int main()
{
    static const cpp_test::test tests[] = {
        CPP_TEST(errors_compare_with_those_of_the_standard),
        CPP_TEST(a_result_has_a_value_or_an_error),
        CPP_TEST(a_value_that_is_not_there_is_thrown),
        CPP_TEST(paths_are_borrowed_or_kept),
        CPP_TEST(buffers_are_what_is_contiguous),
        CPP_TEST(verbs_are_performed),
        CPP_TEST(a_file_without_a_loop_is_closed_at_once),
#if EPIO_ASYNC
        CPP_TEST(a_file_that_is_left_open_is_closed_by_the_loop),
        CPP_TEST(a_vfs_lives_until_its_files_are_closed),
        CPP_TEST(a_close_that_is_not_run_closes_all_the_same),
        CPP_TEST(a_close_that_is_refused_leaves_the_file_with_its_owner),
        CPP_TEST(permits_are_released_with_their_guard),
        CPP_TEST(a_timeout_ends_what_waits),
        CPP_TEST(a_loop_that_ends_cancels_and_delivers),
        CPP_TEST(a_mapping_is_unmapped_with_its_owner),
        CPP_TEST(whole_files_are_loaded),
        CPP_TEST(whole_files_are_saved),
        CPP_TEST(changes_are_reported_as_events),
#if EPIO_CPP_THREADS
        CPP_TEST(futures_have_the_results),
#if EPIO_CPP_STOP_TOKEN
        CPP_TEST(a_stop_cancels_and_one_before_begins_nothing),
#endif
#if CPP_TEST_STOPS_MEET
        CPP_TEST(stops_meet_completions),
#endif
        CPP_TEST(an_observer_sees_an_op_in_flight),
#endif
#endif
    };
    return cpp_test::run(tests);
}
