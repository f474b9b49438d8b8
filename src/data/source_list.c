/* list:FILE. One `path` or `path<TAB>label` a line; relative paths start at the file's folder;
 * empty lines are skipped. Labels that are all numbers are class numbers, otherwise names in byte
 * order. The files themselves are opened only when fetched. */
#include <string.h>

#include "base/file.h"
#include "data/source.h"

#define MAX_LIST_BYTES ((size_t)4 << 30)

static Status add_line(Source *s, const char *where, int64_t number, char *line, Error *err) {
    size_t n = strlen(line);
    const char *slash = strrchr(where, '/');
    if (n > SOURCE_MAX_NAME_BYTES)
        return fail(err, STATUS_FORMAT, "%s: line %lld is longer than %d bytes; not a path", where,
                    (long long)number, SOURCE_MAX_NAME_BYTES);
    if (n > 0 && line[n - 1] == '\r') line[--n] = '\0';
    char *tab = strchr(line, '\t');
    if (tab) *tab++ = '\0';
    if (!*line && !tab) return STATUS_OK;
    SourceItem item = {.label = -1};
    if (line[0] == '/')
        item.name = arena_strdup(s->arena, line);
    else
        item.name =
            arena_printf(s->arena, "%.*s%s", slash ? (int)(slash - where) + 1 : 0, where, line);
    if (tab && *tab) {
        item.text = arena_strdup(s->arena, tab);
        if (!item.text) return source_no_memory(err);
    }
    return source_add(s, item, err);
}

static Status list_open(Source *s, const char *where, Error *err) {
    Status status = STATUS_OK;
    uint8_t *data = NULL;
    size_t bytes = 0;
    int64_t number = 0;
    TRY(file_read(where, MAX_LIST_BYTES, &data, &bytes, err));
    if (memchr(data, 0, bytes)) {
        status = fail(err, STATUS_FORMAT, "%s: holds zero bytes; a list is a text file", where);
        goto done;
    }
    for (char *line = (char *)data, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        TRY(add_line(s, where, ++number, line, err));
        TRY(source_check_entries(s, where, s->count, err));
    }
    if (s->count == 0) {
        status =
            fail(err, STATUS_EMPTY,
                 "%s: the list names no image; looked for lines `path` or `path<TAB>label`", where);
        goto done;
    }
    TRY(source_label(s, true, err));
    TRY(source_describe(s, where, NULL, err));
done:
    mem_free(data);
    return status;
}

const SourceKind source_list = {"list", list_open, source_fetch_file, NULL};
