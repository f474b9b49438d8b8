/* Pickles: every protocol, what other programs leave in them, what is refused and how it is said,
 * limits, truncation, numpy. Pickles that Python wrote lie in tests/fuzz/corpus/pickle. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "formats/pickle/pickle.h"
#include "formats/pickle/pickle_flatten.h"

Suite *suite_pickle(void);

typedef struct Read {
    Status status;
    Error err;
    Arena *arena;
    Pickle pickle;
    PickleLeaves leaves;
} Read;

static Read read_bytes(const void *data, size_t bytes) {
    Read r = {.arena = arena_new()};
    ck_assert_ptr_nonnull(r.arena);
    ByteSource source = byte_source_of("test.pkl", data, bytes);
    r.status = pickle_parse(&source, 0, bytes, r.arena, &r.pickle, &r.err);
    if (r.status == MAE_OK)
        r.status = pickle_flatten("test.pkl", &r.pickle, r.arena, &r.leaves, &r.err);
    return r;
}

static void release(Read *r) {
    mem_free(r->leaves.leaf);
    arena_free(r->arena);
}

static const PickleLeaf *leaf(const Read *r, const char *name) {
    for (size_t i = 0; i < r->leaves.n; i++)
        if (strcmp(r->leaves.leaf[i].name, name) == 0) return &r->leaves.leaf[i];
    ck_abort_msg("no %s", name);
    return NULL;
}

static void expect(const Read *r, const char *name, const char *text) {
    ck_assert_str_eq(leaf(r, name)->text, text);
}

static void refuse(const void *data, size_t bytes, Status status, const char *words) {
    Read r = read_bytes(data, bytes);
    ck_assert_msg(r.status == status && strstr(r.err.message, words) != NULL,
                  "%s instead of '%s': %s", mae_status_name(r.status), words, r.err.message);
    release(&r);
}

#define REFUSE(literal, status, words) refuse(literal, sizeof literal - 1, status, words)

static uint8_t *corpus(const char *name, size_t *bytes) {
    char path[256];
    uint8_t *data;
    snprintf(path, sizeof path, "tests/fuzz/corpus/pickle/%s", name);
    ck_assert_int_eq(file_read(path, 1000000, &data, bytes, NULL), MAE_OK);
    return data;
}

/* The same object through each protocol. */
START_TEST(protocols) {
    static const char *const wanted[][2] = {
        {"a.0", "1"},
        {"a.1", "-2"},
        {"a.2", "1099511627776"},                 /* 2^40 */
        {"a.3", "1180591620717411303424"},        /* 2^70 */
        {"a.4", "-1237940039285380274899124224"}, /* -2^90 */
        {"a.5", "0.5"},
        {"a.6", "null"},
        {"a.7", "true"},
        {"a.8", "\xC3\xBC"},
        {"a.9", "b'\\x00\\xff'"},
        {"t.0", "1"},
        {"t2.1", "2"},
        {"s.0", "1"},
        {"f.0", "2"},
        {"od.x", "1"},
        {"dd.k.0", "3"},
        {"ns.model", "mae_vit_base_patch16"},
        {"ns.dist", "false"},
        {"ns.path", "/a/b"},
        {"ba", "b'xy'"},
        {"5", "five"},
        {"null", "none"},
        {"2.5", "real"},
    };
    size_t bytes;
    char name[32];
    snprintf(name, sizeof name, "protocol%d.pkl", _i);
    uint8_t *data = corpus(name, &bytes);
    Read r = read_bytes(data, bytes);
    ck_assert_msg(r.status == MAE_OK, "%s", r.err.message);
    ck_assert_uint_eq(r.pickle.bytes, bytes);
    ck_assert_uint_eq(r.leaves.n, 25);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        expect(&r, wanted[i][0], wanted[i][1]);
    ck_assert_double_eq(strtod(leaf(&r, "ns.lr")->text, NULL), 1.5e-4);
    release(&r);
    mem_free(data);
}
END_TEST

