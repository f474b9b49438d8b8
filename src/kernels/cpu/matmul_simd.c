/* Linear layers on oneDNN's sgemm.
 *
 * The result is cut into tiles by its shape alone. Each tile is one single-threaded library call,
 * so the number of threads cannot change a bit; bias, residual and GELU follow while the tile is
 * still in cache. Column sums for the bias gradient are further pieces of work beside the tiles. */
#include <dnnl.h>
#include <signal.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/cpu/simd.h"

enum {
    TILE_ROWS = 512,     /* most rows of a tile */
    TILE_COLUMNS = 1024, /* most columns of a tile */
    SUM_COLUMNS = 128,   /* columns summed as one piece of work */
    SUM_ROWS = 64,       /* rows summed in float before they go to double */
};

typedef struct Tiles {
    int64_t M, N;          /* the whole result */
    int64_t rows, columns; /* of a tile */
    int64_t n_across, n;
} Tiles;

typedef struct Tile {
    int64_t row, column, rows, columns;
} Tile;

/* Equal tiles, an even number of them where the result is large enough to be shared. */
static Tiles tiles_for(int64_t M, int64_t N) {
    int64_t n_across = (N + TILE_COLUMNS - 1) / TILE_COLUMNS;
    int64_t n_down = (M + TILE_ROWS - 1) / TILE_ROWS;
    if (n_across * n_down % 2 == 1 && M >= 64) n_down++;
    Tiles t = {.M = M, .N = N};
    t.rows = round_up((M + n_down - 1) / n_down, 16);
    t.columns = round_up((N + n_across - 1) / n_across, 16);
    t.n_across = (N + t.columns - 1) / t.columns;
    t.n = t.n_across * ((M + t.rows - 1) / t.rows);
    return t;
}

static Tile tile_at(const Tiles *t, int64_t i) {
    Tile tile = {.row = i / t->n_across * t->rows, .column = i % t->n_across * t->columns};
    tile.rows = min_i64(t->rows, t->M - tile.row);
    tile.columns = min_i64(t->columns, t->N - tile.column);
    return tile;
}

/* What a thread is set to between enter_library and leave_library.
 *
 * oneDNN uses one thread where omp_in_parallel() is true, which it is not in a team of one; there
 * omp_set_num_threads, local to the calling task, says the same.
 *
 * No signal handler may run on this stack meanwhile: kernels that oneDNN generates (seen with 2.6)
 * use the stack pointer as one more register, so that the frame of a handler would be written into
 * the middle of the heap. */
typedef struct Library {
    sigset_t signals;
} Library;

static Library enter_library(void) {
    Library before;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before.signals);
#ifdef _OPENMP
    omp_set_num_threads(1);
#endif
    return before;
}

static void leave_library(const Library *before) {
    pthread_sigmask(SIG_SETMASK, &before->signals, NULL);
}

/* c[m,n] = a b + beta c, where a, b are stored transposed if 'T'. */
static void product(char transa, char transb, Tile size, int64_t k, const float *a, int64_t lda,
                    const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    dnnl_status_t status =
        dnnl_sgemm(transa, transb, size.rows, size.columns, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
    ASSERT(status == dnnl_success, "dnnl_sgemm returned %d", (int)status);
}

/* s += b + residual; y = gelu(s) when pre keeps s. b, residual may be NULL. */
static void epilogue_row(float *y, float *pre, const float *b, const float *residual, int64_t n) {
    float *s = pre ? pre : y;
    if (b && residual) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) s[i] = s[i] + b[i] + residual[i];
    } else if (b || residual) {
        const float *addend = b ? b : residual;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) s[i] = s[i] + addend[i];
    }
    if (pre) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = s[i] * normal_cdf_f32(s[i]);
    }
}

