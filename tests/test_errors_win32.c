/* The mapping of GetLastError codes. The rest is in test_errors.c. EPIO_TEST_ONCE, and
 * EPIO_TEST_WITHOUT_LOOP: also without loops. */
#include "support.h"

#include "win32/win32.h"

static void the_systems_errors_are_mapped(fixture *f)
{
    static const struct {
        DWORD os_error;
        int expected;
    } cases[] = {
        {ERROR_SUCCESS, 0},
        {ERROR_INVALID_PARAMETER, EPIO_EINVAL},
        {ERROR_INVALID_NAME, EPIO_EINVAL},
        {ERROR_OPERATION_ABORTED, EPIO_ECANCELED},
        {ERROR_NOT_ENOUGH_MEMORY, EPIO_ENOMEM},
        {ERROR_NO_SYSTEM_RESOURCES, EPIO_ENOMEM},
        {ERROR_INVALID_USER_BUFFER, EPIO_ENOMEM},
        {ERROR_CRC, EPIO_EIO},
        {ERROR_IO_DEVICE, EPIO_EIO},
        {ERROR_NETNAME_DELETED, EPIO_EIO},
        {ERROR_SEM_TIMEOUT, EPIO_EIO}, /* a server that does not answer, no deadline */
        {ERROR_FILE_NOT_FOUND, EPIO_ENOENT},
        {ERROR_PATH_NOT_FOUND, EPIO_ENOENT},
        {ERROR_INVALID_DRIVE, EPIO_ENOENT},
        {ERROR_FILE_EXISTS, EPIO_EEXIST},
        {ERROR_ALREADY_EXISTS, EPIO_EEXIST},
        {ERROR_ACCESS_DENIED, EPIO_EACCES},
        {225 /* ERROR_VIRUS_INFECTED */, EPIO_EACCES},
        {ERROR_PRIVILEGE_NOT_HELD, EPIO_EPERM},
        {ERROR_DIRECTORY_NOT_SUPPORTED, EPIO_EISDIR},
        {ERROR_DIRECTORY, EPIO_ENOTDIR},
        {ERROR_CANT_RESOLVE_FILENAME, EPIO_ELOOP},
        {ERROR_STOPPED_ON_SYMLINK, EPIO_ELOOP},
        {ERROR_FILENAME_EXCED_RANGE, EPIO_ENAMETOOLONG},
        {ERROR_DISK_FULL, EPIO_ENOSPC},
        {ERROR_HANDLE_DISK_FULL, EPIO_ENOSPC},
        {ERROR_FILE_TOO_LARGE, EPIO_EFBIG},
        {ERROR_TOO_MANY_OPEN_FILES, EPIO_EMFILE},
        {ERROR_INVALID_HANDLE, EPIO_EBADF},
        {ERROR_LOCK_VIOLATION, EPIO_EBUSY},
        {ERROR_SHARING_VIOLATION, EPIO_ESHARING},
        {ERROR_USER_MAPPED_FILE, EPIO_ESHARING},
        {ERROR_POSSIBLE_DEADLOCK, EPIO_EDEADLK},
        {ERROR_BROKEN_PIPE, EPIO_EPIPE},
        {ERROR_NO_DATA, EPIO_EPIPE},
        {ERROR_WRITE_PROTECT, EPIO_EROFS},
        {ERROR_NOT_SAME_DEVICE, EPIO_EXDEV},
        {ERROR_DIR_NOT_EMPTY, EPIO_ENOTEMPTY},
        {ERROR_CURRENT_DIRECTORY, EPIO_EBUSY},
        {ERROR_NOT_A_REPARSE_POINT, EPIO_EINVAL},
        {ERROR_INVALID_DATA, EPIO_EIO},
        {ERROR_TOO_MANY_LINKS, EPIO_EUNKNOWN},
        {ERROR_INSUFFICIENT_BUFFER, EPIO_ERANGE},
        {ERROR_NOT_SUPPORTED, EPIO_ENOTSUP},
        {ERROR_INVALID_FUNCTION, EPIO_ENOTSUP},
        {ERROR_NOT_READY, EPIO_ENODEV},
        {433 /* ERROR_NO_SUCH_DEVICE */, EPIO_ENODEV},
        {ERROR_REM_NOT_LIST, EPIO_EIO},
        {ERROR_NETWORK_UNREACHABLE, EPIO_EIO},
        {ERROR_CONNECTION_ABORTED, EPIO_EIO},
        {ERROR_LOGON_FAILURE, EPIO_EACCES},
        {ERROR_ACCOUNT_LOCKED_OUT, EPIO_EACCES},
        {ERROR_SESSION_CREDENTIAL_CONFLICT, EPIO_EACCES},
        {362 /* ERROR_CLOUD_FILE_PROVIDER_NOT_RUNNING */, EPIO_EIO},
        {388 /* ERROR_CLOUD_FILE_NETWORK_UNAVAILABLE */, EPIO_EIO},
        {395 /* ERROR_CLOUD_FILE_ACCESS_DENIED */, EPIO_EACCES},
        {426 /* ERROR_CLOUD_FILE_REQUEST_TIMEOUT */, EPIO_EIO},
        {ERROR_NO_MORE_FILES, EPIO_EUNKNOWN},
        {1234567, EPIO_EUNKNOWN},
        {INT32_MAX, EPIO_EUNKNOWN},
        {UINT32_MAX, EPIO_EUNKNOWN},
    };
    (void)f;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int found = epio_error_from_os((int32_t)cases[i].os_error);
        if (found != cases[i].expected) {
            print_error("GetLastError() == %lu\n", cases[i].os_error);
        }
        check_result(found, cases[i].expected);
    }
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(the_systems_errors_are_mapped, ON_OS_PERFORM),
    };
    return FIXTURE_RUN("errors of Windows", tests);
}
