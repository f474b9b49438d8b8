/* Reconstructions as a person sees them: rows of masked | reconstruction | original. */
#ifndef INFER_PICTURE_H
#define INFER_PICTURE_H

#include "data/image/image.h"
#include "model/autoencoder.h"

typedef struct PictureOptions {
    bool paste;        /* visible patches are shown as they are in the reconstruction */
    bool interpolated; /* norm-pix: patch statistics from visible neighbours instead of the truth */
} PictureOptions;

/* Draws one image at a time, with a graph that is made once and predicts all patches. */
typedef struct Painter Painter;
Status painter_new(Vit *a, int64_t n_keep, Painter **out, Error *err);
void painter_free(Painter *p);   /* accepts NULL */
int64_t painter_panel_gap(void); /* pixels between panels */
/* pixels u8 [h,w,C]; masks of one image. Draws a row of three panels, RGB, into dst, of the size in
 * pixels that painter_row_size gives. *loss (may be NULL) is that on the removed patches. */
void painter_row_size(const Painter *p, int64_t *width, int64_t *height);
void painter_draw(Painter *p, const uint8_t *pixels, Masks *masks, PictureOptions o, uint8_t *dst,
                  double *loss);

#endif
