/* yaml.c - loading configuration files and telling where in them a mistake is (see yaml.h). libcyaml
 * checks the schema; where it does not say the line, or says that of the key before, libyaml's tree does. */
#include "policies/yaml.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_KEY_BYTES 64
#define MAX_LOG_LINE 512

struct yaml_doc {
    char *file;
    uint8_t *text;
    size_t len;
    yaml_document_t tree;
    bool has_tree;
    int mistake_line;
};

/* --- reading --------------------------------------------------------------------------------------- */
int yaml_from(const char *file, const void *text, size_t len, struct yaml_doc **ret, struct err *e)
{
    struct yaml_doc *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, _("no memory"));
    d->file = strdup(file);
    d->text = malloc(len + 1);
    if (!d->file || !d->text || len > MAX_CONF_BYTES) {
        yaml_close(d);
        return len > MAX_CONF_BYTES ? err_set(e, ERR_LIMIT, _("the file is too long"))
                                    : err_set(e, ERR_NOMEM, _("no memory"));
    }
    memcpy(d->text, text, len);
    d->text[len] = '\0';
    d->len = len;
    *ret = d;
    return 0;
}

int yaml_read(const char *file, struct yaml_doc **ret, struct err *e)
{
    struct yaml_doc *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, _("no memory"));
    d->file = strdup(file);
    int r = d->file ? sys_read_file(AT_FDCWD, file, MAX_CONF_BYTES, &d->text, &d->len, e)
                    : err_set(e, ERR_NOMEM, _("no memory"));
    if (r < 0) {
        yaml_close(d);
        return r;
    }
    *ret = d;
    return 0;
}

void yaml_close(struct yaml_doc *d)
{
    if (!d)
        return;
    if (d->has_tree)
        yaml_document_delete(&d->tree);
    free(d->text);
    free(d->file);
    free(d);
}

static int mistake_at(struct yaml_doc *d, int line, struct err *e)
{
    d->mistake_line = line;
    if (line > 0)
        return err_wrap(e, _("%s, line %d"), d->file, line);
    return err_wrap(e, "%s", d->file);
}

int yaml_mistake(struct yaml_doc *d, const char *path, struct err *e)
{
    return mistake_at(d, yaml_line(d, path), e);
}

int yaml_mistake_line(const struct yaml_doc *d)
{
    return d->mistake_line;
}

/* --- the tree, for positions ------------------------------------------------------------------------- */
static yaml_node_t *node_at(const struct yaml_doc *d, int index)
{
    return yaml_document_get_node((yaml_document_t *)&d->tree, index);
}

static bool is_text(const yaml_node_t *n, const char *text, size_t len)
{
    return n && n->type == YAML_SCALAR_NODE && n->data.scalar.length == len &&
           memcmp(n->data.scalar.value, text, len) == 0;
}

/* *ret_shown: what people look for; of a list or a mapping, which start below their key, it is the key. */
static const yaml_node_t *descend(const struct yaml_doc *d, const yaml_node_t *n, const char *key,
                                  size_t len, const yaml_node_t **ret_shown)
{
    const yaml_node_t *value = NULL;
    if (n->type == YAML_MAPPING_NODE) {
        const yaml_node_pair_t *p = n->data.mapping.pairs.start;
        while (p < n->data.mapping.pairs.top && !is_text(node_at(d, p->key), key, len))
            p++;
        if (p == n->data.mapping.pairs.top)
            return NULL;
        value = node_at(d, p->value);
        *ret_shown = value->type == YAML_SCALAR_NODE ? value : node_at(d, p->key);
    } else if (n->type == YAML_SEQUENCE_NODE) {
        const yaml_node_item_t *items = n->data.sequence.items.start;
        size_t i = strtoul(key, NULL, 10);
        if (i < (size_t)(n->data.sequence.items.top - items))
            *ret_shown = value = node_at(d, items[i]);
    }
    return value;
}

