/* A layer that transforms the bytes of every file: writes are xor-ed with a key, and reads with
 * the same key again. Not a cipher, but a real one has the same structure. The key goes by offset,
 * so ops whose bytes it cannot transform are refused: none passes as it is. A copy that is refused
 * is read and written. (A truncate that makes the file longer leaves the key in the gap; a real
 * cipher would write zeros there.)
 *
 *     xor_layer FILE    writes a line through the layer, reads it back, and once more without */
#include <epio/layer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of one part, which begins at this offset of the file. */
static void flip(const unsigned char *key, unsigned char *to, const unsigned char *from, size_t len,
                 uint64_t offset)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = (unsigned char)(from[i] ^ key[(offset + i) % 4]);
    }
}

/* The parts of a transfer: those of a vectored one, or `whole`. */
static const epio_iovec *parts_of(const epio_op *op, epio_iovec *whole, size_t *count)
{
    bool vectored = op->kind == EPIO_KIND_READV || op->kind == EPIO_KIND_WRITEV;
    *whole = (epio_iovec){op->arguments.io.base, (size_t)op->arguments.io.len};
    *count = vectored ? whole->len : 1;
    return vectored ? whole->base : whole;
}

/* False for what would read or write plain bytes. */
static bool is_carried(const epio_op *op)
{
    switch (op->kind) {
    case EPIO_KIND_OPEN: /* its writes would go to the end, wherever that is */
        return (op->flags & EPIO_OPEN_APPEND) == 0;
    case EPIO_KIND_ADOPT: /* a descriptor may have been opened to append */
    case EPIO_KIND_APPEND:
    case EPIO_KIND_ALLOCATE: /* zeros below are no zeros above */
    case EPIO_KIND_PUNCH_HOLE:
    case EPIO_KIND_ZERO_RANGE:
    case EPIO_KIND_MAP:       /* nothing is between a program and its memory */
    case EPIO_KIND_SEEK_DATA: /* so are holes */
    case EPIO_KIND_SEEK_HOLE:
    case EPIO_KIND_COPY_RANGE: /* the key goes by offset */
        return false;
    default:
        return op->kind < EPIO_KIND_COUNT; /* other kinds may move bytes */
    }
}

/* A write's bytes are the caller's: what is written is a copy, as one part. */
static int before(void *user, epio_op *op, void *state)
{
    epio_iovec *copy = state;
    epio_iovec whole;
    size_t count;
    if (!is_carried(op)) {
        return EPIO_ENOTSUP;
    }
    if (op->kind != EPIO_KIND_WRITE && op->kind != EPIO_KIND_WRITEV) {
        return 0;
    }
    const epio_iovec *parts = parts_of(op, &whole, &count);
    size_t done = 0;
    copy->len = (size_t)epio_op_bytes(op);
    copy->base = malloc(copy->len + 1);
    if (copy->base == NULL) {
        return EPIO_ENOMEM;
    }
    for (size_t i = 0; i < count; done += parts[i++].len) {
        flip(user, (unsigned char *)copy->base + done, parts[i].base, parts[i].len,
             op->arguments.io.offset + done);
    }
    op->arguments.io.base = parts == &whole ? copy->base : (void *)copy;
    op->arguments.io.len = parts == &whole ? copy->len : 1;
    return 0;
}

static void after(void *user, epio_op *op, void *state)
{
    epio_iovec whole;
    size_t count = 0;
    bool reads = op->kind == EPIO_KIND_READ || op->kind == EPIO_KIND_READV;
    const epio_iovec *parts = reads ? parts_of(op, &whole, &count) : NULL;
    uint64_t left = op->result > 0 ? (uint64_t)op->result : 0;
    uint64_t offset = op->arguments.io.offset;
    for (size_t i = 0; i < count && left > 0; i++) {
        size_t len = parts[i].len < left ? parts[i].len : (size_t)left;
        flip(user, parts[i].base, parts[i].base, len, offset);
        offset += len;
        left -= len;
    }
    free(((epio_iovec *)state)->base);
}

static const epio_layer_methods xor_methods = {
    .size = sizeof(epio_layer_methods),
    .name = "xor",
    .op_state = sizeof(epio_iovec),
    .before = before,
    .after = after,
};

/* Writes the line, unless it is NULL, and behind it a copy; prints what the file has. */
static int copy_through(epio_vfs *vfs, const char *path, const char *line, size_t len)
{
    epio_op op = EPIO_OP_INIT;
    char found[64] = {0};
    uint32_t flags = EPIO_OPEN_READ | EPIO_OPEN_WRITE | EPIO_OPEN_CREATE;
    int64_t result = epio_perform(epio_open(&op, vfs, path, flags));
    if (result != 0) {
        fprintf(stderr, "%s: %s\n", path, epio_error_message(result));
        return 1;
    }
    epio_file *file = op.file;
    result = line != NULL ? epio_perform(epio_write(&op, file, line, len, 0)) : 0;
    if (line != NULL && epio_perform(epio_append(&op, file, line, len)) == EPIO_ENOTSUP) {
        printf("through the layer no append\n");
    }
    if (line != NULL && epio_perform(epio_map(&op, file, 0, len, EPIO_MAP_READ)) == EPIO_ENOTSUP) {
        printf("through the layer no mapping\n");
    }
    if (result >= 0 && line != NULL) {
        result = epio_perform(epio_copy_range(&op, file, 0, file, len, len));
    }
    if (result >= 0) {
        result = epio_perform(epio_read(&op, file, found, sizeof found - 1, 0));
    }
    (void)epio_perform(epio_close(&op, file));
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", path, epio_error_message(result));
        return 1;
    }
    printf("%s the layer: %s\n", line != NULL ? "through" : "without", found);
    return 0;
}

int main(int argc, char **argv)
{
    static unsigned char key[4] = {0x15, 0x2a, 0x01, 0x33};
    static const char line[] = "the quick brown fox";
    epio_vfs *layer;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("usage: xor_layer FILE\n\n"
               "Writes a text to FILE through a layer that changes every byte, and reads it back "
               "both\n"
               "through the layer and without it. What is in FILE is replaced.\n");
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "usage: xor_layer FILE\n");
        return 2;
    }
    if (epio_layer_vfs_create(&layer, epio_os_vfs(), &xor_methods, key) != 0) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    int failed = copy_through(layer, argv[1], line, sizeof line - 1);
    epio_vfs_destroy(layer);
    return failed != 0 ? failed : copy_through(epio_os_vfs(), argv[1], NULL, 0);
}
