/* A model as the public header knows it: a device, a network and what is noted about it. */
#ifndef JOBS_MODEL_H
#define JOBS_MODEL_H

#include "base/listener.h"
#include "checkpoint/checkpoint.h"
#include "infer/session.h"
#include "options/options.h"

struct MaeModel {
    Device *device;
    Vit *vit;
    CheckpointNotes notes;
    Listener listener; /* of calls with the model */
    MaeResult *info;
};

/* *out is NULL after a failure; free with model_free. hints may be NULL. */
Status model_load(const char *path, const char *device, int threads, const CheckpointHints *hints,
                  MaeModel **out, Error *err);
/* With device, threads, precision and hints of o. */
Status model_open_path(const char *path, const MaeOptions *o, MaeModel **out, Error *err);
/* Reads --model CKPT. */
Status model_open(const MaeOptions *o, MaeModel **out, Error *err);
/* Fresh weights. */
Status model_new(const MaeOptions *o, MaeModel **out, Error *err);
void model_free(MaeModel *m); /* accepts NULL */
/* Who hears the calls with the model; the start: nobody. NULL: nobody. */
void model_listen(MaeModel *m, const MaeEvents *events);
/* mae_model_tensor, mae_model_get, mae_model_set */
Status model_tensor(const MaeModel *m, int64_t i, MaeTensor *out, Error *err);
Status model_get(const MaeModel *m, const char *name, float *out, int64_t n, Error *err);
Status model_set(MaeModel *m, const char *name, const float *values, int64_t n, Error *err);

#endif
