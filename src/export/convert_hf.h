/* The files beside the weights in a folder of Hugging Face transformers. */
#ifndef EXPORT_CONVERT_HF_H
#define EXPORT_CONVERT_HF_H

#include "checkpoint/checkpoint.h"

/* USAGE when the folder holds files of these names that are not of such a model: another model's,
 * or a run's. Others are no concern. */
Status convert_hf_check_folder(const char *folder, Error *err);

/* FOLDER/config.json (ViTMAEForPreTraining, ViTForImageClassification or ViTModel) and
 * FOLDER/preprocessor_config.json. dtype: F32, F16 or BF16. */
Status convert_hf_configs(const char *folder, const CheckpointFile *in, DType dtype, Error *err);

#endif
