// The commands of cztc. A command is a table of options and a function from their values to an exit
// code.
#ifndef CZT_CLI_CLI_H
#define CZT_CLI_CLI_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/vec.h"

enum { EXIT_OK = 0, EXIT_INPUT = 1, EXIT_USAGE = 2 };
enum { MOST_THREADS = 4096 };

typedef enum {
    OPTION_FLAG,    // bool
    OPTION_TEXT,    // const char *
    OPTION_COUNT,   // int64_t, 0 or more
    OPTION_NUMBER,  // int64_t, 1 or more; 0 where it is not given
    OPTION_THREADS, // the same, up to MOST_THREADS
    OPTION_SEED,    // const char *: a whole number that a JSON real holds; NULL where not given
    OPTION_TEXTS,   // Texts: may stand several times
    OPTION_OPERAND, // const char *: not an option, must be there
    OPTION_MAYBE    // const char *: not an option, may be there
} OptionKind;

typedef VEC(const char *) Texts;

typedef struct Option {
    const char *name; // "threads"; "FILE" for operands
    char letter;      // of the short form, or 0
    OptionKind kind;
    size_t at;         // offset of the value in the command's own struct
    const char *value; // what help calls the value: "N"
    const char *help;
} Option;

// What a command is given beside its options.
typedef struct Cli {
    Arena *arena;
    double start; // seconds_now() when the process began
} Cli;

typedef struct Command {
    const char *name, *doc;
    const Option *options;
    uint32_t noptions;
    size_t size; // of the struct of values, zeroed before parsing
    int (*run)(Cli *cli, const void *values);
} Command;

extern const Command command_check, command_compile, command_run, command_bench, command_train,
    command_eval, command_lib, command_pack, command_opt;

typedef enum { PARSE_RUN, PARSE_HELP, PARSE_WRONG } Parse;

// The number of an OPTION_SEED, or `otherwise` where it was not given.
int64_t option_seed(const char *text, int64_t otherwise);
// Read the arguments after the command's name into values. PARSE_WRONG with err, which says what is
// near.
Parse options_parse(Arena *arena, const Command *command, int argc, char **argv, void *values,
                    Error *err);
// Print what a command does and its options.
void options_help(const Command *command, FILE *out);

// Print "cztc: error: ..." on stderr and give EXIT_INPUT.
int fail(const Error *err);
// The same with a text.
int fail_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// "12.3 M", "4.56 k": a number with three digits and a unit's prefix, in the arena.
const char *short_number(Arena *arena, double x);

#endif
