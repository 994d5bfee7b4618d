/*
 * contacts.h - CONFIG/contacts.yaml: who does what, by role, each with an A and a B person (PY-AB), and when the list
 * was last looked through (PY-contacts).
 *
 *     reviewed: 2026-10-01
 *     review-every: 90d
 *     roles:
 *       office-head:
 *         a: { name: "…", unit: "…", phone: "…", mail: "…", webhook: duty }
 *         b: { … }
 *       security-officer: { a: …, b: … }
 *     units:                              # subordinate units, told to hold their uploads (PY-DB-2)
 *       - { name: "…", contact: "…", phone: "…", mail: "…" }
 *
 * Roles of the plans: office-head, security-officer, leading-group, operator, vendor, superior-unit, police, carrier;
 * others may be added.
 */
#ifndef TWOFOLD_POLICIES_CONTACTS_H
#define TWOFOLD_POLICIES_CONTACTS_H

#include "policies/config.h"

struct person {
    char *name, *unit, *phone, *mail,
        *webhook; /* NULL: not given; a person without a name is not there */
};
struct role {
    char *name;
    struct person a, b;
};
struct unit_contact {
    char *name, *contact, *phone, *mail;
};
struct contacts {
    int64_t reviewed_s; /* midnight UTC of that day; 0: never */
    uint64_t review_every_s;
    struct role *roles;
    size_t n_roles;
    struct unit_contact *units;
    size_t n_units;
};
/* Without the file: no roles. -ERR_CONFIG with file and line. */
int contacts_load(const struct config_paths *p, struct contacts **ret, struct err *e);
void contacts_free(struct contacts *c); /* NULL-safe */
const struct role *contacts_role(const struct contacts *c,
                                 const char *name); /* NULL: no such role */

#endif
