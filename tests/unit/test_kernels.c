/* Every row of every table of this machine against ref64, on shapes that include 1 and odd sizes.
 *
 * Tolerances are float epsilon x growth. A sum of n terms of size 1, added one after another, may
 * be off by about n/2 epsilon, which is the growth given for sums; a few elementary operations give
 * single digits; where logits of size L are exponentiated, their rounding counts L times. In bf16
 * a stored activation may be one rounding off, and whatever is wide may not. */
#include <check.h>

#include "deferred.h"
#include "base/tensor.h"
#include "kernel_case.h"
#include "narrow.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

Suite *suite_kernels(void);

static Rng rng_of_test(uint64_t seed) {
    return rng_make(seed, RNG_SYNTHETIC, 0, 0);
}

/* --- linear ----------------------------------------------------------------------------------- */

enum { BIAS = 1, RESIDUAL = 2, IN_PLACE = 4, PRE = 8, ACCUMULATE = 16 };

static const int64_t LINEAR_SHAPES[][3] = {
    {1, 1, 1},       {1, 7, 5},      {3, 1, 17},    {65, 33, 31}, {129, 48, 16},
    {530, 19, 1040}, {17, 1100, 40}, {1100, 9, 11}, {3, 5, 3105},
};
enum { N_LINEAR_SHAPES = sizeof LINEAR_SHAPES / sizeof *LINEAR_SHAPES };

static Work linear_work(const Case *c) {
    return work_flops(2.0 * (double)(c->dim[0] * c->dim[1] * c->dim[2]));
}

static void call_linear_forward(Device *d, void **p, const Case *c) {
    const void *residual = c->flags & IN_PLACE ? p[0] : c->flags & RESIDUAL ? p[1] : NULL;
    size_t bytes = d->kernels.linear_scratch(d, c->dim[0], c->dim[1], c->dim[2]);
    void *scratch = scratch_new(d, bytes);
    ROW(c, d, linear_work(c), linear_forward, p[0], c->flags & PRE ? p[5] : NULL, p[2], p[3],
        c->flags & BIAS ? p[4] : NULL, residual, c->dim[0], c->dim[1], c->dim[2], scratch);
    device_free(d, scratch, bytes);
}

static void make_linear_forward(Case *c, Rng *rng, const int64_t *n, int flags) {
    int64_t R = n[0], I = n[1], O = n[2];
    *c = (Case){.call = call_linear_forward, .dim = {R, I, O}, .flags = flags};
    c->growth = (double)I + 8;
    case_real(c, rng, flags & IN_PLACE ? IN_OUT : OUTPUT, R * O);
    case_real(c, rng, INPUT, R * O);
    case_real(c, rng, INPUT, R * I);
    case_weight(c, rng, INPUT, O * I);
    case_wide(c, rng, INPUT, O);
    case_real(c, rng, flags & PRE ? OUTPUT : INPUT, R * O);
}

START_TEST(linear_forward) {
    Rng rng = rng_of_test((uint64_t)_i);
    for (int flags = 0; flags < 16; flags++) {
        if ((flags & IN_PLACE) && (flags & RESIDUAL)) continue;
        Case c;
        make_linear_forward(&c, &rng, LINEAR_SHAPES[_i], flags);
        case_check(&c);
    }
}
END_TEST

static void call_linear_backward(Device *d, void **p, const Case *c) {
    size_t bytes = d->kernels.linear_scratch(d, c->dim[0], c->dim[1], c->dim[2]);
    void *scratch = scratch_new(d, bytes);
    ROW(c, d, linear_work(c), linear_backward_input, p[0], p[3], p[4], c->flags & PRE ? p[6] : NULL,
        c->dim[0], c->dim[1], c->dim[2], c->accumulate, scratch);
    ROW(c, d, linear_work(c), linear_backward_weight, p[1], c->flags & BIAS ? p[2] : NULL, p[3],
        p[5], c->dim[0], c->dim[1], c->dim[2], c->accumulate, scratch);
    device_free(d, scratch, bytes);
}

static void make_linear_backward(Case *c, Rng *rng, const int64_t *n, int flags) {
    int64_t R = n[0], I = n[1], O = n[2];
    *c = (Case){.call = call_linear_backward, .dim = {R, I, O}, .flags = flags};
    c->accumulate = flags & ACCUMULATE;
    c->growth = (double)(R > O ? R : O) + 8;
    case_real(c, rng, c->accumulate ? IN_OUT : OUTPUT, R * I);
    case_wide(c, rng, c->accumulate ? IN_OUT : OUTPUT, O * I);
    case_wide(c, rng, IN_OUT, O);
    case_real(c, rng, INPUT, R * O);
    case_weight(c, rng, INPUT, O * I);
    case_real(c, rng, INPUT, R * I);
    case_real(c, rng, flags & PRE ? IN_OUT : INPUT, R * I);
}

