/* folder:DIR. Walks the folder once and sorts what it found component by component, so that the
 * order is the same on every file system and follows that of the classes. When every image lies in
 * a sub-folder, the first component is the class. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/source/source.h"

/* What tells folders apart, whatever their names. */
typedef struct Identity {
    dev_t device;
    ino_t inode;
} Identity;

/* One folder's reading. */
typedef struct Walk {
    Source *source;
    LeftOut left;
    Identity *seen; /* every folder that was read, as often as it was */
    int64_t n_seen;
    size_t capacity;
    int64_t n_runs; /* folders of training runs, and the first of them */
    char *run;      /* in the arena */
} Walk;

/* The folders we are in, to stop at a link that leads back to one of them. */
typedef struct Trail {
    const struct Trail *up;
    Identity folder;
} Trail;

static bool is_same(Identity a, Identity b) {
    return a.device == b.device && a.inode == b.inode;
}

static Status remember(Walk *w, Identity folder, Error *err) {
    Identity *seen = mem_room(w->seen, (size_t)w->n_seen, &w->capacity, sizeof *seen);
    if (!seen) return source_no_memory(err);
    w->seen = seen;
    w->seen[w->n_seen++] = folder;
    return MAE_OK;
}

static int by_identity(const void *pa, const void *pb) {
    const Identity *a = pa, *b = pb;
    if (a->device != b->device) return a->device < b->device ? -1 : 1;
    return (a->inode > b->inode) - (a->inode < b->inode);
}

static int64_t count_read_again(Walk *w) {
    int64_t n = 0;
    if (w->n_seen > 1) qsort(w->seen, (size_t)w->n_seen, sizeof *w->seen, by_identity);
    for (int64_t i = 1; i < w->n_seen; i++) n += is_same(w->seen[i], w->seen[i - 1]);
    return n;
}

typedef enum EntryType { ENTRY_OTHER, ENTRY_FILE, ENTRY_FOLDER } EntryType;

/* file: set when it is one, as far as the listing or the file itself says it. */
static EntryType entry_type(const char *path, const struct dirent *e, const Trail *here,
                            ImageIdentity *file) {
    struct stat st;
    int d_type = e->d_type;
    *file = (ImageIdentity){(uint64_t)here->folder.device, (uint64_t)e->d_ino, IDENTITY_WHOLE_FILE};
    if (d_type == DT_REG) return ENTRY_FILE;
    if (d_type == DT_DIR) return ENTRY_FOLDER;
    /* A dangling link counts as a file: it is reported when it is read instead of vanishing. */
    file->inode = 0;
    if (stat(path, &st) != 0) return ENTRY_FILE;
    file->device = (uint64_t)st.st_dev;
    file->inode = (uint64_t)st.st_ino;
    return S_ISDIR(st.st_mode) ? ENTRY_FOLDER : S_ISREG(st.st_mode) ? ENTRY_FILE : ENTRY_OTHER;
}

/* A run folder of mae holds pictures that it made itself. */
static Status is_run(const char *dir, bool *yes, Error *err) {
    static const char *const names[] = {"config.json", "log.jsonl", "last.safetensors"};
    bool there[3] = {false};
    Status status = MAE_OK;
    for (int i = 0; i < 3 && (i == 0 || there[0]) && status == MAE_OK; i++)
        status = file_is_in(dir, names[i], &there[i], err);
    *yes = there[0] && (there[1] || there[2]);
    return status;
}

static Status leave_out_run(Walk *w, const char *path, Error *err) {
    if (w->n_runs++ > 0) return MAE_OK;
    w->run = arena_strdup(w->source->arena, path);
    return w->run ? MAE_OK : source_no_memory(err);
}

static Status walk(Walk *w, const char *dir, const Trail *up, bool run, Error *err);

