/* link.c - see stream.h: a session with the server by its own library. Names, passwords and ways of logging in are as for its programs: the
 * file that the policy names is read, and no other. */
#include "agents/mariadb/link.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_S 10u
#define ANSWER_S 120u
#define MAX_ANSWER_BYTES (16u << 20)

struct my_link {
    const struct my_server *s;
    MYSQL *c;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static MYSQL *connect_to(const struct my_server *s, MYSQL *c)
{
    const char *colon = strrchr(s->where, ':');
    char host[256];
    if (s->where[0] == '/')
        return mysql_real_connect(c, NULL, s->user, NULL, NULL, 0, s->where, 0);
    bool port = colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1);
    snprintf(host, sizeof host, "%.*s", (int)(port ? (size_t)(colon - s->where) : strlen(s->where)),
             s->where);
    unsigned tcp = MYSQL_PROTOCOL_TCP;
    mysql_optionsv(c, MYSQL_OPT_PROTOCOL, &tcp);
    return mysql_real_connect(c, host, s->user, NULL, NULL,
                              port ? (unsigned)strtoul(colon + 1, NULL, 10) : 0, NULL, 0);
}

/* A server could ask for any file that we can read, and a file of options could allow it. */
static int hand_out_nothing(void **ret, const char *name, void *ctx)
{
    (void)name;
    (void)ctx;
    *ret = NULL;
    return 1;
}

static int read_nothing(void *file, char *to, unsigned n)
{
    (void)file;
    (void)to;
    (void)n;
    return -1;
}

static void close_nothing(void *file)
{
    (void)file;
}

static int say_nothing(void *file, char *to, unsigned n)
{
    (void)file;
    snprintf(to, n, "no file is handed out");
    return 1;
}

int my_connect(const struct my_server *s, MYSQL **ret, struct err *e)
{
    unsigned connect_s = CONNECT_S, answer_s = ANSWER_S;
    my_bool no = 0;
    MYSQL *c = mysql_init(NULL);
    if (!c)
        return no_memory(e);
    mysql_optionsv(c, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_optionsv(c, MYSQL_OPT_READ_TIMEOUT, &answer_s);
    mysql_optionsv(c, MYSQL_OPT_WRITE_TIMEOUT, &answer_s);
    mysql_optionsv(c, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_set_local_infile_handler(c, hand_out_nothing, read_nothing, close_nothing, say_nothing,
                                   NULL);
    if (s->where[0] == '/') /* newer libraries would speak TLS there, too */
        mysql_optionsv(c, MYSQL_OPT_SSL_ENFORCE, &no);
    if (s->defaults_file)
        mysql_optionsv(c, MYSQL_READ_DEFAULT_FILE, s->defaults_file);
    if (connect_to(s, c)) {
        *ret = c;
        return 0;
    }
    int rc = my_link_failed(s, c, e);
    mysql_close(c);
    return rc;
}

int my_link_failed(const struct my_server *s, MYSQL *c, struct err *e)
{
    return my_failed(s, mysql_errno(c), mysql_error(c), e);
}

int my_link_open(const struct my_server *s, struct my_link **ret, struct err *e)
{
    struct my_link *l = calloc(1, sizeof *l);
    if (!l)
        return no_memory(e);
    l->s = s;
    int rc = my_connect(s, &l->c, e);
    if (rc < 0)
        free(l);
    else
        *ret = l;
    return rc;
}

/* As the client program writes it with --batch. */
static void put_field(struct wbuf *w, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool special = p[i] == '\\' || p[i] == '\t' || p[i] == '\n' || p[i] == '\0';
        if (special)
            wb_u8(w, '\\');
        wb_u8(w, p[i] == '\t' ? 't' : p[i] == '\n' ? 'n' : p[i] == '\0' ? '0' : (uint8_t)p[i]);
    }
}

static void put_rows(struct wbuf *w, MYSQL_RES *r)
{
    unsigned n = mysql_num_fields(r);
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(r)) != NULL && w->len < MAX_ANSWER_BYTES) {
        const unsigned long *len = mysql_fetch_lengths(r);
        for (unsigned i = 0; i < n; i++) {
            if (i > 0)
                wb_u8(w, '\t');
            put_field(w, row[i] ? row[i] : "NULL", row[i] ? len[i] : 4);
        }
        wb_u8(w, '\n');
    }
}

int my_link_query(struct my_link *l, const char *sql, char **ret, struct err *e)
{
    struct wbuf w = WBUF_INIT;
    MYSQL_RES *r = NULL;
    if (mysql_real_query(l->c, sql, (unsigned long)strlen(sql)) != 0 ||
        (!(r = mysql_store_result(l->c)) && mysql_errno(l->c) != 0))
        return my_link_failed(l->s, l->c, e);
    if (r)
        put_rows(&w, r);
    mysql_free_result(r);
    wb_u8(&w, 0);
    if (w.failed || w.len >= MAX_ANSWER_BYTES) {
        bool failed = w.failed;
        wbuf_free(&w);
        return failed ? no_memory(e) : err_set(e, ERR_LIMIT, _("the server's answer is too long"));
    }
    if (ret)
        *ret = (char *)w.p;
    else
        wbuf_free(&w);
    return 0;
}

void my_link_free(struct my_link *l)
{
    if (!l)
        return;
    mysql_close(l->c);
    free(l);
}

/* --- names -------------------------------------------------------------------------------------- */
uint32_t my_log_number(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name || !dot[1] || strspn(dot + 1, "0123456789") != strlen(dot + 1) ||
        strlen(dot + 1) > 10 || strchr(name, '/'))
        return 0;
    unsigned long long n = strtoull(dot + 1, NULL, 10);
    return n <= INT32_MAX ? (uint32_t)n : 0;
}

bool my_log_base_same(const char *name, const char *other)
{
    const char *one = strrchr(name, '.'), *two = strrchr(other, '.');
    return one && two && one - name == two - other &&
           strncmp(name, other, (size_t)(one - name)) == 0;
}