START_TEST(linear_backward) {
    static const int flags[] = {0, BIAS | ACCUMULATE, PRE};
    Rng rng = rng_of_test((uint64_t)_i);
    for (int i = 0; i < 3; i++) {
        Case c;
        make_linear_backward(&c, &rng, LINEAR_SHAPES[_i], flags[i]);
        case_check(&c);
    }
}
END_TEST

/* --- gelu ------------------------------------------------------------------------------------- */

static void call_gelu_backward(Device *d, void **p, const Case *c) {
    ROW(c, d, work_moved(d, 3 * c->dim[0], 0), gelu_backward, c->flags & IN_PLACE ? p[1] : p[0],
        p[1], p[2], c->dim[0]);
}

static void make_gelu_backward(Case *c, Rng *rng, const int64_t *n, int flags) {
    *c = (Case){.call = call_gelu_backward, .dim = {n[0]}, .flags = flags, .growth = 8};
    case_real(c, rng, flags ? INPUT : OUTPUT, n[0]);
    case_real(c, rng, flags ? IN_OUT : INPUT, n[0]);
    float *pre = case_real(c, rng, INPUT, n[0]);
    for (int64_t k = 0; k < n[0]; k++) pre[k] *= 6;
}

/* Far tails, zero and NaN among the inputs. */
START_TEST(gelu_backward) {
    static const int64_t sizes[] = {1, 17, 4096, 9001};
    static const float special[] = {0, -0.0f, 1e-30f, 30, -30, 1e6f, -1e6f, NAN};
    Rng rng = rng_of_test(0);
    for (int i = 0; i < 8; i++) {
        int64_t n = sizes[i / 2];
        Case c;
        make_gelu_backward(&c, &rng, &n, i % 2 ? IN_PLACE : 0);
        c.nan_expected = true;
        for (int64_t k = 0; k < 8 && n > 8; k++) c.buffers[2].host[k * (n / 8)] = special[k];
        case_check(&c);
    }
}
END_TEST

/* --- layernorm -------------------------------------------------------------------------------- */

static const int64_t NORM_SHAPES[][2] = {{1, 1}, {1, 5}, {7, 33}, {130, 48}, {70, 512}, {2100, 3}};
enum { N_NORM_SHAPES = sizeof NORM_SHAPES / sizeof *NORM_SHAPES };

static void call_layernorm(Device *d, void **p, const Case *c) {
    int64_t R = c->dim[0], C = c->dim[1];
    ROW(c, d, work_moved(d, 2 * R * C, 0), layernorm_forward, p[0], p[1], p[2], p[3], p[4], p[5], R,
        C, 1e-2);
    size_t bytes = d->kernels.layernorm_scratch(d, R, C);
    void *scratch = scratch_new(d, bytes);
    ROW(c, d, work_moved(d, (3 + c->accumulate) * R * C, 0), layernorm_backward, p[6], p[7], p[8],
        p[9], p[3], p[1], p[2], p[4], R, C, c->accumulate, scratch);
    device_free(d, scratch, bytes);
}

/* eps = 0.01 bounds rstd by 10, which multiplies the rounding of x - mean; dw, db sum R terms. */
static void make_layernorm(Case *c, Rng *rng, const int64_t *n, int accumulate) {
    int64_t R = n[0], C = n[1];
    *c = (Case){.call = call_layernorm, .dim = {R, C}, .accumulate = accumulate};
    c->growth = 100 + (double)(R + C);
    case_real(c, rng, OUTPUT, R * C);
    case_wide(c, rng, OUTPUT, R);
    case_wide(c, rng, OUTPUT, R);
    float *x = case_real(c, rng, INPUT, R * C);
    for (int64_t i = 0; i < C; i++) x[i] = 3; /* a row without spread */
    case_wide(c, rng, INPUT, C);
    case_wide(c, rng, INPUT, C);
    case_real(c, rng, accumulate ? IN_OUT : OUTPUT, R * C);
    case_wide(c, rng, IN_OUT, C);
    case_wide(c, rng, IN_OUT, C);
    case_real(c, rng, INPUT, R * C);
}

START_TEST(layernorm) {
    Rng rng = rng_of_test((uint64_t)_i);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        Case c;
        make_layernorm(&c, &rng, NORM_SHAPES[_i], accumulate);
        case_check(&c);
    }
}
END_TEST

/* --- attention -------------------------------------------------------------------------------- */

