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
    out->data_source = in->data_source;
    out->val_source = in->val_source;
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

Status runfolder_write_summary(const char *run, Result summary, Error *err) {
    char *path, *text = *summary.failed ? NULL : json_dumps(summary.value, JSON_INDENT(2));
    Status status = file_path(run, "summary.json", &path, err);
    if (status == MAE_OK)
        status = text ? file_write_all(path, text, strlen(text), err)
                      : error_set(err, MAE_MEMORY, "no memory for summary.json");
    free(text);
    mem_free(path);
    return status;
}

json_t *runfolder_read_summary(const char *run) {
    uint8_t *data = NULL;
    size_t bytes = 0;
    char *path;
    Status status = file_path(run, "summary.json", &path, NULL);
    if (status == MAE_OK) status = file_read_regular(path, MAX_SUMMARY_BYTES, &data, &bytes, NULL);
    json_t *summary = status == MAE_OK ? json_parse(data, bytes, NULL) : NULL;
    mem_free(data);
    mem_free(path);
    if (json_is_object(summary)) return summary;
    json_decref(summary);
    return NULL;
}
