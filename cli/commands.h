// The commands that only cztc has.
#ifndef CZT_CLI_COMMANDS_H
#define CZT_CLI_COMMANDS_H

#include "runner/options.h"

extern const Command command_check, command_compile, command_lib, command_pack, command_opt,
    command_schema, command_new, command_stats;

#endif
