/* A model as the public header knows it: a device, a network and what is noted about it. */
#ifndef JOBS_MODEL_H
#define JOBS_MODEL_H

#include "checkpoint/checkpoint.h"
#include "data/image/image_notes.h"
#include "infer/session.h"
#include "options/options.h"

struct MaeModel {
    Device *device;
    Vit *vit;
    CheckpointNotes notes;
    Session *classifier; /* of one image, made when first needed */
    int64_t max_pixels;  /* of an image to classify; 0: the default */
    ImageNotes images;   /* of those given one by one; logged when the model is freed */
    int64_t n_images;
};

/* *out is NULL after a failure; free with model_free. hints may be NULL. */
Status model_load(const char *path, const char *device, int threads, const CheckpointHints *hints,
                  MaeModel **out, Error *err);
/* Reads --model CKPT. */
Status model_open(const MaeOptions *o, MaeModel **out, Error *err);
/* Fresh weights. */
Status model_new(const MaeOptions *o, MaeModel **out, Error *err);
void model_free(MaeModel *m); /* accepts NULL */
/* Counts an image that was given by its path, and remembers what decoding left out of it. */
void model_note_image(MaeModel *m, const char *path, unsigned notes);
void model_info(const MaeModel *m, MaeModelInfo *out);

#endif
