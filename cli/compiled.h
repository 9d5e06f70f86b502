// A graph file to the bytes of a step file, out of the cache where they are there.
#ifndef CZT_CLI_COMPILED_H
#define CZT_CLI_COMPILED_H

#include "cli/pipeline.h"

// What a compilation tells of its step.
typedef struct StepFacts {
    int64_t parameters, nodes; // nodes of entry "step" after the passes
    int64_t kernels, calls, launches;
    int64_t state_bytes, scratch_bytes, unplanned_bytes, input_bytes, output_bytes, code_bytes,
        recompute;              // Pipeline.recompute
    const char *label, *remark; // of Code
} StepFacts;

typedef struct StepFile {
    const uint8_t *bytes; // 64-byte-aligned
    size_t size;
    bool cached; // then p->plan and p->code are not there
    StepFacts facts;
} StepFile;

// The whole pipeline. False after the errors were printed on stderr.
bool compiled_step(Pipeline *p, const char *file, const FrontendOptions *options,
                   const PassOptions *passes, StepFile *out);

#endif
