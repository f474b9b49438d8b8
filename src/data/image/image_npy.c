/* .npy arrays as images. */
#include <string.h>

#include "data/image/image_codec.h"
#include "formats/npy.h"

/* Elements from one row, column and channel to the next. */
typedef struct Layout {
    int64_t height, width, channels;
    int64_t row, column, channel;
} Layout;

static Layout layout_of(const NpyArray *a) {
    const int64_t *d = a->shape.dim;
    int n = a->shape.n_dims;
    int64_t stride[3] = {1, 1, 1};
    for (int i = 1; i < n && a->fortran_order; i++) stride[i] = stride[i - 1] * d[i - 1];
    for (int i = n - 2; i >= 0 && !a->fortran_order; i--) stride[i] = stride[i + 1] * d[i + 1];
    if (n == 2) return (Layout){d[0], d[1], 1, stride[0], stride[1], 0};
    if (d[0] < d[2]) return (Layout){d[1], d[2], d[0], stride[1], stride[2], stride[0]};
    return (Layout){d[0], d[1], d[2], stride[0], stride[1], stride[2]};
}

static Status check(const ImageFile *file, const NpyArray *a, Layout *out, Error *err) {
    char shape[256];
    int n = a->shape.n_dims;
    if (n != 2 && n != 3)
        return error_set(err, MAE_UNSUPPORTED,
                         "%s: an array of shape %s; images are [h,w], [h,w,C] or [C,h,w]",
                         file->name, shape_text(a->shape, shape, sizeof shape));
    if (a->n == 0)
        return error_set(err, MAE_FORMAT, "%s: an array of shape %s has no pixels", file->name,
                         shape_text(a->shape, shape, sizeof shape));
    *out = layout_of(a);
    Status status = image_check_header(file, out->width, out->height, err);
    if (status != MAE_OK || out->channels <= IMAGE_MAX_CHANNELS) return status;
    return error_set(err, MAE_UNSUPPORTED,
                     "%s: an array of shape %s has %lld channels, where %d are allowed", file->name,
                     shape_text(a->shape, shape, sizeof shape), (long long)out->channels,
                     IMAGE_MAX_CHANNELS);
}

/* One element, in the order of bytes that is the machine's. */
static void copy_element(const NpyArray *a, int64_t i, uint8_t *out) {
    size_t bytes = dtype_bytes(a->dtype);
    const uint8_t *from = a->data + (size_t)i * bytes;
    for (size_t k = 0; k < bytes; k++) out[k] = from[a->big_endian ? bytes - 1 - k : k];
}

static void copy_pixel(const NpyArray *a, const Layout *l, int64_t y, int64_t x, Image *out) {
    size_t value = image_value_bytes(out->type);
    bool converts = out->type == MAE_F32 && a->dtype != DTYPE_F32;
    for (int64_t c = 0; c < l->channels; c++) {
        uint8_t element[8];
        int64_t to = (y * l->width + x) * l->channels + c;
        copy_element(a, y * l->row + x * l->column + c * l->channel, element);
        if (converts)
            dtype_to_f32(out->f32 + to, element, a->dtype, 1);
        else
            memcpy(out->pixels + (size_t)to * value, element, value);
    }
}

Status image_decode_npy(const ImageFile *file, Image *out, Error *err) {
    NpyArray a;
    Layout l = {0};
    *out = (Image){0};
    Status status = npy_parse(file->name, file->bytes, file->n, &a, err);
    if (status == MAE_OK) status = check(file, &a, &l, err);
    if (status != MAE_OK) return status;
    MaeType type = a.dtype == DTYPE_U8 ? MAE_U8 : a.dtype == DTYPE_U16 ? MAE_U16 : MAE_F32;
    status = image_new_named(file->name, out, type, l.width, l.height, l.channels, err);
    if (status != MAE_OK) return status;
    size_t row = (size_t)(l.width * l.channels);
    bool as_they_are = type != MAE_F32 || a.dtype == DTYPE_F32;
    bool packed = l.column == l.channels && (l.channels == 1 || l.channel == 1) && !a.big_endian;
    for (int64_t y = 0; y < l.height; y++) {
        if (packed && as_they_are)
            memcpy(out->pixels + (size_t)y * row * image_value_bytes(type),
                   a.data + (size_t)(y * l.row) * dtype_bytes(a.dtype),
                   row * image_value_bytes(type));
        else
            for (int64_t x = 0; x < l.width; x++) copy_pixel(&a, &l, y, x, out);
    }
    return MAE_OK;
}
