/* Images of 16 bits, of float32, and of any number of channels, from a program to the first kernel:
 * what a loader makes of them against crop, resize and flip written out band by band. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/loader.h"
#include "kernels/device.h"

Suite *suite_typed(void);

enum { SIDE = 8, COUNT = 7, HEIGHT = 19, WIDTH = 23 };

static const MaeType TYPES[] = {MAE_U8, MAE_U16, MAE_F32};
static const int64_t CHANNELS[] = {1, 2, 3, 5, 64};
enum { N_KINDS = 15 };

typedef struct Given {
    Image images[COUNT];
    MaeSource source;
    Dataset *dataset;
} Given;

static MaeStatus fetch(void *user, int64_t i, MaeImage *out, MaeError *err) {
    (void)err;
    const Image *im = &((Given *)user)->images[i];
    *out = (MaeImage){.pixels = im->pixels,
                      .type = im->type,
                      .height = im->height,
                      .width = im->width,
                      .channels = im->channels};
    return MAE_OK;
}

static void given_open_typed(Given *g, MaeType type, int64_t channels) {
    Rng rng = rng_make(1, RNG_SYNTHETIC, type, (uint64_t)channels);
    Error err = {0};
    for (int i = 0; i < COUNT; i++) {
        Image *im = &g->images[i];
        ck_assert_int_eq(image_new(im, type, WIDTH, HEIGHT, channels, NULL), MAE_OK);
        for (int64_t k = 0; k < WIDTH * HEIGHT * channels; k++) {
            if (type == MAE_U8) im->pixels[k] = (uint8_t)rng_u32(&rng);
            if (type == MAE_U16) im->u16[k] = (uint16_t)rng_u32(&rng);
            if (type == MAE_F32) im->f32[k] = (float)rng_range(&rng, -3, 1000);
        }
    }
    g->source = (MaeSource){.user = g, .name = "typed", .count = COUNT, .fetch = fetch};
    DatasetOptions o = {.channels = (int)channels, .type = type, .memory = &g->source};
    ck_assert_msg(dataset_open("memory:typed", o, &g->dataset, &err) == MAE_OK, "%s", err.message);
}

static void given_close_typed(Given *g) {
    dataset_close(g->dataset);
    for (int i = 0; i < COUNT; i++) image_free(&g->images[i]);
}

static LoaderOptions options_for(AugmentKind kind) {
    return (LoaderOptions){.batch = 3,
                           .n_workers = 2,
                           .seed = 5,
                           .repeat = 1,
                           .n_epochs = 2,
                           .augment = {.kind = kind,
                                       .height = SIDE,
                                       .width = SIDE,
                                       .min_scale = 0.2,
                                       .max_scale = 1,
                                       .min_ratio = 3.0 / 4,
                                       .max_ratio = 4.0 / 3,
                                       .flip = 0.5}};
}

/* Band c of im alone. */
static Image band_of(const Image *im, int64_t c) {
    Image band;
    size_t value = image_value_bytes(im->type);
    ck_assert_int_eq(image_new(&band, im->type, im->width, im->height, 1, NULL), MAE_OK);
    for (int64_t i = 0; i < im->width * im->height; i++)
        memcpy(band.pixels + (size_t)i * value, im->pixels + (size_t)(i * im->channels + c) * value,
               value);
    return band;
}

static void compare_band(const Image *band, const Geometry *g, const uint8_t *pixels, int64_t c,
                         int64_t channels) {
    Image small;
    size_t value = image_value_bytes(band->type);
    ck_assert_int_eq(resample_crop(band, g->box, SIDE, SIDE, &small, NULL), MAE_OK);
    for (int64_t y = 0; y < SIDE; y++)
        for (int64_t x = 0; x < SIDE; x++) {
            int64_t from = y * SIDE + (g->flip ? SIDE - 1 - x : x);
            ck_assert_mem_eq(pixels + (size_t)((y * SIDE + x) * channels + c) * value,
                             small.pixels + (size_t)from * value, value);
        }
    image_free(&small);
}

static int64_t compare_batch(const Given *g, const LoaderOptions *o, const Batch *b) {
    int64_t flipped = 0, C = g->images[0].channels;
    size_t bytes = SIDE * SIDE * (size_t)C * image_value_bytes(b->type);
    for (int64_t i = 0; i < b->n; i++) {
        const Image *im = &g->images[b->samples[i]];
        Geometry drawn = augment_draw(&o->augment, WIDTH, HEIGHT, o->seed, (uint64_t)b->epoch,
                                      (uint64_t)b->samples[i]);
        for (int64_t c = 0; c < C; c++) {
            Image band = band_of(im, c);
            compare_band(&band, &drawn, b->pixels + (size_t)i * bytes, c, C);
            image_free(&band);
        }
        flipped += drawn.flip;
    }
    return flipped;
}

