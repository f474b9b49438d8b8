/* Linear layers: three products of the form c[M,N] = a[M,K] b[K,N], on one micro-kernel.
 *
 * The micro-kernel keeps a tile of MR x NR sums in registers. For every k it multiplies MR values
 * of the left operand by two vectors of the right one; both are packed (matmul_pack.h).
 *
 * The threads of a team pack the right operand together, once, into the scratch. Then each thread
 * takes groups of panels, packs them into its second cache, and multiplies one panel after the
 * other by all slivers. A finished tile gets bias, residual, GELU or its derivative while it is in
 * the first cache.
 *
 * K is cut into blocks of equal size, at most MAX_K long, which are added in order. The cut depends
 * on K alone, and one thread computes an element from begin to end. The number of threads therefore
 * cannot change a bit. */
#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/cpu/matmul_pack.h"

/* --- the micro-kernel and its epilogue -------------------------------------------------------- */

/* sum += panel[k]^T sliver[k]. */
static ALWAYS_INLINE void multiply_step(Vec sum[MR][2], const float *panel, const float *sliver) {
    Vec right0 = *(const Vec *)sliver, right1 = *(const Vec *)(sliver + VEC_LANES);
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
        float left = panel[i];
        sum[i][0] += right0 * left;
        sum[i][1] += right1 * left;
    }
}

/* tile[MR][NR] = panel[K][MR]^T sliver[K][NR]. Along the last MR steps, the rows of c, ld apart,
 * where the tile is going to are fetched: a few lines at a time do not hold up the rest. */
static void multiply(float *tile, const float *panel, const float *sliver, int64_t K,
                     const float *c, int64_t ld) {
    Vec sum[MR][2];
    int64_t k = 0;
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) sum[i][0] = sum[i][1] = (Vec){0};
    for (; k < K - MR; k++) multiply_step(sum, panel + k * MR, sliver + k * NR);
    for (; k < K; k++, c += ld) {
        for (int x = 0; x < NR; x += LINE) __builtin_prefetch(c + x, 1, 3);
        multiply_step(sum, panel + k * MR, sliver + k * NR);
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
        *(Vec *)(tile + i * NR) = sum[i][0];
        *(Vec *)(tile + i * NR + VEC_LANES) = sum[i][1];
    }
}

/* c[n] = tile + (c when add) + bias + residual. */
static ALWAYS_INLINE void store_sums(float *c, const float *tile, const float *bias,
                                     const float *residual, bool add, int64_t n) {
    if (add) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) c[i] += tile[i];
    } else if (bias && residual) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) c[i] = tile[i] + bias[i] + residual[i];
    } else if (bias || residual) {
        const float *addend = bias ? bias : residual;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) c[i] = tile[i] + addend[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) c[i] = tile[i];
    }
}

static ALWAYS_INLINE void store_row(const Product *p, const Block *b, int64_t at, int64_t column,
                                    const float *tile, int64_t n) {
    float *c = p->c + at;
    bool initial = b->first && !p->accumulate;
    store_sums(c, tile, initial && p->bias ? p->bias + column : NULL,
               initial && p->residual ? p->residual + at : NULL, !initial, n);
    if (p->activated && b->last) {
        float *y = p->activated + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = c[i] * normal_cdf_f32(c[i]);
    }
    if (p->gelu_of && b->last) {
        float *x = p->gelu_of + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float cdf = normal_cdf_f32(x[i]);
            c[i] *= gelu_slope_f32(x[i], cdf);
            x[i] *= cdf;
        }
    }
}

static void store_tile(const Product *p, const Block *b, int64_t m, int64_t j, const float *tile) {
    int64_t rows = min_i64(MR, p->M - m), n = min_i64(NR, b->N - j), column = b->n + j;
    for (int64_t i = 0; i < rows; i++) {
        int64_t at = (m + i) * p->N + column;
        if (n == NR)
            store_row(p, b, at, column, tile + i * NR, NR);
        else
            store_row(p, b, at, column, tile + i * NR, n);
    }
}

/* --- the product ------------------------------------------------------------------------------ */

/* Rows m..m+n, which are at most GROUP panels, times slivers [first, end). */
static void multiply_panels(const Product *p, const Block *b, float *panels, const float *slivers,
                            int64_t m, int64_t n, int64_t first, int64_t end) {
    float tile[MR * NR] __attribute__((aligned(64)));
    pack_panels(panels, p, b, m, n);
    if (p->row_sums && b->n == 0 && first == 0) {
        for (int64_t i = 0; i < n; i += MR)
            add_row_sums(p->row_sums + m + i, panels + i / MR * PANEL, min_i64(MR, n - i), b->K);
    }
    for (int64_t i = 0; i < n; i += MR) {
        for (int64_t s = first; s < end; s++) {
            multiply(tile, panels + i / MR * PANEL, slivers + s * NR * b->K, b->K,
                     p->c + (m + i) * p->N + b->n + s * NR, p->N);
            store_tile(p, b, m + i, s * NR, tile);
        }
    }
}

/* What is left of a block's work, in units: a unit is a piece of a panel, one of `pieces` ranges of
 * its slivers. */
typedef struct Work {
    int64_t next, end, pieces;
    Stop *stop; /* of the caller */
} Work;

/* Takes the next n units, from the one that is returned on: a group of whole panels; near the end
 * fewer, and at last single units, so that all threads end together. */
static int64_t take(Work *w, int64_t n_threads, int64_t *n) {
    int64_t first;
#pragma omp master
    (void)stop_asked(w->stop); /* all others see the answer */
#pragma omp critical(take_panels)
    {
        if (w->stop && w->stop->asked) w->next = w->end; /* nobody wants the rest */
        int64_t left = w->end - w->next, panels = left / (2 * n_threads * w->pieces);
        *n = min_i64(left, panels ? min_i64(panels, GROUP) * w->pieces : 1);
        first = w->next;
        w->next += *n;
    }
    return first;
}

