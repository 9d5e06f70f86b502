// RFC 4180: cells between commas, rows between line ends, a cell in quotes may hold both and
// doubled quotes.
#include "runtime/csv.h"

#include "base/vec.h"

#include <string.h>

// One cell from *at; leaves *at behind it, on a comma, a line end or the end.
static const char *read_cell(Arena *arena, const char *text, size_t size, size_t *at, bool *ok)
{
    size_t i = *at;
    if (i == size || text[i] != '"') {
        while (i < size && text[i] != ',' && text[i] != '\n' && text[i] != '\r') i++;
        const char *cell = str_slice(arena, text + *at, i - *at);
        *at = i;
        return cell;
    }
    size_t end = ++i, n = 0;
    while (end < size && (text[end] != '"' || (end + 1 < size && text[end + 1] == '"')))
        end += text[end] == '"' ? 2 : 1;
    char *cell = arena_alloc(arena, end - i + 1);
    for (; i < end; i++) {
        cell[n++] = text[i];
        if (text[i] == '"') i++;
    }
    *ok = end < size && (end + 1 == size || strchr(",\r\n", text[end + 1]));
    *at = end + 1;
    return cell;
}

bool csv_parse(Arena *arena, const char *name, const char *text, size_t size, Csv *csv, Error *err)
{
    VEC(CsvRow) rows = {0};
    size_t at = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    uint32_t line = 1;
    while (at < size) {
        VEC(const char *) cells = {0};
        size_t begin = at;
        bool ok = true;
        for (;;) {
            vec_push(arena, &cells, read_cell(arena, text, size, &at, &ok));
            if (!ok) return error_set(err, "%s:%u: a quoted cell does not end", name, line);
            if (at >= size || text[at] != ',') break;
            at++;
        }
        if (at < size && text[at] == '\r') at++;
        if (at < size && text[at] == '\n') at++;
        bool empty = cells.n == 1 && !cells.at[0][0];
        if (!empty) vec_push(arena, &rows, (CsvRow){cells.at, cells.n, line});
        if (!empty && cells.n != rows.at[0].n)
            return error_set(err, "%s:%u: %u cells where the header has %u", name, line, cells.n,
                             rows.at[0].n);
        for (size_t i = begin; i < at; i++) line += text[i] == '\n';
    }
    *csv = (Csv){rows.at, rows.n};
    return rows.n > 0 || error_set(err, "%s: an empty table", name);
}
