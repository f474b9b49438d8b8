/* What the files of the golden runner share: the folder in hand, tensors and JSON out of it, and
 * comparisons that count and print only what fails. Everything taken through a Golden lives until
 * the file in hand is done; nothing has to be freed by its caller. */
#ifndef GOLDEN_GOLDEN_H
#define GOLDEN_GOLDEN_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/memory.h"
#include "formats/safetensors.h"
#include "model/autoencoder.h"

#define MAX_OPEN 64

typedef struct Golden {
    const char *dir;
    json_t *files;    /* path -> entry of all manifests */
    Device *device;   /* of the pass that runs */
    const char *path; /* the file in hand */
    Arena *arena;     /* of the file in hand */
    SafeTensors *tensors[MAX_OPEN];
    json_t *jsons[MAX_OPEN];
    int n_tensors, n_jsons;
    int64_t compared, failed;
} Golden;

typedef struct Limit {
    double rel_l2, max_abs;
} Limit;

/* A failed comparison for a reason of its own. */
void golden_problem(Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* Closes what was opened for the file in hand. */
void golden_release(Golden *g);

/* --- access: NULL after golden_problem -------------------------------------------------------- */

void *golden_memory(Golden *g, int64_t count, size_t size);
const char *golden_text(Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
SafeTensors *golden_tensors(Golden *g, const char *path);
const json_t *golden_json(Golden *g, const char *path);
/* The path with another ending. */
const char *golden_sibling(Golden *g, const char *path, const char *ending);
/* The path without its folder and without the ending. */
const char *golden_stem(Golden *g, const char *path);
const json_t *golden_entry(Golden *g, const char *path);
/* A tensor of any type as float32 / int64; its shape in *shape unless NULL. */
float *golden_reals(Golden *g, const SafeTensors *s, const char *name, Shape *shape);
int64_t *golden_ints(Golden *g, const SafeTensors *s, const char *name, Shape *shape);
double golden_number(const json_t *object, const char *key);   /* NAN when absent */
int64_t golden_integer(const json_t *object, const char *key); /* -1 when absent */
/* Limits of the tensor in the manifest entry's tolerance_f32. */
Limit golden_limit(const json_t *entry, const char *name);
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
bool golden_load(Golden *g, Vit *a, const SafeTensors *s, const char *prefix);
float *golden_gradient(Golden *g, const Param *p);
float *golden_value(Golden *g, AutoencoderGraph *graph, const Value *v);

/* Masks of a batch from noise[B,P], and all patches in order. */
typedef struct MaskSet {
    int64_t batch, patches, keep;
    int32_t *ids_keep, *ids_restore, *ids_all;
    float *mask;
} MaskSet;
MaskSet golden_masks(Golden *g, const float *noise, int64_t batch, int64_t patches, int64_t keep);
/* Images and masks into the inputs of a graph of any kind. */
void golden_feed(AutoencoderGraph *graph, const MaskSet *m, const float *images);

/* --- subjects: each checks one file of a manifest --------------------------------------------- */

typedef void (*Subject)(Golden *g, const char *path, const json_t *entry);
void check_weights(Golden *g, const char *path, const json_t *entry);
void check_initial(Golden *g, const char *path, const json_t *entry);
void check_forward(Golden *g, const char *path, const json_t *entry);
void check_backward(Golden *g, const char *path, const json_t *entry);
void check_trajectory(Golden *g, const char *path, const json_t *entry);
void check_real_size(Golden *g, const char *path, const json_t *entry);
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

#endif
