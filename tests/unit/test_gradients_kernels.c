/* Every backward row of ref64 against central differences of its forward row, with a random
 * upstream gradient u: the derivative of sum(u * out) by every element of every differentiable
 * input.
 *
 * With h = 1e-5 the differences are off by about h^2 times a third derivative (1e-10 here) and by
 * double epsilon over h (1e-11); 1e-7 of max(1, value) leaves room for sums and finds any error in
 * a formula. */
#include "kernel_case.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

Suite *suite_gradients_kernels(void);

enum { MAX_INPUTS = 3 };
static const double STEP = 1e-5, TOLERANCE = 1e-7;

/* One pair of rows. forward writes out from the inputs in x, backward adds to dx from u. */
typedef struct Pair Pair;
struct Pair {
    void (*forward)(Device *d, Pair *p, double *out);
    void (*backward)(Device *d, Pair *p, const double *u);
    int64_t dim[4], n_out, n[MAX_INPUTS];
    double *x[MAX_INPUTS], *dx[MAX_INPUTS];
    double *saved[3]; /* of the forward pass, for the backward pass */
    double *fixed;    /* an input without gradient */
    int32_t *ids;
};

static double *random_doubles(Rng *rng, int64_t n) {
    double *x = calloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = rng_range(rng, -1, 1);
    return x;
}

static double weighted_output(Device *d, Pair *p, const double *u) {
    double sum = 0, *out = calloc((size_t)p->n_out, sizeof *out);
    p->forward(d, p, out);
    for (int64_t i = 0; i < p->n_out; i++) sum += u[i] * out[i];
    free(out);
    return sum;
}

static void check_input(Device *d, Pair *p, int which, const double *u, const double *before) {
    double *x = p->x[which];
    for (int64_t i = 0; i < p->n[which]; i++) {
        double keep = x[i];
        x[i] = keep + STEP;
        double above = weighted_output(d, p, u);
        x[i] = keep - STEP;
        double below = weighted_output(d, p, u);
        x[i] = keep;
        double want = (above - below) / (2 * STEP), got = p->dx[which][i] - before[i];
        ck_assert_msg(fabs(got - want) <= TOLERANCE * fmax(1, fabs(want)),
                      "input %d, element %lld: gradient %.12g, central difference %.12g", which,
                      (long long)i, got, want);
    }
}

/* Gradients start at random values, to see that they are added to. Frees what the pair holds. */
static void check_pair(Pair *p, Rng *rng) {
    Device *d = open_device("ref64", 1, NULL);
    double *u = random_doubles(rng, p->n_out), *before[MAX_INPUTS] = {NULL};
    for (int i = 0; i < MAX_INPUTS; i++) {
        if (!p->n[i]) continue;
        p->x[i] = random_doubles(rng, p->n[i]);
        p->dx[i] = random_doubles(rng, p->n[i]);
        before[i] = calloc((size_t)p->n[i], sizeof(double));
        for (int64_t k = 0; k < p->n[i]; k++) before[i][k] = p->dx[i][k];
    }
    weighted_output(d, p, u);
    p->backward(d, p, u);
    for (int i = 0; i < MAX_INPUTS; i++) {
        if (p->n[i]) check_input(d, p, i, u, before[i]);
    }
    for (int i = 0; i < MAX_INPUTS; i++) {
        free(p->x[i]);
        free(p->dx[i]);
        free(before[i]);
    }
    for (int i = 0; i < 3; i++) free(p->saved[i]);
    free(p->fixed);
    free(p->ids);
    free(u);
    device_close(d);
}

static double *zeros(int64_t n) {
    return calloc((size_t)n, sizeof(double));
}

/* --- linear, gelu ----------------------------------------------------------------------------- */

static void linear(Device *d, Pair *p, double *out) {
    d->kernels.linear_forward(d, out, NULL, p->x[0], p->x[1], p->x[2], NULL, p->dim[0], p->dim[1],
                              p->dim[2], NULL);
}

