/* The features of one image from a file, as the shortest program has them: image CHECKPOINT IMAGE.
 * bench/waits.sh times it. */
#include <mae.h>
#include <stdio.h>

int main(int argc, char **argv) {
    MaeError err = {.message = "usage: image CHECKPOINT IMAGE"};
    MaeModel *model = NULL;
    MaeSession *session = NULL;
    MaeImage image = {0};
    MaeTensor features;
    int failed = argc != 3 || mae_model_load(argv[1], NULL, NULL, &model, &err) ||
                 mae_image_load(argv[2], NULL, &image, &err) ||
                 mae_session_new(model, "features", 1, NULL, &session, &err) ||
                 mae_session_run(session, &image, 1, &err) ||
                 mae_session_output(session, "features", &features, &err);
    if (failed) fprintf(stderr, "%s\n", err.message);
    for (int64_t i = 0; !failed && i < features.dim[1]; i++)
        printf("%g\n", (double)((const float *)features.data)[i]);
    mae_session_free(session);
    mae_image_free(&image);
    mae_model_free(model);
    return failed;
}
