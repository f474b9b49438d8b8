/* See init.h. */
#include "jobs/init.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "jobs/setup.h"
#include "options/options.h"

bool init_given(const Run *r, const char *option) {
    int i = option_find(r->task->command, option);
    return i >= 0 && r->options.given[i];
}

Status init_open(const Run *r, const char *path, bool said, CheckpointFile **out, Error *err) {
    CheckpointHints hints = setup_hints(&r->options);
    if (path != r->options.init) hints.prefix = NULL; /* the run's own has none */
    hints.said = said;
    return checkpoint_open(path, &hints, out, err);
}

Status init_contradicts(const Run *r, const char *option, const char *given, const char *path,
                        const char *there, Error *err) {
    bool pretrains = r->task->command == COMMAND_PRETRAIN;
    return error_set(err, MAE_USAGE, "--%s %s: %s has %s; leave the option out, %s", option, given,
                     path, there, pretrains ? "the file says it" : "or use --init none");
}

Status init_agree(const Run *r, const char *option, int64_t given, int64_t there, const char *path,
                  Error *err) {
    char a[32], b[32];
    if (!init_given(r, option) || given == there) return MAE_OK;
    snprintf(a, sizeof a, "%" PRId64, given);
    snprintf(b, sizeof b, "%" PRId64, there);
    return init_contradicts(r, option, a, path, b, err);
}

Status init_sizes(Run *r, const char *path, const char *preset, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    ModelConfig *c = &r->config;
    char given[32], there[32];
    MaeError ignored = {0}; /* "custom" is no preset */
    TRY(init_agree(r, "patch", o->patch, c->patch, path, err));
    TRY(init_agree(r, "channels", o->channels, c->channels, path, err));
    TRY(init_agree(r, "embed-dim", o->embed_dim, c->embed_dim, path, err));
    TRY(init_agree(r, "depth", o->depth, c->depth, path, err));
    TRY(init_agree(r, "heads", o->heads, c->heads, path, err));
    if (init_given(r, "mlp-ratio") && fabs(o->mlp_ratio - c->mlp_ratio) > 1e-6) {
        snprintf(given, sizeof given, "%g", o->mlp_ratio);
        snprintf(there, sizeof there, "%g", c->mlp_ratio);
        TRY(init_contradicts(r, "mlp-ratio", given, path, there, err));
    }
    if (init_given(r, "image-size")) {
        c->image_height = o->image_size[0];
        c->image_width = o->image_size[1];
    }
    mae_options_set(o, "model", preset, &ignored);
done:
    return status;
}
