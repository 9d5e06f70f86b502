#include "base/processor.h"

#include <sys/syscall.h>
#include <unistd.h>

bool processor_lends_tiles(void)
{
#ifdef SYS_arch_prctl
    enum { ASK = 0x1023, TILE_DATA = 18 }; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
    return syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
#else
    return false;
#endif
}
