/* The benchmark helpers of epio/bench.h: their reports add up, bad options are refused, and no file
 * is left behind. */
#include "support.h"

#include <epio/bench.h>

typedef int compare_function(epio_bench_result *result, const epio_bench_options *options);

/* Of the running test. */
static const char *directory;

/* The arguments of the progress callback. */
struct progress {
    uint64_t calls;
    uint64_t last;
    uint64_t total;
    uint64_t stop_at; /* calls; 0: never */
};

static bool note_progress(void *user, uint64_t done, uint64_t total)
{
    struct progress *progress = user;

    if (progress->calls == 0) {
        assert_int_equal(done, 0);
        progress->total = total;
    }
    assert_true(done >= progress->last);
    assert_true(done <= total);
    assert_int_equal(total, progress->total);
    progress->last = done;
    progress->calls++;
    return progress->calls != progress->stop_at;
}

static epio_bench_options small_options(const fixture *f)
{
    epio_bench_options options = {0};

    options.size = sizeof options;
    directory = f->directory;
    options.path = directory;
    options.iterations = 101; /* no multiple of the depth */
    options.bytes = 4096;
    options.queue_depth = 4;
    return options;
}

static bool is_zero(const epio_bench_result *result)
{
    return result->workload == NULL && result->backend == NULL && result->iterations == 0 &&
           result->bytes == 0 && result->queue_depth == 0 && result->synchronous_ns == 0 &&
           result->asynchronous_ns == 0 && !(result->synchronous_bytes_per_second > 0) &&
           !(result->asynchronous_bytes_per_second > 0) && !(result->speedup > 0);
}

static void check_refused(compare_function *compare, const epio_bench_options *options,
                          int expected)
{
    epio_bench_result result = {.size = sizeof result};

    memset(&result, 0xee, sizeof result);
    result.size = sizeof result;
    check_result(compare(&result, options), expected);
    assert_true(is_zero(&result));
    assert_int_equal(count_entries(directory), 0);
}

static void check_close(double actual, double expected)
{
    assert_true(actual > expected * 0.999 && actual < expected * 1.001);
}

static void check_adds_up(const epio_bench_result *result, const epio_bench_options *options,
                          const char *workload)
{
    double bytes = (double)options->iterations * (double)options->bytes;

    assert_string_equal(result->workload, workload);
    assert_non_null(result->backend);
    assert_int_equal(result->iterations, options->iterations);
    assert_int_equal(result->bytes, options->bytes);
    assert_int_equal(result->queue_depth, options->queue_depth);
    assert_true(result->synchronous_ns > 0);
    assert_true(result->asynchronous_ns > 0);
    check_close(result->synchronous_bytes_per_second, bytes * 1e9 / (double)result->synchronous_ns);
    check_close(result->asynchronous_bytes_per_second,
                bytes * 1e9 / (double)result->asynchronous_ns);
    check_close(result->speedup, (double)result->synchronous_ns / (double)result->asynchronous_ns);
    assert_int_equal(count_entries(directory), 0);
}

static void check_workload(const fixture *f, compare_function *compare, uint32_t flags,
                           const char *workload)
{
    epio_bench_options options = small_options(f);
    epio_bench_result result = {.size = sizeof result};

    options.flags = flags;
    check_result(compare(&result, &options), 0);
    check_adds_up(&result, &options, workload);
}

static void writes_are_measured(fixture *f)
{
    check_workload(f, epio_bench_compare_write, 0, "write");
    check_workload(f, epio_bench_compare_write, EPIO_BENCH_DURABLE, "durable write");
}

static void reads_are_measured(fixture *f)
{
    check_workload(f, epio_bench_compare_read, 0, "read");
}

static void direct_is_measured_where_supported(fixture *f)
{
    epio_bench_options options = small_options(f);
    epio_bench_result result = {.size = sizeof result};
    int error;

    options.flags = EPIO_BENCH_DIRECT;
    error = epio_bench_compare_read(&result, &options);
    if (error == EPIO_EINVAL || error == EPIO_ENOTSUP) {
        skip();
    }
    check_result(error, 0);
    check_adds_up(&result, &options, "direct read");
    options.flags = EPIO_BENCH_DIRECT | EPIO_BENCH_DURABLE;
    check_result(epio_bench_compare_write(&result, &options), 0);
    check_adds_up(&result, &options, "direct durable write");
}

/* A queue of one, one operation, odd sizes: nothing divides evenly. */
static void edges_are_measured(fixture *f)
{
    epio_bench_options options = small_options(f);
    epio_bench_result result = {.size = sizeof result};

    options.queue_depth = 1;
    options.bytes = 1;
    check_result(epio_bench_compare_write(&result, &options), 0);
    check_adds_up(&result, &options, "write");
    options.iterations = 1;
    options.bytes = 4097;
    check_result(epio_bench_compare_read(&result, &options), 0);
    check_adds_up(&result, &options, "read");
    options.queue_depth = 1000; /* more than there are operations */
    check_result(epio_bench_compare_read(&result, &options), 0);
    options.queue_depth = 1;
    check_adds_up(&result, &options, "read");
}

