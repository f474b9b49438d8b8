/* Private to run*.c: what the parts of a run call of each other. "Agreed" means what it means in
 * run.h: all processes call the function, and it fails in all of them or in none. */
#ifndef RUN_RUN_INTERNAL_H
#define RUN_RUN_INTERNAL_H

#include "run/run.h"
#include "run/run_state.h"

/* --- run_open.c ------------------------------------------------------------------------------- */

/* Everything between options and the first batch; agreed. run_close after a failure, too. */
Status run_open(Run *r, const MaeOptions *o, Error *err);
void run_close(Run *r);

/* --- run_changes.c ---------------------------------------------------------------------------- */

/* Options and progress of a run that is resumed: what was given, over what config.json says, and
 * the changes between them; sets r->complete. USAGE: a change that cannot be. */
Status run_take_up(Run *r, const MaeOptions *given, Error *err);
/* Once the run is made: are its model and data those of the run folder? Says all changes.
 * USAGE: those that cannot be, and those that want --accept-changes. */
Status run_check_folder(Run *r, const MaeOptions *given, Error *err);
void run_say_complete(const Run *r);

/* --- run_resume.c ----------------------------------------------------------------------------- */

/* Weights, moments, averages and counters of the run folder. USAGE: another seed, which was not
 * accepted. */
Status run_resume(Run *r, bool accepted, Error *err);
/* Weights, moments and averages of the last save, where there is one; counters go on, so that other
 * data come next. Agreed. */
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

/* Gathers gradients and votes of all processes, and updates, skips or fails. Agreed; a line of the
 * log that cannot be written waits in r->fault. */
Status run_update(Run *r, Error *err);
double run_images_per_second(const Run *r); /* since this start; 0: says nothing */
/* The rate, or NaN where features are cached: it would be that of the head alone. */
double run_measured_rate(const Run *r, double rate);
double run_seconds(const Run *r); /* of the whole run */
double run_epoch(const Run *r);   /* the place in the data, in epochs */
bool run_is_over(const Run *r);   /* all epochs or updates are made */
/* Where the run is, after so many images since this start; the listener's phase is "train". */
MaeProgress run_progress(const Run *r, double images);

/* --- run_watch.c ------------------------------------------------------------------------------ */

/* After the step is made, before the loader: updates tell how far they are, and a process alone
 * gives up the one under way when a stop is asked for. */
void run_watch(Run *r);
/* All is as if this update's micro-batches had not been. */
void run_give_up_update(Run *r);
/* INTERRUPTED, and where the run is. The first two add it to what *err says was stopped, the last
 * one saves the run. Agreed, but for the first. */
Status run_interrupted_opening(const Run *r, Error *err);
Status run_interrupted_measuring(Run *r, Error *err);
Status run_interrupted(Run *r, Error *err);

/* --- run_together.c --------------------------------------------------------------------------- */

/* r->fault of any process becomes the failure of all. */
Status run_agree_on_fault(Run *r, Error *err);
/* What rank 0 has becomes what all have: weights, moments (but for those kept by one process
 * alone), averages, counters. */
void run_share_state(Run *r);
/* Where in the data a resumed run goes on, whatever cut its batches had. */
void run_find_place(Run *r);
/* Images that some process could not read. */
int64_t run_unreadable(Run *r);

/* --- run_plan.c ------------------------------------------------------------------------------- */

/* EMPTY: an epoch is too small for one update. */
Status run_check_schedule(const Run *r, Error *err);
/* What run_plan says, of a run that is configured. */
Status run_fill_plan(Run *r, MaePlan *out, Error *err);
/* FMA throughput, measured once; before the loader's threads work. */
double run_peak_gflops(Run *r);

#endif
