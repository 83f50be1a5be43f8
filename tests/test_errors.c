/* Errors: their names, and those of the system, each of which arrives as a completion with the
 * system's code, after which the loop still works. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

#include <errno.h>

#define READ_WRITE (EPIO_OPEN_READ | EPIO_OPEN_WRITE)

/* ---- Names ------------------------------------------------------------- */

#define ERROR_ROW(name, value, message) {#name, name, message},

static const struct {
    const char *name;
    int64_t value;
    const char *message;
} errors[] = {EPIO_ERRORS(ERROR_ROW)};

#define ERRORS (sizeof errors / sizeof errors[0])

static void every_error_has_a_name_and_a_message(fixture *f)
{
    (void)f;
    for (size_t i = 0; i < ERRORS; i++) {
        assert_int_equal(errors[i].value, -1 - (int64_t)i);
        assert_string_equal(epio_error_name(errors[i].value), errors[i].name);
        assert_string_equal(epio_error_message(errors[i].value), errors[i].message);
        assert_true(strlen(errors[i].message) > 5);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(errors[i].name, errors[j].name);
            assert_string_not_equal(errors[i].message, errors[j].message);
        }
    }
    assert_int_equal(EPIO_ERROR_LAST, -(int)ERRORS);
}

static void other_numbers_have_a_name_too(fixture *f)
{
    static const int64_t results[] = {0, 1, 4096, INT64_MAX};
    static const int64_t strange[] = {EPIO_ERROR_LAST - 1, -1000, INT32_MIN, INT64_MIN,
                                      (int64_t)INT32_MIN * 4 + EPIO_ENOENT};
    (void)f;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        assert_string_equal(epio_error_name(results[i]), "EPIO_OK");
        assert_true(strlen(epio_error_message(results[i])) > 0);
    }
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        assert_string_equal(epio_error_name(strange[i]), "EPIO_?");
        assert_true(strlen(epio_error_message(strange[i])) > 0);
    }
}

static void the_version_is_one(fixture *f)
{
    char expected[32];
    (void)f;
    (void)snprintf(expected, sizeof expected, "%d.%d.%d", EPIO_VERSION_MAJOR, EPIO_VERSION_MINOR,
                   EPIO_VERSION_PATCH);
    assert_string_equal(epio_version(), expected);
}

/* ---- From the system's codes, and back ---------------------------------- */

static void each_has_an_error_of_the_system(fixture *f)
{
    (void)f;
    for (int64_t error = EPIO_EPENDING; error >= EPIO_ERROR_LAST; error--) {
        int32_t of_system = epio_error_to_os(error);
        check(of_system != 0);
        /* Errors without a code of the system map to the nearest. */
        bool epios_own = error == EPIO_EPENDING || error == EPIO_ETIMEDOUT ||
                         error == EPIO_ESHARING || error == EPIO_ECLOSED ||
                         error == EPIO_EUNKNOWN || error == EPIO_ESQL || error == EPIO_ECORRUPT ||
                         error == EPIO_ECHANGED || (!SYSTEM_IS_POSIX && error == EPIO_ENODATA);
        if (!epios_own) {
            check_result(epio_error_from_os(of_system), error);
        }
    }
    check_result(epio_error_to_os(0), 0);
    check_result(epio_error_to_os(1), 0);
    check_result(epio_error_to_os(EPIO_ERROR_LAST - 1), epio_error_to_os(EPIO_EUNKNOWN));
    check_result(epio_error_to_os(INT64_MIN), epio_error_to_os(EPIO_EUNKNOWN));
}

/* ---- Paths and permissions --------------------------------------------- */

static void paths_that_do_not_open(fixture *f)
{
    epio_op op = {0};
    char name[400];
    fixture_put(f, "file", "x", 1);
    assert_true(directory_make(fixture_path(f, "directory")));
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const struct {
        const char *name;
        uint32_t flags;
        int expected;
        int32_t os_error;
    } cases[] = {
        {"nothing", EPIO_OPEN_READ, EPIO_ENOENT, OS_ERROR(ENOENT)},
        {"no/directory", READ_WRITE | EPIO_OPEN_CREATE, EPIO_ENOENT, OS_ERROR(ENOENT)},
        {"directory", EPIO_OPEN_WRITE, EPIO_EISDIR, OS_ERROR(EISDIR)},
        {"directory", EPIO_OPEN_READ, EPIO_EISDIR, OS_ERROR(EISDIR)},
        {"file/below", EPIO_OPEN_READ, EPIO_ENOTDIR, OS_ERROR(ENOTDIR)},
        {"file", READ_WRITE | EPIO_OPEN_CREATE | EPIO_OPEN_EXCLUSIVE, EPIO_EEXIST,
         OS_ERROR(EEXIST)},
        {name, EPIO_OPEN_READ, EPIO_ENAMETOOLONG, OS_ERROR(ENAMETOOLONG)},
        {"loop", EPIO_OPEN_READ, EPIO_ELOOP, OS_ERROR(ELOOP)},
        {"loop/file", EPIO_OPEN_READ, EPIO_ELOOP, OS_ERROR(ELOOP)},
    };
    /* The last two need symbolic links. */
    size_t count = sizeof cases / sizeof cases[0] - (SYSTEM_IS_POSIX ? 0 : 2);
    if (SYSTEM_IS_POSIX) {
        link_make("loop", fixture_path(f, "loop"));
    }
    for (size_t i = 0; i < count; i++) {
        check_op_fails(f, epio_open(&op, f->vfs, fixture_path(f, cases[i].name), cases[i].flags),
                       cases[i].expected, cases[i].os_error);
        assert_null(op.file);
    }
    check_op_fails(f, epio_delete(&op, f->vfs, fixture_path(f, "nothing"), 0), EPIO_ENOENT,
                   OS_ERROR(ENOENT));
    fixture_works(f);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(every_error_has_a_name_and_a_message, ON_OS_PERFORM),
        FIXTURE_TEST(other_numbers_have_a_name_too, ON_OS_PERFORM),
        FIXTURE_TEST(each_has_an_error_of_the_system, ON_OS_PERFORM),
        FIXTURE_TEST(the_version_is_one, ON_OS_PERFORM),
        FIXTURE_TEST(paths_that_do_not_open, ON_ANY_OS),
    };
    return FIXTURE_RUN("errors", tests);
}
