/* The counts of a trace as a table for people. */
#include <epio/vfs.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends to the caller's buffer piece by piece, with snprintf's rules. */
typedef struct text {
    char *buffer;
    size_t room;
    size_t len; /* of all text, whether it fit or not */
} text;

/* A number with its unit; the longest is "16777216 TiB". */
typedef struct quantity {
    char text[32];
} quantity;

/* ---- Text ---- */

static void append(text *to, const char *format, ...)
{
    bool fits = to->len < to->room;
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(fits ? to->buffer + to->len : NULL, fits ? to->room - to->len : 0, format,
                          arguments);
    va_end(arguments);
    to->len += added > 0 ? (size_t)added : 0;
}

typedef struct unit {
    uint64_t size;
    const char *name;
} unit;

/* In the largest unit that gives at least 1, to about three digits. No floating point, whose format
 * depends on the locale. */
static quantity in_units(uint64_t value, const unit *units, size_t count)
{
    quantity made;
    size_t i = count - 1;
    while (i > 0 && value < units[i].size) {
        i--;
    }
    uint64_t whole = value / units[i].size;
    uint64_t tenth = value % units[i].size * 10 / units[i].size;
    if (i == 0 || whole >= 100) {
        (void)snprintf(made.text, sizeof made.text, "%" PRIu64 " %s", whole, units[i].name);
    } else {
        (void)snprintf(made.text, sizeof made.text, "%" PRIu64 ".%" PRIu64 " %s", whole, tenth,
                       units[i].name);
    }
    return made;
}

static quantity time_of(uint64_t nanoseconds)
{
    static const unit units[] = {
        {1, "ns"}, {1000, "us"}, {1000000, "ms"}, {UINT64_C(1000000000), "s"}};
    return in_units(nanoseconds, units, sizeof units / sizeof units[0]);
}

static quantity bytes_of(uint64_t bytes)
{
    static const unit units[] = {{1, "B"},
                                 {UINT64_C(1) << 10, "KiB"},
                                 {UINT64_C(1) << 20, "MiB"},
                                 {UINT64_C(1) << 30, "GiB"},
                                 {UINT64_C(1) << 40, "TiB"}};
    return in_units(bytes, units, sizeof units / sizeof units[0]);
}

/* ---- The table ---- */

/* A time that so many per cent of the ops stayed below, to the precision of the buckets. */
static uint64_t below(const epio_trace_counts *counts, uint64_t per_cent)
{
    uint64_t wanted = counts->timed - counts->timed / 100 * (100 - per_cent) -
                      counts->timed % 100 * (100 - per_cent) / 100;
    uint64_t found = 0;
    for (unsigned i = 0; i + 1 < EPIO_TRACE_BUCKETS; i++) {
        found += counts->buckets[i];
        if (found >= wanted) {
            uint64_t end = UINT64_C(2) << i;
            return end < counts->longest_ns ? end : counts->longest_ns;
        }
    }
    return counts->longest_ns;
}

static void append_head(text *to)
{
    append(to, "%-19s %10s %7s %9s %9s %10s %10s %8s %8s %8s %8s\n", "kind", "count", "failed",
           "cancelled", "in flight", "bytes", "timed", "mean", "50 % <", "99 % <", "longest");
}

static void append_counts(text *to, const char *name, const epio_trace_counts *counts)
{
    append(to, "%-19s %10" PRIu64 " %7" PRIu64 " %9" PRIu64 " %9" PRIu64 " %10s", name,
           counts->count, counts->failed, counts->cancelled, counts->in_flight,
           bytes_of(counts->bytes).text);
}

static void append_times(text *to, const epio_trace_counts *counts)
{
    append(to, " %10" PRIu64, counts->timed);
    if (counts->timed > 0) {
        append(to, " %8s %8s %8s %8s", time_of(counts->total_ns / counts->timed).text,
               time_of(below(counts, 50)).text, time_of(below(counts, 99)).text,
               time_of(counts->longest_ns).text);
    }
}

static void add_to(epio_trace_counts *all, const epio_trace_counts *counts)
{
    all->count += counts->count;
    all->failed += counts->failed;
    all->cancelled += counts->cancelled;
    all->in_flight += counts->in_flight;
    all->bytes += counts->bytes;
}

int64_t epio_trace_summary(const epio_vfs *trace, char *buffer, size_t len)
{
    text made = {buffer, len, 0};
    epio_trace_counts all = {0};
    epio_trace_counts counts = {.size = sizeof counts};
    int error = epio_trace_read(trace, EPIO_KIND_NONE, &counts);
    if (error != 0 || (buffer == NULL && len > 0)) {
        return EPIO_EINVAL;
    }
    append_head(&made);
    for (uint32_t i = EPIO_KIND_NONE; i <= EPIO_KIND_COUNT; i++) {
        uint32_t kind = i < EPIO_KIND_COUNT ? i : EPIO_KIND_USER; /* they share a record */
        (void)epio_trace_read(trace, kind, &counts);
        if (counts.count > 0 || counts.in_flight > 0) {
            append_counts(&made, epio_kind_name(kind), &counts);
            append_times(&made, &counts);
            append(&made, "\n");
            add_to(&all, &counts);
        }
    }
    append_counts(&made, "total", &all);
    append(&made, "\n");
    return (int64_t)made.len;
}
