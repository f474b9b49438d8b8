/* The table of source kinds and what they share: growing the list of items, turning label texts
 * into class numbers, the description, and conversions from raw RGB. */
#include "data/source/source.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"

/* Larger labels are taken as names, so that one stray number cannot ask for millions of classes. */
#define MAX_NUMBERED 100000
#define MAX_ENTRIES 100000000

static const SourceKind *const kinds[] = {&source_folder,  &source_list,     &source_tar,
                                          &source_cifar10, &source_cifar100, &source_synthetic,
                                          &source_tiles,   &source_memory};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

Status source_no_memory(Error *err) {
    return error_set(err, MAE_MEMORY,
                     "dataset: out of memory; close other programs or use less data");
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcasecmp(s + n - m, end) == 0;
}

static Status look_into_folder(const char *dir, const SourceKind **kind, Error *err) {
    bool ten = false, hundred = false;
    Status status = file_is_in(dir, "data_batch_1.bin", &ten, err);
    if (status == MAE_OK) status = file_is_in(dir, "train.bin", &hundred, err);
    *kind = ten ? &source_cifar10 : hundred ? &source_cifar100 : &source_folder;
    if (status == MAE_OK && *kind == &source_folder) status = source_refuse_cifar_pickles(dir, err);
    return status;
}

static bool ends_with_any(const char *text, const char *const *ends, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ends_with(text, ends[i])) return true;
    return false;
}

/* A compressed tar, and a list with commas, is refused where it is opened, with a reason. */
static bool is_tar_name(const char *text) {
    static const char *const ends[] = {".tar",     ".tgz",     ".tar.gz", ".tar.xz",
                                       ".tar.bz2", ".tar.zst", ".tar.lz4"};
    return ends_with_any(text, ends, sizeof ends / sizeof ends[0]) ||
           (strchr(text, '{') && strstr(text, ".."));
}

static bool is_list_name(const char *text) {
    static const char *const ends[] = {".txt", ".tsv", ".lst", ".csv"};
    return ends_with_any(text, ends, sizeof ends / sizeof ends[0]);
}

Status source_guess(const char *text, const SourceKind **kind, Error *err) {
    Arena *arena = arena_new();
    int split = 0;
    char *path = arena ? source_split_suffix(arena, text, &split) : NULL;
    Status status = MAE_OK;
    *kind = NULL;
    if (!path) {
        status = source_no_memory(err);
    } else if (file_is_directory(path)) {
        status = look_into_folder(path, kind, err);
    } else if (is_tar_name(text)) {
        *kind = &source_tar;
    } else if (is_list_name(text)) {
        *kind = &source_list;
    } else if (!file_exists(path)) {
        status = error_set(err, MAE_IO, "%s: there is no such file or folder", text);
    } else {
        status = error_set(
            err, MAE_UNSUPPORTED,
            "%s: not a folder, .tar, .txt, .tsv, .csv or .lst; say what it is with a prefix: "
            "folder: list: tar: cifar10: cifar100: synthetic: tiles:",
            text);
    }
    arena_free(arena);
    return status;
}

const SourceKind *source_prefix(const char *text) {
    for (size_t k = 0; k < N_KINDS; k++) {
        size_t n = strlen(kinds[k]->name);
        if (strncmp(text, kinds[k]->name, n) == 0 && text[n] == ':') return kinds[k];
    }
    return NULL;
}

/* The kind by its prefix, or by looking; *where is the rest of the text. */
static Status find_kind(const char *text, const SourceKind **kind, const char **where, Error *err) {
    *kind = source_prefix(text);
    if (*kind) {
        *where = text + strlen((*kind)->name) + 1;
        if (**where) return MAE_OK;
        return error_set(err, MAE_USAGE, "%s: nothing after the colon", text);
    }
    *where = text;
    if (!*text) return error_set(err, MAE_USAGE, "dataset: empty source; name a folder or file");
    return source_guess(text, kind, err);
}

Status source_new(const SourceKind *kind, SourceLimits limits, bool test, Source **out,
                  Error *err) {
    Source *s = mem_alloc(sizeof *s);
    *out = NULL;
    if (!s) return source_no_memory(err);
    s->kind = kind;
    s->limits = (SourceLimits){limits.max_pixels ? limits.max_pixels : IMAGE_MAX_PIXELS,
                               limits.max_entries ? limits.max_entries : MAX_ENTRIES, limits.stop};
    s->test = test;
    s->arena = arena_new();
    if (s->arena) {
        *out = s;
        return MAE_OK;
    }
    mem_free(s);
    return source_no_memory(err);
}

