// Tables of comma-separated values (RFC 4180).
#ifndef CZT_RUNTIME_CSV_H
#define CZT_RUNTIME_CSV_H

#include "base/diag.h"

typedef struct CsvRow {
    const char **cells;
    uint32_t n;
    uint32_t line; // where it begins, from 1
} CsvRow;

typedef struct Csv {
    CsvRow *rows; // the header first
    uint32_t n;
} Csv;

// Split a text into rows; every row must have as many cells as the first. A byte order mark and
// empty lines are passed over. name is for messages.
bool csv_parse(Arena *arena, const char *name, const char *text, size_t size, Csv *csv, Error *err);

#endif
