/* What decoding leaves out is noticed and counted, what is no image is named; the files are made
 * here, chunk by chunk. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <webp/encode.h>
#include <zlib.h>

#include "data/dataset.h"
#include "data/image/image_kind.h"
#include "data/image/image_notes.h"
#include "scratch.h"
#include "set_log.h"

Suite *suite_image_notes(void);

enum { SIDE = 4, MAX_FILE = 4096 };

/* A file being made. */
typedef struct File {
    uint8_t bytes[MAX_FILE];
    size_t n;
} File;

static void put(File *f, const void *data, size_t n) {
    ck_assert_uint_le(f->n + n, sizeof f->bytes);
    memcpy(f->bytes + f->n, data, n);
    f->n += n;
}

static void put_number(File *f, uint32_t v) {
    const uint8_t b[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    put(f, b, 4);
}

static void chunk(File *f, const char *name, const void *data, size_t n) {
    put_number(f, (uint32_t)n);
    size_t at = f->n;
    put(f, name, 4);
    put(f, data, n);
    put_number(f, (uint32_t)crc32(0, f->bytes + at, (uInt)(n + 4)));
}

/* TIFF's directory of one entry, orientation. */
static size_t make_exif(uint8_t *to, int orientation, bool little) {
    static const uint8_t small[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0};
    static const uint8_t big[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1};
    memset(to, 0, 26);
    memcpy(to, little ? small : big, sizeof small);
    to[little ? 18 : 19] = (uint8_t)orientation;
    return 26;
}

/* What a PNG of SIDE x SIDE is made of; value fills samples, alpha the last channel where there is
 * one. */
typedef struct PngForm {
    int colour, depth, value, alpha;
    bool transparent_colour, animated;
    int orientation; /* 0: none */
} PngForm;

static File make_png(PngForm form) {
    static const int channels_of[] = {1, 0, 3, 1, 2, 0, 4};
    File f = {.n = 0};
    uint8_t raw[SIDE * (1 + SIDE * 8)] = {0}, packed[512], exif[26];
    uint8_t header[13] = {0, 0, 0, SIDE, 0, 0, 0, SIDE};
    int channels = channels_of[form.colour], bytes = form.depth / 8;
    size_t row = (size_t)(1 + SIDE * channels * bytes), n = 0;
    uLongf n_packed = sizeof packed;
    header[8] = (uint8_t)form.depth;
    header[9] = (uint8_t)form.colour;
    for (int y = 0; y < SIDE; y++, n += row)
        for (int i = 0; i < SIDE * channels; i++) {
            bool is_alpha = form.colour & 4 && i % channels == channels - 1;
            int v = is_alpha ? form.alpha : form.value;
            uint8_t *at = raw + n + 1 + i * bytes;
            if (bytes == 2) *at++ = (uint8_t)(v >> 8);
            *at = (uint8_t)v;
        }
    ck_assert_int_eq(compress(packed, &n_packed, raw, (uLong)n), Z_OK);
    put(&f, "\x89PNG\r\n\x1a\n", 8);
    chunk(&f, "IHDR", header, 13);
    if (form.animated) chunk(&f, "acTL", "\0\0\0\2\0\0\0\0", 8);
    if (form.colour == 3) chunk(&f, "PLTE", "\1\2\3\4\5\6", 6);
    if (form.transparent_colour) chunk(&f, "tRNS", "\0\1\0\1\0\1", form.colour == 2 ? 6 : 2);
    if (form.orientation) chunk(&f, "eXIf", exif, make_exif(exif, form.orientation, false));
    chunk(&f, "IDAT", packed, n_packed);
    chunk(&f, "IEND", "", 0);
    return f;
}

static unsigned notes_of(const File *f) {
    Image im;
    Error err = {0};
    ck_assert_msg(image_decode("x", f->bytes, f->n, 3, &im, &err) == MAE_OK, "%s", err.message);
    unsigned notes = im.notes;
    image_free(&im);
    return notes;
}

START_TEST(png_notes) {
    static const struct {
        PngForm form;
        unsigned notes;
    } cases[] = {
        {{.colour = 2, .depth = 8, .value = 9}, 0},
        {{.colour = 0, .depth = 8, .value = 9}, 0},
        {{.colour = 0, .depth = 16, .value = 255}, 0},
        {{.colour = 0, .depth = 16, .value = 256}, IMAGE_CLIPPED},
        {{.colour = 2, .depth = 16, .value = 256}, IMAGE_CUT},
        {{.colour = 6, .depth = 8, .value = 9, .alpha = 255}, 0},
        {{.colour = 6, .depth = 8, .value = 9, .alpha = 254}, IMAGE_TRANSPARENT},
        {{.colour = 4, .depth = 8, .value = 9, .alpha = 255}, 0},
        {{.colour = 4, .depth = 8, .value = 9, .alpha = 0}, IMAGE_TRANSPARENT},
        {{.colour = 6, .depth = 16, .value = 9, .alpha = 65535}, IMAGE_CUT},
        {{.colour = 4, .depth = 16, .value = 9, .alpha = 7}, IMAGE_CUT | IMAGE_TRANSPARENT},
        {{.colour = 2, .depth = 8, .transparent_colour = true}, IMAGE_TRANSPARENT},
        {{.colour = 3, .depth = 8, .value = 0}, 0},
        {{.colour = 3, .depth = 8, .value = 0, .transparent_colour = true}, IMAGE_TRANSPARENT},
        {{.colour = 2, .depth = 8, .orientation = 1}, 0},
        {{.colour = 2, .depth = 8, .orientation = 6}, IMAGE_TURNED},
        {{.colour = 2, .depth = 8, .animated = true}, IMAGE_FIRST_FRAME},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        File f = make_png(cases[i].form);
        unsigned notes = notes_of(&f);
        ck_assert_msg(notes == cases[i].notes, "case %zu: %u", i, notes);
    }
}
END_TEST

/* Alpha is dropped, not blended. */
START_TEST(png_pixels_stay) {
    Image im;
    File f = make_png((PngForm){.colour = 6, .depth = 8, .value = 200, .alpha = 3});
    ck_assert_int_eq(image_decode("x", f.bytes, f.n, 3, &im, NULL), MAE_OK);
    for (int i = 0; i < SIDE * SIDE * 3; i++) ck_assert_int_eq(im.pixels[i], 200);
    image_free(&im);
}
END_TEST

/* A JPEG with an EXIF segment after its first marker. */
static File make_jpeg(int orientation, bool little) {
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL, pixels[SIDE * 3] = {0}, exif[26];
    unsigned long n = 0;
    File f = {.n = 0};
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &bytes, &n);
    j.image_width = j.image_height = SIDE;
    j.input_components = 3;
    j.in_color_space = JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_start_compress(&j, TRUE);
    for (JSAMPROW row = pixels; j.next_scanline < SIDE;) jpeg_write_scanlines(&j, &row, 1);
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    put(&f, bytes, 2);
    put(&f,
        "\xff\xe1\0\x22"
        "Exif\0\0",
        10);
    put(&f, exif, make_exif(exif, orientation, little));
    put(&f, bytes + 2, n - 2);
    free(bytes);
    return f;
}

