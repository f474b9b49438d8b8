/* A device is two tables: what it computes (Kernels), and its memory (DeviceMemory). Nothing above
 * this layer looks behind a device address. It only adds offsets through device_at, and calls the
 * functions below, which go through the second table.
 *
 * What waits for what, on every device:
 *   - Kernel rows, device_copy, device_zero, device_swap and uploads run in the order in which one
 *     thread calls them, but may still be under way when the call returns.
 *   - Downloads, device_free and device_sync wait for all that came before. Whoever reads a clock,
 *     or hands a device address to somebody who is not the device, calls device_sync first.
 *   - An upload has taken a copy when it returns: the caller may change or free its host memory. A
 *     download is complete when it returns.
 *   - Host arrays that are arguments of a row (mean, std, lists) are read before the row returns.
 * On a device in host memory every call is complete when it returns. */
#ifndef KERNELS_DEVICE_H
#define KERNELS_DEVICE_H

#include "base/listener.h"
#include "base/status.h"
#include "base/words.h"
#include "kernels/kernels.h"

/* Rows as the functions of the same names below. */
typedef struct DeviceMemory {
    void *(*alloc)(Device *d, size_t bytes);
    void (*free)(Device *d, void *p, size_t bytes);
    void *(*alloc_host)(Device *d, size_t bytes);
    void (*free_host)(Device *d, void *p, size_t bytes);
    size_t (*bytes_free)(Device *d);
    void (*upload)(Device *d, void *dst, const void *host, size_t bytes);
    void (*download)(Device *d, void *host, const void *src, size_t bytes);
    void (*upload_floats)(Device *d, void *dst, Number type, const float *host, int64_t n);
    void (*download_floats)(Device *d, float *host, const void *src, Number type, int64_t n);
    void (*copy)(Device *d, void *dst, const void *src, size_t bytes);
    void (*zero)(Device *d, void *dst, size_t bytes);
    void (*swap)(Device *d, void *a, void *b, size_t bytes);
    void (*sync)(Device *d);
    double (*peak_gflops)(Device *d, double seconds_each, int runs);
} DeviceMemory;

/* A handle. What device_open gives lives until device_close. A copy of the struct is a handle of
 * the same device whose stop is its own; no call keeps the handle it was given. Several
 * threads may call one device at once through handles of their own, since no row keeps anything in
 * the device: scratch belongs to whoever calls. */
struct Device {
    DeviceKind kind;
    const char *name; /* its word */
    const char *isa;  /* what was chosen at run time: "plain", "avx2", "avx512" */
    int n_threads;
    Kernels kernels;
    const DeviceMemory *memory;
    /* When not NULL, a matrix product asks, and may end early and leave its result unfinished: set
     * by whoever then throws the results away (graph_stop_at). */
    Stop *stop;
};

/* name: one of device_words. n_threads 0 = all there are. isa NULL = the best this
 * processor has; a named one must exist here (tests). */
Status device_open(const char *name, int n_threads, const char *isa, Device **out, Error *err);
void device_close(Device *d); /* accepts NULL */

/* Of device_open, for kinds in host memory: fills isa and both tables. */
Status device_open_host(Device *d, const char *isa, Error *err);
/* The ISA variants of "cpu" that this processor can run, best first, NULL-terminated. */
const char *const *device_isas(void);

/* Of n elements. */
size_t device_bytes(const Device *d, Number type, int64_t n);
/* Zeroed, 64-byte aligned (huge pages where the system gives them); NULL when memory is short. */
void *device_alloc(Device *d, size_t bytes);
void device_free(Device *d, void *p, size_t bytes);
void *device_at(void *base, size_t offset_bytes);
/* The same in host memory that uploads and downloads reach fastest: page-locked where the device
 * has memory of its own. */
void *device_alloc_host(Device *d, size_t bytes);
void device_free_host(Device *d, void *p, size_t bytes);
/* What device_alloc could give now, about; 0 when the system does not tell. */
size_t device_bytes_free(Device *d);

void device_upload(Device *d, void *dst, const void *host, size_t bytes);
void device_download(Device *d, void *host, const void *src, size_t bytes);
/* The same with conversion between host float32 and a REAL or WIDE of the device. */
void device_upload_floats(Device *d, void *dst, Number type, const float *host, int64_t n);
void device_download_floats(Device *d, float *host, const void *src, Number type, int64_t n);
void device_copy(Device *d, void *dst, const void *src, size_t bytes);
void device_zero(Device *d, void *dst, size_t bytes);
/* Exchanges the contents of two areas that do not overlap; takes no memory. */
void device_swap(Device *d, void *a, void *b, size_t bytes);
void device_sync(Device *d);

/* Whether every element is a finite float32. Brings them all to the host: for failures. */
bool device_all_finite(Device *d, const void *x, Number type, int64_t n);

/* FMA throughput of all threads in GFLOP/s: a loop of independent FMAs, best of several runs of
 * about seconds_each. */
double device_peak_gflops(Device *d, double seconds_each, int runs);

#endif
