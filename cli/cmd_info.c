/* mae info: what a checkpoint file holds. */
#include <string.h>

#include "cli.h"

static const char *known_text(const MaeResult *r, const char *key) {
    const char *text = mae_result_text(r, key);
    return text ? text : "unknown";
}

/* "1,2,3" */
static void print_numbers(FILE *to, const MaeResult *r, const char *key) {
    const MaeResult *list = mae_result_get(r, key);
    for (int64_t i = 0; i < mae_result_count(list, NULL); i++)
        fprintf(to, "%s%g", i ? "," : "", mae_result_number(mae_result_at(list, i), NULL));
}

static void print_tensor(FILE *to, const MaeResult *t) {
    const char *use = known_text(t, "use"), *why = mae_result_text(t, "why");
    const MaeResult *shape = mae_result_get(t, "shape");
    bool plain = strcmp(use, "read") == 0 || strcmp(use, "unknown") == 0;
    fprintf(to, "  %-44s %-5s [", text_of(t, "name"), text_of(t, "dtype"));
    for (int64_t i = 0; i < mae_result_count(shape, NULL); i++)
        fprintf(to, "%s%lld", i ? "," : "", count_of(mae_result_at(shape, i), NULL));
    fprintf(to, "]");
    if (!plain || why) fprintf(to, "  %s%s%s", use, why ? ": " : "", why ? why : "");
    fprintf(to, "\n");
}

static void print_config(FILE *to, const MaeResult *c) {
    if (!c) return;
    fprintf(to, "image     %lldx%lld, %lld channels, patch %lld\npixels    mean ",
            count_of(c, "image_height"), count_of(c, "image_width"), count_of(c, "channels"),
            count_of(c, "patch"));
    print_numbers(to, c, "pixel_mean");
    fprintf(to, ", deviation ");
    print_numbers(to, c, "pixel_std");
    fprintf(to, "\nencoder   width %lld, depth %lld, heads %lld\n", count_of(c, "embed_dim"),
            count_of(c, "depth"), count_of(c, "heads"));
    if (count_of(c, "decoder") > 0)
        fprintf(to, "decoder   width %lld, depth %lld, heads %lld, target %s\n",
                count_of(c, "decoder_embed_dim"), count_of(c, "decoder_depth"),
                count_of(c, "decoder_heads"), text_of(c, "target"));
    if (count_of(c, "classes") > 0)
        fprintf(to, "head      %s, %lld classes, pool %s\n", text_of(c, "head"),
                count_of(c, "classes"), text_of(c, "pool"));
}

static void print_line(FILE *to, const MaeResult *r, const char *key) {
    if (mae_result_get(r, key)) fprintf(to, "%-9s %s\n", key, text_of(r, key));
}

static void print_models(FILE *to, const MaeResult *list) {
    for (int64_t i = 0; i < mae_result_count(list, NULL); i++) {
        const MaeResult *m = mae_result_at(list, i);
        const char *prefix = text_of(m, "prefix");
        fprintf(to, "%-9s %s (%s)\n", i ? "" : "models", *prefix ? prefix : "(none)",
                text_of(m, "dialect"));
    }
}

/* "read 30, ignored 2, refused 0, outside 30" */
static void print_use(FILE *to, const MaeResult *counts) {
    for (int64_t i = 0; i < mae_result_count(counts, NULL); i++)
        fprintf(to, "%s%s %lld", i ? ", " : "tensors   ", mae_result_key(counts, i),
                count_of(mae_result_at(counts, i), NULL));
    if (counts) fprintf(to, "\n");
}

void print_info(FILE *to, const MaeOptions *o, const MaeResult *r) {
    const MaeResult *metadata = mae_result_get(r, "metadata"), *tensors;
    (void)o;
    fprintf(to, "file      %s\nformat    %s\ndialect   %s\nmodel     %s\n", known_text(r, "file"),
            known_text(r, "format"), known_text(r, "dialect"), known_text(r, "model"));
    print_config(to, mae_result_get(r, "config"));
    print_line(to, r, "prefix");
    print_models(to, mae_result_get(r, "models"));
    print_line(to, r, "refused");
    print_line(to, r, "done");
    print_line(to, r, "note");
    fprintf(to, "values    %lld in %lld tensors\n", count_of(r, "n_values"),
            count_of(r, "n_tensors"));
    print_use(to, mae_result_get(r, "tensor_use"));
    fprintf(to, "\nmetadata\n");
    for (int64_t i = 0; i < mae_result_count(metadata, NULL); i++)
        fprintf(to, "  %-24s %s\n", mae_result_key(metadata, i),
                text_of(mae_result_at(metadata, i), NULL));
    tensors = mae_result_get(r, "tensors");
    fprintf(to, "\ntensors\n");
    for (int64_t i = 0; i < mae_result_count(tensors, NULL); i++)
        print_tensor(to, mae_result_at(tensors, i));
}