static const int64_t ATTENTION_SHAPES[][4] = {
    {1, 1, 1, 1},   {2, 7, 3, 5},    {3, 6, 2, 16},  {1, 49, 1, 17},
    {1, 50, 2, 64}, {2, 197, 2, 32}, {1, 65, 3, 48}, {1, 133, 1, 20},
};
enum { N_ATTENTION_SHAPES = sizeof ATTENTION_SHAPES / sizeof *ATTENTION_SHAPES };

static void call_attention(Device *d, void **p, const Case *c) {
    const int64_t *n = c->dim;
    double scores = (double)(n[0] * n[2] * n[1] * n[1] * n[3]); /* multiplications of q k^T */
    size_t bytes = d->kernels.attention_scratch(d, n[0], n[1], n[2], n[3]);
    void *scratch = scratch_new(d, bytes);
    ROW(c, d, work_flops(4 * scores), attention_forward, p[0], p[1], p[2], n[0], n[1], n[2], n[3],
        scratch);
    device_free(d, scratch, bytes);
}

static void call_attention_backward(Device *d, void **p, const Case *c) {
    const int64_t *n = c->dim;
    double scores = (double)(n[0] * n[2] * n[1] * n[1] * n[3]);
    size_t bytes = d->kernels.attention_scratch(d, n[0], n[1], n[2], n[3]);
    void *scratch = scratch_new(d, bytes);
    ROW(c, d, work_flops(8 * scores), attention_backward, p[3], p[4], p[0], p[1], p[2], n[0], n[1],
        n[2], n[3], scratch);
    device_free(d, scratch, bytes);
}

/* Buffer 2 is qkv[B,T,3,H,D]. */
static void make_attention(Case *c, Rng *rng, const int64_t *n, int flags) {
    int64_t width = n[0] * n[1] * n[2] * n[3];
    *c = (Case){.call = call_attention, .then = call_attention_backward, .flags = flags};
    for (int i = 0; i < 4; i++) c->dim[i] = n[i];
    c->growth = 16 + (double)(n[1] + n[3]);
    case_real(c, rng, OUTPUT, width);
    case_wide(c, rng, OUTPUT, n[0] * n[1] * n[2]);
    case_real(c, rng, INPUT, 3 * width);
    case_real(c, rng, OUTPUT, 3 * width);
    case_real(c, rng, INPUT, width);
}

/* The same, with another growth where it is not 0; returns qkv. */
static float *attention_case(Case *c, Rng *rng, const int64_t *n, double growth) {
    make_attention(c, rng, n, 0);
    if (growth > 0) c->growth = growth;
    return c->buffers[2].host;
}

START_TEST(attention_random) {
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    const int64_t *n = ATTENTION_SHAPES[_i];
    float *qkv = attention_case(&c, &rng, n, 0);
    for (int64_t i = 0; i < 3 * n[0] * n[1] * n[2] * n[3]; i++) qkv[i] *= 2;
    case_check(&c);
}
END_TEST

/* All keys equal e, all queries about -f e, so that every logit is about -100: exp of it alone
 * would be 0. The rounding of the logits, 100 epsilon, reaches p, and T of them are summed. */
START_TEST(attention_anti_aligned) {
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    const int64_t *n = ATTENTION_SHAPES[_i], T = n[1], HD = n[2] * n[3];
    float *qkv = attention_case(&c, &rng, n, 100.0 * (double)(T + n[3]));
    for (int64_t i = 0; i < n[0] * T * HD; i++) {
        float *row = qkv + i / HD * 3 * HD + i % HD;
        row[0] = -100 / sqrtf((float)n[3]) * (1 + 0.01f * row[0]);
        row[HD] = 1;
    }
    case_check(&c);
}
END_TEST

/* All tokens of an image equal: every p is 1/T. */
START_TEST(attention_equal_rows) {
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    const int64_t *n = ATTENTION_SHAPES[_i], width = 3 * n[2] * n[3];
    float *qkv = attention_case(&c, &rng, n, 0);
    for (int64_t b = 0; b < n[0]; b++) {
        for (int64_t i = width; i < n[1] * width; i++) {
            qkv[b * n[1] * width + i] = qkv[b * n[1] * width + i % width];
        }
    }
    case_check(&c);
}
END_TEST

/* A NaN in one image and head stays there, and is seen in all its rows. */
START_TEST(attention_nan) {
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    const int64_t *n = ATTENTION_SHAPES[_i];
    float *qkv = attention_case(&c, &rng, n, 0);
    qkv[n[2] * n[3]] = NAN;
    c.nan_expected = true;
    case_check(&c);
}
END_TEST

/* Scores so large that their rounding exceeds every exponent: weights stay at most 1. The plain
 * loops of ref do not promise that. */
