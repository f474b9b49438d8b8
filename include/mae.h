/* mae.h: masked autoencoders in C. The only public header of libmae, in three parts:
 *
 *   1. images and models   pixels in memory, weights, sessions that run batches
 *   2. jobs                options set by name, one mae_run for every command, results
 *   3. listening           log, progress and stop of one call or one model
 *
 *     MaeError err = {0};
 *     MaeModel *model = NULL;
 *     MaeSession *session = NULL;
 *     MaeImage image = {
 *         .pixels = rgb, .type = MAE_U8, .height = 480, .width = 640, .channels = 3};
 *     MaeTensor features;
 *     if (mae_model_load("run/last.safetensors", NULL, NULL, &model, &err) ||
 *         mae_session_new(model, "features", 1, NULL, &session, &err) ||
 *         mae_session_run(session, &image, 1, &err) ||
 *         mae_session_output(session, "features", &features, &err))
 *         fprintf(stderr, "%s\n", err.message);
 *
 * A function that can fail returns a MaeStatus (0 = MAE_OK) and leaves one message in *err that
 * says what, where, and what to do; err may be NULL. The library never prints and never exits. What
 * a function makes is freed by the function named beside it, which accepts NULL. A model may be
 * used by several threads at once; sessions, options and results by one at a time. After fork() the
 * child of a process that has used the library can only exec (UNSUPPORTED). Source of everything
 * numerical: arXiv 2111.06377 and its published implementation. */
#ifndef MAE_H
#define MAE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MAE_API __attribute__((visibility("default")))
#else
#define MAE_API
#endif

#define MAE_VERSION_MAJOR 0
#define MAE_VERSION_MINOR 2
#define MAE_VERSION_PATCH 0
#define MAE_VERSION "0.2.0"

typedef enum MaeStatus {
    MAE_OK,
    MAE_USAGE,  /* an option or argument that cannot be */
    MAE_IO,     /* a file cannot be read or written */
    MAE_FORMAT, /* a file is not what it should be */
    MAE_SHAPE,  /* tensors do not fit each other */
    MAE_MEMORY,
    MAE_UNSUPPORTED,
    MAE_EMPTY,      /* no images, no labels */
    MAE_NONFINITE,  /* training diverged */
    MAE_INTERRUPTED /* stopped by request; everything is saved */
} MaeStatus;

typedef struct MaeError {
    MaeStatus status;
    char message[1024];
} MaeError;

MAE_API const char *mae_version(void); /* of the library that runs: "0.2.0" */
MAE_API int mae_version_number(void);  /* major * 10000 + minor * 100 + patch */
MAE_API const char *mae_status_name(MaeStatus status);

typedef struct MaeOptions MaeOptions; /* part 2 */
typedef struct MaeResult MaeResult;
typedef struct MaeEvents MaeEvents; /* part 3 */

/* === 1. Images and models ===================================================================== */

typedef enum MaeType { MAE_U8, MAE_U16, MAE_F32, MAE_I64 } MaeType;

/* Pixels in memory. U8 from 0 to 255, F32 from 0 to 1; U16 is kept for later and refused. */
typedef struct MaeImage {
    const void *pixels; /* of pixel (0, 0), channel 0 */
    MaeType type;
    int64_t height, width, channels;
    /* Bytes from one row, pixel and channel to the next; they may be negative. 0: as it is in
     * packed pixels, interleaved [h,w,C] or, with planar, [C,h,w]. */
    int64_t row_stride, pixel_stride, channel_stride;
    int planar;
    void *memory; /* the library's, for mae_image_free; NULL: the pixels are the caller's */
} MaeImage;

/* Packed pixels of the library's; their values are not set. */
MAE_API MaeStatus mae_image_new(MaeType type, int64_t height, int64_t width, int64_t channels,
                                MaeImage *out, MaeError *err);
/* JPEG, PNG or WebP, recognised by content, as packed U8; alpha is dropped and 16 bits become 8. o:
 * the options of "image", max-pixels and channels; NULL: RGB, and the usual limit. UNSUPPORTED:
 * more pixels than the limit. */
MAE_API MaeStatus mae_image_load(const char *path, const MaeOptions *o, MaeImage *out,
                                 MaeError *err);