START_TEST(numpy_values) {
    size_t bytes;
    char name[32];
    snprintf(name, sizeof name, "numpy%d.pkl", _i);
    uint8_t *data = corpus(name, &bytes);
    Read r = read_bytes(data, bytes);
    ck_assert_msg(r.status == MAE_OK, "%s", r.err.message);
    expect(&r, "s", "0.5");
    expect(&r, "i", "-7");
    expect(&r, "b", "true");
    ck_assert_str_eq(leaf(&r, "u")->refusal,
                     "is an array of numpy u4, which is not read; save it as float32");
    const PickleTensor *a = leaf(&r, "a")->tensor, *f = leaf(&r, "f")->tensor;
    ck_assert(a->dtype == DTYPE_F32 && shape_equal(a->shape, SHAPE(2, 3)));
    ck_assert(a->stride[0] == 3 && a->stride[1] == 1);
    ck_assert(f->dtype == DTYPE_I64 && f->stride[0] == 1 && f->stride[1] == 2);
    float last;
    memcpy(&last, a->data + 5 * sizeof last, sizeof last);
    ck_assert_float_eq(last, 5);
    release(&r);
    mem_free(data);
}
END_TEST

/* A cut-off pickle is an error wherever the cut is. */
START_TEST(truncation) {
    static const char *const names[] = {"protocol0.pkl", "protocol2.pkl", "protocol5.pkl",
                                        "numpy4.pkl",    "odd.pkl",       "objects4.pkl"};
    size_t bytes;
    uint8_t *data = corpus(names[_i], &bytes);
    for (size_t n = 0; n < bytes; n++) {
        uint8_t *part = malloc(n > 0 ? n : 1); /* exactly n bytes, for the sanitizer */
        memcpy(part, data, n);
        Read r = read_bytes(part, n);
        ck_assert_int_eq(r.status, MAE_FORMAT);
        release(&r);
        free(part);
    }
    mem_free(data);
}
END_TEST

/* Damage anywhere gives values or a message. */
START_TEST(flipped_bytes) {
    static const char *const names[] = {"protocol0.pkl", "protocol5.pkl", "numpy4.pkl", "odd.pkl",
                                        "numpy_odd4.pkl"};
    size_t bytes;
    uint8_t *data = corpus(names[_i], &bytes);
    for (size_t i = 0; i < bytes; i++)
        for (int bit = 0; bit < 8; bit++) {
            data[i] ^= (uint8_t)(1 << bit);
            Read r = read_bytes(data, bytes);
            ck_assert(r.status == MAE_OK || r.err.message[0] != 0);
            release(&r);
            data[i] ^= (uint8_t)(1 << bit);
        }
    mem_free(data);
}
END_TEST

static void read_as(const void *data, size_t bytes, const char *name, const char *text) {
    Read r = read_bytes(data, bytes);
    ck_assert_msg(r.status == MAE_OK, "%s", r.err.message);
    expect(&r, name, text);
    release(&r);
}

#define READ(literal, name, text) read_as(literal, sizeof literal - 1, name, text)

