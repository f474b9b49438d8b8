/* Bicubic resampling as PIL does it: a horizontal pass into 8 bits, then a vertical pass into 8
 * bits. Weights come from a cubic with a = -0.5, stretched by the reduction factor. They are
 * normalised in double and rounded to 22 fixed-point bits, so sums are exact integers in any order.
 * That lets the vector loops (resample_avx2.c, resample_vnni.c) agree with the plain ones to the
 * bit.
 *
 * Only the rows that the vertical pass reads go through the horizontal pass, and only the outputs
 * in the window are made. Tables and intermediate rows live in the caller's scratch memory. */
#include "data/image/resample.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/image/resample_axis.h"

static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

/* From n_in to n_out, of which outputs [from, from + n) are wanted. */
typedef struct Span {
    int64_t n_in, n_out, from, n;
} Span;

static double span_support(Span s) {
    double scale = (double)s.n_in / (double)s.n_out;
    return 2.0 * (scale < 1.0 ? 1.0 : scale);
}

static int64_t span_stride(Span s) {
    return ((int64_t)ceil(span_support(s)) * 2 + 1 + 3) / 4 * 4;
}

/* Weights of output i into w (doubles; as many as span_stride). Every rounding step counts here. */
static void weights_at(Span s, int64_t i, int32_t *first, int32_t *count, double *w) {
    double scale = (double)s.n_in / (double)s.n_out;
    double support = span_support(s), inverse = 1.0 / (scale < 1.0 ? 1.0 : scale);
    double centre = ((double)i + 0.5) * scale, sum = 0.0;
    int64_t lo = (int64_t)(centre - support + 0.5), hi = (int64_t)(centre + support + 0.5);
    if (lo < 0) lo = 0;
    if (hi > s.n_in) hi = s.n_in;
    for (int64_t x = lo; x < hi; x++) {
        w[x - lo] = cubic(((double)x - centre + 0.5) * inverse);
        sum += w[x - lo];
    }
    if (sum != 0.0)
        for (int64_t x = lo; x < hi; x++) w[x - lo] /= sum;
    *first = (int32_t)lo;
    *count = (int32_t)(hi - lo);
}

static int32_t fixed_point(double w) {
    double v = w * (double)(1 << RESAMPLE_BITS);
    return (int32_t)(v < 0.0 ? v - 0.5 : v + 0.5);
}

/* For the AVX2 loops. */
static void split_weight(int32_t v, int16_t *split) {
    int32_t low = v & 4095;
    split[0] = (int16_t)low;
    split[4] = (int16_t)((v - low) / 4096);
}

/* For the VNNI loops, tap t of a group. Adding 128 to each byte and flipping its highest bit makes
 * the signed bytes whose weighted sum is v. */
static void cut_weight(int32_t v, int64_t t, int32_t *parts) {
    uint32_t bytes = ((uint32_t)v + 0x808080u) ^ 0x808080u;
    for (int k = 0; k < 3; k++) {
        uint32_t part = t == 0 ? 0 : (uint32_t)parts[k];
        parts[k] = (int32_t)(part | (bytes >> (8 * k) & 255u) << (8 * t));
    }
}

static void axis_fill(ResampleAxis *a, Span s, double *w) {
    for (int64_t i = 0; i < a->n; i++) {
        int32_t *weight = a->weight + i * a->stride;
        int16_t *split = a->split + 2 * i * a->stride;
        int32_t *parts = a->parts + i * a->stride / 4 * 3;
        weights_at(s, s.from + i, &a->first[i], &a->count[i], w);
        for (int64_t t = 0; t < a->stride; t++) {
            weight[t] = t < a->count[i] ? fixed_point(w[t]) : 0;
            split_weight(weight[t], split + t / 4 * 8 + t % 4);
            cut_weight(weight[t], t % 4, parts + t / 4 * 3);
        }
    }
}

/* How far loads of 16 bytes for 4 taps of 3 channels go in a row of src: beyond the last tap that
 * counts. */
static int64_t reach_of(const ResampleAxis *axis) {
    int64_t reach = 0;
    for (int64_t i = 0; i < axis->n; i++) {
        int64_t r = 3 * ((int64_t)axis->first[i] + (axis->count[i] + 3) / 4 * 4) + 4;
        if (r > reach) reach = r;
    }
    return reach;
}

