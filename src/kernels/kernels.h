/* What a device computes: one table of kernels. ref/ fills every row with plain loops; it is
 * tutorial, specification and test oracle. cpu/ overwrites the rows that pay. A GPU would fill all.
 * The other table of a device, its memory, is in device.h.
 *
 * Pointers are device addresses of contiguous row-major arrays. A device has two types of number:
 *   Real  activations and their gradients;
 *   Wide  parameters, their gradients, moments and averages; statistics, images, targets, losses.
 * Both are float on most devices, and double in the reference for gradient checks; with precision
 * bf16 Real is bf16 and Wide float. What is stored as Real is rounded to nearest even; within a row
 * the numbers between are Wide or better. A product (linear_*) reads its weights as if they were
 * rounded to Real. ref rounds them while it reads. A device that keeps rounded copies makes them
 * anew after all that writes to a weight: rows of the optimiser, uploads, copies, swaps.
 *
 * Ids are int32, loaded images uint8. The first element is aligned to 64 bytes. Outputs never
 * overlap inputs unless the row says so. Gradients of parameters are always added to. Gradients of
 * activations are added to when `accumulate` is true, and written otherwise. Results do not depend
 * on the number of threads: shapes decide how work is split, and partial sums are combined in a
 * fixed order. No kernel allocates; a row that needs scratch says how much.
 *
 * Capitals: B images, C width (channels for images), D head width, H heads, I/O inputs and outputs
 * of a linear layer, K kept patches, M listed patches, P patches, R rows, T tokens, V values in a
 * prediction. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Device Device;

/* In place of types that the device alone knows. */
typedef void Real;
typedef void Wide;

typedef enum Number {
    NUMBER_REAL,
    NUMBER_WIDE,
    NUMBER_I32,
    NUMBER_U8, /* of pixels, and the next two; F32 is float on every device */
    NUMBER_U16,
    NUMBER_F32
} Number;

/* Where the patches of an image lie: patch i is at row i / (width / patch), row-major. */
typedef struct PatchGrid {
    int64_t channels, height, width, patch;
} PatchGrid;

/* A tensor of a list: what a row reads or writes of it, and what sets it apart from the others. The
 * list itself is an array in host memory, filled once and used in every update. */
typedef struct Segment {
    Wide *p, *g;  /* weights, gradient */
    Wide *m, *v;  /* moments; m: also a running average */
    int64_t n;    /* elements of each */
    double trust; /* of SGD: 0 or the trust coefficient of LARS */
    double lr_scale, weight_decay;
} Segment;

typedef struct AdamW {
    double lr, beta1, beta2, eps;
    double correction1, correction2; /* 1 - beta^t */
    double gradient_scale;           /* multiplies g first: clipping, accumulation */
} AdamW;

typedef struct Sgd {
    double lr, momentum;
    double gradient_scale; /* as above */
} Sgd;

