/* epio-bench: how fast epio is on this machine, compared with what a program would use without
 * it. Owns the list of commands; each has a file of its own. */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const bench_command bench_compare_command;
extern const bench_command bench_durable_command;
extern const bench_command bench_overhead_command;
extern const bench_command bench_peers_command;
extern const bench_command bench_run_command;
extern const bench_command bench_scale_command;
extern const bench_command bench_sqlite_command;
extern const bench_command bench_tree_command_line;
extern const bench_command bench_walk_command;

static const bench_command *const commands[] = {
    &bench_peers_command,  &bench_run_command,      &bench_durable_command,
    &bench_scale_command,  &bench_walk_command,     &bench_tree_command_line,
    &bench_sqlite_command, &bench_overhead_command, &bench_compare_command,
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    /* The second signal ends the program at once. */
    signal(number, SIG_DFL);
    interrupted = 1;
}

bool bench_interrupted(void)
{
    return interrupted != 0;
}

static void print_usage(FILE *stream)
{
    size_t i;

    fprintf(stream, "usage: epio-bench COMMAND [options]\n\n");
    for (i = 0; i < COMMAND_COUNT; i++) {
        fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    fprintf(stream, "\nepio-bench COMMAND --help says more about each.\n");
}

static const bench_command *find_command(const char *name)
{
    size_t i;

    for (i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int run(const bench_command *command, int count, char **arguments)
{
    bench_options options;
    int status, error;

    if (!bench_options_parse(command, count, arguments, &options, &status)) {
        return status;
    }
    signal(SIGINT, interrupt);
    error = bench_plot_check(&options);
    if (error == 0) {
        error = bench_load_make(options.busy);
    }
    if (error == 0) {
        error = command->run(&options);
        bench_load_after();
    }
    bench_load_stop();
    if (error == 0) {
        error = bench_plot_draw(&options);
    }
    if (bench_interrupted()) {
        fprintf(stderr, "epio-bench %s: interrupted\n", command->name);
        return BENCH_INTERRUPTED;
    }
    if (error >= 0) {
        return error;
    }
    bench_report_error(command->name, error);
    return EXIT_FAILURE;
}

int main(int count, char **arguments)
{
    const bench_command *command;

    if (count < 2) {
        print_usage(stderr);
        return BENCH_USAGE;
    }
    if (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "-h") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    command = find_command(arguments[1]);
    if (command == NULL) {
        fprintf(stderr, "epio-bench: unknown command '%s'\n\n", arguments[1]);
        print_usage(stderr);
        return BENCH_USAGE;
    }
    return run(command, count - 2, arguments + 2);
}
