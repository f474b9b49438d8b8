/* What a dataset is made of, internal to this folder. A Source is a list of items with a function
 * that fetches them. An item has a name, a label, and a place whose meaning belongs to its kind. A
 * kind is one file source_x.c and one row of the table in source.c. Its open fills the items
 * through source_add and calls source_describe. What lives as long as the source goes into its
 * arena or state. */
#ifndef DATA_SOURCE_SOURCE_H
#define DATA_SOURCE_SOURCE_H

#include "base/log.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "data/source/left_out.h"

typedef struct SourceItem {
    char *name;       /* in the arena */
    const char *text; /* label as found, from which source_label makes the class; NULL: none */
    int class;        /* -1: none */
    int file;         /* tar: shard; cifar: batch file; tiles: photo */
    /* tar: header position; cifar: byte; tiles: number of the tile; folder: inode of the file */
    int64_t offset;
    int64_t bytes; /* tar: size of the image file; folder: device of the file */
} SourceItem;

typedef struct Source Source;

/* What is to be said of a source once it is open. In its arena, newest first. */
typedef struct SourceRemark {
    const struct SourceRemark *older;
    LogLevel level;
    const char *text;
} SourceRemark;

typedef struct SourceKind {
    const char *name; /* also the prefix, without the colon */
    Status (*open)(Source *s, const char *where, Error *err);
    /* crop NULL: everything; kinds that have nothing to save by it leave it alone. */
    Status (*fetch)(const Source *s, int64_t index, int channels, ImageCrop *crop, Image *out,
                    Error *err);
    bool (*identify)(const Source *s, int64_t index, ImageIdentity *out);
    void (*close)(Source *s); /* frees state; NULL where there is none */
} SourceKind;

struct Source {
    const SourceKind *kind;
    Arena *arena;
    SourceItem *items;
    int64_t count;
    size_t capacity;
    SourceLimits limits;     /* no number is 0 */
    bool test;               /* of two splits, where none is named */
    MaeType type;            /* of the images of memory */
    const MaeSource *memory; /* of memory: who gives the images; NULL: nobody */
    int n_classes;           /* 0: no labels */
    const char **class_names;
    bool numbered; /* the class names are just 0, 1, 2, ... */
    const char *description;
    const SourceRemark *remarks;
    void *state;
};

extern const SourceKind source_folder, source_list, source_tar, source_cifar10, source_cifar100,
    source_synthetic, source_tiles, source_memory;
/* The list on standard input, which only a word of a command line names. */
extern const SourceKind source_input;

/* text is one source as in dataset.h, without commas that join; memory and type as there. Never
 * empty on success. */
Status source_open(const char *text, const MaeSource *memory, MaeType type, SourceLimits limits,
                   bool test, Source **out, Error *err);
/* The next source of words of a command line, as dataset_open_words takes them; *used of the n
 * words are in it. */
Status source_open_words(const char *const *words, int64_t n, SourceLimits limits, int64_t *used,
                         Source **out, Error *err);
void source_close(Source *s); /* accepts NULL */
/* Without items and description, for what fills them by itself. */
Status source_new(const SourceKind *kind, SourceLimits limits, bool test, Source **out, Error *err);
/* The kind whose prefix the text has; NULL: none. */
const SourceKind *source_prefix(const char *text);
/* The kind of a text without a prefix, by its name or by looking at what is there. */
Status source_guess(const char *text, const SourceKind **kind, Error *err);

/* For the kinds. item.name NULL counts as memory having run out; INTERRUPTED: limits.stop. */
Status source_no_memory(Error *err);
Status source_add(Source *s, SourceItem item, Error *err);
/* May there be n entries? where: the file, for the message. */
Status source_check_entries(const Source *s, const char *where, int64_t n, Error *err);
/* Of one name in a file. */
#define SOURCE_MAX_NAME_BYTES 4096
/* Makes labels and class names from the texts: sorted by bytes, or by value where all are plain
 * numbers, or, with numbers set and every text
 * a number below 100000, the numbers themselves. All items or none must have a text. */
Status source_label(Source *s, bool numbers, Error *err);
/* Has every item a text, or none? FORMAT: some have. */
Status source_all_labelled(const Source *s, bool *labelled, Error *err);
/* Class names "0", "1", ... */
Status source_number_classes(Source *s, int n_classes, Error *err);
/* "KIND WHERE: N images, M classes" with a note such as "flat" in brackets, or NULL. */
Status source_describe(Source *s, const char *where, const char *note, Error *err);
/* Remembers a remark for source_say. */
Status source_remark(Source *s, Error *err, LogLevel level, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* All remarks go to the log, in the order in which they were made. */
void source_say(const Source *s);
/* The remark on what a source has left out: a warning when there are pictures among it. */
Status source_remark_left_out(Source *s, const char *where, LeftOut *left, Error *err);
/* A file or folder that systems put beside pictures, and hidden ones: one component of a path. */
bool source_is_clutter(const char *name);
/* Image at item's name, as the folder and list kinds need it. */
Status source_fetch_file(const Source *s, int64_t index, int channels, ImageCrop *crop, Image *out,
                         Error *err);
/* A place in a file; the whole file that an item is named after. */
bool source_identify_file(const char *path, int64_t place, ImageIdentity *out);
bool source_identify_item(const Source *s, int64_t index, ImageIdentity *out);
/* RGB pixels (rows row_bytes apart) into a fresh image of 3 or 1 channels (PIL's convert('L')). */
Status source_copy_rgb(const uint8_t *rgb, int64_t row_bytes, int64_t width, int64_t height,
                       int channels, Image *out, Error *err);
/* Splits "PATH:train" / "PATH:test": path into the arena, *split 0 = none, 1 = train, 2 = test. A
 * path that exists as it stands is never split. NULL when memory is short. */
char *source_split_suffix(Arena *arena, const char *text, int *split);
/* CIFAR as Python has it: pickles, which are not read here. FORMAT, with what to do instead, when a
 * folder holds them. */
Status source_refuse_cifar_pickles(const char *dir, Error *err);
/* Adds every image file of a folder, recursively, sorted by path component by component; names are
 * dir/relative, *prefix is the length of "dir/". What is left out becomes a remark. Fails with
 * EMPTY when there is none. */
Status source_add_files(Source *s, const char *dir, size_t *prefix, Error *err);

#endif
