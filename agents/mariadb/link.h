/* link.h - sessions by the server's own library, for link.c and stream.c alone. */
#ifndef TWOFOLD_AGENTS_MARIADB_LINK_H
#define TWOFOLD_AGENTS_MARIADB_LINK_H

#include "agents/mariadb/stream.h"

#include <mysql.h>

int my_connect(const struct my_server *s, MYSQL **ret, struct err *e);
/* What the library says: as server.h has it. */
int my_link_failed(const struct my_server *s, MYSQL *c, struct err *e);

#endif
