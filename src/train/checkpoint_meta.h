/* Metadata of checkpoints: what a model is and where a run stands, as strings; numbers are printed
 * so that reading gives the same number back. */
#ifndef TRAIN_CHECKPOINT_META_H
#define TRAIN_CHECKPOINT_META_H

#include "base/memory.h"
#include "train/checkpoint.h"

#define META_MAX 64

typedef struct Meta {
    Arena *arena; /* holds the texts */
    MetaEntry entry[META_MAX];
    size_t n;
    bool ok; /* false: no memory for one of them */
} Meta;

void meta_put_model(Meta *m, const ModelConfig *c, const CheckpointNotes *n);
void meta_put_progress(Meta *m, const Progress *p, int64_t updates);

Status meta_get_model(const SafeTensors *f, ModelConfig *c, CheckpointNotes *n, Error *err);
Status meta_get_progress(const SafeTensors *f, Progress *p, int64_t *updates, Error *err);
Status meta_get_int(const SafeTensors *f, const char *key, int64_t *out, Error *err);

#endif
