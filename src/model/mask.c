/* See mask.h. */
#include "model/mask.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

int64_t mask_keep_count(int64_t n_patches, double ratio) {
    return (int64_t)((double)n_patches * (1 - ratio));
}

int64_t mask_n_keep(MaskRule rule, const ModelConfig *c) {
    if (rule.kind == MASK_GRID)
        return (model_grid_height(c) + 1) / 2 * ((model_grid_width(c) + 1) / 2);
    return mask_keep_count(model_patches(c), rule.ratio);
}

Status masks_new(MaskRule rule, const ModelConfig *c, int64_t batch, Masks **out, Error *err) {
    size_t P = (size_t)model_patches(c), n = (size_t)batch * P;
    size_t bytes = P * sizeof *(*out)->keys + n * (3 * sizeof *(*out)->ids_keep + sizeof(float));
    Masks *m = *out = mem_alloc(sizeof *m + bytes);
    if (!m)
        return error_set(err, MAE_MEMORY, "no memory for the masks of %lld images",
                         (long long)batch);
    *m = (Masks){.rule = rule,
                 .batch = batch,
                 .rows = model_grid_height(c),
                 .columns = model_grid_width(c),
                 .n_patches = model_patches(c),
                 .n_keep = mask_n_keep(rule, c),
                 .keys = (uint64_t *)(void *)(m + 1)};
    m->mask = (float *)(void *)(m->keys + P);
    m->ids_keep = (int32_t *)(void *)(m->mask + n);
    m->ids_restore = m->ids_keep + n;
    m->ids_pred = m->ids_restore + n;
    return MAE_OK;
}

void masks_free(Masks *m) {
    mem_free(m);
}

/* The key has the bits of a float in an order that unsigned comparison agrees with, then the index.
 * Sorting keys is therefore a stable sort of the noise. */
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

void masks_from_noise(Masks *m, int64_t b, const float *noise) {
    int64_t P = m->n_patches;
    for (int64_t i = 0; i < P; i++) m->keys[i] = sort_key(noise[i], i);
    sort_keys(m->keys, P);
    for (int64_t i = 0; i < P; i++) {
        int32_t patch = (int32_t)(m->keys[i] & 0xffffffffu);
        if (i < m->n_keep) m->ids_keep[b * m->n_keep + i] = patch;
        m->ids_restore[b * P + patch] = (int32_t)i;
        m->mask[b * P + patch] = i >= m->n_keep;
    }
}

void masks_from_keep(Masks *m, int64_t b) {
    const int32_t *keep = m->ids_keep + b * m->n_keep;
    int32_t *restore = m->ids_restore + b * m->n_patches, next = (int32_t)m->n_keep;
    float *mask = m->mask + b * m->n_patches;
    for (int64_t i = 0; i < m->n_patches; i++) mask[i] = 1;
    for (int64_t i = 0; i < m->n_keep; i++) {
        mask[keep[i]] = 0;
        restore[keep[i]] = (int32_t)i;
    }
    for (int64_t i = 0; i < m->n_patches; i++)
        if (mask[i] > 0) restore[i] = next++;
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

static void block(int64_t rows, int64_t columns, int64_t n_mask, Rng *rng, float *mask) {
    int64_t n = rows * columns, count = 0;
    for (int64_t i = 0; i < n; i++) mask[i] = 0;
    while (count < n_mask) {
        int64_t added = add_block(rows, columns, n_mask - count, rng, mask);
        if (added == 0) break;
        count += added;
    }
    for (; count < n_mask; count++) flip_one(mask, n, 0, 1, n - count, rng);
}

/* The noise of a random mask lies where the mask will be. */
void masks_draw(Masks *m, int64_t b, uint64_t seed, uint64_t epoch, uint64_t sample) {
    int64_t P = m->n_patches;
    int32_t *keep = m->ids_keep + b * m->n_keep;
    float *mask = m->mask + b * P;
    Rng rng = rng_make(seed, RNG_MASK, epoch, sample);
    if (m->rule.kind == MASK_RANDOM) {
        for (int64_t i = 0; i < P; i++) mask[i] = rng_uniform_f32(&rng);
        masks_from_noise(m, b, mask);
        return;
    }
    if (m->rule.kind == MASK_BLOCK)
        block(m->rows, m->columns, P - m->n_keep, &rng, mask);
    else
        for (int64_t i = 0; i < P; i++) mask[i] = (i / m->columns) % 2 || (i % m->columns) % 2;
    for (int64_t i = 0; i < P; i++)
        if (mask[i] <= 0) *keep++ = (int32_t)i;
    masks_from_keep(m, b);
}
