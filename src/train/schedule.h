/* Learning rate as published: linear warm-up from 0, then half a cosine, by fractional epoch. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

/* epoch = epochs done so far, fractional. Source: util/lr_sched of the published code. */
double schedule_lr(double epoch, double warmup_epochs, double epochs, double peak, double min_lr);

#endif
