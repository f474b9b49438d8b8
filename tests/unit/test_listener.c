/* Calls of several threads, each with a listener of its own; asking whether to stop; children. */
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/listener.h"
#include "base/log.h"
#include "base/threads.h"
#include "data/loader.h"
#include "scratch.h"
#include "small_model.h"

Suite *suite_listener(void);

/* --- whose log it is -------------------------------------------------------------------------- */

enum { LINES = 500 };

/* What one listener has heard. */
typedef struct Heard {
    const char *word; /* every line must have it */
    int lines, others;
    atomic_int inside; /* of its functions at this moment */
    bool overlapped;
    char source[512]; /* of images */
} Heard;

static void on_log(void *user, int level, const char *line) {
    Heard *h = user;
    (void)level;
    if (atomic_fetch_add(&h->inside, 1) > 0) h->overlapped = true;
    if (strstr(line, h->word))
        h->lines++;
    else
        h->others++;
    atomic_fetch_sub(&h->inside, 1);
}

static void say_often(void *user) {
    for (int i = 0; i < LINES; i++) log_line(LOG_INFO, "%s %d", (const char *)user, i);
}

/* A call with two threads of the library, all three saying the same word. */
static void *call_with_threads(void *user) {
    Heard *h = user;
    MaeEvents events = {.user = h, .log = on_log};
    Listener listener;
    Call call;
    Thread threads[2];
    void *word = (void *)(uintptr_t)h->word;
    listener_open(&listener, &events);
    ck_assert_int_eq(call_begin(&call, &listener, NULL), MAE_OK);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(thread_start(&threads[i], say_often, word), 0);
    say_often(word);
    for (int i = 0; i < 2; i++) thread_join(&threads[i]);
    call_end(&call);
    listener_close(&listener);
    log_line(LOG_INFO, "%s is over", h->word);
    return NULL;
}