/* Of a run folder that was itself named as the source, only the pictures of the run stay away. */
static Status enter(Walk *w, const char *path, const char *name, const Trail *here, bool in_run,
                    Error *err) {
    bool run = false;
    Status status = is_run(path, &run, err);
    if (status != MAE_OK) return status;
    if (run || (in_run && strcmp(name, "reconstructions") == 0)) return leave_out_run(w, path, err);
    return walk(w, path, here, false, err);
}

static Status add_file(Walk *w, const char *path, const ImageIdentity *file, Error *err) {
    SourceItem item = {.class = -1, .offset = (int64_t)file->inode, .bytes = (int64_t)file->device};
    if (!image_is_name(path)) {
        left_out_add(&w->left, path);
        return MAE_OK;
    }
    item.name = arena_strdup(w->source->arena, path);
    return source_add(w->source, item, err);
}

static Status visit(Walk *w, const char *dir, const struct dirent *e, const Trail *here, bool run,
                    Error *err) {
    Status status = MAE_OK;
    char *path = mem_printf("%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", e->d_name);
    if (!path) return source_no_memory(err);
    ImageIdentity file;
    switch (entry_type(path, e, here, &file)) {
    case ENTRY_FOLDER: status = enter(w, path, e->d_name, here, run, err); break;
    case ENTRY_FILE: status = add_file(w, path, &file, err); break;
    case ENTRY_OTHER: left_out_add(&w->left, path); break;
    }
    mem_free(path);
    return status;
}

/* run: dir is a run folder. */
static Status walk(Walk *w, const char *dir, const Trail *up, bool run, Error *err) {
    Status status = MAE_OK;
    struct stat st;
    DIR *d = opendir(dir);
    if (!d || fstat(dirfd(d), &st) != 0) {
        status = error_set(err, MAE_IO,
                           "%s: cannot read this folder: %s; give it to this user, or move it away",
                           dir, strerror(errno));
        goto done;
    }
    Trail here = {up, {st.st_dev, st.st_ino}};
    for (const Trail *t = up; t; t = t->up)
        if (is_same(t->folder, here.folder)) goto done;
    TRY(remember(w, here.folder, err));
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e && errno != 0)
            status =
                error_set(err, MAE_IO, "%s: cannot read this folder: %s", dir, strerror(errno));
        if (!e) break;
        if (source_is_clutter(e->d_name)) continue;
        TRY(visit(w, dir, e, &here, run, err));
    }
done:
    if (d) closedir(d);
    return status;
}

/* Bytes compared with '/' below all others, so that "a/1" comes before "a-b/1". */
static int by_path(const void *pa, const void *pb) {
    const char *a = ((const SourceItem *)pa)->name, *b = ((const SourceItem *)pb)->name;
    while (*a && *a == *b) a++, b++;
    int ca = *a == '/' ? 1 : (unsigned char)*a + (*a ? 1 : 0);
    int cb = *b == '/' ? 1 : (unsigned char)*b + (*b ? 1 : 0);
    return ca - cb;
}

static Status refuse_empty(Walk *w, const char *dir, Error *err) {
    char text[512];
    left_out_text(&w->left, text, sizeof text);
    return error_set(
        err, MAE_EMPTY,
        "%.300s: no images in this folder or below it, hidden ones aside; looked for names "
        "ending in %s%s%s%s",
        dir, IMAGE_ENDINGS, *text ? "; left out: " : "", text,
        w->n_runs ? "; the pictures of training runs are no data" : "");
}

static Status remark(Walk *w, const char *dir, Error *err) {
    Status status = source_remark_left_out(w->source, dir, &w->left, err);
    int64_t again = count_read_again(w);
    if (status == MAE_OK && again > 0)
        status = source_remark(w->source, err, LOG_WARNING,
                               "%.400s: links lead to folders that are read anyway: images of %lld "
                               "folder%s count more than once",
                               dir, (long long)again, again == 1 ? "" : "s");
    if (status != MAE_OK || w->n_runs == 0) return status;
    return source_remark(w->source, err, LOG_INFO,
                         "%.400s: left out: pictures of %lld training run%s (%.400s)", dir,
                         (long long)w->n_runs, w->n_runs == 1 ? "" : "s", w->run);
}

