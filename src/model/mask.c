/* Which patches are hidden. Random: the published per-sample shuffle by noise. Block: BEiT's
 * rectangles, then trimmed or filled at random, since the encoder needs the same count for every
 * image. Grid: one of four kept. */
#include <math.h>
#include <string.h>

#include "model/autoencoder.h"

int64_t mask_keep_count(int64_t n_patches, double ratio) {
    return (int64_t)((double)n_patches * (1 - ratio));
}

int64_t mask_n_keep(MaskKind kind, const ModelConfig *c, double ratio) {
    if (kind == MASK_GRID) return mask_grid(model_grid_height(c), model_grid_width(c), NULL);
    return mask_keep_count(model_patches(c), ratio);
}

/* Bits of a float in an order that an unsigned comparison agrees with, then the index: sorting
 * these is a stable sort of the noise. */
static uint64_t sort_key(float noise, int64_t i) {
    uint32_t bits;
    memcpy(&bits, &noise, sizeof bits);
    if (bits == 0x80000000u) bits = 0; /* -0 ties with 0 */
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (uint64_t)i;
}

static void sift_down(uint64_t *heap, int64_t i, int64_t n) {
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child] < heap[child + 1]) child++;
        if (heap[i] >= heap[child]) return;
        uint64_t t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
    }
}

/* Heap sort: in place, so that a training step allocates nothing. */
static void sort_keys(uint64_t *keys, int64_t n) {
    for (int64_t i = n / 2 - 1; i >= 0; i--) sift_down(keys, i, n);
    for (int64_t i = n - 1; i > 0; i--) {
        uint64_t t = keys[0];
        keys[0] = keys[i];
        keys[i] = t;
        sift_down(keys, 0, i);
    }
}

static void emit(const uint64_t *keys, int64_t n_patches, int64_t n_keep, int32_t *ids_keep,
                 int32_t *ids_restore, float *mask) {
    for (int64_t i = 0; i < n_patches; i++) {
        int32_t patch = (int32_t)(keys[i] & 0xffffffffu);
        if (ids_keep && i < n_keep) ids_keep[i] = patch;
        if (ids_restore) ids_restore[patch] = (int32_t)i;
        if (mask) mask[patch] = i >= n_keep;
    }
}

void mask_from_noise(const float *noise, int64_t n_patches, int64_t n_keep, int32_t *ids_keep,
                     int32_t *ids_restore, float *mask, uint64_t *scratch) {
    for (int64_t i = 0; i < n_patches; i++) scratch[i] = sort_key(noise[i], i);
    sort_keys(scratch, n_patches);
    emit(scratch, n_patches, n_keep, ids_keep, ids_restore, mask);
}

void mask_from_keep(const int32_t *keep, int64_t n_keep, int64_t n_patches, int32_t *ids_restore,
                    float *mask) {
    for (int64_t i = 0; i < n_patches; i++) mask[i] = 1;
    for (int64_t i = 0; i < n_keep; i++) mask[keep[i]] = 0;
    int32_t removed = (int32_t)n_keep;
    for (int64_t i = 0; i < n_patches; i++)
        if (mask[i] > 0) ids_restore[i] = removed++;
    for (int64_t i = 0; i < n_keep; i++) ids_restore[keep[i]] = (int32_t)i;
}

int64_t mask_grid(int64_t rows, int64_t columns, int32_t *ids_keep) {
    int64_t n = 0;
    for (int64_t y = 0; y < rows; y += 2)
        for (int64_t x = 0; x < columns; x += 2, n++)
            if (ids_keep) ids_keep[n] = (int32_t)(y * columns + x);
    return n;
}

