/* Pre-training that starts from weights (--init): sizes are theirs, what they lack is fresh, and
 * each of both is said. */
#ifndef JOBS_PRETRAIN_INIT_H
#define JOBS_PRETRAIN_INIT_H

#include "run/run.h"

/* The configuration of r from its --init and options, which then say the same. USAGE: an option
 * that contradicts the file; names both. */
Status pretrain_init_configure(Run *r, Error *err);
/* What config.json cannot say of a run that goes on: eps, and statistics of older versions. */
Status pretrain_init_resume(Run *r, Error *err);
/* Weights of --init, and with --continue the training state that came with them. *fresh_decoder:
 * the file has none. */
Status pretrain_init_read(Run *r, bool *fresh_decoder, Error *err);

#endif
