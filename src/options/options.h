/* What a command can be told: its values, and what the files of this folder use of each other: the
 * table (options_table.c), names (options.c), values (options_value.c) and config.json
 * (options_file.c). The public side is mae.h. */
#ifndef OPTIONS_OPTIONS_H
#define OPTIONS_OPTIONS_H

#include <stdbool.h>

#include "base/status.h"
#include "options/commands.h"

/* Longest text of a value, its NUL included; of a value that is no text. */
#define OPTION_TEXT_BYTES 4096
#define OPTION_NUMBER_BYTES 64
/* At least the rows of the table. */
#define OPTION_ROWS 192

/* How data and val begin when a program gives the images; its source's name follows. */
#define OPTION_SOURCE_PREFIX "memory:"

/* The value of a list, one piece of memory each. */
typedef struct OptionList {
    char **item;
    int64_t n;
    char *text; /* all of them, joined by commas */
} OptionList;

/* Everything a command can be told. A derived default is 0, -1 or NULL until resolved. */
struct MaeOptions {
    CommandId command;
    bool plans; /* the command is planned, and not done */
    /* model */
    int model; /* vit_tiny, vit_small, vit_base, vit_large, vit_huge */
    int64_t image_size[2], channels, patch;
    int64_t embed_dim, depth, heads;
    double mlp_ratio;
    int64_t decoder_embed_dim, decoder_depth, decoder_heads;
    /* masking and target */
    double mask_ratio;
    int mask, target; /* random block grid; pixel norm-pix pca token */
    int64_t pca_components, pca_images;
    int mask_token_in_encoder;
    /* data */
    char *data, *val, *init;
    const MaeSource *data_source, *val_source; /* of texts that begin as below; NULL: files */
    double val_share;
    int continue_run;
    int read_target;              /* as-said pixel norm-pix */
    char *pixel_mean, *pixel_std; /* "0.5" or "0.485,0.456,0.406" */
    char *prefix;                 /* of the model in a checkpoint that holds several */
    int augment;                  /* none crop-fixed crop crop-jitter crop-once */
    double min_scale;
    int64_t repeat, workers, cache_mb, max_side;
    int64_t max_pixels, max_entries;
    int strict, fast_decode;
    /* training */
    int64_t epochs, steps, batch, accumulate;
    double base_lr, lr, warmup_epochs, weight_decay, beta1, beta2, min_lr, clip_grad;
    int64_t seed, save_every, keep, log_every;
    int async_save;
    int64_t eval_every;
    int optimizer; /* adamw lars sgd */
    double momentum;
    /* fine-tuning, probing */
    double tune_blocks; /* negative: all */
    int head_pool;      /* mean cls */
    double drop_path, layer_decay, ema;
    char *randaugment;
    double color_jitter, erase_prob, mixup, cutmix, mix_prob, mix_switch_prob, label_smoothing;
    int erase_mode; /* pixel rand const */
    int mix_mode;   /* batch pair elem */
    int cache_features;
    /* where and how */
    char *out, *checkpoint; /* --out, --model CKPT of the commands that read one */
    int restart, accept_changes;
    int64_t threads;
    int device, precision;               /* cpu ref; fp32 bf16 */
    int shard_optimizer, sync_batchnorm; /* with several processes */
    double peer_timeout;                 /* seconds; 0: none */
    /* reconstruct */
    char *keep_patches; /* --keep 3,17,... */
    int paste, stats;   /* stats: true interpolated */
    /* features, knn, neighbours */
    int pool;      /* mean cls all */
    int64_t block; /* counted from 1; 0: after the final norm */
    char *attention;
    int table_format; /* by-name npy csv */
    int64_t k;
    double temperature;
    /* of the images of data and of val; N > 0: N drawn by the seed, of each class its share; -N:
     * the first N; 0: all */
    int64_t limit, val_limit;
    int accept_overlap; /* images of val may be in data */
    /* eval, classify */
    char *classes, *corruptions, *baseline, *confusion;
    int64_t top;
    /* convert */
    int to;       /* official timm hf onnx mae */
    int dtype;    /* f32 f16 bf16 i8 */
    int part;     /* auto encoder classifier reconstruction */
    int hf_names; /* v4 v5 */
    int64_t fixed_batch;
    char *verify;
    /* bench */
    int task; /* pretrain finetune features */
    int64_t repetitions;
    int what; /* step kernels data */
    /* session */
    int fit; /* auto crop stretch none */
    /* words without a name */
    OptionList images;
    char *in, *file;
    /* output */
    int json, quiet;
    /* By index into the table. */
    unsigned char given[OPTION_ROWS];         /* set explicitly */
    char (*number_text)[OPTION_NUMBER_BYTES]; /* what mae_options_get gave; NULL: a copy */
    unsigned char order[OPTION_ROWS]; /* of the help: the first n_options are rows of the command */
    int n_options;
};

/* A row of the table: what everybody may know, and where the value lies in MaeOptions. */
typedef struct OptionRow {
    MaeOption option;
    size_t offset;
    unsigned commands; /* bits of CommandId that know it */
} OptionRow;

const OptionRow *option_table(size_t *count);
/* Defaults of a command, for options that are no object of mae_options_new: mae_options_get gives
 * only texts and words of them. Free with options_clear. */
void options_default(CommandId command, MaeOptions *out);
void options_clear(MaeOptions *o);
/* Row of an option of this command, -1 when it has none of that name. */
int option_find(CommandId command, const char *name);
/* The name among this command's options that is most like `name`; NULL when none is near. */
const char *option_nearest(CommandId command, const char *name);
/* Sets row i from text, or from the items of a list, and marks it as given. */
Status option_set_row(MaeOptions *o, size_t i, const char *text, Error *err);
Status option_set_list_row(MaeOptions *o, size_t i, const char *const *items, int64_t n,
                           Error *err);
/* Does row i have the value that stands for "derived from others"? */
bool option_is_derived(const MaeOptions *o, size_t i);
/* Is the option about one call and not about what is made (--out, --restart, --json, words without
 * a name ...)? It is not in config.json then. */
bool option_is_of_one_call(const OptionRow *row);
/* Where the value of a row lies, to be read or to be changed. */
const void *option_value(const MaeOptions *o, const OptionRow *row);
void *option_field(MaeOptions *o, const OptionRow *row);
/* The value of a row as text, cut where it does not fit. */
void option_text(const MaeOptions *o, const OptionRow *row, char *buffer, size_t bytes);
/* Reads text into the value of a row, within its range. USAGE, MEMORY: it stays as it was. */
Status option_parse(MaeOptions *o, const OptionRow *row, const char *text, Error *err);
/* The items become the value of a list, or joined that of a text. Likewise. */
Status option_take_items(MaeOptions *o, const OptionRow *row, const char *const *items, int64_t n,
                         Error *err);
/* The shortest text that reads back as the same number. */
void option_print_real(char *buffer, size_t bytes, double v);
/* Frees the value of a text or list. */
void option_free_value(MaeOptions *o, const OptionRow *row);

#endif
