/* Reconstructs one image: reconstruct CHECKPOINT IMAGE OUT.png */
#include <mae.h>
#include <stdio.h>

int main(int argc, char **argv) {
    MaeError err = {0};
    MaeModel *model = NULL;
    MaeOptions *options = NULL;
    MaeReconstruction picture = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: %s CHECKPOINT IMAGE OUT.png\n", argv[0]);
        return 2;
    }
    int failed = mae_options_new("reconstruct", &options, &err) ||
                 mae_model_load(argv[1], "cpu", 0, &model, &err) ||
                 mae_model_reconstruct(model, argv[2], options, &picture, &err) ||
                 mae_image_write(argv[3], picture.width, picture.height, picture.picture, &err);
    if (failed)
        fprintf(stderr, "%s\n", err.message);
    else
        printf("%s: loss %.4f on the removed patches\n", argv[3], picture.loss);
    mae_reconstruction_free(&picture);
    mae_model_free(model);
    mae_options_free(options);
    return failed ? 1 : 0;
}
