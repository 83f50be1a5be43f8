/* epio_load: a whole file into memory. */
#include "procedure/procedure.h"

#include <stdlib.h>
#include <string.h>

/* Of one read: progress and a cancel come between two. */
#define PIECE ((size_t)4 << 20)

/* What is read first of a file that does not say how long it is. */
#define FIRST_GUESS ((size_t)16 << 10)

typedef struct loading {
    epio_buffer *buffer;
    epio_load_options options;
    epio_file *file;
    epio_info info; /* before the first read */
    size_t wanted;  /* of a grow */
    bool grown;
} loading;

/* ---- Memory ---- */

static void grow(epio__procedure *procedure, void *argument)
{
    loading *one = argument;
    (void)procedure;
    one->grown =
        one->buffer->grow(one->buffer, one->wanted) && one->buffer->capacity >= one->wanted;
}

static bool grow_here(epio_buffer *buffer, size_t capacity)
{
    void *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

/* Room for so many bytes, of which the zero may be one. */
static int64_t reserve(epio__procedure *procedure, loading *one, size_t len)
{
    if (len <= one->buffer->capacity) {
        return 0;
    }
    one->wanted = len;
    one->grown = false;
    if (one->buffer->grow == NULL) {
        one->grown = grow_here(one->buffer, one->wanted);
    } else if (!epio__procedure_ask(procedure, grow, one)) {
        return epio__procedure_error(procedure);
    }
    return one->grown ? 0 : EPIO_ENOMEM;
}

void epio_buffer_free(epio_buffer *buffer)
{
    if (buffer == NULL) {
        return;
    }
    free(buffer->data);
    buffer->data = NULL;
    buffer->len = 0;
    buffer->capacity = 0;
}

/* ---- Reading ---- */

static uint64_t most_of(const loading *one)
{
    const uint64_t limit = SIZE_MAX / 2;
    return one->options.most != 0 && one->options.most < limit ? one->options.most : limit;
}

/* How many bytes the next read may bring: one more than allowed shows that there are too many. */
static size_t next_piece(const loading *one)
{
    uint64_t left = most_of(one) + 1 - one->buffer->len;
    uint64_t known = one->info.bytes > one->buffer->len ? one->info.bytes - one->buffer->len : 0;
    /* A byte beyond the known end finds it in the same read. */
    uint64_t piece = known != 0 ? known + 1 : FIRST_GUESS + one->buffer->len / 2;
    piece = piece < PIECE ? piece : PIECE;
    return (size_t)(piece < left ? piece : left);
}

static int64_t read_all(epio__procedure *procedure, loading *one, epio_op *op)
{
    epio_buffer *buffer = one->buffer;
    uint64_t first = one->info.bytes < most_of(one) ? one->info.bytes : most_of(one);
    int64_t result = reserve(procedure, one, (size_t)first + 1);
    while (result == 0) {
        size_t piece = next_piece(one);
        if ((result = reserve(procedure, one, buffer->len + piece)) < 0) {
            break;
        }
        char *at = (char *)buffer->data + buffer->len;
        result =
            epio__procedure_perform(procedure, epio_read(op, one->file, at, piece, buffer->len));
        if (result <= 0) {
            break;
        }
        buffer->len += (size_t)result;
        epio__procedure_count(procedure, (uint64_t)result, 0);
        bool is_end = (size_t)result < piece && one->info.type == EPIO_TYPE_FILE;
        result = buffer->len > most_of(one) ? EPIO_EFBIG : 0;
        if (is_end) {
            break;
        }
    }
    return result;
}

/* ---- The whole ---- */

static int64_t load_open_file(epio__procedure *procedure, loading *one, epio_op *op)
{
    one->info.size = sizeof one->info;
    int64_t result = epio__procedure_perform(procedure, epio_file_stat(op, one->file, &one->info));
    if (result < 0) {
        return result;
    }
    if (one->info.bytes > most_of(one) && one->info.type == EPIO_TYPE_FILE) {
        return EPIO_EFBIG;
    }
    one->info.bytes = one->info.type == EPIO_TYPE_FILE ? one->info.bytes : 0;
    epio__procedure_expect(procedure, one->info.bytes, 1);
    return read_all(procedure, one, op);
}

static void describe(const loading *one, int64_t result)
{
    if (one->options.loaded != NULL) {
        epio_info info = one->info;
        info.known = result < 0 ? 0 : info.known;
        (void)epio_result_give(&info, sizeof info, sizeof info, one->options.loaded);
    }
}

static int64_t run_load(epio__procedure *procedure)
{
    epio_op *outer = epio__procedure_op(procedure);
    loading one = {.options.size = sizeof one.options, .info.size = sizeof one.info};
    epio_op op = EPIO_OP_INIT;
    memcpy(&one.buffer, &outer->arguments.procedure.second, sizeof(void *));
    if (outer->arguments.procedure.options != NULL) {
        (void)epio_options_take(&one.options, sizeof one.options, 0,
                                outer->arguments.procedure.options);
    }
    one.buffer->len = 0;
    int64_t result = epio__procedure_perform(
        procedure, epio_open(&op, outer->arguments.procedure.vfs, outer->arguments.procedure.path,
                             EPIO_OPEN_READ | EPIO_OPEN_SEQUENTIAL));
    outer->os_error = op.os_error;
    if (result == 0) {
        one.file = op.file;
        result = load_open_file(procedure, &one, &op);
        outer->os_error = result < 0 ? op.os_error : 0;
        (void)epio__procedure_undo(procedure, epio_close(&op, one.file));
    }
    if (one.buffer->capacity > one.buffer->len) {
        ((char *)one.buffer->data)[one.buffer->len] = '\0';
    }
    describe(&one, result);
    return result < 0 ? result : (int64_t)one.buffer->len;
}

epio_op *epio_load(epio_op *op, epio_vfs *vfs, const char *path, epio_buffer *buffer,
                   const epio_load_options *options)
{
    static const epio__procedure_type type = {run_load, false};
    epio_load_options taken = {0};
    epio__procedure_verb(op, "epio_load", EPIO_KIND_LOAD, &type, vfs, path);
    bool valid = epio__procedure_take_options(
        op, &taken, sizeof taken, offsetof(epio_load_options, loaded) + sizeof(void *), options);
    epio__verb_require(op, !valid || taken.flags == 0, EPIO__REASON_UNKNOWN_FLAGS);
    epio__verb_require(op, buffer != NULL, EPIO__REASON_BUFFER_IS_NULL);
    epio__verb_require(op, buffer == NULL || buffer->size >= sizeof *buffer,
                       EPIO__REASON_STRUCT_SIZE);
    epio__verb_require(op,
                       !valid || taken.loaded == NULL || taken.loaded->size >= sizeof(epio_info),
                       EPIO__REASON_STRUCT_SIZE);
    op->arguments.procedure.second = buffer;
    return op;
}
