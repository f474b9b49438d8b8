/* Names of element types and shapes; tensors are contiguous, row-major (C order), sizes int64_t. */
#ifndef BASE_TENSOR_H
#define BASE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#define MAX_DIMS 8

/* Order never changes; safetensors spellings in tensor.c. */
typedef enum DType {
    DTYPE_F32,
    DTYPE_F64,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_I64,
    DTYPE_I32,
    DTYPE_I16,
    DTYPE_I8,
    DTYPE_U8,
    DTYPE_BOOL,
    DTYPE_U16,
    DTYPE_U32,
    DTYPE_U64,
    DTYPE_COUNT
} DType;

size_t dtype_bytes(DType t);
const char *dtype_name(DType t);       /* "F32" */
int dtype_from_name(const char *name); /* -1 when unknown */

typedef struct Shape {
    int n_dims;
    int64_t dim[MAX_DIMS];
} Shape;

#define SHAPE(...)                                                                                 \
    shape_make((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})
Shape shape_make(int n_dims, const int64_t *dims);
int64_t shape_numel(Shape s); /* 1 for a scalar */
int shape_equal(Shape a, Shape b);
/* "[2,3,4]" into buf (always terminated); returns buf. */
char *shape_text(Shape s, char *buf, size_t bytes);

float bf16_to_f32(uint16_t v);
uint16_t f32_to_bf16(float v); /* round to nearest even, NaN kept */
float f16_to_f32(uint16_t v);
uint16_t f32_to_f16(float v); /* round to nearest even, overflow to infinity */
/* n elements of any float or integer type to float32 / from float32 to F32, F16, BF16, F64. */
void dtype_to_f32(float *out, const void *in, DType t, int64_t n);
void dtype_from_f32(void *out, const float *in, DType t, int64_t n);

#endif
