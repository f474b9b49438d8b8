/* See foreign_internal.h: what pixels are normalised with, by who says it, or as assumed. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint_meta.h"
#include "checkpoint/foreign_internal.h"
#include "checkpoint/statistics.h"

/* "0.5,0.5,0.5" */
static bool fact_floats(const CheckpointFile *c, const char *key, float *out, int64_t n) {
    const char *text = meta_fact(c->file, key);
    for (int64_t i = 0; text && i < n; i++) {
        char *end;
        out[i] = strtof(text, &end);
        if (end == text || *end != (i + 1 < n ? ',' : '\0')) return false;
        text = end + 1;
    }
    return text != NULL;
}

static bool statistics_of_facts(const CheckpointFile *c, ModelConfig *m) {
    ModelConfig said = *m;
    if (m->channels > MAX_CHANNELS || !fact_floats(c, "pixel_mean", said.mean, m->channels) ||
        !fact_floats(c, "pixel_std", said.std, m->channels))
        return false;
    *m = said;
    return true;
}

/* What transformers takes for a plain ViT without preprocessor_config.json. */
static void assume_halves(ModelConfig *m) {
    for (int i = 0; i < MAX_CHANNELS; i++) m->mean[i] = m->std[i] = 0.5f;
}

/* What is given by --mean and --std needs no assumption. */
static void assume_statistics(CheckpointFile *c, const Facts *f) {
    char mean[STATISTICS_TEXT_BYTES], std[STATISTICS_TEXT_BYTES];
    ModelConfig *m = &c->config;
    const char *type = json_string_value(json_object_get(f->config, "model_type"));
    bool no_mean = !f->hints || !f->hints->mean, no_std = !f->hints || !f->hints->std;
    if (type && strcmp(type, "vit") == 0) assume_halves(m);
    if (m->channels > MAX_CHANNELS || (!no_mean && !no_std)) return;
    statistics_print(m->mean, m->channels, mean);
    statistics_print(m->std, m->channels, std);
    foreign_doubt(c,
                  "nothing says what its pixels are normalised with: %s%s%s%s%s assumed; --mean "
                  "and --std say otherwise",
                  no_mean ? "mean " : "", no_mean ? mean : "",
                  no_mean && no_std ? ", deviation " : "", no_std && !no_mean ? "deviation " : "",
                  no_std ? std : "");
}

void foreign_set_statistics(CheckpointFile *c, const Facts *f) {
    ModelConfig *m = &c->config;
    statistics_default(m);
    if (statistics_of_preprocessor(f->preprocessor, m) || statistics_of_timm(f->timm, m) ||
        statistics_of_facts(c, m) ||
        statistics_of_mmengine(tensorfile_meta(c->file, "meta.cfg"), m))
        return;
    if (f->origin != ORIGIN_UNKNOWN && m->channels == 3)
        foreign_assume(c, "pixel statistics of ImageNet, as %s has them", origin_words[f->origin]);
    else
        assume_statistics(c, f);
}
