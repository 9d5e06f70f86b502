// What code runs: identities of the program and of its shared libraries.
#ifndef CZT_BASE_OBJECT_H
#define CZT_BASE_OBJECT_H

#include <stdint.h>

// Of the program's own file (its checksum) and of the shared libraries loaded so far.
uint64_t objects_identity(void);
// Of the shared library that holds the address; 0 where there is none.
uint64_t object_identity(const void *address);

#endif
