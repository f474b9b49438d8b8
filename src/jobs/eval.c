/* mae eval: a classifier on labelled images, clean and under the corruptions of ImageNet-C. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/corrupt/corrupt.h"
#include "formats/csv.h"
#include "infer/evaluate.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "jobs/unseen.h"
#include "run/machine.h"

/* AlexNet's top-1 error under each corruption, mean over the severities: what the mean corruption
 * error of ImageNet-C is relative to (Hendrycks & Dietterich 2019, table of the code). */
static const struct {
    Corruption kind;
    double error;
} ALEXNET[] = {
    {CORRUPTION_GAUSSIAN_NOISE, 0.886428},
    {CORRUPTION_SHOT_NOISE, 0.894468},
    {CORRUPTION_IMPULSE_NOISE, 0.922640},
    {CORRUPTION_DEFOCUS_BLUR, 0.819880},
    {CORRUPTION_GLASS_BLUR, 0.826268},
    {CORRUPTION_MOTION_BLUR, 0.785948},
    {CORRUPTION_ZOOM_BLUR, 0.798360},
    {CORRUPTION_SNOW, 0.866816},
    {CORRUPTION_FROST, 0.826572},
    {CORRUPTION_FOG, 0.819324},
    {CORRUPTION_BRIGHTNESS, 0.564592},
    {CORRUPTION_CONTRAST, 0.853204},
    {CORRUPTION_ELASTIC_TRANSFORM, 0.646056},
    {CORRUPTION_PIXELATE, 0.717840},
    {CORRUPTION_JPEG_COMPRESSION, 0.606500},
};

#define IMAGENET_CLASSES 1000
#define MAX_BASELINE_BYTES ((size_t)16 << 20)

typedef struct Eval {
    MaeModel *model;
    const MaeOptions *options;
    Dataset *data;
    Session *session;
    SessionJob job;
    EvaluationLabels labels;
    int64_t *confusion; /* [classes of the data, classes of the model] */
    int *class_of;
    uint8_t *allowed;
    bool wanted[CORRUPTION_COUNT];
    double baseline[CORRUPTION_COUNT]; /* -1: none */
    const char *baseline_name;
} Eval;

/* --- what is asked for ------------------------------------------------------------------------ */

static Status read_corruptions(Eval *e, Error *err) {
    const char *s = e->options->corruptions;
    if (!s) return MAE_OK;
    if (strcmp(s, "all") == 0) {
        for (int i = 0; i < CORRUPTION_COUNT; i++) e->wanted[i] = true;
        return MAE_OK;
    }
    while (*s) {
        char name[64];
        size_t n = strcspn(s, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), s);
        int kind = corruption_find(name);
        if (kind < 0)
            return error_set(
                err, MAE_USAGE,
                "--corruptions: %s is none of them; all, or names as gaussian_noise,fog", name);
        e->wanted[kind] = true;
        s += n + (s[n] == ',');
    }
    return MAE_OK;
}

/* {"corruptions": [{"name": .., "mean_error": ..}, ..]}, as mae eval --json prints it. */
static Status read_baseline_file(Eval *e, const char *path, Error *err) {
    json_error_t why;
    uint8_t *text = NULL;
    size_t i, bytes = 0;
    Status status = file_read(path, MAX_BASELINE_BYTES, &text, &bytes, err);
    if (status != MAE_OK) return status;
    json_t *row, *root = json_parse(text, bytes, &why);
    mem_free(text);
    if (!root)
        return error_set(err, MAE_FORMAT,
                         "--baseline %s: %s; give alexnet, none, or what mae eval --json printed",
                         path, why.text);
    json_array_foreach(json_object_get(root, "corruptions"), i, row) {
        const char *name = json_string_value(json_object_get(row, "name"));
        const json_t *error = json_object_get(row, "mean_error");
        int kind = name ? corruption_find(name) : -1;
        if (kind >= 0 && json_is_number(error)) e->baseline[kind] = json_number_value(error);
    }
    json_decref(root);
    for (int k = 0; k < CORRUPTION_COUNT; k++)
        if (e->wanted[k] && !(e->baseline[k] > 0))
            return error_set(err, MAE_FORMAT, "--baseline %s: no error above 0 for %s", path,
                             corruption_name((Corruption)k));
    return MAE_OK;
}

/* The published errors are those of all classes of ImageNet. */
static bool is_imagenet(const Eval *e) {
    return e->model->vit->config.classes == IMAGENET_CLASSES &&
           dataset_n_classes(e->data) == IMAGENET_CLASSES && !e->allowed;
}

static Status read_baseline(Eval *e, Error *err) {
    const char *name = e->options->baseline ? e->options->baseline : "alexnet";
    for (int i = 0; i < CORRUPTION_COUNT; i++) e->baseline[i] = -1;
    e->baseline_name = name;
    if (!e->options->corruptions || strcmp(name, "none") == 0) return MAE_OK;
    if (strcmp(name, "alexnet") != 0) return read_baseline_file(e, name, err);
    for (size_t i = 0; i < sizeof ALEXNET / sizeof *ALEXNET; i++)
        e->baseline[ALEXNET[i].kind] = ALEXNET[i].error;
    return MAE_OK;
}

