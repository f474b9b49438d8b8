/* Ways to be wrong in bf16 that look right. Each changes rows of a device of that precision, and
 * the limits for bf16 must find it. */
#include "golden.h"
#include "narrow.h"

static const struct {
    const char *name;
    void (*put_in)(Kernels *k);
} FAULTS[] = {{"activations and weights are cut off instead of rounded", refcut_fill_table},
              {"mean and rstd of layer norms are bf16", narrow_layernorm},
              {"softmax denominators are bf16", narrow_attention},
              {"losses of patches are bf16", narrow_losses},
              {"probabilities of classes are bf16", narrow_probabilities},
              {"masters are bf16", narrow_masters}};

const char *golden_fault(Device *d, int i) {
    if (i >= (int)(sizeof FAULTS / sizeof *FAULTS)) return NULL;
    FAULTS[i].put_in(&d->kernels);
    return FAULTS[i].name;
}
