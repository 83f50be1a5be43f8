/* Whether a tree is to be copied into itself. */
#include "tree/copy_tree.h"

#include "platform.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_PATH ((size_t)64 << 10)

/* Is what the path leads to, if it leads to anything, the directory that is copied? */
static bool leads_to(epio__tree_thread *one, const char *path, const epio_info *from)
{
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    int64_t result = epio__tree_perform(one, epio_stat(&op, one->tree->to_vfs, path, &info, 0));
    return result == 0 && epio__is_one_file(&info, from);
}

/* Each directory on the way is looked at. */
static bool passes(epio__tree_thread *one, char *path, const epio_info *from)
{
    for (size_t i = 0; path[i] != '\0'; i++) {
        if (!epio__is_separator(path[i])) {
            continue;
        }
        char after = path[i + 1];
        path[i + 1] = '\0';
        bool found = leads_to(one, path, from);
        path[i + 1] = after;
        if (found) {
            return true;
        }
    }
    return leads_to(one, path, from);
}

/* Where the path of the target cannot be told, it is met on the way: see check_source in
 * copy_tree.c. */
int64_t epio__copy_check_place(epio__tree_thread *one, const epio_info *from)
{
    const epio__tree *tree = one->tree;
    epio_op op = EPIO_OP_INIT;
    char *path = malloc(LONGEST_PATH);
    bool inside = false;
    if (path == NULL) {
        return EPIO_ENOMEM;
    }
    int64_t result = epio__tree_perform(
        one, epio_full_pathname(&op, tree->to_vfs, tree->to, path, LONGEST_PATH));
    inside = result >= 0 ? passes(one, path, from) : leads_to(one, tree->to, from);
    free(path);
    return inside ? epio__copier_refuse(&one->copier, EPIO__REASON_COPY_INTO_ITSELF) : 0;
}