START_TEST(bands_are_cropped_resized_and_flipped) {
    Given g = {0};
    Error err = {0};
    Loader *l = NULL;
    Batch b = {0};
    int64_t n = 0, flipped = 0;
    LoaderOptions o = options_for(AUGMENT_CROP);
    given_open_typed(&g, TYPES[_i % 3], CHANNELS[_i / 3]);
    ck_assert_msg(loader_open(g.dataset, o, &l, &err) == MAE_OK, "%s", err.message);
    do {
        ck_assert_msg(loader_next(l, &b, &err) == MAE_OK, "%s", err.message);
        ck_assert(b.n == 0 || b.type == TYPES[_i % 3]);
        flipped += compare_batch(&g, &o, &b);
        n += b.n;
    } while (b.n > 0);
    ck_assert_int_eq(n, 2 * COUNT);
    ck_assert(flipped > 0 && flipped < n);
    loader_close(l);
    given_close_typed(&g);
}
END_TEST

/* Images that come normalised have the bits of the first kernel, on every device the row's. */
START_TEST(normalised_as_the_kernel_does) {
    static const Number numbers[] = {NUMBER_U8, NUMBER_U16, NUMBER_F32};
    Given g = {0};
    Loader *l = NULL;
    Device *device = NULL;
    Batch b = {0};
    float mean[64], std[64];
    int64_t C = CHANNELS[_i / 3], values = SIDE * SIDE * C;
    PatchGrid grid = {.height = SIDE, .width = SIDE, .channels = C, .patch = 1};
    LoaderOptions o = options_for(AUGMENT_EVAL);
    for (int c = 0; c < 64; c++) {
        mean[c] = 0.25f + (float)c / 200;
        std[c] = 0.1f + (float)c / 100;
    }
    o.mean = mean;
    o.std = std;
    given_open_typed(&g, TYPES[_i % 3], C);
    float *want = malloc((size_t)(3 * values) * sizeof *want);
    ck_assert_int_eq(device_open("ref", 1, NULL, &device, NULL), MAE_OK);
    ck_assert_int_eq(loader_open(g.dataset, o, &l, NULL), MAE_OK);
    ck_assert_int_eq(loader_next(l, &b, NULL), MAE_OK);
    ck_assert_int_eq(b.n, 3);
    device->kernels.image_normalize(device, want, b.pixels, numbers[_i % 3], mean, std, b.n, grid);
    ck_assert_mem_eq(b.images, want, (size_t)(3 * values) * sizeof *want);
    loader_close(l);
    device_close(device);
    free(want);
    given_close_typed(&g);
}
END_TEST

static void refuse_augment(const Given *g, Augment a, const char *part) {
    Error err = {0};
    Loader *l = NULL;
    LoaderOptions o = options_for(AUGMENT_CROP);
    a.height = a.width = SIDE;
    o.augment = a;
    ck_assert_int_eq(loader_open(g->dataset, o, &l, &err), MAE_USAGE);
    ck_assert_ptr_null(l);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' lacks '%s'", err.message, part);
}

/* Before the first image is read. */
START_TEST(colours_of_other_images_are_refused) {
    static const struct {
        MaeType type;
        int64_t channels;
        const char *what;
    } kinds[] = {
        {MAE_U16, 3, "16-bit of 3"}, {MAE_F32, 1, "float32 of 1"}, {MAE_U8, 5, "8-bit of 5"}};
    for (size_t i = 0; i < 3; i++) {
        Given g = {0};
        given_open_typed(&g, kinds[i].type, kinds[i].channels);
        refuse_augment(&g, (Augment){.kind = AUGMENT_CROP_JITTER}, "colour jitter");
        refuse_augment(&g, (Augment){.kind = AUGMENT_CROP, .jitter = true}, kinds[i].what);
        refuse_augment(&g, (Augment){.randaugment = {.n_ops = 2}}, "RandAugment");
        refuse_augment(&g, (Augment){.severity = 3}, "corruption");
        given_close_typed(&g);
    }
}
END_TEST

/* All images of a set are of one type and have its channels. */
START_TEST(other_images_are_refused) {
    Given g = {0};
    Error err = {0};
    Sample s;
    given_open_typed(&g, MAE_U16, 5);
    image_free(&g.images[1]);
    image_free(&g.images[2]);
    ck_assert_int_eq(image_new(&g.images[1], MAE_U8, WIDTH, HEIGHT, 5, NULL), MAE_OK);
    ck_assert_int_eq(image_new(&g.images[2], MAE_U16, WIDTH, HEIGHT, 3, NULL), MAE_OK);
    ck_assert_int_eq(dataset_fetch(g.dataset, 0, &s, NULL), MAE_OK);
    dataset_release(&s);
    ck_assert_int_eq(dataset_fetch(g.dataset, 1, &s, &err), MAE_UNSUPPORTED);
    ck_assert_msg(strstr(err.message, "type U8, where U16") != NULL, "%s", err.message);
    err = (Error){0};
    ck_assert_int_eq(dataset_fetch(g.dataset, 2, &s, &err), MAE_UNSUPPORTED);
    ck_assert_msg(strstr(err.message, "3 channels, where the model has 5") != NULL, "%s",
                  err.message);
    given_close_typed(&g);
}
END_TEST

Suite *suite_typed(void) {
    Suite *s = suite_create("typed");
    TCase *t = tcase_create("typed");
    tcase_add_loop_test(t, bands_are_cropped_resized_and_flipped, 0, N_KINDS);
    tcase_add_loop_test(t, normalised_as_the_kernel_does, 0, N_KINDS);
    tcase_add_test(t, colours_of_other_images_are_refused);
    tcase_add_test(t, other_images_are_refused);
    suite_add_tcase(s, t);
    return s;
}
