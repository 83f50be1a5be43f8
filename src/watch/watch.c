/* See watch.h. */
#include "watch/watch.h"

#include <stdlib.h>

epio__watch *epio__watch_create(epio_vfs *vfs, uint32_t flags)
{
    (void)vfs;
    (void)flags;
    return NULL;
}

void epio__watch_free(epio__watch *watch)
{
    free(watch);
}

void epio__watch_report(epio__watch *watch, uint32_t kind, uint32_t type, const char *name,
                        const char *from)
{
    (void)watch;
    (void)kind;
    (void)type;
    (void)name;
    (void)from;
}

void epio__watch_report_end(epio__watch *watch)
{
    (void)watch;
}
