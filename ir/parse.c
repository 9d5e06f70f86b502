// Reader of the text form (grammar in docs/ir.md): one statement a line, read by recursive descent
// over the characters. After an error it goes on with the next line, so that one run shows many;
// the graph builder checks shapes, so that nothing a program may not hold gets in.
#include "ir/program.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

enum { MAX_ERRORS = 100 };

typedef struct Parser {
    Arena *arena;
    Diag *diag;
    uint32_t source;
    const char *text;
    size_t size, at;
    Program *program;
    Entry *entry;   // the one being read, or NULL
    Map ids;        // node names of the entry -> NodeId; 0 where the node was refused
    Graph *scratch; // where types of states are checked
} Parser;

// ---- characters ---------------------------------------------------------------------------------

static Loc loc_from(const Parser *p, size_t begin)
{
    return loc_in(p->source, (uint32_t)begin, (uint32_t)(p->at > begin ? p->at : begin + 1));
}

// Report at [begin, here); returns false.
static bool fail(Parser *p, size_t begin, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(Parser *p, size_t begin, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag_error(p->diag, loc_from(p, begin), "%s", str_vprintf(p->arena, fmt, ap));
    va_end(ap);
    return false;
}

static int peek(const Parser *p)
{
    return p->at < p->size ? (unsigned char)p->text[p->at] : -1;
}

// Spaces and comments, up to the end of the line.
static void skip_blanks(Parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\r') p->at++;
    if (peek(p) != '#') return;
    while (peek(p) != -1 && peek(p) != '\n') p->at++;
}

static bool at_line_end(Parser *p)
{
    skip_blanks(p);
    return peek(p) == -1 || peek(p) == '\n';
}

static bool accept(Parser *p, char c)
{
    skip_blanks(p);
    if (peek(p) != c) return false;
    p->at++;
    return true;
}

static bool expect(Parser *p, char c)
{
    if (accept(p, c)) return true;
    return fail(p, p->at, "expected '%c'", c);
}

static bool is_word(int c)
{
    return isalnum(c) || c == '_';
}

// A name of letters, digits and _; empty when there is none.
static const char *read_word(Parser *p)
{
    skip_blanks(p);
    size_t begin = p->at;
    while (is_word(peek(p))) p->at++;
    return str_slice(p->arena, p->text + begin, p->at - begin);
}

static bool read_int(Parser *p, int64_t *value)
{
    skip_blanks(p);
    size_t begin = p->at;
    bool negative = peek(p) == '-';
    if (negative) p->at++;
    if (!isdigit(peek(p))) return fail(p, begin, "expected an integer");
    int64_t x = 0;
    bool fits = true;
    for (; isdigit(peek(p)); p->at++) {
        int64_t digit = peek(p) - '0';
        fits = fits && !__builtin_mul_overflow(x, 10, &x) &&
               !__builtin_sub_overflow(x, digit, &x); // downwards: -2^63 fits, 2^63 does not
    }
    if (!fits || (!negative && x == INT64_MIN)) return fail(p, begin, "integer out of range");
    *value = negative ? x : -x;
    return true;
}

static bool read_double(Parser *p, double *value)
{
    skip_blanks(p);
    size_t begin = p->at;
    while (is_word(peek(p)) || peek(p) == '-' || peek(p) == '+' || peek(p) == '.') p->at++;
    const char *text = str_slice(p->arena, p->text + begin, p->at - begin);
    char *end;
    *value = strtod(text, &end);
    return (*text && !*end) || fail(p, begin, "expected a number");
}

// The character after a backslash; -1 where it is none.
static int read_escape(Parser *p)
{
    int c = peek(p);
    p->at++;
    if (c == 'n') return '\n';
    if (c == '"' || c == '\\') return c;
    if (c != 'x') return -1;
    int value = 0;
    for (int i = 0; i < 2; i++, p->at++) {
        int d = peek(p);
        if (!isxdigit(d)) return -1;
        value = value * 16 + (isdigit(d) ? d - '0' : tolower(d) - 'a' + 10);
    }
    return value ? value : -1;
}

static bool read_string(Parser *p, const char **value)
{
    skip_blanks(p);
    size_t begin = p->at;
    if (peek(p) != '"') return fail(p, begin, "expected a string in double quotes");
    p->at++;
    VEC(char) s = {0};
    for (int c; (c = peek(p)) != '"';) {
        if (c < 0x20) return fail(p, begin, "the string has no end on this line");
        p->at++;
        if (c == '\\' && (c = read_escape(p)) < 0) {
            if (p->at > p->size) p->at = p->size;
            return fail(p, begin, "unknown escape; there are \\n \\\" \\\\ \\xHH");
        }
        vec_push(p->arena, &s, (char)c);
    }
    p->at++;
    *value = str_slice(p->arena, s.n ? s.at : "", s.n);
    return true;
}

// ---- types --------------------------------------------------------------------------------------

// 16, 16b, 128b8
static bool read_axis(Parser *p, Axis *axis)
{
    axis->per = 0;
    if (!read_int(p, &axis->size)) return false;
    if (peek(p) != 'b') return true;
    p->at++;
    axis->per = 1;
    return !isdigit(peek(p)) || read_int(p, &axis->per);
}

static bool read_tensor(Parser *p, const Type **type)
{
    skip_blanks(p);
    size_t begin = p->at;
    const char *name = read_word(p);
    DType dt = dtype_find(name);
    if (dt == DT_NONE) return fail(p, begin, "'%s' is no element type", name);
    if (!expect(p, '[')) return false;
    VEC(Axis) axes = {0};
    while (!accept(p, ']')) {
        Axis axis;
        if ((axes.n && !expect(p, ',')) || !read_axis(p, &axis)) return false;
        vec_push(p->arena, &axes, axis);
    }
    *type = type_new(p->arena, dt, axes.n, axes.at);
    return true;
}

static bool read_type(Parser *p, const Type **type)
{
    if (!accept(p, '(')) return read_tensor(p, type);
    VEC(const Type *) parts = {0};
    while (!accept(p, ')')) {
        const Type *part;
        if ((parts.n && !expect(p, ',')) || !read_tensor(p, &part)) return false;
        vec_push(p->arena, &parts, part);
    }
    if (!parts.n) return fail(p, p->at - 1, "a tuple has parts");
    *type = type_tuple(p->arena, parts.n, parts.at);
    return true;
}

// ---- nodes --------------------------------------------------------------------------------------

// One line "%name = op operands {attributes} copy=N : type".
typedef struct Statement {
    OpCode op;
    uint32_t copy;
    VEC(NodeId) args;
    VEC(Attr) attrs;
    const Type *type; // NULL when not written
} Statement;

// %NAME; returns the name without the sign.
static bool read_id(Parser *p, const char **name)
{
    skip_blanks(p);
    size_t begin = p->at;
    if (peek(p) != '%') return fail(p, begin, "expected a node, as in %%1");
    p->at++;
    *name = read_word(p);
    return **name || fail(p, begin, "expected a node, as in %%1");
}

static bool read_operand(Parser *p, NodeId *id)
{
    skip_blanks(p);
    size_t begin = p->at;
    const char *name;
    if (!read_id(p, &name)) return false;
    const MapEntry *found = map_find(&p->ids, name);
    if (!found) return fail(p, begin, "%%%s is not defined above", name);
    *id = (NodeId)(uintptr_t)found->value;
    return true;
}

static bool read_ints(Parser *p, AttrKey key, Attr *attr)
{
    if (!expect(p, '[')) return false;
    VEC(int64_t) ints = {0};
    while (!accept(p, ']')) {
        int64_t x;
        if ((ints.n && !expect(p, ',')) || !read_int(p, &x)) return false;
        vec_push(p->arena, &ints, x);
    }
    *attr = attr_ints(key, ints.at, ints.n);
    return true;
}

static bool read_attr(Parser *p, OpCode op, Attr *attr)
{
    skip_blanks(p);
    size_t begin = p->at;
    const char *name = read_word(p);
    AttrKey key = 0;
    while (key < ATTR_COUNT && strcmp(attr_name(key), name) != 0) key++;
    if (key == ATTR_COUNT) return fail(p, begin, "'%s' is no attribute", name);
    if (!(op_info(op)->attrs & (1u << key)))
        return fail(p, begin, "%s has no attribute %s", op_info(op)->name, name);
    if (!expect(p, '=')) return false;
    *attr = (Attr){.key = key};
    switch (attr_kind(key)) {
    case KIND_INT: return read_int(p, &attr->i);
    case KIND_FLOAT: return read_double(p, &attr->f);
    case KIND_STR: return read_string(p, &attr->s);
    case KIND_INTS: return read_ints(p, key, attr);
    case KIND_AXES:
    case KIND_DTYPE: return fail(p, begin, "%s is said by the type after ':'", name);
    }
    return false;
}

static bool read_attrs(Parser *p, Statement *s)
{
    if (!accept(p, '{')) return true;
    while (!accept(p, '}')) {
        Attr attr;
        if ((s->attrs.n && !expect(p, ',')) || !read_attr(p, s->op, &attr)) return false;
        vec_push(p->arena, &s->attrs, attr);
    }
    return true;
}

static bool read_copy(Parser *p, Statement *s)
{
    skip_blanks(p);
    size_t begin = p->at;
    int64_t n;
    if (!isalpha(peek(p))) return true;
    if (strcmp(read_word(p), "copy") != 0) return fail(p, begin, "expected copy= or ':'");
    if (!expect(p, '=') || !read_int(p, &n)) return false;
    if (n < 0 || n > UINT32_MAX) return fail(p, begin, "copy number out of range");
    s->copy = (uint32_t)n;
    return true;
}

// [: type]; the type stands for the attributes shape and dtype.
static bool read_result(Parser *p, Statement *s)
{
    uint32_t row = op_info(s->op)->attrs, shape = 1u << ATTR_SHAPE, dtype = 1u << ATTR_DTYPE;
    size_t begin = p->at;
    if (accept(p, ':') && !read_type(p, &s->type)) return false;
    if (!(row & (shape | dtype)) || (!s->type && s->op == OP_DOT)) return true;
    if (!s->type || s->type->nparts)
        return fail(p, begin, "%s needs a tensor type, as in ': f32[4]'", op_info(s->op)->name);
    if (row & shape)
        vec_push(p->arena, &s->attrs, attr_axes(ATTR_SHAPE, s->type->axes, s->type->rank));
    if (row & dtype) vec_push(p->arena, &s->attrs, attr_dtype(ATTR_DTYPE, s->type->dtype));
    return true;
}

static bool read_operands(Parser *p, Statement *s)
{
    skip_blanks(p);
    if (peek(p) != '%') return true;
    do {
        NodeId id;
        if (!read_operand(p, &id)) return false;
        vec_push(p->arena, &s->args, id);
    } while (accept(p, ','));
    return true;
}

static bool read_statement(Parser *p, Statement *s)
{
    if (!expect(p, '=')) return false;
    skip_blanks(p);
    size_t begin = p->at;
    const char *name = read_word(p);
    s->op = op_find(name);
    if (s->op == OP_COUNT) return fail(p, begin, "'%s' is no op", name);
    return read_operands(p, s) && read_attrs(p, s) && read_copy(p, s) && read_result(p, s) &&
           (at_line_end(p) || fail(p, p->at, "expected the end of the line"));
}

// Add the node of a statement; 0 after reporting.
static NodeId add_node(Parser *p, const Statement *s, size_t begin)
{
    Graph *g = p->entry->graph;
    uint32_t before = g->nodes.n;
    g->here = loc_from(p, begin);
    NodeId id = graph_add_copy(g, s->op, s->copy, s->args.n, s->args.at, s->attrs.n, s->attrs.at);
    g->here = (Loc){0};
    // Origins are places in the user's source; a place in this text is none.
    for (uint32_t i = before; i < g->nodes.n; i++) g->nodes.at[i].origins.n = 0;
    if (!id || !s->type || type_equal(graph_type(g, id), s->type)) return id;
    fail(p, begin, "the result is %s, not %s", type_text(p->arena, graph_type(g, id)),
         type_text(p->arena, s->type));
    return 0;
}

static bool read_node(Parser *p)
{
    size_t begin = p->at;
    const char *name;
    if (!read_id(p, &name)) return false;
    if (map_find(&p->ids, name)) return fail(p, begin, "%%%s is defined twice", name);
    Statement s = {0};
    bool read = read_statement(p, &s);
    NodeId id = read ? add_node(p, &s, begin) : 0;
    map_set(p->arena, &p->ids, name, (void *)(uintptr_t)id);
    return read;
}

// ---- lines --------------------------------------------------------------------------------------

// output "name" %id, update "name" %id
static bool read_named(Parser *p, bool update)
{
    NamedNode named;
    if (!read_string(p, &named.name) || !read_operand(p, &named.node)) return false;
    if (!named.node) return true;
    if (update)
        vec_push(p->arena, &p->entry->updates, named);
    else
        vec_push(p->arena, &p->entry->outputs, named);
    return true;
}

// NAME=INT
static bool read_setting(Parser *p, const char *name, int64_t least, int64_t *value)
{
    skip_blanks(p);
    size_t begin = p->at;
    if (strcmp(read_word(p), name) != 0) return fail(p, begin, "expected %s=", name);
    if (!expect(p, '=') || !read_int(p, value)) return false;
    return *value >= least || fail(p, begin, "%s is at least %lld", name, (long long)least);
}

static bool read_precision(Parser *p, Precision *precision)
{
    size_t begin = p->at;
    const char *name = read_word(p);
    *precision = precision_find(name);
    return *precision || fail(p, begin, "precision is f32, tf32 or bf16, not '%s'", name);
}

// A setting that need not be there: a number that is at least 1.
static bool read_more(Parser *p, int64_t *x)
{
    size_t begin = p->at;
    if (!read_int(p, x)) return false;
    return *x >= 1 || fail(p, begin, "it is at least 1, not %lld", (long long)*x);
}

static bool read_program(Parser *p)
{
    Program *prog = p->program;
    if (!read_string(p, &prog->name) || !read_setting(p, "batch", 0, &prog->batch) ||
        !read_setting(p, "steps", 0, &prog->steps) ||
        !read_setting(p, "seed", INT64_MIN, &prog->seed))
        return false;
    p->scratch->batch = prog->batch;
    while (!at_line_end(p)) {
        size_t begin = p->at;
        const char *word = read_word(p);
        bool precision = strcmp(word, "precision") == 0, memory = strcmp(word, "memory") == 0;
        if (!precision && !memory && strcmp(word, "accumulate") != 0)
            return fail(p, begin,
                        "expected precision=, accumulate=, memory= or the end of the line");
        int64_t *number = memory ? &prog->memory : &prog->accumulate;
        if (!expect(p, '=') ||
            !(precision ? read_precision(p, &prog->precision) : read_more(p, number)))
            return false;
    }
    return true;
}

static bool read_state(Parser *p)
{
    skip_blanks(p);
    size_t begin = p->at;
    const char *kind_name = read_word(p), *name;
    StateKind kind = STATE_PARAM;
    while (kind < STATE_KINDS && strcmp(state_kind_name(kind), kind_name) != 0) kind++;
    if (kind == STATE_KINDS) return fail(p, begin, "'%s' is no kind of state", kind_name);
    const Type *type;
    if (!read_string(p, &name) || !read_tensor(p, &type)) return false;
    if (program_find_state(p->program, name)) return fail(p, begin, "'%s' is declared twice", name);
    p->scratch->here = loc_from(p, begin);
    if (!graph_state(p->scratch, name, type)) return true;
    StateVar *s = program_state(p->program, name, kind, type, (Loc){0});
    if (at_line_end(p)) return true;
    begin = p->at;
    s->trainable = strcmp(read_word(p), "trainable") == 0;
    return s->trainable || fail(p, begin, "expected 'trainable' or the end of the line");
}

static bool read_entry(Parser *p)
{
    skip_blanks(p);
    size_t begin = p->at;
    const char *name = "";
    int64_t batch = p->program->batch;
    bool ok = read_string(p, &name);
    skip_blanks(p);
    if (ok && peek(p) != '{') ok = read_setting(p, "batch", 0, &batch);
    ok = ok && expect(p, '{');
    if (ok && program_find_entry(p->program, name))
        ok = fail(p, begin, "a second entry '%s'", name);
    p->ids = (Map){0};
    p->entry = arena_make(p->arena, Entry); // lines of a refused entry are read into nothing
    if (ok) p->entry = program_entry(p->program, name);
    if (!ok) p->entry->graph = graph_new(p->arena, p->diag, batch);
    p->entry->graph->batch = batch;
    return ok;
}

static bool read_before(Parser *p)
{
    PartRun run = {0};
    if (!read_string(p, &run.entry) || !read_setting(p, "parts", 1, &run.parts)) return false;
    vec_push(p->arena, &p->entry->before, run);
    return true;
}

static bool read_entry_line(Parser *p)
{
    if (peek(p) == '%') return read_node(p);
    if (accept(p, '}')) {
        p->entry = NULL;
        return true;
    }
    size_t begin = p->at;
    const char *word = read_word(p);
    if (strcmp(word, "output") == 0) return read_named(p, false);
    if (strcmp(word, "update") == 0) return read_named(p, true);
    if (strcmp(word, "before") == 0) return read_before(p);
    return fail(p, begin, "expected a node, output, update, before or '}'");
}

static bool read_line(Parser *p)
{
    if (p->entry) return read_entry_line(p);
    Program *prog = p->program;
    size_t begin = p->at;
    const char *word = read_word(p);
    bool first = !prog->name, header = strcmp(word, "program") == 0;
    if (first) prog->name = "";
    if (first != header)
        return fail(p, begin, first ? "expected 'program' first" : "a second program");
    if (first) return read_program(p);
    if (strcmp(word, "data") == 0) return read_string(p, &prog->data_json);
    if (strcmp(word, "train") == 0) return read_string(p, &prog->train_json);
    if (strcmp(word, "eval") == 0) return read_string(p, &prog->eval_json);
    if (strcmp(word, "state") == 0) return read_state(p);
    if (strcmp(word, "entry") == 0) return read_entry(p);
    return fail(p, begin, "expected data, train, eval, state or entry");
}

Program *program_parse(Arena *arena, Diag *diag, uint32_t source)
{
    Parser p = {.arena = arena, .diag = diag, .source = source};
    uint32_t before = diag_errors(diag);
    p.text = diag_source_text(diag, source, &p.size);
    p.program = program_new(arena, diag, "", 0);
    p.program->name = NULL;
    p.scratch = graph_new(arena, diag, 0);
    while (p.at < p.size && diag_errors(diag) - before < MAX_ERRORS) {
        if (!at_line_end(&p) && read_line(&p) && !at_line_end(&p))
            fail(&p, p.at, "expected the end of the line");
        while (peek(&p) != -1 && peek(&p) != '\n') p.at++;
        p.at++;
    }
    p.at = p.size;
    if (p.entry) fail(&p, p.size, "the last entry has no '}'");
    if (!p.program->name) fail(&p, p.size, "there is no program");
    return diag_errors(diag) == before ? p.program : NULL;
}
