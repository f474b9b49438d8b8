/* Going on from a checkpoint: whether the one in the run folder is of this run, and its weights,
 * moments, averages and counters. Also going back to it while running. */
#include <inttypes.h>

#include "base/log.h"
#include "base/memory.h"
#include "train/run_internal.h"
#include "train/statistics.h"

static Status compare(const char *what, int64_t here, int64_t there, const char *run, Error *err) {
    if (here == there) return STATUS_OK;
    return fail(err, STATUS_USAGE,
                "%s holds a run with %s %" PRId64 ", asked for is %" PRId64
                "; leave the option out to continue, or take --restart or another --out",
                run, what, there, here);
}

static Status compare_statistics(const ModelConfig *here, const ModelConfig *there, const char *run,
                                 Error *err) {
    char old_mean[STATISTICS_TEXT_BYTES], old_std[STATISTICS_TEXT_BYTES];
    if (statistics_equal(here, there)) return STATUS_OK;
    statistics_print(there->mean, there->channels, old_mean);
    statistics_print(there->std, there->channels, old_std);
    return fail(err, STATUS_USAGE,
                "%s holds a run whose pixels are normalised with mean %s and deviation %s; leave "
                "--mean and --std out to continue, or take --restart or another --out",
                run, old_mean, old_std);
}

/* The model of a run folder cannot change under way. */
static Status check_same_model(const ModelConfig *a, const ModelConfig *b, const char *run,
                               Error *err) {
    Status status = STATUS_OK;
    TRY(compare("image height", a->image_height, b->image_height, run, err));
    TRY(compare("image width", a->image_width, b->image_width, run, err));
    TRY(compare("channels", a->channels, b->channels, run, err));
    TRY(compare_statistics(a, b, run, err));
    TRY(compare("patch", a->patch, b->patch, run, err));
    TRY(compare("embed dim", a->embed_dim, b->embed_dim, run, err));
    TRY(compare("depth", a->depth, b->depth, run, err));
    TRY(compare("heads", a->heads, b->heads, run, err));
    TRY(compare("decoder embed dim", a->decoder_embed_dim, b->decoder_embed_dim, run, err));
    TRY(compare("decoder depth", a->decoder_depth, b->decoder_depth, run, err));
    TRY(compare("decoder heads", a->decoder_heads, b->decoder_heads, run, err));
    TRY(compare("classes", a->classes, b->classes, run, err));
    TRY(compare("target number", a->target, b->target, run, err));
    TRY(compare("mask token in encoder", a->mask_token_in_encoder, b->mask_token_in_encoder, run,
                err));
done:
    return status;
}

Status run_check_folder(Run *r, Error *err) {
    Status status = STATUS_OK;
    CheckpointFile *there = NULL;
    char *path = NULL;
    TRY(run_file(r, "last.safetensors", &path, err));
    TRY(checkpoint_open(path, NULL, &there, err));
    TRY(check_same_model(&r->config, &there->config, r->options.out, err));
done:
    checkpoint_close(there);
    mem_free(path);
    return status;
}

RunState run_state(Run *r) {
    return (RunState){r->model, r->optimizer, r->ema, &r->progress};
}

Status run_resume(Run *r, Error *err) {
    Status status = STATUS_OK;
    RunState s = run_state(r);
    TRY(checkpoint_load_run(r->options.out, &s, err));
    if (r->progress.seed != (uint64_t)r->options.seed)
        return compare("seed", r->options.seed, (int64_t)r->progress.seed, r->options.out, err);
    if (comm_is_root(r->comm))
        log_line(LOG_INFO, "resuming %s at step %" PRId64 " (epoch %" PRId64 ")", r->options.out,
                 r->progress.step, r->progress.epoch);
done:
    return status;
}

Status run_roll_back(Run *r, Error *err) {
    Progress now = r->progress, saved;
    RunState s = run_state(r);
    Status status = STATUS_OK;
    bool there = false;
    TRY(run_wait_for_writer(r, err));
    if (comm_is_root(r->comm)) status = checkpoint_open_run(r->options.out, &there, err);
    TRY(comm_agree(r->comm, status, err));
    comm_broadcast(r->comm, &there, sizeof there);
    if (!there) return STATUS_OK;
    s.progress = &saved;
    TRY(comm_agree(r->comm, checkpoint_load_run(r->options.out, &s, err), err));
    run_share_state(r);
    r->progress = now;
    if (comm_is_root(r->comm))
        log_line(LOG_WARNING, "weights were rolled back to those of step %" PRId64, saved.step);
done:
    return status;
}