static void linear_back(Device *d, Pair *p, const double *u) {
    const int64_t *n = p->dim;
    d->kernels.linear_backward_input(d, p->dx[0], u, p->x[1], NULL, n[0], n[1], n[2], true, NULL);
    d->kernels.linear_backward_weight(d, p->dx[1], p->dx[2], u, p->x[0], n[0], n[1], n[2], true,
                                      NULL);
}

/* The residual of linear_forward with gelu reaches pre unchanged: its gradient is that of gelu. */
static void gelu(Device *d, Pair *p, double *out) {
    double nothing[1] = {0};
    d->kernels.linear_forward(d, out, p->saved[0], nothing, nothing, NULL, p->x[0], 1, 0, p->dim[0],
                              NULL);
}

static void gelu_back(Device *d, Pair *p, const double *u) {
    double *dx = zeros(p->dim[0]);
    d->kernels.gelu_backward(d, dx, u, p->x[0], p->dim[0]);
    d->kernels.add(d, p->dx[0], dx, p->dim[0]);
    free(dx);
}

START_TEST(linear_and_gelu) {
    Rng rng = rng_make(1, RNG_SYNTHETIC, 0, 0);
    Pair p = {.forward = linear, .backward = linear_back, .dim = {5, 7, 3}, .n_out = 15};
    p.n[0] = 35;
    p.n[1] = 21;
    p.n[2] = 3;
    check_pair(&p, &rng);
    p = (Pair){.forward = gelu, .backward = gelu_back, .dim = {50}, .n_out = 50, .n = {50}};
    p.saved[0] = zeros(50);
    check_pair(&p, &rng);
}
END_TEST

/* --- layernorm -------------------------------------------------------------------------------- */

static void layernorm(Device *d, Pair *p, double *out) {
    d->kernels.layernorm_forward(d, out, p->saved[0], p->saved[1], p->x[0], p->x[1], p->x[2],
                                 p->dim[0], p->dim[1], 1e-6);
}

static void layernorm_back(Device *d, Pair *p, const double *u) {
    d->kernels.layernorm_backward(d, p->dx[0], p->dx[1], p->dx[2], u, p->x[0], p->saved[0],
                                  p->saved[1], p->x[1], p->dim[0], p->dim[1], true, NULL);
}

START_TEST(layernorm_pair) {
    Rng rng = rng_make(2, RNG_SYNTHETIC, 0, 0);
    Pair p = {.forward = layernorm, .backward = layernorm_back, .dim = {4, 9}, .n_out = 36};
    p.n[0] = 36;
    p.n[1] = p.n[2] = 9;
    p.saved[0] = zeros(4);
    p.saved[1] = zeros(4);
    check_pair(&p, &rng);
}
END_TEST

/* --- attention -------------------------------------------------------------------------------- */

static void attention(Device *d, Pair *p, double *out) {
    const int64_t *n = p->dim;
    size_t bytes = d->kernels.attention_scratch(d, n[0], n[1], n[2], n[3]);
    void *scratch = scratch_new(d, bytes);
    d->kernels.attention_forward(d, out, p->saved[0], p->x[0], n[0], n[1], n[2], n[3], scratch);
    for (int64_t i = 0; i < p->n_out; i++) p->saved[1][i] = out[i];
    device_free(d, scratch, bytes);
}

static void attention_back(Device *d, Pair *p, const double *u) {
    const int64_t *n = p->dim;
    size_t bytes = d->kernels.attention_scratch(d, n[0], n[1], n[2], n[3]);
    void *scratch = scratch_new(d, bytes);
    double *dqkv = zeros(p->n[0]);
    d->kernels.attention_backward(d, dqkv, u, p->saved[1], p->saved[0], p->x[0], n[0], n[1], n[2],
                                  n[3], scratch);
    d->kernels.add(d, p->dx[0], dqkv, p->n[0]);
    free(dqkv);
    device_free(d, scratch, bytes);
}

START_TEST(attention_pair) {
    Rng rng = rng_make(3, RNG_SYNTHETIC, 0, 0);
    int64_t B = 2, T = 5, H = 3, D = 4;
    Pair p = {.forward = attention, .backward = attention_back, .dim = {B, T, H, D}};
    p.n_out = B * T * H * D;
    p.n[0] = 3 * p.n_out;
    p.saved[0] = zeros(B * H * T);
    p.saved[1] = zeros(p.n_out);
    check_pair(&p, &rng);
}
END_TEST

