// Frozen state: weights of teachers, constants of files, statistics. It is in no checkpoint;
// whatever begins or goes on with a program fills it anew, from the files that the manifest names
// (train.frozen) or, where it names none, by entry "init" with the run's seed.
#ifndef CZT_RUNTIME_FROZEN_H
#define CZT_RUNTIME_FROZEN_H

#include "runtime/weights_init.h"

// Does the program have any?
bool frozen_any(const Step *step);
// After entry "init": take what comes from files, every tensor of it. Names what a file lacks.
bool frozen_load(Exec *exec, Error *err);
// Does the file of a row of train.frozen have every tensor of it? As weights_fit.
bool frozen_fits(const Step *step, const json_t *row, WeightsTaken *taken, Arena *arena,
                 Error *err);
// A sum of all its bytes, 0 where there is none: tells other teachers from those a run began with.
// *parts: {"teachers.big": sum}, of what each file gives; the caller frees it.
bool frozen_sum(Exec *exec, uint64_t *sum, json_t **parts, Error *err);
// Which of them are others than those, with their files: "teachers.big (big.safetensors)"; "" where
// `old` does not say.
const char *frozen_changed(Exec *exec, Arena *arena, const json_t *old);
// Of what a statistic is, as texts for its file ("teacher", "network", "weights", "weights_file"):
// of the manifest's {teacher, network, weights_file, state: names}, with a sum of that state. NULL
// with err; the caller frees it.
json_t *frozen_identity(Exec *exec, const json_t *of, Error *err);

#endif
