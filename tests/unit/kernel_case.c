/* See kernel_case.h. */
#include "deferred.h"
#include "kernel_case.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BF16_ROUNDING 0x1p-8 /* of a value at most */

typedef struct Results {
    double *first[CASE_BUFFERS]; /* before `then`; NULL without one */
    double *data[CASE_BUFFERS];
} Results;

Device *open_device(const char *name, int n_threads, const char *isa) {
    Device *d = NULL;
    Error err = {0};
    ck_assert_msg(device_open(name, n_threads, isa, &d, &err) == MAE_OK, "%s", err.message);
    return d;
}

void *scratch_new(Device *d, size_t bytes) {
    void *p = device_alloc(d, bytes);
    ASSERT(p, "no memory for %zu bytes", bytes);
    void *nan = malloc(bytes + 1);
    memset(nan, 0xff, bytes);
    device_upload(d, p, nan, bytes);
    free(nan);
    return p;
}

int32_t *random_ids(Rng *rng, int64_t B, int64_t M, int64_t P) {
    int32_t *ids = malloc((size_t)(B * M) * sizeof *ids);
    uint64_t seed = rng_u32(rng);
    for (int64_t i = 0; i < B * M; i++) {
        ids[i] = (int32_t)rng_permute(seed, (uint64_t)(i / M), P, i % M);
    }
    return ids;
}

int32_t *case_ids(Case *c, Rng *rng, int64_t B, int64_t M, int64_t P) {
    c->n_ids = B * M;
    return c->ids = random_ids(rng, B, M, P);
}

static float *add(Case *c, Rng *rng, BufferKind kind, Number type, int64_t n) {
    ASSERT(c->n < CASE_BUFFERS, "%d buffers", c->n);
    float *host = malloc((size_t)n * sizeof *host);
    if (kind != OUTPUT) rng_fill_range(rng, -1, 1, host, n);
    for (int64_t i = 0; kind == OUTPUT && i < n; i++) host[i] = NAN;
    c->buffers[c->n].kind = kind;
    c->buffers[c->n].type = type;
    c->buffers[c->n].n = n;
    c->buffers[c->n].host = host;
    c->n++;
    return host;
}

float *case_real(Case *c, Rng *rng, BufferKind kind, int64_t n) {
    return add(c, rng, kind, NUMBER_REAL, n);
}

float *case_wide(Case *c, Rng *rng, BufferKind kind, int64_t n) {
    return add(c, rng, kind, NUMBER_WIDE, n);
}

float *case_weight(Case *c, Rng *rng, BufferKind kind, int64_t n) {
    c->buffers[c->n].is_weight = true;
    return add(c, rng, kind, NUMBER_WIDE, n);
}

static double *fetch(Device *d, const void *p, Number type, int64_t n) {
    double *x = malloc((size_t)n * sizeof *x);
    if (device_bytes(d, type, 1) == sizeof *x) {
        device_download(d, x, p, (size_t)n * sizeof *x);
        return x;
    }
    float *numbers = malloc((size_t)n * sizeof *numbers);
    device_download_floats(d, numbers, p, type, n);
    for (int64_t i = 0; i < n; i++) x[i] = (double)numbers[i];
    free(numbers);
    return x;
}

static bool is_narrow(const Device *d) {
    return d->kernels.real_bytes < sizeof(float);
}

static void round_to_real(Device *d, float *x, int64_t n) {
    size_t bytes = device_bytes(d, NUMBER_REAL, n);
    void *reals = device_alloc(d, bytes);
    device_upload_floats(d, reals, NUMBER_REAL, x, n);
    device_download_floats(d, x, reals, NUMBER_REAL, n);
    device_free(d, reals, bytes);
}

static void upload(Device *d, void *p, Number type, const double *x, int64_t n) {
    float *numbers = malloc((size_t)n * sizeof *numbers);
    for (int64_t i = 0; i < n; i++) numbers[i] = (float)x[i];
    device_upload_floats(d, p, type, numbers, n);
    free(numbers);
}

/* stored: NULL, or what `then` reads in place of what the call has written here. */
static void run_then(const Case *c, Device *d, void **p, const Results *stored, Results *r) {
    for (int i = 0; i < c->n; i++) {
        r->first[i] = fetch(d, p[i], c->buffers[i].type, c->buffers[i].n);
        if (stored && c->buffers[i].kind == OUTPUT)
            upload(d, p[i], c->buffers[i].type, stored->first[i], c->buffers[i].n);
    }
}

static Results run(const Case *c, Device *d, const Results *stored) {
    Results r = {{NULL}, {NULL}};
    void *p[CASE_BUFFERS] = {NULL};
    for (int i = 0; i < c->n; i++) {
        p[i] = device_alloc(d, device_bytes(d, c->buffers[i].type, c->buffers[i].n));
        device_upload_floats(d, p[i], c->buffers[i].type, c->buffers[i].host, c->buffers[i].n);
    }
    Case on_device = *c;
    size_t ids_bytes = (size_t)c->n_ids * sizeof *c->ids;
    int32_t *ids = device_alloc(d, ids_bytes);
    if (c->ids) device_upload(d, ids, c->ids, ids_bytes);
    on_device.ids = c->ids ? ids : NULL;
    c->call(d, p, &on_device);
    if (c->then) {
        run_then(c, d, p, stored, &r);
        c->then(d, p, &on_device);
    }
    device_free(d, ids, ids_bytes);
    for (int i = 0; i < c->n; i++) {
        r.data[i] = fetch(d, p[i], c->buffers[i].type, c->buffers[i].n);
        device_free(d, p[i], device_bytes(d, c->buffers[i].type, c->buffers[i].n));
    }
    return r;
}

