// What a program asks the system for before it uses it.
#ifndef CZT_BASE_PROCESSOR_H
#define CZT_BASE_PROCESSOR_H

#include <stdbool.h>

// Ask for the tile registers (Intel AMX) for all threads of this process; false: they are not to be
// had. To ask twice does nothing.
bool processor_lends_tiles(void);

#endif
