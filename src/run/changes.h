/* What a resumed run shall do otherwise than before: the options, and the facts about its data,
 * that differ, and whether each may. */
#ifndef RUN_CHANGES_H
#define RUN_CHANGES_H

#include <stdbool.h>

#include "base/status.h"
#include "options/options.h"

enum { CHANGES_MAX = 96, CHANGE_TEXT = 128 };

typedef enum ChangeKind {
    CHANGE_FREE,   /* trains the same model: accepted, and logged */
    CHANGE_MARKED, /* another model, schedule or data from here on: needs --accept-changes */
    CHANGE_NEVER   /* cannot be in a run that has begun */
} ChangeKind;

typedef struct Change {
    ChangeKind kind;
    char what[64]; /* "--lr", or "images of --data" */
    char before[CHANGE_TEXT], now[CHANGE_TEXT];
    const char *why; /* more about it, or NULL */
} Change;

typedef struct Changes {
    int n;
    Change change[CHANGES_MAX];
} Changes;

/* Adds the options that were given now and differ from before, except those without effect. */
void changes_find(Changes *c, const MaeOptions *before, const MaeOptions *given,
                  const MaeOptions *now);
/* Long texts are shortened. */
void changes_add(Changes *c, ChangeKind kind, const char *what, const char *before, const char *now,
                 const char *why);
/* Adds a number if it differs. */
void changes_compare(Changes *c, ChangeKind kind, const char *what, int64_t before, int64_t now,
                     const char *why);
bool changes_have(const Changes *c, ChangeKind kind);
/* USAGE: a change cannot be, or one needs a mark and accepted is false. The message lists these and
 * says what to do. */
Status changes_check(const Changes *c, const char *run, bool accepted, Error *err);
/* "changed: --lr 0.1 -> 0.2, --epochs 4 -> 8": the changes that need a mark. */
void changes_describe(const Changes *c, char *text, size_t bytes);
/* How the option of a row may change; *why (may be NULL): more about it, or NULL. */
ChangeKind changes_kind(const char *option, const char **why);
/* The options that the rule names, for tests; NULL past the last. */
const char *changes_rule(size_t i);

#endif
