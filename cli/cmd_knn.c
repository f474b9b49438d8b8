/* mae knn: how well frozen features tell classes apart, without training anything. */
#include "cli.h"

static int print_knn_json(const MaeKnn *k) {
    json_t *j = json_object();
    json_number(j, "accuracy", k->accuracy);
    json_count(j, "memory", k->memory);
    json_count(j, "queries", k->queries);
    json_count(j, "unreadable", k->unreadable);
    json_count(j, "k", k->k);
    json_count(j, "classes", k->classes);
    return print_json(j);
}

static int knn(const MaeOptions *o, MaeModel *model) {
    MaeError err = {0};
    MaeKnn k = {0};
    MaeStatus failed = mae_knn(model, o, progress_start(o, "stopping"), &k, &err);
    progress_end();
    if (failed) return report(&err);
    if (option_flag(o, "json")) return print_knn_json(&k);
    printf("accuracy   %.2f %%\n", 100 * k.accuracy);
    printf("chance     %.2f %%, %lld classes\n", 100.0 / (double)k.classes, (long long)k.classes);
    printf("neighbours %lld\n", (long long)k.k);
    printf("memory     %lld images\n", (long long)k.memory);
    printf("queries    %lld images\n", (long long)k.queries);
    if (k.unreadable) printf("unreadable %lld, left out\n", (long long)k.unreadable);
    return EXIT_DONE;
}

int cmd_knn(int argc, char **argv) {
    Call c;
    MaeModel *model = NULL;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = call_need(&c, "model", "--model CKPT");
    if (status == GO_ON) status = call_need(&c, "data", "--data SRC");
    if (status == GO_ON) status = call_need(&c, "val", "--val SRC");
    if (status == GO_ON) status = load_model(c.options, &model);
    if (status == GO_ON) status = knn(c.options, model);
    mae_model_free(model);
    call_free(&c);
    return status;
}
