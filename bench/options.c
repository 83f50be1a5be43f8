/* The command line of epio-bench, and the help that describes it. */
#include "engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type { TYPE_FLAG, TYPE_TEXT, TYPE_COUNT, TYPE_SECONDS };

typedef struct option {
    const char *name;
    const char *value; /* its name in the help; NULL: takes none */
    const char *help;
    enum option_type type;
    uint32_t only; /* BENCH_...; 0: for all commands */
    size_t at;     /* offset in bench_options */
    double least;  /* minimum of a number */
    double most;
} option;

#define AT(field) offsetof(bench_options, field)
#define FLAG(name, help, field, only)                                                              \
    {                                                                                              \
        name, NULL, help, TYPE_FLAG, only, AT(field), 0, 0                                         \
    }
#define TEXT(name, value, help, field, only)                                                       \
    {                                                                                              \
        name, value, help, TYPE_TEXT, only, AT(field), 0, 0                                        \
    }
#define COUNT(name, value, help, only, least, most)                                                \
    {                                                                                              \
#name, value, help, TYPE_COUNT, only, AT(name), least, most                                \
    }

static const option known_options[] = {
    TEXT("workload", "NAME", "what to measure", workload, BENCH_WORKLOAD),
    COUNT(rounds, "N", "rounds, in which the engines take turns", BENCH_ROUNDS, 1, 10000),
    {"seconds", "S", "length of one turn", TYPE_SECONDS, BENCH_SECONDS, AT(seconds), 0.001, 3600},
    FLAG("quick", "all of it in 40 seconds, by shorter turns", quick, BENCH_QUICK),
    COUNT(iterations, "N", "so many operations", BENCH_ITERATIONS, 1, 1e9),
    /* A block begins with its number. */
    COUNT(size, "BYTES", "bytes of one operation", BENCH_SIZE, 8, 1u << 30),
    COUNT(depth, "N", "most operations in flight", BENCH_DEPTH, 1, 1000000),
    COUNT(files, "N", "files that they are spread over", BENCH_FILES, 1, BENCH_MOST_FILES),
    COUNT(tasks, "N", "only so many tasks, not 1, 8 and 32", BENCH_TASKS, 1, 1000),
    COUNT(entries, "N", "files and directories in the tree", BENCH_TREE | BENCH_ENTRIES, 1, 1e8),
    FLAG("cold", "with empty caches", cold, BENCH_TREE),
    COUNT(rows, "N", "rows in the table of a scan", BENCH_TABLE, 1, 1e9),
    COUNT(statements, "N", "rows that the mix of statements inserts", BENCH_TABLE, 100, 1e9),
    COUNT(writers, "N", "tasks that commit", BENCH_TABLE, 1, 1000),
    COUNT(cancels, "N", "queries that are cancelled in one turn", BENCH_TABLE, 1, 1000000),
    COUNT(busy, "N", "beside N other programs, each of which keeps a processor busy", BENCH_BUSY, 1,
          BENCH_MOST_BUSY),
    FLAG("direct", "past the page cache", direct, BENCH_ROUTES),
    FLAG("inline", "submit writes itself (inline_writes)", inline_writes, BENCH_ROUTES),
    TEXT("backend", "NAME", "epio's backend, such as epoll; the best by default", backend, 0),
    TEXT("path", "DIRECTORY", "where the files are made", path, 0),
    FLAG("json", "one JSON object a line instead of a table", json, 0),
    TEXT("plot", "FILE.svg", "draw it, too; needs gnuplot", plot, BENCH_PLOT),
};

#define OPTION_COUNT (sizeof known_options / sizeof known_options[0])

/* ---- Help ---------------------------------------------------------------- */

static bool has_option(const bench_command *command, const option *opt)
{
    return opt->only == 0 || (command->options & opt->only) != 0;
}

static void print_default(const option *opt, const bench_options *defaults)
{
    const void *field = (const unsigned char *)defaults + opt->at;

    if (opt->type == TYPE_COUNT && *(const uint64_t *)field != 0) {
        printf(" (%" PRIu64 ")", *(const uint64_t *)field);
    } else if (opt->type == TYPE_SECONDS && *(const double *)field > 0) {
        printf(" (%g)", *(const double *)field);
    } else if (opt->type == TYPE_TEXT && *(const char *const *)field != NULL) {
        printf(" (%s)", *(const char *const *)field);
    }
}

static void print_workloads(const bench_command *command)
{
    size_t i;

    for (i = 0; command->workloads != NULL && command->workloads[i] != NULL; i++) {
        printf("%s %s", i == 0 ? ":" : ",", command->workloads[i]);
    }
}

static void print_help(const bench_command *command)
{
    size_t i;

    printf("usage: epio-bench %s [options]\n\n%s\n\n", command->name, command->help);
    for (i = 0; i < OPTION_COUNT; i++) {
        const option *opt = &known_options[i];
        char left[32];

        if (!has_option(command, opt)) {
            continue;
        }
        snprintf(left, sizeof left, "--%s %s", opt->name, opt->value ? opt->value : "");
        printf("  %-20s %s", left, opt->help);
        if (opt->only == BENCH_WORKLOAD) {
            print_workloads(command);
        }
        print_default(opt, &command->defaults);
        putchar('\n');
    }
    printf("  %-20s this text\n", "--help");
}

/* ---- Values --------------------------------------------------------------- */

static bool refuse(const bench_command *command, int *status)
{
    fprintf(stderr, "See epio-bench %s --help.\n", command->name);
    *status = BENCH_USAGE;
    return false;
}

