/* From options to objects, for every job: model configuration, augmentation, data. */
#ifndef JOBS_SETUP_H
#define JOBS_SETUP_H

#include "checkpoint/checkpoint.h"
#include "options/options.h"
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
/* --keep "3,17,20" into the mask of image 0 of m, in which nothing has been drawn: each once, all
 * in [0, P). */
Status setup_keep(const char *text, Masks *m, Error *err);
/* Opens the images of --data, at most --limit of them. Here and below the search for images ends
 * with INTERRUPTED when a stop is asked for. UNSUPPORTED: channels is not 1 or 3. */
Status setup_dataset(const MaeOptions *o, int64_t channels, Dataset **out, Error *err);
/* The training images of supervised training: --data, or what --val-share leaves of it. */
Status setup_train_set(const MaeOptions *o, int64_t channels, Dataset **out, Error *err);
/* The images of --val, or those that --val-share holds out of --data; at most --val-limit. */
Status setup_val_set(const MaeOptions *o, int64_t channels, Dataset **out, Error *err);
/* Adds what fine-tuning does to images: RandAugment or colour jitter, erasing. */
Status setup_labelled_augment(const MaeOptions *o, Augment *a, Error *err);
/* How features and pictures see an image: resized and cropped at the centre. Nothing is done when
 * the first readable image already has the model's size (CIFAR). EMPTY: none can be read. */
Status setup_eval_augment(Dataset *d, const ModelConfig *c, Augment *out, Error *err);
/* A pass over all images of d as features and evaluation see them, without corruptions. */
Status setup_eval_job(const MaeOptions *o, const ModelConfig *c, Dataset *d, const char *phase,
                      Comm *comm, SessionJob *out, Error *err);
/* Opens the images that the words of the command line name, as dataset_open_words does. */
Status setup_given(const MaeOptions *o, int64_t channels, Dataset **out, Error *err);
/* A pass over them, each as setup_eval_image sees it. What cannot be read is an error in the log,
 * and the others go on. */
SessionJob setup_given_job(const MaeOptions *o, const ModelConfig *c, Dataset *d,
                           const char *phase);
/* Reads one file into pixels[h*w*C], prepared as above. max_pixels is that of image.h. *notes says
 * what decoding left out; notes may be NULL. */
Status setup_eval_image(const char *path, const ModelConfig *c, int64_t max_pixels, uint8_t *pixels,
                        unsigned *notes, Error *err);
/* The training loader of a process that works alone. */
LoaderOptions setup_loader(const MaeOptions *o, const ModelConfig *c);

#endif
