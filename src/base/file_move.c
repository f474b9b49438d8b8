/* Digests, moves and links of files, as file.h promises. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/file_internal.h"
#include "base/memory.h"

enum { BLOCK_BYTES = 256 * 1024 };

/* Every block of a file in order, to a writer (may be NULL) and into a digest. */
static Status pass(int fd, const char *path, uint8_t *block, FileWriter *w, FileDigest *d,
                   Error *err) {
    *d = (FileDigest){0};
    for (;;) {
        ssize_t n = read(fd, block, BLOCK_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_fail(err, path, "read");
        if (n == 0) return MAE_OK;
        d->bytes += n;
        d->crc32 = (uint32_t)crc32_z(d->crc32, block, (size_t)n);
        Status status = w ? file_writer_write(w, block, (size_t)n, err) : MAE_OK;
        if (status != MAE_OK) return status;
    }
}

static Status pass_file(const char *path, FileWriter *w, FileDigest *d, Error *err) {
    uint8_t *block = mem_alloc(BLOCK_BYTES);
    if (!block) return error_set(err, MAE_MEMORY, "%s: not enough memory", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    Status status = fd < 0 ? file_fail(err, path, "open") : pass(fd, path, block, w, d, err);
    if (fd >= 0) close(fd);
    mem_free(block);
    return status;
}

Status file_digest(const char *path, FileDigest *out, Error *err) {
    return pass_file(path, NULL, out, err);
}

Status file_rename(const char *from, const char *to, Error *err) {
    return rename(from, to) == 0 ? MAE_OK : file_fail(err, to, "replace");
}

static Status copy(const char *from, const char *to, Error *err) {
    Status status = MAE_OK;
    FileWriter *w = NULL;
    FileDigest ignored;
    TRY(file_writer_open(to, &w, err));
    TRY(pass_file(from, w, &ignored, err));
    TRY(file_writer_commit(w, err));
done:
    file_writer_close(w);
    return status;
}

/* link() does not replace; renaming one name of a file over another of the same does nothing, and
 * leaves both. */
Status file_link(const char *from, const char *to, Error *err) {
    char *temporary = mem_printf("%s.tmp", to);
    if (!temporary) return error_set(err, MAE_MEMORY, "%s: not enough memory", to);
    Status status = file_remove(temporary, err);
    if (status == MAE_OK && link(from, temporary) != 0) {
        status = copy(from, to, err);
    } else if (status == MAE_OK) {
        status = file_rename(temporary, to, err);
        (void)unlink(temporary);
    }
    mem_free(temporary);
    return status;
}
