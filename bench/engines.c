/* The table of engines: in which comparisons each takes part, and what it does. The build
 * determines which engines without epio are available. */
#include "engine.h"

#include <stdlib.h>

extern const bench_methods bench_one_thread;
extern const bench_methods bench_several_threads;
extern const bench_methods bench_liburing;
extern const bench_methods bench_libuv;
extern const bench_methods bench_posix_aio;
extern const bench_methods bench_epio;

#define READS (BENCH_CACHED_READS | BENCH_DIRECT_READS)
#define DIRECT (BENCH_DIRECT_READS | BENCH_DIRECT_WRITES)
#define WRITES (BENCH_OVERWRITES | BENCH_APPENDS)
#define ALL BENCH_ALL_WORK
#define TIMES BENCH_WITH_TIMES
#define BESIDE (BENCH_WITH_WRITE | BENCH_WITH_TIMES)

/* Name, methods, comparisons, work, roles, differences, mode. */
static const bench_engine engines[] = {
    {"blocking", &bench_one_thread, BENCH_PEERS, READS | BENCH_OVERWRITES | BENCH_DIRECT_WRITES,
     BENCH_ROLE_BLOCKING, 0, BENCH_NO_MODE},
    {"ideal", &bench_one_thread, BENCH_PEERS | BENCH_DURABLE, BENCH_APPENDS,
     BENCH_ROLE_BLOCKING | BENCH_ROLE_IDEAL, 0, BENCH_NO_MODE},
    {"nowait", &bench_one_thread, BENCH_PEERS, BENCH_CACHED_READS, BENCH_ROLE_NOWAIT,
     BENCH_WITH_NOWAIT, BENCH_NO_MODE},
    /* Cached data makes no thread wait. */
    {"threads", &bench_several_threads, BENCH_PEERS | BENCH_DURABLE, BENCH_APPENDS | DIRECT,
     BENCH_ROLE_THREADS, 0, BENCH_NO_MODE},
#if defined(BENCH_HAS_LIBURING)
    {"liburing", &bench_liburing, BENCH_PEERS, ALL, BENCH_ROLE_PEER, 0, BENCH_NO_MODE},
    {"liburing, registered", &bench_liburing, BENCH_PEERS, ALL, BENCH_ROLE_PEER,
     BENCH_WITH_REGISTERED, BENCH_NO_MODE},
#endif
#if defined(BENCH_HAS_LIBUV)
    {"libuv", &bench_libuv, BENCH_PEERS, ALL, BENCH_ROLE_PEER, 0, BENCH_NO_MODE},
#endif
#if defined(BENCH_HAS_POSIX_AIO)
    {"POSIX AIO", &bench_posix_aio, BENCH_PEERS, ALL, BENCH_ROLE_PEER, 0, BENCH_NO_MODE},
#endif
    /* Reads are the same in all modes; a flush waits for the disk, to which inline_writes does
     * not apply. */
    {"epio", &bench_epio, BENCH_PEERS, ALL, 0, 0, BENCH_ALONE},
    {"epio, registered", &bench_epio, BENCH_PEERS, READS | BENCH_DIRECT_WRITES, 0,
     BENCH_WITH_REGISTERED, BENCH_ALONE},
    {"epio, by poll", &bench_epio, BENCH_PEERS, BENCH_CACHED_READS, 0, BENCH_WITH_POLLS,
     BENCH_ALONE},
    {"epio", &bench_epio, BENCH_PEERS, WRITES, 0, 0, BENCH_HANDED_OVER},
    {"epio", &bench_epio, BENCH_PEERS, BENCH_OVERWRITES, 0, 0, BENCH_INLINE},
    {"epio", &bench_epio, BENCH_LAYERS, ALL, BENCH_ROLE_PLAIN, 0, BENCH_ALONE},
    {"epio, two layers", &bench_epio, BENCH_LAYERS, ALL, 0, BENCH_WITH_LAYERS, BENCH_ALONE},
    {"epio, nothing beside", &bench_epio, BENCH_BESIDE, ALL, BENCH_ROLE_UNDISTURBED, TIMES,
     BENCH_ALONE},
    {"epio, a write beside", &bench_epio, BENCH_BESIDE, ALL, 0, BESIDE, BENCH_ALONE},
    {"epio, a write beside", &bench_epio, BENCH_BESIDE, ALL, 0, BESIDE, BENCH_HANDED_OVER},
    /* Each task waits for its write and then syncs, or submits both together. */
    {"write, then sync", &bench_epio, BENCH_DURABLE, ALL, 0, 0, BENCH_ALONE},
    {"both at once", &bench_epio, BENCH_DURABLE, ALL, 0, BENCH_WITH_TOGETHER, BENCH_ALONE},
    {"write, then sync", &bench_epio, BENCH_DURABLE, ALL, 0, 0, BENCH_HANDED_OVER},
    {"both at once", &bench_epio, BENCH_DURABLE, ALL, 0, BENCH_WITH_TOGETHER, BENCH_HANDED_OVER},
};

#define ENGINE_COUNT (sizeof engines / sizeof engines[0])

/* ---- Choosing ------------------------------------------------------------ */

static uint32_t work_of(const bench_workload *workload)
{
    switch (workload->kind) {
    case BENCH_READ:
        return workload->direct ? BENCH_DIRECT_READS : BENCH_CACHED_READS;
    case BENCH_OVERWRITE:
    case BENCH_MIX:
        return workload->direct ? BENCH_DIRECT_WRITES : BENCH_OVERWRITES;
    case BENCH_APPEND:
        return BENCH_APPENDS;
    }
    return 0;
}

/* The engines of this backend; NULL: those without one. */
static size_t add_engines(const bench_options *options, const bench_workload *workload,
                          uint32_t comparison, const char *backend, bench_setup *setups)
{
    uint32_t work = work_of(workload);
    size_t count = 0, i;

    for (i = 0; i < ENGINE_COUNT; i++) {
        const bench_engine *engine = &engines[i];

        if ((engine->comparisons & comparison) != 0 && (engine->work & work) != 0 &&
            (engine->mode == BENCH_NO_MODE) == (backend == NULL)) {
            setups[count++] =
                (bench_setup){.options = options, .engine = engine, .backend = backend};
        }
    }
    return count;
}

size_t bench_engines_choose(const bench_options *options, const bench_workload *workload,
                            uint32_t comparison, const char *backend,
                            bench_setup setups[BENCH_MOST_CANDIDATES])
{
    const char *backends[BENCH_MOST_BACKENDS] = {backend};
    size_t backend_count = backend != NULL ? 1 : bench_backends(options, backends);
    size_t count = add_engines(options, workload, comparison, NULL, setups);
    size_t i;

    for (i = 0; i < backend_count; i++) {
        count += add_engines(options, workload, comparison, backends[i], &setups[count]);
    }
    return count;
}

const bench_engine *bench_engine_epio(bench_mode mode)
{
    const bench_engine *engine = engines;

    while (engine->mode != mode) {
        engine++;
    }
    return engine;
}
