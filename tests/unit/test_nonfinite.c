/* Values that are no numbers, put into activations, gradients, images and weights of whole runs. A
 * task of the training loop is run with a set_batch of ours around its own, which arms an observer
 * of the graph: the shipped code has no place made for this. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "jobs/jobs.h"
#include "scratch.h"
#include "set_log.h"

Suite *suite_nonfinite(void);

typedef enum Where { NOWHERE, ACTIVATION, GRADIENT, IMAGES } Where;

/* What is spoilt in a run of 64 images, 16 batches of 4 in each of two epochs, and what comes of
 * it. */
typedef struct Trial {
    CommandId command;
    const char *options[5]; /* beside the common ones: name, value, ... NULL */
    Where where;
    const char *op;
    float value;
    int64_t first, last; /* in these calls of set_batch, counted from 0 */
    int64_t skipped, steps;
    int64_t checked; /* skipped updates after which the state was compared, at the next call */
    const char *culprit, *warning; /* said in log.jsonl once an update, in the log once; or NULL */
    /* Where losses are read late, another one, since the bad micro-batch is no longer there. The
     * next call is one of the same update, so that nothing is compared. */
    const char *late_culprit;
} Trial;

static struct {
    const Trial *trial;
    bool reads_late; /* the device is not the host: losses are read at the end of an update */
    int64_t calls, checked;
    uint8_t *state; /* weights, moments and averages before a spoilt call */
    size_t bytes;
    bool spoilt;
    Device *device;
} now;

/* --- spoiling --------------------------------------------------------------------------------- */

static void spoil(void *user, const GraphOp *op, bool begins) {
    Graph *g = user;
    const Trial *t = now.trial;
    if (strcmp(op->name, t->op) != 0) return;
    Value *v = graph_find(g, t->op);
    ck_assert_ptr_nonnull(v);
    size_t last = device_bytes(now.device, v->type, shape_numel(v->shape) - 1);
    void *place = NULL;
    if (t->where == ACTIVATION && !op->backward && !begins) place = device_at(v->data, last);
    if (t->where == GRADIENT && op->backward && begins) place = device_at(v->grad, last);
    if (place) device_upload_floats(now.device, place, v->type, &t->value, 1);
}

static size_t append(uint8_t *to, size_t at, const void *data, size_t bytes) {
    if (to) device_download(now.device, to + at, data, bytes);
    return at + bytes;
}

/* Everything a skipped update must leave alone; to NULL: only its size. */
static size_t copy_state(Run *r, uint8_t *to) {
    size_t n = 0;
    now.device = r->device;
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
    if (to) memcpy(to + n, &updates, sizeof updates);
    return n + sizeof updates;
}

static void check_untouched(Run *r) {
    uint8_t *state = malloc(now.bytes);
    copy_state(r, state);
    ck_assert_msg(memcmp(state, now.state, now.bytes) == 0, "a skipped update changed the state");
    free(state);
    now.checked++;
}

static Status spoiling_set_batch(const Task *task, Run *r, Batch *b, Error *err) {
    const Trial *t = now.trial;
    bool spoils = now.calls >= t->first && now.calls <= t->last;
    if (!now.state) {
        r->device->kernels.is_host = !now.reads_late;
        now.bytes = copy_state(r, NULL);
        now.state = malloc(now.bytes);
    }
    ck_assert(b->epoch == r->progress.epoch && b->index == r->next_batch);
    if (now.spoilt && r->failures % 3 != 0) check_untouched(r);
    copy_state(r, now.state);
    now.calls++;
    now.spoilt = spoils;
    if (spoils && t->where == IMAGES) b->images[5] = t->value;
    bool in_graph = spoils && (t->where == ACTIVATION || t->where == GRADIENT);
    graph_observe(r->step->graph, in_graph ? spoil : NULL, r->step->graph);
    return task->set_batch(r, b, err);
}

static Status set_pretraining_batch(Run *r, Batch *b, Error *err) {
    return spoiling_set_batch(&pretrain_task, r, b, err);
}

static Status set_probing_batch(Run *r, Batch *b, Error *err) {
    return spoiling_set_batch(&probe_task, r, b, err);
}

static Status set_finetuning_batch(Run *r, Batch *b, Error *err) {
    return spoiling_set_batch(&finetune_task, r, b, err);
}

/* --- runs ------------------------------------------------------------------------------------- */

static char log_text[1 << 16];