int yaml_line(const struct yaml_doc *d, const char *path)
{
    const yaml_node_t *n = d->has_tree ? node_at(d, 1) : NULL;
    int line = n ? (int)n->start_mark.line + 1 : 0;
    while (n && *path) {
        size_t len = strcspn(path, ".");
        const yaml_node_t *shown = NULL;
        n = descend(d, n, path, len, &shown);
        if (n)
            line = (int)shown->start_mark.line + 1;
        path += len + (path[len] == '.');
    }
    return line;
}

static const yaml_node_t *find_node(const struct yaml_doc *d, const char *path)
{
    const yaml_node_t *n = d->has_tree ? node_at(d, 1) : NULL, *shown;
    while (n && *path) {
        size_t len = strcspn(path, ".");
        n = descend(d, n, path, len, &shown);
        path += len + (path[len] == '.');
    }
    return n;
}

int yaml_each_key(struct yaml_doc *d, const char *path, yaml_key_fn *fn, void *ctx, struct err *e)
{
    const yaml_node_t *n = find_node(d, path);
    int r = 0;
    if (!n || (n->type == YAML_SCALAR_NODE && n->data.scalar.length == 0))
        return 0;
    if (n->type != YAML_MAPPING_NODE) {
        err_set(e, ERR_CONFIG, _("there must be \"key: value\" lines here"));
        err_next(e, _("write each key on a line of its own, indented by two spaces more than the "
                      "line that it belongs to"));
        return yaml_mistake(d, path, e);
    }
    const yaml_node_pair_t *start = n->data.mapping.pairs.start, *top = n->data.mapping.pairs.top;
    for (const yaml_node_pair_t *p = start; p < top && r == 0; p++) {
        const yaml_node_t *k = node_at(d, p->key);
        const char *key = (const char *)k->data.scalar.value;
        bool twice = false;
        for (const yaml_node_pair_t *q = start; q < p; q++)
            twice = twice || is_text(node_at(d, q->key), key, k->data.scalar.length);
        if (!twice && !strchr(key, '.')) {
            r = fn(ctx, key, e);
            continue;
        }
        err_set(e, ERR_CONFIG,
                twice ? _("the key \"%s\" is there twice") : _("\"%s\" cannot be a name"), key);
        err_next(e, twice ? _("remove one of the two") : _("write it without dots"));
        r = mistake_at(d, (int)k->start_mark.line + 1, e);
    }
    return r;
}

int yaml_text(struct yaml_doc *d, const char *path, const char **ret, struct err *e)
{
    const yaml_node_t *n = find_node(d, path);
    if (n && n->type != YAML_SCALAR_NODE) {
        err_set(e, ERR_CONFIG, _("\"%s\" must be made of single texts here"), path);
        err_next(e, _("write a text, in double quotes if it has special characters"));
        return yaml_mistake(d, path, e);
    }
    *ret = n ? (const char *)n->data.scalar.value : NULL;
    return 0;
}

