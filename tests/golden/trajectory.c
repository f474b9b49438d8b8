/* Training trajectories: learning rate, loss and gradient norm of every step, weights and moments
 * at the end, through the same step, optimiser and schedule as the program's own training. */
#include <math.h>
#include <string.h>

#include "golden.h"
#include "train/schedule.h"
#include "train/step.h"

typedef struct Run {
    const TensorFile *tensors;
    const json_t *entry, *json, *settings;
    const float *images, *noise, *loss;
    const int64_t *batch_index;
    int64_t batch, patches, image_values, accumulate, iterations;
    ModelConfig config;
    Vit *model;
    Optimizer *optimizer;
    AutoencoderGraph graph;
    TrainStep *step;
    float *picked; /* the images of one batch */
} Run;

static bool read_data(Golden *g, Run *r) {
    Shape images, index, noise;
    const json_t *s = r->settings;
    r->images = golden_reals(g, r->tensors, "images", &images);
    r->batch_index = golden_ints(g, r->tensors, "batch_index", &index);
    r->noise = golden_reals(g, r->tensors, "noise", &noise);
    r->loss = golden_reals(g, r->tensors, "loss", NULL);
    if (!r->images || !r->batch_index || !r->noise || !r->loss) return false;
    r->iterations = index.dim[0];
    r->batch = index.dim[1];
    r->patches = noise.dim[2];
    r->image_values = shape_numel(images) / images.dim[0];
    r->accumulate = golden_integer(s, "accum");
    r->picked = golden_memory(g, r->batch * r->image_values, sizeof(float));
    r->config = golden_config(json_object_get(r->json, "config"));
    r->config.channels = images.dim[1];
    r->config.image_height = images.dim[2];
    r->config.image_width = images.dim[3];
    r->config.target = golden_integer(s, "norm_pix") ? TARGET_NORM_PIX : TARGET_PIXEL;
    return true;
}

static bool make_step(Golden *g, Run *r) {
    Error err = {0};
    const json_t *betas = json_object_get(r->json, "betas");
    OptimizerOptions o = {.kind = OPTIMIZER_ADAMW,
                          .beta1 = json_number_value(json_array_get(betas, 0)),
                          .beta2 = json_number_value(json_array_get(betas, 1)),
                          .eps = golden_number(r->json, "eps"),
                          .groups = {.weight_decay = golden_number(r->settings, "wd")}};
    int64_t keep = mask_keep_count(r->patches, golden_number(r->settings, "mask_ratio"));
    StepOptions s = {.batch = r->batch, .accumulate = r->accumulate};
    if (!golden_training(g, r->model, r->batch, keep, &r->graph)) return false;
    Status status = optimizer_new(g->device, r->model->params, o, &r->optimizer, &err);
    if (status == MAE_OK)
        status = step_new(r->model, r->graph.graph, r->graph.loss, r->optimizer, s, &r->step, &err);
    if (status != MAE_OK) golden_problem(g, "%s", err.message);
    return status == MAE_OK;
}

/* Every trained parameter is in one group, with the weight decay of that group. */
static void check_groups(Golden *g, Run *r) {
    size_t i, k;
    json_t *group, *name;
    int64_t listed = 0, trained = 0;
    json_array_foreach(json_object_get(r->json, "param_groups"), i, group) {
        json_array_foreach(json_object_get(group, "params"), k, name) {
            const Param *p = params_find(r->model->params, json_string_value(name));
            if (!p || !p->trainable)
                golden_problem(g, "%s is not trained", json_string_value(name));
            else
                compare_number(g, golden_text(g, "weight decay of %s", p->name),
                               optimizer_group(r->optimizer, p).weight_decay,
                               golden_number(group, "weight_decay"), 0);
            listed++;
        }
    }
    for (int64_t n = 0; n < params_count(r->model->params); n++)
        trained += params_at(r->model->params, n)->trainable;
    compare_number(g, "trained parameters", (double)trained, (double)listed, 0);
}

