/* Text in pictures and sheets of small pictures. */
#include "draw/sheet.h"

#include <check.h>
#include <string.h>

#include "draw/text.h"

Suite *suite_sheet(void);

static const uint8_t ink[3] = {1, 2, 3};

static Image white(int64_t width, int64_t height) {
    Image im = {0};
    ck_assert_int_eq(image_new(&im, MAE_U8, width, height, 3, NULL), MAE_OK);
    memset(im.pixels, 255, (size_t)(width * height * 3));
    return im;
}

static bool is_inked(const Image *im, int64_t x, int64_t y) {
    return memcmp(im->pixels + (y * im->width + x) * 3, ink, 3) == 0;
}

static int64_t count_inked(const Image *im) {
    int64_t n = 0;
    for (int64_t i = 0; i < im->width * im->height; i++)
        n += is_inked(im, i % im->width, i / im->width);
    return n;
}

START_TEST(letters_are_as_wide_as_they_look) {
    for (int size = 1; size <= 3; size++)
        for (int c = ' ' + 1; c < 0x7f; c++) {
            const char text[2] = {(char)c, 0};
            int64_t width = text_width(text, size), last = -1;
            Image im = white(20, 40);
            text_draw(&im, 0, 0, size, ink, text);
            for (int64_t x = 0; x < im.width; x++)
                for (int64_t y = 0; y < im.height; y++)
                    if (is_inked(&im, x, y)) {
                        ck_assert_int_lt(y, TEXT_HEIGHT * size);
                        last = x;
                    }
            ck_assert_msg(last == width - 1, "%c at %d: %lld of %lld", c, size, (long long)last,
                          (long long)width);
            image_free(&im);
        }
}
END_TEST

START_TEST(an_l_is_a_line) {
    Image im = white(10, 30);
    text_draw(&im, 2, 3, 2, ink, "I");
    ck_assert(is_inked(&im, 4, 3) && is_inked(&im, 5, 3 + 2 * TEXT_BASE - 1));
    ck_assert(!is_inked(&im, 4, 2) && !is_inked(&im, 4, 3 + 2 * TEXT_BASE));
    image_free(&im);
}
END_TEST

START_TEST(letters_without_a_glyph_are_boxes) {
    ck_assert_int_eq(text_width("\xc3\xa9", 1), text_width("\x7f", 1));
    ck_assert_int_eq(text_width("\xe6\x97\xa5\xe6\x9c\xac", 1), 11);
    ck_assert_int_eq(text_width("", 3), 0);
}
END_TEST

START_TEST(text_outside_is_left_out) {
    Image im = white(8, 8);
    text_draw(&im, -3, -4, 2, ink, "MMMMMM");
    ck_assert_int_gt(count_inked(&im), 0);
    text_draw(&im, 100, 100, 2, ink, "M");
    image_free(&im);
}
END_TEST

START_TEST(long_texts_are_cut) {
    char out[64];
    text_fit("sunflower", 2, text_width("sunflower", 2), out, sizeof out);
    ck_assert_str_eq(out, "sunflower");
    text_fit("sunflower", 2, text_width("sunflower", 2) - 1, out, sizeof out);
    ck_assert_str_eq(out, "sunflowe..");
    ck_assert_int_lt(text_width(out, 2), text_width("sunflower", 2));
    text_fit("\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5", 1, 14, out, sizeof out);
    ck_assert_str_eq(out, "\xe6\x97\xa5..");
    text_fit("sunflower", 2, 1000, out, 6);
    ck_assert_str_eq(out, "sun..");
    text_fit("sunflower", 2, 0, out, sizeof out);
    ck_assert_str_eq(out, "..");
}
END_TEST

START_TEST(a_sheet_has_its_pictures) {
    Sheet s = {.rows = 2, .columns = 3, .cell_width = 30, .cell_height = 20, .lines = 2};
    const SheetText text[] = {{"0.5", SHEET_PLAIN}, {NULL, SHEET_PLAIN}};
    uint8_t pixels[30 * 20];
    Image grey = {.width = 30, .height = 20, .channels = 1, .pixels = pixels};
    ck_assert_int_eq(sheet_start(&s, NULL), MAE_OK);
    for (int cell = 0; cell < 6; cell++) {
        memset(pixels, 50 + cell, sizeof pixels);
        sheet_put(&s, cell / 3, cell % 3, &grey, text);
    }
    int64_t found[6] = {0}, dark = 0;
    for (int64_t i = 0; i < s.picture.width * s.picture.height; i++) {
        const uint8_t *p = s.picture.pixels + i * 3;
        if (p[0] >= 50 && p[0] < 56 && p[0] == p[1] && p[1] == p[2]) found[p[0] - 50]++;
        dark += p[0] == 0x22;
    }
    for (int cell = 0; cell < 6; cell++) ck_assert_int_eq(found[cell], 30 * 20);
    ck_assert_int_gt(dark, 6 * 30);
    image_free(&s.picture);
}
END_TEST

START_TEST(a_sheet_may_be_too_large) {
    Error err = {0};
    Sheet s = {.rows = 100000, .columns = 3000, .cell_width = 30, .cell_height = 20, .lines = 1};
    ck_assert_int_eq(sheet_start(&s, &err), MAE_UNSUPPORTED);
    image_free(&s.picture);
}
END_TEST

Suite *suite_sheet(void) {
    Suite *s = suite_create("sheet");
    TCase *t = tcase_create("sheet");
    tcase_add_test(t, letters_are_as_wide_as_they_look);
    tcase_add_test(t, an_l_is_a_line);
    tcase_add_test(t, letters_without_a_glyph_are_boxes);
    tcase_add_test(t, text_outside_is_left_out);
    tcase_add_test(t, long_texts_are_cut);
    tcase_add_test(t, a_sheet_has_its_pictures);
    tcase_add_test(t, a_sheet_may_be_too_large);
    suite_add_tcase(s, t);
    return s;
}
