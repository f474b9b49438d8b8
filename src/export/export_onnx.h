/* A model as an ONNX file, for runtimes of other projects. The file has the graph of MODEL.md in
 * operators of opset 17, and the weights under their published names. Its metadata say everything
 * that a checkpoint says.
 *
 * Input: pixel_values, float32 [B,C,h,w], normalised with pixel_mean and pixel_std of the metadata.
 *
 *   ENCODER         last_hidden_state [B,1+P,D]: tokens after the final norm; of a classifier that
 *                   has none (mean pooling), after the blocks. pooled [B,D]: mean of the patch
 *                   tokens; of a classifier, the input of its head (of a probe: of its batch norm)
 *   CLASSIFIER      logits [B,classes]
 *   RECONSTRUCTION  second input noise, float32 [B,P]: the patches with the K smallest values are
 *                   kept, the published random masking. pred [B,P,V] in raster order, mask [B,P]
 *                   (1 = removed), loss, a scalar (not with a PCA target)
 *
 * Whatever the weights are stored as, the graph computes in float32. */
#ifndef EXPORT_EXPORT_ONNX_H
#define EXPORT_EXPORT_ONNX_H

#include "checkpoint/checkpoint.h"

typedef enum OnnxKind { ONNX_ENCODER, ONNX_CLASSIFIER, ONNX_RECONSTRUCTION } OnnxKind;

typedef struct OnnxOptions {
    OnnxKind kind;
    int64_t batch;     /* images a run; 0: any number, the dimension is called "batch" */
    DType dtype;       /* F32, F16, BF16: of all weights; I8: matrices in 8 bits with a scale for
                          each output, the rest float32 */
    double mask_ratio; /* of RECONSTRUCTION; 0: that of the notes */
    int64_t external_from; /* more bytes of weights than this go to PATH.data; 0: 1.9e9 */
} OnnxOptions;

/* Writes PATH (and PATH.data) over what is there. The same model and options give the same bytes.
 * UNSUPPORTED: the model lacks the head or the decoder, or a weight does not fit into F16 or I8.
 * USAGE: a type, batch or mask ratio that is not possible. IO, MEMORY. */
Status export_onnx(Vit *v, const CheckpointNotes *notes, const OnnxOptions *o, const char *path,
                   Error *err);

#endif
