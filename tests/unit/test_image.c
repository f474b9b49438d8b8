/* Decoding against golden pixels, and against files made here; damage of every kind must end in an
 * image or a message, never in a crash. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <webp/encode.h>

#include "base/memory.h"
#include "base/rng.h"
#include "data/image/image.h"
#include "golden_dir.h"

Suite *suite_image(void);

static Image noise_image(int64_t width, int64_t height, int64_t channels) {
    Image im;
    ck_assert_int_eq(image_new(&im, MAE_U8, width, height, channels, NULL), MAE_OK);
    Rng rng = rng_make(7, RNG_SYNTHETIC, 0, 0);
    for (int64_t i = 0; i < width * height * channels; i++)
        im.pixels[i] = (uint8_t)((i / channels % width * 3 + rng_below(&rng, 40)) % 256);
    return im;
}

/* How a JPEG is made: luminance sampling against 1 x 1 of the chroma, and the coding. */
typedef struct JpegForm {
    int across, down;
    bool progressive, arithmetic;
    int quality;
} JpegForm;

/* JPEG bytes in fresh malloc memory (libjpeg's own). */
static unsigned char *make_jpeg_of(const Image *im, JpegForm form, unsigned long *n) {
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    *n = 0;
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &bytes, n);
    j.image_width = (JDIMENSION)im->width;
    j.image_height = (JDIMENSION)im->height;
    j.input_components = (int)im->channels;
    j.in_color_space = im->channels == 1 ? JCS_GRAYSCALE : im->channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&j);
    if (form.quality) jpeg_set_quality(&j, form.quality, TRUE);
    j.comp_info[0].h_samp_factor = form.across;
    j.comp_info[0].v_samp_factor = form.down;
    j.arith_code = form.arithmetic;
    j.restart_interval = 3;
    if (form.progressive) jpeg_simple_progression(&j);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) {
        JSAMPROW row = im->pixels + (int64_t)j.next_scanline * im->width * im->channels;
        jpeg_write_scanlines(&j, &row, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    return bytes;
}

static unsigned char *make_jpeg(const Image *im, bool progressive, unsigned long *n) {
    return make_jpeg_of(im, (JpegForm){.across = 2, .down = 2, .progressive = progressive}, n);
}

/* Decodes from memory that is exactly as long as the data, so that a sanitizer sees overreads. */
static Status decode_copy(const uint8_t *bytes, size_t n, int channels, Image *out, Error *err) {
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    Status status = image_decode("copy.img", copy, n, channels, out, err);
    free(copy);
    return status;
}

static void check_golden_tensor(const TensorFile *f, const TensorEntry *t) {
    char name[128], path[512];
    snprintf(name, sizeof name, "augment/decode/%s", t->name);
    if (!golden_path(path, sizeof path, name)) return;
    Image im;
    Error err = {0};
    ck_assert_msg(image_load_crop(path, 3, 0, NULL, &im, &err) == MAE_OK, "%s", err.message);
    ck_assert_int_eq(im.height, t->shape.dim[0]);
    ck_assert_int_eq(im.width, t->shape.dim[1]);
    size_t bytes = (size_t)(im.width * im.height * 3);
    uint8_t *want = golden_pixels(f, t->name, (int64_t)bytes);
    ck_assert_msg(memcmp(im.pixels, want, bytes) == 0, "%s differs", t->name);
    free(want);
    image_free(&im);
}

START_TEST(golden) {
    char path[512];
    if (!golden_path(path, sizeof path, "augment/decode.safetensors")) return;
    TensorFile *f = golden_open(path);
    ck_assert_uint_gt(tensorfile_count(f), 0);
    for (size_t i = 0; i < tensorfile_count(f); i++) check_golden_tensor(f, tensorfile_at(f, i));
    tensorfile_close(f);
}
END_TEST

START_TEST(png_round_trip) {
    char dir[] = "/tmp/mae-test-image-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.PNG", dir);
    for (int channels = 1; channels <= 3; channels += 2) {
        Image in = noise_image(37, 11, channels), out;
        Error err = {0};
        ck_assert_msg(image_write_png(path, &in, &err) == MAE_OK, "%s", err.message);
        ck_assert_msg(image_load_crop(path, channels, 0, NULL, &out, &err) == MAE_OK, "%s",
                      err.message);
        ck_assert_int_eq(out.width, 37);
        ck_assert_int_eq(out.height, 11);
        ck_assert_mem_eq(in.pixels, out.pixels, (size_t)(37 * 11 * channels));
        image_free(&in);
        image_free(&out);
    }
    unlink(path);
    rmdir(dir);
}
END_TEST

