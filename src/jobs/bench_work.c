/* See bench_work.h. */
#include "jobs/bench_work.h"

#include <inttypes.h>
#include <math.h>

#include "base/memory.h"
#include "base/threads.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "jobs/supervised.h"
#include "run/machine.h"

#define CLASSES 1000 /* ImageNet-1k */

int64_t bench_repetitions(const MaeOptions *o) {
    int64_t n = o->repetitions < 1 ? 1 : o->repetitions;
    return n > BENCH_MAX_REPETITIONS ? BENCH_MAX_REPETITIONS : n;
}

/* --- making ----------------------------------------------------------------------------------- */

static Status configure(BenchWork *w, const MaeOptions *o, Error *err) {
    ModelConfig *c = &w->config;
    Status status = setup_model_config(o, c, err);
    if (status != MAE_OK || w->task == BENCH_PRETRAIN) return status;
    c->decoder_depth = 0;
    c->mask_token_in_encoder = false;
    c->target = TARGET_PIXEL;
    if (w->task == BENCH_FEATURES) return MAE_OK;
    c->head = HEAD_LINEAR;
    c->pool = POOL_MEAN;
    c->classes = CLASSES;
    if (o->batch % 2 == 0) return MAE_OK;
    return error_set(err, MAE_USAGE,
                     "--batch %" PRId64
                     ": fine-tuning mixes pairs of images, which needs an even batch",
                     o->batch);
}

static Status make_step(BenchWork *w, OptimizerOptions adamw, Graph *graph, Value *loss,
                        Error *err) {
    StepOptions s = {.batch = w->batch, .accumulate = 1};
    Status status = optimizer_new(w->device, w->model->params, adamw, &w->optimizer, err);
    if (status != MAE_OK) return status;
    w->graph = graph;
    return step_new(w->model, graph, loss, w->optimizer, s, &w->step, err);
}

static Status make_pretraining(BenchWork *w, const MaeOptions *o, Error *err) {
    OptimizerOptions adamw = {
        .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .groups = {.weight_decay = 0.05}};
    Status status = masked_batch_new(w->model, setup_mask(o), MAE_U8, w->batch, (uint64_t)o->seed,
                                     &w->masked, err);
    if (status != MAE_OK) return status;
    return make_step(w, adamw, w->masked->graph.graph, w->masked->graph.loss, err);
}

/* The defaults of `mae finetune` for a model of this size. */
static Status make_finetuning(BenchWork *w, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    MaeOptions recipe;
    options_default(COMMAND_FINETUNE, &recipe);
    TRY(finetune_recipe(&recipe, &w->config, false, err));
    recipe.batch = w->batch;
    recipe.seed = o->seed;
    LabelledOptions l = supervised_batch(&recipe);
    l.float_images = true;
    TRY(labelled_batch_new(w->model, l, &w->labelled, err));
    TRY(make_step(w, run_optimizer(&recipe, &w->config), w->labelled->graph.graph,
                  w->labelled->graph.loss, err));
done:
    options_clear(&recipe);
    return status;
}

static Status make_features(BenchWork *w, Error *err) {
    SessionOptions o = {.batch = w->batch, .pool = POOL_MEAN};
    Status status = session_new(w->model, o, &w->session, err);
    if (status == MAE_OK) w->graph = session_graph(w->session);
    return status;
}

static Status make_images(BenchWork *w, const MaeOptions *o, Error *err) {
    const ModelConfig *c = &w->config;
    size_t B = (size_t)w->batch;
    size_t n = B * (size_t)(c->image_height * c->image_width * c->channels);
    bool floats = w->task == BENCH_FINETUNE;
    w->samples = mem_alloc_array(B, sizeof *w->samples);
    w->labels = mem_alloc_array(B, sizeof *w->labels);
    w->label_of = mem_alloc_array(CLASSES, sizeof *w->label_of);
    if (floats)
        w->images = mem_alloc_array(n, sizeof *w->images);
    else
        w->pixels = mem_alloc(n);
    if (!w->samples || !w->labels || !w->label_of || !(w->images || w->pixels))
        return error_set(err, MAE_MEMORY, "no memory for %" PRId64 " images", w->batch);
    Rng rng = rng_make((uint64_t)o->seed, RNG_SYNTHETIC, 0, 0);
    for (size_t i = 0; i < n && floats; i++) w->images[i] = 2 * rng_uniform_f32(&rng) - 1;
    for (size_t i = 0; i < n && !floats; i++) w->pixels[i] = (uint8_t)rng_u32(&rng);
    for (size_t i = 0; i < B; i++) w->samples[i] = (int64_t)i;
    for (size_t i = 0; i < B; i++) w->labels[i].class = (int)(i % CLASSES);
    for (int i = 0; i < CLASSES; i++) w->label_of[i] = i;
    return MAE_OK;
}

