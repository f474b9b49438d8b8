/* See session.h. */
#include "jobs/session.h"

#include <string.h>

#include "base/listener.h"
#include "base/log.h"
#include "base/memory.h"
#include "infer/picture.h"
#include "jobs/session_internal.h"
#include "jobs/setup.h"
#include "options/options.h"

#define MAX_BATCH 65536

/* --- masks ------------------------------------------------------------------------------------ */

/* Images of a run that have no mask of their own have that of the first: they fill the batch up. */
static void fill_up(Masks *m, int64_t n) {
    for (int64_t b = n; b < m->batch; b++) {
        memcpy(m->ids_keep + b * m->n_keep, m->ids_keep, (size_t)m->n_keep * sizeof *m->ids_keep);
        masks_from_keep(m, b);
    }
}

/* Those of the rule, or for all images the one that the option keep lists. */
static void draw_masks(MaeSession *s) {
    Masks *m = s->masks;
    s->n_drawn = m->batch;
    if (!s->listed) {
        for (int64_t b = 0; b < m->batch; b++) masks_draw(m, b, s->seed, 0, (uint64_t)b);
        return;
    }
    memcpy(m->ids_keep, s->listed->ids_keep, (size_t)m->n_keep * sizeof *m->ids_keep);
    masks_from_keep(m, 0);
    fill_up(m, 1);
}

static Status open_masks(MaeSession *s, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &s->model->vit->config;
    MaskRule rule = setup_mask(o);
    if (o->mask_ratio < 0) rule.ratio = s->model->notes.mask_ratio;
    TRY(masks_new(rule, c, s->options.batch, &s->masks, err));
    if (o->keep_patches) {
        TRY(masks_new(rule, c, 1, &s->listed, err));
        TRY(setup_keep(o->keep_patches, s->listed, err));
        s->masks->n_keep = s->listed->n_keep;
    }
    s->seed = (uint64_t)o->seed;
    s->options.n_keep = s->rule_keeps = s->masks->n_keep;
done:
    return status;
}

static Status count_kept(const MaeSession *s, const uint8_t *removed, int64_t n, int64_t *n_keep,
                         Error *err) {
    int64_t P = s->masks->n_patches;
    for (int64_t b = 0; b < n; b++) {
        int64_t kept = 0;
        for (int64_t p = 0; p < P; p++) {
            uint8_t value = removed[b * P + p];
            if (value > 1)
                return error_set(err, MAE_USAGE,
                                 "mask of image %lld: %d at patch %lld; 1 removes a patch, 0 "
                                 "keeps it",
                                 (long long)b, value, (long long)p);
            kept += value == 0;
        }
        if (b == 0) *n_keep = kept;
        if (kept != *n_keep)
            return error_set(err, MAE_USAGE,
                             "masks: image 0 keeps %lld of %lld patches and image %lld keeps %lld; "
                             "all of a batch keep equally many",
                             (long long)*n_keep, (long long)P, (long long)b, (long long)kept);
    }
    return MAE_OK;
}

static void take_masks(MaeSession *s, const uint8_t *removed, int64_t n) {
    Masks *m = s->masks;
    for (int64_t b = 0; b < n; b++) {
        int32_t *keep = m->ids_keep + b * m->n_keep;
        for (int64_t p = 0; p < m->n_patches; p++)
            if (!removed[b * m->n_patches + p]) *keep++ = (int32_t)p;
        masks_from_keep(m, b);
    }
    fill_up(m, n);
    s->n_drawn = n;
}

/* The session is planned for a number of kept patches. */
static Status plan_for(MaeSession *s, int64_t n_keep, Error *err) {
    Status status = MAE_OK;
    Session *planned = NULL;
    SessionOptions o = s->options;
    if (n_keep == o.n_keep) return MAE_OK;
    o.n_keep = n_keep;
    TRY(session_new(s->model->vit, o, &planned, err));
    session_free(s->session);
    s->session = planned;
    s->options = o;
    s->masks->n_keep = n_keep;
done:
    return status;
}