/* What Python would run is a value that says what it is. */
START_TEST(code_is_a_value) {
    READ("cos\nsystem\n(S'echo hello'\ntR.", "value", "an object of os.system");
    READ("\x80\x04\x8c\x08"
         "builtins\x8c\x04"
         "eval\x93.",
         "value", "builtins.eval");
    READ("(S'true'\nios\nsystem\n.", "value", "an object of os.system");
    READ("c__main__\nModel\n)\x81.", "value", "an object of __main__.Model");
    READ("ctorch.serialization\nload\n.", "value", "torch.serialization.load");
    READ("cos\nsys\033[2Jtem\n.", "value", "os.sys?[2Jtem");
    /* Names of the list are not functions of just anything. */
    READ("cbuiltins\nint\n(I1\ntR.", "value", "an object of builtins.int");
    READ("cbuiltins\ndict\n(I1\ntR.", "value", "an object of builtins.dict");
    READ("ctorch\ndevice\n(I1\ntR.", "value", "an object of torch.device");
    READ("cargparse\nNamespace\n)}X\x01\0\0\0aK\x01s\x92.", "a", "1");
    READ("\x82\x01.", "value", "copyreg.extension");
    READ("\x97.", "value", "a buffer outside of the file");
    READ("(lp0\nPsomewhere\na.", "0", "something outside of the file");
    READ("(lp0\nI5\nQa.", "0", "something outside of the file");
    /* Put into, given a state, called again. */
    READ("cm\nA\n)\x81(K\x01K\x02"
         "e.",
         "1", "2");
    READ("cm\nA\n)\x81(K\x01K\x02u.", "1", "2");
    READ("cm\nA\n)\x81K\x07"
         "b.",
         "value", "an object of m.A");
    READ("cm\nA\n)R)R.", "value", "an object of m.A");
    REFUSE("I1\n(tR.", MAE_FORMAT, "no function");
    REFUSE("cm\nA\n)\x81(K\x01u.", MAE_FORMAT, "damaged");
    REFUSE("\x80\x06.", MAE_UNSUPPORTED, "protocol 6");
}
END_TEST

/* One of everything that training programs leave in their files, through each protocol. */
START_TEST(objects) {
    static const char *const wanted[][2] = {
        {"args.model", "vit_base"},
        {"args.mask_ratio", "0.75"},
        {"args.nested.lr", "0.5"},
        {"cfg.model", "a"},
        {"yacs.MODEL.NAME", "b"},
        {"omega.model", "c"},
        {"omega.optim.lr", "0.25"},
        {"date", "an object of datetime.datetime"},
        {"stage", "an object of lightning.stage.Stage"},
        {"partial.k", "2"},
        {"hook", "other.rows.hook"},
        {"inner", "an object of other.rows.Outer.Inner"},
        {"innerclass", "other.rows.Outer.Inner"},
        {"deque.1", "2"},
        {"rows.1", "5"},
        {"cycle.width", "8"},
        {"cycle.other.me", "an object of other.rows.Old"},
        {"keys.Stage#1", "2"},
        {"keys.tuple#2", "3"},
        {"last", "9"},
    };
    size_t bytes;
    char name[32];
    snprintf(name, sizeof name, "objects%d.pkl", _i);
    uint8_t *data = corpus(name, &bytes);
    Read r = read_bytes(data, bytes);
    ck_assert_msg(r.status == MAE_OK, "%s", r.err.message);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        expect(&r, wanted[i][0], wanted[i][1]);
    release(&r);
    mem_free(data);
}
END_TEST

/* Arrays and types that this library does not have: listed, and refused to who needs them. */
START_TEST(odd_arrays) {
    size_t bytes;
    char name[32];
    snprintf(name, sizeof name, "numpy_odd%d.pkl", _i);
    uint8_t *data = corpus(name, &bytes);
    Read r = read_bytes(data, bytes);
    ck_assert_msg(r.status == MAE_OK, "%s", r.err.message);
    ck_assert_ptr_nonnull(strstr(leaf(&r, "big")->refusal, "numpy >f4"));
    ck_assert_str_eq(leaf(&r, "t")->tensor->type, "numpy U2");
    ck_assert_ptr_nonnull(leaf(&r, "rec")->refusal);
    expect(&r, "ma", "an object of numpy.ma.core._mareconstruct");
    ck_assert_ptr_null(leaf(&r, "ok")->refusal);
    ck_assert_int_eq(leaf(&r, "ok")->tensor->dtype, DTYPE_F32);
    release(&r);
    mem_free(data);
}
END_TEST

