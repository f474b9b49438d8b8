/* JPEG compression: to memory and back, with the defaults that PIL uses (4:2:0, accurate DCT).
 * Fatal errors of libjpeg come home by longjmp to the one setjmp in encode_or_land, so everything
 * that must survive the jump lives in Encoder. */
#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/memory.h"
#include "data/corrupt/corrupt_internal.h"

enum { FIRST_BYTES = 1 << 10 };

typedef struct Encoder {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr target;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    uint8_t *bytes;
    size_t capacity, size;
} Encoder;

static void on_error(j_common_ptr common) {
    Encoder *e = common->client_data;
    common->err->format_message(common, e->message);
    longjmp(e->jump, 1);
}

static void on_print(j_common_ptr common) {
    (void)common;
}

static void target_point_at(Encoder *e, size_t used) {
    e->target.next_output_byte = e->bytes + used;
    e->target.free_in_buffer = e->capacity - used;
}

static void target_start(j_compress_ptr jpeg) {
    Encoder *e = jpeg->client_data;
    e->bytes = mem_alloc(FIRST_BYTES);
    if (!e->bytes) ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    e->capacity = FIRST_BYTES;
    target_point_at(e, 0);
}

/* Called when all of the buffer is used. */
static boolean target_grow(j_compress_ptr jpeg) {
    Encoder *e = jpeg->client_data;
    size_t used = e->capacity;
    uint8_t *bytes = mem_realloc(e->bytes, used, 2 * used);
    if (!bytes) ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    e->bytes = bytes;
    e->capacity = 2 * used;
    target_point_at(e, used);
    return TRUE;
}

static void target_end(j_compress_ptr jpeg) {
    Encoder *e = jpeg->client_data;
    e->size = e->capacity - e->target.free_in_buffer;
}

static void encode(Encoder *e, const Image *im, int quality) {
    struct jpeg_compress_struct *j = &e->jpeg;
    j->err = jpeg_std_error(&e->errors);
    e->errors.error_exit = on_error;
    e->errors.output_message = on_print;
    j->client_data = e;
    jpeg_create_compress(j);
    e->target.init_destination = target_start;
    e->target.empty_output_buffer = target_grow;
    e->target.term_destination = target_end;
    j->dest = &e->target;
    j->image_width = (JDIMENSION)im->width;
    j->image_height = (JDIMENSION)im->height;
    j->input_components = (int)im->channels;
    j->in_color_space = im->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(j);
    jpeg_set_quality(j, quality, TRUE);
    jpeg_start_compress(j, TRUE);
    while (j->next_scanline < j->image_height) {
        JSAMPROW row = im->pixels + (int64_t)j->next_scanline * im->width * im->channels;
        jpeg_write_scanlines(j, &row, 1);
    }
    jpeg_finish_compress(j);
}

/* *e belongs to the caller, so that what is in it is defined after the jump. */
static Status encode_or_land(Encoder *e, const Image *im, int quality, Error *err) {
    if (setjmp(e->jump) == 0) {
        encode(e, im, quality);
        return MAE_OK;
    }
    bool memory = e->errors.msg_code == JERR_OUT_OF_MEMORY;
    return error_set(
        err, memory ? MAE_MEMORY : MAE_UNSUPPORTED,
        "jpeg_compression: %lld x %lld pixels cannot be encoded (%s); use a smaller image",
        (long long)im->width, (long long)im->height, e->message);
}

Status corrupt_jpeg_compression(Image *im, int level, Rng *rng, Error *err) {
    static const int quality[] = {25, 18, 15, 10, 7};
    Status status = MAE_OK;
    Encoder e = {0};
    Image decoded = {0};
    (void)rng;
    TRY(encode_or_land(&e, im, quality[level], err));
    TRY(image_decode("jpeg_compression", e.bytes, e.size, (int)im->channels, &decoded, err));
    memcpy(im->pixels, decoded.pixels, (size_t)(im->width * im->height * im->channels));
done:
    jpeg_destroy_compress(&e.jpeg);
    mem_free(e.bytes);
    image_free(&decoded);
    return status;
}
