/* Optimisers in float, one pass over their arrays; see ref/optim.c. They are bound by memory, so
 * the two divisions of AdamW cost nothing. All threads share a list: its tensors are cut into
 * pieces, and whoever is free takes the next one. */
#include "kernels/cpu/simd.h"

enum { PIECE = 65536, PIECES_AT_ONCE = 256 };

/* --- lists ------------------------------------------------------------------------------------ */

/* n elements of a tensor from `at` on. */
typedef struct Piece {
    const Segment *of;
    int64_t before; /* pieces of the list in front of that tensor */
    int64_t at, n;
} Piece;

static int64_t pieces_of(const Segment *s) {
    return (s->n + PIECE - 1) / PIECE;
}

static int64_t count_pieces(const Segment *list, int64_t count, double *elements) {
    int64_t n = 0;
    *elements = 0;
    for (int64_t k = 0; k < count; k++) {
        n += pieces_of(list + k);
        *elements += (double)list[k].n;
    }
    return n;
}

/* From an earlier piece of the list, or its beginning, to piece i. */
static void move_to(Piece *p, int64_t i) {
    while (i - p->before >= pieces_of(p->of)) p->before += pieces_of(p->of++);
    p->at = (i - p->before) * PIECE;
    p->n = min_i64(PIECE, p->of->n - p->at);
}

static float *part(void *base, const Piece *p) {
    return (float *)base + p->at;
}

typedef void (*PieceWork)(const Piece *p, const void *settings);

/* passes: over memory, per element. A thread gets its pieces in ascending order. */
static void each_piece(Device *d, const Segment *list, int64_t count, double passes, PieceWork work,
                       const void *settings) {
    double elements;
    int64_t n = count_pieces(list, count, &elements);
    Piece p = {.of = list};
#pragma omp parallel for schedule(monotonic                                                        \
                                  : dynamic) firstprivate(p)                                       \
    num_threads(team(d, passes *elements))
    for (int64_t i = 0; i < n; i++) {
        move_to(&p, i);
        work(&p, settings);
    }
}

/* --- sums of squares -------------------------------------------------------------------------- */

static double squares_of(const float *x, int64_t n) {
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) s += (double)x[i] * (double)x[i];
    return s;
}

/* The sums of the pieces are added in order. */
static void sum_squares(Device *d, double *sums, const Segment *list, int64_t count) {
    double elements, sum[PIECES_AT_ONCE];
    int64_t n = count_pieces(list, count, &elements);
    Piece p = {.of = list}, added = p; /* a build without OpenMP has one p */
    for (int64_t k = 0; k < count; k++) sums[k] = 0;
    for (int64_t first = 0; first < n; first += PIECES_AT_ONCE) {
        int64_t end = min_i64(first + PIECES_AT_ONCE, n);
#pragma omp parallel for schedule(monotonic                                                        \
                                  : dynamic) firstprivate(p) num_threads(team(d, elements))
        for (int64_t i = first; i < end; i++) {
            move_to(&p, i);
            sum[i - first] = squares_of(part(p.of->g, &p), p.n);
        }
        for (int64_t i = first; i < end; i++) {
            move_to(&added, i);
            sums[added.of - list] += sum[i - first];
        }
    }
}

/* --- AdamW ------------------------------------------------------------------------------------ */

typedef struct Constants {
    float gradient_scale, beta1, rest1, beta2, rest2, decay, step, root2, eps;
} Constants;

static void adamw_chunk(float *p, const float *g_, float *m, float *v, int64_t n, Constants k) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = g_[i] * k.gradient_scale;
        float first = k.beta1 * m[i] + k.rest1 * g;
        float second = k.beta2 * v[i] + k.rest2 * g * g;
        float divisor = sqrtf(second) / k.root2 + k.eps;
        m[i] = first;
        v[i] = second;
        p[i] = p[i] * k.decay - k.step * first / divisor;
    }
}

static void adamw_piece(const Piece *p, const void *settings) {
    const AdamW *a = settings;
    const Segment *s = p->of;
    double lr = a->lr * s->lr_scale;
    Constants k = {
        .gradient_scale = (float)a->gradient_scale,
        .beta1 = (float)a->beta1,
        .rest1 = (float)(1 - a->beta1),
        .beta2 = (float)a->beta2,
        .rest2 = (float)(1 - a->beta2),
        .decay = (float)(1 - lr * s->weight_decay),
        .step = (float)(lr / a->correction1),
        .root2 = (float)sqrt(a->correction2),
        .eps = (float)a->eps,
    };
    adamw_chunk(part(s->p, p), part(s->g, p), part(s->m, p), part(s->v, p), p->n, k);
}

static void adamw(Device *d, const Segment *list, int64_t count, AdamW a) {
    each_piece(d, list, count, 4, adamw_piece, &a);
}

/* --- SGD and LARS ----------------------------------------------------------------------------- */

/* In two loops, so that both products are rounded. */
static void decay_piece(const Piece *p, const void *settings) {
    const Sgd *a = settings;
    const float *weights = part(p->of->p, p);
    float *g = part(p->of->g, p);
    float scale = (float)a->gradient_scale, decay = (float)p->of->weight_decay;
#pragma omp simd
    for (int64_t i = 0; i < p->n; i++) g[i] *= scale;
    if (decay <= 0) return;
#pragma omp simd
    for (int64_t i = 0; i < p->n; i++) g[i] = g[i] + decay * weights[i];
}

static void sgd_chunk(float *p, const float *g, float *m, int64_t n, float rate, float keep,
                      float factor) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        m[i] = keep * m[i] + factor * g[i];
        p[i] -= rate * m[i];
    }
}

/* gradient_scale multiplies the gradient once more: it is the rate here. */
static void sgd_piece(const Piece *p, const void *settings) {
    const Sgd *a = settings;
    const Segment *s = p->of;
    sgd_chunk(part(s->p, p), part(s->g, p), part(s->m, p), p->n, (float)(a->lr * s->lr_scale),
              (float)a->momentum, (float)a->gradient_scale);
}

/* |p| and |g| decide the rate; where one of them is zero it stays what it is. */
static double lars_rate(Device *d, const Segment *s) {
    const Segment both[] = {{.g = s->p, .n = s->n}, {.g = s->g, .n = s->n}};
    double sums[2];
    sum_squares(d, sums, both, 2);
    double weight = sqrt(sums[0]), gradient = sqrt(sums[1]);
    return weight > 0 && gradient > 0 ? s->trust * weight / gradient : 1;
}

static void sgd(Device *d, const Segment *list, int64_t count, Sgd a) {
    each_piece(d, list, count, 2, decay_piece, &a);
    for (int64_t k = 0; k < count; k++) {
        a.gradient_scale = list[k].trust > 0 ? lars_rate(d, list + k) : 1;
        each_piece(d, list + k, 1, 2, sgd_piece, &a);
    }
}

/* --- averages --------------------------------------------------------------------------------- */

static void average_chunk(float *e, const float *p, int64_t n, float keep, float rest) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) e[i] = keep * e[i] + rest * p[i];
}

static void average_piece(const Piece *p, const void *settings) {
    double decay = *(const double *)settings;
    average_chunk(part(p->of->m, p), part(p->of->p, p), p->n, (float)decay, (float)(1 - decay));
}

static void average(Device *d, const Segment *list, int64_t count, double decay) {
    each_piece(d, list, count, 1, average_piece, &decay);
}

void SIMD(fill_optim)(Kernels *k) {
    k->sum_squares = sum_squares;
    k->adamw = adamw;
    k->sgd = sgd;
    k->average = average;
}
