/* See disk_model.h. */
#include "disk_model.h"

#include <epio/layer.h>

#define FILES 16
#define SECTOR 512u
#define WAITING 2048

typedef struct record {
    uint32_t kind; /* WRITE, TRUNCATE, SYNC, DELETE */
    uint32_t file;
    uint64_t offset;
    uint64_t len;
    uint64_t mark;
    unsigned char *bytes;
} record;

typedef struct model_file {
    char suffix[32]; /* of its name, behind the prefix */
    uint32_t in_flight;
} model_file;

typedef struct image {
    unsigned char *bytes;
    size_t len;
    size_t room;
    bool exists;
} image;

struct disk_model {
    const char *prefix;
    uint64_t write_delay;
    uint64_t other_delay;
    bool records;
    uint64_t mark;
    record *list;
    size_t count;
    size_t room;
    model_file files[FILES];
    uint32_t file_count;
    uint32_t in_flight;
    uint32_t most_in_flight;
    uint32_t early_syncs;
    uint64_t counts[EPIO_KIND_COUNT];
    image images[FILES];             /* while they are built */
    const epio_op *waiting[WAITING]; /* submitted ops that are sent again when the time has come */
};

/* A file's number, and 0 for those of no interest. */
typedef struct file_state {
    uint32_t number;
} file_state;

/* ---- Recording ------------------------------------------------------------ */

static void *allocate(void *memory, size_t size)
{
    void *made = realloc(memory, size > 0 ? size : 1);
    if (made == NULL) {
        print_error("disk_model: out of memory\n");
        abort();
    }
    return made;
}

/* From 1 on. */
static uint32_t number_of(disk_model *disk, const char *path)
{
    size_t len = strlen(disk->prefix);
    if (path == NULL || strncmp(path, disk->prefix, len) != 0 || strstr(path, "-shm") != NULL) {
        return 0;
    }
    for (uint32_t i = 0; i < disk->file_count; i++) {
        if (strcmp(disk->files[i].suffix, path + len) == 0) {
            return i + 1;
        }
    }
    check(disk->file_count < FILES && strlen(path + len) < sizeof disk->files[0].suffix);
    (void)snprintf(disk->files[disk->file_count].suffix, sizeof disk->files[0].suffix, "%s",
                   path + len);
    return ++disk->file_count;
}

static bool is_write(const epio_op *op)
{
    return op->kind == EPIO_KIND_WRITE || op->kind == EPIO_KIND_WRITEV;
}

/* The bytes of a write, in one piece. */
static unsigned char *gather(const epio_op *op)
{
    unsigned char *bytes = allocate(NULL, (size_t)epio_op_bytes(op) + 1);
    if (op->kind == EPIO_KIND_WRITE) {
        memcpy(bytes, op->arguments.io.base, (size_t)op->arguments.io.len);
        return bytes;
    }
    const epio_iovec *parts = op->arguments.io.base;
    size_t at = 0;
    for (size_t i = 0; i < op->arguments.io.len; i++) {
        memcpy(bytes + at, parts[i].base, parts[i].len);
        at += parts[i].len;
    }
    return bytes;
}

static void add(disk_model *disk, uint32_t kind, uint32_t file, const epio_op *op)
{
    if (!disk->records) {
        return;
    }
    if (disk->count == disk->room) {
        disk->room = disk->room == 0 ? 256 : disk->room * 2;
        disk->list = allocate(disk->list, disk->room * sizeof *disk->list);
    }
    record *one = &disk->list[disk->count++];
    *one = (record){.kind = kind, .file = file, .mark = disk->mark};
    if (kind == EPIO_KIND_TRUNCATE || kind == EPIO_KIND_WRITE) {
        one->offset = op->arguments.io.offset;
    }
    if (kind == EPIO_KIND_WRITE) {
        one->len = epio_op_bytes(op);
        one->bytes = gather(op);
    }
}

static uint64_t delay_of(const disk_model *disk, const epio_op *op)
{
    return is_write(op)                                               ? disk->write_delay
           : op->kind == EPIO_KIND_READ || op->kind == EPIO_KIND_SYNC ? disk->other_delay
                                                                      : 0;
}

