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

/* statfs(2) and the kernel's magic.h. */
static const uint32_t remote_types[] = {
    0x6969,     /* NFS */
    0x517B,     /* SMB */
    0xFF534D42, /* CIFS */
    0xFE534D42, /* SMB2 */
    0x65735546, /* FUSE, which may be anything */
    0x01021997, /* 9P */
    0x00C36400, /* Ceph */
    0x5346414F, /* AFS */
    0x6B414653, /* AFS of the kernel */
    0x73757245, /* Coda */
    0x7461636F, /* OCFS2 */
    0x01161970, /* GFS2 */
    0x0BD00BD0, /* Lustre */
    0x786F4256, /* a directory of VirtualBox's host */
    0x0187,     /* autofs */
};

/* A type in neither list counts as local for locks, but is not relied on. */
static const uint32_t local_types[] = {
    0xEF53,     /* ext2, ext3, ext4 */
    0x58465342, /* XFS */
    0x9123683E, /* Btrfs */
    0x794C7630, /* overlayfs */
    0xF2F52010, /* F2FS */
    0x2FC12FC1, /* ZFS */
    0xCA451A4E, /* bcachefs */
    0x3153464A, /* JFS */
    0x52654973, /* ReiserFS */
    0x3434,     /* NILFS */
    0x4D44,     /* FAT */
    0x2011BAB0, /* exFAT */
    0x7366746E, /* NTFS */
};

/* Local too. Pages of tmpfs may be swapped out, as any memory. */
static const uint32_t memory_types[] = {
    0x01021994, /* tmpfs */
    0x858458F6, /* ramfs */
    0x958458F6, /* hugetlbfs */
};

static bool is_among(uint32_t type, const uint32_t *types, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (types[i] == type) {
            return true;
        }
    }
    return false;
}

static epio__medium ask(int descriptor)
{
    struct statfs status;
    if (fstatfs(descriptor, &status) != 0) {
        return EPIO__MEDIUM_REMOTE; /* a program that does not answer; disks do not fail here */
    }
    uint32_t type = (uint32_t)status.f_type;
    if (is_among(type, remote_types, sizeof remote_types / sizeof remote_types[0])) {
        return EPIO__MEDIUM_REMOTE;
    }
    if (is_among(type, memory_types, sizeof memory_types / sizeof memory_types[0])) {
        return EPIO__MEDIUM_MEMORY;
    }
    return is_among(type, local_types, sizeof local_types / sizeof local_types[0])
               ? EPIO__MEDIUM_LOCAL
               : EPIO__MEDIUM_UNKNOWN;
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