START_TEST(jpeg_orientation) {
    for (int o = 0; o < 10; o++)
        for (int little = 0; little < 2; little++) {
            File f = make_jpeg(o, little);
            ck_assert_uint_eq(notes_of(&f), o > 1 && o < 9 ? IMAGE_TURNED : 0);
            f.bytes[16] = 0xff; /* the place of the directory: damage is no orientation */
            ck_assert_uint_eq(notes_of(&f), 0);
        }
}
END_TEST

START_TEST(webp_transparency) {
    for (int alpha = 254; alpha < 256; alpha++) {
        uint8_t rgba[SIDE * SIDE * 4], *bytes = NULL;
        File f = {.n = 0};
        for (int i = 0; i < SIDE * SIDE * 4; i++) rgba[i] = (uint8_t)(i % 4 == 3 ? alpha : i);
        size_t n = WebPEncodeLosslessRGBA(rgba, SIDE, SIDE, SIDE * 4, &bytes);
        put(&f, bytes, n);
        WebPFree(bytes);
        ck_assert_uint_eq(notes_of(&f), alpha < 255 ? IMAGE_TRANSPARENT : 0);
    }
}
END_TEST

/* --- counting --------------------------------------------------------------------------------- */

static char heard[4096];
static int n_heard;

static void hear(void *user, int level, const char *line) {
    (void)user;
    if (level != LOG_WARNING) return;
    n_heard++;
    snprintf(heard, sizeof heard, "%s", line);
}

static void fetch_all(Dataset *d) {
    for (int64_t i = 0; i < dataset_count(d); i++) {
        Sample s;
        ck_assert_int_eq(dataset_fetch(d, i, &s, NULL), MAE_OK);
        dataset_release(&s);
    }
}

static void write_png(const char *name, PngForm form) {
    File f = make_png(form);
    scratch_write(scratch_path("%s", name), f.bytes, f.n);
}

