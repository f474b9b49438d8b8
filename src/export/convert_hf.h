/* The files beside the weights in a folder of Hugging Face transformers. */
#ifndef EXPORT_CONVERT_HF_H
#define EXPORT_CONVERT_HF_H

#include "checkpoint/checkpoint.h"

/* USAGE: the folder has files of these names that belong to another model or to a run. Files of
 * other names do not matter. */
Status convert_hf_check_folder(const char *folder, Error *err);

/* FOLDER/config.json (ViTMAEForPreTraining, ViTForImageClassification or ViTModel) and
 * FOLDER/preprocessor_config.json. dtype: F32, F16 or BF16. */
Status convert_hf_configs(const char *folder, const CheckpointFile *in, DType dtype, Error *err);

#endif
