/* See supervised.h. */
#include "jobs/supervised.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/memory.h"
#include "jobs/setup.h"
#include "jobs/unseen.h"

Status supervised_configure(Run *r, HeadKind head, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    TRY(supervised_configure_encoder(r, err));
    TRY(setup_train_set(o, r->config.channels, &r->dataset, err));
    TRY(evaluate_check_labels(r->dataset, "--data", err));
    r->config.head = head;
    r->config.pool = (PoolKind)o->head_pool;
    if (!r->notes.classes) TRY(classes_from_dataset(r->dataset, &r->notes.classes, err));
    r->config.classes = r->notes.classes->n;
    TRY(model_check(&r->config, err));
    TRY(run_resolve_sizes(o, &r->config, err));
    r->notes.mask_ratio = 0;
    r->notes.metrics.n = 0;
    r->progress.measured = evaluation_metrics(&(Evaluation){0}, r->config.classes);
    r->notes.averaged = false;
done:
    return status;
}

/* --- making ----------------------------------------------------------------------------------- */

static void gather(void *user, void *all, const void *mine, size_t bytes) {
    comm_gather(user, all, mine, bytes);
}

LabelledOptions supervised_batch(const MaeOptions *o) {
    return (LabelledOptions){.batch = o->batch,
                             .drop_path = o->drop_path,
                             .smoothing = o->label_smoothing,
                             .mix = {.mixup = o->mixup,
                                     .cutmix = o->cutmix,
                                     .probability = o->mix_prob,
                                     .switch_probability = o->mix_switch_prob,
                                     .mode = (MixMode)o->mix_mode},
                             .seed = (uint64_t)o->seed,
                             .from_features = o->cache_features != 0};
}

static Status make_batch(Run *r, Error *err) {
    Supervised *t = r->task_data;
    LabelledOptions l = supervised_batch(&r->options);
    if (r->comm && r->options.sync_batchnorm) {
        t->peers = (GraphPeers){comm_size(r->comm), comm_rank(r->comm), r->comm, gather};
        l.peers = &t->peers;
    }
    l.float_images = r->loader_options.mean != NULL;
    l.type = dataset_type(r->dataset);
    l.rank = comm_rank(r->comm);
    l.n_ranks = comm_size(r->comm);
    return labelled_batch_new(r->model, l, &t->batch, err);
}

/* Images come normalised from the loader when something happens to them after that. */
static Status make_loader_options(Run *r, Error *err) {
    const MaeOptions *o = &r->options;
    LoaderOptions l = setup_loader(o, &r->config);
    bool mixing = o->mix_prob > 0 && (o->mixup > 0 || o->cutmix > 0);
    Status status = setup_labelled_augment(o, &l.augment, err);
    if (mixing || l.augment.erase.probability > 0) {
        l.mean = r->config.mean;
        l.std = r->config.std;
    }
    l.indices_only = o->cache_features != 0;
    r->loader_options = l;
    return status;
}

static void warn_of_missing(const Run *r) {
    const Supervised *t = r->task_data;
    const ClassNames *names = r->notes.classes;
    const char *val = r->options.val ? "--val" : "what --val-share holds out";
    classes_warn_of_missing(names, names->n, r->dataset, t->train_map, NULL, "--data");
    classes_warn_of_missing(names, names->n, t->val, t->val_map, NULL, val);
}

Status supervised_make(Run *r, Error *err) {
    Status status = MAE_OK;
    const MaeOptions *o = &r->options;
    Supervised *t = mem_alloc(sizeof *t);
    if (!t) return error_set(err, MAE_MEMORY, "no memory for a run");
    r->task_data = t;
    TRY(setup_val_set(o, r->config.channels, &t->val, err));
    TRY(evaluate_check_labels(t->val, "--val", err));
    TRY(unseen_check(o, r->dataset, t->val, err));
    r->val_images = dataset_available(t->val);
    TRY(classes_map(r->notes.classes, r->config.classes, r->dataset, "--data", &t->train_map, err));
    TRY(classes_map(r->notes.classes, r->config.classes, t->val, "--val", &t->val_map, err));
    if (comm_is_root(r->comm)) warn_of_missing(r);
    TRY(setup_eval_job(o, &r->config, t->val, "validate", r->comm, &t->val_images, err));
    TRY(make_loader_options(r, err));
    TRY(run_make_model(r, err));
    TRY(make_batch(r, err));
    TRY(run_make_step(r, t->batch->graph.graph, t->batch->graph.loss, err));
    log_line(LOG_INFO, "training %" PRId64 " of %" PRId64 " parameters, %" PRId64 " classes",
             vit_trained_parameters(r->model), vit_parameters(r->model), r->config.classes);
done:
    return status;
}

Status supervised_open(Run *r, Error *err) {
    Supervised *t = r->task_data;
    int64_t batch = r->options.batch < 64 ? r->options.batch : 64;
    SessionOptions s = {.batch = batch, .logits = true, .type = dataset_type(t->val)};
    return comm_agree(r->comm, session_new(r->model, s, &t->session, err), err);
}

Status supervised_set_batch(Run *r, Batch *b, Error *err) {
    Supervised *t = r->task_data;
    const float *features = NULL;
    (void)err;
    if (t->train_features) features = cached_features_gather(t->train_features, b);
    labelled_batch_set(t->batch, b, t->train_map, features);
    return MAE_OK;
}

void supervised_close(Run *r) {
    Supervised *t = r->task_data;
    if (!t) return;
    labelled_batch_free(t->batch);
    session_free(t->session);
    cached_features_free(t->train_features);
    cached_features_free(t->val_features);
    dataset_close(t->val);
    mem_free(t->train_map);
    mem_free(t->val_map);
    mem_free(t);
}

Status supervised_describe(Run *r, Vit *v, GraphCost *out, Error *err) {
    const MaeOptions *o = &r->options;
    ClassifierGraph g = {0};
    ClassifierOptions c = {.batch = o->batch,
                           .train = true,
                           .from_features = o->cache_features != 0,
                           .drop_path = o->drop_path};
    Status status = classifier_graph(v, c, &g, err);
    if (status == MAE_OK) run_cost(r, g.graph, model_patches(&r->config), out);
    classifier_graph_free(&g);
    return status;
}
