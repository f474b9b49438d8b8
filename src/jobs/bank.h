/* The features of all images of a dataset in memory, for jobs that compare them. */
#ifndef JOBS_BANK_H
#define JOBS_BANK_H

#include "infer/session.h"

typedef struct Bank {
    Dataset *dataset; /* bank_free closes it */
    float *features;  /* [n,width] */
    int64_t *image;   /* [n] which image of the dataset a row is; those left out have none */
    int *label;       /* [n] its class; -1: none */
    int64_t n, width;
} Bank;

/* Runs the job, whose data is b->dataset. */
Status bank_fill(Bank *b, Session *s, const SessionJob *job, Error *err);
void bank_free(Bank *b); /* accepts a zeroed one */

#endif
