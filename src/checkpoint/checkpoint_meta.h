/* Metadata of checkpoints: strings that say what a model is. A number is printed so that reading
 * gives the same number back. */
#ifndef CHECKPOINT_CHECKPOINT_META_H
#define CHECKPOINT_CHECKPOINT_META_H

#include "base/memory.h"
#include "checkpoint/checkpoint.h"

#define META_MAX 64
#define META_FORMAT "mae.c"
#define META_VERSION 1

typedef struct Meta {
    Arena *arena; /* holds the texts */
    MetaEntry entry[META_MAX];
    size_t n;
    bool ok; /* false: no memory for one of them */
} Meta;

void meta_put_model(Meta *m, const ModelConfig *c, const CheckpointNotes *n);
/* Puts the same facts into a file for other tools. meta_fact reads one of them; NULL: not there. */
void meta_put_facts(Meta *m, const ModelConfig *c, const CheckpointNotes *n);
const char *meta_fact(const TensorFile *f, const char *key);

/* Was the file written by this project? */
bool meta_is_native(const TensorFile *f);
Status meta_get_model(const TensorFile *f, ModelConfig *c, CheckpointNotes *n, Error *err);

/* Each puts one entry. A text must live as long as m. */
void meta_put(Meta *m, const char *key, const char *value);
void meta_put_int(Meta *m, const char *key, int64_t v);
void meta_put_real(Meta *m, const char *key, double v);
/* FORMAT: the entry is missing, or is no number of this kind. */
Status meta_get_int(const TensorFile *f, const char *key, int64_t *out, Error *err);
Status meta_get_real(const TensorFile *f, const char *key, double *out, Error *err);
/* A metric. NAN when the entry is missing, or below 0, which means that it was not measured. */
Status meta_get_metric(const TensorFile *f, const char *key, double *out, Error *err);

#endif
