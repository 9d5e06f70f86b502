// cztc: the command line. The process ends with the code that main returns: 0 ok, 1 the input is
// wrong, 2 usage (70, a defect, is base/diag.c's).
#include "cli/commands.h"
#include "cli/graph.h"
#include "codegen/backend.h"

static const Command *const commands[] = {
    &command_new,   &command_check, &command_compile, &command_run,      &command_bench,
    &command_train, &command_eval,  &command_export,  &command_describe, &command_data,
    &command_stats, &command_pack,  &command_lib,     &command_schema,   &command_opt,
};

int main(int argc, char **argv)
{
    Cli cli = {
        .arena = arena_new(), .start = seconds_now(), .in = IN_CZTC, .compiler = &graph_compiler};
    cli.version = str_printf(cli.arena, "%s, %s, %s", CZT_VERSION, backend_versions(cli.arena),
                             CZT_BUILD_TYPE " build");
    int code = cli_main(&cli, commands, sizeof commands / sizeof *commands, argc, argv);
    arena_free(cli.arena);
    return code;
}
