/* Any bytes as a command line: the first byte says which command, then a line for each option,
 * NAME=VALUE. What is set must read back, save and load as the same; texts with a grammar of their
 * own (RandAugment, patches to keep, corruptions, sources that need no file) are read as the
 * command would. */
#include "data/augment/randaugment.h"
#include "data/dataset.h"
#include "jobs/jobs.h"
#include "jobs/setup.h"
#include "options.h"
#include "replay.h"

static const char *const FREE[] = {"synthetic:", "tar:", "folder:", "list:", "cifar10:", "tiles:"};

/* Sources in this folder, where nothing is, and generated images, while they are few: braces and
 * counts make as many as they say. */
static void read_source(const char *text) {
    const DatasetOptions options = {.channels = 3, .max_side = 8};
    size_t digits = 0;
    bool known = false;
    Dataset *d;
    Error err = {0};
    for (const char *s = text; *s; s++) digits += *s >= '0' && *s <= '9';
    for (size_t i = 0; i < sizeof FREE / sizeof *FREE; i++)
        known = known || strncmp(text, FREE[i], strlen(FREE[i])) == 0;
    if (!known || digits > 5 || strpbrk(text, "/,")) return;
    if (dataset_open(text, options, &d, &err) == MAE_OK) {
        ASSERT(dataset_count(d) >= 1, "%s: no images", text);
        dataset_close(d);
    } else {
        ASSERT(err.message[0] != 0, "a failure without a message");
    }
}

static void read_randaugment(const char *text) {
    RandAugment r;
    Error err = {0};
    if (randaugment_parse(text, &r, &err) == MAE_OK)
        ASSERT(r.n_ops >= 0 && r.n_ops <= 100 && r.magnitude >= 0 && r.magnitude <= 10 &&
                   r.magnitude_std >= 0,
               "%s", text);
    else
        ASSERT(err.message[0] != 0, "a failure without a message");
}

/* A model of 4 x 4 patches and a picture for it. */
static MaeModel *small_model(void) {
    static MaeModel *m;
    static const char *const sizes[][2] = {
        {"image-size", "8"},    {"patch", "2"},         {"embed-dim", "4"},
        {"depth", "1"},         {"heads", "1"},         {"decoder-embed-dim", "4"},
        {"decoder-depth", "1"}, {"decoder-heads", "1"}, {"device", "ref"}};
    MaeOptions o;
    Error err = {0};
    Image im;
    if (m) return m;
    options_default(COMMAND_PRETRAIN, &o);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        ASSERT(mae_options_set(&o, sizes[i][0], sizes[i][1], NULL) == MAE_OK, "--%s", sizes[i][0]);
    ASSERT(model_new(&o, &m, &err) == MAE_OK, "%s", err.message);
    ASSERT(image_new(&im, MAE_U8, 8, 8, 3, &err) == MAE_OK, "%s", err.message);
    ASSERT(image_write_png(fuzz_path("small.png"), &im, &err) == MAE_OK, "%s", err.message);
    image_free(&im);
    options_clear(&o);
    return m;
}

/* A mask that can be drawn gives a picture. */
static void read_mask(const MaeOptions *o) {
    MaeError err = {0};
    MaeSession *session = NULL;
    MaeImage image = {0};
    MaeTensor mask;
    MaeModel *m = small_model();
    ASSERT(mae_image_load(fuzz_path("small.png"), NULL, &image, &err) == MAE_OK, "%s", err.message);
    if (mae_session_new(m, "mask", 1, o, &session, &err) == MAE_OK) {
        ASSERT(mae_session_run(session, &image, 1, &err) == MAE_OK, "%s", err.message);
        ASSERT(mae_session_output(session, "mask", &mask, &err) == MAE_OK && mask.dim[1] == 16,
               "%s", err.message);
    } else {
        ASSERT(err.message[0] != 0 && !session, "a failure without a message");
    }
    mae_session_free(session);
    mae_image_free(&image);
}

/* Without images, an evaluation ends when it has read what is asked for. */
static void read_corruptions(char *text) {
    Vit vit = {.config = {.head = HEAD_LINEAR, .classes = 2}};
    MaeModel model = {.vit = &vit};
    MaeOptions o = {.corruptions = text, .baseline = "none"};
    bool failed;
    Result out = result_start(&failed);
    Error err = {0};
    ASSERT(eval_model(&model, &o, out, &err) == MAE_USAGE, "%s", err.message);
    result_drop(out);
}

/* Sizes that pass the check can be added up. */
static void read_model(const MaeOptions *o) {
    static Device *device;
    ModelConfig c;
    Vit *v;
    Error err = {0};
    if (setup_model_config(o, &c, &err) != MAE_OK) {
        ASSERT(err.message[0] != 0, "a failure without a message");
        return;
    }
    if (c.depth > 4 || c.decoder_depth > 4) return; /* only slower */
    if (!device) ASSERT(device_open("ref", 1, NULL, &device, NULL) == MAE_OK, "no device");
    if (vit_describe(device, &c, GRADIENTS_SUMMED, TUNE_ALL, &v, &err) != MAE_OK) return;
    ASSERT(vit_parameters(v) > 0, "%lld parameters", (long long)vit_parameters(v));
    vit_free(v);
}

static void use_options(const MaeOptions *o) {
    if (o->data) read_source(o->data);
    if (o->randaugment) read_randaugment(o->randaugment);
    if (o->corruptions) read_corruptions(o->corruptions);
    if (o->command == COMMAND_RECONSTRUCT) read_mask(o);
    if (o->command == COMMAND_PRETRAIN) read_model(o);
}

static void set_line(MaeOptions *o, char *line) {
    char *value = strchr(line, '=');
    MaeError err = {0};
    if (value) *value++ = '\0';
    if (mae_options_set(o, line, value ? value : "true", &err) != MAE_OK)
        fuzz_check_failure(&err);
    else
        fuzz_check_value(o, (size_t)option_find(o->command, line));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    MaeOptions o;
    if (bytes == 0 || bytes > 20000) return 0;
    CommandId command = FUZZ_COMMANDS[data[0] % FUZZ_N_COMMANDS];
    char *text = malloc(bytes);
    ASSERT(text != NULL, "no memory");
    memcpy(text, data + 1, bytes - 1);
    text[bytes - 1] = '\0';
    options_default(command, &o);
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        set_line(&o, line);
    }
    fuzz_save_and_load(&o);
    use_options(&o);
    options_clear(&o);
    free(text);
    return 0;
}
