/* Prints the feature of one image: features CHECKPOINT IMAGE */
#include <mae.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    MaeError err = {0};
    MaeModel *model = NULL;
    MaeModelInfo info = {0};
    MaeOptions *options = NULL;
    float *feature = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: %s CHECKPOINT IMAGE\n", argv[0]);
        return 2;
    }
    int failed = mae_options_new("features", &options, &err) ||
                 mae_model_load(argv[1], "cpu", 0, &model, &err);
    if (!failed) {
        mae_model_info(model, &info);
        feature = malloc((size_t)info.embed_dim * sizeof *feature);
        failed = !feature || mae_model_features(model, argv[2], options, feature, &err);
    }
    for (int64_t i = 0; !failed && i < info.embed_dim; i++) printf("%g\n", (double)feature[i]);
    if (failed) fprintf(stderr, "%s\n", err.message);
    free(feature);
    mae_model_free(model);
    mae_options_free(options);
    return failed ? 1 : 0;
}
