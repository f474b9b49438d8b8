/* Are the images that a model is measured on unseen, or among those that it was trained on, or
 * looks up neighbours in? */
#ifndef JOBS_UNSEEN_H
#define JOBS_UNSEEN_H

#include "data/dataset.h"
#include "mae.h"

/* USAGE when images of val are in data, unless o->accept_overlap; then it is said. With o->val NULL
 * val is what --val-share holds out of data. */
Status unseen_check(const MaeOptions *o, const Dataset *data, const Dataset *val, Error *err);
/* The same with the images that the run trained on to which the checkpoint --model belongs, where
 * its config.json is beside it and they are still there. */
Status unseen_check_trained(const MaeOptions *o, const Dataset *val, const volatile int *stop,
                            Error *err);

#endif
