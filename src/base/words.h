/* The closed lists of words, each once. A word is what an option may be told, and what metadata,
 * JSON and messages call the same thing.
 *
 *     TARGET_WORDS(X)    X(VALUE, "word") for each of them
 *     TargetKind         the enum: the values, in that order
 *     target_words       the words, in that order, then NULL; so they are the choices of an option,
 *                        which holds the value */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include <stddef.h>

/* Sizes of the published models (model/config.c). */
#define MODEL_SIZE_WORDS(X)                                                                        \
    X(MODEL_VIT_TINY, "vit_tiny")                                                                  \
    X(MODEL_VIT_SMALL, "vit_small")                                                                \
    X(MODEL_VIT_BASE, "vit_base")                                                                  \
    X(MODEL_VIT_LARGE, "vit_large")                                                                \
    X(MODEL_VIT_HUGE, "vit_huge")
/* What the decoder predicts of a removed patch. */
#define TARGET_WORDS(X)                                                                            \
    X(TARGET_PIXEL, "pixel")                                                                       \
    X(TARGET_NORM_PIX, "norm-pix")                                                                 \
    X(TARGET_PCA, "pca")                                                                           \
    X(TARGET_TOKEN, "token")
/* The same, where a checkpoint of another tool does not say it. */
#define READ_TARGET_WORDS(X)                                                                       \
    X(READ_AS_SAID, "as-said")                                                                     \
    X(READ_PIXEL, "pixel")                                                                         \
    X(READ_NORM_PIX, "norm-pix")
/* Which patches are removed. */
#define MASK_WORDS(X)                                                                              \
    X(MASK_RANDOM, "random")                                                                       \
    X(MASK_BLOCK, "block")                                                                         \
    X(MASK_GRID, "grid")
/* What stands on the encoder of a classifier (model/vit.h). */
#define HEAD_WORDS(X)                                                                              \
    X(HEAD_NONE, "none")                                                                           \
    X(HEAD_LINEAR, "linear")                                                                       \
    X(HEAD_PROBE, "probe")
/* What the tokens of an image become: their mean without cls, cls, or all of them. */
#define HEAD_POOL_WORDS(X)                                                                         \
    X(POOL_MEAN, "mean")                                                                           \
    X(POOL_CLS, "cls")
#define POOL_WORDS(X)                                                                              \
    HEAD_POOL_WORDS(X)                                                                             \
    X(POOL_ALL, "all")
/* What happens to an image before the model (data/augment/augment.h); "eval" is no choice. */
#define TRAIN_AUGMENT_WORDS(X)                                                                     \
    X(AUGMENT_NONE, "none")                                                                        \
    X(AUGMENT_CROP_FIXED, "crop-fixed")                                                            \
    X(AUGMENT_CROP, "crop")                                                                        \
    X(AUGMENT_CROP_JITTER, "crop-jitter")                                                          \
    X(AUGMENT_CROP_ONCE, "crop-once")
#define AUGMENT_WORDS(X)                                                                           \
    TRAIN_AUGMENT_WORDS(X)                                                                         \
    X(AUGMENT_EVAL, "eval")
/* What erased pixels become: a normal number a pixel and channel, one a channel, or zero. */
#define ERASE_WORDS(X)                                                                             \
    X(ERASE_PIXEL, "pixel")                                                                        \
    X(ERASE_RAND, "rand")                                                                          \
    X(ERASE_CONST, "const")
/* Mixup and cutmix draw once a batch, once a pair of partners, or once an image. */
#define MIX_WORDS(X)                                                                               \
    X(MIX_BATCH, "batch")                                                                          \
    X(MIX_PAIR, "pair")                                                                            \
    X(MIX_ELEM, "elem")
#define OPTIMIZER_WORDS(X)                                                                         \
    X(OPTIMIZER_ADAMW, "adamw")                                                                    \
    X(OPTIMIZER_LARS, "lars")                                                                      \
    X(OPTIMIZER_SGD, "sgd")
/* "ref64", the reference in double precision, is for tests; "refbf16" is ref with bf16. */
#define USER_DEVICE_WORDS(X)                                                                       \
    X(DEVICE_CPU, "cpu")                                                                           \
    X(DEVICE_REF, "ref")
#define DEVICE_WORDS(X)                                                                            \
    USER_DEVICE_WORDS(X)                                                                           \
    X(DEVICE_REF64, "ref64")                                                                       \
    X(DEVICE_REFBF16, "refbf16")
#define PRECISION_WORDS(X)                                                                         \
    X(PRECISION_FP32, "fp32")                                                                      \
    X(PRECISION_BF16, "bf16")
/* Where a picture takes the mean and deviation of a removed patch from. */
#define STATS_WORDS(X)                                                                             \
    X(STATS_TRUE, "true")                                                                          \
    X(STATS_INTERPOLATED, "interpolated")
/* What --out of mae features holds. */
#define TABLE_FORMAT_WORDS(X)                                                                      \
    X(TABLE_BY_NAME, "by-name")                                                                    \
    X(TABLE_NPY, "npy")                                                                            \
    X(TABLE_CSV, "csv")
