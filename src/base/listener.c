/* See listener.h. */
#include "base/listener.h"

#include "base/fork.h"
#include "base/threads.h"

static _Thread_local Call *current;

void listener_open(Listener *l, const MaeEvents *events) {
    l->events = events ? *events : (MaeEvents){0};
    pthread_mutex_init(&l->lock, NULL);
}

void listener_close(Listener *l) {
    pthread_mutex_destroy(&l->lock);
}

/* --- stopping --------------------------------------------------------------------------------- */

bool stop_asked(Stop *s) {
    if (!s) return false;
    if (s->asked || !s->ask) return s->asked;
    double now = clock_seconds();
    if (now < s->next) return false;
    s->next = now + STOP_ASK_S;
    if (s->ask(s->user)) s->asked = true;
    return s->asked;
}

static int ask_listener(void *user) {
    Listener *l = user;
    pthread_mutex_lock(&l->lock);
    int stop = l->events.stop(l->events.user);
    pthread_mutex_unlock(&l->lock);
    return stop;
}

/* --- the call of a thread --------------------------------------------------------------------- */

Status call_begin(Call *c, Listener *l, Error *err) {
    Status status = fork_check(err);
    if (status != MAE_OK) return status;
    *c = (Call){.listener = l, .outer = current};
    if (l && l->events.stop) {
        c->stop.ask = ask_listener;
        c->stop.user = l;
    }
    current = c;
    return MAE_OK;
}

void call_end(Call *c) {
    current = c->outer;
}

Call *call_of_thread(void) {
    return current;
}

void call_set_of_thread(Call *c) {
    current = c;
}

Stop *call_stop(void) {
    return current && current->stop.ask ? &current->stop : NULL;
}

/* --- telling ---------------------------------------------------------------------------------- */

/* Of the current call; NULL: nobody hears anything. */
static Listener *listener(void) {
    return current ? current->listener : NULL;
}

void call_log(int level, const char *line) {
    Listener *l = listener();
    if (!l || !l->events.log || fork_is_child()) return;
    pthread_mutex_lock(&l->lock);
    l->events.log(l->events.user, level, line);
    pthread_mutex_unlock(&l->lock);
}

bool call_hears_progress(void) {
    return listener() && listener()->events.progress;
}

void call_progress(const MaeProgress *p) {
    Listener *l = listener();
    if (!call_hears_progress()) return;
    pthread_mutex_lock(&l->lock);
    l->events.progress(l->events.user, p);
    pthread_mutex_unlock(&l->lock);
    current->stop.next = 0;
}

bool call_hears_plan(void) {
    return listener() && listener()->events.plan;
}

void call_plan(const MaeResult *plan) {
    Listener *l = listener();
    if (!call_hears_plan()) return;
    pthread_mutex_lock(&l->lock);
    l->events.plan(l->events.user, plan);
    pthread_mutex_unlock(&l->lock);
}

void call_record(const MaeResult *record) {
    Listener *l = listener();
    if (!l || !l->events.record) return;
    pthread_mutex_lock(&l->lock);
    l->events.record(l->events.user, record);
    pthread_mutex_unlock(&l->lock);
}