static void call_attention_bounded(Device *d, void **p, const Case *c) {
    call_attention_backward(d, p, c);
    if (d->kind == DEVICE_REF || d->kind == DEVICE_REF64 || d->kind == DEVICE_REFBF16) return;
    int64_t T = c->dim[1], C = c->dim[2] * c->dim[3], n = T * 3 * C;
    float *dqkv = malloc((size_t)n * sizeof *dqkv);
    device_download_floats(d, dqkv, p[3], NUMBER_REAL, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t most = i / C % 3 == 2 ? T : c->flags * T * 2 * c->dim[3];
        ck_assert_msg(fabsf(dqkv[i]) <= (float)most, "%s: dqkv[%d] = %g", d->name, (int)i,
                      (double)dqkv[i]);
    }
    free(dqkv);
}

START_TEST(attention_huge) {
    static const int sizes[] = {30000, 60000, 100000, 10000000};
    static const int64_t n[] = {1, 50, 2, 64};
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    float *qkv = attention_case(&c, &rng, n, INFINITY);
    c.then = call_attention_bounded;
    c.flags = sizes[_i];
    for (int64_t i = 0, C = n[2] * n[3]; i < n[1] * 3 * C; i++)
        qkv[i] *= i / C % 3 < 2 ? (float)sizes[_i] : 1;
    case_check(&c);
}
END_TEST

/* --- images and patches ----------------------------------------------------------------------- */

static const int64_t GRIDS[][6] = {/* B, listed, then a PatchGrid */
                                   {3, 1, 1, 4, 4, 4},
                                   {3, 12, 3, 12, 18, 3},
                                   {3, 1, 3, 32, 16, 16},
                                   {3, 18, 2, 5, 7, 1},
                                   {2, 3, 64, 4, 8, 2}};
enum { N_GRIDS = sizeof GRIDS / sizeof *GRIDS };

static PatchGrid grid_of(const int64_t *n) {
    return (PatchGrid){.channels = n[2], .height = n[3], .width = n[4], .patch = n[5]};
}

/* Values of the type that flags name, all bytes of 8 bits among them. */
static void fill_pixels(Number type, void *images, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (type == NUMBER_U8) ((uint8_t *)images)[i] = (uint8_t)(i * 37 + i / 256);
        if (type == NUMBER_U16) ((uint16_t *)images)[i] = (uint16_t)(i * 40503 + i / 7);
        if (type == NUMBER_F32) ((float *)images)[i] = (float)(i % 211 - 100) * 0.37f;
    }
}

static void call_normalize(Device *d, void **p, const Case *c) {
    static const float means[] = {0.485f, 0.456f, 0.406f}, stds[] = {0.229f, 0.224f, 0.225f};
    float mean[64], std[64];
    for (int i = 0; i < 64; i++) {
        mean[i] = means[i % 3];
        std[i] = stds[i % 3];
    }
    int64_t n = c->buffers[0].n;
    Number type = (Number)c->flags;
    size_t bytes = device_bytes(d, type, n);
    void *images = malloc(bytes);
    fill_pixels(type, images, n);
    void *pixels = device_alloc(d, bytes);
    device_upload(d, pixels, images, bytes);
    free(images);
    Work work = work_moved(d, 0, n);
    work.amount += (double)bytes;
    ROW(c, d, work, image_normalize, p[0], pixels, type, mean, std, c->dim[0], grid_of(c->dim));
    device_free(d, pixels, bytes);
}

static void make_normalize(Case *c, Rng *rng, const int64_t *n, int flags) {
    *c = (Case){.call = call_normalize, .dim = {n[0], n[1], n[2], n[3], n[4], n[5]}};
    c->flags = flags;
    case_wide(c, rng, OUTPUT, n[0] * n[2] * n[3] * n[4]);
}

static void call_patches(Device *d, void **p, const Case *c) {
    PatchGrid g = grid_of(c->dim);
    int64_t B = c->dim[0], M = c->dim[1], n = c->buffers[0].n;
    ROW(c, d, work_moved(d, n, n), patch_gather, p[0], p[3], c->ids, B, M, g);
    ROW(c, d, work_moved(d, 0, 2 * n), patch_target, p[1], p[3], c->ids, B, M, g, false);
    ROW(c, d, work_moved(d, 0, 2 * n), patch_target, p[2], p[3], c->ids, B, M, g, true);
}

static void make_patches(Case *c, Rng *rng, const int64_t *n, int flags) {
    PatchGrid g = grid_of(n);
    int64_t B = n[0], M = n[1], P = g.height * g.width / (g.patch * g.patch);
    *c = (Case){.call = call_patches, .dim = {n[0], n[1], n[2], n[3], n[4], n[5]}, .growth = 1};
    c->flags = flags;
    case_ids(c, rng, B, M, P);
    int64_t n_listed = B * M * g.channels * g.patch * g.patch;
    case_real(c, rng, OUTPUT, n_listed);
    case_wide(c, rng, OUTPUT, n_listed);
    case_wide(c, rng, OUTPUT, n_listed);
    case_wide(c, rng, INPUT, B * g.channels * g.height * g.width);
}