static void keep_log(void *user, int level, const char *line) {
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

static void set_all(MaeOptions *o, const char *const *pairs) {
    MaeError err = {0};
    for (; pairs[0]; pairs += 2)
        ck_assert_msg(mae_options_set(o, pairs[0], pairs[1], &err) == MAE_OK, "%s", err.message);
}

/* *r is freed with mae_result_free, and is NULL after a failure. */
static Status run(const Trial *t, bool reads_late, MaeResult **r, Error *err) {
    bool failed;
    Result out = result_start(&failed);
    CommandId command = t->command;
    bool pretrains = command == COMMAND_PRETRAIN, probes = command == COMMAND_PROBE;
    Task task = *training_task(command);
    MaeOptions o;
    task.set_batch = pretrains ? set_pretraining_batch
                     : probes  ? set_probing_batch
                               : set_finetuning_batch;
    options_default(command, &o);
    set_all(&o, pretrains ? autoencoder : classifier);
    set_all(&o, (const char *const[]){"out", scratch_path("run"), NULL});
    set_all(&o, t->options);
    memset(&now, 0, sizeof now);
    now.trial = t;
    now.reads_late = reads_late;
    set_log(keep_log, NULL);
    Status status = run_train(&task, &o, out, err);
    *r = NULL;
    if (status == MAE_OK)
        ck_assert_int_eq(result_end(out, r, err), MAE_OK);
    else
        result_drop(out);
    set_log(NULL, NULL);
    options_clear(&o);
    free(now.state);
    return status;
}

static char *read_run(const char *name) {
    uint8_t *data;
    size_t bytes;
    Error err = {0};
    ck_assert_msg(file_read(scratch_path("run/%s", name), 1 << 24, &data, &bytes, &err) == MAE_OK,
                  "%s", err.message);
    return (char *)data;
}

static int count(const char *text, const char *part) {
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

/* Events in log.jsonl that name the culprit. */
static void expect_events(int64_t n, const char *culprit) {
    char *text = read_run("log.jsonl");
    ck_assert_msg(count(text, "\"event\"") == n, "%d events: %.500s", count(text, "\"event\""),
                  text);
    ck_assert_msg(count(text, culprit) == n, "not %d of: %s in %.500s", (int)n, culprit,
                  strstr(text, "event"));
    ck_assert_int_eq(count(text, "null"), 0);
    mem_free(text);
}

/* --- tests ------------------------------------------------------------------------------------ */

#define PRETRAINING .command = COMMAND_PRETRAIN
#define FINE_TUNING .command = COMMAND_FINETUNE, .options = {"ema", "0.5", "mixup", "0.8"}
#define PROBING .command = COMMAND_PROBE
#define IN_PAIRS .options = {"accumulate", "2"}
#define AT(place, name, number) .where = place, .op = name, .value = number
#define CALLS(a, b) .first = a, .last = b
#define LEAVES(n, m, k, tensor) .skipped = n, .steps = m, .checked = k, .culprit = tensor

static const Trial trials[] = {
    /* one bad value costs one update */
    {PRETRAINING, AT(ACTIVATION, "blocks.0.attn", NAN), CALLS(5, 5),
     LEAVES(1, 31, 1, "activation blocks.0.attn")},
    {PRETRAINING, AT(ACTIVATION, "blocks.0.mlp.fc1", INFINITY), CALLS(5, 5),
     LEAVES(1, 31, 1, "activation blocks.0\"")}, /* kept is its input */
    {PRETRAINING, AT(ACTIVATION, "decoder_blocks.0.attn.qkv", NAN), CALLS(5, 5),
     LEAVES(1, 31, 1, "activation decoder_blocks.0.attn.qkv")},
    {PRETRAINING, AT(ACTIVATION, "loss", NAN), CALLS(5, 5), LEAVES(1, 31, 1, "activation loss")},
    {PRETRAINING, AT(GRADIENT, "blocks.0.norm2", NAN), CALLS(5, 5),
     LEAVES(1, 31, 1, "gradient of blocks.0.norm2.bias")},
    {PRETRAINING, AT(GRADIENT, "decoder_embed", -INFINITY), CALLS(5, 5),
     LEAVES(1, 31, 1, "gradient of decoder_embed.bias")},
    /* a bad micro-batch, the first or the second of its update, takes the whole update with it */
    {PRETRAINING, IN_PAIRS, AT(ACTIVATION, "blocks.0.attn", NAN), CALLS(4, 4),
     LEAVES(1, 15, 1, "activation blocks.0.attn"), .late_culprit = "activation loss"},
    {PRETRAINING, IN_PAIRS, AT(ACTIVATION, "blocks.0.attn", NAN), CALLS(5, 5),
     LEAVES(1, 15, 1, "activation blocks.0.attn")},
    {PRETRAINING, IN_PAIRS, AT(GRADIENT, "blocks.0.attn", NAN), CALLS(4, 4),
     LEAVES(1, 15, 0, "gradient of ")},
    {PRETRAINING, IN_PAIRS, AT(GRADIENT, "blocks.0.attn", NAN), CALLS(5, 5),
     LEAVES(1, 15, 1, "gradient of ")},
    /* the last of 16 micro-batches, of which 15 make updates, is left out of all of them */
    {PRETRAINING, .options = {"accumulate", "3"}, AT(ACTIVATION, "blocks.0.attn", NAN),
     CALLS(15, 15), LEAVES(0, 10, 0, "activation ")},
    /* three in a row roll back, nine are survived */
    {PRETRAINING, AT(ACTIVATION, "blocks.0", NAN), CALLS(20, 22),
     LEAVES(3, 29, 2, "activation blocks.0"), .warning = "rolled back to those of step 16"},
    {PRETRAINING, AT(ACTIVATION, "blocks.0", NAN), CALLS(18, 26),
     LEAVES(9, 23, 6, "activation blocks.0")},
    /* averages stay as they are, too; a bad image shows in what is first computed from it */
    {FINE_TUNING, AT(GRADIENT, "logits", NAN), CALLS(3, 3),
     LEAVES(1, 31, 1, "gradient of head.bias")},
    {FINE_TUNING, AT(IMAGES, NULL, NAN), CALLS(3, 3), LEAVES(1, 31, 1, "activation ")},
    /* the running statistics of the batch norm stay finite: validation would fail otherwise */
    {PROBING, AT(ACTIVATION, "norm", NAN), CALLS(3, 3), LEAVES(1, 31, 1, "activation norm")},
};

START_TEST(updates_are_left_out) {
    const Trial *t = &trials[_i / 2];
    bool reads_late = _i % 2;
    const char *late = reads_late ? t->late_culprit : NULL;
    MaeResult *r;
    Error err = {0};
    ck_assert_msg(run(t, reads_late, &r, &err) == MAE_OK, "%s", err.message);
    ck_assert_int_eq(mae_result_integer(r, "skipped_steps"), t->skipped);
    ck_assert_int_eq(mae_result_integer(r, "steps"), t->steps);
    ck_assert_int_eq(now.checked, late ? 0 : t->checked);
    if (t->command != COMMAND_PRETRAIN) ck_assert(mae_result_number(r, "val_loss") > 0);
    mae_result_free(r);
    if (t->warning) ck_assert_int_eq(count(log_text, t->warning), 1);
    expect_events(t->skipped, late ? late : t->culprit);
}
END_TEST

/* What the run had saved before is still there and is continued. */
START_TEST(ten_in_a_row_end_the_run) {
    static const Trial ten = {PRETRAINING, AT(ACTIVATION, "blocks.0", NAN), CALLS(18, 27)},
                       none = {PRETRAINING};
    MaeResult *r;
    Error err = {0};
    ck_assert_int_eq(run(&ten, false, &r, &err), MAE_NONFINITE);
    ck_assert_ptr_nonnull(
        strstr(err.message, "10 updates in a row were left out (not finite: activation"));
    ck_assert_ptr_nonnull(strstr(err.message, scratch_path("run")));
    expect_events(10, "activation blocks.0");
    err = (Error){0};
    ck_assert_msg(run(&none, false, &r, &err) == MAE_OK, "%s", err.message);
    ck_assert_int_eq(mae_result_integer(r, "steps"), 32);
    mae_result_free(r);
    ck_assert_int_eq(count(log_text, "resuming"), 1);
}
END_TEST

/* --init with a weight that is no number: it is named, and nothing is trained or saved. */
START_TEST(bad_weights_are_named) {
    MaeResult *r;
    MaeOptions o;
    MaeModel *m = NULL;
    Error err = {0};
    char *path = mem_strdup(scratch_path("bad.safetensors"));
    const Trial from = {PRETRAINING, .options = {"init", path}};
    float values[24] = {[7] = NAN};
    options_default(COMMAND_PRETRAIN, &o);
    set_all(&o, autoencoder);
    ck_assert_msg(model_new(&o, &m, &err) == MAE_OK, "%s", err.message);
    params_set(m->vit->params, params_find(m->vit->params, "blocks.0.attn.qkv.bias"), values);
    ck_assert(checkpoint_write(path, m->vit, &m->notes, &err) == MAE_OK);
    ck_assert_int_eq(run(&from, false, &r, &err), MAE_NONFINITE);
    ck_assert_ptr_nonnull(strstr(err.message, "weight blocks.0.attn.qkv.bias"));
    ck_assert_ptr_null(r);
    expect_events(10, "weight blocks.0.attn.qkv.bias");
    ck_assert(!file_exists(scratch_path("run/last.safetensors")));
    model_free(m);
    options_clear(&o);
    mem_free(path);
}
END_TEST

Suite *suite_nonfinite(void) {
    Suite *s = suite_create("nonfinite");
    TCase *t = tcase_create("nonfinite");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_loop_test(t, updates_are_left_out, 0, 2 * (int)(sizeof trials / sizeof *trials));
    tcase_add_test(t, ten_in_a_row_end_the_run);
    tcase_add_test(t, bad_weights_are_named);
    suite_add_tcase(s, t);
    return s;
}
