// cztc schema: what editors know graph and library files by.
#include "cli/commands.h"
#include "frontend/schema.h"

#include <jansson.h>

typedef struct Values {
    const char *of;
} Values;

static const Option options[] = {
    {"OF", 0, OPTION_MAYBE, offsetof(Values, of), NULL,
     "graph (and where nothing is said), or library: the files it is of"},
};

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    bool library = v->of && strcmp(v->of, "library") == 0;
    if (v->of && !library && strcmp(v->of, "graph") != 0)
        return fail_usage("schema",
                          str_printf(cli->arena, "'%s' is neither graph nor library", v->of));
    const char *text = schema_json(cli->arena, library ? SCHEMA_LIBRARY : SCHEMA_GRAPH);
    json_t *schema = json_loads(text, 0, NULL);
    if (!schema) bug("the schema is no JSON");
    json_dumpf(schema, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(schema);
    return EXIT_OK;
}

const Command command_schema = {
    "schema",       "print the JSON Schema of graph or library files, for editors",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
