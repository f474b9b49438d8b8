/* mae features: features of images into a .npy file, a picture of the attention behind them. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* --- results ---------------------------------------------------------------------------------- */

static const char *pool_name(const MaeOptions *o) {
    return mae_options_get(o, "pool");
}

/* All tokens of an image, and not one vector. */
static bool gives_tokens(const MaeOptions *o) {
    return mae_options_get(o, "out") && strcmp(pool_name(o), "all") == 0;
}

/* The block whose attention is pictured. */
static int64_t attention_block(const MaeOptions *o, const MaeResult *info) {
    int64_t block = option_count(o, "block");
    return block ? block : mae_result_integer(info, "depth");
}

/* FILE.npy -> FILE.txt, as the library names it; NULL: no memory. free() it. */
static char *names_path(const char *npy) {
    size_t n = strlen(npy);
    char *path = malloc(n + sizeof ".txt");
    if (!path) return NULL;
    if (n > 4 && strcmp(npy + n - 4, ".npy") == 0) n -= 4;
    memcpy(path, npy, n);
    memcpy(path + n, ".txt", sizeof ".txt");
    return path;
}

static int print_features_json(const MaeOptions *o, const MaeResult *info, const MaeFeatures *f) {
    json_t *j = json_object();
    const char *out = mae_options_get(o, "out"), *attention = mae_options_get(o, "attention");
    char *names = out && !mae_output_is_stream(out) ? names_path(out) : NULL;
    if (out) json_text(j, "features", out);
    if (names) json_text(j, "names", names);
    json_count(j, "rows", f->rows);
    json_count(j, "unreadable", f->unreadable);
    if (gives_tokens(o)) json_count(j, "tokens", 1 + mae_result_integer(info, "patches"));
    if (out) {
        json_count(j, "columns", mae_result_integer(info, "embed_dim"));
        json_count(j, "width", mae_result_integer(info, "embed_dim"));
        json_text(j, "pool", pool_name(o));
    }
    json_count(j, "block", option_count(o, "block"));
    if (attention) {
        json_text(j, "attention", attention);
        json_count(j, "attention_block", attention_block(o, info));
    }
    free(names);
    return print_json(j);
}

static void print_features(FILE *to, const MaeOptions *o, const MaeResult *info,
                           const MaeFeatures *f) {
    const char *out = mae_options_get(o, "out"), *attention = mae_options_get(o, "attention");
    if (gives_tokens(o))
        fprintf(to, "%s: %lld rows of %lld tokens of %lld values\n", out, (long long)f->rows,
                (long long)mae_result_integer(info, "patches") + 1,
                (long long)mae_result_integer(info, "embed_dim"));
    else if (out)
        fprintf(to, "%s: %lld rows of %lld values\n", out, (long long)f->rows,
                (long long)mae_result_integer(info, "embed_dim"));
    if (f->unreadable)
        fprintf(to, "without %lld that could not be read\n", (long long)f->unreadable);
    if (attention)
        fprintf(
            to,
            "%s: image, mean over heads, %lld heads; attention of the cls token in block %lld\n",
            attention, (long long)mae_result_integer(info, "heads"),
            (long long)attention_block(o, info));
}

/* --- command ---------------------------------------------------------------------------------- */

static int features(const MaeOptions *o, MaeModel *model) {
    MaeError err = {0};
    MaeFeatures f = {0};
    const MaeResult *info = mae_model_info(model);
    MaeStatus failed = mae_features(model, o, progress_start(o, "stopping"), &f, &err);
    progress_end();
    if (failed) return report(&err);
    if (option_flag(o, "json")) return print_features_json(o, info, &f);
    FILE *to = talk(o);
    if (to) print_features(to, o, info, &f);
    return EXIT_DONE;
}

int cmd_features(int argc, char **argv) {
    Call c;
    MaeModel *model = NULL;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = call_need(&c, "model", "--model CKPT");
    if (status == GO_ON) status = call_need(&c, "data", "--data SRC");
    if (status == GO_ON && !mae_options_get(c.options, "attention"))
        status = call_need(&c, "out", "--attention PNG or --out FILE.npy");
    if (status == GO_ON) status = load_model(c.options, &model);
    if (status == GO_ON) status = features(c.options, model);
    mae_model_free(model);
    call_free(&c);
    return status;
}