START_TEST(damage_is_refused) {
    REFUSE(".", MAE_FORMAT, "there is none");
    REFUSE("(.", MAE_FORMAT, "there is none");
    REFUSE("t.", MAE_FORMAT, "mark");
    REFUSE("K\x01(0a.", MAE_FORMAT, "damaged");
    REFUSE("](K\x01K\x02u.", MAE_FORMAT, "holds none");
    REFUSE("}(K\x01u.", MAE_FORMAT, "holds none");
    REFUSE("(K\x01"
           "d.",
           MAE_FORMAT, "key without a value");
    REFUSE("h\x07.", MAE_FORMAT, "never stored");
    REFUSE("Nr\xff\xff\xff\x7f.", MAE_FORMAT, "out of order");
    REFUSE("X\xff\xff\xff\xff.", MAE_FORMAT, "cut off");
    REFUSE("\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", MAE_FORMAT, "cut off");
    REFUSE("\x8b\xff\xff\xff\xff.", MAE_FORMAT, "cut off");
    REFUSE("I12x\n.", MAE_FORMAT, "no number");
    REFUSE("I12", MAE_FORMAT, "without an end");
    REFUSE("Sabc\n.", MAE_FORMAT, "quotes");
    REFUSE("}X\x02\0\0\0a\0K\x01s.", MAE_FORMAT, "no proper text");
    REFUSE("}X\x02\0\0\0\xc0\x80K\x01s.", MAE_FORMAT, "no proper text");
    REFUSE("}]K\x01s.", MAE_FORMAT, "neither text nor a number");
    REFUSE("}X\x01\0\0\0sC\x01x\x8f(K\x01\x90"
           "b.",
           MAE_FORMAT, "has none");
}
END_TEST

START_TEST(hostile_sizes) {
    size_t bytes;
    uint8_t *data = corpus("cycle.pkl", &bytes);
    refuse(data, bytes, MAE_FORMAT, "contains itself");
    mem_free(data);
    data = corpus("laughs.pkl", &bytes); /* 10^30 leaves in 300 bytes */
    refuse(data, bytes, MAE_FORMAT, "unfolds");
    mem_free(data);
    data = corpus("deep.pkl", &bytes);
    refuse(data, bytes, MAE_FORMAT, "nested deeper");
    mem_free(data);
    /* A Namespace that is its own state. */
    REFUSE("cargparse\nNamespace\n)\x81q\0h\0"
           "b.",
           MAE_OK, "");
    /* Sets that copy a growing list again and again: the tree may not outgrow the file. */
    size_t n = 0, room = 400000;
    uint8_t *p = malloc(room);
    n += (size_t)snprintf((char *)p, room, "cbuiltins\nset\nq%c](", 1);
    while (n < room / 2) p[n++] = 'N';
    memcpy(p + n, "eq\002", 3);
    for (n += 3; n + 16 < room; n += 10) memcpy(p + n, "h\001h\002\205R(N\2200", 10);
    p[n++] = 'N';
    p[n++] = '.';
    refuse(p, n, MAE_FORMAT, "hostile");
    free(p);
}
END_TEST

/* --- More than is read at a time -------------------------------------------------------------- */

/* Texts in binary and in lines, which lie across the ends of what is read in one piece. */
START_TEST(many_texts) {
    enum { N = 20000 };
    char *p = malloc(40 * N), name[32], want[32];
    size_t n = 1;
    p[0] = '(';
    for (int i = 0; i < N; i++)
        n += (size_t)snprintf(p + n, 32, i % 2 ? "S'line %05d'\n" : "U\nline %05d", i);
    memcpy(p + n, "l.", 2);
    Read r = read_bytes(p, n + 2);
    ck_assert_msg(r.status == MAE_OK, "%s", r.err.message);
    for (int i = 0; i < N; i++) {
        snprintf(want, sizeof want, "line %05d", i);
        snprintf(name, sizeof name, "%d", i);
        ck_assert_str_eq(r.leaves.leaf[i].name, name);
        ck_assert_str_eq(r.leaves.leaf[i].text, want);
    }
    ck_assert_uint_eq(r.leaves.n, N);
    release(&r);
    free(p);
}
END_TEST

