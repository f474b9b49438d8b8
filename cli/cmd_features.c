/* mae features: features of images into a .npy file. */
#include "cli.h"

static int features(const MaeOptions *o, MaeModel *model) {
    MaeError err = {0};
    int64_t rows = 0;
    MaeModelInfo info;
    mae_model_info(model, &info);
    MaeStatus failed = mae_features(model, o, progress_start(o), &rows, &err);
    progress_end();
    if (failed) return report(&err);
    if (!o->json) {
        printf("%s: %lld rows of %lld values\n", o->out, (long long)rows,
               (long long)info.embed_dim);
        return EXIT_DONE;
    }
    json_t *j = json_object();
    json_text(j, "features", o->out);
    json_count(j, "rows", rows);
    json_count(j, "columns", info.embed_dim);
    return print_json(j);
}

int cmd_features(int argc, char **argv) {
    Call c;
    MaeModel *model = NULL;
    int status = call_parse(&c, "features", MAE_COMMAND_FEATURES, argc, argv);
    if (status == GO_ON) status = call_no_positional(&c, "features", "images are named by --data");
    if (status == GO_ON) status = call_need("features", c.options.checkpoint, "--model CKPT");
    if (status == GO_ON) status = call_need("features", c.options.data, "--data SRC");
    if (status == GO_ON) status = call_need("features", c.options.out, "--out FILE.npy");
    if (status == GO_ON) status = load_model(&c.options, &model);
    if (status == GO_ON) status = features(&c.options, model);
    mae_model_free(model);
    call_free(&c);
    return status;
}
