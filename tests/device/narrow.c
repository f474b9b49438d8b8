/* See narrow.h. */
#include "narrow.h"

#include <string.h>

#include "base/tensor.h"

uint16_t f32_cut_to_bf16(float v); /* what refcut calls in place of f32_to_bf16 */

uint16_t f32_cut_to_bf16(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (uint16_t)(bits >> 16);
}

void narrow_floats(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = bf16_to_f32(f32_to_bf16(x[i]));
}
