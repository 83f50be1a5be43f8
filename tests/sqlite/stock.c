/* SQLite's test programs as they are. */
#include "glue.h"

int epio_sqlite_tests_init(const char *unused)
{
    (void)unused;
    return 0;
}
