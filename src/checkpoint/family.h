/* Networks that look like a Vit and compute something else. The names of their tensors tell them
 * apart, so that a refusal can say what a file is. */
#ifndef CHECKPOINT_FAMILY_H
#define CHECKPOINT_FAMILY_H

#include "formats/tensorfile.h"

typedef struct FamilySign {
    const char *part;   /* of a name, between dots; a * at its end stands for anything */
    const char *family; /* "DINOv3"; NULL: of several */
    const char *what;   /* "rotary positions are not supported" */
} FamilySign;

/* The sign in a tensor's name (without prefix), NULL: none. The lower its address, the more telling
 * it is. */
const FamilySign *family_sign(const char *name);
/* For a file without a Vit: a sentence that says what it is; NULL: not known. *tensor names what
 * gives it away. */
const char *family_of_others(const TensorFile *file, const char **tensor);

#endif
