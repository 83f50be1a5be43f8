/* A tour of epio/epio.hpp: the same verbs run in every way that C++ has. Built as C++20; without
 * coroutines the parts that need them are left out. docs/cpp.md explains it.
 *
 *     cpp_tour DIRECTORY   leaves nothing there */
#include <epio/epio.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#if EPIO_CPP_THREADS
#include <thread>
#endif

using namespace std::chrono_literals;

namespace
{

/* ---- Blocking, without a loop ------------------------------------------ */

bool blocking(const std::string &path)
{
    epio_vfs *os = epio_os_vfs();
    auto saved = epio::perform(epio::save(os, path, std::string_view("first\n")));
    if (!saved) {
        // Whoever takes the value of what failed gets an exception, or without these an abort.
        std::fprintf(stderr, "cpp_tour: %s: %s\n", path.c_str(), saved.error().message().c_str());
        return false;
    }
    epio::buffer text = epio::perform(epio::load(os, path)).value(); // throws std::system_error
    std::printf("performed: %.*s", static_cast<int>(text.size()), text.data());

    // Errors are compared with those of the standard.
    auto file = epio::perform(epio::open(os, path + ".none", EPIO_OPEN_READ));
    if (file.error() == std::errc::no_such_file_or_directory) {
        std::puts("performed: there is no such file");
    }
    return true;
}

/* ---- Callbacks and futures --------------------------------------------- */

void callbacks(epio::loop &loop, const std::string &path)
{
    epio::submit(epio::stat(loop, path), [](epio::result<epio_info> info) {
        std::printf("callback: %llu bytes\n", static_cast<unsigned long long>(info->bytes));
    });
    (void)loop.run();
}

#if EPIO_CPP_THREADS

// Another thread waits for futures while this one runs the loop.
void futures(epio::loop &loop, const std::string &path)
{
    std::atomic<bool> over{false};
    std::thread other([&loop, &path, &over] {
        auto loaded = epio::use_future(epio::load(loop, path));
        auto answer = epio::use_future(epio::work(loop, [] { return 6 * 7; }));
        std::printf("futures: %zu bytes, %d\n", loaded.get()->size(), *answer.get());
        over = true;
        loop.wake();
    });
    while (!over) {
        (void)loop.poll(epio::no_timeout);
    }
    other.join();
}

#endif

/* ---- Coroutines -------------------------------------------------------- */

#if EPIO_CPP_COROUTINES

// The op of each co_await is in the coroutine's frame: no allocation but that.
epio::task<std::size_t> copy_upper(epio::loop &loop, std::string from, std::string to)
{
    constexpr std::uint32_t made = EPIO_OPEN_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_TRUNCATE;
    epio::file in = (co_await epio::open(loop, from, EPIO_OPEN_READ)).value();
    epio::file out = (co_await epio::open(loop, to, made)).value();
    std::array<char, 4096> buffer;
    std::size_t done = 0;
    for (;;) {
        std::size_t len = (co_await epio::read(in, buffer, done)).value();
        if (len == 0) {
            break;
        }
        for (std::size_t i = 0; i < len; i++) {
            bool lower = buffer[i] >= 'a' && buffer[i] <= 'z';
            buffer[i] = lower ? static_cast<char>(buffer[i] - 'a' + 'A') : buffer[i];
        }
        (co_await epio::write(out, buffer.data(), len, done)).value();
        done += len;
    }
    (co_await epio::sync(out)).value();
    (co_await out.close()).value(); // for its error; `in` is closed by its destructor
    co_return done;
}

epio::task<> tour(epio::loop &loop, std::string path)
{
    std::string upper = path + ".upper";
    std::size_t copied = co_await copy_upper(loop, path, upper);
    epio::buffer text = (co_await epio::load(loop, upper)).value();
    std::printf("awaited: %zu bytes, %.*s", copied, static_cast<int>(text.size()), text.data());

    // A timeout is put around a verb.
    auto late = co_await epio::with_timeout(epio::sleep(loop, 1h), 1ms);
    std::printf("timeout: %s\n", late.error().message().c_str());

    // Several at once.
    auto [first, second] = co_await epio::when_all(epio::stat(loop, path), epio::stat(loop, upper));
    std::printf("when_all: %s\n", first->bytes == second->bytes ? "as long" : "not as long");
    (co_await epio::remove(loop, upper)).value();

    // A save in steps, which takes the old file's place at its end, or is abandoned.
    epio::saving saving = (co_await epio::save_begin(loop, path)).value();
    (co_await epio::write(saving.file(), std::string_view("second\n"), 0)).value();
    (void)(co_await epio::save_commit(std::move(saving))).value();
    text = (co_await epio::load(loop, path)).value();
    std::printf("saved: %.*s", static_cast<int>(text.size()), text.data());
}

#if EPIO_CPP_STOP_TOKEN

epio::task<> sleeper(epio::loop &loop)
{
    auto token = co_await epio::get_stop_token();
    auto slept = co_await epio::with_stop(epio::sleep(loop, 1h), token);
    std::printf("stop: %s\n", slept.error().message().c_str());
}

#endif

void coroutines(epio::loop &loop, const std::string &path)
{
    epio::run(loop, tour(loop, path));
#if EPIO_CPP_STOP_TOKEN
    std::stop_source source;
    epio::submit(epio::sleep(loop, 1ms), [&](epio::result<void>) { source.request_stop(); });
    epio::run(loop, sleeper(loop), source.get_token());
#endif
}

#endif

int run(const std::string &directory)
{
    epio::loop loop = epio::loop::create().value();
    std::string path = directory + "/cpp_tour.txt";
    if (!blocking(path)) {
        return 1;
    }
    callbacks(loop, path);
#if EPIO_CPP_THREADS
    futures(loop, path);
#endif
#if EPIO_CPP_COROUTINES
    coroutines(loop, path);
#endif
    epio::wait(epio::remove(loop, path)).value();
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    bool helps = argc == 2 && std::string_view(argv[1]) == "--help";
    if (argc != 2 || argv[1][0] == '-') {
        std::fputs("usage: cpp_tour DIRECTORY   (leaves nothing there)\n", helps ? stdout : stderr);
        return helps ? 0 : 2;
    }
    try {
        return run(argv[1]);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "cpp_tour: %s\n", error.what());
        return 1;
    }
}
