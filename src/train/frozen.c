/* Features to a file, features of one image, and k-NN accuracy. */
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "formats/npy.h"
#include "train/drivers.h"
#include "train/features.h"
#include "train/knn.h"
#include "train/setup.h"

#define FEATURE_BATCH 64

/* --- one image ---------------------------------------------------------------------------------
 */

Status features_image(MaeModel *m, const char *path, const MaeOptions *o, float *out, Error *err) {
    Status status = STATUS_OK;
    const ModelConfig *c = &m->vit->config;
    Encoder *e = NULL;
    uint8_t *pixels = mem_alloc((size_t)(c->image_height * c->image_width * c->channels));
    if (!pixels) return fail(err, STATUS_MEMORY, "no memory for an image");
    TRY(setup_eval_image(path, c, pixels, err));
    TRY(encoder_new(m->vit, 1, o->pool == 1, &e, err));
    encoder_run(e, pixels, 1, out);
done:
    encoder_free(e);
    mem_free(pixels);
    return status;
}

/* --- to a file ---------------------------------------------------------------------------------
 */

typedef struct FileSink {
    Dataset *dataset;
    NpyWriter *npy;
    FileWriter *names;
    int64_t width;
} FileSink;

static Status to_file(void *user, const float *features, const Batch *b, Error *err) {
    FileSink *s = user;
    Status status = npy_writer_append(s->npy, features, b->n * s->width, err);
    for (int64_t i = 0; i < b->n && status == STATUS_OK; i++) {
        const char *name = dataset_name(s->dataset, b->samples[i]);
        status = file_writer_write(s->names, name, strlen(name), err);
        if (status == STATUS_OK) status = file_writer_write(s->names, "\n", 1, err);
    }
    return status;
}

/* PATH.npy -> PATH.txt */
static char *names_path(const char *path) {
    size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, ".npy") == 0) n -= 4;
    return mem_printf("%.*s.txt", (int)n, path);
}

Status features_file(MaeModel *m, const MaeOptions *o, const MaeEvents *events, int64_t *rows,
                     Error *err) {
    Status status = STATUS_OK;
    const ModelConfig *c = &m->vit->config;
    Encoder *e = NULL;
    Augment augment;
    FileSink s = {.width = c->embed_dim};
    char *names = o->out ? names_path(o->out) : NULL;
    if (!o->out) return fail(err, STATUS_USAGE, "no output; name a file with --out FILE.npy");
    if (!names) return fail(err, STATUS_MEMORY, "no memory for a path");
    TRY(setup_dataset(o, o->data, c->channels, &s.dataset, err));
    TRY(setup_eval_augment(s.dataset, c, &augment, err));
    TRY(encoder_new(m->vit, FEATURE_BATCH, o->pool == 1, &e, err));
    int64_t n = dataset_count(s.dataset);
    if (o->limit > 0 && o->limit < n) n = o->limit;
    TRY(npy_writer_open(o->out, SHAPE(n, c->embed_dim), &s.npy, err));
    TRY(file_writer_open(names, &s.names, err));
    TRY(features_stream(e, s.dataset, &augment, setup_workers(o), n, events, to_file, &s, err));
    TRY(npy_writer_commit(s.npy, err));
    TRY(file_writer_commit(s.names, err));
    if (rows) *rows = n;
done:
    npy_writer_close(s.npy);
    file_writer_close(s.names);
    encoder_free(e);
    dataset_close(s.dataset);
    mem_free(names);
    return status;
}

/* --- k-NN --------------------------------------------------------------------------------------
 */

typedef struct Bank {
    Dataset *dataset;
    float *features;
    int *labels;
    int64_t n, filled, width;
} Bank;

static Status to_bank(void *user, const float *features, const Batch *b, Error *err) {
    Bank *bank = user;
    (void)err;
    memcpy(bank->features + bank->filled * bank->width, features,
           (size_t)(b->n * bank->width) * sizeof *features);
    memcpy(bank->labels + bank->filled, b->labels, (size_t)b->n * sizeof *b->labels);
    bank->filled += b->n;
    return STATUS_OK;
}

