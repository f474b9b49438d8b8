/* Classifiers out of golden files: an encoder of weights/ under what a head file has besides, and
 * labelled images to give them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"

double golden_stated(const json_t *entry, const char *before) {
    const char *text = json_string_value(json_object_get(entry, "desc"));
    const char *at = text ? strstr(text, before) : NULL;
    char *end = NULL;
    double value = at ? strtod(at + strlen(before), &end) : 0;
    return at && end != at + strlen(before) ? value : (double)NAN;
}

bool golden_preset(Golden *g, const char *arch, ModelConfig *c) {
    char size[32];
    int patch = 0, preset = -1;
    if (arch && strncmp(arch, "mae_", 4) == 0) arch += 4;
    if (arch && sscanf(arch, "vit_%31[a-z]_patch%d", size, &patch) == 2)
        preset = word_find(model_size_words, golden_text(g, "vit_%s", size));
    if (preset < 0) {
        golden_problem(g, "unknown architecture %s", arch ? arch : "");
        return false;
    }
    *c = model_preset((ModelSize)preset);
    c->patch = patch;
    return true;
}

void golden_make_classifier(ModelConfig *c, HeadKind head, bool global_pool, int64_t classes) {
    c->decoder_embed_dim = c->decoder_depth = c->decoder_heads = 0;
    c->head = head;
    c->pool = global_pool ? POOL_MEAN : POOL_CLS;
    c->classes = classes;
}

const TensorFile *golden_encoder(Golden *g, const json_t *config) {
    const char *id = json_string_value(json_object_get(config, "id"));
    return golden_tensors(g, golden_text(g, "weights/%s.safetensors", id ? id : ""));
}

/* --- weights ---------------------------------------------------------------------------------- */

static bool set_param(Golden *g, Vit *v, Param *p, const TensorFile *s, const char *name) {
    char got[96], want[96];
    Shape shape;
    const float *values = golden_reals(g, s, name, &shape);
    if (!values) return false;
    if (!shape_equal(shape, p->shape)) {
        golden_problem(g, "%s: shape %s instead of %s", p->name,
                       shape_text(p->shape, got, sizeof got), shape_text(shape, want, sizeof want));
        return false;
    }
    params_set(v->params, p, values);
    return true;
}

bool golden_load_classifier(Golden *g, Vit *v, const TensorFile *encoder, const TensorFile *own,
                            const char *prefix) {
    bool ok = true, probe = v->config.head == HEAD_PROBE;
    for (int64_t i = 0; i < params_count(v->params); i++) {
        Param *p = params_at(v->params, i);
        const char *name = golden_text(g, "%s%s", prefix, p->name);
        if (tensorfile_find(own, name))
            ok = set_param(g, v, p, own, name) && ok;
        else if (!probe || strncmp(p->name, "head.", 5) != 0)
            ok = set_param(g, v, p, encoder, p->name) && ok;
    }
    return ok;
}

static void compare_loaded(Golden *g, Vit *v, const TensorFile *f, const TensorEntry *t) {
    const Param *p = params_find(v->params, t->name);
    if (!p) {
        golden_problem(g, "the model has no parameter %s", t->name);
        return;
    }
    float *got = golden_memory(g, p->numel, sizeof *got);
    params_get(v->params, p, got);
    compare_bytes(g, t->name, (const uint8_t *)got, golden_bytes(g, f, t),
                  p->numel * (int64_t)sizeof *got);
}

/* finetune/head_NAME.safetensors: a model takes its tensors as they are; all others come from the
 * encoder's file. */
void check_head(Golden *g, const char *path, const json_t *entry) {
    const json_t *info = json_object_get(entry, "info");
    const TensorFile *own = golden_tensors(g, path);
    const TensorFile *encoder = golden_encoder(g, json_object_get(info, "config"));
    ModelConfig c = golden_config(json_object_get(info, "config"));
    golden_make_classifier(&c, HEAD_LINEAR, golden_integer(info, "global_pool") == 1,
                           golden_integer(info, "classes"));
    Vit *v = own && encoder ? golden_model(g, &c, false) : NULL;
    if (!v) return;
    if (golden_load_classifier(g, v, encoder, own, ""))
        for (size_t i = 0; i < tensorfile_count(own); i++)
            compare_loaded(g, v, own, tensorfile_at(own, i));
    vit_free(v);
}

/* --- labelled images -------------------------------------------------------------------------- */

bool golden_pool(Golden *g, const TensorFile *s, ModelConfig *c, Pool *out) {
    out->images = golden_reals(g, s, "images", &out->shape);
    const int64_t *labels = golden_ints(g, s, "labels", NULL);
    if (!out->images || !labels) return false;
    out->n = out->shape.dim[0];
    out->classes = c->classes;
    c->channels = out->shape.dim[1];
    c->image_height = out->shape.dim[2];
    c->image_width = out->shape.dim[3];
    out->labels = golden_memory(g, out->n, sizeof *out->labels);
    for (int64_t i = 0; i < out->n; i++) {
        out->labels[i] = (int)labels[i];
        if (labels[i] >= 0 && labels[i] < c->classes) continue;
        golden_problem(g, "label %lld of %lld classes", (long long)labels[i],
                       (long long)c->classes);
        return false;
    }
    return true;
}

Batch golden_batch(Golden *g, const Pool *p, const int64_t *index, int64_t n) {
    int64_t values = shape_numel(p->shape) / p->n;
    float *images = golden_memory(g, n * values, sizeof *images);
    Label *labels = golden_memory(g, n, sizeof *labels);
    for (int64_t b = 0; b < n; b++) {
        int64_t from = index ? index[b] : b;
        ASSERT(from >= 0 && from < p->n, "image %lld", (long long)from);
        memcpy(images + b * values, p->images + from * values, (size_t)values * sizeof *images);
        labels[b].class = p->labels[from];
    }
    return (Batch){.n = n, .images = images, .labels = labels};
}

const int *golden_same_classes(Golden *g, int64_t classes) {
    int *same = golden_memory(g, classes, sizeof *same);
    for (int64_t i = 0; i < classes; i++) same[i] = (int)i;
    return same;
}

/* --- graphs ----------------------------------------------------------------------------------- */

bool golden_classifier_graph(Golden *g, Vit *v, ClassifierOptions o, ClassifierGraph *out) {
    Error err = {0};
    GraphMode mode = o.train ? GRAPH_TRAIN : GRAPH_INFER;
    Status status = classifier_graph(v, o, out, &err);
    if (status == MAE_OK) status = classifier_plan(out, mode, &err);
    if (status == MAE_OK) return true;
    golden_problem(g, "%s", err.message);
    return false;
}

float *golden_output(Golden *g, Graph *graph, const Value *v) {
    float *out = golden_memory(g, shape_numel(v->shape), sizeof *out);
    graph_get(graph, v, out);
    return out;
}

void compare_output(Golden *g, const json_t *entry, const TensorFile *s, const char *name,
                    Graph *graph, const Value *v) {
    Shape shape;
    const float *want = golden_reals(g, s, name, &shape);
    if (!want) return;
    if (shape_equal(shape, v->shape))
        compare_reals(g, name, golden_output(g, graph, v), want, shape_numel(shape),
                      golden_limit(g, entry, name));
    else
        golden_problem(g, "%s has %lld values instead of %lld", name,
                       (long long)shape_numel(v->shape), (long long)shape_numel(shape));
}

double golden_listed(const json_t *object, const char *key, int64_t i) {
    const json_t *v = json_array_get(json_object_get(object, key), (size_t)i);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}
