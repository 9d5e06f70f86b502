// What a graph changes of another one: its keys, and its step.
#ifndef CZT_CLI_GRAPH_DIFF_H
#define CZT_CLI_GRAPH_DIFF_H

#include "cli/pipeline.h"

typedef struct GraphDiff {
    const char *from, *to;          // from NULL: what `to` extends
    const FrontendOptions *options; // its settings are of `to`
    bool json;
} GraphDiff;

// Print it, and give the exit code.
int graph_diff(Cli *cli, const GraphDiff *diff);

#endif
