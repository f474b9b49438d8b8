/* What is done with a manifest: renaming, completing, checking. See manifest.h for the protocol. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "run/manifest.h"

Status manifest_next_path(const char *run, const char *name, char **out, Error *err) {
    ASSERT(strncmp(name, "last.", 5) == 0, "%s is not a file of a checkpoint", name);
    *out = mem_printf("%s/next.%s", run, name + 5);
    return *out ? MAE_OK : error_set(err, MAE_MEMORY, "no memory for a path in %s", run);
}

/* --- names in the folder ---------------------------------------------------------------------- */

/* What an unfinished save leaves. */
static bool is_rubbish(const char *name) {
    return strncmp(name, "next.", 5) == 0 &&
           (text_ends_with(name, ".safetensors") || text_ends_with(name, ".json") ||
            text_ends_with(name, ".tmp"));
}

/* Training state: last.state.safetensors or last.state-K-of-N.safetensors. */
static bool is_state(const char *name) {
    static const char start[] = "last.state";
    size_t n = sizeof start - 1;
    if (strncmp(name, start, n) != 0 || !text_ends_with(name, ".safetensors")) return false;
    return name[n] == '.' || name[n] == '-';
}

static bool is_unlisted_state(const char *name, const Manifest *m) {
    return is_state(name) && !manifest_lists(m, name);
}

Status manifest_find_states(const char *run, Manifest *out, Error *err) {
    Status status = MAE_OK;
    DIR *dir = opendir(run);
    *out = (Manifest){0};
    if (!dir) return error_set(err, MAE_IO, "%s: cannot be read: %s", run, strerror(errno));
    for (const struct dirent *e; (e = readdir(dir));)
        if (is_state(e->d_name) && strlen(e->d_name) < MANIFEST_NAME)
            TRY(manifest_add(out, e->d_name, (FileDigest){0}, err));
done:
    closedir(dir);
    if (status != MAE_OK) manifest_free(out);
    return status;
}

/* Removes what is rubbish, or, with m, states that m does not list. */
static Status sweep(const char *run, const Manifest *m, Error *err) {
    Status status = MAE_OK;
    char *path = NULL;
    DIR *dir = opendir(run);
    if (!dir && errno == ENOENT) return MAE_OK; /* nothing there yet */
    if (!dir) return error_set(err, MAE_IO, "%s: cannot be read: %s", run, strerror(errno));
    for (const struct dirent *e; (e = readdir(dir));) {
        if (!(m ? is_unlisted_state(e->d_name, m) : is_rubbish(e->d_name))) continue;
        TRY(file_path(run, e->d_name, &path, err));
        TRY(file_remove(path, err));
        mem_free(path);
        path = NULL;
    }
done:
    mem_free(path);
    closedir(dir);
    return status;
}

static Status remove_name(const char *run, const char *name, Error *err) {
    char *path = NULL;
    Status status = file_path(run, name, &path, err);
    if (status == MAE_OK) status = file_remove(path, err);
    mem_free(path);
    return status;
}

Status manifest_clear(const char *run, Error *err) {
    Status status = MAE_OK;
    Manifest none = {0};
    TRY(remove_name(run, NEXT_MANIFEST_FILE, err));
    TRY(remove_name(run, MANIFEST_FILE, err));
    TRY(remove_name(run, WEIGHTS_NAME, err));
    TRY(sweep(run, &none, err));
    TRY(sweep(run, NULL, err));
done:
    return status;
}

/* --- the second half of a save ---------------------------------------------------------------- */

/* The weights are where they were written, or already renamed. */
static Status link_numbered(const char *run, const char *name, Error *err) {
    Status status = MAE_OK;
    char *next = NULL, *last = NULL, *numbered = NULL;
    TRY(manifest_next_path(run, WEIGHTS_NAME, &next, err));
    TRY(file_path(run, WEIGHTS_NAME, &last, err));
    TRY(file_path(run, name, &numbered, err));
    TRY(file_link(file_exists(next) ? next : last, numbered, err));
done:
    mem_free(next);
    mem_free(last);
    mem_free(numbered);
    return status;
}

/* again: it may have been moved already. */
static Status move_to_last(const char *run, const char *name, bool again, Error *err) {
    Status status = MAE_OK;
    char *next = NULL, *last = NULL;
    TRY(manifest_next_path(run, name, &next, err));
    TRY(file_path(run, name, &last, err));
    if (!again || file_exists(next)) TRY(file_rename(next, last, err));
done:
    mem_free(next);
    mem_free(last);
    return status;
}

/* The manifest is renamed last, when the other names are on disk. As long as it is called next, all
 * of this is done again. */
