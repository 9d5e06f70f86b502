// Places of a scalar's bytes in its source. libyaml gives a scalar's value and where it lies, not
// where each byte of it came from; so its source is walked again by the rules of its style
// (YAML 1.2, chapters 7 and 8), and every byte produced is compared with libyaml's value.
#include "frontend/tree_text.h"

typedef struct Walk {
    const char *text; // the source
    size_t at, end;   // what is left of the scalar in it
    const char *want; // libyaml's value; NULL for a repaired one
    size_t size;      // bytes of the value, at most
    char *to;
    uint32_t *place;
    size_t n;
    bool differs;
} Walk;

size_t break_size(const char *text, size_t size, size_t at)
{
    const unsigned char *s = (const unsigned char *)text + at;
    size_t left = at < size ? size - at : 0;
    if (!left) return 0;
    if (s[0] == '\n') return 1;
    if (s[0] == '\r') return left > 1 && s[1] == '\n' ? 2 : 1;
    if (left > 1 && s[0] == 0xc2 && s[1] == 0x85) return 2;
    if (left > 2 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9)) return 3;
    return 0;
}

static size_t break_here(const Walk *w, size_t at)
{
    return break_size(w->text, w->end, at);
}

static void emit(Walk *w, char c, size_t place)
{
    if (w->n >= w->size || (w->want && w->want[w->n] != c)) {
        w->differs = true;
        return;
    }
    w->to[w->n] = c;
    w->place[w->n++] = (uint32_t)place;
}

// The line break at `at` as YAML normalises it: LF, but U+2028 and U+2029 stay.
static void emit_break(Walk *w, size_t at)
{
    size_t n = break_here(w, at);
    if (n < 3)
        emit(w, '\n', at);
    else
        for (size_t i = 0; i < n; i++) emit(w, w->text[at + i], at + i);
}

static void emit_run(Walk *w, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) emit(w, w->text[i], i);
}

// Blanks and line breaks between two words: one break becomes a space, more lose the first, blanks
// around breaks go. `escaped`: a break written "\" stood before and gives nothing itself.
static void fold(Walk *w, bool escaped)
{
    size_t begin = w->at, first = 0, breaks = 0;
    while (w->at < w->end) {
        size_t n = break_here(w, w->at);
        if (!n && !tree_blank(w->text[w->at])) break;
        if (n && !breaks++) first = w->at;
        w->at += n ? n : 1;
    }
    if (!breaks && !escaped) {
        emit_run(w, begin, w->at);
        return;
    }
    bool keep_first = escaped || (breaks && break_here(w, first) == 3);
    if (breaks == 1 && !keep_first) emit(w, ' ', begin);
    for (size_t i = begin; i < w->at;) {
        size_t n = break_here(w, i);
        if (n && (i != first || keep_first)) emit_break(w, i);
        i += n ? n : 1;
    }
}

static bool at_space(const Walk *w)
{
    return tree_blank(w->text[w->at]) || break_here(w, w->at);
}

static void walk_plain(Walk *w)
{
    while (w->at < w->end) {
        if (at_space(w))
            fold(w, false);
        else {
            emit(w, w->text[w->at], w->at);
            w->at++;
        }
    }
}

// One escaped character: its bytes are libyaml's, all at the backslash.
static void walk_escape(Walk *w)
{
    size_t place = w->at, bytes = 1, n = break_here(w, w->at + 1);
    if (n) {
        w->at += 1 + n;
        fold(w, true);
        return;
    }
    char c = w->at + 1 < w->end ? w->text[w->at + 1] : '\0';
    w->at += c == 'x' ? 4 : c == 'u' ? 6 : c == 'U' ? 10 : 2;
    unsigned char lead = w->n < w->size ? (unsigned char)w->want[w->n] : 0;
    if (lead >= 0xc0) bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    for (size_t i = 0; i < bytes && w->n < w->size; i++) emit(w, w->want[w->n], place);
}

static void walk_quoted(Walk *w)
{
    char quote = w->text[w->at++];
    w->end--; // the closing quote
    while (w->at < w->end) {
        char c = w->text[w->at];
        if (at_space(w))
            fold(w, false);
        else if (quote == '"' && c == '\\')
            walk_escape(w);
        else {
            emit(w, c, w->at);
            w->at += quote == '\'' && c == '\'' ? 2 : 1;
        }
    }
}

static size_t count_spaces(const char *s, size_t n)
{
    size_t k = 0;
    while (k < n && s[k] == ' ') k++;
    return k;
}

