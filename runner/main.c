// cztc-run: the commands that need a step alone. Where a step was appended to the executable (what
// `cztc compile -o PROGRAM` writes), it is the program's own and no command takes a step file.
#include "base/container.h"
#include "base/file.h"
#include "runner/load.h"

#include <elf.h>
#include <stdlib.h>
#include <unistd.h>

static const Command *const commands[] = {
    &command_run,    &command_bench,    &command_train, &command_eval,
    &command_export, &command_describe, &command_data,
};

// Where the executable's own bytes end: its sections' table, or the last of its segments.
static size_t own_size(const FileMap *map)
{
    Elf64_Ehdr head;
    if (map->size < sizeof head) return map->size;
    memcpy(&head, map->data, sizeof head);
    size_t end = head.e_shoff + (size_t)head.e_shnum * head.e_shentsize;
    for (uint32_t i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, map->data + head.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_offset + segment.p_filesz > end) end = segment.p_offset + segment.p_filesz;
    }
    return end;
}

// Find out what the executable carries.
static bool look_at_self(Cli *cli, Error *err)
{
    FileMap map;
    char path[4096];
    ssize_t n = readlink(own_executable, path, sizeof path);
    const char *name = n < 0 ? program_name() : str_slice(cli->arena, path, (size_t)n);
    if (!file_map(&map, own_executable, err)) return false;
    if (container_present(map.data, map.size)) {
        cli->in = IN_CARRIER;
        cli->carried = name;
        cli->about = "A step of cztc, with all that it takes to run it; describe says what it is.";
    } else if (map.size > own_size(&map)) {
        error_set(err,
                  "%s: the step that it carried is damaged or cut off (%zu bytes are left); "
                  "compile it again",
                  name, map.size - own_size(&map));
    }
    file_unmap(&map);
    return !err->set;
}

int main(int argc, char **argv)
{
    Error err = {0};
    Cli cli = {.arena = arena_new(),
               .start = seconds_now(),
               .in = IN_RUNNER,
               .version = CZT_VERSION ", " CZT_BUILD_TYPE " build",
               .about = "Runs step files: STEP is what cztc compile wrote."};
    int code = look_at_self(&cli, &err)
                   ? cli_main(&cli, commands, sizeof commands / sizeof *commands, argc, argv)
                   : fail(&err);
    arena_free(cli.arena);
    return code;
}
