/* Opens a checkpoint of this project or another one, describes its model and reads its weights. The
 * bytes are the file. Where they start with "tensors\n" they are a list, of which a well-formed
 * safetensors file is made, because chance alone does not keep shapes and positions in step:
 *
 *   cls_token:1,1,4      a tensor of zeros
 *   format=mae.c         metadata */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "folder.h"
#include "load_model.h"
#include "replay.h"

static const char LIST_MARK[] = "tensors\n";

typedef struct List {
    FILE *tensors, *metadata; /* their JSON */
    uint64_t end;             /* of the values */
} List;

/* Only what JSON takes as it is. */
static void put_text(FILE *f, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        fputc(text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\' ? '_' : text[i],
              f);
}

/* "1,1,4": the sizes into dims; their product, or -1 when they are none or it is too large. */
static int64_t parse_shape(const char *text, size_t n, int64_t dims[MAX_DIMS], int *n_dims) {
    int64_t numel = 1;
    bool empty = false;
    char copy[256];
    snprintf(copy, sizeof copy, "%.*s", (int)n, text);
    char *at = copy;
    for (*n_dims = 0; isdigit((unsigned char)*at) && *n_dims < MAX_DIMS; at += *at == ',') {
        int64_t d = dims[(*n_dims)++] = strtoll(at, &at, 10);
        empty |= d == 0;
        numel = numel < 0 || d > 4096 ? -1 : numel * d;
        if (numel > 4096) numel = -1;
    }
    return *at ? -1 : empty ? 0 : numel;
}

static void add_tensor(List *l, const char *name, size_t n, const char *shape, size_t n_shape) {
    int64_t dims[MAX_DIMS];
    int n_dims;
    int64_t numel = parse_shape(shape, n_shape, dims, &n_dims);
    if (numel < 0) return;
    fprintf(l->tensors, ",\"");
    put_text(l->tensors, name, n);
    fprintf(l->tensors, "\":{\"dtype\":\"F32\",\"shape\":[");
    for (int i = 0; i < n_dims; i++) fprintf(l->tensors, "%s%" PRId64, i ? "," : "", dims[i]);
    fprintf(l->tensors, "],\"data_offsets\":[%" PRIu64, l->end);
    l->end += (uint64_t)numel * sizeof(float);
    fprintf(l->tensors, ",%" PRIu64 "]}", l->end);
}

static void add_line(List *l, const char *line, size_t n) {
    const char *equal = memchr(line, '=', n), *colon = memchr(line, ':', n);
    if (equal) {
        fprintf(l->metadata, "%s\"", ftell(l->metadata) ? "," : "");
        put_text(l->metadata, line, (size_t)(equal - line));
        fprintf(l->metadata, "\":\"");
        put_text(l->metadata, equal + 1, n - (size_t)(equal + 1 - line));
        fprintf(l->metadata, "\"");
    } else if (colon) {
        add_tensor(l, line, (size_t)(colon - line), colon + 1, n - (size_t)(colon + 1 - line));
    }
}

static void write_list(const char *path, const char *text, size_t n) {
    char *tensors, *metadata;
    size_t n_tensors, n_metadata;
    List l = {open_memstream(&tensors, &n_tensors), open_memstream(&metadata, &n_metadata), 0};
    ASSERT(l.tensors && l.metadata, "no memory");
    while (n > 0) {
        const char *newline = memchr(text, '\n', n);
        size_t line = newline ? (size_t)(newline - text) : n, used = line + (newline != NULL);
        add_line(&l, text, line);
        text += used;
        n -= used;
    }
    fclose(l.tensors);
    fclose(l.metadata);
    FILE *f = fopen(path, "wb");
    ASSERT(f != NULL, "%s cannot be written", path);
    uint64_t header = n_tensors + n_metadata + strlen("{\"__metadata__\":{}}");
    fwrite(&header, sizeof header, 1, f);
    fprintf(f, "{\"__metadata__\":{%s}%s}", metadata, tensors);
    ASSERT(fclose(f) == 0, "%s", path);
    ASSERT(truncate(path, (off_t)(sizeof header + header + l.end)) == 0, "%s", path);
    free(tensors);
    free(metadata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    const char *path = fuzz_path("checkpoint");
    size_t mark = strlen(LIST_MARK);
    if (bytes >= mark && memcmp(data, LIST_MARK, mark) == 0)
        write_list(path, (const char *)data + mark, bytes - mark);
    else
        fuzz_write(path, data, bytes);
    fuzz_open_checkpoint(path);
    return 0;
}
