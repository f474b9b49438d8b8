/* The public functions of images, models and sessions. */
#include "base/listener.h"
#include "jobs/image.h"
#include "jobs/session.h"

MaeStatus mae_image_load(const char *path, const MaeOptions *o, MaeImage *out, MaeError *err) {
    return caller_image_load(path, o, out, error_clear(err));
}

MaeStatus mae_image_decode(const void *bytes, size_t n, const MaeOptions *o, MaeImage *out,
                           MaeError *err) {
    return caller_image_decode(bytes, n, o, out, error_clear(err));
}

MaeStatus mae_image_encode(const MaeImage *image, void **bytes, size_t *n, MaeError *err) {
    return caller_image_encode(image, bytes, n, error_clear(err));
}

MaeStatus mae_image_save(const char *path, const MaeImage *image, MaeError *err) {
    return caller_image_save(path, image, error_clear(err));
}

const MaeResult *mae_model_info(const MaeModel *model) {
    return model->info;
}

/* Every call that computes with a model begins with it: the listener of the model hears it. */
static MaeStatus begin(Call *c, const MaeModel *m, MaeError *err) {
    return call_begin(c, (Listener *)(uintptr_t)&m->listener, error_clear(err));
}

MaeStatus mae_model_save(const MaeModel *model, const char *path, MaeError *err) {
    Call call;
    MaeStatus status = begin(&call, model, err);
    if (status != MAE_OK) return status;
    status = checkpoint_write(path, model->vit, &model->notes, err);
    call_end(&call);
    return status;
}

int64_t mae_model_tensors(const MaeModel *model) {
    return params_count(model->vit->params);
}

MaeStatus mae_model_tensor(const MaeModel *model, int64_t i, MaeTensor *out, MaeError *err) {
    return model_tensor(model, i, out, error_clear(err));
}

MaeStatus mae_model_get(const MaeModel *model, const char *name, float *out, int64_t n,
                        MaeError *err) {
    Call call;
    MaeStatus status = begin(&call, model, err);
    if (status != MAE_OK) return status;
    status = model_get(model, name, out, n, err);
    call_end(&call);
    return status;
}

MaeStatus mae_model_set(MaeModel *model, const char *name, const float *values, int64_t n,
                        MaeError *err) {
    Call call;
    MaeStatus status = begin(&call, model, err);
    if (status != MAE_OK) return status;
    status = model_set(model, name, values, n, err);
    call_end(&call);
    return status;
}

MaeStatus mae_session_new(MaeModel *model, const char *outputs, int64_t batch, const MaeOptions *o,
                          MaeSession **out, MaeError *err) {
    *out = NULL;
    Call call;
    MaeStatus status = begin(&call, model, err);
    if (status != MAE_OK) return status;
    status = named_session_new(model, outputs, batch, o, out, err);
    call_end(&call);
    return status;
}

void mae_session_free(MaeSession *session) {
    named_session_free(session);
}

MaeStatus mae_session_mask(MaeSession *session, const uint8_t *removed, int64_t n, MaeError *err) {
    Call call;
    MaeStatus status = begin(&call, named_session_model(session), err);
    if (status != MAE_OK) return status;
    status = named_session_mask(session, removed, n, err);
    call_end(&call);
    return status;
}

MaeStatus mae_session_run(MaeSession *session, const MaeImage *images, int64_t n, MaeError *err) {
    Call call;
    MaeStatus status = begin(&call, named_session_model(session), err);
    if (status != MAE_OK) return status;
    status = named_session_run(session, images, n, err);
    call_end(&call);
    return status;
}

MaeStatus mae_session_output(MaeSession *session, const char *name, MaeTensor *out, MaeError *err) {
    Call call;
    MaeStatus status = begin(&call, named_session_model(session), err);
    if (status != MAE_OK) return status;
    status = named_session_output(session, name, out, err);
    call_end(&call);
    return status;
}

MaeStatus mae_session_paint(MaeSession *session, int64_t i, MaeImage *out, MaeError *err) {
    Call call;
    MaeStatus status = begin(&call, named_session_model(session), err);
    if (status != MAE_OK) return status;
    status = named_session_paint(session, i, out, err);
    call_end(&call);
    return status;
}
