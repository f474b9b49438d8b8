/* Python pickles as data. The opcodes of protocols 0 to 5 build a tree of values; nothing is ever
 * executed. A pickle can name any function of Python. Here a name is looked up in a closed list of
 * what checkpoints are made of (tensors, containers, numbers, text, numpy arrays:
 * pickle_objects.c). Whatever else is called becomes an object that keeps only its name and what it
 * was given (pickle_opaque.c).
 *
 * The bytes read bound memory and time. Every length is checked against what is left. The tree may
 * take 256 bytes for each byte of the pickle, and texts may take 1 GB. Bytes of more than 64 kB,
 * which are elements of arrays, stay where they are. Formats: descriptions in Lib/pickletools.py
 * and torch/serialization.py. */
#ifndef FORMATS_PICKLE_PICKLE_H
#define FORMATS_PICKLE_PICKLE_H

#include <stdbool.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/tensor.h"

typedef enum PickleKind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_BIG, /* an integer of more than 64 bits: little-endian two's complement in text */
    PICKLE_FLOAT,
    PICKLE_TEXT,
    PICKLE_BYTES,
    PICKLE_FAR, /* bytes that were left in the source */
    PICKLE_LIST,
    PICKLE_TUPLE,
    PICKLE_SET,
    PICKLE_DICT,       /* also the attributes of a Namespace */
    PICKLE_GLOBAL,     /* a name as a value: torch.float32 */
    PICKLE_NUMPY_TYPE, /* numpy.dtype */
    PICKLE_STORAGE,
    PICKLE_TENSOR, /* also a numpy array */
    PICKLE_OBJECT, /* what a name that is not in the list would make */
    PICKLE_OTHER   /* something only described, in text */
} PickleKind;

typedef struct PickleValue PickleValue;
typedef struct PickleGlobal PickleGlobal;

/* Elements that lie outside the pickle, under a key. */
typedef struct PickleStorage {
    DType dtype;      /* U8 when untyped */
    size_t width;     /* bytes of an element; 0: not known */
    const char *type; /* of elements that this library does not have; NULL: it has them */
    const char *key;  /* not terminated */
    size_t key_bytes;
    int64_t root_numel;   /* of the whole storage */
    int64_t first, numel; /* the part meant here, in elements */
    const struct PickleStorage *next;
} PickleStorage;

/* A window on a storage. Every element lies inside the part of the storage that is meant. */
typedef struct PickleTensor {
    const PickleStorage *storage; /* NULL: a numpy array */
    const uint8_t *data;          /* its elements; NULL: they are at byte `at` of the source */
    uint64_t at;
    DType dtype;
    Shape shape;
    int64_t stride[MAX_DIMS], offset; /* elements of dtype; offset from the start of the storage */
    /* Why it cannot be read, NULL when it can: "has elements of type uint16, ...". Then its type
     * has this name, and its shape is all that is known. */
    const char *refusal, *type;
} PickleTensor;

/* What would be the result of running code. */
typedef struct PickleObject {
    const PickleGlobal *class;  /* or function */
    PickleValue *args, *state;  /* of the call, and of BUILD; NULL: none */
    PickleValue *items, *pairs; /* appended, and set by key; NULL: none */
    bool seen;                  /* for walks that visit an object once */
} PickleObject;

struct PickleValue {
    PickleKind kind;
    bool attributes; /* of a dict: it is a Namespace */
    bool visiting;   /* for walks that must notice a value inside itself */
    union {
        bool flag;
        int64_t integer;
        double real;
        struct {
            const char *data; /* not terminated, in the arena; NULL: of far bytes */
            size_t bytes;
            uint64_t at; /* of far bytes, in the source */
        } text;
        struct {
            PickleValue **item; /* of a dict: key and value in turn */
            size_t n, capacity;
        } list;
        const PickleGlobal *global;
        struct {
            char code, order; /* 'f', '<' */
            int32_t bytes;
        } numpy;
        PickleStorage *storage;
        PickleTensor *tensor;
        PickleObject *object;
    };
};

typedef struct Pickle {
    PickleValue *root;
    size_t bytes;                  /* up to and with the STOP; more may follow in the file */
    const PickleStorage *storages; /* every mention of one */
    size_t n_storages;
} Pickle;

/* A tensor whose strides repeat elements (an expanded one) may claim any size; beyond its storage
 * it may have this many elements. */
#define PICKLE_MAX_EXPANDED ((int64_t)1 << 26)

/* Of the `bytes` from byte `start` of the source, which are inside it, to the STOP. Values live in
 * the arena. FORMAT: damaged or cut off; UNSUPPORTED: a protocol to come, too many opcodes; IO;
 * MEMORY.
 */
Status pickle_parse(const ByteSource *source, uint64_t start, uint64_t bytes, Arena *arena,
                    Pickle *out, Error *err);

/* "torch.float32". */
const char *pickle_global_module(const PickleGlobal *g);
const char *pickle_global_name(const PickleGlobal *g);

/* Of an object, and of what it was given: the first tensor. NULL: there is none. */
const PickleTensor *pickle_object_tensor(const PickleObject *o);

#endif
