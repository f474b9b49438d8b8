/* See unseen.h. */
#include "jobs/unseen.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/overlap.h"
#include "jobs/setup.h"

typedef struct Sides {
    const Dataset *data, *val;
    const char *data_name, *val_name; /* for messages */
    bool accepted;
    const char *advice;
} Sides;

static Status refuse(const Sides *s, const Overlap *o, Error *err) {
    const char *a = dataset_name(s->data, o->in_a), *b = dataset_name(s->val, o->in_b);
    bool same = strcmp(a, b) == 0;
    return error_set(
        err, MAE_USAGE,
        "%" PRId64 " of the %" PRId64 " images of %s are also in %s, such as %.200s%s%.200s%s; "
        "a figure of them says nothing about new images. %s, or say --accept-overlap if it "
        "is meant",
        o->images, dataset_count(s->val), s->val_name, s->data_name, b, same ? "" : " (",
        same ? "" : a, same ? "" : ")", s->advice);
}

static Status check(const Sides *s, Error *err) {
    Overlap o;
    Status status = dataset_overlap(s->data, s->val, &o, err);
    if (status != MAE_OK) return status;
    if (dataset_is_given(s->data) != dataset_is_given(s->val))
        log_line(LOG_INFO,
                 "images of %s that are also in %s cannot be found: a program gives one of the two",
                 s->val_name, s->data_name);
    if (o.generated)
        log_line(LOG_INFO,
                 "%" PRId64 " generated images of %s are also in %s: synthetic images are for "
                 "measuring speed",
                 o.generated, s->val_name, s->data_name);
    if (o.images == 0) return MAE_OK;
    if (!s->accepted) return refuse(s, &o, err);
    log_line(LOG_WARNING, "%" PRId64 " of the %" PRId64 " images of %s are also in %s, as accepted",
             o.images, dataset_count(s->val), s->val_name, s->data_name);
    return MAE_OK;
}

Status unseen_check(const MaeOptions *o, const Dataset *data, const Dataset *val, Error *err) {
    Sides s = {.data = data,
               .val = val,
               .data_name = o->val ? "--data" : "what --val-share leaves",
               .val_name = o->val ? "--val" : "what --val-share holds out",
               .accepted = o->accept_overlap != 0,
               .advice = o->val ? "Name other images" : "Name each image once"};
    return check(&s, err);
}

/* --- of a run --------------------------------------------------------------------------------- */

/* The folder that a checkpoint lies in, or a run folder itself; NULL: no memory. */
static char *config_path(const char *checkpoint) {
    const char *slash = strrchr(checkpoint, '/');
    if (file_is_directory(checkpoint)) return mem_printf("%s/config.json", checkpoint);
    return slash ? mem_printf("%.*s/config.json", (int)(slash - checkpoint), checkpoint)
                 : mem_strdup("config.json");
}

static bool read_config(const char *path, MaeOptions *o) {
    static const CommandId commands[] = {COMMAND_FINETUNE, COMMAND_PROBE};
    for (int i = 0; i < 2; i++) {
        options_default(commands[i], o);
        if (mae_options_load(o, path, NULL) == MAE_OK && o->data) return true;
        options_clear(o);
    }
    return false;
}

/* The images of a program are there again where it gives them for --val, by the same name. */
static void lend_source(const MaeOptions *o, MaeOptions *run) {
    if (o->val_source && strcmp(run->data, o->val) == 0) run->data_source = o->val_source;
}

static void say_unknown(const MaeOptions *run) {
    static const char prefix[] = OPTION_SOURCE_PREFIX;
    if (!run->data_source && strncmp(run->data, prefix, sizeof prefix - 1) == 0)
        log_line(LOG_INFO,
                 "whether the images of --val are unseen is not known: a program gave those of %s, "
                 "on which the model was trained",
                 run->data);
}

static bool is_about_us(Status s) {
    return s == MAE_MEMORY || s == MAE_INTERRUPTED;
}

Status unseen_check_trained(const MaeOptions *o, const Dataset *val, Error *err) {
    Error why = {0};
    MaeOptions run = {0};
    Dataset *data = NULL;
    if (!o->checkpoint) return MAE_OK;
    char *path = config_path(o->checkpoint);
    if (!path) return error_set(err, MAE_MEMORY, "no memory for a path");
    bool known = file_exists(path) && read_config(path, &run);
    mem_free(path);
    if (!known) return MAE_OK;
    lend_source(o, &run);
    Status status = setup_train_set(&run, dataset_channels(val), &data, &why);
    if (status == MAE_OK) {
        Sides s = {.data = data,
                   .val = val,
                   .data_name = "the images that the model was trained on",
                   .val_name = "--val",
                   .accepted = o->accept_overlap != 0,
                   .advice = "Name other images"};
        status = check(&s, err);
    } else {
        say_unknown(&run);
        status = is_about_us(status) ? error_set(err, status, "%s", why.message) : MAE_OK;
    }
    dataset_close(data);
    options_clear(&run);
    return status;
}
