/* Models of a few thousand weights with inputs, for tests of graphs and gradients. */
#ifndef SMALL_MODEL_H
#define SMALL_MODEL_H

#include "model/autoencoder.h"

/* 8 x 12 images, patches of 4. */
ModelConfig small_config(int64_t channels, TargetKind target, bool mask_token_in_encoder);
/* New on the device, every weight moved away from its first value. Aborts on failure. */
Vit *small_model(Device *d, const ModelConfig *c); /* SUMMED gradients */
Vit *small_vit(Device *d, const ModelConfig *c, ParamGradients gradients);
/* Keeps half of the patches; float images. Not planned. */
AutoencoderGraph small_graph(Vit *a, ForwardKind kind, int64_t batch);
/* Random images and masks, the same for the same seed. */
void small_feed(const Vit *a, AutoencoderGraph *g, uint64_t seed);
/* One forward and backward pass into zeroed gradients; returns the loss. */
float small_step(Vit *a, AutoencoderGraph *g);
/* All gradients one after the other; free() it. */
float *small_gradients(const Vit *a, int64_t *n);

#endif
