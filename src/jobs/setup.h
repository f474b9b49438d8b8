/* From options to objects, for every job: model configuration, augmentation, data. */
#ifndef JOBS_SETUP_H
#define JOBS_SETUP_H

#include "checkpoint/checkpoint.h"
#include "mae.h"
#include "infer/session.h"
#include "model/autoencoder.h"
#include "train/events.h"

/* Preset with overrides; checked. */
Status setup_model_config(const MaeOptions *o, ModelConfig *c, Error *err);
/* The decoder of that preset, with overrides. */
void setup_decoder(const MaeOptions *o, ModelConfig *c);
/* The name of the preset, or "custom" where its width, depth or heads were changed. */
void setup_notes(const MaeOptions *o, const ModelConfig *c, CheckpointNotes *notes);
/* --heads, --decoder-heads, --target and --prefix of commands that read a checkpoint. */
CheckpointHints setup_hints(const MaeOptions *o);
/* --mask and --mask-ratio. */
MaskRule setup_mask(const MaeOptions *o);
/* The images of --data, --limit of them. Here and below, looking for images is given up when *stop
 * is not 0; stop may be NULL. */
Status setup_dataset(const MaeOptions *o, int64_t channels, const volatile int *stop, Dataset **out,
                     Error *err);
/* The training images of supervised training: --data, or what --val-share leaves of it. */
Status setup_train_set(const MaeOptions *o, int64_t channels, const volatile int *stop,
                       Dataset **out, Error *err);
/* The images of --val, or that --val-share holds out, --val-limit of them. */
Status setup_val_set(const MaeOptions *o, int64_t channels, const volatile int *stop, Dataset **out,
                     Error *err);
/* Adds what fine-tuning does to images: RandAugment or colour jitter, erasing. */
Status setup_labelled_augment(const MaeOptions *o, Augment *a, Error *err);
/* What features and pictures see: resize and centre crop, or nothing when the first image that can
 * be read has the model's size already (CIFAR). EMPTY: none can. */
Status setup_eval_augment(Dataset *d, const ModelConfig *c, Augment *out, Error *err);
/* A pass over the images of d as features and evaluation see them, without corruptions. */
Status setup_eval_job(const MaeOptions *o, const ModelConfig *c, Dataset *d, const char *phase,
                      const MaeEvents *events, Comm *comm, SessionJob *out, Error *err);
/* As setup_eval_augment for one file, into pixels[h*w*C]; max_pixels as in image.h; *notes (may be
 * NULL): those of the image. */
Status setup_eval_image(const char *path, const ModelConfig *c, int64_t max_pixels, uint8_t *pixels,
                        unsigned *notes, Error *err);
/* The loader of one process that takes all. */
LoaderOptions setup_loader(const MaeOptions *o, const ModelConfig *c);

#endif
