/* See picture.h. */
#include "infer/picture.h"

#include <string.h>

enum { REMOVED = 128, PANELS = 3 };

void picture_row_size(const ModelConfig *c, int64_t *width, int64_t *height) {
    *width = PANELS * c->image_width + (PANELS - 1) * PICTURE_GAP;
    *height = c->image_height;
}

/* 0..1 -> 0..255, cut as the published demonstration does; the little that is added makes up for
 * the rounding of values that were whole. */
static uint8_t to_byte(float unit) {
    float v = unit * 255;
    return (uint8_t)(!(v > 0) ? 0 : v > 255 ? 255 : v + 1e-3f);
}

typedef struct Panel {
    const ModelConfig *config;
    const float *image; /* [C,h,w] */
    bool normalized;    /* or in 0..1 */
    const float *mask;  /* removed patches are grey; NULL: all is shown */
} Panel;

static void draw_pixel(const Panel *p, int64_t y, int64_t x, uint8_t *rgb) {
    const ModelConfig *c = p->config;
    int64_t at = y * c->image_width + x;
    int64_t patch = y / c->patch * model_grid_width(c) + x / c->patch;
    for (int k = 0; k < 3; k++) {
        int64_t channel = k < c->channels ? k : 0;
        float v = p->image[channel * c->image_height * c->image_width + at];
        if (p->normalized) v = v * c->std[channel] + c->mean[channel];
        rgb[k] = p->mask && p->mask[patch] > 0 ? REMOVED : to_byte(v);
    }
}

static void draw_panel(const Panel *p, int64_t row_width, uint8_t *dst) {
    for (int64_t y = 0; y < p->config->image_height; y++)
        for (int64_t x = 0; x < p->config->image_width; x++)
            draw_pixel(p, y, x, dst + (y * row_width + x) * 3);
}

void picture_draw(Session *s, const ModelConfig *c, int64_t i, uint8_t *dst) {
    int64_t numel = c->channels * c->image_height * c->image_width, width, height;
    const float *seen = session_images(s) + i * numel;
    const float *made = session_reconstruction(s) + i * numel;
    const float *mask = session_masks(s)->mask + i * model_patches(c);
    const Panel panels[PANELS] = {
        {c, seen, true, mask}, {c, made, false, NULL}, {c, seen, true, NULL}};
    picture_row_size(c, &width, &height);
    memset(dst, 255, (size_t)(width * height * 3));
    for (int k = 0; k < PANELS; k++)
        draw_panel(&panels[k], width, dst + k * (c->image_width + PICTURE_GAP) * 3);
}