START_TEST(jpeg_made_here) {
    for (int channels = 1; channels <= 3; channels += 2) {
        Image in = noise_image(50, 33, channels), out;
        unsigned long n;
        unsigned char *bytes = make_jpeg(&in, channels == 1, &n);
        ck_assert_int_eq(decode_copy(bytes, n, 3, &out, NULL), MAE_OK);
        ck_assert(out.width == 50 && out.height == 33 && out.channels == 3);
        if (channels == 1) ck_assert_uint_eq(out.pixels[0], out.pixels[2]);
        image_free(&out);
        ck_assert_int_eq(decode_copy(bytes, n, 1, &out, NULL), MAE_OK);
        ck_assert_int_eq(out.channels, 1);
        image_free(&out);
        free(bytes);
        image_free(&in);
    }
}
END_TEST

static Box give_box(void *user, int64_t width, int64_t height) {
    (void)width;
    (void)height;
    return *(const Box *)user;
}

/* The decoded crop has the pixels of the whole image; returns how many pixels were decoded. */
static int64_t check_crop(const uint8_t *bytes, size_t n, const Image *whole, Box box, bool end) {
    Image part;
    Error err = {0};
    ImageCrop crop = {.choose = give_box, .user = &box, .to_the_end = end};
    Status status =
        image_decode_crop("a.jpg", bytes, n, (int)whole->channels, 0, &crop, &part, &err);
    ck_assert_msg(status == MAE_OK, "%s", err.message);
    ck_assert(crop.box.width == box.width && crop.box.height == box.height);
    ck_assert(crop.box.left + box.width <= part.width && crop.box.top + box.height <= part.height);
    int64_t c = whole->channels, size = part.width * part.height;
    for (int64_t y = 0; y < box.height; y++) {
        const uint8_t *is = part.pixels + ((crop.box.top + y) * part.width + crop.box.left) * c;
        const uint8_t *must = whole->pixels + ((box.top + y) * whole->width + box.left) * c;
        ck_assert_msg(memcmp(is, must, (size_t)(box.width * c)) == 0,
                      "row %lld of %lldx%lld+%lld+%lld", (long long)y, (long long)box.width,
                      (long long)box.height, (long long)box.left, (long long)box.top);
    }
    image_free(&part);
    return size;
}

static Box random_box(Rng *rng, int64_t width, int64_t height) {
    bool small = rng_below(rng, 2) == 0;
    Box b = {.width = 1 + rng_below(rng, small && width > 9 ? 9 : width),
             .height = 1 + rng_below(rng, small && height > 9 ? 9 : height)};
    b.left = rng_below(rng, width - b.width + 1);
    b.top = rng_below(rng, height - b.height + 1);
    return b;
}

