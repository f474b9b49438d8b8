/* See device.h. */
#include "kernels/device.h"

#include <math.h>

#include "base/memory.h"
#include "base/processors.h"
#include "kernels/waits.h"

/* The references run in the calling thread. */
static int team_threads(const Device *d) {
    return d->kind == DEVICE_CPU ? d->n_threads : 1;
}

Status device_open(const char *name, int n_threads, const char *isa, Device **out, Error *err) {
    Status status = MAE_OK;
    Device *d = NULL;
    char known[64];
    int kind = word_find(device_words, name);
    if (kind < 0)
        return error_set(err, MAE_USAGE, "device %s: not known; choose one of %s", name,
                         words_text(device_words, known, sizeof known));
    if (n_threads < 0)
        return error_set(err, MAE_USAGE, "threads: %d; give 1 or more, or 0 for all", n_threads);
    d = mem_alloc(sizeof *d);
    if (!d) return error_set(err, MAE_MEMORY, "device %s: out of memory", name);
    d->kind = (DeviceKind)kind;
    d->name = device_words[kind];
    d->n_threads = n_threads ? n_threads : processors_threads(processors_available());
    TRY(device_open_host(d, isa, err));
    waits_shorten(team_threads(d));
    *out = d;
    d = NULL;
done:
    device_close(d);
    return status;
}

void device_close(Device *d) {
    if (d && d->memory) waits_restore(team_threads(d));
    mem_free(d);
}

void *device_at(void *base, size_t offset_bytes) {
    return (char *)base + offset_bytes;
}

size_t device_bytes(const Device *d, Number type, int64_t n) {
    const size_t size[] = {
        [NUMBER_REAL] = d->kernels.real_bytes, [NUMBER_WIDE] = d->kernels.wide_bytes,
        [NUMBER_I32] = sizeof(int32_t),        [NUMBER_U8] = sizeof(uint8_t),
        [NUMBER_U16] = sizeof(uint16_t),       [NUMBER_F32] = sizeof(float)};
    return (size_t)n * size[type];
}

/* --- the rows of DeviceMemory ----------------------------------------------------------------- */

void *device_alloc(Device *d, size_t bytes) {
    return d->memory->alloc(d, bytes);
}

void device_free(Device *d, void *p, size_t bytes) {
    d->memory->free(d, p, bytes);
}

void *device_alloc_host(Device *d, size_t bytes) {
    return d->memory->alloc_host(d, bytes);
}

void device_free_host(Device *d, void *p, size_t bytes) {
    d->memory->free_host(d, p, bytes);
}

size_t device_bytes_free(Device *d) {
    return d->memory->bytes_free(d);
}

void device_upload(Device *d, void *dst, const void *host, size_t bytes) {
    d->memory->upload(d, dst, host, bytes);
}

void device_download(Device *d, void *host, const void *src, size_t bytes) {
    d->memory->download(d, host, src, bytes);
}

void device_upload_floats(Device *d, void *dst, Number type, const float *host, int64_t n) {
    d->memory->upload_floats(d, dst, type, host, n);
}

void device_download_floats(Device *d, float *host, const void *src, Number type, int64_t n) {
    d->memory->download_floats(d, host, src, type, n);
}

void device_copy(Device *d, void *dst, const void *src, size_t bytes) {
    d->memory->copy(d, dst, src, bytes);
}

void device_zero(Device *d, void *dst, size_t bytes) {
    d->memory->zero(d, dst, bytes);
}

void device_swap(Device *d, void *a, void *b, size_t bytes) {
    d->memory->swap(d, a, b, bytes);
}

void device_sync(Device *d) {
    d->memory->sync(d);
}

bool device_all_finite(Device *d, const void *x, Number type, int64_t n) {
    float part[4096];
    bool finite = true;
    for (int64_t at = 0; at < n && finite; at += 4096) {
        int64_t count = n - at < 4096 ? n - at : 4096;
        device_download_floats(d, part, (const char *)x + device_bytes(d, type, at), type, count);
        for (int64_t i = 0; i < count; i++) finite &= isfinite(part[i]) != 0;
    }
    return finite;
}

double device_peak_gflops(Device *d, double seconds_each, int runs) {
    return d->memory->peak_gflops(d, seconds_each, runs);
}
