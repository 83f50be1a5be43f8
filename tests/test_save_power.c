/* Saves at whose every moment the power fails: of what was not synced any part is on the disk, of
 * changes of names any that follow the last durable one. The file is the old or the new one all the
 * same; once a save has ended, the new one. And the next save removes what is left. Also without
 * loops: EPIO_TEST_WITHOUT_LOOP, EPIO_TEST_ONCE. */
#include "support.h"

#include <epio/layer.h>

#define SECTOR 512u
#define NAMES 8
#define INODES 64
#define RECORDS 1024
#define LARGEST 8192u

/* ---- What is recorded ----------------------------------------------------- */

typedef enum record_kind { WROTE, CUT, SYNCED, NAMED, DIRECTORY_SYNCED, SAVED } record_kind;

typedef struct record {
    record_kind kind;
    uint32_t inode;
    uint64_t offset; /* of a write; the length of a cut; the number of a save */
    size_t len;
    unsigned char *bytes;
    int name;       /* leads to the inode, 0: to nothing */
    int other_name; /* leads to nothing any more; -1: none */
} record;

typedef struct model {
    char names[NAMES][64];
    int name_count;
    uint32_t at[NAMES]; /* the inode of each, 0: none */
    uint32_t inodes;
    record records[RECORDS];
    size_t count;
} model;

typedef struct file_state {
    uint32_t inode;
} file_state;

static int name_of(model *disk, const char *path)
{
    const char *name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    for (int i = 0; i < disk->name_count; i++) {
        if (strcmp(disk->names[i], name) == 0) {
            return i;
        }
    }
    check(disk->name_count < NAMES && strlen(name) < sizeof disk->names[0]);
    (void)snprintf(disk->names[disk->name_count], sizeof disk->names[0], "%s", name);
    return disk->name_count++;
}

static record *add(model *disk, record_kind kind, uint32_t inode)
{
    check(disk->count < RECORDS);
    record *one = &disk->records[disk->count++];
    *one = (record){.kind = kind, .inode = inode, .name = -1, .other_name = -1};
    return one;
}

static void add_name(model *disk, int name, uint32_t inode, int other)
{
    record *one = add(disk, NAMED, inode);
    one->name = name;
    one->other_name = other;
    disk->at[name] = inode;
    if (other >= 0) {
        disk->at[other] = 0;
    }
}

static void add_bytes(model *disk, uint32_t inode, const void *bytes, size_t len, uint64_t offset)
{
    record *one = add(disk, WROTE, inode);
    one->offset = offset;
    one->len = len;
    one->bytes = malloc(len + 1);
    check(one->bytes != NULL && bytes != NULL);
    if (one->bytes != NULL && bytes != NULL) {
        memcpy(one->bytes, bytes, len);
    }
}

static void add_write(model *disk, const epio_op *op, uint32_t inode)
{
    uint64_t offset = op->arguments.io.offset;
    const epio_iovec *parts = op->arguments.io.base;
    if (op->kind == EPIO_KIND_WRITE) {
        add_bytes(disk, inode, op->arguments.io.base, (size_t)op->arguments.io.len, offset);
        return;
    }
    for (uint64_t i = 0; i < op->arguments.io.len; i++) {
        add_bytes(disk, inode, parts[i].base, parts[i].len, offset);
        offset += parts[i].len;
    }
}

static void add_open(model *disk, epio_op *op)
{
    int name = name_of(disk, op->arguments.path.path);
    if (disk->at[name] == 0 && (op->flags & EPIO_OPEN_CREATE) != 0) {
        check(disk->inodes + 1 < INODES);
        add_name(disk, name, ++disk->inodes, -1);
    }
    file_state *file = epio_layer_file_state(op->file);
    file->inode = disk->at[name];
}

static void add_rename(model *disk, const epio_op *op)
{
    int from = name_of(disk, op->arguments.path.path);
    int to = name_of(disk, op->arguments.path.to);
    if (disk->at[from] != disk->at[to]) { /* else the system does nothing */
        add_name(disk, to, disk->at[from], from);
    }
    if ((op->flags & EPIO_RENAME_SYNC_DIR) != 0) {
        (void)add(disk, DIRECTORY_SYNCED, 0);
    }
}

