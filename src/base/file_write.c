/* Writing files, as file.h promises. A writer collects small writes in a buffer of its own;
 * everything goes through descriptors so that each error is seen where it happens, including those
 * that only fsync and close report. What an output path is gets decided here and nowhere else. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/file_internal.h"
#include "base/memory.h"

enum { BUFFER_BYTES = 64 * 1024, MAX_LINKS = 40 };

struct FileWriter {
    char *path;         /* as it was named, for messages */
    char *target;       /* what is replaced: the path, or what its links lead to */
    char *temporary;    /* NULL: renamed, or a stream: nothing to remove */
    bool stream;        /* written as it comes: a pipe, a device, standard output */
    int fd;             /* -1: closed */
    FileDigest *digest; /* follows what is written; may be NULL */
    size_t used;
    uint8_t buffer[BUFFER_BYTES];
};

/* --- What an output path is ------------------------------------------------------------------- */

/* The number of a descriptor that is named as a file; -1: the path is no such name. */
static int named_descriptor(const char *path) {
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(folders[i]);
        char *end;
        if (strncmp(path, folders[i], n) != 0 || path[n] < '0' || path[n] > '9') continue;
        long fd = strtol(path + n, &end, 10);
        if (*end == '\0' && fd <= INT_MAX) return (int)fd;
    }
    return -1;
}

bool file_is_standard_output(const char *path) {
    return named_descriptor(path) == STDOUT_FILENO;
}

bool file_is_stream(const char *path) {
    struct stat info;
    if (named_descriptor(path) >= 0) return true;
    return stat(path, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode));
}

static Status check_kind(const char *path, mode_t mode, Error *err) {
    const char *kind = S_ISDIR(mode)    ? "a folder; name a file in it"
                       : S_ISBLK(mode)  ? "a block device, which is never written to"
                       : S_ISSOCK(mode) ? "a socket, which cannot be written to"
                                        : NULL;
    return kind == NULL ? MAE_OK : error_set(err, MAE_IO, "%s: is %s", path, kind);
}

Status file_check_output(const char *path, Error *err) {
    struct stat info;
    if (named_descriptor(path) >= 0 || stat(path, &info) != 0) return MAE_OK;
    return check_kind(path, info.st_mode, err);
}

/* Where a path leads, one link after the other, for links whose end is not there as well. */
static Status follow_links(const char *path, char **out, Error *err) {
    char there[PATH_MAX];
    *out = mem_strdup(path);
    for (int i = 0; *out != NULL; i++) {
        ssize_t n = readlink(*out, there, sizeof there - 1);
        if (n < 0) return MAE_OK; /* no link; what else is wrong is found on opening */
        if (i == MAX_LINKS) return error_set(err, MAE_IO, "%s: too many links", path);
        there[n] = '\0';
        const char *slash = strrchr(*out, '/');
        char *next = there[0] == '/' || slash == NULL
                         ? mem_strdup(there)
                         : mem_printf("%.*s/%s", (int)(slash - *out), *out, there);
        mem_free(*out);
        *out = next;
    }
    return file_fail_memory(err, path);
}

/* A name that ends like another kind of file is a slip. */
Status file_check_ending(const char *path, const char *what, const char *endings, Error *err) {
    static const char known[] =
        " .npy .npz .png .jpg .jpeg .webp .gif .bmp .tif .tiff .svg .pdf .csv "
        ".tsv .txt .json .jsonl .safetensors .pth .pt .bin .ckpt .onnx .tar "
        ".zip .gz .h5 .html ";
    char ending[16] = " ";
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash != NULL ? slash : path, '.');
    size_t n = dot != NULL ? strlen(dot) : 0;
    if (n == 0 || n > sizeof ending - 3) return MAE_OK;
    for (size_t i = 0; i < n; i++)
        ending[i + 1] = (char)(dot[i] >= 'A' && dot[i] <= 'Z' ? dot[i] + 32 : dot[i]);
    ending[n + 1] = ' ';
    char list[96];
    ASSERT(strlen(endings) + 3 <= sizeof list, "%s", endings);
    snprintf(list, sizeof list, " %s ", endings);
    if (strstr(known, ending) == NULL || strstr(list, ending) != NULL) return MAE_OK;
    return error_set(err, MAE_USAGE, "%s: the name of %s does not end in %s; %s %s", path, what,
                     dot, *endings ? "give it" : "leave the ending out", endings);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static Status open_descriptor(FileWriter *w, int fd, Error *err) {
    w->stream = true;
    w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return w->fd >= 0 ? MAE_OK : file_fail(err, w->path, "write to it");
}

