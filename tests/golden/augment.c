/* The augmentations of fine-tuning and probing: RandAugment and random erasing exact, mixup and
 * cutmix within 1e-6, with the draws that the files give. */
#include <math.h>
#include <string.h>

#include "data/augment/augment.h"
#include "data/augment/mix.h"
#include "golden.h"

static const char *text_of(const json_t *row, const char *key) {
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

static double number_at(const json_t *list, size_t i) {
    const json_t *v = json_array_get(list, i);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

/* --- RandAugment ------------------------------------------------------------------------------ */

/* timm's names of the operations, without the "Increasing" of the form that has it. */
static const char *const NAMES[RANDAUGMENT_N_OPS] = {
    "AutoContrast", "Equalize",    "Invert", "Rotate",        "Posterize",
    "Solarize",     "SolarizeAdd", "Color",  "Contrast",      "Brightness",
    "Sharpness",    "ShearX",      "ShearY", "TranslateXRel", "TranslateYRel"};

/* From timm's name; "Increasing" at its end says which form. */
static RandAugmentOp op_of(const char *name, bool *increasing) {
    static const char suffix[] = "Increasing";
    size_t n = strlen(name), m = sizeof suffix - 1;
    *increasing = n > m && strcmp(name + n - m, suffix) == 0;
    if (*increasing) n -= m;
    int op = 0;
    while (op < RANDAUGMENT_N_OPS && (strlen(NAMES[op]) != n || strncmp(NAMES[op], name, n) != 0))
        op++;
    return (RandAugmentOp)op;
}

/* A copy of tensor name, which must be a U8 image; pixels NULL after golden_problem. */
static Image image_of(Golden *g, const TensorFile *s, const char *name) {
    const TensorEntry *t = tensorfile_find(s, name);
    if (!t || t->dtype != DTYPE_U8 || t->shape.n_dims != 3 || t->shape.dim[2] != 3) {
        golden_problem(g, "no image %s", name);
        return (Image){0};
    }
    uint8_t *copy = golden_memory(g, shape_numel(t->shape), 1);
    memcpy(copy, golden_bytes(g, s, t), (size_t)shape_numel(t->shape));
    return (Image){
        .width = t->shape.dim[1], .height = t->shape.dim[0], .channels = 3, .pixels = copy};
}

static void compare_image(Golden *g, const TensorFile *s, const char *name, const Image *got) {
    Image want = image_of(g, s, name);
    if (want.pixels) compare_bytes(g, name, got->pixels, want.pixels, got->width * got->height * 3);
}

static void check_argument(Golden *g, const char *name, double level, bool negate, double want) {
    bool increasing;
    RandAugmentOp op = op_of(name, &increasing);
    if (op == RANDAUGMENT_N_OPS)
        golden_problem(g, "unknown operation %s", name);
    else
        compare_number(g, golden_text(g, "argument of %s at %g", name, level),
                       randaugment_argument(op, level, increasing, negate), want, 0);
}

static void apply_op(Golden *g, const char *name, double level, bool negate, Image *im,
                     ResampleScratch *scratch) {
    bool increasing;
    Error err = {0};
    RandAugmentOp op = op_of(name, &increasing);
    if (op == RANDAUGMENT_N_OPS)
        golden_problem(g, "unknown operation %s", name);
    else if (randaugment_op(op, randaugment_argument(op, level, increasing, negate), im, scratch,
                            &err) != MAE_OK)
        golden_problem(g, "%s: %s", name, err.message);
}

static void check_op(Golden *g, const TensorFile *s, const json_t *row, ResampleScratch *scratch) {
    const char *name = text_of(row, "name"), *op = text_of(row, "op");
    bool negate = golden_integer(row, "negated") == 1;
    double level = golden_number(row, "level");
    const json_t *args = json_object_get(row, "args");
    Image im = image_of(g, s, "input");
    if (!im.pixels) return;
    if (json_array_size(args) > 0) check_argument(g, op, level, negate, number_at(args, 0));
    apply_op(g, op, level, negate, &im, scratch);
    compare_image(g, s, name, &im);
}

void check_randaugment_ops(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *row;
    ResampleScratch scratch = {0};
    const TensorFile *s = golden_tensors(g, path);
    const json_t *j = golden_json(g, "augment/randaug.json");
    if (!s || !j) return;
    json_array_foreach(json_object_get(j, "op_order"), i, row) {
        bool increasing;
        compare_number(g, "place in the order", op_of(json_string_value(row), &increasing),
                       (double)i, 0);
    }
    json_array_foreach(json_object_get(j, "ops"), i, row) check_op(g, s, row, &scratch);
    json_array_foreach(json_object_get(j, "level_to_arg_unnegated"), i, row) check_argument(
        g, json_string_value(json_array_get(row, 0)), number_at(row, 1), false, number_at(row, 2));
    resample_scratch_free(&scratch);
}

static void check_trace(Golden *g, const TensorFile *s, const char *name, const json_t *steps,
                        ResampleScratch *scratch) {
    size_t i;
    json_t *step;
    Image im = image_of(g, s, "input");
    if (!im.pixels) return;
    json_array_foreach(steps, i, step) {
        bool applied = golden_number(step, "u") <= 0.5;
        compare_number(g, golden_text(g, "%s: step %zu applied", name, i), applied,
                       (double)golden_integer(step, "applied"), 0);
        if (applied)
            apply_op(g, text_of(step, "op"), golden_number(step, "magnitude"),
                     golden_number(step, "u_sign") > 0.5, &im, scratch);
    }
    compare_image(g, s, name, &im);
}

void check_randaugment_traces(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *steps;
    ResampleScratch scratch = {0};
    const TensorFile *s = golden_tensors(g, path);
    const json_t *j = golden_json(g, "augment/randaug.json");
    if (!s || !j) return;
    json_array_foreach(json_object_get(j, "traces"), i, steps)
        check_trace(g, s, golden_text(g, "trace%zu", i), steps, &scratch);
    resample_scratch_free(&scratch);
}

/* --- random erasing --------------------------------------------------------------------------- */

static void check_erase_box(Golden *g, const json_t *row, int64_t width, int64_t height) {
    Box box;
    const json_t *accepted = json_object_get(row, "accepted");
    bool fits = erase_box_size(golden_number(row, "area_fraction"),
                               golden_number(row, "log_aspect"), width, height, &box);
    compare_number(g, "height of the box", (double)box.height, golden_number(row, "h"), 0);
    compare_number(g, "width of the box", (double)box.width, golden_number(row, "w"), 0);
    compare_number(g, "the box is accepted", fits, accepted ? json_is_true(accepted) : 1, 0);
}

static void check_erased(Golden *g, const TensorFile *s, const json_t *row) {
    static const char *const modes[] = {"pixel", "rand", "const"};
    const char *mode = text_of(row, "mode");
    Shape shape;
    float *got = golden_reals(g, s, "image", &shape);
    float *want = golden_reals(g, s, golden_text(g, "%s.out", mode), NULL);
    float *noise = golden_reals(g, s, golden_text(g, "%s.noise", mode), NULL);
    int k = 0;
    while (k < 3 && strcmp(mode, modes[k]) != 0) k++;
    if (!got || !want || !noise || k == 3) return;
    check_erase_box(g, row, shape.dim[2], shape.dim[1]);
    Box box = {golden_integer(row, "left"), golden_integer(row, "top"), golden_integer(row, "w"),
               golden_integer(row, "h")};
    erase_fill(got, shape.dim[0], shape.dim[1], shape.dim[2], box, (EraseMode)k, noise);
    compare_bytes(g, mode, (const uint8_t *)got, (const uint8_t *)want,
                  shape_numel(shape) * (int64_t)sizeof *got);
}

void check_erasing(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *row;
    const TensorFile *s = golden_tensors(g, path);
    const json_t *j = golden_json(g, golden_sibling(g, path, ".json"));
    if (!s || !j) return;
    json_array_foreach(json_object_get(j, "cases"), i, row) check_erased(g, s, row);
    json_array_foreach(json_object_get(j, "box_table"), i, row)
        check_erase_box(g, row, golden_integer(row, "W"), golden_integer(row, "H"));
}

/* --- mixup and cutmix ------------------------------------------------------------------------- */

/* Where a case's lists have been read up to. */
typedef struct MixCase {
    const json_t *row;
    size_t draw, box;
    int64_t height, width;
} MixCase;

static int64_t next_draw(MixCase *c) {
    return (int64_t)number_at(json_object_get(c->row, "integer_draws"), c->draw++);
}

/* lam and use_cutmix are lists in the modes of several draws. */
static const json_t *of_item(const json_t *v, int64_t i) {
    return json_is_array(v) ? json_array_get(v, (size_t)i) : v;
}

static void compare_box(Golden *g, MixCase *c, const MixItem *m) {
    const json_t *row = json_array_get(json_object_get(c->row, "boxes"), c->box++);
    const json_t *want = json_object_get(row, "box_yl_yh_xl_xh");
    const int64_t got[] = {m->box.top, m->box.top + m->box.height, m->box.left,
                           m->box.left + m->box.width};
    for (size_t k = 0; k < 4; k++)
        compare_number(g, golden_text(g, "%s: box %zu", text_of(c->row, "name"), k), (double)got[k],
                       number_at(want, k), 0);
    compare_number(g, golden_text(g, "%s: lambda", text_of(c->row, "name")), m->lambda,
                   golden_number(row, "lam_corrected"), 0);
}

static MixItem next_item(Golden *g, MixCase *c, int64_t i) {
    bool minmax = json_is_array(json_object_get(c->row, "minmax"));
    double lambda = json_number_value(of_item(json_object_get(c->row, "lam"), i));
    MixBoxDraws d = {0};
    if (!json_is_true(of_item(json_object_get(c->row, "use_cutmix"), i)))
        return (MixItem){.lambda = lambda};
    d.y = next_draw(c);
    d.x = next_draw(c);
    if (minmax) d.top = next_draw(c);
    if (minmax) d.left = next_draw(c);
    MixItem m = mix_cut(lambda, c->height, c->width, minmax, d);
    compare_box(g, c, &m);
    return m;
}

static void check_mix_case(Golden *g, const TensorFile *s, const json_t *j, const json_t *row) {
    const Limit limit = {INFINITY, 1e-6};
    const char *name = text_of(row, "name"), *mode = text_of(row, "mode");
    int64_t O = golden_integer(j, "num_classes");
    Shape shape;
    float *images = golden_reals(g, s, "images", &shape);
    int64_t *labels = golden_ints(g, s, "labels", NULL);
    if (!images || !labels || O < 1) return;
    int64_t B = shape.dim[0];
    MixCase c = {.row = row, .height = shape.dim[2], .width = shape.dim[3]};
    MixItem *items = golden_memory(g, B, sizeof *items);
    int *classes = golden_memory(g, B, sizeof *classes);
    for (int64_t i = 0; i < B; i++) {
        bool new_draw = strcmp(mode, "batch") == 0  ? i == 0
                        : strcmp(mode, "pair") == 0 ? i < B / 2
                                                    : true;
        items[i] = new_draw                     ? next_item(g, &c, i)
                   : strcmp(mode, "batch") == 0 ? items[0]
                                                : items[B - 1 - i];
        classes[i] = (int)labels[i];
    }
    float *targets = golden_memory(g, B * O, sizeof *targets);
    mix_images(images, items, B, shape.dim[1], shape.dim[2], shape.dim[3]);
    mix_targets(targets, classes, items, B, O, golden_number(j, "smoothing"));
    compare_reals(g, golden_text(g, "%s.images", name), images,
                  golden_reals(g, s, golden_text(g, "%s.images", name), NULL), shape_numel(shape),
                  limit);
    compare_reals(g, golden_text(g, "%s.targets", name), targets,
                  golden_reals(g, s, golden_text(g, "%s.targets", name), NULL), B * O, limit);
}

void check_mixup(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    size_t i;
    json_t *row;
    const TensorFile *s = golden_tensors(g, path);
    const json_t *j = golden_json(g, golden_sibling(g, path, ".json"));
    if (!s || !j) return;
    json_array_foreach(json_object_get(j, "cases"), i, row) check_mix_case(g, s, j, row);
}

/* --- crops ------------------------------------------------------------------------------------ */

static void check_crop_once(Golden *g, size_t i, const json_t *row) {
    const json_t *pair = json_array_get(json_object_get(row, "draws"), 0);
    const double draw[2] = {number_at(pair, 0), number_at(pair, 1)};
    Box b =
        augment_crop_once_size(golden_integer(row, "width"), golden_integer(row, "height"), draw);
    compare_number(g, golden_text(g, "probe, row %zu: width", i), (double)b.width,
                   golden_number(row, "w"), 0);
    compare_number(g, golden_text(g, "probe, row %zu: height", i), (double)b.height,
                   golden_number(row, "h"), 0);
}

/* timm's crop, of the fine-tuning, differs from torchvision's in an exponential in double, which no
 * row of the table shows. */
static void check_crop_timm(Golden *g, size_t i, const json_t *row) {
    enum { MAX_DRAWS = 16 };
    double draws[MAX_DRAWS][2];
    bool fallback;
    const json_t *list = json_object_get(row, "draws");
    size_t n = json_array_size(list) < MAX_DRAWS ? json_array_size(list) : MAX_DRAWS;
    for (size_t k = 0; k < n; k++)
        for (size_t m = 0; m < 2; m++) draws[k][m] = number_at(json_array_get(list, k), m);
    Box b = augment_crop_size(golden_integer(row, "width"), golden_integer(row, "height"),
                              (const double(*)[2])draws, (int)n, 3.0 / 4, 4.0 / 3, &fallback);
    compare_number(g, golden_text(g, "timm, row %zu: width", i), (double)b.width,
                   golden_number(row, "w"), 0);
    compare_number(g, golden_text(g, "timm, row %zu: height", i), (double)b.height,
                   golden_number(row, "h"), 0);
    compare_number(g, golden_text(g, "timm, row %zu: fallback", i), fallback,
                   (double)golden_integer(row, "fallback"), 0);
}

/* The crop of the pre-training, the one of the probe, the one of fine-tuning. */
void check_crop_variants(Golden *g, const char *path, const json_t *entry) {
    size_t i;
    json_t *row;
    check_crop_sizes(g, path, entry);
    const json_t *rows = json_object_get(golden_json(g, path), "rows");
    json_array_foreach(json_object_get(rows, "mae_util_crop"), i, row) check_crop_once(g, i, row);
    json_array_foreach(json_object_get(rows, "timm"), i, row) check_crop_timm(g, i, row);
}
