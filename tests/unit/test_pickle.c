/* Pickles: every protocol, what is refused and how it is said, limits, truncation, numpy. Pickles
 * that Python wrote lie in tests/fuzz/corpus/pickle. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "formats/pickle.h"
#include "formats/pickle_flatten.h"

#include <check.h> /* last: it has a macro named fail */

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
    if (r.status == STATUS_OK)
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
                  "%s instead of '%s': %s", status_name(r.status), words, r.err.message);
    release(&r);
}

#define REFUSE(literal, status, words) refuse(literal, sizeof literal - 1, status, words)

static uint8_t *corpus(const char *name, size_t *bytes) {
    char path[256];
    uint8_t *data;
    snprintf(path, sizeof path, "tests/fuzz/corpus/pickle/%s", name);
    ck_assert_int_eq(file_read(path, 1000000, &data, bytes, NULL), STATUS_OK);
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
    ck_assert_msg(r.status == STATUS_OK, "%s", r.err.message);
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
    ck_assert_msg(r.status == STATUS_OK, "%s", r.err.message);
    expect(&r, "s", "0.5");
    expect(&r, "i", "-7");
    expect(&r, "b", "true");
    expect(&r, "u", "numpy array of u4, not read");
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
                                        "numpy4.pkl", "odd.pkl"};
    size_t bytes;
    uint8_t *data = corpus(names[_i], &bytes);
    for (size_t n = 0; n < bytes; n++) {
        uint8_t *part = malloc(n > 0 ? n : 1); /* exactly n bytes, for the sanitizer */
        memcpy(part, data, n);
        Read r = read_bytes(part, n);
        ck_assert_int_eq(r.status, STATUS_FORMAT);
        release(&r);
        free(part);
    }
    mem_free(data);
}
END_TEST

/* Damage anywhere gives values or a message. */
START_TEST(flipped_bytes) {
    static const char *const names[] = {"protocol0.pkl", "protocol5.pkl", "numpy4.pkl", "odd.pkl"};
    size_t bytes;
    uint8_t *data = corpus(names[_i], &bytes);
    for (size_t i = 0; i < bytes; i++)
        for (int bit = 0; bit < 8; bit++) {
            data[i] ^= (uint8_t)(1 << bit);
            Read r = read_bytes(data, bytes);
            ck_assert(r.status == STATUS_OK || r.err.message[0] != 0);
            release(&r);
            data[i] ^= (uint8_t)(1 << bit);
        }
    mem_free(data);
}
END_TEST

START_TEST(code_is_refused) {
    REFUSE("cos\nsystem\n(S'echo hello'\ntR.", STATUS_FORMAT, "os.system");
    REFUSE("\x80\x04\x8c\x08"
           "builtins\x8c\x04"
           "eval\x93.",
           STATUS_FORMAT, "builtins.eval");
    REFUSE("(S'true'\nios\nsystem\n.", STATUS_FORMAT, "os.system");
    REFUSE("c__main__\nModel\n)\x81.", STATUS_FORMAT, "would run code");
    REFUSE("ctorch.serialization\nload\n.", STATUS_FORMAT, "torch.serialization.load");
    REFUSE("cos\nsys\033[2Jtem\n.", STATUS_FORMAT, "os.sys?[2Jtem");
    /* Names of the list are not functions of just anything. */
    REFUSE("cbuiltins\nint\n(I1\ntR.", STATUS_FORMAT, "builtins.int");
    REFUSE("I1\n(tR.", STATUS_FORMAT, "no function");
    REFUSE("cargparse\nNamespace\n)}X\x01\0\0\0aK\x01s\x92.", STATUS_FORMAT, "keyword");
    REFUSE("\x82\x01.", STATUS_FORMAT, "opcode 0x82"); /* the extension registry */
    REFUSE("\x97.", STATUS_FORMAT, "opcode 0x97");     /* a buffer out of band */
    REFUSE("\x80\x06.", STATUS_UNSUPPORTED, "protocol 6");
}
END_TEST

START_TEST(damage_is_refused) {
    REFUSE(".", STATUS_FORMAT, "there is none");
    REFUSE("(.", STATUS_FORMAT, "there is none");
    REFUSE("t.", STATUS_FORMAT, "mark");
    REFUSE("K\x01(0a.", STATUS_FORMAT, "damaged");
    REFUSE("](K\x01K\x02u.", STATUS_FORMAT, "holds none");
    REFUSE("}(K\x01u.", STATUS_FORMAT, "holds none");
    REFUSE("(K\x01"
           "d.",
           STATUS_FORMAT, "key without a value");
    REFUSE("h\x07.", STATUS_FORMAT, "never stored");
    REFUSE("Nr\xff\xff\xff\x7f.", STATUS_FORMAT, "out of order");
    REFUSE("X\xff\xff\xff\xff.", STATUS_FORMAT, "cut off");
    REFUSE("\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", STATUS_FORMAT, "cut off");
    REFUSE("\x8b\xff\xff\xff\xff.", STATUS_FORMAT, "cut off");
    REFUSE("I12x\n.", STATUS_FORMAT, "no number");
    REFUSE("I12", STATUS_FORMAT, "without an end");
    REFUSE("Sabc\n.", STATUS_FORMAT, "quotes");
    REFUSE("}X\x02\0\0\0a\0K\x01s.", STATUS_FORMAT, "no proper text");
    REFUSE("}X\x02\0\0\0\xc0\x80K\x01s.", STATUS_FORMAT, "no proper text");
    REFUSE("}]K\x01s.", STATUS_FORMAT, "neither text nor a number");
    REFUSE("}X\x01\0\0\0sC\x01x\x8f(K\x01\x90"
           "b.",
           STATUS_FORMAT, "has none");
}
END_TEST

