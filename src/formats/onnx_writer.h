/* ONNX files: a graph of operators with its tensors, written by hand as protobuf messages. The
 * writer knows nothing of models. It collects nodes and names in memory, and asks for the values of
 * one tensor at a time while writing, so a model is never held twice. The same calls give the same
 * bytes. Format: onnx.proto3 of the ONNX project, IR version 8, operator set 17; protobuf's
 * encoding guide.
 *
 * The builders cannot fail: a lack of memory is remembered and reported by onnx_write. */
#ifndef FORMATS_ONNX_WRITER_H
#define FORMATS_ONNX_WRITER_H

#include <stdbool.h>

#include "base/status.h"
#include "base/tensor.h"

#define ONNX_IR_VERSION 8
#define ONNX_OPSET 17
#define ONNX_BATCH (-1) /* as a dimension of an input or output: any number, called "batch" */

/* Tensors of at least so many bytes go to the second file when there is one; its offsets are
 * multiples of the alignment, so that it can be mapped. */
#define ONNX_EXTERNAL_LEAST 1024
#define ONNX_EXTERNAL_ALIGN 4096

typedef struct OnnxModel OnnxModel;
OnnxModel *onnx_new(const char *producer, const char *graph); /* NULL: no memory */
void onnx_free(OnnxModel *m);                                 /* accepts NULL */

void onnx_input(OnnxModel *m, const char *name, DType t, Shape shape);
void onnx_output(OnnxModel *m, const char *name, DType t, Shape shape);
void onnx_metadata(OnnxModel *m, const char *key, const char *value);

typedef enum OnnxAttributeKind { ONNX_INT, ONNX_FLOAT, ONNX_INTS } OnnxAttributeKind;
typedef struct OnnxAttribute {
    const char *name; /* NULL ends a list */
    OnnxAttributeKind kind;
    int64_t i;
    float f;
    const int64_t *ints;
    int n_ints;
} OnnxAttribute;

/* inputs, outputs: ended by NULL. attributes: ended by a name NULL; NULL: none. In order of
 * computation. */
void onnx_node(OnnxModel *m, const char *op, const char *name, const char *const *inputs,
               const char *const *outputs, const OnnxAttribute *attributes);

/* Puts the values of a tensor of type t, little-endian and as many as its shape says, into out.
 * user: of onnx_write; source: of onnx_tensor. */
typedef Status (*OnnxFill)(void *user, const void *source, DType t, void *out, Error *err);
/* A tensor whose values are asked for when the file is written. A name that is there already keeps
 * its first meaning, here and below. */
void onnx_tensor(OnnxModel *m, const char *name, DType t, Shape shape, OnnxFill fill,
                 const void *source);
/* A small tensor; data is copied. */
void onnx_constant(OnnxModel *m, const char *name, DType t, Shape shape, const void *data);

/* The number of an element type in the format, for attributes of Cast; 0: it has none. */
int onnx_dtype(DType t);

/* Writes PATH, and PATH.data when all tensors together have more than external_from bytes (the
 * format ends at 2 GiB). Each is replaced as a whole, the data first. IO, MEMORY, and what fill
 * returns. */
Status onnx_write(OnnxModel *m, const char *path, int64_t external_from, void *user, Error *err);

#endif