Status bench_work_new(const MaeOptions *o, BenchWork **out, Error *err) {
    Status status = MAE_OK;
    BenchWork *w = mem_alloc(sizeof *w);
    *out = NULL;
    if (!w) return error_set(err, MAE_MEMORY, "no memory for a benchmark");
    *w = (BenchWork){
        .task = (BenchTask)o->task, .batch = o->batch, .repetitions = bench_repetitions(o)};
    TRY(configure(w, o, err));
    TRY(machine_device(o, NULL, &w->device, err));
    ParamGradients gradients = w->task == BENCH_FEATURES ? GRADIENTS_NONE : step_gradients(1);
    TRY(vit_new(w->device, &w->config, gradients, TUNE_ALL, &w->model, err));
    TRY(vit_init(w->model, (uint64_t)o->seed, err));
    switch (w->task) {
    case BENCH_PRETRAIN: TRY(make_pretraining(w, o, err)); break;
    case BENCH_FINETUNE: TRY(make_finetuning(w, o, err)); break;
    case BENCH_FEATURES: TRY(make_features(w, err)); break;
    }
    TRY(make_images(w, o, err));
    *out = w;
    w = NULL;
done:
    bench_work_free(w);
    return status;
}

void bench_work_free(BenchWork *w) {
    if (!w) return;
    step_free(w->step);
    masked_batch_free(w->masked);
    labelled_batch_free(w->labelled);
    session_free(w->session);
    optimizer_free(w->optimizer);
    vit_free(w->model);
    device_close(w->device);
    mem_free(w->pixels);
    mem_free(w->images);
    mem_free(w->samples);
    mem_free(w->labels);
    mem_free(w->label_of);
    mem_free(w);
}

/* --- running ---------------------------------------------------------------------------------- */

/* i stands for the epoch, so that every repetition has draws of its own. */
static void set(BenchWork *w, int64_t i) {
    Batch b = {
        .epoch = i, .n = w->batch, .samples = w->samples, .labels = w->labels, .images = w->images};
    if (w->masked) masked_batch_set(w->masked, w->pixels, (uint64_t)i, w->samples);
    if (w->labelled) labelled_batch_set(w->labelled, &b, w->label_of, NULL);
}

static Status repeat(BenchWork *w, int64_t i, BenchTimes *t, Error *err) {
    Status status = MAE_OK;
    double loss, begun = clock_seconds();
    set(w, i);
    double is_set = clock_seconds();
    if (w->step) TRY(step_micro_batch(w->step, err));
    if (w->session && session_run(w->session, w->pixels, w->batch)) session_features(w->session);
    device_sync(w->device);
    double computed = clock_seconds();
    if (w->step) TRY(step_update(w->step, 1e-6, &loss, err));
    device_sync(w->device);
    double end = clock_seconds();
    *t = w->step ? (BenchTimes){is_set - begun, computed - is_set, end - computed, end - begun}
                 : (BenchTimes){.compute = end - begun, .total = end - begun};
done:
    return status;
}

Status bench_work_run(BenchWork *w, BenchDone done_one, void *user, double *peak, Error *err) {
    Status status = MAE_OK;
    BenchTimes t;
    *peak = 0;
    for (int64_t i = -1; i < w->repetitions; i++) { /* the first one touches pages and caches */
        if (i == 0) *peak = device_peak_gflops(w->device, 0.2, 3);
        TRY(repeat(w, i + 1, &t, err));
        done_one(user, i, &t);
    }
    *peak = fmax(*peak, device_peak_gflops(w->device, 0.2, 3));
done:
    return status;
}

double bench_work_flops(const BenchWork *w) {
    return w->step ? graph_flops_step(w->graph) : graph_flops_forward(w->graph);
}

int64_t bench_work_bytes(const BenchWork *w) {
    const Params *p = w->model->params;
    size_t bytes = params_bytes(p) + graph_bytes(w->graph, w->step ? GRAPH_TRAIN : GRAPH_INFER);
    if (w->optimizer) bytes += optimizer_bytes(p, OPTIMIZER_ADAMW);
    return (int64_t)bytes;
}
