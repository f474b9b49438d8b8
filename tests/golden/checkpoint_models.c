/* Checkpoints of every dialect as models: the forward pass from each file, and one further update
 * of a published run with its own optimiser state. */
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "golden.h"
#include "run/run_state.h"
#include "train/step.h"

/* Files of the same folder and what they hold. Only those that are there are taken. */
static const struct {
    const char *file, *weights;
} FILES[] = {{"checkpoint-3.pth", "f32"},        {"checkpoint-3_legacy.pth", "f32"},
             {"model.safetensors", "f32"},       {"hf_pytorch_model.bin", "f32"},
             {"hf_model.safetensors", "f32"},    {"half.pth", "half"},
             {"model_half.safetensors", "half"}, {"bf16.pth", "bf16"},
             {"model_bf16.safetensors", "bf16"}};
enum { N_FILES = sizeof FILES / sizeof *FILES };

/* The sizes that tensors do not say are in the entry of the plain file of the same weights. */
static bool hints_of(Golden *g, CheckpointHints *hints) {
    const json_t *entry = golden_entry(g, "checkpoint/model.safetensors");
    const json_t *config = json_object_get(json_object_get(entry, "info"), "config");
    *hints = (CheckpointHints){.heads = golden_integer(config, "heads"),
                               .decoder_heads = golden_integer(config, "dheads"),
                               .target = READ_NORM_PIX};
    return config != NULL;
}

/* Hugging Face files without config.json have that project's eps; the numbers were made with the
 * published one. */
static Vit *open_model(Golden *g, const char *file, bool gradients, CheckpointFile **out) {
    Error err = {0};
    CheckpointHints hints;
    Vit *v = NULL;
    if (!hints_of(g, &hints)) return NULL;
    const char *path = golden_text(g, "%s/checkpoint/%s", g->dir, file);
    if (checkpoint_open(path, &hints, out, &err) == MAE_OK) {
        (*out)->config.norm_eps = 1e-6;
        v = golden_model(g, &(*out)->config, gradients);
        if (v && checkpoint_read(*out, v, &err) == MAE_OK) return v;
    }
    golden_problem(g, "%s: %s", file, err.message);
    vit_free(v);
    return NULL;
}

static void compare_model(Golden *g, const TensorFile *s, const json_t *entry, Vit *v,
                          const char *file, const char *weights) {
    Error err = {0};
    Shape images, noise, shape;
    AutoencoderGraph graph = {0};
    const float *pixels = golden_reals(g, s, "images", &images);
    const float *draws = golden_reals(g, s, "noise", &noise);
    if (!pixels || !draws) return;
    int64_t P = noise.dim[1], keep = mask_keep_count(P, 0.75);
    Masks masks = golden_masks(g, draws, noise.dim[0], P, keep);
    Status status =
        autoencoder_graph(v, FORWARD_FULL, noise.dim[0], keep, NUMBER_WIDE, &graph, &err);
    if (status == MAE_OK) graph_keep(graph.graph, graph.pred);
    if (status == MAE_OK) status = graph_plan(graph.graph, GRAPH_INFER, &err);
    if (status != MAE_OK) {
        golden_problem(g, "%s: %s", file, err.message);
    } else {
        const char *pred = golden_text(g, "%s.pred", weights);
        const char *loss = golden_text(g, "%s.loss", weights);
        const float *want = golden_reals(g, s, pred, &shape),
                    *want_loss = golden_reals(g, s, loss, NULL);
        golden_feed(&graph, &masks, pixels);
        graph_forward(graph.graph);
        compare_reals(g, golden_text(g, "%s from %s", pred, file),
                      golden_value(g, &graph, graph.pred), want, shape_numel(shape),
                      golden_limit(g, entry, pred));
        compare_reals(g, golden_text(g, "%s from %s", loss, file),
                      golden_value(g, &graph, graph.loss), want_loss, 1,
                      golden_limit(g, entry, loss));
    }
    graph_free(graph.graph);
}

static bool is_listed(Golden *g, const char *file) {
    return json_object_get(g->files, golden_text(g, "checkpoint/%s", file)) != NULL;
}

