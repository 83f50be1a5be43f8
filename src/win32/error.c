/* The only place that maps Win32 errors to EPIO_E... codes. */
#include "win32/win32.h"

/* Missing from some headers. */
#ifndef ERROR_DEVICE_HARDWARE_ERROR
#define ERROR_DEVICE_HARDWARE_ERROR 483L
#endif
#ifndef ERROR_VIRUS_INFECTED
#define ERROR_VIRUS_INFECTED 225L
#define ERROR_VIRUS_DELETED 226L
#endif
#ifndef ERROR_NO_SUCH_DEVICE
#define ERROR_NO_SUCH_DEVICE 433L
#endif
#ifndef ERROR_DATA_CHECKSUM_ERROR
#define ERROR_DATA_CHECKSUM_ERROR 323L
#endif
#ifndef ERROR_FILE_SYSTEM_LIMITATION
#define ERROR_FILE_SYSTEM_LIMITATION 665L
#endif
#ifndef ERROR_DEVICE_REMOVED
#define ERROR_DEVICE_REMOVED 1617L
#endif
#ifndef ERROR_DISK_QUOTA_EXCEEDED
#define ERROR_DISK_QUOTA_EXCEEDED 1295L
#endif

/* ERROR_CLOUD_FILE_...: a placeholder for a file that is stored elsewhere. By number: some
 * headers lack the names. */
static int meaning_of_cloud_error(int32_t os_error)
{
    switch (os_error) {
    case 358: /* SYNC_ROOT_METADATA_CORRUPT */
    case 362: /* PROVIDER_NOT_RUNNING */
    case 363: /* METADATA_CORRUPT */
    case 377: /* NOT_IN_SYNC */
    case 383: /* VALIDATION_FAILED */
    case 388: /* NETWORK_UNAVAILABLE */
    case 389: /* UNSUCCESSFUL */
    case 393: /* REQUEST_ABORTED */
    case 394: /* PROPERTY_CORRUPT */
    case 398: /* REQUEST_CANCELED: by the user or the provider, not by this library */
    case 404: /* PROVIDER_TERMINATED */
    case 426: /* REQUEST_TIMEOUT */
        return EPIO_EIO;
    case 382: /* CONNECTED_PROVIDER_ONLY */
    case 386: /* AUTHENTICATION_FAILED */
    case 395: /* ACCESS_DENIED */
        return EPIO_EACCES;
    case 381: /* READ_ONLY_VOLUME */
        return EPIO_EROFS;
    case 364: /* METADATA_TOO_LARGE */
    case 387: /* INSUFFICIENT_RESOURCES */
        return EPIO_ENOMEM;
    case 391: /* IN_USE */
    case 397: /* PROPERTY_LOCK_CONFLICT */
        return EPIO_EBUSY;
    case 379: /* NOT_SUPPORTED */
    case 380: /* INVALID_REQUEST */
    case 390: /* NOT_UNDER_SYNC_ROOT */
    case 392: /* PINNED */
    case 396: /* INCOMPATIBLE_HARDLINKS */
    case 434: /* DEHYDRATION_DISALLOWED */
        return EPIO_ENOTSUP;
    default:
        return EPIO_EUNKNOWN;
    }
}