void resample_across(const ResampleLoops *loops, uint8_t *dst, const uint8_t *src,
                     int64_t src_stride, const uint8_t *end, int64_t n_rows, int64_t channels,
                     const ResampleAxis *axis) {
    int64_t y = 0, reach = loops && channels == 3 ? reach_of(axis) : 0;
    for (; reach && y + RESAMPLE_ROWS <= n_rows; y += RESAMPLE_ROWS) {
        if (end - (src + (RESAMPLE_ROWS - 1) * src_stride) < reach) break;
        loops->across_rows(dst, src, src_stride, axis);
        src += RESAMPLE_ROWS * src_stride;
        dst += RESAMPLE_ROWS * axis->n * channels;
    }
    for (; y < n_rows; y++, src += src_stride)
        for (int64_t i = 0; i < axis->n; i++) {
            const uint8_t *p = src + axis->first[i] * channels;
            const int32_t *w = axis->weight + i * axis->stride;
            for (int64_t c = 0; c < channels; c++) {
                int32_t sum = 1 << (RESAMPLE_BITS - 1);
                for (int32_t t = 0; t < axis->count[i]; t++) sum += p[t * channels + c] * w[t];
                *dst++ = resample_clip(sum);
            }
        }
}

void resample_down(uint8_t *dst, const uint8_t *src, int64_t src_stride, int64_t bytes,
                   const ResampleAxis *axis, int64_t i) {
    enum { BLOCK = 64 };
    const int32_t *w = axis->weight + i * axis->stride;
    src += axis->first[i] * src_stride;
    for (int64_t x = 0; x < bytes; x += BLOCK) {
        int64_t n = bytes - x < BLOCK ? bytes - x : BLOCK;
        int32_t sum[BLOCK];
        for (int64_t k = 0; k < n; k++) sum[k] = 1 << (RESAMPLE_BITS - 1);
        for (int32_t t = 0; t < axis->count[i]; t++) {
            const uint8_t *row = src + t * src_stride + x;
            for (int64_t k = 0; k < n; k++) sum[k] += row[k] * w[t];
        }
        for (int64_t k = 0; k < n; k++) dst[x + k] = resample_clip(sum[k]);
    }
}

/* Takes bytes (rounded up to a cache line) from the front of a block; with NULL it only counts. */
static void *take(uint8_t *memory, size_t *used, size_t count, size_t size) {
    void *p = memory ? memory + *used : NULL;
    *used += (count * size + 63) / 64 * 64;
    return p;
}

static void axis_place(ResampleAxis *a, Span s, uint8_t *memory, size_t *used) {
    a->n = s.n;
    a->stride = span_stride(s);
    a->first = take(memory, used, (size_t)a->n, sizeof *a->first);
    a->count = take(memory, used, (size_t)a->n, sizeof *a->count);
    a->weight = take(memory, used, (size_t)(a->n * a->stride), sizeof *a->weight);
    a->split = take(memory, used, (size_t)(2 * a->n * a->stride), sizeof *a->split);
    a->parts = take(memory, used, (size_t)(a->n * a->stride / 4 * 3), sizeof *a->parts);
}

typedef struct Work {
    ResampleAxis across, down;
    double *weights;
    uint8_t *rows;
} Work;

static size_t work_place(Work *k, Span across, Span down, int64_t n_rows, int64_t row_bytes,
                         uint8_t *memory) {
    size_t used = 0;
    axis_place(&k->across, across, memory, &used);
    axis_place(&k->down, down, memory, &used);
    int64_t most = k->across.stride > k->down.stride ? k->across.stride : k->down.stride;
    k->weights = take(memory, &used, (size_t)most, sizeof *k->weights);
    k->rows = take(memory, &used, (size_t)(n_rows * row_bytes), 1);
    return used;
}

static Status scratch_need(ResampleScratch *s, size_t bytes, Error *err) {
    if (bytes <= s->bytes) return MAE_OK;
    resample_scratch_free(s);
    s->memory = mem_alloc(bytes);
    if (!s->memory)
        return error_set(err, MAE_MEMORY, "resize: no memory for %zu bytes of work space", bytes);
    s->bytes = bytes;
    return MAE_OK;
}

