/* Resampling as PIL does it: a horizontal pass, then a vertical pass, each rounded to the type of
 * the pixels. Weights come from a filter (bicubic: a cubic with a = -0.5), stretched by the
 * reduction factor, and are normalised in double. For 8 bits they are rounded to 22 fixed-point
 * bits, so sums are exact integers in any order. That lets the vector loops (resample_avx2.c,
 * resample_vnni.c) agree with the plain ones to the bit. Wider types: resample_wide.c.
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

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double sinc(double x) {
    const double pi = 3.14159265358979323846;
    return x == 0.0 ? 1.0 : sin(x * pi) / (x * pi);
}

static double lanczos(double x) {
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

/* Every tap of every axis asks: no call through a pointer. */
static inline double filter_at(ResampleFilter filter, double x) {
    if (filter == RESAMPLE_BICUBIC) return cubic(x);
    return filter == RESAMPLE_BILINEAR ? triangle(x) : lanczos(x);
}

/* Where it becomes zero. */
static double filter_support(ResampleFilter filter) {
    return filter == RESAMPLE_BICUBIC ? 2.0 : filter == RESAMPLE_BILINEAR ? 1.0 : 3.0;
}

/* From n_in to n_out, of which outputs [from, from + n) are wanted. */
typedef struct Span {
    int64_t n_in, n_out, from, n;
    ResampleFilter filter;
} Span;

