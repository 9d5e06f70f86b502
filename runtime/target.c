// Is this machine the one a step file was compiled for? A CPU's features carry LLVM's names; the
// kernel's list of processor flags says what both processor and system support. Two spellings meet
// by dropping '_', '-' and '.', and by a table of the names that really differ.
#include "runtime/step.h"

#include "base/processor.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
static const char host_arch[] = "x86-64";
#elif defined(__aarch64__)
static const char host_arch[] = "aarch64";
#else
static const char host_arch[] = "unknown";
#endif

// LLVM's name, the kernel's name.
static const char aliases[][2][16] = {
    {"64bit", "lm"},     {"bmi", "bmi1"},         {"crc32", "sse4_2"},         {"lzcnt", "abm"},
    {"pku", "ospke"},    {"sha", "sha_ni"},       {"prfchw", "3dnowprefetch"}, {"rdrnd", "rdrand"},
    {"sahf", "lahf_lm"}, {"sse3", "pni"},         {"shstk", "user_shstk"},     {"x87", "fpu"},
    {"neon", "asimd"},   {"pclmul", "pclmulqdq"}, {"evex512", "avx512f"},
};

static char next_letter(const char **at, const char *end)
{
    while (*at < end && (**at == '_' || **at == '-' || **at == '.')) ++*at;
    return *at < end ? (char)tolower((unsigned char)*(*at)++) : '\0';
}

// The same letters and digits, whatever the punctuation.
static bool same_name(const char *a, const char *a_end, const char *b)
{
    const char *b_end = b + strlen(b);
    for (;;) {
        char x = next_letter(&a, a_end), y = next_letter(&b, b_end);
        if (x != y) return false;
        if (!x) return true;
    }
}

static bool listed(const char *flags, const char *name)
{
    while (*flags) {
        size_t space = strspn(flags, " \t\n"), length = strcspn(flags + space, " \t\n");
        const char *word = flags + space;
        if (length && same_name(word, word + length, name)) return true;
        flags = word + length;
    }
    return false;
}

bool target_has(const char *flags, const char *feature)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(aliases[i][0], feature) == 0) return listed(flags, aliases[i][1]);
    return listed(flags, feature);
}

// The first processor's "model name" and "flags" lines of /proc/cpuinfo; empty when there are none.
static void read_cpuinfo(Arena *arena, const char **model, const char **flags)
{
    *model = "this CPU";
    *flags = "";
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return;
    char *line = NULL;
    size_t cap = 0;
    bool found = false;
    while (!found && getline(&line, &cap, f) >= 0) {
        char *colon = strchr(line, ':');
        if (!colon) continue;
        line[strcspn(line, "\n")] = '\0';
        const char *value = colon + 1 + strspn(colon + 1, " ");
        if (strncmp(line, "model name", 10) == 0) *model = str_copy(arena, value);
        found = strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0;
        if (found) *flags = str_copy(arena, value);
    }
    free(line);
    fclose(f);
}

static bool check_cpu(Step *step, json_t *target, const char *arch, Error *err)
{
    json_t *feature;
    const char *model, *flags;
    if (strcmp(arch, host_arch))
        return error_set(err, "%s: made for %s, this machine is %s; compile it here", step->file,
                         arch, host_arch);
    read_cpuinfo(step->arena, &model, &flags);
    const char *lacking = "";
    size_t i;
    json_array_foreach(json_object_get(target, "features"), i, feature)
    {
        const char *name = json_string_value(feature);
        if (!name) return error_set(err, "%s: manifest: target.features[%zu]", step->file, i);
        step->tiles |= strcmp(name, "amx-tile") == 0;
        if (!target_has(flags, name))
            lacking = str_printf(step->arena, "%s%s%s", lacking, *lacking ? ", " : "", name);
    }
    if (*lacking)
        return error_set(err, "%s: needs %s, which this CPU (%s) has not; compile it here",
                         step->file, lacking, model);
    if (step->tiles && !processor_lends_tiles())
        return error_set(err,
                         "%s: needs tile registers (AMX), which this system does not lend; compile "
                         "it here",
                         step->file);
    return true;
}

bool target_check(Step *step, Error *err)
{
    json_t *target = json_object_get(step->manifest, "target");
    const char *arch = json_string_value(json_object_get(target, "arch"));
    if (!arch) return error_set(err, "%s: manifest: target.arch must be a name", step->file);
    if (strcmp(arch, "cuda")) return check_cpu(step, target, arch, err);
    json_t *count = json_object_get(target, "units");
    json_int_t units = json_integer_value(count);
    if (!json_is_integer(count) || units < 0 || units > 65535)
        return error_set(err, "%s: manifest: target.units must be an integer from 0 to 65535",
                         step->file);
    step->cuda = true;
    step->nunits = (uint32_t)units;
    return true;
}
