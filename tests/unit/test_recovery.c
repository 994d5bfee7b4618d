/* test_recovery.c - lib/vault/recovery.h: new vaults, the way back from a passphrase, what a forged copy may
 * try, key files, passphrases, data keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/sys.h"
#include "tests/vault_samples.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIGNATURE_AT(w) ((w)->len - SIGNATURE_BYTES)
#define GENERATION_AT 8
#define VAULT_ID_AT 16
#define RECOVERY_PK_AT (VAULT_ID_AT + 32)
#define SIGN_PK_AT (RECOVERY_PK_AT + 32)
#define ROOT_PK_AT (SIGN_PK_AT + 32)
#define PREVIOUS_AT (ROOT_PK_AT + 32)
#define CREATED_AT (PREVIOUS_AT + 32)
#define SLOT_BYTES (2 + 32 + 113)

static struct secret *text_secret(const char *s)
{
    return secret_of(s, strlen(s));
}

static void assert_same_keys(const struct vault_keys *a, const struct vault_keys *b)
{
    assert_true(id_eq(&a->vault_id, &b->vault_id));
    assert_memory_equal(a->recovery_pk, b->recovery_pk, PUBLIC_KEY_BYTES);
    assert_memory_equal(a->sign_pk, b->sign_pk, PUBLIC_KEY_BYTES);
    assert_memory_equal(a->root_pk, b->root_pk, PUBLIC_KEY_BYTES);
    assert_memory_equal(secret_bytes(a->op), secret_bytes(b->op), KEY_BYTES);
    assert_memory_equal(secret_bytes(a->sign_sk), secret_bytes(b->sign_sk), KEY_BYTES);
}

/* --- vault and recovery ----------------------------------------------------------------------- */
static void a_new_vault_comes_back(void **state)
{
    struct vault_keys k, other, back;
    struct wbuf vault = WBUF_INIT, recovery = WBUF_INIT;
    struct secret *pass = text_secret(SAMPLE_PASSPHRASE),
                  *wrong = text_secret("Wrong horse 42 batt");
    char *name = NULL;
    assert_int_equal(vault_keys_generate(&k, NULL), 0);
    assert_int_equal(vault_keys_generate(&other, NULL), 0);
    assert_memory_not_equal(secret_bytes(k.op), secret_bytes(other.op), KEY_BYTES);
    assert_false(id_eq(&k.vault_id, &other.vault_id));
    assert_int_equal(vault_object_write(&k, "the vault", 1234567890, &vault, NULL), 0);
    assert_int_equal(recovery_write(&k, pass, &recovery, NULL), 0);
    assert_int_equal(recovery.len, 9 + SLOT_BYTES);
    assert_int_equal(recovery.p[10], RECOVERY_LOG2N);
    assert_int_equal(
        vault_keys_recover(recovery.p, recovery.len, vault.p, vault.len, pass, &back, &name, NULL),
        0);
    assert_string_equal(name, "the vault");
    assert_same_keys(&k, &back);
    assert_memory_equal(secret_bytes(k.recovery_sk), secret_bytes(back.recovery_sk), KEY_BYTES);
    free(name);
    vault_keys_done(&back);
    memset(&back, 0xAA, sizeof back);
    name = NULL;
    assert_int_equal(
        vault_keys_recover(recovery.p, recovery.len, vault.p, vault.len, wrong, &back, &name, NULL),
        -ERR_KEY);
    assert_null(name);
    secret_free(pass);
    secret_free(wrong);
    vault_keys_done(&k);
    vault_keys_done(&other);
    wbuf_free(&vault);
    wbuf_free(&recovery);
}

