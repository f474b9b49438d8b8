/* Images of a program become a batch. Sizes: as `mae features` sees an image, or the whole image as
 * `mae reconstruct` does (mae.h, "fit"). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/augment/augment.h"
#include "data/image/image_caller.h"
#include "jobs/session_internal.h"

/* Of float pixels. From 0 to 1 is meant; resampling leaves values a little outside. */
#define LEAST (-1.0f)
#define MOST 2.0f

typedef struct ImageName {
    char text[32];
} ImageName;

static ImageName name_of(int64_t i) {
    ImageName n;
    snprintf(n.text, sizeof n.text, "image %lld", (long long)i);
    return n;
}

/* --- size ------------------------------------------------------------------------------------- */

/* Which part of the resized image is taken. */
static Resample resize(const MaeSession *s, const ImageView *v, FitKind fit) {
    const ModelConfig *c = &s->model->vit->config;
    Box whole = {0, 0, v->width, v->height};
    if (fit == FIT_STRETCH) return resample_make(whole, c->image_width, c->image_height);
    Augment a = {.kind = AUGMENT_EVAL, .height = c->image_height, .width = c->image_width};
    Geometry g = augment_draw(&a, v->width, v->height, 0, 0, 0);
    Resample r = resample_make(whole, g.whole_width, g.whole_height);
    r.window = g.box;
    return r;
}

/* dst[h*w*C] of the type of v, in the size of the model. */
static Status fit_image(MaeSession *s, int64_t i, const ImageView *v, void *dst, Error *err) {
    const ModelConfig *c = &s->model->vit->config;
    bool fits = v->width == c->image_width && v->height == c->image_height;
    FitKind fit = s->fit == FIT_AUTO ? (s->options.masked ? FIT_STRETCH : FIT_CROP) : s->fit;
    Error why = {0};
    if (fits && s->fit != FIT_CROP) {
        image_view_pack(v, dst);
        return MAE_OK;
    }
    if (fit == FIT_NONE)
        return error_set(err, MAE_SHAPE,
                         "%s: %lld x %lld pixels, where the model takes %lld x %lld; resize it, or "
                         "set the option fit to crop or stretch",
                         name_of(i).text, (long long)v->width, (long long)v->height,
                         (long long)c->image_width, (long long)c->image_height);
    Resample r = resize(s, v, fit);
    Status status = resample_into(v, &r, dst, &s->resampling, &why);
    return status == MAE_OK ? MAE_OK
                            : error_set(err, status, "%s: %.900s", name_of(i).text, why.message);
}

/* --- channels --------------------------------------------------------------------------------- */

/* RGB for a model of one channel, in memory of the session. */
static Status make_grey(MaeSession *s, int64_t i, ImageView *v, Error *err) {
    size_t bytes = (size_t)(v->width * v->height) * image_value_bytes(v->type);
    if (bytes > s->grey.bytes) {
        resample_scratch_free(&s->grey);
        s->grey.memory = mem_alloc(bytes);
        if (!s->grey.memory)
            return error_set(err, MAE_MEMORY, "%s: no memory for it in grey", name_of(i).text);
        s->grey.bytes = bytes;
    }
    image_view_grey(v, s->grey.memory);
    Image grey = {.width = v->width,
                  .height = v->height,
                  .channels = 1,
                  .type = v->type,
                  .pixels = s->grey.memory};
    *v = image_view(&grey);
    return MAE_OK;
}

/* Grey and RGB become each other as in files. */
static Status fit_channels(MaeSession *s, int64_t i, ImageView *v, Error *err) {
    int64_t C = s->model->vit->config.channels;
    if (v->channels == C) return MAE_OK;
    if (v->channels == 3 && C == 1) return make_grey(s, i, v, err);
    if (v->channels == 1 && C == 3) {
        v->channels = 3;
        v->channel_stride = 0;
        return MAE_OK;
    }
    return error_set(err, MAE_SHAPE,
                     "%s: %lld channels, where the model takes %lld; choose them with pixels and "
                     "strides",
                     name_of(i).text, (long long)v->channels, (long long)C);
}

/* --- values ----------------------------------------------------------------------------------- */

static Status check_values(const ModelConfig *c, int64_t i, const float *values, Error *err) {
    int64_t n = c->image_height * c->image_width * c->channels;
    for (int64_t k = 0; k < n; k++)
        if (!(values[k] >= LEAST && values[k] <= MOST))
            return error_set(err, MAE_USAGE,
                             "%s: a value of %g among its F32 pixels, which go from 0 to 1; scale "
                             "them",
                             name_of(i).text, (double)values[k]);
    return MAE_OK;
}

/* Pixels [h,w,C] of that type -> normalised [C,h,w]. */
static void normalize(const ModelConfig *c, MaeType type, void *pixels, float *out) {
    Augment nothing = {0};
    Image im = {.width = c->image_width,
                .height = c->image_height,
                .channels = c->channels,
                .type = type,
                .pixels = pixels};
    augment_normalize(&nothing, &im, c->mean, c->std, 0, 0, 0, out);
}

static Status take_image(MaeSession *s, const MaeImage *image, int64_t i, bool floats, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &s->model->vit->config;
    int64_t n = c->image_height * c->image_width * c->channels;
    uint8_t *bytes = (uint8_t *)session_staged(s->session) + i * n;
    float *normal = session_staged_floats(s->session) + i * n;
    ImageView view;
    TRY(image_view_of_caller(name_of(i).text, image, &view, err));
    TRY(fit_channels(s, i, &view, err));
    if (view.type == MAE_F32) {
        TRY(fit_image(s, i, &view, s->floats, err));
        TRY(check_values(c, i, s->floats, err));
        normalize(c, MAE_F32, s->floats, normal);
    } else {
        TRY(fit_image(s, i, &view, bytes, err));
        if (floats) normalize(c, MAE_U8, bytes, normal);
    }
done:
    return status;
}

Status session_take_images(MaeSession *s, const MaeImage *images, int64_t n, bool *floats,
                           Error *err) {
    *floats = false;
    for (int64_t i = 0; i < n; i++) *floats = *floats || images[i].type == MAE_F32;
    for (int64_t i = 0; i < n; i++) {
        Status status = take_image(s, &images[i], i, *floats, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}
