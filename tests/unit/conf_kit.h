/* conf_kit.h - for tests of policies/: a configuration folder of its own, and texts to fill it with. */
#ifndef TWOFOLD_TESTS_UNIT_CONF_KIT_H
#define TWOFOLD_TESTS_UNIT_CONF_KIT_H

#include "policies/config.h"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define KEYS "signing-public-key: " HEX "\nroot-public-key: " HEX "\n"
#define ANCHORS "id: " HEX "\nsuite: 1\nrecovery-public-key: " HEX "\n" KEYS
#define TWO_COPIES "copies:\n  - place: a\n    url: /nowhere/a\n  - place: b\n    url: /nowhere/b\n"
#define HOST_KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

struct fixture {
    char dir[64];
    struct config_paths p;
    struct err e;
};
int conf_setup(void **state);
int conf_teardown(void **state);
/* A file in a folder of the configuration; "": the folder itself. */
void write_conf(struct fixture *f, const char *kind, const char *name, const char *text,
                size_t len);
void vault_file(struct fixture *f, const char *name, const char *text);
void policy_file(struct fixture *f, const char *name, const char *text);

#define TEST(t) cmocka_unit_test_setup_teardown(t, conf_setup, conf_teardown)

#endif
