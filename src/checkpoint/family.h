/* Networks that look like a Vit and compute something else, known by the names of their tensors, so
 * that a refusal can say what a file is. */
#ifndef CHECKPOINT_FAMILY_H
#define CHECKPOINT_FAMILY_H

#include "formats/tensorfile.h"

typedef struct FamilySign {
    const char *part;   /* of a name, between dots; a * at its end stands for anything */
    const char *family; /* "DINOv3"; NULL: of several */
    const char *what;   /* "rotary positions are not supported" */
} FamilySign;

/* The sign in a tensor's name (without prefix), NULL: none. The most telling ones come first, so
 * that of two signs the one with the lower address says more. */
const FamilySign *family_sign(const char *name);
/* For a file without a Vit: a sentence about what it is and the tensor that says it, NULL: not
 * known. */
const char *family_of_others(const TensorFile *file, const char **tensor);

#endif