static void anybody_reads_the_public_part(void **state)
{
    struct vault_keys k = sample_keys();
    struct wbuf w = WBUF_INIT;
    struct vault_public v;
    uint8_t root_pk[PUBLIC_KEY_BYTES];
    assert_int_equal(vault_object_write(&k, "", SAMPLE_CREATED_S, &w, NULL), 0);
    assert_int_equal(vault_object_read(w.p, w.len, &v, NULL), 0);
    assert_true(id_eq(&v.vault_id, &k.vault_id));
    assert_memory_equal(v.recovery_pk, k.recovery_pk, PUBLIC_KEY_BYTES);
    assert_memory_equal(v.sign_pk, k.sign_pk, PUBLIC_KEY_BYTES);
    root_key_public(&k.vault_id, k.recovery_sk, root_pk);
    assert_memory_equal(v.root_pk, root_pk, PUBLIC_KEY_BYTES);
    assert_true(vault_object_is_of(&v, &k));
    uint8_t *anchors[] = { k.vault_id.b, k.recovery_pk, k.sign_pk, k.root_pk };
    for (size_t i = 0; i < sizeof anchors / sizeof *anchors; i++) {
        anchors[i][31] ^= 1;
        assert_false(vault_object_is_of(&v, &k));
        anchors[i][31] ^= 1;
    }
    assert_int_equal(v.generation, 1);
    assert_int_equal(v.created_s, SAMPLE_CREATED_S);
    vault_keys_done(&k);
    wbuf_free(&w);
}

static void sign_by_root(const struct vault_keys *k, struct wbuf *w)
{
    uint8_t root_sk[KEY_BYTES];
    root_key_secret(&k->vault_id, k->recovery_sk, root_sk);
    object_sign(&k->vault_id, root_sk, w);
}

static int reread_signed(const struct vault_keys *k, struct wbuf *w)
{
    struct vault_public v;
    sign_by_root(k, w);
    int rc = vault_object_read(w->p, w->len, &v, NULL);
    w->len -= SIGNATURE_BYTES;
    return rc;
}

static void vault_objects_out_of_bounds_are_refused(void **state)
{
    struct vault_keys k = sample_keys();
    struct wbuf w = WBUF_INIT;
    assert_int_equal(vault_object_write(&k, "v", 0, &w, NULL), 0);
    w.len = SIGNATURE_AT(&w);
    assert_int_equal(reread_signed(&k, &w), 0);
    w.p[GENERATION_AT] = 2; /* a program that knows more generations may have other rules */
    assert_int_equal(reread_signed(&k, &w), -ERR_VERSION);
    w.p[GENERATION_AT] = 1;
    w.p[PREVIOUS_AT] = 1;
    assert_int_equal(reread_signed(&k, &w), -ERR_DAMAGED);
    w.p[PREVIOUS_AT] = 0;
    w.p[CREATED_AT + 7] = 0x80;
    assert_int_equal(reread_signed(&k, &w), -ERR_DAMAGED);
    w.p[CREATED_AT + 7] = 0;
    w.len--;
    assert_int_equal(reread_signed(&k, &w), -ERR_DAMAGED);
    w.len++;
    wb_u8(&w, 0);
    assert_int_equal(reread_signed(&k, &w), -ERR_DAMAGED);
    w.len = CREATED_AT + 8;
    wb_blob(&w, w.p, 64 + 48); /* shorter than any sealed part */
    assert_int_equal(reread_signed(&k, &w), -ERR_DAMAGED);
    vault_keys_done(&k);
    wbuf_free(&w);
}

static void another_recovery_key_does_not_open(void **state)
{
    struct vault_keys k = sample_keys(), other = sample_keys();
    struct wbuf w = WBUF_INIT;
    const struct secret *op = other.op;
    assert_int_equal(vault_object_write(&k, "v", 0, &w, NULL), 0);
    secret_data(other.recovery_sk)[3] ^= 1;
    assert_int_equal(vault_object_open(w.p, w.len, &other, NULL, NULL), -ERR_KEY);
    assert_ptr_equal(other.op, op); /* untouched */
    secret_data(other.recovery_sk)[3] ^= 1;
    assert_int_equal(vault_object_open(w.p, w.len, &other, NULL, NULL), 0);
    assert_same_keys(&k, &other);
    vault_keys_done(&k);
    vault_keys_done(&other);
    wbuf_free(&w);
}

