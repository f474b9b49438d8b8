/* Features of frames in memory: features CHECKPOINT, a line a frame. The frames are those of a
 * camera that gives four bytes a pixel, blue first; here they are painted. */
#include <mae.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 320, HEIGHT = 240, FRAMES = 12, BATCH = 4 };

static void take_frame(int number, unsigned char *bgra) {
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        bgra[4 * i + 2] = (unsigned char)(i % WIDTH + 16 * number); /* red */
        bgra[4 * i + 1] = (unsigned char)(i / WIDTH);
        bgra[4 * i] = 128;
    }
}

/* Red first and no fourth value: strides say so, and nothing is copied by the program. */
static MaeImage frame_image(const unsigned char *bgra) {
    return (MaeImage){.pixels = bgra + 2,
                      .type = MAE_U8,
                      .height = HEIGHT,
                      .width = WIDTH,
                      .channels = 3,
                      .pixel_stride = 4,
                      .channel_stride = -1};
}

static int run(MaeSession *session, unsigned char *frames, MaeError *err) {
    for (int first = 0; first < FRAMES; first += BATCH) {
        MaeImage images[BATCH];
        MaeTensor features;
        for (int i = 0; i < BATCH; i++) {
            take_frame(first + i, frames + i * WIDTH * HEIGHT * 4);
            images[i] = frame_image(frames + i * WIDTH * HEIGHT * 4);
        }
        if (mae_session_run(session, images, BATCH, err) ||
            mae_session_output(session, "features", &features, err))
            return 1;
        for (int64_t i = 0; i < features.dim[0] * features.dim[1]; i++)
            printf("%g%c", (double)((const float *)features.data)[i],
                   (i + 1) % features.dim[1] ? ' ' : '\n');
    }
    return 0;
}

int main(int argc, char **argv) {
    MaeError err = {.message = "usage: features CHECKPOINT"};
    MaeModel *model = NULL;
    MaeSession *session = NULL;
    unsigned char *frames = malloc((size_t)BATCH * WIDTH * HEIGHT * 4);
    int failed = argc != 2 || !frames || mae_model_load(argv[1], NULL, NULL, &model, &err) ||
                 mae_session_new(model, "features", BATCH, NULL, &session, &err) ||
                 run(session, frames, &err);
    if (failed) fprintf(stderr, "%s\n", err.message);
    mae_session_free(session);
    mae_model_free(model);
    free(frames);
    return failed;
}
