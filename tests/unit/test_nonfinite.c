/* Values that are no numbers, put into activations, gradients, images and weights of whole runs. A
 * task of the training loop is run with a set_batch of ours around its own, which arms an observer
 * of the graph: the shipped code has no place made for this. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "scratch.h"
#include "train/drivers.h"
#include "train/finetune.h"
#include "train/pretrain.h"

#include <check.h> /* last: it has a macro named fail */

Suite *suite_nonfinite(void);

typedef enum Where { NOWHERE, ACTIVATION, GRADIENT, IMAGES } Where;

/* What is spoilt, in which calls of set_batch (counted from 0), and what was seen. */
static struct {
    Where where;
    const char *op;
    int64_t first, last, calls;
    float value;
    Run *run;
    uint8_t *state; /* weights, moments and averages before a spoilt call */
    size_t bytes;
    bool spoilt;
    int64_t checked;
} trial;

/* --- spoiling --------------------------------------------------------------------------------- */

static void spoil(void *user, const GraphOp *op, bool begins) {
    Graph *g = user;
    if (strcmp(op->name, trial.op) != 0) return;
    Value *v = graph_find(g, trial.op);
    ck_assert_ptr_nonnull(v);
    int64_t last = shape_numel(v->shape) - 1;
    if (trial.where == ACTIVATION && !op->backward && !begins)
        ((float *)v->data)[last] = trial.value;
    if (trial.where == GRADIENT && op->backward && begins) ((float *)v->grad)[last] = trial.value;
}

static size_t append(uint8_t *to, size_t at, const void *data, size_t bytes) {
    if (to) memcpy(to + at, data, bytes);
    return at + bytes;
}

/* Everything a skipped update must leave alone; to NULL: only its size. */
static size_t copy_state(Run *r, uint8_t *to) {
    size_t n = 0;
    for (int64_t i = 0; i < params_count(r->model->params); i++) {
        const Param *p = params_at(r->model->params, i);
        size_t bytes = (size_t)p->numel * sizeof(float);
        if (strncmp(p->name, "head.0.", 7) == 0) continue; /* statistics of all batches */
        n = append(to, n, p->data, bytes);
        if (!p->trainable) continue;
        for (int k = 0; k < optimizer_n_moments(r->optimizer); k++)
            n = append(to, n, optimizer_moment(r->optimizer, k, p), bytes);
        if (r->ema) n = append(to, n, ema_average(r->ema, p), bytes);
    }
    int64_t updates = optimizer_updates(r->optimizer);
    return append(to, n, &updates, sizeof updates);
}

static void check_untouched(Run *r) {
    uint8_t *now = malloc(trial.bytes);
    copy_state(r, now);
    ck_assert_msg(memcmp(now, trial.state, trial.bytes) == 0, "a skipped update changed the state");
    free(now);
    trial.checked++;
}

static Status spoiling_set_batch(const Task *task, Run *r, Batch *b, Error *err) {
    bool spoils = trial.calls >= trial.first && trial.calls <= trial.last;
    if (!trial.state) {
        trial.bytes = copy_state(r, NULL);
        trial.state = malloc(trial.bytes);
    }
    if (trial.spoilt && r->failures % 3 != 0) check_untouched(r);
    copy_state(r, trial.state);
    trial.calls++;
    trial.spoilt = spoils;
    if (spoils && trial.where == IMAGES) b->images[5] = trial.value;
    bool in_graph = spoils && (trial.where == ACTIVATION || trial.where == GRADIENT);
    graph_observe(r->step->graph, in_graph ? spoil : NULL, r->step->graph);
    return task->set_batch(r, b, err);
}

static Status set_pretraining_batch(Run *r, Batch *b, Error *err) {
    return spoiling_set_batch(pretrain_task(), r, b, err);
}

static Status set_probing_batch(Run *r, Batch *b, Error *err) {
    return spoiling_set_batch(finetune_task(MAE_COMMAND_PROBE), r, b, err);
}

static Status set_finetuning_batch(Run *r, Batch *b, Error *err) {
    return spoiling_set_batch(finetune_task(MAE_COMMAND_FINETUNE), r, b, err);
}

/* --- runs ------------------------------------------------------------------------------------- */

static char log_text[1 << 16];

static void keep_log(void *user, LogLevel level, const char *line) {
    size_t n = strlen(log_text);
    (void)user, (void)level;
    snprintf(log_text + n, sizeof log_text - n, "%s\n", line);
}

#define COMMON                                                                                     \
    "data", "synthetic:64x8x8", "image-size", "8", "patch", "4", "embed-dim", "8", "depth", "1",   \
        "heads", "1", "threads", "1", "workers", "0", "batch", "4", "epochs", "2",                 \
        "warmup-epochs", "0", "save-every", "1", "log-every", "1"

static const char *const autoencoder[] = {COMMON, "decoder-embed-dim", "8", "decoder-depth",
                                          "1",    "decoder-heads",     "1", NULL};
