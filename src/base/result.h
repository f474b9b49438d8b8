/* What a job has to say at its end: a JSON value, made by the functions here and read by the public
 * mae_result_* functions. To those outside it is an opaque MaeResult. Job code has no error to
 * forget: a lack of memory is remembered, and result_end returns it. */
#ifndef BASE_RESULT_H
#define BASE_RESULT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"

/* An object or a list of a result. It is passed by value; the whole owns it. */
typedef struct Result {
    json_t *value;
    bool *failed; /* memory was short somewhere in the whole */
} Result;

/* An empty object. It is kept in the whole that result_end gives; *failed must live until then. */
Result result_start(bool *failed);
/* Moves the whole into *out, which mae_result_free frees; out NULL frees it. MEMORY: some part of
 * it is missing; *out is NULL. */
Status result_end(Result whole, MaeResult **out, Error *err);
/* Frees the whole of a job that failed. */
void result_drop(Result whole);

/* Each sets a member of an object, or adds to the end of a list, where key is NULL. Names and keys
 * that are not UTF-8 are escaped (base/name.h). */
void result_text(Result r, const char *key, const char *text);
void result_count(Result r, const char *key, int64_t n);
/* Numbers that JSON does not have become null. */
void result_number(Result r, const char *key, double x);
/* Of a number that is never below 0: a negative one means "not measured" and becomes null. */
void result_share(Result r, const char *key, double x);
void result_switch(Result r, const char *key, bool on);
/* Takes over a value that is there, and frees it when memory is short; NULL means that it was. */
void result_value(Result r, const char *key, json_t *value);
/* All members of an object that is there and stays its owner's. */
void result_members(Result r, json_t *object);
Result result_object(Result r, const char *key); /* an empty one */
Result result_list(Result r, const char *key);   /* an empty one */

/* The MaeResult of a value, which belongs to whoever owns that. */
const MaeResult *result_view(const json_t *value);

#endif
