// Step files and executables with a step. The program in front of a step is cztc-run, which is one
// of the files inside of cztc; CZT_NOT_STATIC names the libraries that it could not be linked with
// statically when cztc was built.
#include "cli/output.h"

#include "runner/assets.h"

#include <stdio.h>
#include <string.h>

static bool is_step_name(const char *path)
{
    size_t n = strlen(path);
    return n >= 4 && strcmp(path + n - 4, ".czt") == 0;
}

bool output_write(const char *path, const Section *sections, uint32_t n, Error *err)
{
    if (is_step_name(path)) return container_write(path, NULL, 0, sections, n, err);
    const Asset *runner = assets_find("cztc-run");
    if (!container_write(path, runner->data, asset_size(runner), sections, n, err)) return false;
    if (CZT_NOT_STATIC[0])
        fprintf(stderr,
                "note: %s needs shared libraries where it runs (%s had no static variant when cztc "
                "was built); ldd lists them\n",
                path, CZT_NOT_STATIC);
    return true;
}