static const char *const classifier[] = {COMMON, "val", "synthetic:4x8x8", "init", "none", NULL};

static void set_all(MaeOptions *o, MaeCommand command, const char *const *pairs) {
    MaeError err = {0};
    for (; pairs[0]; pairs += 2)
        ck_assert_msg(mae_option_set(o, command, pairs[0], pairs[1], &err) == MAE_OK, "%s",
                      err.message);
}

/* 64 images, 16 batches of 4 in each of two epochs; extra: name, value, ... NULL. */
static Status run(MaeCommand command, const char *const *extra, MaeSummary *s, Error *err) {
    bool pretrains = command == MAE_COMMAND_PRETRAIN, probes = command == MAE_COMMAND_PROBE;
    Task task = pretrains ? *pretrain_task() : *finetune_task(command);
    MaeOptions o;
    task.set_batch = pretrains ? set_pretraining_batch
                     : probes  ? set_probing_batch
                               : set_finetuning_batch;
    mae_options_default(command, &o);
    set_all(&o, command, pretrains ? autoencoder : classifier);
    set_all(&o, command, (const char *const[]){"out", scratch_path("run"), NULL});
    set_all(&o, command, extra);
    log_set_sink(keep_log, NULL);
    Status status = run_train(&task, &o, NULL, s, err);
    log_set_sink(NULL, NULL);
    mae_options_free(&o);
    free(trial.state);
    trial.state = NULL;
    return status;
}

static char *read_run(const char *name) {
    uint8_t *data;
    size_t bytes;
    Error err = {0};
    ck_assert_msg(file_read(scratch_path("run/%s", name), 1 << 24, &data, &bytes, &err) ==
                      STATUS_OK,
                  "%s", err.message);
    return (char *)data;
}

