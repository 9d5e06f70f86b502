// Evaluation on a set of samples: losses, the experts' metrics, retrieval, zero-shot
// classification.
#ifndef CZT_RUNNER_EVALUATE_H
#define CZT_RUNNER_EVALUATE_H

#include "runner/feed.h"

typedef struct EvalOptions {
    const char *source, *series; // shards, as in FeedOptions
    const char *key;             // what gave the source, for messages
    const char *classes;         // file of class names, as in cli/classes.h, or NULL
    const char *prompts;         // file of templates instead of its own, or NULL
    int64_t samples;             // at most; 0: all
    int64_t step;                // finished updates, which weights of losses may depend on
    uint32_t workers;
    bool progress; // tell it on stderr
} EvalOptions;

// One figure and what guessing gives; baseline is NAN where it is not known. With `under` it is a
// baseline that the graph declares, of the nearest figure before it that is none.
typedef struct Figure {
    const char *name;
    double value, baseline;
    const char *under; // "constant_mask" of "experts.seg.iou.constant_mask"; NULL
} Figure;

typedef struct Figures {
    VEC(Figure) at;
    int64_t samples, batches; // seen; batches whose losses and metrics counted (whole ones)
    int64_t left_out;         // samples of the last batch, in retrieval and zero-shot alone
} Figures;

// Names of the graph's eval sets, in the arena.
const char **evaluate_sets(Arena *arena, const Loaded *program, uint32_t *n);
// Source, key, classes and prompts of one of the graph's eval sets; of none (NULL), without source.
EvalOptions evaluate_options(Arena *arena, const Loaded *program, const char *set);
// Samples of a run of entry "eval".
int64_t evaluate_batch(const Loaded *l);
// Warn on stderr of samples that losses and metrics leave out: of `left_out` in a last batch that
// is not whole, none of them where `batches` is 0. The key names the set.
void evaluate_warn(const char *key, int64_t left_out, int64_t batches, int64_t batch);
// Open every eval set of the graph and read its classes, as a run will, and warn of a set whose
// last batch is not whole; err names the key.
bool evaluate_check(const Loaded *program, uint32_t workers, Error *err);

// Run entries "metrics_reset", "eval", "metrics" and the encoders over the samples, in order.
// Names: "retrieval.image_to_text@1", "zero_shot@5", and those of the entries' outputs. Everything
// lives in the arena.
bool evaluate(Arena *arena, const Loaded *program, const EvalOptions *options, Figures *out,
              Error *err);

#endif
