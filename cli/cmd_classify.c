/* mae classify: classes and probabilities of images. */
#include <stdlib.h>

#include "cli.h"

static json_t *image_json(const char *path, const MaeClass *classes, int n) {
    json_t *row = json_object(), *list = json_array();
    json_text(row, "image", path);
    for (int k = 0; k < n; k++) {
        json_t *c = json_object();
        json_text(c, "class", classes[k].name);
        json_count(c, "index", classes[k].index);
        json_number(c, "probability", classes[k].probability);
        json_array_append_new(list, c);
    }
    json_object_set_new(row, "classes", list);
    return row;
}

static void print_image(const char *path, const MaeClass *classes, int n) {
    printf("%s\n", path);
    for (int k = 0; k < n; k++)
        printf("  %6.2f %%  %s\n", 100 * classes[k].probability, classes[k].name);
}

/* An image that cannot be read is named and the others go on. */
static int classify(const Call *call, MaeModel *model, MaeClass *classes) {
    int status = EXIT_DONE, n;
    json_t *images = json_array();
    for (int i = 0; i < call->n_positional; i++) {
        MaeError err = {0};
        const char *path = call->positional[i];
        if (mae_model_classify(model, path, (int)option_count(call->options, "top"), classes, &n,
                               &err) != MAE_OK) {
            status = report(&err);
            if (err.status == MAE_UNSUPPORTED || err.status == MAE_MEMORY) break;
            continue;
        }
        if (option_flag(call->options, "json"))
            json_array_append_new(images, image_json(path, classes, n));
        else
            print_image(path, classes, n);
    }
    if (!option_flag(call->options, "json")) {
        json_decref(images);
        return status;
    }
    json_t *j = json_object();
    json_object_set_new(j, "images", images);
    int printed = print_json(j);
    return status == EXIT_DONE ? printed : status;
}

int cmd_classify(int argc, char **argv) {
    Call c;
    MaeModel *model = NULL;
    MaeClass *classes = NULL;
    int status = call_parse(&c, argc, argv);
    if (status == GO_ON) status = call_need(&c, "model", "--model CKPT");
    if (status == GO_ON) status = load_model(c.options, &model);
    if (status == GO_ON) {
        classes = calloc((size_t)option_count(c.options, "top"), sizeof *classes);
        status = classes ? classify(&c, model, classes) : EXIT_FAILED;
    }
    free(classes);
    mae_model_free(model);
    call_free(&c);
    return status;
}