MAE_API MaeStatus mae_image_decode(const void *bytes, size_t n, const MaeOptions *o, MaeImage *out,
                                   MaeError *err);
/* PNG of 1 or 3 channels, F32 rounded to 8 bits. The bytes are freed with mae_free; a file is
 * replaced at once. */
MAE_API MaeStatus mae_image_encode(const MaeImage *image, void **bytes, size_t *n, MaeError *err);
MAE_API MaeStatus mae_image_save(const char *path, const MaeImage *image, MaeError *err);
MAE_API void mae_image_free(MaeImage *image); /* accepts one that is the caller's */

typedef struct MaeModel MaeModel;

/* A checkpoint: of this library, or of facebookresearch/mae, timm, Hugging Face transformers (a
 * file or a folder) or mmpretrain, as safetensors or PyTorch file, or a run folder, whose
 * best.safetensors is taken where there is one, else last.safetensors. o (may be NULL): the options
 * of "model": device, threads, precision, and hints for files that do not say all (heads, target,
 * mean, std, prefix). events (may be NULL) hears what had to be assumed, and what the model's
 * sessions have to say; its functions are kept until the model is freed. */
MAE_API MaeStatus mae_model_load(const char *path, const MaeOptions *o, const MaeEvents *events,
                                 MaeModel **out, MaeError *err);
/* Published initialisation, from the model options, target, device, precision, threads and seed of
 * "pretrain". NULL: all at their defaults. */
MAE_API MaeStatus mae_model_new(const MaeOptions *o, const MaeEvents *events, MaeModel **out,
                                MaeError *err);
MAE_API void mae_model_free(MaeModel *model); /* after its sessions */
/* Sizes and origin: name, target, image_height, image_width, channels, patch, patches, embed_dim,
 * depth, heads, mlp_ratio, decoder_embed_dim, decoder_depth, decoder_heads (0: no decoder),
 * mask_ratio, mean and std (of a channel, of pixels from 0 to 1), parameters, epochs, classes
 * (their names; an empty list: no classifier). Belongs to the model. */
MAE_API const MaeResult *mae_model_info(const MaeModel *model);
MAE_API MaeStatus mae_model_save(const MaeModel *model, const char *path, MaeError *err);

#define MAE_MAX_DIMS 4

/* Numbers in row-major order. Whoever gives it out says how long name and data stay valid. */
typedef struct MaeTensor {
    const char *name;
    MaeType type;
    int n_dims;
    int64_t dim[MAE_MAX_DIMS];
    const void *data;
} MaeTensor;

/* The state dict: mae_model_tensors of them, F32, by the names of the published checkpoints. Tensor
 * i comes without data, its name belongs to the model. mae_model_get copies the n values of a
 * tensor into out, mae_model_set takes them. USAGE: i or name is none of the model's. SHAPE: n is
 * not its size. No session may run meanwhile; those there are see what was set. */
MAE_API int64_t mae_model_tensors(const MaeModel *model);
MAE_API MaeStatus mae_model_tensor(const MaeModel *model, int64_t i, MaeTensor *out, MaeError *err);
MAE_API MaeStatus mae_model_get(const MaeModel *model, const char *name, float *out, int64_t n,
                                MaeError *err);
MAE_API MaeStatus mae_model_set(MaeModel *model, const char *name, const float *values, int64_t n,
                                MaeError *err);

typedef struct MaeSession MaeSession;

