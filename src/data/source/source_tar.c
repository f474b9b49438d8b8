/* tar:P, WebDataset shards. Opening reads every header once, skips the data, and remembers where
 * each image's entry starts. A fetch lets libarchive read that one entry from there. libarchive
 * thus handles long names, pax and GNU headers in both passes, and fetches share no state.
 * source_tar_samples.c says which entries are images. One line says what is left out. Compressed
 * tars allow no random access and are refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/source/source_tar.h"

#define MAX_SHARDS 1000000
#define MAX_IMAGE_BYTES ((int64_t)256 << 20)

static Status add_shard(Source *s, const char *path, Error *err) {
    TarState *state = s->state;
    if (state->n_shards == MAX_SHARDS)
        return error_set(err, MAE_USAGE, "tar: the braces expand to more than %d shards",
                         MAX_SHARDS);
    void *shards =
        mem_room(state->shards, (size_t)state->n_shards, &state->capacity, sizeof(char *));
    if (!shards) return source_no_memory(err);
    state->shards = shards;
    char *copy = arena_strdup(s->arena, path);
    if (!copy) return source_no_memory(err);
    state->shards[state->n_shards++] = copy;
    return MAE_OK;
}

/* {FROM..TO} at p: the two numbers and the width to pad to; NULL when p is nothing of the kind. */
static const char *read_range(const char *p, long *from, long *to, int *digits) {
    char *end;
    if (p[1] < '0' || p[1] > '9') return NULL;
    *from = strtol(p + 1, &end, 10);
    *digits = (int)(end - (p + 1));
    if (strncmp(end, "..", 2) != 0 || end[2] < '0' || end[2] > '9') return NULL;
    *to = strtol(end + 2, &end, 10);
    return *end == '}' && *digits <= 18 && *from <= *to ? end + 1 : NULL;
}

static Status expand(Source *s, const char *pattern, Error *err) {
    const char *brace = strchr(pattern, '{'), *rest = NULL;
    long from = 0, to = 0;
    int digits = 0;
    if (!brace) return add_shard(s, pattern, err);
    rest = read_range(brace, &from, &to, &digits);
    if (!rest)
        return error_set(err, MAE_USAGE, "%s: braces must hold a range such as {000..127}",
                         pattern);
    for (long k = from; k <= to; k++) {
        char *one = mem_printf("%.*s%0*ld%s", (int)(brace - pattern), pattern, digits, k, rest);
        if (!one) return source_no_memory(err);
        Status status = expand(s, one, err);
        mem_free(one);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

/* Regular files only: places in a pipe cannot be read again, and opening one would wait. */
Status tar_open_file(const char *path, int *fd, int64_t *bytes, Error *err) {
    struct stat file;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &file) != 0)
        return error_set(err, MAE_IO, "%s: cannot open: %s", path, strerror(errno));
    *bytes = file.st_size;
    if (S_ISREG(file.st_mode)) return MAE_OK;
    return error_set(err, MAE_IO, "%s: not a regular file", path);
}

