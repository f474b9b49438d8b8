/* Files: whole reads and memory maps with checked sizes, and writes that either happen or do not:
 * into a temporary name beside the target, flushed to disk, then renamed. Every message names the
 * path. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* Read-only view of a whole file. data is NULL when bytes is 0. */
typedef struct FileMap {
    const uint8_t *data;
    size_t bytes;
} FileMap;
Status file_map(const char *path, FileMap *out, Error *err);
void file_unmap(FileMap *m); /* accepts a zeroed map */
/* The whole pages between these bytes of a map will not be read soon: they need not stay in memory.
 * Reading them again brings them back. */
void file_map_release(const void *data, size_t bytes);

/* Whole file into fresh memory (mem_free), with a NUL after the last byte; fails when larger than
 * max_bytes. */
Status file_read(const char *path, size_t max_bytes, uint8_t **data, size_t *bytes, Error *err);

/* Atomic replacement. file_writer_open makes PATH.tmp; commit flushes, fsyncs file and directory
 * and renames; close without commit removes the temporary file. Every write is checked. */
typedef struct FileWriter FileWriter;
Status file_writer_open(const char *path, FileWriter **out, Error *err);
Status file_writer_write(FileWriter *w, const void *data, size_t bytes, Error *err);
Status file_writer_commit(FileWriter *w, Error *err);
void file_writer_close(FileWriter *w); /* accepts NULL; after commit only frees */
/* The three steps in one. */
Status file_write_all(const char *path, const void *data, size_t bytes, Error *err);

bool file_exists(const char *path);
bool file_is_directory(const char *path);
/* mkdir -p. */
Status file_make_directories(const char *path, Error *err);
Status file_remove(const char *path, Error *err); /* a missing file is fine */

#endif
