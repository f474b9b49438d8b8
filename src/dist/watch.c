/* See watch.h. Ranks of one host are spoken of together: a host that is gone takes all of them. */
#include "dist/watch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"

#define NOTICE_S 30
#define BEATS_A_NOTICE 10
#define SHORTEST_BEAT_S 0.05

typedef struct Peer {
    char host[HOST_BYTES];
    int first;         /* the lowest rank on its host */
    Beat beat, before; /* the last one, and that of the last look */
    bool heard;        /* since the last look */
    double waits_s;    /* in one exchange, while all answered */
    double silent_s;
    double told_s; /* the silence that was told; 0: none */
} Peer;

struct Watch {
    int rank, size;
    double last;
    double told_wait_s; /* of the wait under way that was told; 0: none */
    bool told_stuck;
    Peer *peer;
};

/* Some ranks: the lowest, and how many. */
typedef struct Group {
    int first, n;
    double longest_s;
} Group;

double watch_notice_s(double timeout_s) {
    return timeout_s > 0 && timeout_s < 2 * NOTICE_S ? timeout_s / 2 : NOTICE_S;
}

double watch_beat_s(double timeout_s) {
    double beat = watch_notice_s(timeout_s) / BEATS_A_NOTICE;
    return beat > SHORTEST_BEAT_S ? beat : SHORTEST_BEAT_S;
}

Status watch_new(int rank, int size, const char *hosts, double now, Watch **out, Error *err) {
    Watch *w = mem_alloc(sizeof *w);
    Peer *peer = mem_alloc_array((size_t)size, sizeof *peer);
    *out = NULL;
    if (!w || !peer) {
        mem_free(w);
        mem_free(peer);
        return error_set(err, MAE_MEMORY, "no memory to watch %d processes", size);
    }
    *w = (Watch){.rank = rank, .size = size, .last = now, .peer = peer};
    for (int r = 0; r < size; r++) {
        snprintf(peer[r].host, HOST_BYTES, "%.*s", HOST_BYTES - 1, hosts + (size_t)r * HOST_BYTES);
        while (strcmp(peer[peer[r].first].host, peer[r].host) != 0) peer[r].first++;
    }
    *out = w;
    return MAE_OK;
}

void watch_free(Watch *w) {
    if (!w) return;
    mem_free(w->peer);
    mem_free(w);
}

void watch_heard(Watch *w, int rank, Beat beat) {
    ASSERT(rank >= 0 && rank < w->size, "a beat of rank %d of %d", rank, w->size);
    w->peer[rank].beat = beat;
    w->peer[rank].heard = true;
}

/* --- words ------------------------------------------------------------------------------------ */

typedef struct Words {
    char text[HOST_BYTES + 64];
} Words;

static Words who(const Watch *w, Group g) {
    Words s;
    const char *host = w->peer[g.first].host;
    if (g.n > 1)
        snprintf(s.text, sizeof s.text, "rank %d and %d more on %s", g.first, g.n - 1, host);
    else
        snprintf(s.text, sizeof s.text, "rank %d on %s", g.first, host);
    return s;
}

/* The time of day so long ago. */
static Words since(double seconds) {
    Words s;
    struct tm local;
    time_t then = time(NULL) - (time_t)seconds;
    if (!localtime_r(&then, &local) || !strftime(s.text, sizeof s.text, "%H:%M:%S", &local))
        snprintf(s.text, sizeof s.text, "%.0f s ago", seconds);
    return s;
}

static const char *have(Group g) {
    return g.n > 1 ? "have" : "has";
}

/* --- silence ---------------------------------------------------------------------------------- */

static bool is_watched(const Watch *w, int rank) {
    return rank != w->rank && (w->rank == 0 || rank == 0);
}

/* Since the last look. A process that was stopped itself, with the clock going on, has heard nobody
 * in between, and blames nobody for it. */
static double elapsed_s(Watch *w, double timeout_s, double now) {
    double most = 2 * watch_beat_s(timeout_s), elapsed = now - w->last;
    w->last = now;
    return elapsed < most ? elapsed : most;
}

