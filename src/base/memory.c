/* The one place that asks the system for memory. Blocks are zeroed and aligned to 64 bytes (a cache
 * line, the widest vector). Counting and the failing n-th allocation are always compiled in: two
 * atomic operations are nothing beside zeroing, and the tested library is the shipped one. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

/* Where a sanitizer watches the heap, large blocks stay there too. */
#if defined(__SANITIZE_ADDRESS__)
#define MAPPED_FROM SIZE_MAX
#else
#define MAPPED_FROM ((size_t)2 * HUGE_PAGE)
#endif

static atomic_int_least64_t n_allocations;
static atomic_int_least64_t countdown; /* to the failing allocation; <= 0: off */

/* Counts an allocation; false: this is the one that fails. */
static bool count(void) {
    atomic_fetch_add(&n_allocations, 1);
    return !(atomic_load(&countdown) > 0 && atomic_fetch_sub(&countdown, 1) == 1);
}

static void *allocate(size_t bytes) {
    if (!count()) return NULL;
    if (bytes == 0) bytes = 1;
    if (bytes > (size_t)PTRDIFF_MAX - ALIGNMENT) return NULL;
    return aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void *mem_alloc(size_t bytes) {
    void *p = allocate(bytes);
    if (p != NULL) memset(p, 0, bytes == 0 ? 1 : bytes);
    return p;
}

void *mem_alloc_array(size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    return mem_alloc(count * size);
}

/* Allocates and copies, because realloc() does not keep the alignment. */
void *mem_realloc(void *p, size_t old_bytes, size_t new_bytes) {
    void *grown = allocate(new_bytes);
    if (grown == NULL) return NULL;
    if (p != NULL) memcpy(grown, p, old_bytes < new_bytes ? old_bytes : new_bytes);
    free(p);
    return grown;
}

void *mem_room(void *list, size_t n, size_t *capacity, size_t size) {
    if (n < *capacity) return list;
    size_t wider = 2 * *capacity + 64;
    void *grown = mem_realloc(list, *capacity * size, wider * size);
    if (grown != NULL) *capacity = wider;
    return grown;
}

char *mem_strdup(const char *s) {
    size_t bytes = strlen(s) + 1;
    char *copy = mem_alloc(bytes);
    if (copy != NULL) memcpy(copy, s, bytes);
    return copy;
}

/* printf into memory of the arena, or of the heap when there is none. */
static char *print(Arena *a, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *text = NULL;
    if (n >= 0) text = a != NULL ? arena_alloc(a, (size_t)n + 1) : mem_alloc((size_t)n + 1);
    if (text != NULL) vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

char *mem_printf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = print(NULL, format, args);
    va_end(args);
    return text;
}

void mem_free(void *p) {
    free(p);
}

/* New mappings are zeroed already: writing zeros would only touch every page twice. One huge page
 * more is mapped than needed, and what lies around the aligned block is given back. */
static void *map(size_t bytes) {
    if (!count() || bytes > (size_t)PTRDIFF_MAX - HUGE_PAGE) return NULL;
    size_t mapped = bytes + HUGE_PAGE;
    void *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE, after = HUGE_PAGE - before;
    char *block = (char *)p + before;
    if (before > 0) (void)munmap(p, before);
    if (after > 0) (void)munmap(block + bytes, after);
#ifdef MADV_HUGEPAGE
    (void)madvise(block, bytes, MADV_HUGEPAGE); /* only a hint */
#endif
    return block;
}

/* Of a mapped block: whole small pages, which munmap wants. */
static size_t whole_pages(size_t bytes) {
    enum { PAGE = 64 * 1024 }; /* the largest of the processors at hand */
    return bytes > SIZE_MAX - PAGE ? bytes : (bytes + PAGE - 1) / PAGE * PAGE;
}

void *mem_alloc_pages(size_t bytes) {
    return bytes < MAPPED_FROM ? mem_alloc(bytes) : map(whole_pages(bytes));
}

void mem_free_pages(void *p, size_t bytes) {
    if (bytes < MAPPED_FROM)
        mem_free(p);
    else if (p != NULL)
        (void)munmap(p, whole_pages(bytes));
}

int64_t mem_allocations(void) {
    return atomic_load(&n_allocations);
}

void mem_fail_after(int64_t n) {
    atomic_store(&countdown, n);
}

/* --- Arena: a list of chunks, the newest first, each filled from its front -------------------- */

enum { CHUNK_BYTES = 16 * 1024, ARENA_ALIGNMENT = 16 };

typedef struct Chunk Chunk;
struct Chunk {
    Chunk *next;
    size_t bytes, used; /* of what follows this header */
};

enum { CHUNK_HEADER = (sizeof(Chunk) + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT };

struct Arena {
    Chunk *chunks;
};

Arena *arena_new(void) {
    return mem_alloc(sizeof(Arena));
}

static Chunk *add_chunk(Arena *a, size_t bytes) {
    if (bytes < CHUNK_BYTES) bytes = CHUNK_BYTES;
    Chunk *c = mem_alloc(CHUNK_HEADER + bytes);
    if (c == NULL) return NULL;
    c->bytes = bytes;
    c->next = a->chunks;
    a->chunks = c;
    return c;
}

void *arena_alloc(Arena *a, size_t bytes) {
    if (bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    if (bytes == 0) bytes = ARENA_ALIGNMENT;
    Chunk *c = a->chunks;
    if (c == NULL || c->bytes - c->used < bytes) c = add_chunk(a, bytes);
    if (c == NULL) return NULL;
    void *p = (char *)c + CHUNK_HEADER + c->used;
    c->used += bytes;
    return p;
}

char *arena_strdup(Arena *a, const char *s) {
    size_t bytes = strlen(s) + 1;
    char *copy = arena_alloc(a, bytes);
    if (copy != NULL) memcpy(copy, s, bytes);
    return copy;
}

char *arena_printf(Arena *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = print(a, format, args);
    va_end(args);
    return text;
}

void arena_free(Arena *a) {
    if (a == NULL) return;
    for (Chunk *c = a->chunks, *next; c != NULL; c = next) {
        next = c->next;
        mem_free(c);
    }
    mem_free(a);
}