/* True: it was sent again by the time that it takes. */
static bool has_waited(disk_model *disk, epio_op *op)
{
    size_t free_place = WAITING;
    for (size_t i = 0; i < WAITING; i++) {
        if (disk->waiting[i] == op) {
            disk->waiting[i] = NULL;
            return true;
        }
        if (disk->waiting[i] == NULL && free_place == WAITING) {
            free_place = i;
        }
    }
    check(free_place < WAITING);
    disk->waiting[free_place] = op;
    return false;
}

static void began(disk_model *disk, const epio_op *op, uint32_t number)
{
    model_file *file = &disk->files[number - 1];
    disk->counts[is_write(op) ? EPIO_KIND_WRITE : op->kind]++;
    if (op->kind == EPIO_KIND_SYNC && file->in_flight > 0) {
        disk->early_syncs++;
    }
    if (is_write(op)) {
        file->in_flight++;
        if (++disk->in_flight > disk->most_in_flight) {
            disk->most_in_flight = disk->in_flight;
        }
        add(disk, EPIO_KIND_WRITE, number, op);
    } else if (op->kind == EPIO_KIND_TRUNCATE) {
        add(disk, EPIO_KIND_TRUNCATE, number, op);
    }
}

static uint32_t file_of(const epio_op *op)
{
    return op->file != NULL ? ((file_state *)epio_layer_file_state(op->file))->number : 0;
}

static int before(void *user, epio_op *op, void *state)
{
    disk_model *disk = user;
    (void)state;
    if (op->kind == EPIO_KIND_OPEN) {
        return 0;
    }
    uint32_t number = file_of(op);
    if (number == 0) {
        return 0;
    }
    uint64_t delay = delay_of(disk, op);
    bool again = delay > 0 && epio_op_in_flight(op) && has_waited(disk, op);
    if (!again) {
        began(disk, op, number);
    }
    if (delay > 0 && !epio_op_in_flight(op)) {
        epio_op sleep = EPIO_OP_INIT;
        (void)epio_perform(epio_sleep(&sleep, epio_os_vfs(), delay));
    } else if (delay > 0 && !again) {
        op->due = epio_clock_monotonic() + delay;
        return EPIO_RETRY;
    }
    return 0;
}

static void after(void *user, epio_op *op, void *state)
{
    disk_model *disk = user;
    (void)state;
    if (op->kind == EPIO_KIND_OPEN && op->result == 0) {
        file_state *file = epio_layer_file_state(op->file);
        file->number = number_of(disk, op->arguments.path.path);
    } else if (op->kind == EPIO_KIND_DELETE && op->result == 0) {
        uint32_t number = number_of(disk, op->arguments.path.path);
        if (number != 0) {
            add(disk, EPIO_KIND_DELETE, number, op);
        }
    } else if (is_write(op) && file_of(op) != 0) {
        disk->files[file_of(op) - 1].in_flight--;
        disk->in_flight--;
    } else if (op->kind == EPIO_KIND_SYNC && op->result == 0 && file_of(op) != 0) {
        add(disk, EPIO_KIND_SYNC, file_of(op), op);
    }
}

static void destroy(void *user)
{
    disk_model *disk = user;
    for (size_t i = 0; i < disk->count; i++) {
        free(disk->list[i].bytes);
    }
    for (size_t i = 0; i < FILES; i++) {
        free(disk->images[i].bytes);
    }
    free(disk->list);
    free(disk);
}

static const epio_layer_methods methods = {.size = sizeof(epio_layer_methods),
                                           .name = "disk model",
                                           .file_state = sizeof(file_state),
                                           .before = before,
                                           .after = after,
                                           .destroy = destroy};

epio_vfs *disk_model_create(disk_model **made, epio_vfs *inner, const char *prefix)
{
    epio_vfs *vfs;
    disk_model *disk = allocate(NULL, sizeof *disk);
    memset(disk, 0, sizeof *disk);
    disk->prefix = prefix;
    check_result(epio_layer_vfs_create(&vfs, inner, &methods, disk), 0);
    *made = disk;
    return vfs;
}

