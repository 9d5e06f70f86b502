// cztc check --params: what each parameter of a graph gets.
#ifndef CZT_CLI_GRAPH_PARAMS_H
#define CZT_CLI_GRAPH_PARAMS_H

#include "frontend/frontend.h"

// Print a line for each parameter, or one JSON object.
void graph_params(Arena *arena, const Frontend *f, bool json);

#endif
