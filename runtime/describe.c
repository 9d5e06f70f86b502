// What a step is, for those who call it.
#include "runtime/step.h"

// What of the manifest is a caller's business: not launches, kernels, or sizes of scratch.
json_t *step_describe(const Step *step)
{
    static const char tops[][12] = {"name", "source_hash", "target", "batch",
                                    "seed", "steps",       "state"};
    static const char parts[][8] = {"name", "inputs", "outputs", "before"};
    json_t *out = json_object(), *entries = json_array(), *entry;
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
        json_object_set(out, tops[i], json_object_get(step->manifest, tops[i]));
    size_t e;
    json_array_foreach(json_object_get(step->manifest, "entries"), e, entry)
    {
        json_t *row = json_object();
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            json_object_set(row, parts[i], json_object_get(entry, parts[i]));
        json_array_append_new(entries, row);
    }
    json_object_set_new(out, "entries", entries);
    json_t *shapes = json_object_get(json_object_get(step->manifest, "train"), "shapes");
    if (shapes) json_object_set(out, "shapes", shapes);
    return out;
}