Status named_session_mask(MaeSession *s, const uint8_t *removed, int64_t n, Error *err) {
    Status status = MAE_OK;
    int64_t n_keep = s->rule_keeps;
    if (!s->options.masked)
        return error_set(err, MAE_USAGE,
                         "a mask for a session of whole images; ask for prediction, "
                         "reconstruction and so on");
    if (removed && (n < 1 || n > s->options.batch))
        return error_set(err, MAE_USAGE, "masks of %lld images for batches of %lld", (long long)n,
                         (long long)s->options.batch);
    if (removed) TRY(count_kept(s, removed, n, &n_keep, err));
    TRY(plan_for(s, n_keep, err));
    s->n = 0;
    s->masks_are_set = false;
    if (removed)
        take_masks(s, removed, n);
    else
        draw_masks(s);
done:
    return status;
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool only_logits(const MaeSession *s) {
    SessionOptions o = s->options;
    return !o.features && !o.tokens && !o.attention;
}

/* Says which options that were set do nothing beside the outputs. */
static void name_unused(const MaeSession *s, const MaeOptions *o) {
    bool masked = s->options.masked, drawn = masked && !o->keep_patches;
    bool pixels = session_has(s, "reconstruction");
    bool statistics = session_has(s, "patch_mean") || session_has(s, "patch_std");
    const struct {
        const char *name;
        bool used;
    } options[] = {
        {"pool", session_has(s, "features")},
        {"block", !masked && !only_logits(s)},
        {"mask", drawn},
        {"mask-ratio", drawn && o->mask != MASK_GRID},
        {"seed", drawn && o->mask != MASK_GRID},
        {"keep", masked},
        {"stats", pixels || statistics},
        {"paste", pixels},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (!options[i].used && mae_options_is_set(o, options[i].name))
            log_line(LOG_WARNING, "option %s of a session: no effect here", options[i].name);
}

static Status take_memory(MaeSession *s, Error *err) {
    const ModelConfig *c = &s->model->vit->config;
    size_t n = (size_t)(c->image_height * c->image_width * c->channels);
    s->floats = mem_alloc_array(n, sizeof *s->floats);
    if (!s->floats) return error_set(err, MAE_MEMORY, "no memory for an image");
    return session_take_outputs(s, err);
}

static Status open_session(MaeSession *s, const char *outputs, const MaeOptions *o, Error *err) {
    Status status = MAE_OK;
    TRY(session_ask(s, outputs, err));
    s->fit = (FitKind)o->fit;
    s->options.pool = (PoolKind)o->pool;
    s->options.block = o->block;
    s->options.paste = o->paste != 0;
    s->options.interpolated = o->stats == STATS_INTERPOLATED;
    name_unused(s, o);
    if (s->options.masked) TRY(open_masks(s, o, err));
    TRY(session_new(s->model->vit, s->options, &s->session, err));
    if (s->options.masked) draw_masks(s);
    TRY(take_memory(s, err));
done:
    return status;
}

Status named_session_new(MaeModel *m, const char *outputs, int64_t batch, const MaeOptions *o,
                         MaeSession **out, Error *err) {
    Status status = MAE_OK;
    MaeOptions defaults;
    MaeSession *s = NULL;
    *out = NULL;
    options_default(COMMAND_SESSION, &defaults);
    if (batch < 1 || batch > MAX_BATCH)
        TRY(error_set(err, MAE_USAGE, "a session for batches of %lld images: choose 1 to %d",
                      (long long)batch, MAX_BATCH));
    s = mem_alloc(sizeof *s);
    if (!s) TRY(error_set(err, MAE_MEMORY, "no memory for a session"));
    s->model = m;
    s->options = (SessionOptions){.batch = batch, .floats = true};
    TRY(open_session(s, outputs, o ? o : &defaults, err));
    *out = s;
    s = NULL;
done:
    named_session_free(s);
    options_clear(&defaults);
    return status;
}

void named_session_free(MaeSession *s) {
    if (!s) return;
    session_free(s->session);
    masks_free(s->masks);
    masks_free(s->listed);
    resample_scratch_free(&s->resampling);
    resample_scratch_free(&s->grey);
    mem_free(s->floats);
    mem_free(s->probabilities);
    for (int k = 0; k < MAX_OUTPUTS; k++) mem_free(s->made[k]);
    mem_free(s);
}

MaeModel *named_session_model(const MaeSession *s) {
    return s->model;
}

/* --- running ---------------------------------------------------------------------------------- */

static Status check_run(const MaeSession *s, const MaeImage *images, int64_t n, Error *err) {
    if (n < 1 || n > s->options.batch || !images)
        return error_set(err, MAE_USAGE, "a run of %lld images: this session takes 1 to %lld",
                         images ? (long long)n : 0, (long long)s->options.batch);
    if (s->masks && n > s->n_drawn)
        return error_set(err, MAE_USAGE, "a run of %lld images: masks were given for %lld",
                         (long long)n, (long long)s->n_drawn);
    return MAE_OK;
}

static void set_masks(MaeSession *s) {
    if (!s->masks || s->masks_are_set) return;
    session_set_masks(s->session, s->masks);
    s->masks_are_set = true;
}

Status named_session_run(MaeSession *s, const MaeImage *images, int64_t n, Error *err) {
    Status status = MAE_OK;
    bool floats, whole;
    Graph *graph = session_graph(s->session);
    s->n = 0;
    s->there = 0;
    TRY(check_run(s, images, n, err));
    TRY(session_take_images(s, images, n, &floats, err));
    set_masks(s);
    graph_stop_at(graph, call_stop());
    if (floats)
        whole = session_run_floats(s->session, session_staged_floats(s->session), n);
    else
        whole = session_run(s->session, session_staged(s->session), n);
    graph_stop_at(graph, NULL);
    if (!whole)
        TRY(error_set(err, MAE_INTERRUPTED, "stopped before %lld images were through",
                      (long long)n));
    s->n = n;
done:
    return status;
}

Status named_session_paint(MaeSession *s, int64_t i, MaeImage *out, Error *err) {
    const ModelConfig *c = &s->model->vit->config;
    int64_t width, height;
    *out = (MaeImage){0};
    if (!session_has(s, "reconstruction") || !session_has(s, "mask"))
        return error_set(
            err, MAE_USAGE,
            "a picture wants reconstruction and mask among the outputs of the session");
    if (i < 0 || i >= s->n)
        return error_set(err, MAE_USAGE, "a picture of image %lld: the last run had %lld",
                         (long long)i, (long long)s->n);
    picture_row_size(c, &width, &height);
    Status status = mae_image_new(MAE_U8, height, width, 3, out, err);
    if (status == MAE_OK) picture_draw(s->session, c, i, out->memory);
    return status;
}
