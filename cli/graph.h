// Graph files for the commands of runner/.
#ifndef CZT_CLI_GRAPH_H
#define CZT_CLI_GRAPH_H

#include "runner/load.h"

extern const Compiler graph_compiler;

#endif
