/* See statistics.h. */
#include "checkpoint/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No pixel from 0 to 1 has statistics beyond it: 123.675 is of pixels from 0 to 255. */
#define LARGEST 10

typedef struct Statistics {
    float mean[MAX_CHANNELS], std[MAX_CHANNELS];
} Statistics;

static bool is_valid(const Statistics *s, int64_t channels) {
    for (int64_t i = 0; i < channels; i++)
        if (!(fabsf(s->mean[i]) <= LARGEST && s->std[i] > 0 && s->std[i] <= LARGEST)) return false;
    return true;
}

static bool take(const Statistics *s, ModelConfig *c) {
    if (!is_valid(s, c->channels)) return false;
    memcpy(c->mean, s->mean, sizeof s->mean);
    memcpy(c->std, s->std, sizeof s->std);
    return true;
}

void statistics_default(ModelConfig *c) {
    static const float mean[] = {0.485f, 0.456f, 0.406f}, std[] = {0.229f, 0.224f, 0.225f};
    for (int i = 0; i < MAX_CHANNELS; i++) {
        c->mean[i] = c->channels == 3 && i < 3 ? mean[i] : 0.5f;
        c->std[i] = c->channels == 3 && i < 3 ? std[i] : 0.25f;
    }
}

bool statistics_equal(const ModelConfig *a, const ModelConfig *b) {
    size_t bytes = (size_t)a->channels * sizeof *a->mean;
    return a->channels == b->channels && memcmp(a->mean, b->mean, bytes) == 0 &&
           memcmp(a->std, b->std, bytes) == 0;
}

/* --- as text ---------------------------------------------------------------------------------- */

/* The shortest text that reads back as the same float. */
static int print_float(char *text, size_t bytes, float v) {
    int n = 0;
    for (int digits = 6; digits <= 9; digits++) {
        n = snprintf(text, bytes, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v) break;
    }
    return n;
}

void statistics_print(const float *v, int64_t channels, char text[STATISTICS_TEXT_BYTES]) {
    size_t n = 0;
    *text = '\0';
    for (int64_t i = 0; i < channels && i < MAX_CHANNELS; i++) {
        if (i) text[n++] = ',';
        n += (size_t)print_float(text + n, STATISTICS_TEXT_BYTES - n, v[i]);
    }
}

/* Numbers joined by commas; how many there are, -1 when something else is among them. */
static int64_t parse_list(const char *text, float out[MAX_CHANNELS]) {
    for (int64_t n = 0; n < MAX_CHANNELS; n++) {
        char *end;
        if (strspn(text, "+-0123456789.eE") == 0) return -1;
        out[n] = strtof(text, &end);
        if (end == text || (*end && *end != ',')) return -1;
        if (!*end) return n + 1;
        text = end + 1;
    }
    return MAX_CHANNELS + 1;
}

static Status check_value(const char *option, const char *text, float v, Error *err) {
    bool deviation = strcmp(option, "std") == 0;
    if (deviation && !(v > 0))
        return error_set(err, MAE_USAGE, "--std %.200s: a deviation must be above 0", text);
    if (fabsf(v) <= LARGEST) return MAE_OK;
    return error_set(err, MAE_USAGE,
                     "--%s %.200s: is of pixels from 0 to 1; divide what is of 0 to 255 by 255",
                     option, text);
}

static Status set_one(const char *option, const char *text, int64_t channels, float *out,
                      Error *err) {
    float v[MAX_CHANNELS];
    if (!text) return MAE_OK;
    int64_t n = parse_list(text, v);
    if (n < 0)
        return error_set(err, MAE_USAGE,
                         "--%s %.200s: write a number, or one a channel joined by commas", option,
                         text);
    if (n != 1 && n != channels)
        return error_set(
            err, MAE_USAGE,
            "--%s %.200s: the model has %lld channels; give one number, or one a channel", option,
            text, (long long)channels);
    for (int64_t i = 0; i < n; i++) {
        Status status = check_value(option, text, v[i], err);
        if (status != MAE_OK) return status;
    }
    for (int64_t i = 0; i < channels && i < MAX_CHANNELS; i++) out[i] = v[n == 1 ? 0 : i];
    return MAE_OK;
}

