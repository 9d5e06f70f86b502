// cztc opt: graph passes on IR text.
#include "cli/pipeline.h"

typedef struct Values {
    const char *file, *passes, *lib;
    Texts set;
    bool time_passes;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_OPERAND, offsetof(Values, file), NULL,
     "IR text (.ir) or a graph file (.yaml)"},
    {"passes", 0, OPTION_TEXT, offsetof(Values, passes), "A,B",
     "passes in this order; default: all"},
    {"set", 0, OPTION_TEXTS, offsetof(Values, set), "K=V",
     "change a value of the file; globs allowed"},
    {"lib", 0, OPTION_TEXT, offsetof(Values, lib), "DIR",
     "library files instead of the built-in ones"},
    {"time-passes", 0, OPTION_FLAG, offsetof(Values, time_passes), NULL,
     "print seconds and nodes by pass"},
};

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Pipeline p;
    pipeline_begin(&p, cli->arena, 1);
    FrontendOptions o = {.lib_dir = v->lib, .set = v->set.at, .nset = v->set.n};
    PassOptions passes = {.level = 1, .list = v->passes, .time = v->time_passes};
    if (!pipeline_read(&p, v->file, &o) || !pipeline_passes(&p, &passes)) return EXIT_INPUT;
    program_print(p.program, stdout);
    return EXIT_OK;
}

const Command command_opt = {
    "opt",          "run graph passes on a program's text and print it",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
