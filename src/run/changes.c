/* See changes.h. */
#include "run/changes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options/options.h"

/* --- the rule --------------------------------------------------------------------------------- */

static const char MODEL[] = "the model of a run cannot change";
static const char START[] = "it says how a run begins, and this one has begun";
static const char SCHEDULE[] =
    "the learning rate follows another curve from here on than a run that began with it";
static const char HELD_OUT[] = "images that were trained on would be validated with";

/* Every other option wants a mark. */
static const struct {
    const char *option;
    ChangeKind kind;
    const char *why;
} RULES[] = {
    {"threads", CHANGE_FREE, NULL},
    {"workers", CHANGE_FREE, NULL},
    {"cache-mb", CHANGE_FREE, NULL},
    {"log-every", CHANGE_FREE, NULL},
    {"save-every", CHANGE_FREE, NULL},
    {"eval-every", CHANGE_FREE, NULL},
    {"keep", CHANGE_FREE, NULL},
    {"async-save", CHANGE_FREE, NULL},
    {"shard-optimizer", CHANGE_FREE, NULL},
    {"device", CHANGE_FREE, NULL},
    {"strict", CHANGE_FREE, NULL},
    {"accept-overlap", CHANGE_FREE, NULL},
    {"peer-timeout", CHANGE_FREE, NULL},
    {"steps", CHANGE_FREE, NULL}, /* where it ends; the learning rate goes by --epochs */
    {"max-entries", CHANGE_FREE, NULL},
    {"model", CHANGE_NEVER, MODEL},
    {"image-size", CHANGE_NEVER, MODEL},
    {"patch", CHANGE_NEVER, MODEL},
    {"channels", CHANGE_NEVER, MODEL},
    {"embed-dim", CHANGE_NEVER, MODEL},
    {"depth", CHANGE_NEVER, MODEL},
    {"heads", CHANGE_NEVER, MODEL},
    {"mlp-ratio", CHANGE_NEVER, MODEL},
    {"decoder-embed-dim", CHANGE_NEVER, MODEL},
    {"decoder-depth", CHANGE_NEVER, MODEL},
    {"decoder-heads", CHANGE_NEVER, MODEL},
    {"target", CHANGE_NEVER, MODEL},
    {"pca-components", CHANGE_NEVER, MODEL},
    {"mask-token-in-encoder", CHANGE_NEVER, MODEL},
    {"pool", CHANGE_NEVER, MODEL},
    {"mean", CHANGE_NEVER, MODEL},
    {"std", CHANGE_NEVER, MODEL},
    {"tune-blocks", CHANGE_NEVER, "the optimiser knows only what was trained so far"},
    {"optimizer", CHANGE_NEVER, "the state of the other optimiser is not there"},
    {"init", CHANGE_NEVER, START},
    {"continue", CHANGE_NEVER, START},
    {"pca-images", CHANGE_NEVER, START},
    {"val-share", CHANGE_NEVER, HELD_OUT},
    {"epochs", CHANGE_MARKED, SCHEDULE},
    {"warmup-epochs", CHANGE_MARKED, SCHEDULE},
};

ChangeKind changes_kind(const char *option, const char **why) {
    if (why) *why = NULL;
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        if (strcmp(RULES[i].option, option) != 0) continue;
        if (why) *why = RULES[i].why;
        return RULES[i].kind;
    }
    return CHANGE_MARKED;
}

const char *changes_rule(size_t i) {
    return i < sizeof RULES / sizeof *RULES ? RULES[i].option : NULL;
}

/* What depends on more than the name. */
static ChangeKind kind_of(const char *option, const MaeOptions *before, const MaeOptions *now,
                          const char **why) {
    ChangeKind kind = changes_kind(option, why);
    if (strcmp(option, "seed") == 0 && now->val_share > 0) {
        *why = HELD_OUT;
        return CHANGE_NEVER;
    }
    if (strcmp(option, "ema") == 0 && (before->ema > 0) != (now->ema > 0)) {
        *why = "averages begin with a run";
        return CHANGE_NEVER;
    }
    return kind;
}

/* --- the list --------------------------------------------------------------------------------- */

/* At most CHANGE_TEXT - 1 bytes, cut between characters. */
static void shorten(char out[CHANGE_TEXT], const char *text) {
    size_t n = strlen(text), most = CHANGE_TEXT - 4;
    if (n >= CHANGE_TEXT) {
        for (n = most; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;) n--;
        snprintf(out, CHANGE_TEXT, "%.*s...", (int)n, text);
    } else {
        memcpy(out, text, n + 1);
    }
}