static Status roll_forward(const char *run, const Manifest *m, bool again, Error *err) {
    Status status = MAE_OK;
    if (*m->numbered) TRY(link_numbered(run, m->numbered, err));
    for (size_t i = 0; i < m->n; i++) TRY(move_to_last(run, m->file[i].name, again, err));
    TRY(file_sync_folder(run, err));
    TRY(move_to_last(run, MANIFEST_FILE, false, err));
    TRY(file_sync_folder(run, err));
    TRY(sweep(run, m, err));
done:
    return status;
}

Status manifest_commit(const char *run, const Manifest *m, Error *err) {
    char *path = NULL;
    Status status = file_path(run, NEXT_MANIFEST_FILE, &path, err);
    if (status == MAE_OK) status = manifest_write(path, m, err);
    mem_free(path);
    return status == MAE_OK ? roll_forward(run, m, false, err) : status;
}

/* --- checks ----------------------------------------------------------------------------------- */

static bool same_digest(FileDigest a, FileDigest b) {
    return a.bytes == b.bytes && a.crc32 == b.crc32;
}

static Status check_last(const char *run, const ManifestFile *f, Error *err) {
    Status status = MAE_OK;
    FileDigest d;
    char *path = NULL;
    TRY(file_path(run, f->name, &path, err));
    if (!file_exists(path))
        status = error_set(err, MAE_FORMAT, "%s: missing, but listed in " MANIFEST_FILE, path);
    else
        TRY(file_digest(path, &d, err));
    if (status == MAE_OK && !same_digest(d, f->digest))
        status =
            error_set(err, MAE_FORMAT,
                      "%s: damaged or exchanged: it has %" PRId64 " bytes with CRC-32 %08" PRIx32
                      ", " MANIFEST_FILE " says %" PRId64 " bytes with %08" PRIx32,
                      path, d.bytes, d.crc32, f->digest.bytes, f->digest.crc32);
done:
    mem_free(path);
    return status;
}

/* Of a manifest called next: the file is still called next, or already last. */
static Status check_at_hand(const char *run, const ManifestFile *f, Error *err) {
    Status status = MAE_OK;
    FileDigest d;
    char *next = NULL;
    TRY(manifest_next_path(run, f->name, &next, err));
    if (!file_exists(next)) {
        status = check_last(run, f, err);
        goto done;
    }
    TRY(file_digest(next, &d, err));
    if (!same_digest(d, f->digest))
        status = error_set(err, MAE_FORMAT, "%s is not as it was written", next);
done:
    mem_free(next);
    return status;
}

static Status complete(const char *run, const char *path, Error *err) {
    Status status = MAE_OK;
    Manifest m = {0};
    TRY(manifest_read(path, &m, err));
    for (size_t i = 0; i < m.n; i++) TRY(check_at_hand(run, &m.file[i], err));
    TRY(roll_forward(run, &m, true, err));
    log_line(LOG_WARNING, "%s: an interrupted save was completed (step %" PRId64 ")", run, m.step);
done:
    manifest_free(&m);
    return status;
}

/* Only a damaged disk leaves a manifest that does not fit its files. The previous checkpoint is
 * then taken, if that fits. A file that cannot be read just now is no reason to give one up. */
Status manifest_recover(const char *run, Error *err) {
    Status status = MAE_OK;
    Error reason = {0};
    char *next = NULL;
    TRY(file_path(run, NEXT_MANIFEST_FILE, &next, err));
    if (file_exists(next)) status = complete(run, next, &reason);
    if (status == MAE_FORMAT)
        log_line(LOG_WARNING, "an unfinished save is discarded: %s", reason.message);
    else if (status != MAE_OK)
        TRY(error_set(err, status, "%s", reason.message));
    status = sweep(run, NULL, err);
done:
    mem_free(next);
    return status;
}

Status manifest_verify(const char *run, bool *there, Error *err) {
    Status status = MAE_OK;
    Manifest m = {0};
    Error found = {0};
    char *path = NULL;
    TRY(file_path(run, MANIFEST_FILE, &path, err));
    *there = file_exists(path);
    if (!*there) goto done;
    status = manifest_read(path, &m, &found);
    for (size_t i = 0; i < m.n && status == MAE_OK; i++)
        status = check_last(run, &m.file[i], &found);
    if (status == MAE_FORMAT)
        status = error_set(
            err, status,
            "%.700s; start from a checkpoint-N.safetensors with --init and another --out, "
            "delete " MANIFEST_FILE " to take the files as they are, or use --restart",
            found.message);
    else if (status != MAE_OK)
        status = error_set(err, status, "%s", found.message);
done:
    manifest_free(&m);
    mem_free(path);
    return status;
}
