/* Files that torch.save wrote, read in place: the zip format (torch 1.6 and later), the older
 * stream of pickles and storages, and bare pickles (numpy arrays and scalars). Nothing is executed
 * and no tensor is loaded: the pickle is read, and every tensor is a window, checked, on the bytes
 * given. Formats: torch/serialization.py, as a description. */
#ifndef FORMATS_TORCH_FILE_H
#define FORMATS_TORCH_FILE_H

#include "base/memory.h"
#include "base/status.h"
#include "base/tensor.h"
#include "formats/safetensors.h"

typedef struct StridedTensor {
    const char *name;
    DType dtype;
    Shape shape;
    int64_t stride[MAX_DIMS]; /* elements, not negative; 0 repeats */
    const uint8_t *data;      /* of the first element; may be unaligned */
} StridedTensor;

typedef struct TorchFile {
    const char *format; /* "torch zip", "torch legacy", "pickle" */
    StridedTensor *tensor;
    size_t n_tensors;
    MetaEntry *meta; /* scalars as text */
    size_t n_meta;
    Arena *arena; /* names and texts */
} TorchFile;

/* `data` must outlive the object; `path` only names it in messages. FORMAT: damaged, or the pickle
 * names what is not data; UNSUPPORTED: another byte order, a TorchScript program; MEMORY. */
Status torch_file_parse_zip(const char *path, const uint8_t *data, size_t bytes, TorchFile *out,
                            Error *err);
Status torch_file_parse_pickle(const char *path, const uint8_t *data, size_t bytes, TorchFile *out,
                               Error *err); /* legacy or bare */
void torch_file_close(TorchFile *f);        /* accepts a zeroed one */

#endif
