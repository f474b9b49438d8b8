/* Names of classes, as a checkpoint keeps them and as data sets know them. */
#ifndef CHECKPOINT_CLASSES_H
#define CHECKPOINT_CLASSES_H

#include "data/dataset.h"

typedef struct ClassNames {
    int64_t n;
    char **name;
} ClassNames;

Status classes_from_dataset(const Dataset *d, ClassNames **out, Error *err);
/* From a JSON array of strings, as in the metadata of a checkpoint. where: for messages. */
Status classes_from_json(const char *text, const char *where, ClassNames **out, Error *err);
char *classes_to_json(const ClassNames *c);                  /* mem_free; NULL: no memory */
void classes_free(ClassNames *c);                            /* accepts NULL */
int64_t classes_find(const ClassNames *c, const char *name); /* -1: none */

/* Finds for each class of the data the class of the model, by name. If the model has no names, it
 * goes by number when the names of the data are plain numbers, otherwise by position when there are
 * as many classes. (*map)[n_classes of d], mem_free. SHAPE names the first class that has no place.
 * what: "--val", for messages. */
Status classes_map(const ClassNames *model, int64_t n_model, const Dataset *d, const char *what,
                   int **map, Error *err);
/* Warns of classes of the model that no image of d has, among those allowed (NULL: all). */
void classes_warn_of_missing(const ClassNames *model, int64_t n_model, const Dataset *d,
                             const int *map, const uint8_t *allowed, const char *what);
/* Reads the same map from a file with a line per class: `NAME`, `NAME<TAB>NUMBER`, or, in order of
 * the classes of the data, `NUMBER`. allowed[n_model]: 1 for listed classes, 0 for others. */
Status classes_map_file(const char *file, const ClassNames *model, int64_t n_model,
                        const Dataset *d, int **map, uint8_t *allowed, Error *err);

#endif
