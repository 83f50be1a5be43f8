/* Whether one directory is in another, for the examples that copy from one to the other. */
#ifndef EXAMPLES_NESTED_H
#define EXAMPLES_NESTED_H

#include <epio/epio.h>

#include <stdbool.h>
#include <stdio.h>

static inline bool same_directory(const epio_info *one, const epio_info *other)
{
    return one->device == other->device && one->id[0] == other->id[0] && one->id[1] == other->id[1];
}

/* Is the directory this one, or in it? By ids, whatever links and mounts lead there. */
static inline bool is_below(epio_loop *loop, const char *path, const epio_info *top)
{
    char text[8192];
    epio_op op = EPIO_OP_INIT;
    epio_info info = {.size = sizeof info};
    epio_info below;
    int len = snprintf(text, sizeof text, "%s", path);
    do {
        below = info;
        if ((size_t)len + 4 >= sizeof text ||
            epio_wait(epio_stat(&op, epio_loop_vfs(loop), text, &info, 0)) < 0) {
            return false;
        }
        if (same_directory(&info, top)) {
            return true;
        }
        len += snprintf(text + len, sizeof text - (size_t)len, "/..");
    } while (!same_directory(&info, &below));
    return false;
}

#endif
