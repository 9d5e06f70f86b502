// What a test's IR text asks of the passes in a comment: "# stream: ABOVE PIECE" sets the bytes
// from which products are cut and those of a piece, "# recompute: N" what pass save gives up.
#ifndef CZT_TESTS_ASKED_H
#define CZT_TESTS_ASKED_H

#include "passes/pass.h"

#include <stdlib.h>
#include <string.h>

static inline void asked_for(const char *text, PassOptions *o)
{
    const char *at = text ? strstr(text, "# stream: ") : NULL,
               *again = text ? strstr(text, "# recompute: ") : NULL;
    char *end;
    if (again) o->recompute = strtoll(again + strlen("# recompute: "), NULL, 10);
    if (!at) return;
    o->stream_above = strtoll(at + strlen("# stream: "), &end, 10);
    o->stream_piece = strtoll(end, NULL, 10);
}

#endif
