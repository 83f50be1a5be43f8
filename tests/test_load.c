/* Loading: whole files into memory, whose size is what it says, or is not. What only POSIX has is
 * in test_load_posix.c. Also without loops: EPIO_TEST_WITHOUT_LOOP. */
#include "support.h"

static void load_at(fixture *f, const char *name, epio_buffer *buffer,
                    const epio_load_options *options, int64_t expected, int line)
{
    epio_op op = EPIO_OP_INIT;
    check_result_at(
        fixture_result(f, epio_load(&op, f->vfs, fixture_path(f, name), buffer, options)), expected,
        name, __FILE__, line);
}

#define load(f, name, buffer, options, expected)                                                   \
    load_at(f, name, buffer, options, expected, __LINE__)

static void check_loaded(const epio_buffer *buffer, size_t len)
{
    check_result(buffer->len, len);
    assert_true(buffer->capacity > len);
    check_result(((const char *)buffer->data)[len], 0);
}

static void a_file_and_its_zero(fixture *f)
{
    epio_buffer buffer = {.size = sizeof buffer};
    fixture_put(f, "file", "text", 4);
    load(f, "file", &buffer, NULL, 4);
    check_loaded(&buffer, 4);
    assert_string_equal(buffer.data, "text");
    fixture_put(f, "file", "more of it", 10);
    load(f, "file", &buffer, NULL, 10); /* into the same memory */
    assert_string_equal(buffer.data, "more of it");
    epio_buffer_free(&buffer);
    assert_null(buffer.data);
    check_result(buffer.capacity, 0);
    epio_buffer_free(&buffer);
    epio_buffer_free(NULL);
}

static void an_empty_file(fixture *f)
{
    epio_buffer buffer = {.size = sizeof buffer};
    fixture_put(f, "file", "", 0);
    load(f, "file", &buffer, NULL, 0);
    check_loaded(&buffer, 0);
    epio_buffer_free(&buffer);
}

static void sizes_around_pieces(fixture *f)
{
    static const size_t sizes[] = {1,     4095,          4096,    4097,          16383,  16384,
                                   16385, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9000001};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        epio_buffer buffer = {.size = sizeof buffer};
        char *bytes = malloc(sizes[i]);
        pattern_fill(bytes, sizes[i], 0);
        fixture_put(f, "file", bytes, sizes[i]);
        load(f, "file", &buffer, NULL, (int64_t)sizes[i]);
        check_loaded(&buffer, sizes[i]);
        assert_memory_equal(buffer.data, bytes, sizes[i]);
        epio_buffer_free(&buffer);
        free(bytes);
    }
}

static void the_callers_memory(fixture *f)
{
    char memory[16];
    epio_buffer buffer = {.size = sizeof buffer, .data = memory, .capacity = sizeof memory};
    epio_load_options options = {.size = sizeof options, .most = 8};
    fixture_put(f, "file", "0123456", 7);
    load(f, "file", &buffer, &options, 7);
    assert_ptr_equal(buffer.data, memory);
    assert_string_equal(memory, "0123456");
    options.most = 15; /* what fits with the zero */
    fixture_put(f, "file", "0123456789ABCDE", 15);
    load(f, "file", &buffer, &options, 15);
    assert_string_equal(memory, "0123456789ABCDE");
    fixture_put(f, "file", "0123456789ABCDEF", 16);
    load(f, "file", &buffer, &options, EPIO_EFBIG);
    assert_ptr_equal(buffer.data, memory);
}

typedef struct arena {
    char memory[64];
    size_t most;
    int calls;
} arena;

static bool grow_in_arena(epio_buffer *buffer, size_t capacity)
{
    arena *one = buffer->user;
    one->calls++;
    if (capacity > one->most) {
        return false;
    }
    buffer->data = one->memory;
    buffer->capacity = one->most;
    return true;
}

static void a_grow_of_the_caller(fixture *f)
{
    arena one = {.most = sizeof one.memory};
    epio_buffer buffer = {.size = sizeof buffer, .grow = grow_in_arena, .user = &one};
    fixture_put(f, "file", "in the arena", 12);
    load(f, "file", &buffer, NULL, 12);
    assert_ptr_equal(buffer.data, one.memory);
    assert_string_equal(one.memory, "in the arena");
    check_result(one.calls, 1);
}

static void a_grow_that_fails(fixture *f)
{
    arena one = {.most = 8};
    epio_buffer buffer = {.size = sizeof buffer, .grow = grow_in_arena, .user = &one};
    fixture_put(f, "file", "does not fit", 12);
    load(f, "file", &buffer, NULL, EPIO_ENOMEM);
    assert_true(one.calls > 0);
    check_result(buffer.len, 0);
    fixture_put(f, "file", "fits", 4);
    load(f, "file", &buffer, NULL, 4);
}

static bool grow_too_little(epio_buffer *buffer, size_t capacity)
{
    static char memory[4];
    (void)capacity;
    buffer->data = memory;
    buffer->capacity = sizeof memory;
    return true;
}

static void a_grow_that_lies(fixture *f)
{
    epio_buffer buffer = {.size = sizeof buffer, .grow = grow_too_little};
    fixture_put(f, "file", "does not fit", 12);
    load(f, "file", &buffer, NULL, EPIO_ENOMEM);
}

