/* Which medium a file is on: this machine, or a server or a program that may be slow to answer.
 * Determined once, after the open, so that no later call has to ask a dead mount. */
#include "atomics.h"
#include "posix/posix.h"

#if defined(__linux__)
#include <sys/vfs.h>
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__)
#include <sys/param.h>

#include <sys/mount.h> /* needs the header above */
#endif

#if defined(__linux__)

/* statfs(2) and the kernel's magic.h. A type in none of these counts as local for locks, but is not
 * relied on. FUSE may be anything. Pages of tmpfs may be swapped out, as any memory. */
static const struct {
    uint32_t type;
    epio__medium medium;
    const char *name;
} types[] = {
    {0x6969, EPIO__MEDIUM_REMOTE, "nfs"},
    {0x517B, EPIO__MEDIUM_REMOTE, "smb"},
    {0xFF534D42, EPIO__MEDIUM_REMOTE, "cifs"},
    {0xFE534D42, EPIO__MEDIUM_REMOTE, "smb2"},
    {0x65735546, EPIO__MEDIUM_REMOTE, "fuse"},
    {0x01021997, EPIO__MEDIUM_REMOTE, "9p"},
    {0x00C36400, EPIO__MEDIUM_REMOTE, "ceph"},
    {0x5346414F, EPIO__MEDIUM_REMOTE, "afs"},
    {0x6B414653, EPIO__MEDIUM_REMOTE, "afs"}, /* of the kernel */
    {0x73757245, EPIO__MEDIUM_REMOTE, "coda"},
    {0x7461636F, EPIO__MEDIUM_REMOTE, "ocfs2"},
    {0x01161970, EPIO__MEDIUM_REMOTE, "gfs2"},
    {0x0BD00BD0, EPIO__MEDIUM_REMOTE, "lustre"},
    {0x786F4256, EPIO__MEDIUM_REMOTE, "vboxsf"}, /* a directory of VirtualBox's host */
    {0x0187, EPIO__MEDIUM_REMOTE, "autofs"},
    {0xEF53, EPIO__MEDIUM_LOCAL, "ext4"}, /* or ext2, ext3 */
    {0x58465342, EPIO__MEDIUM_LOCAL, "xfs"},
    {0x9123683E, EPIO__MEDIUM_LOCAL, "btrfs"},
    {0x794C7630, EPIO__MEDIUM_LOCAL, "overlayfs"},
    {0xF2F52010, EPIO__MEDIUM_LOCAL, "f2fs"},
    {0x2FC12FC1, EPIO__MEDIUM_LOCAL, "zfs"},
    {0xCA451A4E, EPIO__MEDIUM_LOCAL, "bcachefs"},
    {0x3153464A, EPIO__MEDIUM_LOCAL, "jfs"},
    {0x52654973, EPIO__MEDIUM_LOCAL, "reiserfs"},
    {0x3434, EPIO__MEDIUM_LOCAL, "nilfs"},
    {0x4D44, EPIO__MEDIUM_LOCAL, "vfat"},
    {0x2011BAB0, EPIO__MEDIUM_LOCAL, "exfat"},
    {0x7366746E, EPIO__MEDIUM_LOCAL, "ntfs"},
    {0x01021994, EPIO__MEDIUM_MEMORY, "tmpfs"},
    {0x858458F6, EPIO__MEDIUM_MEMORY, "ramfs"},
    {0x958458F6, EPIO__MEDIUM_MEMORY, "hugetlbfs"},
};

const char *epio__medium_of_type(uint32_t type, epio__medium *medium)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].type == type) {
            *medium = types[i].medium;
            return types[i].name;
        }
    }
    *medium = EPIO__MEDIUM_UNKNOWN;
    return "";
}

static epio__medium ask(int descriptor)
{
    struct statfs status;
    if (fstatfs(descriptor, &status) != 0) {
        return EPIO__MEDIUM_REMOTE; /* a program that does not answer; disks do not fail here */
    }
    epio__medium medium;
    (void)epio__medium_of_type((uint32_t)status.f_type, &medium);
    return medium;
}

#else

static epio__medium ask(int descriptor)
{
#if defined(MNT_LOCAL)
    struct statfs status;
    if (fstatfs(descriptor, &status) != 0) {
        return EPIO__MEDIUM_UNKNOWN;
    }
    return (status.f_flags & MNT_LOCAL) != 0 ? EPIO__MEDIUM_LOCAL : EPIO__MEDIUM_REMOTE;
#else
    (void)descriptor; /* no portable way to ask */
    return EPIO__MEDIUM_UNKNOWN;
#endif
}

#endif

/* A server answers statfs by a message, too slow for each open: so the last few remote devices
 * are remembered. If a number is reused for another file system, that one is only slower. */
#define REMEMBERED 8

static uintptr_t remote_devices[REMEMBERED];

static bool is_remembered(uint64_t device)
{
    for (size_t i = 0; i < REMEMBERED; i++) {
        if (epio__load_relaxed_pointer(&remote_devices[i]) == device) {
            return true;
        }
    }
    return false;
}

epio__medium epio__medium_of(int descriptor, uint64_t device)
{
    static size_t next;
    if (device != 0 && is_remembered(device)) {
        return EPIO__MEDIUM_REMOTE;
    }
    epio__medium medium = ask(descriptor);
    if (medium == EPIO__MEDIUM_REMOTE && device <= UINTPTR_MAX) {
        size_t slot = epio__add_size(&next, 1) % REMEMBERED;
        epio__store_relaxed_pointer(&remote_devices[slot], (uintptr_t)device);
    }
    return medium;
}
