/* Reads the headers of one shard, passing over the data, into a list of entries, and gives links
 * the place of what they lead to. Tars joined by cat are one shard: libarchive goes on after the
 * zero blocks at the end of each. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "data/source/source_tar.h"

#define MAX_LABEL_BYTES 255
#define MAX_HOPS 40
#define RECORD_BYTES 512

/* --- names ------------------------------------------------------------------------------------ */

/* A path inside the archive without "." and "..", relative to the folder of `from` (NULL: to the
 * top), as its entries can be compared. */
static char *plain_path(Arena *arena, const char *from, const char *path) {
    const char *slash = from && *path != '/' ? strrchr(from, '/') : NULL;
    char *text =
        arena_printf(arena, "%.*s/%s", slash ? (int)(slash - from) : 0, from ? from : "", path);
    char *to = text;
    for (const char *p = text; p && *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && memcmp(p, "..", 2) == 0) {
            while (to > text && *--to != '/') {
            }
        } else if (n > 0 && !(n == 1 && *p == '.')) {
            if (to > text) *to++ = '/';
            memmove(to, p, n);
            to += n;
        }
        p += n + (p[n] == '/');
    }
    if (to) *to = '\0';
    return text;
}

/* A hidden file, or something in a folder that systems put beside pictures. Hidden folders may just
 * be where somebody has packed. */
static bool is_clutter(const char *name) {
    for (size_t n; *name; name += n + (name[n] == '/')) {
        char part[32] = "";
        n = strcspn(name, "/");
        if (n == 1 && *name == '.') continue;
        if (n == 2 && memcmp(name, "..", 2) == 0) continue;
        memcpy(part, name, n < sizeof part ? n : sizeof part - 1);
        if (n > 0 && (*name != '.' || !name[n]) && source_is_clutter(part)) return true;
    }
    return false;
}

static TarKind kind_of(const char *name) {
    const char *dot = strrchr(name, '.');
    if (image_is_name(name)) return TAR_IMAGE;
    return dot && strcasecmp(dot, ".cls") == 0 ? TAR_LABEL : TAR_OTHER;
}

/* Bytes of the name up to the first dot of its last component. */
static size_t key_bytes(const char *name) {
    const char *slash = strrchr(name, '/'), *dot = strchr(slash ? slash : name, '.');
    return dot ? (size_t)(dot - name) : strlen(name);
}

/* --- reading ---------------------------------------------------------------------------------- */

typedef struct Reader {
    Source *source;
    struct archive *archive;
    const char *path;
    int fd;
    TarIndex *index;
} Reader;

static Status read_label(const Reader *r, const char *name, const char **text, Error *err) {
    char buf[MAX_LABEL_BYTES + 1];
    la_ssize_t n = archive_read_data(r->archive, buf, sizeof buf);
    if (n < 0)
        return error_set(err, MAE_FORMAT, "%s: %s: %s", r->path, name,
                         archive_error_string(r->archive));
    while (n > 0 && strchr(" \t\r\n", buf[n - 1])) n--;
    if (n == 0 || n > MAX_LABEL_BYTES || memchr(buf, 0, (size_t)n))
        return error_set(err, MAE_FORMAT, "%s: %s: not a label of 1 to %d characters", r->path,
                         name, MAX_LABEL_BYTES);
    *text = arena_printf(r->source->arena, "%.*s", (int)n, buf);
    return *text ? MAE_OK : source_no_memory(err);
}

/* Does another archive begin with this entry, after the zero blocks that end the one before? Its
 * position is where libarchive began to look. */
static bool follows_an_end(const Reader *r) {
    static const char zeros[RECORD_BYTES];
    char record[RECORD_BYTES];
    int64_t at = archive_read_header_position(r->archive);
    if (archive_filter_bytes(r->archive, 0) - at <= RECORD_BYTES) return false;
    ssize_t n = pread(r->fd, record, sizeof record, (off_t)at);
    return n == RECORD_BYTES && memcmp(record, zeros, RECORD_BYTES) == 0;
}