Status source_add_files(Source *s, const char *dir, size_t *prefix, Error *err) {
    Walk w = {.source = s};
    char *clean = arena_strdup(s->arena, dir);
    if (!clean) return source_no_memory(err);
    for (size_t n = strlen(clean); n > 1 && clean[n - 1] == '/'; n--) clean[n - 1] = '\0';
    *prefix = strlen(clean) + (strcmp(clean, "/") != 0);
    bool run = false;
    Status status = is_run(clean, &run, err);
    if (status == MAE_OK) status = walk(&w, clean, NULL, run, err);
    if (status == MAE_OK && s->count == 0) status = refuse_empty(&w, clean, err);
    if (status == MAE_OK) status = remark(&w, clean, err);
    mem_free(w.seen);
    if (status != MAE_OK) return status;
    qsort(s->items, (size_t)s->count, sizeof *s->items, by_path);
    return MAE_OK;
}

/* The label text of each item is its first folder, unless some image lies at the top (*flat). */
static Status name_classes(Source *s, size_t prefix, bool *flat, bool *folders, Error *err) {
    const char *last = NULL;
    for (int64_t i = 0; i < s->count; i++) {
        const char *relative = s->items[i].name + prefix, *slash = strchr(relative, '/');
        if (!slash)
            *flat = true;
        else
            *folders = true;
    }
    for (int64_t i = 0; i < s->count && !*flat; i++) {
        const char *relative = s->items[i].name + prefix;
        size_t n = (size_t)(strchr(relative, '/') - relative);
        if (!last || strlen(last) != n || memcmp(last, relative, n) != 0)
            last = arena_printf(s->arena, "%.*s", (int)n, relative);
        if (!last) return source_no_memory(err);
        s->items[i].text = last;
    }
    return MAE_OK;
}

/* Layouts that are often not what was meant. */
static const char *note_on_classes(const Source *s, bool flat, bool folders) {
    if (flat && folders) return "images lie beside the sub-folders, so these are not classes";
    if (s->n_classes == 1) return "the only sub-folder; if the classes lie inside it, name it";
    return NULL;
}

/* Names of the parts of a data set rather than of classes. */
static bool is_part(const char *name) {
    static const char *const known[] = {"train", "training", "val",  "valid",  "validation",
                                        "dev",   "eval",     "test", "testing"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcasecmp(name, known[i]) == 0) return true;
    return false;
}

/* Nearly always the folder above was named by mistake. */
static Status hint_at_parts(Source *s, const char *where, Error *err) {
    if (s->n_classes < 2) return MAE_OK;
    for (int c = 0; c < s->n_classes; c++)
        if (!is_part(s->class_names[c])) return MAE_OK;
    return source_remark(
        s, err, LOG_WARNING,
        "%.400s: its sub-folders %s and %s are taken as the classes of one set; if "
        "they are its parts, name one of them each time, as %.400s/%s",
        where, s->class_names[0], s->class_names[s->n_classes - 1], where, s->class_names[0]);
}

static Status folder_open(Source *s, const char *where, Error *err) {
    Status status = MAE_OK;
    bool flat = false, folders = false;
    size_t prefix = 0;
    TRY(source_add_files(s, where, &prefix, err));
    TRY(name_classes(s, prefix, &flat, &folders, err));
    TRY(source_label(s, false, err));
    TRY(hint_at_parts(s, where, err));
    TRY(source_describe(s, where, note_on_classes(s, flat, folders), err));
done:
    return status;
}

static bool folder_identify(const Source *s, int64_t index, ImageIdentity *out) {
    const SourceItem *item = &s->items[index];
    *out = (ImageIdentity){(uint64_t)item->bytes, (uint64_t)item->offset, IDENTITY_WHOLE_FILE};
    return out->inode != 0;
}

const SourceKind source_folder = {"folder", folder_open, source_fetch_file, folder_identify, NULL};
