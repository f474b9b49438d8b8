/* See attention_map.h. The colours lie on a path through OKLab, a space in which distances are
 * differences as seen (B. Ottosson, 2020); walking it at constant speed, with lightness rising
 * throughout, makes equal steps of attention look equal, in grey print too. */
#include "draw/attention_map.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { N_ANCHORS = 6, N_COLORS = 256 };

/* --- Attention -------------------------------------------------------------------------------- */

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

void attention_of_cls(const float *qkv, int64_t T, int64_t H, int64_t D, float *out) {
    ASSERT(T >= 2 && H >= 1 && D >= 1, "T %lld H %lld D %lld", (long long)T, (long long)H,
           (long long)D);
    double scale = 1 / sqrt((double)D);
    for (int64_t h = 0; h < H; h++) {
        const float *q = qkv + h * D, *k = qkv + (H + h) * D; /* of token 0 */
        float *row = out + h * (T - 1);
        double own = dot(q, k, D) * scale, largest = own;
        for (int64_t t = 1; t < T; t++) {
            row[t - 1] = (float)(dot(q, k + t * 3 * H * D, D) * scale);
            largest = fmax(largest, (double)row[t - 1]);
        }
        double sum = exp(own - largest);
        for (int64_t t = 1; t < T; t++) sum += exp((double)row[t - 1] - largest);
        for (int64_t t = 1; t < T; t++)
            row[t - 1] = (float)(exp((double)row[t - 1] - largest) / sum);
    }
}

/* --- Colours ---------------------------------------------------------------------------------- */

/* Lightness, green to red, blue to yellow; all between them is within what a screen shows. */
static const double anchors[N_ANCHORS][3] = {
    {0.18, 0.032, -0.087}, {0.34, 0.102, -0.121}, {0.50, 0.174, -0.047},
    {0.64, 0.163, 0.076},  {0.78, 0.073, 0.126},  {0.93, -0.024, 0.134},
};

static double cube(double v) {
    return v * v * v;
}

/* Linear light, 0 to 1, to a byte of sRGB. */
static uint8_t srgb(double v) {
    v = v < 0 ? 0 : v > 1 ? 1 : v;
    v = v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
    return (uint8_t)lround(v * 255);
}

