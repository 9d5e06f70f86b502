// cztc: the command line. Finds the command by name, reads its options, runs it, and is the only
// place that ends the process with a code: 0 ok, 1 the input is wrong, 2 usage (70, a defect, is
// base/diag.c's).
#include "cli/cli.h"

#include "base/map.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const Command *const commands[] = {
    &command_check, &command_compile, &command_run,  &command_bench, &command_train,
    &command_eval,  &command_lib,     &command_pack, &command_opt,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

int fail(const Error *err)
{
    fflush(stdout);
    fprintf(stderr, "cztc: error: %s\n", err->text);
    return EXIT_INPUT;
}

int fail_text(const char *fmt, ...)
{
    Error err = {.set = true};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, ap);
    va_end(ap);
    return fail(&err);
}

const char *short_number(Arena *arena, double x)
{
    static const char prefix[][3] = {"", " k", " M", " G", " T", " P"};
    uint32_t p = 0;
    while (fabs(x) >= 999.5 && p < 5) x /= 1000, p++;
    int digits = p == 0 && x == floor(x) ? 0 : fabs(x) < 9.995 ? 2 : fabs(x) < 99.95 ? 1 : 0;
    return str_printf(arena, "%.*f%s", digits, x, prefix[p]);
}

// The first line of a command's doc.
static void print_summary(const Command *c, FILE *out)
{
    fprintf(out, "  %-10s %.*s\n", c->name, (int)strcspn(c->doc, "\n"), c->doc);
}

static void print_usage(FILE *out)
{
    fprintf(out, "usage: cztc COMMAND ... (cztc COMMAND --help says more)\n\n");
    for (uint32_t i = 0; i < COMMANDS; i++) print_summary(commands[i], out);
}

static const Command *find_command(const char *name)
{
    for (uint32_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *near = NULL;
    uint32_t best = 3;
    for (uint32_t i = 0; i < COMMANDS; i++) {
        uint32_t d = str_distance(name, commands[i]->name, best);
        if (d < best) best = d, near = commands[i]->name;
    }
    if (near)
        fprintf(stderr, "cztc: unknown command '%s'; did you mean %s?\n", name, near);
    else
        fprintf(stderr, "cztc: unknown command '%s'; see cztc --help\n", name);
    return EXIT_USAGE;
}

static int run(Cli *cli, int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return EXIT_OK;
    }
    const Command *c = find_command(argv[1]);
    if (!c) return unknown_command(argv[1]);
    void *values = arena_alloc(cli->arena, c->size + 1);
    Error err = {0};
    switch (options_parse(cli->arena, c, argc - 2, argv + 2, values, &err)) {
    case PARSE_HELP: options_help(c, stdout); return EXIT_OK;
    case PARSE_WRONG: fprintf(stderr, "cztc %s: %s\n", c->name, err.text); return EXIT_USAGE;
    case PARSE_RUN: break;
    }
    return c->run(cli, values);
}

int main(int argc, char **argv)
{
    Cli cli = {.arena = arena_new(), .start = seconds_now()};
    signal(SIGXFSZ, SIG_IGN); // a limit on file sizes is an error of write(2), as a full disk is
    int code = run(&cli, argc, argv);
    arena_free(cli.arena);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "cztc: error: standard output: write failed\n");
        if (code == EXIT_OK) code = EXIT_INPUT;
    }
    exit(code);
}
