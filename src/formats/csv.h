/* Tables of text: rows of cells with commas between them. Texts are in quotes. */
#ifndef FORMATS_CSV_H
#define FORMATS_CSV_H

#include <stdint.h>

#include "base/status.h"

typedef struct CsvWriter CsvWriter;
/* As file_writer_open: a file is there when it is committed, a stream is written as rows come. */
Status csv_writer_open(const char *path, CsvWriter **out, Error *err);
/* A cell of the row. A text is as name_escape has it in a line, in quotes, quotes doubled. */
Status csv_writer_text(CsvWriter *w, const char *text, Error *err);
Status csv_writer_count(CsvWriter *w, int64_t n, Error *err);
/* n cells of 9 significant digits, which tell each float32 from all others; nan, inf, -inf. */
Status csv_writer_floats(CsvWriter *w, const float *values, int64_t n, Error *err);
Status csv_writer_end_row(CsvWriter *w, Error *err);
Status csv_writer_commit(CsvWriter *w, Error *err);
void csv_writer_close(CsvWriter *w); /* accepts NULL */

#endif
