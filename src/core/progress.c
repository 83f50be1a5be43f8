/* epio_progress: a list of the ops that can say how far they are, for the whole process. An op is
 * looked for by its address alone, as it may end, or be used anew, while it is asked. */
#include "list.h"
#include "platform.h"

#include <epio/vfs.h>

static epio_node published = {&published, &published};

void epio_progress_publish(epio_progress_source *source, const epio_op *op,
                           void (*read)(epio_progress_source *source, epio_progress_info *info))
{
    epio__mutex *mutex = epio__process_mutex();
    if (source == NULL || op == NULL || read == NULL) {
        epio__fatal("epio_progress_publish", "the source, the op or its function is NULL");
    }
    source->op = op;
    source->read = read;
    epio__mutex_lock(mutex);
    epio_list_append(&published, &source->node);
    epio__mutex_unlock(mutex);
}

void epio_progress_withdraw(epio_progress_source *source)
{
    epio__mutex *mutex = epio__process_mutex();
    if (source == NULL) {
        epio__fatal("epio_progress_withdraw", "the source is NULL");
    }
    epio__mutex_lock(mutex);
    epio_list_remove(&source->node);
    epio__mutex_unlock(mutex);
}

int epio_progress(const epio_op *op, epio_progress_info *info)
{
    epio_progress_info found = {.size = sizeof found};
    epio__mutex *mutex = epio__process_mutex();
    int result = EPIO_ENOTSUP;
    if (op == NULL || info == NULL || info->size < sizeof found) {
        return EPIO_EINVAL;
    }
    epio__mutex_lock(mutex);
    for (epio_node *node = published.next; node != &published; node = node->next) {
        epio_progress_source *source = EPIO_CONTAINER(node, epio_progress_source, node);
        if (source->op == op) {
            source->read(source, &found);
            result = 0;
            break;
        }
    }
    epio__mutex_unlock(mutex);
    if (result == 0) {
        (void)epio_result_give(&found, sizeof found, sizeof found, info);
    }
    return result;
}