/* Every layout of chroma and every coding; progressive ones are decoded whole. */
START_TEST(jpeg_crops) {
    static const JpegForm forms[] = {{.across = 1, .down = 1}, {.across = 2, .down = 1},
                                     {.across = 1, .down = 2}, {.across = 2, .down = 2},
                                     {.across = 4, .down = 1}, {2, 2, true, false, 0},
                                     {2, 2, false, true, 0}};
    Rng rng = rng_make(8, RNG_SYNTHETIC, 0, 0);
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
        for (int64_t channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
            Image in = noise_image(121, 95, channels), whole;
            unsigned long n;
            unsigned char *bytes = make_jpeg_of(&in, forms[f], &n);
            int64_t all = in.width * in.height, decoded = 0;
            ck_assert_int_eq(decode_copy(bytes, n, 3, &whole, NULL), MAE_OK);
            for (int i = 0; i < 60; i++)
                decoded += check_crop(bytes, n, &whole, random_box(&rng, 121, 95), i % 2 == 0);
            if (forms[f].progressive || forms[f].arithmetic)
                ck_assert_int_eq(decoded, 60 * all);
            else
                ck_assert_int_lt(decoded, 60 * all / 2);
            check_crop(bytes, n, &whole, (Box){0, 0, 121, 95}, true);
            image_free(&whole);
            image_free(&in);
            free(bytes);
        }
}
END_TEST

/* The crop needs the top only; what is missing below it counts where one asks for it. */
START_TEST(jpeg_crop_to_the_end) {
    Image in = noise_image(120, 200, 3), out;
    unsigned long n;
    unsigned char *bytes = make_jpeg(&in, false, &n);
    Box box = {8, 8, 40, 20};
    ImageCrop crop = {.choose = give_box, .user = &box};
    Error err = {0};
    ck_assert_int_eq(image_decode_crop("a.jpg", bytes, n / 2, 3, 0, &crop, &out, NULL), MAE_OK);
    image_free(&out);
    crop.to_the_end = true;
    ck_assert_int_eq(image_decode_crop("a.jpg", bytes, n / 2, 3, 0, &crop, &out, &err), MAE_FORMAT);
    ck_assert_ptr_null(out.pixels);
    free(bytes);
    image_free(&in);
}
END_TEST

/* Smaller only as long as the box keeps its least size, and about the same picture. */
START_TEST(jpeg_smaller) {
    Image in = noise_image(160, 120, 3), out;
    unsigned long n;
    for (int64_t i = 0; i < 160 * 120 * 3; i++) in.pixels[i] = (uint8_t)(i / 3 % 160);
    unsigned char *bytes = make_jpeg_of(&in, (JpegForm){.across = 1, .down = 1, .quality = 95}, &n);
    Box box = {16, 8, 128, 96};
    for (int64_t least = 10; least <= 140; least += 10) {
        ImageCrop crop = {.choose = give_box, .user = &box, .min_width = least, .min_height = 12};
        ck_assert_int_eq(image_decode_crop("a.jpg", bytes, n, 3, 0, &crop, &out, NULL), MAE_OK);
        int64_t eighths = least > 64 ? 8 : least > 32 ? 4 : least > 16 ? 2 : 1;
        ck_assert_int_eq(crop.box.width, 16 * eighths);
        ck_assert_int_eq(crop.box.height, 12 * eighths);
        int64_t middle = (crop.box.top * out.width + crop.box.left + 8 * eighths) * 3;
        ck_assert_int_lt(abs(out.pixels[middle] - (16 + 64)), 6);
        image_free(&out);
    }
    free(bytes);
    image_free(&in);
}
END_TEST

START_TEST(webp_lossless) {
    Image in = noise_image(21, 17, 3), out;
    uint8_t *bytes = NULL;
    size_t n = WebPEncodeLosslessRGB(in.pixels, 21, 17, 63, &bytes);
    ck_assert_uint_gt(n, 0);
    ck_assert_int_eq(decode_copy(bytes, n, 3, &out, NULL), MAE_OK);
    ck_assert_mem_eq(in.pixels, out.pixels, 21 * 17 * 3);
    image_free(&out);
    Error err = {0};
    ck_assert_int_eq(decode_copy(bytes, n / 2, 3, &out, &err), MAE_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "copy.img"));
    WebPFree(bytes);
    image_free(&in);
}
END_TEST

START_TEST(truncated_jpeg) {
    for (int progressive = 0; progressive < 2; progressive++) {
        Image in = noise_image(120, 90, 3), out;
        unsigned long n;
        unsigned char *bytes = make_jpeg(&in, progressive, &n);
        for (size_t cut = 0; cut + 64 < n; cut += 64) {
            Error err = {0};
            ck_assert_int_eq(decode_copy(bytes, cut, 3, &out, &err), MAE_FORMAT);
            ck_assert_ptr_null(out.pixels);
            ck_assert_ptr_nonnull(strstr(err.message, "copy.img"));
        }
        free(bytes);
        image_free(&in);
    }
}
END_TEST

