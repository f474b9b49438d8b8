/* See origin.h. Sources: main_pretrain.py and models_mae.py of facebookresearch/mae, vits.py and
 * main_moco.py of facebookresearch/moco-v3, vision_transformer.py of timm. */
#include "checkpoint/origin.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

WORDS_DEFINE(Origin, origin_words, ORIGIN_WORDS)

/* --- fixed positions -------------------------------------------------------------------------- */

#define MAX_POSITIONS ((int64_t)1 << 24) /* values; beyond it nobody's model is looked at */
#define TOLERANCE 2e-3f                  /* of float16 and bfloat16, and of sines in float32 */

/* swapped: the two halves of the width change places. */
static bool matches(const float *a, const float *b, int64_t rows, int64_t width, bool swapped) {
    int64_t shift = swapped ? width / 2 : 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < width; k++) {
            float there = b[i * width + (k + shift) % width];
            if (!(fabsf(a[i * width + k] - there) <= TOLERANCE)) return false;
        }
    return true;
}

static Origin origin_of_positions(const CheckpointFile *c) {
    const ModelConfig *m = &c->config;
    int64_t D = m->embed_dim, rows = model_patches(m) + 1;
    Error ignored = {0};
    Origin origin = ORIGIN_UNKNOWN;
    if (D % 4 || rows < 3 || D > MAX_POSITIONS / rows) return ORIGIN_UNKNOWN;
    Param p = {.name = "pos_embed", .shape = SHAPE(1, rows, D), .numel = rows * D};
    float *have = mem_alloc_array((size_t)p.numel, sizeof *have);
    float *fixed = mem_alloc_array((size_t)p.numel, sizeof *fixed);
    if (have && fixed && dialect_read(&c->dialect, &p, have, &ignored) == MAE_OK) {
        pos_embed_sincos(fixed, D, model_grid_height(m), model_grid_width(m));
        if (matches(have, fixed, rows, D, false))
            origin = ORIGIN_MAE;
        else if (matches(have, fixed, rows, D, true))
            origin = ORIGIN_MOCO;
    }
    mem_free(have);
    mem_free(fixed);
    return origin;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool has_prefix_of_moco(const CheckpointFile *c) {
    static const char *const words[] = {"base_encoder.", "momentum_encoder."};
    for (size_t i = 0; i < tensorfile_count(c->file); i++)
        for (int k = 0; k < 2; k++)
            if (strstr(tensorfile_at(c->file, i)->name, words[k])) return true;
    return false;
}

/* Hugging Face and mmpretrain train the same model with statistics of their own. */
Origin origin_of(const CheckpointFile *c) {
    const char *model = tensorfile_meta(c->file, "args.model");
    if (c->dialect.dialect != DIALECT_OFFICIAL) return ORIGIN_UNKNOWN;
    if (has_prefix_of_moco(c)) return ORIGIN_MOCO;
    if (tensorfile_meta(c->file, "args.norm_pix_loss") || c->config.decoder_depth > 0 ||
        (model && strncmp(model, "mae_vit", 7) == 0))
        return ORIGIN_MAE;
    return origin_of_positions(c);
}

static const struct Size {
    const char *word;
    int64_t width, heads;
} SIZES[] = {
    {"tiny", 192, 3},    {"pwee", 256, 4},       {"wee", 256, 4},      {"little", 320, 5},
    {"small", 384, 6},   {"medium", 512, 8},     {"betwixt", 640, 10}, {"base", 768, 12},
    {"large", 1024, 16}, {"so400m", 1152, 16},   {"huge", 1280, 16},   {"giant", 1408, 16},
    {"giant", 1536, 24}, {"gigantic", 1664, 16},
};

int64_t origin_heads_of_name(const char *name, int64_t width) {
    for (size_t i = 0; name && i < sizeof SIZES / sizeof *SIZES; i++)
        if (SIZES[i].width == width && strstr(name, SIZES[i].word)) return SIZES[i].heads;
    return 0;
}

/* "giant" stands for two widths, and so for none. */
int64_t origin_width_of_name(const char *name) {
    for (size_t i = 0; name && i < sizeof SIZES / sizeof *SIZES; i++)
        if (strcmp(SIZES[i].word, "giant") != 0 && strstr(name, SIZES[i].word))
            return SIZES[i].width;
    return 0;
}
