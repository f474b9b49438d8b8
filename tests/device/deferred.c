/* See deferred.h. The rows that only keep their arguments are written by deferred_rows.awk. */
#include "deferred.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/status.h"

#define DEFERRED "deferred"
#define X(kind, word) word,
const char *const test_device_words[] = {DEVICE_WORDS(X) DEFERRED, NULL};
#undef X

enum { MAX_AREAS = 4096 };

/* A call and its arguments, or (run NULL) a copy of host memory that the next call reads. */
typedef struct Queued {
    struct Queued *next;
    void (*run)(const void *arguments);
    _Alignas(max_align_t) char arguments[];
} Queued;

typedef struct Queue {
    Queued *first, **end;
} Queue;

typedef struct Area {
    char *at;
    size_t bytes;
} Area;

static Device *below; /* does the work; never closed */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Queue queue;
static _Thread_local Queue kept; /* copies for the call that this thread makes next */
static Area area[MAX_AREAS];
static int n_areas;
static bool wait_is_left_out;

/* --- the queue -------------------------------------------------------------------------------- */

static void append(Queue *to, Queued *first, Queued **end) {
    if (!to->first) to->end = &to->first;
    *to->end = first;
    to->end = end;
}

static const void *add(Queue *to, void (*run)(const void *), const void *arguments, size_t bytes) {
    Queued *q = malloc(sizeof *q + bytes);
    ASSERT(q, "no memory to queue %zu bytes", bytes);
    *q = (Queued){.run = run};
    memcpy(q->arguments, arguments, bytes);
    append(to, q, &q->next);
    return q->arguments;
}

/* A copy of host memory that lives until the next call of this thread has run. */
static const void *keep(const void *host, size_t bytes) {
    return add(&kept, NULL, host, bytes);
}

static void later(void (*run)(const void *), const void *arguments, size_t bytes) {
    (void)add(&kept, run, arguments, bytes);
    pthread_mutex_lock(&lock);
    append(&queue, kept.first, kept.end);
    pthread_mutex_unlock(&lock);
    kept.first = NULL;
}

static void protect(int how) {
    for (int i = 0; i < n_areas; i++)
        ASSERT(mprotect(area[i].at, area[i].bytes, how) == 0, "area %d of %d", i, n_areas);
}

static void open_memory(void) {
    pthread_mutex_lock(&lock);
    protect(PROT_READ | PROT_WRITE);
}

/* Runs what is queued. Device memory stays open to this thread until lock_memory. */
static void wait_for_all(void) {
    open_memory();
    for (Queued *q = queue.first; q; q = q->next)
        if (q->run) q->run(q->arguments);
    while (queue.first) {
        Queued *q = queue.first;
        queue.first = q->next;
        free(q);
    }
}

static void lock_memory(void) {
    protect(PROT_NONE);
    pthread_mutex_unlock(&lock);
}

void deferred_leave_out_wait(void) {
    wait_is_left_out = true;
}

static void wait_unless_left_out(void) {
    if (wait_is_left_out)
        open_memory();
    else
        wait_for_all();
    wait_is_left_out = false;
}

#include "deferred_rows.h"

/* --- memory ----------------------------------------------------------------------------------- */

static size_t whole_pages(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes / page + 1) * page;
}

static void *alloc(Device *d, size_t bytes) {
    (void)d;
    size_t mapped = whole_pages(bytes);
    void *p = mmap(NULL, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    pthread_mutex_lock(&lock);
    ASSERT(n_areas < MAX_AREAS, "more than %d areas", MAX_AREAS);
    area[n_areas++] = (Area){p, mapped};
    pthread_mutex_unlock(&lock);
    return p;
}

static void release(Device *d, void *p, size_t bytes) {
    (void)d;
    if (!p) return;
    wait_for_all();
    int i = 0;
    while (i < n_areas && area[i].at != p) i++;
    ASSERT(i < n_areas && area[i].bytes == whole_pages(bytes), "%zu bytes never taken", bytes);
    (void)munmap(p, area[i].bytes);
    area[i] = area[--n_areas];
    lock_memory();
}

static void *alloc_host(Device *d, size_t bytes) {
    (void)d;
    return device_alloc_host(below, bytes);
}

static void free_host(Device *d, void *p, size_t bytes) {
    (void)d;
    device_free_host(below, p, bytes);
}

static size_t bytes_free(Device *d) {
    (void)d;
    return device_bytes_free(below);
}

static void upload(Device *d, void *dst, const void *host, size_t bytes) {
    copy_deferred(d, dst, keep(host, bytes), bytes);
}

static void upload_floats(Device *d, void *dst, Number type, const float *host, int64_t n) {
    (void)type;
    upload(d, dst, host, (size_t)n * sizeof *host);
}

static void download(Device *d, void *host, const void *src, size_t bytes) {
    (void)d;
    wait_unless_left_out();
    device_download(below, host, src, bytes);
    lock_memory();
}

static void download_floats(Device *d, float *host, const void *src, Number type, int64_t n) {
    (void)type;
    download(d, host, src, (size_t)n * sizeof *host);
}

static void wait_and_lock(Device *d) {
    (void)d;
    wait_unless_left_out();
    lock_memory();
}

static double peak_gflops(Device *d, double seconds_each, int runs) {
    (void)d;
    return device_peak_gflops(below, seconds_each, runs);
}

static const DeviceMemory MEMORY = {.alloc = alloc,
                                    .free = release,
                                    .alloc_host = alloc_host,
                                    .free_host = free_host,
                                    .bytes_free = bytes_free,
                                    .upload = upload,
                                    .download = download,
                                    .upload_floats = upload_floats,
                                    .download_floats = download_floats,
                                    .copy = copy_deferred,
                                    .zero = zero_deferred,
                                    .swap = swap_deferred,
                                    .sync = wait_and_lock,
                                    .peak_gflops = peak_gflops};

/* --- faults ----------------------------------------------------------------------------------- */

/* The access is made again on return, and ends the process. */
static void tell_fault(int number, siginfo_t *info, void *context) {
    static const char text[] = "host code touches memory of the device \"deferred\": "
                               "a download or device_sync is missing\n";
    (void)context;
    for (int i = 0; i < n_areas; i++)
        if ((char *)info->si_addr >= area[i].at &&
            (char *)info->si_addr < area[i].at + area[i].bytes)
            (void)!write(STDERR_FILENO, text, sizeof text - 1);
    signal(number, SIG_DFL);
}

/* --- opening ---------------------------------------------------------------------------------- */

Status __real_device_open(const char *, int, const char *, Device **, Error *);
Status __wrap_device_open(const char *, int, const char *, Device **, Error *);

Status __wrap_device_open(const char *name, int n_threads, const char *isa, Device **out,
                          Error *err) {
    const char *instead = getenv("TEST_DEVICE");
    bool ref = strcmp(name, device_words[DEVICE_REF]) == 0;
    if (instead && (ref || strcmp(name, device_words[DEVICE_CPU]) == 0)) name = instead;
    if (strcmp(name, DEFERRED) != 0) return __real_device_open(name, n_threads, isa, out, err);
    name = device_words[DEVICE_REF];
    Status status = __real_device_open(name, n_threads, isa, out, err);
    if (status == MAE_OK && !below) status = __real_device_open(name, 1, NULL, &below, err);
    if (status != MAE_OK) return status;
    struct sigaction tell = {.sa_sigaction = tell_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &tell, NULL);
    (*out)->name = DEFERRED;
    (*out)->memory = &MEMORY;
    (*out)->kernels.is_host = false;
    deferred_fill_rows(&(*out)->kernels);
    return MAE_OK;
}
