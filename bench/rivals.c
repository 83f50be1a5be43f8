/* The list of those that do without epio. Which of them there are was found when
 * this was built. */
#include "engine.h"

extern const bench_engine bench_engine_blocking;
extern const bench_engine bench_engine_nowait;
extern const bench_engine bench_engine_liburing;
extern const bench_engine bench_engine_liburing_registered;
extern const bench_engine bench_engine_libuv;
extern const bench_engine bench_engine_posix_aio;

const bench_engine *const bench_rivals[] = {
    &bench_engine_blocking,
    &bench_engine_ideal,
    &bench_engine_nowait,
    &bench_engine_threads,
#if defined(BENCH_HAS_LIBURING)
    &bench_engine_liburing,
    &bench_engine_liburing_registered,
#endif
#if defined(BENCH_HAS_LIBUV)
    &bench_engine_libuv,
#endif
#if defined(BENCH_HAS_POSIX_AIO)
    &bench_engine_posix_aio,
#endif
    NULL,
};
