/* What an awaited read costs beside one with a callback: no allocation, and so many instructions
 * more, which are printed where the system counts them. EPIO_TEST_SERIAL, EPIO_TEST_ONCE.
 *
 * test_cpp_cost callback|await COUNT: that many reads one way alone, for check_cpp_cost.sh. */
#include "cpp_support.hpp"

#if defined(__linux__)
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

CPP_TEST_COUNTS_ALLOCATIONS

#if EPIO_CPP_COROUTINES

namespace
{

constexpr std::size_t block = 64;

/* ---- Instructions ------------------------------------------------------ */

#if defined(__linux__)

class counter
{
  public:
    counter()
    {
        perf_event_attr attributes = perf_event_attr();
        attributes.type = PERF_TYPE_HARDWARE;
        attributes.size = sizeof attributes;
        attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
        attributes.exclude_kernel = 1;
        attributes.exclude_hv = 1;
        fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
    }

    ~counter()
    {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }

    counter(const counter &) = delete;
    counter &operator=(const counter &) = delete;

    // 0: not counted here.
    std::uint64_t now() const
    {
        std::uint64_t value = 0;
        return fd_ >= 0 && ::read(fd_, &value, sizeof value) == sizeof value ? value : 0;
    }

  private:
    int fd_;
};

#else

struct counter {
    std::uint64_t now() const
    {
        return 0;
    }
};

#endif

/* ---- Both ways --------------------------------------------------------- */

struct callback_reads : epio_op {
    epio_file *from;
    std::size_t left;
    std::uint64_t sum;
    std::array<char, block> buffer;
};

void next_read(epio_op *op)
{
    auto *reads = static_cast<callback_reads *>(op);
    if (op->result < 0) {
        std::abort();
    }
    reads->sum += static_cast<std::uint64_t>(op->result);
    if (--reads->left != 0) {
        epio_submit(epio_read(op, reads->from, reads->buffer.data(), block, 0));
    }
}

std::uint64_t by_callback(epio::loop &loop, epio_file *file, std::size_t count)
{
    callback_reads reads = callback_reads();
    reads.from = file;
    reads.left = count;
    reads.done = next_read;
    epio_submit(epio_read(&reads, file, reads.buffer.data(), block, 0));
    (void)loop.run();
    return reads.sum;
}

epio::task<std::uint64_t> by_await(epio_file *file, std::size_t count)
{
    std::array<char, block> buffer;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < count; i++) {
        auto n = co_await epio::read(file, buffer, 0);
        if (!n) {
            std::abort();
        }
        sum += *n;
    }
    co_return sum;
}

/* ---- Comparison -------------------------------------------------------- */

std::size_t effort()
{
    const char *given = std::getenv("EPIO_TEST_EFFORT");
    std::size_t times = given != nullptr ? std::strtoul(given, nullptr, 10) : 1;
    return 10000 * (times != 0 ? times : 1);
}

void compare(const char *name, epio::loop &loop, epio_file *file)
{
    const std::size_t count = effort();
    counter instructions;
    (void)by_callback(loop, file, 100); // what is done once
    (void)epio::run(loop, by_await(file, 100));

    std::uint64_t begin = instructions.now();
    CHECK(by_callback(loop, file, count) == count * block);
    std::uint64_t between = instructions.now();
    std::size_t before = cpp_test::allocations;
    CHECK(epio::run(loop, by_await(file, count)) == count * block);
    std::size_t allocated = cpp_test::allocations - before;
    std::uint64_t end = instructions.now();

    // The frames of the task and of what runs it, however many reads.
    std::printf("%s: %zu allocations for %zu awaited reads\n", name, allocated, count);
    CHECK(allocated <= 2);
    if (end != begin) {
        double callback = static_cast<double>(between - begin) / static_cast<double>(count);
        double awaited = static_cast<double>(end - between) / static_cast<double>(count);
        std::printf("%s: instructions of a read by callback %.1f, awaited %.1f: %+.1f\n", name,
                    callback, awaited, awaited - callback);
    }
}

} // namespace

int main(int argc, char **argv)
{
    cpp_test::directory directory;
    auto loop = cpp_test::expect(epio::loop::create());
    auto memory = cpp_test::expect(epio::memory_vfs(loop));
    constexpr std::uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE;
    std::array<char, block> text{};

    auto in_memory = cpp_test::expect(epio::wait(epio::open(memory, "/file", flags)));
    auto on_disk = cpp_test::expect(epio::wait(epio::open(loop, directory / "file", flags)));
    for (const epio::file *each : {&in_memory, &on_disk}) {
        CHECK(cpp_test::expect(epio::wait(epio::write(*each, text, 0))) == block);
    }
    if (argc == 3) {
        std::size_t count = std::strtoul(argv[2], nullptr, 10);
        bool awaits = std::strcmp(argv[1], "await") == 0;
        CHECK((awaits ? epio::run(loop, by_await(on_disk, count))
                      : by_callback(loop, on_disk, count)) == count * block);
    } else {
        compare("memory", loop, in_memory);
        compare("page cache", loop, on_disk);
    }
    cpp_test::expect(epio::wait(in_memory.close()));
    cpp_test::expect(epio::wait(on_disk.close()));
}

#else

int main()
{
    std::puts("this compiler has no coroutines");
    return 77;
}

#endif