/* Copies are exact; a normalised patch is computed in double and rounded once. The grid of
 * one-pixel patches and the single channel check the index arithmetic. */
START_TEST(images_and_patches) {
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    for (Number type = NUMBER_U8; type <= NUMBER_F32; type++) {
        make_normalize(&c, &rng, GRIDS[_i], (int)type);
        case_check(&c);
    }
    make_patches(&c, &rng, GRIDS[_i], 0);
    case_check(&c);
}
END_TEST

/* --- tokens ----------------------------------------------------------------------------------- */

static const int64_t TOKEN_SHAPES[][4] = {/* B, kept or listed, P, C */
                                          {1, 1, 1, 1},
                                          {2, 3, 7, 5},
                                          {3, 49, 196, 72},
                                          {40, 4, 4, 130}};
enum { N_TOKEN_SHAPES = sizeof TOKEN_SHAPES / sizeof *TOKEN_SHAPES };

static void call_embed(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], M = c->dim[1], C = c->dim[3];
    bool all = c->flags;
    ROW(c, d, work_moved(d, 2 * B * M * C, 0), tokens_embed_forward, p[0], p[1], p[2],
        all ? p[3] : NULL, c->ids, B, M, C);
}

static void call_embed_backward(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], M = c->dim[1], C = c->dim[3];
    bool all = c->flags;
    ROW(c, d, work_moved(d, (2 + c->accumulate) * B * M * C, 0), tokens_embed_backward,
        all ? p[4] : NULL, all ? p[5] : NULL, p[6], p[0], c->ids, B, M, C, c->accumulate);
}

static void call_restore(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], K = c->dim[1], P = c->dim[2], C = c->dim[3];
    ROW(c, d, work_moved(d, B * (K + P) * C, 0), tokens_restore_forward, p[0], p[1], p[2], p[3],
        c->ids, B, K, P, C);
}

static void call_restore_backward(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], K = c->dim[1], P = c->dim[2], C = c->dim[3];
    bool all = c->flags;
    ROW(c, d, work_moved(d, B * (K + P + c->accumulate * K) * C, 0), tokens_restore_backward, p[4],
        p[5], all ? p[6] : NULL, p[0], c->ids, B, K, P, C, c->accumulate);
}

static void call_gather_and_mean(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], M = c->dim[1], P = c->dim[2], C = c->dim[3];
    ROW(c, d, work_moved(d, 2 * B * M * C, 0), tokens_gather_forward, p[0], p[1], c->ids, B, M, P,
        C);
    ROW(c, d, work_moved(d, B * P * C, 0), tokens_mean_forward, p[3], p[1], B, 1 + P, C);
}

static void call_gather_and_mean_backward(Device *d, void **p, const Case *c) {
    const int64_t B = c->dim[0], M = c->dim[1], P = c->dim[2], C = c->dim[3];
    bool add = c->accumulate;
    ROW(c, d, work_moved(d, B * (add ? 3 * M : M + P) * C, 0), tokens_gather_backward, p[2], p[0],
        c->ids, B, M, P, C, add);
    ROW(c, d, work_moved(d, (1 + add) * B * P * C, 0), tokens_mean_backward, p[4], p[3], B, 1 + P,
        C, add);
}

/* Sums run over at most all tokens of a batch, each of size 2 at most. */
static void start_tokens(Case *c, KernelCall call, KernelCall then, const int64_t *n, int flag) {
    *c = (Case){.call = call, .then = then, .flags = flag, .accumulate = flag};
    for (int i = 0; i < 4; i++) c->dim[i] = n[i];
    c->growth = 2 * (double)(n[0] * (1 + n[2]));
}

static void make_embed(Case *c, Rng *rng, const int64_t *n, int flag) {
    const int64_t B = n[0], M = n[1], P = n[2], C = n[3];
    start_tokens(c, call_embed, call_embed_backward, n, flag);
    case_ids(c, rng, B, M, P);
    case_real(c, rng, OUTPUT, B * (1 + M) * C);
    case_real(c, rng, INPUT, B * M * C);
    case_wide(c, rng, INPUT, C);
    case_wide(c, rng, INPUT, (1 + P) * C);
    case_real(c, rng, IN_OUT, B * M * C);
    case_wide(c, rng, IN_OUT, C);
    case_wide(c, rng, IN_OUT, (1 + P) * C);
}

