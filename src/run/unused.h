/* Options without effect beside others (mae_options_unused). config.json has null for them, and the
 * log warns whoever gives one. */
#ifndef RUN_UNUSED_H
#define RUN_UNUSED_H

#include "options/options.h"

/* Warns of each option that was given and has no effect beside those in o. */
void option_warn_unused(const MaeOptions *o, const MaeOptions *given);

#endif
