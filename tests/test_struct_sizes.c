/* Programs built with older or newer headers: their structs are smaller or larger. Independent of
 * the backend: EPIO_TEST_ONCE. */
#include "support.h"

#include <epio/bench.h>
#include <epio/vfs.h>

#include <stddef.h>

/* ---- Options: what is beyond must be 0 ------------------------------------ */

/* As a newer header has them. */
typedef struct newer_options {
    epio_loop_options known;
    uint64_t two[2];
} newer_options;

static void check_create(epio_loop_options *options, int expected)
{
    epio_loop *loop = NULL;
    char reason[200];
    check_result(epio_loop_create(&loop, options), expected);
    check((epio_loop_invalid_reason(options, reason, sizeof reason) == 0) == (expected == 0));
    check((loop != NULL) == (expected == 0));
    epio_loop_destroy(loop);
}

static void of_older_options(fixture *f)
{
    size_t first = offsetof(epio_loop_options, poll_budget_ns);
    epio_loop_options options = {.size = first};
    (void)f;
    options.poll_budget_ns = UINT64_C(0xdddddddddddddddd); /* behind the program's struct */
    check_create(&options, 0);
    for (options.size = 0; options.size < first; options.size++) {
        check_create(&options, EPIO_EINVAL);
    }
}

static void of_newer_options(fixture *f)
{
    newer_options options = {.known.size = sizeof options};
    char reason[200];
    (void)f;
    check_create(&options.known, 0);
    options.two[1] = 1;
    check_create(&options.known, EPIO_EINVAL);
    check(epio_loop_invalid_reason(&options.known, reason, sizeof reason) > 0);
    assert_non_null(strstr(reason, "does not know"));
    options.known.size = sizeof options.known;
    check_create(&options.known, 0);
}

/* ---- Results: what is beyond becomes 0 ------------------------------------ */

typedef union any_statistics {
    epio_loop_stats known;
    unsigned char bytes[sizeof(epio_loop_stats) + 64];
} any_statistics;

static void of_statistics(fixture *f)
{
    any_statistics got;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_wait(epio_sleep(&op, f->vfs, 1)), 1);
    memset(&got, 0xdd, sizeof got);
    got.known.size = sizeof got;
    check_result(epio_loop_get_stats(f->loop, &got.known), 0);
    check(got.known.size == sizeof got && got.known.delivered == 1);
    for (size_t i = sizeof got.known; i < sizeof got; i++) {
        check(got.bytes[i] == 0);
    }
    size_t first = offsetof(epio_loop_stats, threads_now) + sizeof got.known.threads_now;
    for (got.known.size = 0; got.known.size < first; got.known.size++) {
        check_result(epio_loop_get_stats(f->loop, &got.known), EPIO_EINVAL);
    }
    got.bytes[first] = 0xdd;
    check_result(epio_loop_get_stats(f->loop, &got.known), 0);
    check(got.bytes[first] == 0xdd); /* behind the program's struct */
}

typedef union any_counts {
    epio_trace_counts known;
    unsigned char bytes[sizeof(epio_trace_counts) + 64];
} any_counts;

static void of_trace_counts(fixture *f)
{
    any_counts got;
    epio_vfs *trace;
    epio_op op = EPIO_OP_INIT;
    check_result(epio_trace_vfs_create(&trace, f->vfs), 0);
    check_result(epio_wait(epio_sleep(&op, trace, 1)), 1);
    memset(&got, 0xdd, sizeof got);
    got.known.size = sizeof got;
    check_result(epio_trace_read(trace, EPIO_KIND_SLEEP, &got.known), 0);
    check(got.known.size == sizeof got && got.known.count == 1);
    for (size_t i = sizeof got.known; i < sizeof got; i++) {
        check(got.bytes[i] == 0);
    }
    for (got.known.size = 0; got.known.size < sizeof got.known; got.known.size += 8) {
        check_result(epio_trace_read(trace, EPIO_KIND_SLEEP, &got.known), EPIO_EINVAL);
    }
    epio_vfs_destroy(trace);
}

typedef union any_result {
    epio_bench_result known;
    unsigned char bytes[sizeof(epio_bench_result) + 64];
} any_result;

typedef struct newer_bench_options {
    epio_bench_options known;
    uint64_t one;
} newer_bench_options;

static void of_benchmarks(fixture *f)
{
    newer_bench_options options = {.known = {.size = sizeof options, .iterations = 4, .bytes = 1}};
    any_result got;
    options.known.path = f->directory;
    memset(&got, 0xdd, sizeof got);
    got.known.size = sizeof got;
    check_result(epio_bench_compare_write(&got.known, &options.known), 0);
    check(got.known.size == sizeof got && got.known.iterations == 4);
    for (size_t i = sizeof got.known; i < sizeof got; i++) {
        check(got.bytes[i] == 0);
    }
    got.known.size = sizeof got.known - 1;
    check_result(epio_bench_compare_write(&got.known, &options.known), EPIO_EINVAL);
    check(got.known.iterations == 4);
    got.known.size = sizeof got;
    options.one = 1;
    check_result(epio_bench_compare_write(&got.known, &options.known), EPIO_EINVAL);
}

/* ---- Methods -------------------------------------------------------------- */

typedef struct newer_methods {
    epio_vfs_methods known;
    void (*later)(epio_vfs *vfs);
} newer_methods;

static void submit_seven(epio_vfs *vfs, epio_op *op)
{
    (void)vfs;
    epio_complete(op, 7);
}

static void must_not_be_called(epio_vfs *vfs)
{
    (void)vfs;
    check(false);
}

static void of_newer_methods(fixture *f)
{
    static const newer_methods methods = {
        .known = {.size = sizeof methods, .name = "newer", .submit = submit_seven},
        .later = must_not_be_called,
    };
    epio_vfs vfs = {.methods = &methods.known, .loop = f->loop};
    epio_op op = EPIO_OP_INIT;
    check_result(epio_wait(epio_sleep(&op, &vfs, 1)), 7);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(of_older_options, ON_OS), FIXTURE_TEST(of_newer_options, ON_OS),
        FIXTURE_TEST(of_statistics, ON_OS),    FIXTURE_TEST(of_trace_counts, ON_OS),
        FIXTURE_TEST(of_benchmarks, ON_OS),    FIXTURE_TEST(of_newer_methods, ON_OS),
    };
    return FIXTURE_RUN("struct sizes", tests);
}
