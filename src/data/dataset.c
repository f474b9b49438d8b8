/* Joins sources into one list of samples and keeps a cache of decoded images. A cached image is
 * never evicted, so a borrowed pointer stays valid until dataset_close; the lock covers only the
 * look-up and the insertion, decoding happens outside of it. */
#include "data/dataset.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/draw.h"
#include "data/image/image_notes.h"
#include "data/image/resample.h"
#include "data/source/source.h"

/* No epoch of training has this number. */
#define SPLIT_EPOCH UINT32_MAX

enum { SOUND = 1, LEFT_OUT = 2 }; /* once read to the end of the file without a fault; unreadable */

struct Dataset {
    Source **sources;
    int64_t *first; /* [n_sources + 1], index of each source's first sample */
    int n_sources;
    int64_t *chosen; /* [n_chosen] samples of the sources, ascending; NULL: all */
    int64_t n_chosen;
    const Source *classes; /* whose class names hold; NULL: no labels */
    char *text;            /* the sources as they were named */
    char *description;
    DatasetOptions options;
    pthread_mutex_t lock; /* guards cache and cached_bytes */
    Image *cache;         /* [count], pixels NULL: not there; NULL without a cache */
    int64_t cached_bytes;
    atomic_uchar *known; /* [count] SOUND, LEFT_OUT; 0: nothing is known yet */
    _Atomic int64_t n_left_out;
    ImageNotes notes; /* of the images read */
};

/* Takes the source over. */
static Status add_source(Dataset *d, Source *s, Error *err) {
    size_t n = (size_t)d->n_sources;
    if (!d->options.held_out) source_say(s); /* the other part of it has said so */
    void *p = mem_realloc(d->sources, n * sizeof *d->sources, (n + 1) * sizeof *d->sources);
    if (p) d->sources = p;
    if (p)
        p = mem_realloc(d->first, n ? (n + 1) * sizeof *d->first : 0, (n + 2) * sizeof *d->first);
    if (!p) {
        source_close(s);
        return source_no_memory(err);
    }
    d->first = p;
    if (n == 0) d->first[0] = 0;
    d->first[n + 1] = d->first[n] + s->count;
    d->sources[n] = s;
    d->n_sources++;
    return MAE_OK;
}

/* Does the text name one existing file or folder, so that commas in it do not join? */
static bool is_one_path(const char *text) {
    const char *colon = strpbrk(text, ":,");
    if (colon && *colon != ':') colon = NULL;
    return file_exists(text) || (colon && file_exists(colon + 1));
}

static Status add_sources(Dataset *d, const char *text, Error *err) {
    Status status = MAE_OK;
    char *copy = mem_strdup(text);
    if (!copy) return source_no_memory(err);
    bool one = d->options.memory || is_one_path(text);
    for (char *part = copy, *next; part; part = next) {
        next = one ? NULL : strchr(part, ',');
        if (next) *next++ = '\0';
        Source *s = NULL;
        TRY(source_open(part, d->options.memory, d->options.type, d->options.limits,
                        d->options.test, &s, err));
        TRY(add_source(d, s, err));
    }
done:
    mem_free(copy);
    return status;
}

static Status add_words(Dataset *d, const char *const *words, int64_t n, Error *err) {
    Status status = MAE_OK;
    for (int64_t i = 0, used; i < n; i += used) {
        Source *s = NULL;
        TRY(source_open_words(words + i, n - i, d->options.limits, &used, &s, err));
        TRY(add_source(d, s, err));
    }
done:
    return status;
}

static bool same_classes(const Source *a, const Source *b) {
    if (a->numbered && b->numbered) return true;
    if (a->n_classes != b->n_classes) return false;
    for (int c = 0; c < a->n_classes; c++)
        if (strcmp(a->class_names[c], b->class_names[c]) != 0) return false;
    return true;
}

/* The joined dataset has labels when all sources have the same classes; *differ: some had labels.
 */
static void agree_on_classes(Dataset *d, bool *differ) {
    const Source *widest = d->sources[0];
    bool labelled = false, same = true;
    for (int k = 0; k < d->n_sources; k++) {
        const Source *s = d->sources[k];
        labelled = labelled || s->n_classes > 0;
        same = same && s->n_classes > 0 && same_classes(s, d->sources[0]);
        if (s->n_classes > widest->n_classes) widest = s;
    }
    d->classes = same ? widest : NULL;
    *differ = labelled && !same;
}

