/* Decoding, crops, the evaluation pipeline and colour changes: exact to the last bit. */
#include <math.h>
#include <string.h>

#include "data/augment/augment.h"
#include "golden.h"

static uint32_t crc32_of(const uint8_t *data, int64_t n) {
    uint32_t crc = 0xffffffffu;
    for (int64_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void compare_crc(Golden *g, const char *what, const uint8_t *data, int64_t n, double want) {
    compare_number(g, golden_text(g, "crc32 of %s", what), (double)crc32_of(data, n), want, 0);
}

static bool load(Golden *g, const char *folder, const char *name, Image *out) {
    Error err = {0};
    *out = (Image){0};
    if (image_load_crop(golden_text(g, "%s/%s/%s", g->dir, folder, name ? name : ""), 3, 0, NULL,
                        out, &err) == MAE_OK)
        return true;
    golden_problem(g, "%s", err.message);
    return false;
}

static const char *string_of(const json_t *row, const char *key) {
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

/* The tensor of that name if it is n bytes. */
static const uint8_t *pixels(Golden *g, const TensorFile *s, const char *name, int64_t n) {
    const TensorEntry *t = tensorfile_find(s, name);
    if (t && t->dtype == DTYPE_U8 && shape_numel(t->shape) == n) return golden_bytes(g, s, t);
    golden_problem(g, "no tensor %s of %lld bytes", name, (long long)n);
    return NULL;
}

static int64_t image_bytes(const Image *im) {
    return im->width * im->height * im->channels;
}

/* --- decoding --------------------------------------------------------------------------------- */

static void check_photo(Golden *g, const char *name, const json_t *want) {
    Image im;
    if (!load(g, "augment/photos", name, &im)) return;
    compare_number(g, golden_text(g, "width of %s", name), (double)im.width,
                   golden_number(want, "width"), 0);
    compare_number(g, golden_text(g, "height of %s", name), (double)im.height,
                   golden_number(want, "height"), 0);
    compare_crc(g, name, im.pixels, image_bytes(&im), golden_number(want, "crc32_of_rgb_bytes"));
    image_free(&im);
}

void check_decoding(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    const char *name;
    json_t *want;
    const TensorFile *s = golden_tensors(g, path);
    const json_t *j = golden_json(g, golden_sibling(g, path, ".json"));
    for (size_t i = 0; s && i < tensorfile_count(s); i++) {
        Image im;
        const TensorEntry *t = tensorfile_at(s, i);
        if (!load(g, "augment/decode", t->name, &im)) continue;
        if (im.height == t->shape.dim[0] && im.width == t->shape.dim[1])
            compare_bytes(g, t->name, im.pixels, golden_bytes(g, s, t), image_bytes(&im));
        else
            golden_problem(g, "%s: %lld x %lld pixels", t->name, (long long)im.width,
                           (long long)im.height);
        image_free(&im);
    }
    json_object_foreach(json_object_get(j, "photos"), name, want) check_photo(g, name, want);
}

/* --- crops ------------------------------------------------------------------------------------ */

static void flip(Image *im) {
    for (int64_t y = 0; y < im->height; y++)
        for (int64_t x = 0; x < im->width / 2; x++)
            for (int64_t c = 0; c < im->channels; c++) {
                uint8_t *a = im->pixels + (y * im->width + x) * im->channels + c;
                uint8_t *b = a + (im->width - 1 - 2 * x) * im->channels, t = *a;
                *a = *b;
                *b = t;
            }
}

static void channel_values(const json_t *j, const char *name, float *out) {
    const json_t *list = json_object_get(j, name);
    for (size_t c = 0; c < 3; c++) out[c] = (float)json_number_value(json_array_get(list, c));
}

/* Pixels to float on the device: at most one unit in the last place. */
static void check_normalized(Golden *g, const TensorFile *s, const char *name, const Image *im,
                             const json_t *j) {
    Error err = {0};
    Shape shape;
    float mean[3], std[3];
    const float *want = golden_reals(g, s, name, &shape);
    Graph *graph = graph_new(g->device, NULL);
    if (!want || !graph) return;
    int64_t n = shape_numel(shape);
    channel_values(j, "mean", mean);
    channel_values(j, "std", std);
    Value *in = graph_input(graph, "pixels", NUMBER_U8, SHAPE(1, im->height, im->width, 3));
    Value *out = op_image_normalize(graph, "images", in, mean, std);
    graph_keep(graph, out);
    if (graph_plan(graph, GRAPH_INFER, &err) == MAE_OK) {
        float *got = golden_memory(g, n, sizeof *got);
        double worst = 0;
        graph_set(graph, in, im->pixels);
        graph_forward(graph);
        graph_get(graph, out, got);
        for (int64_t i = 0; i < n; i++) {
            double ulp = (double)nextafterf(fabsf(want[i]), INFINITY) - (double)fabsf(want[i]);
            worst = fmax(worst, fabs((double)got[i] - (double)want[i]) / ulp);
        }
        compare_number(g, golden_text(g, "%s: units in the last place", name), worst, 0, 1);
    }
    graph_free(graph);
}

static void check_crop(Golden *g, const TensorFile *s, const json_t *j, const json_t *row) {
    Error err = {0};
    Image in, out = {0};
    const char *name = string_of(row, "name");
    const char *normalized = golden_text(g, "%s.normalized", name);
    int64_t size = golden_integer(row, "size"), n = size * size * 3;
    Box box = {.left = golden_integer(row, "left"),
               .top = golden_integer(row, "top"),
               .width = golden_integer(row, "width"),
               .height = golden_integer(row, "height")};
    const uint8_t *want = pixels(g, s, name, n);
    if (!want || !load(g, "augment/photos", string_of(row, "photo"), &in)) return;
    if (resample_crop(&in, box, size, size, &out, &err) == MAE_OK) {
        if (golden_integer(row, "hflip") == 1) flip(&out);
        compare_bytes(g, name, out.pixels, want, n);
        compare_crc(g, name, out.pixels, n, golden_number(row, "crc32"));
        if (tensorfile_find(s, normalized)) check_normalized(g, s, normalized, &out, j);
    } else {
        golden_problem(g, "%s: %s", name, err.message);
    }
    image_free(&in);
    image_free(&out);
}

void check_crops(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *row;
    const TensorFile *s = golden_tensors(g, path);
    const json_t *j = golden_json(g, golden_sibling(g, path, ".json"));
    if (!s || !j) return;
    json_array_foreach(json_object_get(j, "crops"), i, row) check_crop(g, s, j, row);
}

static void check_crop_size(Golden *g, size_t i, const json_t *row) {
    enum { MAX_DRAWS = 64 };
    double draws[MAX_DRAWS][2];
    const json_t *list = json_object_get(row, "draws");
    int n = (int)json_array_size(list);
    if (n > MAX_DRAWS) n = MAX_DRAWS;
    for (int k = 0; k < n; k++)
        for (size_t m = 0; m < 2; m++)
            draws[k][m] = json_number_value(json_array_get(json_array_get(list, (size_t)k), m));
    bool fallback = false;
    Box b = augment_crop_size(golden_integer(row, "width"), golden_integer(row, "height"),
                              (const double(*)[2])draws, n, 3.0 / 4, 4.0 / 3, &fallback);
    int64_t got[] = {b.width, b.height, fallback, b.left, b.top};
    int64_t want[] = {golden_integer(row, "w"), golden_integer(row, "h"),
                      golden_integer(row, "fallback"), fallback ? golden_integer(row, "j") : 0,
                      fallback ? golden_integer(row, "i") : 0};
    static const char *const names[] = {"width", "height", "fallback", "left", "top"};
    for (int k = 0; k < 5; k++)
        compare_number(g, golden_text(g, "row %zu, %s", i, names[k]), (double)got[k],
                       (double)want[k], 0);
}

void check_crop_sizes(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *row;
    const json_t *j = golden_json(g, path);
    json_array_foreach(json_object_get(json_object_get(j, "rows"), "torchvision"), i, row)
        check_crop_size(g, i, row);
}

/* --- evaluation and colours ------------------------------------------------------------------- */

static void check_eval_row(Golden *g, const TensorFile *s, const json_t *row) {
    Error err = {0};
    Image in;
    ResampleScratch scratch = {0};
    const char *name = string_of(row, "name");
    int64_t size = golden_integer(row, "input_size"), n = size * size * 3, width, height;
    Augment a = {.kind = AUGMENT_EVAL, .height = size, .width = size};
    const uint8_t *want = pixels(g, s, name, n);
    if (!want || !load(g, "augment/photos", string_of(row, "photo"), &in)) return;
    const json_t *resized = json_object_get(row, "resized_wh");
    augment_resized_size(&a, in.width, in.height, &width, &height);
    compare_number(g, golden_text(g, "%s: width", name), (double)width,
                   json_number_value(json_array_get(resized, 0)), 0);
    compare_number(g, golden_text(g, "%s: height", name), (double)height,
                   json_number_value(json_array_get(resized, 1)), 0);
    uint8_t *got = golden_memory(g, n, 1);
    if (augment_apply(&a, &in, 1, 0, 0, got, &scratch, &err) == MAE_OK)
        compare_bytes(g, name, got, want, n);
    else
        golden_problem(g, "%s: %s", name, err.message);
    compare_crc(g, name, got, n, golden_number(row, "crc32"));
    resample_scratch_free(&scratch);
    image_free(&in);
}

void check_eval(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *row;
    const TensorFile *s = golden_tensors(g, path);
    const json_t *j = golden_json(g, golden_sibling(g, path, ".json"));
    if (!s || !j) return;
    json_array_foreach(json_object_get(j, "evals"), i, row) check_eval_row(g, s, row);
}

static const struct {
    const char *name;
    void (*apply)(Image *im, double factor);
} COLOR_OPS[] = {{"brightness", augment_brightness},
                 {"contrast", augment_contrast},
                 {"saturation", augment_saturation},
                 {"hue", augment_hue}};

static void check_color_row(Golden *g, const TensorFile *s, const TensorEntry *input,
                            const json_t *row) {
    Error err = {0};
    Image im = {0};
    const char *name = string_of(row, "name"), *op = string_of(row, "op");
    int64_t n = shape_numel(input->shape);
    const uint8_t *want = pixels(g, s, name, n), *from = pixels(g, s, "input", n);
    if (!want || !from) return;
    if (image_new(&im, MAE_U8, input->shape.dim[1], input->shape.dim[0], 3, &err) != MAE_OK) {
        golden_problem(g, "%s", err.message);
        return;
    }
    memcpy(im.pixels, from, (size_t)n);
    size_t i = 0;
    while (i < 4 && strcmp(op, COLOR_OPS[i].name) != 0) i++;
    if (i < 4) {
        COLOR_OPS[i].apply(&im, golden_number(row, "factor"));
        compare_bytes(g, name, im.pixels, want, n);
    } else {
        golden_problem(g, "%s: unknown operation %s", name, op);
    }
    image_free(&im);
}

void check_color(Golden *g, const char *path, const json_t *entry) {
    size_t i;
    json_t *row;
    const TensorFile *s = golden_tensors(g, path);
    const TensorEntry *input = s ? tensorfile_find(s, "input") : NULL;
    if (!input) return;
    json_array_foreach(json_object_get(json_object_get(entry, "info"), "rows"), i, row)
        check_color_row(g, s, input, row);
}
