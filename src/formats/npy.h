/* NumPy .npy. Version 1.0, little-endian C order, is written row by row, so that the number of rows
 * need not fit in memory. Versions 1 to 3 are read, of any order and of all types of numbers. */
#ifndef FORMATS_NPY_H
#define FORMATS_NPY_H

#include <stdbool.h>

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

/* An array in a file in memory. */
typedef struct NpyArray {
    DType dtype;
    bool big_endian, fortran_order; /* Fortran order: the first index runs fastest */
    Shape shape;
    int64_t n;           /* elements, 0 where a size is 0 */
    const uint8_t *data; /* in the file, at any address */
} NpyArray;
bool npy_is(const uint8_t *bytes, size_t n); /* by the first bytes */
/* Takes no memory. FORMAT: damaged, or shorter than the shape says. UNSUPPORTED: elements that are
 * not numbers of up to 8 bytes, another version. name is for messages. */
Status npy_parse(const char *name, const uint8_t *bytes, size_t n, NpyArray *out, Error *err);

#endif