/* --- forged vault objects ----------------------------------------------------------------------- */
struct forgery {
    struct vault_keys mine, his;
    uint8_t *recovery;
    size_t recovery_len;
    struct secret *pass;
    struct wbuf w;
};

static int begin_forgery(void **state)
{
    struct forgery *f = calloc(1, sizeof *f);
    f->mine = sample_keys();
    f->recovery = golden_read("recovery", "object", &f->recovery_len);
    f->pass = text_secret(SAMPLE_PASSPHRASE);
    *state = f;
    return vault_keys_generate(&f->his, NULL);
}

static int end_forgery(void **state)
{
    struct forgery *f = *state;
    vault_keys_done(&f->mine);
    vault_keys_done(&f->his);
    free(f->recovery);
    secret_free(f->pass);
    wbuf_free(&f->w);
    free(f);
    return 0;
}

/* The object reads well, as any does that somebody signed, and yet nobody takes it. */
static void assert_not_believed(struct forgery *f)
{
    struct vault_keys back;
    struct vault_public v;
    char *name = NULL;
    assert_int_equal(vault_object_read(f->w.p, f->w.len, &v, NULL), 0);
    assert_int_equal(vault_keys_recover(f->recovery, f->recovery_len, f->w.p, f->w.len, f->pass,
                                        &back, &name, NULL),
                     -ERR_DAMAGED);
    assert_null(name);
}

static void another_vault_is_not_believed(void **state)
{
    struct forgery *f = *state;
    assert_int_equal(vault_object_write(&f->his, "main", 0, &f->w, NULL), 0);
    assert_not_believed(f);
    assert_int_equal(vault_object_open(f->w.p, f->w.len, &f->mine, NULL, NULL), -ERR_KEY);
    wbuf_reset(&f->w);
    f->his.vault_id = f->mine.vault_id;
    assert_int_equal(vault_object_write(&f->his, "main", 0, &f->w, NULL), 0);
    assert_not_believed(f);
    /* By the same recovery key, but for another vault. */
    wbuf_reset(&f->w);
    struct vault_keys moved = sample_keys();
    moved.vault_id.b[0] ^= 1;
    assert_int_equal(vault_object_write(&moved, "main", 0, &f->w, NULL), 0);
    vault_keys_done(&moved);
    assert_not_believed(f);
}

/* The recovery public key is no secret: a copy's holder may seal keys of his own to it, and sign as a root of
 * his own. */
static void a_root_of_his_own_is_not_believed(void **state)
{
    struct forgery *f = *state;
    f->his.vault_id = f->mine.vault_id;
    memcpy(f->his.recovery_pk, f->mine.recovery_pk, PUBLIC_KEY_BYTES);
    assert_int_equal(vault_object_write(&f->his, "main", 0, &f->w, NULL), 0);
    assert_not_believed(f);
    assert_int_equal(vault_object_open(f->w.p, f->w.len, &f->mine, NULL, NULL), -ERR_DAMAGED);
}

/* A stolen orchestrator has operational and signing key, and they open no way to a vault object. */
static void the_signing_key_signs_no_vault_object(void **state)
{
    struct forgery *f = *state;
    struct vault_public v;
    assert_int_equal(vault_object_write(&f->mine, "main", 0, &f->w, NULL), 0);
    f->w.len = SIGNATURE_AT(&f->w);
    object_sign(&f->mine.vault_id, secret_bytes(f->mine.sign_sk), &f->w);
    assert_int_equal(vault_object_read(f->w.p, f->w.len, &v, NULL), -ERR_DAMAGED);
    f->w.len = SIGNATURE_AT(&f->w);
    memcpy(f->w.p + ROOT_PK_AT, f->mine.sign_pk, PUBLIC_KEY_BYTES);
    object_sign(&f->mine.vault_id, secret_bytes(f->mine.sign_sk), &f->w);
    assert_not_believed(f);
    assert_int_equal(vault_object_open(f->w.p, f->w.len, &f->mine, NULL, NULL), -ERR_DAMAGED);
    /* Nor does whoever has the public keys alone take it for the vault's. */
    assert_int_equal(vault_object_read(f->w.p, f->w.len, &v, NULL), 0);
    assert_false(vault_object_is_of(&v, &f->mine));
}