/* The group of an entry that comes after the others. */
static int64_t group_of(const Reader *r, const char *name) {
    const TarIndex *x = r->index;
    const TarEntry *last = x->n ? &x->entries[x->n - 1] : NULL;
    if (!last) return 0;
    size_t n = key_bytes(name);
    bool same = key_bytes(last->name) == n && memcmp(last->name, name, n) == 0;
    return last->group + !(same && !follows_an_end(r));
}

/* Where the bytes are: behind another name, or, NULL, here. Some writers give hard links their
 * bytes; such entries are files. */
static Status link_of(const Reader *r, struct archive_entry *e, const char **link, Error *err) {
    const char *hard = archive_entry_hardlink(e), *soft = archive_entry_symlink(e);
    Arena *arena = r->index->arena;
    if (archive_entry_filetype(e) == AE_IFREG) return MAE_OK;
    if (hard)
        *link = plain_path(arena, NULL, hard);
    else if (soft)
        *link = plain_path(arena, archive_entry_pathname(e), soft);
    else
        return MAE_OK;
    return *link ? MAE_OK : source_no_memory(err);
}

static Status append(TarIndex *x, TarEntry entry, Error *err) {
    TarEntry *entries = mem_room(x->entries, (size_t)x->n, &x->capacity, sizeof *entries);
    if (!entries) return source_no_memory(err);
    x->entries = entries;
    x->entries[x->n++] = entry;
    return MAE_OK;
}

static Status check_name(const Reader *r, const char *name, Error *err) {
    if (strlen(name) <= SOURCE_MAX_NAME_BYTES) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: an entry's name is longer than %d bytes (%.60s...)",
                     r->path, SOURCE_MAX_NAME_BYTES, name);
}

static Status index_entry(const Reader *r, struct archive_entry *e, Error *err) {
    Status status = MAE_OK;
    const char *name = archive_entry_pathname(e);
    TarIndex *x = r->index;
    TarEntry entry = {.offset = archive_read_header_position(r->archive),
                      .bytes = archive_entry_size(e)};
    TRY(source_check_entries(r->source, r->path, ++((TarState *)r->source->state)->n_entries, err));
    if (!name || archive_entry_filetype(e) == AE_IFDIR || is_clutter(name)) goto done;
    TRY(check_name(r, name, err));
    TRY(link_of(r, e, &entry.link, err));
    entry.name = arena_strdup(x->arena, name);
    if (!entry.name) TRY(source_no_memory(err));
    entry.kind = entry.link || archive_entry_filetype(e) == AE_IFREG ? kind_of(name) : TAR_OTHER;
    entry.group = group_of(r, name);
    if (entry.kind == TAR_LABEL && !entry.link) TRY(read_label(r, name, &entry.text, err));
    x->has_links = x->has_links || entry.link;
    TRY(append(x, entry, err));
done:
    return status;
}

static Status open_archive(Reader *r, Error *err) {
    struct archive *a = r->archive;
    Status status = tar_expect(a, err);
    if (status != MAE_OK) return status;
    archive_read_support_format_empty(a);
    /* Only so as to say what is wrong with a compressed file. */
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    if (archive_read_open_fd(a, r->fd, TAR_BLOCK_BYTES) != ARCHIVE_OK)
        return error_set(err, MAE_FORMAT, "%s: not a tar: %s", r->path, archive_error_string(a));
    if (archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE) return MAE_OK;
    return error_set(
        err, MAE_UNSUPPORTED,
        "%s: compressed with %s; images cannot be read from it in any order, so uncompress "
        "it first",
        r->path, archive_filter_name(a, 0));
}

