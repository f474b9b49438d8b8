/* mae reconstruct: a picture with a row an image. */
#include "cli.h"

void print_reconstruction(FILE *to, const MaeOptions *o, const MaeResult *r) {
    int64_t n = mae_result_integer(r, "images");
    const char *stats = mae_result_text(r, "patch_statistics");
    (void)o;
    fprintf(to, "picture  %s: %lld row%s of masked, reconstruction, original\n",
            mae_result_text(r, "picture"), (long long)n, n == 1 ? "" : "s");
    fprintf(to, "loss     %.4f on the removed patches (%s)\n", mae_result_number(r, "loss"),
            mae_result_text(r, "target"));
    if (*stats)
        fprintf(to, "shown    with %s mean and deviation of each patch\n",
                *stats == 't' ? "the true" : "an interpolated");
}