START_TEST(one_line_a_job) {
    Dataset *d;
    set_log(hear, NULL);
    write_png("set/a.png", (PngForm){.colour = 0, .depth = 16, .value = 300});
    write_png("set/b.png", (PngForm){.colour = 0, .depth = 16, .value = 300});
    write_png("set/c.png", (PngForm){.colour = 6, .depth = 8});
    write_png("set/d.png", (PngForm){.colour = 2, .depth = 8});
    ck_assert_int_eq(dataset_open(scratch_path("set"), (DatasetOptions){.channels = 3}, &d, NULL),
                     MAE_OK);
    fetch_all(d);
    fetch_all(d); /* an image counts once */
    ck_assert_int_eq(n_heard, 0);
    dataset_close(d);
    ck_assert_int_eq(n_heard, 1);
    ck_assert_msg(strstr(heard, "16-bit grey with values above 255, which became 255: 2 ("), "%s",
                  heard);
    ck_assert_msg(strstr(heard, "set/a.png, ...)"), "%s", heard);
    ck_assert_msg(strstr(heard, "transparency, which was dropped: 1 ("), "%s", heard);
    ck_assert_msg(!strstr(heard, "EXIF"), "%s", heard);
    /* Of several processes the root speaks. */
    log_set_root(false);
    ck_assert_int_eq(dataset_open(scratch_path("set"), (DatasetOptions){.channels = 3}, &d, NULL),
                     MAE_OK);
    fetch_all(d);
    dataset_close(d);
    ck_assert_int_eq(n_heard, 1);
    log_set_root(true);
    set_log(NULL, NULL);
}
END_TEST

/* --- kinds ------------------------------------------------------------------------------------ */

static void expect_kind(const void *bytes, size_t n, const char *part) {
    const char *kind = image_kind(bytes, n);
    ck_assert_msg(kind != NULL, "%s is not known", part);
    ck_assert_msg(strstr(kind, part) != NULL, "'%s' lacks '%s'", kind, part);
}

#define EXPECT(text, part) expect_kind(text, sizeof text - 1, part)

START_TEST(kinds_have_names) {
    uint8_t dicom[200] = {1}, tar[512] = {'a'};
    EXPECT("GIF89a......", "GIF");
    EXPECT("\0\0\0\x18"
           "ftypheic\0\0\0\0",
           "HEIC");
    EXPECT("\0\0\0\x18"
           "ftypmif1\0\0\0\0",
           "HEIF");
    EXPECT("\0\0\0\x18"
           "ftypavif\0\0\0\0",
           "AVIF");
    EXPECT("\0\0\0\x18"
           "ftypisom\0\0\0\0",
           "film");
    EXPECT("II*\0\x08\0\0\0", "TIFF");
    EXPECT("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0", "BMP");
    EXPECT("\xff\x0a\x7a\x1f", "JPEG XL");
    EXPECT("\0\0\0\x0cjP  \r\n\x87\n\0\0", "JPEG 2000");
    EXPECT("<?xml version=\"1.0\"?>\n<svg width=\"1\">", "SVG");
    EXPECT("%PDF-1.4\n", "PDF");
    EXPECT("\n<!DOCTYPE html><html>", "HTML");
    EXPECT("\xef\xbb\xbf<HTML><head>", "HTML");
    EXPECT("<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "XML");
    EXPECT("{\"error\": 404}", "JSON");
    EXPECT("version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull");
    EXPECT("/annex/objects/SHA256E-s1--2.jpg\n", "git-annex");
    EXPECT("../../.git/annex/objects/ab/SHA256E-s1--2.jpg", "git-annex");
    EXPECT("\x93NUMPY\1\0", "NumPy");
    EXPECT("\0\0\0\0\0\0\0\0\0\0", "zero bytes");
    EXPECT("\xff\xd8", "cut off");
    EXPECT("P6\n1 1\n255\n...", "PNM");
    EXPECT("RIFF....AVI LIST", "film");
    EXPECT("\0\5\x16\7\0\2\0\0Mac OS X", "AppleDouble");
    memcpy(dicom + 128, "DICM", 4);
    expect_kind(dicom, sizeof dicom, "DICOM");
    memcpy(tar + 257, "ustar", 5);
    expect_kind(tar, sizeof tar, "tar");
    ck_assert_ptr_null(image_kind("hello", 5));
    ck_assert_ptr_null(image_kind("<", 1));
    ck_assert_ptr_null(image_kind(" ", 1));
}
END_TEST

START_TEST(refusals_name_the_kind) {
    Image im;
    Error err = {0};
    ck_assert_int_eq(image_decode("a.jpg", "GIF89a..", 8, 3, &im, &err), MAE_FORMAT);
    ck_assert_msg(strstr(err.message, "a.jpg: ") && strstr(err.message, "but a GIF; convert it"),
                  "%s", err.message);
}
END_TEST

Suite *suite_image_notes(void) {
    Suite *s = suite_create("image_notes");
    TCase *t = tcase_create("image_notes");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, png_notes);
    tcase_add_test(t, png_pixels_stay);
    tcase_add_test(t, jpeg_orientation);
    tcase_add_test(t, webp_transparency);
    tcase_add_test(t, one_line_a_job);
    tcase_add_test(t, kinds_have_names);
    tcase_add_test(t, refusals_name_the_kind);
    suite_add_tcase(s, t);
    return s;
}
