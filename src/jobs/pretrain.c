/* mae pretrain: an autoencoder learns to predict removed patches. Beside each checkpoint it draws
 * what it makes of the first images of the data. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "infer/picture.h"
#include "jobs/jobs.h"
#include "jobs/pretrain_init.h"
#include "jobs/setup.h"
#include "train/masked_batch.h"
#include "train/pca.h"

#define PICTURE_ROWS 4

typedef struct Pretraining {
    MaskedBatch *batch;
    Session *pictured; /* one image, drawn as it is reconstructed */
    Masks *masks;      /* of that image */
    uint8_t *samples;  /* pixels of the pictures' images */
    int64_t n_samples;
} Pretraining;

/* --- opening ---------------------------------------------------------------------------------- */

static Status configure(Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    if (o->mask_ratio >= 1 || o->mask_ratio < 0)
        return error_set(err, MAE_USAGE, "--mask-ratio %g: must be at least 0 and below 1",
                         o->mask_ratio);
    if (o->continue_run && !o->init)
        return error_set(err, MAE_USAGE,
                         "--continue: name the training checkpoint with --init CKPT");
    bool from_weights = o->init && !r->resumed;
    Status status =
        from_weights ? pretrain_init_configure(r, err) : setup_model_config(o, &r->config, err);
    if (status == MAE_OK && r->resumed) status = pretrain_init_resume(r, err);
    if (status != MAE_OK) return status;
    status = run_resolve_sizes(&r->options, &r->config, err);
    if (status != MAE_OK) return status;
    setup_notes(o, &r->config, &r->notes);
    return setup_dataset(o, r->config.channels, &r->dataset, err);
}

static Status make(Run *r, Error *err) {
    Status status = MAE_OK;
    const MaeOptions *o = &r->options;
    Pretraining *p = mem_alloc(sizeof *p);
    if (!p) return error_set(err, MAE_MEMORY, "no memory for a run");
    r->task_data = p;
    TRY(run_make_model(r, err));
    TRY(masked_batch_new(r->model, setup_mask(o), dataset_type(r->dataset), o->batch,
                         (uint64_t)o->seed, &p->batch, err));
    TRY(run_make_step(r, p->batch->graph.graph, p->batch->graph.loss, err));
    r->loader_options = setup_loader(o, &r->config);
done:
    return status;
}

static Status start(Run *r, Error *err) {
    Status status = MAE_OK;
    bool fresh_decoder = true;
    TRY(vit_init(r->model, (uint64_t)r->options.seed, err));
    if (r->options.init) TRY(pretrain_init_read(r, &fresh_decoder, err));
    if (r->config.target != TARGET_PCA || !fresh_decoder || !comm_is_root(r->comm)) return MAE_OK;
    log_line(LOG_INFO,
             "fitting %" PRId64 " principal components of the patches of %" PRId64 " images",
             r->config.pca_components, r->options.pca_images);
    LoaderOptions l = setup_loader(&r->options, &r->config);
    TRY(pca_fit(r->model, r->dataset, l, r->options.pca_images, err));
done:
    return status;
}

/* The first images of the data, always the same, are what the pictures show. */
static Status open_pictures(Run *r, Error *err) {
    Status status = MAE_OK;
    Pretraining *t = r->task_data;
    Augment augment;
    ResampleScratch scratch = {0};
    size_t image = (size_t)(r->config.image_height * r->config.image_width * r->config.channels);
    char *folder = NULL;
    TRY(run_file(r, "reconstructions", &folder, err));
    TRY(file_make_directories(folder, err));
    TRY(masks_new(setup_mask(&r->options), &r->config, 1, &t->masks, err));
    SessionOptions session = {.batch = 1, .masked = true, .n_keep = t->masks->n_keep};
    TRY(session_new(r->model, session, &t->pictured, err));
    TRY(setup_eval_augment(r->dataset, &r->config, &augment, err));
    t->samples = mem_alloc(image * PICTURE_ROWS);
    if (!t->samples) {
        status = error_set(err, MAE_MEMORY, "no memory for pictures");
        goto done;
    }
    for (int64_t i = 0; i < dataset_count(r->dataset) && t->n_samples < PICTURE_ROWS; i++) {
        Sample s;
        Error unreadable = {0};
        Status fetched = dataset_fetch(r->dataset, i, &s, &unreadable);
        if (fetched == MAE_MEMORY) TRY(error_set(err, fetched, "%s", unreadable.message));
        if (fetched != MAE_OK) continue;
        status = augment_apply(&augment, &s.image, 0, 0, 0,
                               t->samples + image * (size_t)t->n_samples, &scratch, err);
        dataset_release(&s);
        if (status != MAE_OK) goto done;
        t->n_samples++;
    }
done:
    mem_free(folder);
    resample_scratch_free(&scratch);
    return status;
}

static Status open_task(Run *r, Error *err) {
    Status status = comm_is_root(r->comm) ? open_pictures(r, err) : MAE_OK;
    return comm_agree(r->comm, status, err);
}

static Status set_batch(Run *r, Batch *b, Error *err) {
    Pretraining *p = r->task_data;
    (void)err;
    masked_batch_set(p->batch, b->pixels, (uint64_t)b->epoch, b->samples);
    return MAE_OK;
}

static Status save_picture(Run *r, Error *err) {
    Status status = MAE_OK;
    const Pretraining *t = r->task_data;
    Image picture = {0};
    int64_t width, height;
    int64_t stride = r->config.image_height * r->config.image_width * r->config.channels;
    if (t->n_samples == 0) return MAE_OK;
    picture_row_size(&r->config, &width, &height);
    int64_t row = height + PICTURE_GAP;
    TRY(image_new(&picture, MAE_U8, width, row * t->n_samples - PICTURE_GAP, 3, err));
    memset(picture.pixels, 255, (size_t)(picture.width * picture.height * 3));
    for (int64_t i = 0; i < t->n_samples; i++) {
        masks_draw(t->masks, 0, (uint64_t)r->options.seed, 0, (uint64_t)i);
        session_set_masks(t->pictured, t->masks);
        session_run(t->pictured, t->samples + i * stride, 1);
        picture_draw(t->pictured, &r->config, 0, picture.pixels + i * row * width * 3);
    }
    snprintf(r->picture, sizeof r->picture, "%.900s/reconstructions/%" PRId64 ".png",
             r->options.out, r->progress.epoch);
    TRY(image_write_png(r->picture, &picture, err));
done:
    image_free(&picture);
    return status;
}

static void close_task(Run *r) {
    Pretraining *p = r->task_data;
    if (!p) return;
    masked_batch_free(p->batch);
    session_free(p->pictured);
    masks_free(p->masks);
    mem_free(p->samples);
    mem_free(p);
}

static Status describe(Run *r, Vit *v, GraphCost *out, Error *err) {
    const MaeOptions *o = &r->options;
    AutoencoderGraph g = {0};
    int64_t kept = mask_n_keep(setup_mask(o), &r->config);
    Status status = autoencoder_graph(v, FORWARD_TRAIN, o->batch, kept, NUMBER_U8, &g, err);
    if (status == MAE_OK) run_cost(r, g.graph, kept, out);
    graph_free(g.graph);
    return status;
}

const Task pretrain_task = {.command = COMMAND_PRETRAIN,
                            .configure = configure,
                            .make = make,
                            .start = start,
                            .open = open_task,
                            .set_batch = set_batch,
                            .picture = save_picture,
                            .describe = describe,
                            .close = close_task};
