/* mae knn: the accuracy of nearest neighbours among the features of a frozen encoder. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "infer/knn.h"
#include "jobs/bank.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "jobs/unseen.h"
#include "run/machine.h"

#define FEATURE_BATCH 64

static Status same_classes(const Bank *a, const Bank *b, Error *err) {
    int n = dataset_n_classes(a->dataset), m = dataset_n_classes(b->dataset);
    if (n != m)
        return error_set(err, MAE_SHAPE,
                         "--data has %d classes, --val has %d: they must be the same", n, m);
    for (int i = 0; i < n; i++)
        if (strcmp(dataset_class_name(a->dataset, i), dataset_class_name(b->dataset, i)) != 0)
            return error_set(err, MAE_SHAPE, "class %d is %s in --data but %s in --val", i,
                             dataset_class_name(a->dataset, i), dataset_class_name(b->dataset, i));
    return MAE_OK;
}

static Status check_k(int64_t k, int64_t n, Error *err) {
    if (k <= n) return MAE_OK;
    return error_set(err, MAE_USAGE,
                     "--k %" PRId64 ": there are only %" PRId64
                     " images in --data to be neighbours; "
                     "choose a smaller --k, or give more images",
                     k, n);
}

static Status check_labels(const Bank *b, const char *source, Error *err) {
    if (dataset_n_classes(b->dataset) > 0) return MAE_OK;
    return error_set(
        err, MAE_EMPTY,
        "%s has no labels; k-NN needs a folder per class, a list with labels, CIFAR or "
        "shards with .cls",
        source);
}

/* Both sets, before there is any work. */
static Status open_banks(Bank *memory, Bank *queries, const MaeModel *m, const MaeOptions *o,
                         Error *err) {
    Status status = MAE_OK;
    int64_t channels = m->vit->config.channels;
    TRY(setup_dataset(o, channels, &memory->dataset, err));
    TRY(check_labels(memory, o->data, err));
    TRY(setup_val_set(o, channels, &queries->dataset, err));
    TRY(check_labels(queries, o->val, err));
    TRY(same_classes(memory, queries, err));
    TRY(check_k(o->k, dataset_count(memory->dataset), err));
    TRY(unseen_check(o, memory->dataset, queries->dataset, err));
done:
    return status;
}

static Status fill(Bank *b, MaeModel *m, const MaeOptions *o, Session *s, Error *err) {
    SessionJob job;
    Status status = setup_eval_job(o, &m->vit->config, b->dataset, "features", NULL, &job, err);
    return status == MAE_OK ? bank_fill(b, s, &job, err) : status;
}

Status nearest_rows(const MaeModel *model, const float *bank, int64_t n, const float *queries,
                    int64_t m, int64_t width, int64_t k, int64_t *rows, float *cosines,
                    Error *err) {
    if (width < 1 || m < 0)
        return error_set(err, MAE_USAGE,
                         "%" PRId64 " queries of %" PRId64 " values: there must be a value", m,
                         width);
    if (k < 1 || k > n)
        return error_set(err, MAE_USAGE,
                         "%" PRId64 " neighbours among %" PRId64
                         " rows: there may be 1 to as many as there are rows",
                         k, n);
    return knn_nearest(model->device, bank, n, queries, m, width, k, call_stop(), rows, cosines,
                       err);
}

/* What the neighbours of each query vote for: predicted[queries->n]. */
static Status predict(const MaeModel *m, const MaeOptions *o, const Bank *memory,
                      const Bank *queries, int *predicted, Error *err) {
    Status status = MAE_OK;
    size_t n = (size_t)(queries->n * o->k);
    int64_t *rows = mem_alloc_array(n, sizeof *rows);
    float *cosines = mem_alloc_array(n, sizeof *cosines);
    if (!rows || !cosines) {
        status = error_set(err, MAE_MEMORY, "no memory for neighbours of %" PRId64 " images",
                           queries->n);
        goto done;
    }
    TRY(knn_nearest(m->device, memory->features, memory->n, queries->features, queries->n,
                    memory->width, o->k, call_stop(), rows, cosines, err));
    TRY(knn_vote(rows, cosines, queries->n, o->k, memory->label, dataset_n_classes(memory->dataset),
                 o->temperature, predicted, err));
done:
    mem_free(rows);
    mem_free(cosines);
    return status;
}

/* The share of queries whose class the vote gives. */
static double accuracy(const Bank *queries, const int *predicted) {
    int64_t right = 0;
    for (int64_t i = 0; i < queries->n; i++) right += predicted[i] == queries->label[i];
    return (double)right / (double)queries->n;
}

static Status knn(MaeModel *m, const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    Bank memory = {0}, queries = {0};
    Session *s = NULL;
    int *predicted = NULL;
    SessionOptions options = {.batch = FEATURE_BATCH, .pool = (PoolKind)o->pool, .block = o->block};
    TRY(session_new(m->vit, options, &s, err));
    machine_say_threads(o, m->device, NULL);
    TRY(open_banks(&memory, &queries, m, o, err));
    TRY(fill(&memory, m, o, s, err));
    TRY(check_k(o->k, memory.n, err));
    TRY(fill(&queries, m, o, s, err));
    predicted = mem_alloc_array((size_t)queries.n, sizeof *predicted);
    if (!predicted) {
        status = error_set(err, MAE_MEMORY, "no memory for predictions");
        goto done;
    }
    TRY(predict(m, o, &memory, &queries, predicted, err));
    result_number(out, "accuracy", accuracy(&queries, predicted));
    result_count(out, "memory", memory.n);
    result_count(out, "queries", queries.n);
    result_count(out, "unreadable",
                 dataset_n_left_out(memory.dataset) + dataset_n_left_out(queries.dataset));
    result_count(out, "k", o->k);
    result_count(out, "classes", dataset_n_classes(memory.dataset));
done:
    bank_free(&memory);
    bank_free(&queries);
    session_free(s);
    mem_free(predicted);
    return status;
}

Status knn_job(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    MaeModel *m = NULL;
    if (!o->val) return error_set(err, MAE_USAGE, "no queries; name them with --val SRC");
    TRY(model_open(o, &m, err));
    TRY(knn(m, o, out, err));
done:
    model_free(m);
    return status;
}
