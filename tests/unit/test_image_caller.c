/* Pixels of a program: every layout of memory gives the same image, and what cannot be is refused
 * before a pixel is read. */
#include <check.h>
#include <string.h>

#include "base/memory.h"
#include "data/image/image_caller.h"

Suite *suite_image_caller(void);

enum { H = 3, W = 4, C = 3 };

static uint8_t value(int64_t y, int64_t x, int64_t c) {
    return (uint8_t)(100 * c + 10 * y + x);
}

/* An image whose memory is described by `image` with pixels relative to it. */
static void expect_same(MaeImage image, uint8_t *memory, int64_t first, int64_t row, int64_t pixel,
                        int64_t channel) {
    Error err = {0};
    Image out;
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++)
            for (int64_t c = 0; c < C; c++)
                memory[first + y * row + x * pixel + c * channel] = value(y, x, c);
    image.pixels = memory + first;
    image.height = H;
    image.width = W;
    image.channels = C;
    ck_assert_msg(image_from_caller("p", &image, MAE_U8, 3, 0, NULL, &out, &err) == MAE_OK, "%s",
                  err.message);
    ck_assert_int_eq(out.height, H);
    ck_assert_int_eq(out.width, W);
    for (int64_t i = 0; i < H * W * C; i++)
        ck_assert_int_eq(out.pixels[i], value(i / C / W, i / C % W, i % C));
    image_free(&out);
}

START_TEST(any_layout_is_the_same_image) {
    uint8_t m[1024];
    expect_same((MaeImage){0}, m, 0, W * C, C, 1);
    expect_same((MaeImage){.planar = 1}, m, 0, W, 1, W * H);
    expect_same((MaeImage){.row_stride = 64}, m, 0, 64, C, 1); /* padded rows */
    expect_same((MaeImage){.planar = 1, .row_stride = 64}, m, 0, 64, 1, 64 * H);
    expect_same((MaeImage){.pixel_stride = 4}, m, 0, 4 * W, 4, 1);     /* of RGBA */
    expect_same((MaeImage){.channel_stride = -1}, m, 2, W * C, C, -1); /* BGR */
    expect_same((MaeImage){.row_stride = -40}, m, 80, -40, C, 1);      /* from below */
    expect_same((MaeImage){.row_stride = 3 * W, .pixel_stride = 1, .channel_stride = W}, m, 0,
                3 * W, 1, W); /* rows of planes */
}
END_TEST

START_TEST(grey_and_colour_become_each_other_as_in_files) {
    const uint8_t rgb[] = {255, 0, 0, 10, 200, 30}, grey[] = {7, 250};
    const MaeImage colour = {.pixels = rgb, .height = 1, .width = 2, .channels = 3},
                   plain = {.pixels = grey, .height = 1, .width = 2, .channels = 1};
    Image out;
    ck_assert_int_eq(image_from_caller("p", &colour, MAE_U8, 1, 0, NULL, &out, NULL), MAE_OK);
    ck_assert_int_eq(out.pixels[0], 76); /* PIL's convert('L') */
    ck_assert_int_eq(out.pixels[1], 124);
    image_free(&out);
    ck_assert_int_eq(image_from_caller("p", &plain, MAE_U8, 3, 0, NULL, &out, NULL), MAE_OK);
    ck_assert_mem_eq(out.pixels, ((const uint8_t[]){7, 7, 7, 250, 250, 250}), 6);
    image_free(&out);
}
END_TEST

static Box two_by_two(void *user, int64_t width, int64_t height) {
    (void)user;
    ck_assert_int_eq(width, W);
    ck_assert_int_eq(height, H);
    return (Box){.left = 1, .top = 1, .width = 2, .height = 2};
}

START_TEST(only_the_box_of_a_crop_is_copied) {
    uint8_t m[H * W * C];
    const MaeImage image = {.pixels = m, .height = H, .width = W, .channels = C};
    ImageCrop crop = {.choose = two_by_two};
    Image out;
    for (int i = 0; i < H * W * C; i++) m[i] = value(i / C / W, i / C % W, i % C);
    ck_assert_int_eq(image_from_caller("p", &image, MAE_U8, 3, 0, &crop, &out, NULL), MAE_OK);
    ck_assert_int_eq(out.width, 2);
    ck_assert_int_eq(crop.box.width, 2);
    for (int64_t i = 0; i < out.width * out.height * C; i++) {
        int64_t y = crop.box.top + i / C / 2, x = crop.box.left + i / C % 2;
        ck_assert_int_eq(out.pixels[(y * out.width + x) * C + i % C], value(y + 1, x + 1, i % C));
    }
    image_free(&out);
}
END_TEST