START_TEST(hostile_sizes) {
    size_t bytes;
    uint8_t *data = corpus("cycle.pkl", &bytes);
    refuse(data, bytes, STATUS_FORMAT, "contains itself");
    mem_free(data);
    data = corpus("laughs.pkl", &bytes); /* 10^30 leaves in 300 bytes */
    refuse(data, bytes, STATUS_FORMAT, "unfolds");
    mem_free(data);
    data = corpus("deep.pkl", &bytes);
    refuse(data, bytes, STATUS_FORMAT, "nested deeper");
    mem_free(data);
    /* A Namespace that is its own state. */
    REFUSE("cargparse\nNamespace\n)\x81q\0h\0"
           "b.",
           STATUS_OK, "");
    /* Sets that copy a growing list again and again: the tree may not outgrow the file. */
    size_t n = 0, room = 400000;
    uint8_t *p = malloc(room);
    n += (size_t)snprintf((char *)p, room, "cbuiltins\nset\nq%c](", 1);
    while (n < room / 2) p[n++] = 'N';
    memcpy(p + n, "eq\002", 3);
    for (n += 3; n + 16 < room; n += 10) memcpy(p + n, "h\001h\002\205R(N\2200", 10);
    p[n++] = 'N';
    p[n++] = '.';
    refuse(p, n, STATUS_FORMAT, "hostile");
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
    ck_assert_msg(r.status == STATUS_OK, "%s", r.err.message);
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
    if (words != NULL)
        ck_assert_msg(strstr(r.err.message, words) != NULL, "'%s': %s", words, r.err.message);
    release(&r);
    return r.status;
}

START_TEST(windows) {
    ck_assert_int_eq(tensor("0", "I2\nI5\n", "I5\nI1\n", NULL), STATUS_OK);
    ck_assert_int_eq(tensor("9", "", "", NULL), STATUS_OK);
    ck_assert_int_eq(tensor("0", "I0\nI9\n", "I9\nI1\n", NULL), STATUS_OK);
    ck_assert_int_eq(tensor("7", "I2\nI0\n", "I99\nI1\n", NULL), STATUS_OK);
    ck_assert_int_eq(tensor("3", "I1000000\nI7\n", "I0\nI1\n", NULL), STATUS_OK);
    ck_assert_int_eq(tensor("10", "", "", "beyond its storage"), STATUS_FORMAT);
    ck_assert_int_eq(tensor("-1", "I2\n", "I1\n", "beyond its storage"), STATUS_FORMAT);
    ck_assert_int_eq(tensor("1", "I2\nI5\n", "I5\nI1\n", "beyond its storage"), STATUS_FORMAT);
    ck_assert_int_eq(tensor("0", "I2\n", "I9223372036854775807\n", "beyond"), STATUS_FORMAT);
    ck_assert_int_eq(
        tensor("0", "I3\nI3\n", "I4611686018427387904\nI4611686018427387904\n", "beyond"),
        STATUS_FORMAT);
    ck_assert_int_eq(tensor("0", "I2\n", "I-1\n", "stride"), STATUS_FORMAT);
    ck_assert_int_eq(tensor("0", "I-2\n", "I1\n", "size"), STATUS_FORMAT);
    ck_assert_int_eq(tensor("0", "I2\n", "", "with 0 strides"), STATUS_FORMAT);
    ck_assert_int_eq(tensor("0", "I4294967296\nI4294967296\nI0\n", "I0\nI0\nI0\n", "size"),
                     STATUS_FORMAT);
    ck_assert_int_eq(tensor("0", "I1073741824\n", "I0\n", "at most"), STATUS_UNSUPPORTED);
    ck_assert_int_eq(tensor("0", "I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\n", "", "dimensions"),
                     STATUS_FORMAT);
}
END_TEST

START_TEST(failing_allocations) {
    size_t bytes;
    uint8_t *data = corpus("protocol5.pkl", &bytes);
    Status status = STATUS_MEMORY;
    for (int n = 1; status != STATUS_OK; n++) {
        Error err = {0};
        Pickle pickle;
        PickleLeaves leaves = {0};
        ck_assert_int_lt(n, 10000);
        Arena *arena = arena_new();
        mem_fail_after(n);
        ByteSource source = byte_source_of("x", data, bytes);
        status = pickle_parse(&source, 0, bytes, arena, &pickle, &err);
        if (status == STATUS_OK) status = pickle_flatten("x", &pickle, arena, &leaves, &err);
        mem_fail_after(0);
        ck_assert(status == STATUS_OK || status == STATUS_MEMORY);
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
    tcase_add_test(c, code_is_refused);
    tcase_add_test(c, damage_is_refused);
    tcase_add_test(c, hostile_sizes);
    tcase_add_test(c, many_texts);
    tcase_add_test(c, windows);
    tcase_add_loop_test(c, truncation, 0, 5);
    tcase_add_loop_test(c, flipped_bytes, 0, 4);
    tcase_add_test(c, failing_allocations);
    suite_add_tcase(s, c);
    c = tcase_create("pickle numpy");
    static const int protocols_of_numpy[] = {2, 4, 5};
    for (int i = 0; i < 3; i++)
        tcase_add_loop_test(c, numpy_values, protocols_of_numpy[i], protocols_of_numpy[i] + 1);
    suite_add_tcase(s, c);
    return s;
}