void disk_set_delays(disk_model *disk, uint64_t writes_ns, uint64_t others_ns)
{
    disk->write_delay = writes_ns;
    disk->other_delay = others_ns;
}

void disk_record(disk_model *disk, bool records)
{
    disk->records = records;
}

void disk_mark(disk_model *disk, uint64_t mark)
{
    disk->mark = mark;
}

size_t disk_records(const disk_model *disk)
{
    return disk->count;
}

uint64_t disk_mark_at(const disk_model *disk, size_t records)
{
    return records > 0 ? disk->list[records - 1].mark : 0;
}

uint64_t disk_count(const disk_model *disk, uint32_t kind)
{
    return disk->counts[kind];
}

uint32_t disk_most_in_flight(const disk_model *disk)
{
    return disk->most_in_flight;
}

uint32_t disk_early_syncs(const disk_model *disk)
{
    return disk->early_syncs;
}

/* ---- Building -------------------------------------------------------------- */

static void set_len(image *one, size_t len)
{
    if (len > one->room) {
        one->room = len * 2;
        one->bytes = allocate(one->bytes, one->room);
    }
    if (len > one->len) {
        memset(one->bytes + one->len, 0, len - one->len);
    }
    one->len = len;
}

/* The power failed before it was synced: any of its sectors. */
static void apply_write(image *one, const record *from, random_source *random)
{
    uint64_t at = 0;
    while (at < from->len) {
        uint64_t len = SECTOR - (from->offset + at) % SECTOR;
        len = len > from->len - at ? from->len - at : len;
        uint64_t end = from->offset + at + len;
        if (random == NULL || random_between(random, 0, 1) == 0) {
            if (end > one->len) {
                set_len(one, (size_t)end);
            }
            memcpy(one->bytes + from->offset + at, from->bytes + at, (size_t)len);
        }
        at += len;
    }
}

static void apply(image *one, const record *from, random_source *random)
{
    switch (from->kind) {
    case EPIO_KIND_WRITE:
        one->exists = true;
        apply_write(one, from, random);
        break;
    case EPIO_KIND_TRUNCATE:
        if (random == NULL || random_between(random, 0, 1) == 0) {
            set_len(one, (size_t)from->offset);
        }
        break;
    case EPIO_KIND_DELETE:
        one->exists = false;
        one->len = 0;
        break;
    default:
        break;
    }
}

static void write_image(const image *one, epio_vfs *vfs, const char *prefix, const char *suffix)
{
    char path[1024];
    epio_op op = EPIO_OP_INIT;
    (void)snprintf(path, sizeof path, "%s%s", prefix, suffix);
    (void)epio_perform(epio_delete(&op, vfs, path, 0));
    if (!one->exists) {
        return;
    }
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE;
    check_result(epio_perform(epio_open(&op, vfs, path, flags)), 0);
    epio_file *file = op.file;
    check_result(epio_perform(epio_write(&op, file, one->bytes, one->len, 0)), (int64_t)one->len);
    check_result(epio_perform(epio_close(&op, file)), 0);
}

void disk_build(disk_model *disk, size_t records, random_source *random, epio_vfs *vfs)
{
    size_t synced[FILES] = {0};
    for (size_t i = 0; i < FILES; i++) {
        disk->images[i].len = 0;
        disk->images[i].exists = false;
    }
    for (size_t i = 0; i < records; i++) {
        if (disk->list[i].kind == EPIO_KIND_SYNC) {
            synced[disk->list[i].file - 1] = i;
        }
    }
    for (size_t i = 0; i < records; i++) {
        const record *one = &disk->list[i];
        apply(&disk->images[one->file - 1], one, i < synced[one->file - 1] ? NULL : random);
    }
    for (uint32_t i = 0; i < disk->file_count; i++) {
        write_image(&disk->images[i], vfs, disk->prefix, disk->files[i].suffix);
    }
    image none = {.exists = false};
    write_image(&none, vfs, disk->prefix, "-shm");
}
