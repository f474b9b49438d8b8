/* A dataset is a fixed list of samples, which any thread can fetch by index. Its sources, which
 * docs/DATA.md describes in full:
 *
 *   folder:DIR     images below it, recursively; links are followed, hidden files and the pictures
 *                  of training runs are ignored. When every image lies in a sub-folder, each
 *                  sub-folder is a class, in the order of their names (by value when all are
 *                  numbers, else by bytes). Otherwise there are no labels
 *   list:FILE      a line `path` or `path<TAB>label`, relative to the file's folder; labels are
 *                  class numbers when all are numbers, otherwise names in the order of folders
 *   tar:PATTERN    WebDataset shards, {000..127} expands; KEY.jpg with KEY.cls for the label,
 *                  which is a number or a name as in a list
 *   cifar10:DIR, cifar100:DIR     the binary distribution; DIR:train or DIR:test
 *   synthetic:N or synthetic:NxHxW     generated smooth images with 10 labels
 *   memory:NAME    images that a program gives (MaeSource); only with DatasetOptions.memory
 *   tiles:DIR      the photos of a folder cut into a grid of 8 tiles a row; label = photo;
 *                  DIR:train and DIR:test are the two colours of the checkerboard, DIR is both
 *
 * Without a prefix the kind is found by looking. A directory with data_batch_1.bin is cifar10:, one
 * with train.bin is cifar100:, another one folder:. Names like *.tar or with braces are tar:;
 * *.txt, *.tsv, *.csv and *.lst are list:. A comma joins several sources; the whole has labels when
 * all have the same classes. What a source leaves out or loses in decoding goes to the log. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include "base/listener.h"
#include "data/image/image.h"

typedef struct Dataset Dataset;

/* What is refused rather than read; 0: the default of each. */
typedef struct SourceLimits {
    int64_t max_pixels;  /* of an image: IMAGE_MAX_PIXELS, at most IMAGE_PIXELS_CEILING */
    int64_t max_entries; /* of the shards of one tar source together, of a list: 100 million */
    Stop *stop;          /* gives up looking for images, INTERRUPTED; may be NULL */
} SourceLimits;

typedef struct DatasetOptions {
    int channels; /* 3 or 1; of a program's images also others, which all of them have then */
    MaeType type; /* MAE_U8; of a program's images also MAE_U16 or MAE_F32, which all have then */
    int64_t cache_bytes; /* decoded images kept in memory, 0 = none; first come, never evicted */
    int64_t max_side;    /* > 0: shrink on load so that the shorter side is at most this */
    SourceLimits limits;
    /* Gives the images of "memory:NAME", which is then the whole source; it outlives the dataset,
     * and is called by every thread that fetches. NULL: files. */
    const MaeSource *memory;
    /* > 0: a share of the samples, drawn by the seed, is held out; the dataset is the others, or,
     * with held_out, exactly those. */
    double split_share;
    bool held_out;
    bool test; /* a source of two splits that does not say which, cifar10: and cifar100:, is the
                  test */
    /* Of what is left then: N > 0: N samples drawn by the seed, of each class its share (draw.h);
     * -N: the first N; 0, or at least as many as there are: all. The order stays. */
    int64_t limit;
    uint64_t seed;
    /* JPEG may be decoded at a fraction of its size for a crop that is shrunk further anyway; then
     * there is no cache, in which whole images would give other pixels. */
    bool fast_decode;
} DatasetOptions;

Status dataset_open(const char *source, DatasetOptions options, Dataset **out, Error *err);
/* The images that words of a command line name, in their order: each word is a source as above, or
 * the path of an image (whatever is no source, readable or not), or "-": the lines of a list on
 * standard input, whose relative paths start at the current folder. Commas in words do not join. */
Status dataset_open_words(const char *const *words, int64_t n, DatasetOptions options,
                          Dataset **out, Error *err);
void dataset_close(Dataset *d);          /* accepts NULL */
int64_t dataset_count(const Dataset *d); /* >= 1 */
/* The same before a part was held out or a limit drawn: what tells a source that has grown. */
int64_t dataset_available(const Dataset *d);
int dataset_channels(const Dataset *d);
MaeType dataset_type(const Dataset *d);  /* of every image */
int dataset_n_classes(const Dataset *d); /* 0: no labels */
const char *dataset_class_name(const Dataset *d, int class);
/* Are the labels class numbers by themselves, as in a list, rather than names put in order? */
bool dataset_is_numbered(const Dataset *d);
int dataset_class(const Dataset *d, int64_t index);        /* -1: none */
const char *dataset_name(const Dataset *d, int64_t index); /* path or a made-up name; never NULL */
/* Does a program give the images? Whether one is also in a file is not known then. */
bool dataset_is_given(const Dataset *d);
/* What tells an image from all others, whatever it is called. */
typedef struct ImageIdentity {
    /* Of its file; IDENTITY_GENERATED: how images are made; of a program's: user and fetch. */
    uint64_t device, inode;
    int64_t place; /* in the file; IDENTITY_WHOLE_FILE */
} ImageIdentity;
#define IDENTITY_GENERATED UINT64_MAX
#define IDENTITY_WHOLE_FILE (-1)
/* false: it is not known, since the file cannot be looked at. */
bool dataset_identity(const Dataset *d, int64_t index, ImageIdentity *out);
/* A description of where it comes from, for the start of a run: "folder photos: 34 images, 3
 * classes" */
const char *dataset_describe(const Dataset *d);

/* A decoded image, either borrowed from the cache or fresh; release it in either case. Thread-safe.
 */
typedef struct Sample {
    Image image;
    bool borrowed;
} Sample;
Status dataset_fetch(Dataset *d, int64_t index, Sample *out, Error *err);
/* Images that could not be read, and are left out from then on wherever each counts once (see
 * LoaderOptions.leave_out). Thread-safe. True when the image was not among them before. */
bool dataset_leave_out(Dataset *d, int64_t index);
bool dataset_is_left_out(const Dataset *d, int64_t index);
int64_t dataset_n_left_out(const Dataset *d);
/* Does such a failure of a fetch say something about the image rather than about us? */
bool dataset_is_image_fault(Status s);
/* Only what the crop needs, where that saves work. An image fails here if and only if it fails
 * whole, so what is unreadable does not depend on what is asked of it. */
Status dataset_fetch_crop(Dataset *d, int64_t index, ImageCrop *crop, Sample *out, Error *err);
void dataset_release(Sample *s);

#endif
