/* The loss of masked autoencoders (arXiv 2111.06377, section 3): the squared error of a patch is
 * averaged over its values, then over the removed patches. */
#include "kernels/ref/ref.h"

/* mask of the i-th listed patch */
static double weight(const void *mask, const int32_t *ids, int64_t i, int64_t M, int64_t P) {
    return (double)((const wide *)mask)[i / M * P + ids[i]];
}

static void masked_mse_forward(Device *d, void *loss, void *per_patch_, const void *pred_,
                               const void *target_, const void *mask, const int32_t *ids, int64_t B,
                               int64_t M, int64_t P, int64_t V) {
    (void)d;
    const real *pred = pred_;
    const wide *target = target_;
    double sum = 0, sum_of_weights = 0;
    for (int64_t i = 0; i < B * M; i++) {
        double error = 0;
        for (int64_t v = i * V; v < (i + 1) * V; v++) {
            double difference = get(pred[v]) - (double)target[v];
            error += difference * difference / (double)V;
        }
        ((wide *)per_patch_)[i] = (wide)error;
        sum += weight(mask, ids, i, M, P) * error;
        sum_of_weights += weight(mask, ids, i, M, P);
    }
    *(wide *)loss = (wide)(sum / sum_of_weights);
}

static void masked_mse_backward(Device *d, void *dpred_, const void *dloss, const void *pred_,
                                const void *target_, const void *mask, const int32_t *ids,
                                int64_t B, int64_t M, int64_t P, int64_t V, bool accumulate) {
    (void)d;
    const real *pred = pred_;
    const wide *target = target_;
    double sum_of_weights = 0;
    for (int64_t i = 0; i < B * M; i++) sum_of_weights += weight(mask, ids, i, M, P);
    for (int64_t i = 0; i < B * M; i++) {
        double factor = (double)*(const wide *)dloss * weight(mask, ids, i, M, P) / sum_of_weights *
                        2 / (double)V;
        for (int64_t v = i * V; v < (i + 1) * V; v++) {
            put((real *)dpred_ + v, factor * (get(pred[v]) - (double)target[v]), accumulate);
        }
    }
}

void REF(fill_loss)(Kernels *k) {
    k->masked_mse_forward = masked_mse_forward;
    k->masked_mse_backward = masked_mse_backward;
}
