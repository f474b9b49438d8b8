/* The training state in checkpoints of the published code: torch.optim.AdamW with two groups, the
 * parameters that are not decayed and those that are, each in the order of named_parameters(). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/checkpoint.h"
#include "run/run_state.h"

/* Parameters of the module itself come before those of its parts: cls_token, mask_token, then the
 * order of vit.c. */
static int64_t list_group(const Vit *v, bool decayed, const Param **out) {
    int64_t n = 0;
    const Param *mask = params_find(v->params, "mask_token");
    for (int64_t i = 0; i < params_count(v->params); i++) {
        const Param *p = params_at(v->params, i);
        if (!p->trainable || (p->shape.n_dims > 1) != decayed || p == mask) continue;
        out[n++] = p;
        if (mask && strcmp(p->name, "cls_token") == 0) out[n++] = mask;
    }
    return n;
}

/* The optimiser's number of the k-th parameter of a group. */
static int64_t number_of(const TensorFile *f, int group, int64_t k) {
    char key[96];
    snprintf(key, sizeof key, "optimizer.param_groups.%d.params.%" PRId64, group, k);
    const char *text = tensorfile_meta(f, key);
    return text ? strtoll(text, NULL, 10) : -1;
}

static Status read_moment(const TensorFile *f, int64_t number, const char *what, const Param *p,
                          Device *d, void *address, Error *err) {
    char name[96], want[96];
    snprintf(name, sizeof name, "optimizer.state.%" PRId64 ".%s", number, what);
    const TensorEntry *t = tensorfile_find(f, name);
    if (!t || !shape_equal(t->shape, p->shape))
        return error_set(err, MAE_SHAPE, "%s: %s is no state of %s %s", tensorfile_path(f), name,
                         p->name, shape_text(p->shape, want, sizeof want));
    float *host = mem_alloc_array((size_t)p->numel, sizeof *host);
    if (!host) return error_set(err, MAE_MEMORY, "no memory to read %s", name);
    Status status = tensorfile_read(f, t, host, err);
    if (status == MAE_OK) device_upload_floats(d, address, NUMBER_WIDE, host, p->numel);
    mem_free(host);
    return status;
}

/* A tensor in newer files, a number in older ones; -1: neither. */
static Status updates_of(const TensorFile *f, int64_t number, int64_t *out, Error *err) {
    char name[96];
    float value = -1;
    snprintf(name, sizeof name, "optimizer.state.%" PRId64 ".step", number);
    const TensorEntry *t = tensorfile_find(f, name);
    const char *text = tensorfile_meta(f, name);
    bool one = !text && t && shape_numel(t->shape) == 1;
    Status status = one ? tensorfile_read(f, t, &value, err) : MAE_OK;
    *out = text ? strtoll(text, NULL, 10) : (int64_t)value;
    return status;
}

static Status read_group(const TensorFile *f, Vit *v, Optimizer *o, int group, const Param **list,
                         int64_t n, int64_t *updates, Error *err) {
    Status status = MAE_OK;
    for (int64_t k = 0; k < n; k++) {
        int64_t number = number_of(f, group, k);
        if (number < 0)
            return error_set(err, MAE_FORMAT,
                             "%s: group %d of the optimiser has no parameter %" PRId64
                             "; only runs of main_pretrain can be continued",
                             tensorfile_path(f), group, k);
        TRY(read_moment(f, number, "exp_avg", list[k], v->device, optimizer_moment(o, 0, list[k]),
                        err));
        TRY(read_moment(f, number, "exp_avg_sq", list[k], v->device,
                        optimizer_moment(o, 1, list[k]), err));
        TRY(updates_of(f, number, updates, err));
    }
done:
    return status;
}

Status run_state_read_published(const CheckpointFile *c, Vit *v, Optimizer *o, Progress *p,
                                Error *err) {
    Status status = MAE_OK;
    const TensorFile *f = c->file;
    int64_t updates = -1;
    const char *epoch = tensorfile_meta(f, "epoch");
    const Param **list = mem_alloc_array((size_t)params_count(v->params), sizeof *list);
    if (!list) return error_set(err, MAE_MEMORY, "no memory to read %s", tensorfile_path(f));
    if (!tensorfile_meta(f, "optimizer.param_groups.0.lr") || !epoch) {
        status =
            error_set(err, MAE_FORMAT,
                      "%s holds no training state (optimizer and epoch); leave --continue out to "
                      "start from its weights",
                      tensorfile_path(f));
        goto done;
    }
    for (int group = 0; group < 2; group++) {
        int64_t n = list_group(v, group == 1, list);
        TRY(read_group(f, v, o, group, list, n, &updates, err));
    }
    if (updates < 0) {
        status =
            error_set(err, MAE_FORMAT, "%s: the optimiser does not say how many updates it made",
                      tensorfile_path(f));
        goto done;
    }
    optimizer_set_updates(o, updates);
    p->step = updates;
    p->epoch = strtoll(epoch, NULL, 10) + 1;
done:
    mem_free(list);
    return status;
}