static Status describe(Dataset *d, bool differ, Error *err) {
    d->description = mem_strdup(d->sources[0]->description);
    for (int k = 1; k < d->n_sources && d->description; k++) {
        char *longer = mem_printf("%s; %s", d->description, d->sources[k]->description);
        mem_free(d->description);
        d->description = longer;
    }
    if (differ && d->description) {
        char *longer =
            mem_printf("%s; joined without labels, because their classes differ", d->description);
        mem_free(d->description);
        d->description = longer;
    }
    return d->description ? MAE_OK : source_no_memory(err);
}

/* --- a part of the samples -------------------------------------------------------------------- */

/* Which samples are held out depends on the seed and on how many there are. */
static Status split(Dataset *d, Error *err) {
    int64_t total = d->first[d->n_sources];
    double share = d->options.split_share;
    int64_t n_out = (int64_t)(share * (double)total + 0.5);
    if (!(share > 0)) return MAE_OK;
    if (n_out < 1 || n_out >= total)
        return error_set(err, MAE_EMPTY, "%s: holding out a share of %g leaves nothing on one side",
                         d->description, share);
    int64_t *chosen = mem_alloc_array((size_t)total, sizeof *chosen), n = 0;
    if (!chosen) return source_no_memory(err);
    for (int64_t i = 0; i < total; i++) {
        bool out = rng_permute(d->options.seed, SPLIT_EPOCH, total, i) < n_out;
        if (out == d->options.held_out) chosen[n++] = i;
    }
    d->chosen = chosen;
    d->n_chosen = n;
    return MAE_OK;
}

/* Keeps the samples that are marked, in their order. */
static Status keep(Dataset *d, const uint8_t *marked, int64_t n_marked, Error *err) {
    int64_t *kept = mem_alloc_array((size_t)n_marked, sizeof *kept), n = 0;
    if (!kept) return source_no_memory(err);
    for (int64_t i = 0; n < n_marked; i++)
        if (marked[i]) kept[n++] = d->chosen ? d->chosen[i] : i;
    mem_free(d->chosen);
    d->chosen = kept;
    d->n_chosen = n;
    return MAE_OK;
}

static Status mark_drawn(const Dataset *d, int64_t wanted, uint8_t *marked, Error *err) {
    int64_t n = dataset_count(d);
    int *label = mem_alloc_array((size_t)n, sizeof *label);
    if (!label) return source_no_memory(err);
    for (int64_t i = 0; i < n; i++) label[i] = dataset_class(d, i);
    Status status =
        draw_by_class(label, n, dataset_n_classes(d), wanted, d->options.seed, marked, err);
    mem_free(label);
    return status;
}

