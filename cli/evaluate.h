// Evaluation on a set of samples: losses, the experts' metrics, retrieval, zero-shot
// classification.
#ifndef CZT_CLI_EVALUATE_H
#define CZT_CLI_EVALUATE_H

#include "cli/feed.h"

typedef struct EvalOptions {
    const char *source, *series; // shards, as in FeedOptions
    const char *classes; // JSON file {"classes": [..], "templates": ["a photo of a {}."]}, or NULL
    int64_t samples;     // at most; 0: all
    int64_t step;        // finished updates, which weights of losses may depend on
    uint32_t workers;
} EvalOptions;

// One figure and what guessing gives; baseline is NAN where it is not known.
typedef struct Figure {
    const char *name;
    double value, baseline;
} Figure;

typedef struct Figures {
    VEC(Figure) at;
    int64_t samples, batches; // seen; batches whose losses and metrics counted (whole ones)
} Figures;

// Run entries "metrics_reset", "eval", "metrics" and the encoders over the samples, in order.
// Names: "retrieval.image_to_text@1", "zero_shot@5", and those of the entries' outputs. Everything
// lives in the arena.
bool evaluate(Arena *arena, const Loaded *program, const EvalOptions *options, Figures *out,
              Error *err);

#endif
