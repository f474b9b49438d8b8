/* mae info: what a checkpoint file holds. */
#include <stdbool.h>
#include <string.h>

#include "cli.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "unknown";
}

static void print_tensor(const json_t *t) {
    size_t i;
    json_t *d;
    printf("  %-44s %-5s [", text_of(t, "name"), text_of(t, "dtype"));
    json_array_foreach(json_object_get(t, "shape"), i, d) {
        printf("%s%lld", i ? "," : "", (long long)json_integer_value(d));
    }
    printf("]");
    const char *use = text_of(t, "use");
    bool plain = strcmp(use, "read") == 0 || strcmp(use, "unknown") == 0;
    const char *why = json_string_value(json_object_get(t, "why"));
    if (!plain || why) printf("  %s%s%s", use, why ? ": " : "", why ? why : "");
    printf("\n");
}

static long long count_of(const json_t *object, const char *key) {
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_numbers(const char *what, const json_t *list) {
    size_t i;
    json_t *v;
    printf("%s", what);
    json_array_foreach(list, i, v) printf("%s%g", i ? "," : "", json_number_value(v));
}

static void print_config(const json_t *c) {
    if (!c) return;
    printf("image     %lldx%lld, %lld channels, patch %lld\n", count_of(c, "image_height"),
           count_of(c, "image_width"), count_of(c, "channels"), count_of(c, "patch"));
    print_numbers("pixels    mean ", json_object_get(c, "pixel_mean"));
    print_numbers(", deviation ", json_object_get(c, "pixel_std"));
    printf("\nencoder   width %lld, depth %lld, heads %lld\n", count_of(c, "embed_dim"),
           count_of(c, "depth"), count_of(c, "heads"));
    if (json_is_true(json_object_get(c, "decoder")))
        printf("decoder   width %lld, depth %lld, heads %lld, target %s\n",
               count_of(c, "decoder_embed_dim"), count_of(c, "decoder_depth"),
               count_of(c, "decoder_heads"), text_of(c, "target"));
    if (count_of(c, "classes"))
        printf("head      %s, %lld classes, pool %s\n", text_of(c, "head"), count_of(c, "classes"),
               text_of(c, "pool"));
}

static void print_model_choice(const json_t *root) {
    size_t i;
    json_t *m;
    if (json_object_get(root, "prefix")) printf("prefix    %s\n", text_of(root, "prefix"));
    json_array_foreach(json_object_get(root, "models"), i, m) {
        const char *prefix = text_of(m, "prefix");
        printf("%-9s %s (%s)\n", i ? "" : "models", *prefix ? prefix : "(none)",
               text_of(m, "dialect"));
    }
}

static void print_line(const json_t *root, const char *key) {
    if (json_object_get(root, key)) printf("%-9s %s\n", key, text_of(root, key));
}

/* "read 30, ignored 2, refused 0, outside 30" */
static void print_use(const json_t *counts) {
    const char *use;
    json_t *n;
    const char *before = "tensors   ";
    json_object_foreach((json_t *)(uintptr_t)counts, use, n) {
        printf("%s%s %lld", before, use, (long long)json_integer_value(n));
        before = ", ";
    }
    if (counts) printf("\n");
}

static void print_info(const json_t *root) {
    const char *key;
    json_t *value;
    size_t i;
    printf("file      %s\nformat    %s\ndialect   %s\nmodel     %s\n", text_of(root, "file"),
           text_of(root, "format"), text_of(root, "dialect"), text_of(root, "model"));
    print_config(json_object_get(root, "config"));
    print_model_choice(root);
    print_line(root, "refused");
    print_line(root, "done");
    print_line(root, "note");
    printf("values    %lld in %lld tensors\n",
           (long long)json_integer_value(json_object_get(root, "n_values")),
           (long long)json_integer_value(json_object_get(root, "n_tensors")));
    print_use(json_object_get(root, "tensor_use"));
    printf("\nmetadata\n");
    json_object_foreach(json_object_get(root, "metadata"), key, value) {
        printf("  %-24s %s\n", key, json_string_value(value));
    }
    printf("\ntensors\n");
    json_array_foreach(json_object_get(root, "tensors"), i, value) {
        print_tensor(value);
    }
}

static int info(const Call *c) {
    char *text = NULL;
    MaeError err = {0};
    const char *file = mae_options_get(c->options, "file");
    if (mae_file_info(file, c->options, &text, &err) != MAE_OK) return report(&err);
    json_t *root = json_loads(text, 0, NULL);
    mae_text_free(text);
    if (!root) {
        fprintf(stderr, "mae: %s: no memory to describe it\n", file);
        return EXIT_FAILED;
    }
    if (option_flag(c->options, "json")) return print_json(root);
    print_info(root);
    json_decref(root);
    return EXIT_DONE;
}

int cmd_info(int argc, char **argv) {
    Call c;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = info(&c);
    call_free(&c);
    return status;
}