static void make_restore(Case *c, Rng *rng, const int64_t *n, int flag) {
    const int64_t B = n[0], K = n[1], P = n[2], C = n[3];
    start_tokens(c, call_restore, call_restore_backward, n, flag);
    case_ids(c, rng, B, P, P);
    case_real(c, rng, OUTPUT, B * (1 + P) * C);
    case_real(c, rng, INPUT, B * (1 + K) * C);
    case_wide(c, rng, INPUT, C);
    case_wide(c, rng, INPUT, (1 + P) * C);
    case_real(c, rng, flag ? IN_OUT : OUTPUT, B * (1 + K) * C);
    case_wide(c, rng, IN_OUT, C);
    case_wide(c, rng, IN_OUT, (1 + P) * C);
}

static void make_gather_and_mean(Case *c, Rng *rng, const int64_t *n, int flag) {
    const int64_t B = n[0], M = n[1], P = n[2], C = n[3];
    start_tokens(c, call_gather_and_mean, call_gather_and_mean_backward, n, flag);
    case_ids(c, rng, B, M, P);
    case_real(c, rng, OUTPUT, B * M * C);
    case_real(c, rng, INPUT, B * (1 + P) * C);
    case_real(c, rng, flag ? IN_OUT : OUTPUT, B * (1 + P) * C);
    case_real(c, rng, OUTPUT, B * C);
    case_real(c, rng, flag ? IN_OUT : OUTPUT, B * (1 + P) * C);
}

START_TEST(tokens) {
    static CaseMaker *const makers[] = {make_embed, make_restore, make_gather_and_mean};
    Rng rng = rng_of_test((uint64_t)_i);
    for (int i = 0; i < 6; i++) {
        Case c;
        makers[i % 3](&c, &rng, TOKEN_SHAPES[_i], i / 3);
        case_check(&c);
    }
}
END_TEST

/* --- what the limits for bf16 find ------------------------------------------------------------ */

/* Activations that are cut off instead of rounded, statistics in bf16. */
START_TEST(faults_of_bf16) {
    static const struct {
        void (*put_in)(Kernels *k);
        CaseMaker *make;
        int64_t size[4];
    } faults[] = {{refcut_fill_table, make_layernorm, {7, 33}},
                  {refcut_fill_table, make_linear_forward, {7, 33, 5}},
                  {narrow_layernorm, make_layernorm, {7, 33}},
                  {narrow_attention, make_attention, {2, 7, 3, 5}}};
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    faults[_i].make(&c, &rng, faults[_i].size, 0);
    case_finds(&c, faults[_i].put_in);
}
END_TEST

/* --- loss, elementwise, optimiser ------------------------------------------------------------- */

static void call_masked_mse(Device *d, void **p, const Case *c) {
    const int64_t *n = c->dim, values = n[0] * n[1] * n[3];
    ROW(c, d, work_moved(d, values, values), masked_mse_forward, p[0], p[1], p[2], p[3], p[4],
        c->ids, n[0], n[1], n[2], n[3]);
    ROW(c, d, work_moved(d, (2 + c->accumulate) * values, values), masked_mse_backward, p[5], p[0],
        p[2], p[3], p[4], c->ids, n[0], n[1], n[2], n[3], c->accumulate);
}

/* Sums are in double; differences and products round a few times. */
static void make_masked_mse(Case *c, Rng *rng, const int64_t *n, int accumulate) {
    const int64_t B = n[0], M = n[1], P = n[2], V = n[3];
    *c = (Case){.call = call_masked_mse, .dim = {B, M, P, V}, .accumulate = accumulate};
    c->growth = 8;
    case_ids(c, rng, B, M, P);
    case_wide(c, rng, OUTPUT, 1);
    case_wide(c, rng, OUTPUT, B * M);
    case_real(c, rng, INPUT, B * M * V);
    case_wide(c, rng, INPUT, B * M * V);
    float *mask = case_wide(c, rng, INPUT, B * P);
    for (int64_t i = 0; i < B * P; i++) mask[i] = mask[i] > 0.5f ? 0 : 1;
    mask[c->ids[0]] = 1;
    case_real(c, rng, accumulate ? IN_OUT : OUTPUT, B * M * V);
}

START_TEST(masked_mse) {
    Rng rng = rng_of_test((uint64_t)_i);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        Case c;
        make_masked_mse(&c, &rng, TOKEN_SHAPES[_i], accumulate);
        case_check(&c);
    }
}
END_TEST

static void call_add(Device *d, void **p, const Case *c) {
    ROW(c, d, work_moved(d, 3 * c->dim[0], 0), add, p[0], p[1], c->dim[0]);
}

