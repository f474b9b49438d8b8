/* Any bytes as a tar shard: listed, each image fetched, listed again as two shards that are one
 * source. The sums of its headers are set right first, because a mutation would hardly ever get
 * past them; every eighth input keeps its own. */
#include <stdlib.h>

#include "decode_image.h"
#include "replay.h"

enum { BLOCK = 512, FUZZ_MAX_ENTRIES = 20 };

static void mend_header(uint8_t *block) {
    char text[8];
    unsigned sum = 0;
    memset(block + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++) sum += block[i];
    snprintf(text, sizeof text, "%06o", sum);
    memcpy(block + 148, text, 7);
}

/* Headers follow each other by their sizes. */
static void mend_headers(uint8_t *data, size_t bytes) {
    for (size_t at = 0; at < bytes && bytes - at >= BLOCK;) {
        char text[13] = "";
        uint8_t *block = data + at;
        at += BLOCK;
        if (block[0] == 0) continue;
        mend_header(block);
        memcpy(text, block + 124, 12);
        unsigned long size = strtoul(text, NULL, 8);
        if (size > bytes) return;
        at += (size + BLOCK - 1) / BLOCK * BLOCK;
    }
}

static Dataset *open_shards(const char *source, Error *err) {
    const DatasetOptions options = {
        .channels = 3, .limits = {.max_pixels = FUZZ_MAX_PIXELS, .max_entries = FUZZ_MAX_ENTRIES}};
    Dataset *d;
    Status status = dataset_open(source, options, &d, err);
    ASSERT((status == MAE_OK) == (d != NULL), "status %d", status);
    ASSERT((status == MAE_OK) == (err->message[0] == 0), "%s", err->message);
    return d;
}

static void check_labels(Dataset *d, const char *path) {
    int n = dataset_n_classes(d);
    for (int64_t i = 0; i < dataset_count(d); i++) {
        int label = dataset_class(d, i);
        const char *name = dataset_name(d, i);
        ASSERT(n ? label >= 0 && label < n : label == -1, "label %d of %d", label, n);
        ASSERT(strncmp(name, path, strlen(path)) == 0, "%s", name);
        ASSERT(strlen(name) <= strlen(path) + 1 + 4096, "a name of %zu bytes", strlen(name));
    }
    for (int c = 1; c < n && n < 1000; c++)
        ASSERT(strcmp(dataset_class_name(d, c - 1), dataset_class_name(d, c)) != 0, "class %d", c);
}

static void fetch_images(Dataset *d) {
    for (int64_t i = 0; i < dataset_count(d); i++) {
        Sample s;
        Error err = {0};
        Status status = dataset_fetch(d, i, &s, &err);
        fuzz_check_image(status, &s.image, 3, &err);
        if (status == MAE_OK) dataset_release(&s);
    }
}

/* Twice the images, unless that is too many. */
static void open_twice(const uint8_t *data, size_t bytes, const Dataset *once) {
    Error err = {0};
    char source[600];
    fuzz_write(fuzz_path("s1.tar"), data, bytes);
    snprintf(source, sizeof source, "tar:%s", fuzz_path("s{0..1}.tar"));
    Dataset *d = open_shards(source, &err);
    if (!d) {
        ASSERT(strstr(err.message, "--max-entries") != NULL, "%s", err.message);
        return;
    }
    ASSERT(dataset_count(d) == 2 * dataset_count(once), "%lld", (long long)dataset_count(d));
    ASSERT(dataset_n_classes(d) == dataset_n_classes(once), "%d", dataset_n_classes(d));
    dataset_close(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Error err = {0};
    Rng rng = fuzz_rng(data, bytes);
    uint8_t *copy = malloc(bytes ? bytes : 1);
    ASSERT(copy != NULL, "no memory");
    if (bytes) memcpy(copy, data, bytes);
    if (rng_below(&rng, 8) > 0) mend_headers(copy, bytes);
    fuzz_write(fuzz_path("s0.tar"), copy, bytes);
    Dataset *d = open_shards(fuzz_path("s0.tar"), &err);
    if (d) {
        check_labels(d, fuzz_path("s0.tar"));
        fetch_images(d);
        open_twice(copy, bytes, d);
        dataset_close(d);
    }
    free(copy);
    return 0;
}
