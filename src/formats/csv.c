/* See csv.h. Quotes and line ends: RFC 4180, but with a newline alone. */
#include "formats/csv.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/name.h"

enum { BUFFER_BYTES = 1 << 16, NUMBER_BYTES = 32 };

struct CsvWriter {
    FileWriter *file;
    bool begun; /* the row has a cell */
    size_t used;
    char buffer[BUFFER_BYTES];
};

Status csv_writer_open(const char *path, CsvWriter **out, Error *err) {
    CsvWriter *w = mem_alloc(sizeof *w);
    *out = NULL;
    if (!w) return error_set(err, MAE_MEMORY, "%s: not enough memory", path);
    Status status = file_writer_open(path, &w->file, err);
    if (status == MAE_OK)
        *out = w;
    else
        mem_free(w);
    return status;
}

static Status flush(CsvWriter *w, Error *err) {
    size_t n = w->used;
    w->used = 0;
    return n > 0 ? file_writer_write(w->file, w->buffer, n, err) : MAE_OK;
}

static Status put(CsvWriter *w, const char *text, size_t n, Error *err) {
    while (n > 0) {
        size_t room = BUFFER_BYTES - w->used, part = n < room ? n : room;
        memcpy(w->buffer + w->used, text, part);
        w->used += part;
        text += part;
        n -= part;
        if (w->used < BUFFER_BYTES) break;
        Status status = flush(w, err);
        if (status != MAE_OK) return status;
    }
    return MAE_OK;
}

static Status begin_cell(CsvWriter *w, Error *err) {
    bool first = !w->begun;
    w->begun = true;
    return first ? MAE_OK : put(w, ",", 1, err);
}

Status csv_writer_text(CsvWriter *w, const char *text, Error *err) {
    Status status = MAE_OK;
    char *name = name_escape(text, NAME_IN_LINE);
    if (!name) return error_set(err, MAE_MEMORY, "no memory for a name");
    TRY(begin_cell(w, err));
    TRY(put(w, "\"", 1, err));
    for (const char *from = name, *quote; *from; from = quote) {
        quote = strchr(from, '"');
        quote = quote ? quote + 1 : from + strlen(from);
        TRY(put(w, from, (size_t)(quote - from), err));
        if (quote[-1] == '"') TRY(put(w, "\"", 1, err));
    }
    TRY(put(w, "\"", 1, err));
done:
    mem_free(name);
    return status;
}

Status csv_writer_count(CsvWriter *w, int64_t n, Error *err) {
    char text[NUMBER_BYTES];
    int bytes = snprintf(text, sizeof text, "%" PRId64, n);
    Status status = begin_cell(w, err);
    return status == MAE_OK ? put(w, text, (size_t)bytes, err) : status;
}

/* The decimal point is one whatever the locale of the program says. */
Status csv_writer_floats(CsvWriter *w, const float *values, int64_t n, Error *err) {
    Status status = MAE_OK;
    for (int64_t i = 0; i < n; i++) {
        char text[NUMBER_BYTES];
        int bytes = snprintf(text, sizeof text, "%.9g", (double)values[i]);
        char *comma = strchr(text, ',');
        if (comma) *comma = '.';
        TRY(begin_cell(w, err));
        TRY(put(w, text, (size_t)bytes, err));
    }
done:
    return status;
}

Status csv_writer_end_row(CsvWriter *w, Error *err) {
    w->begun = false;
    return put(w, "\n", 1, err);
}

Status csv_writer_commit(CsvWriter *w, Error *err) {
    Status status = flush(w, err);
    return status == MAE_OK ? file_writer_commit(w->file, err) : status;
}

void csv_writer_close(CsvWriter *w) {
    if (!w) return;
    file_writer_close(w->file);
    mem_free(w);
}