static void make_add(Case *c, Rng *rng, const int64_t *n, int flags) {
    *c = (Case){.call = call_add, .dim = {n[0]}, .flags = flags, .growth = 8};
    case_real(c, rng, IN_OUT, n[0]);
    case_real(c, rng, INPUT, n[0]);
}

START_TEST(elementwise) {
    static const int64_t sizes[] = {1, 31, 65536, 200003};
    Rng rng = rng_of_test((uint64_t)_i);
    Case c;
    make_add(&c, &rng, &sizes[_i], 0);
    case_check(&c);
}
END_TEST

/* --- benchmark -------------------------------------------------------------------------------- */

/* Batches of 32 (vit_base) and 128 (vit_tiny, 32x32, patch 4), a quarter of the patches kept.
 * Of the two lines of patch_target the second normalises. */
const Bench benches[] = {
    {"linear_forward", "vit_base fc1", make_linear_forward, {1600, 768, 3072}, BIAS | PRE},
    {"linear_forward", "vit_base fc2", make_linear_forward, {1600, 3072, 768}, BIAS | RESIDUAL},
    {"linear_forward", "vit_base qkv", make_linear_forward, {1600, 768, 2304}, BIAS},
    {"linear_forward", "decoder fc1", make_linear_forward, {6304, 512, 2048}, BIAS | PRE},
    {"linear_forward", "vit_tiny fc1", make_linear_forward, {2176, 192, 768}, BIAS | PRE},
    {"linear_backward", "vit_base fc1", make_linear_backward, {1600, 768, 3072}, BIAS},
    {"linear_backward", "vit_base fc2", make_linear_backward, {1600, 3072, 768}, BIAS | PRE},
    {"linear_backward", "vit_base qkv", make_linear_backward, {1600, 768, 2304}, BIAS},
    {"linear_backward", "decoder fc1", make_linear_backward, {6304, 512, 2048}, BIAS},
    {"linear_backward", "vit_tiny fc1", make_linear_backward, {2176, 192, 768}, BIAS},
    {"gelu", "vit_base", make_gelu_backward, {1600 * 3072}, 0},
    {"gelu", "vit_tiny", make_gelu_backward, {2176 * 768}, 0},
    {"layernorm", "vit_base", make_layernorm, {1600, 768}, 0},
    {"layernorm", "decoder", make_layernorm, {6304, 512}, 0},
    {"layernorm", "vit_tiny", make_layernorm, {2176, 192}, 0},
    {"attention", "vit_base", make_attention, {32, 50, 12, 64}, 0},
    {"attention", "vit_base, all", make_attention, {32, 197, 12, 64}, 0},
    {"attention", "decoder", make_attention, {32, 197, 16, 32}, 0},
    {"attention", "vit_tiny", make_attention, {128, 17, 3, 64}, 0},
    {"patch: pixels", "vit_base", make_normalize, {32, 196, 3, 224, 224, 16}, NUMBER_U8},
    {"patch: pixels", "vit_tiny", make_normalize, {128, 64, 3, 32, 32, 4}, NUMBER_U8},
    {"patch", "vit_base", make_patches, {32, 147, 3, 224, 224, 16}, 0},
    {"patch", "vit_tiny", make_patches, {128, 48, 3, 32, 32, 4}, 0},
    {"tokens_embed", "vit_base", make_embed, {32, 49, 196, 768}, 1},
    {"tokens_embed", "vit_tiny", make_embed, {128, 16, 64, 192}, 1},
    {"tokens_restore", "decoder", make_restore, {32, 49, 196, 512}, 0},
    {"tokens_restore", "vit_tiny", make_restore, {128, 16, 64, 192}, 0},
    {"tokens_gather", "decoder", make_gather_and_mean, {32, 147, 196, 512}, 0},
    {"tokens_gather", "vit_tiny", make_gather_and_mean, {128, 48, 64, 192}, 0},
    {"loss: masked_mse", "vit_base", make_masked_mse, {32, 147, 196, 768}, 0},
    {"loss: masked_mse", "vit_tiny", make_masked_mse, {128, 48, 64, 48}, 0},
    {"add", "vit_base", make_add, {1600 * 768}, 0},
    {.name = NULL}};

/* --- device ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t signals_seen;

static void see_signal(int number) {
    (void)number;
    signals_seen = signals_seen + 1;
}

/* A handler may run at any moment of a product and finds a stack it can use. (Generated kernels of
 * some libraries use the stack pointer as a register; a handler then writes its frame into the
 * heap, which is therefore used here as a program would use it.) */
