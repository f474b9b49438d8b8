/* See model.h. */
#include <stdio.h>

#include "base/memory.h"
#include "base/result.h"
#include "jobs/model.h"
#include "jobs/setup.h"
#include "run/machine.h"

/* --- what it is ------------------------------------------------------------------------------- */

static void add_sizes(Result r, const ModelConfig *c) {
    const struct {
        const char *name;
        int64_t n;
    } sizes[] = {{"image_height", c->image_height},
                 {"image_width", c->image_width},
                 {"channels", c->channels},
                 {"patch", c->patch},
                 {"patches", model_patches(c)},
                 {"embed_dim", c->embed_dim},
                 {"depth", c->depth},
                 {"heads", c->heads},
                 {"decoder_embed_dim", c->decoder_embed_dim},
                 {"decoder_depth", c->decoder_depth},
                 {"decoder_heads", c->decoder_heads}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        result_count(r, sizes[i].name, sizes[i].n);
    result_number(r, "mlp_ratio", c->mlp_ratio);
}

static void add_classes(Result r, const MaeModel *m) {
    int64_t n = m->vit->config.head == HEAD_NONE ? 0 : m->vit->config.classes;
    for (int64_t i = 0; i < n; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)i);
        result_text(r, NULL, m->notes.classes ? m->notes.classes->name[i] : number);
    }
}

static Status describe(MaeModel *m, Error *err) {
    bool failed;
    const ModelConfig *c = &m->vit->config;
    Result r = result_start(&failed);
    result_text(r, "name", m->notes.preset);
    result_text(r, "target", target_words[c->target]);
    add_sizes(r, c);
    result_number(r, "mask_ratio", m->notes.mask_ratio);
    Result mean = result_list(r, "mean"), std = result_list(r, "std");
    for (int64_t k = 0; k < c->channels; k++) {
        result_number(mean, NULL, (double)c->mean[k]);
        result_number(std, NULL, (double)c->std[k]);
    }
    result_count(r, "parameters", vit_parameters(m->vit));
    result_count(r, "epochs", m->notes.epochs);
    add_classes(result_list(r, "classes"), m);
    return result_end(r, &m->info, err);
}

/* --- opening ---------------------------------------------------------------------------------- */

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
    listener_open(&m->listener, NULL);
    if (!path || !*path) {
        status = error_set(err, MAE_USAGE, "no checkpoint given; name one with --model CKPT");
        goto done;
    }
    TRY(device_open(device, threads, NULL, &m->device, err));
    TRY(read_model(path, hints, m, err));
    TRY(describe(m, err));
    *out = m;
    m = NULL;
done:
    model_free(m);
    return status;
}

Status model_open_path(const char *path, const MaeOptions *o, MaeModel **out, Error *err) {
    CheckpointHints hints = setup_hints(o);
    DeviceKind device = (DeviceKind)o->device;
    *out = NULL;
    Status status = machine_kind(o, &device, err);
    if (status == MAE_OK)
        status = model_load(path, device_words[device], (int)o->threads, &hints, out, err);
    return status;
}

Status model_open(const MaeOptions *o, MaeModel **out, Error *err) {
    return model_open_path(o->checkpoint, o, out, err);
}

Status model_new(const MaeOptions *o, MaeModel **out, Error *err) {
    Status status = MAE_OK;
    ModelConfig c;
    MaeModel *m = mem_alloc(sizeof *m);
    *out = NULL;
    if (!m) return error_set(err, MAE_MEMORY, "no memory for a model");
    listener_open(&m->listener, NULL);
    TRY(setup_model_config(o, &c, err));
    TRY(machine_device(o, NULL, &m->device, err));
    TRY(vit_new(m->device, &c, GRADIENTS_NONE, TUNE_ALL, &m->vit, err));
    TRY(vit_init(m->vit, (uint64_t)o->seed, err));
    setup_notes(o, &c, &m->notes);
    TRY(describe(m, err));
    *out = m;
    m = NULL;
done:
    model_free(m);
    return status;
}

void model_free(MaeModel *m) {
    if (!m) return;
    vit_free(m->vit);
    checkpoint_notes_free(&m->notes);
    mae_result_free(m->info);
    listener_close(&m->listener);
    device_close(m->device);
    mem_free(m);
}

void model_listen(MaeModel *m, const MaeEvents *events) {
    listener_close(&m->listener);
    listener_open(&m->listener, events);
}

/* --- tensors ---------------------------------------------------------------------------------- */

Status model_tensor(const MaeModel *m, int64_t i, MaeTensor *out, Error *err) {
    const Params *params = m->vit->params;
    *out = (MaeTensor){0};
    if (i < 0 || i >= params_count(params))
        return error_set(err, MAE_USAGE, "tensor %lld: the model has 0 to %lld", (long long)i,
                         (long long)params_count(params) - 1);
    const Param *p = params_at(params, i);
    ASSERT(p->shape.n_dims <= MAE_MAX_DIMS, "%s has %d dimensions", p->name, p->shape.n_dims);
    *out = (MaeTensor){.name = p->name, .type = MAE_F32, .n_dims = p->shape.n_dims};
    for (int k = 0; k < p->shape.n_dims; k++) out->dim[k] = p->shape.dim[k];
    return MAE_OK;
}

static Status find_tensor(const MaeModel *m, const char *name, int64_t n, Param **out, Error *err) {
    Param *p = *out = params_find(m->vit->params, name);
    char shape[96];
    if (!p)
        return error_set(err, MAE_USAGE,
                         "the model has no tensor \"%.200s\"; mae_model_tensor names those it has",
                         name);
    if (n == p->numel) return MAE_OK;
    return error_set(err, MAE_SHAPE, "%s: %lld values for a tensor of %s, which has %lld values",
                     name, (long long)n, shape_text(p->shape, shape, sizeof shape),
                     (long long)p->numel);
}

Status model_get(const MaeModel *m, const char *name, float *out, int64_t n, Error *err) {
    Param *p;
    Status status = find_tensor(m, name, n, &p, err);
    if (status == MAE_OK) params_get(m->vit->params, p, out);
    return status;
}

Status model_set(MaeModel *m, const char *name, const float *values, int64_t n, Error *err) {
    Param *p;
    Status status = find_tensor(m, name, n, &p, err);
    if (status == MAE_OK) params_set(m->vit->params, p, values);
    return status;
}
