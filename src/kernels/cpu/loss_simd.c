/* The masked squared error: rows by threads, the weighted mean by one, in order. */
#include "kernels/cpu/simd.h"

static double weight(const void *mask, const int32_t *ids, int64_t i, int64_t M, int64_t P) {
    return (double)((const float *)mask)[i / M * P + ids[i]];
}

static double squared_error(const float *a, const float *b, int64_t n) {
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) {
        double difference = (double)(a[i] - b[i]);
        s += difference * difference;
    }
    return s;
}

static void masked_mse_forward(Device *d, void *loss, void *per_patch_, const void *pred_,
                               const void *target_, const void *mask, const int32_t *ids, int64_t B,
                               int64_t M, int64_t P, int64_t V) {
    float *per_patch = per_patch_;
    const float *pred = pred_, *target = target_;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * V)))
    for (int64_t i = 0; i < B * M; i++) {
        per_patch[i] = (float)(squared_error(pred + i * V, target + i * V, V) / (double)V);
    }
    double sum = 0, sum_of_weights = 0;
    for (int64_t i = 0; i < B * M; i++) {
        sum += weight(mask, ids, i, M, P) * (double)per_patch[i];
        sum_of_weights += weight(mask, ids, i, M, P);
    }
    *(float *)loss = (float)(sum / sum_of_weights);
}

static void backward_row(float *dpred, const float *pred, const float *target, float factor,
                         int64_t V, bool accumulate) {
    if (accumulate) {
#pragma omp simd
        for (int64_t v = 0; v < V; v++) dpred[v] += factor * (pred[v] - target[v]);
    } else {
#pragma omp simd
        for (int64_t v = 0; v < V; v++) dpred[v] = factor * (pred[v] - target[v]);
    }
}

static void masked_mse_backward(Device *d, void *dpred, const void *dloss, const void *pred,
                                const void *target, const void *mask, const int32_t *ids, int64_t B,
                                int64_t M, int64_t P, int64_t V, bool accumulate) {
    double sum_of_weights = 0;
    for (int64_t i = 0; i < B * M; i++) sum_of_weights += weight(mask, ids, i, M, P);
    double scale = (double)*(const float *)dloss / sum_of_weights * 2 / (double)V;
#pragma omp parallel for schedule(static) num_threads(team(d, (double)(B * M * V)))
    for (int64_t i = 0; i < B * M; i++) {
        backward_row((float *)dpred + i * V, (const float *)pred + i * V,
                     (const float *)target + i * V, (float)(scale * weight(mask, ids, i, M, P)), V,
                     accumulate);
    }
}

void SIMD(fill_loss)(Kernels *k) {
    k->masked_mse_forward = masked_mse_forward;
    k->masked_mse_backward = masked_mse_backward;
}
