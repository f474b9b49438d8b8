/* See model.h. */
#include <stdio.h>

#include "base/memory.h"
#include "jobs/model.h"
#include "jobs/setup.h"
#include "run/machine.h"

#define IMAGES_GIVEN "images given"

static Status read_model(const char *path, const CheckpointHints *hints, MaeModel *m, Error *err) {
    Status status = MAE_OK;
    CheckpointFile *file = NULL;
    TRY(checkpoint_open(path, hints, &file, err));
    TRY(vit_new(m->device, &file->config, GRADIENTS_NONE, TUNE_ALL, &m->vit, err));
    TRY(checkpoint_read(file, m->vit, err));
    m->notes = file->notes;
    file->notes.classes = NULL; /* moved */
done:
    checkpoint_close(file);
    return status;
}

Status model_load(const char *path, const char *device, int threads, const CheckpointHints *hints,
                  MaeModel **out, Error *err) {
    Status status = MAE_OK;
    MaeModel *m = mem_alloc(sizeof *m);
    *out = NULL;
    if (!m) return error_set(err, MAE_MEMORY, "no memory for a model");
    image_notes_init(&m->images);
    if (!path || !*path) {
        status = error_set(err, MAE_USAGE, "no checkpoint given; name one with --model CKPT");
        goto done;
    }
    TRY(device_open(device, threads, NULL, &m->device, err));
    TRY(read_model(path, hints, m, err));
    *out = m;
    m = NULL;
done:
    model_free(m);
    return status;
}

Status model_open(const MaeOptions *o, MaeModel **out, Error *err) {
    CheckpointHints hints = setup_hints(o);
    Status status =
        model_load(o->checkpoint, device_words[o->device], (int)o->threads, &hints, out, err);
    if (status == MAE_OK) (*out)->max_pixels = o->max_pixels;
    return status;
}

Status model_new(const MaeOptions *o, MaeModel **out, Error *err) {
    Status status = MAE_OK;
    ModelConfig c;
    MaeModel *m = mem_alloc(sizeof *m);
    *out = NULL;
    if (!m) return error_set(err, MAE_MEMORY, "no memory for a model");
    image_notes_init(&m->images);
    TRY(setup_model_config(o, &c, err));
    TRY(machine_device(o, NULL, &m->device, err));
    TRY(vit_new(m->device, &c, GRADIENTS_NONE, TUNE_ALL, &m->vit, err));
    TRY(vit_init(m->vit, (uint64_t)o->seed, err));
    setup_notes(o, &c, &m->notes);
    *out = m;
    m = NULL;
done:
    model_free(m);
    return status;
}

void model_free(MaeModel *m) {
    if (!m) return;
    image_notes_say(&m->images, IMAGES_GIVEN);
    image_notes_free(&m->images);
    session_free(m->classifier);
    vit_free(m->vit);
    checkpoint_notes_free(&m->notes);
    device_close(m->device);
    mem_free(m);
}

void model_note_image(MaeModel *m, const char *path, unsigned notes) {
    int64_t number = m->n_images++;
    if (notes) image_notes_add(&m->images, notes, number, path, IMAGES_GIVEN);
}

void model_info(const MaeModel *m, MaeModelInfo *out) {
    const ModelConfig *c = &m->vit->config;
    *out = (MaeModelInfo){.image_height = c->image_height,
                          .image_width = c->image_width,
                          .channels = c->channels,
                          .patch = c->patch,
                          .embed_dim = c->embed_dim,
                          .depth = c->depth,
                          .heads = c->heads,
                          .decoder_embed_dim = c->decoder_embed_dim,
                          .decoder_depth = c->decoder_depth,
                          .decoder_heads = c->decoder_heads,
                          .mlp_ratio = c->mlp_ratio,
                          .mask_ratio = m->notes.mask_ratio,
                          .parameters = vit_parameters(m->vit),
                          .patches = model_patches(c),
                          .epochs = m->notes.epochs,
                          .has_decoder = c->decoder_depth > 0,
                          .classes = c->head == HEAD_NONE ? 0 : c->classes};
    snprintf(out->name, sizeof out->name, "%s", m->notes.preset);
    snprintf(out->target, sizeof out->target, "%s", target_words[c->target]);
}
