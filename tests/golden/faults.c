/* Ways to be wrong in bf16 that look right. Each changes rows of a device of that precision, and
 * the limits for bf16 must find it. */
#include <string.h>

#include "golden.h"

void refcut_fill_table(Kernels *k);
uint16_t f32_cut_to_bf16(float v); /* what refcut calls in place of f32_to_bf16 */

static Kernels right; /* of the device before a fault */

uint16_t f32_cut_to_bf16(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void round_all(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = bf16_to_f32(f32_to_bf16(x[i]));
}

/* --- activations are cut off ------------------------------------------------------------------ */

static void cut_off(Kernels *k) {
    refcut_fill_table(k);
}

/* --- masters are bf16 ------------------------------------------------------------------------- */

static void narrow_adamw(Device *d, const Segment *list, int64_t count, AdamW a) {
    right.adamw(d, list, count, a);
    for (int64_t i = 0; i < count; i++) round_all(list[i].p, list[i].n);
}

static void narrow_masters(Kernels *k) {
    k->adamw = narrow_adamw;
}

static const struct {
    const char *name;
    void (*put_in)(Kernels *k);
} FAULTS[] = {{"activations are cut off instead of rounded", cut_off},
              {"masters are bf16", narrow_masters}};

const char *golden_fault(Device *d, int i) {
    if (i >= (int)(sizeof FAULTS / sizeof *FAULTS)) return NULL;
    right = d->kernels;
    FAULTS[i].put_in(&d->kernels);
    return FAULTS[i].name;
}