/* A model made ready for batches of at most `batch` images: planned once, then it runs without
 * taking memory, but for pictures larger than any before. outputs: names joined by commas. B
 * images, P patches in raster order, T = 1 + P tokens with cls in front, D width, V values of a
 * predicted patch in the order row, column, channel:
 *   nothing removed     features [B,D]; tokens [B,T,D]; attention [B,H,P] of the cls token;
 *                       logits, probabilities [B,classes] of a classifier
 *   patches removed     prediction [B,P,V]; mask [B,P], 1 = removed; patch_loss [B,P]; loss [B],
 *                       its mean over removed patches; latent [B,1+kept,D], I64 kept [B,kept] in
 *                       its order, [B,T,D] with mask tokens in the encoder; patch_mean, patch_std
 *                       [B,P] of normalised pixels by the option stats: a norm-pix prediction times
 *                       std plus mean are such pixels; reconstruction [B,C,h,w], from 0 to 1
 * The two kinds want a session each. o (may be NULL): the options of "session":
 *   pool, block         of features, tokens (block) and attention (block), as in `mae features`
 *   fit                 how an image becomes one of the model's size. crop: its shorter side is
 *                       resized to 256/224 of the model's longer side (to that side itself above
 *                       224), and the centre is cut out. stretch: the whole image is resized. none:
 *                       another size is an error (SHAPE). auto: nothing for an image of the model's
 *                       size; else crop, or where patches are removed stretch. Resizing is bicubic
 *                       as PIL's. `mae features` crops, unless the first image of its data has the
 *                       model's size; `mae reconstruct` stretches.
 *   mask, mask-ratio, seed, keep, stats, paste      as in `mae reconstruct`
 * USAGE: an output or option that the model cannot give. UNSUPPORTED: no decoder, no classifier. */
MAE_API MaeStatus mae_session_new(MaeModel *model, const char *outputs, int64_t batch,
                                  const MaeOptions *o, MaeSession **out, MaeError *err);
MAE_API void mae_session_free(MaeSession *session);
/* Removes these patches from the images of every following run, of n images at most: removed[n *
 * P], 0 or 1, for image i row i; all rows keep equally many. NULL: by mask rule and seed again,
 * image i of a run as image i of `mae reconstruct`. Ends the outputs of the last run. Another
 * number of kept patches makes the session plan again. */
MAE_API MaeStatus mae_session_mask(MaeSession *session, const uint8_t *removed, int64_t n,
                                   MaeError *err);
/* 1 <= n <= batch images of any size and layout. Grey and RGB become each other as the model wants.
 * F32 may lie a little outside of 0 to 1, as resampling leaves it. USAGE: a value outside of -1 to
 * 2. INTERRUPTED: events of the model asked for a stop. A run that fails leaves no outputs. */
MAE_API MaeStatus mae_session_run(MaeSession *session, const MaeImage *images, int64_t n,
                                  MaeError *err);
/* An output of the last run, its data valid until the next run or mask. USAGE: it was not asked
 * for, or there was no run. */
MAE_API MaeStatus mae_session_output(MaeSession *session, const char *name, MaeTensor *out,
                                     MaeError *err);
/* masked | reconstruction | original of image i of the last run, U8 RGB, with 4 white pixels
 * between; needs "reconstruction" and "mask" among the outputs. Free with mae_image_free. */
MAE_API MaeStatus mae_session_paint(MaeSession *session, int64_t i, MaeImage *out, MaeError *err);

/* The k rows of bank[n,width] most like each of queries[m,width], by cosine, best first, equal ones
 * by number: rows[m,k], cosines[m,k] (may be NULL). A row of zeros has cosine 0 with all. Computes
 * on the device of the model, with any number of threads the same, some ten thousand rows at a
 * time. USAGE: k is not from 1 to n, or width is below 1. NONFINITE: a row has values that are not
 * finite. */
MAE_API MaeStatus mae_nearest(const MaeModel *model, const float *bank, int64_t n,
                              const float *queries, int64_t m, int64_t width, int64_t k,
                              int64_t *rows, float *cosines, MaeError *err);

/* === 2. Jobs ================================================================================== */

/* Options of a command of `mae`, or of "plan COMMAND", "image", "model", "session", all at their
 * defaults. USAGE: no such command. */
MAE_API MaeStatus mae_options_new(const char *command, MaeOptions **out, MaeError *err);
MAE_API void mae_options_free(MaeOptions *o);
/* Sets an option by its name without dashes. Texts are as on the command line, "true" and "false"
 * for switches; a list is joined by commas or given item by item. USAGE names the option, the value
 * and what is allowed. */
MAE_API MaeStatus mae_options_set(MaeOptions *o, const char *name, const char *text, MaeError *err);
MAE_API MaeStatus mae_options_set_integer(MaeOptions *o, const char *name, int64_t value,
                                          MaeError *err);
MAE_API MaeStatus mae_options_set_real(MaeOptions *o, const char *name, double value,
                                       MaeError *err);
