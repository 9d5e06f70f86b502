// cztc opt: passes on IR text.
#include "cli/pipeline.h"
#include "runner/folders.h"

typedef struct Values {
    const char *file, *passes, *skip, *stop_after, *dump_after, *dump_dir;
    Source source;
    int64_t stream_above, stream_piece, recompute;
    bool time_passes;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_OPERAND, offsetof(Values, file), NULL,
     "IR text (.ir) or a graph file (.yaml)"},
    {"passes", 0, OPTION_TEXT, offsetof(Values, passes), "A,B",
     "passes in this order; default: all"},
    {"skip", 0, OPTION_TEXT, offsetof(Values, skip), "A,B", "passes to leave out"},
    {"stop-after", 0, OPTION_TEXT, offsetof(Values, stop_after), "A", "the last pass to run"},
    {"stream-above", 0, OPTION_NUMBER, offsetof(Values, stream_above), "BYTES",
     "pass stream: products of as many bytes are cut (64 MiB)"},
    {"stream-piece", 0, OPTION_NUMBER, offsetof(Values, stream_piece), "BYTES",
     "pass stream: bytes of a piece (16 MiB, or the largest that each piece walks over)"},
    {"recompute", 0, OPTION_NUMBER, offsetof(Values, recompute), "N",
     "pass save: give up N of 64 parts of what is kept for the backward part (0)"},
    {"dump-after", 0, OPTION_TEXT, offsetof(Values, dump_after), "A,B",
     "print what these passes made on stderr: program, groups, plan"},
    {"dump-dir", 0, OPTION_TEXT, offsetof(Values, dump_dir), "DIR",
     "write the same after every pass, in numbered files"},
    SOURCE_OPTIONS(Values),
    {"time-passes", 0, OPTION_FLAG, offsetof(Values, time_passes), NULL,
     "print each pass's time and what it made (on stderr)"},
};

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Pipeline p;
    Error err = {0};
    pipeline_begin(&p, cli->arena, 1);
    FrontendOptions o = pipeline_options(&v->source);
    PassOptions passes = {.level = 1,
                          .list = v->passes,
                          .skip = v->skip,
                          .stop_after = v->stop_after,
                          .stream_above = v->stream_above,
                          .stream_piece = v->stream_piece,
                          .recompute = v->recompute,
                          .dump_after = v->dump_after,
                          .dump_dir = v->dump_dir,
                          .time = v->time_passes};
    if (v->dump_dir && !make_folders(cli->arena, v->dump_dir, &err)) return fail(&err);
    if (!pipeline_read(&p, v->file, &o) || !pipeline_passes(&p, &passes)) return EXIT_INPUT;
    program_print(p.program, stdout);
    return EXIT_OK;
}

const Command command_opt = {
    "opt",          "run passes on a program's text and print it",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
