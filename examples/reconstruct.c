/* What a model puts in place of the right half of an image: reconstruct CHECKPOINT IMAGE OUT.png */
#include <mae.h>
#include <stdio.h>
#include <stdlib.h>

/* A mask: 1 for each patch to remove, row by row. */
static uint8_t *right_half(const MaeModel *model, int64_t *patches) {
    const MaeResult *info = mae_model_info(model);
    int64_t columns = mae_result_integer(info, "image_width") / mae_result_integer(info, "patch");
    *patches = mae_result_integer(info, "patches");
    uint8_t *removed = malloc((size_t)*patches);
    for (int64_t i = 0; removed && i < *patches; i++) removed[i] = i % columns >= columns / 2;
    return removed;
}

static int reconstruct(MaeSession *session, const uint8_t *removed, const MaeImage *image,
                       const char *path, MaeError *err) {
    MaeTensor loss;
    MaeImage picture;
    if (mae_session_mask(session, removed, 1, err) || mae_session_run(session, image, 1, err) ||
        mae_session_output(session, "loss", &loss, err) ||
        mae_session_paint(session, 0, &picture, err))
        return 1;
    printf("%s: loss %.4f on the removed patches\n", path, (double)*(const float *)loss.data);
    int failed = mae_image_save(path, &picture, err) != MAE_OK;
    mae_image_free(&picture);
    return failed;
}

int main(int argc, char **argv) {
    MaeError err = {0};
    MaeModel *model = NULL;
    MaeSession *session = NULL;
    MaeImage image = {0};
    uint8_t *removed = NULL;
    int64_t patches;
    if (argc != 4) {
        fprintf(stderr, "usage: %s CHECKPOINT IMAGE OUT.png\n", argv[0]);
        return 2;
    }
    int failed = mae_model_load(argv[1], NULL, NULL, &model, &err) ||
                 mae_image_load(argv[2], NULL, &image, &err) ||
                 mae_session_new(model, "reconstruction,mask,loss", 1, NULL, &session, &err) ||
                 !(removed = right_half(model, &patches)) ||
                 reconstruct(session, removed, &image, argv[3], &err);
    if (failed) fprintf(stderr, "%s\n", err.message);
    free(removed);
    mae_session_free(session);
    mae_image_free(&image);
    mae_model_free(model);
    return failed;
}
