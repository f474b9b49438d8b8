/* Devices in host memory: the two references and the cpu. The processor is asked once, here, which
 * of the compiled instruction sets it can run. */
#include "kernels/device.h"

#include <string.h>

#include "base/memory.h"
#include "base/processors.h"
#include "kernels/cpu/cpu.h"

void ref_fill_table(Kernels *k);
void ref64_fill_table(Kernels *k);

enum { SWAP_BLOCK = 4096 };

/* --- instruction sets ------------------------------------------------------------------------- */

typedef struct Isa {
    const char *name;
    void (*fill_table)(Kernels *k);
    double (*peak_gflops)(int n_threads, double seconds_each, int runs);
} Isa;

static const Isa ISAS[] = {
#define X(isa) {#isa, cpu_##isa##_fill_table, cpu_##isa##_peak_gflops},
    CPU_ISAS_BEST_FIRST(X)
#undef X
};

enum { N_ISAS = sizeof ISAS / sizeof *ISAS };

static bool processor_has(const char *isa) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(isa, "avx2")) return fma;
    if (!strcmp(isa, "avx512")) {
        return fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    }
#endif
    return !strcmp(isa, "plain");
}

static const Isa *find_isa(const char *name) {
    for (int i = 0; i < N_ISAS; i++) {
        if (processor_has(ISAS[i].name) && (!name || !strcmp(name, ISAS[i].name))) return &ISAS[i];
    }
    return NULL;
}

const char *const *device_isas(void) {
    static const char *names[N_ISAS + 1];
    int n = 0;
    for (int i = 0; i < N_ISAS; i++) {
        if (processor_has(ISAS[i].name)) names[n++] = ISAS[i].name;
    }
    return names;
}

/* --- opening ---------------------------------------------------------------------------------- */

static Status fill_device(Device *d, const char *name, const Isa *isa, Error *err) {
    char known[64];
    int kind = word_find(device_words, name);
    if (kind < 0)
        return fail(err, MAE_USAGE, "device %s: not known; choose one of %s", name,
                    words_text(device_words, known, sizeof known));
    d->kind = (DeviceKind)kind;
    d->name = device_words[kind];
    d->isa = isa->name;
    (d->kind == DEVICE_REF64 ? ref64_fill_table : ref_fill_table)(&d->kernels);
    if (d->kind == DEVICE_CPU) isa->fill_table(&d->kernels);
    return MAE_OK;
}

Status device_open(const char *name, int n_threads, const char *isa_name, Device **out,
                   Error *err) {
    Status status = MAE_OK;
    Device *d = NULL;
    const Isa *isa = find_isa(isa_name);
    if (n_threads < 0) {
        status = fail(err, MAE_USAGE, "threads: %d; give 1 or more, or 0 for all", n_threads);
        goto done;
    }
    if (!isa) {
        status = fail(err, MAE_UNSUPPORTED,
                      "instruction set %s: this processor or build does not have it", isa_name);
        goto done;
    }
    d = mem_alloc(sizeof *d);
    if (!d) {
        status = fail(err, MAE_MEMORY, "device %s: out of memory", name);
        goto done;
    }
    d->n_threads = n_threads ? n_threads : processors_threads(processors_available());
    TRY(fill_device(d, name, isa, err));
    *out = d;
    d = NULL;
done:
    device_close(d);
    return status;
}

void device_close(Device *d) {
    mem_free(d);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* A training step walks all of its memory, and misses of the address cache would show. */
void *device_alloc(Device *d, size_t bytes) {
    (void)d;
    return mem_alloc_pages(bytes);
}

void device_free(Device *d, void *p, size_t bytes) {
    (void)d;
    mem_free_pages(p, bytes);
}

void *device_at(void *base, size_t offset_bytes) {
    return (char *)base + offset_bytes;
}

void device_upload(Device *d, void *dst, const void *host, size_t bytes) {
    (void)d;
    memcpy(dst, host, bytes);
}

void device_download(Device *d, void *host, const void *src, size_t bytes) {
    (void)d;
    memcpy(host, src, bytes);
}

void device_copy(Device *d, void *dst, const void *src, size_t bytes) {
    (void)d;
    memcpy(dst, src, bytes);
}

void device_zero(Device *d, void *dst, size_t bytes) {
    (void)d;
    memset(dst, 0, bytes);
}

void device_swap(Device *d, void *a_, void *b_, size_t bytes) {
    (void)d;
    char *a = a_, *b = b_, block[SWAP_BLOCK];
    for (size_t at = 0; at < bytes; at += SWAP_BLOCK) {
        size_t n = bytes - at < SWAP_BLOCK ? bytes - at : SWAP_BLOCK;
        memcpy(block, a + at, n);
        memcpy(a + at, b + at, n);
        memcpy(b + at, block, n);
    }
}

void device_sync(Device *d) {
    (void)d;
}

void device_upload_real(Device *d, void *dst, const float *host, int64_t n) {
    if (d->kernels.real_bytes == sizeof(float)) {
        memcpy(dst, host, (size_t)n * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < n; i++) ((double *)dst)[i] = (double)host[i];
}

void device_download_real(Device *d, float *host, const void *src, int64_t n) {
    if (d->kernels.real_bytes == sizeof(float)) {
        memcpy(host, src, (size_t)n * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < n; i++) host[i] = (float)((const double *)src)[i];
}

double device_peak_gflops(Device *d, double seconds_each, int runs) {
    return find_isa(d->isa)->peak_gflops(d->n_threads, seconds_each, runs);
}