static void linear_forward(Device *d, void *y_, void *pre_, const void *x_, const void *w_,
                           const void *b_, const void *residual_, int64_t R, int64_t I, int64_t O) {
    float *y = y_, *pre = pre_, *sum = pre ? pre : y;
    const float *x = x_, *w = w_, *b = b_, *residual = residual_;
    bool in_place = residual == sum; /* the product adds to the residual directly */
    Tiles tiles = tiles_for(R, O);
#pragma omp parallel num_threads(team(d, (double)R *(double)I *(double)O / 16))
    {
        Library before = enter_library();
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < tiles.n; i++) {
            Tile t = tile_at(&tiles, i);
            product('N', 'T', t, I, x + t.row * I, I, w + t.column * I, I, in_place ? 1.0f : 0.0f,
                    sum + t.row * O + t.column, O);
            for (int64_t r = t.row; r < t.row + t.rows; r++) {
                int64_t at = r * O + t.column;
                epilogue_row(y + at, pre ? pre + at : NULL, b ? b + t.column : NULL,
                             residual && !in_place ? residual + at : NULL, t.columns);
            }
        }
        leave_library(&before);
    }
}

static void linear_backward_input(Device *d, void *dx_, const void *dy_, const void *w_, int64_t R,
                                  int64_t I, int64_t O, bool accumulate) {
    float *dx = dx_;
    const float *dy = dy_, *w = w_;
    Tiles tiles = tiles_for(R, I);
#pragma omp parallel num_threads(team(d, (double)R *(double)I *(double)O / 16))
    {
        Library before = enter_library();
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < tiles.n; i++) {
            Tile t = tile_at(&tiles, i);
            product('N', 'N', t, O, dy + t.row * O, O, w + t.column, I, accumulate ? 1.0f : 0.0f,
                    dx + t.row * I + t.column, I);
        }
        leave_library(&before);
    }
}

/* sums[c] += sum of a[r,c] over R rows that lie ld apart; n <= SUM_COLUMNS. */
static void add_column_sums(float *sums, const float *a, int64_t ld, int64_t R, int64_t n) {
    double total[SUM_COLUMNS] = {0};
    for (int64_t first = 0; first < R; first += SUM_ROWS) {
        float part[SUM_COLUMNS] = {0};
        for (int64_t r = first; r < min_i64(first + SUM_ROWS, R); r++) {
#pragma omp simd
            for (int64_t c = 0; c < n; c++) part[c] += a[r * ld + c];
        }
        for (int64_t c = 0; c < n; c++) total[c] += (double)part[c];
    }
    for (int64_t c = 0; c < n; c++) sums[c] = (float)((double)sums[c] + total[c]);
}

static void linear_backward_weight(Device *d, void *dw_, void *db_, const void *dy_, const void *x_,
                                   int64_t R, int64_t I, int64_t O) {
    float *dw = dw_, *db = db_;
    const float *dy = dy_, *x = x_;
    Tiles tiles = tiles_for(O, I);
    int64_t n_tiles = dw ? tiles.n : 0;
    int64_t n_sums = db ? (O + SUM_COLUMNS - 1) / SUM_COLUMNS : 0;
#pragma omp parallel num_threads(team(d, (double)R *(double)I *(double)O / 16))
    {
        Library before = enter_library();
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < n_tiles + n_sums; i++) {
            if (i >= n_tiles) {
                int64_t column = (i - n_tiles) * SUM_COLUMNS;
                add_column_sums(db + column, dy + column, O, R, min_i64(SUM_COLUMNS, O - column));
                continue;
            }
            Tile t = tile_at(&tiles, i);
            product('T', 'N', t, R, dy + t.row, O, x + t.column, I, 1.0f, dw + t.row * I + t.column,
                    I);
        }
        leave_library(&before);
    }
}

void SIMD(fill_matmul)(Kernels *k) {
    k->linear_forward = linear_forward;
    k->linear_backward_input = linear_backward_input;
    k->linear_backward_weight = linear_backward_weight;
}
