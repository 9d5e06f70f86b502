// Accidents of YAML: what it reads otherwise than its author meant, or not at all. libyaml's events
// are looked through; each accident is reported with the line quoted as it should be, and replaced
// by a placeholder in what libyaml is fed, until a pass finds no more. So one run reports all of
// them, and the tree is what was meant.
#include "frontend/tree_text.h"

#include "base/map.h"

#include <string.h>

// Limits against files that are nothing but accidents; what was found is reported.
enum { MAX_PASSES = 200, MAX_ACCIDENTS = 1000 };

// ---- reports -----------------------------------------------------------------------------------

typedef VEC(char) Chars;

// Bytes [begin, end) of the source; line breaks and the blanks around them become one space.
static void put_source(const TreeText *t, Chars *out, size_t begin, size_t end, char quote,
                       bool escape)
{
    for (size_t i = begin; i < end; i++) {
        char c = t->text[i];
        if (c == '\n' || c == '\r') {
            while (out->n && tree_space(out->at[out->n - 1])) out->n--;
            while (i + 1 < end && tree_space(t->text[i + 1])) i++;
            c = ' ';
        }
        if (quote && c == '\'' && quote == '\'') vec_push(t->arena, out, '\'');
        if (escape && (c == '"' || c == '\\')) vec_push(t->arena, out, '\\');
        vec_push(t->arena, out, c);
    }
}

static void put_quoted(const TreeText *t, Chars *out, size_t begin, size_t end)
{
    bool both = memchr(t->text + begin, '\'', end - begin) != NULL;
    bool special =
        memchr(t->text + begin, '"', end - begin) || memchr(t->text + begin, '\\', end - begin);
    char quote = special && !both ? '\'' : '"';
    vec_push(t->arena, out, quote);
    put_source(t, out, begin, end, quote, quote == '"');
    vec_push(t->arena, out, quote);
}

const char *quoted_source(const TreeText *t, size_t begin, size_t end)
{
    Chars out = {0};
    put_quoted(t, &out, begin, end);
    vec_push(t->arena, &out, '\0');
    return out.at;
}

// The lines of a value, all accidents on them quoted.
static const char *quoted_lines(const TreeText *t, const Patch *p)
{
    size_t begin = line_begin(t->text, (uint32_t)p->begin), end = p->end;
    while (end < t->size && t->text[end] != '\n' && t->text[end] != '\r') end++;
    while (begin < p->begin && tree_space(t->text[begin])) begin++;
    Chars out = {0};
    while (begin < end) {
        const Patch *next = NULL;
        for (uint32_t i = 0; i < t->patches.n; i++) {
            const Patch *q = &t->patches.at[i];
            if (q->begin >= begin && q->end <= end && (!next || q->begin < next->begin)) next = q;
        }
        put_source(t, &out, begin, next ? next->begin : end, '\0', false);
        if (next) put_quoted(t, &out, next->begin, next->end);
        begin = next ? next->end : end;
    }
    vec_push(t->arena, &out, '\0');
    return out.at;
}

// A placeholder of the same length: its first byte a letter, blanks and line breaks as they are.
static void repair(TreeText *t, const Patch *p)
{
    for (size_t i = p->begin; i < p->end; i++)
        if (!tree_space(t->fed[i])) t->fed[i] = 'x';
    vec_push(t->arena, &t->patches, *p);
    t->repairs++;
}

// A patch takes the place of those inside it.
static bool overlaps(TreeText *t, const Patch *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->patches.n; i++) {
        const Patch *q = &t->patches.at[i];
        bool inside = q->begin >= p->begin && q->end <= p->end;
        if (!inside && q->begin < p->end && p->begin < q->end) return true;
        if (q->begin == p->begin && q->end == p->end) return true;
        if (!inside) t->patches.at[n++] = *q;
    }
    t->patches.n = n;
    return false;
}

void accidents_add(TreeText *t, const Patch *found, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (t->patches.n < MAX_ACCIDENTS && !overlaps(t, &found[i])) {
            repair(t, &found[i]);
            continue;
        }
        tree_error(t, found[i].caret, found[i].caret + 1, "%s", found[i].message);
        mend_line(t, found[i].caret, found[i].begin);
        t->hopeless = true;
    }
}

void accidents_drop(TreeText *t, size_t from)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->patches.n; i++)
        if (t->patches.at[i].begin < from) t->patches.at[n++] = t->patches.at[i];
    t->patches.n = n;
}

// Last of all, so that the lines shown have every quote they need.
static void report(TreeText *t)
{
    for (uint32_t i = 0; i < t->patches.n; i++) {
        const Patch *p = &t->patches.at[i];
        tree_error(t, p->caret, p->caret + 1, "%s", p->message);
        diag_help(t->diag, "%s", quoted_lines(t, p));
        diag_mend(t->diag, tree_text_loc(t, p->begin, p->end), quoted_source(t, p->begin, p->end));
    }
}

