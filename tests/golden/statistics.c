/* Statistics are Wide on a device of precision bf16: they add no error to that of the activations
 * they are taken of. In bf16 they would be off by 2^-8 at most, which is too little to be seen in
 * results that many activations were rounded for. So each call's statistics are compared with those
 * that "ref64" finds for the same stored activations. Float sums may be off by 1e-5. */
#include <math.h>

#include "golden.h"

static const Limit WIDE_SUMS = {1e-5, INFINITY};

static Golden *golden; /* whose device is watched; NULL: none */
static Device *exact;  /* "ref64" */
static Kernels watched;

/* --- numbers of one device on the other ------------------------------------------------------- */

static float *fetch(Device *d, const void *p, Number type, int64_t n) {
    float *host = golden_memory(golden, n, sizeof *host);
    device_download_floats(d, host, p, type, n);
    return host;
}

static void *room(Number type, int64_t n) {
    void *p = device_alloc(exact, device_bytes(exact, type, n));
    ASSERT(p, "no memory for %lld numbers", (long long)n);
    return p;
}

static void *twin(const void *p, Number type, int64_t n) {
    void *copy = room(type, n);
    device_upload_floats(exact, copy, type, fetch(golden->device, p, type, n), n);
    return copy;
}

static void give_back(void *p, Number type, int64_t n) {
    device_free(exact, p, device_bytes(exact, type, n));
}

/* Frees the twin. */
static void compare(const char *what, const Wide *got, Wide *want, int64_t n) {
    compare_reals(golden, what, fetch(golden->device, got, NUMBER_WIDE, n),
                  fetch(exact, want, NUMBER_WIDE, n), n, WIDE_SUMS);
    give_back(want, NUMBER_WIDE, n);
}

/* --- rows ------------------------------------------------------------------------------------- */

static void layernorm(Device *d, Real *y, Wide *mean, Wide *rstd, const Real *x, const Wide *w,
                      const Wide *b, int64_t R, int64_t C, double eps) {
    watched.layernorm_forward(d, y, mean, rstd, x, w, b, R, C, eps);
    Real *from = twin(x, NUMBER_REAL, R * C), *result = room(NUMBER_REAL, R * C);
    Wide *scale = twin(w, NUMBER_WIDE, C), *shift = twin(b, NUMBER_WIDE, C);
    Wide *means = room(NUMBER_WIDE, R), *rstds = room(NUMBER_WIDE, R);
    exact->kernels.layernorm_forward(exact, result, means, rstds, from, scale, shift, R, C, eps);
    compare("means of a layer norm", mean, means, R);
    compare("rstd of a layer norm", rstd, rstds, R);
    give_back(from, NUMBER_REAL, R * C);
    give_back(result, NUMBER_REAL, R * C);
    give_back(scale, NUMBER_WIDE, C);
    give_back(shift, NUMBER_WIDE, C);
}

static void attention(Device *d, Real *o, Wide *lse, const Real *qkv, int64_t B, int64_t T,
                      int64_t H, int64_t D, void *scratch) {
    watched.attention_forward(d, o, lse, qkv, B, T, H, D, scratch);
    int64_t width = B * T * H * D;
    size_t bytes = exact->kernels.attention_scratch(exact, B, T, H, D);
    Real *from = twin(qkv, NUMBER_REAL, 3 * width), *result = room(NUMBER_REAL, width);
    Wide *denominators = room(NUMBER_WIDE, B * H * T);
    void *area = device_alloc(exact, bytes);
    exact->kernels.attention_forward(exact, result, denominators, from, B, T, H, D, area);
    compare("softmax denominators", lse, denominators, B * H * T);
    give_back(from, NUMBER_REAL, 3 * width);
    give_back(result, NUMBER_REAL, width);
    device_free(exact, area, bytes);
}

static void masked_mse(Device *d, Wide *loss, Wide *per_patch, const Real *pred, const Wide *target,
                       const Wide *mask, const int32_t *ids, int64_t B, int64_t M, int64_t P,
                       int64_t V) {
    watched.masked_mse_forward(d, loss, per_patch, pred, target, mask, ids, B, M, P, V);
    size_t ids_bytes = (size_t)(B * M) * sizeof *ids;
    int32_t *host_ids = golden_memory(golden, B * M, sizeof *ids);
    int32_t *listed = device_alloc(exact, ids_bytes);
    Real *from = twin(pred, NUMBER_REAL, B * M * V);
    Wide *wanted = twin(target, NUMBER_WIDE, B * M * V), *masks = twin(mask, NUMBER_WIDE, B * P);
    Wide *mean = room(NUMBER_WIDE, 1), *losses = room(NUMBER_WIDE, B * M);
    device_download(d, host_ids, ids, ids_bytes);
    device_upload(exact, listed, host_ids, ids_bytes);
    exact->kernels.masked_mse_forward(exact, mean, losses, from, wanted, masks, listed, B, M, P, V);
    compare("mean of the losses of patches", loss, mean, 1);
    compare("losses of patches", per_patch, losses, B * M);
    give_back(from, NUMBER_REAL, B * M * V);
    give_back(wanted, NUMBER_WIDE, B * M * V);
    give_back(masks, NUMBER_WIDE, B * P);
    device_free(exact, listed, ids_bytes);
}

static void cross_entropy(Device *d, Wide *loss, Wide *probability, const Real *logits,
                          const Wide *targets, int64_t B, int64_t C) {
    watched.soft_cross_entropy_forward(d, loss, probability, logits, targets, B, C);
    Real *from = twin(logits, NUMBER_REAL, B * C);
    Wide *wanted = twin(targets, NUMBER_WIDE, B * C);
    Wide *mean = room(NUMBER_WIDE, 1), *probabilities = room(NUMBER_WIDE, B * C);
    exact->kernels.soft_cross_entropy_forward(exact, mean, probabilities, from, wanted, B, C);
    compare("mean of the losses of images", loss, mean, 1);
    compare("probabilities", probability, probabilities, B * C);
    give_back(from, NUMBER_REAL, B * C);
    give_back(wanted, NUMBER_WIDE, B * C);
}

bool golden_watch_statistics(Golden *g) {
    Kernels *k = &g->device->kernels;
    if (device_open(device_words[DEVICE_REF64], 0, NULL, &exact, NULL) != MAE_OK) return false;
    golden = g;
    watched = *k;
    k->layernorm_forward = layernorm;
    k->attention_forward = attention;
    k->masked_mse_forward = masked_mse;
    k->soft_cross_entropy_forward = cross_entropy;
    return true;
}

void golden_unwatch_statistics(void) {
    if (golden) golden->device->kernels = watched;
    golden = NULL;
    device_close(exact);
    exact = NULL;
}
