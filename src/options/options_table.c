/* The option table: parser, help and config.json all come from here. A row says what the option is
 * called, where it lives in MaeOptions, which commands know it, its default and its range. Defaults
 * are the published recipe. Two rows may share a name when no command knows both. */
#include "options/options.h"

#include <stddef.h>

#include "base/words.h"

#define COUNT (sizeof TABLE / sizeof *TABLE)
#define BIG 1e15

#define PRE COMMAND_PRETRAIN
#define REC COMMAND_RECONSTRUCT
#define KNN COMMAND_KNN
#define FEA COMMAND_FEATURES
#define BEN COMMAND_BENCH
#define INF COMMAND_INFO
#define FIN COMMAND_FINETUNE
#define PRO COMMAND_PROBE
#define EVA COMMAND_EVAL
#define CLA COMMAND_CLASSIFY
#define CON COMMAND_CONVERT
#define NEI COMMAND_NEIGHBOURS
#define IMG COMMAND_IMAGE
#define MOD COMMAND_MODEL
#define SES COMMAND_SESSION
#define RDS (REC | KNN | FEA | NEI | EVA | CLA | INF | CON | MOD) /* reads a checkpoint */
#define SUP (FIN | PRO)                                           /* supervised training */
#define TRA (PRE | SUP)                                           /* training */

#define AT(field) offsetof(MaeOptions, field)
#define ROW(name, type, field, commands, fallback, min, max, choices, group, argument, help)       \
    { {name, type, 0, 0, fallback, min, max, choices, group, argument, help}, AT(field), commands }
#define SWITCH(name, field, commands, fallback, group, help)                                       \
    ROW(name, MAE_OPTION_SWITCH, field, commands, fallback, 0, 1, NULL, group, "", help)
#define INT(name, field, commands, fallback, min, max, group, help)                                \
    ROW(name, MAE_OPTION_INTEGER, field, commands, fallback, min, max, NULL, group, "N", help)
#define REAL_(name, field, commands, fallback, min, max, group, help)                              \
    ROW(name, MAE_OPTION_REAL, field, commands, fallback, min, max, NULL, group, "X", help)
#define LIMIT(name, field, commands, group, help)                                                  \
    ROW(name, MAE_OPTION_LIMIT, field, commands, "0", 0, BIG, NULL, group, "N|first:N", help)
#define TEXT(name, field, commands, group, argument, help)                                         \
    ROW(name, MAE_OPTION_TEXT, field, commands, NULL, 0, 0, NULL, group, argument, help)
#define CHOICE(name, field, commands, fallback, choices, group, help)                              \
    ROW(name, MAE_OPTION_CHOICE, field, commands, fallback, 0, 0, choices, group, "WORD", help)
#define SIZE(name, field, commands, fallback, group, help)                                         \
    ROW(name, MAE_OPTION_SIZE, field, commands, fallback, 1, 65536, NULL, group, "HxW", help)
/* Files that a job writes; one OF_TEXT may be looked at on a terminal. */
#define OUTPUT(name, field, commands, output, group, argument, help)                               \
    {                                                                                              \
        {name, MAE_OPTION_TEXT, 0, output, NULL, 0, 0, NULL, group, argument, help}, AT(field),    \
            commands                                                                               \
    }
enum { OF_BYTES = 1, OF_TEXT = 2 };
/* Words of the command line without a name, in this order. */
#define POSITIONAL(name, type, field, commands, output, fallback, choices, argument, help)         \
    {                                                                                              \
        {name, type, 1, output, fallback, 0, 0, choices, "Words", argument, help}, AT(field),      \
            commands                                                                               \
    }
#define POSITIONAL_LIST(name, field, commands, argument, help)                                     \
    {                                                                                              \
        {name, MAE_OPTION_LIST, 2, 0, NULL, 0, 0, NULL, "Words", argument, help}, AT(field),       \
            commands                                                                               \
    }

