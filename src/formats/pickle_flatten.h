/* A tree of pickled values as one list of named leaves: dictionaries, lists, tuples, sets and
 * Namespaces are dissolved into names joined by dots ("optimizer.state.0.exp_avg"), the root has no
 * name of its own. */
#ifndef FORMATS_PICKLE_FLATTEN_H
#define FORMATS_PICKLE_FLATTEN_H

#include "formats/pickle.h"

typedef struct PickleLeaf {
    const char *name;
    const PickleTensor *tensor; /* NULL: a scalar, as text */
    const char *text;           /* 3, 0.10000000000000001, true, null, or the text itself */
} PickleLeaf;

typedef struct PickleLeaves {
    PickleLeaf *leaf; /* freed by the caller (mem_free); texts live in the arena */
    size_t n, capacity;
} PickleLeaves;

/* FORMAT: a value contains itself, nesting deeper than 100, more leaves or longer names than a
 * pickle of this size can mean, a key that is no name; MEMORY. */
Status pickle_flatten(const char *path, const Pickle *pickle, Arena *arena, PickleLeaves *out,
                      Error *err);

#endif
