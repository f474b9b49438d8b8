/* The mean and deviation with which pixels (from 0 to 1) are normalised: as text (--mean, --std,
 * config.json of a run), and as other tools write them beside their weights. */
#ifndef CHECKPOINT_STATISTICS_H
#define CHECKPOINT_STATISTICS_H

#include "base/json.h"
#include "model/vit.h"

#define STATISTICS_TEXT_BYTES (MAX_CHANNELS * 20)

/* "0.485,0.456,0.406": a value a channel; reading it gives the same floats back. */
void statistics_print(const float *v, int64_t channels, char text[STATISTICS_TEXT_BYTES]);
/* Sets c from the texts of --mean and --std; NULL leaves it as it is. USAGE: neither one value nor
 * one for each channel, no number, a deviation that is not positive, or values of 0 to 255. */
Status statistics_set(const char *mean, const char *std, ModelConfig *c, Error *err);
/* ImageNet's for three channels; one half and one quarter for others. */
void statistics_default(ModelConfig *c);
bool statistics_equal(const ModelConfig *a, const ModelConfig *b);

/* Each sets c from a file: preprocessor_config.json of transformers (image_mean, image_std,
 * do_normalize, do_rescale, rescale_factor), config.json of timm (mean, std in pretrained_cfg or
 * beside architecture), the configuration that mmengine keeps in a training file
 * (data_preprocessor). False: it does not say them, or not in a way that can be taken; c stays as
 * it was. */
bool statistics_of_preprocessor(const json_t *preprocessor, ModelConfig *c);
bool statistics_of_timm(const json_t *config, ModelConfig *c);
bool statistics_of_mmengine(const char *configuration, ModelConfig *c);

#endif