/* Signed by the true root, but not fit to be used: the writer was at fault. */
static void keys_that_do_not_go_together_are_refused(void **state)
{
    struct forgery *f = *state;
    struct vault_keys back;
    struct vault_public v;
    assert_int_equal(vault_object_write(&f->mine, "main", 0, &f->w, NULL), 0);
    f->w.len = SIGNATURE_AT(&f->w);
    memcpy(f->w.p + SIGN_PK_AT, f->his.sign_pk, PUBLIC_KEY_BYTES);
    sign_by_root(&f->mine, &f->w);
    assert_int_equal(vault_object_open(f->w.p, f->w.len, &f->mine, NULL, NULL), -ERR_DAMAGED);
    wbuf_reset(&f->w);
    assert_int_equal(vault_object_write(&f->mine, "main", 0, &f->w, NULL), 0);
    f->w.len = SIGNATURE_AT(&f->w);
    memcpy(f->w.p + RECOVERY_PK_AT, f->his.recovery_pk, PUBLIC_KEY_BYTES);
    sign_by_root(&f->mine, &f->w);
    assert_int_equal(vault_object_read(f->w.p, f->w.len, &v, NULL), 0);
    assert_int_equal(vault_keys_recover(f->recovery, f->recovery_len, f->w.p, f->w.len, f->pass,
                                        &back, NULL, NULL),
                     -ERR_KEY);
}

static void root_keys_differ(void **state)
{
    struct vault_keys k = sample_keys();
    uint8_t a[KEY_BYTES], b[KEY_BYTES];
    root_key_secret(&k.vault_id, k.recovery_sk, a);
    k.vault_id.b[0] ^= 1; /* the same recovery key for another vault */
    root_key_secret(&k.vault_id, k.recovery_sk, b);
    assert_memory_not_equal(a, b, KEY_BYTES);
    k.vault_id.b[0] ^= 1;
    secret_data(k.recovery_sk)[0] ^= 1;
    root_key_secret(&k.vault_id, k.recovery_sk, b);
    assert_memory_not_equal(a, b, KEY_BYTES);
    vault_keys_done(&k);
}

/* --- the recovery file ------------------------------------------------------------------------ */
static int try_recovery(const uint8_t *p, size_t n, const char *pass, size_t pass_n)
{
    struct secret *s = secret_of(pass, pass_n);
    struct vault_keys k = { 0 };
    struct id fingerprint, want;
    int rc = recovery_open(p, n, s, &k, &fingerprint, NULL);
    if (rc == 0) {
        struct vault_keys sample = sample_keys();
        uint8_t root_pk[PUBLIC_KEY_BYTES];
        root_key_public(&sample.vault_id, sample.recovery_sk, root_pk);
        sha256_of(root_pk, PUBLIC_KEY_BYTES, &want);
        assert_true(id_eq(&fingerprint, &want));
        assert_true(id_eq(&k.vault_id, &sample.vault_id));
        assert_memory_equal(secret_bytes(k.recovery_sk), secret_bytes(sample.recovery_sk),
                            KEY_BYTES);
        vault_keys_done(&sample);
    } else {
        assert_null(k.recovery_sk);
    }
    vault_keys_done(&k);
    secret_free(s);
    return rc;
}

static int try_pass(const uint8_t *p, size_t n)
{
    return try_recovery(p, n, SAMPLE_PASSPHRASE, sizeof SAMPLE_PASSPHRASE - 1);
}

