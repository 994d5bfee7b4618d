/* restore_sqlite.c - see restore_sqlite.h. */
#include "orchestrator/restore_sqlite.h"
#include "lib/base/i18n.h"
#include "lib/vault/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES SQLITE_KIND "/files/"
#define MAX_FACTS_BYTES (16u << 20)

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int bad_facts(struct err *e)
{
    return err_set(e, ERR_DAMAGED, _("%s of the backup cannot be read"), SQLITE_FACTS);
}

static int read_facts(struct view *view, json_t **ret, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    json_error_t why;
    int rc = look_read_file(view, SQLITE_FACTS, MAX_FACTS_BYTES, &text, &n, e);
    if (rc < 0)
        return err_wrap(e, SQLITE_FACTS);
    *ret = json_loadb(text, n, 0, &why);
    free(text);
    return json_is_array(json_object_get(*ret, "files")) ? 0 : bad_facts(e);
}

/* The folder part of a path, at least "/". */
static int folder_length(const char *path)
{
    const char *end = strrchr(path, '/');
    return end == path ? 1 : (int)(end - path);
}

static bool names_file(const struct source_spec *policy, const char *path)
{
    for (size_t i = 0; policy && i < policy->n; i++)
        if (strcmp(policy->v[i].key, "files") == 0 && strcmp(policy->v[i].value, path) == 0)
            return true;
    return false;
}

/* One file: its job, and where the driver is to put it. name: in the backup; path: where it was. */
static int add_file(struct db_plan *p, struct source_spec *spec, const char *name, const char *path,
                    const char *staging, struct err *e)
{
    size_t n = strlen(FILES);
    if (strncmp(name, FILES, n) != 0 || !path_ok(name, strlen(name)) || path[0] != '/' ||
        strcmp(name + n, path + 1) != 0)
        return bad_facts(e);
    if (p->n_spaces == MAX_SPACE_OPTIONS) {
        err_set(e, ERR_LIMIT, _("more than %d databases cannot be put in place at once"),
                MAX_SPACE_OPTIONS);
        return err_next(e, _("restore them to another place: --to DIR"));
    }
    struct db_space *s = &p->spaces[p->n_spaces++];
    if (asprintf(&s->path, "/%s", name) < 0)
        s->path = NULL;
    if (asprintf(&s->strip, "/%.*s", folder_length(name), name) < 0)
        s->strip = NULL;
    if (asprintf(&s->target, "%.*s/%s", folder_length(path), path, staging) < 0)
        s->target = NULL;
    if (!s->path || !s->strip || !s->target)
        return no_memory(e);
    return source_spec_add(spec, "files", path, e);
}

static int not_named(const char *path, struct err *e)
{
    err_set(e, ERR_REFUSED,
            _("the backup has %s, which the policy does not name now: it is not replaced"), path);
    return err_next(e, _("name it below \"files\" of the policy, or restore with --to DIR"));
}

/* The main job brings facts.json beside the first file, and takes the driver's steps for all. */
static int plan_in_place(struct view *view, struct source_spec *spec,
                         const struct source_spec *policy, const char *staging, struct db_plan *p,
                         struct err *e)
{
    json_t *facts = NULL;
    int rc = read_facts(view, &facts, e);
    json_t *files = json_object_get(facts, "files");
    for (size_t i = 0; rc == 0 && i < json_array_size(files); i++) {
        json_t *f = json_array_get(files, i);
        const char *name = json_string_value(json_object_get(f, "file"));
        const char *path = json_string_value(json_object_get(f, "path"));
        if (name && path && !names_file(policy, path))
            rc = not_named(path, e);
        else
            rc = name && path ? add_file(p, spec, name, path, staging, e) : bad_facts(e);
    }
    json_decref(facts);
    if (rc == 0 && p->n_spaces == 0)
        rc = bad_facts(e);
    if (rc == 0)
        rc = source_spec_add(spec, "staging", staging, e);
    if (rc < 0)
        return rc;
    p->overwrite = true;
    p->target = strdup(p->spaces[0].target);
    p->paths = calloc(1, sizeof *p->paths);
    if (p->paths && (p->paths[0] = strdup(SQLITE_FACTS)))
        p->n_paths = 1;
    return p->target && p->n_paths == 1 ? 0 : no_memory(e);
}

int sqlite_plan(struct view *view, bool in_place, const struct source_spec *policy,
                const char *staging, struct db_plan *p, struct err *e)
{
    struct source_spec *spec = NULL;
    int rc = source_specs_add(&p->sources, &p->n_sources, SQLITE_KIND, &spec, e);
    return rc == 0 && in_place ? plan_in_place(view, spec, policy, staging, p, e) : rc;
}
