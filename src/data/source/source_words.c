/* Sources as words of a command line name them: a word is what dataset.h says of a source, or the
 * path of an image, or "-". Images that are named one after the other are one source. */
#include <string.h>

#include "base/file.h"
#include "data/source/source.h"

/* Its items are put in below. */
static const SourceKind images = {"images", NULL, source_fetch_file, source_identify_item, NULL};

/* What is no source is an image, whether it can be read or not: that is seen when it is fetched. */
static Status is_image(const char *word, bool *yes, Error *err) {
    const SourceKind *kind;
    Error why = {0};
    *yes = false;
    if (strcmp(word, "-") == 0 || source_prefix(word) || file_is_directory(word)) return MAE_OK;
    Status status = image_is_name(word) ? MAE_IO : source_guess(word, &kind, &why);
    if (status == MAE_MEMORY) return error_set(err, status, "%s", why.message);
    *yes = status != MAE_OK;
    return MAE_OK;
}

static Status open_input(SourceLimits limits, Source **out, Error *err) {
    Status status = source_new(&source_input, limits, false, out, err);
    if (status == MAE_OK) status = source_input.open(*out, "standard input", err);
    return status;
}

/* The images that the words begin with. */
static Status open_images(const char *const *words, int64_t n, SourceLimits limits, Source **out,
                          Error *err) {
    Status status = MAE_OK;
    bool more = true;
    TRY(source_new(&images, limits, false, out, err));
    for (int64_t i = 0; i < n && more; i++) {
        TRY(is_image(words[i], &more, err));
        if (!more) break;
        SourceItem item = {.name = arena_strdup((*out)->arena, words[i]), .class = -1};
        TRY(source_add(*out, item, err));
    }
    TRY(source_describe(*out, "given", NULL, err));
done:
    return status;
}

Status source_open_words(const char *const *words, int64_t n, SourceLimits limits, int64_t *used,
                         Source **out, Error *err) {
    bool image;
    *out = NULL;
    *used = 1;
    Status status = is_image(words[0], &image, err);
    if (status != MAE_OK) return status;
    if (image)
        status = open_images(words, n, limits, out, err);
    else if (strcmp(words[0], "-") == 0)
        status = open_input(limits, out, err);
    else
        return source_open(words[0], NULL, MAE_U8, limits, false, out, err);
    if (status == MAE_OK && image) *used = (*out)->count;
    if (status == MAE_OK) return status;
    source_close(*out);
    *out = NULL;
    return status;
}
