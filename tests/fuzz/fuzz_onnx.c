/* Bytes choose a small model and how it is exported. The ONNX file is then walked by the rules of
 * the wire and the messages of onnx.proto3: every message ends where its length says, has only
 * fields that the format knows, texts are UTF-8, and a tensor has the bytes of its shape. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "export/export_onnx.h"
#include "folder.h"
#include "load_model.h"
#include "replay.h"

/* --- the model -------------------------------------------------------------------------------- */

typedef struct Choices {
    const uint8_t *at;
    size_t n;
} Choices;

static int64_t choose(Choices *c, int64_t low, int64_t high) {
    if (c->n == 0) return low;
    c->n--;
    return low + *c->at++ % (high - low + 1);
}

static ModelConfig choose_model(Choices *b) {
    ModelConfig c = {.norm_eps = 1e-6};
    c.patch = choose(b, 1, 4);
    c.channels = choose(b, 1, 4);
    int64_t kind = choose(b, 0, 3);
    c.image_height = c.patch * choose(b, 1, 4);
    c.image_width = c.patch * choose(b, 1, 4);
    c.heads = choose(b, 1, 3);
    c.embed_dim = 4 * c.heads * choose(b, 1, 2);
    c.depth = choose(b, 1, 2);
    c.decoder_heads = choose(b, 1, 2);
    c.decoder_embed_dim = 4 * c.decoder_heads;
    c.decoder_depth = kind == 0 ? choose(b, 1, 2) : 0;
    c.mlp_ratio = 0.25 * (double)choose(b, 1, 8);
    c.target = (TargetKind)choose(b, TARGET_PIXEL, TARGET_PCA);
    c.pca_components = choose(b, 1, c.patch * c.patch * c.channels);
    c.mask_token_in_encoder = choose(b, 0, 1);
    c.head = kind == 1 ? HEAD_LINEAR : kind == 2 ? HEAD_PROBE : HEAD_NONE;
    c.pool = (PoolKind)choose(b, POOL_MEAN, POOL_CLS);
    c.classes = c.head == HEAD_NONE ? 0 : choose(b, 1, 8);
    for (int64_t i = 0; i < c.channels; i++) {
        c.mean[i] = (float)choose(b, 0, 255) / 255;
        c.std[i] = (float)choose(b, 1, 255) / 255;
    }
    return c;
}

static OnnxOptions choose_options(Choices *b) {
    static const DType types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_I8, DTYPE_F64};
    OnnxOptions o = {.kind = (OnnxKind)choose(b, ONNX_ENCODER, ONNX_RECONSTRUCTION)};
    o.batch = choose(b, -1, 3);
    o.dtype = types[choose(b, 0, 4)];
    o.mask_ratio = (double)choose(b, 0, 255) / 255;
    o.external_from = 16 * choose(b, 0, 255);
    return o;
}

/* A few values of any bits, not finite ones among them. */
static void set_weights(Choices *b, Vit *v) {
    for (int64_t turns = choose(b, 0, 4); turns > 0; turns--) {
        Param *p = params_at(v->params, choose(b, 0, params_count(v->params) - 1));
        float *w = mem_alloc_array((size_t)p->numel, sizeof *w);
        uint8_t bits[sizeof *w];
        ASSERT(w != NULL, "no memory");
        params_get(v->params, p, w);
        int64_t i = choose(b, 0, 255) % p->numel;
        for (size_t k = 0; k < sizeof bits; k++) bits[k] = (uint8_t)choose(b, 0, 255);
        memcpy(&w[i], bits, sizeof bits);
        params_set(v->params, p, w);
        mem_free(w);
    }
}

/* What is left of the bytes, cut at zeros. */
static ClassNames *choose_names(Choices *b, int64_t n) {
    ClassNames *c = mem_alloc(sizeof *c);
    ASSERT(c != NULL, "no memory");
    c->n = n;
    c->name = mem_alloc_array((size_t)n, sizeof *c->name);
    for (int64_t i = 0; i < n; i++) {
        size_t bytes = b->n ? strnlen((const char *)b->at, b->n) : 0;
        c->name[i] = mem_printf("%.*s", (int)bytes, b->n ? (const char *)b->at : "");
        size_t used = bytes < b->n ? bytes + 1 : bytes;
        if (used) b->at += used;
        b->n -= used;
    }
    return c;
}

/* --- the wire --------------------------------------------------------------------------------- */

typedef enum Kind {
    NUMBER, /* a varint */
    FLOAT,
    TEXT,
    BYTES,
    PACKED, /* varints, one after the other */
    MODEL,
    OPSET,
    ENTRY,
    GRAPH,
    NODE,
    ATTRIBUTE,
    VALUE,
    TYPE,
    TENSOR_TYPE,
    SHAPE_LIST,
    DIM,
    TENSOR
} Kind;

