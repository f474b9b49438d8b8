/* Ways to be wrong in bf16 that look right. Each changes rows of a device of that precision, and
 * the limits for bf16 must find it. */
#include "golden.h"
#include "narrow.h"

static Kernels right; /* of the device before a fault */

static void narrow_adamw(Device *d, const Segment *list, int64_t count, AdamW a) {
    right.adamw(d, list, count, a);
    for (int64_t i = 0; i < count; i++) narrow_floats(list[i].p, list[i].n);
}

static void narrow_masters(Kernels *k) {
    k->adamw = narrow_adamw;
}

static const struct {
    const char *name;
    void (*put_in)(Kernels *k);
} FAULTS[] = {{"activations are cut off instead of rounded", refcut_fill_table},
              {"masters are bf16", narrow_masters}};

const char *golden_fault(Device *d, int i) {
    if (i >= (int)(sizeof FAULTS / sizeof *FAULTS)) return NULL;
    right = d->kernels;
    FAULTS[i].put_in(&d->kernels);
    return FAULTS[i].name;
}
