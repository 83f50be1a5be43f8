/* A heap that detects misuse, for a system without AddressSanitizer: with EPIO_TEST_HEAP=guarded
 * each block ends at an inaccessible page, and freed memory is never reused. An overrun, a use
 * after free and a second free crash where they happen; smaller overruns are found by free. The
 * linker redirects malloc and its kin (--wrap) in what is linked statically, so not in the system's
 * DLLs, whose blocks it passes on. (Wine can check its own heap, but mistakes the work of other
 * threads for damage.) */
#include "support.h"

#include "win32/win32.h"

#include <stdatomic.h>

#define PAGE ((size_t)4096)
#define ARENA ((size_t)1 << 36)
#define ALIGNMENT ((size_t)16)
#define MAGIC UINT64_C(0x6570696f68656170)
#define FILL 0xFD

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

/* The header before the user's block, which ends at the guard page. */
typedef struct block {
    uint64_t magic;
    uint64_t size;
} block;

_Static_assert(sizeof(block) == ALIGNMENT, "what follows is aligned");

/* Set once; threads that race find the same value. */
static atomic_uintptr_t arena;
static atomic_size_t used;
static atomic_int is_guarded; /* 0: not known; 1: no; 2: yes */

void (*heap_allocated)(void);

static bool guarded(void)
{
    int known = atomic_load(&is_guarded);
    if (known == 0) {
        const char *wish = getenv("EPIO_TEST_HEAP");
        known = wish != NULL && strcmp(wish, "guarded") == 0 ? 2 : 1;
        if (known == 2) {
            uintptr_t nothing = 0;
            void *space = VirtualAlloc(NULL, ARENA, MEM_RESERVE, PAGE_NOACCESS);
            if (space == NULL) {
                (void)fprintf(stderr, "tests: no room for a guarded heap\n");
                abort();
            }
            if (!atomic_compare_exchange_strong(&arena, &nothing, (uintptr_t)space)) {
                (void)VirtualFree(space, 0, MEM_RELEASE);
            }
        }
        atomic_store(&is_guarded, known);
    }
    return known == 2;
}

static bool is_ours(const void *memory)
{
    uintptr_t begin = atomic_load(&arena);
    return begin != 0 && (uintptr_t)memory - begin < ARENA;
}

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

static void *allocate(size_t size)
{
    if (heap_allocated != NULL) {
        heap_allocated();
    }
    if (!guarded()) {
        return __real_malloc(size);
    }
    if (size > ARENA / 4) {
        return NULL;
    }
    size_t rounded = round_up(size, ALIGNMENT);
    size_t room = round_up(rounded + sizeof(block), PAGE);
    size_t at = atomic_fetch_add(&used, room + PAGE);
    if (at + room + PAGE > ARENA) {
        (void)fprintf(stderr, "tests: the guarded heap is used up\n");
        abort();
    }
    unsigned char *begin = (unsigned char *)atomic_load(&arena) + at;
    if (VirtualAlloc(begin, room, MEM_COMMIT, PAGE_READWRITE) == NULL) {
        return NULL;
    }
    unsigned char *memory = begin + room - rounded;
    block *head = (block *)(void *)memory - 1;
    *head = (block){.magic = MAGIC, .size = size};
    memset(memory, FILL, rounded); /* so that uninitialized reads find no zeros */
    return memory;
}

static block *head_of(void *memory)
{
    block *head = (block *)memory - 1;
    const unsigned char *bytes = memory;
    bool whole = head->magic == MAGIC;
    for (size_t i = head->size; whole && i % ALIGNMENT != 0; i++) {
        whole = bytes[i] == FILL;
    }
    if (!whole) {
        (void)fprintf(stderr, "tests: what lies beside a block of the heap was overwritten\n");
        abort();
    }
    return head;
}

void *__wrap_malloc(size_t size)
{
    return allocate(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    void *memory = allocate(count * size);
    if (memory != NULL) {
        memset(memory, 0, count * size);
    }
    return memory;
}

void __wrap_free(void *memory)
{
    if (!is_ours(memory)) {
        __real_free(memory);
        return;
    }
    block *head = head_of(memory);
    size_t room = round_up(round_up(head->size, ALIGNMENT) + sizeof(block), PAGE);
    unsigned char *begin = (unsigned char *)((uintptr_t)head / PAGE * PAGE);
    (void)VirtualFree(begin, room, MEM_DECOMMIT);
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (memory != NULL && !is_ours(memory)) {
        return __real_realloc(memory, size);
    }
    void *moved = allocate(size);
    if (memory != NULL && moved != NULL) {
        size_t before = head_of(memory)->size;
        memcpy(moved, memory, before < size ? before : size);
        __wrap_free(memory);
    }
    return moved;
}
