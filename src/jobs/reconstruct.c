/* mae reconstruct: images with patches removed, and what a model puts there. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "infer/picture.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"

/* As the published demonstration: the whole image to the model's size. */
static Status load_pixels(MaeModel *m, const char *path, int64_t max_pixels, Image *out,
                          Error *err) {
    const ModelConfig *c = &m->vit->config;
    Status status = MAE_OK;
    Image full = {0};
    if (c->channels != 1 && c->channels != 3)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: image files give 1 or 3 channels, the model has %lld", path,
                         (long long)c->channels);
    TRY(image_load_crop(path, (int)c->channels, max_pixels, NULL, &full, err));
    model_note_image(m, path, full.notes);
    TRY(resample_crop(&full, (Box){0, 0, full.width, full.height}, c->image_width, c->image_height,
                      out, err));
done:
    image_free(&full);
    return status;
}

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

static Status drawing_draw(Drawing *s, const char *path, int64_t index, uint8_t *dst, double *loss,
                           Error *err) {
    Status status = MAE_OK;
    Image image = {0};
    TRY(load_pixels(s->model, path, s->options->max_pixels, &image, err));
    if (!s->options->keep_patches)
        masks_draw(s->masks, 0, (uint64_t)s->options->seed, 0, (uint64_t)index);
    session_set_masks(s->session, s->masks);
    session_run(s->session, image.pixels, 1);
    picture_draw(s->session, &s->model->vit->config, 0, dst);
    *loss = (double)session_loss(s->session, 0);
done:
    image_free(&image);
    return status;
}

Status reconstruct_image(MaeModel *m, const char *path, const MaeOptions *o, MaeReconstruction *out,
                         Error *err) {
    Status status = MAE_OK;
    Drawing s = {.model = m, .options = o};
    *out = (MaeReconstruction){0};
    TRY(drawing_open(&s, err));
    out->width = s.width;
    out->height = s.height;
    out->panel_width = m->vit->config.image_width;
    out->panel_height = m->vit->config.image_height;
    out->kept = s.masks->n_keep;
    out->picture = mem_alloc((size_t)(s.width * s.height * 3));
    if (!out->picture) {
        status = error_set(err, MAE_MEMORY, "no memory for a picture");
        goto done;
    }
    TRY(drawing_draw(&s, path, 0, out->picture, &out->loss, err));
done:
    if (status != MAE_OK) {
        mem_free(out->picture);
        out->picture = NULL;
    }
    drawing_close(&s);
    return status;
}

Status reconstruct_files(MaeModel *m, const char *const *paths, int count, const MaeOptions *o,
                         double *loss, Error *err) {
    Status status = MAE_OK;
    Drawing s = {.model = m, .options = o};
    Image picture = {0};
    double sum = 0;
    if (count < 1) return error_set(err, MAE_USAGE, "no image to reconstruct");
    if (!o->out) return error_set(err, MAE_USAGE, "no output; name a file with --out PNG");
    TRY(file_check_ending(o->out, "a picture", ".png", err));
    TRY(file_check_output(o->out, err));
    TRY(drawing_open(&s, err));
    int64_t row = s.height + PICTURE_GAP;
    TRY(image_new(&picture, MAE_U8, s.width, row * count - PICTURE_GAP, 3, err));
    memset(picture.pixels, 255, (size_t)(picture.width * picture.height * 3));
    for (int i = 0; i < count; i++) {
        double one;
        TRY(drawing_draw(&s, paths[i], i, picture.pixels + i * row * s.width * 3, &one, err));
        sum += one;
    }
    TRY(image_write_png(o->out, &picture, err));
    if (loss) *loss = sum / count;
done:
    image_free(&picture);
    drawing_close(&s);
    return status;
}
