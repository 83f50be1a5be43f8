/* Prints what is in a directory and below it, as find(1) does: type, size and path of each entry.
 *
 *     walk [--sorted] [--follow] [--one-file-system] [--depth N] [--skip NAME] [DIRECTORY]
 *
 * One epio_walk does it all: the library's threads read the directories, and this one prints. */
#include <epio/epio.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE 2

struct options {
    epio_walk_options walk;
    const char *skip; /* the name of directories that are not entered; NULL: none */
    const char *directory;
    int failed;
};

static char letter_of(uint32_t type)
{
    static const char letters[] = "?fdlpscb";
    return type < sizeof letters - 1 ? letters[type] : '?';
}

static bool print(epio_op *op, epio_walk_entry *entries, size_t count)
{
    struct options *options = op->user;
    for (size_t i = 0; i < count; i++) {
        epio_walk_entry *entry = &entries[i];
        if (entry->error != 0) {
            options->failed = 1;
            fprintf(stderr, "walk: %s: %s\n", entry->path, epio_error_message(entry->error));
            continue;
        }
        uint64_t bytes = entry->info != NULL ? entry->info->bytes : 0;
        printf("%c %12" PRIu64 " %s\n", letter_of(entry->type), bytes, entry->path);
        if (options->skip != NULL && strcmp(entry->name, options->skip) == 0) {
            entry->enter = false;
        }
    }
    return ferror(stdout) == 0; /* nobody reads on: the walk ends */
}

static int print_help(void)
{
    puts("Usage: walk [OPTION]... [DIRECTORY]\n"
         "\n"
         "Prints type (f file, d directory, l link, ...), size and path of all that is in the\n"
         "directory (.) and below it.\n"
         "\n"
         "  --sorted           by name, always in the same order\n"
         "  --follow           enter directories by symbolic links, too, each once\n"
         "  --one-file-system  do not enter what is mounted there\n"
         "  --depth N          no deeper than N levels\n"
         "  --skip NAME        do not enter directories of this name\n"
         "  --help             this text");
    return 0;
}

static int refuse(const char *what, const char *argument)
{
    fprintf(stderr, "walk: %s %s; see walk --help\n", what, argument);
    return USAGE;
}

static bool take_depth(struct options *options, const char *text)
{
    char *end;
    unsigned long depth = strtoul(text, &end, 10);
    options->walk.most_depth = (uint32_t)depth;
    return end != text && *end == '\0' && depth != 0 && depth < UINT32_MAX;
}

static int take_arguments(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *one = argv[i];
        if (strcmp(one, "--sorted") == 0) {
            options->walk.flags |= EPIO_WALK_SORTED;
        } else if (strcmp(one, "--follow") == 0) {
            options->walk.flags |= EPIO_WALK_FOLLOW;
        } else if (strcmp(one, "--one-file-system") == 0) {
            options->walk.flags |= EPIO_WALK_SAME_FILE_SYSTEM;
        } else if ((strcmp(one, "--depth") == 0 || strcmp(one, "--skip") == 0) && i + 1 == argc) {
            return refuse("a value is missing behind", one);
        } else if (strcmp(one, "--depth") == 0) {
            if (!take_depth(options, argv[++i])) {
                return refuse("no depth:", argv[i]);
            }
        } else if (strcmp(one, "--skip") == 0) {
            options->skip = argv[++i];
        } else if (one[0] == '-') {
            return refuse("unknown option", one);
        } else if (options->directory != NULL) {
            return refuse("one directory is enough; what is", one);
        } else {
            options->directory = one;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {
        .walk = {.size = sizeof options.walk, .flags = EPIO_WALK_STAT, .entries = print}};
    epio_loop *loop;
    epio_op op = EPIO_OP_INIT;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return print_help();
    }
    int refused = take_arguments(&options, argc, argv);
    if (refused != 0) {
        return refused;
    }
    const char *directory = options.directory != NULL ? options.directory : ".";
    if (epio_loop_create(&loop, NULL) != 0) {
        fprintf(stderr, "walk: no loop can be made\n");
        return 1;
    }
    op.user = &options;
    int64_t result = epio_wait(epio_walk(&op, epio_loop_vfs(loop), directory, &options.walk));
    if (result < 0) {
        options.failed = 1;
        fprintf(stderr, "walk: %s: %s\n", directory, epio_error_message(result));
    }
    epio_loop_destroy(loop);
    return fflush(stdout) != 0 || options.failed ? 1 : 0;
}
