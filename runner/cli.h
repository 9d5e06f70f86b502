// The commands of cztc and of cztc-run. A command is a table of options and a function from their
// values to an exit code.
#ifndef CZT_RUNNER_CLI_H
#define CZT_RUNNER_CLI_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/vec.h"

enum { EXIT_OK = 0, EXIT_INPUT = 1, EXIT_USAGE = 2 };
enum { EXIT_DEVICE = 3 }; // of a command, not of the process: a GPU has failed
enum { MOST_THREADS = 4096 };

typedef enum {
    OPTION_FLAG,    // bool
    OPTION_TEXT,    // const char *
    OPTION_COUNT,   // int64_t, 0 or more
    OPTION_NUMBER,  // int64_t, 1 or more; 0 where it is not given
    OPTION_THREADS, // the same, up to MOST_THREADS
    OPTION_SEED,    // const char *: a whole number that a JSON real holds; NULL where not given
    OPTION_TEXTS,   // Texts: may stand several times
    OPTION_CHOICE,  // const char *: one of those in `value`, "auto|own"; NULL where not given
    OPTION_TARGET,  // const char *: the name of a target, which the compiler knows
    OPTION_OPERAND, // const char *: not an option, must be there
    OPTION_MAYBE,   // const char *: not an option, may be there
    OPTION_REST     // Texts: not options, all operands from here on
} OptionKind;

typedef VEC(const char *) Texts;

// The programs that a command may be in. Beside an option's kind: only these have it.
typedef enum {
    IN_CZTC = 16,   // which takes graph files too
    IN_RUNNER = 32, // cztc-run, which takes step files
    IN_CARRIER = 64 // an executable that carries its step
} In;

typedef struct Option {
    const char *name;  // "threads"; "FILE" for operands
    char letter;       // of the short form, or 0
    unsigned kind;     // of OptionKind; | of In where not all programs have it
    size_t at;         // offset of the value in the command's own struct
    const char *value; // what help calls the value: "N"
    const char *help;
} Option;

// What a command is given beside its options.
typedef struct Cli {
    Arena *arena;
    double start; // seconds_now() when the process began
    In in;
    const char *version;             // what --version says behind the program's name
    const char *about;               // what the program is, for --help; NULL: nothing is said
    const struct Compiler *compiler; // of graph files (runner/load.h); NULL: there is none
    const char *carried;             // how messages call the step that the program carries, or NULL
    bool repeats;                    // the command may be done again (runner/again.h)
    int64_t updates;                 // of train, finished when it failed
    bool again;                      // this is the second process of the command
    int64_t failed;                  // there: how many updates were finished when the first failed
} Cli;

typedef struct Command {
    const char *name, *doc;
    const Option *options;
    uint32_t noptions;
    size_t size; // of the struct of values, zeroed before parsing
    int (*run)(Cli *cli, const void *values);
} Command;

extern const Command command_run, command_bench, command_train, command_eval, command_export,
    command_describe, command_data;

// Run the command that the arguments name, one of a list, and give the exit code of the process:
// what main returns.
int cli_main(Cli *cli, const Command *const *commands, uint32_t n, int argc, char **argv);

typedef enum { PARSE_RUN, PARSE_HELP, PARSE_WRONG } Parse;

// The number of an OPTION_SEED, or `otherwise` where it was not given.
int64_t option_seed(const char *text, int64_t otherwise);
// Read the arguments after the command's name into values. PARSE_WRONG with err, which says what is
// near.
Parse options_parse(const Cli *cli, const Command *command, int argc, char **argv, void *values,
                    Error *err);
// Print what a command does and its options.
void options_help(const Cli *cli, const Command *command, FILE *out);

// The program's name, as in messages.
const char *program_name(void);
// Print "cztc: error: ..." on stderr and give EXIT_INPUT, or EXIT_DEVICE.
int fail(const Error *err);
// The same with a text.
int fail_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// Print "cztc COMMAND: text; see cztc COMMAND --help" on stderr and give EXIT_USAGE.
int fail_usage(const char *command, const char *text);
// "12.3 M", "4.56 k": a number with three digits and a unit's prefix, in the arena.
const char *short_number(Arena *arena, double x);

#endif