typedef struct Kernels {
    size_t real_bytes, wide_bytes;
    bool is_host; /* a call has ended when it returns, and reading its result costs nothing */
    bool remakes; /* the backward pass computes layer norms and GELU again, to save memory */

    /* --- matmul: linear layers, weights [O,I] as published ------------------------------------ */

    /* s = x[R,I] w^T + b[O] (+ residual[R,O] unless NULL). pre NULL: y = s. Otherwise pre = s and
     * y = gelu(s), the exact erf form. b may be NULL. residual may be y. */
    void (*linear_forward)(Device *d, Real *y, Real *pre, const Real *x, const Wide *w,
                           const Wide *b, const Real *residual, int64_t R, int64_t I, int64_t O,
                           void *scratch);
    /* dx[R,I] (+)= dy[R,O] w. With gelu_of[R,I], the input was gelu(gelu_of) and the result is the
     * gradient of gelu_of: dx = (dy w) * gelu'(gelu_of), and accumulate is false. On a device that
     * remakes, gelu_of itself becomes gelu(gelu_of), as linear_forward computed it. */
    void (*linear_backward_input)(Device *d, Real *dx, const Real *dy, const Wide *w, Real *gelu_of,
                                  int64_t R, int64_t I, int64_t O, bool accumulate, void *scratch);
    /* dw[O,I] (+)= dy^T x; db[O] += column sums of dy. Either may be NULL; x is not read then when
     * dw is. */
    void (*linear_backward_weight)(Device *d, Wide *dw, Wide *db, const Real *dy, const Real *x,
                                   int64_t R, int64_t I, int64_t O, bool accumulate, void *scratch);
    size_t (*linear_scratch)(const Device *d, int64_t R, int64_t I, int64_t O); /* of any of them */

    /* --- activation --------------------------------------------------------------------------- */

    /* dx[n] = dy * gelu'(pre); dx may be dy. */
    void (*gelu_backward)(Device *d, Real *dx, const Real *dy, const Real *pre, int64_t n);

    /* --- norm --------------------------------------------------------------------------------- */

    /* Per row: y = (x - mean) * rstd * w + b, rstd = 1/sqrt(var + eps), biased variance.
     * mean[R], rstd[R] are saved. */
    void (*layernorm_forward)(Device *d, Real *y, Wide *mean, Wide *rstd, const Real *x,
                              const Wide *w, const Wide *b, int64_t R, int64_t C, double eps);
    /* dx[R,C] (+)=, dw[C] +=, db[C] +=; what is frozen is NULL. */
    void (*layernorm_backward)(Device *d, Real *dx, Wide *dw, Wide *db, const Real *dy,
                               const Real *x, const Wide *mean, const Wide *rstd, const Wide *w,
                               int64_t R, int64_t C, bool accumulate, void *scratch);
    size_t (*layernorm_scratch)(const Device *d, int64_t R, int64_t C); /* bytes, backward */
    /* Batch normalisation without weights. Per column of x[B,C], B >= 2: y = (x - mean) /
     * sqrt(var + eps) with the mean and biased variance of the batch; running_mean[C] and
     * running_var[C] become (1-momentum) * old + momentum * (mean, unbiased variance) of the batch;
     * count[1] += 1. y may be x. There is no backward row: what lies below is frozen. */
    void (*batchnorm_train)(Device *d, Real *y, Wide *running_mean, Wide *running_var, Wide *count,
                            const Real *x, int64_t B, int64_t C, double eps, double momentum);
    /* The same with the running mean and variance in place of the batch's. y may be x. */
    void (*batchnorm_infer)(Device *d, Real *y, const Wide *running_mean, const Wide *running_var,
                            const Real *x, int64_t B, int64_t C, double eps);

    /* --- attention: every image and head on its own ------------------------------------------- */

    /* qkv[B,T,3,H,D], o[B,T,H,D]; o = softmax(q k^T / sqrt(D)) v; lse[B,H,T] is the log of the
     * softmax denominator (of the scaled scores), saved for the backward pass. */
    void (*attention_forward)(Device *d, Real *o, Wide *lse, const Real *qkv, int64_t B, int64_t T,
                              int64_t H, int64_t D, void *scratch);
    /* dqkv is written. */
    void (*attention_backward)(Device *d, Real *dqkv, const Real *dout, const Real *o,
                               const Wide *lse, const Real *qkv, int64_t B, int64_t T, int64_t H,
                               int64_t D, void *scratch);
    size_t (*attention_scratch)(const Device *d, int64_t B, int64_t T, int64_t H, int64_t D);

    /* --- patch: between images and tokens ----------------------------------------------------- */

    /* out[B,C,h,w] = (u[B,h,w,C] - mean[C]) / std[C], where u is of images[B,h,w,C]: U8 / 255,
     * U16 / 65535, or F32 as it is. Each step is rounded to float as published. mean and std are
     * host arrays. */
    void (*image_normalize)(Device *d, Wide *out, const void *images, Number type,
                            const float *mean, const float *std, int64_t B, PatchGrid g);
    /* out[B,M,C*p*p] = the listed patches, order (channel, row, column): input of the embedding. */
    void (*patch_gather)(Device *d, Real *out, const Wide *images, const int32_t *ids, int64_t B,
                         int64_t M, PatchGrid g);
    /* out[B,M,p*p*C] = the listed patches, order (row, column, channel): the target. normalize:
     * each patch minus its mean, over sqrt(unbiased variance + 1e-6), statistics in double. */
    void (*patch_target)(Device *d, Wide *out, const Wide *images, const int32_t *ids, int64_t B,
                         int64_t M, PatchGrid g, bool normalize);

    /* --- tokens: assembling, shuffling, pooling ----------------------------------------------- */

    /* y[B,1+M,C]: row 0 = cls + pos[0]; row 1+i = x[b,i] + pos[1+ids[b,i]]. pos[1+P,C] or NULL. */
    void (*tokens_embed_forward)(Device *d, Real *y, const Real *x, const Wide *cls,
                                 const Wide *pos, const int32_t *ids, int64_t B, int64_t M,
                                 int64_t C);
    /* dx[B,M,C]; dcls[C], dpos[1+P,C] are added to; each may be NULL. */
    void (*tokens_embed_backward)(Device *d, Real *dx, Wide *dcls, Wide *dpos, const Real *dy,
                                  const int32_t *ids, int64_t B, int64_t M, int64_t C,
                                  bool accumulate);
    /* y[B,1+P,C] from x[B,1+K,C]: row 0 = x[b,0] + pos[0]; row 1+j = pos[1+j] + x[b,1+r] when
     * r = restore[b,j] < K, else + token[C]. pos may not be NULL. restore NULL: K = P, r = j, and
     * token (dtoken) is NULL. */
    void (*tokens_restore_forward)(Device *d, Real *y, const Real *x, const Wide *token,
                                   const Wide *pos, const int32_t *restore, int64_t B, int64_t K,
                                   int64_t P, int64_t C);
    void (*tokens_restore_backward)(Device *d, Real *dx, Wide *dtoken, Wide *dpos, const Real *dy,
                                    const int32_t *restore, int64_t B, int64_t K, int64_t P,
                                    int64_t C, bool accumulate);
    /* y[B,M,C] = x[b,1+ids[b,i]] of x[B,1+P,C]. No id is listed twice for an image. */
    void (*tokens_gather_forward)(Device *d, Real *y, const Real *x, const int32_t *ids, int64_t B,
                                  int64_t M, int64_t P, int64_t C);
    void (*tokens_gather_backward)(Device *d, Real *dx, const Real *dy, const int32_t *ids,
                                   int64_t B, int64_t M, int64_t P, int64_t C, bool accumulate);
    /* y[B,C] = mean over the T-1 tokens after cls of x[B,T,C]. */
    void (*tokens_mean_forward)(Device *d, Real *y, const Real *x, int64_t B, int64_t T, int64_t C);
    void (*tokens_mean_backward)(Device *d, Real *dx, const Real *dy, int64_t B, int64_t T,
                                 int64_t C, bool accumulate);
    /* y[B,C] = x[b,0] of x[B,T,C]. Backward writes zeros to the other tokens unless accumulate. */
    void (*tokens_cls_forward)(Device *d, Real *y, const Real *x, int64_t B, int64_t T, int64_t C);
    void (*tokens_cls_backward)(Device *d, Real *dx, const Real *dy, int64_t B, int64_t T,
                                int64_t C, bool accumulate);

    /* --- residual: stochastic depth (arXiv 1603.09382), scale[B] is 0 or 1/keep ----------------
     */

    /* y[B,n] = residual + scale[b] * x[B,n], n elements an image. y may be residual or x. */
    void (*scaled_residual_forward)(Device *d, Real *y, const Real *x, const Real *residual,
                                    const Wide *scale, int64_t B, int64_t n);
    /* dx[B,n] (+)= scale[b] * dy; the gradient of the residual is dy. */
    void (*scaled_residual_backward)(Device *d, Real *dx, const Real *dy, const Wide *scale,
                                     int64_t B, int64_t n, bool accumulate);

    /* --- loss --------------------------------------------------------------------------------- */

    /* per_patch[B,M] = mean over V of (pred - target)^2; loss[1] = sum(w * per_patch) / sum(w) with
     * w = mask[b, ids[b,i]], mask[B,P] (1 = removed). Sums in double. */
    void (*masked_mse_forward)(Device *d, Wide *loss, Wide *per_patch, const Real *pred,
                               const Wide *target, const Wide *mask, const int32_t *ids, int64_t B,
                               int64_t M, int64_t P, int64_t V);
    /* dpred (+)= dloss[1] * d loss / d pred. */
    void (*masked_mse_backward)(Device *d, Real *dpred, const Wide *dloss, const Real *pred,
                                const Wide *target, const Wide *mask, const int32_t *ids, int64_t B,
                                int64_t M, int64_t P, int64_t V, bool accumulate);
    /* Targets are any numbers, usually a distribution per image (labels smoothed or mixed).
     * loss[1] = -mean over images of sum_c targets[B,C] * log_softmax(logits[B,C]), sums in double;
     * probability[B,C] = softmax(logits), saved. */
    void (*soft_cross_entropy_forward)(Device *d, Wide *loss, Wide *probability, const Real *logits,
                                       const Wide *targets, int64_t B, int64_t C);
    /* dlogits (+)= dloss[1] / B * (probability * sum_c(targets) - targets). */
    void (*soft_cross_entropy_backward)(Device *d, Real *dlogits, const Wide *dloss,
                                        const Wide *probability, const Wide *targets, int64_t B,
                                        int64_t C, bool accumulate);

    /* --- elementwise -------------------------------------------------------------------------- */

    void (*add)(Device *d, Real *y, const Real *x, int64_t n); /* y += x */

    /* --- optimiser: one call for a list of `count` tensors ------------------------------------ */

    /* sums[count] (device, double) = sum of the squares of g; not finite exactly when an element is
     * not (or the sum overflows). */
    void (*sum_squares)(Device *d, double *sums, const Segment *list, int64_t count);
    /* As torch.optim.AdamW: p *= 1 - lr*wd; m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g*g;
     * p -= lr/correction1 * m / (sqrt(v)/sqrt(correction2) + eps), with lr = a.lr * lr_scale. */
    void (*adamw)(Device *d, const Segment *list, int64_t count, AdamW a);
    /* As torch.optim.SGD without dampening: g = gradient_scale*g + wd*p; m = momentum*m + rate*g;
     * p -= lr*m. m, the momentum buffer, is zero at first. rate is 1, or with trust (LARS, You et
     * al., arXiv 1708.03888) trust * |p| / |g| where both norms are above zero. */
    void (*sgd)(Device *d, const Segment *list, int64_t count, Sgd a);
    /* The running average of weights: m = decay*m + (1-decay)*p. */
    void (*average)(Device *d, const Segment *list, int64_t count, double decay);
} Kernels;

#endif
