/* synthetic:N or synthetic:NxHxW. Image i is made from its number alone: a smooth field of colour
 * (random values on a coarse grid, blended) around the hue of label i % 10, with three shapes whose
 * form is label % 5. It takes whole numbers only, so the pixels are the same on every machine. */
#include <stdlib.h>

#include "base/rng.h"
#include "data/source/source.h"

#define N_LABELS 10
#define DEFAULT_SIDE 64
#define MAX_SIDE 8192
#define MAX_COUNT 100000000
#define GRID 4  /* cells a side */
#define ONE 256 /* fixed point */

static const uint8_t hues[N_LABELS][3] = {
    {200, 60, 50},  {205, 140, 50}, {200, 195, 60}, {110, 190, 60}, {50, 170, 90},
    {50, 180, 180}, {60, 110, 205}, {90, 70, 200},  {165, 70, 195}, {200, 70, 140}};

typedef struct SyntheticState {
    int64_t height, width;
} SyntheticState;

typedef struct Figure {
    int form; /* 0 to 4, see inside */
    int32_t x, y, radius;
    uint8_t colour[3];
} Figure;

static bool read_number(const char **p, int64_t limit, int64_t *out) {
    if (**p < '0' || **p > '9') return false;
    for (*out = 0; **p >= '0' && **p <= '9'; (*p)++) {
        *out = *out * 10 + (**p - '0');
        if (*out > limit) return false;
    }
    return *out > 0;
}

static bool parse(const char *p, int64_t *count, SyntheticState *state) {
    if (!read_number(&p, MAX_COUNT, count)) return false;
    if (!*p) return true;
    return *p++ == 'x' && read_number(&p, MAX_SIDE, &state->height) && *p++ == 'x' &&
           read_number(&p, MAX_SIDE, &state->width) && !*p;
}

static Status synthetic_open(Source *s, const char *where, Error *err) {
    Status status = MAE_OK;
    int64_t count = 0;
    SyntheticState *state = arena_alloc(s->arena, sizeof *state);
    if (!state) return source_no_memory(err);
    state->height = state->width = DEFAULT_SIDE;
    if (!parse(where, &count, state))
        return error_set(err, MAE_USAGE,
                         "synthetic:%s: expected synthetic:N or synthetic:NxHEIGHTxWIDTH, such as "
                         "synthetic:1000x224x224",
                         where);
    s->state = state;
    for (int64_t i = 0; i < count; i++) {
        SourceItem item = {.class = (int)(i % N_LABELS)};
        item.name = arena_printf(s->arena, "synthetic#%lld", (long long)i);
        TRY(source_add(s, item, err));
    }
    TRY(source_number_classes(s, N_LABELS, err));
    TRY(source_describe(s, where, NULL, err));
done:
    return status;
}

/* 3t^2 - 2t^3 with t in [0, ONE]. */
static int32_t smooth(int32_t t) {
    return t * t * (3 * ONE - 2 * t) / (ONE * ONE);
}

static int32_t blend(int32_t a, int32_t b, int32_t t) {
    return a * (ONE - t) + b * t;
}

static void paint_field(uint8_t *rgb, int64_t height, int64_t width, int label, Rng *rng) {
    int32_t grid[GRID + 1][GRID + 1][3];
    for (int y = 0; y <= GRID; y++)
        for (int x = 0; x <= GRID; x++)
            for (int c = 0; c < 3; c++)
                grid[y][x][c] = hues[label][c] + (int32_t)rng_below(rng, 101) - 50;
    for (int64_t y = 0; y < height; y++) {
        int32_t gy = (int32_t)(y * GRID * ONE / height), cy = gy / ONE, ty = smooth(gy % ONE);
        for (int64_t x = 0; x < width; x++) {
            int32_t gx = (int32_t)(x * GRID * ONE / width), cx = gx / ONE, tx = smooth(gx % ONE);
            for (int c = 0; c < 3; c++) {
                int32_t above = blend(grid[cy][cx][c], grid[cy][cx + 1][c], tx);
                int32_t below = blend(grid[cy + 1][cx][c], grid[cy + 1][cx + 1][c], tx);
                int32_t v = blend(above, below, ty) / (ONE * ONE);
                rgb[3 * (y * width + x) + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
        }
    }
}

static bool inside(const Figure *s, int32_t x, int32_t y) {
    int32_t dx = abs(x - s->x), dy = abs(y - s->y), r = s->radius, square = dx * dx + dy * dy;
    switch (s->form) {
    case 0: return square <= r * r;                                     /* disc */
    case 1: return dx <= r && dy <= r;                                  /* square */
    case 2: return dx + dy <= r;                                        /* diamond */
    case 3: return square <= r * r && 4 * square >= r * r;              /* ring */
    default: return dx <= r && dy <= r && (3 * dx <= r || 3 * dy <= r); /* cross */
    }
}

static void paint_shape(uint8_t *rgb, int32_t height, int32_t width, int label, Rng *rng) {
    int32_t shorter = height < width ? height : width;
    Figure s = {.form = label % 5};
    s.x = (int32_t)rng_below(rng, width);
    s.y = (int32_t)rng_below(rng, height);
    s.radius = shorter / 12 + (int32_t)rng_below(rng, shorter / 6 + 1);
    for (int c = 0; c < 3; c++) s.colour[c] = (uint8_t)rng_below(rng, 256);
    int32_t top = s.y > s.radius ? s.y - s.radius : 0, left = s.x > s.radius ? s.x - s.radius : 0;
    for (int32_t y = top; y < height && y <= s.y + s.radius; y++)
        for (int32_t x = left; x < width && x <= s.x + s.radius; x++)
            if (inside(&s, x, y))
                for (int c = 0; c < 3; c++) rgb[3 * ((int64_t)y * width + x) + c] = s.colour[c];
}

static Status synthetic_fetch(const Source *s, int64_t index, int channels, ImageCrop *crop,
                              Image *out, Error *err) {
    (void)crop;
    const SyntheticState *state = s->state;
    int64_t height = state->height, width = state->width;
    int label = s->items[index].class;
    Rng rng = rng_make(0, RNG_SYNTHETIC, 0, (uint64_t)index);
    Image rgb;
    Status status = image_new(&rgb, MAE_U8, width, height, 3, err);
    if (status != MAE_OK) return status;
    paint_field(rgb.pixels, height, width, label, &rng);
    for (int k = 0; k < 3; k++)
        paint_shape(rgb.pixels, (int32_t)height, (int32_t)width, label, &rng);
    if (channels == 3) {
        *out = rgb;
        return MAE_OK;
    }
    status = source_copy_rgb(rgb.pixels, 3 * width, width, height, channels, out, err);
    image_free(&rgb);
    return status;
}

static bool synthetic_identify(const Source *s, int64_t index, ImageIdentity *out) {
    const SyntheticState *state = s->state;
    uint64_t size = (uint64_t)state->height * (MAX_SIDE + 1) + (uint64_t)state->width;
    *out = (ImageIdentity){IDENTITY_GENERATED, size, index};
    return true;
}

const SourceKind source_synthetic = {"synthetic", synthetic_open, synthetic_fetch,
                                     synthetic_identify, NULL};