Status tar_expect(struct archive *a, Error *err) {
    archive_read_support_format_tar(a);
    if (archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1") != ARCHIVE_OK)
        return error_set(err, MAE_UNSUPPORTED, "tar: %s", archive_error_string(a));
    return MAE_OK;
}

static Status index_shard(Source *s, int shard, Error *err) {
    Status status = MAE_OK;
    TarIndex x;
    TRY(tar_index_read(s, shard, &x, err));
    TRY(tar_index_resolve(s, &x, err));
    TRY(tar_index_add_items(s, shard, &x, err));
done:
    tar_index_free(&x);
    return status;
}

static Status remark_count(Source *s, LogLevel level, const char *where, const char *what,
                           int64_t n, const char *example, Error *err) {
    if (n == 0) return MAE_OK;
    return source_remark(s, err, level, "%.400s: left out: %s: %lld (%s%s)", where, what,
                         (long long)n, example, n > 1 ? ", ..." : "");
}

static Status remark(Source *s, const char *where, Error *err) {
    Status status = MAE_OK;
    TarState *state = s->state;
    TRY(source_remark_left_out(s, where, &state->left, err));
    TRY(remark_count(s, LOG_INFO, where, "images beside another one of their name, as masks are",
                     state->n_images_beside, state->image_beside, err));
    TRY(remark_count(s, LOG_WARNING, where, "links to what is not in the same tar",
                     state->n_links_lost, state->link_lost, err));
    TRY(remark_count(s, LOG_WARNING, where,
                     "labels without an image of their name next to them (pack files in order of "
                     "their names)",
                     state->n_labels_alone, state->label_alone, err));
done:
    return status;
}

static Status refuse_empty(Source *s, const char *where, Error *err) {
    TarState *state = s->state;
    char text[512];
    left_out_text(&state->left, text, sizeof text);
    if (state->n_links_lost > 0)
        return error_set(err, MAE_EMPTY,
                         "%.300s: no images; %lld links lead to what is not in the same tar (%s)",
                         where, (long long)state->n_links_lost, state->link_lost);
    return error_set(err, MAE_EMPTY, "%.300s: no images; looked for entries ending in %s%s%s",
                     where, IMAGE_ENDINGS, *text ? "; left out: " : "", text);
}

static Status tar_open(Source *s, const char *where, Error *err) {
    Status status = MAE_OK;
    TarState *state = mem_alloc(sizeof *state);
    if (!state) return source_no_memory(err);
    s->state = state;
    TRY(expand(s, where, err));
    for (int k = 0; k < state->n_shards; k++) TRY(index_shard(s, k, err));
    if (s->count == 0) TRY(refuse_empty(s, where, err));
    TRY(remark(s, where, err));
    TRY(source_label(s, true, err));
    TRY(source_describe(s, where, NULL, err));
done:
    return status;
}

/* A reading window of an open file for libarchive. */
typedef struct Window {
    int fd;
    int64_t position;
    uint8_t block[TAR_BLOCK_BYTES];
} Window;

static la_ssize_t read_window(struct archive *a, void *user, const void **data) {
    Window *w = user;
    ssize_t n;
    do n = pread(w->fd, w->block, sizeof w->block, (off_t)w->position);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        archive_set_error(a, errno, "%s", strerror(errno));
    else
        w->position += n;
    *data = w->block;
    return n;
}

/* Before there is memory for the bytes that a header promises. */
static Status check_bytes(const SourceItem *item, int64_t file_bytes, Error *err) {
    if (item->bytes <= 0)
        return error_set(err, MAE_FORMAT, "%s: %lld bytes are no image", item->name,
                         (long long)item->bytes);
    if (item->bytes > MAX_IMAGE_BYTES)
        return error_set(
            err, MAE_UNSUPPORTED,
            "%s: %lld bytes are more than an image in a tar may have (%lld); shrink it", item->name,
            (long long)item->bytes, (long long)MAX_IMAGE_BYTES);
    if (item->bytes > file_bytes - item->offset)
        return error_set(err, MAE_IO,
                         "%s: should have %lld bytes, but the tar ends before; copy it again",
                         item->name, (long long)item->bytes);
    return MAE_OK;
}

/* The bytes of item into fresh memory. */
static Status read_entry(const SourceItem *item, const char *path, uint8_t **data, Error *err) {
    Status status = MAE_OK;
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    Window *w = mem_alloc(sizeof *w);
    uint8_t *bytes = NULL;
    int64_t file_bytes;
    if (w) w->fd = -1;
    if (!a || !w) TRY(source_no_memory(err));
    TRY(tar_open_file(path, &w->fd, &file_bytes, err));
    TRY(check_bytes(item, file_bytes, err));
    if (!(bytes = mem_alloc((size_t)item->bytes))) TRY(source_no_memory(err));
    w->position = item->offset;
    TRY(tar_expect(a, err));
    if (archive_read_open(a, w, NULL, read_window, NULL) != ARCHIVE_OK ||
        archive_read_next_header(a, &entry) < ARCHIVE_WARN ||
        archive_entry_size(entry) != item->bytes ||
        archive_read_data(a, bytes, (size_t)item->bytes) != (la_ssize_t)item->bytes) {
        const char *why = archive_error_string(a);
        status = error_set(err, MAE_IO, "%s: %s", item->name,
                           why ? why : "the file has changed since it was opened");
        goto done;
    }
    *data = bytes;
    bytes = NULL;
done:
    archive_read_free(a);
    if (w && w->fd >= 0) close(w->fd);
    mem_free(w);
    mem_free(bytes);
    return status;
}

static Status tar_fetch(const Source *s, int64_t index, int channels, ImageCrop *crop, Image *out,
                        Error *err) {
    const SourceItem *item = &s->items[index];
    const TarState *state = s->state;
    uint8_t *data = NULL;
    Status status = read_entry(item, state->shards[item->file], &data, err);
    if (status == MAE_OK)
        status = image_decode_crop(item->name, data, (size_t)item->bytes, channels,
                                   s->limits.max_pixels, crop, out, err);
    mem_free(data);
    return status;
}

static void tar_close(Source *s) {
    TarState *state = s->state;
    if (!state) return;
    mem_free(state->shards);
    mem_free(state);
}

static bool tar_identify(const Source *s, int64_t index, ImageIdentity *out) {
    const SourceItem *item = &s->items[index];
    const TarState *state = s->state;
    return source_identify_file(state->shards[item->file], item->offset, out);
}

const SourceKind source_tar = {"tar", tar_open, tar_fetch, tar_identify, tar_close};