int epio__error_from_os(int32_t os_error)
{
    switch (os_error) {
    case ERROR_INVALID_PARAMETER:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME:
    case ERROR_INVALID_FLAGS:
    case ERROR_NEGATIVE_SEEK:
    case ERROR_NO_UNICODE_TRANSLATION:
    case ERROR_NOACCESS:
    case ERROR_NOT_A_REPARSE_POINT:
        return EPIO_EINVAL;
    case ERROR_OPERATION_ABORTED:
    case ERROR_CANCELLED:
        return EPIO_ECANCELED;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_QUOTA:
    case ERROR_WORKING_SET_QUOTA:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_INVALID_USER_BUFFER: /* too many calls in flight */
        return EPIO_ENOMEM;
    case ERROR_CRC:
    case ERROR_SEEK:
    case ERROR_SECTOR_NOT_FOUND:
    case ERROR_WRITE_FAULT:
    case ERROR_READ_FAULT:
    case ERROR_GEN_FAILURE:
    case ERROR_IO_DEVICE:
    case ERROR_NETNAME_DELETED:
    case ERROR_BAD_NETPATH:
    case ERROR_SEM_TIMEOUT:
    case ERROR_DEVICE_HARDWARE_ERROR:
    case ERROR_FILE_CORRUPT:
    case ERROR_DISK_CORRUPT:
    case ERROR_INVALID_DATA: /* a reparse point whose data contradict each other */
    case ERROR_UNEXP_NET_ERR:
    case ERROR_DATA_CHECKSUM_ERROR:
    /* A server that is missing, does not answer, or closes the connection. */
    case ERROR_REM_NOT_LIST:
    case ERROR_NETWORK_BUSY:
    case ERROR_ADAP_HDW_ERR:
    case ERROR_BAD_NET_RESP:
    case ERROR_BAD_REM_ADAP:
    case ERROR_VC_DISCONNECTED:
    case ERROR_REQ_NOT_ACCEP:
    case ERROR_CONNECTION_UNAVAIL:
    case ERROR_NO_NET_OR_BAD_PATH:
    case ERROR_NO_NETWORK:
    case ERROR_CONNECTION_REFUSED:
    case ERROR_GRACEFUL_DISCONNECT:
    case ERROR_CONNECTION_INVALID:
    case ERROR_NETWORK_UNREACHABLE:
    case ERROR_HOST_UNREACHABLE:
    case ERROR_PORT_UNREACHABLE:
    case ERROR_CONNECTION_ABORTED:
        return EPIO_EIO;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_DRIVE:
    case ERROR_BAD_NET_NAME:
        return EPIO_ENOENT;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
        return EPIO_EEXIST;
    case ERROR_ACCESS_DENIED:
    case ERROR_DELETE_PENDING:
    case ERROR_NETWORK_ACCESS_DENIED:
    case ERROR_CANT_ACCESS_FILE:
    case ERROR_VIRUS_INFECTED:
    case ERROR_VIRUS_DELETED:
    /* A server that refuses this user. */
    case ERROR_INVALID_PASSWORD:
    case ERROR_SESSION_CREDENTIAL_CONFLICT:
    case ERROR_LOGIN_TIME_RESTRICTION:
    case ERROR_LOGIN_WKSTA_RESTRICTION:
    case ERROR_NOT_LOGGED_ON:
    case ERROR_NO_LOGON_SERVERS:
    case ERROR_NO_SUCH_LOGON_SESSION:
    case ERROR_LOGON_FAILURE:
    case ERROR_ACCOUNT_RESTRICTION:
    case ERROR_INVALID_LOGON_HOURS:
    case ERROR_INVALID_WORKSTATION:
    case ERROR_PASSWORD_EXPIRED:
    case ERROR_ACCOUNT_DISABLED:
    case ERROR_LOGON_TYPE_NOT_GRANTED:
    case ERROR_MUTUAL_AUTH_FAILED:
    case ERROR_TIME_SKEW:
    case ERROR_TRUSTED_DOMAIN_FAILURE:
    case ERROR_TRUSTED_RELATIONSHIP_FAILURE:
    case ERROR_ACCOUNT_EXPIRED:
    case ERROR_PASSWORD_MUST_CHANGE:
    case ERROR_ACCOUNT_LOCKED_OUT:
        return EPIO_EACCES;
    case ERROR_PRIVILEGE_NOT_HELD:
        return EPIO_EPERM;
    case ERROR_DIRECTORY:
        return EPIO_ENOTDIR;
    case ERROR_DIRECTORY_NOT_SUPPORTED:
        return EPIO_EISDIR;
    case ERROR_CANT_RESOLVE_FILENAME:
    case ERROR_STOPPED_ON_SYMLINK:
        return EPIO_ELOOP;
    case ERROR_FILENAME_EXCED_RANGE:
    case ERROR_BUFFER_OVERFLOW:
        return EPIO_ENAMETOOLONG;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case ERROR_DISK_QUOTA_EXCEEDED:
        return EPIO_ENOSPC;
    case ERROR_FILE_TOO_LARGE:
    case ERROR_FILE_SYSTEM_LIMITATION:
        return EPIO_EFBIG;
    case ERROR_TOO_MANY_OPEN_FILES:
        return EPIO_EMFILE;
    case ERROR_INVALID_HANDLE:
    case ERROR_INVALID_ACCESS:
        return EPIO_EBADF;
    case ERROR_LOCK_VIOLATION:
    case ERROR_LOCK_FAILED:
    case ERROR_BUSY:
    case ERROR_PIPE_BUSY:
    case ERROR_DRIVE_LOCKED:
    case ERROR_LOCKED:
    case ERROR_CURRENT_DIRECTORY:
        return EPIO_EBUSY;
    case ERROR_SHARING_VIOLATION:
    case ERROR_USER_MAPPED_FILE:
    /* ReplaceFileW: mostly because the file is open elsewhere. */
    case ERROR_UNABLE_TO_REMOVE_REPLACED:
    case ERROR_UNABLE_TO_MOVE_REPLACEMENT:
    case ERROR_UNABLE_TO_MOVE_REPLACEMENT_2:
        return EPIO_ESHARING;
    case ERROR_POSSIBLE_DEADLOCK:
        return EPIO_EDEADLK;
    case ERROR_BROKEN_PIPE:
    case ERROR_NO_DATA:
    case ERROR_PIPE_NOT_CONNECTED:
        return EPIO_EPIPE;
    case ERROR_SEEK_ON_DEVICE:
        return EPIO_ESPIPE;
    case ERROR_WRITE_PROTECT:
        return EPIO_EROFS;
    case ERROR_NOT_SAME_DEVICE:
        return EPIO_EXDEV;
    case ERROR_DIR_NOT_EMPTY:
        return EPIO_ENOTEMPTY;
    case ERROR_INSUFFICIENT_BUFFER:
    case ERROR_MORE_DATA:
        return EPIO_ERANGE;
    case ERROR_NOT_SUPPORTED:
    case ERROR_CALL_NOT_IMPLEMENTED:
    case ERROR_INVALID_FUNCTION:
        return EPIO_ENOTSUP;
    case ERROR_NOT_READY:
    case ERROR_DEV_NOT_EXIST:
    case ERROR_DEVICE_NOT_CONNECTED:
    case ERROR_NO_SUCH_DEVICE:
    case ERROR_NO_MEDIA_IN_DRIVE:
    case ERROR_DEVICE_REMOVED:
    case ERROR_FILE_INVALID: /* the volume was exchanged */
        return EPIO_ENODEV;
    default:
        return meaning_of_cloud_error(os_error);
    }
}

