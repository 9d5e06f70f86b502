// Options: one table a command gives its parser and its help text. Long options take --name value
// and --name=value, short ones -n value; "--" ends them. A row that the program does not have is
// passed over.
#include "runner/load.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

static const int64_t MOST_SEED = (int64_t)1 << 53; // JSON's reals hold it, and YAML's here

static OptionKind kind_of(const Option *o)
{
    return o->kind & (IN_CZTC - 1);
}

static bool is_operand(const Option *o)
{
    return kind_of(o) >= OPTION_OPERAND;
}

static bool has(const Cli *cli, const Option *o)
{
    unsigned in = o->kind & (IN_CZTC | IN_RUNNER | IN_CARRIER);
    return !in || (in & cli->in);
}

static const Option *find_option(const Cli *cli, const Command *c, const char *name, size_t n)
{
    for (uint32_t i = 0; i < c->noptions; i++) {
        const Option *o = &c->options[i];
        if (has(cli, o) && !is_operand(o) && strlen(o->name) == n && strncmp(o->name, name, n) == 0)
            return o;
    }
    return NULL;
}

static const Option *find_letter(const Cli *cli, const Command *c, char letter)
{
    for (uint32_t i = 0; i < c->noptions; i++)
        if (letter && c->options[i].letter == letter && has(cli, &c->options[i]))
            return &c->options[i];
    return NULL;
}

static const Option *next_operand(const Cli *cli, const Command *c, uint32_t skip)
{
    for (uint32_t i = 0; i < c->noptions; i++) {
        const Option *o = &c->options[i];
        if (!has(cli, o) || !is_operand(o)) continue;
        if (skip-- == 0 || kind_of(o) == OPTION_REST) return o;
    }
    return NULL;
}

static bool unknown_option(const Cli *cli, const Command *c, const char *arg, Error *err)
{
    const char *name = str_slice(cli->arena, arg, strcspn(arg, "=")), *near = NULL;
    uint32_t best = 3;
    for (uint32_t i = 0; i < c->noptions; i++) {
        if (!has(cli, &c->options[i]) || is_operand(&c->options[i])) continue;
        uint32_t d = str_distance(name + strspn(name, "-"), c->options[i].name, best);
        if (d < best) best = d, near = c->options[i].name;
    }
    if (near) return error_set(err, "unknown option %s; did you mean --%s?", name, near);
    return error_set(err, "unknown option %s; see %s %s --help", name, program_name(), c->name);
}

// A whole number in decimal digits, within limits.
static bool read_number(const Option *o, const char *text, int64_t *to, Error *err)
{
    const int64_t least = kind_of(o) == OPTION_NUMBER || kind_of(o) == OPTION_THREADS;
    const int64_t most = kind_of(o) == OPTION_THREADS ? MOST_THREADS
                         : kind_of(o) == OPTION_SEED  ? MOST_SEED
                                                      : INT64_MAX;
    bool digits = *text && !text[strspn(text, "0123456789")];
    errno = 0;
    long long n = digits ? strtoll(text, NULL, 10) : -1;
    *to = n;
    if (!errno && n >= least && n <= most) return true;
    if (most < INT64_MAX)
        return error_set(err, "--%s: '%s' is no whole number from %lld to %lld", o->name, text,
                         (long long)least, (long long)most);
    return error_set(err, "--%s: '%s' is no whole number from %lld up", o->name, text,
                     (long long)least);
}

int64_t option_seed(const char *text, int64_t otherwise)
{
    return text ? strtoll(text, NULL, 10) : otherwise;
}

static bool is_choice(const Cli *cli, const Option *o, const char *text, Error *err)
{
    const char *list = "";
    for (const char *c = o->value; *c;) {
        size_t n = strcspn(c, "|");
        const char *choice = str_slice(cli->arena, c, n);
        if (strcmp(choice, text) == 0) return true;
        c += n + (c[n] == '|');
        list = str_printf(cli->arena, "%s%s%s", list, *list ? (*c ? ", " : " or ") : "", choice);
    }
    return error_set(err, "--%s '%s': %s", o->name, text, list);
}

static bool is_target(const Cli *cli, const Option *o, const char *text, Error *err)
{
    Error why = {0};
    return !cli->compiler || cli->compiler->target(cli->arena, text, &why) ||
           error_set(err, "--%s: %s", o->name, why.text);
}