static void grow_silent(Watch *w, double elapsed) {
    for (int r = 0; r < w->size; r++) {
        Peer *p = &w->peer[r];
        if (p->told_s > 0) p->told_s += elapsed;
        p->silent_s = p->heard || !is_watched(w, r) ? 0 : p->silent_s + elapsed;
        p->heard = false;
    }
}

typedef bool Choice(const Peer *p, double limit_s);

static bool is_silent(const Peer *p, double limit_s) {
    return p->silent_s >= limit_s;
}

static bool is_untold(const Peer *p, double limit_s) {
    return p->silent_s >= limit_s && !(p->told_s > 0);
}

static bool is_back(const Peer *p, double limit_s) {
    return p->silent_s < limit_s && p->told_s > 0;
}

/* Ranks on one host, named by its lowest. */
static Group on_host(const Watch *w, int host, Choice *chosen, double limit_s) {
    Group g = {.first = host};
    for (int r = w->size - 1; r >= host; r--) {
        const Peer *p = &w->peer[r];
        if (p->first != host || !is_watched(w, r) || !chosen(p, limit_s)) continue;
        g.first = r;
        g.n++;
        if (p->silent_s > g.longest_s) g.longest_s = p->silent_s;
        if (p->told_s > g.longest_s) g.longest_s = p->told_s;
    }
    return g;
}

static void tell_silence(const Watch *w, Group g, double timeout_s) {
    char then[96];
    snprintf(then, sizeof then, "the job ends after %g s of it (--peer-timeout)", timeout_s);
    log_line(LOG_WARNING, "%s %s not answered for %.0f s, since %s: stopped, or cut off; %s",
             who(w, g).text, have(g), g.longest_s, since(g.longest_s).text,
             timeout_s > 0 ? then : "all wait (--peer-timeout 0)");
}

/* Who is nearly due is told of with who is: what takes a host away takes all of its ranks. */
static void look_at_host(Watch *w, int host, double timeout_s) {
    double notice = watch_notice_s(timeout_s), beat = watch_beat_s(timeout_s);
    Group back = on_host(w, host, is_back, 2 * beat);
    bool due = on_host(w, host, is_untold, notice).n > 0;
    if (back.n > 0)
        log_line(LOG_WARNING, "%s answer%s again, after %.0f s", who(w, back).text,
                 back.n > 1 ? "" : "s", back.longest_s);
    if (due) tell_silence(w, on_host(w, host, is_untold, notice - 2 * beat), timeout_s);
    for (int r = host; r < w->size; r++) {
        Peer *p = &w->peer[r];
        if (p->first != host) continue;
        if (p->silent_s < 2 * beat) p->told_s = 0;
        if (due && !(p->told_s > 0) && p->silent_s >= notice - 2 * beat) p->told_s = p->silent_s;
    }
}

/* Others than rank 0 leave it time to end the job for all, and the lowest goes first, so that one
 * message is written by those who still reach each other. */
static double limit_s(const Watch *w, double timeout_s) {
    int turn = w->rank < 10 ? w->rank : 10;
    return w->rank == 0 ? timeout_s : timeout_s + (1 + turn) * watch_beat_s(timeout_s);
}

static bool too_silent(const Watch *w, double timeout_s) {
    double limit = limit_s(w, timeout_s);
    if (!(timeout_s > 0)) return false;
    for (int h = 0; h < w->size; h++) {
        if (on_host(w, h, is_silent, limit).n == 0) continue;
        Group me = {.first = w->rank, .n = 1};
        Group g = on_host(w, h, is_silent, limit - 2 * watch_beat_s(timeout_s));
        log_line(
            LOG_ERROR,
            "%s %s not answered %s for %.0f s, since %s (--peer-timeout %g); the job is ended, "
            "and the same command continues from its last checkpoint",
            who(w, g).text, have(g), who(w, me).text, g.longest_s, since(g.longest_s).text,
            timeout_s);
        return true;
    }
    return false;
}

/* --- waiting for those who answer ------------------------------------------------------------- */

static bool all_answer(const Watch *w, double timeout_s) {
    for (int r = 0; r < w->size; r++)
        if (is_silent(&w->peer[r], watch_notice_s(timeout_s) / 2)) return false;
    return true;
}

