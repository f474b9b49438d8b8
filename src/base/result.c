/* See result.h. */
#include "base/result.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/name.h"

/* --- writing ---------------------------------------------------------------------------------- */

Result result_start(bool *failed) {
    Result whole = {.value = json_object(), .failed = failed};
    *failed = whole.value == NULL;
    return whole;
}

Status result_end(Result whole, MaeResult **out, Error *err) {
    if (out) *out = NULL;
    if (out && !*whole.failed)
        *out = (MaeResult *)whole.value;
    else
        json_decref(whole.value);
    return *whole.failed ? error_set(err, MAE_MEMORY, "no memory for the result") : MAE_OK;
}

void result_drop(Result whole) {
    json_decref(whole.value);
}

static int set_member(json_t *object, const char *key, json_t *value) {
    if (name_fits(key, NAME_IN_JSON)) return json_object_set_new(object, key, value);
    char *name = name_escape(key, NAME_IN_JSON);
    int failed = json_object_set_new(object, name, value); /* of NULL: fails, and frees value */
    mem_free(name);
    return failed;
}

void result_value(Result r, const char *key, json_t *value) {
    int failed = key ? set_member(r.value, key, value) : json_array_append_new(r.value, value);
    if (failed) *r.failed = true;
}

void result_text(Result r, const char *key, const char *text) {
    result_value(r, key, json_name(text));
}

void result_count(Result r, const char *key, int64_t n) {
    result_value(r, key, json_integer((json_int_t)n));
}

void result_number(Result r, const char *key, double x) {
    result_value(r, key, isfinite(x) ? json_real(x) : json_null());
}

void result_share(Result r, const char *key, double x) {
    result_number(r, key, x >= 0 ? x : (double)NAN);
}

void result_switch(Result r, const char *key, bool on) {
    result_value(r, key, json_boolean(on));
}

void result_members(Result r, json_t *object) {
    if (json_object_update(r.value, object)) *r.failed = true;
}

Result result_object(Result r, const char *key) {
    Result object = {.value = json_object(), .failed = r.failed};
    result_value(r, key, object.value);
    return object;
}

Result result_list(Result r, const char *key) {
    Result list = {.value = json_array(), .failed = r.failed};
    result_value(r, key, list.value);
    return list;
}

const MaeResult *result_view(const json_t *value) {
    return (const MaeResult *)value;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The node itself where key is NULL. */
static const json_t *find(const MaeResult *r, const char *key) {
    const json_t *node = (const json_t *)r;
    return key ? json_object_get(node, key) : node;
}

const MaeResult *mae_result_get(const MaeResult *r, const char *key) {
    return result_view(find(r, key));
}

/* Of an object: in the order in which its members were set; NULL after the last. */
static void *member(const MaeResult *r, int64_t i) {
    json_t *object = (json_t *)(uintptr_t)r;
    void *at = i < 0 ? NULL : json_object_iter(object);
    while (at && i-- > 0) at = json_object_iter_next(object, at);
    return at;
}

const MaeResult *mae_result_at(const MaeResult *r, int64_t i) {
    const json_t *node = find(r, NULL);
    if (json_is_array(node)) return result_view(i < 0 ? NULL : json_array_get(node, (size_t)i));
    return result_view(json_object_iter_value(member(r, i)));
}

const char *mae_result_key(const MaeResult *r, int64_t i) {
    return json_object_iter_key(member(r, i));
}

int64_t mae_result_count(const MaeResult *r, const char *key) {
    const json_t *node = find(r, key);
    return (int64_t)(json_is_array(node) ? json_array_size(node) : json_object_size(node));
}

double mae_result_number(const MaeResult *r, const char *key) {
    const json_t *node = find(r, key);
    if (json_is_boolean(node)) return json_is_true(node);
    return json_is_number(node) ? json_number_value(node) : (double)NAN;
}

int64_t mae_result_integer(const MaeResult *r, const char *key) {
    const json_t *node = find(r, key);
    double x = mae_result_number(r, key);
    if (json_is_integer(node)) return (int64_t)json_integer_value(node);
    return fabs(x) < 9e18 ? (int64_t)x : -1;
}

const char *mae_result_text(const MaeResult *r, const char *key) {
    return json_string_value(find(r, key));
}

char *mae_result_json(const MaeResult *r) {
    char *text =
        json_dumps((const json_t *)r, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    char *ours = text ? mem_strdup(text) : NULL;
    free(text);
    return ours;
}

void mae_result_free(MaeResult *r) {
    json_decref((json_t *)r);
}