START_TEST(calls_of_two_threads_keep_their_logs_apart) {
    Heard heard[2] = {{.word = "left"}, {.word = "right"}};
    pthread_t callers[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_with_threads, &heard[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(callers[i], NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(heard[i].lines, 3 * LINES);
        ck_assert_int_eq(heard[i].others, 0);
        ck_assert(!heard[i].overlapped);
    }
}
END_TEST

/* Reads the images of a folder, one of which is none. */
static void *load_broken(void *user) {
    Heard *h = user;
    MaeEvents events = {.user = h, .log = on_log};
    Listener listener;
    Call call;
    Dataset *d = NULL;
    Loader *l = NULL;
    Batch b;
    Error err = {0};
    listener_open(&listener, &events);
    ck_assert_int_eq(call_begin(&call, &listener, NULL), MAE_OK);
    ck_assert_msg(dataset_open(h->source, (DatasetOptions){.channels = 3}, &d, &err) == MAE_OK,
                  "%s", err.message);
    LoaderOptions o = {.augment = {.kind = AUGMENT_EVAL, .height = 8, .width = 8},
                       .batch = 2,
                       .n_workers = 2,
                       .repeat = 1,
                       .n_epochs = 1,
                       .leave_out = true};
    ck_assert_msg(loader_open(d, o, &l, &err) == MAE_OK, "%s", err.message);
    do ck_assert_int_eq(loader_next(l, &b, &err), MAE_OK);
    while (b.n > 0);
    loader_close(l);
    dataset_close(d);
    call_end(&call);
    listener_close(&listener);
    return NULL;
}

START_TEST(workers_of_a_loader_tell_their_own_call) {
    Heard heard[2] = {{.word = "left"}, {.word = "right"}};
    pthread_t callers[2];
    scratch_png(scratch_path("good.png"), 1, 8, 8);
    scratch_text(scratch_path("left.png"), "no picture");
    scratch_text(scratch_path("right.png"), "no picture");
    scratch_text(scratch_path("left.txt"), "good.png\nleft.png\n");
    scratch_text(scratch_path("right.txt"), "good.png\nright.png\n");
    for (int i = 0; i < 2; i++) {
        snprintf(heard[i].source, sizeof heard[i].source, "list:%s",
                 scratch_path("%s.txt", heard[i].word));
        ck_assert_int_eq(pthread_create(&callers[i], NULL, load_broken, &heard[i]), 0);
    }
    for (int i = 0; i < 2; i++) pthread_join(callers[i], NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_ge(heard[i].lines, 1);
        ck_assert_int_eq(heard[i].others, 0);
    }
}
END_TEST

/* A function of a listener may call the library with other objects. */
START_TEST(a_call_within_a_call_ends) {
    Heard outer = {.word = "outer"}, inner = {.word = "inner"};
    MaeEvents events[2] = {{.user = &outer, .log = on_log}, {.user = &inner, .log = on_log}};
    Listener listener[2];
    Call call[2];
    log_line(LOG_ERROR, "nobody hears this");
    for (int i = 0; i < 2; i++) {
        listener_open(&listener[i], &events[i]);
        ck_assert_int_eq(call_begin(&call[i], &listener[i], NULL), MAE_OK);
        log_line(LOG_INFO, i ? "inner" : "outer");
    }
    call_end(&call[1]);
    log_line(LOG_INFO, "outer again");
    call_end(&call[0]);
    log_line(LOG_ERROR, "nobody hears this");
    ck_assert(outer.lines == 2 && outer.others == 0 && inner.lines == 1 && inner.others == 0);
    for (int i = 0; i < 2; i++) listener_close(&listener[i]);
}
END_TEST

/* --- asking for a stop ------------------------------------------------------------------------ */

static int asked, answer;
static pthread_t asker;

static int on_stop(void *user) {
    (void)user;
    asker = pthread_self();
    asked++;
    return answer;
}

static void on_progress(void *user, const MaeProgress *p) {
    (void)user;
    (void)p;
    answer = 1;
}

START_TEST(a_stop_is_asked_for_now_and_then) {
    MaeEvents events = {.stop = on_stop, .progress = on_progress};
    Listener listener;
    Call call;
    ck_assert_ptr_null(call_stop());
    ck_assert(!stop_asked(NULL));
    listener_open(&listener, &events);
    ck_assert_int_eq(call_begin(&call, &listener, NULL), MAE_OK);
    ck_assert(!stop_asked(call_stop()));
    ck_assert_int_eq(asked, 1);
    for (int i = 0; i < 100; i++) stop_asked(call_stop());
    double start = clock_seconds();
    int before = asked;
    while (asked < before + 3 && clock_seconds() < start + 10) stop_asked(call_stop());
    ck_assert_int_eq(asked, before + 3);
    ck_assert(clock_seconds() - start > 2 * STOP_ASK_S);
    /* What a listener was told may make it ask for one. */
    call_progress(&(MaeProgress){0});
    ck_assert(stop_asked(call_stop()));
    answer = 0;
    ck_assert(stop_asked(call_stop())); /* once is enough */
    ck_assert_int_eq(asked, before + 4);
    ck_assert(pthread_equal(asker, pthread_self()));
    call_end(&call);
    listener_close(&listener);
}
END_TEST

/* --- children --------------------------------------------------------------------------------- */

static Listener held;

static void *hold_listener(void *user) {
    (void)user;
    pthread_mutex_lock(&held.lock);
    while (pause() != 0) continue;
    return NULL;
}

/* What a child may do: everything but begin a call. A team that was its parent's is not there. */
static void child(Vit *v, Graph *g, Device *d) {
    Call call;
    Error err = {0};
    if (call_begin(&call, NULL, &err) != MAE_UNSUPPORTED || !strstr(err.message, "spawn")) _exit(1);
    log_line(LOG_INFO, "whoever held the listener is not there");
    graph_free(g);
    vit_free(v);
    device_close(d);
    _exit(0);
}

START_TEST(a_forked_child_is_told_so) {
    ModelConfig c = small_config(3, TARGET_NORM_PIX, false);
    Call call;
    Device *d;
    pthread_t holder;
    int status;
    listener_open(&held, &(MaeEvents){.log = on_log});
    ck_assert_int_eq(call_begin(&call, &held, NULL), MAE_OK);
    ck_assert_int_eq(device_open("cpu", 2, NULL, &d, NULL), MAE_OK);
    Vit *v = small_model(d, &c);
    AutoencoderGraph g = small_graph(v, FORWARD_TRAIN, 64);
    ck_assert_int_eq(graph_plan(g.graph, GRAPH_TRAIN, NULL), MAE_OK);
    small_feed(v, &g, 64);
    ck_assert(graph_forward(g.graph));
    ck_assert_int_eq(pthread_create(&holder, NULL, hold_listener, NULL), 0);
    while (pthread_mutex_trylock(&held.lock) == 0) pthread_mutex_unlock(&held.lock);
    pid_t pid = fork();
    if (pid == 0) child(v, g.graph, d);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    call_end(&call);
    ck_assert(graph_forward(g.graph)); /* the parent goes on */
    graph_free(g.graph);
    vit_free(v);
    device_close(d);
}
END_TEST

Suite *suite_listener(void) {
    Suite *s = suite_create("listener");
    TCase *c = tcase_create("listener");
    tcase_add_checked_fixture(c, scratch_make, scratch_remove);
    tcase_add_test(c, calls_of_two_threads_keep_their_logs_apart);
    tcase_add_test(c, workers_of_a_loader_tell_their_own_call);
    tcase_add_test(c, a_call_within_a_call_ends);
    tcase_add_test(c, a_stop_is_asked_for_now_and_then);
    tcase_add_test(c, a_forked_child_is_told_so);
    suite_add_tcase(s, c);
    return s;
}
