/* What the files of a public session share: session.c opens it and sets masks, session_images.c
 * brings images into a batch, session_outputs.c names the results. */
#ifndef JOBS_SESSION_INTERNAL_H
#define JOBS_SESSION_INTERNAL_H

#include "data/image/resample.h"
#include "jobs/session.h"
#include "model/mask.h"

#define MAX_OUTPUTS 16

struct MaeSession {
    MaeModel *model;
    SessionOptions options; /* of `session` */
    Session *session;
    int64_t n; /* images of the last run; 0: none, or the masks have changed since */
    /* images */
    FitKind fit;
    ResampleScratch resampling, grey; /* grey: an RGB image for a model of one channel */
    float *floats;                    /* [h,w,C] of the model's size */
    /* masks */
    Masks *masks;       /* NULL: of whole images */
    Masks *listed;      /* by the option keep, of one image; NULL: they are drawn */
    uint64_t seed;      /* of those that are drawn */
    int64_t rule_keeps; /* patches that rule or list keep */
    int64_t n_drawn;    /* images that have masks: as many as were given, or the batch */
    bool masks_are_set; /* `session` has them */
    /* outputs */
    double *probabilities;   /* of an image */
    unsigned asked, there;   /* bits of outputs: asked for; in `made` since the last run */
    void *made[MAX_OUTPUTS]; /* what is not in the memory of `session` */
};

/* --- session_images.c ------------------------------------------------------------------------- */

/* Where n images lie in the batch that the session runs: as bytes, or normalised when one of them
 * has floats. */
Status session_take_images(MaeSession *s, const MaeImage *images, int64_t n, bool *floats,
                           Error *err);

/* --- session_outputs.c ------------------------------------------------------------------------ */

/* Reads "features,logits" into s->asked and s->options. */
Status session_ask(MaeSession *s, const char *outputs, Error *err);
/* Memory for what was asked for. */
Status session_take_outputs(MaeSession *s, Error *err);
/* Was that output asked for? */
bool session_has(const MaeSession *s, const char *name);

#endif