// Columns that a block scalar's lines lose: from its first line that has any text, here and in the
// value.
static size_t block_indent(const Walk *w)
{
    size_t line = w->at, k = 0, n;
    for (; k < w->size &&
           (w->want[k] == '\n' || (w->want[k] == '\xe2' && break_size(w->want, w->size, k)));
         k += break_size(w->want, w->size, k)) {
        while (line < w->end && !break_here(w, line)) line++;
        line += break_here(w, line);
    }
    if (k == w->size) return SIZE_MAX;
    for (n = k; n < w->size && w->want[n] != '\n';) n++;
    size_t here = count_spaces(w->text + line, w->end - line),
           there = count_spaces(w->want + k, n - k);
    return here > there ? here - there : 0;
}

typedef struct Breaks { // of a block scalar, seen and not yet emitted
    size_t lead;        // the one that ended the last line with text
    bool has_lead;
    size_t begin, end; // the lines without text after it
    uint32_t empty;    // their number
    size_t column;     // spaces before the text that follows; at most the indentation
} Breaks;

static void emit_breaks(Walk *w, const Breaks *b, bool lead)
{
    if (lead && b->has_lead) emit_break(w, b->lead);
    for (size_t i = b->begin; i < b->end;) {
        size_t n = break_here(w, i);
        if (n) emit_break(w, i);
        i += n ? n : 1;
    }
}

// Skip the indentation of the next line, and lines without text before it.
static void empty_lines(Walk *w, size_t indent, Breaks *b)
{
    b->begin = w->at;
    for (size_t n;; b->empty++) {
        b->end = w->at;
        for (b->column = 0; b->column < indent && w->at < w->end && w->text[w->at] == ' '; w->at++)
            b->column++;
        if (!(n = break_here(w, w->at))) return;
        w->at += n;
    }
}

static void walk_block(Walk *w, bool literal)
{
    while (w->at < w->end && !break_here(w, w->at)) w->at++; // the header: |2- # comment
    w->at += break_here(w, w->at);
    size_t indent = block_indent(w);
    Breaks b = {0};
    bool was_blank = false;
    empty_lines(w, indent, &b);
    while (!w->differs && b.column == indent && w->at < w->end) {
        bool blank = tree_blank(w->text[w->at]);
        bool folds = !literal && b.has_lead && break_here(w, b.lead) < 3 && !was_blank && !blank;
        if (folds && !b.empty) emit(w, ' ', b.lead);
        emit_breaks(w, &b, !folds);
        was_blank = blank;
        for (; w->at < w->end && !break_here(w, w->at); w->at++) emit(w, w->text[w->at], w->at);
        size_t n = break_here(w, w->at);
        b = (Breaks){.lead = w->at, .has_lead = n != 0};
        w->at += n;
        empty_lines(w, indent, &b);
    }
    if (w->n < w->size && b.has_lead) emit_break(w, b.lead); // what chomping left
    if (w->n < w->size) emit_breaks(w, &b, false);
}

static void walk_end(Walk *w, Tree *to, size_t end)
{
    for (size_t i = w->n; i <= w->size; i++) w->place[i] = (uint32_t)end;
    to->text = w->to;
    to->place = w->place;
}

void scalar_place(TreeText *t, Tree *to, const yaml_event_t *event, size_t begin, size_t end)
{
    size_t size = event->data.scalar.length;
    yaml_scalar_style_t style = event->data.scalar.style;
    Walk w = {.text = t->fed,
              .at = begin,
              .end = end,
              .want = (const char *)event->data.scalar.value,
              .size = size,
              .to = arena_alloc(t->arena, size + 1),
              .place = arena_array(t->arena, uint32_t, size + 1)};
    if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE) {
        w.end = t->size; // libyaml's end mark lies before the breaks that are kept
        walk_block(&w, style == YAML_LITERAL_SCALAR_STYLE);
    } else if (style == YAML_PLAIN_SCALAR_STYLE) {
        walk_plain(&w);
    } else {
        walk_quoted(&w);
        end--;
    }
    if (w.differs || w.n != size)
        bug("places of the scalar at %s differ from its value at byte %zu of %zu",
            diag_where(t->diag, tree_text_loc(t, begin, end)), w.n, size);
    bool block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    size_t last = size ? w.place[size - 1] + 1 : begin;
    walk_end(&w, to, block ? last : end);
}

void scalar_patched(TreeText *t, Tree *to, size_t begin, size_t end)
{
    Walk w = {.text = t->text,
              .at = begin,
              .end = end,
              .size = end - begin,
              .to = arena_alloc(t->arena, end - begin + 1),
              .place = arena_array(t->arena, uint32_t, end - begin + 1)};
    walk_plain(&w);
    walk_end(&w, to, end);
}