/* Once the classes are known. */
static void check_baseline(Eval *e) {
    bool alexnet = strcmp(e->baseline_name, "alexnet") == 0;
    if (!e->options->corruptions || !alexnet || is_imagenet(e)) return;
    for (int i = 0; i < CORRUPTION_COUNT; i++) e->baseline[i] = -1;
    e->baseline_name = "none";
    log_line(e->options->baseline ? LOG_WARNING : LOG_INFO,
             "errors are not given relative to AlexNet's, which are known for the %d classes of "
             "ImageNet only",
             IMAGENET_CLASSES);
}

static Status open_classes(Eval *e, Error *err) {
    const MaeModel *m = e->model;
    const ClassNames *names = m->notes.classes;
    Status status = MAE_OK;
    int64_t C = m->vit->config.classes;
    if (!e->options->classes) {
        status = classes_map(names, C, e->data, "--val", &e->class_of, err);
    } else {
        e->allowed = mem_alloc((size_t)C);
        if (!e->allowed) return error_set(err, MAE_MEMORY, "no memory for %" PRId64 " classes", C);
        status =
            classes_map_file(e->options->classes, names, C, e->data, &e->class_of, e->allowed, err);
    }
    if (status == MAE_OK)
        classes_warn_of_missing(names, C, e->data, e->class_of, e->allowed, "--val");
    return status;
}

static Status open_eval(Eval *e, Error *err) {
    Status status = MAE_OK;
    const MaeOptions *o = e->options;
    const ModelConfig *c = &e->model->vit->config;
    if (c->head == HEAD_NONE)
        return error_set(
            err, MAE_UNSUPPORTED,
            "the checkpoint has no classifier; make one with mae finetune or mae probe");
    TRY(read_corruptions(e, err));
    TRY(read_baseline(e, err));
    if (!o->val)
        return error_set(err, MAE_USAGE, "no images to evaluate on; name them with --val SRC");
    TRY(setup_val_set(o, c->channels, &e->data, err));
    TRY(evaluate_check_labels(e->data, "--val", err));
    TRY(unseen_check_trained(o, e->data, err));
    TRY(open_classes(e, err));
    check_baseline(e);
    TRY(session_new(e->model->vit, (SessionOptions){.batch = o->batch, .logits = true}, &e->session,
                    err));
    TRY(setup_eval_job(o, c, e->data, "evaluate", NULL, &e->job, err));
    e->job.seed = (uint64_t)o->seed;
    e->labels = (EvaluationLabels){.class_of = e->class_of, .allowed = e->allowed};
done:
    return status;
}

static void close_eval(Eval *e) {
    session_free(e->session);
    dataset_close(e->data);
    mem_free(e->confusion);
    mem_free(e->class_of);
    mem_free(e->allowed);
}

/* --- clean ------------------------------------------------------------------------------------ */

/* Class k of the model; its number where the checkpoint has no names. The text may be in buf. */
static const char *model_class(const Eval *e, int64_t k, char buf[24]) {
    const ClassNames *names = e->model->notes.classes;
    if (names) return names->name[k];
    snprintf(buf, 24, "%" PRId64, k);
    return buf;
}

/* A class of the data: how often it was taken for which class of the model. */
static void tell_class(const Eval *e, int64_t i, Result row) {
    int64_t C = e->model->vit->config.classes, images = 0;
    const int64_t *taken = e->confusion + i * C;
    char number[24];
    for (int64_t k = 0; k < C; k++) images += taken[k];
    result_text(row, "class", dataset_class_name(e->data, (int)i));
    result_count(row, "images", images);
    result_count(row, "right", taken[e->class_of[i]]);
    Result predicted = result_object(row, "predicted");
    for (int64_t k = 0; k < C; k++)
        if (taken[k]) result_count(predicted, model_class(e, k, number), taken[k]);
}

/* Classes of the model that count. */
static int64_t n_counted(const Eval *e) {
    int64_t n = 0, C = e->model->vit->config.classes;
    for (int64_t i = 0; e->allowed && i < C; i++) n += e->allowed[i] != 0;
    return e->allowed ? n : C;
}

static Status run_clean(Eval *e, Result out, Error *err) {
    Status status = MAE_OK;
    Evaluation clean;
    int64_t n = dataset_n_classes(e->data), C = e->model->vit->config.classes;
    e->confusion = mem_alloc_array((size_t)(n * C), sizeof *e->confusion);
    if (!e->confusion)
        return error_set(err, MAE_MEMORY, "no memory for the results of %" PRId64 " classes", n);
    e->labels.confusion = e->confusion;
    TRY(evaluate_run(e->session, &e->job, &e->labels, &clean, err));
    e->labels.confusion = NULL;
    Metrics metrics = evaluation_metrics(&clean, n_counted(e));
    result_count(out, "images", clean.images);
    result_count(out, "unreadable", clean.unreadable);
    result_number(out, "top1", metrics_get(&metrics, METRIC_TOP1));
    result_share(out, "top5", metrics_get(&metrics, METRIC_TOP5));
    result_number(out, "loss", metrics_get(&metrics, METRIC_VAL_LOSS));
    Result classes = result_list(out, "classes");
    for (int64_t i = 0; i < n; i++) tell_class(e, i, result_object(classes, NULL));
done:
    return status;
}