static void any_slot_opens(void **state)
{
    size_t n;
    uint8_t *p = golden_read("recovery", "object", &n), swapped[SLOT_BYTES];
    assert_int_equal(try_pass(p, n), 0);
    assert_int_equal(try_recovery(p, n, SAMPLE_OFFICERS, sizeof SAMPLE_OFFICERS - 1), 0);
    assert_int_equal(try_recovery(p, n, SAMPLE_OFFICERS, strlen(SAMPLE_OFFICERS)), -ERR_KEY);
    assert_int_equal(try_recovery(p, n, "", 0), -ERR_KEY);
    memcpy(swapped, p + 9, SLOT_BYTES);
    memmove(p + 9, p + 9 + SLOT_BYTES, SLOT_BYTES);
    memcpy(p + 9 + SLOT_BYTES, swapped, SLOT_BYTES);
    assert_int_equal(try_pass(p, n), 0);
    p[9 + 100] ^= 1; /* damage to the officers' slot */
    assert_int_equal(try_pass(p, n), 0);
    assert_int_equal(try_recovery(p, n, SAMPLE_OFFICERS, sizeof SAMPLE_OFFICERS - 1), -ERR_KEY);
    free(p);
}

static void recovery_files_out_of_bounds_are_refused(void **state)
{
    size_t n;
    uint8_t *p = golden_read("recovery", "object", &n);
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = { { 8, 0 }, { 8, 1 },  { 8, 3 },   { 8, 17 },   { 9, 0 },
                 { 9, 3 }, { 10, 9 }, { 10, 17 }, { 10, 255 }, { 9 + SLOT_BYTES + 1, 64 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t old = p[rows[i].at];
        p[rows[i].at] = rows[i].value;
        assert_int_equal(try_pass(p, n), -ERR_DAMAGED);
        p[rows[i].at] = old;
    }
    for (size_t len = 0; len < n; len++) {
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, p, len);
        assert_int_equal(try_pass(cut, len), -ERR_DAMAGED);
        free(cut);
    }
    uint8_t many[9 + 17 * SLOT_BYTES];
    memcpy(many, p, 9);
    for (size_t i = 0; i < 17; i++)
        memcpy(many + 9 + i * SLOT_BYTES, p + 9, SLOT_BYTES);
    many[8] = 17;
    assert_int_equal(try_pass(many, sizeof many), -ERR_DAMAGED);
    many[8] = 16;
    assert_int_equal(try_pass(many, 9 + 16 * SLOT_BYTES), 0);
    many[8] = 0;
    assert_int_equal(try_pass(many, 9), -ERR_DAMAGED);
    p[6] = 2;
    assert_int_equal(try_pass(p, n), -ERR_VERSION);
    free(p);
}

/* --- passphrases ------------------------------------------------------------------------------ */
static int check_text(const char *p, size_t n)
{
    struct secret *s = secret_of(p, n);
    struct err e = ERR_INIT;
    int rc = passphrase_check(s, &e);
    assert_int_equal(rc, -(int)e.code);
    secret_free(s);
    return rc;
}

static void passphrases(void **state)
{
    static const char *const good[] = {
        SAMPLE_PASSPHRASE,
        "abcdefgABCDEFG12",
        "abcdefgh 1234567",
        "ABCDEFGH-1234567",
        "密码密码密码密码密码密码密码A1b",
        "äöüäöüäöüäöüä1aA",
    };
    static const char *const bad[] = {
        "",
        "abcABC123abcABC",
        "abcdefghijklmnop",
        "abcdefghABCDEFGH",
        "1234567890123456",
        "abcdefgh12345678",
        "密码密码密码A1a",
        "密码密码密码密码密码密码密码密码", /* one kind */
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(check_text(good[i], strlen(good[i])), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(check_text(bad[i], strlen(bad[i])), -ERR_USAGE);
    assert_int_equal(check_text(SAMPLE_OFFICERS, sizeof SAMPLE_OFFICERS - 1), -ERR_USAGE);
    char longest[MAX_PASSPHRASE_BYTES + 1];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "A1", 2);
    assert_int_equal(check_text(longest, MAX_PASSPHRASE_BYTES), 0);
    assert_int_equal(check_text(longest, MAX_PASSPHRASE_BYTES + 1), -ERR_USAGE);
}

/* --- key files -------------------------------------------------------------------------------- */
struct folder {
    char path[64], file[80];
};

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    if (!f ||
        (size_t)snprintf(f->path, sizeof f->path, "%s/keys.XXXXXX", tmp ? tmp : "/tmp") >=
            sizeof f->path ||
        !mkdtemp(f->path))
        return -1;
    snprintf(f->file, sizeof f->file, "%s/key", f->path);
    *state = f;
    return 0;
}