int64_t epio__op_fail_with(epio_op *op, DWORD error)
{
    op->os_error = (int32_t)error;
    return epio__error_from_os((int32_t)error);
}

int64_t epio__op_fail(epio_op *op)
{
    return epio__op_fail_with(op, GetLastError());
}

/* Indexed by -EPIO_E.... */
static const int32_t usual_errors[] = {
    [-EPIO_EPENDING] = ERROR_IO_PENDING,
    [-EPIO_EINVAL] = ERROR_INVALID_PARAMETER,
    [-EPIO_ECANCELED] = ERROR_OPERATION_ABORTED,
    [-EPIO_ETIMEDOUT] = ERROR_TIMEOUT,
    [-EPIO_ENOMEM] = ERROR_NOT_ENOUGH_MEMORY,
    [-EPIO_EIO] = ERROR_IO_DEVICE,
    [-EPIO_ENOENT] = ERROR_FILE_NOT_FOUND,
    [-EPIO_EEXIST] = ERROR_FILE_EXISTS,
    [-EPIO_EACCES] = ERROR_ACCESS_DENIED,
    [-EPIO_EPERM] = ERROR_PRIVILEGE_NOT_HELD,
    [-EPIO_EISDIR] = ERROR_DIRECTORY_NOT_SUPPORTED,
    [-EPIO_ENOTDIR] = ERROR_DIRECTORY,
    [-EPIO_ELOOP] = ERROR_CANT_RESOLVE_FILENAME,
    [-EPIO_ENAMETOOLONG] = ERROR_FILENAME_EXCED_RANGE,
    [-EPIO_ENOSPC] = ERROR_DISK_FULL,
    [-EPIO_EFBIG] = ERROR_FILE_TOO_LARGE,
    [-EPIO_EMFILE] = ERROR_TOO_MANY_OPEN_FILES,
    [-EPIO_EBADF] = ERROR_INVALID_HANDLE,
    [-EPIO_EBUSY] = ERROR_LOCK_VIOLATION,
    [-EPIO_ESHARING] = ERROR_SHARING_VIOLATION,
    [-EPIO_EDEADLK] = ERROR_POSSIBLE_DEADLOCK,
    [-EPIO_EPIPE] = ERROR_BROKEN_PIPE,
    [-EPIO_ESPIPE] = ERROR_SEEK_ON_DEVICE,
    [-EPIO_EROFS] = ERROR_WRITE_PROTECT,
    [-EPIO_EXDEV] = ERROR_NOT_SAME_DEVICE,
    [-EPIO_ENOTEMPTY] = ERROR_DIR_NOT_EMPTY,
    [-EPIO_ERANGE] = ERROR_INSUFFICIENT_BUFFER,
    [-EPIO_ENOTSUP] = ERROR_NOT_SUPPORTED,
    [-EPIO_ENODEV] = ERROR_DEV_NOT_EXIST,
    [-EPIO_ECLOSED] = ERROR_OPERATION_ABORTED,
    [-EPIO_ENODATA] = ERROR_FILE_NOT_FOUND,
    [-EPIO_EUNKNOWN] = ERROR_IO_DEVICE,
    [-EPIO_ESQL] = ERROR_BAD_ARGUMENTS,
    [-EPIO_ECORRUPT] = ERROR_FILE_CORRUPT,
    [-EPIO_ECHANGED] = ERROR_FILE_INVALID,
};

int32_t epio__error_to_os(int error)
{
    return usual_errors[-error];
}
