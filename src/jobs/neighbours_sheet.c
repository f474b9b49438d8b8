/* Neighbours as a picture for a slide. Each image is shown as the model sees it: the same crop. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "draw/sheet.h"
#include "jobs/neighbours.h"

enum { CELL = 160, MAX_ROWS = 50, MAX_NEIGHBOURS = 24 };

/* The model's crop of an image at the size of a cell. */
static Status thumbnail(Dataset *d, int64_t index, const Augment *a, const Sheet *sheet, Image *out,
                        Error *err) {
    Status status = MAE_OK;
    Sample sample = {0};
    TRY(dataset_fetch(d, index, &sample, err));
    Geometry g = augment_draw(a, sample.image.width, sample.image.height, 0, 0, (uint64_t)index);
    Box box = {g.box.left * g.in_width / g.whole_width, g.box.top * g.in_height / g.whole_height,
               g.box.width * g.in_width / g.whole_width,
               g.box.height * g.in_height / g.whole_height};
    if (box.width < 1) box.width = 1; /* of a line of pixels */
    if (box.height < 1) box.height = 1;
    TRY(resample_crop(&sample.image, box, sheet->cell_width, sheet->cell_height, out, err));
done:
    dataset_release(&sample);
    return status;
}

static bool has_classes(const Neighbours *s) {
    return dataset_n_classes(s->source.dataset) > 0 || dataset_n_classes(s->given.dataset) > 0;
}

static Status put(Sheet *sheet, int64_t row, int64_t column, Dataset *d, int64_t index,
                  const Augment *a, const SheetText *text, Error *err) {
    Image picture = {0};
    Status status = thumbnail(d, index, a, sheet, &picture, err);
    if (status == MAE_OK) sheet_put(sheet, row, column, &picture, text);
    image_free(&picture);
    return status;
}

static Status put_query(const Neighbours *s, Sheet *sheet, int64_t q, Error *err) {
    const char *name = dataset_name(s->given.dataset, s->given.image[q]);
    const char *slash = strrchr(name, '/');
    int64_t n_same;
    neighbours_same(s, q, &n_same);
    const SheetText same = {n_same ? "in the source" : NULL, SHEET_FAINT};
    SheetText text[] = {{slash ? slash + 1 : name, SHEET_PLAIN}, same, same};
    if (has_classes(s)) text[1] = (SheetText){neighbours_given_class(s, q), SHEET_PLAIN};
    return put(sheet, q, 0, s->given.dataset, s->given.image[q], &s->given_augment, text, err);
}

static Status put_neighbour(const Neighbours *s, Sheet *sheet, int64_t q, int64_t i, Error *err) {
    char cosine[32];
    int64_t row = s->row[q * s->k + i];
    const char *class = neighbours_class(s, row), *wanted = neighbours_given_class(s, q);
    SheetInk ink = SHEET_FAINT;
    if (class && wanted) ink = strcmp(class, wanted) == 0 ? SHEET_GOOD : SHEET_BAD;
    snprintf(cosine, sizeof cosine, "%.3f", (double)s->cosine[q * s->k + i]);
    SheetText text[] = {{cosine, SHEET_PLAIN}, {class, ink}, {NULL, SHEET_PLAIN}};
    return put(sheet, q, 1 + i, s->source.dataset, s->source.image[row], &s->source_augment, text,
               err);
}

static Status fill_sheet(const Neighbours *s, Sheet *sheet, Error *err) {
    Status status = MAE_OK;
    for (int64_t q = 0; q < sheet->rows; q++) {
        TRY(put_query(s, sheet, q, err));
        for (int64_t i = 0; i + 1 < sheet->columns && s->row[q * s->k + i] >= 0; i++)
            TRY(put_neighbour(s, sheet, q, i, err));
    }
done:
    return status;
}

/* n, or the most that there may be, with a line that says so. */
static int64_t limit(int64_t n, int64_t most, const char *path, const char *what) {
    if (n <= most) return n;
    log_line(LOG_INFO, "%s shows the first %" PRId64 " of %" PRId64 " %s", path, most, n, what);
    return most;
}

Status neighbours_write_sheet(const Neighbours *s, const char *path, Error *err) {
    Status status = MAE_OK;
    int64_t width = s->given_augment.width, height = s->given_augment.height;
    int64_t longer = width > height ? width : height;
    Sheet sheet = {.rows = limit(s->given.n, MAX_ROWS, path, "images given"),
                   .columns = 1 + limit(s->k, MAX_NEIGHBOURS, path, "neighbours of each"),
                   .cell_width = (CELL * width + longer - 1) / longer,
                   .cell_height = (CELL * height + longer - 1) / longer,
                   .lines = 1 + has_classes(s) + (s->n_same > 0)};
    TRY(sheet_start(&sheet, err));
    TRY(fill_sheet(s, &sheet, err));
    TRY(image_write_png(path, &sheet.picture, err));
done:
    image_free(&sheet.picture);
    return status;
}