static void oklab_to_srgb(const double lab[3], uint8_t rgb[3]) {
    double l = cube(lab[0] + 0.3963377774 * lab[1] + 0.2158037573 * lab[2]);
    double m = cube(lab[0] - 0.1055613458 * lab[1] - 0.0638541728 * lab[2]);
    double s = cube(lab[0] - 0.0894841775 * lab[1] - 1.2914855480 * lab[2]);
    rgb[0] = srgb(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
    rgb[1] = srgb(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
    rgb[2] = srgb(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

/* Length of the path from anchor i to the next. */
static double leg(int i) {
    double sum = 0;
    for (int k = 0; k < 3; k++) sum += pow(anchors[i + 1][k] - anchors[i][k], 2);
    return sqrt(sum);
}

static void make_colors(uint8_t colors[N_COLORS][3]) {
    double total = 0;
    for (int i = 0; i < N_ANCHORS - 1; i++) total += leg(i);
    for (int c = 0; c < N_COLORS; c++) {
        double way = total * c / (N_COLORS - 1), lab[3];
        int i = 0;
        while (i < N_ANCHORS - 2 && way > leg(i)) way -= leg(i++);
        double share = way / leg(i);
        for (int k = 0; k < 3; k++)
            lab[k] = anchors[i][k] + share * (anchors[i + 1][k] - anchors[i][k]);
        oklab_to_srgb(lab, colors[c]);
    }
}

/* --- Picture ---------------------------------------------------------------------------------- */

typedef struct Row {
    const Image *image;
    Image *out;
    int64_t rows, columns;
    uint8_t colors[N_COLORS][3];
} Row;

static const uint8_t *source(const Row *r, int64_t x, int64_t y) {
    return r->image->pixels + (y * r->image->width + x) * r->image->channels;
}

static uint8_t *target(const Row *r, int64_t panel, int64_t x, int64_t y) {
    return r->out->pixels + (y * r->out->width + panel * (r->image->width + ATTENTION_GAP) + x) * 3;
}

/* Luma of BT.601, as PIL's convert('L') weighs it. */
static double grey(const Row *r, int64_t x, int64_t y) {
    const uint8_t *p = source(r, x, y);
    return r->image->channels < 3 ? p[0] : 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
}

static void draw_image(const Row *r) {
    for (int64_t y = 0; y < r->image->height; y++)
        for (int64_t x = 0; x < r->image->width; x++)
            for (int k = 0; k < 3; k++)
                target(r, 0, x, y)[k] = source(r, x, y)[r->image->channels < 3 ? 0 : k];
}

/* The centre of pixel i of n on a line of m cells: the cells on both sides and the second's share.
 * Beyond the outer cells' centres their value goes on. */
static double between(int64_t i, int64_t n, int64_t m, int64_t *a, int64_t *b) {
    double at = ((double)i + 0.5) * (double)m / (double)n - 0.5;
    at = at < 0 ? 0 : at > (double)(m - 1) ? (double)(m - 1) : at;
    *a = (int64_t)at;
    *b = *a + 1 < m ? *a + 1 : *a;
    return at - (double)*a;
}

static double enlarged(const Row *r, const float *map, int64_t x, int64_t y) {
    int64_t x0, x1, y0, y1, C = r->columns;
    double u = between(x, r->image->width, C, &x0, &x1);
    double v = between(y, r->image->height, r->rows, &y0, &y1);
    double above = (1 - u) * (double)map[y0 * C + x0] + u * (double)map[y0 * C + x1];
    double below = (1 - u) * (double)map[y1 * C + x0] + u * (double)map[y1 * C + x1];
    return (1 - v) * above + v * below;
}

/* Little attention lets the image through, much covers it. */
static void draw_map(const Row *r, int64_t panel, const float *map) {
    double lo = (double)map[0], hi = lo;
    for (int64_t i = 1; i < r->rows * r->columns; i++) {
        lo = fmin(lo, (double)map[i]);
        hi = fmax(hi, (double)map[i]);
    }
    for (int64_t y = 0; y < r->image->height; y++)
        for (int64_t x = 0; x < r->image->width; x++) {
            double share = hi > lo ? (enlarged(r, map, x, y) - lo) / (hi - lo) : 0;
            if (!(share > 0)) share = 0; /* rounding, or not a number */
            if (share > 1) share = 1;
            double cover = 0.45 + 0.4 * share, dark = 0.6 * grey(r, x, y);
            const uint8_t *color = r->colors[(int)(share * (N_COLORS - 1) + 0.5)];
            for (int k = 0; k < 3; k++)
                target(r, panel, x, y)[k] = (uint8_t)(cover * color[k] + (1 - cover) * dark + 0.5);
        }
}

Status attention_picture(const Image *im, const float *maps, int64_t n_heads, int64_t rows,
                         int64_t columns, Image *out, Error *err) {
    Status status = MAE_OK;
    int64_t cells = rows * columns;
    Row r = {.image = im, .out = out, .rows = rows, .columns = columns};
    ASSERT(n_heads >= 1 && n_heads <= 4096 && rows >= 1 && columns >= 1, "%lld maps of %lld x %lld",
           (long long)n_heads, (long long)rows, (long long)columns);
    *out = (Image){0};
    float *mean = mem_alloc_array((size_t)cells, sizeof *mean);
    if (!mean) return error_set(err, MAE_MEMORY, "no memory for a picture of attention");
    TRY(image_new(out, MAE_U8, (n_heads + 2) * im->width + (n_heads + 1) * ATTENTION_GAP,
                  im->height, 3, err));
    memset(out->pixels, 255, (size_t)(out->width * out->height * 3));
    make_colors(r.colors);
    for (int64_t i = 0; i < cells; i++) {
        double sum = 0;
        for (int64_t h = 0; h < n_heads; h++) sum += (double)maps[h * cells + i];
        mean[i] = (float)(sum / (double)n_heads);
    }
    draw_image(&r);
    draw_map(&r, 1, mean);
    for (int64_t h = 0; h < n_heads; h++) draw_map(&r, 2 + h, maps + h * cells);
done:
    mem_free(mean);
    return status;
}
