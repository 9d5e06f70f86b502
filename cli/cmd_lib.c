// cztc lib: what the library has.
#include "cli/assets.h"
#include "cli/commands.h"
#include "frontend/frontend.h"

typedef struct Values {
    const char *name;
    Source source; // lib alone
} Values;

static const Option options[] = {
    {"NAME", 0, OPTION_MAYBE, offsetof(Values, name), NULL,
     "a module, function, optimiser or metric; or a file or folder: encoders/vit"},
    LIB_OPTION(Values),
};

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Error err = {0};
    const char *lib = v->source.lib ? v->source.lib : assets_library(cli->arena, &err);
    if (!lib || !frontend_lib(cli->arena, lib, v->name, stdout, &err)) return fail(&err);
    return EXIT_OK;
}

const Command command_lib = {
    "lib",          "list the library, or describe one of its modules",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
