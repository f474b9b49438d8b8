/* Linear layers: three matrix products, one for the output and one for each gradient. Weights are
 * [O,I], so an output is the dot product of an input row and a weight row. */
#include "kernels/ref/ref.h"

static void linear_forward(Device *d, void *y_, void *pre_, const void *x_, const void *w_,
                           const void *b_, const void *residual_, int64_t R, int64_t I, int64_t O,
                           void *scratch) {
    (void)d;
    (void)scratch;
    real *y = y_, *pre = pre_;
    const real *x = x_, *residual = residual_;
    const wide *w = w_, *b = b_;
    for (int64_t r = 0; r < R; r++) {
        for (int64_t o = 0; o < O; o++) {
            double s = b ? (double)b[o] : 0.0;
            for (int64_t i = 0; i < I; i++) s += get(x[r * I + i]) * rounded(w[o * I + i]);
            if (residual) s += get(residual[r * O + o]);
            if (pre) put(&pre[r * O + o], s, false);
            put(&y[r * O + o], pre ? s * normal_cdf(s) : s, false);
        }
    }
}

static void linear_backward_input(Device *d, void *dx_, const void *dy_, const void *w_,
                                  void *gelu_of, int64_t R, int64_t I, int64_t O, bool accumulate,
                                  void *scratch) {
    (void)d;
    (void)scratch;
    real *dx = dx_, *pre = gelu_of;
    const real *dy = dy_;
    const wide *w = w_;
    for (int64_t r = 0; r < R; r++) {
        for (int64_t i = 0; i < I; i++) {
            double s = 0;
            for (int64_t o = 0; o < O; o++) s += get(dy[r * O + o]) * rounded(w[o * I + i]);
            if (pre) {
                double h = get(pre[r * I + i]);
                s *= gelu_slope(h);
                put(&pre[r * I + i], h * normal_cdf(h), false);
            }
            put(&dx[r * I + i], s, accumulate);
        }
    }
}

static void linear_backward_weight(Device *d, void *dw_, void *db_, const void *dy_, const void *x_,
                                   int64_t R, int64_t I, int64_t O, bool accumulate,
                                   void *scratch) {
    (void)d;
    (void)scratch;
    wide *dw = dw_, *db = db_;
    const real *dy = dy_, *x = x_;
    for (int64_t o = 0; o < O; o++) {
        for (int64_t i = 0; dw && i < I; i++) {
            double s = 0;
            for (int64_t r = 0; r < R; r++) s += get(dy[r * O + o]) * get(x[r * I + i]);
            put_wide(&dw[o * I + i], s, accumulate);
        }
        double s = 0;
        for (int64_t r = 0; r < R; r++) s += get(dy[r * O + o]);
        if (db) put_wide(&db[o], s, true);
    }
}

static size_t linear_scratch(const Device *d, int64_t R, int64_t I, int64_t O) {
    (void)d, (void)R, (void)I, (void)O;
    return 0;
}

void REF(fill_matmul)(Kernels *k) {
    k->linear_forward = linear_forward;
    k->linear_backward_input = linear_backward_input;
    k->linear_backward_weight = linear_backward_weight;
    k->linear_scratch = linear_scratch;
}
