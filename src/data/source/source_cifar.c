/* cifar10:DIR and cifar100:DIR, the binary distribution. A record is one label byte (two for
 * cifar100: coarse and fine) and 3072 pixels, plane by plane, 32x32. Opening checks labels and
 * sizes. The files stay open and a fetch reads its record. Mapped files would turn a failing disk
 * or a file that is cut short into a signal instead of an error. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/source/source.h"

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
    int n_files, fds[MAX_FILES];
} CifarState;

static Status add_records(Source *s, const char *path, const char *name, const uint8_t *data,
                          size_t bytes, Error *err) {
    const CifarState *state = s->state;
    const CifarKind *k = state->kind;
    int64_t record = k->label_bytes + 3 * PLANE;
    if (bytes == 0 || bytes % (size_t)record != 0)
        return error_set(err, MAE_FORMAT,
                         "%s: %zu bytes are not a whole number of records of %lld; unpack it again",
                         path, bytes, (long long)record);
    for (int64_t i = 0; i < (int64_t)bytes / record; i++) {
        SourceItem item = {.file = state->n_files - 1, .offset = i * record + k->label_bytes};
        item.class = data[item.offset - 1];
        if (item.class >= k->n_classes)
            return error_set(err, MAE_FORMAT,
                             "%s: record %lld has label %d, but there are %d classes", path,
                             (long long)i, item.class, k->n_classes);
        item.name = arena_printf(s->arena, "%s#%lld", name, (long long)i);
        Status status = source_add(s, item, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

static Status add_file(Source *s, const char *dir, const char *name, Error *err) {
    CifarState *state = s->state;
    Status status = MAE_OK;
    uint8_t *data = NULL;
    size_t bytes;
    char *path = arena_printf(s->arena, "%s/%s", dir, name);
    if (!path) return source_no_memory(err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set(err, MAE_IO, "%s: cannot open: %s", path, strerror(errno));
    state->fds[state->n_files++] = fd;
    TRY(file_read(path, SIZE_MAX - 1, &data, &bytes, err));
    TRY(add_records(s, path, name, data, bytes, err));
done:
    mem_free(data);
    return status;
}

/* One name a line; without the file the classes are numbered. */
static Status read_names(Source *s, const char *dir, const CifarKind *k, Error *err) {
    Status status = MAE_OK;
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
        status =
            error_set(err, MAE_FORMAT, "%s: %d class names, expected %d", path, n, k->n_classes);
    s->numbered = false;
done:
    mem_free(data);
    return status;
}

static Status holds_all(const char *dir, const char *const *names, bool *yes, Error *err) {
    *yes = true;
    for (; *names && *yes; names++) {
        char *path;
        Status status = file_path(dir, *names, &path, err);
        if (status != MAE_OK) return status;
        *yes = file_exists(path) && !file_is_directory(path);
        mem_free(path);
    }
    return MAE_OK;
}

Status source_refuse_cifar_pickles(const char *dir, Error *err) {
    static const char *const files[2][4] = {{"data_batch_1", "test_batch", "batches.meta", NULL},
                                            {"train", "test", "meta", NULL}};
    for (int k = 0; k < 2; k++) {
        bool yes;
        Status status = holds_all(dir, files[k], &yes, err);
        if (status != MAE_OK) return status;
        if (yes)
            return error_set(
                err, MAE_FORMAT,
                "%s: the Python version of CIFAR-%s (pickles such as %s); unpack the binary "
                "version, cifar-%s-binary.tar.gz, and name its folder",
                dir, k ? "100" : "10", files[k][0], k ? "100" : "10");
    }
    return MAE_OK;
}

/* People name the folder in which they have unpacked. */
static Status look_deeper(const char *dir, Error *err) {
    static const char *const inside[] = {"cifar-10-batches-bin", "cifar-100-binary",
                                         "cifar-10-batches-py", "cifar-100-python"};
    Status status = source_refuse_cifar_pickles(dir, err);
    for (size_t i = 0; i < sizeof inside / sizeof inside[0] && status == MAE_OK; i++) {
        char *path;
        status = file_path(dir, inside[i], &path, err);
        if (status != MAE_OK) return status;
        if (file_is_directory(path))
            status = error_set(err, MAE_IO, "%s: the files lie in %s; name that folder", dir, path);
        mem_free(path);
    }
    return status;
}

static Status cifar_open(Source *s, const char *where, const CifarKind *k, Error *err) {
    Status status = MAE_OK;
    int split = 0;
    CifarState *state = mem_alloc(sizeof *state);
    const char *dir = source_split_suffix(s->arena, where, &split);
    s->state = state;
    if (!state || !dir) return source_no_memory(err);
    state->kind = k;
    bool test = split ? split == 2 : s->test;
    const char *const *files = k->split[test];
    bool there;
    TRY(holds_all(dir, (const char *const[]){files[0], NULL}, &there, err));
    if (!there) TRY(look_deeper(dir, err));
    for (int f = 0; f < MAX_FILES && files[f]; f++) TRY(add_file(s, dir, files[f], err));
    TRY(read_names(s, dir, k, err));
    TRY(source_describe(s, dir, test ? "test" : "train", err));
done:
    return status;
}

static Status cifar10_open(Source *s, const char *where, Error *err) {
    return cifar_open(s, where, &cifar10, err);
}

static Status cifar100_open(Source *s, const char *where, Error *err) {
    return cifar_open(s, where, &cifar100, err);
}

static Status read_record(int fd, const SourceItem *item, uint8_t *planes, Error *err) {
    for (size_t got = 0; got < 3 * PLANE;) {
        ssize_t n = pread(fd, planes + got, 3 * PLANE - got, (off_t)(item->offset + (int64_t)got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return error_set(err, MAE_IO, "%s: cannot be read: %s", item->name,
                             n < 0 ? strerror(errno) : "the file has been cut short");
        got += (size_t)n;
    }
    return MAE_OK;
}

static Status cifar_fetch(const Source *s, int64_t index, int channels, ImageCrop *crop, Image *out,
                          Error *err) {
    (void)crop;
    const CifarState *state = s->state;
    const SourceItem *item = &s->items[index];
    uint8_t planes[3 * PLANE], rgb[3 * PLANE];
    Status status = read_record(state->fds[item->file], item, planes, err);
    if (status != MAE_OK) return status;
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = planes[c * PLANE + i];
    return source_copy_rgb(rgb, 3 * SIDE, SIDE, SIDE, channels, out, err);
}

static void cifar_close(Source *s) {
    CifarState *state = s->state;
    if (!state) return;
    for (int f = 0; f < state->n_files; f++) close(state->fds[f]);
    mem_free(state);
}

static bool cifar_identify(const Source *s, int64_t index, ImageIdentity *out) {
    const CifarState *state = s->state;
    struct stat file;
    if (fstat(state->fds[s->items[index].file], &file) != 0) return false;
    *out = (ImageIdentity){(uint64_t)file.st_dev, (uint64_t)file.st_ino, s->items[index].offset};
    return true;
}

const SourceKind source_cifar10 = {"cifar10", cifar10_open, cifar_fetch, cifar_identify,
                                   cifar_close};
const SourceKind source_cifar100 = {"cifar100", cifar100_open, cifar_fetch, cifar_identify,
                                    cifar_close};
