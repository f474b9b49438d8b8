/* Writes the zip format of torch.save: a pickle of {"model": {name: tensor, ...}, "mae.c": {key:
 * text, ...}} and one stored file a tensor, aligned to 64 bytes as torch does. torch.load opens it,
 * also with weights_only. Format: torch/serialization.py; APPNOTE.TXT of PKWARE for zip. */
#ifndef FORMATS_TORCH_WRITE_H
#define FORMATS_TORCH_WRITE_H

#include "formats/safetensors.h"

/* dtype F32, F16, BF16, F64 or I64; data of the tensors is not looked at. Atomic. */
Status torch_write(const char *path, const NamedTensor *tensors, size_t n_tensors,
                   const MetaEntry *meta, size_t n_meta, TensorFill fill, void *user, Error *err);

#endif
