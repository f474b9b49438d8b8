/* mae features: features of images into a .npy or .csv file, a picture of the attention behind
 * them. */
#include "cli.h"

static void print_table(FILE *to, const MaeResult *r) {
    const char *path = mae_result_text(r, "features");
    int64_t rows = mae_result_integer(r, "rows"), width = mae_result_integer(r, "width");
    if (!path) return;
    if (mae_result_get(r, "tokens"))
        fprintf(to, "%s: %lld rows of %lld tokens of %lld values\n", path, (long long)rows,
                (long long)mae_result_integer(r, "tokens"), (long long)width);
    else
        fprintf(to, "%s: %lld rows of %lld values\n", path, (long long)rows, (long long)width);
}

int check_features(const Call *c) {
    if (mae_options_get(c->options, "attention")) return GO_ON;
    return call_need(c, "out", "--attention PNG, --out FILE.npy or --out FILE.csv");
}

void print_features(FILE *to, const MaeOptions *o, const MaeResult *r) {
    int64_t unreadable = mae_result_integer(r, "unreadable");
    (void)o;
    print_table(to, r);
    if (unreadable) fprintf(to, "without %lld that could not be read\n", (long long)unreadable);
    if (mae_result_get(r, "attention"))
        fprintf(
            to, "%s: image, mean over heads, each head; attention of the cls token in block %lld\n",
            mae_result_text(r, "attention"), (long long)mae_result_integer(r, "attention_block"));
}