static void after(void *user, epio_op *op, void *state)
{
    model *disk = user;
    (void)state;
    if (op->result < 0) {
        return;
    }
    uint32_t inode = 0;
    if (op->file != NULL && op->kind != EPIO_KIND_CLOSE) {
        const file_state *file = epio_layer_file_state(op->file);
        inode = file != NULL ? file->inode : 0;
    }
    switch (op->kind) {
    case EPIO_KIND_OPEN:
        add_open(disk, op);
        break;
    case EPIO_KIND_WRITE:
    case EPIO_KIND_WRITEV:
        add_write(disk, op, inode);
        break;
    case EPIO_KIND_TRUNCATE:
        add(disk, CUT, inode)->offset = op->arguments.io.offset;
        break;
    case EPIO_KIND_SYNC:
        (void)add(disk, SYNCED, inode);
        break;
    case EPIO_KIND_LINK_FILE:
        add_name(disk, name_of(disk, op->arguments.path.to),
                 disk->at[name_of(disk, op->arguments.path.path)], -1);
        break;
    case EPIO_KIND_RENAME:
        add_rename(disk, op);
        break;
    case EPIO_KIND_DELETE:
        add_name(disk, name_of(disk, op->arguments.path.path), 0, -1);
        break;
    default:
        break;
    }
}

static const epio_layer_methods methods = {.size = sizeof(epio_layer_methods),
                                           .name = "power",
                                           .file_state = sizeof(file_state),
                                           .after = after};

/* ---- After the failure ---------------------------------------------------------- */

typedef struct remains {
    unsigned char bytes[INODES][LARGEST];
    size_t len[INODES];
    uint32_t at[NAMES];
    uint64_t saved; /* the last save that had ended */
} remains;

static bool coin(random_source *random)
{
    return random_between(random, 0, 2) == 0;
}

static void set_len(remains *left, uint32_t inode, size_t len)
{
    check(len <= LARGEST);
    if (len > left->len[inode]) {
        memset(left->bytes[inode] + left->len[inode], 0, len - left->len[inode]);
    }
    left->len[inode] = len;
}

static void apply_write(remains *left, const record *one, bool synced, random_source *random)
{
    for (size_t at = 0; at < one->len; at += SECTOR) {
        size_t len = one->len - at < SECTOR ? one->len - at : SECTOR;
        size_t end = (size_t)one->offset + at + len;
        if (synced || coin(random)) {
            set_len(left, one->inode, end > left->len[one->inode] ? end : left->len[one->inode]);
            memcpy(left->bytes[one->inode] + one->offset + at, one->bytes + at, len);
        }
    }
}

static void apply_name(remains *left, const record *one)
{
    left->at[one->name] = one->inode;
    if (one->other_name >= 0) {
        left->at[one->other_name] = 0;
    }
}

/* `in_order`: names as a journal keeps them. */
static void build(const model *disk, size_t count, bool in_order, random_source *random,
                  remains *left)
{
    size_t synced[INODES] = {0};
    size_t names = 0;
    bool lost = false;
    memset(left, 0, sizeof *left);
    for (size_t i = 0; i < count; i++) {
        const record *one = &disk->records[i];
        synced[one->inode] = one->kind == SYNCED ? i : synced[one->inode];
        names = one->kind == DIRECTORY_SYNCED ? i : names;
        left->saved = one->kind == SAVED ? one->offset : left->saved;
    }
    for (size_t i = 0; i < count; i++) {
        const record *one = &disk->records[i];
        if (one->kind == NAMED) {
            bool kept = i < names || (!lost && coin(random));
            lost = lost || (!kept && in_order);
            if (kept) {
                apply_name(left, one);
            }
        } else if (one->kind == WROTE) {
            apply_write(left, one, i < synced[one->inode], random);
        } else if (one->kind == CUT && (i < synced[one->inode] || coin(random))) {
            set_len(left, one->inode, (size_t)one->offset);
        }
    }
}

/* ---- Saves ----------------------------------------------------------------------- */

static size_t make_bytes(unsigned char *bytes, uint64_t save)
{
    size_t len = 1500 + (size_t)(save * 997 % 4000);
    memset(bytes, (int)('A' + save), len);
    return len;
}

/* Which save's bytes these are; 0: none's. */
static uint64_t save_of(const unsigned char *bytes, size_t len)
{
    unsigned char wanted[LARGEST];
    for (uint64_t save = 1; save < 20; save++) {
        if (make_bytes(wanted, save) == len && memcmp(bytes, wanted, len) == 0) {
            return save;
        }
    }
    return 0;
}

