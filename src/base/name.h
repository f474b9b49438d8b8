/* Names of files in places that cannot hold every byte: a line of text, a string of JSON. A name
 * that can be read back as it is stays as it is. Another name is escaped: a backslash stands in
 * front of the whole, and inside it \n, \r, \t, \\ and \xHH stand for bytes. A name that begins
 * with a backslash is always escaped, so whatever begins with one is an escaped name. */
#ifndef BASE_NAME_H
#define BASE_NAME_H

#include <stdbool.h>

typedef enum NamePlace {
    NAME_IN_LINE, /* no control characters, UTF-8 */
    NAME_IN_JSON  /* UTF-8 */
} NamePlace;

/* Does it stay as it is there? */
bool name_fits(const char *name, NamePlace place);
/* Fresh memory (mem_free); NULL when there is none. */
char *name_escape(const char *name, NamePlace place);
/* In place, when text is what name_escape made of some name for a line; otherwise nothing changes:
 * a path that begins with a backslash may just be one. False when memory is short. */
bool name_unescape(char *text);
/* For "did you mean": how many letters lie between what was written and a name there is; INT_MAX
 * where that is not near: more than three letters wrong, or half of a short name. */
int name_distance(const char *written, const char *name);

#endif
