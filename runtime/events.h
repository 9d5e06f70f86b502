// TensorBoard event files: scalars and histograms by step.
#ifndef CZT_RUNTIME_EVENTS_H
#define CZT_RUNTIME_EVENTS_H

#include "base/diag.h"

typedef struct Events Events;

// Begin a new event file in a folder (made when missing). What earlier files of the folder hold for
// steps after `step` (finished updates) is declared void, so a resumed run draws one curve.
Events *events_open(const char *folder, int64_t step, Error *err);
// NULL is allowed.
void events_close(Events *events);
// Make all values so far durable.
bool events_sync(Events *events, Error *err);
// Append one value.
bool events_scalar(Events *events, int64_t step, const char *tag, float value, Error *err);

// Elements counted in n bins of equal width from min to max, which are finite.
typedef struct Histogram {
    double min, max, mean, deviation;
    uint32_t n;
    const int32_t *counts;
} Histogram;

// Where bin i begins and bin i - 1 ends, i from 0 to n.
static inline double histogram_edge(const Histogram *h, uint32_t i)
{
    return i < h->n ? h->min + (h->max - h->min) * i / h->n : h->max;
}

// Append one histogram.
bool events_histogram(Events *events, int64_t step, const char *tag, const Histogram *h,
                      Error *err);

#endif