static void defaults_are_filled_in(fixture *f)
{
    epio_bench_result result = {.size = sizeof result};
    (void)f;

    check_result(epio_bench_compare_read(&result, NULL), 0);
    assert_int_equal(result.iterations, 1000);
    assert_int_equal(result.bytes, 4096);
    assert_int_equal(result.queue_depth, 32);
}

static void bad_options_are_refused(fixture *f)
{
    epio_bench_options options = small_options(f);

    check_result(epio_bench_compare_write(NULL, &options), EPIO_EINVAL);
    check_result(epio_bench_compare_read(NULL, &options), EPIO_EINVAL);
    options.size--;
    check_refused(epio_bench_compare_write, &options, EPIO_EINVAL);
    options = small_options(f);
    options.flags = 0x80000000u;
    check_refused(epio_bench_compare_write, &options, EPIO_EINVAL);
    options.flags = EPIO_BENCH_DURABLE;
    check_refused(epio_bench_compare_read, &options, EPIO_EINVAL);
    options = small_options(f);
    options.backend = "abacus";
    check_refused(epio_bench_compare_read, &options, EPIO_EINVAL);
    options = small_options(f);
    options.iterations = (uint64_t)INT64_MAX / 4096 + 1;
    check_refused(epio_bench_compare_write, &options, EPIO_EINVAL);
    options = small_options(f);
    options.path = "/nowhere/at/all";
    check_refused(epio_bench_compare_write, &options, EPIO_ENOENT);
}

static void progress_grows_to_its_total(fixture *f)
{
    epio_bench_options options = small_options(f);
    epio_bench_result result = {.size = sizeof result};
    struct progress reading = {0}, writing = {0};

    options.progress = note_progress;
    options.user = &reading;
    check_result(epio_bench_compare_read(&result, &options), 0);
    assert_true(reading.calls > 2);
    assert_int_equal(reading.last, reading.total);
    options.user = &writing;
    check_result(epio_bench_compare_write(&result, &options), 0);
    assert_true(writing.calls > 2);
    assert_int_equal(writing.last, writing.total);
}

static void progress_may_stop_it_at_any_call(fixture *f)
{
    epio_bench_options options = small_options(f);
    struct progress counted = {0};
    epio_bench_result result = {.size = sizeof result};
    uint64_t stop_at;

    options.progress = note_progress;
    options.user = &counted;
    check_result(epio_bench_compare_read(&result, &options), 0);
    for (stop_at = 1; stop_at <= counted.calls; stop_at++) {
        struct progress progress = {0};

        progress.stop_at = stop_at;
        options.user = &progress;
        check_refused(epio_bench_compare_read, &options, EPIO_ECANCELED);
        assert_int_equal(progress.calls, stop_at);
    }
}

static void summary_has_both_halves(fixture *f)
{
    epio_bench_result result = {.size = sizeof result};
    char text[1024];
    (void)f;

    result.workload = "durable write";
    result.backend = "epoll";
    result.iterations = 1000;
    result.bytes = 4096;
    result.queue_depth = 32;
    result.synchronous_ns = 200000000;
    result.asynchronous_ns = 50000000;
    result.synchronous_bytes_per_second = 20480000;
    result.asynchronous_bytes_per_second = 81920000;
    result.speedup = 4;
    check_result(epio_bench_summary(&result, NULL, 0),
                 epio_bench_summary(&result, text, sizeof text));
    check_result(epio_bench_summary(&result, text, sizeof text), (int64_t)strlen(text));
    assert_non_null(strstr(text, "durable write: 1000 x 4096 bytes, up to 32 in flight (epoll)"));
    assert_non_null(strstr(text, "200.00 ms"));
    assert_non_null(strstr(text, "20.5 MB/s"));
    assert_non_null(strstr(text, "50.00 ms"));
    assert_non_null(strstr(text, "81.9 MB/s"));
    assert_non_null(strstr(text, "4.00 times"));
}

static void nothing_stays_open(fixture *f)
{
    epio_bench_options options = small_options(f);
    epio_bench_result result = {.size = sizeof result};
    int before = count_descriptors();

    check_result(epio_bench_compare_write(&result, &options), 0);
    options.path = "/nowhere/at/all";
    check_result(epio_bench_compare_write(&result, &options), EPIO_ENOENT);
    assert_int_equal(count_descriptors(), before);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(writes_are_measured, ON_OS_PERFORM),
        FIXTURE_TEST(reads_are_measured, ON_OS_PERFORM),
        FIXTURE_TEST(direct_is_measured_where_supported, ON_OS_PERFORM),
        FIXTURE_TEST(edges_are_measured, ON_OS_PERFORM),
        FIXTURE_TEST(defaults_are_filled_in, ON_OS_PERFORM),
        FIXTURE_TEST(bad_options_are_refused, ON_OS_PERFORM),
        FIXTURE_TEST(progress_grows_to_its_total, ON_OS_PERFORM),
        FIXTURE_TEST(progress_may_stop_it_at_any_call, ON_OS_PERFORM),
        FIXTURE_TEST(summary_has_both_halves, ON_OS_PERFORM),
        FIXTURE_TEST(nothing_stays_open, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("bench", tests);
}
