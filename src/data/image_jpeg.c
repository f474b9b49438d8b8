/* JPEG through libjpeg-turbo: baseline, progressive and arithmetic; grey, colour, CMYK and YCCK.
 *
 * libjpeg reports by calling back; its fatal errors come home by longjmp to the one setjmp in
 * decode_or_land, so everything that must survive the jump lives in Decoder. Data that end early
 * or do not decode are an error here, where libjpeg would only warn and paint grey; oddities that
 * real photographs have (stray bytes between markers) pass. */
#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */

#include <jpeglib.h>
#include <jerror.h>

#include "data/image_codec.h"

/* A progressive file can ask for any number of passes over the image; honest ones have about 10. */
enum { MAX_SCANS = 500 };

typedef struct Decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_source_mgr source;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    Image image, cmyk_row;
    const char *name;
    Error *err;
} Decoder;

static void on_error(j_common_ptr common) {
    Decoder *d = common->client_data;
    common->err->format_message(common, d->message);
    longjmp(d->jump, 1);
}

static void on_message(j_common_ptr common, int level) {
    int code = common->err->msg_code;
    if (level < 0 &&
        (code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_ARITH_BAD_CODE ||
         code == JWRN_JPEG_EOF || code == JWRN_MUST_RESYNC))
        on_error(common);
}

static void on_print(j_common_ptr common) {
    (void)common;
}

static void on_progress(j_common_ptr common) {
    if (((j_decompress_ptr)common)->input_scan_number > MAX_SCANS)
        ERREXIT(common, JERR_BAD_PROGRESSION);
}

static void source_nothing(j_decompress_ptr jpeg) {
    (void)jpeg;
}

/* All bytes are there from the start: to want more means that the file is cut off. */
static boolean source_fill(j_decompress_ptr jpeg) {
    ERREXIT(jpeg, JERR_INPUT_EOF);
    return FALSE;
}

static void source_skip(j_decompress_ptr jpeg, long n) {
    if (n <= 0) return;
    if ((size_t)n > jpeg->src->bytes_in_buffer) ERREXIT(jpeg, JERR_INPUT_EOF);
    jpeg->src->next_input_byte += n;
    jpeg->src->bytes_in_buffer -= (size_t)n;
}

static void decoder_init(Decoder *d, const uint8_t *bytes, size_t n) {
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    d->errors.output_message = on_print;
    d->jpeg.client_data = d;
    jpeg_create_decompress(&d->jpeg);
    d->progress.progress_monitor = on_progress;
    d->jpeg.progress = &d->progress;
    d->source = (struct jpeg_source_mgr){.next_input_byte = bytes,
                                         .bytes_in_buffer = n,
                                         .init_source = source_nothing,
                                         .fill_input_buffer = source_fill,
                                         .skip_input_data = source_skip,
                                         .resync_to_restart = jpeg_resync_to_restart,
                                         .term_source = source_nothing};
    d->jpeg.src = &d->source;
}

static Status choose_output(Decoder *d) {
    struct jpeg_decompress_struct *j = &d->jpeg;
    j->dct_method = JDCT_ISLOW;
    j->do_fancy_upsampling = TRUE;
    switch (j->num_components) {
    case 1: j->out_color_space = JCS_GRAYSCALE; return STATUS_OK;
    case 3: j->out_color_space = JCS_RGB; return STATUS_OK;
    case 4: j->out_color_space = JCS_CMYK; return STATUS_OK;
    default:
        return fail(d->err, STATUS_UNSUPPORTED,
                    "%s: a JPEG of %d components; 1, 3 and 4 are supported, so convert it", d->name,
                    j->num_components);
    }
}

/* x*y/255, rounded. */
static uint8_t multiply_255(unsigned x, unsigned y) {
    unsigned t = x * y + 128;
    return (uint8_t)(((t >> 8) + t) >> 8);
}

/* Files hold CMYK inverted (255 = no ink), so the inks are 255 - value. */
static void cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, int64_t n) {
    for (int64_t i = 0; i < n; i++, rgb += 3, cmyk += 4) {
        unsigned white = cmyk[3];
        for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(white - multiply_255(255u - cmyk[c], white));
    }
}

static void read_rows(Decoder *d) {
    struct jpeg_decompress_struct *j = &d->jpeg;
    int64_t row_bytes = d->image.width * d->image.channels;
    while (j->output_scanline < j->output_height) {
        uint8_t *target = d->image.pixels + j->output_scanline * row_bytes;
        JSAMPROW row = d->cmyk_row.pixels ? d->cmyk_row.pixels : target;
        if (jpeg_read_scanlines(j, &row, 1) != 1) ERREXIT(j, JERR_INPUT_EOF);
        if (d->cmyk_row.pixels) cmyk_to_rgb(target, row, d->image.width);
    }
}

/* Everything that may jump. The rest of the file after the last row does not matter. */
static Status decode(Decoder *d, const uint8_t *bytes, size_t n) {
    Status status = STATUS_OK;
    struct jpeg_decompress_struct *j = &d->jpeg;
    decoder_init(d, bytes, n);
    jpeg_read_header(j, TRUE);
    TRY(choose_output(d));
    TRY(image_new_named(d->name, &d->image, j->image_width, j->image_height,
                        j->num_components == 1 ? 1 : 3, d->err));
    if (j->num_components == 4)
        TRY(image_new_named(d->name, &d->cmyk_row, j->image_width, 1, 4, d->err));
    jpeg_start_decompress(j);
    read_rows(d);
done:
    return status;
}

/* *d belongs to the caller, so that what is in it is defined after the jump. */
static Status decode_or_land(Decoder *d, const uint8_t *bytes, size_t n) {
    if (setjmp(d->jump) == 0) return decode(d, bytes, n);
    return fail(d->err, STATUS_FORMAT,
                "%s: the JPEG is truncated or damaged (%s); remove it or copy it again", d->name,
                d->message);
}

Status image_decode_jpeg(const char *name, const uint8_t *bytes, size_t n, Image *out, Error *err) {
    Decoder d = {.name = name, .err = err};
    *out = (Image){0};
    Status status = decode_or_land(&d, bytes, n);
    jpeg_destroy_decompress(&d.jpeg);
    image_free(&d.cmyk_row);
    if (status != STATUS_OK)
        image_free(&d.image);
    else
        *out = d.image;
    return status;
}
