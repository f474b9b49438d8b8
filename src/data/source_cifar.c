/* cifar10:DIR and cifar100:DIR, the binary distribution: records of label bytes (one; or coarse and
 * fine) and 3072 pixels, plane by plane, 32x32. The files stay mapped; labels and sizes are checked
 * when opening, so a fetch cannot fail but for memory. */
#include <string.h>

#include "base/file.h"
#include "data/source.h"

#define SIDE 32
#define PLANE (SIDE * SIDE)
#define MAX_FILES 5

typedef struct CifarKind {
    int n_classes, label_bytes; /* the label used is the last label byte */
    const char *names_file;
    const char *split[2][MAX_FILES]; /* files of train and of test */
} CifarKind;

static const CifarKind cifar10 = {10,
                                  1,
                                  "batches.meta.txt",
                                  {{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                    "data_batch_4.bin", "data_batch_5.bin"},
                                   {"test_batch.bin"}}};
static const CifarKind cifar100 = {100, 2, "fine_label_names.txt", {{"train.bin"}, {"test.bin"}}};

typedef struct CifarState {
    const CifarKind *kind;
    FileMap maps[MAX_FILES];
} CifarState;

static Status add_file(Source *s, const char *dir, const char *name, int file, Error *err) {
    CifarState *state = s->state;
    const CifarKind *k = state->kind;
    int64_t record = k->label_bytes + 3 * PLANE;
    Status status = STATUS_OK;
    char *path = arena_printf(s->arena, "%s/%s", dir, name);
    if (!path) return source_no_memory(err);
    TRY(file_map(path, &state->maps[file], err));
    int64_t bytes = (int64_t)state->maps[file].bytes;
    if (bytes == 0 || bytes % record != 0)
        return fail(err, STATUS_FORMAT,
                    "%s: %lld bytes are not a whole number of records of %lld; unpack it again",
                    path, (long long)bytes, (long long)record);
    for (int64_t i = 0; i < bytes / record; i++) {
        SourceItem item = {.file = file, .offset = i * record + k->label_bytes};
        item.label = state->maps[file].data[item.offset - 1];
        if (item.label >= k->n_classes)
            return fail(err, STATUS_FORMAT,
                        "%s: record %lld has label %d, but there are %d classes", path,
                        (long long)i, item.label, k->n_classes);
        item.name = arena_printf(s->arena, "%s#%lld", name, (long long)i);
        TRY(source_add(s, item, err));
    }
done:
    return status;
}

/* One name a line; without the file the classes are numbered. */
static Status read_names(Source *s, const char *dir, const CifarKind *k, Error *err) {
    Status status = STATUS_OK;
    uint8_t *data = NULL;
    size_t bytes = 0;
    int n = 0;
    char *path = arena_printf(s->arena, "%s/%s", dir, k->names_file);
    if (!path) return source_no_memory(err);
    TRY(source_number_classes(s, k->n_classes, err));
    if (!file_exists(path)) goto done;
    TRY(file_read(path, 1 << 16, &data, &bytes, err));
    for (char *line = (char *)data, *next; line && n < k->n_classes; line = next) {
        size_t length = strcspn(line, "\r\n");
        next = strchr(line, '\n');
        if (next) next++;
        if (length == 0) continue;
        s->class_names[n] = arena_printf(s->arena, "%.*s", (int)length, line);
        if (!s->class_names[n++]) TRY(source_no_memory(err));
    }
    if (n < k->n_classes)
        status = fail(err, STATUS_FORMAT, "%s: %d class names, expected %d", path, n, k->n_classes);
    s->numbered = false;
done:
    mem_free(data);
    return status;
}

static Status cifar_open(Source *s, const char *where, const CifarKind *k, Error *err) {
    Status status = STATUS_OK;
    int split = 0;
    CifarState *state = mem_alloc(sizeof *state);
    const char *dir = source_split_suffix(s->arena, where, &split);
    s->state = state;
    if (!state || !dir) return source_no_memory(err);
    state->kind = k;
    const char *const *files = k->split[split == 2];
    for (int f = 0; f < MAX_FILES && files[f]; f++) TRY(add_file(s, dir, files[f], f, err));
    TRY(read_names(s, dir, k, err));
    TRY(source_describe(s, dir, split == 2 ? "test" : "train", err));
done:
    return status;
}

static Status cifar10_open(Source *s, const char *where, Error *err) {
    return cifar_open(s, where, &cifar10, err);
}

static Status cifar100_open(Source *s, const char *where, Error *err) {
    return cifar_open(s, where, &cifar100, err);
}

static Status cifar_fetch(const Source *s, int64_t index, int channels, ImageCrop *crop, Image *out,
                          Error *err) {
    (void)crop;
    const CifarState *state = s->state;
    const SourceItem *item = &s->items[index];
    const uint8_t *planes = state->maps[item->file].data + item->offset;
    uint8_t rgb[3 * PLANE];
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = planes[c * PLANE + i];
    return source_copy_rgb(rgb, 3 * SIDE, SIDE, SIDE, channels, out, err);
}

static void cifar_close(Source *s) {
    CifarState *state = s->state;
    if (!state) return;
    for (int f = 0; f < MAX_FILES; f++) file_unmap(&state->maps[f]);
    mem_free(state);
}

const SourceKind source_cifar10 = {"cifar10", cifar10_open, cifar_fetch, cifar_close};
const SourceKind source_cifar100 = {"cifar100", cifar100_open, cifar_fetch, cifar_close};
