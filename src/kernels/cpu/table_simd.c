/* Collects the rows of one instruction set. */
#include "kernels/cpu/simd.h"

void SIMD(fill_table)(Kernels *k) {
    cpu_fill_patch(k);
    cpu_fill_tokens(k);
    SIMD(fill_matmul)(k);
    SIMD(fill_activation)(k);
    SIMD(fill_norm)(k);
    SIMD(fill_batchnorm)(k);
    SIMD(fill_attention)(k);
    SIMD(fill_loss)(k);
    SIMD(fill_cross_entropy)(k);
    SIMD(fill_elementwise)(k);
    SIMD(fill_optim)(k);
}
