/* Models as the public header knows them: a device, an autoencoder and what is noted about it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/drivers.h"
#include "train/setup.h"

static const char *const TARGETS[] = {"pixel", "norm-pix", "pca"};

Status model_load(const char *path, const char *device, int threads, MaeModel **out, Error *err) {
    Status status = STATUS_OK;
    MaeModel *m = mem_alloc(sizeof *m);
    *out = NULL;
    if (!m) return fail(err, STATUS_MEMORY, "no memory for a model");
    if (!path || !*path) {
        status = fail(err, STATUS_USAGE, "no checkpoint given; name one with --model CKPT");
        goto done;
    }
    TRY(device_open(device, threads, NULL, &m->device, err));
    TRY(checkpoint_load(path, m->device, &m->vit, &m->notes, err));
    *out = m;
    m = NULL;
done:
    model_free(m);
    return status;
}

Status model_new(const MaeOptions *o, MaeModel **out, Error *err) {
    Status status = STATUS_OK;
    ModelConfig c;
    MaeModel *m = mem_alloc(sizeof *m);
    *out = NULL;
    if (!m) return fail(err, STATUS_MEMORY, "no memory for a model");
    TRY(setup_model_config(o, &c, err));
    TRY(setup_device(o, &m->device, err));
    TRY(vit_new(m->device, &c, false, TUNE_ALL, &m->vit, err));
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
    evaluator_free(m->evaluator);
    vit_free(m->vit);
    checkpoint_notes_free(&m->notes);
    device_close(m->device);
    mem_free(m);
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
    snprintf(out->target, sizeof out->target, "%s", TARGETS[c->target]);
}

/* --- a file as JSON ----------------------------------------------------------------------------
 */

static json_t *tensor_list(const SafeTensors *f, int64_t *total) {
    json_t *list = json_array();
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const NamedTensor *t = safetensors_at(f, i);
        json_t *shape = json_array();
        for (int k = 0; k < t->shape.n_dims; k++)
            json_array_append_new(shape, json_integer((json_int_t)t->shape.dim[k]));
        json_array_append_new(list, json_pack("{ss ss so}", "name", t->name, "dtype",
                                              dtype_name(t->dtype), "shape", shape));
        *total += shape_numel(t->shape);
    }
    return list;
}

Status file_info(const char *path, char **json, Error *err) {
    Status status = STATUS_OK;
    SafeTensors *f = NULL;
    ModelConfig c;
    CheckpointNotes notes = {0};
    Error foreign = {0};
    int64_t total = 0;
    json_t *root = json_object(), *meta = json_object();
    *json = NULL;
    TRY(safetensors_open(path, &f, err));
    bool ours = checkpoint_config(f, &c, &notes, &foreign) == STATUS_OK;
    for (size_t i = 0; i < safetensors_meta_count(f); i++) {
        MetaEntry e = safetensors_meta_at(f, i);
        json_object_set_new(meta, e.key, json_string(e.value));
    }
    json_t *tensors = tensor_list(f, &total);
    json_object_set_new(root, "file", json_string(path));
    json_object_set_new(root, "format", json_string("safetensors"));
    json_object_set_new(root, "dialect", json_string(ours ? "mae.c" : "unknown"));
    if (ours) json_object_set_new(root, "model", json_string(notes.preset));
    if (!ours) json_object_set_new(root, "note", json_string(foreign.message));
    json_object_set_new(root, "n_tensors", json_integer((json_int_t)json_array_size(tensors)));
    json_object_set_new(root, "n_values", json_integer((json_int_t)total));
    json_object_set(root, "metadata", meta);
    json_object_set_new(root, "tensors", tensors);
    char *text = json_dumps(root, JSON_INDENT(2));
    if (text) *json = mem_strdup(text);
    free(text);
    if (!*json) status = fail(err, STATUS_MEMORY, "no memory to describe %s", path);
done:
    checkpoint_notes_free(&notes);
    json_decref(root);
    json_decref(meta);
    safetensors_close(f);
    return status;
}