MAE_API MaeStatus mae_options_set_list(MaeOptions *o, const char *name, const char *const *items,
                                       int64_t n, MaeError *err);
/* The value as text, a list joined by commas, valid until the option is set again or o is freed;
 * NULL: it is derived from others, or there is no such option. The second gives numbers and
 * switches; NaN likewise. */
MAE_API const char *mae_options_get(const MaeOptions *o, const char *name);
MAE_API double mae_options_get_number(const MaeOptions *o, const char *name);
/* A JSON object as config.json of a run folder has it, keys with underscores; what is derived from
 * others is null. Options that were set stay, and so does what is null. */
MAE_API MaeStatus mae_options_load(MaeOptions *o, const char *path, MaeError *err);
MAE_API MaeStatus mae_options_save(const MaeOptions *o, const char *path, MaeError *err);

typedef enum MaeOptionType {
    MAE_OPTION_SWITCH, /* --NAME, --no-NAME */
    MAE_OPTION_INTEGER,
    MAE_OPTION_REAL,
    MAE_OPTION_TEXT,
    MAE_OPTION_CHOICE,
    MAE_OPTION_SIZE,  /* "224" or "224x320", height first */
    MAE_OPTION_LIMIT, /* "N", "first:N" */
    MAE_OPTION_LIST   /* of texts */
} MaeOptionType;

typedef struct MaeOption {
    const char *name;
    MaeOptionType type;
    int positional;             /* a word of the command line without a name; 2: at least one */
    int output;                 /* names a file that the job writes; 2: text, fit for a terminal */
    const char *fallback;       /* default as text; NULL: derived (help says from what) */
    double min, max;            /* of numbers, inclusive */
    const char *const *choices; /* NULL-terminated; NULL: no choice */
    const char *group;          /* heading in the help: "Model", "Data", ... */
    const char *argument;       /* placeholder in the help: "N", "FILE", "HxW" */
    const char *help;
} MaeOption;

/* The options of o's command one by one, in the order of the help; NULL after the last. */
MAE_API const MaeOption *mae_options_describe(const MaeOptions *o, int64_t i);
/* Was it set? */
MAE_API int mae_options_is_set(const MaeOptions *o, const char *name);
/* Why an option has no effect beside the others: a text to follow "no effect here: "; NULL: it has
 * one. */
MAE_API const char *mae_options_unused(const MaeOptions *o, const char *name);

/* Images of the caller's, for the options data and val instead of a text. While the job opens them
 * it asks for the names and classes of all, from one thread. fetch and release are called by
 * several threads at once, for any image, also for the same one again. What this points to must
 * outlive the job. */
typedef struct MaeSource {
    void *user;
    /* Of the whole; a resumed run has the same. In config.json, data is "memory:NAME" then. */
    const char *name;
    int64_t count;                  /* of images, numbered from 0 */
    int n_classes;                  /* 0: no labels */
    const char *const *class_names; /* NULL: "0", "1", ... */
    /* The class of image i, -1: none; all have one, or none. NULL without labels. */
    int (*label)(void *user, int64_t i);
    /* What image i is called in messages and in files of names. A function or name that is NULL:
     * "NAME/i". Copied. */
    const char *(*image_name)(void *user, int64_t i);
    /* Sets *out, which is zeroed, to image i: U8 of 1 or 3 channels, which become those of the
     * model as in files. The library copies the pixels and then calls release, or mae_image_free
     * where release is NULL; after a failure of fetch it calls neither. A failure, and an image
     * that cannot be, is handled like a file that cannot be read; only MEMORY ends the job. Two
     * fetches of one image give the same pixels, or no run can be repeated. */
    MaeStatus (*fetch)(void *user, int64_t i, MaeImage *out, MaeError *err);
    void (*release)(void *user, int64_t i, MaeImage *image);
} MaeSource;

/* name: "data" or "val". A text that is set later takes its place. USAGE: the command has no such
 * option, or the source no name. */
MAE_API MaeStatus mae_options_set_source(MaeOptions *o, const char *name, const MaeSource *source,
                                         MaeError *err);

/* Does what the command of o does. *result (may be NULL) is freed with mae_result_free, and is NULL
 * after a failure. Training resumes when the run folder holds a run; started by a launcher (mpirun,
 * srun), all processes call it alike, rank 0 writes, and all return the same status. The run folder
 * and the data must be seen by all of them. */
