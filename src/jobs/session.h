/* A session as the public header knows it: images in memory, of any size and type, become batches
 * of a Session (infer/session.h), whose results have names and shapes. mae.h says what each
 * function does. */
#ifndef JOBS_SESSION_H
#define JOBS_SESSION_H

#include "jobs/model.h"

Status named_session_new(MaeModel *m, const char *outputs, int64_t batch, const MaeOptions *o,
                         MaeSession **out, Error *err);
void named_session_free(MaeSession *s); /* accepts NULL */
MaeModel *named_session_model(const MaeSession *s);
Status named_session_mask(MaeSession *s, const uint8_t *removed, int64_t n, Error *err);
Status named_session_run(MaeSession *s, const MaeImage *images, int64_t n, Error *err);
Status named_session_output(MaeSession *s, const char *name, MaeTensor *out, Error *err);
Status named_session_paint(MaeSession *s, int64_t i, MaeImage *out, Error *err);

#endif
