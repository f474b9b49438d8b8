/* Files of images of all types: what a decoder makes of them is equal to the array that was
 * written, and what is damaged or cannot be an image is refused. */
#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "data/image/image_codec.h"
#include "golden.h"

/* Which files, and who decodes them. */
static const struct {
    const char *pattern;
    Status (*decode)(const ImageFile *file, Image *out, Error *err);
    const char *arrays;
} DECODERS[] = {{"*.npy", image_decode_npy, "typed/npy.safetensors"}};
enum { N_DECODERS = sizeof DECODERS / sizeof DECODERS[0] };

static int decoder_of(const char *name) {
    for (int i = 0; i < N_DECODERS; i++)
        if (fnmatch(DECODERS[i].pattern, name, 0) == 0) return i;
    return -1;
}

/* The pixels in the order of the array, as the type that an image has for them. */
static const void *wanted_pixels(Golden *g, const TensorFile *s, const TensorEntry *t,
                                 const Image *im) {
    int64_t n = shape_numel(t->shape), C = im->channels;
    size_t value = image_value_bytes(im->type);
    bool same = t->dtype == DTYPE_U8 || t->dtype == DTYPE_U16;
    const uint8_t *from =
        same ? golden_bytes(g, s, t) : (uint8_t *)golden_reals(g, s, t->name, NULL);
    bool channels_first = t->shape.n_dims == 3 && t->shape.dim[0] == C && t->shape.dim[2] != C;
    if (!from || !channels_first) return from;
    uint8_t *turned = golden_memory(g, n, value);
    for (int64_t i = 0; i < n; i++)
        memcpy(turned + (size_t)(i % (n / C) * C + i / (n / C)) * value, from + (size_t)i * value,
               value);
    return turned;
}

static void compare_image(Golden *g, const char *name, const json_t *row, const char *arrays,
                          const Image *im) {
    const char *tensor = json_string_value(json_object_get(row, "tensor"));
    TensorFile *s = golden_tensors(g, arrays);
    const TensorEntry *t = s && tensor ? tensorfile_find(s, tensor) : NULL;
    int64_t n = im->width * im->height * im->channels;
    MaeType type = !t                      ? MAE_U8
                   : t->dtype == DTYPE_U8  ? MAE_U8
                   : t->dtype == DTYPE_U16 ? MAE_U16
                                           : MAE_F32;
    if (!t || im->type != type || shape_numel(t->shape) != n)
        golden_problem(g, "%s: an image of %lld x %lld in %lld channels is not %s", name,
                       (long long)im->width, (long long)im->height, (long long)im->channels,
                       tensor ? tensor : "said");
    else
        compare_bytes(g, name, im->pixels, wanted_pixels(g, s, t, im),
                      n * (int64_t)image_value_bytes(im->type));
}

static void check_file(Golden *g, const char *folder, const char *name, const json_t *row) {
    Error err = {0};
    Image im = {0};
    uint8_t *bytes = NULL;
    size_t n = 0;
    int k = decoder_of(name);
    const char *expect = json_string_value(json_object_get(row, "expect"));
    const char *path = golden_text(g, "%s/typed/%s/%s", g->dir, folder, name);
    if (k < 0 || !expect) return;
    if (file_read_regular(path, (size_t)1 << 30, &bytes, &n, &err) != MAE_OK) {
        golden_problem(g, "%s", err.message);
        return;
    }
    const ImageFile file = {name, bytes, n, IMAGE_MAX_PIXELS};
    bool refused = strcmp(expect, "error") == 0, given = json_object_get(row, "tensor") != NULL;
    Status status = DECODERS[k].decode(&file, &im, &err);
    if ((status != MAE_OK) != refused)
        golden_problem(g, "%s: %s", name, refused ? "is read" : err.message);
    else if (given && !refused)
        compare_image(g, name, row, DECODERS[k].arrays, &im);
    else
        compare_number(g, name, 0, 0, 0);
    image_free(&im);
    mem_free(bytes);
}

static void check_folder(Golden *g, const char *path, const char *folder) {
    const char *name;
    json_t *row;
    const json_t *j = golden_json(g, path);
    json_object_foreach((json_t *)(uintptr_t)j, name, row) {
        check_file(g, folder, name, row);
        while (g->n_tensors > 0) tensorfile_close(g->tensors[--g->n_tensors]);
    }
}

void check_image_files(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    check_folder(g, path, "files");
}

void check_hostile_files(Golden *g, const char *path, const json_t *entry) {
    (void)entry;
    check_folder(g, path, "hostile");
}
