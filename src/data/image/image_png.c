/* PNG through libpng, both ways. libpng's errors come home by longjmp to the setjmp in
 * decode_or_land and encode_or_land, so what must survive the jump lives in Codec. libpng reduces
 * everything to 8-bit grey or RGB on reading, except 16-bit grey, which PIL clips rather than
 * scales (image_decode.c).
 *
 * The size in the header is checked against the caller's limit, so libpng's own limit on a side is
 * lifted. Of the chunks beside the pixels only the palette and the transparent colour are read.
 * Texts, profiles and the like are passed over, whatever their size: libpng would unpack each of
 * them, a thousand times larger than in the file, and keep them all. */
#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/image/image_codec.h"
#include "data/image/image_notes.h"

typedef struct Codec {
    jmp_buf jump;
    char message[128];
    const char *name;
    Error *err;
    png_structp png;
    png_infop info;
    Image image;
    uint8_t *wide; /* 16-bit grey samples, big-endian */
    const uint8_t *bytes;
    size_t n_left;
    FileWriter *writer; /* NULL: what is encoded goes to `encoded` */
    uint8_t *encoded;
    size_t n_encoded, capacity;
    Status status;
} Codec;

static void on_error(png_structp png, png_const_charp message) {
    Codec *c = png_get_error_ptr(png);
    size_t n = strlen(message);
    if (n >= sizeof c->message) n = sizeof c->message - 1;
    memcpy(c->message, message, n);
    c->message[n] = 0;
    longjmp(c->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep data, size_t n) {
    Codec *c = png_get_io_ptr(png);
    if (n > c->n_left) png_error(png, "the data end early");
    memcpy(data, c->bytes, n);
    c->bytes += n;
    c->n_left -= n;
}

/* Behind what is encoded already, in memory that grows by doubling. */
static Status append(Codec *c, const uint8_t *data, size_t n) {
    if (c->n_encoded + n > c->capacity) {
        size_t wider = 2 * c->capacity + n + 4096;
        uint8_t *grown = mem_realloc(c->encoded, c->n_encoded, wider);
        if (!grown) return error_set(c->err, MAE_MEMORY, "%s: no memory for the PNG", c->name);
        c->encoded = grown;
        c->capacity = wider;
    }
    memcpy(c->encoded + c->n_encoded, data, n);
    c->n_encoded += n;
    return MAE_OK;
}

static void on_write(png_structp png, png_bytep data, size_t n) {
    Codec *c = png_get_io_ptr(png);
    c->status = c->writer ? file_writer_write(c->writer, data, n, c->err) : append(c, data, n);
    if (c->status != MAE_OK) png_error(png, "the write failed");
}

static void on_flush(png_structp png) {
    (void)png; /* file_writer_commit does it */
}

/* RGBA to RGB in place, four bytes at a time: the last of them is written over by the next pixel.
 * What all alpha values have in common. */
static uint8_t drop_fourth(uint8_t *values, size_t n) {
    uint8_t *to = values, common[4];
    uint32_t pixel, all = UINT32_MAX;
    for (size_t i = 0; i < n; i++, values += 4, to += 3) {
        memcpy(&pixel, values, 4);
        all &= pixel;
        memcpy(to, &pixel, 4);
    }
    memcpy(common, &all, 4);
    return common[3];
}

static uint8_t drop_second(uint8_t *values, size_t n) {
    uint8_t all = 255;
    for (size_t i = 0; i < n; i++) {
        all &= values[2 * i + 1];
        values[i] = values[2 * i];
    }
    return all;
}

/* libpng's last step for a row that has 8 bits and alpha: what png_set_strip_alpha would do, with a
 * look at what is dropped. */
static void drop_alpha(png_structp png, png_row_infop row, png_bytep values) {
    Codec *c = png_get_user_transform_ptr(png);
    uint8_t common =
        row->channels == 4 ? drop_fourth(values, row->width) : drop_second(values, row->width);
    if (common != 255) c->image.notes |= IMAGE_TRANSPARENT;
}

static bool has_transparent_colours(Codec *c) {
    return png_get_valid(c->png, c->info, PNG_INFO_tRNS) != 0;
}

/* Alpha beside the values, as the file has it or a palette turns into it. */
static void strip_alpha(Codec *c, int colour) {
    bool palette = colour == PNG_COLOR_TYPE_PALETTE && has_transparent_colours(c);
    if (colour & PNG_COLOR_MASK_ALPHA || palette) {
        png_set_read_user_transform_fn(c->png, drop_alpha);
        png_set_user_transform_info(c->png, c, 8, (int)c->image.channels);
    } else if (has_transparent_colours(c)) {
        c->image.notes |= IMAGE_TRANSPARENT;
    }
}

/* Asks for 8-bit grey or RGB. Returns whether the rows are 16-bit grey instead. */
static bool choose_transforms(Codec *c) {
    int depth = png_get_bit_depth(c->png, c->info);
    int colour = png_get_color_type(c->png, c->info);
    if (colour == PNG_COLOR_TYPE_GRAY && depth == 16) {
        if (has_transparent_colours(c)) c->image.notes |= IMAGE_TRANSPARENT;
        return true;
    }
    if (depth == 16) c->image.notes |= IMAGE_CUT;
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(c->png);
    if (colour == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(c->png);
    if (depth == 16) png_set_strip_16(c->png); /* keeps the high byte */
    strip_alpha(c, colour);
    return false;
}

static void read_rows(Codec *c, uint8_t *rows, size_t row_bytes) {
    int n_passes = png_set_interlace_handling(c->png);
    png_read_update_info(c->png, c->info);
    if (png_get_rowbytes(c->png, c->info) != row_bytes) png_error(c->png, "unexpected row size");
    for (int pass = 0; pass < n_passes; pass++)
        for (int64_t y = 0; y < c->image.height; y++)
            png_read_row(c->png, rows + (size_t)y * row_bytes, NULL);
}

/* Was anything above 255? */
static bool clip_wide(uint8_t *dst, const uint8_t *wide, int64_t n) {
    uint8_t high = 0;
    for (int64_t i = 0; i < n; i++) {
        dst[i] = wide[2 * i] ? 255 : wide[2 * i + 1];
        high |= wide[2 * i];
    }
    return high != 0;
}

static Status decode(Codec *c, const ImageFile *file) {
    Status status = MAE_OK;
    png_set_read_fn(c->png, c, on_read);
    png_set_user_limits(c->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_keep_unknown_chunks(c->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_chunk_malloc_max(c->png, file->n); /* libpng 1.6.37 measures what it skips, too */
    png_read_info(c->png, c->info);
    int64_t width = png_get_image_width(c->png, c->info);
    int64_t height = png_get_image_height(c->png, c->info);
    int channels = png_get_color_type(c->png, c->info) & PNG_COLOR_MASK_COLOR ? 3 : 1;
    TRY(image_check_header(file, width, height, c->err));
    TRY(image_new_named(c->name, &c->image, MAE_U8, width, height, channels, c->err));
    if (!choose_transforms(c)) {
        read_rows(c, c->image.pixels, (size_t)(width * channels));
    } else {
        c->wide = mem_alloc_array((size_t)(width * height), 2);
        if (!c->wide) TRY(error_set(c->err, MAE_MEMORY, "%s: no memory for the pixels", c->name));
        read_rows(c, c->wide, 2 * (size_t)width);
        if (clip_wide(c->image.pixels, c->wide, width * height)) c->image.notes |= IMAGE_CLIPPED;
    }
    png_read_end(c->png, NULL);
done:
    return status;
}

/* *c belongs to the caller, so that what is in it is defined after the jump. */
static Status decode_or_land(Codec *c, const ImageFile *file) {
    if (setjmp(c->jump) == 0) return decode(c, file);
    return error_set(c->err, MAE_FORMAT,
                     "%s: the PNG is truncated or damaged (%s); remove it or copy it again",
                     c->name, c->message);
}

Status image_decode_png(const ImageFile *file, Image *out, Error *err) {
    Codec c = {.name = file->name, .err = err, .bytes = file->bytes, .n_left = file->n};
    *out = (Image){0};
    c.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &c, on_error, on_warning);
    if (c.png) c.info = png_create_info_struct(c.png);
    c.status = c.info ? decode_or_land(&c, file)
                      : error_set(err, MAE_MEMORY, "%s: no memory for the PNG decoder", file->name);
    png_destroy_read_struct(&c.png, &c.info, NULL);
    mem_free(c.wide);
    if (c.status != MAE_OK)
        image_free(&c.image);
    else
        *out = c.image;
    if (c.status == MAE_OK) out->notes |= image_png_notes(file->bytes, file->n);
    return c.status;
}

static void encode(Codec *c, const Image *im) {
    int colour = im->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
    png_set_write_fn(c->png, c, on_write, on_flush);
    png_set_user_limits(c->png, 0x7fffffff, 0x7fffffff);
    png_set_IHDR(c->png, c->info, (png_uint_32)im->width, (png_uint_32)im->height, 8, colour,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(c->png, c->info);
    for (int64_t y = 0; y < im->height; y++)
        png_write_row(c->png, im->pixels + y * im->width * im->channels);
    png_write_end(c->png, c->info);
}

static Status encode_or_land(Codec *c, const Image *im) {
    if (setjmp(c->jump) == 0) {
        encode(c, im);
        return MAE_OK;
    }
    if (c->status != MAE_OK) return c->status;
    return error_set(c->err, MAE_IO, "%s: cannot be written as PNG (%s)", c->name, c->message);
}

static Status encode_whole(Codec *c, const Image *im) {
    ASSERT(im->channels == 1 || im->channels == 3, "channels %lld", (long long)im->channels);
    ASSERT(im->width > 0 && im->height > 0 && im->pixels, "an empty image");
    c->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    if (c->png) c->info = png_create_info_struct(c->png);
    Status status =
        c->info ? encode_or_land(c, im)
                : error_set(c->err, MAE_MEMORY, "%s: no memory for the PNG encoder", c->name);
    png_destroy_write_struct(&c->png, &c->info);
    return status;
}

Status image_write_png(const char *path, const Image *im, Error *err) {
    Codec c = {.name = path, .err = err};
    Status status = file_writer_open(path, &c.writer, err);
    if (status != MAE_OK) return status;
    status = encode_whole(&c, im);
    if (status == MAE_OK) status = file_writer_commit(c.writer, err);
    file_writer_close(c.writer);
    return status;
}

Status image_encode_png(const char *name, const Image *im, uint8_t **bytes, size_t *n, Error *err) {
    Codec c = {.name = name, .err = err};
    Status status = encode_whole(&c, im);
    if (status != MAE_OK) {
        mem_free(c.encoded);
        c = (Codec){0};
    }
    *bytes = c.encoded;
    *n = c.n_encoded;
    return status;
}
