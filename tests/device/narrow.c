/* See narrow.h. */
#include "narrow.h"

#include <string.h>

#include "base/tensor.h"

/* What refcut and refdrawn call in place of f32_to_bf16. */
uint16_t f32_cut_to_bf16(float v);
uint16_t f32_drawn_to_bf16(float v);

static Kernels right; /* rows of refbf16 */
static uint32_t seed;

static uint32_t bits_of(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

uint16_t f32_cut_to_bf16(float v) {
    return (uint16_t)(bits_of(v) >> 16);
}

void narrow_seed(uint32_t new_seed) {
    seed = new_seed;
}

/* Multiplications and shifts that make each bit of the result depend on all bits of x. */
static uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352d;
    x = (x ^ x >> 15) * 0x846ca68b;
    return x ^ x >> 16;
}

/* The lower half of the bits, as a fraction, is the probability of rounding away from zero. */
uint16_t f32_drawn_to_bf16(float v) {
    uint32_t bits = bits_of(v);
    return (uint16_t)((bits + (mix(bits ^ mix(seed)) & 0xffff)) >> 16);
}

/* --- wides in bf16 ---------------------------------------------------------------------------- */

/* x[n] as it would be if it were stored in bf16. */
static void narrow(void *x_, int64_t n) {
    float *x = x_;
    for (int64_t i = 0; i < n; i++) x[i] = bf16_to_f32(f32_to_bf16(x[i]));
}

static void layernorm(Device *d, Real *y, Wide *mean, Wide *rstd, const Real *x, const Wide *w,
                      const Wide *b, int64_t R, int64_t C, double eps) {
    right.layernorm_forward(d, y, mean, rstd, x, w, b, R, C, eps);
    narrow(mean, R);
    narrow(rstd, R);
}

void narrow_layernorm(Kernels *k) {
    right = *k;
    k->layernorm_forward = layernorm;
}

static void attention(Device *d, Real *o, Wide *lse, const Real *qkv, int64_t B, int64_t T,
                      int64_t H, int64_t D, void *scratch) {
    right.attention_forward(d, o, lse, qkv, B, T, H, D, scratch);
    narrow(lse, B * H * T);
}

void narrow_attention(Kernels *k) {
    right = *k;
    k->attention_forward = attention;
}

static void batchnorm(Device *d, Real *y, Wide *running_mean, Wide *running_var, Wide *count,
                      const Real *x, int64_t B, int64_t C, double eps, double momentum) {
    right.batchnorm_train(d, y, running_mean, running_var, count, x, B, C, eps, momentum);
    narrow(running_mean, C);
    narrow(running_var, C);
}

void narrow_batchnorm(Kernels *k) {
    right = *k;
    k->batchnorm_train = batchnorm;
}

static void losses(Device *d, Wide *loss, Wide *per_patch, const Real *pred, const Wide *target,
                   const Wide *mask, const int32_t *ids, int64_t B, int64_t M, int64_t P,
                   int64_t V) {
    right.masked_mse_forward(d, loss, per_patch, pred, target, mask, ids, B, M, P, V);
    narrow(per_patch, B * M);
}

void narrow_losses(Kernels *k) {
    right = *k;
    k->masked_mse_forward = losses;
}

static void probabilities(Device *d, Wide *loss, Wide *probability, const Real *logits,
                          const Wide *targets, int64_t B, int64_t C) {
    right.soft_cross_entropy_forward(d, loss, probability, logits, targets, B, C);
    narrow(probability, B * C);
}

void narrow_probabilities(Kernels *k) {
    right = *k;
    k->soft_cross_entropy_forward = probabilities;
}

static void masters(Device *d, const Segment *list, int64_t count, AdamW a) {
    right.adamw(d, list, count, a);
    for (int64_t i = 0; i < count; i++) narrow(list[i].p, list[i].n);
}

void narrow_masters(Kernels *k) {
    right = *k;
    k->adamw = masters;
}
