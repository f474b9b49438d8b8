/* See supervised.h. What --init gives a classifier: the encoder's sizes, its weights, and the head
 * where that is one for the same classes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "jobs/init.h"
#include "jobs/setup.h"
#include "jobs/supervised.h"

bool supervised_from_scratch(const MaeOptions *o) {
    return strcmp(o->init, "none") == 0;
}

/* --- the encoder ------------------------------------------------------------------------------ */

static Status agree_on_name(const Run *r, const char *path, Error *err) {
    const char *model = model_size_words[r->options.model], *preset = r->notes.preset;
    char there[40];
    if (!init_given(r, "model") || strcmp(preset, model) == 0 || strncmp(preset, "vit_", 4) != 0)
        return MAE_OK;
    snprintf(there, sizeof there, "a %s", preset);
    return init_contradicts(r, "model", model, path, there, err);
}

static Status configure_from(Run *r, const char *path, Error *err) {
    Status status = MAE_OK;
    CheckpointFile *file = NULL;
    TRY(init_open(r, path, !comm_is_root(r->comm), &file, err));
    r->config = file->config;
    r->notes = file->notes;
    if (!r->resumed) r->notes.classes = NULL;   /* the file's own */
    if (r->resumed) file->notes.classes = NULL; /* moved */
    TRY(agree_on_name(r, path, err));
    TRY(init_sizes(r, path, r->notes.preset, err));
done:
    checkpoint_close(file);
    return status;
}

Status supervised_configure_encoder(Run *r, Error *err) {
    Status status = MAE_OK;
    MaeOptions *o = &r->options;
    char *last = NULL;
    if (!o->init)
        return error_set(
            err, MAE_USAGE,
            "no checkpoint to start from; name one with --init CKPT, or say --init none");
    if (r->resumed) {
        TRY(run_file(r, "last.safetensors", &last, err));
        TRY(configure_from(r, last, err));
    } else if (supervised_from_scratch(o)) {
        TRY(setup_model_config(o, &r->config, err));
        setup_notes(o, &r->config, &r->notes);
    } else {
        TRY(configure_from(r, o->init, err));
    }
    r->config.decoder_depth = 0;
    r->config.mask_token_in_encoder = false;
    r->config.target = TARGET_PIXEL;
done:
    mem_free(last);
    return status;
}

/* --- weights ---------------------------------------------------------------------------------- */

static bool is_permutation(const int *rows, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++)
            if (rows[i] == rows[k]) return false;
    return true;
}

static bool is_identity(const int *rows, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (rows[i] != i) return false;
    return true;
}

static void say_head(const Run *r, const CheckpointFile *file, const int *rows) {
    const char *path = tensorfile_path(file->file);
    if (!file->notes.classes)
        log_line(LOG_INFO,
                 "the head of %s is kept; it has no class names, its classes are taken for those "
                 "of --data in their order",
                 path);
    else if (is_identity(rows, r->config.classes))
        log_line(LOG_INFO, "the head of %s is kept", path);
    else
        log_line(LOG_INFO, "the head of %s is kept, its classes in the order of those of --data",
                 path);
}

/* The row of the file's head for each class of the data; NULL: a new head. One for classes of other
 * names knows nothing of these, even when there are as many. */
static Status map_head(const Run *r, const CheckpointFile *file, int **rows, Error *err) {
    const ModelConfig *there = &file->config, *here = &r->config;
    Error why = {0};
    *rows = NULL;
    if (there->head == HEAD_NONE) return MAE_OK;
    Status status =
        there->head == here->head && there->classes == here->classes
            ? classes_map(file->notes.classes, there->classes, r->dataset, "--data", rows, &why)
            : error_set(&why, MAE_SHAPE, "it has %" PRId64 " classes, --data %" PRId64,
                        there->classes, here->classes);
    if (status == MAE_MEMORY) return error_set(err, status, "%s", why.message);
    if (status == MAE_OK && !is_permutation(*rows, here->classes)) {
        mem_free(*rows);
        *rows = NULL;
        status = error_set(&why, MAE_SHAPE, "several classes of --data are one of it");
    }
    if (status == MAE_OK)
        say_head(r, file, *rows);
    else if (there->head != here->head && there->classes == here->classes)
        log_line(LOG_INFO, "a new head, of another kind than that of %s",
                 tensorfile_path(file->file));
    else
        log_line(LOG_INFO, "a new head, not that of %s: %s", tensorfile_path(file->file),
                 why.message);
    return MAE_OK;
}

Status supervised_start(Run *r, Error *err) {
    Status status = MAE_OK;
    int *rows = NULL;
    CheckpointFile *file = NULL;
    TRY(vit_init(r->model, (uint64_t)r->options.seed, err));
    if (supervised_from_scratch(&r->options)) return MAE_OK;
    TRY(init_open(r, r->options.init, true, &file, err)); /* said when the encoder was configured */
    TRY(map_head(r, file, &rows, err));
    TRY(checkpoint_read_encoder(file, r->model, rows, err));
done:
    mem_free(rows);
    checkpoint_close(file);
    return status;
}
