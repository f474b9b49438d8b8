/* What is known of a sample besides its pixels. For most data that is a class that the source says.
 * A task with other labels (boxes, a map of classes, soft targets) gives the loader a LabelKind. It
 * makes them from what source or task know of the image, at the place where its pixels went. */
#ifndef DATA_LABEL_H
#define DATA_LABEL_H

#include "data/augment/augment.h"
#include "data/dataset.h"

typedef struct Label {
    int class;  /* -1: none */
    void *more; /* what a LabelKind made; NULL: the class is all */
} Label;

/* Workers call both functions, several at once. */
typedef struct LabelKind {
    /* Fills out->more for an image of d; out->class is there. g says where its pixels went; NULL:
     * the sample has none. On an error nothing is left behind, and the batch fails. */
    Status (*make)(void *user, const Dataset *d, int64_t image, const Geometry *g, Label *out,
                   Error *err);
    void (*free)(void *more);
    void *user;
} LabelKind;

#endif
