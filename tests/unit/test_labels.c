/* Labels that lie on the image: a task whose labels are boxes takes images through source, loader,
 * crop and flip, and finds each box where its pixels went. */
#include <check.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/loader.h"
#include "scratch.h"

Suite *suite_labels(void);

enum { N = 24, SIDE = 48, BATCH = 5, EPOCHS = 3 };

/* --- the task: a box per image, as left, top, right, bottom ----------------------------------- */

typedef struct BoxLabel {
    double left, top, right, bottom; /* in the sample, uncut */
    bool flip;
} BoxLabel;

static atomic_int n_made, n_freed;

/* The list says the box where others say a class, and so the class is the box in words. */
static Status make_box(void *user, const Dataset *d, int64_t image, const Geometry *g, Label *out,
                       Error *err) {
    int l, t, r, b;
    const char *text = dataset_class_name(d, out->class);
    if (user && image == *(const int64_t *)user) return error_set(err, MAE_FORMAT, "no such box");
    if (sscanf(text, "%d %d %d %d", &l, &t, &r, &b) != 4)
        return error_set(err, MAE_FORMAT, "no box");
    BoxLabel *box = mem_alloc(sizeof *box);
    if (!box) return error_set(err, MAE_MEMORY, "no memory for a box");
    *box = (BoxLabel){l, t, r, b, g->flip};
    geometry_map(g, &box->left, &box->top);
    geometry_map(g, &box->right, &box->bottom);
    if (g->flip) {
        double left = box->left;
        box->left = box->right;
        box->right = left;
    }
    out->more = box;
    atomic_fetch_add(&n_made, 1);
    return MAE_OK;
}

static void free_box(void *more) {
    mem_free(more);
    atomic_fetch_add(&n_freed, 1);
}

static const LabelKind boxes = {.make = make_box, .free = free_box};

/* --- images ----------------------------------------------------------------------------------- */

/* Black, and white where the box is; grey, so that a JPEG keeps the edges. */
static void paint(uint8_t *row, int width, int y, const int box[4]) {
    for (int x = 0; x < width; x++)
        row[x] = x >= box[0] && x < box[2] && y >= box[1] && y < box[3] ? 255 : 0;
}