/* Finds "--name" or "--name=value"; *value is the text after the "=", or NULL. */
static const option *find_option(const bench_command *command, const char *argument,
                                 const char **value)
{
    size_t i, len;

    if (strncmp(argument, "--", 2) != 0) {
        return NULL;
    }
    argument += 2;
    len = strcspn(argument, "=");
    *value = argument[len] == '=' ? argument + len + 1 : NULL;
    for (i = 0; i < OPTION_COUNT; i++) {
        const option *opt = &known_options[i];

        if (strlen(opt->name) == len && memcmp(opt->name, argument, len) == 0 &&
            has_option(command, opt)) {
            return opt;
        }
    }
    return NULL;
}

static bool parse_number(const char *text, const option *opt, double *number)
{
    char *rest;

    /* strtod accepts more than this. */
    *number = strspn(text, "0123456789.") == strlen(text) ? strtod(text, &rest) : -1;
    return *number >= opt->least && *number <= opt->most && *rest == '\0';
}

static bool set_option(const option *opt, const char *value, bench_options *options)
{
    void *field = (unsigned char *)options + opt->at;
    double number;

    switch (opt->type) {
    case TYPE_FLAG:
        *(bool *)field = true;
        return true;
    case TYPE_TEXT:
        *(const char **)field = value;
        return value[0] != '\0';
    case TYPE_SECONDS:
        return parse_number(value, opt, field);
    case TYPE_COUNT:
        if (!parse_number(value, opt, &number) || strchr(value, '.') != NULL) {
            return false;
        }
        *(uint64_t *)field = (uint64_t)number;
        return true;
    }
    return false;
}

static void report_bad_value(const option *opt, const char *value)
{
    fprintf(stderr, "epio-bench: --%s: not a valid value: '%s'", opt->name, value);
    if (opt->most > 0) {
        fprintf(stderr, " (%.10g to %.10g)", opt->least, opt->most);
    }
    fputc('\n', stderr);
}

/* ---- The environment ------------------------------------------------------ */

static void report_error(const char *what, const char *name, const char *why, int64_t error)
{
    fprintf(stderr, "epio-bench: %s '%s': %s: %s\n", what, name, epio_error_name(error), why);
}

static bool check_backend(const bench_options *options)
{
    epio_loop_options wanted = {.size = sizeof wanted, .backend = options->backend};
    char reason[200];
    epio_loop *loop;
    int error = bench_loop_create(options->backend, BENCH_ALONE, &loop);

    if (error != 0) {
        bool named = epio_loop_invalid_reason(&wanted, reason, sizeof reason) > 0;
        fprintf(stderr, "epio-bench: %s\n", named ? reason : epio_error_message(error));
        return false;
    }
    epio_loop_destroy(loop);
    return true;
}

static bool check_path(const bench_options *options)
{
    epio_op op = {0};
    epio_file *file = NULL;
    int64_t result =
        epio_perform(epio_access(&op, epio_os_vfs(), options->path, EPIO_ACCESS_EXISTS));

    /* A temporary file may also be made beside a missing file: a misspelt directory would go
     * unnoticed. */
    if (result == 0) {
        result = EPIO_ENOENT;
    }
    if (result > 0) {
        result = bench_file_open(options, epio_os_vfs(), 0, &file);
    }
    bench_file_close(file);
    if (result < 0) {
        report_error("cannot make a file in", options->path, epio_error_message(result), result);
    }
    return result >= 0;
}

static bool check_workload(const bench_command *command, const bench_options *options)
{
    size_t i;

    if (command->workloads == NULL || options->workload == NULL) {
        return true;
    }
    for (i = 0; command->workloads[i] != NULL; i++) {
        if (strcmp(command->workloads[i], options->workload) == 0) {
            return true;
        }
    }
    fprintf(stderr, "epio-bench: --workload: there is no '%s'\n", options->workload);
    return false;
}

/* Reports early, and clearly, what would fail later in every engine. */
static bool check_environment(const bench_command *command, const bench_options *options)
{
    return check_workload(command, options) && check_backend(options) && check_path(options);
}

/* Takes one option, whose value may be the next argument. */
static bool take_option(const bench_command *command, int count, char **arguments, int *index,
                        bench_options *options)
{
    const char *argument = arguments[*index], *value = NULL;
    const option *opt = find_option(command, argument, &value);

    if (opt == NULL) {
        fprintf(stderr, "epio-bench %s: unknown argument '%s'\n", command->name, argument);
        return false;
    }
    if (opt->type == TYPE_FLAG && value != NULL) {
        fprintf(stderr, "epio-bench: --%s takes no value\n", opt->name);
        return false;
    }
    if (opt->type != TYPE_FLAG && value == NULL && ++*index < count) {
        value = arguments[*index];
    }
    if (opt->type != TYPE_FLAG && value == NULL) {
        fprintf(stderr, "epio-bench: --%s needs a value: %s\n", opt->name, opt->value);
        return false;
    }
    if (!set_option(opt, value, options)) {
        report_bad_value(opt, value);
        return false;
    }
    return true;
}

bool bench_options_parse(const bench_command *command, int count, char **arguments,
                         bench_options *options, int *status)
{
    int i;

    *options = command->defaults;
    for (i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
            print_help(command);
            *status = EXIT_SUCCESS;
            return false;
        }
        if (!take_option(command, count, arguments, &i, options)) {
            return refuse(command, status);
        }
    }
    return check_environment(command, options) || refuse(command, status);
}
