/* What the functions of epio/sqlite.h do with NULL: a result says it. Independent of the backend:
 * EPIO_TEST_ONCE, EPIO_TEST_WITHOUT_LOOP. tests/check_symbols.sh looks for each function of the
 * header in these tables. */
#include "support.h"

#include <epio/sqlite.h>

#define NULL_REFUSED(X)                                                                            \
    X(epio_sqlite_register(NULL, f->vfs, 0))                                                       \
    X(epio_sqlite_register("null", NULL, 0))                                                       \
    X(epio_sqlite_register(NULL, NULL, EPIO_SQLITE_DEFAULT))                                       \
    X(epio_sqlite_unregister(NULL))

#define NO_POINTERS(X) X(epio_sqlite_error(0))

static void null_is_refused(fixture *f)
{
#define CHECK_REFUSED(call) check_result(call, EPIO_EINVAL);
    NULL_REFUSED(CHECK_REFUSED)
#define CHECK_ZERO(call) check_result(call, 0);
    NO_POINTERS(CHECK_ZERO)
    /* Nothing is left of what was refused. */
    check_result(epio_sqlite_unregister("null"), EPIO_ENOENT);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(null_is_refused, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("sqlite_misuse", tests);
}