static void grow_waiting(Watch *w, double elapsed) {
    for (int r = 0; r < w->size; r++) {
        Peer *p = &w->peer[r];
        bool same = p->beat.waits && p->before.waits && p->beat.exchanges == p->before.exchanges;
        p->waits_s = same ? p->waits_s + elapsed : 0;
        p->before = p->beat;
    }
}

static void forget_told_waits(Watch *w) {
    w->told_wait_s = 0;
    w->told_stuck = false;
}

/* Nobody can be said to wait for somebody else than the silent ones. */
static void forget_waits(Watch *w) {
    for (int r = 0; r < w->size; r++) w->peer[r].waits_s = 0;
    forget_told_waits(w);
}

/* How the processes stand to each other. */
typedef struct Standing {
    double longest_s, shortest_s; /* waits, 0 where somebody works */
    Group late;                   /* those that work while others wait for them */
} Standing;

static Standing standing(const Watch *w) {
    Standing s = {.shortest_s = w->peer[0].waits_s};
    int64_t furthest = 0;
    for (int r = 0; r < w->size; r++) {
        const Peer *p = &w->peer[r];
        if (p->beat.exchanges > furthest) furthest = p->beat.exchanges;
        if (p->waits_s > s.longest_s) s.longest_s = p->waits_s;
        if (p->waits_s < s.shortest_s) s.shortest_s = p->waits_s;
    }
    for (int r = w->size - 1; r >= 0; r--) {
        Beat b = w->peer[r].beat;
        if (b.waits || b.exchanges >= furthest) continue;
        s.late.first = r;
        s.late.n++;
    }
    return s;
}

static Words and_others(const Watch *w, Group g) {
    Words s = who(w, (Group){.first = g.first, .n = 1});
    size_t n = strlen(s.text);
    if (g.n > 1) snprintf(s.text + n, sizeof s.text - n, " and %d more", g.n - 1);
    return s;
}

static void tell_late(Watch *w, const Standing *s) {
    log_line(LOG_INFO, "%s %s late: at work, while others have waited for %.0f s, since %s",
             and_others(w, s->late).text, s->late.n > 1 ? "are" : "is", s->longest_s,
             since(s->longest_s).text);
    w->told_wait_s = s->longest_s;
}

static void tell_stuck(Watch *w, const Standing *s) {
    log_line(
        LOG_WARNING,
        "all processes answer rank 0, but what they exchange has not arrived for %.0f s, since "
        "%s; is there a way between every two of them?",
        s->shortest_s, since(s->shortest_s).text);
    w->told_wait_s = s->longest_s;
    w->told_stuck = true;
}

/* True: all wait for each other, for too long. */
static bool look_at_waits(Watch *w, double timeout_s) {
    Standing s = standing(w);
    double notice = watch_notice_s(timeout_s);
    if (s.longest_s < w->told_wait_s) {
        log_line(LOG_INFO, "all go on, after %.0f s", w->told_wait_s);
        forget_told_waits(w);
    }
    if (w->told_wait_s > 0) w->told_wait_s = s.longest_s;
    if (s.late.n > 0 && s.longest_s >= notice && !(w->told_wait_s > 0)) tell_late(w, &s);
    if (s.shortest_s >= notice && !w->told_stuck) tell_stuck(w, &s);
    if (!(timeout_s > 0) || s.shortest_s < timeout_s) return false;
    log_line(LOG_ERROR,
             "an exchange between the processes has not ended for %.0f s, since %s "
             "(--peer-timeout %g); the job is ended, and the same command continues from its last "
             "checkpoint",
             s.shortest_s, since(s.shortest_s).text, timeout_s);
    return true;
}

/* --- all of it -------------------------------------------------------------------------------- */

bool watch_look(Watch *w, Beat mine, double timeout_s, double now) {
    double elapsed = elapsed_s(w, timeout_s, now);
    w->peer[w->rank].beat = mine;
    grow_silent(w, elapsed);
    if (too_silent(w, timeout_s)) return true;
    if (w->rank > 0) return false;
    for (int r = 0; r < w->size; r++)
        if (w->peer[r].first == r) look_at_host(w, r, timeout_s);
    if (!all_answer(w, timeout_s)) {
        forget_waits(w);
        return false;
    }
    grow_waiting(w, elapsed);
    return look_at_waits(w, timeout_s);
}
