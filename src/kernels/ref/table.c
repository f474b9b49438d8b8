/* The reference table: every row is filled by the file that defines it. */
#include "kernels/ref/ref.h"

void REF(fill_table)(Kernels *k) {
    k->real_bytes = sizeof(real);
    k->wide_bytes = sizeof(wide);
    k->is_host = k->remakes = true;
    REF(fill_matmul)(k);
    REF(fill_activation)(k);
    REF(fill_norm)(k);
    REF(fill_batchnorm)(k);
    REF(fill_attention)(k);
    REF(fill_patch)(k);
    REF(fill_tokens)(k);
    REF(fill_loss)(k);
    REF(fill_cross_entropy)(k);
    REF(fill_elementwise)(k);
    REF(fill_optim)(k);
}
