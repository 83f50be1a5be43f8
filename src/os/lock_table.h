/* Finds the open files that are the same inode, for their locks. */
#ifndef EPIO_LOCK_TABLE_H
#define EPIO_LOCK_TABLE_H

#include "locks/lock.h"

/* The file's holder, made if it has none; NULL if there is no memory. */
epio__lock_holder *epio__lock_table_join(epio__os_file *file);

/* The file's holder, or NULL if it had no lock op yet. Any thread. */
epio__lock_holder *epio__lock_table_find(const epio__os_file *file);

/* After the holder was lowered: closes the files whose close waited for that. */
void epio__lock_table_settle(epio__lock_holder *holder);

#endif