static void check_arguments(const Image *in, Box box, int64_t width, int64_t height, Box window) {
    ASSERT(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0 &&
               box.left + box.width <= in->width && box.top + box.height <= in->height,
           "box %lldx%lld+%lld+%lld leaves the %lldx%lld image", (long long)box.width,
           (long long)box.height, (long long)box.left, (long long)box.top, (long long)in->width,
           (long long)in->height);
    ASSERT(window.left >= 0 && window.top >= 0 && window.width > 0 && window.height > 0 &&
               window.left + window.width <= width && window.top + window.height <= height,
           "the window leaves the %lldx%lld result", (long long)width, (long long)height);
}

/* The fastest loops of this machine, or NULL. */
static const ResampleLoops *choose_loops(void) {
    const ResampleLoops *loops = resample_loops_vnni();
    return loops ? loops : resample_loops_avx2();
}

static void run_passes(const Image *in, Box box, int64_t first_row, int64_t n_rows, Work *k,
                       uint8_t *dst) {
    int64_t channels = in->channels, stride = in->width * channels;
    int64_t row_bytes = k->across.n * channels;
    const uint8_t *src = in->pixels + (box.top + first_row) * stride + box.left * channels;
    const uint8_t *end = in->pixels + in->height * stride;
    const ResampleLoops *loops = choose_loops();
    resample_across(loops, k->rows, src, stride, end, n_rows, channels, &k->across);
    for (int64_t i = 0; i < k->down.n; i++) k->down.first[i] -= (int32_t)first_row;
    for (int64_t i = 0; i < k->down.n; i++, dst += row_bytes) {
        if (loops)
            loops->down(dst, k->rows, row_bytes, row_bytes, &k->down, i);
        else
            resample_down(dst, k->rows, row_bytes, row_bytes, &k->down, i);
    }
}

Status resample_window_into(const Image *in, Box box, int64_t width, int64_t height, Box window,
                            uint8_t *dst, ResampleScratch *scratch, Error *err) {
    check_arguments(in, box, width, height, window);
    if (width > INT32_MAX / 64 || height > INT32_MAX / 64)
        return error_set(err, MAE_UNSUPPORTED, "resize: %lld x %lld is too large; ask for less",
                         (long long)width, (long long)height);
    Span across = {box.width, width, window.left, window.width};
    Span down = {box.height, height, window.top, window.height};

    /* The rows that the vertical pass reads: from the first output's first to the last's last. */
    int64_t support = (int64_t)ceil(span_support(down)) + 1;
    double scale = (double)box.height / (double)height;
    int64_t first_row = (int64_t)(((double)window.top + 0.5) * scale) - support;
    int64_t end_row = (int64_t)(((double)(window.top + window.height) - 0.5) * scale) + support + 1;
    if (first_row < 0) first_row = 0;
    if (end_row > box.height) end_row = box.height;

    Work k = {0};
    int64_t n_rows = end_row - first_row, row_bytes = window.width * in->channels;
    size_t bytes = work_place(&k, across, down, n_rows, row_bytes, NULL);
    Status status = scratch_need(scratch, bytes, err);
    if (status != MAE_OK) return status;
    work_place(&k, across, down, n_rows, row_bytes, scratch->memory);
    axis_fill(&k.across, across, k.weights);
    axis_fill(&k.down, down, k.weights);
    run_passes(in, box, first_row, n_rows, &k, dst);
    return MAE_OK;
}

Status resample_crop_into(const Image *in, Box box, int64_t width, int64_t height, uint8_t *dst,
                          ResampleScratch *scratch, Error *err) {
    return resample_window_into(in, box, width, height, (Box){0, 0, width, height}, dst, scratch,
                                err);
}

Status resample_crop(const Image *in, Box box, int64_t width, int64_t height, Image *out,
                     Error *err) {
    Status status = MAE_OK;
    ResampleScratch scratch = {0};
    *out = (Image){0};
    TRY(image_new(out, width, height, in->channels, err));
    TRY(resample_crop_into(in, box, width, height, out->pixels, &scratch, err));
done:
    resample_scratch_free(&scratch);
    if (status != MAE_OK) image_free(out);
    return status;
}

void resample_scratch_free(ResampleScratch *s) {
    mem_free(s->memory);
    *s = (ResampleScratch){0};
}