/* --- corruptions ------------------------------------------------------------------------------ */

/* Adds the error that the mean over corruptions takes to *sum: the relative one where there is
 * one. */
static Status run_corruption(Eval *e, Corruption kind, Result out, double *sum, Error *err) {
    Status status = MAE_OK;
    Evaluation result;
    double mean = 0;
    if (corruption_note(kind)) log_line(LOG_INFO, "%s", corruption_note(kind));
    result_text(out, "name", corruption_name(kind));
    Result errors = result_list(out, "error");
    for (int s = 1; s <= CORRUPTION_SEVERITIES; s++) {
        e->job.augment.corruption = kind;
        e->job.augment.severity = s;
        TRY(evaluate_run(e->session, &e->job, &e->labels, &result, err));
        double error = 1 - (double)result.top1 / (double)result.images;
        result_number(errors, NULL, error);
        mean += error / CORRUPTION_SEVERITIES;
    }
    double relative = e->baseline[kind] > 0 ? mean / e->baseline[kind] : -1;
    result_number(out, "mean_error", mean);
    result_share(out, "relative_error", relative);
    *sum += relative >= 0 ? relative : mean;
    log_line(LOG_INFO, "%s: error %.2f %%", corruption_name(kind), 100 * mean);
done:
    e->job.augment.severity = 0;
    return status;
}

static Status run_corruptions(Eval *e, Result out, Error *err) {
    double sum = 0;
    int n = 0;
    for (int k = 0; k < CORRUPTION_COUNT; k++) n += e->wanted[k];
    if (n == 0) return MAE_OK;
    Result list = result_list(out, "corruptions");
    for (int k = 0; k < CORRUPTION_COUNT; k++) {
        if (!e->wanted[k]) continue;
        Status status = run_corruption(e, (Corruption)k, result_object(list, NULL), &sum, err);
        if (status != MAE_OK) return status;
    }
    result_text(out, "baseline", e->baseline_name);
    result_number(out, "mean_corruption_error", sum / n);
    return MAE_OK;
}

/* --- the table of what was taken for what ----------------------------------------------------- */

static Status put_heading(CsvWriter *w, const Eval *e, Error *err) {
    char number[24];
    Status status = csv_writer_text(w, "class", err);
    for (int64_t k = 0; k < e->model->vit->config.classes && status == MAE_OK; k++)
        status = csv_writer_text(w, model_class(e, k, number), err);
    return status == MAE_OK ? csv_writer_end_row(w, err) : status;
}

static Status put_class(CsvWriter *w, const Eval *e, int64_t class, Error *err) {
    int64_t C = e->model->vit->config.classes;
    Status status = csv_writer_text(w, dataset_class_name(e->data, (int)class), err);
    for (int64_t k = 0; k < C && status == MAE_OK; k++)
        status = csv_writer_count(w, e->confusion[class * C + k], err);
    return status == MAE_OK ? csv_writer_end_row(w, err) : status;
}

/* A line a class of the data, a column a class of the model. */
static Status write_confusion(const Eval *e, Error *err) {
    Status status = MAE_OK;
    CsvWriter *w = NULL;
    if (!e->options->confusion) return MAE_OK;
    TRY(csv_writer_open(e->options->confusion, &w, err));
    TRY(put_heading(w, e, err));
    for (int64_t i = 0; i < dataset_n_classes(e->data); i++) TRY(put_class(w, e, i, err));
    TRY(csv_writer_commit(w, err));
done:
    csv_writer_close(w);
    return status;
}

static Status check_confusion(const MaeOptions *o, Error *err) {
    if (!o->confusion) return MAE_OK;
    Status status = file_check_ending(o->confusion, "a table of counts", ".csv .txt", err);
    return status == MAE_OK ? file_check_output(o->confusion, err) : status;
}

Status eval_model(MaeModel *m, const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    Eval e = {.model = m, .options = o};
    TRY(open_eval(&e, err));
    machine_say_threads(o, m->device, NULL);
    TRY(run_clean(&e, out, err));
    TRY(run_corruptions(&e, out, err));
    TRY(write_confusion(&e, err));
done:
    close_eval(&e);
    return status;
}

Status eval_job(const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    MaeModel *m = NULL;
    TRY(check_confusion(o, err));
    TRY(model_open(o, &m, err));
    TRY(eval_model(m, o, out, err));
done:
    model_free(m);
    return status;
}
