/* See schedule.h. */
#include "train/schedule.h"

#include <math.h>

double schedule_lr(double epoch, double warmup_epochs, double epochs, double peak, double min_lr) {
    if (epoch < warmup_epochs) return peak * epoch / warmup_epochs;
    double t = (epoch - warmup_epochs) / (epochs - warmup_epochs);
    return min_lr + (peak - min_lr) * 0.5 * (1 + cos(M_PI * t));
}