static int drop_folder(void **state)
{
    struct folder *f = *state;
    unlink(f->file);
    int rc = rmdir(f->path);
    free(f);
    return rc;
}

static void key_files_there_and_back(void **state)
{
    const struct folder *f = *state;
    struct vault_keys k = sample_keys(), back = { 0 };
    struct stat st;
    assert_int_equal(op_key_load(f->file, &k.vault_id, &back, NULL), -ERR_ABSENT);
    assert_int_equal(op_key_save(f->file, &k, NULL), 0);
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, strlen("twofold-operational-key-v1") + 3 * 65 + 1);
    assert_int_equal(op_key_load(f->file, &k.vault_id, &back, NULL), 0);
    assert_int_equal(op_key_load(f->file, &k.vault_id, &back, NULL), 0); /* replaces */
    assert_null(back.recovery_sk);
    assert_int_equal(recovery_key_load(f->file, &k.vault_id, &back, NULL), -ERR_DAMAGED);
    assert_int_equal(recovery_key_save(f->file, &k, NULL), 0);
    assert_int_equal(recovery_key_load(f->file, &k.vault_id, &back, NULL), 0);
    assert_memory_equal(secret_bytes(k.recovery_sk), secret_bytes(back.recovery_sk), KEY_BYTES);
    assert_same_keys(&k, &back);
    assert_int_equal(op_key_load(f->file, &k.vault_id, &back, NULL), -ERR_DAMAGED);
    vault_keys_done(&k);
    vault_keys_done(&back);
}

static void key_files_of_others_are_refused(void **state)
{
    const struct folder *f = *state;
    static const mode_t modes[] = { 0640, 0604, 0620, 0601, 0644 };
    struct vault_keys k = sample_keys(), back = { 0 };
    struct id other = sample_id(1);
    assert_int_equal(recovery_key_save(f->file, &k, NULL), 0);
    assert_int_equal(recovery_key_load(f->file, &other, &back, NULL), -ERR_KEY);
    memset(back.recovery_pk, 9, PUBLIC_KEY_BYTES); /* what the vault object named */
    assert_int_equal(recovery_key_load(f->file, &k.vault_id, &back, NULL), -ERR_KEY);
    memset(back.recovery_pk, 0, PUBLIC_KEY_BYTES);
    memset(back.root_pk, 9, PUBLIC_KEY_BYTES);
    assert_int_equal(recovery_key_load(f->file, &k.vault_id, &back, NULL), -ERR_KEY);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(f->file, modes[i]), 0);
        assert_int_equal(recovery_key_load(f->file, &k.vault_id, &back, NULL), -ERR_REFUSED);
    }
    assert_null(back.recovery_sk);
    assert_int_equal(recovery_key_load(f->path, &k.vault_id, &back, NULL), -ERR_REFUSED);
    vault_keys_done(&k);
}

static void key_files_are_of_one_form(void **state)
{
    const struct folder *f = *state;
    struct vault_keys k = sample_keys(), back = { 0 };
    uint8_t *text;
    size_t n;
    assert_int_equal(op_key_save(f->file, &k, NULL), 0);
    assert_int_equal(sys_read_file(AT_FDCWD, f->file, 4096, &text, &n, NULL), 0);
    for (size_t len = 0; len + 1 < n; len++) {
        assert_int_equal(sys_write_file(AT_FDCWD, f->file, text, len, 0600, NULL), 0);
        assert_int_equal(op_key_load(f->file, &k.vault_id, &back, NULL), -ERR_DAMAGED);
    }
    assert_int_equal(sys_write_file(AT_FDCWD, f->file, text, n - 1, 0600, NULL), 0);
    assert_int_equal(op_key_load(f->file, &k.vault_id, &back, NULL), 0);
    text[n - 1] = 'a';
    assert_int_equal(sys_write_file(AT_FDCWD, f->file, text, n, 0600, NULL), 0);
    assert_int_equal(op_key_load(f->file, &k.vault_id, &back, NULL), -ERR_DAMAGED);
    text[n - 1] = '\n';
    text[n - 5] = 'x';
    assert_int_equal(sys_write_file(AT_FDCWD, f->file, text, n, 0600, NULL), 0);
    assert_int_equal(op_key_load(f->file, &k.vault_id, &back, NULL), -ERR_DAMAGED);
    free(text);
    vault_keys_done(&k);
    vault_keys_done(&back);
}

