/* What the config.json beside weights of transformers or timm says about the computation that
 * tensors do not show: activations, the kind of model, the order of norms. */
#ifndef CHECKPOINT_FOREIGN_CONFIG_H
#define CHECKPOINT_FOREIGN_CONFIG_H

#include "base/json.h"
#include "checkpoint/checkpoint.h"

/* Is it the config.json of timm (architecture, pretrained_cfg, model_args)? */
bool foreign_is_timm(const json_t *config);
/* Why the model that c describes cannot be computed here; config may be NULL. Looks also at the
 * name of the model in training files (arch, args.model). False: nothing stands against it. */
bool foreign_config_refusal(const CheckpointFile *c, const json_t *config, char *text,
                            size_t bytes);

#endif