static int count(const char *text, const char *part) {
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

/* Events in log.jsonl that name the culprit. */
static void expect_events(int n, const char *culprit) {
    char *text = read_run("log.jsonl");
    ck_assert_msg(count(text, "\"event\"") == n, "%d events: %.500s", count(text, "\"event\""),
                  text);
    ck_assert_msg(count(text, culprit) == n, "not %d of: %s in %.500s", n, culprit,
                  strstr(text, "event"));
    ck_assert_int_eq(count(text, "null"), 0);
    mem_free(text);
}

static const char *const nothing_more[] = {NULL};

/* --- tests ------------------------------------------------------------------------------------ */

static const struct {
    Where where;
    const char *op, *culprit;
    float value;
} places[] = {
    {ACTIVATION, "blocks.0.attn", "activation blocks.0.attn", NAN},
    {ACTIVATION, "blocks.0.mlp.fc1", "activation blocks.0\"", INFINITY}, /* kept is its input */
    {ACTIVATION, "decoder_blocks.0.attn.qkv", "activation decoder_blocks.0.attn.qkv", NAN},
    {ACTIVATION, "loss", "activation loss", NAN},
    {GRADIENT, "blocks.0.norm2", "gradient of blocks.0.norm2.bias", NAN},
    {GRADIENT, "decoder_embed", "gradient of decoder_embed.bias", -INFINITY},
};

START_TEST(one_bad_value_costs_one_update) {
    MaeSummary s;
    Error err = {0};
    trial.where = places[_i].where;
    trial.op = places[_i].op;
    trial.value = places[_i].value;
    trial.first = trial.last = 5;
    ck_assert_msg(run(MAE_COMMAND_PRETRAIN, nothing_more, &s, &err) == STATUS_OK, "%s",
                  err.message);
    ck_assert_int_eq(s.skipped_steps, 1);
    ck_assert_int_eq(s.steps, 31);
    ck_assert_int_eq(trial.checked, 1);
    expect_events(1, places[_i].culprit);
}
END_TEST

/* A bad micro-batch, the first or the second of its update, takes the whole update with it. */
START_TEST(one_bad_value_costs_one_accumulated_update) {
    MaeSummary s;
    Error err = {0};
    static const char *const accumulate[] = {"accumulate", "2", NULL};
    trial.where = _i < 2 ? ACTIVATION : GRADIENT;
    trial.op = "blocks.0.attn";
    trial.value = NAN;
    trial.first = trial.last = 4 + _i % 2;
    ck_assert_msg(run(MAE_COMMAND_PRETRAIN, accumulate, &s, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(s.skipped_steps, 1);
    ck_assert_int_eq(s.steps, 15);
    expect_events(1, _i < 2 ? "activation blocks.0.attn" : "gradient of ");
}
END_TEST

START_TEST(three_in_a_row_roll_back) {
    MaeSummary s;
    Error err = {0};
    trial.where = ACTIVATION;
    trial.op = "blocks.0";
    trial.value = NAN;
    trial.first = 20;
    trial.last = 22;
    ck_assert_msg(run(MAE_COMMAND_PRETRAIN, nothing_more, &s, &err) == STATUS_OK, "%s",
                  err.message);
    ck_assert_int_eq(s.skipped_steps, 3);
    ck_assert_int_eq(s.steps, 29);
    ck_assert_int_eq(count(log_text, "rolled back to those of step 16"), 1);
    expect_events(3, "activation blocks.0");
}
END_TEST

/* Nine are survived, ten are not; what the run had saved before is still there and is continued. */
START_TEST(ten_in_a_row_end_the_run) {
    MaeSummary s;
    Error err = {0};
    trial.where = ACTIVATION;
    trial.op = "blocks.0";
    trial.value = NAN;
    trial.first = 18;
    trial.last = 26;
    ck_assert_msg(run(MAE_COMMAND_PRETRAIN, nothing_more, &s, &err) == STATUS_OK, "%s",
                  err.message);
    ck_assert_int_eq(s.skipped_steps, 9);
    scratch_remove_folder("run");
    trial.calls = 0;
    trial.last = 27;
    ck_assert_int_eq(run(MAE_COMMAND_PRETRAIN, nothing_more, &s, &err), STATUS_NONFINITE);
    ck_assert_ptr_nonnull(
        strstr(err.message, "10 updates in a row were left out (not finite: activation"));
    ck_assert_ptr_nonnull(strstr(err.message, scratch_path("run")));
    expect_events(10, "activation blocks.0");
    trial.where = NOWHERE;
    err = (Error){0};
    ck_assert_msg(run(MAE_COMMAND_PRETRAIN, nothing_more, &s, &err) == STATUS_OK, "%s",
                  err.message);
    ck_assert_int_eq(s.steps, 32);
    ck_assert_int_eq(count(log_text, "resuming"), 1);
}
END_TEST

/* Averages stay as they are, too; a bad image shows in what is first computed from it. */
START_TEST(fine_tuning_skips) {
    MaeSummary s;
    Error err = {0};
    static const char *const recipe[] = {"ema", "0.5", "mixup", "0.8", NULL};
    trial.where = _i ? IMAGES : GRADIENT;
    trial.op = "logits";
    trial.value = NAN;
    trial.first = trial.last = 3;
    ck_assert_msg(run(MAE_COMMAND_FINETUNE, recipe, &s, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(s.skipped_steps, 1);
    ck_assert_int_eq(trial.checked, 1);
    expect_events(1, _i ? "activation " : "gradient of head.bias");
}
END_TEST

/* The running statistics of the batch norm stay finite: the validation would fail otherwise. */
START_TEST(probing_skips) {
    MaeSummary s;
    Error err = {0};
    trial.where = ACTIVATION;
    trial.op = "norm";
    trial.value = NAN;
    trial.first = trial.last = 3;
    ck_assert_msg(run(MAE_COMMAND_PROBE, nothing_more, &s, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(s.skipped_steps, 1);
    ck_assert_int_eq(trial.checked, 1);
    ck_assert(isfinite(s.val_loss) && s.val_loss > 0);
    expect_events(1, "activation norm");
}
END_TEST

/* --init with a weight that is no number: it is named, and nothing is trained or saved. */
START_TEST(bad_weights_are_named) {
    MaeSummary s = {0};
    MaeOptions o;
    MaeModel *m = NULL;
    Error err = {0};
    char *path = mem_strdup(scratch_path("bad.safetensors"));
    const char *const from[] = {"init", path, NULL};
    float values[24] = {[7] = NAN};
    mae_options_default(MAE_COMMAND_PRETRAIN, &o);
    set_all(&o, MAE_COMMAND_PRETRAIN, autoencoder);
    ck_assert_msg(model_new(&o, &m, &err) == STATUS_OK, "%s", err.message);
    params_set(m->vit->params, params_find(m->vit->params, "blocks.0.attn.qkv.bias"), values);
    ck_assert(checkpoint_write(path, m->vit, &m->notes, &err) == STATUS_OK);
    ck_assert_int_eq(run(MAE_COMMAND_PRETRAIN, from, &s, &err), STATUS_NONFINITE);
    ck_assert_ptr_nonnull(strstr(err.message, "weight blocks.0.attn.qkv.bias"));
    ck_assert_int_eq(s.steps, 0);
    expect_events(10, "weight blocks.0.attn.qkv.bias");
    ck_assert(!file_exists(scratch_path("run/last.safetensors")));
    model_free(m);
    mae_options_free(&o);
    mem_free(path);
}
END_TEST

Suite *suite_nonfinite(void) {
    Suite *s = suite_create("nonfinite");
    TCase *t = tcase_create("nonfinite");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_loop_test(t, one_bad_value_costs_one_update, 0,
                        (int)(sizeof places / sizeof *places));
    tcase_add_loop_test(t, one_bad_value_costs_one_accumulated_update, 0, 4);
    tcase_add_test(t, three_in_a_row_roll_back);
    tcase_add_test(t, ten_in_a_row_end_the_run);
    tcase_add_loop_test(t, fine_tuning_skips, 0, 2);
    tcase_add_test(t, probing_skips);
    tcase_add_test(t, bad_weights_are_named);
    suite_add_tcase(s, t);
    return s;
}
