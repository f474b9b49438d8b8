/* mae eval: how good a classifier is, clean and under corruption. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define CLASSES_SHOWN 20

static json_t *predictions_json(const MaeEvaluation *e, const MaeClassResult *c) {
    json_t *object = json_object();
    for (int64_t k = 0; k < e->n_model_classes; k++) {
        char number[32];
        if (c->predicted[k] == 0) continue;
        snprintf(number, sizeof number, "%lld", (long long)k);
        char *name = mae_name_escape(e->model_names ? e->model_names[k] : number, 0);
        if (name) json_count(object, name, c->predicted[k]);
        mae_text_free(name);
    }
    return object;
}

static json_t *classes_json(const MaeEvaluation *e) {
    json_t *list = json_array();
    for (int64_t i = 0; i < e->n_classes; i++) {
        const MaeClassResult *c = &e->classes[i];
        json_t *row = json_object();
        json_text(row, "class", c->name);
        json_count(row, "images", c->images);
        json_count(row, "right", c->right);
        json_object_set_new(row, "predicted", predictions_json(e, c));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *corruptions_json(const MaeEvaluation *e) {
    json_t *list = json_array();
    for (int i = 0; i < e->n_corruptions; i++) {
        const MaeCorruption *c = &e->corruptions[i];
        json_t *row = json_object(), *errors = json_array();
        for (int s = 0; s < MAE_SEVERITIES; s++)
            json_array_append_new(errors, json_real(c->error[s]));
        json_text(row, "name", c->name);
        json_object_set_new(row, "error", errors);
        json_number(row, "mean_error", c->mean_error);
        json_share(row, "relative_error", c->relative_error);
        json_array_append_new(list, row);
    }
    return list;
}

static int print_eval_json(const MaeEvaluation *e) {
    json_t *j = json_object();
    json_count(j, "images", e->images);
    json_count(j, "unreadable", e->unreadable);
    json_number(j, "top1", e->top1);
    json_share(j, "top5", e->top5);
    json_number(j, "loss", e->loss);
    json_object_set_new(j, "classes", classes_json(e));
    if (e->n_corruptions) {
        json_object_set_new(j, "corruptions", corruptions_json(e));
        json_text(j, "baseline", e->baseline);
        json_number(j, "mean_corruption_error", e->mean_corruption_error);
    }
    return print_json(j);
}

static void print_corruptions(FILE *to, const MaeEvaluation *e) {
    bool relative = strcmp(e->baseline, "none") != 0;
    fprintf(to, "\nerror in %% at severity        1      2      3      4      5   mean%s\n",
            relative ? "  of baseline" : "");
    for (int i = 0; i < e->n_corruptions; i++) {
        const MaeCorruption *c = &e->corruptions[i];
        fprintf(to, "  %-22s", c->name);
        for (int s = 0; s < MAE_SEVERITIES; s++) fprintf(to, " %6.2f", 100 * c->error[s]);
        fprintf(to, " %6.2f", 100 * c->mean_error);
        if (relative) fprintf(to, " %12.2f", 100 * c->relative_error);
        fputc('\n', to);
    }
    if (relative)
        fprintf(to, "mean corruption error  %.2f %% of %s\n", 100 * e->mean_corruption_error,
                e->baseline);
    else
        fprintf(to, "mean error             %.2f %%\n", 100 * e->mean_corruption_error);
}

static void print_eval(FILE *to, const MaeEvaluation *e) {
    fprintf(to, "images  %lld\n", (long long)e->images);
    if (e->unreadable)
        fprintf(to, "without %lld that could not be read\n", (long long)e->unreadable);
    fprintf(to, "top-1   %.2f %%\n", 100 * e->top1);
    if (e->top5 >= 0) fprintf(to, "top-5   %.2f %%\n", 100 * e->top5);
    fprintf(to, "loss    %.4f\n", e->loss);
    if (e->n_classes <= CLASSES_SHOWN) fputc('\n', to);
    for (int64_t i = 0; i < e->n_classes && e->n_classes <= CLASSES_SHOWN; i++) {
        const MaeClassResult *c = &e->classes[i];
        if (c->images)
            fprintf(to, "  %-22s %6.2f %% of %lld\n", c->name,
                    100.0 * (double)c->right / (double)c->images, (long long)c->images);
    }
    if (e->n_corruptions) print_corruptions(to, e);
}

/* A name in quotes, quotes doubled. */
static void csv_name(FILE *f, const char *name) {
    fputc('"', f);
    for (; *name; name++) {
        if (*name == '"') fputc('"', f);
        fputc(*name, f);
    }
    fputc('"', f);
}

static void put_confusion(FILE *f, const MaeEvaluation *e) {
    fputs("\"class\"", f);
    for (int64_t k = 0; k < e->n_model_classes; k++) {
        char number[32];
        snprintf(number, sizeof number, "%lld", (long long)k);
        fputc(',', f);
        csv_name(f, e->model_names ? e->model_names[k] : number);
    }
    for (int64_t i = 0; i < e->n_classes; i++) {
        fputc('\n', f);
        csv_name(f, e->classes[i].name);
        for (int64_t k = 0; k < e->n_model_classes; k++)
            fprintf(f, ",%lld", (long long)e->classes[i].predicted[k]);
    }
    fputc('\n', f);
}

static int write_confusion(const MaeEvaluation *e, const char *path) {
    MaeError err = {0};
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (f) put_confusion(f, e);
    if (!f || fclose(f) != 0) {
        fprintf(stderr, "mae: no memory for %s\n", path);
        return EXIT_FAILED;
    }
    MaeStatus failed = mae_output_write(path, text, bytes, &err);
    free(text);
    return failed ? report(&err) : EXIT_DONE;
}

/* Before the work. */
static int check_confusion(const MaeOptions *o) {
    MaeError err = {0};
    if (!o->confusion) return GO_ON;
    if (mae_output_check(o->confusion, "a table of counts", ".csv .txt", &err)) return report(&err);
    return call_output("eval", o, o->confusion, true);
}

static int eval(const MaeOptions *o, MaeModel *model) {
    MaeError err = {0};
    MaeEvaluation e = {0};
    FILE *to = talk(o, o->confusion);
    MaeStatus failed = mae_eval(model, o, progress_start(o, "stopping"), &e, &err);
    progress_end();
    if (failed) return report(&err);
    int status = o->confusion ? write_confusion(&e, o->confusion) : EXIT_DONE;
    if (status == EXIT_DONE && o->json)
        status = print_eval_json(&e);
    else if (status == EXIT_DONE && to)
        print_eval(to, &e);
    mae_evaluation_free(&e);
    return status;
}

int cmd_eval(int argc, char **argv) {
    Call c;
    MaeModel *model = NULL;
    int status = call_parse(&c, "eval", MAE_COMMAND_EVAL, argc, argv);
    if (status == GO_ON) status = call_no_positional(&c, "eval", "images are named by --val");
    if (status == GO_ON) status = call_need("eval", c.options.checkpoint, "--model CKPT");
    if (status == GO_ON) status = call_need("eval", c.options.val, "--val SRC");
    if (status == GO_ON) status = check_confusion(&c.options);
    if (status == GO_ON) status = load_model(&c.options, &model);
    if (status == GO_ON) status = eval(&c.options, model);
    mae_model_free(model);
    call_free(&c);
    return status;
}
