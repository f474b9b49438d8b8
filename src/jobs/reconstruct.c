/* mae reconstruct: images with patches removed, and what a model puts there. */
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "infer/picture.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"

typedef struct Drawing {
    MaeModel *model;
    const MaeOptions *options;
    Session *session; /* of one image */
    Masks *masks;
    int64_t width, height; /* of a row */
} Drawing;

static Status drawing_open(Drawing *s, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &s->model->vit->config;
    MaskRule rule = setup_mask(s->options);
    if (c->decoder_depth < 1)
        return error_set(
            err, MAE_UNSUPPORTED,
            "this checkpoint has no decoder (encoder only), so it cannot reconstruct; use one "
            "written by mae pretrain");
    if (s->options->mask_ratio < 0) rule.ratio = s->model->notes.mask_ratio;
    TRY(masks_new(rule, c, 1, &s->masks, err));
    if (s->options->keep_patches) TRY(setup_keep(s->options->keep_patches, s->masks, err));
    SessionOptions session = {.batch = 1,
                              .masked = true,
                              .n_keep = s->masks->n_keep,
                              .paste = s->options->paste != 0,
                              .interpolated = s->options->stats == STATS_INTERPOLATED};
    TRY(session_new(s->model->vit, session, &s->session, err));
    picture_row_size(c, &s->width, &s->height);
done:
    return status;
}

static void drawing_close(Drawing *s) {
    session_free(s->session);
    masks_free(s->masks);
}

/* As the published demonstration: the whole image at the model's size. */
static Status drawing_draw(Drawing *s, const Image *full, int64_t index, uint8_t *dst, double *loss,
                           Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &s->model->vit->config;
    Image image = {0};
    TRY(resample_crop(full, (Box){0, 0, full->width, full->height}, c->image_width, c->image_height,
                      &image, err));
    if (!s->options->keep_patches)
        masks_draw(s->masks, 0, (uint64_t)s->options->seed, 0, (uint64_t)index);
    session_set_masks(s->session, s->masks);
    session_run(s->session, image.pixels, 1);
    picture_draw(s->session, c, 0, dst);
    *loss = (double)session_loss(s->session, 0);
done:
    image_free(&image);
    return status;
}

/* --- the job ---------------------------------------------------------------------------------- */

typedef struct Rows {
    Drawing drawing;
    Dataset *data;
    Image picture;
    int64_t filled;
    double loss; /* sum */
} Rows;

/* Adds the row of an image. One that cannot be read is named, and the others go on. */
static Status add_row(Rows *r, int64_t index, Error *err) {
    int64_t step = r->drawing.height + PICTURE_GAP;
    uint8_t *dst = r->picture.pixels + r->filled * step * r->picture.width * 3;
    Error why = {0};
    Sample sample = {0};
    double loss;
    Status status = dataset_fetch(r->data, index, &sample, &why);
    if (status == MAE_OK)
        status = drawing_draw(&r->drawing, &sample.image, index, dst, &loss, &why);
    dataset_release(&sample);
    if (status == MAE_OK) {
        r->filled++;
        r->loss += loss;
    } else if (dataset_is_image_fault(status)) {
        log_line(LOG_ERROR, "%s", why.message);
        return MAE_OK;
    }
    return status == MAE_OK ? status : error_set(err, status, "%s", why.message);
}

static Status add_rows(Rows *r, Error *err) {
    Status status = MAE_OK;
    int64_t n = dataset_count(r->data), step = r->drawing.height + PICTURE_GAP;
    TRY(image_new(&r->picture, MAE_U8, r->drawing.width, step * n - PICTURE_GAP, 3, err));
    memset(r->picture.pixels, 255, (size_t)(r->picture.width * r->picture.height * 3));
    for (int64_t i = 0; i < n; i++) {
        if (stop_asked(call_stop()))
            return error_set(err, MAE_INTERRUPTED, "stopped after %lld of %lld images",
                             (long long)i, (long long)n);
        TRY(add_row(r, i, err));
    }
    if (r->filled == 0) return error_set(err, MAE_EMPTY, "none of the images given could be read");
    r->picture.height = step * r->filled - PICTURE_GAP;
done:
    return status;
}

static void tell(const Rows *r, Result out) {
    const MaeOptions *o = r->drawing.options;
    TargetKind target = r->drawing.model->vit->config.target;
    result_text(out, "picture", o->out);
    result_count(out, "images", r->filled);
    result_number(out, "loss", r->loss / (double)r->filled);
    result_text(out, "target", target_words[target]);
    result_text(out, "patch_statistics", target == TARGET_NORM_PIX ? stats_words[o->stats] : "");
}

static Status reconstruct(MaeModel *m, const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    Rows r = {.drawing = {.model = m, .options = o}};
    TRY(drawing_open(&r.drawing, err));
    TRY(setup_given(o, m->vit->config.channels, &r.data, err));
    TRY(add_rows(&r, err));
    TRY(image_write_png(o->out, &r.picture, err));
    tell(&r, out);
done:
    image_free(&r.picture);
    dataset_close(r.data);
    drawing_close(&r.drawing);
    return status;
}

Status reconstruct_job(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    MaeModel *m = NULL;
    if (!o->out) return error_set(err, MAE_USAGE, "no output; name a file with --out PNG");
    TRY(file_check_ending(o->out, "a picture", ".png", err));
    TRY(file_check_output(o->out, err));
    TRY(model_open(o, &m, err));
    TRY(reconstruct(m, o, out, err));
done:
    model_free(m);
    return status;
}