size_t yaml_count(const struct yaml_doc *d, const char *path)
{
    const yaml_node_t *n = find_node(d, path);
    if (!n || n->type != YAML_SEQUENCE_NODE)
        return 0;
    return (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
}

/* The line of the last text in a node: where a block ends, its end mark is past the comments that follow. */
static int last_line(const struct yaml_doc *d, const yaml_node_t *n, unsigned depth)
{
    int line = (int)n->start_mark.line + 1, inner = 0;
    if (n->type == YAML_SCALAR_NODE)
        return (int)n->end_mark.line + 1;
    if (depth == 0)
        return line;
    if (n->type == YAML_MAPPING_NODE && n->data.mapping.pairs.top > n->data.mapping.pairs.start)
        inner = last_line(d, node_at(d, n->data.mapping.pairs.top[-1].value), depth - 1);
    if (n->type == YAML_SEQUENCE_NODE && n->data.sequence.items.top > n->data.sequence.items.start)
        inner = last_line(d, node_at(d, n->data.sequence.items.top[-1]), depth - 1);
    return inner > line ? inner : line;
}

bool yaml_extent(const struct yaml_doc *d, const char *path, int *ret_first, int *ret_last,
                 int *ret_column)
{
    const yaml_node_t *n = find_node(d, path);
    bool flow =
        !n || (n->type == YAML_MAPPING_NODE && n->data.mapping.style == YAML_FLOW_MAPPING_STYLE) ||
        (n->type == YAML_SEQUENCE_NODE && n->data.sequence.style == YAML_FLOW_SEQUENCE_STYLE);
    if (flow)
        return false;
    *ret_first = (int)n->start_mark.line + 1;
    *ret_last = last_line(d, n, 8);
    *ret_column = (int)n->start_mark.column;
    return true;
}

const char *yaml_source(const struct yaml_doc *d, size_t *ret_len)
{
    *ret_len = d->len;
    return (const char *)d->text;
}

/* The first key of that name at or behind a position: libcyaml says where it was when it met the key. */
static int line_of_key(const struct yaml_doc *d, const char *key, size_t line, size_t column)
{
    size_t best = 0;
    for (const yaml_node_t *n = d->tree.nodes.start; n < d->tree.nodes.top; n++) {
        if (n->type != YAML_MAPPING_NODE)
            continue;
        const yaml_node_pair_t *p = n->data.mapping.pairs.start;
        for (; p < n->data.mapping.pairs.top; p++) {
            const yaml_node_t *k = node_at(d, p->key);
            if (!is_text(k, key, strlen(key)))
                continue;
            size_t at = k->start_mark.line + 1;
            bool behind = at > line || (at == line && k->start_mark.column + 1 >= column);
            if (behind && (best == 0 || at < best))
                best = at;
        }
    }
    return (int)(best ? best : line);
}

static bool is_before(const yaml_mark_t *m, size_t line, size_t column)
{
    return m->line + 1 < line || (m->line + 1 == line && m->column + 1 <= column);
}

/* Where the innermost mapping around a position starts that lacks the key. */
static int line_without_key(const struct yaml_doc *d, const char *key, size_t line, size_t column)
{
    const yaml_node_t *best = NULL, *shown = NULL;
    for (const yaml_node_t *n = d->tree.nodes.start; n < d->tree.nodes.top; n++)
        if (n->type == YAML_MAPPING_NODE && is_before(&n->start_mark, line, column) &&
            !descend(d, n, key, strlen(key), &shown) &&
            (!best || best->start_mark.index <= n->start_mark.index))
            best = n;
    return best ? (int)best->start_mark.line + 1 : yaml_line(d, "");
}

static int syntax_mistake(struct yaml_doc *d, const yaml_parser_t *p, struct err *e)
{
    if (p->error == YAML_MEMORY_ERROR)
        return err_set(e, ERR_NOMEM, _("no memory"));
    size_t line = p->problem_mark.line + 1;
    if (p->error == YAML_READER_ERROR) { /* it counts bytes, not lines */
        line = 1;
        for (size_t i = 0; i < d->len && i < p->problem_offset; i++)
            line += d->text[i] == '\n';
        err_set(e, ERR_CONFIG, _("this is not text in UTF-8 (%s)"), p->problem);
        err_next(e, _("save the file as UTF-8 and without control characters"));
    } else {
        err_set(e, ERR_CONFIG, _("this cannot be read as YAML: %s"), p->problem);
        err_next(e,
                 _("look at quotes, brackets and the indentation there (spaces, no tabs); a text "
                   "with special characters is written in double quotes"));
    }
    return mistake_at(d, (int)line, e);
}

/* What libcyaml would let pass: texts with NUL bytes, keys that are no texts. */
static int check_nodes(struct yaml_doc *d, struct err *e)
{
    for (const yaml_node_t *n = d->tree.nodes.start; n < d->tree.nodes.top; n++) {
        bool nul = n->type == YAML_SCALAR_NODE &&
                   memchr(n->data.scalar.value, '\0', n->data.scalar.length) != NULL;
        bool odd = false;
        if (n->type == YAML_MAPPING_NODE)
            for (const yaml_node_pair_t *p = n->data.mapping.pairs.start;
                 p < n->data.mapping.pairs.top; p++)
                odd = odd || node_at(d, p->key)->type != YAML_SCALAR_NODE;
        if (!nul && !odd)
            continue;
        err_set(e, ERR_CONFIG,
                nul ? _("a text holds a NUL character") : _("a key must be a single word"));
        return mistake_at(d, (int)n->start_mark.line + 1, e);
    }
    return 0;
}

static int check_tree(struct yaml_doc *d, yaml_parser_t *p, struct err *e)
{
    yaml_document_t second;
    if (!yaml_parser_load(p, &d->tree))
        return syntax_mistake(d, p, e);
    d->has_tree = true;
    if (!node_at(d, 1)) {
        err_set(e, ERR_CONFIG, _("the file is empty"));
        return mistake_at(d, 0, e);
    }
    if (!yaml_parser_load(p, &second))
        return syntax_mistake(d, p, e);
    yaml_node_t *root = yaml_document_get_root_node(&second);
    int line = root ? (int)root->start_mark.line + 1 : 0;
    yaml_document_delete(&second);
    if (root) {
        err_set(e, ERR_CONFIG, _("a second document starts here"));
        err_next(e, _("put it into a file of its own, or remove the line \"---\""));
        return mistake_at(d, line, e);
    }
    return check_nodes(d, e);
}

static int build_tree(struct yaml_doc *d, struct err *e)
{
    yaml_parser_t p;
    if (!yaml_parser_initialize(&p))
        return err_set(e, ERR_NOMEM, _("no memory"));
    yaml_parser_set_input_string(&p, d->text, d->len);
    int r = check_tree(d, &p, e);
    yaml_parser_delete(&p);
    return r;
}

/* --- libcyaml ------------------------------------------------------------------------------------------- */
/* What libcyaml logs: what is wrong, then from the inside out where. */
struct report {
    char what[MAX_LOG_LINE];
    char field[MAX_KEY_BYTES]; /* the innermost one */
    size_t line, column;
};

__attribute__((format(printf, 3, 0))) static void take_log(cyaml_log_t level, void *ctx,
                                                           const char *fmt, va_list ap)
{
    struct report *r = ctx;
    char text[MAX_LOG_LINE];
    size_t line, column;
    if (level != CYAML_LOG_ERROR || vsnprintf(text, sizeof text, fmt, ap) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    const char *at = strstr(text, "(line: "), *field = strstr(text, "in mapping field '");
    if (strncmp(text, "Load: ", 6) == 0 && !at) {
        if (!r->what[0] && strcmp(text, "Load: Backtrace:") != 0)
            snprintf(r->what, sizeof r->what, "%s", text + 6);
        return;
    }
    if (field && !r->field[0])
        sscanf(field, "in mapping field '%63[^']", r->field);
    /* NOLINTNEXTLINE(cert-err34-c): libcyaml's own text, not a person's */
    if (at && r->line == 0 && sscanf(at, "(line: %zu, column: %zu)", &line, &column) == 2) {
        r->line = line;
        r->column = column;
    }
}

/* The keys that may stand beside an unknown one, "a, b, c": those of the mapping `field`, or the top. */
static const cyaml_schema_field_t *fields_of(const cyaml_schema_value_t *v)
{
    while (v->type == CYAML_SEQUENCE)
        v = v->sequence.entry;
    return v->type == CYAML_MAPPING ? v->mapping.fields : NULL;
}

static const cyaml_schema_field_t *find_fields(const cyaml_schema_field_t *fields,
                                               const char *field)
{
    const cyaml_schema_field_t *found = NULL;
    for (const cyaml_schema_field_t *f = fields; f->key && !found; f++) {
        const cyaml_schema_field_t *inner = fields_of(&f->value);
        if (inner)
            found = strcmp(f->key, field) == 0 ? inner : find_fields(inner, field);
    }
    return found;
}

static void known_keys(const cyaml_schema_value_t *schema, const char *field, char *out,
                       size_t size)
{
    const cyaml_schema_field_t *f = fields_of(schema), *inner = find_fields(f, field);
    inner = inner ? inner : f;
    out[0] = '\0';
    for (f = inner; f->key; f++) {
        size_t n = strlen(out);
        snprintf(out + n, size - n, "%s%s", n ? ", " : "", f->key);
    }
}

static const char *after(const char *text, const char *start)
{
    size_t n = strlen(start);
    return strncmp(text, start, n) == 0 ? text + n : NULL;
}

static int schema_mistake(struct yaml_doc *d, const cyaml_schema_value_t *schema, cyaml_err_t code,
                          const struct report *r, struct err *e)
{
    char keys[MAX_LOG_LINE];
    int line = r->line ? (int)r->line : yaml_line(d, "");
    const char *key;
    if (code == CYAML_ERR_OOM)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if ((key = after(r->what, "Unexpected key: "))) {
        known_keys(schema, r->field, keys, sizeof keys);
        line = line_of_key(d, key, r->line, r->column);
        err_set(e, ERR_CONFIG, _("the key \"%s\" is not known here"), key);
        err_next(e, _("the keys that may stand here are: %s"), keys);
    } else if ((key = after(r->what, "Missing required mapping field: "))) {
        line = line_without_key(d, key, r->line, r->column);
        err_set(e, ERR_CONFIG, _("the key \"%s\" is missing"), key);
        err_next(e, _("add a line \"%s: ...\""), key);
    } else if ((key = after(r->what, "Mapping field already seen: "))) {
        line = line_of_key(d, key, r->line, r->column);
        err_set(e, ERR_CONFIG, _("the key \"%s\" is there twice"), key);
        err_next(e, _("remove one of the two"));
    } else if (after(r->what, "Expecting SEQUENCE")) {
        err_set(e, ERR_CONFIG, _("\"%s\" must be a list"), r->field);
        err_next(e, _("write %s: [one, two], or each entry on a line of its own after \"- \""),
                 r->field);
    } else if (after(r->what, "Expecting MAPPING")) {
        err_set(e, ERR_CONFIG, _("there must be \"key: value\" lines here"));
        err_next(e,
                 _("write each key on a line of its own, indented by two spaces more than the line "
                   "that it belongs to"));
    } else if (after(r->what, "Expecting STRING")) {
        err_set(e, ERR_CONFIG, _("\"%s\" must be made of single texts here"), r->field);
        err_next(e, _("write a text, in double quotes if it has special characters"));
    } else if (code == CYAML_ERR_ALIAS) {
        err_set(e, ERR_CONFIG, _("references (*name) are not supported"));
        err_next(e, _("write the value itself"));
    } else if (code == CYAML_ERR_SEQUENCE_ENTRIES_MAX) {
        err_set(e, ERR_CONFIG, _("the list \"%s\" has too many entries"), r->field);
        err_next(e, _("split it over several files"));
    } else {
        err_set(e, ERR_CONFIG, "%s", r->what[0] ? r->what : cyaml_strerror(code));
    }
    return mistake_at(d, line, e);
}

static cyaml_config_t config_for(struct report *r)
{
    return (cyaml_config_t){
        .log_fn = take_log,
        .log_ctx = r,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

int yaml_load(struct yaml_doc *d, const cyaml_schema_value_t *schema, void **ret, struct err *e)
{
    struct report report = { .line = 0 };
    cyaml_config_t config = config_for(&report);
    void *value = NULL;
    int r = build_tree(d, e);
    if (r < 0)
        return r;
    cyaml_err_t code = cyaml_load_data(d->text, d->len, &config, schema, &value, NULL);
    if (code != CYAML_OK)
        return schema_mistake(d, schema, code, &report, e);
    *ret = value;
    return 0;
}

void yaml_free_value(const cyaml_schema_value_t *schema, void *value)
{
    struct report report;
    cyaml_config_t config = config_for(&report);
    if (value)
        cyaml_free(&config, schema, value, 0);
}
