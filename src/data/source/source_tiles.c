/* tiles:DIR. Many small images from a few large photos, which give a k-NN test for any folder of
 * photos. Each photo is cut into square tiles, 8 a row (side = width / 8, as many rows as fit). The
 * label of a tile is its photo. DIR:train keeps the tiles with row + column even, DIR:test the
 * others, DIR all. Photos stay decoded in memory, because each serves dozens of tiles; too many are
 * refused. */
#include "data/source/source.h"

#define TILES_A_ROW 8
#define MAX_PHOTO_BYTES ((int64_t)2 << 30)

typedef struct TilesState {
    size_t prefix; /* of the names of the photos, before what names their class */
    Image *photos;
    int n_photos;
    int64_t bytes;
} TilesState;

/* Adds the tiles of one photo to s. */
static Status cut(Source *s, const char *name, int photo, int split, Error *err) {
    const Image *im = &((TilesState *)s->state)->photos[photo];
    int64_t side = im->width / TILES_A_ROW, rows = side ? im->height / side : 0;
    if (rows == 0)
        return error_set(err, MAE_SHAPE, "%s: %lldx%lld pixels give no square tile, %d a row", name,
                         (long long)im->width, (long long)im->height, TILES_A_ROW);
    for (int64_t k = 0; k < rows * TILES_A_ROW; k++) {
        int64_t row = k / TILES_A_ROW, column = k % TILES_A_ROW;
        if (split && (row + column) % 2 != split - 1) continue;
        SourceItem item = {.class = photo, .file = photo, .offset = k};
        item.name = arena_printf(s->arena, "%s#%lld,%lld", name, (long long)row, (long long)column);
        Status status = source_add(s, item, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

static Status load_photo(const Source *s, const char *path, Error *err) {
    TilesState *state = s->state;
    Image *im = &state->photos[state->n_photos];
    Status status = image_load_crop(path, 3, s->limits.max_pixels, NULL, im, err);
    if (status != MAE_OK) return status;
    state->n_photos++;
    state->bytes += 3 * im->width * im->height;
    if (state->bytes > MAX_PHOTO_BYTES)
        return error_set(
            err, MAE_MEMORY,
            "%s: with this photo more than %lld MiB would be kept in memory; give fewer or "
            "smaller photos",
            path, (long long)(MAX_PHOTO_BYTES >> 20));
    return MAE_OK;
}

static Status tiles_open(Source *s, const char *where, Error *err) {
    Status status = MAE_OK;
    Source files = {.arena = s->arena}; /* lends its list; its names live in our arena */
    TilesState *state = mem_alloc(sizeof *state);
    int split = 0;
    size_t prefix = 0;
    const char *dir = source_split_suffix(s->arena, where, &split);
    s->state = state;
    if (!state || !dir) return source_no_memory(err);
    TRY(source_add_files(&files, dir, &prefix, err));
    state->prefix = prefix;
    s->remarks = files.remarks;
    if (files.count > 1 << 20) {
        status = error_set(err, MAE_UNSUPPORTED, "%s: too many photos to cut into tiles", dir);
        goto done;
    }
    state->photos = mem_alloc_array((size_t)files.count, sizeof *state->photos);
    s->class_names = arena_alloc(s->arena, (size_t)files.count * sizeof *s->class_names);
    if (!state->photos || !s->class_names) TRY(source_no_memory(err));
    for (int p = 0; p < (int)files.count; p++) {
        s->class_names[p] = files.items[p].name + prefix;
        TRY(load_photo(s, files.items[p].name, err));
        TRY(cut(s, s->class_names[p], p, split, err));
    }
    s->n_classes = (int)files.count;
    TRY(source_describe(s, dir, split == 1 ? "train" : split == 2 ? "test" : NULL, err));
done:
    mem_free(files.items);
    return status;
}

static Status tiles_fetch(const Source *s, int64_t index, int channels, ImageCrop *crop, Image *out,
                          Error *err) {
    (void)crop;
    const SourceItem *item = &s->items[index];
    const Image *im = &((const TilesState *)s->state)->photos[item->file];
    int64_t side = im->width / TILES_A_ROW;
    int64_t top = item->offset / TILES_A_ROW * side, left = item->offset % TILES_A_ROW * side;
    Status status = source_copy_rgb(im->pixels + 3 * (top * im->width + left), 3 * im->width, side,
                                    side, channels, out, err);
    if (status == MAE_OK) out->notes = im->notes;
    return status;
}

static bool tiles_identify(const Source *s, int64_t index, ImageIdentity *out) {
    const SourceItem *item = &s->items[index];
    const char *path = s->class_names[item->file] - ((const TilesState *)s->state)->prefix;
    return source_identify_file(path, item->offset, out);
}

static void tiles_close(Source *s) {
    TilesState *state = s->state;
    if (!state) return;
    for (int p = 0; p < state->n_photos; p++) image_free(&state->photos[p]);
    mem_free(state->photos);
    mem_free(state);
}

const SourceKind source_tiles = {"tiles", tiles_open, tiles_fetch, tiles_identify, tiles_close};
