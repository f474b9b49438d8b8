/* What the other commands do; mae.c hands the public calls down to these. */
#ifndef JOBS_DRIVERS_H
#define JOBS_DRIVERS_H

#include "checkpoint/checkpoint.h"
#include "data/image/image_notes.h"
#include "infer/evaluate.h"
#include "mae.h"

struct MaeModel {
    Device *device;
    Vit *vit;
    CheckpointNotes notes;
    Evaluator *evaluator; /* of one image, made when first needed */
    int64_t max_pixels;   /* of an image to classify; 0: the default */
    ImageNotes images;    /* given one by one; said when the model is freed */
    int64_t n_images;
};

Status model_load(const char *path, const char *device, int threads, const CheckpointHints *hints,
                  MaeModel **out, Error *err);
Status model_open(const MaeOptions *o, MaeModel **out, Error *err);
Status model_new(const MaeOptions *o, MaeModel **out, Error *err);
void model_free(MaeModel *m);
/* Counts what decoding has left out of an image that was given by its path. */
void model_note_image(MaeModel *m, const char *path, unsigned notes);
void model_info(const MaeModel *m, MaeModelInfo *out);

Status reconstruct_image(MaeModel *m, const char *path, const MaeOptions *o, MaeReconstruction *out,
                         Error *err);
Status reconstruct_files(MaeModel *m, const char *const *paths, int count, const MaeOptions *o,
                         double *loss, Error *err);

Status features_image(MaeModel *m, const char *path, const MaeOptions *o, float *out, Error *err);
Status features_file(MaeModel *m, const MaeOptions *o, const MaeEvents *events, MaeFeatures *out,
                     Error *err);
Status knn_run(MaeModel *m, const MaeOptions *o, const MaeEvents *events, MaeKnn *out, Error *err);

Status eval_run(MaeModel *m, const MaeOptions *o, const MaeEvents *events, MaeEvaluation *out,
                Error *err);
void eval_free(MaeEvaluation *e);
Status classify_image(MaeModel *m, const char *path, int count, MaeClass *out, int *n, Error *err);

Status file_info(const char *path, const MaeOptions *o, char **json, Error *err);
Status bench_step(const MaeOptions *o, MaeBenchStep *out, Error *err);
Status bench_kernels(const MaeOptions *o, MaeBenchKernels *out, Error *err);
Status bench_data(const MaeOptions *o, MaeBenchData *out, Error *err);

#endif