/* --- Tensors ---------------------------------------------------------------------------------- */

/* A tensor in protocol 0, of a storage with 10 floats. */
static Status tensor(const char *offset, const char *size, const char *stride, const char *words) {
    char text[512];
    snprintf(text, sizeof text,
             "ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\n"
             "I10\ntQI%s\n(%st(%stI00\nNtR.",
             offset, size, stride);
    Read r = read_bytes(text, strlen(text));
    if (r.status == MAE_OK && words != NULL) {
        ck_assert_ptr_nonnull(strstr(leaf(&r, "tensor")->refusal, words));
        r.status = MAE_UNSUPPORTED;
    } else if (words != NULL)
        ck_assert_msg(strstr(r.err.message, words) != NULL, "'%s': %s", words, r.err.message);
    release(&r);
    return r.status;
}

START_TEST(windows) {
    ck_assert_int_eq(tensor("0", "I2\nI5\n", "I5\nI1\n", NULL), MAE_OK);
    ck_assert_int_eq(tensor("9", "", "", NULL), MAE_OK);
    ck_assert_int_eq(tensor("0", "I0\nI9\n", "I9\nI1\n", NULL), MAE_OK);
    ck_assert_int_eq(tensor("7", "I2\nI0\n", "I99\nI1\n", NULL), MAE_OK);
    ck_assert_int_eq(tensor("3", "I1000000\nI7\n", "I0\nI1\n", NULL), MAE_OK);
    ck_assert_int_eq(tensor("10", "", "", "beyond its storage"), MAE_FORMAT);
    ck_assert_int_eq(tensor("-1", "I2\n", "I1\n", "beyond its storage"), MAE_FORMAT);
    ck_assert_int_eq(tensor("1", "I2\nI5\n", "I5\nI1\n", "beyond its storage"), MAE_FORMAT);
    ck_assert_int_eq(tensor("0", "I2\n", "I9223372036854775807\n", "beyond"), MAE_FORMAT);
    ck_assert_int_eq(
        tensor("0", "I3\nI3\n", "I4611686018427387904\nI4611686018427387904\n", "beyond"),
        MAE_FORMAT);
    ck_assert_int_eq(tensor("0", "I2\n", "I-1\n", "stride"), MAE_FORMAT);
    ck_assert_int_eq(tensor("0", "I-2\n", "I1\n", "size"), MAE_FORMAT);
    ck_assert_int_eq(tensor("0", "I2\n", "", "with 0 strides"), MAE_FORMAT);
    ck_assert_int_eq(tensor("0", "I4294967296\nI4294967296\nI0\n", "I0\nI0\nI0\n", "size"),
                     MAE_FORMAT);
    ck_assert_int_eq(tensor("0", "I1073741824\n", "I0\n", "repeats"), MAE_UNSUPPORTED);
    ck_assert_int_eq(tensor("0", "I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\n", "", "dimensions"),
                     MAE_UNSUPPORTED);
}
END_TEST

#define STORAGE(type, key) "((S'storage'\nctorch\n" type "\nS'" key "'\nS'cpu'\nI10\ntQ"
#define BETWEEN "I0\n(I2\nI5\nt(I5\nI1\nt"

static void refused(const char *text, const char *type, const char *words) {
    Read r = read_bytes(text, strlen(text));
    ck_assert_msg(r.status == MAE_OK, "%s", r.err.message);
    const PickleLeaf *l = leaf(&r, "tensor");
    if (type != NULL) ck_assert_str_eq(l->tensor->type, type);
    ck_assert_msg(strstr(l->refusal, words) != NULL, "%s", l->refusal);
    ck_assert(shape_equal(l->tensor->shape, SHAPE(2, 5)));
    release(&r);
}

