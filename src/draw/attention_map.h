/* Where the class token looks: its attention over the patches, and a picture of it. Host memory. */
#ifndef DRAW_ATTENTION_MAP_H
#define DRAW_ATTENTION_MAP_H

#include "data/image/image.h"

/* qkv [T,3,H,D] of one image, token 0 is cls. out [H,T-1]: softmax(q_cls k^T / sqrt(D)) over all T
 * tokens, without the column of cls itself and not rescaled, so a row sums to 1 less what cls
 * keeps. T >= 2. */
void attention_of_cls(const float *qkv, int64_t T, int64_t H, int64_t D, float *out);

/* A row of panels, each as large as the image (grey or RGB), with ATTENTION_GAP white pixels
 * between them: the image, the mean of the maps, then each map. maps [n_heads,rows,columns] are
 * enlarged bilinearly and drawn over the darkened grey image, each from its smallest value (dark
 * violet) to its largest (yellow). A constant map shows as low. *out is RGB; image_free it.
 * MAE_MEMORY; MAE_UNSUPPORTED: the row has more than IMAGE_MAX_PIXELS. */
#define ATTENTION_GAP 4
Status attention_picture(const Image *im, const float *maps, int64_t n_heads, int64_t rows,
                         int64_t columns, Image *out, Error *err);

#endif
