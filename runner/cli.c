// What the programs have in common: find the command by name, read its options, run it.
#include "runner/again.h"

#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <unistd.h>

typedef struct Commands {
    const Command *const *at;
    uint32_t n;
} Commands;

const char *program_name(void)
{
    return program_invocation_short_name;
}

int fail(const Error *err)
{
    fflush(stdout);
    fprintf(stderr, "%s: error: %s\n", program_name(), err->text);
    return err->device ? EXIT_DEVICE : EXIT_INPUT;
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

int fail_usage(const char *command, const char *text)
{
    const char *name = program_name();
    fprintf(stderr, "%s %s: %s; see %s %s --help\n", name, command, text, name, command);
    return EXIT_USAGE;
}

// The first line of a command's doc.
static void print_summary(const Command *c, FILE *out)
{
    fprintf(out, "  %-10s %.*s\n", c->name, (int)strcspn(c->doc, "\n"), c->doc);
}

static void print_usage(const Cli *cli, const Commands *commands, FILE *out)
{
    const char *name = program_name();
    fprintf(out, "usage: %s COMMAND ... (%s COMMAND --help says more)\n       %s --version\n\n",
            name, name, name);
    if (cli->about) fprintf(out, "%s\n\n", cli->about);
    for (uint32_t i = 0; i < commands->n; i++) print_summary(commands->at[i], out);
}

static const Command *find_command(const Commands *commands, const char *name)
{
    for (uint32_t i = 0; i < commands->n; i++)
        if (strcmp(commands->at[i]->name, name) == 0) return commands->at[i];
    return NULL;
}

static int unknown_command(const Commands *commands, const char *name)
{
    const char *near = NULL, *program = program_name();
    uint32_t best = 3;
    for (uint32_t i = 0; i < commands->n; i++) {
        uint32_t d = str_distance(name, commands->at[i]->name, best);
        if (d < best) best = d, near = commands->at[i]->name;
    }
    fprintf(stderr, "%s: unknown command '%s'; ", program, name);
    if (near)
        fprintf(stderr, "did you mean %s?\n", near);
    else
        fprintf(stderr, "see %s --help\n", program);
    return EXIT_USAGE;
}

static int run(Cli *cli, const Commands *commands, int argc, char **argv)
{
    if (argc < 2) {
        print_usage(cli, commands, stderr);
        return EXIT_USAGE;
    }
    bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                strcmp(argv[1], "help") == 0;
    if (help && argc == 2) {
        print_usage(cli, commands, stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s %s\n", program_name(), cli->version);
        return EXIT_OK;
    }
    const char *name = argv[help ? 2 : 1]; // help NAME, or NAME
    const Command *c = find_command(commands, name);
    if (!c) return unknown_command(commands, name);
    if (help) {
        options_help(cli, c, stdout);
        return EXIT_OK;
    }
    void *values = arena_alloc(cli->arena, c->size + 1);
    Error err = {0};
    switch (options_parse(cli, c, argc - 2, argv + 2, values, &err)) {
    case PARSE_HELP: options_help(cli, c, stdout); return EXIT_OK;
    case PARSE_WRONG:
        fprintf(stderr, "%s %s: %s\n", program_name(), c->name, err.text);
        return EXIT_USAGE;
    case PARSE_RUN: break;
    }
    int code = c->run(cli, values);
    return cli->repeats ? again_code(cli, code, argv) : code == EXIT_DEVICE ? EXIT_INPUT : code;
}

// A standard stream that whoever started us has closed must not be the next file that is opened: it
// is one that can only be read, so that to write there is an error.
static void fill_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) open("/dev/null", O_RDONLY);
}

int cli_main(Cli *cli, const Command *const *commands, uint32_t n, int argc, char **argv)
{
    fill_streams();
    signal(SIGXFSZ, SIG_IGN); // a limit on file sizes is an error of write(2), as a full disk is
    again_read(cli);
    int code = run(cli, &(Commands){commands, n}, argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    fprintf(stderr, "%s: error: standard output: write failed\n", program_name());
    return code == EXIT_OK ? EXIT_INPUT : code;
}
