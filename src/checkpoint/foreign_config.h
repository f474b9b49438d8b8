/* What config.json beside weights of transformers or timm says of the computation beyond the
 * tensors: activations, the kind of model, the order of norms. */
#ifndef CHECKPOINT_FOREIGN_CONFIG_H
#define CHECKPOINT_FOREIGN_CONFIG_H

#include "base/json.h"
#include "checkpoint/checkpoint.h"

/* Is it the config.json of timm (architecture, pretrained_cfg, model_args)? */
bool foreign_is_timm(const json_t *config);
/* Writes why the model that c describes cannot be computed here. It also looks at the model's name
 * in training files (arch, args.model). config may be NULL. False: there is no reason. */
bool foreign_config_refusal(const CheckpointFile *c, const json_t *config, char *text,
                            size_t bytes);

#endif
