// The order in which an epoch takes its samples: a function of the seed and the epoch alone.
#ifndef CZT_RUNTIME_EPOCH_H
#define CZT_RUNTIME_EPOCH_H

#include "base/diag.h"

#include <stdint.h>

// Samples first .. first + count - 1, from which a share of an epoch is taken.
typedef struct EpochPart {
    int64_t first, count;
    double weight;
    int64_t quota; // samples of an epoch; by epoch_open
} EpochPart;

typedef struct EpochOrder {
    uint64_t seed;
    int64_t n; // samples of an epoch
    const EpochPart *parts;
    uint32_t nparts;
    uint32_t *sample; // by place in the epoch
    uint32_t *turn;   // how often the sample's part was gone through before; NULL: as the epoch
    uint32_t *own;    // places in one part
} EpochOrder;

// Of n samples; without parts each is taken once an epoch. With parts, which cover them, an epoch
// has n samples too, of each part as many as its weight says (to a whole one); a part is gone
// through in an order of its own as often as it takes, over the ends of epochs. Sets the quotas.
// False with err: no memory, or a part without samples.
bool epoch_open(EpochOrder *o, uint64_t seed, int64_t n, EpochPart *parts, uint32_t nparts,
                Error *err);
void epoch_make(EpochOrder *o, uint64_t epoch);
void epoch_close(EpochOrder *o);

#endif