static void save_one(epio_vfs *vfs, uint64_t save, uint32_t flags)
{
    unsigned char bytes[LARGEST];
    epio_op op = EPIO_OP_INIT;
    epio_save_options options = {.size = sizeof options, .flags = flags};
    size_t len = make_bytes(bytes, save);
    epio_iovec parts[2] = {{bytes, 700}, {bytes + 700, len - 700}};
    check_result(epio_perform(epio_savev(&op, vfs, "/file", parts, 2, &options)), 0);
}

static void put_remains(const model *disk, const remains *left, epio_vfs *vfs)
{
    for (int i = 0; i < disk->name_count; i++) {
        char path[80];
        epio_op op = EPIO_OP_INIT;
        uint32_t inode = left->at[i];
        (void)snprintf(path, sizeof path, "/%s", disk->names[i]);
        if (inode != 0) {
            check_result(
                epio_perform(epio_open(&op, vfs, path, EPIO_OPEN_WRITE | EPIO_OPEN_CREATE)), 0);
            epio_file *file = op.file;
            check_result(
                epio_perform(epio_write(&op, file, left->bytes[inode], left->len[inode], 0)),
                left->len[inode]);
            check_result(epio_perform(epio_close(&op, file)), 0);
        }
    }
}

static int count_names(epio_vfs *vfs)
{
    uint64_t buffer[512];
    epio_op op = EPIO_OP_INIT;
    const epio_entry *entry = NULL;
    int count = 0;
    check_result(epio_perform(epio_open(&op, vfs, "/", EPIO_OPEN_READ | EPIO_OPEN_DIRECTORY)), 0);
    epio_file *directory = op.file;
    int64_t len = epio_perform(epio_list(&op, directory, buffer, sizeof buffer, 0));
    while ((entry = epio_entry_next(buffer, (size_t)len, entry)) != NULL) {
        count++;
    }
    check_result(epio_perform(epio_close(&op, directory)), 0);
    return count;
}

static void check_remains(model *disk, const remains *left, uint64_t begun, uint32_t flags)
{
    uint32_t inode = left->at[name_of(disk, "/file")];
    uint64_t found = inode != 0 ? save_of(left->bytes[inode], left->len[inode]) : 0;
    check(found != 0 || (inode == 0 && left->saved == 0));
    check(found >= left->saved && found <= begun);
    inode = (flags & EPIO_SAVE_BACKUP) != 0 ? left->at[name_of(disk, "/file~")] : 0;
    check(inode == 0 || save_of(left->bytes[inode], left->len[inode]) != 0);

    epio_vfs *vfs;
    check_result(epio_memory_vfs_create(&vfs, NULL), 0);
    put_remains(disk, left, vfs);
    save_one(vfs, 19, flags);
    check(count_names(vfs) <= ((flags & EPIO_SAVE_BACKUP) != 0 ? 2 : 1));
    epio_vfs_destroy(vfs);
}

static void fail_everywhere(uint32_t flags)
{
    static model disk;
    static remains left;
    enum { SAVES = 4 };
    random_source random = {0xB1AC + flags};
    epio_vfs *memory;
    epio_vfs *vfs;
    uint64_t begun = 0;
    memset(&disk, 0, sizeof disk);
    check_result(epio_memory_vfs_create(&memory, NULL), 0);
    check_result(epio_layer_vfs_create(&vfs, memory, &methods, &disk), 0);
    for (uint64_t save = 1; save <= SAVES; save++) {
        save_one(vfs, save, flags);
        add(&disk, SAVED, 0)->offset = save;
    }
    for (size_t count = 0; count <= disk.count; count++) {
        begun = 1;
        for (size_t i = 0; i < count; i++) {
            begun = disk.records[i].kind == SAVED ? disk.records[i].offset + 1 : begun;
        }
        for (unsigned i = 0; i < fixture_rounds(40); i++) {
            build(&disk, count, i % 2 == 0, &random, &left);
            check_remains(&disk, &left, begun, flags);
        }
    }
    epio_vfs_destroy(vfs);
    epio_vfs_destroy(memory);
    for (size_t i = 0; i < disk.count; i++) {
        free(disk.records[i].bytes);
    }
}

static void the_power_fails(fixture *f)
{
    (void)f;
    fail_everywhere(0);
}

static void the_power_fails_beside_a_backup(fixture *f)
{
    (void)f;
    fail_everywhere(EPIO_SAVE_BACKUP);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(the_power_fails, ON_MEMORY_PERFORM),
        FIXTURE_TEST(the_power_fails_beside_a_backup, ON_MEMORY_PERFORM),
    };
    return FIXTURE_RUN("save_power", tests);
}
