/* list:FILE, and the same on standard input. A line is `path` or `path<TAB>label`; relative paths
 * start at the file's folder, or the current one. Labels that are all numbers are class numbers,
 * otherwise names in byte order. An image is opened only when it is fetched.
 *
 * A byte order mark, blank lines, lines that begin with "# " and a first line of column names are
 * left out. A path that begins with a backslash may be one that base/name.h has escaped. What looks
 * like another layout (commas, blanks, three columns, UTF-16) is an error that says so; taken as it
 * stands it would be a list of files that are not there. */
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/name.h"
#include "base/text.h"
#include "data/source/source.h"

#define MAX_LIST_BYTES ((size_t)4 << 30)

typedef struct List {
    Source *source;
    const char *where;
    int64_t line; /* the one being read, from 1 */
    int64_t n_comments;
    bool has_header;
    bool no_picture_first; /* the first entry has no name of an image */
} List;

/* --- one line --------------------------------------------------------------------------------- */

/* Relative to the list, in the arena. */
static char *full_path(const List *l, const char *path) {
    const char *slash = strrchr(l->where, '/');
    if (path[0] == '/') return arena_strdup(l->source->arena, path);
    return arena_printf(l->source->arena, "%.*s%s", slash ? (int)(slash - l->where) + 1 : 0,
                        l->where, path);
}

/* A name of an image that stops before some other separator than a tab: where that is, or NULL. */
static const char *other_separator(const char *line) {
    for (const char *p = line; (p = strpbrk(p, ",; |")) != NULL; p++) {
        char head[SOURCE_MAX_NAME_BYTES + 1];
        size_t n = (size_t)(p - line);
        memcpy(head, line, n);
        if (n > 0 && head[n - 1] == '"') n--;
        head[n] = '\0';
        if (image_is_name(head)) return p;
    }
    return NULL;
}

/* A line without tabs whose file, name is its path, cannot be an image. */
static Status check_separator(const List *l, const char *line, const char *name, Error *err) {
    const char *at = image_is_name(line) ? NULL : other_separator(line);
    if (!at || file_exists(name)) return MAE_OK;
    return error_set(err, MAE_FORMAT,
                     "%s: line %lld (%.100s) has '%c' between its columns; a list has `path` or "
                     "`path<TAB>label` on a line, so put a tab there, without quotes",
                     l->where, (long long)l->line, line, *at);
}

static Status check_label(const List *l, const char *path, const char *label, Error *err) {
    if (!*path)
        return error_set(err, MAE_FORMAT, "%s: line %lld has a label but no path", l->where,
                         (long long)l->line);
    if (!strchr(label, '\t')) return MAE_OK;
    return error_set(
        err, MAE_FORMAT,
        "%s: line %lld has more than two columns; a list has `path` or `path<TAB>label` on "
        "a line",
        l->where, (long long)l->line);
}

static Status add_entry(List *l, char *path, const char *label, Error *err) {
    SourceItem item = {.class = -1};
    if (!name_unescape(path)) return source_no_memory(err);
    item.name = full_path(l, path);
    if (!item.name) return source_no_memory(err);
    if (!label) {
        Status status = check_separator(l, path, item.name, err);
        if (status != MAE_OK) return status;
    }
    if (label && *label) {
        item.text = arena_strdup(l->source->arena, label);
        if (!item.text) return source_no_memory(err);
    }
    if (l->source->count == 0) l->no_picture_first = !image_is_name(path);
    return source_add(l->source, item, err);
}

static bool is_blank(const char *line) {
    return line[strspn(line, " \r")] == '\0';
}

static bool is_comment(const char *line) {
    return line[0] == '#' && (line[1] == ' ' || line[1] == '\0');
}

/* --- the first line --------------------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *known) {
    for (; *known; known++)
        if (strcasecmp(word, *known) == 0) return true;
    return false;
}

/* Column names as people write them. */
static bool is_header(const char *path, const char *label) {
    static const char *const paths[] = {
        "path",      "paths", "file",     "files",   "filename",   "filepath",  "file_name",
        "file_path", "name",  "image",    "images",  "image_path", "imagepath", "image_name",
        "image_id",  "img",   "img_path", "imgpath", "uri",        "url",       NULL};
    static const char *const labels[] = {"label",     "labels",      "class",    "classes",
                                         "class_id",  "class_name",  "category", "target",
                                         "targets",   "y",           "label_id", "classid",
                                         "classname", "category_id", NULL};
    return is_one_of(path + (*path == '#'), paths) && (!label || is_one_of(label, labels));
}

