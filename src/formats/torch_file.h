/* Files that torch.save wrote: the zip format (torch 1.6 and later), the older stream of pickles
 * and storages, and bare pickles (numpy arrays and scalars). Nothing is executed and no tensor is
 * loaded. The pickle is read, and every tensor is a checked window on the source given. Formats:
 * the description in torch/serialization.py. */
#ifndef FORMATS_TORCH_FILE_H
#define FORMATS_TORCH_FILE_H

#include "base/file.h"
#include "base/status.h"
#include "formats/tensor_table.h"

/* `source` must outlive the table, which is left empty by a failure. FORMAT: damaged, or the pickle
 * names what is not data; UNSUPPORTED: another byte order, a TorchScript program; IO; MEMORY. */
Status torch_file_parse_zip(const ByteSource *source, TensorTable *out, Error *err);
/* Legacy or bare. */
Status torch_file_parse_pickle(const ByteSource *source, TensorTable *out, Error *err);

#endif