static const struct {
    Kind message;
    uint64_t field;
    Kind kind;
} FIELDS[] = {{MODEL, 1, NUMBER},
              {MODEL, 2, TEXT},
              {MODEL, 7, GRAPH},
              {MODEL, 8, OPSET},
              {MODEL, 14, ENTRY},
              {OPSET, 1, TEXT},
              {OPSET, 2, NUMBER},
              {ENTRY, 1, TEXT},
              {ENTRY, 2, TEXT},
              {GRAPH, 1, NODE},
              {GRAPH, 2, TEXT},
              {GRAPH, 5, TENSOR},
              {GRAPH, 11, VALUE},
              {GRAPH, 12, VALUE},
              {NODE, 1, TEXT},
              {NODE, 2, TEXT},
              {NODE, 3, TEXT},
              {NODE, 4, TEXT},
              {NODE, 5, ATTRIBUTE},
              {ATTRIBUTE, 1, TEXT},
              {ATTRIBUTE, 2, FLOAT},
              {ATTRIBUTE, 3, NUMBER},
              {ATTRIBUTE, 8, PACKED},
              {ATTRIBUTE, 20, NUMBER},
              {VALUE, 1, TEXT},
              {VALUE, 2, TYPE},
              {TYPE, 1, TENSOR_TYPE},
              {TENSOR_TYPE, 1, NUMBER},
              {TENSOR_TYPE, 2, SHAPE_LIST},
              {SHAPE_LIST, 1, DIM},
              {DIM, 1, NUMBER},
              {DIM, 2, TEXT},
              {TENSOR, 1, PACKED},
              {TENSOR, 2, NUMBER},
              {TENSOR, 8, TEXT},
              {TENSOR, 9, BYTES},
              {TENSOR, 13, ENTRY},
              {TENSOR, 14, NUMBER}};

static Kind kind_of(Kind message, uint64_t field) {
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
        if (FIELDS[i].message == message && FIELDS[i].field == field) return FIELDS[i].kind;
    ASSERT(false, "field %" PRIu64 " in message %d", field, message);
}

typedef struct Wire {
    const uint8_t *at;
    size_t n;
} Wire;

static uint64_t take_number(Wire *w) {
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        ASSERT(w->n > 0, "a number is cut off");
        uint8_t byte = *w->at++;
        w->n--;
        ASSERT(shift < 63 || byte <= 1, "a number of more than 64 bits");
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return v;
    }
    ASSERT(false, "a number of more than ten bytes");
}

static Wire take_bytes(Wire *w, uint64_t n) {
    ASSERT(n <= w->n, "%" PRIu64 " bytes, %zu are left", n, w->n);
    Wire inside = {w->at, (size_t)n};
    w->at += n;
    w->n -= (size_t)n;
    return inside;
}

/* Two to four bytes, the shortest that hold the number, no surrogates. */
static void check_utf8(Wire w) {
    while (w.n > 0) {
        uint8_t lead = *take_bytes(&w, 1).at;
        if (lead < 0x80) continue;
        int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        uint32_t c = lead & (0x3fu >> more);
        ASSERT(lead >= 0xc2 && lead < 0xf5, "a text that starts a letter with %02x", lead);
        for (int i = 0; i < more; i++) {
            uint8_t next = *take_bytes(&w, 1).at;
            ASSERT(next >> 6 == 2, "a text with %02x in a letter", next);
            c = c << 6 | (next & 0x3f);
        }
        ASSERT(more != 2 || (c >= 0x800 && c >> 11 != 0x1b), "U+%04" PRIX32, c);
        ASSERT(more != 3 || (c >= 0x10000 && c < 0x110000), "U+%04" PRIX32, c);
    }
}

/* --- the file --------------------------------------------------------------------------------- */

typedef struct Stored {
    uint64_t elements, bytes, type, offset, length;
    bool external, raw;
} Stored;

typedef struct Walk {
    int64_t tensors, nodes, class_names;
    uint64_t data_end; /* of the values in the second file */
} Walk;

static char *text_of(Wire w) {
    char *text = mem_printf("%.*s", (int)w.n, (const char *)w.at);
    ASSERT(text != NULL && strlen(text) == w.n, "a text with a NUL");
    return text;
}

static void end_entry(Walk *walk, Stored *t, Wire key, Wire value) {
    char *name = text_of(key), *text = text_of(value);
    ASSERT(*name, "an entry without a key");
    if (strcmp(name, "offset") == 0) t->offset = strtoull(text, NULL, 10);
    if (strcmp(name, "length") == 0) t->length = strtoull(text, NULL, 10);
    if (strcmp(name, "class_names") == 0) {
        ClassNames *c = NULL;
        ASSERT(classes_from_json(text, "class_names", &c, NULL) == MAE_OK, "%s", text);
        walk->class_names = c->n;
        classes_free(c);
    }
    mem_free(name);
    mem_free(text);
}