static bool set_value(const Cli *cli, const Option *o, const char *text, char *values, Error *err)
{
    void *to = values + o->at;
    int64_t number;
    switch (kind_of(o)) {
    case OPTION_REST:
    case OPTION_TEXTS: vec_push(cli->arena, (Texts *)to, text); return true;
    case OPTION_COUNT:
    case OPTION_NUMBER:
    case OPTION_THREADS: return read_number(o, text, to, err);
    case OPTION_SEED:
        if (!read_number(o, text, &number, err)) return false;
        break;
    case OPTION_CHOICE:
        if (!is_choice(cli, o, text, err)) return false;
        break;
    case OPTION_TARGET:
        if (!is_target(cli, o, text, err)) return false;
        break;
    case OPTION_FLAG:
    case OPTION_TEXT:
    case OPTION_OPERAND:
    case OPTION_MAYBE: break;
    }
    *(const char **)to = text;
    return true;
}

// The option at argv[*i]; *i moves to its value where that is an argument of its own.
static bool parse_option(const Cli *cli, const Command *c, int argc, char **argv, int *i,
                         char *values, Error *err)
{
    const char *arg = argv[*i], *value = NULL;
    const Option *o;
    if (arg[1] == '-') {
        size_t n = strcspn(arg + 2, "=");
        o = find_option(cli, c, arg + 2, n);
        value = arg[2 + n] ? arg + 3 + n : NULL;
    } else {
        o = find_letter(cli, c, arg[1]);
        value = arg[2] ? arg + 2 : NULL;
    }
    if (!o) return unknown_option(cli, c, arg, err);
    if (kind_of(o) == OPTION_FLAG) {
        *(bool *)(values + o->at) = true;
        return !value || error_set(err, "--%s takes no value", o->name);
    }
    if (!value && ++*i < argc) value = argv[*i];
    if (!value) return error_set(err, "--%s wants a value: %s", o->name, o->value);
    return set_value(cli, o, value, values, err);
}

Parse options_parse(const Cli *cli, const Command *c, int argc, char **argv, void *values,
                    Error *err)
{
    uint32_t operands = 0;
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (!only_operands && arg[0] == '-' && arg[1]) {
            if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) return PARSE_HELP;
            only_operands = strcmp(arg, "--") == 0;
            if (!only_operands && !parse_option(cli, c, argc, argv, &i, values, err))
                return PARSE_WRONG;
            continue;
        }
        const Option *o = next_operand(cli, c, operands++);
        if (!o) {
            const size_t n = strlen(arg);
            bool shard = n > 4 && strcmp(arg + n - 4, ".tar") == 0;
            error_set(err, "'%s' is one too many%s; see %s %s --help", arg,
                      shard ? " (a shell takes a range apart that is not quoted: "
                              "'train-{0000..0003}.tar')"
                            : "",
                      program_name(), c->name);
            return PARSE_WRONG;
        }
        set_value(cli, o, arg, values, err);
    }
    const Option *missing = next_operand(cli, c, operands);
    if (!missing || kind_of(missing) != OPTION_OPERAND) return PARSE_RUN;
    error_set(err, "%s is missing; see %s %s --help", missing->name, program_name(), c->name);
    return PARSE_WRONG;
}

enum { LEFT = 28, WIDTH = 100 };

// Words from column LEFT + 3 on, in lines that are no wider than WIDTH where a word is not.
static void print_wrapped(const char *text, FILE *out)
{
    const size_t room = WIDTH - LEFT - 3;
    for (size_t n; (n = strlen(text)) > room;) {
        size_t end = room;
        while (end && text[end] != ' ') end--;
        if (!end) end = strcspn(text, " ");
        if (!text[end]) break;
        fprintf(out, "%.*s\n%*s", (int)end, text, LEFT + 3, "");
        text += end + 1;
    }
    fprintf(out, "%s\n", text);
}

static void print_option(const Option *o, FILE *out)
{
    char left[64];
    if (is_operand(o))
        snprintf(left, sizeof left, "%s", o->name);
    else
        snprintf(left, sizeof left, "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
    fprintf(out, "  %-*s", LEFT, left);
    if (strlen(left) > LEFT)
        fprintf(out, "\n%*s", LEFT + 3, "");
    else
        putc(' ', out);
    print_wrapped(o->help, out);
}

void options_help(const Cli *cli, const Command *c, FILE *out)
{
    fprintf(out, "usage: %s %s", program_name(), c->name);
    for (uint32_t i = 0; i < c->noptions; i++)
        if (has(cli, &c->options[i]) && is_operand(&c->options[i]))
            fprintf(out, " %s%s%s", kind_of(&c->options[i]) == OPTION_OPERAND ? "" : "[",
                    c->options[i].name,
                    kind_of(&c->options[i]) == OPTION_OPERAND ? ""
                    : kind_of(&c->options[i]) == OPTION_REST  ? " ..]"
                                                              : "]");
    fprintf(out, " [options]\n\n%s\n\n", c->doc);
    for (uint32_t i = 0; i < c->noptions; i++)
        if (has(cli, &c->options[i])) print_option(&c->options[i], out);
    fprintf(out, "  %-*s %s\n", LEFT, "-h, --help", "this text");
}
