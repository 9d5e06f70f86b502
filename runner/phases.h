// The phases and input shapes of a program's training: which entry an update is. What a phase wants
// done before its first update is an entry too.
#ifndef CZT_RUNNER_PHASES_H
#define CZT_RUNNER_PHASES_H

#include "runtime/exec.h"

// The entries of a phase in one shape.
typedef struct PhaseEntries {
    uint32_t entry;
    int32_t *resting; // NULL, or the entry by the set of periods that rest, -1 where there is none
} PhaseEntries;

typedef struct Phase {
    int64_t from;          // finished updates
    int32_t begin;         // the entry to run before the phase's first update; -1: none
    PhaseEntries *entries; // by shape
} Phase;

typedef struct PhaseShape {
    const char *text;   // "size: 224, batch: 256"; "" where there is one shape
    const char *suffix; // of its entries' names
    double weight;      // how often it comes, beside the others
} PhaseShape;

typedef struct Phases {
    Phase *at;
    uint32_t n;       // at least 1
    int64_t *periods; // of tasks that are computed in one update of so many
    uint32_t nperiods;
    PhaseShape *shapes;
    uint32_t nshapes; // at least 1
    double weights;   // of all shapes
} Phases;

// From "train" of the manifest; without any, entry "step" is all of it. False with err where an
// entry is not there or the order is none.
bool phases_of(Arena *arena, const Step *step, Phases *phases, Error *err);
// After `step` finished updates: do what the phases that come want done before their first update,
// so that what is evaluated now of a slow copy is the student. Later it is done again.
bool phases_prepare(Exec *exec, const Phases *phases, int64_t step, int64_t seed, Error *err);
// Without a run before it, do what phases want done before their first update: of those that begin
// with the update after `step` finished ones and, where it is the first to be made, before it.
bool phases_begin(Exec *exec, const Phases *phases, int64_t step, bool first, int64_t seed,
                  Error *err);
// The phase of the update after `step` finished ones.
const Phase *phases_at(const Phases *phases, int64_t step);
// Its shape: drawn from the run's seed and its number alone.
uint32_t phases_shape(const Phases *phases, int64_t seed, int64_t step);
// Its entry in that shape, and in its own.
uint32_t phases_entry_in(const Phases *phases, uint32_t shape, int64_t step);
uint32_t phases_entry(const Phases *phases, int64_t seed, int64_t step);

#endif
