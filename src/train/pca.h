/* The PCA target of Table 1d: the largest principal components of the training images' patches. */
#ifndef TRAIN_PCA_H
#define TRAIN_PCA_H

#include "data/loader.h"
#include "model/autoencoder.h"
#include "train/events.h"

/* Fits pca.weight, pca.bias and pca.mean of a model to n_images samples of the loader options.
 * INTERRUPTED: a stop was asked for. */
Status pca_fit(Vit *a, Dataset *d, LoaderOptions options, int64_t n_images, Error *err);

#endif
