/* Names of classes, as a checkpoint keeps them and as data sets know them. */
#ifndef CHECKPOINT_CLASSES_H
#define CHECKPOINT_CLASSES_H

#include "data/dataset.h"

typedef struct ClassNames {
    int64_t n;
    char **name;
} ClassNames;

Status classes_from_dataset(const Dataset *d, ClassNames **out, Error *err);
/* A JSON array of strings, as in the metadata of a checkpoint; where: for messages. */
Status classes_from_json(const char *text, const char *where, ClassNames **out, Error *err);
char *classes_to_json(const ClassNames *c);                  /* mem_free; NULL: no memory */
void classes_free(ClassNames *c);                            /* accepts NULL */
int64_t classes_find(const ClassNames *c, const char *name); /* -1: none */

/* Finds for each class of the data the class of the model: by name; where the model has no names,
 * by number when those of the data are plain numbers, otherwise by position if there are as many
 * classes. (*map)[n_classes of d], mem_free. SHAPE names the first class that cannot be placed.
 * what: "--val", for messages. */
Status classes_map(const ClassNames *model, int64_t n_model, const Dataset *d, const char *what,
                   int **map, Error *err);
/* Warns of classes of the model, among those allowed (NULL: all), that no image of d has. */
void classes_warn_of_missing(const ClassNames *model, int64_t n_model, const Dataset *d,
                             const int *map, const uint8_t *allowed, const char *what);
/* The same map from FILE: a line per class, `NAME`, `NAME<TAB>NUMBER`, or, in order of the classes
 * of the data, `NUMBER`. allowed[n_model] becomes 1 for the classes listed, 0 for all others. */
Status classes_map_file(const char *file, const ClassNames *model, int64_t n_model,
                        const Dataset *d, int **map, uint8_t *allowed, Error *err);

#endif
