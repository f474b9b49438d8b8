/* Private to source_tar*.c: the shards of a tar source. source_tar.c expands names, opens and
 * fetches, source_tar_index.c finds out what is in a shard, source_tar_samples.c which of that are
 * images with which labels. */
#ifndef DATA_SOURCE_SOURCE_TAR_H
#define DATA_SOURCE_SOURCE_TAR_H

#include <archive.h>
#include <archive_entry.h>

#include "data/source/source.h"

#define TAR_BLOCK_BYTES ((size_t)65536)

typedef struct TarState {
    char **shards; /* in the arena of the source */
    int n_shards;
    size_t capacity;
    int64_t n_entries; /* seen so far */
    /* What is not taken, over all shards; an example of each. */
    LeftOut left;
    int64_t n_labels_alone, n_images_beside, n_links_lost;
    char *label_alone, *image_beside, *link_lost;
} TarState;

typedef enum TarKind { TAR_OTHER, TAR_IMAGE, TAR_LABEL } TarKind;

typedef struct TarEntry {
    const char *name;
    const char *link; /* the name of another entry that has the bytes; NULL: they are here */
    const char *text; /* of a label, in the arena of the source */
    int64_t offset, bytes;
    int64_t group; /* entries with one name up to the first dot, one after the other */
    TarKind kind;
    bool taken; /* an image that became an item, a label that one has, what an image links to */
} TarEntry;

typedef struct TarIndex {
    Arena *arena; /* names and links */
    TarEntry *entries;
    int64_t n;
    size_t capacity;
    bool has_links;
} TarIndex;

/* Opens a shard for libarchive, ready for its first header. */
Status tar_open_file(const char *path, int *fd, int64_t *bytes, Error *err);
/* The formats and options of both passes. */
Status tar_expect(struct archive *a, Error *err);
/* Every entry of a shard that may matter, in order. free it in any case. */
Status tar_index_read(Source *s, int shard, TarIndex *out, Error *err);
void tar_index_free(TarIndex *x);
/* Links get the place of what they lead to; those that lead out of the shard become TAR_OTHER. */
Status tar_index_resolve(Source *s, const TarIndex *x, Error *err);
/* Adds the images of a shard to s, and counts what is left out. */
Status tar_index_add_items(Source *s, int shard, TarIndex *x, Error *err);

#endif
