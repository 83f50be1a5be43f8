/* Small trees in which one name, d/x, is what a test asks for, with the permissions and the owner
 * that it asks for; made by plain system calls, so that what a verb does to one can be compared
 * with what the system does to its twin. The process may act as another user meanwhile. */
#ifndef EPIO_TEST_SCENE_H
#define EPIO_TEST_SCENE_H

#include "support.h"

#include <sys/types.h>

typedef enum node_type {
    A_FILE,
    A_DIRECTORY,
    A_FULL_DIRECTORY,
    A_LINK,              /* to t, a file */
    A_LINK_TO_DIRECTORY, /* to td, which has one file */
    A_DANGLING_LINK,
    A_LOOP, /* a link to itself */
    A_FIFO,
    A_SOCKET,
    A_CHARACTER_DEVICE,
    A_BLOCK_DEVICE, /* that is not there */
    NOTHING,
    NODE_TYPES
} node_type;

extern const char *const node_names[NODE_TYPES];

/* Permissions of d and of d/x; each is the acting user's, or another's. */
typedef struct permission {
    const char *name;
    mode_t parent;
    mode_t mode;
    bool parent_is_ours;
    bool is_ours;
} permission;

/* Can the process act as other users? */
bool scene_is_privileged(void);

/* Can it make this? Devices take privileges, and this test to know their numbers. */
bool scene_can_make(node_type type, const permission *one);

/* Makes all in the directory `at`, which is new: beside d/x the files d/other and t, the
 * directories d/od and td, and links. Made as the process's user for `user`. */
void scene_make(const char *at, node_type type, const permission *one, uid_t user);

/* Removes it, whatever its permissions are by now. */
void scene_remove(const char *at);

/* What there is by names: types, permissions, owners, links, contents' lengths. Random names are
 * all alike. */
void scene_describe(const char *at, char *text, size_t len);

/* From now on with the rights of this user (effectively), where the process is privileged. */
void scene_act_as(uid_t user);

#endif