MAE_API MaeStatus mae_run(const MaeOptions *o, const MaeEvents *events, MaeResult **result,
                          MaeError *err);
/* The place among those processes, to know who should talk; alone, or in a library built without
 * MPI, 0 of 1. mae_run joins them by itself. */
MAE_API MaeStatus mae_join(int *rank, int *size, MaeError *err);

/* A result is an object of named numbers, texts, switches, lists and objects, as --json prints it.
 * What is asked for with key NULL is the node itself. What was not measured is there and has no
 * number. A switch is 0 or 1. Parts belong to the whole. */
MAE_API const MaeResult *mae_result_get(const MaeResult *r, const char *key); /* NULL: not there */
MAE_API const MaeResult *mae_result_at(const MaeResult *r, int64_t i); /* of a list or object */
MAE_API int64_t mae_result_count(const MaeResult *r, const char *key); /* items; 0: none, a value */
MAE_API const char *mae_result_key(const MaeResult *r, int64_t i);     /* of an object, else NULL */
MAE_API double mae_result_number(const MaeResult *r, const char *key); /* NaN: no number */
MAE_API int64_t mae_result_integer(const MaeResult *r, const char *key);  /* -1: no number */
MAE_API const char *mae_result_text(const MaeResult *r, const char *key); /* NULL: no text */
MAE_API char *mae_result_json(const MaeResult *r); /* free with mae_free; NULL: no memory */
MAE_API void mae_result_free(MaeResult *r);        /* accepts NULL */
MAE_API void mae_free(void *memory); /* what a function gave with "free with mae_free" */

/* The commands of `mae` that do a job, in the order of the help; NULL after the last. */
typedef struct MaeCommand {
    const char *name, *arguments, *summary;
} MaeCommand;
MAE_API const MaeCommand *mae_command(int64_t i);
/* What the library was built of and with, for the report of a bug: version, compiler, openmp, mpi,
 * codecs, libraries. */
MAE_API MaeStatus mae_build_info(MaeResult **out, MaeError *err);
/* For "did you mean": how many letters lie between what was written and a name there is; INT_MAX
 * where that is not near. */
MAE_API int mae_name_distance(const char *written, const char *name);
/* A file is replaced at once or not at all, a link is followed, a pipe or character device is
 * written into, and "-" is standard output. A program that writes to pipes ignores SIGPIPE. */
MAE_API int mae_output_is_stdout(const char *path);

/* === 3. Listening ============================================================================= */

typedef struct MaeProgress {
    int64_t step, total_steps, epoch, total_epochs;
    double epoch_fraction, loss, lr, gradient_norm; /* loss: mean over the updates of the epoch */
    double images_per_s, eta_s, fraction_of_peak;   /* images_per_s 0: says nothing */
    /* "train" after an update; "update" while one is under way, some dozen times; "validate",
     * "features", "evaluate", "components" as images go through */
    const char *phase;
    double update_share; /* of phase "update": how much of it is done, 0 to 1 */
} MaeProgress;

/* What a call says while it works. Each function may be NULL. Those of one call are never called at
 * the same time. None may call the library with the objects of that call. Where not said otherwise,
 * the thread of the call calls them. */
struct MaeEvents {
    void *user;
    /* level: 0 error, 1 warning, 2 information; no newline. From any thread of the call. */
    void (*log)(void *user, int level, const char *line);
    void (*progress)(void *user, const MaeProgress *p);
    /* Not 0 asks for an orderly stop: a job alone gives up the update or batch under way, one of
     * several processes ends its update; then it saves what was before: MAE_INTERRUPTED. Asked by
     * the thread of the call every 20 ms where it can stop, and not again after such an answer. */
    int (*stop)(void *user);
    /* A training job's plan before its first step, as the job "plan COMMAND" gives it, without
     * opening data and checkpoint a second time. */
    void (*plan)(void *user, const MaeResult *plan);
    /* A record of the result as soon as it is known: an image of "classify", while others are still
     * to come. May be NULL. */
    void (*record)(void *user, const MaeResult *record);
};

#ifdef __cplusplus
}
#endif

#endif