Status source_open(const char *text, const MaeSource *memory, MaeType type, SourceLimits limits,
                   bool test, Source **out, Error *err) {
    Status status = MAE_OK;
    const SourceKind *kind = NULL;
    const char *where = NULL;
    Source *s = NULL;
    *out = NULL;
    TRY(find_kind(text, &kind, &where, err));
    TRY(source_new(kind, limits, test, &s, err));
    s->type = type;
    s->memory = memory;
    TRY(kind->open(s, where, err));
    ASSERT(s->count > 0 && s->description, "%s: source without items or description", text);
    *out = s;
    s = NULL;
done:
    source_close(s);
    return status;
}

void source_close(Source *s) {
    if (!s) return;
    if (s->kind && s->kind->close) s->kind->close(s);
    mem_free(s->items);
    arena_free(s->arena);
    mem_free(s);
}

Status source_add(Source *s, SourceItem item, Error *err) {
    if (!item.name) return source_no_memory(err);
    if (stop_asked(s->limits.stop))
        return error_set(err, MAE_INTERRUPTED, "stopped while looking for images; %lld were found",
                         (long long)s->count);
    SourceItem *items = mem_room(s->items, (size_t)s->count, &s->capacity, sizeof *items);
    if (!items) return source_no_memory(err);
    s->items = items;
    s->items[s->count++] = item;
    return MAE_OK;
}

Status source_check_entries(const Source *s, const char *where, int64_t n, Error *err) {
    if (n <= s->limits.max_entries) return MAE_OK;
    return error_set(err, MAE_UNSUPPORTED,
                     "%s: more than the limit of %lld entries; split it, or raise the limit with "
                     "--max-entries",
                     where, (long long)s->limits.max_entries);
}

/* A plain decimal number below MAX_NUMBERED, or -1. */
static int label_number(const char *text) {
    int value = 0;
    if (!*text) return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return -1;
        value = value * 10 + (*text - '0');
        if (value >= MAX_NUMBERED) return -1;
    }
    return value;
}

Status source_number_classes(Source *s, int n_classes, Error *err) {
    s->class_names = arena_alloc(s->arena, (size_t)n_classes * sizeof *s->class_names);
    if (!s->class_names) return source_no_memory(err);
    for (int c = 0; c < n_classes; c++) {
        s->class_names[c] = arena_printf(s->arena, "%d", c);
        if (!s->class_names[c]) return source_no_memory(err);
    }
    s->n_classes = n_classes;
    s->numbered = true;
    return MAE_OK;
}