/* The description says what is left of the whole. */
static Status limit(Dataset *d, Error *err) {
    Status status = MAE_OK;
    int64_t limit = d->options.limit, wanted = limit < 0 ? -limit : limit;
    if (limit == 0 || wanted >= dataset_count(d)) return MAE_OK;
    uint8_t *marked = mem_alloc((size_t)dataset_count(d));
    if (!marked) return source_no_memory(err);
    if (limit < 0)
        memset(marked, 1, (size_t)wanted);
    else
        TRY(mark_drawn(d, wanted, marked, err));
    TRY(keep(d, marked, wanted, err));
    char *longer =
        mem_printf(limit < 0 ? "%s; the first %lld" : "%s; %lld of them, drawn by the seed",
                   d->description, (long long)wanted);
    if (!longer) TRY(source_no_memory(err));
    mem_free(d->description);
    d->description = longer;
done:
    mem_free(marked);
    return status;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* words NULL: the sources that the text names. */
static Status open(const char *text, const char *const *words, int64_t n_words,
                   DatasetOptions options, Dataset **out, Error *err) {
    Status status = MAE_OK;
    bool differ = false;
    bool usual = options.type == MAE_U8 && (options.channels == 1 || options.channels == 3);
    ASSERT(usual ||
               (options.memory && options.channels >= 1 && options.channels <= IMAGE_MAX_CHANNELS),
           "%s images of %d channels", image_type_name(options.type), options.channels);
    Dataset *d = mem_alloc(sizeof *d);
    *out = NULL;
    if (!d) return source_no_memory(err);
    pthread_mutex_init(&d->lock, NULL);
    image_notes_init(&d->notes);
    d->options = options;
    d->text = mem_strdup(text);
    if (!d->text) TRY(source_no_memory(err));
    TRY(words ? add_words(d, words, n_words, err) : add_sources(d, text, err));
    agree_on_classes(d, &differ);
    TRY(describe(d, differ, err));
    TRY(split(d, err));
    TRY(limit(d, err));
    d->known = mem_alloc_array((size_t)dataset_count(d), sizeof *d->known);
    if (!d->known) TRY(source_no_memory(err));
    if (options.cache_bytes > 0 && !options.fast_decode) {
        d->cache = mem_alloc_array((size_t)dataset_count(d), sizeof *d->cache);
        if (!d->cache) TRY(source_no_memory(err));
    }
    *out = d;
    d = NULL;
done:
    dataset_close(d);
    return status;
}

Status dataset_open(const char *source, DatasetOptions options, Dataset **out, Error *err) {
    return open(source, NULL, 0, options, out, err);
}

Status dataset_open_words(const char *const *words, int64_t n, DatasetOptions options,
                          Dataset **out, Error *err) {
    ASSERT(n >= 1, "no words");
    return open("images given", words, n, options, out, err);
}

void dataset_close(Dataset *d) {
    if (!d) return;
    if (d->text) image_notes_say(&d->notes, d->text);
    if (d->cache)
        for (int64_t i = 0; i < dataset_count(d); i++) image_free(&d->cache[i]);
    mem_free(d->cache);
    mem_free(d->known);
    mem_free(d->chosen);
    for (int k = 0; k < d->n_sources; k++) source_close(d->sources[k]);
    mem_free(d->sources);
    mem_free(d->first);
    mem_free(d->description);
    mem_free(d->text);
    pthread_mutex_destroy(&d->lock);
    image_notes_free(&d->notes);
    mem_free(d);
}

int64_t dataset_count(const Dataset *d) {
    return d->chosen ? d->n_chosen : d->first[d->n_sources];
}

int64_t dataset_available(const Dataset *d) {
    return d->first[d->n_sources];
}

int dataset_channels(const Dataset *d) {
    return d->options.channels;
}

MaeType dataset_type(const Dataset *d) {
    return d->options.type;
}

int dataset_n_classes(const Dataset *d) {
    return d->classes ? d->classes->n_classes : 0;
}

const char *dataset_class_name(const Dataset *d, int class) {
    ASSERT(class >= 0 && class < dataset_n_classes(d), "class %d of %d", class,
           dataset_n_classes(d));
    return d->classes->class_names[class];
}

bool dataset_is_numbered(const Dataset *d) {
    return d->classes && d->classes->numbered;
}

/* Source of a sample and its index there. */
static const Source *locate(const Dataset *d, int64_t index, int64_t *local) {
    int k = 0;
    ASSERT(index >= 0 && index < dataset_count(d), "sample %lld of %lld", (long long)index,
           (long long)dataset_count(d));
    if (d->chosen) index = d->chosen[index];
    while (index >= d->first[k + 1]) k++;
    *local = index - d->first[k];
    return d->sources[k];
}

int dataset_class(const Dataset *d, int64_t index) {
    int64_t local;
    const Source *s = locate(d, index, &local);
    return d->classes ? s->items[local].class : -1;
}

const char *dataset_name(const Dataset *d, int64_t index) {
    int64_t local;
    const Source *s = locate(d, index, &local);
    return s->items[local].name;
}

bool dataset_identity(const Dataset *d, int64_t index, ImageIdentity *out) {
    int64_t local;
    const Source *s = locate(d, index, &local);
    return s->kind->identify(s, local, out);
}

bool dataset_is_given(const Dataset *d) {
    return d->options.memory != NULL;
}

const char *dataset_describe(const Dataset *d) {
    return d->description;
}

/* Shrinks im in place when its shorter side is larger than asked for. */
static Status limit_side(Image *im, int64_t max_side, Error *err) {
    int64_t shorter = im->width < im->height ? im->width : im->height;
    Image small;
    if (max_side <= 0 || shorter <= max_side) return MAE_OK;
    Box all = {0, 0, im->width, im->height};
    Status status = resample_crop(im, all, im->width * max_side / shorter,
                                  im->height * max_side / shorter, &small, err);
    if (status != MAE_OK) return status;
    image_free(im);
    *im = small;
    return MAE_OK;
}

static bool cache_find(Dataset *d, int64_t index, Sample *out) {
    if (!d->cache) return false;
    pthread_mutex_lock(&d->lock);
    *out = (Sample){d->cache[index], true};
    pthread_mutex_unlock(&d->lock);
    return out->image.pixels != NULL;
}

/* Hands a fresh image to the cache when there is room; when another thread was faster, its copy is
 * the one that is lent. */
static void cache_offer(Dataset *d, int64_t index, Sample *fresh) {
    Image *im = &fresh->image;
    int64_t bytes = im->width * im->height * im->channels * (int64_t)image_value_bytes(im->type);
    if (!d->cache) return;
    pthread_mutex_lock(&d->lock);
    Image *slot = &d->cache[index];
    if (slot->pixels) {
        image_free(im);
        *fresh = (Sample){*slot, true};
    } else if (bytes <= d->options.cache_bytes - d->cached_bytes) {
        d->cached_bytes += bytes;
        *slot = *im;
        fresh->borrowed = true;
    }
    pthread_mutex_unlock(&d->lock);
}

/* A crop for a source, given by the crop that was asked for. */
typedef struct Request {
    Dataset *dataset;
    ImageCrop *wanted;
    bool whole; /* the cache takes it */
} Request;

static bool cache_has_room(Dataset *d, int64_t bytes) {
    if (!d->cache) return false;
    pthread_mutex_lock(&d->lock);
    bool room = bytes <= d->options.cache_bytes - d->cached_bytes;
    pthread_mutex_unlock(&d->lock);
    return room;
}

static Box choose_box(void *user, int64_t width, int64_t height) {
    Request *q = user;
    const DatasetOptions *o = &q->dataset->options;
    int64_t pixel = o->channels * (int64_t)image_value_bytes(o->type);
    q->whole = cache_has_room(q->dataset, width * height * pixel);
    if (q->whole) return (Box){0, 0, width, height};
    return q->wanted->choose(q->wanted->user, width, height);
}

/* A fresh image; with a crop, wanted->box is where it lies there. */
static Status fetch_fresh(Dataset *d, int64_t index, Request *q, Image *out, Error *err) {
    int64_t local;
    const Source *s = locate(d, index, &local);
    ImageCrop crop = {
        .choose = choose_box, .user = q, .to_the_end = atomic_load(&d->known[index]) != SOUND};
    bool partly = q->wanted && d->options.max_side == 0;
    if (partly && d->options.fast_decode) {
        crop.min_width = q->wanted->min_width;
        crop.min_height = q->wanted->min_height;
    }
    Status status = s->kind->fetch(s, local, d->options.channels, partly ? &crop : NULL, out, err);
    if (status != MAE_OK) return status;
    if (out->type != d->options.type)
        return error_set(err, MAE_UNSUPPORTED, "%.500s: %s pixels, where all are to be %s",
                         s->items[local].name, image_type_name(out->type),
                         image_type_name(d->options.type));
    unsigned char nothing = 0;
    bool again = !atomic_compare_exchange_strong(&d->known[index], &nothing, SOUND);
    if (out->notes && !again)
        image_notes_add(&d->notes, out->notes, index, s->items[local].name, d->text);
    status = limit_side(out, d->options.max_side, err);
    if (q->wanted) q->wanted->box = crop.box;
    return status;
}

/* The size is that of the whole image. */
static void choose_of_whole(ImageCrop *crop, const Image *whole) {
    if (crop) crop->box = crop->choose(crop->user, whole->width, whole->height);
}

Status dataset_fetch_crop(Dataset *d, int64_t index, ImageCrop *crop, Sample *out, Error *err) {
    Request q = {d, crop, true};
    if (!cache_find(d, index, out)) {
        *out = (Sample){0};
        Status status = fetch_fresh(d, index, &q, &out->image, err);
        if (status != MAE_OK) {
            image_free(&out->image);
            *out = (Sample){0};
            return status;
        }
        if (q.whole) cache_offer(d, index, out);
    }
    if (q.whole) choose_of_whole(crop, &out->image);
    return MAE_OK;
}

Status dataset_fetch(Dataset *d, int64_t index, Sample *out, Error *err) {
    return dataset_fetch_crop(d, index, NULL, out, err);
}

bool dataset_leave_out(Dataset *d, int64_t index) {
    bool first = atomic_exchange(&d->known[index], LEFT_OUT) != LEFT_OUT;
    if (first) atomic_fetch_add(&d->n_left_out, 1);
    return first;
}

bool dataset_is_left_out(const Dataset *d, int64_t index) {
    return atomic_load(&d->known[index]) == LEFT_OUT;
}

int64_t dataset_n_left_out(const Dataset *d) {
    return atomic_load(&d->n_left_out);
}

bool dataset_is_image_fault(Status s) {
    return s == MAE_IO || s == MAE_FORMAT || s == MAE_UNSUPPORTED || s == MAE_SHAPE ||
           s == MAE_EMPTY;
}

void dataset_release(Sample *s) {
    if (!s->borrowed) image_free(&s->image);
    *s = (Sample){0};
}
