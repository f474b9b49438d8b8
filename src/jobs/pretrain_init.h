/* Pre-training that starts from weights (--init). The file gives the sizes. What it lacks is fresh,
 * and the log says so. */
#ifndef JOBS_PRETRAIN_INIT_H
#define JOBS_PRETRAIN_INIT_H

#include "run/run.h"

/* Sets r->config from --init and the options, and then the options to the same. USAGE: an option
 * contradicts the file; the message has both values. */
Status pretrain_init_configure(Run *r, Error *err);
/* Reads what config.json of a run lacks: eps, and in older versions pixel statistics. */
Status pretrain_init_resume(Run *r, Error *err);
/* Reads the weights of --init, and with --continue the training state in the same file.
 * *fresh_decoder: does the file lack a decoder? */
Status pretrain_init_read(Run *r, bool *fresh_decoder, Error *err);

#endif
