/* See runlog.h. */
#include "run/runlog.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

struct RunLog {
    FILE *file;
    char *path;
};

/* A torn last line (killed while writing) does not parse and is dropped with what follows. */
static bool keep_line(const char *line, size_t n, int64_t keep_step, int64_t keep_epoch) {
    json_t *object = json_parse(line, n, NULL);
    json_t *step = json_object_get(object, "step");
    const char *kind = json_string_value(json_object_get(object, "kind"));
    bool keep = json_is_integer(step) && json_integer_value(step) <= keep_step;
    if (kind && strcmp(kind, "epoch") == 0 &&
        json_number_value(json_object_get(object, "epoch")) > (double)keep_epoch)
        keep = false;
    json_decref(object);
    return keep;
}

static Status rewrite(const char *path, int64_t keep_step, int64_t keep_epoch, Error *err) {
    Status status = MAE_OK;
    uint8_t *data = NULL;
    size_t bytes = 0, kept = 0;
    if (keep_step < 0) return file_write_all(path, "", 0, err);
    if (!file_exists(path)) return MAE_OK;
    TRY(file_read(path, SIZE_MAX - 1, &data, &bytes, err));
    while (kept < bytes) {
        const uint8_t *end = memchr(data + kept, '\n', bytes - kept);
        if (!end) break;
        size_t n = (size_t)(end - data) - kept;
        if (!keep_line((const char *)data + kept, n, keep_step, keep_epoch)) break;
        kept += n + 1;
    }
    if (kept < bytes) TRY(file_write_all(path, data, kept, err));
done:
    mem_free(data);
    return status;
}

Status runlog_open(const char *path, int64_t keep_step, int64_t keep_epoch, RunLog **out,
                   Error *err) {
    RunLog *l = NULL;
    *out = NULL;
    Status status = rewrite(path, keep_step, keep_epoch, err);
    if (status != MAE_OK) return status;
    l = mem_alloc(sizeof *l);
    if (l) l->path = mem_strdup(path);
    if (!l || !l->path) {
        runlog_close(l);
        return error_set(err, MAE_MEMORY, "no memory for %s", path);
    }
    l->file = fopen(path, "a");
    if (!l->file) {
        status =
            error_set(err, MAE_IO, "%s: cannot be opened for writing: %s", path, strerror(errno));
        runlog_close(l);
        return status;
    }
    *out = l;
    return MAE_OK;
}

static Status append(RunLog *l, json_t *object, Error *err) {
    if (!object) return error_set(err, MAE_MEMORY, "no memory for a line of %s", l->path);
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (!text) return error_set(err, MAE_MEMORY, "no memory for a line of %s", l->path);
    bool ok = fprintf(l->file, "%s\n", text) > 0 && fflush(l->file) == 0;
    int reason = errno;
    free(text);
    if (ok) return MAE_OK;
    return error_set(err, MAE_IO, "%s: cannot be written: %s", l->path, strerror(reason));
}

/* Some file systems and pipes cannot be flushed; theirs to answer for. */
Status runlog_flush(RunLog *l, Error *err) {
    if (fsync(fileno(l->file)) == 0 || errno == EINVAL || errno == ENOTSUP) return MAE_OK;
    return error_set(err, MAE_IO, "%s: cannot flush to disk: %s", l->path, strerror(errno));
}

/* JSON has no NaN: null. */
static json_t *number(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static void add_number(json_t *object, const char *key, double v) {
    json_object_set_new(object, key, number(v));
}

Status runlog_write(RunLog *l, const LogLine *line, Error *err) {
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(line->epoch_end ? "epoch" : "step"));
    json_object_set_new(o, "step", json_integer((json_int_t)line->step));
    add_number(o, "epoch", line->epoch);
    add_number(o, "loss", line->loss);
    add_number(o, "lr", line->lr);
    add_number(o, "images_per_s", line->images_per_s);
    add_number(o, "grad_norm", line->gradient_norm);
    for (int i = 0; i < line->metrics.n; i++)
        add_number(o, metric_kinds[line->metrics.at[i].id].name, line->metrics.at[i].value);
    for (int i = 0; i < line->averaged.n; i++)
        add_number(o, metric_kinds[line->averaged.at[i].id].ema_name, line->averaged.at[i].value);
    return append(l, o, err);
}

Status runlog_event(RunLog *l, int64_t step, const char *message, Error *err) {
    return append(l,
                  json_pack("{ss sI so}", "kind", "event", "step", (json_int_t)step, "message",
                            json_name(message)),
                  err);
}

Status runlog_changes(RunLog *l, int64_t step, double epoch, const Changes *c, Error *err) {
    char text[1024];
    json_t *list = json_array();
    for (int i = 0; i < c->n; i++) {
        const Change *k = &c->change[i];
        if (k->kind == CHANGE_MARKED)
            json_array_append_new(
                list, json_pack("{ss ss ss}", "what", k->what, "before", k->before, "now", k->now));
    }
    changes_describe(c, text, sizeof text);
    return append(l,
                  json_pack("{ss sI sf ss so}", "kind", "event", "step", (json_int_t)step, "epoch",
                            epoch, "message", text, "changes", list),
                  err);
}

void runlog_close(RunLog *l) {
    if (!l) return;
    if (l->file) fclose(l->file);
    mem_free(l->path);
    mem_free(l);
}
