/* What the files of the golden runner share: the folder in hand, tensors and JSON out of it, and
 * comparisons that count and print only what fails. Everything taken through a Golden lives until
 * the file in hand is done; nothing has to be freed by its caller. */
#ifndef GOLDEN_GOLDEN_H
#define GOLDEN_GOLDEN_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/memory.h"
#include "data/loader.h"
#include "formats/tensorfile.h"
#include "model/autoencoder.h"
#include "model/classifier.h"

#define MAX_OPEN 64

typedef struct Golden {
    const char *dir;
    json_t *files;    /* path -> entry of all manifests */
    Device *device;   /* of the pass that runs */
    const char *path; /* the file in hand */
    Arena *arena;     /* of the file in hand */
    TensorFile *tensors[MAX_OPEN];
    json_t *jsons[MAX_OPEN];
    int n_tensors, n_jsons;
    int64_t blocks; /* of the last model */
    bool draws;     /* the device rounds at random; its errors are noted, not judged (rounding.c) */
    bool trial;     /* of a fault; ends after the file that finds it */
    char found[256]; /* the first failure of a trial */
    json_t *errors;  /* of random rounding: "path: what" -> [relative errors] */
    int64_t compared, failed;
} Golden;

typedef struct Limit {
    double rel_l2, max_abs;
} Limit;
#define BY_ROUNDING -1.0 /* in place of a limit: that of the error model of bf16 (rounding.c) */