/* Flips single bytes; any answer will do, as long as there is one and it is consistent. */
static void flip_bytes(const uint8_t *bytes, size_t n, int n_trials) {
    Rng rng = rng_make(3, RNG_SYNTHETIC, 1, 1);
    uint8_t *copy = malloc(n);
    for (int i = 0; i < n_trials; i++) {
        memcpy(copy, bytes, n);
        for (int64_t k = rng_below(&rng, 4); k >= 0; k--)
            copy[rng_below(&rng, (int64_t)n)] = (uint8_t)rng_u32(&rng);
        Image out;
        Error err = {0};
        Status status = decode_copy(copy, n, 3, &out, &err);
        ck_assert((status == MAE_OK) == (out.pixels != NULL));
        ck_assert((status == MAE_OK) == (err.message[0] == 0));
        image_free(&out);
    }
    free(copy);
}

START_TEST(damaged) {
    Image in = noise_image(48, 40, 3);
    unsigned long n;
    for (int progressive = 0; progressive < 2; progressive++) {
        unsigned char *bytes = make_jpeg(&in, progressive, &n);
        flip_bytes(bytes, n, 400);
        free(bytes);
    }
    uint8_t *webp = NULL;
    size_t n_webp = WebPEncodeRGB(in.pixels, 48, 40, 144, 70, &webp);
    flip_bytes(webp, n_webp, 400);
    WebPFree(webp);
    image_free(&in);

    char path[512];
    uint8_t *png = NULL;
    size_t n_png = 0;
    if (!golden_path(path, sizeof path, "augment/decode/palette.png")) return;
    ck_assert_int_eq(file_read(path, 1 << 20, &png, &n_png, NULL), MAE_OK);
    flip_bytes(png, n_png, 400);
    mem_free(png);
}
END_TEST

START_TEST(refused) {
    static const char text[] = "This is a text, not an image.";
    Image out;
    Error err = {0};
    ck_assert_int_eq(image_decode("a.jpg", text, sizeof text, 3, &out, &err), MAE_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "a.jpg"));
    ck_assert_ptr_nonnull(strstr(err.message, "WebP"));
    ck_assert_int_eq(image_decode("a.jpg", text, 0, 3, &out, NULL), MAE_FORMAT);
    ck_assert_int_eq(image_new(&out, MAE_U8, 1 << 20, 1 << 20, 3, NULL), MAE_UNSUPPORTED);
    ck_assert_int_eq(image_new(&out, MAE_U8, 0, 5, 3, NULL), MAE_FORMAT);
    image_free(&out);
}
END_TEST

START_TEST(names) {
    ck_assert(image_is_name("a/b.JPEG") && image_is_name("x.jpg") && image_is_name("x.y.Png"));
    ck_assert(image_is_name("x.webp"));
    ck_assert(!image_is_name("x.txt") && !image_is_name("jpg") && !image_is_name("a.jpg/b"));
    ck_assert(!image_is_name("a/.jpg") && !image_is_name(""));
}
END_TEST

Suite *suite_image(void) {
    Suite *s = suite_create("image");
    TCase *c = tcase_create("image");
    tcase_add_test(c, golden);
    tcase_add_test(c, png_round_trip);
    tcase_add_test(c, jpeg_made_here);
    tcase_add_test(c, jpeg_crops);
    tcase_add_test(c, jpeg_crop_to_the_end);
    tcase_add_test(c, jpeg_smaller);
    tcase_add_test(c, webp_lossless);
    tcase_add_test(c, truncated_jpeg);
    tcase_add_test(c, damaged);
    tcase_add_test(c, refused);
    tcase_add_test(c, names);
    suite_add_tcase(s, c);
    return s;
}
