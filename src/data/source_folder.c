/* folder:DIR. Walks the folder once, sorts what it found component by component (so that the order
 * is the same on every file system and follows the order of the classes), and takes the first
 * component as the class when every image lies in a sub-folder. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/source.h"

/* The folders we are in, to stop at a link that leads back to one of them. */
typedef struct Trail {
    const struct Trail *up;
    dev_t device;
    ino_t inode;
} Trail;

typedef enum EntryType { ENTRY_OTHER, ENTRY_FILE, ENTRY_FOLDER } EntryType;

static EntryType entry_type(const char *path, int d_type) {
    struct stat st;
    if (d_type == DT_REG) return ENTRY_FILE;
    if (d_type == DT_DIR) return ENTRY_FOLDER;
    /* A dangling link counts as a file: it is reported when it is read instead of vanishing. */
    if (stat(path, &st) != 0) return ENTRY_FILE;
    return S_ISDIR(st.st_mode) ? ENTRY_FOLDER : S_ISREG(st.st_mode) ? ENTRY_FILE : ENTRY_OTHER;
}

static Status walk(Source *s, const char *dir, const Trail *up, Error *err);

static Status visit(Source *s, const char *dir, const struct dirent *e, const Trail *here,
                    Error *err) {
    Status status = STATUS_OK;
    char *path = mem_printf("%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", e->d_name);
    if (!path) return source_no_memory(err);
    switch (entry_type(path, e->d_type)) {
    case ENTRY_FOLDER: status = walk(s, path, here, err); break;
    case ENTRY_FILE:
        if (image_is_name(path)) {
            SourceItem item = {.name = arena_strdup(s->arena, path), .label = -1};
            status = source_add(s, item, err);
        }
        break;
    case ENTRY_OTHER: break;
    }
    mem_free(path);
    return status;
}

static Status walk(Source *s, const char *dir, const Trail *up, Error *err) {
    Status status = STATUS_OK;
    struct stat st;
    DIR *d = opendir(dir);
    if (!d || fstat(dirfd(d), &st) != 0) {
        status = fail(err, STATUS_IO, "%s: cannot read this folder: %s", dir, strerror(errno));
        goto done;
    }
    for (const Trail *t = up; t; t = t->up)
        if (t->device == st.st_dev && t->inode == st.st_ino) goto done;
    Trail here = {up, st.st_dev, st.st_ino};
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e && errno != 0)
            status = fail(err, STATUS_IO, "%s: cannot read this folder: %s", dir, strerror(errno));
        if (!e) break;
        if (e->d_name[0] == '.') continue;
        TRY(visit(s, dir, e, &here, err));
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

Status source_add_files(Source *s, const char *dir, size_t *prefix, Error *err) {
    char *clean = arena_strdup(s->arena, dir);
    if (!clean) return source_no_memory(err);
    for (size_t n = strlen(clean); n > 1 && clean[n - 1] == '/'; n--) clean[n - 1] = '\0';
    *prefix = strlen(clean) + (strcmp(clean, "/") != 0);
    Status status = walk(s, clean, NULL, err);
    if (status != STATUS_OK) return status;
    if (s->count == 0)
        return fail(err, STATUS_EMPTY,
                    "%s: no images in this folder or below it; looked for names ending in .jpg, "
                    ".jpeg, .png or .webp",
                    clean);
    qsort(s->items, (size_t)s->count, sizeof *s->items, by_path);
    return STATUS_OK;
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
    return STATUS_OK;
}

/* Layouts that are often not what was meant. */
static const char *note_on_classes(const Source *s, bool flat, bool folders) {
    if (flat && folders) return "images lie beside the sub-folders, so these are not classes";
    if (s->n_classes == 1) return "the only sub-folder; if the classes lie inside it, name it";
    return NULL;
}

static Status folder_open(Source *s, const char *where, Error *err) {
    Status status = STATUS_OK;
    bool flat = false, folders = false;
    size_t prefix = 0;
    TRY(source_add_files(s, where, &prefix, err));
    TRY(name_classes(s, prefix, &flat, &folders, err));
    TRY(source_label(s, false, err));
    TRY(source_describe(s, where, note_on_classes(s, flat, folders), err));
done:
    return status;
}

const SourceKind source_folder = {"folder", folder_open, source_fetch_file, NULL};