static void bank_free(Bank *b) {
    mem_free(b->features);
    mem_free(b->labels);
    dataset_close(b->dataset);
}

static Status bank_fill(Bank *b, MaeModel *m, const MaeOptions *o, const char *source,
                        int64_t limit, Encoder *e, const MaeEvents *events, Error *err) {
    Status status = STATUS_OK;
    Augment augment;
    b->width = m->vit->config.embed_dim;
    TRY(setup_dataset(o, source, m->vit->config.channels, &b->dataset, err));
    if (dataset_n_classes(b->dataset) < 1) {
        status =
            fail(err, STATUS_EMPTY,
                 "%s has no labels; k-NN needs a folder per class, a list with labels, CIFAR or "
                 "shards with .cls",
                 source);
        goto done;
    }
    TRY(setup_eval_augment(b->dataset, &m->vit->config, &augment, err));
    b->n = dataset_count(b->dataset);
    if (limit > 0 && limit < b->n) b->n = limit;
    b->features = mem_alloc_array((size_t)(b->n * b->width), sizeof *b->features);
    b->labels = mem_alloc_array((size_t)b->n, sizeof *b->labels);
    if (!b->features || !b->labels) {
        status = fail(err, STATUS_MEMORY, "no memory for features of %" PRId64 " images", b->n);
        goto done;
    }
    TRY(features_stream(e, b->dataset, &augment, setup_workers(o), b->n, events, to_bank, b, err));
    knn_normalize(b->features, b->n, b->width);
done:
    return status;
}

static Status same_classes(const Bank *a, const Bank *b, Error *err) {
    int n = dataset_n_classes(a->dataset), m = dataset_n_classes(b->dataset);
    if (n != m)
        return fail(err, STATUS_SHAPE, "--data has %d classes, --val has %d: they must be the same",
                    n, m);
    for (int i = 0; i < n; i++)
        if (strcmp(dataset_class_name(a->dataset, i), dataset_class_name(b->dataset, i)) != 0)
            return fail(err, STATUS_SHAPE, "class %d is %s in --data but %s in --val", i,
                        dataset_class_name(a->dataset, i), dataset_class_name(b->dataset, i));
    return STATUS_OK;
}

Status knn_run(MaeModel *m, const MaeOptions *o, const MaeEvents *events, MaeKnn *out, Error *err) {
    Status status = STATUS_OK;
    Bank memory = {0}, queries = {0};
    Encoder *e = NULL;
    int *predicted = NULL;
    if (!o->val) return fail(err, STATUS_USAGE, "no queries; name them with --val SRC");
    TRY(encoder_new(m->vit, FEATURE_BATCH, o->pool == 1, &e, err));
    TRY(bank_fill(&memory, m, o, o->data, o->limit, e, events, err));
    TRY(bank_fill(&queries, m, o, o->val, o->val_limit, e, events, err));
    TRY(same_classes(&memory, &queries, err));
    predicted = mem_alloc_array((size_t)queries.n, sizeof *predicted);
    if (!predicted) {
        status = fail(err, STATUS_MEMORY, "no memory for predictions");
        goto done;
    }
    int n_classes = dataset_n_classes(memory.dataset);
    TRY(knn_predict(m->device, memory.features, memory.labels, memory.n, queries.features,
                    queries.n, memory.width, n_classes, o->k, o->temperature, predicted, err));
    int64_t right = 0;
    for (int64_t i = 0; i < queries.n; i++) right += predicted[i] == queries.labels[i];
    *out = (MaeKnn){.accuracy = (double)right / (double)queries.n,
                    .memory = memory.n,
                    .queries = queries.n,
                    .k = o->k,
                    .classes = n_classes};
done:
    bank_free(&memory);
    bank_free(&queries);
    encoder_free(e);
    mem_free(predicted);
    return status;
}
