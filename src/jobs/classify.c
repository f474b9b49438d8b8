/* mae classify: the most probable classes of images. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "run/machine.h"

/* Enough to keep the processors busy; results come as often. */
#define CLASSIFY_BATCH 16

typedef struct Classify {
    const MaeModel *model;
    const Dataset *data;
    int64_t top;
    double *p; /* [classes] */
    Result images;
} Classify;

static bool are_finite(const double *p, int64_t n) {
    bool finite = true;
    for (int64_t i = 0; i < n; i++) finite = finite && isfinite(p[i]);
    return finite;
}

/* The largest first; p loses them. */
static void tell_best(const Classify *s, Result list) {
    int64_t C = s->model->vit->config.classes;
    const ClassNames *names = s->model->notes.classes;
    for (int64_t k = 0; k < s->top && k < C; k++) {
        char number[24];
        int64_t best = 0;
        for (int64_t i = 1; i < C; i++)
            if (s->p[i] > s->p[best]) best = i;
        snprintf(number, sizeof number, "%" PRId64, best);
        Result row = result_object(list, NULL);
        result_text(row, "class", names ? names->name[best] : number);
        result_count(row, "index", best);
        result_number(row, "probability", s->p[best]);
        s->p[best] = -1;
    }
}

static Status to_classes(void *user, Session *session, const Batch *b, Error *err) {
    Classify *s = user;
    int64_t C = session_classes(session);
    (void)err;
    for (int64_t i = 0; i < b->n; i++) {
        const char *name = dataset_name(s->data, b->samples[i]);
        session_probabilities(session, i, s->p);
        if (!are_finite(s->p, C)) {
            log_line(LOG_ERROR, "%s: the logits are not finite", name);
            continue;
        }
        Result row = result_object(s->images, NULL);
        result_text(row, "image", name);
        tell_best(s, result_list(row, "classes"));
        call_record(result_view(row.value));
    }
    return MAE_OK;
}

static Status need_classifier(const MaeModel *m, Error *err) {
    if (m->vit->config.head != HEAD_NONE) return MAE_OK;
    return error_set(err, MAE_UNSUPPORTED,
                     "the checkpoint has no classifier; make one with mae finetune or mae probe");
}

static Status classify(MaeModel *m, const MaeOptions *o, Result out, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &m->vit->config;
    Dataset *data = NULL;
    Session *session = NULL;
    Classify s = {.model = m, .top = o->top};
    TRY(need_classifier(m, err));
    TRY(setup_given(o, c->channels, &data, err));
    int64_t n = dataset_count(data);
    SessionOptions options = {.batch = n < CLASSIFY_BATCH ? n : CLASSIFY_BATCH, .logits = true};
    SessionJob job = setup_given_job(o, c, data, "classify");
    TRY(session_new(m->vit, options, &session, err));
    s.data = data;
    s.p = mem_alloc_array((size_t)c->classes, sizeof *s.p);
    if (!s.p) {
        status = error_set(err, MAE_MEMORY, "no memory for %" PRId64 " classes", c->classes);
        goto done;
    }
    s.images = result_list(out, "images");
    TRY(session_stream(session, &job, to_classes, &s, err));
done:
    session_free(session);
    dataset_close(data);
    mem_free(s.p);
    return status;
}

Status classify_job(const MaeOptions *o, Result out, Error *err) {
    MaeModel *m = NULL;
    Status status = model_open(o, &m, err);
    if (status == MAE_OK) status = classify(m, o, out, err);
    model_free(m);
    return status;
}