static uint64_t type_bytes(uint64_t type) {
    switch (type) {
    case 1: return 4;  /* FLOAT */
    case 3: return 1;  /* INT8 */
    case 7: return 8;  /* INT64 */
    case 10:           /* FLOAT16 */
    case 16: return 2; /* BFLOAT16 */
    default: ASSERT(false, "a tensor of type %" PRIu64, type);
    }
}

static void end_tensor(Walk *walk, const Stored *t) {
    uint64_t want = t->elements * type_bytes(t->type), got = t->external ? t->length : t->bytes;
    ASSERT(t->raw != t->external, "a tensor has its values once");
    ASSERT(got == want, "%" PRIu64 " bytes instead of %" PRIu64, got, want);
    walk->tensors++;
    if (!t->external) return;
    ASSERT(t->offset >= walk->data_end, "offset %" PRIu64 " is taken", t->offset);
    walk->data_end = t->offset + t->length;
}

static void walk_message(Walk *walk, Kind message, Wire w, Stored *t);

/* One field; t: the tensor it is in. */
static void walk_field(Walk *walk, Kind message, uint64_t field, Wire inside, Stored *t) {
    Kind kind = kind_of(message, field);
    if (kind == TEXT) check_utf8(inside);
    if (kind > PACKED) walk_message(walk, kind, inside, t);
    if (kind == PACKED) {
        while (inside.n > 0) {
            uint64_t v = take_number(&inside);
            if (message == TENSOR) t->elements *= v;
        }
    }
    if (kind != BYTES) return;
    t->bytes = inside.n;
    t->raw = true;
}

static void walk_message(Walk *walk, Kind message, Wire w, Stored *outer) {
    Stored own = {.elements = 1}, *t = message == TENSOR ? &own : outer;
    Wire text[3] = {{0}}; /* fields 1 and 2 of an entry */
    while (w.n > 0) {
        uint64_t tag = take_number(&w), field = tag >> 3, wire = tag & 7;
        Kind kind = kind_of(message, field);
        ASSERT(wire == (kind == NUMBER ? 0u : kind == FLOAT ? 5u : 2u), "wire type %" PRIu64, wire);
        if (kind == NUMBER) {
            uint64_t v = take_number(&w);
            if (message == TENSOR && field == 2) t->type = v;
            if (message == TENSOR && field == 14) t->external = v == 1;
            continue;
        }
        Wire inside = take_bytes(&w, kind == FLOAT ? 4 : take_number(&w));
        if (kind != FLOAT) walk_field(walk, message, field, inside, t);
        if (message == ENTRY) text[field] = inside;
    }
    walk->nodes += message == NODE;
    if (message == ENTRY) end_entry(walk, t, text[1], text[2]);
    if (message == TENSOR) end_tensor(walk, t);
}

static void walk_file(const char *path, const Vit *v, const CheckpointNotes *notes) {
    uint8_t *file, *data = NULL;
    size_t bytes, data_bytes = 0;
    Walk walk = {0};
    Stored none = {0};
    const char *data_path = fuzz_path("model.onnx.data");
    ASSERT(file_read(path, SIZE_MAX - 1, &file, &bytes, NULL) == MAE_OK, "%s", path);
    if (file_exists(data_path))
        ASSERT(file_read(data_path, SIZE_MAX - 1, &data, &data_bytes, NULL) == MAE_OK, "data");
    walk_message(&walk, MODEL, (Wire){file, bytes}, &none);
    ASSERT(walk.tensors > 0 && walk.nodes > 0, "an empty graph");
    ASSERT(walk.data_end == data_bytes, "%zu bytes in the second file", data_bytes);
    ASSERT(walk.class_names == (notes->classes ? v->config.classes : 0), "class names");
    mem_free(file);
    mem_free(data);
    file_remove(data_path, NULL);
    file_remove(path, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Choices b = {data, bytes};
    const ModelConfig c = choose_model(&b);
    const OnnxOptions o = choose_options(&b);
    CheckpointNotes notes = {.preset = "custom", .mask_ratio = 0.75};
    Error err = {0};
    Vit *v;
    ASSERT(vit_new(fuzz_device(), &c, GRADIENTS_NONE, TUNE_ALL, &v, &err) == MAE_OK, "%s",
           err.message);
    ASSERT(vit_init(v, bytes, &err) == MAE_OK, "%s", err.message);
    set_weights(&b, v);
    if (c.head != HEAD_NONE) notes.classes = choose_names(&b, c.classes);
    const char *path = fuzz_path("model.onnx");
    Status status = export_onnx(v, &notes, &o, path, &err);
    if (status == MAE_OK) {
        walk_file(path, v, &notes);
    } else {
        ASSERT(status == MAE_USAGE || status == MAE_UNSUPPORTED, "%s", err.message);
        ASSERT(err.message[0] != 0, "a failure without a message");
        ASSERT(!file_exists(path), "a failure leaves a file");
    }
    checkpoint_notes_free(&notes);
    vit_free(v);
    return 0;
}