/* --- data keys -------------------------------------------------------------------------------- */
static void data_keys(void **state)
{
    struct vault_keys k = sample_keys();
    struct id key = sample_id(0x70);
    struct data_key dk = { .id = sample_id(0x60) };
    uint8_t out[KEY_BYTES];
    assert_int_equal(data_key_seal(k.recovery_pk, &k.vault_id, &dk.id, key.b, dk.blob, NULL), 0);
    assert_int_equal(data_key_open(&k, &dk, out, NULL), 0);
    assert_memory_equal(out, key.b, KEY_BYTES);
    dk.id.b[0] ^= 1; /* another key's name */
    assert_int_equal(data_key_open(&k, &dk, out, NULL), -ERR_KEY);
    dk.id.b[0] ^= 1;
    k.vault_id.b[0] ^= 1;
    assert_int_equal(data_key_open(&k, &dk, out, NULL), -ERR_KEY);
    k.vault_id.b[0] ^= 1;
    for (size_t i = 0; i < 8 * DATA_KEY_BLOB_BYTES; i++) {
        dk.blob[i / 8] ^= (uint8_t)(1u << i % 8);
        /* RFC 7748 ignores the last bit of a point, but the key schedule has the bytes in it. */
        assert_int_equal(data_key_open(&k, &dk, out, NULL), -ERR_KEY);
        dk.blob[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    secret_free(k.recovery_sk);
    k.recovery_sk = NULL;
    assert_int_equal(data_key_open(&k, &dk, out, NULL), -ERR_KEY);
    vault_keys_done(&k);
}

static void deduplication_keys_differ(void **state)
{
    struct vault_keys k = sample_keys();
    uint8_t a[KEY_BYTES], b[KEY_BYTES];
    dedup_key(&k, "db1", 0, a);
    dedup_key(&k, "db1", 0, b);
    assert_memory_equal(a, b, KEY_BYTES);
    dedup_key(&k, "db1", 1, b);
    assert_memory_not_equal(a, b, KEY_BYTES);
    dedup_key(&k, "db2", 0, b);
    assert_memory_not_equal(a, b, KEY_BYTES);
    vault_keys_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_vault_comes_back),
        cmocka_unit_test(anybody_reads_the_public_part),
        cmocka_unit_test(vault_objects_out_of_bounds_are_refused),
        cmocka_unit_test(another_recovery_key_does_not_open),
        cmocka_unit_test_setup_teardown(another_vault_is_not_believed, begin_forgery, end_forgery),
        cmocka_unit_test_setup_teardown(a_root_of_his_own_is_not_believed, begin_forgery,
                                        end_forgery),
        cmocka_unit_test_setup_teardown(the_signing_key_signs_no_vault_object, begin_forgery,
                                        end_forgery),
        cmocka_unit_test_setup_teardown(keys_that_do_not_go_together_are_refused, begin_forgery,
                                        end_forgery),
        cmocka_unit_test(root_keys_differ),
        cmocka_unit_test(any_slot_opens),
        cmocka_unit_test(recovery_files_out_of_bounds_are_refused),
        cmocka_unit_test(passphrases),
        cmocka_unit_test_setup_teardown(key_files_there_and_back, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(key_files_of_others_are_refused, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(key_files_are_of_one_form, make_folder, drop_folder),
        cmocka_unit_test(data_keys),
        cmocka_unit_test(deduplication_keys_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
