/* JPEG through libjpeg-turbo: baseline, progressive and arithmetic; grey, colour, CMYK and YCCK.
 *
 * libjpeg reports by calling back. Its fatal errors come home by longjmp to the one setjmp in
 * decode_or_land, so everything that must survive the jump lives in Decoder. Data that end early or
 * do not decode are an error here; libjpeg would only warn and paint grey. Oddities of real
 * photographs (stray bytes between markers) pass. */
#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */

#include <jpeglib.h>
#include <jerror.h>

#include "data/image/image_codec.h"

/* A progressive file can ask for any number of passes over the image; honest ones have about 10,
 * and each costs the time of the whole image for as little as twenty bytes. */
enum { MAX_SCANS = 100 };

typedef struct Decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_source_mgr source;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    Image image, cmyk_row, last_row;
    ImageCrop *crop; /* NULL: everything */
    const ImageFile *file;
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
    Decoder *d = common->client_data;
    if (d->jpeg.input_scan_number <= MAX_SCANS) return;
    snprintf(d->message, sizeof d->message, "more than %d scans", MAX_SCANS);
    longjmp(d->jump, 1);
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

static void decoder_init(Decoder *d) {
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    d->errors.output_message = on_print;
    d->jpeg.client_data = d;
    jpeg_create_decompress(&d->jpeg);
    d->progress.progress_monitor = on_progress;
    d->jpeg.progress = &d->progress;
    d->source = (struct jpeg_source_mgr){.next_input_byte = d->file->bytes,
                                         .bytes_in_buffer = d->file->n,
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
    case 1: j->out_color_space = JCS_GRAYSCALE; return MAE_OK;
    case 3: j->out_color_space = JCS_RGB; return MAE_OK;
    case 4: j->out_color_space = JCS_CMYK; return MAE_OK;
    default:
        return error_set(d->err, MAE_UNSUPPORTED,
                         "%s: a JPEG of %d components; 1, 3 and 4 are supported, so convert it",
                         d->file->name, j->num_components);
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

/* --- parts of an image ------------------------------------------------------------------------ */

/* Chroma is upsampled from its neighbours, which must have been decoded too. At the bottom one row
 * more than that keeps the box clear of the end of the memory, where vector loads must stop. */
enum { MARGIN = 2 };

/* The fraction scale / 8 at which the box still has the least size asked for. Halves only: libjpeg
 * is slower at other fractions than at the whole. */
static int choose_scale(const ImageCrop *crop, Box box) {
    int scale = 8;
    if (crop->min_width <= 0 || crop->min_height <= 0) return scale;
    while (scale > 1 && box.width * scale / 16 >= crop->min_width &&
           box.height * scale / 16 >= crop->min_height)
        scale /= 2;
    return scale;
}

/* Edges rounded to whole pixels of the smaller image. */
static Box scale_box(Box b, int scale, int64_t width, int64_t height) {
    int64_t left = (b.left * scale + 4) / 8, right = ((b.left + b.width) * scale + 4) / 8;
    int64_t top = (b.top * scale + 4) / 8, bottom = ((b.top + b.height) * scale + 4) / 8;
    if (right > width) right = width;
    if (bottom > height) bottom = height;
    return (Box){left, top, right - left, bottom - top};
}

/* The rows and columns to decode around box, and box within them; to be called when decompression
 * has started. libjpeg starts columns at a whole block. */
static Box surround(Decoder *d, Box *box) {
    struct jpeg_decompress_struct *j = &d->jpeg;
    int64_t width = j->output_width, height = j->output_height;
    int64_t left = box->left > MARGIN ? box->left - MARGIN : 0;
    int64_t right = box->left + box->width + MARGIN;
    int64_t top = box->top > MARGIN ? box->top - MARGIN : 0;
    int64_t bottom = box->top + box->height + MARGIN;
    if (right > width) right = width;
    if (bottom > height) bottom = height;
    JDIMENSION x = (JDIMENSION)left, n = (JDIMENSION)(right - left);
    if (left > 0 || right < width) jpeg_crop_scanline(j, &x, &n);
    box->left -= x;
    box->top -= top;
    return (Box){x, top, n, bottom - top};
}

/* Progressive images are decoded whole before the first row comes, so leaving out parts would save
 * little. */
static bool can_crop(struct jpeg_decompress_struct *j) {
    return !jpeg_has_multiple_scans(j) && !j->arith_code;
}

/* --- rows ------------------------------------------------------------------------------------- */

static void read_row(Decoder *d, uint8_t *target) {
    JSAMPROW row = d->cmyk_row.pixels ? d->cmyk_row.pixels : target;
    if (jpeg_read_scanlines(&d->jpeg, &row, 1) != 1) ERREXIT(&d->jpeg, JERR_INPUT_EOF);
    if (d->cmyk_row.pixels) cmyk_to_rgb(target, row, d->image.width);
}

static void read_rows(Decoder *d, int64_t top) {
    struct jpeg_decompress_struct *j = &d->jpeg;
    int64_t row_bytes = d->image.width * d->image.channels;
    if (top > 0) jpeg_skip_scanlines(j, (JDIMENSION)top);
    for (int64_t y = 0; y < d->image.height; y++) read_row(d, d->image.pixels + y * row_bytes);
}

/* Decodes the codes of the rest without making pixels of them. The last row is read, because
 * skipping it too would skip the codes. */
static Status read_to_the_end(Decoder *d) {
    struct jpeg_decompress_struct *j = &d->jpeg;
    JDIMENSION left = j->output_height - j->output_scanline;
    if (left == 0) return MAE_OK;
    Status status =
        image_new_named(d->file->name, &d->last_row, MAE_U8, d->image.width, 1, 3, d->err);
    if (status != MAE_OK) return status;
    if (left > 1) jpeg_skip_scanlines(j, left - 1);
    read_row(d, d->last_row.pixels);
    return MAE_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* Starts decompression; *part is what is to be decoded. */
static void start(Decoder *d, Box *part) {
    struct jpeg_decompress_struct *j = &d->jpeg;
    ImageCrop *crop = d->crop;
    int scale = 8;
    if (crop) {
        crop->box = crop->choose(crop->user, j->image_width, j->image_height);
        scale = choose_scale(crop, crop->box);
    }
    j->scale_num = (unsigned)scale;
    j->scale_denom = 8;
    jpeg_start_decompress(j);
    *part = (Box){0, 0, j->output_width, j->output_height};
    if (scale < 8) crop->box = scale_box(crop->box, scale, part->width, part->height);
    if (crop && can_crop(j)) *part = surround(d, &crop->box);
}

/* Everything that may jump. Of what comes after the last row nothing matters. */
static Status decode(Decoder *d) {
    Status status = MAE_OK;
    struct jpeg_decompress_struct *j = &d->jpeg;
    Box part;
    decoder_init(d);
    jpeg_read_header(j, TRUE);
    TRY(choose_output(d));
    TRY(image_check_header(d->file, j->image_width, j->image_height, d->err));
    start(d, &part);
    TRY(image_new_named(d->file->name, &d->image, MAE_U8, part.width, part.height,
                        j->num_components == 1 ? 1 : 3, d->err));
    if (j->num_components == 4)
        TRY(image_new_named(d->file->name, &d->cmyk_row, MAE_U8, part.width, 1, 4, d->err));
    read_rows(d, part.top);
    if (d->crop && d->crop->to_the_end) TRY(read_to_the_end(d));
done:
    return status;
}

/* *d belongs to the caller, so that what is in it is defined after the jump. */
static Status decode_or_land(Decoder *d) {
    if (setjmp(d->jump) == 0) return decode(d);
    return error_set(d->err, MAE_FORMAT,
                     "%s: the JPEG is truncated or damaged (%s); remove it or copy it again",
                     d->file->name, d->message);
}

Status image_decode_jpeg(const ImageFile *file, ImageCrop *crop, Image *out, Error *err) {
    Decoder d = {.file = file, .err = err, .crop = crop};
    *out = (Image){0};
    Status status = decode_or_land(&d);
    jpeg_destroy_decompress(&d.jpeg);
    image_free(&d.cmyk_row);
    image_free(&d.last_row);
    if (status != MAE_OK)
        image_free(&d.image);
    else
        *out = d.image;
    if (status == MAE_OK) out->notes = image_jpeg_notes(file->bytes, file->n);
    return status;
}