Status tar_index_read(Source *s, int shard, TarIndex *out, Error *err) {
    Status status = MAE_OK;
    Reader r = {s, archive_read_new(), ((TarState *)s->state)->shards[shard], -1, out};
    struct archive_entry *entry;
    int64_t bytes;
    int rc;
    *out = (TarIndex){.arena = arena_new()};
    if (!r.archive || !out->arena) TRY(source_no_memory(err));
    TRY(tar_open_file(r.path, &r.fd, &bytes, err));
    TRY(open_archive(&r, err));
    while ((rc = archive_read_next_header(r.archive, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN)
        TRY(index_entry(&r, entry, err));
    if (rc != ARCHIVE_EOF)
        status = error_set(err, MAE_FORMAT, "%s: not a readable tar: %s", r.path,
                           archive_error_string(r.archive));
done:
    archive_read_free(r.archive);
    if (r.fd >= 0) close(r.fd);
    return status;
}

void tar_index_free(TarIndex *x) {
    mem_free(x->entries);
    arena_free(x->arena);
    *x = (TarIndex){0};
}

/* --- links ------------------------------------------------------------------------------------ */

typedef struct Target {
    const char *name; /* plain */
    int64_t at;
} Target;

static int by_name(const void *pa, const void *pb) {
    const Target *a = pa, *b = pb;
    int order = strcmp(a->name, b->name);
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

static Status sort_targets(const TarIndex *x, Target **out, Error *err) {
    Target *t = mem_alloc_array((size_t)x->n, sizeof *t);
    *out = t;
    if (!t) return source_no_memory(err);
    for (int64_t i = 0; i < x->n; i++) {
        t[i] = (Target){plain_path(x->arena, NULL, x->entries[i].name), i};
        if (!t[i].name) return source_no_memory(err);
    }
    qsort(t, (size_t)x->n, sizeof *t, by_name);
    return MAE_OK;
}

/* The entry of that name that was last before entry `at`, as unpacking would have it; otherwise the
 * first after it. NULL: none. */
static TarEntry *find_target(const TarIndex *x, const Target *t, const char *name, int64_t at) {
    int64_t low = 0, high = x->n; /* the first that is not below (name, at) */
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if (by_name(&t[mid], &(Target){name, at}) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low > 0 && strcmp(t[low - 1].name, name) == 0) return &x->entries[t[low - 1].at];
    if (low < x->n && t[low].at == at) low++;
    return low < x->n && strcmp(t[low].name, name) == 0 ? &x->entries[t[low].at] : NULL;
}

static Status lose(Source *s, const TarEntry *e, Error *err) {
    TarState *state = s->state;
    if (state->n_links_lost++ > 0) return MAE_OK;
    state->link_lost = arena_printf(s->arena, "%.200s to %.200s", e->name, e->link);
    return state->link_lost ? MAE_OK : source_no_memory(err);
}

static Status follow(Source *s, const TarIndex *x, const Target *t, TarEntry *e, Error *err) {
    TarEntry *to = e;
    for (int hops = 0; to && to->link && hops < MAX_HOPS; hops++)
        to = find_target(x, t, to->link, to - x->entries);
    if (!to || to->link || (e->kind == TAR_LABEL && !to->text)) {
        if (e->kind == TAR_OTHER) return MAE_OK;
        e->kind = TAR_OTHER;
        return lose(s, e, err);
    }
    to->taken = to->taken || e->kind == TAR_IMAGE;
    e->offset = to->offset;
    e->bytes = to->bytes;
    e->text = to->text;
    return MAE_OK;
}

Status tar_index_resolve(Source *s, const TarIndex *x, Error *err) {
    Status status = MAE_OK;
    Target *targets = NULL;
    if (!x->has_links) return MAE_OK;
    TRY(sort_targets(x, &targets, err));
    for (int64_t i = 0; i < x->n; i++)
        if (x->entries[i].link) TRY(follow(s, x, targets, &x->entries[i], err));
done:
    mem_free(targets);
    return status;
}
