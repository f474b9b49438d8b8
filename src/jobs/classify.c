/* mae classify: the most probable classes of single images. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"

static Status need_classifier(const MaeModel *m, Error *err) {
    if (m->vit->config.head != HEAD_NONE) return MAE_OK;
    return error_set(err, MAE_UNSUPPORTED,
                     "the checkpoint has no classifier; make one with mae finetune or mae probe");
}

static void best_classes(const MaeModel *m, double *p, int count, MaeClass *out, int *n) {
    int64_t C = m->vit->config.classes;
    const ClassNames *names = m->notes.classes;
    *n = count < C ? count : (int)C;
    for (int k = 0; k < *n; k++) {
        int64_t best = 0;
        for (int64_t i = 1; i < C; i++)
            if (p[i] > p[best]) best = i;
        out[k] = (MaeClass){.index = best, .probability = p[best]};
        if (names)
            snprintf(out[k].name, sizeof out[k].name, "%s", names->name[best]);
        else
            snprintf(out[k].name, sizeof out[k].name, "%" PRId64, best);
        p[best] = -1;
    }
}

Status classify_image(MaeModel *m, const char *path, int count, MaeClass *out, int *n, Error *err) {
    Status status = MAE_OK;
    const ModelConfig *c = &m->vit->config;
    uint8_t *pixels = NULL;
    double *p = NULL;
    *n = 0;
    TRY(need_classifier(m, err));
    if (!m->classifier)
        TRY(session_new(m->vit, (SessionOptions){.batch = 1, .logits = true}, &m->classifier, err));
    pixels = mem_alloc((size_t)(c->image_height * c->image_width * c->channels));
    p = mem_alloc_array((size_t)c->classes, sizeof *p);
    if (!pixels || !p) {
        status = error_set(err, MAE_MEMORY, "no memory for an image");
        goto done;
    }
    unsigned notes;
    TRY(setup_eval_image(path, c, m->max_pixels, pixels, &notes, err));
    model_note_image(m, path, notes);
    session_run(m->classifier, pixels, 1);
    session_probabilities(m->classifier, 0, p);
    for (int64_t i = 0; i < c->classes; i++)
        if (!isfinite(p[i])) {
            status = error_set(err, MAE_NONFINITE, "%s: the logits are not finite", path);
            goto done;
        }
    best_classes(m, p, count, out, n);
done:
    mem_free(pixels);
    mem_free(p);
    return status;
}