/* --- tokens ----------------------------------------------------------------------------------- */

static void embed(Device *d, Pair *p, double *out) {
    d->kernels.tokens_embed_forward(d, out, p->x[0], p->x[1], p->x[2], p->ids, p->dim[0], p->dim[1],
                                    p->dim[3]);
}

static void embed_back(Device *d, Pair *p, const double *u) {
    d->kernels.tokens_embed_backward(d, p->dx[0], p->dx[1], p->dx[2], u, p->ids, p->dim[0],
                                     p->dim[1], p->dim[3], true);
}

static void restore(Device *d, Pair *p, double *out) {
    d->kernels.tokens_restore_forward(d, out, p->x[0], p->x[1], p->x[2], p->ids, p->dim[0],
                                      p->dim[1], p->dim[2], p->dim[3]);
}

static void restore_back(Device *d, Pair *p, const double *u) {
    d->kernels.tokens_restore_backward(d, p->dx[0], p->dx[1], p->dx[2], u, p->ids, p->dim[0],
                                       p->dim[1], p->dim[2], p->dim[3], true);
}

static void gather(Device *d, Pair *p, double *out) {
    d->kernels.tokens_gather_forward(d, out, p->x[0], p->ids, p->dim[0], p->dim[1], p->dim[2],
                                     p->dim[3]);
}

static void gather_back(Device *d, Pair *p, const double *u) {
    d->kernels.tokens_gather_backward(d, p->dx[0], u, p->ids, p->dim[0], p->dim[1], p->dim[2],
                                      p->dim[3], true);
}

static void mean(Device *d, Pair *p, double *out) {
    d->kernels.tokens_mean_forward(d, out, p->x[0], p->dim[0], 1 + p->dim[2], p->dim[3]);
}

static void mean_back(Device *d, Pair *p, const double *u) {
    d->kernels.tokens_mean_backward(d, p->dx[0], u, p->dim[0], 1 + p->dim[2], p->dim[3], true);
}

START_TEST(tokens_pairs) {
    Rng rng = rng_make(4, RNG_SYNTHETIC, 0, 0);
    int64_t B = 3, M = 2, P = 5, C = 4;
    Pair p = {.forward = embed, .backward = embed_back, .dim = {B, M, P, C}};
    p.n_out = B * (1 + M) * C;
    p.n[0] = B * M * C;
    p.n[1] = C;
    p.n[2] = (1 + P) * C;
    p.ids = random_ids(&rng, B, M, P);
    check_pair(&p, &rng);

    p = (Pair){.forward = restore, .backward = restore_back, .dim = {B, M, P, C}};
    p.n_out = B * (1 + P) * C;
    p.n[0] = B * (1 + M) * C;
    p.n[1] = C;
    p.n[2] = (1 + P) * C;
    p.ids = random_ids(&rng, B, P, P);
    check_pair(&p, &rng);

    p = (Pair){.forward = gather, .backward = gather_back, .dim = {B, M, P, C}};
    p.n_out = B * M * C;
    p.n[0] = B * (1 + P) * C;
    p.ids = random_ids(&rng, B, M, P);
    check_pair(&p, &rng);

    p = (Pair){.forward = mean, .backward = mean_back, .dim = {B, M, P, C}};
    p.n_out = B * C;
    p.n[0] = B * (1 + P) * C;
    check_pair(&p, &rng);
}
END_TEST

/* --- loss ------------------------------------------------------------------------------------- */

/* fixed holds target[B,M,V], then mask[B,P]. */
static void mse(Device *d, Pair *p, double *out) {
    const int64_t *n = p->dim;
    d->kernels.masked_mse_forward(d, out, p->saved[0], p->x[0], p->fixed,
                                  p->fixed + n[0] * n[1] * n[3], p->ids, n[0], n[1], n[2], n[3]);
}

static void mse_back(Device *d, Pair *p, const double *u) {
    const int64_t *n = p->dim;
    d->kernels.masked_mse_backward(d, p->dx[0], u, p->x[0], p->fixed, p->fixed + n[0] * n[1] * n[3],
                                   p->ids, n[0], n[1], n[2], n[3], true);
}