/* How images of other sizes become a session's: cut, stretched, or not at all. */
#define FIT_WORDS(X)                                                                               \
    X(FIT_AUTO, "auto")                                                                            \
    X(FIT_CROP, "crop")                                                                            \
    X(FIT_STRETCH, "stretch")                                                                      \
    X(FIT_NONE, "none")
/* What mae bench measures, and whose step. */
#define BENCH_WHAT_WORDS(X)                                                                        \
    X(BENCH_STEP, "step")                                                                          \
    X(BENCH_KERNELS, "kernels")                                                                    \
    X(BENCH_DATA, "data")
#define BENCH_TASK_WORDS(X)                                                                        \
    X(BENCH_PRETRAIN, "pretrain")                                                                  \
    X(BENCH_FINETUNE, "finetune")                                                                  \
    X(BENCH_FEATURES, "features")
/* What mae convert makes: whose checkpoint, how weights are stored, which names of transformers,
 * and which part of a model. */
#define DESTINATION_WORDS(X)                                                                       \
    X(TO_OFFICIAL, "official")                                                                     \
    X(TO_TIMM, "timm")                                                                             \
    X(TO_HF, "hf")                                                                                 \
    X(TO_ONNX, "onnx")                                                                             \
    X(TO_MAE, "mae")
#define STORE_WORDS(X)                                                                             \
    X(STORE_F32, "f32")                                                                            \
    X(STORE_F16, "f16")                                                                            \
    X(STORE_BF16, "bf16")                                                                          \
    X(STORE_I8, "i8")
#define HF_NAMES_WORDS(X)                                                                          \
    X(HF_NAMES_V4, "v4")                                                                           \
    X(HF_NAMES_V5, "v5")
#define PART_WORDS(X)                                                                              \
    X(PART_AUTO, "auto")                                                                           \
    X(PART_ENCODER, "encoder")                                                                     \
    X(PART_CLASSIFIER, "classifier")                                                               \
    X(PART_RECONSTRUCTION, "reconstruction")

/* The enum, the array, the list. */
#define WORD_LISTS(X)                                                                              \
    X(ModelSize, model_size_words, MODEL_SIZE_WORDS)                                               \
    X(TargetKind, target_words, TARGET_WORDS)                                                      \
    X(ReadTarget, read_target_words, READ_TARGET_WORDS)                                            \
    X(MaskKind, mask_words, MASK_WORDS)                                                            \
    X(HeadKind, head_words, HEAD_WORDS)                                                            \
    X(PoolKind, pool_words, POOL_WORDS)                                                            \
    X(AugmentKind, augment_words, AUGMENT_WORDS)                                                   \
    X(EraseMode, erase_words, ERASE_WORDS)                                                         \
    X(MixMode, mix_words, MIX_WORDS)                                                               \
    X(OptimizerKind, optimizer_words, OPTIMIZER_WORDS)                                             \
    X(DeviceKind, device_words, DEVICE_WORDS)                                                      \
    X(Precision, precision_words, PRECISION_WORDS)                                                 \
    X(StatsKind, stats_words, STATS_WORDS)                                                         \
    X(TableFormat, table_format_words, TABLE_FORMAT_WORDS)                                         \
    X(FitKind, fit_words, FIT_WORDS)                                                               \
    X(BenchWhat, bench_what_words, BENCH_WHAT_WORDS)                                               \
    X(BenchTask, bench_task_words, BENCH_TASK_WORDS)                                               \
    X(Destination, destination_words, DESTINATION_WORDS)                                           \
    X(StoreType, store_words, STORE_WORDS)                                                         \
    X(HfNames, hf_names_words, HF_NAMES_WORDS)                                                     \
    X(ModelPart, part_words, PART_WORDS)
/* Choices of an option that are the beginning of a list above. */
#define WORD_CHOICES(X)                                                                            \
    X(head_pool_words, HEAD_POOL_WORDS)                                                            \
    X(train_augment_words, TRAIN_AUGMENT_WORDS)                                                    \
    X(user_device_words, USER_DEVICE_WORDS)

#define WORD_VALUE(value, word) value,
#define WORD_TEXT(value, word) word,
/* For lists of one room only: in its header, and in one of its files. */
#define WORDS_DECLARE(Enum, NAMES, WORDS)                                                          \
    typedef enum Enum { WORDS(WORD_VALUE) } Enum;                                                  \
    extern const char *const NAMES[];
#define WORDS_DEFINE(Enum, NAMES, WORDS) const char *const NAMES[] = {WORDS(WORD_TEXT) NULL};

WORD_LISTS(WORDS_DECLARE)
extern const char *const head_pool_words[];
extern const char *const train_augment_words[];
extern const char *const user_device_words[];

/* The place of a word in such an array, -1 when it is not there. */
int word_find(const char *const *words, const char *word);
/* "pixel, norm-pix, pca", for a message; cut where it does not fit. Returns buf. */
const char *words_text(const char *const *words, char *buf, size_t bytes);

#endif