/* One rectangle of BEiT: returns how many patches became masked, 0 after ten vain tries. */
static int64_t add_block(int64_t rows, int64_t columns, int64_t room, Rng *rng, float *mask) {
    const double log_aspect = log(1 / 0.3);
    for (int attempt = 0; attempt < 10; attempt++) {
        double area = rng_range(rng, 16, (double)room);
        double aspect = exp(rng_range(rng, -log_aspect, log_aspect));
        int64_t h = (int64_t)rint(sqrt(area * aspect)), w = (int64_t)rint(sqrt(area / aspect));
        if (w >= columns || h >= rows || w < 1 || h < 1) continue;
        int64_t top = rng_below(rng, rows - h + 1), left = rng_below(rng, columns - w + 1);
        int64_t fresh = 0;
        for (int64_t y = top; y < top + h; y++)
            for (int64_t x = left; x < left + w; x++) fresh += mask[y * columns + x] <= 0;
        if (fresh == 0 || fresh > room) continue;
        for (int64_t y = top; y < top + h; y++)
            for (int64_t x = left; x < left + w; x++) mask[y * columns + x] = 1;
        return fresh;
    }
    return 0;
}

/* Turns a random patch of state `from` into `to`, among the `count` that are `from`. */
static void flip_one(float *mask, int64_t n, float from, float to, int64_t count, Rng *rng) {
    int64_t pick = rng_below(rng, count);
    for (int64_t i = 0; i < n; i++)
        if (mask[i] == from && pick-- == 0) {
            mask[i] = to;
            return;
        }
}

void mask_block(int64_t rows, int64_t columns, int64_t n_mask, Rng *rng, float *mask) {
    int64_t n = rows * columns, count = 0;
    for (int64_t i = 0; i < n; i++) mask[i] = 0;
    while (count < n_mask) {
        int64_t added = add_block(rows, columns, n_mask - count, rng, mask);
        if (added == 0) break;
        count += added;
    }
    for (; count < n_mask; count++) flip_one(mask, n, 0, 1, n - count, rng);
}

static void draw_random(const ModelConfig *c, int64_t n_keep, Rng *rng, int32_t *ids_keep,
                        int32_t *ids_restore, float *mask, uint64_t *keys) {
    int64_t P = model_patches(c);
    for (int64_t i = 0; i < P; i++) keys[i] = sort_key(rng_uniform_f32(rng), i);
    sort_keys(keys, P);
    emit(keys, P, n_keep, ids_keep, ids_restore, mask);
}

/* Block and grid masks enter in raster order: kept patches first, then removed ones. */
static void draw_raster(MaskKind kind, const ModelConfig *c, int64_t n_keep, Rng *rng,
                        int32_t *ids_keep, int32_t *ids_restore, float *mask, uint64_t *keys) {
    int64_t P = model_patches(c), columns = model_grid_width(c);
    float *removed = (float *)(void *)keys; /* first half of the scratch; keys follow from it */
    if (kind == MASK_BLOCK)
        mask_block(model_grid_height(c), columns, P - n_keep, rng, removed);
    else
        for (int64_t i = 0; i < P; i++) removed[i] = (i / columns) % 2 || (i % columns) % 2;
    int32_t kept = 0, gone = (int32_t)n_keep;
    for (int64_t i = 0; i < P; i++) {
        bool hide = removed[i] > 0;
        if (ids_keep && !hide) ids_keep[kept] = (int32_t)i;
        if (ids_restore) ids_restore[i] = hide ? gone : kept;
        if (mask) mask[i] = removed[i];
        if (hide)
            gone++;
        else
            kept++;
    }
}

void mask_draw(MaskKind kind, const ModelConfig *c, double ratio, uint64_t seed, uint64_t epoch,
               uint64_t sample, int32_t *ids_keep, int32_t *ids_restore, float *mask,
               uint64_t *scratch) {
    int64_t n_keep = mask_n_keep(kind, c, ratio);
    Rng rng = rng_make(seed, RNG_MASK, epoch, sample);
    if (kind == MASK_RANDOM)
        draw_random(c, n_keep, &rng, ids_keep, ids_restore, mask, scratch);
    else
        draw_raster(kind, c, n_keep, &rng, ids_keep, ids_restore, mask, scratch);
}