/* Types, classes and layouts of torch that are not read keep their shape and say why. */
START_TEST(refused_tensors) {
    refused("ctorch._utils\n_rebuild_tensor_v3\n" STORAGE("UntypedStorage", "0") BETWEEN
            "I00\nNctorch\nuint16\ntR.",
            "uint16", "elements of type uint16");
    refused("ctorch._utils\n_rebuild_tensor_v2\n" STORAGE("ComplexFloatStorage", "0") BETWEEN
            "I00\nNtR.",
            "ComplexFloatStorage", "not read");
    refused("ctorch._utils\n_rebuild_tensor_v2\n" STORAGE("FooStorage", "0") BETWEEN "I00\nNtR.",
            "FooStorage", "not read");
    refused("ctorch._utils\n_rebuild_qtensor\n" STORAGE("QInt8Storage", "0") BETWEEN
            "(ctorch\nper_tensor_affine\nF0.1\nI0\ntI00\nNtR.",
            "_rebuild_qtensor", "torch's _rebuild_qtensor");
    refused("ctorch._utils\n_rebuild_tensor_v2\n((S'elsewhere'\ntQ" BETWEEN "I00\nNtR.",
            "an unknown storage", "unknown storage");
    refused("ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\ncdtensor\n"
            "DTensor\n" STORAGE("FloatStorage", "0") BETWEEN "I00\nNtNtR.",
            "DTensor", "class DTensor");
    /* In an object: its own tensor has its name. */
    refused("cbits\nParams4bit\n(ctorch._utils\n_rebuild_tensor_v2\n" STORAGE("FloatStorage", "0")
                BETWEEN "I00\nNtRtR.",
            NULL, "comes out of an object of bits.Params4bit at 'the top'");
}
END_TEST

START_TEST(failing_allocations) {
    size_t bytes;
    uint8_t *data = corpus("protocol5.pkl", &bytes);
    Status status = MAE_MEMORY;
    for (int n = 1; status != MAE_OK; n++) {
        Error err = {0};
        Pickle pickle;
        PickleLeaves leaves = {0};
        ck_assert_int_lt(n, 10000);
        Arena *arena = arena_new();
        mem_fail_after(n);
        ByteSource source = byte_source_of("x", data, bytes);
        status = pickle_parse(&source, 0, bytes, arena, &pickle, &err);
        if (status == MAE_OK) status = pickle_flatten("x", &pickle, arena, &leaves, &err);
        mem_fail_after(0);
        ck_assert(status == MAE_OK || status == MAE_MEMORY);
        mem_free(leaves.leaf);
        arena_free(arena);
    }
    mem_free(data);
}
END_TEST

Suite *suite_pickle(void) {
    Suite *s = suite_create("pickle");
    TCase *c = tcase_create("pickle");
    tcase_add_loop_test(c, protocols, 0, 6);
    tcase_add_test(c, code_is_a_value);
    tcase_add_loop_test(c, objects, 0, 6);
    tcase_add_test(c, refused_tensors);
    tcase_add_test(c, damage_is_refused);
    tcase_add_test(c, hostile_sizes);
    tcase_add_test(c, many_texts);
    tcase_add_test(c, windows);
    tcase_add_loop_test(c, truncation, 0, 6);
    tcase_add_loop_test(c, flipped_bytes, 0, 5);
    tcase_add_test(c, failing_allocations);
    suite_add_tcase(s, c);
    c = tcase_create("pickle numpy");
    static const int protocols_of_numpy[] = {2, 4, 5};
    for (int i = 0; i < 3; i++)
        tcase_add_loop_test(c, odd_arrays, protocols_of_numpy[i], protocols_of_numpy[i] + 1);
    for (int i = 0; i < 3; i++)
        tcase_add_loop_test(c, numpy_values, protocols_of_numpy[i], protocols_of_numpy[i] + 1);
    suite_add_tcase(s, c);
    return s;
}