Status statistics_set(const char *mean, const char *std, ModelConfig *c, Error *err) {
    Status status = set_one("mean", mean, c->channels, c->mean, err);
    return status == MAE_OK ? set_one("std", std, c->channels, c->std, err) : status;
}

/* --- beside weights --------------------------------------------------------------------------- */

/* A number for all channels, or a list of one a channel. */
static bool json_values(const json_t *object, const char *key, int64_t channels, float *out) {
    const json_t *list = json_object_get(object, key);
    if (channels > MAX_CHANNELS) return false;
    if (!json_is_number(list) && json_array_size(list) != (size_t)channels) return false;
    for (int64_t i = 0; i < channels; i++) {
        const json_t *v = json_is_number(list) ? list : json_array_get(list, (size_t)i);
        if (!json_is_number(v)) return false;
        out[i] = (float)json_number_value(v);
    }
    return true;
}

static bool is_false(const json_t *object, const char *key) {
    return json_is_false(json_object_get(object, key));
}

/* (x f - mean) / std of a pixel x from 0 to 255 is (x/255 - mean/s) / (std/s) with s = 255 f. */
static void undo_rescaling(const json_t *p, int64_t channels, Statistics *s) {
    const json_t *factor = json_object_get(p, "rescale_factor");
    double f = json_is_number(factor) ? json_number_value(factor) : 1.0 / 255;
    double scale = 255 * (is_false(p, "do_rescale") ? 1 : f);
    if (fabs(scale - 1) < 1e-6) return;
    for (int64_t i = 0; i < channels; i++) {
        s->mean[i] = (float)((double)s->mean[i] / scale);
        s->std[i] = (float)((double)s->std[i] / scale);
    }
}

bool statistics_of_preprocessor(const json_t *p, ModelConfig *c) {
    Statistics s = {0};
    if (c->channels > MAX_CHANNELS || !json_is_object(p)) return false;
    if (is_false(p, "do_normalize")) {
        for (int64_t i = 0; i < c->channels; i++) s.std[i] = 1;
    } else if (!json_values(p, "image_mean", c->channels, s.mean) ||
               !json_values(p, "image_std", c->channels, s.std)) {
        return false;
    }
    undo_rescaling(p, c->channels, &s);
    return take(&s, c);
}

bool statistics_of_timm(const json_t *config, ModelConfig *c) {
    Statistics s = {0};
    const json_t *o = json_object_get(config, "pretrained_cfg");
    if (!json_is_object(o)) o = config; /* before there was pretrained_cfg */
    return json_values(o, "mean", c->channels, s.mean) &&
           json_values(o, "std", c->channels, s.std) && take(&s, c);
}

/* "mean=[123.675, 116.28, 103.53]" behind `at`, of pixels from 0 to 255. */
static bool list_of_mmengine(const char *at, const char *key, int64_t channels, float *out) {
    at = strstr(at, key);
    if (at) at += strlen(key);
    for (int64_t i = 0; at && i < channels; i++) {
        char *end;
        at += strspn(at, " \n[(,");
        out[i] = strtof(at, &end) / 255;
        if (end == at) return false;
        at = end;
    }
    return at != NULL;
}

bool statistics_of_mmengine(const char *configuration, ModelConfig *c) {
    Statistics s = {0};
    const char *at = configuration ? strstr(configuration, "data_preprocessor") : NULL;
    return at && c->channels <= MAX_CHANNELS &&
           list_of_mmengine(at, "mean=", c->channels, s.mean) &&
           list_of_mmengine(at, "std=", c->channels, s.std) && take(&s, c);
}
