/* See runfolder.h. */
#include "run/runfolder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "run/manifest.h"

#define MAX_SUMMARY_BYTES ((size_t)1 << 20)

Status runfolder_copy_options(const MaeOptions *in, MaeOptions *out, Error *err) {
    size_t count;
    const OptionRow *table = option_table(&count);
    char text[4096];
    options_default(in->command, out);
    for (size_t i = 0; i < count; i++) {
        if (!(table[i].commands & (unsigned)in->command) || !in->given[i]) continue;
        option_text(in, &table[i], text, sizeof text);
        Status status = mae_options_set(out, table[i].option.name, text, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

Status runfolder_merge_options(const MaeOptions *given, MaeOptions *out, Error *err) {
    Status status = runfolder_copy_options(given, out, err);
    if (status != MAE_OK) return status;
    char *path;
    status = file_path(given->out, "config.json", &path, err);
    if (status != MAE_OK) return status;
    if (file_exists(path)) status = mae_options_load(out, path, err);
    mem_free(path);
    return status;
}

/* N of "checkpoint-N.safetensors", -1 for other names. */
static int64_t checkpoint_number(const char *name) {
    const char *digits = name + 11;
    char *end;
    if (strncmp(name, "checkpoint-", 11) != 0 || *digits < '0' || *digits > '9') return -1;
    errno = 0;
    int64_t n = strtoll(digits, &end, 10);
    return errno == 0 && strcmp(end, ".safetensors") == 0 ? n : -1;
}

static Status remove_numbered(const char *run, int64_t n, Error *err) {
    char *path = mem_printf("%s/checkpoint-%" PRId64 ".safetensors", run, n);
    if (!path) return error_set(err, MAE_MEMORY, "no memory for a path");
    Status status = file_remove(path, err);
    mem_free(path);
    return status;
}

Status runfolder_prune(const char *run, int64_t keep, Error *err) {
    for (;;) {
        int64_t oldest = -1, count = 0;
        DIR *dir = opendir(run);
        if (!dir && errno == ENOENT) return MAE_OK; /* nothing there yet */
        if (!dir) return error_set(err, MAE_IO, "%s: cannot be read: %s", run, strerror(errno));
        for (const struct dirent *e; (e = readdir(dir));) {
            int64_t n = checkpoint_number(e->d_name);
            if (n < 0) continue;
            count++;
            if (oldest < 0 || n < oldest) oldest = n;
        }
        closedir(dir);
        if (count <= keep) return MAE_OK;
        Status status = remove_numbered(run, oldest, err);
        if (status != MAE_OK) return status;
    }
}

static Status remove_file(const char *folder, const char *name, Error *err) {
    char *path = NULL;
    Status status = file_path(folder, name, &path, err);
    if (status == MAE_OK) status = file_remove(path, err);
    mem_free(path);
    return status;
}

static bool is_picture(const char *name) {
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && strcmp(name + digits, ".png") == 0;
}

/* RUN/reconstructions/EPOCH.png, and the folder when nothing else is in it. */
static Status clear_pictures(const char *run, Error *err) {
    char *folder;
    Status status = file_path(run, "reconstructions", &folder, err);
    if (status != MAE_OK) return status;
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (is_picture(e->d_name)) TRY(remove_file(folder, e->d_name, err));
    if (dir) (void)rmdir(folder);
done:
    if (dir) closedir(dir);
    mem_free(folder);
    return status;
}

Status runfolder_clear(const char *run, Error *err) {
    static const char *const files[] = {"log.jsonl", "summary.json", "best.safetensors",
                                        "curves.svg"};
    Status status = MAE_OK;
    TRY(manifest_clear(run, err));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) TRY(remove_file(run, files[i], err));
    TRY(clear_pictures(run, err));
    TRY(runfolder_prune(run, 0, err));
    TRY(remove_file(run, "config.json", err)); /* last: it says whose the rest is */
done:
    return status;
}

Status runfolder_lock(const char *run, int *lock, Error *err) {
    *lock = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0) return MAE_OK;
    bool taken = errno == EWOULDBLOCK;
    runfolder_unlock(*lock);
    *lock = -1;
    if (!taken) return MAE_OK;
    return error_set(err, MAE_IO,
                     "%s: another process is training in this folder; wait for it, stop it, or use "
                     "another --out",
                     run);
}

void runfolder_unlock(int lock) {
    if (lock >= 0) close(lock);
}

/* --- summary.json ----------------------------------------------------------------------------- */

/* JSON has no NaN, and a share below 0 was not measured: null. */
static json_t *figure(double v) {
    return isfinite(v) && v >= 0 ? json_real(v) : json_null();
}

static json_t *summary_json(const MaeSummary *s, const Progress *p) {
    json_t *o = json_object();
    const Metrics *m = &p->measured;
    json_object_set_new(o, "steps", json_integer((json_int_t)s->steps));
    json_object_set_new(o, "epochs", json_integer((json_int_t)s->epochs));
    json_object_set_new(o, "images", json_integer((json_int_t)s->images));
    json_object_set_new(o, "unreadable", json_integer((json_int_t)s->unreadable));
    json_object_set_new(o, "skipped_steps", json_integer((json_int_t)s->skipped_steps));
    json_object_set_new(o, "loss", isfinite(s->loss) ? json_real(s->loss) : json_null());
    json_object_set_new(o, "loss_over", json_string(s->loss_over));
    json_object_set_new(o, "seconds", json_real(s->seconds));
    json_object_set_new(o, "images_per_s", figure(s->images_per_s));
    json_object_set_new(o, "checkpoint", json_string(s->checkpoint));
    if (!m->n) {
        json_object_set_new(o, "picture", json_string(s->picture));
        return o;
    }
    for (int i = 0; i < m->n; i++)
        json_object_set_new(o, metric_kinds[m->at[i].id].name, figure(m->at[i].value));
    json_object_set_new(o, "val_unreadable", json_integer((json_int_t)s->val_unreadable));
    json_object_set_new(o, metric_kinds[m->at[0].id].ema_name, figure(p->averaged));
    json_object_set_new(o, metric_kinds[m->at[0].id].best_name, figure(p->best));
    json_object_set_new(o, "best_epoch", json_integer((json_int_t)s->best_epoch));
    return o;
}

Status runfolder_write_summary(const char *run, const MaeSummary *s, const Progress *p,
                               Error *err) {
    json_t *object = summary_json(s, p);
    char *path, *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    Status status = file_path(run, "summary.json", &path, err);
    if (status == MAE_OK)
        status = text ? file_write_all(path, text, strlen(text), err)
                      : error_set(err, MAE_MEMORY, "no memory for summary.json");
    json_decref(object);
    free(text);
    mem_free(path);
    return status;
}

static int64_t read_count(const json_t *o, const char *key) {
    return (int64_t)json_integer_value(json_object_get(o, key));
}

static double read_figure(const json_t *o, const char *key, double otherwise) {
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static void read_text(const json_t *o, const char *key, char *out, size_t bytes) {
    const char *text = json_string_value(json_object_get(o, key));
    snprintf(out, bytes, "%s", text ? text : "");
}

bool runfolder_read_summary(const char *run, MaeSummary *out) {
    uint8_t *data = NULL;
    size_t bytes = 0;
    char *path;
    Status status = file_path(run, "summary.json", &path, NULL);
    if (status == MAE_OK) status = file_read_regular(path, MAX_SUMMARY_BYTES, &data, &bytes, NULL);
    json_t *o = status == MAE_OK ? json_parse(data, bytes, NULL) : NULL;
    *out = (MaeSummary){.steps = read_count(o, "steps"),
                        .epochs = read_count(o, "epochs"),
                        .images = read_count(o, "images"),
                        .unreadable = read_count(o, "unreadable"),
                        .val_unreadable = read_count(o, "val_unreadable"),
                        .skipped_steps = read_count(o, "skipped_steps"),
                        .loss = read_figure(o, "loss", NAN),
                        .seconds = read_figure(o, "seconds", 0),
                        .images_per_s = read_figure(o, "images_per_s", -1),
                        .top1 = read_figure(o, "top1", -1),
                        .top5 = read_figure(o, "top5", -1),
                        .val_loss = read_figure(o, "val_loss", -1),
                        .ema_top1 = read_figure(o, "ema_top1", -1),
                        .best_top1 = read_figure(o, "best_top1", -1),
                        .best_epoch = read_count(o, "best_epoch")};
    read_text(o, "loss_over", out->loss_over, sizeof out->loss_over);
    read_text(o, "checkpoint", out->checkpoint, sizeof out->checkpoint);
    read_text(o, "picture", out->picture, sizeof out->picture);
    bool there = json_is_object(o);
    json_decref(o);
    mem_free(data);
    mem_free(path);
    return there;
}
