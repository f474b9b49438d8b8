/* See runfolder.h. */
#include "train/runfolder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "train/manifest.h"

static Status lift(MaeStatus status, const MaeError *e, Error *err) {
    return status == MAE_OK ? STATUS_OK : fail(err, (Status)status, "%s", e->message);
}

Status runfolder_copy_options(const MaeOptions *in, MaeCommand command, MaeOptions *out,
                              Error *err) {
    size_t count;
    const MaeOption *table = mae_option_table(&count);
    MaeError e = {0};
    char text[4096];
    mae_options_default(command, out);
    for (size_t i = 0; i < count; i++) {
        if (!(table[i].commands & (unsigned)command) || !in->given[i]) continue;
        mae_option_get(in, &table[i], text, sizeof text);
        MaeStatus status = mae_option_set(out, command, table[i].name, text, &e);
        if (status != MAE_OK) return lift(status, &e, err);
    }
    return STATUS_OK;
}

Status runfolder_merge_options(const MaeOptions *given, MaeCommand command, MaeOptions *out,
                               Error *err) {
    MaeError e = {0};
    Status status = runfolder_copy_options(given, command, out, err);
    if (status != STATUS_OK) return status;
    char *path = mem_printf("%s/config.json", given->out);
    if (!path) return fail(err, STATUS_MEMORY, "no memory for a path");
    if (file_exists(path)) status = lift(mae_options_load(out, command, path, &e), &e, err);
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
    if (!path) return fail(err, STATUS_MEMORY, "no memory for a path");
    Status status = file_remove(path, err);
    mem_free(path);
    return status;
}

Status runfolder_prune(const char *run, int64_t keep, Error *err) {
    for (;;) {
        int64_t oldest = -1, count = 0;
        DIR *dir = opendir(run);
        if (!dir && errno == ENOENT) return STATUS_OK; /* nothing there yet */
        if (!dir) return fail(err, STATUS_IO, "%s: cannot be read: %s", run, strerror(errno));
        for (const struct dirent *e; (e = readdir(dir));) {
            int64_t n = checkpoint_number(e->d_name);
            if (n < 0) continue;
            count++;
            if (oldest < 0 || n < oldest) oldest = n;
        }
        closedir(dir);
        if (count <= keep) return STATUS_OK;
        Status status = remove_numbered(run, oldest, err);
        if (status != STATUS_OK) return status;
    }
}

Status runfolder_clear(const char *run, Error *err) {
    static const char *const files[] = {"log.jsonl", "config.json", "summary.json",
                                        "best.safetensors", "curves.svg"};
    Status status = manifest_clear(run, err);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = mem_printf("%s/%s", run, files[i]);
        if (!path) return fail(err, STATUS_MEMORY, "no memory for a path");
        status = file_remove(path, err);
        mem_free(path);
        if (status != STATUS_OK) return status;
    }
    return runfolder_prune(run, 0, err);
}

Status runfolder_lock(const char *run, int *lock, Error *err) {
    *lock = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0) return STATUS_OK;
    bool taken = errno == EWOULDBLOCK;
    runfolder_unlock(*lock);
    *lock = -1;
    if (!taken) return STATUS_OK;
    return fail(err, STATUS_IO,
                "%s: another process is training in this folder; wait for it, stop it, or use "
                "another --out",
                run);
}

void runfolder_unlock(int lock) {
    if (lock >= 0) close(lock);
}

static json_t *summary_json(MaeCommand command, const MaeSummary *s) {
    json_t *o = json_object();
    json_object_set_new(o, "steps", json_integer((json_int_t)s->steps));
    json_object_set_new(o, "epochs", json_integer((json_int_t)s->epochs));
    json_object_set_new(o, "images", json_integer((json_int_t)s->images));
    json_object_set_new(o, "unreadable", json_integer((json_int_t)s->unreadable));
    json_object_set_new(o, "skipped_steps", json_integer((json_int_t)s->skipped_steps));
    json_object_set_new(o, "loss", json_real(s->loss));
    json_object_set_new(o, "seconds", json_real(s->seconds));
    json_object_set_new(o, "images_per_s", json_real(s->images_per_s));
    json_object_set_new(o, "checkpoint", json_string(s->checkpoint));
    if (command == MAE_COMMAND_PRETRAIN) {
        json_object_set_new(o, "picture", json_string(s->picture));
        return o;
    }
    json_object_set_new(o, "top1", json_real(s->top1));
    json_object_set_new(o, "top5", json_real(s->top5));
    json_object_set_new(o, "val_loss", json_real(s->val_loss));
    json_object_set_new(o, "val_unreadable", json_integer((json_int_t)s->val_unreadable));
    if (s->ema_top1 >= 0) json_object_set_new(o, "ema_top1", json_real(s->ema_top1));
    json_object_set_new(o, "best_top1", json_real(s->best_top1));
    json_object_set_new(o, "best_epoch", json_integer((json_int_t)s->best_epoch));
    return o;
}

Status runfolder_write_summary(const char *run, MaeCommand command, const MaeSummary *s,
                               Error *err) {
    char *path = mem_printf("%s/summary.json", run);
    json_t *object = summary_json(command, s);
    char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    Status status = path && text ? file_write_all(path, text, strlen(text), err)
                                 : fail(err, STATUS_MEMORY, "no memory for summary.json");
    json_decref(object);
    free(text);
    mem_free(path);
    return status;
}