START_TEST(signals_during_products) {
    static const int64_t shapes[][3] = {{272, 32, 96},  {272, 32, 32},  {272, 32, 128},
                                        {272, 128, 32}, {256, 192, 32}, {16, 32, 10},
                                        {64, 32, 10},   {1088, 32, 96}};
    enum { N_SHAPES = sizeof shapes / sizeof *shapes, ROUNDS = 4000 };
    Device *d = open_device("cpu", 1, NULL);
    const struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    size_t scratch_bytes = d->kernels.linear_scratch(d, 1088, 192, 128); /* the largest */
    void *scratch = device_alloc(d, scratch_bytes);
    signals_seen = 0;
    void (*before)(int) = signal(SIGALRM, see_signal);
    bool same = true;
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < ROUNDS && same; i++) {
        int64_t R = shapes[i % N_SHAPES][0], I = shapes[i % N_SHAPES][1],
                O = shapes[i % N_SHAPES][2];
        float *x = malloc((size_t)(R * I) * sizeof *x), *w = malloc((size_t)(O * I) * sizeof *w);
        float *y = malloc((size_t)(R * O) * sizeof *y);
        for (int64_t k = 0; k < R * I; k++) x[k] = 1;
        for (int64_t k = 0; k < O * I; k++) w[k] = 1;
        d->kernels.linear_forward(d, y, NULL, x, w, NULL, NULL, R, I, O, scratch);
        for (int64_t k = 0; k < R * O; k++) same = same && y[k] == (float)I;
        free(w);
        free(x);
        free(y);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, before);
    ck_assert_msg(same, "a result is wrong");
    ck_assert_int_gt(signals_seen, 5);
    device_free(d, scratch, scratch_bytes);
    device_close(d);
}
END_TEST

START_TEST(device_errors) {
    Device *d = NULL;
    Error err = {0};
    ck_assert_int_eq(device_open("gpu", 1, NULL, &d, &err), MAE_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "gpu"));
    ck_assert_int_eq(device_open("cpu", -1, NULL, &d, NULL), MAE_USAGE);
    ck_assert_int_eq(device_open("cpu", 1, "mmx", &d, NULL), MAE_UNSUPPORTED);
    ck_assert_ptr_null(d);
    device_close(NULL);
}
END_TEST

START_TEST(device_memory) {
    const size_t bytes = (5 << 20) + 12;
    Device *d = open_device(test_device_words[_i], 2, NULL);
    unsigned char *p = device_alloc(d, bytes), *host = device_alloc_host(d, bytes);
    size_t sum = 0;
    ck_assert_int_eq((uintptr_t)p % 64, 0);
    memset(host, 1, bytes);
    device_download(d, host, p, bytes);
    for (size_t i = 0; i < bytes; i++) sum += host[i];
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_gt(device_bytes_free(d), bytes);
    device_free_host(d, host, bytes);
    device_free(d, p, bytes);
    device_close(d);
}
END_TEST

START_TEST(cpu_peak) {
    for (const char *const *isa = device_isas(); *isa; isa++) {
        Device *d = open_device("cpu", 2, *isa);
        ck_assert_str_eq(d->isa, *isa);
        double peak = device_peak_gflops(d, 0.002, 1);
        ck_assert_msg(peak > 0 && peak < 1e6, "%s: peak %g", *isa, peak);
        device_close(d);
    }
}
END_TEST

Suite *suite_kernels(void) {
    Suite *s = suite_create("kernels");
    TCase *t = tcase_create("kernels");
    tcase_add_loop_test(t, linear_forward, 0, N_LINEAR_SHAPES);
    tcase_add_loop_test(t, linear_backward, 0, N_LINEAR_SHAPES);
    tcase_add_test(t, gelu_backward);
    tcase_add_loop_test(t, layernorm, 0, N_NORM_SHAPES);
    tcase_add_loop_test(t, attention_random, 0, N_ATTENTION_SHAPES);
    tcase_add_loop_test(t, attention_anti_aligned, 0, N_ATTENTION_SHAPES);
    tcase_add_loop_test(t, attention_equal_rows, 0, N_ATTENTION_SHAPES);
    tcase_add_loop_test(t, attention_nan, 0, N_ATTENTION_SHAPES);
    tcase_add_loop_test(t, attention_huge, 0, 4);
    tcase_add_loop_test(t, images_and_patches, 0, N_GRIDS);
    tcase_add_loop_test(t, tokens, 0, N_TOKEN_SHAPES);
    tcase_add_loop_test(t, faults_of_bf16, 0, 4);
    tcase_add_loop_test(t, masked_mse, 0, N_TOKEN_SHAPES);
    tcase_add_loop_test(t, elementwise, 0, 4);
    tcase_add_test(t, signals_during_products);
    tcase_add_test(t, device_errors);
    tcase_add_loop_test(t, device_memory, 0, TEST_DEVICES);
    tcase_add_test(t, cpu_peak);
    suite_add_tcase(s, t);
    return s;
}