/* Called by every thread of a team. */
static void multiply_block(const Product *p, const Block *b, Work *w, float *panels, float *slivers,
                           int64_t n_threads) {
    int64_t n_slivers = (b->N + NR - 1) / NR, n_panels = (p->M + MR - 1) / MR, n;
#pragma omp single nowait
    {
        w->pieces = clamp_i64(n_slivers / 4, 1, 4);
        w->next = 0;
        w->end = n_panels * w->pieces;
    }
#pragma omp for schedule(static)
    for (int64_t s = 0; s < n_slivers; s++) pack_sliver(slivers + s * NR * b->K, p, b, s * NR);
    for (int64_t i = take(w, n_threads, &n); n; i = take(w, n_threads, &n)) {
        int64_t m = i / w->pieces * MR, rows = (n + w->pieces - 1) / w->pieces * MR;
        int64_t piece = i % w->pieces, end = piece + min_i64(n, w->pieces);
        multiply_panels(p, b, panels, slivers, m, min_i64(rows, p->M - m),
                        n_slivers * piece / w->pieces, n_slivers * end / w->pieces);
    }
#pragma omp barrier
}

/* The scratch: the packed right operand of a product [K,N], then a group of panels a thread. */
static int64_t packed_floats(int64_t N, int64_t K) {
    return round_up(min_i64(K, MAX_K) * round_up(min_i64(N, MAX_N), NR), LINE);
}

static float *panels_of_thread(const Product *p, float *scratch) {
#ifdef _OPENMP
    scratch += omp_get_thread_num() * GROUP * PANEL;
#endif
    return scratch + packed_floats(p->N, p->K);
}

static size_t linear_scratch(const Device *d, int64_t R, int64_t I, int64_t O) {
    int64_t forward = packed_floats(O, I), backward = packed_floats(I, O > R ? O : R);
    int64_t packed = forward > backward ? forward : backward;
    return (size_t)(packed + d->n_threads * GROUP * PANEL) * sizeof(float);
}

static void multiply_matrices(Device *d, const Product *p, float *scratch) {
    int64_t n_blocks = p->K > MAX_K ? (p->K + MAX_K - 1) / MAX_K : 1,
            n_across = (p->N + MAX_N - 1) / MAX_N;
    int64_t columns = round_up((p->N + n_across - 1) / n_across, NR);
    int n_threads = team(d, (double)p->M * (double)p->N * (double)p->K / 16);
    Work work = {.stop = d->stop};
#pragma omp parallel num_threads(n_threads)
    {
        float *panels = panels_of_thread(p, scratch);
        for (int64_t n = 0; n < p->N; n += columns) {
            for (int64_t i = 0; i < n_blocks; i++) {
                Block b = {.n = n,
                           .N = min_i64(columns, p->N - n),
                           .k = p->K * i / n_blocks,
                           .first = i == 0,
                           .last = i == n_blocks - 1};
                b.K = p->K * (i + 1) / n_blocks - b.k;
                multiply_block(p, &b, &work, panels, scratch, n_threads);
            }
        }
    }
}

/* --- the rows of the table -------------------------------------------------------------------- */

static void linear_forward(Device *d, void *y, void *pre, const void *x, const void *w,
                           const void *b, const void *residual, int64_t R, int64_t I, int64_t O,
                           void *scratch) {
    Product p = {.M = R,
                 .N = O,
                 .K = I,
                 .a = {x, I, false},
                 .b = {w, I, true},
                 .c = pre ? pre : y,
                 .bias = b,
                 .residual = residual,
                 .activated = pre ? y : NULL};
    multiply_matrices(d, &p, scratch);
}

static void linear_backward_input(Device *d, void *dx, const void *dy, const void *w, void *gelu_of,
                                  int64_t R, int64_t I, int64_t O, bool accumulate, void *scratch) {
    Product p = {.M = R,
                 .N = I,
                 .K = O,
                 .a = {dy, O, false},
                 .b = {w, I, false},
                 .c = dx,
                 .accumulate = accumulate,
                 .gelu_of = gelu_of};
    multiply_matrices(d, &p, scratch);
}

/* Bias gradients alone. */
static void add_column_sums(Device *d, const Product *p, float *scratch) {
#pragma omp parallel for schedule(static) num_threads(team(d, (double)p->M *(double)p->K))
    for (int64_t m = 0; m < p->M; m += MR) {
        for (int64_t k = 0; k < p->K; k += MAX_K) {
            float *panels = panels_of_thread(p, scratch);
            Block b = {.k = k, .K = min_i64(MAX_K, p->K - k)};
            pack_panels(panels, p, &b, m, min_i64(MR, p->M - m));
            add_row_sums(p->row_sums + m, panels, min_i64(MR, p->M - m), b.K);
        }
    }
}

static void linear_backward_weight(Device *d, void *dw, void *db, const void *dy, const void *x,
                                   int64_t R, int64_t I, int64_t O, bool accumulate,
                                   void *scratch) {
    Product p = {.M = O,
                 .N = I,
                 .K = R,
                 .a = {dy, O, true},
                 .b = {x, I, false},
                 .c = dw,
                 .accumulate = accumulate,
                 .row_sums = db};
    if (dw)
        multiply_matrices(d, &p, scratch);
    else if (db)
        add_column_sums(d, &p, scratch);
}

void SIMD(fill_matmul)(Kernels *k) {
    k->linear_forward = linear_forward;
    k->linear_backward_input = linear_backward_input;
    k->linear_backward_weight = linear_backward_weight;
    k->linear_scratch = linear_scratch;
}
