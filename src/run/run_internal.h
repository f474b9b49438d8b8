/* Private to run*.c: what the parts of a run use of each other. "Agreed" has the meaning of run.h:
 * all processes call the function, and it fails in all of them or in none. */
#ifndef RUN_RUN_INTERNAL_H
#define RUN_RUN_INTERNAL_H

#include "run/run.h"
#include "run/run_state.h"

/* --- run_open.c ------------------------------------------------------------------------------- */

/* Does all between options and the first batch; agreed. Needs run_close after a failure, too. */
Status run_open(Run *r, const MaeOptions *o, Error *err);
void run_close(Run *r);

/* --- run_changes.c ---------------------------------------------------------------------------- */

/* Sets options and progress of a resumed run: what was given, over what config.json says. Finds the
 * changes between them, and sets r->complete. USAGE: a change that cannot be. */
Status run_take_up(Run *r, const MaeOptions *given, Error *err);
/* Are model and data of the made run those of the run folder? Logs all changes. USAGE: changes that
 * cannot be, and those that need --accept-changes. */
Status run_check_folder(Run *r, const MaeOptions *given, Error *err);
void run_say_complete(const Run *r);

/* --- run_resume.c ----------------------------------------------------------------------------- */

/* Reads weights, moments, averages and counters from the run folder. USAGE: another seed, which was
 * not accepted. */
Status run_resume(Run *r, bool accepted, Error *err);
/* Reads weights, moments and averages of the last save, if there is one. Counters stay, so that
 * other data come next. Agreed. */
Status run_roll_back(Run *r, Error *err);
/* What a checkpoint holds of a run. */
RunState run_state(Run *r);

/* --- run_save.c ------------------------------------------------------------------------------- */

/* All of these agreed. numbered: the epoch of checkpoint-EPOCH.safetensors, -1: none. */
Status run_save(Run *r, int64_t numbered, Error *err);
Status run_wait_for_writer(Run *r, Error *err); /* until what was saved is on disk */
Status run_save_and_wait(Run *r, Error *err);
Status run_save_picture(Run *r, Error *err);
Status run_save_epoch(Run *r, Error *err); /* the picture, and a numbered checkpoint */
Status run_save_curves(Run *r, Error *err);

/* --- run_update.c ----------------------------------------------------------------------------- */

/* Gathers gradients and votes of all processes. Then it updates, leaves the update out, or fails.
 * Agreed. A line of the log that cannot be written waits in r->fault. */
Status run_update(Run *r, Error *err);
double run_images_per_second(const Run *r); /* since this start; 0: says nothing */
/* The rate, or NaN with cached features, where it would be that of the head alone. */
double run_measured_rate(const Run *r, double rate);
double run_seconds(const Run *r); /* of the whole run */
double run_epoch(const Run *r);   /* the place in the data, in epochs */
bool run_is_over(const Run *r);   /* all epochs or updates are made */
/* Where the run is after so many images since this start. The listener's phase is "train". */
MaeProgress run_progress(const Run *r, double images);

/* --- run_watch.c ------------------------------------------------------------------------------ */

/* Call it after the step is made, before the loader. Updates then tell how far they are. A process
 * alone gives up the update under way when a stop is asked for. */
void run_watch(Run *r);
/* Restores the state before this update's micro-batches. */
void run_give_up_update(Run *r);
/* Each returns INTERRUPTED and says where the run is, the first two after what *err says. The last
 * one saves, unless the first update is given up. All but the first are agreed. */
Status run_interrupted_opening(const Run *r, Error *err);
Status run_interrupted_measuring(Run *r, Error *err);
Status run_interrupted(Run *r, Error *err);

/* --- run_together.c --------------------------------------------------------------------------- */

/* Makes r->fault of any process the failure of all. */
Status run_agree_on_fault(Run *r, Error *err);
/* Gives all processes what rank 0 has: weights, moments (unless each process keeps its own),
 * averages, counters. */
void run_share_state(Run *r);
/* Finds where in the data a resumed run goes on, with batches of any other size before. */
void run_find_place(Run *r);
/* Images that some process could not read. */
int64_t run_unreadable(Run *r);

/* --- run_plan.c ------------------------------------------------------------------------------- */

/* EMPTY: an epoch is too small for one update. */
Status run_check_schedule(const Run *r, Error *err);
/* What run_plan says of a configured run. */
Status run_tell_plan(Run *r, Result out, Error *err);
/* The FMA throughput, measured once. Call it before the loader's threads work. */
double run_peak_gflops(Run *r);

#endif