static double span_support(Span s) {
    double scale = (double)s.n_in / (double)s.n_out;
    return filter_support(s.filter) * (scale < 1.0 ? 1.0 : scale);
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
        w[x - lo] = filter_at(s.filter, ((double)x - centre + 0.5) * inverse);
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

static void axis_fill_fixed(ResampleAxis *a, Span s, double *w) {
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

/* PIL leaves a pass out that would change nothing: no NaN spreads, and a zero keeps its sign. */
static void axis_fill_exact(ResampleAxis *a, Span s) {
    a->same = s.n_in == s.n_out;
    for (int64_t i = 0; i < a->n; i++)
        if (a->same)
            a->first[i] = (int32_t)(s.from + i);
        else
            weights_at(s, s.from + i, &a->first[i], &a->count[i], a->exact + i * a->stride);
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

static void axis_place(ResampleAxis *a, Span s, MaeType type, uint8_t *memory, size_t *used) {
    a->n = s.n;
    a->stride = span_stride(s);
    size_t n = (size_t)a->n, n_weights = (size_t)(a->n * a->stride);
    a->first = take(memory, used, n, sizeof *a->first);
    a->count = take(memory, used, n, sizeof *a->count);
    if (type != MAE_U8) {
        a->exact = take(memory, used, n_weights, sizeof *a->exact);
        return;
    }
    a->weight = take(memory, used, n_weights, sizeof *a->weight);
    a->split = take(memory, used, 2 * n_weights, sizeof *a->split);
    a->parts = take(memory, used, n_weights / 4 * 3, sizeof *a->parts);
}

/* One call: what is to be done, and where its tables and rows lie in the scratch. */
typedef struct Work {
    const ImageView *in;
    Box box;
    Span across_span, down_span;
    int64_t first_row, n_rows; /* of the box, that the vertical pass reads */
    int64_t pixel_bytes;
    bool packed; /* rows can be read where they are */
    ResampleAxis across, down;
    double *weights;
    uint8_t *rows;     /* [n_rows, window.width] pixels after the horizontal pass */
    uint8_t *gathered; /* [RESAMPLE_ROWS, box.width] pixels, and room for loads of vectors */
} Work;

enum { VECTOR_BYTES = 64 };

/* From the first output's first row to the last one's last. */
static void work_rows(Work *k, const Resample *r) {
    int64_t support = (int64_t)ceil(span_support(k->down_span)) + 1;
    double scale = (double)r->box.height / (double)r->height;
    int64_t end = r->window.top + r->window.height, end_row;
    k->first_row = (int64_t)(((double)r->window.top + 0.5) * scale) - support;
    end_row = (int64_t)(((double)end - 0.5) * scale) + support + 1;
    if (k->first_row < 0) k->first_row = 0;
    if (end_row > r->box.height) end_row = r->box.height;
    k->n_rows = end_row - k->first_row;
}

static Work work_make(const ImageView *in, const Resample *r) {
    int64_t value = (int64_t)image_value_bytes(in->type), pixel = value * in->channels;
    bool aligned = (uintptr_t)in->pixels % (size_t)value == 0 && in->row_stride % value == 0;
    Work k = {.in = in,
              .box = r->box,
              .across_span = {r->box.width, r->width, r->window.left, r->window.width, r->filter},
              .down_span = {r->box.height, r->height, r->window.top, r->window.height, r->filter},
              .pixel_bytes = pixel,
              .packed = in->pixel_stride == pixel && in->channel_stride == value && aligned &&
                        in->row_stride >= in->width * pixel};
    work_rows(&k, r);
    return k;
}

/* Returns the bytes; with memory NULL it only counts. */
static size_t work_place(Work *k, uint8_t *memory) {
    size_t used = 0, pixel = (size_t)k->pixel_bytes;
    axis_place(&k->across, k->across_span, k->in->type, memory, &used);
    axis_place(&k->down, k->down_span, k->in->type, memory, &used);
    int64_t most = k->across.stride > k->down.stride ? k->across.stride : k->down.stride;
    k->weights = take(memory, &used, (size_t)most, sizeof *k->weights);
    k->rows = take(memory, &used, (size_t)(k->n_rows * k->across.n), pixel);
    if (!k->packed)
        k->gathered =
            take(memory, &used, (size_t)(RESAMPLE_ROWS * k->box.width) * pixel + VECTOR_BYTES, 1);
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

static void check_arguments(const ImageView *in, const Resample *r) {
    Box box = r->box, window = r->window;
    ASSERT(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0 &&
               box.left + box.width <= in->width && box.top + box.height <= in->height,
           "box %lldx%lld+%lld+%lld leaves the %lldx%lld image", (long long)box.width,
           (long long)box.height, (long long)box.left, (long long)box.top, (long long)in->width,
           (long long)in->height);
    ASSERT(window.left >= 0 && window.top >= 0 && window.width > 0 && window.height > 0 &&
               window.left + window.width <= r->width && window.top + window.height <= r->height,
           "the window leaves the %lldx%lld result", (long long)r->width, (long long)r->height);
}

/* --- The two passes --------------------------------------------------------------------------- */

/* The fastest loops of this machine, or NULL. */
static const ResampleLoops *choose_loops(void) {
    const ResampleLoops *loops = resample_loops_vnni();
    return loops ? loops : resample_loops_avx2();
}

static void pass_across(const Work *k, const ResampleLoops *loops, uint8_t *dst, const uint8_t *src,
                        int64_t src_stride, const uint8_t *end, int64_t n_rows) {
    int64_t channels = k->in->channels;
    if (k->in->type == MAE_U8)
        resample_across(loops, dst, src, src_stride, end, n_rows, channels, &k->across);
    else
        resample_wide_across(k->in->type, dst, src, src_stride, n_rows, channels, &k->across);
}

static const uint8_t *row_of(const Work *k, int64_t y) {
    const ImageView *in = k->in;
    return (const uint8_t *)in->pixels + (k->box.top + k->first_row + y) * in->row_stride +
           k->box.left * in->pixel_stride;
}

/* Packs rows [y, y + n) of the box. */
static void gather(const Work *k, int64_t y, int64_t n) {
    const ImageView *in = k->in;
    size_t value = image_value_bytes(in->type);
    uint8_t *to = k->gathered;
    for (int64_t row = y; row < y + n; row++) {
        const uint8_t *from = row_of(k, row);
        for (int64_t x = 0; x < k->box.width; x++, from += in->pixel_stride)
            for (int64_t c = 0; c < in->channels; c++, to += value)
                memcpy(to, from + c * in->channel_stride, value);
    }
}

static void run_across(const Work *k, const ResampleLoops *loops) {
    const ImageView *in = k->in;
    int64_t stride = k->box.width * k->pixel_bytes;
    if (k->packed) {
        const uint8_t *last = (const uint8_t *)in->pixels + (in->height - 1) * in->row_stride;
        pass_across(k, loops, k->rows, row_of(k, 0), in->row_stride,
                    last + in->width * k->pixel_bytes, k->n_rows);
        return;
    }
    for (int64_t y = 0; y < k->n_rows; y += RESAMPLE_ROWS) {
        int64_t n = k->n_rows - y < RESAMPLE_ROWS ? k->n_rows - y : RESAMPLE_ROWS;
        gather(k, y, n);
        pass_across(k, loops, k->rows + y * k->across.n * k->pixel_bytes, k->gathered, stride,
                    k->gathered + RESAMPLE_ROWS * stride + VECTOR_BYTES, n);
    }
}

static void run_down(Work *k, const ResampleLoops *loops, uint8_t *dst) {
    int64_t n_values = k->across.n * k->in->channels, row_bytes = k->across.n * k->pixel_bytes;
    for (int64_t i = 0; i < k->down.n; i++) k->down.first[i] -= (int32_t)k->first_row;
    for (int64_t i = 0; i < k->down.n; i++, dst += row_bytes) {
        if (k->in->type != MAE_U8)
            resample_wide_down(k->in->type, dst, k->rows, row_bytes, n_values, &k->down, i);
        else if (loops)
            loops->down(dst, k->rows, row_bytes, row_bytes, &k->down, i);
        else
            resample_down(dst, k->rows, row_bytes, row_bytes, &k->down, i);
    }
}

/* --- Calls ------------------------------------------------------------------------------------ */

Resample resample_make(Box box, int64_t width, int64_t height) {
    return (Resample){box, width, height, {0, 0, width, height}, RESAMPLE_BICUBIC};
}

size_t resample_scratch_bytes(const ImageView *in, const Resample *r) {
    Work k = work_make(in, r);
    return work_place(&k, NULL);
}

Status resample_into(const ImageView *in, const Resample *r, void *dst, ResampleScratch *scratch,
                     Error *err) {
    check_arguments(in, r);
    if (r->width > INT32_MAX / 64 || r->height > INT32_MAX / 64)
        return error_set(err, MAE_UNSUPPORTED, "resize: %lld x %lld is too large; ask for less",
                         (long long)r->width, (long long)r->height);
    Work k = work_make(in, r);
    Status status = scratch_need(scratch, work_place(&k, NULL), err);
    if (status != MAE_OK) return status;
    work_place(&k, scratch->memory);
    if (in->type == MAE_U8) {
        axis_fill_fixed(&k.across, k.across_span, k.weights);
        axis_fill_fixed(&k.down, k.down_span, k.weights);
    } else {
        axis_fill_exact(&k.across, k.across_span);
        axis_fill_exact(&k.down, k.down_span);
    }
    const ResampleLoops *loops = choose_loops();
    run_across(&k, loops);
    run_down(&k, loops, dst);
    return MAE_OK;
}

Status resample_crop(const Image *in, Box box, int64_t width, int64_t height, Image *out,
                     Error *err) {
    Status status = MAE_OK;
    ResampleScratch scratch = {0};
    ImageView view = image_view(in);
    Resample r = resample_make(box, width, height);
    *out = (Image){0};
    TRY(image_new(out, in->type, width, height, in->channels, err));
    TRY(resample_into(&view, &r, out->pixels, &scratch, err));
done:
    resample_scratch_free(&scratch);
    if (status != MAE_OK) image_free(out);
    return status;
}

void resample_scratch_free(ResampleScratch *s) {
    mem_free(s->memory);
    *s = (ResampleScratch){0};
}
