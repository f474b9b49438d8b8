/* How the parameters of published models are cut for many processes, without any: the same counts
 * are in tests/cli/scaling.sh, for bench/scaling.py, which has to cut alike. */

#include <check.h>

#include "dist/backend.h"
#include "model/vit.h"
#include "train/reducer.h"

Suite *suite_buckets(void);

static Device *device;
static Vit *model;

static void describe(ModelSize size) {
    Error err = {0};
    ModelConfig config = model_preset(size);
    ck_assert(device_open("cpu", 1, NULL, &device, &err) == MAE_OK);
    ck_assert_msg(vit_describe(device, &config, GRADIENTS_SUMMED, -1, &model, &err) == MAE_OK, "%s",
                  err.message);
}

static void forget(void) {
    vit_free(model);
    device_close(device);
}

static int64_t owned_by(Comm *c, Reducer *r, int rank) {
    int64_t n = 0;
    c->rank = rank;
    for (int64_t i = 0; i < params_count(model->params); i++) {
        const Param *p = params_at(model->params, i);
        if (p->trainable && reducer_owns(r, p)) n += p->numel;
    }
    return n;
}

/* Every parameter has one owner; what the one with most has, and how many have none. */
static void check_cut(int size, int64_t most_wanted, int none_wanted) {
    Error err = {0};
    Comm comm = {.size = size};
    Reducer *r;
    int64_t most = 0, all = 0;
    int none = 0;
    ck_assert(reducer_new(&comm, device, model->params, true, &r, &err) == MAE_OK);
    for (int rank = 0; rank < size; rank++) {
        int64_t n = owned_by(&comm, r, rank);
        most = n > most ? n : most;
        none += n == 0;
        all += n;
    }
    ck_assert_int_eq(most, most_wanted);
    ck_assert_int_eq(none, none_wanted);
    ck_assert_int_eq(all, 111655680);
    reducer_free(r);
}

START_TEST(vit_base) {
    describe(MODEL_VIT_BASE);
    check_cut(2, 58085120, 0);
    check_cut(8, 15167488, 0);
    check_cut(64, 2956544, 0);
    check_cut(512, 2359296, 365);
    forget();
}
END_TEST

Suite *suite_buckets(void) {
    Suite *s = suite_create("buckets");
    TCase *t = tcase_create("buckets");
    tcase_add_test(t, vit_base);
    suite_add_tcase(s, t);
    return s;
}