void changes_add(Changes *c, ChangeKind kind, const char *what, const char *before, const char *now,
                 const char *why) {
    ASSERT(c->n < CHANGES_MAX, "more than %d changes", CHANGES_MAX);
    Change *change = &c->change[c->n++];
    *change = (Change){.kind = kind, .why = why};
    snprintf(change->what, sizeof change->what, "%s", what);
    shorten(change->before, before);
    shorten(change->now, now);
}

void changes_compare(Changes *c, ChangeKind kind, const char *what, int64_t before, int64_t now,
                     const char *why) {
    char a[32], b[32];
    if (before == now) return;
    snprintf(a, sizeof a, "%" PRId64, before);
    snprintf(b, sizeof b, "%" PRId64, now);
    changes_add(c, kind, what, a, b, why);
}

bool changes_have(const Changes *c, ChangeKind kind) {
    for (int i = 0; i < c->n; i++)
        if (c->change[i].kind == kind) return true;
    return false;
}

/* Two ways to write the same folder or file. */
static bool same_path(const char *a, const char *b) {
    static const char prefix[] = "folder:";
    size_t n = sizeof prefix - 1;
    if (strncmp(a, prefix, n) == 0) a += n;
    if (strncmp(b, prefix, n) == 0) b += n;
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    bool same = x && y && strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

void changes_find(Changes *c, const MaeOptions *before, const MaeOptions *given,
                  const MaeOptions *now) {
    size_t count;
    const OptionRow *table = option_table(&count);
    for (size_t i = 0; i < count; i++) {
        const OptionRow *row = &table[i];
        char a[OPTION_TEXT_BYTES], b[OPTION_TEXT_BYTES], name[64];
        const char *why;
        if (!(row->commands & (unsigned)now->command) || !given->given[i] ||
            option_is_of_one_call(row))
            continue;
        if (mae_options_unused(before, row->option.name) &&
            mae_options_unused(now, row->option.name))
            continue;
        option_text(before, row, a, sizeof a);
        option_text(now, row, b, sizeof b);
        if (strcmp(a, b) == 0 || (row->option.type == MAE_OPTION_TEXT && same_path(a, b))) continue;
        if (option_is_derived(before, i)) snprintf(a, sizeof a, "not set");
        snprintf(name, sizeof name, "--%s", row->option.name);
        ChangeKind kind = kind_of(row->option.name, before, now, &why);
        changes_add(c, kind, name, a, b, why);
    }
}

/* --- what is said ----------------------------------------------------------------------------- */

/* Appends to a text of so many bytes, never cutting a character. */
static void append(char *text, size_t bytes, const char *format, ...) PRINTF_LIKE(3, 4);

static void append(char *text, size_t bytes, const char *format, ...) {
    char more[512];
    va_list args;
    va_start(args, format);
    vsnprintf(more, sizeof more, format, args);
    va_end(args);
    size_t used = strlen(text);
    if (used + strlen(more) < bytes) memcpy(text + used, more, strlen(more) + 1);
}

/* Lists the changes that are in the way, a line each. Returns how many did not fit. */
static int list(const Changes *c, bool all, char *text, size_t bytes) {
    int left_out = 0;
    for (int i = 0; i < c->n; i++) {
        const Change *k = &c->change[i];
        size_t used = strlen(text);
        if (k->kind == CHANGE_FREE || (!all && k->kind != CHANGE_NEVER)) continue;
        append(text, bytes, "\n  %s %s -> %s%s%s%s", k->what, k->before, k->now, k->why ? " (" : "",
               k->why ? k->why : "", k->why ? ")" : "");
        left_out += strlen(text) == used;
    }
    return left_out;
}

Status changes_check(const Changes *c, const char *run, bool accepted, Error *err) {
    char text[700] = "", more[48] = "";
    bool never = changes_have(c, CHANGE_NEVER);
    if (!never && (accepted || !changes_have(c, CHANGE_MARKED))) return MAE_OK;
    int left_out = list(c, !accepted, text, sizeof text);
    if (left_out) snprintf(more, sizeof more, "\n  and %d more", left_out);
    return error_set(
        err, MAE_USAGE,
        "%.120s holds a run that was trained otherwise:%s%s\nLeave them out to go on as "
        "before, %sor begin anew with another --out or --restart",
        run, text, more,
        never ? ""
              : "add --accept-changes to go on with them (log.jsonl and curves.svg show "
                "where), ");
}

void changes_describe(const Changes *c, char *text, size_t bytes) {
    const char *gap = "changed: ";
    *text = '\0';
    for (int i = 0; i < c->n; i++) {
        const Change *k = &c->change[i];
        if (k->kind != CHANGE_MARKED) continue;
        append(text, bytes, "%s%s %s -> %s", gap, k->what, k->before, k->now);
        gap = ", ";
    }
}
