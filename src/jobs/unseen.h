/* Are the images on which a model is measured unseen? They must not be among those that it was
 * trained on, or in which it looks up neighbours. */
#ifndef JOBS_UNSEEN_H
#define JOBS_UNSEEN_H

#include "data/dataset.h"
#include "options/options.h"

/* USAGE: data has images of val. With o->accept_overlap the log warns instead. If o->val is NULL,
 * val is what --val-share holds out of data. */
Status unseen_check(const MaeOptions *o, const Dataset *data, const Dataset *val, Error *err);
/* The same with the training images of o->checkpoint, if config.json of a fine-tuning or probing
 * run lies beside it and they are still there. MEMORY, INTERRUPTED. */
Status unseen_check_trained(const MaeOptions *o, const Dataset *val, Error *err);

#endif
