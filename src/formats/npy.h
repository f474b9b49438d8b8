/* NumPy .npy version 1.0, little-endian C order: written row by row, so that the number of rows
 * need not fit in memory. */
#ifndef FORMATS_NPY_H
#define FORMATS_NPY_H

#include "base/status.h"
#include "base/tensor.h"

typedef struct NpyWriter NpyWriter;
/* F32 only; shape[0] is what will be written. */
Status npy_writer_open(const char *path, Shape shape, NpyWriter **out, Error *err);
Status npy_writer_append(NpyWriter *w, const float *values, int64_t n, Error *err);
/* `rows` are written instead of shape[0]; before the commit. */
Status npy_writer_set_rows(NpyWriter *w, int64_t rows, Error *err);
/* Fails unless exactly shape_numel values were appended. */
Status npy_writer_commit(NpyWriter *w, Error *err);
void npy_writer_close(NpyWriter *w); /* accepts NULL */

#endif