// ---- block scalars -----------------------------------------------------------------------------

// The first bracket of [begin, end) that is not closed in it; SIZE_MAX where there is none.
static size_t unclosed(const TreeText *t, size_t begin, size_t end)
{
    VEC(size_t) open = {0};
    for (size_t i = begin; i < end; i++) {
        if (t->fed[i] == '(' || t->fed[i] == '[') vec_push(t->arena, &open, i);
        if ((t->fed[i] == ')' || t->fed[i] == ']') && open.n) open.n--;
    }
    return open.n ? open.at[0] : SIZE_MAX;
}

// Read the expression from `begin` on with blanks for its comments, as far as its brackets are
// open. Its span; everything is as before when it does not close its brackets even so.
static Span without_comments(TreeText *t, size_t begin)
{
    if (!t->cleaned) t->text = t->cleaned = arena_copy(t->arena, t->text, t->size);
    int depth = 0;
    size_t end = begin;
    for (; end < t->size; end++) {
        char c = t->cleaned[end];
        depth += (c == '(' || c == '[') - (c == ')' || c == ']');
        if (depth == 0 && (c == '\n' || c == ')' || c == ']')) break;
        if (c == '#' && tree_space(t->cleaned[end - 1]))
            for (; end < t->size && t->cleaned[end] != '\n'; end++)
                t->cleaned[end] = t->fed[end] = ' ';
    }
    Span s = span_scan(t, begin, false);
    if (s.open == SIZE_MAX) return s;
    const char *source = diag_source_text(t->diag, t->source, NULL);
    memcpy(t->cleaned + begin, source + begin, end - begin);
    memcpy(t->fed + begin, source + begin, end - begin);
    return s;
}

// A plain scalar [begin, end) of block style that was cut in the middle of an expression.
static void block_scalar(TreeText *t, size_t begin, size_t end)
{
    const Line l = line_at(t, begin);
    const bool first = l.begin == begin; // a key; deeper it may be a text over lines
    if (slip_dash(t, begin) || slip_round(t, begin) || (first && slip_entries(t, begin))) return;
    if (unclosed(t, begin, end) == SIZE_MAX) return;
    size_t next = end;
    while (next < t->size && (t->fed[next] == ' ' || t->fed[next] == '\t')) next++;
    if (next >= t->size || (t->fed[next] != '#' && t->fed[next] != ':')) return;
    bool comment = t->fed[next] == '#';
    if (!comment && slip_argument(t, begin, next)) return;
    Span s = span_scan(t, begin, false);
    size_t line = next;
    while (line < t->size && t->fed[line] != '\n') line++;
    if (comment && (s.open != SIZE_MAX || s.end > line)) // the expression goes on below the comment
        s = without_comments(t, begin);
    Patch p = {begin, s.end, next,
               comment ? "' #' begins a comment, which ends the value: quote the expression"
                       : "': ' ends a key: quote the expression"};
    if (s.open == SIZE_MAX) accidents_add(t, &p, 1);
}

// ---- tags and aliases --------------------------------------------------------------------------

static void quote_from(TreeText *t, size_t begin, bool flow, const char *message)
{
    Span s = span_scan(t, begin, flow);
    Patch p = {begin, s.end, begin, message};
    if (s.open == SIZE_MAX && s.end > begin) {
        accidents_add(t, &p, 1);
        return;
    }
    tree_error(t, begin, begin + 1, "%s", message);
    mend_line(t, begin, begin);
    t->hopeless = true;
}

// !int 40: a tag of YAML without its second sign.
static bool is_type(const TreeText *t, size_t at)
{
    static const char *const types[] = {"!int ", "!float ", "!str ", "!bool ", "!null "};
    bool is = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t n = strlen(types[i]);
        is |= at + n < t->size && !strncmp(t->fed + at, types[i], n);
    }
    return is;
}

// `!name`: before a plain text it is part of what was meant; a tag of YAML is taken away.
static void tag(TreeText *t, size_t at, bool plain, bool flow)
{
    while (at < t->size && t->fed[at] != '!') // after an anchor
        at++;
    if (at >= t->size) return;
    const bool own = at + 1 < t->size && !strchr("!<", t->fed[at + 1]);
    if (plain && own && !is_type(t, at)) {
        quote_from(t, at, flow, "a leading '!' is a tag of YAML: quote the text");
        return;
    }
    size_t end = at;
    while (end < t->size && !tree_space(t->fed[end]) && !(flow && strchr(",[]{}", t->fed[end])))
        end++;
    tree_error(t, at, end, "tags are not part of the language");
    mend_tag(t, at, end, plain, flow);
    memset(t->fed + at, ' ', end - at);
    t->repairs++;
}

