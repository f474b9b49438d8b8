/* A tree of pickled values as one list of named leaves. Dictionaries, lists, tuples, sets and
 * Namespaces are dissolved into names joined by dots ("optimizer.state.0.exp_avg"); the root has no
 * name of its own. Objects of other programs are searched for plain settings: what a subclass of
 * dict or list holds, arguments and attributes get names as if the object were plain. An object
 * without any is a text that says its class. */
#ifndef FORMATS_PICKLE_PICKLE_FLATTEN_H
#define FORMATS_PICKLE_PICKLE_FLATTEN_H

#include "formats/pickle/pickle.h"

typedef struct PickleLeaf {
    const char *name;
    const PickleTensor *tensor; /* NULL: a scalar, as text */
    const char *text;           /* 3, 0.10000000000000001, true, null, or the text itself */
    const char *refusal;        /* why the tensor cannot be read: its own reason, or where it is */
} PickleLeaf;

typedef struct PickleLeaves {
    PickleLeaf *leaf; /* freed by the caller (mem_free); texts live in the arena */
    size_t n, capacity;
} PickleLeaves;

/* FORMAT (outside of objects): a value contains itself, nesting deeper than 100, more leaves or
 * longer names than a pickle of this size can mean, a key that is no name; MEMORY. */
Status pickle_flatten(const char *path, const Pickle *pickle, Arena *arena, PickleLeaves *out,
                      Error *err);

#endif
