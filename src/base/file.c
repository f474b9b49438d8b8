/* Reading files, and their names, as file.h promises. Everything goes through descriptors so that
 * each error is seen where it happens. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_internal.h"
#include "base/memory.h"

Status file_fail(Error *err, const char *path, const char *what) {
    int code = errno;
    char text[128];
    return error_set(err, MAE_IO, "%s: cannot %s: %s", path, what,
                     strerror_r(code, text, sizeof text));
}

Status file_fail_memory(Error *err, const char *path) {
    return error_set(err, MAE_MEMORY, "%s: not enough memory", path);
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* Opening a pipe must not wait for a writer. */
static Status open_regular(const char *path, int *fd, struct stat *info, Error *err) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return file_fail(err, path, "open");
    Status status = MAE_OK;
    if (fstat(*fd, info) != 0)
        status = file_fail(err, path, "read its size");
    else if (!S_ISREG(info->st_mode))
        status = error_set(err, MAE_IO, "%s: not a regular file", path);
    if (status != MAE_OK) close(*fd);
    return status;
}

Status byte_source_open(const char *path, ByteSource *out, Error *err) {
    int fd;
    struct stat info;
    *out = (ByteSource){.path = path};
    Status status = open_regular(path, &fd, &info, err);
    if (status == MAE_OK)
        *out = (ByteSource){path, NULL, (uint64_t)info.st_size, fd, .is_file = true};
    return status;
}

ByteSource byte_source_of(const char *path, const void *data, size_t bytes) {
    return (ByteSource){.path = path, .data = data, .bytes = bytes};
}

Status byte_source_read(const ByteSource *s, uint64_t at, void *out, size_t bytes, const char *what,
                        Error *err) {
    ASSERT(at <= s->bytes && bytes <= s->bytes - at, "%s: %zu bytes of %s at %llu", s->path, bytes,
           what, (unsigned long long)at);
    if (!s->is_file && bytes > 0) memcpy(out, s->data + at, bytes);
    for (size_t got = 0; s->is_file && got < bytes;) {
        ssize_t n = pread(s->fd, (uint8_t *)out + got, bytes - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            char text[128];
            return error_set(err, MAE_IO, "%s: cannot read %s: %s", s->path, what,
                             n < 0 ? strerror_r(errno, text, sizeof text)
                                   : "the file became shorter while it was read");
        }
        got += (size_t)n;
    }
    return MAE_OK;
}

void byte_source_close(ByteSource *s) {
    if (s->is_file) close(s->fd);
    *s = (ByteSource){0};
}

/* read() until `bytes` are there, or the end; how many came is in *got. */
static Status read_fully(int fd, const char *path, uint8_t *data, size_t bytes, size_t *got,
                         Error *err) {
    *got = 0;
    while (*got < bytes) {
        ssize_t n = read(fd, data + *got, bytes - *got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_fail(err, path, "read");
        if (n == 0) break;
        *got += (size_t)n;
    }
    return MAE_OK;
}

/* The size the system names is only a first guess: pipes and /proc have none, files grow. */
static Status read_to_end(int fd, const char *path, size_t max_bytes, uint8_t **data, size_t *bytes,
                          Error *err) {
    struct stat info;
    size_t capacity = 4096;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size >= 0) {
        if ((uint64_t)info.st_size > max_bytes) goto too_large;
        capacity = (size_t)info.st_size + 2;
    }
    if ((*data = mem_alloc(capacity)) == NULL) return file_fail_memory(err, path);
    for (;;) {
        size_t got, room = capacity - 1 - *bytes;
        Status status = read_fully(fd, path, *data + *bytes, room, &got, err);
        if (status != MAE_OK) return status;
        *bytes += got;
        if (*bytes > max_bytes) goto too_large;
        if (got < room) break;
        uint8_t *grown = mem_realloc(*data, capacity, capacity * 2);
        if (grown == NULL) return file_fail_memory(err, path);
        *data = grown;
        capacity *= 2;
    }
    (*data)[*bytes] = 0;
    return MAE_OK;
too_large:
    return error_set(err, MAE_IO, "%s: larger than the %zu bytes allowed here", path, max_bytes);
}

/* Nothing is left of a read that failed. */
static Status read_result(Status status, uint8_t **data, size_t *bytes) {
    if (status == MAE_OK) return status;
    mem_free(*data);
    *data = NULL;
    *bytes = 0;
    return status;
}

static Status read_and_close(int fd, const char *path, size_t max_bytes, uint8_t **data,
                             size_t *bytes, Error *err) {
    Status status = read_to_end(fd, path, max_bytes, data, bytes, err);
    close(fd);
    return read_result(status, data, bytes);
}

Status file_read_input(size_t max_bytes, uint8_t **data, size_t *bytes, Error *err) {
    *data = NULL;
    *bytes = 0;
    Status status = read_to_end(STDIN_FILENO, "standard input", max_bytes, data, bytes, err);
    return read_result(status, data, bytes);
}

Status file_read(const char *path, size_t max_bytes, uint8_t **data, size_t *bytes, Error *err) {
    *data = NULL;
    *bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return file_fail(err, path, "open");
    return read_and_close(fd, path, max_bytes, data, bytes, err);
}

Status file_read_regular(const char *path, size_t max_bytes, uint8_t **data, size_t *bytes,
                         Error *err) {
    int fd;
    struct stat info;
    *data = NULL;
    *bytes = 0;
    Status status = open_regular(path, &fd, &info, err);
    return status == MAE_OK ? read_and_close(fd, path, max_bytes, data, bytes, err) : status;
}

/* --- Names ------------------------------------------------------------------------------------ */

Status file_path(const char *folder, const char *name, char **out, Error *err) {
    *out = mem_printf("%s/%s", folder, name);
    return *out ? MAE_OK : file_fail_memory(err, folder);
}

bool file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

Status file_is_in(const char *folder, const char *name, bool *there, Error *err) {
    char *path = NULL;
    Status status = file_path(folder, name, &path, err);
    *there = status == MAE_OK && file_exists(path);
    mem_free(path);
    return status;
}

bool file_is_directory(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static Status make_directory(const char *path, Error *err) {
    if (mkdir(path, 0777) == 0) return MAE_OK;
    int code = errno;
    if (file_is_directory(path)) return MAE_OK;
    errno = code;
    return file_fail(err, path, "make the folder");
}

Status file_make_directories(const char *path, Error *err) {
    char *prefix = mem_strdup(path);
    if (prefix == NULL) return file_fail_memory(err, path);
    Status status = MAE_OK;
    for (char *p = prefix + 1; *prefix != 0 && *p != 0; p++) {
        if (*p != '/') continue;
        *p = 0;
        TRY(make_directory(prefix, err));
        *p = '/';
    }
    TRY(make_directory(prefix, err));
done:
    mem_free(prefix);
    return status;
}

Status file_remove(const char *path, Error *err) {
    if (unlink(path) == 0 || errno == ENOENT) return MAE_OK;
    return file_fail(err, path, "remove");
}