static double listed(const Run *r, const char *name, int64_t i) {
    const json_t *v = json_array_get(json_object_get(r->json, name), (size_t)i);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

/* Moments on the device, weights in the parameters. */
static void compare_state(Golden *g, Run *r, const char *prefix, bool moments) {
    for (int64_t i = 0; i < params_count(r->model->params); i++) {
        const Param *p = params_at(r->model->params, i);
        const char *name = golden_text(g, "%s.%s", prefix, p->name);
        if (!tensorfile_find(r->tensors, name)) continue;
        float *got = golden_memory(g, p->numel, sizeof *got);
        if (moments)
            device_download_floats(g->device, got, optimizer_moment(r->optimizer, 0, p),
                                   NUMBER_WIDE, p->numel);
        else
            params_get(r->model->params, p, got);
        compare_without_key(g, name, got, golden_reals(g, r->tensors, name, NULL), p->numel,
                            golden_limit(g, r->entry, name));
    }
}

static void set_batch(Golden *g, Run *r, int64_t iteration) {
    Masks m = golden_masks(g, r->noise + iteration * r->batch * r->patches, r->batch, r->patches,
                           r->graph.n_keep);
    for (int64_t b = 0; b < r->batch; b++)
        memcpy(r->picked + b * r->image_values,
               r->images + r->batch_index[iteration * r->batch + b] * r->image_values,
               (size_t)r->image_values * sizeof(float));
    golden_feed(&r->graph, &m, r->picked);
}

static bool update(Golden *g, Run *r, int64_t n, double lr) {
    Error err = {0};
    double mean, want = listed(r, "grad_norm_per_step_f64", n);
    if (step_update(r->step, lr, &mean, &err) != MAE_OK) {
        golden_problem(g, "update %lld: %s", (long long)n + 1, err.message);
        return false;
    }
    compare_number(g, golden_text(g, "gradient norm of update %lld", (long long)n + 1),
                   r->step->last_norm, want, golden_share(g, 1e-5, want));
    const char *snapshot = golden_text(g, "after%lld", (long long)n + 1);
    compare_state(g, r, snapshot, false);
    return true;
}

/* The learning rate is set before each update from the fractional epoch of its first iteration. */
static void train(Golden *g, Run *r) {
    const json_t *s = r->settings;
    int64_t per_epoch = golden_integer(s, "iters"), updates = 0;
    double lr = 0;
    for (int64_t i = 0; i < r->iterations; i++) {
        Error err = {0};
        float loss;
        double want = listed(r, "loss_per_iteration_f32", i);
        double limit = golden_share(g, 1e-6, want);
        double epoch = (double)(i % per_epoch) / (double)per_epoch + (double)(i / per_epoch);
        if (i % per_epoch % r->accumulate == 0) {
            lr = schedule_lr(epoch, golden_number(s, "warmup"), golden_number(s, "epochs"),
                             golden_number(s, "lr"), golden_number(s, "min_lr"));
            double rate = listed(r, "lr_per_step", updates);
            compare_number(g, golden_text(g, "lr of update %lld", (long long)updates + 1), lr, rate,
                           1e-12 * rate);
        }
        set_batch(g, r, i);
        if (step_micro_batch(r->step, &err) != MAE_OK) {
            golden_problem(g, "iteration %lld: %s", (long long)i, err.message);
            return;
        }
        graph_get(r->graph.graph, r->graph.loss, &loss);
        compare_number(g, golden_text(g, "loss of iteration %lld", (long long)i), (double)loss,
                       want, limit);
        compare_number(g, golden_text(g, "loss[%lld]", (long long)i), (double)loss,
                       (double)r->loss[i], limit);
        if (r->step->micro_batches == r->accumulate && !update(g, r, updates++, lr)) return;
    }
    compare_number(g, "updates", (double)updates, golden_number(r->json, "steps"), 0);
    compare_state(g, r, "final", false);
    compare_state(g, r, "exp_avg", true);
}

/* The file with the first weights: this one, or, where the description says whose they are, that
 * one, or else another trajectory of the same model. */
static const TensorFile *initial_weights(Golden *g, Run *r) {
    const char *path, *best = NULL;
    json_t *entry;
    const char *description = json_string_value(json_object_get(r->entry, "desc"));
    if (json_object_get(json_object_get(r->entry, "tensors"), "init.cls_token")) return r->tensors;
    json_object_foreach(g->files, path, entry) {
        const char *name = strrchr(path, '/');
        if (strncmp(path, "train_trajectory/", 17) != 0 ||
            !json_object_get(json_object_get(entry, "tensors"), "init.cls_token"))
            continue;
        const json_t *other = golden_json(g, golden_sibling(g, path, ".json"));
        if (!json_equal(json_object_get(other, "config"), json_object_get(r->json, "config")))
            continue;
        bool named = description && name && strstr(description, name + 1);
        if (named || !best) best = path;
        if (named) break;
    }
    if (best) return golden_tensors(g, best);
    golden_problem(g, "no file has its first weights");
    return NULL;
}

void check_trajectory(Golden *g, const char *path, const json_t *entry) {
    Run r = {.entry = entry};
    r.tensors = golden_tensors(g, path);
    r.json = golden_json(g, golden_sibling(g, path, ".json"));
    if (!r.tensors || !r.json) return;
    r.settings = json_object_get(r.json, "settings");
    if (!read_data(g, &r)) return;
    const TensorFile *first = initial_weights(g, &r);
    r.model = first ? golden_model(g, &r.config, true) : NULL;
    if (r.model && golden_load(g, r.model, first, "init.") && make_step(g, &r)) {
        check_groups(g, &r);
        train(g, &r);
    }
    step_free(r.step);
    graph_free(r.graph.graph);
    optimizer_free(r.optimizer);
    vit_free(r.model);
}
