/* The cross entropy of a softmax and targets that may be spread over classes (smoothed or mixed
 * labels). The largest logit is taken off first, so that exp cannot overflow and the class it
 * belongs to adds 1. */
#include "kernels/ref/ref.h"

/* One image: writes its probabilities, returns its loss. */
static double forward_row(wide *probability, const real *logits, const wide *targets, int64_t C) {
    double top = get(logits[0]), sum = 0, loss = 0;
    for (int64_t c = 1; c < C; c++) top = fmax(top, get(logits[c]));
    for (int64_t c = 0; c < C; c++) sum += exp(get(logits[c]) - top);
    for (int64_t c = 0; c < C; c++) {
        double shifted = get(logits[c]) - top;
        probability[c] = (wide)(exp(shifted) / sum);
        loss -= (double)targets[c] * (shifted - log(sum));
    }
    return loss;
}

static void soft_cross_entropy_forward(Device *d, void *loss, void *probability, const void *logits,
                                       const void *targets, int64_t B, int64_t C) {
    (void)d;
    double sum = 0;
    for (int64_t b = 0; b < B; b++) {
        sum += forward_row((wide *)probability + b * C, (const real *)logits + b * C,
                           (const wide *)targets + b * C, C);
    }
    *(wide *)loss = (wide)(sum / (double)B);
}

/* d/dz of -sum_c t[c] (z[c] - log sum exp z): the logarithm gives every class its probability times
 * the sum of the targets, which is 1 for a distribution. */
static void soft_cross_entropy_backward(Device *d, void *dlogits, const void *dloss,
                                        const void *probability, const void *targets, int64_t B,
                                        int64_t C, bool accumulate) {
    (void)d;
    double factor = (double)*(const wide *)dloss / (double)B;
    for (int64_t b = 0; b < B; b++) {
        const wide *p = (const wide *)probability + b * C, *t = (const wide *)targets + b * C;
        double total = 0;
        for (int64_t c = 0; c < C; c++) total += (double)t[c];
        for (int64_t c = 0; c < C; c++) {
            double value = factor * ((double)p[c] * total - (double)t[c]);
            put((real *)dlogits + b * C + c, value, accumulate);
        }
    }
}

void REF(fill_cross_entropy)(Kernels *k) {
    k->soft_cross_entropy_forward = soft_cross_entropy_forward;
    k->soft_cross_entropy_backward = soft_cross_entropy_backward;
}