static void free_results(const Case *c, Results *r) {
    for (int i = 0; i < c->n; i++) {
        free(r->first[i]);
        free(r->data[i]);
    }
}

void case_run(const Case *c, Device *d) {
    Results r = run(c, d, NULL);
    free_results(c, &r);
}

static void complain(const Case *c, const Device *d, int i, int64_t k, double g, double w,
                     double allowed) {
    ck_abort_msg("%s/%s, shape %lld %lld %lld %lld, flags %d, accumulate %d: buffer %d element "
                 "%lld is %.9g, not %.9g (off by %.2g, allowed %.2g)",
                 d->name, d->isa, (long long)c->dim[0], (long long)c->dim[1], (long long)c->dim[2],
                 (long long)c->dim[3], c->flags, c->accumulate, i, (long long)k, g, w, fabs(g - w),
                 allowed);
}

/* early: before `then`, so that what is not written yet is NaN. */
static bool compare(const Case *c, const Device *d, double *const *got, double *const *want,
                    bool early, bool abort) {
    for (int i = 0; i < c->n && !isinf(c->growth); i++) {
        if (is_narrow(d) && c->buffers[i].is_weight) continue; /* its row read it rounded */
        bool rounds = is_narrow(d) && c->buffers[i].type == NUMBER_REAL;
        for (int64_t k = 0; k < c->buffers[i].n; k++) {
            double w = want[i][k], g = got[i][k];
            if ((c->nan_expected || early) && isnan(w) && isnan(g)) continue;
            double allowed = (double)FLT_EPSILON * c->growth * fmax(1, fabs(w));
            if (rounds) allowed += BF16_ROUNDING * fabs(w);
            if (fabs(g - w) <= allowed) continue; /* a ck_assert is a write to a file each */
            if (abort) complain(c, d, i, k, g, w, allowed);
            return false;
        }
    }
    return true;
}

static void compare_bits(const Case *c, const Device *d, const Results *got, const Results *one) {
    for (int i = 0; i < c->n; i++)
        ck_assert_msg(!memcmp(one->data[i], got->data[i], (size_t)c->buffers[i].n * sizeof(double)),
                      "%s/%s: buffer %d differs between 1 and %d threads", d->name, d->isa, i,
                      d->n_threads);
}

static Results expected(const Case *c, const Results *stored) {
    Device *ref64 = open_device(device_words[DEVICE_REF64], 1, NULL);
    Results want = run(c, ref64, stored);
    device_close(ref64);
    return want;
}

/* What ref64 makes of the values that d reads, and has stored. */
static Results expected_of(const Case *c, Device *d, const Results *stored) {
    Case rounded = *c;
    for (int i = 0; i < c->n; i++) {
        size_t bytes = (size_t)c->buffers[i].n * sizeof(float);
        float *x = rounded.buffers[i].host = malloc(bytes);
        memcpy(x, c->buffers[i].host, bytes);
        if (c->buffers[i].type == NUMBER_REAL || c->buffers[i].is_weight)
            round_to_real(d, x, c->buffers[i].n);
    }
    Results want = expected(&rounded, stored);
    for (int i = 0; i < c->n; i++) free(rounded.buffers[i].host);
    return want;
}

/* On a device with a narrow Real. */
static bool agrees(const Case *c, Device *d, const Results *got, bool abort) {
    Results want = expected_of(c, d, got);
    bool ok = (!c->then || compare(c, d, got->first, want.first, true, abort)) &&
              compare(c, d, got->data, want.data, false, abort);
    free_results(c, &want);
    return ok;
}

static bool run_and_agree(const Case *c, Device *d) {
    Results got = run(c, d, NULL);
    bool ok = agrees(c, d, &got, false);
    free_results(c, &got);
    return ok;
}

void case_finds(Case *c, void (*put_fault_in)(Kernels *k)) {
    Device *d = open_device(device_words[DEVICE_REFBF16], 1, NULL);
    ck_assert(run_and_agree(c, d));
    put_fault_in(&d->kernels);
    ck_assert(!run_and_agree(c, d));
    device_close(d);
    case_free(c);
}

static void check_values(const Case *c, Device *d, const Results *got, const Results *want) {
    if (is_narrow(d))
        (void)agrees(c, d, got, true);
    else
        (void)compare(c, d, got->data, want->data, false, true);
}

static void check_device(const Case *c, const char *name, const char *isa, int most_threads,
                         const Results *want) {
    Results one = {{NULL}, {NULL}};
    for (int threads = 1; threads <= most_threads; threads++) {
        Device *d = open_device(name, threads, isa);
        Results got = run(c, d, NULL);
        if (threads == 1) {
            check_values(c, d, &got, want);
            one = got;
        } else {
            compare_bits(c, d, &got, &one);
            free_results(c, &got);
        }
        device_close(d);
    }
    free_results(c, &one);
}

void case_check(Case *c) {
    Results want = expected(c, NULL);
    for (int kind = 0; kind < TEST_DEVICES; kind++) {
        if (kind == DEVICE_CPU) {
            for (const char *const *isa = device_isas(); *isa; isa++)
                check_device(c, device_words[kind], *isa, 3, &want);
        } else if (kind != DEVICE_REF64) {
            check_device(c, test_device_words[kind], NULL, 1, &want);
        }
    }
    free_results(c, &want);
    case_free(c);
}

void case_free(Case *c) {
    for (int i = 0; i < c->n; i++) free(c->buffers[i].host);
    free(c->ids);
}
