/* Options that have no effect beside others (mae_option_unused). config.json leaves them null, and
 * whoever gives one is told. */
#ifndef RUN_UNUSED_H
#define RUN_UNUSED_H

#include "mae.h"

/* Warns of each option that was given and has no effect among those that hold. */
void option_warn_unused(const MaeOptions *o, const MaeOptions *given, MaeCommand command);

#endif
