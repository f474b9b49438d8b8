/* Devices in host memory: the two references and the cpu. The processor is asked once, here, which
 * of the compiled instruction sets it can run. */
#include <string.h>

#include "base/memory.h"
#include "base/tensor.h"
#include "base/threads.h"
#include "kernels/cpu/cpu.h"

void ref_fill_table(Kernels *k);
void ref64_fill_table(Kernels *k);
void refbf16_fill_table(Kernels *k);

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

static double host_peak_gflops(Device *d, double seconds_each, int runs) {
    return find_isa(d->isa)->peak_gflops(d->n_threads, seconds_each, runs);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* A training step walks all of its memory, and misses of the address cache would show. */
static void *host_alloc(Device *d, size_t bytes) {
    (void)d;
    return mem_alloc_pages(bytes);
}

static void host_free(Device *d, void *p, size_t bytes) {
    (void)d;
    mem_free_pages(p, bytes);
}

static size_t host_bytes_free(Device *d) {
    (void)d;
    return (size_t)system_free_bytes();
}

/* Upload, download and copy are one here. */
static void host_copy(Device *d, void *dst, const void *src, size_t bytes) {
    (void)d;
    memcpy(dst, src, bytes);
}

static DType type_of(const Device *d, Number type) {
    size_t bytes = device_bytes(d, type, 1);
    return bytes == 2 ? DTYPE_BF16 : bytes == sizeof(double) ? DTYPE_F64 : DTYPE_F32;
}

static void host_upload_floats(Device *d, void *dst, Number type, const float *host, int64_t n) {
    dtype_from_f32(dst, host, type_of(d, type), n);
}

static void host_download_floats(Device *d, float *host, const void *src, Number type, int64_t n) {
    dtype_to_f32(host, src, type_of(d, type), n);
}

static void host_zero(Device *d, void *dst, size_t bytes) {
    (void)d;
    memset(dst, 0, bytes);
}

static void host_swap(Device *d, void *a_, void *b_, size_t bytes) {
    (void)d;
    char *a = a_, *b = b_, block[SWAP_BLOCK];
    for (size_t at = 0; at < bytes; at += SWAP_BLOCK) {
        size_t n = bytes - at < SWAP_BLOCK ? bytes - at : SWAP_BLOCK;
        memcpy(block, a + at, n);
        memcpy(a + at, b + at, n);
        memcpy(b + at, block, n);
    }
}

static void host_sync(Device *d) {
    (void)d;
}

static const DeviceMemory HOST_MEMORY = {.alloc = host_alloc,
                                         .free = host_free,
                                         .alloc_host = host_alloc,
                                         .free_host = host_free,
                                         .bytes_free = host_bytes_free,
                                         .upload = host_copy,
                                         .download = host_copy,
                                         .upload_floats = host_upload_floats,
                                         .download_floats = host_download_floats,
                                         .copy = host_copy,
                                         .zero = host_zero,
                                         .swap = host_swap,
                                         .sync = host_sync,
                                         .peak_gflops = host_peak_gflops};

/* --- opening ---------------------------------------------------------------------------------- */

Status device_open_host(Device *d, const char *isa_name, Error *err) {
    const Isa *isa = find_isa(isa_name);
    if (!isa)
        return error_set(err, MAE_UNSUPPORTED,
                         "instruction set %s: this processor or build does not have it", isa_name);
    d->isa = isa->name;
    d->memory = &HOST_MEMORY;
    if (d->kind == DEVICE_REF64)
        ref64_fill_table(&d->kernels);
    else if (d->kind == DEVICE_REFBF16)
        refbf16_fill_table(&d->kernels);
    else
        ref_fill_table(&d->kernels);
    if (d->kind == DEVICE_CPU) isa->fill_table(&d->kernels);
    return MAE_OK;
}
