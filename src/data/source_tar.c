/* tar:P, WebDataset shards. Opening reads every header once (skipping over the data) and remembers
 * where each image's entry starts; a fetch lets libarchive read that one entry from there, so that
 * long names, pax and GNU headers are its business in both passes and fetches need no shared state.
 * Entries that follow each other with the same name up to the first dot are one sample: its first
 * .jpg, .jpeg, .png or .webp is the image, .cls the label. Compressed tars allow no random access
 * and are refused. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/source.h"

#define BLOCK_BYTES ((size_t)65536)
#define MAX_SHARDS 1000000
#define MAX_LABEL_BYTES 255
#define MAX_IMAGE_BYTES ((int64_t)256 << 20)

typedef struct TarState {
    char **shards; /* in the arena */
    int n_shards, capacity;
    int64_t n_entries; /* seen so far */
} TarState;

static Status add_shard(Source *s, const char *path, Error *err) {
    TarState *state = s->state;
    if (state->n_shards == MAX_SHARDS)
        return fail(err, STATUS_USAGE, "tar: the braces expand to more than %d shards", MAX_SHARDS);
    if (state->n_shards == state->capacity) {
        int wider = state->capacity ? 2 * state->capacity : 16;
        void *p = mem_realloc(state->shards, (size_t)state->capacity * sizeof(char *),
                              (size_t)wider * sizeof(char *));
        if (!p) return source_no_memory(err);
        state->shards = p;
        state->capacity = wider;
    }
    char *copy = arena_strdup(s->arena, path);
    if (!copy) return source_no_memory(err);
    state->shards[state->n_shards++] = copy;
    return STATUS_OK;
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
        return fail(err, STATUS_USAGE, "%s: braces must hold a range such as {000..127}", pattern);
    for (long k = from; k <= to; k++) {
        char *one = mem_printf("%.*s%0*ld%s", (int)(brace - pattern), pattern, digits, k, rest);
        if (!one) return source_no_memory(err);
        Status status = expand(s, one, err);
        mem_free(one);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* Sample key and extension: the name is cut at the first dot of its last component. */
static const char *extension_of(const char *name) {
    const char *slash = strrchr(name, '/'), *dot = strchr(slash ? slash : name, '.');
    return dot ? dot + 1 : name + strlen(name);
}

static bool is_image(const char *extension) {
    return !strcasecmp(extension, "jpg") || !strcasecmp(extension, "jpeg") ||
           !strcasecmp(extension, "png") || !strcasecmp(extension, "webp");
}

/* What is known of the sample whose entries are going past. */
typedef struct Pending {
    char *key;
    const char *text;
    SourceItem image; /* name NULL: none seen */
} Pending;

static Status flush(Source *s, Pending *p, Error *err) {
    Status status = STATUS_OK;
    if (p->image.name) {
        p->image.text = p->text;
        status = source_add(s, p->image, err);
    }
    mem_free(p->key);
    *p = (Pending){0};
    return status;
}

static Status read_label(Source *s, struct archive *a, const char *path, const char *name,
                         const char **text, Error *err) {
    char buf[MAX_LABEL_BYTES + 1];
    la_ssize_t n = archive_read_data(a, buf, sizeof buf);
    if (n < 0) return fail(err, STATUS_FORMAT, "%s: %s: %s", path, name, archive_error_string(a));
    while (n > 0 && strchr(" \t\r\n", buf[n - 1])) n--;
    if (n == 0 || n > MAX_LABEL_BYTES || memchr(buf, 0, (size_t)n))
        return fail(err, STATUS_FORMAT, "%s: %s: not a label of 1 to %d characters", path, name,
                    MAX_LABEL_BYTES);
    *text = arena_printf(s->arena, "%.*s", (int)n, buf);
    return *text ? STATUS_OK : source_no_memory(err);
}

static Status index_entry(Source *s, struct archive *a, struct archive_entry *entry, int shard,
                          Pending *p, Error *err) {
    const char *path = ((TarState *)s->state)->shards[shard];
    const char *name = archive_entry_pathname(entry);
    Status status = source_check_entries(s, path, ++((TarState *)s->state)->n_entries, err);
    if (status != STATUS_OK) return status;
    if (!name || archive_entry_filetype(entry) != AE_IFREG) return STATUS_OK;
    if (strlen(name) > SOURCE_MAX_NAME_BYTES)
        return fail(err, STATUS_FORMAT, "%s: an entry's name is longer than %d bytes (%.60s...)",
                    path, SOURCE_MAX_NAME_BYTES, name);
    const char *extension = extension_of(name);
    size_t length = (size_t)(extension - name);
    if (p->key && (strlen(p->key) != length || memcmp(p->key, name, length) != 0)) {
        status = flush(s, p, err);
        if (status != STATUS_OK) return status;
    }
    if (!p->key && !(p->key = mem_printf("%.*s", (int)length, name))) return source_no_memory(err);
    if (strcasecmp(extension, "cls") == 0) return read_label(s, a, path, name, &p->text, err);
    if (!is_image(extension) || p->image.name) return STATUS_OK;
    p->image = (SourceItem){.label = -1, .file = shard, .bytes = archive_entry_size(entry)};
    p->image.offset = archive_read_header_position(a);
    p->image.name = arena_printf(s->arena, "%s:%s", path, name);
    return p->image.name ? STATUS_OK : source_no_memory(err);
}

/* Regular files only: places in a pipe cannot be read again, and opening one would wait. */
static Status open_shard(const char *path, int *fd, int64_t *bytes, Error *err) {
    struct stat file;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &file) != 0)
        return fail(err, STATUS_IO, "%s: cannot open: %s", path, strerror(errno));
    *bytes = file.st_size;
    if (S_ISREG(file.st_mode)) return STATUS_OK;
    return fail(err, STATUS_IO, "%s: not a regular file", path);
}

