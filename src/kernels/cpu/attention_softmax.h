/* Softmax over the columns of transposed scores, p[key][query], forward and backward, with what it
 * takes: exp2 of vectors, and sums of products of rows. Scores come times log2(e). */
#ifndef KERNELS_CPU_ATTENTION_SOFTMAX_H
#define KERNELS_CPU_ATTENTION_SOFTMAX_H

#include "kernels/cpu/attention_micro.h"

static const float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;

/* --- dot products ----------------------------------------------------------------------------- */

typedef int32_t Ints __attribute__((vector_size(sizeof(Vec)), may_alias));
typedef uint32_t Bits __attribute__((vector_size(sizeof(Vec)), may_alias)); /* wrap around */

/* Lane i of the result is the sum of all lanes of v[i]: in every round, a vector takes the sums of
 * neighbours of two. */
static inline Vec lane_sums(Vec *v) {
#pragma GCC unroll 4
    for (int n = VEC_LANES / 2; n > 0; n /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            Vec a = v[2 * i], b = v[2 * i + 1];
            v[i] = even_lanes(a, b) + odd_lanes(a, b);
        }
    }
    return v[0];
}

/* dots[i] = row i of a times row i of b, i < n; written to whole vectors. */
static void row_dots(float *dots, Matrix a, Matrix b, int64_t n, int64_t D) {
    for (int64_t first = 0; first < n; first += VEC_LANES) {
        Vec sum[VEC_LANES];
        for (int i = 0; i < VEC_LANES; i += 4) {
            const float *x[4], *y[4];
            Vec part[4];
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) {
                int64_t row = min_i64(first + i + r, n - 1);
                x[r] = a.at + row * a.ld;
                y[r] = b.at + row * b.ld;
                part[r] = (Vec){0};
            }
            for (int64_t j = 0; j < D; j += VEC_LANES) {
#pragma GCC unroll 4
                for (int r = 0; r < 4; r++)
                    part[r] += *(VecAnywhere *)(x[r] + j) * *(VecAnywhere *)(y[r] + j);
            }
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) sum[i + r] = part[r];
        }
        *(Vec *)(dots + first) = lane_sums(sum);
    }
}

/* --- softmax ---------------------------------------------------------------------------------- */

static inline Vec choose(Ints mask, Vec yes, Vec no) {
    return (Vec)(((Ints)yes & mask) | ((Ints)no & ~mask));
}

/* 2^x for x <= 127, 0 from -127 down; NaN stays. As exp_inside_f32 of simd.h, for vectors. The
 * power of two is added to the exponent; at -127 that makes 0 of 1. */
static inline Vec exp2_vec(Vec x) {
    const Vec lowest = (Vec){0} - 127.0f;
    x = choose(x < lowest, lowest, x);
    Vec shifted = x + 12582912.0f;
    Vec r = x - (shifted - 12582912.0f);
    Vec p = r * 1.339881e-3f + 9.618437e-3f;
    p = p * r + 5.550327e-2f;
    p = p * r + 2.402265e-1f;
    p = p * r + 6.931472e-1f;
    p = p * r + 1.0f;
    return (Vec)((Bits)p + ((Bits)shifted << 23));
}

/* The largest of every lane of p[T] vectors, W floats apart; NaN is passed over, its exp shows it.
 */
static Vec column_maximum(const float *p, int64_t T, int64_t W) {
    Vec most[4];
    for (int i = 0; i < 4; i++) most[i] = (Vec){0} - INFINITY;
    int64_t t = 0;
    for (; t + 4 <= T; t += 4) {
        for (int i = 0; i < 4; i++) {
            Vec next = *(const Vec *)(p + (t + i) * W);
            most[i] = choose(next > most[i], next, most[i]);
        }
    }
    for (; t < T; t++) {
        Vec next = *(const Vec *)(p + t * W);
        most[0] = choose(next > most[0], next, most[0]);
    }
    for (int i = 1; i < 4; i++) most[0] = choose(most[i] > most[0], most[i], most[0]);
    return most[0];
}

/* p[T,W] becomes 2^(p - maximum of its column), inverse[W] is 1 / the sums of the columns; for the
 * first n of them lse is the log of the denominator. */
static void softmax_columns(float *p, int64_t T, int64_t W, float *inverse, float *lse, int64_t n) {
    for (int64_t j = 0; j < W; j += VEC_LANES) {
        Vec most = column_maximum(p + j, T, W), sum = {0};
        for (int64_t t = 0; t < T; t++) {
            Vec *at = (Vec *)(p + t * W + j);
            *at = exp2_vec(*at - most);
            sum += *at;
        }
        *(Vec *)(inverse + j) = 1.0f / sum;
        for (int64_t i = j; i < min_i64(n, j + VEC_LANES); i++)
            lse[i] = most[i - j] * LN_2 + logf(sum[i - j]);
    }
}

/* p becomes 2^(p - lse), ds becomes p * (ds - sum): columns of both have their lse and sum. */
static void softmax_backward_columns(float *p, float *ds, int64_t T, int64_t W, const float *lse,
                                     const float *sum) {
    for (int64_t j = 0; j < W; j += VEC_LANES) {
        Vec column_lse = *(const Vec *)(lse + j), column_sum = *(const Vec *)(sum + j), zero = {0};
        for (int64_t t = 0; t < T; t++) {
            Vec *p_at = (Vec *)(p + t * W + j), *ds_at = (Vec *)(ds + t * W + j);
            Vec x = *p_at - column_lse; /* not above 0 but for rounding */
            *p_at = exp2_vec(choose(x > zero, zero, x));
            *ds_at = *p_at * (*ds_at - column_sum);
        }
    }
}

#endif