/* Labels that are numbers; *done stays false when some text is not one. */
static Status label_by_number(Source *s, bool *done, Error *err) {
    int largest = 0;
    for (int64_t i = 0; i < s->count; i++) {
        int value = label_number(s->items[i].text);
        if (value < 0) return MAE_OK;
        if (value > largest) largest = value;
        s->items[i].class = value;
    }
    *done = true;
    return source_number_classes(s, largest + 1, err);
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_digits(const char *text) {
    return *text && !text[strspn(text, "0123456789")];
}

/* Numbers by value, whatever their length; equal ones, as 1 and 01, by bytes. */
static int by_value(const void *pa, const void *pb) {
    const char *a = *(const char *const *)pa, *b = *(const char *const *)pb;
    const char *x = a + strspn(a, "0"), *y = b + strspn(b, "0");
    size_t n = strlen(x), m = strlen(y);
    if (n != m) return n < m ? -1 : 1;
    int order = strcmp(x, y);
    return order ? order : strcmp(a, b);
}

/* Names that are all numbers are in the order of their values. */
static Status label_by_name(Source *s, Error *err) {
    int (*order)(const void *, const void *) = by_value;
    const char **names = arena_alloc(s->arena, (size_t)s->count * sizeof *names);
    int64_t n = 0;
    if (!names) return source_no_memory(err);
    for (int64_t i = 0; i < s->count; i++) {
        names[i] = s->items[i].text;
        if (!is_digits(names[i])) order = by_bytes;
    }
    qsort(names, (size_t)s->count, sizeof *names, order);
    for (int64_t i = 0; i < s->count; i++)
        if (n == 0 || strcmp(names[n - 1], names[i]) != 0) names[n++] = names[i];
    if (n > INT_MAX)
        return error_set(err, MAE_UNSUPPORTED, "dataset: %lld classes are too many", (long long)n);
    for (int64_t i = 0; i < s->count; i++) {
        const char **at = bsearch(&s->items[i].text, names, (size_t)n, sizeof *names, order);
        ASSERT(at != NULL, "label %s vanished", s->items[i].text);
        s->items[i].class = (int)(at - names);
    }
    s->class_names = names;
    s->n_classes = (int)n;
    return MAE_OK;
}

Status source_all_labelled(const Source *s, bool *labelled, Error *err) {
    int64_t with = -1, without = -1;
    for (int64_t i = 0; i < s->count; i++) {
        if (s->items[i].text)
            with = i;
        else
            without = i;
    }
    *labelled = with >= 0;
    if (!*labelled || without < 0) return MAE_OK;
    return error_set(err, MAE_FORMAT, "%s: has no label although %s has one; label all or none",
                     s->items[without].name, s->items[with].name);
}

Status source_label(Source *s, bool numbers, Error *err) {
    bool labelled, done = false;
    for (int64_t i = 0; i < s->count; i++) s->items[i].class = -1;
    Status status = source_all_labelled(s, &labelled, err);
    if (status != MAE_OK || !labelled) return status;
    if (numbers) {
        status = label_by_number(s, &done, err);
        if (status != MAE_OK || done) return status;
    }
    return label_by_name(s, err);
}

Status source_describe(Source *s, const char *where, const char *note, Error *err) {
    const char *open = note ? " (" : "", *shut = note ? ")" : "", *many = s->count == 1 ? "" : "s";
    if (!note) note = "";
    if (s->n_classes == 0)
        s->description =
            arena_printf(s->arena, "%s %s: %lld image%s, no labels%s%s%s", s->kind->name, where,
                         (long long)s->count, many, open, note, shut);
    else
        s->description = arena_printf(s->arena, "%s %s: %lld image%s, %d class%s%s%s%s",
                                      s->kind->name, where, (long long)s->count, many, s->n_classes,
                                      s->n_classes == 1 ? "" : "es", open, note, shut);
    return s->description ? MAE_OK : source_no_memory(err);
}

Status source_remark(Source *s, Error *err, LogLevel level, const char *format, ...) {
    char text[1536];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    SourceRemark *r = arena_alloc(s->arena, sizeof *r);
    if (!r || !(r->text = arena_strdup(s->arena, text))) return source_no_memory(err);
    r->older = s->remarks;
    r->level = level;
    s->remarks = r;
    return MAE_OK;
}

static void say(const SourceRemark *r) {
    if (!r) return;
    say(r->older);
    log_shared(r->level, "%s", r->text);
}

void source_say(const Source *s) {
    say(s->remarks);
}

Status source_remark_left_out(Source *s, const char *where, LeftOut *left, Error *err) {
    char text[1024];
    if (!*left_out_text(left, text, sizeof text)) return MAE_OK;
    if (!left->pictures)
        return source_remark(s, err, LOG_INFO, "%.400s: left out: %s", where, text);
    return source_remark(s, err, LOG_WARNING, "%.400s: left out: %s; readable are %s", where, text,
                         IMAGE_ENDINGS);
}

bool source_is_clutter(const char *name) {
    static const char *const known[] = {"@eaDir",      "#recycle",     "@Recycle",
                                        "__MACOSX",    "$RECYCLE.BIN", "System Volume Information",
                                        "lost+found",  "Thumbs.db",    "ehthumbs.db",
                                        "desktop.ini", "Icon\r"};
    if (name[0] == '.') return true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcasecmp(name, known[i]) == 0) return true;
    return false;
}

Status source_fetch_file(const Source *s, int64_t index, int channels, ImageCrop *crop, Image *out,
                         Error *err) {
    return image_load_crop(s->items[index].name, channels, s->limits.max_pixels, crop, out, err);
}

bool source_identify_file(const char *path, int64_t place, ImageIdentity *out) {
    struct stat file;
    if (stat(path, &file) != 0) return false;
    *out = (ImageIdentity){(uint64_t)file.st_dev, (uint64_t)file.st_ino, place};
    return true;
}

bool source_identify_item(const Source *s, int64_t index, ImageIdentity *out) {
    return source_identify_file(s->items[index].name, IDENTITY_WHOLE_FILE, out);
}

Status source_copy_rgb(const uint8_t *rgb, int64_t row_bytes, int64_t width, int64_t height,
                       int channels, Image *out, Error *err) {
    Status status = image_new(out, MAE_U8, width, height, channels, err);
    if (status != MAE_OK) return status;
    for (int64_t y = 0; y < height; y++) {
        const uint8_t *from = rgb + y * row_bytes;
        uint8_t *to = out->pixels + y * width * channels;
        if (channels == 3) {
            memcpy(to, from, (size_t)(width * 3));
            continue;
        }
        for (int64_t x = 0; x < width; x++, from += 3)
            to[x] =
                (uint8_t)((from[0] * 19595u + from[1] * 38470u + from[2] * 7471u + 0x8000u) >> 16);
    }
    return MAE_OK;
}

char *source_split_suffix(Arena *arena, const char *text, int *split) {
    static const char *const suffix[] = {":train", ":test"};
    char *path = arena_strdup(arena, text);
    *split = 0;
    if (!path || file_exists(text)) return path;
    for (int k = 0; k < 2; k++) {
        if (!ends_with(path, suffix[k])) continue;
        path[strlen(path) - strlen(suffix[k])] = '\0';
        *split = k + 1;
        break;
    }
    return path;
}
