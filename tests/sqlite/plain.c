/* What SQLite's test programs other than testfixture run on. */
#include "glue.h"

epio_vfs *epio_sqlite_tests_vfs(void)
{
    return epio_os_vfs();
}