// ---- passes ------------------------------------------------------------------------------------

typedef struct Pass {
    TreeText *t;
    Map anchors;
    uint32_t depth, flow; // open collections; those in flow style
    uint32_t documents;
} Pass;

static void note_anchor(Pass *p, const yaml_char_t *anchor)
{
    if (anchor) map_set(p->t->arena, &p->anchors, (const char *)anchor, p);
}

static void scalar_event(Pass *p, const yaml_event_t *event, size_t begin, size_t end)
{
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    note_anchor(p, event->data.scalar.anchor);
    if (event->data.scalar.tag)
        tag(p->t, begin, plain, p->flow > 0);
    else if (plain && !slip_marks(p->t, begin, end) && !p->flow)
        block_scalar(p->t, begin, end);
}

static void begin_event(Pass *p, size_t begin, bool flow, const yaml_char_t *anchor,
                        const yaml_char_t *tagged)
{
    TreeText *t = p->t;
    note_anchor(p, anchor);
    if (tagged) tag(t, begin, false, flow);
    if (++p->depth > TREE_DEPTH) {
        tree_error(t, begin, begin + 1, "values are nested deeper than %d", TREE_DEPTH);
        mend_nesting(t, begin);
        t->hopeless = true;
    }
    if (!flow || p->flow++) return;
    while (begin < t->size && t->fed[begin] != '[' && t->fed[begin] != '{')
        begin++; // after an anchor
    Patches found = {0};
    flow_accidents(t, begin, &found);
    accidents_add(t, found.at, found.n);
}

// True in a value that this pass has repaired: the events there are not what will be read.
static bool repaired(const TreeText *t, size_t at)
{
    for (uint32_t i = t->patches.n; t->repairs && i-- > 0;)
        if (at >= t->patches.at[i].begin && at < t->patches.at[i].end) return true;
    return false;
}

// A second document is read as more of the first one.
static void document(Pass *p, size_t at)
{
    TreeText *t = p->t;
    if (!p->documents++ || strncmp(t->fed + at, "---", 3)) return;
    tree_error(t, at, at + 3, "a file has one document");
    mend_documents(t, at);
    memset(t->fed + at, ' ', 3);
    t->repairs++;
}

static void one_event(Pass *p, const yaml_event_t *event)
{
    size_t begin = tree_text_byte(p->t, &event->start_mark),
           end = tree_text_byte(p->t, &event->end_mark);
    bool node = event->type == YAML_SCALAR_EVENT || event->type == YAML_ALIAS_EVENT;
    if (node && repaired(p->t, begin)) return;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT: document(p, begin); break;
    case YAML_SCALAR_EVENT: scalar_event(p, event, begin, end); break;
    case YAML_ALIAS_EVENT:
        if (!map_get(&p->anchors, (const char *)event->data.alias.anchor))
            quote_from(p->t, begin, p->flow > 0,
                       "a leading '*' is an alias of YAML: quote the text");
        break;
    case YAML_SEQUENCE_START_EVENT:
        begin_event(p, begin, event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE,
                    event->data.sequence_start.anchor, event->data.sequence_start.tag);
        break;
    case YAML_MAPPING_START_EVENT:
        begin_event(p, begin, event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE,
                    event->data.mapping_start.anchor, event->data.mapping_start.tag);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        p->depth--;
        if (p->flow) p->flow--;
        break;
    default: break;
    }
}

// One pass over libyaml's events. False where it stopped at an error that nothing before it
// explains.
static bool pass(TreeText *t)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) bug("libyaml has no memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    Arena *scratch = arena_new(); // repairs must not change what this pass reads
    const unsigned char *input = arena_copy(scratch, t->fed, t->size);
    yaml_parser_set_input_string(&parser, input, t->size);
    tree_text_map(t);
    t->repairs = 0;
    Pass p = {.t = t};
    yaml_event_t event;
    bool done = false, ok = true;
    while (!done && ok && !t->hopeless) {
        ok = yaml_parser_parse(&parser, &event);
        if (!ok) break;
        one_event(&p, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    if (!ok && !t->repairs) syntax_repair(t, &parser);
    yaml_parser_delete(&parser);
    arena_free(scratch);
    return ok || t->repairs;
}

bool accidents_repair(TreeText *t)
{
    bool ok = true, more = true;
    for (uint32_t i = 0; ok && more && i < MAX_PASSES; i++) {
        ok = pass(t) && !t->hopeless;
        more = t->repairs > 0;
    }
    report(t);
    return ok && !more;
}