static void no_more_than_allowed(fixture *f)
{
    epio_buffer buffer = {.size = sizeof buffer};
    epio_info loaded = {.size = sizeof loaded, .known = EPIO_INFO_ID};
    epio_load_options options = {.size = sizeof options, .most = 4, .loaded = &loaded};
    fixture_put(f, "file", "1234", 4);
    load(f, "file", &buffer, &options, 4);
    assert_string_equal(buffer.data, "1234");
    check_result(loaded.bytes, 4);
    fixture_put(f, "file", "12345", 5);
    load(f, "file", &buffer, &options, EPIO_EFBIG);
    check_result(loaded.known, 0);
    options.most = UINT64_MAX;
    load(f, "file", &buffer, &options, 5);
    epio_buffer_free(&buffer);
}

static void what_is_not_there(fixture *f)
{
    epio_buffer buffer = {.size = sizeof buffer};
    epio_info loaded = {.size = sizeof loaded, .known = EPIO_INFO_ID};
    epio_load_options options = {.size = sizeof options, .loaded = &loaded};
    fixture_make_directory(f, "directory");
    load(f, "none", &buffer, &options, EPIO_ENOENT);
    check_result(loaded.known, 0);
    check_result(buffer.len, 0);
    load(f, "directory", &buffer, NULL, EPIO_EISDIR);
    epio_buffer_free(&buffer);
}

static void bad_arguments_are_refused(fixture *f)
{
    epio_op op = EPIO_OP_INIT;
    epio_buffer buffer = {.size = sizeof buffer};
    epio_load_options options = {.size = sizeof options, .flags = 1};
    const char *path = fixture_path(f, "file");
    check_op(f, epio_load(&op, f->vfs, path, NULL, NULL), EPIO_EINVAL);
    check_op(f, epio_load(&op, f->vfs, path, &buffer, &options), EPIO_EINVAL);
    options.flags = 0;
    options.size = 4;
    check_op(f, epio_load(&op, f->vfs, path, &buffer, &options), EPIO_EINVAL);
    buffer.size = 4;
    check_op(f, epio_load(&op, f->vfs, path, &buffer, NULL), EPIO_EINVAL);
    buffer.size = sizeof buffer;
    check_op(f, epio_load(&op, f->vfs, "", &buffer, NULL), EPIO_EINVAL);
}

/* ---- Files that change meanwhile --------------------------------------------- */

/* Called when memory is asked for: between what the file says and its bytes. */
typedef struct change {
    const char *path;
    uint64_t size; /* that it is cut to */
    int calls;
} change;

static bool change_and_grow(epio_buffer *buffer, size_t capacity)
{
    change *one = buffer->user;
    if (one->calls++ == 0) {
        intptr_t handle = handle_open(one->path, EPIO_OPEN_READ | EPIO_OPEN_WRITE);
        static const char zeros[70000] = {0};
        require(handle != NO_HANDLE);
        require(handle_write_at(handle, zeros, sizeof zeros, 1000) == sizeof zeros);
        require(handle_close(handle));
    }
    void *data = realloc(buffer->data, capacity);
    if (data != NULL) {
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return data != NULL;
}

static void a_file_that_becomes_longer(fixture *f)
{
    change one = {.path = fixture_path(f, "file")};
    epio_buffer buffer = {.size = sizeof buffer, .grow = change_and_grow, .user = &one};
    char bytes[1000];
    memset(bytes, 'x', sizeof bytes);
    fixture_put(f, "file", bytes, sizeof bytes);
    load(f, "file", &buffer, NULL, 71000);
    check_loaded(&buffer, 71000);
    assert_memory_equal(buffer.data, bytes, sizeof bytes);
    free(buffer.data);
}

static bool cut_and_grow(epio_buffer *buffer, size_t capacity)
{
    change *one = buffer->user;
    if (one->calls++ == 0) {
        epio_op op = EPIO_OP_INIT;
        require(epio_perform(epio_open(&op, epio_os_vfs(), one->path, EPIO_OPEN_WRITE)) == 0);
        epio_file *file = op.file;
        require(epio_perform(epio_truncate(&op, file, one->size)) == 0);
        require(epio_perform(epio_close(&op, file)) == 0);
    }
    void *data = realloc(buffer->data, capacity);
    if (data != NULL) {
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return data != NULL;
}

static void a_file_that_becomes_shorter(fixture *f)
{
    change one = {.path = fixture_path(f, "file"), .size = 300};
    epio_buffer buffer = {.size = sizeof buffer, .grow = cut_and_grow, .user = &one};
    char bytes[1000];
    memset(bytes, 'x', sizeof bytes);
    fixture_put(f, "file", bytes, sizeof bytes);
    load(f, "file", &buffer, NULL, 300);
    check_loaded(&buffer, 300);
    free(buffer.data);
}

int main(void)
{
    static const fixture_test tests[] = {
        FIXTURE_TEST(a_file_and_its_zero, ON_ANY),
        FIXTURE_TEST(an_empty_file, ON_ANY),
        FIXTURE_TEST(sizes_around_pieces, ON_OS_PERFORM | ON_OS | ON_MEMORY_PERFORM),
        FIXTURE_TEST(the_callers_memory, ON_ANY),
        FIXTURE_TEST(a_grow_of_the_caller, ON_ANY),
        FIXTURE_TEST(a_grow_that_fails, ON_ANY),
        FIXTURE_TEST(a_grow_that_lies, ON_ANY),
        FIXTURE_TEST(no_more_than_allowed, ON_ANY),
        FIXTURE_TEST(what_is_not_there, ON_ANY),
        FIXTURE_TEST(bad_arguments_are_refused, ON_ANY),
        FIXTURE_TEST(a_file_that_becomes_longer, ON_ANY_OS),
        FIXTURE_TEST(a_file_that_becomes_shorter, ON_ANY_OS),
    };
    return FIXTURE_RUN("load", tests);
}