void check_checkpoint_models(Golden *g, const char *path, const json_t *entry) {
    const TensorFile *s = golden_tensors(g, path);
    for (int i = 0; s && i < N_FILES; i++) {
        CheckpointFile *file = NULL;
        if (!is_listed(g, FILES[i].file)) continue;
        Vit *v = open_model(g, FILES[i].file, false, &file);
        if (v) compare_model(g, s, entry, v, FILES[i].file, FILES[i].weights);
        vit_free(v);
        checkpoint_close(file);
    }
}

/* --- one update more -------------------------------------------------------------------------- */

typedef struct Resumed {
    CheckpointFile *file;
    Vit *model;
    Optimizer *optimizer;
    AutoencoderGraph graph;
    TrainStep *step;
} Resumed;

static Status open_run(Golden *g, Resumed *r, int64_t images, Error *err) {
    Status status = MAE_OK;
    Progress progress = {0};
    /* The numbers of the fixture's description. */
    OptimizerOptions o = {.kind = OPTIMIZER_ADAMW,
                          .beta1 = 0.9,
                          .beta2 = 0.95,
                          .eps = 1e-8,
                          .groups = {.weight_decay = 0.05}};
    TRY(optimizer_new(g->device, r->model->params, o, &r->optimizer, err));
    TRY(run_state_read_published(r->file, r->model, r->optimizer, &progress, err));
    TRY(step_new(r->model, r->graph.graph, r->graph.loss, r->optimizer,
                 (StepOptions){.batch = images, .accumulate = 1}, &r->step, err));
    const json_t *said = golden_json(g, "checkpoint/optimizer.json");
    compare_number(g, "updates done", (double)progress.step, golden_number(said, "steps_done"), 0);
    compare_number(g, "next epoch", (double)progress.epoch, golden_number(said, "epoch") + 1, 0);
done:
    return status;
}

static void compare_weights(Golden *g, Resumed *r, const TensorFile *s, const json_t *entry) {
    for (int64_t i = 0; i < params_count(r->model->params); i++) {
        const Param *p = params_at(r->model->params, i);
        const char *name = golden_text(g, "final.%s", p->name);
        if (!tensorfile_find(s, name)) continue;
        float *got = golden_memory(g, p->numel, sizeof *got);
        params_get(r->model->params, p, got);
        compare_without_key(g, name, got, golden_reals(g, s, name, NULL), p->numel,
                            golden_limit(g, entry, name));
    }
}

static void resume(Golden *g, Resumed *r, const char *file, const TensorFile *s,
                   const json_t *entry) {
    Error err = {0};
    Shape images, shape;
    double loss = 0;
    const float *pixels = golden_reals(g, s, "images", &images);
    const float *noise = golden_reals(g, s, "noise", &shape),
                *want = golden_reals(g, s, "loss", NULL);
    r->model = open_model(g, file, true, &r->file);
    if (!pixels || !noise || !want || !r->model) return;
    int64_t B = images.dim[0], P = shape.dim[1], keep = mask_keep_count(P, 0.75);
    Masks masks = golden_masks(g, noise, B, P, keep);
    if (!golden_training(g, r->model, B, keep, &r->graph)) return;
    Status status = open_run(g, r, B, &err);
    if (status == MAE_OK) {
        golden_feed(&r->graph, &masks, pixels);
        status = step_micro_batch(r->step, &err);
    }
    if (status == MAE_OK) status = step_update(r->step, 7e-4, &loss, &err);
    if (status != MAE_OK) {
        golden_problem(g, "%s: %s", file, err.message);
        return;
    }
    float got = (float)loss;
    compare_reals(g, golden_text(g, "loss of %s", file), &got, want, 1,
                  golden_limit(g, entry, "loss"));
    compare_weights(g, r, s, entry);
}

void check_resumed_update(Golden *g, const char *path, const json_t *entry) {
    static const char *const files[] = {"checkpoint-3.pth", "checkpoint-3_legacy.pth"};
    const TensorFile *s = golden_tensors(g, path);
    for (int i = 0; s && i < 2; i++) {
        Resumed r = {0};
        if (is_listed(g, files[i])) resume(g, &r, files[i], s, entry);
        step_free(r.step);
        graph_free(r.graph.graph);
        optimizer_free(r.optimizer);
        vit_free(r.model);
        checkpoint_close(r.file);
    }
}
