/* The .npy header is a Python dictionary literal, padded with blanks so that the data starts at a
 * multiple of 64 bytes. Format: NumPy Enhancement Proposal 1, version 1.0. */
#include "formats/npy.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

struct NpyWriter {
    FileWriter *file;
    char *path;
    Shape shape;
    int64_t written;
};

/* Fills a header of HEADER_BYTES, room enough for MAX_DIMS dimensions. */
enum { HEADER_BYTES = 256, PREAMBLE_BYTES = 10 };

static void make_header(Shape shape, uint8_t header[HEADER_BYTES]) {
    char *text = (char *)header;
    memset(text, ' ', HEADER_BYTES);
    memcpy(text, "\x93NUMPY\x01\x00", 8);
    header[8] = (HEADER_BYTES - PREAMBLE_BYTES) & 0xFF;
    header[9] = (HEADER_BYTES - PREAMBLE_BYTES) >> 8;
    size_t n = PREAMBLE_BYTES;
    n += (size_t)snprintf(text + n, HEADER_BYTES - n,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < shape.n_dims; i++)
        n += (size_t)snprintf(text + n, HEADER_BYTES - n, i == 0 ? "%lld," : " %lld,",
                              (long long)shape.dim[i]);
    n += (size_t)snprintf(text + n, HEADER_BYTES - n, "), }");
    text[n] = ' '; /* the NUL of snprintf */
    text[HEADER_BYTES - 1] = '\n';
}

Status npy_writer_open(const char *path, Shape shape, NpyWriter **out, Error *err) {
    *out = NULL;
    uint8_t header[HEADER_BYTES];
    Status status = MAE_OK;
    NpyWriter *w = mem_alloc(sizeof *w);
    if (w == NULL || (w->path = mem_strdup(path)) == NULL) {
        status = error_set(err, MAE_MEMORY, "%s: not enough memory", path);
        goto done;
    }
    w->shape = shape;
    make_header(shape, header);
    TRY(file_writer_open(path, &w->file, err));
    TRY(file_writer_write(w->file, header, sizeof header, err));
    *out = w;
done:
    if (status != MAE_OK) npy_writer_close(w);
    return status;
}

Status npy_writer_append(NpyWriter *w, const float *values, int64_t n, Error *err) {
    ASSERT(n >= 0, "%s: %lld values", w->path, (long long)n);
    w->written += n;
    return file_writer_write(w->file, values, (size_t)n * sizeof *values, err);
}

Status npy_writer_set_rows(NpyWriter *w, int64_t rows, Error *err) {
    uint8_t header[HEADER_BYTES];
    ASSERT(w->shape.n_dims > 0, "%s: a scalar has no rows", w->path);
    if (w->shape.dim[0] == rows) return MAE_OK;
    w->shape.dim[0] = rows;
    make_header(w->shape, header);
    return file_writer_replace_start(w->file, header, sizeof header, err);
}

Status npy_writer_commit(NpyWriter *w, Error *err) {
    int64_t expected = shape_numel(w->shape);
    if (w->written != expected)
        return error_set(err, MAE_SHAPE, "%s: %lld values were written, the shape has %lld",
                         w->path, (long long)w->written, (long long)expected);
    return file_writer_commit(w->file, err);
}

void npy_writer_close(NpyWriter *w) {
    if (w == NULL) return;
    file_writer_close(w->file);
    mem_free(w->path);
    mem_free(w);
}
