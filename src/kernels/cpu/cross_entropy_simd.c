/* The soft cross entropy: images by threads, their losses added by one, in order. See
 * ref/cross_entropy.c for the formulas. */
#include "kernels/cpu/simd.h"

enum { ROWS_AT_ONCE = 256 }; /* losses that wait on the stack */

static float largest(const float *x, int64_t n) {
    float top = x[0];
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
    return top;
}

/* One image: writes its probabilities, returns its loss. With s = sum exp(z), z the logits without
 * their largest, the loss is log(s) sum(t) - sum(t z). */
static double forward_row(float *probability, const float *logits, const float *targets,
                          int64_t C) {
    float top = largest(logits, C);
    double sum = 0, sum_t = 0, sum_tz = 0;
#pragma omp simd reduction(+ : sum, sum_t, sum_tz)
    for (int64_t c = 0; c < C; c++) {
        float z = logits[c] - top, e = exp_f32(z);
        probability[c] = e;
        sum += (double)e;
        sum_t += (double)targets[c];
        sum_tz += (double)targets[c] * (double)z;
    }
    float share = (float)(1 / sum);
#pragma omp simd
    for (int64_t c = 0; c < C; c++) probability[c] *= share;
    return log(sum) * sum_t - sum_tz;
}

static void soft_cross_entropy_forward(Device *d, void *loss, void *probability, const void *logits,
                                       const void *targets, int64_t B, int64_t C) {
    double total = 0;
    for (int64_t first = 0; first < B; first += ROWS_AT_ONCE) {
        double each[ROWS_AT_ONCE];
        int64_t n = min_i64(ROWS_AT_ONCE, B - first);
#pragma omp parallel for schedule(static) num_threads(team(d, 16.0 * (double)(n * C)))
        for (int64_t i = 0; i < n; i++) {
            int64_t at = (first + i) * C;
            each[i] = forward_row((float *)probability + at, (const float *)logits + at,
                                  (const float *)targets + at, C);
        }
        for (int64_t i = 0; i < n; i++) total += each[i];
    }
    *(float *)loss = (float)(total / (double)B);
}

static void backward_row(float *dlogits, const float *p, const float *t, float factor, int64_t C,
                         bool accumulate) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; c++) sum += (double)t[c];
    float total = (float)sum;
    if (accumulate) {
#pragma omp simd
        for (int64_t c = 0; c < C; c++) dlogits[c] += factor * (p[c] * total - t[c]);
    } else {
#pragma omp simd
        for (int64_t c = 0; c < C; c++) dlogits[c] = factor * (p[c] * total - t[c]);
    }
}

static void soft_cross_entropy_backward(Device *d, void *dlogits, const void *dloss,
                                        const void *probability, const void *targets, int64_t B,
                                        int64_t C, bool accumulate) {
    float factor = (float)((double)*(const float *)dloss / (double)B);
#pragma omp parallel for schedule(static) num_threads(team(d, 2.0 * (double)(B * C)))
    for (int64_t b = 0; b < B; b++) {
        backward_row((float *)dlogits + b * C, (const float *)probability + b * C,
                     (const float *)targets + b * C, factor, C, accumulate);
    }
}

void SIMD(fill_cross_entropy)(Kernels *k) {
    k->soft_cross_entropy_forward = soft_cross_entropy_forward;
    k->soft_cross_entropy_backward = soft_cross_entropy_backward;
}