static void write_jpeg(const char *path, int width, int height, const int box[4]) {
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL, row[200];
    unsigned long n = 0;
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &bytes, &n);
    j.image_width = (JDIMENSION)width;
    j.image_height = (JDIMENSION)height;
    j.input_components = 1;
    j.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, 100, TRUE);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) {
        JSAMPROW rows[] = {row};
        paint(row, width, (int)j.next_scanline, box);
        jpeg_write_scanlines(&j, rows, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    scratch_write(path, bytes, n);
    free(bytes);
}

static void write_png(const char *path, int width, int height, const int box[4]) {
    Image im;
    ck_assert_int_eq(image_new(&im, MAE_U8, width, height, 1, NULL), MAE_OK);
    for (int y = 0; y < height; y++) paint(im.pixels + y * width, width, y, box);
    ck_assert_int_eq(image_write_png(path, &im, NULL), MAE_OK);
    image_free(&im);
}

/* JPEG and PNG of all sizes in turn; broken: that one is no image. */
static Dataset *open_boxes(int broken) {
    char list[N * 64] = "";
    size_t used = 0;
    Dataset *d = NULL;
    Error err = {0};
    Rng rng = rng_make(3, RNG_SYNTHETIC, 0, 0);
    for (int i = 0; i < N; i++) {
        int w = 60 + (int)rng_below(&rng, 120), h = 60 + (int)rng_below(&rng, 120);
        int l = (int)rng_below(&rng, w / 2), t = (int)rng_below(&rng, h / 2);
        int box[4] = {l, t, l + w / 4 + (int)rng_below(&rng, w / 4),
                      t + h / 4 + (int)rng_below(&rng, h / 4)};
        char *path = scratch_path(i % 2 ? "%02d.jpg" : "%02d.png", i);
        if (i == broken)
            scratch_text(path, "broken");
        else if (i % 2)
            write_jpeg(path, w, h, box);
        else
            write_png(path, w, h, box);
        used += (size_t)snprintf(list + used, sizeof list - used, "%s\t%d %d %d %d\n",
                                 strrchr(path, '/') + 1, box[0], box[1], box[2], box[3]);
    }
    scratch_text(scratch_path("boxes.tsv"), list);
    Status status =
        dataset_open(scratch_path("boxes.tsv"), (DatasetOptions){.channels = 3}, &d, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    return d;
}

/* --- boxes against pixels --------------------------------------------------------------------- */

static double inside(double v) {
    return fmin(fmax(v, 0), SIDE);
}

/* White pixels of a row (step 3) or a column (step 3 SIDE): how many, and the middle of them. */
static double measure(const uint8_t *at, int64_t step, double *middle) {
    double n = 0, sum = 0;
    for (int i = 0; i < SIDE; i++) {
        n += at[i * step] / 255.0;
        sum += (i + 0.5) * at[i * step] / 255.0;
    }
    *middle = sum / n;
    return n;
}

/* Both edges are blurred alike, by a pixel of the source or two. What clipping the overshoot of the
 * kernel takes is below half a pixel; a box of few pixels has no row of its own to measure. */
static void check_side(const uint8_t *at, int64_t step, double from, double to) {
    double middle, n = measure(at, step, &middle);
    ck_assert_double_eq_tol(n, to - from, 1);
    if (to - from > 4) ck_assert_double_eq_tol(middle, (from + to) / 2, 1);
}

/* Returns whether there was something to see. */
static bool check_box(const uint8_t *pixels, const BoxLabel *b) {
    double left = inside(b->left), right = inside(b->right);
    double top = inside(b->top), bottom = inside(b->bottom);
    ck_assert(b->left < b->right && b->top < b->bottom);
    if (right - left < 4 || bottom - top < 4) return false;
    int x = (int)((left + right) / 2), y = (int)((top + bottom) / 2);
    check_side(pixels + y * SIDE * 3, 3, left, right);
    check_side(pixels + x * 3, SIDE * 3, top, bottom);
    return true;
}

typedef struct Seen {
    int64_t sample;
    BoxLabel box;
} Seen;

typedef struct Counts {
    int visible, flipped, cut;
} Counts;

static int64_t see_all(Dataset *d, LoaderOptions o, Seen *out, Counts *c) {
    Error err = {0};
    Loader *l = NULL;
    int64_t n = 0;
    Batch b;
    ck_assert_msg(loader_open(d, o, &l, &err) == MAE_OK, "%s", err.message);
    for (;;) {
        ck_assert_msg(loader_next(l, &b, &err) == MAE_OK, "%s", err.message);
        if (b.n == 0) break;
        for (int64_t i = 0; i < b.n; i++, n++) {
            const BoxLabel *box = b.labels[i].more;
            out[n] = (Seen){b.samples[i], *box};
            c->visible += check_box(b.pixels + i * SIDE * SIDE * 3, box);
            c->flipped += box->flip;
            c->cut += box->left < 0 || box->right > SIDE;
        }
    }
    loader_close(l);
    return n;
}

static LoaderOptions options_for(AugmentKind kind, int n_workers) {
    return (LoaderOptions){.augment = {.kind = kind,
                                       .height = SIDE,
                                       .width = SIDE,
                                       .min_scale = 0.2,
                                       .max_scale = 1,
                                       .min_ratio = 3.0 / 4,
                                       .max_ratio = 4.0 / 3,
                                       .flip = 0.5},
                           .batch = BATCH,
                           .n_workers = n_workers,
                           .seed = 11,
                           .shuffle = true,
                           .repeat = 1,
                           .n_epochs = EPOCHS,
                           .labels = &boxes};
}

START_TEST(boxes_lie_where_their_pixels_went) {
    static const AugmentKind kinds[] = {AUGMENT_NONE, AUGMENT_CROP_FIXED, AUGMENT_CROP,
                                        AUGMENT_CROP_ONCE, AUGMENT_EVAL};
    Dataset *d = open_boxes(-1);
    Seen first[N * EPOCHS], other[N * EPOCHS];
    memset(first, 0, sizeof first);
    memset(other, 0, sizeof other);
    for (size_t k = 0; k < 5; k++) {
        Counts c = {0};
        bool random = kinds[k] != AUGMENT_NONE && kinds[k] != AUGMENT_EVAL;
        int made = n_made;
        ck_assert_int_eq(see_all(d, options_for(kinds[k], 0), first, &c), N * EPOCHS);
        ck_assert_int_gt(c.visible, N * EPOCHS * 3 / 4);
        ck_assert(random ? c.flipped > N && c.flipped < 2 * N : c.flipped == 0);
        ck_assert((c.cut > 0) == (kinds[k] != AUGMENT_NONE));
        ck_assert_int_eq(n_made - made, N * EPOCHS);
        for (int workers = 1; workers <= 4; workers++) {
            ck_assert_int_eq(see_all(d, options_for(kinds[k], workers), other, &c), N * EPOCHS);
            for (int i = 0; i < N * EPOCHS; i++) {
                ck_assert_int_eq(first[i].sample, other[i].sample);
                ck_assert_mem_eq(&first[i].box, &other[i].box, offsetof(BoxLabel, flip));
            }
        }
        ck_assert_int_eq(n_made, n_freed);
    }
    dataset_close(d);
}
END_TEST

/* What lies behind a gap moves to the front with its label. */
START_TEST(gaps_close_with_their_labels) {
    Dataset *d = open_boxes(6);
    Seen seen[N * EPOCHS];
    Counts c = {0};
    LoaderOptions o = options_for(AUGMENT_EVAL, 2);
    o.shuffle = false;
    o.leave_out = true;
    ck_assert_int_eq(see_all(d, o, seen, &c), (N - 1) * EPOCHS);
    for (int i = 0; i < (N - 1) * EPOCHS; i++)
        ck_assert_int_eq(seen[i].sample, i % (N - 1) + (i % (N - 1) >= 6));
    ck_assert_int_eq(n_made, n_freed);
    dataset_close(d);
}
END_TEST

/* A label that cannot be made fails its batch, every time it is asked for, and names the image. */
START_TEST(a_failure_names_the_image) {
    Dataset *d = open_boxes(-1);
    int64_t bad = 7;
    LabelKind kind = {.make = make_box, .free = free_box, .user = &bad};
    for (int workers = 0; workers <= 2; workers += 2) {
        LoaderOptions o = options_for(AUGMENT_EVAL, workers);
        Error err = {0};
        Loader *l = NULL;
        Batch b;
        o.labels = &kind;
        o.shuffle = false;
        ck_assert_int_eq(loader_open(d, o, &l, &err), MAE_OK);
        ck_assert_int_eq(loader_next(l, &b, &err), MAE_OK);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(loader_next(l, &b, &err), MAE_FORMAT);
            ck_assert_ptr_nonnull(strstr(err.message, "07.jpg: no such box"));
        }
        loader_close(l);
        ck_assert_int_eq(n_made, n_freed);
    }
    dataset_close(d);
}
END_TEST

Suite *suite_labels(void) {
    Suite *s = suite_create("labels");
    TCase *c = tcase_create("labels");
    tcase_add_checked_fixture(c, scratch_make, scratch_remove);
    tcase_add_test(c, boxes_lie_where_their_pixels_went);
    tcase_add_test(c, gaps_close_with_their_labels);
    tcase_add_test(c, a_failure_names_the_image);
    suite_add_tcase(s, c);
    return s;
}