static void refuse(MaeImage image, Status wanted, const char *part) {
    uint8_t byte = 0;
    Error err = {0};
    Image out;
    if (image.height != INT64_MIN) image.pixels = &byte;
    ck_assert_int_eq(image_from_caller("set/17", &image, MAE_U8, 3, 100, NULL, &out, &err), wanted);
    ck_assert_msg(strncmp(err.message, "set/17: ", 8) == 0, "%s", err.message);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' lacks '%s'", err.message, part);
    ck_assert_ptr_null(out.pixels);
}

#define SIZED .height = 4, .width = 5, .channels = 3

START_TEST(what_cannot_be_is_refused) {
    refuse((MaeImage){.height = INT64_MIN}, MAE_FORMAT, "NULL");
    refuse((MaeImage){0}, MAE_FORMAT, "0 x 0");
    refuse((MaeImage){.height = -4, .width = 5, .channels = 3}, MAE_FORMAT, "5 x -4");
    refuse((MaeImage){.height = 20, .width = 6, .channels = 3}, MAE_UNSUPPORTED, "limit of 100");
    refuse((MaeImage){.height = INT64_MAX, .width = INT64_MAX, .channels = 3}, MAE_UNSUPPORTED,
           "a side");
    refuse((MaeImage){SIZED, .type = MAE_F32}, MAE_UNSUPPORTED, "F32");
    refuse((MaeImage){SIZED, .type = MAE_U16}, MAE_UNSUPPORTED, "U16");
    refuse((MaeImage){SIZED, .type = (MaeType)77}, MAE_UNSUPPORTED, "unknown");
    refuse((MaeImage){.height = 4, .width = 5, .channels = 4}, MAE_UNSUPPORTED, "4 channels");
    refuse((MaeImage){.height = 4, .width = 5}, MAE_UNSUPPORTED, "0 channels");
    refuse((MaeImage){SIZED, .row_stride = 14}, MAE_FORMAT, "strides of 14");
    refuse((MaeImage){SIZED, .pixel_stride = 2}, MAE_FORMAT, "strides");
    refuse((MaeImage){SIZED, .planar = 1, .channel_stride = 19}, MAE_FORMAT, "strides");
    refuse((MaeImage){SIZED, .row_stride = INT64_MIN}, MAE_FORMAT, "strides");
    refuse((MaeImage){SIZED, .channel_stride = INT64_MAX}, MAE_FORMAT, "strides");
}
END_TEST

START_TEST(memory_of_ours) {
    MaeImage image;
    Error err = {0};
    ck_assert_int_eq(mae_image_new(MAE_F32, 5, 7, 2, &image, &err), MAE_OK);
    ck_assert_int_eq(image.height, 5);
    ck_assert_int_eq(image.width, 7);
    memset(image.memory, 1, 5 * 7 * 2 * sizeof(float));
    ck_assert_ptr_eq(image.pixels, image.memory);
    mae_image_free(&image);
    ck_assert_ptr_null(image.memory);
    mae_image_free(&image);
    mae_image_free(NULL);
    ck_assert_int_eq(mae_image_new(MAE_I64, 5, 7, 2, &image, &err), MAE_USAGE);
    ck_assert_int_eq(mae_image_new(MAE_U8, 0, 7, 2, &image, &err), MAE_USAGE);
    ck_assert_int_eq(mae_image_new(MAE_U8, INT64_MAX, INT64_MAX, 2, &image, &err), MAE_USAGE);
    ck_assert_int_eq(mae_image_new(MAE_U8, 5, 7, INT64_MAX, &image, &err), MAE_USAGE);
    mem_fail_after(1);
    ck_assert_int_eq(mae_image_new(MAE_U8, 5, 7, 3, &image, &err), MAE_MEMORY);
    mem_fail_after(0);
}
END_TEST

Suite *suite_image_caller(void) {
    Suite *s = suite_create("image_caller");
    TCase *t = tcase_create("image_caller");
    tcase_add_test(t, any_layout_is_the_same_image);
    tcase_add_test(t, grey_and_colour_become_each_other_as_in_files);
    tcase_add_test(t, only_the_box_of_a_crop_is_copied);
    tcase_add_test(t, what_cannot_be_is_refused);
    tcase_add_test(t, memory_of_ours);
    suite_add_tcase(s, t);
    return s;
}