static const OptionRow TABLE[] = {
    /* files */
    TEXT("data", data, TRA | KNN | FEA | NEI | BEN, "Data", "SRC",
         "images: a folder, list:, tar:, cifar10:, cifar100:, tiles: or synthetic: "
         "source; the training split, where there are two"),
    TEXT("val", val, KNN | EVA, "Data", "SRC",
         "labelled images to classify; the test split, where there are two"),
    TEXT("val", val, SUP, "Data", "SRC",
         "labelled images to validate with after every epoch; the test split, where there are two"),
    REAL_("val-share", val_share, SUP, "0", 0, 0.9, "Data",
          "hold out this share of --data, drawn by --seed, instead of --val"),
    TEXT("out", out, TRA, "Run", "RUN",
         "run folder: a new or empty one, or one that holds a run of this command"),
    OUTPUT("out", out, REC, OF_BYTES, "Picture", "PNG", "picture to write; - is standard output"),
    OUTPUT("out", out, NEI, OF_BYTES, "Picture", "PNG",
           "picture to write: a row an image, its neighbours beside it; - is standard output"),
    OUTPUT(
        "out", out, FEA, OF_BYTES, "Features", "FILE",
        "table to write: FILE.npy, whose rows FILE.txt names, or FILE.csv with names in it; - is "
        "standard output, a .npy without names unless --format says csv"),
    TEXT("model", checkpoint, REC | KNN | FEA | NEI | EVA | CLA, "Model", "CKPT",
         "checkpoint to use: a file, a run folder, or a folder of another tool"),
    TEXT("init", init, PRE, "Model", "CKPT",
         "start from these weights, whose sizes are taken (new optimiser state)"),
    SWITCH("continue", continue_run, PRE, "false", "Model",
           "go on with the optimiser and epoch of --init, a training checkpoint of the published "
           "code"),
    TEXT("init", init, FIN, "Model", "CKPT",
         "checkpoint whose encoder is fine-tuned, or none: from scratch"),
    TEXT("init", init, PRO, "Model", "CKPT", "checkpoint whose encoder is probed, or none"),
    SWITCH("restart", restart, TRA, "false", "Run", "begin anew in a folder that holds a run"),
    SWITCH("accept-changes", accept_changes, TRA, "false", "Run",
           "go on with a run although options or data that decide what it learns have changed"),
    /* model */
    CHOICE("model", model, PRE | BEN, "vit_base", model_size_words, "Model", "size of the model"),
    CHOICE("model", model, SUP, "vit_base", model_size_words, "Model",
           "size of the model, with --init none; otherwise the checkpoint says it"),
    SIZE("image-size", image_size, PRE | BEN, "224", "Model",
         "image height and width, multiples of the patch"),
    SIZE("image-size", image_size, SUP, NULL, "Model",
         "image height and width (as in the checkpoint, else 224); positions are interpolated"),
    INT("patch", patch, PRE | BEN | SUP, NULL, 1, 65536, "Model", "patch size (16; vit_huge 14)"),
    INT("channels", channels, PRE | BEN | SUP, "3", 1, 64, "Model", "image channels"),
    INT("channels", channels, IMG, "3", 1, 3, "Data", "3: RGB, 1: grey"),
    INT("embed-dim", embed_dim, PRE | BEN | SUP, NULL, 4, 65536, "Model",
        "encoder width (by model or --init)"),
    INT("depth", depth, PRE | BEN | SUP, NULL, 1, 1000, "Model", "encoder blocks (by model)"),
    INT("heads", heads, PRE | BEN | SUP, NULL, 1, 4096, "Model", "encoder heads (by model)"),
    INT("heads", heads, RDS, NULL, 1, 4096, "Model",
        "encoder heads, where a checkpoint of another tool does not say"),
    INT("decoder-heads", decoder_heads, RDS, NULL, 1, 4096, "Model",
        "decoder heads, where a checkpoint of another tool does not say"),
    TEXT("prefix", prefix, RDS | TRA, "Model", "NAME",
         "which model of a checkpoint of another tool that holds several, as mae info lists them"),
    CHOICE("target", read_target, REC | CON | INF | MOD, "as-said", read_target_words, "Model",
           "what the decoder predicts, where a checkpoint of another tool does not say"),
    TEXT("mean", pixel_mean, RDS | TRA, "Model", "LIST",
         "mean of pixels from 0 to 1 that is subtracted, one number or one a channel, as "
         "0.485,0.456,0.406 (as the checkpoint says; from scratch ImageNet's)"),
    TEXT("std", pixel_std, RDS | TRA, "Model", "LIST",
         "deviation of pixels that they are divided by, likewise"),
    REAL_("mlp-ratio", mlp_ratio, PRE | BEN | SUP, "4", 0.01, 64, "Model", "MLP width over width"),
    INT("decoder-embed-dim", decoder_embed_dim, PRE | BEN, NULL, 4, 65536, "Model",
        "decoder width (by model)"),
    INT("decoder-depth", decoder_depth, PRE | BEN, NULL, 1, 1000, "Model",
        "decoder blocks (by model)"),
    INT("decoder-heads", decoder_heads, PRE | BEN, NULL, 1, 4096, "Model",
        "decoder heads (by model)"),
    /* masking and target */
    REAL_("mask-ratio", mask_ratio, PRE | BEN, "0.75", 0, 1, "Masking and target",
          "share of patches removed"),
    REAL_("mask-ratio", mask_ratio, REC | SES, NULL, 0, 1, "Masking and target",
          "share of patches removed (as in training)"),
    CHOICE("mask", mask, PRE | REC | BEN | SES, "random", mask_words, "Masking and target",
           "which patches are removed"),
    CHOICE("target", target, PRE | BEN, "norm-pix", target_words, "Masking and target",
           "what is predicted"),
    INT("pca-components", pca_components, PRE | BEN, "96", 1, 65536, "Masking and target",
        "coefficients predicted by --target pca"),
    INT("pca-images", pca_images, PRE, "512", 1, BIG, "Masking and target",
        "images that the components are fitted to"),
    SWITCH("mask-token-in-encoder", mask_token_in_encoder, PRE | BEN, "false", "Masking and target",
           "the encoder sees mask tokens (paper, Table 1c)"),
    TEXT("keep", keep_patches, REC | SES, "Masking and target", "I,J,...",
         "keep exactly these patches, counted from 0 row by row"),
    SWITCH("paste", paste, REC | SES, "false", "Picture", "show visible patches as they are"),
    CHOICE("stats", stats, REC | SES, "true", stats_words, "Picture",
           "norm-pix: patch mean and deviation from the image itself, or interpolated from the "
           "visible patches"),
    /* what is trained */
    REAL_(
        "tune-blocks", tune_blocks, FIN, NULL, 0, 1000, "Model",
        "train the last K blocks only, with the final norm and the head; a half is the MLP half of "
        "a block (all, and everything before)"),
    CHOICE("pool", head_pool, FIN, "mean", head_pool_words, "Model",
           "mean of the patch tokens, or cls token"),
    CHOICE("pool", head_pool, PRO, "cls", head_pool_words, "Model",
           "mean of the patch tokens, or cls token"),
    REAL_("drop-path", drop_path, FIN, NULL, 0, 0.99, "Model",
          "stochastic depth of the last block, rising from 0 (0.1; vit_large 0.2, vit_huge 0.3)"),
    /* data */
    CHOICE("augment", augment, PRE | FIN | BEN, "crop", train_augment_words, "Data",
           "augmentation"),
    CHOICE("augment", augment, PRO, "crop-once", train_augment_words, "Data", "augmentation"),
    REAL_("min-scale", min_scale, PRE | BEN, "0.2", 0.0001, 1, "Data",
          "smallest area of a random crop"),
    REAL_("min-scale", min_scale, SUP, "0.08", 0.0001, 1, "Data", "smallest area of a random crop"),
    TEXT("randaugment", randaugment, FIN, "Data", "SPEC",
         "RandAugment, as m9-n2-mstd0.5-inc1, or none (m9-n2-mstd0.5-inc1)"),
    REAL_("color-jitter", color_jitter, FIN, "0", 0, 1, "Data",
          "strength of brightness, contrast and saturation jitter, without RandAugment"),
    REAL_("erase-prob", erase_prob, FIN, NULL, 0, 1, "Data",
          "share of images with a rectangle erased (0.25; from scratch 0)"),
    CHOICE("erase-mode", erase_mode, FIN, "pixel", erase_words, "Data",
           "erased with noise, with one random colour, or with the mean"),
    REAL_("mixup", mixup, FIN, "0.8", 0, 100, "Data", "alpha of mixup (0 = off)"),
    REAL_("cutmix", cutmix, FIN, "1", 0, 100, "Data", "alpha of cutmix (0 = off)"),
    REAL_("mix-prob", mix_prob, FIN, "1", 0, 1, "Data", "share of batches mixed"),
    REAL_("mix-switch-prob", mix_switch_prob, FIN, "0.5", 0, 1, "Data",
          "share of mixed batches that take cutmix, where both are on"),
    CHOICE("mix-mode", mix_mode, FIN, "batch", mix_words, "Data",
           "one draw for a batch, for each pair, or for each image"),
    REAL_("label-smoothing", label_smoothing, FIN, "0.1", 0, 0.999, "Data", "label smoothing"),
    INT("repeat", repeat, TRA | BEN, "1", 1, 1e9, "Data", "crops of every image in an epoch"),
    INT("workers", workers, TRA | REC | KNN | FEA | NEI | BEN | EVA | CLA, NULL, 0, 256, "Data",
        "loader threads (as many as processors, at most 8)"),
    INT("cache-mb", cache_mb, TRA | KNN | FEA | NEI | BEN | EVA, "512", 0, 1e9, "Data",
        "memory for decoded images, MB"),
    INT("max-side", max_side, TRA | KNN | FEA | NEI | BEN | EVA, "0", 0, 65536, "Data",
        "shrink images on loading to at most this shorter side (0 = off)"),
    INT("max-pixels", max_pixels, TRA | REC | KNN | FEA | NEI | BEN | EVA | CLA | CON | IMG,
        "178956970", 1, 2147483647, "Data",
        "refuse images whose header announces more pixels, before there is memory for them"),
    INT("max-entries", max_entries, TRA | REC | KNN | FEA | NEI | BEN | EVA | CLA, "100000000", 1,
        BIG, "Data",
        "refuse a list: with more images, and a tar: whose shards have more entries together"),
    SWITCH(
        "fast-decode", fast_decode, TRA | BEN, "false", "Data",
        "decode JPEG at a half, quarter or eighth where the crop is shrunk as much: pixels of such "
        "crops differ, by about 4 of 255; no effect on other formats; no --cache-mb"),
    SWITCH(
        "strict", strict, TRA | KNN | FEA | NEI | EVA, "false", "Data",
        "an unreadable image is an error; otherwise it is named, counted and left out, or another "
        "takes its place in training"),
    SWITCH(
        "accept-overlap", accept_overlap, KNN | SUP | EVA, "false", "Data",
        "images of --val may be in --data, too, or for eval in the data that the model was trained "
        "on; otherwise that is an error"),
    LIMIT(
        "limit", limit, TRA | KNN | FEA | NEI, "Data",
        "N images of --data, drawn by --seed, of every class its share; or the first N (0 = all)"),
    LIMIT("val-limit", val_limit, KNN | SUP | EVA, "Data",
          "N images of --val (or held out by --val-share), drawn by --seed, of every class its "
          "share; or the first N (0 = all)"),
    SWITCH("cache-features", cache_features, PRO, "false", "Data",
           "run the encoder once and train on its features; needs --augment none"),
    /* training */
    INT("epochs", epochs, PRE, "800", 1, 1e9, "Training", "epochs"),
    INT("epochs", epochs, FIN, NULL, 1, 1e9, "Training",
        "epochs (100, from vit_large on 50; from scratch 300 and 200)"),
    INT("epochs", epochs, PRO, "90", 1, 1e9, "Training", "epochs"),
    INT("steps", steps, TRA, "0", 0, BIG, "Training", "end after this many updates (0 = epochs)"),
    INT("batch", batch, PRE | FIN | BEN, "64", 1, 65536, "Training",
        "images in a micro-batch, of each process"),
    INT("batch", batch, PRO, "512", 2, 65536, "Training",
        "images in a micro-batch, whose statistics the batch norm takes"),
    INT("accumulate", accumulate, TRA, "1", 1, 65536, "Training", "micro-batches in an update"),
    SWITCH("shard-optimizer", shard_optimizer, PRE | FIN, "false", "Training",
           "with several processes, each keeps and updates only its part of the optimiser's state"),
    REAL_("peer-timeout", peer_timeout, TRA, "600", 0, BIG, "Run",
          "with several processes, end the job when one has not answered for so many seconds "
          "(0 = wait for ever)"),
    SWITCH("sync-batchnorm", sync_batchnorm, PRO, "true", "Training",
           "with several processes, the batch norm takes the statistics of all of them"),
    CHOICE("optimizer", optimizer, PRO, "lars", optimizer_words, "Training", "optimiser"),
    REAL_("base-lr", base_lr, PRE, "1.5e-4", 0, 1000, "Training",
          "learning rate for 256 images an update"),
    REAL_(
        "base-lr", base_lr, FIN, NULL, 0, 1000, "Training",
        "learning rate for 256 images an update (5e-4, from vit_large on 1e-3; from scratch 1e-4)"),
    REAL_("base-lr", base_lr, PRO, "0.1", 0, 1000, "Training",
          "learning rate for 256 images an update"),
    REAL_("lr", lr, TRA, NULL, 0, 1000, "Training", "peak learning rate (base-lr x batch / 256)"),
    REAL_("warmup-epochs", warmup_epochs, PRE, "40", 0, 1e9, "Training", "linear warm-up"),
    REAL_("warmup-epochs", warmup_epochs, FIN, NULL, 0, 1e9, "Training",
          "linear warm-up (5; from scratch 20)"),
    REAL_("warmup-epochs", warmup_epochs, PRO, "10", 0, 1e9, "Training", "linear warm-up"),
    REAL_("min-lr", min_lr, PRE | PRO, "0", 0, 1000, "Training", "learning rate at the end"),
    REAL_("min-lr", min_lr, FIN, NULL, 0, 1000, "Training",
          "learning rate at the end (1e-6; from scratch 0)"),
    REAL_("layer-decay", layer_decay, FIN, NULL, 0.01, 1, "Training",
          "rate of a layer over that of the next (0.65, from vit_large on 0.75; from scratch 1)"),
    REAL_("weight-decay", weight_decay, PRE, "0.05", 0, 1000, "Training", "AdamW weight decay"),
    REAL_("weight-decay", weight_decay, FIN, NULL, 0, 1000, "Training",
          "AdamW weight decay (0.05; from scratch 0.3)"),
    REAL_("weight-decay", weight_decay, PRO, "0", 0, 1000, "Training", "weight decay"),
    REAL_("beta1", beta1, TRA, "0.9", 0, 0.999999, "Training", "AdamW beta 1"),
    REAL_("beta2", beta2, PRE, "0.95", 0, 0.999999, "Training", "AdamW beta 2"),
    REAL_("beta2", beta2, FIN, NULL, 0, 0.999999, "Training",
          "AdamW beta 2 (0.999; from scratch 0.95)"),
    REAL_("beta2", beta2, PRO, "0.999", 0, 0.999999, "Training", "AdamW beta 2"),
    REAL_("momentum", momentum, PRO, "0.9", 0, 0.999999, "Training", "of LARS and SGD"),
    REAL_("ema", ema, FIN, NULL, 0, 0.9999999, "Training",
          "decay of averaged weights, validated beside the others (0 = off; from scratch 0.9999)"),
    REAL_("clip-grad", clip_grad, TRA, "0", 0, BIG, "Training", "largest gradient norm (0 = off)"),
    INT("seed", seed, TRA | REC | BEN | EVA | CON | SES, "0", 0, BIG, "Training",
        "seed of everything random"),
    INT("seed", seed, KNN | FEA | NEI, "0", 0, BIG, "Data", "seed of what --limit draws"),
    INT("save-every", save_every, PRE, "20", 1, 1e9, "Run", "epochs between checkpoints"),
    INT("save-every", save_every, SUP, "10", 1, 1e9, "Run", "epochs between numbered checkpoints"),
    INT("eval-every", eval_every, SUP, "1", 1, 1e9, "Run", "epochs between validations"),
    SWITCH("async-save", async_save, TRA, "true", "Run",
           "write checkpoints, from a copy, while training goes on"),
    INT("keep", keep, TRA, "2", 1, 1e9, "Run", "numbered checkpoints kept"),
    INT("log-every", log_every, TRA, "10", 1, 1e9, "Run", "updates between lines of log.jsonl"),
    /* features, knn */
    CHOICE("pool", pool, KNN | NEI | SES, "mean", head_pool_words, "Features",
           "mean of patch tokens, or cls"),
    CHOICE("pool", pool, FEA, "mean", pool_words, "Features",
           "mean of patch tokens, cls, or all tokens (cls first)"),
    INT("block", block, FEA | NEI | SES, "0", 0, 1000, "Features",
        "what block N puts out, counted from 1, without the final norm (0 = the end)"),
    OUTPUT(
        "attention", attention, FEA, OF_BYTES, "Features", "PNG",
        "picture of where the cls token looks, a row an image, a panel a head (at most 16 images)"),
    CHOICE(
        "fit", fit, SES, "auto", fit_words, "Features",
        "how images of other sizes become the model's: the middle of the shrunk image (crop), the "
        "whole image (stretch), or an error (none); auto is what the command does"),
    CHOICE("format", table_format, FEA, "by-name", table_format_words, "Features",
           "of --out: what its name ends in, or of a name without an ending, as -, npy"),
    INT("k", k, NEI, "8", 1, 100000, "Features", "neighbours of each image"),
    INT("k", k, KNN, "20", 1, 100000, "Features", "neighbours"),
    REAL_("temperature", temperature, KNN, "0.07", 1e-6, 1e6, "Features",
          "votes are weighted exp(cosine / temperature)"),
    /* eval, classify */
    INT("batch", batch, EVA, "64", 1, 65536, "Evaluation", "images at a time"),
    TEXT("classes", classes, EVA, "Evaluation", "FILE",
         "classes that count, a line each: NAME, NAME<TAB>NUMBER or NUMBER"),
    TEXT("corruptions", corruptions, EVA, "Evaluation", "LIST",
         "the corruptions of ImageNet-C, each at 5 severities: all, or names joined by commas of "
         "gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, "
         "zoom_blur, snow, frost, fog, brightness, contrast, elastic_transform, pixelate, "
         "jpeg_compression"),
    TEXT("baseline", baseline, EVA, "Evaluation", "NAME",
         "what the corruption error is relative to: alexnet (published, of ImageNet's 1000 "
         "classes), none, or a file that `mae eval --corruptions all --json` printed (alexnet "
         "with those classes, else none)"),
    OUTPUT("confusion", confusion, EVA, OF_TEXT, "Evaluation", "FILE.csv",
           "write how often each class was taken for which; - is standard output"),
    CHOICE("to", to, CON, "official", destination_words, "Conversion", "what it is for"),
    CHOICE("dtype", dtype, CON, "f32", store_words, "Conversion",
           "type of the weights; i8 (with a scale a row) for onnx only"),
    CHOICE("part", part, CON, "auto", part_words, "Conversion",
           "onnx: what the graph computes; auto is the classifier, where there is one, or the "
           "encoder"),
    INT("batch", fixed_batch, CON, "0", 0, 65536, "Conversion", "onnx: images at a time (0 = any)"),
    CHOICE("hf-names", hf_names, CON, "v4", hf_names_words, "Conversion",
           "spelling of transformers before or from version 5, which reads both"),
    TEXT("verify", verify, CON, "Conversion", "IMAGE",
         "run both on this image and print the difference"),
    INT("top", top, CLA, "5", 1, 1000, "Output", "classes shown"),
    /* machine and output */
    CHOICE("task", task, BEN, "pretrain", bench_task_words, "Run",
           "whose step is measured: of pre-training, of fine-tuning (1000 classes, the published "
           "recipe), or features of whole images (forward only)"),
    INT("repetitions", repetitions, BEN, "5", 1, 1000, "Run", "timed repetitions"),
    CHOICE("device", device, TRA | REC | KNN | FEA | NEI | BEN | EVA | CLA | MOD, "cpu",
           user_device_words, "Machine", "cpu, or ref: the plain reference loops"),
    CHOICE("precision", precision, TRA | BEN | MOD, "fp32", precision_words, "Machine",
           "of activations; bf16 with --device ref"),
    INT("threads", threads, TRA | REC | KNN | FEA | NEI | BEN | EVA | CLA | CON | MOD, "0", 0, 4096,
        "Machine", "compute threads (0 = OMP_NUM_THREADS, or all processors)"),
    SWITCH("json", json, TRA | REC | KNN | FEA | NEI | BEN | INF | EVA | CLA | CON, "false",
           "Output", "one JSON object on standard output"),
    SWITCH("quiet", quiet, TRA | REC | KNN | FEA | NEI | BEN | INF | EVA | CLA | CON, "false",
           "Output", "errors only on standard error"),
    /* words without a name */
    POSITIONAL_LIST("images", images, REC | NEI | CLA, "IMAGE",
                    "an image, a folder of them, or another source as of --data; - is a list of "
                    "paths on standard input, one a line"),
    POSITIONAL("what", MAE_OPTION_CHOICE, what, BEN, 0, NULL, bench_what_words, "WHAT",
               "a whole step, the kernels it is made of, or the loader"),
    POSITIONAL("in", MAE_OPTION_TEXT, in, CON, 0, NULL, NULL, "IN", "checkpoint to read"),
    POSITIONAL("out", MAE_OPTION_TEXT, out, CON, OF_BYTES, NULL, NULL, "OUT",
               "file or folder to write; - is standard output"),
    POSITIONAL("file", MAE_OPTION_TEXT, file, INF, 0, NULL, NULL, "FILE", "checkpoint to describe"),
};

_Static_assert(COUNT <= OPTION_ROWS, "OPTION_ROWS is too small");

const OptionRow *option_table(size_t *count) {
    *count = COUNT;
    return TABLE;
}
