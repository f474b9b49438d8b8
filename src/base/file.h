/* Files. A read gives the whole or a piece, with checked sizes. A write happens or does not: it
 * goes into a temporary name beside the target, is flushed to disk and renamed. Every message names
 * the path. file.c reads and knows names, file_write.c writes; file_move.c has digests, moves and
 * links. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* Bytes to be read a piece at a time: those of an open file, or of memory. No file is mapped: what
 * the disk cannot give, or another program cuts off, would be the end of the process, not an error.
 */
typedef struct ByteSource {
    const char *path;    /* for messages; outlives the source, as do data */
    const uint8_t *data; /* of memory */
    uint64_t bytes;      /* when it was opened */
    int fd;
    bool is_file;
} ByteSource;
/* IO: is not there, is no regular file (a pipe is never waited for). */
Status byte_source_open(const char *path, ByteSource *out, Error *err);
ByteSource byte_source_of(const char *path, const void *data, size_t bytes);
/* All of [at, at+bytes), which lies inside the source. `what` they are is for the message: "x.pth:
 * cannot read WHAT: Input/output error". IO: also when the file became shorter. */
Status byte_source_read(const ByteSource *s, uint64_t at, void *out, size_t bytes, const char *what,
                        Error *err);
void byte_source_close(ByteSource *s); /* accepts a zeroed one */

/* Whole file into fresh memory (mem_free), with a NUL after the last byte; fails when larger than
 * max_bytes. */
Status file_read(const char *path, size_t max_bytes, uint8_t **data, size_t *bytes, Error *err);
/* The same of standard input, up to its end. */
Status file_read_input(size_t max_bytes, uint8_t **data, size_t *bytes, Error *err);
/* The same, of a regular file only: never waits for the other end of a pipe. */
Status file_read_regular(const char *path, size_t max_bytes, uint8_t **data, size_t *bytes,
                         Error *err);

/* Atomic replacement. file_writer_open makes PATH.tmp. Commit flushes, fsyncs file and directory,
 * and renames. Close without commit removes the temporary file. Every write is checked.
 *
 * Only a regular file is ever replaced. A link is followed: the file it leads to is made, or
 * replaced beside itself. A pipe or character device is written into as the bytes come, and opening
 * a pipe waits for its reader. The same holds of "-", which is standard output, and of names of
 * descriptors (/dev/stdout, /dev/fd/3). IO: a folder, a block device, a socket. */
typedef struct FileWriter FileWriter;
Status file_writer_open(const char *path, FileWriter **out, Error *err);
Status file_writer_write(FileWriter *w, const void *data, size_t bytes, Error *err);
/* Other bytes where the first ones were; at most as many as have been written. No digest follows.
 * IO: of a stream. */
Status file_writer_replace_start(FileWriter *w, const void *data, size_t bytes, Error *err);
Status file_writer_commit(FileWriter *w, Error *err);
void file_writer_close(FileWriter *w); /* accepts NULL; after commit only frees */
/* What tells a file from a damaged or another one; crc32 is that of zlib, gzip and PNG. */
typedef struct FileDigest {
    int64_t bytes;
    uint32_t crc32;
} FileDigest;
/* From here on *d is the digest of what was written; before the first byte, to have it of all. */
void file_writer_follow(FileWriter *w, FileDigest *d);
/* What a path means for the writer, before any work: one that it would refuse (IO), one that it
 * writes into as it comes, standard output. */
Status file_check_output(const char *path, Error *err);
bool file_is_stream(const char *path);
bool file_is_standard_output(const char *path);
/* USAGE when the name ends like another kind of file. `what` goes into files that end in one of
 * `endings`, with blanks between them: "a picture", ".png". Other names are fine. */
Status file_check_ending(const char *path, const char *what, const char *endings, Error *err);
/* The three steps in one. */
Status file_write_all(const char *path, const void *data, size_t bytes, Error *err);

/* FOLDER/NAME (mem_free). */
Status file_path(const char *folder, const char *name, char **out, Error *err);
bool file_exists(const char *path);
/* Is there a FOLDER/NAME? MEMORY: nobody knows. */
Status file_is_in(const char *folder, const char *name, bool *there, Error *err);
bool file_is_directory(const char *path);
/* mkdir -p. */
Status file_make_directories(const char *path, Error *err);
Status file_remove(const char *path, Error *err); /* a missing file is fine */

Status file_digest(const char *path, FileDigest *out, Error *err);
/* Replaces `to`, which is there as it was or as it will be at any moment. */
Status file_rename(const char *from, const char *to, Error *err);
/* A second name of the same bytes, which replaces `to` at once; a copy where the file system has no
 * links. For files that are only ever replaced by renaming. */
Status file_link(const char *from, const char *to, Error *err);
/* Names made, renamed and removed in a folder reach the disk. Some file systems cannot do that;
 * theirs to answer for. */
Status file_sync_folder(const char *folder, Error *err);

#endif