/* Waits for a reader of a pipe. */
static Status open_stream(FileWriter *w, Error *err) {
    w->stream = true;
    do {
        w->fd = open(w->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    } while (w->fd < 0 && errno == EINTR);
    return w->fd >= 0 ? MAE_OK : file_fail(err, w->path, "open");
}

/* The temporary name may be taken by something that is not ours to write to. */
static Status open_temporary(FileWriter *w, Error *err) {
    struct stat info;
    Status status = follow_links(w->path, &w->target, err);
    if (status != MAE_OK) return status;
    char *temporary = mem_printf("%s.tmp", w->target);
    if (temporary == NULL) return file_fail_memory(err, w->path);
    w->fd =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (w->fd < 0)
        status = file_fail(err, temporary, "create");
    else if (fstat(w->fd, &info) != 0 || !S_ISREG(info.st_mode))
        status =
            error_set(err, MAE_IO, "%s: is in the way and no regular file; remove it", temporary);
    else
        w->temporary = temporary;
    if (w->temporary == NULL) mem_free(temporary);
    return status;
}

static Status open_kind(FileWriter *w, Error *err) {
    struct stat info;
    int fd = named_descriptor(w->path);
    if (fd >= 0) return open_descriptor(w, fd, err);
    if (stat(w->path, &info) != 0 || S_ISREG(info.st_mode)) return open_temporary(w, err);
    Status status = check_kind(w->path, info.st_mode, err);
    return status == MAE_OK ? open_stream(w, err) : status;
}

Status file_writer_open(const char *path, FileWriter **out, Error *err) {
    *out = NULL;
    FileWriter *w = mem_alloc(sizeof *w);
    if (w == NULL) return file_fail_memory(err, path);
    w->fd = -1;
    w->path = mem_strdup(strcmp(path, "-") == 0 ? "standard output" : path);
    Status status = w->path != NULL ? MAE_OK : file_fail_memory(err, path);
    if (status == MAE_OK && strcmp(path, "-") == 0)
        status = open_descriptor(w, STDOUT_FILENO, err);
    else if (status == MAE_OK)
        status = open_kind(w, err);
    if (status == MAE_OK)
        *out = w;
    else
        file_writer_close(w);
    return status;
}

static Status write_fully(FileWriter *w, const uint8_t *data, size_t bytes, Error *err) {
    const char *name = w->stream ? w->path : w->temporary;
    while (bytes > 0) {
        ssize_t n = write(w->fd, data, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN && poll(&(struct pollfd){w->fd, POLLOUT, 0}, 1, -1) >= 0)
            continue; /* a pipe that somebody else set so */
        if (n < 0) return file_fail(err, name, "write");
        data += n;
        bytes -= (size_t)n;
    }
    return MAE_OK;
}

static Status flush(FileWriter *w, Error *err) {
    size_t used = w->used;
    w->used = 0;
    return write_fully(w, w->buffer, used, err);
}

void file_writer_follow(FileWriter *w, FileDigest *d) {
    *d = (FileDigest){0};
    w->digest = d;
}

static void follow(FileDigest *d, const void *data, size_t bytes) {
    if (bytes == 0) return;
    d->bytes += (int64_t)bytes;
    d->crc32 = (uint32_t)crc32_z(d->crc32, data, bytes);
}

Status file_writer_write(FileWriter *w, const void *data, size_t bytes, Error *err) {
    ASSERT(w->fd >= 0, "%s: written after commit", w->path);
    if (w->digest != NULL) follow(w->digest, data, bytes);
    if (bytes > BUFFER_BYTES - w->used) {
        Status status = flush(w, err);
        if (status != MAE_OK) return status;
    }
    if (bytes > BUFFER_BYTES) return write_fully(w, data, bytes, err);
    if (bytes > 0) memcpy(w->buffer + w->used, data, bytes);
    w->used += bytes;
    return MAE_OK;
}

Status file_writer_replace_start(FileWriter *w, const void *data, size_t bytes, Error *err) {
    ASSERT(w->fd >= 0 && w->digest == NULL, "%s: after commit, or with a digest", w->path);
    if (w->stream) return error_set(err, MAE_IO, "%s: has no start to go back to", w->path);
    Status status = flush(w, err);
    if (status != MAE_OK) return status;
    if (lseek(w->fd, 0, SEEK_SET) < 0) return file_fail(err, w->temporary, "go back to the start");
    status = write_fully(w, data, bytes, err);
    if (status != MAE_OK) return status;
    if (lseek(w->fd, 0, SEEK_END) < 0) return file_fail(err, w->temporary, "go on to the end");
    return MAE_OK;
}

Status file_sync_folder(const char *folder, Error *err) {
    Status status = MAE_OK;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        status = file_fail(err, folder, "flush to disk");
    if (fd >= 0) close(fd);
    return status;
}

/* Without this the rename itself may be lost in a crash. */
static Status sync_folder_of(const char *path, Error *err) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? mem_strdup(".")
                   : slash == path ? mem_strdup("/")
                                   : mem_printf("%.*s", (int)(slash - path), path);
    if (folder == NULL) return file_fail_memory(err, path);
    Status status = file_sync_folder(folder, err);
    mem_free(folder);
    return status;
}

/* What is a stream has arrived when it is written; a disk is asked to have it. */
Status file_writer_commit(FileWriter *w, Error *err) {
    ASSERT(w->fd >= 0, "%s: committed twice", w->path);
    Status status = flush(w, err);
    if (status != MAE_OK) return status;
    if (!w->stream && fsync(w->fd) != 0) return file_fail(err, w->temporary, "flush to disk");
    int closed = close(w->fd);
    w->fd = -1;
    if (closed != 0) return file_fail(err, w->stream ? w->path : w->temporary, "close");
    if (w->stream) return MAE_OK;
    if (rename(w->temporary, w->target) != 0) return file_fail(err, w->path, "replace");
    mem_free(w->temporary);
    w->temporary = NULL;
    return sync_folder_of(w->target, err);
}

void file_writer_close(FileWriter *w) {
    if (w == NULL) return;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary != NULL) unlink(w->temporary);
    mem_free(w->temporary);
    mem_free(w->target);
    mem_free(w->path);
    mem_free(w);
}

Status file_write_all(const char *path, const void *data, size_t bytes, Error *err) {
    Status status = MAE_OK;
    FileWriter *w = NULL;
    TRY(file_writer_open(path, &w, err));
    TRY(file_writer_write(w, data, bytes, err));
    TRY(file_writer_commit(w, err));
done:
    file_writer_close(w);
    return status;
}