START_TEST(masked_mse_pair) {
    Rng rng = rng_make(5, RNG_SYNTHETIC, 0, 0);
    int64_t B = 2, M = 3, P = 5, V = 4;
    Pair p = {.forward = mse, .backward = mse_back, .dim = {B, M, P, V}, .n_out = 1};
    p.n[0] = B * M * V;
    p.saved[0] = zeros(B * M);
    p.fixed = random_doubles(&rng, B * M * V + B * P);
    p.ids = random_ids(&rng, B, M, P);
    for (int64_t i = 0; i < B * P; i++) p.fixed[B * M * V + i] = i % 3 != 0;
    p.fixed[B * M * V + p.ids[0]] = 1;
    check_pair(&p, &rng);
}
END_TEST

/* fixed holds targets[B,C], of any sum. */
static void cross_entropy(Device *d, Pair *p, double *out) {
    d->kernels.soft_cross_entropy_forward(d, out, p->saved[0], p->x[0], p->fixed, p->dim[0],
                                          p->dim[1]);
}

static void cross_entropy_back(Device *d, Pair *p, const double *u) {
    d->kernels.soft_cross_entropy_backward(d, p->dx[0], u, p->saved[0], p->fixed, p->dim[0],
                                           p->dim[1], true);
}

START_TEST(soft_cross_entropy_pair) {
    Rng rng = rng_make(6, RNG_SYNTHETIC, 0, 0);
    int64_t B = 4, C = 7;
    Pair p = {.forward = cross_entropy, .backward = cross_entropy_back, .dim = {B, C}, .n_out = 1};
    p.n[0] = B * C;
    p.saved[0] = zeros(B * C);
    p.fixed = random_doubles(&rng, B * C);
    check_pair(&p, &rng);
}
END_TEST

/* --- the class token and stochastic depth ----------------------------------------------------- */

static void cls(Device *d, Pair *p, double *out) {
    d->kernels.tokens_cls_forward(d, out, p->x[0], p->dim[0], p->dim[1], p->dim[2]);
}

static void cls_back(Device *d, Pair *p, const double *u) {
    d->kernels.tokens_cls_backward(d, p->dx[0], u, p->dim[0], p->dim[1], p->dim[2], true);
}

/* fixed holds scale[B]. */
static void scaled(Device *d, Pair *p, double *out) {
    d->kernels.scaled_residual_forward(d, out, p->x[0], p->x[1], p->fixed, p->dim[0], p->dim[1]);
}

static void scaled_back(Device *d, Pair *p, const double *u) {
    d->kernels.scaled_residual_backward(d, p->dx[0], u, p->fixed, p->dim[0], p->dim[1], true);
    d->kernels.add(d, p->dx[1], u, p->n_out);
}

START_TEST(cls_and_scaled_residual_pairs) {
    Rng rng = rng_make(7, RNG_SYNTHETIC, 0, 0);
    int64_t B = 3, T = 4, C = 5;
    Pair p = {.forward = cls, .backward = cls_back, .dim = {B, T, C}, .n_out = B * C};
    p.n[0] = B * T * C;
    check_pair(&p, &rng);
    p = (Pair){.forward = scaled, .backward = scaled_back, .dim = {B, T * C}, .n_out = B * T * C};
    p.n[0] = p.n[1] = p.n_out;
    p.fixed = random_doubles(&rng, B);
    check_pair(&p, &rng);
}
END_TEST

Suite *suite_gradients_kernels(void) {
    Suite *s = suite_create("gradients_kernels");
    TCase *t = tcase_create("gradients_kernels");
    tcase_add_test(t, linear_and_gelu);
    tcase_add_test(t, layernorm_pair);
    tcase_add_test(t, attention_pair);
    tcase_add_test(t, tokens_pairs);
    tcase_add_test(t, masked_mse_pair);
    tcase_add_test(t, soft_cross_entropy_pair);
    tcase_add_test(t, cls_and_scaled_residual_pairs);
    suite_add_tcase(s, t);
    return s;
}