/* A failed comparison for a reason of its own. */
void golden_problem(Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* Closes what was opened for the file in hand. */
void golden_release(Golden *g);

/* --- access: NULL after golden_problem -------------------------------------------------------- */

void *golden_memory(Golden *g, int64_t count, size_t size);
const char *golden_text(Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
TensorFile *golden_tensors(Golden *g, const char *path);
const json_t *golden_json(Golden *g, const char *path);
/* The path with another ending. */
const char *golden_sibling(Golden *g, const char *path, const char *ending);
/* The path without its folder and without the ending. */
const char *golden_stem(Golden *g, const char *path);
const json_t *golden_entry(Golden *g, const char *path);
/* All bytes of a tensor of the file, as they are. */
const void *golden_bytes(Golden *g, const TensorFile *f, const TensorEntry *t);
/* A tensor of any type as float32 / int64; its shape in *shape unless NULL. */
float *golden_reals(Golden *g, const TensorFile *s, const char *name, Shape *shape);
int64_t *golden_ints(Golden *g, const TensorFile *s, const char *name, Shape *shape);
double golden_number(const json_t *object, const char *key);   /* NAN when absent */
int64_t golden_integer(const json_t *object, const char *key); /* -1 when absent */
/* Limits of the tensor in the manifest entry's tolerance_f32, or BY_ROUNDING. */
Limit golden_limit(const Golden *g, const json_t *entry, const char *name);
/* Of a number: relative * |want|, or BY_ROUNDING. */
double golden_share(const Golden *g, double relative, double want);
/* The rule of the fixtures: ten times the error of the float32 run, and no less than 3e-6. */
double golden_allowance(double error, double scale);

/* --- comparisons, one each -------------------------------------------------------------------- */

void compare_reals(Golden *g, const char *what, const float *got, const float *want, int64_t n,
                   Limit limit);
/* Without the middle third when the name ends in attn.qkv.bias: the key bias. */
void compare_without_key(Golden *g, const char *what, const float *got, const float *want,
                         int64_t n, Limit limit);
void compare_number(Golden *g, const char *what, double got, double want, double limit);
void compare_ids(Golden *g, const char *what, const int32_t *got, const int64_t *want, int64_t n);
void compare_bytes(Golden *g, const char *what, const uint8_t *got, const uint8_t *want, int64_t n);

/* --- models ----------------------------------------------------------------------------------- */

/* From the fixtures' {"img": .., "patch": .., "embed": ..}. */
ModelConfig golden_config(const json_t *config);
Vit *golden_model(Golden *g, const ModelConfig *c, bool with_gradients);
/* Sets every parameter from PREFIX + name. */
bool golden_load(Golden *g, Vit *a, const TensorFile *s, const char *prefix);
float *golden_gradient(Golden *g, const Param *p);
float *golden_value(Golden *g, AutoencoderGraph *graph, const Value *v);

/* Masks of a batch from noise[B,P]. */
Masks golden_masks(Golden *g, const float *noise, int64_t batch, int64_t patches, int64_t keep);
/* A graph of all patches up to the first block: what golden_feed and graph_find need. */
bool golden_embedding(Golden *g, Vit *v, int64_t batch, AutoencoderGraph *out);
/* A graph of float images, planned for training; false after golden_problem. */
bool golden_training(Golden *g, Vit *v, int64_t batch, int64_t keep, AutoencoderGraph *out);
/* Images and masks into the inputs of a graph of any kind. */
void golden_feed(AutoencoderGraph *graph, Masks *m, const float *images);

/* --- classifiers ------------------------------------------------------------------------------ */

/* The number after these words in the entry's description; NAN: none. */
double golden_stated(const json_t *entry, const char *before);
double golden_listed(const json_t *object, const char *key, int64_t i); /* NAN when absent */
/* "vit_base_patch16", with or without "mae_" in front: a preset and its patch. */
bool golden_preset(Golden *g, const char *arch, ModelConfig *c);
/* Turns the sizes of an autoencoder into those of a classifier. */
void golden_make_classifier(ModelConfig *c, HeadKind head, bool global_pool, int64_t classes);
/* The weights that a {"id": ..} names. */
const TensorFile *golden_encoder(Golden *g, const json_t *config);
/* Sets every parameter from PREFIX + name of `own` where that has it, otherwise from the encoder's
 * file; the layers of a probe's head stay as they are when `own` lacks them. */
bool golden_load_classifier(Golden *g, Vit *v, const TensorFile *encoder, const TensorFile *own,
                            const char *prefix);

/* Labelled images of a file; their size goes into the config, which has the classes already. */
typedef struct Pool {
    int64_t n, classes;
    Shape shape; /* of the images, [n,C,h,w] */
    float *images;
    int *labels;
} Pool;
bool golden_pool(Golden *g, const TensorFile *s, ModelConfig *c, Pool *out);
/* A batch as the loader gives it: images index[n] of the pool (NULL: in order), copied. */
Batch golden_batch(Golden *g, const Pool *p, const int64_t *index, int64_t n);
/* 0, 1, .. classes-1: every class of the data is that of the model. */
const int *golden_same_classes(Golden *g, int64_t classes);
/* Planned for training or inference; freed by the caller, also after a failure. */
bool golden_classifier_graph(Golden *g, Vit *v, ClassifierOptions o, ClassifierGraph *out);
float *golden_output(Golden *g, Graph *graph, const Value *v);
/* A kept value against the tensor of that name. */
void compare_output(Golden *g, const json_t *entry, const TensorFile *s, const char *name,
                    Graph *graph, const Value *v);

/* --- bf16 ------------------------------------------------------------------------------------- */

bool golden_is_narrow(const Golden *g); /* the device has activations in bf16 */
/* The limit of what was compared and is off by a relative error, where the limit is BY_ROUNDING. */
double golden_rounding_limit(Golden *g, const char *what, bool is_tensor, double error);
/* Compares the statistics that rows of the device store with those that follow from the activations
 * that they have read (statistics.c). */
bool golden_watch_statistics(Golden *g);
void golden_unwatch_statistics(void);
/* Puts fault i into a device of precision bf16; returns what it is, NULL: there is none. */
const char *golden_fault(Device *d, int i);

/* --- subjects: each checks one file of a manifest --------------------------------------------- */

typedef void (*Subject)(Golden *g, const char *path, const json_t *entry);
void check_weights(Golden *g, const char *path, const json_t *entry);
void check_initial(Golden *g, const char *path, const json_t *entry);
void check_forward(Golden *g, const char *path, const json_t *entry);
void check_backward(Golden *g, const char *path, const json_t *entry);
void check_trajectory(Golden *g, const char *path, const json_t *entry);
void check_real_size(Golden *g, const char *path, const json_t *entry);
void check_real_classifier(Golden *g, const char *path, const json_t *entry);
void check_checkpoint_models(Golden *g, const char *path, const json_t *entry);
void check_resumed_update(Golden *g, const char *path, const json_t *entry);
void check_head(Golden *g, const char *path, const json_t *entry);
void check_smoothed(Golden *g, const char *path, const json_t *entry);
void check_mixed(Golden *g, const char *path, const json_t *entry);
void check_drop_path(Golden *g, const char *path, const json_t *entry);
void check_layer_groups(Golden *g, const char *path, const json_t *entry);
void check_fine_tuning(Golden *g, const char *path, const json_t *entry);
void check_probe(Golden *g, const char *path, const json_t *entry);
void check_positions(Golden *g, const char *path, const json_t *entry);
void check_random_masks(Golden *g, const char *path, const json_t *entry);
void check_keep_counts(Golden *g, const char *path, const json_t *entry);
void check_grid_masks(Golden *g, const char *path, const json_t *entry);
void check_block_masks(Golden *g, const char *path, const json_t *entry);
void check_crops(Golden *g, const char *path, const json_t *entry);
void check_crop_sizes(Golden *g, const char *path, const json_t *entry);
void check_decoding(Golden *g, const char *path, const json_t *entry);
void check_eval(Golden *g, const char *path, const json_t *entry);
void check_color(Golden *g, const char *path, const json_t *entry);
void check_crop_variants(Golden *g, const char *path, const json_t *entry);
void check_randaugment_ops(Golden *g, const char *path, const json_t *entry);
void check_randaugment_traces(Golden *g, const char *path, const json_t *entry);
void check_erasing(Golden *g, const char *path, const json_t *entry);
void check_mixup(Golden *g, const char *path, const json_t *entry);
void check_image_files(Golden *g, const char *path, const json_t *entry);
void check_hostile_files(Golden *g, const char *path, const json_t *entry);
void check_resampling(Golden *g, const char *path, const json_t *entry);
void check_training_file(Golden *g, const char *path, const json_t *entry);
void check_half(Golden *g, const char *path, const json_t *entry);
void check_renamed(Golden *g, const char *path, const json_t *entry);
void check_encoder_only(Golden *g, const char *path, const json_t *entry);
void check_odd(Golden *g, const char *path, const json_t *entry);

#endif
