/* Which file the path of a checkpoint means. */
#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/checkpoint.h"

static Status no_weights(const char *path, Error *err) {
    Error ignored = {0};
    bool config, log;
    (void)file_is_in(path, "config.json", &config, &ignored);
    (void)file_is_in(path, "log.jsonl", &log, &ignored);
    if (config && log)
        return error_set(err, MAE_EMPTY,
                         "%s: a run folder in which no checkpoint has been saved yet", path);
    return error_set(
        err, MAE_EMPTY,
        "%s: the folder holds neither a run (" WEIGHTS_NAME
        ") nor weights of another tool (model.safetensors, pytorch_model.bin); name the "
        "file itself",
        path);
}

/* Of a classifier one wants the weights that were best on the validation images. A run that only
 * pre-trains has none. */
Status checkpoint_find(const char *path, char **out, Error *err) {
    static const char *const names[] = {"best.safetensors", WEIGHTS_NAME};
    Status status = MAE_OK;
    bool there = !file_is_directory(path);
    *out = NULL;
    for (int i = 0; i < 2 && !there; i++) {
        TRY(file_is_in(path, names[i], &there, err));
        if (there) return file_path(path, names[i], out, err);
    }
    if (!there && !tensorfile_is_folder(path)) return no_weights(path, err);
    *out = mem_strdup(path);
    if (!*out) status = error_set(err, MAE_MEMORY, "no memory for a path");
done:
    return status;
}
