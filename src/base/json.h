/* JSON that others have written: jansson's parser behind a limit on the depth. What is accepted
 * thus does not depend on how jansson was built, and a recursion over a document has a limit too.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

/* Nothing that this library reads has more than five levels. */
#define JSON_MAX_DEPTH 32

/* json_loadb with JSON_REJECT_DUPLICATES; *why (may be NULL) is set where NULL comes back. */
json_t *json_parse(const void *text, size_t bytes, json_error_t *why);
/* A string for a name, escaped where JSON cannot hold it (base/name.h); NULL: no memory. */
json_t *json_name(const char *name);
/* The object that a small file holds; NULL when it is not there, cannot be read, or is something
 * else. Fails only for want of memory. */
Status json_find_object(const char *folder, const char *name, json_t **out, Error *err);

#endif