/* *skip: the line holds column names, and there is no such file. */
static Status look_for_header(List *l, const char *path, const char *label, bool *skip,
                              Error *err) {
    *skip = false;
    if (l->source->count > 0 || l->has_header || !is_header(path, label)) return MAE_OK;
    char *name = full_path(l, path);
    if (!name) return source_no_memory(err);
    *skip = l->has_header = !file_exists(name);
    return *skip
               ? source_remark(l->source, err, LOG_INFO,
                               "%.400s: line %lld (%.100s%s%.100s) is taken as a header", l->where,
                               (long long)l->line, path, label ? ", " : "", label ? label : "")
               : MAE_OK;
}

/* A first entry that is no image while the others are: a header in words that we do not know. */
static Status check_first(const List *l, Error *err) {
    const Source *s = l->source;
    if (!l->no_picture_first || s->count < 2 || file_exists(s->items[0].name)) return MAE_OK;
    for (int64_t i = 1; i < s->count; i++)
        if (!image_is_name(s->items[i].name)) return MAE_OK;
    return error_set(
        err, MAE_FORMAT,
        "%s: the first entry (%.200s) is no file, and no name of an image as the others "
        "are; if it is a header, remove it",
        l->where, s->items[0].name);
}

/* --- the file --------------------------------------------------------------------------------- */

static Status add_line(List *l, char *line, Error *err) {
    size_t n = strlen(line);
    bool header;
    if (n > SOURCE_MAX_NAME_BYTES)
        return error_set(err, MAE_FORMAT, "%s: line %lld is longer than %d bytes; not a path",
                         l->where, (long long)l->line, SOURCE_MAX_NAME_BYTES);
    if (n > 0 && line[n - 1] == '\r') line[--n] = '\0';
    if (is_blank(line)) return MAE_OK;
    if (is_comment(line)) {
        l->n_comments++;
        return MAE_OK;
    }
    char *tab = strchr(line, '\t');
    if (tab) *tab++ = '\0';
    Status status = tab ? check_label(l, line, tab, err) : MAE_OK;
    if (status == MAE_OK) status = look_for_header(l, line, tab, &header, err);
    if (status != MAE_OK || header) return status;
    return add_entry(l, line, tab, err);
}

/* *text: after the byte order mark of UTF-8. */
static Status check_text(const char *where, uint8_t *data, size_t bytes, char **text, Error *err) {
    *text = text_after_mark((char *)data);
    if (bytes >= 2 && (memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0))
        return error_set(err, MAE_FORMAT,
                         "%s: a text in UTF-16; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)",
                         where);
    if (memchr(data, 0, bytes))
        return error_set(err, MAE_FORMAT,
                         "%s: holds zero bytes; a list is a text file, in UTF-8 or plain bytes",
                         where);
    return MAE_OK;
}

static Status finish(List *l, Error *err) {
    Status status = MAE_OK;
    Source *s = l->source;
    if (s->count == 0)
        return error_set(err, MAE_EMPTY,
                         "%s: the list names no image; looked for lines `path` or `path<TAB>label`",
                         l->where);
    TRY(check_first(l, err));
    if (l->n_comments > 0)
        TRY(source_remark(s, err, LOG_INFO, "%.400s: left out: %lld lines that begin with #",
                          l->where, (long long)l->n_comments));
    TRY(source_label(s, true, err));
    TRY(source_describe(s, l->where, NULL, err));
done:
    return status;
}

/* Takes the data over. */
static Status read_list(Source *s, const char *where, uint8_t *data, size_t bytes, Error *err) {
    Status status = MAE_OK;
    char *text;
    List l = {.source = s, .where = where};
    TRY(check_text(where, data, bytes, &text, err));
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        l.line++;
        TRY(add_line(&l, line, err));
        TRY(source_check_entries(s, where, s->count, err));
    }
    TRY(finish(&l, err));
done:
    mem_free(data);
    return status;
}

static Status list_open(Source *s, const char *where, Error *err) {
    uint8_t *data = NULL;
    size_t bytes = 0;
    Status status = file_read(where, MAX_LIST_BYTES, &data, &bytes, err);
    return status == MAE_OK ? read_list(s, where, data, bytes, err) : status;
}

static Status input_open(Source *s, const char *where, Error *err) {
    uint8_t *data = NULL;
    size_t bytes = 0;
    Status status = file_read_input(MAX_LIST_BYTES, &data, &bytes, err);
    return status == MAE_OK ? read_list(s, where, data, bytes, err) : status;
}

const SourceKind source_list = {"list", list_open, source_fetch_file, source_identify_item, NULL};
const SourceKind source_input = {"list", input_open, source_fetch_file, source_identify_item, NULL};
