/* Element types, shapes and the conversions between element types. Conversions go through memcpy,
 * because bytes of a file may be unaligned. */
#include "base/tensor.h"

#include <stdio.h>
#include <string.h>

#include "base/status.h"

static const struct {
    const char *name;
    size_t bytes;
} types[DTYPE_COUNT] = {
    [DTYPE_F32] = {"F32", 4},   [DTYPE_F64] = {"F64", 8}, [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2}, [DTYPE_I64] = {"I64", 8}, [DTYPE_I32] = {"I32", 4},
    [DTYPE_I16] = {"I16", 2},   [DTYPE_I8] = {"I8", 1},   [DTYPE_U8] = {"U8", 1},
    [DTYPE_BOOL] = {"BOOL", 1}, [DTYPE_U16] = {"U16", 2}, [DTYPE_U32] = {"U32", 4},
    [DTYPE_U64] = {"U64", 8},
};

size_t dtype_bytes(DType t) {
    ASSERT((unsigned)t < DTYPE_COUNT, "dtype %d", (int)t);
    return types[t].bytes;
}

const char *dtype_name(DType t) {
    ASSERT((unsigned)t < DTYPE_COUNT, "dtype %d", (int)t);
    return types[t].name;
}

int dtype_from_name(const char *name) {
    for (int t = 0; t < DTYPE_COUNT; t++)
        if (strcmp(types[t].name, name) == 0) return t;
    return -1;
}

/* --- Shapes ----------------------------------------------------------------------------------- */

Shape shape_make(int n_dims, const int64_t *dims) {
    ASSERT(n_dims >= 0 && n_dims <= MAX_DIMS, "%d dimensions", n_dims);
    Shape s = {.n_dims = n_dims};
    for (int i = 0; i < n_dims; i++) s.dim[i] = dims[i];
    return s;
}

int64_t shape_numel(Shape s) {
    int64_t n = 1;
    for (int i = 0; i < s.n_dims; i++) {
        int64_t dim = s.dim[i];
        ASSERT(dim >= 0 && (dim == 0 || n <= INT64_MAX / dim), "dimension %d is %lld", i,
               (long long)dim);
        n *= dim;
    }
    return n;
}

int shape_equal(Shape a, Shape b) {
    if (a.n_dims != b.n_dims) return 0;
    for (int i = 0; i < a.n_dims; i++)
        if (a.dim[i] != b.dim[i]) return 0;
    return 1;
}

char *shape_text(Shape s, char *buf, size_t bytes) {
    char text[MAX_DIMS * 21 + 3];
    size_t n = 0;
    text[n++] = '[';
    for (int i = 0; i < s.n_dims; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, i == 0 ? "%lld" : ",%lld",
                              (long long)s.dim[i]);
    snprintf(text + n, sizeof text - n, "]");
    if (bytes > 0) snprintf(buf, bytes, "%s", text);
    return buf;
}

/* --- Half-width floats ------------------------------------------------------------------------ */

static uint32_t float_bits(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static float bits_float(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

float bf16_to_f32(uint16_t v) {
    return bits_float((uint32_t)v << 16);
}

uint16_t f32_to_bf16(float v) {
    uint32_t bits = float_bits(v);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40u); /* quiet NaN */
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

float f16_to_f32(uint16_t v) {
    uint32_t sign = (uint32_t)(v & 0x8000u) << 16;
    uint32_t exponent = v >> 10 & 0x1Fu, mantissa = v & 0x3FFu;
    if (exponent == 31) return bits_float(sign | 0x7F800000u | mantissa << 13);
    if (exponent != 0) return bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
    float magnitude = (float)mantissa * 0x1p-24f; /* zero and subnormals, exact */
    return bits_float(sign | float_bits(magnitude));
}

uint16_t f32_to_f16(float v) {
    uint32_t bits = float_bits(v);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    bits &= 0x7FFFFFFFu;
    if (bits > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | (bits >> 13 & 0x3FFu));
    if (bits >= 0x477FF000u) return sign | 0x7C00u; /* from 65520 on, halves round to infinity */
    if (bits < 0x38800000u) {
        /* Below the smallest normal: in [0.5,1) floats are 2^-24 apart, the step of subnormal
         * halves, so this addition rounds to nearest even. */
        return (uint16_t)(sign | (float_bits(bits_float(bits) + 0.5f) - 0x3F000000u));
    }
    uint32_t rounded = bits + 0xFFFu + (bits >> 13 & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

/* --- Arrays ----------------------------------------------------------------------------------- */

#define EACH(type, result)                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type v;                                                                                    \
        memcpy(&v, (const char *)in + (size_t)i * sizeof v, sizeof v);                             \
        out[i] = (result);                                                                         \
    }                                                                                              \
    return;

void dtype_to_f32(float *out, const void *in, DType t, int64_t n) {
    switch (t) {
    case DTYPE_F32: memmove(out, in, (size_t)n * sizeof *out); return;
    case DTYPE_F64: EACH(double, (float)v)
    case DTYPE_F16: EACH(uint16_t, f16_to_f32(v))
    case DTYPE_BF16: EACH(uint16_t, bf16_to_f32(v))
    case DTYPE_I64: EACH(int64_t, (float)v)
    case DTYPE_I32: EACH(int32_t, (float)v)
    case DTYPE_I16: EACH(int16_t, (float)v)
    case DTYPE_I8: EACH(int8_t, (float)v)
    case DTYPE_U8: EACH(uint8_t, (float)v)
    case DTYPE_BOOL: EACH(uint8_t, v != 0 ? 1.0f : 0.0f)
    case DTYPE_U16: EACH(uint16_t, (float)v)
    case DTYPE_U32: EACH(uint32_t, (float)v)
    case DTYPE_U64: EACH(uint64_t, (float)v)
    case DTYPE_COUNT: break;
    }
    ASSERT(0, "dtype %d", (int)t);
}
#undef EACH

#define EACH(type, result)                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type v = (result);                                                                         \
        memcpy((char *)out + (size_t)i * sizeof v, &v, sizeof v);                                  \
    }                                                                                              \
    return;

void dtype_from_f32(void *out, const float *in, DType t, int64_t n) {
    switch (t) {
    case DTYPE_F32: memmove(out, in, (size_t)n * sizeof *in); return;
    case DTYPE_F64: EACH(double, (double)in[i])
    case DTYPE_F16: EACH(uint16_t, f32_to_f16(in[i]))
    case DTYPE_BF16: EACH(uint16_t, f32_to_bf16(in[i]))
    default: ASSERT(0, "no conversion from float32 to dtype %d", (int)t);
    }
}
#undef EACH