static Status open_archive(struct archive *a, int fd, const char *path, Error *err) {
    if (!a) return source_no_memory(err);
    archive_read_support_format_tar(a);
    archive_read_support_format_empty(a);
    /* Only so as to say what is wrong with a compressed file. */
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    if (archive_read_open_fd(a, fd, BLOCK_BYTES) != ARCHIVE_OK)
        return fail(err, STATUS_FORMAT, "%s: not a tar: %s", path, archive_error_string(a));
    if (archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE) return STATUS_OK;
    return fail(err, STATUS_UNSUPPORTED,
                "%s: compressed with %s; images cannot be read from it in any order, so uncompress "
                "it first",
                path, archive_filter_name(a, 0));
}

static Status index_shard(Source *s, int shard, Error *err) {
    Status status = STATUS_OK;
    const char *path = ((TarState *)s->state)->shards[shard];
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    Pending pending = {0};
    int64_t bytes;
    int rc, fd = -1;
    TRY(open_shard(path, &fd, &bytes, err));
    TRY(open_archive(a, fd, path, err));
    while ((rc = archive_read_next_header(a, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN)
        TRY(index_entry(s, a, entry, shard, &pending, err));
    if (rc != ARCHIVE_EOF)
        status =
            fail(err, STATUS_FORMAT, "%s: not a readable tar: %s", path, archive_error_string(a));
    else
        status = flush(s, &pending, err);
done:
    mem_free(pending.key);
    archive_read_free(a);
    if (fd >= 0) close(fd);
    return status;
}

static Status tar_open(Source *s, const char *where, Error *err) {
    Status status = STATUS_OK;
    TarState *state = mem_alloc(sizeof *state);
    if (!state) return source_no_memory(err);
    s->state = state;
    TRY(expand(s, where, err));
    for (int k = 0; k < state->n_shards; k++) TRY(index_shard(s, k, err));
    if (s->count == 0) {
        status = fail(err, STATUS_EMPTY,
                      "%s: no images; looked for entries KEY.jpg, KEY.jpeg, KEY.png and KEY.webp",
                      where);
        goto done;
    }
    TRY(source_label(s, true, err));
    TRY(source_describe(s, where, NULL, err));
done:
    return status;
}

/* A reading window of an open file for libarchive. */
typedef struct Window {
    int fd;
    int64_t position;
    uint8_t block[BLOCK_BYTES];
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
        return fail(err, STATUS_FORMAT, "%s: %lld bytes are no image", item->name,
                    (long long)item->bytes);
    if (item->bytes > MAX_IMAGE_BYTES)
        return fail(err, STATUS_UNSUPPORTED,
                    "%s: %lld bytes are more than an image in a tar may have (%lld); shrink it",
                    item->name, (long long)item->bytes, (long long)MAX_IMAGE_BYTES);
    if (item->bytes > file_bytes - item->offset)
        return fail(err, STATUS_IO,
                    "%s: should have %lld bytes, but the tar ends before; copy it again",
                    item->name, (long long)item->bytes);
    return STATUS_OK;
}

/* The bytes of item into fresh memory. */
static Status read_entry(const SourceItem *item, const char *path, uint8_t **data, Error *err) {
    Status status = STATUS_OK;
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    Window *w = mem_alloc(sizeof *w);
    uint8_t *bytes = NULL;
    int64_t file_bytes;
    if (w) w->fd = -1;
    if (!a || !w) TRY(source_no_memory(err));
    TRY(open_shard(path, &w->fd, &file_bytes, err));
    TRY(check_bytes(item, file_bytes, err));
    if (!(bytes = mem_alloc((size_t)item->bytes))) TRY(source_no_memory(err));
    w->position = item->offset;
    archive_read_support_format_tar(a);
    if (archive_read_open(a, w, NULL, read_window, NULL) != ARCHIVE_OK ||
        archive_read_next_header(a, &entry) < ARCHIVE_WARN ||
        archive_entry_size(entry) != item->bytes ||
        archive_read_data(a, bytes, (size_t)item->bytes) != (la_ssize_t)item->bytes) {
        const char *why = archive_error_string(a);
        status = fail(err, STATUS_IO, "%s: %s", item->name,
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
    if (status == STATUS_OK)
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

const SourceKind source_tar = {"tar", tar_open, tar_fetch, tar_close};
